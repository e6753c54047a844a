/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetForLeaderEpoch: where an epoch ended (KIP-320).  Epochs never fall
 * along the log, so the first batch of a later epoch is found by halving: over
 * the segments, then over index entries, then batch by batch.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "serve.h"

enum { WALK_MAX = 64 * KIB };	/* below this, batch by batch */

struct epoch_span {
	struct seg	*seg;		/* ours */
	int64_t		 end, nfile;
};

struct epoch_query {
	struct part	*part;
	int32_t		 want;
	struct epoch_span *spans;
	int		 n;
	/* Found: the greatest epoch <= want that has batches (-1 none), and
	 * the offset of the first batch of a later one (-1 none). */
	int32_t		 floor;
	int64_t		 after;
	enum err	 err;
	struct offset_for_leader_epoch_res_topic_part *res;
};

struct epochs {
	struct job	 job;
	struct call	*call;
	struct offset_for_leader_epoch_res res;
	struct epoch_query *queries;
	int		 n;
};

/* ---- on a worker ------------------------------------------------------- */

static enum err
header_at(const struct seg *s, int64_t pos, struct batch *b)
{
	uint8_t head[BATCH_HEADER];
	size_t got;
	enum err e = disk->pread(s->fd, head, sizeof head, pos, &got);

	if (e == E_OK && got != sizeof head)
		e = E_EOF;
	return e != E_OK ? e : batch_read(head, b);
}

/* A batch boundary about the middle of (lo, hi), by the index; lo if none. */
static int64_t
middle(const struct epoch_span *sp, int64_t lo, int64_t hi)
{
	char path[PATH_SIZE];
	struct idx_entry e;
	int n = 0;

	idx_path(sp->seg, path);
	if (sp->nfile == 0 || idx_load(path, &sp->seg->id, sp->seg->base,
	    sp->nfile, 1, lo + (hi - lo) / 2, &e, 1, &n) != E_OK || n == 0 ||
	    e.pos <= lo || e.pos >= hi)
		return lo;
	return e.pos;
}

static int
walk_each(const struct batch *b, int64_t pos, void *arg)
{
	struct epoch_query *q = arg;

	(void)pos;
	if (b->leader_epoch > q->want) {
		q->after = b->base_offset;
		return 1;
	}
	q->floor = b->leader_epoch;
	return 0;
}

/* The segment's first batch is of an epoch <= want. */
static void
search_seg(struct epoch_query *q, const struct epoch_span *sp)
{
	int64_t lo = 0, hi = sp->end, mid;
	struct batch b;

	while (hi - lo > WALK_MAX && (mid = middle(sp, lo, hi)) > lo) {
		q->err = header_at(sp->seg, mid, &b);
		if (q->err != E_OK)
			return;
		if (b.leader_epoch > q->want)
			hi = mid;
		else
			lo = mid;
	}
	q->err = seg_walk(sp->seg->fd, lo, sp->end, walk_each, q, &mid);
}

static void
query_run(struct epoch_query *q)
{
	int lo = -1, hi = q->n;		/* first batch: lo <= want < hi */
	struct batch b;

	while (hi - lo > 1 && q->err == E_OK) {
		int mid = (lo + hi) / 2;

		q->err = header_at(q->spans[mid].seg, 0, &b);
		if (q->err == E_OK && b.leader_epoch > q->want) {
			hi = mid;
			q->after = b.base_offset;
		} else
			lo = mid;
	}
	if (lo >= 0 && q->err == E_OK)
		search_seg(q, &q->spans[lo]);
}

static void
epochs_run(struct job *j)
{
	struct epochs *es = (struct epochs *)j;

	for (int i = 0; i < es->n; i++)
		query_run(&es->queries[i]);
}

/* ---- on the loop ------------------------------------------------------- */

static void
epochs_finish(struct epochs *es)
{
	call_reply(es->call, &es->res);
	free(es->queries);
	free(es);
}

static void
query_free(struct epoch_query *q)
{
	for (int i = 0; i < q->n; i++)
		seg_unref(q->spans[i].seg);
	free(q->spans);
}

static void
epochs_done(struct job *j)
{
	struct epochs *es = (struct epochs *)j;

	for (int i = 0; i < es->n; i++) {
		struct epoch_query *q = &es->queries[i];

		if (q->err != E_OK) {
			log_warn("look-up of an epoch failed", LE(q->err));
			q->res->error_code = err_code(E_STORAGE);
		} else {
			/* Below the first epoch we have: what was asked. */
			q->res->leader_epoch = q->floor >= 0 ? q->floor
			    : q->want;
			q->res->end_offset = q->after >= 0 ? q->after
			    : q->part->epoch_start;
		}
		part_job_done(q->part);
		query_free(q);
	}
	epochs_finish(es);
}

static enum err
query_add(struct epochs *es, struct part *p, int32_t want,
    struct offset_for_leader_epoch_res_topic_part *r)
{
	struct epoch_query *q = &es->queries[es->n];

	*q = (struct epoch_query){ .part = p, .want = want, .floor = -1,
	    .after = -1, .res = r };
	q->spans = calloc((size_t)p->nsegs + 1, sizeof *q->spans);
	if (q->spans == NULL)
		return E_NOMEM;
	for (int i = 0; i < p->nsegs; i++) {
		struct seg *s = p->segs[i];

		if (s->size >= BATCH_HEADER)
			q->spans[q->n++] = (struct epoch_span){ seg_ref(s),
			    s->size, s->idx.nfile };
	}
	es->n++;
	p->jobs++;
	return E_OK;
}

static enum err
one_part(struct epochs *es, struct topic *t,
    const struct offset_for_leader_epoch_req_topic_part *q,
    struct offset_for_leader_epoch_res_topic_part *r)
{
	struct part *p = t == NULL ? NULL : topic_part(t, q->partition);

	if (p == NULL)
		return E_UNKNOWN_TOPIC;
	if (p->state == PART_OFFLINE || p->nsegs == 0)
		return E_STORAGE;
	if (p->state == PART_RECOVERING)
		return E_LEADER_NOT_AVAILABLE;
	if (q->current_leader_epoch >= 0 &&
	    q->current_leader_epoch != p->epoch)
		return q->current_leader_epoch < p->epoch
		    ? E_FENCED_LEADER_EPOCH : E_UNKNOWN_LEADER_EPOCH;
	if (q->leader_epoch == p->epoch) {
		r->leader_epoch = p->epoch;
		r->end_offset = part_written(p);
		return E_OK;
	}
	if (q->leader_epoch < 0 || q->leader_epoch > p->epoch)
		return E_OK;		/* -1, -1: not known */
	return query_add(es, p, q->leader_epoch, r);
}

static enum err
epochs_alloc(struct epochs *es, const struct offset_for_leader_epoch_req *q)
{
	struct arena *a = &es->call->arena;
	size_t n = 0;

	es->res.topics.n = q->topics.n;
	es->res.topics.v = arena_array(a, (size_t)q->topics.n,
	    sizeof *es->res.topics.v);
	for (int32_t i = 0; es->res.topics.v != NULL && i < q->topics.n; i++) {
		struct offset_for_leader_epoch_res_topic *r =
		    &es->res.topics.v[i];

		r->topic = q->topics.v[i].topic;
		r->partitions.n = q->topics.v[i].partitions.n;
		r->partitions.v = arena_array(a, (size_t)r->partitions.n,
		    sizeof *r->partitions.v);
		if (r->partitions.v == NULL)
			return E_NOMEM;
		n += (size_t)r->partitions.n;
	}
	es->queries = calloc(n + 1, sizeof *es->queries);
	return es->res.topics.v == NULL || es->queries == NULL ? E_NOMEM
	    : E_OK;
}

void
handle_offset_for_leader_epoch(struct call *c)
{
	const struct offset_for_leader_epoch_req *q = c->req;
	struct epochs *es = calloc(1, sizeof *es);

	if (es != NULL)
		es->call = c;
	if (es == NULL || epochs_alloc(es, q) != E_OK) {
		if (es != NULL)
			free(es->queries);
		free(es);
		call_bad(c, "out of memory");
		return;
	}
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct offset_for_leader_epoch_res_topic *r =
		    &es->res.topics.v[i];
		struct topic *t = topic_find(&c->eng->topics, r->topic);

		for (int32_t k = 0; k < r->partitions.n; k++) {
			struct offset_for_leader_epoch_req_topic_part *qp =
			    &q->topics.v[i].partitions.v[k];
			struct offset_for_leader_epoch_res_topic_part *rp =
			    &r->partitions.v[k];

			rp->partition = qp->partition;
			rp->leader_epoch = -1;
			rp->end_offset = -1;
			rp->error_code = err_code(one_part(es, t, qp, rp));
		}
	}
	if (es->n == 0) {
		epochs_finish(es);
		return;
	}
	es->job.run = epochs_run;
	es->job.done = epochs_done;
	pool_submit(c->eng->bulk, &es->job);
}
