// SPDX-License-Identifier: Apache-2.0
//
// Checks and waits that all test programs share.  A failed one ends the test
// with its words; no wait is without a bound, and none is for time to pass.

import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

final class Check {
	static final long WAIT_S = 60;

	private Check() {
	}

	static void ok(boolean yes, String what) {
		if (!yes)
			throw new AssertionError(what);
	}

	static void eq(Object got, Object want, String what) {
		ok(Objects.equals(got, want), what + ": got " + got
		    + ", wanted " + want);
	}

	static <T> T get(Future<T> f) throws Exception {
		return f.get(WAIT_S, TimeUnit.SECONDS);
	}

	/* The future must end in an error of exactly this class. */
	static void fails(Class<?> want, Future<?> f, String what)
	    throws Exception {
		Object got;
		try {
			got = get(f);
		} catch (ExecutionException e) {
			ok(want.equals(e.getCause().getClass()), what
			    + ": got " + e.getCause() + ", wanted "
			    + want.getSimpleName());
			return;
		}
		ok(false, what + ": succeeded with " + got + ", wanted "
		    + want.getSimpleName());
	}

	static void until(Callable<Boolean> c, String what)
	    throws Exception {
		long end = System.nanoTime() + WAIT_S * 1000000000L;
		while (!c.call()) {
			ok(System.nanoTime() < end, "in vain: " + what);
			TimeUnit.MILLISECONDS.sleep(20);
		}
	}
}
