/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches and message sets from strangers.  The first byte says what is
 * done with the rest: the low bits check, iterate or convert it, and bit 7 puts
 * lengths and CRCs right first, so that mutations reach what lies behind them.
 * Two modes compress the rest first, for the same reason.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/batch.h"
#include "lib/crc32c.h"
#include "lib/limits.h"

#define CAP	(4 * MIB)

enum {
	CHECK, CHECK_HEADER, ITERATE, UP, DOWN_0, DOWN_1, CHECK_PACKED,
	UP_PACKED, MODES
};

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static volatile uint32_t last_sum;

/* Walks to the end; the records' bytes are summed so that they are read. */
static enum err
iterate(const uint8_t *p, size_t n, int32_t *count)
{
	uint32_t sum = 0;
	struct batch_iter it;
	struct record r;
	struct header h;
	enum err e, he;

	*count = 0;
	e = batch_iter_open(&it, p, n, CAP);
	ASSERT(it.plain.cap <= CAP);
	ASSERT(it.plain.len <= n * INFLATE_RATIO_MAX + INFLATE_FREE);
	while (e == E_OK && (e = batch_iter_next(&it, &r)) == E_OK) {
		ASSERT((r.key_len < 0) == (r.key == NULL));
		ASSERT((r.value_len < 0) == (r.value == NULL));
		if (r.key_len > 0)
			sum += crc32c(0, r.key, (size_t)r.key_len);
		if (r.value_len > 0)
			sum += crc32c(0, r.value, (size_t)r.value_len);
		while ((he = header_next(&r, &h)) == E_OK)
			sum += crc32c(0, h.key, (size_t)h.key_len) +
			    (h.value_len > 0 ?
			    crc32c(0, h.value, (size_t)h.value_len) : 0);
		ASSERT(he == E_EOF);
		++*count;
	}
	batch_iter_close(&it);
	last_sum = sum;
	return e;
}

/* Batches as they follow one another in a log; the last may be anything. */
static void
iterate_all(const uint8_t *p, size_t n)
{
	struct batch b;
	int32_t count;
	size_t size;

	for (; n >= BATCH_HEADER; p += size, n -= size) {
		size = n;
		if (batch_read(p, &b) == E_OK && (size_t)batch_size(&b) < n)
			size = (size_t)batch_size(&b);
		(void)!iterate(p, size, &count);
	}
}

/* Batches of magic 2, one after the other. */
static void
repair_batches(uint8_t *p, size_t n)
{
	struct batch b;
	size_t size;

	for (; n >= BATCH_HEADER; p += size, n -= size) {
		size = n;
		if (batch_read(p, &b) == E_OK && (size_t)batch_size(&b) < n)
			size = (size_t)batch_size(&b);
		be32_put(p + 8, (uint32_t)size - BATCH_LOG_OVERHEAD);
		p[16] = 2;
		be32_put(p + 17, crc32c(0, p + 21, size - 21));
	}
}

static void
repair_messages(uint8_t *p, size_t n)
{
	size_t size;

	for (; n >= 26; p += size, n -= size) {
		size = (size_t)be32(p + 8) + 12;
		if (size < 26 || size > n) {
			size = n;
			be32_put(p + 8, (uint32_t)size - 12);
		}
		be32_put(p + 12, (uint32_t)crc32_z(0, p + 16, size - 16));
	}
}

static void
check(uint8_t *p, size_t n, bool deep)
{
	struct batch_facts f;
	struct batch b;
	const char *why;
	int32_t count;
	enum err e = batch_check(p, n, deep, true, &f, &why);

	ASSERT((e == E_OK) == (why == NULL));
	ASSERT(e != E_NOMEM);
	if (e != E_OK || !deep)
		return;
	ASSERT(batch_crc_ok(p, n));
	ASSERT(batch_read(p, &b) == E_OK);
	ASSERT(b.max_ts == f.max_ts);
	e = iterate(p, n, &count);	/* under a lower limit than the check */
	ASSERT(e == E_TOO_LARGE || (e == E_EOF && count == b.count));
}

static void
up(const uint8_t *p, size_t n)
{
	struct wr out = wr_grow(2 * INFLATE_MAX);
	struct batch_facts f;
	const char *why;
	enum err e = batch_up_convert(p, n, true, &out, &f, &why);

	ASSERT((e == E_OK) == (why == NULL));
	ASSERT(e != E_NOMEM);
	if (e == E_OK)
		check(out.p, out.len, true);
	else
		ASSERT(out.len == 0);
	wr_free(&out);
}

static void
down(const uint8_t *p, size_t n, int magic)
{
	int64_t from = n >= 8 ? (int64_t)be64(p) : 0;
	struct wr out = wr_grow(2 * INFLATE_MAX);
	enum err e;

	e = batch_down_convert(p, n, magic, from, &out);
	ASSERT(e != E_NOMEM);
	if (out.len > 0)
		up(out.p, out.len);
	wr_free(&out);
}

/* The records of a batch compressed, by the codec that its header names. */
static void
check_packed(const uint8_t *p, size_t n)
{
	struct wr out = wr_grow(INFLATE_MAX);
	unsigned codec;

	if (n < BATCH_HEADER)
		return;
	codec = (be16(p + 21) & BATCH_CODEC) % CODEC_MAX;
	wr_bytes(&out, p, BATCH_HEADER);
	ASSERT(codec_deflate(codec, 1, p + BATCH_HEADER, n - BATCH_HEADER,
	    &out, false) == E_OK);
	be64_put(out.p, 0);
	be16_put(out.p + 21, codec);
	be32_put(out.p + 8, (uint32_t)out.len - BATCH_LOG_OVERHEAD);
	out.p[16] = 2;
	be32_put(out.p + 17, crc32c(0, out.p + 21, out.len - 21));
	check(out.p, out.len, true);
	wr_free(&out);
}

/* A message set in a wrapper of its own magic; the offset says which codec. */
static void
up_packed(uint8_t *p, size_t n)
{
	struct wr out = wr_grow(INFLATE_MAX);
	int codec, magic;
	size_t value;

	if (n <= 16)
		return;
	codec = 1 + p[0] % 3;
	magic = p[16] & 1;
	repair_messages(p, n);
	wr_i64(&out, 0);
	wr_i64(&out, 0);
	wr_i8(&out, (int8_t)magic);
	wr_i8(&out, (int8_t)codec);
	if (magic == 1)
		wr_i64(&out, 5);
	wr_i32(&out, -1);
	wr_i32(&out, 0);
	value = out.len;
	ASSERT(codec_deflate(codec, 1, p, n, &out, magic == 0) == E_OK);
	be32_put(out.p + value - 4, (uint32_t)(out.len - value));
	be32_put(out.p + 8, (uint32_t)out.len - 12);
	repair_messages(out.p, out.len);
	up(out.p, out.len);
	wr_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int mode, repair;
	uint8_t *p;

	if (n < 1)
		return 0;
	mode = (data[0] & 0x7f) % MODES;
	repair = data[0] & 0x80;
	n--;
	p = malloc(n + (n == 0));	/* exactly n: reads past it are seen */
	ASSERT(p != NULL);
	memcpy(p, data + 1, n);
	if (repair && mode == UP)
		repair_messages(p, n);
	else if (repair)
		repair_batches(p, n);
	switch (mode) {
	case CHECK:
	case CHECK_HEADER:
		check(p, n, mode == CHECK);
		break;
	case ITERATE:
		iterate_all(p, n);
		break;
	case UP:
		up(p, n);
		break;
	case DOWN_0:
	case DOWN_1:
		down(p, n, mode - DOWN_0);
		break;
	case CHECK_PACKED:
		check_packed(p, n);
		break;
	case UP_PACKED:
		up_packed(p, n);
		break;
	}
	free(p);
	return 0;
}
