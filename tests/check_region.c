/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared region: pieces never overlap, the lowest place wins, what is
 * given back can be had again as a whole, and new ground is touched late.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ck.h"
#include "gateway/region.h"
#include "lib/limits.h"

#define PG	REGION_PAGE

static struct region g;

static void
setup(void)
{
	ck_assert_int_eq(region_open(&g, 64 * PG), E_OK);
}

static void
teardown(void)
{
	region_close(&g);
}

START_TEST(lowest_first)
{
	int64_t a, b, c;

	a = region_alloc(&g, 1);
	b = region_alloc(&g, PG + 1);
	c = region_alloc(&g, PG);
	ck_assert_int_eq(a, 0);
	ck_assert_int_eq(b, PG);
	ck_assert_int_eq(c, 3 * PG);
	region_free(&g, b, PG + 1);
	ck_assert_int_eq(region_alloc(&g, 3 * PG), 4 * PG);
	ck_assert_int_eq(region_alloc(&g, PG), PG);
	ck_assert_int_eq(region_alloc(&g, PG), 2 * PG);
}
END_TEST

START_TEST(exhausted)
{
	int64_t p[64];

	ck_assert_int_eq(region_alloc(&g, 64 * PG + 1), -1);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(p[i] = region_alloc(&g, PG), i * PG);
	ck_assert_int_eq(region_alloc(&g, 1), -1);
	/* Every other one, then the rest: one span again. */
	for (int i = 0; i < 64; i += 2)
		region_free(&g, p[i], PG);
	ck_assert_uint_eq(g.nfree, 32);
	ck_assert_int_eq(region_alloc(&g, PG + 1), -1);
	for (int i = 63; i > 0; i -= 2)
		region_free(&g, p[i], PG);
	ck_assert_uint_eq(g.nfree, 1);
	ck_assert_int_eq(region_alloc(&g, 64 * PG), 0);
}
END_TEST

START_TEST(growth)
{
	int64_t a = region_alloc(&g, PG), b;

	ck_assert_int_eq(region_grow(&g, a, PG, 10 * PG), E_OK);
	b = region_alloc(&g, PG);
	ck_assert_int_eq(b, 10 * PG);
	ck_assert_int_eq(region_grow(&g, a, 10 * PG, 10 * PG), E_OK);
	ck_assert_int_eq(region_grow(&g, a, 10 * PG, 10 * PG + 1), E_BUSY);
	ck_assert_int_eq(region_grow(&g, b, PG, 55 * PG), E_BUSY);
	ck_assert_int_eq(region_grow(&g, b, PG, 54 * PG), E_OK);
	region_free(&g, b, 54 * PG);
	region_free(&g, a, 10 * PG);
	ck_assert_uint_eq(g.nfree, 1);
}
END_TEST

START_TEST(moved)
{
	int64_t a = region_alloc(&g, PG), b = region_alloc(&g, PG);

	memset(g.base + a, 'a', PG);
	ck_assert_int_eq(region_move(&g, &a, PG, 3 * PG), E_OK);
	ck_assert_int_eq(a, 2 * PG);
	ck_assert_int_eq(g.base[a], 'a');
	ck_assert_int_eq(g.base[a + PG - 1], 'a');
	ck_assert_int_eq(region_alloc(&g, PG), 0);
	ck_assert_int_eq(region_move(&g, &b, PG, 64 * PG), E_BUSY);
	ck_assert_int_eq(b, PG);
}
END_TEST

/* The ground before, its own and behind are enough together. */
START_TEST(slid)
{
	int64_t a = region_alloc(&g, 20 * PG), b = region_alloc(&g, 30 * PG);

	for (int i = 0; i < 30 * PG; i++)
		g.base[b + i] = (uint8_t)(i / PG);
	region_free(&g, a, 20 * PG);
	ck_assert_int_eq(region_move(&g, &b, 30 * PG, 65 * PG), E_BUSY);
	ck_assert_int_eq(b, 20 * PG);
	ck_assert_uint_eq(g.nfree, 2);
	ck_assert_int_eq(region_move(&g, &b, 30 * PG, 60 * PG), E_OK);
	ck_assert_int_eq(b, 0);
	for (int i = 0; i < 30 * PG; i++)
		ck_assert_int_eq(g.base[b + i], i / PG);
	region_free(&g, b, 60 * PG);
	ck_assert_uint_eq(g.nfree, 1);
}
END_TEST

/* What is held stays, address and all; who maps the old sees no change. */
START_TEST(renewed)
{
	int64_t a = region_alloc(&g, 3 * PG), b, c;
	uint8_t *base = g.base, *old;

	b = region_alloc(&g, PG);
	c = region_alloc(&g, 2 * PG);
	for (int i = 0; i < 6 * PG; i++)
		g.base[i] = (uint8_t)(i / PG + 1);
	old = mmap(NULL, g.size, PROT_READ, MAP_SHARED, g.fd, 0);
	ck_assert_ptr_ne(old, MAP_FAILED);
	region_free(&g, b, PG);
	ck_assert_int_eq(region_renew(&g), E_OK);
	ck_assert_ptr_eq(g.base, base);
	for (int i = 0; i < 6 * PG; i++) {
		if (i / PG != 3)
			ck_assert_int_eq(g.base[i], i / PG + 1);
		ck_assert_int_eq(old[i], i / PG + 1);
	}
	memset(g.base, 'n', g.size);
	for (int i = 0; i < 6 * PG; i++)
		ck_assert_int_eq(old[i], i / PG + 1);
	ck_assert_int_eq(region_alloc(&g, PG), b);
	region_free(&g, a, 3 * PG);
	region_free(&g, b, PG);
	region_free(&g, c, 2 * PG);
	ck_assert_uint_eq(g.nfree, 1);
	munmap(old, g.size);
}
END_TEST

/* Random work against a map of owners. */
START_TEST(random_work)
{
	struct { int64_t at; size_t n; } p[40];
	uint8_t owner[64] = { 0 };
	int k;
	size_t more;

	memset(p, -1, sizeof p);
	srandom(4711);
	for (int i = 0; i < 200000; i++) {
		k = (int)(random() % 40);
		if (p[k].at < 0) {
			p[k].n = 1 + (size_t)random() % (6 * PG);
			p[k].at = region_alloc(&g, p[k].n);
		} else if (random() % 3 == 0) {
			more = p[k].n + (size_t)random() % (4 * PG);
			if (region_move(&g, &p[k].at, p[k].n, more) == E_OK)
				p[k].n = more;
		} else {
			region_free(&g, p[k].at, p[k].n);
			p[k].at = -1;
		}
		if (i % 64 != 0)
			continue;
		memset(owner, 0, sizeof owner);
		for (k = 0; k < 40; k++)
			for (size_t q = 0; p[k].at >= 0 && q < p[k].n; q += PG)
				ck_assert_int_eq(
				    owner[(size_t)p[k].at / PG + q / PG]++, 0);
	}
	for (k = 0; k < 40; k++)
		if (p[k].at >= 0)
			region_free(&g, p[k].at, p[k].n);
	ck_assert_uint_eq(g.nfree, 1);
	ck_assert_uint_eq(g.free[0].len, g.size);
}
END_TEST

START_TEST(sealed_and_lazy)
{
	struct region big;
	struct stat st;

	ck_assert_int_eq(region_open(&big, 64 * MIB), E_OK);
	ck_assert_int_eq(fcntl(big.fd, F_GET_SEALS),
	    F_SEAL_SHRINK | F_SEAL_SEAL);
	ck_assert_int_ne(ftruncate(big.fd, 0), 0);
	ck_assert_int_eq(region_alloc(&big, MIB / 2), 0);
	ck_assert_int_eq(fstat(big.fd, &st), 0);
	ck_assert_int_le(st.st_blocks * 512, 2 * MIB);
	region_close(&big);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("region");
	TCase *t = tcase_create("region");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lowest_first);
	tcase_add_test(t, exhausted);
	tcase_add_test(t, growth);
	tcase_add_test(t, moved);
	tcase_add_test(t, slid);
	tcase_add_test(t, renewed);
	tcase_add_test(t, random_work);
	tcase_add_test(t, sealed_and_lazy);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
