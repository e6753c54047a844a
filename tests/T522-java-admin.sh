#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every method of the Java Admin client whose API is served, newest 3.x and
# newest 4.x: what it returns, what it changes, and an error of each.

. "$(dirname "$0")/clients/suite.sh"

broker_start --group-initial-rebalance-delay-ms 0
for java_major in 3 4; do
	. "$clients/jvm.sh"
	say "Admin of $jvm_version"
	(jvm AdminTest "bootstrap=$BOOTSTRAP" \
	    "prefix=$prefix-$java_major") 2>"$work/err" || {
		tail -n 30 "$work/err"
		fail "the Admin client of $jvm_version"
	}
done
