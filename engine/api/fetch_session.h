/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch sessions (KIP-227): what a consumer fetches, remembered, so that a
 * request and its answer name only the partitions that have changed.
 *
 *   full fetch (id any, epoch 0) -> LIVE, when the cache has room
 *   LIVE -> ENDED       by the next full or closing fetch that names it, by
 *           eviction, when it holds nothing, or when it outgrows its bounds
 *   ENDED -> freed      as soon as no fetch works on it
 *
 * A session belongs to no connection and to no gateway: whoever knows its id
 * and the epoch that is due may go on with it.  It is only in memory; after a
 * restart the id is not known and the client starts anew.
 */
#ifndef FETCH_SESSION_H
#define FETCH_SESSION_H

#include <sys/queue.h>

#include "fetch.h"

struct engine;
struct fetch_read;

struct fetch_session {
	struct fetch_set set;
	struct engine	*eng;
	int32_t		 id;		/* random, not 0 */
	int32_t		 epoch;		/* that the next request must have */
	bool		 by_id;		/* topics by id (version 13) */
	bool		 ended;		/* not in the cache any more */
	int64_t		 created, used;	/* mono_ms */
	size_t		 bytes;
	struct hash_node by_number;	/* in the cache */
	TAILQ_ENTRY(fetch_session) by_use;
	struct hash	 rows;		/* by topic and partition */
	struct fetch_topic *newest;	/* that a row was made of, or NULL */
	/* Requests behind the one that is at work; the engine's turn takes
	 * them up. */
	struct fetch_read *queue, **queue_last;
	bool		 is_due;
	struct fetch_session *next_due;
};

TAILQ_HEAD(fetch_session_list, fetch_session);

/* The cache.  Zeroes make an empty one. */
struct fetch_sessions {
	struct hash	 by_number;	/* their ids */
	int64_t		 bytes, evicted;
	struct fetch_session_list by_use; /* the least lately used first */
	struct fetch_session *due;
};

/* NULL: there is none of this id. */
struct fetch_session *fetch_session_find(struct engine *, int32_t id);
/* A new session with room for n partitions, or NULL when the cache is full of
 * what is worth as much. */
struct fetch_session *fetch_session_new(struct engine *, int n, bool by_id);
/* The row of a partition, made and listed if it is new.  NULL: no memory, or
 * past a bound. */
struct fetch_row *fetch_session_put(struct fetch_session *,
	    const struct fetch_topic *, int32_t index);
/* Takes in what a request changes.  E_NOMEM: as above. */
enum err fetch_session_update(struct fetch_session *,
	    const struct fetch_req *) MUST;
/* The request with the epoch that was due is here. */
void	 fetch_session_touch(struct fetch_session *);
/* Takes it out of the cache. */
void	 fetch_session_end(struct fetch_session *);
/* Frees one that has ended and has no work left. */
void	 fetch_session_idle(struct fetch_session *);
/* In read.c: the requests whose turn has come; the loop calls it once per
 * turn. */
void	 fetch_reads_run(struct engine *);
/* Nobody works on any of them. */
void	 fetch_sessions_free(struct engine *);

#endif
