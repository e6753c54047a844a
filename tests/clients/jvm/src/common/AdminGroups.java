// SPDX-License-Identifier: Apache-2.0
//
// Admin's methods on consumer groups.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListConsumerGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;

final class AdminGroups {
	private AdminGroups() {
	}

	/* A member that does nothing but stay; closed, it leaves. */
	static final class Member implements AutoCloseable {
		private final AtomicBoolean end = new AtomicBoolean();
		private final Thread thread;
		private volatile Exception error;
		private volatile int parts;

		Member(String group, String topic, String... more) {
			Properties p = AdminTest.props();
			p.put("group.id", group);
			p.put("auto.offset.reset", "earliest");
			p.put("enable.auto.commit", "false");
			for (int i = 0; i < more.length; i += 2)
				p.put(more[i], more[i + 1]);
			thread = new Thread(() -> {
				try (KafkaConsumer<String, String> c =
				    new KafkaConsumer<>(p,
				    new StringDeserializer(),
				    new StringDeserializer())) {
					c.subscribe(List.of(topic));
					while (!end.get()) {
						c.poll(Duration.ofMillis(50));
						parts = c.assignment().size();
					}
				} catch (Exception e) {
					error = e;
				}
			});
			thread.start();
		}

		int parts() {
			Check.ok(error == null, "a member: " + error);
			return parts;
		}

		void holds(int n) throws Exception {
			Check.until(() -> parts() == n,
			    "a member has " + n + " partitions");
		}

		@Override
		public void close() throws Exception {
			end.set(true);
			thread.join();
		}
	}

	static void add() {
		AdminTest.tests.put("listConsumerGroups", AdminGroups::list);
		AdminTest.tests.put("describeConsumerGroups",
		    AdminGroups::describe);
		AdminTest.tests.put("describeConsumerGroupsNew",
		    AdminGroups::describeNew);
		AdminTest.tests.put("consumerGroupOffsets",
		    AdminGroups::offsets);
		AdminTest.tests.put("deleteConsumerGroupOffsets",
		    AdminGroups::deleteOffsets);
		AdminTest.tests.put("deleteConsumerGroups",
		    AdminGroups::delete);
		AdminTest.tests.put("removeMembersFromConsumerGroup",
		    AdminGroups::removeMembers);
	}

	static ConsumerGroupDescription one(String g) throws Exception {
		return Check.get(AdminTest.admin.describeConsumerGroups(List.of(
		    g)).describedGroups().get(g));
	}

	static Map<TopicPartition, OffsetAndMetadata> committed(String g)
	    throws Exception {
		return Check.get(AdminTest.admin.listConsumerGroupOffsets(g)
		    .partitionsToOffsetAndMetadata());
	}

	/* Commits offset 3 for each partition: an empty group has it so. */
	static String simple(String n, String topic, int parts)
	    throws Exception {
		String g = AdminTest.name(n);
		Map<TopicPartition, OffsetAndMetadata> m =
		    new java.util.HashMap<>();
		for (int i = 0; i < parts; i++)
			m.put(new TopicPartition(topic, i),
			    new OffsetAndMetadata(3, "note " + i));
		Check.get(AdminTest.admin.alterConsumerGroupOffsets(g, m)
		    .all());
		return g;
	}

	private static boolean listed(String g, ListConsumerGroupsOptions o)
	    throws Exception {
		for (ConsumerGroupListing l : Check.get(AdminTest.admin
		    .listConsumerGroups(o).all()))
			if (l.groupId().equals(g))
				return true;
		return false;
	}

	private static ListConsumerGroupsOptions with() {
		return new ListConsumerGroupsOptions();
	}

	static void list() throws Exception {
		String t = AdminTest.topic("list-groups", 2);
		String g = AdminTest.name("listed");
		String empty = simple("listed-empty", t, 1);

		try (Member m = new Member(g, t)) {
			m.holds(2);
			Check.ok(listed(g, with()), g + " is not listed");
			Check.ok(listed(empty, with()), empty);
			Set<ConsumerGroupState> stable = Set.of(
			    ConsumerGroupState.STABLE);
			Set<ConsumerGroupState> none = Set.of(
			    ConsumerGroupState.EMPTY);
			Check.ok(listed(g, with().inStates(stable)), "stable");
			Check.ok(!listed(g, with().inStates(none)), "empty");
			Check.ok(!listed(empty, with().inStates(stable)), "no");
			Check.ok(listed(empty, with().inStates(none)), "yes");
			Check.ok(listed(g, with().withTypes(Set.of(
			    GroupType.CLASSIC))), "the type");
			Check.ok(!listed(g, with().withTypes(Set.of(
			    GroupType.CONSUMER))), "the other type");
		}
	}

	private static void checkMember(MemberDescription m, String instance,
	    String topic, int parts) {
		Check.eq(m.groupInstanceId().orElse(null), instance, "id");
		Check.ok(!m.consumerId().isEmpty(), m.toString());
		Check.ok(m.clientId().startsWith("consumer-"), m.toString());
		Check.ok(m.host().startsWith("/"), m.toString());
		Check.eq(m.assignment().topicPartitions().size(), parts,
		    "partitions");
		for (TopicPartition p : m.assignment().topicPartitions())
			Check.eq(p.topic(), topic, "the topic");
	}

	static void describe() throws Exception {
		String t = AdminTest.topic("describe-groups", 3);
		String g = AdminTest.name("described");

		try (Member m = new Member(g, t, "group.instance.id", "one",
		    "partition.assignment.strategy",
		    "org.apache.kafka.clients.consumer.RoundRobinAssignor")) {
			m.holds(3);
			ConsumerGroupDescription d = one(g);
			Check.eq(d.state(), ConsumerGroupState.STABLE, "state");
			Check.eq(d.partitionAssignor(), "roundrobin", "");
			Check.ok(!d.isSimpleConsumerGroup(), "simple");
			Check.ok(d.coordinator() != null
			    && d.coordinator().port() > 0, d.toString());
			Check.eq(d.members().size(), 1, "members");
			checkMember(d.members().iterator().next(), "one", t, 3);
		}
		Check.eq(one(g).state(), ConsumerGroupState.STABLE,
		    "a static member that closes does not leave");
		Check.eq(one(simple("described-simple", t, 1)).state(),
		    ConsumerGroupState.EMPTY, "a simple group's state");
		AdminVersion.describeMissing(AdminTest.name("no-group"));
	}

	static void describeNew() throws Exception {
		String t = AdminTest.topic("describe-new", 3);
		String g = AdminTest.name("described-new");

		try (Member m = new Member(g, t, "group.protocol",
		    "consumer"); Member n = new Member(g, t, "group.protocol",
		    "consumer", "group.instance.id", "two")) {
			Check.until(() -> m.parts() > 0 && n.parts() > 0
			    && m.parts() + n.parts() == 3, "a balance");
			Check.until(() -> one(g).state()
			    == ConsumerGroupState.STABLE, "stable");
			ConsumerGroupDescription d = one(g);
			Check.eq(d.members().size(), 2, "members");
			Check.eq(d.partitionAssignor(), "uniform", "assignor");
			for (MemberDescription i : d.members()) {
				boolean two = i.groupInstanceId().isPresent();
				checkMember(i, two ? "two" : null, t, two
				    ? n.parts : m.parts);
				Check.eq(i.targetAssignment().get(),
				    i.assignment(), "the target");
			}
			AdminVersion.checkNew(d);
		}
		Check.until(() -> one(g).members().size() == 1,
		    "the member that is not static leaves");
	}

	static void offsets() throws Exception {
		String t = AdminTest.topic("group-offsets", 2);
		String g = simple("offsets", t, 2);
		TopicPartition p0 = new TopicPartition(t, 0);
		TopicPartition p1 = new TopicPartition(t, 1);
		TopicPartition no = new TopicPartition(t, 2);

		Check.eq(committed(g), Map.of(p0, new OffsetAndMetadata(3,
		    "note 0"), p1, new OffsetAndMetadata(3, "note 1")), "all");
		Check.get(AdminTest.admin.alterConsumerGroupOffsets(g, Map.of(
		    p1, new OffsetAndMetadata(5))).all());
		Map<TopicPartition, OffsetAndMetadata> m = Check.get(
		    AdminTest.admin.listConsumerGroupOffsets(Map.of(g,
		    new ListConsumerGroupOffsetsSpec().topicPartitions(
		    List.of(p1, no)))).partitionsToOffsetAndMetadata(g));
		Check.eq(m.get(p1), new OffsetAndMetadata(5), "altered");
		Check.eq(m.get(no), null, "never committed");
		Check.eq(m.size(), 2, "those asked for");
		Check.eq(committed(AdminTest.name("no-group")), Map.of(),
		    "a group that is not there");
		Check.fails(UnknownTopicOrPartitionException.class,
		    AdminTest.admin.alterConsumerGroupOffsets(g, Map.of(
		    new TopicPartition(AdminTest.name("nowhere"), 0),
		    new OffsetAndMetadata(1))).all(), "an unknown topic");
		try (Member i = new Member(g, t)) {
			i.holds(2);
			Check.fails(UnknownMemberIdException.class,
			    AdminTest.admin.alterConsumerGroupOffsets(g,
			    Map.of(p1, new OffsetAndMetadata(1))).all(),
			    "a group with members");
		}
		Check.eq(committed(g).get(p1), new OffsetAndMetadata(5), "p1");
	}

	static void deleteOffsets() throws Exception {
		String t = AdminTest.topic("delete-offsets", 2);
		String other = AdminTest.topic("delete-offsets-2", 1);
		String g = simple("delete-offsets", t, 2);
		TopicPartition p0 = new TopicPartition(t, 0);
		TopicPartition p1 = new TopicPartition(t, 1);
		TopicPartition o = new TopicPartition(other, 0);

		Check.get(AdminTest.admin.alterConsumerGroupOffsets(g, Map.of(
		    o, new OffsetAndMetadata(0))).all());
		Check.get(AdminTest.admin.deleteConsumerGroupOffsets(g, Set.of(
		    p0)).all());
		Check.eq(committed(g).keySet(), Set.of(p1, o), "what is left");
		try (Member i = new Member(g, t)) {
			i.holds(2);
			Check.fails(GroupSubscribedToTopicException.class,
			    AdminTest.admin.deleteConsumerGroupOffsets(g,
			    Set.of(p1)).partitionResult(p1), "subscribed");
			Check.get(AdminTest.admin.deleteConsumerGroupOffsets(g,
			    Set.of(o)).all());
		}
		Check.eq(committed(g).keySet(), Set.of(p1), "what is left");
		Check.fails(GroupIdNotFoundException.class, AdminTest.admin
		    .deleteConsumerGroupOffsets(AdminTest.name("no-group"),
		    Set.of(p0)).all(), "an unknown group");
	}

	static void delete() throws Exception {
		String t = AdminTest.topic("delete-groups", 1);
		String a = simple("delete-group-a", t, 1);
		String b = simple("delete-group-b", t, 1);

		try (Member i = new Member(b, t)) {
			i.holds(1);
			Map<String, org.apache.kafka.common.KafkaFuture<Void>>
			    m = AdminTest.admin.deleteConsumerGroups(List.of(a,
			    b)).deletedGroups();
			Check.get(m.get(a));
			Check.fails(GroupNotEmptyException.class, m.get(b),
			    "a group with a member");
		}
		Check.ok(!listed(a, with()) && listed(b, with()), "the list");
		Check.eq(committed(a), Map.of(), "offsets of a deleted group");
		Check.fails(GroupIdNotFoundException.class, AdminTest.admin
		    .deleteConsumerGroups(List.of(a)).all(), "again");
	}

	static void removeMembers() throws Exception {
		String t = AdminTest.topic("remove-members", 3);
		String g = AdminTest.name("remove-members");
		Collection<Member> l = new ArrayList<>();

		try {
			for (String n : List.of("a", "b", "c"))
				l.add(new Member(g, t, "group.instance.id", n,
				    "heartbeat.interval.ms", "200"));
			for (Member m : l)
				m.holds(1);
		} finally {
			for (Member m : l)
				m.close();
		}
		Check.eq(one(g).members().size(), 3, "members that closed");
		Check.get(AdminTest.admin.removeMembersFromConsumerGroup(g,
		    new RemoveMembersFromConsumerGroupOptions(Set.of(
		    new MemberToRemove("a")))).all());
		Check.eq(one(g).members().size(), 2, "members left");
		Check.fails(UnknownMemberIdException.class, AdminTest.admin
		    .removeMembersFromConsumerGroup(g,
		    new RemoveMembersFromConsumerGroupOptions(Set.of(
		    new MemberToRemove("a")))).memberResult(
		    new MemberToRemove("a")), "removed again");
		Check.get(AdminTest.admin.removeMembersFromConsumerGroup(g,
		    new RemoveMembersFromConsumerGroupOptions()).all());
		Check.eq(one(g).state(), ConsumerGroupState.EMPTY, "all left");
	}
}
