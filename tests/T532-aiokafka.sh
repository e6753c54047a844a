#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# aiokafka, idempotent: records of all kinds with every codec, through
# restarts and kills, and in a group.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/python.sh"
. "$clients/group.sh"
# Its producer refuses headers without a value.
driver_args=lacks=nullhdr,nullboth
broker_start --group-initial-rebalance-delay-ms 0
client_suite aiokafka none,gzip,snappy,lz4,zstd
[ -n "${CHRONIK_BOOTSTRAP:-}" ] || group_course aiokafka
