// SPDX-License-Identifier: Apache-2.0
//
// What the Admin client of Kafka 4 has, or answers otherwise.

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.ClassicGroupDescription;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;

final class AdminVersion {
	private AdminVersion() {
	}

	static void add() {
		AdminTest.tests.put("listGroups", AdminVersion::listGroups);
		AdminTest.tests.put("describeClassicGroups",
		    AdminVersion::describeClassic);
		AdminTest.tests.put("listConfigResources",
		    AdminVersion::listConfigResources);
		AdminTest.tests.put("configsOfGroups",
		    AdminVersion::groupConfigs);
		AdminTest.tests.put("listOffsetsPendingUpload",
		    AdminVersion::pendingUpload);
	}

	static void describeMissing(String group) throws Exception {
		Check.fails(GroupIdNotFoundException.class, AdminTest.admin
		    .describeConsumerGroups(List.of(group)).all(),
		    "a group that is not there");
	}

	static void checkNew(ConsumerGroupDescription d) {
		Check.eq(d.type(), GroupType.CONSUMER, "the type");
		Check.ok(d.groupEpoch().get() >= 2, "epoch of " + d);
		Check.eq(d.targetAssignmentEpoch(), d.groupEpoch(), "target");
		d.members().forEach(m -> {
			Check.eq(m.memberEpoch(), d.groupEpoch(), "member");
			Check.eq(m.upgraded().get(), true, m.toString());
		});
	}

	static void featureFails(KafkaFuture<Void> f, String what)
	    throws Exception {
		Check.fails(org.apache.kafka.common.errors
		    .InvalidUpdateVersionException.class, f, what);
	}

	private static GroupListing listed(String g, ListGroupsOptions o)
	    throws Exception {
		for (GroupListing l : Check.get(AdminTest.admin.listGroups(o)
		    .all()))
			if (l.groupId().equals(g))
				return l;
		return null;
	}

	private static ListGroupsOptions with() {
		return new ListGroupsOptions();
	}

	static void listGroups() throws Exception {
		String t = AdminTest.topic("groups", 2);
		String g = AdminTest.name("any-group");
		String empty = AdminGroups.simple("any-empty", t, 1);

		try (AdminGroups.Member m = new AdminGroups.Member(g, t)) {
			m.holds(2);
			GroupListing l = listed(g, with());
			Check.eq(l.type().get(), GroupType.CLASSIC, "type");
			Check.eq(l.protocol(), "consumer", "protocol");
			Check.eq(l.groupState().get(), GroupState.STABLE, "");
			Check.ok(!l.isSimpleConsumerGroup(), "" + l);
			Check.ok(listed(empty, with())
			    .isSimpleConsumerGroup(), "a simple group");
			Check.ok(listed(g, with().inGroupStates(Set.of(
			    GroupState.EMPTY))) == null, "it is not empty");
			Check.ok(listed(empty, with().inGroupStates(Set.of(
			    GroupState.EMPTY, GroupState.DEAD))) != null, "");
			Check.ok(listed(g, with().withTypes(Set.of(
			    GroupType.CONSUMER))) == null, "another type");
			Check.ok(listed(g, with().withProtocolTypes(Set.of(
			    "connect"))) == null, "another protocol");
			Check.ok(listed(g, ListGroupsOptions
			    .forConsumerGroups()) != null, "for consumers");
		}
	}

	static void describeClassic() throws Exception {
		String t = AdminTest.topic("classic", 2);
		String g = AdminTest.name("classic-group");

		try (AdminGroups.Member m = new AdminGroups.Member(g, t)) {
			m.holds(2);
			ClassicGroupDescription d = Check.get(AdminTest.admin
			    .describeClassicGroups(List.of(g)).all()).get(g);
			Check.eq(d.protocol(), "consumer", "protocol");
			Check.eq(d.protocolData(), "range", "data");
			Check.eq(d.state(), ClassicGroupState.STABLE, "state");
			Check.eq(d.members().size(), 1, "members");
			Check.ok(d.coordinator().port() > 0, d.toString());
		}
		Check.fails(GroupIdNotFoundException.class, AdminTest.admin
		    .describeClassicGroups(List.of(AdminTest.name("no-group")))
		    .all(), "a group that is not there");
	}

	private static Collection<ConfigResource> resources(
	    ConfigResource.Type... types) throws Exception {
		return Check.get(AdminTest.admin.listConfigResources(Set.of(
		    types), new ListConfigResourcesOptions()).all());
	}

	static void listConfigResources() throws Exception {
		ConfigResource g = new ConfigResource(
		    ConfigResource.Type.GROUP, AdminTest.name("has-config"));
		ConfigResource t = AdminConfigs.topicResource(
		    AdminTest.topic("resource", 1));
		ConfigResource b = new ConfigResource(
		    ConfigResource.Type.BROKER, "" + AdminTest.node);

		Check.get(AdminConfigs.alter(g, false, AdminConfigs.set(
		    "consumer.session.timeout.ms", "46000")));
		Check.until(() -> resources(ConfigResource.Type.GROUP)
		    .contains(g), "the group");
		Check.ok(!resources(ConfigResource.Type.GROUP).contains(t),
		    "a topic among groups");
		Check.ok(resources(ConfigResource.Type.TOPIC).contains(t),
		    "the topic");
		Check.ok(resources(ConfigResource.Type.BROKER).contains(b),
		    "the broker");
		Check.ok(resources().containsAll(List.of(g, t, b)), "all");
		Check.get(AdminConfigs.alter(g, false, AdminConfigs.unset(
		    "consumer.session.timeout.ms")));
		Check.until(() -> !resources(ConfigResource.Type.GROUP)
		    .contains(g), "the group is gone");
	}

	static void groupConfigs() throws Exception {
		String name = "consumer.session.timeout.ms";
		ConfigResource g = new ConfigResource(ConfigResource.Type.GROUP,
		    AdminTest.name("group-config"));

		AdminConfigs.is(g, name, "45000", ConfigEntry.ConfigSource.DEFAULT_CONFIG);
		Check.get(AdminConfigs.alter(g, true, AdminConfigs.set(name, "50000")));
		AdminConfigs.is(g, name, "45000", ConfigEntry.ConfigSource.DEFAULT_CONFIG);
		Check.get(AdminConfigs.alter(g, false, AdminConfigs.set(name, "50000"),
		    AdminConfigs.set("consumer.heartbeat.interval.ms", "6000")));
		Check.until(() -> AdminConfigs.config(g).get(name).value().equals("50000"),
		    "the group's config");
		AdminConfigs.is(g, name, "50000", ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG);
		Check.get(AdminConfigs.alter(g, false, AdminConfigs.unset(name)));
		Check.until(() -> AdminConfigs.config(g).get(name).value().equals("45000"),
		    "the group's config is gone");
		Check.fails(InvalidConfigurationException.class, AdminConfigs.alter(g,
		    false, AdminConfigs.set(name, "1")), "a value out of range");
		Check.fails(InvalidConfigurationException.class, AdminConfigs.alter(g,
		    false, AdminConfigs.set("no.such", "1")), "an unknown config");
	}

	static void pendingUpload() throws Exception {
		String t = AdminTest.topic("pending", 1);

		Check.eq(Check.get(AdminTest.admin.listOffsets(Map.of(
		    new TopicPartition(t, 0), OffsetSpec
		    .earliestPendingUpload())).all()).get(
		    new TopicPartition(t, 0)).offset(), -1L,
		    "nothing is to be uploaded");
	}
}
