# SPDX-License-Identifier: Apache-2.0
#
# The driver on sarama, built in the cache.

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
sarama_home=$home

driver_sarama()
{
	exec "$sarama_home/driver" "$@"
}
