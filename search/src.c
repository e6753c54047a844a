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
};

/* One of eng and local is there. */
struct src {
	struct eng	*eng;
	struct local	*local;
	struct arena	 view[2], stats;	/* the last, and a spare */
	struct view_res	 view_res[2];
	int		 now;		/* which is the last */
	/* The batch that src_get looked into last. */
	struct uuid	 topic;
	int32_t		 part;
	bool		 open;
	struct batch_iter it;
	uint8_t		*bytes;
	struct mark	*marks;		/* one for each of its records */
	int		 nmarks, marks_cap;
};

/* Where a record is read from. */
struct mark {
	int64_t		 offset;
	const uint8_t	*p;
	int32_t		 seen, delta;	/* of the iterator before it */
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
batch_forget(struct src *s)
{
	if (s->open)
		batch_iter_close(&s->it);
	s->open = false;
	free(s->bytes);
	s->bytes = NULL;
}

void
src_close(struct src *s)
{
	if (s == NULL)
		return;
	batch_forget(s);
	free(s->marks);
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
	if (e == E_OK && !s->view_res[spare].same)
		s->now = spare;
	return e;
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
batch_mark(struct src *s)
{
	struct record r;
	enum err e;

	for (s->nmarks = 0; ; s->nmarks++) {
		struct mark m = { .p = s->it.r.p, .seen = s->it.seen,
		    .delta = s->it.delta };

		if (s->nmarks == s->marks_cap) {
			int cap = s->marks_cap == 0 ? 256 :
			    s->marks_cap * 2;
			struct mark *v = realloc(s->marks, (size_t)cap *
			    sizeof *v);

			if (v == NULL)
				return E_NOMEM;
			s->marks = v;
			s->marks_cap = cap;
		}
		e = batch_iter_next(&s->it, &r);
		if (e != E_OK)
			return e == E_EOF ? E_OK : e;
		m.offset = r.offset;
		s->marks[s->nmarks] = m;
	}
}

static const struct mark *
mark_find(const struct src *s, int64_t offset)
{
	int lo = 0, hi = s->nmarks;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (s->marks[mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nmarks && s->marks[lo].offset == offset ?
	    &s->marks[lo] : NULL;
}

/* The batch that holds an offset, or comes next, becomes ours. */
static enum err
batch_load(struct src *s, const struct uuid *topic, int32_t part,
    int64_t offset)
{
	struct fetch_want w = { .topic = *topic, .part = part,
	    .offset = offset, .bytes_max = GET_BYTES, .committed = true };
	struct extents x;
	struct reader rd;
	const uint8_t *p;
	struct batch b;
	enum err e;

	batch_forget(s);
	e = fetch(s, &w, &x);
	if (e != E_OK)
		return e == E_OFFSET_OUT_OF_RANGE ? E_NOTFOUND : e;
	if (x.n == 0) {
		extents_free(&x);
		return E_NOTFOUND;
	}
	reader_open(&rd, x.v[0].h->fd, x.v[0].position, x.v[0].length);
	do
		e = reader_batch(&rd, &b, &p);
	while (e == E_OK && batch_last_offset(&b) < offset);
	if (e == E_OK) {
		s->bytes = malloc((size_t)batch_size(&b));
		if (s->bytes == NULL)
			e = E_NOMEM;
		else
			memcpy(s->bytes, p, (size_t)batch_size(&b));
	}
	reader_close(&rd);
	extents_free(&x);
	if (e == E_OK)
		e = batch_iter_open(&s->it, s->bytes,
		    (size_t)batch_size(&b), INFLATE_MAX);
	if (e != E_OK)
		return e == E_EOF ? E_NOTFOUND : e;
	s->open = true;
	s->topic = *topic;
	s->part = part;
	s->nmarks = 0;
	if (!(s->it.b.attrs & BATCH_CONTROL))
		e = batch_mark(s);
	if (e != E_OK)
		batch_forget(s);
	return e;
}

enum err
src_get(struct src *s, const struct uuid *topic, int32_t part, int64_t offset,
    struct record *r)
{
	const struct mark *m;
	enum err e = E_OK;

	if (!s->open || s->part != part || !uuid_eq(s->topic, *topic) ||
	    offset < s->it.b.base_offset ||
	    offset > batch_last_offset(&s->it.b))
		e = batch_load(s, topic, part, offset);
	if (e != E_OK)
		return e;
	m = mark_find(s, offset);
	if (m == NULL)
		return E_NOTFOUND;
	s->it.r.p = m->p;
	s->it.seen = m->seen;
	s->it.delta = m->delta;
	return batch_iter_next(&s->it, r);
}
