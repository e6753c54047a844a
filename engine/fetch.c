/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch.  Positions come from the index in memory (pending entries of the
 * growing segment, or a window of entries loaded for the partition) and from
 * batch headers that are in the page cache; anything that would block goes to
 * the bulk pool, and the fetch is tried again from scratch.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "fetch.h"
#include "lib/log.h"

enum {
	WALK_BYTES	= 2 * IDX_INTERVAL,	/* headers looked at at once */
	COLD_TRIES	= 3,	/* then block: memory is too tight to wait */
	COLD_CHUNK	= 1 * MIB,
	WINDOWS_MAX	= 256,	/* of index entries, whole engine */
};

enum look { LOOK_OK, LOOK_COLD, LOOK_FAIL };

/* ---- where a batch stands ---------------------------------------------- */

static const struct idx_entry *
window_find(const struct window *w, int by, int64_t value)
{
	const struct idx_entry *best = NULL;
	int lo = 0, hi = w->n;

	while (lo < hi) {
		int mid = (lo + hi) / 2;
		const struct idx_entry *e = &w->e[mid];

		if ((by == 0 ? e->offset : e->pos) <= value) {
			best = e;
			lo = mid + 1;
		} else
			hi = mid;
	}
	return best;
}

/* The window says where offset is only when it reaches beyond it. */
static bool
window_covers(const struct window *w, const struct seg *s, int64_t offset)
{
	if (w == NULL || w->handle != s->handle)
		return false;
	if (w->n == 0)	/* nothing is known of what follows either */
		return offset <= w->asked;
	return (w->from_start || w->e[0].offset <= offset) &&
	    (offset < w->e[w->n - 1].offset || (w->to_end &&
	    w->nfile == s->idx.nfile));
}

/* One entry from the index file.  Windows can push each other out for ever
 * when a request wants more of them than there may be. */
static enum look
look_file(const struct seg *s, int64_t offset, struct idx_entry *at)
{
	char path[PATH_SIZE];
	int n = 0;

	idx_path(s, path);
	if (idx_load(path, &s->id, s->base, s->idx.nfile, 0, offset, at, 1,
	    &n) != E_OK)
		return LOOK_FAIL;
	if (n == 0 || at->offset > offset)
		*at = (struct idx_entry){ s->base, 0, -1 };
	return LOOK_OK;
}

/* A position at or before the batch with the offset, not far before. */
static enum look
look_start(const struct part *p, const struct seg *s, int64_t offset,
    bool block, struct idx_entry *at)
{
	const struct idx_entry *e = idx_pending_find(&s->idx, 0, offset);
	bool covers = window_covers(p->window, s, offset);

	if (e == NULL && s->idx.nfile > 0 && !covers && block)
		return look_file(s, offset, at);
	if (e == NULL && s->idx.nfile > 0) {
		if (!covers)
			return LOOK_COLD;
		e = window_find(p->window, 0, offset);
	}
	*at = e != NULL ? *e : (struct idx_entry){ s->base, 0, -1 };
	return LOOK_OK;
}

/* The greatest known batch boundary at or before pos, if it is beyond from. */
static int64_t
look_boundary(const struct part *p, const struct seg *s, int64_t from,
    int64_t pos)
{
	const struct idx_entry *e = idx_pending_find(&s->idx, 1, pos);

	if (e == NULL && p->window != NULL && p->window->handle == s->handle)
		e = window_find(p->window, 1, pos);
	return e != NULL && e->pos > from ? e->pos : -1;
}

/* From a position to the batch that holds the offset or follows it. */
static enum look
look_batch(const struct seg *s, int64_t end, int64_t offset, bool block,
    int64_t *pos, struct batch *b)
{
	uint8_t buf[WALK_BYTES];
	int64_t at = 0;		/* position of buf[0] */
	size_t got = 0;
	enum err e;

	for (;;) {
		if (*pos >= end)
			return LOOK_FAIL;
		if (got == 0 || *pos < at ||
		    *pos + BATCH_HEADER > at + (int64_t)got) {
			size_t n = end - *pos < WALK_BYTES
			    ? (size_t)(end - *pos) : WALK_BYTES;

			at = *pos;
			e = block ? disk->pread(s->fd, buf, n, at, &got)
			    : disk->pread_now(s->fd, buf, n, at, &got);
			if (e == E_BUSY)
				return LOOK_COLD;
			if (e != E_OK || got < BATCH_HEADER)
				return LOOK_FAIL;
		}
		if (batch_read(buf + (*pos - at), b) != E_OK ||
		    *pos + batch_size(b) > end)
			return LOOK_FAIL;
		if (batch_last_offset(b) >= offset)
			return LOOK_OK;
		*pos += batch_size(b);
	}
}

/* The end of the last whole batch that ends at or before limit, from a batch
 * boundary; looks no further than the batches' headers that are in memory. */
static int64_t
look_fit(const struct seg *s, int64_t stop, int64_t limit)
{
	uint8_t buf[WALK_BYTES];
	int64_t at = stop;
	size_t got = 0;
	struct batch b;

	while (stop + BATCH_HEADER <= limit) {
		if (stop + BATCH_HEADER > at + (int64_t)got) {
			at = stop;
			if (disk->pread_now(s->fd, buf, limit - at < WALK_BYTES
			    ? (size_t)(limit - at) : WALK_BYTES, at, &got) !=
			    E_OK || got < BATCH_HEADER)
				break;
		}
		if (batch_read(buf + (stop - at), &b) != E_OK ||
		    stop + batch_size(&b) > limit)
			break;
		stop += batch_size(&b);
	}
	return stop;
}

/* ---- one partition ----------------------------------------------------- */

struct want {
	int64_t	offset;
	int64_t	avail;		/* out: bytes there, up to max */
	int64_t	max;		/* bytes; may be <= 0 */
	bool	whole;		/* give one batch even if it is larger */
	bool	block;
};

static int64_t
visible_end(const struct part *p, const struct seg *s)
{
	return p->relaxed ? s->size : s->synced;
}

/* Fills x.  LOOK_OK with x->seg NULL: nothing to give.  LOOK_COLD: *cold (a
 * segment) and *range say what to read ahead. */
static enum look
part_extent(const struct part *p, struct want *w,
    struct fetch_extent *x, struct seg **cold)
{
	struct idx_entry at;
	struct batch b;
	struct seg *s;
	int64_t end, pos, stop;
	enum look l;
	int i;

	x->seg = NULL;
	s = part_seg(p, w->offset, &i);
	while (s != NULL && w->offset >= s->end_offset && i + 1 < p->nsegs)
		s = p->segs[++i];
	if (s == NULL || (end = visible_end(p, s)) == 0)
		return LOOK_OK;
	*cold = s;
	l = look_start(p, s, w->offset, w->block, &at);
	if (l != LOOK_OK)
		return l;
	pos = at.pos;
	l = look_batch(s, end, w->offset, w->block, &pos, &b);
	x->pos = pos;
	x->len = l == LOOK_COLD ? WALK_BYTES : 0;
	if (l != LOOK_OK)
		return l;
	w->avail = w->max < end - pos ? w->max : end - pos;
	if (batch_size(&b) > w->max && !w->whole)
		return LOOK_OK;
	stop = pos + batch_size(&b);
	if (w->max >= end - pos)
		stop = end;
	else if (w->max > stop - pos) {
		int64_t cut = look_boundary(p, s, stop, pos + w->max);

		stop = look_fit(s, cut > stop ? cut : stop, pos + w->max);
	}
	if (stop - pos > INT32_MAX)
		stop = pos + batch_size(&b);
	x->len = (int32_t)(stop - pos);
	if (!w->block && !disk->resident(s->fd, pos, stop - pos))
		return LOOK_COLD;
	x->seg = s;
	return LOOK_OK;
}

/* ---- reading ahead ----------------------------------------------------- */

struct cold {
	struct job	 job;
	struct fetch	*f;
	int		 n;
	struct cold_item {
		struct part	*part;
		struct seg	*seg;		/* ours */
		int64_t		 offset, pos, end, nfile;
		int32_t		 len;
		uint32_t	 gen;
		struct window	*window;	/* loaded; NULL: not wanted */
		bool		 want_window;
	} *items;
};

struct walk_window {
	struct window	*w;
	int64_t		 offset;
};

/* The index is unreadable: entries from the headers themselves. */
static int
walk_each(const struct batch *b, int64_t pos, void *arg)
{
	struct walk_window *x = arg;
	struct window *w = x->w;
	struct idx_entry e = { b->base_offset, pos, -1 };

	if (b->base_offset <= x->offset) {
		w->e[0] = e;
		w->n = 1;
		return 0;
	}
	if (pos - w->e[w->n > 0 ? w->n - 1 : 0].pos >= IDX_INTERVAL)
		w->e[w->n++] = e;
	return w->n == WINDOW_ENTRIES;
}

static void
window_load(struct cold_item *it)
{
	char path[PATH_SIZE];
	struct window *w = calloc(1, sizeof *w);
	struct walk_window x = { w, it->offset };
	int64_t at;
	enum err e;

	if (w == NULL)
		return;
	w->handle = it->seg->handle;
	w->nfile = it->nfile;
	w->asked = it->offset;
	idx_path(it->seg, path);
	e = idx_load(path, &it->seg->id, it->seg->base, it->nfile, 0,
	    it->offset, w->e, WINDOW_ENTRIES, &w->n);
	if (e != E_OK) {
		w->n = 0;
		e = seg_walk(it->seg->fd, 0, it->end, walk_each, &x, &at);
		if (e != E_OK && w->n == 0) {
			free(w);
			return;
		}
	}
	w->from_start = w->n == 0 || w->e[0].offset > it->offset;
	w->to_end = w->n < WINDOW_ENTRIES;
	it->window = w;
}

static void
cold_run(struct job *j)
{
	struct cold *c = (struct cold *)j;
	uint8_t *buf = malloc(COLD_CHUNK);

	for (int i = 0; i < c->n; i++) {
		struct cold_item *it = &c->items[i];
		size_t got = 1;

		if (it->want_window)
			window_load(it);
		/* Read for the sake of the page cache; an error shows itself
		 * to who reads next. */
		for (int64_t at = 0; buf != NULL && at < it->len && got > 0;
		    at += (int64_t)got) {
			size_t n = it->len - at < COLD_CHUNK
			    ? (size_t)(it->len - at) : COLD_CHUNK;

			if (disk->pread(it->seg->fd, buf, n, it->pos + at,
			    &got) != E_OK)
				break;
		}
	}
	free(buf);
}

/* One window a partition; the oldest goes when there are too many. */
static void
window_install(struct part *p, struct window *w)
{
	struct engine *eng = p->eng;

	window_drop(p);
	if (eng->nwindows == WINDOWS_MAX)
		window_drop(eng->windows->part);
	w->part = p;
	w->next = NULL;
	w->prevp = eng->windows_tail;
	*eng->windows_tail = w;
	eng->windows_tail = &w->next;
	eng->nwindows++;
	p->window = w;
}

void
window_drop(struct part *p)
{
	struct window *w = p->window;

	if (w == NULL)
		return;
	*w->prevp = w->next;
	if (w->next != NULL)
		w->next->prevp = w->prevp;
	else
		p->eng->windows_tail = w->prevp;
	p->eng->nwindows--;
	p->window = NULL;
	free(w);
}

static void fetch_try(struct fetch *);

static void
cold_done(struct job *j)
{
	struct cold *c = (struct cold *)j;
	struct fetch *f = c->f;

	for (int i = 0; i < c->n; i++) {
		struct cold_item *it = &c->items[i];

		if (it->window != NULL && it->gen == it->part->gen)
			window_install(it->part, it->window);
		else
			free(it->window);
		seg_unref(it->seg);
		part_job_done(it->part);
	}
	free(c->items);
	free(c);
	f->job = NULL;
	if (f->dropped)
		f->done(f);
	else
		fetch_try(f);
}

static enum err
cold_add(struct fetch *f, struct part *p, struct seg *s, int64_t offset,
    const struct fetch_extent *x)
{
	struct cold *c = f->job;
	struct cold_item *it;

	if (c == NULL) {
		c = f->job = calloc(1, sizeof *c);
		if (c == NULL)
			return E_NOMEM;
		c->items = calloc((size_t)f->nparts, sizeof *c->items);
		if (c->items == NULL) {
			free(c);
			f->job = NULL;
			return E_NOMEM;
		}
		c->f = f;
		c->job.run = cold_run;
		c->job.done = cold_done;
	}
	it = &c->items[c->n++];
	*it = (struct cold_item){ .part = p, .seg = seg_ref(s),
	    .offset = offset, .gen = p->gen, .pos = x->pos, .len = x->len,
	    .end = visible_end(p, s), .nfile = s->idx.nfile };
	it->want_window = s->idx.nfile > 0 &&
	    !window_covers(p->window, s, offset);
	p->jobs++;
	p->eng->stats.cold_reads++;
	return E_OK;
}

/* ---- the whole request ------------------------------------------------- */

struct round {
	int64_t	budget;
	bool	first;		/* nothing given yet */
	bool	now;		/* an error: answer at once */
};

static struct topic *
req_topic(struct fetch *f, const struct fetch_req_topic *t, enum err *e)
{
	struct topics *ts = &f->eng->topics;
	struct topic *found;

	if (f->version >= 13) {
		found = topic_find_id(ts, t->topic_id);
		*e = found == NULL ? E_UNKNOWN_TOPIC_ID : E_OK;
	} else {
		found = topic_find(ts, t->topic);
		*e = found == NULL ? E_UNKNOWN_TOPIC : E_OK;
	}
	return found;
}

static enum err
part_checks(const struct part *p, const struct fetch_req_topic_part *q)
{
	if (q->current_leader_epoch >= 0 && p->epoch >= 0) {
		if (q->current_leader_epoch < p->epoch)
			return E_FENCED_LEADER_EPOCH;
		if (q->current_leader_epoch > p->epoch)
			return E_UNKNOWN_LEADER_EPOCH;
	}
	if (p->state == PART_OFFLINE || p->nsegs == 0)
		return E_STORAGE;
	if (p->state == PART_RECOVERING)
		return E_LEADER_NOT_AVAILABLE;
	if (q->fetch_offset < p->start || q->fetch_offset > p->next ||
	    q->last_fetched_epoch > p->epoch)
		return E_OFFSET_OUT_OF_RANGE;
	return E_OK;
}

static void
res_part_init(struct extents_res_part *r,
    const struct fetch_req_topic_part *q, enum err e)
{
	*r = (struct extents_res_part){ .index = q->partition, .error =
	    (int16_t)e, .high_watermark = -1, .last_stable_offset = -1,
	    .log_start_offset = -1, .fetch_offset = q->fetch_offset,
	    .diverging_epoch = -1, .diverging_end = -1, .leader_epoch = -1,
	    .extents.v = r->extents.v /* of the last try */ };
}

/* One partition of the request.  *e: E_NOMEM only. */
static enum err
try_part(struct fetch *f, struct round *rd, struct topic *t, enum err bad,
    const struct fetch_req_topic_part *q, struct extents_res_part *r)
{
	struct part *p = t == NULL ? NULL : topic_part(t, q->partition);
	struct fetch_extent x = { 0 };
	struct want w = { .offset = q->fetch_offset };
	struct seg *cold = NULL;
	enum look l;

	if (bad == E_OK && p == NULL)
		bad = E_UNKNOWN_TOPIC;
	if (bad == E_OK)
		bad = part_checks(p, q);
	res_part_init(r, q, bad);
	if (p != NULL)
		r->leader_epoch = p->epoch;
	if (bad != E_OK) {
		rd->now = true;
		return E_OK;
	}
	r->high_watermark = r->last_stable_offset = p->hw;
	r->log_start_offset = p->start;
	if (q->last_fetched_epoch >= 0 && q->last_fetched_epoch < p->epoch &&
	    q->fetch_offset > p->epoch_start) {
		/* What it read of an older epoch beyond our start of this one
		 * was lost here (KIP-595). */
		r->diverging_epoch = p->epoch - 1;
		r->diverging_end = p->epoch_start;
		rd->now = true;
		return E_OK;
	}
	if (q->fetch_offset >= p->hw || (rd->budget <= 0 && !rd->first))
		return E_OK;
	w.max = q->partition_max_bytes < rd->budget
	    ? q->partition_max_bytes : rd->budget;
	w.whole = rd->first;
	w.block = f->tries >= COLD_TRIES;
	l = part_extent(p, &w, &x, &cold);
	if (l == LOOK_COLD) {
		rd->first = false;
		rd->budget -= x.len;
		return cold_add(f, p, cold, q->fetch_offset, &x);
	}
	if (l == LOOK_FAIL) {
		log_warn("batch headers do not lead to an offset",
		    LS("file", cold->path), LI("offset", q->fetch_offset));
		r->error = E_STORAGE;
		rd->now = true;
		return E_OK;
	}
	/* As Kafka counts: also what the limits cut off a batch. */
	if (w.avail > x.len || x.seg == NULL)
		f->there += w.avail > 0 ? w.avail : 0;
	else
		f->there += x.len;
	if (x.seg == NULL)
		return E_OK;
	if (r->extents.v == NULL)
		r->extents.v = arena_alloc(f->arena, sizeof *r->extents.v);
	if (r->extents.v == NULL)
		return E_NOMEM;
	r->extents.n = 1;
	r->extents.v[0] = (struct extents_res_extent){ x.seg->handle, x.pos,
	    x.len };
	seg_ref(x.seg);
	f->extents[f->nextents++] = x;
	rd->first = false;
	rd->budget -= x.len;
	f->got += x.len;
	return E_OK;
}

static enum err
try_all(struct fetch *f, struct round *rd)
{
	const struct fetch_req *q = f->req;
	enum err e = E_OK, bad;

	f->res.topics.n = q->topics.n;
	for (int32_t i = 0; i < q->topics.n && e == E_OK; i++) {
		const struct fetch_req_topic *qt = &q->topics.v[i];
		struct extents_res_topic *rt = &f->res.topics.v[i];
		struct topic *t = req_topic(f, qt, &bad);

		rt->name = qt->topic;
		rt->id = qt->topic_id;
		rt->parts.n = qt->partitions.n;
		for (int32_t k = 0; k < qt->partitions.n && e == E_OK; k++)
			e = try_part(f, rd, t, bad, &qt->partitions.v[k],
			    &rt->parts.v[k]);
	}
	return e;
}

static void
finish(struct fetch *f, enum err e)
{
	timer_cancel(&f->eng->timers, &f->timer);
	if (e != E_OK) {
		fetch_release(f);
		f->res.topics.n = 0;
		f->res.error = (int16_t)e;
	}
	f->eng->stats.fetches++;
	f->eng->stats.fetch_bytes += f->got;
	f->done(f);
}

static bool park(struct fetch *);

static void
fetch_try(struct fetch *f)
{
	const struct fetch_req *q = f->req;
	int64_t max = f->version >= 3 ? q->max_bytes : INT32_MAX;
	struct round rd = { .first = true };
	int64_t min;
	enum err e;

	if (max > f->eng->conf->fetch_max_bytes)
		max = f->eng->conf->fetch_max_bytes;
	rd.budget = max;
	min = q->min_bytes < max ? q->min_bytes : max;
	fetch_release(f);
	f->got = f->there = 0;
	e = try_all(f, &rd);
	if (e == E_OK && f->job != NULL) {
		f->tries++;
		pool_submit(f->eng->bulk, &f->job->job);
		return;
	}
	if (f->job != NULL) {		/* no memory half way */
		f->tries = COLD_TRIES;
		pool_submit(f->eng->bulk, &f->job->job);
		return;
	}
	f->missing = min - f->there;
	if (e != E_OK || rd.now || f->nparts == 0 || f->missing <= 0 ||
	    mono_ms() >= f->deadline || !park(f))
		finish(f, e);
}

void
fetch_release(struct fetch *f)
{
	for (int i = 0; i < f->nextents; i++)
		seg_unref(f->extents[i].seg);
	f->nextents = 0;
}

void
fetch_start(struct fetch *f)
{
	const struct fetch_req *q = f->req;
	struct extents_res_topic *rt;

	f->nparts = 0;
	for (int32_t i = 0; i < q->topics.n; i++)
		f->nparts += q->topics.v[i].partitions.n;
	f->deadline = mono_ms() + (q->max_wait_ms > 0 ? q->max_wait_ms : 0);
	f->res = (struct extents_res){ 0 };
	f->extents = arena_array(f->arena, (size_t)f->nparts,
	    sizeof *f->extents);
	f->waits = arena_array(f->arena, (size_t)f->nparts, sizeof *f->waits);
	rt = arena_array(f->arena, (size_t)q->topics.n, sizeof *rt);
	if (f->extents == NULL || f->waits == NULL || rt == NULL) {
		finish(f, E_NOMEM);
		return;
	}
	f->res.topics.v = rt;
	for (int32_t i = 0; i < q->topics.n; i++) {
		rt[i].parts.v = arena_array(f->arena,
		    (size_t)q->topics.v[i].partitions.n,
		    sizeof *rt[i].parts.v);
		if (rt[i].parts.v == NULL) {
			finish(f, E_NOMEM);
			return;
		}
	}
	fetch_try(f);
}

/* ---- long polls -------------------------------------------------------- */

static void
unpark(struct fetch *f)
{
	if (!f->parked)
		return;
	f->parked = false;
	f->eng->parked--;
	for (int i = 0; i < f->nwaits; i++) {
		struct fetch_wait *w = &f->waits[i];

		*w->prevp = w->next;
		if (w->next != NULL)
			w->next->prevp = w->prevp;
	}
	f->nwaits = 0;
	timer_cancel(&f->eng->timers, &f->timer);
}

static void
make_due(struct fetch *f)
{
	struct engine *eng = f->eng;

	unpark(f);
	f->due = true;
	f->next_due = NULL;
	f->due_prevp = eng->due_tail;
	*eng->due_tail = f;
	eng->due_tail = &f->next_due;
}

static void
undue(struct fetch *f)
{
	if (!f->due)
		return;
	f->due = false;
	*f->due_prevp = f->next_due;
	if (f->next_due != NULL)
		f->next_due->due_prevp = f->due_prevp;
	else
		f->eng->due_tail = f->due_prevp;
}

static void
wait_fire(struct timer *t)
{
	make_due((struct fetch *)((char *)t - offsetof(struct fetch, timer)));
}

/* False when it cannot wait: then it is answered with what there is. */
static bool
park(struct fetch *f)
{
	const struct fetch_req *q = f->req;

	if (f->eng->parked >= FETCH_PARKED_MAX)
		return false;
	f->timer.fire = wait_fire;
	if (timer_set(&f->eng->timers, &f->timer, f->deadline) != E_OK)
		return false;
	fetch_release(f);
	f->parked = true;
	f->eng->parked++;
	f->nwaits = 0;
	for (int32_t i = 0; i < q->topics.n; i++) {
		enum err e;
		struct topic *t = req_topic(f, &q->topics.v[i], &e);

		for (int32_t k = 0; k < q->topics.v[i].partitions.n; k++) {
			struct part *p = topic_part(t,
			    q->topics.v[i].partitions.v[k].partition);
			struct fetch_wait *w = &f->waits[f->nwaits++];

			*w = (struct fetch_wait){ .f = f, .part = p,
			    .seen = p->visible, .next = p->waiters,
			    .prevp = &p->waiters };
			if (w->next != NULL)
				w->next->prevp = &w->next;
			p->waiters = w;
		}
	}
	return true;
}

void
fetch_wake(struct part *p)
{
	struct fetch_wait *w, *next;
	bool force = p->state != PART_ONLINE;

	for (w = p->waiters; w != NULL; w = next) {
		struct fetch *f = w->f;

		f->missing -= p->visible - w->seen;
		force |= p->visible < w->seen;
		w->seen = p->visible;
		next = w->next;
		if (f->missing > 0 && !force)
			continue;
		/* A request may name a partition twice: skip our own. */
		while (next != NULL && next->f == f)
			next = next->next;
		make_due(f);
	}
}

void
fetches_run(struct engine *eng)
{
	struct fetch *f;

	while ((f = eng->due) != NULL) {
		undue(f);
		f->tries = 0;
		fetch_try(f);
	}
}

bool
fetch_cancel(struct fetch *f)
{
	unpark(f);
	undue(f);
	timer_cancel(&f->eng->timers, &f->timer);
	if (f->job != NULL) {
		f->dropped = true;
		return false;
	}
	fetch_release(f);
	return true;
}
