#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A full disk of 64 MB: appends are refused with errors that clients repeat,
# reads and deletions and changes go on, and appends are taken again by
# themselves when there is room; nothing acknowledged is lost.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"
. "$(dirname "$0")/rigs.sh"
rig_root
command -v kcat >/dev/null || skip "kcat is not installed"

# filler NAME N: a topic of N half megabytes.
filler()
{
	chronik topic create "$1" --partitions 1 --config \
	    file.delete.delay.ms=0 --config segment.bytes=4194304 \
	    >/dev/null || fail "create $1"
	set --  "$1" $(yes "$tmp/half" | head -n "$2")
	topic=$1
	shift
	timeout 60 kcat -P -b "$BOOTSTRAP" -t "$topic" -p 0 \
	    -X message.max.bytes=2000000 "$@" || fail "fill $topic"
}

is_full()
{
	[ "$(grep -c 'the disk is full' "$BROKER_LOG")" -gt "$1" ]
}

has_room()
{
	[ "$(grep -c 'the disk has room again' "$BROKER_LOG")" -gt "$1" ]
}

# While it is full.
check_full()
{
	check_rc 0 chronik topic ls
	check_rc 0 chronik topic show filler
	check_rc 1 chronik topic create another --format tsv
	check_grep 'the disk is full' "$tmp/err" "a topic is made"
	check_rc 0 chronik topic set kept --config retention.ms=100000
	check_rc 0 timeout 30 kcat -C -q -e -b "$BOOTSTRAP" -t filler -p 0 \
	    -o beginning -f '%o\n'
	check_eq "$(wc -l <"$tmp/out")" "$fill" "what is read of a full disk"
	for p in $(seq 20); do
		check_rc 0 chronik topic set kept --config "retention.ms=10000$p"
	done
}

one_fs()
{
	disk_make "$1" "$2"
	disk_mount
	broker_start --data-dir "$MNT/data" \
	    --log-retention-check-interval-ms 500
	port=${BOOTSTRAP##*:}
	chronik topic create kept --partitions 1 >/dev/null || fail "create"
	filler filler "$3"
	fill=$3
	checker_start --rate 20000 --heal-s 60
	wait_until is_full "$fulls" || fail "$1 does not become full"
	check_full
	# An engine that starts on a full disk serves the same.
	engine_kill9
	wait_ready || fail "not ready on a full disk"
	check_full
	at=$(checker_acked)
	# A topic less.
	check_rc 0 chronik topic delete filler --yes
	wait_until has_room "$rooms" || fail "no room after a deletion"
	checker_more 500
	echo "$1: full at $at acknowledged, goes on after a deletion"
	rooms=$(grep -c 'the disk has room again' "$BROKER_LOG")
	fulls=$(grep -c 'the disk is full' "$BROKER_LOG")
	# Retention makes room as well; without a deletion.
	filler second $(($3 / 2))
	fill=$(($3 / 2))
	wait_until is_full "$fulls" || fail "$1 does not become full again"
	check_rc 0 chronik topic set second --config retention.bytes=1
	wait_until has_room "$rooms" || fail "no room after retention"
	checker_more 500
	checker_end
	rooms=$(grep -c 'the disk has room again' "$BROKER_LOG")
	fulls=$(grep -c 'the disk is full' "$BROKER_LOG")
	broker_stop
	disk_unmount
}

head -c 500000 /dev/urandom >"$tmp/half"
fulls=0
rooms=0
one_fs ext4 64M 80
! rig_long || {
	for round in 1 2 3; do
		one_fs ext4 64M 80
	done
	one_fs xfs 384M 560
}
! grep -E 'child=chronik-engine.*status=[1-9]|ended.*engine.*status=[1-9]' \
    "$BROKER_LOG" || fail "the engine ended of a full disk"
