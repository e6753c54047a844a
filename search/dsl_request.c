/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around a query in a request of Elasticsearch's. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "dsl_in.h"
#include "lib/limits.h"

enum { TIMEOUT_MS = 30000, HITS = 10 };

static bool
number(struct parse *p, const json_t *v, const char *name, int64_t max,
    int64_t *out)
{
	if (json_is_integer(v) && json_integer_value(v) >= 0 &&
	    json_integer_value(v) <= max) {
		*out = json_integer_value(v);
		return true;
	}
	parse_fail(p, "[%s] wants a number from 0 to %lld", name,
	    (long long)max);
	return false;
}

bool
dsl_duration(const char *s, int64_t *ms)
{
	const int64_t base = (int64_t)1 << 60;
	int64_t at;

	if (*s < '0' || *s > '9' ||
	    !query_time(s, strlen(s), base, false, &at) || at > base)
		return false;
	*ms = base - at;
	return true;
}

/* ---- names ------------------------------------------------------------- */

bool
dsl_name_add(struct parse *p, struct dsl_names *v, const char *s, size_t n)
{
	if (v->n == DSL_FIELDS_MAX || n == 0 || n > DOC_PATH_MAX) {
		parse_fail(p, "at most %d names of at most %d bytes",
		    DSL_FIELDS_MAX, DOC_PATH_MAX);
		return false;
	}
	return (v->v[v->n++] = parse_copy(p, s, n)) != NULL;
}

bool
dsl_named(const struct dsl_names *v, const char *name)
{
	for (int i = 0; i < v->n; i++) {
		const char *s = v->v[i];
		size_t n = strlen(s);

		if (strcspn(s, "*?[\\") < n ? fnmatch(s, name, 0) == 0 :
		    strncmp(s, name, n) == 0 && (name[n] == '\0' ||
		    name[n] == '.'))
			return true;
	}
	return false;
}

/* A name, or an array of names. */
static bool
names(struct parse *p, const char *what, const json_t *v,
    struct dsl_names *out)
{
	json_t *one;
	size_t i;

	if (v == NULL)
		return true;
	if (json_is_string(v))
		return dsl_name_add(p, out, json_string_value(v),
		    json_string_length(v));
	if (!json_is_array(v)) {
		parse_fail(p, "[%s] wants names", what);
		return false;
	}
	json_array_foreach(v, i, one) {
		if (!json_is_string(one)) {
			parse_fail(p, "[%s] wants names", what);
			return false;
		}
		if (!dsl_name_add(p, out, json_string_value(one),
		    json_string_length(one)))
			return false;
	}
	return true;
}

static bool
source(struct parse *p, const json_t *v, struct dsl_request *r)
{
	if (json_is_boolean(v)) {
		r->no_source = json_is_false(v);
		return true;
	}
	if (!json_is_object(v))
		return names(p, "_source", v, &r->include);
	return dsl_only(p, v, "_source", "includes|include|excludes|"
	    "exclude") &&
	    names(p, "includes", json_object_get(v, "includes"),
	    &r->include) &&
	    names(p, "include", json_object_get(v, "include"),
	    &r->include) &&
	    names(p, "excludes", json_object_get(v, "excludes"),
	    &r->exclude) &&
	    names(p, "exclude", json_object_get(v, "exclude"), &r->exclude);
}

/* ---- sort -------------------------------------------------------------- */

bool
dsl_sort_add(struct parse *p, struct dsl_request *r, const char *field,
    const char *order)
{
	size_t n = strlen(r->sort_values);
	bool score = strcmp(field, "_score") == 0;
	bool doc = strcmp(field, "_doc") == 0;
	enum dsl_sort s;

	if (order != NULL && strcmp(order, "asc") != 0 &&
	    strcmp(order, "desc") != 0) {
		parse_fail(p, "[sort] order is asc or desc, not [%.60s]",
		    order);
		return false;
	}
	if (!score && !doc && !dsl_is_time(field)) {
		parse_fail(p, "[sort] by @timestamp, timestamp, _doc or "
		    "_score, not [%.60s]", field);
		return false;
	}
	if (score && order != NULL && *order == 'a') {
		parse_fail(p, "[sort] by _score is descending");
		return false;
	}
	s = score ? DSL_SCORE : order != NULL && *order == 'd' ? DSL_NEWEST :
	    DSL_OLDEST;
	if (n == DSL_SORTS_MAX || (n > 0 && !doc && !(score &&
	    r->sort != DSL_SCORE))) {
		parse_fail(p, "[sort] by one field, and _doc or _score "
		    "behind it, not also by [%.60s]", field);
		return false;
	}
	if (n == 0)
		r->sort = s;
	r->sort_values[n] = score ? 's' : doc ? 'd' : 't';
	r->sort_values[n + 1] = '\0';
	return true;
}

/* "timestamp", {"timestamp": "desc"} or {"timestamp": {"order": "desc"}}. */
static bool
sort_one(struct parse *p, const json_t *v, struct dsl_request *r)
{
	const char *name = json_string_value(v), *order = NULL;
	void *it;

	if (json_is_object(v) && json_object_size(v) == 1) {
		it = json_object_iter((json_t *)(uintptr_t)v);
		name = json_object_iter_key(it);
		v = json_object_iter_value(it);
		if (json_is_object(v) && !dsl_only(p, v, "sort",
		    "order|unmapped_type"))
			return false;
		order = json_string_value(json_is_object(v) ?
		    json_object_get(v, "order") : v);
	}
	if (name == NULL) {
		parse_fail(p, "[sort] wants a field, or an object with one");
		return false;
	}
	return dsl_sort_add(p, r, name, order);
}

static bool
sort(struct parse *p, const json_t *v, struct dsl_request *r)
{
	json_t *one;
	size_t i;

	if (!json_is_array(v))
		return sort_one(p, v, r);
	json_array_foreach(v, i, one)
		if (!sort_one(p, one, r))
			return false;
	return true;
}

/* ---- highlight --------------------------------------------------------- */

static bool
tag(struct parse *p, const json_t *v, const char *name, const char **out)
{
	if (v == NULL)
		return true;
	if (json_is_array(v) && json_array_size(v) > 0)
		v = json_array_get(v, 0);
	if (!json_is_string(v)) {
		parse_fail(p, "[%s] wants strings", name);
		return false;
	}
	*out = parse_copy(p, json_string_value(v), json_string_length(v));
	return *out != NULL;
}

/* Of one field: what does not change that it comes as one fragment. */
static bool
marked(struct parse *p, const char *name, const json_t *v,
    struct dsl_request *r)
{
	return dsl_only(p, v, "highlight", "type|number_of_fragments|"
	    "fragment_size") &&
	    dsl_name_add(p, &r->marked, name, strlen(name));
}

static bool
highlight(struct parse *p, const json_t *v, struct dsl_request *r)
{
	json_t *fields, *one, *inner;
	const char *name;
	size_t i;

	if (!json_is_object(v)) {
		parse_fail(p, "[highlight] wants an object");
		return false;
	}
	fields = json_object_get(v, "fields");
	if (!dsl_only(p, v, "highlight", "fields|pre_tags|post_tags|type|"
	    "number_of_fragments|fragment_size") ||
	    !tag(p, json_object_get(v, "pre_tags"), "pre_tags", &r->pre) ||
	    !tag(p, json_object_get(v, "post_tags"), "post_tags", &r->post))
		return false;
	r->highlight = true;
	if (json_is_array(fields)) {
		json_array_foreach(fields, i, one)
			json_object_foreach(one, name, inner)
				if (!marked(p, name, inner, r))
					return false;
		return true;
	}
	json_object_foreach(fields, name, inner)
		if (!marked(p, name, inner, r))
			return false;
	return true;
}

/* ---- the body ---------------------------------------------------------- */

static bool
timeout(struct parse *p, const char *s, struct dsl_request *r)
{
	if (s != NULL && strcmp(s, "-1") == 0)
		return true;
	if (s == NULL || !dsl_duration(s, &r->timeout_ms)) {
		parse_fail(p, "[timeout] wants a time such as 500ms or 5s");
		return false;
	}
	if (r->timeout_ms > TIMEOUT_MS)
		r->timeout_ms = TIMEOUT_MS;
	return true;
}

static bool
member(struct parse *p, const char *name, const json_t *v,
    struct dsl_request *r)
{
	if (strcmp(name, "query") == 0)
		return (r->query = dsl_query(p, v)) != NULL;
	if (strcmp(name, "from") == 0)
		return number(p, v, name, SEARCH_HITS_MAX, &r->from);
	if (strcmp(name, "size") == 0)
		return number(p, v, name, SEARCH_HITS_MAX, &r->size);
	if (strcmp(name, "sort") == 0)
		return sort(p, v, r);
	if (strcmp(name, "_source") == 0)
		return source(p, v, r);
	if (strcmp(name, "aggs") == 0 || strcmp(name, "aggregations") == 0)
		return dsl_aggs(p, v, r);
	if (strcmp(name, "highlight") == 0)
		return highlight(p, v, r);
	if (strcmp(name, "timeout") == 0)
		return timeout(p, json_string_value(v), r);
	if (strcmp(name, "track_total_hits") == 0) {
		/* A number asks for at least so many: all are counted. */
		r->track_total = !json_is_false(v);
		if (json_is_boolean(v) || (json_is_integer(v) &&
		    json_integer_value(v) >= 0))
			return true;
		parse_fail(p, "[track_total_hits] wants a boolean or a "
		    "number");
		return false;
	}
	parse_fail(p, "unknown key [%.60s]", name);
	return false;
}

void
dsl_init(struct dsl_request *r)
{
	*r = (struct dsl_request){ .size = HITS, .track_total = true,
	    .timeout_ms = TIMEOUT_MS, .pre = "<em>", .post = "</em>" };
}

enum err
dsl_read(const json_t *v, struct query_parse *q, struct dsl_request *r)
{
	struct parse p = { .q = q };
	const char *name;
	json_t *one;

	q->why[0] = '\0';
	if (v != NULL && !json_is_object(v))
		return parse_fail(&p, "a request is an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, one)
		if (!member(&p, name, one, r))
			return p.err == E_OK ? E_NOMEM : p.err;
	return E_OK;
}

enum err
dsl_finish(struct query_parse *q, struct dsl_request *r)
{
	struct parse p = { .q = q };
	enum err e;

	if (r->q != NULL) {
		q->any = !r->q_and;
		e = query_parse(q, r->q, strlen(r->q), &r->query);
		if (e != E_OK)
			return e;
	}
	if (r->query == NULL && (r->query = node_new(&p, Q_ALL)) == NULL)
		return E_NOMEM;
	if (r->from + r->size > SEARCH_HITS_MAX)
		return parse_fail(&p, "[from] and [size] together are more "
		    "than %d", SEARCH_HITS_MAX);
	return E_OK;
}

/* ---- the URL ----------------------------------------------------------- */

/* "a,b" */
static bool
url_names(struct parse *p, const char *s, struct dsl_names *out)
{
	for (;;) {
		size_t n = strcspn(s, ",");

		if (!dsl_name_add(p, out, s, n))
			return false;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

/* "field:asc,other" */
static bool
url_sort(struct parse *p, const char *s, struct dsl_request *r)
{
	char one[DOC_PATH_MAX + 8], *colon;

	for (;;) {
		size_t n = strcspn(s, ",");

		if (n >= sizeof one) {
			parse_fail(p, "[sort] names a field that is too long");
			return false;
		}
		memcpy(one, s, n);
		one[n] = '\0';
		colon = strrchr(one, ':');
		if (colon != NULL)
			*colon++ = '\0';
		if (!dsl_sort_add(p, r, one, colon))
			return false;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

static bool
url_number(struct parse *p, const char *name, const char *s, int64_t *out)
{
	char *end;
	long long n = strtoll(s, &end, 10);

	if (*s < '0' || *s > '9' || *end != '\0' || n > SEARCH_HITS_MAX) {
		parse_fail(p, "[%s] wants a number from 0 to %d", name,
		    SEARCH_HITS_MAX);
		return false;
	}
	*out = n;
	return true;
}

/* Without a value it is true. */
static bool
url_bool(struct parse *p, const char *name, const char *s, bool *out)
{
	*out = *s == '\0' || strcmp(s, "true") == 0;
	if (*out || strcmp(s, "false") == 0)
		return true;
	parse_fail(p, "[%s] is true or false, not [%.60s]", name, s);
	return false;
}

static bool
url_operator(struct parse *p, const char *s, struct dsl_request *r)
{
	r->q_and = strcasecmp(s, "and") == 0;
	if (r->q_and || strcasecmp(s, "or") == 0)
		return true;
	parse_fail(p, "[default_operator] is AND or OR");
	return false;
}

static bool
url_source(struct parse *p, const char *s, struct dsl_request *r)
{
	if (strcmp(s, "true") != 0 && strcmp(s, "false") != 0)
		return url_names(p, s, &r->include);
	r->no_source = *s == 'f';
	return true;
}

static bool
url_format(struct parse *p, const char *s, struct dsl_request *r)
{
	r->json = strcmp(s, "json") == 0;
	if (r->json || strcmp(s, "text") == 0)
		return true;
	parse_fail(p, "[format] is json or text");
	return false;
}

/* Booleans, and where they go; those that go nowhere only ask for speed, or
 * for what is so anyway. */
static bool
url_flag(struct parse *p, const char *name, const char *s,
    struct dsl_request *r)
{
	bool none;
	const struct { const char *name; bool *to; } flags[] = {
		{ "track_total_hits", &r->track_total },
		{ "rest_total_hits_as_int", &r->total_as_int },
		{ "typed_keys", &r->typed_keys },
		{ "ignore_unavailable", &r->ignore_missing },
		{ "pretty", &r->pretty }, { "v", &r->head },
		{ "allow_no_indices", &none }, { "human", &none },
		{ "error_trace", &none }, { "request_cache", &none },
		{ "ignore_throttled", &none },
		{ "ccs_minimize_roundtrips", &none },
	};

	/* A number asks for at least so many: all are counted. */
	if (strcmp(name, "track_total_hits") == 0 && *s != '\0' &&
	    s[strspn(s, "0123456789")] == '\0')
		return true;
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (strcmp(name, flags[i].name) == 0)
			return url_bool(p, name, s, flags[i].to);
	if (strcmp(name, "preference") == 0 ||
	    strcmp(name, "expand_wildcards") == 0 ||
	    strcmp(name, "batched_reduce_size") == 0)
		return true;
	parse_fail(p, "unrecognized parameter: [%.60s]", name);
	return false;
}

enum err
dsl_param(const char *name, const char *s, struct query_parse *q,
    struct dsl_request *r)
{
	struct parse p = { .q = q };
	bool ok;

	s = s == NULL ? "" : s;
	if (strcmp(name, "q") == 0)
		ok = (r->q = parse_copy(&p, s, strlen(s))) != NULL;
	else if (strcmp(name, "size") == 0)
		ok = url_number(&p, name, s, &r->size);
	else if (strcmp(name, "from") == 0)
		ok = url_number(&p, name, s, &r->from);
	else if (strcmp(name, "sort") == 0)
		ok = url_sort(&p, s, r);
	else if (strcmp(name, "timeout") == 0)
		ok = timeout(&p, s, r);
	else if (strcmp(name, "default_operator") == 0)
		ok = url_operator(&p, s, r);
	else if (strcmp(name, "_source") == 0)
		ok = url_source(&p, s, r);
	else if (strcmp(name, "_source_includes") == 0)
		ok = url_names(&p, s, &r->include);
	else if (strcmp(name, "_source_excludes") == 0)
		ok = url_names(&p, s, &r->exclude);
	else if (strcmp(name, "format") == 0)
		ok = url_format(&p, s, r);
	else
		ok = url_flag(&p, name, s, r);
	return ok ? E_OK : p.err == E_OK ? E_NOMEM : p.err;
}
