/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary requests on the engine's socket.  The input is a row of frames:
 * type 1, version 1, length 2, body; after each the engine runs until it
 * rests.  A link that is closed for what it said is opened again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rig.h"
#include "serve.h"

static const uint8_t types[] = { 1, 2, 3, 19, 20, 22, 23, 200, 201, 202, 203,
    204, 205, 206, 207, 208, 209, 17, 36, 48, 49, 50, 51 };

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

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (path[0] == '\0')
		setup();
	connect_link();
	while (n >= 4) {
		size_t len = (size_t)p[2] << 8 | p[3];
		uint8_t buf[4096];

		if (len > n - 4)
			len = n - 4;
		frame(types[p[0] % sizeof types], p[1] % 20, p + 4, len);
		turn();
		while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
			;
		if (serve.links == NULL)
			connect_link();
		p += 4 + len;
		n -= 4 + len;
	}
	close(fd);
	fd = -1;
	turn();
	return 0;
}
