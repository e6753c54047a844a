/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with two keys. */
#include <stdlib.h>
#include <string.h>

#include "codecs.h"

static struct topic_recode **
slot(const struct codecs *c, struct topic_recode **table, const void *p,
    size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3;
	return &table[(h ^ h >> 32) & (c->size - 1)];
}

static void
link_in(struct codecs *c, struct topic_recode *t)
{
	struct topic_recode **name = slot(c, c->by_name, t->name,
	    (size_t)t->len), **id = slot(c, c->by_id, t->id.b, 16);

	t->next_name = *name;
	*name = t;
	t->next_id = *id;
	*id = t;
}

static enum err
grow(struct codecs *c)
{
	struct codecs more = { .size = c->size == 0 ? 64 : c->size * 4,
	    .n = c->n };
	struct topic_recode *t, *next;

	if (c->n < c->size)
		return E_OK;
	more.by_name = calloc(more.size, sizeof(struct topic_recode *));
	more.by_id = calloc(more.size, sizeof(struct topic_recode *));
	if (more.by_name == NULL || more.by_id == NULL) {
		free(more.by_name);
		free(more.by_id);
		return E_NOMEM;
	}
	for (size_t i = 0; i < c->size; i++)
		for (t = c->by_id[i]; t != NULL; t = next) {
			next = t->next_id;
			link_in(&more, t);
		}
	free(c->by_name);
	free(c->by_id);
	*c = more;
	return E_OK;
}

static void
drop(struct codecs *c, struct uuid id)
{
	struct topic_recode **p, *t;

	if (c->size == 0)
		return;
	for (p = slot(c, c->by_id, id.b, 16); *p != NULL;
	    p = &(*p)->next_id)
		if (uuid_eq((*p)->id, id))
			break;
	if ((t = *p) == NULL)
		return;
	*p = t->next_id;
	p = slot(c, c->by_name, t->name, (size_t)t->len);
	while (*p != t)
		p = &(*p)->next_name;
	*p = t->next_name;
	free(t);
	c->n--;
}

enum err
codecs_set(struct codecs *c, const struct hello_res_codec *row)
{
	struct topic_recode *t;
	enum err e;

	if (row->codec < -1 || row->codec >= CODEC_MAX || row->name.len <= 0)
		return E_PROTO;
	drop(c, row->id);
	if (row->codec < 0)
		return E_OK;
	if (c->n >= TOPICS_MAX)
		return E_PROTO;
	if ((e = grow(c)) != E_OK)
		return e;
	t = malloc(sizeof *t + (size_t)row->name.len);
	if (t == NULL)
		return E_NOMEM;
	*t = (struct topic_recode){ .id = row->id, .codec =
	    (enum codec)row->codec, .level = row->level,
	    .len = row->name.len };
	memcpy(t->name, row->name.p, (size_t)row->name.len);
	link_in(c, t);
	c->n++;
	return E_OK;
}

const struct topic_recode *
codecs_find(const struct codecs *c, struct kstr name, struct uuid id)
{
	const struct topic_recode *t;

	if (c->n == 0)
		return NULL;
	if (name.len < 0) {
		t = *slot(c, c->by_id, id.b, 16);
		while (t != NULL && !uuid_eq(t->id, id))
			t = t->next_id;
		return t;
	}
	t = *slot(c, c->by_name, name.p, (size_t)name.len);
	while (t != NULL && (t->len != name.len ||
	    memcmp(t->name, name.p, (size_t)name.len) != 0))
		t = t->next_name;
	return t;
}

void
codecs_clear(struct codecs *c)
{
	struct topic_recode *t, *next;

	for (size_t i = 0; i < c->size; i++)
		for (t = c->by_id[i]; t != NULL; t = next) {
			next = t->next_id;
			free(t);
		}
	free(c->by_name);
	free(c->by_id);
	*c = (struct codecs){ 0 };
}
