# SPDX-License-Identifier: Apache-2.0
#
# Kafka's command-line tools, each with what it should say and one mistake.
# Nothing here is measured.

case $java_major in
3)
	configs=kafka.admin.ConfigCommand
	versions=kafka.admin.BrokerApiVersionsCommand
	console_producer=kafka.tools.ConsoleProducer
	consumer_limit=--messages
	;;
4)
	configs=org.apache.kafka.tools.ConfigCommand
	versions=org.apache.kafka.tools.BrokerApiVersionsCommand
	console_producer=org.apache.kafka.tools.ConsoleProducer
	consumer_limit=--num-records
	;;
esac

# t CLASS ARGUMENT...: one of kafka-tools on our broker.
t()
{
	tool_class=$1
	shift
	kt "org.apache.kafka.tools.$tool_class" \
	    --bootstrap-server "$BOOTSTRAP" "$@"
}

t_bad()
{
	tool_want=$1
	tool_class=$2
	shift 2
	kt_bad "$tool_want" "org.apache.kafka.tools.$tool_class" \
	    --bootstrap-server "$BOOTSTRAP" "$@"
}

# groups_say PATTERN ARGUMENT...: this tool ends well after errors.
groups_say()
{
	tool_want=$1
	shift
	kt_rc org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \
	    --bootstrap-server "$BOOTSTRAP" "$@"
	cat "$work/err" >>"$work/out"
	check_grep "$tool_want" "$work/out" "kafka-consumer-groups $*"
}

groups()
{
	t consumer.group.ConsumerGroupCommand "$@"
}

config()
{
	kt $configs --bootstrap-server "$BOOTSTRAP" "$@"
}

config_bad()
{
	tool_want=$1
	shift
	kt_bad "$tool_want" $configs --bootstrap-server "$BOOTSTRAP" "$@"
}

# The last tool's output has no such line.
has_not()
{
	! grep -qe "$1" "$work/out" || fail "there is $1: $(cat "$work/out")"
}

# produce TOPIC FIRST LAST: a line for each number.
produce()
{
	seq "$2" "$3" >"$work/numbers"
	kt_in=$work/numbers
	kt $console_producer --bootstrap-server "$BOOTSTRAP" --topic "$1"
	kt_in=
}

# The committed offset of the group $g, partition 0 of topic $1.
committed()
{
	groups --describe --group "$g" --offsets
	awk -v t="$1" '$2 == t && $3 == 0 { print $4 }' "$work/out"
}

broker_id()
{
	kt $versions --bootstrap-server "$BOOTSTRAP"
	sed -nE 's/.*\(id: ([0-9]+) rack.*/\1/p' "$work/out" | head -n 1
}

tools_topics()
{
	n=$prefix-topics
	t TopicCommand --create --topic "$n" --partitions 2 \
	    --replication-factor 1 --config retention.ms=3600000
	t TopicCommand --create --topic "$n-plain"
	t TopicCommand --create --topic "$n" --if-not-exists
	t_bad 'already exists' TopicCommand --create --topic "$n"
	t TopicCommand --list
	has "^$n\$" "^$n-plain\$"
	t TopicCommand --describe --topic "$n"
	has "Topic: $n.*PartitionCount: 2.*ReplicationFactor: 1" \
	    'Configs:.*retention.ms=3600000' \
	    "Partition: 1.*Leader: $id.*Replicas: $id.*Isr: $id"
	t TopicCommand --alter --topic "$n" --partitions 4
	t TopicCommand --describe --topic "$n"
	has 'PartitionCount: 4' 'Partition: 3'
	t_bad '4 partition' TopicCommand --alter --topic "$n" \
	    --partitions 3
	for only in --unavailable-partitions --under-replicated-partitions \
	    --at-min-isr-partitions --under-min-isr-partitions; do
		t TopicCommand --describe --topic "$n-plain" $only
		[ "$only" = --at-min-isr-partitions ] || [ ! -s "$work/out" ] ||
		    fail "$only: $(cat "$work/out")"
	done
	t TopicCommand --describe --topic "$n" --topics-with-overrides
	has "Topic: $n"
	t TopicCommand --delete --topic "$n-plain"
	t TopicCommand --list
	has_not "^$n-plain\$"
	t_bad 'does not exist' TopicCommand --delete --topic "$n-plain"
}

tools_configs()
{
	n=$prefix-topics
	topic="--entity-type topics --entity-name $n"
	config --alter $topic --add-config \
	    'cleanup.policy=[compact,delete],segment.ms=700000'
	config --describe $topic
	has 'cleanup.policy=compact,delete' 'segment.ms=700000' \
	    'retention.ms=3600000'
	config --alter $topic --delete-config segment.ms
	config --describe $topic
	has_not '^  segment.ms='
	config --describe $topic --all
	has '^  segment.ms=604800000' '^  max.message.bytes=1048588'
	config_bad 'no.such.config' --alter $topic --add-config \
	    no.such.config=1
	config_bad 'nvalid' --alter $topic --add-config retention.ms=soon

	brokers="--entity-type brokers"
	key=log.cleaner.min.compaction.lag.ms
	config --alter $brokers --entity-default --add-config $key=11
	config --alter $brokers --entity-name "$id" --add-config $key=12
	wait_until config_is "$key=12 .*DYNAMIC_BROKER_CONFIG:$key=12.*\
DYNAMIC_DEFAULT_BROKER_CONFIG:$key=11" $brokers --entity-name "$id" ||
	    fail "broker's configs: $(cat "$work/out")"
	wait_until config_is "$key=11" $brokers --entity-default ||
	    fail "default's configs: $(cat "$work/out")"
	config --alter $brokers --entity-name "$id" --delete-config $key
	config --alter $brokers --entity-default --delete-config $key
	config --describe $brokers --entity-name "$id" --all
	has '^  num.partitions=1 ' '^  offsets.retention.minutes=10080 '
	config_bad 'num.partitions' --alter $brokers --entity-name "$id" \
	    --add-config num.partitions=3

	[ "$java_major" = 4 ] || return 0
	group="--entity-type groups --entity-name $n"
	config --alter $group --add-config consumer.session.timeout.ms=47000
	wait_until config_is 'consumer.session.timeout.ms=47000' $group ||
	    fail "group's configs: $(cat "$work/out")"
	config --alter $group --delete-config consumer.session.timeout.ms
	config_bad 'nvalid' --alter $group --add-config \
	    consumer.session.timeout.ms=soon
}

tools_quotas()
{
	n=$prefix-topics
	config --alter --entity-type users --entity-name "$n" \
	    --entity-type clients --entity-name app \
	    --add-config producer_byte_rate=1048576
	config --alter --entity-type clients --entity-default \
	    --add-config request_percentage=190
	wait_until config_is 'producer_byte_rate=1048576' --entity-type users \
	    --entity-name "$n" --entity-type clients --entity-name app ||
	    fail "quota: $(cat "$work/out")"
	wait_until config_is 'request_percentage=190' --entity-type clients \
	    --entity-default || fail "quota: $(cat "$work/out")"
	config --alter --entity-type users --entity-name "$n" \
	    --entity-type clients --entity-name app \
	    --delete-config producer_byte_rate
	config --alter --entity-type clients --entity-default \
	    --delete-config request_percentage
	config_bad 'no_such_rate' --alter --entity-type users \
	    --entity-name "$n" --add-config no_such_rate=1
}

config_is()
{
	config_want=$1
	shift
	config --describe "$@"
	grep -qe "$config_want" "$work/out"
}

# Records 0 to 99 in partition 0, at times 1 second apart from $t0.
tools_records()
{
	n=$prefix-records
	t TopicCommand --create --topic "$n" --partitions 1
	produce "$n" 1 100
	kt org.apache.kafka.tools.consumer.ConsoleConsumer \
	    --bootstrap-server "$BOOTSTRAP" --topic "$n" --from-beginning \
	    --max-messages 100 --group "$g"
	cmp "$work/out" "$work/numbers" || fail "other records came"
	t GetOffsetShell --topic "$n"
	has "^$n:0:100\$"
	t GetOffsetShell --topic-partitions "$n:0" --time earliest
	has "^$n:0:0\$"
	printf '{"partitions":[{"topic":"%s","partition":0,"offset":30}],
	    "version":1}' "$n" >"$work/delete.json"
	t DeleteRecordsCommand --offset-json-file "$work/delete.json"
	has 'low_watermark: 30'
	t GetOffsetShell --topic "$n" --time -2
	has "^$n:0:30\$"
	printf '{"partitions":[{"topic":"%s","partition":0,"offset":500}],
	    "version":1}' "$n" >"$work/delete.json"
	kt_rc org.apache.kafka.tools.DeleteRecordsCommand \
	    --bootstrap-server "$BOOTSTRAP" \
	    --offset-json-file "$work/delete.json"
	has 'OffsetOutOfRange'
	t LogDirsCommand --describe --topic-list "$n"
	has "\"partition\":\"$n-0\",\"size\":[1-9][0-9]*"
}

# reset NAME WANTED OPTION...: where the group $g is then.
reset()
{
	reset_name=$1
	reset_want=$2
	shift 2
	groups --reset-offsets --group "$g" --topic "$n" "$@" --execute
	check_eq "$(committed "$n")" "$reset_want" "--$reset_name"
}

tools_groups()
{
	n=$prefix-records
	groups --list
	has "^$g\$"
	groups --list --state Empty
	has "^$g *Empty"
	groups --describe --group "$g" --state
	has "^$g .*:.*Empty *0"
	groups --describe --group "$g" --members
	groups --describe --group "$g" --members --verbose
	groups --describe --group "$g" --offsets
	has "^$g *$n *0 *100 *100 *0 *- *- *-"
	groups --all-groups --describe --offsets
	has "^$g *$n *0 *100 *100 *0"
	reset to-earliest 30 --to-earliest
	reset shift-by 35 --shift-by 5
	reset to-offset 50 --to-offset 50
	reset to-offset 100 --to-offset 500
	reset to-latest 100 --to-latest
	reset shift-by 90 --shift-by -10
	reset to-current 90 --to-current
	reset to-datetime 30 --to-datetime 2001-01-01T00:00:00.000
	reset by-duration 30 --by-duration P10D
	reset by-duration 100 --by-duration PT0S
	groups --reset-offsets --group "$g" --topic "$n" --to-offset 60 \
	    --dry-run
	check_eq "$(committed "$n")" 100 "a dry run"
	groups --reset-offsets --group "$g" --topic "$n" --to-offset 60 \
	    --export
	cp "$work/out" "$work/offsets.csv"
	reset from-file 60 --from-file "$work/offsets.csv"
	kt org.apache.kafka.tools.consumer.ConsoleConsumer \
	    --bootstrap-server "$BOOTSTRAP" --topic "$n" \
	    --max-messages 40 --group "$g"
	check_eq "$(head -n 1 "$work/out")" 61 "the first after the reset"
	groups --delete-offsets --group "$g" --topic "$n"
	has "$n *0 *Successful"
	groups --list
	[ "$java_major" = 3 ] || t GroupsCommand --list
	groups_say "$g-none.* not \(found\|exist\)" --describe --group "$g-none"
	produce "$n" 1 1
	kt org.apache.kafka.tools.consumer.ConsoleConsumer \
	    --bootstrap-server "$BOOTSTRAP" --topic "$n" --from-beginning \
	    --max-messages 1 --group "$g-2"
	groups --delete --group "$g-2"
	has 'successful'
	groups --list
	has_not "^$g-2\$"
	groups_say 'could not be deleted.*GroupIdNotFound' --delete \
	    --group "$g-none"
}

# A group with a member, the verifiable consumer in a JVM of its own.
tools_members()
{
	n=$prefix-records
	m=$prefix-members
	: >"$work/member.out"
	(jvm org.apache.kafka.tools.VerifiableConsumer --bootstrap-server \
	    "$BOOTSTRAP" --topic "$n" --group-id "$m" \
	    --reset-policy earliest) >>"$work/member.out" 2>&1 &
	member=$!
	jobs_started="$jobs_started $member"
	wait_until grep -q records_consumed "$work/member.out" ||
	    fail "no records: $(cat "$work/member.out")"
	groups --describe --group "$m" --members --verbose
	has "^$m *consumer-$m.* /[0-9.]* *.* 1 .*\((0)\|$n:0\)"
	groups --describe --group "$m" --state
	has "^$m .*range.*Stable *1"
	groups --list --state Stable
	has "^$m *Stable"
	groups_say 'GroupNotEmpty' --delete --group "$m"
	groups_say 'inactive' --reset-offsets --group "$m" --topic "$n" \
	    --to-earliest --execute
	if [ "$java_major" = 4 ]; then
		t GroupsCommand --list --protocol consumer
		has "^$m *Classic *consumer"
	fi
	kill "$member"
	wait "$member"
	has_summary "$work/member.out"
}

has_summary()
{
	grep -q '"name":"shutdown_complete"' "$1" || fail "$(tail "$1")"
}

tools_cluster()
{
	n=$prefix-topics
	kt $versions --bootstrap-server "$BOOTSTRAP"
	has 'Produce(0): ' 'Metadata(3): '
	kt org.apache.kafka.tools.ClusterTool cluster-id --bootstrap-server \
	    "$BOOTSTRAP"
	has '^Cluster ID: [A-Za-z0-9_-]\{22\}$'
	t MetadataQuorumCommand describe --status
	has "^LeaderId: *$id" '^HighWatermark: *[0-9]'
	t MetadataQuorumCommand describe --replication
	has "^$id .*Leader"
	kt_rc org.apache.kafka.tools.LeaderElectionCommand \
	    --bootstrap-server "$BOOTSTRAP" --election-type preferred \
	    --topic "$n" --partition 0
	has 'Valid replica already elected'
	t LeaderElectionCommand --election-type unclean \
	    --all-topic-partitions
	printf '{"topics":[{"topic":"%s"}],"version":1}' "$n" \
	    >"$work/move.json"
	t reassign.ReassignPartitionsCommand --generate --broker-list "$id" \
	    --topics-to-move-json-file "$work/move.json"
	grep -A 1 Proposed "$work/out" | tail -n 1 >"$work/plan.json"
	t reassign.ReassignPartitionsCommand --execute \
	    --reassignment-json-file "$work/plan.json"
	has 'Successfully started partition reassignments'
	t reassign.ReassignPartitionsCommand --verify \
	    --reassignment-json-file "$work/plan.json"
	has "Reassignment of partition $n-0 is completed"
	t reassign.ReassignPartitionsCommand --list
	has 'No partition reassignments found'
	[ "$java_major" = 3 ] || t ClientMetricsCommand --list
}

tools_features()
{
	t FeatureCommand describe
	has 'group.version.*FinalizedVersionLevel: [1-9]'
	t_bad 'no.such\|Could not\|not.*feature' FeatureCommand upgrade \
	    --feature no.such=1
}

tools_load()
{
	n=$prefix-load
	t TopicCommand --create --topic "$n" --partitions 3
	kt org.apache.kafka.tools.ProducerPerformance --topic "$n" \
	    --num-records 5000 --record-size 100 --throughput -1 \
	    --producer-props "bootstrap.servers=$BOOTSTRAP"
	has '^5000 records sent'
	t ConsumerPerformance --topic "$n" $consumer_limit 5000 --group \
	    "$n-perf"
	check_eq "$(awk -F ', ' 'NR == 2 { print $5 }' "$work/out")" 5000 \
	    "records that kafka-consumer-perf-test read"
	# It waits for its acks as its JVM ends.
	(jvm org.apache.kafka.tools.VerifiableProducer --bootstrap-server \
	    "$BOOTSTRAP" --topic "$n" --max-messages 1000) >"$work/out" ||
	    fail "kafka-verifiable-producer: $(tail -n 3 "$work/out")"
	check_eq "$(grep -c producer_send_success "$work/out")" 1000 "acks"
	has '"sent":1000,"acked":1000'
	kt org.apache.kafka.tools.VerifiableConsumer --bootstrap-server \
	    "$BOOTSTRAP" --topic "$n" --group-id "$n-verify" \
	    --max-messages 6000 --reset-policy earliest
	check_eq "$(sed -nE 's/.*"name":"records_consumed","count":([0-9]+).*/\1/p
	    s/.*"name":"records_consumed".*"count":([0-9]+).*/\1/p' \
	    "$work/out" | awk '{ n += $1 } END { print n }')" 6000 \
	    "records that kafka-verifiable-consumer read"
	if [ "$java_major" = 3 ]; then
		kt org.apache.kafka.tools.EndToEndLatency "$BOOTSTRAP" \
		    "$n-e2e" 20 all 100
	else
		t EndToEndLatency --topic "$n-e2e" --num-records 20 \
		    --producer-acks all --record-size 100
	fi
	has 'Percentiles: 50th'
	t StreamsResetter --application-id "$n-verify" --input-topics "$n" \
	    --force
	g=$n-verify
	check_eq "$(committed "$n")" 0 "kafka-streams-application-reset"
}
