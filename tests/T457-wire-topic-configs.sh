#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Topic configs that change what happens to records (protocol.md 3.2, 4.1).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_options="--log-retention-check-interval-ms 500"
wire_run topic_configs "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0
# A gateway that looks at headers only recodes all the same.
wire_options="--produce-validation header"
wire_run topic_configs -k '^(codec|order|change)/'
