#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Two kcats share a topic as a consumer group, through a kill of the engine and
# one of a gateway: every record comes to one of them at least, each reads half
# of the partitions, one takes over what the other leaves, and what they have
# committed is not read again.

. "$(dirname "$0")/clients/suite.sh"

need kcat awk
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "it needs a broker of its own"

topic=group-topic

kc()
{
	kcat -b "$BOOTSTRAP" -q "$@" 2>"$work/err" || {
		cat "$work/err"
		fail "kcat $*"
	}
}

# feed FIRST LAST: one record a line, round the partitions.
feed()
{
	for p in 0 1 2 3; do
		seq $(($1 + p)) 4 "$2" >"$work/part"
		kc -P -t $topic -p $p -l "$work/part"
	done
}

# member N: starts one in the background; its process id in $member.
member()
{
	kcat -b "$BOOTSTRAP" -E -u -f '%s\n' -X auto.offset.reset=earliest \
	    -X heartbeat.interval.ms=300 -X session.timeout.ms=10000 \
	    -X auto.commit.interval.ms=100 -G readers $topic \
	    >"$work/got$1" 2>"$work/log$1" &
	member=$!
	jobs_started="$jobs_started $member"
}

# holds N COUNT: the member's last assignment has so many partitions.
holds()
{
	[ "$(grep rebalanced "$work/log$1" | tail -n 1 | grep assigned |
	    grep -o "$topic \[[0-9]" | wc -l)" = "$2" ]
}

has_all()
{
	cat "$work"/got? | sort -nu >"$work/all"
	seq 1 "$1" | cmp -s - "$work/all"
}

broker_start --group-initial-rebalance-delay-ms 0
chronik topic create $topic --partitions 4 >/dev/null || fail "topic create"
feed 1 2000
member 1
one=$member
wait_until has_all 2000 || fail "not all records: $(wc -l <"$work/all")"
member 2
two=$member
wait_until holds 1 2 && wait_until holds 2 2 ||
    fail "no halves: $(cat "$work/log1" "$work/log2")"
feed 2001 4000
wait_until has_all 4000 || fail "not all records: $(wc -l <"$work/all")"
[ -s "$work/got2" ] || fail "the second has read nothing"
engine_kill9
gateway_kill9
wait_ready || fail "the broker does not come back"
feed 4001 6000
wait_until has_all 6000 || fail "not all after the kill:" \
    "$(wc -l <"$work/all")"
kill "$two"
wait "$two"
wait_until holds 1 4 || fail "nobody takes over: $(cat "$work/log1")"
feed 6001 8000
wait_until has_all 8000 || fail "not all after one left:" \
    "$(wc -l <"$work/all")"
kill "$one"
wait "$one"
jobs_started=
kcat -b "$BOOTSTRAP" -e -q -f '%s\n' -X auto.offset.reset=earliest \
    -G readers $topic >"$work/again" 2>"$work/err" ||
    fail "kcat: $(cat "$work/err")"
[ ! -s "$work/again" ] ||
    fail "read again: $(wc -l <"$work/again") of the committed records"
say "$(cat "$work"/got? | wc -l) records read for 8000 written"
