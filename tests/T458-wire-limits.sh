#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Limits of the broker: connections by address and by the second, connections
# that say nothing, producers that are forgotten.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
export CHRONIK_WIRE_EXPIRES=1
wire_options="--gateways 1 --producer-id-expiration-check-interval-ms 50"
wire_run limits "$@"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || exit 0

export CHRONIK_WIRE_HANDSHAKE=500
wire_options="--gateways 1 --handshake-timeout-ms 500"
wire_run limits -k '^silent/'
