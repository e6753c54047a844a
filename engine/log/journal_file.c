/* SPDX-License-Identifier: Apache-2.0 */
/* Journal files: headers, records, pieces.  What is read may be anything. */
#include <string.h>

#include "journal_file.h"
#include "lib/crc32c.h"
#include "lib/limits.h"

void
journal_head_put(uint8_t p[JOURNAL_HEAD], const struct journal_head *h)
{
	memset(p, 0, JOURNAL_HEAD);
	memcpy(p, JOURNAL_MAGIC, 8);
	be16_put(p + 8, JOURNAL_VERSION);
	be64_put(p + 16, h->lap);
	be64_put(p + 24, h->id);
	be32_put(p + 60, crc32c(0, p, 60));
}

enum err
journal_head_get(const uint8_t *p, size_t n, struct journal_head *h)
{
	size_t look = n < JOURNAL_HEAD ? n : JOURNAL_HEAD;

	*h = (struct journal_head){ 0 };
	if (look == 0 || (p[0] == 0 && memcmp(p, p + 1, look - 1) == 0))
		return E_NOTFOUND;
	if (n < JOURNAL_HEAD || memcmp(p, JOURNAL_MAGIC, 8) != 0 ||
	    be32(p + 60) != crc32c(0, p, 60))
		return E_CORRUPT;
	if (be16(p + 8) != JOURNAL_VERSION || be16(p + 10) != 0)
		return E_UNSUPPORTED_VERSION;
	h->lap = be64(p + 16);
	h->id = be64(p + 24);
	return E_OK;
}

void
journal_piece_put(uint8_t p[JOURNAL_PIECE], const struct journal_piece *x)
{
	memcpy(p, x->id.topic.b, 16);
	be32_put(p + 16, (uint32_t)x->id.part);
	be32_put(p + 20, (uint32_t)x->len);
	be64_put(p + 24, (uint64_t)x->base);
	be64_put(p + 32, (uint64_t)x->pos);
}

static bool
piece_get(struct rd *r, struct journal_piece *x)
{
	const uint8_t *p = rd_take(r, JOURNAL_PIECE);

	if (p == NULL)
		return false;
	memcpy(x->id.topic.b, p, 16);
	x->id.part = (int32_t)be32(p + 16);
	x->len = (int32_t)be32(p + 20);
	x->base = (int64_t)be64(p + 24);
	x->pos = (int64_t)be64(p + 32);
	if (x->id.part < 0 || x->len <= 0 || x->len > JOURNAL_PIECE_MAX ||
	    x->base < 0 || x->pos < 0 || x->pos > INT64_MAX - x->len)
		return false;
	x->p = rd_take(r, (size_t)x->len);
	return x->p != NULL;
}

static uint32_t
record_crc(const uint8_t *p, size_t n)
{
	return crc32c(crc32c(0, p, JOURNAL_RECORD - 4), p + JOURNAL_RECORD,
	    n - JOURNAL_RECORD);
}

void
journal_record_put(uint8_t *p, size_t n, uint64_t id, uint32_t number,
    uint32_t pieces)
{
	memset(p, 0, JOURNAL_RECORD);
	be64_put(p, id);
	be32_put(p + 8, number);
	be32_put(p + 12, (uint32_t)n);
	be32_put(p + 16, pieces);
	be32_put(p + 28, record_crc(p, n));
}

/* The length of a whole record at p, 0 when there is none. */
static size_t
record_at(const uint8_t *p, size_t n, uint64_t id, uint32_t least)
{
	size_t len;

	if (n < JOURNAL_RECORD || be64(p) != id || be32(p + 8) < least)
		return 0;
	len = be32(p + 12);
	if (len < JOURNAL_RECORD || len > n ||
	    be32(p + 28) != record_crc(p, len))
		return 0;
	return len;
}

enum err
journal_scan(const uint8_t *p, size_t n, const struct journal_head *h,
    enum err (*each)(const struct journal_piece *, void *), void *arg,
    size_t *end, size_t *skipped)
{
	struct journal_piece x;
	uint32_t number = 0;
	size_t len;
	enum err e = E_OK;

	*end = JOURNAL_BLOCK;
	*skipped = 0;
	for (size_t at = JOURNAL_BLOCK; e == E_OK && at < n;
	    at += journal_blocks(len > 0 ? len : 1)) {
		struct rd r;

		if ((len = record_at(p + at, n - at, h->id, number)) == 0)
			continue;
		*skipped += at - *end;
		*end = at + journal_blocks(len);
		number = be32(p + at + 8) + 1;
		r = rd_of(p + at + JOURNAL_RECORD, len - JOURNAL_RECORD);
		for (uint32_t k = be32(p + at + 16); k > 0 && e == E_OK; k--)
			e = piece_get(&r, &x) ? each(&x, arg) : E_CORRUPT;
		if (e == E_OK && rd_left(&r) > 0)
			e = E_CORRUPT;
	}
	return e;
}
