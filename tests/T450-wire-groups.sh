#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Consumer groups, their offsets, FindCoordinator (protocol.md 3.8).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_options="--group-min-session-timeout-ms 200
    --group-initial-rebalance-delay-ms 0"
export CHRONIK_WIRE_SEEN="$tmp/members"
# Rows leave joins behind that wait: the stop that follows must not.
wire_run groups "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
[ -e "$CHRONIK_WIRE_SEEN" ] || exit 0
# Members carry on after a clean stop, after a crash of everything, and after
# one of the engine alone.
wire_run groups -k carries-on
broker_start $wire_options
PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/groups.py" \
    "$BOOTSTRAP" -k carries-on || fail "after a clean stop"
broker_kill9
broker_start $wire_options
PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/groups.py" \
    "$BOOTSTRAP" -k carries-on || fail "after a crash"
engine_kill9
wait_ready || fail "the engine does not come back"
PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/groups.py" \
    "$BOOTSTRAP" -k carries-on || fail "after a crash of the engine"
broker_stop
