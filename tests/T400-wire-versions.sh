#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every API in scope at every version gets a whole and right answer.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_options="--group-initial-rebalance-delay-ms 0"
wire_run versions "$@"
