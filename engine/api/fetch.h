/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch: from offsets to extents of segment files, at once, after a read
 * ahead, or when enough has been appended.
 *
 *   TRY -> DONE
 *   TRY -> COLD (a bulk job reads index and bytes) -> TRY
 *   TRY -> PARKED (long poll) -> TRY, once: on enough bytes, on a change of a
 *          partition's state, or when max_wait is over
 *
 * A fetch works on a set of rows, the partitions that are asked for.  A set of
 * its own lists all of them.  The set of a session lives on between fetches
 * and lists only those that may have something to tell: a row of which all is
 * told leaves the list and waits at its partition, which puts it back when
 * anything moves.  So the work of a fetch is proportional to what has changed.
 */
#ifndef FETCH_H
#define FETCH_H

#include "lib/hash.h"
#include "lib/ipc.h"
#include "lib/kafka.h"
#include "log/look.h"

struct cold;
struct fetch;
struct fetch_session;
struct fetch_set;

struct fetch_topic {
	struct kstr	 name;		/* of requests without ids */
	struct uuid	 id;
	int		 refs;		/* of a session's rows */
};

/*
 * One partition.  Invariants: in the set's list or in fresh exactly while
 * prevp is set; on part's list of waiters exactly while wait_prevp is set, and
 * only then is part valid.
 */
struct fetch_row {
	struct fetch_row *next, **prevp;
	struct fetch_row *wait_next, **wait_prevp;
	struct fetch_set *set;
	struct fetch_topic *topic;
	struct part	*part;
	int64_t		 seen;		/* part->visible at the time */
	int32_t		 index;
	int32_t		 max_bytes, current_epoch, last_epoch;
	int64_t		 offset;
	/* As the session's client was told last; -1 nothing. */
	int64_t		 hw, lso, start;
	uint64_t	 turn;		/* rising along the list */
	struct hash_node by_part;	/* in the session */
};

struct fetch_set {
	struct fetch	*fetch;		/* at work on it, or NULL */
	struct fetch_session *session;	/* NULL: the fetch's own */
	struct fetch_row *first, **last; /* by turn */
	struct fetch_row *fresh;	/* to be merged in; no order */
	int		 n, nlisted;	/* rows; in list and fresh */
	uint64_t	 turn;		/* the last that was given */
};

struct fetch {
	struct engine	*eng;
	const struct fetch_req *req;	/* the caller's, until done */
	int		 version;	/* the client's */
	struct arena	*arena;
	/* Called once, on the loop, with res filled; extents in order. */
	void		(*done)(struct fetch *);
	void		*arg;
	struct fetch_set *set;		/* &own, or a session's */
	struct fetch_set own;
	bool		 wants_session;	/* out of its own set */
	int		 segs_max;	/* whose fds the answer may bring */

	struct extents_res res;
	struct fetch_extent *extents;
	int		 nextents;
	/* What was tried, in the arena, as long as rows_cap. */
	struct fetch_row **rows;
	struct extents_res_part *parts;
	struct extents_res_extent *places;
	int		 nrows, rows_cap;
	struct timer	 timer;
	int64_t		 deadline;	/* mono_ms */
	int64_t		 got, there, missing; /* bytes: given, there, wanted */
	int64_t		 bytes;		/* held while parked */
	int		 tries;		/* of reading ahead */
	bool		 parked, due, dropped;
	bool		 patient;	/* has waited for a sync beyond its
					 * time */
	struct fetch	*next_due, **due_prevp;
	struct cold	*job;		/* under way */
};

/* Starts; done may be called before it returns.  With set NULL the rows are
 * those of the request. */
void	 fetch_start(struct fetch *);
/* Nobody wants the answer any more: done is not called.  Returns true when the
 * fetch is free at once; false: free() follows from the job, through done with
 * dropped set. */
bool	 fetch_cancel(struct fetch *);
/* Releases the references that res holds. */
void	 fetch_release(struct fetch *);
/* A partition's end, start or state moved. */
void	 fetch_wake(struct part *);
/* Runs fetches that were woken; the loop calls it once per turn. */
void	 fetches_run(struct engine *);

void	 fetch_set_init(struct fetch_set *, struct fetch_session *);
/* Takes over what is asked of a partition. */
void	 fetch_row_ask(struct fetch_row *, const struct fetch_req_topic_part *);
/* Puts a row where the next try looks. */
void	 fetch_row_list(struct fetch_row *);
/* Takes it off the list. */
void	 fetch_row_unlist(struct fetch_row *);
/* Off its partition's list of waiters. */
void	 fetch_row_unwait(struct fetch_row *);

#endif
