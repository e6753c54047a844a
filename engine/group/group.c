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
#include <stdlib.h>
#include <string.h>

#include "group_call.h"
#include "lib/log.h"

enum { STATIC_WAIT_MS = 100 };	/* at least, for static members only */

/* ---- members ----------------------------------------------------------- */

void
session_start_ms(struct member *m, int64_t ms)
{
	if (timer_set(&m->group->eng->timers, &m->session,
	    mono_ms() + ms) != E_OK)
		log_warn("no memory for a session timer", LE(E_NOMEM));
}

void
session_start(struct member *m)
{
	session_start_ms(m, m->session_ms);
}

void
group_left(struct group *g)
{
	if (g->state == GROUP_PREPARING)
		group_maybe_complete(g);
	else if (g->state != GROUP_EMPTY)
		group_prepare(g);
}

void
member_expired(struct timer *t)
{
	struct member *m = (struct member *)((char *)t -
	    offsetof(struct member, session));
	struct group *g = m->group;
	bool pending = m->pending;

	if (!pending)
		log_info("member's session is over", LS("group", g->name),
		    LS("member", m->id));
	member_free(m);
	if (!pending || g->state == GROUP_PREPARING)
		group_left(g);
	group_unused(g);
}

/* ---- rebalancing ------------------------------------------------------- */

static int64_t
rebalance_ms(const struct group *g)
{
	int64_t ms = 0;

	for (const struct member *m = g->members; m != NULL; m = m->next)
		if (m->rebalance_ms > ms)
			ms = m->rebalance_ms;
	return ms;
}

static void
rebalance_timer(struct group *g, int64_t ms)
{
	if (timer_set(&g->eng->timers, &g->rebalance, mono_ms() + ms) != E_OK)
		log_warn("no memory for a rebalance timer", LE(E_NOMEM));
}

void
group_prepare(struct group *g)
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
	group_maybe_complete(g);
}

static void
become_empty(struct group *g)
{
	g->state = GROUP_EMPTY;
	g->empty_since = wall_ms();
	g->leader = NULL;
	free(g->protocol);
	g->protocol = NULL;
	if (g->npending == 0)
		members_table_free(g);
	if (group_store(g, NULL) != E_OK)
		log_warn("group is not stored", LS("group", g->name));
}

static void
join_all_answer(struct group *g)
{
	for (struct member *m = g->members; m != NULL; m = m->next) {
		struct call *c = m->join;

		m->counted = true;
		member_unsynced_set(m, true);
		free(m->assignment);
		m->assignment = NULL;
		m->assignment_len = 0;
		member_count(m);
		if (c == NULL)
			continue;
		member_join_set(m, NULL);
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
		if (m->join == NULL && m->instance == NULL)
			member_free(m);
		else if (m->join != NULL && first == NULL)
			first = m;
	}
	if (first == NULL && g->nmembers > 0) {
		/* Static members only, and none is here: wait for them. */
		rebalance_timer(g, rebalance_ms(g) + STATIC_WAIT_MS);
		return;
	}
	g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
	g->assigned = false;
	if (first == NULL) {
		become_empty(g);
		return;
	}
	if (g->leader == NULL || g->leader->join == NULL)
		g->leader = first;
	won = protocols_vote(g);
	free(g->protocol);
	g->protocol = won == NULL ? NULL : strdup(won);
	g->state = GROUP_COMPLETING;
	log_debug("group has a new generation", LS("group", g->name),
	    LI("generation", g->generation), LI("members", g->nmembers));
	rebalance_timer(g, rebalance_ms(g));
	join_all_answer(g);
}

void
group_maybe_complete(struct group *g)
{
	if (g->state == GROUP_PREPARING && !g->delayed && g->npending == 0 &&
	    g->njoining == g->nmembers)
		complete(g);
}

void
group_rebalance_fire(struct timer *t)
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
				member_free(m);
		}
		group_prepare(g);
	}
}

/* The time for syncs does not end before all have, or it is up. */
void
group_syncs_check(struct group *g)
{
	if (g->nunsynced == 0)
		timer_cancel(&g->eng->timers, &g->rebalance);
}

void
group_adopt(struct group *g, bool rebalance)
{
	const char *won = protocols_vote(g);

	free(g->protocol);
	g->protocol = won == NULL ? NULL : strdup(won);
	g->leader = g->members;
	g->state = GROUP_STABLE;
	g->assigned = true;
	for (struct member *m = g->members; m != NULL; m = m->next) {
		m->counted = true;
		session_start(m);
	}
	if (group_store(g, NULL) != E_OK)
		log_warn("group is not stored", LS("group", g->name));
	if (rebalance)
		group_prepare(g);
}

/* ---- who may speak ----------------------------------------------------- */

enum err
group_member_check(struct group *g, struct kstr id, struct kstr instance,
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

enum err
group_check_commit(struct group *g, struct kstr id, struct kstr instance,
    int32_t generation)
{
	struct member *m = NULL;
	enum err e;

	if (generation < 0 && g->state == GROUP_EMPTY)
		return E_OK;
	e = group_member_check(g, id, instance, generation, &m);
	if (e == E_OK && m->join == NULL && m->sync == NULL)
		session_start(m);
	if (e == E_OK && g->state == GROUP_COMPLETING)
		e = E_REBALANCE;
	return e;
}
