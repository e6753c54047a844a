/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading segments batch by batch through a window, and writing a new one: in
 * large pieces, synced every few of them, so that no commit has to wait for
 * what compaction has left in the page cache.
 */
#include <stdlib.h>
#include <string.h>

#include "compact_io.h"
#include "plant.h"
#include "swap.h"

/* ---- reading ------------------------------------------------------------ */

enum err
compact_in_open(struct compaction *c, struct compact_in *s, int i)
{
	const struct compact_seg *seg = &c->segs[i];
	char path[PATH_SIZE];
	enum err e;

	s->pos = s->from = s->till = 0;
	s->end = seg->size;
	s->expect = seg->base;
	s->until = seg->end_offset;
	if (s->buf == NULL) {
		s->buf = malloc(COMPACT_BUF);
		s->cap = COMPACT_BUF;
	}
	if (s->buf == NULL)
		return E_NOMEM;
	if (s->fd >= 0)
		disk->close(s->fd);
	s->fd = -1;
	seg_path(path, c->dir, seg->base, ".log");
	if ((e = disk->open(path, DISK_READ, &s->fd)) == E_OK)
		disk->readahead(s->fd, false);
	return e;
}

void
compact_in_close(struct compact_in *s)
{
	if (s->fd >= 0)
		disk->close(s->fd);
	free(s->buf);
	*s = (struct compact_in){ .fd = -1 };
}

/* Has n bytes at pos in the window. */
static enum err
window(struct compaction *c, struct compact_in *s, size_t n)
{
	size_t keep = (size_t)(s->till - s->pos), got;
	uint8_t *p;
	enum err e;

	if (keep >= n)
		return E_OK;
	memmove(s->buf, s->buf + (s->pos - s->from), keep);
	s->from = s->pos;
	if (n > s->cap) {
		if ((p = realloc(s->buf, n)) == NULL)
			return E_NOMEM;
		s->buf = p;
		s->cap = n;
	}
	got = (size_t)(s->end - s->till);
	if (got > s->cap - keep)
		got = s->cap - keep;
	e = disk->pread(s->fd, s->buf + keep, got, s->till, &got);
	if (e != E_OK)
		return e;
	s->till += (int64_t)got;
	c->moved += (int64_t)got;
	c->bytes_read += (int64_t)got;
	return keep + got >= n ? E_OK : E_CORRUPT;
}

enum err
compact_in_next(struct compaction *c, struct compact_in *s, const uint8_t **p,
    struct batch *b)
{
	enum err e;
	size_t n;

	if (s->pos == s->end)
		return E_EOF;
	if (s->end - s->pos < BATCH_HEADER)
		return E_CORRUPT;
	if ((e = window(c, s, BATCH_HEADER)) != E_OK ||
	    (e = batch_read(s->buf + (s->pos - s->from), b)) != E_OK)
		return e;
	if (batch_size(b) > s->end - s->pos || b->base_offset < s->expect ||
	    b->last_delta < 0 || b->base_offset >= s->until - b->last_delta)
		return E_CORRUPT;
	n = (size_t)batch_size(b);
	if ((e = window(c, s, n)) != E_OK)
		return e;
	*p = s->buf + (s->pos - s->from);
	if (!batch_crc_ok(*p, n))
		return E_CORRUPT;
	s->pos += (int64_t)n;
	s->expect = batch_last_offset(b) + 1;
	return E_OK;
}

/* ---- writing ------------------------------------------------------------ */

static void
path_of(const struct compaction *c, char *path, const char *ext)
{
	seg_path(path, c->dir, c->out.base, ext);
}

/* What a crash or a failure left there is overwritten. */
enum err
compact_out_open(struct compaction *c, int64_t base)
{
	struct compact_out *o = &c->out;
	char path[PATH_SIZE];
	enum err e;

	*o = (struct compact_out){ .fd = -1, .base = base, .end_offset = base,
	    .first_ts = -1, .max_ts = -1,
	    .buf = wr_grow(COMPACT_BUF + BATCH_MAX) };
	idx_init(&o->idx);
	o->idx.interval = c->interval;
	path_of(c, path, SWAP_CLEANED);
	e = disk->open(path, DISK_CREATE, &o->fd);
	return e == E_OK ? disk->truncate(o->fd, 0) : e;
}

static enum err
flush(struct compaction *c)
{
	struct compact_out *o = &c->out;
	struct iovec iov = { o->buf.p, o->buf.len };
	enum err e;

	if (o->buf.len == 0)
		return E_OK;
	e = disk->pwritev(o->fd, &iov, 1, o->written);
	if (e != E_OK)
		return e;
	o->written += (int64_t)o->buf.len;
	c->moved += (int64_t)o->buf.len;
	o->buf.len = 0;
	if (o->written - o->synced < COMPACT_SYNC)
		return E_OK;
	o->synced = o->written;
	return disk->datasync(o->fd);
}

static enum err
idx_flush(struct compaction *c, bool sealed)
{
	struct idx *x = &c->out.idx;
	char path[PATH_SIZE];
	enum err e;

	path_of(c, path, SWAP_IDX);
	e = idx_append(path, &c->id, c->out.base, x->pending, x->npending,
	    x->nfile, sealed);
	if (e == E_OK)
		idx_flushed(x, x->npending);
	return e;
}

enum err
compact_out_put(struct compaction *c, const uint8_t *p, const struct batch *b)
{
	struct compact_out *o = &c->out;
	int64_t ts = batch_records_ts(b);
	enum err e;

	e = idx_note(&o->idx, b->base_offset, o->size, o->max_ts);
	if (e == E_OK && o->idx.npending == IDX_PENDING_MAX)
		e = idx_flush(c, false);
	if (e != E_OK)
		return e;
	if (o->size == 0)
		o->first_ts = b->max_ts;
	if (ts > o->max_ts)
		o->max_ts = ts;
	wr_bytes(&o->buf, p, (size_t)batch_size(b));
	if (o->buf.bad)
		return E_NOMEM;
	o->size += batch_size(b);
	o->end_offset = batch_last_offset(b) + 1;
	return o->buf.len >= COMPACT_BUF ? flush(c) : E_OK;
}

enum err
compact_out_finish(struct compaction *c, int64_t end_offset)
{
	struct compact_out *o = &c->out;
	enum err e = flush(c);

	/* The last batch was kept; it must be the one that was promised. */
	if (e == E_OK && o->end_offset != end_offset)
		e = E_CORRUPT;
	if (e == E_OK && !PLANT(compact_nosync))
		e = disk->datasync(o->fd);
	if (e == E_OK)
		e = idx_checkpoint(&o->idx, o->end_offset, o->size, o->max_ts);
	return e == E_OK ? idx_flush(c, true) : e;
}

void
compact_out_close(struct compaction *c)
{
	if (c->out.fd < 0)
		return;
	disk->close(c->out.fd);
	c->out.fd = -1;
	wr_free(&c->out.buf);
	idx_free(&c->out.idx);
}

/* Best effort: the next pass or the next start removes what stays. */
void
compact_out_drop(struct compaction *c)
{
	if (c->out.fd < 0)
		return;
	compact_out_close(c);
	(void)!swap_drop(c->dir, c->out.base);
}
