#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real I/O errors of a disk under ext4 and XFS: on the way out (writes, and so
# syncs) and on the way in.  Nothing that was not synced is acknowledged, and
# what a failed sync left in the page cache, which the disk does not hold, is
# never served; the engine comes back by itself when the disk does.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"
. "$(dirname "$0")/rigs.sh"
rig_root
rig_needs nbdkit nbdfuse
command -v kcat >/dev/null || skip "kcat is not installed"

# Serves, with the disk as it should be: the engine, or another one.
serves()
{
	[ -n "$(engine_pid)" ] && chronik cluster status --timeout-ms 2000 \
	    >/dev/null 2>&1 && echo probe | timeout 5 kcat -P \
	    -b "$BOOTSTRAP" -t probe -p 0 -X message.timeout.ms=4000 \
	    2>/dev/null
}

noticed()
{
	[ "$(grep -c 'disk call failed' "$BROKER_LOG")" -gt "$1" ]
}

# All records of a topic, as a new reader gets them and as the disk has them.
records()
{
	timeout 30 kcat -C -q -e -b "$BOOTSTRAP" -t "$1" -p 0 -o beginning \
	    -f '%o %s\n' || fail "read $1"
}

# A file system that turned read-only stays so: it is mounted anew.
remount()
{
	broker_kill9
	disk_unmount
	disk_mount "$tmp/nbd/nbd" "$options"
	broker_start --data-dir "$MNT/data" --bind-addr "127.0.0.1:$port"
}

is_readonly()
{
	! touch "$MNT/touch" 2>/dev/null
}

one_fs()	# FS MOUNT-OPTION|log
{
	fs=$1
	options=$2
	readonly_seen=0
	if [ "$2" = log ]; then
		disk_make "$fs" 400M log
		options=logdev=$LOGDEV
		[ "$fs" = xfs ] || options=journal_path=$LOGDEV
	else
		disk_make "$fs" 400M
	fi
	nbd_start error -- error-pwrite=EIO error-pwrite-rate=100% \
	    error-pwrite-file="$TRIGGER" error-pread=EIO \
	    error-pread-rate=100% error-pread-file="$TRIGGER.read"
	disk_mount "$tmp/nbd/nbd" "$options"
	broker_start --data-dir "$MNT/data"
	port=${BOOTSTRAP##*:}
	chronik topic create probe truth >/dev/null || fail "create"
	checker_start --heal-s 60 --rate 300 --power-cuts
	i=0
	while [ "$i" -lt "$cycles" ]; do
		checker_more 200
		seq "$i" | sed 's/^/before /' | timeout 20 kcat -P -b \
		    "$BOOTSTRAP" -t truth -p 0 -X acks=all || fail "truth"
		records truth >"$tmp/acked"
		seen=$(grep -c 'disk call failed' "$BROKER_LOG")
		touch "$TRIGGER"
		# Not acknowledged, whatever becomes of it.
		! echo "phantom $i" | timeout 10 kcat -P -b "$BOOTSTRAP" \
		    -t truth -p 0 -X acks=all -X message.timeout.ms=3000 \
		    2>/dev/null || fail "acknowledged, and not on the disk"
		wait_until noticed "$seen" || fail "no error reached the engine"
		rm -f "$TRIGGER"
		# ext4 may have given up (as by its option, D10), XFS shuts
		# down when its log cannot be written.
		if is_readonly; then
			readonly_seen=$((readonly_seen + 1))
			remount
		fi
		rm -f "$MNT/touch"
		wait_until serves || fail "$fs: does not serve again"
		# What was acknowledged is the beginning of what is there.
		records truth >"$tmp/now"
		head -n "$(wc -l <"$tmp/acked")" "$tmp/now" |
		    cmp -s - "$tmp/acked" || fail "$fs: acknowledged records"
		# And what is served is on the disk: past all caches.
		on_disk
		i=$((i + 1))
	done
	checker_more 200
	checker_end
	echo "$fs ($2): $i times EIO, read-only or shut down $readonly_seen"
	read_errors
	broker_stop
	disk_unmount
	nbd_stop
	log_drop
}

# The bytes of the log of "truth", by O_DIRECT, hold each record served.
on_disk()
{
	dir=$(grep -l "before\|phantom" "$MNT"/data/topics/*/0/*.log |
	    head -n 1)
	[ -n "$dir" ] || return 0
	dd if="$dir" of="$tmp/direct" iflag=direct bs=4096 2>/dev/null ||
	    return 0
	cut -d ' ' -f 2- "$tmp/now" | sort -u | while read -r r; do
		grep -aq "$r" "$tmp/direct" || echo "$r"
	done >"$tmp/missing"
	[ ! -s "$tmp/missing" ] || fail "$fs: served, and not on the disk:" \
	    "$(head -n 3 "$tmp/missing")"
}

# Reads fail: an error for what cannot be read, and nothing else.
read_errors()
{
	for n in 1 2 3 4; do
		timeout 20 kcat -P -b "$BOOTSTRAP" -t probe -p 0 \
		    "$tmp/blob" || fail "fill"
	done
	sync -f "$MNT/data" 2>/dev/null
	touch "$TRIGGER.read"
	for f in "$MNT"/data/topics/*/*/*.log; do
		dd if="$f" iflag=nocache count=0 2>/dev/null
	done
	timeout 5 kcat -C -e -q -b "$BOOTSTRAP" -t probe -p 0 -o beginning \
	    -c 1000 >/dev/null 2>&1
	check_rc 0 chronik topic ls
	rm -f "$TRIGGER.read"
	timeout 30 kcat -C -e -q -b "$BOOTSTRAP" -t probe -p 0 -o beginning \
	    -f '%S\n' >"$tmp/sizes" || fail "reads after the error"
	check_eq "$(grep -c 500000 "$tmp/sizes")" 4 "all is read again"
}

head -c 500000 /dev/urandom >"$tmp/blob"
cycles=1
rig_long && cycles=6
one_fs ext4 log
! rig_long || one_fs ext4 errors=continue
! rig_long || one_fs ext4 errors=remount-ro
one_fs xfs log
! rig_long || one_fs xfs noatime
