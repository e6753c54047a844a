/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of chronik-search serve. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "dsl.h"
#include "facet.h"
#include "lib/limits.h"
#include "match.h"
#include "serve.h"

enum {
	TIMEOUT_MS	= 30000,
	SPANS_MAX	= 64,
	NAMED_MAX	= 64,		/* topics in a path */
};

/* One request at work. */
struct task {
	struct serve_call *call;
	struct arena	 arena;
	struct query_parse parse;
	struct dsl_request req;
	const char	*topics[NAMED_MAX];
	int		 ntopics;
	struct search	 search;
	struct doc	 doc;
	int64_t		 began_ms;
	bool		 incomplete;
};

static void
put(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

__attribute__((format(printf, 2, 3)))
static void
putf(struct wr *w, const char *fmt, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	put(w, buf);
}

void
answer_error(struct serve_call *c, int status, const char *type,
    const char *why)
{
	c->out.len = 0;
	c->out.bad = false;
	c->status = status;
	putf(&c->out, "{\"error\":{\"type\":\"%s\",\"reason\":", type);
	out_json_text(&c->out, why, strlen(why));
	putf(&c->out, "},\"status\":%d}\n", status);
}

/* ---- reading a request ------------------------------------------------- */

static bool
topics_split(struct task *t)
{
	const char *s = t->call->topics;

	if (s == NULL || strcmp(s, "*") == 0 || strcmp(s, "_all") == 0)
		return true;
	for (;;) {
		size_t n = strcspn(s, ",");

		if (t->ntopics == NAMED_MAX)
			return false;
		t->topics[t->ntopics] = arena_strndup(&t->arena, s, n);
		if (t->topics[t->ntopics++] == NULL)
			return false;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

static bool
url_number(const char *s, int64_t *out)
{
	return s == NULL || (conf_parse_int(kstr_of(s), out) && *out >= 0 &&
	    *out <= SEARCH_HITS_MAX);
}

/* False: the answer is an error already. */
static bool
task_open(struct task *t, struct serve_call *c)
{
	struct query *q;
	struct timespec ts;
	json_error_t bad;
	json_t *body = NULL;
	enum err e;

	*t = (struct task){ .call = c, .began_ms = elink_now_ms() };
	clock_gettime(CLOCK_REALTIME, &ts);
	arena_init(&t->arena, 64 * MIB);
	doc_init(&t->doc);
	t->parse = (struct query_parse){ .arena = &t->arena,
	    .now_ms = ts.tv_sec * (int64_t)1000 + ts.tv_nsec / 1000000 };
	if (c->body_len > 0 && (body = json_loadb(c->body, c->body_len, 0,
	    &bad)) == NULL) {
		answer_error(c, 400, "parsing_exception", bad.text);
		return false;
	}
	e = dsl_read(body, &t->parse, &t->req);
	json_decref(body);
	if (e == E_OK && c->q != NULL) {
		e = query_parse(&t->parse, c->q, strlen(c->q), &q);
		t->req.query = q;
	}
	if (e == E_OK && (!url_number(c->size, &t->req.size) ||
	    !url_number(c->from, &t->req.from))) {
		answer_error(c, 400, "illegal_argument_exception",
		    "size and from are numbers up to 100000");
		return false;
	}
	if (e == E_OK && plan_refusal(t->req.query) != NULL) {
		answer_error(c, 400, "illegal_argument_exception",
		    plan_refusal(t->req.query));
		return false;
	}
	if (e != E_OK || !topics_split(t)) {
		answer_error(c, 400, "parsing_exception", e == E_USAGE ?
		    t->parse.why : "the request is too large");
		return false;
	}
	return true;
}

static void
task_close(struct task *t)
{
	query_parse_free(&t->parse);
	doc_free(&t->doc);
	arena_reset(&t->arena);
}

static bool
begin(struct task *t, enum sort sort)
{
	struct search *s = &t->search;
	enum err e;

	*s = (struct search){ .src = t->call->src, .dir = t->call->dir,
	    .query = t->req.query, .sort = sort, .topics = t->topics,
	    .ntopics = t->ntopics, .deadline_ms = t->began_ms + TIMEOUT_MS };
	e = search_open(s);
	if (e == E_OK)
		return true;
	if (e == E_NOTFOUND)
		answer_error(t->call, 404, "index_not_found_exception",
		    s->why);
	else if (e == E_USAGE)
		answer_error(t->call, 400, "illegal_argument_exception",
		    s->why);
	else
		answer_error(t->call, 503, "unavailable", err_text(e));
	search_close(s);
	return false;
}

static void
finish(struct task *t)
{
	t->incomplete |= search_incomplete(&t->search);
	search_close(&t->search);
}

/* ---- hits -------------------------------------------------------------- */

static void
put_text(struct wr *w, const char *s, size_t n)
{
	if (out_is_text(s, n))
		out_json_text(w, s, n);
	else
		out_json_text(w, "(bytes)", 7);
}

/* The members that were asked for, by their paths. */
static void
put_some(struct task *t, struct wr *w)
{
	bool first = true;

	put(w, "{");
	for (int i = 0; i < t->req.nfields; i++)
		for (int j = 0; j < t->doc.ntexts; j++) {
			const struct doc_text *x = &t->doc.texts[j];

			if (x->path == NULL ||
			    strcmp(x->path, t->req.fields[i]) != 0)
				continue;
			put(w, first ? "" : ",");
			first = false;
			out_json_text(w, x->path, strlen(x->path));
			put(w, ":");
			if (x->is_str)
				put_text(w, x->raw, x->raw_len);
			else
				wr_bytes(w, x->raw, x->raw_len);
			break;
		}
	put(w, "}");
}

/* A value that is no object becomes one. */
static void
put_source(struct task *t, struct wr *w, const struct record *r)
{
	size_t at = 0, n = r->value_len < 0 ? 0 : (size_t)r->value_len;

	if (t->req.source == DSL_SOME) {
		put_some(t, w);
		return;
	}
	while (at < n && r->value[at] <= ' ')
		at++;
	if (t->doc.json && r->value[at] == '{') {
		for (; at < n; at++)
			wr_i8(w, r->value[at] == '\n' || r->value[at] == '\r'
			    ? ' ' : (int8_t)r->value[at]);
		return;
	}
	put(w, "{\"message\":");
	if (r->value_len < 0)
		put(w, "null");
	else
		put_text(w, (const char *)r->value, n);
	put(w, "}");
}

static void
put_marked(struct wr *w, const struct doc_text *x,
    const struct match_span *v, int n)
{
	const char *s = x->len == x->raw_len ? x->raw : x->text;
	struct wr one = wr_grow(4 * MIB);
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		wr_bytes(&one, s + at, v[i].from - at);
		put(&one, "<em>");
		wr_bytes(&one, s + v[i].from, v[i].to - v[i].from);
		put(&one, "</em>");
		at = v[i].to;
	}
	wr_bytes(&one, s + at, x->len - at);
	if (one.bad)
		w->bad = true;
	else
		put_text(w, (const char *)one.p, one.len);
	wr_free(&one);
}

static void
put_highlight(struct task *t, struct wr *w, const struct match *m)
{
	struct match_span v[SPANS_MAX];
	const struct doc_text *x;
	bool first = true;

	put(w, ",\"highlight\":{");
	for (int i = 0; (x = doc_words(&t->doc, i)) != NULL; i++) {
		int n = match_spans(m, x, v, SPANS_MAX);
		const char *path = x->path != NULL ? x->path :
		    x == &t->doc.key ? "key" : "message";
		bool again = false;

		/* One entry for each name. */
		for (int j = 0; j < i && x->path != NULL; j++)
			again |= t->doc.texts[j].path != NULL &&
			    strcmp(t->doc.texts[j].path, path) == 0;
		if (n == 0 || again || (x->path == NULL &&
		    i >= t->doc.ntexts + (t->doc.key.raw != NULL)))
			continue;
		put(w, first ? "" : ",");
		first = false;
		out_json_text(w, path, strlen(path));
		put(w, ":[");
		put_marked(w, x, v, n);
		put(w, "]");
	}
	put(w, "}");
}

static void
put_hit(struct task *t, struct wr *w, const struct hit *h, bool scored)
{
	struct match m = { t->req.query, h->walk->topic, h->walk->part,
	    h->conf, false };
	const char *topic = h->walk->topic;

	if (doc_read(&t->doc, &h->r) != E_OK) {
		t->doc.ntexts = t->doc.nheaders = 0;
		t->doc.json = false;
	}
	put(w, "{\"_index\":");
	out_json_text(w, topic, strlen(topic));
	putf(w, ",\"_id\":\"%.255s-%d-%lld\",\"_score\":", topic,
	    h->walk->part, (long long)h->r.offset);
	if (scored)
		putf(w, "%.6g", h->score);
	else
		put(w, "null");
	if (t->req.source != DSL_NONE) {
		put(w, ",\"_source\":");
		put_source(t, w, &h->r);
	}
	putf(w, ",\"fields\":{\"partition\":[%d],\"offset\":[%lld],"
	    "\"@timestamp\":[%lld]", h->walk->part, (long long)h->r.offset,
	    (long long)h->r.ts);
	if (h->r.key_len >= 0) {
		put(w, ",\"key\":[");
		put_text(w, (const char *)h->r.key, (size_t)h->r.key_len);
		put(w, "]");
	}
	put(w, "}");
	if (!scored)
		putf(w, ",\"sort\":[%lld]", (long long)h->r.ts);
	if (t->req.highlight)
		put_highlight(t, w, &m);
	put(w, "}");
}

/* ---- a search ---------------------------------------------------------- */

static bool
has_words(const struct query *q)
{
	bool found = q->op == Q_WORD || q->op == Q_PHRASE ||
	    (q->op == Q_FIELD && q->by_words);

	for (int i = 0; i < q->nkids && q->op != Q_NOT && !found; i++)
		found = has_words(q->kids[i]);
	return found;
}

/* False: there is nothing to rank by, or an error. */
static bool
put_ranked(struct task *t, struct wr *w, double *best)
{
	int want = (int)(t->req.from + t->req.size), n = 0;
	struct hit *v = NULL;
	enum err e;

	if (!begin(t, SORT_RELEVANCE))
		return false;
	e = search_rank(&t->search, want, &v, &n);
	if (e == E_OK)
		for (int i = (int)t->req.from; i < n; i++) {
			put(w, i > (int)t->req.from ? "," : "");
			put_hit(t, w, &v[i], true);
		}
	*best = n > 0 ? v[0].score : 0;
	if (v != NULL)
		hits_free(v, n);
	if (e == E_USAGE)
		t->search.why[0] = '\0';
	else if (e != E_OK)
		t->incomplete = true;
	finish(t);
	return e == E_OK;
}

static bool
put_sorted(struct task *t, struct wr *w)
{
	struct hit *h;
	int64_t n = 0;

	if (!begin(t, t->req.sort == DSL_OLDEST ? SORT_OLDEST : SORT_NEWEST))
		return false;
	while (n < t->req.from + t->req.size &&
	    search_next(&t->search, &h) == E_OK)
		if (n++ >= t->req.from) {
			put(w, n > t->req.from + 1 ? "," : "");
			put_hit(t, w, h, false);
		}
	finish(t);
	return true;
}

static bool
count_all(struct task *t, int64_t *n)
{
	if (!begin(t, SORT_NEWEST))
		return false;
	if (search_count(&t->search, false, n) != E_OK)
		t->incomplete = true;
	finish(t);
	return true;
}

/* ---- aggregations ------------------------------------------------------ */

static void
put_agg(struct wr *w, const struct dsl_agg *a, const struct facet *f,
    const struct hist *h)
{
	char when[32];

	out_json_text(w, a->name, strlen(a->name));
	if (a->by_time) {
		put(w, ":{\"buckets\":[");
		for (int i = h->n - 1; i >= 0; i--) {
			out_time(when, h->start[i]);
			putf(w, "%s{\"key_as_string\":\"%s\",\"key\":%lld,"
			    "\"doc_count\":%lld}", i < h->n - 1 ? "," : "",
			    when, (long long)h->start[i],
			    (long long)h->count[i]);
		}
		put(w, "]}");
		return;
	}
	putf(w, ":{\"doc_count_error_upper_bound\":0,"
	    "\"sum_other_doc_count\":%lld,\"buckets\":[", (long long)f->rest);
	for (int i = 0; i < f->nv; i++) {
		put(w, i > 0 ? ",{\"key\":" : "{\"key\":");
		put_text(w, f->v[i]->text, strlen(f->v[i]->text));
		putf(w, ",\"doc_count\":%lld}", (long long)f->v[i]->count);
	}
	put(w, "]}");
}

static bool
put_aggs(struct task *t, struct wr *w)
{
	struct facet f[DSL_AGGS_MAX] = { 0 };
	struct hist h[DSL_AGGS_MAX] = { 0 };
	struct dsl_request *r = &t->req;
	struct hit *hit;

	if (!begin(t, SORT_NEWEST))
		return false;
	for (int i = 0; i < r->naggs; i++) {
		snprintf(f[i].path, sizeof f[i].path, "%s", r->aggs[i].field);
		if (strcmp(f[i].path, "_index") == 0)
			strcpy(f[i].path, "topic");
		f[i].shown = r->aggs[i].size;
		hist_open(&h[i]);
	}
	while (search_next(&t->search, &hit) == E_OK) {
		if (doc_read(&t->doc, &hit->r) != E_OK)
			continue;
		for (int i = 0; i < r->naggs; i++)
			if (r->aggs[i].by_time)
				hist_hit(&h[i], r->aggs[i].interval_ms,
				    hit->r.ts);
			else
				facet_hit(&f[i], &t->doc, hit);
	}
	finish(t);
	put(w, ",\"aggregations\":{");
	for (int i = 0; i < r->naggs; i++) {
		facet_sort(&f[i]);
		put(w, i > 0 ? "," : "");
		put_agg(w, &r->aggs[i], &f[i], &h[i]);
		facet_free(&f[i]);
		hist_free(&h[i]);
	}
	put(w, "}");
	return true;
}

/* ---- the answers ------------------------------------------------------- */

static void
answer_put(struct task *t, const struct wr *hits, const struct wr *aggs,
    int64_t total, bool ranked, double best)
{
	struct wr *w = &t->call->out;

	putf(w, "{\"took\":%lld,\"timed_out\":%s,\"_shards\":{\"total\":%d,"
	    "\"successful\":%d,\"skipped\":0,\"failed\":%d},\"hits\":{",
	    (long long)(elink_now_ms() - t->began_ms), t->incomplete ? "true" :
	    "false", 1, !t->incomplete, t->incomplete);
	if (t->req.track_total)
		putf(w, "\"total\":{\"value\":%lld,\"relation\":\"%s\"},",
		    (long long)total, t->incomplete ? "gte" : "eq");
	if (ranked)
		putf(w, "\"max_score\":%.6g,\"hits\":[", best);
	else
		put(w, "\"max_score\":null,\"hits\":[");
	wr_bytes(w, hits->p, hits->len);
	put(w, "]}");
	wr_bytes(w, aggs->p, aggs->len);
	put(w, "}\n");
	w->bad |= hits->bad || aggs->bad;
}

void
answer_search(struct serve_call *c)
{
	struct wr hits = wr_grow(256 * MIB), aggs = wr_grow(64 * MIB);
	struct task t;
	bool ok, ranked = false;
	int64_t total = 0;
	double best = 0;

	ok = task_open(&t, c);
	if (ok && t.req.size + t.req.from > 0 && (t.req.sort == DSL_SCORE ||
	    (t.req.sort == DSL_DEFAULT && has_words(t.req.query))))
		ranked = put_ranked(&t, &hits, &best);
	if (ok && !ranked && c->status == 200 && t.req.size > 0) {
		hits.len = 0;
		ok = put_sorted(&t, &hits);
	}
	if (ok && c->status == 200 && t.req.track_total)
		ok = count_all(&t, &total);
	if (ok && c->status == 200 && t.req.naggs > 0)
		ok = put_aggs(&t, &aggs);
	if (ok && c->status == 200)
		answer_put(&t, &hits, &aggs, total, ranked, best);
	task_close(&t);
	wr_free(&hits);
	wr_free(&aggs);
}

void
answer_count(struct serve_call *c)
{
	struct task t;
	int64_t n = 0;

	if (task_open(&t, c) && count_all(&t, &n))
		putf(&c->out, "{\"count\":%lld,\"_shards\":{\"total\":1,"
		    "\"successful\":%d,\"skipped\":0,\"failed\":%d}}\n",
		    (long long)n, !t.incomplete, t.incomplete);
	task_close(&t);
}

void
answer_indices(struct serve_call *c)
{
	const struct view_res *v;
	char dir[SHARD_PATH];
	enum err e = src_view(c->src, -1, 0, false, &v);

	if (e != E_OK) {
		answer_error(c, 503, "unavailable", err_text(e));
		return;
	}
	put(&c->out, c->json ? "[" : "");
	for (int i = 0; i < v->topics.n; i++) {
		const struct view_res_topic *t = &v->topics.v[i];
		int64_t docs = 0;

		for (int j = 0; j < t->parts.n; j++)
			docs += t->parts.v[j].high_watermark -
			    t->parts.v[j].start;
		shard_dir(dir, c->dir, &t->id, -1);
		putf(&c->out, c->json ? "%s{\"health\":\"green\","
		    "\"status\":\"open\",\"index\":\"%.*s\",\"pri\":\"%d\","
		    "\"docs.count\":\"%lld\",\"store.size\":\"%lld\"}" :
		    "%sgreen open %.*s %d %lld %lld\n", c->json && i > 0 ?
		    "," : "", (int)t->name.len, t->name.p, t->parts.n,
		    (long long)docs, (long long)tree_bytes(dir));
	}
	put(&c->out, c->json ? "]\n" : "");
	if (!c->json)
		c->type = "text/plain";
}

void
answer_health(struct serve_call *c)
{
	const struct view_res *v;
	enum err e = src_view(c->src, -1, 0, false, &v);

	if (e != E_OK)
		answer_error(c, 503, "unavailable", err_text(e));
	else
		putf(&c->out, "{\"status\":\"green\",\"topics\":%d}\n",
		    v->topics.n);
}
