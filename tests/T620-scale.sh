#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# 1,000 partitions, 1,000 idle connections and 200 long polls over all of it:
# it works, nothing ticks, and it stays small.
. "$(dirname "$0")/lib.sh"

[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
command -v python3 >/dev/null || skip "python3 is not installed"
# Sanitizers bring memory, and one of them a thread, of their own.
! grep -q __tsan_init "$CHRONIK_BUILD/chronik-engine" ||
    skip "the thread sanitizer ticks itself"
! grep -q __asan_init "$CHRONIK_BUILD/chronik-engine" ||
    export CHRONIK_SCALE_MEMORY=0

broker_start
wait_ready || fail "not ready"
roles="start:$BROKER_PID engine:$(engine_pid)"
for pid in $(gateway_pids); do
	roles="$roles gateway:$pid"
done
PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/scale.py" \
    "$BOOTSTRAP" "'$CHRONIK_BUILD/chronik' cluster status --format json \
    --engine '$ENGINE'" $roles
rc=$?
[ $rc = 0 ] || exit $rc
for role in $roles; do
	! lib_gone "${role#*:}" || fail "process $role has died"
done
broker_stop

# All of it comes back.
broker_start
wait_ready || fail "not ready again"
check_eq "$(chronik topic ls --format tsv | wc -l)" 10 "topics after a restart"
