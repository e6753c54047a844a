/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-query(7) written a second time, for tests: a record is taken apart
 * once, then any number of queries are asked about it.  It shares with
 * chronik-search the parser of queries, regular expressions, the stemmer and
 * the list of stop words, and none of what finds or checks.
 */
#ifndef SEARCH_EVAL_H
#define SEARCH_EVAL_H

#include "query.h"
#include "sconf.h"
#include "lib/batch.h"

struct eval;
struct eval_query;

/* NULL without memory, as all that is allocated here. */
struct eval *eval_new(void);
void	 eval_free(struct eval *);
/* Made ready for many records; borrows from the query. */
struct eval_query *eval_query_new(const struct query *);
void	 eval_query_free(struct eval_query *);
/* The record that the next questions are about; borrows all of them. */
bool	 eval_record(struct eval *, const struct record *,
	    const struct sconf *, const char *topic, int32_t part);
bool	 eval_match(struct eval *, const struct eval_query *);

#endif
