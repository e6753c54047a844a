/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the indexer sees of the log: topics that are searched, their partitions
 * and segments.  The stamp goes up when any of that changes, so that whoever
 * has the newest view waits for the next one and costs nothing meanwhile.
 * Owned by the engine; all of it belongs to the loop.
 */
#ifndef VIEW_H
#define VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct part;
struct view_wait;

struct view {
	uint64_t	 stamp;		/* 0: nobody has asked yet */
	uint64_t	 changes;	/* of topics: those it counts */
	bool		 moved;		/* since those who wait were told */
	struct view_wait *waits;
};

/* Something of a topic has changed that a view tells; p may be NULL. */
void	 view_move(struct engine *, const struct part *);
/* Once a turn: tells those who wait. */
void	 view_run(struct engine *);

#endif
