# SPDX-License-Identifier: Apache-2.0
# Sourced by the wire tests after lib.sh: runs one of the Python files against
# a broker of our own, or against CHRONIK_BOOTSTRAP when that names one.

wire_run()
{
	wire_dir=$(dirname "$0")/wire
	wire_file=$1
	shift
	command -v python3 >/dev/null ||
	    { echo "skipped: python3 is not installed"; exit 77; }
	[ -d "${CHRONIK_SHARED:-$wire_dir/../../../shared}/kafka/messages" ] ||
	    { echo "skipped: the shared message schemas are absent"; exit 77; }
	if [ -n "${CHRONIK_BOOTSTRAP:-}" ]; then
		BOOTSTRAP=$CHRONIK_BOOTSTRAP
	else
		broker_start
	fi
	wire_rc=0
	PYTHONDONTWRITEBYTECODE=1 python3 "$wire_dir/$wire_file.py" \
	    "$BOOTSTRAP" "$@" || wire_rc=$?
	[ -n "${CHRONIK_BOOTSTRAP:-}" ] || broker_stop
	exit $wire_rc
}
