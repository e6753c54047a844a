/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JoinGroup: new members, those that come back, and static members that take
 * over from what was started under their instance id before (KIP-345).
 */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"
#include "lib/log.h"
#include "session.h"

/* A member that has just come does not know its id and cannot say that it is
 * alive; one that gave up must not be waited for for ever. */
enum { NEWCOMER_MS = 300000 };

/* Who waits for a group's turn does not hold up an end of the engine.  When
 * its client is gone it counts as joined as long as its session lasts. */
static void
join_cancel(struct call *c)
{
	session_start(c->state);
}

static void
join_wait(struct member *m, struct call *c)
{
	if (m->join != NULL)
		join_refuse(m->join, E_REBALANCE, m->id);
	member_join_set(m, c);
	c->state = m;
	c->cancel = join_cancel;
	timer_cancel(&m->group->eng->timers, &m->session);
}

static void
timeouts_set(struct member *m, const struct call *c)
{
	const struct join_group_req *q = c->req;

	m->session_ms = q->session_timeout_ms;
	m->rebalance_ms = c->head.version == 0 || q->rebalance_timeout_ms < 0
	    ? q->session_timeout_ms : q->rebalance_timeout_ms;
}

/* A member joins with what it brings; a rebalance begins or goes on. */
static enum err
join_take(struct group *g, struct member *m, struct call *c)
{
	const struct join_group_req *q = c->req;
	bool fresh = m->pending;

	timeouts_set(m, c);
	if ((fresh && member_client_of(m, c) != E_OK) ||
	    protocols_set(m, q) != E_OK) {
		if (fresh) {
			member_free(m);
			group_maybe_complete(g);
		}
		return E_NOMEM;
	}
	member_admit(m);
	if (fresh)
		g->newcomer = true;
	if (g->type == NULL || g->nmembers == 1) {
		free(g->type);
		g->type = kstr_dup(q->protocol_type);
	}
	if (g->leader == NULL)
		g->leader = m;
	join_wait(m, c);
	if (fresh)
		session_start_ms(m, NEWCOMER_MS);
	if (g->state == GROUP_PREPARING)
		group_maybe_complete(g);
	else
		group_prepare(g);
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
	m = member_new(g, member_id_new(kstr_of(c->session->client_id),
	    q->group_instance_id), q->group_instance_id);
	if (m == NULL)
		return E_COORDINATOR_NOT_AVAILABLE;
	if (is_static || c->head.version < 4)
		return join_take(g, m, c);
	m->session_ms = q->session_timeout_ms;
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
	for (struct member *m = g->members; m != NULL && g->njoining > 0;
	    m = m->next) {
		struct call *c = m->join;

		if (c == NULL)
			continue;
		member_join_set(m, NULL);
		session_start(m);
		if (e == E_OK)
			join_answer(c, g, m);
		else
			join_refuse(c, E_COORDINATOR_NOT_AVAILABLE, "");
	}
}

/* Those who wait under the old id are told that it is another's now. */
static void
fence(struct member *m)
{
	struct call *join = m->join, *sync = m->sync;

	member_join_set(m, NULL);
	m->sync = NULL;
	if (join != NULL)
		join_refuse(join, E_FENCED_INSTANCE, m->id);
	if (sync != NULL)
		sync_answer(sync, E_FENCED_INSTANCE, m->group, NULL);
}

/* A static member comes back under a new id; the old one is fenced.  There is
 * no rebalance unless it changes the protocol that is chosen. */
static enum err
join_static(struct group *g, struct member *m, struct call *c)
{
	const struct join_group_req *q = c->req;
	char *id = member_id_new(kstr_of(""), q->group_instance_id);
	char *old = strdup(m->id);
	const char *won;

	if (id == NULL || old == NULL || member_client_of(m, c) != E_OK ||
	    protocols_set(m, q) != E_OK) {
		free(id);
		free(old);
		return E_COORDINATOR_NOT_AVAILABLE;
	}
	fence(m);
	member_id_set(m, id);
	timeouts_set(m, c);
	free(m->old_leader);
	m->old_leader = NULL;
	won = protocols_vote(g);
	if (g->state != GROUP_STABLE || won == NULL || g->protocol == NULL ||
	    strcmp(won, g->protocol) != 0) {
		free(old);
		return join_take(g, m, c);
	}
	/* An old leader's id keeps an old client from assigning anew. */
	if (m == g->leader && c->head.version < 9)
		m->old_leader = old;
	else
		free(old);
	join_wait(m, c);
	if (group_store(g, replaced) != E_OK)
		replaced(g, g->generation, E_NOMEM);
	return E_OK;
}

/* As many as group.max.size may take part; who waits already does.  Members
 * of a group that was larger once are let go as they come back. */
static bool
is_full(const struct group *g, const struct member *m)
{
	int64_t max = g->eng->conf->group_max_size;

	switch (g->state) {
	case GROUP_EMPTY:
		return false;
	case GROUP_PREPARING:
		return (m == NULL || m->join == NULL) && g->njoining >= max;
	case GROUP_COMPLETING:
	case GROUP_STABLE:
		break;
	}
	return (m == NULL || m->pending) && g->nmembers >= max;
}

/* Kafka lets go of a member whose join is too many. */
static enum err
refuse_full(struct group *g, struct member *m, struct call *c)
{
	bool pending = m != NULL && m->pending;

	join_refuse(c, E_GROUP_FULL, "");
	if (m == NULL)
		return E_OK;
	member_free(m);
	if (!pending || g->state == GROUP_PREPARING)
		group_left(g);
	return E_OK;
}

static enum err
join_group(struct group *g, struct call *c)
{
	const struct join_group_req *q = c->req;
	size_t bytes = protocols_bytes(q);
	struct member *m = member_by_id(g, q->member_id);

	if (is_full(g, m != NULL ? m : member_by_instance(g,
	    q->group_instance_id)))
		return refuse_full(g, m, c);
	if (!protocols_fit(g, q))
		return E_INCONSISTENT_PROTOCOL;
	if (g->bytes + bytes > GROUP_BYTES_MAX ||
	    c->eng->groups.bytes + bytes > GROUPS_BYTES_MAX)
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
	return m == NULL ? E_UNKNOWN_MEMBER : join_again(g, m, c);
}

static enum err
join_start(struct call *c)
{
	const struct join_group_req *q = c->req;
	const struct conf *conf = c->eng->conf;
	struct group *g;
	enum err e;

	if (group_name_check(q->group_id) != E_OK || q->group_id.len == 0)
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
