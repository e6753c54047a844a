#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every client reads what every other wrote, with each codec's own framing,
# and two follow each other's producer through restarts and kills.  Clients
# whose toolchain is missing are left out by name.

. "$(dirname "$0")/clients/suite.sh"

java_major=4
there=
for lib in java librdkafka python go node; do
	# What the library's file skips or fails ends the subshell alone.
	rc=0
	(trap - EXIT; . "$clients/$lib.sh") || rc=$?
	case $rc in
	0) ;;
	77) continue ;;
	*) fail "$lib" ;;
	esac
	. "$clients/$lib.sh"
	case $lib in
	python) there="$there kafka_python confluent aiokafka" ;;
	go) there="$there sarama franz" ;;
	node) there="$there kafkajs" ;;
	*) there="$there $lib" ;;
	esac
done
[ "$(echo $there | wc -w)" -ge 2 ] || skip "there are not two clients"

# What some cannot write is left out for all.
driver_args=lacks=nullhdr,nullboth
broker_start
all=
for d in $there; do
	args="topic=$prefix-$d codecs=gzip,snappy,lz4,zstd seed=5 count=2000"
	drive "$d" create $args
	drive "$d" produce $args
	for codec in gzip snappy lz4 zstd; do
		all=${all:+$all,}$d-$codec
	done
done
# To a reader these are topics like any others.
for d in $there; do
	drive "$d" verify "topic=$prefix" "codecs=$all" seed=5 count=2000 \
	    from=1500
	say "$d reads what was written by$there"
done
[ -n "${CHRONIK_FAULTS:-}" ] || exit 0
set -- $there
under_faults "$1" "$2" lz4 exact
under_faults "$2" "$1" zstd exact
