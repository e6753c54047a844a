/* SPDX-License-Identifier: Apache-2.0 */
/* ConsumerGroupDescribe. */
#include <string.h>

#include "cgroup.h"
#include "group_call.h"

typedef struct consumer_group_describe_res_assignment assignment_t;

enum {
	ANSWER_MAX = 256 * MIB,
	/* Read, delete, describe, describe and alter configs. */
	OPS_GROUP = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11,
};

/* What a set holds, by topic; topics that are gone are left out. */
static enum err
fill_assignment(struct call *c, const struct cgroup *cg, const struct tps *s,
    assignment_t *a)
{
	struct consumer_group_describe_res_topic_partitions *t = NULL;
	int32_t *parts = arena_array(&c->arena, (size_t)s->n + 1,
	    sizeof *parts);

	a->topic_partitions.v = arena_array(&c->arena, (size_t)s->n + 1,
	    sizeof *a->topic_partitions.v);
	if (parts == NULL || a->topic_partitions.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < s->n; i++) {
		const struct uuid *id = &cg->topics[tp_topic(s->v[i])].id;

		if (i == 0 || tp_topic(s->v[i]) != tp_topic(s->v[i - 1])) {
			const struct topic *topic = topic_find_id(
			    &c->eng->topics, *id);

			t = NULL;
			if (topic == NULL)
				continue;
			t = &a->topic_partitions.v[a->topic_partitions.n++];
			t->topic_id = *id;
			t->topic_name = kstr_of(topic->name);
			t->partitions.v = parts + i;
		}
		if (t != NULL)
			t->partitions.v[t->partitions.n++] = tp_part(s->v[i]);
	}
	return E_OK;
}

static enum err
fill_member(struct call *c, const struct cgroup *cg, const struct cmember *m,
    struct consumer_group_describe_res_group_member *r)
{
	struct tps all = { 0 };
	enum err e;

	r->member_id = kstr_of(m->id);
	r->instance_id = kstr_of(m->instance);
	r->rack_id = kstr_of(m->rack);
	r->member_epoch = m->epoch;
	r->client_id = kstr_of(m->client_id);
	r->client_host = kstr_of(m->host);
	r->subscribed_topic_regex = kstr_of(m->sub->regex);
	r->member_type = m->classic ? 0 : 1;
	r->subscribed_topic_names.v = arena_array(&c->arena,
	    (size_t)m->sub->nnames + 1, sizeof(struct kstr));
	if (r->subscribed_topic_names.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < m->sub->nnames; i++)
		r->subscribed_topic_names.v[
		    r->subscribed_topic_names.n++] = kstr_of(m->sub->names[i]);
	/* What it has to give back is its own as well, until it has. */
	e = tps_copy(&all, &m->assigned);
	for (int i = 0; i < m->revoking.n && e == E_OK; i++)
		e = tps_push(&all, m->revoking.v[i]);
	tps_sort(&all);
	if (e == E_OK)
		e = fill_assignment(c, cg, &all, &r->assignment);
	tps_free(&all);
	return e == E_OK ? fill_assignment(c, cg, &m->target,
	    &r->target_assignment) : e;
}

static enum err
fill_group(struct call *c, const struct group *g,
    struct consumer_group_describe_res_group *r)
{
	const struct cgroup *cg = cgroup_of(g);
	enum err e = E_OK;

	r->group_state = kstr_of(cgroup_state(g));
	r->group_epoch = cg->epoch;
	r->assignment_epoch = cg->target_epoch;
	r->assignor_name = kstr_of(cgroup_assignor(cg)->name);
	r->members.v = arena_array(&c->arena, (size_t)cg->nmembers + 1,
	    sizeof *r->members.v);
	if (r->members.v == NULL)
		return E_NOMEM;
	for (const struct cmember *m = cg->members; m != NULL && e == E_OK;
	    m = m->next)
		e = fill_member(c, cg, m, &r->members.v[r->members.n++]);
	return e;
}

static enum err
describe(struct call *c, struct kstr id, bool ops,
    struct consumer_group_describe_res_group *r)
{
	const struct group *g = group_find(c->eng, id, false);
	enum err e;

	r->group_id = id.len >= 0 ? id : kstr_of("");
	r->error_message = kstr_of(NULL);
	r->group_state = r->assignor_name = kstr_of("");
	r->authorized_operations = INT32_MIN;
	if (id.len <= 0)
		return E_INVALID_GROUP_ID;
	if (g == NULL || cgroup_of(g) == NULL) {
		r->error_message = call_words(c, g == NULL
		    ? "Group %.*s not found."
		    : "Group %.*s is not a consumer group.", WORDS(id));
		return E_GROUP_ID_NOT_FOUND;
	}
	e = fill_group(c, g, r);
	if (ops)
		r->authorized_operations = OPS_GROUP;
	if (e != E_OK)
		r->members.n = 0;
	return e == E_OK ? e : E_COORDINATOR_NOT_AVAILABLE;
}

void
handle_consumer_group_describe(struct call *c)
{
	const struct consumer_group_describe_req *q = c->req;
	struct consumer_group_describe_res res = { 0 };

	c->arena.limit += ANSWER_MAX;
	res.groups.v = arena_array(&c->arena, q->group_ids.n > 0
	    ? (size_t)q->group_ids.n : 0, sizeof *res.groups.v);
	for (int32_t i = 0; res.groups.v != NULL && i < q->group_ids.n; i++) {
		struct consumer_group_describe_res_group *r =
		    &res.groups.v[res.groups.n++];

		r->error_code = err_code(describe(c, q->group_ids.v[i],
		    q->include_authorized_operations, r));
	}
	call_reply(c, &res);
}
