#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Configs of topics, broker and groups (protocol.md 4).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_options="--log-retention-check-interval-ms 200
    --log-message-timestamp-after-max-ms 7200000"
export CHRONIK_WIRE_SEEN="$tmp/configs"
wire_run configs "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
[ -e "$CHRONIK_WIRE_SEEN" ] || exit 0

# What was set outlives a clean stop, a crash of everything, and one of the
# engine alone.
kept()
{
	PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/wire/configs.py" \
	    "$BOOTSTRAP" -k restart/kept || fail "configs are lost $1"
}
broker_start $wire_options
kept "in a clean stop"
broker_kill9
broker_start $wire_options
kept "in a crash"
engine_kill9
wait_ready || fail "the engine does not come back"
kept "in a crash of the engine"
broker_stop
