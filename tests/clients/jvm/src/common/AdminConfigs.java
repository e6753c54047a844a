// SPDX-License-Identifier: Apache-2.0
//
// Admin's methods on the configs of topics and brokers, and on quotas.

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AlterClientQuotasOptions;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.ConfigResource.Type;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

final class AdminConfigs {
	private AdminConfigs() {
	}

	static void add() {
		AdminTest.tests.put("describeConfigs", AdminConfigs::describe);
		AdminTest.tests.put("incrementalAlterConfigs",
		    AdminConfigs::incremental);
		AdminTest.tests.put("configsOfBrokers", AdminConfigs::brokers);
		AdminTest.tests.put("clientQuotas", AdminConfigs::quotas);
	}

	static ConfigResource topicResource(String t) {
		return new ConfigResource(Type.TOPIC, t);
	}

	static Config config(ConfigResource r) throws Exception {
		return Check.get(AdminTest.admin.describeConfigs(List.of(r))
		    .values().get(r));
	}

	static void is(ConfigResource r, String name, String value,
	    ConfigSource source) throws Exception {
		ConfigEntry e = config(r).get(name);
		Check.ok(e != null, r + " has no " + name);
		Check.eq(e.value(), value, name);
		Check.eq(e.source(), source, name + "'s source");
	}

	static KafkaFuture<Void> alter(ConfigResource r, boolean dry,
	    AlterConfigOp... ops) {
		return AdminTest.admin.incrementalAlterConfigs(Map.of(r,
		    Arrays.asList(ops)), new AlterConfigsOptions()
		    .validateOnly(dry)).all();
	}

	static AlterConfigOp op(OpType type, String name, String value) {
		return new AlterConfigOp(new ConfigEntry(name, value), type);
	}

	static AlterConfigOp set(String name, String value) {
		return op(OpType.SET, name, value);
	}

	static AlterConfigOp unset(String name) {
		return op(OpType.DELETE, name, "");
	}

	static void describe() throws Exception {
		ConfigResource r = topicResource(AdminTest.topic("config", 1));
		Check.get(alter(r, false, set("delete.retention.ms", "7200")));
		ConfigEntry e = Check.get(AdminTest.admin.describeConfigs(
		    List.of(r), new DescribeConfigsOptions()
		    .includeSynonyms(true).includeDocumentation(true)).all())
		    .get(r).get("delete.retention.ms");
		List<ConfigEntry.ConfigSynonym> l = e.synonyms();

		Check.eq(e.value(), "7200", "the value");
		Check.eq(e.source(), ConfigSource.DYNAMIC_TOPIC_CONFIG, "");
		Check.eq(e.type(), ConfigEntry.ConfigType.LONG, "the type");
		Check.ok(!e.isReadOnly() && !e.isSensitive(), e.toString());
		Check.ok(e.documentation() != null
		    && e.documentation().length() > 20, e.toString());
		Check.eq(l.size(), 2, "synonyms");
		Check.eq(l.get(0).name(), "delete.retention.ms", "first");
		Check.eq(l.get(0).source(), ConfigSource.DYNAMIC_TOPIC_CONFIG,
		    "the first's source");
		Check.eq(l.get(1).name(), "log.cleaner.delete.retention.ms",
		    "the second");
		Check.eq(l.get(1).value(), "86400000", "the second's value");
		Check.eq(l.get(1).source(), ConfigSource.DEFAULT_CONFIG,
		    "the second's source");

		Config c = config(r);
		for (String name : List.of("cleanup.policy",
		    "compression.type", "delete.retention.ms",
		    "file.delete.delay.ms", "flush.messages", "flush.ms",
		    "index.interval.bytes", "max.compaction.lag.ms",
		    "max.message.bytes", "message.timestamp.type",
		    "message.timestamp.before.max.ms",
		    "message.timestamp.after.max.ms",
		    "min.cleanable.dirty.ratio", "min.compaction.lag.ms",
		    "min.insync.replicas", "preallocate", "retention.bytes",
		    "segment.bytes", "segment.index.bytes",
		    "segment.jitter.ms", "segment.ms",
		    "unclean.leader.election.enable"))
			Check.ok(c.get(name) != null, "there is no " + name);
		is(r, "cleanup.policy", "delete", ConfigSource.DEFAULT_CONFIG);
		Check.ok(c.get("cleanup.policy").synonyms().isEmpty(),
		    "synonyms that were not asked for");
		Check.fails(UnknownTopicOrPartitionException.class,
		    AdminTest.admin.describeConfigs(List.of(topicResource(
		    AdminTest.name("nowhere")))).all(), "an unknown topic");
	}

	static void incremental() throws Exception {
		ConfigResource r = topicResource(AdminTest.topic("alter", 1));

		Check.get(alter(r, true, set("segment.ms", "5000000")));
		is(r, "segment.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
		Check.get(alter(r, false, set("segment.ms", "5000000"),
		    op(OpType.APPEND, "cleanup.policy", "compact")));
		is(r, "segment.ms", "5000000",
		    ConfigSource.DYNAMIC_TOPIC_CONFIG);
		is(r, "cleanup.policy", "delete,compact",
		    ConfigSource.DYNAMIC_TOPIC_CONFIG);
		Check.get(alter(r, false, op(OpType.SUBTRACT,
		    "cleanup.policy", "delete")));
		is(r, "cleanup.policy", "compact",
		    ConfigSource.DYNAMIC_TOPIC_CONFIG);
		Check.get(alter(r, false, unset("segment.ms")));
		is(r, "segment.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
		is(r, "cleanup.policy", "compact",
		    ConfigSource.DYNAMIC_TOPIC_CONFIG);

		Check.fails(InvalidConfigurationException.class, alter(r,
		    false, set("flush.ms", "5000"), set("no.such", "1")),
		    "an unknown config");
		Check.fails(InvalidConfigurationException.class, alter(r,
		    false, set("retention.ms", "soon")), "no number");
		Check.fails(InvalidConfigurationException.class, alter(r,
		    false, set("min.cleanable.dirty.ratio", "1.5")), "1.5");
		Check.fails(InvalidConfigurationException.class, alter(r,
		    false, op(OpType.APPEND, "retention.ms", "1")), "no list");
		Check.fails(InvalidRequestException.class, alter(r, false,
		    set("flush.ms", "1"), unset("flush.ms")), "twice");
		Check.fails(UnknownTopicOrPartitionException.class, alter(
		    topicResource(AdminTest.name("nowhere")), false,
		    set("flush.ms", "1")), "an unknown topic");
		is(r, "flush.ms", "9223372036854775807",
		    ConfigSource.DEFAULT_CONFIG);
	}

	/* The broker's own value, then the default of all brokers below it. */
	static void brokers() throws Exception {
		String name = "log.cleaner.delete.retention.ms";
		ConfigResource b = new ConfigResource(Type.BROKER,
		    "" + AdminTest.node);
		ConfigResource all = new ConfigResource(Type.BROKER, "");
		ConfigResource t = topicResource(AdminTest.topic("broker", 1));

		for (String n : List.of("num.partitions", "log.retention.ms",
		    "message.max.bytes", "auto.create.topics.enable",
		    "offsets.retention.minutes", "advertised.listeners"))
			Check.ok(config(b).get(n) != null, "no " + n);
		Check.ok(config(b).get("num.partitions").isReadOnly(),
		    "num.partitions can be changed");
		is(b, name, "86400000", ConfigSource.DEFAULT_CONFIG);
		Check.eq(config(all).get(name), null, "a default's config");
		Check.get(alter(all, true, set(name, "1000")));
		is(b, name, "86400000", ConfigSource.DEFAULT_CONFIG);
		Check.get(alter(all, false, set(name, "86400001")));
		Check.until(() -> config(b).get(name).value()
		    .equals("86400001"), "the default reaches the broker");
		is(all, name, "86400001",
		    ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
		is(b, name, "86400001",
		    ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
		Check.until(() -> config(t).get("delete.retention.ms").value()
		    .equals("86400001"), "the default reaches a topic");
		is(t, "delete.retention.ms", "86400001",
		    ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
		Check.get(alter(b, false, set(name, "86400002")));
		Check.until(() -> config(b).get(name).value()
		    .equals("86400002"), "the broker has its own");
		is(b, name, "86400002", ConfigSource.DYNAMIC_BROKER_CONFIG);
		Check.get(alter(b, false, unset(name)));
		Check.get(alter(all, false, unset(name)));
		Check.until(() -> config(b).get(name).value()
		    .equals("86400000"), "the configs are gone");
		Check.fails(InvalidRequestException.class, alter(b, false,
		    set("num.partitions", "5")), "a config that is fixed");
		Check.fails(InvalidRequestException.class, alter(b, false,
		    set(name, "-5")), "a value out of range");
	}

	private static KafkaFuture<Void> quota(ClientQuotaEntity e, String key,
	    Double value, boolean dry) {
		return AdminTest.admin.alterClientQuotas(List.of(
		    new ClientQuotaAlteration(e, List.of(
		    new ClientQuotaAlteration.Op(key, value)))),
		    new AlterClientQuotasOptions().validateOnly(dry)).all();
	}

	private static Map<ClientQuotaEntity, Map<String, Double>> quotas(
	    boolean strict, ClientQuotaFilterComponent... c)
	    throws Exception {
		List<ClientQuotaFilterComponent> l = Arrays.asList(c);
		return Check.get(AdminTest.admin.describeClientQuotas(strict
		    ? ClientQuotaFilter.containsOnly(l)
		    : ClientQuotaFilter.contains(l)).entities());
	}

	static void quotas() throws Exception {
		String user = AdminTest.name("user");
		Map<String, String> both = new HashMap<>(Map.of("user", user,
		    "client-id", "app"));
		ClientQuotaEntity u = new ClientQuotaEntity(Map.of("user",
		    user));
		ClientQuotaEntity uc = new ClientQuotaEntity(both);
		Map<String, String> any = new HashMap<>();
		any.put("user", user);
		any.put("client-id", null);
		ClientQuotaEntity ud = new ClientQuotaEntity(any);
		ClientQuotaFilterComponent is =
		    ClientQuotaFilterComponent.ofEntity("user", user);
		List<ClientQuotaEntity> all = new ArrayList<>(List.of(u, uc,
		    ud));

		Check.get(quota(u, "producer_byte_rate", 1e6, true));
		Check.eq(quotas(false, is), Map.of(), "validate only");
		Check.get(quota(u, "producer_byte_rate", 1e6, false));
		Check.get(quota(u, "consumer_byte_rate", 2e6, false));
		Check.get(quota(uc, "request_percentage", 50.5, false));
		Check.get(quota(ud, "producer_byte_rate", 3e6, false));
		Check.until(() -> quotas(false, is).size() == 3, "three");
		Map<ClientQuotaEntity, Map<String, Double>> m = quotas(false,
		    is);
		Check.eq(m.get(u), Map.of("producer_byte_rate", 1e6,
		    "consumer_byte_rate", 2e6), "the user's");
		Check.eq(m.get(uc), Map.of("request_percentage", 50.5), "uc");
		Check.eq(quotas(true, is).keySet(), java.util.Set.of(u),
		    "the user alone");
		Check.eq(quotas(true, is, ClientQuotaFilterComponent
		    .ofDefaultEntity("client-id")).keySet(),
		    java.util.Set.of(ud), "the default of clients");
		Check.eq(quotas(true, is, ClientQuotaFilterComponent
		    .ofEntityType("client-id")).size(), 2, "any client");
		Check.fails(InvalidRequestException.class, quota(u,
		    "no_such_rate", 1.0, false), "an unknown quota");
		Check.fails(InvalidRequestException.class, quota(u,
		    "producer_byte_rate", -1.0, false), "a negative quota");
		for (ClientQuotaEntity e : all)
			for (String k : List.of("producer_byte_rate",
			    "consumer_byte_rate", "request_percentage"))
				Check.get(quota(e, k, null, false));
		Check.until(() -> quotas(false, is).isEmpty(), "none");
	}
}
