/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the query parser share. */
#ifndef QUERY_IN_H
#define QUERY_IN_H

#include "query.h"

struct str { const char *p; size_t n; };

struct parse {
	struct query_parse *q;
	const char	*at, *end;
	int		 depth, nodes;
	enum err	 err;
};

/* Ends of a range; an empty one is open. */
struct bounds { struct str low, high; bool over, under; /* without it */ };

enum field_op { F_IS, F_GT, F_GE, F_LT, F_LE, F_EXACT };

/* Says why, once; returns the error. */
__attribute__((format(printf, 2, 3)))
enum err	 parse_fail(struct parse *, const char *, ...);
struct query	*node_new(struct parse *, enum query_op);
const char	*parse_copy(struct parse *, const char *, size_t);
/* In query_field.c: NAME:OP VALUE. */
struct query	*field_node(struct parse *, struct str name, enum field_op,
		    struct str value, bool quoted);
/* ... and NAME:[A TO B]. */
struct query	*range_node(struct parse *, struct str name,
		    const struct bounds *);
/* In query_regex.c: compiles node's text. */
enum err	 regex_compile(struct parse *, struct query *, bool fold) MUST;

#endif
