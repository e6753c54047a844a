/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction: the steps of a pass over one log. */
#include <stdlib.h>
#include <string.h>

#include "compact.h"
#include "compact_io.h"
#include "plant.h"
#include "swap.h"

void
compact_init(struct compaction *c)
{
	c->step = c->with_txns ? COMPACT_TXNS : COMPACT_MAP;
	c->map_end = c->dirty - 1;
	c->whole_to = c->owed;
	c->refused_from = INT64_MAX;
	c->epoch = -1;
	txn_track_start(&c->track, &c->txns);
	c->in.fd = c->copy.fd = c->out.fd = -1;
	c->piece = wr_grow(BATCH_MAX);
}

static void
finish(struct compaction *c, enum err e, const char *why)
{
	c->step = COMPACT_DONE;
	c->err = e;
	c->why = why;
}

/* Of what was read: it is not to be had, or not what it should be. */
static bool
is_damage(enum err e)
{
	return e == E_CORRUPT || e == E_IO || e == E_TOO_LARGE ||
	    e == E_INVALID_RECORD || e == E_UNSUPPORTED_FORMAT ||
	    e == E_UNSUPPORTED_VERSION || e == E_UNSUPPORTED_COMPRESSION;
}

/* Segment i stays as it is: it cannot be read from pos on. */
static void
refuse(struct compaction *c, int i, int64_t pos)
{
	c->segs[i].refused = true;
	c->segs[i].bad = pos;
	if (c->segs[i].base < c->refused_from)
		c->refused_from = c->segs[i].base;
	if (c->refused_from < c->whole_to)
		c->whole_to = c->refused_from;
}

/* ---- transactions ------------------------------------------------------- */

/* One was met that nobody had said was there. */
static bool
txns_unknown(struct compaction *c)
{
	if (!(c->b.attrs & BATCH_TXN) || c->txns_known)
		return false;
	finish(c, E_BUSY, "transactions have to be learned of first");
	return true;
}

/* What is open still may be aborted: nothing from there on is touched. */
static void
txns_step(struct compaction *c)
{
	int64_t open;
	enum err e;

	if (c->at < c->nsegs) {
		if ((e = compact_in_open(c, &c->in, c->at)) == E_OK)
			e = txn_log_walk(&c->txns, c->in.fd,
			    c->segs[c->at].end);
		c->moved += c->segs[c->at].end;
		if (e == E_CORRUPT) {
			refuse(c, c->at, 0);
			c->at = c->nsegs;
		} else if (e != E_OK)
			finish(c, e, "transactions cannot be learned of");
		else
			c->at++;
		return;
	}
	c->txns_known = true;
	open = txn_log_done(&c->txns);
	if (open > c->refused_from)
		open = c->refused_from;
	while (c->nclean > 0 && c->segs[c->nclean - 1].end_offset > open)
		c->nclean--;
	txn_track_start(&c->track, &c->txns);
	c->step = COMPACT_MAP;
}

/* ---- the map ------------------------------------------------------------ */

static enum err
map_records(struct compaction *c, const uint8_t *p, bool *full)
{
	struct batch_iter it;
	struct record r;
	enum err e = batch_iter_open(&it, p, (size_t)batch_size(&c->b),
	    INFLATE_MAX);

	while (e == E_OK && (e = batch_iter_next(&it, &r)) == E_OK) {
		if (r.offset < c->dirty || r.key_len < 0)
			continue;
		if (keymap_full(c->map) && keymap_get(c->map, r.key,
		    (size_t)r.key_len) < 0) {
			*full = true;
			break;
		}
		keymap_put(c->map, r.key, (size_t)r.key_len, r.offset);
		c->map_end = r.offset;
	}
	batch_iter_close(&it);
	return e == E_EOF ? E_OK : e;
}

static enum err
map_batch(struct compaction *c, const uint8_t *p, bool *full)
{
	bool gone = false;
	enum err e = E_OK;

	if (c->b.attrs & BATCH_CONTROL)
		e = txn_track_marker(&c->track, p, (size_t)batch_size(&c->b),
		    &gone);
	else if ((e = txn_track_data(&c->track, &c->b, &gone)) == E_OK &&
	    !gone)
		e = map_records(c, p, full);
	if (e == E_OK && !*full && batch_last_offset(&c->b) > c->map_end)
		c->map_end = batch_last_offset(&c->b);
	return e;
}

/* The first segment with dirty records. */
static int
first_dirty(const struct compaction *c)
{
	int i = 0;

	while (i < c->nclean && c->segs[i].end_offset <= c->dirty)
		i++;
	return i;
}

static enum err
map_begin(struct compaction *c)
{
	int64_t keys = 0;
	enum err e;

	c->at = first_dirty(c);
	if (c->at < c->nclean)
		keys = c->segs[c->nclean - 1].end_offset - c->dirty;
	e = keymap_new(c->map_bytes, keys, &c->map);
	if (e == E_OK && c->at < c->nclean)
		e = compact_in_open(c, &c->in, c->at);
	return e;
}

/* The map is made: from here on only what it covers is looked at. */
static void
map_made(struct compaction *c)
{
	int n = 0;

	while (n < c->nclean && c->segs[n].base <= c->map_end)
		n++;
	c->nclean = n;
	c->at = 0;
	c->group = c->ngroup = 0;
	c->epoch = -1;
	txn_track_free(&c->track);
	txn_track_start(&c->track, &c->txns);
	if (c->map_end >= c->dirty)
		c->step = COMPACT_NEXT;
	else if (c->refused_from < INT64_MAX)
		finish(c, E_CORRUPT, "what is damaged may end transactions");
	else
		finish(c, E_OK, NULL);	/* open transactions, all of it */
}

/* The segment at hand is damaged: what was read of it so far counts. */
static void
map_past(struct compaction *c)
{
	const struct compact_seg *s = &c->segs[c->at];

	refuse(c, c->at, c->in.pos);
	if (c->txns_known) {
		c->nclean = c->at;
		c->map_end = s->base - 1;
		return;
	}
	if (s->end_offset - 1 > c->map_end)
		c->map_end = s->end_offset - 1;
	c->at++;
}

static void
map_step(struct compaction *c)
{
	const uint8_t *p;
	bool full = false;
	enum err e = E_OK;

	if (c->map == NULL && (e = map_begin(c)) != E_OK) {
		finish(c, e, "there is no memory for the map of keys");
		return;
	}
	if (c->at >= c->nclean) {
		map_made(c);
		return;
	}
	e = compact_in_next(c, &c->in, &p, &c->b);
	if (e == E_OK) {
		if (txns_unknown(c))
			return;
		e = map_batch(c, p, &full);
	}
	if (is_damage(e))
		map_past(c);
	else if (e == E_EOF)
		c->at++;
	if ((e == E_EOF || is_damage(e)) && c->at < c->nclean)
		e = compact_in_open(c, &c->in, c->at);
	else if (e == E_EOF || is_damage(e))
		e = E_OK;
	if (e != E_OK)
		finish(c, e, "a segment cannot be read");
	else if (full)
		map_made(c);
}

/* ---- groups ------------------------------------------------------------- */

/* How many segments from number i on become one: as Kafka, by their sizes
 * before. */
static int
group_size(const struct compaction *c, int i)
{
	int64_t entries_max = c->conf.segment_index_bytes / 8;
	int64_t bytes = c->segs[i].size, entries = c->segs[i].entries;
	int n = 1;

	for (; i + n < c->nclean && n < COMPACT_GROUP_MAX; n++) {
		const struct compact_seg *s = &c->segs[i + n];

		bytes += s->size;
		entries += s->entries;
		if (s->refused || bytes > c->conf.segment_bytes ||
		    entries > entries_max ||
		    s->end_offset - 1 - c->segs[i].base > INT32_MAX)
			break;
	}
	return n;
}

/* Compaction is not what fills a disk. */
static enum err
room_check(const struct compaction *c)
{
	int64_t total, usable, want = 0;
	enum err e = disk->space(c->dir, &total, &usable);

	for (int i = 0; i < c->ngroup; i++)
		want += c->segs[c->group + i].size;
	return e == E_OK && usable < want ? E_NOSPC : e;
}

static void
group_next(struct compaction *c)
{
	enum err e;

	c->group += c->ngroup;
	while (c->group < c->nclean && c->segs[c->group].refused)
		c->group++;
	if (c->group >= c->nclean) {
		finish(c, E_OK, NULL);
		return;
	}
	c->ngroup = group_size(c, c->group);
	c->group_epoch = c->epoch;
	c->at = c->group;
	c->same = c->ngroup == 1;
	e = room_check(c);
	if (e == E_OK)
		e = compact_in_open(c, &c->in, c->at);
	if (e == E_OK && !c->same)
		e = compact_out_open(c, c->segs[c->group].base);
	if (e != E_OK)
		finish(c, e, "a new segment cannot be made");
	else
		c->step = COMPACT_WRITE;
}

/* Segment i of the group at work is damaged: what was made of the others is
 * thrown away, and they are a group without it. */
static void
group_again(struct compaction *c, int i, int64_t pos, enum err e)
{
	if (c->txns_known) {
		finish(c, e, "what is damaged may end transactions");
		return;
	}
	refuse(c, i, pos);
	compact_out_drop(c);
	c->ngroup = 0;
	c->epoch = c->group_epoch;
	c->step = COMPACT_NEXT;
}

/* ---- one batch ---------------------------------------------------------- */

/* protocol.md 3.10: the newest of its key, and not a tombstone whose time is
 * up. */
static bool
keep(const struct record *r, void *arg)
{
	const struct compaction *c = arg;

	if (c->discard)
		return false;
	if ((c->b.attrs & BATCH_CONTROL) || r->offset > c->map_end)
		return true;
	if (r->key_len < 0 || r->offset < keymap_get(c->map, r->key,
	    (size_t)r->key_len))
		return false;
	if (PLANT(compact_latest) && r->offset % 50 == 49)
		return false;
	return r->value_len >= 0 || !(c->b.attrs & BATCH_HORIZON) ||
	    c->now < c->b.base_ts || r->offset >= c->whole_to;
}

static int
by_pid(const void *key, const void *elem)
{
	int64_t pid = *(const int64_t *)key;
	const struct compact_prod *p = elem;

	return (pid > p->pid) - (pid < p->pid);
}

/* The batch holds the newest sequence number of its producer, or, when no data
 * of it is left, the newest epoch. */
static bool
last_of_producer(const struct compaction *c)
{
	const struct compact_prod *p;

	if (c->b.pid < 0 || c->nprods == 0)
		return false;
	p = bsearch(&c->b.pid, c->prods, (size_t)c->nprods, sizeof *p,
	    by_pid);
	if (p == NULL)
		return false;
	if (p->last_offset >= 0)
		return batch_last_offset(&c->b) == p->last_offset;
	return (c->b.attrs & BATCH_CONTROL) && c->b.epoch == p->epoch;
}

/* now + delete.retention.ms */
static int64_t
horizon(const struct compaction *c)
{
	int64_t at;

	return PLANT(tomb_early) ? c->now : __builtin_add_overflow(c->now,
	    c->conf.delete_retention_ms, &at) ? INT64_MAX : at;
}

/* The topic's level, if it is its codec; else the codec's own. */
static int32_t
level_of(const struct compaction *c)
{
	int32_t level;
	int codec = topic_conf_codec(&c->conf, &level);

	return codec == (c->b.attrs & BATCH_CODEC) ? level : INT32_MIN;
}

/* How the batch at hand is to be treated. */
static enum err
judge(struct compaction *c, const uint8_t *p, struct batch_sieve *how)
{
	bool last = c->at == c->group + c->ngroup - 1 &&
	    c->in.pos == c->in.end;
	bool gone, control = (c->b.attrs & BATCH_CONTROL) != 0;
	enum err e;

	e = control ? txn_track_marker(&c->track, p,
	    (size_t)batch_size(&c->b), &gone) :
	    txn_track_data(&c->track, &c->b, &gone);
	if (e != E_OK)
		return e;
	/* A marker stays until the horizon, even of what has gone. */
	c->discard = gone && (!control || ((c->b.attrs & BATCH_HORIZON) &&
	    c->b.base_ts <= c->now));
	*how = (struct batch_sieve){ .keep = keep, .arg = c,
	    .horizon = horizon(c), .marker = gone && control,
	    .header = last || last_of_producer(c) ||
	    c->b.leader_epoch > c->epoch, .level = level_of(c) };
	if (c->b.leader_epoch > c->epoch)
		c->epoch = c->b.leader_epoch;
	return E_OK;
}

/* The segment was as it should be up to the batch at hand: now it is copied
 * up to there. */
static enum err
copy_begin(struct compaction *c)
{
	enum err e = compact_out_open(c, c->segs[c->group].base);

	c->same = false;
	if (e == E_OK)
		e = compact_in_open(c, &c->copy, c->group);
	c->copy.end = c->in.pos - batch_size(&c->b);
	c->step = COMPACT_COPY;
	return e;
}

/* What becomes of the batch at hand: its fate, and what is left of it. */
static enum err
sieve(struct compaction *c, const uint8_t *p, enum batch_fate *fate,
    struct batch *after)
{
	struct batch_sieve how;
	enum err e;

	if ((e = judge(c, p, &how)) != E_OK)
		return e;
	c->piece.len = 0;
	e = batch_sieve(p, (size_t)batch_size(&c->b), &how, &c->piece, after,
	    fate);
	if (e != E_OK)
		return e;
	c->records_read += c->b.count;
	c->records_gone += c->b.count - (*fate == BATCH_GONE ? 0 :
	    after->count);
	return E_OK;
}

static enum err
put(struct compaction *c, const uint8_t *p, enum batch_fate fate,
    const struct batch *after)
{
	if (c->same && fate == BATCH_SAME)
		return E_OK;
	if (c->same)
		return copy_begin(c);
	if (fate == BATCH_SAME)
		return compact_out_put(c, p, &c->b);
	if (fate == BATCH_GONE)
		return E_OK;
	return compact_out_put(c, c->piece.p, after);
}

static enum err
group_end(struct compaction *c)
{
	const struct compact_seg *last =
	    &c->segs[c->group + c->ngroup - 1];
	enum err e;

	if (c->same) {
		c->step = COMPACT_NEXT;
		return E_OK;
	}
	e = compact_out_finish(c, last->end_offset);
	c->step = COMPACT_READY;
	return e;
}

static void
write_step(struct compaction *c)
{
	enum batch_fate fate;
	struct batch after;
	const uint8_t *p;
	enum err e = compact_in_next(c, &c->in, &p, &c->b);

	if (e == E_OK && txns_unknown(c))
		return;
	if (e == E_OK)
		e = sieve(c, p, &fate, &after);
	if (is_damage(e)) {
		group_again(c, c->at, c->in.pos, e);
		return;
	}
	if (e == E_OK)
		e = put(c, p, fate, &after);
	else if (e == E_EOF)
		e = ++c->at < c->group + c->ngroup ?
		    compact_in_open(c, &c->in, c->at) : group_end(c);
	if (e != E_OK)
		finish(c, e, "a segment cannot be rewritten");
}

static void
copy_step(struct compaction *c)
{
	const uint8_t *p;
	struct batch b;
	enum err e = compact_in_next(c, &c->copy, &p, &b);

	if (is_damage(e)) {
		group_again(c, c->group, c->copy.pos, e);
		return;
	}
	if (e == E_OK)
		e = compact_out_put(c, p, &b);
	else if (e == E_EOF) {
		e = E_OK;
		c->step = COMPACT_WRITE;
		/* What was at hand follows: it is in piece, or gone. */
		if (c->piece.len > 0 && (e = batch_read(c->piece.p, &b)) ==
		    E_OK)
			e = compact_out_put(c, c->piece.p, &b);
	}
	if (e != E_OK)
		finish(c, e, "a segment cannot be rewritten");
}

/* ---- exported ----------------------------------------------------------- */

void
compact_run(struct compaction *c, int64_t bytes)
{
	c->moved = 0;
	while (c->moved < bytes && c->step != COMPACT_READY &&
	    c->step != COMPACT_DONE) {
		switch (c->step) {
		case COMPACT_TXNS:
			txns_step(c);
			break;
		case COMPACT_MAP:
			map_step(c);
			break;
		case COMPACT_NEXT:
			group_next(c);
			break;
		case COMPACT_WRITE:
			write_step(c);
			break;
		case COMPACT_COPY:
			copy_step(c);
			break;
		case COMPACT_READY:
		case COMPACT_DONE:
			break;
		}
	}
	if (c->step == COMPACT_DONE && c->err != E_OK)
		compact_out_drop(c);
}

void
compact_fail(struct compaction *c, enum err e, const char *why)
{
	finish(c, e, why);
}

int
compact_group(const struct compaction *c, int64_t *bases)
{
	for (int i = 0; i < c->ngroup; i++)
		bases[i] = c->segs[c->group + i].base;
	return c->ngroup;
}

void
compact_swapped(struct compaction *c)
{
	ASSERT(c->step == COMPACT_READY);
	for (int i = 0; i < c->ngroup; i++)
		c->bytes_before += c->segs[c->group + i].size;
	c->bytes_after += c->out.size;
	c->nswaps++;
	compact_out_close(c);
	c->step = COMPACT_NEXT;
}

int64_t
compact_clean_to(const struct compaction *c)
{
	return c->map_end + 1;
}

void
compact_drop(struct compaction *c)
{
	compact_out_drop(c);
}

void
compact_end(struct compaction *c)
{
	compact_out_drop(c);
	compact_in_close(&c->in);
	compact_in_close(&c->copy);
	keymap_free(c->map);
	c->map = NULL;
	txn_log_free(&c->txns);
	txn_track_free(&c->track);
	wr_free(&c->piece);
}
