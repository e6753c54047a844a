/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's Unix-socket protocol: framed messages with passed fds, the
 * same code at both ends.  See chronik-ipc(7).
 *
 *   OFFSET SIZE DESCRIPTION                                    (big-endian)
 *        0    4 length of the body
 *        4    2 type: Kafka API key, or a number of ipc.def; a response
 *               has its request's
 *        6    2 flags: 1 response, 2 the session's time counts
 *        8    4 request id, chosen by the caller and echoed
 *       12    2 request: the client's API version
 *       14    2 number of fds that ride on this frame
 *       16    8 session: the gateway's connection, 0 none
 *       24    4 time: of a request, microseconds that the gateway has spent
 *               on the session since it last said; of a response,
 *               milliseconds for which the session is throttled
 *       28      body: the message at VER_ALL
 */
#ifndef IPC_H
#define IPC_H

#include "limits.h"
#include "schema.h"

#include "rows_struct.h"
#include "ipc.def"

enum imsg {
#define MESSAGE(n, ...)		IM_##n,
#include "ipc.def"
	IM_MAX
};
extern const struct msg ipc_msgs[IM_MAX];

enum {
	IPC_HEADER	= 28,
	IPC_RESPONSE	= 1,	/* flags */
	IPC_METERED	= 2,	/* response: the session's time counts */

	IPC_HELLO = 200, IPC_APPEND = 201, IPC_EXTENTS = 202,
	IPC_RETIRE = 203, IPC_BYE = 204, IPC_STATS = 205,
	IPC_TOPIC_STATS = 206, IPC_WHO = 207, IPC_TOPIC_CODECS = 212,
	IPC_GATEWAY_CONF = 220,
	IPC_PART_SEGS = 225,
	IPC_VIEW = 230,
	IPC_USER = 208, IPC_AUTH = 209,
};

enum user_verb { USER_ADD, USER_PASSWD, USER_REMOVE };

struct ipc_head {
	uint32_t	length;
	uint32_t	id;
	uint64_t	session;
	uint16_t	type, flags, nfds;
	int16_t		version;
	uint32_t	time;
};

/* One end of a link.  Owned by whoever opened it; not thread-safe. */
struct ipc {
	int		 fd;		/* non-blocking stream socket; ours */
	uint8_t		*in;		/* received, not yet taken */
	size_t		 in_pos, in_len, in_cap;
	int		*in_fds;	/* received fds, oldest first */
	int		 in_nfds, in_fdcap;
	uint8_t		*out;		/* not yet sent */
	size_t		 out_pos, out_len, out_cap, out_max;
	struct ipc_outfd { int fd; size_t at; } *out_fds; /* by byte place */
	int		 out_nfds, out_fdcap;
	uint64_t	 out_base;	/* bytes sent before out[0] */
};

/* Takes over fd.  out_max: most unsent bytes before ipc_send says E_BUSY. */
void	 ipc_open(struct ipc *, int fd, size_t out_max);
void	 ipc_close(struct ipc *);	/* also closes fds never taken */
/* Receives what is there, without blocking; at most once around 256 KiB.
 * E_CLOSED at the end or after an error of the peer's. */
enum err ipc_recv(struct ipc *) MUST;
/* The next whole frame: E_OK; E_BUSY: none yet; E_PROTO: peer breaks rules.
 * body borrows the buffer until the next ipc_recv.  fds (nfds of them, in
 * head) become the caller's. */
enum err ipc_next(struct ipc *, struct ipc_head *, struct rd *body,
	    int fds[IPC_FDS_MAX]) MUST;
/* Queues a frame.  head's length is filled in.  fds are duplicated. */
enum err ipc_send(struct ipc *, const struct ipc_head *, const struct msg *,
	    const void *in, const int *fds) MUST;
/* Sends what the socket takes.  E_OK also when bytes are left: ask
 * ipc_unsent. */
enum err ipc_flush(struct ipc *) MUST;
size_t	 ipc_unsent(const struct ipc *);

/* What both ends must agree on: a fingerprint of every row of kafka.def,
 * ipc.def and err.def, none of which has a version on this socket. */
int32_t	 ipc_protocol(void);
/* The request and response of a type (Kafka's or ours); NULL if unknown. */
const struct msg *ipc_req(int type);
const struct msg *ipc_res(int type);

#endif
