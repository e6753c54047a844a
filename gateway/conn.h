/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: sockets, frames in, responses out in the order of requests.
 */
#ifndef CONN_H
#define CONN_H

#include "gateway.h"

/* Takes over a connected non-blocking socket; closes it on failure.  peer: its
 * address, or NULL. */
void	 conn_open(struct gw *, int fd, struct peer *);
/* Ends a connection now; why is a constant string for the log. */
void	 conn_close(struct conn *, const char *why);
/* No more input; ends it once what was asked before is answered. */
void	 conn_end(struct conn *, const char *why);
/* Puts it on the list of those that the end of the turn looks at. */
void	 conn_touch(struct conn *);
/* Is not read for so long; resume is called then, if there is one.  The longer
 * pause counts. */
void	 conn_pause(struct conn *, uint64_t ms, void (*resume)(struct conn *));
/* The engine wants no more of a session: it ends, after a while. */
void	 conn_bye(struct gw *, uint64_t session, uint32_t ms);
/* What a connection costs us, while that is measured: from conn_begin on, until
 * conn_spent. */
uint64_t conn_begin(const struct conn *);
void	 conn_spent(struct conn *, uint64_t began);
/* The end of a turn: moves what can move until nothing does. */
void	 conn_turn_all(struct gw *);
/* No more input; ends those that owe nothing, or only a parked fetch. */
void	 conn_stop_all(struct gw *);
/* Ends all. */
void	 conn_close_all(struct gw *);
/* The one timer of all idle connections fires. */
void	 conn_idle_cb(uv_timer_t *);
/* A frame that waits for region may never get it: somebody has to go. */
void	 conn_stall_cb(uv_timer_t *);

/* The request is answered (out, ext; silent: nothing goes out): gives back its
 * frame and lets it leave when its turn comes.  Frees it when its connection
 * is gone. */
void	 req_reply(struct req *);
/* Gives back the frame and pieces, while the engine does not read them. */
void	 req_release(struct req *);
void	 req_free(struct req *);
/* Instead of an answer: its connection ends when those before are answered.
 * Frees the request that has none. */
void	 req_fail(struct req *, const char *why);

/* conn.c, for input.c: a frame is whole.  It is at p in the scratch (copy), or
 * becomes the request's, with its cap bytes at place. */
void	 conn_request(struct conn *, uint8_t *p, uint32_t n, uint32_t cap,
	    bool copy);
/* Bytes have moved: the connection goes to the young end. */
void	 conn_moved(struct conn *);
/* Counts n bytes of memory; false: there are too many. */
bool	 heap_take(struct gw *, size_t n) MUST;

/* input.c: takes what the socket has. */
void	 input_read(struct conn *);
/* Bytes that were held; true when some of them moved. */
bool	 input_held(struct conn *);
/* More may be read now. */
bool	 input_wanted(const struct conn *);
/* Forgets the frame in the making; what is held, too. */
void	 input_drop_frame(struct conn *);
void	 input_drop(struct conn *);
/* Lets those in line for region have what was given back. */
void	 input_serve(struct gw *);
void	 input_stall(struct gw *);
/* Gives a frame that is not whole its time, once per turn. */
void	 input_watch(struct conn *);
/* The one timer of all such frames fires. */
void	 input_deadline_cb(uv_timer_t *);

/* sasl.c: options that make no sense: false, and a sentence. */
bool	 sasl_setup(struct gw *, char *why, size_t size) MUST;
void	 sasl_open(struct conn *);
/* The request may be made now; false: it has been dealt with. */
bool	 sasl_gate(struct req *) MUST;

/* session.c: tells the engine, before a request is sent to it, who asks, if it
 * does not know yet.  False: out of memory. */
bool	 session_tell(struct req *) MUST;
/* What the client says of its software; "" what it does not say. */
void	 session_software(struct conn *, struct kstr name, struct kstr version);
/* Tells that the connection has ended. */
void	 session_bye(struct conn *);

/* output.c: sends what is ready.  False: the connection is over, because the
 * socket failed or a request ends it. */
bool	 output_send(struct conn *) MUST;

#endif
