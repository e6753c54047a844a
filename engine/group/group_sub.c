/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the consumers of a group subscribe to, read from the bytes that they
 * join with.  Every version of a subscription begins as version 0 does: a
 * version, the topics, user data (KIP-429 and later append to it).
 */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"

enum err
subscription_open(struct subscription *s, const uint8_t *p, size_t n)
{
	struct subscription probe;
	struct kstr topic;

	s->r = rd_of(p, n);
	if (rd_i16(&s->r) < 0)
		return E_PROTO;
	s->left = rd_i32(&s->r);
	if (s->r.bad || s->left < 0)
		return E_PROTO;
	probe = *s;
	while (subscription_next(&probe, &topic))
		;
	return probe.r.bad ? E_PROTO : E_OK;
}

bool
subscription_next(struct subscription *s, struct kstr *topic)
{
	if (s->left == 0)
		return false;
	s->left--;
	topic->len = rd_i16(&s->r);
	if (topic->len < 0)
		s->r.bad = true;
	topic->p = (const char *)rd_take(&s->r, (size_t)topic->len);
	return !s->r.bad;
}

/* ---- of a whole group -------------------------------------------------- */

static int
kstr_cmp(const void *a, const void *b)
{
	const struct kstr *x = a, *y = b;
	int32_t n = x->len < y->len ? x->len : y->len;
	int d = n > 0 ? memcmp(x->p, y->p, (size_t)n) : 0;

	return d != 0 ? d : (x->len > y->len) - (x->len < y->len);
}

/* Puts the topics into v, which has room for them, or only counts. */
static enum err
gather(const struct group *g, struct kstr *v, size_t *n)
{
	const struct known *k = known_find(g, kstr_of(g->protocol));

	*n = 0;
	for (const struct member *m = g->members; m != NULL; m = m->next) {
		const struct protocol *p = member_protocol(m, k);
		struct subscription s;
		struct kstr topic;

		if (p == NULL || subscription_open(&s, p->metadata,
		    (size_t)p->len) != E_OK)
			return E_PROTO;
		while (subscription_next(&s, &topic)) {
			if (v != NULL)
				v[*n] = topic;
			++*n;
		}
	}
	return E_OK;
}

void
subscribed_open(struct subscribed *s, const struct group *g)
{
	*s = (struct subscribed){ .g = g };
	if (g->ops != NULL || g->state == GROUP_EMPTY || g->type == NULL ||
	    strcmp(g->type, "consumer") != 0)
		return;
	s->all = g->protocol == NULL || gather(g, NULL, &s->n) != E_OK;
	if (s->all || s->n == 0)
		return;
	s->v = calloc(s->n, sizeof *s->v);
	if (s->v == NULL || gather(g, s->v, &s->n) != E_OK)
		s->all = true;
	else
		qsort(s->v, s->n, sizeof *s->v, kstr_cmp);
}

bool
subscribed_to(const struct subscribed *s, struct kstr topic)
{
	if (s->g->ops != NULL)
		return s->g->ops->is_subscribed(s->g, topic);
	return s->all || (s->n > 0 && bsearch(&topic, s->v, s->n,
	    sizeof topic, kstr_cmp) != NULL);
}

void
subscribed_close(struct subscribed *s)
{
	free(s->v);
	s->v = NULL;
}
