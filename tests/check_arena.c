/* SPDX-License-Identifier: Apache-2.0 */
/* The bump allocator: zeroed, aligned, apart, and never past its limit. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/arena.h"

static bool
filled(const unsigned char *p, size_t n, unsigned char c)
{
	while (n > 0 && *p == c) {
		p++;
		n--;
	}
	return n == 0;
}

START_TEST(test_alloc)
{
	struct arena a;
	unsigned char *p[2000];

	arena_init(&a, 10 * 1000 * 1000);
	ck_assert_uint_eq(a.used, 0);
	for (size_t i = 0; i < 2000; i++) {
		p[i] = arena_alloc(&a, i);
		ck_assert_ptr_nonnull(p[i]);
		ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
		ck_assert(filled(p[i], i, 0));
		memset(p[i], (int)(i % 255 + 1), i);
	}
	for (size_t i = 0; i < 2000; i++)	/* nobody wrote over another */
		ck_assert(filled(p[i], i, i % 255 + 1));
	ck_assert_uint_ge(a.used, 2000 * 1999 / 2);
	ck_assert_uint_le(a.used, a.limit);
	arena_reset(&a);
	ck_assert_uint_eq(a.used, 0);
	ck_assert_ptr_null(a.head);
}
END_TEST

START_TEST(test_limit)
{
	for (size_t limit = 0; limit < 3000; limit += 7) {
		struct arena a;
		size_t got = 0;

		arena_init(&a, limit);
		while (arena_alloc(&a, 48) != NULL)
			got += 48;
		ck_assert_uint_le(a.used, limit);
		ck_assert_uint_le(got, limit);
		/* Little of it is lost to whole elements. */
		ck_assert_uint_ge(got + 3 * 48, limit);
		arena_reset(&a);
		if (limit >= 48)
			ck_assert_ptr_nonnull(arena_alloc(&a, 48));
		arena_reset(&a);
	}
}
END_TEST

START_TEST(test_large)
{
	struct arena a;
	unsigned char *p;

	arena_init(&a, 8 * 1024 * 1024);
	ck_assert_ptr_nonnull(arena_alloc(&a, 10));
	p = arena_alloc(&a, 5 * 1024 * 1024);	/* more than any chunk */
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p[5 * 1024 * 1024 - 1], 0);
	ck_assert_ptr_null(arena_alloc(&a, 4 * 1024 * 1024));
	ck_assert_ptr_nonnull(arena_alloc(&a, 1024));	/* still usable */
	ck_assert_uint_le(a.used, a.limit);
	arena_reset(&a);
}
END_TEST

START_TEST(test_overflow)
{
	struct arena a;

	arena_init(&a, SIZE_MAX);
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 16));
	ck_assert_ptr_null(arena_array(&a, SIZE_MAX / 8, 16));
	ck_assert_ptr_null(arena_array(&a, 16, SIZE_MAX / 8));
	ck_assert_ptr_null(arena_strndup(&a, "x", SIZE_MAX));
	ck_assert_uint_eq(a.used, 0);
	ck_assert_ptr_nonnull(arena_array(&a, 3, 5));
	arena_reset(&a);
}
END_TEST

START_TEST(test_strndup)
{
	struct arena a;
	char *s;

	arena_init(&a, 4096);
	s = arena_strndup(&a, "hello", 4);
	ck_assert_str_eq(s, "hell");
	s = arena_strndup(&a, NULL, 0);
	ck_assert_str_eq(s, "");
	ck_assert_ptr_null(arena_strndup(&a, "", 4096));
	arena_reset(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("arena");
	TCase *tc = tcase_create("arena");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, test_alloc);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_overflow);
	tcase_add_test(tc, test_strndup);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
