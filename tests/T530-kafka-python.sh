#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kafka-python with its defaults: records of all kinds with every codec, and
# through restarts and kills.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/python.sh"
# Its producer refuses headers without a value, and records without anything.
driver_args=lacks=nullhdr,nullboth
broker_start
client_suite kafka_python none,gzip,snappy,lz4,zstd
