# SPDX-License-Identifier: Apache-2.0
#
# The C driver, built in the cache; T550 and T560 read with it too.

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
rdkafka_driver=$home/driver
