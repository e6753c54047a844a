/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition's log from Kafka's directory to ours.  Every batch is looked
 * at on its way; what is written is what was looked at.  A segment that is
 * finished may be linked instead: nobody ever writes to it again.  Indexes and
 * the state of producers come from the log.
 *
 * A transaction that is open at the end would hold back readers for good, since
 * its coordinator stays behind: it is ended here with a marker, as the
 * coordinator would have ended it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "disk.h"
#include "import.h"
#include "lib/crc32c.h"
#include "log/prod.h"
#include "log/reindex.h"
#include "log/scan.h"
#include "log/seg.h"

#define OUT_BUF		(1 * MIB)
#define SNAPSHOT_MAX	((size_t)64 * MIB)

enum {
	SNAPSHOT_VERSION = 1,	/* Kafka's, of its producer state */
	SNAPSHOT_HEAD	= 10,
	SNAPSHOT_ROW	= 46,
};

struct open_txn {
	struct open_txn	*next;
	int64_t		 pid;
	int16_t		 epoch;
};

struct copying {
	struct import_part *x;
	struct kafka_seg *segs;		/* those that come along */
	int		  nsegs;
	struct prod_table *prods;
	struct open_txn	 *open;
	int64_t		  limit;	/* offset: nothing from here counts */
	bool		  done;		/* it was reached */
	/* The segment under way. */
	struct reindex	  idx;
	char		  src[PATH_SIZE], dst[PATH_SIZE];
	int		  fd;		/* of dst; -1: it is not written */
	uint8_t		 *buf;
	size_t		  n;
	int64_t		  pos;		/* of buf, in the file */
};

static enum err
fail(struct copying *c, enum err err, const char *path, int64_t pos,
    const char *words)
{
	char where[512];

	if (pos < 0)
		return kafka_fail(c->x->k, err, path, words);
	snprintf(where, sizeof where, "position %lld: %s", (long long)pos,
	    words != NULL ? words : err_text(err));
	return kafka_fail(c->x->k, err, path, where);
}

/* ---- writing ------------------------------------------------------------ */

static enum err
out_flush(struct copying *c)
{
	struct iovec iov = { c->buf, c->n };
	enum err err;

	if (c->n == 0)
		return E_OK;
	err = disk->pwritev(c->fd, &iov, 1, c->pos);
	c->pos += (int64_t)c->n;
	c->n = 0;
	return err == E_OK ? err : fail(c, err, c->dst, -1, NULL);
}

static enum err
out_put(struct copying *c, const uint8_t *p, size_t n)
{
	enum err err = E_OK;

	while (err == E_OK && n > 0 && c->fd >= 0) {
		size_t room = OUT_BUF - c->n, take = n < room ? n : room;

		memcpy(c->buf + c->n, p, take);
		c->n += take;
		p += take;
		n -= take;
		if (c->n == OUT_BUF)
			err = out_flush(c);
	}
	return err;
}

/* Makes the segment's file, or links it. */
static enum err
out_open(struct copying *c, int64_t base, bool link)
{
	enum err err;

	c->fd = -1;
	c->n = 0;
	c->pos = 0;
	if (c->x->dir == NULL)
		return E_OK;
	seg_path(c->dst, c->x->dir, base, ".log");
	if (link) {
		err = disk->link(c->src, c->dst);
		return err == E_OK ? err : fail(c, err, c->dst, -1,
		    err == E_USAGE ? "it cannot be linked from another file "
		    "system; leave out --link" : NULL);
	}
	err = disk->open(c->dst, DISK_CREATE_NEW, &c->fd);
	return err == E_OK ? err : fail(c, err, c->dst, -1, NULL);
}

static enum err
out_close(struct copying *c)
{
	enum err err = E_OK;

	if (c->x->dir == NULL)
		return E_OK;
	if (c->fd >= 0)
		err = out_flush(c);
	else if ((err = disk->open(c->dst, DISK_READ, &c->fd)) != E_OK)
		err = fail(c, err, c->dst, -1, NULL);
	if (err == E_OK && (err = disk->sync(c->fd)) != E_OK)
		err = fail(c, err, c->dst, -1, NULL);
	if (c->fd >= 0)
		disk->close(c->fd);
	c->fd = -1;
	return err;
}

/* ---- what a batch says -------------------------------------------------- */

static enum err
txn_note(struct copying *c, const struct batch *b)
{
	struct open_txn **at = &c->open, *t;

	while (*at != NULL && (*at)->pid != b->pid)
		at = &(*at)->next;
	if (b->attrs & BATCH_CONTROL) {
		if ((t = *at) != NULL) {
			*at = t->next;
			free(t);
		}
		return E_OK;
	}
	if (*at == NULL) {
		if ((t = calloc(1, sizeof *t)) == NULL)
			return E_NOMEM;
		t->pid = b->pid;
		*at = t;
	}
	(*at)->epoch = b->epoch;
	return E_OK;
}

static enum err
note(struct copying *c, const struct batch *b, int64_t pos)
{
	struct import_part *x = c->x;
	enum err err = E_OK;

	if (b->leader_epoch > x->epoch)
		x->epoch = b->leader_epoch;
	if (b->pid > x->max_pid)
		x->max_pid = b->pid;
	if (x->dir != NULL)
		err = reindex_note(&c->idx, b, pos);
	if (err == E_OK && b->pid >= 0)
		err = prod_note(c->prods, b, mono_ms());
	if (err == E_OK && (b->attrs & BATCH_TXN))
		err = txn_note(c, b);
	x->end = batch_last_offset(b) + 1;
	return err == E_OK ? err : fail(c, err, c->src, -1, NULL);
}

/* Why a whole batch cannot follow the ones before it. */
static const char *
judge(const struct copying *c, const struct batch *b, const uint8_t *p,
    int64_t next)
{
	bool nomem;

	if (b->base_offset < c->x->end)
		return "its offsets were there already";
	if (batch_last_offset(b) >= next)
		return "its offsets are those of the next segment";
	if (b->leader_epoch < c->x->epoch)
		return "its leader epoch is below that of the batch before";
	return scan_judge(b, p, false, &nomem);
}

/* ---- segments ----------------------------------------------------------- */

/* What is left of a file that is no batch: is it to be expected? */
static enum err
tail(struct copying *c, struct scan *s, int64_t pos, bool last,
    const char *bad)
{
	const struct kafka_part *from = c->x->from;
	const uint8_t *p;
	bool zero = true;
	int64_t at;
	enum err err;

	for (at = pos; zero && at < s->size; at++) {
		if ((err = scan_view(s, at, 1, &p)) != E_OK)
			return fail(c, err, c->src, -1, NULL);
		zero = *p == 0;
	}
	if (zero && last)
		return E_OK;	/* it was preallocated */
	if (s->size - pos > 16 &&
	    (err = scan_view(s, pos, 17, &p)) == E_OK && p[16] < 2)
		return fail(c, E_UNSUPPORTED_FORMAT, c->src, pos, "messages of "
		    "format 0 or 1, which Kafka 4 does not read either; have "
		    "them copied to a new topic by a Kafka 3, or leave this "
		    "topic out");
	if (!from->clean && last && (from->recovery < 0 ||
	    c->x->end >= from->recovery)) {
		kafka_note(c->x->k, "%.1000s: %lld bytes behind the last "
		    "whole batch were never synced and are left out", c->src,
		    (long long)(s->size - pos));
		return E_OK;
	}
	return fail(c, E_CORRUPT, c->src, pos, bad);
}

static enum err
walk(struct copying *c, struct scan *s, int64_t next, bool last,
    int64_t *valid)
{
	const uint8_t *p;
	const char *bad;
	struct batch b;
	int64_t pos = 0;
	bool is;
	enum err err = E_OK;

	for (; err == E_OK && pos < s->size; pos += batch_size(&b)) {
		*valid = pos;
		err = scan_batch(s, pos, &b, &is, &p, &bad);
		if (err != E_OK)
			return fail(c, err, c->src, -1, NULL);
		if (bad != NULL)
			return tail(c, s, pos, last, bad);
		if ((bad = judge(c, &b, p, next)) != NULL)
			return fail(c, E_CORRUPT, c->src, pos, bad);
		if (batch_last_offset(&b) >= c->limit) {
			c->done = true;
			kafka_note(c->x->k, "%.1000s: records from offset "
			    "%lld on were not committed and are left out",
			    c->src, (long long)b.base_offset);
			return E_OK;
		}
		if ((err = note(c, &b, pos)) == E_OK)
			err = out_put(c, p, (size_t)batch_size(&b));
	}
	*valid = pos;
	return err;
}

/* ---- the end of a log --------------------------------------------------- */

static bool
commits(const struct import_txns *x, int64_t pid)
{
	for (int i = 0; x != NULL && i < x->n; i++)
		if (x->v[i].pid == pid)
			return x->v[i].commits;
	return false;
}

/* Ends an open transaction; its marker becomes the last batch. */
static enum err
mark(struct copying *c, struct open_txn *t, int64_t *size)
{
	bool commit = commits(c->x->txns, t->pid);
	uint8_t key[4] = { 0, 0, 0, commit }, value[6] = { 0 };
	struct wr w = wr_grow(4096);
	struct batch_maker m;
	struct batch b;
	enum err err;

	batch_make(&m, 4096);
	m.b.attrs = BATCH_TXN | BATCH_CONTROL;
	m.b.pid = t->pid;
	m.b.epoch = t->epoch;
	m.b.base_seq = -1;
	batch_add(&m, wall_ms(), key, sizeof key, value, sizeof value, NULL,
	    0);
	err = batch_finish(&m, CODEC_NONE, INT32_MIN, &w);
	if (err == E_OK) {
		batch_assign(w.p, c->x->end, c->x->epoch);
		err = batch_read(w.p, &b);
	}
	if (err == E_OK)
		err = out_put(c, w.p, w.len);
	kafka_note(c->x->k, "%.1000s: the transaction of producer %lld was "
	    "open; it is %s", c->x->from->dir, (long long)t->pid, commit ?
	    "committed, as its coordinator had decided" : "aborted");
	/* Also takes t off the list. */
	if (err == E_OK)
		err = note(c, &b, *size);
	*size += (int64_t)w.len;
	wr_free(&w);
	return err == E_OK ? err : fail(c, err, c->dst, -1, NULL);
}

/*
 * Compaction leaves segments that end before the next one begins; ours do not
 * (recover.h: a gap there reads as a missing file).  Batches without records
 * fill it, such as Kafka's own compaction leaves in other places.
 */
static enum err
fill(struct copying *c, int64_t next, int64_t *size)
{
	enum err err = E_OK;

	while (err == E_OK && c->x->end < next) {
		int64_t n = next - c->x->end;
		struct batch b = { .base_offset = c->x->end, .magic = 2,
		    .length = BATCH_HEADER - BATCH_LOG_OVERHEAD,
		    .leader_epoch = c->x->epoch, .base_ts = -1, .max_ts = -1,
		    .pid = -1, .epoch = -1, .base_seq = -1,
		    .last_delta = n > INT32_MAX ? INT32_MAX - 1 :
		    (int32_t)n - 1 };
		uint8_t p[BATCH_HEADER];

		batch_write(p, &b);
		b.crc = crc32c(0, p + BATCH_CRC_FROM,
		    BATCH_HEADER - BATCH_CRC_FROM);
		batch_write(p, &b);
		if ((err = out_put(c, p, sizeof p)) == E_OK)
			err = note(c, &b, *size);
		*size += BATCH_HEADER;
	}
	return err;
}

/* A segment that was linked needs a batch more: it is copied after all. */
static enum err
unlinked(struct copying *c, struct scan *s)
{
	const uint8_t *p;
	enum err err = disk->unlink(c->dst);

	if (err == E_OK)
		err = disk->open(c->dst, DISK_CREATE_NEW, &c->fd);
	if (err != E_OK)
		return fail(c, err, c->dst, -1, NULL);
	for (int64_t at = 0; err == E_OK && at < s->size;) {
		size_t n = s->size - at < OUT_BUF ? (size_t)(s->size - at) :
		    OUT_BUF;

		if ((err = scan_view(s, at, n, &p)) != E_OK)
			return fail(c, err, c->src, -1, NULL);
		err = out_put(c, p, n);
		at += (int64_t)n;
	}
	return err;
}

static enum err
segment(struct copying *c, int i)
{
	struct import_part *x = c->x;
	int64_t base = c->segs[i].base, size = 0;
	bool last = i == c->nsegs - 1;
	int64_t next = last ? INT64_MAX : c->segs[i + 1].base;
	struct scan s;
	enum err err;

	kafka_seg_path(c->src, x->from, &c->segs[i]);
	if ((err = scan_open(&s, c->src)) != E_OK)
		return fail(c, err, c->src, -1, NULL);
	if (base > x->end)
		x->end = base;
	/* Where the log may be cut, nothing is linked. */
	err = out_open(c, base, x->link && !last && c->limit == INT64_MAX);
	if (x->dir != NULL)
		reindex_begin(&c->idx, x->dir, &x->id, base);
	if (err == E_OK)
		err = walk(c, &s, next, last, &size);
	last |= c->done;
	while (err == E_OK && last && c->open != NULL)
		err = mark(c, c->open, &size);
	if (err == E_OK && !last && x->end < next && x->dir != NULL &&
	    c->fd < 0)
		err = unlinked(c, &s);
	if (err == E_OK && !last)
		err = fill(c, next, &size);
	scan_close(&s);
	x->bytes += size;
	if (err == E_OK)
		err = out_close(c);
	else if (c->fd >= 0)
		disk->close(c->fd);
	if (x->dir == NULL)
		return err;
	if (err != E_OK)
		reindex_drop(&c->idx);
	else if ((err = reindex_end(&c->idx, x->end, size,
	    !last)) != E_OK)
		err = fail(c, err, c->idx.path, -1, NULL);
	return err;
}

/* Kafka's own snapshot of producers before the first segment: they may be
 * known by nothing else. */
static enum err
prods_begin(struct copying *c)
{
	char path[PATH_SIZE];
	uint8_t *p;
	size_t n;
	enum err err;

	if ((c->prods = prod_new()) == NULL)
		return fail(c, E_NOMEM, c->x->from->dir, -1, NULL);
	seg_path(path, c->x->from->dir, c->x->first, ".snapshot");
	err = disk_slurp(path, SNAPSHOT_MAX, &p, &n);
	if (err == E_NOTFOUND || err == E_TOO_LARGE)
		return E_OK;
	if (err != E_OK)
		return fail(c, err, path, -1, NULL);
	if (n < SNAPSHOT_HEAD || be16(p) != SNAPSHOT_VERSION ||
	    be32(p + 2) != crc32c(0, p + 6, n - 6))
		n = 0;
	for (size_t at = SNAPSHOT_HEAD; err == E_OK && n >= SNAPSHOT_ROW &&
	    at <= n - SNAPSHOT_ROW; at += SNAPSHOT_ROW) {
		const uint8_t *r = p + at;
		int32_t seq = (int32_t)be32(r + 10);
		int32_t delta = (int32_t)be32(r + 22);
		int64_t last = (int64_t)be64(r + 14);
		struct batch b = { .pid = (int64_t)be64(r),
		    .epoch = (int16_t)be16(r + 8), .last_delta = delta,
		    .base_seq = (int32_t)(((int64_t)seq - delta) & INT32_MAX),
		    .base_offset = last - delta,
		    .max_ts = (int64_t)be64(r + 26) };

		if (b.pid < 0 || delta < 0 || last < delta)
			continue;
		if (seq < 0)	/* only markers so far */
			b.attrs = BATCH_TXN | BATCH_CONTROL;
		if (b.pid > c->x->max_pid)
			c->x->max_pid = b.pid;
		err = prod_note(c->prods, &b, mono_ms());
	}
	free(p);
	return err == E_OK ? err : fail(c, err, path, -1, NULL);
}

static enum err
prods_end(struct copying *c)
{
	struct import_part *x = c->x;
	struct wr w = wr_grow(BATCH_MAX);
	char path[PATH_SIZE];
	enum err err = E_OK;

	if (x->dir == NULL || prod_count(c->prods) == 0)
		return E_OK;
	seg_path(path, x->dir, x->end, ".prod");
	err = prod_encode(c->prods, &x->id, x->end, &w);
	if (err == E_OK)
		err = disk_replace(path, w.p, w.len);
	wr_free(&w);
	return err == E_OK ? err : fail(c, err, path, -1, NULL);
}

/* ---- a partition -------------------------------------------------------- */

/* The segments that hold something above the log's start. */
static enum err
choose(struct copying *c)
{
	const struct kafka_part *p = c->x->from;

	c->segs = calloc((size_t)p->nsegs + 1, sizeof *c->segs);
	if (c->segs == NULL)
		return fail(c, E_NOMEM, p->dir, -1, NULL);
	for (int i = 0; i < p->nsegs; i++)
		if (i + 1 == p->nsegs || p->segs[i + 1].base > p->start)
			c->segs[c->nsegs++] = p->segs[i];
	return E_OK;
}

/* Kafka makes an empty segment where there is none. */
static enum err
empty(struct copying *c)
{
	struct import_part *x = c->x;
	enum err err;

	x->first = x->start = x->end = x->from->start;
	err = out_open(c, x->first, false);
	return err == E_OK ? out_close(c) : err;
}

static enum err
copy(struct copying *c)
{
	struct import_part *x = c->x;
	enum err err = choose(c);

	x->epoch = -1;
	x->max_pid = -1;
	x->first = x->end = c->nsegs > 0 ? c->segs[0].base : 0;
	if (err == E_OK && x->dir != NULL &&
	    (err = disk->mkdir(x->dir)) != E_OK)
		err = fail(c, err, x->dir, -1, NULL);
	if (err == E_OK)
		err = prods_begin(c);
	for (int i = 0; err == E_OK && i < c->nsegs && !c->done; i++)
		err = segment(c, i);
	if (err == E_OK && c->nsegs == 0)
		err = empty(c);
	x->start = x->from->start > x->first ? x->from->start : x->first;
	if (x->start > x->end)
		x->start = x->end;
	if (err == E_OK)
		err = prods_end(c);
	if (err == E_OK && x->dir != NULL &&
	    (err = disk->sync_dir(x->dir)) != E_OK)
		err = fail(c, err, x->dir, -1, NULL);
	return err;
}

enum err
import_copy(struct import_part *x)
{
	struct copying c = { .x = x, .fd = -1, .limit = x->from->whole ||
	    x->from->hw < 0 ? INT64_MAX : x->from->hw };
	struct open_txn *t;
	enum err err = E_OK;

	x->bytes = 0;
	if ((c.buf = malloc(OUT_BUF)) == NULL)
		err = fail(&c, E_NOMEM, x->from->dir, -1, NULL);
	if (err == E_OK)
		err = copy(&c);
	while ((t = c.open) != NULL) {
		c.open = t->next;
		free(t);
	}
	prod_free(c.prods);
	free(c.segs);
	free(c.buf);
	return err;
}
