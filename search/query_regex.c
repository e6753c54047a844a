/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of queries: PCRE2, with bounds on what a match may cost,
 * and the literal that every match contains, for the index.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "query_in.h"
#include "token.h"

enum {
	STEPS_MAX	= 100000,	/* of one match */
	HEAP_KIB_MAX	= 4096,
};

struct query_regex {
	struct query_regex *next;
	pcre2_code	*code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
	const char	*literal;
	size_t		 len;
};

/* ---- the literal ------------------------------------------------------- */

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* Behind the group or class that starts at i; n: it does not end. */
static size_t
skip_group(const char *s, size_t n, size_t i)
{
	int depth = 0;

	for (; i < n; i++) {
		if (s[i] == '\\') {
			i++;
		} else if (s[i] == '[') {
			/* A ] that comes first belongs to the class. */
			i += i + 1 < n && s[i + 1] == '^';
			i += i + 1 < n && s[i + 1] == ']';
			for (i++; i < n && s[i] != ']'; i++)
				i += s[i] == '\\';
			if (depth == 0)
				return i + 1;
		} else if (s[i] == '(')
			depth++;
		else if (s[i] == ')' && --depth == 0)
			return i + 1;
	}
	return n;
}

/* Constructs that would need a real parser: then there is no literal. */
static bool
too_clever(const char *s, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		if (s[i] == '\\') {
			if (is_word(s[i + 1]) &&
			    strchr("dDwWsSbB", s[i + 1]) == NULL)
				return true;
			i++;
		} else if (s[i] == '(' && (s[i + 1] == '*' ||
		    (s[i + 1] == '?' && (i + 2 >= n ||
		    memchr(":=!<>|", s[i + 2], 6) == NULL))))
			return true;
		else if (s[i] == '[' && (s[i + 1] == ':' ||
		    memchr(s + i + 1, '[', n - i - 1) != NULL))
			return true;
	}
	return false;
}

/*
 * The longest run of word characters that stands outside of groups, classes
 * and repetitions.  Alternatives at the top have none in common.
 */
static void
find_literal(const char *s, size_t n, const char **out, size_t *len)
{
	size_t i = 0, from;

	*len = 0;
	if (too_clever(s, n))
		return;
	while (i < n) {
		if (s[i] == '|') {
			*len = 0;
			return;
		}
		if (s[i] == '(' || s[i] == '[') {
			i = skip_group(s, n, i);
			continue;
		}
		if (s[i] == '{') {
			while (i < n && s[i] != '}')
				i++;
			i++;
			continue;
		}
		if (s[i] == '\\') {
			i += 2;
			continue;
		}
		for (from = i; i < n && is_word(s[i]); )
			i++;
		if (i > from) {
			size_t run = i - from;

			/* The last one may be there no time at all. */
			if (i < n && strchr("*?{", s[i]) != NULL)
				run--;
			if (run > *len) {
				*out = s + from;
				*len = run;
			}
		} else
			i++;
	}
}

/* ---- compiling and matching -------------------------------------------- */

static void
regex_free(struct query_regex *r)
{
	pcre2_match_context_free(r->limits);
	pcre2_match_data_free(r->data);
	pcre2_code_free(r->code);
	free(r);
}

void
query_parse_free(struct query_parse *q)
{
	struct query_regex *r;

	while ((r = q->regexes) != NULL) {
		q->regexes = r->next;
		regex_free(r);
	}
}

enum err
regex_compile(struct parse *p, struct query *n, bool fold)
{
	struct query_regex *r = calloc(1, sizeof *r);
	const char *literal = "";
	PCRE2_UCHAR why[120];
	PCRE2_SIZE at;
	int code;

	if (r == NULL)
		return p->err = E_NOMEM;
	r->code = pcre2_compile((PCRE2_SPTR)n->text, n->len, PCRE2_UTF |
	    PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
	    (fold ? PCRE2_CASELESS : 0), &code, &at, NULL);
	if (r->code == NULL) {
		pcre2_get_error_message(code, why, sizeof why);
		free(r);
		return parse_fail(p, "/%.80s/: %s (at %zu)", n->text,
		    (char *)why, (size_t)at);
	}
	r->data = pcre2_match_data_create(1, NULL);
	r->limits = pcre2_match_context_create(NULL);
	find_literal(n->text, n->len, &literal, &r->len);
	r->literal = text_fold(literal, r->len, &r->len, p->q->arena);
	if (r->data == NULL || r->limits == NULL || r->literal == NULL) {
		regex_free(r);
		return p->err = E_NOMEM;
	}
	pcre2_set_match_limit(r->limits, STEPS_MAX);
	pcre2_set_heap_limit(r->limits, HEAP_KIB_MAX);
	r->next = p->q->regexes;
	p->q->regexes = n->regex = r;
	return E_OK;
}

const char *
query_regex_literal(const struct query_regex *r, size_t *n)
{
	*n = r->len;
	return r->literal;
}

enum err
query_regex_match(const struct query_regex *r, const char *s, size_t n)
{
	int rc = pcre2_match(r->code, (PCRE2_SPTR)s, n, 0, 0, r->data,
	    r->limits);

	if (rc == PCRE2_ERROR_NOMATCH)
		return E_NOTFOUND;
	return rc >= 0 ? E_OK : E_TOO_LARGE;
}
