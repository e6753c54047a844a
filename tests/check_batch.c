/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches: made, checked, iterated, broken in every way that
 * protocol.md 3.2 lists, and those of foreign writers in tests/golden.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/batch.h"
#include "lib/crc32c.h"
#include "lib/limits.h"

#include "batch_gen.h"

#define CAP	(256 * MIB)

enum { NCODECS = CODEC_MAX };

static void
renew_crc(uint8_t *p, size_t n)
{
	be32_put(p + 17, crc32c(0, p + 21, n - 21));
}

static enum err
check(uint8_t *p, size_t n, struct batch_facts *f)
{
	const char *why;
	enum err e = batch_check(p, n, true, true, f, &why);

	ck_assert((e == E_OK) == (why == NULL));
	return e;
}

static enum err
check_err(uint8_t *p, size_t n)
{
	struct batch_facts f;

	return check(p, n, &f);
}

START_TEST(header_there_and_back)
{
	static const uint8_t bytes[BATCH_HEADER] = {
		0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
		0x00, 0x00, 0x01, 0x31,	0x11, 0x12, 0x13, 0x14,
		0x02, 0xc1, 0xc2, 0xc3, 0xc4, 0x00, 0x5c,
		0x21, 0x22, 0x23, 0x24,
		0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,
		0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
		0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
		0x61, 0x62, 0x71, 0x72, 0x73, 0x74,
		0x7f, 0x82, 0x83, 0x84,
	};
	uint8_t back[BATCH_HEADER];
	struct batch b;

	ck_assert_int_eq(batch_read(bytes, &b), E_OK);
	ck_assert_int_eq(b.base_offset, 0x0102030405060708);
	ck_assert_int_eq(b.length, 0x131);
	ck_assert_int_eq(b.leader_epoch, 0x11121314);
	ck_assert_int_eq(b.magic, 2);
	ck_assert_uint_eq(b.crc, 0xc1c2c3c4);
	ck_assert_uint_eq(b.attrs, 0x5c);
	ck_assert_int_eq(b.last_delta, 0x21222324);
	ck_assert_int_eq(b.base_ts, 0x3132333435363738);
	ck_assert_int_eq(b.max_ts, 0x4142434445464748);
	ck_assert_int_eq(b.pid, 0x5152535455565758);
	ck_assert_int_eq(b.epoch, 0x6162);
	ck_assert_int_eq(b.base_seq, 0x71727374);
	ck_assert_int_eq(b.count, 0x7f828384);
	ck_assert_int_eq(batch_size(&b), 0x131 + 12);
	ck_assert_int_eq(batch_last_offset(&b),
	    0x0102030405060708 + 0x21222324);
	batch_write(back, &b);
	ck_assert_mem_eq(back, bytes, sizeof bytes);
	batch_assign(back, -2, 7);
	ck_assert_int_eq(batch_read(back, &b), E_OK);
	ck_assert_int_eq(b.base_offset, -2);
	ck_assert_int_eq(b.leader_epoch, 7);
	ck_assert_mem_eq(back + 16, bytes + 16, sizeof bytes - 16);
	b.base_offset = INT64_MAX;	/* wraps, is not undefined */
	ck_assert_int_lt(batch_last_offset(&b), 0);
}
END_TEST

START_TEST(header_bounds)
{
	uint8_t p[BATCH_HEADER] = { [16] = 2 };
	struct batch b;
	static const struct {
		int32_t		length;
		enum err	e;
	} rows[] = {
		{ -1, E_CORRUPT }, { INT32_MIN, E_CORRUPT }, { 0, E_CORRUPT },
		{ 48, E_CORRUPT }, { 49, E_OK },
		{ BATCH_MAX - 12, E_OK }, { BATCH_MAX - 11, E_CORRUPT },
		{ INT32_MAX, E_CORRUPT },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		be32_put(p + 8, (uint32_t)rows[i].length);
		ck_assert_int_eq(batch_read(p, &b), rows[i].e);
	}
	be32_put(p + 8, 49);
	for (int magic = 0; magic < 256; magic++) {
		p[16] = (uint8_t)magic;
		ck_assert_int_eq(batch_read(p, &b),
		    magic == 2 ? E_OK : E_CORRUPT);
	}
}
END_TEST

/* Every record comes out as it went in, in order, with its offset. */
static void
expect_records(const uint8_t *p, size_t n, const struct made *m, int64_t base)
{
	struct batch_iter it;
	struct record r;

	ck_assert_int_eq(batch_iter_open(&it, p, n, CAP), E_OK);
	for (int32_t i = 0; i < m->count; i++) {
		ck_assert_int_eq(batch_iter_next(&it, &r), E_OK);
		ck_assert_int_eq(r.offset, base + i);
		ck_assert(made_same(&m->recs[i], &r));
	}
	ck_assert_int_eq(batch_iter_next(&it, &r), E_EOF);
	ck_assert_int_eq(batch_iter_next(&it, &r), E_EOF);
	batch_iter_close(&it);
}

static void
expect_facts(const struct made *m, const struct batch_facts *f)
{
	int64_t min = INT64_MAX, max = -1;
	int32_t null_key = -1;

	for (int32_t i = 0; i < m->count; i++) {
		const struct made_record *r = &m->recs[i];

		if (r->ts != -1 && r->ts < min)
			min = r->ts;
		if (r->ts > max)
			max = r->ts;
		if (r->key_len < 0 && null_key < 0)
			null_key = i;
	}
	ck_assert_int_eq(f->max_ts, max);
	ck_assert_int_eq(f->min_ts, min == INT64_MAX ? -1 : min);
	ck_assert_int_eq(f->null_key, null_key);
	ck_assert_int_eq(f->bad_index, -1);
}

START_TEST(made_checked_iterated)
{
	uint32_t seed = 12345 + (uint32_t)_i;

	for (int round = 0; round < 60; round++) {
		int32_t count = 1 + (int32_t)(made_rnd(&seed) %
		    (round % 10 == 0 ? 3000 : 20));
		struct made m = made_up(&seed, count, true);
		struct batch_facts f;
		uint8_t *p, *was;
		size_t n;

		p = made_batch(&m, _i, &n);
		was = exact_copy(p, n);
		ck_assert_int_eq(check(p, n, &f), E_OK);
		ck_assert(!f.fixed);
		expect_facts(&m, &f);
		ck_assert_mem_eq(p, was, n);
		expect_records(p, n, &m, 0);
		batch_assign(p, 1000000007, 5);
		ck_assert(batch_crc_ok(p, n));
		expect_records(p, n, &m, 1000000007);
		free(was);
		free(p);
		made_free(&m);
	}
}
END_TEST

/* One wrong byte under the CRC is always noticed; one before it never passes
 * for something else. */
START_TEST(one_wrong_byte)
{
	uint32_t seed = 99 + (uint32_t)_i;
	struct made m = made_up(&seed, 8, true);
	size_t n;
	uint8_t *p = made_batch(&m, _i, &n);

	for (size_t at = 0; at < n; at++)
		for (int k = 0; k < 4; k++) {
			uint8_t x = k == 0 ? 1 : k == 1 ? 0x80 :
			    (uint8_t)(1 + made_rnd(&seed) % 255);
			enum err e;

			p[at] ^= x;
			e = check_err(p, n);
			p[at] ^= x;
			if (at < 8)		/* base offset */
				ck_assert_int_eq(e, E_INVALID_RECORD);
			else if (at < 12)	/* length */
				ck_assert(e == E_CORRUPT ||
				    e == E_INVALID_RECORD);
			else if (at < 16)	/* leader epoch */
				ck_assert_int_eq(e, E_OK);
			else if (at == 16)	/* magic */
				ck_assert(e == E_CORRUPT ||
				    e == E_INVALID_RECORD);
			else
				ck_assert_int_eq(e, E_CORRUPT);
		}
	free(p);
	made_free(&m);
}
END_TEST

/* With the CRC renewed a wrong byte may pass or not, but what passes the check
 * can be iterated to its end, and nothing is read past the batch. */
START_TEST(one_wrong_byte_and_new_crc)
{
	uint32_t seed = 4711 + (uint32_t)_i;
	struct made m = made_up(&seed, 5, true);
	size_t n;
	uint8_t *p = made_batch(&m, _i, &n), *q;
	int passed = 0;

	for (int round = 0; round < 20000; round++) {
		size_t at = 17 + made_rnd(&seed) % (n - 17);
		struct batch_iter it;
		struct record r;
		struct header h;
		int32_t count = 0;
		enum err e, checked;

		q = exact_copy(p, n);
		q[at] ^= (uint8_t)(1 + made_rnd(&seed) % 255);
		renew_crc(q, n);
		checked = check_err(q, n);
		ck_assert_int_ne(checked, E_NOMEM);
		e = batch_iter_open(&it, q, n, CAP);
		while (e == E_OK &&
		    (e = batch_iter_next(&it, &r)) == E_OK) {
			while ((e = header_next(&r, &h)) == E_OK)
				;
			ck_assert_int_eq(e, E_EOF);
			e = E_OK;
			count++;
		}
		if (checked == E_OK) {
			passed++;
			ck_assert_int_eq(e, E_EOF);
			ck_assert_int_eq(count, it.b.count);
		}
		batch_iter_close(&it);
		free(q);
	}
	ck_assert_int_gt(passed, 0);
	free(p);
	made_free(&m);
}
END_TEST

START_TEST(cut_short)
{
	uint32_t seed = 5;
	struct made m = made_up(&seed, 3, true);
	struct batch_iter it;
	size_t n;
	uint8_t *p = made_batch(&m, CODEC_NONE, &n);

	ck_assert_int_eq(check_err(p, 0), E_INVALID_RECORD);
	for (size_t cut = 1; cut < n; cut++) {
		uint8_t *q = exact_copy(p, cut);

		ck_assert_int_eq(check_err(q, cut), E_CORRUPT);
		ck_assert_int_eq(batch_iter_open(&it, q, cut, CAP),
		    E_CORRUPT);
		batch_iter_close(&it);
		free(q);
	}
	free(p);
	made_free(&m);
}
END_TEST

/* Two records, without a key and with, as one plain batch to be spoilt. */
static uint8_t *
plain_batch(size_t *n)
{
	struct wr out = wr_grow(CAP);
	struct batch_maker m;
	uint8_t *p;

	batch_make(&m, CAP);
	batch_add(&m, 1000, NULL, -1, "value", 5, NULL, 0);
	batch_add(&m, 1005, "key", 3, "value", 5, NULL, 0);
	ck_assert_int_eq(batch_finish(&m, CODEC_NONE, INT32_MIN, &out), E_OK);
	*n = out.len;
	p = exact_copy(out.p, out.len);
	wr_free(&out);
	return p;
}

/* One row of header field, bytes from there, and the answer. */
START_TEST(bad_headers)
{
	static const struct {
		const char	*what;
		size_t		 at, len;
		uint64_t	 value;
		enum err	 e;
	} rows[] = {
		{ "untouched",		21, 2, 0, E_OK },
		{ "reserved bits",	21, 2, 0xff80, E_OK },
		{ "transactional",	21, 2, 0x10, E_OK },
		{ "base offset 1",	0, 8, 1, E_INVALID_RECORD },
		{ "base offset -1",	0, 8, UINT64_MAX, E_INVALID_RECORD },
		{ "length 0",		8, 4, 0, E_CORRUPT },
		{ "length 13",		8, 4, 13, E_CORRUPT },
		{ "length 48",		8, 4, 48, E_CORRUPT },
		{ "length 49",		8, 4, 49, E_INVALID_RECORD },
		{ "length negative",	8, 4, 0xffffffff, E_CORRUPT },
		{ "length greatest",	8, 4, 0x7fffffff, E_CORRUPT },
		{ "magic 0",		16, 1, 0, E_INVALID_RECORD },
		{ "magic 1",		16, 1, 1, E_INVALID_RECORD },
		{ "magic 3",		16, 1, 3, E_CORRUPT },
		{ "magic -1",		16, 1, 0xff, E_CORRUPT },
		{ "codec 5",		21, 2, 5, E_UNKNOWN },
		{ "codec 6",		21, 2, 6, E_UNKNOWN },
		{ "codec 7",		21, 2, 7, E_UNKNOWN },
		{ "gzip that is none",	21, 2, 1, E_CORRUPT },
		{ "snappy that is none", 21, 2, 2, E_CORRUPT },
		{ "lz4 that is none",	21, 2, 3, E_CORRUPT },
		{ "zstd that is none",	21, 2, 4, E_CORRUPT },
		{ "log append time",	21, 2, 8, E_INVALID_TIMESTAMP },
		{ "control",		21, 2, 0x20, E_INVALID_RECORD },
		{ "control txn",	21, 2, 0x30, E_INVALID_RECORD },
		{ "count 0",		57, 4, 0, E_INVALID_RECORD },
		{ "count 1",		57, 4, 1, E_INVALID_RECORD },
		{ "count 3",		57, 4, 3, E_INVALID_RECORD },
		{ "count -1",		57, 4, 0xffffffff, E_INVALID_RECORD },
		{ "count greatest",	57, 4, 0x7fffffff, E_INVALID_RECORD },
		{ "last delta 0",	23, 4, 0, E_INVALID_RECORD },
		{ "last delta 2",	23, 4, 2, E_INVALID_RECORD },
		{ "last delta -1",	23, 4, 0xffffffff, E_INVALID_RECORD },
		{ "pid, no sequence",	43, 8, 5, E_INVALID_RECORD },
		{ "pid -2",		43, 8, UINT64_MAX - 1, E_OK },
		{ "sequence, no pid",	53, 4, 5, E_OK },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n;
		uint8_t *p = plain_batch(&n);

		for (size_t k = 0; k < rows[i].len; k++)
			p[rows[i].at + k] = (uint8_t)(rows[i].value >>
			    8 * (rows[i].len - 1 - k));
		renew_crc(p, n);
		ck_assert_msg(check_err(p, n) == rows[i].e, "%s",
		    rows[i].what);
		free(p);
	}
}
END_TEST

START_TEST(producer_fields)
{
	static const struct {
		int64_t		pid;
		int16_t		epoch;
		int32_t		seq;
		enum err	e;
	} rows[] = {
		{ 0, 0, 0, E_OK }, { 7, 3, INT32_MAX, E_OK },
		{ INT64_MAX, INT16_MAX, 0, E_OK },
		{ 0, 0, -1, E_INVALID_RECORD }, { 7, 3, -2, E_INVALID_RECORD },
		{ 7, -1, 0, E_INVALID_RECORD },
		{ -1, -1, -1, E_OK },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n;
		uint8_t *p = plain_batch(&n);

		be64_put(p + 43, (uint64_t)rows[i].pid);
		be16_put(p + 51, (uint16_t)rows[i].epoch);
		be32_put(p + 53, (uint32_t)rows[i].seq);
		renew_crc(p, n);
		ck_assert_int_eq(check_err(p, n), rows[i].e);
		free(p);
	}
}
END_TEST

/* What is wrong first decides, in Kafka's order. */
START_TEST(order_of_checks)
{
	struct batch_facts f;
	const char *why;
	size_t n;
	uint8_t *p = plain_batch(&n);

	be16_put(p + 21, 5);		/* unknown codec, and so a wrong CRC */
	ck_assert_int_eq(check_err(p, n), E_CORRUPT);
	be64_put(p, 9);			/* and a base offset */
	ck_assert_int_eq(check_err(p, n), E_INVALID_RECORD);
	be16_put(p + 21, CODEC_ZSTD);
	ck_assert_int_eq(batch_check(p, n, true, false, &f, &why),
	    E_UNSUPPORTED_COMPRESSION);
	be16_put(p + 21, 5);
	ck_assert_int_eq(batch_check(p, n, true, false, &f, &why), E_UNKNOWN);
	be64_put(p, 0);
	be16_put(p + 21, 0x20);		/* control, bad count */
	be32_put(p + 57, 0);
	renew_crc(p, n);
	ck_assert_int_eq(check_err(p, n), E_INVALID_RECORD);
	free(p);
}
END_TEST

/* Without deep the records are taken on trust; the header is not. */
START_TEST(header_only)
{
	struct batch_facts f;
	const char *why;
	size_t n;
	uint8_t *p = plain_batch(&n);

	p[BATCH_HEADER] = 0xff;
	renew_crc(p, n);
	ck_assert_int_eq(check_err(p, n), E_INVALID_RECORD);
	ck_assert_int_eq(batch_check(p, n, false, true, &f, &why), E_OK);
	ck_assert_int_eq(f.min_ts, 1000);
	ck_assert_int_eq(f.max_ts, 1005);
	be32_put(p + 57, 0);
	be32_put(p + 23, UINT32_MAX);
	renew_crc(p, n);
	ck_assert_int_eq(batch_check(p, n, false, true, &f, &why),
	    E_INVALID_RECORD);
	be32_put(p + 57, 20);		/* more than could fit */
	be32_put(p + 23, 19);
	renew_crc(p, n);
	ck_assert_int_eq(batch_check(p, n, false, true, &f, &why),
	    E_INVALID_RECORD);
	free(p);
}
END_TEST

START_TEST(two_batches)
{
	size_t n;
	uint8_t *p = plain_batch(&n), *q = malloc(2 * n);

	memcpy(q, p, n);
	memcpy(q + n, p, n);
	ck_assert_int_eq(check_err(q, 2 * n), E_INVALID_RECORD);
	ck_assert_int_eq(check_err(q, n + 1), E_INVALID_RECORD);
	free(p);
	free(q);
}
END_TEST

/* A batch of the given record bytes, as many records as count says. */
static uint8_t *
raw_batch(const void *recs, size_t len, int32_t count, enum codec codec,
    size_t *n)
{
	struct wr out = wr_grow(CAP);
	uint8_t *p = wr_room(&out, BATCH_HEADER);
	struct batch b = {
		.last_delta = count - 1, .count = count, .attrs = codec,
		.base_ts = 500, .max_ts = 500, .pid = -1, .epoch = -1,
		.base_seq = -1, .magic = 2,
	};

	ck_assert_int_eq(codec_deflate(codec, INT32_MIN, recs, len, &out,
	    false), E_OK);
	b.length = (int32_t)(out.len - BATCH_LOG_OVERHEAD);
	batch_write(out.p, &b);
	renew_crc(out.p, out.len);
	p = exact_copy(out.p, out.len);
	*n = out.len;
	wr_free(&out);
	return p;
}

/*
 * Records in bytes: length, attributes, timestamp delta, offset delta, key
 * length, key, value length, value, number of headers.  Zigzag: 1 is -1, 2 is
 * 1, 3 is -2.
 */
static const struct {
	const char	*what, *bytes;
	size_t		 len;
	int32_t		 count;
	enum err	 e;
	int32_t		 bad;
} recs[] = {
#define RECS(what, bytes, count, e, bad) \
	{ what, bytes, sizeof bytes - 1, count, e, bad }
	RECS("smallest", "\x0c\0\0\0\1\1\0", 1, E_OK, -1),
	RECS("attributes ignored", "\x0c\xff\0\0\1\1\0", 1, E_OK, -1),
	RECS("empty key", "\x0c\0\0\0\0\1\0", 1, E_OK, -1),
	RECS("key and value", "\x10\0\0\0\2k\2v\0", 1, E_OK, -1),
	RECS("two", "\x0c\0\0\0\1\1\0\x0c\0\0\2\1\1\0", 2, E_OK, -1),
	RECS("long varints", "\x8c\x80\x80\x80\x00\0\0\0\1\1\0", 1, E_OK, -1),
	RECS("header", "\x12\0\0\0\1\1\2\2h\1", 1, E_OK, -1),
	RECS("empty header key", "\x10\0\0\0\1\1\2\0\0", 1, E_OK, -1),
	RECS("nothing", "", 1, E_INVALID_RECORD, -1),
	RECS("length 0", "\x00\0\0\0\0\0\0\0", 1, E_INVALID_RECORD, 0),
	RECS("length -1", "\x01\0\0\0\1\1\0", 1, E_INVALID_RECORD, 0),
	RECS("length 5", "\x0a\0\0\0\1\1\0", 1, E_INVALID_RECORD, 0),
	RECS("length 7", "\x0e\0\0\0\1\1\0", 1, E_INVALID_RECORD, 0),
	RECS("length 7, inside", "\x0e\0\0\0\1\1\0\0", 1, E_INVALID_RECORD, 0),
	RECS("length overflows", "\xff\xff\xff\xff\x1f\0\0\0\1\1\0", 1,
	    E_INVALID_RECORD, 0),
	RECS("length of 6 bytes", "\x8c\x80\x80\x80\x80\x00\0\0\0\1\1\0", 1,
	    E_INVALID_RECORD, 0),
	RECS("length greatest", "\xfe\xff\xff\xff\x0f\0\0\0\1\1\0", 1,
	    E_INVALID_RECORD, 0),
	RECS("offset 1 first", "\x0c\0\0\2\1\1\0", 1, E_INVALID_RECORD, 0),
	RECS("offset -1", "\x0c\0\0\1\1\1\0", 1, E_INVALID_RECORD, 0),
	RECS("offset 0 twice", "\x0c\0\0\0\1\1\0\x0c\0\0\0\1\1\0", 2,
	    E_INVALID_RECORD, 1),
	RECS("offset gap", "\x0c\0\0\0\1\1\0\x0c\0\0\4\1\1\0", 2,
	    E_INVALID_RECORD, 1),
	RECS("length's high bits", "\x8c\x80\x80\x80\x10\0\0\0\1\1\0", 1,
	    E_INVALID_RECORD, 0),
	RECS("time of 64 bits", "\x1e\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	    "\0\1\1\0", 1, E_OK, -1),
	RECS("time overflows", "\x1e\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"
	    "\0\1\1\0", 1, E_INVALID_RECORD, 0),
	RECS("key length -2", "\x0c\0\0\0\3\1\0", 1, E_INVALID_RECORD, 0),
	RECS("value length -2", "\x0c\0\0\0\1\3\0", 1, E_INVALID_RECORD, 0),
	RECS("key too long", "\x0e\0\0\0\6k\1\0", 1, E_INVALID_RECORD, 0),
	RECS("key into next", "\x0c\0\0\0\x10\1\0\x0c\0\0\2\1\1\0", 2,
	    E_INVALID_RECORD, 0),
	RECS("value too long", "\x0e\0\0\0\1\4v\0", 1, E_INVALID_RECORD, 0),
	RECS("key greatest", "\x14\0\0\0\xfe\xff\xff\xff\x0f\1\0", 1,
	    E_INVALID_RECORD, 0),
	RECS("headers -1", "\x0c\0\0\0\1\1\1", 1, E_INVALID_RECORD, 0),
	RECS("headers missing", "\x0c\0\0\0\1\1\2", 1, E_INVALID_RECORD, 0),
	RECS("headers too many", "\x12\0\0\0\1\1\4\2h\1", 1,
	    E_INVALID_RECORD, 0),
	RECS("headers too few", "\x16\0\0\0\1\1\2\2h\1\0\1", 1,
	    E_INVALID_RECORD, 0),
	RECS("headers greatest", "\x14\0\0\0\1\1\xfe\xff\xff\xff\x0f", 1,
	    E_INVALID_RECORD, 0),
	RECS("header key null", "\x10\0\0\0\1\1\2\1\1", 1,
	    E_INVALID_RECORD, 0),
	RECS("header key null, no value", "\x0e\0\0\0\1\1\2\1", 1,
	    E_INVALID_RECORD, 0),
	RECS("header key too long", "\x12\0\0\0\1\1\2\6h\1", 1,
	    E_INVALID_RECORD, 0),
	RECS("header value -2", "\x12\0\0\0\1\1\2\2h\3", 1,
	    E_INVALID_RECORD, 0),
	RECS("header value too long", "\x12\0\0\0\1\1\2\2h\2", 1,
	    E_INVALID_RECORD, 0),
	RECS("byte after last", "\x0c\0\0\0\1\1\0\0", 1, E_INVALID_RECORD, -1),
	RECS("record after last", "\x0c\0\0\0\1\1\0\x0c\0\0\2\1\1\0", 1,
	    E_INVALID_RECORD, -1),
	RECS("one too few", "\x0c\0\0\0\1\1\0\x0c\0\0\2\1\1\0", 3,
	    E_INVALID_RECORD, 2),
#undef RECS
};

START_TEST(bad_records)
{
	for (int c = 0; c < NCODECS; c++) {
		struct batch_facts f;
		struct batch_iter it;
		struct record r;
		size_t n;
		uint8_t *p = raw_batch(recs[_i].bytes, recs[_i].len,
		    recs[_i].count, c, &n);
		enum err e = check(p, n, &f);
		int32_t seen = 0;

		ck_assert_msg(e == recs[_i].e, "%s: %s", recs[_i].what,
		    err_name(e));
		/* A plain batch too small for its count has no culprit. */
		if (recs[_i].len / 7 >= (size_t)recs[_i].count)
			ck_assert_msg(f.bad_index == recs[_i].bad, "%s: %d",
			    recs[_i].what, (int)f.bad_index);
		e = batch_iter_open(&it, p, n, CAP);
		while (e == E_OK &&
		    (e = batch_iter_next(&it, &r)) == E_OK)
			seen++;
		/* The iterator takes gaps, but nothing past the last. */
		ck_assert_msg(e == (recs[_i].e == E_OK ? E_EOF :
		    E_INVALID_RECORD), "%s: iterator: %s", recs[_i].what,
		    err_name(e));
		if (recs[_i].e == E_OK)
			ck_assert_int_eq(seen, recs[_i].count);
		batch_iter_close(&it);
		free(p);
	}
}
END_TEST

/* The greatest timestamp is what the records say, not the header. */
START_TEST(greatest_timestamp)
{
	static const struct {
		int64_t		ts[3], header;
		int64_t		min, max;
		bool		fixed;
	} rows[] = {
		{ { 10, 30, 20 }, 30, 10, 30, false },
		{ { 10, 30, 20 }, 20, 10, 30, true },
		{ { 10, 30, 20 }, -1, 10, 30, true },
		{ { 10, 30, 20 }, INT64_MAX, 10, 30, true },
		{ { -1, -1, -1 }, -1, -1, -1, false },
		{ { -1, -1, -1 }, 0, -1, -1, true },
		{ { -1, 5, -1 }, 5, 5, 5, false },
		{ { 5, -1, 3 }, 6, 3, 5, true },
		{ { -1000, -1, -2 }, -1, -1000, -1, false },
		{ { INT64_MAX, 0, INT64_MIN }, INT64_MAX, INT64_MIN,
		    INT64_MAX, false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct wr out = wr_grow(CAP);
		struct batch_facts f;
		struct batch_maker m;
		struct batch b;

		batch_make(&m, CAP);
		for (int k = 0; k < 3; k++)
			batch_add(&m, rows[i].ts[k], "k", 1, "v", 1, NULL, 0);
		ck_assert_int_eq(batch_finish(&m, _i, INT32_MIN, &out), E_OK);
		be64_put(out.p + 35, (uint64_t)rows[i].header);
		renew_crc(out.p, out.len);
		ck_assert_int_eq(check(out.p, out.len, &f), E_OK);
		ck_assert_int_eq(f.min_ts, rows[i].min);
		ck_assert_int_eq(f.max_ts, rows[i].max);
		ck_assert_int_eq(f.fixed, rows[i].fixed);
		ck_assert_int_eq(f.null_key, -1);
		ck_assert_int_eq(batch_read(out.p, &b), E_OK);
		ck_assert_int_eq(b.max_ts, rows[i].max);
		ck_assert(batch_crc_ok(out.p, out.len));
		wr_free(&out);
	}
}
END_TEST

START_TEST(log_append_time)
{
	struct batch_iter it;
	struct batch_facts f;
	struct record r;
	size_t n;
	uint8_t *p = plain_batch(&n);

	batch_set_log_time(p, n, 7777);
	ck_assert(batch_crc_ok(p, n));
	ck_assert_int_eq(batch_iter_open(&it, p, n, CAP), E_OK);
	ck_assert_int_eq(it.b.max_ts, 7777);
	ck_assert_int_eq(it.b.base_ts, 1000);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(batch_iter_next(&it, &r), E_OK);
		ck_assert_int_eq(r.ts, 7777);
	}
	batch_iter_close(&it);
	ck_assert_int_eq(check(p, n, &f), E_INVALID_TIMESTAMP);
	ck_assert_int_eq(f.bad_index, 0);
	free(p);
}
END_TEST

START_TEST(maker_limits)
{
	static uint8_t big[1000];
	struct wr out = wr_grow(CAP);
	struct batch_maker m;

	batch_make(&m, 5000);
	ck_assert_int_eq(batch_finish(&m, CODEC_NONE, 0, &out),
	    E_INVALID_RECORD);
	batch_make(&m, 5000);
	for (int i = 0; i < 6; i++)
		batch_add(&m, 0, NULL, -1, big, sizeof big, NULL, 0);
	ck_assert_int_eq(batch_finish(&m, CODEC_NONE, 0, &out), E_TOO_LARGE);
	ck_assert_uint_eq(out.len, 0);
	batch_make(&m, 5000);
	batch_add(&m, 0, NULL, -1, big, sizeof big, NULL, 0);
	m.b.pid = 12;
	m.b.epoch = 1;
	m.b.base_seq = 100;
	m.b.base_offset = 55;
	m.b.attrs = BATCH_TXN;
	wr_bytes(&out, "before", 6);
	ck_assert_int_eq(batch_finish(&m, CODEC_LZ4, INT32_MIN, &out), E_OK);
	ck_assert_mem_eq(out.p, "before", 6);
	ck_assert_int_eq(batch_read(out.p + 6, &m.b), E_OK);
	ck_assert_int_eq(batch_size(&m.b), (int64_t)out.len - 6);
	ck_assert_int_eq(m.b.pid, 12);
	ck_assert_int_eq(m.b.base_offset, 55);
	ck_assert_uint_eq(m.b.attrs, BATCH_TXN | CODEC_LZ4);
	wr_free(&out);
}
END_TEST

/* Bombs: the check stops at the limit, whatever the codec. */
START_TEST(bombs)
{
	struct batch_facts f;
	uint8_t *big = calloc(1, INFLATE_MAX + 1);
	size_t n;
	uint8_t *p;

	p = raw_batch(big, INFLATE_MAX + 1, 1, _i, &n);
	free(big);
	ck_assert_int_eq(check(p, n, &f), E_TOO_LARGE);
	free(p);
}
END_TEST

/* The five records of the golden files; tests/golden/README-batch. */
static struct made_record gold[5];

static void
gold_make(void)
{
	static const struct header two[2] = {
		{ (const uint8_t *)"h1", (const uint8_t *)"x", 2, 1 },
		{ (const uint8_t *)"h2", NULL, 2, -1 },
	};
	static const int64_t ts[5] = { 0, 5, -10, 100, 50 };
	static const char *keys[5] = { "k0", NULL, "k2", "", "k4" };
	static char long_value[2001];
	static const char *values[5] = {
		"value 0", "value 1", NULL, "", long_value,
	};

	memset(long_value, 'a', 2000);
	for (int i = 0; i < 5; i++) {
		struct made_record *r = &gold[i];

		r->ts = 1700000000000 + ts[i];
		r->key = (uint8_t *)(uintptr_t)keys[i];
		r->key_len = keys[i] ? (int32_t)strlen(keys[i]) : -1;
		r->value = (uint8_t *)(uintptr_t)values[i];
		r->value_len = values[i] ? (int32_t)strlen(values[i]) : -1;
	}
	gold[0].nheaders = 2;
	memcpy(gold[0].headers, two, sizeof two);
}

static const char *const writers[] = { "java", "python" };

/* Batches that other writers made, of each codec. */
START_TEST(golden_batches)
{
	struct made all = { gold, 5 };

	gold_make();
	for (int w = 0; w < 2; w++) {
		struct batch_facts f;
		char name[64];
		uint8_t *p;
		size_t n;

		snprintf(name, sizeof name, "%s-v2-%s", writers[w],
		    codec_name((unsigned)_i));
		p = golden_batch(name, &n);
		ck_assert_int_eq(check(p, n, &f), E_OK);
		ck_assert(!f.fixed);
		ck_assert_int_eq(f.null_key, 1);
		ck_assert_int_eq(f.min_ts, 1699999999990);
		ck_assert_int_eq(f.max_ts, 1700000000100);
		expect_records(p, n, &all, 0);
		free(p);
	}
}
END_TEST

/* Batches as only a broker's log holds them. */
START_TEST(golden_log)
{
	struct made all = { gold, 5 };
	struct batch_iter it;
	struct record r;
	struct batch b;
	uint8_t *p;
	size_t n, first;

	gold_make();
	p = golden_batch("java-aborted", &n);
	ck_assert_int_eq(batch_read(p, &b), E_OK);
	ck_assert_int_eq(b.pid, 4242);
	ck_assert_int_eq(b.epoch, 3);
	ck_assert_int_eq(b.base_seq, 17);
	ck_assert_int_eq(b.leader_epoch, 9);
	ck_assert_uint_eq(b.attrs, BATCH_TXN | CODEC_LZ4);
	first = (size_t)batch_size(&b);
	ck_assert(batch_crc_ok(p, first));
	expect_records(p, first, &all, 7);
	/* The marker: key is version 0, type 0 (abort). */
	ck_assert(batch_crc_ok(p + first, n - first));
	ck_assert_int_eq(batch_iter_open(&it, p + first, n - first, CAP),
	    E_OK);
	ck_assert_uint_eq(it.b.attrs, BATCH_TXN | BATCH_CONTROL);
	ck_assert_int_eq(batch_iter_next(&it, &r), E_OK);
	ck_assert_int_eq(r.offset, 12);
	ck_assert_int_eq(r.key_len, 4);
	ck_assert_mem_eq(r.key, "\0\0\0\0", 4);
	ck_assert_int_eq(batch_iter_next(&it, &r), E_EOF);
	batch_iter_close(&it);
	free(p);

	/* Compaction kept two records of one batch and none of the next. */
	p = golden_batch("java-compacted", &n);
	ck_assert_int_eq(batch_read(p, &b), E_OK);
	first = (size_t)batch_size(&b);
	ck_assert_int_eq(batch_last_offset(&b), 1004);
	ck_assert_int_eq(batch_iter_open(&it, p, first, CAP), E_OK);
	ck_assert_int_eq(batch_iter_next(&it, &r), E_OK);
	ck_assert_int_eq(r.offset, 1000);
	ck_assert(made_same(&gold[0], &r));
	ck_assert_int_eq(batch_iter_next(&it, &r), E_OK);
	ck_assert_int_eq(r.offset, 1003);
	ck_assert(made_same(&gold[3], &r));
	ck_assert_int_eq(batch_iter_next(&it, &r), E_EOF);
	batch_iter_close(&it);
	ck_assert_int_eq(batch_iter_open(&it, p + first, n - first, CAP),
	    E_OK);
	ck_assert_int_eq(it.b.count, 0);
	ck_assert_int_eq(batch_last_offset(&it.b), 1009);
	ck_assert_int_eq(batch_iter_next(&it, &r), E_EOF);
	batch_iter_close(&it);
	free(p);

	p = golden_batch("java-logtime", &n);
	for (int i = 0; i < 5; i++)
		gold[i].ts = 1700000001000;
	expect_records(p, n, &all, 50);
	free(p);
}
END_TEST

/* Snappy as most clients that are not Java write it: one raw block. */
/* Every codec into every other: what readers see stays, and so do the fields
 * that the producer will be asked about. */
START_TEST(recoded)
{
	enum codec from = _i / NCODECS, to = _i % NCODECS;
	uint32_t seed = 77 + (uint32_t)_i;
	struct made m = made_up(&seed, 40, true);
	struct wr w = wr_grow(BATCH_MAX);
	struct batch_facts f;
	struct batch_iter it;
	struct batch was, is;
	struct record rec;
	uint8_t *p, head[2][BATCH_HEADER];
	size_t n;

	p = made_batch(&m, from, &n);
	ck_assert_int_eq(batch_read(p, &was), E_OK);
	wr_i32(&w, 7);		/* it appends */
	ck_assert_int_eq(batch_recode(p, n, to, INT32_MIN, &w), E_OK);
	ck_assert_int_eq(check(w.p + 4, w.len - 4, &f), E_OK);
	ck_assert(!f.fixed);
	ck_assert_int_eq(batch_read(w.p + 4, &is), E_OK);
	ck_assert_uint_eq(is.attrs, (was.attrs & ~BATCH_CODEC) | to);
	is.attrs = was.attrs;
	is.length = was.length;
	is.crc = was.crc;
	batch_write(head[0], &was);
	batch_write(head[1], &is);
	ck_assert_mem_eq(head[0], head[1], BATCH_HEADER);
	ck_assert_int_eq(batch_iter_open(&it, w.p + 4, w.len - 4, CAP), E_OK);
	for (int32_t i = 0; i < m.count; i++) {
		ck_assert_int_eq(batch_iter_next(&it, &rec), E_OK);
		ck_assert(made_same(&m.recs[i], &rec));
	}
	ck_assert_int_eq(batch_iter_next(&it, &rec), E_EOF);
	batch_iter_close(&it);
	wr_free(&w);
	free(p);
	made_free(&m);
}
END_TEST

/* Records that nobody had looked at, and no room. */
START_TEST(recoded_badly)
{
	uint32_t seed = 5;
	struct made m = made_up(&seed, 40, true);
	struct wr w = wr_grow(BATCH_MAX), small = wr_grow(100);
	uint8_t *p;
	size_t n;

	wr_i32(&w, 7);
	for (enum codec c = CODEC_GZIP; c < CODEC_MAX; c++) {
		p = made_batch(&m, c, &n);
		ck_assert_int_eq(batch_recode(p, n, CODEC_NONE, INT32_MIN,
		    &small), E_TOO_LARGE);
		ck_assert_uint_eq(small.len, 0);
		small.bad = false;
		memset(p + BATCH_HEADER, 0x55, n - BATCH_HEADER);
		ck_assert_int_ne(batch_recode(p, n, c % 4 + 1, INT32_MIN, &w),
		    E_OK);
		ck_assert_uint_eq(w.len, 4);
		free(p);
	}
	wr_free(&w);
	wr_free(&small);
	made_free(&m);
}
END_TEST

START_TEST(raw_snappy)
{
	static const uint8_t block[] =
	    "\x0e\x34\x0c\0\0\0\1\1\0\x0c\0\0\2\1\1\0";
	struct batch_facts f;
	size_t n;
	uint8_t *p = raw_batch(block, sizeof block - 1, 2, CODEC_NONE, &n);

	be16_put(p + 21, CODEC_SNAPPY);
	be64_put(p + 35, 500);
	renew_crc(p, n);
	ck_assert_int_eq(check(p, n, &f), E_OK);
	ck_assert_int_eq(f.max_ts, 500);
	free(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("batch");
	TCase *t = tcase_create("batch");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 0);
	tcase_add_test(t, header_there_and_back);
	tcase_add_test(t, header_bounds);
	tcase_add_loop_test(t, made_checked_iterated, 0, NCODECS);
	tcase_add_loop_test(t, one_wrong_byte, 0, NCODECS);
	tcase_add_loop_test(t, one_wrong_byte_and_new_crc, 0, NCODECS);
	tcase_add_test(t, cut_short);
	tcase_add_test(t, bad_headers);
	tcase_add_test(t, producer_fields);
	tcase_add_test(t, order_of_checks);
	tcase_add_test(t, header_only);
	tcase_add_test(t, two_batches);
	tcase_add_loop_test(t, bad_records, 0,
	    sizeof recs / sizeof *recs);
	tcase_add_loop_test(t, greatest_timestamp, 0, NCODECS);
	tcase_add_test(t, log_append_time);
	tcase_add_test(t, maker_limits);
	tcase_add_loop_test(t, bombs, CODEC_GZIP, NCODECS);
	tcase_add_loop_test(t, golden_batches, 0, NCODECS);
	tcase_add_test(t, golden_log);
	tcase_add_test(t, raw_snappy);
	tcase_add_loop_test(t, recoded, 0, NCODECS * NCODECS);
	tcase_add_test(t, recoded_badly);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
