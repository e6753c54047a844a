/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: every code point, and every string of three bytes, by its number. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/utf8.h"

/* RFC 3629 section 3. */
static size_t
put(uint32_t c, uint8_t *p)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		p[i] = (uint8_t)(0x80 | (c & 0x3f));
	p[0] = (uint8_t)(first[n] | c);
	return n;
}

START_TEST(code_points)
{
	uint8_t p[5];

	for (uint32_t c = 0; c < 0x200000; c++) {
		size_t n = put(c, p);
		bool ok = c < 0xd800 || (c >= 0xe000 && c < 0x110000);

		p[n] = 0x80;
		ck_assert_uint_eq(utf8_len(p, n + 1), ok ? n : 0);
		ck_assert_uint_eq(utf8_len(p, n), ok ? n : 0);
		ck_assert_int_eq(utf8_valid(p, n), ok);
		ck_assert(!utf8_valid(p, n + 1));
		if (n > 1)
			ck_assert_uint_eq(utf8_len(p, n - 1), 0);
	}
}
END_TEST

/* Of the strings of three bytes as many are valid as there are ways to make
 * them of characters. */
START_TEST(three_bytes)
{
	const uint32_t one = 0x80, two = 0x800 - 0x80,
	    three = 0x10000 - 0x800 - 0x800;
	uint32_t valid = 0;

	for (uint32_t c = 0; c < 1 << 24; c++) {
		uint8_t p[3] = { (uint8_t)(c >> 16), (uint8_t)(c >> 8),
		    (uint8_t)c };

		valid += utf8_valid(p, 3);
	}
	ck_assert_uint_eq(valid, one * one * one + 2 * one * two + three);
}
END_TEST

/* Eight bytes at a time or not: a bad byte is seen wherever it stands. */
START_TEST(anywhere)
{
	uint8_t p[40];

	for (size_t n = 0; n <= sizeof p; n++) {
		memset(p, 'a', sizeof p);
		ck_assert(utf8_valid(p, n));
		for (size_t i = 0; i < n; i++) {
			p[i] = 0xff;
			ck_assert(!utf8_valid(p, n));
			p[i] = 'a';
		}
	}
	ck_assert(utf8_valid(NULL, 0));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("utf8");
	TCase *t = tcase_create("utf8");
	SRunner *r;
	int failed;

	tcase_add_test(t, code_points);
	tcase_add_test(t, three_bytes);
	tcase_add_test(t, anywhere);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
