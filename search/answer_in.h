/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of answers share. */
#ifndef ANSWER_IN_H
#define ANSWER_IN_H

#include "dsl.h"
#include "serve.h"

enum { NAMED_MAX = 64 };	/* topics in a path */

/* One request at work. */
struct task {
	struct serve_call *call;
	struct arena	 arena;
	struct query_parse parse;
	struct dsl_request req;
	const char	*topics[NAMED_MAX];
	int		 ntopics;
	bool		 none;		/* of the topics is there */
	struct search	 search;
	struct doc	 doc;
	int64_t		 began_ms;
	/* Of the searches so far: what went wrong. */
	bool		 timed_out, incomplete;
	int		 shards, failed;
	struct wr	 failures;	/* objects of JSON */
};

/* False: the answer is an error already. */
bool	 task_begin(struct task *, enum sort);
void	 task_finish(struct task *);

void	 answer_put(struct wr *, const char *);
__attribute__((format(printf, 2, 3)))
void	 answer_putf(struct wr *, const char *, ...);

/* In answer_hit.c: one hit; ranked: it has a score. */
void	 answer_hit(struct task *, struct wr *, const struct hit *,
	    bool ranked);
/* In answer_agg.c: runs a search for them.  False: an error. */
bool	 answer_aggs(struct task *, struct wr *);

#endif
