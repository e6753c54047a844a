/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway between a client of raw frames and the fake engine: order,
 * back-pressure, memory that runs out, and an engine that goes away.
 */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ck.h"
#include "gwtest.h"
#include "lib/limits.h"

START_TEST(versions)
{
	struct api_versions_req q = { kstr_of("check"), kstr_of("1.0") };
	struct api_versions_res r;
	uint8_t odd[] = { 0, 0, 0, 12, 0, 18, 0x7f, 0xff, 0, 0, 0, 5,
	    0xff, 0xff, 0xff, 0xff };
	int s = dial();

	for (int v = 0; v <= 4; v++) {
		ask(s, API_VERSIONS, v, v, &q);
		answer(s, API_VERSIONS, v, v, &r);
		ck_assert_int_eq(r.error_code, 0);
		ck_assert_int_ge(r.api_keys.n, 8);
		ck_assert_int_eq(r.api_keys.v[0].api_key, API_PRODUCE);
		ck_assert_int_eq(r.api_keys.v[0].max_version, 13);
	}
	put(s, odd, sizeof odd);
	answer(s, API_VERSIONS, 0, 5, &r);
	ck_assert_int_eq(r.error_code, 35);
	ck_assert_int_eq(r.api_keys.n, 1);
	ck_assert_int_eq(r.api_keys.v[0].api_key, API_VERSIONS);
	ck_assert_int_eq(r.api_keys.v[0].max_version, 4);
	q.client_software_name = kstr_of("-no");
	ask(s, API_VERSIONS, 3, 6, &q);
	answer(s, API_VERSIONS, 3, 6, &r);
	ck_assert_int_eq(r.error_code, 42);
	close(s);
}
END_TEST

START_TEST(metadata)
{
	struct metadata_req_topic t = { .name = kstr_of("some") };
	struct metadata_req q = { .topics = { 1, &t } };
	struct metadata_res r;
	int s = dial();

	for (int v = 0; v <= 13; v++) {
		ask(s, API_METADATA, v, v, &q);
		answer(s, API_METADATA, v, v, &r);
		ck_assert_int_eq(r.brokers.n, 1);
		ck_assert_int_eq(r.brokers.v[0].node_id, 7);
		ck_assert_int_eq(r.brokers.v[0].port, port);
		ck_assert(kstr_eq(r.brokers.v[0].host, kstr_of("127.0.0.1")));
		if (v >= 1)
			ck_assert_int_eq(r.controller_id, 7);
		if (v >= 2)
			ck_assert(kstr_eq(r.cluster_id,
			    kstr_of("fake-cluster")));
		ck_assert_int_eq(r.topics.n, 1);
	}
	close(s);
}
END_TEST

/* Appends answered last one first leave in the order of the requests. */
START_TEST(order)
{
	struct api_versions_req q = { kstr_of("check"), kstr_of("1") };
	struct api_versions_res r;
	int s = dial();

	for (int i = 0; i < 20; i++)
		produce(s, 9, i, "hold", -1, batch_of(i % 2 ? 50000 : 50, i));
	ask(s, API_VERSIONS, 3, 20, &q);
	produce(s, 3, 21, "release", 1, batch_of(10, 'r'));
	/* Waits for all that is before it. */
	fetch(s, 12, 22, "order", 0, 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(produced(s, 9, i, 0), 19 - i);
	answer(s, API_VERSIONS, 3, 20, &r);
	ck_assert_int_eq(produced(s, 3, 21, 0), 0);
	ck_assert_int_eq(fetched(s, 12, 22).len, 0);
	close(s);
}
END_TEST

static void
credit_setup(void)
{
	setup_with("2", NULL, NULL);
}

/* Far more requests than credit, in flight at once, on several connections;
 * offsets follow the order on each. */
START_TEST(credit)
{
	enum { N = 3000, C = 3 };
	int s[C], sent[C] = { 0 }, got[C] = { 0 };
	int64_t last[C] = { -1, -1, -1 }, o;
	char name[16];

	for (int i = 0; i < C; i++)
		s[i] = dial();
	for (int k = 0; k < N; k++)
		for (int i = 0; i < C; i++) {
			struct wr w = wr_grow(MIB);

			snprintf(name, sizeof name, "c%d", i);
			produce_frame(&w, 9, sent[i]++, name, 1,
			    batch_of(20, k));
			put(s[i], w.p, w.len);
			wr_free(&w);
			/* The sockets must not fill up for good. */
			while (sent[i] - got[i] > 1500) {
				o = produced(s[i], 9, got[i]++, 0);
				ck_assert_int_eq(o, ++last[i]);
			}
		}
	for (int i = 0; i < C; i++) {
		while (got[i] < sent[i]) {
			o = produced(s[i], 9, got[i]++, 0);
			ck_assert_int_eq(o, ++last[i]);
		}
		close(s[i]);
	}
}
END_TEST

static int
gateway_fds(void)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)gateway);
	ck_assert_ptr_nonnull(d = opendir(path));
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Bytes come back as they were stored: by copy, by sendfile, and from many
 * segments; retired ones are closed. */
START_TEST(extents)
{
	static const size_t size[] = { 10, 16000, 16500, 3000000, 5, 200000 };
	struct kbytes b[6], got;
	int s = dial(), fds;
	size_t at = 0;

	for (int i = 0; i < 6; i++) {
		b[i] = batch_of(size[i], 'a' + i);
		produce(s, 9, i, "rotate", 1, b[i]);
		produced(s, 9, i, 0);
	}
	fetch(s, 12, 7, "rotate", 0, 0);
	got = fetched(s, 12, 7);
	for (int i = 0; i < 6; at += (size_t)b[i].len, i++) {
		ck_assert_int_le(at + (size_t)b[i].len, got.len);
		ck_assert_mem_eq(got.p + at + 16, b[i].p + 16,
		    (size_t)b[i].len - 16);
		ck_assert_uint_eq(be64(got.p + at), i);
	}
	ck_assert_int_eq(at, got.len);
	fetch(s, 4, 8, "rotate", 4, 0);
	got = fetched(s, 4, 8);
	ck_assert_int_eq(got.len, b[4].len + b[5].len);
	/* Each of these appends retires one handle and a fetch makes one. */
	fds = gateway_fds();
	for (int i = 0; i < 30; i++) {
		produce(s, 9, i, "rotate", 1, b[1]);
		produced(s, 9, i, 0);
		fetch(s, 4, 100 + i, "rotate", 6 + i, 0);
		ck_assert_int_eq(fetched(s, 4, 100 + i).len, b[1].len);
	}
	ck_assert_int_le(gateway_fds(), fds + 8);
	close(s);
}
END_TEST

/* More new segments than fds fit on a frame. */
START_TEST(many_segments)
{
	struct kbytes b = batch_of(20000, 'm'), got;
	int s = dial();

	for (int i = 0; i < 60; i++) {
		produce(s, 9, i, "rotate", 1, b);
		produced(s, 9, i, 0);
	}
	fetch(s, 12, 7, "rotate", 0, 0);
	got = fetched(s, 12, 7);
	ck_assert_int_eq(got.len, 60 * b.len);
	for (int i = 0; i < 60; i++)
		ck_assert_uint_eq(be64(got.p + i * b.len), i);
	close(s);
}
END_TEST

/* A frame half read when the engine goes is whole when the next one gets it,
 * whatever became of the memory that the old one was lent. */
START_TEST(lost_under_a_frame)
{
	struct kbytes b = batch_of(3000000, 'f'), got;
	struct wr w = wr_grow(64 * MIB);
	int s = dial(), other = dial();

	produce(other, 9, 1, "hold", 1, batch_of(MIB, 'h'));
	produce_frame(&w, 9, 1, "t", 1, b);
	put(s, w.p, w.len / 2);
	produce(other, 9, 2, "drop", 1, batch_of(10, 'd'));
	closed(other);
	other = dial();
	produce(other, 9, 3, "u", 1, batch_of(MIB, 'u'));
	produced(other, 9, 3, 0);
	put(s, w.p + w.len / 2, w.len - w.len / 2);
	produced(s, 9, 1, 0);
	fetch(s, 12, 2, "t", 0, 0);
	got = fetched(s, 12, 2);
	ck_assert_int_eq(got.len, b.len);
	ck_assert_mem_eq(got.p + 16, b.p + 16, (size_t)b.len - 16);
	wr_free(&w);
	close(s);
	close(other);
}
END_TEST

/* A consumer that does not read costs others nothing, and gets all of it in
 * the end. */
START_TEST(slow_reader)
{
	struct kbytes b = batch_of(2000000, 'x'), got;
	int s = dial(), other = dial();

	produce(s, 9, 1, "slow", 1, b);
	produced(s, 9, 1, 0);
	for (int i = 0; i < 200; i++)
		fetch(s, 12, i, "slow", 0, 0);
	for (int i = 0; i < 50; i++) {
		produce(other, 9, i, "quick", 1, batch_of(30000, 'q'));
		ck_assert_int_eq(produced(other, 9, i, 0), i);
	}
	for (int i = 0; i < 200; i++) {
		got = fetched(s, 12, i);
		ck_assert_int_eq(got.len, b.len);
		ck_assert_mem_eq(got.p + 16, b.p + 16, (size_t)b.len - 16);
		arena_reset(&mem);
		b = batch_of(2000000, 'x');
	}
	close(s);
	close(other);
}
END_TEST

/* acks=0 is answered by nothing, and a failure by the end. */
START_TEST(no_acks)
{
	int s = dial();

	for (int i = 0; i < 10; i++)
		produce(s, 9, i, "quiet", 0, batch_of(20000, i));
	produce(s, 9, 77, "quiet", 1, batch_of(20, 1));
	ck_assert_int_eq(produced(s, 9, 77, 0), 10);
	produce(s, 9, 78, "fail", 0, batch_of(20, 1));
	closed(s);
}
END_TEST

START_TEST(old_error_codes)
{
	int s = dial();

	produce(s, 3, 1, "fail", 1, batch_of(9, 1));
	produced(s, 3, 1, 6);
	produce(s, 4, 2, "fail", 1, batch_of(9, 1));
	produced(s, 4, 2, 56);
	produce(s, 9, 3, "x", 7, batch_of(9, 1));
	produced(s, 9, 3, 21);
	produce(s, 9, 4, "x", 1, (struct kbytes){ -1, NULL });
	produced(s, 9, 4, 87);
	close(s);
}
END_TEST

/* The link goes while appends are on it: their outcome is unknown, and what
 * comes behind them must not overtake their retry. */
START_TEST(lost_append)
{
	int s = dial();

	produce(s, 9, 1, "known", 1, batch_of(100, 1));
	ck_assert_int_eq(produced(s, 9, 1, 0), 0);
	produce(s, 3, 2, "hold", 1, batch_of(100000, 1));
	produce(s, 9, 3, "hold", 0, batch_of(10, 1));
	produce(s, 9, 4, "drop", 1, batch_of(10, 1));
	produce(s, 9, 5, "behind", 1, batch_of(10, 1));
	closed(s);
	s = dial();
	produce(s, 9, 5, "fine", 1, batch_of(10, 1));
	ck_assert_int_eq(produced(s, 9, 5, 0), 0);
	ck_assert_int_eq(end_offset(s, "behind"), 0);
	ck_assert_int_eq(end_offset(s, "stat-links"), 2);
	close(s);
}
END_TEST

/* Reads are asked again, in order, and answered by the next engine. */
START_TEST(lost_reads)
{
	int s = dial(), other = dial();

	fetch(s, 12, 1, "wake", 0, 1000000);
	fetch(s, 12, 2, "empty", 0, 0);
	until(other, "stat-parked", 1);
	produce(other, 9, 1, "drop", 1, batch_of(10, 1));
	closed(other);
	other = dial();
	until(other, "stat-parked", 1);
	ck_assert_int_eq(end_offset(other, "stat-links"), 2);
	produce(other, 9, 2, "wake", 1, batch_of(10, 1));
	produced(other, 9, 2, 0);
	ck_assert_int_gt(fetched(s, 12, 1).len, 0);
	ck_assert_int_eq(fetched(s, 12, 2).len, 0);
	close(s);
	close(other);
}
END_TEST

/* Changes under way when the engine goes: nobody knows. */
START_TEST(lost_changes)
{
	struct create_topics_req_topic ct = { .name = kstr_of("drop") };
	struct create_topics_req c = { .topics = { 1, &ct } };
	struct create_topics_res cr;
	struct delete_topics_req_topic dt = { .name = kstr_of("drop") };
	struct kstr name = kstr_of("drop");
	struct delete_topics_req d = { .topics = { 1, &dt },
	    .topic_names = { 1, &name } };
	struct delete_topics_res dr;
	struct init_producer_id_req q = { .transactional_id = kstr_of("drop") };
	struct init_producer_id_res r;
	int s = dial();

	for (int v = 0; v <= 7; v++) {
		ask(s, API_CREATE_TOPICS, v, v, &c);
		answer(s, API_CREATE_TOPICS, v, v, &cr);
		ck_assert_int_eq(cr.topics.n, 1);
		ck_assert_int_eq(cr.topics.v[0].error_code, 7);
		ck_assert(kstr_eq(cr.topics.v[0].name, name));
	}
	for (int v = 0; v <= 6; v++) {
		ask(s, API_DELETE_TOPICS, v, v, &d);
		answer(s, API_DELETE_TOPICS, v, v, &dr);
		ck_assert_int_eq(dr.responses.n, 1);
		ck_assert_int_eq(dr.responses.v[0].error_code, 7);
	}
	for (int v = 0; v <= 5; v++) {
		ask(s, API_INIT_PRODUCER_ID, v, v, &q);
		answer(s, API_INIT_PRODUCER_ID, v, v, &r);
		ck_assert_int_eq(r.error_code, 7);
		ck_assert_int_eq(r.producer_id, -1);
	}
	close(s);
}
END_TEST

/* No engine: requests wait for it, in order; kill -9 between. */
START_TEST(engine_restarts)
{
	int s = dial(), busy = dial();

	produce(s, 9, 1, "t", 1, batch_of(10, 1));
	produced(s, 9, 1, 0);
	for (int i = 0; i < 3; i++) {
		produce(busy, 9, i, "hold", 1, batch_of(60000, 1));
		until(s, "t", 1);
		engine_kill();
		closed(busy);
		busy = dial();
		produce(s, 9, 2, "t", 1, batch_of(10, 1));
		produce(s, 9, 3, "t", 1, batch_of(70000, 1));
		fetch(s, 12, 4, "t", 0, 0);
		engine_start("64");
		ck_assert_int_eq(produced(s, 9, 2, 0), 0);
		ck_assert_int_eq(produced(s, 9, 3, 0), 1);
		ck_assert_int_gt(fetched(s, 12, 4).len, 70000);
		/* It forgot all, and we have two in it; start over. */
		engine_kill();
		engine_start("64");
		produce(s, 9, 1, "t", 1, batch_of(10, 1));
		produced(s, 9, 1, 0);
	}
	close(s);
	close(busy);
}
END_TEST

/* The engine is told of connections that end, if it was told of them. */
START_TEST(bye)
{
	int s[5], other = dial();

	for (int i = 0; i < 5; i++) {
		s[i] = dial();
		fetch(s[i], 12, i, "empty", 0, 1000000);
	}
	until(other, "stat-parked", 5);
	ck_assert_int_eq(end_offset(other, "stat-byes"), 0);
	for (int i = 0; i < 5; i++)
		close(s[i]);
	until(other, "stat-parked", 0);
	ck_assert_int_eq(end_offset(other, "stat-byes"), 5);
	s[0] = dial();
	end_offset(s[0], "empty");
	close(s[0]);
	until(other, "stat-byes", 6);
	/* Nor is it told of one that asks it nothing. */
	s[0] = dial();
	ask(s[0], API_VERSIONS, 0, 1, &(struct api_versions_req){ 0 });
	answer(s[0], API_VERSIONS, 0, 1, &(struct api_versions_res){ 0 });
	close(s[0]);
	s[0] = dial();
	end_offset(s[0], "empty");
	close(s[0]);
	until(other, "stat-byes", 7);
	close(other);
}
END_TEST

/* Who asks is told once for each link, and when it is another. */
START_TEST(who)
{
	int s, other = dial();
	int64_t n = end_offset(other, "stat-told");

	client_id = "id-3";
	s = dial();
	ck_assert_int_eq(end_offset(s, "client-id"), 3);
	ck_assert_int_eq(end_offset(s, "client-id"), 3);
	ck_assert_int_eq(end_offset(s, "stat-told"), n + 1);
	client_id = "id-44";
	ck_assert_int_eq(end_offset(s, "client-id"), 44);
	client_id = NULL;
	ck_assert_int_eq(end_offset(s, "client-id"), 0);
	ck_assert_int_eq(end_offset(s, "stat-told"), n + 3);
	client_id = "id-5";
	ck_assert_int_eq(end_offset(s, "client-id"), 5);
	engine_kill();
	engine_start("64");
	ck_assert_int_eq(end_offset(s, "client-id"), 5);
	ck_assert_int_eq(end_offset(s, "stat-told"), 1);
	close(s);
	close(other);
	client_id = "check";
}
END_TEST

/* Appends of a connection that has ended keep their pieces until the engine
 * is done with them, and then give them back. */
START_TEST(orphans)
{
	int other = dial();

	for (int round = 0; round < 4; round++) {
		int s = dial();

		for (int i = 0; i < 6; i++)
			produce(s, 9, i, "hold", 1, batch_of(MIB, i));
		until(other, "stat-held", 6);
		close(s);
		produce(other, 9, round, "release", 1, batch_of(10, 1));
		produced(other, 9, round, 0);
	}
	until(other, "hold", 24);
	close(other);
}
END_TEST

/* The region is full of appends that the engine holds: others wait for it. */
START_TEST(region_full)
{
	int s = dial(), w[3], other = dial();

	for (int i = 0; i < 7; i++)
		produce(s, 9, i, "hold", 1, batch_of(MIB - 5000, i));
	until(other, "stat-held", 7);
	for (int i = 0; i < 3; i++) {
		w[i] = dial();
		produce(w[i], 9, i, "w", 1, batch_of(3 * MIB, i));
	}
	/* A small one needs no region. */
	produce(other, 9, 1, "release", 1, batch_of(10, 1));
	produced(other, 9, 1, 0);
	for (int i = 0; i < 7; i++)
		produced(s, 9, i, 0);
	for (int i = 0; i < 3; i++) {
		produced(w[i], 9, i, 0);
		close(w[i]);
	}
	close(s);
	close(other);
}
END_TEST

/* Unfinished frames hold all of it and wait for each other: one gives way,
 * and the rest get through. */
START_TEST(region_deadlock)
{
	enum { N = 4 };
	struct wr w[N];
	size_t at[N] = { 0 };
	int s[N], lost = 0, alive = N;

	for (int i = 0; i < N; i++) {
		w[i] = wr_grow(64 * MIB);
		produce_frame(&w[i], 9, i, "d", 1, batch_of(5 * MIB, i));
		s[i] = dial();
	}
	/* All at once, as far as each goes. */
	while (alive > 0)
		for (int i = 0; i < N; i++) {
			size_t n = w[i].len - at[i];
			ssize_t k;

			if (s[i] < 0 || n == 0)
				continue;
			k = send(s[i], w[i].p + at[i], n < 65536 ? n : 65536,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
			if (k < 0 && errno != EAGAIN) {
				close(s[i]);
				s[i] = -1;
				lost++;
				alive--;
				continue;
			}
			at[i] += k < 0 ? 0 : (size_t)k;
			alive -= at[i] == w[i].len;
		}
	for (int i = 0; i < N; i++) {
		uint8_t len[4];

		if (s[i] >= 0) {
			if (get(s[i], len, 4))
				ck_assert_uint_gt(be32(len), 20);
			else
				lost++;
			close(s[i]);
		}
		wr_free(&w[i]);
	}
	ck_assert_int_lt(lost, N);
}
END_TEST

/* A frame that could never fit is refused. */
START_TEST(region_too_small)
{
	uint8_t f[12] = { 0, 0x90, 0, 0, 0, 0, 0, 9 };
	int s = dial();

	put(s, f, sizeof f);
	closed(s);
}
END_TEST

static const uint8_t bad_frames[][12] = {
	{ 0, 0, 0, 0, 0, 18, 0, 0, 0, 0, 0, 1 },
	{ 0, 0, 0, 7, 0, 18, 0, 0, 0, 0, 0, 1 },
	{ 0xff, 0xff, 0xff, 0xff, 0, 18, 0, 0, 0, 0, 0, 1 },
	{ 0x80, 0, 0, 0, 0, 18, 0, 0, 0, 0, 0, 1 },
	{ 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1 },
	{ 0, 0, 0, 8, 0, 99, 0, 0, 0, 0, 0, 1 },
	{ 0, 0, 0, 8, 0xff, 0xff, 0, 0, 0, 0, 0, 1 },
	{ 0, 0, 0, 8, 0, 0, 0, 14, 0, 0, 0, 1 },
	{ 0, 0, 0, 8, 0, 3, 0xff, 0xff, 0, 0, 0, 1 },
	{ 0, 0, 0, 8, 0, 3, 0, 1, 0, 0, 0, 1 },	/* no client id */
	{ 0, 0, 0, 8, 0, 1, 0, 12, 0, 0, 0, 1 },
};

START_TEST(bad_frame)
{
	int s = dial(), other = dial();

	put(s, bad_frames[_i], sizeof bad_frames[_i]);
	closed(s);
	/* What was asked before it is answered first. */
	s = dial();
	produce(s, 9, 1, "hold", 1, batch_of(100, 1));
	put(s, bad_frames[_i], sizeof bad_frames[_i]);
	until(other, "stat-held", 1);
	produce(other, 9, 1, "release", 1, batch_of(1, 1));
	produced(other, 9, 1, 0);
	produced(s, 9, 1, 0);
	closed(s);
	close(other);
}
END_TEST

/* The end: what is owed is sent, a long poll is not waited for. */
START_TEST(stop)
{
	int s = dial(), parked = dial(), idle = dial();

	fetch(parked, 12, 1, "empty", 0, 1000000);
	until(s, "stat-parked", 1);
	produce(s, 9, 1, "hold", 1, batch_of(10, 1));
	produce(s, 9, 2, "hold", 1, batch_of(100000, 1));
	until(idle, "stat-parked", 1);
	produce(s, 9, 3, "release", 1, batch_of(10, 1));
	produced(s, 9, 1, 0);
	ck_assert_int_eq(kill(gateway, SIGTERM), 0);
	produced(s, 9, 2, 0);
	produced(s, 9, 3, 0);
	closed(s);
	closed(parked);
	closed(idle);
}
END_TEST

static void
idle_setup(void)
{
	setup_with("64", "--connections-max-idle-ms=1000",
	    "--max-connections=3");
}

START_TEST(idle_and_too_many)
{
	int a = dial(), b = dial(), c = dial(), d;

	end_offset(a, "x");
	end_offset(b, "x");
	end_offset(c, "x");
	d = dial();
	closed(d);
	closed(a);
	closed(b);
	closed(c);
	a = dial();
	end_offset(a, "x");
	close(a);
}
END_TEST

static int
run_gateway(const char *bind, const char *adv)
{
	int st;
	pid_t p = spawn("chronik-gateway", (const char *const[]){ "--engine",
	    sock, "--bind-addr", bind, adv, NULL }, -1);

	ck_assert_int_eq(waitpid(p, &st, 0), p);
	ck_assert(WIFEXITED(st));
	return WEXITSTATUS(st);
}

START_TEST(addresses)
{
	struct metadata_req q = { .topics = { 0, NULL } };
	struct metadata_res r;
	int s, st;

	ck_assert_int_eq(run_gateway("0.0.0.0:0",
	    "--advertised-addr=0.0.0.0:9092"), 1);
	ck_assert_int_eq(run_gateway("127.0.0.1:0", "--advertised-addr=[::]:1"),
	    1);
	ck_assert_int_eq(run_gateway("127.0.0.1:0", "--advertised-addr=0:1"),
	    1);
	ck_assert_int_ne(run_gateway("192.0.2.1:0", NULL), 0);
	kill(gateway, SIGTERM);
	ck_assert_int_eq(waitpid(gateway, &st, 0), gateway);
	ck_assert_int_eq(st, 0);
	gateway_start("--advertised-addr", "broker.example:0");
	s = dial();
	ask(s, API_METADATA, 9, 1, &q);
	answer(s, API_METADATA, 9, 1, &r);
	ck_assert(kstr_eq(r.brokers.v[0].host, kstr_of("broker.example")));
	ck_assert_int_eq(r.brokers.v[0].port, port);
	close(s);
}
END_TEST

static void
name_of(int fd, char name[16])
{
	socklen_t n = 16;

	memset(name, 0, 16);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n),
	    0);
}

/* The gateway's end of a connection of ours. */
static int
its_end(int s)
{
	struct sockaddr_in we, peer;
	socklen_t n = sizeof we;
	int fd, pid = (int)syscall(SYS_pidfd_open, gateway, 0);

	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(getsockname(s, (struct sockaddr *)&we, &n), 0);
	for (int i = 0; i < 200; i++) {
		fd = (int)syscall(SYS_pidfd_getfd, pid, i, 0);
		n = sizeof peer;
		if (fd >= 0 && getpeername(fd, (struct sockaddr *)&peer,
		    &n) == 0 && n == sizeof peer && peer.sin_family ==
		    AF_INET && peer.sin_port == we.sin_port) {
			close(pid);
			return fd;
		}
		close(fd);
	}
	ck_abort_msg("the gateway has no such connection");
	return -1;
}

/* The congestion control of a connection within this machine. */
static void
controlled(const char *option, const char *want)
{
	char name[16];
	int s, fd, st;

	kill(gateway, SIGTERM);
	ck_assert_int_eq(waitpid(gateway, &st, 0), gateway);
	ck_assert_int_eq(st, 0);
	gateway_start(option, NULL);
	s = dial();
	end_offset(s, "x");
	fd = its_end(s);
	name_of(fd, name);
	ck_assert_str_eq(name, want);
	close(fd);
	close(s);
}

START_TEST(congestion)
{
	char there[200] = "", option[64], usual[16], *name, *save;
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_available_congestion_control",
	    "r");
	int s = socket(AF_INET, SOCK_STREAM, 0);

	name_of(s, usual);
	close(s);
	controlled("--tcp-congestion=auto", "reno");
	controlled("--tcp-congestion=system", usual);
	ck_assert(f != NULL && fgets(there, sizeof there, f) != NULL);
	fclose(f);
	for (name = strtok_r(there, " \n", &save); name != NULL;
	    name = strtok_r(NULL, " \n", &save)) {
		snprintf(option, sizeof option, "--tcp-congestion=%s", name);
		controlled(option, name);
	}
	ck_assert_int_eq(run_gateway("127.0.0.1:0", "--tcp-congestion=none"),
	    1);
}
END_TEST

static void
add(Suite *s, const char *name, void (*up)(void), void (*down)(void),
    const TTest *t, int n)
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, up, down);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, t, 0, n);
	suite_add_tcase(s, c);
}

int
main(void)
{
	Suite *s = suite_create("gateway");
	SRunner *r;
	int failed;

	add(s, "versions", setup, teardown, versions, 1);
	add(s, "metadata", setup, teardown, metadata, 1);
	add(s, "order", setup, teardown, order, 1);
	add(s, "credit", credit_setup, teardown, credit, 1);
	add(s, "extents", setup, teardown, extents, 1);
	add(s, "many_segments", setup, teardown, many_segments, 1);
	add(s, "lost_under_a_frame", setup, teardown, lost_under_a_frame, 1);
	add(s, "slow_reader", setup, teardown, slow_reader, 1);
	add(s, "no_acks", setup, teardown, no_acks, 1);
	add(s, "old_error_codes", setup, teardown, old_error_codes, 1);
	add(s, "lost_append", setup, teardown, lost_append, 1);
	add(s, "lost_reads", setup, teardown, lost_reads, 1);
	add(s, "lost_changes", setup, teardown, lost_changes, 1);
	add(s, "engine_restarts", setup, teardown, engine_restarts, 1);
	add(s, "bye", setup, teardown, bye, 1);
	add(s, "who", setup, teardown, who, 1);
	add(s, "orphans", setup, teardown, orphans, 1);
	add(s, "region_full", setup, teardown, region_full, 1);
	add(s, "region_deadlock", setup, teardown, region_deadlock, 1);
	add(s, "region_too_small", setup, teardown, region_too_small, 1);
	add(s, "bad_frame", setup, teardown, bad_frame,
	    sizeof bad_frames / sizeof bad_frames[0]);
	add(s, "stop", setup, gateway_ended, stop, 1);
	add(s, "idle", idle_setup, teardown, idle_and_too_many, 1);
	add(s, "addresses", setup, teardown, addresses, 1);
	add(s, "congestion", setup, teardown, congestion, 1);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
