#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# librdkafka from C, idempotent: records of all kinds with every codec, and
# through restarts and kills.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/librdkafka.sh"
broker_start
client_suite librdkafka none,gzip,snappy,lz4,zstd
