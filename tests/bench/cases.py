# SPDX-License-Identifier: Apache-2.0
"""
The benchmarks, a function each, and the table that names them.  A case runs
once per round for every target that it asks the run for; everything it
produces it reads back and compares.  Nothing here asserts a time.
"""
import os
import resource
import socket
import statistics
import struct
import threading
import time

import limits
import parts

LARGE = {"linger_ms": 5, "batch": 100000}
TEN = {"linger_ms": 0, "batch": 10}
KILL_S = 3		# of load before a kill


def b0(run):
    """What the machine and the client can do: the limits."""
    for name, value in limits.all_limits(run.dir).items():
        run.row("machine", {name: value})
    with run.null(1) as null:
        run.produce(null, "100 B", count=2000000, size=100, acks="1", **LARGE)
        run.rtt(null, "lone request", count=5000, size=100, arrival="false")
    with run.null(1, keep=True) as null:
        topic = run.produce(null, "1 KiB kept", count=300000, size=1024,
                            acks="1", **LARGE)
        run.consume(null, "1 KiB", topic)


def produce_case(run, partitions, acks, targets, count, size,
                 limits=("null",), **more):
    for name in limits:
        with run.limit(name, partitions) as null:
            run.produce(null, "produce", partitions=partitions, acks="1",
                        count=count, size=size, verify=False, **more)
    for target in run.brokers(*targets):
        run.produce(target, "produce", partitions=partitions, acks=acks,
                    count=count, size=size, **more)


def b1(run):
    """Produce 100 B, one partition, large batches, acks=1."""
    produce_case(run, 1, "1", ("ours os", "ours", "kafka"), 3000000, 100,
                 **LARGE)


def b2(run):
    """Produce 1 KiB, 4 partitions, large batches, acks=1."""
    produce_case(run, 4, "1", ("ours os", "ours", "kafka"), 600000, 1024,
                 ("null", "control"), **LARGE)


def b3(run):
    """Produce 1 KiB, 4 partitions, large batches, acks=all."""
    produce_case(run, 4, "all", ("ours", "kafka", "kafka sync"), 600000, 1024,
                 ("control sync",), **LARGE)


def b3small(run):
    """Produce 100 B, 4 partitions, large batches, acks=all."""
    produce_case(run, 4, "all", ("ours", "kafka"), 2000000, 100,
                 ("control sync",), **LARGE)


def b4(run):
    """Requests of 10 records of 100 B, pipelined, 1 partition, acks=all; then
    as many a second for both as the slowest one takes twice."""
    produce_case(run, 1, "all", ("ours os", "ours", "kafka"), 300000, 100,
                 ("null", "control sync"), **TEN)
    for target in run.brokers("kafka sync"):
        run.produce(target, "produce", partitions=1, acks="all", count=20000,
                    size=100, **TEN)
        rate = int(min(run.rows[-1]["records_per_s"] / 2, 100000))
        for other in run.brokers("ours", "kafka sync"):
            run.pace(other, "at the same rate", partitions=1, rate=rate,
                     count=rate * 5, size=100, acks="all", **TEN)


def b5(run):
    """One record of 100 B in flight, acks=all: round trips."""
    with run.null(1) as null:
        run.rtt(null, "round trip", count=5000, size=100, arrival="false")
    for target in run.brokers("ours os", "ours", "kafka", "kafka sync"):
        run.rtt(target, "round trip", count=3000, size=100, acks="all")


def b6(run):
    """64 producers, records of 100 B to 64 partitions, linger 5, acks=all."""
    for target in run.brokers("ours os", "ours", "kafka"):
        run.produce(target, "produce", partitions=64, acks="all",
                    count=1000000, size=100, producers=64, spread="any",
                    linger_ms=5)


def b6wide(run):
    """1,000 partitions, 4 producers, small batches, linger 5, acks=all."""
    for target in run.brokers("ours", "kafka"):
        run.produce(target, "produce", partitions=1000, acks="all",
                    count=500000, size=100, producers=4, spread="any",
                    linger_ms=5)


def timed(f):
    start = time.monotonic()
    f()
    return time.monotonic() - start


def metadata_ms(target, n=5):
    """All topics, as a client asks for them."""
    c = parts.Conn(target.kafka)
    took = []
    for _ in range(n):
        start = time.monotonic()
        c.send(3, 1, struct.pack(">i", -1))
        c.recv()
        took.append((time.monotonic() - start) * 1e3)
    return statistics.median(took)


def ask_names(target, key, version, rows, tail):
    """A request about many topics, 1,000 at a time; none may fail."""
    c = parts.Conn(target.kafka)
    for first in range(0, len(rows), parts.ROWS_MAX):
        some = rows[first:first + parts.ROWS_MAX]
        c.send(key, version, struct.pack(">i", len(some)) + b"".join(some) +
               tail)
        f = c.recv()
        at = 8
        for _ in some:
            size, = struct.unpack_from(">h", f, at)
            name = f[at + 2:at + 2 + size].decode()
            error, = struct.unpack_from(">h", f, at + 2 + size)
            if error:
                parts.fail("topic", name, "error", error)
            at += 4 + size
            if key == 19:		# and a message, null
                at += 2


def create_topics(target, names, size):
    """CreateTopics v2."""
    ask_names(target, 19, 2, [parts.text(n) + struct.pack(
        ">ihii", size, 1, 0, 0) for n in names], struct.pack(">ib", 60000, 0))


def delete_topics(target, names):
    """DeleteTopics v1."""
    ask_names(target, 20, 1, [parts.text(n) for n in names],
              struct.pack(">i", 60000))


def anon_kib(target):
    return {role: m["anon_kib"] for role, m in target.memory().items()}


def idle_parts(run, target, topics, size):
    """Topics of so many partitions each that nobody uses."""
    before = anon_kib(target)
    made = [f"idle-{i}" for i in range(topics)]
    took = timed(lambda: create_topics(target, made, size))
    n = topics * size
    time.sleep(1)
    held = {role: kib - before[role] for role, kib in
            anon_kib(target).items()}
    run.row(target, {
        "what": f"{topics} topics x {size}", "create_s": took,
        "kib_per_partition": held["engine"] / n,
        "gateway_kib_per_partition": held["gateway"] / n,
        "metadata_ms": metadata_ms(target),
        "idle_cpu_percent": run.idle(target)})
    return made


def b7(run):
    """Idle partitions: memory, making and deleting them, metadata, a start,
    and 100 busy ones beside them against 1."""
    sizes = [(1, 1000), (1000, 1)]
    if run.full:
        sizes = [(1, 1000), (10, 1000), (50, 1000), (10000, 1)]
    busy = dict(rate=2000, count=20000, size=100, acks="all", linger_ms=0)
    for topics, size in sizes:
        for target in run.brokers("ours", own=True):
            run.pace(target, "1 busy, no others", 1, **busy)
            made = idle_parts(run, target, topics, size)
            run.pace(target, f"100 busy, {topics} x {size} others", 100,
                     **busy)
            target.stop()
            target.start()
            held = anon_kib(target)["engine"]
            run.row(target, {"what": f"start, {topics} x {size}",
                             "start_ms": target.start_ms,
                             "kib_per_partition": held / topics / size})
            run.row(target, {
                "what": f"deleting {topics} x {size}", "delete_s": timed(
                    lambda: delete_topics(target, made))})


def api_versions():
    body = struct.pack(">hhih", 18, 0, 1, 4) + b"idle"
    return struct.pack(">i", len(body)) + body


def connect(target, n):
    """n connections that have asked something and are idle."""
    host, port = target.kafka.split(":")
    held = []
    for _ in range(n):
        s = socket.create_connection((host, int(port)))
        s.sendall(api_versions())
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        s.recv(size, socket.MSG_WAITALL)
        held.append(s)
    return held


def b8(run):
    """Memory of idle connections, and round trips beside them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    steps = (1000, 5000, 10000) if run.full else (1000,)
    # Ours takes 10,000 by default, and the load needs some too.
    for target in run.brokers("ours", "kafka", own=True,
                              words=("--max-connections", "20000")):
        run.rtt(target, "round trip, no others", count=3000, size=100,
                acks="all")
        before, held = target.resident_kib(), []
        for n in steps:
            held += connect(target, n - len(held))
            run.row(target, {
                "what": f"{n} connections",
                "bytes_per_connection":
                    (target.resident_kib() - before) * 1024 / n,
                "idle_cpu_percent": run.idle(target)})
            run.rtt(target, f"round trip, {n} others", count=3000, size=100,
                    acks="all")
        for s in held:
            s.close()


def b9(run):
    """Consume 1 KiB from the page cache, 4 partitions."""
    count = 4000000 if run.full else 800000
    with run.null(4, keep=True) as null:
        topic = run.produce(null, None, partitions=4, acks="1",
                            count=min(count, 800000), size=1024, verify=False,
                            **LARGE)
        run.consume(null, "consume", topic)
    for target in run.brokers("ours", "kafka"):
        topic = run.produce(target, None, partitions=4, acks="1", count=count,
                            size=1024, verify=False, keep=True, **LARGE)
        run.consume(target, "consume", topic)
        run.delete(target, topic)


def b9cold(run):
    """Consume 1 KiB from the disk, 4 partitions."""
    count = 4000000 if run.full else 800000
    for target in run.brokers("ours", "kafka"):
        topic = run.produce(target, None, partitions=4, acks="1", count=count,
                            size=1024, verify=False, keep=True, **LARGE)
        evict(target.data)
        run.consume(target, "consume", topic)
        run.delete(target, topic)


def b10(run):
    """One topic of 1 KiB records read by 1, and by 8 consumers at once."""
    for target in run.brokers("ours", "kafka"):
        topic = run.produce(target, None, partitions=4, acks="1",
                            count=300000, size=1024, verify=False, keep=True,
                            **LARGE)
        run.consume(target, "1 consumer", topic)
        run.consume(target, "8 consumers", topic, readers=8)
        run.delete(target, topic)


def evict(directory):
    """Has everything under a directory written and forgotten by the cache."""
    for where, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(where, name)
            if not os.path.isfile(path):
                continue
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def b11(run):
    """Produce at a steady rate, alone, and while a backlog is read cold."""
    for target in run.brokers("ours", "kafka"):
        topic = run.produce(target, None, partitions=4, acks="1",
                            count=1500000, size=1024, verify=False, keep=True,
                            **LARGE)
        evict(target.data)
        pace = dict(rate=20000, count=100000, size=1024, partitions=4,
                    acks="all", linger_ms=5)
        run.pace(target, "alone", **pace)
        with run.reading(target, topic):
            run.pace(target, "beside a cold reader", **pace)
        run.delete(target, topic)


def b12(run):
    """2,000 consumers that wait at the end of empty partitions."""
    for target in run.brokers("ours", "kafka", own=True):
        topic = run.topic(target, 1, keep=True)
        held = connect(target, 2000)
        body = (struct.pack(">hhih", 1, 4, 1, 4) + b"wait" +
                struct.pack(">iiiibi", -1, 20000, 1, 1 << 20, 0, 1) +
                struct.pack(">h", len(topic[0])) + topic[0].encode() +
                struct.pack(">iiqi", 1, 0, 0, 1 << 20))
        for s in held:
            s.sendall(struct.pack(">i", len(body)) + body)
        time.sleep(1)
        run.row(target, {"what": "2000 waiting consumers",
                         "idle_cpu_percent": run.idle(target, 5)})
        for s in held:
            s.close()


def killed(target, topic, n, acked):
    """Produces to all partitions until the broker is killed, which is soon;
    counts in acked what was answered for.  How many were sent."""
    data = parts.R.batch(parts.R.recs(1, size=100, key=False))
    bodies = parts.requests(topic, n, data)
    conns = [parts.Conn(target.kafka) for _ in range(parts.CONNS)]
    flying, sent, start = [], 0, time.monotonic()
    killer = threading.Timer(KILL_S, target.kill)
    killer.start()
    try:
        while time.monotonic() < start + KILL_S + 30:
            while len(flying) < len(conns):
                c, turn = conns[sent % len(conns)], sent % len(bodies)
                c.send(parts.PRODUCE, 5, bodies[turn][1])
                flying.append((c, turn))
                sent += 1
            c, turn = flying.pop(0)
            parts.answered(c.recv(), topic, bodies[turn][0])
            acked[turn] += 1
    except (OSError, struct.error):
        pass
    killer.join()
    return sent, data


def ends(target, topic, n):
    """The end of each partition's log; ListOffsets v1."""
    c, found = parts.Conn(target.kafka), {}
    for first in range(0, n, parts.ROWS_MAX):
        some = range(first, min(first + parts.ROWS_MAX, n))
        c.send(2, 1, struct.pack(">ii", -1, 1) + parts.text(topic) +
               struct.pack(">i", len(some)) +
               b"".join(struct.pack(">iq", p, -1) for p in some))
        f = c.recv()
        at = 4 + 2 + len(topic) + 4
        for _ in some:
            p, error, _, end = struct.unpack_from(">ihqq", f, at)
            if error:
                parts.fail("the end of partition", p, "error", error)
            found[p] = end
            at += 22
    return found


def b16(run):
    """kill -9 under load with many partitions: until the first produce is
    answered, and what is lost of what was."""
    n = 10000 if run.full else 1000
    with run.ours() as target:
        topic = run.topic(target, n, keep=True)[0]
        acked = [0] * -(-n // parts.ROWS_MAX)
        sent, data = killed(target, topic, n, acked)
        start = time.monotonic()
        target.start()
        c = parts.Conn(target.kafka)
        rows, body = parts.requests(topic, 1, data)[0]
        c.send(parts.PRODUCE, 5, body)
        parts.answered(c.recv(), topic, rows)
        took = (time.monotonic() - start) * 1e3
        cpu = sum(target.cpu().values())
        found = ends(target, topic, n)
        found[0] -= 1
        lost = sum(max(0, acked[p // parts.ROWS_MAX] - found[p])
                   for p in range(n))
        found[0] += 1
        parts.read_back(target, topic, n, data, sum(found.values()))
        run.row(target, {"what": f"{n} partitions, {sent} requests",
                         "start_ms": target.start_ms, "produce_ms": took,
                         "start_cpu_s": cpu,
                         "lost": lost})


def b17(run):
    """Small segments and retention for a long time: latency, memory and
    descriptors, at the end against the beginning."""
    seconds, windows = (7200, 12) if run.full else (120, 4)
    seconds = int(seconds * run.args.scale)
    words = ("--log-segment-bytes", str(1 << 20),
             "--log-retention-bytes", str(4 << 20),
             "--log-segment-delete-delay-ms", "1000",
             "--log-retention-check-interval-ms", "1000")
    with run.ours(*words) as target:
        topic = run.topic(target, 16, keep=True)
        seen, done = [], threading.Event()

        def look():
            while not done.wait(seconds / windows / 4):
                m = target.memory()
                seen.append((sum(r["anon_kib"] for r in m.values()),
                             sum(target.files().values())))

        watch = threading.Thread(target=look)
        watch.start()
        try:
            run.costed(target, f"{seconds} s", lambda: run.tool(
                "pace", bootstrap=target.kafka, topic=topic[0], rate=2000,
                partitions=16, count=2000 * seconds, size=1024, acks="all",
                linger_ms=5, windows=windows))
        finally:
            done.set()
            watch.join()
        for name, some in (("first", seen[:4]), ("last", seen[-4:])):
            run.row(target, {
                "what": f"{name} of {windows} parts",
                "rss_mib": statistics.median(s[0] for s in some) / 1024,
                "files": statistics.median(s[1] for s in some)})
        disk = sum(os.path.getsize(os.path.join(where, name))
                   for where, _, names in os.walk(target.data)
                   for name in names if name.endswith(".log"))
        run.row(target, {"MiB of logs at the end": disk / (1 << 20)})


def b18(run):
    """1 KiB, 16 partitions, at half of what the slower one can do, open loop:
    from when a record was due until a consumer has it."""
    words = dict(partitions=16, size=1024, acks="all", linger_ms=0,
                 batch=100000)
    slowest = min(
        run.rate(target, count=300000, **{**words, "linger_ms": 5})
        for target in run.brokers("ours", "kafka"))
    rate = int(min(slowest / 2, 100000))
    for target in run.brokers("ours os", "ours", "kafka"):
        run.pace(target, "half of the maximum", rate=rate, count=rate * 10,
                 **words)


def b19(run):
    """Produce and consume 1 KiB, by codec, acks=1."""
    for codec in ("none", "lz4", "zstd", "snappy", "gzip"):
        for target in run.brokers("ours", "kafka"):
            topic = run.produce(target, f"produce {codec}", partitions=4,
                                acks="1", count=300000, size=1024, codec=codec,
                                verify=False, keep=True, **LARGE)
            run.consume(target, f"consume {codec}", topic)
            run.delete(target, topic)


def start(run):
    """Start to ready, memory when idle and after load, idle CPU."""
    for target in run.brokers("ours", "kafka", own=True):
        run.row(target, {"what": "empty", "start_ms": target.start_ms,
                         "rss_mib": target.resident_kib() / 1024,
                         "idle_cpu_percent": run.idle(target, 5)})
        run.produce(target, None, partitions=4, acks="1", count=500000,
                    size=1024, **LARGE)
        run.row(target, {"what": "after 512 MB",
                         "rss_mib": target.resident_kib() / 1024})


def java(run):
    """Kafka's own producer, 1 KiB, acks=all, idempotent as by default."""
    for target in run.brokers("ours", "kafka"):
        run.java(target, "ProducerPerformance", count=500000, size=1024,
                 partitions=4)


# Name, whether the short set has it, function.
CASES = (
    ("B0", True, b0), ("B1", True, b1), ("B2", True, b2), ("B3", True, b3),
    ("B3s", True, b3small), ("B4", True, b4), ("B5", True, b5),
    ("B6", True, b6), ("B6w", True, b6wide), ("B7", False, b7),
    ("B8", False, b8), ("B9", True, b9), ("B9c", False, b9cold),
    ("B10", False, b10), ("B11", False, b11), ("B12", False, b12),
    ("B16", False, b16), ("B17", False, b17),
    ("B18", True, b18), ("B19", False, b19), ("K", True, start),
    ("Kj", False, java),
)

# What is compared: case, what, metric, of which target, by which, and what we
# want the quotient to be.
RATIOS = (
    ("B1", "produce", "records_per_s", "ours os", "kafka", ">= 1"),
    ("B1", "produce", "cpu_s_per_gb", "ours os", "kafka", "<= 0.20"),
    ("B2", "produce", "records_per_s", "ours os", "kafka", ">= 1"),
    ("B2", "produce", "cpu_s_per_gb", "ours os", "kafka", "<= 0.20"),
    ("B1", "produce", "records_per_s", "ours os", "null", ">= 0.95"),
    ("B2", "produce", "records_per_s", "ours os", "null", ">= 0.75"),
    ("B2", "produce", "cpu_s_per_gb", "ours os", "control", "<= 1.5"),
    # What no broker can do better, whatever it is made of.
    ("B2", "produce", "cpu_s_per_gb", "control", "kafka", "-"),
    ("B3", "produce", "records_per_s", "ours", "kafka", ">= 0.9"),
    ("B3", "produce", "cpu_s_per_gb", "ours", "kafka", "<= 0.25"),
    ("B3", "produce", "records_per_s", "ours", "control sync", ">= 0.85"),
    ("B3", "produce", "cpu_s_per_gb", "control sync", "kafka", "-"),
    ("B3s", "produce", "records_per_s", "ours", "kafka", ">= 0.9"),
    ("B3s", "produce", "cpu_s_per_gb", "ours", "kafka", "<= 0.25"),
    ("B3s", "produce", "cpu_s_per_gb", "control sync", "kafka", "-"),
    ("B4", "produce", "records_per_s", "ours", "kafka sync", ">= 10"),
    ("B4", "at the same rate", "ack_us.p99", "ours", "kafka sync", "<= 0.33"),
    ("B4", "produce", "records_per_s", "ours os", "null", ">= 0.85"),
    ("B4", "produce", "records_per_s", "ours", "ours os", ">= 0.6"),
    ("B5", "round trip", "ack_us.p50", "ours os", "null", "<= 2.2"),
    ("B6w", "produce", "records_per_s", "ours", "kafka", ">= 3"),
    ("B6w", "produce", "cpu_s_per_gb", "ours", "kafka", "<= 0.25"),
    ("B9", "consume", "records_per_s", "ours", "kafka", ">= 1.2"),
    ("B9", "consume", "records_per_s", "ours", "null", ">= 0.9"),
    ("B9", "consume", "cpu_s_per_gb", "ours", "kafka", "<= 0.20"),
    ("B9", "consume", "records_per_s", "null", "kafka", "-"),
    ("B9c", "consume", "records_per_s", "ours", "kafka", ">= 1.2"),
    ("B10", "8 consumers", "cpu_s_per_gb", "ours", "kafka", "-"),
    ("B11", "beside a cold reader", "arrival_us.p99", "ours", "kafka", "-"),
    ("B18", "half of the maximum", "arrival_us.p99", "ours", "kafka",
     "<= 0.5"),
    ("B18", "half of the maximum", "arrival_us.p999", "ours", "kafka",
     "<= 0.5"),
    ("K", "empty", "start_ms", "ours", "kafka", "<= 0.05"),
    ("K", "empty", "rss_mib", "ours", "kafka", "<= 0.067"),
    ("K", "after 512 MB", "rss_mib", "ours", "kafka", "<= 0.067"),
)

# The lines of README's table: of which case, what, whose figures by whose, and
# how they are called.  A p99 stands only where the rate is given: else it is
# the time in the client's own queue.
REPORT = (
    ("B1", "produce", "ours os", "kafka", "100 B, acks=1, `sync=os`"),
    ("B2", "produce", "ours os", "kafka", "1 KiB, acks=1, `sync=os`"),
    ("B3s", "produce", "ours", "kafka", "100 B, acks=all, synced"),
    ("B3", "produce", "ours", "kafka", "1 KiB, acks=all, synced"),
    ("B4", "produce", "ours", "kafka sync",
     "10 x 100 B a request, both synced"),
    ("B6w", "produce", "ours", "kafka", "1,000 partitions, synced"),
    ("B18", "half of the maximum", "ours", "kafka",
     "half load, synced, end to end"),
    ("B9", "consume", "ours", "kafka", "consume 1 KiB, page cache"),
    ("B9c", "consume", "ours", "kafka", "consume 1 KiB, disk"),
)
SINGLE = (
    ("K", "empty", "rss_mib", "memory, empty"),
    ("K", "after 512 MB", "rss_mib", "memory, after 512 MB"),
    ("K", "empty", "start_ms", "start to ready"),
)
