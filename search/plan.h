/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a query to a query of one shard's index.  It finds at least what the
 * query finds; exact: nothing else either.
 */
#ifndef PLAN_H
#define PLAN_H

#include "query.h"
#include "sconf.h"
#include "xap.h"

enum plan_kind { PLAN_NONE, PLAN_SOME, PLAN_ALL };

struct plan {
	enum plan_kind	 kind;
	bool		 exact;
	struct xap_query *q;		/* of PLAN_SOME; the caller's */
};

/* What a shard is.  Without db and topic the plan is for shards of several. */
struct plan_shard {
	struct xap_db	*db;
	const struct sconf *conf;
	const char	*topic;
	int32_t		 part;
	int64_t		 base, end;	/* offsets */
	int64_t		 ts_low, ts_high; /* of its records */
};

/* E_NOMEM, and what reading the index gives. */
enum err plan_make(const struct query *, const struct plan_shard *,
	    struct plan *) MUST;
void	 plan_free(struct plan *);
/* Why the query cannot use an index at all, as a sentence; NULL: it can. */
const char *plan_refusal(const struct query *);

#endif
