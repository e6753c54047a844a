/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the DSL's reader share. */
#ifndef DSL_IN_H
#define DSL_IN_H

#include "dsl.h"
#include "query_in.h"

/* A query; NULL: p->err and why. */
struct query	*dsl_query(struct parse *, const json_t *);
/* Refuses members of an object that are not among "a|b". */
bool		 dsl_only(struct parse *, const json_t *, const char *clause,
		    const char *known);
/* The name of a member: without ".keyword", which others append. */
const char	*dsl_path(struct parse *, const char *field);
bool		 dsl_is_time(const char *field);
/* A length of time as Elasticsearch writes it: 500ms, 1d; false: none. */
bool		 dsl_duration(const char *, int64_t *ms);
bool		 dsl_sort_add(struct parse *, struct dsl_request *,
		    const char *field, const char *order);
bool		 dsl_name_add(struct parse *, struct dsl_names *,
		    const char *, size_t n);
/* In dsl_agg.c. */
bool		 dsl_aggs(struct parse *, const json_t *,
		    struct dsl_request *);

#endif
