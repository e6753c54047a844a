/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip, snappy, lz4 and zstd behind one table.  Bytes come from strangers:
 * whatever they claim of their size, memory grows only with what was really
 * decompressed, up to a limit that is known before the first byte.
 *
 * A context of each library is kept per thread, because making one costs more
 * than a small batch; it goes with its thread.
 */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "codec.h"
#include "limits.h"

#define GZIP_WINDOW	(15 + 16)	/* zlib's way to say gzip */
#define XERIAL_HEADER	16		/* magic, version, compatible since */
#define XERIAL_BLOCK	(32 * KIB)	/* as Java writes them */
#define SNAPPY_RATIO	22		/* 3 bytes copy 64 at most */
#define LZ4_HEADER_MAX	19

static const uint8_t xerial_magic[8] = "\x82SNAPPY";
static const uint8_t lz4_magic[4] = { 0x04, 0x22, 0x4d, 0x18 };

/* Owned by its thread. */
struct contexts {
	z_stream	 inflate, deflate;
	bool		 inflate_made, deflate_made;
	int		 deflate_level;
	LZ4F_dctx	*lz4_d;
	LZ4F_cctx	*lz4_c;
	ZSTD_DCtx	*zstd_d;
	ZSTD_CCtx	*zstd_c;
};

enum { ZSTD_KEEP = 32 * MIB };	/* a larger context is given back */

static __thread struct contexts *mine;
static pthread_key_t mine_key;
static pthread_once_t mine_once = PTHREAD_ONCE_INIT;

static void
contexts_free(void *v)
{
	struct contexts *c = v;

	if (c->inflate_made)
		inflateEnd(&c->inflate);
	if (c->deflate_made)
		deflateEnd(&c->deflate);
	LZ4F_freeDecompressionContext(c->lz4_d);
	LZ4F_freeCompressionContext(c->lz4_c);
	ZSTD_freeDCtx(c->zstd_d);
	ZSTD_freeCCtx(c->zstd_c);
	free(c);
}

static void
contexts_key(void)
{
	ASSERT(pthread_key_create(&mine_key, contexts_free) == 0);
}

static struct contexts *
contexts(void)
{
	if (mine == NULL && (mine = calloc(1, sizeof *mine)) != NULL) {
		pthread_once(&mine_once, contexts_key);
		ASSERT(pthread_setspecific(mine_key, mine) == 0);
	}
	return mine;
}

/*
 * Where decompressed bytes go.  Once the limit is reached the decoder is given
 * the spill, to learn whether it has one byte more to say.
 */
struct sink {
	struct wr	*out;
	size_t		 from, limit;	/* of out->len */
	size_t		 hint;		/* bytes that are likely to come */
	bool		 spilling;
	uint8_t		 spill[64];
};

/* A place for the next bytes: *n of them, at least one. */
static enum err
sink_place(struct sink *s, uint8_t **p, size_t *n)
{
	struct wr *out = s->out;
	size_t want, left = s->limit - out->len;

	s->spilling = left == 0;
	if (s->spilling) {
		*p = s->spill;
		*n = sizeof s->spill;
		return E_OK;
	}
	if (out->p == NULL || out->len == out->cap) {
		want = out->len - s->from;	/* doubles */
		if (want < s->hint)
			want = s->hint;
		if (want > left)
			want = left;
		if (wr_room(out, want) == NULL)
			return E_NOMEM;
		out->len -= want;
	}
	*p = out->p + out->len;
	*n = out->cap - out->len;
	if (*n > left)
		*n = left;
	return E_OK;
}

static enum err
sink_took(struct sink *s, size_t n)
{
	if (s->spilling)
		return n > 0 ? E_TOO_LARGE : E_OK;
	s->out->len += n;
	return E_OK;
}

static enum err
none_inflate(const uint8_t *in, size_t n, struct sink *s, bool old)
{
	(void)old;
	if (n > s->limit - s->out->len)
		return E_TOO_LARGE;
	wr_bytes(s->out, in, n);
	return s->out->bad ? E_NOMEM : E_OK;
}

static enum err
gzip_inflate(const uint8_t *in, size_t n, struct sink *s, bool old)
{
	struct contexts *c = contexts();
	z_stream *z;
	uint8_t *to;
	size_t room;
	enum err e;
	int r;

	(void)old;
	if (c == NULL)
		return E_NOMEM;
	z = &c->inflate;
	if (c->inflate_made)
		inflateReset(z);
	else if (inflateInit2(z, GZIP_WINDOW) != Z_OK)
		return E_NOMEM;
	c->inflate_made = true;
	if (n > UINT_MAX)
		return E_TOO_LARGE;
	z->next_in = (Bytef *)(uintptr_t)in;
	z->avail_in = (uInt)n;
	do {
		if ((e = sink_place(s, &to, &room)) != E_OK)
			return e;
		if (room > UINT_MAX)
			room = UINT_MAX;
		z->next_out = to;
		z->avail_out = (uInt)room;
		r = inflate(z, Z_NO_FLUSH);
		if ((e = sink_took(s, room - z->avail_out)) != E_OK)
			return e;
		if (r == Z_STREAM_END && z->avail_in > 0)
			r = inflateReset(z);	/* the next member */
	} while (r == Z_OK);
	if (r == Z_MEM_ERROR)
		return E_NOMEM;
	return r == Z_STREAM_END ? E_OK : E_CORRUPT;
}

static enum err
snappy_block(const uint8_t *in, size_t n, struct sink *s)
{
	size_t size, got;
	uint8_t *to;

	if (snappy_uncompressed_length((const char *)in, n, &size) !=
	    SNAPPY_OK || size / SNAPPY_RATIO > n)
		return E_CORRUPT;
	if (size > s->limit - s->out->len)
		return E_TOO_LARGE;
	if ((to = wr_room(s->out, size + (size == 0))) == NULL)
		return E_NOMEM;
	s->out->len -= size == 0;
	got = size;
	if (snappy_uncompress((const char *)in, n, (char *)to, &got) !=
	    SNAPPY_OK || got != size)
		return E_CORRUPT;
	return E_OK;
}

static enum err
snappy_inflate(const uint8_t *in, size_t n, struct sink *s, bool old)
{
	struct rd r = rd_of(in, n);
	const uint8_t *block;
	enum err e = E_OK;
	uint32_t len;

	(void)old;
	if (n < XERIAL_HEADER || memcmp(in, xerial_magic, 8) != 0)
		return snappy_block(in, n, s);
	while (e == E_OK && rd_left(&r) > 0) {
		/* Joined streams repeat the header; no block is so long. */
		if (rd_left(&r) >= XERIAL_HEADER &&
		    memcmp(r.p, xerial_magic, 8) == 0) {
			rd_take(&r, 8);
			if (rd_i32(&r) < 1)	/* version */
				return E_CORRUPT;
			rd_i32(&r);
			continue;
		}
		len = rd_u32(&r);
		if ((block = rd_take(&r, len)) == NULL)
			return E_CORRUPT;
		e = snappy_block(block, len, s);
	}
	return e;
}

static uint32_t
rotl(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static uint32_t
le32(const uint8_t *p)
{
	return __builtin_bswap32(be32(p));
}

/* XXH32 with seed 0, for the few bytes of an LZ4 frame header. */
static uint32_t
xxh32(const uint8_t *p, size_t n)
{
	const uint32_t p1 = 2654435761u, p2 = 2246822519u, p3 = 3266489917u,
	    p4 = 668265263u, p5 = 374761393u;
	uint32_t h = p5, v[4] = { p1 + p2, p2, 0, 0u - p1 };
	size_t all = n;

	for (; n >= 16; p += 16, n -= 16) {
		for (int i = 0; i < 4; i++)
			v[i] = rotl(v[i] + le32(p + 4 * i) * p2, 13) * p1;
		h = rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) +
		    rotl(v[3], 18);
	}
	h += (uint32_t)all;
	for (; n >= 4; p += 4, n -= 4)
		h = rotl(h + le32(p) * p3, 17) * p4;
	while (n-- > 0)
		h = rotl(h + *p++ * p5, 11) * p1;
	h = (h ^ h >> 15) * p2;
	h = (h ^ h >> 13) * p3;
	return h ^ h >> 16;
}

/* Bytes of the frame header at p up to its checksum; 0 when it is none. */
static size_t
lz4_header(const uint8_t *p, size_t n)
{
	size_t len = 6;	/* magic, flags, block descriptor */

	if (n < 7 || memcmp(p, lz4_magic, 4) != 0)
		return 0;
	if (p[4] & 0x08)
		len += 8;	/* content size */
	if (p[4] & 0x01)
		len += 4;	/* dictionary id */
	return n > len ? len : 0;
}

static enum err
lz4_error(LZ4F_errorCode_t r)
{
	/* The library's stable interface has names, not numbers. */
	return strcmp(LZ4F_getErrorName(r), "ERROR_allocation_failed") == 0 ?
	    E_NOMEM : E_CORRUPT;
}

/* Feeds the header at p with the checksum put right; *used of its bytes. */
static enum err
lz4_feed_header(LZ4F_dctx *d, const uint8_t *p, size_t n, size_t *used)
{
	uint8_t header[LZ4_HEADER_MAX];
	size_t len = lz4_header(p, n), wrote = 0, r;

	*used = 0;
	if (len == 0)
		return E_OK;	/* let the library say what it is */
	memcpy(header, p, len);
	header[len] = (uint8_t)(xxh32(header + 4, len - 4) >> 8);
	*used = len + 1;
	r = LZ4F_decompress(d, NULL, &wrote, header, used, NULL);
	if (LZ4F_isError(r))
		return lz4_error(r);
	return *used == len + 1 ? E_OK : E_CORRUPT;
}

/* All frames of in. */
static enum err
lz4_frames(LZ4F_dctx *d, const uint8_t *in, size_t n, struct sink *s,
    bool old)
{
	const uint8_t *end = in + n;
	size_t used, wrote, r;
	uint8_t *to;
	enum err e;

	do {	/* a frame */
		if (old) {
			e = lz4_feed_header(d, in, (size_t)(end - in), &used);
			if (e != E_OK)
				return e;
			in += used;
		}
		do {
			if ((e = sink_place(s, &to, &wrote)) != E_OK)
				return e;
			used = (size_t)(end - in);
			r = LZ4F_decompress(d, to, &wrote, in, &used, NULL);
			if (LZ4F_isError(r))
				return lz4_error(r);
			in += used;
			if ((e = sink_took(s, wrote)) != E_OK)
				return e;
			if (r != 0 && used == 0 && wrote == 0)
				return E_CORRUPT;	/* cut short */
		} while (r != 0);
	} while (in < end);
	return E_OK;
}

static enum err
lz4_inflate(const uint8_t *in, size_t n, struct sink *s, bool old)
{
	struct contexts *c = contexts();
	enum err e;

	if (c == NULL || (c->lz4_d == NULL && LZ4F_isError(
	    LZ4F_createDecompressionContext(&c->lz4_d, LZ4F_VERSION))))
		return E_NOMEM;
	e = lz4_frames(c->lz4_d, in, n, s, old);
	if (e != E_OK) {
		/* The library's reset keeps what is left of the frame's
		 * content size, and the next frame would fail by it. */
		LZ4F_freeDecompressionContext(c->lz4_d);
		c->lz4_d = NULL;
	}
	return e;
}

static enum err
zstd_error(size_t r)
{
	switch (ZSTD_getErrorCode(r)) {
	case ZSTD_error_memory_allocation:
		return E_NOMEM;
	case ZSTD_error_frameParameter_windowTooLarge:
		return E_TOO_LARGE;
	default:
		return E_CORRUPT;
	}
}

static enum err
zstd_inflate(const uint8_t *in, size_t n, struct sink *s, bool old)
{
	struct contexts *c = contexts();
	ZSTD_inBuffer from = { in, n, 0 };
	ZSTD_outBuffer to;
	unsigned long long size = ZSTD_getFrameContentSize(in, n);
	size_t r, was;
	uint8_t *p;
	enum err e;

	(void)old;
	if (c == NULL ||
	    (c->zstd_d == NULL && (c->zstd_d = ZSTD_createDCtx()) == NULL))
		return E_NOMEM;
	ZSTD_DCtx_reset(c->zstd_d, ZSTD_reset_session_only);
	r = ZSTD_DCtx_setParameter(c->zstd_d, ZSTD_d_windowLogMax,
	    ZSTD_WINDOW_LOG_MAX);
	ASSERT(!ZSTD_isError(r));
	/* With room for the whole frame the library needs no window. */
	if (size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR
	    && size > s->hint && size <= s->limit - s->out->len)
		s->hint = (size_t)size;
	do {
		if ((e = sink_place(s, &p, &to.size)) != E_OK)
			return e;
		to.dst = p;
		to.pos = 0;
		was = from.pos;
		r = ZSTD_decompressStream(c->zstd_d, &to, &from);
		if (ZSTD_isError(r))
			return zstd_error(r);
		if ((e = sink_took(s, to.pos)) != E_OK)
			return e;
		if (r != 0 && to.pos == 0 && from.pos == was)
			return E_CORRUPT;	/* cut short */
	} while (r != 0 || from.pos < n);
	return E_OK;
}

static enum err
none_deflate(int level, const uint8_t *in, size_t n, struct wr *out, bool old)
{
	(void)level;
	(void)old;
	wr_bytes(out, in, n);
	return out->bad ? E_TOO_LARGE : E_OK;
}

static enum err
gzip_deflate(int level, const uint8_t *in, size_t n, struct wr *out, bool old)
{
	struct contexts *c = contexts();
	z_stream *z;
	size_t room;

	(void)old;
	if (c == NULL)
		return E_NOMEM;
	z = &c->deflate;
	if (level < Z_BEST_SPEED || level > Z_BEST_COMPRESSION)
		level = Z_DEFAULT_COMPRESSION;
	if (c->deflate_made && c->deflate_level != level) {
		deflateEnd(z);
		c->deflate_made = false;
	}
	if (c->deflate_made)
		deflateReset(z);
	else if (deflateInit2(z, level, Z_DEFLATED, GZIP_WINDOW, 8,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		return E_NOMEM;
	c->deflate_made = true;
	c->deflate_level = level;
	room = deflateBound(z, (uLong)n);
	if (room > UINT_MAX)
		return E_TOO_LARGE;
	if ((z->next_out = wr_room(out, room)) == NULL)
		return E_TOO_LARGE;
	z->avail_out = (uInt)room;
	z->next_in = (Bytef *)(uintptr_t)in;
	z->avail_in = (uInt)n;
	ASSERT(deflate(z, Z_FINISH) == Z_STREAM_END);
	out->len -= z->avail_out;
	return E_OK;
}

static enum err
snappy_deflate(int level, const uint8_t *in, size_t n, struct wr *out,
    bool old)
{
	uint8_t *len, *to;
	size_t block, size;

	(void)level;
	(void)old;
	wr_bytes(out, xerial_magic, sizeof xerial_magic);
	wr_i32(out, 1);		/* version */
	wr_i32(out, 1);		/* compatible since */
	for (; n > 0; in += block, n -= block) {
		block = n < XERIAL_BLOCK ? n : XERIAL_BLOCK;
		size = snappy_max_compressed_length(block);
		if ((len = wr_room(out, 4 + size)) == NULL)
			return E_TOO_LARGE;
		to = len + 4;
		out->len -= size;
		ASSERT(snappy_compress((const char *)in, block, (char *)to,
		    &size) == SNAPPY_OK);
		be32_put(len, (uint32_t)size);
		out->len += size;
	}
	return out->bad ? E_TOO_LARGE : E_OK;
}

static enum err
lz4_deflate(int level, const uint8_t *in, size_t n, struct wr *out, bool old)
{
	/* What Java's reader takes: independent blocks. */
	LZ4F_preferences_t how = {
		.frameInfo = {
			.blockSizeID = LZ4F_max64KB,
			.blockMode = LZ4F_blockIndependent,
		},
		.compressionLevel = level == INT32_MIN ? 0 : level,
		.autoFlush = 1,
	};
	struct contexts *c = contexts();
	size_t room = LZ4F_compressFrameBound(n, &how), len, r;
	uint8_t *p;

	if (c == NULL || (c->lz4_c == NULL && LZ4F_isError(
	    LZ4F_createCompressionContext(&c->lz4_c, LZ4F_VERSION))))
		return E_NOMEM;
	if ((p = wr_room(out, room)) == NULL)
		return E_TOO_LARGE;
	out->len -= room;
	r = len = LZ4F_compressBegin(c->lz4_c, p, room, &how);
	if (!LZ4F_isError(r)) {
		if (old)
			p[len - 1] = (uint8_t)(xxh32(p, len - 1) >> 8);
		r = LZ4F_compressUpdate(c->lz4_c, p + len, room - len, in, n,
		    NULL);
	}
	if (!LZ4F_isError(r)) {
		len += r;
		r = LZ4F_compressEnd(c->lz4_c, p + len, room - len, NULL);
	}
	if (LZ4F_isError(r))
		return E_NOMEM;
	out->len += len + r;
	return E_OK;
}

static enum err
zstd_deflate(int level, const uint8_t *in, size_t n, struct wr *out, bool old)
{
	struct contexts *c = contexts();
	size_t room = ZSTD_compressBound(n), r;
	int window = n > (size_t)1 << ZSTD_WINDOW_LOG_MAX ?
	    ZSTD_WINDOW_LOG_MAX : 0;	/* what readers have, ours too */
	uint8_t *p;

	(void)old;
	if (c == NULL ||
	    (c->zstd_c == NULL && (c->zstd_c = ZSTD_createCCtx()) == NULL))
		return E_NOMEM;
	if ((p = wr_room(out, room)) == NULL)
		return E_TOO_LARGE;
	out->len -= room;
	ZSTD_CCtx_reset(c->zstd_c, ZSTD_reset_session_and_parameters);
	r = ZSTD_CCtx_setParameter(c->zstd_c, ZSTD_c_compressionLevel,
	    level == INT32_MIN ? ZSTD_CLEVEL_DEFAULT : level);
	if (!ZSTD_isError(r))
		r = ZSTD_CCtx_setParameter(c->zstd_c, ZSTD_c_windowLog,
		    window);
	if (!ZSTD_isError(r))
		r = ZSTD_compress2(c->zstd_c, p, room, in, n);
	if (ZSTD_sizeof_CCtx(c->zstd_c) > ZSTD_KEEP) {
		ZSTD_freeCCtx(c->zstd_c);
		c->zstd_c = NULL;
	}
	if (ZSTD_isError(r))
		return E_NOMEM;
	out->len += r;
	return E_OK;
}

static const struct {
	const char	*name;
	enum err	(*inflate)(const uint8_t *, size_t, struct sink *,
			    bool);
	enum err	(*deflate)(int, const uint8_t *, size_t, struct wr *,
			    bool);
} codecs[CODEC_MAX] = {
	[CODEC_NONE] =	 { "none", none_inflate, none_deflate },
	[CODEC_GZIP] =	 { "gzip", gzip_inflate, gzip_deflate },
	[CODEC_SNAPPY] = { "snappy", snappy_inflate, snappy_deflate },
	[CODEC_LZ4] =	 { "lz4", lz4_inflate, lz4_deflate },
	[CODEC_ZSTD] =	 { "zstd", zstd_inflate, zstd_deflate },
};

const char *
codec_name(unsigned codec)
{
	return codec < CODEC_MAX ? codecs[codec].name : NULL;
}

enum err
codec_inflate(enum codec c, const void *in, size_t n, struct wr *out,
    size_t cap, bool lz4_broken_hc)
{
	struct sink s = { .out = out, .from = out->len, .hint = 4 * n };
	size_t max = out->max > 0 ? out->max : out->cap;
	enum err e;

	if ((unsigned)c >= CODEC_MAX)
		return E_UNSUPPORTED_COMPRESSION;
	if (out->bad)
		return E_NOMEM;
	if (n > FRAME_MAX)
		return E_TOO_LARGE;
	s.limit = s.from + n * INFLATE_RATIO_MAX + INFLATE_FREE;
	if (s.limit > cap)
		s.limit = cap;
	if (s.limit > max)
		s.limit = max;
	if (s.limit < s.from)
		return E_TOO_LARGE;
	if (s.hint < 512)
		s.hint = 512;
	e = codecs[c].inflate(in, n, &s, lz4_broken_hc);
	if (e != E_OK)
		out->len = s.from;
	return e;
}

enum err
codec_deflate(enum codec c, int level, const void *in, size_t n,
    struct wr *out, bool lz4_broken_hc)
{
	if ((unsigned)c >= CODEC_MAX)
		return E_UNSUPPORTED_COMPRESSION;
	if (n > FRAME_MAX)
		return E_TOO_LARGE;
	return codecs[c].deflate(level, in, n, out, lz4_broken_hc);
}
