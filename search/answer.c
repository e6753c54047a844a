/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of chronik-search serve. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer_in.h"
#include "lib/limits.h"
#include "out.h"
#include "token.h"

enum { HITS_MAX_BYTES = 256 * MIB, ERROR_PARTS = 8 };

void
answer_put(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

void
answer_putf(struct wr *w, const char *fmt, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	answer_put(w, buf);
}

/* ---- errors ------------------------------------------------------------ */

static void
put_reason(struct wr *w, const char *type, const char *why)
{
	answer_putf(w, "\"type\":\"%s\",\"reason\":", type);
	out_json_any(w, why, strlen(why));
}

void
answer_error(struct serve_call *c, int status, const char *type,
    const char *why)
{
	struct wr *w = &c->out;

	w->len = 0;
	w->bad = false;
	c->status = status;
	c->type = "application/json";
	answer_put(w, "{\"error\":{\"root_cause\":[{");
	put_reason(w, type, why);
	answer_put(w, "}],");
	put_reason(w, type, why);
	answer_putf(w, "},\"status\":%d}\n", status);
}

/* What a request says wrong, or that there is no memory for it. */
static void
answer_refuse(struct task *t, enum err e, const char *type)
{
	if (e == E_USAGE)
		answer_error(t->call, 400, type, t->parse.why);
	else
		answer_error(t->call, 400, "illegal_argument_exception",
		    "the request takes too much memory");
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
read_params(struct task *t)
{
	for (int i = 0; i < t->call->nparams; i++) {
		enum err e = dsl_param(t->call->params[i].name,
		    t->call->params[i].value, &t->parse, &t->req);

		if (e != E_OK) {
			answer_refuse(t, e, "illegal_argument_exception");
			return false;
		}
	}
	return true;
}

static bool
read_body(struct task *t)
{
	struct serve_call *c = t->call;
	json_t *body = NULL;
	json_error_t bad;
	char why[sizeof bad.text + 64];
	enum err e;

	if (c->body_len > 0 && (body = json_loadb(c->body, c->body_len, 0,
	    &bad)) == NULL) {
		snprintf(why, sizeof why, "line %d, column %d: %s", bad.line,
		    bad.column, bad.text);
		answer_error(c, 400, "parsing_exception", why);
		return false;
	}
	e = dsl_read(body, &t->parse, &t->req);
	json_decref(body);
	if (e != E_OK)
		answer_refuse(t, e, "parsing_exception");
	return e == E_OK;
}

/* A count has a query, and nothing else. */
static bool
only_query(struct task *t)
{
	const struct dsl_request *r = &t->req;

	if (r->naggs == 0 && !r->highlight && r->sort == DSL_DEFAULT &&
	    !r->no_source && r->include.n + r->exclude.n == 0)
		return true;
	answer_error(t->call, 400, "parsing_exception",
	    "a count has a [query] alone");
	return false;
}

/* False: the answer is an error already. */
static bool
task_open(struct task *t, struct serve_call *c)
{
	enum err e;

	*t = (struct task){ .call = c, .began_ms = elink_now_ms(),
	    .failures = wr_grow(MIB) };
	arena_init(&t->arena, 64 * MIB);
	doc_init(&t->doc);
	dsl_init(&t->req);
	t->parse = (struct query_parse){ .arena = &t->arena,
	    .now_ms = elink_wall_ms() };
	if (!read_body(t) || !read_params(t))
		return false;
	e = dsl_finish(&t->parse, &t->req);
	if (e != E_OK) {
		answer_refuse(t, e, "parsing_exception");
		return false;
	}
	if (plan_refusal(t->req.query) != NULL) {
		answer_error(c, 400, "illegal_argument_exception",
		    plan_refusal(t->req.query));
		return false;
	}
	if (!topics_split(t)) {
		answer_error(c, 400, "illegal_argument_exception",
		    "a path names at most 64 topics");
		return false;
	}
	return true;
}

static void
task_close(struct task *t)
{
	query_parse_free(&t->parse);
	doc_free(&t->doc);
	wr_free(&t->failures);
	arena_reset(&t->arena);
}

/* ---- one search -------------------------------------------------------- */

/* Leaves the topics out that are not there, or not indexed. */
static bool
leave_out(struct task *t, const char *why)
{
	size_t n = strcspn(why, ":");

	for (int i = 0; i < t->ntopics; i++)
		if (strlen(t->topics[i]) == n &&
		    strncmp(t->topics[i], why, n) == 0) {
			t->topics[i] = t->topics[--t->ntopics];
			t->none = t->ntopics == 0;
			return true;
		}
	return false;
}

bool
task_begin(struct task *t, enum sort sort)
{
	struct search *s = &t->search;
	enum err e;

	do {
		*s = (struct search){ .src = t->call->src,
		    .dir = t->call->dir, .query = t->req.query,
		    .sort = sort, .topics = t->topics,
		    .ntopics = t->ntopics,
		    .deadline_ms = t->began_ms + t->req.timeout_ms };
		if (t->none)
			return true;
		e = search_open(s);
		if (e == E_OK)
			return true;
		search_close(s);
	} while (t->req.ignore_missing && (e == E_NOTFOUND || e == E_USAGE) &&
	    leave_out(t, s->why));
	if (e == E_NOTFOUND)
		answer_error(t->call, 404, "index_not_found_exception",
		    s->why);
	else if (e == E_USAGE)
		answer_error(t->call, 400, "illegal_argument_exception",
		    s->why);
	else
		answer_error(t->call, 503, "unavailable", err_text(e));
	return false;
}

/* What was not searched, once for each partition. */
void
task_finish(struct task *t)
{
	struct search *s = &t->search;
	bool first = t->failed == 0;

	t->timed_out |= s->timed_out;
	t->incomplete |= search_incomplete(s);
	if (s->nwalks > t->shards)
		t->shards = s->nwalks;
	for (int i = 0; i < s->nwalks && first; i++) {
		const struct walk *w = &s->walks[i];

		if (w->trouble == NULL)
			continue;
		answer_putf(&t->failures, "%s{\"shard\":%d,\"index\":\"%s\","
		    "\"reason\":{", t->failed++ > 0 ? "," : "", w->part,
		    w->topic);
		put_reason(&t->failures, "incomplete", w->trouble);
		answer_put(&t->failures, "}}");
	}
	search_close(s);
}

/* ---- hits -------------------------------------------------------------- */

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

	if (!task_begin(t, SORT_RELEVANCE))
		return false;
	e = search_rank(&t->search, want, &v, &n);
	if (e == E_OK)
		for (int i = (int)t->req.from; i < n; i++) {
			answer_put(w, i > (int)t->req.from ? "," : "");
			answer_hit(t, w, &v[i], true);
		}
	*best = n > 0 ? v[0].score : 0;
	if (v != NULL)
		hits_free(v, n);
	if (e == E_USAGE)
		t->search.why[0] = '\0';
	task_finish(t);
	if (e != E_OK && e != E_USAGE)
		answer_error(t->call, 503, "unavailable", err_text(e));
	return e == E_OK;
}

static bool
put_sorted(struct task *t, struct wr *w, int64_t *shown)
{
	struct hit *h;
	int64_t n = 0;

	if (!task_begin(t, t->req.sort == DSL_OLDEST ? SORT_OLDEST :
	    SORT_NEWEST))
		return false;
	while (n < t->req.from + t->req.size && !w->bad &&
	    search_next(&t->search, &h) == E_OK)
		if (n++ >= t->req.from) {
			answer_put(w, n > t->req.from + 1 ? "," : "");
			answer_hit(t, w, h, false);
		}
	*shown = n;
	task_finish(t);
	return true;
}

static bool
count_all(struct task *t, int64_t *n)
{
	if (!task_begin(t, SORT_NEWEST))
		return false;
	if (search_count(&t->search, false, n) != E_OK)
		t->incomplete = true;
	task_finish(t);
	return true;
}

/* ---- the answers ------------------------------------------------------- */

static void
put_shards(struct task *t, struct wr *w)
{
	int failed = t->incomplete && t->failed == 0 && t->shards > 0 ? 1 :
	    t->failed;

	answer_putf(w, "\"_shards\":{\"total\":%d,\"successful\":%d,"
	    "\"skipped\":0,\"failed\":%d", t->shards, t->shards - failed,
	    failed);
	if (t->failed > 0) {
		answer_put(w, ",\"failures\":[");
		wr_bytes(w, t->failures.p, t->failures.len);
		answer_put(w, "]");
	}
	answer_put(w, "}");
	w->bad |= t->failures.bad;
}

static void
put_total(struct task *t, struct wr *w, int64_t total)
{
	if (t->req.total_as_int)
		answer_putf(w, "\"total\":%lld,", t->req.track_total ?
		    (long long)total : -1LL);
	else if (t->req.track_total)
		answer_putf(w, "\"total\":{\"value\":%lld,\"relation\":"
		    "\"%s\"},", (long long)total, t->incomplete ? "gte" :
		    "eq");
}

/* best: NULL when scores do not matter. */
static void
put_answer(struct task *t, const struct wr *hits, const struct wr *aggs,
    int64_t total, const double *best)
{
	struct wr *w = &t->call->out;

	answer_putf(w, "{\"took\":%lld,\"timed_out\":%s,",
	    (long long)(elink_now_ms() - t->began_ms), t->timed_out ? "true" :
	    "false");
	put_shards(t, w);
	answer_put(w, ",\"hits\":{");
	put_total(t, w, total);
	if (best != NULL && hits->len > 0)
		answer_putf(w, "\"max_score\":%.6g,\"hits\":[", *best);
	else
		answer_put(w, "\"max_score\":null,\"hits\":[");
	wr_bytes(w, hits->p, hits->len);
	answer_put(w, "]}");
	wr_bytes(w, aggs->p, aggs->len);
	answer_put(w, "}\n");
	w->bad |= hits->bad || aggs->bad;
}

/* As people read it. */
static void
make_pretty(struct serve_call *c)
{
	json_t *v = json_loadb((const char *)c->out.p, c->out.len, 0, NULL);
	char *text = v == NULL ? NULL : json_dumps(v, JSON_INDENT(2) |
	    JSON_PRESERVE_ORDER);

	json_decref(v);
	if (text == NULL)
		return;
	c->out.len = 0;
	answer_put(&c->out, text);
	answer_put(&c->out, "\n");
	free(text);
}

static void
search(struct task *t)
{
	struct wr hits = wr_grow(HITS_MAX_BYTES), aggs = wr_grow(64 * MIB);
	const struct dsl_request *r = &t->req;
	const struct serve_call *c = t->call;
	bool ranked = false;
	int64_t total = 0, shown = 0;
	double best = 1;

	if (r->size > 0 && (r->sort == DSL_SCORE || (r->sort == DSL_DEFAULT &&
	    has_words(r->query))))
		ranked = put_ranked(t, &hits, &best);
	if (!ranked && c->status == 200 && r->size > 0) {
		hits.len = 0;
		put_sorted(t, &hits, &shown);
	}
	/* Where the hits ended before size did there are no more. */
	if (c->status == 200 && r->track_total && !ranked && r->size > 0 &&
	    shown < r->from + r->size)
		total = shown;
	else if (c->status == 200 && r->track_total)
		count_all(t, &total);
	if (c->status == 200 && r->naggs > 0)
		answer_aggs(t, &aggs);
	if (c->status == 200)
		put_answer(t, &hits, &aggs, total, ranked ||
		    r->sort == DSL_DEFAULT ? &best : NULL);
	wr_free(&hits);
	wr_free(&aggs);
}

void
answer_search(struct serve_call *c)
{
	struct task t;

	if (task_open(&t, c))
		search(&t);
	if (t.req.pretty)
		make_pretty(c);
	task_close(&t);
}

void
answer_count(struct serve_call *c)
{
	struct task t;
	int64_t n = 0;

	if (task_open(&t, c) && only_query(&t) && count_all(&t, &n)) {
		answer_putf(&c->out, "{\"count\":%lld,", (long long)n);
		put_shards(&t, &c->out);
		answer_put(&c->out, "}\n");
	}
	if (t.req.pretty)
		make_pretty(c);
	task_close(&t);
}

void
answer_topic(struct serve_call *c)
{
	struct task t;

	if (task_open(&t, c) && task_begin(&t, SORT_NEWEST)) {
		task_finish(&t);
		answer_put(&c->out, "{}\n");
	}
	task_close(&t);
}

static void
put_index(struct task *t, const struct view_res_topic *v, bool first)
{
	struct serve_call *c = t->call;
	char dir[SHARD_PATH];
	int64_t docs = 0, bytes;
	bool well = true;

	for (int j = 0; j < v->parts.n; j++) {
		docs += v->parts.v[j].high_watermark - v->parts.v[j].start;
		well &= v->parts.v[j].error == E_OK;
	}
	shard_dir(dir, c->dir, &v->id, -1);
	bytes = tree_bytes(dir);
	answer_putf(&c->out, t->req.json ? "%s{\"health\":\"%s\","
	    "\"status\":\"open\",\"index\":\"%.*s\",\"pri\":\"%d\","
	    "\"rep\":\"0\",\"docs.count\":\"%lld\","
	    "\"store.size\":\"%lld\"}" : "%s%s open %.*s %d 0 %lld %lld\n",
	    t->req.json && !first ? "," : "", well ? "green" : "red",
	    (int)v->name.len, v->name.p, v->parts.n, (long long)docs,
	    (long long)bytes);
}

void
answer_indices(struct serve_call *c)
{
	const struct view_res *v;
	struct task t;
	enum err e;

	if (!task_open(&t, c)) {
		task_close(&t);
		return;
	}
	e = src_view(c->src, -1, 0, false, &v);
	if (e != E_OK)
		answer_error(c, 503, "unavailable", err_text(e));
	else {
		answer_put(&c->out, t.req.json ? "[" : t.req.head ?
		    "health status index pri rep docs.count store.size\n" :
		    "");
		for (int i = 0; i < v->topics.n; i++)
			put_index(&t, &v->topics.v[i], i == 0);
		answer_put(&c->out, t.req.json ? "]\n" : "");
		if (!t.req.json)
			c->type = "text/plain; charset=UTF-8";
	}
	task_close(&t);
}

void
answer_health(struct serve_call *c)
{
	const struct view_res *v;
	enum err e = src_view(c->src, -1, 0, false, &v);

	if (e != E_OK)
		answer_error(c, 503, "unavailable", err_text(e));
	else
		answer_putf(&c->out, "{\"status\":\"green\","
		    "\"topics\":%d}\n", v->topics.n);
}

void
answer_root(struct serve_call *c)
{
	answer_put(&c->out, "{\"name\":\"chronik\",\"cluster_name\":"
	    "\"chronik\",\"cluster_uuid\":\"_na_\",\"version\":{"
	    "\"number\":\"8.0.0\",\"build_flavor\":\"chronik\","
	    "\"minimum_wire_compatibility_version\":\"7.17.0\","
	    "\"minimum_index_compatibility_version\":\"7.0.0\"},"
	    "\"tagline\":\"You Know, for Search\"}\n");
}
