/* SPDX-License-Identifier: Apache-2.0 */
/* The table of groups: by name, bounded in number and in bytes. */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"

uint64_t
group_hash(struct kstr s)
{
	return hash_bytes(s.p, s.len > 0 ? (size_t)s.len : 0);
}

static size_t
group_bytes(struct kstr name)
{
	return sizeof(struct group) + (size_t)name.len;
}

static struct group *
group_new(struct engine *eng, struct kstr name)
{
	struct groups *gs = &eng->groups;
	struct group *g;

	/* What the catalogue brings back was within the bounds before. */
	if (eng->opened && (gs->by_name.n >= GROUPS_MAX || gs->bytes +
	    group_bytes(name) > GROUPS_BYTES_MAX))
		return NULL;
	if (hash_room(&gs->by_name) != E_OK ||
	    (g = calloc(1, sizeof *g)) == NULL)
		return NULL;
	g->name = kstr_dup(name);
	if (g->name == NULL) {
		free(g);
		return NULL;
	}
	g->eng = eng;
	g->empty_since = wall_ms();
	g->rebalance.fire = group_rebalance_fire;
	hash_put(&gs->by_name, &g->by_name, group_hash(name));
	g->next = gs->first;
	if (g->next != NULL)
		g->next->prev = g;
	gs->first = g;
	gs->bytes += group_bytes(name);
	return g;
}

enum err
group_name_check(struct kstr name)
{
	return name.len < 0 || (name.len > 0 && memchr(name.p, '\0',
	    (size_t)name.len) != NULL) ? E_INVALID_GROUP_ID : E_OK;
}

struct group *
group_find(struct engine *eng, struct kstr name, bool create)
{
	if (group_name_check(name) != E_OK)
		return NULL;
	HASH_FIND(x, &eng->groups.by_name, group_hash(name)) {
		struct group *g = HASH_OF(x, struct group, by_name);

		if (kstr_eq(kstr_of(g->name), name))
			return g;
	}
	return create ? group_new(eng, name) : NULL;
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

void
group_clear(struct group *g)
{
	while (g->members != NULL)
		member_free(g->members);
	while (g->pending != NULL)
		member_free(g->pending);
	free(g->type);
	free(g->protocol);
	g->type = g->protocol = NULL;
	g->state = GROUP_EMPTY;
}

void
group_free(struct group *g)
{
	struct groups *gs = &g->eng->groups;

	hash_drop(&gs->by_name, &g->by_name);
	if (g->prev != NULL)
		g->prev->next = g->next;
	else
		gs->first = g->next;
	if (g->next != NULL)
		g->next->prev = g->prev;
	if (gs->sweep == g) {
		gs->sweep = g->next;
		gs->sweep_slot = 0;
	}
	gs->bytes -= group_bytes(kstr_of(g->name));
	if (g->ops != NULL)
		g->ops->free(g);
	timer_cancel(&g->eng->timers, &g->rebalance);
	group_clear(g);
	group_offsets_free(g);
	members_table_free(g);
	free(g->name);
	free(g);
}

void
groups_free(struct engine *eng)
{
	while (eng->groups.first != NULL)
		group_free(eng->groups.first);
	timer_cancel(&eng->timers, &eng->groups.expiry);
	hash_free(&eng->groups.by_name);
	eng->groups = (struct groups){ 0 };
}
