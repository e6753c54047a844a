/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's messages: one struct per row set of kafka.def (struct fetch_req,
 * struct fetch_req_topic, ...) and one id per message (KM_fetch_req).
 */
#ifndef KAFKA_H
#define KAFKA_H

#include "schema.h"

#include "rows_struct.h"
#include "kafka.def"

enum kmsg {
#define MESSAGE(n, ...)		KM_##n,
#include "kafka.def"
	KM_MAX
};
extern const struct msg kafka_msgs[KM_MAX];

/* API keys that somebody names in code; the rows hold all of them. */
enum kapi {
	API_PRODUCE = 0, API_FETCH = 1, API_LIST_OFFSETS = 2, API_METADATA = 3,
	API_OFFSET_COMMIT = 8, API_OFFSET_FETCH = 9, API_FIND_COORDINATOR = 10,
	API_JOIN_GROUP = 11, API_HEARTBEAT = 12, API_LEAVE_GROUP = 13,
	API_SYNC_GROUP = 14, API_DESCRIBE_GROUPS = 15, API_LIST_GROUPS = 16,
	API_VERSIONS = 18, API_CREATE_TOPICS = 19,
	API_DELETE_TOPICS = 20, API_DELETE_RECORDS = 21,
	API_INIT_PRODUCER_ID = 22, API_OFFSET_FOR_LEADER_EPOCH = 23,
	API_DESCRIBE_CONFIGS = 32, API_ALTER_CONFIGS = 33,
	API_DESCRIBE_LOG_DIRS = 35, API_CREATE_PARTITIONS = 37,
	API_DELETE_GROUPS = 42,
	API_ELECT_LEADERS = 43, API_INCREMENTAL_ALTER_CONFIGS = 44,
	API_ALTER_PARTITION_REASSIGNMENTS = 45,
	API_LIST_PARTITION_REASSIGNMENTS = 46, API_OFFSET_DELETE = 47,
	API_DESCRIBE_QUORUM = 55,
	API_UPDATE_FEATURES = 57, API_DESCRIBE_CLUSTER = 60,
	API_DESCRIBE_PRODUCERS = 61,
	API_CONSUMER_GROUP_HEARTBEAT = 68, API_CONSUMER_GROUP_DESCRIBE = 69,
	API_LIST_CONFIG_RESOURCES = 74,
	API_DESCRIBE_TOPIC_PARTITIONS = 75,
	API_SASL_HANDSHAKE = 17, API_SASL_AUTHENTICATE = 36,
	API_DESCRIBE_CLIENT_QUOTAS = 48, API_ALTER_CLIENT_QUOTAS = 49,
	API_DESCRIBE_USER_SCRAM = 50, API_ALTER_USER_SCRAM = 51,
	API_KEY_MAX = 128	/* keys are below */
};

/* The request and response of an API key; NULL when we have no rows. */
const struct msg *kafka_req(int key);
const struct msg *kafka_res(int key);
/* The header versions that go with a body version (protocol.md 1). */
int		 kafka_req_header(const struct msg *req, int v);
int		 kafka_res_header(const struct msg *res, int v);

#endif
