/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client, blocking and not, against a scripted engine at the other end of
 * a real socket: answers, late answers, foreign frames, silence and hang-ups,
 * segments that are passed and retired; and the reader of their records.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ck.h"
#include "lib/client.h"
#include "lib/kafka.h"
#include "lib/reader.h"

static char dir[] = "/tmp/check_client.XXXXXX";
static char path[64];
static int lfd;
static struct eng *eng;
static struct arena arena;
static int seg_fd = -1;			/* what the fake engine passes */
static int64_t seg_size;

/* What the fake engine does on its one link. */
enum play {
	ANSWER,		/* stats, well */
	REFUSE,		/* hello */
	SILENT,		/* after hello */
	LATE,		/* the first answer comes with the second */
	NOISE,		/* other frames with fds, one byte at a time */
	HANG_UP,	/* in the middle of an answer */
	GARBAGE,	/* a frame that is too long */
	WRONG_TYPE,	/* an answer to another question */
	SHORT,		/* a body that ends early */
	FETCH,		/* extents of one segment, and retires it in between */
	FETCH_LAST,	/* extents of a segment that is retired right behind */
	STRANGE,	/* extents of a segment that was never passed */
	COME_BACK	/* hangs up at every second request, accepts again */
};

static void
reply(struct ipc *c, const struct ipc_head *req, int type, const void *body,
    const int *fds, int nfds)
{
	struct ipc_head h = { .type = (uint16_t)type, .id = req->id,
	    .flags = IPC_RESPONSE, .nfds = (uint16_t)nfds };

	ck_assert_int_eq(ipc_send(c, &h, ipc_res(type), body, fds), E_OK);
}

static void
say_hello(struct ipc *c, const struct ipc_head *h, enum play play)
{
	struct hello_res res = { .node_id = 7, .credit = 1 };

	res.message = kstr_of("words");
	res.cluster_id = kstr_of("abc");
	if (play == REFUSE)
		res.error = E_PROTO;
	reply(c, h, IPC_HELLO, &res, NULL, 0);
}

/* A one-way frame with an fd, which the client must close. */
static void
noise(struct ipc *c)
{
	int64_t handle = 5;
	struct retire m = { .handles = { 1, &handle } };
	struct ipc_head h = { .type = IPC_RETIRE, .nfds = 1 };
	int fd = dup(STDERR_FILENO);

	ck_assert_int_eq(ipc_send(c, &h, ipc_req(IPC_RETIRE), &m, &fd), E_OK);
	close(fd);
}

/* Sends bytes that ipc_send would not. */
static void
raw(int fd, const struct ipc_head *h, uint32_t length, int type, size_t n)
{
	uint8_t b[64] = { 0 };

	be32_put(b, length);
	be16_put(b + 4, (uint16_t)type);
	be16_put(b + 6, IPC_RESPONSE);
	be32_put(b + 8, h->id);
	ck_assert_int_eq(write(fd, b, n), (ssize_t)n);
}

/* Extents of the whole segment; its fd the first time, and after the second
 * fetch it is retired and gets another handle. */
static void
play_fetch(struct ipc *c, const struct ipc_head *h, enum play play, int calls)
{
	static int64_t handle;
	struct extents_res_extent x = { .length = (int32_t)seg_size };
	struct extents_res_part p = { .high_watermark = 6,
	    .last_stable_offset = 6, .extents = { 1, &x } };
	struct extents_res_topic t = { .parts = { 1, &p } };
	struct extents_res res = { .topics = { 1, &t } };
	struct ipc_head rh = { .type = IPC_RETIRE };
	struct retire m = { .handles = { 1, &handle } };

	if (calls == 1)
		handle = 7;
	if (calls == 3) {
		ck_assert_int_eq(ipc_send(c, &rh, ipc_req(IPC_RETIRE), &m,
		    NULL), E_OK);
		handle = 8;
	}
	x.handle = play == STRANGE ? 99 : handle;
	res.handles.v = &handle;
	res.handles.n = (play == FETCH && calls % 2 == 1) ||
	    play == FETCH_LAST;
	reply(c, h, API_FETCH, &res, &seg_fd, res.handles.n);
	if (play == FETCH_LAST)
		ck_assert_int_eq(ipc_send(c, &rh, ipc_req(IPC_RETIRE), &m,
		    NULL), E_OK);
}

/* Answers one request.  false: the link is over. */
static bool
play_call(struct ipc *c, const struct ipc_head *h, enum play play, int calls)
{
	static struct ipc_head first;
	struct stats_res res = { .node_id = 7, .topics = 100 * calls };

	res.version = kstr_of("1.2.3");
	switch (play) {
	case ANSWER:
		reply(c, h, IPC_STATS, &res, NULL, 0);
		break;
	case LATE:
		if (calls == 1)
			first = *h;
		else {
			reply(c, &first, IPC_STATS, &res, NULL, 0);
			reply(c, h, IPC_STATS, &res, NULL, 0);
		}
		break;
	case NOISE:
		noise(c);
		noise(c);
		reply(c, h, IPC_STATS, &res, NULL, 0);
		break;
	case HANG_UP:
		raw(c->fd, h, 100, IPC_STATS, 40);
		return false;
	case GARBAGE:
		raw(c->fd, h, UINT32_MAX, IPC_STATS, IPC_HEADER);
		break;
	case WRONG_TYPE:
		raw(c->fd, h, 0, IPC_HELLO, IPC_HEADER);
		break;
	case SHORT:
		raw(c->fd, h, 3, IPC_STATS, IPC_HEADER + 3);
		break;
	case FETCH:
	case FETCH_LAST:
	case STRANGE:
		play_fetch(c, h, play, calls);
		break;
	case COME_BACK:
		if (calls % 2 == 0)
			return false;
		reply(c, h, IPC_STATS, &res, NULL, 0);
		break;
	case REFUSE:
	case SILENT:
		break;
	}
	return true;
}

static int calls;

static bool
fake_link(enum play play)
{
	int fds[IPC_FDS_MAX];
	struct ipc_head h;
	struct rd body;
	struct ipc c;
	bool go = true;
	enum err e;

	ipc_open(&c, accept(lfd, NULL, NULL), 1 << 20);
	if (c.fd < 0)
		return false;
	fcntl(c.fd, F_SETFL, 0);
	while (go) {
		char peek;

		if (recv(c.fd, &peek, 1, MSG_PEEK) <= 0 ||
		    ipc_recv(&c) != E_OK)
			break;
		while (go && (e = ipc_next(&c, &h, &body, fds)) == E_OK)
			if (h.type == IPC_HELLO)
				say_hello(&c, &h, play);
			else
				go = play_call(&c, &h, play, ++calls);
		while (ipc_unsent(&c) > 0)
			ck_assert_int_eq(ipc_flush(&c), E_OK);
	}
	ipc_close(&c);
	return true;
}

static void *
fake_engine(void *arg)
{
	enum play play = *(enum play *)arg;

	calls = 0;
	while (fake_link(play) && play == COME_BACK)
		;
	return NULL;
}

static void
listen_at(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/e.sock", dir);
	strcpy(sa.sun_path, path);
	lfd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(lfd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(lfd, 1), 0);
	arena_init(&arena, 1 << 20);
}

static void
unlisten(void)
{
	arena_reset(&arena);
	close(lfd);
	unlink(path);
	rmdir(dir);
}

static pthread_t thread;
static enum play playing;

static enum err
start(enum play play, int timeout_ms)
{
	playing = play;
	ck_assert_int_eq(pthread_create(&thread, NULL, fake_engine, &playing),
	    0);
	return eng_open(path, "tester", timeout_ms, &eng);
}

static void
stop(void)
{
	if (playing == COME_BACK)
		shutdown(lfd, SHUT_RDWR);
	eng_close(eng);
	eng = NULL;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static enum err
call(struct stats_res *res)
{
	struct stats_req req = { 0 };

	return eng_call(eng, IPC_STATS, 0, &req, res, &arena);
}

static int
open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

START_TEST(answers)
{
	struct stats_res res, again;

	ck_assert_int_eq(start(ANSWER, 10000), E_OK);
	ck_assert_int_eq(eng_hello(eng)->node_id, 7);
	ck_assert_int_eq(call(&res), E_OK);
	ck_assert_int_eq(call(&again), E_OK);
	/* Strings of the first answer outlive the second. */
	ck_assert(kstr_eq(res.version, kstr_of("1.2.3")));
	ck_assert(kstr_eq(eng_hello(eng)->cluster_id, kstr_of("abc")));
	ck_assert(res.topics == 100 && again.topics == 200);
	ck_assert_int_eq(eng_call(eng, 9999, 0, &res, &res, &arena), E_USAGE);
	ck_assert_int_eq(eng_call(eng, IPC_BYE, 0, &res, &res, &arena),
	    E_USAGE);
	stop();
}
END_TEST

START_TEST(refused)
{
	int fds = open_fds();

	ck_assert_int_eq(start(REFUSE, 10000), E_PROTO);
	stop();
	ck_assert_int_eq(open_fds(), fds);
}
END_TEST

START_TEST(nobody_there)
{
	char longer[200];

	ck_assert_int_eq(eng_open("/nonexistent/x", "t", 1000, &eng),
	    E_NOTFOUND);
	memset(longer, 'x', sizeof(longer));
	longer[199] = '\0';
	ck_assert_int_eq(eng_open(longer, "t", 1000, &eng), E_USAGE);
	/* A socket file that nobody listens on any more. */
	close(lfd);
	ck_assert_int_eq(eng_open(path, "t", 1000, &eng), E_NOTFOUND);
}
END_TEST

START_TEST(nobody_accepts)
{
	struct eng *more;
	int i;

	/* The kernel connects; hello stays unanswered; then the backlog is
	 * full and connect itself waits. */
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(eng_open(path, "t", 50, &more), E_TIMED_OUT);
}
END_TEST

START_TEST(silence)
{
	struct stats_res res;

	ck_assert_int_eq(start(SILENT, 50), E_OK);
	ck_assert_int_eq(call(&res), E_TIMED_OUT);
	ck_assert_int_eq(call(&res), E_TIMED_OUT);
	stop();
}
END_TEST

START_TEST(late)
{
	struct stats_res res;

	ck_assert_int_eq(start(LATE, 500), E_OK);
	ck_assert_int_eq(call(&res), E_TIMED_OUT);
	ck_assert_int_eq(call(&res), E_OK);
	ck_assert_int_eq(res.topics, 200);
	stop();
}
END_TEST

START_TEST(other_frames)
{
	struct stats_res res;
	int fds = open_fds();

	ck_assert_int_eq(start(NOISE, 10000), E_OK);
	for (int i = 1; i <= 20; i++) {
		ck_assert_int_eq(call(&res), E_OK);
		ck_assert_int_eq(res.topics, 100 * i);
	}
	/* Both ends and what the engine's thread has not closed yet: far less
	 * than the 40 that were passed. */
	ck_assert_int_lt(open_fds(), fds + 8);
	stop();
	ck_assert_int_eq(open_fds(), fds);
}
END_TEST

START_TEST(broken)
{
	static const struct {
		enum play play;
		enum err e;
	} t[] = { { HANG_UP, E_CLOSED }, { GARBAGE, E_PROTO },
	    { WRONG_TYPE, E_PROTO }, { SHORT, E_PROTO } };
	struct stats_res res;

	ck_assert_int_eq(start(t[_i].play, 10000), E_OK);
	ck_assert_int_eq(call(&res), t[_i].e);
	stop();
}
END_TEST

START_TEST(no_memory)
{
	struct stats_res res;
	struct arena tiny;

	arena_init(&tiny, 16);
	ck_assert_int_eq(start(ANSWER, 10000), E_OK);
	ck_assert_int_eq(eng_call(eng, IPC_STATS, 0,
	    &(struct stats_req){ 0 }, &res, &tiny), E_NOMEM);
	/* The link lives on. */
	ck_assert_int_eq(call(&res), E_OK);
	stop();
}
END_TEST

/*
 * Fetches.
 */
static void
add_batch(struct wr *w, int64_t base, int n, enum codec codec, uint16_t attrs)
{
	struct batch_maker m;
	char v[32];

	batch_make(&m, 1 << 20);
	m.b.base_offset = base;
	m.b.attrs = attrs;
	for (int i = 0; i < n; i++) {
		snprintf(v, sizeof v, "value-%d", (int)base + i);
		batch_add(&m, 1000 + base + i, "k", 1, v, (int32_t)strlen(v),
		    NULL, 0);
	}
	ck_assert_int_eq(batch_finish(&m, codec, INT32_MIN, w), E_OK);
}

/* Offsets 0-2, 3 a control record, 4-5. */
static void
make_segment(void)
{
	struct wr w = wr_grow(1 << 20);

	add_batch(&w, 0, 3, CODEC_NONE, 0);
	add_batch(&w, 3, 1, CODEC_NONE, BATCH_CONTROL);
	add_batch(&w, 4, 2, CODEC_LZ4, 0);
	seg_fd = memfd_create("segment", MFD_CLOEXEC);
	ck_assert_int_eq(write(seg_fd, w.p, w.len), (ssize_t)w.len);
	seg_size = (int64_t)w.len;
	wr_free(&w);
}

static enum err
fetch(struct extents *x)
{
	struct fetch_want w = { .offset = 1, .bytes_max = 1 << 20,
	    .wait_ms = 1 };

	return eng_fetch(eng, &w, x);
}

/* The records of an extent from offset 1 on are 1, 2, 4, 5. */
static void
check_records(const struct extent *x)
{
	static const int64_t want[] = { 1, 2, 4, 5 };
	struct records s;
	struct record r;
	char v[32];

	records_open(&s, x->h->fd, x->position, x->length, 1);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(records_next(&s, &r), E_OK);
		snprintf(v, sizeof v, "value-%d", (int)want[i]);
		ck_assert_int_eq(r.offset, want[i]);
		ck_assert_int_eq(r.value_len, strlen(v));
		ck_assert_mem_eq(r.value, v, strlen(v));
	}
	ck_assert_int_eq(records_next(&s, &r), E_EOF);
	records_close(&s);
}

START_TEST(fetches)
{
	struct extents x[4];
	int fds = open_fds();

	make_segment();
	ck_assert_int_eq(start(FETCH, 10000), E_OK);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(fetch(&x[i]), E_OK);
		ck_assert_int_eq(x[i].n, 1);
		ck_assert_int_eq(x[i].high_watermark, 6);
	}
	/* Passed once, found again, retired: it lives while it is held. */
	ck_assert_ptr_eq(x[0].v[0].h, x[1].v[0].h);
	ck_assert_ptr_ne(x[1].v[0].h, x[2].v[0].h);
	ck_assert(x[0].v[0].h->retired && !x[2].v[0].h->retired);
	for (int i = 0; i < 4; i++)
		check_records(&x[i].v[0]);
	for (int i = 0; i < 4; i++)
		extents_free(&x[i]);
	stop();
	close(seg_fd);
	ck_assert_int_eq(open_fds(), fds);
}
END_TEST

/* Answer and retirement arrive together. */
START_TEST(retired_behind)
{
	struct extents x[2];
	int fds = open_fds();

	make_segment();
	ck_assert_int_eq(start(FETCH_LAST, 10000), E_OK);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fetch(&x[i]), E_OK);
		ck_assert_int_eq(x[i].n, 1);
	}
	for (int i = 0; i < 2; i++) {
		check_records(&x[i].v[0]);
		extents_free(&x[i]);
	}
	stop();
	close(seg_fd);
	ck_assert_int_eq(open_fds(), fds);
}
END_TEST

START_TEST(strange_handle)
{
	struct extents x;

	make_segment();
	ck_assert_int_eq(start(STRANGE, 10000), E_OK);
	ck_assert_int_eq(fetch(&x), E_PROTO);
	ck_assert_int_eq(x.n, 0);
	extents_free(&x);
	stop();
	close(seg_fd);
}
END_TEST

/* What is cut off or changed is told, with the place where it begins. */
START_TEST(bad_segments)
{
	struct batch b;
	const uint8_t *p;
	struct reader r;
	int64_t second;
	char c = 'x';

	make_segment();
	reader_open(&r, seg_fd, 0, seg_size - 1);
	ck_assert_int_eq(reader_batch(&r, &b, &p), E_OK);
	second = reader_pos(&r);
	ck_assert_int_eq(second, batch_size(&b));
	ck_assert_int_eq(reader_batch(&r, &b, &p), E_OK);
	ck_assert_int_eq(reader_batch(&r, &b, &p), E_EOF);
	ck_assert_int_gt(reader_pos(&r), second);
	/* The range says more than the file has. */
	reader_again(&r, seg_fd, reader_pos(&r), seg_size);
	ck_assert_int_eq(reader_batch(&r, &b, &p), E_OK);
	ck_assert_int_eq(reader_batch(&r, &b, &p), E_EOF);
	ck_assert_int_eq(pwrite(seg_fd, &c, 1, second + BATCH_HEADER + 3), 1);
	reader_again(&r, seg_fd, second, seg_size - second);
	ck_assert_int_eq(reader_batch(&r, &b, &p), E_CORRUPT);
	ck_assert_int_eq(reader_pos(&r), second);
	reader_close(&r);
	close(seg_fd);
}
END_TEST

/*
 * The link without blocking.
 */
struct many { int done, ok, closed, late; };

static void
many_done(struct ecall *c, enum err e, void *res)
{
	struct many *m = c->arg;

	ck_assert((res != NULL) == (e == E_OK));
	m->done++;
	m->ok += e == E_OK;
	m->closed += e == E_CLOSED;
	m->late += e == E_TIMED_OUT;
}

static void
turn_until(struct elink *l, const int *n, int want)
{
	while (*n < want) {
		struct pollfd p = { .fd = elink_fd(l),
		    .events = elink_events(l) };

		if (poll(&p, 1, elink_wait_ms(l)) <= 0)
			p.revents = 0;
		elink_run(l, p.revents);
	}
}

static struct elink *
open_link(enum play play)
{
	struct elink_conf conf = { .path = path, .program = "tester" };
	struct elink *l;

	playing = play;
	ck_assert_int_eq(pthread_create(&thread, NULL, fake_engine, &playing),
	    0);
	ck_assert_int_eq(elink_open(&conf, &l), E_OK);
	return l;
}

/* Every second request ends the link.  Those that may are asked again on the
 * next one, until all are answered; others end. */
START_TEST(comes_back)
{
	struct stats_req q = { 0 };
	struct ecall c[20] = { 0 };
	struct many m = { 0 };
	struct elink *l = open_link(COME_BACK);

	for (int i = 0; i < 20; i++) {
		c[i] = (struct ecall){ .done = many_done, .arg = &m,
		    .req = &q, .type = IPC_STATS, .again = _i == 0 };
		elink_call(l, &c[i]);
	}
	turn_until(l, &m.done, 20);
	if (_i == 0)
		ck_assert(m.ok == 20 && elink_count(l) > 1);
	else
		ck_assert(m.ok > 0 && m.closed == 20 - m.ok);
	elink_close(l);
	playing = COME_BACK;
	stop();
}
END_TEST

START_TEST(deadlines)
{
	struct stats_req q = { 0 };
	struct ecall c[3] = { 0 };
	struct many m = { 0 };
	struct elink *l = open_link(SILENT);

	for (int i = 0; i < 3; i++) {
		c[i] = (struct ecall){ .done = many_done, .arg = &m,
		    .req = &q, .type = IPC_STATS, .again = true };
		if (i < 2)
			c[i].deadline_ms = elink_now_ms() + 100;
		elink_call(l, &c[i]);
	}
	elink_cancel(l, &c[0]);
	elink_cancel(l, &c[0]);
	turn_until(l, &m.done, 1);
	ck_assert(m.late == 1 && c[1].state == ECALL_IDLE);
	elink_close(l);
	ck_assert(m.done == 2 && m.closed == 1);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("client");
	TCase *t = tcase_create("client");
	SRunner *r;
	int bad;

	tcase_add_checked_fixture(t, listen_at, unlisten);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, answers);
	tcase_add_test(t, refused);
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, nobody_accepts);
	tcase_add_test(t, silence);
	tcase_add_test(t, late);
	tcase_add_test(t, other_frames);
	tcase_add_loop_test(t, broken, 0, 4);
	tcase_add_test(t, no_memory);
	tcase_add_test(t, fetches);
	tcase_add_test(t, strange_handle);
	tcase_add_test(t, retired_behind);
	tcase_add_test(t, bad_segments);
	tcase_add_loop_test(t, comes_back, 0, 2);
	tcase_add_test(t, deadlines);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
