/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a record matches a query: the meaning of the language.  What the
 * index says is only where to look.
 */
#ifndef MATCH_H
#define MATCH_H

#include "doc.h"
#include "query.h"
#include "sconf.h"

struct match {
	const struct query *query;
	const char	*topic;
	int32_t		 part;
	const struct sconf *conf;
	bool		 too_costly;	/* an expression gave up on a record */
};

/* d is of record r. */
bool	 match_doc(struct match *, const struct doc *, const struct record *);
/* Whether the query can match in that topic and partition at all. */
bool	 match_scope(const struct query *, const char *topic, int32_t part);
/* ... and with offsets and timestamps in these ranges, ends included. */
bool	 match_range(const struct query *, const char *topic, int32_t part,
	    int64_t low, int64_t high, int64_t ts_low, int64_t ts_high);

/* A place in a text that a word, a phrase or an expression of the query
 * matches; bytes of the folded text. */
struct match_span { size_t from, to; };
/* Those in one text; at most max. */
int	 match_spans(const struct match *, const struct doc_text *,
	    struct match_span *, int max);

#endif
