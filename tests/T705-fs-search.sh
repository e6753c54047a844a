#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs: search/QUERY and by-key/KEY.jsonl under the tools that people use:
# what is found is what the log has, to the byte; new records are found by the
# next look; a query that is wrong, hangs, dies or answers nonsense hurts nobody.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
[ -x "$CHRONIK_BUILD/chronik-search" ] || skip "chronik-search is not built"
command -v jq >/dev/null || skip "jq is missing"

stopped=
test_cleanup()
{
	[ -z "$stopped" ] || kill -CONT $stopped 2>/dev/null
}

# why PATH [COMMAND]: why it cannot be had, none.
why()
{
	in_time ${2:-stat} "$1" 2>&1 >/dev/null | sed 's/.*: //' |
	    grep . || echo none
}

# said WORDS: in errors.log, which is kept for a second.
said()
{
	wait_until grep -qF "$1" "$M/.chronik/errors.log" ||
	    fail "no \"$1\" in $(cat "$M/.chronik/errors.log")"
}

indexed()
{
	[ "$(CHRONIK_ENGINE=$ENGINE timeout 60 "$CHRONIK_BUILD/chronik-search" \
	    status 2>/dev/null | awk -F '\t' 'NR > 1 { n += $4 }
	    END { print n + 0 }')" = 0 ]
}

# records N FROM: keys and JSON.
records()
{
	seq "$2" $(($2 + $1 - 1)) | awk '{
	    split("alpha beta gamma delta epsilon", w, " ")
	    split("info warn error", l, " ")
	    printf "k%d\t{\"id\":%d,\"level\":\"%s\",\"msg\":\"%s %s\"}\n",
	    $1 % 17, $1, l[$1 % 3 + 1], w[$1 % 5 + 1], w[$1 * 7 % 4 + 1] }'
}

broker_start --gateways 1
check_rc 0 chronik topic create plain --partitions 1
check_rc 0 chronik topic create t --partitions 2 \
    --config search.enable=true --config segment.bytes=1048576
echo x | produce plain 0
records 6000 0 | produce t 0 -K '	'
records 1000 6000 | produce t 1 -K '	' -z zstd
wait_until indexed || fail "not indexed"
# Some that no shard has yet, perhaps.
records 50 7000 | produce t 0 -K '	'
fs_mount -o rw
S=$M/search
cat "$P/log.jsonl" "$M/topics/t/1/log.jsonl" >"$tmp/all"

# ---- queries -------------------------------------------------------------------------

check_eq "$(in_time find "$S" "$P/by-key" "$M/topics/t/by-key" | wc -l)" 3 \
    "what search and by-key list"
q='level:error alpha'
check_eq "$(in_time ls "$S/$q" | tr '\n' ' ')" \
    "count coverage.json facets.json hits query results.jsonl " "a query"
grep '"level":"error"' "$tmp/all" | grep -w alpha | sort >"$tmp/want"
n=$(wc -l <"$tmp/want")
[ "$n" -gt 100 ] || fail "only $n records are wanted"
R=$S/$q/results.jsonl
sort "$R" | cmp - "$tmp/want" || fail "results.jsonl"
check_eq "$(jq -s 'map(.ts) == (map(.ts)|sort|reverse)' "$R")" true \
    "newest first"
check_eq "$(cat "$S/$q/count")" "$n" count
check_eq "$(cat "$S/$q/query")" "$q" query
check_eq "$(stat -c %s "$R")" "$(cat "$R" | wc -c)" "its size"
check_eq "$(wc -l <"$R")" "$n" wc
check_eq "$(tail -n 1 "$R")" "$(sed -n '$p' "$R")" tail
check_eq "$(grep -c alpha "$R")" "$n" grep
cp "$R" "$tmp/cp" && cmp "$R" "$tmp/cp" || fail cp
tar -C "$S" -cf "$tmp/tar" "$q/results.jsonl" &&
    tar -xOf "$tmp/tar" | cmp - "$R" || fail tar
[ "$(stat -c %b "$R")" -gt 0 ] || fail "no blocks"
check_eq "$(ls -l "$S/$q" | awk '$NF == "results.jsonl" { print $5 }')" \
    "$(wc -c <"$R")" "ls -l"
check_eq "$(jq -c '[.complete, .why, .hits, .more, .topics, .records, .query]' \
    "$S/$q/coverage.json")" "[true,null,$n,false,[\"t\"],7050,\"$q\"]" coverage
check_eq "$(jq '.count, (.members.level|map(.count)|add),
    (.partition|map(.count)|add), (.hours|map(.count)|add)' \
    "$S/$q/facets.json" | uniq)" "$n" facets
check_eq "$(jq -r '.members|has("id")' "$S/$q/facets.json")" false \
    "a member of many values"
# Hits are links to records.
check_eq "$(ls "$S/$q/hits" | wc -l)" "$n" hits
check_eq "$(cat "$S/$q/hits/1" "$S/$q/hits/$n")" \
    "$(sed -n "1p;${n}p" "$R")" "the first and the last hit"
check_eq "$(readlink "$S/$q/hits/1" | cut -d/ -f 1-5)" ../../../topics/t \
    "where a hit leads to"
for no in 0 01 $((n + 1)) x 99999999999; do
	[ ! -e "$S/$q/hits/$no" ] || fail "hits/$no is there"
done
check_eq "$(cat "$S/nothing at all/count" "$S/nothing at all/results.jsonl")" \
    0 "nothing"

# Names: any byte by %XX.
check_eq "$(cat "$S/%6Cevel:error%20alpha/count")" "$n" "%6C"
check_eq "$(cat "$S/%2Falph%5Ba%5D%2F level:error/count")" \
    "$(grep '"level":"error"' "$tmp/all" | grep -c alpha)" "a regex"
check_eq "$(cat "$S/%2Falph%5Ba%5D%2F level:error/query")" \
    '/alph[a]/ level:error' "its text"
check_eq "$(why "$S/(")" "Invalid argument" "a wrong query"
said 'search/(: '
check_eq "$(why "$S/id:9..1")" "Invalid argument" "a wrong range"
check_eq "$(why "$S/a%2")" "Invalid argument" "half a byte"
check_eq "$(why "$S/%zz")" "Invalid argument" "no hexadecimal"
check_eq "$(why "$S/$(printf '%0256d' 0)")" "File name too long" \
    "256 bytes"
check_eq "$(cat "$S/$(printf '%0255d' 0)/count")" 0 "255 bytes"
check_eq "$(why "$S/.git")" "No such file or directory" "what is no query"
check_eq "$(why "$S/topic:plain x")" "Operation not supported" \
    "not indexed"
said 'plain: the topic is not indexed'
check_eq "$(why "$S/$q/new" mkdir)" "Operation not permitted" mkdir
check_eq "$(why "$R" tee </dev/null)" "Operation not permitted" \
    "a result is written"
check_eq "$(find "$S" "$P/by-key" | wc -l)" 2 find

# ---- keys ----------------------------------------------------------------------------

K=$P/by-key
for k in k0 k16; do
	jq -c --arg k "$k" 'select(.k == $k)' "$P/log.jsonl" >"$tmp/want"
	jq -c . "$K/$k.jsonl" | cmp - "$tmp/want" || fail "by-key/$k.jsonl"
	jq -c .k "$P/log.jsonl" | paste -d' ' - "$P/log.jsonl" |
	    grep "^\"$k\" " | cut -d' ' -f 2- | cmp - "$K/$k.jsonl" ||
	    fail "the lines of $k"
done
check_eq "$(wc -l <"$M/topics/t/by-key/k3.jsonl")" \
    "$(jq -c 'select(.k == "k3")' "$tmp/all" | wc -l)" "a key of a topic"
[ ! -e "$K/nobody.jsonl" ] && [ ! -e "$K/k0" ] || fail "no such key"
check_eq "$(why "$M/topics/plain/0/by-key/k.jsonl")" "Operation not supported" \
    "a topic that is not indexed"
check_eq "$(why "$K/a%x.jsonl")" "Invalid argument" "half a byte"
# Any key.
printf '%s\n' '{"k":"../../x","v":"up"}' '{"k":"a\u0000b","v":"nul"}' \
    '{"k64":"/v8=","v":"no text"}' '{"k":"","v":"empty"}' \
    '{"k":"ü","v":"umlaut"}' '{"k":"*","v":"star"}' >"$P/produce"
for k in '..%2F..%2Fx:up' 'a%00b:nul' '%FE%fF:no text' ':empty' 'ü:umlaut' \
    '%C3%bc:umlaut' '*:star'; do
	check_eq "$(jq -r .v "$K/${k%%:*}.jsonl")" "${k#*:}" "key ${k%%:*}"
done

# ---- what is new ---------------------------------------------------------------------

exec 5<"$K/k0.jsonl" 6<"$S/umbrella/results.jsonl"
old=$(stat -c '%i %s' "$K/k0.jsonl")
for i in 1 2 3; do
	echo '{"k":"k0","v":"umbrella '$i'"}' >"$P/produce"
	check_eq "$(cat "$S/umbrella/count")" "$i" "found at once"
	check_eq "$(jq -r .v "$S/umbrella/results.jsonl" | head -n 1)" \
	    "umbrella $i" "the newest of $i"
	check_eq "$(tail -n 1 "$K/k0.jsonl" | jq -r .v)" "umbrella $i" "its key"
done
check_eq "$(stat -L -c '%i %s' /dev/fd/5)" "$old" "who had it open keeps it"
check_eq "$(cat <&5 | wc -c)" "${old#* }" "and what was in it"
check_eq "$(cat <&6 | wc -c)" 0 "as it was"
exec 5<&- 6<&-
[ "$(stat -c %i "$K/k0.jsonl")" != "${old% *}" ] || fail "the same inode"

# ---- many ----------------------------------------------------------------------------

rss()
{
	sed -n 's/^VmRSS:\t *\([0-9]*\).*/\1/p' "/proc/$FS_PID/status"
}
cat "$S/*/results.jsonl" >/dev/null
check_eq "$(wc -l <"$S/*/results.jsonl")" 7059 "all records"
before=$(rss)
for i in $(seq "${CHRONIK_FS_QUERIES:-100}"); do
	[ "$(cat "$S/id:>=$i/results.jsonl" | wc -l)" -gt 6000 ] ||
	    fail "query $i"
done
more=$(($(rss) - before))
[ -n "${CHRONIK_QUICK:-}" ] || [ $more -lt 98304 ] ||
    fail "they took $more KiB"

# ---- queries that go wrong -----------------------------------------------------------

fs_umount
mkdir "$tmp/bin"
cp "$CHRONIK_BUILD/chronik-fs" "$tmp/bin" || fail cp
lib_build=$CHRONIK_BUILD
CHRONIK_BUILD=$tmp/bin
fs_mount -o timeout=2
check_eq "$(why "$S/x")" "Operation not supported" "no chronik-search"
said 'no chronik-search beside'
fake()
{
	printf '#!/bin/sh\n%s\n' "$1" >"$tmp/bin/fake"
	chmod +x "$tmp/bin/fake"
	mv "$tmp/bin/fake" "$tmp/bin/chronik-search"
}
fake 'exec sleep 1000'
check_eq "$(why "$S/hangs")" "Connection timed out" "one that hangs"
# The engine is not to blame.
check_eq "$(wc -l <"$P/log.jsonl")" 6059 "beside it"
for i in 1 2 3 4 5 6; do
	why "$S/hangs $i" >"$tmp/hang$i" &
	pids="${pids:-} $!"
done
check_eq "$(wc -l <"$P/log.jsonl")" 6059 "beside six"
wait $pids
check_eq "$(sort -u "$tmp"/hang?)" "Connection timed out" \
    "six that hang"
lib_rc=0
timeout -s INT 0.5 stat "$S/interrupted" >/dev/null 2>&1 || lib_rc=$?
check_eq $lib_rc 124 "one that is interrupted"
wait_until eval '[ -z "$(lib_children "$FS_PID")" ]' || fail "processes stay"
fake 'echo oh no >&2; exit 2'
check_eq "$(why "$S/fails")" "Input/output error" "one that fails"
said 'search/fails: chronik-search failed oh no'
fake 'kill -9 $$'
check_eq "$(why "$S/dies")" "Input/output error" "one that dies"
fake 'echo nonsense'
check_eq "$(why "$S/nonsense")" "Input/output error" nonsense
fake 'exec cat /dev/zero'
check_eq "$(why "$S/endless")" "Input/output error" "one that does not end"
fake "exec $lib_build/chronik-search \"\$@\""
wait_until eval '[ "$(cat "$S/umbrella/count" 2>/dev/null)" = 3 ]' ||
    fail "and one that is well"
CHRONIK_BUILD=$lib_build
fs_umount

# ---- options of lines; the engine stops, and ends ------------------------------------

fs_mount -o value-only,pretty-time
check_eq "$(cat "$S/umbrella/results.jsonl")" '"umbrella 3"
"umbrella 2"
"umbrella 1"' value-only
fs_umount
fs_mount -o pretty-time
check_eq "$(jq -r .ts "$S/umbrella/results.jsonl" | cut -c 1-10 | sort -u)" \
    "$(head -n 1 "$P/log.jsonl" | jq -r .ts | cut -c 1-10)" pretty-time
fs_umount
fs_mount -o timeout=1
stopped=$(engine_pid)
kill -STOP "$stopped"
check_eq "$(why "$S/stopped")" "Connection timed out" "the engine stopped"
check_eq "$(why "$K/k1.jsonl")" "No route to host" "the next"
kill -CONT "$stopped"
stopped=
wait_until stat "$S/goes on" >/dev/null 2>&1 || fail "it does not go on"
engine_kill9
wait_ready || fail "the engine does not come back"
wait_until eval '[ "$(cat "$S/umbrella/count" 2>/dev/null)" = 3 ]' ||
    fail "after a kill"
fs_umount

# ---- a topic that is compacted -------------------------------------------------------

check_rc 0 chronik topic create c --partitions 1 \
    --config cleanup.policy=compact --config segment.bytes=1048576 \
    --config segment.ms=500 --config min.cleanable.dirty.ratio=0.01 \
    --config search.enable=true
for r in 1 2 3; do
	seq 4000 | awk -v r=$r '{ printf "k%d\t{\"r\":%d}\n", $1 % 50, r }' |
	    produce c 0 -K '	'
done
fs_mount
compared()
{
	jq -c 'select(.k == "k7")' "$M/topics/c/0/log.jsonl" >"$tmp/want" &&
	    jq -c . "$M/topics/c/0/by-key/k7.jsonl" 2>/dev/null |
	    cmp -s - "$tmp/want"
}
wait_until compared || fail "by-key of a compacted topic: $(wc -l \
    "$tmp/want" "$M/topics/c/0/by-key/k7.jsonl" 2>&1)"
fs_umount
broker_stop
