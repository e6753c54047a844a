# SPDX-License-Identifier: Apache-2.0
#
# The drivers on sarama and franz-go, built in the cache.

need go

build()
{
	cd go && GOTOOLCHAIN=local go build -trimpath -o ../bin/ ./sarama ./franz
}

want=$(sed -n 's/^go //p' "$clients/go/go.mod")
have=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')
[ "$(printf '%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] ||
    skip "the drivers in Go need go $want, and this is go $have"
prepare go go
go_home=$home

driver_sarama()
{
	exec "$go_home/bin/sarama" "$@"
}

driver_franz()
{
	exec "$go_home/bin/franz" "$@"
}
