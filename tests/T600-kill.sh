#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the engine and of gateways at random under load: nothing
# acknowledged is lost, doubled or reordered.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/checker.sh"

[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
cycles=${CHRONIK_KILLS:-${CHRONIK_FAULTS:+100}}
cycles=${cycles:-20}

# The faults are paced by progress: each comes after this many more records
# have been acknowledged since the one before.
pace=500

broker_start
checker_start

i=0
engines=0
while [ "$i" -lt "$cycles" ]; do
	checker_more $pace
	case $(od -An -N1 -tu1 /dev/urandom) in
	*[02468])
		engine_kill9
		engines=$((engines + 1))
		;;
	*)
		gateway_kill9
		;;
	esac
	i=$((i + 1))
done
checker_more $pace
checker_end
echo "kills: $engines of the engine, $((cycles - engines)) of gateways"
broker_stop
