#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Hostile input: frames that lie, mutations, silence (faults.md H1-H6, H18, N1,
# N5); and what names and client ids held must not reach the log as it came.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_options="--log-level debug --group-initial-rebalance-delay-ms 0"
wire_run hostile "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
# Everything that is right byte by byte too (N1).
CHRONIK_WIRE_CHUNK=1
export CHRONIK_WIRE_CHUNK
wire_run versions -k '^(answer|unknown-tags|client-id|answers-in-order)'
unset CHRONIK_WIRE_CHUNK
! LC_ALL=C grep -nP '[\x00-\x08\x0b-\x1f\x7f]' "$BROKER_LOG" | cat -v |
    grep . || fail "control characters in the log"
! grep -n '^level=error msg="FAKE-LOG-LINE"' "$BROKER_LOG" ||
    fail "a name has made a line of its own in the log"
