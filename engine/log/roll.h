/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a segment is finished and the next one begins, as Kafka decides it:
 * by size, by offsets that would not fit 32 bits behind its base, by a full
 * index, and by time: from the first batch's greatest timestamp to that of
 * the batch that comes; where the first has none, from the segment's making
 * to now, by no more than segment.ms, or max.compaction.lag.ms of a compacted
 * topic.  Only an append finishes a segment; one that is never written to
 * again is finished by retention.
 */
#ifndef ROLL_H
#define ROLL_H

#include "part.h"

/* A segment while batches are chosen for it. */
struct fill {
	const struct part *part;
	int64_t		 base;		/* offset */
	int64_t		 pos;		/* end, in bytes */
	int64_t		 first_ts;	/* as in struct seg */
	int64_t		 made_ms, jitter_ms;
	int64_t		 entries;	/* of the index */
	struct idx	 idx;		/* without its entries */
};

/* s NULL: a new one at the base. */
void	 fill_start(struct fill *, const struct part *, const struct seg *s,
	    int64_t base);
/* Does the batch still go into it?  now: wall_ms. */
bool	 fill_takes(const struct fill *, const struct batch *, int64_t now);
/* It does. */
void	 fill_add(struct fill *, const struct batch *);

/* Bytes that a new segment reserves: preallocate. */
int64_t	 part_reserve(const struct part *);
/* What of the topic's configs a segment keeps: at its making or opening, and
 * (jitter false) when they have changed. */
void	 seg_configure(struct seg *, const struct part *, bool jitter);

#endif
