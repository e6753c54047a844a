/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cleaner: which compacted topic's partition is to be compacted next, how
 * fast, and what becomes of it (protocol.md 3.10).  Kafka's rules:
 *
 *  - The dirty part begins where the last pass ended, which the catalogue
 *    knows, and ends before the growing segment, the high watermark, and the
 *    first segment with a record younger than min.compaction.lag.ms.
 *  - It is worth while when more than min.cleanable.dirty.ratio of the log is
 *    dirty, or when a segment of it began before max.compaction.lag.ms.
 *  - The dirtiest goes first.
 *
 * A pass is cut in slices, one job of the bulk pool each, so that others get
 * their turn and log.cleaner.io.max.bytes.per.second can be kept; each swap of
 * segments is a job as well.  Between two of them the loop looks whether the
 * partition is still what it was.  Retention and a pass exclude each other.
 */
#ifndef CLEANER_H
#define CLEANER_H

#include <stdbool.h>

#include "timer.h"

struct cleaning;
struct engine;
struct meta_key;
struct part;

struct cleaner {
	struct timer	 timer;
	struct cleaning	*first;		/* passes at work */
	int		 n;
	int64_t		 free_at;	/* mono_ms: the limit is kept if nobody
					 * goes on before */
};

/* What a partition keeps for it. */
struct clean_state {
	int64_t		 to;		/* clean up to this offset, 0 nothing */
	int64_t		 seen;		/* passes have gone so far: beyond it
					 * where they refused segments */
	int64_t		 at;		/* wall_ms of the last pass, 0 none */
	int64_t		 again;		/* mono_ms: not before */
	int		 tries;		/* that have failed since */
	int		 refused;	/* segments that the last pass left as
					 * they are, because of damage */
	bool		 busy;		/* a pass is at work */
	bool		 txns;		/* its log has transactions */
	bool		 asking;	/* when its segments began */
};

/* Starts the periodic check. */
void	 cleaner_start(struct engine *);
/* Ends what is between two jobs; what is in one ends when that comes back. */
void	 cleaner_stop(struct engine *);
/* Frees what is left, also what a job knows that nobody runs any more. */
void	 cleaner_close(struct engine *);
/* How much of it is dirty, from 0 to 1; -1 when it is not to be compacted. */
double	 cleaner_ratio(const struct part *);
/* The catalogue's word at start. */
enum err cleaner_restore(struct engine *, const struct meta_key *,
	    const void *meta_clean) MUST;

#endif
