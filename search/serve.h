/* SPDX-License-Identifier: Apache-2.0 */
/* chronik-search serve: the index by HTTP, in Elasticsearch's way. */
#ifndef SERVE_H
#define SERVE_H

#include "lib/buf.h"
#include "walk.h"

enum { PARAMS_MAX = 32 };

/* A request that has come whole, and its answer. */
struct serve_call {
	struct src	*src;
	const char	*dir;		/* of the index */
	const char	*topics;	/* "a,b" of the path; NULL: all */
	const char	*body;		/* JSON, or nothing */
	size_t		 body_len;
	struct { const char *name, *value; } params[PARAMS_MAX];
	int		 nparams;
	struct wr	 out;
	int		 status;	/* of HTTP */
	const char	*type;		/* of the answer's content */
};

/* In answer.c. */
void	 answer_search(struct serve_call *);
void	 answer_count(struct serve_call *);
void	 answer_topic(struct serve_call *);	/* whether they are there */
void	 answer_indices(struct serve_call *);
void	 answer_health(struct serve_call *);
void	 answer_metrics(struct serve_call *);	/* in answer_metrics.c */
/* What Elasticsearch's clients ask first: its product check. */
void	 answer_root(struct serve_call *);
/* An error in Elasticsearch's form. */
void	 answer_error(struct serve_call *, int status, const char *type,
	    const char *why);

#endif
