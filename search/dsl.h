/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subset of Elasticsearch's query language that log tools send, read into
 * the tree of query.h.  What is not understood is refused by its name.
 */
#ifndef DSL_H
#define DSL_H

#include <jansson.h>

#include "query.h"

enum { DSL_AGGS_MAX = 16, DSL_FIELDS_MAX = 64, DSL_SORTS_MAX = 4 };
enum dsl_sort { DSL_DEFAULT, DSL_SCORE, DSL_NEWEST, DSL_OLDEST };
enum dsl_order { DSL_COUNT_DESC, DSL_COUNT_ASC, DSL_KEY_ASC, DSL_KEY_DESC };

struct dsl_agg {
	const char	*name, *field;
	bool		 by_time;
	enum dsl_order	 order;
	int64_t		 size, interval_ms;
	int64_t		 shift_ms;	/* where steps begin */
	int64_t		 min_count;
};

/* Patterns of names, with stars. */
struct dsl_names {
	const char	*v[DSL_FIELDS_MAX];
	int		 n;
};

/* Strings live in the parse's arena. */
struct dsl_request {
	struct query	*query;
	const char	*q;		/* of the URL; NULL: none */
	bool		 q_and;
	int64_t		 from, size, timeout_ms;
	enum dsl_sort	 sort;
	/* What is told of each hit as "sort": t time, d offset, s score. */
	char		 sort_values[DSL_SORTS_MAX + 1];
	bool		 no_source;
	struct dsl_names include, exclude;
	bool		 highlight, track_total;
	struct dsl_names marked;	/* members that are highlighted */
	const char	*pre, *post;	/* of what is */
	struct dsl_agg	 aggs[DSL_AGGS_MAX];
	int		 naggs;
	/* Of the URL alone. */
	bool		 total_as_int, typed_keys, ignore_missing;
	bool		 json, head, pretty;
};

/* An empty request. */
void	 dsl_init(struct dsl_request *);
/* A whole body, NULL: none.  E_USAGE with parse->why; E_NOMEM. */
enum err dsl_read(const json_t *, struct query_parse *,
	    struct dsl_request *) MUST;
/* A parameter of the URL; value NULL: it has none.  As dsl_read. */
enum err dsl_param(const char *name, const char *value,
	    struct query_parse *, struct dsl_request *) MUST;
/* After both: reads q, and checks what belongs together. */
enum err dsl_finish(struct query_parse *, struct dsl_request *) MUST;
/* Whether a name matches one of the patterns, or is below one that does. */
bool	 dsl_named(const struct dsl_names *, const char *name);

#endif
