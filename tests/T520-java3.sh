#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The official Java client, newest 3.x, and its command-line tools: records
# of all kinds with every codec, and both through restarts and kills.

client_version=3.9.2
tools_profile=-Pcore
producer_class=kafka.tools.ConsoleProducer
tools_version=3.9.2
reader_property=--property
printer_property=--property
. "$(dirname "$0")/clients/java.sh"
