/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches of magic 2: header, records, the check of what a client sent,
 * and the maker.  Records are parsed in one place, record_read, which must
 * never look past the bytes that it was given, whatever they say.
 */
#include <limits.h>
#include <string.h>

#include "batch.h"
#include "crc32c.h"
#include "limits.h"

/* Where header fields lie; batch.h has the whole table. */
enum {
	AT_LENGTH = 8, AT_EPOCH = 12, AT_MAGIC = 16, AT_CRC = 17,
	AT_ATTRS = 21, AT_LAST_DELTA = 23, AT_BASE_TS = 27, AT_MAX_TS = 35,
	AT_PID = 43, AT_PRODUCER_EPOCH = 51, AT_BASE_SEQ = 53, AT_COUNT = 57,

	RECORD_MIN = 7,		/* bytes of an empty record, all varints 1 */
	LENGTH_MIN = BATCH_HEADER - BATCH_LOG_OVERHEAD,
	OLD_LENGTH_MIN = 14,	/* the same of a message of magic 0 */
};

static void
header_get(const uint8_t *p, struct batch *b)
{
	b->base_offset = (int64_t)be64(p);
	b->length = (int32_t)be32(p + AT_LENGTH);
	b->leader_epoch = (int32_t)be32(p + AT_EPOCH);
	b->magic = (int8_t)p[AT_MAGIC];
	b->crc = be32(p + AT_CRC);
	b->attrs = be16(p + AT_ATTRS);
	b->last_delta = (int32_t)be32(p + AT_LAST_DELTA);
	b->base_ts = (int64_t)be64(p + AT_BASE_TS);
	b->max_ts = (int64_t)be64(p + AT_MAX_TS);
	b->pid = (int64_t)be64(p + AT_PID);
	b->epoch = (int16_t)be16(p + AT_PRODUCER_EPOCH);
	b->base_seq = (int32_t)be32(p + AT_BASE_SEQ);
	b->count = (int32_t)be32(p + AT_COUNT);
}

enum err
batch_read(const uint8_t p[BATCH_HEADER], struct batch *b)
{
	header_get(p, b);
	if (b->magic != 2 || b->length < LENGTH_MIN ||
	    batch_size(b) > BATCH_MAX)
		return E_CORRUPT;
	return E_OK;
}

void
batch_write(uint8_t p[BATCH_HEADER], const struct batch *b)
{
	be64_put(p, (uint64_t)b->base_offset);
	be32_put(p + AT_LENGTH, (uint32_t)b->length);
	be32_put(p + AT_EPOCH, (uint32_t)b->leader_epoch);
	p[AT_MAGIC] = (uint8_t)b->magic;
	be32_put(p + AT_CRC, b->crc);
	be16_put(p + AT_ATTRS, b->attrs);
	be32_put(p + AT_LAST_DELTA, (uint32_t)b->last_delta);
	be64_put(p + AT_BASE_TS, (uint64_t)b->base_ts);
	be64_put(p + AT_MAX_TS, (uint64_t)b->max_ts);
	be64_put(p + AT_PID, (uint64_t)b->pid);
	be16_put(p + AT_PRODUCER_EPOCH, (uint16_t)b->epoch);
	be32_put(p + AT_BASE_SEQ, (uint32_t)b->base_seq);
	be32_put(p + AT_COUNT, (uint32_t)b->count);
}

void
batch_assign(uint8_t p[BATCH_HEADER], int64_t base_offset,
    int32_t leader_epoch)
{
	be64_put(p, (uint64_t)base_offset);
	be32_put(p + AT_EPOCH, (uint32_t)leader_epoch);
}

static void
crc_renew(uint8_t *p, size_t n)
{
	be32_put(p + AT_CRC, crc32c(0, p + BATCH_CRC_FROM,
	    n - BATCH_CRC_FROM));
}

void
batch_set_log_time(uint8_t *p, size_t n, int64_t now_ms)
{
	ASSERT(n >= BATCH_HEADER);
	be16_put(p + AT_ATTRS, be16(p + AT_ATTRS) | BATCH_LOG_TIME);
	be64_put(p + AT_MAX_TS, (uint64_t)now_ms);
	crc_renew(p, n);
}

bool
batch_crc_ok(const uint8_t *p, size_t n)
{
	return n >= BATCH_HEADER && be32(p + AT_CRC) ==
	    crc32c(0, p + BATCH_CRC_FROM, n - BATCH_CRC_FROM);
}

static inline int32_t
unzigzag(uint32_t x)
{
	return (int32_t)(x >> 1 ^ -(x & 1));
}

/* The rest of a varint of up to the given bits; NULL when it has none. */
static const uint8_t *
varint_long(const uint8_t *p, const uint8_t *end, unsigned bits, uint64_t *v)
{
	uint64_t x = 0;

	for (unsigned s = 0; s < bits && p < end; s += 7) {
		uint8_t c = *p++;

		if (bits - s < 7 && c >> (bits - s) != 0)
			return NULL;
		x |= (uint64_t)(c & 0x7f) << s;
		if (c < 0x80) {
			*v = x;
			return p;
		}
	}
	return NULL;
}

/* The byte after the varint at p, or NULL. */
static inline __attribute__((always_inline)) const uint8_t *
varint(const uint8_t *p, const uint8_t *end, int32_t *v)
{
	uint64_t x;

	if (__builtin_expect(end - p >= 2, 1)) {
		if (p[0] < 0x80) {
			*v = unzigzag(p[0]);
			return p + 1;
		}
		if (p[1] < 0x80) {
			*v = unzigzag((p[0] & 0x7fu) | (uint32_t)p[1] << 7);
			return p + 2;
		}
	}
	p = varint_long(p, end, 32, &x);
	if (p != NULL)
		*v = unzigzag((uint32_t)x);
	return p;
}

static inline __attribute__((always_inline)) const uint8_t *
varlong(const uint8_t *p, const uint8_t *end, int64_t *v)
{
	uint64_t x;

	if (__builtin_expect(end - p >= 2, 1)) {
		if (p[0] < 0x80) {
			*v = unzigzag(p[0]);
			return p + 1;
		}
		if (p[1] < 0x80) {
			*v = unzigzag((p[0] & 0x7fu) | (uint32_t)p[1] << 7);
			return p + 2;
		}
	}
	p = varint_long(p, end, 64, &x);
	if (p != NULL)
		*v = (int64_t)(x >> 1 ^ -(x & 1));
	return p;
}

/* A record as it lies there, times and offsets relative to its batch. */
struct raw {
	int64_t		 ts_delta;
	const uint8_t	*key, *value, *headers, *end;
	int32_t		 offset_delta;
	int32_t		 key_len, value_len, nheaders;
};

static const char bad_record[] = "a record's fields do not fit its length";
static const char bad_length[] = "a record's length does not fit the batch";
static const char bad_header[] = "a record's headers are malformed";

static const char *
headers_walk(const struct raw *r)
{
	const uint8_t *p = r->headers;
	int32_t len;

	if (r->nheaders < 0 || r->nheaders > r->end - p)
		return bad_header;
	for (int32_t i = 0; i < r->nheaders; i++) {
		p = varint(p, r->end, &len);
		if (p == NULL || len < 0 || len > r->end - p)
			return bad_header;
		p = varint(p + len, r->end, &len);
		if (p == NULL || len < -1 || len > r->end - p)
			return bad_header;
		if (len > 0)
			p += len;
	}
	return p == r->end ? NULL : bad_header;
}

/*
 * Reads the record at *at and moves past it.  NULL, or what is wrong with it.
 * The record's own attributes byte means nothing and may hold anything.
 */
static inline __attribute__((always_inline)) const char *
record_read(const uint8_t **at, const uint8_t *end, struct raw *r)
{
	const uint8_t *p;
	int32_t len;

	p = varint(*at, end, &len);
	if (p == NULL || len < RECORD_MIN - 1 || len > end - p)
		return bad_length;
	*at = end = r->end = p + len;
	p = varlong(p + 1, end, &r->ts_delta);
	if (p == NULL)
		return bad_record;
	p = varint(p, end, &r->offset_delta);
	if (p == NULL)
		return bad_record;
	p = varint(p, end, &r->key_len);
	if (p == NULL || r->key_len < -1 || r->key_len > end - p)
		return bad_record;
	r->key = p;
	p = varint(p + (r->key_len > 0 ? r->key_len : 0), end, &r->value_len);
	if (p == NULL || r->value_len < -1 || r->value_len > end - p)
		return bad_record;
	r->value = p;
	p = varint(p + (r->value_len > 0 ? r->value_len : 0), end,
	    &r->nheaders);
	if (p == NULL)
		return bad_record;
	r->headers = p;
	if (r->nheaders == 0)
		return p == end ? NULL : bad_record;
	return headers_walk(r);
}

/* Sums that wrap instead of overflowing, as Java's do. */
static int64_t
wrap_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

enum err
batch_iter_open(struct batch_iter *it, const uint8_t *p, size_t n, size_t cap)
{
	unsigned codec;
	enum err e;

	*it = (struct batch_iter){ .delta = -1 };
	if (n < BATCH_HEADER)
		return E_CORRUPT;
	if ((e = batch_read(p, &it->b)) != E_OK)
		return e;
	if ((uint64_t)batch_size(&it->b) != n)
		return E_CORRUPT;
	if (it->b.count < 0)
		return E_INVALID_RECORD;
	p += BATCH_HEADER;
	n -= BATCH_HEADER;
	codec = it->b.attrs & BATCH_CODEC;
	/* Compaction leaves a header alone where a batch was. */
	if (codec == CODEC_NONE || n == 0) {
		it->r = rd_of(p, n);
		return E_OK;
	}
	it->plain = wr_grow(cap > 0 ? cap : 1);
	e = codec_inflate(codec, p, n, &it->plain, cap, false);
	it->r = rd_of(it->plain.p, it->plain.len);
	return e;
}

enum err
batch_iter_next(struct batch_iter *it, struct record *rec)
{
	const struct batch *b = &it->b;
	struct raw r;

	if (it->seen == b->count)
		return rd_left(&it->r) == 0 ? E_EOF : E_INVALID_RECORD;
	if (record_read(&it->r.p, it->r.end, &r) != NULL)
		return E_INVALID_RECORD;
	if (r.offset_delta <= it->delta || r.offset_delta > b->last_delta)
		return E_INVALID_RECORD;
	it->delta = r.offset_delta;
	it->seen++;
	rec->offset = wrap_add(b->base_offset, r.offset_delta);
	rec->ts = b->attrs & BATCH_LOG_TIME ? b->max_ts :
	    wrap_add(b->base_ts, r.ts_delta);
	rec->key = r.key_len < 0 ? NULL : r.key;
	rec->key_len = r.key_len;
	rec->value = r.value_len < 0 ? NULL : r.value;
	rec->value_len = r.value_len;
	rec->nheaders = r.nheaders;
	rec->headers = rd_of(r.headers, (size_t)(r.end - r.headers));
	return E_OK;
}

void
batch_iter_close(struct batch_iter *it)
{
	wr_free(&it->plain);
	it->r = rd_of(NULL, 0);
}

enum err
header_next(struct record *rec, struct header *h)
{
	struct rd *r = &rec->headers;

	if (rd_left(r) == 0 && !r->bad)
		return E_EOF;
	h->key_len = rd_varint(r);
	h->key = h->key_len < 0 ? NULL : rd_take(r, (size_t)h->key_len);
	h->value_len = rd_varint(r);
	h->value = h->value_len < 0 ? NULL : rd_take(r, (size_t)h->value_len);
	return r->bad || h->key_len < 0 || h->value_len < -1 ?
	    E_INVALID_RECORD : E_OK;
}

/* Length and magic, before anything else can be read. */
static enum err
check_frame(const uint8_t *p, size_t n, struct batch *b, const char **why)
{
	int32_t length;
	int8_t magic;

	*why = "there is no record batch";
	if (n == 0)
		return E_INVALID_RECORD;
	*why = "the record batch is cut short";
	if (n <= AT_MAGIC)
		return E_CORRUPT;
	length = (int32_t)be32(p + AT_LENGTH);
	magic = (int8_t)p[AT_MAGIC];
	if (length < OLD_LENGTH_MIN ||
	    (size_t)length > n - BATCH_LOG_OVERHEAD)
		return E_CORRUPT;
	*why = "the magic byte is unknown";
	if (magic < 0 || magic > 2)
		return E_CORRUPT;
	*why = "the record batch is not of message format 2";
	if (magic < 2)
		return E_INVALID_RECORD;
	*why = "the record batch's length does not hold its header";
	if (length < LENGTH_MIN)
		return E_CORRUPT;
	*why = "the record batch is longer than any request";
	if (n > BATCH_MAX)
		return E_TOO_LARGE;
	header_get(p, b);
	return E_OK;
}

static enum err
check_codec(const struct batch *b, bool zstd_ok, const char **why)
{
	unsigned codec = b->attrs & BATCH_CODEC;

	*why = "the compression codec is unknown";
	if (codec >= CODEC_MAX)
		return E_UNKNOWN;
	*why = "this version of the request does not allow zstd";
	if (codec == CODEC_ZSTD && !zstd_ok)
		return E_UNSUPPORTED_COMPRESSION;
	return E_OK;
}

/* What the header says, once the CRC vouches for it. */
static enum err
check_header(const struct batch *b, size_t n, const char **why)
{
	size_t room = n - BATCH_HEADER;

	*why = "the number of records is not positive or too large";
	if (b->count <= 0 || b->count > RECORDS_PER_BATCH_MAX)
		return E_INVALID_RECORD;
	*why = "the number of records does not match the last offset";
	if (b->last_delta != b->count - 1)
		return E_INVALID_RECORD;
	*why = "the number of records does not fit the batch";
	if ((b->attrs & BATCH_CODEC) == CODEC_NONE &&
	    (size_t)b->count > room / RECORD_MIN)
		return E_INVALID_RECORD;
	*why = "clients may not write control records";
	if (b->attrs & BATCH_CONTROL)
		return E_INVALID_RECORD;
	*why = "a producer id comes without a sequence number or an epoch";
	if (b->pid >= 0 && (b->base_seq < 0 || b->epoch < 0))
		return E_INVALID_RECORD;
	return E_OK;
}

/* The records proper, decompressed. */
static enum err
check_records(const struct batch *b, struct rd in, struct batch_facts *f,
    const char **why)
{
	const uint8_t *p = in.p, *end = in.end;
	int64_t ts, min = INT64_MAX, max = -1;
	struct raw r;
	int32_t i;

	for (i = 0; i < b->count; i++) {
		if ((*why = record_read(&p, end, &r)) != NULL)
			break;
		if (r.offset_delta != i) {
			*why = "offset deltas do not count from 0";
			break;
		}
		if (r.key_len < 0 && f->null_key < 0)
			f->null_key = i;
		ts = wrap_add(b->base_ts, r.ts_delta);
		if (ts > max)
			max = ts;
		if (ts < min && ts != -1)
			min = ts;
	}
	if (i < b->count) {
		f->bad_index = i;
		return E_INVALID_RECORD;
	}
	if (p != end) {
		*why = "bytes are left after the last record";
		return E_INVALID_RECORD;
	}
	f->min_ts = min == INT64_MAX ? -1 : min;
	f->max_ts = max;
	return E_OK;
}

static enum err
check_deep(const struct batch *b, const uint8_t *p, size_t n,
    struct batch_facts *f, const char **why)
{
	unsigned codec = b->attrs & BATCH_CODEC;
	struct wr plain;
	enum err e;

	p += BATCH_HEADER;
	n -= BATCH_HEADER;
	if (codec == CODEC_NONE)
		return check_records(b, rd_of(p, n), f, why);
	plain = wr_grow(INFLATE_MAX);
	e = codec_inflate(codec, p, n, &plain, INFLATE_MAX, false);
	if (e == E_OK)
		e = check_records(b, rd_of(plain.p, plain.len), f, why);
	else if (e == E_TOO_LARGE)
		*why = "the records are too large when decompressed";
	else if (e == E_NOMEM)
		*why = "there is no memory to decompress the records";
	else
		*why = "the records do not decompress";
	if (e == E_OK)
		f->plain = (int64_t)plain.len;
	wr_free(&plain);
	return e;
}

enum err
batch_check(uint8_t *p, size_t n, bool deep, bool zstd_ok,
    struct batch_facts *f, const char **why)
{
	struct batch b;
	enum err e;

	*f = BATCH_FACTS_NONE;
	if ((e = check_frame(p, n, &b, why)) != E_OK)
		return e;
	/* A request version that predates zstd is refused unread. */
	if (!zstd_ok && (e = check_codec(&b, zstd_ok, why)) != E_OK)
		return e;
	*why = "the partition's data holds more than one record batch";
	if ((uint64_t)batch_size(&b) != n)
		return E_INVALID_RECORD;
	*why = "the base offset is not 0";
	if (b.base_offset != 0)
		return E_INVALID_RECORD;
	*why = "the record batch's CRC is wrong";
	if (!batch_crc_ok(p, n))
		return E_CORRUPT;
	if ((e = check_codec(&b, zstd_ok, why)) != E_OK ||
	    (e = check_header(&b, n, why)) != E_OK)
		return e;
	f->min_ts = b.base_ts;
	f->max_ts = b.max_ts;
	if ((b.attrs & BATCH_CODEC) == CODEC_NONE)
		f->plain = (int64_t)n - BATCH_HEADER;
	if (deep && (e = check_deep(&b, p, n, f, why)) != E_OK)
		return e;
	if (b.attrs & BATCH_LOG_TIME) {
		*why = "a producer may not set the log append time";
		f->bad_index = 0;
		return E_INVALID_TIMESTAMP;
	}
	*why = NULL;
	if (f->max_ts != b.max_ts) {
		be64_put(p + AT_MAX_TS, (uint64_t)f->max_ts);
		crc_renew(p, n);
		f->fixed = true;
	}
	return E_OK;
}

enum err
batch_recode(const uint8_t *p, size_t n, enum codec to, int32_t level,
    struct wr *out)
{
	size_t from = out->len, len = n - BATCH_HEADER;
	const uint8_t *recs = p + BATCH_HEADER;
	struct wr plain = wr_grow(INFLATE_MAX);
	struct batch b;
	enum err e;

	ASSERT(n >= BATCH_HEADER);
	header_get(p, &b);
	e = E_OK;
	if ((b.attrs & BATCH_CODEC) != CODEC_NONE) {
		e = codec_inflate(b.attrs & BATCH_CODEC, recs, len, &plain,
		    INFLATE_MAX, false);
		recs = plain.p;
		len = plain.len;
	}
	if (e == E_OK && wr_room(out, BATCH_HEADER) == NULL)
		e = E_NOMEM;
	if (e == E_OK)
		e = codec_deflate(to, level, recs, len, out, false);
	wr_free(&plain);
	if (e == E_OK && out->len - from > BATCH_MAX)
		e = E_TOO_LARGE;
	if (e != E_OK) {
		out->len = from;
		return e;
	}
	b.length = (int32_t)(out->len - from) - BATCH_LOG_OVERHEAD;
	b.attrs = (uint16_t)((b.attrs & ~BATCH_CODEC) | to);
	batch_write(out->p + from, &b);
	crc_renew(out->p + from, out->len - from);
	return E_OK;
}

void
batch_make(struct batch_maker *m, size_t max_bytes)
{
	*m = (struct batch_maker){
		.b = {
			.base_ts = -1, .max_ts = -1, .pid = -1, .epoch = -1,
			.base_seq = -1, .leader_epoch = -1, .magic = 2,
		},
		.recs = wr_grow(max_bytes),
	};
}

static uint64_t
zigzag(int64_t x)
{
	return (uint64_t)x << 1 ^ (uint64_t)(x >> 63);
}

static size_t
varint_size(int64_t x)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(zigzag(x) | 1);

	return (bits + 6) / 7;
}

static uint8_t *
varint_put(uint8_t *p, int64_t v)
{
	uint64_t x = zigzag(v);

	for (; x >= 0x80; x >>= 7)
		*p++ = (uint8_t)(x | 0x80);
	*p++ = (uint8_t)x;
	return p;
}

static size_t
field_size(int32_t len)
{
	ASSERT(len >= -1);
	return varint_size(len) + (len > 0 ? (size_t)len : 0);
}

static uint8_t *
field_put(uint8_t *p, const void *bytes, int32_t len)
{
	p = varint_put(p, len);
	if (len > 0) {
		memcpy(p, bytes, (size_t)len);
		p += len;
	}
	return p;
}

void
batch_add(struct batch_maker *m, int64_t ts, const void *key, int32_t key_len,
    const void *value, int32_t value_len, const struct header *headers,
    int32_t nheaders)
{
	struct batch *b = &m->b;
	int64_t delta;
	size_t size;
	uint8_t *p;

	if (b->count == 0)
		b->base_ts = ts;
	delta = (int64_t)((uint64_t)ts - (uint64_t)b->base_ts);
	size = 1 + varint_size(delta) + varint_size(b->count) +
	    field_size(key_len) + field_size(value_len) +
	    varint_size(nheaders);
	for (int32_t i = 0; i < nheaders; i++)
		size += field_size(headers[i].key_len) +
		    field_size(headers[i].value_len);
	if (size > BATCH_MAX || b->count == RECORDS_PER_BATCH_MAX)
		m->recs.bad = true;
	p = wr_room(&m->recs, varint_size((int64_t)size) + size);
	if (p == NULL)
		return;
	p = varint_put(p, (int64_t)size);
	*p++ = 0;	/* attributes: none are defined */
	p = varint_put(p, delta);
	p = varint_put(p, b->count);
	p = field_put(p, key, key_len);
	p = field_put(p, value, value_len);
	p = varint_put(p, nheaders);
	for (int32_t i = 0; i < nheaders; i++) {
		p = field_put(p, headers[i].key, headers[i].key_len);
		p = field_put(p, headers[i].value, headers[i].value_len);
	}
	ASSERT(p == m->recs.p + m->recs.len);
	b->count++;
	if (ts > b->max_ts)
		b->max_ts = ts;
}

enum err
batch_finish(struct batch_maker *m, enum codec codec, int level,
    struct wr *out)
{
	struct batch *b = &m->b;
	size_t from = out->len;
	enum err e = E_TOO_LARGE;
	uint8_t *p;

	if (m->recs.bad || wr_room(out, BATCH_HEADER) == NULL)
		goto out;
	e = E_INVALID_RECORD;
	if (b->count == 0)
		goto out;
	e = codec_deflate(codec, level, m->recs.p, m->recs.len, out, false);
	if (e != E_OK)
		goto out;
	e = E_TOO_LARGE;
	if (out->len - from > BATCH_MAX)
		goto out;
	b->length = (int32_t)(out->len - from) - BATCH_LOG_OVERHEAD;
	b->last_delta = b->count - 1;
	b->attrs = (uint16_t)((b->attrs & ~BATCH_CODEC) | codec);
	p = out->p + from;
	batch_write(p, b);
	crc_renew(p, out->len - from);
	e = E_OK;
out:
	if (e != E_OK && out->len > from)
		out->len = from;
	batch_make_free(m);
	return e;
}

void
batch_make_free(struct batch_maker *m)
{
	wr_free(&m->recs);
}
