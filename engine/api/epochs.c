/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetForLeaderEpoch: where an epoch ended (KIP-320).  One job loads the
 * histories that are not there yet; then all rows are answered at once.
 */
#include <stdlib.h>

#include "log/history.h"
#include "serve.h"

struct epochs {
	struct job	 job;
	struct call	*call;
	struct offset_for_leader_epoch_res res;
	struct history_load *loads;
	int		 n;
	bool		 loaded;	/* the second time round */
	uint64_t	 round;		/* marks partitions on the list */
};

static enum err
part_check(struct part *p, int32_t current)
{
	if (p == NULL)
		return E_UNKNOWN_TOPIC;
	if (p->state == PART_OFFLINE || p->nsegs == 0)
		return E_STORAGE;
	if (p->state == PART_RECOVERING)
		return E_LEADER_NOT_AVAILABLE;
	if (current >= 0 && current != p->epoch)
		return current < p->epoch ? E_FENCED_LEADER_EPOCH
		    : E_UNKNOWN_LEADER_EPOCH;
	return E_OK;
}

/* The first time, a history that is missing is put on the list; the second
 * time it could not be had. */
static enum err
one_part(struct epochs *es, struct topic *t,
    const struct offset_for_leader_epoch_req_topic_part *q,
    struct offset_for_leader_epoch_res_topic_part *r)
{
	struct part *p = t == NULL ? NULL : topic_part(t, q->partition);
	enum err e = part_check(p, q->current_leader_epoch);

	r->partition = q->partition;
	r->leader_epoch = -1;
	r->end_offset = -1;
	if (e == E_OK)
		e = history_end(p, q->leader_epoch, &r->leader_epoch,
		    &r->end_offset);
	if (e != E_BUSY)
		return e;
	r->leader_epoch = -1;
	r->end_offset = -1;
	if (es->loaded)
		return E_STORAGE;
	if (p->asked == es->round)
		return E_OK;
	p->asked = es->round;
	e = history_load_begin(&es->loads[es->n], p);
	es->n += e == E_OK;
	return e;
}

static void
answer_all(struct epochs *es)
{
	const struct offset_for_leader_epoch_req *q = es->call->req;

	for (int32_t i = 0; i < q->topics.n; i++) {
		struct offset_for_leader_epoch_res_topic *r =
		    &es->res.topics.v[i];
		struct topic *t = topic_find(&es->call->eng->topics, r->topic);

		for (int32_t k = 0; k < r->partitions.n; k++)
			r->partitions.v[k].error_code = err_code(one_part(es,
			    t, &q->topics.v[i].partitions.v[k],
			    &r->partitions.v[k]));
	}
}

static void
epochs_finish(struct epochs *es)
{
	call_reply(es->call, &es->res);
	free(es->loads);
	free(es);
}

static void
epochs_run(struct job *j)
{
	struct epochs *es = (struct epochs *)j;

	for (int i = 0; i < es->n; i++)
		history_load_run(&es->loads[i]);
}

static void
epochs_done(struct job *j)
{
	struct epochs *es = (struct epochs *)j;

	/* A partition that was only waiting for us may go with its job. */
	for (int i = 0; i < es->n; i++)
		history_load_end(&es->loads[i]);
	es->loaded = true;
	answer_all(es);
	epochs_finish(es);
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
		if (r->partitions.n > 0)
			n += (size_t)r->partitions.n;
	}
	es->loads = calloc(n + 1, sizeof *es->loads);
	return es->res.topics.v == NULL || es->loads == NULL ? E_NOMEM : E_OK;
}

void
handle_offset_for_leader_epoch(struct call *c)
{
	struct epochs *es = calloc(1, sizeof *es);

	if (es != NULL)
		es->call = c;
	if (es == NULL || epochs_alloc(es, c->req) != E_OK) {
		if (es != NULL)
			free(es->loads);
		free(es);
		call_bad(c, "out of memory");
		return;
	}
	es->round = ++c->eng->rounds;
	answer_all(es);
	if (es->n == 0) {
		epochs_finish(es);
		return;
	}
	es->job.run = epochs_run;
	es->job.done = epochs_done;
	pool_submit(c->eng->bulk, &es->job);
}
