#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What administrators ask of groups, and how offsets end (protocol.md 3.8).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_options="--group-min-session-timeout-ms 200
    --group-initial-rebalance-delay-ms 0 --group-max-size 4
    --offsets-retention-check-interval-ms 50"
export CHRONIK_WIRE_GROUP_MAX=4
export CHRONIK_WIRE_SEEN="$tmp/groups"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || CHRONIK_WIRE_GROUP_MAX=0
wire_run group_admin "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
[ -e "$CHRONIK_WIRE_SEEN" ] || exit 0

again()
{
	PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/group_admin.py" \
	    "$BOOTSTRAP" -k remembers || fail "$1"
}

# The same after a clean stop, and after a crash of everything.
broker_start $wire_options
again "after a clean stop"
broker_kill9
broker_start $wire_options
again "after a crash"
engine_kill9
wait_ready || fail "the engine does not come back"
again "after a crash of the engine"
broker_stop
