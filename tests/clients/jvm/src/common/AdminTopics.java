// SPDX-License-Identifier: Apache-2.0
//
// Admin's methods that make, show, change and delete topics.

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TopicListing;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

final class AdminTopics {
	private AdminTopics() {
	}

	static void add() {
		AdminTest.tests.put("createTopics", AdminTopics::create);
		AdminTest.tests.put("createTopicsInvalid",
		    AdminTopics::createInvalid);
		AdminTest.tests.put("listTopics", AdminTopics::list);
		AdminTest.tests.put("describeTopics", AdminTopics::describe);
		AdminTest.tests.put("describeTopicsById",
		    AdminTopics::describeById);
		AdminTest.tests.put("createPartitions",
		    AdminTopics::createPartitions);
		AdminTest.tests.put("deleteTopics", AdminTopics::delete);
		AdminTest.tests.put("deleteTopicsById",
		    AdminTopics::deleteById);
	}

	private static CreateTopicsResult make(NewTopic... l) {
		return AdminTest.admin.createTopics(Arrays.asList(l));
	}

	static Set<String> names() throws Exception {
		return Check.get(AdminTest.admin.listTopics().names());
	}

	static TopicDescription one(String t) throws Exception {
		return Check.get(AdminTest.admin.describeTopics(List.of(t))
		    .topicNameValues().get(t));
	}

	static void create() throws Exception {
		String plain = AdminTest.name("plain");
		String placed = AdminTest.name("placed");
		String never = AdminTest.name("never");
		int node = AdminTest.node;
		CreateTopicsResult r = make(
		    new NewTopic(plain, Optional.empty(), Optional.empty())
		    .configs(Map.of("retention.ms", "3600000")),
		    new NewTopic(placed, Map.of(0, List.of(node), 1,
		    List.of(node))));

		Check.get(r.all());
		Check.eq(Check.get(r.numPartitions(plain)), 1, "partitions");
		Check.eq(Check.get(r.replicationFactor(plain)), 1, "factor");
		Check.eq(Check.get(r.config(plain)).get("retention.ms")
		    .value(), "3600000", "the config in the answer");
		Check.eq(Check.get(r.config(plain)).get("cleanup.policy")
		    .value(), "delete", "a default in the answer");
		Check.eq(Check.get(r.numPartitions(placed)), 2, "placed");
		Check.eq(one(placed).partitions().size(), 2, "placed");
		Check.eq(one(placed).topicId(), Check.get(r.topicId(placed)),
		    "the topic id");

		r = AdminTest.admin.createTopics(List.of(new NewTopic(never, 3,
		    (short)1)), new CreateTopicsOptions().validateOnly(true));
		Check.eq(Check.get(r.numPartitions(never)), 3, "validate only");
		Check.ok(!names().contains(never), never + " was made");
		Check.fails(TopicExistsException.class,
		    make(new NewTopic(plain, 1, (short)1)).all(), "again");
	}

	private static void bad(Class<?> want, NewTopic t) throws Exception {
		Check.fails(want, make(t).all(), t.toString());
		Check.fails(want, AdminTest.admin.createTopics(List.of(t),
		    new CreateTopicsOptions().validateOnly(true)).all(),
		    "validate only " + t);
		Check.ok(!names().contains(t.name()), t + " was made");
	}

	static void createInvalid() throws Exception {
		String t = AdminTest.name("bad");

		bad(InvalidTopicException.class, new NewTopic("bad name!", 1,
		    (short)1));
		bad(InvalidTopicException.class, new NewTopic("x".repeat(250),
		    1, (short)1));
		bad(InvalidPartitionsException.class, new NewTopic(t, 0,
		    (short)1));
		bad(InvalidReplicationFactorException.class, new NewTopic(t, 1,
		    (short)3000));
		bad(InvalidReplicaAssignmentException.class, new NewTopic(t,
		    Map.of(0, List.of(987654))));
		bad(InvalidReplicaAssignmentException.class, new NewTopic(t,
		    Map.of(1, List.of(AdminTest.node))));
		bad(InvalidConfigurationException.class, new NewTopic(t, 1,
		    (short)1).configs(Map.of("no.such.config", "1")));
		bad(InvalidConfigurationException.class, new NewTopic(t, 1,
		    (short)1).configs(Map.of("retention.ms", "soon")));
	}

	static void list() throws Exception {
		String t = AdminTest.topic("list", 2);
		Map<String, TopicListing> l = Check.get(AdminTest.admin
		    .listTopics(new ListTopicsOptions().listInternal(true))
		    .namesToListings());

		Check.ok(l.containsKey(t), t + " is not listed");
		Check.eq(l.get(t).topicId(), one(t).topicId(), "the topic id");
		Check.ok(!l.get(t).isInternal(), t + " is internal");
		for (TopicListing i : Check.get(AdminTest.admin.listTopics()
		    .listings()))
			Check.ok(!i.isInternal(), i + " is listed");
	}

	private static void checkDescription(TopicDescription d, String t,
	    int parts) {
		Check.eq(d.name(), t, "the name");
		Check.eq(d.partitions().size(), parts, "partitions of " + t);
		for (int i = 0; i < parts; i++) {
			TopicPartitionInfo p = d.partitions().get(i);
			Check.eq(p.partition(), i, "order");
			Check.ok(p.leader() != null && p.leader().port() > 0,
			    p + " has no leader");
			Check.eq(p.replicas().size(), 1, "replicas");
			Check.eq(p.isr(), p.replicas(), "in sync");
		}
	}

	static void describe() throws Exception {
		String a = AdminTest.topic("describe-a", 5);
		String b = AdminTest.topic("describe-b", 1);
		/* Pages of two partitions. */
		Map<String, TopicDescription> m = Check.get(AdminTest.admin
		    .describeTopics(List.of(b, a), new DescribeTopicsOptions()
		    .includeAuthorizedOperations(true)
		    .partitionSizeLimitPerResponse(2)).allTopicNames());

		checkDescription(m.get(a), a, 5);
		checkDescription(m.get(b), b, 1);
		Check.ok(m.get(a).authorizedOperations().containsAll(List.of(
		    AclOperation.READ, AclOperation.WRITE,
		    AclOperation.DELETE, AclOperation.ALTER)),
		    "operations: " + m.get(a).authorizedOperations());
		Check.ok(one(a).authorizedOperations() == null
		    || one(a).authorizedOperations().isEmpty(),
		    "operations that were not asked for");
		Check.fails(UnknownTopicOrPartitionException.class,
		    AdminTest.admin.describeTopics(List.of(AdminTest.name(
		    "nowhere"))).allTopicNames(), "an unknown topic");
		Check.fails(InvalidTopicException.class, AdminTest.admin
		    .describeTopics(List.of("")).allTopicNames(), "no name");
	}

	static void describeById() throws Exception {
		String t = AdminTest.topic("by-id", 3);
		Uuid id = one(t).topicId();

		Check.ok(!id.equals(Uuid.ZERO_UUID), "no topic id");
		checkDescription(Check.get(AdminTest.admin.describeTopics(
		    TopicCollection.ofTopicIds(List.of(id)))
		    .topicIdValues().get(id)), t, 3);
		Check.fails(UnknownTopicIdException.class, AdminTest.admin
		    .describeTopics(TopicCollection.ofTopicIds(List.of(
		    Uuid.randomUuid()))).allTopicIds(), "an unknown id");
	}

	static void createPartitions() throws Exception {
		String t = AdminTest.topic("grow", 1);
		List<Integer> here = List.of(AdminTest.node);

		Check.get(AdminTest.admin.createPartitions(Map.of(t,
		    NewPartitions.increaseTo(2)), new CreatePartitionsOptions()
		    .validateOnly(true)).all());
		Check.eq(one(t).partitions().size(), 1, "validate only");
		Check.get(AdminTest.admin.createPartitions(Map.of(t,
		    NewPartitions.increaseTo(3))).all());
		checkDescription(one(t), t, 3);
		Check.get(AdminTest.admin.createPartitions(Map.of(t,
		    NewPartitions.increaseTo(5, List.of(here, here)))).all());
		checkDescription(one(t), t, 5);

		Map<Class<?>, NewPartitions> bad = Map.of(
		    InvalidPartitionsException.class,
		    NewPartitions.increaseTo(4),
		    InvalidReplicaAssignmentException.class,
		    NewPartitions.increaseTo(7, List.of(here)));
		for (Map.Entry<Class<?>, NewPartitions> e : bad.entrySet())
			Check.fails(e.getKey(), AdminTest.admin
			    .createPartitions(Map.of(t, e.getValue())).all(),
			    e.getValue().toString());
		Check.fails(InvalidPartitionsException.class, AdminTest.admin
		    .createPartitions(Map.of(t, NewPartitions.increaseTo(5)))
		    .all(), "as many as there are");
		Check.fails(InvalidReplicaAssignmentException.class,
		    AdminTest.admin.createPartitions(Map.of(t, NewPartitions
		    .increaseTo(6, List.of(List.of(987654))))).all(),
		    "an unknown broker");
		Check.fails(UnknownTopicOrPartitionException.class,
		    AdminTest.admin.createPartitions(Map.of(AdminTest.name(
		    "nowhere"), NewPartitions.increaseTo(2))).all(),
		    "an unknown topic");
		checkDescription(one(t), t, 5);
	}

	static void delete() throws Exception {
		String a = AdminTest.topic("delete-a", 1);
		String b = AdminTest.topic("delete-b", 4);
		Collection<String> l = new ArrayList<>(List.of(a, b));

		Check.get(AdminTest.admin.deleteTopics(l).all());
		Check.until(() -> !names().contains(a) && !names().contains(b),
		    "deleted topics are not listed");
		Check.fails(UnknownTopicOrPartitionException.class,
		    AdminTest.admin.deleteTopics(l).all(), "deleted again");
	}

	static void deleteById() throws Exception {
		String t = AdminTest.topic("delete-id", 2);
		Uuid id = one(t).topicId();
		TopicCollection l = TopicCollection.ofTopicIds(List.of(id));

		Check.get(AdminTest.admin.deleteTopics(l).all());
		Check.until(() -> !names().contains(t), t + " is not listed");
		Check.fails(UnknownTopicIdException.class, AdminTest.admin
		    .deleteTopics(l).all(), "deleted again");
		/* A new topic of the name is another one. */
		AdminTest.topic("delete-id", 2);
		Check.ok(!one(t).topicId().equals(id), "an id came again");
	}
}
