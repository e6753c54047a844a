#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Kafka's command-line tools, newest 3.x and newest 4.x, each with what it
# should say and a mistake.

. "$(dirname "$0")/clients/suite.sh"

base=$prefix
broker_start --group-initial-rebalance-delay-ms 0
for java_major in ${CHRONIK_JAVA:-3 4}; do
	. "$clients/jvm.sh"
	. "$clients/tools.sh"
	prefix=$base-$java_major
	tools_start
	id=$(broker_id)
	for part in topics configs quotas records groups members cluster \
	    features load; do
		g=$prefix-group
		tools_$part
		say "the tools of $jvm_version: $part"
	done
	tools_stop
done
