/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epochs never fall along the log, so the first batch of a later epoch is
 * found by halving: over the segments, then over index entries, then batch by
 * batch.  Once for every epoch makes a history.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "history.h"
#include "lib/log.h"

enum { WALK_MAX = 64 * KIB };	/* below this, batch by batch */

struct epoch_span {
	struct seg	*seg;		/* ours */
	int64_t		 end, nfile;
};

/* ---- on a worker ------------------------------------------------------- */

struct find {
	int32_t		 want;		/* the first batch beyond this */
	struct epoch_at	 at;		/* is here; offset -1: there is none */
	enum err	 err;
};

static enum err
header_at(struct seg *s, int64_t pos, struct batch *b)
{
	uint8_t head[BATCH_HEADER];
	size_t got = 0;
	int fd;
	enum err e = seg_fd(s, &fd);

	if (e == E_OK)
		e = disk->pread(fd, head, sizeof head, pos, &got);

	if (e == E_OK && got != sizeof head)
		e = E_EOF;
	return e != E_OK ? e : batch_read(head, b);
}

/* A batch boundary about the middle of (lo, hi), by the index; lo if none. */
static int64_t
middle(const struct epoch_span *sp, int64_t lo, int64_t hi)
{
	struct idx_entry e;
	int n = 0;

	if (sp->nfile == 0 || seg_idx_load(sp->seg, sp->nfile, 1,
	    lo + (hi - lo) / 2, &e, 1, &n) != E_OK || n == 0 ||
	    e.pos <= lo || e.pos >= hi)
		return lo;
	return e.pos;
}

static int
find_each(const struct batch *b, int64_t pos, void *arg)
{
	struct find *f = arg;

	(void)pos;
	if (b->leader_epoch <= f->want)
		return 0;
	f->at = (struct epoch_at){ b->leader_epoch, b->base_offset };
	return 1;
}

/* The segment's first batch is of an epoch <= want. */
static void
find_in_seg(struct find *f, const struct epoch_span *sp)
{
	int64_t lo = 0, hi = sp->end, mid;
	struct batch b;
	int fd;

	while (hi - lo > WALK_MAX && (mid = middle(sp, lo, hi)) > lo) {
		f->err = header_at(sp->seg, mid, &b);
		if (f->err != E_OK)
			return;
		if (b.leader_epoch > f->want)
			hi = mid;
		else
			lo = mid;
	}
	f->err = seg_fd(sp->seg, &fd);
	if (f->err == E_OK)
		f->err = seg_walk(fd, lo, sp->end, find_each, f, &mid);
}

static void
find_next(const struct history_load *l, struct find *f)
{
	int lo = -1, hi = l->n;		/* first batch: lo <= want < hi */
	struct batch b;

	while (hi - lo > 1 && f->err == E_OK) {
		int mid = (lo + hi) / 2;

		f->err = header_at(l->spans[mid].seg, 0, &b);
		if (f->err == E_OK && b.leader_epoch > f->want) {
			hi = mid;
			f->at = (struct epoch_at){ b.leader_epoch,
			    b.base_offset };
		} else
			lo = mid;
	}
	if (lo >= 0 && f->err == E_OK)
		find_in_seg(f, &l->spans[lo]);
}

/* Past the limit the oldest are forgotten, as if their records were gone. */
static enum err
push(struct history **h, const struct epoch_at *at, int *cap)
{
	struct history *p = *h;

	if (p->n == EPOCHS_MAX)
		memmove(p->v, p->v + 1, (size_t)--p->n * sizeof *p->v);
	if (p->n == *cap) {
		*cap = *cap * 2 + 4;
		p = realloc(p, sizeof *p + (size_t)*cap * sizeof *p->v);
		if (p == NULL)
			return E_NOMEM;
		*h = p;
	}
	p->v[p->n++] = *at;
	return E_OK;
}

void
history_load_run(struct history_load *l)
{
	struct find f = { .want = -1 };
	int cap = 0;

	l->got = calloc(1, sizeof *l->got);
	if (l->got == NULL) {
		l->err = E_NOMEM;
		return;
	}
	do {
		f.at.offset = -1;
		find_next(l, &f);
		if (f.err == E_OK && f.at.offset >= 0)
			f.err = push(&l->got, &f.at, &cap);
		f.want = f.at.epoch;
	} while (f.err == E_OK && f.at.offset >= 0);
	l->err = f.err;
}

/* ---- on the loop ------------------------------------------------------- */

enum err
history_load_begin(struct history_load *l, struct part *p)
{
	*l = (struct history_load){ .part = p, .gen = p->gen };
	l->spans = calloc((size_t)p->nsegs + 1, sizeof *l->spans);
	if (l->spans == NULL)
		return E_NOMEM;
	for (int i = 0; i < p->nsegs; i++) {
		struct seg *s = p->segs[i];

		if (s->size >= BATCH_HEADER)
			l->spans[l->n++] = (struct epoch_span){ seg_ref(s),
			    s->size, s->idx.nfile };
	}
	p->jobs++;
	return E_OK;
}

void
history_load_end(struct history_load *l)
{
	struct part *p = l->part;

	for (int i = 0; i < l->n; i++)
		seg_unref(l->spans[i].seg);
	free(l->spans);
	if (l->err != E_OK)
		log_warn("leader epochs cannot be read", LS("topic",
		    p->topic->name), LI("part", p->id.part), LE(l->err));
	if (l->err == E_OK && l->gen == p->gen && p->history == NULL)
		p->history = l->got;
	else
		free(l->got);
	part_job_done(p);
}

void
history_drop(struct part *p)
{
	free(p->history);
	p->history = NULL;
}

enum err
history_end(const struct part *p, int32_t want, int32_t *epoch, int64_t *end)
{
	const struct history *h = p->history;
	int i = 0, n, last;

	*epoch = -1;
	*end = -1;
	if (want < 0 || want > p->epoch)
		return E_OK;
	*epoch = want;
	*end = part_written(p);
	if (want == p->epoch)
		return E_OK;
	if (h == NULL)
		return E_BUSY;
	last = h->n > 0 && h->v[h->n - 1].epoch == p->epoch ? h->n - 1 : h->n;
	while (i < last && (i + 1 < h->n ? h->v[i + 1].offset : p->epoch_start)
	    <= p->start)
		i++;		/* all of its records are gone */
	for (n = i; n < h->n && h->v[n].epoch <= want; n++)
		*epoch = h->v[n].epoch;
	/* Without a batch of a later epoch it is the present one that ended
	 * what was before. */
	*end = n < h->n ? h->v[n].offset : p->epoch_start;
	if (*end < p->start)
		*end = p->start;
	return E_OK;
}
