#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik start: the ready line, one owner of a data directory, clean stops,
# children that are killed and a supervisor that is, and topics through all of
# it.
. "$(dirname "$0")/lib.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"

children=	# of a supervisor that was killed
suite_cleanup()
{
	[ -z "$children" ] || kill -9 $children 2>/dev/null
}

topics()
{
	chronik topic ls --format tsv | cut -f 1,2,6 | tr '\t' ' '
}

# ---- finds its siblings --------------------------------------------------------

# Through a link, as beside itself; without them it says which is missing.
mkdir "$tmp/link" "$tmp/alone"
ln -s "$CHRONIK_BUILD/chronik" "$tmp/link/chronik"
check_rc 1 timeout 30 "$tmp/link/chronik" start --data-dir "$DATA" \
    --bind-addr 203.0.113.1:1
check_grep '203.0.113.1:1: ' "$tmp/err" "an address of another machine"
cp "$CHRONIK_BUILD/chronik" "$tmp/alone"
check_rc 1 timeout 30 "$tmp/alone/chronik" start --data-dir "$tmp/none" \
    --bind-addr 127.0.0.1:0
check_grep 'chronik-engine is not installed' "$tmp/err" "no sibling"
[ ! -e "$tmp/none" ] || fail "data is made without an engine"

# ---- starts, refuses a second, stops ---------------------------------------------

broker_start --gateways 2
[ -d "$DATA" ] || fail "the data directory is not made"
check_eq "${BOOTSTRAP%:*}" 127.0.0.1 "the address"
[ "${BOOTSTRAP##*:}" -gt 0 ] || fail "port 0 stays 0: $BOOTSTRAP"
kafka_answers || fail "the address of the ready line does not answer"
check_eq "$(gateway_pids | wc -l)" 2 "gateways"
for i in 1 2 3; do
	check_rc 0 chronik topic create "t$i" --partitions $i
done
before=$(topics)
check_eq "$(echo "$before" | cut -d ' ' -f 1,2 | tr '\n' ,)" "t1 1,t2 2,t3 3," \
    "the topics"

check_rc 1 chronik start --data-dir "$DATA" --bind-addr 127.0.0.1:0 \
    --engine "$tmp/second.sock"
[ ! -s "$tmp/out" ] || fail "a second start says that it is ready"
check_grep "$DATA" "$tmp/err" "a second start names the directory"
check_grep 'in use' "$tmp/err" "a second start says why it refuses"
kafka_answers || fail "the first one suffers from the second"

# An owner that does not answer is an owner.
kill -STOP "$(engine_pid)"
check_rc 3 timeout 30 "$CHRONIK_BUILD/chronik-engine" --data-dir "$DATA" \
    --engine "$tmp/second.sock"
kill -CONT "$(engine_pid)"
check_grep 'in use' "$tmp/err" "an owner that is stopped"

# Where nothing can be locked nobody can be sure to be alone.  What looks for
# leaks cannot do so for a process that is traced.
if strace -qq -o /dev/null -e trace=none true 2>/dev/null; then
	for e in EOPNOTSUPP ENOLCK EINVAL; do
		check_rc 3 env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" \
		    timeout 30 strace -f -qq -o /dev/null \
		    -e trace=fcntl -e inject=fcntl:error=$e \
		    "$CHRONIK_BUILD/chronik-engine" --data-dir "$tmp/other" \
		    --engine "$tmp/second.sock"
		check_grep 'other/LOCK cannot be locked' "$tmp/err" "$e"
	done
fi

# The port is taken: the gateway says so, and nothing stays behind.
check_rc 1 chronik start --data-dir "$tmp/other" --bind-addr "$BOOTSTRAP" \
    --gateways 1
check_grep "${BOOTSTRAP##*:}" "$tmp/err" "a port in use is named"
! chronik cluster status --data-dir "$tmp/other" >/dev/null 2>&1 ||
    fail "its engine runs on"

broker_stop
check_rc 3 chronik topic ls

# ---- again, on the same data and port ----------------------------------------------

broker_start --bind-addr "$BOOTSTRAP"
check_eq "$(topics)" "$before" "topics after a restart"

for what in engine_kill9 engine_restart gateway_kill9 gateway_restart \
    "gateway_kill9 2" "engine_kill9" "gateway_restart 2"; do
	engine=$(engine_pid)
	$what
	wait_ready || fail "not ready again after $what"
	case $what in
	engine*) [ "$(engine_pid)" != "$engine" ] || fail "$what: same" ;;
	*) check_eq "$(engine_pid)" "$engine" "the engine after $what" ;;
	esac
	check_eq "$(topics)" "$before" "topics after $what"
done
check_eq "$(gateway_pids | wc -l)" 2 "gateways after all that"

# Everything at once.
kill -9 $(engine_pid) $(gateway_pids)
wait_ready || fail "not ready again after everything was killed"
check_eq "$(topics)" "$before" "topics after everything was killed"

# ---- the supervisor is killed ---------------------------------------------------------

children="$(engine_pid) $(gateway_pids)"
kill -9 "$BROKER_PID"
wait "$BROKER_PID" 2>/dev/null
BROKER_PID=
lib_await_gone $children
children=
broker_start
check_eq "$(topics)" "$before" "topics after the supervisor was killed"

# ^C reaches the whole foreground group; here only the supervisor listens.
kill -INT "$BROKER_PID"
children=$(lib_children "$BROKER_PID")
rc=0
wait "$BROKER_PID" || rc=$?
BROKER_PID=
check_eq $rc 0 "the status after SIGINT"
lib_gone $children || fail "SIGINT leaves children"
children=

# A hang-up of the terminal is nothing.
broker_start
kill -HUP "$BROKER_PID"
check_rc 0 chronik topic create after-hup
broker_stop

# A stop that comes before anything is ready is a clean one too.
mkfifo "$tmp/early"
"$CHRONIK_BUILD/chronik" start --data-dir "$DATA" --bind-addr 127.0.0.1:0 \
    >"$tmp/early" 2>"$tmp/early.log" &
BROKER_PID=$!
exec 4<"$tmp/early"
wait_until grep -q "started.*child=chronik-engine" "$tmp/early.log" ||
    fail "no engine is started"
kill "$BROKER_PID"
rc=0
wait "$BROKER_PID" || rc=$?
BROKER_PID=
exec 4<&-
check_eq $rc 0 "the status after an early SIGTERM"

# ---- addresses ------------------------------------------------------------------------------

broker_start --advertised-addr localhost:1234
check_eq "$BOOTSTRAP" localhost:1234 "the advertised address is the one shown"
broker_stop

# All addresses: clients are told one that they can reach, or it is said that
# there is none.
if broker_try --bind-addr 0.0.0.0:0; then
	case $BOOTSTRAP in
	0.0.0.0:*) fail "clients are told 0.0.0.0" ;;
	esac
	kafka_answers || fail "$BOOTSTRAP does not answer"
	broker_stop
else
	check_eq "$BROKER_RC" 1 "the status without an address to tell"
	check_grep 'set --advertised-addr' "$BROKER_LOG" "what to set"
fi
check_rc 1 chronik start --data-dir "$DATA" --bind-addr 127.0.0.1:0 \
    --advertised-addr 0.0.0.0:9092
check_grep '^chronik-gateway: --advertised-addr 0.0.0.0:9092: ' "$tmp/err" \
    "an address that no client can reach"

if grep -qE ' lo$' /proc/net/if_inet6 2>/dev/null; then
	broker_start --bind-addr '[::1]:0'
	case $BOOTSTRAP in
	'[::1]:'[1-9]*) ;;
	*) fail "IPv6: $BOOTSTRAP" ;;
	esac
	kafka_answers || fail "$BOOTSTRAP does not answer"
	gateway_kill9
	wait_ready || fail "not ready after gateway_kill9 with IPv6"
fi

# ---- standard descriptors that are closed -----------------------------------------

broker_stop
# Some launchers leave none: no file or socket of ours may get their numbers.
"$CHRONIK_BUILD/chronik" start --data-dir "$DATA" --bind-addr 127.0.0.1:0 \
    --engine "$tmp/closed.sock" --search off <&- >&- 2>&- &
BROKER_PID=$!
ENGINE=$tmp/closed.sock
wait_until chronik cluster status >/dev/null 2>&1 ||
    fail "it does not start without standard output"
wait_until lib_gateway 1 || fail "it has no gateway"
for p in $BROKER_PID $(engine_pid) $(gateway_pids); do
	for fd in 0 1 2; do
		case $(readlink "/proc/$p/fd/$fd") in
		/dev/null|pipe:*|socket:*) ;;
		*) fail "descriptor $fd: $(readlink "/proc/$p/fd/$fd")" ;;
		esac
	done
done
check_eq "$(readlink "/proc/$BROKER_PID/fd/1")" /dev/null "standard output"
broker_stop
chronik topic ls --engine "$tmp/none" <&- >&- 2>&- && fail "there is no engine"

# ---- directories that cannot be used ------------------------------------------------

echo text >"$tmp/file"
check_rc 1 chronik start --data-dir "$tmp/file" --bind-addr 127.0.0.1:0
check_grep "$tmp/file: not a directory" "$tmp/err" "a file"
check_rc 2 chronik start --data-dir "" --bind-addr 127.0.0.1:0
check_grep 'must not be empty' "$tmp/err" "no directory"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	mkdir "$tmp/foreign"
	chmod 711 "$tmp"
	check_rc 3 setpriv --reuid 65534 --regid 65534 --clear-groups \
	    "$CHRONIK_BUILD/chronik-engine" --data-dir "$tmp/foreign/data"
	check_grep 'foreign/data: permission denied' "$tmp/err" "not ours"
fi
