/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary requests on the engine's socket.  The input is a row of frames:
 * type 1, version 1, length 2, body; after each the engine runs until it
 * rests.  A link that is closed for what it said is opened again.  Before the
 * first input, every message that is handled comes in made-up forms, cut off
 * at each byte, and with bytes changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gen.h"
#include "rig.h"
#include "serve.h"

enum { MADE = 30, CUTS = 200 };	/* made up for each type; cut short */

/* All that are handled, and those that are not calls. */
static int types[256], ntypes;

static struct rig r;
static struct serve serve;
static uv_loop_t loop;
static char path[64];
static int fd = -1;

static void
turn(void)
{
	for (int i = 0; i < 4; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		rig_settle(&r, 1);
		serve_flush(&serve);
	}
}

static void
frame(int type, int version, const uint8_t *p, size_t n)
{
	uint8_t head[IPC_HEADER] = { 0 };

	head[2] = (uint8_t)(n >> 8);
	head[3] = (uint8_t)n;
	head[5] = (uint8_t)type;
	head[11] = 1;
	head[13] = (uint8_t)version;
	if (send(fd, head, sizeof head, MSG_NOSIGNAL) < 0 ||
	    send(fd, p, n, MSG_NOSIGNAL) < 0)
		return;
}

static void
connect_link(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct hello_req q = { .protocol = ipc_protocol(),
	    .program = kstr_of("fuzz") };
	struct wr w = wr_grow(4096);

	if (fd >= 0)
		close(fd);
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (void *)&sa, sizeof sa) != 0 ||
	    msg_write(&ipc_msgs[IM_hello_req], VER_ALL, &w, &q) != E_OK)
		abort();
	frame(IPC_HELLO, 0, w.p, w.len);
	wr_free(&w);
	turn();
}

static void
bye(void)
{
	unlink(path);
}

static void
setup(void)
{
	char why[256];

	rig_init(&r);
	snprintf(path, sizeof path, "/tmp/fuzz_serve.%d", (int)getpid());
	uv_loop_init(&loop);
	if (rig_open(&r) != E_OK || serve_open(&serve, &r.eng, &loop, path,
	    why, sizeof why) != E_OK)
		abort();
	atexit(bye);
	rig_append(&r, rig_topic(&r, "t", 2)->parts[0], 100);
}

static void
say(int type, int version, const uint8_t *p, size_t n)
{
	uint8_t buf[4096];

	frame(type, version, p, n);
	turn();
	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
		;
	if (serve.links == NULL)
		connect_link();
}

/* One made-up message, whole, cut and changed. */
static void
made_up(int type, uint64_t seed)
{
	static struct { max_align_t x[64]; } out;
	const struct msg *m = ipc_req((uint16_t)type);
	struct wr w = wr_grow(MIB);
	struct arena a;
	struct gen g = { .a = &a, .state = seed, .elems = 20, .small = true };
	int version = m->max < 20 ? m->max : 0;

	arena_init(&a, MIB);
	if (m->size > sizeof out)
		abort();
	gen_msg(&g, m, VER_ALL, &out);
	if (msg_write(m, VER_ALL, &w, &out) != E_OK)
		abort();
	say(type, version, w.p, w.len);
	for (size_t i = 0; seed == 0 && i < w.len && i < CUTS; i++)
		say(type, version, w.p, i);
	for (int i = 0; i < MADE && w.len > 0; i++) {
		static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff };
		uint32_t at = gen_below(&g, (uint32_t)w.len);
		uint8_t was = w.p[at];

		w.p[at] = odd[gen_below(&g, sizeof odd)];
		say(type, (int)gen_below(&g, 20), w.p, w.len);
		w.p[at] = was;
	}
	wr_free(&w);
	arena_reset(&a);
}

static void
every_type(void)
{
	int t;

	for (size_t i = 0; (t = serve_handled(i)) >= 0; i++)
		types[ntypes++] = t;
	for (int i = 0; i < ntypes; i++)
		for (int k = 0; k < MADE; k++)
			made_up(types[i], (uint64_t)k);
	types[ntypes++] = IPC_HELLO;
	types[ntypes++] = IPC_EXTENTS;
	types[ntypes++] = IPC_RETIRE;
	types[ntypes++] = IPC_BYE;
	types[ntypes++] = IPC_WHO;
}

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (path[0] == '\0') {
		setup();
		connect_link();
		every_type();
	}
	connect_link();
	while (n >= 4) {
		size_t len = (size_t)p[2] << 8 | p[3];

		if (len > n - 4)
			len = n - 4;
		say(types[p[0] % ntypes], p[1] % 20, p + 4, len);
		p += 4 + len;
		n -= 4 + len;
	}
	close(fd);
	fd = -1;
	turn();
	return 0;
}
