// SPDX-License-Identifier: Apache-2.0
//
// Admin's methods on the records of partitions.

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.DeletedRecords;
import org.apache.kafka.clients.admin.DescribeProducersOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;

final class AdminRecords {
	private AdminRecords() {
	}

	static void add() {
		AdminTest.tests.put("listOffsets", AdminRecords::listOffsets);
		AdminTest.tests.put("deleteRecords",
		    AdminRecords::deleteRecords);
		AdminTest.tests.put("describeLogDirs", AdminRecords::logDirs);
		AdminTest.tests.put("describeReplicaLogDirs",
		    AdminRecords::replicaLogDirs);
		AdminTest.tests.put("describeProducers",
		    AdminRecords::producers);
	}

	static ListOffsetsResult.ListOffsetsResultInfo offset(TopicPartition p,
	    OffsetSpec s) throws Exception {
		return Check.get(AdminTest.admin.listOffsets(Map.of(p, s))
		    .partitionResult(p));
	}

	private static void offset(TopicPartition p, OffsetSpec s, long want,
	    long timestamp) throws Exception {
		ListOffsetsResult.ListOffsetsResultInfo o = offset(p, s);
		Check.eq(o.offset(), want, s.getClass().getSimpleName());
		Check.eq(o.timestamp(), timestamp, "the timestamp for "
		    + s.getClass().getSimpleName());
	}

	static void listOffsets() throws Exception {
		String t = AdminTest.topic("offsets", 2);
		TopicPartition p = new TopicPartition(t, 0);
		TopicPartition empty = new TopicPartition(t, 1);

		AdminTest.fill(t, 10);
		offset(p, OffsetSpec.earliest(), 0, -1);
		offset(p, OffsetSpec.latest(), 10, -1);
		offset(p, OffsetSpec.maxTimestamp(), 9, 1009);
		offset(p, OffsetSpec.forTimestamp(1004), 4, 1004);
		offset(p, OffsetSpec.forTimestamp(0), 0, 1000);
		offset(p, OffsetSpec.forTimestamp(1010), -1, -1);
		offset(p, OffsetSpec.earliestLocal(), 0, -1);
		offset(p, OffsetSpec.latestTiered(), -1, -1);
		offset(empty, OffsetSpec.earliest(), 0, -1);
		offset(empty, OffsetSpec.latest(), 0, -1);
		offset(empty, OffsetSpec.maxTimestamp(), -1, -1);
		offset(empty, OffsetSpec.forTimestamp(0), -1, -1);
		Check.eq(Check.get(AdminTest.admin.listOffsets(Map.of(p,
		    OffsetSpec.latest()), new ListOffsetsOptions(
		    IsolationLevel.READ_COMMITTED)).partitionResult(p))
		    .offset(), 10L, "the end that is committed");
		TopicPartition none = new TopicPartition(t, 2);
		Check.fails(TimeoutException.class, AdminTest.admin
		    .listOffsets(Map.of(none, OffsetSpec.latest()),
		    new ListOffsetsOptions().timeoutMs(2000)).all(),
		    "an unknown partition");
	}

	private static DeletedRecords before(TopicPartition p, long o)
	    throws Exception {
		return Check.get(AdminTest.admin.deleteRecords(Map.of(p,
		    RecordsToDelete.beforeOffset(o))).lowWatermarks().get(p));
	}

	static void deleteRecords() throws Exception {
		String t = AdminTest.topic("delete-records", 1);
		TopicPartition p = new TopicPartition(t, 0);

		AdminTest.fill(t, 10);
		Check.eq(before(p, 4).lowWatermark(), 4L, "low watermark");
		offset(p, OffsetSpec.earliest(), 4, -1);
		Check.eq(before(p, 2).lowWatermark(), 4L, "deleted already");
		Check.fails(OffsetOutOfRangeException.class, AdminTest.admin
		    .deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(11)))
		    .all(), "beyond the end");
		offset(p, OffsetSpec.earliest(), 4, -1);
		Check.eq(before(p, -1).lowWatermark(), 10L, "all of them");
		offset(p, OffsetSpec.earliest(), 10, -1);
		offset(p, OffsetSpec.latest(), 10, -1);
		offset(p, OffsetSpec.forTimestamp(0), -1, -1);

		String c = AdminTest.name("delete-compact");
		TopicPartition pc = new TopicPartition(c, 0);
		Check.get(AdminTest.admin.createTopics(List.of(
		    new org.apache.kafka.clients.admin.NewTopic(c, 1, (short)1)
		    .configs(Map.of("cleanup.policy", "compact")))).all());
		Check.fails(PolicyViolationException.class, AdminTest.admin
		    .deleteRecords(Map.of(pc, RecordsToDelete.beforeOffset(0)))
		    .all(), "a compacted topic");
	}

	private static ReplicaInfo replica(TopicPartition p) throws Exception {
		Map<String, LogDirDescription> dirs = Check.get(AdminTest.admin
		    .describeLogDirs(List.of(AdminTest.node))
		    .allDescriptions()).get(AdminTest.node);
		ReplicaInfo found = null;

		for (LogDirDescription d : dirs.values()) {
			Check.ok(d.error() == null, "" + d.error());
			Check.ok(d.totalBytes().orElse(1) > 0
			    && d.usableBytes().orElse(1) > 0, "bytes: " + d);
			if (d.replicaInfos().containsKey(p))
				found = d.replicaInfos().get(p);
		}
		return found;
	}

	static void logDirs() throws Exception {
		String t = AdminTest.topic("log-dirs", 1);
		TopicPartition p = new TopicPartition(t, 0);

		Check.until(() -> replica(p) != null, "the partition's place");
		Check.eq(replica(p).size(), 0L, "an empty one's size");
		AdminTest.fill(t, 10);
		long ten = replica(p).size();
		Check.ok(ten > 10 * 61, ten + " bytes for ten batches");
		AdminTest.fill(t, 10);
		Check.eq(replica(p).size(), 2 * ten, "twice the records");
		Check.ok(!replica(p).isFuture(), "a future replica");
		Check.ok(replica(new TopicPartition(t, 1)) == null,
		    "a partition that is not there");
	}

	static void replicaLogDirs() throws Exception {
		String t = AdminTest.topic("replica-dirs", 1);
		TopicPartitionReplica r = new TopicPartitionReplica(t, 0,
		    AdminTest.node);
		TopicPartitionReplica no = new TopicPartitionReplica(t, 7,
		    AdminTest.node);
		Check.until(() -> replica(new TopicPartition(t, 0)) != null,
		    "the partition's place");
		Map<TopicPartitionReplica, org.apache.kafka.clients.admin
		    .DescribeReplicaLogDirsResult.ReplicaLogDirInfo> m =
		    Check.get(AdminTest.admin.describeReplicaLogDirs(List.of(r,
		    no)).all());

		Check.ok(m.get(r).getCurrentReplicaLogDir().startsWith("/"),
		    "" + m.get(r));
		Check.eq(m.get(r).getCurrentReplicaOffsetLag(), 0L, "lag");
		Check.eq(m.get(r).getFutureReplicaLogDir(), null, "future");
		Check.eq(m.get(no).getCurrentReplicaLogDir(), null,
		    "a partition that is not there");
	}

	static void producers() throws Exception {
		String t = AdminTest.topic("producers", 1);
		TopicPartition p = new TopicPartition(t, 0);

		try (KafkaProducer<String, String> kp = new KafkaProducer<>(
		    AdminTest.props(), new StringSerializer(),
		    new StringSerializer())) {
			for (int i = 0; i < 3; i++)
				Check.get(kp.send(new ProducerRecord<>(t, 0,
				    "k", "v" + i)));
			List<ProducerState> l = Check.get(AdminTest.admin
			    .describeProducers(List.of(p))
			    .partitionResult(p)).activeProducers();
			Check.eq(l.size(), 1, "producers");
			Check.ok(l.get(0).producerId() >= 0, "" + l);
			Check.eq(l.get(0).producerEpoch(), 0, "epoch");
			Check.eq(l.get(0).lastSequence(), 2, "sequence");
			Check.ok(l.get(0).lastTimestamp() > 1600000000000L,
			    "" + l);
			Check.ok(l.get(0).currentTransactionStartOffset()
			    .isEmpty(), "a transaction: " + l);
		}
		Check.fails(TimeoutException.class, AdminTest.admin
		    .describeProducers(List.of(new TopicPartition(t, 5)),
		    new DescribeProducersOptions().timeoutMs(2000)).all(),
		    "an unknown partition");
	}
}
