/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query language, chronik-query(7): its tree and its parser.  The tree is
 * used for the choice of shards, for the query of the index, for the check of
 * records and to explain itself, so that all of them mean the same.
 */
#ifndef QUERY_H
#define QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "lib/buf.h"

enum query_op {
	Q_ALL,
	Q_AND, Q_OR, Q_NOT,
	Q_SOME,		/* at least low of the kids */
	Q_WORD,		/* text at the edges of words, folded */
	Q_PHRASE,	/* words one after the other, folded; path: there */
	Q_REGEX,
	Q_FIELD,	/* path, text: folded; exact: as it is */
	Q_RANGE,	/* path, num or text from and to */
	Q_HAS,		/* path */
	Q_JSON, Q_TOMBSTONE,
	Q_KEY, Q_HEADER,
	Q_TOPIC, Q_PART, Q_OFFSET, Q_TIME,
};

struct query_regex;

/* Owned by the query's arena, but for compiled expressions. */
struct query {
	enum query_op	 op;
	int		 nkids, kids_cap;
	struct query	**kids;
	const char	*path;		/* or a header's name */
	const char	*text;		/* of a range: the lower end */
	size_t		 len;
	const char	*text2;		/* of a range: the upper end */
	bool		 prefix, exact;
	bool		 by_words;	/* a field: words of it, not all */
	bool		 is_num;	/* a range of numbers */
	bool		 no_low, no_high, low_open, high_open;
	double		 num, num2;
	int64_t		 low, high;	/* offsets, times, partitions; both
					 * ends belong */
	struct query_regex *regex;
};

struct query_parse {
	struct arena	*arena;
	bool		 any;		/* words side by side: OR, not AND */
	int64_t		 now_ms;	/* for relative times */
	char		 why[256];	/* after E_USAGE: a sentence */
	struct query_regex *regexes;	/* to be freed */
};

/* NULL-terminated or not, n bytes.  E_USAGE with why; E_NOMEM. */
enum err query_parse(struct query_parse *, const char *, size_t n,
	    struct query **) MUST;
void	 query_parse_free(struct query_parse *);
/* A point in time: RFC 3339 or its beginning, @ms, "now", "yesterday",
 * "today", or an age such as 2h.  end: the last ms that the words name. */
bool	 query_time(const char *, size_t n, int64_t now_ms, bool end,
	    int64_t *out);
/* As an s-expression on one line. */
void	 query_print(const struct query *, struct wr *);

/* The longest text without which the expression does not match, folded;
 * its length may be 0. */
const char *query_regex_literal(const struct query_regex *, size_t *n);
/* E_OK, E_NOTFOUND, or E_TOO_LARGE when it takes too many steps. */
enum err query_regex_match(const struct query_regex *, const char *, size_t n)
	    MUST;

#endif
