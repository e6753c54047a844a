#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# confluent-kafka, which brings the newest librdkafka with it: records of all
# kinds with every codec, and through restarts and kills.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/python.sh"
broker_start
client_suite confluent none,gzip,snappy,lz4,zstd
