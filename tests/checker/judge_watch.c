/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outside watchers were told in the course of time: the ends of the log,
 * leader epochs, and the answers to look-ups by time.
 */
#include <stdlib.h>
#include <string.h>

#include "judge.h"

/* One answer, and the greatest values that were known before it was asked
 * for, by two kinds of witness. */
struct told {
	int64_t	asked, value;
	int64_t	acked, seen;		/* -1: nothing was known */
};

struct tolds {
	struct told	*v;
	uint64_t	 n, cap;
	uint64_t	 hint;
};

static void
told_add(struct tolds *x, int64_t asked, int64_t value)
{
	if (x->n == x->cap) {
		x->cap = x->cap * 2 + 16;
		x->v = judge_alloc(x->v, x->cap * sizeof *x->v);
	}
	x->v[x->n++] = (struct told){ asked, value, -1, -1 };
}

static int
told_order(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	return (x->asked > y->asked) - (x->asked < y->asked);
}

static void
told_sort(struct tolds *x)
{
	if (x->n > 0)
		qsort(x->v, x->n, sizeof *x->v, told_order);
}

/* Something was known at a time: it counts from the first answer on that was
 * asked for later. */
static void
told_know(struct tolds *x, int64_t at, int64_t value, bool acked)
{
	uint64_t lo = 0, hi = x->n;
	struct told *t;

	if (x->hint < x->n && x->v[x->hint].asked > at &&
	    (x->hint == 0 || x->v[x->hint - 1].asked <= at))
		lo = hi = x->hint;
	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;

		if (x->v[mid].asked > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	x->hint = lo;
	if (lo == x->n)
		return;
	t = &x->v[lo];
	if (acked && value > t->acked)
		t->acked = value;
	if (!acked && value > t->seen)
		t->seen = value;
}

/* From bucket to all before. */
static void
told_sum(struct tolds *x)
{
	for (uint64_t i = 1; i < x->n; i++) {
		if (x->v[i - 1].acked > x->v[i].acked)
			x->v[i].acked = x->v[i - 1].acked;
		if (x->v[i - 1].seen > x->v[i].seen)
			x->v[i].seen = x->v[i - 1].seen;
	}
}

static void
told_judge(struct judge *j, const struct tolds *x, int topic, int part,
    const char *what)
{
	for (uint64_t i = 0; i < x->n; i++) {
		const struct told *t = &x->v[i];

		if (t->value < t->seen)
			judge_find(j, ANOMALY_WATERMARK_REGRESSION, topic,
			    part, t->value, "%s; it had been %lld before",
			    what, (long long)t->seen);
		else if (t->value < t->acked)
			judge_find(j, ANOMALY_STALE_READ, topic, part,
			    t->value, "%s; %lld had been acknowledged "
			    "before", what, (long long)t->acked - 1);
	}
}

/* ---- the ends of the log ----------------------------------------------- */

/* Acknowledged records are visible at once only where the answer waits for
 * what readers see. */
static void
know_records(struct judge *j, struct tolds *x, int topic,
    const struct view *v)
{
	bool acks = j->setup->topics[topic].acks == -1;

	for (uint64_t i = 0; i < v->n; i++) {
		const struct slot *o = &v->v[i];
		const struct send *s;

		if (o->id == 0)
			continue;
		if (o->seen_at != 0)
			told_know(x, o->seen_at, (int64_t)i + 1, false);
		s = judge_send(j, o->id - 1);
		if (acks && s != NULL && s->outcome == EV_OK &&
		    s->acked == (int64_t)i)
			told_know(x, s->ended, (int64_t)i + 1, true);
	}
}

static void
watch_end(struct judge *j, int topic, int part)
{
	const struct view *v = &j->views[topic][part];
	struct tolds x = { .n = 0 };

	for (uint64_t i = 0; i < v->lists.n; i++)
		told_add(&x, (int64_t)v->lists.v[i].id, v->lists.v[i].a);
	for (uint64_t i = 0; i < v->ends.n; i++)
		if (v->ends.v[i].id != 0)
			told_add(&x, (int64_t)v->ends.v[i].id,
			    v->ends.v[i].offset);
	if (x.n == 0)
		return;
	told_sort(&x);
	know_records(j, &x, topic, v);
	for (uint64_t i = 0; i < v->lists.n; i++)
		told_know(&x, v->lists.v[i].at, v->lists.v[i].a, false);
	told_sum(&x);
	told_judge(j, &x, topic, part, "the end is here");
	free(x.v);
}

static void
watch_start(struct judge *j, int topic, int part)
{
	const struct view *v = &j->views[topic][part];
	struct tolds x = { .n = 0 };

	for (uint64_t i = 0; i < v->lists.n; i++)
		told_add(&x, (int64_t)v->lists.v[i].id,
		    v->lists.v[i].offset);
	if (x.n == 0)
		return;
	told_sort(&x);
	for (uint64_t i = 0; i < v->lists.n; i++)
		told_know(&x, v->lists.v[i].at, v->lists.v[i].offset, false);
	for (uint64_t i = 0; i < v->deletes.n; i++)
		if (v->deletes.v[i].outcome == EV_OK)
			told_know(&x, v->deletes.v[i].at, v->deletes.v[i].a,
			    false);
	told_sum(&x);
	told_judge(j, &x, topic, part, "the start is here");
	free(x.v);
}

static void
watch_epochs(struct judge *j, int topic, int part)
{
	const struct view *v = &j->views[topic][part];
	struct tolds x = { .n = 0 };

	for (uint64_t i = 0; i < v->epochs.n; i++)
		told_add(&x, (int64_t)v->epochs.v[i].id, v->epochs.v[i].a);
	if (x.n == 0)
		return;
	told_sort(&x);
	for (uint64_t i = 0; i < v->epochs.n; i++)
		told_know(&x, v->epochs.v[i].at, v->epochs.v[i].a, false);
	told_sum(&x);
	told_judge(j, &x, topic, part, "the leader epoch is this");
	free(x.v);
}

/* ---- look-ups by time --------------------------------------------------- */

/* "None": no record that was there then may be as late.  Answers are keyed by
 * when they were asked for; the value known is the records' time. */
static void
times_none(struct judge *j, int topic, int part, const bool *there)
{
	const struct view *v = &j->views[topic][part];
	struct tolds x = { .n = 0 };

	for (uint64_t i = 0; i < v->times.n; i++)
		if (v->times.v[i].offset < 0)
			told_add(&x, (int64_t)v->times.v[i].id,
			    v->times.v[i].a);
	told_sort(&x);
	for (uint64_t i = 0; x.n > 0 && i < v->n; i++)
		if (there[i])
			told_know(&x, v->v[i].seen_at, v->v[i].ts, false);
	told_sum(&x);
	for (uint64_t i = 0; i < x.n; i++)
		if (x.v[i].seen >= x.v[i].value)
			judge_find(j, ANOMALY_TIME_INDEX, topic, part, -1,
			    "none at or after %lld, but a record of %lld had "
			    "been read", (long long)x.v[i].value,
			    (long long)x.v[i].seen);
	free(x.v);
}

/* Records that stay: what is found depends on those before it alone, so the
 * answer is right or wrong at any time. */
static void
watch_times(struct judge *j, int topic, int part)
{
	const struct view *v = &j->views[topic][part];
	bool compact = j->setup->topics[topic].compact;
	int64_t *newest;
	bool *there;

	if (v->times.n == 0)
		return;
	newest = judge_alloc(NULL, (v->n + 1) * sizeof *newest);
	there = judge_alloc(NULL, v->n + 1);
	newest[0] = INT64_MIN;
	for (uint64_t i = 0; i < v->n; i++) {
		there[i] = v->v[i].seen_at != 0 && (int64_t)i >= v->start &&
		    (!compact || view_final(j, v, (int64_t)i));
		newest[i + 1] = there[i] && v->v[i].ts > newest[i] ?
		    v->v[i].ts : newest[i];
	}
	for (uint64_t i = 0; i < v->times.n; i++) {
		const struct event *q = &v->times.v[i];
		const struct slot *o = view_at(v, q->offset);

		if (q->offset < 0)
			continue;
		if (o != NULL && o->seen_at != 0 && o->ts < q->a)
			judge_find(j, ANOMALY_TIME_INDEX, topic, part,
			    q->offset, "it is of %lld, asked for was %lld",
			    (long long)o->ts, (long long)q->a);
		else if (newest[(uint64_t)q->offset < v->n ?
		    (uint64_t)q->offset : v->n] >= q->a)
			judge_find(j, ANOMALY_TIME_INDEX, topic, part,
			    q->offset, "an earlier record is at or after "
			    "%lld", (long long)q->a);
	}
	times_none(j, topic, part, there);
	free(newest);
	free(there);
}

void
judge_watch(struct judge *j, int topic, int part)
{
	watch_end(j, topic, part);
	watch_start(j, topic, part);
	watch_epochs(j, topic, part);
	watch_times(j, topic, part);
}
