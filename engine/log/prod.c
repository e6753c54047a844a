/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotent producers: a hash table by producer id whose members also stand
 * in a heap, longest silent first, so that both expiry and eviction find their
 * victim at once whatever a client sends.  Its silence is measured by our own
 * clock: records may bear any time, and a producer that copies old ones is as
 * alive as any other.  Those of before a start are heard of at the start.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lib/crc32c.h"
#include "plant.h"
#include "prod.h"

#define BUCKETS_MIN	8
#define PRODUCER_BYTES	19	/* of a producer, without its batches */

struct prod_batch {
	int32_t	first_seq, last_seq;
	int64_t	first_offset, last_offset, ts;
};

struct producer {
	struct producer		*next;		/* in its bucket */
	int64_t			 pid, ts;
	int64_t			 used;		/* mono_ms of the last batch */
	int			 at;		/* place in the heap */
	int			 n;		/* batches kept */
	int16_t			 epoch;
	struct prod_batch	 batches[PRODUCER_BATCHES]; /* oldest first */
};

struct prod_table {
	struct producer	**buckets;	/* a power of two of them, or NULL */
	struct producer	**heap;		/* heap[i] is not younger than its
					 * children 2i+1 and 2i+2 */
	int		  nbuckets, n, cap;
};

struct prod_table *
prod_new(void)
{
	return calloc(1, sizeof(struct prod_table));
}

static void
clear(struct prod_table *t)
{
	for (int i = 0; i < t->n; i++)
		free(t->heap[i]);
	free(t->heap);
	free(t->buckets);
	*t = (struct prod_table){ .n = 0 };
}

void
prod_free(struct prod_table *t)
{
	if (t == NULL)
		return;
	clear(t);
	free(t);
}

int
prod_count(const struct prod_table *t)
{
	return t->n;
}

static struct producer **
bucket(const struct prod_table *t, int64_t pid)
{
	uint64_t h = (uint64_t)pid * 0x9e3779b97f4a7c15u;

	return &t->buckets[h >> 32 & (uint64_t)(t->nbuckets - 1)];
}

static struct producer *
find(const struct prod_table *t, int64_t pid)
{
	struct producer *p;

	if (t->n == 0)
		return NULL;
	for (p = *bucket(t, pid); p != NULL && p->pid != pid; p = p->next)
		continue;
	return p;
}

static void
heap_put(struct prod_table *t, int i, struct producer *p)
{
	t->heap[i] = p;
	p->at = i;
}

static bool
older(const struct producer *a, const struct producer *b)
{
	return a->used < b->used || (a->used == b->used && a->ts < b->ts);
}

/* Moves a producer to its place after its times changed. */
static void
heap_fix(struct prod_table *t, struct producer *p)
{
	int i = p->at, c;

	while (i > 0 && older(p, t->heap[(i - 1) / 2])) {
		heap_put(t, i, t->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((c = 2 * i + 1) < t->n) {
		if (c + 1 < t->n && older(t->heap[c + 1], t->heap[c]))
			c++;
		if (!older(t->heap[c], p))
			break;
		heap_put(t, i, t->heap[c]);
		i = c;
	}
	heap_put(t, i, p);
}

static void
drop_oldest(struct prod_table *t)
{
	struct producer *p = t->heap[0], *last = t->heap[--t->n], **b;

	if (last != p) {
		heap_put(t, 0, last);
		heap_fix(t, last);
	}
	for (b = bucket(t, p->pid); *b != p; b = &(*b)->next)
		continue;
	*b = p->next;
	free(p);
}

/* Room for one more in the heap and the buckets. */
static enum err
grow(struct prod_table *t)
{
	int cap = t->cap == 0 ? BUCKETS_MIN : t->cap * 2;
	struct producer **heap, **buckets, **b;

	if (t->n < t->cap)
		return E_OK;
	if ((heap = realloc(t->heap, (size_t)cap * sizeof *heap)) == NULL)
		return E_NOMEM;
	t->heap = heap;
	if ((buckets = calloc((size_t)cap, sizeof *buckets)) == NULL)
		return E_NOMEM;
	free(t->buckets);
	t->buckets = buckets;
	t->nbuckets = t->cap = cap;
	for (int i = 0; i < t->n; i++) {
		b = bucket(t, heap[i]->pid);
		heap[i]->next = *b;
		*b = heap[i];
	}
	return E_OK;
}

static struct producer *
insert(struct prod_table *t, int64_t pid, int64_t ts, int64_t now_ms)
{
	struct producer *p, **b;

	if (t->n == PRODUCERS_MAX)
		drop_oldest(t);
	if (grow(t) != E_OK || (p = calloc(1, sizeof *p)) == NULL)
		return NULL;
	p->pid = pid;
	p->ts = ts;
	p->used = now_ms;
	p->epoch = -1;
	b = bucket(t, pid);
	p->next = *b;
	*b = p;
	p->at = t->n++;
	heap_fix(t, p);
	return p;
}

/* Sequence numbers wrap from the greatest to 0, also within a batch. */
static int32_t
last_seq(const struct batch *b)
{
	return (int32_t)(((int64_t)b->base_seq + b->last_delta) & INT32_MAX);
}

enum err
prod_check(const struct prod_table *t, const struct batch *b,
    struct prod_hit *hit)
{
	const struct producer *p = find(t, b->pid);
	int32_t prev;

	if (p == NULL)
		return E_OK;
	if (b->epoch < p->epoch)
		return E_INVALID_PRODUCER_EPOCH;
	if (b->epoch > p->epoch)
		return b->base_seq == 0 ? E_OK : E_OUT_OF_ORDER_SEQUENCE;
	for (int i = 0; i < p->n; i++) {
		const struct prod_batch *o = &p->batches[i];

		if (o->first_seq == b->base_seq &&
		    o->last_seq == last_seq(b)) {
			*hit = (struct prod_hit){ o->first_offset,
			    o->last_offset, o->ts };
			return PLANT(no_dedupe) ? E_OK : E_DUPLICATE_SEQUENCE;
		}
	}
	/* Only control batches so far: the first sequence is 0. */
	prev = p->n == 0 ? -1 : p->batches[p->n - 1].last_seq;
	return b->base_seq == (prev == INT32_MAX ? 0 : prev + 1) ? E_OK :
	    E_OUT_OF_ORDER_SEQUENCE;
}

enum err
prod_note(struct prod_table *t, const struct batch *b, int64_t now_ms)
{
	struct producer *p = find(t, b->pid);

	if (p == NULL && (p = insert(t, b->pid, b->max_ts, now_ms)) == NULL)
		return E_NOMEM;
	if (p->epoch != b->epoch)
		p->n = 0;
	p->epoch = b->epoch;
	p->ts = b->max_ts;
	p->used = now_ms;
	heap_fix(t, p);
	if (b->attrs & BATCH_CONTROL)
		return E_OK;
	if (p->n == PRODUCER_BATCHES) {
		p->n--;
		memmove(p->batches, p->batches + 1,
		    (size_t)p->n * sizeof *p->batches);
	}
	p->batches[p->n++] = (struct prod_batch){
		.first_seq = b->base_seq,
		.last_seq = last_seq(b),
		.first_offset = b->base_offset,
		.last_offset = batch_last_offset(b),
		.ts = b->max_ts,
	};
	return E_OK;
}

int
prod_expire(struct prod_table *t, int64_t cutoff_ms, int max)
{
	int n = 0;

	for (; n < max && t->n > 0 && t->heap[0]->used < cutoff_ms; n++)
		drop_oldest(t);
	if (t->n == 0)
		clear(t);
	return n;
}

void
prod_each(const struct prod_table *t,
    void (*each)(const struct prod_info *, void *), void *arg)
{
	for (int i = 0; i < t->n; i++) {
		const struct producer *p = t->heap[i];
		struct prod_info info = { p->pid, p->ts, p->n == 0 ? -1 :
		    p->batches[p->n - 1].last_offset, p->n == 0 ? -1 :
		    p->batches[p->n - 1].last_seq, p->epoch };

		each(&info, arg);
	}
}

static int
by_pid(const void *a, const void *b)
{
	const struct producer *x = *(struct producer *const *)a;
	const struct producer *y = *(struct producer *const *)b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void
put_producer(struct wr *out, const struct producer *p)
{
	wr_i64(out, p->pid);
	wr_i16(out, p->epoch);
	wr_i64(out, p->ts);
	wr_i8(out, (int8_t)p->n);
	for (int i = 0; i < p->n; i++) {
		const struct prod_batch *b = &p->batches[i];

		wr_i32(out, b->first_seq);
		wr_i32(out, b->last_seq);
		wr_i64(out, b->first_offset);
		wr_i64(out, b->last_offset);
		wr_i64(out, b->ts);
	}
}

enum err
prod_encode(const struct prod_table *t, const struct log_id *id,
    int64_t offset, struct wr *out)
{
	struct producer **sorted = NULL;
	size_t from = out->len;

	if (t->n > 0) {
		/* By id, so that equal states are equal bytes. */
		sorted = malloc((size_t)t->n * sizeof *sorted);
		if (sorted == NULL)
			return E_NOMEM;
		memcpy(sorted, t->heap, (size_t)t->n * sizeof *sorted);
		qsort(sorted, (size_t)t->n, sizeof *sorted, by_pid);
	}
	wr_bytes(out, PROD_MAGIC, 8);
	wr_i16(out, PROD_VERSION);
	wr_i16(out, 0);
	wr_bytes(out, id->topic.b, 16);
	wr_i32(out, id->part);
	wr_i64(out, offset);
	wr_i32(out, t->n);
	for (int i = 0; i < t->n; i++)
		put_producer(out, sorted[i]);
	free(sorted);
	if (!out->bad)
		wr_i32(out, (int32_t)crc32c(0, out->p + from,
		    out->len - from));
	return out->bad ? E_NOMEM : E_OK;
}

/* One producer of a snapshot. */
static enum err
get_producer(struct prod_table *t, struct rd *r)
{
	struct producer *p;
	int64_t pid = rd_i64(r), ts;
	int16_t epoch = rd_i16(r);
	int n;

	ts = rd_i64(r);
	n = rd_i8(r);
	if (r->bad || pid < 0 || n < 0 || n > PRODUCER_BATCHES ||
	    find(t, pid) != NULL)
		return E_CORRUPT;
	if ((p = insert(t, pid, ts, mono_ms())) == NULL)
		return E_NOMEM;
	p->epoch = epoch;
	for (p->n = 0; p->n < n; p->n++) {
		struct prod_batch *b = &p->batches[p->n];

		b->first_seq = rd_i32(r);
		b->last_seq = rd_i32(r);
		b->first_offset = rd_i64(r);
		b->last_offset = rd_i64(r);
		b->ts = rd_i64(r);
	}
	return r->bad ? E_CORRUPT : E_OK;
}

enum err
prod_decode(struct prod_table *t, const struct log_id *id, int64_t offset,
    const uint8_t *p, size_t n)
{
	enum err err = E_OK;
	int32_t count;
	struct rd r;

	clear(t);
	if (n < PROD_HEADER + 4 || memcmp(p, PROD_MAGIC, 8) != 0 ||
	    be16(p + 8) != PROD_VERSION || be16(p + 10) != 0 ||
	    memcmp(p + 12, id->topic.b, 16) != 0 ||
	    be32(p + 28) != (uint32_t)id->part ||
	    be64(p + 32) != (uint64_t)offset ||
	    be32(p + n - 4) != crc32c(0, p, n - 4))
		return E_CORRUPT;
	r = rd_of(p + 40, n - 44);
	count = rd_i32(&r);
	if (count < 0 || count > PRODUCERS_MAX ||
	    rd_left(&r) / PRODUCER_BYTES < (size_t)count)
		return E_CORRUPT;
	for (int32_t i = 0; i < count && err == E_OK; i++)
		err = get_producer(t, &r);
	if (err == E_OK && !rd_done(&r))
		err = E_CORRUPT;
	if (err != E_OK)
		clear(t);
	return err;
}
