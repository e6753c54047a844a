/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups in the catalogue: a record per group after each rebalance, one per
 * committed offset, and their end (KIP-211).
 */
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "group_call.h"
#include "lib/log.h"

enum {
	GROUP_RECORD_MAX = 64 * MIB,
	OFFSET_KEY = 20,	/* bytes before the group's name */
};

/* ---- the group's own record -------------------------------------------- */

struct storing {
	struct meta_put	 put;
	struct engine	*eng;
	int32_t		 generation;
	void		(*then)(struct group *, int32_t, enum err);
	size_t		 len;
	char		 name[];
};

static struct meta_key
group_key(const struct group *g)
{
	return (struct meta_key){ (const uint8_t *)g->name, strlen(g->name) };
}

/* The leader, or who will do for one, of the members that are counted. */
static const char *
leader_of(const struct group *g)
{
	const struct member *m = g->leader;

	if (m == NULL || !m->counted)
		for (m = g->members; m != NULL && !m->counted; m = m->next)
			;
	return m == NULL ? NULL : m->id;
}

/* Members of a generation that has no assignment must not come back with it:
 * they would agree on having nothing.  Without them, all join anew.  Who waits
 * for the next generation is of none yet. */
static enum err
group_record(const struct group *g, bool assigned, struct meta_group *rec,
    struct arena *a)
{
	const struct known *k = known_find(g, kstr_of(g->protocol));

	*rec = (struct meta_group){ .generation = g->generation,
	    .type = kstr_of(g->type), .protocol = kstr_of(g->protocol),
	    .leader = kstr_of(g->protocol != NULL && assigned
	    ? leader_of(g) : NULL),
	    .changed_ms = g->empty_since != 0 ? g->empty_since : wall_ms() };
	rec->members.v = arena_array(a, (size_t)g->nmembers + 1,
	    sizeof *rec->members.v);
	if (rec->members.v == NULL)
		return E_NOMEM;
	for (const struct member *m = g->members; m != NULL && assigned &&
	    k != NULL; m = m->next) {
		const struct protocol *p = member_protocol(m, k);
		struct meta_group_member *r;

		if (!m->counted)
			continue;
		r = &rec->members.v[rec->members.n++];
		r->id = kstr_of(m->id);
		r->instance = kstr_of(m->instance);
		r->session_ms = m->session_ms;
		r->rebalance_ms = m->rebalance_ms;
		r->assignment = (struct kbytes){ m->assignment_len,
		    m->assignment };
		r->client_id = kstr_of(m->client_id);
		r->client_host = kstr_of(m->client_host);
		if (p != NULL)
			r->metadata = (struct kbytes){ p->len, p->metadata };
	}
	return E_OK;
}

static void
stored(struct meta_put *put, enum err e)
{
	struct storing *s = (struct storing *)put;
	struct group *g = group_find(s->eng, (struct kstr){ (int32_t)s->len,
	    s->name }, false);

	if (g != NULL && s->then != NULL)
		s->then(g, s->generation, e);
	free(s);
}

enum err
group_store(struct group *g, void (*then)(struct group *, int32_t, enum err))
{
	size_t n = strlen(g->name);
	struct storing *s = calloc(1, sizeof *s + n + 1);
	struct meta_key key = group_key(g);
	struct meta_group rec;
	struct arena a;
	enum err e;

	if (s == NULL)
		return E_NOMEM;
	s->eng = g->eng;
	s->generation = g->generation;
	s->then = then;
	s->len = n;
	memcpy(s->name, g->name, n);
	s->put.done = stored;
	arena_init(&a, GROUP_RECORD_MAX);
	e = group_record(g, true, &rec, &a);
	if (e == E_OK)
		e = meta_write(&g->eng->meta, MT_meta_group, &key, &rec,
		    &s->put);
	arena_reset(&a);
	if (e == E_OK)
		g->stored = true;
	else
		free(s);
	return e;
}

enum err
group_store_deleted(struct group *g, struct meta_put *put)
{
	struct meta_key key = group_key(g);
	struct meta_group rec = { .type = kstr_of(NULL),
	    .protocol = kstr_of(NULL), .leader = kstr_of(NULL),
	    .changed_ms = wall_ms(), .deleted = true };
	enum err e = E_OK;

	if (g->ops != NULL)
		e = g->ops->drop(g);
	if (e == E_OK)
		e = meta_write(&g->eng->meta, MT_meta_group, &key, &rec, put);
	if (e == E_OK)
		g->stored = false;	/* until it is stored again */
	return e;
}

/* ---- offsets ----------------------------------------------------------- */

/* Key bytes: topic id, partition, group name; in an arena. */
enum err
offset_key(struct arena *a, const struct group *g, const struct topic *t,
    int32_t part, struct meta_key *key)
{
	size_t n = strlen(g->name);
	uint8_t *p = arena_alloc(a, OFFSET_KEY + n);

	if (p == NULL)
		return E_NOMEM;
	memcpy(p, t->id.b, 16);
	be32_put(p + 16, (uint32_t)part);
	memcpy(p + OFFSET_KEY, g->name, n);
	*key = (struct meta_key){ p, OFFSET_KEY + n };
	return E_OK;
}

enum err
group_restore_offset(struct engine *eng, const struct meta_key *key,
    const void *value)
{
	struct committed *o;
	struct group *g;
	struct topic *t;
	struct uuid id;
	int32_t part;

	if (key->len < OFFSET_KEY)
		return E_CORRUPT;
	memcpy(id.b, key->p, 16);
	part = (int32_t)be32(key->p + 16);
	t = topic_find_id(&eng->topics, id);
	if (t == NULL)
		return E_OK;	/* it went while the commit was on its way */
	g = group_find(eng, (struct kstr){ (int32_t)(key->len - OFFSET_KEY),
	    (const char *)key->p + OFFSET_KEY }, value != NULL);
	if (value == NULL) {
		o = g == NULL ? NULL : group_offset(g, t, part, false);
		if (o != NULL)
			committed_free(o);
		return E_OK;
	}
	if (g == NULL || (o = group_offset(g, t, part, true)) == NULL)
		return E_NOMEM;
	return committed_set(o, value);
}

/* ---- at start ---------------------------------------------------------- */

static enum err
member_restore(struct group *g, const struct meta_group *rec,
    const struct meta_group_member *rm)
{
	struct join_group_req_protocol p = { rec->protocol, rm->metadata };
	struct join_group_req q = { .protocols = { 1, &p } };
	struct member *m = member_new(g, kstr_dup(rm->id), rm->instance);
	enum err e;

	if (m == NULL)
		return E_NOMEM;
	m->session_ms = rm->session_ms;
	m->rebalance_ms = rm->rebalance_ms;
	member_admit(m);
	m->counted = true;
	if (g->leader == NULL || kstr_eq(rm->id, rec->leader))
		g->leader = m;
	e = protocols_set(m, &q);
	if (e == E_OK)
		e = member_client_set(m, rm->client_id, rm->client_host);
	return e == E_OK ? member_assign(m, rm->assignment) : e;
}

/* Its tombstone, or a record that says more: its offsets are gone as well. */
static void
unrestore(struct group *g, bool deleted)
{
	group_clear(g);
	g->stored = false;
	if (deleted)
		group_offsets_free(g);
	/* One that speaks another protocol by now is not this record's. */
	if (g->ops == NULL)
		group_reap(g);
}

enum err
group_restore(struct engine *eng, const struct meta_key *key,
    const void *value)
{
	const struct meta_group *rec = value;
	struct kstr name = { (int32_t)key->len, (const char *)key->p };
	struct group *g;
	enum err e = E_OK;

	g = group_find(eng, name, value != NULL && !rec->deleted);
	if (value == NULL || rec->deleted) {
		if (g != NULL)
			unrestore(g, value != NULL);
		return E_OK;
	}
	if (g == NULL)
		return E_NOMEM;
	if (rec->leader.len >= 0 && rec->protocol.len < 0)
		return E_CORRUPT;
	group_clear(g);
	g->stored = true;
	g->generation = rec->generation;
	g->type = rec->type.len >= 0 ? kstr_dup(rec->type) : NULL;
	g->empty_since = rec->changed_ms;
	if (rec->leader.len < 0)
		return E_OK;
	g->protocol = kstr_dup(rec->protocol);
	for (int32_t i = 0; i < rec->members.n && e == E_OK; i++)
		e = member_restore(g, rec, &rec->members.v[i]);
	g->state = g->nmembers > 0 ? GROUP_STABLE : GROUP_EMPTY;
	g->assigned = g->state == GROUP_STABLE;
	if (g->assigned)
		g->empty_since = 0;
	return e;
}

void
groups_resume(struct engine *eng)
{
	struct group *g, *next;

	for (g = eng->groups.first; g != NULL; g = next) {
		next = g->next;
		if (cgroup_of(g) != NULL)
			cgroup_resume(g);
		for (struct member *m = g->members; m != NULL; m = m->next)
			session_start(m);
		/* Only offsets that ended have brought it back. */
		group_unused(g);
	}
	groups_expiry_start(eng,
	    eng->conf->offsets_retention_check_interval_ms);
}

/* ---- snapshots --------------------------------------------------------- */

void
groups_snapshot(struct engine *eng, void (*put)(void *, enum meta_type,
    const struct meta_key *, const void *), void *arg)
{
	for (struct group *g = eng->groups.first; g != NULL; g = g->next) {
		struct meta_key key = group_key(g);
		struct meta_group rec;
		struct arena a;

		arena_init(&a, GROUP_RECORD_MAX);
		/* While members join anew, they are still what they were. */
		if (g->stored && group_record(g, g->assigned, &rec, &a) ==
		    E_OK)
			put(arg, MT_meta_group, &key, &rec);
		arena_reset(&a);
		if (cgroup_of(g) != NULL)
			cgroup_snapshot(g, put, arg);
		HASH_EACH(x, &g->offsets) {
			struct committed *o = HASH_OF(x, struct committed,
			    by_part);
			struct meta_offset or = committed_record(o);

			if (offset_key(&a, g, o->topic, o->part, &key) == E_OK)
				put(arg, MT_meta_offset, &key, &or);
			arena_reset(&a);
		}
	}
}

/* ---- the end ----------------------------------------------------------- */

void
group_reap(struct group *g)
{
	struct meta_key key = group_key(g);

	if (!group_is_empty(g) || g->members != NULL || g->pending != NULL ||
	    g->offsets.n > 0 || g->commits > 0)
		return;
	if (g->ops != NULL && g->ops->drop(g) != E_OK)
		return;
	if (g->stored && meta_write(&g->eng->meta, MT_meta_group, &key, NULL,
	    NULL) != E_OK)
		return;
	group_free(g);
}

void
group_unused(struct group *g)
{
	if (!g->stored && g->ops == NULL)
		group_reap(g);
}
