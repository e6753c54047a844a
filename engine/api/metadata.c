/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata: what topics and partitions there are (protocol.md 3.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"

struct metadata {
	struct call	*call;
	struct metadata_res res;
	int		 pending;	/* topics being created */
	bool		 starting;
	struct creation {
		struct topic_op	 op;
		struct metadata	*md;
		int32_t		 at;	/* row of the answer */
	} *creations;
};

static enum err
fill_parts(struct metadata *md, const struct topic *t,
    struct metadata_res_topic *r)
{
	struct arena *a = &md->call->arena;
	int32_t *me = arena_alloc(a, sizeof *me);

	r->partitions.v = arena_array(a, (size_t)t->nparts,
	    sizeof *r->partitions.v);
	if (me == NULL || r->partitions.v == NULL)
		return E_NOMEM;
	r->partitions.n = t->nparts;
	*me = (int32_t)md->call->eng->conf->node_id;
	for (int32_t i = 0; i < t->nparts; i++) {
		struct metadata_res_topic_part *p = &r->partitions.v[i];
		enum part_state st = t->parts[i]->state;
		bool led = st == PART_ONLINE || st == PART_FENCED;

		p->partition_index = i;
		p->error_code = err_code(led ? E_OK : E_LEADER_NOT_AVAILABLE);
		p->leader_id = led ? *me : -1;
		p->leader_epoch = t->parts[i]->epoch;
		p->replica_nodes.n = 1;
		p->replica_nodes.v = me;
		p->isr_nodes.n = led ? 1 : 0;
		p->isr_nodes.v = me;
		p->offline_replicas.n = led ? 0 : 1;
		p->offline_replicas.v = me;
	}
	return E_OK;
}

static void
fill_topic(struct metadata *md, const struct topic *t,
    struct metadata_res_topic *r)
{
	const struct metadata_req *q = md->call->req;

	r->name = str_keep(&md->call->arena, t->name);
	r->topic_id = t->id;
	r->is_internal = topic_is_internal(r->name);
	r->error_code = err_code(fill_parts(md, t, r));
	r->topic_authorized_operations =
	    q->include_topic_authorized_operations ? OPS_TOPIC : INT32_MIN;
}

static void
metadata_reply(struct metadata *md)
{
	if (md->starting || md->pending > 0)
		return;
	call_reply(md->call, &md->res);
	free(md->creations);
	free(md);
}

static void
created(struct topic_op *op, enum err e)
{
	struct creation *cr = op->arg;
	struct metadata *md = cr->md;
	struct metadata_res_topic *r = &md->res.topics.v[cr->at];

	if (e == E_OK)
		fill_topic(md, op->topic, r);
	else
		r->error_code = err_code(e);
	md->pending--;
	metadata_reply(md);
}

static void
auto_create(struct metadata *md, int32_t at, struct metadata_res_topic *r)
{
	struct engine *eng = md->call->eng;
	struct creation *cr = &md->creations[at];
	char why[WHY_SIZE];
	enum err e;

	e = topic_create_check(eng, r->name, (int32_t)eng->conf->num_partitions,
	    why, sizeof why);
	/* Somebody is creating it just now: ask again. */
	if (e == E_TOPIC_EXISTS)
		e = E_LEADER_NOT_AVAILABLE;
	if (e == E_OK) {
		*cr = (struct creation){ .md = md, .at = at };
		cr->op.done = created;
		cr->op.arg = cr;
		md->pending++;
		e = topic_create(eng, r->name,
		    (int32_t)eng->conf->num_partitions, NULL, &cr->op);
		if (e != E_OK)
			md->pending--;
	}
	r->error_code = err_code(e);
}

static void
metadata_topic(struct metadata *md, const struct metadata_req_topic *q,
    int32_t at)
{
	const struct metadata_req *req = md->call->req;
	struct engine *eng = md->call->eng;
	struct metadata_res_topic *r = &md->res.topics.v[at];
	int version = md->call->head.version;
	/* Java leaves the name empty beside an id. */
	bool by_id = q->name.len < 0 || !uuid_zero(q->topic_id);
	struct topic *t;

	r->topic_authorized_operations = INT32_MIN;
	r->topic_id = q->topic_id;
	r->name = q->name;
	if (q->name.len < 0 && version < 12)
		r->name = kstr_of("");
	if (version >= 10 && version < 12 && by_id) {
		r->error_code = err_code(E_INVALID_REQUEST);
		return;
	}
	t = by_id ? topic_find_id(&eng->topics, q->topic_id)
	    : topic_find(&eng->topics, q->name);
	if (!by_id)
		r->is_internal = topic_is_internal(q->name);
	if (t != NULL)
		fill_topic(md, t, r);
	else if (by_id)
		r->error_code = err_code(E_UNKNOWN_TOPIC_ID);
	else if (topic_name_check(q->name) != E_OK)
		r->error_code = err_code(E_INVALID_TOPIC);
	else if (req->allow_auto_topic_creation &&
	    eng->conf->auto_create_topics_enable &&
	    !topic_is_reserved(q->name))
		auto_create(md, at, r);
	else
		r->error_code = err_code(E_UNKNOWN_TOPIC);
}

static bool
named_before(const struct metadata_req *q, int32_t i)
{
	for (int32_t k = 0; k < i; k++)
		if (kstr_eq(q->topics.v[k].name, q->topics.v[i].name) &&
		    uuid_eq(q->topics.v[k].topic_id, q->topics.v[i].topic_id))
			return true;
	return false;
}

static void
metadata_all(struct metadata *md)
{
	struct topic *t = md->call->eng->topics.first;

	for (; t != NULL; t = t->next)
		if (t->state == TOPIC_LIVE)
			fill_topic(md, t,
			    &md->res.topics.v[md->res.topics.n++]);
}

void
handle_metadata(struct call *c)
{
	const struct metadata_req *q = c->req;
	bool all = q->topics.n < 0 || (q->topics.n == 0 &&
	    c->head.version == 0);
	size_t n = all ? c->eng->topics.n : (size_t)q->topics.n;
	struct metadata *md = calloc(1, sizeof *md);

	/* The answer of many partitions is larger than any request. */
	c->arena.limit += n * sizeof(struct metadata_res_topic) +
	    (all ? (size_t)c->eng->topics.nparts * 128 + n * 512 :
	    (size_t)256 * MIB);
	if (md != NULL) {
		md->call = c;
		md->res.topics.v = arena_array(&c->arena, n,
		    sizeof *md->res.topics.v);
		md->creations = calloc(n + 1, sizeof *md->creations);
	}
	if (md == NULL || md->res.topics.v == NULL || md->creations == NULL) {
		if (md != NULL)
			free(md->creations);
		free(md);
		call_bad(c, "out of memory");
		return;
	}
	md->res.cluster_id = kstr_of(c->eng->cluster_id);
	md->res.controller_id = (int32_t)c->eng->conf->node_id;
	md->res.cluster_authorized_operations =
	    q->include_cluster_authorized_operations ? OPS_CLUSTER : INT32_MIN;
	md->starting = true;
	if (all)
		metadata_all(md);
	for (int32_t i = 0; !all && i < q->topics.n; i++)
		if (q->topics.n > TWICE_MAX || !named_before(q, i))
			metadata_topic(md, &q->topics.v[i],
			    md->res.topics.n++);
	md->starting = false;
	metadata_reply(md);
}
