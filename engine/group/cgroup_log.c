/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups in the catalogue: four types of records, one of the group
 * and three of each member, written as they change.  A member's tombstone
 * takes its three with it, the group's all of them.
 *
 * Memory is ahead of the disk, so an answer waits for all that its group has
 * written, also on behalf of others.  After a failed write the group is
 * written as a whole before anything else is answered.
 */
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "engine.h"
#include "group_call.h"
#include "lib/log.h"

enum { RECORD_MAX = 16 * MIB };

/* ---- writing ----------------------------------------------------------- */

/* Where a record goes: to the catalogue, or into a snapshot. */
struct sink {
	struct cgroup	*cg;
	void		(*put)(void *, enum meta_type, const struct meta_key *,
			    const void *);
	void		*arg;
};

static enum err
sink_put(const struct sink *s, enum meta_type t, const struct meta_key *key,
    const void *value)
{
	struct groups *gs = &s->cg->group->eng->groups;
	enum err e = E_OK;

	if (s->put != NULL)
		s->put(s->arg, t, key, value);
	else
		e = meta_write(&s->cg->group->eng->meta, t, key, value, NULL);
	if (s->put == NULL)
		s->cg->written = gs->ticket + 1;
	if (e != E_OK)
		s->cg->torn = true;
	return e;
}

static struct meta_key
group_key(const struct group *g)
{
	return (struct meta_key){ (const uint8_t *)g->name, strlen(g->name) };
}

/* The length of the group's name, the name, the member's id. */
static enum err
member_key(struct arena *a, const struct cmember *m, struct meta_key *key)
{
	size_t n = strlen(m->group->name), k = strlen(m->id);
	uint8_t *p = arena_alloc(a, 2 + n + k);

	if (p == NULL)
		return E_NOMEM;
	be16_put(p, (uint16_t)n);
	memcpy(p + 2, m->group->name, n);
	memcpy(p + 2 + n, m->id, k);
	*key = (struct meta_key){ p, 2 + n + k };
	return E_OK;
}

static enum err
put_group(const struct sink *s)
{
	const struct cgroup *cg = s->cg;
	struct meta_key key = group_key(cg->group);
	struct meta_cgroup rec = { cg->epoch, cg->target_epoch, cg->wanted,
	    cg->group->empty_since };

	return sink_put(s, MT_meta_cgroup, &key, &rec);
}

static enum err
member_record(const struct cmember *m, void *out, struct arena *a)
{
	struct meta_cmember *rec = out;

	*rec = (struct meta_cmember){ .instance = kstr_of(m->instance),
	    .rack = kstr_of(m->rack), .client_id = kstr_of(m->client_id),
	    .host = kstr_of(m->host), .rebalance_ms = m->rebalance_ms,
	    .regex = kstr_of(m->sub->regex),
	    .assignor = kstr_of(m->assignor < 0 ? NULL
	    : assignors[m->assignor].name), .session_ms = m->session_ms };
	rec->names.v = arena_array(a, (size_t)m->sub->nnames + 1,
	    sizeof *rec->names.v);
	rec->protocols.v = arena_array(a, (size_t)m->nprotocols + 1,
	    sizeof *rec->protocols.v);
	if (rec->names.v == NULL || rec->protocols.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < m->sub->nnames; i++)
		rec->names.v[rec->names.n++] = kstr_of(m->sub->names[i]);
	for (int i = 0; i < m->nprotocols; i++)
		rec->protocols.v[rec->protocols.n++] =
		    (struct meta_cmember_protocol){
		    kstr_of(m->protocols[i].name),
		    { m->protocols[i].len, m->protocols[i].metadata } };
	return E_OK;
}

/* A set by topics, whose partitions stand together in it. */
static enum err
set_record(const struct cgroup *cg, const struct tps *s, struct arena *a,
    struct meta_cparts **v, int32_t *n)
{
	int32_t *parts = arena_array(a, (size_t)s->n + 1, sizeof *parts);
	int ntopics = 0;

	for (int i = 0; i < s->n; i++)
		ntopics += i == 0 || tp_topic(s->v[i]) !=
		    tp_topic(s->v[i - 1]);
	*v = arena_array(a, (size_t)ntopics + 1, sizeof **v);
	*n = 0;
	if (parts == NULL || *v == NULL)
		return E_NOMEM;
	for (int i = 0; i < s->n; i++) {
		if (i == 0 || tp_topic(s->v[i]) != tp_topic(s->v[i - 1])) {
			(*v)[*n].topic =
			    cg->topics[tp_topic(s->v[i])].id;
			(*v)[(*n)++].parts.v = parts + i;
		}
		parts[i] = tp_part(s->v[i]);
		(*v)[*n - 1].parts.n++;
	}
	return E_OK;
}

static enum err
target_record(const struct cmember *m, void *rec, struct arena *a)
{
	struct meta_ctarget *r = rec;

	*r = (struct meta_ctarget){ 0 };
	return set_record(cgroup_of(m->group), &m->target, a, &r->topics.v,
	    &r->topics.n);
}

static enum err
current_record(const struct cmember *m, void *rec, struct arena *a)
{
	struct meta_ccurrent *r = rec;
	const struct cgroup *cg = cgroup_of(m->group);
	enum err e;

	*r = (struct meta_ccurrent){ .epoch = m->epoch,
	    .previous = m->previous, .state = (int8_t)m->state };
	e = set_record(cg, &m->assigned, a, &r->assigned.v, &r->assigned.n);
	return e != E_OK ? e : set_record(cg, &m->revoking, a,
	    &r->revoking.v, &r->revoking.n);
}

/* A record of a member; fill NULL: it is gone. */
static enum err
put_of(const struct sink *s, const struct cmember *m, enum meta_type type,
    enum err (*fill)(const struct cmember *, void *rec, struct arena *))
{
	union {
		struct meta_cmember	member;
		struct meta_ctarget	target;
		struct meta_ccurrent	current;
	} rec;
	struct meta_key key;
	struct arena a;
	enum err e;

	arena_init(&a, RECORD_MAX);
	e = member_key(&a, m, &key);
	if (e == E_OK && fill != NULL)
		e = fill(m, &rec, &a);
	if (e == E_OK)
		e = sink_put(s, type, &key, fill == NULL ? NULL : &rec);
	else
		s->cg->torn = true;
	arena_reset(&a);
	return e;
}

static enum err
put_member(const struct sink *s, const struct cmember *m)
{
	return put_of(s, m, MT_meta_cmember, member_record);
}

static enum err
put_target(const struct sink *s, const struct cmember *m)
{
	return put_of(s, m, MT_meta_ctarget, target_record);
}

static enum err
put_current(const struct sink *s, const struct cmember *m)
{
	return put_of(s, m, MT_meta_ccurrent, current_record);
}

static enum err
put_all(const struct sink *s)
{
	enum err e = put_group(s);

	for (const struct cmember *m = s->cg->members; m != NULL && e == E_OK;
	    m = m->next) {
		e = put_member(s, m);
		if (e == E_OK)
			e = put_target(s, m);
		if (e == E_OK)
			e = put_current(s, m);
	}
	return e;
}

/* ---- what the state machine writes ------------------------------------- */

enum err
cgroup_put(struct cgroup *cg)
{
	struct sink s = { .cg = cg };

	return put_group(&s);
}

enum err
cmember_put(struct cmember *m)
{
	struct sink s = { .cg = cgroup_of(m->group) };

	return put_member(&s, m);
}

enum err
cmember_put_target(struct cmember *m)
{
	struct sink s = { .cg = cgroup_of(m->group) };

	return put_target(&s, m);
}

enum err
cmember_put_current(struct cmember *m)
{
	struct sink s = { .cg = cgroup_of(m->group) };

	return put_current(&s, m);
}

enum err
cmember_put_gone(struct cmember *m)
{
	struct sink s = { .cg = cgroup_of(m->group) };

	return put_of(&s, m, MT_meta_cmember, NULL);
}

enum err
cgroup_put_gone(struct cgroup *cg)
{
	struct sink s = { .cg = cg };
	struct meta_key key = group_key(cg->group);

	return sink_put(&s, MT_meta_cgroup, &key, NULL);
}

/* Behind the tombstone nothing of before is left. */
enum err
cgroup_put_all(struct cgroup *cg)
{
	struct sink s = { .cg = cg };
	enum err e = cgroup_put_gone(cg);

	if (e == E_OK)
		e = put_all(&s);
	if (e == E_OK) {
		cg->torn = false;
		cg->whole = cg->written;
	}
	return e;
}

void
cgroup_snapshot(struct group *g, void (*put)(void *, enum meta_type,
    const struct meta_key *, const void *), void *arg)
{
	struct sink s = { g->modern, put, arg };

	if (put_all(&s) != E_OK)
		log_fatal("no memory for a snapshot of a group", LE(E_NOMEM));
}

/* ---- answers ----------------------------------------------------------- */

struct canswer {
	struct meta_put	 put;
	struct engine	*eng;
	struct call	*call;		/* NULL: nobody waits */
	uint64_t	 ticket;
	void		*res;
	int16_t		*error;
};

static void
canswer_done(struct meta_put *put, enum err e)
{
	struct canswer *a = (struct canswer *)put;
	struct groups *gs = &a->eng->groups;

	if (a->ticket > gs->synced)
		gs->synced = a->ticket;
	if (e != E_OK)
		gs->failed = a->ticket;
	if (a->call != NULL && e != E_OK)
		*a->error = err_code(E_COORDINATOR_NOT_AVAILABLE);
	if (a->call != NULL)
		call_reply(a->call, a->res);
	free(a);
}

static enum err
wait_for(struct engine *eng, struct call *c, void *res, int16_t *error)
{
	struct canswer *a = calloc(1, sizeof *a);

	if (a == NULL)
		return E_NOMEM;
	a->put.done = canswer_done;
	a->eng = eng;
	a->call = c;
	a->ticket = ++eng->groups.ticket;
	a->res = res;
	a->error = error;
	meta_wait(&eng->meta, &a->put);
	return E_OK;
}

void
cgroup_answer(struct cgroup *cg, struct cmember *m, struct call *c,
    void *res, int16_t *error)
{
	struct groups *gs = &c->eng->groups;
	enum err e = E_OK;

	if (cg == NULL) {
		if (c->eng->meta.maker.b.count == 0 || wait_for(c->eng, c,
		    res, error) != E_OK)
			call_reply(c, res);
		return;
	}
	if (cg->whole == 0)	/* new */
		cg->whole = cg->written;
	if (cg->torn || (cg->written > 0 && cg->whole <= gs->failed))
		e = cgroup_put_all(cg);
	else if (cg->written > gs->synced && cg->written <= gs->ticket)
		/* On its way since before: a record of our own to wait for. */
		e = m != NULL ? cmember_put_current(m) : cgroup_put(cg);
	if (e == E_OK && cg->written > gs->synced &&
	    (e = wait_for(c->eng, c, res, error)) == E_OK)
		return;
	if (e != E_OK) {
		*error = err_code(E_COORDINATOR_NOT_AVAILABLE);
		cg->torn = true;
	}
	call_reply(c, res);
}

void
cgroup_flush(struct engine *eng)
{
	if (eng->meta.maker.b.count > 0 && wait_for(eng, NULL, NULL, NULL) !=
	    E_OK)
		log_warn("no memory to wait for the catalogue", LE(E_NOMEM));
}

/* ---- at start ---------------------------------------------------------- */

static enum err
set_restore(struct cgroup *cg, const struct meta_cparts *v, int32_t n,
    struct tps *out)
{
	enum err e = E_OK;

	for (int32_t i = 0; i < n && e == E_OK; i++) {
		int32_t t = uuid_zero(v[i].topic) ? -1
		    : ctopic_get(cg, &v[i].topic);

		if (t < 0)
			e = uuid_zero(v[i].topic) ? E_CORRUPT : E_NOMEM;
		for (int32_t k = 0; k < v[i].parts.n && e == E_OK; k++)
			e = v[i].parts.v[k] < 0 || v[i].parts.v[k] >=
			    PARTS_PER_TOPIC_MAX ? E_CORRUPT
			    : tps_push(out, tp_of(t, v[i].parts.v[k]));
	}
	tps_sort(out);
	return e;
}

static enum err
member_restore(struct cmember *m, const struct meta_cmember *rec)
{
	struct cgroup *cg = cgroup_of(m->group);
	struct join_group_req_protocol *proto;
	struct csub *sub;
	bool changed;
	enum err e = csub_get(cg, rec->names.v, rec->names.n, rec->regex,
	    &sub);

	if (e != E_OK)
		return e;
	csub_put(cg, m->sub);
	m->sub = sub;
	m->rebalance_ms = rec->rebalance_ms;
	m->session_ms = rec->session_ms;
	m->assignor = -1;
	for (int i = 0; i < ASSIGN_N; i++)
		if (kstr_eq(kstr_of(assignors[i].name), rec->assignor))
			m->assignor = i;
	proto = calloc((size_t)(rec->protocols.n > 0 ? rec->protocols.n : 0) +
	    1, sizeof *proto);
	if (proto == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < rec->protocols.n; i++)
		proto[i] = (struct join_group_req_protocol){
		    rec->protocols.v[i].name, rec->protocols.v[i].metadata };
	e = cmember_protocols(m, proto, rec->protocols.n > 0
	    ? rec->protocols.n : 0);
	free(proto);
	if (e != E_OK)
		return e;
	e = cmember_text(m, &m->client_id, rec->client_id, &changed);
	if (e == E_OK)
		e = cmember_text(m, &m->host, rec->host, &changed);
	if (e == E_OK)
		e = cmember_text(m, &m->instance, rec->instance, &changed);
	return e == E_OK ? cmember_text(m, &m->rack, rec->rack, &changed) : e;
}

static enum err
current_restore(struct cmember *m, const struct meta_ccurrent *rec)
{
	struct cgroup *cg = cgroup_of(m->group);
	struct tps assigned = { 0 }, revoking = { 0 };
	enum err e;

	if (rec->state < C_STABLE || rec->state > C_UNRELEASED)
		return E_CORRUPT;
	e = set_restore(cg, rec->assigned.v, rec->assigned.n, &assigned);
	if (e == E_OK)
		e = set_restore(cg, rec->revoking.v, rec->revoking.n,
		    &revoking);
	if (e == E_OK)
		e = cmember_hold(m, &assigned, &revoking, rec->epoch);
	m->epoch = rec->epoch;
	m->previous = rec->previous;
	m->state = (enum cstate)rec->state;
	tps_free(&assigned);
	tps_free(&revoking);
	return e;
}

static enum err
group_restore_modern(struct engine *eng, const struct meta_key *key,
    const struct meta_cgroup *rec)
{
	struct kstr name = { (int32_t)key->len, (const char *)key->p };
	struct group *g = group_find(eng, name, rec != NULL);

	if (rec == NULL) {
		if (g != NULL && g->ops == &cgroup_ops) {
			cgroup_free(g);
			group_unused(g);
		}
		return E_OK;
	}
	if (g == NULL)
		return key->len == 0 ? E_CORRUPT : E_NOMEM;
	if (g->ops == NULL)
		group_clear(g);
	if (g->ops == NULL && cgroup_new(g) == NULL)
		return E_NOMEM;
	if (g->ops != &cgroup_ops)
		return E_CORRUPT;
	cgroup_of(g)->epoch = rec->epoch;
	cgroup_of(g)->target_epoch = rec->target_epoch;
	cgroup_of(g)->wanted = rec->wanted;
	g->empty_since = rec->empty_ms;
	return E_OK;
}

enum err
cgroup_restore(struct engine *eng, enum meta_type t,
    const struct meta_key *key, const void *value)
{
	const struct meta_ctarget *target = value;
	struct cgroup *cg = NULL;
	struct cmember *m;
	struct group *g;
	struct kstr id;
	size_t n;

	if (t == MT_meta_cgroup)
		return group_restore_modern(eng, key, value);
	n = key->len < 2 ? 0 : be16(key->p);
	if (n == 0 || key->len < 2 + n + 1)
		return E_CORRUPT;
	g = group_find(eng, (struct kstr){ (int32_t)n,
	    (const char *)key->p + 2 }, false);
	if (g != NULL)
		cg = cgroup_of(g);
	/* Behind a snapshot there may be records of what was gone when it was
	 * made: their ends follow. */
	if (cg == NULL)
		return E_OK;
	id = (struct kstr){ (int32_t)(key->len - 2 - n),
	    (const char *)key->p + 2 + n };
	m = cmember_find(cg, id);
	if (value == NULL) {
		if (m != NULL)
			cmember_free(m);
		return E_OK;
	}
	if (m == NULL && t != MT_meta_cmember)
		return E_OK;
	if (m == NULL && (m = cmember_new(cg, id)) == NULL)
		return E_NOMEM;
	if (t == MT_meta_cmember)
		return member_restore(m, value);
	if (t == MT_meta_ccurrent)
		return current_restore(m, value);
	tps_free(&m->target);
	return set_restore(cg, target->topics.v, target->topics.n,
	    &m->target);
}

/* Takes out what somebody holds already: that must not be, and must not hurt
 * if it is. */
static void
unheld(struct cmember *m, struct tps *s, const struct tps *too)
{
	int n = 0;

	for (int i = 0; i < s->n; i++)
		if (ctopic_owner(cgroup_of(m->group), s->v[i]) == NULL &&
		    (too == NULL || !tps_has(too, s->v[i])))
			s->v[n++] = s->v[i];
	if (n < s->n)
		log_warn("a partition has two holders", LS("group",
		    m->group->name), LS("member", m->id));
	s->n = n;
}

void
cgroup_resume(struct group *g)
{
	struct cgroup *cg = cgroup_of(g);
	int64_t empty = g->empty_since;

	cg->live = true;
	for (struct cmember *m = cg->members; m != NULL; m = m->next) {
		struct tps a = m->assigned, r = m->revoking;

		m->assigned = m->revoking = (struct tps){ 0 };
		unheld(m, &a, NULL);
		unheld(m, &r, &a);
		if (cmember_hold(m, &a, &r, m->epoch) != E_OK)
			log_fatal("no memory for a group", LE(E_NOMEM));
		cmember_session(m);
		if (!m->classic && m->state == C_UNREVOKED)
			cmember_phase(m, P_REVOKE);
	}
	g->empty_since = cg->nmembers > 0 ? 0 : empty;
}
