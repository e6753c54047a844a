/* SPDX-License-Identifier: Apache-2.0 */
/* The cursors: every number at its edges, varints, growth, stickiness. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/buf.h"

#define NELEM(a)	(sizeof(a) / sizeof *(a))

START_TEST(test_numbers)
{
	uint8_t b[64];
	struct wr w = wr_fixed(b, sizeof b);
	struct rd r;

	wr_i8(&w, INT8_MIN);
	wr_i16(&w, INT16_MIN);
	wr_i16(&w, 0x1234);
	wr_i32(&w, INT32_MIN);
	wr_i32(&w, 0x12345678);
	wr_i64(&w, INT64_MIN);
	wr_i64(&w, 0x0123456789abcdef);
	wr_f64(&w, -1.5);
	ck_assert(!w.bad);
	ck_assert_uint_eq(w.len, 1 + 2 + 2 + 4 + 4 + 8 + 8 + 8);
	ck_assert_mem_eq(b + 3, "\x12\x34", 2);
	ck_assert_mem_eq(b + 9, "\x12\x34\x56\x78", 4);
	ck_assert_mem_eq(b + 21, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	ck_assert_mem_eq(b + 29, "\xbf\xf8\0\0\0\0\0\0", 8);

	r = rd_of(b, w.len);
	ck_assert_int_eq(rd_i8(&r), INT8_MIN);
	ck_assert_int_eq(rd_i16(&r), INT16_MIN);
	ck_assert_uint_eq(rd_u16(&r), 0x1234);
	ck_assert_int_eq(rd_i32(&r), INT32_MIN);
	ck_assert_uint_eq(rd_u32(&r), 0x12345678);
	ck_assert(rd_i64(&r) == INT64_MIN);
	ck_assert(rd_i64(&r) == 0x0123456789abcdef);
	ck_assert_double_eq(rd_f64(&r), -1.5);
	ck_assert(rd_done(&r));
}
END_TEST

/* The bytes of Kafka's ByteUtilsTest. */
static const struct {
	uint32_t	 x;
	size_t		 n;
	const char	*b;
} uvarints[] = {
	{ 0, 1, "\x00" },
	{ 1, 1, "\x01" },
	{ 63, 1, "\x3f" },
	{ 64, 1, "\x40" },
	{ 127, 1, "\x7f" },
	{ 128, 2, "\x80\x01" },
	{ 8191, 2, "\xff\x3f" },
	{ 8192, 2, "\x80\x40" },
	{ 16383, 2, "\xff\x7f" },
	{ 16384, 3, "\x80\x80\x01" },
	{ 2097151, 3, "\xff\xff\x7f" },
	{ 134217728, 4, "\x80\x80\x80\x40" },
	{ 268435455, 4, "\xff\xff\xff\x7f" },
	{ 268435456, 5, "\x80\x80\x80\x80\x01" },
	{ INT32_MAX, 5, "\xff\xff\xff\xff\x07" },
	{ UINT32_MAX, 5, "\xff\xff\xff\xff\x0f" },
};

static const struct {
	int32_t		 x;
	size_t		 n;
	const char	*b;
} varints[] = {
	{ 0, 1, "\x00" },
	{ -1, 1, "\x01" },
	{ 1, 1, "\x02" },
	{ 63, 1, "\x7e" },
	{ -64, 1, "\x7f" },
	{ 64, 2, "\x80\x01" },
	{ -65, 2, "\x81\x01" },
	{ INT32_MAX, 5, "\xfe\xff\xff\xff\x0f" },
	{ INT32_MIN, 5, "\xff\xff\xff\xff\x0f" },
};

static const struct {
	int64_t		 x;
	size_t		 n;
	const char	*b;
} varlongs[] = {
	{ 0, 1, "\x00" },
	{ -1, 1, "\x01" },
	{ 8191, 2, "\xfe\x7f" },
	{ -8192, 2, "\xff\x7f" },
	{ 17179869184, 6, "\x80\x80\x80\x80\x80\x01" },
	{ INT64_MAX, 10, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" },
	{ INT64_MIN, 10, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" },
};

START_TEST(test_varints)
{
	uint8_t b[16];
	struct wr w;
	struct rd r;

	for (size_t i = 0; i < NELEM(uvarints); i++) {
		w = wr_fixed(b, sizeof b);
		wr_uvarint(&w, uvarints[i].x);
		ck_assert_uint_eq(w.len, uvarints[i].n);
		ck_assert_mem_eq(b, uvarints[i].b, w.len);
		r = rd_of(b, w.len);
		ck_assert_uint_eq(rd_uvarint(&r), uvarints[i].x);
		ck_assert(rd_done(&r));
	}
	for (size_t i = 0; i < NELEM(varints); i++) {
		w = wr_fixed(b, sizeof b);
		wr_varint(&w, varints[i].x);
		ck_assert_uint_eq(w.len, varints[i].n);
		ck_assert_mem_eq(b, varints[i].b, w.len);
		r = rd_of(b, w.len);
		ck_assert_int_eq(rd_varint(&r), varints[i].x);
		ck_assert(rd_done(&r));
	}
	for (size_t i = 0; i < NELEM(varlongs); i++) {
		w = wr_fixed(b, sizeof b);
		wr_varlong(&w, varlongs[i].x);
		ck_assert_uint_eq(w.len, varlongs[i].n);
		ck_assert_mem_eq(b, varlongs[i].b, w.len);
		r = rd_of(b, w.len);
		ck_assert(rd_varlong(&r) == varlongs[i].x);
		ck_assert(rd_done(&r));
	}
}
END_TEST

START_TEST(test_varints_bad)
{
	static const struct { size_t n32, n64; const char *b; } bad[] = {
		{ 0, 0, "" },
		{ 1, 1, "\x80" },
		{ 4, 4, "\xff\xff\xff\xff" },
		{ 5, 0, "\xff\xff\xff\xff\x10" },	/* 33 bits */
		{ 5, 0, "\xff\xff\xff\xff\x1f" },
		{ 6, 0, "\x80\x80\x80\x80\x80\x01" },	/* 6 bytes */
		{ 10, 10, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02" },
		{ 10, 10, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" },
		{ 11, 11, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" },
	};
	struct rd r;

	for (size_t i = 0; i < NELEM(bad); i++) {
		r = rd_of(bad[i].b, bad[i].n32);
		ck_assert_uint_eq(rd_uvarint(&r), 0);
		ck_assert(r.bad);
		r = rd_of(bad[i].b, bad[i].n32);
		ck_assert_int_eq(rd_varint(&r), 0);
		ck_assert(r.bad);
		if (i > 0 && bad[i].n64 == 0)
			continue;
		r = rd_of(bad[i].b, bad[i].n64);
		ck_assert(rd_varlong(&r) == 0);
		ck_assert(r.bad);
	}
}
END_TEST

START_TEST(test_read_sticks)
{
	static const uint8_t b[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct rd r = rd_of(b, 7);

	ck_assert(rd_i64(&r) == 0);		/* one short */
	ck_assert(r.bad);
	ck_assert(!rd_done(&r));
	ck_assert_int_eq(rd_i8(&r), 0);		/* though there is one */
	ck_assert_int_eq(rd_i16(&r), 0);
	ck_assert_int_eq(rd_i32(&r), 0);
	ck_assert_uint_eq(rd_uvarint(&r), 0);
	ck_assert_ptr_null(rd_take(&r, 0));
	ck_assert_uint_eq(rd_left(&r), 7);	/* nothing was taken */

	r = rd_of(b, 8);
	ck_assert_ptr_eq(rd_take(&r, 8), b);
	ck_assert_ptr_eq(rd_take(&r, 0), b + 8);
	ck_assert(rd_done(&r));
	ck_assert_ptr_null(rd_take(&r, SIZE_MAX));
	ck_assert(r.bad);

	r = rd_of(NULL, 0);
	ck_assert(rd_done(&r));
	ck_assert_ptr_null(rd_take(&r, 0));
	ck_assert(!r.bad);
	ck_assert_int_eq(rd_i8(&r), 0);
	ck_assert(r.bad);
}
END_TEST

START_TEST(test_write_fixed)
{
	uint8_t b[8];
	struct wr w = wr_fixed(b, 7);

	memset(b, 0xee, sizeof b);
	wr_i32(&w, 1);
	wr_i32(&w, 2);			/* one short */
	ck_assert(w.bad);
	ck_assert_uint_eq(w.len, 4);
	wr_i8(&w, 3);			/* would fit, but it is too late */
	wr_uvarint(&w, 3);
	wr_bytes(&w, "x", 1);
	ck_assert_uint_eq(w.len, 4);
	ck_assert_mem_eq(b + 4, "\xee\xee\xee\xee", 4);
	ck_assert_ptr_null(wr_room(&w, 0));
	wr_free(&w);			/* not ours: harmless */
	ck_assert_ptr_eq(w.p, b);

	w = wr_fixed(b, sizeof b);
	ck_assert_ptr_eq(wr_room(&w, 8), b);
	ck_assert_ptr_eq(wr_room(&w, 0), b + 8);
	ck_assert_ptr_null(wr_room(&w, SIZE_MAX));
	ck_assert(w.bad);
}
END_TEST

START_TEST(test_write_grows)
{
	struct wr w = wr_grow(100 * 1000);
	struct rd r;

	for (int32_t i = 0; i < 25000; i++)
		wr_i32(&w, i);
	ck_assert(!w.bad);
	ck_assert_uint_eq(w.len, 100 * 1000);
	ck_assert_uint_le(w.cap, 100 * 1000);
	r = rd_of(w.p, w.len);
	for (int32_t i = 0; i < 25000; i++)
		ck_assert_int_eq(rd_i32(&r), i);
	ck_assert(rd_done(&r));

	wr_i8(&w, 0);			/* past max */
	ck_assert(w.bad);
	ck_assert_uint_eq(w.len, 100 * 1000);
	wr_free(&w);
	ck_assert_ptr_null(w.p);
	ck_assert_uint_eq(w.len, 0);
	wr_i8(&w, 7);			/* usable again */
	ck_assert(!w.bad);
	ck_assert_int_eq(w.p[0], 7);
	wr_free(&w);

	w = wr_grow(3);
	wr_bytes(&w, "abc", 3);
	ck_assert(!w.bad);
	wr_bytes(&w, "", 0);
	ck_assert(!w.bad);
	wr_bytes(&w, "d", 1);
	ck_assert(w.bad);
	wr_free(&w);

	w = wr_grow(1000);
	ck_assert_ptr_nonnull(wr_room(&w, 0));
	ck_assert_ptr_null(wr_room(&w, SIZE_MAX));
	ck_assert(w.bad);
	wr_free(&w);
	wr_free(&w);
}
END_TEST

START_TEST(test_big_endian)
{
	uint8_t b[9] = { 0 };

	be16_put(b + 1, 0x0102);	/* unaligned on purpose */
	ck_assert_mem_eq(b + 1, "\x01\x02", 2);
	ck_assert_uint_eq(be16(b + 1), 0x0102);
	be32_put(b + 1, 0x01020304);
	ck_assert_mem_eq(b + 1, "\x01\x02\x03\x04", 4);
	ck_assert_uint_eq(be32(b + 1), 0x01020304);
	be64_put(b + 1, 0x0102030405060708);
	ck_assert_mem_eq(b + 1, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
	ck_assert(be64(b + 1) == 0x0102030405060708);
}
END_TEST

START_TEST(test_double)
{
	static const double ds[] = { 0, -0.0, 1e308, -5e-324, INFINITY };
	uint8_t b[8];
	struct wr w;
	struct rd r;
	double d;

	for (size_t i = 0; i < NELEM(ds); i++) {
		w = wr_fixed(b, sizeof b);
		wr_f64(&w, ds[i]);
		r = rd_of(b, sizeof b);
		d = rd_f64(&r);
		ck_assert_mem_eq(&d, &ds[i], sizeof d);
	}
	w = wr_fixed(b, sizeof b);
	wr_f64(&w, NAN);
	r = rd_of(b, sizeof b);
	ck_assert(isnan(rd_f64(&r)));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("buf");
	TCase *tc = tcase_create("buf");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, test_numbers);
	tcase_add_test(tc, test_varints);
	tcase_add_test(tc, test_varints_bad);
	tcase_add_test(tc, test_read_sticks);
	tcase_add_test(tc, test_write_fixed);
	tcase_add_test(tc, test_write_grows);
	tcase_add_test(tc, test_big_endian);
	tcase_add_test(tc, test_double);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
