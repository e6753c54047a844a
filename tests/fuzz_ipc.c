/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from a hostile peer on the engine's socket: frames are taken or
 * refused, bodies are decoded by their type or refused, and memory follows
 * what was received.  The first byte says how many fds ride along and whether
 * the rest comes in two parts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/found.h"
#include "lib/ipc.h"
#include "lib/kafka.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
put(int s, const uint8_t *p, size_t n, int nfds)
{
	union {
		struct cmsghdr	h;
		char		b[CMSG_SPACE(64 * sizeof(int))];
	} ctl = { .b = { 0 } };
	struct iovec v = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int fds[64];

	for (int i = 0; i < 64; i++)
		fds[i] = STDERR_FILENO;
	if (nfds > 0) {
		ctl.h.cmsg_level = SOL_SOCKET;
		ctl.h.cmsg_type = SCM_RIGHTS;
		ctl.h.cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(&ctl.h), fds, (size_t)nfds * sizeof(int));
		m.msg_control = &ctl;
		m.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
	}
	if (n > 0)
		ASSERT(sendmsg(s, &m, MSG_NOSIGNAL) == (ssize_t)n);
}

/* Decodes a body as either end would, and encodes it again. */
static void
decode(const struct msg *m, struct rd r)
{
	static _Alignas(16) char s[512];
	struct wr w = wr_grow(64 * MIB);
	size_t n = rd_left(&r);
	struct arena a;

	if (m == NULL)
		return;
	ASSERT(m->size <= sizeof s);
	arena_init(&a, ARENA_BASE + 64 * n);
	if (msg_read(m, VER_ALL, &r, &a, s) == E_OK)
		ASSERT(msg_write(m, VER_ALL, &w, s) == E_OK);
	wr_free(&w);
	arena_reset(&a);
}

static enum err
take_all(struct ipc *c)
{
	int fds[IPC_FDS_MAX];
	struct ipc_head h;
	struct rd r;
	enum err e;

	while ((e = ipc_next(c, &h, &r, fds)) == E_OK) {
		ASSERT(rd_left(&r) == h.length);
		for (int i = 0; i < h.nfds; i++)
			close(fds[i]);
		decode(h.flags & IPC_RESPONSE ? ipc_res(h.type) :
		    ipc_req(h.type), r);
	}
	return e;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int s[2], nfds;
	size_t half;
	struct ipc c;
	enum err e;

	if (n < 1 || n > 100000)
		return 0;
	decode(&found_msg, rd_of(p, n));
	nfds = p[0] & 0x3f;
	half = p[0] & 0x40 ? (n - 1) / 2 : 0;
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
	ipc_open(&c, s[1], MIB);
	put(s[0], p + 1, half, half > 0 ? nfds : 0);
	e = half == 0 ? E_OK : ipc_recv(&c);
	if (e == E_OK)
		e = take_all(&c);
	put(s[0], p + 1 + half, n - 1 - half, half > 0 ? 0 : nfds);
	close(s[0]);
	while (e == E_OK || e == E_BUSY) {
		e = ipc_recv(&c);
		if (e == E_OK)
			e = take_all(&c);
	}
	ASSERT(e == E_CLOSED || e == E_PROTO);
	ASSERT(c.in_cap <= 2 * n + 512 * KIB);
	ipc_close(&c);
	return 0;
}
