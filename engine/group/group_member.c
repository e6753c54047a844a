/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of groups: their ids, the protocols that they offer, and the tables
 * in which both are found.  Everything that a member brings is counted in its
 * group's bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "group_call.h"
#include "lib/log.h"
#include "session.h"

/* A member's id begins with at most so much of the client's or instance's. */
enum { ID_PREFIX_MAX = 255 };

/* ---- protocols --------------------------------------------------------- */

struct known *
known_find(const struct group *g, struct kstr name)
{
	HASH_FIND(x, &g->known, group_hash(name)) {
		struct known *k = HASH_OF(x, struct known, by_name);

		if (kstr_eq(kstr_of(k->name), name))
			return k;
	}
	return NULL;
}

static struct known *
known_get(struct group *g, struct kstr name)
{
	struct known *k = known_find(g, name);

	if (k != NULL)
		return k;
	if (hash_room(&g->known) != E_OK ||
	    (k = calloc(1, sizeof *k + (size_t)name.len + 1)) == NULL)
		return NULL;
	memcpy(k->name, name.p, (size_t)name.len);
	hash_put(&g->known, &k->by_name, group_hash(name));
	return k;
}

static void
known_drop(struct group *g, struct known *k)
{
	hash_drop(&g->known, &k->by_name);
	free(k);
}

static void
protocols_free(struct group *g, struct protocol *v, int n)
{
	for (int i = 0; i < n; i++) {
		free(v[i].metadata);
		if (v[i].known != NULL && !v[i].again &&
		    --v[i].known->members == 0)
			known_drop(g, v[i].known);
	}
	free(v);
}

static size_t
len_of(int32_t n)
{
	return n > 0 ? (size_t)n : 0;
}

size_t
protocols_bytes(const struct join_group_req *q)
{
	size_t n = 0;

	for (int32_t i = 0; i < q->protocols.n; i++) {
		const struct join_group_req_protocol *p = &q->protocols.v[i];

		n += sizeof *p + sizeof(struct known) + len_of(p->name.len) +
		    len_of(p->metadata.len);
	}
	return n;
}

/* The old ones stay when there is no memory. */
enum err
protocols_set(struct member *m, const struct join_group_req *q)
{
	struct group *g = m->group;
	int n = q->protocols.n;
	struct protocol *v = calloc((size_t)n + 1, sizeof *v);

	if (v == NULL)
		return E_NOMEM;
	for (int i = 0; i < n; i++) {
		v[i].metadata = bytes_dup(q->protocols.v[i].metadata,
		    &v[i].len);
		if (v[i].metadata != NULL)
			v[i].known = known_get(g, q->protocols.v[i].name);
		if (v[i].known == NULL) {
			protocols_free(g, v, i + 1);
			return E_NOMEM;
		}
		v[i].name = v[i].known->name;
		for (int k = 0; k < i && !v[i].again; k++)
			v[i].again = v[k].known == v[i].known;
		if (!v[i].again)
			v[i].known->members++;
	}
	protocols_free(g, m->protocols, m->nprotocols);
	m->protocols = v;
	m->nprotocols = n;
	member_count(m);
	return E_OK;
}

bool
protocols_same(const struct member *m, const struct join_group_req *q)
{
	if (m->nprotocols != q->protocols.n)
		return false;
	for (int i = 0; i < m->nprotocols; i++) {
		struct join_group_req_protocol *p = &q->protocols.v[i];
		size_t len = len_of(p->metadata.len);

		if (!kstr_eq(kstr_of(m->protocols[i].name), p->name) ||
		    (size_t)m->protocols[i].len != len || (len > 0 &&
		    memcmp(m->protocols[i].metadata, p->metadata.p, len) !=
		    0))
			return false;
	}
	return true;
}

/* True when a new member with these protocols could take part. */
bool
protocols_fit(const struct group *g, const struct join_group_req *q)
{
	bool fit = false;

	if (q->protocol_type.len <= 0 || q->protocols.n <= 0 ||
	    q->protocols.n > PROTOCOLS_MAX)
		return false;
	if (g->nmembers > 0 && (g->type == NULL ||
	    !kstr_eq(kstr_of(g->type), q->protocol_type)))
		return false;
	for (int32_t i = 0; i < q->protocols.n; i++) {
		struct kstr name = q->protocols.v[i].name;
		const struct known *k;

		if (name.len < 0 || (name.len > 0 &&
		    memchr(name.p, '\0', (size_t)name.len) != NULL))
			return false;
		k = known_find(g, name);
		fit |= g->nmembers == 0 ||
		    (k != NULL && k->members == g->nmembers);
	}
	return fit;
}

/* Every member votes for the first of its protocols that all know; of equal
 * ones that of the first voter wins. */
const char *
protocols_vote(const struct group *g)
{
	struct known *best = NULL;

	HASH_EACH(x, &g->known)
		HASH_OF(x, struct known, by_name)->votes = 0;
	for (const struct member *m = g->members; m != NULL; m = m->next)
		for (int i = 0; i < m->nprotocols; i++)
			if (m->protocols[i].known->members == g->nmembers) {
				m->protocols[i].known->votes++;
				break;
			}
	for (const struct member *m = g->members; m != NULL; m = m->next)
		for (int i = 0; i < m->nprotocols; i++) {
			struct known *k = m->protocols[i].known;

			if (k->votes > (best == NULL ? 0 : best->votes))
				best = k;
		}
	return best == NULL ? NULL : best->name;
}

const struct protocol *
member_protocol(const struct member *m, const struct known *k)
{
	for (int i = 0; k != NULL && i < m->nprotocols; i++)
		if (m->protocols[i].known == k)
			return &m->protocols[i];
	return NULL;
}

/* ---- tables ------------------------------------------------------------ */

static void
table_put(struct member *m)
{
	struct group *g = m->group;

	hash_put(&g->by_id, &m->by_id, group_hash(kstr_of(m->id)));
	if (m->instance != NULL)
		hash_put(&g->by_instance, &m->by_instance,
		    group_hash(kstr_of(m->instance)));
}

static void
table_drop(struct member *m)
{
	hash_drop(&m->group->by_id, &m->by_id);
	if (m->instance != NULL)
		hash_drop(&m->group->by_instance, &m->by_instance);
}

static enum err
table_grow(struct group *g)
{
	enum err e = hash_room(&g->by_id);

	return e == E_OK ? hash_room(&g->by_instance) : e;
}

void
members_table_free(struct group *g)
{
	hash_free(&g->by_id);
	hash_free(&g->by_instance);
	if (g->known.n == 0)
		hash_free(&g->known);
}

struct member *
member_by_id(const struct group *g, struct kstr id)
{
	if (id.len <= 0)
		return NULL;
	HASH_FIND(x, &g->by_id, group_hash(id)) {
		struct member *m = HASH_OF(x, struct member, by_id);

		if (kstr_eq(kstr_of(m->id), id))
			return m;
	}
	return NULL;
}

struct member *
member_by_instance(const struct group *g, struct kstr instance)
{
	if (instance.len < 0)
		return NULL;
	HASH_FIND(x, &g->by_instance, group_hash(instance)) {
		struct member *m = HASH_OF(x, struct member, by_instance);

		if (kstr_eq(kstr_of(m->instance), instance))
			return m;
	}
	return NULL;
}

static void
list_drop(struct member *m)
{
	struct group *g = m->group;
	struct member **first = m->pending ? &g->pending : &g->members;

	if (m->prev != NULL)
		m->prev->next = m->next;
	else
		*first = m->next;
	if (m->next != NULL)
		m->next->prev = m->prev;
	else if (!m->pending)
		g->members_last = m->prev;
	*(m->pending ? &g->npending : &g->nmembers) -= 1;
}

void
member_admit(struct member *m)
{
	struct group *g = m->group;

	if (!m->pending)
		return;
	list_drop(m);
	m->pending = false;
	m->prev = g->members_last;
	m->next = NULL;
	*(m->prev != NULL ? &m->prev->next : &g->members) = m;
	g->members_last = m;
	g->nmembers++;
}

/* ---- members ----------------------------------------------------------- */

/* A foreign string is cut between two characters. */
static int
prefix_len(struct kstr s)
{
	int n = s.len < ID_PREFIX_MAX ? s.len : ID_PREFIX_MAX;

	while (n > 0 && n < s.len && ((uint8_t)s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

char *
member_id_new(struct kstr client_id, struct kstr instance)
{
	struct kstr s = instance.len >= 0 ? instance : client_id;
	uint8_t r[16];
	char id[ID_PREFIX_MAX + 40];

	if (s.len < 0)
		s = kstr_of("");
	if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
		return NULL;
	r[6] = (uint8_t)(0x40 | (r[6] & 0x0f));
	r[8] = (uint8_t)(0x80 | (r[8] & 0x3f));
	snprintf(id, sizeof id, "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x-%02x%02x%02x%02x%02x%02x", prefix_len(s), s.p, r[0],
	    r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10],
	    r[11], r[12], r[13], r[14], r[15]);
	return strdup(id);
}

static size_t
str_bytes(const char *s)
{
	return s == NULL ? 0 : strlen(s) + 1;
}

void
member_count(struct member *m)
{
	struct group *g = m->group;
	size_t n = sizeof *m + str_bytes(m->id) + str_bytes(m->instance) +
	    str_bytes(m->client_id) + str_bytes(m->client_host) +
	    len_of(m->assignment_len);

	for (int i = 0; i < m->nprotocols; i++)
		n += sizeof *m->protocols + sizeof(struct known) +
		    strlen(m->protocols[i].name) +
		    len_of(m->protocols[i].len);
	g->bytes += n - m->bytes;
	g->eng->groups.bytes += n - m->bytes;
	m->bytes = n;
}

enum err
member_client_set(struct member *m, struct kstr client_id,
    struct kstr client_host)
{
	char *id = kstr_dup(client_id), *host = kstr_dup(client_host);

	if (id == NULL || host == NULL) {
		free(id);
		free(host);
		return E_NOMEM;
	}
	free(m->client_id);
	free(m->client_host);
	m->client_id = id;
	m->client_host = host;
	member_count(m);
	return E_OK;
}

/* As Java prints an address. */
enum err
member_client_of(struct member *m, const struct call *c)
{
	char host[128];

	snprintf(host, sizeof host, "/%s", c->session->host);
	return member_client_set(m, kstr_of(c->session->client_id),
	    kstr_of(host));
}

void
member_id_set(struct member *m, char *id)
{
	table_drop(m);
	free(m->id);
	m->id = id;
	table_put(m);
	member_count(m);
}

struct member *
member_new(struct group *g, char *id, struct kstr instance)
{
	struct member *m = calloc(1, sizeof *m);

	if (m == NULL || id == NULL || table_grow(g) != E_OK || (instance.len
	    >= 0 && (m->instance = kstr_dup(instance)) == NULL)) {
		free(id);
		free(m);
		return NULL;
	}
	m->group = g;
	m->session.fire = member_expired;
	m->id = id;
	m->pending = true;
	m->next = g->pending;
	if (m->next != NULL)
		m->next->prev = m;
	g->pending = m;
	g->npending++;
	table_put(m);
	member_count(m);
	return m;
}

void
member_join_set(struct member *m, struct call *c)
{
	m->group->njoining += (c != NULL) - (m->join != NULL);
	m->join = c;
}

void
member_unsynced_set(struct member *m, bool unsynced)
{
	m->group->nunsynced += unsynced - m->unsynced;
	m->unsynced = unsynced;
}

enum err
member_assign(struct member *m, struct kbytes b)
{
	uint8_t *p = NULL;
	int32_t n = 0;

	if (b.len > 0 && (p = bytes_dup(b, &n)) == NULL)
		return E_NOMEM;
	free(m->assignment);
	m->assignment = p;
	m->assignment_len = n;
	member_count(m);
	return E_OK;
}

void
member_free(struct member *m)
{
	struct group *g = m->group;
	struct call *join = m->join, *sync = m->sync;

	member_join_set(m, NULL);
	member_unsynced_set(m, false);
	list_drop(m);
	table_drop(m);
	if (g->leader == m)
		g->leader = g->members;
	timer_cancel(&g->eng->timers, &m->session);
	if (join != NULL)
		join_refuse(join, E_UNKNOWN_MEMBER, "");
	if (sync != NULL)
		sync_answer(sync, E_UNKNOWN_MEMBER, g, NULL);
	protocols_free(g, m->protocols, m->nprotocols);
	g->bytes -= m->bytes;
	g->eng->groups.bytes -= m->bytes;
	free(m->assignment);
	free(m->old_leader);
	free(m->client_id);
	free(m->client_host);
	free(m->instance);
	free(m->id);
	free(m);
}
