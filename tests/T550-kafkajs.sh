#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kafkajs: records of all kinds with every codec, and through restarts and
# kills; idempotent, and once more as it comes, where a record may come twice;
# and in a group.  It consumes in groups alone: librdkafka reads what it writes
# under faults.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/librdkafka.sh"
. "$clients/node.sh"
. "$clients/group.sh"
# Its producer cannot encode headers without a value.
driver_args=lacks=nullhdr
follower=librdkafka
broker_start --group-initial-rebalance-delay-ms 0
client_suite kafkajs none,gzip,snappy,lz4,zstd
[ -z "${CHRONIK_FAULTS:-}" ] || under_faults kafkajs librdkafka snappy least
[ -n "${CHRONIK_BOOTSTRAP:-}" ] || group_course kafkajs
