/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full disk.  DATA/reserve is a file without bytes that holds blocks for
 * the day when there are no others:
 *
 *   ROOMY --a write found no room--> FULL --reserve made again--> ROOMY
 *
 * While the disk is full, appends to topics are refused with errors that
 * clients repeat, and nothing is made that grows.  As soon as no append is on
 * its way any more the reserve is given up, so that its blocks serve what
 * makes room and what must go on: the catalogue (deletions, configs, committed
 * offsets, epochs), indexes, renames, the segment that retention begins.
 * Reads never need room.  Once a second it is looked whether the reserve can
 * be made again with some room to spare; then appends are taken again.
 *
 * A start that cannot make the reserve begins with a full disk: what was left
 * of the reserve is not for appends.
 */
#ifndef SPACE_H
#define SPACE_H

#include <stdbool.h>

#include "timer.h"

struct engine;

struct space {
	struct timer	timer;
	bool		full;
	bool		held;		/* DATA/reserve is there */
	bool		busy;		/* a job of ours is out */
};

/* Before anything is written: is there a reserve?  Blocks. */
enum err space_open(struct engine *) MUST;
/* The catalogue could not be opened for want of room: gives up the reserve.
 * True when there was one.  Blocks. */
bool	 space_yield(struct engine *);
/* When everything is open: makes a reserve if there is none. */
void	 space_start(struct engine *);
/* A write found no room. */
void	 space_full(struct engine *);
/* Is the reserve still to be given up?  Then what failed in the catalogue is
 * tried again after it (meta_again). */
bool	 space_helps(const struct engine *);
/* The loop calls it once per turn. */
void	 space_turn(struct engine *);

#endif
