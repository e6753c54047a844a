/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups and members of the classic protocol.  A classic group with
 * members becomes a consumer group when a native member joins, and becomes
 * classic again when the last native one leaves.  In between its classic
 * members are served here: they are told to join again (27) when there is
 * something to do, their subscriptions and what they own are read from what
 * they would tell their leader, and a sync tells each what it is assigned.
 */
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "engine.h"
#include "group_call.h"
#include "lib/kafka.h"
#include "lib/log.h"

typedef struct consumer_protocol_subscription subscription_t;
typedef struct consumer_protocol_assignment assignment_t;

/* ---- what classic members say to each other ---------------------------- */

/* A newer version is read as far as we know it. */
static enum err
embedded_read(enum kmsg id, const uint8_t *p, int32_t len, struct arena *a,
    void *out)
{
	const struct msg *msg = &kafka_msgs[id];
	struct rd r = rd_of(p, len > 0 ? (size_t)len : 0);
	int v = rd_i16(&r);

	if (r.bad || v < 0)
		return E_PROTO;
	return msg_read(msg, v > msg->max ? msg->max : v, &r, a, out);
}

/* Partitions by topic name as a set; topics that are not there are left out. */
#define NAMED_SET(cg, list, set, e) \
	for (int32_t i_ = 0; i_ < (list)->n && (e) == E_OK; i_++) \
		(e) = named_add(cg, (list)->v[i_].topic, \
		    (list)->v[i_].partitions.v, (list)->v[i_].partitions.n, set)

static enum err
named_add(struct cgroup *cg, struct kstr name, const int32_t *parts,
    int32_t n, struct tps *set)
{
	const struct topic *t = topic_find(&cg->group->eng->topics, name);
	int32_t at = t == NULL ? -1 : ctopic_get(cg, &t->id);
	enum err e = t != NULL && at < 0 ? E_NOMEM : E_OK;

	for (int32_t i = 0; t != NULL && i < n && e == E_OK; i++)
		if (parts[i] >= 0 && parts[i] < t->nparts)
			e = tps_push(set, tp_of(at, parts[i]));
	return e;
}

/* A member's assignment in the form and version that it understands; the
 * bytes are malloc'd. */
static enum err
embedded_assignment(const struct cmember *m, uint8_t **out, int32_t *len)
{
	const struct cgroup *cg = cgroup_of(m->group);
	const struct msg *msg = &kafka_msgs[KM_consumer_protocol_assignment];
	struct wr w = wr_grow(16 * MIB);
	assignment_t as = { .user_data = { -1, NULL } };
	int v = m->protocols[0].len >= 2 ? (int16_t)be16(
	    m->protocols[0].metadata) : 0;
	struct arena a;
	int32_t *parts;
	enum err e = E_OK;

	v = v < 0 ? 0 : v > msg->max ? msg->max : v;
	arena_init(&a, 64 * MIB);
	parts = arena_array(&a, (size_t)m->assigned.n + 1, sizeof *parts);
	as.assigned_partitions.v = arena_array(&a, (size_t)m->assigned.n + 1,
	    sizeof *as.assigned_partitions.v);
	if (parts == NULL || as.assigned_partitions.v == NULL)
		e = E_NOMEM;
	for (int i = 0; i < m->assigned.n && e == E_OK; i++) {
		const struct topic *t = topic_find_id(&m->group->eng->topics,
		    cg->topics[tp_topic(m->assigned.v[i])].id);
		int32_t n = as.assigned_partitions.n;

		if (t == NULL)
			continue;
		if (n == 0 || !kstr_eq(kstr_of(t->name),
		    as.assigned_partitions.v[n - 1].topic)) {
			as.assigned_partitions.v[n].topic = kstr_of(t->name);
			as.assigned_partitions.v[n++].partitions.v = parts + i;
			as.assigned_partitions.n = n;
		}
		parts[i] = tp_part(m->assigned.v[i]);
		as.assigned_partitions.v[n - 1].partitions.n++;
	}
	wr_i16(&w, (int16_t)v);
	if (e == E_OK)
		e = msg_write(msg, v, &w, &as);
	arena_reset(&a);
	if (e != E_OK)
		wr_free(&w);
	*out = w.p;
	*len = (int32_t)w.len;
	return e;
}

/* ---- classic to consumer ----------------------------------------------- */

static enum err
protocols_convert(struct cmember *m, const struct member *c, struct arena *a)
{
	struct join_group_req_protocol *v = arena_array(a,
	    (size_t)c->nprotocols + 1, sizeof *v);

	if (v == NULL)
		return E_NOMEM;
	for (int i = 0; i < c->nprotocols; i++)
		v[i] = (struct join_group_req_protocol){
		    kstr_of(c->protocols[i].name), { c->protocols[i].len,
		    c->protocols[i].metadata } };
	return cmember_protocols(m, v, c->nprotocols);
}

/* A member of a classic group, with what it has, as one of ours. */
static enum err
member_convert(struct cgroup *cg, struct member *c)
{
	const struct protocol *p = cg->group->protocol == NULL
	    ? &c->protocols[0] : member_protocol(c, known_find(cg->group,
	    kstr_of(cg->group->protocol)));
	struct tps set = { 0 }, none = { 0 };
	subscription_t sub;
	assignment_t as = { 0 };
	struct cmember *m;
	struct csub *want = NULL;
	struct arena a;
	bool changed;
	enum err e;

	if (p == NULL)
		return E_PROTO;
	arena_init(&a, 64 * MIB);
	e = embedded_read(KM_consumer_protocol_subscription, p->metadata,
	    p->len, &a, &sub);
	if (e == E_OK && c->assignment_len > 0)
		e = embedded_read(KM_consumer_protocol_assignment,
		    c->assignment, c->assignment_len, &a, &as);
	m = e != E_OK ? NULL : cmember_new(cg, kstr_of(c->id));
	if (m == NULL) {
		arena_reset(&a);
		return e == E_OK ? E_NOMEM : E_PROTO;
	}
	m->session_ms = c->session_ms;
	m->rebalance_ms = c->rebalance_ms;
	m->epoch = m->previous = cg->epoch;
	e = csub_get(cg, sub.topics.v, sub.topics.n, kstr_of(NULL), &want);
	if (e == E_OK) {
		csub_put(cg, m->sub);
		m->sub = want;
		e = cmember_text(m, &m->instance, kstr_of(c->instance),
		    &changed);
	}
	if (e == E_OK)
		e = cmember_text(m, &m->rack, sub.rack_id, &changed);
	if (e == E_OK)
		e = cmember_text(m, &m->client_id, kstr_of(c->client_id),
		    &changed);
	if (e == E_OK)
		e = cmember_text(m, &m->host, kstr_of(c->client_host),
		    &changed);
	NAMED_SET(cg, &as.assigned_partitions, &set, e);
	tps_sort(&set);
	/* What two have been assigned, the first has. */
	for (int i = 0, n = set.n; i < n && e == E_OK; i++) {
		if (i == 0)
			set.n = 0;
		if (ctopic_owner(cg, set.v[i]) == NULL)
			set.v[set.n++] = set.v[i];
	}
	if (e == E_OK)
		e = tps_copy(&m->target, &set);
	if (e == E_OK)
		e = cmember_hold(m, &set, &none, cg->epoch);
	if (e == E_OK)
		e = protocols_convert(m, c, &a);
	tps_free(&set);
	arena_reset(&a);
	return e;
}

static bool
may_upgrade(const struct group *g)
{
	int policy = (int)g->eng->conf->group_consumer_migration_policy;

	return (policy == MIGRATE_UPGRADE || policy == MIGRATE_BOTH) &&
	    g->type != NULL && strcmp(g->type, "consumer") == 0 &&
	    g->nmembers <= g->eng->conf->group_consumer_max_size;
}

static enum err
group_gone(struct group *g)
{
	struct meta_key key = { (const uint8_t *)g->name, strlen(g->name) };
	enum err e = !g->stored ? E_OK : meta_write(&g->eng->meta,
	    MT_meta_group, &key, NULL, NULL);

	if (e == E_OK)
		g->stored = false;
	return e;
}

/* Whoever waits for the classic group's turn joins again, in ours. */
static void
send_away(struct group *g)
{
	for (struct member *m = g->members; m != NULL; m = m->next) {
		if (m->join != NULL)
			join_refuse(m->join, E_REBALANCE, m->id);
		member_join_set(m, NULL);
		if (m->sync != NULL)
			sync_answer(m->sync, E_REBALANCE, g, NULL);
		m->sync = NULL;
	}
}

enum err
cgroup_upgrade(struct group *g, struct cgroup **out)
{
	bool empty = group_is_empty(g);
	struct cgroup *cg;
	enum err e = E_OK;

	if (!empty && !may_upgrade(g))
		return E_GROUP_ID_NOT_FOUND;
	cg = cgroup_new(g);
	if (cg == NULL)
		return E_NOMEM;
	cg->live = true;
	if (!empty)
		cg->epoch = cg->target_epoch = g->generation;
	for (struct member *m = g->members; m != NULL && !empty && e == E_OK;
	    m = m->next)
		e = member_convert(cg, m);
	if (e == E_OK)
		e = group_gone(g);
	if (e != E_OK) {
		cgroup_free(g);
		return e == E_PROTO ? E_GROUP_ID_NOT_FOUND : e;
	}
	send_away(g);
	timer_cancel(&g->eng->timers, &g->rebalance);
	g->delayed = false;
	group_clear(g);
	if (!empty) {
		log_info("a classic group becomes a consumer group",
		    LS("group", g->name), LI("members", cg->nmembers));
		e = cgroup_put_all(cg);
	}
	for (struct cmember *m = cg->members; m != NULL; m = m->next)
		cmember_session(m);
	*out = cg;
	return e;
}

/* ---- consumer to classic ----------------------------------------------- */

bool
cgroup_may_downgrade(const struct cgroup *cg, const struct cmember *m)
{
	int policy = (int)cg->group->eng->conf->
	    group_consumer_migration_policy;
	int left = cg->nmembers - (m != NULL);

	return (policy == MIGRATE_DOWNGRADE || policy == MIGRATE_BOTH) &&
	    left > 0 && cg->nclassic == left && (m == NULL || !m->classic);
}

static enum err
member_revert(struct group *g, const struct cmember *m)
{
	struct join_group_req q = { .protocols = { m->nprotocols, NULL } };
	struct member *c = member_new(g, strdup(m->id), kstr_of(m->instance));
	uint8_t *p = NULL;
	int32_t len;
	enum err e;

	if (c == NULL)
		return E_NOMEM;
	c->session_ms = m->session_ms;
	c->rebalance_ms = m->rebalance_ms;
	member_admit(c);
	q.protocols.v = calloc((size_t)m->nprotocols, sizeof *q.protocols.v);
	for (int i = 0; q.protocols.v != NULL && i < m->nprotocols; i++)
		q.protocols.v[i] = (struct join_group_req_protocol){
		    kstr_of(m->protocols[i].name), { m->protocols[i].len,
		    m->protocols[i].metadata } };
	e = q.protocols.v == NULL ? E_NOMEM : protocols_set(c, &q);
	free(q.protocols.v);
	if (e == E_OK)
		e = member_client_set(c, kstr_of(m->client_id),
		    kstr_of(m->host));
	if (e == E_OK)
		e = embedded_assignment(m, &p, &len);
	if (e == E_OK)
		e = member_assign(c, (struct kbytes){ len, p });
	free(p);
	return e;
}

enum err
cgroup_downgrade(struct cgroup *cg, struct cmember *leaving)
{
	struct group *g = cg->group;
	enum err e = E_OK;

	g->type = strdup("consumer");
	if (g->type == NULL)
		return E_NOMEM;
	for (struct cmember *m = cg->members; m != NULL && e == E_OK;
	    m = m->next)
		if (m != leaving)
			e = member_revert(g, m);
	if (e == E_OK)
		e = cgroup_put_gone(cg);
	if (e != E_OK) {
		group_clear(g);
		return e;
	}
	g->generation = cg->epoch;
	g->empty_since = 0;
	cgroup_free(g);
	log_info("a consumer group becomes a classic group",
	    LS("group", g->name), LI("members", g->nmembers));
	group_adopt(g, leaving != NULL);
	return E_OK;
}

/* ---- join -------------------------------------------------------------- */

/* A protocol that all classic members know as well. */
static bool
some_fits(const struct cgroup *cg, const struct join_group_req *q)
{
	if (!kstr_eq(q->protocol_type, kstr_of("consumer")) ||
	    q->protocols.n <= 0 || q->protocols.n > PROTOCOLS_MAX)
		return false;
	for (int32_t i = 0; i < q->protocols.n; i++) {
		const struct cmember *m = cg->members;

		for (; m != NULL; m = m->next) {
			bool has = !m->classic;

			for (int k = 0; k < m->nprotocols && !has; k++)
				has = kstr_eq(kstr_of(m->protocols[k].name),
				    q->protocols.v[i].name);
			if (!has)
				break;
		}
		if (m == NULL)
			return true;
	}
	return false;
}

/* The member that joins: known, new, or one that takes a static one's place. */
static enum err
join_member(struct cgroup *cg, const struct join_group_req *q,
    struct kstr id, struct cmember **out)
{
	bool known = q->member_id.len > 0;
	struct cmember *m = q->group_instance_id.len >= 0
	    ? cmember_static(cg, q->group_instance_id) : cmember_find(cg, id);
	enum err e;

	if (q->group_instance_id.len >= 0 && known) {
		if (m == NULL)
			return E_UNKNOWN_MEMBER;
		if (!kstr_eq(kstr_of(m->id), id))
			return E_FENCED_INSTANCE;
	} else if (q->group_instance_id.len >= 0 && m != NULL) {
		e = cmember_put_gone(m);
		if (e == E_OK)
			e = cmember_rename(m, id);
		if (e != E_OK)
			return e;
		m->epoch = m->previous = 0;
	}
	if (m == NULL)
		m = cmember_new(cg, id);
	*out = m;
	return m == NULL ? E_NOMEM : E_OK;
}

static enum err
join_update(struct cmember *m, struct call *c, const subscription_t *s,
    bool *changed)
{
	const struct join_group_req *q = c->req;
	struct cgroup *cg = cgroup_of(m->group);
	struct csub *sub;
	bool other;
	enum err e = csub_get(cg, s->topics.v, s->topics.n, kstr_of(NULL),
	    &sub);

	if (e != E_OK)
		return e;
	*changed = sub != m->sub;
	csub_put(cg, m->sub);
	m->sub = sub;
	e = cmember_protocols(m, q->protocols.v, q->protocols.n);
	if (e != E_OK)
		return e;
	cmember_phase(m, P_NONE);
	m->session_ms = q->session_timeout_ms;
	m->rebalance_ms = c->head.version >= 1 ? q->rebalance_timeout_ms
	    : q->session_timeout_ms;
	m->assignor = -1;
	e = cmember_client(m, c, &other);
	if (e == E_OK)
		e = cmember_text(m, &m->instance, q->group_instance_id,
		    &other);
	if (e == E_OK)
		e = cmember_text(m, &m->rack, s->rack_id, &other);
	if (e == E_OK)
		e = cmember_put(m);
	if (e == E_OK)
		e = cmember_put_target(m);
	return e == E_OK ? cmember_put_current(m) : e;
}

static enum err
join(struct cgroup *cg, struct call *c, struct kstr id, struct cmember **out)
{
	const struct join_group_req *q = c->req;
	struct kbytes meta = q->protocols.v[0].metadata;
	struct tps owned = { 0 };
	struct cmember *m = NULL;
	subscription_t s;
	bool changed = false;
	int before = cg->nmembers;
	enum err e;

	if (embedded_read(KM_consumer_protocol_subscription, meta.p, meta.len,
	    &c->arena, &s) != E_OK)
		return E_INCONSISTENT_PROTOCOL;
	e = join_member(cg, q, id, &m);
	if (e == E_OK)
		e = join_update(m, c, &s, &changed);
	if (e == E_OK)
		e = cgroup_advance(cg, changed || cg->nmembers > before);
	NAMED_SET(cg, &s.owned_partitions, &owned, e);
	tps_sort(&owned);
	if (e == E_OK)
		e = cmember_advance(m, &owned);
	tps_free(&owned);
	if (m != NULL && e == E_OK) {
		cmember_session(m);
		cmember_phase(m, P_SYNC);
	} else if (m != NULL && cg->nmembers > before && !m->classic) {
		cmember_free(m);
		m = NULL;
	}
	*out = m;
	return e;
}

static void
join_reply(struct cgroup *cg, struct call *c, struct cmember *m)
{
	struct join_group_res *res = arena_alloc(&c->arena, sizeof *res);
	bool was_static_native = m->instance != NULL;

	if (res == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	*res = (struct join_group_res){ .generation_id = m->epoch,
	    .protocol_type = kstr_of("consumer"),
	    .protocol_name = call_words(c, "%s", m->protocols[0].name),
	    .leader = kstr_of(""),
	    .member_id = call_words(c, "%s", m->id) };
	/* The last native member has been replaced by this one. */
	if (was_static_native && cgroup_may_downgrade(cg, NULL) &&
	    cgroup_downgrade(cg, NULL) == E_OK)
		cg = NULL;
	cgroup_answer(cg, cg != NULL ? m : NULL, c, res, &res->error_code);
}

void
cgroup_join(struct group *g, struct call *c)
{
	const struct join_group_req *q = c->req;
	struct cgroup *cg = cgroup_of(g);
	struct cmember *m = NULL;
	struct kstr id = q->member_id;
	char *made = NULL;
	enum err e = E_OK;

	if (id.len <= 0) {
		made = member_id_new(kstr_of(c->session->client_id),
		    q->group_instance_id);
		id = kstr_of(made == NULL ? "" : made);
	}
	if (id.len <= 0 || id.len > MEMBER_ID_MAX)
		e = E_COORDINATOR_NOT_AVAILABLE;
	else if (cg->nmembers >= g->eng->conf->group_consumer_max_size &&
	    cmember_find(cg, id) == NULL && (q->group_instance_id.len < 0 ||
	    cmember_static(cg, q->group_instance_id) == NULL))
		e = E_GROUP_FULL;
	else if (!some_fits(cg, q))
		e = E_INCONSISTENT_PROTOCOL;
	else if (made != NULL && q->group_instance_id.len < 0 &&
	    c->head.version >= 4)
		e = E_MEMBER_ID_REQUIRED;
	else
		e = join(cg, c, id, &m);
	if (e == E_OK)
		join_reply(cg, c, m);
	else {
		join_refuse(c, e == E_NOMEM ? E_COORDINATOR_NOT_AVAILABLE : e,
		    made);
		cgroup_flush(g->eng);
	}
	free(made);
}

/* ---- sync, heartbeat, leave -------------------------------------------- */

static enum err
member_check(struct cgroup *cg, struct kstr id, struct kstr instance,
    int32_t generation, struct cmember **out)
{
	struct cmember *m = instance.len >= 0 ? cmember_static(cg, instance)
	    : cmember_find(cg, id);

	*out = NULL;
	if (m == NULL)
		return E_UNKNOWN_MEMBER;
	if (instance.len >= 0 && !kstr_eq(kstr_of(m->id), id))
		return E_FENCED_INSTANCE;
	if (!m->classic)
		return E_UNKNOWN_MEMBER;
	*out = m;
	return m->epoch == generation ? E_OK : E_ILLEGAL_GENERATION;
}

/* It has to come back within its rebalance timeout. */
static enum err
call_back(struct cmember *m)
{
	if (m->phase != P_JOIN)
		cmember_phase(m, P_JOIN);
	return E_REBALANCE;
}

void
cgroup_sync(struct group *g, struct call *c)
{
	const struct sync_group_req *q = c->req;
	struct sync_group_res *res = arena_alloc(&c->arena, sizeof *res);
	struct cgroup *cg = cgroup_of(g);
	struct cmember *m;
	uint8_t *p = NULL;
	int32_t len = 0;
	enum err e;

	if (res == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	*res = (struct sync_group_res){ .protocol_type = kstr_of(NULL),
	    .protocol_name = kstr_of(NULL) };
	e = member_check(cg, q->member_id, q->group_instance_id,
	    q->generation_id, &m);
	if (e == E_OK && ((q->protocol_type.len >= 0 &&
	    !kstr_eq(q->protocol_type, kstr_of("consumer"))) ||
	    (q->protocol_name.len >= 0 && !kstr_eq(q->protocol_name,
	    kstr_of(m->protocols[0].name)))))
		e = E_INCONSISTENT_PROTOCOL;
	if (e == E_OK && cg->epoch > m->epoch && m->state != C_UNREVOKED)
		e = call_back(m);
	if (e == E_OK)
		e = embedded_assignment(m, &p, &len);
	if (e == E_OK) {
		c->arena.limit += (size_t)len + 64;
		res->assignment.p = (uint8_t *)arena_strndup(&c->arena,
		    (const char *)p, (size_t)len);
		res->assignment.len = len;
		e = res->assignment.p == NULL ? E_NOMEM : E_OK;
	}
	if (e == E_OK) {
		res->protocol_type = kstr_of("consumer");
		res->protocol_name = call_words(c, "%s",
		    m->protocols[0].name);
		cmember_phase(m, P_NONE);
		cmember_session(m);
	} else
		res->assignment = (struct kbytes){ 0, NULL };
	free(p);
	res->error_code = err_code(e == E_NOMEM ? E_COORDINATOR_NOT_AVAILABLE
	    : e);
	cgroup_answer(cg, m, c, res, &res->error_code);
}

void
cgroup_heartbeat(struct group *g, struct call *c)
{
	const struct heartbeat_req *q = c->req;
	struct cgroup *cg = cgroup_of(g);
	struct heartbeat_res res = { 0 };
	struct cmember *m;
	enum err e = member_check(cg, q->member_id, q->group_instance_id,
	    q->generation_id, &m);

	if (e == E_OK) {
		cmember_session(m);
		/* Topics may have changed since anybody looked. */
		e = cgroup_advance(cg, false);
	}
	if (e == E_OK && (m->epoch < cg->epoch || m->state == C_UNREVOKED ||
	    (m->state == C_UNRELEASED && !cmember_waits(m))))
		e = call_back(m);
	res.error_code = err_code(e == E_NOMEM ? E_COORDINATOR_NOT_AVAILABLE
	    : e);
	call_reply(c, &res);
	cgroup_flush(g->eng);
}

static enum err
leave_one(struct cgroup *cg, struct kstr id, struct kstr instance)
{
	struct cmember *m = instance.len >= 0 ? cmember_static(cg, instance)
	    : cmember_find(cg, id);
	enum err e;

	if (m == NULL)
		return E_UNKNOWN_MEMBER;
	if (instance.len >= 0 && id.len > 0 && !kstr_eq(kstr_of(m->id), id))
		return E_FENCED_INSTANCE;
	if (!m->classic)
		return E_UNKNOWN_MEMBER;
	e = cmember_put_gone(m);
	cmember_free(m);
	return e == E_NOMEM ? E_COORDINATOR_NOT_AVAILABLE : e;
}

void
cgroup_leave(struct group *g, struct call *c)
{
	const struct leave_group_req *q = c->req;
	struct leave_group_res *res = arena_alloc(&c->arena, sizeof *res);
	struct cgroup *cg = cgroup_of(g);
	int before = cg->nmembers;

	if (res != NULL && q->members.n > 0)
		res->members.v = arena_array(&c->arena, (size_t)q->members.n,
		    sizeof *res->members.v);
	if (res == NULL || (q->members.n > 0 && res->members.v == NULL)) {
		call_bad(c, "out of memory");
		return;
	}
	if (c->head.version < 3)
		res->error_code = err_code(leave_one(cg, q->member_id,
		    kstr_of(NULL)));
	for (int32_t i = 0; c->head.version >= 3 && i < q->members.n; i++) {
		const struct leave_group_req_member *m = &q->members.v[i];

		res->members.v[i].member_id = m->member_id;
		res->members.v[i].group_instance_id = m->group_instance_id;
		res->members.v[i].error_code = err_code(leave_one(cg,
		    m->member_id, m->group_instance_id));
		res->members.n++;
	}
	if (cg->nmembers < before && cgroup_bump(cg) != E_OK)
		res->error_code = err_code(E_COORDINATOR_NOT_AVAILABLE);
	cgroup_answer(cg, NULL, c, res, &res->error_code);
}
