/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks.  A partition is cut into regions, from the newest to the oldest or
 * the other way: shards, and stretches that no shard has.  A region yields
 * offsets that may match; each is read and checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/limits.h"
#include "match.h"
#include "times.h"
#include "walk.h"

enum {
	SCAN_BLOCK	= 16384,	/* records read before any is shown */
	STRIDE		= 2048,		/* offsets asked of a shard at first */
	STRIDE_GROWS	= 8,
	CLOCK_EVERY	= 64,		/* records between looks at the clock */
	SHARD_TRIES	= 3,
};

static int64_t
max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool
out_of_time(struct search *s)
{
	if (!s->timed_out && elink_now_ms() >= s->deadline_ms)
		s->timed_out = true;
	return s->timed_out;
}

/* Whether only what was to be read is lost, and not whoever reads it. */
static bool
is_damage(enum err e)
{
	return e == E_CORRUPT || e == E_INVALID_RECORD || e == E_IO;
}

/* The rest of a walk is not searched. */
static void
walk_fail(struct walk *w, enum err e)
{
	struct search *s = w->search;

	walk_miss(w, s->sort == SORT_OLDEST ? w->end - w->told :
	    w->told - w->start, e);
	/* Others would wait as long for the same. */
	if (!s->timed_out && (e == E_TIMED_OUT || e == E_CLOSED ||
	    e == E_NOTFOUND))
		s->lost = e;
	w->over = true;
	w->ncand = w->cand_at = 0;
}

static enum err
cand_put(struct walk *w, int64_t offset)
{
	if (w->ncand == w->cand_cap) {
		int cap = w->cand_cap == 0 ? 64 : w->cand_cap * 2;
		int64_t *v = realloc(w->cand, (size_t)cap * sizeof *v);

		if (v == NULL)
			return E_NOMEM;
		w->cand = v;
		w->cand_cap = cap;
	}
	w->cand[w->ncand++] = offset;
	return E_OK;
}

static void
cand_reverse(struct walk *w)
{
	for (int i = 0, j = w->ncand - 1; i < j; i++, j--) {
		int64_t o = w->cand[i];

		w->cand[i] = w->cand[j];
		w->cand[j] = o;
	}
}

/* ---- shards ------------------------------------------------------------ */

static void
shard_close(struct walk *w)
{
	if (w->db == NULL)
		return;
	plan_free(&w->plan);
	xap_close(w->db);
	sconf_free(&w->shard_conf);
	w->db = NULL;
}

static enum err
plan_now(struct walk *w)
{
	struct plan_shard ps = { .db = w->db, .conf = &w->shard_conf,
	    .topic = w->topic, .part = w->part, .base = w->shard.base,
	    .end = w->shard.end };
	enum err e = times_bounds(w->db, &ps.ts_low, &ps.ts_high);

	if (e == E_NOTFOUND) {
		ps.ts_low = INT64_MIN;
		ps.ts_high = INT64_MAX;
	} else if (e != E_OK)
		return e;
	if (!match_range(w->search->query, w->topic, w->part, ps.base,
	    ps.end - 1, ps.ts_low, ps.ts_high)) {
		w->plan = (struct plan){ PLAN_NONE, true, NULL };
		return E_OK;
	}
	return plan_make(w->search->query, &ps, &w->plan);
}

/* Opens a shard and asks its index.  E_NOTFOUND: it is there no more, or of no
 * use; then records are read instead. */
static enum err
shard_open(struct walk *w, struct shard *sh)
{
	char dir[SHARD_PATH];
	int64_t gaps, next;
	enum err e;

	shard_dir(dir, w->search->dir, &w->id, w->part);
	e = shard_db(dir, sh, &w->db);
	if (e != E_OK) {
		w->db = NULL;
		return e == E_NOMEM ? e : E_NOTFOUND;
	}
	w->shard = *sh;
	w->plan.q = NULL;
	w->search->shards_opened++;
	e = shard_facts(w->db, &next, &gaps, &w->shard_conf);
	if (e == E_OK && (next < sh->end || sh->end - sh->base > UINT32_MAX))
		e = E_CORRUPT;
	if (e == E_OK) {
		e = plan_now(w);
		if (e == E_OK)
			return E_OK;
		sconf_free(&w->shard_conf);
	}
	xap_close(w->db);
	w->db = NULL;
	return e == E_NOMEM ? e : E_NOTFOUND;
}

/* A hot shard may have become a file meanwhile. */
static enum err
shard_open_any(struct walk *w, struct shard *sh)
{
	char dir[SHARD_PATH];
	struct shards again;
	const struct shard *now;
	struct shard want = { 0 };
	enum err e = E_NOTFOUND;

	for (int i = 0; i < SHARD_TRIES && e == E_NOTFOUND; i++) {
		e = shard_open(w, i == 0 ? sh : &want);
		if (e != E_NOTFOUND || !sh->hot)
			break;
		shard_dir(dir, w->search->dir, &w->id, w->part);
		e = shards_list(dir, SHARDS_LIST, &again, NULL);
		if (e != E_OK)
			break;
		now = shards_find(&again, sh->base);
		e = now != NULL && now->base == sh->base ? E_NOTFOUND :
		    E_CORRUPT;
		if (e == E_NOTFOUND)
			want = *now;
		shards_free(&again);
	}
	if (e == E_NOTFOUND || e == E_CORRUPT) {
		w->search->shards_broken++;
		return E_NOTFOUND;
	}
	return e;
}

/* Whether the index alone can tell which records of a shard match. */
static bool
shard_counts(const struct walk *w)
{
	return w->plan.exact && w->search->compacted_ok;
}

/* Whether the shard was asked for all of the region. */
static bool
shard_over(const struct walk *w)
{
	return w->search->sort == SORT_OLDEST ? w->edge >= w->region.high :
	    w->edge <= w->region.low;
}

/* The matches of the next stretch of the open shard become candidates, in the
 * walk's order.  Few are wanted of most shards: it begins with a short one. */
static enum err
shard_take(struct walk *w)
{
	bool oldest = w->search->sort == SORT_OLDEST;
	int64_t low = oldest ? w->edge : max64(w->region.low,
	    w->edge - w->stride);
	int64_t high = oldest ? min64(w->region.high, w->edge + w->stride) :
	    w->edge;
	uint32_t *ids = malloc((size_t)(high - low) * sizeof *ids), n = 0;
	enum err e;

	if (ids == NULL)
		return E_NOMEM;
	e = xap_match(w->db, w->plan.q, (uint32_t)(low - w->shard.base + 1),
	    (uint32_t)(high - w->shard.base), ids, &n);
	for (uint32_t i = 0; i < n && e == E_OK; i++)
		e = cand_put(w, w->shard.base + ids[i] - 1);
	free(ids);
	if (e != E_OK)
		return e;
	if (!oldest)
		cand_reverse(w);
	w->edge = oldest ? high : low;
	w->stride = min64(w->stride * STRIDE_GROWS, SHARD_DOCS_MAX);
	return E_OK;
}

/* The records of the shard are read instead, but for those that were told. */
static void
plan_give_up(struct walk *w)
{
	plan_free(&w->plan);
	w->plan = (struct plan){ PLAN_ALL, false, NULL };
	w->at = w->edge;
	w->region.by_index = false;
	w->ncand = w->cand_at = 0;
}

/* Whether the index answers no more: a beginning stands for too many words, or
 * the shard was made anew or taken away while it was asked. */
static bool
index_fails(struct walk *w, enum err e)
{
	bool lost = e == E_CORRUPT || e == E_NOTFOUND || e == E_BUSY ||
	    e == E_IO;

	w->search->shards_broken += lost;
	return lost || e == E_TOO_LARGE;
}

/* ---- reading ----------------------------------------------------------- */

struct scan {
	struct walk	*w;
	struct match	 m;
	int		 n;
	bool		 keep;		/* candidates, or only count */
	int64_t		 found;
	enum err	 err;
};

static bool
each_scanned(void *arg, const struct record *r)
{
	struct scan *sc = arg;
	struct search *s = sc->w->search;

	s->read++;
	if (++sc->n % CLOCK_EVERY == 0 && out_of_time(s)) {
		sc->err = E_TIMED_OUT;
		return false;
	}
	if (doc_read(&s->doc, r) != E_OK || !match_doc(&sc->m, &s->doc, r))
		return true;
	sc->found++;
	if (sc->keep)
		sc->err = cand_put(sc->w, r->offset);
	return sc->err == E_OK;
}

/* What retention deletes meanwhile, or who deletes the topic, is not there,
 * and no error: *low is where the log begins now. */
static bool
begins_later(struct walk *w, enum err e, int64_t *low, int64_t high)
{
	if (e != E_OFFSET_OUT_OF_RANGE)
		return false;
	e = src_start(w->search->src, &w->id, w->part, &w->start);
	if (e != E_OK || w->start <= *low || w->start >= high)
		return false;
	*low = w->start;
	return true;
}

/* Reads the records of [low, high); those that are damaged are missing. */
static enum err
scan(struct walk *w, int64_t low, int64_t high, const struct sconf *conf,
    bool keep, int64_t *found)
{
	struct scan sc = { .w = w, .keep = keep, .m = { w->search->query,
	    w->topic, w->part, conf, false } };
	int64_t next = low;
	enum err e;

	do
		e = src_read(w->search->src, &w->id, w->part, low, high,
		    each_scanned, &sc, &next);
	while (begins_later(w, e, &low, high));
	w->search->too_costly |= sc.m.too_costly;
	if (found != NULL)
		*found += sc.found;
	if (e == E_OFFSET_OUT_OF_RANGE || e == E_UNKNOWN_TOPIC_ID)
		return E_OK;
	if (is_damage(e)) {
		walk_miss(w, high - (next > low ? next : low), e);
		return E_OK;
	}
	return e != E_OK ? e : sc.err;
}

static enum err
hit_copy(struct hit *h, const struct record *r)
{
	size_t k = r->key_len > 0 ? (size_t)r->key_len : 0;
	size_t v = r->value_len > 0 ? (size_t)r->value_len : 0;
	size_t n = rd_left(&r->headers), need = k + v + n + 1;

	if (need > h->cap) {
		uint8_t *p = realloc(h->bytes, need);

		if (p == NULL)
			return E_NOMEM;
		h->bytes = p;
		h->cap = need;
	}
	h->r = *r;
	if (k > 0)
		memcpy(h->bytes, r->key, k);
	if (v > 0)
		memcpy(h->bytes + k, r->value, v);
	if (n > 0)
		memcpy(h->bytes + k + v, r->headers.p, n);
	h->r.key = h->bytes;
	h->r.value = h->bytes + k;
	h->r.headers = rd_of(h->bytes + k + v, n);
	return E_OK;
}

enum err
hit_get(struct search *s, const struct walk *w, int64_t offset,
    struct hit *h)
{
	struct record r;
	enum err e = src_get(s->src, &w->id, w->part, offset, &r);

	s->read++;
	if (e != E_OK)
		return e;
	h->walk = w;
	return hit_copy(h, &r);
}

/* Reads a candidate and checks it: E_NOTFOUND when it is none. */
static enum err
check(struct walk *w, int64_t offset, struct hit *h)
{
	struct search *s = w->search;
	struct match m = { s->query, w->topic, w->part, w->region.conf,
	    false };
	struct record r;
	enum err e = src_get(s->src, &w->id, w->part, offset, &r);

	s->read++;
	s->candidates++;
	if (is_damage(e)) {
		walk_miss(w, 1, e);
		return E_NOTFOUND;
	}
	if (e != E_OK)
		return e == E_UNKNOWN_TOPIC_ID ? E_NOTFOUND : e;
	if (!w->checked && (doc_read(&s->doc, &r) != E_OK ||
	    !match_doc(&m, &s->doc, &r)))
		e = E_NOTFOUND;
	s->too_costly |= m.too_costly;
	if (e != E_OK || h == NULL)
		return e;
	h->walk = w;
	h->conf = w->region.conf;
	return hit_copy(h, &r);
}

/* ---- regions ----------------------------------------------------------- */

/* The stretch that comes next, up to the walk's end: a shard, or what lies
 * between shards. */
static void
next_stretch(struct walk *w, struct shard **sh, int64_t *low,
    int64_t *high)
{
	bool oldest = w->search->sort == SORT_OLDEST;

	*sh = shards_find(&w->shards, oldest ? w->at : w->at - 1);
	if (*sh != NULL) {
		*low = (*sh)->base;
		*high = (*sh)->end;
	} else if (oldest) {
		*low = w->at;
		*high = shards_gap_end(&w->shards, w->at);
	} else {
		*low = shards_gap_start(&w->shards, w->at);
		*high = w->at;
	}
	*low = max64(*low, oldest ? w->at : w->start);
	*high = min64(*high, oldest ? w->end : w->at);
}

/* A region that is to be read, of one block at most. */
static void
region_scan(struct walk *w, int64_t low, int64_t high,
    const struct sconf *conf)
{
	if (w->search->sort == SORT_OLDEST)
		high = min64(high, low + SCAN_BLOCK);
	else
		low = max64(low, high - SCAN_BLOCK);
	w->region = (struct region){ low, high, false, conf };
}

/* All of the last region was told.  E_EOF when the walk is over.  Afterwards
 * w->at is behind the region. */
static enum err
region_next(struct walk *w)
{
	struct shard *sh;
	int64_t low, high;
	enum err e = E_OK;

	w->told = w->at;
	if (w->start >= w->end || (w->search->sort == SORT_OLDEST ? w->at >=
	    w->end : w->at <= w->start))
		return E_EOF;
	next_stretch(w, &sh, &low, &high);
	if (sh != NULL && (w->db == NULL || w->shard.base != sh->base)) {
		shard_close(w);
		e = shard_open_any(w, sh);
		if (e != E_OK && e != E_NOTFOUND)
			return e;
	}
	if (sh == NULL || e == E_NOTFOUND) {
		region_scan(w, low, high, &w->conf);
		w->search->unindexed += w->region.high - w->region.low;
	} else if (w->plan.kind == PLAN_ALL)
		region_scan(w, low, high, &w->shard_conf);
	else
		w->region = (struct region){ low, high, true,
		    &w->shard_conf };
	w->at = w->search->sort == SORT_OLDEST ? w->region.high :
	    w->region.low;
	w->stride = STRIDE;
	w->edge = w->plan.kind == PLAN_NONE ? w->at :
	    w->search->sort == SORT_OLDEST ? low : high;
	return E_OK;
}

/* More candidates.  E_EOF when there are none any more. */
static enum err
walk_refill(struct walk *w)
{
	enum err e = E_OK;

	w->ncand = w->cand_at = 0;
	while (e == E_OK && w->ncand == 0) {
		if (w->search->lost != E_OK)
			return w->search->lost;
		if (out_of_time(w->search))
			return E_TIMED_OUT;
		if (w->region.by_index && !shard_over(w)) {
			w->checked = w->search->counting && shard_counts(w);
			e = shard_take(w);
			if (index_fails(w, e)) {
				plan_give_up(w);
				e = E_OK;
			}
			continue;
		}
		e = region_next(w);
		if (e != E_OK || w->region.by_index)
			continue;
		w->checked = true;
		if (match_range(w->search->query, w->topic, w->part,
		    w->region.low, w->region.high - 1, INT64_MIN, INT64_MAX))
			e = scan(w, w->region.low, w->region.high,
			    w->region.conf, true, NULL);
		if (e == E_OK && w->search->sort != SORT_OLDEST)
			cand_reverse(w);
	}
	return e;
}

/* Reads the next candidate: the head, if it matches. */
static void
walk_check(struct walk *w)
{
	int64_t offset = w->cand[w->cand_at++];
	enum err e = out_of_time(w->search) ? E_TIMED_OUT :
	    check(w, offset, &w->head);

	w->waits = false;
	w->have = e == E_OK;
	w->ts = w->head.r.ts;
	if (e == E_OK || e == E_NOTFOUND)
		w->told = offset + (w->search->sort == SORT_OLDEST);
	else
		walk_fail(w, e);
}

/* Whether the next candidate may wait for those of other walks: each of them
 * is in a batch of its own, and most are not asked for. */
static bool
may_wait(struct walk *w)
{
	return w->search->nwalks > 1 && w->region.by_index &&
	    times_get(w->db, (uint32_t)(w->cand[w->cand_at] - w->shard.base +
	    1), &w->ts) == E_OK;
}

/* Fills the head, has a candidate wait, or finds that the walk is over. */
static void
walk_next(struct walk *w)
{
	enum err e;

	w->have = w->waits = false;
	while (!w->have && !w->waits && !w->over) {
		if (w->cand_at == w->ncand && (e = walk_refill(w)) != E_OK) {
			if (e != E_EOF)
				walk_fail(w, e);
			w->over = true;
			return;
		}
		w->waits = may_wait(w);
		if (!w->waits)
			walk_check(w);
	}
}

/* ---- all of them ------------------------------------------------------- */

static bool
comes_before(const struct search *s, const struct walk *a,
    const struct walk *b)
{
	if (a->ts != b->ts)
		return (a->ts > b->ts) == (s->sort != SORT_OLDEST);
	return a < b;
}

/* The walk whose hit, or candidate, comes next; NULL: all are over. */
static struct walk *
walk_first(struct search *s)
{
	struct walk *best = NULL;

	for (int i = 0; i < s->nwalks; i++) {
		struct walk *w = &s->walks[i];

		if (!w->over && (w == s->last || (!w->have && !w->waits)))
			walk_next(w);
		if ((w->have || w->waits) && (best == NULL ||
		    comes_before(s, w, best)))
			best = w;
	}
	return best;
}

enum err
search_next(struct search *s, struct hit **out)
{
	struct walk *w;

	while ((w = walk_first(s)) != NULL && w->waits) {
		s->last = NULL;
		walk_check(w);
	}
	s->last = w;
	if (w == NULL)
		return E_EOF;
	*out = &w->head;
	return E_OK;
}

/* Whether the open shard holds more than it did when it was listed: then what
 * it tells of all of itself is too much. */
static bool
shard_grew(const struct walk *w)
{
	int64_t next, gaps;

	return w->shard.hot && (shard_facts(w->db, &next, &gaps, NULL) !=
	    E_OK || next > w->shard.end);
}

/* The matches in all of the open shard, as it was listed; q NULL: all. */
static enum err
count_all(struct walk *w, struct xap_query *q, int64_t *n)
{
	uint32_t *ids, last, docs = (uint32_t)(w->shard.end - w->shard.base);
	uint32_t total = 0;
	enum err e = q != NULL ? xap_count(w->db, q, &total) :
	    xap_counts(w->db, &total, &last);

	if (e == E_OK && shard_grew(w)) {
		q = q != NULL ? xap_q_copy(q) : xap_q_all();
		ids = malloc(docs * sizeof *ids);
		e = q == NULL || ids == NULL ? E_NOMEM : xap_match(w->db, q,
		    1, docs, ids, &total);
		xap_q_free(q);
		free(ids);
	}
	*n += e == E_OK ? total : 0;
	return e;
}

/* Adds the matches of the open shard's region.  What its index does not tell
 * is read next, but not for a cheap count. */
static enum err
count_shard(struct walk *w, bool cheap, int64_t *n)
{
	bool counts = shard_counts(w), whole = counts &&
	    w->region.low == w->shard.base && w->region.high == w->shard.end;
	enum err e = E_OK;

	if (w->plan.kind == PLAN_NONE)
		return E_OK;
	if (whole)
		e = count_all(w, w->plan.q, n);
	w->stride = SHARD_DOCS_MAX;
	while (e == E_OK && !whole && !shard_over(w)) {
		w->ncand = w->cand_at = 0;
		e = shard_take(w);
		if (e != E_OK)
			break;
		if (counts) {
			*n += w->ncand;
			continue;
		}
		for (w->checked = false; w->cand_at < w->ncand;) {
			e = out_of_time(w->search) ? E_TIMED_OUT :
			    check(w, w->cand[w->cand_at++], NULL);
			*n += e == E_OK;
			if (e != E_OK && e != E_NOTFOUND)
				return e;
		}
		e = E_OK;
	}
	if (index_fails(w, e)) {
		plan_give_up(w);
		return cheap ? E_BUSY : E_OK;
	}
	return e;
}

/* All documents of a shard match: how many it has is written down. */
static enum err
count_whole(struct walk *w, bool *told, int64_t *n)
{
	const struct region *g = &w->region;
	enum err e;

	*told = g->conf == &w->shard_conf && w->plan.kind == PLAN_ALL &&
	    shard_counts(w) && g->high == w->shard.end &&
	    w->shard.base >= w->start;
	if (!*told)
		return E_OK;
	e = count_all(w, NULL, n);
	if (e == E_OK)
		w->at = w->shard.base;
	return e;
}

static enum err
walk_count(struct walk *w, bool cheap, int64_t *n)
{
	bool told;
	enum err e;

	while ((e = region_next(w)) == E_OK) {
		struct region *g = &w->region;

		if (w->search->lost != E_OK)
			return w->search->lost;
		if (out_of_time(w->search))
			return E_TIMED_OUT;
		e = count_whole(w, &told, n);
		if (told && e == E_OK)
			continue;
		if (told && !index_fails(w, e))
			return e;
		if (cheap && (!g->by_index || (w->plan.kind != PLAN_NONE &&
		    !shard_counts(w))))
			return E_BUSY;
		e = g->by_index ? count_shard(w, cheap, n) :
		    scan(w, g->low, g->high, g->conf, false, n);
		if (e != E_OK)
			return e;
	}
	return e == E_EOF ? E_OK : e;
}

enum err
search_count(struct search *s, bool cheap, int64_t *n)
{
	enum err e;

	*n = 0;
	for (int i = 0; i < s->nwalks; i++) {
		if (s->walks[i].over)
			continue;
		e = walk_count(&s->walks[i], cheap, n);
		if (cheap && e == E_BUSY)
			return e;
		if (e != E_OK)
			walk_fail(&s->walks[i], e);
	}
	return E_OK;
}

enum err
search_total(struct search *s, int64_t deadline_ms, int64_t *n)
{
	struct search was = *s;
	enum err e;

	ASSERT(!search_incomplete(s));
	s->sort = SORT_NEWEST;
	s->last = NULL;
	if (s->deadline_ms > deadline_ms)
		s->deadline_ms = deadline_ms;
	for (int i = 0; i < s->nwalks; i++) {
		struct walk *w = &s->walks[i];

		shard_close(w);
		w->at = w->end;
		w->have = w->waits = w->over = false;
	}
	e = search_count(s, true, n);
	if (e == E_OK && search_incomplete(s))
		e = E_TIMED_OUT;
	/* What went wrong here is not missing in what was found. */
	for (int i = 0; i < s->nwalks; i++) {
		s->walks[i].missed = 0;
		s->walks[i].trouble = NULL;
	}
	was.doc = s->doc;
	*s = was;
	return e;
}

void
search_cursors(const struct search *s, struct cursor *c)
{
	for (int i = 0; i < s->nwalks; i++) {
		const struct walk *w = &s->walks[i];

		c[i] = (struct cursor){ w->id, w->part, w->end };
		if (w->have && w != s->last)
			c[i].next = w->head.r.offset;
		else if (w->have)
			c[i].next = w->head.r.offset + 1;
		else if (w->waits)
			c[i].next = w->cand[w->cand_at];
		else if (w->over && w->told < w->end)
			c[i].next = w->told;
	}
}

void
hits_free(struct hit *v, int n)
{
	for (int i = 0; i < n; i++)
		free(v[i].bytes);
	free(v);
}
