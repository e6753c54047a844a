/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the gateway share: the process, a connection, a request.
 * One loop owns all of it; nothing here is touched by another thread.
 *
 * A request lives through these states:
 *
 *   frame whole: NEW -> WAITING -> SENT -> READY -> written, freed
 *                      ^  (link)  (engine)
 *                      +------------+ link lost, a read
 *
 * A Produce whose batches need another codec is RECODING before it is SENT.
 * A local one (ApiVersions) goes to READY at once, and WAITING is passed over
 * when nothing hinders.  When its connection ends,
 * a WAITING or READY one is freed; of the SENT ones only appends stay, with
 * no connection, because the engine may still read their pieces; and so do
 * those that are RECODING, for the worker's sake.
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "admit.h"
#include "codecs.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/conf.h"
#include "lib/err.h"
#include "lib/kafka.h"
#include "lib/limits.h"
#include "region.h"
#include "up.h"

struct api;
struct conn;
struct gw;
struct handle;
struct plan;

/* Bytes of a segment that follow out.p[at - 1] of their response. */
struct extent {
	size_t		 at;
	struct handle	*h;		/* referenced */
	int64_t		 pos, left;
};

struct piece { int64_t place; size_t n; };

enum req_state {
	REQ_NEW,	/* in a handler's hands, on no list but its conn's */
	REQ_WAITING,	/* for the link, or for credit */
	REQ_RECODING,	/* in a worker's hands, or waiting for one */
	REQ_SENT,	/* the engine's turn */
	REQ_LOST,	/* sent on a link that is gone */
	REQ_READY,	/* out may leave */
};

/*
 * Owned by its connection's queue; by the link alone once conn is NULL.
 * frame is set until the request is READY: either in the region (place >= 0),
 * or malloc'ed, or the bytes behind the struct itself.
 */
struct req {
	TAILQ_ENTRY(req) in_conn;	/* as they arrived */
	TAILQ_ENTRY(req) in_link;	/* of up.wait or up.sent */
	struct gw	*gw;
	struct conn	*conn;
	const struct api *api;
	enum req_state	 state;
	bool		 silent;	/* acks=0: no response */
	bool		 raw;		/* a token without Kafka's header */
	bool		 ends;		/* instead: the connection's end */
	bool		 committed;	/* a fetch of isolation level 1 */
	bool		 big;		/* counts as conn.generic */
	bool		 alone;		/* counts as conn.alone */
	bool		 appending;	/* counts as conn.appends */
	bool		 polling;	/* counts as conn.polls */
	bool		 lent;		/* the engine may read our pieces */
	int16_t		 version;
	int32_t		 correlation;
	uint32_t	 id;		/* on the link */
	int32_t		 throttle_ms;	/* goes into its answer */
	uint64_t	 since;		/* ms; waits */
	struct kstr	 client_id;	/* in frame */
	uint8_t		*frame;		/* without the length */
	uint32_t	 frame_len, body; /* body: where the header ended */
	struct piece	 piece;		/* frame's; place -1: not in region */
	struct piece	*more;		/* converted batches */
	int		 nmore;
	struct plan	*plan;		/* of one that is or was RECODING */
	size_t		 heap;		/* of gw->heap */
	size_t		 owed;		/* of conn->owed */
	struct wr	 out;		/* response, length included */
	size_t		 out_pos;
	struct extent	*ext;		/* ascending by at */
	int		 next, iext;	/* of them, next to send */
	uint8_t		 small[];
};

TAILQ_HEAD(req_list, req);
TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(plan_list, plan);
TAILQ_HEAD(warm_list, warm);

enum sasl_state {
	SASL_OFF, SASL_NEW, SASL_TOKEN, SASL_RAW, SASL_DONE, SASL_FAILED
};

/* See sasl.c. */
struct sasl {
	enum sasl_state	 state;
	uint64_t	 ends;		/* ms; 0: never */
	uint64_t	 again_from;	/* last re-authentication */
	struct req	*last;		/* its failure is still to be said */
	struct { int32_t len; uint8_t *p; } token;	/* p NULL: none */
};

/* What the engine knows of a connection.  link 0: nothing. */
struct told {
	uint32_t	 link;		/* where it was told, by up.links */
	bool		 stale;		/* something has changed since */
	int32_t		 client_id_len;	/* -1: null */
	char		*client_id;
	char		 software[2][CLIENT_SOFTWARE_MAX];	/* or "" */
};

/*
 * A client.  Freed in its close callback, nowhere else; closing says that
 * nothing may be done for it any more.
 *
 * Input invariant: npre of a frame's first 6 bytes are in pre; in is NULL
 * until all are and there is room for the frame.  held are bytes that came
 * after a request that made us stop reading; while there are any, the socket
 * is not read.
 */
struct conn {
	uv_poll_t	 poll;
	struct gw	*gw;
	TAILQ_ENTRY(conn) by_age, touched, hungry, partial, in_fresh;
	struct req_list	 reqs;
	uint64_t	 session;	/* number, never used again */
	struct told	 told;
	struct sasl	 sasl;
	uv_timer_t	 pause;
	bool		 paused;	/* not read until the timer fires */
	void		(*resume)(struct conn *);	/* or NULL */
	bool		 metered;	/* what it costs us is told */
	uint64_t	 spent;		/* ns, not told yet */
	uint64_t	 active;	/* ms; last byte either way */
	struct peer	*peer;		/* its address; NULL: not counted */
	bool		 is_fresh;	/* see admit.c */
	uint64_t	 fresh_due;	/* ms */
	int		 fd, events;
	bool		 closing, is_touched, is_hungry;
	bool		 stuck;		/* its socket takes no more */
	struct warm	*warm;		/* what it is to send next is read */
	bool		 ending;	/* no input; closes with nothing owed */
	uint8_t		 npre, pre[6];
	uint32_t	 frame_max;	/* bytes */
	uint8_t		*in;
	uint32_t	 in_len, in_cap, in_need;
	int64_t		 place;		/* of in; -1: malloc'ed */
	/* While a frame is not whole: until when it must have moved on, from
	 * how many bytes. */
	bool		 is_partial;
	uint64_t	 frame_due;	/* ms */
	uint32_t	 frame_mark;
	uint32_t	 frames, frame_no; /* whole ones; at the mark */
	uint8_t		*held;
	uint32_t	 held_pos, held_len;
	uint32_t	 inflight, generic, waiting;	/* requests */
	uint32_t	 alone;		/* changes that the next must see */
	uint32_t	 appends;	/* not answered by the engine */
	uint32_t	 polls;		/* fetches */
	struct req	*behind;	/* waits for appends; or NULL */
	size_t		 owed;		/* bytes */
};

struct gw {
	uv_loop_t	 loop;
	struct conf	 conf;
	struct region	 region;
	struct up	 up;
	struct codecs	 codecs;	/* what the engine has told */
	struct plan_list recodes;	/* that wait for a worker */
	int		 recoding;	/* that workers have */
	struct warm_list warms;		/* that wait for a worker */
	int		 warming;	/* that workers have */
	bool		 caught_up;	/* with the engine, in this turn */
	uint8_t		*scratch;	/* where sockets are read first */
	size_t		 heap;		/* bytes; below GW_HEAP_MAX */
	int		 lent;		/* requests with pieces lent */
	struct conn_list conns;		/* longest without progress first */
	struct conn_list touched;	/* to be looked at in this turn */
	struct conn_list hungry;	/* want region; growing frames first */
	struct conn_list partial;	/* have half a frame; by frame_due */
	struct conn_list fresh;		/* have yet to say who; by fresh_due */
	struct admit	 admit;
	int		 nconns;
	uint64_t	 sessions;	/* last number given */
	uv_prepare_t	 turn;
	uv_timer_t	 idle, stall, deadline, fresh_timer;
	uint64_t	 quiet_from;	/* rate of debug lines */
	int		 quiet_n;
	const char	*bound;		/* HOST:PORT of the listener */
	int64_t		 conns_max;	/* that open files allow; 0 any */
	int32_t		 handles_max;	/* segments' fds; 0 any */
	char		 host[256];	/* advertised */
	int		 port;
	bool		 stopping;
	bool		 ended;		/* gw_close was called */
	void		(*on_link)(struct gw *);	/* link is up */
};

enum { SCRATCH = 64 * KIB };

/* Prepares everything but the listening socket; conf is filled.  E_NOMEM,
 * E_IO. */
enum err gw_open(struct gw *) MUST;
/* Moves everything that can move; runs by itself before the loop sleeps. */
void	 gw_turn(struct gw *);
/* Takes no more input and ends, by gw_close, when nothing is owed; the loop
 * must run until no handle is left, then gw_free. */
void	 gw_stop(struct gw *);
void	 gw_close(struct gw *);
void	 gw_free(struct gw *);
/* True for the first few calls of a second: lines that a peer can cause. */
bool	 gw_may_log(struct gw *);

#endif
