/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up records and batches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_gen.h"

#define BASE_TS	1700000000000

uint32_t
made_rnd(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

uint8_t *
exact_copy(const void *p, size_t n)
{
	uint8_t *q = malloc(n + (n == 0));

	ASSERT(q != NULL);
	if (n > 0)
		memcpy(q, p, n);
	return q;
}

static int32_t
some_length(uint32_t *seed)
{
	switch (made_rnd(seed) % 8) {
	case 0:
		return -1;
	case 1:
		return 0;
	case 2:
		return (int32_t)(made_rnd(seed) % 5000);
	case 3:	/* where varints grow */
		return (int32_t)(60 + made_rnd(seed) % 8);
	default:
		return (int32_t)(made_rnd(seed) % 100);
	}
}

static uint8_t *
some_bytes(uint32_t *seed, int32_t len)
{
	uint8_t *p;

	if (len < 0)
		return NULL;
	p = malloc((size_t)len + 1);
	ASSERT(p != NULL);
	for (int32_t i = 0; i < len; i++)
		p[i] = (uint8_t)("abcdefgh"[made_rnd(seed) % 8] +
		    (made_rnd(seed) % 16 == 0 ? (int)(made_rnd(seed) % 90) :
		    0));
	return p;
}

static int64_t
some_time(uint32_t *seed)
{
	switch (made_rnd(seed) % 16) {
	case 0:
		return -1;
	case 1:
		return 0;
	case 2:
		return INT64_MAX - made_rnd(seed) % 10;
	default:
		return BASE_TS + made_rnd(seed) % 20000 - 10000;
	}
}

struct made
made_up(uint32_t *seed, int32_t n, bool headers)
{
	struct made m = { calloc((size_t)n + 1, sizeof *m.recs), n };

	ASSERT(m.recs != NULL);
	for (struct made_record *r = m.recs; r < m.recs + n; r++) {
		r->ts = some_time(seed);
		r->key_len = some_length(seed);
		r->key = some_bytes(seed, r->key_len);
		r->value_len = some_length(seed);
		r->value = some_bytes(seed, r->value_len);
		if (headers && made_rnd(seed) % 4 == 0)
			r->nheaders = (int32_t)(made_rnd(seed) %
			    (MADE_HEADERS_MAX + 1));
		for (int i = 0; i < r->nheaders; i++) {
			struct header *h = &r->headers[i];

			h->key_len = some_length(seed);
			if (h->key_len < 0)
				h->key_len = 0;
			h->key = some_bytes(seed, h->key_len);
			h->value_len = some_length(seed);
			h->value = some_bytes(seed, h->value_len);
		}
	}
	return m;
}

void
made_free(struct made *m)
{
	for (struct made_record *r = m->recs; r < m->recs + m->count; r++) {
		free(r->key);
		free(r->value);
		for (int i = 0; i < r->nheaders; i++) {
			free((void *)(uintptr_t)r->headers[i].key);
			free((void *)(uintptr_t)r->headers[i].value);
		}
	}
	free(m->recs);
}

uint8_t *
made_batch(const struct made *m, enum codec codec, size_t *n)
{
	struct wr out = wr_grow(1 << 28);
	struct batch_maker maker;
	uint8_t *p;

	batch_make(&maker, 1 << 28);
	for (int32_t i = 0; i < m->count; i++) {
		const struct made_record *r = &m->recs[i];

		batch_add(&maker, r->ts, r->key, r->key_len, r->value,
		    r->value_len, r->headers, r->nheaders);
	}
	ASSERT(batch_finish(&maker, codec, INT32_MIN, &out) == E_OK);
	p = exact_copy(out.p, out.len);
	*n = out.len;
	wr_free(&out);
	return p;
}

static bool
same_bytes(const uint8_t *a, int32_t alen, const uint8_t *b, int32_t blen)
{
	return alen == blen && (a == NULL) == (b == NULL) &&
	    (alen <= 0 || memcmp(a, b, (size_t)alen) == 0);
}

bool
made_same(const struct made_record *want, struct record *r)
{
	struct header h;

	if (r->ts != want->ts || r->nheaders != want->nheaders ||
	    !same_bytes(r->key, r->key_len, want->key, want->key_len) ||
	    !same_bytes(r->value, r->value_len, want->value, want->value_len))
		return false;
	for (int i = 0; i < want->nheaders; i++) {
		const struct header *w = &want->headers[i];

		if (header_next(r, &h) != E_OK ||
		    !same_bytes(h.key, h.key_len, w->key, w->key_len) ||
		    !same_bytes(h.value, h.value_len, w->value, w->value_len))
			return false;
	}
	return header_next(r, &h) == E_EOF;
}

uint8_t *
golden_batch(const char *name, size_t *n)
{
	const char *src = getenv("CHRONIK_SRC");
	uint8_t bytes[8192];
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/tests/golden/batch-%s.bin",
	    src != NULL ? src : ".", name);
	if ((f = fopen(path, "rb")) == NULL)
		perror(path);
	ASSERT(f != NULL);
	*n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	return exact_copy(bytes, *n);
}
