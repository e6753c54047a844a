/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway before a fake engine, and a client of raw frames, for tests. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ck.h"
#include "gwtest.h"
#include "lib/batch.h"
#include "lib/limits.h"

char sock[96];
pid_t gateway;
int port;
const char *client_id = "check";
struct arena mem;

static char dir[64], build[4096];
static pid_t engine;

pid_t
spawn(const char *prog, const char *const *args, int out)
{
	char path[sizeof build + 64];
	const char *argv[16] = { path };
	int n = 1;
	pid_t pid;

	snprintf(path, sizeof path, "%s/%s", build, prog);
	while (*args != NULL)
		argv[n++] = *args++;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (out >= 0)
			dup2(out, STDOUT_FILENO);
		execv(path, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

void
engine_start(const char *credit)
{
	engine = spawn("tests/fake_engine", (const char *const[]){ sock,
	    credit, NULL }, -1);
}

void
engine_kill(void)
{
	kill(engine, SIGKILL);
	waitpid(engine, NULL, 0);
}

void
gateway_start(const char *extra, const char *extra2)
{
	char line[300] = "";
	size_t n = 0;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	gateway = spawn("chronik-gateway", (const char *const[]){ "--engine",
	    sock, "--bind-addr", "127.0.0.1:0", "--region-bytes", "8MiB",
	    "--handshake-timeout-ms=60000", extra, extra2, NULL }, p[1]);
	close(p[1]);
	while (n < sizeof line - 1 && strchr(line, '\n') == NULL) {
		ssize_t k = read(p[0], line + n, sizeof line - 1 - n);

		ck_assert_int_gt(k, 0);
		n += (size_t)k;
	}
	close(p[0]);
	ck_assert_int_eq(sscanf(line, "ready kafka=%*s bind=127.0.0.1:%d\n",
	    &port), 1);
}

void
setup_with(const char *credit, const char *extra, const char *extra2)
{
	const char *b = getenv("CHRONIK_BUILD");

	ck_assert_ptr_nonnull(b);
	snprintf(build, sizeof build, "%s", b);
	strcpy(dir, "/tmp/check_gateway.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof sock, "%s/engine.sock", dir);
	arena_init(&mem, 1024 * MIB);
	engine_start(credit);
	gateway_start(extra, extra2);
}

void
setup(void)
{
	setup_with("64", NULL, NULL);
}

void
gateway_ended(void)
{
	int st;

	ck_assert_int_eq(waitpid(gateway, &st, 0), gateway);
	ck_assert_int_eq(st, 0);
	engine_kill();
	unlink(sock);
	rmdir(dir);
	arena_reset(&mem);
}

void
teardown(void)
{
	ck_assert_int_eq(kill(gateway, SIGTERM), 0);
	gateway_ended();
}

/*
 * A client.
 */
int
dial(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval t = { WAIT_MS / 1000, 0 };

	ck_assert_int_ge(s, 0);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	ck_assert_int_eq(connect(s, (struct sockaddr *)&sa, sizeof sa), 0);
	return s;
}

void
put(int s, const void *v, size_t n)
{
	const uint8_t *p = v;

	while (n > 0) {
		ssize_t k = send(s, p, n, MSG_NOSIGNAL);

		ck_assert_int_gt(k, 0);
		p += k;
		n -= (size_t)k;
	}
}

static size_t
frame(struct wr *w, int key, int v, int32_t corr, const void *q)
{
	struct request_header h = { (int16_t)key, (int16_t)v, corr,
	    kstr_of(client_id) };
	const struct msg *m = kafka_req(key);
	size_t at = w->len;

	ck_assert_ptr_nonnull(wr_room(w, 4));
	ck_assert_int_eq(msg_write(&kafka_msgs[KM_request_header],
	    kafka_req_header(m, v), w, &h), E_OK);
	ck_assert_int_eq(msg_write(m, v, w, q), E_OK);
	be32_put(w->p + at, (uint32_t)(w->len - at - 4));
	return w->len - at;
}

void
ask(int s, int key, int v, int32_t corr, const void *q)
{
	struct wr w = wr_grow(256 * MIB);

	frame(&w, key, v, corr, q);
	put(s, w.p, w.len);
	wr_free(&w);
}

bool
get(int s, void *p, size_t n)
{
	ssize_t k = recv(s, p, n, MSG_WAITALL);

	if (k < 0)
		ck_assert_int_eq(errno, ECONNRESET);
	return k == (ssize_t)n;
}

void
answer(int s, int key, int v, int32_t corr, void *out)
{
	const struct msg *m = kafka_res(key);
	struct response_header h;
	uint8_t len[4], *p;
	struct rd r;

	ck_assert(get(s, len, 4));
	p = arena_alloc(&mem, be32(len));
	ck_assert_ptr_nonnull(p);
	ck_assert(get(s, p, be32(len)));
	r = rd_of(p, be32(len));
	ck_assert_int_eq(msg_read(&kafka_msgs[KM_response_header],
	    kafka_res_header(m, v), &r, &mem, &h), E_OK);
	ck_assert_int_eq(h.correlation_id, corr);
	ck_assert_int_eq(msg_read(m, v, &r, &mem, out), E_OK);
	ck_assert(rd_done(&r));
}

void
closed(int s)
{
	uint8_t b;

	ck_assert(!get(s, &b, 1));
	close(s);
}

struct kbytes
batch_of(size_t n, int fill)
{
	struct batch_maker m;
	struct wr w = wr_grow(64 * MIB);
	uint8_t *v = malloc(n + 1), *p;

	ck_assert_ptr_nonnull(v);
	memset(v, fill, n);
	batch_make(&m, 64 * MIB);
	m.b.pid = -1;
	m.b.epoch = -1;
	m.b.base_seq = -1;
	batch_add(&m, 1000, NULL, -1, v, (int32_t)n, NULL, 0);
	ck_assert_int_eq(batch_finish(&m, CODEC_NONE, INT32_MIN, &w), E_OK);
	p = arena_alloc(&mem, w.len);
	ck_assert_ptr_nonnull(p);
	memcpy(p, w.p, w.len);
	n = w.len;
	wr_free(&w);
	free(v);
	return (struct kbytes){ (int32_t)n, p };
}

void
produce_frame(struct wr *w, int v, int32_t corr, const char *name, int acks,
    struct kbytes b)
{
	struct produce_req_topic_part p = { 0, b };
	struct produce_req_topic t = { .name = kstr_of(name),
	    .partition_data = { 1, &p } };
	struct produce_req q = { .transactional_id = { -1, NULL },
	    .acks = (int16_t)acks, .timeout_ms = 1000,
	    .topic_data = { 1, &t } };

	frame(w, API_PRODUCE, v, corr, &q);
}

void
produce(int s, int v, int32_t corr, const char *name, int acks,
    struct kbytes b)
{
	struct wr w = wr_grow(256 * MIB);

	produce_frame(&w, v, corr, name, acks, b);
	put(s, w.p, w.len);
	wr_free(&w);
}

int64_t
produced(int s, int v, int32_t corr, int error)
{
	struct produce_res r;

	answer(s, API_PRODUCE, v, corr, &r);
	ck_assert_int_eq(r.responses.n, 1);
	ck_assert_int_eq(r.responses.v[0].partition_responses.n, 1);
	ck_assert_int_eq(r.responses.v[0].partition_responses.v[0].error_code,
	    error);
	return r.responses.v[0].partition_responses.v[0].base_offset;
}

void
fetch(int s, int v, int32_t corr, const char *name, int64_t from, int wait)
{
	struct fetch_req_topic_part p = { .fetch_offset = from,
	    .current_leader_epoch = -1, .last_fetched_epoch = -1,
	    .log_start_offset = -1, .partition_max_bytes = 64 * MIB,
	    .high_watermark = INT64_MAX };
	struct fetch_req_topic t = { .topic = kstr_of(name),
	    .partitions = { 1, &p } };
	struct fetch_req q = { .cluster_id = { -1, NULL }, .replica_id = -1,
	    .replica_state = { -1, -1 }, .max_wait_ms = wait, .min_bytes = 1,
	    .max_bytes = 64 * MIB, .session_epoch = -1, .topics = { 1, &t } };

	ask(s, API_FETCH, v, corr, &q);
}

struct kbytes
fetched(int s, int v, int32_t corr)
{
	struct fetch_res r;

	answer(s, API_FETCH, v, corr, &r);
	ck_assert_int_eq(r.responses.n, 1);
	ck_assert_int_eq(r.responses.v[0].partitions.n, 1);
	ck_assert_int_eq(r.responses.v[0].partitions.v[0].error_code, 0);
	return r.responses.v[0].partitions.v[0].records;
}

int64_t
end_offset(int s, const char *name)
{
	struct list_offsets_req_topic_part p = { .timestamp = -1,
	    .current_leader_epoch = -1 };
	struct list_offsets_req_topic t = { kstr_of(name), { 1, &p } };
	struct list_offsets_req q = { -1, 0, { 1, &t }, 0 };
	struct list_offsets_res r;

	ask(s, API_LIST_OFFSETS, 1, 999, &q);
	answer(s, API_LIST_OFFSETS, 1, 999, &r);
	return r.topics.v[0].partitions.v[0].offset;
}

void
until(int s, const char *stat, int64_t want)
{
	for (int i = 0; i < WAIT_MS / 10; i++) {
		if (end_offset(s, stat) == want)
			return;
		poll(NULL, 0, 10);
	}
	ck_abort_msg("%s never was %ld", stat, (long)want);
}
