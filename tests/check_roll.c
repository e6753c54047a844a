/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When segments end (time, index, offsets), what is reserved for them, and
 * when what was deleted goes: over a simulated disk and with a clock that the
 * test turns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "log/reap.h"
#include "log/roll.h"
#include "rig.h"

static struct rig r;
static struct part *p;
static struct topic_conf *tc;

static void
look(void)
{
	struct topic *t = topic_find(&r.eng.topics, kstr_of("t"));

	ck_assert_ptr_nonnull(t);
	p = t->parts[0];
	tc = &t->conf;
}

static void
begin(void)
{
	rig_init(&r);
	ck_assert_int_eq(rig_open(&r), E_OK);
	(void)rig_topic(&r, "t", 1);
	look();
}

/* Configs that a test sets are not in the catalogue: what is to stay over a
 * restart is set again. */
static void
again(bool crash)
{
	struct topic_conf was = *tc;

	if (crash) {
		rig_kill(&r);
		sim_crash(r.disk, 1);
	} else
		ck_assert_int_eq(rig_stop(&r), E_OK);
	ck_assert_int_eq(rig_open(&r), E_OK);
	look();
	*tc = was;
	part_policy(p);
}

static void
end(void)
{
	rig_kill(&r);
	rig_free(&r);
}

/* One batch whose records' greatest timestamp is ts. */
static void
put(int64_t ts, size_t payload)
{
	struct sent s;

	sent_make(&s, 1, payload, true);
	s.a.b.base_ts = s.a.b.max_ts = ts;
	batch_write(s.p, &s.a.b);
	batch_set_log_time(s.p, BATCH_HEADER + payload, ts);
	ck_assert_int_eq(batch_read(s.p, &s.a.b), E_OK);
	memcpy(s.a.head, s.p, BATCH_HEADER);
	ck_assert_int_eq(part_append(p, &s.a), E_OK);
	engine_drain(&r.eng);
	ck_assert_int_eq(s.err, E_OK);
	ck_assert_int_eq(s.answers, 1);
	sent_free(&s);
}

/* ---- when a segment ends ------------------------------------------------ */

/* From the first batch's time to the new one's, whatever the clock says; and
 * the first one's is remembered. */
START_TEST(by_time)
{
	begin();
	tc->segment_ms = 1000;
	put(5000, 10);
	put(4000, 10);			/* what is older changes nothing */
	put(6000, 10);
	ck_assert_int_eq(p->nsegs, 1);
	rig_settle(&r, 1000000);	/* nor does time that passes */
	ck_assert_int_eq(p->nsegs, 1);
	put(5500, 10);
	ck_assert_int_eq(p->nsegs, 1);
	again(_i == 1);
	put(6000, 10);
	ck_assert_int_eq(p->nsegs, 1);
	put(6001, 10);
	ck_assert_int_eq(p->nsegs, 2);
	ck_assert_int_eq(p->segs[1]->base, 5);
	ck_assert(p->segs[0]->idx.sealed);
	put(7002, 10);
	ck_assert_int_eq(p->nsegs, 3);
	ck_assert_int_eq(p->next, 7);
	again(_i == 1);
	ck_assert_int_eq(p->nsegs, 3);
	end();
}
END_TEST

/* Without timestamps the clock counts, from the segment's making. */
START_TEST(by_clock)
{
	begin();
	tc->segment_ms = 1000;
	put(-1, 10);
	rig_settle(&r, 1000);
	put(-1, 10);
	ck_assert_int_eq(p->nsegs, 1);
	rig_settle(&r, 1);
	put(-1, 10);
	ck_assert_int_eq(p->nsegs, 2);
	rig_settle(&r, 1000);
	put(-1, 10);
	ck_assert_int_eq(p->nsegs, 2);
	end();
}
END_TEST

/* Times at the ends of the scale. */
START_TEST(by_strange_times)
{
	begin();
	put(0, 10);
	put(INT64_MIN, 10);
	ck_assert_int_eq(p->nsegs, 1);
	put(INT64_MAX, 10);
	ck_assert_int_eq(p->nsegs, 2);
	put(INT64_MIN, 10);
	put(-2, 10);
	put(INT64_MAX, 10);
	ck_assert_int_eq(p->nsegs, 2);
	end();
}
END_TEST

/* The batches of one write round, too, part where their segment ends. */
START_TEST(in_one_round)
{
	struct sent s[12];

	begin();
	tc->segment_ms = 100;
	for (int i = 0; i < 12; i++) {
		rig_now += 30;
		sent_make(&s[i], 2, 50, i % 2);
		ck_assert_int_eq(part_append(p, &s[i].a), E_OK);
	}
	engine_drain(&r.eng);
	for (int i = 0; i < 12; i++) {
		ck_assert_int_eq(s[i].answers, 1);
		ck_assert_int_eq(s[i].err, E_OK);
		sent_free(&s[i]);
	}
	ck_assert_int_eq(p->nsegs, 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(p->segs[i]->base, i * 8);
	ck_assert_int_eq(p->hw, 24);
	end();
}
END_TEST

/* Each segment draws its own lot, below segment.ms. */
START_TEST(jitter)
{
	int64_t sum = 0, first;
	bool differ = false;

	begin();
	tc->segment_ms = 1000;
	tc->segment_jitter_ms = INT64_MAX;
	tc->segment_bytes = 100;	/* each batch has its own */
	for (int i = 0; i < 40; i++)
		put(5000, 50);
	ck_assert_int_eq(p->nsegs, 40);
	first = p->segs[1]->jitter_ms;
	for (int i = 1; i < p->nsegs; i++) {
		ck_assert_int_ge(p->segs[i]->jitter_ms, 0);
		ck_assert_int_lt(p->segs[i]->jitter_ms, 1000);
		differ |= p->segs[i]->jitter_ms != first;
		sum += p->segs[i]->jitter_ms;
	}
	ck_assert(differ && sum > 0);
	/* It is taken off the time. */
	tc->segment_bytes = 100000;
	part_active(p)->jitter_ms = 400;
	put(5600, 50);
	ck_assert_int_eq(p->nsegs, 40);
	put(5601, 50);
	ck_assert_int_eq(p->nsegs, 41);
	end();
}
END_TEST

START_TEST(by_index)
{
	begin();
	tc->index_interval_bytes = 200;
	tc->segment_index_bytes = 3 * 8;	/* three entries */
	part_policy(p);
	for (int i = 0; i < 9; i++)
		put(5000, 139);			/* 200 bytes: one each */
	ck_assert_int_eq(p->nsegs, 3);
	ck_assert_int_eq(p->segs[1]->base, 4);
	ck_assert_int_eq(p->segs[2]->base, 8);
	/* The same in one round. */
	again(_i == 1);
	for (int i = 0; i < 4; i++)
		put(5000, 139);
	ck_assert_int_le(part_active(p)->base, 12);
	/* At least one entry is always allowed. */
	tc->segment_index_bytes = 4;
	put(5000, 139);
	put(5000, 139);
	ck_assert_int_eq(p->next, 15);
	end();
}
END_TEST

/* Sparse, dense, and denser than is good. */
START_TEST(interval)
{
	static const struct { int64_t bytes; int entries; } t[] = {
		{ 0, 99 }, { 1, 99 }, { 200, 99 }, { 201, 49 }, { 400, 49 },
		{ 4096, 4 }, { INT32_MAX, 0 },
	};
	const struct seg *s;

	begin();
	tc->index_interval_bytes = t[_i].bytes;
	part_policy(p);
	for (int i = 0; i < 100; i++)
		put(5000, 139);
	s = p->segs[0];
	ck_assert_int_eq(s->idx.nfile + s->idx.npending, t[_i].entries);
	again(false);
	ck_assert_int_eq(p->hw, 100);
	end();
}
END_TEST

/* What waits for a sync is bounded, however dense the index shall be. */
START_TEST(interval_bounded)
{
	begin();
	tc->index_interval_bytes = 0;
	tc->flush_messages = INT64_MAX - 1;	/* never */
	part_policy(p);
	ck_assert(p->relaxed);
	for (int i = 0; i < 20000; i++)
		put(5000, 139);
	ck_assert_int_lt(p->segs[0]->idx.npending, 6 * IDX_PENDING_MAX);
	end();
}
END_TEST

START_TEST(by_offset)
{
	struct fill f;
	struct batch b = { .length = 100, .last_delta = 9, .count = 10 };

	begin();
	put(5000, 10);
	fill_start(&f, p, p->segs[0], 0);
	b.base_offset = INT32_MAX - 9;
	ck_assert(fill_takes(&f, &b, rig_now));
	b.base_offset++;
	ck_assert(!fill_takes(&f, &b, rig_now));
	end();
}
END_TEST

/* ---- preallocate -------------------------------------------------------- */

static int64_t reserved;	/* bytes, of all files */
static int truncates;

static enum err
count_reserve(int fd, int64_t pos, int64_t n)
{
	enum err e = simdisk.reserve(fd, pos, n);

	ck_assert_int_eq(pos, 0);
	if (e == E_OK)
		reserved += n;
	return e;
}

static enum err
count_truncate(int fd, int64_t size)
{
	struct disk_stat st;

	ck_assert_int_eq(simdisk.fstat(fd, &st), E_OK);
	truncates += st.size == size && size > 0;
	return simdisk.truncate(fd, size);
}

/* Reserved when made, given back when finished; a disk that has no room for
 * it is no fault. */
START_TEST(preallocate)
{
	struct disk mine = simdisk;

	mine.reserve = count_reserve;
	mine.truncate = count_truncate;
	begin();
	disk = &mine;
	tc->preallocate = true;
	tc->segment_bytes = 2000;
	for (int i = 0; i < 9; i++)
		put(5000, 900);
	ck_assert_int_eq(p->nsegs, 5);
	ck_assert_int_eq(reserved, 4 * 2000);
	ck_assert_int_eq(truncates, 4);
	sim_fail_op(r.disk, SIM_RESERVE, 1, E_NOSPC);
	put(5000, 900);
	put(5000, 900);
	ck_assert_int_eq(p->nsegs, 6);
	ck_assert_int_eq(reserved, 4 * 2000);
	disk = &simdisk;
	again(true);
	ck_assert_int_eq(p->hw, 11);
	end();
}
END_TEST

/* ---- retention ---------------------------------------------------------- */

static void
check_retention(int64_t ms)
{
	rig_settle(&r, ms);
	rig_settle(&r, r.conf.log_retention_check_interval_ms + 1);
}

/* The records' times count, those to come pin their segment; where there are
 * none the file's does. */
START_TEST(retention_times)
{
	static const struct { int64_t ts; bool goes; } t[] = {
		{ 1700000000000, true },
		{ 1700000000000 + 9 * 86400000LL, false },
		{ -1, true },
		{ 0, true },
	};

	begin();
	rig_now = 1700000000000;
	tc->retention_ms = 86400000;
	put(t[_i].ts, 10);
	again(true);
	check_retention(1000);
	ck_assert_int_eq(p->start, t[_i].ts == 0);
	check_retention(86400000);
	ck_assert_int_eq(p->start, t[_i].goes);
	ck_assert_int_eq(p->nsegs, 1);
	ck_assert_int_eq(p->hw, 1);
	put(rig_now, 10);
	ck_assert_int_eq(p->hw, 2);
	end();
}
END_TEST

/* retention.bytes = 0: nothing is kept, not even what grows. */
START_TEST(retention_of_all)
{
	begin();
	tc->segment_bytes = 2000;
	tc->retention_bytes = 0;
	for (int i = 0; i < 5; i++)
		put(rig_now, 900);
	check_retention(0);
	check_retention(0);	/* the first finds it busy with its index */
	ck_assert_int_eq(p->start, 5);
	ck_assert_int_eq(p->segs[0]->size, 0);
	end();
}
END_TEST

/* ---- what was deleted --------------------------------------------------- */

static int files[3];	/* logs, indexes, deleted logs */

static int
count_file(const char *name, void *arg)
{
	int64_t x;

	(void)arg;
	files[0] += seg_name(name, ".log", &x);
	files[1] += seg_name(name, ".idx", &x);
	files[2] += reap_name(name, &x);
	return 0;
}

static void
count_files(void)
{
	char dir[PATH_SIZE];

	part_dir(p, dir);
	memset(files, 0, sizeof files);
	ck_assert_int_eq(disk->list(dir, count_file, NULL), E_OK);
}

START_TEST(names)
{
	static const struct { const char *name; int64_t due; } t[] = {
		{ "00000000000000000007.log.1234.deleted", 1234 },
		{ "00000000000000000007.log.9223372036854775807.deleted",
		    INT64_MAX },
		{ "00000000000000000007.log", -1 },
		{ "00000000000000000007.log.deleted", -1 },
		{ "00000000000000000007.log.-5.deleted", -1 },
		{ "00000000000000000007.log.5.deletedx", -1 },
		{ "00000000000000000007.idx.5.deleted", -1 },
		{ "0000000000000000007.log.5.deleted", -1 },
		{ "x", -1 },
	};
	char ext[REAP_EXT];
	int64_t due;

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		due = -1;
		ck_assert_msg(reap_name(t[i].name, &due) == (t[i].due >= 0),
		    "%s", t[i].name);
		if (t[i].due >= 0)
			ck_assert_int_eq(due, t[i].due);
	}
	reap_ext(ext, INT64_MAX);
	ck_assert_str_eq(ext, ".log.9223372036854775807.deleted");
}
END_TEST

/* They stay for as long as was said, over a restart or a crash, and go. */
START_TEST(deleted_segments)
{
	begin();
	tc->segment_bytes = 2000;
	tc->file_delete_delay_ms = 60000000;
	for (int i = 0; i < 9; i++)
		put(rig_now, 900);
	tc->retention_bytes = 4000;
	check_retention(0);
	ck_assert_int_eq(p->start, 4);
	count_files();
	ck_assert_int_eq(files[0], 3);
	ck_assert_int_eq(files[1], 3);
	ck_assert_int_eq(files[2], 2);
	if (_i > 0)
		again(_i == 1);
	rig_settle(&r, 59000000);
	count_files();
	ck_assert_int_eq(files[2], 2);
	for (int i = 0; i < 20; i++)	/* it looks every hour at least */
		rig_settle(&r, 3600 * 1000);
	count_files();
	ck_assert_int_eq(files[0], 3);
	ck_assert_int_eq(files[2], 0);
	ck_assert_int_eq(p->reap_due, INT64_MAX);
	ck_assert_int_eq(r.eng.reap_timer.at, 0);
	end();
}
END_TEST

/* Without a delay they go at once; one that cannot be removed is tried
 * again. */
START_TEST(deleted_at_once)
{
	begin();
	tc->segment_bytes = 2000;
	tc->file_delete_delay_ms = _i == 0 ? 0 : 1;
	for (int i = 0; i < 9; i++)
		put(rig_now, 900);
	tc->retention_bytes = 4000;
	check_retention(0);
	ck_assert_int_eq(p->start, 4);
	if (_i == 1) {
		sim_fail_op(r.disk, SIM_UNLINK, 1, E_IO);
		rig_settle(&r, 1000);
		count_files();
		ck_assert_int_eq(files[2], 1);
		rig_settle(&r, 60001);
	}
	count_files();
	ck_assert_int_eq(files[0], 3);
	ck_assert_int_eq(files[2], 0);
	end();
}
END_TEST

static int finished;

static void
finish(struct topic_op *op, enum err e)
{
	(void)op;
	finished++;
	ck_assert_int_eq(e, E_OK);
}

/* So do a deleted topic's files; the topic itself is gone at once. */
START_TEST(deleted_topic)
{
	struct topic_op op = { .done = finish };
	char dir[PATH_SIZE], path[PATH_SIZE];
	size_t n;

	begin();
	put(rig_now, 900);
	tc->file_delete_delay_ms = 1000000;
	part_dir(p, dir);
	seg_path(path, dir, 0, ".log");
	finished = 0;
	ck_assert_int_eq(topic_delete(p->topic, &op), E_OK);
	engine_drain(&r.eng);
	ck_assert_int_eq(finished, 1);
	ck_assert_ptr_null(topic_find(&r.eng.topics, kstr_of("t")));
	ck_assert_ptr_nonnull(sim_bytes(r.disk, path, &n));
	if (_i == 1) {
		rig_kill(&r);
		sim_crash(r.disk, 1);
		ck_assert_int_eq(rig_open(&r), E_OK);
	} else if (_i == 2) {
		ck_assert_int_eq(rig_stop(&r), E_OK);
		ck_assert_int_eq(rig_open(&r), E_OK);
	}
	(void)rig_topic(&r, "t", 2);	/* the name is free */
	rig_settle(&r, 999999);
	ck_assert_ptr_nonnull(sim_bytes(r.disk, path, &n));
	rig_settle(&r, 2);
	ck_assert_ptr_null(sim_bytes(r.disk, path, &n));
	ck_assert_uint_eq(r.eng.topics.nremoving, 0);
	ck_assert_ptr_eq(r.eng.topics.first, r.eng.topics.last);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("roll");
	TCase *t = tcase_create("roll");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, by_time, 0, 2);
	tcase_add_test(t, by_clock);
	tcase_add_test(t, by_strange_times);
	tcase_add_test(t, in_one_round);
	tcase_add_test(t, jitter);
	tcase_add_loop_test(t, by_index, 0, 2);
	tcase_add_loop_test(t, interval, 0, 7);
	tcase_add_test(t, interval_bounded);
	tcase_add_test(t, by_offset);
	tcase_add_test(t, preallocate);
	tcase_add_loop_test(t, retention_times, 0, 4);
	tcase_add_test(t, retention_of_all);
	tcase_add_test(t, names);
	tcase_add_loop_test(t, deleted_segments, 0, 3);
	tcase_add_loop_test(t, deleted_at_once, 0, 2);
	tcase_add_loop_test(t, deleted_topic, 0, 3);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
