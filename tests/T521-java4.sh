#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The official Java client, newest 4.x, and its command-line tools: records
# of all kinds with every codec, and both through restarts and kills.

client_version=4.4.0
producer_class=org.apache.kafka.tools.ConsoleProducer
tools_version=4.3.1
reader_property=--reader-property
printer_property=--formatter-property
. "$(dirname "$0")/clients/java.sh"
