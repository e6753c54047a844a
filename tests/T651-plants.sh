#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who checks the checker: engines with a bug planted in them (engine/plant.def)
# are found out by the rig that is to find them.
#
#	CHRONIK_FAULTS		all of them; else two
#	CHRONIK_PLANTS		these
#	CHRONIK_PLANT_TRIES	seeds that may pass (10); three times as many cuts
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"
. "$(dirname "$0")/rigs.sh"
. "$(dirname "$0")/powercut.sh"

[ -z "${CHRONIK_QUICK:-}" ] || skip "needs no sanitizers"
def=$CHRONIK_SRC/engine/plant.def
all=$(sed -nE 's/^PLANT\(([a-z_]+),.*/\1/p' "$def")
plants=${CHRONIK_PLANTS:-cut_whole skip_batch}
! rig_long || plants=${CHRONIK_PLANTS:-$all}
tries=${CHRONIK_PLANT_TRIES:-10}
built=$CHRONIK_BUILD/tests/planted

# The programs side by side, with the engine that is wrong.
[ -x "$built/chronik-engine" ] || fail "make planted was not run"
mkdir "$tmp/planted"
cp "$CHRONIK_BUILD/chronik" "$CHRONIK_BUILD/chronik-gateway" \
    "$built/chronik-engine" "$tmp/planted" || fail "cp"
CHRONIK_BUILD=$tmp/planted

# Without a word the planted engine is as good as any other, which the finder
# must also say.
plant_set()
{
	unset CHRONIK_PLANT
	[ "$1" = none ] || export CHRONIK_PLANT="$1"
	BROKER_LOG=$tmp/broker-$1.log
	: >"$BROKER_LOG"
	DATA=$tmp/data-$1
}

anomalies()
{
	sed -nE 's/^anomaly ([a-z-]+) .*/\1/p' "$1" | sort -u | tr '\n' ' '
}

# True when found, and $what tells as what.
find_kill()	# PLANT TRIES
{
	find_run "$@" --workload all --seconds 6 --every-ms 300 --pace 200
}

find_group()	# PLANT TRIES
{
	find_run "$@" --workload group --seconds 12 --every-ms 2000
}

find_compact()	# PLANT TRIES
{
	find_run "$@" --workload compact --seconds 12 --every-ms 2000
}

find_run()	# PLANT TRIES OPTION...
{
	p=$1
	tries_left=$2
	shift 2
	tried=0
	while [ "$tried" -lt "$tries_left" ]; do
		tried=$((tried + 1))
		plant_set "$p"
		rm -rf "$DATA" "$HISTORY"
		broker_start --log-retention-check-interval-ms 300 \
		    --group-initial-rebalance-delay-ms 0 \
		    --log-cleaner-backoff-ms 200
		checker_rc=0
		"$checker" run --bootstrap "$BOOTSTRAP" \
		    --supervisor "$BROKER_PID" --rate 600 --seed "$tried" \
		    --retention-ms 4000 --heal-s 30 "$@" "$HISTORY" \
		    >"$tmp/checker.out" 2>"$tmp/checker.err" || checker_rc=$?
		broker_kill9
		[ "$checker_rc" = 1 ] || continue
		what=$(anomalies "$tmp/checker.out")
		return 0
	done
	return 1
}

find_cut()	# PLANT TRIES
{
	plant_set "$1"
	disk_make ext4 1G
	disk_mount
	broker_start --data-dir "$MNT/data"
	checker_start --power-cuts --heal-s 30
	tried=0
	while [ "$tried" -lt $(($2 * 3)) ]; do
		checker_more 300
		cut_now
		tried=$((tried + 1))
	done
	checker_verdict >/dev/null 2>&1
	broker_kill9
	disk_unmount
	what=$(anomalies "$tmp/checker.out")
	[ "$checker_rc" = 1 ]
}

find_unit()	# PROGRAM PLANT
{
	what=$1
	! CHRONIK_PLANT=$2 timeout 300 "$built/$1" >"$tmp/unit.out" 2>&1
}

for p in none $plants; do
	finder=$(sed -nE "s/^PLANT\\($p, \"([a-z_]+)\",.*/\\1/p" "$def")
	began=$(date +%s)
	found=no
	what=
	case $finder in
	kill|group|compact) "find_$finder" "$p" "$tries" && found=yes ;;
	cut)
		[ "$(id -u)" = 0 ] && [ -e /dev/loop-control ] || {
			echo "$p: power cannot be cut here"
			continue
		}
		find_cut "$p" "$tries" && found=yes
		;;
	check_*)
		[ -x "$built/$finder" ] || fail "make planted was not run"
		find_unit "$finder" "$p" && found=yes
		;;
	'')
		[ "$p" = none ] || fail "there is no plant $p"
		find_kill none 1 && fail "found in a sound engine: $what"
		[ "$checker_rc" = 0 ] || fail "a sound engine: $checker_rc"
		continue
		;;
	esac
	echo "$p: $finder: found $found $what$(($(date +%s) - began)) s"
	[ "$found" = yes ] || missed="${missed:-} $p"
done
BROKER_LOG=$tmp/broker.log
[ -z "${missed:-}" ] || fail "not found:$missed"
