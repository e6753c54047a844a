/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches that must be stored in another codec than they came in.  What is
 * small is done on the spot; the rest by worker threads, while its connection
 * is not read any further, so that appends keep their order.
 *
 * A plan is one Produce request as it is going to the engine.  It lives on
 * the stack unless its batches go to a worker; then the request owns it.
 */
#ifndef RECODE_H
#define RECODE_H

#include "codecs.h"
#include "gateway.h"

/* One batch.  A worker reads bytes and writes out and err, nothing else. */
struct recode_item {
	struct append_req_part *row;	/* in plan.out */
	const uint8_t	*bytes;		/* in the request's memory */
	size_t		 len;
	enum codec	 codec;		/* wanted */
	int32_t		 level;
	struct wr	 out;
	enum err	 err;
};

struct plan {
	uv_work_t	 work;
	TAILQ_ENTRY(plan) next;		/* of gw.recodes */
	struct req	*r;
	struct arena	 a;
	struct append_req out;		/* in a */
	struct recode_item *items;	/* ours */
	int		 n, cap;
	int64_t		 plain;		/* bytes of all, decompressed */
	size_t		 heap;		/* of gw->heap */
	bool		 done;
};

/* Adds a batch whose records are of plain bytes (-1: not known) once they are
 * decompressed.  E_NOMEM. */
enum err recode_add(struct plan *, struct append_req_part *, const uint8_t *,
	    size_t n, const struct topic_recode *, int64_t plain) MUST;
/* True when it is too much to be done on the spot. */
bool	 recode_is_long(const struct plan *);
/* Does all of it now. */
void	 recode_now(struct plan *);
/* Has it done by a worker; the request, which takes the plan over, is
 * submitted to the link again afterwards.  E_NOMEM leaves all as it was. */
enum err recode_start(struct req *, struct plan *) MUST;
/* Frees what a plan holds. */
void	 plan_free(struct plan *);
/* The same, of a request that owns one. */
void	 req_plan_free(struct req *);

#endif
