/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message formats 0 and 1: up and down and back, what other writers made, and
 * sets that are broken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "ck.h"
#include "lib/batch.h"
#include "lib/crc32c.h"
#include "lib/limits.h"

#include "batch_gen.h"

#define CAP	(256 * MIB)

/* A message as the format writes it; value is plain bytes. */
static void
put_message(struct wr *w, int magic, int attrs, int64_t offset, int64_t ts,
    const void *key, int32_t key_len, const void *value, int32_t value_len)
{
	size_t from = w->len;

	wr_i64(w, offset);
	wr_i32(w, 0);
	wr_i32(w, 0);
	wr_i8(w, (int8_t)magic);
	wr_i8(w, (int8_t)attrs);
	if (magic == 1)
		wr_i64(w, ts);
	wr_i32(w, key_len);
	wr_bytes(w, key, key_len > 0 ? (size_t)key_len : 0);
	wr_i32(w, value_len);
	wr_bytes(w, value, value_len > 0 ? (size_t)value_len : 0);
	be32_put(w->p + from + 8, (uint32_t)(w->len - from - 12));
	be32_put(w->p + from + 12, (uint32_t)crc32_z(0, w->p + from + 16,
	    w->len - from - 16));
}

/* A wrapper of what set holds. */
static void
put_wrapper(struct wr *w, int magic, enum codec codec, int attrs,
    int64_t offset, int64_t ts, const struct wr *set)
{
	struct wr z = wr_grow(CAP);

	ck_assert_int_eq(codec_deflate(codec, INT32_MIN, set->p, set->len, &z,
	    magic == 0), E_OK);
	put_message(w, magic, (int)codec | attrs, offset, ts, NULL, -1, z.p,
	    (int32_t)z.len);
	wr_free(&z);
}

static enum err
up(const void *set, size_t n, struct wr *out, struct batch_facts *f)
{
	uint8_t *p = exact_copy(set, n);
	const char *why;
	enum err e = batch_up_convert(p, n, false, out, f, &why);

	ck_assert((e == E_OK) == (why == NULL));
	free(p);
	return e;
}

static enum err
up_err(const struct wr *set)
{
	struct wr out = wr_grow(CAP);
	struct batch_facts f;
	enum err e = up(set->p, set->len, &out, &f);

	ck_assert(e == E_OK || out.len == 0);
	wr_free(&out);
	return e;
}

/* Every record of one batch, but for headers and, in format 0, times. */
static void
expect_records(const uint8_t *p, size_t n, const struct made *m, int magic)
{
	struct batch_facts f;
	struct batch_iter it;
	const char *why;
	struct record r;
	uint8_t *q = exact_copy(p, n);

	ck_assert_int_eq(batch_check(q, n, true, true, &f, &why), E_OK);
	ck_assert(!f.fixed);
	ck_assert_int_eq(batch_iter_open(&it, q, n, CAP), E_OK);
	for (int32_t i = 0; i < m->count; i++) {
		struct made_record want = m->recs[i];

		want.nheaders = 0;
		if (magic == 0)
			want.ts = -1;
		ck_assert_int_eq(batch_iter_next(&it, &r), E_OK);
		ck_assert_int_eq(r.offset, i);
		ck_assert(made_same(&want, &r));
	}
	ck_assert_int_eq(batch_iter_next(&it, &r), E_EOF);
	batch_iter_close(&it);
	free(q);
}

/* up(down(x)) is x, but for headers, and times in format 0. */
START_TEST(down_and_up)
{
	int magic = _i % 2;
	enum codec codec = _i / 2;
	uint32_t seed = 77 + (uint32_t)_i;

	for (int round = 0; round < 40; round++) {
		struct made m = made_up(&seed, 1 + (int32_t)(made_rnd(&seed) %
		    (round % 10 == 0 ? 2000 : 20)), true);
		struct wr set = wr_grow(CAP), out = wr_grow(CAP);
		struct batch_facts f;
		struct batch b;
		size_t n;
		uint8_t *p = made_batch(&m, codec, &n);

		batch_assign(p, (int64_t)made_rnd(&seed) << 20, 3);
		ck_assert_int_eq(batch_down_convert(p, n, magic, 0, &set),
		    E_OK);
		ck_assert_int_eq(up(set.p, set.len, &out, &f), E_OK);
		expect_records(out.p, out.len, &m, magic);
		ck_assert_int_eq(batch_read(out.p, &b), E_OK);
		ck_assert_uint_eq(b.attrs, (unsigned)codec);
		ck_assert_int_eq(b.base_offset, 0);
		ck_assert_int_eq(b.pid, -1);
		ck_assert_int_eq(f.max_ts, b.max_ts);
		wr_free(&set);
		wr_free(&out);
		free(p);
		made_free(&m);
	}
}
END_TEST

/* One message, read as a client does. */
struct seen {
	int64_t		 offset, ts;
	int		 magic, attrs;
	const uint8_t	*value;
	int32_t		 value_len;
};

static struct seen
see(struct rd *r)
{
	struct seen s = { .offset = rd_i64(r) };
	size_t size = rd_u32(r);
	const uint8_t *body = rd_take(r, size);
	struct rd m;
	int32_t key_len;

	ck_assert_ptr_nonnull(body);
	ck_assert_uint_eq(be32(body), crc32_z(0, body + 4, size - 4));
	m = rd_of(body + 4, size - 4);
	s.magic = rd_i8(&m);
	s.attrs = rd_i8(&m);
	s.ts = s.magic == 1 ? rd_i64(&m) : -1;
	key_len = rd_i32(&m);
	rd_take(&m, key_len > 0 ? (size_t)key_len : 0);
	s.value_len = rd_i32(&m);
	s.value = rd_take(&m, s.value_len > 0 ? (size_t)s.value_len : 0);
	ck_assert(rd_done(&m));
	return s;
}

static void
make_one(struct wr *out, enum codec codec, int64_t base, int count)
{
	struct batch_maker m;

	batch_make(&m, CAP);
	for (int i = 0; i < count; i++)
		batch_add(&m, 100 + (i * 7) % 5, "k", 1, "v", 1, NULL, 0);
	m.b.base_offset = base;
	ck_assert_int_eq(batch_finish(&m, codec, INT32_MIN, out), E_OK);
}

/* Offsets and times of wrappers and of what they hold, in both formats. */
START_TEST(wrapper_offsets)
{
	int magic = _i;
	struct wr log = wr_grow(CAP), set = wr_grow(CAP), plain;
	struct rd r, in;
	struct seen s;

	make_one(&log, CODEC_GZIP, 1000, 5);
	make_one(&log, CODEC_LZ4, 1005, 5);
	make_one(&log, CODEC_NONE, 1010, 2);
	/* From the middle of the first batch. */
	ck_assert_int_eq(batch_down_convert(log.p, log.len, magic, 1002,
	    &set), E_OK);
	r = rd_of(set.p, set.len);
	for (int b = 0; b < 2; b++) {
		int64_t first = b == 0 ? 1002 : 1005, last = 1004 + 5 * b;

		s = see(&r);
		ck_assert_int_eq(s.magic, magic);
		ck_assert_int_eq(s.attrs, b == 0 ? CODEC_GZIP : CODEC_LZ4);
		ck_assert_int_eq(s.offset, last);
		/* Times are 100 102 104 101 103. */
		ck_assert_int_eq(s.ts, magic == 0 ? -1 : 104);
		plain = wr_grow(CAP);
		ck_assert_int_eq(codec_inflate(s.attrs, s.value,
		    (size_t)s.value_len, &plain, CAP, magic == 0), E_OK);
		in = rd_of(plain.p, plain.len);
		for (int64_t o = first; o <= last; o++) {
			s = see(&in);
			ck_assert_int_eq(s.magic, magic);
			ck_assert_int_eq(s.attrs, 0);
			ck_assert_int_eq(s.offset, magic == 0 ? o : o - first);
		}
		ck_assert(rd_done(&in));
		wr_free(&plain);
	}
	for (int64_t o = 1010; o < 1012; o++) {
		s = see(&r);
		ck_assert_int_eq(s.offset, o);
		ck_assert_int_eq(s.attrs, 0);
	}
	ck_assert(rd_done(&r));
	wr_free(&log);
	wr_free(&set);
}
END_TEST

/* The header checksum of lz4: broken in format 0, right in format 1. */
START_TEST(lz4_checksum)
{
	struct wr log = wr_grow(CAP), set = wr_grow(CAP);
	struct rd r;
	struct seen s;

	make_one(&log, CODEC_LZ4, 0, 3);
	ck_assert_int_eq(batch_down_convert(log.p, log.len, _i, 0, &set),
	    E_OK);
	r = rd_of(set.p, set.len);
	s = see(&r);
	ck_assert_uint_eq(s.value[6], _i == 0 ? 0x1a : 0x82);
	wr_free(&log);
	wr_free(&set);
}
END_TEST

START_TEST(what_is_left_out)
{
	static const uint8_t marker[] = "\0\0\0\0";
	struct wr log = wr_grow(CAP), set = wr_grow(CAP);
	struct batch_maker m;
	size_t size;
	struct rd r;

	make_one(&log, CODEC_SNAPPY, 0, 3);
	batch_make(&m, CAP);
	batch_add(&m, 5, marker, 4, marker, 4, NULL, 0);
	m.b.attrs = BATCH_TXN | BATCH_CONTROL;
	m.b.base_offset = 3;
	ck_assert_int_eq(batch_finish(&m, CODEC_NONE, 0, &log), E_OK);
	/* Nothing at or above the offset wanted, in whole and in part. */
	for (int64_t from = 3; from < 6; from++) {
		ck_assert_int_eq(batch_down_convert(log.p, log.len, 1, from,
		    &set), E_OK);
		ck_assert_uint_eq(set.len, 0);
	}
	ck_assert_int_eq(batch_down_convert(log.p, log.len, 1, 2, &set), E_OK);
	r = rd_of(set.p, set.len);
	ck_assert_int_eq(see(&r).offset, 2);
	ck_assert(rd_done(&r));
	/* A partial batch at the end. */
	set.len = 0;
	size = log.len;
	make_one(&log, CODEC_NONE, 4, 3);
	for (size_t n = size; n < log.len; n++) {
		uint8_t *p = exact_copy(log.p, n);

		ck_assert_int_eq(batch_down_convert(p, n, 0, 3, &set), E_OK);
		ck_assert_uint_eq(set.len, 0);
		free(p);
	}
	/* zstd cannot; what stood before it can be served. */
	make_one(&log, CODEC_ZSTD, 7, 1);
	ck_assert_int_eq(batch_down_convert(log.p, log.len, 1, 4, &set),
	    E_UNSUPPORTED_COMPRESSION);
	r = rd_of(set.p, set.len);
	for (int64_t o = 4; o < 7; o++)
		ck_assert_int_eq(see(&r).offset, o);
	ck_assert(rd_done(&r));
	/* A batch whose records compaction removed. */
	set.len = log.len = 0;
	make_one(&log, CODEC_NONE, 9, 1);
	log.len = BATCH_HEADER;
	be32_put(log.p + 8, BATCH_HEADER - 12);
	be32_put(log.p + 57, 0);
	be16_put(log.p + 21, CODEC_GZIP);
	be32_put(log.p + 17, crc32c(0, log.p + 21, BATCH_HEADER - 21));
	ck_assert_int_eq(batch_down_convert(log.p, log.len, 1, 0, &set), E_OK);
	ck_assert_uint_eq(set.len, 0);
	wr_free(&log);
	wr_free(&set);
}
END_TEST

/* A rotten log is not laundered into messages with good CRCs. */
START_TEST(down_of_a_corrupt_batch)
{
	struct wr log = wr_grow(CAP), set = wr_grow(CAP);
	size_t first;

	make_one(&log, CODEC_NONE, 0, 3);
	first = log.len;
	make_one(&log, CODEC_NONE, 3, 3);
	for (size_t at = first + 16; at < log.len; at++) {
		struct rd r;

		set.len = 0;
		log.p[at] ^= 0x10;
		ck_assert_int_eq(batch_down_convert(log.p, log.len, 1, 0,
		    &set), E_CORRUPT);
		log.p[at] ^= 0x10;
		r = rd_of(set.p, set.len);
		for (int64_t o = 0; o < 3; o++)
			ck_assert_int_eq(see(&r).offset, o);
		ck_assert(rd_done(&r));
	}
	wr_free(&log);
	wr_free(&set);
}
END_TEST

START_TEST(log_append_time)
{
	enum codec codec = _i;
	struct wr log = wr_grow(CAP), set = wr_grow(CAP), out = wr_grow(CAP);
	struct batch_facts f;
	struct rd r;
	struct seen s;

	make_one(&log, codec, 0, 3);
	batch_set_log_time(log.p, log.len, 9999);
	ck_assert_int_eq(batch_down_convert(log.p, log.len, 1, 0, &set),
	    E_OK);
	r = rd_of(set.p, set.len);
	s = see(&r);
	ck_assert_int_eq(s.attrs, BATCH_LOG_TIME | (int)codec);
	ck_assert_int_eq(s.ts, 9999);
	/* No producer may say so. */
	ck_assert_int_eq(up(set.p, set.len, &out, &f), E_INVALID_TIMESTAMP);
	ck_assert_int_eq(f.bad_index, 0);
	/* The wrapper's word counts, not that of a message inside. */
	if (codec != CODEC_NONE) {
		set.len = out.len = 0;
		put_message(&set, 1, BATCH_LOG_TIME, 0, 5, NULL, -1, "v", 1);
		put_wrapper(&out, 1, codec, 0, 0, 5, &set);
		ck_assert_int_eq(up_err(&out), E_OK);
		set.len = out.len = 0;
		put_message(&set, 1, 0, 0, 5, NULL, -1, "v", 1);
		put_wrapper(&out, 1, codec, BATCH_LOG_TIME, 0, 5, &set);
		ck_assert_int_eq(up_err(&out), E_INVALID_TIMESTAMP);
	}
	wr_free(&log);
	wr_free(&set);
	wr_free(&out);
}
END_TEST

/* A set of three plain messages, or of them in a wrapper. */
static struct wr
small_set(int magic, enum codec codec)
{
	struct wr set = wr_grow(CAP), out = wr_grow(CAP);

	for (int i = 0; i < 3; i++)
		put_message(&set, magic, 0, i, 1000 + i, i == 1 ? NULL : "key",
		    i == 1 ? -1 : 3, "value", 5);
	if (codec == CODEC_NONE)
		return set;
	put_wrapper(&out, magic, codec, 0, 2, 1002, &set);
	wr_free(&set);
	return out;
}

START_TEST(up_facts)
{
	int magic = _i % 2;
	enum codec codec = _i / 2;
	struct wr set = small_set(magic, codec), out = wr_grow(CAP);
	struct batch_facts f;
	struct batch b;

	wr_bytes(&out, "before", 6);
	ck_assert_int_eq(up(set.p, set.len, &out, &f), E_OK);
	ck_assert_mem_eq(out.p, "before", 6);
	ck_assert_int_eq(batch_read(out.p + 6, &b), E_OK);
	ck_assert_int_eq(b.count, 3);
	ck_assert_uint_eq(b.attrs, (unsigned)codec);
	ck_assert_int_eq(f.null_key, 1);
	ck_assert_int_eq(f.bad_index, -1);
	ck_assert_int_eq(f.min_ts, magic == 0 ? -1 : 1000);
	ck_assert_int_eq(f.max_ts, magic == 0 ? -1 : 1002);
	ck_assert_int_eq(b.max_ts, f.max_ts);
	wr_free(&set);
	wr_free(&out);
}
END_TEST

/* Several wrappers, and plain messages among them, become one batch. */
START_TEST(up_mixed)
{
	struct wr set = small_set(1, CODEC_NONE), more, out = wr_grow(CAP);
	struct batch_facts f;
	struct batch b;

	more = small_set(1, CODEC_SNAPPY);
	wr_bytes(&set, more.p, more.len);
	wr_free(&more);
	more = small_set(1, CODEC_GZIP);
	wr_bytes(&set, more.p, more.len);
	wr_free(&more);
	ck_assert_int_eq(up(set.p, set.len, &out, &f), E_OK);
	ck_assert_int_eq(batch_read(out.p, &b), E_OK);
	ck_assert_int_eq(b.count, 9);
	ck_assert_uint_eq(b.attrs, CODEC_SNAPPY);
	wr_free(&set);
	wr_free(&out);
}
END_TEST

/* No byte is missed: what a CRC covers gives E_CORRUPT, in the outer message
 * at once and in the inner ones through the wrapper's; what none covers is the
 * offset, which is not kept. */
START_TEST(one_wrong_byte)
{
	int magic = _i % 2;
	enum codec codec = _i / 2;
	struct wr set = small_set(magic, codec);
	uint32_t seed = 3;

	for (size_t at = 0; at < set.len; at++)
		for (int k = 0; k < 4; k++) {
			uint8_t x = (uint8_t)(1 << (made_rnd(&seed) % 8));
			/* The place in its message; all are equally long but
			 * for the second, which has no key. */
			size_t size = (size_t)be32(set.p + 8) + 12;
			size_t in = codec != CODEC_NONE || at < size ? at :
			    at < 2 * size - 3 ? at - size :
			    at - (2 * size - 3);
			enum err e;

			set.p[at] ^= x;
			e = up_err(&set);
			set.p[at] ^= x;
			if (in < 8)
				ck_assert_int_eq(e, E_OK);
			else
				ck_assert(e == E_CORRUPT ||
				    (in == 16 && e == E_INVALID_RECORD));
		}
	wr_free(&set);
}
END_TEST

START_TEST(cut_short)
{
	int magic = _i % 2;
	enum codec codec = _i / 2;
	struct wr set = small_set(magic, codec);
	size_t whole = set.len, one = (size_t)be32(set.p + 8) + 12;

	for (set.len = 1; set.len < whole; set.len++)
		if (codec != CODEC_NONE || (set.len != one &&
		    set.len != 2 * one - 3))
			ck_assert_int_eq(up_err(&set), E_CORRUPT);
	set.len = 0;
	ck_assert_int_eq(up_err(&set), E_INVALID_RECORD);
	set.len = whole;
	ck_assert_int_eq(up_err(&set), E_OK);
	wr_free(&set);
}
END_TEST

static enum err
up_and_free(struct wr *set)
{
	enum err e = up_err(set);

	wr_free(set);
	*set = wr_grow(CAP);
	return e;
}

START_TEST(bad_sets)
{
	int magic = _i;
	struct wr set = wr_grow(CAP), in = wr_grow(CAP), in2 = wr_grow(CAP);

	/* Formats mixed, outside and inside. */
	put_message(&set, magic, 0, 0, 5, "k", 1, "v", 1);
	put_message(&set, 1 - magic, 0, 1, 5, "k", 1, "v", 1);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	put_message(&in, 1 - magic, 0, 0, 5, "k", 1, "v", 1);
	put_wrapper(&set, magic, CODEC_GZIP, 0, 0, 5, &in);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);

	/* A batch of magic 2, a magic that is none. */
	put_message(&set, magic, 0, 0, 5, "k", 1, "v", 1);
	set.p[16] = 2;
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	put_message(&set, magic, 0, 0, 5, "k", 1, "v", 1);
	set.p[16] = 3;
	ck_assert_int_eq(up_and_free(&set), E_CORRUPT);
	put_message(&set, magic, 0, 0, 5, "k", 1, "v", 1);
	set.p[16] = 0xff;
	ck_assert_int_eq(up_and_free(&set), E_CORRUPT);

	/* Nested, empty and null wrappers. */
	in.len = 0;
	put_message(&in, magic, 0, 0, 5, "k", 1, "v", 1);
	put_wrapper(&in2, magic, CODEC_GZIP, 0, 0, 5, &in);
	put_wrapper(&set, magic, CODEC_GZIP, 0, 0, 5, &in2);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	in.len = 0;
	put_wrapper(&set, magic, CODEC_LZ4, 0, 0, 5, &in);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	put_message(&set, magic, CODEC_GZIP, 0, 5, NULL, -1, NULL, -1);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	put_message(&set, magic, CODEC_GZIP, 0, 5, NULL, -1, "", 0);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);

	/* Codecs that are not, or not here. */
	put_message(&set, magic, CODEC_GZIP, 0, 5, NULL, -1, "gzip?", 5);
	ck_assert_int_eq(up_and_free(&set), E_CORRUPT);
	put_message(&set, magic, CODEC_ZSTD, 0, 5, NULL, -1, "zstd?", 5);
	ck_assert_int_eq(up_and_free(&set), E_UNSUPPORTED_COMPRESSION);
	put_message(&set, magic, 5, 0, 5, NULL, -1, "five?", 5);
	ck_assert_int_eq(up_and_free(&set), E_UNKNOWN);

	/* A message inside whose CRC is wrong, or that is cut short. */
	put_message(&in, magic, 0, 0, 5, "k", 1, "v", 1);
	in.p[in.len - 1] ^= 1;
	put_wrapper(&set, magic, CODEC_GZIP, 0, 0, 5, &in);
	ck_assert_int_eq(up_and_free(&set), E_CORRUPT);
	in.p[in.len - 1] ^= 1;
	in.len--;
	put_wrapper(&set, magic, CODEC_GZIP, 0, 0, 5, &in);
	ck_assert_int_eq(up_and_free(&set), E_CORRUPT);

	/* Keys and values that do not fit their message. */
	put_message(&set, magic, 0, 0, 5, NULL, -2, "v", 1);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	put_message(&set, magic, 0, 0, 5, "k", 1, NULL, -2);
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	/* A byte after the value, within the message. */
	put_message(&set, magic, 0, 0, 5, "k", 1, "vx", 2);
	be32_put(set.p + set.len - 6, 1);
	be32_put(set.p + 12, (uint32_t)crc32_z(0, set.p + 16, set.len - 16));
	ck_assert_int_eq(up_and_free(&set), E_INVALID_RECORD);
	wr_free(&in);
	wr_free(&in2);
}
END_TEST

/* The limit holds for all wrappers of a set together. */
START_TEST(bombs)
{
	struct wr set = wr_grow(CAP), in = wr_grow(CAP);
	uint8_t *zeros = calloc(1, 8 * MIB);

	put_message(&in, 1, 0, 0, 5, NULL, -1, zeros, 8 * MIB);
	free(zeros);
	for (int i = 0; i < 9; i++)
		put_wrapper(&set, 1, _i, 0, 0, 5, &in);
	wr_free(&in);
	ck_assert_int_eq(up_and_free(&set), E_TOO_LARGE);
}
END_TEST

/* What other writers made becomes what they made in format 2, byte for byte
 * the same records. */
START_TEST(golden_sets)
{
	static const char *const writers[] = { "java", "python" };
	int magic = _i % 2;
	enum codec codec = _i / 2;

	for (int w = 0; w < 2; w++) {
		struct wr out = wr_grow(CAP);
		struct batch_iter a, b;
		struct batch_facts f;
		struct record x, y;
		char name[64];
		uint8_t *set, *p;
		size_t n;

		snprintf(name, sizeof name, "%s-v%d-%s", writers[w], magic,
		    codec_name(codec));
		set = golden_batch(name, &n);
		ck_assert_int_eq(up(set, n, &out, &f), E_OK);
		free(set);
		ck_assert_int_eq(f.null_key, 1);
		ck_assert_int_eq(f.max_ts, magic == 0 ? -1 : 1700000000100);
		snprintf(name, sizeof name, "%s-v2-none", writers[w]);
		p = golden_batch(name, &n);
		ck_assert_int_eq(batch_iter_open(&a, out.p, out.len, CAP),
		    E_OK);
		ck_assert_uint_eq(a.b.attrs, (unsigned)codec);
		ck_assert_int_eq(batch_iter_open(&b, p, n, CAP), E_OK);
		for (int i = 0; i < 5; i++) {
			ck_assert_int_eq(batch_iter_next(&a, &x), E_OK);
			ck_assert_int_eq(batch_iter_next(&b, &y), E_OK);
			ck_assert_int_eq(x.offset, y.offset);
			ck_assert_int_eq(x.ts, magic == 0 ? -1 : y.ts);
			ck_assert_int_eq(x.key_len, y.key_len);
			ck_assert_int_eq(x.value_len, y.value_len);
			ck_assert(x.key_len <= 0 || memcmp(x.key, y.key,
			    (size_t)x.key_len) == 0);
			ck_assert(x.value_len <= 0 || memcmp(x.value, y.value,
			    (size_t)x.value_len) == 0);
			ck_assert_int_eq(x.nheaders, 0);
		}
		ck_assert_int_eq(batch_iter_next(&a, &x), E_EOF);
		batch_iter_close(&a);
		batch_iter_close(&b);
		free(p);
		wr_free(&out);
	}
}
END_TEST

/* Down-converted, plain and gzip sets are what the other writer wrote. */
START_TEST(golden_bytes)
{
	static const char *const writers[] = { "java", "python" };
	int magic = _i;

	for (int w = 0; w < 2; w++) {
		struct wr set = wr_grow(CAP);
		char name[64];
		uint8_t *p, *want;
		size_t n, want_len;

		snprintf(name, sizeof name, "%s-v2-none", writers[w]);
		p = golden_batch(name, &n);
		ck_assert_int_eq(batch_down_convert(p, n, magic, 0, &set),
		    E_OK);
		snprintf(name, sizeof name, "%s-v%d-none", writers[w], magic);
		want = golden_batch(name, &want_len);
		ck_assert_uint_eq(set.len, want_len);
		ck_assert_mem_eq(set.p, want, want_len);
		wr_free(&set);
		free(p);
		free(want);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("legacy");
	TCase *t = tcase_create("legacy");
	SRunner *r;
	int failed, all = 2 * CODEC_ZSTD;	/* both formats, each codec */

	tcase_set_timeout(t, 0);
	tcase_add_loop_test(t, down_and_up, 0, all);
	tcase_add_loop_test(t, wrapper_offsets, 0, 2);
	tcase_add_loop_test(t, lz4_checksum, 0, 2);
	tcase_add_test(t, what_is_left_out);
	tcase_add_test(t, down_of_a_corrupt_batch);
	tcase_add_loop_test(t, log_append_time, 0, CODEC_ZSTD);
	tcase_add_loop_test(t, up_facts, 0, all);
	tcase_add_test(t, up_mixed);
	tcase_add_loop_test(t, one_wrong_byte, 0, all);
	tcase_add_loop_test(t, cut_short, 0, all);
	tcase_add_loop_test(t, bad_sets, 0, 2);
	tcase_add_loop_test(t, bombs, CODEC_GZIP, CODEC_ZSTD);
	tcase_add_loop_test(t, golden_sets, 0, all);
	tcase_add_loop_test(t, golden_bytes, 0, 2);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
