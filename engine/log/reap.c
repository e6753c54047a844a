/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what has been deleted long enough. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "lib/log.h"
#include "reap.h"

enum {
	JOBS_MAX	= 64,		/* of the bulk pool, then wait */
	AGAIN_MS	= 1000,
	FAILED_MS	= 60 * 1000,	/* before a file is tried again */
	LOOK_MS		= 3600 * 1000,	/* at most; the clock may be set */
};

static const char deleted[] = ".deleted";

void
reap_ext(char ext[REAP_EXT], int64_t due)
{
	snprintf(ext, REAP_EXT, ".log.%lld%s", (long long)due, deleted);
}

enum err
reap_take(const char *dir, int64_t base, int64_t due)
{
	char from[PATH_SIZE], to[PATH_SIZE], ext[REAP_EXT];
	enum err e = seg_unlink(dir, base, ".idx");

	if (e != E_OK || due == 0)
		return e == E_OK ? seg_unlink(dir, base, ".log") : e;
	reap_ext(ext, due);
	seg_path(from, dir, base, ".log");
	seg_path(to, dir, base, ext);
	e = disk->rename(from, to);
	return e == E_NOTFOUND ? E_OK : e;
}

bool
reap_name(const char *name, int64_t *due)
{
	int64_t base;
	char *end;

	if (strlen(name) <= BASE_DIGITS + 5 ||
	    strncmp(name + BASE_DIGITS, ".log.", 5) != 0)
		return false;
	if (!seg_name(name, name + BASE_DIGITS, &base))
		return false;
	name += BASE_DIGITS + 5;
	*due = strtoll(name, &end, 10);
	return *name >= '0' && *name <= '9' && strcmp(end, deleted) == 0;
}

int64_t
reap_due(int64_t delay_ms)
{
	int64_t due;

	return __builtin_add_overflow(wall_ms(), delay_ms, &due) ?
	    INT64_MAX : due;
}

struct reaping {
	struct job	 job;
	struct part	*part;
	struct seg	*oldest;	/* ours, or NULL */
	char		 dir[PATH_SIZE];
	int64_t		 now, next;	/* next: due after this */
	int		 n;
};

static int
reap_each(const char *name, void *arg)
{
	struct reaping *r = arg;
	char path[PATH_SIZE];
	int64_t due;

	if (!reap_name(name, &due))
		return 0;
	if (due <= r->now) {
		snprintf(path, sizeof path, "%.3000s/%.200s", r->dir, name);
		if (disk->unlink(path) == E_OK) {
			r->n++;
			return 0;
		}
		due = r->now + FAILED_MS;
	}
	if (due < r->next)
		r->next = due;
	return 0;
}

/* No sync: what a crash brings back is due all the same. */
static void
reap_run(struct job *j)
{
	struct reaping *r = (struct reaping *)j;

	if ((r->oldest != NULL && told_check(r->oldest, -1) != E_OK) ||
	    disk->list(r->dir, reap_each, r) != E_OK)
		r->next = r->now + FAILED_MS;
}

static void
reap_done(struct job *j)
{
	struct reaping *r = (struct reaping *)j;
	struct part *p = r->part;

	p->reaping = false;
	if (r->n > 0)
		log_info("deleted segments removed",
		    LS("topic", p->topic->name), LI("part", p->id.part),
		    LI("segments", r->n));
	if (p->state != PART_GONE)
		reap_note(p, r->next);
	seg_unref(r->oldest);
	free(r);
	part_job_done(p);
}

static void
reap_part(struct part *p, int64_t now)
{
	struct reaping *r;

	if (p->reaping || p->state == PART_GONE ||
	    (r = calloc(1, sizeof *r)) == NULL)
		return;
	r->part = p;
	r->oldest = p->nsegs > 0 ? seg_ref(p->segs[0]) : NULL;
	r->now = now;
	r->next = INT64_MAX;
	part_dir(p, r->dir);
	r->job.run = reap_run;
	r->job.done = reap_done;
	p->reap_due = INT64_MAX;
	p->reaping = true;
	p->jobs++;
	pool_submit(p->eng->bulk, &r->job);
}

static void reap_fire(struct timer *);

static void
reap_later(struct engine *eng, int64_t ms)
{
	int64_t due;

	if (ms < 0)
		ms = 0;
	due = mono_ms() + (ms < LOOK_MS ? ms : LOOK_MS);
	if (eng->stopping || (eng->reap_timer.at != 0 &&
	    eng->reap_timer.due <= due))
		return;
	eng->reap_timer.fire = reap_fire;
	if (timer_set(&eng->timers, &eng->reap_timer, due) != E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}

static void
reap_fire(struct timer *t)
{
	struct engine *eng = (struct engine *)((char *)t -
	    offsetof(struct engine, reap_timer));
	int64_t now = wall_ms(), next = INT64_MAX;

	for (struct topic *x = eng->topics.first; x != NULL; x = x->next)
		for (int32_t i = 0; x->state == TOPIC_LIVE && i < x->nparts;
		    i++) {
			struct part *p = x->parts[i];

			if (p->reap_due <= now) {
				if (pool_out(eng->bulk) >= JOBS_MAX) {
					reap_later(eng, AGAIN_MS);
					return;
				}
				reap_part(p, now);
			}
			if (p->reap_due < next)
				next = p->reap_due;
		}
	if (next != INT64_MAX)
		reap_later(eng, next - now);
}

void
reap_note(struct part *p, int64_t due)
{
	if (due < p->reap_due)
		p->reap_due = due;
	if (p->reap_due != INT64_MAX)
		reap_later(p->eng, p->reap_due - wall_ms());
}
