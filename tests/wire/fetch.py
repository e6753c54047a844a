# SPDX-License-Identifier: Apache-2.0
"""
Fetch and ListOffsets: limits, the first-batch rule, long polls that wake once
and not before, offsets and epochs out of range, topic ids, and times exact to
the record (protocol.md 3.4 and 3.5).
"""
import os

import kafka
import records as R
from kafka import (E, FENCED_EPOCH, INVALID_REQUEST, KAFKA, NO_ID,
                   OFFSET_OUT_OF_RANGE, UNKNOWN_EPOCH, UNKNOWN_ID,
                   UNKNOWN_TOPIC, UNSUPPORTED_VERSION, Closed, Conn, Fail,
                   Skip, Topic, end_offset, eq, fetch, fetch_body, fetched,
                   isin, leader_epoch, list_offset, need, new_topic, ok,
                   produce, produce_body, produce_ok, produced, read_all,
                   roundtrip, row, rows, same_records, until, ver)

KAFKA_DIFFERS = {
    "session/unknown/2147483647,2147483647": (
        "all", "Kafka stumbles over the greatest epoch"),
}

TS = kafka.TS
LONG = 10 * 60 * 1000   # a wait that no test outlives
FV = list(range(19))


def filled(parts=1, batches=4, n=3, size=20, **kw):
    """A topic with the same batches in every partition."""
    t = new_topic(parts, **kw)
    with Conn() as c:
        for p in range(parts):
            for i in range(batches):
                produce_ok(c, t, R.batch(R.recs(n, size, ts=TS + i * n,
                                                tag=b"%d-%d-" % (p, i))),
                           i * n, part=p)
    return t


SHARED = {}


def shared(parts=1, batches=4, n=3, size=20):
    key = (parts, batches, n, size)
    if key not in SHARED:
        SHARED[key] = filled(*key)
    return SHARED[key]


def fetch_all(c, rows_, version=11, **kw):
    v = ver("Fetch", version)
    r = c.call("Fetch", v, fetch_body(rows_, **kw))
    eq(r.get("error_code", 0), 0, "top-level error")
    return fetched(r)


def size_of(p):
    return len(p["records"] or b"")


# ----------------------------------------------------------------- offsets

@rows("offset/inside-a-batch/v%d", FV)
def inside(v):
    """The batch that holds the offset comes from its start."""
    need("Fetch", v)
    t = shared()
    with Conn() as c:
        for off in range(12):
            p = fetch(c, t, off, version=v)
            eq(p["error_code"], 0, "error at %d" % off)
            eq(p["high_watermark"], 12, "high watermark")
            got = R.all_records(p["records"])
            first = off - off % 3
            if v < 4:
                # Converted message by message and then cut to the size of
                # what is stored: a first part is all that is promised.
                got = [r.offset for r in got if r.offset >= off]
                ok(got, "nothing from %d" % off)
                eq(got, list(range(off, off + len(got))),
                   "offsets from %d" % off)
                continue
            eq([r.offset for r in got], list(range(first, 12)),
               "offsets from %d" % off)


@rows("offset/at-the-end/v%d", FV)
def at_end(v):
    need("Fetch", v)
    t = shared()
    with Conn() as c:
        p = fetch(c, t, 12, version=v)
        eq((p["error_code"], p["high_watermark"], size_of(p)), (0, 12, 0),
           "error, high watermark, bytes")
        if v >= 4:
            eq(p["last_stable_offset"], 12, "last stable offset")
        if v >= 5:
            eq(p["log_start_offset"], 0, "log start")


@rows("offset/out-of-range/%d", [13, 14, 1 << 31, 1 << 40, (1 << 63) - 1, -1,
                                 -2, -(1 << 63)])
def out_of_range(off):
    t = shared()
    for v in (0, 3, 4, 5, 11, 12, 13, 18):
        if not E.ranges[1][0] <= v <= ver("Fetch"):
            continue
        with Conn() as c:
            p = fetch(c, t, off, version=v, max_wait=LONG)
            eq(p["error_code"], OFFSET_OUT_OF_RANGE, "error in v%d" % v)
            eq(size_of(p), 0, "bytes")
            eq(p["high_watermark"], -1, "high watermark")
            eq(p.get("last_stable_offset", -1), -1, "last stable offset")
            eq(p.get("log_start_offset", -1), -1, "log start")


@row("offset/empty-topic")
def empty_topic():
    t = new_topic()
    with Conn() as c:
        p = fetch(c, t, 0)
        eq((p["error_code"], p["high_watermark"], size_of(p)), (0, 0, 0),
           "error, high watermark, bytes")
        eq(fetch(c, t, 1)["error_code"], OFFSET_OUT_OF_RANGE, "error at 1")


# -------------------------------------------------------------- addressing

@rows("unknown/topic/v%d", list(range(13)))
def unknown_topic(v):
    need("Fetch", v)
    with Conn() as c:
        p = fetch(c, Topic(kafka.fresh_name("none"), NO_ID, 1), version=v,
                  max_wait=LONG)
        eq(p["error_code"], UNKNOWN_TOPIC, "error")
        eq((size_of(p), p["high_watermark"]), (0, -1), "bytes and end")


@rows("unknown/id/%s/v%d", [(k, v) for k in ("zero", "random")
                            for v in range(13, 19)])
def unknown_id(kind, v):
    """Per partition, with the id echoed; what is known is served."""
    need("Fetch", v)
    t = shared()
    u = Topic("", NO_ID if kind == "zero" else b"\xa5" * 16, 1)
    with Conn() as c:
        r = c.call("Fetch", v, fetch_body([(u, 0, 0), (t, 0, 0)],
                                          max_wait=LONG))
        eq(r["error_code"], 0, "top-level error")
        by_id = {x["topic_id"]: x["partitions"] for x in r["responses"]}
        eq(set(by_id), {u.id, t.id}, "topic ids")
        eq(by_id[u.id][0]["error_code"], UNKNOWN_ID, "error")
        eq(by_id[t.id][0]["error_code"], 0, "error of the other")
        ok(by_id[t.id][0]["records"], "no records of the other")


@rows("unknown/partition/%d", [1, 100, 0x7fffffff, -1, -0x80000000])
def unknown_part(n):
    t = shared()
    for v in (4, 11, 12, 13, 18):
        if v > ver("Fetch"):
            continue
        with Conn() as c:
            ps = fetch_all(c, [(t, n, 0), (t, 0, 0)], v, max_wait=LONG)
            by = {p["partition_index"]: p for p in ps}
            eq(by[n]["error_code"], UNKNOWN_TOPIC, "error in v%d" % v)
            eq(by[0]["error_code"], 0, "error of partition 0")
            ok(by[0]["records"], "no records of partition 0")


@row("empty/no-topics")
def no_topics():
    """Nothing to wait for: the answer comes at once."""
    with Conn() as c:
        for v in FV:
            if E.ranges[1][0] <= v <= ver("Fetch"):
                r = c.call("Fetch", v, fetch_body([], max_wait=LONG))
                eq((r.get("error_code", 0), r["responses"]), (0, []),
                   "answer of v%d" % v)


@row("order/as-requested")
def order():
    a, b = shared(3, 1), shared(2, 1)
    want = [(a, 2, 0), (a, 0, 0), (b, 1, 0), (b, 0, 0)]
    with Conn() as c:
        for v in (4, 11, 12, 13):
            if v > ver("Fetch"):
                continue
            r = c.call("Fetch", v, fetch_body(want))
            key = "topic_id" if v >= 13 else "topic"
            eq([(x[key], p["partition_index"]) for x in r["responses"]
                for p in x["partitions"]],
               [(t.id if v >= 13 else t.name, p) for t, p, _ in want],
               "order in v%d" % v)


@row("twice/partition")
def part_twice():
    """One row or two, never a wrong one."""
    t = shared()
    with Conn() as c:
        ps = fetch_all(c, [(t, 0, 0), (t, 0, 3)])
        isin(len(ps), (1, 2), "rows")
        for p in ps:
            eq((p["partition_index"], p["error_code"],
                p["high_watermark"]), (0, 0, 12), "row")


# ------------------------------------------------------------------ limits

@rows("limit/first-batch/v%d", list(range(3, 19)))
def first_batch(v):
    """Larger than every limit, yet it comes whole, alone."""
    need("Fetch", v)
    t = shared(3, 2, 1, 20000)
    with Conn() as c:
        for pm, mb in ((1, 0x7fffffff), (100, 100), (0, 0), (1, 1),
                       (1 << 20, 1)):
            ps = fetch_all(c, [(t, i, 0, pm) for i in range(3)], v,
                           max_bytes=mb)
            n = [len(R.all_records(p["records"])) for p in ps]
            eq(n[0], 1, "records of the first (%d, %d)" % (pm, mb))
            eq(n[1:], [0, 0], "records of the others (%d, %d)" % (pm, mb))
            if v >= 4:
                same_records(R.all_records(ps[0]["records"]),
                             [R.Rec(b"k0", R.recs(1, 20000, tag=b"0-0-")[0]
                                    .value, TS, offset=0)], "record")


@row("limit/first-batch-skips-empty")
def first_nonempty():
    t = shared(3, 2, 1, 20000)
    with Conn() as c:
        ps = fetch_all(c, [(t, 0, 2, 10), (t, 1, 1, 10), (t, 2, 0, 10)],
                       max_bytes=10)
        eq([len(R.all_records(p["records"])) for p in ps], [0, 1, 0],
           "records")


@row("limit/first-batch-skips-errors")
def first_after_error():
    t = shared(3, 2, 1, 20000)
    with Conn() as c:
        ps = fetch_all(c, [(t, 0, 99, 10), (t, 1, 0, 10), (t, 2, 0, 10)],
                       max_bytes=10)
        eq([(p["error_code"], len(R.all_records(p["records"])))
            for p in ps], [(1, 0), (0, 1), (0, 0)], "rows")


@rows("limit/hard-before-v3/v%d", [0, 1, 2])
def hard_limit(v):
    """A truncated message tells the old client to ask for more."""
    need("Fetch", v)
    t = shared(1, 2, 1, 20000)
    with Conn() as c:
        p = fetch(c, t, 0, version=v, part_max=1000)
        eq(p["error_code"], 0, "error")
        ok(size_of(p) <= 1000, "%d bytes" % size_of(p))
        eq(R.all_records(p["records"]), [], "whole messages")


@row("limit/partition-max-bytes")
def part_max():
    t = shared(2, 10, 1, 1000)
    one = len(R.batch(R.recs(1, 1000, ts=TS, tag=b"0-0-")))
    with Conn() as c:
        for k in (1, 2, 5):
            ps = fetch_all(c, [(t, 0, 0, k * one), (t, 1, 0, k * one)])
            for p in ps:
                ok(size_of(p) <= k * one, "%d bytes of %d" %
                   (size_of(p), k * one))
                eq(len(R.all_records(p["records"])), k, "records")
            # One byte less: the last does not fit.
            p = fetch(c, t, 0, part_max=k * one - 1)
            eq(len(R.all_records(p["records"])), max(1, k - 1), "records")


@row("limit/max-bytes-over-partitions")
def max_bytes():
    t = shared(5, 2, 1, 10000)
    with Conn() as c:
        for mb in (15000, 25000, 45000):
            ps = fetch_all(c, [(t, i, 0) for i in range(5)], max_bytes=mb)
            total = sum(size_of(p) for p in ps)
            ok(total <= mb, "%d bytes of %d" % (total, mb))
            n = sum(len(R.all_records(p["records"])) for p in ps)
            eq(n, mb // 10000, "whole records")
            eq([p["error_code"] for p in ps], [0] * 5, "errors")
            eq([p["high_watermark"] for p in ps], [2] * 5, "watermarks")


@rows("limit/negative/%s", ["max-bytes", "part-max", "min-bytes",
                            "max-wait", "all"])
def negative(kind):
    """Nonsense, but an answer all the same."""
    t = shared()
    kw = {"max-bytes": {"max_bytes": -1}, "part-max": {"part_max": -1},
          "min-bytes": {"min_bytes": -5}, "max-wait": {"max_wait": -1},
          "all": {"max_bytes": -0x80000000, "part_max": -0x80000000,
                  "min_bytes": -0x80000000, "max_wait": -0x80000000}}[kind]
    with Conn() as c:
        p = fetch(c, t, 0, **kw)
        isin(p["error_code"], (0, -1), "error")
        roundtrip(c)


@row("limit/read-through-with-small-limits")
def read_small():
    """However small the limits, a reader gets to the end."""
    t = filled(1, 30, 2, 500)
    with Conn() as c:
        for limit in (1, 700, 1500, 5000):
            off = 0
            seen = []
            while off < 60:
                p = fetch(c, t, off, part_max=limit, max_bytes=limit)
                got = [r for r in R.all_records(p["records"])
                       if r.offset >= off]
                ok(got, "nothing at %d with limit %d" % (off, limit))
                seen += [r.offset for r in got]
                off = got[-1].offset + 1
            eq(seen, list(range(60)), "offsets with limit %d" % limit)


@row("limit/30-MB-in-one-answer")
def big_answer():
    """Through a small window: what arrives is what was stored."""
    t = new_topic(30)
    values = [os.urandom(1000) * 1000 for _ in range(30)]
    with Conn() as b, Conn(rcvbuf=16384) as c:
        for i, v in enumerate(values):
            produce_ok(b, t, R.batch([R.Rec(b"%d" % i, v, TS)]), 0, part=i)
        for v in (4, 11, 13):
            if v > ver("Fetch"):
                continue
            ps = fetch_all(c, [(t, i, 0, 2 << 20) for i in range(30)], v,
                           max_bytes=40 << 20)
            for i, p in enumerate(ps):
                # By hand: checksums of 30 MB take too long here.
                ok(p["records"][61:].find(values[i]) >= 0,
                   "partition %d of v%d" % (i, v))


@row("order/topic-in-two-pieces")
def topic_pieces():
    """A topic may be named twice with different partitions."""
    t = shared(3, 1)
    with Conn() as c:
        for v in (4, 11, 13):
            if v > ver("Fetch"):
                continue
            body = fetch_body([(t, 2, 0)])
            body["topics"] += fetch_body([(t, 0, 0), (t, 1, 0)])["topics"]
            ps = fetched(c.call("Fetch", v, body))
            eq(sorted((p["partition_index"], p["error_code"],
                       len(R.all_records(p["records"]))) for p in ps),
               [(i, 0, 3) for i in range(3)], "rows of v%d" % v)


@row("limit/across-segments")
def across_segments():
    t = new_topic(1, {"segment.bytes": "1048576"}, config_may_fail=True)
    with Conn() as c:
        for i in range(10):
            produce_ok(c, t, R.batch([R.Rec(b"%d" % i, bytes(400000),
                                            TS + i)]), i)
        off = 0
        while off < 10:
            p = fetch(c, t, off, part_max=10 << 20)
            got = [r.offset for r in R.all_records(p["records"])]
            ok(got and got == list(range(off, off + len(got))),
               "offsets %r at %d" % (got, off))
            off += len(got)


# -------------------------------------------------------------- long polls

def still(c, others=20):
    """No answer has come, though the broker has answered others since."""
    with Conn() as o:
        for _ in range(others):
            roundtrip(o)
    ok(not c.readable(), "an answer came too early")


def park(c, rows_, version=11, **kw):
    kw.setdefault("max_wait", LONG)
    c.send("Fetch", ver("Fetch", version), fetch_body(rows_, **kw))


def woken(c, want):
    """The answer: partition -> offsets of records."""
    r = c.recv()
    eq(r.get("error_code", 0), 0, "top-level error")
    got = {p["partition_index"]: [x.offset for x in
                                  R.all_records(p["records"])]
           for p in fetched(r)}
    eq({k: v for k, v in got.items() if v}, want, "records")


@rows("wait/wakes-on-append/v%d", FV)
def wakes(v):
    need("Fetch", v)
    t = new_topic()
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)], v)
        still(a)
        produce_ok(b, t, R.batch(R.recs(2)), 0)
        woken(a, {0: [0, 1]})
        # Once: nothing more comes for the next append.
        produce_ok(b, t, R.batch(R.recs(2)), 2)
        still(a)
        park(a, [(t, 0, 4)], v)
        produce_ok(b, t, R.batch(R.recs(1)), 4)
        woken(a, {0: [4]})


@rows("wait/wakes-at-acks/%d", [0, 1, -1])
def wakes_acks(acks):
    t = new_topic()
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)])
        still(a)
        data = produce_body([(t, 0, R.batch(R.recs(1)))], acks)
        b.send("Produce", ver("Produce", 9), data)
        if acks:
            b.recv()
        woken(a, {0: [0]})


@row("wait/min-bytes")
def min_bytes():
    """Not for one batch, not for two: for the third."""
    t = new_topic()
    data = R.batch(R.recs(1, 500, ts=TS))
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)], min_bytes=3 * len(data))
        for i in range(2):
            produce_ok(b, t, data, i)
            still(a)
        produce_ok(b, t, data, 2)
        woken(a, {0: [0, 1, 2]})


@row("wait/min-bytes-over-partitions")
def min_bytes_parts():
    t = new_topic(4)
    data = R.batch(R.recs(1, 500, ts=TS))
    with Conn() as a, Conn() as b:
        produce_ok(b, t, data, part=0)
        park(a, [(t, i, 0) for i in range(4)], min_bytes=3 * len(data))
        still(a)
        produce_ok(b, t, data, part=3)
        still(a)
        produce_ok(b, t, data, part=1)
        woken(a, {0: [0], 1: [0], 3: [0]})


@row("wait/last-of-100-partitions")
def wait_many():
    t = new_topic(100)
    with Conn() as a, Conn() as b:
        park(a, [(t, i, 0) for i in range(100)])
        still(a)
        produce_ok(b, t, R.batch(R.recs(1)), part=99)
        woken(a, {99: [0]})
        still(a)


@row("wait/other-partition-does-not-wake")
def wait_other():
    t = new_topic(2)
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)])
        for i in range(5):
            produce_ok(b, t, R.batch(R.recs(3)), 3 * i, part=1)
        still(a)
        produce_ok(b, t, R.batch(R.recs(1)), 0, part=0)
        woken(a, {0: [0]})


@row("wait/refused-batch-does-not-wake")
def wait_refused():
    t = new_topic()
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)])
        for _ in range(3):
            eq(produce(b, t, R.batch(R.recs(1), crc=1))["error_code"], 2,
               "error")
        still(a)
        produce_ok(b, t, R.batch(R.recs(1)), 0)
        woken(a, {0: [0]})


@row("wait/30-readers-one-append")
def wait_readers():
    t = new_topic()
    conns = [Conn() for _ in range(30)]
    try:
        for c in conns:
            park(c, [(t, 0, 0)])
        for c in conns:
            ok(not c.readable(), "an answer came too early")
        with Conn() as b:
            produce_ok(b, t, R.batch(R.recs(2)), 0)
        for c in conns:
            woken(c, {0: [0, 1]})
        for c in conns:
            roundtrip(c)
    finally:
        for c in conns:
            c.close()


@row("wait/expires")
def wait_expires():
    t = shared()
    with Conn() as c:
        for v in (4, 11, 13):
            if v > ver("Fetch"):
                continue
            p = fetch(c, t, 12, version=v, max_wait=200, min_bytes=1)
            eq((p["error_code"], p["high_watermark"], size_of(p)),
               (0, 12, 0), "error, high watermark, bytes")


@row("wait/expires-with-what-there-is")
def wait_partial():
    t = shared()
    with Conn() as c:
        p = fetch(c, t, 9, max_wait=200, min_bytes=1 << 20)
        eq([r.offset for r in R.all_records(p["records"])], [9, 10, 11],
           "offsets")


@row("wait/min-bytes-0")
def wait_zero():
    t = shared()
    with Conn() as c:
        p = fetch(c, t, 12, max_wait=LONG, min_bytes=0)
        eq((p["error_code"], size_of(p)), (0, 0), "error and bytes")


@row("wait/max-wait-0")
def wait_none():
    t = shared()
    with Conn() as c:
        p = fetch(c, t, 12, max_wait=0, min_bytes=1 << 30)
        eq((p["error_code"], size_of(p)), (0, 0), "error and bytes")


@row("wait/min-bytes-over-max-bytes")
def wait_clipped():
    """min_bytes is clipped to max_bytes: more can never come."""
    t = shared(1, 10, 1, 1000)
    with Conn() as c:
        p = fetch(c, t, 0, max_wait=LONG, min_bytes=0x7fffffff,
                  max_bytes=3000)
        ok(R.all_records(p["records"]), "no records")


@row("wait/error-answers-at-once")
def wait_error():
    t = shared(2, 2)
    with Conn() as c:
        ps = fetch_all(c, [(t, 0, 6), (t, 1, 99)], max_wait=LONG)
        eq(sorted((p["partition_index"], p["error_code"]) for p in ps),
           [(0, 0), (1, OFFSET_OUT_OF_RANGE)], "rows")


@row("wait/unknown-partition-waits-for-the-others")
def wait_unknown():
    t = new_topic()
    with Conn() as a, Conn() as b:
        a.send("Fetch", ver("Fetch", 11), fetch_body(
            [(t, 0, 0), (t, 7, 0)], max_wait=LONG))
        still(a)
        produce_ok(b, t, R.batch(R.recs(1)), 0)
        eq(sorted((p["partition_index"], p["error_code"])
                  for p in fetched(a.recv())),
           [(0, 0), (7, UNKNOWN_TOPIC)], "rows")


@row("wait/only-unknown-partitions")
def wait_only_unknown():
    t = shared()
    with Conn() as c:
        ps = fetch_all(c, [(t, 8, 12), (t, 7, 0)], max_wait=LONG)
        eq(sorted((p["partition_index"], p["error_code"]) for p in ps),
           [(7, UNKNOWN_TOPIC), (8, UNKNOWN_TOPIC)], "rows")


@row("wait/answers-behind-keep-their-order")
def wait_behind():
    t = new_topic()
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)])
        a.send("ApiVersions", 0, {})
        a.send("Metadata", ver("Metadata", 9), {"topics": []})
        still(a)
        produce_ok(b, t, R.batch(R.recs(1)), 0)
        woken(a, {0: [0]})
        eq(a.recv()["error_code"], 0, "ApiVersions")
        eq(a.recv()["topics"], [], "Metadata")


@row("wait/two-parked-on-a-connection")
def wait_two():
    t = new_topic(2)
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)])
        park(a, [(t, 1, 0)])
        produce_ok(b, t, R.batch(R.recs(1)), 0, part=1)
        still(a)
        produce_ok(b, t, R.batch(R.recs(1)), 0, part=0)
        woken(a, {0: [0]})
        woken(a, {1: [0]})


@row("wait/reader-leaves")
def wait_leaves():
    t = new_topic()
    for _ in range(10):
        with Conn() as a:
            park(a, [(t, 0, 0)])
            roundtrip()
    with Conn() as b:
        produce_ok(b, t, R.batch(R.recs(1)), 0)
        eq(len(read_all(b, t)), 1, "records")


@row("wait/topic-deleted")
def wait_deleted():
    t = new_topic()
    with Conn() as a, Conn() as b:
        park(a, [(t, 0, 0)], max_wait=3000)
        roundtrip()
        r = b.call("DeleteTopics", ver("DeleteTopics", 5),
                   {"topic_names": [t.name], "timeout_ms": 30000})
        eq(r["responses"][0]["error_code"], 0, "DeleteTopics")
        p, = fetched(a.recv())
        isin(p["error_code"], (0, UNKNOWN_TOPIC, 6, UNKNOWN_ID), "error")
        eq(size_of(p), 0, "bytes")
        roundtrip(a)


@row("wait/burst")
def wait_burst():
    """A reader that follows a writer sees each record once, in order."""
    t = new_topic()
    with Conn() as a, Conn() as b:
        for i in range(100):
            b.send("Produce", ver("Produce", 9), produce_body(
                [(t, 0, R.batch(R.recs(1, ts=TS, tag=b"%03d" % i)))]))
        off = 0
        seen = []
        while off < 100:
            p = fetch(a, t, off, max_wait=LONG)
            eq(p["error_code"], 0, "error")
            got = [r for r in R.all_records(p["records"])
                   if r.offset >= off]
            ok(got, "woken for nothing at %d" % off)
            seen += [r.value[:3] for r in got]
            off = got[-1].offset + 1
        eq(seen, [b"%03d" % i for i in range(100)], "values")
        for i in range(100):
            eq(produced(b.recv())[0]["base_offset"], i, "base offset")


# ------------------------------------- epochs, isolation, sessions, the rest

@rows("epoch/%s/v%d", [(k, v) for k in ("right", "none", "newer", "older")
                       for v in (9, 11, 12, 13, 18)])
def epochs(kind, v):
    need("Fetch", v)
    t = shared()
    with Conn() as c:
        cur = leader_epoch(c, t)
        if kind == "older" and cur == 0:
            raise Skip("the epoch is 0: there is none older")
        n, want = {"right": (cur, 0), "none": (-1, 0),
                   "newer": (cur + 1, UNKNOWN_EPOCH),
                   "older": (cur - 1, FENCED_EPOCH)}[kind]
        p = fetch(c, t, 0, version=v, epoch=n, max_wait=LONG)
        eq(p["error_code"], want, "error")
        eq(bool(p["records"]), want == 0, "has records")


@rows("epoch/far/%d", [0x7fffffff, 1000])
def epoch_far(n):
    t = shared()
    with Conn() as c:
        eq(fetch(c, t, 0, epoch=n)["error_code"], UNKNOWN_EPOCH, "error")
        eq(list_offset(c, t, -1, epoch=n)["error_code"], UNKNOWN_EPOCH,
           "error of ListOffsets")


@rows("last-epoch/right/v%d", [12, 13, 15, 18])
def last_epoch(v):
    need("Fetch", v)
    t = shared()
    with Conn() as c:
        cur = leader_epoch(c, t)
        p = fetch(c, t, 3, version=v, last_epoch=cur, epoch=cur)
        eq(p["error_code"], 0, "error")
        eq(p["diverging_epoch"] or {}, {}, "diverging epoch")
        ok(p["records"], "no records")


@rows("last-epoch/unknown/v%d", [12, 13, 18])
def last_epoch_unknown(v):
    """An epoch that the log never had: no records, and either where the
    logs diverge or that the offset cannot be."""
    need("Fetch", v)
    t = shared()
    with Conn() as c:
        cur = leader_epoch(c, t)
        p = fetch(c, t, 3, version=v, last_epoch=cur + 5)
        eq(size_of(p), 0, "bytes")
        isin(p["error_code"], (0, OFFSET_OUT_OF_RANGE), "error")
        if p["error_code"] == 0:
            ok(p["diverging_epoch"] and
               p["diverging_epoch"]["epoch"] <= cur, "diverging epoch %r" %
               p["diverging_epoch"])


@rows("isolation/%d/v%d", [(i, v) for i in (0, 1)
                           for v in (4, 5, 11, 12, 13, 18)])
def isolation(level, v):
    need("Fetch", v)
    t = shared()
    with Conn() as c:
        p = fetch(c, t, 0, version=v, isolation=level)
        eq(p["error_code"], 0, "error")
        eq(p["last_stable_offset"], 12, "last stable offset")
        if level == 0:
            eq(p["aborted_transactions"], None, "aborted transactions")
        else:
            isin(p["aborted_transactions"], (None, []),
                 "aborted transactions")
        eq(len(R.all_records(p["records"])), 12, "records")


@rows("session/none/%d,%d", [(0, -1), (5, -1), (12345, -1)])
def no_session(sid, epoch):
    """Nothing but a fetch of epoch 0 begins a session."""
    t = shared(2, 2)
    for v in (7, 11, 12, 13, 18):
        if v > ver("Fetch"):
            continue
        with Conn() as c:
            r = c.call("Fetch", v, fetch_body([(t, 0, 0), (t, 1, 6)],
                                              session=(sid, epoch)))
            eq((r["error_code"], r["session_id"]), (0, 0),
               "error and session in v%d" % v)
            eq([p["partition_index"] for p in fetched(r)], [0, 1],
               "partitions")


@rows("session/unknown/%d,%d", [(12345, 1), (1, 7), (-5, 3),
                                (0x7fffffff, 0x7fffffff)])
def unknown_session(sid, epoch):
    """An incremental request of a session that is not there: 70, so that
    the client starts over; it must not be taken for a full one."""
    t = shared(2, 2)
    with Conn() as c:
        for v in (7, 11, 12):
            r = c.call("Fetch", v, fetch_body([(t, 0, 0)],
                                              session=(sid, epoch)))
            eq(r["error_code"], 70, "error in v%d" % v)
            eq(r["responses"], [], "partitions")
            eq(r["session_id"], 0, "session id")
        eq(fetch(c, t, 0)["error_code"], 0, "a full fetch afterwards")


@row("session/forgotten-topics")
def forgotten():
    t = shared(2, 2)
    with Conn() as c:
        for v in (7, 12, 13):
            if v > ver("Fetch"):
                continue
            body = fetch_body([(t, 0, 0)])
            body["forgotten_topics_data"] = [
                {"topic": t.name, "topic_id": t.id, "partitions": [1]}]
            r = c.call("Fetch", v, body)
            eq(r["error_code"], 0, "error")
            ok(fetched(r)[0]["records"], "no records")


@row("rack-id")
def rack():
    t = shared()
    with Conn() as c:
        for v in (11, 12, 13, 18):
            if v > ver("Fetch"):
                continue
            body = fetch_body([(t, 0, 0)])
            body["rack_id"] = "some-rack"
            p, = fetched(c.call("Fetch", v, body))
            eq((p["error_code"], p["preferred_read_replica"]), (0, -1),
               "error and replica in v%d" % v)


@row("recreated-topic/old-id")
def recreated():
    """An id is never used again; the name leads to the new topic."""
    need("Fetch", 13)
    t = filled()
    with Conn() as c:
        r = c.call("DeleteTopics", ver("DeleteTopics", 5),
                   {"topic_names": [t.name], "timeout_ms": 30000})
        eq(r["responses"][0]["error_code"], 0, "DeleteTopics")
        until(lambda: fetch(c, t, version=13)["error_code"] == UNKNOWN_ID)
        eq(fetch(c, t, version=13)["error_code"], UNKNOWN_ID, "error")
        r = until(lambda: kafka.create(c, t.name),
                  lambda r: r["error_code"] == 0)
        n = Topic(t.name, r["topic_id"], 1)
        ok(n.id != t.id, "the same id again")
        if KAFKA:
            kafka.wait_ready(c, n)
        p = fetch(c, n, version=13)
        eq((p["error_code"], p["high_watermark"], size_of(p)), (0, 0, 0),
           "error, end, bytes")
        eq(fetch(c, t, version=13)["error_code"], UNKNOWN_ID, "error")
        eq(fetch(c, n, version=11)["high_watermark"], 0, "end by name")


# ------------------------------------------------------------- ListOffsets

LV = list(range(1, 12))


def listed(c, t, ts, want, v=5, epoch=True, **kw):
    """want: (offset, timestamp)"""
    r = list_offset(c, t, ts, version=v, **kw)
    eq(r["error_code"], 0, "error for %d" % ts)
    eq((r["offset"], r["timestamp"]), want, "offset and timestamp for %d" %
       ts)
    if v >= 4 and want[0] >= 0 and epoch and ver("ListOffsets", v) >= 4:
        cur = leader_epoch(c, t)
        isin(r["leader_epoch"], (cur, -1) if ts == -2 else (cur, ),
             "leader epoch for %d" % ts)
    return r


@rows("list/ends/v%d", LV)
def list_ends(v):
    need("ListOffsets", v)
    t, e = shared(), new_topic()
    with Conn() as c:
        listed(c, t, -1, (12, -1), v)
        listed(c, t, -2, (0, -1), v)
        listed(c, e, -1, (0, -1), v)
        listed(c, e, -2, (0, -1), v)
        if v >= 2:
            listed(c, t, -1, (12, -1), v, isolation=1)
            listed(c, t, -2, (0, -1), v, isolation=1)


@rows("list/max-timestamp/v%d", [7, 8, 9, 10, 11])
def list_max(v):
    need("ListOffsets", v)
    t, e = new_topic(), new_topic()
    with Conn() as c:
        listed(c, e, -3, (-1, -1), v)
        a = [R.Rec(b"", b"", TS + x) for x in (5, 90, 7, 90, 3)]
        b = [R.Rec(b"", b"", TS + x) for x in (1, 2, 90)]
        for codec, recs, base in ((0, a, 0), (1, b, 5), (0, b, 8)):
            produce_ok(c, t, R.batch(recs, codec), base)
        listed(c, t, -3, (1, TS + 90), v)
        produce_ok(c, t, R.batch([R.Rec(b"", b"", TS + x)
                                  for x in (80, 91, 91, 2)], 1), 11)
        listed(c, t, -3, (12, TS + 91), v)
        produce_ok(c, t, R.batch([R.Rec(b"", b"", TS)]), 15)
        listed(c, t, -3, (12, TS + 91), v)


@rows("list/earliest-local/v%d", [8, 9, 10, 11])
def list_local(v):
    need("ListOffsets", v)
    t, e = shared(), new_topic()
    with Conn() as c:
        listed(c, t, -4, (0, -1), v, epoch=False)
        listed(c, e, -4, (0, -1), v, epoch=False)


@rows("list/latest-tiered/v%d", [9, 10, 11])
def list_tiered(v):
    need("ListOffsets", v)
    t = shared()
    with Conn() as c:
        listed(c, t, -5, (-1, -1), v)


@rows("list/earliest-pending-upload/v%d", [11])
def list_pending(v):
    need("ListOffsets", v)
    t = shared()
    with Conn() as c:
        r = list_offset(c, t, -6, version=v)
        isin((r["error_code"], r["offset"], r["timestamp"]),
             ((0, -1, -1), (0, 0, -1)), "answer")


@rows("list/special-too-old/%d-in-v%d", [(-3, v) for v in range(1, 7)] +
      [(-4, v) for v in range(1, 8)] + [(-5, v) for v in range(1, 9)] +
      [(-6, v) for v in range(1, 11)])
def list_too_old(ts, v):
    need("ListOffsets", v)
    t = shared()
    with Conn() as c:
        r = list_offset(c, t, ts, version=v)
        eq(r["error_code"], UNSUPPORTED_VERSION, "error")
        eq((r["offset"], r["timestamp"]), (-1, -1), "offset and timestamp")


@rows("list/negative-nonsense/%d", [-7, -100, -(1 << 63)])
def list_negative(ts):
    """No such special: an error, or nothing found."""
    t = shared()
    with Conn() as c:
        r = list_offset(c, t, ts, version=11)
        isin(r["error_code"], (0, UNSUPPORTED_VERSION, INVALID_REQUEST),
             "error")


@rows("list/time/exact/%d-%s", list(enumerate(R.CODEC_NAMES)))
def list_time(codec, name):
    """Every record of every batch, the gaps between and both ends."""
    t = new_topic()
    times = [TS + 10 * i for i in range(30)]
    with Conn() as c:
        for i in range(0, 30, 10):
            produce_ok(c, t, R.batch([R.Rec(b"k", b"v" * 50, x)
                                      for x in times[i:i + 10]], codec), i)
        for v in (1, 5, 6, 11):
            if v > ver("ListOffsets"):
                continue
            listed(c, t, 0, (0, TS), v)
            listed(c, t, TS - 1, (0, TS), v)
            for i in (0, 1, 5, 9, 10, 11, 19, 20, 28, 29):
                listed(c, t, times[i], (i, times[i]), v)
                listed(c, t, times[i] - 9, (i, times[i]), v)
            listed(c, t, times[29] + 1, (-1, -1), v)
            listed(c, t, (1 << 63) - 1, (-1, -1), v)


@row("list/time/out-of-order")
def list_disorder():
    """The first record, in log order, that is as late as asked for."""
    t = new_topic()
    batches = [[50, 10, 40], [5, 5, 5], [60, 20, 60], [30, 70, 1]]
    flat = []
    with Conn() as c:
        for i, b in enumerate(batches):
            produce_ok(c, t, R.batch([R.Rec(b"", b"", TS + x) for x in b],
                                     i % 2), 3 * i)
            flat += b
        for x in range(0, 75):
            want = next(((i, TS + f) for i, f in enumerate(flat)
                         if f >= x), (-1, -1))
            listed(c, t, TS + x, want)


@row("list/time/random")
def list_random():
    """A model against 40 batches of wild times."""
    import random
    rnd = random.Random(4)
    t = new_topic()
    flat = []
    with Conn() as c:
        for i in range(40):
            b = [rnd.randrange(1000) for _ in range(rnd.randrange(1, 9))]
            produce_ok(c, t, R.batch([R.Rec(b"k", b"x" * 200, TS + x)
                                      for x in b], rnd.randrange(4)),
                       len(flat))
            flat += b
        for _ in range(150):
            x = rnd.randrange(-5, 1005)
            want = next(((i, TS + f) for i, f in enumerate(flat)
                         if f >= x), (-1, -1))
            listed(c, t, TS + x, want, epoch=False)


@row("list/time/across-segments")
def list_segments():
    t = new_topic(1, {"segment.bytes": "1048576"}, config_may_fail=True)
    times = [0, 5, 2, 9, 9, 1, 12, 11, 30, 3]
    with Conn() as c:
        for i, x in enumerate(times):
            produce_ok(c, t, R.batch([R.Rec(b"k", bytes(400000), TS + x)]),
                       i)
        for x in range(32):
            want = next(((i, TS + f) for i, f in enumerate(times)
                         if f >= x), (-1, -1))
            listed(c, t, TS + x, want)
        if ver("ListOffsets") >= 7:
            listed(c, t, -3, (8, TS + 30), 7)


@row("list/time/without-timestamps")
def list_none():
    """Records of time -1 are found by no time, and do not hide others."""
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(R.recs(3, ts=-1, step=0)), 0)
        listed(c, t, TS, (-1, -1))
        produce_ok(c, t, R.batch(R.recs(3, ts=TS)), 3)
        listed(c, t, TS, (3, TS))
        listed(c, t, 0, (3, TS))


@row("list/time/log-append")
def list_append():
    t = new_topic(1, {"message.timestamp.type": "LogAppendTime"},
                  config_may_fail=True)
    with Conn() as c:
        p = produce_ok(c, t, R.batch(R.recs(3, ts=5)), 0)
        when = p["log_append_time_ms"]
        listed(c, t, when, (0, when))
        listed(c, t, 5, (0, when))
        listed(c, t, when + 1, (-1, -1))
        if ver("ListOffsets") >= 7:
            isin(list_offset(c, t, -3, version=7)["offset"], (0, 2),
                 "offset of the greatest time")


@rows("list/unknown/%s", ["topic", "partition", "partition-minus-1"])
def list_unknown(kind):
    t, part = shared(), 0
    if kind == "topic":
        t = Topic(kafka.fresh_name("none"), NO_ID, 1)
    else:
        part = 9 if kind == "partition" else -1
    with Conn() as c:
        for v in range(max(1, E.ranges[2][0]), ver("ListOffsets") + 1):
            r = list_offset(c, t, -1, part, v)
            eq((r["error_code"], r["offset"], r["timestamp"]),
               (UNKNOWN_TOPIC, -1, -1), "answer of v%d" % v)
            if v >= 4:
                eq(r["leader_epoch"], -1, "leader epoch")


@rows("list/epoch/%s", ["right", "newer", "older"])
def list_epoch(kind):
    t = shared()
    with Conn() as c:
        cur = leader_epoch(c, t)
        if kind == "older" and cur == 0:
            raise Skip("the epoch is 0: there is none older")
        n, want = {"right": (cur, 0), "newer": (cur + 1, UNKNOWN_EPOCH),
                   "older": (cur - 1, FENCED_EPOCH)}[kind]
        for v in (4, 5, 6, 11):
            if v > ver("ListOffsets"):
                continue
            for ts in (-1, -2, TS):
                eq(list_offset(c, t, ts, version=v, epoch=n)["error_code"],
                   want, "error in v%d for %d" % (v, ts))


@row("list/duplicate-partition")
def list_twice():
    t = shared(2, 2)
    body = {"replica_id": -1, "isolation_level": 0, "timeout_ms": 30000,
            "topics": [{"name": t.name, "partitions": [
                {"partition_index": 0, "timestamp": -1},
                {"partition_index": 0, "timestamp": -2},
                {"partition_index": 1, "timestamp": -1}]}]}
    with Conn() as c:
        for v in (1, 5, 6, 7):
            r = c.call("ListOffsets", v, body)
            ps = r["topics"][0]["partitions"]
            eq({p["error_code"] for p in ps if p["partition_index"] == 0},
               {INVALID_REQUEST}, "errors of the one asked for twice")
            eq([(p["error_code"], p["offset"]) for p in ps
                if p["partition_index"] == 1], [(0, 6)], "the other")


@row("list/empty")
def list_empty():
    with Conn() as c:
        for v in range(E.ranges[2][0], ver("ListOffsets") + 1):
            r = c.call("ListOffsets", v, {"replica_id": -1})
            eq(r["topics"], [], "topics of v%d" % v)


@row("list/v0")
def list_v0():
    """Segment bases, newest first, after the end; as many as asked for."""
    need("ListOffsets", 0)
    t, e = shared(), new_topic()

    def ask(c, t, ts, n, part=0):
        r = c.call("ListOffsets", 0, {"replica_id": -1, "topics": [
            {"name": t.name, "partitions": [
                {"partition_index": part, "timestamp": ts,
                 "max_num_offsets": n}]}]})
        p, = r["topics"][0]["partitions"]
        return p["error_code"], p["old_style_offsets"]

    with Conn() as c:
        eq(ask(c, t, -1, 1), (0, [12]), "latest, 1")
        eq(ask(c, t, -1, 2), (0, [12, 0]), "latest, 2")
        eq(ask(c, t, -1, 100), (0, [12, 0]), "latest, 100")
        eq(ask(c, t, -2, 1), (0, [0]), "earliest, 1")
        eq(ask(c, t, -2, 100), (0, [0]), "earliest, 100")
        eq(ask(c, e, -1, 5), (0, [0]), "latest of an empty one")
        eq(ask(c, e, -2, 5), (0, [0]), "earliest of an empty one")
        eq(ask(c, t, -1, 1, 9)[0], UNKNOWN_TOPIC, "unknown partition")


@row("list/v0/segments")
def list_v0_segments():
    need("ListOffsets", 0)
    t = new_topic(1, {"segment.bytes": "1048576"}, config_may_fail=True)
    with Conn() as c:
        for i in range(8):
            produce_ok(c, t, R.batch([R.Rec(b"k", bytes(400000), TS)]), i)
        r = c.call("ListOffsets", 0, {"replica_id": -1, "topics": [
            {"name": t.name, "partitions": [
                {"partition_index": 0, "timestamp": -1,
                 "max_num_offsets": 10}]}]})
        p, = r["topics"][0]["partitions"]
        eq(p["old_style_offsets"], [8, 6, 4, 2, 0], "offsets")


@row("list/many-partitions")
def list_many():
    t = shared(5, 2, 1, 10000)
    with Conn() as c:
        r = c.call("ListOffsets", ver("ListOffsets", 7), {
            "replica_id": -1, "topics": [{"name": t.name, "partitions": [
                {"partition_index": i, "timestamp": x} for i, x in
                enumerate((-1, -2, TS, TS + 1, TS + 9))]}]})
        eq(sorted((p["partition_index"], p["offset"])
                  for p in r["topics"][0]["partitions"]),
           [(0, 2), (1, 0), (2, 0), (3, 1), (4, -1)], "offsets")


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
