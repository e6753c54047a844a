/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit.  A round is one job: an array of writes, one per partition
 * with queued batches, and an array of syncs.  What is small is synced by the
 * journal, what is not where it lies.
 *
 *   loop: kick ──▶ worker: write each ──▶ loop: written (acks=1, relaxed)
 *                          sync each  ──▶ loop: synced  (acks=all, hw)
 *
 * A result whose partition changed its generation meanwhile is void.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "lib/log.h"
#include "plant.h"
#include "roll.h"

enum {
	OP_APPENDS_MAX	= COMMIT_IOV_MAX / 2,
	SYNC_EACH_MAX	= 4,	/* more files than this: one syncfs */
};

struct write_op {
	struct part	*part;
	struct seg	*seg;		/* ours; NULL: made at new_base */
	struct seg	*last;		/* ours: before the new one; NULL when
					 * it was looked at */
	struct append_list appends;
	struct iovec	*iov;
	int		 niov;
	int64_t		 new_base, pos, end_pos, end_offset;
	int64_t		 reserve;	/* bytes, of a new one */
	int64_t		 most;		/* bytes of a segment; 0: do not reserve
					 * ahead */
	enum err	 err;
	bool		 undone;	/* failed, and nothing of it stays */
	uint32_t	 gen;
};

struct sync_op {
	struct part	*part;
	struct seg	*seg;		/* ours; NULL: the one of writes[w] */
	int		 w;		/* index of the write it follows, -1 */
	int64_t		 from, to, offset; /* synced up to here */
	bool		 journal;	/* by the journal */
	enum err	 err;
	uint32_t	 gen;
};

struct round {
	struct job	 job;
	struct committer *c;
	struct write_op	*writes;
	struct sync_op	*syncs;
	int		 nwrites, nsyncs;
	struct sync_op	*each[SYNC_EACH_MAX]; /* to be synced alone */
	struct journal_run *run;	/* NULL: no journal */
	bool		 progressed;
};

enum err
commit_open(struct committer *c, struct engine *eng, struct pool *pool,
    const char *data)
{
	memset(c, 0, sizeof *c);
	c->eng = eng;
	c->pool = pool;
	c->dirty_tail = &c->dirty;
	c->unsynced_tail = &c->unsynced;
	c->data_fd = -1;
	return disk->open(data, DISK_READ, &c->data_fd);
}

void
commit_close(struct committer *c)
{
	timer_cancel(&c->eng->timers, &c->ckpt_timer);
	timer_cancel(&c->eng->timers, &c->flush_timer);
	if (c->data_fd >= 0)
		disk->close(c->data_fd);
	c->data_fd = -1;
}

void
commit_dirty(struct committer *c, struct part *p)
{
	if (p->in_dirty || p->writing || p->rolling)
		return;		/* a flying write comes back to it */
	p->in_dirty = true;
	p->dirty_next = NULL;
	*c->dirty_tail = p;
	c->dirty_tail = &p->dirty_next;
}

static void
unsynced_put(struct committer *c, struct part *p)
{
	if (p->in_unsynced)
		return;
	p->in_unsynced = true;
	p->unsynced_next = NULL;
	*c->unsynced_tail = p;
	c->unsynced_tail = &p->unsynced_next;
}

void
commit_forget(struct committer *c, struct part *p)
{
	struct part **pp;

	if (p->in_dirty) {
		for (pp = &c->dirty; *pp != p; pp = &(*pp)->dirty_next)
			;
		if ((*pp = p->dirty_next) == NULL)
			c->dirty_tail = pp;
	}
	if (p->in_unsynced) {
		for (pp = &c->unsynced; *pp != p; pp = &(*pp)->unsynced_next)
			;
		if ((*pp = p->unsynced_next) == NULL)
			c->unsynced_tail = pp;
	}
	if (p->in_ckpt) {
		for (pp = &c->ckpt; *pp != p; pp = &(*pp)->ckpt_next)
			;
		*pp = p->ckpt_next;
	}
	p->in_dirty = p->in_unsynced = p->in_ckpt = false;
}

/* ---- the worker's side ------------------------------------------------- */

static enum err
write_run(struct write_op *w)
{
	char dir[PATH_SIZE];
	struct part *p = w->part;	/* read only: id, eng->data, topic */
	enum err e;
	int fd;

	w->undone = true;
	if (w->seg == NULL) {
		part_dir(p, dir);
		e = w->last == NULL ? E_OK : told_check(w->last, -1);
		if (e == E_OK)
			e = seg_open(dir, &p->id, w->new_base, true, &w->seg);
		if (e == E_OK) {
			seg_reserve(w->seg, w->reserve);
			if (!PLANT(no_dir_sync))
				e = disk->sync_dir(dir);
		}
		if (e != E_OK)
			return e;
	}
	if ((e = seg_fd(w->seg, &fd)) != E_OK)
		return e;
	if (w->most > 0)
		seg_reserve_ahead(w->seg, w->pos, w->end_pos, w->most);
	e = disk->pwritev(fd, w->iov, w->niov, w->pos);
	if (e != E_OK)
		w->undone = disk->truncate(fd, w->pos) == E_OK;
	return e;
}

static struct seg *
sync_seg(const struct round *r, const struct sync_op *s)
{
	return s->w < 0 ? s->seg : r->writes[s->w].seg;
}

/* What cannot be had by the journal is synced like the rest. */
static void
syncs_journal(struct round *r)
{
	struct sync_op *s, *end = r->syncs + r->nsyncs;

	for (s = r->syncs; s < end; s++)
		s->journal = s->journal && s->err == E_OK && journal_add(
		    r->run, &s->part->id, sync_seg(r, s), s->from,
		    s->to - s->from) == E_OK;
	if (journal_sync(r->run) != E_OK)
		for (s = r->syncs; s < end; s++)
			s->journal = false;
}

static void
sync_part(void *arg, int i)
{
	struct round *r = arg;
	struct sync_op *s = r->each[i];

	if (!PLANT(skip_sync))
		s->err = seg_sync(sync_seg(r, s));
}

/* A few files are synced side by side: the disk takes as long for them as for
 * one.  For more, one sync of everything takes less, though it has whatever
 * else is dirty on the file system to write. */
static void
syncs_run(struct round *r)
{
	enum err all = E_OK;
	int n = 0;

	if (PLANT(hw_early) || PLANT(past_hw))
		usleep(5000);		/* what they show is seen for longer */
	for (int i = 0; i < r->nsyncs; i++)
		if (r->syncs[i].w >= 0)
			r->syncs[i].err = r->writes[r->syncs[i].w].err;
	if (r->run != NULL)
		syncs_journal(r);
	for (int i = 0; i < r->nsyncs; i++) {
		if (r->syncs[i].journal || r->syncs[i].err != E_OK)
			continue;
		if (n < SYNC_EACH_MAX)
			r->each[n] = &r->syncs[i];
		n++;
	}
	if (n <= SYNC_EACH_MAX)
		pool_split(&r->job, n, sync_part, r);
	else if ((all = disk->syncfs(r->c->data_fd)) != E_OK)
		seg_sync_failed();
	for (int i = 0; i < r->nsyncs; i++) {
		struct sync_op *s = &r->syncs[i];

		if (s->err == E_OK && !s->journal)
			s->err = all;
		if (s->err != E_OK && PLANT(retry_sync))
			s->err = seg_sync(sync_seg(r, s));
	}
}

static void
round_run(struct job *j)
{
	struct round *r = (struct round *)j;

	for (int i = 0; i < r->nwrites; i++)
		r->writes[i].err = write_run(&r->writes[i]);
	if (r->nsyncs == 0)
		return;
	if (r->nwrites > 0)
		pool_progress(j);
	syncs_run(r);
}

/* ---- results ----------------------------------------------------------- */

/* The appends of a write that succeeded: into the index, then answered or
 * queued for the sync. */
static enum err
write_account(struct write_op *w)
{
	struct part *p = w->part;
	struct seg *s = w->seg;
	int64_t pos = w->pos;
	struct append *a, *next;
	enum err e;

	for (a = w->appends.head; a != NULL; a = a->next) {
		e = idx_note(&s->idx, a->b.base_offset, pos, s->max_ts);
		if (e != E_OK)
			return e;
		if (pos == 0)
			s->first_ts = a->b.max_ts;
		pos += batch_size(&a->b);
		if (a->b.max_ts > s->max_ts)
			s->max_ts = a->b.max_ts;
	}
	ASSERT(pos == w->end_pos);
	if (p->relaxed)
		p->visible += w->end_pos - s->size;
	s->size = w->end_pos;
	s->end_offset = w->end_offset;
	s->written_ms = wall_ms();
	p->eng->appended_ms = mono_ms();
	if (p->unsynced_since == 0)
		p->unsynced_since = p->eng->appended_ms;
	a = w->appends.head;
	append_list_init(&w->appends);
	for (; a != NULL; a = next) {
		next = a->next;
		a->written = true;
		p->eng->stats.appends++;
		p->eng->stats.append_bytes += batch_size(&a->b);
		if (a->all && !p->relaxed && !PLANT(ack_early))
			append_list_put(&p->unsynced, a);
		else
			a->done(a, E_OK);
	}
	return E_OK;
}

static void
write_done(struct committer *c, struct write_op *w)
{
	struct part *p = w->part;
	bool created = w->seg != NULL && w->seg != part_active(p);
	enum err e = w->err;	/* the worker may still read it: it syncs */

	p->writing = false;
	if (p->gen != w->gen) {
		append_list_fail(&w->appends, p->state == PART_GONE ?
		    E_UNKNOWN_TOPIC : E_NOT_DURABLE);
		return;
	}
	if (e == E_OK && created)
		e = part_adopt(p, w->seg);
	if (e == E_OK)
		e = write_account(w);
	if (e != E_OK) {
		part_fence(p, e, &w->appends, w->err != E_OK && w->undone);
		return;
	}
	if (!p->relaxed || c->stopping || p->flush_ms != INT64_MAX ||
	    p->flush_messages != INT64_MAX)
		unsynced_put(c, p);
	if (created)
		commit_seal(c, p);
	if (p->queue.head != NULL)
		commit_dirty(c, p);
	if (p->relaxed || PLANT(hw_early))
		part_advance(p);
}

static void
round_written(struct job *j)
{
	struct round *r = (struct round *)j;

	r->progressed = true;
	if (r->nwrites == 0)
		return;
	r->c->writing = false;
	for (int i = 0; i < r->nwrites; i++)
		write_done(r->c, &r->writes[i]);
}

static bool
fully_synced(const struct part *p)
{
	for (int i = p->nsegs; i > 0; i--) {
		const struct seg *s = p->segs[i - 1];

		if (s->synced < s->size)
			return false;
		if (s->idx.sealed)
			break;	/* those before are done for good */
	}
	return true;
}

static void
sync_done(struct committer *c, struct round *r, struct sync_op *s)
{
	struct part *p = s->part;
	struct seg *seg = sync_seg(r, s);

	/* A write that failed has been dealt with. */
	if (p->gen != s->gen || (s->w >= 0 && r->writes[s->w].err != E_OK))
		return;
	if (s->err != E_OK) {
		part_fence(p, s->err, NULL, false);
		return;
	}
	if (s->journal)
		seg->lap = r->run->head.lap;
	if (s->to > seg->synced) {
		if (!p->relaxed)
			p->visible += s->to - seg->synced;
		seg->synced = s->to;
		seg->synced_offset = s->offset;
	}
	p->unsynced_since = fully_synced(p) ? 0 : mono_ms();
	commit_ckpt_soon(c, p);
	part_advance(p);
}

static void
round_done(struct job *j)
{
	struct round *r = (struct round *)j;
	struct committer *c = r->c;

	if (!r->progressed)
		round_written(j);
	if (r->nsyncs > 0) {
		c->syncing = false;
		c->syncs++;
	}
	/* Faults first: where one file of a partition failed, the others'
	 * success must not become a checkpoint. */
	for (int i = 0; i < r->nsyncs; i++)
		if (r->syncs[i].err != E_OK)
			sync_done(c, r, &r->syncs[i]);
	for (int i = 0; i < r->nsyncs; i++)
		if (r->syncs[i].err == E_OK)
			sync_done(c, r, &r->syncs[i]);
	if (r->run != NULL)
		journal_end(&c->eng->journal, r->run);
	for (int i = 0; i < r->nsyncs; i++) {
		if (r->syncs[i].seg != NULL)
			seg_unref(r->syncs[i].seg);
		part_job_done(r->syncs[i].part);
	}
	for (int i = 0; i < r->nwrites; i++) {
		seg_unref(r->writes[i].seg);
		seg_unref(r->writes[i].last);
		free(r->writes[i].iov);
		part_job_done(r->writes[i].part);
	}
	free(r->writes);
	free(r->syncs);
	free(r);
	commit_kick(c);
}

/* ---- building a round -------------------------------------------------- */

/* Takes batches off the partition's queue: as many as one segment, one
 * pwritev and the round's bytes allow. */
static enum err
write_take(struct part *p, struct write_op *w, int64_t *room)
{
	struct seg *s = part_active(p);
	int64_t now = wall_ms();
	struct append *a;
	struct fill f;
	int n = 0;

	*w = (struct write_op){ .part = p, .gen = p->gen };
	append_list_init(&w->appends);
	a = p->queue.head;
	fill_start(&f, p, s, a->b.base_offset);
	if (s != NULL && !fill_takes(&f, &a->b, now)) {
		s = NULL;
		fill_start(&f, p, NULL, a->b.base_offset);
	}
	if (s == NULL) {
		w->new_base = a->b.base_offset;
		w->reserve = part_reserve(p);
	}
	w->most = p->topic != NULL ? p->topic->conf.segment_bytes : 0;
	w->pos = w->end_pos = s == NULL ? 0 : s->size;
	for (struct append *x = a; x != NULL && n < OP_APPENDS_MAX;
	    x = x->next)
		n++;
	w->iov = malloc((size_t)n * 2 * sizeof *w->iov);
	if (w->iov == NULL)
		return E_NOMEM;
	w->seg = s == NULL ? NULL : seg_ref(s);
	if (s == NULL && p->nsegs > 0 && told_open(part_active(p)))
		w->last = seg_ref(part_active(p));
	while (n-- > 0 && (a = p->queue.head) != NULL) {
		if (w->niov > 0 && (*room <= 0 ||
		    !fill_takes(&f, &a->b, now)))
			break;
		fill_add(&f, &a->b);
		if ((p->queue.head = a->next) == NULL)
			p->queue.tail = &p->queue.head;
		append_list_put(&w->appends, a);
		w->iov[w->niov++] = (struct iovec){ a->head, BATCH_HEADER };
		w->iov[w->niov++] = (struct iovec){ (void *)(uintptr_t)a->body,
		    (size_t)(batch_size(&a->b) - BATCH_HEADER) };
		w->end_pos += batch_size(&a->b);
		w->end_offset = batch_last_offset(&a->b) + 1;
		p->queued_bytes -= batch_size(&a->b);
		*room -= batch_size(&a->b);
	}
	p->writing = true;
	p->writing_seg = s;
	p->jobs++;
	return E_OK;
}

static enum err
round_writes(struct committer *c, struct round *r)
{
	struct part *p;
	int64_t room = COMMIT_ROUND_MAX;
	int n = 0;
	enum err e;

	for (p = c->dirty; p != NULL; p = p->dirty_next)
		n++;
	r->writes = calloc((size_t)n + 1, sizeof *r->writes);
	if (r->writes == NULL)
		return E_NOMEM;
	/* The rest comes with the next one. */
	n = files_share(&c->eng->files);
	while ((p = c->dirty) != NULL && room > 0 && r->nwrites < n) {
		e = write_take(p, &r->writes[r->nwrites], &room);
		if (e != E_OK)
			return r->nwrites > 0 ? E_OK : e;
		if ((c->dirty = p->dirty_next) == NULL)
			c->dirty_tail = &c->dirty;
		p->in_dirty = false;
		r->nwrites++;
	}
	return E_OK;
}

/* Does the policy ask for a sync of what is written now? */
static bool
sync_wanted(const struct committer *c, const struct part *p, int64_t now)
{
	if (!p->relaxed || c->stopping)
		return true;
	if (p->flush_messages != INT64_MAX &&
	    part_written(p) - (part_active(p) ?
	    part_active(p)->synced_offset : 0) >= p->flush_messages)
		return true;
	return p->flush_ms != INT64_MAX && p->unsynced_since != 0 &&
	    now - p->unsynced_since >= p->flush_ms;
}

static enum err
sync_add(struct round *r, int *cap, struct sync_op op)
{
	struct sync_op *v;

	if (r->nsyncs == *cap) {
		v = realloc(r->syncs, ((size_t)*cap * 2 + 8) * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		r->syncs = v;
		*cap = *cap * 2 + 8;
	}
	op.gen = op.part->gen;
	op.part->jobs++;
	if (op.seg != NULL)
		seg_ref(op.seg);
	r->syncs[r->nsyncs++] = op;
	return E_OK;
}

/* Adds what this round writes and what earlier rounds left unsynced. */
static void
round_syncs(struct committer *c, struct round *r)
{
	int64_t now = mono_ms();
	struct part *p, **pp;
	int cap = 0, most = files_share(&c->eng->files);

	for (int i = 0; i < r->nwrites; i++) {
		struct write_op *w = &r->writes[i];

		if (!w->part->relaxed && sync_add(r, &cap, (struct sync_op){
		    .part = w->part, .w = i, .to = w->end_pos,
		    .from = w->seg != NULL ? w->seg->synced : 0,
		    .offset = w->end_offset }) != E_OK)
			return;
	}
	for (pp = &c->unsynced; (p = *pp) != NULL && r->nsyncs < most; ) {
		if (fully_synced(p) || !sync_wanted(c, p, now)) {
			bool drop = fully_synced(p);

			if (drop && (*pp = p->unsynced_next) == NULL)
				c->unsynced_tail = pp;
			if (drop)
				p->in_unsynced = false;
			else
				pp = &p->unsynced_next;
			continue;
		}
		for (int i = p->nsegs; i > 0; i--) {
			struct seg *s = p->segs[i - 1];

			if (r->nwrites > 0 && p->writing &&
			    p->writing_seg == s && !p->relaxed)
				continue;	/* is in already */
			if (s->synced < s->size && sync_add(r, &cap,
			    (struct sync_op){ .part = p, .w = -1, .seg = s,
			    .from = s->synced, .to = s->size,
			    .offset = s->end_offset }) != E_OK)
				return;
			if (s->idx.sealed)
				break;
		}
		pp = &p->unsynced_next;
	}
}

/* Chooses what goes to the journal: nothing when so much does not that all are
 * synced at once anyway, or in the end, when it would have to be settled. */
static void
round_journal(struct committer *c, struct round *r)
{
	int64_t bytes = 0;
	bool make = false;	/* the catalogue alone does not need one */
	int n = 0;

	if (c->stopping)
		return;
	for (int i = 0; i < r->nsyncs; i++) {
		struct sync_op *s = &r->syncs[i];

		s->journal = s->to - s->from <= JOURNAL_PIECE_MAX;
		make |= s->part->topic != NULL;
		n += s->journal;
		bytes += s->journal ? s->to - s->from : 0;
	}
	if (n > 0 && r->nsyncs - n <= SYNC_EACH_MAX)
		r->run = journal_begin(&c->eng->journal, bytes, n, make);
	for (int i = 0; i < r->nsyncs && r->run == NULL; i++)
		r->syncs[i].journal = false;
}

static void flush_arm(struct committer *);

void
commit_kick(struct committer *c)
{
	struct round *r;
	/* Without room for more files what is written waits for a sync. */
	bool writes = !c->writing && c->dirty != NULL &&
	    (files_room(&c->eng->files) || !c->syncing);
	bool syncs = !c->syncing && (writes || c->unsynced != NULL);

	if (!writes && !syncs)
		return;
	r = calloc(1, sizeof *r);
	if (r == NULL || (writes && round_writes(c, r) != E_OK)) {
		/* No memory: what is queued waits for the next turn. */
		if (r != NULL)
			free(r->writes);
		free(r);
		return;
	}
	r->c = c;
	r->job.run = round_run;
	r->job.progress = round_written;
	r->job.done = round_done;
	if (syncs)
		round_syncs(c, r);
	if (r->nsyncs > 0)
		round_journal(c, r);
	flush_arm(c);
	if (r->nwrites == 0 && r->nsyncs == 0) {
		free(r->writes);
		free(r->syncs);
		free(r);
		return;
	}
	c->rounds++;
	c->writing |= r->nwrites > 0;
	c->syncing |= r->nsyncs > 0;
	pool_submit(c->pool, &r->job);
}

void
commit_unsynced(struct committer *c, struct part *p)
{
	if (!fully_synced(p))
		unsynced_put(c, p);
}

bool
commit_idle(const struct committer *c)
{
	return c->dirty == NULL && !c->writing && !c->syncing &&
	    (c->unsynced == NULL || !c->stopping);
}

bool
commit_topics(const struct committer *c)
{
	for (const struct part *p = c->dirty; p != NULL; p = p->dirty_next)
		if (p->topic != NULL)
			return true;
	return c->writing;
}

/* ---- relaxed policies: one timer for the earliest flush.ms ------------- */

static void
flush_fire(struct timer *t)
{
	struct committer *c = (struct committer *)((char *)t -
	    offsetof(struct committer, flush_timer));

	commit_kick(c);
}

static void
flush_arm(struct committer *c)
{
	int64_t due = INT64_MAX;

	for (struct part *p = c->unsynced; p != NULL; p = p->unsynced_next)
		if (p->relaxed && p->flush_ms != INT64_MAX &&
		    p->unsynced_since != 0 &&
		    p->unsynced_since + p->flush_ms < due)
			due = p->unsynced_since + p->flush_ms;
	if (due == INT64_MAX || c->flush_timer.at != 0)
		return;
	c->flush_timer.fire = flush_fire;
	if (timer_set(&c->eng->timers, &c->flush_timer, due) != E_OK)
		log_warn("no memory for the flush timer", LE(E_NOMEM));
}
