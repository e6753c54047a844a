#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of the indexer at any moment of its work, beside producers: no record
# is missing from the index, none is there twice, and no shard is lost.
#
#	CHRONIK_KILLS	how many (6; 50 in make check-faults)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/search.sh"
kills=${CHRONIK_KILLS:-${CHRONIK_FAULTS:+50}}
kills=${kills:-6}
lib_wait_s=$((lib_wait_s * 2))

broker_start --log-retention-check-interval-ms 500
chronik topic create --partitions 2 --config search.enable=true \
    --config search.stem=en --config segment.bytes=1048576 logs \
    >/dev/null || fail "topic create"
chronik topic create --config search.enable=true \
    --config search.fields.numeric=latency_ms \
    --config retention.bytes=2000000 --config file.delete.delay.ms=0 \
    --config segment.bytes=1048576 short >/dev/null || fail "topic create"
load_start logs json lz4
load_start short mixed none

i=0
before=0
while [ "$i" -lt "$kills" ]; do
	wait_until indexer_other "$before" ||
	    fail "the indexer is not started again"
	before=$search_pid
	# Somewhere between its start and well into its work.
	sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
	lib_signal KILL "$before"
	i=$((i + 1))
	[ $((i % 10)) != 0 ] || compare 10 "$i"
done
wait_until indexer_other "$before" || fail "the indexer is not started again"
load_end
index_whole
compare 10 "$kills" quiet
! grep 'made anew' "$BROKER_LOG" || fail "a shard was lost by a kill"
echo "$kills kills"
