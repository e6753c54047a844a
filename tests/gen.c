/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages made up from their rows.  It knows the rows and nothing of the
 * interpreter, so that it can judge it.
 */
#include <string.h>

#include "gen.h"

uint64_t
gen_u64(struct gen *g)
{
	/* splitmix64 */
	uint64_t z = g->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t
gen_below(struct gen *g, uint32_t n)
{
	return (uint32_t)(gen_u64(g) >> 32) % n;
}

static bool
has(const struct field *f, int v)
{
	return v == VER_ALL || (f->since <= v && v <= f->until);
}

static bool
may_null(const struct field *f, int v)
{
	return v == VER_ALL || (f->null != 0 && v >= f->null - 1);
}

static void
gen_num(struct gen *g, const struct field *f, enum ktype t, uint8_t *at)
{
	static const int64_t edges[] = {
		0, 1, -1, INT8_MIN, INT8_MAX, INT16_MIN, INT16_MAX,
		UINT16_MAX, INT32_MIN, INT32_MAX, UINT32_MAX, INT64_MIN,
		INT64_MAX,
	};
	int64_t x = (int64_t)gen_u64(g);
	uint32_t pick = gen_below(g, 4);
	double d;

	if (pick == 0)
		x = edges[gen_below(g, sizeof edges / sizeof *edges)];
	else if (pick == 1)
		x = f->def;
	switch (t) {
	case K_BOOL:
		*(bool *)at = x & 1;
		break;
	case K_I8:
		*(int8_t *)at = (int8_t)x;
		break;
	case K_I16: case K_U16:
		*(uint16_t *)(void *)at = (uint16_t)x;
		break;
	case K_I32: case K_U32:
		*(uint32_t *)(void *)at = (uint32_t)x;
		break;
	case K_F64:
		d = (double)x / 3;
		memcpy(at, &d, sizeof d);
		break;
	default:
		memcpy(at, &x, sizeof x);
	}
}

/* Strings and bytes; lengths around the edges of varints and of int16. */
static void
gen_bytes(struct gen *g, bool str, bool null, uint8_t *at)
{
	static const int32_t edges[] = { 126, 127, 128, 16382, 16383, 32767 };
	uint32_t pick = gen_below(g, g->small ? 8 : 64);
	struct kbytes b = { 0, NULL };
	uint8_t *p;

	if (null && gen_below(g, 4) == 0)
		b.len = -1;
	else if (pick == 63)
		b.len = edges[gen_below(g, 6)] + (str ? 0 : 1);
	else if (pick != 0)
		b.len = (int32_t)gen_below(g, g->small ? 6 : 24);
	if (b.len > 0) {
		b.p = p = arena_alloc(g->a, (size_t)b.len);
		ASSERT(p != NULL);
		for (int32_t i = 0; i < b.len; i++)
			p[i] = (uint8_t)gen_u64(g);
	}
	memcpy(at, &b, sizeof b);
}

static void	 gen_struct(struct gen *, const struct field *, int, void *);

static void
gen_array(struct gen *g, const struct field *f, int v, uint8_t *at)
{
	struct karr x = { (int32_t)gen_below(g, 4), NULL };
	uint8_t *p;

	if (may_null(f, v) && gen_below(g, 4) == 0)
		x.n = -1;
	else if (f->type == K_VEC && !g->small && gen_below(g, 16) == 0)
		x.n = 126 + (int32_t)gen_below(g, 4);
	if (x.n > g->elems)
		x.n = g->elems;
	if (x.n > 0) {
		g->elems -= x.n;
		x.v = arena_array(g->a, (size_t)x.n, f->subsize);
		ASSERT(x.v != NULL);
	}
	for (int32_t i = 0; i < x.n; i++) {
		p = (uint8_t *)x.v + (size_t)i * f->subsize;
		if (f->type == K_ARR)
			gen_struct(g, f->sub(), v, p);
		else if (f->elem == K_STR)
			gen_bytes(g, true, v == VER_ALL, p);
		else if (f->elem == K_UUID)
			memcpy(p, &(struct uuid){{ (uint8_t)i, 7 }}, 16);
		else
			gen_num(g, f, f->elem, p);
	}
	memcpy(at, &x, sizeof x);
}

static void
gen_field(struct gen *g, const struct field *f, int v, uint8_t *at)
{
	void *p = NULL;

	switch (f->type) {
	case K_UUID:
		for (int i = 0; i < 16; i++)
			at[i] = (uint8_t)gen_u64(g);
		if (gen_below(g, 4) == 0)
			memset(at, 0, 16);
		break;
	case K_STR: case K_BYTES: case K_RECORDS:
		gen_bytes(g, f->type == K_STR, may_null(f, v), at);
		break;
	case K_SUB:
		if (f->tag == 0 || gen_below(g, 2) == 0)
			gen_struct(g, f->sub(), v, at);
		break;
	case K_SUBP:
		if (!may_null(f, v) || gen_below(g, 3) != 0) {
			p = arena_alloc(g->a, f->subsize);
			ASSERT(p != NULL);
			gen_struct(g, f->sub(), v, p);
		}
		memcpy(at, &p, sizeof p);
		break;
	case K_ARR: case K_VEC:
		gen_array(g, f, v, at);
		break;
	default:
		gen_num(g, f, f->type, at);
	}
}

static void
gen_struct(struct gen *g, const struct field *rows, int v, void *out)
{
	fields_init(rows, out);
	for (const struct field *f = rows; f->type != K_END; f++)
		if (has(f, v) || g->dirty)
			gen_field(g, f, v, (uint8_t *)out + f->off);
}

void
gen_msg(struct gen *g, const struct msg *m, int v, void *out)
{
	msg_init(m, out);
	gen_struct(g, m->fields(), v, out);
}

static bool	 same(const struct field *, int, const uint8_t *,
		    const uint8_t *);

static bool
same_array(const struct field *f, int v, const uint8_t *a, const uint8_t *b)
{
	const uint8_t *p, *q;
	struct karr x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	if (x.n != y.n)
		return false;
	p = x.v;
	q = y.v;
	for (; x.n > 0; x.n--, p += f->subsize, q += f->subsize)
		if (f->type == K_ARR) {
			if (!same(f->sub(), v, p, q))
				return false;
		} else if (f->elem == K_STR) {
			if (!kstr_eq(*(const struct kstr *)(const void *)p,
			    *(const struct kstr *)(const void *)q))
				return false;
		} else if (memcmp(p, q, f->subsize) != 0) {
			return false;
		}
	return true;
}

static bool
same_field(const struct field *f, int v, const uint8_t *a, const uint8_t *b)
{
	const uint8_t *p, *q;
	struct kstr s, t;

	switch (f->type) {
	case K_BOOL: case K_I8:
		return *a == *b;
	case K_I16: case K_U16:
		return memcmp(a, b, 2) == 0;
	case K_I32: case K_U32:
		return memcmp(a, b, 4) == 0;
	case K_I64: case K_F64:
		return memcmp(a, b, 8) == 0;
	case K_UUID:
		return memcmp(a, b, 16) == 0;
	case K_STR: case K_BYTES: case K_RECORDS:
		memcpy(&s, a, sizeof s);
		memcpy(&t, b, sizeof t);
		return kstr_eq(s, t);
	case K_SUB:
		return same(f->sub(), v, a, b);
	case K_SUBP:
		memcpy(&p, a, sizeof p);
		memcpy(&q, b, sizeof q);
		if (p == NULL || q == NULL)
			return p == q;
		return same(f->sub(), v, p, q);
	case K_ARR: case K_VEC:
		return same_array(f, v, a, b);
	case K_END: case K_NTYPES:
		break;
	}
	return false;
}

static bool
same(const struct field *f, int v, const uint8_t *a, const uint8_t *b)
{
	for (; f->type != K_END; f++)
		if (has(f, v) && !same_field(f, v, a + f->off, b + f->off))
			return false;
	return true;
}

bool
gen_same(const struct msg *m, int v, const void *a, const void *b)
{
	return same(m->fields(), v, a, b);
}
