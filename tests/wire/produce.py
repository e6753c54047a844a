# SPDX-License-Identifier: Apache-2.0
"""
Produce: what is acknowledged is what can be read, byte for byte; every kind
of bad batch gets its error and leaves nothing behind; idempotent producers;
the old message formats both ways (protocol.md 3.2 and 3.3).
"""
import struct
import time

import kafka
import records as R
from kafka import (BAD_ACKS, BAD_COMPRESSION, BAD_EPOCH, BAD_TIMESTAMP,
                   CORRUPT, INVALID_RECORD, INVALID_TOPIC, KAFKA,
                   LIST_TOO_LARGE, OUT_OF_ORDER, TOO_LARGE, TXN_ID_AUTH,
                   UNKNOWN_ID, UNKNOWN_TOPIC, Conn, Fail, NO_ID, Skip, Topic,
                   end_offset, eq, fetch, fetch_body, fetched, isin,
                   leader_epoch, metadata, need, new_pid, new_topic, ok,
                   produce, produce_body, produce_ok, produced, read_all,
                   roundtrip, row, rows, same_records, ver)

COMPRESSED = "Kafka does not look at record lengths in compressed batches"
KAFKA_DIFFERS = {
    "bad/null-records/*": ("all", "Kafka never answers it"),
    "bad/record/length-0/[1-4]*": ("all", COMPRESSED),
    "bad/record/length-short/[1-4]*": ("all", COMPRESSED),
    "bad/record/length-long/[1-4]*": ("all", COMPRESSED),
    "bad/record/length-minus-1/[1-4]*": ("39", COMPRESSED),
    "bad/record/length-huge/[1-4]*": ("39", COMPRESSED),
    "bad/deltas/*": ("all", "Kafka stores wrong offset deltas as they come"),
    "time/log-append-bit/CreateTime": ("all", "Kafka only looks at the bit "
                                       "where the topic has log append time"),
    "time/after-max-default": ("39", "the default bound came with 4.0"),
}

UNKNOWN = -1
TS = kafka.TS
CODECS = list(enumerate(R.CODEC_NAMES))
OLD_CODECS = CODECS[:4]
ONE = R.recs(3, 20, ts=TS)


def at(recs, base):
    """The same records where they are expected to be."""
    out = []
    for i, r in enumerate(recs):
        out.append(R.Rec(r.key, r.value, r.ts, r.headers, base + i))
    return out


def refused(t, data, wants, version=9, errors=None, part=0, **kw):
    """A bad batch: its error, nothing stored, and the next one is taken."""
    if isinstance(wants, int):
        wants = (wants, )
    with Conn() as c:
        end = end_offset(c, t, part)
        p = produce(c, t, data, part, version, **kw)
        isin(p["error_code"], wants, "error (%s)" % p.get("error_message"))
        eq(p["base_offset"], -1, "base offset")
        eq(p.get("log_append_time_ms", -1), -1, "log append time")
        if errors is not None and "record_errors" in p:
            eq([e["batch_index"] for e in p["record_errors"]], errors,
               "record errors")
            ok(p["error_message"], "no error message")
        eq(end_offset(c, t, part), end, "end offset after a refusal")
        return p


def taken_or_refused(t, data, wants, recs=None, **kw):
    """Kafka lets it pass; a stricter broker may refuse, but cleanly."""
    with Conn() as c:
        end = end_offset(c, t)
        p = produce(c, t, data, **kw)
        isin(p["error_code"], (0, ) + tuple(wants), "error")
        if p["error_code"]:
            eq(p["base_offset"], -1, "base offset")
            eq(end_offset(c, t), end, "end offset after a refusal")
            return
        eq(p["base_offset"], end, "base offset")
        if recs is not None:
            same_records(read_all(c, t, offset=end), at(recs, end), "stored")


COMMON = []


def common():
    """One topic for all rows that leave nothing in it."""
    if not COMMON:
        COMMON.append(new_topic(1, hint="bad"))
    return COMMON[0]


# -------------------------------------------------------------------- acks

@rows("acks/0/v%d-silent", list(range(14)))
def acks0(v):
    need("Produce", v)
    t = new_topic()
    data = R.batch(ONE) if v >= 3 else R.message_set(ONE, 1 if v == 2 else 0)
    with Conn() as c:
        for _ in range(3):
            req, _, _ = c.build("Produce", v, produce_body([(t, 0, data)],
                                                           0))
            c.send_frame(req)
        roundtrip(c)
        wait_end(c, t, 9)
        eq([r.value for r in read_all(c, t)],
           [r.value for r in ONE] * 3, "values")


def wait_end(c, t, want, part=0):
    stop = time.monotonic() + kafka.WAIT
    while end_offset(c, t, part) < want:
        if time.monotonic() > stop:
            raise Fail("the end never reached %d" % want)
    eq(end_offset(c, t, part), want, "end offset")


@rows("acks/0/error-closes/%s", ["unknown-topic", "unknown-partition", "crc",
                                 "v13-unknown-id", "empty", "magic"])
def acks0_error(kind):
    t, part, data, v = new_topic(), 0, R.batch(ONE), 9
    if kind == "unknown-topic":
        t = Topic("no-such-topic-here", NO_ID, 1)
    elif kind == "unknown-partition":
        part = 7
    elif kind == "crc":
        data = R.batch(ONE, crc=1)
    elif kind == "v13-unknown-id":
        v = need("Produce", 13)
        t = Topic("x", b"\x77" * 16, 1)
    elif kind == "empty":
        data = b""
    elif kind == "magic":
        data = R.message_set(ONE, 1)
    with Conn() as c:
        req, _, _ = c.build("Produce", ver("Produce", v),
                            produce_body([(t, part, data)], 0))
        c.send_frame(req)
        c.expect_close("after an error at acks 0")
    roundtrip()


@rows("acks/%d", [1, -1])
def acks(n):
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(ONE), 0, acks=n)
        produce_ok(c, t, R.batch(ONE), 3, acks=n)
        wait_end(c, t, 6)
        same_records(read_all(c, t), at(ONE, 0) + at(ONE, 3), "records")


@row("acks/-1-is-visible-at-once")
def acks_all_visible():
    """The high watermark has passed it before the answer comes."""
    t = new_topic()
    with Conn() as c:
        for i in range(20):
            produce_ok(c, t, R.batch(ONE), 3 * i)
            eq(end_offset(c, t), 3 * i + 3, "end offset")
            p = fetch(c, t, 3 * i)
            eq(p["high_watermark"], 3 * i + 3, "high watermark")


@rows("acks/%d-invalid", [2, 3, -2, 127, 32767, -32768])
def bad_acks(n):
    t = new_topic(2)
    for v in (3, 9, 13):
        if v > ver("Produce"):
            continue
        with Conn() as c:
            ps = produced(c.call("Produce", v, produce_body(
                [(t, 0, R.batch(ONE)), (t, 1, R.batch(ONE))], n)))
            eq([p["error_code"] for p in ps], [BAD_ACKS] * 2, "errors")
            eq([p["base_offset"] for p in ps], [-1] * 2, "base offsets")
            eq([end_offset(c, t, i) for i in (0, 1)], [0, 0], "ends")


# -------------------------------------------------------------- addressing

@rows("unknown/topic/v%d", list(range(13)))
def unknown_topic(v):
    need("Produce", v)
    name = kafka.fresh_name("none")
    t = Topic(name, NO_ID, 1)
    data = R.batch(ONE) if v >= 3 else R.message_set(ONE, 0)
    with Conn() as c:
        p = produce(c, t, data, version=v)
        eq(p["error_code"], UNKNOWN_TOPIC, "error")
        eq(p["base_offset"], -1, "base offset")
        # Produce never creates a topic.
        eq(metadata(c, [name])["topics"][0]["error_code"], UNKNOWN_TOPIC,
           "topic afterwards")


@rows("unknown/id/%s", ["zero", "random"])
def unknown_id(kind):
    need("Produce", 13)
    t = Topic("", NO_ID if kind == "zero" else b"\xa5" * 16, 1)
    with Conn() as c:
        eq(produce(c, t, R.batch(ONE), version=13)["error_code"],
           UNKNOWN_ID, "error")


@row("unknown/id/beside-known")
def unknown_beside():
    need("Produce", 13)
    a, b = new_topic(2), new_topic(1)
    u = Topic("", b"\xa5" * 16, 1)
    with Conn() as c:
        r = c.call("Produce", 13, produce_body(
            [(x, i, R.batch(ONE)) for x, i in
             ((a, 0), (u, 0), (b, 0), (a, 1))]))
        eq(sorted((t["topic_id"], p["index"], p["error_code"],
                   p["base_offset"]) for t in r["responses"]
                  for p in t["partition_responses"]),
           sorted([(a.id, 0, 0, 0), (a.id, 1, 0, 0), (b.id, 0, 0, 0),
                   (u.id, 0, UNKNOWN_ID, -1)]), "rows")


@rows("unknown/partition/%d", [1, 2, 100000, 0x7fffffff, -1, -0x80000000])
def unknown_part(n):
    t = new_topic()
    for v in (3, 9, 13):
        if v <= ver("Produce"):
            with Conn() as c:
                eq(produce(c, t, R.batch(ONE), n, v)["error_code"],
                   UNKNOWN_TOPIC, "error in v%d" % v)


@rows("unknown/name/%s", ["space", "dots", "long", "slash", "empty", "nul"])
def bad_name(kind):
    name = {"space": "a b", "dots": "..", "long": "x" * 250,
            "slash": "../../etc/passwd", "empty": "", "nul": "a\0b"}[kind]
    with Conn() as c:
        isin(produce(c, Topic(name, NO_ID, 1), R.batch(ONE))["error_code"],
             (UNKNOWN_TOPIC, INVALID_TOPIC), "error")


@rows("internal/%s", ["__consumer_offsets", "__transaction_state",
                      "__share_group_state"])
def internal(name):
    """17 where it exists; where it does not, 3 is as good."""
    with Conn() as c:
        exists = metadata(c, [name])["topics"][0]["error_code"] == 0
        p = produce(c, Topic(name, NO_ID, 1), R.batch(ONE))
        isin(p["error_code"], (INVALID_TOPIC, ) if exists else
             (INVALID_TOPIC, UNKNOWN_TOPIC), "error")


@row("empty/no-topics")
def no_topics():
    with Conn() as c:
        for v in range(max(0, kafka.E.ranges[0][0]), ver("Produce") + 1):
            r = c.call("Produce", v, produce_body([]))
            eq(r["responses"], [], "responses of v%d" % v)


@row("empty/topic-without-partitions")
def no_parts():
    t = new_topic()
    with Conn() as c:
        body = produce_body([])
        body["topic_data"] = [{"name": t.name, "partition_data": []}]
        eq(produced(c.call("Produce", 9, body)), [], "partition rows")


@row("twice/partition")
def part_twice():
    """However many rows are answered, each stands for one append."""
    t = new_topic()
    with Conn() as c:
        ps = produced(c.call("Produce", 9, produce_body(
            [(t, 0, R.batch(ONE)), (t, 0, R.batch(ONE))])))
        good = [p for p in ps if p["error_code"] == 0]
        eq(sorted(p["base_offset"] for p in good),
           [3 * i for i in range(len(good))], "base offsets")
        eq(end_offset(c, t), 3 * len(good), "end offset")


@row("twice/topic")
def topic_twice():
    t = new_topic(2)
    with Conn() as c:
        body = produce_body([(t, 0, R.batch(ONE))])
        body["topic_data"] += produce_body(
            [(t, 1, R.batch(ONE))])["topic_data"]
        ps = produced(c.call("Produce", 9, body))
        eq([(p["index"], p["error_code"], p["base_offset"]) for p in
            sorted(ps, key=lambda p: p["index"])],
           [(0, 0, 0), (1, 0, 0)], "rows")


# --------------------------------------------------------- what is stored

@rows("stored/bytes/%d-%s", CODECS)
def stored_bytes(codec, name):
    """Only base offset and leader epoch may change: the CRC covers the
    rest."""
    t = new_topic()
    recs = R.recs(50, 100, ts=TS)
    recs[3].headers = [("a", b"b"), ("a", None), ("", b"")]
    sent = R.batch(recs, codec, leader_epoch=4242)
    with Conn() as c:
        produce_ok(c, t, R.batch(ONE), 0)
        produce_ok(c, t, sent, 3)
        epoch = leader_epoch(c, t)
        got = R.read_set(fetch(c, t, 3)["records"], True)
        eq(len(got), 1, "batches")
        eq(got[0].base_offset, 3, "base offset")
        eq(got[0].leader_epoch, epoch, "leader epoch")
        raw = got[0].raw
        ok(raw[16:] == sent[16:] and raw[8:12] == sent[8:12],
           "the batch's bytes were changed")
        same_records(got[0].records, at(recs, 3), "records")


@rows("stored/shape/%s", ["null-key", "null-value", "empty-key",
                          "empty-value", "tombstone", "headers-many",
                          "binary", "one-record", "big-record",
                          "ten-thousand"])
def shapes(kind):
    recs = {
        "null-key": [R.Rec(None, b"v", TS)],
        "null-value": [R.Rec(b"k", None, TS)],
        "empty-key": [R.Rec(b"", b"v", TS)],
        "empty-value": [R.Rec(b"k", b"", TS)],
        "tombstone": [R.Rec(None, None, TS)],
        "headers-many": [R.Rec(b"k", b"v", TS,
                               [("h%d" % i, b"%d" % i)
                                for i in range(500)])],
        "binary": [R.Rec(bytes(range(256)), bytes(range(255, -1, -1)), TS)],
        "one-record": R.recs(1, ts=TS),
        "big-record": [R.Rec(b"k", b"x" * 1000000, TS)],
        "ten-thousand": R.recs(10000, 12, ts=TS),
    }[kind]
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(recs), 0)
        same_records(read_all(c, t), at(recs, 0), "records")


@rows("stored/codec/%s", ["gzip-members", "snappy-raw", "snappy-xerial",
                          "snappy-xerial-blocks", "lz4", "lz4-checksum",
                          "zstd", "gzip-1030-to-1", "big-gzip", "big-lz4",
                          "big-snappy", "big-zstd"])
def codecs(kind):
    recs = R.recs(400 if kind.startswith("big") else 20, 1000, ts=TS)
    if kind == "gzip-1030-to-1":
        recs = [R.Rec(b"k", bytes(900000), TS)]
    plain = b"".join(R.record_bytes(r, i, i) for i, r in enumerate(recs))
    codec, packed = {
        "gzip-members": lambda: (1, R.gzip_pack(plain, 3)),
        "gzip-1030-to-1": lambda: (1, R.gzip_pack(plain)),
        "big-gzip": lambda: (1, R.gzip_pack(plain)),
        "snappy-raw": lambda: (2, R.snappy_raw_pack(plain)),
        "snappy-xerial": lambda: (2, R.snappy_xerial_pack(plain)),
        "snappy-xerial-blocks": lambda: (2, R.snappy_xerial_pack(plain,
                                                                 512)),
        "big-snappy": lambda: (2, R.snappy_xerial_pack(plain)),
        "lz4": lambda: (3, R.lz4_pack(plain)),
        "lz4-checksum": lambda: (3, R.lz4_pack(plain, checksum=True)),
        "big-lz4": lambda: (3, R.lz4_pack(plain)),
        "zstd": lambda: (4, R.zstd_pack(plain)),
        "big-zstd": lambda: (4, R.zstd_pack(plain)),
    }[kind]()
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(recs, codec, packed=packed), 0)
        same_records(read_all(c, t), at(recs, 0), "records")


@row("stored/max-timestamp-corrected")
def max_ts():
    """A header's greatest timestamp is the records' own, and the CRC is
    right again."""
    t = new_topic()
    recs = R.recs(3, ts=TS, step=10)
    with Conn() as c:
        for i, (codec, lie) in enumerate([(0, TS + 9999), (0, 5), (1, 0),
                                          (0, -1), (3, TS + 1)]):
            produce_ok(c, t, R.batch(recs, codec, max_ts=lie), 3 * i)
            b, = R.read_set(fetch(c, t, 3 * i)["records"], True)
            eq(b.max_ts, TS + 20, "greatest timestamp")
            same_records(b.records, at(recs, 3 * i), "records")


@row("stored/base-timestamp-kept")
def base_ts():
    """Deltas may be negative: base timestamp need not be the least."""
    t = new_topic()
    recs = [R.Rec(b"a", b"1", TS + 50), R.Rec(b"b", b"2", TS),
            R.Rec(b"c", b"3", TS + 100)]
    with Conn() as c:
        produce_ok(c, t, R.batch(recs, base_ts=TS + 70), 0)
        b, = R.read_set(fetch(c, t)["records"], True)
        eq(b.base_ts, TS + 70, "base timestamp")
        same_records(b.records, at(recs, 0), "records")


@rows("stored/attributes-ignored/%s", ["record-attrs"])
def record_attrs(kind):
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(ONE[:1], payload=R.record_bytes(
            ONE[0], 0, 0, attrs=0xff)), 0)
        same_records(read_all(c, t), at(ONE[:1], 0), "records")


# ------------------------------------------------------------- bad batches

@rows("bad/null-records/v%d", [3, 9, 13])
def null_records(v):
    need("Produce", v)
    refused(common(), None, (INVALID_RECORD, CORRUPT, 42), v)


@rows("bad/empty-records/v%d", [3, 8, 9, 13])
def empty_records(v):
    refused(common(), b"", INVALID_RECORD, need("Produce", v))


@rows("bad/two-batches/v%d", [3, 8, 9, 13])
def two_batches(v):
    refused(common(), R.batch(ONE) * 2, INVALID_RECORD, need("Produce", v))


@rows("bad/magic-%d/v%d", [(m, v) for m in (0, 1) for v in (3, 9, 13)])
def old_magic(m, v):
    refused(common(), R.message_set(ONE, m), INVALID_RECORD,
            need("Produce", v))


@rows("bad/magic-%d", [3, 4, 127, -1, -128])
def new_magic(m):
    refused(common(), R.batch(ONE, magic=m), CORRUPT)


@row("bad/old-message-after-batch")
def mixed_magic():
    refused(common(), R.batch(ONE) + R.message_set(ONE, 1), INVALID_RECORD)


@rows("bad/zstd/v%d", [3, 4, 5, 6])
def zstd_old(v):
    refused(common(), R.batch(ONE, 4), BAD_COMPRESSION, v)


@rows("good/zstd/v%d", [7, 8, 9, 11, 13])
def zstd_new(v):
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(ONE, 4), 0, version=need("Produce", v))
        same_records(read_all(c, t), at(ONE, 0), "records")


@rows("bad/base-offset/%d", [1, -1, 5, 1 << 32, (1 << 63) - 1, -(1 << 63)])
def base_offset(n):
    refused(common(), R.batch(ONE, base_offset=n), INVALID_RECORD)


@rows("bad/crc/%s", ["zero", "plus-one", "of-crc32", "attrs-flip",
                     "record-flip", "count-flip", "timestamp-flip"])
def bad_crc(kind):
    good = bytearray(R.batch(ONE))
    if kind == "zero":
        good[17:21] = bytes(4)
    elif kind == "plus-one":
        good[20] ^= 1
    elif kind == "of-crc32":
        import zlib
        good[17:21] = struct.pack(">I", zlib.crc32(bytes(good[21:])))
    else:
        pos = {"attrs-flip": 21, "record-flip": len(good) - 5,
               "count-flip": 59, "timestamp-flip": 34}[kind]
        good[pos] ^= 0x80
    refused(common(), bytes(good), CORRUPT)


@rows("bad/truncated/%d", [1, 2, 6, 11, 12, 16, 17, 20, 21, 30, 60, 61, -1,
                           -10])
def truncated(n):
    refused(common(), R.batch(ONE)[:n], (INVALID_RECORD, CORRUPT))


LEN = len(R.batch(ONE)) - 12


@rows("bad/length/%s", ["+1", "-1", "-10", "+100000", "=49", "=48", "=14",
                        "=13", "=0", "=-1", "=2147483647", "=-2147483648",
                        "=2147483635"])
def bad_length(how):
    n = int(how[1:]) if how[0] == "=" else LEN + int(how)
    refused(common(), R.batch(ONE, length=n),
            (INVALID_RECORD, CORRUPT, UNKNOWN))


@rows("bad/trailing/%d", [1, 11, 12, 16, 61])
def trailing(n):
    """Kafka cuts off what cannot be a batch; refusing is as good."""
    taken_or_refused(common(), R.batch(ONE) + bytes(n),
                     (INVALID_RECORD, CORRUPT), ONE)


@row("bad/trailing/half-a-batch")
def trailing_half():
    taken_or_refused(common(), R.batch(ONE) + R.batch(ONE)[:40],
                     (INVALID_RECORD, CORRUPT), ONE)


@rows("bad/count/%d", [0, -1, 2, 4, 1000000, 0x7fffffff, -0x80000000])
def bad_count(n):
    refused(common(), R.batch(ONE, count=n), INVALID_RECORD)


@rows("bad/last-delta/%d", [0, 1, 3, -1, -2, 0x7fffffff, -0x80000000])
def bad_delta(n):
    refused(common(), R.batch(ONE, last_delta=n), INVALID_RECORD)


@rows("bad/count-and-delta/%d", [2, 4, 100, 0x7fffffff])
def bad_both(n):
    """Header fields that agree with each other but not with the records."""
    for codec in (0, 1):
        refused(common(), R.batch(ONE, codec, count=n, last_delta=n - 1),
                INVALID_RECORD)


@rows("bad/no-records/%s", ["plain", "count-1", "last-delta-0"])
def no_records(kind):
    kw = {"plain": {}, "count-1": {"count": 1, "last_delta": 0},
          "last-delta-0": {"last_delta": 0}}[kind]
    refused(common(), R.batch([], **kw), INVALID_RECORD)


@rows("bad/deltas/%s", ["gap", "from-1", "repeat", "backwards", "negative",
                        "huge"])
def deltas(kind):
    d = {"gap": [0, 2, 3], "from-1": [1, 2, 3], "repeat": [0, 0, 1],
         "backwards": [2, 1, 0], "negative": [-1, 0, 1],
         "huge": [0, 1, 0x7fffffff]}[kind]
    for codec in (0, 1):
        refused(new_topic(), R.batch(ONE, codec, deltas=d), INVALID_RECORD)


@rows("bad/bytes-after-records/%d-%s", CODECS)
def extra(codec, name):
    refused(common(), R.batch(ONE, codec, extra=b"\0"), INVALID_RECORD)


@rows("bad/codec-data/%s/%d-%s", [(k,) + c for k in
                                  ("garbage", "empty", "cut")
                                  for c in CODECS[1:]])
def codec_garbage(kind, codec, name):
    good = R.pack(codec, b"".join(R.record_bytes(r, 0, i)
                                  for i, r in enumerate(ONE)))
    packed = {"garbage": b"garbage!" * 4, "empty": b"",
              "cut": good[:-9]}[kind]
    refused(common(), R.batch(ONE, codec, packed=packed),
            (UNKNOWN, CORRUPT, INVALID_RECORD))


@rows("bad/codec-tail/%d-%s", CODECS[1:])
def codec_tail(codec, name):
    good = R.pack(codec, b"".join(R.record_bytes(r, 0, i)
                                  for i, r in enumerate(ONE)))
    taken_or_refused(common(), R.batch(ONE, codec, packed=good + b"junk"),
                     (UNKNOWN, CORRUPT, INVALID_RECORD))


@rows("bad/codec-%d/v%d", [(n, v) for n in (5, 6, 7) for v in (3, 7, 9)])
def codec_unknown(n, v):
    refused(common(), R.batch(ONE, n, packed=b"xxxx" * 5), UNKNOWN, v)


@rows("bad/record/%s/%d-%s", [(k, ) + c for k in (
    "key-over", "value-over", "headers-minus-1", "headers-huge",
    "header-missing", "header-null-key", "header-key-over", "bytes-left",
    "overlong-varint", "no-body", "length-minus-1", "length-0",
    "length-short", "length-long", "length-huge") for c in CODECS])
def bad_record(kind, codec, name):
    v = R.varint
    head = b"\0" + v(0) + v(0)
    kv = v(1) + b"k" + v(1) + b"v"
    body = {
        "key-over": head + v(100) + b"k" + v(1) + b"v" + v(0),
        "value-over": head + v(1) + b"k" + v(90) + b"v" + v(0),
        "headers-minus-1": head + kv + v(-1),
        "headers-huge": head + kv + v(0x7fffffff),
        "header-missing": head + kv + v(1),
        "header-null-key": head + kv + v(1) + v(-1) + v(1) + b"x",
        "header-key-over": head + kv + v(1) + v(50) + b"x",
        "bytes-left": head + kv + v(0) + b"zz",
        "overlong-varint": head + b"\x82\x80\x80\x80\x80\x00" + b"k" +
        v(1) + b"v" + v(0),
        "no-body": b"",
    }.get(kind, head + kv + v(0))
    n = len(body)
    n = {"length-minus-1": -1, "length-0": 0, "length-short": n - 1,
         "length-long": n + 1, "length-huge": 0x7fffffff}.get(kind, n)
    refused(common(), R.batch(ONE[:1], codec, payload=v(n) + body),
            INVALID_RECORD)


@rows("bad/record-tolerated/%s", ["key-minus-2", "value-minus-2",
                                  "non-minimal-varint", "length-overlong"])
def odd_record(kind):
    v = R.varint
    head = b"\0" + v(0) + v(0)
    body = {
        "key-minus-2": head + v(-2) + v(1) + b"v" + v(0),
        "value-minus-2": head + v(1) + b"k" + v(-2) + v(0),
        "non-minimal-varint": head + b"\x82\x80\x00k" + v(1) + b"v" + v(0),
    }.get(kind, head + v(1) + b"k" + v(1) + b"v" + v(0))
    length = b"\xff" * 10 if kind == "length-overlong" else v(len(body))
    taken_or_refused(new_topic(), R.batch(ONE[:1], payload=length + body),
                     (INVALID_RECORD, CORRUPT, UNKNOWN))


@rows("good/header-key/%s", ["empty", "not-utf8", "nul", "twice"])
def header_keys(kind):
    hs = {"empty": [(b"", b"x")], "not-utf8": [(b"\xff\xfe", b"x")],
          "nul": [(b"a\0b", None)], "twice": [(b"a", b"1"), (b"a", b"2")]}
    recs = [R.Rec(b"k", b"v", TS, hs[kind])]
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(recs), 0)
        same_records(read_all(c, t), at(recs, 0), "records")


@rows("bad/control-bit/%s", ["plain", "with-pid", "as-marker"])
def control(kind):
    kw = {"plain": {}, "with-pid": {"pid": 1, "epoch": 0, "seq": 0},
          "as-marker": {"pid": 1, "epoch": 0, "seq": -1}}[kind]
    recs = [R.Rec(struct.pack(">hh", 0, 1), struct.pack(">hi", 0, 0), TS)]
    refused(common(), R.batch(recs, attrs=R.CONTROL, **kw), INVALID_RECORD)


@rows("bad/txn-bit/%s", ["plain", "control"])
def txn_bit(kind):
    """A transactional batch without a transactional id: every row 53."""
    t = new_topic(2)
    attrs = R.TXN | (R.CONTROL if kind == "control" else 0)
    with Conn() as c:
        ps = produced(c.call("Produce", 9, produce_body(
            [(t, 0, R.batch(ONE, attrs=attrs, pid=1, epoch=0, seq=0)),
             (t, 1, R.batch(ONE))])))
        eq([p["error_code"] for p in ps], [TXN_ID_AUTH] * 2, "errors")
        eq([end_offset(c, t, i) for i in (0, 1)], [0, 0], "ends")


@rows("odd/attribute-%#x", [0x40, 0x80, 0x100, 0x4000, -0x8000])
def attr_bits(bit):
    """Reserved bits: Kafka stores them, refusing is as good."""
    taken_or_refused(new_topic(), R.batch(ONE, attrs=bit),
                     (INVALID_RECORD, ))


# ------------------------------------------------------------------- sizes

@row("size/default-max-message-bytes")
def size_default():
    """1 MiB + 12 and not a byte more."""
    t = new_topic()
    fixed = len(R.batch([R.Rec(b"k", b"x" * 1000000, TS)])) - 1000000
    n = 1048588 - fixed
    with Conn() as c:
        produce_ok(c, t, R.batch([R.Rec(b"k", b"x" * n, TS)]), 0)
        r = R.batch([R.Rec(b"k", b"x" * (n + 1), TS)])
        eq(len(r), 1048589, "size of the batch")
        p = produce(c, t, r)
        eq(p["error_code"], TOO_LARGE, "error")
        eq(p["base_offset"], -1, "base offset")
        eq(end_offset(c, t), 1, "end offset")


@row("size/topic-max-message-bytes")
def size_topic():
    t = new_topic(1, {"max.message.bytes": "200"}, config_may_fail=True)
    fixed = len(R.batch([R.Rec(b"k", b"x" * 100, TS)])) - 100
    with Conn() as c:
        produce_ok(c, t, R.batch([R.Rec(b"k", b"x" * (200 - fixed), TS)]),
                   0)
        p = produce(c, t, R.batch([R.Rec(b"k", b"x" * (201 - fixed), TS)]))
        eq(p["error_code"], TOO_LARGE, "error")
        # What counts is the size as sent, compressed.
        produce_ok(c, t, R.batch([R.Rec(b"k", bytes(20000), TS)], 1), 1)
        eq(end_offset(c, t), 2, "end offset")


@row("size/over-segment")
def size_segment():
    t = new_topic(1, {"segment.bytes": "1048576",
                      "max.message.bytes": "4000000"}, config_may_fail=True)
    with Conn() as c:
        p = produce(c, t, R.batch([R.Rec(b"k", b"x" * 2000000, TS)]))
        eq(p["error_code"], LIST_TOO_LARGE, "error")
        eq(end_offset(c, t), 0, "end offset")
        produce_ok(c, t, R.batch([R.Rec(b"k", b"x" * 1000000, TS)]), 0)


@row("size/segments-roll")
def size_roll():
    """Appends past segment.bytes: nothing is lost where segments meet."""
    t = new_topic(1, {"segment.bytes": "1048576"}, config_may_fail=True)
    recs = [R.Rec(b"%d" % i, bytes([i]) * 300000, TS) for i in range(12)]
    with Conn() as c:
        for i, r in enumerate(recs):
            produce_ok(c, t, R.batch([r]), i)
        same_records(read_all(c, t), at(recs, 0), "records")


# -------------------------------------------------------------- timestamps

@row("time/compacted-null-key")
def null_key():
    t = new_topic(1, {"cleanup.policy": "compact"}, config_may_fail=True)
    recs = [R.Rec(b"a", b"1"), R.Rec(None, b"2"), R.Rec(b"c", b"3"),
            R.Rec(None, b"4")]
    for codec in (0, 1):
        refused(t, R.batch(recs, codec), INVALID_RECORD, errors=[1, 3])
        refused(t, R.batch(recs, codec), INVALID_RECORD, version=7)
    with Conn() as c:
        produce_ok(c, t, R.batch(recs[:1]), 0)


@row("time/compact-delete-null-key")
def null_key_both():
    t = new_topic(1, {"cleanup.policy": "compact,delete"},
                  config_may_fail=True)
    refused(t, R.batch([R.Rec(None, b"2")]), INVALID_RECORD, errors=[0])


@rows("time/%s-max", ["before", "after"])
def time_bounds(which):
    t = new_topic(1, {"message.timestamp.%s.max.ms" % which: "60000"},
                  config_may_fail=True)
    now = int(time.time() * 1000)
    far = now + (3000000 if which == "after" else -3000000)
    recs = [R.Rec(b"a", b"1", now), R.Rec(b"b", b"2", far),
            R.Rec(b"c", b"3", far), R.Rec(b"d", b"4", now)]
    for codec in (0, 1):
        refused(t, R.batch(recs, codec), BAD_TIMESTAMP, errors=[1, 2])
    with Conn() as c:
        produce_ok(c, t, R.batch([recs[0], recs[3]]), 0)


@row("time/after-max-default")
def time_after_default():
    """One hour ahead is the most, unless the topic says otherwise."""
    now = int(time.time() * 1000)
    t = new_topic()
    refused(t, R.batch([R.Rec(b"a", b"1", now + 7200000)]), BAD_TIMESTAMP,
            errors=[0])
    with Conn() as c:
        produce_ok(c, t, R.batch([R.Rec(b"a", b"1", now + 1800000)]), 0)


@rows("time/any/%d", [-1, -2, 0, 1, TS])
def time_any(ts):
    recs = R.recs(2, ts=ts, step=0)
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(recs), 0)
        same_records(read_all(c, t), at(recs, 0), "records")


@rows("time/extreme/%s", ["-2^62", "-2^63", "2^63-1", "overflowing-delta"])
def time_extreme(kind):
    """Sums that leave 64 bits must not wrap into something that passes for
    a time; the past may be as deep as it likes."""
    t = new_topic()
    if kind == "overflowing-delta":
        pay = R.varint(0)
        body = b"\0" + R.varint((1 << 63) - 1) + R.varint(0) + R.varint(1) \
            + b"k" + R.varint(1) + b"v" + R.varint(0)
        data = R.batch(ONE[:1], base_ts=(1 << 63) - 1, max_ts=0,
                       payload=R.varint(len(body)) + body)
    else:
        ts = {"-2^62": -(1 << 62), "-2^63": -(1 << 63),
              "2^63-1": (1 << 63) - 1}[kind]
        data = R.batch([R.Rec(b"k", b"v", ts)])
    with Conn() as c:
        p = produce(c, t, data)
        isin(p["error_code"], (0, BAD_TIMESTAMP, INVALID_RECORD), "error")
        eq(end_offset(c, t), 1 if p["error_code"] == 0 else 0, "end")
        roundtrip(c)


@rows("time/log-append-bit/%s", ["CreateTime", "LogAppendTime"])
def log_append_bit(kind):
    t = new_topic(1, {"message.timestamp.type": kind}, config_may_fail=True)
    refused(t, R.batch(ONE, attrs=R.LOG_TIME), BAD_TIMESTAMP)


@rows("time/log-append/%d-%s", CODECS)
def log_append(codec, name):
    """The broker's own time for all records; their deltas stay."""
    t = new_topic(1, {"message.timestamp.type": "LogAppendTime"},
                  config_may_fail=True)
    recs = R.recs(4, ts=12345, step=7)
    before = int(time.time() * 1000)
    with Conn() as c:
        p = produce_ok(c, t, R.batch(recs, codec), 0)
        after = int(time.time() * 1000)
        when = p["log_append_time_ms"]
        ok(before - 60000 <= when <= after + 60000,
           "log append time %d" % when)
        b, = R.read_set(fetch(c, t)["records"], True)
        ok(b.attrs & R.LOG_TIME, "the batch's bit is clear")
        eq(b.attrs & 7, codec, "codec")
        eq(b.max_ts, when, "greatest timestamp")
        eq(b.base_ts, 12345, "base timestamp")
        for r in b.records:
            eq(r.ts, when, "a record's timestamp")
        eq([r.value for r in b.records], [r.value for r in recs], "values")


# ------------------------------------------------------------- idempotence

class Producer:
    def __init__(self, c, t):
        self.c, self.t = c, t
        self.pid, self.epoch = new_pid(c)

    def send(self, seq, n=3, epoch=None, tag=b"", part=0, codec=0):
        data = R.batch(R.recs(n, ts=TS, tag=tag), codec, pid=self.pid,
                       epoch=self.epoch if epoch is None else epoch,
                       seq=seq)
        return produce(self.c, self.t, data, part)

    def good(self, seq, want, n=3, **kw):
        p = self.send(seq, n, **kw)
        eq(p["error_code"], 0, "error at sequence %d (%s)" %
           (seq, p["error_message"]))
        eq(p["base_offset"], want, "base offset of sequence %d" % seq)

    def bad(self, seq, code, n=3, **kw):
        p = self.send(seq, n, **kw)
        eq(p["error_code"], code, "error at sequence %d" % seq)
        eq(p["base_offset"], -1, "base offset of a refused batch")

    def end(self, want):
        eq(end_offset(self.c, self.t), want, "end offset")


def idem(name):
    def deco(f):
        def g():
            with Conn() as c:
                f(Producer(c, new_topic(2)))
        kafka.ROWS.append(("idempotent/" + name, g, ()))
        return f
    return deco


@idem("in-order")
def idem_order(p):
    for i in range(10):
        p.good(3 * i, 3 * i)
    p.end(30)


@idem("duplicate-gets-first-offset")
def idem_dup(p):
    for i in range(5):
        p.good(3 * i, 3 * i)
    for i in (4, 0, 2, 1, 3, 0):
        p.good(3 * i, 3 * i)
    p.end(15)
    p.good(15, 15)


@idem("sixth-batch-ago")
def idem_window(p):
    for i in range(6):
        p.good(3 * i, 3 * i)
    p.bad(0, OUT_OF_ORDER)
    p.good(3, 3)
    p.end(18)


@idem("gap")
def idem_gap(p):
    p.good(0, 0)
    for seq in (4, 6, 100, 0x7fffffff):
        p.bad(seq, OUT_OF_ORDER)
    p.good(3, 3)
    p.end(6)


@idem("overlap-is-no-duplicate")
def idem_overlap(p):
    """Same first sequence but other last: not one of the five."""
    p.good(0, 0)
    p.bad(0, OUT_OF_ORDER, n=2)
    p.bad(0, OUT_OF_ORDER, n=4)
    p.bad(1, OUT_OF_ORDER, n=2)
    p.end(3)
    p.good(3, 3)


@idem("old-epoch")
def idem_epoch(p):
    p.good(0, 0, epoch=5)
    p.bad(3, BAD_EPOCH, epoch=4)
    p.bad(0, BAD_EPOCH, epoch=0)
    p.good(3, 3, epoch=5)
    p.end(6)


@idem("epoch-bump")
def idem_bump(p):
    p.good(0, 0)
    p.bad(3, OUT_OF_ORDER, epoch=1)
    p.good(0, 3, epoch=1)
    p.good(3, 6, epoch=1)
    p.bad(3, BAD_EPOCH, epoch=0)
    p.end(9)


@idem("bump-forgets-duplicates")
def idem_bump_dup(p):
    p.good(0, 0)
    p.good(0, 3, epoch=1)
    p.good(0, 3, epoch=1)
    p.end(6)


@idem("first-sequence-not-zero")
def idem_first(p):
    """No state for the producer: any sequence is taken."""
    p.good(77, 0)
    p.good(80, 3)
    p.bad(77 - 3, OUT_OF_ORDER)
    p.end(6)


@idem("wrap")
def idem_wrap(p):
    top = 0x7fffffff
    p.good(top - 2, 0)          # ends at the greatest sequence
    p.good(0, 3)
    p.good(3, 6)
    p.good(top - 2, 0)          # still a duplicate
    p.good(0, 3)
    p.end(9)


@idem("wrap-inside-a-batch")
def idem_wrap_inside(p):
    top = 0x7fffffff
    p.good(top - 1, 0, n=5)     # top-1, top, 0, 1, 2
    p.good(3, 5)
    p.good(top - 1, 0, n=5)
    p.bad(5, OUT_OF_ORDER)
    p.good(6, 8)
    p.end(11)


@idem("partitions-apart")
def idem_parts(p):
    p.good(0, 0)
    p.good(0, 0, part=1)
    p.good(3, 3, part=1)
    p.good(3, 3)
    p.bad(9, OUT_OF_ORDER, part=1)


@idem("producers-apart")
def idem_two(p):
    q = Producer(p.c, p.t)
    ok(q.pid != p.pid, "two producers with one id")
    p.good(0, 0)
    q.good(0, 3)
    p.good(3, 6)
    q.good(3, 9)
    p.good(0, 0)
    q.good(0, 3)
    p.end(12)


@idem("refused-batch-leaves-no-state")
def idem_refused(p):
    p.good(0, 0)
    data = R.batch(ONE, pid=p.pid, epoch=0, seq=3, crc=7)
    eq(produce(p.c, p.t, data)["error_code"], CORRUPT, "error")
    p.good(3, 3)
    data = R.batch(ONE, pid=p.pid, epoch=0, seq=6, count=9)
    eq(produce(p.c, p.t, data)["error_code"], INVALID_RECORD, "error")
    p.good(6, 6)
    # A bump whose batch is bad bumps nothing.
    data = R.batch(ONE, pid=p.pid, epoch=3, seq=0, crc=7)
    eq(produce(p.c, p.t, data)["error_code"], CORRUPT, "error")
    p.good(9, 9)
    p.end(12)


@idem("acks-0-and-1")
def idem_acks(p):
    data = R.batch(ONE, pid=p.pid, epoch=0, seq=0)
    produce_ok(p.c, p.t, data, 0, acks=1)
    produce_ok(p.c, p.t, data, 0, acks=1)
    produce_ok(p.c, p.t, data, 0, acks=-1)
    p.good(3, 3)
    wait_end(p.c, p.t, 6)


@idem("pipelined-five")
def idem_pipe(p):
    """Five in flight, then the same five again: ten answers, five
    appends."""
    v = ver("Produce", 9)
    for again in range(2):
        for i in range(5):
            p.c.send("Produce", v, produce_body([(p.t, 0, R.batch(
                ONE, pid=p.pid, epoch=0, seq=3 * i))]))
    got = [produced(p.c.recv())[0] for _ in range(10)]
    eq([(g["error_code"], g["base_offset"]) for g in got],
       [(0, 3 * i) for i in range(5)] * 2, "answers")
    p.end(15)


@idem("pipelined-gap")
def idem_pipe_gap(p):
    v = ver("Produce", 9)
    for seq in (0, 6, 9, 3, 6):
        p.c.send("Produce", v, produce_body([(p.t, 0, R.batch(
            ONE, pid=p.pid, epoch=0, seq=seq))]))
    got = [produced(p.c.recv())[0] for _ in range(5)]
    eq([(g["error_code"], g["base_offset"]) for g in got],
       [(0, 0), (OUT_OF_ORDER, -1), (OUT_OF_ORDER, -1), (0, 3), (0, 6)],
       "answers")
    p.end(9)


@idem("not-idempotent-beside")
def idem_beside(p):
    p.good(0, 0)
    produce_ok(p.c, p.t, R.batch(ONE), 3)
    p.good(3, 6)
    p.good(0, 0)
    p.end(9)


@idem("compressed")
def idem_codec(p):
    for i in range(1, 5):
        p.good(3 * (i - 1), 3 * (i - 1), codec=i)
        p.good(3 * (i - 1), 3 * (i - 1), codec=i)
    p.end(12)


@idem("stored-fields")
def idem_stored(p):
    p.good(0, 0)
    p.good(0, 3, epoch=9)
    bs = R.read_set(fetch(p.c, p.t)["records"], True)
    eq([(b.pid, b.epoch, b.seq) for b in bs],
       [(p.pid, 0, 0), (p.pid, 9, 0)], "producer fields")


@idem("sequence-minus-1")
def idem_minus(p):
    p.bad(-1, INVALID_RECORD)
    p.bad(-2, INVALID_RECORD)
    p.bad(-0x80000000, INVALID_RECORD)
    p.end(0)


@row("idempotent/mixed-producer-ids-in-a-request")
def mixed_pids():
    """Kafka refuses this (49) for transactions only; all or none."""
    t = new_topic(2)
    with Conn() as c:
        a, b = new_pid(c), new_pid(c)
        ps = produced(c.call("Produce", 9, produce_body([
            (t, i, R.batch(ONE, pid=x[0], epoch=x[1], seq=0))
            for i, x in enumerate((a, b))])))
        codes = [p["error_code"] for p in ps]
        isin(codes, ([0, 0], [49, 49]), "errors")
        eq([end_offset(c, t, i) for i in (0, 1)],
           [3, 3] if codes == [0, 0] else [0, 0], "ends")


@row("idempotent/odd-producer-fields")
def odd_producer():
    """Fields that contradict each other: stored or refused, no half."""
    t = new_topic()
    for pid, epoch, seq in ((-1, -1, 5), (-1, 5, -1), (-2, 0, 0),
                            (-1, 0, 0), (7777777, -1, 0)):
        with Conn() as c:
            taken_or_refused(t, R.batch(ONE, pid=pid, epoch=epoch, seq=seq),
                             (INVALID_RECORD, BAD_EPOCH, OUT_OF_ORDER))


# --------------------------------------------------- several, and in order

@rows("one-bad-partition/%s", ["crc", "unknown", "two-batches", "count",
                               "control", "codec-7", "empty", "gap"])
def one_bad(kind):
    t = new_topic(5)
    with Conn() as c:
        pid, epoch = new_pid(c)
        bad = {"crc": R.batch(ONE, crc=1), "unknown": R.batch(ONE),
               "two-batches": R.batch(ONE) * 2,
               "count": R.batch(ONE, count=9),
               "control": R.batch(ONE, attrs=R.CONTROL),
               "codec-7": R.batch(ONE, 7, packed=b"zz"), "empty": b"",
               "gap": R.batch(ONE, pid=pid, epoch=epoch, seq=9)}[kind]
        want = {"crc": CORRUPT, "unknown": UNKNOWN_TOPIC,
                "codec-7": UNKNOWN, "gap": OUT_OF_ORDER}.get(
                    kind, INVALID_RECORD)
        if kind == "gap":
            produce_ok(c, t, R.batch(ONE, pid=pid, epoch=epoch, seq=0),
                       part=2)
        before = [end_offset(c, t, i) for i in range(5)]
        index = [0, 1, 9 if kind == "unknown" else 2, 3, 4]
        ps = produced(c.call("Produce", 9, produce_body(
            [(t, i, bad if n == 2 else R.batch(ONE))
             for n, i in enumerate(index)])))
        got = {p["index"]: (p["error_code"], p["base_offset"]) for p in ps}
        eq(got, {i: (want, -1) if n == 2 else (0, 0)
                 for n, i in enumerate(index)}, "rows")
        eq([end_offset(c, t, i) - before[i] for i in range(5)],
           [3, 3, 0 if kind != "unknown" else 0, 3, 3], "growth")


@row("order/100-pipelined")
def pipelined():
    t = new_topic()
    with Conn() as c:
        for i in range(100):
            c.send("Produce", 9, produce_body(
                [(t, 0, R.batch(R.recs(2, ts=TS, tag=b"%03d" % i)))]))
        for i in range(100):
            p, = produced(c.recv())
            eq((p["error_code"], p["base_offset"]), (0, 2 * i),
               "answer %d" % i)
        vals = [r.value for r in read_all(c, t)]
        eq(vals, [r.value for i in range(100)
                  for r in R.recs(2, tag=b"%03d" % i)], "values")


@row("order/pipelined-acks-mixed")
def pipelined_acks():
    """acks 0, 1 and -1 on one connection keep the log in their order."""
    t = new_topic()
    with Conn() as c:
        for i in range(60):
            body = produce_body([(t, 0, R.batch(
                R.recs(1, ts=TS, tag=b"%03d" % i)))], (0, 1, -1)[i % 3])
            if i % 3:
                c.send("Produce", 9, body)
            else:
                c.send_frame(c.build("Produce", 9, body)[0])
        for i in range(60):
            if i % 3:
                p, = produced(c.recv())
                eq((p["error_code"], p["base_offset"]), (0, i),
                   "answer %d" % i)
        wait_end(c, t, 60)
        eq([r.value[:3] for r in read_all(c, t)],
           [b"%03d" % i for i in range(60)], "order")


@row("order/mixed-requests")
def mixed():
    """A produce, then a fetch that needs it, then two of other kinds, over
    and over, all sent before anything is read."""
    t = new_topic()
    with Conn() as c:
        for i in range(25):
            c.send("Produce", 9, produce_body([(t, 0, R.batch(ONE))]))
            c.send("Fetch", 11, fetch_body([(t, 0, 3 * i)], max_wait=30000))
            c.send("Metadata", 9, {"topics": [{"name": t.name}]})
            c.send("ListOffsets", 5, {"replica_id": -1, "topics": [
                {"name": t.name, "partitions": [
                    {"partition_index": 0, "timestamp": -2}]}]})
        for i in range(25):
            p, = produced(c.recv())
            eq((p["error_code"], p["base_offset"]), (0, 3 * i), "produce")
            f, = fetched(c.recv())
            eq(f["error_code"], 0, "fetch")
            got = R.all_records(f["records"])
            eq(got[0].offset, 3 * i, "first offset fetched")
            eq(c.recv()["topics"][0]["name"], t.name, "metadata")
            p, = c.recv()["topics"][0]["partitions"]
            eq((p["error_code"], p["offset"]), (0, 0), "earliest")


@row("order/errors-between")
def errors_between():
    t = new_topic()
    with Conn() as c:
        for i in range(40):
            c.send("Produce", 9, produce_body([(t, 0, R.batch(
                ONE, crc=1 if i % 2 else None))]))
        for i in range(40):
            p, = produced(c.recv())
            eq((p["error_code"], p["base_offset"]),
               (CORRUPT, -1) if i % 2 else (0, 3 * (i // 2)),
               "answer %d" % i)


@row("order/large-and-small")
def large_small():
    """A megabyte before a few bytes: the small one must wait its turn."""
    t = new_topic(2)
    big = R.batch([R.Rec(b"k", b"x" * 900000, TS)])
    with Conn() as c:
        for i in range(20):
            c.send("Produce", 9, produce_body(
                [(t, i % 2, R.batch(ONE[:1]) if i % 2 else big)]))
        for i in range(20):
            p, = produced(c.recv())
            eq((p["index"], p["error_code"], p["base_offset"]),
               (i % 2, 0, i // 2), "answer %d" % i)


@row("order/two-connections")
def two_connections():
    """Offsets are handed out once over all connections."""
    t = new_topic()
    with Conn() as a, Conn() as b:
        for i in range(50):
            for n, c in enumerate((a, b)):
                c.send("Produce", 9, produce_body([(t, 0, R.batch(
                    R.recs(1, ts=TS, tag=b"%d-%03d" % (n, i))))]))
        offs = []
        for c in (a, b):
            mine = [produced(c.recv())[0] for _ in range(50)]
            eq([p["error_code"] for p in mine], [0] * 50, "errors")
            o = [p["base_offset"] for p in mine]
            eq(o, sorted(o), "offsets of one connection")
            offs.append(o)
        eq(sorted(offs[0] + offs[1]), list(range(100)), "offsets of both")
        got = read_all(a, t)
        for n in (0, 1):
            eq([r.value[:5] for r in got if r.offset in set(offs[n])],
               [b"%d-%03d" % (n, i) for i in range(50)],
               "order of connection %d" % n)


@row("many/200-partitions-in-a-request")
def many_parts():
    t = new_topic(200)
    with Conn() as c:
        ps = produced(c.call("Produce", 9, produce_body(
            [(t, i, R.batch(ONE)) for i in range(200)])))
        eq(sorted((p["index"], p["error_code"], p["base_offset"])
                  for p in ps), [(i, 0, 0) for i in range(200)], "rows")


# --------------------------------------------------------------- old forms

def check_old(got, recs, magic, what):
    """Records that were produced in an old form, read in the new one."""
    eq([r.offset for r in got], list(range(len(recs))), what + ": offsets")
    for g, r in zip(got, recs):
        eq((g.key, g.value), (r.key, r.value), what)
        eq(g.ts, -1 if magic == 0 else r.ts, what + ": timestamp")


@rows("old/produce-v%d/magic-%d/%d-%s", [
    (v, m, c, n) for v, m in ((0, 0), (1, 0), (2, 0), (2, 1))
    for c, n in OLD_CODECS])
def old_produce(v, magic, codec, name):
    need("Produce", v)
    t = new_topic()
    recs = [R.Rec(b"k%d" % i, b"value %d" % i * 9, TS + i)
            for i in range(5)]
    recs[1].key = None
    recs[2].value = None
    recs[3].key = b""
    data = R.message_set(recs, magic, codec)
    with Conn() as c:
        produce_ok(c, t, data, 0, version=v)
        produce_ok(c, t, data, 5, version=v)
        bs = R.read_set(fetch(c, t, version=11)["records"])
        for b in bs:
            eq(b.magic, 2, "magic as stored")
            eq(b.codec, codec, "codec as stored")
        check_old([r for b in bs for r in b.records], recs * 2, magic,
                  "fetch v11")
        for fv in (0, 1, 2, 3, 4):
            if need("Fetch", fv) < 4:
                got = read_all(c, t, version=fv)
                eq([(g.key, g.value, g.offset) for g in got],
                   [(r.key, r.value, i) for i, r in enumerate(recs * 2)],
                   "fetch v%d" % fv)
                if fv >= 2 and magic == 1:
                    eq([g.ts for g in got], [r.ts for r in recs * 2],
                       "timestamps of fetch v%d" % fv)


@rows("old/fetch-v%d/%d-%s", [(v, c, n) for v in range(4)
                              for c, n in OLD_CODECS])
def old_fetch(v, codec, name):
    """New batches for old readers: headers drop out, the rest stays."""
    need("Fetch", v)
    t = new_topic()
    recs = R.recs(20, 50, ts=TS)
    recs[4].headers = [("h", b"x")]
    recs[5].key = None
    recs[6].value = None
    with Conn() as c:
        produce_ok(c, t, R.batch(recs, codec), 0)
        produce_ok(c, t, R.batch(recs[:7], codec), 20)
        got = read_all(c, t, version=v)
        same_records(got, at(recs, 0) + at(recs[:7], 20), "records",
                     1 if v >= 2 else 0)
        # From the middle of a batch on: no offset may be missing.
        got = [r for r in read_all(c, t, offset=13, version=v)]
        eq([r.offset for r in got], list(range(13, 27)), "offsets from 13")


@rows("old/fetch-v%d-of-zstd-%s", [(v, k) for k in ("batch", "topic")
                                   for v in range(10)])
def old_fetch_zstd(v, kind):
    """Before v10 no reader knows zstd.  What has to be converted down (v0-3)
    cannot be; as it is, Kafka 4 hands it out and 3.9 does for a batch."""
    need("Fetch", v)
    t = new_topic(1, {"compression.type": "zstd"} if kind == "topic" else {},
                  config_may_fail=True)
    with Conn() as c:
        produce_ok(c, t, R.batch(ONE, 4), 0)
        p = fetch(c, t, version=v)
        if v >= 4 and p["error_code"] == 0:
            same_records(R.all_records(p["records"]), at(ONE, 0), "records")
            return
        eq(p["error_code"], BAD_COMPRESSION, "error")
        eq(p["records"] or b"", b"", "records")


@row("old/v0-wrapper-offsets-kept-in-order")
def old_v0_wrapper():
    """Absolute inner offsets start anywhere; the broker gives new ones."""
    need("Produce", 0)
    t = new_topic()
    recs = R.recs(4, ts=TS)
    with Conn() as c:
        produce_ok(c, t, R.message_set(recs, 0, 1, first=500), 0, version=1)
        eq([(r.offset, r.value) for r in read_all(c, t)],
           [(i, r.value) for i, r in enumerate(recs)], "records")


@row("old/many-messages-one-set")
def old_many():
    need("Produce", 2)
    t = new_topic()
    recs = R.recs(500, 30, ts=TS)
    with Conn() as c:
        produce_ok(c, t, R.message_set(recs, 1), 0, version=2)
        same_records(read_all(c, t), at(recs, 0), "records")


@rows("old/batch-of-magic-2-in-v%d", [0, 1, 2])
def old_new_batch(v):
    need("Produce", v)
    taken_or_refused(new_topic(), R.batch(ONE), (INVALID_RECORD, ), ONE,
                     version=v)


@rows("old/empty-set-in-v%d", [0, 1, 2])
def old_empty(v):
    need("Produce", v)
    t = new_topic()
    with Conn() as c:
        p = produce(c, t, b"", version=v)
        isin(p["error_code"], (0, INVALID_RECORD), "error")
        eq(p["base_offset"], -1, "base offset")
        eq(end_offset(c, t), 0, "end offset")


@rows("old/bad/%s", ["crc", "crc-inner", "truncated", "length-13",
                     "length-minus-1", "key-over", "key-minus-2",
                     "value-over", "garbage-gzip", "garbage-snappy",
                     "garbage-lz4", "wrapper-of-wrapper", "wrapper-null",
                     "wrapper-empty", "codec-5", "bytes-left",
                     "lz4-bad-header", "mixed-magic"])
def old_bad(kind):
    need("Produce", 2)
    t = new_topic()
    r = ONE[0]
    good = R.message(r, 1)
    head = b"\x01\x00" + struct.pack(">q", TS)
    wants = (CORRUPT, INVALID_RECORD, UNKNOWN)

    def raw(body, crc=None):
        import zlib
        c = zlib.crc32(body) if crc is None else crc
        return struct.pack(">qiI", 0, len(body) + 4, c) + body

    def wrap(codec, packed):
        return R.message(R.Rec(None, packed, TS), 1, codec)

    v = 2
    data = {
        "crc": lambda: R.message(r, 1, crc=1),
        "crc-inner": lambda: wrap(1, R.gzip_pack(R.message(r, 1, crc=1))),
        "truncated": lambda: good[:-3],
        "length-13": lambda: R.message(r, 1, length=13),
        "length-minus-1": lambda: R.message(r, 1, length=-1),
        "key-over": lambda: raw(head + struct.pack(">i", 99) + b"k" * 10),
        "key-minus-2": lambda: raw(head + struct.pack(">ii", -2, -1)),
        "value-over": lambda: raw(head + struct.pack(">ii", -1, 50) +
                                  b"v" * 10),
        "garbage-gzip": lambda: wrap(1, b"garbage!" * 3),
        "garbage-snappy": lambda: wrap(2, b"garbage!" * 3),
        "garbage-lz4": lambda: wrap(3, b"garbage!" * 3),
        "wrapper-of-wrapper": lambda: wrap(1, R.gzip_pack(wrap(
            1, R.gzip_pack(good)))),
        "wrapper-null": lambda: wrap(1, None),
        "wrapper-empty": lambda: wrap(1, R.gzip_pack(b"")),
        "codec-5": lambda: wrap(5, b"xxxx"),
        "bytes-left": lambda: raw(head + struct.pack(">ii", -1, -1) +
                                  b"zzz"),
        "lz4-bad-header": lambda: wrap(3, R.lz4_pack(good,
                                                     bad_header=True)),
        "mixed-magic": lambda: good + R.message(r, 0),
    }[kind]()
    # An entry that is cut short is no entry: the set is empty then.
    if kind == "truncated":
        with Conn() as c:
            p = produce(c, t, data, version=v)
            isin(p["error_code"], (0, ) + wants, "error")
            eq((p["base_offset"], end_offset(c, t)), (-1, 0), "offsets")
        return
    # These Kafka stores; so may others, as long as it can be read again.
    if kind in ("bytes-left", "key-minus-2", "mixed-magic"):
        taken_or_refused(t, data, wants, version=v)
        with Conn() as c:
            read_all(c, t)
        return
    refused(t, data, wants, v)


@row("old/two-wrappers-in-a-set")
def old_two_wrappers():
    """More than one entry is a matter of course in the old formats, but
    not of compressed ones (Kafka refuses those)."""
    need("Produce", 2)
    t = new_topic()
    recs = R.recs(3, ts=TS)
    data = R.message_set(recs, 1, 1) + R.message_set(recs, 1, 1, first=3)
    with Conn() as c:
        p = produce(c, t, data, version=2)
        isin(p["error_code"], (0, INVALID_RECORD), "error")
        if p["error_code"] == 0:
            eq([r.value for r in read_all(c, t)],
               [r.value for r in recs] * 2, "values")
        else:
            eq(end_offset(c, t), 0, "end offset")


@row("old/log-append-time")
def old_log_append():
    need("Produce", 2)
    t = new_topic(1, {"message.timestamp.type": "LogAppendTime"},
                  config_may_fail=True)
    with Conn() as c:
        for codec in (0, 1):
            p = produce_ok(c, t, R.message_set(ONE, 1, codec), 3 * codec,
                           version=2)
            ok(p["log_append_time_ms"] > TS, "log append time")
            b = R.read_set(fetch(c, t, 3 * codec)["records"])[0]
            ok(b.attrs & R.LOG_TIME, "the bit")
            eq(b.max_ts, p["log_append_time_ms"], "greatest timestamp")
            if kafka.E.ranges[1][0] <= 2:
                got = read_all(c, t, offset=3 * codec, version=2)
                eq([r.ts for r in got], [b.max_ts] * 3, "fetched by v2")


@row("old/compacted-null-key")
def old_null_key():
    need("Produce", 2)
    t = new_topic(1, {"cleanup.policy": "compact"}, config_may_fail=True)
    for codec in (0, 1):
        refused(t, R.message_set([R.Rec(b"k", b"v", TS),
                                  R.Rec(None, b"v", TS)], 1, codec),
                (INVALID_RECORD, ), 2)


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
