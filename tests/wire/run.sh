# SPDX-License-Identifier: Apache-2.0
# Sourced by the wire tests after lib.sh.
#
# wire_run FILE [ARGUMENT...]: runs one of the Python files against a broker of
# our own, or against CHRONIK_BOOTSTRAP when that names one.  $wire_options, if
# set, go to the broker.

wire_run()
{
	wire_dir=$(dirname "$0")/wire
	wire_file=$1
	shift
	command -v python3 >/dev/null || skip "python3 is not installed"
	[ -d "${CHRONIK_SHARED:-$wire_dir/../../../shared}/kafka/messages" ] ||
	    skip "the shared message schemas are absent"
	# A slow machine may be long in using a connection that it has opened.
	broker_start --handshake-timeout-ms 60000 ${wire_options:-}
	# A process that is not the same one afterwards has crashed.
	wire_pids=
	[ -n "${CHRONIK_BOOTSTRAP:-}" ] ||
	    wire_pids="$(engine_pid) $(gateway_pids)"
	wire_rc=0
	CHRONIK_WIRE_PIDS=$wire_pids PYTHONDONTWRITEBYTECODE=1 \
	    python3 "$wire_dir/$wire_file.py" "$BOOTSTRAP" "$@" || wire_rc=$?
	[ "$wire_rc" = 0 ] || exit $wire_rc
	for wire_pid in $wire_pids; do
		! lib_gone "$wire_pid" || fail "process $wire_pid has died"
	done
	[ -n "${CHRONIK_BOOTSTRAP:-}" ] || broker_stop
}
