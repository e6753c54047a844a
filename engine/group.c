/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group coordinator, classic protocol.
 *
 *            join              all joined, or time is up
 *   EMPTY ─────────▶ PREPARING ─────────────────────────▶ COMPLETING
 *     ▲                ▲    │ nobody joined                   │ the leader's
 *     └────────────────┼────┘                                 │ assignment is
 *                      │  join with news, leave, session      │ durable
 *                      │  over, no sync in time               ▼
 *                      └────────────────────────────────── STABLE
 *
 * PREPARING holds the answers to joins, COMPLETING those to syncs.  A pending
 * member has been given an id and has not come back with it; it holds up the
 * end of PREPARING until its session is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group_call.h"
#include "lib/log.h"

enum { STATIC_WAIT_MS = 100 };	/* at least, for static members only */

static void prepare(struct group *);
static void maybe_complete(struct group *);

/* ---- groups by name ---------------------------------------------------- */

static size_t
hash_name(const char *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)p[i]) * 0x100000001b3;
	return (size_t)(h ^ h >> 32);
}

static enum err
groups_grow(struct groups *gs)
{
	struct group **old = gs->hash;
	size_t size = gs->size == 0 ? 64 : gs->size * 4;

	if (gs->n < gs->size)
		return E_OK;
	gs->hash = calloc(size, sizeof(struct group *));
	if (gs->hash == NULL) {
		gs->hash = old;
		return E_NOMEM;
	}
	gs->size = size;
	for (struct group *g = gs->first; g != NULL; g = g->next) {
		struct group **slot = &gs->hash[hash_name(g->name,
		    strlen(g->name)) & (size - 1)];

		g->next_hash = *slot;
		*slot = g;
	}
	free(old);
	return E_OK;
}

static void rebalance_fire(struct timer *);

static struct group *
group_new(struct engine *eng, struct kstr name)
{
	struct groups *gs = &eng->groups;
	struct group *g, **slot;

	if (gs->n >= GROUPS_MAX || groups_grow(gs) != E_OK ||
	    (g = calloc(1, sizeof *g)) == NULL)
		return NULL;
	g->name = kstr_dup(name);
	if (g->name == NULL) {
		free(g);
		return NULL;
	}
	g->eng = eng;
	g->empty_since = wall_ms();
	g->rebalance.fire = rebalance_fire;
	slot = &gs->hash[hash_name(name.p, (size_t)name.len) &
	    (gs->size - 1)];
	g->next_hash = *slot;
	*slot = g;
	g->next = gs->first;
	if (g->next != NULL)
		g->next->prev = g;
	gs->first = g;
	gs->n++;
	return g;
}

struct group *
group_find(struct engine *eng, struct kstr name, bool create)
{
	struct groups *gs = &eng->groups;
	struct group *g = NULL;

	if (name.len <= 0 || memchr(name.p, '\0', (size_t)name.len) != NULL)
		return NULL;
	if (gs->size > 0)
		g = gs->hash[hash_name(name.p, (size_t)name.len) &
		    (gs->size - 1)];
	while (g != NULL && !kstr_eq(kstr_of(g->name), name))
		g = g->next_hash;
	return g != NULL || !create ? g : group_new(eng, name);
}

bool
group_is_empty(const struct group *g)
{
	return g->ops != NULL ? g->ops->is_empty(g) : g->state == GROUP_EMPTY;
}

const char *
group_state_name(const struct group *g)
{
	static const char *const names[] = {
		[GROUP_EMPTY] = "Empty",
		[GROUP_PREPARING] = "PreparingRebalance",
		[GROUP_COMPLETING] = "CompletingRebalance",
		[GROUP_STABLE] = "Stable",
	};

	return g->ops != NULL ? g->ops->state(g) : names[g->state];
}

const char *
group_type_name(const struct group *g)
{
	return g->ops != NULL ? g->ops->type : "classic";
}

/* ---- members ----------------------------------------------------------- */

void
session_start(struct member *m)
{
	if (timer_set(&m->group->eng->timers, &m->session,
	    mono_ms() + m->session_ms) != E_OK)
		log_warn("no memory for a session timer", LE(E_NOMEM));
}

static void
member_free(struct group *g, struct member *m)
{
	struct member **mp = &g->members;

	while (*mp != m)
		mp = &(*mp)->next;
	*mp = m->next;
	if (m->pending)
		g->npending--;
	else
		g->nmembers--;
	member_bytes(m, 0);
	if (g->leader == m)
		for (g->leader = g->members; g->leader != NULL &&
		    g->leader->pending; )
			g->leader = g->leader->next;
	timer_cancel(&g->eng->timers, &m->session);
	if (m->join != NULL)
		join_refuse(m->join, E_UNKNOWN_MEMBER, m->id);
	if (m->sync != NULL)
		sync_answer(m->sync, E_UNKNOWN_MEMBER, g, NULL);
	protocols_free(m->protocols, m->nprotocols);
	free(m->assignment);
	free(m->instance);
	free(m->id);
	free(m);
}

/* A member leaves, by its own will or not: the others are told. */
static void
member_leave(struct group *g, struct member *m)
{
	bool pending = m->pending;

	member_free(g, m);
	if (g->state == GROUP_PREPARING)
		maybe_complete(g);
	else if (!pending && g->state != GROUP_EMPTY)
		prepare(g);
}

void
member_expired(struct timer *t)
{
	struct member *m = (struct member *)((char *)t -
	    offsetof(struct member, session));
	struct group *g = m->group;

	if (!m->pending)
		log_info("member's session is over", LS("group", g->name),
		    LS("member", m->id));
	member_leave(g, m);
	group_unused(g);
}

/* ---- rebalancing ------------------------------------------------------- */

static int64_t
rebalance_ms(const struct group *g)
{
	int64_t ms = 0;

	for (const struct member *m = g->members; m != NULL; m = m->next)
		if (!m->pending && m->rebalance_ms > ms)
			ms = m->rebalance_ms;
	return ms;
}

static void
rebalance_timer(struct group *g, int64_t ms)
{
	if (timer_set(&g->eng->timers, &g->rebalance, mono_ms() + ms) != E_OK)
		log_warn("no memory for a rebalance timer", LE(E_NOMEM));
}

static void
prepare(struct group *g)
{
	int64_t ms = rebalance_ms(g);

	for (struct member *m = g->members; m != NULL; m = m->next)
		if (m->sync != NULL) {
			sync_answer(m->sync, E_REBALANCE, g, NULL);
			m->sync = NULL;
			if (m->join == NULL)
				session_start(m);
		}
	g->delayed = g->state == GROUP_EMPTY;
	if (g->delayed) {
		int64_t delay = g->eng->conf->group_initial_rebalance_delay_ms;

		g->newcomer = false;
		g->delay_left = ms > delay ? ms - delay : 0;
		ms = delay < ms ? delay : ms;
		g->delayed = ms > 0;
	}
	g->state = GROUP_PREPARING;
	g->empty_since = 0;
	rebalance_timer(g, ms);
	maybe_complete(g);
}

static bool
known_to_all(const struct group *g, const char *name)
{
	for (const struct member *m = g->members; m != NULL; m = m->next)
		if (!m->pending && protocol_find(m, name) == NULL)
			return false;
	return true;
}

/* Every member votes for the first of its protocols that all know. */
static const char *
vote(const struct group *g)
{
	const struct member *first = g->members, *m;
	int votes[PROTOCOLS_MAX] = { 0 }, best = 0, n, i, k;
	const char *names[PROTOCOLS_MAX];

	while (first != NULL && first->pending)
		first = first->next;
	for (i = n = 0; first != NULL && i < first->nprotocols &&
	    n < PROTOCOLS_MAX; i++)
		if (known_to_all(g, first->protocols[i].name))
			names[n++] = first->protocols[i].name;
	for (m = first; m != NULL; m = m->next) {
		for (i = 0, k = n; i < m->nprotocols && k == n; i++)
			for (k = 0; k < n && strcmp(names[k],
			    m->protocols[i].name) != 0; k++)
				;
		if (!m->pending && k < n)
			votes[k]++;
	}
	for (k = 1; k < n; k++)
		if (votes[k] > votes[best])
			best = k;
	return n == 0 ? NULL : names[best];
}

static void
become_empty(struct group *g)
{
	g->state = GROUP_EMPTY;
	g->empty_since = wall_ms();
	free(g->protocol);
	g->protocol = NULL;
	group_store(g, NULL);
}

static void
join_all_answer(struct group *g)
{
	for (struct member *m = g->members; m != NULL; m = m->next) {
		struct call *c = m->join;

		if (c == NULL)
			continue;
		m->join = NULL;
		c->state = NULL;
		free(m->assignment);
		m->assignment = NULL;
		m->assignment_len = 0;
		session_start(m);
		join_answer(c, g, m);
	}
}

/* Everybody has joined, or the time is up. */
static void
complete(struct group *g)
{
	struct member *m, *next, *first = NULL;
	const char *won;

	timer_cancel(&g->eng->timers, &g->rebalance);
	g->delayed = false;
	for (m = g->members; m != NULL; m = next) {
		next = m->next;
		if (!m->pending && m->join == NULL && m->instance == NULL)
			member_free(g, m);
	}
	for (m = g->members; m != NULL && first == NULL; m = m->next)
		if (!m->pending && m->join != NULL)
			first = m;
	if (first == NULL && g->nmembers > 0) {
		/* Static members only, and none is here: wait for them. */
		rebalance_timer(g, rebalance_ms(g) + STATIC_WAIT_MS);
		return;
	}
	g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
	if (first == NULL) {
		become_empty(g);
		return;
	}
	if (g->leader == NULL || g->leader->join == NULL)
		g->leader = first;
	won = vote(g);
	free(g->protocol);
	g->protocol = won == NULL ? NULL : strdup(won);
	g->state = GROUP_COMPLETING;
	log_debug("group has a new generation", LS("group", g->name),
	    LI("generation", g->generation), LI("members", g->nmembers));
	for (m = g->members; m != NULL; m = m->next)
		m->unsynced = !m->pending;
	rebalance_timer(g, rebalance_ms(g));
	join_all_answer(g);
}

static void
maybe_complete(struct group *g)
{
	if (g->state != GROUP_PREPARING || g->delayed)
		return;
	for (const struct member *m = g->members; m != NULL; m = m->next)
		if (m->pending || m->join == NULL)
			return;
	complete(g);
}

static void
rebalance_fire(struct timer *t)
{
	struct group *g = (struct group *)((char *)t -
	    offsetof(struct group, rebalance));
	int64_t delay = g->eng->conf->group_initial_rebalance_delay_ms;
	struct member *m, *next;

	if (g->state == GROUP_PREPARING && g->delayed && g->newcomer &&
	    g->delay_left > 0) {
		delay = delay < g->delay_left ? delay : g->delay_left;
		g->delay_left -= delay;
		g->newcomer = false;
		rebalance_timer(g, delay);
	} else if (g->state == GROUP_PREPARING)
		complete(g);
	else if (g->state != GROUP_EMPTY) {
		/* Those who did not sync in time are out. */
		for (m = g->members; m != NULL; m = next) {
			next = m->next;
			if (m->unsynced)
				member_free(g, m);
		}
		prepare(g);
	}
}

/* The time for syncs does not end before all have, or it is up. */
static void
syncs_check(struct group *g)
{
	for (const struct member *m = g->members; m != NULL; m = m->next)
		if (m->unsynced)
			return;
	timer_cancel(&g->eng->timers, &g->rebalance);
}

/* ---- join -------------------------------------------------------------- */

/* True when a new member with these protocols could take part. */
static bool
protocols_fit(const struct group *g, const struct join_group_req *q)
{
	if (q->protocol_type.len <= 0 || q->protocols.n <= 0 ||
	    q->protocols.n > PROTOCOLS_MAX)
		return false;
	if (g->nmembers == 0)
		return true;
	if (g->type == NULL || !kstr_eq(kstr_of(g->type), q->protocol_type))
		return false;
	for (int32_t i = 0; i < q->protocols.n; i++) {
		bool all = true;

		for (const struct member *m = g->members; m != NULL && all;
		    m = m->next) {
			bool has = m->pending;

			for (int k = 0; k < m->nprotocols && !has; k++)
				has = kstr_eq(kstr_of(m->protocols[k].name),
				    q->protocols.v[i].name);
			all = has;
		}
		if (all)
			return true;
	}
	return false;
}

/* Who waits for a group's turn holds up neither an end of the engine, nor is
 * it let go with its link: the member stays. */
static void
wait_cancel(struct call *c)
{
	(void)c;
}

static void
join_wait(struct group *g, struct member *m, struct call *c)
{
	if (m->join != NULL)
		join_refuse(m->join, E_REBALANCE, m->id);
	m->join = c;
	c->cancel = wait_cancel;
	timer_cancel(&g->eng->timers, &m->session);
}

/* A member joins with what it brings; a rebalance begins or goes on. */
static enum err
join_take(struct group *g, struct member *m, struct call *c)
{
	const struct join_group_req *q = c->req;

	m->session_ms = q->session_timeout_ms;
	m->rebalance_ms = c->head.version == 0 || q->rebalance_timeout_ms < 0
	    ? q->session_timeout_ms : q->rebalance_timeout_ms;
	if (protocols_set(m, q) != E_OK) {
		if (m->pending)
			member_leave(g, m);
		return E_NOMEM;
	}
	if (m->pending) {
		m->pending = false;
		g->npending--;
		g->nmembers++;
		g->newcomer = true;
	}
	if (g->type == NULL || g->nmembers == 1) {
		free(g->type);
		g->type = kstr_dup(q->protocol_type);
	}
	if (g->leader == NULL)
		g->leader = m;
	join_wait(g, m, c);
	if (g->state == GROUP_PREPARING)
		maybe_complete(g);
	else
		prepare(g);
	return E_OK;
}

static enum err
join_new(struct group *g, struct call *c)
{
	const struct join_group_req *q = c->req;
	bool is_static = q->group_instance_id.len >= 0;
	struct member *m;

	if (g->nmembers + g->npending >= MEMBERS_MAX)
		return E_GROUP_FULL;
	m = member_new(g, q->group_instance_id);
	if (m == NULL)
		return E_COORDINATOR_NOT_AVAILABLE;
	m->pending = true;
	g->npending++;
	m->session_ms = q->session_timeout_ms;
	if (is_static || c->head.version < 4)
		return join_take(g, m, c);
	session_start(m);
	join_refuse(c, E_MEMBER_ID_REQUIRED, m->id);
	return E_OK;
}

/* A member that the group knows joins again. */
static enum err
join_again(struct group *g, struct member *m, struct call *c)
{
	bool same = !m->pending && protocols_same(m, c->req);

	if (same && (g->state == GROUP_COMPLETING ||
	    (g->state == GROUP_STABLE && m != g->leader))) {
		if (m->sync == NULL)
			session_start(m);
		join_answer(c, g, m);
		return E_OK;
	}
	return join_take(g, m, c);
}

/* The new ids of static members are durable: no start brings back the old. */
static void
replaced(struct group *g, int32_t generation, enum err e)
{
	if (g->state != GROUP_STABLE || g->generation != generation)
		return;
	for (struct member *m = g->members; m != NULL; m = m->next) {
		struct call *c = m->join;

		if (c == NULL)
			continue;
		m->join = NULL;
		session_start(m);
		if (e == E_OK)
			join_answer(c, g, m);
		else
			join_refuse(c, E_COORDINATOR_NOT_AVAILABLE, NULL);
	}
}

/* A static member comes back under a new id; the old one is fenced.  There is
 * no rebalance unless it changes the protocol that is chosen. */
static enum err
join_static(struct group *g, struct member *m, struct call *c)
{
	const struct join_group_req *q = c->req;
	char *id = member_id_new(q->group_instance_id);
	const char *won;

	if (id == NULL || protocols_set(m, q) != E_OK) {
		free(id);
		return E_COORDINATOR_NOT_AVAILABLE;
	}
	/* An old leader's id keeps an old client from assigning anew. */
	if (m == g->leader && c->head.version < 9)
		c->state = arena_strndup(&c->arena, m->id,
		    strlen(m->id));
	if (m->join != NULL)
		join_refuse(m->join, E_FENCED_INSTANCE, m->id);
	if (m->sync != NULL)
		sync_answer(m->sync, E_FENCED_INSTANCE, g, NULL);
	m->join = m->sync = NULL;
	free(m->id);
	m->id = id;
	m->session_ms = q->session_timeout_ms;
	won = vote(g);
	if (g->state == GROUP_STABLE && won != NULL && g->protocol != NULL &&
	    strcmp(won, g->protocol) == 0) {
		join_wait(g, m, c);
		if (group_store(g, replaced) != E_OK)
			replaced(g, g->generation, E_NOMEM);
		return E_OK;
	}
	c->state = NULL;
	return join_take(g, m, c);
}

static enum err
join_group(struct group *g, struct call *c)
{
	const struct join_group_req *q = c->req;
	struct member *m;

	if (!protocols_fit(g, q))
		return E_INCONSISTENT_PROTOCOL;
	if (g->bytes + protocols_bytes(q) > GROUP_BYTES_MAX ||
	    c->eng->groups.bytes + protocols_bytes(q) > GROUPS_BYTES_MAX)
		return E_GROUP_FULL;
	if (q->group_instance_id.len >= 0) {
		m = member_by_instance(g, q->group_instance_id);
		if (q->member_id.len <= 0)
			return m == NULL ? join_new(g, c)
			    : join_static(g, m, c);
		if (m == NULL)
			return E_UNKNOWN_MEMBER;
		return !kstr_eq(kstr_of(m->id), q->member_id)
		    ? E_FENCED_INSTANCE : join_again(g, m, c);
	}
	if (q->member_id.len <= 0)
		return join_new(g, c);
	m = member_by_id(g, q->member_id);
	return m == NULL ? E_UNKNOWN_MEMBER : join_again(g, m, c);
}

static enum err
join_start(struct call *c)
{
	const struct join_group_req *q = c->req;
	const struct conf *conf = c->eng->conf;
	struct group *g;
	enum err e;

	if (q->group_id.len <= 0)
		return E_INVALID_GROUP_ID;
	if (q->group_instance_id.len > 0 && memchr(q->group_instance_id.p,
	    '\0', (size_t)q->group_instance_id.len) != NULL)
		return E_INVALID_REQUEST;
	if (q->session_timeout_ms < conf->group_min_session_timeout_ms ||
	    q->session_timeout_ms > conf->group_max_session_timeout_ms)
		return E_INVALID_SESSION_TIMEOUT;
	g = group_find(c->eng, q->group_id, q->member_id.len <= 0);
	if (g == NULL)
		return q->member_id.len <= 0 ? E_COORDINATOR_NOT_AVAILABLE
		    : E_UNKNOWN_MEMBER;
	if (g->ops != NULL && !g->ops->is_empty(g)) {
		g->ops->join(g, c);	/* takes the call */
		return E_OK;
	}
	if (g->ops != NULL && g->ops->drop(g) != E_OK)
		return E_COORDINATOR_NOT_AVAILABLE;
	e = join_group(g, c);
	if (e != E_OK)
		group_unused(g);
	return e;
}

void
handle_join_group(struct call *c)
{
	enum err e = join_start(c);

	if (e != E_OK)
		join_refuse(c, e == E_NOMEM ? E_COORDINATOR_NOT_AVAILABLE : e,
		    NULL);
}

/* ---- sync -------------------------------------------------------------- */

/* The one who asks must be a member of this generation. */
static enum err
member_check(struct group *g, struct kstr id, struct kstr instance,
    int32_t generation, struct member **out)
{
	struct member *m;

	if (g == NULL)
		return E_UNKNOWN_MEMBER;
	if (instance.len >= 0) {
		m = member_by_instance(g, instance);
		if (m != NULL && !kstr_eq(kstr_of(m->id), id))
			return E_FENCED_INSTANCE;
	} else
		m = member_by_id(g, id);
	if (m == NULL || m->pending)
		return E_UNKNOWN_MEMBER;
	*out = m;
	return generation != g->generation ? E_ILLEGAL_GENERATION : E_OK;
}

static enum err
assign(struct group *g, const struct sync_group_req *q)
{
	for (struct member *m = g->members; m != NULL; m = m->next) {
		free(m->assignment);
		m->assignment = NULL;
		m->assignment_len = 0;
	}
	if (q->assignments.n > MEMBERS_MAX)
		return E_INVALID_REQUEST;
	for (int32_t i = 0; i < q->assignments.n; i++) {
		struct member *m = member_by_id(g,
		    q->assignments.v[i].member_id);

		if (m == NULL)
			continue;
		free(m->assignment);
		m->assignment = bytes_dup(q->assignments.v[i].assignment,
		    &m->assignment_len);
		if (m->assignment == NULL)
			return E_NOMEM;
	}
	return E_OK;
}

void
group_assigned(struct group *g, int32_t generation, enum err e)
{
	if (g->state != GROUP_COMPLETING || g->generation != generation)
		return;
	if (e != E_OK) {
		prepare(g);
		return;
	}
	g->state = GROUP_STABLE;
	syncs_check(g);
	for (struct member *m = g->members; m != NULL; m = m->next)
		if (m->sync != NULL) {
			struct call *c = m->sync;

			m->sync = NULL;
			session_start(m);
			sync_answer(c, E_OK, g, m);
		}
}

static enum err
sync_start(struct call *c, struct group *g)
{
	const struct sync_group_req *q = c->req;
	struct member *m;
	enum err e;

	if (q->group_id.len <= 0)
		return E_INVALID_GROUP_ID;
	e = member_check(g, q->member_id, q->group_instance_id,
	    q->generation_id, &m);
	if (e != E_OK)
		return e;
	if ((q->protocol_type.len >= 0 && (g->type == NULL ||
	    !kstr_eq(q->protocol_type, kstr_of(g->type)))) ||
	    (q->protocol_name.len >= 0 && g->protocol != NULL &&
	    !kstr_eq(q->protocol_name, kstr_of(g->protocol))))
		return E_INCONSISTENT_PROTOCOL;
	switch (g->state) {
	case GROUP_EMPTY:
		return E_UNKNOWN_MEMBER;
	case GROUP_PREPARING:
		return E_REBALANCE;
	case GROUP_STABLE:
		m->unsynced = false;
		syncs_check(g);
		session_start(m);
		sync_answer(c, E_OK, g, m);
		return E_OK;
	case GROUP_COMPLETING:
		break;
	}
	if (m->sync != NULL)
		sync_answer(m->sync, E_REBALANCE, g, NULL);
	m->sync = c;
	m->unsynced = false;
	c->cancel = wait_cancel;
	timer_cancel(&g->eng->timers, &m->session);
	if (m == g->leader && (assign(g, q) != E_OK ||
	    group_store(g, group_assigned) != E_OK))
		prepare(g);
	return E_OK;
}

void
handle_sync_group(struct call *c)
{
	const struct sync_group_req *q = c->req;
	struct group *g = group_find(c->eng, q->group_id, false);
	enum err e;

	if (g != NULL && g->ops != NULL) {
		g->ops->sync(g, c);
		return;
	}
	e = sync_start(c, g);
	if (e != E_OK)
		sync_answer(c, e, NULL, NULL);
}

/* ---- heartbeat, leave -------------------------------------------------- */

void
handle_heartbeat(struct call *c)
{
	const struct heartbeat_req *q = c->req;
	struct group *g = group_find(c->eng, q->group_id, false);
	struct heartbeat_res res = { 0 };
	struct member *m = NULL;
	enum err e;

	if (g != NULL && g->ops != NULL) {
		g->ops->heartbeat(g, c);
		return;
	}
	e = q->group_id.len <= 0 ? E_INVALID_GROUP_ID : member_check(g,
	    q->member_id, q->group_instance_id, q->generation_id, &m);
	if (e == E_OK && g->state == GROUP_EMPTY)
		e = E_UNKNOWN_MEMBER;
	if (e == E_OK && m->join == NULL && m->sync == NULL)
		session_start(m);
	if (e == E_OK && g->state == GROUP_PREPARING)
		e = E_REBALANCE;
	res.error_code = err_code(e);
	call_reply(c, &res);
}

static enum err
leave_one(struct group *g, struct kstr id, struct kstr instance)
{
	struct member *m = NULL;

	if (g == NULL)
		return E_UNKNOWN_MEMBER;
	if (instance.len >= 0) {
		m = member_by_instance(g, instance);
		if (m != NULL && id.len > 0 && !kstr_eq(kstr_of(m->id), id))
			return E_FENCED_INSTANCE;
	} else
		m = member_by_id(g, id);
	if (m == NULL)
		return E_UNKNOWN_MEMBER;
	log_debug("member leaves", LS("group", g->name), LS("member", m->id));
	member_leave(g, m);
	return E_OK;
}

void
handle_leave_group(struct call *c)
{
	const struct leave_group_req *q = c->req;
	struct group *g = group_find(c->eng, q->group_id, false);
	struct leave_group_res res = { 0 };
	enum err e = q->group_id.len <= 0 ? E_INVALID_GROUP_ID : E_OK;

	if (g != NULL && g->ops != NULL) {
		g->ops->leave(g, c);
		return;
	}
	if (e == E_OK && c->head.version < 3)
		e = leave_one(g, q->member_id, kstr_of(NULL));
	else if (e == E_OK && q->members.n > 0) {
		res.members.v = arena_array(&c->arena, (size_t)q->members.n,
		    sizeof *res.members.v);
		if (res.members.v == NULL) {
			call_bad(c, "out of memory");
			return;
		}
		res.members.n = q->members.n;
		for (int32_t i = 0; i < q->members.n; i++) {
			struct leave_group_req_member *m = &q->members.v[i];

			res.members.v[i].member_id = m->member_id;
			res.members.v[i].group_instance_id =
			    m->group_instance_id;
			res.members.v[i].error_code = err_code(leave_one(g,
			    m->member_id, m->group_instance_id));
		}
	}
	res.error_code = err_code(e);
	call_reply(c, &res);
}

/* ---- for commits ------------------------------------------------------- */

enum err
group_check_commit(struct group *g, struct kstr id, struct kstr instance,
    int32_t generation)
{
	struct member *m = NULL;
	enum err e;

	if (generation < 0 && g->state == GROUP_EMPTY)
		return E_OK;
	e = member_check(g, id, instance, generation, &m);
	if (e == E_OK && m->join == NULL && m->sync == NULL)
		session_start(m);
	if (e == E_OK && g->state == GROUP_COMPLETING)
		e = E_REBALANCE;
	return e;
}

/* ---- the end ----------------------------------------------------------- */

void
group_clear(struct group *g)
{
	while (g->members != NULL)
		member_free(g, g->members);
	free(g->type);
	free(g->protocol);
	g->type = g->protocol = NULL;
	g->state = GROUP_EMPTY;
}

void
group_free(struct group *g)
{
	struct groups *gs = &g->eng->groups;
	struct group **slot = &gs->hash[hash_name(g->name, strlen(g->name)) &
	    (gs->size - 1)];

	while (*slot != g)
		slot = &(*slot)->next_hash;
	*slot = g->next_hash;
	if (g->prev != NULL)
		g->prev->next = g->next;
	else
		gs->first = g->next;
	if (g->next != NULL)
		g->next->prev = g->prev;
	gs->n--;
	if (g->ops != NULL)
		g->ops->free(g);
	timer_cancel(&g->eng->timers, &g->rebalance);
	group_clear(g);
	group_offsets_free(g);
	free(g->name);
	free(g);
}

void
groups_free(struct engine *eng)
{
	while (eng->groups.first != NULL)
		group_free(eng->groups.first);
	timer_cancel(&eng->timers, &eng->groups.expiry);
	free(eng->groups.hash);
	eng->groups = (struct groups){ 0 };
}
