/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetCommit and OffsetFetch.  A commit is answered when its records are in
 * the synced catalogue, and is seen by nobody before; commits that come
 * together are synced together.
 */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"
#include "lib/log.h"
#include "plant.h"

enum {
	LATE_MAX = 64,		/* commits of a group that are still going on,
				 * though nobody waits for them any more */
};

/* ---- commit ------------------------------------------------------------ */

struct commit_one {
	struct uuid	 topic;
	int32_t		 part;
	bool		 counted;	/* the committed offset knows of it */
	struct meta_offset rec;		/* points into the request */
};

struct committing {
	struct meta_put	 put;
	struct timer	 patience;
	struct call	*call;
	bool		 answered;	/* that it takes too long */
	struct offset_commit_res res;
	int64_t		 now;
	int		 n;
	struct commit_one ones[];
};

static void
res_fail_all(struct offset_commit_res *res, enum err e)
{
	for (int32_t i = 0; i < res->topics.n; i++)
		for (int32_t j = 0; j < res->topics.v[i].partitions.n; j++) {
			int16_t *code = &res->topics.v[i].partitions.v[j].
			    error_code;

			if (*code == 0)
				*code = err_code(e);
		}
}

/* A topic that was deleted meanwhile has taken it with it. */
static enum err
commit_apply(struct group *g, struct commit_one *one, enum err e)
{
	struct topic *t = topic_find_id(&g->eng->topics, one->topic);
	struct committed *o = t == NULL ? NULL : group_offset(g, t, one->part,
	    e == E_OK);

	if (o != NULL && one->counted && o->commits > 0)
		o->commits--;
	if (e != E_OK || t == NULL)
		return e;
	return o == NULL ? E_NOMEM : committed_set(o, &one->rec);
}

/* Its heartbeats may have waited behind the commit. */
static void
still_there(struct group *g, const struct offset_commit_req *q)
{
	enum err e = E_OK;

	if (g->ops == NULL)
		e = group_check_commit(g, q->member_id, q->group_instance_id,
		    q->generation_id_or_member_epoch);
	(void)e;	/* no member, or one that has gone meanwhile */
}

static void
committed(struct meta_put *put, enum err e)
{
	struct committing *k = (struct committing *)put;
	const struct offset_commit_req *q = k->call->req;
	/* It is there: commits on their way hold it. */
	struct group *g = group_find(k->call->eng, q->group_id, false);
	enum err one;

	ASSERT(g != NULL && g->commits > 0);
	timer_cancel(&g->eng->timers, &k->patience);
	for (int i = 0; i < k->n; i++) {
		one = commit_apply(g, &k->ones[i], e);
		e = e == E_OK ? one : e;
	}
	g->commits--;
	g->late -= k->answered;
	if (e != E_OK)
		res_fail_all(&k->res, E_COORDINATOR_NOT_AVAILABLE);
	if (k->answered) {
		call_drop(k->call);
	} else {
		still_there(g, q);
		call_reply(k->call, &k->res);
	}
	free(k);
	group_unused(g);
}

/* A disk that hangs must not keep the heartbeats that lie behind the commit
 * from being answered.  It goes on, and may succeed. */
static void
commit_late(struct timer *t)
{
	struct committing *k = (struct committing *)((char *)t -
	    offsetof(struct committing, patience));
	const struct offset_commit_req *q = k->call->req;
	struct group *g = group_find(k->call->eng, q->group_id, false);

	ASSERT(g != NULL);
	res_fail_all(&k->res, E_COORDINATOR_NOT_AVAILABLE);
	k->answered = true;
	g->late++;
	still_there(g, q);
	call_answer(k->call, &k->res);
}

/* Without memory for a timer it is waited for as long as it takes. */
static void
commit_wait(struct committing *k, struct group *g)
{
	struct engine *eng = g->eng;

	g->commits++;
	k->patience.fire = commit_late;
	if (timer_set(&eng->timers, &k->patience, mono_ms() +
	    eng->conf->offsets_commit_timeout_ms) != E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
	meta_wait(&eng->meta, &k->put);
}

/* When a commit with a retention of its own ends; -1: it has none. */
static int64_t
expire_ms(const struct call *c, int64_t now)
{
	const struct offset_commit_req *q = c->req;
	int64_t at;

	if (c->head.version < 2 || c->head.version > 4 ||
	    q->retention_time_ms == -1)
		return -1;
	if (__builtin_add_overflow(now, q->retention_time_ms, &at))
		return INT64_MAX;
	return at < 0 ? 0 : at;
}

static enum err
commit_part(struct committing *k, struct group *g, struct topic *t,
    const struct offset_commit_req_topic_part *q)
{
	struct call *c = k->call;
	struct groups *gs = &c->eng->groups;
	struct commit_one *one = &k->ones[k->n];
	struct committed *o = group_offset(g, t, q->partition_index, false);
	struct meta_key key;

	if (q->committed_metadata.len > c->eng->conf->offset_metadata_max_bytes)
		return E_OFFSET_METADATA_TOO_LARGE;
	if ((o == NULL && g->offsets.n + (size_t)k->n >= OFFSETS_MAX) ||
	    gs->offset_bytes > OFFSETS_BYTES_MAX)
		return E_COORDINATOR_NOT_AVAILABLE;
	one->rec = (struct meta_offset){ .offset = q->committed_offset,
	    .epoch = q->committed_leader_epoch,
	    .metadata = q->committed_metadata, .committed_ms = k->now,
	    .expire_ms = expire_ms(c, k->now) };
	if (one->rec.metadata.len < 0)
		one->rec.metadata = kstr_of("");
	if (c->head.version == 1 && q->commit_timestamp >= 0)
		one->rec.committed_ms = q->commit_timestamp;
	if (offset_key(&c->arena, g, t, q->partition_index, &key) != E_OK ||
	    (!PLANT(lose_commit) && meta_write(&c->eng->meta, MT_meta_offset,
	    &key, &one->rec, NULL) != E_OK))
		return E_COORDINATOR_NOT_AVAILABLE;
	one->topic = t->id;
	one->part = q->partition_index;
	one->counted = o != NULL;
	if (o != NULL)
		o->commits++;
	k->n++;
	return E_OK;
}

static enum err
commit_group(struct call *c, struct group **out)
{
	const struct offset_commit_req *q = c->req;
	struct group *g;
	enum err e = group_name_check(q->group_id);

	if (e != E_OK)
		return e;
	g = group_find(c->eng, q->group_id, false);
	if (g == NULL && q->generation_id_or_member_epoch >= 0)
		return c->head.version >= 9 ? E_GROUP_ID_NOT_FOUND
		    : E_ILLEGAL_GENERATION;
	if (g == NULL)
		g = group_find(c->eng, q->group_id, true);
	if (g == NULL || g->late >= LATE_MAX)
		return E_COORDINATOR_NOT_AVAILABLE;
	*out = g;
	if (g->ops != NULL)
		return g->ops->check_commit(g, c);
	return group_check_commit(g, q->member_id, q->group_instance_id,
	    q->generation_id_or_member_epoch);
}

static struct committing *
committing_new(struct call *c)
{
	const struct offset_commit_req *q = c->req;
	struct committing *k;
	size_t n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		n += q->topics.v[i].partitions.n > 0
		    ? (size_t)q->topics.v[i].partitions.n : 0;
	k = calloc(1, sizeof *k + n * sizeof *k->ones);
	if (k == NULL)
		return NULL;
	k->call = c;
	k->now = wall_ms();
	k->put.done = committed;
	c->arena.limit += n * 64 * KIB;
	k->res.topics.v = arena_array(&c->arena, q->topics.n > 0
	    ? (size_t)q->topics.n : 0, sizeof *k->res.topics.v);
	for (int32_t i = 0; k->res.topics.v != NULL && i < q->topics.n; i++) {
		struct offset_commit_res_topic *r = &k->res.topics.v[i];
		const struct offset_commit_req_topic *qt = &q->topics.v[i];

		r->name = qt->name.len >= 0 ? qt->name : kstr_of("");
		r->topic_id = qt->topic_id;
		r->partitions.n = qt->partitions.n > 0 ? qt->partitions.n : 0;
		r->partitions.v = arena_array(&c->arena,
		    (size_t)r->partitions.n, sizeof *r->partitions.v);
		if (r->partitions.v == NULL)
			break;
		for (int32_t j = 0; j < r->partitions.n; j++)
			r->partitions.v[j].partition_index =
			    qt->partitions.v[j].partition_index;
		k->res.topics.n++;
	}
	if (k->res.topics.v == NULL || (q->topics.n > 0 &&
	    k->res.topics.n != q->topics.n)) {
		free(k);
		return NULL;
	}
	return k;
}

static struct topic *
topic_of(const struct call *c, struct kstr name, struct uuid id)
{
	return c->head.version >= 10 ? topic_find_id(&c->eng->topics, id)
	    : topic_find(&c->eng->topics, name);
}

/* Partitions that do not exist are refused first; the group is asked, or made,
 * only for others.  True when there are any. */
static bool
commit_known(struct call *c, struct committing *k)
{
	const struct offset_commit_req *q = c->req;
	enum err none = c->head.version >= 10 ? E_UNKNOWN_TOPIC_ID
	    : E_UNKNOWN_TOPIC;
	bool any = false;

	for (int32_t i = 0; i < k->res.topics.n; i++) {
		struct offset_commit_res_topic *r = &k->res.topics.v[i];
		struct topic *t = topic_of(c, q->topics.v[i].name,
		    q->topics.v[i].topic_id);

		for (int32_t j = 0; j < r->partitions.n; j++) {
			enum err e = t == NULL ? none : topic_part(t,
			    q->topics.v[i].partitions.v[j].partition_index) ==
			    NULL ? E_UNKNOWN_TOPIC : E_OK;

			r->partitions.v[j].error_code = err_code(e);
			any |= e == E_OK;
		}
	}
	return any;
}

void
handle_offset_commit(struct call *c)
{
	const struct offset_commit_req *q = c->req;
	struct committing *k = committing_new(c);
	struct group *g = NULL;
	enum err e = E_OK;

	if (k == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	if (commit_known(c, k))
		e = commit_group(c, &g);
	for (int32_t i = 0; e == E_OK && g != NULL && i < q->topics.n; i++) {
		struct topic *t = topic_of(c, q->topics.v[i].name,
		    q->topics.v[i].topic_id);
		struct offset_commit_res_topic *r = &k->res.topics.v[i];

		for (int32_t j = 0; j < r->partitions.n; j++)
			if (r->partitions.v[j].error_code == 0)
				r->partitions.v[j].error_code =
				    err_code(commit_part(k, g, t,
				    &q->topics.v[i].partitions.v[j]));
	}
	if (e != E_OK)
		res_fail_all(&k->res, e);
	if (k->n > 0) {
		commit_wait(k, g);
		return;
	}
	call_reply(c, &k->res);
	free(k);
	if (g != NULL)
		group_unused(g);
}

/* ---- fetch ------------------------------------------------------------- */

static void
fill_part(const struct committed *o, int32_t index,
    struct offset_fetch_res_group_topic_part *r)
{
	*r = (struct offset_fetch_res_group_topic_part){
	    .partition_index = index,
	    .committed_offset = o != NULL ? o->offset : -1,
	    .committed_leader_epoch = o != NULL ? o->epoch : -1,
	    .metadata = o != NULL ? o->metadata : kstr_of("") };
}

static int
committed_cmp(const void *a, const void *b)
{
	const struct committed *x = *(const struct committed *const *)a;
	const struct committed *y = *(const struct committed *const *)b;
	int d = memcmp(x->topic->id.b, y->topic->id.b, 16);

	return d != 0 ? d : (x->part > y->part) - (x->part < y->part);
}

/* Everything the group has committed, by topic. */
static enum err
fill_all(struct call *c, const struct group *g,
    struct offset_fetch_res_group *r)
{
	size_t n = g == NULL ? 0 : g->offsets.n, at = 0;
	struct committed **all = arena_array(&c->arena, n, sizeof *all);
	struct offset_fetch_res_group_topic_part *parts =
	    arena_array(&c->arena, n, sizeof *parts);

	r->topics.v = arena_array(&c->arena, n, sizeof *r->topics.v);
	if (all == NULL || parts == NULL || r->topics.v == NULL)
		return E_NOMEM;
	if (n > 0)
		HASH_EACH(x, &g->offsets)
			all[at++] = HASH_OF(x, struct committed, by_part);
	if (n > 0)
		qsort(all, n, sizeof(struct committed *), committed_cmp);
	for (size_t i = 0; i < n; i++) {
		struct offset_fetch_res_group_topic *t;

		if (i == 0 || all[i]->topic != all[i - 1]->topic) {
			t = &r->topics.v[r->topics.n++];
			*t = (struct offset_fetch_res_group_topic){
			    .name = kstr_of(all[i]->topic->name),
			    .topic_id = all[i]->topic->id,
			    .partitions = { 0, &parts[i] } };
		}
		t = &r->topics.v[r->topics.n - 1];
		fill_part(all[i], all[i]->part, &parts[i]);
		t->partitions.n++;
	}
	return E_OK;
}

/* About what it takes on its way; false when there is not so much left. */
static bool
fits(const struct offset_fetch_res_group *r, size_t *left)
{
	size_t n = 0;

	for (int32_t i = 0; i < r->topics.n; i++) {
		const struct offset_fetch_res_group_topic *t =
		    &r->topics.v[i];

		n += 64 + (size_t)t->name.len;
		for (int32_t k = 0; k < t->partitions.n; k++)
			n += 32 + (size_t)t->partitions.v[k].metadata.len;
	}
	if (n > *left)
		return false;
	*left -= n;
	return true;
}

static enum err
fill_group(struct call *c, const struct offset_fetch_req_group *q,
    struct offset_fetch_res_group *r)
{
	struct group *g = group_find(c->eng, q->group_id, false);
	bool by_id = c->head.version >= 10;
	enum err e = group_name_check(q->group_id);

	r->group_id = q->group_id;
	if (e == E_OK && g != NULL && g->ops != NULL)
		e = g->ops->check_fetch(g, q->member_id, q->member_epoch);
	r->error_code = err_code(e);
	if (e != E_OK)
		return E_OK;
	if (q->topics.n < 0)
		return fill_all(c, g, r);
	r->topics.v = arena_array(&c->arena, (size_t)q->topics.n,
	    sizeof *r->topics.v);
	if (r->topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct offset_fetch_req_group_topic *qt =
		    &q->topics.v[i];
		struct offset_fetch_res_group_topic *rt = &r->topics.v[i];
		struct topic *t = topic_of(c, qt->name, qt->topic_id);
		int32_t n = qt->partition_indexes.n;

		rt->name = qt->name.len >= 0 ? qt->name : kstr_of("");
		rt->topic_id = qt->topic_id;
		rt->partitions.n = n > 0 ? n : 0;
		rt->partitions.v = arena_array(&c->arena, n > 0 ? (size_t)n
		    : 0, sizeof *rt->partitions.v);
		if (rt->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t k = 0; k < n; k++) {
			int32_t index = qt->partition_indexes.v[k];

			fill_part(g == NULL || t == NULL ? NULL : group_offset(
			    g, t, index, false), index, &rt->partitions.v[k]);
			if (by_id && t == NULL)
				rt->partitions.v[k].error_code =
				    err_code(E_UNKNOWN_TOPIC_ID);
		}
		r->topics.n++;
	}
	return E_OK;
}

/* Versions 0-7 speak of one group, in other fields. */
static enum err
group_of_old(struct call *c, const struct offset_fetch_req *q,
    struct offset_fetch_req_group *one)
{
	*one = (struct offset_fetch_req_group){ .group_id = q->group_id,
	    .member_id = kstr_of(NULL), .member_epoch = -1,
	    .topics = { q->topics.n, NULL } };
	if (q->topics.n <= 0)
		return E_OK;
	one->topics.v = arena_array(&c->arena, (size_t)q->topics.n,
	    sizeof *one->topics.v);
	if (one->topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		one->topics.v[i].name = q->topics.v[i].name;
		one->topics.v[i].partition_indexes.n =
		    q->topics.v[i].partition_indexes.n;
		one->topics.v[i].partition_indexes.v =
		    q->topics.v[i].partition_indexes.v;
	}
	return E_OK;
}

/* Versions 0 and 1 have no place for the group's error but every row. */
static enum err
fill_failed(struct call *c, const struct offset_fetch_req_group *q,
    enum err why, struct offset_fetch_res_group *r)
{
	bool rows = c->head.version < 2;
	struct offset_fetch_res_group_topic *t;

	*r = (struct offset_fetch_res_group){ .error_code = err_code(why) };
	if (!rows || q->topics.n <= 0)
		return E_OK;
	r->topics.v = arena_array(&c->arena, (size_t)q->topics.n, sizeof *t);
	if (r->topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		int32_t n = q->topics.v[i].partition_indexes.n;

		t = &r->topics.v[r->topics.n++];
		t->name = q->topics.v[i].name;
		t->partitions.n = n > 0 ? n : 0;
		t->partitions.v = arena_array(&c->arena, n > 0 ? (size_t)n
		    : 0, sizeof *t->partitions.v);
		if (t->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t k = 0; k < n; k++)
			fill_part(NULL, q->topics.v[i].partition_indexes.v[k],
			    &t->partitions.v[k]);
	}
	return E_OK;
}

static enum err
fill_old(struct call *c, const struct offset_fetch_req *q,
    struct offset_fetch_res *res)
{
	struct offset_fetch_req_group one;
	struct offset_fetch_res_group r = { 0 };
	size_t left = GROUP_ANSWER_MAX;
	enum err e = group_of_old(c, q, &one);

	if (e == E_OK)
		e = fill_group(c, &one, &r);
	if (e == E_OK && !fits(&r, &left))
		e = E_NOMEM;
	if (e == E_OK && r.error_code != 0)
		e = fill_failed(c, &one, group_name_check(q->group_id) ==
		    E_OK ? E_UNKNOWN_MEMBER : E_INVALID_GROUP_ID, &r);
	if (e != E_OK)
		return e;
	res->error_code = r.error_code;
	res->topics.v = arena_array(&c->arena, (size_t)r.topics.n,
	    sizeof *res->topics.v);
	if (res->topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < r.topics.n; i++) {
		struct offset_fetch_res_group_topic *t = &r.topics.v[i];
		struct offset_fetch_res_topic *o = &res->topics.v[i];

		o->name = t->name.len >= 0 ? t->name : kstr_of("");
		o->partitions.n = t->partitions.n;
		o->partitions.v = arena_array(&c->arena,
		    (size_t)t->partitions.n, sizeof *o->partitions.v);
		if (o->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t k = 0; k < t->partitions.n; k++)
			o->partitions.v[k] =
			    (struct offset_fetch_res_topic_part){
			    t->partitions.v[k].partition_index,
			    t->partitions.v[k].committed_offset,
			    t->partitions.v[k].committed_leader_epoch,
			    t->partitions.v[k].metadata, r.error_code };
		res->topics.n++;
	}
	return E_OK;
}

void
handle_offset_fetch(struct call *c)
{
	const struct offset_fetch_req *q = c->req;
	struct offset_fetch_res res = { 0 };
	size_t left = GROUP_ANSWER_MAX;

	c->arena.limit += (size_t)256 * MIB;
	if (c->head.version < 8) {
		if (fill_old(c, q, &res) != E_OK) {
			res.topics.n = 0;
			res.error_code = err_code(E_INVALID_REQUEST);
		}
		call_reply(c, &res);
		return;
	}
	res.groups.v = arena_array(&c->arena, q->groups.n > 0
	    ? (size_t)q->groups.n : 0, sizeof *res.groups.v);
	for (int32_t i = 0; res.groups.v != NULL && i < q->groups.n; i++) {
		struct offset_fetch_res_group *r = &res.groups.v[i];

		res.groups.n++;
		if (fill_group(c, &q->groups.v[i], r) == E_OK &&
		    fits(r, &left))
			continue;
		r->topics.n = 0;
		r->error_code = err_code(E_INVALID_REQUEST);
	}
	call_reply(c, &res);
}
