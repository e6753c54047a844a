/* SPDX-License-Identifier: Apache-2.0 */
/* The sparse index: what waits in memory, what is in the file, and that no
 * damage to the file makes a lookup answer wrong. */
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/log.h"
#include "log/idx.h"
#include "simdisk.h"

#define PATH	"x.idx"
static const struct log_id id = { { { 9, 8, 7 } }, 3 };
enum { BASE = 1000, N = 300 };

static struct sim *sim;

static void
setup(void)
{
	sim = sim_new();
	sim_use(sim);
	disk = &simdisk;
}

static void
teardown(void)
{
	ck_assert_int_eq(sim_open_handles(sim), 0);
	sim_free(sim);
}

#define OK(call)	ck_assert_int_eq(call, E_OK)

START_TEST(test_note)
{
	struct idx x;

	idx_init(&x);
	ck_assert_int_eq(x.npending, 0);
	ck_assert_ptr_null(idx_pending_find(&x, 0, INT64_MAX));
	OK(idx_note(&x, 0, 0, -1));		/* the first batch: none */
	OK(idx_note(&x, 5, 4095, 10));
	ck_assert_int_eq(x.npending, 0);
	OK(idx_note(&x, 6, 4096, 10));
	OK(idx_note(&x, 7, 8191, 12));		/* 4095 bytes further */
	ck_assert_int_eq(x.npending, 1);
	OK(idx_note(&x, 9, 9000, 15));
	ck_assert_int_eq(x.npending, 2);
	OK(idx_checkpoint(&x, 12, 9100, 15));
	OK(idx_checkpoint(&x, 12, 9100, 15));
	ck_assert_int_eq(x.npending, 3);
	ck_assert_int_eq(x.last.offset, 12);
	ck_assert_int_eq(idx_ready(&x, 0), 0);
	ck_assert_int_eq(idx_ready(&x, 4095), 0);
	ck_assert_int_eq(idx_ready(&x, 4096), 1);
	ck_assert_int_eq(idx_ready(&x, 9099), 2);
	ck_assert_int_eq(idx_ready(&x, 9100), 3);

	ck_assert_ptr_null(idx_pending_find(&x, 0, 5));
	ck_assert_int_eq(idx_pending_find(&x, 0, 6)->pos, 4096);
	ck_assert_int_eq(idx_pending_find(&x, 0, 11)->pos, 9000);
	ck_assert_int_eq(idx_pending_find(&x, 0, 99)->pos, 9100);
	ck_assert_ptr_null(idx_pending_find(&x, 1, 4095));
	ck_assert_int_eq(idx_pending_find(&x, 1, 9000)->offset, 9);
	ck_assert_ptr_null(idx_pending_find(&x, 2, 10));
	ck_assert_int_eq(idx_pending_find(&x, 2, 11)->offset, 6);
	ck_assert_int_eq(idx_pending_find(&x, 2, 16)->offset, 12);

	idx_flushed(&x, 2);
	ck_assert_int_eq(x.npending, 1);
	ck_assert_int_eq(x.nfile, 2);
	ck_assert_int_eq(x.pending[0].offset, 12);
	idx_flushed(&x, 1);
	ck_assert_int_eq(x.nfile, 3);
	OK(idx_note(&x, 13, 13000, 15));	/* 3900 bytes further */
	ck_assert_int_eq(x.npending, 0);
	idx_free(&x);
}
END_TEST

/* A log that nobody syncs takes little memory, whatever its size. */
START_TEST(test_bound)
{
	struct idx x;

	idx_init(&x);
	for (int64_t i = 1; i <= 1024 * 1024; i++)
		OK(idx_note(&x, i, i * 1024, i));
	ck_assert_int_gt(x.npending, IDX_PENDING_MAX);
	ck_assert_int_lt(x.npending, 12 * IDX_PENDING_MAX);
	idx_free(&x);
}
END_TEST

/* Entry i: offset BASE + 10 i, position 5000 i, timestamp 100 i / 3. */
static struct idx_entry
entry(int64_t i)
{
	return (struct idx_entry){ BASE + 10 * i, 5000 * i, 100 * (i / 3) };
}

static void
fill(int n, bool sealed)
{
	struct idx_entry e[N];

	for (int i = 0; i < n; i++)
		e[i] = entry(i + 1);
	OK(idx_append(PATH, &id, BASE, e, 1, 0, sealed && n == 1));
	if (n > 1)
		OK(idx_append(PATH, &id, BASE, e + 1, n - 1, 1, sealed));
}

START_TEST(test_file)
{
	struct idx_entry last, e;
	struct log_id other = id;
	int64_t n;
	bool sealed;
	size_t size;

	ck_assert_int_eq(idx_open(PATH, &id, BASE, &n, &last, &sealed),
	    E_NOTFOUND);
	fill(N, false);
	(void)sim_bytes(sim, PATH, &size);
	ck_assert_uint_eq(size, IDX_HEADER + N * IDX_ENTRY);
	OK(idx_open(PATH, &id, BASE, &n, &last, &sealed));
	ck_assert_int_eq(n, N);
	ck_assert_int_eq(last.pos, 5000 * N);
	ck_assert(!sealed);
	e = entry(N);
	OK(idx_append(PATH, &id, BASE, &e, 1, N - 1, true));
	OK(idx_open(PATH, &id, BASE, &n, &last, &sealed));
	ck_assert_int_eq(n, N);
	ck_assert(sealed);
	/* Somebody else's. */
	ck_assert_int_eq(idx_open(PATH, &id, BASE + 1, &n, &last, &sealed),
	    E_CORRUPT);
	ck_assert_int_eq(n, 0);
	other.part = 4;
	ck_assert_int_eq(idx_open(PATH, &other, BASE, &n, &last, &sealed),
	    E_CORRUPT);
	OK(idx_cut(PATH, 2));
	OK(idx_open(PATH, &id, BASE, &n, &last, &sealed));
	ck_assert_int_eq(n, 2);
	ck_assert_int_eq(last.offset, BASE + 20);
	ck_assert(!sealed);
	/* From the start again: nothing of the old stays. */
	fill(1, true);
	OK(idx_open(PATH, &id, BASE, &n, &last, &sealed));
	ck_assert_int_eq(n, 1);
	ck_assert(sealed);
	OK(idx_cut(PATH, 0));
	OK(idx_cut(PATH, 0));
	ck_assert_int_eq(idx_open(PATH, &id, BASE, &n, &last, &sealed),
	    E_NOTFOUND);
}
END_TEST

/* Looks a value up by each key, in a file where bad[i] entries are broken. */
static void
lookup(const bool *bad)
{
	struct idx_entry out[7], e;
	int n, want;

	for (int by = 0; by < 3; by++)
		for (int64_t i = 0; i < (N + 2) * 30; i++) {
			int64_t v = by == 0 ? BASE + i : by == 1 ? i * 500 :
			    i * 10 / 3;

			for (want = N; want > 0; want--) {
				e = entry(want);
				if ((bad == NULL || !bad[want - 1]) &&
				    (by == 0 ? e.offset <= v : by == 1 ?
				    e.pos <= v : e.max_ts < v))
					break;
			}
			OK(idx_load(PATH, &id, BASE, N, by, v, out, 7, &n));
			ck_assert_int_eq(n > 0, want > 0);
			if (n > 0)
				ck_assert_int_eq(out[0].pos, 5000 * want);
			for (int k = 1; k < n; k++) {
				while (bad != NULL && bad[want])
					want++;
				e = entry(++want);
				ck_assert_int_eq(out[k].offset, e.offset);
				ck_assert_int_eq(out[k].max_ts, e.max_ts);
			}
			if (bad == NULL && n > 0 && n < 7)
				ck_assert_int_eq(want, N);
		}
}

START_TEST(test_load)
{
	struct idx_entry out[N + 10];
	int n;

	fill(N, false);
	lookup(NULL);
	OK(idx_load(PATH, &id, BASE, N, 1, 5000, out, N + 10, &n));
	ck_assert_int_eq(n, N);
	ck_assert_int_eq(out[N - 1].pos, 5000 * N);
	OK(idx_load(PATH, &id, BASE, N, 1, 5000, out, 0, &n));
	ck_assert_int_eq(n, 0);
	OK(idx_load(PATH, &id, BASE, 0, 1, 5000, out, 9, &n));
	ck_assert_int_eq(n, 0);
}
END_TEST

static uint8_t *
copy(size_t *n)
{
	const uint8_t *p = sim_bytes(sim, PATH, n);
	uint8_t *q = malloc(*n);

	memcpy(q, p, *n);
	return q;
}

/* Holes of any shape cost entries, and nothing else. */
START_TEST(test_holes)
{
	struct idx_entry last;
	uint8_t *p;
	int64_t n;
	size_t size;
	bool sealed, bad[N + 1] = { false };

	fill(N, true);
	p = copy(&size);
	for (int i = 0; i < N; i++)
		bad[i] = i < 3 || (i > 20 && i < 180) || i % 11 == 0 ||
		    i > N - 5;
	for (int i = 0; i < N; i++)
		if (bad[i])
			memset(p + IDX_HEADER + i * IDX_ENTRY, 0, IDX_ENTRY);
	sim_put(sim, PATH, p, size);
	lookup(bad);
	OK(idx_open(PATH, &id, BASE, &n, &last, &sealed));
	ck_assert_int_eq(n, N - 4);
	ck_assert_int_eq(last.pos, 5000 * (N - 4));
	ck_assert(!sealed);
	/* A part of an entry at the end is none. */
	sim_put(sim, PATH, p, IDX_HEADER + 10 * IDX_ENTRY + 31);
	OK(idx_open(PATH, &id, BASE, &n, &last, &sealed));
	ck_assert_int_eq(n, 10);
	/* All bad. */
	memset(p + IDX_HEADER, 0xff, size - IDX_HEADER);
	sim_put(sim, PATH, p, size);
	OK(idx_open(PATH, &id, BASE, &n, &last, &sealed));
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(last.pos, 0);
	free(p);
}
END_TEST

/* A crash leaves a short header or zeros; anything else is damage. */
START_TEST(test_header)
{
	struct idx_entry last;
	uint8_t *p, zero[200] = { 0 };
	int64_t n;
	size_t size;
	bool sealed;

	fill(3, true);
	p = copy(&size);
	for (size_t i = 0; i < size; i++) {
		enum err want = i < IDX_HEADER ? E_CORRUPT : E_OK, err;

		p[i] ^= 4;
		sim_put(sim, PATH, p, size);
		p[i] ^= 4;
		err = idx_open(PATH, &id, BASE, &n, &last, &sealed);
		ck_assert_int_eq(err, want);
		ck_assert_int_eq(n, i < IDX_HEADER ? 0 :
		    i < IDX_HEADER + 2 * IDX_ENTRY ? 3 : 2);
		sim_put(sim, PATH, p, i);
		err = idx_open(PATH, &id, BASE, &n, &last, &sealed);
		ck_assert_int_eq(err, i < IDX_HEADER ? E_NOTFOUND : E_OK);
		sim_put(sim, PATH, zero, i);
		err = idx_open(PATH, &id, BASE, &n, &last, &sealed);
		ck_assert_int_eq(err, E_NOTFOUND);
	}
	free(p);
}
END_TEST

/* Errors of the disk are passed on, and nothing leaks. */
START_TEST(test_faults)
{
	struct idx_entry e[9], out[9];
	int n;
	int64_t got;
	bool sealed, over = false;

	for (int i = 0; i < 9; i++)
		e[i] = entry(i + 1);
	for (int64_t k = 1; !over; k++) {
		enum err err;

		sim_count_reset(sim);
		sim_fail_at(sim, k, E_IO, false);
		err = idx_append(PATH, &id, BASE, e, 9, 0, false);
		if (err == E_OK)
			err = idx_open(PATH, &id, BASE, &got, out, &sealed);
		if (err == E_OK)
			err = idx_load(PATH, &id, BASE, 9, 0, BASE + 35, out,
			    9, &n);
		if (err == E_OK)
			err = idx_cut(PATH, 4);
		over = sim_calls(sim) < k;
		ck_assert_int_eq(err, over ? E_OK : E_IO);
		ck_assert_int_eq(sim_open_handles(sim), 0);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("idx");
	TCase *tc = tcase_create("idx");
	SRunner *sr = srunner_create(s);
	int failed;

	log_setup("check_idx", LOG_FATAL, LOG_TEXT);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_note);
	tcase_add_test(tc, test_bound);
	tcase_add_test(tc, test_file);
	tcase_add_test(tc, test_load);
	tcase_add_test(tc, test_holes);
	tcase_add_test(tc, test_header);
	tcase_add_test(tc, test_faults);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
