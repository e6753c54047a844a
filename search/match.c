/* SPDX-License-Identifier: Apache-2.0 */
/* Queries against records. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "match.h"
#include "token.h"
#include "xap.h"

enum { STEM_SIZE = 256 };

/* ---- words ------------------------------------------------------------- */

/* The next place from at on where the text has the words of a query; they must
 * begin and end at the edges of words.  NULL: there is none. */
static const char *
find_literal(const struct doc_text *t, const char *at, const struct query *q)
{
	const char *end = t->text + t->len;

	for (; (at = memmem(at, (size_t)(end - at), q->text, q->len)) != NULL;
	    at++)
		if (token_edge(t->text, at, end) && (q->prefix ||
		    token_edge(t->text, at + q->len, end)))
			return at;
	return NULL;
}

/* A word of a query that is one word, and no beginning of one. */
static bool
is_one_word(const struct query *q)
{
	struct tokens ts;
	struct token w;

	tokens_init(&ts, q->text, q->len);
	return !q->prefix && tokens_next(&ts, &w) && w.n == q->len;
}

/* The stem that a word of a query is looked for by; 0: by itself. */
static size_t
stem_of(const struct sconf *c, const struct query *q, char *out)
{
	if (!c->stem || !is_one_word(q) || token_is_stop(q->text, q->len) ||
	    (!c->ids && token_is_id(q->text, q->len)))
		return 0;
	return xap_stem(q->text, q->len, out, STEM_SIZE);
}

static bool
find_stem(const struct doc_text *t, struct tokens *ts, const char *stem,
    size_t n, struct token *w)
{
	char one[STEM_SIZE];

	(void)t;
	while (tokens_next(ts, w))
		if (w->n > 0 && w->p[0] == stem[0] &&
		    !token_is_stop(w->p, w->n) &&
		    xap_stem(w->p, w->n, one, sizeof one) == n &&
		    memcmp(one, stem, n) == 0)
			return true;
	return false;
}

static bool
word_in(const struct match *m, const struct query *q,
    const struct doc_text *t)
{
	char stem[STEM_SIZE];
	struct tokens ts;
	struct token w;
	size_t n;

	if (find_literal(t, t->text, q) != NULL)
		return true;
	n = stem_of(m->conf, q, stem);
	if (n == 0)
		return false;
	tokens_init(&ts, t->text, t->len);
	return find_stem(t, &ts, stem, n, &w);
}

/* Whether the words of the phrase follow each other from w on; *end: where
 * they end. */
static bool
phrase_at(struct tokens ts, struct token w, const struct query *q,
    const char **end)
{
	struct tokens want;
	struct token one;

	tokens_init(&want, q->text, q->len);
	while (tokens_next(&want, &one)) {
		if (one.n != w.n || memcmp(one.p, w.p, w.n) != 0)
			return false;
		*end = w.p + w.n;
		if (!tokens_next(&ts, &w))
			return !tokens_next(&want, &one);
	}
	return true;
}

static bool
find_phrase(struct tokens *ts, const struct query *q, struct token *w,
    const char **end)
{
	while (tokens_next(ts, w))
		if (phrase_at(*ts, *w, q, end))
			return true;
	return false;
}

static bool
phrase_in(const struct query *q, const struct doc_text *t)
{
	struct tokens ts;
	struct token w;
	const char *end;

	tokens_init(&ts, t->text, t->len);
	return find_phrase(&ts, q, &w, &end);
}

/* ---- members ----------------------------------------------------------- */

static bool
path_is(const struct doc_text *t, const struct query *q)
{
	return t->path != NULL && strcmp(t->path, q->path) == 0;
}

static bool
equal(const char *s, size_t n, const struct query *q)
{
	return (q->prefix ? n >= q->len : n == q->len) &&
	    memcmp(s, q->text, q->len) == 0;
}

static bool
field(const struct match *m, const struct query *q, const struct doc *d)
{
	bool by_words = !q->exact && (q->by_words ||
	    sconf_weight(m->conf, q->path) > 0);
	struct tokens ts;
	struct token w;

	if (by_words) {
		tokens_init(&ts, q->text, q->len);
		by_words = tokens_next(&ts, &w);
	}
	for (int i = 0; i < d->ntexts; i++) {
		const struct doc_text *t = &d->texts[i];

		if (!path_is(t, q))
			continue;
		if (by_words ? word_in(m, q, t) : q->exact ?
		    equal(t->raw, t->raw_len, q) :
		    equal(t->text, t->len, q))
			return true;
	}
	return false;
}

static bool
in_numbers(const struct query *q, double v)
{
	return (q->no_low || (q->low_open ? v > q->num : v >= q->num)) &&
	    (q->no_high || (q->high_open ? v < q->num2 : v <= q->num2));
}

static int
compare(const char *s, size_t n, const char *end)
{
	size_t m = strlen(end);
	int c = memcmp(s, end, n < m ? n : m);

	return c != 0 ? c : n < m ? -1 : n > m;
}

static bool
in_texts(const struct query *q, const char *s, size_t n)
{
	int low = q->no_low ? 1 : compare(s, n, q->text);
	int high = q->no_high ? -1 : compare(s, n, q->text2);

	return (q->low_open ? low > 0 : low >= 0) &&
	    (q->high_open ? high < 0 : high <= 0);
}

static bool
range(const struct query *q, const struct doc *d)
{
	for (int i = 0; i < d->ntexts; i++) {
		const struct doc_text *t = &d->texts[i];

		if (path_is(t, q) && (q->is_num ? t->is_num &&
		    in_numbers(q, t->num) : t->is_str &&
		    in_texts(q, t->raw, t->raw_len)))
			return true;
	}
	return false;
}

static bool
has(const struct query *q, const struct doc *d)
{
	for (int i = 0; i < d->npaths; i++)
		if (strcmp(d->paths[i], q->path) == 0)
			return true;
	return false;
}

static bool
header(const struct query *q, const struct doc *d)
{
	size_t n = strlen(q->path);

	for (int i = 0; i < d->nheaders; i++) {
		const struct doc_header *h = &d->headers[i];

		if (h->name_len == n && memcmp(h->name, q->path, n) == 0 &&
		    (q->text == NULL || equal(h->value.raw,
		    h->value.raw_len, q)))
			return true;
	}
	return false;
}

/* ---- the tree ---------------------------------------------------------- */

static bool
any_text(struct match *m, const struct query *q, const struct doc *d)
{
	const struct doc_text *t;
	bool found = false;

	for (int i = 0; !found && (t = doc_words(d, i)) != NULL; i++) {
		if (!t->words || (q->path != NULL && !path_is(t, q)))
			continue;
		if (q->op == Q_WORD)
			found = word_in(m, q, t);
		else if (q->op == Q_PHRASE)
			found = phrase_in(q, t);
		else {
			enum err e = query_regex_match(q->regex, t->raw,
			    t->raw_len);

			found = e == E_OK;
			m->too_costly |= e == E_TOO_LARGE;
		}
	}
	return found;
}

static bool
topic_is(const struct query *q, const char *name)
{
	return fnmatch(q->text, name, 0) == 0;
}

static bool node(struct match *, const struct query *, const struct doc *,
    const struct record *);

static bool
some(struct match *m, const struct query *q, const struct doc *d,
    const struct record *r)
{
	int64_t n = 0;

	for (int i = 0; i < q->nkids && n < q->low; i++)
		n += node(m, q->kids[i], d, r);
	return n >= q->low;
}

static bool
node(struct match *m, const struct query *q, const struct doc *d,
    const struct record *r)
{
	switch (q->op) {
	case Q_ALL:
		return true;
	case Q_AND:
		for (int i = 0; i < q->nkids; i++)
			if (!node(m, q->kids[i], d, r))
				return false;
		return true;
	case Q_OR:
		for (int i = 0; i < q->nkids; i++)
			if (node(m, q->kids[i], d, r))
				return true;
		return false;
	case Q_NOT:
		return !node(m, q->kids[0], d, r);
	case Q_SOME:
		return some(m, q, d, r);
	case Q_WORD:
	case Q_PHRASE:
	case Q_REGEX:
		return any_text(m, q, d);
	case Q_FIELD:
		return field(m, q, d);
	case Q_RANGE:
		return range(q, d);
	case Q_HAS:
		return has(q, d);
	case Q_JSON:
		return d->json;
	case Q_TOMBSTONE:
		return d->tombstone;
	case Q_KEY:
		return d->key.raw != NULL && equal(d->key.raw,
		    d->key.raw_len, q);
	case Q_HEADER:
		return header(q, d);
	case Q_TOPIC:
		return topic_is(q, m->topic);
	case Q_PART:
		return m->part >= q->low && m->part <= q->high;
	case Q_OFFSET:
		return r->offset >= q->low && r->offset <= q->high;
	case Q_TIME:
		return r->ts >= q->low && r->ts <= q->high;
	}
	return false;
}

bool
match_doc(struct match *m, const struct doc *d, const struct record *r)
{
	return node(m, m->query, d, r);
}

/* ---- without a record -------------------------------------------------- */

enum maybe { NO, MAYBE, YES };

struct scope {
	const char	*topic;
	int32_t		 part;
	bool		 by_range;
	int64_t		 low, high, ts_low, ts_high;
};

static enum maybe
overlap(int64_t low, int64_t high, const struct query *q)
{
	if (low > q->high || high < q->low)
		return NO;
	return low >= q->low && high <= q->high ? YES : MAYBE;
}

static enum maybe
could(const struct query *q, const struct scope *s)
{
	enum maybe all, one;

	switch (q->op) {
	case Q_ALL:
		return YES;
	case Q_AND:
	case Q_OR:
		all = q->op == Q_AND ? YES : NO;
		for (int i = 0; i < q->nkids; i++) {
			one = could(q->kids[i], s);
			if (q->op == Q_AND ? one < all : one > all)
				all = one;
		}
		return all;
	case Q_NOT:
		return YES - could(q->kids[0], s);
	case Q_TOPIC:
		return topic_is(q, s->topic) ? YES : NO;
	case Q_PART:
		return s->part >= q->low && s->part <= q->high ? YES : NO;
	case Q_OFFSET:
		return s->by_range ? overlap(s->low, s->high, q) : MAYBE;
	case Q_TIME:
		return s->by_range ? overlap(s->ts_low, s->ts_high, q) :
		    MAYBE;
	default:
		return MAYBE;
	}
}

bool
match_scope(const struct query *q, const char *topic, int32_t part)
{
	struct scope s = { .topic = topic, .part = part };

	return could(q, &s) != NO;
}

bool
match_range(const struct query *q, const char *topic, int32_t part,
    int64_t low, int64_t high, int64_t ts_low, int64_t ts_high)
{
	struct scope s = { topic, part, true, low, high, ts_low, ts_high };

	return could(q, &s) != NO;
}

/* ---- places in texts --------------------------------------------------- */

static int
put(struct match_span *v, int n, int max, const char *text, const char *from,
    const char *to)
{
	if (n == max)
		return n;
	v[n] = (struct match_span){ (size_t)(from - text),
	    (size_t)(to - text) };
	return n + 1;
}

static int
word_spans(const struct match *m, const struct query *q,
    const struct doc_text *t, struct match_span *v, int n, int max)
{
	const char *at = t->text, *end = t->text + t->len;
	char stem[STEM_SIZE];
	struct tokens ts;
	struct token w;
	size_t len;

	while (n < max && (at = find_literal(t, at, q)) != NULL) {
		const char *to = at + q->len;

		while (q->prefix && to < end && !token_edge(t->text, to, end))
			to++;
		n = put(v, n, max, t->text, at, to);
		at = to;
	}
	len = stem_of(m->conf, q, stem);
	tokens_init(&ts, t->text, t->len);
	while (len > 0 && n < max && find_stem(t, &ts, stem, len, &w))
		n = put(v, n, max, t->text, w.p, w.p + w.n);
	return n;
}

static int
spans(const struct match *m, const struct query *q, const struct doc_text *t,
    struct match_span *v, int n, int max)
{
	struct tokens ts;
	struct token w;
	const char *end = NULL;

	if (q->op == Q_AND || q->op == Q_OR || q->op == Q_SOME)
		for (int i = 0; i < q->nkids; i++)
			n = spans(m, q->kids[i], t, v, n, max);
	else if (q->op == Q_WORD || (q->op == Q_FIELD && path_is(t, q) &&
	    (q->by_words || sconf_weight(m->conf, q->path) > 0)))
		n = word_spans(m, q, t, v, n, max);
	else if (q->op == Q_FIELD && path_is(t, q) &&
	    equal(t->text, t->len, q))
		n = put(v, n, max, t->text, t->text, t->text + t->len);
	else if (q->op == Q_PHRASE && (q->path == NULL || path_is(t, q))) {
		tokens_init(&ts, t->text, t->len);
		while (n < max && find_phrase(&ts, q, &w, &end))
			n = put(v, n, max, t->text, w.p, end);
	}
	return n;
}

static int
by_place(const void *a, const void *b)
{
	const struct match_span *x = a, *y = b;

	return x->from != y->from ? (x->from < y->from ? -1 : 1) :
	    (x->to > y->to) - (x->to < y->to);
}

int
match_spans(const struct match *m, const struct doc_text *t,
    struct match_span *v, int max)
{
	int n = spans(m, m->query, t, v, 0, max), out = 0;

	qsort(v, (size_t)n, sizeof *v, by_place);
	for (int i = 0; i < n; i++)
		if (out > 0 && v[i].from <= v[out - 1].to) {
			if (v[i].to > v[out - 1].to)
				v[out - 1].to = v[i].to;
		} else
			v[out++] = v[i];
	return out;
}
