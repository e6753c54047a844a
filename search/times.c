/* SPDX-License-Identifier: Apache-2.0 */
/* The timestamps of a shard's documents; times.h has the format. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "times.h"
#include "xap.h"

#define BOUNDS_KEY	"times"

enum { STRETCH_MAX = 15 };	/* bytes of one */

unsigned
times_block(uint32_t id)
{
	return (id - 1) / TIMES_BLOCK;
}

void
times_key(char out[TIMES_NAME], unsigned block)
{
	snprintf(out, TIMES_NAME, "time.%02u", block);
}

/* ---- reading ----------------------------------------------------------- */

void
times_begin(struct times_at *t, unsigned block, const void *p, size_t n)
{
	*t = (struct times_at){ .rest = p, .end = (const uint8_t *)p +
	    n, .first = block * TIMES_BLOCK + 1 };
	t->limit = t->first + TIMES_BLOCK;
}

enum err
times_next(struct times_at *t)
{
	struct rd r = { t->rest, t->end, false };
	int64_t more;

	if (rd_left(&r) == 0)
		return E_EOF;
	t->first += t->n;
	more = rd_varlong(&r);
	t->n = rd_uvarint(&r);
	t->rest = r.p;
	if (r.bad || t->n == 0 || t->n > t->limit - t->first)
		return E_CORRUPT;
	t->ts = (int64_t)((uint64_t)t->ts + (uint64_t)more);
	return E_OK;
}

struct wanted { uint32_t id; int64_t ts; enum err err; };

static bool
find(void *arg, const char *key, const char *p, size_t n)
{
	struct wanted *w = arg;
	struct times_at t;

	(void)key;
	times_begin(&t, times_block(w->id), p, n);
	do
		w->err = times_next(&t);
	while (w->err == E_OK && t.first + t.n <= w->id);
	w->ts = t.ts;
	if (w->err == E_EOF)
		w->err = E_NOTFOUND;
	return false;
}

enum err
times_get(struct xap_db *db, uint32_t id, int64_t *ts)
{
	struct wanted w = { .id = id, .err = E_NOTFOUND };
	char key[TIMES_NAME];
	enum err e;

	times_key(key, times_block(id));
	e = xap_metas(db, key, find, &w);
	*ts = w.ts;
	return e == E_OK ? w.err : e;
}

static bool
bounds_parse(const char *s, int64_t *low, int64_t *high)
{
	char *end;

	*low = strtoll(s, &end, 10);
	if (end == s || *end != ' ')
		return false;
	*high = strtoll(s = end + 1, &end, 10);
	return end > s && *end == '\0';
}

enum err
times_bounds(struct xap_db *db, int64_t *low, int64_t *high)
{
	char *s;
	enum err e = xap_meta(db, BOUNDS_KEY, &s);

	if (e != E_OK)
		return e;
	e = *s == '\0' ? E_NOTFOUND : bounds_parse(s, low, high) ? E_OK :
	    E_CORRUPT;
	free(s);
	return e;
}

/* ---- writing ----------------------------------------------------------- */

/* Those of a shard that grows: of the block that is not full yet. */
struct times {
	struct xap_writer *w;
	bool		 any;		/* low and high are known */
	int64_t		 low, high;
	unsigned	 block;
	uint32_t	 next;		/* the id behind the last; 0: none */
	struct wr	 over;		/* stretches that cannot grow */
	int64_t		 before;	/* timestamp of the last of them */
	int64_t		 ts;		/* of the one that can, ... */
	uint32_t	 n;		/* ... and its ids */
	bool		 damaged;
};

static void
put(struct wr *w, int64_t more, uint32_t n)
{
	wr_varlong(w, more);
	wr_uvarint(w, n);
}

/* a - b, round the end if need be. */
static int64_t
less(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* The open stretch is over. */
static void
stretch_end(struct times *t)
{
	put(&t->over, less(t->ts, t->before), t->n);
	t->before = t->ts;
}

static void
block_begin(struct times *t, unsigned block)
{
	t->block = block;
	t->next = 0;
	t->over.len = 0;
	t->before = 0;
}

static bool
take_block(void *arg, const char *key, const char *p, size_t n)
{
	struct times *t = arg;
	struct times_at at;
	enum err e;

	(void)key;
	times_begin(&at, t->block, p, n);
	while ((e = times_next(&at)) == E_OK) {
		if (t->next != 0)
			stretch_end(t);
		t->ts = at.ts;
		t->n = at.n;
		t->next = at.first + at.n;
	}
	t->damaged |= e == E_CORRUPT;
	return false;
}

static bool
take_bounds(void *arg, const char *key, const char *s, size_t n)
{
	struct times *t = arg;

	(void)key;
	(void)n;
	t->any = bounds_parse(s, &t->low, &t->high);
	t->damaged |= !t->any;
	return false;
}

enum err
times_open(struct xap_writer *w, uint32_t id, struct times **out)
{
	struct times *t = malloc(sizeof *t);
	char key[TIMES_NAME];
	enum err e;

	*out = NULL;
	if (t == NULL)
		return E_NOMEM;
	*t = (struct times){ .w = w, .over = wr_grow(TIMES_BLOCK *
	    STRETCH_MAX) };
	block_begin(t, times_block(id));
	times_key(key, t->block);
	e = xap_writer_metas(w, key, take_block, t);
	if (e == E_OK)
		e = xap_writer_metas(w, BOUNDS_KEY, take_bounds, t);
	if (e == E_OK && t->over.bad)
		e = E_NOMEM;
	if (e == E_OK && (t->damaged || t->next > id))
		e = E_CORRUPT;
	if (e == E_OK)
		*out = t;
	else
		times_close(t);
	return e;
}

static enum err
block_store(struct times *t)
{
	size_t len = t->over.len;
	char key[TIMES_NAME];
	enum err e;

	if (t->next == 0)
		return E_OK;
	/* The last stretch may grow yet: it is written anew then. */
	put(&t->over, less(t->ts, t->before), t->n);
	times_key(key, t->block);
	e = t->over.bad ? E_NOMEM : xap_meta_set(t->w, key,
	    (const char *)t->over.p, t->over.len);
	t->over.len = len;
	return e;
}

enum err
times_add(struct times *t, uint32_t id, int64_t ts)
{
	unsigned block = times_block(id);
	enum err e = E_OK;

	if (block != t->block) {
		e = block_store(t);
		block_begin(t, block);
	}
	if (t->next == 0) {
		t->ts = ts;
		t->n = id - block * TIMES_BLOCK;
	} else if (t->ts == ts) {
		t->n += id - t->next + 1;
	} else {
		t->n += id - t->next;
		stretch_end(t);
		t->ts = ts;
		t->n = 1;
	}
	t->next = id + 1;
	t->low = !t->any || ts < t->low ? ts : t->low;
	t->high = !t->any || ts > t->high ? ts : t->high;
	t->any = true;
	return e;
}

enum err
times_store(struct times *t)
{
	char text[48];
	int n = snprintf(text, sizeof text, "%lld %lld", (long long)t->low,
	    (long long)t->high);
	enum err e = block_store(t);

	return e == E_OK && t->any ? xap_meta_set(t->w, BOUNDS_KEY, text,
	    (size_t)n) : e;
}

void
times_close(struct times *t)
{
	if (t != NULL)
		wr_free(&t->over);
	free(t);
}
