/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of segments.  It is measured once, in one pass on a worker, into an
 * index of blocks; blocks are rendered when somebody reads them, and the
 * newest are kept.  What has been measured never changes: the renderer is a
 * function, and bytes of a log below the high watermark do not move.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "copy.h"
#include "lib/reader.h"

/* A run of batches of one segment, on a worker. */
struct work {
	uv_work_t	 work;
	struct fs	*fs;
	struct tseg	*seg;
	struct ehandle	*h;		/* a reference */
	struct render	 render;
	int32_t		 part;
	int64_t		 pos, end;	/* of the log */
	int64_t		 stop;		/* first offset that is not wanted */
	enum err	 err;
	struct wr	 out;		/* text */
	/* Measuring: where it came to, and what blocks began, beside the first
	 * (began: text at its start). */
	int64_t		 off, text, began;
	struct block	*blocks;
	int		 nblocks, cap;
	/* One block, or the place of a record. */
	struct blk	*blk;
	struct copy	*copy;		/* a reference; has or wants it */
	bool		 copied;	/* has */
	int		 copy_eno;
	int64_t		 copy_at, disk_left;
	struct slice	*slice;
	struct node	*node;
	int64_t		*place;
	int64_t		 base_text;
	/* Of a sealed segment: what is kept of it, path NULL if nothing. */
	struct cache_key key;
	bool		 loaded;
	int64_t		 first;		/* base of the partition's segments */
};

/* Rendered text of a block.  ready: it may be read; else a job makes it. */
struct blk {
	TAILQ_ENTRY(blk) lru;
	struct hash_node by_place;
	struct tseg	*seg;
	int		 index;
	bool		 ready, dead;
	enum err	 err;
	char		*text;
	size_t		 len;
};

/* ---- on a worker --------------------------------------------------------- */

/* Appends the text of a batch's records below stop. */
static enum err
render_batch(struct work *w, const uint8_t *p, const struct batch *b)
{
	struct batch_iter it;
	struct record rec;
	enum err e;

	if (b->attrs & BATCH_CONTROL)
		return E_OK;
	e = batch_iter_open(&it, p, (size_t)batch_size(b), INFLATE_MAX);
	while (e == E_OK && (e = batch_iter_next(&it, &rec)) == E_OK &&
	    rec.offset < w->stop)
		e = render_record(&w->render, w->part, &rec, &w->out);
	batch_iter_close(&it);
	return e == E_EOF ? E_OK : e;
}

static enum err
block_note(struct work *w, int64_t off, int64_t pos)
{
	struct block *v;
	int cap = w->cap == 0 ? 64 : w->cap * 2;

	if (w->nblocks == w->cap) {
		v = realloc(w->blocks, (size_t)cap * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		w->blocks = v;
		w->cap = cap;
	}
	w->blocks[w->nblocks++] = (struct block){ off, pos, w->text };
	w->began = w->text;
	return E_OK;
}

/* What another mount has measured; true if it is there. */
static bool
load(struct work *w)
{
	struct block *v;
	int64_t text;
	int n;

	if (w->key.path == NULL || w->pos != 0 ||
	    cache_load(&w->key, w->h->fd, &text, &v, &n) != E_OK)
		return false;
	w->blocks = v;
	w->nblocks = n;
	w->text = text;
	w->off = w->key.end;
	w->pos = w->key.bytes;
	w->loaded = true;
	return true;
}

/* Renders and counts. */
static void
measure(uv_work_t *u)
{
	struct work *w = u->data;
	const uint8_t *p;
	struct reader r;
	struct batch b;
	int64_t pos, enough = w->pos + MEASURE_BYTES;
	enum err e = E_OK;

	if (load(w))
		return;
	reader_open(&r, w->h->fd, w->pos, w->end - w->pos);
	while (e == E_OK && (pos = reader_pos(&r)) < w->end &&
	    pos < enough) {
		e = reader_batch(&r, &b, &p);
		if (e != E_OK)
			break;
		if (b.base_offset >= w->stop) {
			w->off = w->stop;	/* no more below it */
			break;
		}
		if (w->began < 0 || w->text - w->began >= BLOCK_TEXT)
			e = block_note(w, b.base_offset, pos);
		w->out.len = 0;
		if (e == E_OK)
			e = render_batch(w, p, &b);
		if (e != E_OK)
			break;
		w->text += (int64_t)w->out.len;
		w->off = batch_last_offset(&b) + 1;
		w->pos = reader_pos(&r);
	}
	reader_close(&r);
	wr_free(&w->out);
	/* Readers see whole batches: half of one is damage. */
	w->err = e == E_EOF ? E_CORRUPT : e;
}

/* False: it must be rendered. */
static bool
read_copy(struct work *w)
{
	uint8_t *p;

	if (!w->copied || (p = wr_room(&w->out, (size_t)w->text)) == NULL)
		return false;
	if (copy_read(w->copy, w->copy_at, p, (size_t)w->text))
		return true;
	w->copy_eno = errno;
	w->out.len = 0;
	return false;
}

/* What was measured, or nothing. */
static void
write_copy(struct work *w)
{
	if (w->copy == NULL || w->copy_eno != 0 || w->err != E_OK ||
	    (int64_t)w->out.len != w->text)
		return;
	w->copied = copy_write(w->copy, w->copy_at, w->out.p, w->out.len,
	    &w->disk_left);
	if (!w->copied)
		w->copy_eno = errno;
}

/* Renders all of it, for reading or to see how much it is. */
static void
render(uv_work_t *u)
{
	struct work *w = u->data;
	const uint8_t *p;
	struct reader r;
	struct batch b;
	enum err e = E_OK;

	if (read_copy(w))
		return;
	reader_open(&r, w->h->fd, w->pos, w->end - w->pos);
	while (e == E_OK && reader_pos(&r) < w->end) {
		e = reader_batch(&r, &b, &p);
		if (e != E_OK || b.base_offset >= w->stop)
			break;
		e = render_batch(w, p, &b);
	}
	reader_close(&r);
	w->err = e;
	write_copy(w);
}

static void
keep(uv_work_t *u)
{
	struct work *w = u->data;

	w->err = cache_save(&w->key, w->h->fd, w->text, w->blocks,
	    w->nblocks, w->first);
}

/* ---- jobs --------------------------------------------------------------- */

static struct work *
work_new(struct fs *fs, struct tseg *s, int64_t pos, int64_t end)
{
	struct work *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->work.data = w;
	w->fs = fs;
	w->seg = s;
	w->render = fs->conf.render;
	w->part = s->part->index;
	w->pos = pos;
	w->end = end;
	w->stop = s->end;
	w->out = wr_grow((size_t)INFLATE_MAX * 8);
	w->h = s->h == NULL ? NULL : ehandle_ref(s->h);
	s->part->refs++;
	return w;
}

static void
work_free(struct work *w)
{
	ehandle_put(w->h);
	copy_put(w->copy);
	part_put(w->seg->part);
	free(w->key.path);
	wr_free(&w->out);
	free(w->blocks);
	free(w);
}

/* Adds what a job has measured to the segment's index. */
static enum err
take_blocks(struct tseg *s, const struct work *w)
{
	struct block *v;
	int n = s->nblocks + w->nblocks;

	if (n > s->cap) {
		v = realloc(s->blocks, (size_t)n * 2 * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		s->blocks = v;
		s->cap = n * 2;
	}
	if (w->nblocks > 0)
		memcpy(s->blocks + s->nblocks, w->blocks,
		    (size_t)w->nblocks * sizeof *v);
	s->nblocks = n;
	s->m_off = w->off;
	s->m_pos = w->pos;
	s->m_text = w->text;
	return E_OK;
}

static void
kept(uv_work_t *u, int status)
{
	struct work *w = u->data;

	(void)status;
	/* Once is enough: a disk that is full is told of by others. */
	if (w->err != E_OK)
		fs_error(w->fs, w->key.path, err_errno(w->err), w->err);
	else if (++w->fs->saves >= CACHE_SAVES_MAX)
		cache_bound(w->fs);
	work_free(w);
}

static void
sweep(uv_work_t *u)
{
	cache_sweep(((struct fs *)u->data)->conf.cache);
}

static void
swept(uv_work_t *u, int status)
{
	(void)status;
	free(u);
}

void
cache_bound(struct fs *fs)
{
	uv_work_t *u;

	fs->saves = 0;
	if (fs->conf.cache == NULL || (u = calloc(1, sizeof *u)) == NULL)
		return;
	u->data = fs;
	uv_queue_work(&fs->loop, u, sweep, swept);
}

/* The lowest base of what there is. */
static int64_t
first_base(const struct part *p)
{
	struct tseg *s;

	TAILQ_FOREACH(s, &p->segs, next)
		if (!s->gone)
			return s->base;
	return 0;
}

void
tseg_keep(struct tseg *s)
{
	struct fs *fs = s->part->fs;
	struct work *w;

	if (fs->conf.cache == NULL || s->kept || !s->sealed || s->gone ||
	    s->h == NULL || s->m_pos < s->bytes)
		return;
	s->kept = true;
	w = work_new(fs, s, 0, 0);
	if (w == NULL)
		return;
	w->blocks = malloc((size_t)s->nblocks * sizeof *w->blocks + 1);
	if (w->blocks == NULL || cache_key_of(fs, s, &w->key) != E_OK) {
		work_free(w);
		return;
	}
	if (s->nblocks > 0)
		memcpy(w->blocks, s->blocks,
		    (size_t)s->nblocks * sizeof *w->blocks);
	w->nblocks = s->nblocks;
	w->text = s->m_text;
	w->first = first_base(s->part);
	uv_queue_work(&fs->loop, &w->work, keep, kept);
}

static void
measured(uv_work_t *u, int status)
{
	struct work *w = u->data;
	struct tseg *s = w->seg;

	(void)status;
	s->measuring = false;
	if (!w->loaded)
		w->fs->stats.measured_bytes += (uint64_t)(w->pos - s->m_pos);
	s->err = take_blocks(s, w);
	/* What came before the bad place is good. */
	if (s->err == E_OK && w->err != E_OK)
		s->err = w->err;
	s->kept |= w->loaded;
	s->believed |= w->loaded;
	tseg_keep(s);
	ops_wake(&s->waiters);
	work_free(w);
}

int
tseg_measured(struct op *op, struct tseg *s)
{
	struct work *w;
	int eno;

	if (s->m_pos >= s->bytes || s->m_off >= s->end || s->gone)
		return 0;
	if (s->err != E_OK)
		return op_errno(op, s->err, s->part->topic->name);
	if (s->measuring)
		return op_wait(op, &s->waiters);
	if ((eno = tseg_open(op, s)) != 0)
		return eno;
	if ((w = work_new(op->fs, s, s->m_pos, s->bytes)) == NULL)
		return ENOMEM;
	w->off = s->m_off;
	w->text = s->m_text;
	w->began = s->nblocks == 0 ? -1 : s->blocks[s->nblocks - 1].text;
	if (s->sealed && s->m_pos == 0 && op->fs->conf.cache != NULL &&
	    cache_key_of(op->fs, s, &w->key) != E_OK)
		w->key.path = NULL;
	s->measuring = true;
	uv_queue_work(&op->fs->loop, &w->work, measure, measured);
	return op_wait(op, &s->waiters);
}

/* ---- rendered blocks ---------------------------------------------------- */

static uint64_t
blk_hash(const struct tseg *s, int index)
{
	return hash_bytes(&s, sizeof s) + (uint64_t)index;
}

static struct blk *
blk_find(struct fs *fs, const struct tseg *s, int index)
{
	struct blk *b;

	HASH_FIND(x, &fs->blk_table, blk_hash(s, index)) {
		b = HASH_OF(x, struct blk, by_place);
		if (b->seg == s && b->index == index)
			return b;
	}
	return NULL;
}

/* One that a job works on is freed when the job is back. */
static void
blk_drop(struct fs *fs, struct blk *b)
{
	hash_drop(&fs->blk_table, &b->by_place);
	TAILQ_REMOVE(&fs->blks, b, lru);
	fs->blk_bytes -= b->len;
	if (!b->ready) {
		b->dead = true;
		return;
	}
	free(b->text);
	free(b);
}

void
tseg_drop_text(struct tseg *s)
{
	struct fs *fs = s->part->fs;
	struct blk *b, *more;

	for (b = TAILQ_FIRST(&fs->blks); b != NULL; b = more) {
		more = TAILQ_NEXT(b, lru);
		if (b->seg == s)
			blk_drop(fs, b);
	}
}

/* Makes room: the least lately used ones go. */
static void
blks_trim(struct fs *fs, size_t max)
{
	struct blk *b, *more;

	for (b = TAILQ_FIRST(&fs->blks); b != NULL && fs->blk_bytes > max;
	    b = more) {
		more = TAILQ_NEXT(b, lru);
		if (b->ready)
			blk_drop(fs, b);
	}
}

void
text_drop(struct fs *fs)
{
	blks_trim(fs, 0);
}

static void
copy_told(struct work *w)
{
	if (w->copy_eno != 0)
		copy_failed(w->copy, w->copy_eno);
	else if (w->copied)
		copy_took(w->copy, w->blk->index, w->out.len, w->disk_left);
}

static void
blk_made(uv_work_t *u, int status)
{
	struct work *w = u->data;
	struct fs *fs = w->fs;
	struct blk *b = w->blk;
	bool wrong;

	(void)status;
	b->ready = true;
	b->err = w->err;
	/* What was measured is what is rendered, or nothing is. */
	if (b->err == E_OK && (int64_t)w->out.len != w->text)
		b->err = E_CORRUPT;
	wrong = !b->dead && b->err == E_CORRUPT && w->seg->believed;
	fs->stats.blocks_made++;
	if (w->copy != NULL)
		copy_told(w);
	if (b->dead)
		free(b);
	else if (b->err == E_OK) {
		/* Without the room that it does not need. */
		b->text = realloc(w->out.p, w->out.len + 1);
		b->len = w->out.len;
		if (b->text == NULL)
			b->text = (char *)w->out.p;
		w->out = wr_grow(1);
		fs->blk_bytes += b->len;
		TAILQ_REMOVE(&fs->blks, b, lru);
		TAILQ_INSERT_TAIL(&fs->blks, b, lru);
	}
	if (wrong)
		tseg_distrust(w->seg);
	ops_wake(&fs->blk_waiters);
	blks_trim(fs, BLOCKS_BYTES_MAX);
	work_free(w);
}

static int64_t
block_text_end(const struct tseg *s, int i)
{
	return i + 1 < s->nblocks ? s->blocks[i + 1].text : s->m_text;
}

/* It has all that is known now, and so has the copy, if there is one. */
static bool
is_good(const struct tseg *s, const struct blk *b)
{
	return b->ready && b->err == E_OK && (int64_t)b->len >=
	    block_text_end(s, b->index) - s->blocks[b->index].text &&
	    !copy_wants(s->copy, b->index);
}

/* Begins to render a block, if nobody has.  NULL: no memory. */
static struct blk *
blk_start(struct fs *fs, struct tseg *s, int i)
{
	int64_t end = i + 1 < s->nblocks ? s->blocks[i + 1].pos : s->m_pos;
	struct blk *b = blk_find(fs, s, i);
	struct work *w;

	if (b != NULL && b->ready && !is_good(s, b)) {
		blk_drop(fs, b);	/* it has grown; or try again */
		b = NULL;
	}
	if (b != NULL || s->h == NULL)
		return b;
	if (hash_room(&fs->blk_table) != E_OK)
		return NULL;
	b = calloc(1, sizeof *b);
	w = b == NULL ? NULL : work_new(fs, s, s->blocks[i].pos, end);
	if (w == NULL) {
		free(b);
		return NULL;
	}
	b->seg = s;
	b->index = i;
	w->blk = b;
	w->stop = s->m_off;
	w->text = block_text_end(s, i) - s->blocks[i].text;
	w->copied = copy_has(s->copy, i);
	if (w->copied || copy_wants(s->copy, i))
		w->copy = copy_ref(s->copy);
	w->copy_at = s->blocks[i].text;
	hash_put(&fs->blk_table, &b->by_place, blk_hash(s, i));
	TAILQ_INSERT_TAIL(&fs->blks, b, lru);
	uv_queue_work(&fs->loop, &w->work, render, blk_made);
	return b;
}

static int
block_at(const struct tseg *s, int64_t text)
{
	int lo = 0, hi = s->nblocks - 1;

	while (lo < hi) {
		int mid = (lo + hi + 1) / 2;

		if (s->blocks[mid].text <= text)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

int
tseg_text(struct op *op, struct tseg *s, int64_t at, char *to, size_t n,
    size_t *got)
{
	int i = block_at(s, at), eno;
	struct fs *fs = op->fs;
	struct blk *b;
	int64_t in, want;

	if (s->gone)
		return ESTALE;
	ASSERT(s->nblocks > 0 && at < s->m_text);
	in = at - s->blocks[i].text;
	want = block_text_end(s, i) - s->blocks[i].text;
	b = blk_find(fs, s, i);
	if (b != NULL && b->ready && b->err != E_OK && op->state == b)
		return op_errno(op, b->err, s->part->topic->name);
	if (b == NULL || !is_good(s, b)) {
		if ((eno = tseg_open(op, s)) != 0)
			return eno;
		if ((b = blk_start(fs, s, i)) == NULL)
			return ENOMEM;
		op->state = b;		/* a failure of it is ours */
		/* The next ones, while this one is made. */
		for (int k = 1; k <= 2 && i + k < s->nblocks; k++)
			(void)blk_start(fs, s, i + k);
		return op_wait(op, &fs->blk_waiters);
	}
	fs->stats.blocks_hit++;
	*got = n < (size_t)(want - in) ? n : (size_t)(want - in);
	memcpy(to, b->text + in, *got);
	TAILQ_REMOVE(&fs->blks, b, lru);
	TAILQ_INSERT_TAIL(&fs->blks, b, lru);
	return 0;
}

/* ---- the place of an offset --------------------------------------------- */

static void
located(uv_work_t *u, int status)
{
	struct work *w = u->data;
	struct slice *sl = w->slice;
	struct node *n = w->node;

	(void)status;
	sl->busy = false;
	sl->err = w->err;
	if (w->err == E_OK)
		*w->place = w->base_text + (int64_t)w->out.len;
	ops_wake(&sl->waiters);
	work_free(w);
	node_put(n);
}

int
tseg_locate(struct op *op, struct slice *sl, struct tseg *s, int64_t offset,
    int64_t *out)
{
	int lo = 0, hi = s->nblocks - 1, eno;
	struct work *w;

	if (sl->err != E_OK)
		return op_errno(op, sl->err, s->part->topic->name);
	if (sl->busy)
		return op_wait(op, &sl->waiters);
	if (s->nblocks == 0 || offset <= s->blocks[0].off) {
		*out = 0;
		return 0;
	}
	if (offset >= s->m_off) {
		*out = s->m_text;
		return 0;
	}
	if ((eno = tseg_open(op, s)) != 0)
		return eno;
	while (lo < hi) {
		int mid = (lo + hi + 1) / 2;

		if (s->blocks[mid].off <= offset)
			lo = mid;
		else
			hi = mid - 1;
	}
	w = work_new(op->fs, s, s->blocks[lo].pos, lo + 1 < s->nblocks ?
	    s->blocks[lo + 1].pos : s->m_pos);
	if (w == NULL)
		return ENOMEM;
	w->stop = offset;
	w->slice = sl;
	w->node = node_ref(op->child != NULL ? op->child : op->node);
	w->place = out;
	w->base_text = s->blocks[lo].text;
	sl->busy = true;
	uv_queue_work(&op->fs->loop, &w->work, render, located);
	return op_wait(op, &sl->waiters);
}
