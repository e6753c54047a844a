/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed offsets in memory: by group, topic and partition, and listed by
 * topic.  Nothing here writes a record.
 */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"

static uint64_t
offset_hash(const struct topic *t, int32_t part)
{
	uint64_t h;

	memcpy(&h, t->id.b, 8);
	h = (h ^ (uint64_t)(uint32_t)part * 0x9e3779b97f4a7c15) *
	    0xff51afd7ed558ccd;
	return h ^ h >> 33;
}

struct committed *
group_offset(struct group *g, struct topic *t, int32_t part, bool create)
{
	uint64_t hash = offset_hash(t, part);
	struct committed *o;

	HASH_FIND(x, &g->offsets, hash) {
		o = HASH_OF(x, struct committed, by_part);
		if (o->topic == t && o->part == part)
			return o;
	}
	if (!create || hash_room(&g->offsets) != E_OK ||
	    (o = calloc(1, sizeof *o)) == NULL)
		return NULL;
	o->group = g;
	o->topic = t;
	o->part = part;
	o->offset = o->expire_ms = -1;
	o->metadata.p = "";
	o->topic_next = t->committed;
	o->topic_prevp = &t->committed;
	if (o->topic_next != NULL)
		o->topic_next->topic_prevp = &o->topic_next;
	t->committed = o;
	hash_put(&g->offsets, &o->by_part, hash);
	g->eng->groups.offset_bytes += sizeof *o;
	return o;
}

enum err
committed_set(struct committed *o, const struct meta_offset *rec)
{
	size_t *bytes = &o->group->eng->groups.offset_bytes;
	int32_t n = rec->metadata.len > 0 ? rec->metadata.len : 0;
	char *text = NULL;

	if (n > 0 && (text = malloc((size_t)n)) == NULL)
		return E_NOMEM;
	if (n > 0)
		memcpy(text, rec->metadata.p, (size_t)n);
	*bytes += (size_t)n - (size_t)o->metadata.len;
	free(o->text);
	o->text = text;
	o->metadata = (struct kstr){ n, n > 0 ? text : "" };
	o->offset = rec->offset;
	o->epoch = rec->epoch;
	o->ts = rec->committed_ms;
	o->expire_ms = rec->expire_ms;
	return E_OK;
}

struct meta_offset
committed_record(const struct committed *o)
{
	return (struct meta_offset){ .offset = o->offset, .epoch = o->epoch,
	    .metadata = o->metadata, .committed_ms = o->ts,
	    .expire_ms = o->expire_ms };
}

void
committed_free(struct committed *o)
{
	struct group *g = o->group;

	hash_drop(&g->offsets, &o->by_part);
	*o->topic_prevp = o->topic_next;
	if (o->topic_next != NULL)
		o->topic_next->topic_prevp = o->topic_prevp;
	g->eng->groups.offset_bytes -= sizeof *o + (size_t)o->metadata.len;
	free(o->text);
	free(o);
}

void
group_offsets_free(struct group *g)
{
	HASH_EACH(x, &g->offsets)
		committed_free(HASH_OF(x, struct committed, by_part));
	hash_free(&g->offsets);
}

/* No records: replay forgets the offsets of a topic with the topic. */
void
groups_topic_gone(struct topic *t)
{
	while (t->committed != NULL) {
		struct group *g = t->committed->group;

		committed_free(t->committed);
		group_unused(g);
	}
}
