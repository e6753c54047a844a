/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to the engine: hello, the table of requests in flight, credit,
 * the queue of those that wait, and coming back after a loss.
 */
#ifndef UP_H
#define UP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "lib/err.h"
#include "lib/schema.h"

struct gw;
struct link;
struct req;
struct handle;

enum up_state { UP_DOWN, UP_HELLO, UP_READY };

struct slot { struct req *r; uint32_t gen, next; };

/* A segment of the engine's that we were passed. */
struct handle {
	struct handle	*next;		/* in its chain of up.handles */
	int64_t		 id;
	int		 fd;
	int		 refs;		/* extents that are still to be sent */
	bool		 retired;	/* in no chain; freed with the last */
	bool		 small;		/* blocks: see warm.h */
};

enum { HANDLE_CHAINS = 256 };

TAILQ_HEAD(up_list, req);

/*
 * Invariant: a request is in sent exactly when a slot points at it; it is in
 * one of wait when its state is REQ_WAITING, in lost when it is REQ_LOST.
 * wait[0] are appends: they need credit and must not hold up others.
 */
struct up {
	struct gw	*gw;
	struct link	*link;		/* NULL when UP_DOWN */
	enum up_state	 state;
	uint32_t	 links;		/* that were made; this one's number */
	unsigned	 backoff_ms;
	uv_timer_t	 retry, expire;
	struct up_list	 wait[2], sent, lost;
	struct slot	*slot;
	uint32_t	 nslots, free_slot;
	int		 credit;	/* appends that may be in flight */
	int		 appends;	/* that are */
	int32_t		 node_id;
	char		*cluster_id;
	bool		 waiting_said;
	int		 nhandles;
	struct handle	*handles[HANDLE_CHAINS];
};

/* Timers only; up_start makes the first attempt to connect. */
void	 up_open(struct up *, struct gw *);
void	 up_start(struct up *);
/* Takes a connected socket for the link (up_start's second half, and tests). */
void	 up_attach(struct up *, int fd);
/* Ends the link and stops the timers. */
void	 up_close(struct up *);
void	 up_free(struct up *);

/* Sends a request by its api's send, or lets it wait for its turn.  A failure
 * closes its connection, and so frees it. */
void	 up_submit(struct up *, struct req *);
/* Called by an api's send: queues the frame and the request's slot. */
enum err up_send(struct req *, const void *in) MUST;
/* Takes a request off the link's lists, whatever its state. */
void	 up_forget(struct up *, struct req *);
/* Sends a message that has no answer, at once or not at all: only on a link
 * that is ready. */
void	 up_tell(struct up *, int type, uint64_t session, const void *in);
/* Takes what the engine has said before a client is heard: what a client knows
 * from another gateway must be known here too. */
void	 up_catch_up(struct up *);
/* End of a turn: sends what waits and can, and flushes once. */
void	 up_flush(struct up *);
/* True when the engine has been sent all that it was to be sent. */
bool	 up_idle(const struct up *);

/* E_PROTO: there is no such handle. */
enum err handle_get(struct up *, int64_t id, struct handle **) MUST;
void	 handle_put(struct handle *);

#endif
