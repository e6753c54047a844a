/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blocking client of the engine, for tools and for threads that may wait.
 * One request at a time, each bounded by a deadline.  A loop uses elink.h,
 * which is underneath.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "elink.h"

struct eng;

/* Connects and says hello.  timeout_ms bounds every later call too.
 * E_NOTFOUND: no socket there; E_TIMED_OUT; E_PROTO: other version. */
enum err eng_open(const char *path, const char *program, int timeout_ms,
	    struct eng **) MUST;
void	 eng_close(struct eng *);
/* Of the newest link: its strings live until the next one is made. */
const struct hello_res *eng_hello(const struct eng *);
/* Sends one request (type: Kafka API key or ipc.def number, version: the API
 * version whose semantics are wanted) and decodes the response struct; its
 * strings live in the arena.  E_TIMED_OUT; E_CLOSED: the link was lost before
 * the answer came; the next call makes it again, if that takes no longer than
 * its time. */
enum err eng_call(struct eng *, int type, int version, const void *req,
	    void *res, struct arena *) MUST;

/* The same, of version 0, for a request that the engine itself may hold back
 * for up to wait_ms. */
enum err eng_await(struct eng *, int type, const void *req, void *res,
	    struct arena *, int wait_ms) MUST;

/* What is wanted of one partition. */
struct fetch_want {
	struct uuid	 topic;		/* id */
	int32_t		 part;
	int64_t		 offset;
	int32_t		 bytes_max;	/* one batch is given even if larger */
	int32_t		 wait_ms;	/* for data, when there is none yet */
	bool		 committed;	/* none of open transactions */
};

/* Where the bytes are: whole batches of the partition in offset order, the
 * first of which may begin before the offset. */
struct extent {
	struct ehandle	*h;		/* a reference */
	int64_t		 position;
	int32_t		 length;
};
struct extents {
	int64_t		 high_watermark, last_stable, log_start;
	int32_t		 n;
	struct extent	*v;		/* ours, of malloc */
};

/* The request of a fetch; memory comes from the arena.  NULL without. */
const struct fetch_req *fetch_want_req(const struct fetch_want *,
	    struct arena *);
/* What the engine's answer to it says, with references on the segments.
 * E_UNKNOWN_TOPIC_ID, E_UNKNOWN_TOPIC, E_OFFSET_OUT_OF_RANGE and other errors
 * of the engine; E_PROTO, E_NOMEM. */
enum err extents_take(struct elink *, const struct extents_res *,
	    struct extents *) MUST;
void	 extents_free(struct extents *);	/* harmless twice */
/* Waits at most wait_ms and then the time of a call.  Errors as above. */
enum err eng_fetch(struct eng *, const struct fetch_want *, struct extents *)
	    MUST;

#endif
