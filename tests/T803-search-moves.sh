#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What moves under a search: retention deletes what is being read, segments are
# written anew, the index is made anew or taken away while it is asked, the
# engine is killed and comes back or does not.  An answer is whole, or says that
# it is not.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/query.sh"

# records N: as JSON, with keys.
records()
{
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
		printf "k%d:{\"n\":%d,\"msg\":\"%s connection refused\"}\n", i, i,
		    i % 10 ? "other" : "special" }'
}

broker_start --log-cleaner-backoff-ms 200

# ---- deleted while it is read -----------------------------------------------

# The reader of a pipe that is full decides when the search goes on.
# trimmed ORDER OFFSET: how many records that stay are told when those below
# the offset are deleted after the first was told.
trimmed()
{
	search --scan -t long --sort "$1" -n 100000 --template '%o\n' '*' \
	    2>"$tmp/err" | {
		read -r first
		chronik topic trim --yes --before "$2" long >/dev/null ||
		    echo "topic trim fails" >&2
		awk -v first="$first" -v from="$2" 'BEGIN { n = first >= from }
		    { n += $1 >= from } END { print n }'
	}
	check_eq "${PIPESTATUS[0]}" 0 "the search's status"
}
chronik topic create long >/dev/null || fail "topic create"
records 40000 | kcat -b "$BOOTSTRAP" -P -t long -K :
check_eq "$(trimmed oldest 20000)" 20000 \
    "records that were still there, oldest first"
check_eq "$(trimmed newest 22000)" 18000 \
    "records that were still there, newest first"
chronik topic delete --yes long >/dev/null || fail "topic delete"

# ---- compacted between the index and its records ---------------------------

rewritten()
{
	[ "$(grep -c 'segment rewritten' "$BROKER_LOG")" -gt "$1" ]
}

# compacted ORDER TOPIC: the search has asked the index and read some records
# when the segments of the others are rewritten; whatever is there to the end is
# told, nothing twice, and nothing that never was.
compacted()
{
	chronik topic create --config cleanup.policy=compact \
	    --config search.enable=true --config segment.bytes=1048576 \
	    --config min.cleanable.dirty.ratio=1 \
	    --config file.delete.delay.ms=0 "$2" >/dev/null ||
	    fail "topic create"
	for i in 1 2 3; do
		records 20000 | kcat -b "$BOOTSTRAP" -P -t "$2" -K :
	done
	wait_until indexed || fail "not indexed: $(search status)"
	was=$(grep -c 'segment rewritten' "$BROKER_LOG")
	search -t "$2" --sort "$1" -n 100000 --template '%o %k\n' refused \
	    2>"$tmp/err" | {
		read -r first
		chronik topic set --config min.cleanable.dirty.ratio=0.01 \
		    "$2" >/dev/null || echo "topic set fails" >&2
		wait_until rewritten "$was" || echo "not compacted" >&2
		echo "$first"
		cat
	} >"$tmp/told"
	check_eq "${PIPESTATUS[0]}" 0 "the search's status: $(cat "$tmp/err")"
	rewritten "$was" || fail "$1: nothing was compacted meanwhile"
	kcat -b "$BOOTSTRAP" -C -t "$2" -e -q -f '%o %k\n' | sort \
	    >"$tmp/there"
	sort "$tmp/told" >"$tmp/told.sorted"
	check_eq "$(uniq -d "$tmp/told.sorted")" "" "$1: told twice"
	check_eq "$(comm -13 "$tmp/told.sorted" "$tmp/there" | head -n 3)" \
	    "" "$1: there, and not told"
	awk '$2 != "k" $1 % 20000' "$tmp/told" >"$tmp/never"
	check_eq "$(cat "$tmp/never")" "" "$1: what never was"
	echo "$1: $(wc -l <"$tmp/told") told, $(wc -l <"$tmp/there") there"
	chronik topic delete --yes "$2" >/dev/null || fail "topic delete"
}
compacted newest keyed1
compacted oldest keyed2

# ---- compacted, and the index does not know ---------------------------------

# Of 20,000 records that the index knows none is there, and a large batch comes
# next: a search that reads it for each of them is out of time.
chronik topic create --config cleanup.policy=compact \
    --config search.enable=true --config min.cleanable.dirty.ratio=1 \
    --config file.delete.delay.ms=0 stale >/dev/null || fail "topic create"
records 20000 | kcat -b "$BOOTSTRAP" -P -t stale -K : \
    -X batch.num.messages=100
pad=$(printf '%500s' '')
records 20000 | sed "s/}/,\"pad\":\"$pad\"}/" |
    kcat -b "$BOOTSTRAP" -P -t stale -K : -z zstd -X linger.ms=1000 \
    -X batch.num.messages=20000 -X batch.size=20000000 \
    -X message.max.bytes=20000000
wait_until indexed || fail "not indexed: $(search status)"
pid=$(indexer_pid)
kill -STOP "$pid"
chronik topic set --config segment.ms=1 \
    --config min.cleanable.dirty.ratio=0.01 stale >/dev/null ||
    fail "topic set"
echo 'last:{}' | kcat -b "$BOOTSTRAP" -P -t stale -K :
stale_compacted()
{
	grep -q 'log compacted topic=stale.* removed=20000 ' "$BROKER_LOG"
}
wait_until stale_compacted || fail "not compacted"
for order in newest oldest; do
	check_rc 0 search -t stale --sort $order -n 100000 --template '%o\n' \
	    refused
	check_eq "$(sort -u "$tmp/out" | wc -l)" 20000 "$order, of a stale index"
	check_eq "$(wc -l <"$tmp/out")" 20000 "$order, each once"
done
kill -CONT "$pid"
chronik topic delete --yes stale >/dev/null || fail "topic delete"

# ---- made anew while it is asked --------------------------------------------

chronik topic create --partitions 2 --config search.enable=true \
    --config segment.bytes=1048576 logs >/dev/null || fail "topic create"
records 4000 | kcat -b "$BOOTSTRAP" -P -t logs -K :
wait_until indexed || fail "not indexed: $(search status)"
{
	for i in 1 2 3 4 5; do
		chronik topic set --config search.stem=en logs
		chronik topic set --config search.stem=none logs
		chronik topic set --config search.fields.text=msg logs
		chronik topic set --config search.fields.text= logs
	done >/dev/null 2>&1
	: >"$tmp/done"
} &
changer=$!
runs=0
until [ -e "$tmp/done" ]; do
	check_rc 0 search --sort relevance -n 1000 --template '%p %o\n' \
	    special
	check_eq "$(sort -u "$tmp/out" | wc -l)" 400 "ranked, run $runs"
	check_eq "$(wc -l <"$tmp/out")" 400 "ranked once each, run $runs"
	check_rc 0 search -c special
	check_eq "$(cat "$tmp/out")" 400 "counted, run $runs"
	runs=$((runs + 1))
done
wait $changer
echo "$runs runs while the index was made anew"

# ---- gone, or damaged -------------------------------------------------------

wait_until indexed || fail "not indexed: $(search status)"
pid=$(lib_children "$BROKER_PID" chronik-search)
kill -STOP "$pid"
for d in "$DATA"/search/*/0/*.hot "$DATA"/search/*/0/*.xap; do
	[ ! -e "$d" ] || rm -r "$d"
done
check_rc 0 search -c special
check_eq "$(cat "$tmp/out")" 400 "without a shard"
for d in "$DATA"/search/*/1/*.hot; do
	[ -e "$d/postlist.glass" ] || fail "no shard to be damaged"
	: >"$d/postlist.glass"
done
check_rc 0 search --sort relevance -n 1000 --template '%o\n' special
check_eq "$(wc -l <"$tmp/out")" 400 "with a shard that is empty"
kill -CONT "$pid"

# ---- counted while it grows -------------------------------------------------

# Of * as many are found as were searched, whatever the index has by then.
chronik topic create --config search.enable=true grows >/dev/null ||
    fail "topic create"
grow()
{
	seq 300 | sed 's/.*/{"msg":"grows &"}/' | kcat -b "$BOOTSTRAP" -P -t grows
}
# member NAME: of the answer, a number.
member()
{
	sed -E 's/.*"'"$1"'":([0-9]+)[,}].*/\1/' "$tmp/out"
}
grow
: >"$tmp/grows"
while [ -e "$tmp/grows" ] && kill -0 $$; do
	grow
done 2>/dev/null &
producer=$!
for i in $(seq 60); do
	for q in '*' grows; do
		check_rc 0 search -c --format json -t grows "$q"
		check_eq "$(member count)" "$(member searched)" "count of $q"
	done
done
rm "$tmp/grows"
wait $producer

# ---- the engine is killed ---------------------------------------------------

# It comes back, so that the search may end well; if not it says so.
search -t logs -n 100000 --template '%o\n' '*' 2>"$tmp/err" | {
	read -r first
	engine_kill9
	wc -l >"$tmp/lines"
}
rc=${PIPESTATUS[0]}
case $rc in
0) check_eq "$(cat "$tmp/lines")" 3999 "records after the kill" ;;
3) check_grep 'incomplete' "$tmp/err" "what is missing" ;;
*) fail "exit $rc after the engine was killed: $(cat "$tmp/err")" ;;
esac

# ---- and does not come back --------------------------------------------------

engine_answers()
{
	chronik topic show logs >/dev/null 2>&1
}
wait_until engine_answers || fail "the engine does not come back"
records 40000 | kcat -b "$BOOTSTRAP" -P -t logs -K :
for order in oldest newest; do
	wait_until engine_answers || fail "no engine"
	search -t logs -n 100000 --sort $order --format json '*' 2>"$tmp/err" |
	    {
		head -c 1000 >"$tmp/head"
		broker_kill9
		cat >"$tmp/rest"
	}
	check_eq "${PIPESTATUS[0]}" 3 "the status without an engine"
	check_grep 'incomplete' "$tmp/err" "what is missing"
	# Whatever it says that it has searched is told: * is every record.
	cat "$tmp/head" "$tmp/rest" | python3 -c '
import json, sys
r = json.load(sys.stdin)
c = r["coverage"]
print(len(r["hits"]), "told,", c["searched"], "of", c["records"], "searched")
sys.exit(c["complete"] or len(r["hits"]) < c["searched"] or
         c["records"] != 44000)' || fail "$order: the coverage of half an answer"
	BROKER_PID=
	broker_start --bind-addr "$BOOTSTRAP"
done
