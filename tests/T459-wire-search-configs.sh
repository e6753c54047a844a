#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The search.* configs of topics (chronik-search(1)).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_run search_configs -k '^search/' "$@"
