#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Partitions added, records deleted, topics, logs and the node described.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
export CHRONIK_WIRE_SEEN="$tmp/seen"
wire_run admin "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
[ -e "$CHRONIK_WIRE_SEEN" ] || exit 0
# The same after a clean stop, and after a crash of everything.
wire_run admin -k again
broker_start
broker_kill9
wire_run admin -k again
