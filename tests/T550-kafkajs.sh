#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kafkajs: records of all kinds with every codec, and through restarts and
# kills; idempotent, and once more as it comes, where a record may come twice.
# It consumes in groups alone: librdkafka reads what it writes under faults.

. "$(dirname "$0")/clients/suite.sh"

need node npm
. "$clients/librdkafka.sh"

build()
{
	cd kafkajs && npm ci --ignore-scripts --no-audit --no-fund
}

prepare kafkajs kafkajs

driver()
{
	case $1 in
	follow) exec "$rdkafka_driver" "$@" ;;
	*) exec node "$home/kafkajs/driver.js" "$@" ;;
	esac
}

# Its producer cannot encode headers without a value.
driver_args=lacks=nullhdr
broker_start || fail "the broker does not start"
client_suite none,gzip,snappy,lz4,zstd
[ -z "${CHRONIK_FAULTS:-}" ] || under_faults snappy least
