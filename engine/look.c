/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where records lie.  Positions come from the index in memory (pending entries
 * of the growing segment, or a window of entries loaded for the partition) and
 * from batch headers that are in the page cache.  Nothing here blocks unless
 * it is told to.
 */
#include "engine.h"
#include "look.h"

enum { WALK_BYTES = 2 * IDX_INTERVAL };	/* headers looked at at once */

/* ---- where a batch stands ---------------------------------------------- */

static const struct idx_entry *
window_find(const struct window *w, int by, int64_t value)
{
	const struct idx_entry *best = NULL;
	int lo = 0, hi = w->n;

	while (lo < hi) {
		int mid = (lo + hi) / 2;
		const struct idx_entry *e = &w->e[mid];

		if ((by == 0 ? e->offset : e->pos) <= value) {
			best = e;
			lo = mid + 1;
		} else
			hi = mid;
	}
	return best;
}

/* It says so only when it reaches beyond the offset. */
bool
look_covered(const struct window *w, const struct seg *s, int64_t offset)
{
	if (w == NULL || w->handle != s->handle)
		return false;
	if (w->n == 0)	/* nothing is known of what follows either */
		return offset <= w->asked;
	return (w->from_start || w->e[0].offset <= offset) &&
	    (offset < w->e[w->n - 1].offset || (w->to_end &&
	    w->nfile == s->idx.nfile));
}

/* One entry from the index file.  Windows can push each other out for ever
 * when a request wants more of them than there may be. */
static enum look
look_file(const struct seg *s, int64_t offset, struct idx_entry *at)
{
	char path[PATH_SIZE];
	int n = 0;

	idx_path(s, path);
	if (idx_load(path, &s->id, s->base, s->idx.nfile, 0, offset, at, 1,
	    &n) != E_OK)
		return LOOK_FAIL;
	if (n == 0 || at->offset > offset)
		*at = (struct idx_entry){ s->base, 0, -1 };
	return LOOK_OK;
}

/* A position at or before the batch with the offset, not far before. */
static enum look
look_start(const struct part *p, const struct seg *s, int64_t offset,
    bool block, struct idx_entry *at)
{
	const struct idx_entry *e = idx_pending_find(&s->idx, 0, offset);
	bool covers = look_covered(p->window, s, offset);

	if (e == NULL && s->idx.nfile > 0 && !covers && block)
		return look_file(s, offset, at);
	if (e == NULL && s->idx.nfile > 0) {
		if (!covers)
			return LOOK_COLD;
		e = window_find(p->window, 0, offset);
	}
	*at = e != NULL ? *e : (struct idx_entry){ s->base, 0, -1 };
	return LOOK_OK;
}

/* The greatest known batch boundary at or before pos, if it is beyond from. */
static int64_t
look_boundary(const struct part *p, const struct seg *s, int64_t from,
    int64_t pos)
{
	const struct idx_entry *e = idx_pending_find(&s->idx, 1, pos);

	if (e == NULL && p->window != NULL && p->window->handle == s->handle)
		e = window_find(p->window, 1, pos);
	return e != NULL && e->pos > from ? e->pos : -1;
}

/* From a position to the batch that holds the offset or follows it. */
static enum look
look_batch(int fd, int64_t end, int64_t offset, bool block, int64_t *pos,
    struct batch *b)
{
	uint8_t buf[WALK_BYTES];
	int64_t at = 0;		/* position of buf[0] */
	size_t got = 0;
	enum err e;

	for (;;) {
		if (*pos >= end)
			return LOOK_FAIL;
		if (got == 0 || *pos < at ||
		    *pos + BATCH_HEADER > at + (int64_t)got) {
			size_t n = end - *pos < WALK_BYTES
			    ? (size_t)(end - *pos) : WALK_BYTES;

			at = *pos;
			e = block ? disk->pread(fd, buf, n, at, &got)
			    : disk->pread_now(fd, buf, n, at, &got);
			if (e == E_BUSY)
				return LOOK_COLD;
			if (e != E_OK || got < BATCH_HEADER)
				return LOOK_FAIL;
		}
		if (batch_read(buf + (*pos - at), b) != E_OK ||
		    *pos + batch_size(b) > end)
			return LOOK_FAIL;
		if (batch_last_offset(b) >= offset)
			return LOOK_OK;
		*pos += batch_size(b);
	}
}

/* The end of the last whole batch that ends at or before limit, from a batch
 * boundary; looks no further than the batches' headers that are in memory. */
static int64_t
look_fit(int fd, int64_t stop, int64_t limit)
{
	uint8_t buf[WALK_BYTES];
	int64_t at = stop;
	size_t got = 0;
	struct batch b;

	while (stop + BATCH_HEADER <= limit) {
		if (stop + BATCH_HEADER > at + (int64_t)got) {
			at = stop;
			if (disk->pread_now(fd, buf, limit - at < WALK_BYTES
			    ? (size_t)(limit - at) : WALK_BYTES, at, &got) !=
			    E_OK || got < BATCH_HEADER)
				break;
		}
		if (batch_read(buf + (stop - at), &b) != E_OK ||
		    stop + batch_size(&b) > limit)
			break;
		stop += batch_size(&b);
	}
	return stop;
}

/* ---- one partition ----------------------------------------------------- */

int64_t
look_visible(const struct part *p, const struct seg *s)
{
	return p->relaxed ? s->size : s->synced;
}

enum look
look_extent(const struct part *p, struct look_want *w,
    struct fetch_extent *x, struct seg **cold)
{
	struct idx_entry at;
	struct batch b;
	struct seg *s;
	int64_t end, pos, stop;
	enum look l;
	int i, fd;

	x->seg = NULL;
	s = part_seg(p, w->offset, &i);
	while (s != NULL && w->offset >= s->end_offset && i + 1 < p->nsegs)
		s = p->segs[++i];
	if (s == NULL || (end = look_visible(p, s)) == 0)
		return LOOK_OK;
	*cold = s;
	l = look_start(p, s, w->offset, w->block, &at);
	if (l != LOOK_OK)
		return l;
	pos = at.pos;
	/* Opening a file may block, too. */
	if ((fd = s->fd) < 0 && !w->block) {
		x->pos = pos;
		x->len = WALK_BYTES;
		return LOOK_COLD;
	}
	if (fd < 0 && seg_fd(s, &fd) != E_OK)
		return LOOK_FAIL;
	l = look_batch(fd, end, w->offset, w->block, &pos, &b);
	x->pos = pos;
	x->len = l == LOOK_COLD ? WALK_BYTES : 0;
	if (l != LOOK_OK)
		return l;
	w->avail = w->max < end - pos ? w->max : end - pos;
	if (batch_size(&b) > w->max && !w->whole)
		return LOOK_OK;
	stop = pos + batch_size(&b);
	if (w->max >= end - pos)
		stop = end;
	else if (w->max > stop - pos) {
		int64_t cut = look_boundary(p, s, stop, pos + w->max);

		stop = look_fit(fd, cut > stop ? cut : stop, pos + w->max);
	}
	if (stop - pos > INT32_MAX)
		stop = pos + batch_size(&b);
	x->len = (int32_t)(stop - pos);
	if (!w->block && !disk->resident(fd, pos, stop - pos))
		return LOOK_COLD;
	x->seg = s;
	return LOOK_OK;
}
