/* SPDX-License-Identifier: Apache-2.0 */
/* Where a query has to look: topics, partitions, shards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "match.h"
#include "shape.h"
#include "walk.h"

static bool
topic_named(const struct search *s, const struct view_res_topic *t)
{
	for (int i = 0; i < s->ntopics; i++)
		if (kstr_eq(t->name, kstr_of(s->topics[i])))
			return true;
	return s->ntopics == 0;
}

static int64_t
cursor_of(const struct search *s, const struct uuid *id, int32_t part,
    int64_t start)
{
	for (int i = 0; i < s->ncursors; i++)
		if (s->cursors[i].part == part &&
		    uuid_eq(s->cursors[i].topic, *id) &&
		    s->cursors[i].next > start)
			return s->cursors[i].next;
	return start;
}

struct age { int64_t ts; bool found; };

static bool
first_age(void *arg, const struct record *r)
{
	*(struct age *)arg = (struct age){ r->ts, true };
	return false;
}

/* What is not indexed yet is left out if none of it is too old for that. */
static void
leave_tail(struct walk *w)
{
	struct search *s = w->search;
	int64_t tail = walk_tail(w), next;
	struct age a = { 0, false };

	if (tail >= w->end || src_read(s->src, &w->id, w->part, tail, w->end,
	    first_age, &a, &next) != E_OK || (a.found &&
	    elink_wall_ms() - a.ts > s->max_lag_ms))
		return;
	w->unread = w->end - tail;
	s->unread += w->unread;
	w->end = tail;
	w->at = w->told = s->sort == SORT_OLDEST ? w->start : w->end;
}

/* The offsets between which all that matches lies. */
static void
bounds(const struct query *q, const char *topic, int32_t part, int64_t *low,
    int64_t *high)
{
	bool any = q->op == Q_OR || (q->op == Q_SOME && q->low > 0);
	int64_t l, h;

	*low = any ? INT64_MAX : INT64_MIN;
	*high = any ? INT64_MIN : INT64_MAX;
	if (q->op == Q_OFFSET) {
		*low = q->low;
		*high = q->high;
	}
	for (int i = 0; i < q->nkids && (any || q->op == Q_AND); i++) {
		bounds(q->kids[i], topic, part, &l, &h);
		if (any && !match_scope(q->kids[i], topic, part))
			continue;
		if (any ? l < *low : l > *low)
			*low = l;
		if (any ? h > *high : h < *high)
			*high = h;
	}
}

/* What the query leaves of a walk; the rest counts as searched. */
static void
narrow(struct walk *w)
{
	int64_t low, high;

	bounds(w->search->query, w->topic, w->part, &low, &high);
	if (low > w->start)
		w->start = low < w->end ? low : w->end;
	if (high < w->end - 1)
		w->end = high + 1 > w->start ? high + 1 : w->start;
}

static enum err
walk_open(struct search *s, struct walk *w, const struct view_res_topic *t,
    const struct view_res_part *p)
{
	char dir[SHARD_PATH];
	int broken = 0;
	enum err e;

	*w = (struct walk){ .search = s, .id = t->id, .part = p->index };
	w->topic = strndup(t->name.p, (size_t)t->name.len);
	e = sconf_set(&w->conf, t->text, t->numeric, t->ids, t->positions,
	    t->stem != 0);
	if (w->topic == NULL || e != E_OK)
		return E_NOMEM;
	w->start = cursor_of(s, &t->id, p->index, p->start);
	w->end = p->high_watermark;
	if (w->end < w->start)
		w->end = w->start;
	s->records += w->end - w->start;
	narrow(w);
	w->at = w->told = s->sort == SORT_OLDEST ? w->start : w->end;
	if (p->error != E_OK) {
		walk_miss(w, w->end - w->start, (enum err)p->error);
		w->over = true;
	}
	if (s->scan || !t->enabled || p->error != E_OK)
		return E_OK;
	shard_dir(dir, s->dir, &t->id, p->index);
	/* What cannot be listed is read instead. */
	e = shards_list(dir, SHARDS_ASK, &w->shards, &broken);
	s->shards_broken += broken + (e != E_OK && e != E_NOMEM);
	if (e == E_NOMEM)
		return e;
	if (s->max_lag_ms > 0)
		leave_tail(w);
	return E_OK;
}

static enum err
topics_check(struct search *s, const struct view_res *v)
{
	for (int i = 0; i < s->ntopics; i++) {
		const struct view_res_topic *t = NULL;

		for (int j = 0; j < v->topics.n && t == NULL; j++)
			if (kstr_eq(v->topics.v[j].name,
			    kstr_of(s->topics[i])))
				t = &v->topics.v[j];
		if (t == NULL) {
			snprintf(s->why, sizeof s->why, "%s: there is no "
			    "such topic", s->topics[i]);
			return E_NOTFOUND;
		}
		if (!t->enabled && !s->scan) {
			snprintf(s->why, sizeof s->why, "%s: the topic is "
			    "not indexed\nhint: chronik topic set --config "
			    "search.enable=true %s; or --scan",
			    s->topics[i], s->topics[i]);
			return E_USAGE;
		}
	}
	return E_OK;
}

static enum err
walks_open(struct search *s, const struct view_res *v)
{
	size_t n = 0;
	enum err e = E_OK;

	for (int i = 0; i < v->topics.n; i++)
		n += (size_t)v->topics.v[i].parts.n;
	s->walks = calloc(n + 1, sizeof *s->walks);
	if (s->walks == NULL)
		return E_NOMEM;
	for (int i = 0; i < v->topics.n && e == E_OK; i++) {
		const struct view_res_topic *t = &v->topics.v[i];
		char name[256];
		bool any = false;

		snprintf(name, sizeof name, "%.*s", (int)t->name.len,
		    t->name.p);
		if ((!t->enabled && !s->scan) || !topic_named(s, t))
			continue;
		for (int j = 0; j < t->parts.n && e == E_OK; j++) {
			const struct view_res_part *p = &t->parts.v[j];

			if (!match_scope(s->query, name, p->index))
				continue;
			e = walk_open(s, &s->walks[s->nwalks++], t, p);
			any = true;
		}
		s->ntopics_seen += any;
		s->compacted_ok &= !t->compacted;
	}
	return e;
}

enum err
search_open(struct search *s)
{
	const struct view_res *v;
	enum err e;

	doc_init(&s->doc);
	s->compacted_ok = true;
	e = src_view(s->src, -1, 0, s->scan || s->ntopics > 0, &v);
	if (e != E_OK)
		return e;
	s->stamp = v->stamp;
	e = topics_check(s, v);
	return e == E_OK ? walks_open(s, v) : e;
}

void
search_close(struct search *s)
{
	for (int i = 0; i < s->nwalks; i++) {
		struct walk *w = &s->walks[i];

		if (w->db != NULL) {
			plan_free(&w->plan);
			xap_close(w->db);
			sconf_free(&w->shard_conf);
		}
		sconf_free(&w->conf);
		shards_free(&w->shards);
		free((char *)w->topic);
		free(w->cand);
		free(w->head.bytes);
	}
	free(s->walks);
	s->walks = NULL;
	s->nwalks = 0;
	doc_free(&s->doc);
}

/* ---- members that nobody has ------------------------------------------- */

/* Opens a shard of a walk, newest first; NULL: no more. */
static struct xap_db *
any_shard(const struct search *s, const struct walk *w, int i)
{
	char dir[SHARD_PATH], path[SHARD_PATH];
	struct xap_db *db;

	shard_dir(dir, s->dir, &w->id, w->part);
	shard_path(path, dir, &w->shards.v[i]);
	return xap_open(path, &db) == E_OK ? db : NULL;
}

static bool
path_there(struct search *s, const char *path)
{
	const struct query q = { .op = Q_HAS, .path = path };
	bool there = false;
	uint32_t total = 0;

	for (int i = 0; i < s->nwalks; i++)
		for (int j = s->walks[i].shards.n - 1; j >= 0 && !there;
		    j--) {
			struct plan_shard ps = { .db = any_shard(s,
			    &s->walks[i], j), .conf = &s->walks[i].conf };
			struct plan p = { PLAN_NONE, false, NULL };

			there = ps.db == NULL || plan_make(&q, &ps, &p) !=
			    E_OK || p.kind == PLAN_ALL || (p.kind ==
			    PLAN_SOME && (xap_count(ps.db, p.q, &total) !=
			    E_OK || total > 0));
			plan_free(&p);
			xap_close(ps.db);
		}
	return there;
}

enum { LIKE_MAX = 40, LIKE_DISTANCE = 2, LIKE_SHARE = 3 };

/* Letters to be changed, left out or put in. */
static int
distance(const char *a, size_t n, const char *b, size_t m)
{
	int row[LIKE_MAX + 1];

	if (n > LIKE_MAX || m > LIKE_MAX)
		return LIKE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = (int)j;
	for (size_t i = 1; i <= n; i++) {
		int corner = row[0];

		row[0] = (int)i;
		for (size_t j = 1; j <= m; j++) {
			int best = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[m];
}

struct like { const char *path; char *best; int distance; };

static void
like_try(struct like *l, const char *path, size_t n)
{
	int d = distance(l->path, strlen(l->path), path, n);

	if (d < l->distance) {
		free(l->best);
		l->best = strndup(path, n);
		l->distance = d;
	}
}

static bool
each_path(void *arg, const char *t, size_t n, uint32_t docs)
{
	(void)docs;
	like_try(arg, t + 2, n - 2);
	return true;
}

static bool
each_shape(void *arg, const char *key, const char *list, size_t n)
{
	(void)key;
	for (const char *name = shape_next(list, n, NULL); name != NULL;
	    name = shape_next(list, n, name))
		like_try(arg, name, strlen(name));
	return true;
}

static const char *
unknown_in(struct search *s, const struct query *q)
{
	const char *found = NULL;

	if ((q->op == Q_FIELD || q->op == Q_RANGE || q->op == Q_HAS) &&
	    !path_there(s, q->path))
		return q->path;
	for (int i = 0; i < q->nkids && found == NULL; i++)
		found = unknown_in(s, q->kids[i]);
	return found;
}

const char *
search_unknown(struct search *s, char **like)
{
	const char *path = NULL;
	struct like l = { .distance = LIKE_DISTANCE + 1 };
	bool indexed = false;

	*like = NULL;
	for (int i = 0; i < s->nwalks; i++)
		indexed |= s->walks[i].shards.n > 0;
	if (indexed)
		path = unknown_in(s, s->query);
	l.path = path;
	/* One letter is like any other. */
	if (path != NULL && (int)strlen(path) + 1 <= LIKE_DISTANCE *
	    LIKE_SHARE)
		l.distance = ((int)strlen(path) + 1) / LIKE_SHARE + 1;
	for (int i = 0; path != NULL && i < s->nwalks && l.best == NULL;
	    i++) {
		struct walk *w = &s->walks[i];
		struct xap_db *db = w->shards.n == 0 ? NULL :
		    any_shard(s, w, w->shards.n - 1);

		if (db != NULL && (xap_terms(db, "XE", 2, each_path, &l) !=
		    E_OK || xap_metas(db, SHAPE_KEY, each_shape, &l) != E_OK))
			l.distance = 0;
		xap_close(db);
	}
	*like = l.best;
	return path;
}
