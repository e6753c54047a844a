/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what we serve, and the two steps that every api shares: the
 * client's bytes to a struct, a struct to the client's bytes.
 */
#include <string.h>

#include "api.h"
#include "conn.h"
#include "lib/ipc.h"
#include "lib/log.h"

#define RESPONSE_MAX	(256 * (size_t)MIB)

/* One that is decoded and handed on as it is, both ways. */
#define GENERIC(key, lo, hi, n, f, gone) \
	[key] = { #n, lo, hi, f, key, &kafka_msgs[KM_##n##_req], \
	    &kafka_msgs[KM_##n##_res], generic_send, generic_answer, gone },

static const struct api apis[API_KEY_MAX] = {
	[API_PRODUCE] = { "produce", 0, 13, F_APPEND | F_SMALL, IPC_APPEND,
	    &kafka_msgs[KM_produce_req], &kafka_msgs[KM_produce_res],
	    produce_send, produce_answer, produce_lost },
	[API_FETCH] = { "fetch", 0, 18, F_AGAIN | F_SMALL, API_FETCH,
	    &kafka_msgs[KM_fetch_req], &kafka_msgs[KM_fetch_res],
	    fetch_send, fetch_answer, NULL },
	GENERIC(API_LIST_OFFSETS, 0, 11, list_offsets, F_AGAIN, NULL)
	[API_METADATA] = { "metadata", 0, 13, F_AGAIN, API_METADATA,
	    &kafka_msgs[KM_metadata_req], &kafka_msgs[KM_metadata_res],
	    generic_send, metadata_answer, NULL },
	GENERIC(API_OFFSET_COMMIT, 0, 10, offset_commit, 0, NULL)
	GENERIC(API_OFFSET_FETCH, 0, 10, offset_fetch, F_AGAIN, NULL)
	[API_FIND_COORDINATOR] = { "find_coordinator", 0, 6, F_SMALL,
	    API_FIND_COORDINATOR, &kafka_msgs[KM_find_coordinator_req],
	    &kafka_msgs[KM_find_coordinator_res], coordinator_answer, NULL,
	    NULL },
	GENERIC(API_JOIN_GROUP, 0, 9, join_group, 0, NULL)
	GENERIC(API_HEARTBEAT, 0, 4, heartbeat, 0, NULL)
	GENERIC(API_LEAVE_GROUP, 0, 5, leave_group, 0, NULL)
	GENERIC(API_SYNC_GROUP, 0, 5, sync_group, 0, NULL)
	GENERIC(API_DESCRIBE_GROUPS, 0, 6, describe_groups, F_AGAIN, NULL)
	GENERIC(API_LIST_GROUPS, 0, 5, list_groups, F_AGAIN, NULL)
	[API_SASL_HANDSHAKE] = { "sasl_handshake", 0, 1, F_SMALL,
	    API_SASL_HANDSHAKE, &kafka_msgs[KM_sasl_handshake_req],
	    &kafka_msgs[KM_sasl_handshake_res], sasl_handshake, NULL, NULL },
	[API_VERSIONS] = { "api_versions", 0, 4, F_SMALL, API_VERSIONS,
	    &kafka_msgs[KM_api_versions_req], &kafka_msgs[KM_api_versions_res],
	    versions_answer, NULL, NULL },
	GENERIC(API_CREATE_TOPICS, 0, 7, create_topics, 0, create_topics_lost)
	GENERIC(API_DELETE_TOPICS, 0, 6, delete_topics, 0, delete_topics_lost)
	GENERIC(API_INIT_PRODUCER_ID, 0, 5, init_producer_id, 0,
	    init_producer_id_lost)
	GENERIC(API_DELETE_GROUPS, 0, 2, delete_groups, 0, NULL)
	GENERIC(API_OFFSET_DELETE, 0, 0, offset_delete, 0, NULL)
	[API_SASL_AUTHENTICATE] = { "sasl_authenticate", 0, 2,
	    F_AGAIN | F_ALONE | F_SMALL, IPC_AUTH,
	    &kafka_msgs[KM_sasl_authenticate_req],
	    &kafka_msgs[KM_sasl_authenticate_res], sasl_send, sasl_answer,
	    NULL },
	GENERIC(API_DESCRIBE_CLIENT_QUOTAS, 0, 1, describe_client_quotas,
	    F_AGAIN, NULL)
	GENERIC(API_ALTER_CLIENT_QUOTAS, 0, 1, alter_client_quotas, 0, NULL)
	GENERIC(API_DESCRIBE_USER_SCRAM, 0, 0, describe_user_scram_credentials,
	    F_AGAIN, NULL)
	GENERIC(API_ALTER_USER_SCRAM, 0, 0, alter_user_scram_credentials, 0,
	    NULL)
	GENERIC(API_OFFSET_FOR_LEADER_EPOCH, 0, 4, offset_for_leader_epoch,
	    F_AGAIN, NULL)
	[API_DESCRIBE_CLUSTER] = { "describe_cluster", 0, 2, F_AGAIN,
	    API_DESCRIBE_CLUSTER, &kafka_msgs[KM_describe_cluster_req],
	    &kafka_msgs[KM_describe_cluster_res], generic_send,
	    cluster_answer, NULL },
	[API_DESCRIBE_QUORUM] = { "describe_quorum", 0, 2, F_AGAIN,
	    API_DESCRIBE_QUORUM, &kafka_msgs[KM_describe_quorum_req],
	    &kafka_msgs[KM_describe_quorum_res], generic_send,
	    quorum_answer, NULL },
	/* With one node, these change nothing: they may be asked again. */
	GENERIC(API_ELECT_LEADERS, 0, 2, elect_leaders, F_AGAIN, NULL)
	GENERIC(API_ALTER_PARTITION_REASSIGNMENTS, 0, 1,
	    alter_partition_reassignments, F_AGAIN, NULL)
	GENERIC(API_LIST_PARTITION_REASSIGNMENTS, 0, 0,
	    list_partition_reassignments, F_AGAIN, NULL)
	GENERIC(API_UPDATE_FEATURES, 0, 2, update_features, F_AGAIN, NULL)
	GENERIC(API_DESCRIBE_LOG_DIRS, 0, 5, describe_log_dirs, F_AGAIN, NULL)
	GENERIC(API_DESCRIBE_PRODUCERS, 0, 0, describe_producers, F_AGAIN,
	    NULL)
	GENERIC(API_DESCRIBE_TOPIC_PARTITIONS, 0, 0,
	    describe_topic_partitions, F_AGAIN, NULL)
	GENERIC(API_DELETE_RECORDS, 0, 2, delete_records, 0,
	    delete_records_lost)
	GENERIC(API_CREATE_PARTITIONS, 0, 3, create_partitions, 0,
	    create_partitions_lost)
	GENERIC(API_DESCRIBE_CONFIGS, 0, 4, describe_configs, F_AGAIN, NULL)
	/* Once or twice makes no difference. */
	GENERIC(API_ALTER_CONFIGS, 0, 2, alter_configs, F_AGAIN, NULL)
	GENERIC(API_INCREMENTAL_ALTER_CONFIGS, 0, 1, incremental_alter_configs,
	    F_AGAIN, NULL)
	GENERIC(API_LIST_CONFIG_RESOURCES, 0, 1, list_config_resources,
	    F_AGAIN, NULL)
	GENERIC(API_CONSUMER_GROUP_HEARTBEAT, 0, 1, consumer_group_heartbeat,
	    0, NULL)
	GENERIC(API_CONSUMER_GROUP_DESCRIBE, 0, 1, consumer_group_describe,
	    F_AGAIN, NULL)
};

const struct api *
api_find(int key)
{
	if (key < 0 || key >= API_KEY_MAX || apis[key].name == NULL)
		return NULL;
	return &apis[key];
}

const struct api *
api_next(int *key)
{
	for (; *key < API_KEY_MAX; ++*key)
		if (apis[*key].name != NULL)
			return &apis[*key];
	return NULL;
}

void
arena_for_frame(struct arena *a, size_t n)
{
	arena_init(a, ARENA_BASE + ARENA_PER_BYTE * n);
}

/* Our own sibling's bytes may spread more; the frame's limit bounds them. */
void
arena_for_engine(struct arena *a, size_t n)
{
	arena_init(a, ARENA_BASE + 16 * n);
}

enum err
req_decode(const struct req *r, struct arena *a, void *out)
{
	struct rd rd = rd_of(r->frame + r->body, r->frame_len - r->body);

	/* Bytes after the body are ignored, as Kafka does. */
	return msg_read(r->api->req, r->version, &rd, a, out);
}

/* Most responses have a place for it, all in the same words. */
static void
throttle_put(const struct msg *m, const void *in, int32_t ms)
{
	for (const struct field *f = m->fields(); f->type != K_END; f++)
		if (f->type == K_I32 &&
		    strcmp(f->name, "throttle_time_ms") == 0)
			*(int32_t *)((uintptr_t)in + f->off) = ms;
}

enum err
req_encode(struct req *r, const struct msg *m, int version, const void *in)
{
	struct response_header h = { .correlation_id = r->correlation };
	struct wr w = wr_grow(RESPONSE_MAX);
	uint64_t len;
	enum err e;

	w.hole = r->out.hole;
	w.hole_max = r->out.hole_max;
	if (r->throttle_ms > 0)
		throttle_put(m, in, r->throttle_ms);
	(void)wr_room(&w, 4);
	e = msg_write(&kafka_msgs[KM_response_header],
	    kafka_res_header(m, version), &w, &h);
	if (e == E_OK)
		e = msg_write(m, version, &w, in);
	len = w.len - 4;
	for (int i = 0; i < r->next; i++)
		len += (uint64_t)r->ext[i].left;
	if (e == E_OK && len > INT32_MAX)
		e = E_TOO_LARGE;
	if (e != E_OK) {
		wr_free(&w);
		return e;
	}
	be32_put(w.p, (uint32_t)len);
	r->out = w;
	return E_OK;
}
