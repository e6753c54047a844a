#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Authentication: the wire, real clients, kills, and no secret in any log.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
sasl="--security-protocol sasl_plaintext --log-level debug"

# With SASL a bare request says nothing about whether a broker is ready.
kafka_answers()
{
	kc -L >/dev/null 2>&1
}

kc()
{
	timeout "$lib_wait_s" kcat -b "$BOOTSTRAP" -q \
	    -X security.protocol=sasl_plaintext -X sasl.mechanisms=PLAIN \
	    -X sasl.username="${user:-alice}" \
	    -X sasl.password="${password:-wonderland-canary}" "$@"
}

# ---- the wire ---------------------------------------------------------------

wire_run sasl -k '^off/' "$@"
broker_start $sasl
echo wonderland-canary | chronik user add alice >/dev/null || fail alice
echo builder-canary | chronik user add bob >/dev/null || fail bob
broker_stop
wire_options=$sasl wire_run sasl -k '^on/'
wire_options="$sasl --connections-max-reauth-ms 3000" wire_run sasl \
    -k '^again/'
broker_start $sasl
CHRONIK_WIRE_PIDS=$(engine_pid) PYTHONDONTWRITEBYTECODE=1 \
    python3 "$(dirname "$0")/wire/sasl.py" "$BOOTSTRAP" -k '^kill/' ||
    fail "connections do not outlive the engine"

# ---- real clients -----------------------------------------------------------

command -v kcat >/dev/null || skip "kcat is not installed"
seq 1 20000 >"$tmp/lines"
kc -P -t sasl -p 0 -X enable.idempotence=true -l "$tmp/lines" ||
    fail "kcat cannot produce"
kc -C -t sasl -p 0 -e >"$tmp/got" || fail "kcat cannot consume"
cmp "$tmp/lines" "$tmp/got" || fail "records differ"
kc -C -t sasl -p 0 -e -X api.version.request=false \
    -X broker.version.fallback=0.10.1 >"$tmp/got" ||
    fail "a client that speaks bare tokens cannot consume"
cmp "$tmp/lines" "$tmp/got" || fail "records differ"
! password=wrong kc -L -m 3 >"$tmp/out" 2>&1 || fail "a wrong password passes"
! timeout 10 kcat -b "$BOOTSTRAP" -L -m 3 >"$tmp/out" 2>&1 ||
    fail "no password passes"

# Under load the engine goes, then a gateway, then the engine again.
mkfifo "$tmp/feed"
kc -P -E -t load -p 0 -X enable.idempotence=true -X linger.ms=1 \
    <"$tmp/feed" 2>"$tmp/load.err" &
load=$!
exec 9>"$tmp/feed"
seq 1 1000 >&9
engine_kill9
wait_ready || fail "the engine does not come back"
seq 1001 2000 >&9
gateway_kill9 1
seq 2001 3000 >&9
gateway_kill9 2
wait_ready || fail "a gateway does not come back"
seq 3001 4000 >&9
engine_kill9
seq 4001 5000 >&9
exec 9>&-
wait $load || fail "kcat lost records: $(head -c 2000 "$tmp/load.err")"
wait_ready || fail "the engine does not come back"
kc -C -t load -p 0 -e >"$tmp/got" || fail "kcat cannot consume"
seq 1 5000 | cmp - "$tmp/got" || fail "records differ after kills"

python=$(ls -d "${CHRONIK_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chronik-tests}"/python-*/venv/bin/python 2>/dev/null | head -n 1)
if [ -n "$python" ]; then
	"$python" "$(dirname "$0")/clients/python/sasl.py" "$BOOTSTRAP" ||
	    fail "the Python clients cannot authenticate"
fi
broker_stop

# ---- secrets ----------------------------------------------------------------

# Neither logs nor dumps hold a password, nor does the catalogue.
! grep -a canary "$BROKER_LOG" || fail "a password is in the log"
! grep -raq canary "$DATA" || fail "a password is in the data directory"
chronik dump "$DATA"/meta/*.log >"$tmp/dump" || fail "dump"
check_grep meta_user "$tmp/dump" "users in the catalogue"
check_grep meta_secret "$tmp/dump" "the secret in the catalogue"
