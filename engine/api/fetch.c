/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch.  Everything that would block goes to the bulk pool, and the fetch is
 * tried again from scratch.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "fetch_session.h"
#include "lib/log.h"
#include "log/cold.h"
#include "log/history.h"
#include "plant.h"

enum {
	COLD_TRIES	= 3,	/* then block: memory is too tight to wait */
	SYNC_MS		= 1000,	/* most that a sync is waited for */
};

/* ---- rows and sets ----------------------------------------------------- */

void
fetch_set_init(struct fetch_set *set, struct fetch_session *s)
{
	*set = (struct fetch_set){ .session = s };
	set->last = &set->first;
}

void
fetch_row_list(struct fetch_row *row)
{
	struct fetch_set *set = row->set;

	if (row->prevp != NULL)
		return;
	row->next = set->fresh;
	row->prevp = &set->fresh;
	if (row->next != NULL)
		row->next->prevp = &row->next;
	set->fresh = row;
	set->nlisted++;
}

void
fetch_row_unlist(struct fetch_row *row)
{
	struct fetch_set *set = row->set;

	if (row->prevp == NULL)
		return;
	*row->prevp = row->next;
	if (row->next != NULL)
		row->next->prevp = row->prevp;
	else if (set->last == &row->next)
		set->last = row->prevp;
	row->prevp = NULL;
	set->nlisted--;
}

static void
put_last(struct fetch_row *row)
{
	struct fetch_set *set = row->set;

	row->next = NULL;
	row->prevp = set->last;
	*set->last = row;
	set->last = &row->next;
}

/* Merges two lists that rise by turn. */
static struct fetch_row *
merge(struct fetch_row *a, struct fetch_row *b)
{
	struct fetch_row *out, **tail = &out;

	while (a != NULL && b != NULL) {
		struct fetch_row **least = a->turn <= b->turn ? &a : &b;

		*tail = *least;
		tail = &(*least)->next;
		*least = *tail;
	}
	*tail = a != NULL ? a : b;
	return out;
}

static struct fetch_row *
sort(struct fetch_row *v)
{
	struct fetch_row *runs[64] = { NULL }, *one;
	int i;

	while ((one = v) != NULL) {
		v = v->next;
		one->next = NULL;
		for (i = 0; runs[i] != NULL; i++) {
			one = merge(runs[i], one);
			runs[i] = NULL;
		}
		runs[i] = one;
	}
	for (i = 0; i < 64; i++)
		v = merge(runs[i], v);
	return v;
}

/* What is fresh takes its place in the list. */
static void
set_order(struct fetch_set *set)
{
	struct fetch_row *v;

	if (set->fresh == NULL)
		return;
	v = merge(set->first, sort(set->fresh));
	set->fresh = NULL;
	set->last = &set->first;
	while (v != NULL) {
		struct fetch_row *next = v->next;

		put_last(v);
		v = next;
	}
}

static void
row_wait(struct fetch_row *row, struct part *p)
{
	row->seen = p->visible;
	if (row->wait_prevp != NULL)
		return;
	row->part = p;
	row->wait_next = p->waiters;
	row->wait_prevp = &p->waiters;
	if (row->wait_next != NULL)
		row->wait_next->wait_prevp = &row->wait_next;
	p->waiters = row;
}

void
fetch_row_unwait(struct fetch_row *row)
{
	if (row->wait_prevp == NULL)
		return;
	*row->wait_prevp = row->wait_next;
	if (row->wait_next != NULL)
		row->wait_next->wait_prevp = row->wait_prevp;
	row->wait_prevp = NULL;
	row->part = NULL;
}

/* ---- one partition ----------------------------------------------------- */

struct round {
	int64_t		 budget;
	bool		 first;		/* nothing given yet */
	bool		 now;		/* an error: answer at once */
	bool		 syncing;	/* there is more, not synced yet */
	int		 unknown;	/* rows of nothing we have */
	uint64_t	 number;	/* marks partitions */
	struct cold	*cold;		/* to be read ahead */
	int		 ncold;		/* so many segments of it */
	/* The last topic that was looked up. */
	struct fetch_topic *topic;
	struct topic	*found;
};

static bool
by_id(const struct fetch *f)
{
	return f->version >= 13;
}

static struct part *
row_part(const struct fetch *f, struct round *rd, const struct fetch_row *row)
{
	struct topics *ts = &f->eng->topics;

	if (rd->topic != row->topic) {
		rd->topic = row->topic;
		rd->found = by_id(f) ? topic_find_id(ts, row->topic->id)
		    : topic_find(ts, row->topic->name);
	}
	return rd->found == NULL ? NULL : topic_part(rd->found, row->index);
}

static enum err
part_checks(const struct part *p, const struct fetch_row *row)
{
	if (row->current_epoch >= 0 && p->epoch >= 0) {
		if (row->current_epoch < p->epoch)
			return E_FENCED_LEADER_EPOCH;
		if (row->current_epoch > p->epoch)
			return E_UNKNOWN_LEADER_EPOCH;
	}
	if (p->state == PART_OFFLINE || p->nsegs == 0)
		return E_STORAGE;
	if (p->state == PART_RECOVERING)
		return E_LEADER_NOT_AVAILABLE;
	return row->offset < p->start ? E_OFFSET_OUT_OF_RANGE : E_OK;
}

/* What its client read last is not of this log: says where they part
 * (KIP-595), which is a better answer to one that is past the end than that
 * it is.  E_BUSY: not known yet. */
static enum err
row_diverges(struct fetch *f, struct round *rd, struct part *p,
    const struct fetch_row *row, struct extents_res_part *r)
{
	int32_t epoch;
	int64_t end;
	enum err e;

	if (row->last_epoch < 0)
		return E_OK;
	e = history_end(p, row->last_epoch, &epoch, &end);
	if (e == E_BUSY && f->tries >= COLD_TRIES)
		return E_STORAGE;
	if (e == E_BUSY && p->asked != rd->number) {
		p->asked = rd->number;
		e = cold_add_history(&rd->cold, p);
		return e == E_OK ? E_BUSY : e;
	}
	if (e != E_OK)
		return e;
	if (epoch < 0)
		return E_OFFSET_OUT_OF_RANGE;	/* not of any log of ours */
	if (epoch < row->last_epoch || end < row->offset) {
		r->diverging_epoch = epoch;
		r->diverging_end = end;
	}
	return E_OK;
}

/* Takes what was found, or has it read ahead.  E_NOMEM. */
static enum err
row_extent(struct fetch *f, struct round *rd, struct part *p,
    const struct fetch_row *row, struct extents_res_part *r)
{
	struct look_want w = { .offset = row->offset, .whole = rd->first,
	    .read = f->tries > 0, .block = f->tries >= COLD_TRIES };
	struct fetch_extent x = { 0 };
	struct seg *cold = NULL;
	enum look l;

	w.max = row->max_bytes < rd->budget ? row->max_bytes : rd->budget;
	l = look_extent(p, &w, &x, &cold);
	if (l == LOOK_COLD) {
		rd->first = false;
		rd->budget -= x.len;
		rd->ncold++;
		return cold_add(&rd->cold, p, cold, row->offset, &x);
	}
	if (l == LOOK_BAD) {
		r->error = E_CORRUPT;
		rd->now = true;
		return E_OK;
	}
	if (l == LOOK_FAIL) {
		log_warn("batch headers do not lead to an offset",
		    LS("file", cold->path), LI("offset", row->offset));
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
	r->extents.n = 1;
	r->extents.v = &f->places[f->nextents];
	r->extents.v[0] = (struct extents_res_extent){ x.seg->handle, x.pos,
	    x.len };
	seg_ref(x.seg);
	f->extents[f->nextents++] = x;
	rd->first = false;
	rd->budget -= x.len;
	f->got += x.len;
	return E_OK;
}

static void
res_part_init(struct extents_res_part *r, const struct fetch_row *row)
{
	*r = (struct extents_res_part){ .index = row->index,
	    .high_watermark = -1, .last_stable_offset = -1,
	    .log_start_offset = -1, .fetch_offset = row->offset,
	    .diverging_epoch = -1, .diverging_end = -1, .leader_epoch = -1 };
}

/* E_NOMEM only. */
static enum err
try_row(struct fetch *f, struct round *rd, struct fetch_row *row,
    struct extents_res_part *r)
{
	struct part *p = row_part(f, rd, row);
	enum err e;

	res_part_init(r, row);
	if (p == NULL) {
		/* As with Kafka's, nobody is answered sooner for it. */
		r->error = by_id(f) && rd->found == NULL ? E_UNKNOWN_TOPIC_ID
		    : E_UNKNOWN_TOPIC;
		rd->unknown++;
		return E_OK;
	}
	r->leader_epoch = p->epoch;
	/* Batches are of format 2, which versions below 4 do not know. */
	e = f->version < 4 && !p->topic->conf.message_downconversion_enable
	    ? E_UNSUPPORTED_VERSION : part_checks(p, row);
	if (e == E_OK)
		e = row_diverges(f, rd, p, row, r);
	if (e == E_OK && r->diverging_epoch < 0 && row->offset > p->next)
		e = E_OFFSET_OUT_OF_RANGE;
	if (e == E_BUSY)
		return E_OK;		/* there will be another try */
	if (e == E_NOMEM)
		return e;
	if (e != E_OK) {
		r->error = (int16_t)e;
		rd->now = true;
		return E_OK;
	}
	r->high_watermark = r->last_stable_offset = p->hw;
	r->log_start_offset = p->start;
	rd->syncing |= row->offset >= p->hw && row->offset < part_written(p);
	rd->now |= r->diverging_epoch >= 0;
	if (r->diverging_epoch >= 0 || row->offset >= (PLANT(past_hw) ?
	    part_written(p) : p->hw) ||
	    (rd->budget <= 0 && !rd->first) ||
	    f->nextents + rd->ncold >= f->segs_max)
		return E_OK;
	return row_extent(f, rd, p, row, r);
}

/* ---- the whole request ------------------------------------------------- */

/* Room for what a try of all that is listed finds. */
static enum err
rows_room(struct fetch *f)
{
	int n = f->set->nlisted, segs = n < f->segs_max ? n : f->segs_max;

	f->nrows = 0;
	if (n <= f->rows_cap)
		return E_OK;
	/* A session's rows were not in this request. */
	if (f->set->session != NULL)
		f->arena->limit += (size_t)n * (sizeof *f->rows +
		    sizeof *f->parts) + (size_t)segs * (sizeof *f->places +
		    sizeof *f->extents) + 64 * KIB;
	f->rows = arena_array(f->arena, (size_t)n, sizeof *f->rows);
	f->parts = arena_array(f->arena, (size_t)n, sizeof *f->parts);
	f->places = arena_array(f->arena, (size_t)segs, sizeof *f->places);
	f->extents = arena_array(f->arena, (size_t)segs, sizeof *f->extents);
	f->rows_cap = 0;
	if (f->rows == NULL || f->parts == NULL || f->places == NULL ||
	    f->extents == NULL)
		return E_NOMEM;
	f->rows_cap = n;
	return E_OK;
}

static enum err
try_all(struct fetch *f, struct round *rd)
{
	struct fetch_row *row;
	enum err e = rows_room(f);

	set_order(f->set);
	for (row = f->set->first; row != NULL && e == E_OK; row = row->next) {
		e = try_row(f, rd, row, &f->parts[f->nrows]);
		f->rows[f->nrows++] = row;
	}
	return e;
}

static bool
same_topic(const struct fetch *f, const struct fetch_topic *a,
    const struct fetch_topic *b)
{
	return a == b || (by_id(f) ? uuid_eq(a->id, b->id) :
	    kstr_eq(a->name, b->name));
}

/* The rows that are answered, by runs of the same topic.  E_NOMEM. */
static enum err
res_topics(struct fetch *f)
{
	struct extents_res_topic *t = NULL;
	int n = 0;

	for (int i = 0; i < f->nrows; i++)
		n += i == 0 || !same_topic(f, f->rows[i]->topic,
		    f->rows[i - 1]->topic);
	f->res.topics.n = n;
	f->res.topics.v = arena_array(f->arena, (size_t)n, sizeof *t);
	if (f->res.topics.v == NULL)
		return E_NOMEM;
	t = f->res.topics.v - 1;
	for (int i = 0; i < f->nrows; i++) {
		struct fetch_topic *at = f->rows[i]->topic;

		if (i == 0 || !same_topic(f, at, f->rows[i - 1]->topic)) {
			*++t = (struct extents_res_topic){ .name = at->name,
			    .id = at->id };
			t->parts.v = &f->parts[i];
		}
		t->parts.n++;
	}
	return E_OK;
}

/* All of this has been told: the row waits until its partition moves. */
static bool
row_told(const struct fetch_row *row, const struct extents_res_part *r)
{
	return r->error == E_OK && r->diverging_epoch < 0 &&
	    row->offset >= r->high_watermark;
}

/* After an error everything is told again. */
static void
row_note(struct fetch_row *row, const struct extents_res_part *r)
{
	bool well = r->error == E_OK;

	row->hw = well ? r->high_watermark : -1;
	row->lso = well ? r->last_stable_offset : -1;
	row->start = well ? r->log_start_offset : -1;
}

/*
 * Says of a session's row whether it belongs into this answer, and puts it
 * where the next fetch finds it, or does not (KIP-227).
 */
static bool
row_news(struct fetch *f, struct round *rd, struct fetch_row *row,
    const struct extents_res_part *r)
{
	bool news = r->error != E_OK || r->diverging_epoch >= 0 ||
	    r->extents.n > 0 || row->hw != r->high_watermark ||
	    row->lso != r->last_stable_offset ||
	    row->start != r->log_start_offset;

	row_note(row, r);
	if (r->extents.n > 0) {
		/* Whoever has been served goes behind the others. */
		fetch_row_unlist(row);
		row->turn = ++row->set->turn;
		put_last(row);
		row->set->nlisted++;
	} else if (row_told(row, r)) {
		fetch_row_unlist(row);
		row_wait(row, row_part(f, rd, row));
	}
	return news;
}

/* Leaves out of a session's answer what is no news. */
static void
prune(struct fetch *f)
{
	struct round rd = { .topic = NULL };
	int n = 0;

	for (int i = 0; i < f->nrows; i++) {
		if (!row_news(f, &rd, f->rows[i], &f->parts[i]))
			continue;
		f->rows[n] = f->rows[i];
		f->parts[n++] = f->parts[i];
	}
	f->nrows = n;
}

/* Makes a session of what a full fetch has asked and was told.  It is no
 * fault when there cannot be one. */
static void
adopt(struct fetch *f)
{
	struct fetch_session *s = fetch_session_new(f->eng, f->own.n,
	    by_id(f));
	struct round rd = { .topic = NULL };

	for (int i = 0; s != NULL && i < f->nrows; i++) {
		const struct fetch_row *from = f->rows[i];
		struct fetch_row *row = fetch_session_put(s, from->topic,
		    from->index);

		if (row == NULL) {
			fetch_session_end(s);
			return;
		}
		row->max_bytes = from->max_bytes;
		row->current_epoch = from->current_epoch;
		row->last_epoch = from->last_epoch;
		row->offset = from->offset;
		row_note(row, &f->parts[i]);
		if (row_told(row, &f->parts[i])) {
			fetch_row_unlist(row);
			row_wait(row, row_part(f, &rd, row));
		}
	}
	if (s != NULL)
		f->res.session_id = s->id;
}

static void
finish(struct fetch *f, enum err e)
{
	timer_cancel(&f->eng->timers, &f->timer);
	f->set->fetch = NULL;
	if (e == E_OK && f->set->session != NULL) {
		f->res.session_id = f->set->session->id;
		prune(f);
	} else if (e == E_OK && f->wants_session)
		adopt(f);
	if (e == E_OK)
		e = res_topics(f);
	if (e != E_OK) {
		fetch_release(f);
		f->res = (struct extents_res){ .error = (int16_t)e };
	}
	f->eng->stats.fetches++;
	f->eng->stats.fetch_bytes += f->got;
	f->done(f);
}

static bool park(struct fetch *);
static void fetch_try(struct fetch *);

static void
cold_back(void *arg)
{
	struct fetch *f = arg;

	f->job = NULL;
	if (f->dropped) {
		f->set->fetch = NULL;
		f->done(f);
	} else
		fetch_try(f);
}

static void
fetch_try(struct fetch *f)
{
	const struct fetch_req *q = f->req;
	int64_t max = f->version >= 3 ? q->max_bytes : INT32_MAX;
	struct round rd = { .first = true, .number = ++f->eng->rounds };
	int64_t min;
	bool over;
	enum err e;

	if (max > f->eng->conf->fetch_max_bytes)
		max = f->eng->conf->fetch_max_bytes;
	rd.budget = max;
	min = q->min_bytes < max ? q->min_bytes : max;
	fetch_release(f);
	f->got = f->there = 0;
	e = try_all(f, &rd);
	if (rd.cold != NULL) {
		/* Without memory for all of it the next try blocks. */
		f->tries = e == E_OK ? f->tries + 1 : COLD_TRIES;
		f->job = rd.cold;
		cold_start(f->job, f->eng, cold_back, f);
		return;
	}
	f->missing = min - f->there;
	over = f->patient || mono_ms() >= f->deadline;
	/* A producer may have been told of records that readers may not see
	 * before they are synced: whoever asks then must not be told that
	 * there are none. */
	if (over && rd.syncing && f->there == 0 && !f->patient) {
		f->patient = true;
		f->deadline = mono_ms() + SYNC_MS;
		f->missing = 1;
		over = false;
	}
	if (e != E_OK || rd.now || rd.unknown == f->set->n ||
	    f->missing <= 0 || over || !park(f))
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
fetch_row_ask(struct fetch_row *row, const struct fetch_req_topic_part *p)
{
	row->max_bytes = p->partition_max_bytes;
	row->current_epoch = p->current_leader_epoch;
	row->last_epoch = p->last_fetched_epoch;
	row->offset = p->fetch_offset;
}

/* A set of the request's own: all of it is listed. */
static enum err
own_rows(struct fetch *f)
{
	const struct fetch_req *q = f->req;
	struct fetch_topic *t;
	struct fetch_row *row;
	size_t n = 0;

	fetch_set_init(&f->own, NULL);
	f->set = &f->own;
	for (int32_t i = 0; i < q->topics.n; i++)
		if (q->topics.v[i].partitions.n > 0)
			n += (size_t)q->topics.v[i].partitions.n;
	t = arena_array(f->arena, q->topics.n > 0 ? (size_t)q->topics.n : 0,
	    sizeof *t);
	row = arena_array(f->arena, n, sizeof *row);
	if (t == NULL || row == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++, t++) {
		const struct fetch_req_topic *qt = &q->topics.v[i];

		t->name = qt->topic;
		t->id = qt->topic_id;
		for (int32_t k = 0; k < qt->partitions.n; k++, row++) {
			row->set = &f->own;
			row->topic = t;
			row->index = qt->partitions.v[k].partition;
			fetch_row_ask(row, &qt->partitions.v[k]);
			put_last(row);
		}
	}
	f->own.n = f->own.nlisted = (int)n;
	return E_OK;
}

void
fetch_start(struct fetch *f)
{
	int32_t wait = f->req->max_wait_ms;
	enum err e = E_OK;

	f->deadline = mono_ms() + (wait > 0 ? wait : 0);
	if (f->segs_max <= 0 || f->segs_max > FETCH_SEGS_MAX)
		f->segs_max = FETCH_SEGS_MAX;
	if (f->segs_max > files_share(&f->eng->files))
		f->segs_max = files_share(&f->eng->files);
	f->res = (struct extents_res){ 0 };
	if (f->set == NULL)
		e = own_rows(f);
	f->set->fetch = f;
	if (e == E_OK)
		fetch_try(f);
	else
		finish(f, e);
}

/* ---- long polls -------------------------------------------------------- */

static void
unpark(struct fetch *f)
{
	struct fetch_row *row;

	if (!f->parked)
		return;
	f->parked = false;
	f->eng->parked--;
	f->eng->parked_bytes -= f->bytes;
	/* A session's rows go on waiting. */
	if (f->set == &f->own)
		for (row = f->own.first; row != NULL; row = row->next)
			fetch_row_unwait(row);
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
	struct engine *eng = f->eng;
	struct round rd = { .topic = NULL };
	struct fetch_row *row;

	f->bytes = (int64_t)f->arena->used;
	if (eng->parked >= FETCH_PARKED_MAX ||
	    eng->parked_bytes + f->bytes > FETCH_PARKED_BYTES_MAX)
		return false;
	f->timer.fire = wait_fire;
	if (timer_set(&eng->timers, &f->timer, f->deadline) != E_OK)
		return false;
	fetch_release(f);
	f->parked = true;
	eng->parked++;
	eng->parked_bytes += f->bytes;
	for (row = f->set->first; row != NULL; row = row->next) {
		struct part *p = row_part(f, &rd, row);

		if (p != NULL)
			row_wait(row, p);
	}
	return true;
}

/*
 * A row of a session that nobody fetches from is only put on its list, and
 * waits no more: further appends pass it by.
 */
void
fetch_wake(struct part *p)
{
	struct fetch_row *row, *next;
	bool force = p->state != PART_ONLINE;

	view_move(p->eng, p);
	for (row = p->waiters; row != NULL; row = next) {
		struct fetch_set *set = row->set;
		struct fetch *f = set->fetch;
		int64_t more = p->visible - row->seen;

		next = row->wait_next;
		row->seen = p->visible;
		fetch_row_list(row);
		if (f == NULL || !f->parked) {
			fetch_row_unwait(row);
			continue;
		}
		f->missing = force || more < 0 ? 0 : f->missing - more;
		if (f->missing > 0)
			continue;
		/* A request may name a partition twice: skip our own. */
		while (next != NULL && next->set == set)
			next = next->wait_next;
		make_due(f);
		fetch_row_unwait(row);
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
	f->set->fetch = NULL;
	return true;
}
