/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hits by relevance: BM25 over all shards as one, whose statistics are those
 * of all.  Records that no shard has yet come last, without a score.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "match.h"
#include "walk.h"

enum { RANK_CHUNK = 1000, RANK_TRIES = 3 };

/* A shard among those that are ranked together. */
struct ranked { struct walk *w; struct shard *s; };

struct rank {
	struct search	*s;
	const struct plan *plan;
	struct ranked	*shards;
	struct xap_db	**dbs;
	int		 n;
	struct hit	*hits;
	int		 nhits, max;
};

/* ---- shards ------------------------------------------------------------ */

static void
close_all(struct rank *r)
{
	for (int i = 0; i < r->n; i++)
		xap_close(r->dbs[i]);
	free(r->dbs);
	free(r->shards);
	r->dbs = NULL;
	r->shards = NULL;
	r->n = 0;
}

/* Whether its index answers.  What does not is read instead. */
static bool
answers(const struct rank *r, struct xap_db *db)
{
	uint32_t total;

	return xap_count(db, r->plan->q, &total) == E_OK;
}

/* Whether it was made by the configs that the query is planned by, since the
 * words of others are not its words, and goes as far as it was said to. */
static bool
fits(struct xap_db *db, const struct walk *w, const struct shard *s)
{
	struct sconf conf;
	int64_t next, gaps;
	bool same;

	if (shard_facts(db, &next, &gaps, &conf) != E_OK)
		return false;
	same = sconf_eq(&conf, &w->conf) && next >= s->end;
	sconf_free(&conf);
	return same;
}

/* Opens the shards of a walk; those that are of no use leave its list. */
static void
open_walk(struct rank *r, struct walk *w, bool ask)
{
	char dir[SHARD_PATH];
	int keep = 0;

	shard_dir(dir, r->s->dir, &w->id, w->part);
	for (int j = 0; j < w->shards.n; j++) {
		struct xap_db *db;

		if (shard_db(dir, &w->shards.v[j], &db) != E_OK)
			db = NULL;
		if (db != NULL && (!fits(db, w, &w->shards.v[j]) || (ask &&
		    !answers(r, db)))) {
			xap_close(db);
			db = NULL;
		}
		if (db == NULL) {
			r->s->shards_broken++;
			continue;
		}
		w->shards.v[keep] = w->shards.v[j];
		r->dbs[r->n] = db;
		r->shards[r->n++] = (struct ranked){ w,
		    &w->shards.v[keep++] };
	}
	w->shards.n = keep;
}

/* ask: each whether it can answer, which otherwise shows itself later. */
static enum err
open_all(struct rank *r, bool ask)
{
	int n = 0;

	for (int i = 0; i < r->s->nwalks; i++)
		n += r->s->walks[i].shards.n;
	r->shards = calloc((size_t)n + 1, sizeof *r->shards);
	r->dbs = calloc((size_t)n + 1, sizeof *r->dbs);
	if (r->shards == NULL || r->dbs == NULL)
		return E_NOMEM;
	for (int i = 0; i < r->s->nwalks; i++)
		if (!r->s->walks[i].over)
			open_walk(r, &r->s->walks[i], ask);
	r->s->shards_opened += r->n;
	return E_OK;
}

/* The shards as they are now: some were made anew while they were asked. */
static enum err
list_again(struct rank *r)
{
	char dir[SHARD_PATH];
	enum err e = E_OK;

	close_all(r);
	for (int i = 0; i < r->s->nwalks && e == E_OK; i++) {
		struct walk *w = &r->s->walks[i];

		shards_free(&w->shards);
		shard_dir(dir, r->s->dir, &w->id, w->part);
		e = shards_list(dir, SHARDS_ASK, &w->shards, NULL);
		if (e != E_NOMEM)
			e = E_OK;
	}
	return e;
}

/* ---- hits -------------------------------------------------------------- */

/* Reads a record into a hit.  E_NOTFOUND: it does not match. */
static enum err
hit_read(struct search *s, struct walk *w, int64_t offset, double score,
    struct hit *h)
{
	struct match m = { s->query, w->topic, w->part, &w->conf, false };
	enum err e;

	if (offset < w->start || offset >= w->end)
		return E_NOTFOUND;
	e = hit_get(s, w, offset, h);
	if (e == E_UNKNOWN_TOPIC_ID)
		return E_NOTFOUND;
	if (e == E_CORRUPT || e == E_INVALID_RECORD || e == E_IO) {
		walk_miss(w, 1, e);
		return E_NOTFOUND;
	}
	if (e != E_OK)
		return e;
	if (doc_read(&s->doc, &h->r) != E_OK || !match_doc(&m, &s->doc,
	    &h->r)) {
		s->too_costly |= m.too_costly;
		return E_NOTFOUND;
	}
	h->conf = &w->conf;
	h->score = score;
	return E_OK;
}

static bool
out_of_time(struct search *s)
{
	if (elink_now_ms() >= s->deadline_ms)
		s->timed_out = true;
	return s->timed_out;
}

/* Where a ranked record is, and which it is among those of a chunk. */
struct spot { struct ranked *at; int64_t offset; uint32_t i; };

static int
by_place(const void *a, const void *b)
{
	const struct spot *x = a, *y = b;

	if (x->at->w != y->at->w)
		return x->at->w < y->at->w ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Reads the records of a chunk in the order of the log, and lays those that
 * match down in theirs. */
static enum err
take_chunk(struct rank *r, const struct xap_hit *found, uint32_t n)
{
	struct hit *hits = r->hits + r->nhits, one;
	struct spot spots[RANK_CHUNK];
	bool is_hit[RANK_CHUNK] = { false };
	enum err e = E_OK;

	for (uint32_t i = 0; i < n; i++) {
		spots[i].at = &r->shards[found[i].db];
		spots[i].offset = spots[i].at->s->base + found[i].id - 1;
		spots[i].i = i;
	}
	qsort(spots, n, sizeof *spots, by_place);
	for (uint32_t i = 0; i < n && e == E_OK && !out_of_time(r->s); i++) {
		const struct spot *p = &spots[i];

		/* What a shard has grown by is read, see below. */
		if (p->offset >= p->at->s->end)
			continue;
		e = hit_read(r->s, p->at->w, p->offset, found[p->i].score,
		    &hits[p->i]);
		is_hit[p->i] = e == E_OK;
		if (e == E_NOTFOUND)
			e = E_OK;
	}
	for (uint32_t i = 0; i < n; i++)
		if (is_hit[i]) {
			/* Their bytes change places as well. */
			one = r->hits[r->nhits];
			r->hits[r->nhits++] = hits[i];
			hits[i] = one;
		}
	return e;
}

static enum err
take_ranked(struct rank *r, bool *lost)
{
	struct xap_hit found[RANK_CHUNK];
	struct xap_all *all = NULL;
	uint32_t from = 0, n = 0, total;
	enum err e;

	e = xap_all_open(r->dbs, r->n, &all);
	while (e == E_OK && r->nhits < r->max && !out_of_time(r->s)) {
		uint32_t want = (uint32_t)(r->max - r->nhits);

		if (want > RANK_CHUNK)
			want = RANK_CHUNK;
		e = xap_rank(all, r->plan->q, from, want, found, &n, &total);
		if (e != E_OK)
			break;
		e = take_chunk(r, found, n);
		*lost = e == E_OK;
		from += n;
		if (n < want)
			break;
	}
	xap_all_close(all);
	return e;
}

/* A shard that is made anew, or damaged, while it is asked ends the whole
 * answer: it begins again, in the end without those that do not answer. */
static enum err
rank_shards(struct rank *r)
{
	bool lost = true;
	enum err e = E_OK;

	for (int i = 0; i < RANK_TRIES; i++) {
		if (i > 0)
			e = list_again(r);
		if (e == E_OK)
			e = open_all(r, i == RANK_TRIES - 1);
		if (e != E_OK || r->n == 0)
			return e;
		lost = true;
		e = take_ranked(r, &lost);
		if (e == E_OK || !lost || e == E_NOMEM || e == E_TOO_LARGE)
			return e;
		r->nhits = 0;
	}
	return e;
}

/* ---- what no shard has ------------------------------------------------- */

struct rest { struct rank *r; struct walk *w; enum err err; };

static bool
each_rest(void *arg, const struct record *rec)
{
	struct rest *x = arg;

	x->r->s->read++;
	x->err = hit_read(x->r->s, x->w, rec->offset, 0,
	    &x->r->hits[x->r->nhits]);
	x->r->nhits += x->err == E_OK;
	if (x->err == E_NOTFOUND)
		x->err = E_OK;
	return x->err == E_OK && x->r->nhits < x->r->max &&
	    !out_of_time(x->r->s);
}

/* [at, end) of a walk.  What was deleted meanwhile is no loss. */
static enum err
read_rest(struct rank *r, struct walk *w, int64_t at, int64_t end)
{
	struct rest x = { r, w, E_OK };
	int64_t next = at;
	enum err e;

	r->s->unindexed += end - at;
	e = src_read(r->s->src, &w->id, w->part, at, end, each_rest, &x,
	    &next);
	if (e == E_OFFSET_OUT_OF_RANGE && src_start(r->s->src, &w->id,
	    w->part, &w->start) == E_OK && w->start > at && w->start < end)
		e = src_read(r->s->src, &w->id, w->part, w->start, end,
		    each_rest, &x, &next);
	if (e == E_OFFSET_OUT_OF_RANGE || e == E_UNKNOWN_TOPIC_ID)
		return E_OK;
	if (e == E_CORRUPT || e == E_INVALID_RECORD || e == E_IO) {
		walk_miss(w, end - (next > at ? next : at), e);
		return E_OK;
	}
	if (e == E_OK && r->s->timed_out)
		walk_miss(w, end - next, E_TIMED_OUT);
	return e == E_OK ? x.err : e;
}

static enum err
take_rest(struct rank *r)
{
	enum err e = E_OK;

	for (int i = 0; i < r->s->nwalks && e == E_OK; i++) {
		struct walk *w = &r->s->walks[i];
		int64_t at = w->start, end;

		while (!w->over && at < w->end && e == E_OK &&
		    r->nhits < r->max && !r->s->timed_out) {
			const struct shard *s = shards_find(&w->shards, at);

			if (s != NULL) {
				at = s->end;
				continue;
			}
			end = shards_gap_end(&w->shards, at);
			end = end < w->end ? end : w->end;
			e = read_rest(r, w, at, end);
			at = end;
		}
	}
	return e;
}

/* ---- the answer -------------------------------------------------------- */

/* All of them rank by the same terms.  False: s->why says why not. */
static bool
can_rank(struct search *s, const struct plan *plan)
{
	for (int i = 1; i < s->nwalks; i++)
		if (!sconf_eq(&s->walks[i].conf, &s->walks[0].conf)) {
			snprintf(s->why, sizeof s->why, "%s and %s have other "
			    "search.* configs and cannot be ranked together: "
			    "name one with -t", s->walks[0].topic,
			    s->walks[i].topic);
			return false;
		}
	if (plan->kind != PLAN_ALL)
		return true;
	snprintf(s->why, sizeof s->why,
	    "there is no word in the query to rank by");
	return false;
}

/* What happened on the way makes the answer incomplete, not void. */
static enum err
rank_failed(struct search *s, enum err e)
{
	if (e == E_TOO_LARGE) {
		snprintf(s->why, sizeof s->why, "a * stands for more than %d "
		    "words, too many to rank by", QUERY_EXPAND_MAX);
		return E_USAGE;
	}
	if (e == E_NOMEM)
		return e;
	for (int i = 0; i < s->nwalks; i++)
		if (!s->walks[i].over)
			walk_miss(&s->walks[i], s->walks[i].end -
			    s->walks[i].start - s->walks[i].missed, e);
	return E_OK;
}

enum err
search_rank(struct search *s, int n, struct hit **out, int *found)
{
	const struct sconf none = { .text = (char *)"",
	    .numeric = (char *)"" };
	struct plan_shard ps = { .conf = s->nwalks > 0 ? &s->walks[0].conf :
	    &none, .end = INT64_MAX, .ts_low = INT64_MIN,
	    .ts_high = INT64_MAX };
	struct plan plan = { .kind = PLAN_NONE };
	struct rank r = { .s = s, .plan = &plan, .max = n };
	enum err e;

	r.hits = calloc((size_t)n + 1, sizeof *r.hits);
	e = r.hits == NULL ? E_NOMEM : plan_make(s->query, &ps, &plan);
	if (e == E_OK && !can_rank(s, &plan))
		e = E_USAGE;
	else if (e == E_OK) {
		if (plan.kind == PLAN_SOME)
			e = rank_shards(&r);
		if (e == E_OK && r.nhits < r.max)
			e = take_rest(&r);
		e = e == E_OK ? e : rank_failed(s, e);
	}
	plan_free(&plan);
	close_all(&r);
	/* A candidate that was none may be there still. */
	for (int i = r.nhits; r.hits != NULL && i <= n; i++) {
		free(r.hits[i].bytes);
		r.hits[i].bytes = NULL;
	}
	*out = r.hits;
	*found = r.nhits;
	return e;
}
