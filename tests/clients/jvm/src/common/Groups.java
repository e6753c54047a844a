// SPDX-License-Identifier: Apache-2.0
//
// Members of consumer groups, one in each of several groups with different
// protocols, that write down what they read and commit; a producer that feeds
// the groups' topics; and a judge over all that was written down.  The
// commands, with arguments name=value:
//
//	feed	 send a record every few milliseconds to each topic until the
//		 file `until` exists; write how many each has to `total`
//	member	 be a member of each group until the file `until` exists,
//		 writing to the file `log`
//	judge	 check the files `logs` (with commas), once all of the `total`
//		 records of each topic must have been read
//
// A member writes, before it commits, a line for each record, and with the
// time on the machine's one clock when a commit was acked and when it began
// to ask where a partition's reading starts:
//
//	R MODE PARTITION OFFSET VALUE
//	C MODE PARTITION OFFSET TIME	committed up to here
//	P MODE PARTITION OFFSET TIME	reading starts here
//	A MODE COUNT			partitions held now

import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Groups {
	private static final int PARTS = 4;
	private static final Map<String, String> opts = new HashMap<>();
	private static String[] modes;
	private static PrintStream log;

	private Groups() {
	}

	private static Properties common() {
		Properties p = new Properties();
		p.put("bootstrap.servers", opts.get("bootstrap"));
		return p;
	}

	private static String topic(String mode) {
		return opts.get("topic") + "-" + mode;
	}

	private static boolean ended() {
		return Files.exists(Path.of(opts.get("until")));
	}

	/* ---- feed ---------------------------------------------------------- */

	private static void feed() throws Exception {
		AtomicReference<Exception> error = new AtomicReference<>();
		AtomicLong acked = new AtomicLong();
		long n = 0;

		try (Admin a = Admin.create(common())) {
			List<NewTopic> l = new ArrayList<>();
			for (String mode : modes)
				l.add(new NewTopic(topic(mode), PARTS,
				    (short)1));
			Check.get(a.createTopics(l).all());
		}
		System.out.println("created");
		try (KafkaProducer<String, String> p = new KafkaProducer<>(
		    common(), new StringSerializer(), new StringSerializer())) {
			for (; !ended() && error.get() == null; n++) {
				for (String mode : modes)
					p.send(new ProducerRecord<>(
					    topic(mode), (int)(n % PARTS),
					    null, "" + n), (md, e) -> {
						if (e != null)
							error.set(e);
						acked.incrementAndGet();
					});
				TimeUnit.MILLISECONDS.sleep(15);
			}
			p.flush();
		}
		Check.eq(error.get(), null, "an error of the producer");
		Check.eq(acked.get(), n * modes.length, "acks");
		Files.writeString(Path.of(opts.get("total")), n + "\n");
	}

	/* ---- member -------------------------------------------------------- */

	private static Properties props(String mode) {
		Properties p = common();
		String a = "org.apache.kafka.clients.consumer.";

		p.put("group.id", topic(mode));
		p.put("auto.offset.reset", "earliest");
		p.put("enable.auto.commit", "false");
		p.put("max.poll.records", "100");
		if (mode.equals("consumer")) {
			p.put("group.protocol", "consumer");
			return p;
		}
		p.put("session.timeout.ms", "6000");
		p.put("heartbeat.interval.ms", "500");
		p.put("partition.assignment.strategy", a
		    + (mode.equals("cooperative")
		    ? "CooperativeStickyAssignor" : "RangeAssignor"));
		if (mode.equals("static"))
			p.put("group.instance.id", opts.get("name"));
		return p;
	}

	private static void write(StringBuilder s) {
		synchronized (log) {
			log.print(s);
			log.flush();
		}
		s.setLength(0);
	}

	/* Where reading starts, asked before the first record comes. */
	private static void starts(KafkaConsumer<String, String> c,
	    String mode, Collection<TopicPartition> parts) {
		StringBuilder s = new StringBuilder();
		long now = System.nanoTime();

		for (TopicPartition p : parts)
			s.append("P " + mode + " " + p.partition() + " "
			    + c.position(p) + " " + now + "\n");
		write(s);
	}

	private static final class Listener
	    implements ConsumerRebalanceListener {
		private final KafkaConsumer<String, String> c;
		private final String mode;
		private int held;

		Listener(KafkaConsumer<String, String> c, String mode) {
			this.c = c;
			this.mode = mode;
		}

		private void holds(int n) {
			held = n;
			write(new StringBuilder("A " + mode + " " + n + "\n"));
		}

		@Override
		public void onPartitionsAssigned(Collection<TopicPartition> l) {
			starts(c, mode, l);
			holds(held + l.size());
		}

		@Override
		public void onPartitionsRevoked(Collection<TopicPartition> l) {
			holds(held - l.size());
		}
	}

	private static void commit(KafkaConsumer<String, String> c,
	    String mode, Map<TopicPartition, OffsetAndMetadata> m) {
		StringBuilder s = new StringBuilder();

		try {
			c.commitSync(m);
		} catch (KafkaException e) {
			/* Somebody else has the partitions by now. */
			s.append("F " + mode + " " + e.getClass()
			    .getSimpleName() + "\n");
			write(s);
			return;
		}
		long now = System.nanoTime();
		m.forEach((p, o) -> s.append("C " + mode + " " + p.partition()
		    + " " + o.offset() + " " + now + "\n"));
		write(s);
	}

	private static void loop(String mode) {
		StringBuilder s = new StringBuilder();

		try (KafkaConsumer<String, String> c = new KafkaConsumer<>(
		    props(mode), new StringDeserializer(),
		    new StringDeserializer())) {
			c.subscribe(List.of(topic(mode)), new Listener(c,
			    mode));
			while (!ended()) {
				Map<TopicPartition, OffsetAndMetadata> m =
				    new HashMap<>();
				ConsumerRecords<String, String> l =
				    c.poll(Duration.ofMillis(100));
				for (ConsumerRecord<String, String> r : l) {
					s.append("R " + mode + " "
					    + r.partition() + " " + r.offset()
					    + " " + r.value() + "\n");
					m.put(new TopicPartition(r.topic(),
					    r.partition()),
					    new OffsetAndMetadata(r.offset()
					    + 1));
				}
				write(s);
				if (!m.isEmpty())
					commit(c, mode, m);
			}
		}
	}

	private static void member() throws Exception {
		List<Thread> l = new ArrayList<>();
		AtomicReference<Throwable> error = new AtomicReference<>();

		log = new PrintStream(new FileOutputStream(opts.get("log"),
		    true));
		for (String mode : modes) {
			Thread t = new Thread(() -> loop(mode));
			t.setUncaughtExceptionHandler((u, e) -> {
				e.printStackTrace();
				error.set(e);
			});
			t.start();
			l.add(t);
		}
		for (Thread t : l)
			t.join();
		Check.eq(error.get(), null, "a member's end");
	}

	/* ---- judge --------------------------------------------------------- */

	/* What is known of one partition from all logs together. */
	private static final class Part {
		final Map<Long, Long> values = new HashMap<>();
		final List<long[]> commits = new ArrayList<>();
		final List<long[]> starts = new ArrayList<>();
		long committed;
	}

	private static Part[] parts(Map<String, Part[]> all, String mode) {
		return all.computeIfAbsent(mode, k -> {
			Part[] l = new Part[PARTS];
			for (int i = 0; i < PARTS; i++)
				l[i] = new Part();
			return l;
		});
	}

	/* A member reads on from where it started, leaving nothing out. */
	private static void load(Map<String, Part[]> all, Path file)
	    throws Exception {
		Map<String, Long> next = new HashMap<>();
		Set<String> read = new HashSet<>();

		for (String line : Files.readAllLines(file)) {
			String[] f = line.split(" ");
			if (f[0].equals("A") || f[0].equals("F"))
				continue;
			Part p = parts(all, f[1])[Integer.parseInt(f[2])];
			String at = f[1] + " " + f[2];
			long o = Long.parseLong(f[3]);
			long x = Long.parseLong(f[4]);
			switch (f[0]) {
			case "R":
				Check.eq(o, next.get(at), file + ": after "
				    + at + " the record");
				next.put(at, o + 1);
				Check.eq(p.values.getOrDefault(o, x), x,
				    "the value of " + at + " " + o);
				p.values.put(o, x);
				read.add(f[1]);
				break;
			case "C":
				p.commits.add(new long[] { o, x });
				p.committed = Math.max(p.committed, o);
				break;
			default:
				p.starts.add(new long[] { o, x });
				next.put(at, o);
			}
		}
		Check.eq(read.size(), modes.length, file + ": groups that read "
		    + "anything");
	}

	/* What was committed is not read again, whoever reads. */
	private static void noneBack(String at, Part p) {
		for (long[] s : p.starts)
			for (long[] c : p.commits)
				Check.ok(c[1] >= s[1] || c[0] <= s[0], at
				    + ": started at " + s[0] + " after "
				    + c[0] + " was committed");
	}

	private static void judge() throws Exception {
		long total = Long.parseLong(Files.readString(Path.of(
		    opts.get("total"))).trim());
		Map<String, Part[]> all = new HashMap<>();

		for (String f : opts.get("logs").split(","))
			load(all, Path.of(f));
		try (Admin a = Admin.create(common())) {
			for (String mode : modes) {
				Map<TopicPartition, OffsetAndMetadata> m =
				    Check.get(a.listConsumerGroupOffsets(
				    topic(mode))
				    .partitionsToOffsetAndMetadata());
				for (int i = 0; i < PARTS; i++) {
					Part p = parts(all, mode)[i];
					String at = mode + " " + i;
					long n = (total - i + PARTS - 1)
					    / PARTS;
					Check.eq((long)p.values.size(), n, at
					    + ": records");
					for (long k = 0; k < n; k++)
						Check.eq(p.values.get(k),
						    k * PARTS + i, at + " "
						    + k);
					noneBack(at, p);
					Check.eq(m.get(new TopicPartition(
					    topic(mode), i)).offset(), n, at
					    + ": committed");
				}
			}
		}
		System.out.println(total + " records in each of "
		    + modes.length + " groups, none lost");
	}

	public static void main(String[] args) throws Exception {
		for (int i = 1; i < args.length; i++) {
			String[] kv = args[i].split("=", 2);
			opts.put(kv[0], kv[1]);
		}
		modes = opts.get("modes").split(",");
		switch (args[0]) {
		case "feed":
			feed();
			break;
		case "member":
			member();
			break;
		case "judge":
			judge();
			break;
		default:
			throw new AssertionError(args[0]);
		}
	}
}
