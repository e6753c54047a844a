/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message formats 0 and 1, spoken by clients that predate record batches.  The
 * log never holds them: they are converted on the way in and on the way out.
 *
 *   OFFSET SIZE DESCRIPTION                                    (big-endian)
 *        0    8 offset
 *        8    4 size: bytes after this field
 *       12    4 CRC-32 (zlib's) of everything from 16 on
 *       16    1 magic: 0 or 1
 *       17    1 attributes: 0-2 codec, 3 timestamp type (1: log append)
 *       18    8 timestamp, ms                            (magic 1 only)
 *               key, value: 4 bytes of length each, -1 null
 *
 * A message with a codec is a wrapper: its value is a compressed message set.
 * Its offset is that of the last message inside; those inside carry absolute
 * offsets in format 0 and offsets relative to the first in format 1.  Wrappers
 * do not nest.
 */
#include <string.h>
#include <zlib.h>

#include "batch.h"
#include "limits.h"

enum {
	SET_OVERHEAD = 12,	/* offset and size */
	SIZE_MIN_0 = 14, SIZE_MIN_1 = 22, /* empty message, after its size */
	AT_CRC = 12, AT_MAGIC = 16,
};

struct message {
	const uint8_t	*key, *value;
	int64_t		 offset, ts;
	int32_t		 key_len, value_len;	/* -1: null */
	uint8_t		 attrs;
	int		 magic;
};

/* One up-conversion. */
struct up {
	struct batch_maker	 m;
	struct batch_facts	*f;
	const char		*why;
	enum codec		 codec;	/* of the first wrapper */
	int			 magic;	/* of the first message, or -1 */
	int32_t			 count;
	bool			 zstd_ok;
};

/* A key or value; false when it does not fit. */
static bool
field_read(struct rd *r, const uint8_t **p, int32_t *len)
{
	*len = rd_i32(r);
	*p = *len > 0 ? rd_take(r, (size_t)*len) : r->p;
	return !r->bad && *len >= -1;
}

/* The next message of a set; wrappers look like any other here. */
static enum err
message_read(struct rd *set, struct message *m, const char **why)
{
	const uint8_t *body;
	struct rd r;
	uint32_t size;

	*why = "the message set is cut short";
	m->offset = rd_i64(set);
	size = rd_u32(set);
	if ((body = rd_take(set, size)) == NULL)
		return E_CORRUPT;
	*why = "a message's size does not hold its fields";
	if (size < SIZE_MIN_0)
		return E_CORRUPT;
	*why = "the magic byte is unknown";
	m->magic = (int8_t)body[4];
	if (m->magic < 0 || m->magic > 2)
		return E_CORRUPT;
	*why = "a record batch stands in a message set";
	if (m->magic == 2)
		return E_INVALID_RECORD;
	*why = "a message's CRC is wrong";
	if (be32(body) != crc32_z(0, body + 4, size - 4))
		return E_CORRUPT;
	*why = "a message's size does not hold its fields";
	if (m->magic == 1 && size < SIZE_MIN_1)
		return E_CORRUPT;
	r = rd_of(body + 5, size - 5);
	m->attrs = (uint8_t)rd_i8(&r);
	m->ts = m->magic == 1 ? rd_i64(&r) : -1;
	*why = "a message's key and value do not fit its size";
	if (!field_read(&r, &m->key, &m->key_len) ||
	    !field_read(&r, &m->value, &m->value_len) || !rd_done(&r))
		return E_INVALID_RECORD;
	*why = NULL;
	return E_OK;
}

/* Appends a message that is no wrapper to the batch. */
static enum err
up_add(struct up *u, const struct message *m)
{
	struct batch_facts *f = u->f;

	if (m->magic != u->magic) {
		u->why = "message formats are mixed";
		return E_INVALID_RECORD;
	}
	if (m->attrs & BATCH_LOG_TIME) {
		u->why = "a producer may not set the log append time";
		return E_INVALID_TIMESTAMP;
	}
	if (m->key_len < 0 && f->null_key < 0)
		f->null_key = u->count;
	if (m->ts != -1 && (f->min_ts == -1 || m->ts < f->min_ts))
		f->min_ts = m->ts;
	if (m->ts > f->max_ts)
		f->max_ts = m->ts;
	batch_add(&u->m, m->ts, m->key, m->key_len, m->value, m->value_len,
	    NULL, 0);
	if (u->m.recs.bad) {
		u->why = "the messages are too large when decompressed";
		return E_TOO_LARGE;
	}
	u->count++;
	return E_OK;
}

/* Appends what a decompressed wrapper held. */
static enum err
up_inner(struct up *u, const struct message *w, struct rd set)
{
	struct message m;
	enum err e;

	u->why = "a wrapper holds no messages";
	if (rd_left(&set) == 0)
		return E_INVALID_RECORD;
	while (rd_left(&set) > 0) {
		if ((e = message_read(&set, &m, &u->why)) != E_OK)
			return e;
		u->why = "compressed messages are nested";
		if (m.attrs & BATCH_CODEC)
			return E_INVALID_RECORD;
		/* The wrapper's word on the kind of timestamp counts. */
		m.attrs = w->attrs & BATCH_LOG_TIME;
		if ((e = up_add(u, &m)) != E_OK)
			return e;
	}
	return E_OK;
}

static enum err
up_wrapper(struct up *u, const struct message *w)
{
	unsigned codec = w->attrs & BATCH_CODEC;
	struct wr plain;
	enum err e;

	u->why = "the compression codec is unknown";
	if (codec >= CODEC_MAX)
		return E_UNKNOWN;
	u->why = "message formats before 2 have no zstd";
	if (codec == CODEC_ZSTD)
		return u->zstd_ok ? E_INVALID_RECORD :
		    E_UNSUPPORTED_COMPRESSION;
	u->why = "a wrapper holds no messages";
	if (w->value_len <= 0)
		return E_INVALID_RECORD;
	if (u->codec == CODEC_NONE)
		u->codec = codec;
	plain = wr_grow(INFLATE_MAX);
	e = codec_inflate(codec, w->value, (size_t)w->value_len, &plain,
	    INFLATE_MAX, w->magic == 0);
	if (e == E_OK)
		e = up_inner(u, w, rd_of(plain.p, plain.len));
	else if (e == E_TOO_LARGE)
		u->why = "the messages are too large when decompressed";
	else if (e == E_NOMEM)
		u->why = "there is no memory to decompress the messages";
	else
		u->why = "the messages do not decompress";
	wr_free(&plain);
	return e;
}

enum err
batch_up_convert(const uint8_t *set, size_t n, bool zstd_ok, struct wr *out,
    struct batch_facts *f, const char **why)
{
	struct up u = { .f = f, .magic = -1, .zstd_ok = zstd_ok };
	struct rd r = rd_of(set, n);
	struct message m;
	enum err e = E_OK;

	*f = BATCH_FACTS_NONE;
	*why = "there are no messages";
	if (n == 0)
		return E_INVALID_RECORD;
	batch_make(&u.m, INFLATE_MAX);
	while (e == E_OK && rd_left(&r) > 0) {
		if ((e = message_read(&r, &m, &u.why)) != E_OK)
			break;
		if (u.magic < 0)
			u.magic = m.magic;
		e = m.attrs & BATCH_CODEC ? up_wrapper(&u, &m) : up_add(&u, &m);
	}
	if (e == E_OK) {
		u.why = NULL;
		e = batch_finish(&u.m, u.codec, INT32_MIN, out);
		if (e != E_OK)
			u.why = "the converted record batch is too large";
	} else {
		f->bad_index = u.count;
		batch_make_free(&u.m);
	}
	*why = u.why;
	return e;
}

/* Everything of a message but its value's bytes.  Returns its start. */
static size_t
message_begin(struct wr *w, const struct message *m)
{
	size_t from = w->len;

	wr_i64(w, m->offset);
	wr_i32(w, 0);		/* size and CRC: message_end */
	wr_i32(w, 0);
	wr_i8(w, (int8_t)m->magic);
	wr_i8(w, (int8_t)m->attrs);
	if (m->magic == 1)
		wr_i64(w, m->ts);
	wr_i32(w, m->key_len);
	if (m->key_len > 0)
		wr_bytes(w, m->key, (size_t)m->key_len);
	wr_i32(w, m->value_len);
	return from;
}

static enum err
message_end(struct wr *w, size_t from)
{
	uint8_t *p;

	if (w->bad || w->len - from > BATCH_MAX)
		return E_TOO_LARGE;
	p = w->p + from;
	be32_put(p + 8, (uint32_t)(w->len - from - SET_OVERHEAD));
	be32_put(p + AT_CRC, (uint32_t)crc32_z(0, p + AT_MAGIC,
	    w->len - from - AT_MAGIC));
	return E_OK;
}

/* Appends the messages of set, all inside one wrapper. */
static enum err
wrapper_write(struct wr *out, struct message *wrapper, const struct wr *set)
{
	size_t from, value;
	enum err e;

	from = message_begin(out, wrapper);
	value = out->len;
	e = codec_deflate(wrapper->attrs & BATCH_CODEC, INT32_MIN, set->p,
	    set->len, out, wrapper->magic == 0);
	if (e != E_OK)
		return e;
	if (out->bad || out->len - value > BATCH_MAX)
		return E_TOO_LARGE;
	be32_put(out->p + value - 4, (uint32_t)(out->len - value));
	return message_end(out, from);
}

/* Appends one open batch's records as messages. */
static enum err
down_records(struct batch_iter *it, int magic, int64_t from, struct wr *out,
    struct message *wrapper)
{
	struct message m = { .magic = magic };
	bool relative = magic == 1 && wrapper->attrs & BATCH_CODEC;
	uint64_t base = 0;	/* unsigned: offsets wrap, not overflow */
	struct record r;
	size_t at, began = out->len;
	enum err e;

	if (magic == 1)
		m.attrs = (uint8_t)(it->b.attrs & BATCH_LOG_TIME);
	while ((e = batch_iter_next(it, &r)) == E_OK) {
		if (r.offset < from)
			continue;
		if (relative && out->len == began)
			base = (uint64_t)r.offset;
		m.offset = (int64_t)((uint64_t)r.offset - base);
		wrapper->offset = r.offset;
		m.ts = r.ts;
		if (r.ts > wrapper->ts)
			wrapper->ts = r.ts;
		m.key = r.key;
		m.key_len = r.key_len;
		m.value = r.value;
		m.value_len = r.value_len;
		at = message_begin(out, &m);
		if (m.value_len > 0)
			wr_bytes(out, m.value, (size_t)m.value_len);
		if ((e = message_end(out, at)) != E_OK)
			return e;
	}
	return e == E_EOF ? E_OK : e;
}

/* One whole batch of n bytes. */
static enum err
down_batch(const uint8_t *p, size_t n, int magic, int64_t from,
    struct wr *out)
{
	struct message wrapper = {
		.magic = magic, .ts = -1, .key_len = -1, .value_len = -1,
	};
	struct batch_iter it;
	struct wr set;
	unsigned codec;
	enum err e;

	if (!batch_crc_ok(p, n))
		return E_CORRUPT;
	e = batch_iter_open(&it, p, n, INFLATE_MAX);
	if (e != E_OK)
		goto out;
	codec = it.b.attrs & BATCH_CODEC;
	if (codec == CODEC_NONE) {
		e = down_records(&it, magic, from, out, &wrapper);
		goto out;
	}
	wrapper.attrs = (uint8_t)codec;
	if (magic == 1)
		wrapper.attrs |= it.b.attrs & BATCH_LOG_TIME;
	set = wr_grow(INFLATE_MAX);
	e = down_records(&it, magic, from, &set, &wrapper);
	if (e == E_OK && set.len > 0)
		e = wrapper_write(out, &wrapper, &set);
	wr_free(&set);
out:
	batch_iter_close(&it);
	return e;
}

enum err
batch_down_convert(const uint8_t *p, size_t n, int magic, int64_t from,
    struct wr *out)
{
	struct batch b;
	size_t size, was;
	enum err e;

	ASSERT(magic == 0 || magic == 1);
	for (; n >= BATCH_HEADER; p += size, n -= size) {
		if ((e = batch_read(p, &b)) != E_OK)
			return e;
		size = (size_t)batch_size(&b);
		if (size > n)
			break;
		if (b.attrs & BATCH_CONTROL || batch_last_offset(&b) < from)
			continue;
		if ((b.attrs & BATCH_CODEC) == CODEC_ZSTD)
			return E_UNSUPPORTED_COMPRESSION;
		was = out->len;
		e = down_batch(p, size, magic, from, out);
		if (e != E_OK) {
			out->len = was;
			return e;
		}
	}
	return E_OK;
}
