#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The engine is killed while it compacts: at the first sight of each kind of
# file that a compaction leaves, and at other times.  Readers find the newest
# record of each key all the same; then the log is what it should be, to the
# check of the data directory, and to Kafka's own tool.

. "$(dirname "$0")/clients/suite.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
need kcat

keys=500
kills=${CHRONIK_KILLS:-${CHRONIK_QUICK:+2}}
kills=${kills:-6}
slow="--log-cleaner-backoff-ms 20 --log-cleaner-io-max-bytes-per-second 12000000"
sent=$work/sent

# put N: records of some 400 bytes that no codec makes small, one in ten a
# tombstone.
put()
{
	head -c $(($1 * 300)) /dev/urandom | base64 -w 400 | awk \
	    -v keys=$keys -v seed="$RANDOM" \
	    -v from="$(wc -l <"$sent")" 'BEGIN { srand(seed) }
		{ printf "k%d:%s\n", int(rand() * keys),
		    rand() < 0.1 ? "" : (from + NR) "-" $0 }' >"$work/part"
	kcat -b "$BOOTSTRAP" -P -t t -K : -Z -z "$codec" -X acks=all \
	    "$work/part" -l 2>"$work/err" || fail "$(tail -n 5 "$work/err")"
	cat "$work/part" >>"$sent"
}

# The last word on each key that has one, of lines KEY:VALUE.
newest()
{
	awk -F: '{ v[$1] = $2 } END { for (k in v)
		if (v[k] != "") print k ":" v[k] }' "$1" | sort
}

# Reads the topic from its start; tombstones as empty values.
check_read()
{
	timeout "$lib_wait_s" kcat -b "$BOOTSTRAP" -C -t t -e -q \
	    -o beginning -X check.crcs=true -f '%k:%s\n' >"$work/got" \
	    2>"$work/err" || fail "$(tail -n 5 "$work/err")"
	cmp -s <(newest "$sent") <(newest "$work/got") || fail "$1:" \
	    "$(diff <(newest "$sent") <(newest "$work/got") | head -n 5)"
}

# at_work PATTERN: a compaction has such a file, or has had one.
at_work()
{
	compgen -G "$dir/$1" >/dev/null || [ "$(count)" -gt "$was" ]
}

count()
{
	grep -c 'log compacted' "$BROKER_LOG"
}

more()
{
	[ "$(count)" -gt "$was" ]
}

# Of the closed segments nothing is superseded: what is read is little more
# than a record of each key and the segment that grows.
settled()
{
	[ "$(cat "$dir"/*.log | wc -c)" -lt 1500000 ]
}

: >"$sent"
broker_start $slow
check_rc 0 chronik topic create t --config cleanup.policy=compact \
    --config segment.bytes=1048576 --config min.cleanable.dirty.ratio=0.01 \
    --config file.delete.delay.ms=0
dir=$(echo "$DATA"/topics/*/0)
i=0
for codec in none zstd none gzip none lz4 none snappy; do
	[ $i -lt "$kills" ] || break
	was=$(count)
	put 6000
	case $((i % 3)) in
	0) wait_until at_work '*.log.cleaned' || fail "no compaction" ;;
	1) wait_until at_work '*.log.*' || fail "no compaction" ;;
	2) ;;
	esac
	engine_kill9
	wait_until lib_all_ready || fail "not ready again"
	check_read "after kill $i"
	i=$((i + 1))
done
say "killed $i times; compacted $(count) times meanwhile"

codec=none
put 4000
wait_until settled || fail "it does not end: $(ls -l "$dir")"
check_read "in the end"
lines=$(wc -l <"$work/got")
[ "$lines" -lt $(($(wc -l <"$sent") / 2)) ] || fail "$lines records are left"
[ -z "$(find "$dir" -name '*.swap')" ] || fail "a swap is left"
broker_stop
check_rc 0 chronik check "$DATA"

[ -z "${CHRONIK_QUICK:-}" ] || exit 0
java_major=4
. "$clients/jvm.sh"
for log in "$dir"/*.log; do
	(jvm org.apache.kafka.tools.DumpLogSegments --deep-iteration \
	    --files "$log") >"$work/out" 2>&1 ||
	    fail "$(tail -n 5 "$work/out")"
	! grep -iE 'isvalid: false|corrupt|exception|mismatch' "$work/out" ||
	    fail "$log"
	check_eq "$(grep -c '^| offset:' "$work/out")" \
	    "$(chronik dump "$log" | grep -c '^record ')" "records of $log"
done
say "Kafka's dump tool reads $(ls "$dir"/*.log | wc -l) segments"
