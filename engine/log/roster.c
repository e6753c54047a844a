/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading the roster, see roster.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "lib/crc32c.h"
#include "roster.h"

enum {
	PRODS_MAX	= 64 * KIB,	/* more of one partition are read from
					 * its snapshot */
	SAMPLES		= 16,		/* partitions that are looked at */
};

/* ---- reading ----------------------------------------------------------- */

enum err
roster_head(const uint8_t *p, size_t n, struct roster_head *h,
    struct rd *parts)
{
	*parts = rd_of(p, 0);
	if (n < CLEAN_SIZE || memcmp(p, CLEAN_MAGIC, 8) != 0)
		return E_CORRUPT;
	*h = (struct roster_head){ .meta_end = -1, .stopped_ms = -1 };
	if (be16(p + 8) == CLEAN_BARE)
		return n == CLEAN_SIZE && be16(p + 10) == 0 &&
		    be32(p + 12) == crc32c(0, p, 12) ? E_OK : E_CORRUPT;
	if (n < CLEAN_HEAD + 4 || be32(p + n - 4) != crc32c(0, p, n - 4))
		return E_CORRUPT;
	if (be16(p + 8) != CLEAN_VERSION || be16(p + 10) != 0)
		return E_UNSUPPORTED_VERSION;
	h->n = (int32_t)be32(p + 12);
	h->meta_end = (int64_t)be64(p + 16);
	h->stopped_ms = (int64_t)be64(p + 24);
	*parts = rd_of(p + CLEAN_HEAD, n - CLEAN_HEAD - 4);
	return h->n < 0 || h->meta_end < -1 ? E_CORRUPT : E_OK;
}

enum err
roster_next(struct rd *r, struct roster_part *x)
{
	const uint8_t *id;
	int32_t n;

	if (rd_left(r) == 0)
		return r->bad ? E_CORRUPT : E_EOF;
	*x = (struct roster_part){ .nsegs = 0 };
	if ((id = rd_take(r, 16)) != NULL)
		memcpy(x->id.topic.b, id, 16);
	x->id.part = rd_i32(r);
	x->epoch = rd_i32(r);
	x->epoch_start = rd_i64(r);
	x->end = rd_i64(r);
	x->snapped = rd_i64(r);
	x->deleted_due = rd_i64(r);
	x->dir_ns = rd_i64(r);
	x->nsegs = rd_i32(r);
	n = rd_i32(r);
	if (r->bad || x->nsegs < 0 || n < 0)
		return E_CORRUPT;
	x->nprods = (size_t)n;
	x->prods = rd_take(r, x->nprods);
	x->segs = rd_take(r, (size_t)x->nsegs * CLEAN_SEG);
	return r->bad ? E_CORRUPT : E_OK;
}

void
roster_seg(const struct roster_part *x, int i, struct roster_seg *s)
{
	const uint8_t *p = x->segs + (size_t)i * CLEAN_SEG;

	s->base = (int64_t)be64(p);
	s->end = (int64_t)be64(p + 8);
	s->size = (int64_t)be64(p + 16);
	s->written_ns = (int64_t)be64(p + 24);
	s->ino = be64(p + 32);
	s->max_ts = (int64_t)be64(p + 40);
	s->first_ts = (int64_t)be64(p + 48);
	s->nidx = (int64_t)be64(p + 56);
	s->sealed = be32(p + 64) == IDX_SEALED;
}

static const char *
seg_odd(const struct roster_seg *s, bool last)
{
	if (s->base < 0 || s->end < s->base || s->size < 0)
		return "a segment ends before it begins";
	if ((s->size == 0) != (s->end == s->base) ||
	    (s->size > 0) != (s->nidx > 0) || s->nidx < 0)
		return "a segment has no checkpoint at its end";
	if (s->max_ts < -1 || s->first_ts < -2)
		return "a time before all times";
	return last || s->sealed ? NULL : "a finished segment is not sealed";
}

const char *
roster_odd(const struct roster_part *x)
{
	struct roster_seg s = { 0 };
	const char *why;
	int64_t end = 0;

	if (x->id.part < 0 || x->nsegs < 1)
		return "a partition without segments";
	for (int i = 0; i < x->nsegs; i++, end = s.end) {
		roster_seg(x, i, &s);
		if ((why = seg_odd(&s, i == x->nsegs - 1)) != NULL)
			return why;
		if (i > 0 && s.base != end)
			return "a segment does not begin where the one before "
			    "it ends";
	}
	if (x->end != end || x->snapped > end || x->snapped < -1 ||
	    x->epoch_start < 0 || x->epoch_start > end || x->epoch < 0)
		return "it does not end where its last segment does";
	return NULL;
}

/* ---- at start ---------------------------------------------------------- */

static int
by_id(const void *a, const void *b)
{
	const struct roster_part *x = a, *y = b;
	int c = memcmp(x->id.topic.b, y->id.topic.b, 16);

	return c != 0 ? c : (x->id.part > y->id.part) -
	    (x->id.part < y->id.part);
}

enum err
roster_open(uint8_t *p, size_t n, struct roster **out)
{
	struct roster *r = calloc(1, sizeof *r);
	struct rd parts;
	enum err e = r == NULL ? E_NOMEM : E_OK;

	*out = r;
	if (r == NULL) {
		free(p);
		return e;
	}
	r->p = p;
	r->n = n;
	e = roster_head(p, n, &r->head, &r->parts);
	parts = r->parts;
	/* No more than there can be. */
	if (e == E_OK && (size_t)r->head.n > rd_left(&parts) / CLEAN_PART)
		e = E_CORRUPT;
	if (e == E_OK)
		r->v = calloc((size_t)r->head.n + 1, sizeof *r->v);
	if (e == E_OK && r->v == NULL)
		e = E_NOMEM;
	for (int i = 0; e == E_OK && i < r->head.n; i++) {
		e = roster_next(&parts, &r->v[r->nv]);
		if (e == E_OK && roster_odd(&r->v[r->nv]) == NULL)
			r->nv++;
		if (e == E_EOF)
			e = E_CORRUPT;
	}
	if (e == E_OK && !rd_done(&parts))
		e = E_CORRUPT;
	if (e != E_OK) {
		roster_free(r);
		*out = NULL;
		return e;
	}
	if (r->nv > 0)
		qsort(r->v, (size_t)r->nv, sizeof *r->v, by_id);
	return E_OK;
}

void
roster_free(struct roster *r)
{
	if (r == NULL)
		return;
	free(r->v);
	free(r->p);
	free(r);
}

static bool
sample_fits(const struct engine *eng, const struct roster_part *x)
{
	char dir[PATH_SIZE], path[PATH_SIZE];
	struct disk_stat st;
	struct roster_seg s;

	log_dir(eng->data, &x->id, dir);
	roster_seg(x, x->nsegs - 1, &s);
	seg_path(path, dir, s.base, ".log");
	return disk->stat(dir, &st) == E_OK && st.written_ns == x->dir_ns &&
	    disk->stat(path, &st) == E_OK && st.ino == s.ino &&
	    st.size == s.size && st.written_ns == s.written_ns;
}

bool
roster_fits(const struct roster *r, const struct engine *eng)
{
	int step = r->nv / SAMPLES + 1;

	if (r->head.meta_end != part_written(eng->meta.part))
		return false;
	for (int i = 0; i < r->nv; i += step)
		if (!sample_fits(eng, &r->v[i]))
			return false;
	return true;
}

static enum err
take_seg(struct recovered *r, const char *dir, const struct log_id *id,
    const struct roster_seg *x)
{
	struct told_file f = { .dir = r->told, .ino = x->ino, .size = x->size,
	    .written_ns = x->written_ns };
	struct seg *s;
	enum err e = seg_told(dir, id, x->base, &f, &s);

	if (e != E_OK)
		return e;
	r->segs[r->nsegs++] = s;
	s->end_offset = s->synced_offset = x->end;
	s->synced = x->size;
	s->max_ts = x->max_ts;
	s->first_ts = x->first_ts;
	s->idx.nfile = x->nidx;
	s->idx.sealed = x->sealed;
	if (x->nidx > 0)
		s->idx.last = (struct idx_entry){ x->end, x->size, x->max_ts };
	return E_OK;
}

enum err
roster_part(const struct roster *r, const char *dir, const struct log_id *id,
    struct recovered *got)
{
	struct roster_part want = { .id = *id }, *x = r->nv == 0 ? NULL :
	    bsearch(&want, r->v, (size_t)r->nv, sizeof *r->v, by_id);
	struct roster_seg s;
	enum err e = E_OK;

	*got = (struct recovered){ .nsegs = 0 };
	if (x == NULL)
		return E_NOTFOUND;
	got->epoch = x->epoch;
	got->epoch_start = x->epoch_start;
	got->snapped = x->snapped;
	got->deleted_due = x->deleted_due;
	got->end = x->end;
	got->told = told_new(x->dir_ns);
	got->segs = calloc((size_t)x->nsegs, sizeof *got->segs);
	if (got->told == NULL || got->segs == NULL)
		e = E_NOMEM;
	for (int i = 0; e == E_OK && i < x->nsegs; i++) {
		roster_seg(x, i, &s);
		e = take_seg(got, dir, id, &s);
	}
	if (e == E_OK && x->nprods > 0) {
		got->prods = prod_new();
		e = got->prods == NULL ? E_NOMEM : prod_decode(got->prods, id,
		    x->end, x->prods, x->nprods);
	}
	if (e == E_OK)
		got->start = got->segs[0]->base;
	else
		recover_free(got);
	return e;
}

/* ---- writing ----------------------------------------------------------- */

void
roster_begin(struct wr *w, int64_t meta_end, int64_t ms)
{
	wr_bytes(w, CLEAN_MAGIC, 8);
	wr_i16(w, CLEAN_VERSION);
	wr_i16(w, 0);
	wr_i32(w, 0);
	wr_i64(w, meta_end);
	wr_i64(w, ms);
}

static void
put_seg(struct wr *w, const struct roster_seg *s)
{
	wr_i64(w, s->base);
	wr_i64(w, s->end);
	wr_i64(w, s->size);
	wr_i64(w, s->written_ns);
	wr_i64(w, (int64_t)s->ino);
	wr_i64(w, s->max_ts);
	wr_i64(w, s->first_ts);
	wr_i64(w, s->nidx);
	wr_i32(w, s->sealed ? IDX_SEALED : 0);
	wr_i32(w, 0);
}

void
roster_put(struct wr *w, const struct roster_part *x,
    const struct roster_seg *segs)
{
	wr_bytes(w, x->id.topic.b, 16);
	wr_i32(w, x->id.part);
	wr_i32(w, x->epoch);
	wr_i64(w, x->epoch_start);
	wr_i64(w, x->end);
	wr_i64(w, x->snapped);
	wr_i64(w, x->deleted_due);
	wr_i64(w, x->dir_ns);
	wr_i32(w, x->nsegs);
	wr_i32(w, (int32_t)x->nprods);
	wr_bytes(w, x->prods, x->nprods);
	for (int i = 0; i < x->nsegs; i++)
		put_seg(w, &segs[i]);
}

enum err
roster_end(struct wr *w, int32_t n)
{
	if (w->len < CLEAN_HEAD)
		return E_NOMEM;
	be32_put(w->p + 12, (uint32_t)n);
	wr_i32(w, (int32_t)crc32c(0, w->p, w->len));
	return w->bad ? E_NOMEM : E_OK;
}

/* ---- at a stop --------------------------------------------------------- */

/* All that is in memory is on the disk too, and nothing is under way. */
static bool
is_settled(const struct part *p)
{
	if (p->state != PART_ONLINE || p->nsegs == 0 || p->jobs > 0 ||
	    p->hw != p->next || part_written(p) != p->next)
		return false;
	for (int i = 0; i < p->nsegs; i++) {
		const struct seg *s = p->segs[i];

		if (s->synced != s->size || s->idx.npending > 0 ||
		    (s->size > 0 && (s->idx.last.pos != s->size ||
		    s->idx.last.offset != s->end_offset ||
		    s->idx.last.max_ts != s->max_ts)))
			return false;
	}
	return true;
}

static bool
tell_seg(const struct seg *s, struct roster_seg *x)
{
	struct disk_stat st = { .ino = s->told.ino,
	    .written_ns = s->told.written_ns, .size = s->size };

	if (!told_open(s) && disk->stat(s->path, &st) != E_OK)
		return false;
	*x = (struct roster_seg){ .base = s->base, .end = s->end_offset,
	    .size = s->size, .written_ns = st.written_ns, .ino = st.ino,
	    .max_ts = s->max_ts, .first_ts = s->first_ts,
	    .nidx = s->idx.nfile, .sealed = s->idx.sealed };
	return st.size == s->size;
}

/* The directory was not looked at either when none of its files was. */
static bool
dir_ns(const struct part *p, int64_t *ns)
{
	const struct told_dir *t = p->segs[0]->told.dir;
	char dir[PATH_SIZE];
	struct disk_stat st;

	if (t != NULL && atomic_load(&t->state) == TOLD_UNSEEN) {
		*ns = t->dir_ns;
		return true;
	}
	part_dir(p, dir);
	if (disk->stat(dir, &st) != E_OK)
		return false;
	*ns = st.written_ns;
	return true;
}

/* False: it is not named. */
static bool
tell_part(struct wr *w, const struct part *p)
{
	struct roster_part x = { .id = p->id, .epoch = p->epoch,
	    .epoch_start = p->epoch_start, .end = p->next,
	    .snapped = p->snapped, .deleted_due = p->reap_due,
	    .nsegs = p->nsegs };
	struct wr prods = wr_grow(PRODS_MAX);
	struct roster_seg *segs = calloc((size_t)p->nsegs + 1, sizeof *segs);
	bool ok = segs != NULL && is_settled(p) && dir_ns(p, &x.dir_ns);

	if (ok && p->prods != NULL && prod_count(p->prods) > 0)
		ok = prod_encode(p->prods, &p->id, p->next, &prods) == E_OK;
	for (int i = 0; ok && i < p->nsegs; i++)
		ok = tell_seg(p->segs[i], &segs[i]);
	x.prods = prods.p;
	x.nprods = prods.len;
	if (ok)
		roster_put(w, &x, segs);
	wr_free(&prods);
	free(segs);
	return ok && !w->bad;
}

enum err
roster_write(const struct engine *eng, struct wr *w)
{
	int32_t n = 0;

	roster_begin(w, eng == NULL ? -1 : part_written(eng->meta.part),
	    wall_ms());
	for (struct topic *t = eng == NULL ? NULL : eng->topics.first;
	    t != NULL; t = t->next)
		for (int32_t i = 0; t->state == TOPIC_LIVE && i < t->nparts;
		    i++) {
			size_t from = w->len;

			if (tell_part(w, t->parts[i])) {
				n++;
				continue;
			}
			/* Also for lack of room. */
			w->len = from;
			w->bad = false;
		}
	return roster_end(w, n);
}
