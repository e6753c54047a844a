# SPDX-License-Identifier: Apache-2.0
"""
The benchmarks, a function each, and the table that names them.  A case runs
once per round for every target that it asks the run for; everything it
produces it reads back and compares.  Nothing here asserts a time.
"""
import os
import struct

import limits
import parts
from many import b7, b8, b12, b16, b16scan, b17, files_under

LARGE = {"linger_ms": 5, "batch": 100000}
TEN = {"linger_ms": 0, "batch": 10}


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
        limits.evict(files_under(target.data))
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


def b11(run):
    """Produce 1 KiB at 30 % of what the slower one can do, alone, and while a
    backlog is read from the disk over and over.  Kafka does not sync."""
    words = dict(partitions=4, size=1024, acks="all", linger_ms=5)
    slowest = min(run.rate(target, count=300000, **words)
                  for target in run.brokers("ours", "kafka"))
    rate = int(slowest * 0.3)
    pace = dict(rate=rate, count=rate * 8 / run.args.scale, **words)
    for target in run.brokers("ours os", "ours", "kafka"):
        others = set(files_under(target.data))
        topic = run.produce(target, None, partitions=4, acks="1",
                            count=1500000, size=1024, verify=False, keep=True,
                            **LARGE)
        backlog = [p for p in files_under(target.data)
                   if p.endswith(".log") and p not in others]
        for _ in range(2):
            run.pace(target, "alone", **pace)
            with run.reading_cold(target, topic, backlog) as seen:
                run.pace(target, "beside a cold reader", **pace)
            run.row(target, {"what": "the cold reader", **seen})
        run.delete(target, topic)


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


def log_bytes(target, topic, n):
    """What the batches of a topic take, as they came; DescribeLogDirs v1."""
    c = parts.Conn(target.kafka)
    c.send(35, 1, struct.pack(">i", 1) + parts.text(topic) +
           struct.pack(f">i{n}i", n, *range(n)))
    f = c.recv()
    error, length = struct.unpack_from(">hh", f, 8)
    at = 12 + length + 4 + 2 + len(topic)
    rows, = struct.unpack_from(">i", f, at)
    if error or rows != n:
        parts.fail("the size of", topic, "error", error, "rows", rows)
    return sum(struct.unpack_from(">iqqb", f, at + 4 + i * 21)[1]
               for i in range(n))


def b19(run):
    """Produce and consume 1 KiB, by codec, acks=1; ours also with batches
    that are not opened."""
    for codec in ("none", "lz4", "zstd", "snappy", "gzip"):
        for target in run.brokers("ours", "ours header", "kafka"):
            topic = run.produce(target, f"produce {codec}", partitions=4,
                                acks="1", count=300000, size=1024, codec=codec,
                                verify=False, keep=True, **LARGE)
            wire = log_bytes(target, topic[0], 4)
            run.on_wire(wire)
            run.consume(target, f"consume {codec}", topic)
            run.on_wire(wire)
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
    ("B16", False, b16), ("B16s", False, b16scan), ("B17", False, b17),
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
    ("B11", "beside a cold reader", "ack_us.p99", "ours os", "kafka", "-"),
    ("B11", "the cold reader", "mb_per_s", "ours os", "kafka", "-"),
    ("B12", "2000, every 500 ms", "us_per_poll", "ours", "kafka", "-"),
    ("B16s", "scan", "mb_per_s", "ours", "plain read", "-"),
    ("B18", "half of the maximum", "arrival_us.p99", "ours", "kafka",
     "<= 0.5"),
    ("B18", "half of the maximum", "arrival_us.p999", "ours", "kafka",
     "<= 0.5"),
    ("K", "empty", "start_ms", "ours", "kafka", "<= 0.05"),
    ("K", "empty", "rss_mib", "ours", "kafka", "<= 0.067"),
    ("K", "after 512 MB", "rss_mib", "ours", "kafka", "<= 0.067"),
)

# The same of one target, by what it does otherwise in the same round: case,
# target, what, metric, by what, by which metric, and what we want.
BESIDE = (
    *(("B7", "ours", f"100 by {n}", "ack_us.p99", f"{by} alone {n}",
       "ack_us.p99", goal)
      for n in ("1 x 1000", "10 x 1000", "50 x 1000", "1000 x 1",
                "10000 x 1")
      for by, goal in ((1, "<= 1.5"), (100, "-"))),
    *(("B8", target, f"beside {n}", metric, f"alone, for {n}", metric, goal)
      for target in ("ours", "kafka") for n in (1000, 5000, 10000)
      for metric, goal in (("ack_us.p99", "<= 1.2"),
                           ("cpu_us_per_record", "-"))),
    *(("B10", target, "8 consumers", "cpu_s_per_gb", "1 consumer",
       "cpu_s_per_gb", "<= 1.1") for target in ("ours", "kafka")),
    *(("B11", target, "beside a cold reader", "ack_us.p99", "alone",
       "ack_us.p99", "<= 1.5") for target in ("ours os", "ours", "kafka")),
    ("B17", "ours", "latency", "last_us.p99", "latency", "first_us.p99",
     "<= 1.2"),
    ("B17", "ours", "old", "arrival_us.p99", "fresh", "arrival_us.p99",
     "<= 1.2"),
    *(("B19", target, f"{verb} {codec}", "cpu_s_per_wire_gb", f"{verb} none",
       "cpu_s_per_wire_gb", "-")
      for target in ("ours", "ours header", "kafka")
      for verb in ("produce", "consume")
      for codec in ("lz4", "zstd", "snappy", "gzip")),
)

# What has a bound of its own: case, the start of what, metric, bound.
BUDGETS = (
    ("B7", "making", "kib_per_partition", "<= 4"),
    ("B7", "written", "kib_per_partition", "<= 4"),
    ("B7", "start", "start_ms_per_10k", "<= 1000"),
    ("B7", "making", "idle_cpu_percent", "<= 0.05"),
    ("B8", "10000 connections", "bytes_per_connection", "<= 1024"),
    ("B8", "and", "idle_cpu_percent", "<= 0.05"),
    ("B12", "2000 waiting", "idle_cpu_percent", "<= 2"),
    ("B12", "2000, every", "idle_cpu_percent", "-"),
    ("B12", "session", "ns_per_partition", "<= 100"),
    ("B16", "10000", "produce_ms", "<= 2000"),
    ("B16", "", "lost", "<= 0"),
    ("B16s", "scan", "mb_per_s", ">= 300"),
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
