/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All timeouts of the engine in one heap, driven by the loop with one real
 * timer.  Setting and cancelling allocate nothing while the heap has room.
 */
#ifndef TIMER_H
#define TIMER_H

#include <stdint.h>

#include "lib/err.h"

struct timer {
	int64_t	due;			/* mono_ms */
	int	at;			/* place in the heap + 1; 0: not set */
	void	(*fire)(struct timer *);
};

struct timers {
	struct timer	**heap;
	int		 n, cap;
};

/* Sets or moves.  E_NOMEM leaves it as it was. */
enum err timer_set(struct timers *, struct timer *, int64_t due_ms) MUST;
void	 timer_cancel(struct timers *, struct timer *);
/* Fires what is due; a fired timer is no longer set. */
void	 timers_run(struct timers *, int64_t now_ms);
/* When the next is due, or -1. */
int64_t	 timers_due(const struct timers *);
void	 timers_free(struct timers *);

#endif
