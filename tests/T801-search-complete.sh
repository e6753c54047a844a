#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Completeness: random queries of every operator find exactly the records that
# reading all of them finds, while the index is quiet, and while producers and
# retention are at work and the indexer is killed.
#
# CHRONIK_SEARCH_RECORDS and CHRONIK_SEARCH_QUERIES make it a long one.
. "$(dirname "$0")/lib.sh"
[ -x "$CHRONIK_BUILD/tests/search_compare" ] ||
    skip "chronik-search is not built"
command -v kcat >/dev/null || skip "kcat is not installed"
command -v python3 >/dev/null || skip "python3 is not installed"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
records=${CHRONIK_SEARCH_RECORDS:-5000}
queries=${CHRONIK_SEARCH_QUERIES:-75}
[ -z "${CHRONIK_QUICK:-}" ] || queries=60

produce()
{
	python3 "$CHRONIK_SRC/tests/search_records.py" "$2" "$3" "$4" |
	    kcat -b "$BOOTSTRAP" -P -t "$1" -K '	' -z "$5" \
	    -H tenant=acme -H "run=$3"
}

compare()
{
	timeout 7200 "$CHRONIK_BUILD/tests/search_compare" "$ENGINE" \
	    "$DATA/search" "$@" >"$tmp/compare" 2>&1 || {
		cat "$tmp/compare" >&2
		fail "search_compare $*"
	}
	cat "$tmp/compare"
}

search()
{
	CHRONIK_ENGINE=$ENGINE "$CHRONIK_BUILD/chronik-search" "$@"
}

indexed()
{
	[ "$(search status | awk -F '\t' 'NR > 1 { n += $4 }
	    END { print n + 0 }')" = 0 ]
}

broker_start --log-retention-check-interval-ms 200 --log-cleaner-backoff-ms 200
chronik topic create --partitions 2 --config search.enable=true \
    --config search.fields.numeric=latency_ms,status \
    --config search.fields.text=msg^3 --config search.stem=en \
    --config segment.bytes=1048576 logs >/dev/null || fail "topic create"
chronik topic create --config search.enable=true --config search.ids=false \
    --config search.positions=true plain >/dev/null || fail "topic create"
produce logs $((records * 2 / 3)) 1 json none
produce plain $((records / 3)) 2 mixed lz4
lib_wait_s=$((lib_wait_s + records / 100))
wait_until indexed || fail "not indexed: $(search status)"
compare "$queries" "${CHRONIK_SEARCH_SEED:-1}" quiet

# Half of the log goes while more comes, and the indexer is killed.
chronik topic set --config retention.bytes=100000 \
    --config file.delete.delay.ms=0 logs >/dev/null || fail "topic set"
{
	for i in 3 4 5 6; do
		produce logs $((records / 4)) $i json none
		produce plain $((records / 9)) $i mixed lz4
	done
} &
producer=$!
for i in 1 2; do
	pid=$(lib_children "$BROKER_PID" chronik-search)
	[ -z "$pid" ] || lib_signal KILL "$pid"
	compare $((queries / 3)) $((i + 10))
done
wait $producer
wait_until indexed || fail "not indexed: $(search status)"
search verify || fail "verify"
deleted()
{
	chronik topic show --format json logs |
	    grep -qE '"(log_)?start(_offset)?": [1-9]'
}
wait_until deleted || fail "retention has deleted nothing"
compare $((queries / 3)) 20 quiet

# Compaction writes segments anew: their shards are made anew.
chronik topic create --config cleanup.policy=compact \
    --config search.enable=true --config segment.bytes=1048576 \
    --config min.cleanable.dirty.ratio=0.01 \
    --config file.delete.delay.ms=0 keyed >/dev/null || fail "topic create"
produce keyed 4000 7 json none
wait_until indexed || fail "not indexed: $(search status)"
produce keyed 4000 8 json none
rewritten()
{
	grep -q 'segment rewritten' "$BROKER_LOG"
}
wait_until rewritten || fail "nothing is compacted"
compare 10 30
wait_until indexed || fail "not indexed: $(search status)"
