/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's frames: what one end sends the other takes, however the bytes
 * are cut, with each frame's own fds; and a peer that breaks the rules is
 * told from one that is slow.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ck.h"
#include "lib/ipc.h"
#include "lib/kafka.h"

static int
fds_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
pair(struct ipc *a, struct ipc *b, size_t out_max)
{
	int s[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, s), 0);
	ipc_open(a, s[0], out_max);
	ipc_open(b, s[1], out_max);
}

static enum err
hello(struct ipc *c, uint32_t id, const char *program, const int *fds, int n)
{
	struct ipc_head h = { .type = IPC_HELLO, .id = id, .version = 3,
	    .session = UINT64_C(0x0102030405060708), .nfds = (uint16_t)n };
	struct hello_req q = { ipc_protocol(), kstr_of(program), 77, 0 };

	return ipc_send(c, &h, ipc_req(IPC_HELLO), &q, fds);
}

/* Takes one hello and checks all of it. */
static void
take(struct ipc *c, uint32_t id, const char *program, int nfds, int *fds)
{
	struct hello_req q;
	struct ipc_head h;
	struct arena a;
	struct rd r;

	ck_assert_int_eq(ipc_next(c, &h, &r, fds), E_OK);
	ck_assert_uint_eq(h.type, IPC_HELLO);
	ck_assert_uint_eq(h.id, id);
	ck_assert_uint_eq(h.flags, 0);
	ck_assert_int_eq(h.version, 3);
	ck_assert_uint_eq(h.session, UINT64_C(0x0102030405060708));
	ck_assert_uint_eq(h.nfds, nfds);
	arena_init(&a, 4096);
	ck_assert_int_eq(msg_read(ipc_req(IPC_HELLO), VER_ALL, &r, &a, &q),
	    E_OK);
	ck_assert(rd_done(&r));
	ck_assert_int_eq(q.protocol, ipc_protocol());
	ck_assert_int_eq(q.region_bytes, 77);
	ck_assert(kstr_eq(q.program, kstr_of(program)));
	arena_reset(&a);
}

START_TEST(round_trip)
{
	struct ipc a, b;
	struct ipc_head h;
	struct rd r;
	int fds[IPC_FDS_MAX];

	pair(&a, &b, MIB);
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	ck_assert_int_eq(ipc_next(&b, &h, &r, fds), E_BUSY);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(hello(&a, i, "tool", NULL, 0), E_OK);
	ck_assert_int_eq(ipc_flush(&a), E_OK);
	ck_assert_uint_eq(ipc_unsent(&a), 0);
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	for (uint32_t i = 0; i < 100; i++)
		take(&b, i, "tool", 0, fds);
	ck_assert_int_eq(ipc_next(&b, &h, &r, fds), E_BUSY);
	ck_assert_int_eq(hello(&a, 7, "last", NULL, 0), E_OK);
	ck_assert_int_eq(ipc_flush(&a), E_OK);
	ipc_close(&a);
	/* What was sent before the end is still there, then the end is. */
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	take(&b, 7, "last", 0, fds);
	ck_assert_int_eq(ipc_recv(&b), E_CLOSED);
	ipc_close(&b);
}
END_TEST

/* Bytes trickle in one at a time: nothing is taken before it is whole. */
START_TEST(one_byte_at_a_time)
{
	struct ipc a, c;
	struct ipc_head h;
	struct rd r;
	int fds[IPC_FDS_MAX];

	pair(&c, &a, MIB);
	ck_assert_int_eq(hello(&c, 9, "slow", NULL, 0), E_OK);
	for (size_t i = 0; i < c.out_len; i++) {
		ck_assert_int_eq(ipc_next(&a, &h, &r, fds), E_BUSY);
		ck_assert_int_eq(send(c.fd, c.out + i, 1, 0), 1);
		ck_assert_int_eq(ipc_recv(&a), E_OK);
	}
	take(&a, 9, "slow", 0, fds);
	ipc_close(&a);
	ipc_close(&c);
}
END_TEST

static int
numbered_fd(int i)
{
	char name[] = "/tmp/check_ipc.XXXXXX";
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	ck_assert_int_eq(ftruncate(fd, i), 0);
	return fd;
}

static void
is_numbered(int fd, int i)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, i);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
}

/* Frames of 0..IPC_FDS_MAX fds through a small socket buffer: every frame
 * gets its own, in order, and no fd leaks. */
START_TEST(passed_fds)
{
	int before = fds_open(), small = 4096, fds[IPC_FDS_MAX], n;
	struct ipc a, b;
	struct ipc_head h;
	struct rd r;
	uint32_t got = 0;

	pair(&a, &b, MIB);
	ck_assert_int_eq(setsockopt(a.fd, SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof small), 0);
	for (uint32_t i = 0; i <= IPC_FDS_MAX; i++) {
		n = (int)(i * 7 % (IPC_FDS_MAX + 1));
		for (int j = 0; j < n; j++)
			fds[j] = numbered_fd((int)i * 100 + j);
		ck_assert_int_eq(hello(&a, i, "fds", fds, n), E_OK);
		for (int j = 0; j < n; j++)
			close(fds[j]);
	}
	while (got <= IPC_FDS_MAX) {
		ck_assert_int_eq(ipc_flush(&a), E_OK);
		ck_assert_int_eq(ipc_recv(&b), E_OK);
		while (b.in_pos < b.in_len) {
			n = (int)(got * 7 % (IPC_FDS_MAX + 1));
			if (b.in_len - b.in_pos < IPC_HEADER ||
			    b.in_len - b.in_pos - IPC_HEADER <
			    be32(b.in + b.in_pos)) {
				ck_assert_int_eq(ipc_next(&b, &h, &r, fds),
				    E_BUSY);
				break;
			}
			take(&b, got, "fds", n, fds);
			for (int j = 0; j < n; j++)
				is_numbered(fds[j], (int)got * 100 + j);
			got++;
		}
	}
	ipc_close(&a);
	ipc_close(&b);
	ck_assert_int_eq(fds_open(), before);
}
END_TEST

/* Fds that were queued or received but never taken are closed. */
START_TEST(fds_never_taken)
{
	int before = fds_open(), fd = numbered_fd(1);
	struct ipc a, b;

	pair(&a, &b, MIB);
	ck_assert_int_eq(hello(&a, 1, "x", &fd, 1), E_OK);
	ck_assert_int_eq(ipc_flush(&a), E_OK);
	ck_assert_int_eq(hello(&a, 2, "x", &fd, 1), E_OK);
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	ck_assert_int_eq(b.in_nfds, 1);
	close(fd);
	ipc_close(&a);
	ipc_close(&b);
	ck_assert_int_eq(fds_open(), before);
}
END_TEST

/* A message far larger than any socket buffer. */
START_TEST(large)
{
	size_t n = 5 * MIB;
	char *s = malloc(n + 1);
	struct ipc a, b;
	struct ipc_head h;
	struct rd r;
	int fds[IPC_FDS_MAX];

	ck_assert_ptr_nonnull(s);
	memset(s, 'x', n);
	s[n] = '\0';
	pair(&a, &b, MIB);
	ck_assert_int_eq(hello(&a, 1, s, NULL, 0), E_OK);
	/* Now the queue is over its limit. */
	ck_assert_int_eq(hello(&a, 2, "more", NULL, 0), E_BUSY);
	while (b.in_len - b.in_pos < n || ipc_unsent(&a) > 0) {
		ck_assert_int_eq(ipc_flush(&a), E_OK);
		ck_assert_int_eq(ipc_next(&b, &h, &r, fds), E_BUSY);
		ck_assert_int_eq(ipc_recv(&b), E_OK);
	}
	ck_assert_int_eq(hello(&a, 2, "more", NULL, 0), E_OK);
	ck_assert_int_eq(ipc_flush(&a), E_OK);
	while (b.in_len - b.in_pos < n + 50)
		ck_assert_int_eq(ipc_recv(&b), E_OK);
	take(&b, 1, s, 0, fds);
	take(&b, 2, "more", 0, fds);
	/* Neither end keeps the large buffer. */
	ck_assert_int_eq(hello(&a, 3, "tiny", NULL, 0), E_OK);
	ck_assert_int_eq(ipc_flush(&a), E_OK);
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	take(&b, 3, "tiny", 0, fds);
	ck_assert_uint_le(a.out_cap, MIB);
	ck_assert_uint_le(b.in_cap, MIB);
	free(s);
	ipc_close(&a);
	ipc_close(&b);
}
END_TEST

/* A frame that cannot be written leaves nothing behind. */
START_TEST(not_written)
{
	struct produce_res p = { .responses = { 1, NULL } };
	struct produce_res_topic t = { .partition_responses = { 1, NULL } };
	struct produce_res_topic_part part = { .error_message = { 100, NULL } };
	struct ipc_head h = { .type = IPC_APPEND, .flags = IPC_RESPONSE };
	size_t big = (size_t)IPC_FRAME_MAX + 1;
	char *s = calloc(1, big);
	struct ipc a, b;
	struct rd r;
	int fds[IPC_FDS_MAX];

	ck_assert_ptr_nonnull(s);
	pair(&a, &b, MIB);
	ck_assert_int_eq(hello(&a, 1, "one", NULL, 0), E_OK);
	p.responses.v = &t;
	t.partition_responses.v = &part;
	part.error_message = (struct kstr){ (int32_t)big, s };
	ck_assert_int_eq(ipc_send(&a, &h, ipc_res(IPC_APPEND), &p, NULL),
	    E_NOMEM);
	ck_assert_int_eq(hello(&a, 2, "two", NULL, 0), E_OK);
	ck_assert_int_eq(ipc_flush(&a), E_OK);
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	take(&b, 1, "one", 0, fds);
	take(&b, 2, "two", 0, fds);
	ck_assert_int_eq(ipc_next(&b, &h, &r, fds), E_BUSY);
	free(s);
	ipc_close(&a);
	ipc_close(&b);
}
END_TEST

/* Peers that break the rules. */
static const struct {
	uint32_t	length;
	uint16_t	flags, nfds;
	int		fds;		/* that really ride */
	enum err	want;
} bad[] = {
	{ 0, 0, 0, 0, E_OK },
	{ 1, 0, 0, 0, E_BUSY },
	{ IPC_FRAME_MAX, 0, 0, 0, E_BUSY },
	{ IPC_FRAME_MAX + 1, 0, 0, 0, E_PROTO },
	{ UINT32_MAX, 0, 0, 0, E_PROTO },
	{ 0x80000000, 0, 0, 0, E_PROTO },
	{ 0, IPC_RESPONSE, 0, 0, E_OK },
	{ 0, IPC_METERED, 0, 0, E_PROTO },
	{ 0, IPC_RESPONSE | IPC_METERED, 0, 0, E_OK },
	{ 0, 4, 0, 0, E_PROTO },
	{ 0, 0x8000, 0, 0, E_PROTO },
	{ 0, 0, 1, 0, E_PROTO },	/* announced, none came */
	{ 9, 0, 1, 0, E_PROTO },
	{ 9, 0, 0, 1, E_PROTO },	/* came, none announced */
	{ 9, 0, 1, 1, E_BUSY },
	{ 0, 0, 1, 1, E_OK },
	{ 0, 0, IPC_FDS_MAX + 1, IPC_FDS_MAX + 1, E_PROTO },
	{ 0, 0, UINT16_MAX, 1, E_PROTO },
};

static void
raw(int s, const uint8_t *p, size_t n, int nfds)
{
	union {
		struct cmsghdr	h;
		char		b[CMSG_SPACE(64 * sizeof(int))];
	} ctl = { .b = { 0 } };
	struct iovec v = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int fds[64];

	for (int i = 0; i < nfds; i++)
		fds[i] = STDERR_FILENO;
	if (nfds > 0) {
		ctl.h.cmsg_level = SOL_SOCKET;
		ctl.h.cmsg_type = SCM_RIGHTS;
		ctl.h.cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(&ctl.h), fds, (size_t)nfds * sizeof(int));
		m.msg_control = &ctl;
		m.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(s, &m, 0), (ssize_t)n);
}

START_TEST(rules)
{
	int before = fds_open(), fds[IPC_FDS_MAX];
	uint8_t p[IPC_HEADER] = { 0 };
	struct ipc a, b;
	struct ipc_head h;
	struct rd r;

	pair(&a, &b, MIB);
	be32_put(p, bad[_i].length);
	be16_put(p + 4, IPC_HELLO);
	be16_put(p + 6, bad[_i].flags);
	be16_put(p + 14, bad[_i].nfds);
	raw(a.fd, p, sizeof p, bad[_i].fds);
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	ck_assert_int_eq(ipc_next(&b, &h, &r, fds), bad[_i].want);
	if (bad[_i].want == E_OK)
		for (int i = 0; i < h.nfds; i++)
			close(fds[i]);
	/* However much was announced, little was allocated. */
	ck_assert_uint_le(b.in_cap, MIB);
	ipc_close(&a);
	ipc_close(&b);
	ck_assert_int_eq(fds_open(), before);
}
END_TEST

/* A flood of fds is stopped long before the process runs out of them. */
START_TEST(fd_flood)
{
	uint8_t p[IPC_HEADER] = { 0 };
	struct ipc a, b;
	struct ipc_head h;
	struct rd r;
	enum err e = E_OK;
	int fds[IPC_FDS_MAX];

	pair(&a, &b, MIB);
	raw(a.fd, p, 1, 1);
	ck_assert_int_eq(ipc_recv(&b), E_OK);
	for (int i = 0; i < 1000 && e == E_OK; i++) {
		raw(a.fd, p, 1, 60);
		e = ipc_recv(&b);
		if (e == E_OK && ipc_next(&b, &h, &r, fds) == E_PROTO)
			e = E_PROTO;
	}
	ck_assert_int_eq(e, E_PROTO);
	ck_assert_int_lt(b.in_nfds, 1000);
	ipc_close(&a);
	ipc_close(&b);
}
END_TEST

START_TEST(types)
{
	for (int t = -1; t < 300; t++) {
		const struct msg *q = ipc_req(t), *s = ipc_res(t);

		if (q != NULL)
			ck_assert_int_eq(q->key, t);
		if (s != NULL)
			ck_assert_ptr_nonnull(q);
	}
	ck_assert_ptr_null(ipc_req(API_PRODUCE));
	ck_assert_ptr_eq(ipc_res(API_FETCH), &ipc_msgs[IM_extents_res]);
	ck_assert_ptr_eq(ipc_res(IPC_APPEND), &kafka_msgs[KM_produce_res]);
	ck_assert_ptr_eq(ipc_req(API_FETCH), &kafka_msgs[KM_fetch_req]);
	ck_assert_ptr_eq(ipc_req(IPC_BYE), &ipc_msgs[IM_bye]);
	ck_assert_ptr_null(ipc_res(IPC_BYE));
	ck_assert_ptr_null(ipc_req(127));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ipc");
	TCase *t = tcase_create("ipc");
	SRunner *r;
	int failed;

	tcase_add_test(t, round_trip);
	tcase_add_test(t, one_byte_at_a_time);
	tcase_add_test(t, passed_fds);
	tcase_add_test(t, fds_never_taken);
	tcase_add_test(t, large);
	tcase_add_test(t, not_written);
	tcase_add_loop_test(t, rules, 0, sizeof bad / sizeof bad[0]);
	tcase_add_test(t, fd_flood);
	tcase_add_test(t, types);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
