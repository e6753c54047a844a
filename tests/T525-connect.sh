#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Kafka Connect, distributed, 3.x and then 4.x: connectors made over REST carry lines from a
# file to a topic and on to another file, through a kill of the worker and of
# the engine.  What the worker knows stands in its three topics, so that no
# line is lost, and those in the sink are in the source's order but for what
# came again after a kill.

. "$(dirname "$0")/clients/suite.sh"

need curl java mvn
java_major=4
. "$clients/jvm.sh"

# Called by prepare, once for each version.
build()
{
	cd connect &&
	mvn -B -q "-Dkafka.version=$version" \
	    dependency:copy-dependencies -DoutputDirectory=lib
}

n=$prefix
: >"$work/connect.log"
: >"$work/source"
: >"$work/sink"

cat >"$work/worker.properties" <<EOF
group.id=$n-connect
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
config.storage.topic=$n-configs
offset.storage.topic=$n-offsets
status.storage.topic=$n-status
config.storage.replication.factor=-1
offset.storage.replication.factor=-1
status.storage.replication.factor=-1
offset.flush.interval.ms=1000
session.timeout.ms=6000
heartbeat.interval.ms=1000
listeners=http://127.0.0.1:0
plugin.discovery=only_scan
EOF

# worker VERSION: starts one; its process is in $worker, its address in $rest.
worker()
{
	version=$1
	prepare "connect-$version" connect
	rm -rf "$work/plugins"
	mkdir "$work/plugins" || fail mkdir
	cp "$home"/connect/lib/connect-file-*.jar "$work/plugins" ||
	    fail "there is no connect-file"
	: >"$work/connect.log"
	cp "$work/worker.properties" "$work/worker.now"
	echo "bootstrap.servers=$BOOTSTRAP" >>"$work/worker.now"
	echo "plugin.path=$work/plugins" >>"$work/worker.now"
	java -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
	    -Dorg.slf4j.simpleLogger.defaultLogLevel=info \
	    -cp "$home/connect/lib/*" \
	    org.apache.kafka.connect.cli.ConnectDistributed \
	    "$work/worker.now" >>"$work/connect.log" 2>&1 &
	worker=$!
	jobs_started="$jobs_started $worker"
	wait_until listens || {
		tail -n 30 "$work/connect.log"
		fail "no REST"
	}
}

listens()
{
	rest=$(sed -nE 's|.*Advertised URI: (http://[^ ]*[^ /]).*|\1|p' \
	    "$work/connect.log" | tail -n 1)
	[ -n "$rest" ] && call GET connectors
}

# call METHOD PATH [JSON]: the answer is in $work/answer.
call()
{
	curl -s -f -m 20 -X "$1" -H 'Content-Type: application/json' \
	    ${3:+-d "$3"} -o "$work/answer" "$rest/$2"
}

# running NAME: the connector and its task are.
running()
{
	call GET "connectors/$1/status" &&
	[ "$(grep -o '"state":"RUNNING"' "$work/answer" | wc -l)" = 2 ]
}

await_running()
{
	for name in "$n-source" "$n-sink"; do
		wait_until running "$name" || {
			tail -n 20 "$work/connect.log"
			fail "$name: $(cat "$work/answer")"
		}
	done
}

# flowed LAST: all lines up to here have come out.
flowed()
{
	sort -n -u "$work/sink" >"$work/came"
	seq 1 "$1" | cmp -s - "$work/came"
}

# carry FIRST LAST WHAT
carry()
{
	seq "$1" "$2" >>"$work/source"
	wait_until flowed "$2" || {
		tail -n 20 "$work/connect.log"
		fail "not all of $2 lines after $3: $(wc -l <"$work/came")"
	}
	say "$2 lines have flowed after $3"
}

connector()
{
	call PUT "connectors/$1/config" "$2" ||
	    fail "$1: $(curl -s -X PUT -H 'Content-Type: application/json' \
	    -d "$2" "$rest/connectors/$1/config")"
}

# cleanup TOPIC WANTED
cleanup()
{
	kt org.apache.kafka.tools.TopicCommand --bootstrap-server \
	    "$BOOTSTRAP" --describe --topic "$1"
	check_grep "cleanup.policy=$2" "$work/out" "$1"
}

broker_start --group-initial-rebalance-delay-ms 0
worker 3.9.2
connector "$n-source" '{"connector.class":
    "org.apache.kafka.connect.file.FileStreamSourceConnector",
    "tasks.max":"1","topic":"'"$n-lines"'","file":"'"$work/source"'"}'
connector "$n-sink" '{"connector.class":
    "org.apache.kafka.connect.file.FileStreamSinkConnector",
    "tasks.max":"1","topics":"'"$n-lines"'","file":"'"$work/sink"'",
    "consumer.override.auto.offset.reset":"earliest"}'
call GET connectors
check_grep "$n-source" "$work/answer" "the connectors"
check_grep "$n-sink" "$work/answer" "the connectors"
await_running
carry 1 1000 "the start"
seq 1 1000 | cmp - "$work/sink" || fail "doubled or out of order"

kill -9 "$worker"
wait "$worker" 2>/dev/null
seq 1001 1500 >>"$work/source"
worker 4.3.1
await_running
carry 1501 2000 "a kill of the worker"
if [ -n "${CHRONIK_FAULTS:-}" ]; then
	seq 2001 2500 >>"$work/source"
	engine_kill9
	seq 2501 3000 >>"$work/source"
	wait_ready || fail "not ready after the kill"
	carry 3001 3500 "a kill of the engine"
	gateway_kill9
	wait_ready || fail "not ready after the gateway's kill"
	carry 3501 4000 "a kill of a gateway"
	await_running
fi
last=$(tail -n 1 "$work/source")

# A worker that ends well has committed all: nothing comes again.
kill "$worker"
wait "$worker"
cp "$work/sink" "$work/before"
worker 4.3.1
await_running
carry $((last + 1)) $((last + 500)) "the worker's restart"
tail -n +$(($(wc -l <"$work/before") + 1)) "$work/sink" >"$work/after"
seq $((last + 1)) $((last + 500)) | cmp - "$work/after" ||
    fail "lines came again after a worker that ended well"

call DELETE "connectors/$n-sink" || fail "DELETE"
call GET connectors
! grep -q "$n-sink" "$work/answer" || fail "a deleted connector is there"
kill "$worker"
wait "$worker"
tools_start
for t in configs offsets status; do
	cleanup "$n-$t" compact
done
kt org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \
    --bootstrap-server "$BOOTSTRAP" --describe --group "connect-$n-sink" \
    --offsets
has "connect-$n-sink *$n-lines *0 *\([0-9]*\) *\1 *0 "
tools_stop
