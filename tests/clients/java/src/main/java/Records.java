// SPDX-License-Identifier: Apache-2.0
//
// The records that every client driver produces and expects: record i of a
// seed, the same bytes in each driver's language, so that any driver can
// verify what any other wrote.  Must never depend on time or on chance.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

final class Records {
	private static final int POOL_SIZE = 262144;
	private static final String[] NAMES = { "trace", "trace", "a", "x-\u00e9" };
	private static final byte[] POOL = new byte[POOL_SIZE];

	/* Half of the pool's 4 KiB blocks compress, half do not. */
	static {
		for (int i = 0; i < POOL_SIZE; i++)
			POOL[i] = (byte)((i >> 12 & 1) != 0 ? mix(i) : 97 + i % 23);
	}

	private final int seed;
	private final long t0;
	private final boolean nullHeaders;
	private final boolean nullBoth;

	Records(int seed, long t0, String lacks) {
		this.seed = seed;
		this.t0 = t0;
		nullHeaders = !lacks.contains("nullhdr");
		nullBoth = !lacks.contains("nullboth");
	}

	private static int mix(int x) {
		x ^= x >>> 16;
		x *= 0x7feb352d;
		x ^= x >>> 15;
		x *= 0x846ca68b;
		return x ^ x >>> 16;
	}

	/* The draw numbered k of record i, below n. */
	private int draw(int i, int k, int n) {
		return Integer.remainderUnsigned(mix(mix(seed + i) + k), n);
	}

	private byte[] slice(int i, int k, int len) {
		byte[] b = new byte[len];
		System.arraycopy(POOL, draw(i, k, POOL_SIZE - len), b, 0, len);
		return b;
	}

	private byte[] numbered(int i, int k, int len) {
		return ByteBuffer.allocate(4 + len).putInt(i)
		    .put(slice(i, k, len)).array();
	}

	long timestamp(int i) {
		return t0 + 3L * i;
	}

	/* The index of the record that bears this timestamp. */
	int index(long timestamp) {
		return (int)((timestamp - t0) / 3);
	}

	byte[] key(int i) {
		switch (draw(i, 1, 8)) {
		case 0:
			return null;
		case 1:
			return new byte[0];
		default:
			return numbered(i, 2, draw(i, 3, 40));
		}
	}

	byte[] value(int i) {
		if (i % 2500 == 1777)
			return numbered(i, 6, 100000 + draw(i, 5, 2000));
		if (i % 100 == 50)
			return numbered(i, 6, 8000 + draw(i, 5, 4000));
		switch (draw(i, 4, 16)) {
		case 0:
			return nullBoth || key(i) != null ? null : new byte[0];
		case 1:
			return new byte[0];
		default:
			return numbered(i, 6, draw(i, 5, 900));
		}
	}

	List<Header> headers(int i) {
		List<Header> l = new ArrayList<>();
		int n = draw(i, 7, 5);
		for (int j = 0; j < n; j++) {
			byte[] v;
			switch (draw(i, 8 + j, 4)) {
			case 0:
				v = nullHeaders ? null : new byte[0];
				break;
			case 1:
				v = new byte[0];
				break;
			default:
				v = slice(i, 12 + j, draw(i, 16 + j, 50));
			}
			l.add(new RecordHeader(NAMES[j], v));
		}
		return l;
	}

	static String show(byte[] b) {
		if (b == null)
			return "null";
		String s = new String(b, 0, Math.min(b.length, 24),
		    StandardCharsets.ISO_8859_1);
		return b.length + " bytes '" + s.replaceAll("[^ -~]", ".") + "'";
	}
}
