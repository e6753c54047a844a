/* SPDX-License-Identifier: Apache-2.0 */
/* The group coordinator's answers to join and sync. */
#include <stdlib.h>
#include <string.h>

#include "group_call.h"

char *
kstr_dup(struct kstr s)
{
	return s.len <= 0 ? strdup("") : strndup(s.p, (size_t)s.len);
}

uint8_t *
bytes_dup(struct kbytes b, int32_t *len)
{
	size_t n = b.len > 0 ? (size_t)b.len : 0;
	uint8_t *p = malloc(n + 1);

	if (p != NULL && n > 0)
		memcpy(p, b.p, n);
	*len = (int32_t)n;
	return p;
}

static struct kstr
nullable(const char *s, bool may)
{
	return s == NULL && !may ? kstr_of("") : kstr_of(s);
}

void
join_refuse(struct call *c, enum err e, const char *id)
{
	const struct join_group_req *q = c->req;
	struct join_group_res res = { .error_code = err_code(e),
	    .generation_id = -1, .protocol_type = kstr_of(NULL),
	    .protocol_name = nullable(NULL, c->head.version >= 7),
	    .leader = kstr_of("") };

	res.member_id = id != NULL ? kstr_of(id) : q->member_id;
	if (res.member_id.len < 0)
		res.member_id = kstr_of("");
	call_reply(c, &res);
}

/* Only the leader is told who the members are, and what they want. */
static enum err
fill_members(struct call *c, const struct group *g,
    struct join_group_res *res)
{
	const struct known *k = known_find(g, kstr_of(g->protocol));

	res->members.v = arena_array(&c->arena, (size_t)g->nmembers,
	    sizeof *res->members.v);
	if (res->members.v == NULL)
		return E_NOMEM;
	for (const struct member *m = g->members; m != NULL; m = m->next) {
		struct join_group_res_member *r =
		    &res->members.v[res->members.n++];
		const struct protocol *p = member_protocol(m, k);

		r->member_id = kstr_of(m->id);
		r->group_instance_id = kstr_of(m->instance);
		if (p != NULL)
			r->metadata = (struct kbytes){ p->len, p->metadata };
	}
	return E_OK;
}

void
join_answer(struct call *c, const struct group *g, const struct member *m)
{
	struct join_group_res res = { .generation_id = g->generation,
	    .protocol_type = kstr_of(g->type),
	    .protocol_name = nullable(g->protocol, c->head.version >= 7),
	    .leader = kstr_of(g->leader->id), .member_id = kstr_of(m->id) };

	c->arena.limit += (size_t)64 * MIB;
	if (m->old_leader != NULL)
		res.leader = kstr_of(m->old_leader);
	else if (m == g->leader && fill_members(c, g, &res) != E_OK) {
		join_refuse(c, E_COORDINATOR_NOT_AVAILABLE, m->id);
		return;
	}
	/* A static leader that came back must not assign anew. */
	res.skip_assignment = m == g->leader && m->old_leader == NULL &&
	    g->state == GROUP_STABLE;
	call_reply(c, &res);
}

void
sync_answer(struct call *c, enum err e, const struct group *g,
    const struct member *m)
{
	struct sync_group_res res = { .error_code = err_code(e),
	    .protocol_type = kstr_of(NULL), .protocol_name = kstr_of(NULL) };

	if (e == E_OK && m != NULL) {
		res.protocol_type = kstr_of(g->type);
		res.protocol_name = kstr_of(g->protocol);
		res.assignment = (struct kbytes){ m->assignment_len,
		    m->assignment };
	}
	call_reply(c, &res);
}
