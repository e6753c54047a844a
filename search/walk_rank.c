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

enum { RANK_CHUNK = 200 };

/* A shard among those that are ranked together. */
struct ranked { struct walk *w; struct shard *s; };

struct rank {
	struct search	*s;
	struct ranked	*shards;
	struct xap_db	**dbs;
	int		 n;
	struct hit	*hits;
	int		 nhits, max;
};

static enum err
open_all(struct rank *r)
{
	char dir[SHARD_PATH], path[SHARD_PATH];
	int n = 0;

	for (int i = 0; i < r->s->nwalks; i++)
		n += r->s->walks[i].shards.n;
	r->shards = calloc((size_t)n + 1, sizeof *r->shards);
	r->dbs = calloc((size_t)n + 1, sizeof *r->dbs);
	if (r->shards == NULL || r->dbs == NULL)
		return E_NOMEM;
	for (int i = 0; i < r->s->nwalks; i++) {
		struct walk *w = &r->s->walks[i];
		int keep = 0;

		shard_dir(dir, r->s->dir, &w->id, w->part);
		for (int j = 0; j < w->shards.n; j++) {
			shard_path(path, dir, &w->shards.v[j]);
			if (xap_open(path, &r->dbs[r->n]) != E_OK) {
				/* Read instead, as what has no shard. */
				r->s->shards_broken++;
				continue;
			}
			w->shards.v[keep] = w->shards.v[j];
			r->shards[r->n++] = (struct ranked){ w,
			    &w->shards.v[keep++] };
		}
		w->shards.n = keep;
	}
	r->s->shards_opened += r->n;
	return E_OK;
}

static enum err
hit_add(struct rank *r, struct walk *w, int64_t offset, double score)
{
	struct match m = { r->s->query, w->topic, w->part, &w->conf, false };
	struct hit *h = &r->hits[r->nhits];
	enum err e;

	if (offset < w->start || offset >= w->end)
		return E_OK;
	e = hit_get(r->s, w, offset, h);
	if (e != E_OK)
		return e == E_NOTFOUND ? E_OK : e;
	if (doc_read(&r->s->doc, &h->r) != E_OK ||
	    !match_doc(&m, &r->s->doc, &h->r))
		return E_OK;
	h->conf = &w->conf;
	h->score = score;
	r->nhits++;
	return E_OK;
}

static enum err
take_ranked(struct rank *r, const struct xap_query *q)
{
	struct xap_hit found[RANK_CHUNK];
	struct xap_all *all = NULL;
	uint32_t from = 0, n = 0, total;
	enum err e;

	e = xap_all_open(r->dbs, r->n, &all);
	while (e == E_OK && r->nhits < r->max) {
		uint32_t want = (uint32_t)(r->max - r->nhits);

		if (elink_now_ms() >= r->s->deadline_ms) {
			r->s->timed_out = true;
			break;
		}
		if (want > RANK_CHUNK)
			want = RANK_CHUNK;
		e = xap_rank(all, q, from, want, found, &n, &total);
		for (uint32_t i = 0; i < n && e == E_OK; i++) {
			struct ranked *k = &r->shards[found[i].db];

			e = hit_add(r, k->w, k->s->base + found[i].id - 1,
			    found[i].score);
		}
		from += n;
		if (n < want)
			break;
	}
	xap_all_close(all);
	return e;
}

/* ---- what no shard has ------------------------------------------------- */

struct rest { struct rank *r; struct walk *w; enum err err; };

static bool
each_rest(void *arg, const struct record *rec)
{
	struct rest *x = arg;

	x->r->s->read++;
	x->err = hit_add(x->r, x->w, rec->offset, 0);
	return x->err == E_OK && x->r->nhits < x->r->max &&
	    elink_now_ms() < x->r->s->deadline_ms;
}

static enum err
take_rest(struct rank *r)
{
	enum err e = E_OK;

	for (int i = 0; i < r->s->nwalks && e == E_OK; i++) {
		struct walk *w = &r->s->walks[i];
		int64_t at = w->start, end, next;

		while (at < w->end && e == E_OK && r->nhits < r->max) {
			const struct shard *s = shards_find(&w->shards, at);
			struct rest x = { r, w, E_OK };

			if (s != NULL) {
				at = s->end;
				continue;
			}
			end = shards_gap_end(&w->shards, at);
			end = end < w->end ? end : w->end;
			r->s->unindexed += end - at;
			e = src_read(r->s->src, &w->id, w->part, at, end,
			    each_rest, &x, &next);
			e = e == E_OK ? x.err : e;
			at = end;
		}
	}
	return e;
}

enum err
search_rank(struct search *s, int n, struct hit **out, int *found)
{
	struct rank r = { .s = s, .max = n };
	const struct sconf none = { .text = (char *)"",
	    .numeric = (char *)"" };
	struct plan_shard ps = { .conf = &none, .base = 0,
	    .end = INT64_MAX, .ts_low = INT64_MIN, .ts_high = INT64_MAX };
	struct plan plan = { .kind = PLAN_NONE };
	enum err e;

	if (s->nwalks > 0)
		ps.conf = &s->walks[0].conf;
	for (int i = 1; i < s->nwalks; i++)
		if (!sconf_eq(&s->walks[i].conf, ps.conf)) {
			snprintf(s->why, sizeof s->why, "%s and %s have other "
			    "search.* configs and cannot be ranked together: "
			    "name one with -t", s->walks[0].topic,
			    s->walks[i].topic);
			return E_USAGE;
		}
	r.hits = calloc((size_t)n + 1, sizeof *r.hits);
	e = r.hits == NULL ? E_NOMEM : plan_make(s->query, &ps, &plan);
	if (e == E_OK && plan.kind == PLAN_ALL) {
		snprintf(s->why, sizeof s->why,
		    "there is no word in the query to rank by");
		e = E_USAGE;
	}
	if (e == E_OK)
		e = open_all(&r);
	if (e == E_OK && plan.kind == PLAN_SOME && r.n > 0)
		e = take_ranked(&r, plan.q);
	if (e == E_OK && r.nhits < r.max)
		e = take_rest(&r);
	plan_free(&plan);
	for (int i = 0; i < r.n; i++)
		xap_close(r.dbs[i]);
	free(r.dbs);
	free(r.shards);
	/* A candidate that was none may be there still. */
	if (r.hits != NULL)
		free(r.hits[r.nhits].bytes);
	*out = r.hits;
	*found = r.nhits;
	return e;
}
