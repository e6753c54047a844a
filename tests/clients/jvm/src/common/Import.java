// SPDX-License-Identifier: Apache-2.0
//
// What T161 fills a Kafka with, and how it looks at a broker: all that a
// client can see of topics, records and groups, as text to be compared.
//
//	fill bootstrap=HOST:PORT [modern=1]	leaves a transaction open and ends
//	show bootstrap=HOST:PORT [level=read_committed]

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Import {
	static final Map<String, String> args = new HashMap<>();
	static final Random random = new Random(7);
	static final long T0 = System.currentTimeMillis() - 3600_000;
	static Admin admin;

	private Import() {
	}

	static KafkaProducer<byte[], byte[]> producer(String... settings) {
		Properties p = new Properties();

		p.put("bootstrap.servers", args.get("bootstrap"));
		p.put("key.serializer", ByteArraySerializer.class);
		p.put("value.serializer", ByteArraySerializer.class);
		for (int i = 0; i < settings.length; i += 2)
			p.put(settings[i], settings[i + 1]);
		return new KafkaProducer<>(p);
	}

	static KafkaConsumer<byte[], byte[]> consumer(String... settings) {
		Properties p = new Properties();

		p.put("bootstrap.servers", args.get("bootstrap"));
		p.put("key.deserializer", ByteArrayDeserializer.class);
		p.put("value.deserializer", ByteArrayDeserializer.class);
		p.put("enable.auto.commit", "false");
		for (int i = 0; i < settings.length; i += 2)
			p.put(settings[i], settings[i + 1]);
		return new KafkaConsumer<>(p);
	}

	static ProducerRecord<byte[], byte[]> record(String topic, int part,
	    int i) {
		byte[] key = i % 5 == 0 ? null : ("key-" + i % 17).getBytes();
		byte[] value = new byte[200 + i % 300];
		ProducerRecord<byte[], byte[]> r;

		random.nextBytes(value);
		r = new ProducerRecord<>(topic, part, T0 + i * 10L, key,
		    i % 31 == 7 ? null : value);
		if (i % 3 == 0) {
			r.headers().add("number", ("" + i).getBytes());
			r.headers().add("none", null);
		}
		return r;
	}

	static void topic(String name, int parts, String... configs)
	    throws Exception {
		Map<String, String> m = new HashMap<>();

		for (int i = 0; i < configs.length; i += 2)
			m.put(configs[i], configs[i + 1]);
		admin.createTopics(List.of(new NewTopic(name, parts, (short)1)
		    .configs(m))).all().get();
	}

	/* Several segments, each codec, producers with and without ids. */
	static void codecs() throws Exception {
		topic("codecs", 2, "segment.bytes", "1048576",
		    "retention.ms", "259200000");
		for (String codec : List.of("none", "gzip", "snappy", "lz4",
		    "zstd"))
			try (KafkaProducer<byte[], byte[]> p = producer(
			    "compression.type", codec, "linger.ms", "5",
			    "enable.idempotence",
			    codec.equals("lz4") ? "false" : "true")) {
				for (int i = 0; i < 3000; i++)
					p.send(record("codecs", i % 2, i));
			}
		admin.deleteRecords(Map.of(new TopicPartition("codecs", 1),
		    RecordsToDelete.beforeOffset(4321))).all().get();
	}

	static int count(String topic) {
		int n = 0;

		for (TopicPartition tp : parts(topic))
			n += read(tp, "read_uncommitted").size();
		return n;
	}

	/* Compacted, so that offsets have gaps. */
	static void compacted() throws Exception {
		topic("compacted", 1, "cleanup.policy", "compact",
		    "segment.ms", "100", "min.cleanable.dirty.ratio", "0.01",
		    "segment.bytes", "1048576");
		for (int round = 0; round < 4; round++) {
			try (KafkaProducer<byte[], byte[]> p = producer()) {
				for (int i = 0; i < 2000; i++)
					if (i % 5 != 0)
						p.send(record("compacted", 0,
						    i));
			}
			Thread.sleep(150);	/* another segment */
		}
		for (int i = 0; count("compacted") > 3000; i++) {
			if (i > 600)
				throw new Exception("it is not compacted");
			Thread.sleep(100);
		}
	}

	static void transactions() throws Exception {
		TopicPartition tp = new TopicPartition("codecs", 0);

		topic("txn", 1);
		for (int round = 0; round < 4; round++)
			try (KafkaProducer<byte[], byte[]> p = producer(
			    "transactional.id", "t-" + round % 2)) {
				p.initTransactions();
				p.beginTransaction();
				for (int i = 0; i < 50; i++)
					p.send(record("txn", 0, round * 50
					    + i));
				try (KafkaConsumer<byte[], byte[]> c =
				    consumer("group.id", "txn-group")) {
					p.sendOffsetsToTransaction(Map.of(tp,
					    new OffsetAndMetadata(1000
					    + round, "round " + round)),
					    c.groupMetadata());
				}
				if (round % 2 == 0)
					p.commitTransaction();
				else
					p.abortTransaction();
			}
	}

	static void groups() {
		for (String protocol : List.of("classic", "consumer")) {
			if (protocol.equals("consumer")
			    && !args.containsKey("modern"))
				continue;
			try (KafkaConsumer<byte[], byte[]> c = consumer(
			    "group.id", "group-" + protocol,
			    "auto.offset.reset", "earliest",
			    protocol.equals("classic") ? "client.id"
			    : "group.protocol", protocol)) {
				c.subscribe(List.of("codecs", "txn"));
				for (int n = 0; n < 500;)
					n += c.poll(Duration.ofMillis(200))
					    .count();
				c.commitSync();
			}
		}
		try (KafkaConsumer<byte[], byte[]> c = consumer("group.id",
		    "group-simple")) {
			c.commitSync(Map.of(new TopicPartition("codecs", 1),
			    new OffsetAndMetadata(5000, "by hand")));
		}
	}

	static void fill() throws Exception {
		KafkaProducer<byte[], byte[]> p;

		codecs();
		compacted();
		transactions();
		groups();
		topic("empty", 3);
		topic("gone", 1);
		admin.deleteTopics(List.of("gone")).all().get();
		p = producer("transactional.id", "open",
		    "transaction.timeout.ms", "600000");
		p.initTransactions();
		p.beginTransaction();
		for (int i = 0; i < 20; i++)
			p.send(record("txn", 0, 1000 + i));
		p.flush();
		System.out.println("filled");
		System.out.flush();
		Runtime.getRuntime().halt(0);	/* nobody ends it */
	}

	static Set<TopicPartition> parts(String topic) {
		Set<TopicPartition> s = new TreeSet<>((a, b) ->
		    a.partition() - b.partition());

		try (KafkaConsumer<byte[], byte[]> c = consumer()) {
			c.partitionsFor(topic).forEach(i -> s.add(
			    new TopicPartition(topic, i.partition())));
		}
		return s;
	}

	static List<ConsumerRecord<byte[], byte[]>> read(TopicPartition tp,
	    String level) {
		List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();

		try (KafkaConsumer<byte[], byte[]> c = consumer(
		    "isolation.level", level)) {
			long end = c.endOffsets(Set.of(tp)).get(tp);

			c.assign(Set.of(tp));
			c.seekToBeginning(Set.of(tp));
			while (c.position(tp) < end)
				c.poll(Duration.ofMillis(200)).forEach(
				    all::add);
		}
		return all;
	}

	static String hex(byte[] b) {
		return b == null ? "null" : HexFormat.of().formatHex(b);
	}

	static void showTopic(String name, TopicDescription d)
	    throws Exception {
		ConfigResource r = new ConfigResource(
		    ConfigResource.Type.TOPIC, name);
		TreeMap<String, String> own = new TreeMap<>();

		for (ConfigEntry e : admin.describeConfigs(Set.of(r)).all()
		    .get().get(r).entries())
			if (e.source() == ConfigEntry.ConfigSource
			    .DYNAMIC_TOPIC_CONFIG)
				own.put(e.name(), e.value());
		System.out.println("topic " + name + " " + d.topicId() + " "
		    + d.partitions().size() + " " + own);
		for (TopicPartition tp : parts(name)) {
			try (KafkaConsumer<byte[], byte[]> c = consumer()) {
				System.out.println("start " + tp + " "
				    + c.beginningOffsets(Set.of(tp)).get(tp));
			}
			for (ConsumerRecord<byte[], byte[]> x : read(tp,
			    args.getOrDefault("level", "read_uncommitted"))) {
				StringBuilder s = new StringBuilder();

				for (Header h : x.headers())
					s.append(h.key()).append('=').append(
					    hex(h.value())).append(' ');
				System.out.println(tp + " " + x.offset() + " "
				    + x.timestampType() + " " + x.timestamp()
				    + " " + hex(x.key()) + " "
				    + hex(x.value()) + " " + s);
			}
		}
	}

	static void show() throws Exception {
		TreeSet<String> names = new TreeSet<>(admin.listTopics()
		    .names().get());
		TreeSet<String> groups = new TreeSet<>();

		for (String n : names)
			showTopic(n, admin.describeTopics(Set.of(n))
			    .allTopicNames().get().get(n));
		admin.listConsumerGroups().all().get().forEach(g ->
		    groups.add(g.groupId()));
		for (String g : groups) {
			TreeMap<String, Object> m = new TreeMap<>();

			admin.listConsumerGroupOffsets(g)
			    .partitionsToOffsetAndMetadata().get()
			    .forEach((tp, o) -> m.put("" + tp, o));
			System.out.println("group " + g + " " + m);
		}
	}

	public static void main(String[] argv) throws Exception {
		Properties p = new Properties();

		for (int i = 1; i < argv.length; i++) {
			String[] kv = argv[i].split("=", 2);

			args.put(kv[0], kv[1]);
		}
		p.put("bootstrap.servers", args.get("bootstrap"));
		admin = Admin.create(p);
		if (argv[0].equals("fill"))
			fill();
		else
			show();
		admin.close();
	}
}
