/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions for compaction: the walk, and the tracker. */
#include <stdlib.h>
#include <string.h>

#include "compact_txn.h"

enum { MARK_ABORT, MARK_COMMIT, MARK_OTHER };	/* types of control records */

/* ---- sorted tables of producers ----------------------------------------- */

/* The place of the first id that is not below pid. */
static int
place(const struct txn_pids *t, int64_t pid)
{
	int lo = 0, hi = t->n;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (t->v[mid].pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct txn_pid *
find(const struct txn_pids *t, int64_t pid)
{
	int i = place(t, pid);

	return i < t->n && t->v[i].pid == pid ? &t->v[i] : NULL;
}

static enum err
put(struct txn_pids *t, int64_t pid, int64_t at)
{
	int i = place(t, pid), cap = t->cap * 2 + 8;
	struct txn_pid *v;

	if (i < t->n && t->v[i].pid == pid) {
		t->v[i].at = at;
		return E_OK;
	}
	if (t->n == COMPACT_TXNS_MAX)
		return E_TOO_LARGE;
	if (t->n == t->cap) {
		v = realloc(t->v, (size_t)cap * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		t->v = v;
		t->cap = cap;
	}
	memmove(t->v + i + 1, t->v + i, (size_t)(t->n - i) * sizeof *t->v);
	t->v[i] = (struct txn_pid){ pid, at };
	t->n++;
	return E_OK;
}

static void
drop(struct txn_pids *t, struct txn_pid *p)
{
	size_t behind = (size_t)(t->v + t->n - (p + 1));

	memmove(p, p + 1, behind * sizeof *p);
	t->n--;
}

/* ---- markers ------------------------------------------------------------ */

/* The key of a control record: version 2 bytes, type 2 bytes.  MARK_OTHER for
 * one that ends no transaction; *empty: compaction left a header alone. */
static enum err
marker_read(const uint8_t *p, size_t n, int *type, bool *empty)
{
	struct batch_iter it;
	struct record r;
	enum err e = batch_iter_open(&it, p, n, INFLATE_MAX);

	*type = MARK_OTHER;
	*empty = false;
	if (e == E_OK)
		e = batch_iter_next(&it, &r);
	if (e == E_OK && r.key_len >= 4 && be16(r.key + 2) <= MARK_COMMIT)
		*type = be16(r.key + 2);
	*empty = e == E_EOF;
	batch_iter_close(&it);
	return e == E_EOF ? E_OK : e;
}

/* ---- the walk ----------------------------------------------------------- */

struct walk {
	struct txn_log	*log;
	int		 fd;
	enum err	 err;
};

static enum err
aborted_put(struct txn_log *l, int64_t pid, int64_t first, int64_t last)
{
	int cap = l->cap * 2 + 8;
	struct txn_aborted *v;

	if (l->n == COMPACT_TXNS_MAX)
		return E_TOO_LARGE;
	if (l->n == l->cap) {
		v = realloc(l->aborted, (size_t)cap * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		l->aborted = v;
		l->cap = cap;
	}
	l->aborted[l->n++] = (struct txn_aborted){ pid, first, last };
	return E_OK;
}

static enum err
walk_marker(struct walk *w, const struct batch *b, int64_t pos)
{
	struct txn_pid *open = find(&w->log->open, b->pid);
	size_t n = (size_t)batch_size(b), got;
	uint8_t *p;
	bool empty;
	enum err e;
	int type;

	if (open == NULL)
		return E_OK;
	if ((p = malloc(n)) == NULL)
		return E_NOMEM;
	e = disk->pread(w->fd, p, n, pos, &got);
	if (e == E_OK && (got != n || !batch_crc_ok(p, n)))
		e = E_CORRUPT;
	if (e == E_OK)
		e = marker_read(p, n, &type, &empty);
	free(p);
	if (e == E_OK && type == MARK_ABORT)
		e = aborted_put(w->log, b->pid, open->at, b->base_offset);
	if (e == E_OK && type != MARK_OTHER)
		drop(&w->log->open, open);
	return e;
}

static int
walk_each(const struct batch *b, int64_t pos, void *arg)
{
	struct walk *w = arg;

	if (b->attrs & BATCH_CONTROL)
		w->err = walk_marker(w, b, pos);
	else if ((b->attrs & BATCH_TXN) && find(&w->log->open, b->pid) == NULL)
		w->err = put(&w->log->open, b->pid, b->base_offset);
	return w->err != E_OK;
}

enum err
txn_log_walk(struct txn_log *l, int fd, int64_t end)
{
	struct walk w = { l, fd, E_OK };
	int64_t at;
	enum err e = seg_walk(fd, 0, end, walk_each, &w, &at);

	return w.err != E_OK ? w.err : e;
}

static int
by_first(const void *a, const void *b)
{
	const struct txn_aborted *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

int64_t
txn_log_done(struct txn_log *l)
{
	int64_t first = INT64_MAX;

	if (l->n > 1)
		qsort(l->aborted, (size_t)l->n, sizeof *l->aborted, by_first);
	for (int i = 0; i < l->open.n; i++)
		if (l->open.v[i].at < first)
			first = l->open.v[i].at;
	return first;
}

void
txn_log_free(struct txn_log *l)
{
	free(l->aborted);
	free(l->open.v);
	*l = (struct txn_log){ 0 };
}

/* ---- the tracker -------------------------------------------------------- */

void
txn_track_start(struct txn_track *t, const struct txn_log *l)
{
	*t = (struct txn_track){ .log = l };
}

void
txn_track_free(struct txn_track *t)
{
	free(t->aborted.v);
	free(t->committed.v);
	*t = (struct txn_track){ 0 };
}

/* Transactions that began up to here and will be aborted; those that were
 * before here are over. */
static enum err
meet(struct txn_track *t, const struct batch *b)
{
	const struct txn_aborted *a = t->log->aborted;
	enum err e = E_OK;

	for (; e == E_OK && t->next < t->log->n &&
	    a[t->next].first <= batch_last_offset(b); t->next++)
		if (a[t->next].last >= b->base_offset)
			e = put(&t->aborted, a[t->next].pid, 0);
	return e;
}

enum err
txn_track_data(struct txn_track *t, const struct batch *b, bool *gone)
{
	struct txn_pid *p;
	enum err e;

	*gone = false;
	if (!(b->attrs & BATCH_TXN))
		return E_OK;
	if ((e = meet(t, b)) != E_OK)
		return e;
	p = find(&t->aborted, b->pid);
	if (p == NULL)
		return put(&t->committed, b->pid, 1);
	p->at = 1;
	*gone = true;
	return E_OK;
}

enum err
txn_track_marker(struct txn_track *t, const uint8_t *bytes, size_t n,
    bool *gone)
{
	struct txn_pid *p;
	struct batch b;
	bool empty;
	int type;
	enum err e = batch_read(bytes, &b);

	*gone = false;
	if (e == E_OK)
		e = meet(t, &b);
	if (e == E_OK)
		e = marker_read(bytes, n, &type, &empty);
	if (e != E_OK)
		return e;
	if (empty) {
		*gone = true;
		return E_OK;
	}
	if (type == MARK_OTHER)
		return E_OK;
	p = find(type == MARK_ABORT ? &t->aborted : &t->committed, b.pid);
	*gone = p == NULL || p->at == 0;
	if (p != NULL)
		drop(type == MARK_ABORT ? &t->aborted : &t->committed, p);
	return E_OK;
}
