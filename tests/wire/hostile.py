# SPDX-License-Identifier: Apache-2.0
"""
Hostile and broken peers: frames that lie, bodies that end early, nulls and
counts that cannot be, requests that trickle in byte by byte, thousands of
mutations, clients that never read.  After each of them the broker answers a
newcomer, keeps what it had, and is the same process (faults.md H1-H6, H18,
N1, N5).
"""
import os
import random
import re
import select
import socket
import struct

import kafka
import records as R
import schema
from kafka import (E, INVALID_TOPIC, KAFKA, NO_ID, RUN, UNKNOWN_TOPIC, Closed,
                   Conn, Fail, Skip, Topic, create, end_offset, eq, fetch,
                   fetch_body, fetched, fresh_name, isin, made, metadata,
                   need, new_topic, ok, produce, produce_body, produce_ok,
                   produced, read_all, roundtrip, row, rows, ver)
from samples import ALL, SCOPE, Sample
from samples_group import ONCE
from schema import Raw, uvarint

WRAPS = "Kafka's varints wrap into negative numbers, which pass for null"
KAFKA_DIFFERS = {
    "compact-length/u32-max/Metadata/9/topics": ("all", WRAPS),
    "compact-length/33-bits/Metadata/9/topics": ("all", WRAPS),
    "tags/body/*/count-max": ("39", WRAPS),
    "name/32767/CreateTopics": ("all", "Kafka stumbles over it: -1"),
}

TS = kafka.TS
MUTATIONS = int(os.environ.get("CHRONIK_WIRE_MUTATIONS", "3000"))
SEED = int(os.environ.get("CHRONIK_WIRE_SEED", "1"))
APIS = schema.load() if schema.shared_dir() else {}
PIDS = [int(p) for p in os.environ.get("CHRONIK_WIRE_PIDS", "").split()]
KEEP = []


def canary():
    """A topic whose content must outlive everything here."""
    if not KEEP:
        t = new_topic(hint="canary")
        with Conn() as c:
            produce_ok(c, t, R.batch(R.recs(20, 50, ts=TS)), 0)
        KEEP.append(t)
    return KEEP[0]


def same_processes():
    for pid in PIDS:
        try:
            with open("/proc/%d/stat" % pid) as f:
                state = f.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            raise Fail("process %d is gone" % pid)
        ok(state not in "ZX", "process %d has died" % pid)


def alive():
    """Newcomers are answered, by whichever gateway takes them."""
    same_processes()
    t = canary()
    for _ in range(4):
        with Conn() as c:
            roundtrip(c)
            eq([r.value for r in read_all(c, t)],
               [r.value for r in R.recs(20, 50)], "the canary's records")


def status_kb(name):
    total = 0
    for pid in PIDS:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith(name + ":"):
                    total += int(line.split()[1])
    return total


def memory():
    """Resident kB of our processes; their peaks start anew from here."""
    for pid in PIDS:
        try:
            with open("/proc/%d/clear_refs" % pid, "w") as f:
                f.write("5")
        except OSError:
            pass
    return status_kb("VmRSS")


def grown_since(before, most):
    """The peak since memory() was asked, where it says anything: a sanitizer
    keeps what has been freed."""
    for pid in PIDS:
        with open("/proc/%d/maps" % pid) as f:
            if re.search(r"lib[atm]san|\bubsan", f.read()):
                return
    grown = status_kb("VmHWM") - before
    ok(grown < most, "grown by %d kB, %d allowed" % (grown, most))


def closes(data, what=None):
    with Conn() as c:
        try:
            c.send_raw(data)
        except Closed:
            return
        c.expect_close(what or "after %d bytes" % len(data))


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


# ------------------------------------------------------------------ frames

@rows("frame/length/%d", [0, -1, -2, -0x80000000, 0x7fffffff, 0x7ffffffe,
                          0x40000000, 104857601])
def bad_length(n):
    closes(struct.pack(">i", n), "length %d" % n)
    closes(struct.pack(">i", n) + b"\0\x12\0\0\0\0\0\1\0\0" * 10,
           "length %d" % n)
    alive()


@rows("frame/short/%d", list(range(1, 10)))
def short_frame(n):
    """Too short for a header."""
    closes(frame((b"\0\x12\0\0\0\0\0\1\0\5" + b"a" * 9)[:n]))


@row("frame/100-MiB-is-allowed")
def big_frame():
    """The greatest length is waited for, and costs nothing before it
    comes."""
    before = memory()
    # Kafka makes room for the whole frame at once.
    conns = [Conn() for _ in range(1 if KAFKA else 20)]
    try:
        for c in conns:
            c.send_raw(struct.pack(">i", 104857600) +
                       b"\0\0\0\x09\0\0\0\1\0\1x\0" + b"\0" * 1000)
        for _ in range(20):
            roundtrip()
        for c in conns:
            ok(not c.readable(), "closed, or answered")
        grown_since(before, 200000)
    finally:
        for c in conns:
            c.close()
    alive()


@rows("frame/other-protocol/%s", ["http", "tls", "redis", "ssh", "amqp",
                                  "zeros", "ones"])
def other(kind):
    closes({
        "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "tls": bytes.fromhex("1603010200010001fc0303") + bytes(300),
        "redis": b"*1\r\n$4\r\nPING\r\n", "ssh": b"SSH-2.0-x\r\n",
        "amqp": b"AMQP\0\0\x09\x01", "zeros": bytes(64),
        "ones": b"\xff" * 64}[kind])


@rows("frame/cut/%d", [0, 1, 3, 4, 5, 8, 13, 20, -1])
def cut(n):
    """The peer goes away in the middle of a frame."""
    with Conn() as c:
        data = frame(c.build("Metadata", 9, {"topics": None})[0])
        c.send_raw(data[:n])
        c.sock.shutdown(socket.SHUT_WR)
        c.expect_close()
    with Conn() as c:
        c.send_raw(data[:n])
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    alive()


@row("frame/40-MB-produce")
def big_produce():
    t = new_topic(40)
    data = R.batch([R.Rec(b"k", b"x" * 1000000, TS)])
    with Conn() as c:
        ps = produced(c.call("Produce", 9, produce_body(
            [(t, i, data) for i in range(40)])))
        eq({(p["error_code"], p["base_offset"]) for p in ps}, {(0, 0)},
           "rows")
        same_processes()
    alive()


@row("frame/3-MB-of-names")
def big_metadata():
    names = ["%s-%026d" % (RUN, i) for i in range(60000)]
    with Conn() as c:
        r = metadata(c, names)
        eq(len(r["topics"]), len(names), "topics")
        eq({t["error_code"] for t in r["topics"]}, {UNKNOWN_TOPIC},
           "errors")


# -------------------------------------------------- bodies that end early

def flexible():
    return {(n, v) for n, v in ALL if APIS and APIS[n].req.flexible(v)}


def interesting():
    """First, first flexible and last version of every API."""
    out = []
    for name, lo, hi in SCOPE:
        vs = {lo, hi}
        for v in range(lo, hi + 1):
            if APIS and APIS[name].req.flexible(v):
                vs.update((v, max(lo, v - 1)))
                break
        out += [(name, v) for v in sorted(vs)]
    return out


@rows("truncated/%s/v%d", [(n, v) for n, v in ALL
                           if n != "ApiVersions" or v >= 3])
def truncated(name, v):
    """Cut at every field, and one byte into it: never an answer."""
    need(name, v)
    s = Sample(name, v)
    with Conn() as c:
        data, _, marks = c.build(name, v, s.body)
    cuts = set(marks) | {m + 1 for m in marks} | {len(data) - 1}
    for n in sorted(x for x in cuts if x < len(data)):
        closes(frame(data[:n]), "%s v%d cut at %d of %d" %
               (name, v, n, len(data)))
    roundtrip()


# ------------------------------------------------- what may not be, is sent

def null_cases():
    out = []
    for name, v, path in (
            ("Produce", 3, "topic_data"), ("Produce", 9, "topic_data"),
            ("Produce", 3, "topic_data.name"),
            ("Produce", 9, "topic_data.name"),
            ("Produce", 9, "topic_data.partition_data"),
            ("Fetch", 4, "topics"), ("Fetch", 12, "topics"),
            ("Fetch", 4, "topics.topic"), ("Fetch", 12, "topics.topic"),
            ("Fetch", 4, "topics.partitions"),
            ("Fetch", 11, "rack_id"), ("Fetch", 12, "rack_id"),
            ("Fetch", 7, "forgotten_topics_data"),
            ("Fetch", 12, "forgotten_topics_data"),
            ("ListOffsets", 1, "topics"), ("ListOffsets", 6, "topics"),
            ("ListOffsets", 1, "topics.name"),
            ("ListOffsets", 6, "topics.name"),
            ("ListOffsets", 6, "topics.partitions"),
            ("Metadata", 0, "topics"), ("Metadata", 1, "topics.name"),
            ("Metadata", 9, "topics.name"),
            ("CreateTopics", 2, "topics"), ("CreateTopics", 5, "topics"),
            ("CreateTopics", 2, "topics.name"),
            ("CreateTopics", 5, "topics.name"),
            ("CreateTopics", 5, "topics.configs"),
            ("CreateTopics", 2, "topics.assignments"),
            ("CreateTopics", 7, "topics.configs.name"),
            ("DeleteTopics", 1, "topic_names"),
            ("DeleteTopics", 4, "topic_names"),
            ("DeleteTopics", 6, "topics"),
            ("JoinGroup", 0, "group_id"), ("JoinGroup", 6, "protocols"),
            ("JoinGroup", 6, "member_id"), ("JoinGroup", 3, "protocols.name"),
            ("JoinGroup", 3, "protocols.metadata"),
            ("SyncGroup", 0, "assignments"), ("SyncGroup", 4, "group_id"),
            ("SyncGroup", 4, "member_id"), ("Heartbeat", 0, "group_id"),
            ("Heartbeat", 4, "member_id"), ("LeaveGroup", 0, "member_id"),
            ("LeaveGroup", 4, "members"), ("LeaveGroup", 4, "group_id"),
            ("LeaveGroup", 4, "members.member_id"),
            ("OffsetCommit", 2, "topics"), ("OffsetCommit", 8, "group_id"),
            ("OffsetCommit", 8, "topics.name"),
            ("OffsetCommit", 8, "topics.partitions"),
            ("OffsetFetch", 1, "topics"), ("OffsetFetch", 6, "group_id"),
            ("OffsetFetch", 6, "topics.partition_indexes"),
            ("OffsetFetch", 8, "groups"), ("OffsetFetch", 8,
                                           "groups.group_id"),
            ("FindCoordinator", 0, "key"), ("FindCoordinator", 4,
                                            "coordinator_keys"),
            ("DescribeGroups", 0, "groups"), ("DescribeGroups", 5, "groups"),
            ("ListGroups", 4, "states_filter"),
            ("ListGroups", 5, "types_filter"),
            ("DeleteGroups", 0, "groups_names"),
            ("DeleteGroups", 2, "groups_names"),
            ("OffsetDelete", 0, "group_id"), ("OffsetDelete", 0, "topics"),
            ("OffsetDelete", 0, "topics.partitions"),
            ("ApiVersions", 3, "client_software_name"),
            ("ApiVersions", 3, "client_software_version")):
        out.append((name, v, path))
    return out


def with_raw(body, fields, path, raw):
    """The body with raw bytes in place of one field; (body, field)."""
    head, _, rest = path.partition(".")
    f, = [x for x in fields if x.name == head]
    out = dict(body)
    if rest:
        inner = list(out[head])
        inner[0], f = with_raw(inner[0], f.struct, rest, raw)
        out[head] = inner
        return out, f
    out[head] = raw(f)
    return out, f


def send_raw_field(name, v, path, raw):
    need(name, v)
    s = Sample(name, v)
    fields = E.apis[name].req.at(v).fields
    body, _ = with_raw(s.body, fields, path, raw)
    with Conn() as c:
        return frame(c.build(name, v, body)[0])


@rows("null/%s/v%d/%s", null_cases())
def nulls(name, v, path):
    """Null where none may be."""
    flex = E.apis[name].req.flexible(v)

    def raw(f):
        if flex:
            return Raw(b"\0")
        return Raw(b"\xff\xff\xff\xff" if f.is_array else b"\xff\xff")

    closes(send_raw_field(name, v, path, raw), "null %s" % path)
    roundtrip()


@rows("length-minus-2/%s/v%d/%s", [c for c in null_cases()
                                   if c[:2] not in flexible()])
def minus_two(name, v, path):
    """A length below null; compact lengths have no sign."""
    closes(send_raw_field(name, v, path, lambda f: Raw(
        struct.pack(">i" if f.is_array else ">h", -2))), "-2 at %s" % path)
    roundtrip()


def count_cases():
    return [c + (n, ) for c in null_cases() if not c[2].endswith(
        ("name", "topic", "version", "rack_id", "group_id", "member_id",
         ".metadata", "key"))
        for n in ("max", "20M", "left+1")]


@rows("count/%s/v%d/%s/%s", count_cases())
def counts(name, v, path, kind):
    """More elements than there are bytes left."""
    flex = E.apis[name].req.flexible(v)
    n = {"max": 0x7fffffff, "20M": 20000000, "left+1": 100000}[kind]

    def raw(f):
        return Raw(uvarint(min(n + 1, 0xffffffff)) if flex
                   else struct.pack(">i", n))

    closes(send_raw_field(name, v, path, raw), "%d at %s" % (n, path))
    roundtrip()


@rows("compact-length/%s/%s", [
    (k, p) for k in ("u32-max", "ten-bytes", "eleven-bytes", "33-bits")
    for p in ("Produce/9/topic_data", "Produce/9/topic_data.name",
              "Metadata/9/topics", "Fetch/12/rack_id",
              "CreateTopics/5/topics.name", "ListOffsets/6/topics")])
def compact(kind, where):
    name, v, path = where.split("/")
    raw = {"u32-max": b"\xff\xff\xff\xff\x0f",
           "ten-bytes": b"\xff" * 9 + b"\x01",
           "eleven-bytes": b"\xff" * 10 + b"\x01",
           "33-bits": b"\x80\x80\x80\x80\x7f"}[kind]
    data = send_raw_field(name, int(v), path, lambda f: Raw(raw))
    closes(data, "%s at %s" % (kind, path))
    roundtrip()


@rows("string-over/%s/v%d/%s", [c for c in null_cases() if c[2].endswith(
    ("name", "topic", "version", "rack_id"))])
def string_over(name, v, path):
    """A string longer than its frame."""
    flex = E.apis[name].req.flexible(v)
    closes(send_raw_field(name, v, path, lambda f: Raw(
        uvarint(30001) + b"a" if flex else struct.pack(">h", 30000) +
        b"a")), "30000 at %s" % path)


@rows("records-over/v%d", [3, 9, 13])
def records_over(v):
    for n in (0x7fffffff, 1 << 20, 400):
        raw = uvarint(n + 1) if v >= 9 else struct.pack(">i", n)
        need("Produce", v)
        t = new_topic()
        body = produce_body([(t, 0, Raw(raw + R.batch(R.recs(1))))])
        with Conn() as c:
            data = frame(c.build("Produce", v, body)[0])
        closes(data, "records of %d" % n)
        with Conn() as c:
            eq(end_offset(c, t), 0, "end offset")


# -------------------------------------------------------------------- tags

TAGGED = ["ApiVersions/3", "Produce/9", "Fetch/12", "Fetch/18",
          "Metadata/9", "ListOffsets/6", "CreateTopics/5",
          "DeleteTopics/4", "InitProducerId/2"]


def tag_frames(where, raw, in_header):
    name, v = where.split("/")
    v = need(name, int(v))
    s = Sample(name, v)
    with Conn() as c:
        if not in_header:
            return frame(c.build(name, v, dict(s.body,
                                               _tags=Raw(raw)))[0])
        data, _, marks = c.build(name, v, s.body)
        return frame(data[:marks[0] - 1] + raw + data[marks[0]:])


@rows("tags/%s/%s/%s", [(k, p, w) for k in ("header", "body")
                        for w in ("count-over", "count-20M", "count-max",
                                  "size-over", "size-max", "varint-long",
                                  "cut")
                        for p in TAGGED])
def bad_tags(place, where, kind):
    """What claims more than the frame holds."""
    raw = {"count-over": b"\x05\x63\0", "count-20M": uvarint(20000000),
           "count-max": b"\xff\xff\xff\xff\x0f",
           "size-over": b"\x01\x63\xff\xff\x03ab",
           "size-max": b"\x01\x63\xff\xff\xff\xff\x0f",
           "varint-long": b"\xff" * 10, "cut": b"\x01"}[kind]
    data = tag_frames(where, raw, place == "header")
    if place == "header":
        # What follows must not make up for it.
        data = frame(data[4:4 + data.index(raw) - 4 + len(raw)])
    closes(data, kind)
    roundtrip()


@rows("tags/20-million/%s", ["Metadata/9", "ApiVersions/3", "Produce/9"])
def many_tags(where):
    """Each is legal by itself; none may cost memory of its own."""
    if KAFKA:
        raise Skip("a broker that makes an object of each would be killed")
    before = memory()
    data = tag_frames(where, uvarint(20000000) + b"\x63\0" * 20000000,
                      False)
    with Conn() as c:
        try:
            c.send_raw(data)
            c.recv_frame()
        except Closed:
            pass
        grown_since(before, 4 * len(data) // 1024 + 32768)
    alive()


@rows("tags/odd/%s/%s", [(k, p) for k in ("twice", "descending", "many")
                         for p in TAGGED])
def odd_tags(kind, where):
    """Harmless nonsense: an answer or a close."""
    raw = {"twice": b"\x02\x63\0\x63\0", "descending": b"\x02\x64\0\x63\0",
           "many": uvarint(10000) + b"".join(
               uvarint(100 + i) + b"\0" for i in range(10000))}[kind]
    with Conn() as c:
        try:
            c.send_raw(tag_frames(where, raw, False))
            c.recv_frame()
        except Closed:
            ok(kind != "many", "closed for tags in good order")
    roundtrip()


@rows("tags/known-but-wrong/%d", [0, 1])
def wrong_tag(tag):
    """Fetch's own tags 0 (a string) and 1 (a struct) with bad content."""
    v = need("Fetch", 15)
    for raw in (b"", b"\x7f", b"\xff\xff\xff\xff\xff\xff", b"\x05abc"):
        data = tag_frames("Fetch/%d" % v, b"\x01" + bytes([tag]) +
                          uvarint(len(raw)) + raw, False)
        if KAFKA and tag == 0 and raw == b"":
            continue
        closes(data, "tag %d %r" % (tag, raw))
    roundtrip()


# --------------------------------------------------- bytes that trickle in

@rows("trickle/byte-by-byte/%s/v%d", interesting())
def trickle(name, v):
    need(name, v)
    s = Sample(name, v)
    with Conn() as c, Conn() as other:
        for again in range(2):
            data, corr, _ = c.build(name, v, s.body)
            for i, b in enumerate(frame(data)):
                c.send_raw(bytes([b]))
                if i % 16 == 0:
                    roundtrip(other)
            c.expect(name, v, corr)
            s.check(c.recv())
            s.remake()


@rows("trickle/split-everywhere/%s/v%d", interesting())
def split(name, v):
    """In two pieces, at every byte: the first is seen before the second
    is sent."""
    need(name, v)
    s = Sample(name, v)
    with Conn() as c, Conn() as other:
        size = len(c.build(name, v, s.body)[0]) + 4
        step = 3 if name in ("CreateTopics", "DeleteTopics") + ONCE else 1
        for n in range(1, size, step):
            data, corr, _ = c.build(name, v, s.body)
            data = frame(data)
            c.send_raw(data[:n])
            roundtrip(other)
            c.send_raw(data[n:])
            c.expect(name, v, corr)
            s.check(c.recv())
            s.remake()


@row("trickle/several-in-one-piece")
def joined():
    """Many requests in one write, and the last one cut."""
    t = new_topic()
    with Conn() as c:
        out = b""
        for i in range(50):
            for name, v, body in (
                    ("Produce", 9, produce_body([(t, 0, R.batch(
                        R.recs(1)))])),
                    ("ApiVersions", 0, {}),
                    ("Metadata", 9, {"topics": []})):
                data, corr, _ = c.build(name, v, body)
                c.expect(name, v, corr)
                out += frame(data)
        c.send_raw(out[:-5])
        roundtrip()
        c.send_raw(out[-5:])
        for i in range(50):
            p, = produced(c.recv())
            eq((p["error_code"], p["base_offset"]), (0, i), "produce")
            c.recv()
            c.recv()


@row("trickle/big-produce-in-odd-pieces")
def trickle_big():
    t = new_topic(3)
    recs = [[R.Rec(b"%d" % i, os.urandom(200000), TS)] for i in range(3)]
    with Conn() as c, Conn() as other:
        data, corr, _ = c.build("Produce", 9, produce_body(
            [(t, i, R.batch(r)) for i, r in enumerate(recs)]))
        data = frame(data)
        rnd = random.Random(SEED)
        pos = 0
        while pos < len(data):
            n = rnd.choice((1, 7, 61, 4096, 4097, 30000, 65536))
            c.send_raw(data[pos:pos + n])
            pos += n
            roundtrip(other)
        c.expect("Produce", 9, corr)
        eq([(p["error_code"], p["base_offset"]) for p in
            produced(c.recv())], [(0, 0)] * 3, "rows")
        for i in range(3):
            eq(read_all(c, t, i)[0].value, recs[i][0].value, "value")


# ------------------------------------------------------------------- names

BAD_NAMES = {
    "traversal": "../../../../etc/passwd", "dots": "..", "dot": ".",
    "250": "x" * 250, "32767": "x" * 32767, "nul": "a\0b",
    "newline": "a\nlevel=error msg=\"FAKE-LOG-LINE\"",
    "escape": "\x1b]0;owned\x07\x1b[31m", "not-utf8": b"\xff\xfe\xfd",
    "overlong": b"\xc0\xae\xc0\xae/", "surrogate": b"\xed\xa0\x80",
    "format": "%s%n%x%d", "shell": "$(reboot);`id`|&", "empty": ""}


@rows("name/%s/%s", [(k, a) for k in sorted(BAD_NAMES)
                     for a in ("Metadata", "MetadataAuto", "Produce",
                               "Fetch", "ListOffsets", "CreateTopics",
                               "DeleteTopics")])
def bad_name(kind, api):
    """No such topic, or no such name; never a file."""
    name = BAD_NAMES[kind]
    t = Topic(name, NO_ID, 1)
    wants = (UNKNOWN_TOPIC, INVALID_TOPIC)
    with Conn() as c:
        if api.startswith("Metadata"):
            code = metadata(c, [name], 9, api != "Metadata")["topics"][0][
                "error_code"]
            wants = (INVALID_TOPIC, )
        elif api == "Produce":
            code = produce(c, t, R.batch(R.recs(1)))["error_code"]
        elif api == "Fetch":
            code = fetch(c, t)["error_code"]
        elif api == "ListOffsets":
            code = kafka.list_offset(c, t, -1)["error_code"]
        elif api == "CreateTopics":
            code = create(c, name)["error_code"]
            wants = (INVALID_TOPIC, )
        else:
            r = c.call("DeleteTopics", 5, {"topic_names": [name],
                                           "timeout_ms": 1000})
            code = r["responses"][0]["error_code"]
        isin(code, wants, "error")
        roundtrip(c)


@rows("client-id/%s", ["newline", "escape", "nul", "not-utf8", "32767"])
def bad_client(kind):
    cid = {"newline": "x\nlevel=error msg=\"FAKE-LOG-LINE\"",
           "escape": "\x1b[2J\x1b[31m", "nul": "a\0b",
           "not-utf8": b"\xff\xfe\xfd", "32767": "y" * 32767}[kind]
    t = canary()
    with Conn(client_id=cid) as c:
        roundtrip(c)
        eq(len(read_all(c, t)), 20, "records")
        # ... and once more where a log line is likely: before a close.
        c.send_frame(struct.pack(">hhi", 999, 0, 1) + b"\0\1x")
        c.expect_close()
    with Conn(client_id=cid) as c:
        c.send("Metadata", 9, {"topics": Raw(b"\xff" * 10)})
        c.expect_close()
    roundtrip()


# --------------------------------------------------------------- mutations

VALUES = [0, 1, -1, -2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
          0x7fffffff, -0x80000000, 0x7fffffffffffffff, -(1 << 63)]


def mutate(rnd, data, first, marks):
    """One to four changes at or after position first."""
    out = bytearray(data)
    for _ in range(rnd.randrange(1, 5)):
        if len(out) <= first:
            break
        at = rnd.choice(marks) if marks and rnd.random() < .5 else \
            rnd.randrange(first, len(out))
        at = min(max(at, first), len(out) - 1)
        what = rnd.randrange(8)
        if what == 0:
            out[at] ^= 1 << rnd.randrange(8)
        elif what == 1:
            out[at] = rnd.choice((0, 1, 0x7f, 0x80, 0xff))
        elif what == 2:
            fmt = rnd.choice(("h", "i", "q"))
            n = struct.calcsize(fmt)
            b = struct.pack(">Q", rnd.choice(VALUES) & (1 << 64) - 1)[-n:]
            out[at:at + n] = b
        elif what == 3:
            del out[at:]
        elif what == 4:
            del out[at:at + rnd.randrange(1, 9)]
        elif what == 5:
            out[at:at] = rnd.randbytes(rnd.randrange(1, 9))
        elif what == 6:
            n = rnd.randrange(1, 40)
            out[at:at] = out[at:at + n]
        else:
            out[at:at + 4] = rnd.randbytes(4)
    return bytes(out)


def drain(c, name, v, sent):
    """Whatever has come must be an answer to what was sent."""
    while select.select([c.sock], [], [], 0)[0]:
        try:
            c.fill()
        except Closed:
            break
    if len(c.inbuf) >= 8:
        size, corr = struct.unpack_from(">ii", c.inbuf)
        eq(corr, struct.unpack_from(">i", sent, 4)[0], "correlation id")
        if len(c.inbuf) >= 4 + size and \
                sent[:4] == struct.pack(">hh", E.apis[name].key, v):
            c.decode(name, v, corr, c.recv_frame())


def topics_now():
    with Conn() as c:
        return {t["name"] for t in metadata(c, None)["topics"]}


@rows("mutate/requests/%d", list(range(max(1, MUTATIONS // 100))))
def mutate_requests(n):
    """A hundred mutations of requests of every API and version."""
    rnd = random.Random(SEED * 1000003 + n)
    before = topics_now()
    todo = [(a, v) for a, v in ALL
            if E.ranges.get(E.apis[a].key, (0, -1))[0] <= v <=
            E.ranges.get(E.apis[a].key, (0, -1))[1]]
    conns = []
    try:
        for i in range(100):
            name, v = rnd.choice(todo)
            body = light_body(name, v)
            c = Conn()
            data, _, marks = c.build(name, v, body)
            first = 4 if rnd.random() < .1 else 8
            if rnd.random() < .05:
                first = 0
            data = mutate(rnd, data, first, marks)
            c.sent = (name, v, data)
            conns.append(c)
            try:
                c.send_frame(data)
            except Closed:
                pass
        alive()
        for c in conns:
            if len(c.sent[2]) >= 8:
                try:
                    drain(c, *c.sent)
                except Fail as e:
                    raise Fail("%s v%d %s: %s" % (c.sent[:2] +
                                                  (c.sent[2].hex(), e)))
    finally:
        for c in conns:
            c.close()
        made.extend(topics_now() - before)
    alive()


def light_body(name, v):
    """A request that leaves little behind, and one topic for all."""
    t = canary()
    if name == "ApiVersions":
        return {"client_software_name": "wire",
                "client_software_version": "1"}
    if name == "Metadata":
        return {"topics": [{"name": t.name}, {"name": RUN + "-none"}],
                "allow_auto_topic_creation": False}
    if name == "Produce":
        u = scratch()
        data = R.batch(R.recs(2, ts=TS)) if v >= 3 else R.message_set(
            R.recs(2, ts=TS), 1 if v == 2 else 0)
        return produce_body([(u, 0, data), (u, 1, data)])
    if name == "Fetch":
        return fetch_body([(t, 0, 5)], max_wait=5)
    if name == "ListOffsets":
        return {"replica_id": -1, "topics": [
            {"name": t.name, "partitions": [
                {"partition_index": 0, "timestamp": TS,
                 "max_num_offsets": 2}]}]}
    if name == "CreateTopics":
        return {"topics": [{
            "name": RUN + "-mut", "num_partitions": -1,
            "replication_factor": 1, "assignments": [
                {"partition_index": 0, "broker_ids": [1]}],
            "configs": [{"name": "retention.ms", "value": "5"}]}],
            "timeout_ms": 1000, "validate_only": True}
    if name == "DeleteTopics":
        return {"topics": [{"name": RUN + "-none"}],
                "topic_names": [RUN + "-none", RUN + "-none2"],
                "timeout_ms": 1000}
    if name == "InitProducerId":
        return {"transactional_id": None, "transaction_timeout_ms": 1000}
    return light_group_body(name, v, t)


def light_group_body(name, v, t):
    """A group of its own for who would wait for others."""
    g = RUN + "-group"
    ts = [{"name": t.name, "topic_id": t.id, "partition_indexes": [0],
           "partitions": [{"partition_index": 0, "committed_offset": 1,
                           "committed_leader_epoch": -1,
                           "committed_metadata": "m"}]}]
    return {
        "OffsetCommit": {"group_id": g, "generation_id_or_member_epoch": -1,
                         "member_id": "", "topics": ts},
        "OffsetFetch": {"group_id": g, "topics": ts,
                        "groups": [{"group_id": g, "topics": ts}]},
        "FindCoordinator": {"key": g, "coordinator_keys": [g, "x"]},
        "JoinGroup": {"group_id": fresh_name("g"), "member_id": "",
                      "session_timeout_ms": 6000,
                      "rebalance_timeout_ms": 6000,
                      "protocol_type": "consumer",
                      "protocols": [{"name": "range", "metadata": b"ab"}]},
        "Heartbeat": {"group_id": g, "member_id": "m"},
        "LeaveGroup": {"group_id": g, "member_id": "m",
                       "members": [{"member_id": "m"}]},
        "SyncGroup": {"group_id": g, "member_id": "m", "assignments": [
            {"member_id": "m", "assignment": b"abc"}]},
        "DescribeGroups": {"groups": [g, "x"]},
        "ListGroups": {"states_filter": ["Stable"], "types_filter": []},
        "DeleteGroups": {"groups_names": [g, "x"]},
        "OffsetDelete": {"group_id": g, "topics": ts},
    }.get(name, {})


SCRATCH = []


def scratch():
    if not SCRATCH:
        SCRATCH.append(new_topic(2, hint="scratch"))
    return SCRATCH[0]


def reseal(data):
    """A mutated batch with the right length and CRC again: the checks
    behind them are what is to be reached."""
    out = bytearray(data)
    if len(out) >= 21:
        out[8:12] = struct.pack(">i", len(out) - 12)
        out[17:21] = struct.pack(">I", R.crc32c(bytes(out[21:])))
    return bytes(out)


@rows("mutate/batches/%d", list(range(max(1, MUTATIONS // 150))))
def mutate_batches(n):
    """A hundred mutated batches with a good CRC: an error or a success,
    and what was stored can be read."""
    rnd = random.Random(SEED * 7919 + n)
    t = new_topic(hint="mb")
    with Conn() as c:
        for i in range(100):
            codec = rnd.randrange(5) if n % 2 else 0
            recs = R.recs(rnd.randrange(1, 6), 20, ts=TS)
            recs[0].headers = [("h", b"x")]
            data = R.batch(recs, codec, pid=rnd.choice((-1, 1000)),
                           epoch=0, seq=0)
            if rnd.random() < .5:
                pay = b"".join(R.record_bytes(r, j, j)
                               for j, r in enumerate(recs))
                data = R.batch(recs, codec,
                               payload=mutate(rnd, pay, 0, []))
            else:
                data = mutate(rnd, data, rnd.choice((0, 21, 61)),
                              [21, 23, 27, 35, 43, 51, 53, 57, 61])
                data = reseal(data)
            if KAFKA and not data:
                continue
            try:
                p = produce(c, t, data)
            except (Fail, Closed) as e:
                raise Fail("%s for %s" % (e, data.hex()))
            eq(p["base_offset"] >= 0, p["error_code"] == 0,
               "offset and error agree (%d, %d) for %s" %
               (p["base_offset"], p["error_code"], data.hex()))
        if KAFKA:
            return      # it stores what no strict reader can read
        read_all(c, t)
    alive()


@rows("mutate/message-sets/%d", list(range(max(1, MUTATIONS // 300))))
def mutate_sets(n):
    need("Produce", 2)
    rnd = random.Random(SEED * 104729 + n)
    t = new_topic(hint="ms")
    with Conn() as c:
        for i in range(100):
            magic = rnd.randrange(2)
            codec = rnd.randrange(4)
            recs = R.recs(rnd.randrange(1, 4), 20, ts=TS)
            if codec and rnd.random() < .5:
                inner = mutate(rnd, R.message_set(recs, magic), 0, [])
                data = R.message(R.Rec(None, R.pack(codec, inner, magic),
                                       TS), magic, codec, 2)
            else:
                data = mutate(rnd, R.message_set(recs, magic, codec), 8,
                              [8, 12, 16, 17, 18, 26])
                if rnd.random() < .8 and len(data) > 16:
                    import zlib
                    data = data[:8] + struct.pack(
                        ">iI", len(data) - 12, zlib.crc32(data[16:])) + \
                        data[16:]
            try:
                p = produce(c, t, data, version=magic + 1)
            except (Fail, Closed) as e:
                raise Fail("%s for %s" % (e, data.hex()))
            if p["error_code"]:
                eq(p["base_offset"], -1, "base offset")
        if KAFKA:
            return
        read_all(c, t)
        read_all(c, t, version=2)
        read_all(c, t, version=1)
    alive()


# ------------------------------------------------- silence, churn and flood

@row("silent/never-reads-fetches")
def never_reads():
    """One client asks for gigabytes and reads none of it; others work, and
    memory stays within bounds."""
    t = new_topic()
    with Conn() as b:
        for i in range(8):
            produce_ok(b, t, R.batch([R.Rec(b"k", bytes(1000000), TS)]), i)
        before = memory()
        with Conn(rcvbuf=4096) as a:
            a.sock.setblocking(False)
            sent = stuff(a, "Fetch", 11, fetch_body([(t, 0, 0)],
                                                    part_max=8 << 20), 2000)
            ok(sent > 0, "nothing could be sent")
            for i in range(50):
                produce_ok(b, t, R.batch(R.recs(1, ts=TS)), 8 + i)
                eq(fetch(b, t, 8 + i)["error_code"], 0, "fetch")
            grown_since(before, 300000)
            alive()
    alive()


def stuff(c, name, v, body, most):
    """Sends until the peer takes no more; how many whole ones."""
    for i in range(most):
        data = frame(c.build(name, v, body)[0])
        try:
            n = c.sock.send(data)
        except BlockingIOError:
            return i
        except OSError:
            raise Closed("while stuffing")
        if n < len(data):
            return i
    return most


@row("silent/never-reads-answers-of-produce")
def never_reads_produce():
    t = new_topic()
    data = R.batch(R.recs(1, ts=TS))
    with Conn(rcvbuf=4096) as a, Conn() as b:
        a.sock.setblocking(False)
        n = stuff(a, "Produce", 9, produce_body([(t, 0, data)]), 20000)
        for i in range(20):
            eq(produce(b, t, data)["error_code"], 0, "error")
        # It catches up at last: every answer is there, in order.
        a.sock.settimeout(kafka.WAIT)
        last = -1
        for i in range(n):
            f = a.recv_frame()
            r = a.decode("Produce", 9, struct.unpack(">i", f[:4])[0], f)
            p, = produced(r)
            eq(p["error_code"], 0, "error")
            ok(p["base_offset"] > last, "offsets out of order")
            last = p["base_offset"]


@row("silent/slow-reader-gets-all")
def slow_reader():
    t = new_topic()
    value = os.urandom(1000000)
    with Conn() as b, Conn(rcvbuf=4096) as a:
        for i in range(4):
            produce_ok(b, t, R.batch([R.Rec(b"k", value, TS)]), i)
        for i in range(25):
            a.send("Fetch", 11, fetch_body([(t, 0, i % 4)],
                                           part_max=1 << 20))
        for _ in range(50):
            roundtrip(b)
        for i in range(25):
            p, = fetched(a.recv())
            got = R.all_records(p["records"])
            eq((got[0].offset, got[0].value == value), (i % 4, True),
               "record of answer %d" % i)


@row("churn/500-connections")
def churn():
    for i in range(500):
        with Conn() as c:
            if i % 4 == 1:
                c.send("ApiVersions", 0, {})
            elif i % 4 == 2:
                c.send_raw(b"\0\0\0\x20\0")
            elif i % 4 == 3:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))
    alive()


@row("churn/closed-with-answers-owed")
def churn_owed():
    t = new_topic()
    data = R.batch(R.recs(1, 1000, ts=TS))
    for i in range(50):
        with Conn() as c:
            for _ in range(10):
                c.send("Produce", 9, produce_body([(t, 0, data)]))
            c.send("Fetch", 11, fetch_body([(t, 0, 0)], max_wait=60000))
            if i % 2:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))
    alive()
    with Conn() as c:
        got = read_all(c, t)
        eq([r.offset for r in got], list(range(len(got))), "offsets")


@row("churn/half-closed")
def half_closed():
    """No more requests will come; those that came are answered, or the
    connection ends."""
    for i in range(20):
        with Conn() as c:
            corr = c.send("Metadata", 9, {"topics": []})
            c.sock.shutdown(socket.SHUT_WR)
            try:
                c.decode("Metadata", 9, corr, c.recv_frame())
                c.expect_close()
            except Closed:
                pass
    alive()


@row("churn/half-closed-while-parked")
def half_parked():
    t = new_topic()
    with Conn() as c:
        c.send("Fetch", 11, fetch_body([(t, 0, 0)], max_wait=600000))
        c.sock.shutdown(socket.SHUT_WR)
        roundtrip()
        with Conn() as b:
            produce_ok(b, t, R.batch(R.recs(1)), 0)
        try:
            p, = fetched(c.recv())
            eq(len(R.all_records(p["records"])), 1, "records")
            c.expect_close()
        except Closed:
            pass
    alive()


@row("churn/300-idle")
def idle():
    conns = [Conn() for _ in range(300)]
    try:
        for c in conns[::3]:
            roundtrip(c)
        alive()
        for c in conns:
            ok(not c.readable(), "an idle connection was closed")
        for c in conns:
            roundtrip(c)
    finally:
        for c in conns:
            c.close()


@row("flood/10000-pipelined")
def flood():
    with Conn() as c:
        for i in range(10000):
            c.send("ApiVersions" if i % 2 else "Metadata", 0 if i % 2 else 1,
                   {} if i % 2 else {"topics": []})
        for i in range(10000):
            c.recv()
    alive()


@row("flood/parked-fetches-on-a-connection")
def flood_parked():
    """More long polls behind each other than may be in flight."""
    t = new_topic()
    with Conn() as c, Conn() as b:
        for i in range(1500):
            c.send("Fetch", 11, fetch_body([(t, 0, 0)], max_wait=600000))
        roundtrip(b)
        produce_ok(b, t, R.batch(R.recs(1)), 0)
        for i in range(1500):
            p, = fetched(c.recv())
            eq(len(R.all_records(p["records"])), 1, "records")


# -------------------------------------------------------- numbers at the rim

EDGES = [0, -1, 1, 0x7fffffffffffffff, -0x8000000000000000, 1 << 31,
         (1 << 31) - 1, 1 << 32, 1 << 62]


@rows("edge/fetch-offset/%d", EDGES)
def edge_offset(n):
    with Conn() as c:
        p = fetch(c, canary(), n)
        eq(p["error_code"], 0 if 0 <= n <= 20 else 1, "error")


@rows("edge/list-timestamp/%d", EDGES)
def edge_time(n):
    with Conn() as c:
        r = kafka.list_offset(c, canary(), n)
        if n >= 0:
            eq(r["error_code"], 0, "error")
        roundtrip(c)


def bomb_of(kind):
    """Little that unpacks to 200 MB or more, or says so."""
    if kind == "gzip":
        return R.gzip_pack(bytes(200 << 20))
    if kind == "snappy":
        return R.le_varint(0xffffffff) + b"\0a" + b"\xfe\x01\x00" * 300000
    if kind == "snappy-xerial":
        raw = R.le_varint(0x7fffffff) + b"\0a" + b"\xfe\x01\x00" * 30000
        return R.XERIAL + struct.pack(">iii", 1, 1, len(raw)) + raw
    if kind == "lz4":
        block = b"\x1fa\x01\x00" + b"\xff" * 900000 + b"\0"
        return R.lz4_pack(b"")[:7] + struct.pack("<I", len(block)) + \
            block + bytes(4)
    log = 31 if kind == "zstd-window" else 17
    return struct.pack("<IBB", 0xfd2fb528, 0, (log - 10) << 3) + \
        (struct.pack("<I", (128 << 10) << 3 | 2)[:3] + b"\0") * 2000 + \
        struct.pack("<I", 1)[:3]


BOMBS = ["gzip", "snappy", "snappy-xerial", "lz4", "zstd", "zstd-window"]


def defused(data, version):
    before = memory()
    t = new_topic()
    with Conn() as c:
        p = produce(c, t, data, version=version)
        ok(p["error_code"] != 0, "it was taken")
        eq(p["base_offset"], -1, "base offset")
        grown_since(before, 200000)
        eq(end_offset(c, t), 0, "end offset")
    alive()


@rows("edge/bomb/%s", BOMBS)
def bomb(kind):
    """A batch that holds, or says it holds, far more than it may: refused,
    and no memory of that size taken."""
    codec = R.CODEC_NAMES.index(kind.split("-")[0])
    defused(R.batch(R.recs(1, ts=TS), codec, packed=bomb_of(kind)), 9)


@rows("edge/bomb-in-a-wrapper/%s", BOMBS[:4])
def bomb_old(kind):
    need("Produce", 2)
    codec = R.CODEC_NAMES.index(kind.split("-")[0])
    defused(R.message(R.Rec(None, bomb_of(kind), TS), 1, codec), 2)


@row("edge/old-readers-of-much")
def old_much():
    """Small batches that unpack to 25 MB each, all wanted by a reader of
    the old format: bounded memory, and the reader gets on."""
    need("Fetch", 2)
    t = new_topic(4)
    data = R.batch([R.Rec(b"k", bytes(5 << 20), TS) for _ in range(5)], 1)
    with Conn() as c:
        for part in range(4):
            for i in range(3):
                produce_ok(c, t, data, 5 * i, part=part)
        before = memory()
        for v in (0, 2, 3):
            r = c.call("Fetch", v, fetch_body(
                [(t, i, 0, 50 << 20) for i in range(4)]))
            eq([p["error_code"] for p in fetched(r)], [0] * 4, "errors")
            grown_since(before, 400000)
    alive()


@row("at-last/all-is-well")
def last():
    alive()
    before = None
    for _ in range(20):
        with Conn() as c:
            x = metadata(c, [canary().name], 9)
            eq(x["topics"][0]["error_code"], 0, "error")
            before = before or x["cluster_id"]
            eq(x["cluster_id"], before, "cluster id")


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
