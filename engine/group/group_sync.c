/* SPDX-License-Identifier: Apache-2.0 */
/* SyncGroup, Heartbeat and LeaveGroup. */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"
#include "lib/log.h"

/* ---- sync -------------------------------------------------------------- */

/* Whoever is not named has no assignment. */
static enum err
assign(struct group *g, const struct sync_group_req *q)
{
	static const struct kbytes none;
	size_t bytes = 0;
	enum err e = E_OK;

	for (struct member *m = g->members; m != NULL; m = m->next)
		if (member_assign(m, none) != E_OK)
			return E_NOMEM;
	for (int32_t i = 0; e == E_OK && i < q->assignments.n; i++) {
		struct kbytes b = q->assignments.v[i].assignment;
		struct member *m = member_by_id(g,
		    q->assignments.v[i].member_id);

		if (m == NULL || m->pending)
			continue;
		bytes += b.len > 0 ? (size_t)b.len : 0;
		e = bytes > GROUP_BYTES_MAX ? E_TOO_LARGE
		    : member_assign(m, b);
	}
	return e;
}

/* All who wait are told, then they join anew. */
static void
assign_failed(struct group *g, enum err e)
{
	for (struct member *m = g->members; m != NULL; m = m->next) {
		struct call *c = m->sync;

		if (c == NULL)
			continue;
		m->sync = NULL;
		session_start(m);
		sync_answer(c, e == E_TOO_LARGE ? E_UNKNOWN
		    : E_COORDINATOR_NOT_AVAILABLE, g, NULL);
	}
	group_prepare(g);
}

static void
assigned(struct group *g, int32_t generation, enum err e)
{
	if (g->state != GROUP_COMPLETING || g->generation != generation)
		return;
	if (e != E_OK) {
		assign_failed(g, e);
		return;
	}
	g->state = GROUP_STABLE;
	g->assigned = true;
	group_syncs_check(g);
	for (struct member *m = g->members; m != NULL; m = m->next)
		if (m->sync != NULL) {
			struct call *c = m->sync;

			m->sync = NULL;
			session_start(m);
			sync_answer(c, E_OK, g, m);
		}
}

/* See join_cancel. */
static void
sync_cancel(struct call *c)
{
	session_start(c->state);
}

static void
sync_wait(struct group *g, struct member *m, struct call *c)
{
	const struct sync_group_req *q = c->req;
	enum err e;

	if (m->sync != NULL)
		sync_answer(m->sync, E_REBALANCE, g, NULL);
	m->sync = c;
	member_unsynced_set(m, false);
	c->state = m;
	c->cancel = sync_cancel;
	timer_cancel(&g->eng->timers, &m->session);
	if (m != g->leader)
		return;
	e = assign(g, q);
	if (e == E_OK)
		e = group_store(g, assigned);
	if (e != E_OK)
		assign_failed(g, e);
}

static enum err
sync_start(struct call *c, struct group *g)
{
	const struct sync_group_req *q = c->req;
	struct member *m;
	enum err e;

	if (group_name_check(q->group_id) != E_OK || q->group_id.len == 0)
		return E_INVALID_GROUP_ID;
	e = group_member_check(g, q->member_id, q->group_instance_id,
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
		member_unsynced_set(m, false);
		group_syncs_check(g);
		session_start(m);
		sync_answer(c, E_OK, g, m);
		return E_OK;
	case GROUP_COMPLETING:
		break;
	}
	sync_wait(g, m, c);
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

/* ---- heartbeat --------------------------------------------------------- */

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
	e = group_name_check(q->group_id);
	if (e == E_OK && q->group_id.len == 0)
		e = E_INVALID_GROUP_ID;
	if (e == E_OK)
		e = group_member_check(g, q->member_id, q->group_instance_id,
		    q->generation_id, &m);
	if (e == E_OK && m->join == NULL && m->sync == NULL)
		session_start(m);
	if (e == E_OK && g->state == GROUP_PREPARING)
		e = E_REBALANCE;
	res.error_code = err_code(e);
	call_reply(c, &res);
}

/* ---- leave ------------------------------------------------------------- */

enum { REASON_LOG_MAX = 255 };

/* By its id, or by its instance alone, as an administrator does it. */
static enum err
leave_one(struct group *g, const struct leave_group_req_member *q,
    bool *changed)
{
	struct member *m = NULL;

	if (g == NULL)
		return E_UNKNOWN_MEMBER;
	if (q->member_id.len > 0)
		m = member_by_id(g, q->member_id);
	if (q->group_instance_id.len >= 0 && (m == NULL || !m->pending)) {
		m = member_by_instance(g, q->group_instance_id);
		if (m != NULL && q->member_id.len > 0 &&
		    !kstr_eq(kstr_of(m->id), q->member_id))
			return E_FENCED_INSTANCE;
	}
	if (m == NULL)
		return E_UNKNOWN_MEMBER;
	log_info("member leaves", LS("group", g->name), LS("member", m->id),
	    LSN("reason", q->reason.p, q->reason.len < REASON_LOG_MAX
	    ? q->reason.len : REASON_LOG_MAX));
	*changed |= !m->pending || g->state == GROUP_PREPARING;
	member_free(m);
	return E_OK;
}

static enum err
leave(struct call *c, struct group *g, struct leave_group_res *res)
{
	const struct leave_group_req *q = c->req;
	struct leave_group_req_member one = { .member_id = q->member_id,
	    .group_instance_id = { -1, NULL }, .reason = { -1, NULL } };
	bool changed = false;
	enum err e = E_OK;

	if (c->head.version < 3)
		e = leave_one(g, &one, &changed);
	for (int32_t i = 0; c->head.version >= 3 && i < q->members.n; i++) {
		struct leave_group_req_member *m = &q->members.v[i];

		res->members.v[i].member_id = m->member_id;
		res->members.v[i].group_instance_id = m->group_instance_id;
		res->members.v[i].error_code = err_code(leave_one(g, m,
		    &changed));
		res->members.n++;
	}
	/* Once for all of them. */
	if (changed)
		group_left(g);
	return e;
}

void
handle_leave_group(struct call *c)
{
	const struct leave_group_req *q = c->req;
	struct group *g = group_find(c->eng, q->group_id, false);
	struct leave_group_res res = { 0 };
	enum err e = group_name_check(q->group_id);

	if (g != NULL && g->ops != NULL) {
		g->ops->leave(g, c);
		return;
	}
	res.members.v = arena_array(&c->arena, q->members.n > 0
	    ? (size_t)q->members.n : 0, sizeof *res.members.v);
	if (res.members.v == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	if (e == E_OK && q->group_id.len == 0)
		e = E_INVALID_GROUP_ID;
	if (e == E_OK)
		e = leave(c, g, &res);
	res.error_code = err_code(e);
	call_reply(c, &res);
	if (g != NULL)
		group_unused(g);
}
