# SPDX-License-Identifier: Apache-2.0
#
# Sourced after lib.sh (and checker.sh) by tests that hurt the disk under a
# broker: file systems on loop devices, disks that fail on command.  What a rig
# needs and is not there is a reason to skip, by name.
#
#	IMG, MNT	the image and where it is mounted, after disk_mount
#	LOGDEV		where its journal is, if not there
#	TRIGGER		the disk fails while this file is there (nbd_start)

IMG=
LOGDEV=
MNT=$tmp/mnt
TRIGGER=$tmp/trigger
rigs_nbd=
rigs_fuse=

[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"

# rig_needs PROGRAM...: with what each is installed.
rig_needs()
{
	for rigs_p in "$@"; do
		command -v "$rigs_p" >/dev/null || case $rigs_p in
		mkfs.xfs) skip "mkfs.xfs (xfsprogs) is not installed" ;;
		mkfs.ext4) skip "mkfs.ext4 (e2fsprogs) is not installed" ;;
		nbdfuse) skip "nbdfuse (libnbd-bin) is not installed" ;;
		*) skip "$rigs_p is not installed" ;;
		esac
	done
}

rig_root()
{
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	[ -e /dev/loop-control ] || skip "there are no loop devices"
}

# True in make check-faults.
rig_long()
{
	[ -n "${CHRONIK_FAULTS:-}" ]
}

# ---- disks ------------------------------------------------------------------

# disk_make FS SIZE [log]: a new image with a file system; with its journal on
# a device of its own, $LOGDEV, so that a disk that fails does not end the file
# system at once.
disk_make()
{
	IMG=$tmp/$1.img
	rm -f "$IMG"
	truncate -s "$2" "$IMG" || fail "truncate"
	rig_needs "mkfs.$1"
	if [ $# -gt 2 ]; then
		log_make
		disk_mkfs_log "$1"
	elif [ "$1" = ext4 ]; then
		mkfs.ext4 -q -F "$IMG" >/dev/null 2>&1
	else
		mkfs.xfs -q -f "$IMG" >/dev/null 2>&1
	fi || fail "mkfs.$1"
}

log_make()
{
	log_drop
	rm -f "$tmp/log.img"
	truncate -s 128M "$tmp/log.img" || fail "truncate"
	LOGDEV=$(losetup -f --show "$tmp/log.img") || skip "no loop device"
}

log_drop()
{
	[ -z "$LOGDEV" ] || losetup -d "$LOGDEV"
	LOGDEV=
}

disk_mkfs_log()
{
	case $1 in
	ext4)
		mkfs.ext4 -q -F -b 4096 -O journal_dev "$LOGDEV" &&
		    mkfs.ext4 -q -F -b 4096 -J "device=$LOGDEV" "$IMG"
		;;
	xfs) mkfs.xfs -q -f -l "logdev=$LOGDEV,size=64m" "$IMG" ;;
	esac >/dev/null 2>&1
}

# disk_mount [FILE [OPTION...]]: the image, or that file, at $MNT.
disk_mount()
{
	rigs_file=${1:-$IMG}
	mkdir -p "$MNT"
	mount -o "loop${2:+,$2}" "$rigs_file" "$MNT" 2>"$tmp/mount.err" ||
	    skip "cannot be mounted: $(head -n 1 "$tmp/mount.err")"
}

disk_unmount()
{
	wait_until umount "$MNT" 2>/dev/null || fail "umount $MNT"
}

# nbd_start [FILTER-AND-OPTION...]: $IMG as the file $tmp/nbd/nbd, through
# nbdkit with these filters.
nbd_start()
{
	rig_needs nbdkit nbdfuse
	[ -c /dev/fuse ] || skip "there is no /dev/fuse"
	rm -f "$tmp/nbd.sock"
	mkdir -p "$tmp/nbd"
	rigs_filters=
	while [ "${1:-}" != -- ] && [ $# -gt 0 ]; do
		rigs_filters="$rigs_filters --filter=$1"
		shift
	done
	[ $# = 0 ] || shift
	nbdkit -f --exit-with-parent -U "$tmp/nbd.sock" $rigs_filters \
	    file "$IMG" "$@" >"$tmp/nbd.log" 2>&1 &
	rigs_nbd=$!
	wait_until test -S "$tmp/nbd.sock" || fail "nbdkit: $(cat "$tmp/nbd.log")"
	nbdfuse "$tmp/nbd/nbd" --unix "$tmp/nbd.sock" \
	    >>"$tmp/nbd.log" 2>&1 &
	rigs_fuse=$!
	wait_until test -s "$tmp/nbd/nbd" || fail "nbdfuse: $(cat "$tmp/nbd.log")"
}

nbd_stop()
{
	[ -z "$rigs_fuse" ] || {
		umount -l "$tmp/nbd" 2>/dev/null
		kill "$rigs_fuse" 2>/dev/null
		wait "$rigs_fuse" 2>/dev/null
	}
	[ -z "$rigs_nbd" ] || {
		kill "$rigs_nbd" 2>/dev/null
		wait "$rigs_nbd" 2>/dev/null
	}
	rigs_nbd=
	rigs_fuse=
}

# ---- the end ----------------------------------------------------------------

suite_cleanup()
{
	! command -v checker_cleanup >/dev/null || checker_cleanup
	rm -f "$TRIGGER"
	! mountpoint -q "$MNT" 2>/dev/null || umount "$MNT" 2>/dev/null ||
	    umount -l "$MNT"
	nbd_stop
	log_drop
	rm -f "$tmp"/*.img
}
