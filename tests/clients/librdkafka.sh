# SPDX-License-Identifier: Apache-2.0
#
# The driver on librdkafka, built in the cache.

need "${CC:-cc}" pkg-config
pkg-config --exists rdkafka || skip "librdkafka's headers are not installed"

build()
{
	# shellcheck disable=SC2046
	${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o driver \
	    librdkafka/driver.c librdkafka/records.c \
	    $(pkg-config --cflags --libs rdkafka)
}

prepare librdkafka librdkafka
librdkafka_home=$home

driver_librdkafka()
{
	exec "$librdkafka_home/driver" "$@"
}
