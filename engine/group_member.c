/* SPDX-License-Identifier: Apache-2.0 */
/* Members of groups: their ids, and the protocols that they offer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "group_call.h"

void
protocols_free(struct protocol *v, int n)
{
	for (int i = 0; i < n; i++) {
		free(v[i].name);
		free(v[i].metadata);
	}
	free(v);
}

size_t
protocols_bytes(const struct join_group_req *q)
{
	size_t n = 0;

	for (int32_t i = 0; i < q->protocols.n; i++) {
		const struct join_group_req_protocol *p = &q->protocols.v[i];

		n += sizeof(struct protocol) + (p->name.len > 0
		    ? (size_t)p->name.len : 0) + (p->metadata.len > 0
		    ? (size_t)p->metadata.len : 0);
	}
	return n;
}

void
member_bytes(struct member *m, size_t bytes)
{
	struct group *g = m->group;

	g->bytes += bytes - m->bytes;
	g->eng->groups.bytes += bytes - m->bytes;
	m->bytes = bytes;
}

/* The old ones stay when there is no memory. */
enum err
protocols_set(struct member *m, const struct join_group_req *q)
{
	int n = q->protocols.n;
	struct protocol *v = calloc((size_t)n + 1, sizeof *v);

	if (v == NULL)
		return E_NOMEM;
	for (int i = 0; i < n; i++) {
		v[i].name = kstr_dup(q->protocols.v[i].name);
		v[i].metadata = bytes_dup(q->protocols.v[i].metadata,
		    &v[i].len);
		if (v[i].name == NULL || v[i].metadata == NULL) {
			protocols_free(v, n);
			return E_NOMEM;
		}
	}
	protocols_free(m->protocols, m->nprotocols);
	m->protocols = v;
	m->nprotocols = n;
	member_bytes(m, protocols_bytes(q));
	return E_OK;
}

bool
protocols_same(const struct member *m, const struct join_group_req *q)
{
	if (m->nprotocols != q->protocols.n)
		return false;
	for (int i = 0; i < m->nprotocols; i++) {
		struct join_group_req_protocol *p = &q->protocols.v[i];
		int32_t len = p->metadata.len > 0 ? p->metadata.len : 0;

		if (!kstr_eq(kstr_of(m->protocols[i].name), p->name) ||
		    m->protocols[i].len != len || (len > 0 &&
		    memcmp(m->protocols[i].metadata, p->metadata.p,
		    (size_t)len) != 0))
			return false;
	}
	return true;
}

const struct protocol *
protocol_find(const struct member *m, const char *name)
{
	for (int i = 0; i < m->nprotocols; i++)
		if (strcmp(m->protocols[i].name, name) == 0)
			return &m->protocols[i];
	return NULL;
}

struct member *
member_by_id(const struct group *g, struct kstr id)
{
	struct member *m = g->members;

	while (m != NULL && !kstr_eq(kstr_of(m->id), id))
		m = m->next;
	return m;
}

struct member *
member_by_instance(const struct group *g, struct kstr instance)
{
	struct member *m = g->members;

	while (m != NULL && (m->instance == NULL ||
	    !kstr_eq(kstr_of(m->instance), instance)))
		m = m->next;
	return m;
}

char *
member_id_new(struct kstr instance)
{
	uint8_t r[16];
	char id[300];

	if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
		return NULL;
	r[6] = (uint8_t)(0x40 | (r[6] & 0x0f));
	r[8] = (uint8_t)(0x80 | (r[8] & 0x3f));
	snprintf(id, sizeof id, "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x-%02x%02x%02x%02x%02x%02x", instance.len > 0 &&
	    instance.len < 200 ? instance.len : 6, instance.len > 0 &&
	    instance.len < 200 ? instance.p : "member", r[0], r[1], r[2],
	    r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12],
	    r[13], r[14], r[15]);
	return strdup(id);
}

struct member *
member_new(struct group *g, struct kstr instance)
{
	struct member *m = calloc(1, sizeof *m), **end;

	if (m == NULL)
		return NULL;
	m->group = g;
	m->session.fire = member_expired;
	m->id = member_id_new(instance);
	m->instance = instance.len >= 0 ? kstr_dup(instance) : NULL;
	if (m->id == NULL || (instance.len >= 0 && m->instance == NULL)) {
		free(m->id);
		free(m->instance);
		free(m);
		return NULL;
	}
	for (end = &g->members; *end != NULL; end = &(*end)->next)
		;
	*end = m;
	return m;
}
