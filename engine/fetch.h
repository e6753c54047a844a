/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch: from offsets to extents of segment files, at once, after a read
 * ahead, or when enough has been appended.
 *
 *   TRY -> DONE
 *   TRY -> COLD (a bulk job reads index and bytes) -> TRY
 *   TRY -> PARKED (long poll) -> TRY, once: on enough bytes, on a change of a
 *          partition's state, or when max_wait is over
 */
#ifndef FETCH_H
#define FETCH_H

#include "lib/ipc.h"
#include "lib/kafka.h"
#include "part.h"

struct fetch;

/* A parked fetch on one partition's list of waiters. */
struct fetch_wait {
	struct fetch_wait *next, **prevp;
	struct fetch	*f;
	struct part	*part;
	int64_t		 seen;		/* part->visible at the time */
};

/* One extent of the answer, with a reference on its segment. */
struct fetch_extent {
	struct seg	*seg;
	int64_t		 pos;
	int32_t		 len;
};

struct fetch {
	struct engine	*eng;
	const struct fetch_req *req;	/* the caller's, until done */
	int		 version;	/* the client's */
	struct arena	*arena;
	/* Called once, on the loop, with res filled; extents in order. */
	void		(*done)(struct fetch *);
	void		*arg;

	struct extents_res res;
	struct fetch_extent *extents;	/* in the arena; one per partition */
	int		 nextents;
	int		 nparts;	/* in the request */
	struct fetch_wait *waits;	/* in the arena */
	int		 nwaits;
	struct timer	 timer;
	int64_t		 deadline;	/* mono_ms */
	int64_t		 got, there, missing; /* bytes: given, there, wanted */
	int		 tries;		/* of reading ahead */
	bool		 parked, due, cold, dropped;
	struct fetch	*next_due, **due_prevp;
	struct cold	*job;
};

/* Starts; done may be called before it returns. */
void	 fetch_start(struct fetch *);
/* Nobody wants the answer any more: done is not called.  Returns true when the
 * fetch is free at once; false: free() follows from the job, through done with
 * dropped set. */
bool	 fetch_cancel(struct fetch *);
/* Releases the references that res holds. */
void	 fetch_release(struct fetch *);
/* A partition's end or state moved. */
void	 fetch_wake(struct part *);
/* Runs fetches that were woken; the loop calls it once per turn. */
void	 fetches_run(struct engine *);

#endif
