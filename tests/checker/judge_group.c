/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group's offset of a partition is a register: whoever asks must be told a
 * value whose commit had begun, and that no commit which lies wholly between
 * it and the question has replaced.
 */
#include <stdlib.h>

#include "judge.h"

struct commit {
	uint64_t id;
	int64_t	 offset, began, ended;
	int64_t	 replaced;	/* the latest start among those ended by now */
	uint8_t	 outcome;
};

static int
by_id(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->id != y->id ? (x->id > y->id) - (x->id < y->id) :
	    (x->outcome > y->outcome) - (x->outcome < y->outcome);
}

static int
by_end(const void *a, const void *b)
{
	const struct commit *x = a, *y = b;

	return (x->ended > y->ended) - (x->ended < y->ended);
}

/* Pairs what was asked with what was told; those that may still happen end at
 * the end of time.  Sorted by their ends. */
static uint64_t
commits_pair(struct row *r, struct commit *c)
{
	int64_t latest = INT64_MIN;
	uint64_t n = 0;

	qsort(r->v, r->n, sizeof *r->v, by_id);
	for (uint64_t i = 0; i < r->n; i++) {
		const struct event *e = &r->v[i];

		if (e->outcome == EV_INVOKE)
			c[n++] = (struct commit){ e->id, e->offset, e->at,
			    INT64_MAX, INT64_MIN, EV_INFO };
		else if (n > 0 && c[n - 1].id == e->id) {
			c[n - 1].outcome = e->outcome;
			if (e->outcome != EV_INFO)
				c[n - 1].ended = e->at;
		}
	}
	qsort(c, n, sizeof *c, by_end);
	for (uint64_t i = 0; i < n; i++) {
		if (c[i].outcome == EV_OK && c[i].began > latest)
			latest = c[i].began;
		c[i].replaced = latest;
	}
	return n;
}

/* The start of the latest commit that had ended well before a time. */
static int64_t
replaced_at(const struct commit *c, uint64_t n, int64_t at)
{
	uint64_t lo = 0, hi = n;

	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;

		if (c[mid].ended < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? INT64_MIN : c[lo - 1].replaced;
}

static bool
answer_holds(const struct commit *c, uint64_t n, const struct event *q)
{
	int64_t replaced = replaced_at(c, n, (int64_t)q->id);

	if (q->offset < 0)
		return replaced == INT64_MIN;
	/* The newest first: it is most often one of them. */
	for (uint64_t i = n; i > 0; i--)
		if (c[i - 1].offset == q->offset && c[i - 1].outcome !=
		    EV_FAIL && c[i - 1].began < q->at &&
		    c[i - 1].ended >= replaced)
			return true;
	return false;
}

void
judge_group(struct judge *j, int topic, int part)
{
	struct view *v = &j->views[topic][part];
	struct commit *c;
	uint64_t n;

	if (v->committed.n == 0)
		return;
	c = judge_alloc(NULL, (v->commits.n + 1) * sizeof *c);
	n = commits_pair(&v->commits, c);
	for (uint64_t i = 0; i < v->committed.n; i++) {
		const struct event *q = &v->committed.v[i];

		if (!answer_holds(c, n, q))
			judge_find(j, ANOMALY_OFFSET_COMMIT_LOSS, topic, part,
			    q->offset, "told to who asked at %lld us; the "
			    "commit that was last done had begun at %lld us",
			    (long long)q->id / 1000,
			    (long long)replaced_at(c, n, (int64_t)q->id) /
			    1000);
	}
	free(c);
}
