/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tail of a log: which of the bytes after a checkpoint are whole batches.
 * Only reads; what follows from it is decided in recover.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "plant.h"
#include "recover_work.h"

enum err
recover_fail(struct work *w, enum err err, const char *path, int64_t pos,
    const char *fmt, ...)
{
	char words[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(words, sizeof words, fmt, ap);
	va_end(ap);
	n = pos < 0 ? 0 : snprintf(NULL, 0, ", position %lld", (long long)pos);
	/* The path's end tells more than its start. */
	n = (int)sizeof w->r->why - (int)strlen(words) - n - 3;
	if ((int)strlen(path) > n)
		path += (int)strlen(path) - n;
	if (pos < 0)
		snprintf(w->r->why, sizeof w->r->why, "%s: %s", path, words);
	else
		snprintf(w->r->why, sizeof w->r->why,
		    "%s, position %lld: %s", path, (long long)pos, words);
	return err;
}

enum err
recover_io(struct work *w, enum err err, const char *path)
{
	if (err == E_OK || w->r->why[0] != '\0')
		return err;
	return recover_fail(w, err, path, -1, "%s", err_text(err));
}

/* Makes n bytes at pos available in the window. */
static enum err
window(struct work *w, struct seg *s, int64_t pos, size_t n)
{
	size_t keep = 0, got, want = w->buf_size;
	enum err err;
	int fd;

	if (pos >= w->from && pos + (int64_t)n <= w->till)
		return E_OK;
	if (w->buf == NULL && (w->buf = malloc(w->buf_size)) == NULL)
		return recover_io(w, E_NOMEM, s->path);
	if (pos >= w->from && pos < w->till) {
		keep = (size_t)(w->till - pos);
		memmove(w->buf, w->buf + (pos - w->from), keep);
	}
	w->from = pos;
	w->till = pos + (int64_t)keep;
	if ((int64_t)want > s->size - pos)
		want = (size_t)(s->size - pos);
	err = seg_fd(s, &fd);
	if (err == E_OK)
		err = disk->pread(fd, w->buf + keep, want - keep, w->till,
		    &got);
	if (err != E_OK)
		return recover_io(w, err, s->path);
	w->till += (int64_t)got;
	w->r->scanned += (int64_t)got;
	return w->till - pos >= (int64_t)n ? E_OK :
	    recover_fail(w, E_IO, s->path, w->till, "the file became shorter");
}

static enum err
crc_at(struct work *w, struct seg *s, int64_t pos, int64_t end, uint32_t *crc)
{
	enum err err = E_OK;

	for (*crc = 0; pos < end && err == E_OK;) {
		int64_t n;

		if ((err = window(w, s, pos, 1)) != E_OK)
			break;
		n = w->till < end ? w->till - pos : end - pos;
		*crc = crc32c(*crc, w->buf + (pos - w->from), (size_t)n);
		pos += n;
	}
	return err;
}

/* Is there a whole batch at pos?  *bad is NULL or says why not; b is filled
 * as soon as there is a header. */
static enum err
batch_at(struct work *w, struct seg *s, int64_t pos, int64_t expect,
    struct batch *b, const char **bad)
{
	uint32_t crc;
	enum err err;

	*bad = "less than a batch header is left";
	*b = (struct batch){ .length = 0 };
	if (s->size - pos < BATCH_HEADER)
		return E_OK;
	if ((err = window(w, s, pos, BATCH_HEADER)) != E_OK)
		return err;
	*bad = "no batch header";
	if (batch_read(w->buf + (pos - w->from), b) != E_OK)
		return E_OK;
	*bad = "the batch is longer than the file";
	if (batch_size(b) > s->size - pos)
		return E_OK;
	*bad = "offsets go back";
	if (b->base_offset < expect || b->last_delta < 0 ||
	    b->base_offset > INT64_MAX - 1 - b->last_delta)
		return E_OK;
	*bad = "leader epochs go back";
	if (b->leader_epoch < w->tail_epoch)
		return E_OK;
	err = crc_at(w, s, pos + BATCH_CRC_FROM, pos + batch_size(b), &crc);
	*bad = crc == b->crc ? NULL : "wrong CRC";
	return err;
}

enum err
recover_scan(struct work *w, struct seg *s, struct found *f, int64_t next)
{
	int64_t pos = f->ckpt, at = pos;
	const char **bad = &f->bad;
	struct batch b;
	enum err err = E_OK;

	w->from = w->till = 0;
	for (*bad = NULL; pos < s->size; pos += batch_size(&b)) {
		if (PLANT(cut_whole) && !w->how->serial && pos > at &&
		    batch_at(w, s, pos, s->end_offset, &b, bad) == E_OK &&
		    *bad == NULL && pos + batch_size(&b) == s->size) {
			*bad = "planted";
			break;
		}
		err = batch_at(w, s, pos, s->end_offset, &b, bad);
		if (err != E_OK || *bad != NULL)
			break;
		if (batch_last_offset(&b) >= next) {
			err = recover_fail(w, E_CORRUPT, s->path, pos,
			    "offset %lld also belongs to the next segment",
			    (long long)batch_last_offset(&b));
			break;
		}
		s->end_offset = batch_last_offset(&b) + 1;
		f->pids |= b.pid >= 0;
		if (b.leader_epoch > w->r->epoch)
			w->r->epoch = b.leader_epoch;
		if (f - w->found >= w->last_ckpt)
			w->tail_epoch = b.leader_epoch;
		if (batch_records_ts(&b) > s->max_ts)
			s->max_ts = batch_records_ts(&b);
	}
	s->synced = pos;
	return err;
}

enum err
recover_nothing_behind(struct work *w, struct seg *s)
{
	int64_t pos = s->synced, end;
	const char *bad;
	struct batch b;
	enum err err;

	err = batch_at(w, s, pos, s->end_offset, &b, &bad);
	end = b.length > 0 && batch_size(&b) <= s->size - pos ?
	    pos + batch_size(&b) : pos;
	while (err == E_OK && s->size - ++pos >= BATCH_HEADER) {
		if ((err = window(w, s, pos, BATCH_HEADER)) != E_OK)
			break;
		/* Magic 2, and an offset that can be: rarely more. */
		if (w->buf[pos - w->from + 16] != 2 ||
		    be64(w->buf + (pos - w->from)) >
		    (uint64_t)s->end_offset + UINT32_MAX)
			continue;
		err = batch_at(w, s, pos, s->end_offset, &b, &bad);
		if (err != E_OK || bad != NULL)
			continue;
		/* Within a batch whose header makes sense, what looks like a
		 * batch is a record's value, unless it reaches further. */
		if (pos + batch_size(&b) > end ||
		    pos + batch_size(&b) == s->size)
			err = recover_fail(w, E_CORRUPT, s->path, s->synced,
			    "a damaged batch; whole ones follow at %lld",
			    (long long)pos);
	}
	return err;
}
