#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a machine may lack: files (EMFILE), memory (a cgroup), calls of the file
# system (EOPNOTSUPP), a disk that answers in time, a clock that stands still.
# Each time the broker serves what it can, and all of it when the lack is over.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"
. "$(dirname "$0")/rigs.sh"
command -v kcat >/dev/null || skip "kcat is not installed"
rig_needs strace prlimit
cgroup=
suite_cleanup()
{
	checker_cleanup
	[ -z "${readers:-}" ] || kill $readers 2>/dev/null
	rm -f "$TRIGGER"
	! mountpoint -q "$MNT" 2>/dev/null || umount -l "$MNT"
	nbd_stop
	[ -z "$cgroup" ] || rmdir "$cgroup" 2>/dev/null
}

probe()
{
	echo "$1" | timeout "${2:-20}" kcat -P -b "$BOOTSTRAP" -t probe \
	    -p 0 -X message.timeout.ms="${3:-15000}" 2>/dev/null
}

probes()
{
	timeout 20 kcat -C -e -q -b "$BOOTSTRAP" -t probe -p 0 \
	    -o beginning 2>/dev/null | tr '\n' ' '
}

# ---- two engines, P11 -------------------------------------------------------

broker_start
chronik topic create probe >/dev/null || fail "create"
probe one || fail "no room for a record"
check_rc 3 "$CHRONIK_BUILD/chronik-engine" --data-dir "$DATA" \
    --engine "$tmp/other.sock"
check_grep "in use by another engine" "$tmp/err" "a second engine"
check_eq "$(probes)" "one " "after a second engine"

# ---- an older state of the directory, P12 -----------------------------------

broker_stop
cp -a "$DATA" "$tmp/older"
broker_start
probe two || fail "produce"
broker_stop
mv "$DATA" "$tmp/newer"
mv "$tmp/older" "$DATA"
broker_start
check_eq "$(probes)" "one " "an older state is served as it is"
probe three || fail "produce"
check_eq "$(probes)" "one three " "and goes on"
echo "two engines, an older state: refused, served"

# ---- files, D13 -------------------------------------------------------------

limit=40
prlimit --pid "$(engine_pid)" --nofile=$limit:20000
for n in 1 2 3 4 5 6 7 8; do
	chronik topic create "files$n" --partitions 16 \
	    --timeout-ms 3000 >/dev/null 2>&1
done
check_rc 0 chronik cluster status
prlimit --pid "$(engine_pid)" --nofile=20000:20000
wait_until probe four || fail "no record after the files are back"
for g in $(gateway_pids); do
	prlimit --pid "$g" --nofile=30:20000
done
for n in $(seq 60); do
	exec {held}<>"/dev/tcp/${BOOTSTRAP%:*}/${BOOTSTRAP##*:}" &&
	    holds="${holds:-} $held"
done 2>/dev/null
for g in $(gateway_pids); do
	prlimit --pid "$g" --nofile=20000:20000
done
for held in $holds; do
	exec {held}>&-
done
wait_until probe five || fail "no record after connections are free"
wait_ready || fail "not ready after EMFILE"
case $(probes) in
*four*five*) ;;
*) fail "records after EMFILE: $(probes)" ;;
esac
broker_stop
echo "EMFILE: engine with $limit files, gateways with 30"

# ---- calls that are not there, D12 ------------------------------------------

if strace -qq -o /dev/null -e trace=none true 2>/dev/null; then
	broker_start
	timeout 60 strace -f -qq -o /dev/null -e trace=fallocate \
	    -e inject=fallocate:error=EOPNOTSUPP -p "$(engine_pid)" &
	tracer=$!
	disown
	check_rc 0 chronik topic create plain --config preallocate=true
	probe six || fail "no record without fallocate"
	kill "$tracer" 2>/dev/null
	wait_until lib_gone "$tracer"
	broker_stop
	echo "fallocate is not supported: served"
fi

# ---- memory, D15 ------------------------------------------------------------

for m in /sys/fs/cgroup/memory /sys/fs/cgroup; do
	[ -w "$m/cgroup.procs" ] && mkdir "$m/chronik-test-$$" \
	    2>/dev/null && cgroup=$m/chronik-test-$$ && break
done
# cgroup_limit MB: false when it cannot be set.
cgroup_limit()
{
	echo $(($1 << 20)) >"$cgroup/memory.limit_in_bytes" ||
	    echo $(($1 << 20)) >"$cgroup/memory.max"
} 2>/dev/null
if [ -n "$cgroup" ] && cgroup_limit 128; then
	for mb in 128 64; do
		broker_start
		cgroup_limit $mb || fail "a cgroup of $mb MB"
		for p in $(engine_pid) $(gateway_pids); do
			echo "$p" >"$cgroup/cgroup.procs"
		done
		was=$(engine_pid)
		checker_start --rate 3000 --heal-s 60
		checker_more 5000
		checker_end
		check_eq "$(engine_pid)" "$was" "the engine in $mb MB"
		broker_stop
		echo "a cgroup of $mb MB: served"
	done
else
	echo "no memory cgroup can be made: left out"
fi

# ---- a clock that jumps, T1 -------------------------------------------------

faketime=
for l in /usr/lib/*/faketime/libfaketimeMT.so.1; do
	[ -e "$l" ] && faketime=$l
done
if [ -n "$faketime" ]; then
	# Only the engine's clock: its supervisor and gateways keep theirs.
	mkdir "$tmp/bin"
	cp "$CHRONIK_BUILD/chronik" "$CHRONIK_BUILD/chronik-gateway" \
	    "$tmp/bin" || fail "cp"
	cat >"$tmp/bin/chronik-engine" <<-END
		#!/bin/sh
		export LD_PRELOAD=$faketime FAKETIME_NO_CACHE=1
		export FAKETIME_DONT_FAKE_MONOTONIC=1
		export FAKETIME_TIMESTAMP_FILE=$tmp/clock
		exec $CHRONIK_BUILD/chronik-engine "\$@"
	END
	chmod +x "$tmp/bin/chronik-engine"
	echo +0 >"$tmp/clock"
	build=$CHRONIK_BUILD
	CHRONIK_BUILD=$tmp/bin
	broker_start --log-retention-check-interval-ms 300
	chronik topic create stays --config retention.ms=604800000 \
	    >/dev/null || fail "create"
	echo kept | timeout 20 kcat -P -b "$BOOTSTRAP" -t stays -p 0 ||
	    fail "produce"
	# By the producers' clocks records would be out of range now.
	chronik topic create times --config \
	    message.timestamp.type=LogAppendTime >/dev/null || fail "create"
	want=
	for jump in +1d -1d -1h +10m -10y +10y +0; do
		echo "$jump" >"$tmp/clock"
		for n in 1 2 3; do
			echo "$jump.$n" | timeout 20 kcat -P -b \
			    "$BOOTSTRAP" -t times -p 0 || fail "at $jump"
			want="$want$jump.$n "
		done
		timeout 30 kcat -C -e -q -b "$BOOTSTRAP" -G clock -o beginning \
		    times >/dev/null 2>&1 || fail "a group at $jump"
		# A clock a day off deletes nothing of a week.
		case $jump in
		+10y|-10y) ;;
		*)
			check_eq "$(timeout 20 kcat -C -e -q -b \
			    "$BOOTSTRAP" -t stays -p 0 -o beginning)" \
			    kept "retention at $jump"
			;;
		esac
		[ "$jump" != -1h ] || chronik topic set stays times --config \
		    retention.ms=-1 >/dev/null || fail "set"
	done
	check_eq "$(timeout 20 kcat -C -e -q -b "$BOOTSTRAP" -t times -p 0 \
	    -o beginning | tr '\n' ' ')" "$want" "records, in order"
	broker_stop
	CHRONIK_BUILD=$build
	echo "the clock by a day, an hour, ten years: nothing lost"
else
	echo "libfaketime is not installed: the clock is left out"
fi

# ---- a slow disk, and one that hangs: D11 -----------------------------------

[ "$(id -u)" = 0 ] && [ -e /dev/loop-control ] && [ -c /dev/fuse ] &&
    command -v nbdkit >/dev/null && command -v nbdfuse >/dev/null || {
	echo "no root, loop, nbdkit or nbdfuse: the slow disk is left out"
	exit 0
}
disk_make ext4 400M
mkdir -p "$tmp/nbd"
nbd_start pause delay -- pause-control="$tmp/pause.sock" wdelay=200ms
disk_mount "$tmp/nbd/nbd"
broker_start --data-dir "$MNT/data"
chronik topic create probe >/dev/null || fail "create on a slow disk"
chronik topic create still >/dev/null || fail "create on a slow disk"
probe slow 30 25000 || fail "no record on a slow disk"
checker_start --workload append --rate 200 --heal-s 60
checker_more 200
hang=20
rig_long && hang=30
# Members of a group that do not know of the disk: longer than their session
# it hangs, and the same two are there afterwards, of the same generation.  Their
# topic is empty, for kcat commits by itself, and a commit that a disk does not
# take in time makes librdkafka look for another coordinator and join anew.
members()
{
	chronik group show still --format json | jq -c '.items[0] |
	    [.state, ([.members[].id] | sort)]'
}
stable()
{
	# A join that was asked twice leaves a third one, for a while.
	[ "$(members 2>/dev/null | jq -c '[.[0], (.[1] | length)]')" = \
	    '["Stable",2]' ]
}
for n in 1 2; do
	kcat -b "$BOOTSTRAP" -G still -q -X session.timeout.ms=12000 \
	    -X heartbeat.interval.ms=500 still \
	    >/dev/null 2>&1 &
	readers="${readers:-} $!"
done
wait_until stable || fail "no group of two: $(members)"
group=$(members)
# p: no request of the disk is answered any more.
pause()
{
	python3 - "$tmp/pause.sock" "$1" <<-'END' || fail "pause $1"
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(sys.argv[2].encode())
		s.shutdown(socket.SHUT_WR)
		s.recv(1)
	END
}
# A disk that still hangs cannot be unmounted.
stalled()
{
	ps -eLo pid,tid,stat,wchan:32,comm | grep -E 'STAT|chronik' >&2
	for t in $(ps -eLo tid,stat,comm | awk '$2 ~ /D/ && /chronik/ {
	    print $1 }'); do
		grep -H . "/proc/$t/syscall" "/proc/$t/stack" >&2
	done
	pause r
	fail "$1"
}
rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' \
    "/proc/$(engine_pid)/status")
pause p
end=$(($(date +%s) + hang))
while [ "$(date +%s)" -lt "$end" ]; do
	chronik topic ls >/dev/null || stalled "no topics while it hangs"
	kafka_answers || stalled "no Metadata while the disk hangs"
	sleep 0.2
done
# An acks=all that cannot be kept is not acknowledged.
! probe hung 10 1500 || stalled "acknowledged by a disk that hangs"
after=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' \
    "/proc/$(engine_pid)/status")
[ "$(members)" = "$group" ] ||
    stalled "the group while the disk hangs: $(members), was $group"
pause r
check_eq "$(members)" "$group" "the group after the disk hung"
[ "$after" -lt $((rss + 300000)) ] || fail "memory: $rss, then $after kB"
checker_more 200
checker_end
check_eq "$(members)" "$group" "the group at the end"
kill $readers
broker_stop
disk_unmount
nbd_stop
echo "a disk with 200 ms, and one that hung $hang s: $rss, then $after kB"
