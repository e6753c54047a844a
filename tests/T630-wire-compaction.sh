#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compacted topics, and look-ups by time in what is left of them.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_options="--log-cleaner-backoff-ms 50 --log-retention-check-interval-ms 500"
wire_run compaction "$@"
