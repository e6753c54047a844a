#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The official Java client, newest 3.x, and its command-line tools: records
# of all kinds with every codec, and both through restarts and kills.

. "$(dirname "$0")/clients/suite.sh"
java_major=3
. "$clients/java.sh"
. "$clients/console.sh"

broker_start
client_suite java none,gzip,snappy,lz4,zstd
console_tools
