/* SPDX-License-Identifier: Apache-2.0 */
/* NAME:VALUE in queries: members of JSON, and the names that have a meaning
 * of their own. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "query_in.h"
#include "token.h"

static bool
str_is(struct str s, const char *word)
{
	return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static struct query *
bad(struct parse *p, const char *what, struct str value, const char *must)
{
	parse_fail(p, "%s:%.*s: must be %s", what, (int)value.n, value.p,
	    must);
	return NULL;
}

/* What A..B, >A and their like stand for; false: it is no range. */
static bool
bounds_of(enum field_op op, struct str v, bool quoted, struct bounds *b)
{
	*b = (struct bounds){ .low = { "", 0 }, .high = { "", 0 },
	    .over = op == F_GT, .under = op == F_LT };
	if (op == F_GT || op == F_GE)
		b->low = v;
	else if (op == F_LT || op == F_LE)
		b->high = v;
	else if (op == F_EXACT || quoted)
		return false;
	else {
		for (size_t i = 0; i + 1 < v.n; i++)
			if (v.p[i] == '.' && v.p[i + 1] == '.') {
				b->low = (struct str){ v.p, i };
				b->high = (struct str){ v.p + i + 2,
				    v.n - i - 2 };
				return true;
			}
		return false;
	}
	return true;
}

static bool
number(struct str s, double *out)
{
	char buf[64], *end;

	if (s.n == 0 || s.n >= sizeof buf)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (strchr("+-.0123456789eE", s.p[i]) == NULL)
			return false;
	memcpy(buf, s.p, s.n);
	buf[s.n] = '\0';
	*out = strtod(buf, &end);
	return *end == '\0' && isfinite(*out);
}

static bool
integer(struct str s, int64_t *out)
{
	char buf[32], *end;

	if (s.n == 0 || s.n >= sizeof buf)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	memcpy(buf, s.p, s.n);
	buf[s.n] = '\0';
	errno = 0;
	*out = strtoll(buf, &end, 10);
	return errno == 0;
}

/* ---- members ----------------------------------------------------------- */

/* One end of a range; an empty one is open. */
static bool
range_end(struct parse *p, struct str s, double *num, const char **text,
    bool *none, bool *is_num)
{
	*none = s.n == 0;
	if (*none)
		return true;
	*is_num = number(s, num);
	if (!*is_num)
		*text = parse_copy(p, s.p, s.n);
	return *is_num || *text != NULL;
}

static struct query *
range(struct parse *p, struct str name, const struct bounds *b)
{
	struct query *n = node_new(p, Q_RANGE);
	bool low_num = false, high_num = false;

	if (n == NULL || (n->path = parse_copy(p, name.p, name.n)) == NULL ||
	    !range_end(p, b->low, &n->num, &n->text, &n->no_low, &low_num) ||
	    !range_end(p, b->high, &n->num2, &n->text2, &n->no_high, &high_num))
		return NULL;
	n->low_open = b->over && !n->no_low;
	n->high_open = b->under && !n->no_high;
	n->is_num = low_num || high_num;
	if (n->no_low && n->no_high) {
		parse_fail(p, "%s: the range has no end", n->path);
		return NULL;
	}
	if (!n->no_low && !n->no_high && low_num != high_num) {
		parse_fail(p, "%s: one end of the range is a number and the "
		    "other is not", n->path);
		return NULL;
	}
	if (!n->no_low && !n->no_high && (n->is_num ? n->num > n->num2 :
	    strcmp(n->text, n->text2) > 0)) {
		parse_fail(p, "%s: the range ends before it begins",
		    n->path);
		return NULL;
	}
	return n;
}

static struct query *
member(struct parse *p, struct str name, enum field_op op, struct str value,
    bool quoted)
{
	struct bounds b;
	struct query *n;

	if (bounds_of(op, value, quoted, &b))
		return range(p, name, &b);
	n = node_new(p, Q_FIELD);
	if (n == NULL || (n->path = parse_copy(p, name.p, name.n)) == NULL)
		return NULL;
	n->exact = op == F_EXACT;
	if (op == F_IS && !quoted && value.n > 0 &&
	    value.p[value.n - 1] == '*') {
		n->prefix = true;
		if (--value.n == 0) {
			n->op = Q_HAS;
			n->prefix = false;
			return n;
		}
	}
	n->len = value.n;
	n->text = n->exact ? parse_copy(p, value.p, value.n) :
	    text_fold(value.p, value.n, &n->len, p->q->arena);
	if (n->text == NULL)
		p->err = E_NOMEM;
	return n->text == NULL ? NULL : n;
}

/* ---- names with a meaning ---------------------------------------------- */

static struct query *
key(struct parse *p, struct str v, bool quoted)
{
	struct query *n = node_new(p, Q_KEY);

	if (n == NULL)
		return NULL;
	n->prefix = !quoted && v.n > 0 && v.p[v.n - 1] == '*';
	n->len = v.n - n->prefix;
	n->text = parse_copy(p, v.p, n->len);
	return n->text == NULL ? NULL : n;
}

static struct query *
header(struct parse *p, struct str v)
{
	const char *eq = v.n == 0 ? NULL : memchr(v.p, '=', v.n);
	struct query *n = node_new(p, Q_HEADER);

	if (n == NULL)
		return NULL;
	if (eq == v.p || v.n == 0)
		return bad(p, "header", v, "NAME or NAME=VALUE");
	n->path = parse_copy(p, v.p, eq == NULL ? v.n : (size_t)(eq - v.p));
	if (eq != NULL) {
		n->len = v.n - (size_t)(eq + 1 - v.p);
		n->prefix = n->len > 0 && eq[n->len] == '*';
		n->len -= n->prefix;
		n->text = parse_copy(p, eq + 1, n->len);
		if (n->text == NULL)
			return NULL;
	}
	return n->path == NULL ? NULL : n;
}

/* 0,3-5 as one node or several under OR. */
static struct query *
partitions(struct parse *p, struct str v)
{
	struct query *all = node_new(p, Q_OR), *n;
	struct str s = v, a, b;
	int count = 1;

	for (size_t i = 0; i < v.n; i++)
		count += v.p[i] == ',';
	if (all == NULL || (all->kids = arena_array(p->q->arena,
	    (size_t)count, sizeof *all->kids)) == NULL)
		return NULL;
	while (all->nkids < count) {
		const char *comma = s.n == 0 ? NULL : memchr(s.p, ',', s.n);
		const char *dash;

		a.p = s.p;
		a.n = comma == NULL ? s.n : (size_t)(comma - s.p);
		s.p += a.n + 1;
		s.n -= comma == NULL ? a.n : a.n + 1;
		b = a;
		dash = a.n == 0 ? NULL : memchr(a.p, '-', a.n);
		if (dash != NULL) {
			b.p = dash + 1;
			b.n = a.n - (size_t)(dash + 1 - a.p);
			a.n = (size_t)(dash - a.p);
		}
		n = node_new(p, Q_PART);
		if (n == NULL)
			return NULL;
		if (!integer(a, &n->low) || !integer(b, &n->high) ||
		    n->low > n->high)
			return bad(p, "partition", v, "numbers and ranges "
			    "such as 0,3-5");
		all->kids[all->nkids++] = n;
	}
	return count == 1 ? all->kids[0] : all;
}

/* One end of a range of offsets or times; end: the last moment of what names
 * a stretch of time. */
static bool
point(struct parse *p, bool time, struct str s, bool end, int64_t *out)
{
	return s.n == 0 || (time ?
	    query_time(s.p, s.n, p->q->now_ms, end, out) : integer(s, out));
}

static struct query *
span(struct parse *p, bool time, const struct bounds *b)
{
	const char *name = time ? "time" : "offset";
	struct query *n = node_new(p, time ? Q_TIME : Q_OFFSET);
	bool low_ok, high_ok;

	if (n == NULL)
		return NULL;
	n->low = INT64_MIN;
	n->high = INT64_MAX;
	low_ok = point(p, time, b->low, b->over, &n->low);
	high_ok = point(p, time, b->high, !b->under, &n->high);
	if (!low_ok || !high_ok || (b->low.n == 0 && b->high.n == 0))
		return bad(p, name, low_ok ? b->high : b->low, time ?
		    "a time, or two with .. between" :
		    "an offset, or two with .. between");
	n->low += b->over && b->low.n > 0 && n->low < INT64_MAX;
	n->high -= b->under && b->high.n > 0 && n->high > INT64_MIN;
	if (n->low > n->high && b->low.n > 0 && b->high.n > 0) {
		parse_fail(p, "%s: the range ends before it begins", name);
		return NULL;
	}
	return n;
}

static struct query *
topic(struct parse *p, struct str v)
{
	struct query *n = node_new(p, Q_TOPIC);

	if (n == NULL)
		return NULL;
	n->len = v.n;
	n->text = parse_copy(p, v.p, v.n);
	return n->text == NULL ? NULL : n;
}

static struct query *
has(struct parse *p, struct str name)
{
	struct query *n = node_new(p, Q_HAS);

	if (n != NULL)
		n->path = parse_copy(p, name.p, name.n);
	return n == NULL || n->path == NULL ? NULL : n;
}

struct query *
field_node(struct parse *p, struct str name, enum field_op op,
    struct str value, bool quoted)
{
	bool time = str_is(name, "time");
	struct bounds b;

	/* A dot in front: a member that is called like one of those. */
	if (name.p[0] == '.') {
		name.p++;
		name.n--;
		if (name.n == 0) {
			parse_fail(p, "a member without a name");
			return NULL;
		}
		return member(p, name, op, value, quoted);
	}
	if (time || str_is(name, "offset")) {
		/* Neither = nor quotes mean anything here. */
		if (!bounds_of(op == F_EXACT ? F_IS : op, value, false, &b))
			b = (struct bounds){ .low = value, .high = value };
		return span(p, time, &b);
	}
	if (op == F_IS || op == F_EXACT) {
		if (str_is(name, "key"))
			return key(p, value, quoted || op == F_EXACT);
		if (str_is(name, "header"))
			return header(p, value);
		if (str_is(name, "topic"))
			return topic(p, value);
		if (str_is(name, "partition"))
			return partitions(p, value);
		if (str_is(name, "is")) {
			if (str_is(value, "json"))
				return node_new(p, Q_JSON);
			if (str_is(value, "tombstone"))
				return node_new(p, Q_TOMBSTONE);
			return bad(p, "is", value, "json or tombstone");
		}
		if (str_is(name, "has"))
			return has(p, value);
	}
	return member(p, name, op, value, quoted);
}

struct query *
range_node(struct parse *p, struct str name, const struct bounds *b)
{
	bool time = str_is(name, "time");

	if (time || str_is(name, "offset"))
		return span(p, time, b);
	if (name.p[0] == '.' && name.n > 1) {
		name.p++;
		name.n--;
	}
	/* Lucene's way to ask for any value. */
	if (b->low.n == 0 && b->high.n == 0)
		return has(p, name);
	return range(p, name, b);
}
