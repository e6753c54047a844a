/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups in the catalogue: a record per group after each rebalance, one per
 * committed offset, and their end (KIP-211).
 */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"
#include "lib/log.h"

enum { GROUP_RECORD_MAX = 64 * MIB };

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

/* Members of a generation that has no assignment must not come back with it:
 * they would agree on having nothing.  Without them, all join anew. */
static enum err
group_record(const struct group *g, bool assigned, struct meta_group *rec,
    struct arena *a)
{
	*rec = (struct meta_group){ .generation = g->generation,
	    .type = kstr_of(g->type), .protocol = kstr_of(g->protocol),
	    .leader = kstr_of(g->leader != NULL && g->protocol != NULL &&
	    assigned ? g->leader->id : NULL),
	    .changed_ms = g->empty_since != 0 ? g->empty_since : wall_ms() };
	rec->members.v = arena_array(a, (size_t)g->nmembers + 1,
	    sizeof *rec->members.v);
	if (rec->members.v == NULL)
		return E_NOMEM;
	for (const struct member *m = g->members; m != NULL && assigned &&
	    g->protocol != NULL; m = m->next) {
		struct meta_group_member *r;

		if (m->pending)
			continue;
		r = &rec->members.v[rec->members.n++];
		r->id = kstr_of(m->id);
		r->instance = kstr_of(m->instance);
		r->session_ms = m->session_ms;
		r->rebalance_ms = m->rebalance_ms;
		r->assignment = (struct kbytes){ m->assignment_len,
		    m->assignment };
		for (int i = 0; i < m->nprotocols; i++)
			if (strcmp(m->protocols[i].name, g->protocol) == 0)
				r->metadata = (struct kbytes){
				    m->protocols[i].len,
				    m->protocols[i].metadata };
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

/* ---- offsets ----------------------------------------------------------- */

static size_t
offset_slot(const struct group *g, const struct uuid *t, int32_t part)
{
	uint64_t h;

	memcpy(&h, t->b, 8);
	h = (h ^ (uint64_t)(uint32_t)part * 0x9e3779b97f4a7c15) *
	    0xff51afd7ed558ccd;
	return (size_t)(h ^ h >> 33) & (g->offsets_size - 1);
}

static enum err
offsets_grow(struct group *g)
{
	struct committed **old = g->offsets, *o, *next;
	size_t size = g->offsets_size, want = size == 0 ? 16 : size * 4;

	if (g->noffsets < size)
		return E_OK;
	g->offsets = calloc(want, sizeof(struct committed *));
	if (g->offsets == NULL) {
		g->offsets = old;
		return E_NOMEM;
	}
	g->offsets_size = want;
	for (size_t i = 0; i < size; i++)
		for (o = old[i]; o != NULL; o = next) {
			struct committed **slot = &g->offsets[offset_slot(g,
			    &o->topic, o->part)];

			next = o->next;
			o->next = *slot;
			*slot = o;
		}
	free(old);
	return E_OK;
}

struct committed *
group_offset(struct group *g, const struct uuid *t, int32_t part, bool create)
{
	struct committed *o = NULL, **slot;

	if (g->offsets_size > 0)
		o = g->offsets[offset_slot(g, t, part)];
	while (o != NULL && (!uuid_eq(o->topic, *t) || o->part != part))
		o = o->next;
	if (o != NULL || !create)
		return o;
	if (offsets_grow(g) != E_OK || (o = calloc(1,
	    sizeof *o)) == NULL)
		return NULL;
	o->topic = *t;
	o->part = part;
	o->offset = -1;
	slot = &g->offsets[offset_slot(g, t, part)];
	o->next = *slot;
	*slot = o;
	g->noffsets++;
	return o;
}

void
group_offsets_free(struct group *g)
{
	struct committed *o, *next;

	for (size_t i = 0; i < g->offsets_size; i++)
		for (o = g->offsets[i]; o != NULL; o = next) {
			next = o->next;
			free(o->metadata);
			free(o);
		}
	free(g->offsets);
	g->offsets = NULL;
	g->offsets_size = g->noffsets = 0;
}

/* Key bytes: topic id, partition, group name; in an arena. */
enum err
offset_key(struct arena *a, const char *group, const struct uuid *t,
    int32_t part, struct meta_key *key)
{
	size_t n = strlen(group);
	uint8_t *p = arena_alloc(a, 20 + n);

	if (p == NULL)
		return E_NOMEM;
	memcpy(p, t->b, 16);
	be32_put(p + 16, (uint32_t)part);
	memcpy(p + 20, group, n);
	*key = (struct meta_key){ p, 20 + n };
	return E_OK;
}

enum err
group_restore_offset(struct engine *eng, const struct meta_key *key,
    const void *value)
{
	const struct meta_offset *rec = value;
	struct committed *o;
	struct group *g;
	struct uuid t;
	int32_t part;

	if (key->len <= 20)
		return E_CORRUPT;
	memcpy(t.b, key->p, 16);
	part = (int32_t)be32(key->p + 16);
	g = group_find(eng, (struct kstr){ (int32_t)key->len - 20,
	    (const char *)key->p + 20 }, value != NULL);
	if (value == NULL) {
		if (g != NULL)
			offset_drop(g, &t, part);
		return E_OK;
	}
	if (g == NULL || (o = group_offset(g, &t, part, true)) == NULL)
		return E_NOMEM;
	o->offset = rec->offset;
	o->epoch = rec->epoch;
	o->ts = rec->committed_ms;
	free(o->metadata);
	o->metadata = kstr_dup(rec->metadata);
	return o->metadata == NULL ? E_NOMEM : E_OK;
}

void
offset_drop(struct group *g, const struct uuid *t, int32_t part)
{
	struct committed **slot, *o;

	if (g->offsets_size == 0)
		return;
	for (slot = &g->offsets[offset_slot(g, t, part)]; (o = *slot) != NULL;
	    slot = &o->next)
		if (uuid_eq(o->topic, *t) && o->part == part) {
			*slot = o->next;
			g->noffsets--;
			free(o->metadata);
			free(o);
			return;
		}
}

/* ---- at start ---------------------------------------------------------- */

static enum err
member_restore(struct group *g, const struct meta_group *rec,
    const struct meta_group_member *rm)
{
	struct member *m = member_new(g, rm->instance);
	char *id = kstr_dup(rm->id);

	if (m == NULL || id == NULL) {
		free(id);
		return E_NOMEM;
	}
	free(m->id);
	m->id = id;
	m->session_ms = rm->session_ms;
	m->rebalance_ms = rm->rebalance_ms;
	m->protocols = calloc(1, sizeof *m->protocols);
	if (m->protocols == NULL)
		return E_NOMEM;
	m->nprotocols = 1;
	m->protocols[0].name = kstr_dup(rec->protocol);
	m->protocols[0].metadata = bytes_dup(rm->metadata,
	    &m->protocols[0].len);
	m->assignment = bytes_dup(rm->assignment, &m->assignment_len);
	member_bytes(m, (size_t)m->protocols[0].len);
	g->nmembers++;
	if (g->leader == NULL || kstr_eq(rm->id, rec->leader))
		g->leader = m;
	return m->protocols[0].name == NULL || m->assignment == NULL ||
	    m->protocols[0].metadata == NULL ? E_NOMEM : E_OK;
}

enum err
group_restore(struct engine *eng, const struct meta_key *key,
    const void *value)
{
	const struct meta_group *rec = value;
	struct kstr name = { (int32_t)key->len, (const char *)key->p };
	struct group *g;
	enum err e = E_OK;

	if (key->len == 0)
		return E_CORRUPT;
	g = group_find(eng, name, value != NULL);
	if (value == NULL) {
		if (g != NULL) {
			group_clear(g);
			g->stored = false;
			group_reap(g);
		}
		return E_OK;
	}
	if (g == NULL)
		return E_NOMEM;
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
	if (g->state == GROUP_STABLE)
		g->empty_since = 0;
	return e;
}

void
groups_resume(struct engine *eng)
{
	for (struct group *g = eng->groups.first; g != NULL; g = g->next)
		for (struct member *m = g->members; m != NULL; m = m->next)
			session_start(m);
	groups_expiry_start(eng);
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
		if (g->stored && group_record(g, g->state == GROUP_STABLE,
		    &rec, &a) == E_OK)
			put(arg, MT_meta_group, &key, &rec);
		arena_reset(&a);
		for (size_t i = 0; i < g->offsets_size; i++)
			for (struct committed *o = g->offsets[i]; o != NULL;
			    o = o->next) {
				struct meta_offset or = { o->offset, o->epoch,
				    kstr_of(o->metadata), o->ts };

				if (offset_key(&a, g->name, &o->topic,
				    o->part, &key) == E_OK)
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

	if (!group_is_empty(g) || g->members != NULL || g->noffsets > 0)
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

/* Drops the offsets for which gone() says so, with their records. */
static void
offsets_sweep(struct group *g, bool (*gone)(const struct group *,
    const struct committed *, const void *), const void *arg)
{
	struct committed **slot, *o;
	struct meta_key key;
	struct arena a;

	arena_init(&a, 64 * KIB);
	for (size_t i = 0; i < g->offsets_size; i++)
		for (slot = &g->offsets[i]; (o = *slot) != NULL; ) {
			if (!gone(g, o, arg) || offset_key(&a, g->name,
			    &o->topic, o->part, &key) != E_OK ||
			    meta_write(&g->eng->meta, MT_meta_offset, &key,
			    NULL, NULL) != E_OK) {
				slot = &o->next;
				continue;
			}
			*slot = o->next;
			g->noffsets--;
			free(o->metadata);
			free(o);
			arena_reset(&a);
		}
	arena_reset(&a);
}

static bool
of_topic(const struct group *g, const struct committed *o, const void *arg)
{
	(void)g;
	return uuid_eq(o->topic, *(const struct uuid *)arg);
}

void
groups_topic_gone(struct engine *eng, const struct uuid *topic)
{
	for (struct group *g = eng->groups.first; g != NULL; g = g->next)
		offsets_sweep(g, of_topic, topic);
}

/* Of an empty group: since it became empty, or since the commit. */
static bool
is_old(const struct group *g, const struct committed *o, const void *arg)
{
	int64_t cutoff = *(const int64_t *)arg;

	return o->ts < cutoff && (g->type == NULL ||
	    g->empty_since < cutoff);
}

static void
expiry_fire(struct timer *t)
{
	struct engine *eng = (struct engine *)((char *)t -
	    offsetof(struct engine, groups.expiry));
	int64_t cutoff = wall_ms() -
	    eng->conf->offsets_retention_minutes * 60000;
	struct group *g, *next;

	for (g = eng->groups.first; g != NULL; g = next) {
		next = g->next;
		if (g->state == GROUP_EMPTY)
			offsets_sweep(g, is_old, &cutoff);
		group_reap(g);
	}
	groups_expiry_start(eng);
}

void
groups_expiry_start(struct engine *eng)
{
	eng->groups.expiry.fire = expiry_fire;
	if (timer_set(&eng->timers, &eng->groups.expiry, mono_ms() +
	    eng->conf->offsets_retention_check_interval_ms) != E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}
