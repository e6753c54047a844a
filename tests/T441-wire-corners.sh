#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Corners of the data path: the order of pipelined requests, leader epochs over
# several crashes with records between them, frames that never end.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_run corners "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0

CHRONIK_WIRE_STATE=$tmp/state
CHRONIK_WIRE_BATCHES=5
export CHRONIK_WIRE_STATE CHRONIK_WIRE_BATCHES
wire_run corners -k '^epochs/write'
# A run of no batches, and one of enough for index entries and a long way.
for CHRONIK_WIRE_BATCHES in 3 0 100 1 7; do
	broker_start
	broker_kill9
	wire_run corners -k '^epochs/write'
done
broker_start
broker_kill9
wire_run corners -k '^(epochs/[^w]|leader/)'
unset CHRONIK_WIRE_STATE

CHRONIK_WIRE_FRAME_TIMEOUT=500
export CHRONIK_WIRE_FRAME_TIMEOUT
wire_options="--frame-timeout-ms 500"
wire_run corners -k '^frame/'
