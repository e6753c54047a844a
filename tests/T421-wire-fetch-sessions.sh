#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch sessions (KIP-227), also over a restart of the engine and with a cache
# that is full.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_run fetch_sessions "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0

CHRONIK_WIRE_STATE=$tmp/state
export CHRONIK_WIRE_STATE
wire_run fetch_sessions -k '^restart/before'
broker_start
broker_kill9
wire_run fetch_sessions -k '^restart/after'
unset CHRONIK_WIRE_STATE

CHRONIK_WIRE_SLOTS=3
export CHRONIK_WIRE_SLOTS
wire_options="--max-incremental-fetch-session-cache-slots 3"
wire_run fetch_sessions -k '^full/'
