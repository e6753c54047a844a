/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a search has searched, and what not: an answer that is not complete
 * never looks like one that is.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "walk.h"

void
walk_miss(struct walk *w, int64_t n, enum err e)
{
	struct search *s = w->search;
	const char *why = s->timed_out ? "out of time" : err_text(e);

	w->missed += n;
	s->missed += n;
	if (w->trouble == NULL)
		w->trouble = why;
	if (s->why[0] == '\0')
		snprintf(s->why, sizeof s->why, "%s/%d: %s", w->topic,
		    w->part, why);
}

bool
search_incomplete(const struct search *s)
{
	return s->missed > 0 || s->timed_out || s->too_costly ||
	    s->why[0] != '\0';
}

/* ---- lag --------------------------------------------------------------- */

int64_t
walk_tail(const struct walk *w)
{
	const struct shards *v = &w->shards;

	return v->n > 0 && v->v[v->n - 1].end > w->start ?
	    v->v[v->n - 1].end : w->start;
}

static bool
first_ts(void *arg, const struct record *r)
{
	*(int64_t *)arg = r->ts;
	return false;
}

/* How old the first record from an offset on is.  It is a figure for people:
 * what cannot be read, or not in time, counts as new. */
static int64_t
age(struct walk *w, int64_t from, int64_t end, int64_t now_ms)
{
	const struct search *s = w->search;
	int64_t ts = now_ms, next;

	if (from >= end || elink_now_ms() >= s->deadline_ms ||
	    s->lost != E_OK || src_read(s->src, &w->id, w->part, from, end,
	    first_ts, &ts, &next) != E_OK || ts > now_ms)
		return 0;
	return now_ms - ts;
}

int64_t
search_lag_ms(struct search *s, int64_t now_ms)
{
	int64_t lag = 0;

	for (int i = 0; i < s->nwalks; i++) {
		struct walk *w = &s->walks[i];
		int64_t ms = age(w, walk_tail(w), w->end + w->unread, now_ms);

		lag = ms > lag ? ms : lag;
	}
	return lag;
}

void
walk_progress(struct walk *w, int64_t now_ms, struct progress *p)
{
	char dir[SHARD_PATH];

	*p = (struct progress){ .indexed_to = w->start,
	    .shards = w->shards.n };
	for (int i = 0; i < w->shards.n; i++) {
		const struct shard *s = &w->shards.v[i];
		int64_t low = s->base > w->start ? s->base : w->start;
		int64_t high = s->end < w->end ? s->end : w->end;

		if (high <= low)
			continue;
		p->indexed += high - low;
		if (low == p->indexed_to)
			p->indexed_to = high;
	}
	p->missing = w->end - w->start - p->indexed;
	p->lag_ms = age(w, p->indexed_to, w->end, now_ms);
	shard_dir(dir, w->search->dir, &w->id, w->part);
	p->bytes = tree_bytes(dir);
}

/* ---- JSON -------------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static void
putf(struct wr *w, const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	wr_bytes(w, buf, n < 0 ? 0 : (size_t)n < sizeof buf ? (size_t)n :
	    sizeof buf - 1);
}

void
coverage_json(const struct search *s, struct wr *w)
{
	bool first = true;

	putf(w, "{\"complete\":%s,\"topics\":%d,\"partitions\":%d,"
	    "\"records\":%lld,\"searched\":%lld,\"not_indexed\":%lld,"
	    "\"left_out\":%lld,\"timed_out\":%s,\"too_costly\":%s,"
	    "\"missing\":[", search_incomplete(s) ? "false" : "true",
	    s->ntopics_seen, s->nwalks, (long long)s->records,
	    (long long)(s->records - s->missed - s->unread),
	    (long long)s->unindexed, (long long)s->unread, s->timed_out ?
	    "true" : "false", s->too_costly ? "true" : "false");
	/* Names of topics and our own sentences need no escaping. */
	for (int i = 0; i < s->nwalks; i++) {
		const struct walk *k = &s->walks[i];

		if (k->trouble == NULL)
			continue;
		putf(w, "%s{\"topic\":\"%s\",\"partition\":%d,"
		    "\"records\":%lld,\"why\":\"%s\"}", first ? "" : ",",
		    k->topic, k->part, (long long)k->missed, k->trouble);
		first = false;
	}
	putf(w, "]}");
}
