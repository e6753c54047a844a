// SPDX-License-Identifier: Apache-2.0
//
// Kafka Streams counting words: lines in, split into words, which go through
// a repartition topic into a store of counts for all time and one of counts by
// the minute, and each new count out.  The commands, with arguments
// name=value (bootstrap, id and the topics in, out and windows):
//
//	create	make the topics
//	feed	send the lines of the file `lines`, record i with the
//		timestamp `t0` plus 100 i
//	run	count until the file `until` exists, with the state in the
//		directory `state`; standard output tells when the stores were
//		restored, and from how many records
//	done	wait until all lines were counted and the counts committed,
//		and the repartition topic emptied behind it
//	counts	print the last count of each word, and of each word and minute
//	configs	print the configs that Streams gave its own topics

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.StateRestoreListener;

public final class Streams {
	private static final int PARTS = 3;
	private static final Map<String, String> opts = new HashMap<>();
	private static Admin admin;

	private Streams() {
	}

	private static Properties common() {
		Properties p = new Properties();
		p.put("bootstrap.servers", opts.get("bootstrap"));
		return p;
	}

	private static void create() throws Exception {
		List<NewTopic> l = new ArrayList<>();
		for (String t : List.of("in", "out", "windows"))
			l.add(new NewTopic(opts.get(t), PARTS, (short)1));
		Check.get(admin.createTopics(l).all());
	}

	private static void feed() throws Exception {
		long t = Long.parseLong(opts.get("t0"));
		int i = 0;

		try (KafkaProducer<String, String> p = new KafkaProducer<>(
		    common(), new StringSerializer(), new StringSerializer())) {
			for (String line : Files.readAllLines(Path.of(
			    opts.get("lines")))) {
				p.send(new ProducerRecord<>(opts.get("in"),
				    i % PARTS, t + 100L * i, null, line));
				i++;
			}
			p.flush();
		}
	}

	/* ---- the application ------------------------------------------------ */

	private static final class Restored implements StateRestoreListener {
		@Override
		public void onRestoreStart(TopicPartition p, String store,
		    long start, long end) {
		}

		@Override
		public void onBatchRestored(TopicPartition p, String store,
		    long end, long n) {
		}

		@Override
		public void onRestoreEnd(TopicPartition p, String store,
		    long n) {
			System.out.println("restored " + store + " " + n);
		}
	}

	private static StreamsBuilder words() {
		StreamsBuilder b = new StreamsBuilder();
		KGroupedStream<String, String> g = b
		    .<String, String>stream(opts.get("in"))
		    .flatMapValues(v -> Arrays.asList(v.split(" ")))
		    .groupBy((k, w) -> w, Grouped.as("words"));

		g.count(Materialized.as("counts")).toStream()
		    .mapValues(n -> "" + n).to(opts.get("out"));
		g.windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1),
		    Duration.ofDays(1)))
		    .count(Materialized.as("minutes")).toStream()
		    .map((k, n) -> new org.apache.kafka.streams.KeyValue<>(
		    k.key() + "@" + k.window().start(), "" + n))
		    .to(opts.get("windows"), Produced.with(Serdes.String(),
		    Serdes.String()));
		return b;
	}

	private static void run() throws Exception {
		Properties p = common();

		p.put("application.id", opts.get("id"));
		p.put("state.dir", opts.get("state"));
		p.put("default.key.serde", Serdes.StringSerde.class);
		p.put("default.value.serde", Serdes.StringSerde.class);
		p.put("commit.interval.ms", "500");
		p.put("repartition.purge.interval.ms", "500");
		p.put("auto.offset.reset", "earliest");
		p.put("session.timeout.ms", "6000");
		p.put("heartbeat.interval.ms", "500");
		try (KafkaStreams s = new KafkaStreams(words().build(), p)) {
			s.setGlobalStateRestoreListener(new Restored());
			s.start();
			while (!Files.exists(Path.of(opts.get("until")))) {
				Check.ok(s.state() != KafkaStreams.State.ERROR,
				    "the application is broken");
				TimeUnit.MILLISECONDS.sleep(100);
			}
		}
	}

	/* ---- what has come of it -------------------------------------------- */

	private static Map<TopicPartition, Long> offsets(String t,
	    OffsetSpec spec) throws Exception {
		Map<TopicPartition, OffsetSpec> ask = new HashMap<>();
		Map<TopicPartition, Long> m = new HashMap<>();

		for (int i = 0; i < PARTS; i++)
			ask.put(new TopicPartition(t, i), spec);
		for (Map.Entry<TopicPartition, ListOffsetsResultInfo> e :
		    Check.get(admin.listOffsets(ask).all()).entrySet())
			m.put(e.getKey(), e.getValue().offset());
		return m;
	}

	private static String own(String name) {
		return opts.get("id") + "-" + name;
	}

	private static boolean committed(String t) throws Exception {
		Map<TopicPartition, OffsetAndMetadata> m = Check.get(
		    admin.listConsumerGroupOffsets(opts.get("id"))
		    .partitionsToOffsetAndMetadata());

		for (Map.Entry<TopicPartition, Long> e : offsets(t,
		    OffsetSpec.latest()).entrySet())
			if (e.getValue() > 0 && (m.get(e.getKey()) == null
			    || m.get(e.getKey()).offset() != e.getValue()))
				return false;
		return true;
	}

	private static void done() throws Exception {
		String re = own("words-repartition");

		Check.until(() -> Check.get(admin.listTopics().names())
		    .contains(re), re);
		/* Words that come after the first look are seen by the last. */
		Check.until(() -> committed(opts.get("in")) && committed(re)
		    && committed(opts.get("in")), "all is counted");
		Check.until(() -> offsets(re, OffsetSpec.earliest()).equals(
		    offsets(re, OffsetSpec.latest())), re + " is emptied");
	}

	private static void counts() throws Exception {
		Map<String, String> last = new TreeMap<>();
		List<TopicPartition> l = new ArrayList<>();

		try (KafkaConsumer<String, String> c = new KafkaConsumer<>(
		    common(), new StringDeserializer(),
		    new StringDeserializer())) {
			for (String t : List.of("out", "windows"))
				for (int i = 0; i < PARTS; i++)
					l.add(new TopicPartition(opts.get(t),
					    i));
			c.assign(l);
			c.seekToBeginning(l);
			Map<TopicPartition, Long> ends = c.endOffsets(l);
			Check.until(() -> {
				for (ConsumerRecord<String, String> r : c.poll(
				    Duration.ofMillis(100)))
					last.put(r.key(), r.value());
				for (TopicPartition p : l)
					if (c.position(p) < ends.get(p))
						return false;
				return true;
			}, "the ends of the output");
		}
		last.forEach((k, v) -> System.out.println(k + " " + v));
	}

	private static void configs() throws Exception {
		for (String t : List.of("words-repartition",
		    "counts-changelog", "minutes-changelog")) {
			ConfigResource r = new ConfigResource(
			    ConfigResource.Type.TOPIC, own(t));
			for (ConfigEntry e : Check.get(admin.describeConfigs(
			    List.of(r)).values().get(r)).entries())
				if (e.source() == ConfigEntry.ConfigSource
				    .DYNAMIC_TOPIC_CONFIG)
					System.out.println(t + " " + e.name()
					    + "=" + e.value());
		}
	}

	public static void main(String[] args) throws Exception {
		for (int i = 1; i < args.length; i++) {
			String[] kv = args[i].split("=", 2);
			opts.put(kv[0], kv[1]);
		}
		admin = Admin.create(common());
		switch (args[0]) {
		case "create":
			create();
			break;
		case "feed":
			feed();
			break;
		case "run":
			run();
			break;
		case "done":
			done();
			break;
		case "counts":
			counts();
			break;
		case "configs":
			configs();
			break;
		default:
			throw new AssertionError(args[0]);
		}
		admin.close();
	}
}
