/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's compression codecs behind one table.  Output is always capped.
 */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

enum codec {
	CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_MAX
};

/* "none", "gzip", ...; NULL for a number that is no codec. */
const char	*codec_name(unsigned codec);

/*
 * Appends the decompressed bytes of in to out.  Fails with E_TOO_LARGE once
 * out would hold more than cap bytes, or grow by more than INFLATE_RATIO_MAX
 * times the input plus INFLATE_FREE (a megabyte of one letter is a fair
 * record, and zstd makes fifty bytes of it), or when a zstd frame wants a
 * window above ZSTD_WINDOW_LOG_MAX; with E_CORRUPT on bytes that are not this
 * codec's, with E_UNSUPPORTED_COMPRESSION on a number that is no codec, with
 * E_NOMEM.  After a failure out holds what it held before.
 * gzip: every member of a multi-member stream.  snappy: xerial framing and one
 * raw block.  lz4 and zstd: one or more frames.  lz4_broken_hc: message format
 * 0 computed the frame header's checksum over the magic as well (KAFKA-3160);
 * readers of that format ignore the checksum, its writers repeat the mistake.
 */
enum err	 codec_inflate(enum codec c, const void *in, size_t n,
		    struct wr *out, size_t cap, bool lz4_broken_hc) MUST;
/* Appends the compressed bytes of in to out.  level: the codec's own, or
 * INT32_MIN for its default.  snappy writes xerial framing, as Java does. */
enum err	 codec_deflate(enum codec, int level, const void *in, size_t n,
		    struct wr *out, bool lz4_broken_hc) MUST;

#endif
