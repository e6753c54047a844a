/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments: what
 * is true of replicas where each partition has one, here.
 */
#include <stdio.h>

#include "admin.h"

/* ---- ElectLeaders ------------------------------------------------------ */

enum { PREFERRED = 0, UNCLEAN = 1 };

typedef struct elect_leaders_res_replica_election_result elect_topic;
typedef struct elect_leaders_res_replica_election_result_partition_result
    elect_part;

static enum err
elect_one(const struct topic *t, int32_t index, int type)
{
	const struct part *p;

	if (t == NULL || index < 0 || index >= t->nparts)
		return E_UNKNOWN_TOPIC;
	p = t->parts[index];
	if (p->state == PART_ONLINE || p->state == PART_FENCED)
		return E_ELECTION_NOT_NEEDED;
	return type == PREFERRED ? E_PREFERRED_LEADER_NOT_AVAILABLE
	    : E_ELIGIBLE_LEADERS_NOT_AVAILABLE;
}

static elect_part
elect_row(int32_t index, enum err e)
{
	return (elect_part){ .partition_id = index,
	    .error_code = err_code(e), .error_message = kstr_of(err_text(e)) };
}

/* All partitions: those that have their leader are left out. */
static enum err
elect_all(struct call *c, int type, struct elect_leaders_res *res)
{
	struct topics *ts = &c->eng->topics;

	res->replica_election_results.v = arena_array(&c->arena, ts->n,
	    sizeof(elect_topic));
	if (res->replica_election_results.v == NULL)
		return E_NOMEM;
	for (struct topic *t = ts->first; t != NULL; t = t->next) {
		elect_topic *r = &res->replica_election_results.v[
		    res->replica_election_results.n];
		int32_t n = 0;

		for (int32_t i = 0; t->state == TOPIC_LIVE && i < t->nparts;
		    i++)
			n += elect_one(t, i, type) != E_ELECTION_NOT_NEEDED;
		if (n == 0)
			continue;
		r->topic = str_keep(&c->arena, t->name);
		r->partition_result.n = 0;
		r->partition_result.v = arena_array(&c->arena, (size_t)n,
		    sizeof(elect_part));
		if (r->partition_result.v == NULL)
			return E_NOMEM;
		for (int32_t i = 0; i < t->nparts; i++) {
			enum err e = elect_one(t, i, type);

			if (e != E_ELECTION_NOT_NEEDED)
				r->partition_result.v[
				    r->partition_result.n++] =
				    elect_row(i, e);
		}
		res->replica_election_results.n++;
	}
	return E_OK;
}

static enum err
elect_some(struct call *c, int type, enum err all,
    struct elect_leaders_res *res)
{
	const struct elect_leaders_req *q = c->req;

	res->replica_election_results.n = q->topic_partitions.n;
	res->replica_election_results.v = arena_array(&c->arena,
	    (size_t)q->topic_partitions.n, sizeof(elect_topic));
	if (res->replica_election_results.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topic_partitions.n; i++) {
		const struct elect_leaders_req_topic_partition *qt =
		    &q->topic_partitions.v[i];
		elect_topic *r = &res->replica_election_results.v[i];
		struct topic *t = topic_find(&c->eng->topics, qt->topic);

		r->topic = qt->topic;
		r->partition_result.n = qt->partitions.n;
		r->partition_result.v = arena_array(&c->arena,
		    (size_t)qt->partitions.n, sizeof(elect_part));
		if (r->partition_result.v == NULL)
			return E_NOMEM;
		for (int32_t k = 0; k < qt->partitions.n; k++)
			r->partition_result.v[k] = elect_row(
			    qt->partitions.v[k], all != E_OK ? all :
			    elect_one(t, qt->partitions.v[k], type));
	}
	return E_OK;
}

void
handle_elect_leaders(struct call *c)
{
	const struct elect_leaders_req *q = c->req;
	struct elect_leaders_res res = { 0 };
	int type = c->head.version == 0 ? PREFERRED : q->election_type;
	enum err all = type == PREFERRED || type == UNCLEAN ? E_OK
	    : E_INVALID_REQUEST;
	enum err e = E_OK;

	res.error_code = err_code(all);
	c->arena.limit += (size_t)64 * MIB;
	if (q->topic_partitions.n >= 0)
		e = elect_some(c, type, all, &res);
	else if (all == E_OK)
		e = elect_all(c, type, &res);
	if (e != E_OK)
		call_bad(c, "out of memory");
	else
		call_reply(c, &res);
}

/* ---- reassignments ----------------------------------------------------- */

typedef struct alter_partition_reassignments_res_response moved_topic;
typedef struct alter_partition_reassignments_res_response_part moved_part;

/* Where a partition is, it may stay. */
static enum err
move_check(const struct call *c, const struct topic *t,
    const struct alter_partition_reassignments_req_topic_part *q,
    const char **why)
{
	int32_t me = (int32_t)c->eng->conf->node_id;

	*why = NULL;
	if (t == NULL || q->partition_index < 0 ||
	    q->partition_index >= t->nparts)
		return E_UNKNOWN_TOPIC;
	if (q->replicas.n < 0)
		return E_NO_REASSIGNMENT;
	if (q->replicas.n == 0)
		*why = "the list of replicas is empty";
	for (int32_t i = 0; i < q->replicas.n && *why == NULL; i++)
		if (q->replicas.v[i] != me)
			*why = "there is no broker but this one";
	if (*why == NULL && q->replicas.n > 1)
		*why = "a broker is named more than once";
	return *why == NULL ? E_OK : E_INVALID_REPLICA_ASSIGNMENT;
}

void
handle_alter_partition_reassignments(struct call *c)
{
	const struct alter_partition_reassignments_req *q = c->req;
	struct alter_partition_reassignments_res res = {
	    .allow_replication_factor_change =
	    q->allow_replication_factor_change,
	    .error_message = kstr_of(NULL) };
	int32_t n = q->topics.n;

	res.responses.v = arena_array(&c->arena, (size_t)n,
	    sizeof(moved_topic));
	for (; res.responses.v != NULL && res.responses.n < n;
	    res.responses.n++) {
		const struct alter_partition_reassignments_req_topic *qt =
		    &q->topics.v[res.responses.n];
		moved_topic *r = &res.responses.v[res.responses.n];
		struct topic *t = topic_find(&c->eng->topics, qt->name);

		r->name = qt->name;
		r->partitions.n = qt->partitions.n;
		r->partitions.v = arena_array(&c->arena,
		    (size_t)qt->partitions.n, sizeof(moved_part));
		if (r->partitions.v == NULL)
			break;
		for (int32_t k = 0; k < qt->partitions.n; k++) {
			const char *why;
			enum err e = move_check(c, t, &qt->partitions.v[k],
			    &why);

			r->partitions.v[k] = (moved_part){
			    qt->partitions.v[k].partition_index, err_code(e),
			    kstr_of(e == E_OK ? NULL : why != NULL ? why
			    : err_text(e)) };
		}
	}
	if (res.responses.n < n)
		call_bad(c, "out of memory");
	else
		call_reply(c, &res);
}

/* None is ever in progress. */
void
handle_list_partition_reassignments(struct call *c)
{
	struct list_partition_reassignments_res res = {
	    .error_message = kstr_of(NULL) };

	call_reply(c, &res);
}
