/* SPDX-License-Identifier: Apache-2.0 */
/* Records and views of the log from the engine. */
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/reader.h"
#include "local.h"
#include "src.h"

enum {
	ANSWER_MAX	= 1024 * MIB,	/* a view of all partitions */
	READ_BYTES	= 1 * MIB,	/* of one fetch */
	FETCH_TRIES	= 4,
	GET_BYTES	= 1,		/* one batch, whatever its size */
	HELD_MAX	= 64,		/* batches that src_get keeps */
	HELD_BYTES	= 64 * MIB,	/* ... together, but for the last */
	HELD_PART_BYTES	= 2 * MIB,	/* ... of one partition, likewise */
};

/* Where a record is read from. */
struct mark {
	int64_t		 offset;
	const uint8_t	*p;
	int32_t		 seen, delta;	/* of the iterator before it */
};

/* A batch that src_get looked into; ours when bytes is not NULL.  The log has
 * no record from `from` to where it begins. */
struct held {
	struct uuid	 topic;
	int32_t		 part;
	int64_t		 from;
	struct batch_iter it;
	uint8_t		*bytes;
	struct mark	*marks;		/* one for each of its records */
	int		 nmarks, marks_cap;
	int64_t		 size;
	uint64_t	 used;		/* when: the least goes first */
};

/* One of eng and local is there. */
struct src {
	struct eng	*eng;
	struct local	*local;
	struct arena	 view[2], stats;	/* the last, and a spare */
	struct view_res	 view_res[2];
	int		 now;		/* which is the last */
	/* Walks of many partitions take turns, each in a batch of its own. */
	struct held	 held[HELD_MAX];
	struct held	*last;		/* that src_get looked into */
	uint64_t	 turn;
};

static enum err
opened(struct src *s, enum err e, struct src **out)
{
	if (e != E_OK) {
		free(s);
		return e;
	}
	arena_init(&s->view[0], ANSWER_MAX);
	arena_init(&s->view[1], ANSWER_MAX);
	arena_init(&s->stats, MIB);
	*out = s;
	return E_OK;
}

enum err
src_open(const char *path, const char *program, int timeout_ms,
    struct src **out)
{
	struct src *s = calloc(1, sizeof *s);

	return s == NULL ? E_NOMEM : opened(s, eng_open(path, program,
	    timeout_ms, &s->eng), out);
}

enum err
src_open_local(const char *data_dir, struct src **out)
{
	struct src *s = calloc(1, sizeof *s);

	return s == NULL ? E_NOMEM : opened(s, local_open(data_dir,
	    &s->local), out);
}

static void
batch_forget(struct src *s, struct held *h)
{
	if (h->bytes == NULL)
		return;
	batch_iter_close(&h->it);
	free(h->bytes);
	free(h->marks);
	if (s->last == h)
		s->last = NULL;
	*h = (struct held){ 0 };
}

void
src_close(struct src *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < HELD_MAX; i++)
		batch_forget(s, &s->held[i]);
	arena_reset(&s->view[0]);
	arena_reset(&s->view[1]);
	arena_reset(&s->stats);
	if (s->eng != NULL)
		eng_close(s->eng);
	local_close(s->local);
	free(s);
}

const char *
src_data_dir(struct src *s)
{
	struct stats_req req = { 0 };
	struct stats_res res;

	if (s->local != NULL)
		return local_dir(s->local);
	arena_reset(&s->stats);
	if (eng_call(s->eng, IPC_STATS, 0, &req, &res, &s->stats) != E_OK ||
	    res.data_dir.len < 0)
		return NULL;
	return arena_strndup(&s->stats, res.data_dir.p,
	    (size_t)res.data_dir.len);
}

enum err
src_view(struct src *s, int64_t seen, int wait_ms, bool all,
    const struct view_res **out)
{
	struct view_req req = { .seen = seen, .wait_ms = wait_ms,
	    .all = all };
	int spare = !s->now;
	enum err e;

	arena_reset(&s->view[spare]);
	e = s->local != NULL ? local_view(s->local, all, &s->view_res[spare],
	    &s->view[spare]) : eng_await(s->eng, IPC_VIEW, &req,
	    &s->view_res[spare], &s->view[spare], wait_ms);
	*out = &s->view_res[spare];
	if (e != E_OK || s->view_res[spare].same)
		return e;
	/* What was read may be deleted since. */
	if (s->view_res[spare].stamp != s->view_res[s->now].stamp)
		for (int i = 0; i < HELD_MAX; i++)
			batch_forget(s, &s->held[i]);
	s->now = spare;
	return E_OK;
}

enum err
src_start(struct src *s, const struct uuid *topic, int32_t part,
    int64_t *start)
{
	const struct view_res *v;
	enum err e = src_view(s, -1, 0, true, &v);

	for (int i = 0; e == E_OK && i < v->topics.n; i++) {
		const struct view_res_topic *t = &v->topics.v[i];

		for (int j = 0; j < t->parts.n; j++)
			if (t->parts.v[j].index == part &&
			    uuid_eq(t->id, *topic)) {
				*start = t->parts.v[j].start;
				return E_OK;
			}
	}
	return e == E_OK ? E_UNKNOWN_TOPIC_ID : e;
}

/* A link that was lost is a reason to ask again.  That there is no engine is
 * not that there is no record. */
static enum err
fetch(struct src *s, const struct fetch_want *w, struct extents *x)
{
	enum err e = E_CLOSED;

	if (s->local != NULL)
		return local_fetch(s->local, w, x);
	for (int i = 0; i < FETCH_TRIES && e == E_CLOSED; i++)
		e = eng_fetch(s->eng, w, x);
	return e == E_NOTFOUND ? E_CLOSED : e;
}

/* ---- many records ------------------------------------------------------ */

struct reading {
	int64_t	 from, to;
	bool	(*each)(void *, const struct record *);
	void	*arg;
	bool	 over;		/* each wants no more, or `to` is reached */
};

static enum err
read_batch(struct reading *r, const struct batch *b, const uint8_t *p)
{
	struct batch_iter it;
	struct record rec;
	enum err e;

	if (b->base_offset >= r->to) {
		r->over = true;
		r->from = r->to;
		return E_OK;
	}
	if (b->attrs & BATCH_CONTROL) {
		r->from = batch_last_offset(b) + 1;
		return E_OK;
	}
	e = batch_iter_open(&it, p, (size_t)batch_size(b), INFLATE_MAX);
	while (e == E_OK && !r->over &&
	    (e = batch_iter_next(&it, &rec)) == E_OK) {
		if (rec.offset < r->from)
			continue;
		if (rec.offset >= r->to) {
			r->over = true;
			r->from = r->to;
			break;
		}
		r->over = !r->each(r->arg, &rec);
		r->from = rec.offset + 1;
	}
	batch_iter_close(&it);
	if (e == E_EOF) {
		r->from = batch_last_offset(b) + 1;
		e = E_OK;
	}
	return e;
}

static enum err
read_extents(struct reading *r, const struct extents *x)
{
	const uint8_t *p;
	struct reader rd;
	struct batch b;
	enum err e = E_OK;

	for (int i = 0; i < x->n && !r->over && e == E_OK; i++) {
		reader_open(&rd, x->v[i].h->fd, x->v[i].position,
		    x->v[i].length);
		while (!r->over && e == E_OK &&
		    (e = reader_batch(&rd, &b, &p)) == E_OK)
			e = read_batch(r, &b, p);
		reader_close(&rd);
		if (e == E_EOF)
			e = E_OK;
	}
	return e;
}

enum err
src_read(struct src *s, const struct uuid *topic, int32_t part, int64_t from,
    int64_t to, bool (*each)(void *, const struct record *), void *arg,
    int64_t *next)
{
	struct reading r = { from, to, each, arg, false };
	struct fetch_want w = { .topic = *topic, .part = part,
	    .bytes_max = READ_BYTES, .committed = true };
	struct extents x;
	enum err e = E_OK;
	int64_t before;
	int n = 1;

	while (!r.over && r.from < to && e == E_OK && n > 0) {
		w.offset = before = r.from;
		e = fetch(s, &w, &x);
		if (e == E_OK) {
			n = x.n;
			e = read_extents(&r, &x);
			extents_free(&x);
		}
		/* A batch that is not whole yet: the log ends here. */
		if (r.from == before && !r.over)
			break;
	}
	*next = r.from < to ? r.from : to;
	return e;
}

/* ---- one record -------------------------------------------------------- */

/* Notes where each record is, so that any of them is found at once. */
static enum err
batch_mark(struct held *h)
{
	struct record r;
	enum err e;

	for (h->nmarks = 0; ; h->nmarks++) {
		struct mark m = { .p = h->it.r.p, .seen = h->it.seen,
		    .delta = h->it.delta };

		if (h->nmarks == h->marks_cap) {
			int cap = h->marks_cap == 0 ? 16 :
			    h->marks_cap * 2;
			struct mark *v = realloc(h->marks, (size_t)cap *
			    sizeof *v);

			if (v == NULL)
				return E_NOMEM;
			h->marks = v;
			h->marks_cap = cap;
		}
		e = batch_iter_next(&h->it, &r);
		if (e != E_OK)
			return e == E_EOF ? E_OK : e;
		m.offset = r.offset;
		h->marks[h->nmarks] = m;
	}
}

static const struct mark *
mark_find(const struct held *h, int64_t offset)
{
	int lo = 0, hi = h->nmarks;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (h->marks[mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < h->nmarks && h->marks[lo].offset == offset ?
	    &h->marks[lo] : NULL;
}

static bool
held_has(const struct held *h, const struct uuid *topic, int32_t part,
    int64_t offset)
{
	return h->bytes != NULL && h->part == part && offset >= h->from &&
	    offset <= batch_last_offset(&h->it.b) &&
	    uuid_eq(h->topic, *topic);
}

static struct held *
held_find(struct src *s, const struct uuid *topic, int32_t part,
    int64_t offset)
{
	if (s->last != NULL && held_has(s->last, topic, part, offset))
		return s->last;
	for (int i = 0; i < HELD_MAX; i++)
		if (held_has(&s->held[i], topic, part, offset))
			return &s->held[i];
	return NULL;
}

/* The one that was not used for the longest time: of a partition, or of all
 * (topic NULL).  *size: of all those together. */
static struct held *
held_oldest(struct src *s, const struct uuid *topic, int32_t part,
    int64_t *size)
{
	struct held *old = NULL;

	*size = 0;
	for (int i = 0; i < HELD_MAX; i++) {
		struct held *h = &s->held[i];

		if (h->bytes == NULL || (topic != NULL && (h->part != part ||
		    !uuid_eq(h->topic, *topic))))
			continue;
		*size += h->size;
		if (old == NULL || h->used < old->used)
			old = h;
	}
	return old;
}

/* A place for one more of a partition; what is in it goes.  A walk does not
 * come back to what it has left behind, and memory that was used already is
 * had sooner than other. */
static struct held *
held_new(struct src *s, const struct uuid *topic, int32_t part)
{
	struct held *old;
	int64_t size;

	while ((old = held_oldest(s, topic, part, &size)) != NULL &&
	    size > HELD_PART_BYTES)
		batch_forget(s, old);
	while ((old = held_oldest(s, NULL, 0, &size)) != NULL &&
	    size > HELD_BYTES)
		batch_forget(s, old);
	for (int i = 0; i < HELD_MAX; i++)
		if (s->held[i].bytes == NULL)
			return &s->held[i];
	batch_forget(s, old);
	return old;
}

/* Where the batch is that holds an offset, or comes next: its header, and its
 * place in the first of the extents, which become the caller's. */
static enum err
batch_seek(struct src *s, const struct fetch_want *w, struct extents *x,
    struct batch *b, int64_t *pos)
{
	struct reader rd;
	enum err e = fetch(s, w, x);
	int64_t end;

	if (e != E_OK)
		return e == E_OFFSET_OUT_OF_RANGE ? E_NOTFOUND : e;
	if (x->n == 0) {
		extents_free(x);
		return E_NOTFOUND;
	}
	*pos = x->v[0].position;
	end = *pos + x->v[0].length;
	for (; ; *pos += batch_size(b)) {
		reader_open(&rd, x->v[0].h->fd, *pos, end - *pos <
		    BATCH_HEADER ? end - *pos : BATCH_HEADER);
		e = reader_header(&rd, b);
		reader_close(&rd);
		if (e == E_OK && batch_last_offset(b) < w->offset)
			continue;
		if (e != E_OK)
			extents_free(x);
		return e == E_EOF ? E_NOTFOUND : e;
	}
}

static enum err
batch_load(struct src *s, const struct fetch_want *w, const struct extents *x,
    int64_t pos, struct held **out)
{
	struct held *h = held_new(s, &w->topic, w->part);
	struct reader rd;
	struct batch b;
	const uint8_t *p;
	enum err e;

	reader_open(&rd, x->v[0].h->fd, pos, x->v[0].position +
	    x->v[0].length - pos);
	e = reader_batch(&rd, &b, &p);
	if (e == E_OK) {
		e = batch_iter_open(&h->it, p, (size_t)batch_size(&b),
		    INFLATE_MAX);
		if (e != E_OK)
			batch_iter_close(&h->it);
	}
	if (e != E_OK) {
		reader_close(&rd);
		return e == E_EOF ? E_NOTFOUND : e;
	}
	h->bytes = rd.buf;
	h->topic = w->topic;
	h->part = w->part;
	h->from = b.base_offset;
	if (!(b.attrs & BATCH_CONTROL))
		e = batch_mark(h);
	h->size = batch_size(&b) + (int64_t)h->it.plain.len +
	    (int64_t)h->marks_cap * (int64_t)sizeof *h->marks;
	*out = h;
	if (e != E_OK)
		batch_forget(s, h);
	return e;
}

/* An index that is older than a compaction of its segment asks for many that
 * are gone: what lies before the batch is measured, in steps that grow, so that
 * a walk down does not ask for each of them. */
static void
gap_measure(struct src *s, struct fetch_want *w, struct held *h)
{
	struct extents x;
	struct batch b;
	int64_t pos;

	for (int64_t step = 1; step <= h->from; step *= 2) {
		w->offset = h->from - step;
		if (batch_seek(s, w, &x, &b, &pos) != E_OK)
			return;
		extents_free(&x);
		if (b.base_offset != h->it.b.base_offset)
			return;
		h->from = w->offset;
	}
}

/* The batch of an offset, or, when there is none, the one behind it. */
static enum err
batch_get(struct src *s, struct fetch_want *w, struct held **out)
{
	struct held *h;
	struct extents x;
	struct batch b;
	int64_t pos;
	enum err e;

	if ((*out = held_find(s, &w->topic, w->part, w->offset)) != NULL)
		return E_OK;
	if ((e = batch_seek(s, w, &x, &b, &pos)) != E_OK)
		return e;
	h = held_find(s, &w->topic, w->part, b.base_offset);
	if (h == NULL || h->it.b.base_offset != b.base_offset)
		e = batch_load(s, w, &x, pos, &h);
	extents_free(&x);
	if (e != E_OK)
		return e;
	if (w->offset < b.base_offset) {
		h->from = w->offset;	/* it was not held, so it is lower */
		gap_measure(s, w, h);
	}
	*out = h;
	return E_OK;
}

enum err
src_get(struct src *s, const struct uuid *topic, int32_t part, int64_t offset,
    struct record *r)
{
	struct fetch_want w = { .topic = *topic, .part = part,
	    .offset = offset, .bytes_max = GET_BYTES, .committed = true };
	struct held *h;
	const struct mark *m;
	enum err e = batch_get(s, &w, &h);

	if (e != E_OK)
		return e;
	s->last = h;
	h->used = ++s->turn;
	m = mark_find(h, offset);
	if (m == NULL)
		return E_NOTFOUND;
	h->it.r.p = m->p;
	h->it.seen = m->seen;
	h->it.delta = m->delta;
	return batch_iter_next(&h->it, r);
}
