/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of the query language: recursive descent, bounded in depth, in
 * the number of its nodes and in the length of what it reads.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "query_in.h"
#include "token.h"

/* ---- errors and nodes -------------------------------------------------- */

enum err
parse_fail(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	if (p->err != E_OK)
		return p->err;
	va_start(ap, fmt);
	vsnprintf(p->q->why, sizeof p->q->why, fmt, ap);
	va_end(ap);
	p->err = E_USAGE;
	return p->err;
}

/* NULL: there are too many, or there is no memory. */
struct query *
node_new(struct parse *p, enum query_op op)
{
	struct query *n;

	if (++p->nodes > QUERY_NODES_MAX) {
		parse_fail(p, "the query has more than %d parts",
		    QUERY_NODES_MAX);
		return NULL;
	}
	n = arena_alloc(p->q->arena, sizeof *n);
	if (n == NULL && p->err == E_OK)
		p->err = E_NOMEM;
	if (n != NULL)
		n->op = op;
	return n;
}

/* A NUL-terminated copy; NULL without memory. */
const char *
parse_copy(struct parse *p, const char *s, size_t n)
{
	const char *out = arena_strndup(p->q->arena, s, n);

	if (out == NULL && p->err == E_OK)
		p->err = E_NOMEM;
	return out;
}

static bool
node_add(struct parse *p, struct query *n, struct query *kid)
{
	if (kid == NULL)
		return false;
	if (n->nkids == n->kids_cap) {
		int cap = n->kids_cap == 0 ? 4 : n->kids_cap * 2;
		struct query **v = arena_array(p->q->arena, (size_t)cap,
		    sizeof *v);

		if (v == NULL) {
			p->err = E_NOMEM;
			return false;
		}
		if (n->nkids > 0)
			memcpy(v, n->kids, (size_t)n->nkids * sizeof *v);
		n->kids = v;
		n->kids_cap = cap;
	}
	n->kids[n->nkids++] = kid;
	return true;
}

/* ---- reading ----------------------------------------------------------- */

static bool
is_blank(char c)
{
	return (unsigned char)c <= ' ';
}

static bool
ends_word(const struct parse *p, const char *s)
{
	return s == p->end || is_blank(*s) || *s == '(' || *s == ')';
}

/* Marks that stand alone are passed over as well. */
static void
skip_blanks(struct parse *p)
{
	const char *s;

	for (;;) {
		while (p->at < p->end && is_blank(*p->at))
			p->at++;
		for (s = p->at; s < p->end && *s != '\0' &&
		    strchr(".,;:!?&+=|~^%$#@'<>{}[]-`", *s) != NULL; )
			s++;
		if (s == p->at || !ends_word(p, s) ||
		    (s < p->end && *s == '('))
			return;
		p->at = s;
	}
}

/* Whether an operator stands here; takes it. */
static bool
take_operator(struct parse *p, const char *word)
{
	size_t n = strlen(word);

	skip_blanks(p);
	if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0 ||
	    !ends_word(p, p->at + n))
		return false;
	p->at += n;
	return true;
}

/* What stands between two quotes; \ before a quote or itself. */
static bool
take_quoted(struct parse *p, char quote, struct str *out)
{
	const char *s = p->at + 1;
	char *text;

	text = arena_alloc(p->q->arena, (size_t)(p->end - p->at));
	if (text == NULL) {
		p->err = E_NOMEM;
		return false;
	}
	out->p = text;
	out->n = 0;
	for (; s < p->end && *s != quote; s++) {
		/* In an expression only the quote itself is ours. */
		if (*s == '\\' && s + 1 < p->end && (s[1] == quote ||
		    (s[1] == '\\' && quote == '"')))
			s++;
		else if (*s == '\\' && s + 1 < p->end && quote == '/')
			text[out->n++] = *s++;
		text[out->n++] = *s;
	}
	if (s == p->end) {
		parse_fail(p, "a %c is not closed", quote);
		return false;
	}
	p->at = s + 1;
	return true;
}

/* ---- texts ------------------------------------------------------------- */

static struct query *
text_node(struct parse *p, enum query_op op, struct str s)
{
	struct query *n = node_new(p, op);

	if (n == NULL)
		return NULL;
	n->text = text_fold(s.p, s.n, &n->len, p->q->arena);
	if (n->text == NULL) {
		p->err = E_NOMEM;
		return NULL;
	}
	return n;
}

static bool
has_word(const struct query *n)
{
	struct tokens t;
	struct token one;

	tokens_init(&t, n->text, n->len);
	return tokens_next(&t, &one);
}

/* Marks at the ends of a word are not looked for. */
static void
trim_marks(struct query *n)
{
	struct tokens t;
	struct token one, last;

	tokens_init(&t, n->text, n->len);
	if (!tokens_next(&t, &one))
		return;
	for (last = one; tokens_next(&t, &last); )
		;
	if (!n->prefix)
		n->len = (size_t)(last.p + last.n - n->text);
	n->len -= (size_t)(one.p - n->text);
	n->text = one.p;
}

static struct query *
phrase(struct parse *p)
{
	struct query *n;
	struct str s;

	if (!take_quoted(p, '"', &s) ||
	    (n = text_node(p, Q_PHRASE, s)) == NULL)
		return NULL;
	if (!has_word(n)) {
		parse_fail(p, "\"%.*s\" holds no word", (int)s.n, s.p);
		return NULL;
	}
	return n;
}

static struct query *
regex(struct parse *p)
{
	bool fold = false;
	struct query *n;
	struct str s;

	if (!take_quoted(p, '/', &s) || (n = node_new(p, Q_REGEX)) == NULL)
		return NULL;
	if (p->at < p->end && *p->at == 'i') {
		fold = true;
		p->at++;
	}
	if (!ends_word(p, p->at)) {
		parse_fail(p, "after an expression only i may stand, not %c",
		    *p->at);
		return NULL;
	}
	n->text = parse_copy(p, s.p, s.n);
	n->len = s.n;
	n->exact = !fold;
	if (n->text == NULL || regex_compile(p, n, fold) != E_OK)
		return NULL;
	return n;
}

static struct query *
word(struct parse *p, struct str s)
{
	bool prefix = s.n > 1 && s.p[s.n - 1] == '*';
	struct query *n;

	if (s.n == 1 && s.p[0] == '*')
		return node_new(p, Q_ALL);
	if (prefix)
		s.n--;
	n = text_node(p, Q_WORD, s);
	if (n == NULL)
		return NULL;
	n->prefix = prefix;
	if (!has_word(n)) {
		parse_fail(p, "\"%.*s\" holds no word", (int)s.n, s.p);
		return NULL;
	}
	trim_marks(n);
	if (prefix && n->len < QUERY_PREFIX_MIN) {
		parse_fail(p, "\"%.*s*\" is too short: at least %d "
		    "bytes must stand before the *", (int)s.n, s.p,
		    QUERY_PREFIX_MIN);
		return NULL;
	}
	return n;
}

/* ---- atoms ------------------------------------------------------------- */

/* The length of NAME in NAME:value, 0 when it is something else. */
static size_t
name_length(const struct parse *p)
{
	const char *s = p->at;

	for (; s < p->end && !is_blank(*s) && strchr("()\"/", *s) == NULL;
	    s++) {
		if (*s != ':')
			continue;
		if (s == p->at || (*p->at >= '0' && *p->at <= '9') ||
		    (p->end - s > 2 && memcmp(s, "://", 3) == 0))
			return 0;
		return (size_t)(s - p->at);
	}
	return 0;
}

/* One end of a range in brackets; * is an open one. */
static bool
take_end(struct parse *p, struct str *out)
{
	while (p->at < p->end && is_blank(*p->at))
		p->at++;
	if (p->at < p->end && *p->at == '"')
		return take_quoted(p, '"', out);
	out->p = p->at;
	while (p->at < p->end && !is_blank(*p->at) && *p->at != ']' &&
	    *p->at != '}')
		p->at++;
	out->n = (size_t)(p->at - out->p);
	if (out->n == 1 && out->p[0] == '*')
		out->n = 0;
	return p->at > out->p;
}

/* [A TO B], with { or } for an end that does not belong to it. */
static struct query *
brackets(struct parse *p, struct str name)
{
	struct bounds b = { .over = *p->at == '{' };

	p->at++;
	if (take_end(p, &b.low) && take_operator(p, "TO") &&
	    take_end(p, &b.high)) {
		while (p->at < p->end && is_blank(*p->at))
			p->at++;
		b.under = p->at < p->end && *p->at == '}';
		if (p->at < p->end && (b.under || *p->at == ']') &&
		    ends_word(p, ++p->at))
			return range_node(p, name, &b);
	}
	parse_fail(p, "%.*s: a range is written a..b or [a TO b]; a value "
	    "that begins with a bracket stands in quotes", (int)name.n,
	    name.p);
	return NULL;
}

static struct query *
field(struct parse *p, size_t n)
{
	struct str name = { p->at, n }, value = { NULL, 0 };
	enum field_op op = F_IS;

	p->at += n + 1;
	if (p->at < p->end && (*p->at == '>' || *p->at == '<')) {
		op = *p->at++ == '>' ? F_GT : F_LT;
		if (p->at < p->end && *p->at == '=') {
			op = op == F_GT ? F_GE : F_LE;
			p->at++;
		}
	} else if (p->at < p->end && *p->at == '=') {
		op = F_EXACT;
		p->at++;
	}
	if (p->at < p->end && *p->at == '"') {
		if (!take_quoted(p, '"', &value))
			return NULL;
		return field_node(p, name, op, value, true);
	}
	if (op == F_IS && p->at < p->end && (*p->at == '[' || *p->at == '{'))
		return brackets(p, name);
	value.p = p->at;
	while (!ends_word(p, p->at))
		p->at++;
	value.n = (size_t)(p->at - value.p);
	if (value.n == 0) {
		parse_fail(p, "%.*s: has no value", (int)n, name.p);
		return NULL;
	}
	return field_node(p, name, op, value, false);
}

static struct query *parse_or(struct parse *);

static struct query *
atom(struct parse *p)
{
	struct query *n;
	struct str s;
	size_t name;

	switch (*p->at) {
	case '(':
		p->at++;
		n = parse_or(p);
		if (n == NULL)
			return NULL;
		skip_blanks(p);
		if (p->at == p->end) {
			parse_fail(p, "a ( is not closed");
			return NULL;
		}
		p->at++;
		return n;
	case '"':
		return phrase(p);
	case '/':
		return regex(p);
	default:
		break;
	}
	name = name_length(p);
	if (name > 0)
		return field(p, name);
	s.p = p->at;
	while (!ends_word(p, p->at) && *p->at != '"')
		p->at++;
	s.n = (size_t)(p->at - s.p);
	return word(p, s);
}

static struct query *
parse_not(struct parse *p)
{
	struct query *n = NULL, *kid = NULL;

	skip_blanks(p);
	if (p->at == p->end || *p->at == ')') {
		parse_fail(p, p->at == p->end ? "the query ends where a word "
		    "is wanted" : "a ) stands where a word is wanted");
		return NULL;
	}
	if (++p->depth > QUERY_DEPTH_MAX) {
		parse_fail(p, "the query is nested deeper than %d",
		    QUERY_DEPTH_MAX);
		return NULL;
	}
	if (*p->at == '-' && p->at + 1 < p->end && !is_blank(p->at[1])) {
		p->at++;
		n = node_new(p, Q_NOT);
	} else if (take_operator(p, "NOT"))
		n = node_new(p, Q_NOT);
	if (n != NULL) {
		kid = parse_not(p);
		if (!node_add(p, n, kid))
			n = NULL;
	} else if (p->err == E_OK)
		n = atom(p);
	p->depth--;
	return n;
}

/* Operands that stand side by side, or with a word between them. */
static struct query *
parse_and(struct parse *p)
{
	struct query *first = parse_not(p), *n = first;
	enum query_op op;

	while (first != NULL) {
		skip_blanks(p);
		if (p->at == p->end || *p->at == ')')
			return n;
		if (take_operator(p, "OR")) {
			p->at -= 2;
			return n;
		}
		op = take_operator(p, "AND") || !p->q->any ? Q_AND : Q_OR;
		if (n->op != op || n == first) {
			struct query *up = node_new(p, op);

			if (up == NULL || !node_add(p, up, n))
				return NULL;
			n = up;
			first = up->kids[0];
		}
		if (!node_add(p, n, parse_not(p)))
			return NULL;
	}
	return NULL;
}

static struct query *
parse_or(struct parse *p)
{
	struct query *n = parse_and(p), *up = NULL;

	while (n != NULL && take_operator(p, "OR")) {
		if (up == NULL) {
			up = node_new(p, Q_OR);
			if (up == NULL || !node_add(p, up, n))
				return NULL;
		}
		if (!node_add(p, up, parse_and(p)))
			return NULL;
	}
	return n == NULL ? NULL : up != NULL ? up : n;
}

enum err
query_parse(struct query_parse *q, const char *s, size_t n,
    struct query **out)
{
	struct parse p = { .q = q, .at = s, .end = s + n };

	q->why[0] = '\0';
	if (n > QUERY_BYTES_MAX)
		return parse_fail(&p, "the query is longer than %d bytes",
		    QUERY_BYTES_MAX);
	if (memchr(s, '\0', n) != NULL)
		return parse_fail(&p, "the query holds a byte of value 0");
	*out = parse_or(&p);
	if (*out != NULL && p.at < p.end)
		return parse_fail(&p, "a ) has no (");
	if (*out == NULL && p.err == E_OK)
		return E_NOMEM;
	return p.err;
}
