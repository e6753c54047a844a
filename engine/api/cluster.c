/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node as a cluster: DescribeCluster, DescribeQuorum, UpdateFeatures.
 * Where clients can reach it is the gateway's to add.
 */
#include <stdio.h>

#include "admin.h"
#include "lib/features.h"

/* ---- DescribeCluster --------------------------------------------------- */

enum { ENDPOINT_BROKER = 1, ENDPOINT_CONTROLLER = 2 };

void
handle_describe_cluster(struct call *c)
{
	const struct describe_cluster_req *q = c->req;
	struct describe_cluster_res res = { .endpoint_type = ENDPOINT_BROKER,
	    .error_message = kstr_of(NULL), .cluster_id = kstr_of(""),
	    .controller_id = -1, .cluster_authorized_operations = INT32_MIN };
	char why[WHY_SIZE];
	enum err e = E_OK;

	if (q->endpoint_type == ENDPOINT_CONTROLLER) {
		e = E_MISMATCHED_ENDPOINT;
		snprintf(why, sizeof why, "a broker listens here, and a "
		    "controller was asked for");
	} else if (q->endpoint_type != ENDPOINT_BROKER) {
		e = E_UNSUPPORTED_ENDPOINT;
		snprintf(why, sizeof why, "there is no endpoint type %d",
		    q->endpoint_type);
	}
	if (e != E_OK) {
		res.error_code = err_code(e);
		res.error_message = kstr_of(why);
	} else {
		res.cluster_id = kstr_of(c->eng->cluster_id);
		res.controller_id = (int32_t)c->eng->conf->node_id;
		if (q->include_cluster_authorized_operations)
			res.cluster_authorized_operations = OPS_CLUSTER;
	}
	call_reply(c, &res);
}

/* ---- DescribeQuorum ---------------------------------------------------- */

#define QUORUM_TOPIC "__cluster_metadata"

/* Any other partition than the one of the catalogue. */
static enum err
quorum_unknown(struct call *c, struct describe_quorum_res *res)
{
	const struct describe_quorum_req *q = c->req;

	res->topics.n = q->topics.n;
	res->topics.v = arena_array(&c->arena, (size_t)q->topics.n,
	    sizeof *res->topics.v);
	if (res->topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct describe_quorum_res_topic *t = &res->topics.v[i];
		int32_t n = q->topics.v[i].partitions.n;

		t->topic_name = q->topics.v[i].topic_name;
		t->partitions.n = n;
		t->partitions.v = arena_array(&c->arena, (size_t)n,
		    sizeof *t->partitions.v);
		if (t->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t k = 0; k < n; k++)
			t->partitions.v[k] =
			    (struct describe_quorum_res_topic_part){
			    .partition_index = q->topics.v[i].partitions.v[k]
			    .partition_index,
			    .error_code = err_code(E_UNKNOWN_TOPIC),
			    .error_message = kstr_of(
			    err_text(E_UNKNOWN_TOPIC)) };
	}
	return E_OK;
}

/* The catalogue takes the place of the metadata log, with this node as its only
 * voter. */
void
handle_describe_quorum(struct call *c)
{
	const struct describe_quorum_req *q = c->req;
	const struct part *log = c->eng->meta.part;
	int64_t now = wall_ms();
	struct describe_quorum_res res = { .error_message = kstr_of(NULL) };
	struct describe_quorum_res_replica_state voter = {
	    .replica_id = (int32_t)c->eng->conf->node_id,
	    .log_end_offset = part_written(log), .last_fetch_timestamp = now,
	    .last_caught_up_timestamp = now };
	struct describe_quorum_res_topic_part p = {
	    .error_message = kstr_of(NULL),
	    .leader_id = (int32_t)c->eng->conf->node_id,
	    .leader_epoch = c->eng->epoch, .high_watermark = log->hw,
	    .current_voters = { 1, &voter } };
	struct describe_quorum_res_topic t = {
	    .topic_name = kstr_of(QUORUM_TOPIC), .partitions = { 1, &p } };

	if (q->topics.n == 1 && q->topics.v[0].partitions.n == 1 &&
	    kstr_eq(q->topics.v[0].topic_name, t.topic_name) &&
	    q->topics.v[0].partitions.v[0].partition_index == 0) {
		res.topics.n = 1;
		res.topics.v = &t;
	} else if (quorum_unknown(c, &res) != E_OK) {
		call_bad(c, "out of memory");
		return;
	}
	call_reply(c, &res);
}

/* ---- UpdateFeatures ---------------------------------------------------- */

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

static const struct feature *
feature_find(struct kstr name)
{
	for (int i = 0; i < FEATURES_N; i++)
		if (kstr_eq(name, kstr_of(features[i].name)) &&
		    (features[i].api < 0 || serve_knows(features[i].api)))
			return &features[i];
	return NULL;
}

static enum err
feature_judge(const struct update_features_req_feature_update *u, int type,
    char *why)
{
	const struct feature *f = feature_find(u->feature);
	int n = snprintf(why, WHY_SIZE, "feature %.*s cannot be set to level "
	    "%d: ", u->feature.len > 100 ? 100 : (int)u->feature.len,
	    u->feature.p, u->max_version_level);

	if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
		snprintf(why + n, (size_t)(WHY_SIZE - n), "there is no upgrade "
		    "type %d", type);
	else if (u->max_version_level < 0)
		snprintf(why + n, (size_t)(WHY_SIZE - n), "a level is not "
		    "negative");
	else if (f == NULL)
		snprintf(why + n, (size_t)(WHY_SIZE - n), "it is not known "
		    "here");
	else if (u->max_version_level != f->level)
		snprintf(why + n, (size_t)(WHY_SIZE - n), "this release "
		    "supports level %d only", f->level);
	else
		return E_OK;
	return E_INVALID_UPDATE_VERSION;
}

/* All or nothing; and since a feature has one level, nothing ever changes. */
void
handle_update_features(struct call *c)
{
	const struct update_features_req *q = c->req;
	int32_t n = q->feature_updates.n;
	struct update_features_res res = { .error_message = kstr_of(NULL) };
	char why[WHY_SIZE];
	enum err e = E_OK;

	for (int32_t i = 0; i < n && e == E_OK; i++) {
		const struct update_features_req_feature_update *u =
		    &q->feature_updates.v[i];
		int type = c->head.version > 0 ? u->upgrade_type :
		    u->allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;

		e = feature_judge(u, type, why);
	}
	if (e == E_OK && c->head.version <= 1) {
		res.results.v = arena_array(&c->arena, (size_t)n,
		    sizeof *res.results.v);
		if (res.results.v == NULL) {
			call_bad(c, "out of memory");
			return;
		}
		for (int32_t i = 0; i < n; i++)
			res.results.v[res.results.n++] =
			    (struct update_features_res_result){
			    .feature = q->feature_updates.v[i].feature,
			    .error_message = kstr_of(NULL) };
	}
	if (e != E_OK) {
		res.error_code = err_code(e);
		res.error_message = kstr_of(why);
	}
	call_reply(c, &res);
}
