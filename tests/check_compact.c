/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction against a model: random histories of keys, values, tombstones,
 * producers and codecs, with restarts and crashes between them.  The newest
 * record of a key is always there, offsets and bytes of records never change,
 * nothing that was superseded comes back, and a tombstone stays for as long as
 * it was promised.  Then the rules one by one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "keylog.h"
#include "log/compact.h"
#include "offline/fsck.h"

/* ---- histories ---------------------------------------------------------- */

START_TEST(test_model)
{
	kl.journal = _i % 2 == 1;
	kl_begin((uint32_t)_i * 7919 + 1);
	if (_i % 3 == 1)
		kl.tc->message_timestamp_type = TS_APPEND;
	for (int round = 0; round < 12; round++) {
		kl_put_some((int)kl_rnd(25) + 5);
		if (kl_rnd(3) == 0)
			kl_again(kl_rnd(2) == 0);
		if (kl_rnd(3) == 0)
			rig_now += kl.tc->delete_retention_ms / 2;
		if (kl_rnd(4) > 0)
			kl_clean();
		kl_check();
	}
	kl_clean();
	kl_check();
	ck_assert_int_gt(kl.r.eng.stats.compactions, 0);
	ck_assert_int_gt(kl.p->clean.to, 0);
	kl_again(true);
	kl_check();
	kl_end();
}
END_TEST

/* A map that holds a few keys only: several passes, and the same result. */
START_TEST(test_small_map)
{
	kl_begin((uint32_t)_i + 501);
	kl.r.conf.log_cleaner_dedupe_buffer_size = KEYMAP_ENTRY * 12;
	for (int round = 0; round < 6; round++) {
		kl_put_some(30);
		kl_roll();
		kl_clean();
		kl_check_segs(kl.p->segs, kl.p->nsegs, &kl.p->clean);
		kl_check_fetch();
		kl_check_producers();
	}
	ck_assert_int_gt(kl.r.eng.stats.compactions, 6);
	kl_end();
}
END_TEST

/* ---- tombstones --------------------------------------------------------- */

static bool
there(int64_t offset)
{
	kl_check_segs(kl.p->segs, kl.p->nsegs, &kl.p->clean);
	return kl.recs[offset].seen;
}

/* The first pass gives the horizon, one after it removes. */
START_TEST(test_tombstone)
{
	int64_t first;

	kl_begin(1);
	kl_put(1, 10);
	kl_put(2, 10);
	kl_put(1, -1);			/* offset 2 */
	kl_roll();
	rig_settle(&kl.r, 15000);
	first = rig_now;
	kl.recs[2].stays = first + kl.tc->delete_retention_ms;
	ck_assert_int_eq(kl.p->clean.to, 3);
	ck_assert(!there(0));
	ck_assert(there(1));
	ck_assert(there(2));
	/* A pass before its time is up. */
	kl_put(3, 1);
	kl_roll();
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 2);
	ck_assert(there(2));
	rig_now = first + kl.tc->delete_retention_ms - 15001;
	kl_put(4, 1);
	kl_roll();
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 3);
	ck_assert(there(2));
	kl_put(5, 1);
	kl_roll();
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 4);
	ck_assert(!there(2));
	kl_again(true);
	ck_assert(!there(0) && there(1) && !there(2));
	kl_end();
}
END_TEST

/* ---- what is cleanable, and when ---------------------------------------- */

START_TEST(test_ratio)
{
	kl_begin(2);
	kl.tc->min_cleanable_dirty_ratio = 0.5;
	for (int i = 0; i < 20; i++)
		kl_put(i, 100);
	kl_roll();
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	/* As much again is not more than half. */
	for (int i = 0; i < 8; i++)
		kl_put(i, 100);
	kl_roll();
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	for (int i = 0; i < 30; i++)
		kl_put(i % 20, 100);
	kl_roll();
	/* ... nor is it when a restart has forgotten nothing. */
	kl_again(false);
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	kl_check();
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	kl_again(_i == 1);
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 0);
	kl_check();
	kl_end();
}
END_TEST

START_TEST(test_min_lag)
{
	kl_begin(3);
	kl.tc->min_compaction_lag_ms = 100000;
	kl_put(1, 10);
	kl_put(1, 11);
	kl_roll();
	rig_settle(&kl.r, 60000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 0);
	kl_check();
	rig_settle(&kl.r, 60000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	kl_check();
	kl_end();
}
END_TEST

/* However little is dirty; and the growing segment is closed in time. */
START_TEST(test_max_lag)
{
	kl_begin(4);
	kl.tc->min_cleanable_dirty_ratio = 1;
	kl_put(1, 10);
	kl_put(1, 11);
	kl_roll();
	if (_i == 1)
		kl_again(false);	/* when they began is forgotten */
	rig_settle(&kl.r, 200000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 0);
	kl.tc->max_compaction_lag_ms = 150000;
	rig_settle(&kl.r, 15000);
	engine_drain(&kl.r.eng);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	ck_assert_int_eq(kl.p->nsegs, 2);
	rig_now += 200000;
	kl_put(2, 1);
	ck_assert_int_eq(kl.p->nsegs, 3);
	kl_check();
	kl_end();
}
END_TEST

/* The policy is another one: nothing is touched, nor left behind. */
START_TEST(test_policy)
{
	kl_begin(5);
	kl_put(1, 10);
	kl_put(1, 11);
	kl_roll();
	kl.tc->cleanup_policy = CLEANUP_DELETE;
	rig_settle(&kl.r, 60000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 0);
	kl.r.conf.log_cleaner_io_max_bytes_per_second = 40;
	kl.tc->cleanup_policy = CLEANUP_COMPACT;
	rig_settle(&kl.r, 15000);
	ck_assert(kl.p->clean.busy);
	kl.tc->cleanup_policy = CLEANUP_DELETE;
	rig_settle(&kl.r, 15000);
	ck_assert(!kl.p->clean.busy);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 0);
	kl_check();
	kl_end();
}
END_TEST

/* With a limit a pass takes its time, and stops when the engine does. */
START_TEST(test_throttle)
{
	kl_begin(6);
	kl_put_some(30);
	kl_roll();
	kl.r.conf.log_cleaner_io_max_bytes_per_second = 4000;
	rig_settle(&kl.r, 15000);
	for (int i = 0; i < 3; i++)
		rig_settle(&kl.r, 500);
	ck_assert(kl.p->clean.busy);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 0);
	if (_i == 1) {
		kl_again(false);
		ck_assert(!kl.p->clean.busy);
		kl_check();
	}
	for (int i = 0; i < 100; i++)
		rig_settle(&kl.r, 1000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	kl_check();
	kl_end();
}
END_TEST

/* compact,delete does both; compact removes only what DeleteRecords took. */
START_TEST(test_retention)
{
	kl_begin(7);
	kl.tc->retention_ms = 1000000;
	kl_put(1, 10);
	kl_put(2, 10);
	kl_roll();
	kl_put(3, 10);
	kl_roll();
	rig_settle(&kl.r, 15000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	rig_settle(&kl.r, 2000000);
	ck_assert_int_eq(kl.p->start, 0);
	if (_i == 0)
		part_trim(kl.p, 3);
	else
		kl.tc->cleanup_policy = CLEANUP_COMPACT | CLEANUP_DELETE;
	rig_settle(&kl.r, 400000);
	ck_assert_int_ge(kl.p->start, 3);
	ck_assert_int_ge(kl.p->segs[0]->base, _i == 0 ? 0 : 3);
	kl_end();
}
END_TEST

/* Who reads an old segment goes on reading it, also by its index. */
START_TEST(test_reader)
{
	struct seg *old;
	struct idx_entry e;
	uint8_t *was, *now;
	size_t got;
	int n;

	kl_begin(8);
	kl.tc->file_delete_delay_ms = 60000;
	kl.tc->index_interval_bytes = 100;
	part_policy(kl.p);
	kl_put_some(40);
	kl_roll();
	old = seg_ref(kl.p->segs[0]);
	was = malloc((size_t)old->size);
	now = malloc((size_t)old->size);
	ck_assert_int_eq(disk->pread(kl_fd(old), was, (size_t)old->size, 0,
	    &got), E_OK);
	ck_assert_int_eq(seg_idx_load(old, old->idx.nfile, 0, INT64_MAX, &e,
	    1, &n), E_OK);
	ck_assert_int_eq(n, 1);
	kl_clean();
	ck_assert_ptr_ne(kl.p->segs[0], old);
	ck_assert_int_eq(disk->pread(kl_fd(old), now, (size_t)old->size, 0,
	    &got), E_OK);
	ck_assert_int_eq(got, old->size);
	ck_assert_mem_eq(was, now, got);
	ck_assert_int_eq(seg_idx_load(old, old->idx.nfile, 0, INT64_MAX, &e,
	    1, &n), E_OK);
	ck_assert_int_eq(n, 0);
	seg_unref(old);
	free(was);
	free(now);
	kl_check();
	rig_settle(&kl.r, 100000);		/* the old files go */
	kl_check();
	kl_again(true);
	kl_check();
	kl_end();
}
END_TEST

static void
put_and_compact(void)
{
	kl_put_some(40);
	kl_roll();
	kl_clean();
	ck_assert_int_gt(kl.r.eng.stats.compactions, 0);
	kl_check();
}

struct epoch_first { int32_t epoch; int64_t at; int n; };

static int
epoch_each(const struct batch *b, int64_t pos, void *arg)
{
	struct epoch_first *x = arg;

	(void)pos;
	if (b->leader_epoch != x->epoch)
		return 0;
	x->at = b->base_offset;
	x->n = 1;
	return 1;
}

/* Where the batches of an epoch begin; returns whether there are any. */
static int
first_of_epoch(int32_t epoch, int64_t *at)
{
	struct epoch_first x = { .epoch = epoch };
	int64_t end;

	for (int i = 0; i < kl.p->nsegs && x.n == 0; i++)
		ck_assert_int_eq(seg_walk(kl_fd(kl.p->segs[i]), 0,
		    kl.p->segs[i]->size, epoch_each, &x, &end), E_OK);
	*at = x.at;
	return x.n;
}

static int
drop_snapshot(const char *name, void *arg)
{
	char path[PATH_SIZE];
	int64_t at;

	if (seg_name(name, ".prod", &at)) {
		snprintf(path, sizeof path, "%s/%s", (char *)arg, name);
		sim_put(kl.r.disk, path, NULL, 0);
	}
	return 0;
}

/* Without snapshots of producers the log alone tells of them; and it tells
 * where its leader epochs began, of which nothing else is left. */
START_TEST(test_headers)
{
	char dir[PATH_SIZE];
	int64_t end, began;
	int32_t epoch;

	kl_begin(13);
	kl_put_some(20);
	kl_again(true);
	began = kl.n;
	kl_put(1, 10);
	kl_put_some(40);
	epoch = kl.p->epoch;
	for (int k = 0; k < KL_KEYS; k++)
		kl_put(k, 1);
	kl_roll();
	kl_clean();
	kl_check();
	part_dir(kl.p, dir);
	engine_drain(&kl.r.eng);
	rig_kill(&kl.r);
	ck_assert_int_eq(disk->list(dir, drop_snapshot, dir), E_OK);
	ck_assert_int_eq(rig_open(&kl.r), E_OK);
	kl.p = topic_find(&kl.r.eng.topics, kstr_of("t"))->parts[0];
	kl.tc = &kl.p->topic->conf;
	kl_check_producers();
	ck_assert_int_eq(first_of_epoch(epoch, &end), 1);
	ck_assert_int_eq(end, began);
	kl_end();
}
END_TEST

static void
told(struct fsck *c, const struct finding *f)
{
	(void)c;
	ck_assert_msg(f->state != FOUND_BAD, "%s: %s", f->path, f->why);
}

/* The check of the data directory knows that it was compacted, though the
 * topic's policy, as the catalogue has it, is another one, and no index says
 * that offsets are missing. */
START_TEST(test_check)
{
	struct fsck c = { .deep = true, .report = told };
	char idx[PATH_SIZE];

	kl_begin(12);
	put_and_compact();
	idx_path(kl.p->segs[0], idx);
	ck_assert_int_eq(rig_stop(&kl.r), E_OK);
	c.conf = &kl.r.conf;
	ck_assert_int_eq(fsck_dir(&c, "data"), E_OK);
	ck_assert_int_eq(c.bad + c.fixable, 0);
	sim_put(kl.r.disk, idx, NULL, 0);
	ck_assert_int_eq(fsck_dir(&c, "data"), E_OK);
	ck_assert_int_eq(c.bad, 0);
	ck_assert_int_gt(c.fixable, 0);
	ck_assert_int_gt(c.batches, 0);
	ck_assert_int_eq(rig_open(&kl.r), E_OK);
	kl_end();
}
END_TEST

/* The bytes of a segment's file, to be freed. */
static uint8_t *
bytes_of(const struct seg *s, size_t *n)
{
	const uint8_t *p = sim_bytes(kl.r.disk, s->path, n);
	uint8_t *copy = malloc(*n);

	memcpy(copy, p, *n);
	return copy;
}

/* Where the nth batch begins. */
static size_t
batch_at(const uint8_t *p, size_t size, int n)
{
	size_t at = 0;
	struct batch b;

	while (n-- > 0 && at < size) {
		ck_assert_int_eq(batch_read(p + at, &b), E_OK);
		at += (size_t)batch_size(&b);
	}
	return at < size ? at : 0;
}

/* A segment with a damaged batch stays as it is, and the others are compacted:
 * whichever it is, wherever in it, before its first pass or after some. */
START_TEST(test_damage)
{
	static const int places[] = { 2, 8, 16, 17, 30, 57, 61, 70 };
	uint8_t *whole, *hurt, *now;
	char path[256];
	int64_t before;
	size_t n, m, at;
	int which;

	kl_begin((uint32_t)_i + 900);
	kl_put_some(45);
	kl_roll();
	if (_i % 3 == 2) {
		kl_clean();
		kl_put_some(15);
		kl_roll();
	}
	ck_assert_int_gt(kl.p->nsegs, 3);
	which = (int)kl_rnd((uint32_t)kl.p->nsegs - 1);
	snprintf(path, sizeof path, "%s", kl.p->segs[which]->path);
	whole = bytes_of(kl.p->segs[which], &n);
	hurt = malloc(n);
	memcpy(hurt, whole, n);
	at = batch_at(whole, n, (int)kl_rnd(6));
	hurt[at + (size_t)places[_i % 8]] ^= 0x41;
	sim_put(kl.r.disk, path, hurt, n);
	before = kl.r.eng.stats.compactions;
	for (int i = 0; i < 3; i++) {
		rig_settle(&kl.r, 60000);
		/* Horizons are given, though nothing counts as clean. */
		for (int k = 0; k < kl.p->clean.seen; k++)
			if (kl.recs[k].value < 0 &&
			    kl.recs[k].stays == INT64_MAX)
				kl.recs[k].stays = rig_now - 60000 +
				    kl.tc->delete_retention_ms;
		kl_put_some(8);
		kl_roll();
	}
	rig_settle(&kl.r, 60000);
	ck_assert_int_gt(kl.r.eng.stats.compactions, before);
	ck_assert_int_eq(kl.p->clean.tries, 0);
	ck_assert_int_eq(kl.p->clean.refused, 1);
	ck_assert_int_eq(kl.p->state, PART_ONLINE);
	ck_assert_int_le(kl.p->clean.to, kl.p->clean.seen);
	now = malloc(n);
	memcpy(now, sim_bytes(kl.r.disk, path, &m), n);
	ck_assert(m == n && memcmp(now, hurt, n) == 0);
	sim_put(kl.r.disk, path, whole, n);
	kl_check_newest(kl.p->segs, kl.p->nsegs);
	/* Nothing is asked for twice in vain. */
	before = kl.r.eng.stats.compactions;
	rig_settle(&kl.r, 60000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, before);
	/* And when it is whole again all is as it would have been. */
	kl_put_some(10);
	kl_roll();
	if (_i % 2 == 0)
		kl_again(_i % 4 == 0);
	kl_clean();
	ck_assert_int_eq(kl.p->clean.refused, 0);
	ck_assert_int_eq(kl.p->clean.to, kl.p->clean.seen);
	kl_check();
	free(now);
	free(hurt);
	free(whole);
	kl_end();
}
END_TEST

static bool
is_left(int64_t offset)
{
	for (int i = 0; i < kl.n; i++)
		kl.recs[i].seen = false;
	for (int i = 0; i < kl.p->nsegs; i++)
		(void)kl_check_seg(kl.p->segs[i]);
	return kl.recs[offset].seen;
}

/* What a tombstone hides in a segment that cannot be compacted stays hidden,
 * also once that can be again. */
START_TEST(test_damage_tombstone)
{
	uint8_t *p;
	char path[256];
	size_t n;

	kl_begin(77);
	kl_put(1, 10);			/* 0 */
	kl_roll();			/* 1 */
	kl_put(1, -1);			/* 2 */
	kl_roll();			/* 3 */
	snprintf(path, sizeof path, "%s", kl.p->segs[0]->path);
	p = bytes_of(kl.p->segs[0], &n);
	p[BATCH_HEADER + 2] ^= 1;
	sim_put(kl.r.disk, path, p, n);
	for (int i = 0; i < 4; i++) {
		rig_settle(&kl.r, 60000);
		ck_assert_int_eq(kl.p->clean.refused, 1);
		if (_i == 1)
			kl_again(i % 2 == 0);
		rig_now += kl.tc->delete_retention_ms;
		kl_put(5 + i, 1);
		kl_roll();
	}
	rig_settle(&kl.r, 60000);
	p[BATCH_HEADER + 2] ^= 1;
	sim_put(kl.r.disk, path, p, n);
	ck_assert(is_left(0));
	ck_assert(is_left(2));
	for (int i = 0; i < 3; i++) {
		kl_put(10 + i, 1);
		kl_roll();
		rig_settle(&kl.r, 60000);
		ck_assert(is_left(2) || !is_left(0));
	}
	ck_assert_int_eq(kl.p->clean.refused, 0);
	ck_assert(!is_left(0) && !is_left(2));
	free(p);
	kl_end();
}
END_TEST

/* Each read of a pass fails once: at most that segment is left out. */
START_TEST(test_read_errors)
{
	bool failed = true;

	for (int64_t n = 1; failed; n++) {
		kl_begin(31);
		kl_put_some(12);
		kl_roll();
		sim_count_reset(kl.r.disk);
		sim_fail_op(kl.r.disk, SIM_PREAD, n, E_IO);
		rig_settle(&kl.r, 60000);
		failed = sim_failed(kl.r.disk);
		ck_assert_int_eq(kl.p->state, PART_ONLINE);
		kl_check_newest(kl.p->segs, kl.p->nsegs);
		kl_put_some(5);
		kl_roll();
		rig_settle(&kl.r, 4000000);
		kl_clean();
		kl_check();
		kl_end();
		ck_assert_int_lt(n, 1000);
	}
}
END_TEST

/* ---- transactions ------------------------------------------------------- */

static void
put_txn(int64_t pid, int key, int32_t value)
{
	struct batch_maker m;

	batch_make(&m, 1 * MIB);
	m.b.pid = pid;
	m.b.epoch = 0;
	m.b.base_seq = 0;
	m.b.attrs = BATCH_TXN;
	kl_add(&m, key, value, 0);
	kl_send(&m, CODEC_NONE);
}

static void
put_marker(int64_t pid, bool commit)
{
	static const uint8_t keys[2][4] = { { 0, 0, 0, 0 }, { 0, 0, 0, 1 } };
	static const uint8_t value[6];
	struct batch_maker m;

	batch_make(&m, 1 * MIB);
	m.b.pid = pid;
	m.b.epoch = 0;
	m.b.attrs = BATCH_TXN | BATCH_CONTROL;
	kl.recs[kl.n] = (struct kl_rec){ .key = -2, .ts = rig_now, .value = 6,
	    .batch = kl.n };
	batch_add(&m, rig_now, keys[commit], 4, value, 6, NULL, 0);
	kl.n++;
	kl_send(&m, CODEC_NONE);
}

/* What is left: an offset each, markers too; empty headers are not told. */
static int
left(int64_t *v)
{
	int n = 0;

	for (int i = 0; i < kl.p->nsegs; i++) {
		const struct seg *s = kl.p->segs[i];
		uint8_t *bytes = malloc((size_t)s->size + 1);
		struct batch_iter it;
		struct record x;
		struct batch b;
		size_t got;

		ck_assert_int_eq(disk->pread(kl_fd(s), bytes,
		    (size_t)s->size, 0, &got), E_OK);
		for (int64_t pos = 0; pos < s->size; pos += batch_size(&b)) {
			ck_assert_int_eq(batch_read(bytes + pos, &b), E_OK);
			ck_assert_int_eq(batch_iter_open(&it, bytes + pos,
			    (size_t)batch_size(&b), INFLATE_MAX), E_OK);
			while (batch_iter_next(&it, &x) == E_OK)
				v[n++] = x.offset;
			batch_iter_close(&it);
		}
		free(bytes);
	}
	return n;
}

static void
expect(int n, const int64_t *want)
{
	int64_t v[100];

	ck_assert_int_eq(left(v), n);
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(v[i], want[i]);
}

/* Producers that nobody knows any more: nothing is kept for them. */
static void
forget_producers(void)
{
	(void)prod_expire(kl.p->prods, INT64_MAX, 1000);
}

START_TEST(test_transactions)
{
	kl_begin(10);
	kl_put(1, 10);			/* 0 */
	put_txn(7, 1, 20);		/* 1: aborted */
	put_txn(8, 2, 20);		/* 2: committed */
	put_marker(7, false);		/* 3 */
	put_marker(8, true);		/* 4 */
	put_txn(7, 3, 20);		/* 5: open */
	kl_roll();				/* 6 */
	forget_producers();
	rig_settle(&kl.r, 60000);
	/* The open one is in the only segment: nothing may go. */
	ck_assert_int_eq(kl.r.eng.stats.compactions, 0);
	expect(7, (const int64_t[]){ 0, 1, 2, 3, 4, 5, 6 });
	put_marker(7, true);		/* 7 */
	rig_settle(&kl.r, 60000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	/* Aborted data is gone.  No data of it was met before its marker in
	 * this pass?  It was: so the marker stays for the next. */
	expect(7, (const int64_t[]){ 0, 2, 3, 4, 5, 6, 7 });
	kl_put(2, 30);			/* 8: supersedes 2 */
	kl_roll();				/* 9 */
	forget_producers();
	rig_settle(&kl.r, 60000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 2);
	/* Marker 3 has its horizon now; 2 is gone, its marker stays. */
	expect(8, (const int64_t[]){ 0, 3, 4, 5, 6, 7, 8, 9 });
	rig_now += kl.tc->delete_retention_ms;
	kl_put(4, 30);			/* 10 */
	kl_roll();				/* 11 */
	rig_settle(&kl.r, 60000);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 3);
	/* 4 has its horizon now; the roll's key supersedes itself. */
	expect(8, (const int64_t[]){ 0, 4, 5, 7, 8, 9, 10, 11 });
	rig_now += kl.tc->delete_retention_ms;
	kl_put(5, 30);			/* 12 */
	kl_roll();				/* 13 */
	rig_settle(&kl.r, 60000);
	expect(8, (const int64_t[]){ 0, 5, 7, 8, 10, 11, 12, 13 });
	kl_again(_i == 1);
	expect(8, (const int64_t[]){ 0, 5, 7, 8, 10, 11, 12, 13 });
	kl_end();
}
END_TEST

/* ---- the parts ---------------------------------------------------------- */

START_TEST(test_keymap)
{
	struct keymap *m;
	char k[32];
	int n = 0;

	ck_assert_int_eq(keymap_new(1 * MIB, 1000, &m), E_OK);
	ck_assert_int_eq(keymap_get(m, "", 0), -1);
	keymap_put(m, "", 0, 0);
	for (int i = 1; i < 1000; i++)
		keymap_put(m, k, (size_t)sprintf(k, "%d", i), i);
	ck_assert_int_eq(keymap_count(m), 1000);
	for (int i = 1; i < 1000; i++)
		ck_assert_int_eq(keymap_get(m, k, (size_t)sprintf(k, "%d",
		    i)), i);
	ck_assert_int_eq(keymap_get(m, "", 0), 0);
	ck_assert_int_eq(keymap_get(m, "1000", 4), -1);
	keymap_put(m, "7", 1, 5000);
	ck_assert_int_eq(keymap_get(m, "7", 1), 5000);
	ck_assert_int_eq(keymap_count(m), 1000);
	ck_assert_int_le(keymap_bytes(m), 1112 * KEYMAP_ENTRY);
	keymap_free(m);
	/* One that is too small for all keys is filled to nine tenths. */
	ck_assert_int_eq(keymap_new(100 * KEYMAP_ENTRY, 1000000, &m), E_OK);
	for (; !keymap_full(m); n++)
		keymap_put(m, &n, sizeof n, n);
	ck_assert_int_eq(n, 90);
	ck_assert_int_eq(keymap_bytes(m), 100 * KEYMAP_ENTRY);
	keymap_free(m);
	ck_assert_int_eq(keymap_new(0, 0, &m), E_OK);
	ck_assert(!keymap_full(m));
	keymap_free(m);
}
END_TEST

static bool
odd(const struct record *x, void *arg)
{
	(void)arg;
	return x->offset % 2 == 1;
}

/* What a batch says of itself afterwards. */
START_TEST(test_sieve)
{
	struct batch_sieve how = { .keep = odd, .horizon = 12345, .level =
	    INT32_MIN };
	struct wr in = wr_grow(1 * MIB), out = wr_grow(1 * MIB);
	struct batch b, was;
	enum batch_fate fate;
	struct batch_maker m;
	enum codec codec = (enum codec)_i;

	batch_make(&m, 1 * MIB);
	m.b.base_offset = 100;
	m.b.leader_epoch = 3;
	m.b.pid = 9;
	m.b.epoch = 2;
	m.b.base_seq = 40;
	for (int i = 0; i < 5; i++)
		batch_add(&m, 1000 - i, "k", 1, i == 3 ? NULL : "v", i == 3 ?
		    -1 : 1, NULL, 0);
	ck_assert_int_eq(batch_finish(&m, codec, INT32_MIN, &in), E_OK);
	ck_assert_int_eq(batch_read(in.p, &was), E_OK);
	ck_assert_int_eq(batch_sieve(in.p, in.len, &how, &out, &b, &fate),
	    E_OK);
	ck_assert_int_eq(fate, BATCH_LESS);
	ck_assert_int_eq(batch_read(out.p, &b), E_OK);
	ck_assert(batch_crc_ok(out.p, out.len));
	ck_assert_int_eq(b.base_offset, 100);
	ck_assert_int_eq(b.last_delta, 4);
	ck_assert_int_eq(b.count, 2);
	ck_assert_int_eq(b.attrs, BATCH_HORIZON | codec);
	ck_assert_int_eq(b.base_ts, 12345);
	ck_assert_int_eq(b.max_ts, 999);
	ck_assert_int_eq(b.pid, 9);
	ck_assert_int_eq(b.base_seq, 40);
	ck_assert_int_eq(b.leader_epoch, 3);
	/* Again: its horizon stays, and nothing changes. */
	in.len = 0;
	wr_bytes(&in, out.p, out.len);
	out.len = 0;
	how.horizon = 99999;
	ck_assert_int_eq(batch_sieve(in.p, in.len, &how, &out, &b, &fate),
	    E_OK);
	ck_assert_int_eq(fate, BATCH_SAME);
	ck_assert_int_eq(out.len, 0);
	/* Nothing is left of the rest, or a header. */
	in.p[7] = 101;
	ck_assert_int_eq(batch_sieve(in.p, in.len, &how, &out, &b, &fate),
	    E_OK);
	ck_assert_int_eq(fate, BATCH_GONE);
	how.header = true;
	ck_assert_int_eq(batch_sieve(in.p, in.len, &how, &out, &b, &fate),
	    E_OK);
	ck_assert_int_eq(fate, BATCH_LESS);
	ck_assert_int_eq(out.len, BATCH_HEADER);
	ck_assert_int_eq(b.count, 0);
	ck_assert_int_eq(b.attrs, 0);
	ck_assert_int_eq(b.last_delta, 4);
	ck_assert_int_eq(b.base_ts, -1);
	ck_assert_int_eq(b.base_seq, 40);
	ck_assert_int_eq(batch_records_ts(&b), -1);
	wr_free(&in);
	wr_free(&out);
}
END_TEST

static TCase *
tcase(Suite *s, const char *name)
{
	TCase *c = tcase_create(name);

	tcase_set_timeout(c, 600);
	suite_add_tcase(s, c);
	return c;
}

int
main(void)
{
	bool quick = getenv("CHRONIK_QUICK") != NULL;
	Suite *s = suite_create("compact");
	TCase *parts = tcase(s, "parts"), *rules = tcase(s, "rules");
	TCase *model = tcase(s, "model");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(parts, test_keymap);
	tcase_add_loop_test(parts, test_sieve, 0, CODEC_MAX);
	tcase_add_test(rules, test_tombstone);
	tcase_add_loop_test(rules, test_ratio, 0, 2);
	tcase_add_test(rules, test_min_lag);
	tcase_add_loop_test(rules, test_max_lag, 0, 2);
	tcase_add_test(rules, test_policy);
	tcase_add_loop_test(rules, test_throttle, 0, 2);
	tcase_add_loop_test(rules, test_retention, 0, 2);
	tcase_add_test(rules, test_reader);
	tcase_add_test(rules, test_check);
	tcase_add_test(rules, test_headers);
	tcase_add_loop_test(rules, test_damage, 0, 24);
	tcase_add_loop_test(rules, test_damage_tombstone, 0, 2);
	tcase_add_test(rules, test_read_errors);
	tcase_add_loop_test(rules, test_transactions, 0, 2);
	tcase_add_loop_test(model, test_model, 0, quick ? 6 : 20);
	tcase_add_loop_test(model, test_small_map, 0, quick ? 2 : 6);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
