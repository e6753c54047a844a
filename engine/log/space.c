/* SPDX-License-Identifier: Apache-2.0 */
/* The reserve for a full disk, and when it is given up and made again. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "lib/log.h"

enum {
	LOOK_MS		= 1000,
	SHARE		= 16,	/* no more than this part of the disk */
};

struct space_job {
	struct job	 job;
	struct engine	*eng;
	int64_t		 bytes;		/* 0: give it up */
	enum err	 err;
};

static void
reserve_path(const struct engine *eng, char *path, const char *ext)
{
	snprintf(path, PATH_SIZE, "%s/reserve%s", eng->data, ext);
}

enum err
space_open(struct engine *eng)
{
	char path[PATH_SIZE];
	struct disk_stat st;
	enum err e;

	reserve_path(eng, path, "");
	e = disk->stat(path, &st);
	eng->space.held = e == E_OK;
	return e == E_NOTFOUND ? E_OK : e;
}

/* The catalogue may use the blocks when the directory has been synced: file
 * systems give them out only then. */
static enum err
reserve_drop(const struct engine *eng)
{
	char path[PATH_SIZE];
	enum err e;

	reserve_path(eng, path, "");
	e = disk->unlink(path);
	return e == E_OK || e == E_NOTFOUND ? disk->sync_dir(eng->data) : e;
}

bool
space_yield(struct engine *eng)
{
	bool had = eng->space.held;

	if (had && reserve_drop(eng) != E_OK)
		return false;
	eng->space.held = false;
	return had;
}

/* Takes its name when it has its blocks.  No more than half as much again must
 * be free: or the next append would find the disk full at once. */
static enum err
reserve_make(const struct engine *eng, int64_t bytes)
{
	char tmp[PATH_SIZE], path[PATH_SIZE];
	int64_t total, usable;
	enum err e;
	int fd;

	e = disk->space(eng->data, &total, &usable);
	if (e != E_OK)
		return e;
	if (bytes > total / SHARE)
		bytes = total / SHARE;
	if (usable < bytes + bytes / 2)
		return E_NOSPC;
	reserve_path(eng, tmp, ".tmp");
	reserve_path(eng, path, "");
	e = disk->open(tmp, DISK_CREATE, &fd);
	if (e != E_OK)
		return e;
	e = disk->reserve(fd, 0, bytes);
	disk->close(fd);
	if (e == E_OK)
		e = disk->rename(tmp, path);
	if (e != E_OK)
		(void)!disk->unlink(tmp);
	return e == E_OK ? disk->sync_dir(eng->data) : e;
}

static void
space_run(struct job *j)
{
	struct space_job *x = (struct space_job *)j;

	x->err = x->bytes > 0 ? reserve_make(x->eng, x->bytes) :
	    reserve_drop(x->eng);
}

static void look_later(struct engine *);

/* Segments whose end could not be marked: retention waits for the mark. */
static void
seal_all(struct engine *eng)
{
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next)
		for (int32_t i = 0; t->state == TOPIC_LIVE && i < t->nparts;
		    i++)
			if (t->parts[i]->state == PART_ONLINE)
				commit_seal(&eng->commit, t->parts[i]);
}

static void
made(struct engine *eng, enum err e)
{
	struct space *s = &eng->space;

	s->held = e == E_OK;
	if (e == E_NOSPC) {
		if (!s->full)
			log_warn("the disk is full: no appends to topics "
			    "until there is room", LS("data_dir", eng->data));
		s->full = true;
		look_later(eng);
		return;
	}
	/* A disk that fails otherwise tells those who need it. */
	if (e != E_OK)
		log_warn("no reserve for a full disk", LE(e));
	if (s->full)
		log_info("the disk has room again", LS("data_dir", eng->data));
	s->full = false;
}

static void
space_done(struct job *j)
{
	struct space_job *x = (struct space_job *)j;
	struct engine *eng = x->eng;

	eng->space.busy = false;
	if (x->bytes > 0)
		made(eng, x->err);
	else {
		eng->space.held = false;
		log_info("the reserve is given up for the catalogue",
		    LE(x->err));
		meta_again(&eng->meta);
		look_later(eng);
	}
	seal_all(eng);
	free(x);
}

static void
job_start(struct engine *eng, int64_t bytes)
{
	struct space_job *x = calloc(1, sizeof *x);

	if (x == NULL) {
		look_later(eng);
		return;
	}
	x->eng = eng;
	x->bytes = bytes;
	x->job.run = space_run;
	x->job.done = space_done;
	eng->space.busy = true;
	pool_submit(eng->bulk, &x->job);
}

/* Two segments' worth of what the catalogue holds, and the changes that come
 * until it is rewritten. */
void
space_start(struct engine *eng)
{
	if (!eng->space.held && !eng->space.busy && !eng->stopping)
		job_start(eng, SPACE_RESERVE + 2 * eng->meta.live);
}

static void
look(struct timer *t)
{
	struct engine *eng = (struct engine *)((char *)t -
	    offsetof(struct engine, space.timer));

	space_start(eng);
}

static void
look_later(struct engine *eng)
{
	struct space *s = &eng->space;

	s->timer.fire = look;
	if (!eng->stopping && s->timer.at == 0 && timer_set(&eng->timers,
	    &s->timer, mono_ms() + LOOK_MS) != E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}

void
space_full(struct engine *eng)
{
	struct space *s = &eng->space;

	if (s->full)
		return;
	s->full = true;
	log_warn("the disk is full: no appends to topics until there is room",
	    LS("data_dir", eng->data));
	if (!s->held)
		look_later(eng);
}

bool
space_helps(const struct engine *eng)
{
	return eng->space.full && eng->space.held;
}

void
space_turn(struct engine *eng)
{
	struct space *s = &eng->space;

	if (s->full && s->held && !s->busy && !commit_topics(&eng->commit))
		job_start(eng, 0);
}
