#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The rows of kafka.def against Kafka's own message schemas: see rows.py.
set -eu -o pipefail
shared=${CHRONIK_SHARED:-$CHRONIK_SRC/../shared}

if [ ! -d "$shared/kafka/messages/clients" ]; then
	echo "skipped: no message schemas in $shared/kafka/messages"
	exit 77
fi
if ! command -v python3 >/dev/null; then
	echo "skipped: no python3"
	exit 77
fi
"$CHRONIK_BUILD/tests/dump_rows" | python3 "$CHRONIK_SRC/tests/rows.py" "$shared"
