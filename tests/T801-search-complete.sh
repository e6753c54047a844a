#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Completeness: random queries of every operator find exactly the records that
# reading all of them finds, while the index is quiet, and while producers and
# retention are at work and the indexer is killed.
#
#	CHRONIK_SEARCH_RECORDS	how many (5000; 1000000 in make check-faults)
#	CHRONIK_SEARCH_QUERIES	how many (75; 2000)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/search.sh"
records=${CHRONIK_SEARCH_RECORDS:-${CHRONIK_FAULTS:+1000000}}
records=${records:-5000}
queries=${CHRONIK_SEARCH_QUERIES:-${CHRONIK_FAULTS:+2000}}
queries=${queries:-75}
[ -z "${CHRONIK_QUICK:-}" ] || queries=60

broker_start --log-retention-check-interval-ms 200 --log-cleaner-backoff-ms 200
chronik topic create --partitions 2 --config search.enable=true \
    --config search.fields.numeric=latency_ms,status \
    --config search.fields.text=msg^3 --config search.stem=en \
    --config segment.bytes=1048576 logs >/dev/null || fail "topic create"
chronik topic create --config search.enable=true --config search.ids=false \
    --config search.positions=true plain >/dev/null || fail "topic create"
# The cleaner is at work on this one all the time.
chronik topic create --config cleanup.policy=compact \
    --config search.enable=true --config segment.bytes=1048576 \
    --config min.cleanable.dirty.ratio=0.01 \
    --config file.delete.delay.ms=0 keyed >/dev/null || fail "topic create"
produce logs $((records * 2 / 3)) 1 json none
produce plain $((records / 3)) 2 mixed lz4
lib_wait_s=$((lib_wait_s + records / 100))
index_whole
compare "$queries" "${CHRONIK_SEARCH_SEED:-1}" quiet

# Half of the log goes while more comes, segments are written anew, and the
# indexer is killed.
chronik topic set --config retention.bytes=$((records * 40)) \
    --config file.delete.delay.ms=0 logs >/dev/null || fail "topic set"
{
	for i in 3 4 5 6; do
		produce logs $((records / 4)) $i json none
		produce plain $((records / 9)) $i mixed lz4
		produce keyed $((2000 + records / 9)) $i json none
	done
} &
producer=$!
for i in 1 2; do
	pid=$(indexer_pid)
	[ -z "$pid" ] || lib_signal KILL "$pid"
	compare $((queries / 3)) $((i + 10))
done
wait $producer
deleted()
{
	chronik topic show --format json logs |
	    grep -qE '"(log_)?start(_offset)?": [1-9]'
}
rewritten()
{
	[ "$(grep -c 'segment rewritten' "$BROKER_LOG")" -gt "$1" ]
}
wait_until deleted || fail "retention has deleted nothing"
# The cleaner may have been ahead of the indexer all the time: what is indexed
# now is written anew when more of the same keys come.
index_whole
was=$(grep -c 'segment rewritten' "$BROKER_LOG")
for i in 7 8; do
	produce keyed $((2000 + records / 9)) $i json none
done
wait_until rewritten "$was" || fail "nothing is compacted"
index_whole
compare $((queries / 3)) 20
