// SPDX-License-Identifier: Apache-2.0
//
// The driver on the official Java client: create, produce, verify, load,
// follow and delete, as tests/clients/suite.sh describes.  It runs with the
// client's defaults wherever it can and never uses a consumer group.

import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Driver {
	private static final Map<String, String> opts = new HashMap<>();
	private static int parts;
	private static int count;
	private static boolean exact;
	private static Records records;

	private static final class Failure extends RuntimeException {
		private static final long serialVersionUID = 1;

		Failure(String what) {
			super(what);
		}
	}

	private static String opt(String name, String def) {
		String v = opts.getOrDefault(name, def);
		if (v == null)
			throw new Failure("option " + name + "= is missing");
		return v;
	}

	private static int number(String name, String def) {
		return Integer.parseInt(opt(name, def));
	}

	private static void check(boolean ok, String what) {
		if (!ok)
			throw new Failure(what);
	}

	/* How many of the records 0..i-1 went to partition p. */
	private static long before(int i, int p) {
		return i <= p ? 0 : (i - p + parts - 1) / parts;
	}

	private static Properties common() {
		Properties p = new Properties();
		p.put("bootstrap.servers", opt("bootstrap", null));
		return p;
	}

	private static KafkaProducer<byte[], byte[]> producer(String codec) {
		Properties p = common();
		p.put("compression.type", codec);
		return new KafkaProducer<>(p, new ByteArraySerializer(),
		    new ByteArraySerializer());
	}

	private static KafkaConsumer<byte[], byte[]> consumer() {
		Properties p = common();
		p.put("auto.offset.reset", "none");
		p.put("enable.auto.commit", "false");
		return new KafkaConsumer<>(p, new ByteArrayDeserializer(),
		    new ByteArrayDeserializer());
	}

	private static List<String> topics() {
		List<String> l = new ArrayList<>();
		for (String codec : opt("codecs", null).split(","))
			l.add(opt("topic", null) + "-" + codec);
		return l;
	}

	private static void create() throws Exception {
		try (Admin a = Admin.create(common())) {
			List<NewTopic> l = new ArrayList<>();
			for (String t : topics())
				l.add(new NewTopic(t, parts, (short)1));
			a.createTopics(l).all().get();
			check(a.listTopics().names().get().containsAll(topics()),
			    "a created topic is not listed");
		}
	}

	private static void delete() throws Exception {
		try (Admin a = Admin.create(common())) {
			a.deleteTopics(topics()).all().get();
			for (String t : a.listTopics().names().get())
				check(!topics().contains(t),
				    "a deleted topic is still listed: " + t);
		}
	}

	/*
	 * Sends records to the topic until `count` are sent or, when it is
	 * given, until the file `until` exists, and waits until all are acked.
	 */
	private static int send(String topic, String codec, Path until,
	    PrintStream progress) throws Exception {
		AtomicInteger acked = new AtomicInteger();
		AtomicReference<String> error = new AtomicReference<>();
		int i;

		try (KafkaProducer<byte[], byte[]> p = producer(codec)) {
			for (i = 0; i < count; i++) {
				if (until != null && i % 100 == 0) {
					if (Files.exists(until))
						break;
					TimeUnit.MILLISECONDS.sleep(25);
				}
				int n = i;
				p.send(new ProducerRecord<>(topic, n % parts,
				    records.timestamp(n), records.key(n),
				    records.value(n), records.headers(n)),
				    (md, e) -> {
					long want = before(n, n % parts);
					if (e != null)
						error.compareAndSet(null,
						    "record " + n + ": " + e);
					else if (exact && md.offset() != want)
						error.compareAndSet(null,
						    "record " + n
						    + " acked at offset "
						    + md.offset() + ", not "
						    + want);
					int a = acked.incrementAndGet();
					if (progress != null && a % 500 == 0)
						progress.println(a);
				    });
				if (error.get() != null)
					break;
			}
			p.flush();
		}
		check(error.get() == null, topic + ": " + error.get());
		check(acked.get() == i, topic + ": " + acked.get()
		    + " answers for " + i + " records");
		return i;
	}

	private static void produce() throws Exception {
		for (String codec : opt("codecs", null).split(","))
			send(opt("topic", null) + "-" + codec, codec, null,
			    null);
	}

	private static void load() throws Exception {
		Path total = Path.of(opt("total", null));
		Path tmp = Path.of(total + ".tmp");
		String codec = opt("codecs", null);
		int n;

		try (PrintStream progress = new PrintStream(
		    new FileOutputStream(opt("progress", null), true), true)) {
			n = send(topics().get(0), codec,
			    Path.of(opt("until", null)), progress);
		}
		Files.write(tmp, (n + "\n").getBytes());
		Files.move(tmp, total, StandardCopyOption.ATOMIC_MOVE);
	}

	private static boolean same(Iterable<Header> got, List<Header> want) {
		int n = 0;

		for (Header h : got) {
			if (n == want.size() || !h.key().equals(want.get(n).key())
			    || !Arrays.equals(h.value(), want.get(n).value()))
				return false;
			n++;
		}
		return n == want.size();
	}

	/* Checks one record in full; returns its index. */
	private static int compare(ConsumerRecord<byte[], byte[]> r) {
		int i = records.index(r.timestamp());
		String at = r.topic() + "/" + r.partition() + "/" + r.offset()
		    + " record " + i + ": ";

		check(i >= 0 && records.timestamp(i) == r.timestamp(),
		    at + "timestamp " + r.timestamp());
		check(i % parts == r.partition(), at + "wrong partition");
		check(Arrays.equals(r.key(), records.key(i)), at + "key is "
		    + Records.show(r.key()) + ", not "
		    + Records.show(records.key(i)));
		check(Arrays.equals(r.value(), records.value(i)), at
		    + "value is " + Records.show(r.value()) + ", not "
		    + Records.show(records.value(i)));
		check(same(r.headers(), records.headers(i)), at
		    + "headers are " + r.headers() + ", not "
		    + records.headers(i));
		if (exact)
			check(r.offset() == before(i, r.partition()), at
			    + "lost, doubled or out of order");
		return i;
	}

	/*
	 * Reads the topic from record `from` on, until all up to `count` were
	 * seen, or those up to the number in the file `total` once it exists.
	 */
	private static void read(KafkaConsumer<byte[], byte[]> c,
	    List<TopicPartition> tps, int from, Path total) throws Exception {
		boolean[] seen = new boolean[count];
		int end = total == null ? count : -1;
		int n = 0;
		long idle = System.nanoTime();

		while (end < 0 || n < end - from) {
			if (end < 0 && Files.exists(total)) {
				end = Integer.parseInt(Files.readString(total)
				    .trim());
				continue;
			}
			for (ConsumerRecord<byte[], byte[]> r :
			    c.poll(Duration.ofMillis(200))) {
				int i = compare(r);
				check(i >= from || !exact, "record " + i
				    + " came although reading began at "
				    + from);
				check(i < count, "record " + i
				    + " was never produced");
				check(!exact || !seen[i], "record " + i
				    + " came twice");
				if (i >= from && !seen[i]) {
					seen[i] = true;
					n++;
				}
				idle = System.nanoTime();
			}
			check(System.nanoTime() - idle < 120e9, tps
			    + ": nothing more after " + n + " records");
		}
		for (int i = from; i < end; i++)
			check(seen[i], "record " + i + " is missing");
	}

	private static List<TopicPartition> assign(
	    KafkaConsumer<byte[], byte[]> c, String topic) {
		List<TopicPartition> tps = new ArrayList<>();

		for (int p = 0; p < parts; p++)
			tps.add(new TopicPartition(topic, p));
		c.assign(tps);
		return tps;
	}

	private static void verify() throws Exception {
		int from = number("from", "0");

		try (KafkaConsumer<byte[], byte[]> c = consumer()) {
			for (String topic : topics()) {
				check(c.partitionsFor(topic).size() == parts,
				    topic + ": wrong number of partitions");
				List<TopicPartition> tps = assign(c, topic);
				c.seekToBeginning(tps);
				read(c, tps, 0, null);
				fromTimestamp(c, tps, from);
			}
		}
	}

	/* A timestamp between records from-1 and from leads to the latter. */
	private static void fromTimestamp(KafkaConsumer<byte[], byte[]> c,
	    List<TopicPartition> tps, int from) throws Exception {
		Map<TopicPartition, Long> ask = new HashMap<>();
		Map<TopicPartition, OffsetAndTimestamp> got;
		Map<TopicPartition, Long> ends = c.endOffsets(tps);
		Map<TopicPartition, Long> starts = c.beginningOffsets(tps);

		for (TopicPartition tp : tps)
			ask.put(tp, records.timestamp(from) - 1);
		got = c.offsetsForTimes(ask);
		for (TopicPartition tp : tps) {
			int p = tp.partition();
			OffsetAndTimestamp o = got.get(tp);

			check(starts.get(tp) == 0, tp + ": starts at "
			    + starts.get(tp));
			check(o != null, tp + ": no offset for a timestamp");
			if (exact) {
				int i = from + Math.floorMod(p - from, parts);
				check(ends.get(tp) == before(count, p), tp
				    + ": ends at " + ends.get(tp));
				check(o.offset() == before(from, p)
				    && o.timestamp() == records.timestamp(i),
				    tp + ": record " + from + " looked up by "
				    + "time gives " + o);
			}
			c.seek(tp, o.offset());
			ask.put(tp, records.timestamp(count + parts));
		}
		read(c, tps, from, null);
		for (OffsetAndTimestamp o : c.offsetsForTimes(ask).values())
			check(o == null, "an offset for a time after the end");
	}

	private static void follow() throws Exception {
		try (KafkaConsumer<byte[], byte[]> c = consumer()) {
			List<TopicPartition> tps = assign(c, topics().get(0));
			c.seekToBeginning(tps);
			read(c, tps, 0, Path.of(opt("total", null)));
		}
	}

	private static void run(String command) throws Exception {
		switch (command) {
		case "create":
			create();
			break;
		case "produce":
			produce();
			break;
		case "verify":
			verify();
			break;
		case "load":
			load();
			break;
		case "follow":
			follow();
			break;
		case "delete":
			delete();
			break;
		default:
			throw new Failure("no command " + command);
		}
	}

	public static void main(String[] args) throws Exception {
		for (int i = 1; i < args.length; i++) {
			String[] kv = args[i].split("=", 2);
			opts.put(kv[0], kv[1]);
		}
		System.setOut(new PrintStream(System.out, true,
		    StandardCharsets.UTF_8));
		parts = number("parts", "3");
		count = number("count", "10000");
		exact = opt("mode", "exact").equals("exact");
		records = new Records(number("seed", "1"),
		    Long.parseLong(opt("t0", "0")),
		    opt("lacks", ""));
		try {
			run(args[0]);
		} catch (Failure e) {
			System.out.println("java " + args[0] + ": "
			    + e.getMessage());
			System.exit(1);
		}
	}
}
