/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codecs: there and back, what other writers make, and what nobody should
 * make: cut, mutated and lying streams, and bombs.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "ck.h"
#include "lib/codec.h"
#include "lib/limits.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED	1
#elif defined(__has_feature)
#define SANITIZED	__has_feature(address_sanitizer)
#else
#define SANITIZED	0
#endif

#define LIMIT		(256 * MIB)
#define DEFAULT_LEVEL	INT32_MIN

static const enum codec all[] = {
	CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD,
};
#define FIRST_REAL	1	/* in all[]: skips none */
#define NALL		5

static uint32_t state = 88172645;

static uint32_t
rnd(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* Bytes that compress a little: 0 random, 1 text-like, 2 constant. */
static uint8_t *
made_up(size_t n, int kind)
{
	uint8_t *p = malloc(n + 1);

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < n; i++)
		p[i] = kind == 0 ? (uint8_t)rnd() : kind == 1 ?
		    (uint8_t)('a' + rnd() % 4) : 'a';
	return p;
}

static struct wr
deflated(enum codec c, const void *p, size_t n, bool old)
{
	struct wr w = wr_grow(LIMIT);

	ck_assert_int_eq(codec_deflate(c, DEFAULT_LEVEL, p, n, &w, old), E_OK);
	return w;
}

static enum err
inflate_from(enum codec c, const struct wr *in, size_t n, bool old)
{
	struct wr w = wr_grow(LIMIT);
	/* A copy of exactly n bytes, for the sanitizer. */
	uint8_t *p = malloc(n + (n == 0));
	enum err e;

	memcpy(p, in->p, n);
	e = codec_inflate(c, p, n, &w, LIMIT, old);
	free(p);
	wr_free(&w);
	return e;
}

static void
expect(enum codec c, const struct wr *in, const void *p, size_t n)
{
	struct wr w = wr_grow(LIMIT);

	ck_assert_int_eq(codec_inflate(c, in->p, in->len, &w, LIMIT, false),
	    E_OK);
	ck_assert_uint_eq(w.len, n);
	ck_assert(n == 0 || memcmp(w.p, p, n) == 0);
	wr_free(&w);
}

START_TEST(there_and_back)
{
	static const size_t sizes[] = {
		0, 1, 2, 100, 4096, 32768, 32769, 65535, 65536, 65537, 1000003,
	};
	enum codec c = all[_i];

	for (int kind = 0; kind < 3; kind++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			uint8_t *p = made_up(sizes[i], kind);
			struct wr z = deflated(c, p, sizes[i], false);

			expect(c, &z, p, sizes[i]);
			wr_free(&z);
			free(p);
		}
}
END_TEST

START_TEST(all_levels)
{
	static const int levels[] = { -7, -1, 0, 1, 5, 9, 12, 19, 22 };
	uint8_t *p = made_up(200000, 1);

	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		struct wr z = wr_grow(LIMIT);

		ck_assert_int_eq(codec_deflate(all[_i], levels[i], p, 200000,
		    &z, false), E_OK);
		expect(all[_i], &z, p, 200000);
		wr_free(&z);
	}
	free(p);
}
END_TEST

/* What is in out stays there, before what is appended and after a failure. */
START_TEST(appends)
{
	enum codec c = all[_i];
	uint8_t *p = made_up(5000, 1);
	struct wr z = deflated(c, p, 5000, false), w = wr_grow(LIMIT);
	uint8_t fixed[6000];
	struct wr f;

	wr_bytes(&w, "begin", 5);
	ck_assert_int_eq(codec_inflate(c, z.p, z.len, &w, LIMIT, false), E_OK);
	ck_assert_uint_eq(w.len, 5005);
	ck_assert_mem_eq(w.p, "begin", 5);
	ck_assert_mem_eq(w.p + 5, p, 5000);
	ck_assert_int_eq(codec_inflate(c, z.p, z.len, &w, 10004, false),
	    E_TOO_LARGE);
	ck_assert_uint_eq(w.len, 5005);
	ck_assert_int_eq(codec_inflate(c, z.p, z.len, &w, 10005, false), E_OK);
	ck_assert_uint_eq(w.len, 10005);
	ck_assert(!w.bad);

	f = wr_fixed(fixed, 5000);
	ck_assert_int_eq(codec_inflate(c, z.p, z.len, &f, LIMIT, false), E_OK);
	ck_assert_mem_eq(f.p, p, 5000);
	f = wr_fixed(fixed, 4999);
	ck_assert_int_eq(codec_inflate(c, z.p, z.len, &f, LIMIT, false),
	    E_TOO_LARGE);
	f = wr_fixed(fixed, 10);
	ck_assert_int_eq(codec_deflate(c, DEFAULT_LEVEL, p, 5000, &f, false),
	    E_TOO_LARGE);
	wr_free(&w);
	wr_free(&z);
	free(p);
}
END_TEST

/* No proper prefix of a stream is a stream, and none is read past its end.
 * Raw snappy and xerial blocks have no end mark, but their lengths tell. */
START_TEST(cut_short)
{
	enum codec c = all[_i];
	uint8_t *p = made_up(70000, 1);
	struct wr z = deflated(c, p, 70000, false);
	size_t blocks = 0, step;

	for (size_t n = 0; n < z.len; n += step) {
		enum err e = inflate_from(c, &z, n, false);

		step = n < 100 || n + 100 > z.len ? 1 : 37;
		if (c == CODEC_SNAPPY && e == E_OK)
			blocks++;	/* cut between blocks */
		else
			ck_assert_int_eq(e, E_CORRUPT);
	}
	ck_assert_uint_le(blocks, 3);
	wr_free(&z);
	free(p);
}
END_TEST

/* A changed stream may still be one, but never breaks anything. */
START_TEST(mutated)
{
	enum codec c = all[_i];
	uint8_t *p = made_up(3000, 1);
	struct wr z = deflated(c, p, 3000, false);

	for (int i = 0; i < 5000; i++) {
		size_t at = rnd() % z.len;
		uint8_t was = z.p[at];

		z.p[at] ^= (uint8_t)(1 + rnd() % 255);
		ck_assert_int_ne(inflate_from(c, &z, z.len, i & 1), E_NOMEM);
		z.p[at] = was;
	}
	wr_free(&z);
	free(p);
}
END_TEST

START_TEST(trailing_garbage)
{
	enum codec c = all[_i];
	struct wr z = deflated(c, "hello", 5, false);

	wr_bytes(&z, "garbage", 7);
	ck_assert_int_eq(inflate_from(c, &z, z.len, false), E_CORRUPT);
	wr_free(&z);
}
END_TEST

/* gzip members and lz4 and zstd frames may follow one another; joined xerial
 * streams repeat their header. */
START_TEST(joined)
{
	enum codec c = all[_i];
	uint8_t *p = made_up(100000, 1);
	struct wr a = deflated(c, p, 60000, false);
	struct wr b = deflated(c, p + 60000, 40000, false);

	wr_bytes(&a, b.p, b.len);
	expect(c, &a, p, 100000);
	wr_free(&a);
	wr_free(&b);
	free(p);
}
END_TEST

START_TEST(no_such_codec)
{
	struct wr w = wr_grow(LIMIT);

	for (int c = 5; c <= 8; c++) {
		ck_assert_int_eq(codec_inflate((enum codec)c, "x", 1, &w,
		    LIMIT, false), E_UNSUPPORTED_COMPRESSION);
		ck_assert_int_eq(codec_deflate((enum codec)c, 0, "x", 1, &w,
		    false), E_UNSUPPORTED_COMPRESSION);
		ck_assert_ptr_null(codec_name((unsigned)c));
	}
	ck_assert_str_eq(codec_name(CODEC_NONE), "none");
	ck_assert_str_eq(codec_name(CODEC_ZSTD), "zstd");
	ck_assert_uint_eq(w.len, 0);
}
END_TEST

START_TEST(snappy_raw)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 1000, 300000 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t n = sizes[i], zn = snappy_max_compressed_length(n);
		uint8_t *p = made_up(n, 1);
		struct wr z = wr_grow(LIMIT);
		uint8_t *to = wr_room(&z, zn);

		ck_assert_int_eq(snappy_compress((char *)p, n, (char *)to,
		    &zn), SNAPPY_OK);
		z.len = zn;
		expect(CODEC_SNAPPY, &z, p, n);
		wr_free(&z);
		free(p);
	}
}
END_TEST

/* Lengths that lie must not be believed, and must not be allocated. */
START_TEST(snappy_lies)
{
	static const uint8_t head[16] = "\x82SNAPPY\0\0\0\0\1\0\0\0\1";
	static const uint8_t old[16] = "\x82SNAPPY\0\0\0\0\0\0\0\0\0";
	static const struct {
		const char	*bytes;
		size_t		 n;
	} bad[] = {
		{ "", 0 },				/* nothing at all */
		{ "\xff\xff\xff\xff\x0f\x00", 6 },	/* 4 GiB, raw */
		{ "\xff\xff\xff\xff\xff\x7f", 6 },	/* no varint */
		{ "\x80\x80\x80\x20\x00\x61", 6 },	/* 64 MiB, raw */
	}, bad_blocks[] = {
		{ "\0\0\0", 3 },			/* no length */
		{ "\0\0\0\0", 4 },			/* empty block */
		{ "\0\0\0\5\1\0a", 7 },			/* longer than all */
		{ "\xff\xff\xff\xff\1\0a", 7 },
		{ "\x7f\xff\xff\xff\1\0a", 7 },
		{ "\0\0\0\6\xff\xff\xff\xff\x0f\0", 10 },
	};
	struct wr w = wr_grow(LIMIT);

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_eq(codec_inflate(CODEC_SNAPPY, bad[i].bytes,
		    bad[i].n, &w, LIMIT, false), E_CORRUPT);
		ck_assert_uint_le(w.cap, 4096);
	}
	for (size_t i = 0; i < sizeof bad_blocks / sizeof *bad_blocks; i++) {
		uint8_t b[32];

		memcpy(b, head, 16);
		memcpy(b + 16, bad_blocks[i].bytes, bad_blocks[i].n);
		ck_assert_int_eq(codec_inflate(CODEC_SNAPPY, b,
		    16 + bad_blocks[i].n, &w, LIMIT, false), E_CORRUPT);
		ck_assert_uint_le(w.cap, 4096);
	}
	ck_assert_int_eq(codec_inflate(CODEC_SNAPPY, old, 16, &w, LIMIT,
	    false), E_CORRUPT);
	/* A header without blocks holds nothing, rightly. */
	ck_assert_int_eq(codec_inflate(CODEC_SNAPPY, head, 16, &w, LIMIT,
	    false), E_OK);
	ck_assert_uint_eq(w.len, 0);
	wr_free(&w);
}
END_TEST

/* The two checksums of one header, each computed by other software. */
START_TEST(lz4_header_checksums)
{
	uint8_t *p = made_up(100000, 1);
	struct wr good = deflated(CODEC_LZ4, p, 100000, false);
	struct wr broken = deflated(CODEC_LZ4, p, 100000, true);

	ck_assert_mem_eq(good.p, "\x04\x22\x4d\x18\x60\x40\x82", 7);
	ck_assert_mem_eq(broken.p, "\x04\x22\x4d\x18\x60\x40\x1a", 7);
	ck_assert_mem_eq(good.p + 7, broken.p + 7, good.len - 7);
	ck_assert_int_eq(inflate_from(CODEC_LZ4, &good, good.len, false),
	    E_OK);
	ck_assert_int_eq(inflate_from(CODEC_LZ4, &good, good.len, true),
	    E_OK);
	ck_assert_int_eq(inflate_from(CODEC_LZ4, &broken, broken.len, false),
	    E_CORRUPT);
	ck_assert_int_eq(inflate_from(CODEC_LZ4, &broken, broken.len, true),
	    E_OK);
	/* Each frame of several. */
	wr_bytes(&good, broken.p, broken.len);
	ck_assert_int_eq(inflate_from(CODEC_LZ4, &good, good.len, false),
	    E_CORRUPT);
	ck_assert_int_eq(inflate_from(CODEC_LZ4, &good, good.len, true),
	    E_OK);
	wr_free(&good);
	wr_free(&broken);
	free(p);
}
END_TEST

/* All that a frame header may hold: content size, linked blocks, checksums. */
START_TEST(lz4_frame_options)
{
	uint8_t *p = made_up(500000, 1);

	for (int i = 0; i < 32; i++) {
		LZ4F_preferences_t how = {
			.frameInfo = {
				.blockSizeID = LZ4F_max64KB + i % 4,
				.blockMode = i & 4 ? LZ4F_blockLinked :
				    LZ4F_blockIndependent,
				.contentChecksumFlag = i & 8,
				.blockChecksumFlag = i & 16,
				.contentSize = i & 1 ? 500000 : 0,
				.dictID = 0,
			},
		};
		struct wr z = wr_grow(LIMIT);
		size_t n = LZ4F_compressFrameBound(500000, &how);
		uint8_t *to = wr_room(&z, n);

		how.frameInfo.contentChecksumFlag = i & 8 ?
		    LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum;
		how.frameInfo.blockChecksumFlag = i & 16 ?
		    LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum;
		n = LZ4F_compressFrame(to, n, p, 500000, &how);
		ck_assert(!LZ4F_isError(n));
		z.len = n;
		expect(CODEC_LZ4, &z, p, 500000);
		ck_assert_int_eq(inflate_from(CODEC_LZ4, &z, z.len, true),
		    E_OK);
		wr_free(&z);
	}
	free(p);
}
END_TEST

/* A failure leaves nothing behind that the next stream would meet: here a
 * frame that announced its size and then broke off. */
START_TEST(failure_then_success)
{
	LZ4F_preferences_t how = { .frameInfo = { .contentSize = 5000 } };
	enum codec c = all[_i];
	uint8_t *p = made_up(5000, 1);
	struct wr good = deflated(c, p, 5000, false), bad = wr_grow(LIMIT);
	size_t n = LZ4F_compressFrameBound(5000, &how), step;
	uint8_t *to = wr_room(&bad, n);

	if (c == CODEC_LZ4)
		bad.len = LZ4F_compressFrame(to, n, p, 5000, &how);
	else {
		bad.len = 0;
		wr_bytes(&bad, good.p, good.len);
	}
	for (n = 1; n < bad.len; n += step) {
		step = n < 100 ? 1 : 97;
		/* A xerial header alone is a stream, of nothing. */
		ck_assert_int_eq(inflate_from(c, &bad, n, false),
		    c == CODEC_SNAPPY && n == 16 ? E_OK : E_CORRUPT);
		expect(c, &good, p, 5000);
	}
	wr_free(&good);
	wr_free(&bad);
	free(p);
}
END_TEST

/* A streaming writer declares a window and no size. */
static struct wr
zstd_stream(const uint8_t *p, size_t n, int window_log)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	struct wr z = wr_grow(LIMIT);
	ZSTD_inBuffer in = { p, n, 0 };
	ZSTD_outBuffer out;
	size_t r;

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
	out.size = ZSTD_compressBound(n) + 100;
	out.dst = wr_room(&z, out.size);
	out.pos = 0;
	/* Two calls, so that the size is not known to the first. */
	r = ZSTD_compressStream2(c, &out, &in, ZSTD_e_flush);
	ck_assert(!ZSTD_isError(r));
	r = ZSTD_compressStream2(c, &out, &in, ZSTD_e_end);
	ck_assert_uint_eq(r, 0);
	z.len = out.pos;
	ZSTD_freeCCtx(c);
	return z;
}

START_TEST(zstd_windows)
{
	uint8_t *p = made_up(300000, 1);

	for (int w = 10; w <= 27; w++) {
		struct wr z = zstd_stream(p, 300000, w);

		ck_assert_int_eq(inflate_from(CODEC_ZSTD, &z, z.len, false),
		    w <= ZSTD_WINDOW_LOG_MAX ? E_OK : E_TOO_LARGE);
		if (w <= ZSTD_WINDOW_LOG_MAX)
			expect(CODEC_ZSTD, &z, p, 300000);
		wr_free(&z);
	}
	free(p);
}
END_TEST

/* A frame header that claims 2^62 bytes and a window of 2^41. */
START_TEST(zstd_lies)
{
	static const uint8_t size[] = "\x28\xb5\x2f\xfd\xe0"
	    "\x00\x00\x00\x00\x00\x00\x00\x40\x01\x00\x00";
	static const uint8_t window[] = "\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00";
	struct wr w = wr_grow(LIMIT);

	ck_assert_int_ne(codec_inflate(CODEC_ZSTD, size, sizeof size - 1, &w,
	    LIMIT, false), E_OK);
	ck_assert_int_eq(codec_inflate(CODEC_ZSTD, window, sizeof window - 1,
	    &w, LIMIT, false), E_TOO_LARGE);
	ck_assert_uint_le(w.cap, 64 * KIB);
	wr_free(&w);
}
END_TEST

/* A megabyte of one letter is no bomb, whatever it compresses to. */
START_TEST(fair_ratio)
{
	uint8_t *p = made_up(MIB, 2);
	struct wr z = deflated(all[_i], p, MIB, false);

	expect(all[_i], &z, p, MIB);
	wr_free(&z);
	free(p);
}
END_TEST

static long
rss_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* A gigabyte of one letter, made of joined streams of a megabyte each. */
START_TEST(bombs)
{
	enum codec c = all[_i];
	uint8_t *p = made_up(MIB, 2);
	struct wr z = deflated(c, p, MIB, false), bomb = wr_grow(LIMIT);
	struct wr w = wr_grow(INFLATE_MAX);
	long before;

	free(p);
	for (int i = 0; i < 1024; i++)
		wr_bytes(&bomb, z.p, z.len);
	ck_assert(!bomb.bad);
	before = rss_kib();
	ck_assert_int_eq(codec_inflate(c, bomb.p, bomb.len, &w, INFLATE_MAX,
	    false), E_TOO_LARGE);
	ck_assert_uint_le(w.cap, INFLATE_MAX);
	if (!SANITIZED)
		ck_assert_int_lt(rss_kib() - before, 100 * 1024);
	wr_free(&w);
	/* The ratio stops a small one early. */
	w = wr_grow(LIMIT);
	bomb.len = z.len * 8;
	ck_assert_int_eq(codec_inflate(c, bomb.p, bomb.len, &w, LIMIT, false),
	    bomb.len * INFLATE_RATIO_MAX + INFLATE_FREE < 8 * MIB ?
	    E_TOO_LARGE : E_OK);
	/* A buffer grows by doubling. */
	ck_assert_uint_le(w.cap,
	    2 * (bomb.len * INFLATE_RATIO_MAX + INFLATE_FREE));
	wr_free(&w);
	wr_free(&bomb);
	wr_free(&z);
}
END_TEST

static void *
one_thread(void *arg)
{
	enum codec c = *(const enum codec *)arg;
	uint8_t p[1000];
	struct wr z, w = wr_grow(LIMIT);

	memset(p, 'x', sizeof p);
	z = wr_grow(LIMIT);
	if (codec_deflate(c, DEFAULT_LEVEL, p, sizeof p, &z, false) != E_OK ||
	    codec_inflate(c, z.p, z.len, &w, LIMIT, false) != E_OK ||
	    w.len != sizeof p)
		return NULL;
	wr_free(&z);
	wr_free(&w);
	return arg;
}

/* Contexts belong to threads and go with them; the sanitizer sees leaks. */
START_TEST(threads)
{
	pthread_t t[NALL];
	void *r;

	for (int i = 0; i < NALL; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, one_thread,
		    (void *)(uintptr_t)&all[i]), 0);
	for (int i = 0; i < NALL; i++) {
		pthread_join(t[i], &r);
		ck_assert_ptr_nonnull(r);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("codec");
	TCase *t = tcase_create("codec");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 0);
	tcase_add_loop_test(t, there_and_back, 0, NALL);
	tcase_add_loop_test(t, all_levels, 0, NALL);
	tcase_add_loop_test(t, appends, 0, NALL);
	tcase_add_loop_test(t, cut_short, FIRST_REAL, NALL);
	tcase_add_loop_test(t, mutated, FIRST_REAL, NALL);
	tcase_add_loop_test(t, trailing_garbage, FIRST_REAL, NALL);
	tcase_add_loop_test(t, joined, FIRST_REAL, NALL);
	tcase_add_test(t, no_such_codec);
	tcase_add_test(t, snappy_raw);
	tcase_add_test(t, snappy_lies);
	tcase_add_test(t, lz4_header_checksums);
	tcase_add_test(t, lz4_frame_options);
	tcase_add_loop_test(t, failure_then_success, FIRST_REAL, NALL);
	tcase_add_test(t, zstd_windows);
	tcase_add_test(t, zstd_lies);
	tcase_add_loop_test(t, fair_ratio, FIRST_REAL, NALL);
	tcase_add_loop_test(t, bombs, FIRST_REAL, NALL);
	tcase_add_test(t, threads);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
