#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Metadata, CreateTopics, DeleteTopics, InitProducerId (protocol.md 3.6).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
export CHRONIK_WIRE_SEEN="$tmp/producer-ids"
wire_run topics "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
# No producer id comes back after a clean stop, nor after a crash.
wire_run topics -k never-again
broker_start
broker_kill9
wire_run topics -k never-again
