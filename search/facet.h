/* SPDX-License-Identifier: Apache-2.0 */
/* Counting hits by the values of members, and by time.  What lacks memory for
 * it has failed, and its counts are of no use. */
#ifndef FACET_H
#define FACET_H

#include "lib/limits.h"
#include "walk.h"

struct value {
	char	*text;
	int64_t	 count;
	bool	 bare;			/* in JSON it has no quotes */
};

/* Zero but for path and shown; path may also be topic, partition, key. */
struct facet {
	char	 path[DOC_PATH_MAX + 1];
	int64_t	 shown;
	void	*tree;			/* of struct value */
	int	 n;
	int64_t	 rest;			/* of values beyond the bounds */
	struct value **v;		/* after facet_sort: the shown ones */
	int	 nv;
	bool	 failed;
};
void	 facet_hit(struct facet *, const struct doc *, const struct hit *);
void	 facet_sort(struct facet *);
void	 facet_free(struct facet *);

/* Newest first; lost: of steps beyond HIST_MAX. */
enum { HIST_MAX = 100000 };
struct hist { int64_t *start, *count; int n; int64_t lost; bool failed; };
void	 hist_open(struct hist *);
/* shift_ms: a moment when a step begins. */
void	 hist_hit(struct hist *, int64_t step_ms, int64_t shift_ms,
	    int64_t ts);
void	 hist_free(struct hist *);

#endif
