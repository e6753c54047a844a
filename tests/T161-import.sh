#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A real Kafka, filled with every codec, deleted and compacted records,
# transactions and groups of both protocols, is stopped and taken over: clients
# see the same topics, records, timestamps, headers, configs and offsets of
# groups as before.  And the other way round: Kafka's own tool reads segments
# that are ours.

. "$(dirname "$0")/clients/suite.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
[ -z "${CHRONIK_QUICK:-}" ] || skip "it is about Kafka, and takes long"

kafka_pid=
suite_cleanup()
{
	[ -z "$kafka_pid" ] || kill -9 "$kafka_pid" 2>/dev/null
	for job in $jobs_started; do
		kill "$job" 2>/dev/null
	done
}

# Two ports that nobody has now.
ports()
{
	for port in $(shuf -i 20000-29998 -n 50); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
		    (exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null ||
		    return 0
	done
	fail "no free port"
}

kafka_ready()
{
	kill -0 "$kafka_pid" 2>/dev/null || {
		tail -n 30 "$work/kafka.log"
		fail "Kafka ends"
	}
	(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

# kafka_start DIR
kafka_start()
{
	ports
	cat >"$work/kafka.properties" <<-END
	process.roles=broker,controller
	node.id=1
	controller.quorum.voters=1@127.0.0.1:$((port + 1))
	listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
	advertised.listeners=PLAINTEXT://127.0.0.1:$port
	controller.listener.names=CONTROLLER
	log.dirs=$1
	offsets.topic.num.partitions=3
	offsets.topic.replication.factor=1
	transaction.state.log.replication.factor=1
	transaction.state.log.min.isr=1
	transaction.state.log.num.partitions=3
	share.coordinator.state.topic.replication.factor=1
	log.cleaner.backoff.ms=200
	log.cleaner.dedupe.buffer.size=20000000
	log.initial.task.delay.ms=500
	group.initial.rebalance.delay.ms=0
	END
	[ -d "$1" ] || (jvm kafka.tools.StorageTool format \
	    -t MkU3OEVBNTcwNTJENDM2Qk -c "$work/kafka.properties") \
	    >"$work/kafka.log" 2>&1 || fail "$(cat "$work/kafka.log")"
	(jvm kafka.Kafka "$work/kafka.properties") >"$work/kafka.log" 2>&1 &
	kafka_pid=$!
	wait_until kafka_ready || fail "Kafka is not ready"
}

# see BOOTSTRAP FILE
see()
{
	(jvm Import show "bootstrap=$1") >"$2" 2>"$work/err" ||
	    fail "$(tail -n 5 "$work/err")"
}

# Segments of ours, as Kafka reads them: all codecs, an idempotent producer,
# rolled, with the oldest deleted.
reverse()
{
	chronik topic create own --config segment.bytes=1048576 >/dev/null ||
	    fail "topic create"
	for codec in none gzip snappy lz4 zstd; do
		for id in true false; do
			kcat -P -b "$BOOTSTRAP" -t own -p 0 -z $codec \
			    -X enable.idempotence=$id -H a=b <"$work/lines" ||
			    fail "kcat -P -z $codec"
		done
	done
	chronik topic trim own --yes --before 3000 >/dev/null ||
	    fail "topic trim"
	id=$(chronik dump "$DATA"/meta/*.log | sed -n \
	    's/.*meta_topic{name="own".*/yes/p' | head -n 1)
	check_eq "$id" yes "the catalogue knows it"
	for dir in "$DATA"/topics/*/0; do
		chronik dump "$dir"/*.log | grep -q '"a":"b"' && break
	done
	[ "$(ls "$dir"/*.log | wc -l)" -ge 3 ] || fail "nothing is rolled"
	for log in "$dir"/*.log; do
		(jvm $dump_tool --deep-iteration --files "$log") \
		    >"$work/out" 2>&1 || fail "$(tail -n 5 "$work/out")"
		! grep -iE 'isvalid: false|corrupt|exception|mismatch' \
		    "$work/out" || fail "$log"
		check_eq "$(grep -c '^| offset:' "$work/out")" \
		    "$(chronik dump "$log" | grep -c '^record ')" \
		    "records of $log"
	done
	say "Kafka's dump tool reads $(ls "$dir"/*.log | wc -l) segments"
}

head -c 300000 /dev/urandom | base64 -w 500 >"$work/lines"
need kcat
for java_major in ${CHRONIK_JAVA:-4}; do
	dump_tool=org.apache.kafka.tools.DumpLogSegments
	[ "$java_major" = 4 ] || dump_tool=kafka.tools.DumpLogSegments
	. "$clients/jvm.sh"
	kafka=$work/kafka$java_major
	modern=
	[ "$java_major" = 3 ] || modern=modern=1
	kafka_start "$kafka"
	(jvm Import fill "bootstrap=127.0.0.1:$port" $modern) \
	    >"$work/out" 2>&1 || fail "$(tail -n 9 "$work/out")"
	check_grep '^filled$' "$work/out" "filling"
	see "127.0.0.1:$port" "$work/theirs"
	check_rc 4 chronik import --data-dir "$DATA" "$kafka"
	check_grep 'a Kafka broker runs here' "$tmp/err" "it runs"
	kill "$kafka_pid"
	wait "$kafka_pid" || [ $? = 143 ] || fail "Kafka does not stop"
	kafka_pid=

	check_rc 0 chronik import --dry-run --data-dir "$DATA" "$kafka"
	[ ! -e "$DATA" ] || fail "a dry run made $DATA"
	DATA=$work/linked$java_major
	check_rc 0 chronik import --link --data-dir "$DATA" "$kafka"
	[ -n "$(find "$DATA/topics" -name '*.log' -links 2)" ] ||
	    fail "nothing is linked"
	check_rc 0 chronik check --deep "$DATA"
	DATA=$work/copied$java_major
	check_rc 0 chronik import --data-dir "$DATA" "$kafka"
	check_grep 'was open; it is aborted' "$tmp/err" "a note"
	check_rc 0 chronik check --deep "$DATA"
	check_eq "$(cd "$DATA/topics" && find . -name '*.log' -size +0 \
	    ! -path '*/0/00000000000000000000.log' -exec sha256sum {} + |
	    sort)" "$(cd "$work/linked$java_major/topics" && find . \
	    -name '*.log' -size +0 ! -path '*/0/00000000000000000000.log' \
	    -exec sha256sum {} + | sort)" "linked and copied segments"

	broker_start --data-dir "$DATA" --group-initial-rebalance-delay-ms 0
	see "$BOOTSTRAP" "$work/ours"
	cmp "$work/theirs" "$work/ours" || {
		diff "$work/theirs" "$work/ours" | cut -c1-200 | head -n 20
		fail "it is not the same"
	}
	# It goes on: new records, behind the old ones.
	echo more | kcat -P -b "$BOOTSTRAP" -t codecs -p 0 || fail "kcat -P"
	check_eq "$(kcat -C -b "$BOOTSTRAP" -t codecs -p 0 -o -1 -e -q \
	    -f '%o %s\n')" "7500 more" "a new record"
	reverse
	broker_stop
	say "imported from $jvm_version, $(wc -l <"$work/ours") lines the same"
done
