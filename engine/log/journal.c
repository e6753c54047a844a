/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's files: which one is written to, when it is full, when it may
 * be used again.  What it is for, and what must hold, stands in journal.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine.h"
#include "journal.h"
#include "lib/log.h"
#include "plant.h"

#define JOURNAL_BUF	((size_t)1 * MIB)	/* a record, with its block */

enum {
	ROOM_FACTOR	= 8,	/* so much of the disk must be usable */
};

static void
path_of(const struct journal *j, const struct journal_file *f, char *path)
{
	journal_path(path, j->eng->data, (int)(f - j->files));
}

/* For good: what is in its files stays for the next start. */
static void
journal_off(struct journal *j, enum err why)
{
	if (!j->on)
		return;
	j->on = false;
	log_warn("the journal is not used any more; segments are synced one "
	    "by one until the next start", LE(why));
}

/* ---- on workers -------------------------------------------------------- */

static enum err
run_flush(struct journal_run *r)
{
	uint8_t head[JOURNAL_BLOCK] = { 0 };
	size_t n = journal_blocks(r->used);
	struct iovec iov[2] = { { head, sizeof head }, { r->buf, n } };
	bool first = r->end == JOURNAL_BLOCK;
	enum err e;

	memset(r->buf + r->used, 0, n - r->used);
	journal_record_put(r->buf, r->used, r->head.id, r->number, r->pieces);
	journal_head_put(head, &r->head);
	/* The header of a new lap comes with its first record. */
	if (first)
		e = disk->pwritev(r->fd, iov, 2, 0);
	else
		e = disk->pwritev(r->fd, iov + 1, 1, r->end);
	r->end += (int64_t)n;
	r->number++;
	r->used = JOURNAL_RECORD;
	r->pieces = 0;
	return e;
}

static bool
whole_batches(const uint8_t *p, size_t n)
{
	struct batch b;

	for (; n > 0; p += batch_size(&b), n -= (size_t)batch_size(&b))
		if (n < BATCH_HEADER || batch_read(p, &b) != E_OK ||
		    (size_t)batch_size(&b) > n ||
		    !batch_crc_ok(p, (size_t)batch_size(&b)))
			return false;
	return true;
}

enum err
journal_add(struct journal_run *r, const struct log_id *id, struct seg *s,
    int64_t pos, int64_t len)
{
	struct journal_piece x = { .id = *id, .base = s->base, .pos = pos,
	    .len = (int32_t)len };
	size_t n = JOURNAL_PIECE + (size_t)len, got = 0;
	uint8_t *p;
	enum err e;
	int fd;

	ASSERT(len > 0 && len <= JOURNAL_PIECE_MAX);
	if (r->err != E_OK)
		return r->err;
	if (r->used + n > JOURNAL_BUF && (r->err = run_flush(r)) != E_OK)
		return r->err;
	p = r->buf + r->used;
	if ((e = seg_fd(s, &fd)) != E_OK)
		return e;
	e = disk->pread(fd, p + JOURNAL_PIECE, (size_t)len, pos, &got);
	if (e == E_OK && (got < (size_t)len ||
	    !whole_batches(p + JOURNAL_PIECE, got)))
		e = E_CORRUPT;
	if (e != E_OK)
		return e;
	journal_piece_put(p, &x);
	r->used += n;
	r->pieces++;
	return E_OK;
}

enum err
journal_sync(struct journal_run *r)
{
	if (r->err == E_OK && r->pieces > 0)
		r->err = run_flush(r);
	if (r->err == E_OK && !PLANT(skip_sync))
		r->err = disk->datasync(r->fd);
	return r->err;
}

/* ---- rounds ------------------------------------------------------------ */

static void settle_start(struct journal *);
static void make_start(struct journal *);

static bool
rotate(struct journal *j)
{
	struct journal_file *f = j->files;

	while (f < j->files + JOURNAL_FILES && f->state != JOURNAL_FREE)
		f++;
	if (f == j->files + JOURNAL_FILES ||
	    getrandom(&f->head.id, sizeof f->head.id, GRND_NONBLOCK) !=
	    (ssize_t)sizeof f->head.id)
		return false;
	f->state = JOURNAL_ACTIVE;
	f->head.lap = ++j->lap;
	f->end = JOURNAL_BLOCK;
	f->number = 0;
	f->doubtful = false;
	f->failures = seg_sync_failures();
	j->active = f;
	j->laps++;
	return true;
}

struct journal_run *
journal_begin(struct journal *j, int64_t bytes, int n, bool make)
{
	struct journal_run *r = &j->run;
	struct journal_file *f;
	/* Each record may leave a piece's room unused, and fills a block. */
	int64_t room = bytes + (int64_t)n * JOURNAL_PIECE;

	room += (room / ((int64_t)JOURNAL_BUF - JOURNAL_RECORD -
	    JOURNAL_PIECE - JOURNAL_PIECE_MAX) + 1) *
	    (JOURNAL_RECORD + JOURNAL_BLOCK);
	if (make && !j->made && j->file_bytes > 0)
		make_start(j);
	if (!j->on || JOURNAL_BLOCK + room > j->file_bytes)
		return NULL;
	if (j->active != NULL && j->active->end + room > j->file_bytes) {
		j->active->state = JOURNAL_FULL;
		j->active = NULL;
		settle_start(j);
	}
	if (j->active == NULL && !rotate(j))
		return NULL;
	if (r->buf == NULL && (r->buf = malloc(JOURNAL_BUF)) == NULL)
		return NULL;
	f = j->active;
	r->file = f;
	r->head = f->head;
	r->fd = f->fd;
	r->end = f->end;
	r->number = f->number;
	r->used = JOURNAL_RECORD;
	r->pieces = 0;
	r->err = E_OK;
	return r;
}

void
journal_end(struct journal *j, struct journal_run *r)
{
	struct journal_file *f = r->file;

	j->records += r->number - f->number;
	j->bytes += r->end - f->end;
	f->end = r->end;
	f->number = r->number;
	r->file = NULL;
	if (r->err != E_OK)
		journal_off(j, r->err);
}

/* ---- settling ---------------------------------------------------------- */

struct settle {
	struct job	 job;
	struct journal	*j;
	unsigned	 files, freed;	/* bits */
	bool		 doubtful;
	unsigned	 failures;	/* of syncs, before the first began */
	struct log_id	*bad;		/* whose segments failed */
	int		 nbad, cap;
	enum err	 err;
};

static enum err
free_head(int fd)
{
	static const struct journal_head none;
	uint8_t p[JOURNAL_BLOCK] = { 0 };
	struct iovec iov = { p, sizeof p };
	enum err e;

	journal_head_put(p, &none);
	e = disk->pwritev(fd, &iov, 1, 0);
	return e == E_OK ? disk->datasync(fd) : e;
}

static void
settle_bad(void *arg, const struct log_id *id, enum err e)
{
	struct settle *s = arg;
	struct log_id *v;

	s->err = e;
	if (s->nbad == s->cap) {
		v = realloc(s->bad, ((size_t)s->cap * 2 + 8) * sizeof *v);
		if (v == NULL)
			return;		/* the files stay all the same */
		s->bad = v;
		s->cap = s->cap * 2 + 8;
	}
	s->bad[s->nbad++] = *id;
}

/* A failed sync of the file system does not say which file: each piece is
 * brought to its segment again, and that synced for itself. */
static void
settle_run(struct job *job)
{
	struct settle *s = (struct settle *)job;
	struct journal *j = s->j;
	struct journal_replay r = { .data = j->eng->data, .files = s->files,
	    .each = true, .bad = settle_bad, .arg = s };
	enum err e;

	if (!s->doubtful && disk->syncfs(j->eng->commit.data_fd) != E_OK)
		seg_sync_failed();
	if (s->doubtful || seg_sync_failures() != s->failures) {
		s->doubtful = true;
		e = journal_replay(&r);
		if (e != E_OK)
			s->err = e;
	}
	for (int i = 0; i < JOURNAL_FILES && s->err == E_OK; i++)
		if ((s->files & 1u << i) &&
		    (s->err = free_head(j->files[i].fd)) == E_OK)
			s->freed |= 1u << i;
}

static void
settle_fence(struct engine *eng, const struct log_id *id, enum err why)
{
	struct topic *t = topic_find_id(&eng->topics, id->topic);
	struct part *p = t == NULL ? NULL : topic_part(t, id->part);

	if (uuid_eq(id->topic, eng->meta.part->id.topic))
		p = eng->meta.part;
	if (p != NULL && p->state == PART_ONLINE)
		part_fence(p, why, NULL, false);
}

static void
settle_done(struct job *job)
{
	struct settle *s = (struct settle *)job;
	struct journal *j = s->j;

	j->settling = false;
	for (int i = 0; i < JOURNAL_FILES; i++) {
		struct journal_file *f = &j->files[i];

		if (s->freed & 1u << i) {
			f->state = JOURNAL_FREE;
			f->head.lap = 0;
		} else if (s->files & 1u << i)
			f->doubtful = s->doubtful;
	}
	for (int i = 0; i < s->nbad; i++)
		settle_fence(j->eng, &s->bad[i], s->err);
	if (s->err != E_OK && s->nbad == 0)
		journal_off(j, s->err);
	free(s->bad);
	free(s);
}

static void
settle_start(struct journal *j)
{
	const struct journal_file *first = NULL;
	struct settle *s;

	if (j->settling || (s = calloc(1, sizeof *s)) == NULL)
		return;		/* the next rotation comes back to it */
	s->j = j;
	for (int i = 0; i < JOURNAL_FILES; i++)
		if (j->files[i].state == JOURNAL_FULL) {
			s->files |= 1u << i;
			if (first == NULL || j->files[i].head.lap <
			    first->head.lap)
				first = &j->files[i];
			s->doubtful |= j->files[i].doubtful;
		}
	s->failures = first != NULL ? first->failures : 0;
	s->job.run = settle_run;
	s->job.done = settle_done;
	j->settling = true;
	pool_submit(j->eng->bulk, &s->job);
}

void
journal_settle(struct journal *j)
{
	if (!j->on || j->settling || j->run.file != NULL || journal_empty(j))
		return;
	if (j->active != NULL) {
		j->active->state = JOURNAL_FULL;
		j->active = NULL;
	}
	settle_start(j);
}

bool
journal_empty(const struct journal *j)
{
	for (int i = 0; i < JOURNAL_FILES; i++)
		if (j->files[i].state == JOURNAL_ACTIVE ||
		    j->files[i].state == JOURNAL_FULL)
			return false;
	return true;
}

bool
journal_stop(struct journal *j)
{
	if (j->settling)
		return false;
	if (!j->on || journal_empty(j))
		return true;
	if (j->active != NULL) {
		j->active->state = JOURNAL_FULL;
		j->active = NULL;
	}
	/* What one try does not settle stays for the next start. */
	settle_start(j);
	j->on = false;
	return !j->settling;
}

static bool
holds_lap(const struct journal *j, uint64_t lap)
{
	if (lap == 0)
		return false;
	for (int i = 0; i < JOURNAL_FILES; i++)
		if (j->files[i].head.lap != 0 && lap >= j->files[i].head.lap)
			return true;
	return false;
}

/* A lap that is there may hold bytes of any segment that was written to in it
 * or later. */
bool
journal_holds(const struct journal *j, const struct seg *s)
{
	return holds_lap(j, s->lap);
}

bool
journal_holds_part(const struct journal *j, const struct part *p)
{
	for (int i = 0; i < p->nsegs; i++)
		if (holds_lap(j, p->segs[i]->lap))
			return true;
	for (int i = 0; i < j->nunsettled; i++)
		if (uuid_eq(j->unsettled[i].topic, p->id.topic) &&
		    j->unsettled[i].part == p->id.part)
			return true;
	return false;
}

/* ---- making the files -------------------------------------------------- */

struct make {
	struct job	 job;
	struct journal	*j;
	unsigned	 missing;	/* bits */
	int		 fds[JOURNAL_FILES];
	enum err	 err;
};

/* Written whole, so that no later write has to find blocks. */
static enum err
make_file(const char *path, int64_t size, int *fd)
{
	static const struct journal_head none;
	size_t n = JOURNAL_BUF < (size_t)size ? JOURNAL_BUF : (size_t)size;
	uint8_t *p = calloc(1, n);
	char tmp[PATH_SIZE];
	enum err e;

	if (p == NULL)
		return E_NOMEM;
	snprintf(tmp, sizeof tmp, "%.4000s.tmp", path);
	e = disk->open(tmp, DISK_CREATE, fd);
	for (int64_t at = 0; e == E_OK && at < size; at += (int64_t)n) {
		struct iovec iov = { p, size - at < (int64_t)n ?
		    (size_t)(size - at) : n };

		e = disk->pwritev(*fd, &iov, 1, at);
	}
	if (e == E_OK) {
		struct iovec iov = { p, JOURNAL_HEAD };

		journal_head_put(p, &none);
		e = disk->pwritev(*fd, &iov, 1, 0);
	}
	if (e == E_OK)
		e = disk->sync(*fd);
	if (e == E_OK)
		e = disk->rename(tmp, path);
	if (e != E_OK && *fd >= 0) {
		disk->close(*fd);
		*fd = -1;
		(void)disk->unlink(tmp);
	}
	free(p);
	return e;
}

static void
make_run(struct job *job)
{
	struct make *m = (struct make *)job;
	struct journal *j = m->j;
	int64_t total, usable;
	char path[PATH_SIZE], dir[PATH_SIZE];

	journal_path(dir, j->eng->data, -1);
	m->err = disk->space(j->eng->data, &total, &usable);
	if (m->err == E_OK && usable < ROOM_FACTOR * JOURNAL_FILES *
	    j->file_bytes)
		m->err = E_NOSPC;
	if (m->err == E_OK)
		m->err = disk->mkdir(dir);
	for (int i = 0; m->err == E_OK && i < JOURNAL_FILES; i++) {
		journal_path(path, j->eng->data, i);
		if (m->missing & 1u << i)
			m->err = make_file(path, j->file_bytes, &m->fds[i]);
	}
	if (m->err == E_OK)
		m->err = disk->sync_dir(dir);
	if (m->err == E_OK)
		m->err = disk->sync_dir(j->eng->data);
}

static void
make_done(struct job *job)
{
	struct make *m = (struct make *)job;
	struct journal *j = m->j;

	for (int i = 0; i < JOURNAL_FILES; i++) {
		if (m->fds[i] < 0)
			continue;
		j->files[i].fd = m->fds[i];
		j->files[i].state = JOURNAL_FREE;
	}
	j->on = m->err == E_OK && !j->eng->stopping;
	if (m->err != E_OK)
		log_warn("no journal: segments are synced one by one",
		    LI("bytes", j->file_bytes * JOURNAL_FILES), LE(m->err));
	free(m);
}

/* When it would be of use for the first time. */
static void
make_start(struct journal *j)
{
	struct make *m = calloc(1, sizeof *m);

	if (m == NULL)
		return;
	j->made = true;
	m->j = j;
	for (int i = 0; i < JOURNAL_FILES; i++) {
		m->fds[i] = -1;
		if (j->files[i].state == JOURNAL_NONE)
			m->missing |= 1u << i;
	}
	m->job.run = make_run;
	m->job.done = make_done;
	pool_submit(j->eng->bulk, &m->job);
}

/* ---- opening and closing ----------------------------------------------- */

/* Pieces of these are only in the journal: it stays as it is. */
static void
open_bad(void *arg, const struct log_id *id, enum err e)
{
	struct journal *j = arg;
	struct log_id *v = realloc(j->unsettled,
	    ((size_t)j->nunsettled + 1) * sizeof *v);

	(void)e;
	if (v == NULL)
		log_fatal("out of memory for the journal", LE(E_NOMEM));
	j->unsettled = v;
	v[j->nunsettled++] = *id;
}

/* A damaged header is kept, with what it stood before. */
static enum err
set_aside(struct journal *j, const char *path, int n)
{
	char to[PATH_SIZE];
	struct disk_stat st;
	enum err e = E_OK;

	for (int try = 0; e == E_OK; try++) {
		snprintf(to, sizeof to, "%.4000s/lost+found/journal-%d.%d",
		    j->eng->data, n, try);
		e = disk->stat(to, &st);
	}
	if (e != E_NOTFOUND)
		return e;
	log_warn("journal file with a damaged header; what it holds is not "
	    "brought to the segments", LS("file", path), LS("kept_as", to));
	e = disk->rename(path, to);
	if (e != E_OK)
		return e;
	snprintf(to, sizeof to, "%.4000s/lost+found", j->eng->data);
	return disk->sync_dir(to);
}

/* Takes over a file of the right size, freed; removes others. */
static enum err
open_file(struct journal *j, int n)
{
	struct journal_file *f = &j->files[n];
	uint8_t p[JOURNAL_HEAD];
	char path[PATH_SIZE];
	struct disk_stat st;
	size_t got;
	enum err e, h;

	path_of(j, f, path);
	if ((e = disk->open(path, DISK_WRITE, &f->fd)) != E_OK) {
		f->fd = -1;
		return e == E_NOTFOUND ? E_OK : e;
	}
	if ((e = disk->fstat(f->fd, &st)) == E_OK)
		e = disk->pread(f->fd, p, sizeof p, 0, &got);
	if (e != E_OK)
		return e;
	h = journal_head_get(p, got, &f->head);
	if (f->head.lap > j->lap)
		j->lap = f->head.lap;
	if (h == E_OK && f->head.lap != 0 && j->nunsettled > 0) {
		f->state = JOURNAL_FULL;
		return E_OK;
	}
	if (h == E_OK && f->head.lap != 0 && (e = free_head(f->fd)) != E_OK)
		return e;
	f->head.lap = 0;
	if (h == E_OK && st.size == j->file_bytes) {
		f->state = JOURNAL_FREE;
		return E_OK;
	}
	disk->close(f->fd);
	f->fd = -1;
	return h == E_CORRUPT ? set_aside(j, path, n) : disk->unlink(path);
}

enum err
journal_open(struct journal *j, struct engine *eng, char *why, size_t size)
{
	struct journal_replay r = { .data = eng->data, .files = JOURNAL_ALL,
	    .bad = open_bad, .arg = j };
	static const struct uuid none;
	int64_t start = mono_ms();
	enum err e;

	memset(j, 0, sizeof *j);
	for (int i = 0; i < JOURNAL_FILES; i++)
		j->files[i].fd = -1;
	j->eng = eng;
	j->file_bytes = eng->conf->journal_bytes / JOURNAL_FILES /
	    JOURNAL_BLOCK * JOURNAL_BLOCK;
	e = PLANT(no_replay) ? E_OK : journal_replay(&r);
	if (e == E_OK && r.pieces > 0 &&
	    disk->syncfs(eng->commit.data_fd) != E_OK) {
		/* Each for itself then, and who fails is known. */
		r.each = true;
		j->nunsettled = 0;
		e = journal_replay(&r);
	}
	if (e != E_OK) {
		snprintf(why, size, "%s", r.why);
		return e;
	}
	for (int i = 0; i < j->nunsettled; i++)
		if (j->unsettled[i].part == 0 &&
		    uuid_eq(j->unsettled[i].topic, none)) {
			snprintf(why, size, "%s/meta: what the journal has of "
			    "the catalogue cannot be written", eng->data);
			return E_IO;
		}
	for (int i = 0; i < JOURNAL_FILES && e == E_OK; i++)
		e = open_file(j, i);
	if (e != E_OK) {
		snprintf(why, size, "%s/journal: %s", eng->data, err_text(e));
		return e;
	}
	if (r.pieces > 0)
		log_info("journal brought to the segments",
		    LI("pieces", r.pieces), LI("ms", mono_ms() - start));
	if (j->nunsettled > 0) {
		j->made = true;
		log_warn("the journal is kept for partitions that cannot be "
		    "written", LI("segments", j->nunsettled));
	}
	return E_OK;
}

void
journal_close(struct journal *j)
{
	for (int i = 0; i < JOURNAL_FILES && j->eng != NULL; i++) {
		if (j->files[i].fd >= 0)
			disk->close(j->files[i].fd);
		j->files[i].fd = -1;
	}
	free(j->run.buf);
	free(j->unsettled);
	j->run.buf = NULL;
	j->unsettled = NULL;
	j->nunsettled = 0;
}
