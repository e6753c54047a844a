/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions: queueing of appends, the end that readers see, fencing and the
 * way back.  Writes and syncs themselves are the committer's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/fetch.h"
#include "engine.h"
#include "history.h"
#include "lib/log.h"
#include "plant.h"
#include "reap.h"
#include "roll.h"

enum { RETRY_MIN_MS = 100, RETRY_MAX_MS = 30000 };

void
append_list_init(struct append_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

void
append_list_put(struct append_list *l, struct append *a)
{
	a->next = NULL;
	*l->tail = a;
	l->tail = &a->next;
}

/*
 * What a batch hears that is not appended because of the disk.  Kafka's word
 * for it is read as "not written": then librdkafka sends the records again in
 * other batches, also when this one was a retry whose first try did reach the
 * disk, and finds itself out of sequence for good.  So an idempotent producer
 * hears what leaves that open, with the words of what it is.
 */
enum err
part_refusal(const struct batch *b, enum err e)
{
	if (b->pid < 0)
		return e;
	return e == E_STORAGE ? E_NOT_DURABLE : e == E_NOSPC ? E_FULL : e;
}

void
append_list_fail(struct append_list *l, enum err e)
{
	struct append *a, *next;

	a = l->head;
	append_list_init(l);
	for (; a != NULL; a = next) {
		next = a->next;
		a->done(a, part_refusal(&a->b, e));
	}
}

void
part_dir(const struct part *p, char *dir)
{
	log_dir(p->eng->data, &p->id, dir);
}

static void retry_fire(struct timer *);

struct part *
part_new(struct engine *eng, struct topic *t, const struct log_id *id)
{
	struct part *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->eng = eng;
	p->topic = t;
	p->id = *id;
	p->state = PART_RECOVERING;
	p->epoch = -1;
	p->snapped = -1;
	p->reap_due = INT64_MAX;
	p->retry.fire = retry_fire;
	append_list_init(&p->queue);
	append_list_init(&p->unsynced);
	part_policy(p);
	return p;
}

static void
segs_drop(struct part *p)
{
	for (int i = 0; i < p->nsegs; i++) {
		if (p->eng->retired != NULL)
			p->eng->retired(p->eng, p->segs[i]->handle);
		files_remove(p->segs[i]);
		seg_unref(p->segs[i]);
	}
	free(p->segs);
	p->segs = NULL;
	p->nsegs = p->segs_cap = 0;
}

void
part_shed(struct part *p)
{
	ASSERT(p->state == PART_GONE && p->jobs == 0);
	segs_drop(p);
	prod_free(p->prods);
	p->prods = NULL;
	window_drop(p);
}

void
part_free(struct part *p)
{
	if (p == NULL)
		return;
	ASSERT(p->jobs == 0 && p->waiters == NULL);
	ASSERT(p->queue.head == NULL && p->unsynced.head == NULL);
	ASSERT(!p->in_dirty && !p->in_unsynced && !p->in_ckpt);
	timer_cancel(&p->eng->timers, &p->retry);
	segs_drop(p);
	prod_free(p->prods);
	window_drop(p);
	history_drop(p);
	free(p);
}

struct seg *
part_active(const struct part *p)
{
	return p->nsegs == 0 ? NULL : p->segs[p->nsegs - 1];
}

enum err
part_adopt(struct part *p, struct seg *s)
{
	struct seg **v;

	if (p->nsegs == p->segs_cap) {
		v = realloc(p->segs, ((size_t)p->segs_cap * 2 + 2) *
		    sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		p->segs = v;
		p->segs_cap = p->segs_cap * 2 + 2;
	}
	s->handle = ++p->eng->next_handle;
	seg_configure(s, p, true);
	p->segs[p->nsegs++] = seg_ref(s);
	files_add(&p->eng->files, s);
	view_move(p->eng, p);
	return E_OK;
}

int64_t
part_written(const struct part *p)
{
	const struct seg *s = part_active(p);

	return s == NULL ? p->start : s->end_offset;
}

enum err
part_install(struct part *p, struct recovered *r, int32_t epoch)
{
	struct seg **segs;

	segs = calloc((size_t)r->nsegs + 1, sizeof *segs);
	if (segs == NULL)
		return E_NOMEM;
	segs_drop(p);
	prod_free(p->prods);
	memcpy(segs, r->segs, (size_t)r->nsegs * sizeof *segs);
	p->segs = segs;
	p->nsegs = r->nsegs;
	p->segs_cap = r->nsegs + 1;
	for (int i = 0; i < p->nsegs; i++) {
		segs[i]->handle = ++p->eng->next_handle;
		seg_configure(segs[i], p, true);
		files_add(&p->eng->files, segs[i]);
	}
	p->prods = r->prods;
	r->prods = NULL;
	r->nsegs = 0;
	p->start = r->start > p->trimmed ? r->start : p->trimmed;
	p->next = p->hw = r->end;
	if (PLANT(hw_back) && p->topic != NULL)
		p->hw = p->start;
	p->snapped = r->snapped;
	p->epoch = epoch;
	p->epoch_start = r->epoch != epoch ? r->end :
	    r->epoch_start >= 0 ? r->epoch_start : r->start;
	fetch_wake(p);		/* not online yet: wakes everybody */
	p->state = PART_ONLINE;
	p->gen++;
	p->tries = 0;
	p->unsynced_since = 0;
	window_drop(p);
	history_drop(p);
	p->visible = 0;
	for (int i = 0; i < p->nsegs; i++)
		p->visible += segs[i]->size;
	reap_note(p, r->deleted_due);
	if (r->cut > 0)
		log_warn("torn tail moved to lost+found",
		    LS("topic", p->topic ? p->topic->name : "(catalogue)"),
		    LI("part", p->id.part), LI("bytes", r->cut),
		    LI("end", r->end));
	return E_OK;
}

/* The planted bug: the last batch that is queued and the new one change their
 * places.  False when there is none. */
static bool
append_swap(struct part *p, struct append *a)
{
	struct append **prev = &p->queue.head, *b;

	if (*prev == NULL)
		return false;
	while ((*prev)->next != NULL)
		prev = &(*prev)->next;
	b = *prev;
	a->b.base_offset = b->b.base_offset;
	b->b.base_offset += (int64_t)a->b.last_delta + 1;
	batch_assign(a->head, a->b.base_offset, p->epoch);
	batch_assign(b->head, b->b.base_offset, p->epoch);
	a->next = b;
	*prev = a;
	p->queue.tail = &b->next;
	p->next += (int64_t)a->b.last_delta + 1;
	p->queued_bytes += batch_size(&a->b);
	return true;
}

enum err
part_append(struct part *p, struct append *a)
{
	enum err e;

	if (p->state != PART_ONLINE)
		return p->state == PART_GONE ? E_UNKNOWN_TOPIC : E_FENCED;
	if (p->eng->space.full && p->topic != NULL)
		return part_refusal(&a->b, E_NOSPC);
	a->b.base_offset = p->next;
	a->b.leader_epoch = p->epoch;
	if (a->b.pid >= 0 && p->topic != NULL) {
		if (p->prods == NULL && (p->prods = prod_new()) == NULL)
			return E_NOMEM;
		e = prod_note(p->prods, &a->b, mono_ms());
		if (e != E_OK)
			return e;
	}
	batch_assign(a->head, p->next, p->epoch);
	if (PLANT(swap_batches) && p->topic != NULL && append_swap(p, a))
		return E_OK;
	p->next += (int64_t)a->b.last_delta + 1;
	p->queued_bytes += batch_size(&a->b);
	append_list_put(&p->queue, a);
	commit_dirty(&p->eng->commit, p);
	return E_OK;
}

void
part_await(struct part *p, struct append *a)
{
	a->written = true;
	if (batch_last_offset(&a->b) < p->hw)
		a->done(a, E_OK);
	else
		append_list_put(&p->unsynced, a);
}

struct seg *
part_seg(const struct part *p, int64_t offset, int *at)
{
	int lo = 0, hi = p->nsegs;	/* base[lo] <= offset < base[hi] */

	if (p->nsegs == 0 || offset < p->segs[0]->base)
		return NULL;
	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;

		if (p->segs[mid]->base <= offset)
			lo = mid;
		else
			hi = mid;
	}
	if (at != NULL)
		*at = lo;
	return p->segs[lo];
}

/* The synced end: where the first segment with unsynced bytes is synced to. */
static int64_t
synced_end(const struct part *p)
{
	int i = p->nsegs;

	while (i > 0 && p->segs[i - 1]->synced < p->segs[i - 1]->size)
		i--;
	return i == p->nsegs ? part_written(p) : p->segs[i]->synced_offset;
}

void
part_trim(struct part *p, int64_t offset)
{
	if (offset <= p->trimmed)
		return;
	p->trimmed = offset;
	if (offset <= p->start)
		return;
	p->start = offset;
	fetch_wake(p);		/* sessions tell where the log starts */
}

void
part_advance(struct part *p)
{
	int64_t durable = synced_end(p);
	int64_t hw = p->relaxed || PLANT(hw_early) ? part_written(p) : durable;
	bool moved = hw > p->hw;
	struct append *a;

	/* First: who is answered may look. */
	if (moved)
		p->hw = hw;

	while ((a = p->unsynced.head) != NULL &&
	    batch_last_offset(&a->b) < (p->relaxed ? hw : durable)) {
		if ((p->unsynced.head = a->next) == NULL)
			p->unsynced.tail = &p->unsynced.head;
		a->done(a, E_OK);
	}
	if (moved)
		fetch_wake(p);
}

/* Bytes count as visible when they are written or when they are synced: those
 * in between change sides.  hw never goes back. */
static void
policy_changed(struct part *p, bool was_relaxed)
{
	int64_t between = 0;

	for (int i = 0; i < p->nsegs; i++)
		between += p->segs[i]->size - p->segs[i]->synced;
	if (between == 0)
		return;
	if (p->relaxed != was_relaxed)
		p->visible += p->relaxed ? between : -between;
	/* It is looked at whether a sync is due, by the new measure. */
	commit_unsynced(&p->eng->commit, p);
	part_advance(p);
}

int64_t
part_idx_interval(const struct part *p)
{
	int64_t n = p->topic == NULL ? IDX_INTERVAL :
	    p->topic->conf.index_interval_bytes;

	return n < 1 ? 1 : n < IDX_INTERVAL_MAX ? n : IDX_INTERVAL_MAX;
}

/*
 * A topic's own flush.* goes before the engine's sync.  flush.messages = 1 is
 * sync at every commit, which is also what sync=commit means.
 */
void
part_policy(struct part *p)
{
	const struct conf *c = p->eng->conf;
	const struct topic_conf *tc;
	int64_t messages = p->flush_messages, ms = p->flush_ms;
	bool was = p->relaxed;

	p->relaxed = p->topic != NULL && c->sync != SYNC_COMMIT;
	p->flush_messages = INT64_MAX;
	p->flush_ms = c->sync == SYNC_INTERVAL ? c->sync_interval_ms
	    : INT64_MAX;
	if (p->topic == NULL)
		return;
	tc = &p->topic->conf;
	if (tc->flush_messages != INT64_MAX || tc->flush_ms != INT64_MAX) {
		p->relaxed = tc->flush_messages > 1 && tc->flush_ms > 0;
		p->flush_messages = tc->flush_messages;
		p->flush_ms = tc->flush_ms;
	}
	for (int i = 0; i < p->nsegs; i++)
		seg_configure(p->segs[i], p, false);
	if (p->state == PART_ONLINE && (p->relaxed != was ||
	    p->flush_messages != messages || p->flush_ms != ms))
		policy_changed(p, was);
}

/* ---- faults ------------------------------------------------------------ */

struct recovery {
	struct job		 job;
	struct meta_put		 put;
	struct part		*part;
	struct recover_how	 how;
	struct recovered	 got;
	enum err		 err;
	bool			 restore;	/* from the journal */
	int32_t			 epoch;
	char			 dir[PATH_SIZE], lost[PATH_SIZE];
};

static void
recovery_run(struct job *j)
{
	struct recovery *r = (struct recovery *)j;

	r->err = r->restore ? journal_restore(r->part->eng->data, &r->how.id) :
	    E_OK;
	if (r->err == E_OK)
		r->err = recover_log(&r->how, &r->got);
	if (r->err == E_NOTFOUND || (r->err == E_OK && r->got.nsegs == 0)) {
		snprintf(r->got.why, sizeof r->got.why,
		    "%.200s: segments are missing", r->dir);
		r->err = E_CORRUPT;
	}
}

/* The last step: the new epoch is durable, the partition takes it. */
static void
recovery_epoch(struct meta_put *put, enum err e)
{
	struct recovery *r = (struct recovery *)((char *)put -
	    offsetof(struct recovery, put));
	struct part *p = r->part;

	if (p->state == PART_RECOVERING) {
		if (e == E_OK)
			e = part_install(p, &r->got, r->epoch);
		if (e != E_OK) {
			p->state = PART_ONLINE;
			part_fence(p, e, NULL, false);
		} else
			log_info("partition recovered",
			    LS("topic", p->topic->name),
			    LI("part", p->id.part), LI("end", p->next),
			    LI("epoch", p->epoch));
	}
	recover_free(&r->got);
	free(r);
	part_job_done(p);
}

static void
recovery_done(struct job *j)
{
	struct recovery *r = (struct recovery *)j;
	struct part *p = r->part;
	struct meta_epoch rec;

	if (r->err == E_CORRUPT && p->state == PART_RECOVERING) {
		log_warn("partition is damaged and stays offline",
		    LS("topic", p->topic->name), LI("part", p->id.part),
		    LS("why", r->got.why));
		p->state = PART_OFFLINE;
	} else if (r->err != E_OK && p->state == PART_RECOVERING) {
		p->state = PART_ONLINE;
		part_fence(p, r->err, NULL, false);
	} else if (p->state == PART_RECOVERING) {
		if (r->got.epoch > p->eng->epoch)
			p->eng->epoch = r->got.epoch;
		r->epoch = ++p->eng->epoch;
		r->put.done = recovery_epoch;
		rec.epoch = r->epoch;
		if (meta_write(&p->eng->meta, MT_meta_epoch, NULL, &rec,
		    &r->put) == E_OK)
			return;
		p->state = PART_ONLINE;
		part_fence(p, E_NOMEM, NULL, false);
	}
	recover_free(&r->got);
	free(r);
	part_job_done(p);
}

static void
retry_later(struct part *p)
{
	int64_t ms = RETRY_MIN_MS;

	for (int i = 0; i < p->tries && ms < RETRY_MAX_MS; i++)
		ms *= 2;
	p->tries++;
	if (timer_set(&p->eng->timers, &p->retry, mono_ms() + ms) != E_OK)
		log_warn("no memory to retry recovery; restart the engine",
		    LI("part", p->id.part));
}

static void
retry_fire(struct timer *t)
{
	struct part *p = (struct part *)((char *)t -
	    offsetof(struct part, retry));
	struct recovery *r;
	int64_t durable;

	if (p->state != PART_FENCED || p->jobs > 0)
		return;		/* part_job_done comes back to it */
	r = calloc(1, sizeof *r);
	if (r == NULL) {
		retry_later(p);
		return;
	}
	r->part = p;
	r->restore = journal_holds_part(&p->eng->journal, p);
	r->job.run = recovery_run;
	r->job.done = recovery_done;
	part_dir(p, r->dir);
	snprintf(r->lost, sizeof r->lost, "%s/lost+found", p->eng->data);
	/* hw is past the synced end where the policy was another before. */
	durable = synced_end(p);
	r->how = (struct recover_how){ .dir = r->dir, .lost = r->lost,
	    .id = p->id, .clean = false,
	    .end_min = p->relaxed ? p->trimmed : p->hw < durable ? p->hw :
	    durable, .interval = part_idx_interval(p) };
	p->state = PART_RECOVERING;
	p->jobs++;
	pool_submit(p->eng->bulk, &r->job);
}

/* The catalogue has no second try, but for one case: there was no room, and
 * nothing of the batch stays.  Then the log is as it was. */
static void
catalogue_failed(struct part *p, enum err why, struct append_list *more,
    bool undone)
{
	if (why != E_NOSPC || more == NULL || !undone ||
	    p->queue.head != NULL)
		log_fatal("the catalogue cannot be written", LE(why));
	space_full(p->eng);
	p->next = part_written(p);
	append_list_fail(more, E_NOSPC);
}

void
part_fence(struct part *p, enum err why, struct append_list *more,
    bool undone)
{
	enum err no = why == E_NOSPC ? E_NOSPC : E_STORAGE;
	struct append_list lost;

	if (p->topic == NULL) {
		catalogue_failed(p, why, more, undone);
		return;
	}
	if (why == E_NOSPC)
		space_full(p->eng);
	/* What may be on the disk must not be called not written: an
	 * idempotent producer would send it in other batches. */
	if (more != NULL)
		append_list_fail(more, undone ? no : E_NOT_DURABLE);
	if (p->state != PART_ONLINE)
		return;
	log_warn("partition is fenced", LS("topic", p->topic->name),
	    LI("part", p->id.part), LE(why), LI("high_watermark", p->hw));
	p->state = PART_FENCED;
	p->gen++;
	commit_forget(&p->eng->commit, p);
	lost = p->unsynced;
	if (lost.head == NULL)
		append_list_init(&lost);
	append_list_init(&p->unsynced);
	append_list_fail(&lost, E_NOT_DURABLE);
	append_list_fail(&p->queue, no);
	p->queued_bytes = 0;
	/* What was given out and not written never was. */
	p->next = part_written(p);
	retry_later(p);
}

void
part_drop(struct part *p, void (*gone)(struct part *))
{
	if (p->state == PART_ONLINE)
		commit_forget(&p->eng->commit, p);
	p->state = PART_GONE;
	p->gen++;
	p->gone = gone;
	timer_cancel(&p->eng->timers, &p->retry);
	append_list_fail(&p->unsynced, E_UNKNOWN_TOPIC);
	append_list_fail(&p->queue, E_UNKNOWN_TOPIC);
	p->queued_bytes = 0;
	fetch_wake(p);
	p->jobs++;
	part_job_done(p);
}

void
part_job_done(struct part *p)
{
	ASSERT(p->jobs > 0);
	if (--p->jobs > 0)
		return;
	if (p->state == PART_GONE && p->gone != NULL)
		p->gone(p);
	else if (p->state == PART_FENCED && p->retry.at == 0)
		retry_later(p);
}
