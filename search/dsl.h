/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subset of Elasticsearch's query language that log tools send, read into
 * the tree of query.h.  What is not understood is refused by its name.
 */
#ifndef DSL_H
#define DSL_H

#include <jansson.h>

#include "query.h"

enum { DSL_AGGS_MAX = 16, DSL_FIELDS_MAX = 64 };
enum dsl_sort { DSL_DEFAULT, DSL_SCORE, DSL_NEWEST, DSL_OLDEST };
enum dsl_source { DSL_ALL, DSL_NONE, DSL_SOME };

struct dsl_agg {
	const char	*name, *field;
	bool		 by_time;
	int64_t		 size, interval_ms;
};

/* Strings live in the parse's arena. */
struct dsl_request {
	struct query	*query;
	int64_t		 from, size;
	enum dsl_sort	 sort;
	enum dsl_source	 source;
	const char	*fields[DSL_FIELDS_MAX];
	int		 nfields;
	bool		 highlight, track_total, score;
	struct dsl_agg	 aggs[DSL_AGGS_MAX];
	int		 naggs;
};

/* A whole request; NULL: an empty one.  E_USAGE with parse->why; E_NOMEM. */
enum err dsl_read(const json_t *, struct query_parse *,
	    struct dsl_request *) MUST;

#endif
