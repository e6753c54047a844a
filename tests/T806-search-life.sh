#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The index follows its topic: it is made and removed by search.enable, made
# anew by other configs, grows with the partitions, goes with the topic, and
# one of the same name is another; bad values of search.* are refused.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/search.sh"

chronik_set()
{
	chronik topic set "$@" logs >/dev/null || fail "topic set $*"
}

hits_are()
{
	hits_n=$1
	shift
	indexed && [ "$(search -c "$@" 2>/dev/null)" = "$hits_n" ]
}

# finds N QUERY...: at last; until a change of configs has reached the indexer,
# shards answer by those that they were made with.
finds()
{
	wait_until hits_are "$@" ||
	    fail "hits of $*: $(search status; search "$@" 2>&1 | tail -n 3)"
}

# dirs N: so many topics have files.
dirs()
{
	[ "$(find "$DATA/search" -mindepth 1 -maxdepth 1 -type d | wc -l)" = \
	    "$1" ]
}

parts_there()
{
	[ "$(find "$DATA/search" -mindepth 2 -maxdepth 2 -type d | wc -l)" = \
	    "$1" ]
}

conf_other()
{
	! cmp -s "$DATA"/search/*/conf "$tmp/conf"
}

lines()
{
	seq -f "{\"msg\":\"connections refused\",\"ms\":%g}" "$2" "$3" |
	    kcat -b "$BOOTSTRAP" -P -t "$1" -p "${4:-0}"
}

broker_start --log-retention-check-interval-ms 200 \
    --log-cleaner-backoff-ms 200

# It does not get into anybody's way.
calm()
{
	pid=$(indexer_pid)
	[ -n "$pid" ] && [ "$(awk '{ print $19 }' "/proc/$pid/stat")" = 10 ] &&
	    chrt -p "$pid" | grep -q SCHED_BATCH &&
	    [ "$(ionice -p "$pid")" = "best-effort: prio 7" ]
}
wait_until calm || fail "the indexer is in the way: $(ionice -p "$pid")"

for bad in enable=maybe enable= fields.text=a^0 fields.text=,a \
    fields.text=a^x fields.numeric=a,,b fields.numeric=a^2 ids=2 \
    positions=many stem=xx stem=; do
	check_rc 1 chronik topic create --config "search.$bad" bad
	check_grep "search.${bad%%=*}" "$tmp/err" "search.$bad"
done
chronik topic create --partitions 1 logs >/dev/null || fail "topic create"
lines logs 1 300
check_rc 2 search -t logs connections
dirs 0 || fail "a topic that is not searched has an index"

# On: what was there before is found; off: nothing is left; on again.
for i in 1 2; do
	chronik_set --config search.enable=true
	finds 300 -t logs connections
	dirs 1 || fail "no index"
	chronik_set --config search.enable=false
	wait_until dirs 0 || fail "the index stays when it is turned off"
	check_rc 2 search -t logs connections
done
check_rc 1 chronik topic set --config search.stem=klingon logs
check_grep search.stem "$tmp/err" "a bad value is named"

# Other configs, with data: the index is made anew, and answers by them.
chronik_set --config search.enable=true
finds 0 -t logs connection
: >"$tmp/conf"
for c in stem=en fields.text=msg^2 fields.numeric=ms positions=true \
    ids=false; do
	chronik_set --config "search.$c"
	wait_until conf_other || fail "no new index: $c"
	finds 300 -t logs connection
	finds 11 -t logs ms:100..110
	cp "$DATA"/search/*/conf "$tmp/conf"
done
check_rc 0 search verify
chronik_set --config search.stem=none
finds 0 -t logs connection

# More partitions.
chronik topic alter --partitions 3 logs >/dev/null || fail "topic alter"
lines logs 301 350 2
finds 350 -t logs connections
finds 50 -t logs connections partition:2
parts_there 2 || fail "partitions without records have files"

# Deleted, and another of the same name.
chronik topic delete --yes logs >/dev/null || fail "topic delete"
wait_until dirs 0 || fail "the index of a deleted topic stays"
chronik topic create --config search.enable=true logs >/dev/null ||
    fail "topic create"
lines logs 1 7
finds 7 -t logs connections

# DeleteRecords.
chronik topic trim --yes logs >/dev/null || fail "topic trim"
finds 0 -t logs connections
no_shards()
{
	[ -z "$(find "$DATA/search" -name '*.hot' -o -name '*.xap')" ]
}
wait_until no_shards || fail "shards of deleted records stay"
check_rc 0 search verify

# What was indexed in a growing segment is rolled and compacted before the
# indexer looks again.
chronik topic create --config cleanup.policy=compact \
    --config search.enable=true --config segment.bytes=1048576 \
    --config min.cleanable.dirty.ratio=1 --config file.delete.delay.ms=0 \
    keyed >/dev/null || fail "topic create"
keyed()
{
	awk -v from="$1" -v to="$2" 'BEGIN { for (i = from; i < to; i++)
		printf "k%d:{\"msg\":\"connections refused\",\"ms\":%d}\n",
		    i % 100, i }' | kcat -b "$BOOTSTRAP" -P -t keyed -K :
}
compacted()
{
	grep -q 'log compacted topic=keyed' "$BROKER_LOG"
}
keyed 0 5000
finds 5000 -t keyed connections
pid=$(indexer_pid)
kill -STOP "$pid" || fail "no indexer"
keyed 5000 40000
chronik topic set --config min.cleanable.dirty.ratio=0.01 keyed >/dev/null ||
    fail "topic set"
wait_until compacted || fail "it is not compacted"
kill -CONT "$pid"
verified()
{
	search verify keyed >"$tmp/out" 2>&1
}
wait_until verified || fail "the index of what was compacted: $(cat "$tmp/out")"
