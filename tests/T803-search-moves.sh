#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What moves under a search: retention deletes what is being read, the index is
# made anew or taken away while it is asked, the engine is killed.  An answer
# is whole, or says that it is not.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/query.sh"

# records N: as JSON, with keys.
records()
{
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
		printf "k%d:{\"n\":%d,\"msg\":\"%s connection refused\"}\n", i, i,
		    i % 10 ? "other" : "special" }'
}

broker_start

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

# ---- the engine is killed ---------------------------------------------------

# It comes back, so that the search may end well; if not it says so.
search -n 100000 --template '%o\n' '*' 2>"$tmp/err" | {
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
