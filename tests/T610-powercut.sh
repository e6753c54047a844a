#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Power cuts under load, on ext4 and XFS: what was acknowledged with acks=all
# is there, no reader ever saw what is not, no offset has two values.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"

godown=$CHRONIK_BUILD/tests/godown
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
[ "$(id -u)" = 0 ] || skip "mounting needs root"
[ -e /dev/loop-control ] || skip "there are no loop devices"
command -v mkfs.ext4 >/dev/null || skip "mkfs.ext4 is not installed"
command -v mkfs.xfs >/dev/null || skip "mkfs.xfs is not installed"
cycles=${CHRONIK_CUTS:-${CHRONIK_FAULTS:+40}}
cycles=${cycles:-10}
pace=300
mnt=$tmp/mnt

suite_cleanup()
{
	checker_cleanup
	mountpoint -q "$mnt" 2>/dev/null && umount -l "$mnt"
	rm -f "$tmp"/*.img
}

# What holds files open there is gone, but the kernel may take a moment.
unmount()
{
	for n in 1 2 3 4 5 6 7 8 9 10; do
		umount "$mnt" 2>/dev/null && return
		sleep 0.2
	done
	fail "umount"
}

# No answer may leave after the cut: while it is being made, file systems call
# a sync done that has kept nothing.
freeze()
{
	engine=$(engine_pid)
	kill -STOP "$engine" || fail "kill -STOP"
	wait_until is_frozen || fail "the engine does not stand still"
}

is_frozen()
{
	grep -q ') T ' "/proc/$engine/stat"
}

one_fs()	# NAME MKFS...
{
	fs=$1
	shift
	truncate -s 1G "$tmp/$fs.img"
	"$@" "$tmp/$fs.img" >/dev/null 2>&1 || fail "mkfs of $fs"
	mkdir -p "$mnt"
	mount -o loop "$tmp/$fs.img" "$mnt" || skip "$fs cannot be mounted"
	broker_start --data-dir "$mnt/data"
	port=${BOOTSTRAP##*:}
	checker_start --power-cuts
	i=0
	while [ "$i" -lt "$cycles" ]; do
		checker_more $pace
		freeze
		"$godown" "$mnt" || fail "godown"
		broker_kill9
		unmount
		mount -o loop "$tmp/$fs.img" "$mnt" || fail "mount"
		broker_start --data-dir "$mnt/data" \
		    --bind-addr "127.0.0.1:$port"
		i=$((i + 1))
	done
	checker_more $pace
	echo "$fs: $i cuts"
	checker_end
	broker_stop
	unmount
}

one_fs ext4 mkfs.ext4 -q -F
one_fs xfs mkfs.xfs -q -f
