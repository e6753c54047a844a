#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs: what is told of an engine and of files, what can be told to the
# mount and to groups, some rows of errno, and the ways to mount.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
for c in jq python3; do
	command -v $c >/dev/null || skip "$c is missing"
done

# why COMMAND...: why it fails, none.
why()
{
	in_time "$@" 2>&1 >/dev/null | sed 's/.*: //' | grep . || echo none
}

# put TEXT FILE: why it cannot be written, none.
put()
{
	printf '%s\n' "$1" | why tee "$2"
}

broker_start --gateways 1
check_rc 0 chronik topic create t --partitions 2 --config segment.bytes=1048576
json 30000 | produce t 0 -z zstd
json 10 | produce t 1
fs_mount

# ---- read only -----------------------------------------------------------------------

check_eq "$(ls "$M/engines")" "$(jq .node_id "$M/.chronik/status.json")" engines
check_eq "$(jq -r .data_dir "$M/engines/1/meta.json")" "$DATA" "an engine"
[ ! -e "$M/engines/2" ] && [ ! -e "$M/.chronik/ctl" ] ||
    fail "what is not there"
grep " $M fuse.chronik-fs " /proc/mounts >"$tmp/mount"
for o in ro nosuid nodev noexec default_permissions; do
	check_grep "[ ,]$o[ ,]" "$tmp/mount" "mounted $o"
done
# Without -o xattr nobody pays for attributes.
check_eq "$(python3 -c 'import os, sys; print(os.listxattr(sys.argv[1]))' \
    "$P/log.jsonl" 2>&1 | grep -c 'not supported')" 1 "no attributes"
printf 'auto.offset.reset=earliest\n' >"$tmp/kcat.conf"
timeout 60 kcat -b "$BOOTSTRAP" -F "$tmp/kcat.conf" -q -c 10 \
    -X enable.auto.offset.store=true -G g t >/dev/null 2>&1
G=$M/groups/g/offsets
wait_until grep -q offset "$M/groups/g/offsets.json" || fail "no offsets"
check_eq "$(ls "$G" "$G/t" | tr '\n' ' ')" "$G: t  $G/t: 0 1 " offsets
check_eq "$(cat "$G"/t/* | awk '{ n += $1 } END { print n }')" 10 "both of them"
check_eq "$(put 5 "$G/t/0")" "Read-only file system" "to a read-only mount"
fs_umount

# ---- rw: commands, followers from a time on ------------------------------------------

fs_mount -o rw
C=$M/.chronik/ctl
check_eq "$(put nonsense "$C")" "Invalid argument" "no command"
wait_until grep -qF 'commands are drop-caches' "$M/.chronik/errors.log" ||
    fail "errors.log does not name them"
wc -l "$P/log.jsonl" >/dev/null
[ "$(jq .cache_bytes "$M/.chronik/status.json")" -gt 100000 ] ||
    fail "nothing is cached"
check_eq "$(put drop-caches "$C")" none drop-caches
wait_until eval '[ "$(jq .cache_bytes "$M/.chronik/status.json")" = 0 ]' ||
    fail "caches are not dropped"
check_eq "$(put 'log debug' "$C")" none "log debug"
check_eq "$(put reconnect "$C")" none reconnect
wait_until grep -q 'engine link up' "$tmp/fs.log" || fail "no new link"
check_eq "$(wc -l <"$P/log.jsonl")" 30000 "after it"
check_eq "$(cat "$C" 2>&1 | grep -c denied)" 1 "reading ctl"
check_eq "$(put 5 "$G/t/0")" "Operation not permitted" "without admin"

# lines FILE N: a follower gets so many.
lines()
{
	check_eq "$(timeout 60 head -n "$2" "$1" 2>/dev/null | wc -l)" "$2" \
	    "$1"
}
lines "$P/follow@-1h" 30000
lines "$M/topics/t/follow@-1w" 30010
lines "$P/follow@29990" 10
timeout 60 cat "$P/follow@-0ms" >"$tmp/now" &
pid=$!
wait_until grep -q 'followers 1$' "$M/.chronik/metrics" || fail "no follower"
echo last | produce t 0
wait_until grep -q . "$tmp/now" || fail "it hears nothing"
kill $pid
wait $pid 2>/dev/null
check_eq "$(jq -r .v "$tmp/now")" last "follow@-0ms"
for no in -x -1 1h -1y -99999999999999999999s -9999999999999999w ''; do
	[ ! -e "$P/follow@$no" ] || fail "follow@$no"
done
fs_umount

# ---- admin: where a group goes on ----------------------------------------------------

fs_mount -o admin,xattr
check_eq "$(put 17 "$G/t/0"; cat "$G/t/0")" "none
17" "an offset"
check_eq "$(put latest "$G/t/0"; cat "$G/t/0")" "none
30001" latest
check_eq "$(put earliest "$G/t/1"; cat "$G/t/1")" "none
0" earliest
for bad in 30002 -1 soon ''; do
	check_eq "$(put "$bad" "$G/t/0")" "Invalid argument" "to \"$bad\""
done
check_eq "$(cat "$G/t/0")" 30001 "it stays"
[ ! -e "$G/none" ] && [ ! -e "$G/t/2" ] || fail "what is not there"
timeout 60 kcat -b "$BOOTSTRAP" -q -G g t >/dev/null 2>&1 &
member=$!
wait_until grep -q Stable "$M/groups/g/meta.json" || fail "no member"
check_eq "$(put 17 "$G/t/0")" "Device or resource busy" "a group at work"
kill $member
wait $member 2>/dev/null

# ---- attributes ----------------------------------------------------------------------

attr()
{
	python3 - "$@" <<-'PY'
	import errno, os, sys
	for n in sys.argv[2:] or os.listxattr(sys.argv[1]):
	    try:
	        print(n[13:] + '=' + os.getxattr(sys.argv[1], n).decode())
	    except OSError as e:
	        print(n[13:], errno.errorcode[e.errno])
	PY
}
first=$(ls "$P/segments" | head -n 1)
first=$P/segments/${first%.*}
attr "$first.log" >"$tmp/attr"
n=$(wc -l <"$first.jsonl")
for want in first_offset=0 last_offset=$((n - 1)) records=$n codec=zstd \
    tier=local stored_bytes="$(stat -c %s "$first.log")" \
    max_timestamp="$(jq .ts "$first.jsonl" | sort -n | tail -n 1)" \
    min_timestamp="$(head -n 1 "$first.jsonl" | jq .ts)"; do
	check_grep "^$want\$" "$tmp/attr" "attributes"
done
check_eq "$(attr "$first.jsonl")" "$(cat "$tmp/attr")" "of its text"
check_eq "$(attr "$P/log.jsonl" user.chronik.last_offset)" last_offset=30000 \
    "of the log"
check_eq "$(attr "$P/log.jsonl" user.chronik.none)" "none ENODATA" none
check_eq "$(attr "$M/README")" "" "of another file"
! command -v getfattr >/dev/null || check_eq "$(getfattr --only-values \
    -n user.chronik.tier "$P/log.jsonl" 2>/dev/null)" local getfattr

# ---- a damaged batch -----------------------------------------------------------------

# In a segment that is sealed: no start looks through it, nor cuts it off.
check_rc 0 chronik topic create bad --partitions 1 --config segment.bytes=1048576
json 30000 | produce bad 0 -X batch.size=100000
B=$M/topics/bad/0
ls "$B"/segments/*.log >"$tmp/segments"
[ "$(wc -l <"$tmp/segments")" -ge 2 ] || fail "$(cat "$tmp/segments")"
id=$(jq -r .id "$M/topics/bad/meta.json" | tr -d -)
fs_umount
broker_stop
# A byte of the values, as disks do it: the file is not newer.
log=$DATA/topics/$id/0/00000000000000000000.log
touch -r "$log" "$tmp/time"
printf '\377' | dd of="$log" bs=1 seek=90 conv=notrunc status=none
touch -r "$tmp/time" "$log"
broker_start --gateways 1
fs_mount -o admin
for file in log.jsonl segments/00000000000000000000.jsonl by-offset/0; do
	check_eq "$(why cat "$B/$file")" "Input/output error" "damaged: $file"
done
check_grep 'Input/output error: CORRUPT' "$M/.chronik/errors.log" "its damage"
last=$(basename "$(tail -n 1 "$tmp/segments")" .log)
check_eq "$(wc -l <"$B/segments/$last.jsonl")" $((30000 - 10#$last)) \
    "another segment"

# ---- rows of errno that are not elsewhere --------------------------------------------

for op in "rm $P/log.jsonl" "mv $P/log.jsonl $P/x" "chmod 600 $P/log.jsonl" \
    "ln -s x $P/x" "mkdir $P/x" "touch $M/topics/x" "truncate -s 0 $P/log.jsonl"; do
	check_eq "$(why $op </dev/null)" "Operation not permitted" "$op"
done
check_eq "$(why cat "$P/by-offset/99999")" "No such file or directory" \
    "an offset beyond the end"
fs_umount

# ---- the ways to mount ---------------------------------------------------------------

# As mount(8) calls it, which looks for chronik-fs where programs are.
if [ "$(id -u)" = 0 ] && [ -x /sbin/mount.fuse3 ]; then
	for form in "$ENGINE $M -t fuse.chronik-fs" "chronik-fs#$ENGINE $M"; do
		check_rc 0 env PATH="$CHRONIK_BUILD:$PATH" timeout 60 \
		    /sbin/mount.fuse3 $form -o rw,timeout=20,_netdev,noauto
		fs_is_mounted || fail "$form: not mounted"
		check_eq "$(wc -l <"$P/log.jsonl")" 30001 "$form"
		[ ! -e "$P/produce" ] || fail "$form is not read only"
		umount "$M" || fail "umount of $form"
	done
fi
broker_stop
