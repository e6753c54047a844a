#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sarama: records of all kinds with every codec, and through restarts and
# kills; idempotent, and once more as it comes, where a record may come twice;
# and in a group.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/go.sh"
. "$clients/group.sh"
broker_start --group-initial-rebalance-delay-ms 0
client_suite sarama none,gzip,snappy,lz4,zstd
[ -z "${CHRONIK_FAULTS:-}" ] || under_faults sarama sarama snappy least
[ -n "${CHRONIK_BOOTSTRAP:-}" ] || group_course sarama
