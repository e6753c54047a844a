#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# franz-go with its defaults: records of all kinds with every codec, through
# restarts and kills, and in a group.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/go.sh"
. "$clients/group.sh"
broker_start --group-initial-rebalance-delay-ms 0 \
    --group-consumer-min-heartbeat-interval-ms 300 \
    --group-consumer-heartbeat-interval-ms 300
client_suite franz none,gzip,snappy,lz4,zstd
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
group_course franz
group_course franz protocol=consumer
