#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-search's options, each by what it does: values that are none, those
# that exclude each other, the age of the index, many queries at once, a data
# directory without its engine, and answers that are not complete.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/query.sh"

# wrong WORDS OPTION...: exit 2, and a sentence that has the words.
wrong()
{
	local words=$1

	shift
	check_rc 2 search "$@"
	check_grep "$words" "$tmp/err" "$*"
}

# ---- words that are none, before any engine is asked ------------------------

ENGINE=$tmp/none
while IFS='|' read -r words line; do
	eval "set -- $line"
	wrong "$words" "$@"
done <<'WRONG'
must be a number|-n many x
must be a number|-A -1 x
must be a number|x --limit=many
takes no value|x --scan=1
needs a value|x -n
does not go with --limit|x -c -n5
one of newest|--sort size x
one of text|--format xml x
one of 1|--format json --format-version 2 x
of --format json|--format-version 1 x
such as 500ms|--timeout soon x
such as 500ms|--max-lag 1x x
some time|--hist 0s x
names of members|--fields a,,b x
there is no %q|--template %q x
ends in a|--template 'a%' x
one of auto|--color red x
does not go with --limit|-c -n 5 x
does not go with --hist|-c --hist 1h x
does not go with --fields|--facet a --fields b x
does not go with --format|--template %k --format json x
does not go with --before|-C 1 -B 1 x
does not go with --wait-index|--max-lag 1s --wait-index x
does not go with --scan|--max-lag 1s --scan x
does not go with --follow|--local . -f x
does not go with --follow|--batch -f
which is one text|-0 --format json x
goes with neither|--sort relevance --scan x
takes a line|-f --format json x
-b is no option|-b localhost:9092 x
--bootstrap is no option|--bootstrap localhost:9092 x
standard input only|--batch x
no data directory|--local /nonexistent x
later than|-S 1h -U 2h x
not closed|'"a'
nested deeper|"$(printf '(%.0s' $(seq 200))a"
longer than 8192|"$(head -c 100000 /dev/zero | tr '\0' a)"
too short|'a*'
--scan reads every|'/.*/'
ends before it begins|ms:9..1
WRONG
# Nobody answers: that may be another time.
check_rc 3 search x
check_grep 'incomplete: no record was searched' "$tmp/err" "no engine"
ENGINE=

# ---- a broker ---------------------------------------------------------------

broker_start
chronik topic create --partitions 2 --config search.enable=true \
    --config segment.bytes=1048576 logs >/dev/null || fail "topic create"
awk 'BEGIN { for (i = 0; i < 400; i++)
	printf "k%d:{\"level\":\"%s\",\"n\":%d}\n", i,
	    i % 4 ? "info" : "error", i }' |
    kcat -b "$BOOTSTRAP" -P -t logs -K :
check_rc 0 search --wait-index -c '*'
check_eq "$(cat "$tmp/out")" 400 "all of it"
wait_until indexed || fail "not indexed: $(search status)"
check_rc 1 search levle:error
check_grep 'no record has the member "levle"; did you mean "level"?' \
    "$tmp/err" "a member that nobody has"

# Options behind the query, and what is none there.
for options in '-n 3' -n3 --limit=3; do
	check_rc 0 search level:error $options
	check_eq "$(wc -l <"$tmp/out")" 3 "hits with $options behind it"
done
check_rc 0 search level:error -c
check_eq "$(cat "$tmp/out")" 100 "-c behind the query"
check_rc 0 search -c '*' -error
check_eq "$(cat "$tmp/out")" 300 "a word that records must not have"
check_rc 0 search -c -- level:error -c
check_eq "$(cat "$tmp/out")" 100 "-c behind -- is a word"
check_rc 1 search -c level:error -- -error
check_rc 0 search -c 'n:[10 TO 20}'
check_eq "$(cat "$tmp/out")" 10 "a range in brackets"
echo '{"id":"many","t":["a","b"],"u":{"v":1}}' |
    kcat -b "$BOOTSTRAP" -P -t logs -p 0
check_rc 0 search --fields t,u.v,none --format tsv id:many
check_eq "$(cut -f 6- "$tmp/out")" "a,b	1	-" "an array's elements"
check_rc 0 search --fields t,u.v,none --format jsonl id:many
check_grep '"fields":{"t":\["a","b"\],"u.v":1,"none":null}' "$tmp/out" "in JSON"
wait_until indexed || fail "not indexed: $(search status)"

# Many queries, one that is none among them.
printf 'level:error\n(\nn:7\nnothing\n' >"$tmp/queries"
check_rc 2 search --batch -c <"$tmp/queries"
check_eq "$(tr '\n' ' ' <"$tmp/out")" "100 - 1 0 " "counts of --batch"
check_grep 'line 2: ' "$tmp/err" "the line that is no query"
printf 'n:7\nnothing\nn:8\n' >"$tmp/queries"
check_rc 0 search --batch --template '%k\n' <"$tmp/queries"
check_eq "$(tr '\n' '|' <"$tmp/out")" "k7|||k8||" "hits of --batch"
check_rc 0 search -0 --batch --format raw <"$tmp/queries"
check_eq "$(tr '\0' '|' <"$tmp/out")" \
    '{"level":"info","n":7}|||{"level":"error","n":8}||' "with NULs"
check_rc 0 search --format json --format-version 1 n:7
check_grep '^\],"coverage":{"complete":true,"topics":1,"partitions":2' \
    "$tmp/out" "coverage in JSON"
check_rc 0 search -C 1 --sort oldest -n 1 --template '%o\n' partition:1
check_eq "$(tr '\n' ' ' <"$tmp/out")" "0 1 " context
check_rc 0 search --color always n:7
check_grep "$(printf '\033')" "$tmp/out" "--color always"
check_rc 0 search --explain -c 'n:>=399 OR n:7'
check_eq "$(cat "$tmp/out")" 2 "a range and a value"
check_grep '(or ' "$tmp/err" "--explain"

# The index is behind, as nobody is at work: that is read, or left out.
kill -STOP "$(indexer_pid)"
echo 'late:{"level":"error","n":1000}' | kcat -b "$BOOTSTRAP" -P -t logs -K :
check_rc 0 search -c n:1000
check_grep '1 of them not indexed yet, index lag' "$tmp/err" "the lag"
check_rc 1 search -c --max-lag 1h n:1000
check_grep '1 not indexed yet and left out' "$tmp/err" "--max-lag"
check_rc 0 search -c --max-lag 1ms n:1000
check_rc 3 search -c --wait-index --timeout 200ms n:1000
check_grep 'did not catch up' "$tmp/err" "--wait-index"
# It is told where people look for it.
check_rc 0 search status logs
check_grep 'LAG-MS$' "$tmp/out" "titles of status"
awk -F '\t' '$4 == 1 && $8 > 0 { n++ } END { exit n != 1 }' "$tmp/out" ||
    fail "status of one that is behind: $(cat "$tmp/out")"
check_rc 0 chronik topic show logs
check_grep '^  search: behind by 1, the oldest for ' \
    "$tmp/out" "topic show"
check_grep ' INDEXED-TO  NOT-INDEXED$' "$tmp/out" "columns of topic show"
check_rc 0 chronik topic show --format json logs
check_grep '"not_indexed": 1,' "$tmp/out" "topic show in JSON"
mkdir "$tmp/alone"
cp "$CHRONIK_BUILD/chronik" "$tmp/alone"
check_rc 0 "$tmp/alone/chronik" topic show --engine "$ENGINE" logs
check_grep '^  search: it is not known how far' "$tmp/out" "without a sibling"
kill -CONT "$(indexer_pid)"
wait_until indexed || fail "not indexed: $(search status)"
check_rc 0 chronik topic show logs
check_grep '^  search: everything is indexed' "$tmp/out" "topic show"
check_rc 0 search -c --wait-index n:1000

# An engine that does not answer costs its time and says so.
kill -STOP "$(lib_children "$BROKER_PID" chronik-engine)"
check_rc 3 search --timeout 300ms n:7
check_grep 'incomplete: no record was searched' "$tmp/err" "a stopped engine"
kill -CONT "$(lib_children "$BROKER_PID" chronik-engine)"

# ---- without an engine ------------------------------------------------------

search -n 1000 --format tsv 'level:error' 2>/dev/null >"$tmp/live"
broker_stop
check_rc 0 search --local "$DATA" -n 1000 --format tsv level:error
cmp -s "$tmp/live" "$tmp/out" || fail "--local finds other records"
check_rc 0 search --local "$DATA" --sort relevance -n 1 -t logs error
check_rc 0 search --local "$DATA" --scan -c '*'
check_eq "$(cat "$tmp/out")" 402 "records of --local --scan"
# A shard that is no index is read around; a record that is damaged is missed.
for f in "$DATA"/search/*/[01]/*.hot; do
	dd if=/dev/zero of="$f/iamglass" bs=1 count=64 conv=notrunc \
	    2>/dev/null
done
check_rc 0 search --local "$DATA" -c level:error
check_eq "$(cat "$tmp/out")" 101 "without an index"
log=$(ls -S "$DATA"/topics/*/*/*.log | head -n 1)
printf 'XXXX' | dd of="$log" bs=1 seek=100 conv=notrunc 2>/dev/null
check_rc 3 search --local "$DATA" -c level:error
check_grep '^not searched: logs/[01]: [0-9]* records: corrupt' "$tmp/err" \
    "damage"
check_grep '^[0-9]*$' "$tmp/out" "what is whole is counted"
