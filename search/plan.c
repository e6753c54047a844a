/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans: the query as the index can answer it.  Where a term cannot say what
 * the query asks, a wider one stands in and the plan is not exact; where there
 * is none at all, every record of the shard is looked at.
 */
#include <float.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "emit.h"
#include "lib/limits.h"
#include "plan.h"
#include "token.h"

enum { REGEX_TERMS_MAX = 4096, REGEX_LITERAL_MIN = 3 };

void
plan_free(struct plan *p)
{
	xap_q_free(p->q);
	p->q = NULL;
}

static enum err
set(struct plan *p, struct xap_query *q, bool exact)
{
	*p = (struct plan){ PLAN_SOME, exact, q };
	return q == NULL ? E_NOMEM : E_OK;
}

static enum err
set_const(struct plan *p, enum plan_kind k, bool exact)
{
	*p = (struct plan){ k, exact, NULL };
	return E_OK;
}

static enum err
set_term(struct plan *p, const struct term_buf *b, bool exact)
{
	return set(p, xap_q_term(b->p, b->n), exact);
}

/* ---- words ------------------------------------------------------------- */

/* A word, of which b is the term: the key may be the same. */
static struct xap_query *
one_word(const struct sconf *c, enum term kind, const struct term_buf *b,
    const struct token *w)
{
	struct xap_query *v[2] = { xap_q_term(b->p, b->n), NULL };
	struct term_buf k;

	if (kind != TERM_WORD || !emit_key_is_word(c, w->p, w->n))
		return v[0];
	term_make(&k, TERM_KEY_WORD, NULL, w->p, w->n);
	v[1] = xap_q_term(k.p, k.n);
	return xap_q_join(XAP_OR, v, 2);
}

/* The words of a text, under AND (or one after the other). */
static enum err
all_words(struct plan *p, const struct sconf *c, enum term kind,
    const char *path, const struct query *q, bool phrase)
{
	struct xap_query *v[QUERY_NODES_MAX];
	struct token w, before = { "", 0, false };
	struct tokens ts;
	struct term_buf b;
	int n = 0;
	bool cut = false;

	tokens_init(&ts, q->text, q->len);
	while (n + 2 < QUERY_NODES_MAX && tokens_next(&ts, &w)) {
		/* The last of a beginning may go on. */
		bool last = q->prefix && w.p + w.n == q->text + q->len;

		if (!last) {
			emit_word(&b, c, kind, path, w.p, w.n);
			cut |= !b.whole;
			v[n++] = one_word(c, kind, &b, &w);
		} else if (n == 0) {
			term_start(&b, kind, path, w.p, w.n);
			v[n++] = xap_q_start(b.p, b.n, QUERY_EXPAND_MAX);
		}
		if (!last && !phrase && kind == TERM_WORD &&
		    emit_pairs(&before, &w)) {
			emit_pair(&b, &before, &w);
			v[n++] = xap_q_term(b.p, b.n);
		}
		before = w;
	}
	return set(p, xap_q_join(phrase && c->positions && !cut && n > 1 ?
	    XAP_PHRASE : XAP_AND, v, n), false);
}

/* What begins so, also in the short form of random ids and long numbers. */
static enum err
beginning(struct plan *p, const struct sconf *c, enum term kind,
    const char *path, const char *s, size_t n)
{
	struct xap_query *v[3 + TOKEN_LONG_CUT];
	struct term_buf b;
	int count = 0, starts;
	bool whole;

	term_start(&b, kind, path, s, n);
	v[count++] = xap_q_start(b.p, b.n, QUERY_EXPAND_MAX);
	whole = b.whole;
	if (kind == TERM_WORD && !c->positions) {
		term_start(&b, TERM_KEY_WORD, NULL, s, n);
		v[count++] = xap_q_start(b.p, b.n, QUERY_EXPAND_MAX);
	}
	starts = count;
	if (!c->ids && n > TERM_ID_KEPT) {
		term_cut(&b, kind, path, s, TERM_ID_KEPT);
		v[count++] = xap_q_term(b.p, b.n);
	}
	/* Long numbers that have up to as many digits more than were cut. */
	for (size_t k = n > 0 ? n - 1 : 0; token_is_digits(s, n) &&
	    k >= TOKEN_LONG - TOKEN_LONG_CUT && k + TOKEN_LONG_CUT >= n;
	    k--) {
		term_cut(&b, kind, path, s, k);
		v[count++] = xap_q_term(b.p, b.n);
	}
	return set(p, xap_q_join(XAP_OR, v, count), whole && count == starts);
}

static enum err
word(struct plan *p, const struct sconf *c, const struct query *q,
    const char *path)
{
	enum term kind = path == NULL ? TERM_WORD : TERM_TEXT;
	struct tokens ts;
	struct token w;
	struct term_buf b;

	tokens_init(&ts, q->text, q->len);
	if (!tokens_next(&ts, &w) || w.n != q->len)
		return all_words(p, c, kind, path, q, false);
	if (q->prefix)
		return beginning(p, c, kind, path, w.p, w.n);
	if (!emit_stem(&b, c, path == NULL ? TERM_STEM : TERM_TEXT_STEM,
	    path, w.p, w.n)) {
		emit_word(&b, c, kind, path, w.p, w.n);
		return set(p, one_word(c, kind, &b, &w), b.whole);
	}
	return set_term(p, &b, b.whole);
}

static enum err
phrase(struct plan *p, const struct sconf *c, const struct query *q)
{
	struct tokens ts;
	struct token w, more;
	struct term_buf b;

	tokens_init(&ts, q->text, q->len);
	if (!tokens_next(&ts, &w) || tokens_next(&ts, &more))
		return all_words(p, c, TERM_WORD, NULL, q, true);
	emit_word(&b, c, TERM_WORD, NULL, w.p, w.n);
	return set(p, one_word(c, TERM_WORD, &b, &w), b.whole &&
	    q->path == NULL);
}

/* ---- expressions ------------------------------------------------------- */

struct containing {
	const char	*literal;
	size_t		 len;
	bool		 digits;	/* it has nothing else */
	size_t		 prefix;	/* bytes before the word */
	int		 n;
	bool		 over;
	struct xap_query *v[REGEX_TERMS_MAX];
};

static bool
each_term(void *arg, const char *s, size_t n, uint32_t docs)
{
	struct containing *c = arg;
	const char *word = s + c->prefix;
	size_t len = n - c->prefix;

	(void)docs;
	if (len == 0 || (word[0] >= 'A' && word[0] <= 'Z'))
		return true;
	/* What was cut may hold it all the same; a long number, digits. */
	if (len < TERM_TEXT_MAX && memmem(word, len, c->literal, c->len) ==
	    NULL && (s[n - 1] != TERM_CUT || (!c->digits && len >
	    TERM_ID_KEPT + 1)))
		return true;
	if (c->n == REGEX_TERMS_MAX) {
		c->over = true;
		return false;
	}
	c->v[c->n++] = xap_q_term(s, n);
	return true;
}

/*
 * The words that hold the expression's literal, but for its last letter: that
 * may have become another one with a mark that follows.
 */
static enum err
regex(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	struct containing *c = malloc(sizeof *c);
	struct term_buf b;
	enum err e;

	if (c == NULL)
		return E_NOMEM;
	c->literal = query_regex_literal(q->regex, &c->len);
	c->n = 0;
	c->prefix = 0;
	c->over = c->len < REGEX_LITERAL_MIN;
	c->len -= !c->over;
	c->digits = token_is_digits(c->literal, c->len);
	c->over |= s->db == NULL;
	e = c->over ? E_OK : xap_terms(s->db, "", 0, each_term, c);
	term_start(&b, TERM_KEY_WORD, NULL, "", 0);
	c->prefix = b.n;
	if (e == E_OK && !c->over)
		e = xap_terms(s->db, b.p, b.n, each_term, c);
	if (e != E_OK || c->over || c->n == 0) {
		for (int i = 0; i < c->n; i++)
			xap_q_free(c->v[i]);
		if (e == E_OK)
			e = set_const(p, c->over ? PLAN_ALL : PLAN_NONE,
			    !c->over);
	} else
		e = set(p, xap_q_join(XAP_OR, c->v, c->n), false);
	free(c);
	return e;
}

/* ---- members ----------------------------------------------------------- */

/* The terms of records that have a member. */
struct having {
	const char	*path;		/* NULL: that are JSON */
	struct xap_query *v[SHAPES_MAX + 1];
	int		 n;
};

static bool
each_shape(void *arg, const char *key, const char *list, size_t n)
{
	struct having *h = arg;
	const char *name = NULL;
	struct term_buf b;

	if (h->n == SHAPES_MAX)
		return false;
	while (h->path != NULL && (name = shape_next(list, n, name)) !=
	    NULL && strcmp(name, h->path) != 0)
		;
	if (h->path == NULL || name != NULL) {
		emit_shape(&b, atoi(key + strlen(SHAPE_KEY)));
		h->v[h->n++] = xap_q_term(b.p, b.n);
	}
	return true;
}

/* Records that have a member, or are JSON (path NULL).  What the numbers of
 * shapes mean in several shards at once is not known. */
static enum err
having(struct plan *p, const struct plan_shard *s, const char *path)
{
	struct having h = { .path = path };
	struct term_buf b;
	enum err e = E_OK;

	if (s->db != NULL)
		e = xap_metas(s->db, SHAPE_KEY, each_shape, &h);
	else {
		term_start(&b, TERM_SHAPE, NULL, "", 0);
		h.v[h.n++] = xap_q_start(b.p, b.n, SHAPES_MAX);
	}
	if (path == NULL)
		term_make(&b, TERM_KIND, NULL, "json", 4);
	else
		term_make(&b, TERM_EXISTS, NULL, path, strlen(path));
	h.v[h.n++] = xap_q_term(b.p, b.n);
	if (e == E_OK)
		return set(p, xap_q_join(XAP_OR, h.v, h.n), b.whole &&
		    s->db != NULL);
	while (h.n > 0)
		xap_q_free(h.v[--h.n]);
	return e;
}

/* As having, of which some are what is asked for. */
static enum err
some_having(struct plan *p, const struct plan_shard *s, const char *path)
{
	enum err e = having(p, s, path);

	p->exact = false;
	return e;
}

/* Values that are no words: a query of words of the member may ask for them. */
static int
literals(const struct sconf *c, const struct query *q, struct xap_query **v)
{
	static const char *const all[] = { "true", "false", "null" };
	struct term_buf b, stem, asked;
	bool stems = !q->prefix && emit_stem(&asked, c, TERM_STEM, NULL,
	    q->text, q->len);
	int n = 0;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		size_t len = strlen(all[i]);
		bool is = len >= q->len && (q->prefix || len == q->len) &&
		    memcmp(all[i], q->text, q->len) == 0;

		if (!is && (!stems || !emit_stem(&stem, c, TERM_STEM, NULL,
		    all[i], len) || stem.n != asked.n ||
		    memcmp(stem.p, asked.p, stem.n) != 0))
			continue;
		emit_equal(&b, c, q->path, all[i], len);
		v[n++] = xap_q_term(b.p, b.n);
	}
	return n;
}

/* Words of a member's value: they may stand elsewhere in the record. */
static enum err
member_words(struct plan *p, const struct plan_shard *s,
    const struct query *q)
{
	const struct sconf *c = s->conf;
	struct xap_query *v[4];
	struct tokens ts;
	struct token w;
	struct plan words, has;
	int n;
	enum err e = some_having(&has, s, q->path);

	tokens_init(&ts, q->text, q->len);
	if (e != E_OK || !tokens_next(&ts, &w)) {
		*p = has;
		return e;
	}
	/* Of a beginning that is one word not even that is whole. */
	e = q->prefix && w.p + w.n == q->text + q->len ?
	    beginning(&words, c, TERM_WORD, NULL, w.p, w.n) :
	    q->by_words ? word(&words, c, q, NULL) :
	    all_words(&words, c, TERM_WORD, NULL, q, false);
	if (e != E_OK) {
		plan_free(&has);
		return e;
	}
	v[0] = has.q;
	v[1] = words.q;
	v[0] = xap_q_join(XAP_AND, v, 2);
	n = 1 + literals(c, q, v + 1);
	return set(p, xap_q_join(XAP_OR, v, n), false);
}

/* The value as the index has it, which is folded. */
static enum err
equal(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	struct query folded = *q;
	struct term_buf b;
	struct arena a;
	enum err e;

	arena_init(&a, DOC_MEMORY_MAX);
	if (q->exact)
		folded.text = text_fold(q->text, q->len, &folded.len, &a);
	if (folded.text == NULL)
		e = E_NOMEM;
	else if (q->prefix || !emit_has_equal(folded.text, folded.len))
		e = member_words(p, s, &folded);
	else {
		emit_equal(&b, s->conf, q->path, folded.text, folded.len);
		e = set_term(p, &b, b.whole && !q->exact);
	}
	arena_reset(&a);
	return e;
}

static enum err
field(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	bool by_words = sconf_weight(s->conf, q->path) > 0;
	struct tokens ts;
	struct token w;

	tokens_init(&ts, q->text, q->len);
	/* A declared member has words, and no term for all of it. */
	if (by_words && !q->exact && tokens_next(&ts, &w))
		return word(p, s->conf, q, q->path);
	if (q->by_words && !by_words && strlen(q->path) <= DOC_PATH_MAX)
		return member_words(p, s, q);
	if (by_words || strlen(q->path) > DOC_PATH_MAX)
		return some_having(p, s, q->path);
	return equal(p, s, q);
}

/* Whether a record of the shard has the term; also when that is not known. */
static bool
is_used(const struct plan_shard *s, const struct term_buf *b)
{
	struct xap_query *q = s->db == NULL ? NULL : xap_q_term(b->p, b->n);
	uint32_t total = 0;
	bool used;

	used = q == NULL || xap_count(s->db, q, &total) != E_OK || total > 0;
	xap_q_free(q);
	return used;
}

static enum err
range(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	int slot = q->is_num ? sconf_slot(s->conf, q->path) : -1;
	double low = q->no_low ? -DBL_MAX : q->low_open ?
	    nextafter(q->num, INFINITY) : q->num;
	double high = q->no_high ? DBL_MAX : q->high_open ?
	    nextafter(q->num2, -INFINITY) : q->num2;
	struct xap_query *v[2];
	struct term_buf b;

	if (slot < 0)
		return some_having(p, s, q->path);
	term_make(&b, TERM_MANY, NULL, q->path, strlen(q->path));
	/* Where each record has one number the values say it all. */
	if (!is_used(s, &b))
		return set(p, xap_q_range(slot, low, high), true);
	v[0] = xap_q_term(b.p, b.n);
	v[1] = xap_q_range(slot, low, high);
	return set(p, xap_q_join(XAP_OR, v, 2), false);
}

static enum err
header(struct plan *p, const struct query *q)
{
	struct term_buf b;

	if (q->text == NULL || strlen(q->path) > DOC_PATH_MAX) {
		term_make(&b, TERM_HAS_HEADER, NULL, q->path,
		    strlen(q->path));
		return set_term(p, &b, q->text == NULL && b.whole);
	}
	if (q->prefix) {
		term_start(&b, TERM_HEADER, q->path, q->text, q->len);
		return set(p, xap_q_start(b.p, b.n, QUERY_EXPAND_MAX),
		    b.whole);
	}
	term_make(&b, TERM_HEADER, q->path, q->text, q->len);
	return set_term(p, &b, b.whole);
}

static enum err
key(struct plan *p, const struct sconf *c, const struct query *q)
{
	struct xap_query *v[2];
	struct term_buf b;

	if (!q->prefix) {
		term_make(&b, emit_key_is_word(c, q->text, q->len) ?
		    TERM_KEY_WORD : TERM_KEY, NULL, q->text, q->len);
		return set_term(p, &b, b.whole);
	}
	term_start(&b, TERM_KEY_WORD, NULL, q->text, q->len);
	v[0] = xap_q_start(b.p, b.n, QUERY_EXPAND_MAX);
	term_start(&b, TERM_KEY, NULL, q->text, q->len);
	v[1] = xap_q_start(b.p, b.n, QUERY_EXPAND_MAX);
	return set(p, xap_q_join(XAP_OR, v, 2), b.whole);
}

/* ---- where and when ---------------------------------------------------- */

static enum err
when(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	if (s->ts_low > q->high || s->ts_high < q->low)
		return set_const(p, PLAN_NONE, true);
	if (s->ts_low >= q->low && s->ts_high <= q->high)
		return set_const(p, PLAN_ALL, true);
	return set(p, xap_q_times(q->low, q->high), true);
}

static enum err
where(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	if (s->base > q->high || s->end <= q->low)
		return set_const(p, PLAN_NONE, true);
	return set_const(p, PLAN_ALL, s->base >= q->low &&
	    s->end - 1 <= q->high);
}

/* ---- the tree ---------------------------------------------------------- */

static enum err
join(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	enum plan_kind ends = q->op == Q_AND ? PLAN_NONE : PLAN_ALL;
	struct xap_query **v = calloc((size_t)q->nkids, sizeof *v);
	bool exact = true, over = false;
	enum err e = v == NULL ? E_NOMEM : E_OK;
	struct plan kid;
	int n = 0;

	for (int i = 0; i < q->nkids && e == E_OK && !over; i++) {
		e = plan_make(q->kids[i], s, &kid);
		if (e != E_OK)
			break;
		if (kid.kind == ends) {
			/* Whatever the others are. */
			over = kid.kind == PLAN_NONE || kid.exact;
			if (!over && q->op == Q_OR) {
				over = true;
				exact = false;
			} else if (over)
				exact = true;
		} else
			exact &= kid.exact;
		if (kid.kind == PLAN_SOME)
			v[n++] = kid.q;
	}
	if (e != E_OK || over || n == 0) {
		while (n > 0)
			xap_q_free(v[--n]);
		if (e == E_OK)
			e = set_const(p, over ? ends : q->op == Q_AND ?
			    PLAN_ALL : PLAN_NONE, exact);
	} else
		e = set(p, xap_q_join(q->op == Q_AND ? XAP_AND : XAP_OR, v,
		    n), exact);
	free(v);
	return e;
}

/* Any of them, which is exact only if any is enough. */
static enum err
some(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	struct query any = *q;
	enum err e;

	if (q->low <= 0)
		return set_const(p, PLAN_ALL, true);
	if (q->low > q->nkids)
		return set_const(p, PLAN_NONE, true);
	any.op = q->low == q->nkids ? Q_AND : Q_OR;
	e = join(p, s, &any);
	p->exact &= q->low == 1 || any.op == Q_AND || p->kind == PLAN_NONE;
	return e;
}

/* What is not exact cannot be taken away. */
static enum err
negate(struct plan *p, const struct plan_shard *s, const struct query *q)
{
	struct xap_query *v[2];
	struct plan kid;
	enum err e = plan_make(q->kids[0], s, &kid);

	if (e != E_OK)
		return e;
	if (!kid.exact || kid.kind == PLAN_NONE) {
		plan_free(&kid);
		return set_const(p, PLAN_ALL, kid.kind == PLAN_NONE);
	}
	if (kid.kind == PLAN_ALL)
		return set_const(p, PLAN_NONE, true);
	v[0] = xap_q_all();
	v[1] = kid.q;
	return set(p, xap_q_join(XAP_NOT, v, 2), true);
}

enum err
plan_make(const struct query *q, const struct plan_shard *s, struct plan *p)
{
	struct term_buf b;

	switch (q->op) {
	case Q_ALL:
		return set_const(p, PLAN_ALL, true);
	case Q_AND:
	case Q_OR:
		return join(p, s, q);
	case Q_NOT:
		return negate(p, s, q);
	case Q_SOME:
		return some(p, s, q);
	case Q_WORD:
		return word(p, s->conf, q, NULL);
	case Q_PHRASE:
		return phrase(p, s->conf, q);
	case Q_REGEX:
		return regex(p, s, q);
	case Q_FIELD:
		return field(p, s, q);
	case Q_RANGE:
		return range(p, s, q);
	case Q_HAS:
		return having(p, s, q->path);
	case Q_JSON:
		return having(p, s, NULL);
	case Q_TOMBSTONE:
		term_make(&b, TERM_KIND, NULL, "tombstone", 9);
		return set_term(p, &b, true);
	case Q_KEY:
		return key(p, s->conf, q);
	case Q_HEADER:
		return header(p, q);
	case Q_TOPIC:
		if (s->topic == NULL)
			return set_const(p, PLAN_ALL, false);
		return set_const(p, fnmatch(q->text, s->topic, 0) == 0 ?
		    PLAN_ALL : PLAN_NONE, true);
	case Q_PART:
		if (s->topic == NULL)
			return set_const(p, PLAN_ALL, false);
		return set_const(p, s->part >= q->low && s->part <= q->high ?
		    PLAN_ALL : PLAN_NONE, true);
	case Q_OFFSET:
		return where(p, s, q);
	case Q_TIME:
		return when(p, s, q);
	}
	return E_UNKNOWN;
}

/* ---- what no index helps with ------------------------------------------ */

const char *
plan_refusal(const struct query *q)
{
	const char *why = NULL;
	size_t n;

	if (q->op == Q_REGEX) {
		query_regex_literal(q->regex, &n);
		return n >= REGEX_LITERAL_MIN ? NULL : "an expression needs "
		    "three letters or digits side by side, in no group, that "
		    "every match has, or the index is of no use";
	}
	for (int i = 0; i < q->nkids && (why == NULL || q->op == Q_AND);
	    i++) {
		const char *one = plan_refusal(q->kids[i]);

		if (q->op == Q_AND && one == NULL &&
		    q->kids[i]->op != Q_NOT)
			return NULL;
		why = one != NULL ? one : why;
	}
	return why;
}
