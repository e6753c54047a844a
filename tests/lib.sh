# SPDX-License-Identifier: Apache-2.0
#
# Sourced by every T###-*.sh: a private temporary directory, a broker of the
# test's own, ways to hurt it, and checks.  Works in sh and bash.  Nothing
# here waits without a bound, or sleeps in the hope that something is done.
#
#	tmp		the directory: removed at exit, kept after a failure
#	BOOTSTRAP	HOST:PORT of the broker, after broker_start
#	DATA, ENGINE	its data directory and the engine's socket
#	BROKER_PID	the process `chronik start`
#	BROKER_LOG	what it and its children wrote to standard error
#
# With CHRONIK_BOOTSTRAP=HOST:PORT in the environment the broker is that one,
# which is neither started, stopped nor hurt.  A test that wants something
# done at every exit defines the function suite_cleanup.

set -u
export LC_ALL=C

CHRONIK_BUILD=${CHRONIK_BUILD:-$(pwd)}
CHRONIK_SRC=${CHRONIK_SRC:-$(cd "$(dirname "$0")/.." && pwd)}
lib_wait_s=${CHRONIK_TEST_WAIT:-60}	# the bound of every wait, seconds

# Options come from the test alone.
unset CHRONIK_CONFIG CHRONIK_DATA_DIR CHRONIK_ENGINE CHRONIK_BIND_ADDR \
    CHRONIK_ADVERTISED_ADDR CHRONIK_GATEWAYS CHRONIK_LOG_LEVEL \
    CHRONIK_LOG_FORMAT CHRONIK_SYNC CHRONIK_SUPERVISOR_PID

tmp=$(mktemp -d "${TMPDIR:-/tmp}/chronik-test.XXXXXX") || exit 1
DATA=$tmp/data
ENGINE=
BOOTSTRAP=${CHRONIK_BOOTSTRAP:-}
BROKER_PID=
BROKER_LOG=$tmp/broker.log
: >"$BROKER_LOG"
lib_gateways=0

# ---- checks -----------------------------------------------------------------

fail()
{
	echo "FAILED: $*" >&2
	exit 1
}

skip()
{
	echo "skipped: $*"
	exit 77
}

# check_eq GOT WANTED WHAT
check_eq()
{
	[ "$1" = "$2" ] || fail "$3: got \"$1\", wanted \"$2\""
}

# check_grep PATTERN FILE WHAT
check_grep()
{
	grep -qe "$1" "$2" || fail "$3: no \"$1\" in: $(head -c 2000 "$2")"
}

# check_rc STATUS COMMAND...: runs it, output in $tmp/out and $tmp/err.
check_rc()
{
	lib_want=$1
	shift
	lib_rc=0
	"$@" >"$tmp/out" 2>"$tmp/err" || lib_rc=$?
	[ "$lib_rc" = "$lib_want" ] || fail "$*: exit $lib_rc, wanted" \
	    "$lib_want: $(cat "$tmp/err" "$tmp/out" | head -c 2000)"
}

# wait_until COMMAND...: until it succeeds; false when it does not in time.
wait_until()
{
	lib_end=$(($(date +%s) + lib_wait_s))
	until "$@"; do
		[ "$(date +%s)" -lt "$lib_end" ] || return 1
		sleep 0.05
	done
}

# The command under test, in bounded time; it finds the broker of the test by
# itself.
chronik()
{
	case ${1:-} in
	start|-*) timeout "$lib_wait_s" "$CHRONIK_BUILD/chronik" "$@" ;;
	*)
		CHRONIK_ENGINE=$ENGINE timeout "$lib_wait_s" \
		    "$CHRONIK_BUILD/chronik" "$@"
		;;
	esac
}

# ---- the broker -------------------------------------------------------------

# lib_word NAME LINE: the value of NAME=VALUE.
lib_word()
{
	printf '%s\n' "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

# broker_start [option of chronik start...]: on a free port, with 2 gateways
# and the data in $DATA, unless options say otherwise.  Fails the test when it
# is not ready in time; broker_try says so by its status instead, and leaves
# the one of chronik start in BROKER_RC.
broker_start()
{
	broker_try "$@" || {
		tail -n 50 "$BROKER_LOG" >&2
		fail "chronik start $*: not ready"
	}
}

broker_try()
{
	[ -z "${CHRONIK_BOOTSTRAP:-}" ] || return 0
	[ -z "$BROKER_PID" ] || fail "broker_start: there is one already"
	[ -x "$CHRONIK_BUILD/chronik" ] ||
	    fail "CHRONIK_BUILD=$CHRONIK_BUILD has no chronik"
	lib_gateways=2
	lib_bind=127.0.0.1:0
	lib_quiet=
	lib_prev=
	for lib_arg in "$@" ''; do
		case $lib_prev in
		--gateways) lib_gateways=$lib_arg ;;
		--gateways=*) lib_gateways=${lib_prev#*=} ;;
		--bind-addr) lib_bind=$lib_arg ;;
		--bind-addr=*) lib_bind=${lib_prev#*=} ;;
		--data-dir) DATA=$lib_arg ;;
		--data-dir=*) DATA=${lib_prev#*=} ;;
		--log-level*) lib_quiet=1 ;;
		esac
		lib_prev=$lib_arg
	done
	rm -f "$tmp/ready"
	mkfifo "$tmp/ready" || fail "mkfifo"
	# The options come last, so that they win.
	"$CHRONIK_BUILD/chronik" start --data-dir "$DATA" \
	    --bind-addr "$lib_bind" --gateways "$lib_gateways" "$@" \
	    >"$tmp/ready" 2>>"$BROKER_LOG" &
	BROKER_PID=$!
	lib_line=$(timeout "$lib_wait_s" head -n 1 <"$tmp/ready")
	case $lib_line in
	"ready kafka="*) ;;
	*)
		# Without a line it ends by itself, or hangs.
		[ -z "$lib_line" ] || echo "no ready line: $lib_line" >&2
		timeout 10 tail -s 0.05 --pid="$BROKER_PID" -f /dev/null ||
		    lib_kill9 "$BROKER_PID"
		BROKER_RC=0
		wait "$BROKER_PID" 2>/dev/null || BROKER_RC=$?
		BROKER_PID=
		return 1
		;;
	esac
	BOOTSTRAP=$(lib_word kafka "$lib_line")
	ENGINE=$(lib_word engine "$lib_line")
}

# Ends a broker that does not start, with all its children.
lib_kill9()
{
	kill -0 "$1" 2>/dev/null || return 0
	lib_pids="$1 $(lib_children "$1")"
	kill -9 $lib_pids 2>/dev/null
}

# lib_children PID [NAME]: living children of a process.
lib_children()
{
	cat /proc/[0-9]*/stat 2>/dev/null | awk -v ppid="$1" \
	    -v name="${2:-}" '$4 == ppid && $3 != "Z" &&
	    (name == "" || $2 == "(" name ")") { print $1 }'
}

lib_own()
{
	[ -n "$BROKER_PID" ] || fail "$1: the broker is not of this test"
}

# lib_gone PID...: none of them lives.  One of many threads is a zombie from the
# first moment, and holds its files until the last thread's write has ended.
lib_gone()
{
	for lib_p in "$@"; do
		case $(cat "/proc/$lib_p/task/"*/stat 2>/dev/null | sed \
		    's/.*) \(.\) .*/\1/' | tr -d '\n') in
		''|Z) ;;
		*) return 1 ;;
		esac
	done
}

lib_await_gone()
{
	wait_until lib_gone "$@" || fail "still alive: $*"
}

# Ends it with SIGTERM; it must say that all went well.
broker_stop()
{
	lib_stop || fail "the broker does not end well"
}

lib_stop()
{
	[ -n "$BROKER_PID" ] || return 0
	lib_pids=$(lib_children "$BROKER_PID")
	lib_rc=0
	kill "$BROKER_PID" 2>/dev/null
	timeout "$lib_wait_s" tail -s 0.05 --pid="$BROKER_PID" -f /dev/null || {
		echo "it does not stop" >&2
		return 1
	}
	wait "$BROKER_PID" || lib_rc=$?
	BROKER_PID=
	[ "$lib_rc" = 0 ] || {
		echo "its status is $lib_rc" >&2
		return 1
	}
	lib_gone $lib_pids || {
		echo "it left behind: $lib_pids" >&2
		return 1
	}
	lib_log_clean
}

# Ends all of it as a power cut of the processes.
broker_kill9()
{
	lib_own broker_kill9
	lib_pids="$BROKER_PID $(lib_children "$BROKER_PID")"
	kill -9 $lib_pids 2>/dev/null
	wait "$BROKER_PID" 2>/dev/null
	BROKER_PID=
	lib_await_gone $lib_pids
}

engine_pid()
{
	lib_children "$BROKER_PID" chronik-engine
}

gateway_pids()
{
	lib_children "$BROKER_PID" chronik-gateway
}

# lib_signal SIGNAL PID: returns when the process is gone; its supervisor
# starts another.
lib_signal()
{
	[ -n "$2" ] || fail "there is nothing to send a signal to"
	kill "-$1" "$2" || fail "kill -$1 $2"
	lib_await_gone "$2"
}

# One may be on its way: wait for it first.
lib_engine()
{
	[ -n "$(engine_pid)" ]
}

lib_gateway()
{
	[ -n "$(gateway_pids | sed -n "${1}p")" ]
}

engine_kill9()
{
	lib_own engine_kill9
	wait_until lib_engine || fail "the engine is not started again"
	lib_signal KILL "$(engine_pid)"
}

engine_restart()
{
	lib_own engine_restart
	wait_until lib_engine || fail "the engine is not started again"
	lib_signal TERM "$(engine_pid)"
}

# gateway_kill9 [N], gateway_restart [N]: the Nth gateway, the first if not
# given.
gateway_kill9()
{
	lib_own gateway_kill9
	wait_until lib_gateway "${1:-1}" || fail "there is no such gateway"
	lib_signal KILL "$(gateway_pids | sed -n "${1:-1}p")"
}

gateway_restart()
{
	lib_own gateway_restart
	wait_until lib_gateway "${1:-1}" || fail "there is no such gateway"
	lib_signal TERM "$(gateway_pids | sed -n "${1:-1}p")"
}

# True when every process that should be there has said that it is ready.
lib_all_ready()
{
	[ -n "$BROKER_PID" ] && [ -z "$lib_quiet" ] || return 0
	lib_pids="$(engine_pid) $(gateway_pids)"
	[ "$(echo $lib_pids | wc -w)" = $((lib_gateways + 1)) ] || return 1
	for lib_p in $lib_pids; do
		grep -qE "ready\"?[ ,].*pid\"?[=:]$lib_p\b" "$BROKER_LOG" ||
		    return 1
	done
}

# True when a Metadata request (version 1, no topics), which crosses to the
# engine, is answered: 4 bytes of length, then its correlation id 7.
kafka_answers()
{
	lib_host=${BOOTSTRAP%:*}
	lib_host=${lib_host#[}
	lib_answer=$(timeout 5 bash -c '
		exec 3<>"/dev/tcp/$0/$1" || exit 1
		printf "\0\0\0\16\0\3\0\1\0\0\0\7\377\377\0\0\0\0" >&3
		head -c 8 <&3 | od -An -tx1' "${lib_host%]}" \
	    "${BOOTSTRAP##*:}" 2>/dev/null | tr -d ' \n')
	case $lib_answer in
	????????00000007) return 0 ;;
	*) return 1 ;;
	esac
}

lib_ready()
{
	lib_all_ready || return 1
	[ -n "${CHRONIK_BOOTSTRAP:-}" ] ||
	    chronik cluster status --timeout-ms 2000 >/dev/null 2>&1 ||
	    return 1
	kafka_answers
}

# Until clients are served, by all gateways and the engine.
wait_ready()
{
	wait_until lib_ready
}

# What no process may ever have written.
lib_log_clean()
{
	! grep -m 5 -aE 'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|assertion failed' \
	    "$BROKER_LOG" >&2
}

# ---- the end ----------------------------------------------------------------

lib_exit()
{
	lib_status=$?
	trap - EXIT HUP INT TERM
	if [ $lib_status = 0 ]; then
		lib_stop && lib_log_clean || {
			echo "FAILED: the broker does not end well" >&2
			lib_status=1
		}
	fi
	if [ -n "$BROKER_PID" ]; then
		lib_kill9 "$BROKER_PID"
		wait "$BROKER_PID" 2>/dev/null
	fi
	! command -v suite_cleanup >/dev/null || suite_cleanup
	if [ $lib_status = 0 ] || [ $lib_status = 77 ]; then
		rm -rf "$tmp"
	else
		[ ! -s "$BROKER_LOG" ] || {
			echo "the end of the broker's log:"
			tail -n 30 "$BROKER_LOG"
		} >&2
		echo "kept: $tmp" >&2
	fi
	exit $lib_status
}
trap lib_exit EXIT
trap 'exit 1' HUP INT TERM
