/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a data directory: the lock, the clean marker, the
 * catalogue, then every partition: by the word of the last stop, or a few at a
 * time in the bulk pool.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/fetch.h"
#include "engine.h"
#include "group/cgroup.h"
#include "lib/log.h"
#include "log/retain.h"
#include "log/roster.h"

enum { RECOVER_AT_ONCE = 16 };

/* ---- the catalogue's word ---------------------------------------------- */

static enum err
apply(struct engine *eng, enum meta_type t, const struct meta_key *key,
    const void *value, char *why, size_t size)
{
	struct uuid id;

	const struct meta_epoch *ep = value;
	const struct meta_pids *pids = value;
	const struct meta_deleted *del = value;

	if (t == MT_meta_topic || t == MT_meta_deleted) {
		if (key->len != 16)
			return E_CORRUPT;
		memcpy(id.b, key->p, 16);
	}
	switch (t) {
	case MT_meta_epoch:
		if (value != NULL && ep->epoch > eng->epoch)
			eng->epoch = ep->epoch;
		return E_OK;
	case MT_meta_pids:
		if (value != NULL)
			eng->next_pid = eng->pid_limit =
			    eng->pid_durable = pids->limit;
		return E_OK;
	case MT_meta_topic:
		if (value != NULL)
			return topic_restore(eng, &id, value, why, size);
		topic_unrestore(eng, &id);
		return E_OK;
	case MT_meta_deleted:
		return topic_restore_deleted(eng, &id,
		    value == NULL ? -1 : del->parts,
		    value == NULL ? 0 : del->remove_ms);
	case MT_meta_group:
		return group_restore(eng, key, value);
	case MT_meta_offset:
		return group_restore_offset(eng, key, value);
	case MT_meta_broker_config:
	case MT_meta_group_config:
		return configs_restore(eng, t, key, value, why, size);
	case MT_meta_start:
		return topic_restore_start(eng, key, value);
	case MT_meta_clean:
		return cleaner_restore(eng, key, value);
	case MT_meta_user:
		return user_restore(eng, key, value);
	case MT_meta_quota:
		return quota_restore(eng, key, value);
	case MT_meta_secret:
		return auth_restore(eng, key, value);
	case MT_meta_cgroup:
	case MT_meta_cmember:
	case MT_meta_ctarget:
	case MT_meta_ccurrent:
		return cgroup_restore(eng, t, key, value);
	case MT_meta_begin:
	case MT_meta_end:
	case MT_MAX:
		break;
	}
	return E_CORRUPT;
}

/* 22 characters of base64url, as Kafka makes them. */
static enum err
cluster_id_new(char out[24])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t raw[22];

	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
		return E_IO;
	for (int i = 0; i < 22; i++)
		out[i] = digits[raw[i] & 63];
	out[22] = '\0';
	return E_OK;
}

/* ---- opening partitions ------------------------------------------------ */

struct opening {
	struct job		 job;
	struct part		*part;
	struct recover_how	 how;
	struct recovered	 got;
	enum err		 err;
	bool			 restore;	/* from the journal */
	char			 dir[PATH_SIZE], lost[PATH_SIZE];
};

static void
opening_run(struct job *j)
{
	struct opening *o = (struct opening *)j;

	o->err = o->restore ? journal_restore(o->part->eng->data, &o->how.id) :
	    E_OK;
	if (o->err == E_OK)
		o->err = recover_log(&o->how, &o->got);
	if (o->err == E_NOTFOUND || (o->err == E_OK && o->got.nsegs == 0)) {
		snprintf(o->got.why, sizeof o->got.why,
		    "%.200s: segments are missing", o->dir);
		o->err = E_CORRUPT;
	}
}

static void recover_more(struct engine *);
static void maybe_ready(struct engine *);

struct together {
	struct job	 job;
	struct engine	*eng;
	enum err	 err;
};

static void
together_run(struct job *j)
{
	struct together *t = (struct together *)j;

	t->err = disk->syncfs(t->eng->commit.data_fd);
	if (t->err != E_OK)
		seg_sync_failed();
}

/* Nobody has seen a partition yet.  If the sync failed they are recovered
 * once more, each for itself. */
static void
together_done(struct job *j)
{
	struct together *x = (struct together *)j;
	struct engine *eng = x->eng;

	eng->together = false;
	for (struct topic *t = eng->topics.first; x->err != E_OK && t != NULL;
	    t = t->next)
		for (int32_t i = 0; t->state == TOPIC_LIVE && i < t->nparts;
		    i++)
			part_fence(t->parts[i], x->err, NULL, false);
	free(x);
	maybe_ready(eng);
}

static bool
together_sync(struct engine *eng)
{
	struct together *x = calloc(1, sizeof *x);

	if (x == NULL)
		return false;
	x->eng = eng;
	x->job.run = together_run;
	x->job.done = together_done;
	eng->together_busy = true;
	pool_submit(eng->bulk, &x->job);
	return true;
}

static void
maybe_ready(struct engine *eng)
{
	if (eng->opened || eng->recovering > 0 || eng->stopping ||
	    eng->recover_topic != NULL || !eng->epoch_durable)
		return;
	if (eng->together) {
		if (!eng->together_busy && !together_sync(eng))
			log_fatal("out of memory at the start", LE(E_NOMEM));
		return;
	}
	eng->opened = true;
	commit_ckpt_start(&eng->commit);
	space_start(eng);
	topics_resume(eng);
	groups_resume(eng);
	retain_start(eng);
	producers_expire_start(eng);
	cleaner_start(eng);
	if (eng->ready != NULL)
		eng->ready(eng);
}

static void
opened(struct part *p, enum err e, struct recovered *got)
{
	struct engine *eng = p->eng;

	if (e == E_OK) {
		if (got->epoch > eng->epoch)
			eng->epoch = got->epoch;
		e = part_install(p, got, eng->epoch);
	}
	if (e == E_OK && part_active(p)->idx.npending > 0)
		commit_ckpt(&eng->commit, p);
	if (e == E_CORRUPT || e == E_NOTFOUND) {
		log_warn("partition is damaged and stays offline",
		    LS("topic", p->topic->name), LI("part", p->id.part),
		    LS("why", got->why));
		p->state = PART_OFFLINE;
	} else if (e != E_OK) {
		p->state = PART_ONLINE;
		part_fence(p, e, NULL, false);
	}
	recover_free(got);
}

static void
opening_done(struct job *j)
{
	struct opening *o = (struct opening *)j;
	struct part *p = o->part;
	struct engine *eng = p->eng;

	opened(p, o->err, &o->got);
	free(o);
	eng->recovering--;
	part_job_done(p);
	recover_more(eng);
	maybe_ready(eng);
}

/* By the word of the last stop, if it said something. */
static bool
open_told(struct part *p)
{
	struct engine *eng = p->eng;
	struct recovered got;
	char dir[PATH_SIZE];

	if (eng->roster == NULL || journal_holds_part(&eng->journal, p))
		return false;
	part_dir(p, dir);
	if (roster_part(eng->roster, dir, &p->id, &got) != E_OK)
		return false;
	if (got.end < p->trimmed) {
		recover_free(&got);
		return false;
	}
	for (int i = 0; i < got.nsegs; i++)
		got.segs[i]->idx.interval = part_idx_interval(p);
	opened(p, E_OK, &got);
	eng->told++;
	return true;
}

static void
open_part(struct engine *eng, struct part *p)
{
	struct opening *o;

	if (open_told(p))
		return;
	if ((o = calloc(1, sizeof *o)) == NULL) {
		p->state = PART_ONLINE;
		part_fence(p, E_NOMEM, NULL, false);
		return;
	}
	o->part = p;
	o->restore = journal_holds_part(&eng->journal, p);
	part_dir(p, o->dir);
	snprintf(o->lost, sizeof o->lost, "%s/lost+found", eng->data);
	o->how = (struct recover_how){ .dir = o->dir, .lost = o->lost,
	    .id = p->id, .clean = eng->clean_start,
	    .together = eng->together, .later = true,
	    .end_min = p->trimmed, .interval = part_idx_interval(p) };
	o->job.run = opening_run;
	o->job.done = opening_done;
	eng->recovering++;
	p->jobs++;
	pool_submit(eng->bulk, &o->job);
}

static void
recover_more(struct engine *eng)
{
	struct topic *t;

	while (!eng->stopping && eng->recovering < RECOVER_AT_ONCE &&
	    (t = eng->recover_topic) != NULL) {
		if (t->state == TOPIC_LIVE && eng->recover_part < t->nparts)
			open_part(eng, t->parts[eng->recover_part++]);
		else {
			eng->recover_topic = t->next;
			eng->recover_part = 0;
		}
	}
	if (eng->recover_topic == NULL) {
		roster_free(eng->roster);
		eng->roster = NULL;
	}
}

/* ---- start ------------------------------------------------------------- */

static void
epoch_durable(struct meta_put *put, enum err e)
{
	struct engine *eng = (struct engine *)((char *)put -
	    offsetof(struct engine, epoch_put));

	if (e != E_OK)
		log_fatal("the catalogue cannot be written", LE(e));
	eng->epoch_durable = true;
	maybe_ready(eng);
}

/* A start after a crash: whatever a client remembers of the log's end may be
 * wrong, and a new leader epoch lets it find out (KIP-320). */
static enum err
epoch_bump(struct engine *eng)
{
	struct meta_epoch rec;

	if (eng->clean_start) {
		eng->epoch_durable = true;
		return E_OK;
	}
	rec.epoch = ++eng->epoch;
	eng->epoch_put.done = epoch_durable;
	return meta_write(&eng->meta, MT_meta_epoch, NULL, &rec,
	    &eng->epoch_put);
}

static int
orphan_each(const char *name, void *arg)
{
	struct engine *eng = arg;
	struct uuid id;
	unsigned x;

	if (strlen(name) != 32)
		return 0;
	for (int i = 0; i < 16; i++) {
		if (sscanf(name + 2 * i, "%2x", &x) != 1)
			return 0;
		id.b[i] = (uint8_t)x;
	}
	if (topic_any(&eng->topics, id) != NULL)
		return 0;
	/* Left by a creation that did not finish, or something odd: nothing
	 * is deleted for looking odd. */
	log_warn("directory of no topic", LS("name", name));
	return 0;
}

/* Makes the data directory; a new one must not be lost as a whole. */
static enum err
data_make(const struct engine *eng)
{
	char parent[sizeof eng->data];
	struct disk_stat st;
	char *slash;
	enum err e = disk->stat(eng->data, &st);

	if (e != E_NOTFOUND)
		return e;
	snprintf(parent, sizeof parent, "%s", eng->data);
	while ((slash = strrchr(parent, '/')) != NULL && slash > parent &&
	    slash[1] == '\0')
		*slash = '\0';
	if (slash == NULL)
		strcpy(parent, ".");
	else
		slash[slash == parent] = '\0';
	e = disk->mkdir(eng->data);
	return e == E_OK ? disk->sync_dir(parent) : e;
}

static enum err
data_dirs(struct engine *eng, char *why, size_t size)
{
	char path[PATH_SIZE];
	enum err e;

	e = data_make(eng);
	snprintf(path, sizeof path, "%s/LOCK", eng->data);
	if (e == E_OK && (e = disk->lock(path, &eng->lock_fd)) == E_IO)
		snprintf(why, size, "%s cannot be locked against another "
		    "engine; its file system must have locks", path);
	if (e == E_BUSY)
		snprintf(why, size, "%s is in use by another engine",
		    eng->data);
	snprintf(path, sizeof path, "%s/lost+found", eng->data);
	if (e == E_OK)
		e = disk->mkdir(path);
	if (e != E_OK && why[0] == '\0')
		snprintf(why, size, "%s: %s", eng->data, err_text(e));
	return e;
}

enum err
engine_open(struct engine *eng, const struct conf *conf, struct pool *commit,
    struct pool *bulk, char *why, size_t size)
{
	char path[PATH_SIZE];
	enum err e;

	eng->conf = conf;
	eng->bulk = bulk;
	eng->lock_fd = -1;
	eng->commit.eng = eng;
	eng->commit.data_fd = -1;
	eng->started = mono_ms();
	files_init(&eng->files, eng->files.max > 0 ? eng->files.max :
	    INT_MAX);
	eng->windows_tail = &eng->windows;
	eng->due_tail = &eng->due;
	why[0] = '\0';
	snprintf(eng->data, sizeof eng->data, "%s", conf->data_dir);
	e = data_dirs(eng, why, size);
	if (e == E_OK)
		e = space_open(eng);
	if (e == E_OK)
		e = commit_open(&eng->commit, eng, commit, eng->data);
	if (e == E_OK)
		e = clean_take(eng->data, &eng->clean_start, &eng->roster);
	/* What a failed write-back has left in memory is called clean then,
	 * and read from the disk. */
	if (e == E_OK && !eng->clean_start)
		eng->together = disk->syncfs(eng->commit.data_fd) == E_OK;
	/* Before anybody looks at a segment. */
	if (e == E_OK)
		e = journal_open(&eng->journal, eng, why, size);
	if (e == E_OK)
		e = cluster_id_new(eng->cluster_id);
	if (e == E_OK)
		e = configs_open(eng);
	if (e == E_OK)
		e = meta_open(&eng->meta, eng, eng->clean_start, apply, why,
		    size);
	if (e == E_OK && eng->roster != NULL &&
	    !roster_fits(eng->roster, eng)) {
		log_warn("the clean marker is of other files: every partition "
		    "is looked at", LS("data_dir", eng->data));
		roster_free(eng->roster);
		eng->roster = NULL;
	}
	if (e == E_OK) {
		configs_ready(eng);
		e = epoch_bump(eng);
	}
	if (e == E_OK)
		e = auth_open(eng);
	if (e != E_OK) {
		if (why[0] == '\0')
			snprintf(why, size, "%s: %s", eng->data, err_text(e));
		return e;
	}
	snprintf(path, sizeof path, "%s/topics", eng->data);
	e = disk->list(path, orphan_each, eng);
	if (e != E_OK && e != E_NOTFOUND) {
		snprintf(why, size, "%.200s: %s", path, err_text(e));
		return e;
	}
	eng->recover_topic = eng->topics.first;
	eng->recover_part = 0;
	eng->odd = told_odd();
	recover_more(eng);
	engine_turn(eng);
	maybe_ready(eng);
	return E_OK;
}

enum err
engine_imagine(struct engine *eng, const struct conf *conf, const char *path,
    int64_t base, int64_t size, char *why, size_t n)
{
	enum err e;
	int fd;

	memset(eng, 0, sizeof *eng);
	eng->conf = conf;
	eng->lock_fd = -1;
	eng->commit.eng = eng;
	eng->commit.data_fd = -1;
	eng->windows_tail = &eng->windows;
	eng->due_tail = &eng->due;
	why[0] = '\0';
	e = configs_open(eng);
	if (e == E_OK)
		e = disk->open(path, DISK_READ, &fd);
	if (e != E_OK)
		return e;
	e = meta_replay(eng, fd, path, base, size, apply, why, n);
	disk->close(fd);
	return e;
}

/* Files were changed while no engine ran: what is on the disk counts. */
static void
odd_look(struct engine *eng)
{
	if (eng->odd == told_odd())
		return;
	eng->odd = told_odd();
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next)
		for (int32_t i = 0; t->state == TOPIC_LIVE && i < t->nparts;
		    i++) {
			struct part *p = t->parts[i];

			if (p->nsegs > 0 && told_is_odd(p->segs[0]))
				part_fence(p, E_CORRUPT, NULL, false);
		}
}

void
engine_turn(struct engine *eng)
{
	odd_look(eng);
	fetches_run(eng);
	view_run(eng);
	fetch_reads_run(eng);
	meta_kick(&eng->meta);
	commit_kick(&eng->commit);
	space_turn(eng);
}

/* ---- stop -------------------------------------------------------------- */

static void
stop_begin(struct engine *eng)
{
	eng->stopping = true;
	eng->commit.stopping = true;
	timer_cancel(&eng->timers, &eng->retain_timer);
	timer_cancel(&eng->timers, &eng->producers_timer);
	timer_cancel(&eng->timers, &eng->reap_timer);
	cleaner_stop(eng);
	timer_cancel(&eng->timers, &eng->space.timer);
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next)
		for (int32_t i = 0; t->parts != NULL && i < t->nparts; i++) {
			struct part *p = t->parts[i];

			if (p->state != PART_ONLINE)
				continue;
			timer_cancel(&eng->timers, &p->retry);
			commit_unsynced(&eng->commit, p);
			if (p->snapped != p->next &&
			    p->next > p->segs[0]->base)
				commit_ckpt(&eng->commit, p);
		}
}

/* A partition that is fenced or offline has not been stopped in order. */
static bool
all_online(const struct engine *eng)
{
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next)
		for (int32_t i = 0; t->parts != NULL && i < t->nparts; i++)
			if (t->state == TOPIC_LIVE &&
			    t->parts[i]->state != PART_ONLINE)
				return false;
	return true;
}

/*
 * The marker, with what all partitions are like.  One sync of all before it:
 * of files too that only save a start some work, and of the times at which
 * files were written, which the marker holds.
 */
static enum err
clean_stop(struct engine *eng)
{
	struct wr w = wr_grow(CLEAN_MAX);
	enum err e = disk->syncfs(eng->commit.data_fd);

	if (e == E_OK)
		e = roster_write(eng, &w);
	if (e == E_OK)
		e = clean_write(eng->data, &w);
	wr_free(&w);
	return e;
}

enum err
engine_stop(struct engine *eng)
{
	if (!eng->stopping)
		stop_begin(eng);
	engine_turn(eng);
	if (!meta_idle(&eng->meta) || !commit_idle(&eng->commit) ||
	    pool_out(eng->bulk) > 0)
		return E_BUSY;
	if (eng->commit.ckpt != NULL) {
		commit_checkpoint(&eng->commit);
		return pool_out(eng->bulk) > 0 || eng->commit.ckpt != NULL
		    ? E_BUSY : engine_stop(eng);
	}
	if (!journal_stop(&eng->journal))
		return E_BUSY;
	if (!eng->opened || !all_online(eng) || !journal_empty(&eng->journal))
		return E_OK;	/* no marker: the next start scans */
	return clean_stop(eng);
}

void
engine_close(struct engine *eng)
{
	roster_free(eng->roster);
	eng->roster = NULL;
	cleaner_close(eng);
	groups_free(eng);
	fetch_sessions_free(eng);
	auth_free(eng);
	users_free(&eng->users);
	quotas_free(&eng->quotas);
	topics_free(&eng->topics);
	configs_free(eng);
	meta_close(&eng->meta);
	journal_close(&eng->journal);
	commit_close(&eng->commit);
	timers_free(&eng->timers);
	if (eng->lock_fd >= 0)
		disk->close(eng->lock_fd);
	eng->lock_fd = -1;
}

void
engine_drain(struct engine *eng)
{
	bool more;

	do {
		engine_turn(eng);
		more = pool_step(eng->commit.pool);
		more |= pool_step(eng->bulk);
	} while (more || !meta_idle(&eng->meta) || eng->due != NULL);
}
