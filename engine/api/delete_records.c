/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteRecords: a partition's log starts later from now on.  The new start is
 * durable in the catalogue before anybody sees it; files that lie below it are
 * retention's to remove.
 *
 * Where the policy lets readers see what is not synced, the log is synced
 * first: a start beyond the end that a crash leaves would be damage.
 */
#include <stdlib.h>

#include "admin.h"
#include "lib/log.h"
#include "plant.h"

struct trimming {
	struct call	*call;		/* NULL: answered, time was up */
	struct delete_records_res res;
	struct engine	*eng;
	struct timer	 timer;
	int		 pending;
	bool		 starting;
	struct trim	*trims;
};

/* One partition; it counts as a job of the partition. */
struct trim {
	struct meta_put	 put;
	struct job	 job;
	struct trimming	*all;
	struct part	*part;
	struct delete_records_res_topic_part *res;
	int64_t		 offset;
	struct seg	**segs;		/* to be synced first */
	int		 nsegs;
	enum err	 err;
	bool		 busy;
};

static void
trim_reply(struct trimming *x)
{
	if (x->starting || x->pending > 0)
		return;
	timer_cancel(&x->eng->timers, &x->timer);
	if (x->call != NULL)
		call_reply(x->call, &x->res);
	free(x->trims);
	free(x);
}

static void
trim_result(struct delete_records_res_topic_part *r, enum err e,
    int64_t start)
{
	r->error_code = err_code(e);
	r->low_watermark = e == E_OK ? start : -1;
}

static void
trim_end(struct trim *t, enum err e)
{
	struct trimming *x = t->all;
	struct part *p = t->part;

	t->busy = false;
	if (e == E_OK && p->state == PART_GONE)
		e = E_UNKNOWN_TOPIC;
	if (x->call != NULL)
		trim_result(t->res, e, p->start);
	for (int i = 0; i < t->nsegs; i++)
		seg_unref(t->segs[i]);
	free(t->segs);
	part_job_done(p);
	x->pending--;
	trim_reply(x);
}

static void
trim_recorded(struct meta_put *put, enum err e)
{
	struct trim *t = (struct trim *)((char *)put -
	    offsetof(struct trim, put));
	struct part *p = t->part;

	if (e == E_OK)
		part_trim(p, t->offset);
	else
		p->trim_rec = p->trimmed;
	trim_end(t, e);
}

/* A record never says less than one that is under way. */
static void
trim_write(struct trim *t)
{
	struct part *p = t->part;
	struct meta_key_part k;
	struct meta_key key = meta_key_part(&k, &p->id);
	struct meta_start rec;
	enum err e;

	if (t->offset < p->trim_rec)
		t->offset = p->trim_rec;
	rec.offset = t->offset;
	t->put.done = trim_recorded;
	if (PLANT(lose_trim)) {
		trim_recorded(&t->put, E_OK);
		return;
	}
	e = meta_write(&p->eng->meta, MT_meta_start, &key, &rec, &t->put);
	if (e != E_OK)
		trim_end(t, e);
	else
		p->trim_rec = t->offset;
}

static void
sync_run(struct job *j)
{
	struct trim *t = (struct trim *)((char *)j -
	    offsetof(struct trim, job));

	for (int i = 0; i < t->nsegs && t->err == E_OK; i++)
		t->err = seg_sync(t->segs[i]);
}

static void
sync_done(struct job *j)
{
	struct trim *t = (struct trim *)((char *)j -
	    offsetof(struct trim, job));
	struct part *p = t->part;

	if (t->err != E_OK && p->state == PART_ONLINE)
		part_fence(p, t->err, NULL, false);
	if (t->err == E_OK && p->state != PART_ONLINE)
		t->err = p->state == PART_GONE ? E_UNKNOWN_TOPIC
		    : E_NOT_LEADER;
	if (t->err != E_OK)
		trim_end(t, t->err);
	else
		trim_write(t);
}

/* The segments below the offset that are not synced; false: no memory. */
static bool
sync_wanted(struct trim *t)
{
	const struct part *p = t->part;

	if (!p->relaxed)
		return true;
	t->segs = calloc((size_t)p->nsegs + 1, sizeof(struct seg *));
	for (int i = 0; i < p->nsegs && t->segs != NULL; i++)
		if (p->segs[i]->base < t->offset &&
		    p->segs[i]->synced < p->segs[i]->size)
			t->segs[t->nsegs++] = seg_ref(p->segs[i]);
	return t->segs != NULL;
}

static enum err
trim_check(const struct part *p, int64_t *offset)
{
	if (p == NULL)
		return E_UNKNOWN_TOPIC;
	if (p->state == PART_OFFLINE)
		return E_STORAGE;
	if (p->state != PART_ONLINE)
		return E_NOT_LEADER;
	if (!(p->topic->conf.cleanup_policy & CLEANUP_DELETE))
		return E_POLICY_VIOLATION;
	if (*offset == -1)
		*offset = p->hw;
	return *offset < 0 || *offset > p->hw ? E_OFFSET_OUT_OF_RANGE : E_OK;
}

static void
trim_start(struct trimming *x, struct trim *t, struct topic *topic,
    const struct delete_records_req_topic_part *q,
    struct delete_records_res_topic_part *r)
{
	int64_t offset = q->offset;
	struct part *p = topic == NULL ? NULL
	    : topic_part(topic, q->partition_index);
	enum err e = trim_check(p, &offset);

	r->partition_index = q->partition_index;
	if (e != E_OK || offset <= p->start) {
		trim_result(r, e, e == E_OK ? p->start : -1);
		return;
	}
	*t = (struct trim){ .all = x, .part = p, .res = r, .offset = offset };
	t->busy = true;
	x->pending++;
	p->jobs++;
	if (!sync_wanted(t)) {
		trim_end(t, E_NOMEM);
	} else if (t->nsegs > 0) {
		t->job.run = sync_run;
		t->job.done = sync_done;
		pool_submit(x->eng->bulk, &t->job);
	} else
		trim_write(t);
}

/* Time is up: what is under way goes on. */
static void
trim_timeout(struct timer *tm)
{
	struct trimming *x = (struct trimming *)((char *)tm -
	    offsetof(struct trimming, timer));
	const struct delete_records_req *q = x->call->req;
	struct call *c = x->call;
	struct trim *t = x->trims;

	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t k = 0; k < q->topics.v[i].partitions.n; k++, t++)
			if (t->busy)
				trim_result(t->res, E_TIMED_OUT, -1);
	x->call = NULL;
	call_reply(c, &x->res);
}

/* All the memory that it takes; E_NOMEM. */
static enum err
trim_alloc(struct trimming *x, const struct delete_records_req *q)
{
	struct arena *a = &x->call->arena;
	size_t n = 0;

	x->res.topics.n = q->topics.n;
	x->res.topics.v = arena_array(a, (size_t)q->topics.n,
	    sizeof *x->res.topics.v);
	if (x->res.topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct delete_records_res_topic *r = &x->res.topics.v[i];

		r->name = q->topics.v[i].name;
		r->partitions.n = q->topics.v[i].partitions.n;
		r->partitions.v = arena_array(a, (size_t)r->partitions.n,
		    sizeof *r->partitions.v);
		if (r->partitions.v == NULL)
			return E_NOMEM;
		n += (size_t)r->partitions.n;
	}
	x->trims = calloc(n + 1, sizeof *x->trims);
	return x->trims == NULL ? E_NOMEM : E_OK;
}

void
handle_delete_records(struct call *c)
{
	const struct delete_records_req *q = c->req;
	struct trimming *x = calloc(1, sizeof *x);
	struct trim *t;

	if (x != NULL)
		x->call = c;
	if (x == NULL || trim_alloc(x, q) != E_OK) {
		free(x);
		call_bad(c, "out of memory");
		return;
	}
	x->eng = c->eng;
	x->starting = true;
	t = x->trims;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct topic *topic = topic_find(&c->eng->topics,
		    q->topics.v[i].name);

		for (int32_t k = 0; k < q->topics.v[i].partitions.n; k++)
			trim_start(x, t++, topic,
			    &q->topics.v[i].partitions.v[k],
			    &x->res.topics.v[i].partitions.v[k]);
	}
	x->starting = false;
	x->timer.fire = trim_timeout;
	/* Without a timer it only takes as long as it takes. */
	if (x->pending > 0 && q->timeout_ms > 0 && timer_set(
	    &c->eng->timers, &x->timer, mono_ms() + q->timeout_ms) != E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
	trim_reply(x);
}
