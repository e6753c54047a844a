#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What chronik-fs keeps has bounds: sizes in the cache directory, which are not
# believed when they are not the segment's, and memory.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
command -v python3 >/dev/null || skip "python3 is missing"

C=$XDG_CACHE_HOME/chronik-fs
broker_start --gateways 1 --log-retention-check-interval-ms 200
check_rc 0 chronik topic create t --partitions 1 \
    --config segment.bytes=1048576 --config file.delete.delay.ms=0
json 120000 | produce t 0
fs_mount
cat "$P/log.jsonl" >"$tmp/text"
nsealed=$(($(ls "$P/segments" | wc -l) / 3 - 1))
[ "$nsealed" -gt 3 ] || fail "$nsealed sealed segments"
kept()
{
	find "$C" -name '*.sizes' | sort
}
has_kept()
{
	[ "$(kept | wc -l)" = "$1" ]
}
wait_until has_kept "$nsealed" || fail "kept: $(kept)"
dir=$(dirname "$(kept | head -n 1)")
fs_umount

# measured: how many bytes a mount has to measure; the text is right.
measured()
{
	fs_mount "$@"
	cmp "$P/log.jsonl" "$tmp/text" || fail "the text, $*"
	sed -n 's/^chronik_fs_measured_bytes_total //p' "$M/.chronik/metrics"
	fs_umount
}
measured >"$tmp/few"
all=$(cat "$DATA"/topics/*/0/*.log | wc -c)
few=$(cat "$tmp/few")
[ "$few" -lt $((all / nsealed)) ] || fail "measured $few of $all"

# ---- what is not believed -----------------------------------------------------------

# forge FILE BLOCK BYTES: sizes that are whole, but say that a block of text is
# so much longer; the mark stays.
cat >"$tmp/forge.py" <<'PY'
import struct, sys
path, block, more = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
d = bytearray(open(path, 'rb').read())
for at in [60] + list(range(76 + 16 + 24 * (block + 1), len(d) - 4, 24)):
    d[at:at + 8] = struct.pack('>q', struct.unpack('>q', d[at:at + 8])[0] +
                               more)
table = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
    table.append(i)
crc = 0xffffffff
for b in d[:-4]:
    crc = table[(crc ^ b) & 255] ^ crc >> 8
d[-4:] = struct.pack('>I', crc ^ 0xffffffff)
open(path, 'wb').write(d)
PY
first=$(kept | head -n 1) second=$(kept | sed -n 2p)
cp -p "$first" "$tmp/first"
python3 "$tmp/forge.py" "$first" 0 100
fs_mount
# Whoever has read it hears that it was not so; the next one reads what is.
! cat "$P/log.jsonl" >"$tmp/out" 2>&1 || fail "forged sizes were not seen"
cmp "$P/log.jsonl" "$tmp/text" || fail "the text, after forged sizes"
[ "$(stat -c %s "$P/log.jsonl")" = "$(stat -c %s "$tmp/text")" ] ||
    fail "its size, after forged sizes"
fs_umount
cmp "$first" "$tmp/first" || fail "the forged file was not replaced"

# Of another segment, of another user, writable by others, a link: measured.
size=$(stat -c %s "$DATA"/topics/*/0/00000000000000000000.log)
for what in "cp $second $first" "chmod 622 $first" \
    "ln -sf $tmp/first $first" "truncate -s 100 $first"; do
	cp -p --remove-destination "$tmp/first" "$first"
	$what
	measured >"$tmp/now"
	[ "$(cat "$tmp/now")" -ge "$size" ] || fail "believed after $what"
done
if [ "$(id -u)" = 0 ]; then
	cp -p --remove-destination "$tmp/first" "$first"
	chown 1 "$first"
	measured >"$tmp/now"
	[ "$(cat "$tmp/now")" -ge "$size" ] || fail "believed another user"
fi
wait_until cmp -s "$first" "$tmp/first" || fail "it was not measured anew"

# The same offsets and sizes, another text, as after a backup was put back.
broker_stop
log=$(ls "$DATA"/topics/*/0/00000000000000000000.log)
cp -p "$log" "$tmp/log"
python3 - "$log" <<'PY'
import sys
path = sys.argv[1]
with open(path, 'r+b') as f:	# the epoch of the first batch: of no CRC
    f.seek(12)
    was = f.read(4)
    f.seek(12)
    f.write(bytes(was[:3]) + bytes([was[3] ^ 1]))
PY
touch -r "$tmp/log" "$log"	# else the engine looks at all of it first
broker_start --gateways 1 --log-retention-check-interval-ms 200
measured >"$tmp/now"
[ "$(cat "$tmp/now")" -ge "$size" ] || fail "believed of another segment"
broker_stop
cp "$tmp/log" "$log"
touch -r "$tmp/log" "$log"
broker_start --gateways 1 --log-retention-check-interval-ms 200

# ---- how much is kept ---------------------------------------------------------------

# Too old, too many, not of ours.
mkdir -p "$C/other/$(printf %032d 1)/0" "$C/a/b/c/d/e"
old=$C/other/$(printf %032d 1)/0/$(printf %020d 5)-1.sizes
touch -d '40 days ago' "$old"
touch "$C/a/b/c/keep.sizes" "$C/a/b/c/d/e/$(printf %020d 5)-1.sizes"
for i in $(seq 80); do
	f=$dir/$(printf %020d $((1000000000 + i)))-1.sizes
	truncate -s 1M "$f"
	touch -d "$i hours ago" "$f"
done
fs_mount
few_left()
{
	[ ! -e "$old" ] && [ "$(du -s --apparent-size -k "$C" |
	    cut -f 1)" -le $((64 * 1024 + 512)) ]
}
wait_until few_left || fail "it was not swept: $(du -s "$C")"
[ ! -e "$C/other" ] || fail "empty directories stay"
[ -e "$C/a/b/c/keep.sizes" ] || fail "a file of others is gone"
[ -e "$f" ] && fail "the oldest stays"
[ -e "$dir/$(printf %020d 1000000001)-1.sizes" ] || fail "the newest went"
[ -e "$first" ] || fail "what is used went"

# Sizes of segments that are gone go with them.
chronik topic set t --config retention.bytes=2097152 >/dev/null || fail "set"
gone()
{
	[ ! -e "$DATA/topics/"*/0/00000000000000000000.log ]
}
wait_until gone || fail "retention"
json 60000 | produce t 0
forgotten()
{
	cat "$P/log.jsonl" >"$tmp/text" 2>"$tmp/err"
	[ ! -e "$first" ]
}
wait_until forgotten || fail "sizes of a segment that is gone"
fs_umount

# ---- what is forgotten goes back to the system --------------------------------------

rss()
{
	sed -n 's/^VmRSS:\t *\([0-9]*\).*/\1/p' "/proc/$FS_PID/status"
}
nodes()
{
	sed -n 's/.*"nodes": *\([0-9]*\).*/\1/p' "$M/.chronik/status.json"
}
some=$(seq -f 'some-%03g' 300)
check_rc 0 chronik topic create $some --partitions 1
fs_mount
find "$M/topics" -type f -printf '%s\n' >/dev/null
held=$(rss)
[ "$(nodes)" -gt 10000 ] || fail "$(nodes) nodes"
check_rc 0 chronik topic delete $some --yes
# Names that are looked up in vain, and all below them, the kernel forgets.
forgotten()
{
	(cd "$M/topics" && ls -d $some) >/dev/null 2>&1
	[ "$(nodes)" -lt 100 ]
}
wait_until forgotten || fail "$(nodes) nodes stay"
less()
{
	[ "$(rss)" -lt $((held * 2 / 3)) ]
}
[ -n "${CHRONIK_QUICK:-}" ] || wait_until less ||
    fail "$(rss) KiB stay of $held"
fs_umount
broker_stop
