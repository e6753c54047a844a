#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Java consumers in groups of every kind: range, cooperative-sticky, static
# members, and the new protocol.  A member of 3.x and one of 4.x share each
# group through the restart and the kill of one of them, of a gateway and of
# the engine: nothing is lost, what was committed is never read again, and in
# the end all is committed.

. "$(dirname "$0")/clients/suite.sh"

modes=${CHRONIK_MODES:-range,cooperative,static,consumer}
for java_major in 3 4; do
	. "$clients/jvm.sh"
	eval "home$java_major=\$jvm_home"
done

# await COMMAND...: until it succeeds; the logs are long to read.
await()
{
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 400 ] || return 1
		sleep 0.3
	done
}

# g MAJOR COMMAND ARGUMENT...
g()
{
	eval "jvm_home=\$home$1"
	shift
	(jvm Groups "$@" "bootstrap=$BOOTSTRAP" "modes=$modes" \
	    "topic=$prefix")
}

# member NAME MAJOR: starts one; its process is in $member.
member()
{
	rm -f "$work/until-$1"
	eval "jvm_home=\$home$2"
	: >>"$work/log-$1"
	(jvm Groups member "bootstrap=$BOOTSTRAP" "modes=$modes" \
	    "topic=$prefix" "until=$work/until-$1" "name=$1" \
	    "log=$work/log-$1") >>"$work/out-$1" 2>&1 &
	member=$!
	jobs_started="$jobs_started $member"
}

# leave NAME PROCESS: the member ends well.
leave()
{
	: >"$work/until-$1"
	join "$2" "$work/out-$1" "the member $1"
}

# holds NAME COUNT [MODE...]: the member has so many partitions in each group.
holds()
{
	holds_log=$work/log-$1
	holds_n=$2
	shift 2
	for mode in ${*:-$(echo "$modes" | tr , ' ')}; do
		[ "$(grep "^A $mode" "$holds_log" | tail -n 1)" = \
		    "A $mode $holds_n" ] || return 1
	done
}

balanced()
{
	holds a 2 && holds b 2
}

# more: every partition of every group has a commit after the mark.
more()
{
	cat "$work"/log-? | awk -v modes="$modes" -v mark="$mark" '
	    $1 == "C" && $5 > mark && !seen[$2 " " $3]++ { n++ }
	    END { exit n != 4 * split(modes, m, ",") }'
}

# The machine's clock as System.nanoTime has it.
mark_now()
{
	mark=$(awk '{ printf "%d000000", $1 * 1000 }' /proc/uptime)
}

await_commits()
{
	mark_now
	await more || {
		tail -n 5 "$work"/log-? "$work"/out-?
		fail "no commits after $1"
	}
	say "all groups go on after $1"
}

await_balance()
{
	await balanced || {
		grep -h '^A' "$work"/log-? | sort | uniq -c
		tail -n 5 "$work"/out-?
		fail "no balance after $1"
	}
}

# In the new protocol it is the broker that says how long a session lasts.
broker_start --group-initial-rebalance-delay-ms 0 \
    --group-consumer-session-timeout-ms 6000 \
    --group-consumer-min-session-timeout-ms 6000 \
    --group-consumer-heartbeat-interval-ms 500 \
    --group-consumer-min-heartbeat-interval-ms 500
: >"$work/feed.log"
eval "jvm_home=\$home4"
(jvm Groups feed "bootstrap=$BOOTSTRAP" "modes=$modes" "topic=$prefix" \
    "until=$work/until" "total=$work/total") >>"$work/feed.log" 2>&1 &
feed=$!
jobs_started="$jobs_started $feed"
await grep -q created "$work/feed.log" ||
    fail "no topics: $(cat "$work/feed.log")"
member a 4
a=$member
await holds a 4 || fail "the first has not all: $(cat "$work/out-a")"
await_commits "the first member's start"
member b 3
b=$member
await_balance "the second member's start"
await_commits "the second member's start"
leave b "$b"
# A static member that leaves is still waited for.
others=$(echo "$modes" | tr , '\n' | grep -v static)
await holds a 4 $others || fail "nobody takes over: $(cat "$work/out-a")"
mv "$work/log-b" "$work/log-c"
member b 3
b=$member
await_balance "the second member's return"
await_commits "the second member's return"
if [ -n "${CHRONIK_FAULTS:-}" ]; then
	for fault in gateway_kill9 gateway_restart engine_kill9; do
		$fault
		wait_ready || fail "not ready after $fault"
		await_commits "$fault"
		await_balance "$fault"
	done
fi
kill -9 "$b"
wait "$b" 2>/dev/null
mv "$work/log-b" "$work/log-d"
member b 4
b=$member
await_balance "the kill of the second member"
await_commits "the kill of the second member"
: >"$work/until"
join "$feed" "$work/feed.log" "the producer"
total=$(cat "$work/total")

# all_read: the last record of each partition was committed.
all_read()
{
	cat "$work"/log-? | awk -v modes="$modes" -v total="$total" '
	    $1 == "C" && $4 == int((total - $3 + 3) / 4) &&
	    !seen[$2 " " $3]++ { n++ }
	    END { exit n != 4 * split(modes, m, ",") }'
}

await all_read || fail "not all of $total were read"
leave a "$a"
leave b "$b"
g 4 judge "logs=$work/log-a,$work/log-b,$work/log-c,$work/log-d" \
    "total=$work/total" || fail "see above"
