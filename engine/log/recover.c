/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a log's directory.  Nothing here may lose what was once synced, and
 * nothing may be published that a crash can still take back.
 *
 *  1. The checkpoint of a log is the last index entry of the last segment that
 *     has one.  What lies before it was synced: that segment up to the entry,
 *     the segments before it whole.  It is never cut or moved; damage that is
 *     met there is E_CORRUPT.
 *  2. After the checkpoint the log ends before the first batch that is not
 *     whole.  What follows, later segments too, is torn: it goes to lost+found
 *     and is synced there before it goes from here.  Only zeros are not kept.
 *  3. Bytes after the checkpoint are believed only when read back from the
 *     disk: sync (which makes pages clean), drop the cache, read.  After a
 *     failed sync of an earlier process the cache shows what the disk lacks.
 *  4. The end is reported after the log (cut or not) and the directory have
 *     been synced (where many are opened together, by who asked for it), and
 *     after snapshots past the end are gone: their offsets will be given out
 *     again.
 *  5. An index entry is written after the log before it was synced; entries
 *     never lie past a cut, since no cut is below the last one.
 *  6. Every step may be the last one before a crash.  Each leaves a state from
 *     which the same decisions follow again.
 *  7. The chain: a segment ends where the next one begins.  A gap or overlap
 *     before the checkpoint is a missing or foreign file: E_CORRUPT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lib/log.h"
#include "lost.h"
#include "plant.h"
#include "reap.h"
#include "recover_work.h"
#include "swap.h"

#define SNAPSHOT_MAX	(PROD_HEADER + 4 + \
	    (size_t)PRODUCERS_MAX * (19 + PRODUCER_BATCHES * 32))

/* Names that are not ours are passed over. */
static int
note_name(const char *name, void *arg)
{
	struct work *w = arg;
	int64_t base;
	bool ok = true;

	if (reap_name(name, &base)) {
		if (base < w->r->deleted_due)
			w->r->deleted_due = base;
	} else if (seg_name(name, ".log", &base))
		ok = bases_add(&w->logs, base);
	else if (seg_name(name, ".idx", &base))
		ok = bases_add(&w->idxs, base);
	else if (seg_name(name, ".prod", &base))
		ok = bases_add(&w->prods, base);
	else if (swap_name(name))
		w->swaps = true;
	w->nomem = !ok;
	return ok ? 0 : 1;
}

static enum err
list_files(struct work *w)
{
	struct bases *all[] = { &w->logs, &w->idxs, &w->prods };
	enum err err = disk->list(w->how->dir, note_name, w);

	if (err == E_OK && w->nomem)
		err = E_NOMEM;
	if (err != E_OK)
		return recover_io(w, err, w->how->dir);
	for (int i = 0; i < 3; i++)
		bases_sort(all[i]);
	return E_OK;
}

/* Compaction was interrupted: what it left is put right before anything is
 * believed. */
static enum err
settle_swaps(struct work *w)
{
	enum err err = swap_recover(w->how->dir, w->r->why,
	    sizeof w->r->why);

	if (err != E_OK)
		return err;
	w->logs.n = w->idxs.n = w->prods.n = 0;
	w->touched = true;
	return list_files(w);
}

/* Opens segment i and its index; reads no more than the index's end. */
static enum err
open_seg(struct work *w, int i)
{
	struct found *f = &w->found[i];
	char path[PATH_SIZE];
	struct seg *s;
	enum err err;

	seg_path(path, w->how->dir, w->logs.v[i], ".log");
	err = seg_open(w->how->dir, &w->how->id, w->logs.v[i], false, &s);
	if (err != E_OK)
		return recover_io(w, err, path);
	w->r->segs[w->r->nsegs++] = s;
	if (w->how->interval > 0)
		s->idx.interval = w->how->interval;
	if (s->size > (int64_t)w->buf_size)
		w->buf_size = s->size < SCAN_BUF ? (size_t)s->size : SCAN_BUF;
	seg_path(path, w->how->dir, s->base, ".idx");
	err = idx_open(path, &w->how->id, s->base, &s->idx.nfile,
	    &s->idx.last, &s->idx.sealed);
	if (err == E_CORRUPT) {
		f->state = IDX_SUSPECT;
		w->last_suspect = i;
		return E_OK;
	}
	if (err != E_OK && err != E_NOTFOUND)
		return recover_io(w, err, path);
	f->state = err == E_OK ? IDX_GOOD : IDX_NONE;
	if (s->idx.nfile == 0)
		return E_OK;
	f->ckpt = s->idx.last.pos;
	w->last_ckpt = i;
	s->max_ts = s->idx.last.max_ts;
	s->end_offset = s->idx.last.offset;
	if (f->ckpt > s->size)
		return recover_fail(w, E_CORRUPT, s->path, s->size,
		    "the file ends here, but it was synced up to %lld",
		    (long long)f->ckpt);
	if (s->end_offset < s->base)
		return recover_fail(w, E_CORRUPT, path, -1,
		    "an entry is below the segment's base offset");
	return E_OK;
}

/* An index without a log: harmless before the first segment (retention was
 * interrupted) or when empty; otherwise a log that was synced is missing. */
static enum err
orphan_check(struct work *w)
{
	for (int i = 0; i < w->idxs.n; i++) {
		char path[PATH_SIZE];
		struct idx_entry last;
		enum err err;
		int64_t n;
		bool sealed;

		if (bases_have(&w->logs, w->idxs.v[i]) ||
		    (w->logs.n > 0 && w->idxs.v[i] < w->logs.v[0]))
			continue;
		seg_path(path, w->how->dir, w->idxs.v[i], ".idx");
		err = idx_open(path, &w->how->id, w->idxs.v[i], &n, &last,
		    &sealed);
		if (err != E_OK && err != E_NOTFOUND && err != E_CORRUPT)
			return recover_io(w, err, path);
		if (n > 0)
			return recover_fail(w, E_CORRUPT, path, -1,
			    "the log of this index is missing");
	}
	return E_OK;
}

static enum err
orphan_remove(struct work *w)
{
	enum err err;

	for (int i = 0; i < w->idxs.n; i++) {
		char path[PATH_SIZE];

		if (bases_have(&w->logs, w->idxs.v[i]))
			continue;
		w->touched = true;
		seg_path(path, w->how->dir, w->idxs.v[i], ".idx");
		if ((err = idx_cut(path, 0)) != E_OK)
			return recover_io(w, err, path);
	}
	return E_OK;
}

struct epochs {
	int32_t	max;
};

static int
note_epoch(const struct batch *b, int64_t pos, void *arg)
{
	struct epochs *e = arg;

	(void)pos;
	if (b->leader_epoch > e->max)
		e->max = b->leader_epoch;
	return 0;
}

/* The next good batch behind damage in the synced part, -1: none follows. */
static enum err
step_over(struct work *w, const struct seg *s, int fd, int64_t at,
    int64_t end, int64_t *next)
{
	struct proof x = { .fd = fd, .pos = at, .len = 1, .end = end,
	    .expect = s->base, .end_offset = s->end_offset };

	trust_prove(&x);
	if (x.err != E_OK)
		return recover_io(w, x.err, s->path);
	/* The catalogue is whole or it is nothing. */
	if (!x.damaged || w->how->serial)
		return recover_fail(w, E_CORRUPT, s->path, at,
		    "no batch here, in the synced part of the log");
	log_warn("damage in the synced part of a log", LS("file", s->path),
	    LI("position", at), LI("bytes", x.bad.next - at),
	    LS("why", x.why));
	*next = x.bad.next < end ? x.bad.next : -1;
	return E_OK;
}

/* Walks headers in the synced part.  Damage there costs the records that it
 * is in, which are not served; what follows is ours all the same. */
static enum err
walk_synced(struct work *w, struct seg *s, int64_t pos, int64_t end,
    int (*each)(const struct batch *, int64_t, void *), void *arg)
{
	int64_t at;
	enum err err;
	int fd;

	if ((err = seg_fd(s, &fd)) != E_OK)
		return recover_io(w, err, s->path);
	while (pos >= 0) {
		err = seg_walk(fd, pos, end, each, arg, &at);
		if (err != E_CORRUPT)
			return recover_io(w, err, s->path);
		if ((err = step_over(w, s, fd, at, end, &pos)) != E_OK)
			return err;
	}
	return E_OK;
}

/* The position of the greatest entry on disk that fits, 0 when none does. */
static enum err
idx_pos(struct work *w, const struct seg *s, int by, int64_t value,
    struct idx_entry *e)
{
	char path[PATH_SIZE];
	enum err err;
	int n;

	seg_path(path, w->how->dir, s->base, ".idx");
	err = idx_load(path, &w->how->id, s->base, s->idx.nfile, by, value, e,
	    1, &n);
	if (err == E_OK && n == 0)
		*e = (struct idx_entry){ s->base, 0, -1 };
	return recover_io(w, err, path);
}

/* Learns the epoch of the last batch before a checkpoint, from the entry
 * before it. */
static enum err
epoch_before(struct work *w, int i, int64_t ckpt)
{
	struct seg *s = w->r->segs[i];
	struct epochs e = { w->r->epoch };
	struct idx_entry from;
	enum err err;

	if (w->epoch_of >= i || ckpt == 0)
		return E_OK;
	if ((err = idx_pos(w, s, 1, ckpt - 1, &from)) == E_OK)
		err = walk_synced(w, s, from.pos, ckpt, note_epoch, &e);
	w->r->epoch = e.max;
	w->epoch_of = i;
	return err;
}

/* Ends the segment's file at s->synced. */
static enum err
cut(struct work *w, struct seg *s, const char *bad)
{
	char path[PATH_SIZE];
	int64_t n = s->size - s->synced;
	int fd;
	enum err err = lost_keep(w->how->lost, s, s->synced, path);

	if (err != E_OK)
		return recover_io(w, err, path);
	log_warn("log cut after its last whole batch", LS("file", s->path),
	    LI("position", s->synced), LI("offset", s->end_offset),
	    LI("bytes", n), LS("why", bad));
	w->r->cut += n;
	err = seg_fd(s, &fd);
	if (err == E_OK)
		err = disk->truncate(fd, s->synced);
	if (err == E_OK)
		err = seg_sync(s);
	s->size = s->synced;
	return recover_io(w, err, s->path);
}

/* The log ended before segment i: its file goes to lost+found. */
static enum err
move_away(struct work *w, int i)
{
	struct seg *s = w->r->segs[i];
	char path[PATH_SIZE];
	enum err err;

	w->touched = true;
	seg_path(path, w->how->dir, s->base, ".idx");
	if ((err = idx_cut(path, 0)) != E_OK)
		return recover_io(w, err, path);
	log_warn("segment after the log's end taken away",
	    LS("file", s->path), LI("bytes", s->size));
	w->r->cut += s->size;
	if (s->size == 0)
		return recover_io(w, disk->unlink(s->path), s->path);
	return recover_io(w, lost_move(w->how->lost, s, path), path);
}

/* The index again, from the checkpoint to the segment's end. */
struct reindex {
	struct work	*w;
	struct seg	*s;
	char		*path;
	int64_t		 max_ts;	/* of the batches seen so far */
	enum err	 err;
};

static enum err
idx_flush(struct reindex *x, bool sealed)
{
	struct idx *i = &x->s->idx;
	enum err err = E_OK;

	if (i->npending > 0)
		err = idx_append(x->path, &x->s->id, x->s->base, i->pending,
		    i->npending, i->nfile, sealed);
	else if (i->nfile > 0 && i->sealed != sealed)
		err = idx_append(x->path, &x->s->id, x->s->base, &i->last, 1,
		    i->nfile - 1, sealed);
	if (err == E_OK) {
		idx_flushed(i, i->npending);
		i->sealed = sealed && i->nfile > 0;
	}
	return err;
}

static int
note_index(const struct batch *b, int64_t pos, void *arg)
{
	struct reindex *x = arg;
	struct idx *i = &x->s->idx;

	x->err = idx_note(i, b->base_offset, pos, x->max_ts);
	if (batch_records_ts(b) > x->max_ts)
		x->max_ts = batch_records_ts(b);
	if (x->err == E_OK && i->npending == IDX_PENDING_MAX)
		x->err = idx_flush(x, false);
	return x->err == E_OK ? 0 : 1;
}

static enum err
reindex(struct work *w, int i, bool sealed)
{
	struct seg *s = w->r->segs[i];
	char path[PATH_SIZE];
	struct reindex x = { w, s, path, s->idx.last.max_ts, E_OK };
	enum err err;

	seg_path(path, w->how->dir, s->base, ".idx");
	if (s->size == w->found[i].ckpt && s->idx.sealed == sealed &&
	    w->found[i].state != IDX_SUSPECT)
		return E_OK;
	w->touched = true;
	/* What follows the last good entry is junk. */
	if (w->found[i].state != IDX_NONE || s->size > 0)
		if ((err = idx_cut(path, s->idx.nfile)) != E_OK)
			return recover_io(w, err, path);
	err = walk_synced(w, s, w->found[i].ckpt, s->size, note_index, &x);
	if (err == E_OK)
		err = x.err;
	if (err == E_OK && s->size > 0)
		err = idx_checkpoint(&s->idx, s->end_offset, s->size,
		    s->max_ts);
	if (err == E_OK && (sealed || !w->how->later || s->idx.npending == 0))
		err = idx_flush(&x, sealed);
	return recover_io(w, err, path);
}

struct belongs {
	const struct seg *s;
	int	 n, foreign;
};

static int
note_belongs(const struct batch *b, int64_t pos, void *arg)
{
	struct belongs *x = arg;

	(void)pos;
	x->n++;
	x->foreign += b->base_offset < x->s->base ||
	    b->base_offset >= x->s->end_offset;
	return x->n == 2;
}

/* An unclean start reads the first headers of a segment that it will not scan
 * from there: the files may have been swapped.  One that does not belong may
 * be damage. */
static enum err
first_batch(struct work *w, struct seg *s, int64_t ckpt)
{
	struct belongs x = { s, 0, 0 };
	enum err err = walk_synced(w, s, 0, ckpt, note_belongs, &x);

	if (err == E_OK && x.foreign > 0 && x.foreign == x.n)
		return recover_fail(w, E_CORRUPT, s->path, 0,
		    "the synced part does not begin with the batches that "
		    "belong there");
	return err;
}

/* Reads segment i from its checkpoint to the end of what is whole. */
static enum err
read_tail(struct work *w, int i, int64_t next)
{
	struct found *f = &w->found[i];
	struct seg *s = w->r->segs[i];
	enum err err;
	int fd;

	/* That the last stretch before the checkpoint is sane. */
	if ((err = epoch_before(w, i, f->ckpt)) != E_OK)
		return err;
	err = seg_fd(s, &fd);
	if (err == E_OK && !w->how->together)
		err = seg_sync(s);
	if (err == E_OK)
		err = PLANT(keep_cache) ? E_OK : disk->drop_cache(fd);
	if (err != E_OK)
		return recover_io(w, err, s->path);
	if ((err = recover_scan(w, s, f, next)) != E_OK)
		return err;
	if (s->synced > 0)
		w->epoch_of = i;
	if (f->bad == NULL)
		return E_OK;
	/* Enough was read to reach the next segment: junk follows.  If not,
	 * something is lost, and that must not have been synced. */
	if (s->end_offset != next && (i < w->last_ckpt || i <= w->last_suspect))
		return recover_fail(w, E_CORRUPT, s->path, s->synced, "%s%s",
		    f->bad, i < w->last_ckpt ?
		    ", in the synced part of the log" :
		    ", and an index is not of its segment");
	return w->how->serial ? recover_nothing_behind(w, s) : E_OK;
}

/* Finds the end of segment i, and whether the log ends with it. */
static enum err
judge(struct work *w, int i, bool *ends)
{
	struct seg *s = w->r->segs[i];
	bool last = i == w->r->nsegs - 1;
	int64_t next = last ? INT64_MAX : w->logs.v[i + 1];
	enum err err;

	s->synced = s->size;
	if (!w->how->clean && w->found[i].ckpt > 0 &&
	    (err = first_batch(w, s, w->found[i].ckpt)) != E_OK)
		return err;
	if (s->size > w->found[i].ckpt &&
	    (err = read_tail(w, i, next)) != E_OK)
		return err;
	*ends = last || s->end_offset != next;
	if (!last && *ends && i < w->last_ckpt)
		return recover_fail(w, E_CORRUPT, s->path, s->synced,
		    "the segment ends before offset %lld, the next one begins "
		    "at %lld", (long long)s->end_offset, (long long)next);
	if (!last && *ends && (s->end_offset > next || i <= w->last_suspect))
		return recover_fail(w, E_CORRUPT, s->path, s->synced,
		    "the segment does not end at offset %lld, where the next "
		    "one begins", (long long)next);
	return E_OK;
}

/* Judges all segments, and only then changes something: what is refused stays
 * as it was, with all that speaks against it. */
static enum err
judge_all(struct work *w, int *n)
{
	enum err err;
	bool ends = false;
	int last;

	for (*n = 0; *n < w->r->nsegs && !ends; ++*n)
		if ((err = judge(w, *n, &ends)) != E_OK)
			return err;
	/* An empty segment has no epoch: then the one before it tells. */
	for (last = *n - 1; last > 0 && w->r->segs[last]->synced == 0; last--)
		continue;
	return last < 0 ? E_OK : epoch_before(w, last, w->found[last].ckpt);
}

/* The time from which the last segment's age counts. */
static enum err
first_time(struct work *w)
{
	struct seg *s = w->r->segs[w->r->nsegs - 1];
	uint8_t p[BATCH_HEADER];
	struct batch b;
	enum err err;
	size_t got = 0;
	int fd;

	if (s->size < BATCH_HEADER)
		return E_OK;
	err = seg_fd(s, &fd);
	if (err == E_OK)
		err = disk->pread(fd, p, sizeof p, 0, &got);
	if (err == E_OK && got == sizeof p && batch_read(p, &b) == E_OK)
		s->first_ts = b.max_ts;
	return recover_io(w, err, s->path);
}

/* The log is its first n segments: makes it so on the disk. */
static enum err
settle(struct work *w, int n)
{
	struct recovered *r = w->r;
	enum err err;

	for (int i = 0; i < n; i++) {
		struct seg *s = r->segs[i];

		if (w->found[i].bad != NULL &&
		    (err = cut(w, s, w->found[i].bad)) != E_OK)
			return err;
		s->synced_offset = s->end_offset;
		if ((err = reindex(w, i, i < n - 1)) != E_OK)
			return err;
	}
	for (int i = r->nsegs - 1; i >= n; i--)
		if ((err = move_away(w, i)) != E_OK)
			return err;
	while (r->nsegs > n)
		seg_unref(r->segs[--r->nsegs]);
	if (n == 0)
		return orphan_remove(w);
	r->start = r->segs[0]->base;
	r->end = r->segs[n - 1]->end_offset;
	/* Nothing lies behind the checkpoint: perhaps because somebody cut it
	 * off, and that must not come undone either. */
	if (!w->how->clean && !w->how->together &&
	    r->segs[n - 1]->size == w->found[n - 1].ckpt &&
	    (err = seg_sync(r->segs[n - 1])) != E_OK)
		return recover_io(w, err, r->segs[n - 1]->path);
	return orphan_remove(w);
}

struct replay {
	struct prod_table	*prods;
	int64_t			 from, first, end;	/* offsets */
	int64_t			 now_ms;
	enum err		 err;
};

static int
note_producer(const struct batch *b, int64_t pos, void *arg)
{
	struct replay *x = arg;

	(void)pos;
	/* No CRC covers the base offset: a batch that cannot be here is
	 * damaged. */
	if (b->base_offset < x->first || b->last_delta < 0 ||
	    b->base_offset > x->end - 1 - b->last_delta)
		return 0;
	if (b->base_offset >= x->from && b->pid >= 0)
		x->err = prod_note(x->prods, b, x->now_ms);
	return x->err == E_OK ? 0 : 1;
}

/* Takes in the batches from an offset to the end: but not those of which the
 * scan has said that they are nobody's. */
static enum err
replay(struct work *w, int64_t from)
{
	struct recovered *r = w->r;
	int64_t now_ms = mono_ms();
	enum err err;

	for (int i = 0; i < r->nsegs; i++) {
		struct seg *s = r->segs[i];
		struct replay x = { r->prods, from, s->base, s->end_offset,
		    now_ms, E_OK };
		struct idx_entry e = { s->base, 0, -1 };
		int64_t end = w->found[i].pids ? s->size : w->found[i].ckpt;

		if (s->end_offset <= from)
			continue;
		if (s->base < from &&
		    (err = idx_pos(w, s, 0, from, &e)) != E_OK)
			return err;
		x.first = e.offset;
		err = e.pos >= end ? E_OK :
		    walk_synced(w, s, e.pos, end, note_producer, &x);
		if (err == E_OK)
			err = recover_io(w, x.err, s->path);
		if (err != E_OK)
			return err;
	}
	return E_OK;
}

/* E_CORRUPT when there is no such good snapshot. */
static enum err
load_snapshot(struct work *w, const char *path, int64_t offset)
{
	uint8_t *p;
	size_t n;
	enum err err = disk_slurp(path, SNAPSHOT_MAX, &p, &n);

	if (err == E_TOO_LARGE)
		return E_CORRUPT;
	if (err != E_OK)
		return recover_io(w, err, path);
	err = prod_decode(w->r->prods, &w->how->id, offset, p, n);
	free(p);
	return err == E_CORRUPT ? err : recover_io(w, err, path);
}

static enum err
producers(struct work *w)
{
	int64_t from = 0;
	enum err err;

	if (PLANT(drop_dedupe))
		return E_OK;
	for (int i = w->prods.n; i-- > 0;) {
		char path[PATH_SIZE];

		seg_path(path, w->how->dir, w->prods.v[i], ".prod");
		if (w->prods.v[i] > w->r->end) {
			w->touched = true;
			err = disk->unlink(path);
			if (err != E_OK && err != E_NOTFOUND)
				return recover_io(w, err, path);
			continue;
		}
		err = load_snapshot(w, path, w->prods.v[i]);
		if (err == E_OK) {
			from = w->r->snapped = w->prods.v[i];
			break;
		}
		if (err != E_CORRUPT)
			return err;
		log_warn("damaged producer snapshot passed over",
		    LS("file", path));
	}
	return replay(w, from);
}

static enum err
run(struct work *w)
{
	struct recovered *r = w->r;
	size_t all;
	enum err err;
	int n;

	if ((err = list_files(w)) != E_OK ||
	    (w->swaps && (err = settle_swaps(w)) != E_OK))
		return err;
	all = (size_t)w->logs.n + 1;
	r->segs = calloc(all, sizeof *r->segs);
	w->found = calloc(all, sizeof *w->found);
	r->prods = prod_new();
	if (r->segs == NULL || w->found == NULL || r->prods == NULL)
		return recover_io(w, E_NOMEM, w->how->dir);
	for (int i = 0; i < w->logs.n; i++)
		if ((err = open_seg(w, i)) != E_OK)
			return err;
	if ((err = orphan_check(w)) != E_OK ||
	    (err = judge_all(w, &n)) != E_OK ||
	    (err = settle(w, n)) != E_OK || (err = producers(w)) != E_OK)
		return err;
	if (r->nsegs > 0 && r->end < w->how->end_min)
		return recover_fail(w, E_CORRUPT, w->how->dir, -1, "ends at "
		    "offset %lld, but %lld was durable", (long long)r->end,
		    (long long)w->how->end_min);
	if (r->nsegs > 0 && (err = first_time(w)) != E_OK)
		return err;
	return (w->how->clean && !w->touched) ||
	    (w->how->together && r->cut == 0) ? E_OK :
	    recover_io(w, disk->sync_dir(w->how->dir), w->how->dir);
}

enum err
recover_log(const struct recover_how *how, struct recovered *r)
{
	struct work w = { how, r, .last_ckpt = -1, .last_suspect = -1,
	    .epoch_of = -1, .tail_epoch = -1 };
	enum err err;

	*r = (struct recovered){ .epoch = -1, .epoch_start = -1,
	    .snapped = -1, .deleted_due = INT64_MAX };
	err = run(&w);
	free(w.logs.v);
	free(w.idxs.v);
	free(w.prods.v);
	free(w.found);
	free(w.buf);
	if (err == E_OK)
		r->why[0] = '\0';
	return err;
}

void
recover_free(struct recovered *r)
{
	while (r->nsegs > 0)
		seg_unref(r->segs[--r->nsegs]);
	free(r->segs);
	r->segs = NULL;
	prod_free(r->prods);
	r->prods = NULL;
	told_unref(r->told);
	r->told = NULL;
}
