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
broker_start --log-retention-check-interval-ms 500 \
    --group-initial-rebalance-delay-ms 0
while [ "$seeds" -gt 0 ]; do
	"$checker" run --bootstrap "$BOOTSTRAP" --supervisor "$BROKER_PID" \
	    --workload all --profile both --rate 800 --seconds "$seconds" \
	    --retention-ms 4000 --seed "$seed" --heal-s 120 \
	    "$HISTORY-$seed" || fail "seed $seed: $?"
	rm -rf "$HISTORY-$seed"
	seed=$((seed + 1))
	seeds=$((seeds - 1))
done
broker_stop
