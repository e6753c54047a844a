#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The engine is killed at its Nth call of each kind that makes something last,
# in all of its threads: under load, while topics come and go, configs change
# and records are deleted; and, since calls are counted from its start, in the
# middle of recovery, again and again.  Nothing acknowledged is lost; a topic
# is there or it is not.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"
. "$(dirname "$0")/rigs.sh"
rig_needs strace
strace -qq -o /dev/null -e trace=none true 2>/dev/null ||
    skip "strace may not trace here"
engine=
gateway=
suite_cleanup()
{
	checker_cleanup
	for p in $engine $gateway $admin; do
		kill -9 "$p" 2>/dev/null
	done
}

# Without the supervisor: the engine is to be started again at once.
engine_run()	# [STRACE OPTION...]
{
	rm -f "$tmp/eng.ready"
	mkfifo "$tmp/eng.ready"
	# -D: strace is a child of the engine, which so keeps its own id.
	if [ $# -gt 0 ]; then
		strace -D -f -qq -o /dev/null "$@" \
		    "$CHRONIK_BUILD/chronik-engine" --data-dir "$DATA" \
		    --engine "$ENGINE" --log-retention-check-interval-ms 300 \
		    >"$tmp/eng.ready" 2>>"$BROKER_LOG" &
	else
		"$CHRONIK_BUILD/chronik-engine" --data-dir "$DATA" \
		    --engine "$ENGINE" >"$tmp/eng.ready" 2>>"$BROKER_LOG" &
	fi
	engine=$!
	disown
	head -n 1 <"$tmp/eng.ready" >"$tmp/eng.line" &
}

engine_gone()
{
	lib_gone "$engine"
}

gateway_run()
{
	mkfifo "$tmp/gw.ready"
	"$CHRONIK_BUILD/chronik-gateway" --engine "$ENGINE" --bind-addr \
	    127.0.0.1:0 >"$tmp/gw.ready" 2>>"$BROKER_LOG" &
	gateway=$!
	line=$(timeout "$lib_wait_s" head -n 1 <"$tmp/gw.ready")
	BOOTSTRAP=$(lib_word kafka "$line")
	[ -n "$BOOTSTRAP" ] || fail "the gateway is not ready: $line"
}

# Changes of every kind, until they are stopped; each may meet the fault.
admin=
admin_run()
{
	while :; do
		for c in "create made --partitions 2" \
		    "set made --config retention.ms=$RANDOM" \
		    "alter made --partitions 4" "trim kept --yes" \
		    "delete made --yes"; do
			CHRONIK_ENGINE=$ENGINE timeout 5 \
			    "$CHRONIK_BUILD/chronik" topic $c \
			    --timeout-ms 1000 >/dev/null 2>&1
		done
		# Of what trim takes away.
		head -c 4000 /dev/urandom | base64 | timeout 5 kcat -P \
		    -b "$BOOTSTRAP" -t kept -p 0 2>/dev/null
	done
}

calls="pwritev fdatasync fsync rename unlink ftruncate openat mkdir"
numbers=2
rig_long || calls="pwritev fdatasync fsync rename unlink"
rig_long && numbers="1 2 3 4 5 6 7 8 9 10 12 14 17 20 25 30 40 50 70 100"

ENGINE=$tmp/engine.sock
engine_run
wait_until test -s "$tmp/eng.line" || fail "the engine is not ready"
gateway_run
chronik topic create kept --config segment.bytes=1048576 --config \
    file.delete.delay.ms=0 >/dev/null || fail "create"
checker_start --heal-s 60 --rate 300
admin_run &
admin=$!
checker_more 100
kill -9 "$engine"
wait_until engine_gone
kills=0
for n in $numbers; do
	for call in $calls; do
		# Each call of the kind, in a thread that makes so many.
		engine_run -e "trace=$call" -e \
		    "inject=$call:signal=SIGKILL:when=$n"
		end=$(($(date +%s) + 5))
		until engine_gone || [ "$(date +%s)" -ge "$end" ]; do
			sleep 0.05
		done
		if engine_gone; then
			kills=$((kills + 1))
		else
			kill -9 "$engine"
			wait_until engine_gone || fail "the engine lives"
		fi
		! grep -a 'assertion failed' "$BROKER_LOG" ||
		    fail "at the ${n}th $call"
	done
done
engine_run
checker_more 100
kill "$admin"
wait "$admin" 2>/dev/null
admin=
checker_end
echo "killed $kills times at a call"
[ "$kills" -gt 2 ] || fail "too few kills"
# Nothing is half there.
chronik topic delete made --yes >/dev/null 2>&1
check_rc 0 chronik topic create made --partitions 3
check_rc 0 chronik topic show made kept
kill "$engine" "$gateway"
wait_until lib_gone "$engine" "$gateway" || fail "they do not end"
engine=
gateway=
# And all of it is sound.
check_rc 0 "$CHRONIK_BUILD/chronik" check "$DATA"
