#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Large groups and many of them, with a client that never reads; all of it is
# there after a crash.  What it costs others is printed.
. "$(dirname "$0")/lib.sh"

[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
command -v python3 >/dev/null || skip "python3 is not installed"
# Sanitizers bring memory of their own.
! grep -q __[at]san_init "$CHRONIK_BUILD/chronik-engine" ||
    export CHRONIK_SCALE_MEMORY=0

run()
{
	PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/group_scale.py" \
	    "$BOOTSTRAP" "$@"
}

# Groups without a member are looked at all the time, and stay.
options="--group-initial-rebalance-delay-ms 500
    --offsets-retention-check-interval-ms 200"
broker_start $options
wait_ready || fail "not ready"
# shellcheck disable=SC2046
run fill $(engine_pid) $(gateway_pids) || fail "filling"
broker_kill9
broker_start $options
wait_ready || fail "not ready again"
run look || fail "after a crash"
broker_stop
