/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of every client driver, in C: record i of a seed, as in
 * Records.java.  Must never depend on time or on chance.
 */
#include "records.h"

#include <string.h>

enum { POOL_SIZE = 262144 };

static unsigned char pool[POOL_SIZE];

static uint32_t
mix(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352dU;
	x ^= x >> 15;
	x *= 0x846ca68bU;
	return x ^ x >> 16;
}

/* Half of the pool's 4 KiB blocks compress, half do not. */
static void
pool_fill(void)
{
	for (uint32_t i = 0; i < POOL_SIZE; i++)
		pool[i] = i >> 12 & 1 ? (unsigned char)mix(i) :
		    (unsigned char)(97 + i % 23);
}

/* The draw numbered k of record i, below n. */
static uint32_t
draw(const struct records *rs, uint32_t i, uint32_t k, uint32_t n)
{
	return mix(mix(rs->seed + i) + k) % n;
}

static struct field
slice(const struct records *rs, uint32_t i, uint32_t k, uint32_t len)
{
	struct field f = { pool + draw(rs, i, k, POOL_SIZE - len), len };

	return f;
}

static struct field
numbered(const struct records *rs, uint32_t i, uint32_t k, uint32_t len,
    unsigned char *buf)
{
	struct field f = { buf, len + 4 };

	buf[0] = (unsigned char)(i >> 24);
	buf[1] = (unsigned char)(i >> 16);
	buf[2] = (unsigned char)(i >> 8);
	buf[3] = (unsigned char)i;
	memcpy(buf + 4, slice(rs, i, k, len).p, len);
	return f;
}

static struct field
key(const struct records *rs, uint32_t i, struct record *r)
{
	static const struct field null = { NULL, 0 }, empty = { "", 0 };

	switch (draw(rs, i, 1, 8)) {
	case 0:
		return null;
	case 1:
		return empty;
	default:
		return numbered(rs, i, 2, draw(rs, i, 3, 40), r->key_buf);
	}
}

static struct field
value(const struct records *rs, uint32_t i, struct record *r)
{
	static const struct field null = { NULL, 0 }, empty = { "", 0 };

	if (i % 2500 == 1777)
		return numbered(rs, i, 6, 100000 + draw(rs, i, 5, 2000),
		    r->value_buf);
	if (i % 100 == 50)
		return numbered(rs, i, 6, 8000 + draw(rs, i, 5, 4000),
		    r->value_buf);
	switch (draw(rs, i, 4, 16)) {
	case 0:
		return rs->null_both || r->key.p != NULL ? null : empty;
	case 1:
		return empty;
	default:
		return numbered(rs, i, 6, draw(rs, i, 5, 900), r->value_buf);
	}
}

static struct field
header(const struct records *rs, uint32_t i, uint32_t j)
{
	static const struct field null = { NULL, 0 }, empty = { "", 0 };
	uint32_t size;

	switch (draw(rs, i, 8 + j, 4)) {
	case 0:
		return rs->null_headers ? null : empty;
	case 1:
		return empty;
	default:
		size = draw(rs, i, 16 + j, 50);
		if (rs->binary_headers)
			return slice(rs, i, 12 + j, size);
		/* The pool begins with text. */
		return (struct field){ pool + draw(rs, i, 12 + j, 4000),
		    size };
	}
}

void
records_get(const struct records *rs, uint32_t i, struct record *r)
{
	static const char *const names[RECORD_HEADERS_MAX] = {
	    "trace", "trace", "a", "x-\xc3\xa9" };

	if (pool[0] == 0)
		pool_fill();
	r->timestamp = rs->t0 + 3 * (int64_t)i;
	r->key = key(rs, i, r);
	r->value = value(rs, i, r);
	r->nheaders = (int)draw(rs, i, 7, 5);
	for (int j = 0; j < r->nheaders; j++) {
		r->names[j] = names[j];
		r->headers[j] = header(rs, i, (uint32_t)j);
	}
}
