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

/* ---- commit ------------------------------------------------------------ */

struct commit_one {
	struct uuid	 topic;
	int32_t		 part, epoch;
	int64_t		 offset;
	char		*metadata;
};

struct committing {
	struct meta_put	 put;
	struct call	*call;
	struct offset_commit_res res;
	int64_t		 now;
	int		 n;
	struct commit_one ones[];
};

static void
committing_free(struct committing *k)
{
	for (int i = 0; i < k->n; i++)
		free(k->ones[i].metadata);
	free(k);
}

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

static void
committed(struct meta_put *put, enum err e)
{
	struct committing *k = (struct committing *)put;
	const struct offset_commit_req *q = k->call->req;
	struct group *g = group_find(k->call->eng, q->group_id, true);

	for (int i = 0; e == E_OK && i < k->n; i++) {
		struct commit_one *one = &k->ones[i];
		struct committed *o = g == NULL ? NULL : group_offset(g,
		    &one->topic, one->part, true);

		if (o == NULL) {
			e = E_COORDINATOR_NOT_AVAILABLE;
			break;
		}
		o->offset = one->offset;
		o->epoch = one->epoch;
		o->ts = k->now;
		free(o->metadata);
		o->metadata = one->metadata;
		one->metadata = NULL;
	}
	if (e != E_OK)
		res_fail_all(&k->res, E_COORDINATOR_NOT_AVAILABLE);
	/* A topic that was deleted meanwhile takes them with it. */
	for (int i = 0; e == E_OK && i < k->n; i++)
		if (topic_find_id(&k->call->eng->topics, k->ones[i].topic) ==
		    NULL && group_offset(g, &k->ones[i].topic,
		    k->ones[i].part, false) != NULL)
			groups_topic_gone(k->call->eng, &k->ones[i].topic);
	call_reply(k->call, &k->res);
	committing_free(k);
}

static enum err
commit_part(struct committing *k, struct group *g, struct topic *t,
    const struct offset_commit_req_topic_part *q)
{
	struct call *c = k->call;
	struct commit_one *one = &k->ones[k->n];
	struct meta_offset rec = { q->committed_offset,
	    q->committed_leader_epoch, q->committed_metadata, k->now };
	struct meta_key key;
	enum err e;

	if (t == NULL || topic_part(t, q->partition_index) == NULL)
		return E_UNKNOWN_TOPIC;
	if (q->committed_metadata.len > c->eng->conf->offset_metadata_max_bytes)
		return E_OFFSET_METADATA_TOO_LARGE;
	if (rec.metadata.len < 0)
		rec.metadata = kstr_of("");
	if (g->noffsets + (size_t)k->n >= OFFSETS_MAX && group_offset(g,
	    &t->id, q->partition_index, false) == NULL)
		return E_COORDINATOR_NOT_AVAILABLE;
	e = offset_key(&c->arena, g->name, &t->id, q->partition_index, &key);
	if (e == E_OK)
		e = meta_write(&c->eng->meta, MT_meta_offset, &key, &rec,
		    NULL);
	if (e != E_OK || (one->metadata = kstr_dup(rec.metadata)) == NULL)
		return E_COORDINATOR_NOT_AVAILABLE;
	one->topic = t->id;
	one->part = q->partition_index;
	one->offset = q->committed_offset;
	one->epoch = q->committed_leader_epoch;
	k->n++;
	return E_OK;
}

static enum err
commit_group(struct call *c, struct group **out)
{
	const struct offset_commit_req *q = c->req;
	struct group *g;

	if (q->group_id.len <= 0)
		return E_INVALID_GROUP_ID;
	g = group_find(c->eng, q->group_id, false);
	if (g == NULL && q->generation_id_or_member_epoch >= 0)
		return c->head.version >= 9 ? E_GROUP_ID_NOT_FOUND
		    : E_ILLEGAL_GENERATION;
	if (g == NULL)
		g = group_find(c->eng, q->group_id, true);
	if (g == NULL)
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

void
handle_offset_commit(struct call *c)
{
	const struct offset_commit_req *q = c->req;
	struct committing *k = committing_new(c);
	struct group *g = NULL;
	enum err e;

	if (k == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	e = commit_group(c, &g);
	for (int32_t i = 0; e == E_OK && i < k->res.topics.n; i++) {
		struct topic *t = c->head.version >= 10
		    ? topic_find_id(&c->eng->topics, q->topics.v[i].topic_id)
		    : topic_find(&c->eng->topics, q->topics.v[i].name);
		enum err te = c->head.version >= 10 && t == NULL
		    ? E_UNKNOWN_TOPIC_ID : E_OK;

		for (int32_t j = 0; j < k->res.topics.v[i].partitions.n; j++)
			k->res.topics.v[i].partitions.v[j].error_code =
			    err_code(te != E_OK ? te : commit_part(k, g, t,
			    &q->topics.v[i].partitions.v[j]));
	}
	if (e != E_OK)
		res_fail_all(&k->res, e);
	if (k->n > 0) {
		meta_wait(&c->eng->meta, &k->put);
		return;
	}
	call_reply(c, &k->res);
	committing_free(k);
	if (g != NULL)
		group_unused(g);
}

/* An answer of more bytes than this is refused: ask for less at once. */
enum { ANSWER_MAX = 64 * MIB };

/* ---- fetch ------------------------------------------------------------- */

static void
fill_part(const struct group *g, const struct topic *t, int32_t index,
    struct offset_fetch_res_group_topic_part *r)
{
	const struct committed *o = g == NULL || t == NULL ? NULL
	    : group_offset((struct group *)(uintptr_t)g, &t->id, index, false);

	*r = (struct offset_fetch_res_group_topic_part){
	    .partition_index = index,
	    .committed_offset = o != NULL ? o->offset : -1,
	    .committed_leader_epoch = o != NULL ? o->epoch : -1,
	    .metadata = kstr_of(o != NULL ? o->metadata : "") };
}

/* Everything the group has committed, by topic. */
static enum err
fill_all(struct call *c, const struct group *g,
    struct offset_fetch_res_group *r)
{
	struct topics *ts = &c->eng->topics;
	struct topic *t;

	r->topics.v = arena_array(&c->arena, g == NULL ? 0 : ts->n,
	    sizeof *r->topics.v);
	if (r->topics.v == NULL)
		return E_NOMEM;
	for (t = ts->first; g != NULL && t != NULL; t = t->next) {
		struct offset_fetch_res_group_topic *rt =
		    &r->topics.v[r->topics.n];
		int32_t n = 0;

		if (t->state != TOPIC_LIVE)
			continue;
		for (int32_t i = 0; i < t->nparts; i++)
			n += group_offset((struct group *)(uintptr_t)g,
			    &t->id, i, false) != NULL;
		if (n == 0)
			continue;
		rt->partitions.v = arena_array(&c->arena, (size_t)n,
		    sizeof *rt->partitions.v);
		if (rt->partitions.v == NULL)
			return E_NOMEM;
		rt->name = kstr_of(t->name);
		rt->topic_id = t->id;
		for (int32_t i = 0; i < t->nparts; i++)
			if (group_offset((struct group *)(uintptr_t)g, &t->id,
			    i, false) != NULL)
				fill_part(g, t, i, &rt->partitions.v[
				    rt->partitions.n++]);
		r->topics.n++;
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

	enum err e = q->group_id.len > 0 ? E_OK : E_INVALID_GROUP_ID;

	r->group_id = q->group_id;
	if (e == E_OK && g != NULL && g->ops != NULL)
		e = g->ops->check_fetch(g, q->member_id, q->member_epoch);
	r->error_code = err_code(e);
	if (e != E_OK && c->head.version >= 8)
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
		struct topic *t = by_id
		    ? topic_find_id(&c->eng->topics, qt->topic_id)
		    : topic_find(&c->eng->topics, qt->name);
		int32_t n = qt->partition_indexes.n;

		rt->name = qt->name.len >= 0 ? qt->name : kstr_of("");
		rt->topic_id = qt->topic_id;
		rt->partitions.n = n > 0 ? n : 0;
		rt->partitions.v = arena_array(&c->arena, n > 0 ? (size_t)n
		    : 0, sizeof *rt->partitions.v);
		if (rt->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t k = 0; k < n; k++) {
			fill_part(g, t, qt->partition_indexes.v[k],
			    &rt->partitions.v[k]);
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
fill_old(struct call *c, const struct offset_fetch_req *q,
    struct offset_fetch_res *res)
{
	struct offset_fetch_req_group one = { .group_id = q->group_id,
	    .topics = { q->topics.n, NULL } };
	struct offset_fetch_res_group r = { 0 };
	size_t left = ANSWER_MAX;
	enum err e;

	if (q->topics.n > 0) {
		one.topics.v = arena_array(&c->arena, (size_t)q->topics.n,
		    sizeof *one.topics.v);
		if (one.topics.v == NULL)
			return E_NOMEM;
		for (int32_t i = 0; i < q->topics.n; i++) {
			one.topics.v[i].name = q->topics.v[i].name;
			one.topics.v[i].partition_indexes.n =
			    q->topics.v[i].partition_indexes.n;
			one.topics.v[i].partition_indexes.v =
			    q->topics.v[i].partition_indexes.v;
		}
	}
	e = fill_group(c, &one, &r);
	if (e == E_OK && !fits(&r, &left))
		e = E_NOMEM;
	if (e != E_OK)
		return e;
	res->error_code = r.error_code;
	res->topics.n = r.topics.n;
	res->topics.v = arena_array(&c->arena, (size_t)r.topics.n,
	    sizeof *res->topics.v);
	for (int32_t i = 0; res->topics.v != NULL && i < r.topics.n; i++) {
		struct offset_fetch_res_group_topic *t = &r.topics.v[i];
		struct offset_fetch_res_topic *o = &res->topics.v[i];

		o->name = t->name;
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
	}
	return res->topics.v == NULL ? E_NOMEM : E_OK;
}

void
handle_offset_fetch(struct call *c)
{
	const struct offset_fetch_req *q = c->req;
	struct offset_fetch_res res = { 0 };
	size_t left = ANSWER_MAX;

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
