/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed bytes from strangers.  The first byte: low bits the codec, bit 6
 * the old lz4 header checksum, bit 7 to compress the rest and expect it back.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/codec.h"
#include "lib/limits.h"

#define CAP	(4 * MIB)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr z = wr_grow(CAP), out = wr_grow(CAP);
	enum codec codec;
	uint8_t *p;
	enum err e;
	bool old;

	if (n < 1)
		return 0;
	codec = (data[0] & 0x3f) % (CODEC_MAX + 1);
	old = data[0] & 0x40;
	n--;
	p = malloc(n + (n == 0));	/* exactly n: reads past it are seen */
	ASSERT(p != NULL);
	memcpy(p, data + 1, n);
	if (data[0] & 0x80 && codec < CODEC_MAX) {
		ASSERT(codec_deflate(codec, (int)n % 5, p, n, &z, old) ==
		    E_OK);
		ASSERT(codec_inflate(codec, z.p, z.len, &out, CAP, old) ==
		    E_OK);
		ASSERT(out.len == n && (n == 0 || memcmp(out.p, p, n) == 0));
		out.len = 0;
	}
	wr_bytes(&out, "kept", 4);
	e = codec_inflate(codec, p, n, &out, CAP, old);
	ASSERT(e != E_NOMEM && !out.bad);
	ASSERT(out.cap <= CAP);
	ASSERT(memcmp(out.p, "kept", 4) == 0);
	ASSERT(out.len - 4 <= n * INFLATE_RATIO_MAX + INFLATE_FREE);
	ASSERT(e == E_OK || out.len == 4);
	wr_free(&z);
	wr_free(&out);
	free(p);
	return 0;
}
