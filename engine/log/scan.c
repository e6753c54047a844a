/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a log file with a window that moves.  Memory is bounded by the
 * largest batch that the file really holds.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "scan.h"

#define WINDOW	(256 * KIB)	/* read at once, unless a batch is larger */

enum err
scan_open(struct scan *s, const char *path)
{
	struct disk_stat st = { 0 };
	enum err err;

	*s = (struct scan){ .fd = -1 };
	if ((err = disk->open(path, DISK_READ, &s->fd)) != E_OK)
		return err;
	err = disk->fstat(s->fd, &st);
	if (err == E_OK && st.dir)
		err = E_USAGE;
	s->size = st.size;
	if (err != E_OK)
		disk->close(s->fd);
	return err;
}

void
scan_close(struct scan *s)
{
	disk->close(s->fd);
	free(s->buf);
}

enum err
scan_view(struct scan *s, int64_t pos, size_t n, const uint8_t **p)
{
	size_t want = n > WINDOW ? n : WINDOW, got;
	enum err err;

	if (pos < s->from || pos + (int64_t)n > s->till) {
		if (want > s->cap) {
			uint8_t *b = realloc(s->buf, want);

			if (b == NULL)
				return E_NOMEM;
			s->buf = b;
			s->cap = want;
		}
		s->from = s->till = pos;
		err = disk->pread(s->fd, s->buf, want, pos, &got);
		if (err != E_OK)
			return err;
		s->till = pos + (int64_t)got;
		if (got < n)
			return E_EOF;
	}
	*p = s->buf + (pos - s->from);
	return E_OK;
}

/* A header at pos whose batch lies in the file, whatever its CRC. */
static enum err
header_at(struct scan *s, int64_t pos, struct batch *b, bool *is)
{
	const uint8_t *p;
	enum err err;

	*is = false;
	if (s->size - pos < BATCH_HEADER)
		return E_OK;
	if ((err = scan_view(s, pos, BATCH_HEADER, &p)) == E_OK)
		*is = batch_read(p, b) == E_OK && b->base_offset >= 0 &&
		    b->last_delta >= 0 &&
		    b->base_offset <= INT64_MAX - 1 - b->last_delta &&
		    batch_size(b) <= s->size - pos;
	return err;
}

enum err
scan_batch(struct scan *s, int64_t pos, struct batch *b, bool *is,
    const uint8_t **p, const char **bad)
{
	enum err err;

	*bad = s->size - pos < BATCH_HEADER ?
	    "less than a batch header is left" : "no batch here";
	if ((err = header_at(s, pos, b, is)) != E_OK || !*is)
		return err;
	err = scan_view(s, pos, (size_t)batch_size(b), p);
	if (err == E_OK)
		*bad = batch_crc_ok(*p, (size_t)batch_size(b)) ? NULL :
		    "wrong CRC";
	return err;
}

enum err
scan_find(struct scan *s, int64_t pos, int64_t min, int64_t max,
    int64_t *next)
{
	const uint8_t *p;
	const char *bad;
	struct batch b;
	enum err err;
	bool is;

	for (*next = pos; *next < s->size; ++*next) {
		if ((err = header_at(s, *next, &b, &is)) != E_OK)
			return err;
		if (!is || b.base_offset < min || batch_last_offset(&b) >= max)
			continue;
		err = scan_batch(s, *next, &b, &is, &p, &bad);
		if (err != E_OK || bad == NULL)
			return err;
	}
	return E_OK;
}

const char *
scan_judge(const struct batch *b, const uint8_t *p, bool deep, bool *nomem)
{
	struct batch_iter it;
	struct record rec;
	enum err err;

	*nomem = false;
	if (codec_name(b->attrs & BATCH_CODEC) == NULL)
		return "unknown compression";
	if (b->count < 0 || (int64_t)b->count > (int64_t)b->last_delta + 1)
		return "more records than offsets";
	if (!deep)
		return NULL;
	err = batch_iter_open(&it, p, (size_t)batch_size(b), INFLATE_MAX);
	while (err == E_OK && (err = batch_iter_next(&it, &rec)) == E_OK) {
		struct header h;

		if (rec.offset > batch_last_offset(b))
			err = E_INVALID_RECORD;
		while (err == E_OK && (err = header_next(&rec, &h)) == E_OK)
			continue;
		err = err == E_EOF ? E_OK : err;
		if (err != E_OK)
			break;
	}
	batch_iter_close(&it);
	*nomem = err == E_NOMEM;
	return err == E_EOF || err == E_NOMEM ? NULL :
	    "the records do not decode";
}
