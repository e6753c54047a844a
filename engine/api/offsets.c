/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListOffsets: ends of the log at once, or as soon as what was written before
 * the request is synced, and so is for readers; the first record at or after a
 * time, exact to the record, and the greatest time, by a bulk job that reads
 * index and batches.
 *
 * A query is over a list of segments with the position that is visible in
 * each; the segments' references keep them readable.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "plant.h"
#include "serve.h"

enum { SYNC_MS = 1000 };	/* most that a sync is waited for */

enum { TS_LATEST = -1, TS_EARLIEST = -2, TS_MAX = -3, TS_EARLIEST_LOCAL = -4,
    TS_LATEST_TIERED = -5, TS_EARLIEST_PENDING = -6 };

struct span {
	struct seg	*seg;		/* ours */
	int64_t		 end, size;	/* bytes: visible, written */
	int64_t		 nfile;		/* index entries on disk */
	int64_t		 max_ts;	/* of what is written */
	struct idx_entry pending;	/* best one in memory; pos 0: none */
};

struct query {
	struct part	*part;
	int64_t		 ts;		/* >= 0, TS_MAX or TS_EARLIEST */
	int64_t		 start, hw;
	struct span	*spans;
	int		 n;
	/* Found: */
	enum err	 err;
	int64_t		 offset, at_ts;
	int32_t		 epoch;
	struct list_offsets_res_topic_part *res;
};

/* A partition's written end that is not synced yet. */
struct sync_wait {
	struct append	 a;
	struct lookup	*lookup;
};

/* waiting: of waits; they must stay until all have come, even when the answer
 * has not waited for them. */
struct lookup {
	struct job	 job;
	struct call	*call;		/* NULL: answered */
	struct sync_wait *waits;
	int		 waiting;
	struct timer	 timer;
	struct list_offsets_res res;
	struct query	*queries;
	int		 n;
};

/* ---- on a worker ------------------------------------------------------- */

static enum err
batch_load(int fd, int64_t pos, const struct batch *b, uint8_t **out)
{
	size_t n = (size_t)batch_size(b), got;
	uint8_t *p = malloc(n);
	enum err e = p == NULL ? E_NOMEM : disk->pread(fd, p, n, pos, &got);

	if (e == E_OK && (got != n || !batch_crc_ok(p, n)))
		e = E_CORRUPT;
	if (e != E_OK) {
		free(p);
		return e;
	}
	*out = p;
	return E_OK;
}

/* The first record of a batch with ts >= target and a visible offset. */
static enum err
batch_search(struct query *q, int fd, const struct batch *b, int64_t pos,
    int64_t target)
{
	struct batch_iter it;
	struct record rec;
	uint8_t *p;
	enum err e = batch_load(fd, pos, b, &p);

	if (e != E_OK)
		return e;
	e = batch_iter_open(&it, p, (size_t)batch_size(b), INFLATE_MAX);
	while (e == E_OK && (e = batch_iter_next(&it, &rec)) == E_OK)
		if ((rec.ts >= target || PLANT(time_batch)) &&
		    rec.offset >= q->start) {
			q->offset = rec.offset;
			q->at_ts = rec.ts;
			q->epoch = b->leader_epoch;
			break;
		}
	batch_iter_close(&it);
	free(p);
	return e == E_EOF ? E_OK : e;
}

struct search {
	struct query	*q;
	int		 fd;		/* of the span that is searched */
	int64_t		 target;
	int64_t		 max;	/* greatest timestamp seen */
	bool		 deep;	/* look at each record */
	enum err	 err;
};

static int
search_each(const struct batch *b, int64_t pos, void *arg)
{
	struct search *s = arg;

	if (batch_records_ts(b) < s->target ||
	    batch_last_offset(b) < s->q->start)
		return 0;
	s->err = batch_search(s->q, s->fd, b, pos, s->target);
	return s->err != E_OK || s->q->offset >= 0;
}

/* The greatest time of a batch that begins before the log does. */
static enum err
batch_max(struct search *s, const struct batch *b, int64_t pos)
{
	struct batch_iter it;
	struct record rec;
	uint8_t *p;
	enum err e = batch_load(s->fd, pos, b, &p);

	if (e != E_OK)
		return e;
	e = batch_iter_open(&it, p, (size_t)batch_size(b), INFLATE_MAX);
	while (e == E_OK && (e = batch_iter_next(&it, &rec)) == E_OK)
		if (rec.offset >= s->q->start && rec.ts > s->max)
			s->max = rec.ts;
	batch_iter_close(&it);
	free(p);
	return e == E_EOF ? E_OK : e;
}

static int
max_each(const struct batch *b, int64_t pos, void *arg)
{
	struct search *s = arg;

	if (batch_last_offset(b) < s->q->start ||
	    batch_records_ts(b) <= s->max)
		return 0;
	if (b->base_offset >= s->q->start && !s->deep)
		s->max = b->max_ts;
	else
		s->err = batch_max(s, b, pos);
	return s->err != E_OK;
}

/* Where to begin: the last entry with only older records before it (by 2) or
 * at or before a position (by 1).  The entry in memory was picked by the
 * query's own measure; the search for the greatest time uses both. */
static struct idx_entry
span_entry(const struct span *sp, int by, int64_t value)
{
	struct idx_entry e = { 0 };
	int n = 0;

	if (sp->pending.pos > 0 && (by == 2 ? sp->pending.max_ts < value
	    : sp->pending.pos <= value))
		return sp->pending;
	if (sp->nfile == 0)
		return (struct idx_entry){ 0, 0, -1 };
	if (seg_idx_load(sp->seg, sp->nfile, by, value, &e, 1, &n) != E_OK ||
	    n == 0)
		return (struct idx_entry){ 0, 0, -1 };
	/* The entry may be the first one beyond: then the start it is. */
	if (by == 2 ? e.max_ts >= value : e.pos > value)
		return (struct idx_entry){ 0, 0, -1 };
	return e;
}

static void
search_time(struct query *q, int64_t target)
{
	for (int i = 0; i < q->n && q->offset < 0 && q->err == E_OK; i++) {
		struct span *sp = &q->spans[i];
		struct search s = { .q = q, .target = target };
		struct idx_entry from;
		int64_t at;
		enum err e;

		if (sp->max_ts < target)
			continue;
		from = span_entry(sp, 2, target);
		e = seg_fd(sp->seg, &s.fd);
		if (e == E_OK)
			e = seg_walk(s.fd, from.pos, sp->end, search_each, &s,
			    &at);
		q->err = s.err != E_OK ? s.err : e;
	}
}

/* The greatest visible timestamp. */
static int64_t
max_visible(struct query *q, bool deep)
{
	struct search s = { .q = q, .max = -1, .deep = deep };

	for (int i = 0; i < q->n && q->err == E_OK; i++) {
		struct span *sp = &q->spans[i];
		bool cut = sp->seg->base < q->start || deep;
		struct idx_entry from = { 0, 0, -1 };
		int64_t at;
		enum err e;

		if (sp->end == sp->size && !cut) {
			if (sp->max_ts > s.max)
				s.max = sp->max_ts;
			continue;
		}
		/* What DeleteRecords took does not count: each header. */
		if (!cut)
			from = span_entry(sp, 1, sp->end);
		if (from.max_ts > s.max)
			s.max = from.max_ts;
		e = seg_fd(sp->seg, &s.fd);
		if (e == E_OK)
			e = seg_walk(s.fd, from.pos, sp->end, max_each, &s,
			    &at);
		q->err = s.err != E_OK ? s.err : e;
	}
	return s.max;
}

/* ... then the first record that has it.  Where headers promise what no record
 * holds, which nobody checks in what was imported, the records tell. */
static void
search_max(struct query *q)
{
	int64_t max = max_visible(q, false);

	if (q->err == E_OK && max >= 0)
		search_time(q, max);
	if (q->err == E_OK && max >= 0 && q->offset < 0)
		max = max_visible(q, true);
	if (q->err == E_OK && max >= 0 && q->offset < 0)
		search_time(q, max);
}

static int
first_each(const struct batch *b, int64_t pos, void *arg)
{
	struct query *q = arg;

	(void)pos;
	if (batch_last_offset(b) < q->start)
		return 0;
	q->epoch = b->leader_epoch;
	return 1;
}

static void
lookup_run(struct job *j)
{
	struct lookup *l = (struct lookup *)j;

	for (int i = 0; i < l->n; i++) {
		struct query *q = &l->queries[i];
		int64_t at;
		int fd;

		if (q->ts == TS_EARLIEST) {
			/* The start is known whatever the disk says; without
			 * the record only its epoch is not. */
			q->epoch = -1;
			q->offset = q->start;
			if (q->n > 0 && seg_fd(q->spans[0].seg, &fd) == E_OK)
				(void)!seg_walk(fd, 0, q->spans[0].end,
				    first_each, q, &at);
		} else if (q->ts == TS_MAX)
			search_max(q);
		else
			search_time(q, q->ts);
	}
}

/* ---- on the loop ------------------------------------------------------- */

static void
query_free(struct query *q)
{
	for (int i = 0; i < q->n; i++)
		seg_unref(q->spans[i].seg);
	free(q->spans);
}

static void
lookup_free(struct lookup *l)
{
	if (l->call != NULL || l->waiting > 0)
		return;
	free(l->waits);
	free(l);
}

static void
lookup_finish(struct lookup *l)
{
	call_reply(l->call, &l->res);
	l->call = NULL;
	free(l->queries);
	lookup_free(l);
}

static void
lookup_done(struct job *j)
{
	struct lookup *l = (struct lookup *)j;

	for (int i = 0; i < l->n; i++) {
		struct query *q = &l->queries[i];
		struct list_offsets_res_topic_part *r = q->res;

		/* A record that is not visible is not found. */
		if (q->offset >= q->hw && q->ts != TS_EARLIEST)
			q->offset = q->at_ts = q->epoch = -1;
		if (q->err != E_OK) {
			log_warn("look-up by time failed", LE(q->err));
			r->error_code = err_code(E_STORAGE);
			r->offset = r->timestamp = -1;
		} else {
			r->offset = q->offset;
			r->timestamp = q->ts == TS_EARLIEST ? -1 : q->at_ts;
			r->leader_epoch = q->epoch;
		}
		part_job_done(q->part);
		query_free(q);
	}
	lookup_finish(l);
}

/* Segments with visible bytes that may matter. */
static enum err
query_spans(struct query *q, int64_t ts)
{
	const struct part *p = q->part;

	q->spans = calloc((size_t)p->nsegs + 1, sizeof *q->spans);
	if (q->spans == NULL)
		return E_NOMEM;
	for (int i = 0; i < p->nsegs; i++) {
		struct seg *s = p->segs[i];
		int64_t end = p->relaxed ? s->size : s->synced;
		const struct idx_entry *e;
		struct span *sp = &q->spans[q->n];

		if (end == 0 || s->end_offset <= q->start)
			continue;
		e = ts == TS_MAX ? idx_pending_find(&s->idx, 1, end)
		    : idx_pending_find(&s->idx, 2, ts);
		*sp = (struct span){ seg_ref(s), end, s->size, s->idx.nfile,
		    s->max_ts, e != NULL ? *e : (struct idx_entry){ 0, 0,
		    -1 } };
		q->n++;
	}
	return E_OK;
}

static enum err
query_add(struct lookup *l, struct part *p, int64_t ts,
    struct list_offsets_res_topic_part *res)
{
	struct query *q = &l->queries[l->n];
	enum err e;

	*q = (struct query){ .part = p, .ts = ts, .start = p->start,
	    .hw = p->hw, .offset = -1, .at_ts = -1, .epoch = -1, .res = res };
	e = query_spans(q, ts);
	if (e != E_OK) {
		query_free(q);
		return e;
	}
	l->n++;
	p->jobs++;
	return E_OK;
}

/* Version 0: offsets at which segments begin, newest first, up to a time
 * (protocol.md 3.5). */
static enum err
old_style(struct call *c, const struct part *p, int64_t ts, int32_t max,
    struct list_offsets_res_topic_part *r)
{
	int n = 0, from, first;
	int64_t *v;

	v = arena_array(&c->arena, (size_t)p->nsegs + 1, sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	if (part_seg(p, p->start, &first) == NULL)
		first = 0;
	for (int i = first; i < p->nsegs; i++)
		if (i == first || p->segs[i]->base < p->hw)
			v[n++] = i == first ? p->start : p->segs[i]->base;
	from = n - 1;
	if (p->hw > p->start)
		v[n++] = p->hw;
	if (ts == TS_LATEST)
		from = n - 1;
	else if (ts == TS_EARLIEST)
		from = 0;
	else
		while (from >= 0 && p->segs[first + from]->max_ts > ts)
			from--;
	r->old_style_offsets.n = 0;
	r->old_style_offsets.v = arena_array(&c->arena, (size_t)n + 1,
	    sizeof *v);
	if (r->old_style_offsets.v == NULL)
		return E_NOMEM;
	for (; from >= 0 && r->old_style_offsets.n < max; from--)
		r->old_style_offsets.v[r->old_style_offsets.n++] = v[from];
	return E_OK;
}

static enum err
epoch_check(const struct part *p, int32_t epoch)
{
	if (epoch < 0 || epoch == p->epoch)
		return E_OK;
	return epoch < p->epoch ? E_FENCED_LEADER_EPOCH
	    : E_UNKNOWN_LEADER_EPOCH;
}

/* Special times and the first version that knows them. */
static enum err
ts_check(int64_t ts, int version)
{
	static const int since[] = { 0, 0, 0, 7, 8, 9, 11 };

	if (ts >= 0)
		return E_OK;
	if (ts < TS_EARLIEST_PENDING || version < since[-ts])
		return E_UNSUPPORTED_VERSION;
	return E_OK;
}

static enum err
one_part(struct lookup *l, struct topic *t,
    const struct list_offsets_req_topic_part *q,
    struct list_offsets_res_topic_part *r)
{
	int version = l->call->head.version;
	struct part *p = t == NULL ? NULL : topic_part(t, q->partition_index);
	enum err e;

	if (p == NULL)
		return E_UNKNOWN_TOPIC;
	if (p->nsegs == 0 || p->state == PART_OFFLINE)
		return E_STORAGE;
	if (p->state == PART_RECOVERING)
		return E_LEADER_NOT_AVAILABLE;
	if ((e = epoch_check(p, q->current_leader_epoch)) != E_OK ||
	    (e = ts_check(q->timestamp, version)) != E_OK)
		return e;
	if (version == 0)
		return old_style(l->call, p, q->timestamp,
		    q->max_num_offsets, r);
	switch (q->timestamp) {
	case TS_LATEST:
		r->offset = p->hw;
		r->leader_epoch = p->epoch;
		return E_OK;
	case TS_EARLIEST:
	case TS_EARLIEST_LOCAL:
		r->offset = p->start;
		r->leader_epoch = p->epoch;	/* of what comes next */
		return p->hw == p->start ? E_OK
		    : query_add(l, p, TS_EARLIEST, r);
	case TS_LATEST_TIERED:		/* nothing is tiered */
	case TS_EARLIEST_PENDING:
		return E_OK;
	default:
		return query_add(l, p, q->timestamp, r);
	}
}

struct named {
	const struct kstr *topic;
	int32_t		 index;
	struct list_offsets_res_topic_part *res;
};

static int
named_cmp(const void *x, const void *y)
{
	const struct named *a = x, *b = y;

	if (a->topic->len != b->topic->len)
		return a->topic->len < b->topic->len ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return a->topic->len <= 0 ? 0 : memcmp(a->topic->p, b->topic->p,
	    (size_t)a->topic->len);
}

/* A partition that is named more than once is refused each time. */
static enum err
mark_twice(struct lookup *l, const struct list_offsets_req *q, int32_t n)
{
	struct named *v = arena_array(&l->call->arena, (size_t)n, sizeof *v);
	int32_t at = 0;

	if (v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t k = 0; k < q->topics.v[i].partitions.n; k++)
			v[at++] = (struct named){ &q->topics.v[i].name,
			    q->topics.v[i].partitions.v[k].partition_index,
			    &l->res.topics.v[i].partitions.v[k] };
	qsort(v, (size_t)n, sizeof *v, named_cmp);
	for (int32_t i = 1; i < n; i++)
		if (named_cmp(&v[i - 1], &v[i]) == 0)
			v[i - 1].res->error_code = v[i].res->error_code =
			    err_code(E_INVALID_REQUEST);
	return E_OK;
}

static void
one_topic(struct lookup *l, const struct list_offsets_req_topic *q,
    struct list_offsets_res_topic *r)
{
	struct topic *t = topic_find(&l->call->eng->topics, q->name);

	r->name = q->name;
	r->partitions.n = q->partitions.n;
	for (int32_t k = 0; k < q->partitions.n; k++) {
		struct list_offsets_res_topic_part *rp = &r->partitions.v[k];

		rp->partition_index = q->partitions.v[k].partition_index;
		rp->timestamp = rp->offset = rp->leader_epoch = -1;
		if (rp->error_code == 0)
			rp->error_code = err_code(one_part(l, t,
			    &q->partitions.v[k], rp));
	}
}

/* All the memory that the answer needs; E_NOMEM. */
static enum err
lookup_alloc(struct lookup *l, const struct list_offsets_req *q)
{
	struct arena *a = &l->call->arena;
	int32_t n = 0;

	l->res.topics.n = q->topics.n;
	l->res.topics.v = arena_array(a, (size_t)q->topics.n,
	    sizeof *l->res.topics.v);
	if (l->res.topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		n += q->topics.v[i].partitions.n;
		l->res.topics.v[i].partitions.v = arena_array(a,
		    (size_t)q->topics.v[i].partitions.n,
		    sizeof *l->res.topics.v[i].partitions.v);
		if (l->res.topics.v[i].partitions.v == NULL)
			return E_NOMEM;
	}
	l->queries = calloc((size_t)n + 1, sizeof *l->queries);
	return l->queries == NULL ? E_NOMEM : mark_twice(l, q, n);
}

static void
lookup_go(struct lookup *l)
{
	const struct list_offsets_req *q = l->call->req;

	timer_cancel(&l->call->eng->timers, &l->timer);
	for (int32_t i = 0; i < q->topics.n; i++)
		one_topic(l, &q->topics.v[i], &l->res.topics.v[i]);
	if (l->n == 0) {
		lookup_finish(l);
		return;
	}
	l->job.run = lookup_run;
	l->job.done = lookup_done;
	pool_submit(l->call->eng->bulk, &l->job);
}

static void
synced(struct append *a, enum err e)
{
	struct lookup *l = ((struct sync_wait *)a)->lookup;

	(void)e;	/* then the end is where it was */
	if (--l->waiting > 0)
		return;
	if (l->call == NULL)
		lookup_free(l);
	else if (l->timer.at > 0)
		lookup_go(l);
}

static void
wait_fire(struct timer *t)
{
	lookup_go((struct lookup *)((char *)t - offsetof(struct lookup,
	    timer)));
}

/* Partitions of which more is written than readers may see, each once; fills
 * v unless it is NULL. */
static int
unsynced(struct lookup *l, struct sync_wait *v)
{
	const struct list_offsets_req *q = l->call->req;
	uint64_t round = ++l->call->eng->rounds;
	int n = 0;

	for (int32_t i = 0; i < q->topics.n; i++) {
		struct topic *t = topic_find(&l->call->eng->topics,
		    q->topics.v[i].name);

		for (int32_t k = 0; t != NULL && k <
		    q->topics.v[i].partitions.n; k++) {
			struct part *p = topic_part(t, q->topics.v[i].
			    partitions.v[k].partition_index);

			if (p == NULL || p->state != PART_ONLINE ||
			    p->asked == round || p->hw >= part_written(p))
				continue;
			p->asked = round;
			if (v != NULL) {
				v[n].lookup = l;
				v[n].a.done = synced;
				v[n].a.b.pid = -1;
				v[n].a.b.base_offset = part_written(p) - 1;
				part_await(p, &v[n].a);
			}
			n++;
		}
	}
	return n;
}

/*
 * With acks=1 a producer is told of records before they are synced, and asks
 * where the log ends: it is to find them.  But not at any price.
 */
static void
await_sync(struct lookup *l)
{
	int n = unsynced(l, NULL);

	l->timer.fire = wait_fire;
	if (n == 0 || (l->waits = calloc((size_t)n, sizeof *l->waits)) ==
	    NULL || timer_set(&l->call->eng->timers, &l->timer, mono_ms() +
	    SYNC_MS) != E_OK) {
		lookup_go(l);
		return;
	}
	l->waiting = n;
	(void)unsynced(l, l->waits);
}

void
handle_list_offsets(struct call *c)
{
	struct list_offsets_req *q = c->req;
	struct lookup *l = calloc(1, sizeof *l);

	if (l != NULL)
		l->call = c;
	if (l == NULL || lookup_alloc(l, q) != E_OK) {
		if (l != NULL)
			free(l->queries);
		free(l);
		call_bad(c, "out of memory");
		return;
	}
	await_sync(l);
}
