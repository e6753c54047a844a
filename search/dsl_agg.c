/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregations of a request of Elasticsearch's. */
#include <string.h>

#include "dsl_in.h"
#include "lib/limits.h"

enum { FACET_SIZE = 10, MONDAY_MS = 4 * 24 * 60 * 60 * 1000 };

static bool
number(struct parse *p, const json_t *o, const char *name, int64_t low,
    int64_t high, int64_t *out)
{
	const json_t *v = json_object_get(o, name);

	if (v == NULL)
		return true;
	if (json_is_integer(v) && json_integer_value(v) >= low &&
	    json_integer_value(v) <= high) {
		*out = json_integer_value(v);
		return true;
	}
	parse_fail(p, "[%s] wants a number from %lld to %lld", name,
	    (long long)low, (long long)high);
	return false;
}

/* {"_count": "asc"}, or an array of one such. */
static bool
order(struct parse *p, const json_t *v, struct dsl_agg *a)
{
	const char *by, *dir;
	void *it;

	if (v == NULL)
		return true;
	if (json_is_array(v) && json_array_size(v) == 1)
		v = json_array_get(v, 0);
	it = json_is_object(v) && json_object_size(v) == 1 ?
	    json_object_iter((json_t *)(uintptr_t)v) : NULL;
	by = it == NULL ? "" : json_object_iter_key(it);
	dir = it == NULL ? NULL :
	    json_string_value(json_object_iter_value(it));
	if ((strcmp(by, "_count") != 0 && strcmp(by, "_key") != 0) ||
	    dir == NULL || (strcmp(dir, "asc") != 0 &&
	    strcmp(dir, "desc") != 0)) {
		parse_fail(p, "[order] wants _count or _key with asc or "
		    "desc");
		return false;
	}
	a->order = by[1] == 'c' ? (*dir == 'a' ? DSL_COUNT_ASC :
	    DSL_COUNT_DESC) : *dir == 'a' ? DSL_KEY_ASC : DSL_KEY_DESC;
	return true;
}

static bool
terms(struct parse *p, const json_t *o, struct dsl_agg *a)
{
	int64_t ignored;

	a->min_count = 1;
	return dsl_only(p, o, "terms", "field|size|shard_size|order|"
	    "min_doc_count") &&
	    number(p, o, "size", 1, SEARCH_FACETS_MAX, &a->size) &&
	    number(p, o, "shard_size", 1, INT32_MAX, &ignored) &&
	    number(p, o, "min_doc_count", 0, INT64_MAX, &a->min_count) &&
	    order(p, json_object_get(o, "order"), a);
}

/* Steps of the calendar that have one length. */
static bool
calendar(const char *s, struct dsl_agg *a)
{
	static const struct { const char *name, *one, *is; } names[] = {
		{ "second", "1s", "1s" }, { "minute", "1m", "1m" },
		{ "hour", "1h", "1h" }, { "day", "1d", "1d" },
		{ "week", "1w", "7d" },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(s, names[i].name) == 0 ||
		    strcmp(s, names[i].one) == 0) {
			a->shift_ms = i == 4 ? MONDAY_MS : 0;
			return dsl_duration(names[i].is, &a->interval_ms);
		}
	return false;
}

static bool
date_histogram(struct parse *p, const json_t *o, struct dsl_agg *a)
{
	const char *fixed, *cal, *zone;

	if (!dsl_only(p, o, "date_histogram", "field|fixed_interval|"
	    "calendar_interval|interval|min_doc_count|time_zone|order"))
		return false;
	fixed = json_string_value(json_object_get(o, "fixed_interval"));
	cal = json_string_value(json_object_get(o, "calendar_interval"));
	zone = json_string_value(json_object_get(o, "time_zone"));
	if (fixed == NULL && cal == NULL) {
		fixed = json_string_value(json_object_get(o, "interval"));
		cal = fixed != NULL && calendar(fixed, a) ? fixed : NULL;
	}
	if (!(cal != NULL ? calendar(cal, a) : fixed != NULL &&
	    dsl_duration(fixed, &a->interval_ms) && a->interval_ms > 0)) {
		parse_fail(p, "[date_histogram] wants an interval of "
		    "milliseconds, seconds, minutes, hours, days, or a week");
		return false;
	}
	if (json_object_get(o, "time_zone") != NULL && (zone == NULL ||
	    (strcmp(zone, "UTC") != 0 && strcmp(zone, "Z") != 0 &&
	    strcmp(zone, "+00:00") != 0))) {
		parse_fail(p, "[time_zone] of [date_histogram] is UTC");
		return false;
	}
	if (!dsl_is_time(a->field)) {
		parse_fail(p, "[date_histogram] is of @timestamp, not of "
		    "[%.60s]", a->field);
		return false;
	}
	a->order = DSL_KEY_ASC;
	return number(p, o, "min_doc_count", 0, INT64_MAX, &a->min_count) &&
	    order(p, json_object_get(o, "order"), a);
}

static bool
agg(struct parse *p, const char *name, const json_t *v, struct dsl_agg *a)
{
	void *it = json_is_object(v) && json_object_size(v) == 1 ?
	    json_object_iter((json_t *)(uintptr_t)v) : NULL;
	const char *type = it == NULL ? NULL : json_object_iter_key(it);
	const json_t *o = it == NULL ? NULL : json_object_iter_value(it);
	const char *field = json_string_value(json_object_get(o, "field"));

	*a = (struct dsl_agg){ .size = FACET_SIZE };
	if (type == NULL) {
		parse_fail(p, "aggregation [%.60s] wants one type, and none "
		    "in it", name);
		return false;
	}
	a->by_time = strcmp(type, "date_histogram") == 0;
	if (!a->by_time && strcmp(type, "terms") != 0) {
		parse_fail(p, "unknown aggregation type [%.60s] of [%.60s]: "
		    "there are terms and date_histogram", type, name);
		return false;
	}
	if (field == NULL || strlen(field) > DOC_PATH_MAX) {
		parse_fail(p, "aggregation [%.60s] lacks [field], or it is "
		    "too long", name);
		return false;
	}
	a->name = parse_copy(p, name, strlen(name));
	a->field = dsl_path(p, field);
	if (a->name == NULL || a->field == NULL)
		return false;
	return a->by_time ? date_histogram(p, o, a) : terms(p, o, a);
}

bool
dsl_aggs(struct parse *p, const json_t *v, struct dsl_request *r)
{
	const char *name;
	json_t *one;

	if (!json_is_object(v) || json_object_size(v) > DSL_AGGS_MAX ||
	    r->naggs > 0) {
		parse_fail(p, "[aggs] wants one object of at most %d",
		    DSL_AGGS_MAX);
		return false;
	}
	json_object_foreach((json_t *)(uintptr_t)v, name, one)
		if (!agg(p, name, one, &r->aggs[r->naggs++]))
			return false;
	return true;
}
