/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeGroups, ListGroups, DeleteGroups and OffsetDelete. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "group_call.h"

enum {	/* what may be done with a group, by the bits of Kafka's operations */
	OPS_GROUP = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11,
};

/* ---- describe ---------------------------------------------------------- */

static const struct kbytes no_bytes = { 0, NULL };

/* What members bring and are assigned is said only when it is settled. */
static enum err
describe_members(struct arena *a, const struct group *g,
    struct describe_groups_res_group *r)
{
	const struct known *k = known_find(g, kstr_of(g->protocol));

	r->members.v = arena_array(a, (size_t)g->nmembers,
	    sizeof *r->members.v);
	if (r->members.v == NULL)
		return E_NOMEM;
	for (const struct member *m = g->members; m != NULL; m = m->next) {
		struct describe_groups_res_group_member *rm =
		    &r->members.v[r->members.n++];
		const struct protocol *p = member_protocol(m, k);

		*rm = (struct describe_groups_res_group_member){
		    .member_id = kstr_of(m->id),
		    .group_instance_id = kstr_of(m->instance),
		    .client_id = kstr_of(m->client_id),
		    .client_host = kstr_of(m->client_host),
		    .member_metadata = no_bytes,
		    .member_assignment = no_bytes };
		/* While they join anew, they have what they had. */
		if (g->state == GROUP_STABLE && p != NULL)
			rm->member_metadata = (struct kbytes){ p->len,
			    p->metadata };
		if (g->assigned && m->assignment != NULL)
			rm->member_assignment = (struct kbytes){
			    m->assignment_len, m->assignment };
	}
	return E_OK;
}

static struct kstr
words(struct arena *a, const char *before, struct kstr name,
    const char *after)
{
	size_t b = strlen(before), n = (size_t)name.len, z = strlen(after);
	char *p = arena_alloc(a, b + n + z);

	if (p == NULL || b + n + z > INT16_MAX)
		return kstr_of(after + 1);
	memcpy(p, before, b);
	memcpy(p + b, name.p, n);
	memcpy(p + b + n, after, z);
	return (struct kstr){ (int32_t)(b + n + z), p };
}

static void
describe(struct call *c, struct kstr name,
    struct describe_groups_res_group *r, size_t *left)
{
	const struct describe_groups_req *q = c->req;
	const struct group *g = group_find(c->eng, name, false);
	enum err e = name.len < 0 ? E_INVALID_GROUP_ID : E_OK;

	*r = (struct describe_groups_res_group){
	    .error_message = kstr_of(NULL),
	    .group_id = name.len < 0 ? kstr_of("") : name,
	    .group_state = kstr_of("Dead"), .protocol_type = kstr_of(""),
	    .protocol_data = kstr_of(""), .authorized_operations = INT32_MIN };
	if (e == E_OK && (g == NULL || g->ops != NULL)) {
		/* Before version 6 there was no word for it. */
		if (c->head.version >= 6) {
			e = E_GROUP_ID_NOT_FOUND;
			r->error_message = words(&c->arena, "Group ", name,
			    g == NULL ? " not found."
			    : " is not a classic group.");
		}
	} else if (e == E_OK && g->bytes + 64 * (size_t)g->nmembers > *left)
		e = E_INVALID_REQUEST;
	else if (e == E_OK) {
		*left -= g->bytes + 64 * (size_t)g->nmembers;
		r->group_state = kstr_of(group_state_name(g));
		if (g->type != NULL)
			r->protocol_type = kstr_of(g->type);
		if (g->state == GROUP_STABLE && g->protocol != NULL)
			r->protocol_data = kstr_of(g->protocol);
		e = describe_members(&c->arena, g, r);
	}
	if (e == E_OK && q->include_authorized_operations)
		r->authorized_operations = OPS_GROUP;
	r->error_code = err_code(e);
}

void
handle_describe_groups(struct call *c)
{
	const struct describe_groups_req *q = c->req;
	struct describe_groups_res res = { 0 };
	size_t left = GROUP_ANSWER_MAX;

	c->arena.limit += 2 * (size_t)GROUP_ANSWER_MAX;
	res.groups.v = arena_array(&c->arena, q->groups.n > 0
	    ? (size_t)q->groups.n : 0, sizeof *res.groups.v);
	for (int32_t i = 0; res.groups.v != NULL && i < q->groups.n; i++)
		describe(c, q->groups.v[i], &res.groups.v[res.groups.n++],
		    &left);
	call_reply(c, &res);
}

/* ---- list -------------------------------------------------------------- */

/* Every state and type there is, of whatever kind of group: a filter becomes
 * a mask, so that its length costs nothing per group. */
static const char *const states[] = { "Empty", "PreparingRebalance",
    "CompletingRebalance", "Stable", "Assigning", "Reconciling", "Dead" };
static const char *const types[] = { "classic", "consumer", "share",
    "streams" };

static unsigned
mask_of(const char *const *names, size_t n, struct kstr s)
{
	for (size_t i = 0; i < n; i++)
		if ((size_t)s.len == strlen(names[i]) &&
		    strncasecmp(s.p, names[i], (size_t)s.len) == 0)
			return 1U << i;
	return 0;
}

/* All without a filter; one of unknown words alone lets nothing pass. */
static unsigned
filter_of(const char *const *names, size_t n, int32_t nfilter,
    const struct kstr *filter)
{
	unsigned mask = nfilter > 0 ? 0 : ~0U;

	for (int32_t i = 0; i < nfilter; i++)
		if (filter[i].len > 0)
			mask |= mask_of(names, n, filter[i]);
	return mask;
}

#define COUNT(v)	(sizeof (v) / sizeof *(v))

void
handle_list_groups(struct call *c)
{
	const struct list_groups_req *q = c->req;
	const struct groups *gs = &c->eng->groups;
	unsigned want_state = filter_of(states, COUNT(states),
	    q->states_filter.n, q->states_filter.v);
	unsigned want_type = filter_of(types, COUNT(types),
	    q->types_filter.n, q->types_filter.v);
	struct list_groups_res res = { 0 };

	c->arena.limit += gs->by_name.n * sizeof *res.groups.v;
	res.groups.v = arena_array(&c->arena, gs->by_name.n,
	    sizeof *res.groups.v);
	if (res.groups.v == NULL)
		res.error_code = err_code(E_COORDINATOR_NOT_AVAILABLE);
	for (const struct group *g = gs->first; g != NULL &&
	    res.groups.v != NULL; g = g->next) {
		struct kstr state = kstr_of(group_state_name(g));
		struct kstr type = kstr_of(group_type_name(g));

		if (!(want_state & mask_of(states, COUNT(states), state)) ||
		    !(want_type & mask_of(types, COUNT(types), type)))
			continue;
		res.groups.v[res.groups.n++] = (struct list_groups_res_group){
		    .group_id = kstr_of(g->name),
		    .protocol_type = kstr_of(g->ops != NULL ? "consumer"
		    : g->type != NULL ? g->type : ""),
		    .group_state = state, .group_type = type };
	}
	call_reply(c, &res);
}

/* ---- delete ------------------------------------------------------------ */

struct deleting {
	struct meta_put	 put;
	struct call	*call;
	struct delete_groups_res res;
};

/* What came to the group after its end in the catalogue is not the old's. */
static void
group_deleted(struct group *g)
{
	group_offsets_free(g);
	if (group_is_empty(g) && !g->stored && g->ops == NULL)
		group_clear(g);
	group_unused(g);
}

static void
deleted(struct meta_put *put, enum err e)
{
	struct deleting *d = (struct deleting *)put;

	for (int32_t i = 0; i < d->res.results.n; i++) {
		struct delete_groups_res_result *r = &d->res.results.v[i];
		struct group *g = group_find(d->call->eng, r->group_id,
		    false);

		if (r->error_code != 0)
			continue;
		if (e != E_OK)
			r->error_code = err_code(E_COORDINATOR_NOT_AVAILABLE);
		else if (g != NULL)
			group_deleted(g);
	}
	call_reply(d->call, &d->res);
	free(d);
}

static enum err
delete_one(struct engine *eng, struct kstr name)
{
	struct group *g = group_find(eng, name, false);

	if (g == NULL)
		return name.len < 0 ? E_INVALID_GROUP_ID
		    : E_GROUP_ID_NOT_FOUND;
	if (!group_is_empty(g))
		return E_NON_EMPTY_GROUP;
	return group_store_deleted(g, NULL) == E_OK ? E_OK
	    : E_COORDINATOR_NOT_AVAILABLE;
}

void
handle_delete_groups(struct call *c)
{
	const struct delete_groups_req *q = c->req;
	struct deleting *d = calloc(1, sizeof *d);
	int32_t n = q->groups_names.n > 0 ? q->groups_names.n : 0;
	bool any = false;

	if (d != NULL)
		d->res.results.v = arena_array(&c->arena, (size_t)n,
		    sizeof *d->res.results.v);
	if (d == NULL || d->res.results.v == NULL) {
		free(d);
		call_bad(c, "out of memory");
		return;
	}
	d->call = c;
	d->put.done = deleted;
	for (int32_t i = 0; i < n; i++) {
		struct kstr name = q->groups_names.v[i];
		enum err e = delete_one(c->eng, name);

		d->res.results.v[d->res.results.n++] =
		    (struct delete_groups_res_result){ name.len < 0
		    ? kstr_of("") : name, err_code(e) };
		any |= e == E_OK;
	}
	if (any)
		meta_wait(&c->eng->meta, &d->put);
	else
		deleted(&d->put, E_OK);
}

/* ---- offsets ----------------------------------------------------------- */

struct forgetting {
	struct meta_put	 put;
	struct call	*call;
	struct offset_delete_res res;
};

static void
forgotten(struct meta_put *put, enum err e)
{
	struct forgetting *f = (struct forgetting *)put;
	const struct offset_delete_req *q = f->call->req;
	struct engine *eng = f->call->eng;
	struct group *g = group_find(eng, q->group_id, false);

	for (int32_t i = 0; i < f->res.topics.n; i++) {
		struct offset_delete_res_topic *r = &f->res.topics.v[i];
		struct topic *t = topic_find(&eng->topics, r->name);

		for (int32_t j = 0; j < r->partitions.n; j++) {
			struct offset_delete_res_topic_part *p =
			    &r->partitions.v[j];
			struct committed *o = g == NULL || t == NULL ? NULL
			    : group_offset(g, t, p->partition_index, false);

			if (p->error_code == 0 && e != E_OK)
				p->error_code = err_code(
				    E_COORDINATOR_NOT_AVAILABLE);
			else if (p->error_code == 0 && o != NULL)
				committed_free(o);
		}
	}
	call_reply(f->call, &f->res);
	free(f);	/* a group without offsets stays until the next sweep */
}

static enum err
forget_part(struct call *c, struct group *g, struct topic *t, int32_t part,
    const struct subscribed *subs, bool *any)
{
	struct meta_key key;

	if (t == NULL || topic_part(t, part) == NULL)
		return E_UNKNOWN_TOPIC;
	if (subscribed_to(subs, kstr_of(t->name)))
		return E_GROUP_SUBSCRIBED;
	/* One on its way comes before us, in the catalogue and here. */
	if (group_offset(g, t, part, false) == NULL && g->commits == 0)
		return E_OK;
	if (offset_key(&c->arena, g, t, part, &key) != E_OK ||
	    meta_write(&c->eng->meta, MT_meta_offset, &key, NULL, NULL) !=
	    E_OK)
		return E_COORDINATOR_NOT_AVAILABLE;
	*any = true;
	return E_OK;
}

static enum err
forget_topic(struct call *c, struct group *g, struct forgetting *f,
    const struct offset_delete_req_topic *q, const struct subscribed *subs,
    bool *any)
{
	struct topic *t = topic_find(&c->eng->topics, q->name);
	struct offset_delete_res_topic *r = &f->res.topics.v[f->res.topics.n];
	int32_t n = q->partitions.n > 0 ? q->partitions.n : 0;

	r->name = q->name.len >= 0 ? q->name : kstr_of("");
	r->partitions.n = n;
	r->partitions.v = arena_array(&c->arena, (size_t)n,
	    sizeof *r->partitions.v);
	if (r->partitions.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < n; i++) {
		int32_t part = q->partitions.v[i].partition_index;

		r->partitions.v[i] = (struct offset_delete_res_topic_part){
		    part, err_code(forget_part(c, g, t, part, subs, any)) };
	}
	f->res.topics.n++;
	return E_OK;
}

/* Offsets of a group at work go if nobody in it reads the topic, which can be
 * told of consumers only. */
static enum err
forget_check(struct kstr name, const struct group *g)
{
	if (group_name_check(name) != E_OK || name.len == 0)
		return E_INVALID_GROUP_ID;
	if (g == NULL)
		return E_GROUP_ID_NOT_FOUND;
	if (g->ops == NULL && g->state != GROUP_EMPTY &&
	    (g->type == NULL || strcmp(g->type, "consumer") != 0))
		return E_NON_EMPTY_GROUP;
	return E_OK;
}

void
handle_offset_delete(struct call *c)
{
	const struct offset_delete_req *q = c->req;
	struct group *g = group_find(c->eng, q->group_id, false);
	struct forgetting *f = calloc(1, sizeof *f);
	size_t n = q->topics.n > 0 ? (size_t)q->topics.n : 0;
	struct subscribed subs;
	bool any = false;
	enum err e;

	if (f != NULL)
		f->res.topics.v = arena_array(&c->arena, n,
		    sizeof *f->res.topics.v);
	if (f == NULL || f->res.topics.v == NULL) {
		free(f);
		call_bad(c, "out of memory");
		return;
	}
	c->arena.limit += c->head.length * (size_t)64;	/* keys */
	f->call = c;
	f->put.done = forgotten;
	e = forget_check(q->group_id, g);
	f->res.error_code = err_code(e);
	if (e == E_OK) {
		subscribed_open(&subs, g);
		for (size_t i = 0; e == E_OK && i < n; i++)
			e = forget_topic(c, g, f, &q->topics.v[i], &subs,
			    &any);
		subscribed_close(&subs);
	}
	if (any)
		meta_wait(&c->eng->meta, &f->put);
	else
		forgotten(&f->put, E_OK);
}
