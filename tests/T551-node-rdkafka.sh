#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# node-rdkafka, idempotent: it writes records of all kinds with every codec,
# also through restarts and kills, librdkafka reads them; and in a group.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/librdkafka.sh"
node_drivers=node-rdkafka
. "$clients/node.sh"
. "$clients/group.sh"
# Its producer writes headers as text, and refuses those without a value.
driver_args=lacks=nullhdr,binhdr
follower=librdkafka
verifier=librdkafka
broker_start --group-initial-rebalance-delay-ms 0
client_suite node_rdkafka none,gzip,snappy,lz4,zstd
[ -n "${CHRONIK_BOOTSTRAP:-}" ] || group_course node_rdkafka
