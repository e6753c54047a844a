// SPDX-License-Identifier: Apache-2.0
//
// Runs command-line tools one after the other in one JVM, which saves most of
// the time that they take.  A line on standard input asks for one:
//
//	STDIN TAB STDOUT TAB STDERR TAB CLASS [TAB ARGUMENT]...
//
// with the names of three files, and a line on standard output is its exit
// status, 124 if it does not end in time.  A tool that ends the process by
// System.exit instead of Kafka's own way would end this one.

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

public final class Tools {
	private static final int LIMIT_MS = 90000;

	private static volatile InputStream in = InputStream.nullInputStream();
	private static volatile OutputStream out;
	private static volatile OutputStream err;
	private static volatile int status;
	private static final List<Runnable> hooks = new ArrayList<>();

	/* Thrown where a tool would end the process. */
	static final class Ended extends Error {
		private static final long serialVersionUID = 1;
	}

	private Tools() {
	}

	/* The first status counts: the rest are of handlers of Ended. */
	static void exit(int code) {
		if (status < 0)
			status = code;
		throw new Ended();
	}

	/* What is to be done at the end of the process, or here of the tool. */
	static void hook(Runnable r) {
		synchronized (hooks) {
			hooks.add(r);
		}
	}

	private static void runHooks() {
		List<Runnable> l;
		synchronized (hooks) {
			l = new ArrayList<>(hooks);
			hooks.clear();
		}
		for (Runnable r : l)
			r.run();
	}

	/* Scala keeps the first streams that it sees, so these never change. */
	private static InputStream currentIn() {
		return new InputStream() {
			@Override
			public int read() throws java.io.IOException {
				return in.read();
			}

			@Override
			public int read(byte[] b, int off, int len)
			    throws java.io.IOException {
				return in.read(b, off, len);
			}
		};
	}

	private static PrintStream current(boolean error) {
		return new PrintStream(new OutputStream() {
			@Override
			public void write(int b) throws java.io.IOException {
				(error ? err : out).write(b);
			}

			@Override
			public void write(byte[] b, int off, int len)
			    throws java.io.IOException {
				(error ? err : out).write(b, off, len);
			}
		}, true);
	}

	private static void call(String name, String[] args) {
		try {
			Class.forName(name).getMethod("main", String[].class)
			    .invoke(null, (Object)args);
		} catch (InvocationTargetException e) {
			if (!(e.getCause() instanceof Ended)) {
				e.getCause().printStackTrace();
				status = 1;
			}
		} catch (ReflectiveOperationException e) {
			e.printStackTrace();
			status = 126;
		}
		if (status < 0)
			status = 0;
	}

	private static int run(String[] f) throws Exception {
		try (InputStream i = new FileInputStream(f[0]);
		    OutputStream o = new FileOutputStream(f[1]);
		    OutputStream e = new FileOutputStream(f[2])) {
			in = i;
			out = o;
			err = e;
			status = -1;
			Thread t = new Thread(() -> {
				call(f[3], Arrays.copyOfRange(f, 4, f.length));
				runHooks();
			});
			t.start();
			t.join(LIMIT_MS);
			if (!t.isAlive())
				return status;
			for (Map.Entry<Thread, StackTraceElement[]> s :
			    Thread.getAllStackTraces().entrySet())
				if (s.getKey() == t)
					for (StackTraceElement x : s.getValue())
						e.write((x + "\n").getBytes());
			return 124;
		} finally {
			out = err = OutputStream.nullOutputStream();
		}
	}

	public static void main(String[] args) throws Exception {
		PrintStream answers = System.out;
		BufferedReader asked = new BufferedReader(
		    new InputStreamReader(System.in));
		String line;

		out = err = System.err;
		System.setIn(currentIn());
		System.setOut(current(false));
		System.setErr(current(true));
		Exits.replace();
		while ((line = asked.readLine()) != null) {
			answers.println(run(line.split("\t", -1)));
			answers.flush();
		}
		Runtime.getRuntime().halt(0);
	}
}
