#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kafka-python with its defaults: records of all kinds with every codec, and
# through restarts and kills.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/python.sh"

driver()
{
	exec "$home/venv/bin/python" "$home/python/kafka_python.py" "$@"
}

# Its producer refuses headers without a value, and records without anything.
driver_args=lacks=nullhdr,nullboth
broker_start || fail "the broker does not start"
client_suite none,gzip,snappy,lz4,zstd
