// SPDX-License-Identifier: Apache-2.0
//
// Every method of the Java Admin client whose API is served, each with its
// result and an error, on a broker of any size and age: it touches only what
// is named after the argument `prefix`.

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public final class AdminTest {
	interface Test {
		void run() throws Exception;
	}

	static final Map<String, Test> tests = new LinkedHashMap<>();
	static String bootstrap;
	static String prefix;
	static Admin admin;
	static int node;	/* the id of a broker */

	private AdminTest() {
	}

	static Properties props() {
		Properties p = new Properties();
		p.put("bootstrap.servers", bootstrap);
		return p;
	}

	static String name(String n) {
		return prefix + "-" + n;
	}

	/* Makes the topic prefix-n and returns its name. */
	static String topic(String n, int parts) throws Exception {
		String t = name(n);
		Check.get(admin.createTopics(List.of(new NewTopic(t, parts,
		    (short)1))).all());
		return t;
	}

	/* Sends records 0..count-1 with timestamps 1000, 1001, .... */
	static void fill(String topic, int count) throws Exception {
		try (KafkaProducer<String, String> p = new KafkaProducer<>(
		    props(), new StringSerializer(), new StringSerializer())) {
			for (int i = 0; i < count; i++)
				Check.get(p.send(new ProducerRecord<>(topic, 0,
				    1000L + i, "k" + i, "value " + i)));
		}
	}

	/* Returns whether the test has passed. */
	private static boolean run(String name, Test t) {
		long start = System.nanoTime();
		try {
			t.run();
		} catch (Throwable e) {
			System.out.println(name + ": FAILED: " + e.getMessage());
			if (!(e instanceof ExecutionException))
				e.printStackTrace(System.out);
			return false;
		}
		System.out.println(name + ": passed in "
		    + (System.nanoTime() - start) / 1000000 + " ms");
		return true;
	}

	public static void main(String[] args) throws Exception {
		Map<String, String> opts = new HashMap<>();
		boolean ok = true;

		for (String arg : args) {
			String[] kv = arg.split("=", 2);
			opts.put(kv[0], kv[1]);
		}
		bootstrap = opts.get("bootstrap");
		prefix = opts.get("prefix");
		String only = opts.get("only");

		admin = Admin.create(props());
		node = Check.get(admin.describeCluster().nodes()).iterator()
		    .next().id();
		AdminTopics.add();
		AdminRecords.add();
		AdminConfigs.add();
		AdminCluster.add();
		AdminGroups.add();
		AdminUsers.add();
		AdminVersion.add();
		for (Map.Entry<String, Test> e : tests.entrySet())
			if (only == null || e.getKey().matches(only))
				ok &= run(e.getKey(), e.getValue());
		admin.close();
		System.out.println(tests.size() + " methods");
		System.exit(ok ? 0 : 1);
	}
}
