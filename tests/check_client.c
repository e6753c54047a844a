/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking client against a scripted engine at the other end of a real
 * socket: answers, late answers, foreign frames, silence and hang-ups.
 */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/client.h"
#include "lib/kafka.h"

static char dir[] = "/tmp/check_client.XXXXXX";
static char path[64];
static int lfd;
static struct eng *eng;
static struct arena arena;

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
	SHORT		/* a body that ends early */
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
	case REFUSE:
	case SILENT:
		break;
	}
	return true;
}

static void *
fake_engine(void *arg)
{
	enum play play = *(enum play *)arg;
	int fds[IPC_FDS_MAX], calls = 0;
	struct ipc_head h;
	struct rd body;
	struct ipc c;
	bool go = true;
	enum err e;

	ipc_open(&c, accept(lfd, NULL, NULL), 1 << 20);
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
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
