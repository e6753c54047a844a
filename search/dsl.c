/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in Elasticsearch's language.  Each clause is a row of a table; an
 * unknown clause, option or form ends in a sentence that names it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsl.h"
#include "dsl_in.h"
#include "lib/limits.h"
#include "token.h"

/* ---- nodes ------------------------------------------------------------- */

static struct query *
join_new(struct parse *p, enum query_op op, size_t kids)
{
	struct query *n = node_new(p, op);

	if (n == NULL)
		return NULL;
	n->kids = arena_array(p->q->arena, kids + 1, sizeof *n->kids);
	if (n->kids == NULL)
		p->err = E_NOMEM;
	return n->kids == NULL ? NULL : n;
}

static const char *
folded(struct parse *p, const char *s, size_t *n)
{
	const char *out = text_fold(s, strlen(s), n, p->q->arena);

	out = out == NULL ? NULL : parse_copy(p, out, *n);
	if (out == NULL && p->err == E_OK)
		p->err = E_NOMEM;
	return out;
}

/* A scalar as the text that a member of JSON has. */
static const char *
scalar(struct parse *p, const json_t *v, const char *clause)
{
	char buf[40];

	if (json_is_string(v))
		return parse_copy(p, json_string_value(v),
		    strlen(json_string_value(v)));
	if (json_is_integer(v))
		snprintf(buf, sizeof buf, "%lld",
		    (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(buf, sizeof buf, "%.15g", json_real_value(v));
	else if (json_is_boolean(v))
		snprintf(buf, sizeof buf, "%s", json_is_true(v) ? "true" :
		    "false");
	else {
		parse_fail(p, "[%s] wants a string, a number or a boolean",
		    clause);
		return NULL;
	}
	return parse_copy(p, buf, strlen(buf));
}

const char *
dsl_path(struct parse *p, const char *field)
{
	size_t n = strlen(field);

	if (n > 8 && strcmp(field + n - 8, ".keyword") == 0)
		n -= 8;
	return parse_copy(p, field, n);
}

static bool
any_field(const char *field)
{
	return strcmp(field, "*") == 0 || strcmp(field, "_all") == 0;
}

bool
dsl_is_time(const char *field)
{
	return strcmp(field, "@timestamp") == 0 ||
	    strcmp(field, "timestamp") == 0;
}

/* What a value of a field is looked for by: names with a meaning as in the
 * query language, all others are members. */
static struct query *
field_is(struct parse *p, const char *field, const char *value, bool prefix)
{
	bool index = strcmp(field, "_index") == 0;
	struct query *n;
	struct str name = { field, strlen(field) };
	char buf[DOC_PATH_MAX + 8];

	if (index || strcmp(field, "topic") == 0)
		name = (struct str){ "topic", 5 };
	else if (strcmp(field, "key") != 0 && strcmp(field, "partition") != 0
	    && strcmp(field, "offset") != 0) {
		n = node_new(p, Q_FIELD);
		if (n == NULL || (n->path = dsl_path(p, field)) == NULL ||
		    (n->text = folded(p, value, &n->len)) == NULL)
			return NULL;
		n->prefix = prefix;
		return n;
	}
	snprintf(buf, sizeof buf, "%.*s%s", DOC_PATH_MAX, value,
	    prefix ? "*" : "");
	value = parse_copy(p, buf, strlen(buf));
	if (value == NULL)
		return NULL;
	return field_node(p, name, F_IS, (struct str){ value,
	    strlen(value) }, !prefix && strcmp(field, "key") == 0);
}

/* ---- clauses of one field ---------------------------------------------- */

/* {"FIELD": value} or {"FIELD": {"NAME": value, ...}}. */
static const char *
one_field(struct parse *p, const json_t *v, const char *clause,
    const char *name, const json_t **value, const json_t **options)
{
	const char *field;
	json_t *inner;
	void *it;

	*options = NULL;
	if (!json_is_object(v) || json_object_size(v) != 1) {
		parse_fail(p, "[%s] wants an object with one field", clause);
		return NULL;
	}
	it = json_object_iter((json_t *)(uintptr_t)v);
	field = json_object_iter_key(it);
	inner = json_object_iter_value(it);
	*value = inner;
	if (json_is_object(inner)) {
		*value = json_object_get(inner, name);
		*options = inner;
		if (*value == NULL) {
			parse_fail(p, "[%s] lacks [%s]", clause, name);
			return NULL;
		}
	}
	if (strlen(field) > DOC_PATH_MAX) {
		parse_fail(p, "[%s] names a field of more than %d bytes",
		    clause, DOC_PATH_MAX);
		return NULL;
	}
	return field;
}

bool
dsl_only(struct parse *p, const json_t *options, const char *clause,
    const char *known)
{
	const char *name;
	json_t *v;

	if (options == NULL)
		return true;
	json_object_foreach((json_t *)(uintptr_t)options, name, v) {
		const char *s = known;
		size_t n = strlen(name);
		bool found = false;

		for (; !found && *s != '\0'; s += strcspn(s, "|"),
		    s += *s == '|')
			found = strcspn(s, "|") == n &&
			    memcmp(s, name, n) == 0;
		if (!found) {
			parse_fail(p, "[%s] does not support [%s]", clause,
			    name);
			return false;
		}
	}
	return true;
}

/* A word of a match, in a field or anywhere. */
static struct query *
word_node(struct parse *p, const char *field, const char *s, size_t n)
{
	bool any = any_field(field);
	struct query *q = node_new(p, any ? Q_WORD : Q_FIELD);

	if (q == NULL)
		return NULL;
	q->text = parse_copy(p, s, n);
	q->len = n;
	q->by_words = !any;
	if (!any)
		q->path = dsl_path(p, field);
	return q->text == NULL || (!any && q->path == NULL) ? NULL : q;
}

static struct query *
c_match(struct parse *p, const json_t *v)
{
	const json_t *value, *options, *op;
	const char *field = one_field(p, v, "match", "query", &value,
	    &options), *text, *s;
	struct query *all;
	struct tokens ts;
	struct token w;
	size_t n;
	bool and;

	if (field == NULL || !dsl_only(p, options, "match", "query|operator") ||
	    (text = scalar(p, value, "match")) == NULL)
		return NULL;
	op = json_object_get(options, "operator");
	s = op == NULL ? "or" : json_string_value(op);
	and = s != NULL && strcasecmp(s, "and") == 0;
	if (s == NULL || (!and && strcasecmp(s, "or") != 0)) {
		parse_fail(p, "[match] operator is and or or");
		return NULL;
	}
	if (strcmp(field, "key") == 0 || strcmp(field, "_index") == 0 ||
	    strcmp(field, "topic") == 0)
		return field_is(p, field, text, false);
	s = folded(p, text, &n);
	all = s == NULL ? NULL : join_new(p, and ? Q_AND : Q_OR, n);
	if (all == NULL)
		return NULL;
	tokens_init(&ts, s, n);
	while (tokens_next(&ts, &w))
		if ((all->kids[all->nkids++] = word_node(p, field, w.p,
		    w.n)) == NULL)
			return NULL;
	return all;
}

static struct query *
c_match_phrase(struct parse *p, const json_t *v)
{
	const json_t *value, *options;
	const char *field = one_field(p, v, "match_phrase", "query", &value,
	    &options), *text;
	struct query *q;
	struct tokens ts;
	struct token w;

	if (field == NULL || !dsl_only(p, options, "match_phrase", "query") ||
	    (text = scalar(p, value, "match_phrase")) == NULL ||
	    (q = node_new(p, Q_PHRASE)) == NULL ||
	    (q->text = folded(p, text, &q->len)) == NULL)
		return NULL;
	if (!any_field(field) && (q->path = dsl_path(p, field)) == NULL)
		return NULL;
	tokens_init(&ts, q->text, q->len);
	if (!tokens_next(&ts, &w))
		q->op = Q_OR;		/* of nothing */
	return q;
}

/* The field and the text of a clause that has nothing else.  NULL: said. */
static const char *
field_text(struct parse *p, const json_t *v, const char *clause,
    const char **text)
{
	const json_t *value, *options;
	const char *field = one_field(p, v, clause, "value", &value, &options);

	return field != NULL && dsl_only(p, options, clause,
	    "value|case_insensitive") &&
	    (*text = scalar(p, value, clause)) != NULL ? field : NULL;
}

static struct query *
c_term(struct parse *p, const json_t *v)
{
	const char *text, *field = field_text(p, v, "term", &text);

	return field == NULL ? NULL : field_is(p, field, text, false);
}

static struct query *
c_terms(struct parse *p, const json_t *v)
{
	const char *field, *text;
	struct query *all;
	json_t *list, *one;
	size_t i;
	void *it;

	it = json_is_object(v) && json_object_size(v) == 1 ?
	    json_object_iter((json_t *)(uintptr_t)v) : NULL;
	list = it == NULL ? NULL : json_object_iter_value(it);
	if (!json_is_array(list)) {
		parse_fail(p, "[terms] wants one field with an array");
		return NULL;
	}
	field = json_object_iter_key(it);
	all = join_new(p, Q_OR, json_array_size(list));
	json_array_foreach(list, i, one) {
		if (all == NULL || (text = scalar(p, one, "terms")) == NULL ||
		    (all->kids[all->nkids++] = field_is(p, field, text,
		    false)) == NULL)
			return NULL;
	}
	return all;
}

static struct query *
c_prefix(struct parse *p, const json_t *v)
{
	const char *text, *field = field_text(p, v, "prefix", &text);

	return field == NULL ? NULL : field_is(p, field, text, true);
}

static struct query *
c_wildcard(struct parse *p, const json_t *v)
{
	const char *text, *field = field_text(p, v, "wildcard", &text);
	size_t n;

	if (field == NULL)
		return NULL;
	n = strcspn(text, "*?");
	if (text[n] != '\0' && (text[n] == '?' || text[n + 1] != '\0')) {
		parse_fail(p, "[wildcard] supports one * at the end only, "
		    "not [%.60s]", text);
		return NULL;
	}
	if (text[n] == '\0')
		return field_is(p, field, text, false);
	text = parse_copy(p, text, n);
	return text == NULL ? NULL : field_is(p, field, text, true);
}

static struct query *
c_exists(struct parse *p, const json_t *v)
{
	const char *field = json_string_value(json_object_get(v, "field"));
	struct query *q = node_new(p, Q_HAS);

	if (field == NULL) {
		parse_fail(p, "[exists] lacks [field]");
		return NULL;
	}
	if (!dsl_only(p, v, "exists", "field") || q == NULL)
		return NULL;
	if (dsl_is_time(field) || strcmp(field, "topic") == 0 ||
	    strcmp(field, "_index") == 0 || strcmp(field, "_id") == 0 ||
	    strcmp(field, "partition") == 0 || strcmp(field, "offset") == 0) {
		q->op = Q_ALL;
		return q;
	}
	if (strcmp(field, "key") == 0) {
		q->op = Q_KEY;
		q->text = "";
		q->prefix = true;
		return q;
	}
	q->path = dsl_path(p, field);
	return q->path == NULL ? NULL : q;
}

/* ---- ranges ------------------------------------------------------------ */

static bool
time_end(struct parse *p, const json_t *v, bool end, int64_t *out)
{
	const char *s = json_string_value(v);

	if (json_is_integer(v))
		*out = json_integer_value(v);
	else if (s != NULL && strcmp(s, "now") == 0)
		*out = p->q->now_ms;
	else if (s != NULL && strlen(s) > 4 && strlen(s) < 18 &&
	    s[strspn(s, "0123456789")] == '\0')
		*out = strtoll(s, NULL, 10);
	else if (s == NULL || !(strncmp(s, "now-", 4) == 0 ? query_time(
	    s + 4, strlen(s + 4), p->q->now_ms, end, out) : query_time(s,
	    strlen(s), p->q->now_ms, end, out))) {
		parse_fail(p, "[range] of a time wants milliseconds, RFC "
		    "3339, now or now-2h");
		return false;
	}
	return true;
}

/* Those that say what is understood anyway. */
static bool
time_format(struct parse *p, const json_t *v)
{
	static const char *const known[] = { "strict_date_optional_time",
	    "date_optional_time", "epoch_millis" };
	const char *s = json_string_value(v);

	while (s != NULL) {
		size_t n = strcspn(s, "|");
		bool found = false;

		for (size_t i = 0; i < 3; i++)
			found |= strlen(known[i]) == n &&
			    memcmp(known[i], s, n) == 0;
		if (!found)
			break;
		if (s[n] == '\0')
			return true;
		s += n + 1 + (s[n + 1] == '|');
	}
	parse_fail(p, "[range] [format] is strict_date_optional_time or "
	    "epoch_millis");
	return false;
}

/* One of gt, gte, lt, lte; without the e the end itself is not in. */
static void
range_end(struct query *q, const char *name, int64_t at)
{
	if (name[0] == 'g')
		q->low = at + (name[2] == '\0' && at < INT64_MAX);
	else
		q->high = at - (name[2] == '\0' && at > INT64_MIN);
}

/* Of offsets and partitions, which are whole numbers. */
static struct query *
range_place(struct parse *p, const json_t *o, enum query_op op)
{
	struct query *q = node_new(p, op);
	const char *name;
	json_t *v;

	if (q == NULL)
		return NULL;
	q->low = INT64_MIN;
	q->high = INT64_MAX;
	json_object_foreach((json_t *)(uintptr_t)o, name, v) {
		int64_t at = json_integer_value(v);

		if (!json_is_integer(v)) {
			parse_fail(p, "[range] of an offset or a partition "
			    "wants whole numbers");
			return NULL;
		}
		range_end(q, name, at);
	}
	if (q->low > q->high)
		q->op = Q_OR;		/* of nothing */
	return q;
}

static struct query *
range_time(struct parse *p, const json_t *o)
{
	struct query *q = node_new(p, Q_TIME);
	const char *name;
	json_t *v;
	int64_t at;

	if (q == NULL)
		return NULL;
	q->low = INT64_MIN;
	q->high = INT64_MAX;
	json_object_foreach((json_t *)(uintptr_t)o, name, v) {
		if (strcmp(name, "format") == 0) {
			if (!time_format(p, v))
				return NULL;
			continue;
		}
		if (!time_end(p, v, strcmp(name, "gt") == 0 ||
		    strcmp(name, "lte") == 0, &at))
			return NULL;
		range_end(q, name, at);
	}
	if (q->low > q->high)
		q->op = Q_OR;		/* of nothing */
	return q;
}

static struct query *
c_range(struct parse *p, const json_t *v)
{
	void *it = json_is_object(v) && json_object_size(v) == 1 ?
	    json_object_iter((json_t *)(uintptr_t)v) : NULL;
	json_t *o = it == NULL ? NULL : json_object_iter_value(it), *end;
	struct query *q;
	const char *field, *name;
	bool text = false;

	if (!json_is_object(o) || json_object_size(o) == 0) {
		parse_fail(p, "[range] wants one field with gt, gte, lt or "
		    "lte");
		return NULL;
	}
	field = json_object_iter_key(it);
	if (!dsl_only(p, o, "range", "gt|gte|lt|lte|format"))
		return NULL;
	if (dsl_is_time(field))
		return range_time(p, o);
	if (json_object_get(o, "format") != NULL) {
		parse_fail(p, "[range] [format] is of times");
		return NULL;
	}
	if (strcmp(field, "offset") == 0 || strcmp(field, "partition") == 0)
		return range_place(p, o, *field == 'o' ? Q_OFFSET : Q_PART);
	q = node_new(p, Q_RANGE);
	if (q == NULL || (q->path = dsl_path(p, field)) == NULL)
		return NULL;
	q->no_low = q->no_high = q->is_num = true;
	json_object_foreach(o, name, end) {
		bool low = name[0] == 'g';

		if (json_is_number(end))
			*(low ? &q->num : &q->num2) = json_number_value(end);
		else if (json_is_string(end)) {
			text = true;
			*(low ? &q->text : &q->text2) = scalar(p, end,
			    "range");
		} else {
			parse_fail(p, "[range] wants numbers or strings");
			return NULL;
		}
		*(low ? &q->no_low : &q->no_high) = false;
		*(low ? &q->low_open : &q->high_open) = name[2] == '\0';
	}
	q->is_num = !text;
	if (text && ((!q->no_low && q->text == NULL) ||
	    (!q->no_high && q->text2 == NULL))) {
		if (p->err == E_OK)
			parse_fail(p, "[range] mixes numbers and strings");
		return NULL;
	}
	return q;
}

/* ---- whole queries ----------------------------------------------------- */

static struct query *
c_query_string(struct parse *p, const json_t *v)
{
	const char *s = json_string_value(json_object_get(v, "query"));
	const char *op = json_string_value(json_object_get(v,
	    "default_operator"));
	struct query *q = NULL;
	bool any = p->q->any;
	enum err e;

	if (json_object_get(v, "default_operator") != NULL && (op == NULL ||
	    (strcasecmp(op, "and") != 0 && strcasecmp(op, "or") != 0))) {
		parse_fail(p, "[query_string] default_operator is AND or OR");
		return NULL;
	}
	if (s == NULL) {
		parse_fail(p, "[query_string] lacks [query]");
		return NULL;
	}
	if (!dsl_only(p, v, "query_string", "query|default_operator|"
	    "analyze_wildcard"))
		return NULL;
	p->q->any = op == NULL || strcasecmp(op, "and") != 0;
	/* The tree borrows from the text, which outlives the request so. */
	s = parse_copy(p, s, strlen(s));
	if (s == NULL)
		return NULL;
	e = query_parse(p->q, s, strlen(s), &q);
	p->q->any = any;
	if (e != E_OK)
		p->err = e;
	return e == E_OK ? q : NULL;
}

/* TOPIC-PARTITION-OFFSET, the _id of hits. */
static struct query *
id_node(struct parse *p, const char *s)
{
	const char *at = strrchr(s, '-'), *part = at;
	struct query *all = join_new(p, Q_AND, 3), *n;
	static const struct str names[] = { { "topic", 5 },
	    { "partition", 9 }, { "offset", 6 } };

	while (part != NULL && part > s && *--part != '-')
		;
	if (part == NULL || part == s || all == NULL) {
		parse_fail(p, "[ids] wants TOPIC-PARTITION-OFFSET, not "
		    "[%.60s]", s);
		return NULL;
	}
	for (int i = 0; i < 3; i++) {
		struct str v = i == 0 ? (struct str){ s, (size_t)(part - s) }
		    : i == 1 ? (struct str){ part + 1, (size_t)(at - part -
		    1) } : (struct str){ at + 1, strlen(at + 1) };

		n = field_node(p, names[i], F_IS, v, true);
		if (n == NULL)
			return NULL;
		all->kids[all->nkids++] = n;
	}
	return all;
}

static struct query *
c_ids(struct parse *p, const json_t *v)
{
	json_t *list = json_object_get(v, "values"), *one;
	struct query *all;
	size_t i;

	if (!json_is_array(list)) {
		parse_fail(p, "[ids] lacks [values]");
		return NULL;
	}
	all = join_new(p, Q_OR, json_array_size(list));
	json_array_foreach(list, i, one) {
		if (all == NULL || !json_is_string(one) ||
		    (all->kids[all->nkids++] = id_node(p,
		    json_string_value(one))) == NULL) {
			parse_fail(p, "[ids] wants strings");
			return NULL;
		}
	}
	return all;
}

static struct query *
c_match_all(struct parse *p, const json_t *v)
{
	(void)v;
	return node_new(p, Q_ALL);
}

static struct query *
c_match_none(struct parse *p, const json_t *v)
{
	(void)v;
	return join_new(p, Q_OR, 0);
}

/* ---- bool -------------------------------------------------------------- */

static struct query *clause(struct parse *, const json_t *);

/* A clause or an array of them. */
static bool
list(struct parse *p, const json_t *v, struct query *into)
{
	json_t *one;
	size_t i;

	if (v == NULL)
		return true;
	if (!json_is_array(v))
		return (into->kids[into->nkids++] = clause(p, v)) != NULL;
	json_array_foreach(v, i, one)
		if ((into->kids[into->nkids++] = clause(p, one)) == NULL)
			return false;
	return true;
}

static size_t
list_size(const json_t *v)
{
	return v == NULL ? 0 : json_is_array(v) ? json_array_size(v) : 1;
}

/* 2, "2", -1 (all but one), "75%" (rounded down), "-25%"; NULL: *out stays. */
static bool
least_read(struct parse *p, const json_t *v, int n, int64_t *out)
{
	const char *s = json_string_value(v);
	char *end;
	long long at;

	if (v == NULL)
		return true;
	if (json_is_integer(v)) {
		at = json_integer_value(v);
	} else {
		at = s == NULL || *s == '\0' ? 0 : strtoll(s, &end, 10);
		if (s == NULL || *s == '\0' || (*end != '\0' &&
		    strcmp(end, "%") != 0) || at < -100000 || at > 100000) {
			parse_fail(p, "[minimum_should_match] wants a number "
			    "or a percentage");
			return false;
		}
		if (*end == '%')
			at = at * n / 100;
	}
	*out = at < 0 ? (at < -n ? 0 : n + at) : at;
	return true;
}

static struct query *
c_bool(struct parse *p, const json_t *v)
{
	const json_t *must = json_object_get(v, "must");
	const json_t *filter = json_object_get(v, "filter");
	const json_t *should = json_object_get(v, "should");
	const json_t *not = json_object_get(v, "must_not");
	const json_t *least = json_object_get(v, "minimum_should_match");
	struct query *all, *some, *none;

	if (!json_is_object(v)) {
		parse_fail(p, "[bool] wants an object");
		return NULL;
	}
	if (!dsl_only(p, v, "bool", "must|filter|should|must_not|"
	    "minimum_should_match"))
		return NULL;
	all = join_new(p, Q_AND, list_size(must) + list_size(filter) + 2);
	some = join_new(p, Q_SOME, list_size(should));
	if (all == NULL || some == NULL || !list(p, must, all) ||
	    !list(p, filter, all) || !list(p, should, some))
		return NULL;
	some->low = all->nkids == 0 && some->nkids > 0;
	if (!least_read(p, least, some->nkids, &some->low))
		return NULL;
	if (some->low > 0)
		all->kids[all->nkids++] = some;
	if (list_size(not) > 0) {
		struct query *any = join_new(p, Q_OR, list_size(not));

		none = join_new(p, Q_NOT, 1);
		if (any == NULL || none == NULL || !list(p, not, any))
			return NULL;
		none->kids[none->nkids++] = any;
		all->kids[all->nkids++] = none;
	}
	if (all->nkids == 0)
		all->op = Q_ALL;
	return all;
}

static const struct {
	const char	*name;
	struct query	*(*read)(struct parse *, const json_t *);
} clauses[] = {
	{ "bool", c_bool }, { "exists", c_exists }, { "ids", c_ids },
	{ "match", c_match }, { "match_all", c_match_all },
	{ "match_none", c_match_none }, { "match_phrase", c_match_phrase },
	{ "prefix", c_prefix }, { "query_string", c_query_string },
	{ "range", c_range }, { "term", c_term }, { "terms", c_terms },
	{ "wildcard", c_wildcard },
};

static struct query *
clause(struct parse *p, const json_t *v)
{
	struct query *q = NULL;
	const char *name;
	void *it;

	if (!json_is_object(v) || json_object_size(v) != 1) {
		parse_fail(p, "a query is an object with one clause");
		return NULL;
	}
	if (++p->depth > QUERY_DEPTH_MAX) {
		parse_fail(p, "the query is nested deeper than %d",
		    QUERY_DEPTH_MAX);
		return NULL;
	}
	it = json_object_iter((json_t *)(uintptr_t)v);
	name = json_object_iter_key(it);
	for (size_t i = 0; i < sizeof clauses / sizeof clauses[0]; i++)
		if (strcmp(name, clauses[i].name) == 0) {
			q = clauses[i].read(p, json_object_iter_value(it));
			p->depth--;
			return q;
		}
	parse_fail(p, "unknown query [%.60s]", name);
	return NULL;
}

struct query *
dsl_query(struct parse *p, const json_t *v)
{
	return clause(p, v);
}
