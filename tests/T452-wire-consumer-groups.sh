#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Consumer groups of KIP-848 (protocol.md 3.9).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"

consumer_groups()
{
	PYTHONDONTWRITEBYTECODE=1 CHRONIK_WIRE_TOP=${BROKER_PID:-} \
	    python3 "$(dirname "$0")/wire/consumer_groups.py" "$BOOTSTRAP" "$@"
}

# Sessions long enough for a machine that is busy.
wire_options="--group-initial-rebalance-delay-ms 0"
wire_run consumer_groups "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
wire_options="$wire_options --group-consumer-min-session-timeout-ms 1
    --group-consumer-session-timeout-ms 2000"
CHRONIK_WIRE_SHORT=1 wire_run consumer_groups -k '^session/'
wire_options="--group-consumer-max-size 2
    --group-consumer-migration-policy disabled
    --group-initial-rebalance-delay-ms 0"
CHRONIK_WIRE_LIMITS=1 wire_run consumer_groups -k '^limits/'

wire_options="--group-initial-rebalance-delay-ms 0"
broker_start $wire_options
consumer_groups -k '^crash/' || fail "while the engine crashes"
export CHRONIK_WIRE_SEEN="$tmp/members"
consumer_groups -k carries-on || fail "before a stop"
broker_stop
broker_start $wire_options
consumer_groups -k carries-on || fail "after a clean stop"
broker_kill9
broker_start $wire_options
consumer_groups -k carries-on || fail "after a crash"
engine_kill9
wait_ready || fail "the engine does not come back"
consumer_groups -k carries-on || fail "after a crash of the engine"
broker_stop
