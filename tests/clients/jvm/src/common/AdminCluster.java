// SPDX-License-Identifier: Apache-2.0
//
// Admin's methods on the cluster: nodes, leaders, replicas and features.

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

final class AdminCluster {
	private AdminCluster() {
	}

	static void add() {
		AdminTest.tests.put("describeCluster", AdminCluster::describe);
		AdminTest.tests.put("electLeaders", AdminCluster::elect);
		AdminTest.tests.put("alterPartitionReassignments",
		    AdminCluster::reassign);
		AdminTest.tests.put("describeFeatures",
		    AdminCluster::features);
		AdminTest.tests.put("updateFeatures",
		    AdminCluster::updateFeatures);
		AdminTest.tests.put("describeMetadataQuorum",
		    AdminCluster::quorum);
	}

	static void describe() throws Exception {
		DescribeClusterResult r = AdminTest.admin.describeCluster(
		    new DescribeClusterOptions()
		    .includeAuthorizedOperations(true));
		Set<AclOperation> ops = Check.get(r.authorizedOperations());
		Node c = Check.get(r.controller());

		Check.ok(!Check.get(r.clusterId()).isEmpty(), "cluster id");
		Check.ok(Check.get(r.nodes()).contains(c), c + " of "
		    + Check.get(r.nodes()));
		Check.ok(ops.containsAll(List.of(AclOperation.CREATE,
		    AclOperation.ALTER, AclOperation.DESCRIBE)), "" + ops);
		Check.eq(Check.get(AdminTest.admin.describeCluster()
		    .authorizedOperations()), null, "not asked for");
		Check.eq(Check.get(AdminTest.admin.describeCluster()
		    .clusterId()), Check.get(r.clusterId()), "the same id");
	}

	static void elect() throws Exception {
		String t = AdminTest.topic("elect", 2);
		TopicPartition p = new TopicPartition(t, 0);
		TopicPartition no = new TopicPartition(t, 9);

		for (ElectionType e : ElectionType.values()) {
			Map<TopicPartition, Optional<Throwable>> m = Check.get(
			    AdminTest.admin.electLeaders(e, Set.of(p, no))
			    .partitions());
			Check.eq(m.get(p).get().getClass(),
			    ElectionNotNeededException.class, "" + e);
			Check.eq(m.get(no).get().getClass(),
			    UnknownTopicOrPartitionException.class, "" + e);
			/* Of all partitions only those elected are told. */
			Check.ok(Check.get(AdminTest.admin.electLeaders(e,
			    null).partitions()).get(p) == null,
			    "an election where none is needed");
		}
	}

	private static KafkaFuture<Void> move(TopicPartition p, Integer... to) {
		return AdminTest.admin.alterPartitionReassignments(Map.of(p,
		    to.length == 0 ? Optional.empty() : Optional.of(
		    new NewPartitionReassignment(List.of(to))))).all();
	}

	static void reassign() throws Exception {
		TopicPartition p = new TopicPartition(AdminTest.topic("move",
		    1), 0);

		Check.get(move(p, AdminTest.node));
		Check.eq(Check.get(AdminTest.admin.listPartitionReassignments()
		    .reassignments()), Map.of(), "reassignments");
		Check.eq(Check.get(AdminTest.admin.listPartitionReassignments(
		    Set.of(p)).reassignments()), Map.of(), "of one");
		Check.fails(NoReassignmentInProgressException.class, move(p),
		    "cancelled where there is none");
		Check.fails(InvalidReplicaAssignmentException.class, move(p,
		    987654), "to an unknown broker");
		Check.fails(InvalidReplicaAssignmentException.class, move(p,
		    AdminTest.node, AdminTest.node), "to one broker twice");
		Check.fails(UnknownTopicOrPartitionException.class, move(
		    new TopicPartition(p.topic(), 3), AdminTest.node),
		    "an unknown partition");
		Check.eq(AdminTopics.one(p.topic()).partitions().get(0)
		    .replicas().size(), 1, "replicas");
	}

	static FeatureMetadata metadata() throws Exception {
		return Check.get(AdminTest.admin.describeFeatures()
		    .featureMetadata());
	}

	static void features() throws Exception {
		FeatureMetadata f = metadata();

		Check.ok(f.finalizedFeaturesEpoch().isPresent(), "no epoch");
		for (String n : List.of("metadata.version", "group.version")) {
			Check.ok(f.supportedFeatures().containsKey(n), "no "
			    + n + " in " + f);
			Check.ok(f.finalizedFeatures().containsKey(n), n);
			short now = f.finalizedFeatures().get(n)
			    .maxVersionLevel();
			Check.ok(now >= f.supportedFeatures().get(n)
			    .minVersion() && now <= f.supportedFeatures()
			    .get(n).maxVersion(), f.toString());
		}
		Check.ok(f.finalizedFeatures().get("group.version")
		    .maxVersionLevel() >= 1, f.toString());
	}

	private static KafkaFuture<Void> update(String name, int level,
	    FeatureUpdate.UpgradeType type, boolean dry) {
		return AdminTest.admin.updateFeatures(Map.of(name,
		    new FeatureUpdate((short)level, type)),
		    new UpdateFeaturesOptions().validateOnly(dry)).all();
	}

	static void updateFeatures() throws Exception {
		FeatureUpdate.UpgradeType up = FeatureUpdate.UpgradeType.UPGRADE;
		FeatureMetadata f = metadata();
		int now = f.finalizedFeatures().get("group.version")
		    .maxVersionLevel();

		Check.get(update("group.version", now, up, true));
		Check.get(update("group.version", now, up, false));
		for (boolean dry : new boolean[] { true, false }) {
			AdminVersion.featureFails(update("no.such.feature", 1,
			    up, dry), "an unknown feature");
			AdminVersion.featureFails(update("group.version", 999,
			    up, dry), "a level that is not supported");
		}
		Check.eq(metadata().finalizedFeatures(), f.finalizedFeatures(),
		    "what is finalized");
	}

	static void quorum() throws Exception {
		QuorumInfo q = Check.get(AdminTest.admin
		    .describeMetadataQuorum().quorumInfo());

		Check.ok(q.leaderId() >= 0 && q.leaderEpoch() >= 0,
		    q.toString());
		Check.ok(q.highWatermark() >= 0, q.toString());
		Check.ok(q.voters().stream().anyMatch(v -> v.replicaId()
		    == q.leaderId()), q.toString());
	}
}
