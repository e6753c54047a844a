#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Power cuts of the disk that the index is on, on ext4 and XFS, beside
# producers: what is left of the index has no gap and nothing twice, then it
# goes on from there, and random queries find what a scan finds.
#
#	CHRONIK_CUTS	how many on each (1; 10 in make check-faults)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/rigs.sh"
. "$(dirname "$0")/powercut.sh"
. "$(dirname "$0")/search.sh"
rig_root
cuts=${CHRONIK_CUTS:-${CHRONIK_FAULTS:+10}}
cuts=${cuts:-1}
lib_wait_s=$((lib_wait_s * 2))

# What a cut left is used, not thrown away: the indexer begins where a
# transaction ended.
verify_left()
{
	search verify >"$tmp/left" || {
		cat "$tmp/left"
		fail "$1: what the power cut left is wrong"
	}
	echo "$1: $(tail -n 1 "$tmp/left")"
}

cut_index()
{
	seen=$(records_in_index)
	wait_until indexed_more "$seen" || fail "nothing is indexed"
	sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
	cut_now
	wait_until indexer_other 0 || fail "no indexer"
	# The indexer lists its shards first, and throws away what is broken.
	wait_until indexed_more $((seen / 2)) || fail "the index is gone"
	verify_left "$1"
}

for fs in ext4 xfs; do
	disk_make "$fs" 1G
	disk_mount
	broker_start --data-dir "$MNT/data"
	chronik topic create --partitions 2 --config search.enable=true \
	    --config segment.bytes=1048576 logs >/dev/null ||
	    fail "topic create"
	chronik topic create --config search.enable=true \
	    --config search.positions=true plain >/dev/null ||
	    fail "topic create"
	load_start logs json none
	load_start plain mixed lz4
	i=0
	while [ "$i" -lt "$cuts" ]; do
		i=$((i + 1))
		cut_index "$fs cut $i"
		compare 5 "$i"
	done
	load_end
	index_whole
	compare 10 "$cuts" quiet
	grep 'made anew' "$BROKER_LOG" | sed 's/^/note: /'
	broker_stop
	disk_unmount
done
