/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups of KIP-848: the state machine.  Members send heartbeats,
 * and each brings the group or the member a step on; nothing waits.
 *
 *   epoch         goes up when members come, go or want something else, and
 *                 when topics change
 *   target_epoch  is the epoch that the target (who shall have what) was made
 *                 for; the next heartbeat after a bump makes it anew
 *   member.epoch  is the target that the member has come to
 *
 * The group is Empty without members, Assigning while target_epoch < epoch,
 * Reconciling until all members are there, then Stable.  A member:
 *
 *                   it must give something back
 *   STABLE ───────────────────────────────────────▶ UNREVOKED
 *    │  ▲ ▲                                            │
 *    │  │ └──────── all it shall have is free ─────────┤ it no longer says
 *    │  │                                              │ that it has it
 *    │  └──────── the rest became free ◀── UNRELEASED ◀┘
 *    │                                         ▲   something is still held
 *    └─── nothing to give back, not all free ──┘   by another member
 *
 * It takes the target's epoch when it has nothing more to give back, and is
 * given only what nobody holds.  Who does not give back in time (rebalance
 * timeout) or falls silent (session) is out.
 */
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "engine.h"
#include "group_call.h"
#include "lib/log.h"

/* ---- target ------------------------------------------------------------ */

/* The assignor that most ask for; the first one if nobody asks. */
const struct assignor *
cgroup_assignor(const struct cgroup *cg)
{
	int votes[ASSIGN_N] = { 0 }, best = 0;

	for (const struct cmember *m = cg->members; m != NULL; m = m->next)
		if (m->assignor >= 0)
			votes[m->assignor]++;
	for (int i = 1; i < ASSIGN_N; i++)
		if (votes[i] > votes[best])
			best = i;
	return &assignors[best];
}

static enum err
target_take(struct cmember *m, struct tps *got)
{
	struct tps old = m->target;

	if (tps_eq(&old, got))
		return E_OK;
	m->target = *got;
	*got = old;
	return cmember_put_target(m);
}

static enum err
retarget(struct cgroup *cg)
{
	struct assign_member *am = calloc((size_t)cg->nmembers + 1,
	    sizeof *am);
	int32_t *nparts = calloc((size_t)cg->ntopics + 1, sizeof *nparts);
	enum err e = am == NULL || nparts == NULL ? E_NOMEM : E_OK;
	struct cmember *m = cg->members;

	for (int i = 0; e == E_OK && m != NULL; m = m->next, i++)
		am[i] = (struct assign_member){ m->instance, m->id,
		    m->sub->topics, m->sub->ntopics, &m->target, { 0 } };
	for (int32_t i = 0; e == E_OK && i < cg->ntopics; i++)
		nparts[i] = cg->topics[i].nparts;
	if (e == E_OK)
		e = cgroup_assignor(cg)->run(am, cg->nmembers, nparts,
		    cg->ntopics);
	m = cg->members;
	for (int i = 0; am != NULL && m != NULL; m = m->next, i++) {
		if (e == E_OK)
			e = target_take(m, &am[i].got);
		tps_free(&am[i].got);
	}
	free(am);
	free(nparts);
	if (e != E_OK)
		return e;
	cg->target_epoch = cg->epoch;
	log_debug("group has a new target", LS("group", cg->group->name),
	    LI("epoch", cg->epoch), LI("members", cg->nmembers));
	return cgroup_put(cg);
}

enum err
cgroup_bump(struct cgroup *cg)
{
	cg->epoch++;
	return cgroup_put(cg);
}

enum err
cgroup_advance(struct cgroup *cg, bool bump)
{
	bool changed = false;
	enum err e = E_OK;

	if (cg->seen == 0 || cg->seen != cg->group->eng->topics.changes)
		e = cgroup_refresh(cg, &changed);
	if (e == E_OK && (bump || changed))
		e = cgroup_bump(cg);
	/* Without knowing all topics members would give back too much. */
	if (e == E_OK && cg->epoch > cg->target_epoch && cg->nmembers > 0 &&
	    (!cg->unresolved || cg->target_epoch == 0))
		e = retarget(cg);
	return e;
}

/* ---- members ----------------------------------------------------------- */

/* Whether it says, or does not deny, that it has something of s. */
static bool
has_any(const struct tps *owned, const struct tps *s)
{
	for (int i = 0; owned != NULL && i < s->n; i++)
		if (tps_has(owned, s->v[i]))
			return true;
	return owned == NULL;
}

/* What of the wanted nobody else holds is added; *all: that is all of it. */
static enum err
take_free(const struct cmember *m, const struct tps *want, struct tps *out,
    bool *all)
{
	const struct cgroup *cg = cgroup_of(m->group);
	enum err e = E_OK;

	*all = true;
	for (int i = 0; i < want->n && e == E_OK; i++) {
		const struct cmember *o = ctopic_owner(cg, want->v[i]);

		if (o == NULL || o == m)
			e = tps_push(out, want->v[i]);
		else
			*all = false;
	}
	tps_sort(out);
	return e;
}

/* The member's next state, from what it holds and what it shall have. */
static enum err
reconcile(struct cmember *m, const struct tps *owned)
{
	struct cgroup *cg = cgroup_of(m->group);
	struct tps keep = { 0 }, back = { 0 }, have = { 0 }, want = { 0 };
	int32_t epoch = m->epoch;
	bool all, same;
	enum cstate state;
	enum err e = tps_split(&m->assigned, &m->target, &keep, &back);

	if (e == E_OK)
		e = tps_split(&m->target, &m->assigned, &have, &want);
	if (e == E_OK && back.n > 0 && has_any(owned, &back))
		state = C_UNREVOKED;
	else {
		back.n = 0;
		if (e == E_OK)
			e = take_free(m, &want, &keep, &all);
		state = e == E_OK && all ? C_STABLE : C_UNRELEASED;
		epoch = cg->target_epoch;
	}
	same = state == m->state && epoch == m->epoch &&
	    tps_eq(&keep, &m->assigned) && tps_eq(&back, &m->revoking);
	if (e == E_OK && !same)
		e = cmember_hold(m, &keep, &back, epoch);
	if (e == E_OK && !same) {
		m->previous = m->epoch;
		m->epoch = epoch;
		m->state = state;
		/* Classic members have timers for joining and syncing. */
		if (!m->classic)
			cmember_phase(m, state == C_UNREVOKED ? P_REVOKE
			    : P_NONE);
		e = cmember_put_current(m);
	}
	tps_free(&keep);
	tps_free(&back);
	tps_free(&have);
	tps_free(&want);
	return e;
}

enum err
cmember_advance(struct cmember *m, const struct tps *owned)
{
	const struct cgroup *cg = cgroup_of(m->group);

	switch (m->state) {
	case C_STABLE:
		return m->epoch == cg->target_epoch ? E_OK
		    : reconcile(m, owned);
	case C_UNREVOKED:
		return has_any(owned, &m->revoking) ? E_OK
		    : reconcile(m, owned);
	case C_UNRELEASED:
		break;
	}
	return reconcile(m, owned);
}

enum err
cmember_leave(struct cmember *m)
{
	struct cgroup *cg = cgroup_of(m->group);
	enum err e;

	if (cgroup_may_downgrade(cg, m))
		return cgroup_downgrade(cg, m);
	e = cmember_put_gone(m);
	cmember_free(m);
	return e == E_OK ? cgroup_bump(cg) : e;
}

void
cmember_fence(struct cmember *m, const char *why)
{
	struct engine *eng = m->group->eng;

	log_info("member of a consumer group is out",
	    LS("group", m->group->name), LS("member", m->id), LS("why", why));
	if (cmember_leave(m) != E_OK)
		log_warn("no memory for a member's end", LE(E_NOMEM));
	cgroup_flush(eng);
}

bool
cmember_waits(const struct cmember *m)
{
	const struct cgroup *cg = cgroup_of(m->group);

	for (int i = 0; m->state == C_UNRELEASED && i < m->target.n; i++) {
		const struct cmember *o = ctopic_owner(cg, m->target.v[i]);

		if (o != NULL && o != m)
			return true;
	}
	return false;
}

/* ---- what other files ask of any group --------------------------------- */

const char *
cgroup_state(const struct group *g)
{
	const struct cgroup *cg = g->modern;

	if (cg->nmembers == 0)
		return "Empty";
	if (cg->epoch > cg->target_epoch)
		return "Assigning";
	for (const struct cmember *m = cg->members; m != NULL; m = m->next)
		if (m->state != C_STABLE || m->epoch != cg->target_epoch)
			return "Reconciling";
	return "Stable";
}

static bool
is_empty(const struct group *g)
{
	return cgroup_of(g)->nmembers == 0;
}

static bool
is_subscribed(const struct group *g, struct kstr topic)
{
	for (const struct csub *s = cgroup_of(g)->subs; s != NULL; s = s->next)
		if (csub_has(s, &g->eng->topics, topic))
			return true;
	return false;
}

static enum err
check_epoch(const struct cmember *m, int32_t epoch)
{
	if (epoch == m->epoch)
		return E_OK;
	return m->classic ? E_ILLEGAL_GENERATION : E_STALE_MEMBER_EPOCH;
}

/* Without a member's id: the admin client, or one that does not tell. */
static enum err
check_fetch(struct group *g, struct kstr member, int32_t epoch)
{
	const struct cmember *m;

	if (member.len < 0 && epoch < 0)
		return E_OK;
	m = cmember_find(cgroup_of(g), member);
	return m == NULL ? E_UNKNOWN_MEMBER : check_epoch(m, epoch);
}

/* A commit that was on its way when the member was told of another epoch: it
 * still holds for partitions that the member has had since then (KIP-1251).
 * What happened before a restart is not remembered. */
static enum err
check_since(const struct cmember *m, const struct call *c)
{
	const struct offset_commit_req *q = c->req;
	const struct cgroup *cg = cgroup_of(m->group);
	int32_t epoch = q->generation_id_or_member_epoch;

	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct offset_commit_req_topic *qt = &q->topics.v[i];
		const struct topic *t = c->head.version >= 10
		    ? topic_find_id(&c->eng->topics, qt->topic_id)
		    : topic_find(&c->eng->topics, qt->name);
		int32_t at = t == NULL ? -1 : ctopic_find(cg, &t->id);

		/* One that is not there is refused for that. */
		for (int32_t k = 0; t != NULL && k < qt->partitions.n; k++) {
			int32_t part = qt->partitions.v[k].partition_index;
			int n = at < 0 || part < 0 || part >= t->nparts ? -1
			    : tps_find(&m->assigned, tp_of(at, part));

			if (n < 0 || m->since[n] > epoch)
				return E_STALE_MEMBER_EPOCH;
		}
	}
	return E_OK;
}

static enum err
check_commit(struct group *g, const struct call *c)
{
	const struct offset_commit_req *q = c->req;
	const struct cmember *m;

	if (q->generation_id_or_member_epoch < 0 && is_empty(g))
		return E_OK;
	m = cmember_find(cgroup_of(g), q->member_id);
	if (m == NULL)
		return E_UNKNOWN_MEMBER;
	if (!m->classic && c->head.version < 9)
		return E_UNSUPPORTED_VERSION;
	if (!m->classic && q->generation_id_or_member_epoch >= 0 &&
	    q->generation_id_or_member_epoch < m->epoch)
		return check_since(m, c);
	return check_epoch(m, q->generation_id_or_member_epoch);
}

static enum err
drop(struct group *g)
{
	enum err e = cgroup_put_gone(g->modern);

	if (e == E_OK)
		cgroup_free(g);
	return e;
}

const struct group_ops cgroup_ops = {
	.type = "consumer",
	.state = cgroup_state,
	.is_empty = is_empty,
	.is_subscribed = is_subscribed,
	.check_fetch = check_fetch,
	.check_commit = check_commit,
	.join = cgroup_join,
	.sync = cgroup_sync,
	.heartbeat = cgroup_heartbeat,
	.leave = cgroup_leave,
	.drop = drop,
	.free = cgroup_free,
};
