/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What group commit leaves behind it: index entries, checkpoints, seals of
 * finished segments and producer snapshots, written after the log before them
 * was synced.  All of it can be made again from the log.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "lib/log.h"

enum {
	CKPT_MS		= 1000,
	IDX_READY_MAX	= IDX_PENDING_MAX * 3 / 4,
	IDX_JOBS_MAX	= 64,	/* of checkpoints at once */
};

/* Index entries and the producer snapshot of one segment, on their way. */
struct idx_job {
	struct job	 job;
	struct part	*part;
	struct seg	*seg;		/* ours */
	struct idx_entry *e;
	int		 n, pending;	/* pending: how many of n were */
	int64_t		 nfile;
	bool		 seal;		/* sync the log first, mark, snapshot */
	int64_t		 trim;		/* give back blocks beyond; -1: none */
	struct wr	 snap;		/* the snapshot, may be empty */
	int64_t		 snap_at;
	enum err	 err, sync_err;
	uint32_t	 gen;
};

/* Removes all but the two newest snapshots up to the one just written. */
struct snap_sweep {
	const char	*dir;
	int64_t		 newest, second;
};

static int
snap_second(const char *name, void *arg)
{
	struct snap_sweep *s = arg;
	int64_t at;

	if (seg_name(name, ".prod", &at) && at < s->newest && at > s->second)
		s->second = at;
	return 0;
}

static int
snap_remove(const char *name, void *arg)
{
	struct snap_sweep *s = arg;
	char path[PATH_SIZE];
	int64_t at;

	if (!seg_name(name, ".prod", &at) || at >= s->second)
		return 0;
	seg_path(path, s->dir, at, ".prod");
	return disk->unlink(path) == E_OK ? 0 : 1;
}

/* Synced where a segment ends, because retention may take the batches it was
 * made of; else one that a power cut spoils is passed over and made anew. */
static enum err
snap_write(const char *path, const struct wr *bytes, bool sync)
{
	struct iovec iov = { bytes->p, bytes->len };
	char tmp[PATH_SIZE];
	enum err e;
	int fd;

	snprintf(tmp, sizeof tmp, "%.*s.tmp", PATH_SIZE - 8, path);
	e = disk->open(tmp, DISK_CREATE, &fd);
	if (e != E_OK)
		return e;
	e = disk->truncate(fd, 0);
	if (e == E_OK)
		e = disk->pwritev(fd, &iov, 1, 0);
	if (e == E_OK && sync)
		e = disk->datasync(fd);
	disk->close(fd);
	return e == E_OK ? disk->rename(tmp, path) : e;
}

static enum err
snap_run(struct idx_job *x)
{
	char dir[PATH_SIZE], path[PATH_SIZE];
	struct snap_sweep s = { dir, x->snap_at, -1 };
	enum err e;

	part_dir(x->part, dir);
	seg_path(path, dir, x->snap_at, ".prod");
	e = snap_write(path, &x->snap, x->seal);
	if (e == E_OK)
		e = disk->list(dir, snap_second, &s);
	if (e == E_OK && s.second >= 0)
		e = disk->list(dir, snap_remove, &s);
	return e;
}

static void
idx_run(struct job *j)
{
	struct idx_job *x = (struct idx_job *)j;
	char path[PATH_SIZE], dir[PATH_SIZE];
	int fd;

	if ((x->err = told_check(x->seg, -1)) != E_OK)
		return;
	/* Blocks that were reserved, perhaps before a crash, and not needed; no
	 * byte changes, so what fails here costs room only. */
	if (x->seal)
		x->sync_err = seg_fd(x->seg, &fd);
	if (x->seal && x->trim >= 0 && x->sync_err == E_OK)
		(void)!disk->truncate(fd, x->trim);
	if (x->seal && x->sync_err == E_OK)
		x->sync_err = seg_sync(x->seg);
	if (x->sync_err != E_OK)
		return;
	idx_path(x->seg, path);
	if (x->n > 0)
		x->err = idx_append(path, &x->seg->id, x->seg->base, x->e,
		    x->n, x->nfile, x->seal);
	if (x->err == E_OK && x->seal) {
		part_dir(x->part, dir);
		x->err = disk->sync_dir(dir);
	}
	if (x->err == E_OK && x->snap.len > 0)
		x->err = snap_run(x);
}

static void
idx_done(struct job *j)
{
	struct idx_job *x = (struct idx_job *)j;
	struct part *p = x->part;
	struct committer *c = &p->eng->commit;
	struct seg *s = x->seg;

	p->idx_busy = false;
	c->idx_jobs--;
	if (x->gen == p->gen && x->sync_err != E_OK)
		part_fence(p, x->sync_err, NULL, false);
	else if (x->gen == p->gen && x->err != E_OK) {
		/* The index can be rebuilt; the log is what counts. */
		log_warn("index not written", LS("file", s->path),
		    LE(x->err));
		if (x->err == E_NOSPC)
			space_full(p->eng);
	} else if (x->gen == p->gen) {
		idx_flushed(&s->idx, x->pending);
		if (x->seal) {
			s->idx.sealed = true;
			if (!p->relaxed)
				p->visible += s->size - s->synced;
			s->synced = s->size;
			s->synced_offset = s->end_offset;
			part_advance(p);
		}
		if (x->snap.len > 0)
			p->snapped = x->snap_at;
		if (p->state == PART_ONLINE)
			commit_seal(&p->eng->commit, p);
	}
	seg_unref(s);
	wr_free(&x->snap);
	free(x->e);
	free(x);
	part_job_done(p);
	if (c->ckpt_more && c->idx_jobs < IDX_JOBS_MAX / 2)
		commit_checkpoint(c);
}

/* Sends ready entries of a segment to its .idx.  Best effort: on lack of
 * memory the entries stay pending. */
static void
idx_send(struct committer *c, struct part *p, struct seg *s, bool is_seal,
    bool snap)
{
	struct idx_job *x;
	int n = is_seal ? s->idx.npending : idx_ready(&s->idx, s->synced);

	if ((n == 0 && !is_seal && !snap) || (x = calloc(1, sizeof *x)) == NULL)
		return;
	x->e = malloc(((size_t)n + 1) * sizeof *x->e);
	if (x->e == NULL) {
		free(x);
		return;
	}
	if (n > 0)
		memcpy(x->e, s->idx.pending, (size_t)n * sizeof *x->e);
	x->pending = x->n = n;
	x->nfile = s->idx.nfile;
	if (n == 0 && is_seal && x->nfile > 0) {
		/* The last entry is there: it is written again, marked. */
		x->e[x->n++] = s->idx.last;
		x->nfile--;
	}
	x->seal = is_seal;
	x->trim = p->topic != NULL ? s->size : -1;
	x->part = p;
	x->seg = seg_ref(s);
	x->gen = p->gen;
	x->snap = wr_grow(256 * MIB);
	x->snap_at = p->next;
	if (snap && p->topic != NULL && p->prods == NULL)
		p->prods = prod_new();
	if (snap && p->prods != NULL && prod_encode(p->prods, &p->id,
	    x->snap_at, &x->snap) != E_OK)
		wr_free(&x->snap);
	x->job.run = idx_run;
	x->job.done = idx_done;
	p->idx_busy = true;
	c->idx_jobs++;
	p->jobs++;
	pool_submit(c->eng->bulk, &x->job);
}

/* Finished segments, oldest first: the last entry is at the end, marked as
 * sealed.  One index job of a partition at a time. */
void
commit_seal(struct committer *c, struct part *p)
{
	int i = p->nsegs - 1;
	struct seg *s;

	while (i > 0 && !p->segs[i - 1]->idx.sealed)
		i--;
	if (p->idx_busy || i < 0 || i == p->nsegs - 1)
		return;
	s = p->segs[i];
	if (idx_checkpoint(&s->idx, s->end_offset, s->size, s->max_ts) ==
	    E_OK)
		idx_send(c, p, s, true, true);
}

static void
ckpt_fire(struct timer *t)
{
	struct committer *c = (struct committer *)((char *)t -
	    offsetof(struct committer, ckpt_timer));

	commit_checkpoint(c);
}

void
commit_ckpt(struct committer *c, struct part *p)
{
	if (p->in_ckpt)
		return;
	p->in_ckpt = true;
	p->ckpt_next = c->ckpt;
	c->ckpt = p;
}

void
commit_ckpt_start(struct committer *c)
{
	c->ckpt_timer.fire = ckpt_fire;
	if (c->ckpt != NULL && c->ckpt_timer.at == 0 &&
	    timer_set(&c->eng->timers, &c->ckpt_timer, mono_ms() + CKPT_MS) !=
	    E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}

void
commit_ckpt_soon(struct committer *c, struct part *p)
{
	struct seg *s = part_active(p);

	if (!p->in_ckpt) {
		commit_ckpt(c, p);
		commit_ckpt_start(c);
	}
	/* The catalogue's checkpoint follows each sync: a flipped bit in the
	 * last change is then damage, not a torn tail. */
	if (p->topic == NULL ||
	    (!p->idx_busy && idx_ready(&s->idx, s->synced) >= IDX_READY_MAX)) {
		if (p->topic == NULL && s->synced == s->size &&
		    idx_checkpoint(&s->idx, s->synced_offset, s->synced,
		    s->max_ts) != E_OK)
			return;
		if (!p->idx_busy)
			idx_send(c, p, s, false, false);
	}
}

void
commit_checkpoint(struct committer *c)
{
	struct part *p, *again = NULL;
	bool busy = false;

	while ((p = c->ckpt) != NULL && c->idx_jobs < IDX_JOBS_MAX) {
		struct seg *s = part_active(p);

		c->ckpt = p->ckpt_next;
		if (p->idx_busy) {
			p->ckpt_next = again;
			again = p;
			continue;
		}
		p->in_ckpt = false;
		/* max_ts covers everything written; only when that is also
		 * synced does it describe the entry's position. */
		if (s->synced == s->size && idx_checkpoint(&s->idx,
		    s->synced_offset, s->synced, s->max_ts) != E_OK)
			continue;
		idx_send(c, p, s, false, c->stopping && p->snapped != p->next);
	}
	/* Those come when jobs are back, without a timer. */
	c->ckpt_more = c->ckpt != NULL;
	while ((p = again) != NULL) {
		again = p->ckpt_next;
		p->ckpt_next = c->ckpt;
		c->ckpt = p;
		busy = true;
	}
	if (busy && !c->stopping)
		commit_ckpt_start(c);
}
