/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around a query in a request of Elasticsearch's. */
#include <stdlib.h>
#include <string.h>

#include "dsl_in.h"
#include "lib/limits.h"

enum { FACET_SIZE = 10 };

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

/* "timestamp", {"timestamp": "desc"}, {"timestamp": {"order": "desc"}}, or an
 * array whose first element counts. */
static bool
sort(struct parse *p, const json_t *v, struct dsl_request *r)
{
	const char *name = json_string_value(v), *order = NULL;
	void *it;

	if (json_is_array(v)) {
		if (json_array_size(v) == 0)
			return true;
		return sort(p, json_array_get(v, 0), r);
	}
	if (json_is_object(v) && json_object_size(v) == 1) {
		it = json_object_iter((json_t *)(uintptr_t)v);
		name = json_object_iter_key(it);
		v = json_object_iter_value(it);
		order = json_string_value(json_is_object(v) ?
		    json_object_get(v, "order") : v);
	}
	if (name != NULL && strcmp(name, "_score") == 0)
		r->sort = DSL_SCORE;
	else if (name != NULL && (strcmp(name, "@timestamp") == 0 ||
	    strcmp(name, "timestamp") == 0 || strcmp(name, "_doc") == 0))
		r->sort = order != NULL && strcmp(order, "desc") == 0 ?
		    DSL_NEWEST : DSL_OLDEST;
	else {
		parse_fail(p, "[sort] by @timestamp, timestamp, _doc or "
		    "_score, not [%.60s]", name == NULL ? "?" : name);
		return false;
	}
	return true;
}

static bool
source(struct parse *p, const json_t *v, struct dsl_request *r)
{
	json_t *one;
	size_t i;

	if (json_is_boolean(v)) {
		r->source = json_is_true(v) ? DSL_ALL : DSL_NONE;
		return true;
	}
	r->source = DSL_SOME;
	if (json_is_object(v))
		v = json_object_get(v, "includes");
	if (json_is_string(v)) {
		r->fields[r->nfields++] = parse_copy(p, json_string_value(v),
		    strlen(json_string_value(v)));
		return r->fields[0] != NULL;
	}
	if (!json_is_array(v) || json_array_size(v) > DSL_FIELDS_MAX) {
		parse_fail(p, "[_source] wants a boolean or at most %d names",
		    DSL_FIELDS_MAX);
		return false;
	}
	json_array_foreach(v, i, one) {
		const char *s = json_string_value(one);

		if (s == NULL) {
			parse_fail(p, "[_source] wants names");
			return false;
		}
		r->fields[r->nfields] = parse_copy(p, s, strlen(s));
		if (r->fields[r->nfields++] == NULL)
			return false;
	}
	return true;
}

/* 30s, 5m, 1h, 1d: of a histogram. */
static bool
interval(const json_t *v, int64_t *out)
{
	const int64_t base = (int64_t)1 << 60;
	static const struct { const char *name; const char *is; } names[] = {
		{ "second", "1s" }, { "minute", "1m" }, { "hour", "1h" },
		{ "day", "1d" }, { "week", "1w" },
	};
	const char *s = json_string_value(v);
	int64_t at;

	for (size_t i = 0; s != NULL && i < sizeof names / sizeof names[0];
	    i++)
		if (strcmp(s, names[i].name) == 0)
			s = names[i].is;
	if (s == NULL || *s < '0' || *s > '9' ||
	    !query_time(s, strlen(s), base, false, &at) || at >= base)
		return false;
	*out = base - at;
	return true;
}

static bool
agg(struct parse *p, const char *name, const json_t *v, struct dsl_agg *a)
{
	const json_t *terms = json_object_get(v, "terms"), *o, *step;
	const json_t *hist = json_object_get(v, "date_histogram");
	const char *field;
	size_t n;

	*a = (struct dsl_agg){ .size = FACET_SIZE, .by_time = hist != NULL };
	o = terms != NULL ? terms : hist;
	if (o == NULL || json_object_size(v) != 1) {
		parse_fail(p, "aggregation [%.60s] is neither terms nor "
		    "date_histogram, or has others in it", name);
		return false;
	}
	field = json_string_value(json_object_get(o, "field"));
	if (field == NULL) {
		parse_fail(p, "aggregation [%.60s] lacks [field]", name);
		return false;
	}
	n = strlen(field);
	if (n > 8 && strcmp(field + n - 8, ".keyword") == 0)
		n -= 8;
	a->name = parse_copy(p, name, strlen(name));
	a->field = parse_copy(p, field, n);
	if (a->name == NULL || a->field == NULL)
		return false;
	if (terms != NULL)
		return json_object_get(o, "size") == NULL || number(p,
		    json_object_get(o, "size"), "size", SEARCH_FACETS_MAX,
		    &a->size);
	step = json_object_get(o, "fixed_interval");
	if (step == NULL)
		step = json_object_get(o, "calendar_interval");
	if (step == NULL)
		step = json_object_get(o, "interval");
	if (!interval(step, &a->interval_ms)) {
		parse_fail(p, "aggregation [%.60s] lacks an interval of "
		    "seconds, minutes, hours, days or weeks", name);
		return false;
	}
	if (strcmp(a->field, "@timestamp") != 0 &&
	    strcmp(a->field, "timestamp") != 0) {
		parse_fail(p, "date_histogram is of @timestamp, not of "
		    "[%.60s]", a->field);
		return false;
	}
	return true;
}

static bool
aggs(struct parse *p, const json_t *v, struct dsl_request *r)
{
	const char *name;
	json_t *one;

	if (!json_is_object(v) || json_object_size(v) > DSL_AGGS_MAX) {
		parse_fail(p, "[aggs] wants an object of at most %d",
		    DSL_AGGS_MAX);
		return false;
	}
	json_object_foreach((json_t *)(uintptr_t)v, name, one)
		if (!agg(p, name, one, &r->aggs[r->naggs++]))
			return false;
	return true;
}

/* One member of the request; what only asks for speed is passed over. */
static bool
member(struct parse *p, const char *name, const json_t *v,
    struct dsl_request *r)
{
	static const char *const ignored[] = { "timeout", "version" };

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
		return aggs(p, v, r);
	if (strcmp(name, "highlight") == 0) {
		r->highlight = true;
		return true;
	}
	if (strcmp(name, "track_total_hits") == 0) {
		r->track_total = !json_is_false(v);
		return true;
	}
	for (size_t i = 0; i < 2; i++)
		if (strcmp(name, ignored[i]) == 0)
			return true;
	parse_fail(p, "unknown key [%.60s]", name);
	return false;
}

enum err
dsl_read(const json_t *v, struct query_parse *q, struct dsl_request *r)
{
	struct parse p = { .q = q };
	const char *name;
	json_t *one;

	*r = (struct dsl_request){ .size = 10, .track_total = true };
	q->why[0] = '\0';
	if (v != NULL && !json_is_object(v))
		return parse_fail(&p, "a request is an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, one)
		if (!member(&p, name, one, r))
			return p.err == E_OK ? E_NOMEM : p.err;
	if (r->query == NULL && (r->query = node_new(&p, Q_ALL)) == NULL)
		return E_NOMEM;
	if (r->from + r->size > SEARCH_HITS_MAX)
		return parse_fail(&p, "[from] and [size] together are more "
		    "than %d", SEARCH_HITS_MAX);
	return E_OK;
}
