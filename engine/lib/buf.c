/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sticky cursors' other halves: numbers and varints, and growth.  Nothing
 * here reports an error by itself; a caller looks at bad once, at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "buf.h"

#define GROW_MIN	256	/* first size of a growing buffer */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "buf.h swaps bytes unconditionally");

int8_t
rd_i8(struct rd *r)
{
	const uint8_t *p = rd_take(r, 1);

	return p == NULL ? 0 : (int8_t)*p;
}

uint16_t
rd_u16(struct rd *r)
{
	const uint8_t *p = rd_take(r, 2);

	return p == NULL ? 0 : be16(p);
}

int16_t
rd_i16(struct rd *r)
{
	return (int16_t)rd_u16(r);
}

uint32_t
rd_u32(struct rd *r)
{
	const uint8_t *p = rd_take(r, 4);

	return p == NULL ? 0 : be32(p);
}

int32_t
rd_i32(struct rd *r)
{
	return (int32_t)rd_u32(r);
}

int64_t
rd_i64(struct rd *r)
{
	const uint8_t *p = rd_take(r, 8);

	return p == NULL ? 0 : (int64_t)be64(p);
}

double
rd_f64(struct rd *r)
{
	uint64_t x = (uint64_t)rd_i64(r);
	double d;

	memcpy(&d, &x, sizeof d);
	return d;
}

/* At most bits/7 bytes, rounded up; what does not fit in bits is bad. */
static uint64_t
rd_var(struct rd *r, int bits)
{
	uint64_t x = 0;
	const uint8_t *p;

	for (int s = 0; s < bits && (p = rd_take(r, 1)) != NULL; s += 7) {
		if (bits - s < 7 && *p >> (bits - s) != 0)
			break;
		x |= (uint64_t)(*p & 0x7f) << s;
		if (!(*p & 0x80))
			return x;
	}
	r->bad = true;
	return 0;
}

uint32_t
rd_uvarint(struct rd *r)
{
	/* Most lengths and counts are one byte. */
	if (!r->bad && r->p < r->end && *r->p < 0x80)
		return *r->p++;
	return (uint32_t)rd_var(r, 32);
}

int32_t
rd_varint(struct rd *r)
{
	uint32_t x = rd_uvarint(r);

	return (int32_t)(x >> 1 ^ -(x & 1));
}

int64_t
rd_varlong(struct rd *r)
{
	uint64_t x = rd_var(r, 64);

	return (int64_t)(x >> 1 ^ -(x & 1));
}

bool
rd_done(const struct rd *r)
{
	return !r->bad && r->p == r->end;
}

struct wr
wr_fixed(void *p, size_t cap)
{
	return (struct wr){ .p = p, .cap = cap };
}

struct wr
wr_grow(size_t max)
{
	ASSERT(max > 0);
	return (struct wr){ .max = max };
}

void
wr_free(struct wr *w)
{
	if (w->max == 0)
		return;
	free(w->p);
	*w = (struct wr){ .max = w->max };
}

bool
wr_more(struct wr *w, size_t n)
{
	size_t cap = w->cap > w->max / 2 ? w->max : w->cap * 2;
	uint8_t *p;

	if (w->bad || w->max == 0 || n > w->max - w->len) {
		w->bad = true;
		return false;
	}
	if (cap < GROW_MIN)
		cap = GROW_MIN < w->max ? GROW_MIN : w->max;
	if (cap < w->len + n)
		cap = w->len + n;
	if ((p = realloc(w->p, cap)) == NULL) {
		w->bad = true;
		return false;
	}
	w->p = p;
	w->cap = cap;
	return true;
}

void
wr_bytes(struct wr *w, const void *p, size_t n)
{
	uint8_t *to = wr_room(w, n);

	if (to != NULL && n > 0)
		memcpy(to, p, n);
}

bool
wr_hole(struct wr *w)
{
	if (w->nhole == w->hole_max)
		return false;
	w->hole[w->nhole++] = w->len;
	return true;
}

void
wr_i8(struct wr *w, int8_t x)
{
	uint8_t *p = wr_room(w, 1);

	if (p != NULL)
		*p = (uint8_t)x;
}

void
wr_i16(struct wr *w, int16_t x)
{
	uint8_t *p = wr_room(w, 2);

	if (p != NULL)
		be16_put(p, (uint16_t)x);
}

void
wr_i32(struct wr *w, int32_t x)
{
	uint8_t *p = wr_room(w, 4);

	if (p != NULL)
		be32_put(p, (uint32_t)x);
}

void
wr_i64(struct wr *w, int64_t x)
{
	uint8_t *p = wr_room(w, 8);

	if (p != NULL)
		be64_put(p, (uint64_t)x);
}

void
wr_f64(struct wr *w, double d)
{
	int64_t x;

	memcpy(&x, &d, sizeof x);
	wr_i64(w, x);
}

static void
wr_var(struct wr *w, uint64_t x)
{
	uint8_t b[10], *p = b;

	if (x < 0x80) {		/* most are */
		wr_i8(w, (int8_t)x);
		return;
	}
	for (; x >= 0x80; x >>= 7)
		*p++ = (uint8_t)(x | 0x80);
	*p++ = (uint8_t)x;
	wr_bytes(w, b, (size_t)(p - b));
}

void
wr_uvarint(struct wr *w, uint32_t x)
{
	wr_var(w, x);
}

void
wr_varint(struct wr *w, int32_t x)
{
	wr_var(w, (uint32_t)x << 1 ^ (uint32_t)(x >> 31));
}

void
wr_varlong(struct wr *w, int64_t x)
{
	wr_var(w, (uint64_t)x << 1 ^ (uint64_t)(x >> 63));
}
