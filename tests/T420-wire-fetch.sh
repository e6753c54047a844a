#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch and ListOffsets (protocol.md 3.4, 3.5).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_run fetch "$@"
