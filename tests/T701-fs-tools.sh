#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs under the tools that people use, on sealed, active and growing
# files: each must see what kcat sees, to the byte.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
. "$(dirname "$0")/fs_tools.sh"
for c in tmux less inotifywait; do
	command -v $c >/dev/null || skip "$c is missing"
done

n=40000
[ -z "${CHRONIK_QUICK:-}" ] || n=21000
broker_start --gateways 1
check_rc 0 chronik topic create t --partitions 1 --config segment.bytes=1048576
for z in none lz4 zstd snappy gzip; do
	json $((n / 5)) | produce t 0 -z $z
done
fs_mount
PATH=$tmp/bin:$PATH

# kcat's view of it, line by line.
timeout 60 kcat -C -b "$BOOTSTRAP" -t t -p 0 -o beginning -e -q \
    -f '%o %T %s\n' >"$tmp/kcat"
jq -r '"\(.o) \(.ts) \(.v|tojson)"' "$P/log.jsonl" >"$tmp/jq"
cmp "$tmp/kcat" "$tmp/jq" || fail "kcat and log.jsonl differ"
lines=$(wc -l <"$tmp/kcat")
check_eq "$lines" $((n / 5 * 5)) "kcat's records"

# ---- every tool, on every kind of file ------------------------------------------------

sealed=$(ls "$P/segments" | grep jsonl | head -n 1)
cp "$P/segments/$sealed" "$want"
head -n "$(wc -l <"$want")" "$P/log.jsonl" | cmp - "$want" ||
    fail "the first segment"
tools "$P/segments/$sealed"
active=$(ls "$P/segments" | grep jsonl | tail -n 1)
tail -n 1 "$P/log.jsonl" | cmp - <(tail -n 1 "$P/segments/$active") ||
    fail "the last segment"
cat "$P/segments/$active" >"$want"
tools "$P/segments/$active"
cat "$P"/segments/*.jsonl >"$want"
tools "$P/log.jsonl"
# A second mount is another chronik-fs: the same bytes, and inodes.
mkdir "$tmp/m2"
inode=$(stat -c %i "$P/log.jsonl")
check_rc 0 "$CHRONIK_BUILD/chronik-fs" --engine "$ENGINE" "$tmp/m2"
check_eq "$(sum_of "$tmp/m2/topics/t/0/log.jsonl")" "$(sum_of "$want")" m2
check_eq "$(stat -c %i "$tmp/m2/topics/t/0/log.jsonl")" "$inode" inode
fusermount3 -u "$tmp/m2"

# What was measured of sealed segments is kept, and believed as far as it is
# whole.
measured()
{
	check_rc 0 "$CHRONIK_BUILD/chronik-fs" --engine "$ENGINE" "$@" "$tmp/m2"
	check_eq "$(stat -c %s "$tmp/m2/topics/t/0/log.jsonl")" \
	    "$(stat -c %s "$want")" "its size, $*"
	sed -n 's/^chronik_fs_measured_bytes_total //p' "$tmp/m2/.chronik/metrics"
	fusermount3 -u "$tmp/m2"
}
all=$(cat "$P"/segments/*.log | wc -c)
grown=$(stat -c %s "$P/segments/${active%.jsonl}.log")
kept()
{
	[ "$(find "$tmp/cache" -name "*.sizes" 2>/dev/null | wc -l)" = \
	    "$(($(ls "$P/segments" | wc -l) / 3 - 1))" ]
}
wait_until kept || fail "what is kept: $(find "$tmp/cache")"
check_eq "$(measured -o cache=none)" "$all" "measured, without a cache"
check_eq "$(measured)" "$grown" "measured again"
for f in $(find "$tmp/cache" -name '*.sizes'); do
	printf x | dd of="$f" bs=1 seek=65 conv=notrunc status=none
done
check_eq "$(measured)" "$all" "measured, when the cache is damaged"
wait_until eval '[ "$(measured)" = "$grown" ]' || fail "the cache stays damaged"

# A whole tree.
rsync -a "$P/segments/" "$tmp/c/segments/" || fail "rsync -a"
cat "$tmp"/c/segments/*.jsonl | cmp - "$want" || fail "what rsync copied"
tar -C "$M/topics" -cf - t/0/segments 2>"$tmp/err" | tar -C "$tmp/c" -xf - ||
    fail "tar: $(cat "$tmp/err")"
cat "$tmp"/c/t/0/segments/*.jsonl | cmp - "$want" || fail "what tar copied"

# less, in a terminal: the last line is on its screen after G.
tmux -S "$tmp/tmux" -f /dev/null new-session -d -x 300 -y 20 \
    "less -S '$P/log.jsonl'"
tmux -S "$tmp/tmux" send-keys G
wait_until eval 'tmux -S "$tmp/tmux" capture-pane -p |
    grep -qF "\"o\":$((lines - 1)),"' || fail "less does not show the end"
tmux -S "$tmp/tmux" kill-server

# ---- while it grows --------------------------------------------------------------------

more=$((n / 10))
inotifywait -q -t 600 -e modify "$P/log.jsonl" >"$tmp/inotify" 2>&1 &
watcher=$!
tail -n +1 -f "$P/log.jsonl" >"$tmp/followed" 2>"$tmp/tail.err" &
tailer=$!
(for i in 1 2 3 4 5 6 7 8; do json $more $i | produce t 0; done) &
producer=$!
last=0
while kill -0 $producer 2>/dev/null; do
	# Whole lines, and never less than before.
	cat "$P/log.jsonl" >"$tmp/c/cat"
	size=$(stat -c %s "$tmp/c/cat")
	[ "$size" -ge $last ] || fail "it shrank from $last to $size"
	last=$size
	[ "$(tail -c 1 "$tmp/c/cat" | od -An -c | tr -d ' ')" = '\n' ] ||
	    fail "half a line"
	check_eq "$(tail -n 1 "$tmp/c/cat" | jq -r .p)" 0 "its last line"
	cp "$P/log.jsonl" "$tmp/c/cp"
	head -c "$size" "$tmp/c/cp" | cmp - "$tmp/c/cat" || fail "cp differs"
done
wait $producer || fail "produce"
cat "$P/log.jsonl" >"$want"
total=$(wc -l <"$want")
check_eq "$(jq -s 'map(.o) == [range('"$total"')]' "$want")" true "all offsets"
wait_until cmp -s "$want" "$tmp/followed" || fail "tail -f: $(cmp "$want" \
    "$tmp/followed" 2>&1) $(cat "$tmp/tail.err")"
kill $tailer $watcher
check_eq "$(cat "$tmp/inotify")" "" "inotify, which hears only local writes"
check_eq "$(cat "$tmp/tail.err")" "" "what tail says"
cat "$P"/segments/*.jsonl | cmp - "$want" || fail "segments afterwards"
id=$(jq -r .id "$M/topics/t/meta.json" | tr -d -)
for f in "$P"/segments/*.log; do
	cmp "$f" "$DATA/topics/$id/0/${f##*/}" || fail "$f is not the segment"
done
fs_umount
broker_stop
