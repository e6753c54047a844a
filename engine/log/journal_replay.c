/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the journal to the segments: at start, before a fenced partition is
 * recovered, and when a sync of the file system failed.  Doing it again, after
 * any part of it was done, gives the same.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "journal.h"
#include "lib/batch.h"
#include "lib/log.h"

/* Pieces of one file, to be brought into the order of their segments. */
struct heap {
	const struct journal_replay *how;
	struct sorted {
		struct journal_piece x;
		size_t		 n;	/* order of the file */
	} *v;
	size_t		 n, cap;
};

enum { WINDOW = 2 * JOURNAL_PIECE_MAX, RUN_MAX = 64 };

/* A segment that is written to.  Pieces that follow one another wait, and go
 * with one write: what is read of the file lies behind them all. */
struct target {
	int		 fd;
	int64_t		 size;		/* with what waits */
	uint8_t		*buf;		/* WINDOW bytes of it, as they were */
	int64_t		 from, till;	/* what buf holds */
	struct iovec	 run[RUN_MAX];
	int		 nrun;
	int64_t		 run_from, run_end;	/* positions */
};

void
journal_path(char *buf, const char *data, int n)
{
	int len = n < 0 ? snprintf(buf, PATH_SIZE, "%s/journal", data) :
	    snprintf(buf, PATH_SIZE, "%s/journal/%d.jnl", data, n);

	ASSERT(len > 0 && len < PATH_SIZE);
}

static enum err __attribute__((format(printf, 3, 4)))
fail(struct journal_replay *r, enum err err, const char *fmt, ...)
{
	va_list ap;

	if (r->why[0] != '\0')
		return err;
	va_start(ap, fmt);
	vsnprintf(r->why, sizeof r->why, fmt, ap);
	va_end(ap);
	return err;
}

static enum err
gather(const struct journal_piece *x, void *arg)
{
	struct heap *h = arg;
	struct sorted *v;

	if (h->how->only != NULL && (!uuid_eq(h->how->only->topic,
	    x->id.topic) || h->how->only->part != x->id.part))
		return E_OK;
	if (h->n == h->cap) {
		size_t cap = h->cap * 2 + 64;

		if ((v = realloc(h->v, cap * sizeof *v)) == NULL)
			return E_NOMEM;
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n] = (struct sorted){ *x, h->n };
	h->n++;
	return E_OK;
}

static int
same_seg(const struct journal_piece *a, const struct journal_piece *b)
{
	int c = memcmp(a->id.topic.b, b->id.topic.b, 16);

	if (c == 0)
		c = (a->id.part > b->id.part) - (a->id.part < b->id.part);
	return c != 0 ? c : (a->base > b->base) - (a->base < b->base);
}

static int
by_seg(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int c = same_seg(&x->x, &y->x);

	return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

/* Does a whole batch of a greater epoch lie at pos? */
static enum err
is_newer(const struct target *t, int64_t pos, int32_t epoch, bool *newer)
{
	uint8_t head[BATCH_HEADER], *p;
	struct batch b;
	size_t got;
	enum err e;

	*newer = false;
	if (t->size - pos < BATCH_HEADER)
		return E_OK;
	e = disk->pread(t->fd, head, sizeof head, pos, &got);
	if (e != E_OK || got < sizeof head || batch_read(head, &b) != E_OK ||
	    b.leader_epoch <= epoch || batch_size(&b) > t->size - pos)
		return e;
	if ((p = malloc((size_t)batch_size(&b))) == NULL)
		return E_NOMEM;
	e = disk->pread(t->fd, p, (size_t)batch_size(&b), pos, &got);
	*newer = e == E_OK && got == (size_t)batch_size(&b) &&
	    batch_crc_ok(p, got);
	free(p);
	return e;
}

/* What the segment has where a piece goes: *got of its bytes, at *p.  A window
 * serves those that follow, until something is written behind them. */
static enum err
window(struct target *t, const struct journal_piece *x, const uint8_t **p,
    size_t *got)
{
	enum err e = E_OK;
	size_t n;

	if (x->pos < t->from || (x->pos + x->len > t->till &&
	    t->till < t->size)) {
		e = disk->pread(t->fd, t->buf, WINDOW, x->pos, &n);
		t->from = x->pos;
		t->till = x->pos + (e == E_OK ? (int64_t)n : 0);
	}
	*got = x->pos < t->till ? (size_t)(t->till - x->pos) : 0;
	*p = *got > 0 ? t->buf + (x->pos - t->from) : t->buf;
	return e;
}

static enum err
run_write(struct target *t)
{
	int n = t->nrun;

	t->nrun = 0;
	return n == 0 ? E_OK : disk->pwritev(t->fd, t->run, n, t->run_from);
}

static enum err
run_add(struct target *t, const uint8_t *p, size_t n)
{
	t->run[t->nrun++] = (struct iovec){ (void *)(uintptr_t)p, n };
	t->run_end += (int64_t)n;
	if (t->run_end > t->size)
		t->size = t->run_end;
	return t->nrun == RUN_MAX ? run_write(t) : E_OK;
}

/* Before a piece is looked at: what waits ends where it begins, or is
 * written. */
static enum err
run_before(struct target *t, int64_t pos)
{
	enum err e = t->run_end == pos ? E_OK : run_write(t);

	if (t->nrun == 0)
		t->run_from = t->run_end = pos;
	return e;
}

/*
 * Written also where the segment seems to have it: what reads show may be what
 * a failed write-back has left in memory.  E_CORRUPT: no batches.
 */
static enum err
piece_write(struct target *t, const struct journal_piece *x)
{
	struct batch b;
	int64_t at = 0;
	const uint8_t *has;
	size_t got;
	bool newer = false;
	enum err e = run_before(t, x->pos);

	if (e == E_OK)
		e = window(t, x, &has, &got);
	for (; e == E_OK && at < x->len; at += batch_size(&b)) {
		if (x->len - at < BATCH_HEADER ||
		    batch_read(x->p + at, &b) != E_OK ||
		    batch_size(&b) > x->len - at)
			return E_CORRUPT;
		if ((size_t)(at + batch_size(&b)) <= got &&
		    memcmp(x->p + at, has + at,
		    (size_t)batch_size(&b)) == 0)
			continue;
		e = is_newer(t, x->pos + at, b.leader_epoch, &newer);
		if (newer)
			break;
	}
	return e != E_OK || at == 0 ? e : run_add(t, x->p, (size_t)at);
}

/* All pieces of one segment.  One that is not there was deleted. */
static enum err
seg_write(const struct journal_replay *r, const struct sorted *v, size_t n,
    uint8_t *buf)
{
	struct target t = { .buf = buf };
	char dir[PATH_SIZE], path[PATH_SIZE];
	struct disk_stat st;
	enum err e;

	log_dir(r->data, &v->x.id, dir);
	seg_path(path, dir, v->x.base, ".log");
	e = disk->open(path, DISK_WRITE, &t.fd);
	if (e != E_OK)
		return e == E_NOTFOUND ? E_OK : e;
	if ((e = disk->fstat(t.fd, &st)) == E_OK)
		t.size = st.size;
	for (size_t i = 0; e == E_OK && i < n; i++) {
		e = piece_write(&t, &v[i].x);
		if (e == E_CORRUPT) {
			log_warn("no batches in a piece of the journal",
			    LS("file", path), LI("position", v[i].x.pos));
			e = E_OK;
		}
	}
	if (e == E_OK)
		e = run_write(&t);
	if (e == E_OK && r->each && (e = disk->datasync(t.fd)) != E_OK)
		seg_sync_failed();
	disk->close(t.fd);
	return e;
}

static enum err
heap_write(struct journal_replay *r, struct heap *h)
{
	uint8_t *buf = malloc(WINDOW);
	size_t n;
	enum err e;

	if (buf == NULL)
		return E_NOMEM;
	if (h->n > 0)
		qsort(h->v, h->n, sizeof *h->v, by_seg);
	for (size_t i = 0; i < h->n; i += n) {
		for (n = 1; i + n < h->n && same_seg(&h->v[i].x,
		    &h->v[i + n].x) == 0; n++)
			continue;
		e = seg_write(r, h->v + i, n, buf);
		if (e == E_NOMEM) {
			free(buf);
			return e;
		}
		if (e != E_OK)
			r->bad(r->arg, &h->v[i].x.id, e);
	}
	r->pieces += (int64_t)h->n;
	free(buf);
	return E_OK;
}

/* A file in the order of laps, by its head. */
struct lap {
	int			 n;
	struct journal_head	 head;
};

static enum err
head_read(struct journal_replay *r, int n, struct journal_head *h)
{
	uint8_t p[JOURNAL_HEAD];
	char path[PATH_SIZE];
	size_t got;
	enum err e;
	int fd;

	*h = (struct journal_head){ 0 };
	journal_path(path, r->data, n);
	if ((e = disk->open(path, DISK_READ, &fd)) != E_OK)
		return e == E_NOTFOUND ? E_OK : fail(r, e, "%.200s: %s", path,
		    err_text(e));
	e = disk->pread(fd, p, sizeof p, 0, &got);
	disk->close(fd);
	if (e == E_OK)
		e = journal_head_get(p, got, h);
	if (e == E_UNSUPPORTED_VERSION)
		return fail(r, e, "%.200s: made by a newer version", path);
	if (e == E_CORRUPT || e == E_NOTFOUND)
		return E_OK;	/* journal_open says so */
	return e == E_OK ? e : fail(r, e, "%.200s: %s", path, err_text(e));
}

static enum err
file_replay(struct journal_replay *r, const struct lap *l)
{
	struct heap h = { .how = r };
	char path[PATH_SIZE];
	size_t n, end = 0, skipped = 0;
	uint8_t *p;
	enum err e;

	journal_path(path, r->data, l->n);
	e = disk_slurp(path, JOURNAL_BYTES_MAX, &p, &n);
	if (e == E_OK)
		e = journal_scan(p, n, &l->head, gather, &h, &end, &skipped);
	r->skipped += (int64_t)skipped;
	if (e == E_OK && skipped > 0)
		log_warn("journal has records that are not whole before "
		    "others that are", LS("file", path),
		    LI("bytes", (int64_t)skipped));
	if (e == E_OK)
		e = heap_write(r, &h);
	free(h.v);
	free(p);
	return e == E_OK ? e : fail(r, e, "%.200s: %s", path, err_text(e));
}

enum err
journal_replay(struct journal_replay *r)
{
	struct lap laps[JOURNAL_FILES];
	int n = 0;
	enum err e = E_OK;

	r->pieces = r->skipped = 0;
	r->why[0] = '\0';
	for (int i = 0; e == E_OK && i < JOURNAL_FILES; i++) {
		struct lap l = { .n = i };
		int at;

		if (!(r->files & 1u << i) ||
		    (e = head_read(r, i, &l.head)) != E_OK || l.head.lap == 0)
			continue;
		for (at = n++; at > 0 && laps[at - 1].head.lap > l.head.lap;
		    at--)
			laps[at] = laps[at - 1];
		laps[at] = l;
	}
	for (int i = 0; e == E_OK && i < n; i++)
		e = file_replay(r, &laps[i]);
	return e;
}

static void
restore_bad(void *arg, const struct log_id *id, enum err e)
{
	(void)id;
	*(enum err *)arg = e;
}

enum err
journal_restore(const char *data, const struct log_id *id)
{
	enum err bad = E_OK, e;
	struct journal_replay r = { .data = data, .only = id,
	    .files = JOURNAL_ALL, .each = true, .bad = restore_bad,
	    .arg = &bad };

	e = journal_replay(&r);
	return e == E_OK ? bad : e;
}
