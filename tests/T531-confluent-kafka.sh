#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# confluent-kafka, which brings the newest librdkafka with it: records of all
# kinds with every codec, and through restarts and kills.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/python.sh"

driver()
{
	exec "$home/venv/bin/python" "$home/python/confluent.py" "$@"
}

broker_start || fail "the broker does not start"
client_suite none,gzip,snappy,lz4,zstd
