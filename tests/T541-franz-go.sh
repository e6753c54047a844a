#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# franz-go with its defaults: records of all kinds with every codec, through
# restarts and kills, and in a group.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/go.sh"
. "$clients/group.sh"
broker_start --group-initial-rebalance-delay-ms 0
client_suite franz none,gzip,snappy,lz4,zstd
[ -n "${CHRONIK_BOOTSTRAP:-}" ] || group_course franz
