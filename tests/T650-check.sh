#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The consistency checker, all of its workloads at once, while engine and
# gateways are killed, stopped and ended in a seeded order.
#
#	CHRONIK_CHECK_SECONDS	of load (8)
#	CHRONIK_CHECK_SEEDS	runs (1)
#	CHRONIK_CHECK_SEED	of the first run
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"

[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
seconds=${CHRONIK_CHECK_SECONDS:-8}
seeds=${CHRONIK_CHECK_SEEDS:-1}
seed=${CHRONIK_CHECK_SEED:-$(($(date +%s) % 1000000 + 1))}

[ -z "${CHRONIK_QUICK:-}" ] || seconds=3

check_rc 0 "$checker" invent 20000 "$HISTORY"
check_rc 0 "$checker" judge "$HISTORY"
check_grep "^anomalies 0" "$tmp/out" "an invented run"
# Without what was read at the end there is no judging of losses; it is said.
rm "$HISTORY/final-1.hist"
check_rc 0 "$checker" judge "$HISTORY"
check_grep "no final phase" "$tmp/out" "a run without an end"
# Without a sender what it sent was never sent.
rm "$HISTORY/produce-1.hist"
check_rc 1 "$checker" judge "$HISTORY"
check_grep "^anomaly phantom 5000" "$tmp/out" "a missing sender"
check_rc 2 "$checker" judge "$tmp"
check_rc 2 "$checker" run --records 1 "$HISTORY-0"
check_rc 2 "$checker" run --workload nothing "$HISTORY-0"
check_rc 0 "$checker" --help

broker_start --log-retention-check-interval-ms 500 \
    --group-initial-rebalance-delay-ms 0 --log-cleaner-backoff-ms 500
while [ "$seeds" -gt 0 ]; do
	"$checker" run --bootstrap "$BOOTSTRAP" --supervisor "$BROKER_PID" \
	    --workload all --profile both --rate 800 --seconds "$seconds" \
	    --retention-ms 4000 --seed "$seed" --heal-s 120 \
	    "$HISTORY-$seed" || fail "seed $seed: $?"
	# What another look finds after a stop belongs to the same histories.
	engine_restart
	wait_ready || fail "not ready after a restart"
	"$checker" verify --bootstrap "$BOOTSTRAP" "$HISTORY-$seed" ||
	    fail "seed $seed, read again: $?"
	rm -rf "$HISTORY-$seed"
	seed=$((seed + 1))
	seeds=$((seeds - 1))
done
broker_stop
