/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch without some of its records, as compaction leaves it.  Offsets and
 * what the header says of them never change; timestamps of records neither,
 * though how they are written does when a delete horizon takes the place of
 * the base timestamp (KIP-534).
 */
#include <string.h>

#include "batch.h"
#include "crc32c.h"
#include "limits.h"

struct sieving {
	const struct batch_sieve *how;
	struct batch_iter it;
	struct rd	 recs;		/* all records, as iterated over */
	struct wr	 kept;		/* a byte for each: is it? */
	int32_t		 n;		/* that are */
	int64_t		 first_ts, max_ts;	/* of those */
	bool		 tombstone;	/* one of those is */
};

static size_t
varint_size(int64_t x)
{
	uint64_t z = (uint64_t)x << 1 ^ (uint64_t)(x >> 63);
	unsigned bits = 64 - (unsigned)__builtin_clzll(z | 1);

	return (bits + 6) / 7;
}

static size_t
field_size(int32_t len)
{
	return varint_size(len) + (len > 0 ? (size_t)len : 0);
}

static void
field_put(struct wr *out, const uint8_t *p, int32_t len)
{
	wr_varint(out, len);
	if (len > 0)
		wr_bytes(out, p, (size_t)len);
}

static void
record_put(struct wr *out, const struct batch *b, const struct record *r)
{
	int64_t ts = (int64_t)((uint64_t)r->ts - (uint64_t)b->base_ts);
	int32_t delta = (int32_t)(r->offset - b->base_offset);
	size_t headers = rd_left(&r->headers);
	size_t size = 1 + varint_size(ts) + varint_size(delta) +
	    field_size(r->key_len) + field_size(r->value_len) +
	    varint_size(r->nheaders) + headers;

	if (size > BATCH_MAX) {
		out->bad = true;
		return;
	}
	wr_varint(out, (int32_t)size);
	wr_i8(out, 0);		/* attributes: none are defined */
	wr_varlong(out, ts);
	wr_varint(out, delta);
	field_put(out, r->key, r->key_len);
	field_put(out, r->value, r->value_len);
	wr_varint(out, r->nheaders);
	if (headers > 0)
		wr_bytes(out, r->headers.p, headers);
}

/* Which records stay. */
static enum err
judge(struct sieving *s)
{
	const struct batch_sieve *how = s->how;
	struct record r;
	enum err e;

	s->max_ts = -1;
	while ((e = batch_iter_next(&s->it, &r)) == E_OK) {
		bool keep = how->keep(&r, how->arg);

		wr_i8(&s->kept, keep);
		if (!keep)
			continue;
		if (s->n++ == 0)
			s->first_ts = r.ts;
		if (r.ts > s->max_ts)
			s->max_ts = r.ts;
		s->tombstone |= r.value_len < 0;
	}
	if (e != E_EOF)
		return e;
	return s->kept.bad ? E_NOMEM : E_OK;
}

/* The records that stay, as they are before they are compressed. */
static enum err
records_put(struct sieving *s, const struct batch *b, struct wr *out)
{
	struct record r;
	enum err e;

	s->it.r = s->recs;
	s->it.seen = 0;
	s->it.delta = -1;
	for (size_t i = 0; i < s->kept.len; i++) {
		if ((e = batch_iter_next(&s->it, &r)) != E_OK)
			return e;
		if (s->kept.p[i])
			record_put(out, b, &r);
	}
	return out->bad ? E_TOO_LARGE : E_OK;
}

static enum err
body_put(struct sieving *s, const struct batch *b, struct wr *out)
{
	enum codec codec = (enum codec)(b->attrs & BATCH_CODEC);
	struct wr plain;
	enum err e;

	if (codec == CODEC_NONE)
		return records_put(s, b, out);
	plain = wr_grow(INFLATE_MAX);
	e = records_put(s, b, &plain);
	if (e == E_OK)
		e = codec_deflate(codec, s->how->level, plain.p, plain.len,
		    out, false);
	wr_free(&plain);
	return e;
}

/* Finishes what lies in out from there on: the header goes before it. */
static void
header_put(struct batch *b, struct wr *out, size_t from)
{
	uint8_t *p = out->p + from;
	size_t n = out->len - from;

	b->length = (int32_t)n - BATCH_LOG_OVERHEAD;
	b->crc = 0;
	batch_write(p, b);
	b->crc = crc32c(0, p + BATCH_CRC_FROM, n - BATCH_CRC_FROM);
	batch_write(p, b);
}

/* base_ts: the base timestamp when there is no delete horizon. */
static enum err
write_less(struct sieving *s, struct wr *out, struct batch *b, bool horizon,
    int64_t base_ts)
{
	size_t from = out->len;
	enum err e;

	*b = s->it.b;
	b->count = s->n;
	if (horizon) {
		b->attrs |= BATCH_HORIZON;
		b->base_ts = s->how->horizon;
	} else if (!(b->attrs & BATCH_HORIZON))
		b->base_ts = base_ts;
	if (!(b->attrs & BATCH_LOG_TIME))
		b->max_ts = s->max_ts;
	if (wr_room(out, BATCH_HEADER) == NULL)
		return E_NOMEM;
	e = body_put(s, b, out);
	if (e == E_OK && out->len - from > BATCH_MAX)
		e = E_TOO_LARGE;
	if (e != E_OK) {
		out->len = from;
		out->bad = false;
		return e;
	}
	header_put(b, out, from);
	return E_OK;
}

static enum err
write_empty(struct sieving *s, struct wr *out, struct batch *b)
{
	size_t from = out->len;

	*b = s->it.b;
	b->count = 0;
	b->base_ts = -1;
	b->attrs &= BATCH_LOG_TIME | BATCH_TXN | BATCH_CONTROL;
	if (wr_room(out, BATCH_HEADER) == NULL)
		return E_NOMEM;
	header_put(b, out, from);
	return E_OK;
}

static enum err
decide(struct sieving *s, struct wr *out, struct batch *b,
    enum batch_fate *fate)
{
	bool has = (s->it.b.attrs & BATCH_HORIZON) != 0, horizon;
	enum err e;

	horizon = !has && s->how->horizon >= 0 &&
	    (s->tombstone || s->how->marker);
	*b = s->it.b;
	*fate = BATCH_SAME;
	if (s->n == 0 && s->it.b.count == 0 && s->how->header)
		return E_OK;
	if (s->n == 0) {
		*fate = s->how->header ? BATCH_LESS : BATCH_GONE;
		return s->how->header ? write_empty(s, out, b) : E_OK;
	}
	if (s->n == s->it.b.count && !horizon)
		return E_OK;
	*fate = BATCH_LESS;
	e = write_less(s, out, b, horizon, s->first_ts);
	if (e != E_TOO_LARGE)
		return e;
	/* Deltas to another time may take more bytes.  Then tombstones stay
	 * for longer; what must go goes in any case, or it would be found
	 * again when its tombstone has gone. */
	if (s->n < s->it.b.count)
		return write_less(s, out, b, false, s->it.b.base_ts);
	*b = s->it.b;
	*fate = BATCH_SAME;
	return E_OK;
}

enum err
batch_sieve(const uint8_t *p, size_t n, const struct batch_sieve *how,
    struct wr *out, struct batch *after, enum batch_fate *fate)
{
	struct sieving s = { .how = how,
	    .kept = wr_grow(RECORDS_PER_BATCH_MAX) };
	enum err e = batch_iter_open(&s.it, p, n, INFLATE_MAX);

	s.recs = s.it.r;
	if (e == E_OK)
		e = judge(&s);
	if (e == E_OK)
		e = decide(&s, out, after, fate);
	batch_iter_close(&s.it);
	wr_free(&s.kept);
	return e;
}
