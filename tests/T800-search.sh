#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-search against a broker: topics opt in, records are found at once and
# after they were indexed, the index and a scan give the same, the indexer may
# be killed, and shards live and die with what they are of.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/query.sh"

# records N FROM: JSON lines with keys.
records()
{
	awk -v n="$1" -v from="$2" 'BEGIN {
		split("alpha beta gamma delta epsilon", w, " ")
		split("info warn error", l, " ")
		for (i = from; i < from + n; i++)
			printf "k%d:{\"level\":\"%s\",\"msg\":\"%s %s %s\"," \
			    "\"ms\":%d,\"ip\":\"10.0.%d.%d\"}\n", i % 17,
			    l[i % 3 + 1], w[i % 5 + 1], w[i * 7 % 5 + 1],
			    w[i * 3 % 4 + 1], i * 37 % 1000, i % 7, i % 251
	}'
}

# same QUERY: the index and a scan find the same records, and count them; the
# newest of all partitions in the same order.
same()
{
	search --sort oldest -n 100000 --template '%t/%p@%o\n' "$@" \
	    2>"$tmp/err" | sort >"$tmp/by.index"
	search --scan --sort oldest -n 100000 --template '%t/%p@%o\n' "$@" \
	    2>/dev/null | sort >"$tmp/by.scan"
	cmp -s "$tmp/by.index" "$tmp/by.scan" ||
	    fail "index and scan differ: $*: $(diff "$tmp/by.index" \
	    "$tmp/by.scan" | head -5)"
	check_eq "$(search -c "$@" 2>/dev/null)" \
	    "$(grep -c . "$tmp/by.scan")" "count of $*"
	check_eq "$(search -n 40 --template '%t/%p@%o ' "$@" 2>/dev/null)" \
	    "$(search --scan -n 40 --template '%t/%p@%o ' "$@" 2>/dev/null)" \
	    "the newest of $*"
}

broker_start --log-retention-check-interval-ms 200
check_rc 1 search nothing
check_rc 2 search -t nosuch x
check_grep 'no such topic' "$tmp/err" "unknown topic"
chronik topic create plain >/dev/null || fail "topic create"
check_rc 2 search -t plain x
check_grep 'not indexed' "$tmp/err" "topic that is not indexed"
check_rc 1 chronik topic create --config search.fields.text=a^0 bad
check_grep 'search.fields.text' "$tmp/err" "bad config"
check_rc 2 search 'ms:9..1'
check_rc 2 search --nosuch x
check_rc 2 search
check_rc 2 search x --nosuch
check_rc 1 search -- nothing --format json

chronik topic create logs --partitions 2 --config search.enable=true \
    --config search.fields.numeric=ms --config segment.bytes=1048576 \
    --config file.delete.delay.ms=0 >/dev/null || fail "topic create"

# Found as soon as it can be consumed.
echo '{"msg":"first light"}' | kcat -b "$BOOTSTRAP" -P -t logs -p 0
check_rc 0 search first light
check_grep 'logs/0@0 - {"msg":"first light"}' "$tmp/out" text
check_grep '1 shown; searched 1/1 records' "$tmp/err" coverage

records 6000 0 | kcat -b "$BOOTSTRAP" -P -t logs -K : -z lz4
wait_until indexed || fail "not indexed: $(search status)"
check_rc 0 search --stats -n 3 level:error alpha
check_eq "$(wc -l <"$tmp/out")" 3 "lines of -n 3"
check_grep '^3 of [0-9,]* shown' "$tmp/err" footer
check_grep 'not indexed 0$' "$tmp/err" "what is not indexed"
for q in alpha 'alpha beta' '"alpha beta"' 'alp*' '/gam.*alpha/' 'NOT alpha' \
    'level:warn -beta' 'ms:100..250' 'ms:>=990 OR level:error' 10.0.3.17 \
    'key:k3 ip:10.0.*' 'has:ip partition:0' 'offset:100..200' 'NOT offset:7..' '*' \
    'offset:3..9 alpha OR partition:1 offset:50..2000 beta'; do
	same "$q"
done

for q in alpha 'alp*' 'NOT alpha' '"alpha beta"' '*'; do
	check_rc 0 search --facet level --facet key:5 --hist 100ms "$q"
	cp "$tmp/out" "$tmp/by.index"
	check_rc 0 search --scan --facet level --facet key:5 --hist 100ms "$q"
	check_eq "$(cat "$tmp/by.index")" "$(cat "$tmp/out")" "counts of $q"
done

# Killed while it works: nothing is lost or doubled.
records 9000 6000 | kcat -b "$BOOTSTRAP" -P -t logs -K : -z lz4 &
for i in 1 2 3; do
	indexer_kill9
done
wait $!
wait_until indexed || fail "not indexed: $(search status)"
check_rc 0 search verify
check_grep '^15001 records in .* 0 not indexed yet, 0 wrong' "$tmp/out" verify
same 'epsilon level:info'

# A shard that is damaged is read around, and made anew.
hot=$(ls -d "$DATA"/search/*/0/*.hot | head -n 1)
dd if=/dev/zero of="$hot/iamglass" bs=1 count=64 conv=notrunc 2>/dev/null
same 'delta -gamma'
indexer_kill9
wait_until indexed || fail "not made anew: $(search status)"
check_rc 0 search verify

# Other configs: the index is made anew, and words have stems.
chronik topic set --config search.stem=en --config search.fields.text=msg^2 \
    logs >/dev/null || fail "topic set"
echo '{"msg":"connections were refused"}' |
    kcat -b "$BOOTSTRAP" -P -t logs -p 1
wait_until indexed || fail "not indexed: $(search status)"
check_eq "$(search -c 'msg:connection refusing' 2>/dev/null)" 1 stems
check_rc 2 search --sort relevance 'the of'
check_rc 0 search --sort relevance --any --format jsonl connection alpha
check_eq "$(head -n 1 "$tmp/out" | grep -c 'connections were refused')" 1 \
    "the best of relevance"
same 'msg:alpha OR refused'
check_rc 0 search verify

# Formats, facets, time, context, cursors.
check_rc 0 search --facet level:2 --hist 1h msg:alpha
check_grep '^level	[a-z]*	[0-9]*$' "$tmp/out" facet
check_rc 0 search first --format tsv
cp "$tmp/out" "$tmp/behind"
check_rc 0 search --format tsv first
check_eq "$(cat "$tmp/out")" "$(cat "$tmp/behind")" "an option behind the query"
check_rc 0 search --format jsonl -n 1 -B 1 connections
check_grep '"context":true' "$tmp/out" context
check_grep '"highlights":\[{"path":"msg","text":"connections"}\]' \
    "$tmp/out" highlights
check_rc 0 search --cursor-file "$tmp/cursor" -n 2 msg:alpha
check_rc 0 search --cursor-file "$tmp/cursor" -n 100000 msg:alpha
check_eq "$(($(wc -l <"$tmp/out") + 2))" \
    "$(search -c msg:alpha 2>/dev/null)" "hits by cursors"
check_rc 1 search --cursor-file "$tmp/cursor" msg:alpha
check_rc 3 search --timeout 0ms '"alpha beta"'
check_grep incomplete "$tmp/err" "out of time"

# Follows what is produced.
CHRONIK_ENGINE=$ENGINE timeout "$lib_wait_s" "$CHRONIK_BUILD/chronik-search" \
    -f -n 0 newcomer >"$tmp/follow" 2>/dev/null &
follow=$!
came()
{
	echo "a newcomer" | kcat -b "$BOOTSTRAP" -P -t logs -p 0
	grep -q newcomer "$tmp/follow"
}
wait_until came || fail "nothing came: $(cat "$tmp/follow")"
kill $follow
wait $follow 2>/dev/null

# What retention deletes, and then the topic.
shards()
{
	find "$DATA/search" -name '*.hot' -o -name '*.xap' | wc -l
}
trimmed()
{
	[ "$(search -c '*' 2>/dev/null)" = 0 ] && [ "$(shards)" = 0 ]
}
chronik topic trim --yes logs >/dev/null || fail "topic trim"
wait_until trimmed || fail "shards of deleted records stay"
chronik topic delete --yes logs >/dev/null || fail "topic delete"
gone()
{
	[ -z "$(find "$DATA/search" -mindepth 1 -type d)" ]
}
wait_until gone || fail "the index of a deleted topic stays"
