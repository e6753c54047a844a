/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RE2's syntax is nearly a subset of PCRE2's, so patterns are first read for
 * what RE2 has not: back-references, look-around, atomic groups, possessive
 * and nested quantifiers, recursion, verbs.  pcre2_dfa_match() looks at each
 * character of a name once, with a bounded number of states; a pattern that
 * needs more is refused, if need be when it first meets such a name.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/log.h"
#include "pattern.h"

enum {
	REPEAT_MAX	= 1000,		/* RE2's own */
	STATES_INTS	= 2000,		/* some 300 states at a time */
};

struct pattern {
	pcre2_code	 *code;
	pcre2_match_data *data;
	size_t		  size;
	bool		  costly;	/* met a name it had no room for */
};

/* ---- what RE2 has not -------------------------------------------------- */

struct scan {
	const char	*p, *end;
	const char	*lacks;		/* why not; NULL: fine so far */
};

static bool
eat(struct scan *s, const char *lit)
{
	size_t n = strlen(lit);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, lit, n) != 0)
		return false;
	s->p += n;
	return true;
}

/* Behind a backslash. */
static void
scan_escape(struct scan *s, bool in_class)
{
	char c;

	if (s->p == s->end) {
		s->lacks = "a backslash at its end";
		return;
	}
	c = *s->p++;
	if (c >= '1' && c <= '9')
		s->lacks = "a back-reference";
	else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
		if (strchr(in_class ? "afnrtvdDsSwWpPx"
		    : "afnrtvdDsSwWpPxbBAzQ", c) == NULL)
			s->lacks = "an escape that RE2 has not";
		else if (c == 'Q')
			while (s->p < s->end && !eat(s, "\\E"))
				s->p++;
	}
}

static void
scan_class(struct scan *s)
{
	eat(s, "^");
	eat(s, "]");
	while (s->p < s->end && s->lacks == NULL && *s->p != ']') {
		if (eat(s, "[:<:]") || eat(s, "[:>:]"))
			s->lacks = "a class that RE2 has not";
		else if (eat(s, "[:"))
			while (s->p < s->end && !eat(s, ":]"))
				s->p++;
		else if (eat(s, "\\"))
			scan_escape(s, true);
		else
			s->p++;
	}
	if (!eat(s, "]") && s->lacks == NULL)
		s->lacks = "a class without an end";
}

/* Behind an opening parenthesis. */
static void
scan_group(struct scan *s)
{
	if (eat(s, "*"))
		s->lacks = "a verb";
	if (!eat(s, "?"))
		return;
	if (eat(s, "=") || eat(s, "!") || eat(s, "<=") || eat(s, "<!"))
		s->lacks = "look-around";
	else if (eat(s, "P<") || eat(s, "<"))
		while (s->p < s->end && *s->p != '>')
			s->p++;
	else {
		while (s->p < s->end && strchr("imsU-", *s->p) != NULL)
			s->p++;
		if (!eat(s, ":") && (s->p == s->end || *s->p != ')'))
			s->lacks = "a group that RE2 has not";
	}
}

/* {n}, {n,} or {n,m}; anything else is plain text. */
static bool
eat_repeat(struct scan *s)
{
	const char *p = s->p;
	long n[2] = { 0, 0 };
	int k = 0;

	if (p == s->end || *p++ != '{' || p == s->end || *p < '0' || *p > '9')
		return false;
	for (; p < s->end && *p != '}'; p++)
		if (*p == ',' && k == 0)
			k = 1;
		else if (*p < '0' || *p > '9')
			return false;
		else if (n[k] <= REPEAT_MAX)
			n[k] = n[k] * 10 + *p - '0';
	if (p == s->end)
		return false;
	if (n[0] > REPEAT_MAX || n[1] > REPEAT_MAX)
		s->lacks = "a repetition of more than 1000";
	s->p = p + 1;
	return true;
}

static bool
eat_quantifier(struct scan *s)
{
	return eat(s, "*") || eat(s, "+") || eat(s, "?") || eat_repeat(s);
}

static const char *
re2_lacks(struct kstr re)
{
	struct scan s = { re.p, re.p + (re.len > 0 ? re.len : 0), NULL };

	while (s.p < s.end && s.lacks == NULL) {
		if (eat(&s, "\\"))
			scan_escape(&s, false);
		else if (eat(&s, "["))
			scan_class(&s);
		else if (eat(&s, "("))
			scan_group(&s);
		else if (eat_quantifier(&s)) {
			eat(&s, "?");
			if (s.lacks == NULL && eat_quantifier(&s))
				s.lacks = "a quantifier of a quantifier";
		} else
			s.p++;
	}
	return s.lacks;
}

/* ---- patterns ---------------------------------------------------------- */

enum err
pattern_open(struct kstr re, struct pattern **out, char *why, size_t size)
{
	struct pattern *p;
	PCRE2_UCHAR msg[128];
	const char *lacks = re2_lacks(re);
	PCRE2_SIZE at;
	int code;

	if (re.len > PATTERN_MAX)
		lacks = "too many characters";
	if (lacks != NULL) {
		snprintf(why, size, "it has %s", lacks);
		return E_INVALID_REGEX;
	}
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return E_NOMEM;
	p->code = pcre2_compile((PCRE2_SPTR)(re.len > 0 ? re.p : ""),
	    re.len > 0 ? (size_t)re.len : 0, PCRE2_ANCHORED | PCRE2_UTF |
	    PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE, &code, &at, NULL);
	if (p->code == NULL) {
		pcre2_get_error_message(code, msg, sizeof msg);
		snprintf(why, size, "%s, at character %zu", (char *)msg, at);
		free(p);
		return E_INVALID_REGEX;
	}
	p->data = pcre2_match_data_create(1, NULL);
	if (p->data == NULL) {
		pattern_close(p);
		return E_NOMEM;
	}
	pcre2_pattern_info(p->code, PCRE2_INFO_SIZE, &p->size);
	if (!pattern_match(p, "") && p->costly) {
		snprintf(why, size, "it is too complex");
		pattern_close(p);
		return E_INVALID_REGEX;
	}
	*out = p;
	return E_OK;
}

void
pattern_close(struct pattern *p)
{
	if (p == NULL)
		return;
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
}

/* The longest match comes first: it must be all of the name. */
bool
pattern_match(const struct pattern *p, const char *name)
{
	struct pattern *own = (struct pattern *)(uintptr_t)p;
	int states[STATES_INTS], rc;
	size_t n = strlen(name);

	if (p->costly)
		return false;
	rc = pcre2_dfa_match(p->code, (PCRE2_SPTR)name, n, 0, 0, p->data,
	    NULL, states, STATES_INTS);
	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
		log_warn("a pattern is too complex and matches no more",
		    LI("error", rc));
		own->costly = true;
	}
	return rc >= 0 && pcre2_get_ovector_pointer(p->data)[1] == n;
}

size_t
pattern_size(const struct pattern *p)
{
	return sizeof *p + p->size;
}
