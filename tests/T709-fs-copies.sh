#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Copies of the text of sealed segments, which the kernel reads by itself: the
# same bytes as those that chronik-fs renders, under every tool; within their
# bounds; given up without a word to the reader; and gone when they should be.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
. "$(dirname "$0")/fs_tools.sh"
[ "$(id -u)" = 0 ] || skip "only root names files to the kernel"

M2=$tmp/m2
small=$tmp/small
mkdir "$M2" "$small"
test_cleanup()
{
	! mountpoint -q "$small" || umount -l "$small"
}

# metric NAME; fresh: those of now, which are kept for a second.
metric()
{
	sed -n "s/^chronik_fs_$1 //p" "$M/.chronik/metrics"
}
fresh()
{
	local calls

	calls=$(metric calls_total)
	wait_until eval '[ "$(metric calls_total)" != '"$calls"' ]' ||
	    fail "metrics stay"
}

# ways N COMMAND...: so many of the files that it opens the kernel reads by
# itself.
ways()
{
	local n wanted=$1

	fresh
	n=$(metric passthrough_files_total)
	shift
	"$@" || fail "$*"
	fresh
	check_eq $(($(metric passthrough_files_total) - n)) "$wanted" \
	    "files that the kernel reads, $*"
}

# Every copy is whole, and has the text.
all_right()
{
	local f

	for f in $sealed; do
		cmp "$P/segments/$f" "$rendered/$f" || fail "$f, $*"
	done
}

broker_start --gateways 1 --log-retention-check-interval-ms 200
check_rc 0 chronik topic create t --partitions 1 \
    --config segment.bytes=1048576 --config file.delete.delay.ms=0
for z in none lz4 zstd snappy gzip; do
	json 8000 | produce t 0 -z $z -H a=b -H n
	printf '\377\376\n"x\nnull\n\t\n[1]\n' | produce t 0 -z $z -K '	'
done
json 60000 | produce t 0
check_rc 0 "$CHRONIK_BUILD/chronik-fs" --engine "$ENGINE" \
    -o no-passthrough,cache=none "$M2"
rendered=$M2/topics/t/0/segments
sealed=$(ls "$rendered" | grep 'jsonl$' | sed '$d')
first=$(echo "$sealed" | head -n 1)
nsealed=$(echo "$sealed" | wc -l)
[ "$nsealed" -gt 3 ] || fail "sealed: $sealed"
for f in $sealed; do
	cat "$rendered/$f" >"$tmp/$f"
done

fs_mount -o rw
cat "$P/segments/${first%.jsonl}.log" >"$tmp/out"
fresh
[ "$(metric passthrough_files_total)" = 1 ] ||
    skip "the kernel reads no file by itself here"

# ---- the same bytes, either way --------------------------------------------------------

ways 0 all_right "rendered"
check_eq "$(metric copies)" "$nsealed" copies
check_eq "$(metric copy_bytes)" "$(cd "$tmp" && cat $sealed | wc -c)" \
    "what is in them"
ways "$nsealed" all_right "read by the kernel"
ways 0 cmp <(cd "$tmp" && cat $sealed) <(head -c "$(metric copy_bytes)" \
    "$P/log.jsonl")
made=$(metric blocks_rendered_total)
want=$tmp/$first
mkdir "$tmp/c"
n=$(metric passthrough_files_total)
tools "$P/segments/$first"
fresh
[ "$(metric passthrough_files_total)" -gt $((n + 10)) ] ||
    fail "the tools did not read the copy"
check_eq "$(metric blocks_rendered_total)" "$made" "rendered meanwhile"

# What is read in parts is a copy when all parts were read, in whatever order.
echo drop-caches >"$M/.chronik/ctl"
fresh
check_eq "$(metric copies) $(metric copy_bytes)" "0 0" "after drop-caches"
last=$P/segments/$(echo "$sealed" | tail -n 1)
size=$(stat -c %s "$last")
for k in 5 3 4 0 2 1; do
	tail -c +$((size / 6 * k + 1)) "$last" | head -c $((size / 6 + 6)) |
	    cmp - <(tail -c +$((size / 6 * k + 1)) "$tmp/${last##*/}" |
	    head -c $((size / 6 + 6))) || fail "part $k"
done
ways 1 cmp "$last" "$tmp/${last##*/}"

# All open files of one are read in one way, until nobody has it open.
ways 0 head -c 1 "$P/segments/$first" >"$tmp/out"
exec 8<"$P/segments/$first"
ways 0 cmp "$P/segments/$first" "$want"
cmp - "$want" <&8 || fail "the one that is open"
ways 0 cmp "$P/segments/$first" "$want"
exec 8<&-
ways 1 cmp "$P/segments/$first" "$want"
exec 8<"$P/segments/$first"
ways 1 cmp "$P/segments/$first" "$want"
echo drop-caches >"$M/.chronik/ctl"
fresh
check_eq "$(metric copies)" 1 "one that is open stays"
cmp - "$want" <&8 || fail "the one that is open, of the kernel"
exec 8<&-

# ---- while it grows, and while it is deleted -----------------------------------------

active=$P/segments/$(ls "$P/segments" | grep 'jsonl$' | tail -n 1)
exec 7<"$active"
cat <&7 >"$tmp/begin"
json 20000 | produce t 0
name=${active##*/}
ways 0 cmp "$active" "$rendered/$name"
cmp "$active" <(cat "$tmp/begin" - <&7) || fail "what was open while it grew"
exec 7<&-
ways 0 cmp "$active" "$rendered/$name"
ways 1 cmp "$active" "$rendered/$name"

exec 8<"$P/segments/$first"
wait_until eval '[ "$(metric passthrough_files_total)" -gt 0 ]'
second=$P/segments/$(echo "$sealed" | sed -n 2p)
exec 7<"$second"
head -c 1000 <&7 | cmp - <(head -c 1000 "$tmp/${second##*/}") || fail second
chronik topic set t --config retention.bytes=2097152 >/dev/null || fail "set"
wait_until eval '! ls "$P/segments" | grep -q "${second##*/}"' ||
    fail "retention"
cmp - "$want" <&8 || fail "a copy of what is deleted"
cat <&7 >"$tmp/out" 2>"$tmp/err" &&
    fail "what is deleted is there: $(wc -c <"$tmp/out")"
check_grep 'Stale file handle' "$tmp/err" "what is deleted, rendered"
check_eq "$(metric copies)" 2 "what is deleted is no copy"
exec 8<&- 7<&-
fs_umount
fusermount3 -u "$M2"

# ---- bounds ----------------------------------------------------------------------------

for bad in x -1 4iB G 4T 1KK 99999999999G '' 1.5G; do
	check_rc 2 "$CHRONIK_BUILD/chronik-fs" -o "cache-size=$bad" \
	    --engine "$ENGINE" "$M"
	check_grep cache-size "$tmp/err" "cache-size=$bad"
done
check_rc 0 chronik topic create u --partitions 1 \
    --config segment.bytes=1048576 --config file.delete.delay.ms=0
json 100000 | produce u 0
P=$M/topics/u/0
fs_mount -o cache-size=0
sealed=$(ls "$P/segments" | grep 'jsonl$' | sed '$d')
first=$(echo "$sealed" | head -n 1)
for f in $sealed; do
	cat "$P/segments/$f" >"$tmp/$f"
done
rendered=$tmp
ways 0 all_right "no copies"
check_eq "$(metric copies)" 0 "no copies"
fs_umount

fs_mount -o cache-size=4M
all_right "rendered, of few copies"
all_right "of few copies"
fresh
[ "$(metric copy_bytes)" -le 4194304 ] && [ "$(metric copies)" -gt 1 ] ||
    fail "$(metric copies) copies of $(metric copy_bytes) bytes"
# The one that was opened last is there.
ways 1 cmp "$P/segments/$f" "$tmp/$f"
fs_umount

# A quarter of what is free; and a disk that is full, or is none.
mount -t tmpfs -o size=16m none "$small" || skip "no tmpfs"
used()
{
	df --output=used -k "$small" | tail -n 1 | tr -d ' '
}
fs_mount -o rw,cache="$small/cache"
all_right "on a small disk"
all_right "on a small disk, again"
fresh
[ "$(metric copies)" -gt 0 ] && [ "$(used)" -le 4608 ] ||
    fail "$(metric copies) copies take $(used) KiB"
ways 1 cmp "$P/segments/$f" "$tmp/$f"
echo drop-caches >"$M/.chronik/ctl"
wait_until eval '[ "$(used)" -lt 200 ]' || fail "$(used) KiB stay"
exec 8<"$P/segments/$first"
fresh
check_eq "$(metric copies)" 1 "a copy that has begun"
dd if=/dev/zero of="$small/full" bs=64k status=none 2>/dev/null
cmp - "$tmp/$first" <&8 || fail "when the disk becomes full"
exec 8<&-
all_right "on a full disk"
all_right "on a full disk, again"
fresh
check_eq "$(metric copies) $(metric copy_bytes)" "0 0" "on a full disk"
check_grep 'no copies of text' "$tmp/fs.log" "what is logged"
check_eq "$(metric errors_total)" 0 "what readers hear of it"
rm "$small/full"
fs_umount

# Killed: nothing is left.
fs_mount -o cache="$small/cache"
all_right "before it is killed"
fresh
[ "$(metric copies)" -gt 0 ] || fail "no copies to be left"
kill -9 "$FS_PID"
wait "$FS_PID" 2>/dev/null
FS_PID=
umount -l "$M"
wait_until eval '[ "$(used)" -lt 200 ]' || fail "$(used) KiB are left"
check_eq "$(find "$small/cache" -type f ! -name '*.sizes')" "" "files left"
umount "$small"
fs_mount -o cache=/proc/none
all_right "without a directory for them"
fresh
check_eq "$(metric copies)" 0 "without a directory for them"
fs_umount
broker_stop
