/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap of timers, earliest first. */
#include <stdlib.h>

#include "timer.h"

static void
put(struct timers *ts, int i, struct timer *t)
{
	ts->heap[i] = t;
	t->at = i + 1;
}

static void
sift_up(struct timers *ts, int i, struct timer *t)
{
	while (i > 0 && ts->heap[(i - 1) / 2]->due > t->due) {
		put(ts, i, ts->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(ts, i, t);
}

static void
sift_down(struct timers *ts, int i, struct timer *t)
{
	for (int c; (c = 2 * i + 1) < ts->n; i = c) {
		if (c + 1 < ts->n && ts->heap[c + 1]->due < ts->heap[c]->due)
			c++;
		if (ts->heap[c]->due >= t->due)
			break;
		put(ts, i, ts->heap[c]);
	}
	put(ts, i, t);
}

static void
place(struct timers *ts, int i, struct timer *t)
{
	if (i > 0 && ts->heap[(i - 1) / 2]->due > t->due)
		sift_up(ts, i, t);
	else
		sift_down(ts, i, t);
}

enum err
timer_set(struct timers *ts, struct timer *t, int64_t due_ms)
{
	struct timer **h;
	int cap;

	if (t->at == 0) {
		if (ts->n == ts->cap) {
			cap = ts->cap == 0 ? 64 : ts->cap * 2;
			h = realloc(ts->heap, (size_t)cap * sizeof *h);
			if (h == NULL)
				return E_NOMEM;
			ts->heap = h;
			ts->cap = cap;
		}
		put(ts, ts->n++, t);
	}
	t->due = due_ms;
	place(ts, t->at - 1, t);
	return E_OK;
}

void
timer_cancel(struct timers *ts, struct timer *t)
{
	struct timer *last;
	int i = t->at - 1;

	if (i < 0)
		return;
	ASSERT(i < ts->n && ts->heap[i] == t);
	t->at = 0;
	last = ts->heap[--ts->n];
	if (last != t)
		place(ts, i, last);
}

void
timers_run(struct timers *ts, int64_t now_ms)
{
	struct timer *t;

	while (ts->n > 0 && (t = ts->heap[0])->due <= now_ms) {
		timer_cancel(ts, t);
		t->fire(t);
	}
}

int64_t
timers_due(const struct timers *ts)
{
	return ts->n > 0 ? ts->heap[0]->due : -1;
}

void
timers_free(struct timers *ts)
{
	free(ts->heap);
	*ts = (struct timers){ 0 };
}
