/* SPDX-License-Identifier: Apache-2.0 */
/* The table of groups: by name, bounded in number and in bytes. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "group_call.h"

size_t
groups_hash(const struct groups *gs, struct kstr s)
{
	uint64_t h = 0xcbf29ce484222325 ^ gs->seed;

	for (int32_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.p[i]) * 0x100000001b3;
	return (size_t)(h ^ h >> 32);
}

static enum err
groups_grow(struct groups *gs)
{
	struct group **old = gs->hash;
	size_t size = gs->size == 0 ? 64 : gs->size * 4;

	if (gs->n < gs->size)
		return E_OK;
	if (gs->size == 0 && getrandom(&gs->seed, sizeof gs->seed, 0) !=
	    (ssize_t)sizeof gs->seed)
		return E_IO;
	gs->hash = calloc(size, sizeof(struct group *));
	if (gs->hash == NULL) {
		gs->hash = old;
		return E_NOMEM;
	}
	gs->size = size;
	for (struct group *g = gs->first; g != NULL; g = g->next) {
		struct group **slot = &gs->hash[groups_hash(gs,
		    kstr_of(g->name)) & (size - 1)];

		g->next_hash = *slot;
		*slot = g;
	}
	free(old);
	return E_OK;
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
	struct group *g, **slot;

	/* What the catalogue brings back was within the bounds before. */
	if (eng->opened && (gs->n >= GROUPS_MAX || gs->bytes +
	    group_bytes(name) > GROUPS_BYTES_MAX))
		return NULL;
	if (groups_grow(gs) != E_OK || (g = calloc(1, sizeof *g)) == NULL)
		return NULL;
	g->name = kstr_dup(name);
	if (g->name == NULL) {
		free(g);
		return NULL;
	}
	g->eng = eng;
	g->empty_since = wall_ms();
	g->rebalance.fire = group_rebalance_fire;
	slot = &gs->hash[groups_hash(gs, name) & (gs->size - 1)];
	g->next_hash = *slot;
	*slot = g;
	g->next = gs->first;
	if (g->next != NULL)
		g->next->prev = g;
	gs->first = g;
	gs->n++;
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
	struct groups *gs = &eng->groups;
	struct group *g = NULL;

	if (group_name_check(name) != E_OK)
		return NULL;
	if (gs->size > 0)
		g = gs->hash[groups_hash(gs, name) & (gs->size - 1)];
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
	struct group **slot = &gs->hash[groups_hash(gs, kstr_of(g->name)) &
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
	if (gs->sweep == g) {
		gs->sweep = g->next;
		gs->sweep_slot = 0;
	}
	gs->n--;
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
	free(eng->groups.hash);
	eng->groups = (struct groups){ 0 };
}
