#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# confluent-kafka, which brings the newest librdkafka with it: records of all
# kinds with every codec, and through restarts and kills, and in a group.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/python.sh"
. "$clients/group.sh"
broker_start --group-initial-rebalance-delay-ms 0 \
    --group-consumer-min-heartbeat-interval-ms 300 \
    --group-consumer-heartbeat-interval-ms 300
client_suite confluent none,gzip,snappy,lz4,zstd
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
group_course confluent
group_course confluent assignor=cooperative-sticky
group_course confluent protocol=consumer
