#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sarama: records of all kinds with every codec, and through restarts and
# kills; idempotent, and once more as it comes, where a record may come twice.

. "$(dirname "$0")/clients/suite.sh"

need go

build()
{
	cd sarama && GOTOOLCHAIN=local go build -trimpath -o ../driver .
}

want=$(sed -n 's/^go //p' "$clients/sarama/go.mod")
have=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')
[ "$(printf '%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] ||
    skip "sarama needs go $want, and this is go $have"
prepare sarama sarama

driver()
{
	exec "$home/driver" "$@"
}

broker_start || fail "the broker does not start"
client_suite none,gzip,snappy,lz4,zstd
[ -z "${CHRONIK_FAULTS:-}" ] || under_faults snappy least
