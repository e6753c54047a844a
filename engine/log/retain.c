/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention.  A check of all partitions picks the segments that are over the
 * limits; a bulk job per partition takes their files out of the log, by
 * another name (reap.h) or for good; the loop then forgets them.  A growing
 * segment that is over a limit is finished first, by an empty one that takes
 * its place.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/fetch.h"
#include "engine.h"
#include "lib/log.h"
#include "plant.h"
#include "reap.h"
#include "retain.h"
#include "roll.h"

struct removal {
	struct job	 job;
	struct part	*part;
	uint32_t	 gen;
	int		 n, removed;
	int64_t		*bases;
	int64_t		 due;		/* when they go for good, 0 now */
	int64_t		 roll;		/* new segment's base, -1 none */
	int64_t		 reserve;	/* bytes for it */
	struct seg	*fresh, *oldest;	/* ours */
	bool		 loose;		/* fresh, but its entry is not synced */
	enum err	 err;
};

enum {
	JOBS_MAX	= 64,		/* of the bulk pool, then wait */
	AGAIN_MS	= 1000,
};

static void
removal_run(struct job *j)
{
	struct removal *r = (struct removal *)j;
	char dir[PATH_SIZE];

	part_dir(r->part, dir);
	if ((r->err = told_check(r->oldest, -1)) != E_OK)
		return;
	if (r->roll >= 0) {
		r->err = seg_open(dir, &r->part->id, r->roll, true,
		    &r->fresh);
		if (r->err == E_OK) {
			seg_reserve(r->fresh, r->reserve);
			r->err = disk->sync_dir(dir);
		}
		r->loose = r->err != E_OK;
	}
	/* The producers' snapshot that outlives the batches, by its name. */
	if (r->err == E_OK)
		r->err = disk->sync_dir(dir);
	for (int i = 0; i < r->n && r->err == E_OK; i++) {
		r->err = reap_take(dir, r->bases[i], r->due);
		if (r->err == E_OK)
			r->err = disk->sync_dir(dir);
		if (r->err == E_OK)
			r->removed++;
	}
}

static void
forget_oldest(struct part *p, int n)
{
	for (int i = 0; i < n; i++) {
		if (p->eng->retired != NULL)
			p->eng->retired(p->eng, p->segs[i]->handle);
		files_remove(p->segs[i]);
		seg_unref(p->segs[i]);
	}
	p->nsegs -= n;
	for (int i = 0; i < p->nsegs; i++)
		p->segs[i] = p->segs[i + n];
	window_drop(p);
	if (p->start < p->segs[0]->base)
		p->start = p->segs[0]->base;
	if (p->trimmed <= p->segs[0]->base)
		p->trimmed = 0;		/* the files say it now */
	fetch_wake(p);		/* sessions tell where the log starts */
	log_info("segments removed by retention",
	    LS("topic", p->topic->name), LI("part", p->id.part),
	    LI("segments", n), LI("start", p->start));
}

static void
removal_done(struct job *j)
{
	struct removal *r = (struct removal *)j;
	struct part *p = r->part;

	p->retaining = p->rolling = false;
	/* A file whose entry may be lost must not take batches. */
	if (r->gen == p->gen && r->fresh != NULL && r->loose)
		part_fence(p, r->err, NULL, false);
	else if (r->gen == p->gen && r->fresh != NULL &&
	    part_adopt(p, r->fresh) != E_OK)
		part_fence(p, E_NOMEM, NULL, false);
	if (r->gen == p->gen && r->removed > 0)
		forget_oldest(p, r->removed);
	if (r->gen == p->gen)
		commit_seal(&p->eng->commit, p);
	if (r->due != 0 && p->state != PART_GONE)
		reap_note(p, r->due);
	if (r->err == E_NOSPC)
		space_full(p->eng);
	if (r->err != E_OK)
		log_warn("retention stopped", LS("topic", p->topic->name),
		    LI("part", p->id.part), LE(r->err));
	seg_unref(r->fresh);
	seg_unref(r->oldest);
	if (p->queue.head != NULL && p->state == PART_ONLINE)
		commit_dirty(&p->eng->commit, p);
	free(r->bases);
	free(r);
	part_job_done(p);
}

/* How many of the oldest segments are over a limit. */
static int
over_limits(const struct part *p, int64_t now)
{
	const struct topic_conf *tc = &p->topic->conf;
	bool may = (tc->cleanup_policy & CLEANUP_DELETE) != 0;
	int64_t total = 0, left;
	int n = 0;

	for (int i = 0; i < p->nsegs; i++)
		total += p->segs[i]->size;
	left = total;
	for (; n < p->nsegs; n++) {
		const struct seg *s = p->segs[n];
		/* Where no record has a time, the file's counts. */
		int64_t ts = s->max_ts >= 0 ? s->max_ts : s->written_ms;
		bool old = tc->retention_ms >= 0 && now - ts >
		    tc->retention_ms / (PLANT(early_age) ? 2 : 1);
		bool big = tc->retention_bytes >= 0 &&
		    left - (PLANT(early_bytes) ? 0 : s->size) >=
		    tc->retention_bytes;
		/* All of its records were deleted, whatever the policy. */
		bool below = s->end_offset <= p->start && n < p->nsegs - 1;

		if (s->size == 0 || s->end_offset > p->hw ||
		    !(below || (may && (old || big))) ||
		    (n < p->nsegs - 1 && !s->idx.sealed))
			break;
		left -= s->size;
	}
	return n;
}

static void
retain_part(struct part *p, int64_t now)
{
	struct removal *r;
	bool all;
	int n;

	if (p->state != PART_ONLINE || p->retaining || p->clean.busy ||
	    (n = over_limits(p, now)) == 0)
		return;
	all = n == p->nsegs;
	/* The growing one may go only while nothing is on its way to it. */
	if (all && (p->writing || p->queue.head != NULL || p->idx_busy ||
	    p->in_unsynced))
		n--;
	all = n == p->nsegs;
	if (n == 0 || (r = calloc(1, sizeof *r)) == NULL)
		return;
	r->bases = calloc((size_t)n, sizeof *r->bases);
	if (r->bases == NULL) {
		free(r);
		return;
	}
	for (int i = 0; i < n; i++)
		r->bases[i] = p->segs[i]->base;
	r->n = n;
	r->roll = all ? p->next : -1;
	r->reserve = part_reserve(p);
	if (p->topic->conf.file_delete_delay_ms > 0)
		r->due = reap_due(p->topic->conf.file_delete_delay_ms);
	r->oldest = seg_ref(p->segs[0]);
	r->part = p;
	r->gen = p->gen;
	r->job.run = removal_run;
	r->job.done = removal_done;
	p->retaining = true;
	p->rolling = all;
	p->jobs++;
	pool_submit(p->eng->bulk, &r->job);
}

static void retain_fire(struct timer *);

static void
retain_later(struct engine *eng, int64_t ms)
{
	eng->retain_timer.fire = retain_fire;
	if (timer_set(&eng->timers, &eng->retain_timer, mono_ms() + ms) !=
	    E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}

/* When the bulk pool has enough to do, the rest waits: what is being removed
 * is passed over next time, and what has been has nothing to remove. */
static void
retain_fire(struct timer *t)
{
	struct engine *eng = (struct engine *)((char *)t -
	    offsetof(struct engine, retain_timer));
	int64_t now = wall_ms();

	for (struct topic *x = eng->topics.first; x != NULL; x = x->next)
		for (int32_t i = 0; x->state == TOPIC_LIVE && i < x->nparts;
		    i++) {
			if (pool_out(eng->bulk) >= JOBS_MAX) {
				retain_later(eng, AGAIN_MS);
				return;
			}
			retain_part(x->parts[i], now);
		}
	retain_start(eng);
}

void
retain_start(struct engine *eng)
{
	retain_later(eng, eng->conf->log_retention_check_interval_ms);
}
