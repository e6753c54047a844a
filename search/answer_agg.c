/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregations: every hit is read and counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer_in.h"
#include "facet.h"
#include "out.h"

enum { BUCKETS_MAX = 65536 };

/* ---- terms ------------------------------------------------------------- */

/* Numbers stay numbers, and truth is 1 and 0 beside its name. */
static void
put_key(struct wr *w, const struct value *v)
{
	bool yes = strcmp(v->text, "true") == 0;

	if (v->bare && (yes || strcmp(v->text, "false") == 0))
		answer_putf(w, "{\"key\":%d,\"key_as_string\":\"%s\"", yes,
		    v->text);
	else if (v->bare && strcmp(v->text, "null") != 0)
		answer_putf(w, "{\"key\":%.400s", v->text);
	else {
		answer_put(w, "{\"key\":");
		out_json_any(w, v->text, strlen(v->text));
	}
}

static void
put_terms(struct wr *w, const struct dsl_agg *a, struct facet *f)
{
	int64_t rest = f->rest;
	int shown = 0;
	struct wr b = wr_grow(64 * MIB);

	for (int i = 0; i < f->nv; i++) {
		if (f->v[i]->count < a->min_count)
			continue;
		if (shown++ >= a->size) {
			rest += f->v[i]->count;
			continue;
		}
		answer_put(&b, shown > 1 ? "," : "");
		put_key(&b, f->v[i]);
		answer_putf(&b, ",\"doc_count\":%lld}",
		    (long long)f->v[i]->count);
	}
	/* What was not told apart may hide more of a value that was. */
	answer_putf(w, "{\"doc_count_error_upper_bound\":%lld,"
	    "\"sum_other_doc_count\":%lld,\"buckets\":[", (long long)f->rest,
	    (long long)rest);
	wr_bytes(w, b.p, b.len);
	answer_put(w, "]}");
	w->bad |= b.bad;
	wr_free(&b);
}

/* ---- time -------------------------------------------------------------- */

static void
put_step(struct wr *w, int64_t at, int64_t count, bool first)
{
	char when[32];

	out_time(when, at);
	answer_putf(w, "%s{\"key_as_string\":\"%s\",\"key\":%lld,"
	    "\"doc_count\":%lld}", first ? "" : ",", when, (long long)at,
	    (long long)count);
}

/* From one step to the next, also those that nothing falls into when
 * min_doc_count is 0.  False: there are too many. */
static bool
put_steps(struct wr *w, const struct dsl_agg *a, const struct hist *h)
{
	bool down = a->order == DSL_KEY_DESC, first = true;
	int64_t n = h->n == 0 ? 0 : (h->start[0] - h->start[h->n - 1]) /
	    a->interval_ms + 1;

	if (a->min_count == 0 && n > BUCKETS_MAX)
		return false;
	for (int j = 0; j < h->n; j++) {
		int i = down ? j : h->n - 1 - j;
		int64_t step = down ? -a->interval_ms : a->interval_ms;
		int64_t at = j == 0 ? h->start[i] :
		    h->start[down ? i - 1 : i + 1] + step;

		for (; a->min_count == 0 && at != h->start[i]; at += step) {
			put_step(w, at, 0, first);
			first = false;
		}
		if (h->count[i] < a->min_count)
			continue;
		put_step(w, h->start[i], h->count[i], first);
		first = false;
	}
	return true;
}

/* ---- all of them ------------------------------------------------------- */

static int
by_key(const void *a, const void *b)
{
	const struct value *const *x = a, *const *y = b;
	double n, m;

	if (!(*x)->bare || !(*y)->bare)
		return strcmp((*x)->text, (*y)->text);
	n = strtod((*x)->text, NULL);
	m = strtod((*y)->text, NULL);
	return n < m ? -1 : n > m;
}

static void
order(struct facet *f, enum dsl_order o)
{
	if (o == DSL_KEY_ASC || o == DSL_KEY_DESC)
		qsort(f->v, (size_t)f->nv, sizeof *f->v, by_key);
	for (int i = 0, j = f->nv - 1; i < j && (o == DSL_COUNT_ASC ||
	    o == DSL_KEY_DESC); i++, j--) {
		struct value *v = f->v[i];

		f->v[i] = f->v[j];
		f->v[j] = v;
	}
}

struct aggs { struct facet f[DSL_AGGS_MAX]; struct hist h[DSL_AGGS_MAX]; };

static void
count(struct task *t, struct aggs *g)
{
	struct dsl_request *r = &t->req;
	struct hit *hit;

	while (search_next(&t->search, &hit) == E_OK) {
		/* What members a record has takes longer than its time. */
		bool whole = false, read = false;

		for (int i = 0; i < r->naggs; i++) {
			if (r->aggs[i].by_time) {
				hist_hit(&g->h[i], r->aggs[i].interval_ms,
				    r->aggs[i].shift_ms, hit->r.ts);
				continue;
			}
			if (!read)
				whole = doc_read(&t->doc, &hit->r) == E_OK;
			read = true;
			if (whole)
				facet_hit(&g->f[i], &t->doc, hit);
			else
				g->f[i].failed = true;
		}
	}
}

static bool
put_one(struct task *t, struct wr *w, int i, struct aggs *g)
{
	const struct dsl_agg *a = &t->req.aggs[i];
	struct wr name = wr_grow(64 * KIB);

	if (t->req.typed_keys)
		answer_put(&name, a->by_time ? "date_histogram#" : "sterms#");
	answer_put(&name, a->name);
	out_json_text(w, (const char *)name.p, name.len);
	w->bad |= name.bad;
	wr_free(&name);
	answer_put(w, ":");
	if (!a->by_time) {
		g->f[i].shown = SEARCH_FACETS_MAX;
		facet_sort(&g->f[i]);
		order(&g->f[i], a->order);
		put_terms(w, a, &g->f[i]);
		return !g->f[i].failed;
	}
	answer_put(w, "{\"buckets\":[");
	if (g->h[i].lost > 0 || !put_steps(w, a, &g->h[i])) {
		answer_error(t->call, 400, "too_many_buckets_exception",
		    "the interval makes more than 65,536 buckets");
		return false;
	}
	answer_put(w, "]}");
	return !g->h[i].failed;
}

bool
answer_aggs(struct task *t, struct wr *w)
{
	struct dsl_request *r = &t->req;
	struct aggs *g = calloc(1, sizeof *g);
	bool ok = true;

	if (g == NULL) {
		answer_error(t->call, 503, "unavailable", "out of memory");
		return false;
	}
	if (!task_begin(t, SORT_NEWEST)) {
		free(g);
		return false;
	}
	t->search.counting = true;
	for (int i = 0; i < r->naggs; i++) {
		snprintf(g->f[i].path, sizeof g->f[i].path, "%s",
		    strcmp(r->aggs[i].field, "_index") == 0 ? "topic" :
		    r->aggs[i].field);
		if (r->aggs[i].by_time)
			hist_open(&g->h[i]);
	}
	count(t, g);
	task_finish(t);
	answer_put(w, ",\"aggregations\":{");
	for (int i = 0; i < r->naggs; i++) {
		answer_put(w, i > 0 ? "," : "");
		ok = ok && put_one(t, w, i, g);
		facet_free(&g->f[i]);
		hist_free(&g->h[i]);
	}
	free(g);
	answer_put(w, "}");
	if (!ok && t->call->status == 200)
		answer_error(t->call, 503, "unavailable", "out of memory");
	return ok;
}
