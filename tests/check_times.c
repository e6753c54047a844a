/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timestamps of a shard: what was put in comes out, for one document, for
 * ranges, in shards that grow and in finished ones; damage is an error, not a
 * document that is not found.
 *
 *     check_times SHARD: damages those of a shard that grows, for other tests
 */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "shard.h"
#include "times.h"
#include "xap.h"

enum { IDS = 3 * TIMES_BLOCK, RANGES = 200 };

static char dir[] = "/tmp/chronik-check-times.XXXXXX";
static char hot[SHARD_PATH], cold[64];
static bool there[IDS + 1];
static int64_t ts[IDS + 1];

static void
setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(hot, sizeof hot, "%s/hot", dir);
	snprintf(cold, sizeof cold, "%s/cold", dir);
	srand(1);
}

static void
teardown(void)
{
	ck_assert_int_eq(tree_remove(dir), E_OK);
}

/* Timestamps that stay, grow and go back. */
static int64_t
next_ts(int64_t before)
{
	switch (rand() % 8) {
	case 0:
		return before + rand() % 1000;
	case 1:
		return before - rand() % 100;
	default:
		return before;
	}
}

/* Documents from an id on, with gaps, in one transaction. */
static void
add(uint32_t from, uint32_t to, int gaps)
{
	struct xap_writer *w;
	struct times *t;
	int64_t now = 1795392664928;

	ck_assert_int_eq(xap_writer_open(hot, &w), E_OK);
	ck_assert_int_eq(times_open(w, from, &t), E_OK);
	for (uint32_t id = from; id <= to; id++) {
		there[id] = rand() % 100 >= gaps;
		if (!there[id])
			continue;
		now = next_ts(now);
		ts[id] = rand() % 300 > 0 ? now : rand() % 2 > 0 ? INT64_MAX :
		    INT64_MIN;
		ck_assert_int_eq(xap_term(w, "a", 1, 1), E_OK);
		ck_assert_int_eq(times_add(t, id, ts[id]), E_OK);
		ck_assert_int_eq(xap_add(w, id), E_OK);
	}
	ck_assert_int_eq(times_store(t), E_OK);
	ck_assert_int_eq(xap_commit(w), E_OK);
	times_close(t);
	xap_writer_close(w);
}

static void
check_range(struct xap_db *db, int64_t low, int64_t high)
{
	static uint32_t ids[IDS + 1];
	struct xap_query *q = xap_q_times(low, high);
	uint32_t n = 0, total = 0, want = 0;

	ck_assert_ptr_nonnull(q);
	ck_assert_int_eq(xap_match(db, q, 1, IDS, ids, &n), E_OK);
	ck_assert_int_eq(xap_count(db, q, &total), E_OK);
	xap_q_free(q);
	for (uint32_t id = 1; id <= IDS; id++)
		if (there[id] && ts[id] >= low && ts[id] <= high) {
			ck_assert_uint_lt(want, n);
			ck_assert_uint_eq(ids[want++], id);
		}
	ck_assert_uint_eq(n, want);
	ck_assert_uint_eq(total, want);
}

static void
check_shard(const char *path)
{
	struct xap_db *db;
	int64_t low = INT64_MAX, high = INT64_MIN, got, got2;

	ck_assert_int_eq(xap_open(path, &db), E_OK);
	for (uint32_t id = 1; id <= IDS; id++)
		if (there[id]) {
			ck_assert_int_eq(times_get(db, id, &got), E_OK);
			ck_assert_int_eq(got, ts[id]);
			low = ts[id] < low ? ts[id] : low;
			high = ts[id] > high ? ts[id] : high;
		}
	ck_assert_int_eq(times_bounds(db, &got, &got2), E_OK);
	ck_assert_int_eq(got, low);
	ck_assert_int_eq(got2, high);
	for (int i = 0; i < RANGES; i++) {
		int64_t a = ts[1 + rand() % IDS], b = ts[1 + rand() % IDS];

		check_range(db, a, b);
		check_range(db, a, a);
	}
	check_range(db, INT64_MIN, INT64_MAX);
	xap_close(db);
}

START_TEST(test_shard)
{
	/* In steps that end in a block, at its end, and far in the next. */
	add(1, 100, _i);
	add(101, TIMES_BLOCK, _i);
	add(TIMES_BLOCK + 1, 2 * TIMES_BLOCK + 50, _i);
	add(2 * TIMES_BLOCK + 51, IDS - 1, _i);
	add(IDS, IDS, 0);
	check_shard(hot);
	ck_assert_int_eq(xap_compact(hot, cold), E_OK);
	check_shard(cold);
}
END_TEST

/* No document in a whole block, and in most of another. */
START_TEST(test_gaps)
{
	add(TIMES_BLOCK - 5, TIMES_BLOCK - 3, 0);
	add(2 * TIMES_BLOCK + 100, IDS, 99);
	check_shard(hot);
}
END_TEST

static void
damage(const char *block, size_t n)
{
	struct xap_writer *w;

	ASSERT(xap_writer_open(hot, &w) == E_OK);
	ASSERT(xap_meta_set(w, "time.00", block, n) == E_OK);
	ASSERT(xap_commit(w) == E_OK);
	xap_writer_close(w);
}

START_TEST(test_damage)
{
	static const struct { const char *p; size_t n; } blocks[] = {
		{ "\x02", 1 },			/* no number of ids */
		{ "\x02\x00", 2 },		/* none of them */
		{ "\x02\x81\x20", 3 },		/* more than the block has */
		{ "\x02\x05\x02\xfd\x1f", 5 },	/* the same, later */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", 12 },
	};
	struct xap_query *q = xap_q_times(INT64_MAX, INT64_MAX);
	uint32_t ids[100], n;
	struct xap_writer *w;
	struct xap_db *db;
	struct times *t;
	int64_t got;

	add(1, 100, 0);
	for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
		damage(blocks[i].p, blocks[i].n);
		ck_assert_int_eq(xap_open(hot, &db), E_OK);
		ck_assert_int_eq(times_get(db, 100, &got), E_CORRUPT);
		ck_assert_int_eq(xap_match(db, q, 1, 100, ids, &n),
		    E_CORRUPT);
		xap_close(db);
		ck_assert_int_eq(xap_writer_open(hot, &w), E_OK);
		ck_assert_int_eq(times_open(w, 101, &t), E_CORRUPT);
		xap_writer_close(w);
	}
	xap_q_free(q);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *s;
	TCase *tc;
	SRunner *r;
	int failed;

	if (argc > 1) {
		snprintf(hot, sizeof hot, "%s", argv[1]);
		damage("\x02", 1);
		return 0;
	}
	s = suite_create("times");
	tc = tcase_create("times");
	r = srunner_create(s);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_shard, 0, 3);
	tcase_add_test(tc, test_gaps);
	tcase_add_test(tc, test_damage);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
