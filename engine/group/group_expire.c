/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of committed offsets and of groups (KIP-211).  What a group keeps is
 * looked at in slices, so that a sweep over many groups holds up nobody.
 *
 *   simple group            since the commit
 *   Empty                   since the commit and since it became empty
 *   Stable, of consumers    since the commit, if nobody subscribes to the topic
 *   otherwise               kept
 *
 * A commit that came with a retention of its own ends when that is over, in
 * the same states.  An empty group without offsets goes.
 */
#include <string.h>

#include "group_call.h"
#include "lib/log.h"

enum {
	SLICE = 1000,		/* slots and offsets looked at in one go */
	SLICE_GAP_MS = 1,
};

static bool
may_expire(const struct group *g)
{
	return g->ops != NULL || g->type == NULL || g->state == GROUP_EMPTY ||
	    (g->state == GROUP_STABLE && strcmp(g->type, "consumer") == 0);
}

static bool
is_old(const struct group *g, const struct committed *o, int64_t now)
{
	int64_t since = o->ts;

	/* A commit on its way to the catalogue would be lost behind the
	 * tombstone. */
	if (o->commits > 0 || (o->expire_ms != -1 && g->commits > 0))
		return false;
	if (o->expire_ms != -1)
		return now >= o->expire_ms;
	if (g->type != NULL && group_is_empty(g) && g->empty_since > since)
		since = g->empty_since;
	return now - since >=
	    g->eng->conf->offsets_retention_minutes * 60000;
}

static void
expire(struct committed *o)
{
	struct group *g = o->group;
	struct meta_key key;
	struct arena a;

	arena_init(&a, META_KEY_MAX);
	if (offset_key(&a, g, o->topic, o->part, &key) == E_OK &&
	    meta_write(&g->eng->meta, MT_meta_offset, &key, NULL, NULL) ==
	    E_OK)
		committed_free(o);
	arena_reset(&a);
}

/* Goes on with the group's offsets where the last slice ended. */
static int
sweep_offsets(struct group *g, int64_t now, int budget)
{
	size_t *slot = &g->eng->groups.sweep_slot;
	struct subscribed subs;
	bool asked = false;

	for (; *slot < g->offsets.size && budget > 0; ++*slot, budget--) {
		struct hash_node *x = g->offsets.v[*slot], *next;

		for (; x != NULL; x = next, budget--) {
			struct committed *o = HASH_OF(x, struct committed,
			    by_part);

			next = x->next;
			if (!is_old(g, o, now))
				continue;
			if (!asked)
				subscribed_open(&subs, g);
			asked = true;
			if (!subscribed_to(&subs, kstr_of(o->topic->name)))
				expire(o);
		}
	}
	if (asked)
		subscribed_close(&subs);
	return budget;
}

/* True when all groups have been seen. */
static bool
sweep(struct groups *gs, int64_t now)
{
	int budget = SLICE;

	while (budget-- > 0) {
		struct group *g = gs->sweep;

		if (g == NULL)
			return true;
		if (may_expire(g)) {
			budget = sweep_offsets(g, now, budget);
			if (gs->sweep_slot < g->offsets.size)
				return false;
		}
		gs->sweep = g->next;
		gs->sweep_slot = 0;
		group_reap(g);
	}
	return gs->sweep == NULL;
}

static void
expiry_fire(struct timer *t)
{
	struct engine *eng = (struct engine *)((char *)t -
	    offsetof(struct engine, groups.expiry));
	struct groups *gs = &eng->groups;

	if (gs->sweep == NULL) {
		gs->sweep = gs->first;
		gs->sweep_slot = 0;
	}
	groups_expiry_start(eng, sweep(gs, wall_ms())
	    ? eng->conf->offsets_retention_check_interval_ms : SLICE_GAP_MS);
}

void
groups_expiry_start(struct engine *eng, int64_t ms)
{
	eng->groups.expiry.fire = expiry_fire;
	if (timer_set(&eng->timers, &eng->groups.expiry, mono_ms() + ms) !=
	    E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}
