/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where records lie.  Positions come from the index in memory (pending entries
 * of the growing segment, or a window of entries loaded for the partition) and
 * from batch headers that are in the page cache.  Nothing here blocks unless
 * it is told to.
 */
#include "cold.h"
#include "engine.h"
#include "lib/log.h"
#include "look.h"
#include "plant.h"

enum {
	WALK_BYTES	= 2 * IDX_INTERVAL,	/* headers looked at at once */
	PROOFS_MAX	= 1000,		/* in turn, for one answer */
};

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
	int n = 0;

	if (seg_idx_load(s, s->idx.nfile, 0, offset, at, 1, &n) != E_OK)
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

/* From a position to the batch that holds the offset or follows it.  Only
 * headers that are proved lead on. */
static enum look
look_batch(const struct seg *s, int64_t end, int64_t offset, bool block,
    struct idx_entry *to, struct batch *b)
{
	int fd = s->fd;
	uint8_t buf[WALK_BYTES];
	int64_t at = 0;		/* position of buf[0] */
	int64_t *pos = &to->pos;
	const struct damage *d;
	size_t got = 0;
	enum err e;

	for (;;) {
		if ((d = trust_damage(&s->trust, *pos)) != NULL) {
			if (offset < d->next_offset)
				return LOOK_BAD;
			*pos = d->next;
			to->offset = d->next_offset;
			continue;
		}
		if (*pos >= end)
			return LOOK_FAIL;
		if (trust_until(&s->trust, *pos) == *pos)
			return LOOK_COLD;
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
		to->offset = batch_last_offset(b) + 1;
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
	return p->relaxed || PLANT(past_hw) || PLANT(hw_early) ? s->size :
	    s->synced;
}

struct proof
look_proof(const struct part *p, const struct seg *s,
    const struct fetch_extent *x)
{
	return (struct proof){ .pos = x->pos, .to = x->pos, .len = x->len,
	    .end = look_visible(p, s), .expect = x->expect,
	    .end_offset = p->relaxed ? s->end_offset : s->synced_offset };
}

void
look_proved(const struct part *p, struct seg *s, const struct proof *x)
{
	const struct damage *d = &x->bad;

	if (trust_take(&s->trust, x))
		log_warn("damaged records are not served",
		    LS("topic", p->topic->name), LI("part", p->id.part),
		    LS("file", s->path), LI("position", d->pos),
		    LI("bytes", d->next - d->pos), LI("offset", d->offset),
		    LI("next_offset", d->next_offset), LS("why", x->why));
}

/* Where the extent from pos ends: at a batch's end, no more than max bytes
 * further but for one whole batch, and no further than what is proved. */
static int64_t
look_stop(const struct part *p, const struct seg *s, int64_t pos,
    const struct batch *b, int64_t max, int64_t end)
{
	int64_t stop = pos + batch_size(b), cut;
	int64_t proved = trust_until(&s->trust, pos);

	if (end > proved)
		end = proved;
	if (max >= end - pos)
		stop = end;
	else if (max > stop - pos) {
		cut = look_boundary(p, s, stop, pos + max);
		stop = look_fit(s->fd, cut > stop ? cut : stop, pos + max);
	}
	return stop - pos > INT32_MAX ? pos + batch_size(b) : stop;
}

static enum look
look_once(const struct part *p, struct look_want *w, struct fetch_extent *x,
    struct seg *s, int64_t end)
{
	struct idx_entry at;
	struct batch b;
	int64_t stop;
	int fd;
	enum look l = look_start(p, s, w->offset, w->block, &at);

	if (l != LOOK_OK)
		return l;
	/* Opening a file may block, too. */
	if (!w->block && (s->fd < 0 || (!w->read &&
	    !cold_may_look(p, s))))
		l = LOOK_COLD;
	else if (seg_fd(s, &fd) != E_OK)
		return LOOK_FAIL;
	else
		l = look_batch(s, end, w->offset, w->block, &at, &b);
	if (l == LOOK_OK && PLANT(skip_batch) && b.base_offset % 97 == 96 &&
	    at.pos + batch_size(&b) < end)
		l = look_batch(s, end, batch_last_offset(&b) + 1, w->block,
		    &at, &b);
	x->pos = at.pos;
	x->expect = at.offset;
	x->len = 0;
	if (l == LOOK_COLD)
		x->len = w->max <= 0 ? WALK_BYTES : w->max > INT32_MAX -
		    WALK_BYTES ? INT32_MAX : (int32_t)w->max + WALK_BYTES;
	if (l != LOOK_OK)
		return l;
	w->avail = w->max < end - at.pos ? w->max : end - at.pos;
	if (batch_size(&b) > w->max && !w->whole)
		return LOOK_OK;
	stop = look_stop(p, s, at.pos, &b, w->max, end);
	x->len = (int32_t)(stop - at.pos);
	if (!w->block && !disk->resident(s->fd, at.pos, stop - at.pos))
		return LOOK_COLD;
	x->seg = s;
	return LOOK_OK;
}

enum look
look_extent(const struct part *p, struct look_want *w,
    struct fetch_extent *x, struct seg **cold)
{
	struct seg *s;
	int64_t end;
	enum look l;
	int i;

	x->seg = NULL;
	x->expect = w->offset;
	s = part_seg(p, w->offset, &i);
	while (s != NULL && w->offset >= s->end_offset && i + 1 < p->nsegs)
		s = p->segs[++i];
	if (s == NULL || (end = look_visible(p, s)) == 0)
		return LOOK_OK;
	*cold = s;
	l = look_once(p, w, x, s, end);
	for (int n = 0; l == LOOK_COLD && w->block; n++) {
		struct proof proof = look_proof(p, s, x);

		/* A disk that fails takes its time. */
		if (n == PROOFS_MAX || s->trust.unread == x->pos + 1)
			return LOOK_FAIL;
		if ((proof.err = seg_fd(s, &proof.fd)) == E_OK)
			trust_prove(&proof);
		if (proof.err != E_OK)
			return LOOK_FAIL;
		look_proved(p, s, &proof);
		l = look_once(p, w, x, s, end);
	}
	return l;
}
