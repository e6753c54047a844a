#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Kafka Streams counts words, at least once: a repartition topic, a store of
# counts and a windowed one.  Streams 3.x begins and is killed with the
# engine; 4.x goes on without the stores' files, which it gets back from the
# changelogs.  The counts are those that awk comes to.

. "$(dirname "$0")/clients/suite.sh"

for java_major in 3 4; do
	. "$clients/jvm.sh"
	eval "home$java_major=\$jvm_home"
done

id=$prefix-app
: >"$work/app.log"

s()
{
	(jvm Streams "$@" "bootstrap=$BOOTSTRAP" "id=$id" "in=$prefix-in" \
	    "out=$prefix-out" "windows=$prefix-windows" "t0=$t0") ||
	    fail "Streams $*"
}

# app MAJOR: starts the application; its process is in $app.
app()
{
	eval "jvm_home=\$home$1"
	rm -f "$work/until"
	(jvm Streams run "bootstrap=$BOOTSTRAP" "id=$id" "in=$prefix-in" \
	    "out=$prefix-out" "windows=$prefix-windows" \
	    "state=$work/state" "until=$work/until") >>"$work/app.log" 2>&1 &
	app=$!
	jobs_started="$jobs_started $app"
}

# feed FIRST LAST: lines of words that are rare and frequent.
feed()
{
	seq "$1" "$2" | awk '{ print "all w" $1 % 7, "v" $1 % 101,
	    ($1 % 3 ? "some" : "few"), "line" $1 }' >"$work/lines"
	cat "$work/lines" >>"$work/all-lines"
	s feed "lines=$work/lines"
}

# The same by awk: each feed starts at $t0, one hour ago.
expect()
{
	awk -v t0=$t0 -v first=601 '
	    FNR == first { base = first - 1 }
	    { t = t0 + 100 * (FNR - 1 - base)
	      for (i = 1; i <= NF; i++) {
		n[$i]++
		n[sprintf("%s@%.0f", $i, t - t % 60000)]++
	      } }
	    END { for (w in n) print w, n[w] }' "$work/all-lines" | sort
}

await_done()
{
	kill -0 "$app" 2>/dev/null || {
		tail -n 30 "$work/app.log"
		fail "the application has ended"
	}
	s done
}

broker_start --group-initial-rebalance-delay-ms 0
jvm_home=$home4
s create
app 3
jvm_home=$home4
feed 1 600
await_done
say "600 lines counted by 3.x"
kill -9 "$app"
wait "$app" 2>/dev/null
rm -rf "$work/state"
if [ -n "${CHRONIK_FAULTS:-}" ]; then
	engine_kill9
	wait_ready || fail "not ready after the kill"
fi
app 4
feed 601 900
await_done
for store in counts minutes; do
	n=$(sed -n "s/^restored $store //p" "$work/app.log" |
	    awk '{ n += $1 } END { print n + 0 }')
	# Every word has a count, and each count is a record.
	[ "$n" -ge 600 ] || fail "$store: $n records restored"
done
say "300 more by 4.x, with the stores restored"
: >"$work/until"
join "$app" "$work/app.log" "the application"
s counts >"$work/got"
LC_ALL=C sort "$work/got" >"$work/sorted"
expect >"$work/wanted"
diff "$work/wanted" "$work/sorted" >"$work/diff" ||
    fail "other counts: $(head -n 20 "$work/diff")"
s configs >"$work/configs"
for word in 'words-repartition cleanup.policy=delete' \
    'words-repartition retention.ms=-1' \
    'counts-changelog cleanup.policy=compact$' \
    'minutes-changelog cleanup.policy=compact,delete' \
    'minutes-changelog retention.ms=[1-9]'; do
	check_grep "^$word" "$work/configs" "the configs of Streams' topics"
done
say "$(wc -l <"$work/wanted") counts are right"
