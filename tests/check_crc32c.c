/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: known sums, and every way of computing it against one bit a time. */
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/crc32c.h"

/* One bit a time: too slow to use, too short to be wrong. */
static uint32_t
reference(uint32_t crc, const uint8_t *p, size_t n)
{
	crc = ~crc;
	while (n-- > 0) {
		crc ^= *p++;
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void
fill(uint8_t *p, size_t n)
{
	uint32_t x = 2463534242;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = (uint8_t)x;
	}
}

/* RFC 3720, B.4, and the check value of the catalogue of CRC algorithms. */
START_TEST(known_sums)
{
	static const uint8_t read10[48] = {
		0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14,
		[31] = 0x18, 0x28, [40] = 0x02,
	};
	uint8_t b[32];

	ck_assert_uint_eq(crc32c(0, "", 0), 0);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	memset(b, 0, sizeof b);
	ck_assert_uint_eq(crc32c(0, b, 32), 0x8a9136aa);
	memset(b, 0xff, sizeof b);
	ck_assert_uint_eq(crc32c(0, b, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)i;
	ck_assert_uint_eq(crc32c(0, b, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)(31 - i);
	ck_assert_uint_eq(crc32c(0, b, 32), 0x113fdb5c);
	ck_assert_uint_eq(crc32c(0, read10, 48), 0xd9963a56);
	ck_assert_uint_eq(crc32c_portable(0, read10, 48), 0xd9963a56);
}
END_TEST

/* Each allocation is exact, so that the sanitizer sees a read past the end. */
START_TEST(all_lengths_and_alignments)
{
	static uint8_t bytes[4096];

	fill(bytes, sizeof bytes);
	for (size_t n = 0, want = 0; n <= sizeof bytes; n++) {
		for (size_t at = 0; at < 8; at++) {
			uint8_t *p = malloc(at + n + (at + n == 0));

			memcpy(p + at, bytes, n);
			ck_assert_uint_eq(crc32c(0, p + at, n), want);
			ck_assert_uint_eq(crc32c_portable(0, p + at, n), want);
			free(p);
		}
		if (n < sizeof bytes)
			want = reference((uint32_t)want, bytes + n, 1);
	}
}
END_TEST

START_TEST(large_blocks)
{
	size_t max = 100003;
	uint8_t *p = malloc(max);

	fill(p, max);
	for (size_t n = 4097; n <= max; n = n * 9 / 8) {
		ck_assert_uint_eq(crc32c(0, p, n), reference(0, p, n));
		ck_assert_uint_eq(crc32c_portable(0, p, n), crc32c(0, p, n));
	}
	free(p);
}
END_TEST

START_TEST(chaining)
{
	uint8_t p[8000];
	uint32_t whole;

	fill(p, sizeof p);
	whole = reference(0, p, sizeof p);
	for (size_t cut = 0; cut <= sizeof p; cut += 7) {
		ck_assert_uint_eq(crc32c(crc32c(0, p, cut), p + cut,
		    sizeof p - cut), whole);
		ck_assert_uint_eq(crc32c_portable(crc32c_portable(0, p, cut),
		    p + cut, sizeof p - cut), whole);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("crc32c");
	TCase *t = tcase_create("crc32c");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 0);
	tcase_add_test(t, known_sums);
	tcase_add_test(t, all_lengths_and_alignments);
	tcase_add_test(t, large_blocks);
	tcase_add_test(t, chaining);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
