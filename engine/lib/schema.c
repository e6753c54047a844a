/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter of message rows.  Whatever it reads comes from a hostile
 * peer, on either wire: a count is believed only when that many elements of
 * the smallest size could still follow, unknown tagged fields are skipped in
 * place, and depth is that of the rows, which cannot nest in themselves.
 *
 * Where Kafka's generated readers are lax, this one is strict: null is length
 * -1 and no other negative one; tags ascend, so that none comes twice
 * (KIP-482); a known tagged field fills its announced size exactly.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "schema.h"

/* Bytes of a number, on the wire and in the struct; 0 for other types. */
static const uint8_t width[K_NTYPES] = {
	[K_BOOL] = 1, [K_I8] = 1, [K_I16] = 2, [K_U16] = 2, [K_I32] = 4,
	[K_U32] = 4, [K_I64] = 8, [K_F64] = 8,
};

/* How one version of a message looks on the wire. */
struct form {
	int	 v;
	bool	 all;		/* VER_ALL */
	bool	 compact;	/* lengths are n + 1 as a varint */
	bool	 tags;		/* structs end in a section of tagged fields */
};

static struct form
form_of(const struct msg *m, int v)
{
	bool all = v == VER_ALL, flex = v >= m->flex;

	ASSERT(all || (m->min <= v && v <= m->max));
	return (struct form){ v, all, all || flex, !all && flex };
}

static inline bool
present(const struct form *o, const struct field *f)
{
	return o->all || (f->since <= o->v && o->v <= f->until);
}

static inline bool
tagged(const struct form *o, const struct field *f)
{
	return f->tag != 0 && !o->all;
}

static inline bool
nullable(const struct form *o, const struct field *f)
{
	return o->all || (f->null != 0 && o->v >= f->null - 1);
}

static inline bool
compact(const struct form *o, const struct field *f)
{
	return o->compact && (o->all || !f->noflex);
}

/* A number's value as it lies in the struct. */
struct num { uint8_t b[8]; };

static struct num
num_def(const struct field *f)
{
	double d = (double)f->def;
	struct num x;

	memcpy(x.b, f->type == K_F64 ? (const void *)&d : &f->def, 8);
	return x;
}

/* Copies n numbers of one size from the wire's byte order, or to it. */
static inline void
nums_swap(uint8_t *to, const uint8_t *from, size_t size, int32_t n)
{
	uint16_t x;
	uint32_t y;
	uint64_t z;

	for (; n > 0; n--, to += size, from += size)
		if (size == 4) {
			y = be32(from);
			memcpy(to, &y, 4);
		} else if (size == 8) {
			z = be64(from);
			memcpy(to, &z, 8);
		} else if (size == 2) {
			x = be16(from);
			memcpy(to, &x, 2);
		} else {
			*to = *from;
		}
}

static void
field_init(const struct field *f, uint8_t *at)
{
	struct kstr s = { f->null_def ? -1 : 0, NULL };
	struct karr x = { f->null_def ? -1 : 0, NULL };
	struct num n;

	switch (f->type) {
	case K_BOOL: case K_I8: case K_I16: case K_U16: case K_I32:
	case K_U32: case K_I64: case K_F64:
		n = num_def(f);
		memcpy(at, n.b, width[f->type]);
		break;
	case K_UUID:
		memset(at, 0, sizeof(struct uuid));
		break;
	case K_STR: case K_BYTES: case K_RECORDS:
		memcpy(at, &s, sizeof s);
		break;
	case K_ARR: case K_VEC:
		memcpy(at, &x, sizeof x);
		break;
	case K_SUB:
		fields_init(f->sub(), at);
		break;
	case K_SUBP:
		memset(at, 0, sizeof(void *));
		break;
	case K_END: case K_NTYPES:
		ASSERT(!"a row has no type");
	}
}

void
fields_init(const struct field *rows, void *out)
{
	for (const struct field *f = rows; f->type != K_END; f++)
		field_init(f, (uint8_t *)out + f->off);
}

void
msg_init(const struct msg *m, void *out)
{
	memset(out, 0, m->size);
	fields_init(m->fields(), out);
}

static bool
is_default(const struct field *f, const uint8_t *at)
{
	const uint8_t *p;
	struct num n;
	int32_t len;

	switch (f->type) {
	case K_BOOL: case K_I8: case K_I16: case K_U16: case K_I32:
	case K_U32: case K_I64: case K_F64:
		n = num_def(f);
		return memcmp(at, n.b, width[f->type]) == 0;
	case K_UUID:
		return uuid_zero(*(const struct uuid *)at);
	case K_STR: case K_BYTES: case K_RECORDS: case K_ARR: case K_VEC:
		memcpy(&len, at, sizeof len);	/* all start with it */
		return f->null_def ? len < 0 : len == 0;
	case K_SUB:
		for (f = f->sub(); f->type != K_END; f++)
			if (!is_default(f, at + f->off))
				return false;
		return true;
	case K_SUBP:
		memcpy(&p, at, sizeof p);
		return p == NULL;
	case K_END: case K_NTYPES:
		break;
	}
	ASSERT(!"a row has no type");
	return false;
}

/*
 * Reading.
 */
struct in {
	struct form	 o;
	struct rd	 r;
	struct arena	*a;
	bool		 nomem;
};

static void	 read_struct(struct in *, const struct field *, uint8_t *);

/* The fewest bytes that one struct of these rows takes. */
static size_t
size_min(const struct form *o, const struct field *f)
{
	size_t n = o->tags;

	for (; f->type != K_END; f++) {
		if (tagged(o, f) || !present(o, f))
			continue;
		if (width[f->type] != 0)
			n += width[f->type];
		else if (f->type == K_UUID)
			n += sizeof(struct uuid);
		else if (f->type == K_SUBP && nullable(o, f))
			n++;
		else if (f->type == K_SUB || f->type == K_SUBP)
			n += size_min(o, f->sub());
		else
			n += compact(o, f) ? 1 : f->type == K_STR ? 2 : 4;
	}
	return n;
}

static size_t
elem_min(const struct form *o, const struct field *f)
{
	if (f->type == K_ARR)
		return size_min(o, f->sub());
	if (f->elem == K_STR)
		return compact(o, f) ? 1 : 2;
	return f->elem == K_UUID ? sizeof(struct uuid) : width[f->elem];
}

/* A length or count; -1 is null, or bad where there must be none. */
static int32_t
read_len(struct in *in, enum ktype t, bool comp, bool null)
{
	int64_t n;

	if (comp)
		n = (int64_t)rd_uvarint(&in->r) - 1;
	else
		n = t == K_STR ? rd_i16(&in->r) : rd_i32(&in->r);
	if (n < (null ? -1 : 0) || n > INT32_MAX)
		in->r.bad = true;
	return in->r.bad ? -1 : (int32_t)n;
}

/* Strings, bytes and records: borrowed. */
static void
read_bytes(struct in *in, enum ktype t, bool comp, bool null, uint8_t *at)
{
	struct kbytes b = { read_len(in, t, comp, null), NULL };

	if (t == K_STR && b.len > INT16_MAX && !in->o.all)
		in->r.bad = true;	/* as Kafka, in compact form too */
	if (b.len >= 0)
		b.p = rd_take(&in->r, (size_t)b.len);
	memcpy(at, &b, sizeof b);
}

static void
read_elems(struct in *in, const struct field *f, uint8_t *v, int32_t n)
{
	const struct field *rows = f->type == K_ARR ? f->sub() : NULL;
	bool comp = compact(&in->o, f);
	const uint8_t *p;

	if (rows != NULL) {
		for (; n > 0 && !in->r.bad; n--, v += f->subsize)
			read_struct(in, rows, v);
	} else if (f->elem == K_STR) {
		for (; n > 0 && !in->r.bad; n--, v += f->subsize)
			read_bytes(in, K_STR, comp, in->o.all, v);
	} else if ((p = rd_take(&in->r, n * f->subsize)) != NULL) {
		if (f->elem == K_UUID)
			memcpy(v, p, n * f->subsize);
		else
			nums_swap(v, p, f->subsize, n);
	}
}

static void
read_array(struct in *in, const struct field *f, uint8_t *at)
{
	struct karr x = { 0, NULL };
	size_t min;

	x.n = read_len(in, f->type, compact(&in->o, f),
	    nullable(&in->o, f));
	if (x.n > 0) {
		min = elem_min(&in->o, f);
		ASSERT(min > 0);
		if ((size_t)x.n > rd_left(&in->r) / min)
			in->r.bad = true;
		else if ((x.v = arena_array(in->a, x.n, f->subsize)) == NULL)
			in->nomem = in->r.bad = true;
		else
			read_elems(in, f, x.v, x.n);
	}
	memcpy(at, &x, sizeof x);
}

/* Kafka writes -1 or 1 before a nullable struct and reads any sign. */
static void
read_pointer(struct in *in, const struct field *f, uint8_t *at)
{
	uint8_t *p = NULL;

	if (!nullable(&in->o, f) || rd_i8(&in->r) >= 0) {
		p = in->r.bad ? NULL : arena_alloc(in->a, f->subsize);
		if (p != NULL)
			read_struct(in, f->sub(), p);
		else if (!in->r.bad)
			in->nomem = in->r.bad = true;
	}
	memcpy(at, &p, sizeof p);
}

static void
read_field(struct in *in, const struct field *f, uint8_t *at)
{
	const uint8_t *p;

	switch (f->type) {
	case K_BOOL:
		*at = rd_i8(&in->r) != 0;
		break;
	case K_I8:
		*at = (uint8_t)rd_i8(&in->r);
		break;
	case K_I16: case K_U16:
		if ((p = rd_take(&in->r, 2)) != NULL)
			nums_swap(at, p, 2, 1);
		break;
	case K_I32: case K_U32:
		if ((p = rd_take(&in->r, 4)) != NULL)
			nums_swap(at, p, 4, 1);
		break;
	case K_I64: case K_F64:
		if ((p = rd_take(&in->r, 8)) != NULL)
			nums_swap(at, p, 8, 1);
		break;
	case K_UUID:
		if ((p = rd_take(&in->r, sizeof(struct uuid))) != NULL)
			memcpy(at, p, sizeof(struct uuid));
		break;
	case K_STR: case K_BYTES: case K_RECORDS:
		read_bytes(in, f->type, compact(&in->o, f),
		    nullable(&in->o, f), at);
		break;
	case K_SUB:
		read_struct(in, f->sub(), at);
		break;
	case K_SUBP:
		read_pointer(in, f, at);
		break;
	case K_ARR: case K_VEC:
		read_array(in, f, at);
		break;
	case K_END: case K_NTYPES:
		ASSERT(!"a row has no type");
	}
}

/* One tagged field of a struct that the rows describe. */
static void
read_tagged(struct in *in, const struct field *f, uint32_t tag, uint8_t *base)
{
	uint32_t size = rd_uvarint(&in->r);
	const uint8_t *p = rd_take(&in->r, size), *end = in->r.end;

	for (; p != NULL && f->type != K_END; f++)
		if (f->tag != 0 && (uint32_t)f->tag - 1 == tag &&
		    present(&in->o, f)) {
			in->r.p = p;
			in->r.end = p + size;
			read_field(in, f, base + f->off);
			if (rd_left(&in->r) > 0)
				in->r.bad = true;
			in->r.end = end;
			return;
		}
}

static void
read_struct(struct in *in, const struct field *rows, uint8_t *base)
{
	uint32_t n, tag;
	int64_t last = -1;

	for (const struct field *f = rows; f->type != K_END; f++)
		if (!tagged(&in->o, f) && present(&in->o, f))
			read_field(in, f, base + f->off);
		else
			field_init(f, base + f->off);
	if (!in->o.tags)
		return;
	n = rd_uvarint(&in->r);
	if (n > rd_left(&in->r) / 2)	/* a tag and a size each */
		in->r.bad = true;
	for (; n > 0 && !in->r.bad; n--, last = tag) {
		tag = rd_uvarint(&in->r);
		if (tag <= last)
			in->r.bad = true;
		read_tagged(in, rows, tag, base);
	}
}

enum err
msg_read(const struct msg *m, int v, struct rd *r, struct arena *a, void *out)
{
	struct in in = { form_of(m, v), *r, a, false };

	memset(out, 0, m->size);
	read_struct(&in, m->fields(), out);
	*r = in.r;
	return in.nomem ? E_NOMEM : in.r.bad ? E_PROTO : E_OK;
}

/*
 * Writing.
 */
struct out {
	struct form	 o;
	struct wr	*w;
	bool		 wrong;		/* a value that cannot stand */
};

static void	 write_struct(struct out *, const struct field *,
		    const uint8_t *);

static void
wrong(struct out *out)
{
	out->wrong = out->w->bad = true;
}

static void
write_len(struct out *out, enum ktype t, bool comp, bool null, int32_t n)
{
	if (n < 0) {
		n = -1;
		if (!null)
			wrong(out);
	}
	if (t == K_STR && n > INT16_MAX && !out->o.all)
		wrong(out);
	if (comp)
		wr_uvarint(out->w, (uint32_t)n + 1);
	else if (t == K_STR)
		wr_i16(out->w, (int16_t)n);
	else
		wr_i32(out->w, n);
}

static void
write_bytes(struct out *out, enum ktype t, bool comp, bool null,
    const uint8_t *at)
{
	struct kbytes b;

	memcpy(&b, at, sizeof b);
	write_len(out, t, comp, null, b.len);
	if (b.len > 0 && b.p != NULL)
		wr_bytes(out->w, b.p, (size_t)b.len);
	else if (b.len > 0 && (t == K_STR || !wr_hole(out->w)))
		wrong(out);
}

static void
write_array(struct out *out, const struct field *f, const uint8_t *at)
{
	const struct field *rows = f->type == K_ARR ? f->sub() : NULL;
	bool comp = compact(&out->o, f);
	const uint8_t *v;
	struct karr x;
	uint8_t *p;

	memcpy(&x, at, sizeof x);
	write_len(out, f->type, comp, nullable(&out->o, f), x.n);
	if (x.n <= 0)
		return;
	v = x.v;
	if (rows != NULL) {
		for (; x.n > 0 && !out->w->bad; x.n--, v += f->subsize)
			write_struct(out, rows, v);
	} else if (f->elem == K_STR) {
		for (; x.n > 0 && !out->w->bad; x.n--, v += f->subsize)
			write_bytes(out, K_STR, comp, out->o.all, v);
	} else if ((p = wr_room(out->w, x.n * f->subsize)) != NULL) {
		if (f->elem == K_UUID)
			memcpy(p, v, x.n * f->subsize);
		else
			nums_swap(p, v, f->subsize, x.n);
	}
}

static void
write_pointer(struct out *out, const struct field *f, const uint8_t *at)
{
	const uint8_t *p;

	memcpy(&p, at, sizeof p);
	if (nullable(&out->o, f))
		wr_i8(out->w, p == NULL ? -1 : 1);
	else if (p == NULL)
		wrong(out);
	if (p != NULL)
		write_struct(out, f->sub(), p);
}

static void
write_field(struct out *out, const struct field *f, const uint8_t *at)
{
	uint8_t *p;

	switch (f->type) {
	case K_BOOL: case K_I8:
		wr_i8(out->w, (int8_t)*at);
		break;
	case K_I16: case K_U16:
		if ((p = wr_room(out->w, 2)) != NULL)
			nums_swap(p, at, 2, 1);
		break;
	case K_I32: case K_U32:
		if ((p = wr_room(out->w, 4)) != NULL)
			nums_swap(p, at, 4, 1);
		break;
	case K_I64: case K_F64:
		if ((p = wr_room(out->w, 8)) != NULL)
			nums_swap(p, at, 8, 1);
		break;
	case K_UUID:
		wr_bytes(out->w, at, sizeof(struct uuid));
		break;
	case K_STR: case K_BYTES: case K_RECORDS:
		write_bytes(out, f->type, compact(&out->o, f),
		    nullable(&out->o, f), at);
		break;
	case K_SUB:
		write_struct(out, f->sub(), at);
		break;
	case K_SUBP:
		write_pointer(out, f, at);
		break;
	case K_ARR: case K_VEC:
		write_array(out, f, at);
		break;
	case K_END: case K_NTYPES:
		ASSERT(!"a row has no type");
	}
}

/* A tagged field's size stands before it and is known after it: the field
 * moves up by the size's own length. */
static void
write_tagged(struct out *out, const struct field *f, const uint8_t *at)
{
	uint8_t size[5];
	struct wr ws = wr_fixed(size, sizeof size), *w = out->w;
	int nhole = w->nhole;
	size_t start;

	wr_uvarint(w, (uint32_t)f->tag - 1);
	start = w->len;
	write_field(out, f, at);
	if (w->bad)
		return;
	ASSERT(w->nhole == nhole);	/* it would move, and its size lie */
	if (w->len - start > INT32_MAX) {
		wrong(out);
		return;
	}
	wr_uvarint(&ws, (uint32_t)(w->len - start));
	if (wr_room(w, ws.len) == NULL)
		return;
	memmove(w->p + start + ws.len, w->p + start, w->len - start - ws.len);
	memcpy(w->p + start, size, ws.len);
}

/* Rows stand in the order of their tags; check_schema.c sees to it. */
static void
write_struct(struct out *out, const struct field *rows, const uint8_t *base)
{
	const struct field *f;
	uint32_t n = 0;

	for (f = rows; f->type != K_END; f++)
		if (!present(&out->o, f))
			continue;
		else if (!tagged(&out->o, f))
			write_field(out, f, base + f->off);
		else if (!is_default(f, base + f->off))
			n++;
	if (!out->o.tags)
		return;
	wr_uvarint(out->w, n);
	for (f = rows; n > 0 && f->type != K_END; f++)
		if (tagged(&out->o, f) && present(&out->o, f) &&
		    !is_default(f, base + f->off)) {
			write_tagged(out, f, base + f->off);
			n--;
		}
}

enum err
msg_write(const struct msg *m, int v, struct wr *w, const void *in)
{
	struct out out = { form_of(m, v), w, false };

	write_struct(&out, m->fields(), in);
	return out.wrong ? E_PROTO : w->bad ? E_NOMEM : E_OK;
}

/*
 * Printing.
 */
static void	 print_struct(struct wr *, const struct field *,
		    const uint8_t *);

__attribute__((format(printf, 2, 3))) static void
print(struct wr *w, const char *fmt, ...)
{
	char s[64];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s, sizeof s, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0 && (size_t)n < sizeof s);
	wr_bytes(w, s, (size_t)n);
}

/* Only printable ASCII goes out as it is: dumps end up in terminals. */
static void
print_str(struct wr *w, const struct kstr *s)
{
	if (s->len < 0) {
		print(w, "null");
		return;
	}
	print(w, "\"");
	for (int32_t i = 0; i < s->len && !w->bad; i++) {
		unsigned char c = (unsigned char)s->p[i];

		if (c == '"' || c == '\\')
			print(w, "\\%c", c);
		else if (c >= ' ' && c <= '~')
			wr_bytes(w, &c, 1);
		else
			print(w, "\\x%02x", c);
	}
	print(w, "\"");
}

static void
print_num(struct wr *w, enum ktype t, const uint8_t *at)
{
	int spare = 64 - 8 * width[t];
	uint64_t x = 0;
	double d;

	memcpy(&x, at, width[t]);
	if (t == K_BOOL) {
		print(w, x != 0 ? "true" : "false");
	} else if (t == K_F64) {
		memcpy(&d, at, sizeof d);
		print(w, "%.17g", d);
	} else if (t == K_U16 || t == K_U32) {
		print(w, "%" PRIu64, x);
	} else {
		print(w, "%" PRId64, (int64_t)(x << spare) >> spare);
	}
}

static void
print_uuid(struct wr *w, const uint8_t *at)
{
	for (size_t i = 0; i < sizeof(struct uuid); i++)
		print(w, "%02x", at[i]);
}

static void
print_array(struct wr *w, const struct field *f, const uint8_t *at)
{
	const uint8_t *v;
	struct karr x;

	memcpy(&x, at, sizeof x);
	if (x.n < 0) {
		print(w, "null");
		return;
	}
	print(w, "[");
	v = x.v;
	for (int32_t i = 0; i < x.n && !w->bad; i++, v += f->subsize) {
		if (i > 0)
			print(w, " ");
		if (f->type == K_ARR)
			print_struct(w, f->sub(), v);
		else if (f->elem == K_STR)
			print_str(w, (const struct kstr *)(const void *)v);
		else if (f->elem == K_UUID)
			print_uuid(w, v);
		else
			print_num(w, f->elem, v);
	}
	print(w, "]");
}

static void
print_field(struct wr *w, const struct field *f, const uint8_t *at)
{
	struct kbytes b;
	const uint8_t *p;

	switch (f->type) {
	case K_BOOL: case K_I8: case K_I16: case K_U16: case K_I32:
	case K_U32: case K_I64: case K_F64:
		print_num(w, f->type, at);
		break;
	case K_UUID:
		print_uuid(w, at);
		break;
	case K_STR:
		print_str(w, (const struct kstr *)(const void *)at);
		break;
	case K_BYTES: case K_RECORDS:
		memcpy(&b, at, sizeof b);
		if (b.len < 0)
			print(w, "null");
		else
			print(w, "bytes(%" PRId32 ")", b.len);
		break;
	case K_SUB:
		print_struct(w, f->sub(), at);
		break;
	case K_SUBP:
		memcpy(&p, at, sizeof p);
		if (p == NULL)
			print(w, "null");
		else
			print_struct(w, f->sub(), p);
		break;
	case K_ARR: case K_VEC:
		print_array(w, f, at);
		break;
	case K_END: case K_NTYPES:
		ASSERT(!"a row has no type");
	}
}

static void
print_struct(struct wr *w, const struct field *f, const uint8_t *base)
{
	const char *sep = "{";

	for (; f->type != K_END; f++, sep = " ") {
		wr_bytes(w, sep, 1);
		wr_bytes(w, f->name, strlen(f->name));
		wr_bytes(w, "=", 1);
		print_field(w, f, base + f->off);
	}
	print(w, *sep == '{' ? "{}" : "}");
}

void
msg_print(const struct msg *m, struct wr *w, const void *in)
{
	wr_bytes(w, m->name, strlen(m->name));
	print_struct(w, m->fields(), in);
}
