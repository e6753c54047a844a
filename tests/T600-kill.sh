#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the engine and of gateways at random under load: nothing
# acknowledged is lost, doubled or reordered.
. "$(dirname "$0")/lib.sh"

chaos=$CHRONIK_BUILD/tests/chaos
[ -x "$chaos" ] || skip "librdkafka's headers were missing at build time"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
cycles=${CHRONIK_KILLS:-20}

# The faults are paced by progress: each comes after this many more records
# have been acknowledged since the one before.
pace=500

acked()
{
	n=$(cat "$tmp/progress" 2>/dev/null)
	echo "${n:-0}"
}

# wait_acked N: until so many have been acknowledged in all.
wait_acked()
{
	waited=0
	while [ "$(acked)" -lt "$1" ]; do
		kill -0 "$chaos_pid" 2>/dev/null || fail "the load ended early"
		waited=$((waited + 1))
		[ "$waited" -lt 1200 ] || fail "no progress: $(acked) of $1"
		sleep 0.05
	done
}

suite_cleanup()
{
	kill "$chaos_pid" 2>/dev/null
}
chaos_pid=

broker_start
"$CHRONIK_BUILD/chronik" topic create --engine "$ENGINE" chaos \
    --partitions 4 >/dev/null || fail "create"
mkfifo "$tmp/stop"
"$chaos" "$BOOTSTRAP" chaos 4 "$tmp/progress" <"$tmp/stop" >"$tmp/out" \
    2>"$tmp/err" &
chaos_pid=$!
exec 7>"$tmp/stop"

i=0
engines=0
while [ "$i" -lt "$cycles" ]; do
	wait_acked $(($(acked) + pace))
	case $(od -An -N1 -tu1 /dev/urandom) in
	*[02468])
		engine_kill9
		engines=$((engines + 1))
		;;
	*)
		gateway_kill9
		;;
	esac
	i=$((i + 1))
done
wait_acked $(($(acked) + pace))
echo stop >&7
wait "$chaos_pid"
rc=$?
cat "$tmp/out"
cat "$tmp/err" >&2
[ "$rc" = 0 ] || fail "the load's checks"
echo "kills: $engines of the engine, $((cycles - engines)) of gateways"
broker_stop
