#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Produce: what is stored, and every kind of bad batch (protocol.md 3.2, 3.3).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_run produce "$@"
