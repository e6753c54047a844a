# SPDX-License-Identifier: Apache-2.0
"""
Topic configs that change what happens to records: compression.type and its
levels, each against every codec that a client may send; where segments end
and when they go; timestamps; and what is refused.
"""
import random
import struct
import time

import kafka
import records as R
from kafka import (BAD_CONFIG, Conn, KAFKA, Topic, create, end_offset, eq, fetch,
                   fresh_name, isin, list_offset, need, new_pid, new_topic,
                   ok, produce, produce_body, produce_ok, produced, read_all,
                   same_records, row, rows, ver)

KAFKA_DIFFERS = {
    "change/topic-of-the-same-name": ("all?", "a KRaft broker acts a little "
                                      "later"),
    "down-conversion/*": ("44", "4.0 dropped it"),
}

TYPES = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
TOO_LARGE, NOT_LEADER, LIST_TOO_LARGE, OUT_OF_ORDER = 10, 6, 18, 45
TS = int(time.time() * 1000) - 100000
RND = random.Random(1)


def words(n, seed=0):
    rnd = random.Random(seed)
    out = b""
    while len(out) < n:
        out += b"%d %s " % (rnd.randrange(1000), b"abcdefgh" * 3)
    return out[:n]


def many(n, size, seed=0):
    rs = []
    for i in range(n):
        rs.append(R.Rec(b"key-%d" % i, words(size, seed + i), TS + 7 * i,
                        [("h%d" % i, b"v" * (i % 5)), ("null", None)]
                        if i % 3 == 0 else []))
    if n > 2:
        rs[1].value = None
        rs[2].key = None
    return rs


def at(rs, first):
    for i, r in enumerate(rs):
        r.offset = first + i
    return rs


def stored(c, t, offset=0, n=1, part=0):
    """The batches from an offset on, as they lie there."""
    out = []
    while len(out) < n:
        p = fetch(c, t, offset, part, version=ver("Fetch"),
                  part_max=64 << 20)
        eq(p["error_code"], 0, "fetch at %d" % offset)
        data, pos = p["records"] or b"", 0
        ok(len(data) > 0, "nothing at offset %d" % offset)
        while pos < len(data):
            b = R.read_batch(data, pos)
            pos += len(b.raw)
            out.append(b)
        offset = out[-1].base_offset + out[-1].last_delta + 1
    return out


def alter(c, t, name, value):
    """IncrementalAlterConfigs: one key of a topic, None to delete it."""
    need("IncrementalAlterConfigs", 0)
    r = c.call("IncrementalAlterConfigs", ver("IncrementalAlterConfigs", 1), {
        "resources": [{"resource_type": 2, "resource_name": t.name,
                       "configs": [{"name": name, "config_operation":
                                    1 if value is None else 0,
                                    "value": value}]}],
        "validate_only": False})
    eq(r["responses"][0]["error_code"], 0, "alter (%s)" %
       r["responses"][0].get("error_message"))


# ------------------------------------------------------------- compression

PAIRS = [(R.CODEC_NAMES[c], k) for c in range(5) for k in sorted(TYPES)]


@rows("codec/%s-to-%s", PAIRS)
def codec_pair(sent, kind):
    """All but codec, length and CRC stays; in its own codec every byte."""
    t = new_topic(1, {"compression.type": kind})
    codec, want = R.CODEC_NAMES.index(sent), TYPES[kind]
    with Conn() as c:
        pid, epoch = new_pid(c)
        at_offset, seq = 0, 0
        for n, size in ((1, 1), (7, 30), (50, 2000)):
            rs = many(n, size)
            b = R.batch(rs, codec, pid=pid, epoch=epoch, seq=seq)
            # The base timestamp may be any: deltas count from it.
            if n == 7:
                b = R.batch(rs, codec, pid=pid, epoch=epoch, seq=seq,
                            base_ts=TS - 5000)
            produce_ok(c, t, b, at_offset)
            # The same again is known by its sequence.
            produce_ok(c, t, b, at_offset)
            got = stored(c, t, at_offset)[0]
            was = R.read_batch(b, 0)
            eq(got.codec, want, "codec")
            if codec == want:
                eq(got.raw[21:], b[21:], "bytes under the CRC")
            for f in ("last_delta", "base_ts", "max_ts", "pid", "epoch",
                      "seq", "count"):
                if f == "base_ts" and KAFKA and codec != want:
                    continue    # builds them anew: of the first record
                eq(getattr(got, f), getattr(was, f), f)
            eq(got.attrs & ~7, was.attrs & ~7, "other attributes")
            same_records(got.records, at(rs, at_offset), "records")
            at_offset += n
            seq += n
        same_records(read_all(c, t),
                     at(many(1, 1) + many(7, 30) + many(50, 2000), 0), "all")
        eq(end_offset(c, t), at_offset, "end")


@rows("codec/old-v%d-%s-to-%s", [(v, R.CODEC_NAMES[k], w) for v in (0, 1, 2)
                                 for k in (0, 1, 2, 3) for w in sorted(TYPES)])
def codec_old(v, sent, kind):
    """Formats 0 and 1 become batches of the topic's codec."""
    need("Produce", v)
    magic = 1 if v >= 2 else 0
    t = new_topic(1, {"compression.type": kind})
    rs = R.recs(30, 300, ts=TS)
    with Conn() as c:
        produce_ok(c, t, R.message_set(rs, magic, R.CODEC_NAMES.index(sent)),
                   0, version=v)
        got = stored(c, t)[0]
        eq(got.codec, TYPES[kind], "codec")
        same_records(got.records, at(rs, 0), "records", magic)


@rows("codec/log-append-time-%s", sorted(TYPES))
def codec_log_time(kind):
    t = new_topic(1, {"compression.type": kind,
                      "message.timestamp.type": "LogAppendTime"})
    rs = many(20, 500)
    with Conn() as c:
        r = produce_ok(c, t, R.batch(rs, 2), 0)
        got = stored(c, t)[0]
        eq(got.codec, TYPES[kind], "codec")
        ok(got.attrs & R.LOG_TIME, "the attribute is not set")
        eq(got.max_ts, r["log_append_time_ms"], "time")
        same_records(got.records, at(rs, 0), "records", ts=False)


@rows("codec/of-topic-by-id-%s", sorted(TYPES))
def codec_by_id(kind):
    need("Produce", 13)
    t = new_topic(1, {"compression.type": kind})
    with Conn() as c:
        produce_ok(c, t, R.batch(many(5, 100)), 0, version=13)
        eq(stored(c, t)[0].codec, TYPES[kind], "codec")


LEVELS = ([("gzip", n) for n in (-1, 1, 2, 5, 6, 9)] +
          [("lz4", n) for n in (1, 2, 3, 8, 9, 10, 12, 17)] +
          [("zstd", n) for n in (-131072, -5, -1, 0, 1, 3, 12, 19, 22)])


@rows("level/%s-%d", LEVELS)
def level_good(kind, n):
    t = new_topic(1, {"compression.type": kind,
                      "compression.%s.level" % kind: str(n)})
    rs = many(40, 3000)
    with Conn() as c:
        produce_ok(c, t, R.batch(rs, 0), 0)
        got = stored(c, t)[0]
        eq(got.codec, TYPES[kind], "codec")
        same_records(got.records, at(rs, 0), "records")


@row("level/matters")
def level_matters():
    """More effort, fewer bytes: the level reaches the library."""
    rs = many(200, 1000)
    size = {}
    with Conn() as c:
        for kind, n in (("gzip", 1), ("gzip", 9), ("zstd", -100),
                        ("zstd", 19), ("lz4", 9), ("lz4", 12)):
            t = new_topic(1, {"compression.type": kind,
                              "compression.%s.level" % kind: str(n)})
            produce_ok(c, t, R.batch(rs, 0), 0)
            size[kind, n] = len(stored(c, t)[0].raw)
    ok(size["gzip", 9] < size["gzip", 1], "gzip %r" % size)
    ok(size["zstd", 19] < size["zstd", -100], "zstd %r" % size)
    ok(size["lz4", 12] < size["lz4", 9], "lz4 %r" % size)


@rows("level/bad/%s-%s", [("gzip", "0"), ("gzip", "10"), ("gzip", "-2"),
                          ("lz4", "0"), ("lz4", "18"), ("lz4", "-1"),
                          ("zstd", "23"), ("zstd", "-131073"),
                          ("gzip", "fast"), ("zstd", "")])
def level_bad(kind, n):
    with Conn() as c:
        r = create(c, fresh_name(), 1, {"compression.%s.level" % kind: n})
        eq(r["error_code"], BAD_CONFIG, "error")


@row("size/before-recoding")
def size_before():
    """What came may not be larger than max.message.bytes either."""
    t = new_topic(1, {"compression.type": "gzip",
                      "max.message.bytes": "1000"})
    with Conn() as c:
        p = produce(c, t, R.batch([R.Rec(b"k", b"a" * 2000)], 0))
        eq(p["error_code"], TOO_LARGE, "error")
        produce_ok(c, t, R.batch([R.Rec(b"k", b"a" * 900)], 0), 0)


@row("size/after-recoding")
def size_after():
    t = new_topic(1, {"compression.type": "uncompressed",
                      "max.message.bytes": "1000"})
    with Conn() as c:
        b = R.batch([R.Rec(b"k", b"a" * 2000)], 1)
        ok(len(b) < 1000, "the batch is small")
        eq(produce(c, t, b)["error_code"], TOO_LARGE, "error")
        produce_ok(c, t, R.batch([R.Rec(b"k", b"a" * 900)], 1), 0)


@rows("size/larger-than-its-frame-%s", ["gzip", "zstd", "snappy", "lz4"])
def size_grows(kind):
    """Two megabytes of one letter, which become as many bytes."""
    t = new_topic(1, {"compression.type": "uncompressed",
                      "max.message.bytes": "5000000"})
    rs = [R.Rec(b"k%d" % i, b"a" * 100000, TS) for i in range(20)]
    with Conn() as c:
        produce_ok(c, t, R.batch(rs, TYPES[kind]), 0)
        got = stored(c, t)[0]
        eq(got.codec, 0, "codec")
        same_records(got.records, at(rs, 0), "records")


@row("bad/in-one-partition-only")
def bad_one():
    """One batch that does not decompress leaves its neighbours alone."""
    t = new_topic(3, {"compression.type": "zstd"})
    good = R.batch(many(30, 1000), 1)
    bad = R.batch(many(30, 1000), 1, packed=b"\x1f\x8b nonsense")
    with Conn() as c:
        got = produced(c.call("Produce", 9, produce_body(
            [(t, 0, good), (t, 1, bad), (t, 2, good)])))
        got = {p["index"]: p["error_code"] for p in got}
        eq((got[0], got[2]), (0, 0), "errors of the others")
        isin(got[1], (-1,) if KAFKA else (2, 87), "error of the bad one")
        eq([end_offset(c, t, i) for i in range(3)], [30, 0, 30], "ends")


# ------------------------------------------------------------------- order

@rows("order/pipelined-%s", sorted(TYPES))
def order(kind):
    """Small ones must not overtake large ones of the same connection."""
    t = new_topic(1, {"compression.type": kind})
    plain = new_topic(1)
    sent, offset, seq = [], 0, 0
    with Conn() as c:
        pid, epoch = new_pid(c)
        for i in range(40):
            rs = many(60 if i % 3 else 1, 2500 if i % 3 else 5, i)
            sent.append((offset, len(rs)))
            c.send("Produce", 9, produce_body([
                (t, 0, R.batch(rs, i % 5, pid=pid, epoch=epoch, seq=seq)),
                (plain, 0, R.batch(rs[:1]))], acks=1 if i % 7 else -1))
            offset += len(rs)
            seq += len(rs)
        for i, (first, _) in enumerate(sent):
            got = {x["name"]: x["partition_responses"][0]
                   for x in c.recv()["responses"]}
            eq([got[x.name]["error_code"] for x in (t, plain)], [0, 0],
               "errors of %d" % i)
            eq([got[x.name]["base_offset"] for x in (t, plain)], [first, i],
               "offsets")
        bs = stored(c, t, 0, len(sent))
        eq([(b.base_offset, b.count) for b in bs], sent, "batches")
        eq({b.codec for b in bs}, {TYPES[kind]}, "codecs")


@row("order/acks-0-and-gone")
def order_acks0():
    """Whoever asks for no answer need not wait for one."""
    t = new_topic(1, {"compression.type": "zstd"})
    rs = [many(60, 2500, i) for i in range(10)]
    with Conn() as c:
        for r in rs:
            c.send_frame(c.build("Produce", 9, produce_body(
                [(t, 0, R.batch(r, 0))], acks=0))[0])
    with Conn() as c:
        end = time.monotonic() + 30
        while end_offset(c, t) < 600 and time.monotonic() < end:
            time.sleep(0.02)
        same_records(read_all(c, t), at(sum(rs, []), 0), "records")


@row("order/gone-while-recoding")
def gone():
    """A client that resets its connection takes nobody along."""
    t = new_topic(1, {"compression.type": "zstd",
                      "compression.zstd.level": "19"})
    data = R.batch(many(200, 4000), 0)
    for i in range(20):
        with Conn() as c:
            c.send("Produce", 9, produce_body([(t, 0, data)]))
            c.sock.setsockopt(kafka.socket.SOL_SOCKET,
                              kafka.socket.SO_LINGER,
                              struct.pack("ii", 1, 0))
    with Conn() as c:
        produce_ok(c, t, data)


@row("order/many-connections")
def many_connections():
    t = new_topic(4, {"compression.type": "lz4",
                      "compression.lz4.level": "12"})
    conns = [Conn() for _ in range(20)]
    for i, c in enumerate(conns):
        for k in range(5):
            c.send("Produce", 9, produce_body(
                [(t, i % 4, R.batch(many(20, 2000, 100 * i + k), i % 5))]))
    for c in conns:
        for k in range(5):
            eq(produced(c.recv())[0]["error_code"], 0, "error")
        c.close()
    with Conn() as c:
        eq([end_offset(c, t, p) for p in range(4)], [500] * 4, "ends")
        eq({b.codec for p in range(4) for b in stored(c, t, 0, 25, p)}, {3},
           "codecs")


# ----------------------------------------------------------------- changes

@row("change/topic-of-the-same-name")
def again():
    """A topic that is made anew has its own codec, at once."""
    name = fresh_name()
    with Conn() as a, Conn() as b:
        for kind in ("gzip", "zstd", None, "lz4", "uncompressed", None):
            r = create(a, name, 1, {"compression.type": kind} if kind else {})
            eq(r["error_code"], 0, "create")
            t = Topic(name, r["topic_id"], 1)
            for c in (a, b):
                produce_ok(c, t, R.batch(many(9, 99), 2))
            eq([x.codec for x in stored(b, t, 0, 2)],
               [TYPES[kind] if kind else 2] * 2, "codecs")
            r = a.call("DeleteTopics", ver("DeleteTopics", 5),
                       {"topic_names": [name], "timeout_ms": 30000})
            eq(r["responses"][0]["error_code"], 0, "delete")


@row("change/after-the-answer")
def altered():
    """Nothing that is sent after the answer is stored in the old codec."""
    need("IncrementalAlterConfigs", 0)
    t = new_topic(1)
    offset = 0
    with Conn() as a, Conn() as b:
        for kind in ("gzip", "zstd", "producer", "snappy", "uncompressed",
                     "lz4", None):
            alter(a, t, "compression.type", kind)
            want = TYPES.get(kind, 4)
            for c in (a, b):
                produce_ok(c, t, R.batch(many(60, 2000), 4), offset)
                eq(stored(c, t, offset)[0].codec, want, "codec of %s" % kind)
                offset += 60


@row("change/while-idempotent-producers-write")
def altered_live():
    """Five in flight, the codec changing: each record once, in order."""
    need("IncrementalAlterConfigs", 0)
    t = new_topic(1)
    kinds = sorted(TYPES) + ["producer"]
    with Conn() as a, Conn() as c:
        pid, epoch = new_pid(c)
        todo = [many(30 if i % 2 else 2, 1000, i) for i in range(80)]
        seqs, n = [], 0
        for rs in todo:
            seqs.append(n)
            n += len(rs)
        done, flight, sent, offset = 0, [], 0, 0
        while done < len(todo):
            while sent < len(todo) and len(flight) < 5:
                c.send("Produce", 9, produce_body([(t, 0, R.batch(
                    todo[sent], sent % 5, pid=pid, epoch=epoch,
                    seq=seqs[sent]))]))
                flight.append(sent)
                sent += 1
            if RND.random() < 0.3:
                alter(a, t, "compression.type", RND.choice(kinds))
            i = flight.pop(0)
            p = produced(c.recv())[0]
            if p["error_code"] == 0:
                if i == done:
                    eq(p["base_offset"], offset, "offset of %d" % i)
                    offset += len(todo[i])
                    done += 1
                continue
            # Sent again, as any producer does: it, and all behind it.
            isin(p["error_code"], (NOT_LEADER, OUT_OF_ORDER), "error")
            while flight:
                c.recv()
                flight.pop(0)
            sent = done
        same_records(read_all(c, t), at(sum(todo, []), 0), "records")


# ------------------------------------------------------------- segments

def bases(c, t, part=0):
    """Base offsets of the segments and the end, as ListOffsets v0 has them."""
    need("ListOffsets", 0)
    r = c.call("ListOffsets", 0, {"replica_id": -1, "topics": [{
        "name": t.name, "partitions": [{
            "partition_index": part, "timestamp": -1,
            "max_num_offsets": 1000}]}]})
    p = r["topics"][0]["partitions"][0]
    eq(p["error_code"], 0, "ListOffsets v0")
    return sorted(p["old_style_offsets"])


def put(c, t, ts, size=10, n=1, **kw):
    return produce_ok(c, t, R.batch(R.recs(n, size, ts=ts, step=0)), **kw)


@row("segment/ms")
def segment_ms():
    """By the records' times; only what comes later begins a new one."""
    t = new_topic(1, {"segment.ms": "1000"})
    with Conn() as c:
        for d in (0, 500, -5000, 1000, 1001, 1500, 2001, 2002):
            put(c, t, TS + d)
        eq(bases(c, t), [0, 4, 7, 8], "segments")
        eq(len(read_all(c, t)), 8, "records")


@row("segment/ms-and-jitter")
def segment_jitter():
    t = new_topic(1, {"segment.ms": "1000000", "segment.jitter.ms": "999999"})
    with Conn() as c:
        for i in range(100):
            put(c, t, TS - 200000000 + i * 1000000)
            put(c, t, TS - 200000000 + i * 1000000 + 500000)
        n = len(bases(c, t)) - 1
        ok(100 <= n < 200, "%d segments: no lot was drawn" % n)
        eq(len(read_all(c, t)), 200, "records")


@row("segment/index-full")
def segment_index():
    """Three entries, one for each 1000 bytes."""
    t = new_topic(1, {"segment.index.bytes": "24",
                      "index.interval.bytes": "1000"})
    with Conn() as c:
        for i in range(12):
            put(c, t, TS, 1000)
        got = bases(c, t)
        ok(len(got) in (4, 5), "segments %r" % got)
        eq(len(read_all(c, t)), 12, "records")


@rows("segment/index-interval-%s", ["0", "1", "100", "1000000", "2147483647"])
def index_interval(n):
    t = new_topic(1, {"index.interval.bytes": n})
    with Conn() as c:
        for i in range(40):
            put(c, t, TS + i, 300, 5)
        for o in (0, 1, 77, 100, 199):
            got = [r.offset for r in read_all(c, t, offset=o)]
            eq(got, list(range(o, 200)), "offsets from %d" % o)
        r = list_offset(c, t, TS + 30)
        eq(r["offset"], 150, "offset by time")


@row("segment/bytes")
def segment_bytes():
    t = new_topic(1, {"segment.bytes": "1048576",
                      "max.message.bytes": "2000000"})
    with Conn() as c:
        for i in range(5):
            put(c, t, TS, 600000)
        eq(bases(c, t), [0, 1, 2, 3, 4, 5], "segments")
        p = produce(c, t, R.batch(R.recs(1, 1048576)))
        eq(p["error_code"], LIST_TOO_LARGE, "error")


# ------------------------------------------------------------ timestamps

@rows("timestamp/before-%s", ["ok", "too-old", "any"])
def time_before(kind):
    t = new_topic(1, {} if kind == "any" else
                  {"message.timestamp.before.max.ms": "60000"})
    now = int(time.time() * 1000)
    old = {"ok": now - 30000, "too-old": now - 90000, "any": 0}[kind]
    with Conn() as c:
        p = produce(c, t, R.batch([R.Rec(b"k", b"v", now),
                                   R.Rec(b"k", b"v", old)]))
        eq(p["error_code"], 32 if kind == "too-old" else 0, "error")
        if kind == "too-old":
            eq([e["batch_index"] for e in p["record_errors"]], [1], "index")
            eq(end_offset(c, t), 0, "end")


@rows("timestamp/after-%s", ["ok", "too-new", "default", "any"])
def time_after(kind):
    t = new_topic(1, {"ok": {"message.timestamp.after.max.ms": "60000"},
                      "too-new": {"message.timestamp.after.max.ms": "60000"},
                      "any": {"message.timestamp.after.max.ms":
                              "9223372036854775807"},
                      "default": {}}[kind])
    now = int(time.time() * 1000)
    new = now + {"ok": 30000, "too-new": 90000, "default": 2 * 3600000,
                 "any": 1 << 45}[kind]
    bad = kind in ("too-new", "default")
    with Conn() as c:
        p = produce(c, t, R.batch([R.Rec(b"k", b"v", new),
                                   R.Rec(b"k", b"v", now)]))
        eq(p["error_code"], 32 if bad else 0, "error")
        if bad:
            eq([e["batch_index"] for e in p["record_errors"]], [0], "index")


@rows("timestamp/none-%s", ["before", "log-time"])
def time_none(kind):
    """-1 is no time: it is in no range, and so in none's way."""
    t = new_topic(1, {"message.timestamp.before.max.ms": "1000"}
                  if kind == "before" else
                  {"message.timestamp.type": "LogAppendTime"})
    with Conn() as c:
        produce_ok(c, t, R.batch([R.Rec(b"k", b"v", -1)]), 0)
        r = read_all(c, t)[0]
        ok((r.ts == -1) == (kind == "before"), "time %r" % r.ts)


@row("timestamp/log-time-ignores-the-range")
def time_log():
    t = new_topic(1, {"message.timestamp.type": "LogAppendTime",
                      "message.timestamp.before.max.ms": "0",
                      "message.timestamp.after.max.ms": "0"})
    with Conn() as c:
        for ts in (0, 1 << 45):
            put(c, t, ts)
        p = produce(c, t, R.batch([R.Rec(b"k", b"v", TS)],
                                  attrs=R.LOG_TIME))
        eq(p["error_code"], 32, "a client that sets the bit")


# ---------------------------------------------------------------- the rest

def becomes(f, want, what):
    end = time.monotonic() + 60
    while f() != want and time.monotonic() < end:
        time.sleep(0.05)
    eq(f(), want, what)


@rows("min-insync/acks%s", ["-1", "0", "1"])
def min_insync(acks):
    """Never more than the partition has replicas, which is one."""
    t = new_topic(1, {"min.insync.replicas": "2"})
    with Conn() as c:
        if acks == "0":
            c.send_frame(c.build("Produce", 9, produce_body(
                [(t, 0, R.batch(R.recs(1)))], acks=0))[0])
        else:
            produce_ok(c, t, R.batch(R.recs(1)), acks=int(acks))
        becomes(lambda: end_offset(c, t), 1, "end")


@rows("down-conversion/v%d", [0, 1, 2, 3, 4, 10])
def down_conversion(v):
    """Off: who would need it is told so."""
    need("Fetch", v)
    t = new_topic(1, {"message.downconversion.enable": "false"})
    with Conn() as c:
        put(c, t, TS)
        p = fetch(c, t, version=v)
        eq(p["error_code"], 35 if v < 4 else 0, "error")
        if v < 4:
            eq(p["records"] or b"", b"", "records")


@rows("flush/%s-%s", [("messages", "1"), ("messages", "3"), ("ms", "0"),
                      ("ms", "20")])
def flush(kind, n):
    """Whenever it is synced, it is there."""
    t = new_topic(1, {"flush." + kind: n})
    with Conn() as c:
        for i in range(10):
            put(c, t, TS, acks=1 if i % 2 else -1)
        becomes(lambda: len(read_all(c, t)), 10, "records")


# --------------------------------------------------------------- retention
# The broker of the test looks for what is old twice a second.

def log_start(c, t):
    return list_offset(c, t, -2)["offset"]


@row("retention/ms")
def retention_ms():
    """What is old goes, the segment that grows too; the future stays."""
    now = int(time.time() * 1000)
    old = new_topic(1, {"retention.ms": "60000"})
    young = new_topic(1, {"retention.ms": "60000"})
    future = new_topic(1, {"retention.ms": "1"})
    ever = new_topic(1, {"retention.ms": "-1"})
    with Conn() as c:
        put(c, young, now)
        put(c, future, now + 3000000)
        put(c, ever, 0)
        put(c, old, now - 61000)
        becomes(lambda: log_start(c, old), 1, "start of the old")
        eq(end_offset(c, old), 1, "its end")
        put(c, old, now)
        eq([r.offset for r in read_all(c, old, offset=1)], [1], "offsets")
        for t in (young, future, ever):
            eq(log_start(c, t), 0, "start of another")


@row("retention/no-timestamps")
def retention_none():
    """The file's time counts."""
    t = new_topic(1, {"retention.ms": "1500"})
    with Conn() as c:
        put(c, t, -1)
        becomes(lambda: log_start(c, t), 1, "start")


@row("retention/bytes")
def retention_bytes():
    t = new_topic(1, {"segment.bytes": "1048576",
                      "retention.bytes": "1300000"})
    with Conn() as c:
        for i in range(5):
            put(c, t, int(time.time() * 1000), 600000)
        becomes(lambda: log_start(c, t), 2, "start")
        eq(fetch(c, t, 1)["error_code"], 1, "below the start")


@row("retention/not-with-compact-alone")
def retention_compact():
    t = new_topic(1, {"cleanup.policy": "compact", "retention.ms": "1"})
    both = new_topic(1, {"cleanup.policy": "compact,delete",
                         "retention.ms": "1"})
    with Conn() as c:
        put(c, t, TS)
        put(c, both, TS)
        becomes(lambda: log_start(c, both), 1, "start of the other")
        eq(log_start(c, t), 0, "start")


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
