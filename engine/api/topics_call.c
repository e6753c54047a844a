/* SPDX-License-Identifier: Apache-2.0 */
/* CreateTopics, DeleteTopics, CreatePartitions (protocol.md 3.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs_call.h"

static const char why_twice[] = "the name stands more than once in the "
    "request";

/* How many of n rows that are so large have the name; first: that of the
 * first one. */
static int
named(const struct kstr *first, size_t size, int32_t n, struct kstr name)
{
	const char *at = (const char *)first;
	int found = 0;

	for (int32_t i = 0; i < n; i++, at += size)
		found += kstr_eq(*(const struct kstr *)(const void *)at, name);
	return found;
}
#define NAMED(rows, name_)	named(&(rows).v->name, sizeof *(rows).v, \
	(rows).n, name_)

/* ---- CreateTopics ------------------------------------------------------ */

struct creating {
	struct call	*call;
	struct create_topics_res res;
	int		 pending;
	bool		 starting;
	struct creating_one {
		struct topic_op	 op;
		struct creating *all;
		int32_t		 at;
	} *ones;
};

static void
create_reply(struct creating *cr)
{
	if (cr->starting || cr->pending > 0)
		return;
	call_reply(cr->call, &cr->res);
	free(cr->ones);
	free(cr);
}

static void
create_error(struct creating *cr, struct create_topics_res_topic *r,
    enum err e, const char *why)
{
	r->error_code = err_code(e);
	r->error_message = str_keep(&cr->call->arena,
	    why != NULL && why[0] != '\0' ? why : err_text(e));
	r->num_partitions = -1;
	r->replication_factor = -1;
	r->configs.n = -1;
	r->topic_config_error_code = 0;
}

static void
create_done(struct topic_op *op, enum err e)
{
	static const struct conf_set none;
	struct creating_one *one = op->arg;
	struct creating *cr = one->all;
	struct create_topics_res_topic *r = &cr->res.topics.v[one->at];

	if (e == E_OK) {
		r->topic_id = op->topic->id;
		configs_warn(&op->topic->own.set, &none);
	} else
		create_error(cr, r, e, NULL);
	cr->pending--;
	create_reply(cr);
}

/* Manual assignments: every partition once, on this node alone. */
static enum err
check_assignments(struct call *c, const struct create_topics_req_topic *q,
    char *why)
{
	int32_t n = q->assignments.n;
	bool *seen;

	if (q->num_partitions != -1 || q->replication_factor != -1) {
		snprintf(why, WHY_SIZE, "with replica assignments, partitions "
		    "and replication factor must be -1");
		return E_INVALID_REQUEST;
	}
	if (n > PARTS_PER_TOPIC_MAX ||
	    (seen = arena_array(&c->arena, (size_t)n, sizeof *seen)) == NULL) {
		snprintf(why, WHY_SIZE, "a topic has at most %d partitions",
		    PARTS_PER_TOPIC_MAX);
		return E_INVALID_PARTITIONS;
	}
	for (int32_t i = 0; i < n; i++) {
		const struct create_topics_req_topic_assignment *a =
		    &q->assignments.v[i];

		if (a->broker_ids.n != 1 || a->broker_ids.v[0] !=
		    (int32_t)c->eng->conf->node_id) {
			snprintf(why, WHY_SIZE, "partition %d must be "
			    "assigned to broker %d alone",
			    (int)a->partition_index,
			    (int)c->eng->conf->node_id);
			return E_INVALID_REPLICA_ASSIGNMENT;
		}
		if (a->partition_index < 0 || a->partition_index >= n ||
		    seen[a->partition_index]) {
			snprintf(why, WHY_SIZE, "partitions must be numbered "
			    "from 0 without gaps");
			return E_INVALID_REPLICA_ASSIGNMENT;
		}
		seen[a->partition_index] = true;
	}
	return E_OK;
}

static enum err
check_counts(struct call *c, const struct create_topics_req_topic *q,
    int32_t *nparts, char *why)
{
	bool defaults = c->head.version >= 4;

	if (q->assignments.n > 0) {
		*nparts = q->assignments.n;
		return check_assignments(c, q, why);
	}
	/* As Kafka: what no cluster can do, then what this one cannot. */
	if (q->replication_factor < (defaults ? -1 : 1) ||
	    q->replication_factor == 0) {
		snprintf(why, WHY_SIZE, "replication factor must be at least "
		    "1%s", defaults ? ", or -1 for the default" : "");
		return E_INVALID_REPLICATION_FACTOR;
	}
	*nparts = q->num_partitions == -1 && defaults
	    ? (int32_t)c->eng->conf->num_partitions : q->num_partitions;
	if (*nparts < 1) {
		snprintf(why, WHY_SIZE, "number of partitions must be at "
		    "least 1%s", defaults ? ", or -1 for the default" : "");
		return E_INVALID_PARTITIONS;
	}
	if (q->replication_factor <= 1)
		return E_OK;
	snprintf(why, WHY_SIZE, "replication factor must be 1%s: there is "
	    "one broker", defaults ? " or -1" : "");
	return E_INVALID_REPLICATION_FACTOR;
}

static enum err
read_configs(const struct engine *eng,
    const struct create_topics_req_topic *q, struct conf_set *own, char *why)
{
	struct topic_conf tc = eng->configs.topics;
	enum err e = E_OK;

	for (int32_t i = 0; i < q->configs.n && e == E_OK; i++) {
		const struct create_topics_req_topic_config *kv =
		    &q->configs.v[i];

		if (kv->value.len < 0) {
			snprintf(why, WHY_SIZE, "the value of a config is "
			    "null");
			return E_INVALID_CONFIG;
		}
		/* Own names only: there are no more than rows of them. */
		for (int k = 0; k < own->n; k++)
			if (kstr_eq(kv->name, kstr_of(own->v[k].name))) {
				snprintf(why, WHY_SIZE, "a config is named "
				    "twice");
				return E_INVALID_CONFIG;
			}
		e = topic_conf_put(own, kv->name, kv->value, why, WHY_SIZE);
	}
	if (e != E_OK)
		return e;
	topic_conf_own(&tc, own);
	return topic_conf_check(&tc, why, WHY_SIZE);
}

/* The configs as CreateTopics v5+ shows them. */
static void
show_configs(struct creating *cr, const struct conf_set *own,
    struct create_topics_res_topic *r)
{
	const struct topic_row *row;

	r->configs.n = -1;
	r->configs.v = arena_array(&cr->call->arena, CONF_TOPICS,
	    sizeof *r->configs.v);
	if (r->configs.v == NULL)
		return;
	r->configs.n = CONF_TOPICS;
	for (int i = 0; (row = topic_row(i)) != NULL; i++) {
		enum config_source src;
		const char *v = topic_config_value(cr->call->eng, own, row,
		    &src);

		r->configs.v[i] = (struct create_topics_res_topic_config){
		    .name = kstr_of(row->name),
		    .value = str_keep(&cr->call->arena, v),
		    .config_source = (int8_t)src };
	}
}

static void
create_one(struct creating *cr, const struct create_topics_req_topic *q,
    int32_t at)
{
	const struct create_topics_req *req = cr->call->req;
	struct create_topics_res_topic *r = &cr->res.topics.v[at];
	struct creating_one *one = &cr->ones[at];
	char why[WHY_SIZE] = "";
	struct conf_set own = { 0 };
	int32_t nparts = 1;
	enum err e;

	r->name = q->name;
	r->error_message.len = -1;
	e = topic_create_check(cr->call->eng, q->name, 1, why, sizeof why);
	if (e == E_OK)
		e = check_counts(cr->call, q, &nparts, why);
	if (e == E_OK)
		e = topic_create_check(cr->call->eng, q->name, nparts, why,
		    sizeof why);
	if (e == E_OK)
		e = read_configs(cr->call->eng, q, &own, why);
	if (e == E_OK)
		e = throttle_mutate(cr->call, nparts,
		    cr->call->head.version >= 6);
	if (e == E_OK && !req->validate_only) {
		*one = (struct creating_one){ .all = cr, .at = at };
		one->op.done = create_done;
		one->op.arg = one;
		cr->pending++;
		e = topic_create(cr->call->eng, q->name, nparts, &own,
		    &one->op);
		if (e != E_OK)
			cr->pending--;
	}
	if (e != E_OK)
		create_error(cr, r, e, why);
	else {
		r->num_partitions = nparts;
		r->replication_factor = 1;
		show_configs(cr, &own, r);
	}
	conf_set_free(&own);
}

void
handle_create_topics(struct call *c)
{
	const struct create_topics_req *q = c->req;
	struct creating *cr = calloc(1, sizeof *cr);

	c->arena.limit += (size_t)64 * MIB;
	if (cr != NULL) {
		cr->call = c;
		cr->res.topics.v = arena_array(&c->arena, (size_t)q->topics.n,
		    sizeof *cr->res.topics.v);
		cr->ones = calloc((size_t)q->topics.n + 1, sizeof *cr->ones);
	}
	if (cr == NULL || cr->res.topics.v == NULL || cr->ones == NULL) {
		if (cr != NULL)
			free(cr->ones);
		free(cr);
		call_bad(c, "out of memory");
		return;
	}
	cr->starting = true;
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct create_topics_req_topic *qt = &q->topics.v[i];
		int32_t at = cr->res.topics.n;

		/* In a long list the second one finds that it exists; a name
		 * that stands more than once gets one row. */
		bool twice = q->topics.n <= TWICE_MAX && NAMED(q->topics,
		    qt->name) > 1;

		if (twice && NAMED(cr->res.topics, qt->name) > 0)
			continue;
		cr->res.topics.n++;
		cr->res.topics.v[at].name = qt->name;
		if (twice)
			create_error(cr, &cr->res.topics.v[at],
			    E_INVALID_REQUEST, why_twice);
		else
			create_one(cr, qt, at);
	}
	cr->starting = false;
	create_reply(cr);
}

/* ---- DeleteTopics ------------------------------------------------------ */

struct deleting {
	struct call	*call;
	struct delete_topics_res res;
	int		 pending;
	bool		 starting;
	struct deleting_one {
		struct topic_op	 op;
		struct deleting	*all;
		int32_t		 at;
	} *ones;
};

static void
delete_reply(struct deleting *d)
{
	if (d->starting || d->pending > 0)
		return;
	call_reply(d->call, &d->res);
	free(d->ones);
	free(d);
}

static void
delete_error(struct delete_topics_res_topic *r, enum err e, const char *why)
{
	r->error_code = err_code(e);
	r->error_message.len = -1;
	if (e != E_OK)
		r->error_message = kstr_of(why != NULL ? why : err_text(e));
}

static void
delete_done(struct topic_op *op, enum err e)
{
	struct deleting_one *one = op->arg;
	struct deleting *d = one->all;

	delete_error(&d->res.responses.v[one->at], e, NULL);
	d->pending--;
	delete_reply(d);
}

static bool
names_same(struct engine *eng, struct kstr name, struct uuid id,
    struct kstr name2, struct uuid id2, const struct topic *t)
{
	if (name.len >= 0 && name2.len >= 0)
		return kstr_eq(name, name2);
	if (name.len < 0 && name2.len < 0)
		return uuid_eq(id, id2);
	return t != NULL && t == (name2.len >= 0
	    ? topic_find(&eng->topics, name2)
	    : topic_find_id(&eng->topics, id2));
}

/* A topic that stands more than once, by name or id, is not deleted. */
static bool
deleted_twice(const struct deleting *d, struct kstr name, struct uuid id,
    const struct topic *t)
{
	static const struct uuid none;
	const struct delete_topics_req *q = d->call->req;
	struct engine *eng = d->call->eng;
	int n = 0;

	/* In a long list the second one finds that it is gone. */
	if (d->res.responses.n > TWICE_MAX)
		return false;
	for (int32_t i = 0; i < q->topic_names.n; i++)
		n += names_same(eng, name, id, q->topic_names.v[i], none, t);
	for (int32_t i = 0; i < q->topics.n; i++)
		n += names_same(eng, name, id, q->topics.v[i].name,
		    q->topics.v[i].topic_id, t);
	return n > 1;
}

static void
delete_one(struct deleting *d, struct kstr name, struct uuid id, int32_t at)
{
	struct engine *eng = d->call->eng;
	struct delete_topics_res_topic *r = &d->res.responses.v[at];
	struct deleting_one *one = &d->ones[at];
	bool by_id = name.len < 0;
	const char *why = NULL;
	struct topic *t;
	enum err e = E_OK;

	t = by_id ? topic_find_id(&eng->topics, id)
	    : topic_find(&eng->topics, name);
	r->name = name;
	r->topic_id = id;
	if (!eng->conf->delete_topic_enable) {
		why = err_text(E_TOPIC_DELETION_DISABLED);
		e = d->call->head.version >= 3 ? E_TOPIC_DELETION_DISABLED
		    : E_INVALID_REQUEST;
	} else if (by_id && uuid_zero(id))
		why = "neither a name nor an id is given";
	else if (!by_id && !uuid_zero(id))
		why = "a name and an id are given: one of them is enough";
	else if (deleted_twice(d, name, id, t))
		why = "the topic stands more than once in the request";
	if (why != NULL && e == E_OK)
		e = E_INVALID_REQUEST;
	else if (e == E_OK && t == NULL)
		e = by_id ? E_UNKNOWN_TOPIC_ID : E_UNKNOWN_TOPIC;
	if (t != NULL && e == E_OK)
		e = throttle_mutate(d->call, t->nparts,
		    d->call->head.version >= 5);
	if (t != NULL && e == E_OK) {
		r->name = str_keep(&d->call->arena, t->name);
		r->topic_id = t->id;
		*one = (struct deleting_one){ .all = d, .at = at };
		one->op.done = delete_done;
		one->op.arg = one;
		d->pending++;
		e = topic_delete(t, &one->op);
		if (e != E_OK)
			d->pending--;
	}
	delete_error(r, e, why);
}

void
handle_delete_topics(struct call *c)
{
	const struct delete_topics_req *q = c->req;
	int32_t nnames = q->topic_names.n > 0 ? q->topic_names.n : 0;
	int32_t ntopics = q->topics.n > 0 ? q->topics.n : 0;
	size_t n = (size_t)nnames + (size_t)ntopics;
	struct deleting *d = calloc(1, sizeof *d);

	if (d != NULL) {
		d->call = c;
		d->res.responses.v = arena_array(&c->arena, n,
		    sizeof *d->res.responses.v);
		d->ones = calloc(n + 1, sizeof *d->ones);
	}
	if (d == NULL || d->res.responses.v == NULL || d->ones == NULL) {
		if (d != NULL)
			free(d->ones);
		free(d);
		call_bad(c, "out of memory");
		return;
	}
	d->starting = true;
	d->res.responses.n = (int32_t)n;
	for (int32_t i = 0; i < nnames; i++)
		delete_one(d, q->topic_names.v[i], (struct uuid){ { 0 } }, i);
	for (int32_t i = 0; i < ntopics; i++)
		delete_one(d, q->topics.v[i].name, q->topics.v[i].topic_id,
		    nnames + i);
	d->starting = false;
	delete_reply(d);
}

/* ---- CreatePartitions -------------------------------------------------- */

struct growing {
	struct call	*call;
	struct create_partitions_res res;
	int		 pending;
	bool		 starting;
	struct growing_one {
		struct topic_op	 op;
		struct growing	*all;
		int32_t		 at;
	} *ones;
};

static void
grow_reply(struct growing *g)
{
	if (g->starting || g->pending > 0)
		return;
	call_reply(g->call, &g->res);
	free(g->ones);
	free(g);
}

static void
grow_error(struct growing *g, int32_t at, enum err e, const char *why)
{
	struct create_partitions_res_result *r = &g->res.results.v[at];

	r->error_code = err_code(e);
	r->error_message.len = -1;
	if (e != E_OK)
		r->error_message = str_keep(&g->call->arena,
		    why != NULL && why[0] != '\0' ? why : err_text(e));
}

static void
grow_done(struct topic_op *op, enum err e)
{
	struct growing_one *one = op->arg;
	struct growing *g = one->all;

	grow_error(g, one->at, e, NULL);
	g->pending--;
	grow_reply(g);
}

/* Replicas for the new partitions: each on this node alone. */
static enum err
grow_assignments(struct call *c, const struct create_partitions_req_topic *q,
    int32_t more, char *why)
{
	int32_t me = (int32_t)c->eng->conf->node_id;

	if (q->assignments.n < 0)
		return E_OK;
	if (q->assignments.n != more) {
		snprintf(why, WHY_SIZE, "%d partitions are to be added, but "
		    "assignments are given for %d", (int)more,
		    (int)q->assignments.n);
		return E_INVALID_REPLICA_ASSIGNMENT;
	}
	for (int32_t i = 0; i < more; i++) {
		const struct create_partitions_req_topic_assignment *a =
		    &q->assignments.v[i];

		if (a->broker_ids.n != 1 || a->broker_ids.v[0] != me) {
			snprintf(why, WHY_SIZE, "new partition %d of %d must "
			    "be assigned to broker %d alone", (int)i + 1,
			    (int)more, (int)me);
			return E_INVALID_REPLICA_ASSIGNMENT;
		}
	}
	return E_OK;
}

static void
grow_one(struct growing *g, const struct create_partitions_req_topic *q,
    int32_t at)
{
	const struct create_partitions_req *req = g->call->req;
	struct topic *t = topic_find(&g->call->eng->topics, q->name);
	struct growing_one *one = &g->ones[at];
	char why[WHY_SIZE] = "";
	enum err e = E_UNKNOWN_TOPIC;

	if (t != NULL)
		e = topic_grow_check(t, q->count, why, sizeof why);
	if (e == E_OK)
		e = grow_assignments(g->call, q, q->count - t->nparts, why);
	if (e == E_OK)
		e = throttle_mutate(g->call, q->count - t->nparts,
		    g->call->head.version >= 3);
	if (e == E_OK && !req->validate_only) {
		*one = (struct growing_one){ .all = g, .at = at };
		one->op.done = grow_done;
		one->op.arg = one;
		g->pending++;
		e = topic_grow(t, q->count, &one->op);
		if (e != E_OK)
			g->pending--;
	}
	grow_error(g, at, e, why);
}

void
handle_create_partitions(struct call *c)
{
	const struct create_partitions_req *q = c->req;
	struct growing *g = calloc(1, sizeof *g);

	if (g != NULL) {
		g->call = c;
		g->res.results.v = arena_array(&c->arena, (size_t)q->topics.n,
		    sizeof *g->res.results.v);
		g->ones = calloc((size_t)q->topics.n + 1, sizeof *g->ones);
	}
	if (g == NULL || g->res.results.v == NULL || g->ones == NULL) {
		if (g != NULL)
			free(g->ones);
		free(g);
		call_bad(c, "out of memory");
		return;
	}
	g->starting = true;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct kstr name = q->topics.v[i].name;
		bool twice = q->topics.n <= TWICE_MAX && NAMED(q->topics,
		    name) > 1;
		int32_t at = g->res.results.n;

		if (twice && NAMED(g->res.results, name) > 0)
			continue;
		g->res.results.n++;
		g->res.results.v[at].name = name;
		if (twice)
			grow_error(g, at, E_INVALID_REQUEST, why_twice);
		else
			grow_one(g, &q->topics.v[i], at);
	}
	g->starting = false;
	grow_reply(g);
}
