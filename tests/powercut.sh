# SPDX-License-Identifier: Apache-2.0
#
# Sourced after rigs.sh by tests that cut the power of a file system of their
# own, made and mounted by disk_make and disk_mount: FS_IOC_SHUTDOWN takes it
# down with everything that was not synced.

# No answer may leave after the cut: while it is being made, file systems call
# a sync done that has kept nothing.
cut_freeze()
{
	cut_engine=$(engine_pid)
	kill -STOP "$cut_engine" || fail "kill -STOP"
	wait_until cut_frozen || fail "the engine does not stand still"
}

cut_frozen()
{
	grep -q ') T ' "/proc/$cut_engine/stat"
}

# cut_now: the power goes, and comes back; the broker, whose data is there, is
# started again on its port.
cut_now()
{
	cut_freeze
	"$cut_godown" "$MNT" || fail "godown"
	broker_kill9
	disk_unmount
	disk_mount
	broker_start --data-dir "$MNT/data" --bind-addr "$BOOTSTRAP"
}

cut_godown=$CHRONIK_BUILD/tests/godown
