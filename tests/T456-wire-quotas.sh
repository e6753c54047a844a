#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Client quotas: the wire, through kills, and a real client that is told to
# wait (protocol.md 3.11).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_run quotas -k '^(store|bad|produce|fetch|request|mutation|connection)' "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0

# What was set is there after a stop and after a kill.
export CHRONIK_WIRE_KEEP=1
wire_run quotas -k '^keep/write'
wire_run quotas -k '^keep/read'
broker_start
keep()
{
	PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/quotas.py" \
	    "$BOOTSTRAP" -k "$1"
}
keep '^keep/write' || fail "keep/write"
broker_kill9
broker_start
keep '^keep/read' || fail "after a kill"
engine_kill9
wait_ready || fail "the engine does not come back"
keep '^keep/read' || fail "after a kill of the engine"

# librdkafka reports how long it was told to wait; nothing is lost by it.
command -v kcat >/dev/null || exit 0
cat >"$tmp/set.py" <<'EOF'
import sys
sys.path.insert(0, sys.argv[1])
import kafka, quotas
kafka.load_env(sys.argv[2])
with kafka.Conn() as c:
    quotas.set_(c, {"producer_byte_rate": 100000,
                    "consumer_byte_rate": 100000}, client="slow")
EOF
PYTHONDONTWRITEBYTECODE=1 python3 "$tmp/set.py" "$(dirname "$0")/wire" \
    "$BOOTSTRAP" || fail "quota"
head -c 900000 /dev/urandom | base64 -w 9000 >"$tmp/lines"
timeout "$lib_wait_s" kcat -b "$BOOTSTRAP" -P -t slow -p 0 \
    -X client.id=slow -l "$tmp/lines" 2>"$tmp/err" ||
    fail "kcat -P: $(tail -n 3 "$tmp/err")"
check_grep 'throttled request for [0-9]*ms' "$tmp/err" "librdkafka waits"
timeout "$lib_wait_s" kcat -b "$BOOTSTRAP" -C -t slow -p 0 -e -q \
    -X client.id=slow >"$tmp/got" || fail "kcat -C"
cmp "$tmp/lines" "$tmp/got" || fail "records differ"
