/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records made up by a seeded PRNG, for tests of batches and of whatever
 * carries them: sizes, nulls, headers and timestamps of all sorts.
 */
#ifndef BATCH_GEN_H
#define BATCH_GEN_H

#include "lib/batch.h"

enum { MADE_HEADERS_MAX = 3 };

struct made_record {
	int64_t		 ts;
	uint8_t		*key, *value;
	int32_t		 key_len, value_len;	/* -1: null */
	int32_t		 nheaders;
	struct header	 headers[MADE_HEADERS_MAX];
};

struct made {
	struct made_record	*recs;	/* ours, as is what they point to */
	int32_t			 count;
};

/* n records.  Without headers they can pass through the old formats. */
struct made	 made_up(uint32_t *seed, int32_t n, bool headers);
void		 made_free(struct made *);
uint32_t	 made_rnd(uint32_t *seed);
/* The finished batch of them, in a block of exactly its size. */
uint8_t		*made_batch(const struct made *, enum codec, size_t *n);
/* True when they are the same but for the offset. */
bool		 made_same(const struct made_record *, struct record *);
/* A copy in a block of exactly n bytes, so that a sanitizer sees a read past
 * its end. */
uint8_t		*exact_copy(const void *, size_t n);
/* The file tests/golden/batch-NAME.bin, see README-batch there. */
uint8_t		*golden_batch(const char *name, size_t *n);

#endif
