// SPDX-License-Identifier: Apache-2.0
//
// What the Admin client of Kafka 3 has, or answers otherwise.

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;

final class AdminVersion {
	private AdminVersion() {
	}

	static void add() {
		AdminTest.tests.put("alterConfigs", AdminVersion::alter);
	}

	static void describeMissing(String group) throws Exception {
		Check.eq(AdminGroups.one(group).state(),
		    ConsumerGroupState.DEAD, "a group that is not there");
	}

	static void checkNew(ConsumerGroupDescription d) {
	}

	static void featureFails(KafkaFuture<Void> f, String what)
	    throws Exception {
		Check.fails(org.apache.kafka.common.errors
		    .InvalidUpdateVersionException.class, f, what);
	}

	/* What is not named goes back to its default. */
	@SuppressWarnings("deprecation")
	static void alter() throws Exception {
		ConfigResource r = AdminConfigs.topicResource(
		    AdminTest.topic("alter-configs", 1));

		Check.get(AdminTest.admin.alterConfigs(Map.of(r, new Config(
		    List.of(new ConfigEntry("retention.ms", "60000"),
		    new ConfigEntry("cleanup.policy", "compact"))))).all());
		AdminConfigs.is(r, "retention.ms", "60000",
		    ConfigSource.DYNAMIC_TOPIC_CONFIG);
		Check.get(AdminTest.admin.alterConfigs(Map.of(r, new Config(
		    List.of(new ConfigEntry("retention.ms", "70000"))))).all());
		AdminConfigs.is(r, "retention.ms", "70000",
		    ConfigSource.DYNAMIC_TOPIC_CONFIG);
		AdminConfigs.is(r, "cleanup.policy", "delete",
		    ConfigSource.DEFAULT_CONFIG);
		Check.fails(InvalidConfigurationException.class,
		    AdminTest.admin.alterConfigs(Map.of(r, new Config(List.of(
		    new ConfigEntry("no.such", "1"))))).all(), "unknown");
		AdminConfigs.is(r, "retention.ms", "70000",
		    ConfigSource.DYNAMIC_TOPIC_CONFIG);
	}
}
