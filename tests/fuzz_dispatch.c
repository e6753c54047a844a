/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a hostile Kafka client, through a whole gateway: connection,
 * frames, every api's decoder, and the engine's answers on the way back.  The
 * link is a socket pair whose other end, here, answers each request with
 * defaults, holds it, or drops the link, as the first byte says; the second
 * byte cuts the input.  Memory beyond what was sent is bounded.
 * Before the first input every api comes at each of its versions, made up from
 * its rows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/api.h"
#include "gateway/conn.h"
#include "lib/batch.h"
#include "lib/ipc.h"
#include "gen.h"
#include "lib/log.h"

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct gw gw;
static struct ipc engine;
static const char *mode;	/* what the engine does with requests */
static int64_t handle;		/* last one given */

/* The answer to a fetch: one extent of a file for every partition. */
static void
answer_fetch(const struct ipc_head *h, const struct fetch_req *q,
    struct arena *a)
{
	struct extents_res s = { 0 };
	struct extents_res_extent x = { ++handle, 3, 40000 };
	struct extents_res_part *p;
	int fd = memfd_create("s", MFD_CLOEXEC);

	ASSERT(fd >= 0 && ftruncate(fd, 50000) == 0);
	s.topics.n = q->topics.n;
	s.topics.v = arena_array(a, (size_t)q->topics.n, sizeof *s.topics.v);
	ASSERT(s.topics.v != NULL);
	for (int32_t i = 0; i < q->topics.n; i++) {
		s.topics.v[i].name = q->topics.v[i].topic;
		s.topics.v[i].id = q->topics.v[i].topic_id;
		s.topics.v[i].parts.n = q->topics.v[i].partitions.n;
		s.topics.v[i].parts.v = arena_array(a,
		    (size_t)s.topics.v[i].parts.n, sizeof *p);
		ASSERT(s.topics.v[i].parts.v != NULL);
		for (int32_t j = 0; j < s.topics.v[i].parts.n; j++) {
			p = &s.topics.v[i].parts.v[j];
			x.length = j % 2 ? 40000 : 400;
			p->index = j;
			p->diverging_epoch = -1;
			if (j < 20) {
				p->extents.n = 1;
				p->extents.v = arena_alloc(a, sizeof x);
				ASSERT(p->extents.v != NULL);
				*p->extents.v = x;
			}
		}
	}
	s.handles.n = 1;
	s.handles.v = &handle;
	((struct ipc_head *)(uintptr_t)h)->nfds = 1;
	ASSERT(ipc_send(&engine, h, ipc_res(API_FETCH), &s, &fd) == E_OK);
	close(fd);
}

/* Rows that name places are inside the region, and inline ones are there. */
static void
check_append(const struct append_req *q)
{
	const struct append_req_part *p;

	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < q->topics.v[i].parts.n; j++) {
			p = &q->topics.v[i].parts.v[j];
			if (p->error != E_OK)
				continue;
			ASSERT(p->length >= BATCH_HEADER);
			if (p->place < 0)
				ASSERT(p->inlined.len == p->length);
			else
				ASSERT((uint64_t)p->place + (uint64_t)p->length
				    <= gw.region.size);
		}
}

static void
got_request(struct ipc_head *h, struct rd body)
{
	static _Alignas(16) char q[512], s[512];
	const struct msg *m = ipc_req(h->type);
	struct arena a;

	ASSERT(m != NULL && m->size <= sizeof q);
	arena_init(&a, 1024 * (size_t)MIB);
	ASSERT(msg_read(m, VER_ALL, &body, &a, q) == E_OK);
	ASSERT(rd_done(&body));
	h->flags = IPC_RESPONSE;
	if (h->type == IPC_HELLO) {
		struct hello_res r = { .cluster_id = kstr_of("c"),
		    .credit = 3 };

		ASSERT(ipc_send(&engine, h, ipc_res(h->type), &r, NULL) ==
		    E_OK);
	} else if (h->type == API_FETCH && *mode == 'a') {
		answer_fetch(h, (const void *)q, &a);
	} else if (ipc_res(h->type) != NULL && *mode == 'a') {
		ASSERT(ipc_res(h->type)->size <= sizeof s);
		msg_init(ipc_res(h->type), s);
		ASSERT(ipc_send(&engine, h, ipc_res(h->type), s, NULL) ==
		    E_OK);
	}
	if (h->type == IPC_APPEND)
		check_append((const void *)q);
	arena_reset(&a);
}

static void
engine_turn(void)
{
	int fds[IPC_FDS_MAX];
	struct ipc_head h;
	struct rd body;

	if (engine.fd < 0 || ipc_recv(&engine) != E_OK)
		return;
	while (ipc_next(&engine, &h, &body, fds) == E_OK) {
		for (int i = 0; i < h.nfds; i++)
			close(fds[i]);
		h.nfds = 0;
		got_request(&h, body);
	}
	ASSERT(ipc_flush(&engine) == E_OK);
	if (*mode == 'd' && gw.up.state == UP_READY)
		ipc_close(&engine);
}

static void
turns(int n)
{
	while (n-- > 0) {
		uv_run(&gw.loop, UV_RUN_NOWAIT);
		engine_turn();
	}
}

static void
link_up(void)
{
	int s[2];

	if (gw.up.link != NULL)
		return;
	uv_timer_stop(&gw.up.retry);
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0, s) == 0);
	ipc_open(&engine, s[1], 64 * MIB);
	up_attach(&gw.up, s[0]);
	while (gw.up.state != UP_READY)
		turns(1);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup("fuzz", LOG_FATAL, LOG_TEXT);
	gw.conf = (struct conf){ .region_bytes = REGION_MIN,
	    .frame_timeout_ms = 30000,
	    .engine = "/nonexistent/socket",
	    .socket_request_max_bytes = FRAME_MAX,
	    .connections_max_idle_ms = INT32_MAX, .max_connections = 10,
	    .handshake_timeout_ms = INT32_MAX,
	    .max_connections_per_ip = INT32_MAX,
	    .max_connections_per_ip_overrides = "",
	    .max_connection_creation_rate = INT32_MAX };
	strcpy(gw.host, "localhost");
	ASSERT(gw_open(&gw) == E_OK);
	engine.fd = -1;
	return 0;
}

static void one_input(const uint8_t *, size_t);

/* A frame of the api; mode and cut as in an input. */
static void
made_up(const struct api *api, int key, int version, uint64_t seed)
{
	static struct { max_align_t x[64]; } out;
	struct wr w = wr_grow(MIB);
	struct arena a;
	struct gen g = { .a = &a, .state = seed, .elems = 20, .small = true };

	arena_init(&a, MIB);
	ASSERT(api->req->size <= sizeof out);
	wr_i16(&w, (int16_t)((seed % 3) << 8 | (seed % 2 ? 7 : 0)));
	wr_i32(&w, 0);
	wr_i16(&w, (int16_t)key);
	wr_i16(&w, (int16_t)version);
	wr_i32(&w, 1);
	wr_i16(&w, -1);
	if (kafka_req_header(api->req, version) >= 2)
		wr_i8(&w, 0);
	gen_msg(&g, api->req, version, &out);
	ASSERT(msg_write(api->req, version, &w, &out) == E_OK);
	w.p[2] = 0;
	w.p[3] = (uint8_t)((w.len - 6) >> 16);
	w.p[4] = (uint8_t)((w.len - 6) >> 8);
	w.p[5] = (uint8_t)(w.len - 6);
	one_input(w.p, w.len);
	wr_free(&w);
	arena_reset(&a);
}

static void
every_api(void)
{
	const struct api *api;

	for (int key = 0; (api = api_next(&key)) != NULL; key++)
		for (int v = api->min; v <= api->max; v++)
			for (uint64_t seed = 0; seed < 6; seed++)
				made_up(api, key, v, seed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool begun;

	if (!begun) {
		begun = true;
		every_api();
	}
	one_input(p, n);
	return 0;
}

static void
one_input(const uint8_t *p, size_t n)
{
	uint8_t skip[4096];
	size_t cut, most = 0;
	int s[2];

	if (n < 2)
		return;
	mode = "answer";
	link_up();
	mode = p[0] % 4 == 1 ? "hold" : p[0] % 4 == 2 ? "drop" : "answer";
	cut = p[1] == 0 ? n : p[1];
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0, s) == 0);
	conn_open(&gw, s[0], NULL);
	for (size_t i = 2; i < n; i += cut) {
		size_t k = n - i < cut ? n - i : cut;

		if (send(s[1], p + i, k, MSG_NOSIGNAL) < 0)
			break;
		turns(2);
		if (gw.heap > most)
			most = gw.heap;
		while (recv(s[1], skip, sizeof skip, 0) > 0)
			continue;
	}
	turns(2);
	/* The memory rule.  A fetch's answer may copy and convert some. */
	ASSERT(most <= ARENA_PER_BYTE * n + ARENA_BASE + 20 * FETCH_COPY_MAX +
	    64 * n);
	close(s[1]);
	turns(3);
	/* What the engine holds it gives up, and nothing is left behind. */
	mode = "drop";
	if (*mode == 'd' && engine.fd >= 0)
		ipc_close(&engine);
	turns(3);
	for (int i = 0; gw.nconns > 0 && i < 10; i++)
		turns(1);
	if (gw.nconns > 0)
		conn_close(TAILQ_FIRST(&gw.conns), "the next input");
	turns(1);
	ASSERT(gw.nconns == 0 && gw.heap == 0 && gw.lent == 0);
	ASSERT(gw.region.nfree == 1 && gw.up.appends == 0);
	ASSERT(TAILQ_EMPTY(&gw.up.sent));
}
