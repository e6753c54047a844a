/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames and passed fds of the engine's socket, the same code at both ends.
 * The peer may be hostile: a length is believed only as far as bytes arrive,
 * and fds that no frame announces end the link.
 *
 * Fds ride on a sendmsg of their own that starts with their frame's first
 * byte, and the kernel never delivers them later than that byte.  So the
 * oldest fds received always belong to the oldest frame that has any.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crc32c.h"
#include "ipc.h"
#include "kafka.h"

#include "rows_table.h"
#include "ipc.def"

const struct msg ipc_msgs[IM_MAX] = {
#define MESSAGE(n, k, lo, hi, fx) \
	[IM_##n] = { #n, n##_rows, sizeof(struct n), k, lo, hi, fx },
#include "ipc.def"
};

#define IN_MIN		(64 * KIB)
#define RECV_MAX	(256 * KIB)	/* per ipc_recv, about */
#define BUF_KEEP	(1 * MIB)	/* a larger buffer is given back */
#define FDS_PENDING_MAX	(16 * IPC_FDS_MAX)	/* then take frames first */
#define SCM_MAX		253		/* the kernel's SCM_MAX_FD */

void
ipc_open(struct ipc *c, int fd, size_t out_max)
{
	*c = (struct ipc){ .fd = fd, .out_max = out_max };
}

void
ipc_close(struct ipc *c)
{
	for (int i = 0; i < c->in_nfds; i++)
		close(c->in_fds[i]);
	for (int i = 0; i < c->out_nfds; i++)
		close(c->out_fds[i].fd);
	if (c->fd >= 0)
		close(c->fd);
	free(c->in);
	free(c->in_fds);
	free(c->out);
	free(c->out_fds);
	*c = (struct ipc){ .fd = -1 };
}

/*
 * Receiving.
 */

/* Makes room to receive; the buffer grows only when it is full, so that its
 * size follows the bytes that came and not a length that was announced. */
static enum err
in_room(struct ipc *c)
{
	size_t cap = c->in_cap, left = c->in_len - c->in_pos;
	uint8_t *p;

	if (left == 0 && c->in_cap > BUF_KEEP) {
		free(c->in);
		c->in = NULL;
		c->in_cap = cap = 0;
	}
	if (c->in_pos > 0) {
		if (left > 0)
			memmove(c->in, c->in + c->in_pos, left);
		c->in_pos = 0;
		c->in_len = left;
	}
	if (left < cap)
		return E_OK;
	cap = cap == 0 ? IN_MIN : cap * 2;
	if (cap > (size_t)IPC_FRAME_MAX + IPC_HEADER)
		cap = (size_t)IPC_FRAME_MAX + IPC_HEADER;
	if (cap == c->in_cap)
		return E_PROTO;
	if ((p = realloc(c->in, cap)) == NULL)
		return E_NOMEM;
	c->in = p;
	c->in_cap = cap;
	return E_OK;
}

/* Keeps the fds of one received control message, or closes all of them. */
static enum err
fds_keep(struct ipc *c, const int *fds, int n)
{
	int need = c->in_nfds + n, *p;

	if (need > c->in_fdcap) {
		p = realloc(c->in_fds, (size_t)need * sizeof *p);
		if (p == NULL) {
			for (int i = 0; i < n; i++)
				close(fds[i]);
			return E_NOMEM;
		}
		c->in_fds = p;
		c->in_fdcap = need;
	}
	memcpy(c->in_fds + c->in_nfds, fds, (size_t)n * sizeof *fds);
	c->in_nfds = need;
	return E_OK;
}

static enum err
fds_received(struct ipc *c, struct msghdr *m)
{
	int fds[SCM_MAX], n;
	enum err e = E_OK;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL;
	    h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(h), (size_t)n * sizeof(int));
		e = fds_keep(c, fds, n);
	}
	return m->msg_flags & MSG_CTRUNC ? E_PROTO : e;
}

/* One recvmsg.  E_BUSY: nothing there. */
static enum err
recv_once(struct ipc *c, size_t *got)
{
	union {
		struct cmsghdr	h;
		char		b[CMSG_SPACE(SCM_MAX * sizeof(int))];
	} ctl;
	struct iovec v = { c->in + c->in_len, c->in_cap - c->in_len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = &ctl, .msg_controllen = sizeof ctl.b };
	ssize_t n;

	do
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? E_BUSY : E_CLOSED;
	if (n == 0)
		return E_CLOSED;
	c->in_len += (size_t)n;
	*got += (size_t)n;
	return fds_received(c, &m);
}

enum err
ipc_recv(struct ipc *c)
{
	size_t got = 0;
	enum err e;

	do {
		if (c->in_nfds > FDS_PENDING_MAX)
			return got > 0 ? E_OK : E_PROTO;
		if ((e = in_room(c)) == E_OK)
			e = recv_once(c, &got);
	} while (e == E_OK && got < RECV_MAX && c->in_len == c->in_cap);
	/* What came before the end is still taken; the end comes again. */
	if (e == E_BUSY || (e == E_CLOSED && got > 0))
		return E_OK;
	return e;
}

static void
head_read(const uint8_t *p, struct ipc_head *h)
{
	h->length = be32(p);
	h->type = be16(p + 4);
	h->flags = be16(p + 6);
	h->id = be32(p + 8);
	h->version = (int16_t)be16(p + 12);
	h->nfds = be16(p + 14);
	h->session = be64(p + 16);
	h->time = be32(p + 24);
}

static void
head_write(uint8_t *p, const struct ipc_head *h, uint32_t length)
{
	be32_put(p, length);
	be16_put(p + 4, h->type);
	be16_put(p + 6, h->flags);
	be32_put(p + 8, h->id);
	be16_put(p + 12, (uint16_t)h->version);
	be16_put(p + 14, h->nfds);
	be64_put(p + 16, h->session);
	be32_put(p + 24, h->time);
}

enum err
ipc_next(struct ipc *c, struct ipc_head *h, struct rd *body,
    int fds[IPC_FDS_MAX])
{
	size_t left = c->in_len - c->in_pos;
	const uint8_t *p;

	/* Fds that came belong to the frame that is in hand, or to later ones
	 * whose first byte came too. */
	if (left == 0)
		return c->in_nfds > 0 ? E_PROTO : E_BUSY;
	if (left < IPC_HEADER)
		return c->in_nfds > IPC_FDS_MAX ? E_PROTO : E_BUSY;
	p = c->in + c->in_pos;
	head_read(p, h);
	if (h->length > IPC_FRAME_MAX || h->nfds > IPC_FDS_MAX ||
	    h->nfds > c->in_nfds || h->flags == IPC_METERED ||
	    (h->flags & ~(IPC_RESPONSE | IPC_METERED)) != 0)
		return E_PROTO;
	if (left - IPC_HEADER < h->length)
		return c->in_nfds > h->nfds ? E_PROTO : E_BUSY;
	*body = rd_of(p + IPC_HEADER, h->length);
	c->in_pos += IPC_HEADER + h->length;
	if (h->nfds > 0) {
		memcpy(fds, c->in_fds, h->nfds * sizeof *fds);
		c->in_nfds -= h->nfds;
		memmove(c->in_fds, c->in_fds + h->nfds,
		    (size_t)c->in_nfds * sizeof *fds);
	}
	return E_OK;
}

/*
 * Sending.
 */

/* Duplicates the fds of the frame that starts at out_len. */
static enum err
fds_queue(struct ipc *c, const int *fds, int n)
{
	int need = c->out_nfds + n, was = c->out_nfds, fd;
	struct ipc_outfd *p;

	if (need > c->out_fdcap) {
		p = realloc(c->out_fds, (size_t)need * 2 * sizeof *p);
		if (p == NULL)
			return E_NOMEM;
		c->out_fds = p;
		c->out_fdcap = need * 2;
	}
	for (int i = 0; i < n; i++) {
		fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			while (c->out_nfds > was)
				close(c->out_fds[--c->out_nfds].fd);
			return errno == EMFILE ? E_NOMEM : E_IO;
		}
		c->out_fds[c->out_nfds++] = (struct ipc_outfd){ fd,
		    (size_t)c->out_base + c->out_len };
	}
	return E_OK;
}

/* Moves what is unsent to the front when that is cheap. */
static void
out_tidy(struct ipc *c)
{
	size_t left = c->out_len - c->out_pos;

	if (left > c->out_pos)
		return;
	if (left > 0)
		memmove(c->out, c->out + c->out_pos, left);
	c->out_base += c->out_pos;
	c->out_pos = 0;
	c->out_len = left;
	if (left == 0 && c->out_cap > BUF_KEEP) {
		free(c->out);
		c->out = NULL;
		c->out_cap = 0;
	}
}

enum err
ipc_send(struct ipc *c, const struct ipc_head *h, const struct msg *m,
    const void *in, const int *fds)
{
	struct wr w;
	uint8_t *p;
	size_t body;
	enum err e;

	ASSERT(h->nfds <= IPC_FDS_MAX);
	if (ipc_unsent(c) >= c->out_max)
		return E_BUSY;
	out_tidy(c);
	w = (struct wr){ .p = c->out, .len = c->out_len, .cap = c->out_cap,
	    .max = c->out_len + IPC_HEADER + IPC_FRAME_MAX };
	e = wr_room(&w, IPC_HEADER) == NULL ? E_NOMEM :
	    msg_write(m, VER_ALL, &w, in);
	c->out = w.p;
	c->out_cap = w.cap;
	if (e == E_OK && h->nfds > 0)
		e = fds_queue(c, fds, h->nfds);
	if (e != E_OK)
		return e;	/* out_len is as it was: nothing is queued */
	p = c->out + c->out_len;
	body = w.len - c->out_len - IPC_HEADER;
	head_write(p, h, (uint32_t)body);
	c->out_len = w.len;
	return E_OK;
}

/* The fds of the frame at out_pos, if it starts there and has any, and how
 * many bytes may go in the same call: up to the next frame with fds. */
static int
fds_here(const struct ipc *c, int fds[IPC_FDS_MAX], size_t *bytes)
{
	size_t at = (size_t)c->out_base + c->out_pos;
	int n = 0;

	while (n < c->out_nfds && c->out_fds[n].at == at) {
		fds[n] = c->out_fds[n].fd;
		n++;
	}
	*bytes = c->out_len - c->out_pos;
	if (n < c->out_nfds)
		*bytes = c->out_fds[n].at - at;
	return n;
}

static void
fds_sent(struct ipc *c, int n)
{
	for (int i = 0; i < n; i++)
		close(c->out_fds[i].fd);
	c->out_nfds -= n;
	memmove(c->out_fds, c->out_fds + n,
	    (size_t)c->out_nfds * sizeof *c->out_fds);
}

static enum err
send_once(struct ipc *c)
{
	union {
		struct cmsghdr	h;
		char		b[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
	} ctl;
	struct iovec v = { .iov_base = c->out + c->out_pos };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int fds[IPC_FDS_MAX], nfds = fds_here(c, fds, &v.iov_len);
	ssize_t n;

	if (nfds > 0) {
		memset(&ctl, 0, sizeof ctl);
		ctl.h.cmsg_level = SOL_SOCKET;
		ctl.h.cmsg_type = SCM_RIGHTS;
		ctl.h.cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(&ctl.h), fds, (size_t)nfds * sizeof(int));
		m.msg_control = &ctl;
		m.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
	}
	do
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return E_CLOSED;
	if (n < 0)
		return errno == EAGAIN ? E_BUSY : E_IO;
	/* Fds leave with the first byte, however few bytes leave. */
	if (nfds > 0 && n > 0)
		fds_sent(c, nfds);
	c->out_pos += (size_t)n;
	return E_OK;
}

enum err
ipc_flush(struct ipc *c)
{
	enum err e = E_OK;

	while (e == E_OK && c->out_pos < c->out_len)
		e = send_once(c);
	out_tidy(c);
	return e == E_BUSY ? E_OK : e;
}

size_t
ipc_unsent(const struct ipc *c)
{
	return c->out_len - c->out_pos;
}

/*
 * The messages of a type.
 */
const struct msg *
ipc_req(int type)
{
	switch (type) {
	case API_PRODUCE:	/* crosses as IPC_APPEND */
	case IPC_EXTENTS:	/* only ever an answer */
		return NULL;
	case IPC_HELLO:
		return &ipc_msgs[IM_hello_req];
	case IPC_APPEND:
		return &ipc_msgs[IM_append_req];
	case IPC_RETIRE:
		return &ipc_msgs[IM_retire];
	case IPC_BYE:
		return &ipc_msgs[IM_bye];
	case IPC_STATS:
		return &ipc_msgs[IM_stats_req];
	case IPC_TOPIC_STATS:
		return &ipc_msgs[IM_topic_stats_req];
	case IPC_PART_SEGS:
		return &ipc_msgs[IM_part_segs_req];
	case IPC_VIEW:
		return &ipc_msgs[IM_view_req];
	case IPC_WHO:
		return &ipc_msgs[IM_who];
	case IPC_TOPIC_CODECS:
		return &ipc_msgs[IM_topic_codecs];
	case IPC_GATEWAY_CONF:
		return &ipc_msgs[IM_gateway_conf_req];
	case IPC_USER:
		return &ipc_msgs[IM_user_req];
	case IPC_AUTH:
		return &ipc_msgs[IM_auth_req];
	}
	return type < API_KEY_MAX ? kafka_req(type) : NULL;
}

const struct msg *
ipc_res(int type)
{
	switch (type) {
	case API_PRODUCE:
	case IPC_EXTENTS:
	case IPC_RETIRE:	/* one way */
	case IPC_BYE:
	case IPC_WHO:
	case IPC_TOPIC_CODECS:
	case IPC_GATEWAY_CONF:
		return NULL;
	case API_FETCH:
		return &ipc_msgs[IM_extents_res];
	case IPC_HELLO:
		return &ipc_msgs[IM_hello_res];
	case IPC_APPEND:
		return &kafka_msgs[KM_produce_res];
	case IPC_STATS:
		return &ipc_msgs[IM_stats_res];
	case IPC_TOPIC_STATS:
		return &ipc_msgs[IM_topic_stats_res];
	case IPC_PART_SEGS:
		return &ipc_msgs[IM_part_segs_res];
	case IPC_VIEW:
		return &ipc_msgs[IM_view_res];
	case IPC_USER:
		return &ipc_msgs[IM_user_res];
	case IPC_AUTH:
		return &ipc_msgs[IM_auth_res];
	}
	return type < API_KEY_MAX ? kafka_res(type) : NULL;
}

/* Depth-first over the rows, so that children are in it where they are used. */
static uint32_t
rows_print(uint32_t crc, const struct field *f)
{
	for (; f->type != K_END; f++) {
		uint8_t kind[2] = { (uint8_t)f->type, (uint8_t)f->elem };

		crc = crc32c(crc, f->name, strlen(f->name));
		crc = crc32c(crc, kind, sizeof kind);
		if (f->sub != NULL)
			crc = rows_print(crc, f->sub());
	}
	return crc;
}

int32_t
ipc_protocol(void)
{
	uint32_t crc = 0;

	for (int i = 0; i < KM_MAX; i++)
		crc = rows_print(crc, kafka_msgs[i].fields());
	for (int i = 0; i < IM_MAX; i++)
		crc = rows_print(crc, ipc_msgs[i].fields());
	for (int e = 0; e < E_MAX; e++)
		crc = crc32c(crc, err_name(e), strlen(err_name(e)));
	return (int32_t)(crc & INT32_MAX);
}
