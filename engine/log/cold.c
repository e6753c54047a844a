/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cold reads: a job in the bulk pool brings into memory what a fetch needs
 * before it can be answered without blocking, and goes on, once the fetch has
 * it, with what a reader in order will want next.  While something is being
 * appended, little of it is at the disk at any time, for every commit's sync is
 * queued behind that.
 */
#include <stdlib.h>

#include "clock.h"
#include "cold.h"
#include "engine.h"
#include "history.h"
#include "look.h"

enum {
	AHEAD_MIN	= 1 * MIB, /* of what a reader in order needs next */
	AHEAD_MAX	= 8 * MIB,
	AHEAD_ALL	= 32 * MIB, /* of one fetch */
	AHEAD_NEAR	= 2 * MIB, /* so near the last place is in order */
	LATE_MS		= 1000,	/* since the last append */
	MARKS_TRIES	= 3,	/* what is on its way stays at first */
	MARKS_BYTES	= 32 * MIB, /* beyond the reader */
	WINDOWS_MAX	= 256,	/* of index entries, whole engine */
};

struct cold {
	struct job	 job;
	void		(*done)(void *);
	void		*arg;
	struct history_load *loads;
	int		 n, cap, nloads, loads_cap;
	int64_t		 ahead;		/* of all items */
	bool		 gentle;	/* appends go first */
	bool		 progressed;	/* done was called */
	struct cold_item {
		struct part	*part;
		struct seg	*seg;		/* ours */
		int64_t		 offset, end, nfile;
		int64_t		 ahead;		/* bytes beyond */
		struct proof	 proof;
		uint32_t	 gen;
		struct window	*window;	/* loaded; NULL: not wanted */
		bool		 want_window;
		bool		 drop_marks;
	} *items;
};

struct walk_window {
	struct window	*w;
	int64_t		 offset;
};

/* The index is unreadable: entries from the headers themselves. */
static int
walk_each(const struct batch *b, int64_t pos, void *arg)
{
	struct walk_window *x = arg;
	struct window *w = x->w;
	struct idx_entry e = { b->base_offset, pos, -1 };

	if (b->base_offset <= x->offset) {
		w->e[0] = e;
		w->n = 1;
		return 0;
	}
	if (pos - w->e[w->n > 0 ? w->n - 1 : 0].pos >= IDX_INTERVAL)
		w->e[w->n++] = e;
	return w->n == WINDOW_ENTRIES;
}

static void
window_load(struct cold_item *it)
{
	struct window *w = calloc(1, sizeof *w);
	struct walk_window x = { w, it->offset };
	int64_t at;
	enum err e;
	int fd;

	if (w == NULL)
		return;
	w->handle = it->seg->handle;
	w->nfile = it->nfile;
	w->asked = it->offset;
	e = seg_idx_load(it->seg, it->nfile, 0, it->offset, w->e,
	    WINDOW_ENTRIES, &w->n);
	if (e != E_OK) {
		w->n = 0;
		e = seg_fd(it->seg, &fd);
		if (e == E_OK)
			e = seg_walk(fd, 0, it->end, walk_each, &x, &at);
		if (e != E_OK && w->n == 0) {
			free(w);
			return;
		}
	}
	w->from_start = w->n == 0 || w->e[0].offset > it->offset;
	w->to_end = w->n < WINDOW_ENTRIES;
	it->window = w;
}

/* One step after the other, until somebody waits for the thread: the last byte
 * of a step is there when all of it is.  An error shows itself to who reads
 * next. */
static void
read_gently(const struct job *j, const struct cold_item *it)
{
	int64_t at = it->proof.pos + it->proof.len, end = at + it->ahead;
	enum err e = it->proof.err;

	while (e == E_OK && at < end && !pool_waits(j)) {
		int64_t n = end - at < DISK_STEP ? end - at : DISK_STEP;
		size_t got;
		char last;

		disk->prefetch(it->proof.fd, at, n);
		at += n;
		e = disk->pread(it->proof.fd, &last, 1, at - 1, &got);
	}
}

static void
cold_run(struct job *j)
{
	struct cold *c = (struct cold *)j;

	for (int i = 0; i < c->n; i++) {
		struct cold_item *it = &c->items[i];
		struct proof *x = &it->proof;

		/* An error shows itself to who reads next. */
		if ((x->err = seg_fd(it->seg, &x->fd)) != E_OK)
			continue;
		if (it->want_window)
			window_load(it);
		if (x->len == 0)
			continue;
		disk->readahead(x->fd, !c->gentle);
		if (it->drop_marks)
			disk->drop_ahead(x->fd, x->pos, MARKS_BYTES);
		trust_prove(x);
		if (!c->gentle)
			disk->prefetch(x->fd, x->pos + x->len, it->ahead);
	}
	for (int i = 0; i < c->nloads; i++)
		history_load_run(&c->loads[i]);
	if (!c->gentle || c->ahead == 0)
		return;
	pool_progress(j);
	for (int i = 0; i < c->n; i++)
		read_gently(j, &c->items[i]);
}

/* One window a partition; the oldest goes when there are too many. */
static void
window_install(struct part *p, struct window *w)
{
	struct engine *eng = p->eng;

	window_drop(p);
	if (eng->nwindows == WINDOWS_MAX)
		window_drop(eng->windows->part);
	w->part = p;
	w->next = NULL;
	w->prevp = eng->windows_tail;
	*eng->windows_tail = w;
	eng->windows_tail = &w->next;
	eng->nwindows++;
	p->window = w;
}

void
window_drop(struct part *p)
{
	struct window *w = p->window;

	if (w == NULL)
		return;
	*w->prevp = w->next;
	if (w->next != NULL)
		w->next->prevp = w->prevp;
	else
		p->eng->windows_tail = w->prevp;
	p->eng->nwindows--;
	p->window = NULL;
	free(w);
}

static void
cold_free(struct cold *c)
{
	free(c->items);
	free(c->loads);
	free(c);
}

/* What was wanted is there. */
static void
cold_there(struct job *j)
{
	struct cold *c = (struct cold *)j;

	for (int i = 0; i < c->n; i++) {
		struct cold_item *it = &c->items[i];

		if (it->window != NULL && it->gen == it->part->gen)
			window_install(it->part, it->window);
		else
			free(it->window);
		if (it->proof.len > 0 && it->part->topic != NULL)
			look_proved(it->part, it->seg, &it->proof);
	}
	for (int i = 0; i < c->nloads; i++)
		history_load_end(&c->loads[i]);
	c->progressed = true;
	c->done(c->arg);
}

static void
cold_done(struct job *j)
{
	struct cold *c = (struct cold *)j;

	if (!c->progressed)
		cold_there(j);
	for (int i = 0; i < c->n; i++) {
		seg_unref(c->items[i].seg);
		part_job_done(c->items[i].part);
	}
	cold_free(c);
}

static bool
appends_first(const struct engine *eng)
{
	return mono_ms() - eng->appended_ms < LATE_MS;
}

/* What the kernel reads ahead goes on by itself: it marks a page of it, and
 * whoever comes to the mark, the loop's look or a gateway's sendfile, has it
 * read and mark the next stretch, although the file was told to stop meanwhile.
 * So the jobs that are first afterwards take the stretch out of memory. */
static bool
tame(struct seg *s, bool gentle)
{
	if (!gentle || !s->cold_tame)
		s->cold_marks = MARKS_TRIES;
	s->cold_tame = gentle;
	if (gentle && s->cold_marks > 0) {
		s->cold_marks--;
		return true;
	}
	return false;
}

bool
cold_may_look(const struct part *p, const struct seg *s)
{
	return s->cold_marks == 0 || !appends_first(p->eng);
}

static struct cold *
cold_new(const struct engine *eng)
{
	struct cold *c = calloc(1, sizeof *c);

	if (c != NULL) {
		c->gentle = appends_first(eng);
		c->job.run = cold_run;
		c->job.progress = cold_there;
		c->job.done = cold_done;
	}
	return c;
}

/* Room for one more of n; v or NULL. */
static void *
grow(void *v, int n, int *cap, size_t size)
{
	int more = *cap * 2 + 4;
	void *p;

	if (n < *cap)
		return v;
	p = realloc(v, (size_t)more * size);
	if (p != NULL)
		*cap = more;
	return p;
}

/* How much more than [pos, pos + len) a reader will want soon, at most room
 * bytes: nothing for one that jumps about, and twice as much each time for one
 * that reads in order, so that the disk works while the client does.  One that
 * is still far from the end of what was read ahead starts anew. */
static int64_t
cold_ahead(struct seg *s, int64_t pos, int64_t len, int64_t end, int64_t room)
{
	int64_t ahead = s->cold_step * 2;

	if (pos > 0 && (pos > s->cold_end + AHEAD_NEAR ||
	    pos < s->cold_end - AHEAD_NEAR))
		ahead = 0;
	else if (ahead < AHEAD_MIN)
		ahead = AHEAD_MIN;
	else if (ahead > AHEAD_MAX)
		ahead = AHEAD_MAX;
	if (room > end - pos - len)
		room = end - pos - len > 0 ? end - pos - len : 0;
	if (ahead > room)
		ahead = room;
	s->cold_step = ahead;
	s->cold_end = pos + len + ahead;
	return ahead;
}

enum err
cold_add(struct cold **cp, struct part *p, struct seg *s, int64_t offset,
    const struct fetch_extent *x)
{
	struct cold *c = *cp != NULL ? *cp : (*cp = cold_new(p->eng));
	struct cold_item *it;

	if (c == NULL ||
	    (it = grow(c->items, c->n, &c->cap, sizeof *it)) == NULL)
		return E_NOMEM;
	c->items = it;
	it = &c->items[c->n++];
	*it = (struct cold_item){ .part = p, .seg = seg_ref(s),
	    .offset = offset, .gen = p->gen, .proof = look_proof(p, s, x),
	    .end = look_visible(p, s), .nfile = s->idx.nfile };
	if (x->len > 0) {	/* else only the window is wanted */
		it->ahead = cold_ahead(s, x->pos, x->len, it->end,
		    AHEAD_ALL - c->ahead);
		it->drop_marks = tame(s, c->gentle);
	}
	c->ahead += it->ahead;
	it->want_window = s->idx.nfile > 0 &&
	    !look_covered(p->window, s, offset);
	p->jobs++;
	p->eng->stats.cold_reads++;
	return E_OK;
}

enum err
cold_add_history(struct cold **cp, struct part *p)
{
	struct cold *c = *cp != NULL ? *cp : (*cp = cold_new(p->eng));
	struct history_load *l;
	enum err e;

	if (c == NULL || (l = grow(c->loads, c->nloads, &c->loads_cap,
	    sizeof *l)) == NULL)
		return E_NOMEM;
	c->loads = l;
	e = history_load_begin(&c->loads[c->nloads], p);
	c->nloads += e == E_OK;
	return e;
}

void
cold_start(struct cold *c, struct engine *eng, void (*done)(void *), void *arg)
{
	c->done = done;
	c->arg = arg;
	pool_submit(eng->bulk, &c->job);
}
