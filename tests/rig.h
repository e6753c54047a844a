/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine for tests: over a simulated disk, with inline pools and a clock
 * whose hands the test turns.  One at a time.
 */
#ifndef RIG_H
#define RIG_H

#include "engine.h"
#include "simdisk.h"

struct rig {
	struct engine	 eng;
	struct pool	*commit, *bulk;
	struct conf	 conf;
	struct sim	*disk;
	char		 why[512];	/* of an open that was refused */
};

extern int64_t rig_now;			/* ms, both clocks */

/* A new disk, options as after a start without any. */
void	 rig_init(struct rig *);
/* Opens and waits until the engine is ready. */
enum err rig_open(struct rig *) MUST;
/* Stops in order and closes; with kill, as kill -9 would. */
enum err rig_stop(struct rig *) MUST;
void	 rig_kill(struct rig *);
void	 rig_free(struct rig *);
/* Everything that is due at rig_now + ms. */
void	 rig_settle(struct rig *, int64_t ms);

/* An append of n records with payload bytes behind the header. */
struct sent {
	struct append	 a;
	int		 answers;
	enum err	 err;
	uint8_t		*p;
};
void	 sent_make(struct sent *, int n, size_t payload, bool all);
void	 sent_free(struct sent *);
/* A live topic, whatever it takes. */
struct topic *rig_topic(struct rig *, const char *name, int32_t nparts);
/* Appends one batch of a record and drains; it must be answered E_OK. */
void	 rig_append(struct rig *, struct part *, size_t payload);

#endif
