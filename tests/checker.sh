# SPDX-License-Identifier: Apache-2.0
#
# Sourced after lib.sh by tests that hurt a broker under load: chronik-check
# in the background, paced by what it has acknowledged.
#
#	HISTORY		the directory of its histories
#	CHECKER_PID	the process, empty when there is none
#
# A test with a suite_cleanup of its own calls checker_cleanup in it.

checker=$CHRONIK_BUILD/tests/chronik-check
HISTORY=$tmp/history
CHECKER_PID=

[ -x "$checker" ] || skip "librdkafka's headers were missing at build time"

# checker_start [option of chronik-check run...]: runs until checker_end.
checker_start()
{
	rm -rf "$tmp/stop" "$tmp/progress" "$HISTORY"
	mkfifo "$tmp/stop" || fail "mkfifo"
	"$checker" run --bootstrap "$BOOTSTRAP" --until-eof \
	    --progress "$tmp/progress" "$@" "$HISTORY" <"$tmp/stop" \
	    >"$tmp/checker.out" 2>"$tmp/checker.err" &
	CHECKER_PID=$!
	exec 7>"$tmp/stop"
}

checker_acked()
{
	lib_n=$(cat "$tmp/progress" 2>/dev/null)
	echo "${lib_n:-0}"
}

checker_past()
{
	! kill -0 "$CHECKER_PID" 2>/dev/null || [ "$(checker_acked)" -ge "$1" ]
}

# checker_more N: until N more records are acknowledged.
checker_more()
{
	lib_more=$(($(checker_acked) + $1))
	wait_until checker_past "$lib_more" ||
	    fail "no progress: $(checker_acked) of $lib_more acknowledged"
	kill -0 "$CHECKER_PID" 2>/dev/null || {
		cat "$tmp/checker.err" "$tmp/checker.out" >&2
		fail "the load ended early"
	}
}

# Ends the load: the verdict goes to standard output, its status to
# $checker_rc.
checker_verdict()
{
	checker_rc=0
	echo stop >&7	# a broker that was started meanwhile holds it open
	exec 7>&-
	wait "$CHECKER_PID" || checker_rc=$?
	CHECKER_PID=
	cat "$tmp/checker.out"
	cat "$tmp/checker.err" >&2
}

# The same, and the verdict must be good.
checker_end()
{
	checker_verdict
	[ "$checker_rc" = 0 ] || fail "the checker's verdict: $checker_rc"
}

checker_cleanup()
{
	[ -z "$CHECKER_PID" ] || kill "$CHECKER_PID" 2>/dev/null
}

suite_cleanup()
{
	checker_cleanup
}
