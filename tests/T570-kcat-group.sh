#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kcat in a consumer group.

. "$(dirname "$0")/clients/suite.sh"
. "$clients/group.sh"

need kcat awk
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "it needs a broker of its own"

driver_kcat()
{
	shift
	for arg in "$@"; do
		eval "${arg%%=*}=\${arg#*=}"
	done
	# shellcheck disable=SC2154
	exec kcat -b "$bootstrap" -E -u -f '%s\n' \
	    -X auto.offset.reset=earliest -X heartbeat.interval.ms=300 \
	    -X session.timeout.ms=10000 -X auto.commit.interval.ms=100 \
	    -G "$group" "$topic" >>"$out" 2>>"$log"
}

# It says "% Group G rebalanced (memberid M): assigned: t [0], t [1]".
holds()
{
	[ "$(grep rebalanced "$work/log$1" | tail -n 1 | grep assigned |
	    grep -o "$gtopic \[[0-9]" | wc -l)" = "$2" ]
}

broker_start --group-initial-rebalance-delay-ms 0
group_course kcat
