/* SPDX-License-Identifier: Apache-2.0 */
/* One hit as Elasticsearch shows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer_in.h"
#include "lib/limits.h"
#include "match.h"
#include "out.h"

enum { SPANS_MAX = 64, MARKED_MAX = 4 * MIB };

/* ---- _source ----------------------------------------------------------- */

/* Takes away what was not asked for; whether anything is left. */
static bool
prune(const struct dsl_request *r, json_t *v, char *path, size_t len)
{
	const char *name;
	json_t *one;
	void *tmp;

	json_object_foreach_safe(v, tmp, name, one) {
		int n = snprintf(path + len, DOC_PATH_MAX + 1 - len, "%s%s",
		    len > 0 ? "." : "", name);
		bool fits = n > 0 && (size_t)n <= DOC_PATH_MAX - len;
		bool keep = fits && !dsl_named(&r->exclude, path);

		/* An object that is named is kept but for what is not. */
		if (keep && json_is_object(one) && (r->exclude.n > 0 ||
		    !dsl_named(&r->include, path)))
			keep = prune(r, one, path, len + (size_t)n);
		else if (keep && r->include.n > 0)
			keep = dsl_named(&r->include, path);
		if (!keep)
			json_object_del(v, name);
		path[len] = '\0';
	}
	return json_object_size(v) > 0;
}

static bool
put_pruned(struct task *t, struct wr *w, const struct record *r)
{
	char path[DOC_PATH_MAX + 1] = "", *text;
	json_t *v = json_loadb((const char *)r->value, (size_t)r->value_len,
	    0, NULL);

	if (v == NULL)
		return false;
	(void)prune(&t->req, v, path, 0);
	text = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	if (text != NULL)
		answer_put(w, text);
	free(text);
	return text != NULL;
}

/* A value that is no object becomes one. */
static void
put_message(struct task *t, struct wr *w, const struct record *r)
{
	if (dsl_named(&t->req.exclude, "message") || (t->req.include.n > 0 &&
	    !dsl_named(&t->req.include, "message"))) {
		answer_put(w, "{}");
		return;
	}
	answer_put(w, "{\"message\":");
	if (r->value_len < 0)
		answer_put(w, "null");
	else
		out_json_any(w, (const char *)r->value,
		    (size_t)r->value_len);
	answer_put(w, "}");
}

static void
put_source(struct task *t, struct wr *w, const struct record *r)
{
	size_t at = 0, n = r->value_len < 0 ? 0 : (size_t)r->value_len;

	while (at < n && r->value[at] <= ' ')
		at++;
	if (!t->doc.json || r->value[at] != '{') {
		put_message(t, w, r);
		return;
	}
	if (t->req.include.n + t->req.exclude.n > 0 && put_pruned(t, w, r))
		return;
	for (; at < n; at++)
		wr_i8(w, r->value[at] == '\n' || r->value[at] == '\r' ? ' ' :
		    (int8_t)r->value[at]);
}

/* ---- highlight --------------------------------------------------------- */

static void
put_marked(const struct task *t, struct wr *w, const struct doc_text *x,
    const struct match_span *v, int n)
{
	const char *s = x->len == x->raw_len ? x->raw : x->text;
	struct wr one = wr_grow(MARKED_MAX);
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		wr_bytes(&one, s + at, v[i].from - at);
		answer_put(&one, t->req.pre);
		wr_bytes(&one, s + v[i].from, v[i].to - v[i].from);
		answer_put(&one, t->req.post);
		at = v[i].to;
	}
	wr_bytes(&one, s + at, x->len - at);
	if (one.bad)
		w->bad = true;
	else
		out_json_any(w, (const char *)one.p, one.len);
	wr_free(&one);
}

/* NULL: it is of a header. */
static const char *
text_name(const struct doc *d, const struct doc_text *x, int i)
{
	if (x->path != NULL)
		return x->path;
	if (x == &d->key)
		return "key";
	return i < d->ntexts ? "message" : NULL;
}

/* All texts of a name from the i-th on, which is the first that matches. */
static void
put_fragments(struct task *t, struct wr *w, const struct match *m, int i,
    const char *name)
{
	struct match_span v[SPANS_MAX];
	const struct doc_text *x;
	bool first = true;

	for (; (x = doc_words(&t->doc, i)) != NULL; i++) {
		const char *other = text_name(&t->doc, x, i);
		int n = other == NULL || strcmp(other, name) != 0 ? 0 :
		    match_spans(m, x, v, SPANS_MAX);

		if (n == 0)
			continue;
		answer_put(w, first ? "" : ",");
		first = false;
		put_marked(t, w, x, v, n);
	}
}

static void
put_highlight(struct task *t, struct wr *w, const struct match *m)
{
	const char *done[SPANS_MAX];
	struct match_span v[1];
	const struct doc_text *x;
	int ndone = 0;

	answer_put(w, ",\"highlight\":{");
	for (int i = 0; (x = doc_words(&t->doc, i)) != NULL &&
	    ndone < SPANS_MAX; i++) {
		const char *name = text_name(&t->doc, x, i);
		bool skip = name == NULL || (t->req.marked.n > 0 &&
		    !dsl_named(&t->req.marked, name));

		for (int j = 0; j < ndone && !skip; j++)
			skip = strcmp(done[j], name) == 0;
		if (skip || match_spans(m, x, v, 1) == 0)
			continue;
		answer_put(w, ndone == 0 ? "" : ",");
		done[ndone++] = name;
		out_json_text(w, name, strlen(name));
		answer_put(w, ":[");
		put_fragments(t, w, m, i, name);
		answer_put(w, "]");
	}
	answer_put(w, "}");
}

/* ---- the hit ----------------------------------------------------------- */

/* What can be told of any record beside its value. */
static void
put_fields(struct wr *w, const struct hit *h)
{
	answer_putf(w, ",\"fields\":{\"partition\":[%d],\"offset\":[%lld],"
	    "\"@timestamp\":[%lld]", h->walk->part, (long long)h->r.offset,
	    (long long)h->r.ts);
	if (h->r.key_len >= 0) {
		answer_put(w, ",\"key\":[");
		out_json_any(w, (const char *)h->r.key, (size_t)h->r.key_len);
		answer_put(w, "]");
	}
	answer_put(w, "}");
}

static void
put_sort(const struct task *t, struct wr *w, const struct hit *h)
{
	const char *s = t->req.sort_values;

	answer_put(w, ",\"sort\":[");
	for (; *s != '\0'; s++) {
		if (*s == 's')
			answer_putf(w, "%.6g", h->score);
		else
			answer_putf(w, "%lld", *s == 'd' ?
			    (long long)h->r.offset : (long long)h->r.ts);
		answer_put(w, s[1] == '\0' ? "" : ",");
	}
	answer_put(w, "]");
}

void
answer_hit(struct task *t, struct wr *w, const struct hit *h, bool ranked)
{
	struct match m = { t->req.query, h->walk->topic, h->walk->part,
	    h->conf, false };
	const char *topic = h->walk->topic;

	if (doc_read(&t->doc, &h->r) != E_OK) {
		t->doc.ntexts = t->doc.nheaders = 0;
		t->doc.json = false;
	}
	answer_put(w, "{\"_index\":");
	out_json_text(w, topic, strlen(topic));
	answer_putf(w, ",\"_id\":\"%.255s-%d-%lld\",\"_score\":", topic,
	    h->walk->part, (long long)h->r.offset);
	/* Where nothing ranks them all are as good. */
	if (ranked)
		answer_putf(w, "%.6g", h->score);
	else
		answer_put(w, t->req.sort == DSL_DEFAULT ? "1.0" : "null");
	if (!t->req.no_source) {
		answer_put(w, ",\"_source\":");
		put_source(t, w, &h->r);
	}
	put_fields(w, h);
	if (t->req.sort_values[0] != '\0')
		put_sort(t, w, h);
	if (t->req.highlight)
		put_highlight(t, w, &m);
	answer_put(w, "}");
}
