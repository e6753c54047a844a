/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One log's directory: each segment's batches, whether the segments make a
 * chain, and whether indexes and snapshots of producers say what the log says.
 * Where index and log disagree and both are whole by their checksums, neither
 * is believed: base offsets are under no checksum of a batch.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"
#include "log/reap.h"
#include "log/scan.h"
#include "log/swap.h"

#define SNAPSHOT_MAX	(PROD_HEADER + 4 + \
	    (size_t)PRODUCERS_MAX * (19 + PRODUCER_BATCHES * 32))

struct look {
	struct fsck	 *c;
	struct fsck_log *l;
	struct bases	  logs, idxs, prods;
	bool		  nomem;
	int32_t		  epoch;	/* of the batch before, -1 */
	bool		  swapping;	/* segments are being replaced */
};

/* One segment while it is walked. */
struct walk {
	int64_t		  base, next;	/* the next one's base, or INT64_MAX */
	bool		  last;
	struct scan	  s;
	char		  log[PATH_SIZE], idx[PATH_SIZE];
	struct idx_entry *e;		/* good entries of the index */
	int64_t		  ne, at;	/* how many, the next to be met */
	bool		  sealed;
	int64_t		  ckpt;		/* position of the last one, 0 */
	int64_t		  expect;	/* offset after the batches so far */
	int64_t		  max_ts;
	int64_t		  gap;		/* an offset that is missing, -1 none;
					 * no index entry has confirmed it */
	bool		  damaged, lies;
	bool		  suspect;	/* the index is no word on what was
					 * synced */
};

/* ---- what is there ------------------------------------------------------ */

/* What a crash leaves and the next start puts right is wrong only where there
 * was none; a repair does the same now. */
static enum found_state
left_over(const struct fsck *c)
{
	return c->clean || c->repair ? FOUND_FIXABLE : FOUND_NOTE;
}

static int
note_name(const char *name, void *arg)
{
	struct look *k = arg;
	char path[PATH_SIZE];
	bool ok = true;
	int64_t n;

	k->c->files++;
	if (seg_name(name, ".log", &n))
		ok = bases_add(&k->logs, n);
	else if (seg_name(name, ".idx", &n))
		ok = bases_add(&k->idxs, n);
	else if (seg_name(name, ".prod", &n))
		ok = bases_add(&k->prods, n);
	else if (swap_name(name)) {
		snprintf(path, sizeof path, "%.2000s/%.2000s", k->l->dir,
		    name);
		k->swapping |= swap_counts(name);
		fsck_found(k->c, k->l, swap_counts(name) ? left_over(k->c) :
		    FOUND_NOTE, "compaction", path, -1, -1, "compaction was "
		    "interrupted; the next start %s", swap_counts(name) ?
		    "finishes it, and the log can be looked at after that" :
		    "forgets it");
	} else if (!reap_name(name, &n)) {
		snprintf(path, sizeof path, "%.2000s/%.2000s", k->l->dir,
		    name);
		fsck_found(k->c, k->l, FOUND_NOTE, "foreign", path, -1, -1,
		    "no file of a log has such a name; it is left alone");
	}
	k->nomem = !ok;
	return ok ? 0 : 1;
}

/* ---- the index ---------------------------------------------------------- */

static enum err
idx_again(struct look *k, int64_t base)
{
	return bases_add(&k->l->idx, base) ? E_OK : E_NOMEM;
}

static enum err
idx_read(struct look *k, struct walk *w)
{
	int64_t bad;
	enum err err = idx_slurp(w->idx, &k->l->id, w->base, &w->e, &w->ne,
	    &w->sealed, &bad);

	if (err == E_OK && w->ne > 0)
		w->ckpt = w->e[w->ne - 1].pos;
	if (err == E_NOTFOUND || err == E_OK) {
		if (err == E_NOTFOUND && w->s.size == 0)
			return E_OK;
		if (err == E_OK && bad < 0 && w->ckpt >= w->s.size)
			return E_OK;
		if (err == E_OK && bad >= 0) {
			fsck_found(k->c, k->l, w->last ? left_over(k->c) :
			    FOUND_FIXABLE, "index", w->idx, bad, -1,
			    "a damaged entry");
			return idx_again(k, w->base);
		}
		/* What a crash leaves: the next start reads the rest. */
		fsck_found(k->c, k->l, k->c->clean ? FOUND_FIXABLE :
		    FOUND_NOTE, "index", w->idx, -1, -1,
		    "%s; the log goes on to %lld", err == E_OK ?
		    "it ends early" : "missing", (long long)w->s.size);
		return k->c->clean ? idx_again(k, w->base) : E_OK;
	}
	if (err != E_CORRUPT && err != E_TOO_LARGE)
		return fsck_fail(k->c, err, w->idx);
	w->suspect = true;
	fsck_found(k->c, k->l, w->last ? left_over(k->c) : FOUND_FIXABLE,
	    "index", w->idx, 0, -1,
	    "it is not the index of this segment, or its header is damaged");
	return idx_again(k, w->base);
}

static void
idx_lies(struct look *k, struct walk *w, const struct idx_entry *e,
    const char *why)
{
	if (!w->lies)
		fsck_found(k->c, k->l, FOUND_BAD, "index", w->idx, -1, -1,
		    "the entry of offset %lld at position %lld: %s, and both "
		    "checksums are right", (long long)e->offset,
		    (long long)e->pos, why);
	w->lies = true;
}

/* The entries up to pos, where a batch with that offset begins, or the segment
 * ends: then offset is -1, and top where the next one may begin. */
static void
idx_meet(struct look *k, struct walk *w, int64_t pos, int64_t offset,
    int64_t top)
{
	for (; w->at < w->ne && w->e[w->at].pos <= pos; w->at++) {
		const struct idx_entry *e = &w->e[w->at];

		if (w->damaged)
			continue;	/* the log is not to be believed */
		if (e->pos < pos)
			idx_lies(k, w, e, "no batch begins there");
		else if (offset >= 0 ? e->offset != offset :
		    e->offset < w->expect || e->offset > top)
			idx_lies(k, w, e, "the log says another offset");
		else if (e->max_ts > w->max_ts)
			/* It may be less: that of the records, which a
			 * header does not tell of after compaction. */
			idx_lies(k, w, e, "no batch before it has such a "
			    "timestamp");
		else
			w->gap = -1;
	}
}

/* ---- batches ------------------------------------------------------------ */

/* Bytes that are no batch, from pos on; *next: where to go on. */
static enum err
damaged(struct look *k, struct walk *w, int64_t pos, const char *bad,
    int64_t *next)
{
	bool tail;
	enum err err = scan_find(&w->s, pos + 1, w->expect, w->next, next);

	if (err != E_OK)
		return fsck_fail(k->c, err, w->log);
	tail = w->last && *next == w->s.size && pos >= w->ckpt &&
	    !w->suspect;
	if (tail)
		k->l->last_end = pos;
	fsck_found(k->c, k->l, tail ? left_over(k->c) : FOUND_BAD, tail ?
	    "tail" : "batch", w->log, pos, *next - pos, "%s; %s", bad, tail ?
	    "it was never synced, and the next start ends the log before it" :
	    pos < w->ckpt ? "it had been synced" : w->suspect ?
	    "it may have been synced" : *next < w->s.size ?
	    "whole batches follow, and the next start cuts all of it off" :
	    "segments follow");
	w->damaged |= !tail;
	return E_OK;
}

/* What a whole batch may not be after those before it. */
static const char *
misplaced(const struct look *k, const struct walk *w, const struct batch *b)
{
	if (b->base_offset < w->expect)
		return "its offsets were there already";
	if (batch_last_offset(b) >= w->next)
		return "its offsets are those of the next segment";
	if (b->leader_epoch < k->epoch)
		return "its leader epoch is below that of the batch before";
	if (k->l->epoch_max >= 0 && b->leader_epoch > k->l->epoch_max)
		return "its leader epoch was never given out";
	return NULL;
}

static enum err
batch(struct look *k, struct walk *w, int64_t pos, int64_t *next)
{
	const char *bad;
	const uint8_t *p = NULL;
	struct batch b;
	bool is, nomem;
	enum err err = scan_batch(&w->s, pos, &b, &is, &p, &bad);

	if (err != E_OK)
		return fsck_fail(k->c, err, w->log);
	if (bad != NULL)
		return damaged(k, w, pos, bad, next);
	*next = pos + batch_size(&b);
	k->c->batches++;
	bad = misplaced(k, w, &b);
	if (bad == NULL)
		bad = scan_judge(&b, p, k->c->deep, &nomem);
	if (bad == NULL && nomem)
		return fsck_fail(k->c, E_NOMEM, w->log);
	if (bad != NULL) {
		fsck_found(k->c, k->l, FOUND_BAD, "batch", w->log, pos,
		    batch_size(&b), "offsets %lld to %lld: %s",
		    (long long)b.base_offset,
		    (long long)batch_last_offset(&b), bad);
		w->damaged = true;
		return E_OK;
	}
	if (b.base_offset > w->expect && !w->damaged)
		w->gap = w->expect;
	idx_meet(k, w, pos, b.base_offset, 0);
	w->expect = batch_last_offset(&b) + 1;
	k->epoch = b.leader_epoch;
	if (batch_records_ts(&b) > w->max_ts)
		w->max_ts = batch_records_ts(&b);
	return E_OK;
}

/* ---- segments ----------------------------------------------------------- */

/* The log of segment w was read: does it end where it should? */
static void
seg_end(struct look *k, struct walk *w)
{
	int64_t end = w->expect;
	bool told = w->ne > 0 && w->ckpt == w->s.size;

	idx_meet(k, w, k->l->last_end, -1, w->last ? w->expect : w->next);
	if (w->ckpt > w->s.size && !w->damaged)
		fsck_found(k->c, k->l, FOUND_BAD, "log", w->log, w->s.size,
		    -1, "the file ends here, but it had been synced up to "
		    "%lld", (long long)w->ckpt);
	if (told && !w->last && w->sealed && !w->lies)
		end = w->e[w->ne - 1].offset;
	if (w->gap >= 0 && !w->damaged && !k->l->gaps)
		fsck_found(k->c, k->l, FOUND_BAD, "gap", w->log, -1, -1,
		    "offset %lld and more are missing, and no index entry "
		    "says that they should", (long long)w->gap);
	if (!w->last && end != w->next && !w->damaged)
		fsck_found(k->c, k->l, FOUND_BAD, "chain", w->log, w->s.size,
		    -1, "it ends before offset %lld, the next segment begins "
		    "at %lld: records are missing, or a file is not of this "
		    "log", (long long)end, (long long)w->next);
	k->l->end = end;
}

static enum err
segment(struct look *k, int i)
{
	struct walk *w = calloc(1, sizeof *w);
	int64_t pos = 0, next;
	enum err err;

	if (w == NULL)
		return fsck_fail(k->c, E_NOMEM, k->l->dir);
	w->base = w->expect = k->logs.v[i];
	w->last = i == k->logs.n - 1;
	w->next = w->last ? INT64_MAX : k->logs.v[i + 1];
	w->max_ts = w->gap = -1;
	seg_path(w->log, k->l->dir, w->base, ".log");
	seg_path(w->idx, k->l->dir, w->base, ".idx");
	err = scan_open(&w->s, w->log);
	if (err != E_OK) {
		free(w);
		return fsck_fail(k->c, err, k->l->dir);
	}
	k->c->bytes += w->s.size;
	k->l->last_base = w->base;
	k->l->last_end = w->s.size;
	err = idx_read(k, w);
	for (; err == E_OK && pos < w->s.size; pos = next)
		err = batch(k, w, pos, &next);
	if (err == E_OK)
		seg_end(k, w);
	scan_close(&w->s);
	free(w->e);
	free(w);
	return err;
}

/* ---- the rest of the directory ------------------------------------------ */

/* An index without its log: harmless when it never said anything, or before
 * the first segment of a log whose retention was interrupted. */
static enum err
orphans(struct look *k)
{
	char path[PATH_SIZE];
	struct idx_entry last;
	int64_t n;
	bool sealed;
	enum err err;

	for (int i = 0; i < k->idxs.n; i++) {
		if (bases_have(&k->logs, k->idxs.v[i]))
			continue;
		seg_path(path, k->l->dir, k->idxs.v[i], ".idx");
		err = idx_open(path, &k->l->id, k->idxs.v[i], &n, &last,
		    &sealed);
		if (err != E_OK && err != E_NOTFOUND && err != E_CORRUPT)
			return fsck_fail(k->c, err, path);
		if (n > 0 && (k->c->clean || k->logs.n == 0 ||
		    k->idxs.v[i] > k->logs.v[0]))
			fsck_found(k->c, k->l, FOUND_BAD, "log", path, -1,
			    -1, "the log of this index is missing");
		else
			fsck_found(k->c, k->l, FOUND_NOTE, "index", path, -1,
			    -1, "left over; the next start removes it");
	}
	return E_OK;
}

static enum err
snapshots(struct look *k)
{
	for (int i = 0; i < k->prods.n; i++) {
		struct prod_table *t = prod_new();
		char path[PATH_SIZE];
		uint8_t *p = NULL;
		size_t n = 0;
		enum err err;

		if (t == NULL)
			return fsck_fail(k->c, E_NOMEM, k->l->dir);
		seg_path(path, k->l->dir, k->prods.v[i], ".prod");
		err = disk_slurp(path, SNAPSHOT_MAX, &p, &n);
		if (err == E_OK)
			err = prod_decode(t, &k->l->id, k->prods.v[i], p, n);
		free(p);
		prod_free(t);
		if (err == E_CORRUPT || err == E_TOO_LARGE) {
			fsck_found(k->c, k->l, FOUND_FIXABLE, "producers",
			    path, -1, -1, "the snapshot is damaged, or not of "
			    "this log and offset");
			if (!bases_add(&k->l->prod, k->prods.v[i]))
				return fsck_fail(k->c, E_NOMEM, path);
		} else if (err != E_OK)
			return fsck_fail(k->c, err, path);
		else if (k->prods.v[i] > k->l->end)
			fsck_found(k->c, k->l, left_over(k->c), "producers",
			    path, -1, -1, "a snapshot of offset %lld, but the "
			    "log ends at %lld", (long long)k->prods.v[i],
			    (long long)k->l->end);
	}
	return E_OK;
}

static enum err
look(struct look *k)
{
	enum err err = disk->list(k->l->dir, note_name, k);

	if (err == E_OK && k->nomem)
		err = E_NOMEM;
	if (err != E_OK)
		return fsck_fail(k->c, err, k->l->dir);
	bases_sort(&k->logs);
	bases_sort(&k->idxs);
	bases_sort(&k->prods);
	k->l->nlogs = k->logs.n;
	if (k->swapping)	/* what is there is not the log */
		return E_OK;
	/* Of a catalogue only the newest segment counts. */
	for (int i = k->l->serial && k->logs.n > 0 ? k->logs.n - 1 : 0;
	    err == E_OK && i < k->logs.n; i++)
		err = segment(k, i);
	if (err == E_OK)
		err = orphans(k);
	if (err == E_OK)
		err = snapshots(k);
	if (err == E_OK && k->logs.n == 0)
		fsck_found(k->c, k->l, FOUND_BAD, "log", k->l->dir, -1, -1,
		    "there is no segment");
	else if (err == E_OK && k->l->start > k->l->end)
		fsck_found(k->c, k->l, FOUND_BAD, "log", k->l->dir, -1, -1,
		    "records below offset %lld were deleted, but the log ends "
		    "at %lld", (long long)k->l->start, (long long)k->l->end);
	return err;
}

enum err
fsck_log_look(struct fsck *c, struct fsck_log *l)
{
	struct look k = { .c = c, .l = l, .epoch = -1 };
	enum err err;

	fsck_log_free(l);
	l->nlogs = 0;
	l->end = l->fixable = l->bad = 0;
	err = look(&k);
	l->epoch = k.epoch;
	free(k.logs.v);
	free(k.idxs.v);
	free(k.prods.v);
	return err;
}

void
fsck_log_free(struct fsck_log *l)
{
	free(l->idx.v);
	free(l->prod.v);
	l->idx = l->prod = (struct bases){ 0 };
}
