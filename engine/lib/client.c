/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blocking client of the engine: one request at a time, each bounded by a
 * deadline.  An answer that comes after its deadline is recognised by its id
 * and dropped, so a link survives a call that timed out.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

enum { HELLO_MEMORY = 64 * KIB };

struct eng {
	struct ipc	 ipc;
	int		 timeout_ms;
	uint32_t	 id;		/* of the newest request */
	struct hello_res hello;		/* strings live in memory */
	struct arena	 memory;
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * (int64_t)1000 + ts.tv_nsec / 1000000;
}

/*
 * A connected socket.  A blocking connect of a Unix socket ends at the send
 * timeout, with EAGAIN, while the engine's backlog is full.
 */
static enum err
dial(const char *path, int timeout_ms, int *out)
{
	struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	enum err e;
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return E_USAGE;
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_of_errno(errno);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0 &&
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
		*out = fd;
		return E_OK;
	}
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:	/* left behind by an engine that was killed */
		e = E_NOTFOUND;
		break;
	case EAGAIN:
	case EINTR:
		e = E_TIMED_OUT;
		break;
	default:
		e = err_of_errno(errno);
	}
	close(fd);
	return e;
}

/* Waits until the socket can be read, or written while there is more to
 * send. */
static enum err
wait_io(struct eng *g, int64_t deadline)
{
	struct pollfd p = { .fd = g->ipc.fd, .events = POLLIN };
	int64_t left = deadline - now_ms();
	int n;

	if (ipc_unsent(&g->ipc) > 0)
		p.events |= POLLOUT;
	n = poll(&p, 1, left < 0 ? 0 : (int)left);
	if (n == 0)
		return E_TIMED_OUT;
	if (n == -1 && errno != EINTR)
		return E_IO;
	return E_OK;
}

/* Takes frames until the answer to the newest request: E_BUSY, not yet. */
static enum err
take_answer(struct eng *g, int type, const struct msg *m, void *res,
    struct arena *a)
{
	struct ipc_head h;
	int fds[IPC_FDS_MAX], i;
	struct rd body, copy;
	size_t n;
	void *p;
	enum err e;

	while ((e = ipc_next(&g->ipc, &h, &body, fds)) == E_OK) {
		for (i = 0; i < h.nfds; i++)
			close(fds[i]);
		if (!(h.flags & IPC_RESPONSE) || h.id != g->id)
			continue;
		if (h.type != type)
			return E_PROTO;
		/* The buffer is the link's: strings must outlive it. */
		n = rd_left(&body);
		p = arena_alloc(a, n);
		if (p == NULL)
			return E_NOMEM;
		if (n > 0)
			memcpy(p, body.p, n);
		copy = rd_of(p, n);
		return msg_read(m, VER_ALL, &copy, a, res);
	}
	return e;
}

enum err
eng_call(struct eng *g, int type, int version, const void *req, void *res,
    struct arena *a)
{
	const struct msg *in = ipc_req(type), *out = ipc_res(type);
	struct ipc_head h = { .type = (uint16_t)type,
	    .version = (int16_t)version };
	int64_t deadline = now_ms() + g->timeout_ms;
	enum err e;

	if (in == NULL || out == NULL)
		return E_USAGE;
	h.id = ++g->id;
	e = ipc_send(&g->ipc, &h, in, req, NULL);
	while (e == E_OK) {
		e = ipc_flush(&g->ipc);
		if (e == E_OK)
			e = wait_io(g, deadline);
		if (e == E_OK)
			e = ipc_recv(&g->ipc);
		if (e != E_OK)
			return e;
		e = take_answer(g, type, out, res, a);
		if (e != E_BUSY)
			return e;
		e = E_OK;
	}
	return e;
}

enum err
eng_open(const char *path, const char *program, int timeout_ms,
    struct eng **out)
{
	struct hello_req req = { .protocol = ipc_protocol(),
	    .program = kstr_of(program) };
	struct eng *g;
	enum err e;
	int fd;

	e = dial(path, timeout_ms, &fd);
	if (e != E_OK)
		return e;
	g = calloc(1, sizeof(*g));
	if (g == NULL) {
		close(fd);
		return E_NOMEM;
	}
	ipc_open(&g->ipc, fd, IPC_FRAME_MAX);
	arena_init(&g->memory, HELLO_MEMORY);
	g->timeout_ms = timeout_ms;
	e = eng_call(g, IPC_HELLO, 0, &req, &g->hello, &g->memory);
	if (e == E_OK && g->hello.error != E_OK)
		e = g->hello.error > 0 && g->hello.error < E_MAX ?
		    (enum err)g->hello.error : E_PROTO;
	if (e != E_OK) {
		eng_close(g);
		return e;
	}
	*out = g;
	return E_OK;
}

void
eng_close(struct eng *g)
{
	if (g == NULL)
		return;
	ipc_close(&g->ipc);
	arena_reset(&g->memory);
	free(g);
}

const struct hello_res *
eng_hello(const struct eng *g)
{
	return &g->hello;
}
