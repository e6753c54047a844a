#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Power cuts under load, on ext4 and XFS: what was acknowledged with acks=all
# is there, no reader ever saw what is not, no offset has two values.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"
. "$(dirname "$0")/rigs.sh"
. "$(dirname "$0")/powercut.sh"

rig_root
cycles=${CHRONIK_CUTS:-${CHRONIK_FAULTS:+40}}
cycles=${cycles:-10}
pace=300

for fs in ext4 xfs; do
	disk_make "$fs" 1G
	disk_mount
	broker_start --data-dir "$MNT/data"
	checker_start --power-cuts
	i=0
	while [ "$i" -lt "$cycles" ]; do
		checker_more $pace
		cut_now
		i=$((i + 1))
	done
	checker_more $pace
	echo "$fs: $i cuts"
	checker_end
	broker_stop
	disk_unmount
done
