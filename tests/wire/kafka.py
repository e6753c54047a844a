# SPDX-License-Identifier: Apache-2.0
"""
The bench that the wire tests stand on: a connection that sends and reads raw
frames or whole requests, the few calls that every test needs, and the runner
of rows.  A row is a function; it passes, raises Fail, or raises Skip.

Against a real Apache Kafka (CHRONIK_WIRE_KAFKA=39 or 44 says which) the rows
in a file's KAFKA_DIFFERS must fail or be skipped: an entry that no longer
differs is an error itself, so that the list stays honest.  An entry ends in
"?" where the difference is a race.
"""
import argparse
import fnmatch
import os
import random
import re
import select
import socket
import struct
import sys
import time
import traceback

import records as R
import schema

WAIT = float(os.environ.get("CHRONIK_WIRE_WAIT", "60"))
KAFKA = os.environ.get("CHRONIK_WIRE_KAFKA", "")
# Pieces that everything is sent in, to prove that no piece matters; what lies
# between the first and the last EDGE bytes is more of the same.
CHUNK = int(os.environ.get("CHRONIK_WIRE_CHUNK", "0"))
EDGE = 512
# The time of the first record of most batches: an hour ago, for what is older
# than a week may be deleted under a test's eyes.
TS = int(time.time() * 1000) - 3600000

# Error codes by the names that protocol.md gives them.
OFFSET_OUT_OF_RANGE, CORRUPT, UNKNOWN_TOPIC = 1, 2, 3
TOO_LARGE, INVALID_TOPIC, LIST_TOO_LARGE, BAD_ACKS = 10, 17, 18, 21
BAD_TIMESTAMP, UNSUPPORTED_VERSION, TOPIC_EXISTS = 32, 35, 36
BAD_PARTITIONS, BAD_RF, BAD_ASSIGNMENT, BAD_CONFIG = 37, 38, 39, 40
INVALID_REQUEST, OUT_OF_ORDER, BAD_EPOCH = 42, 45, 47
TXN_ID_AUTH = 53
FENCED_EPOCH, UNKNOWN_EPOCH, BAD_COMPRESSION = 74, 75, 76
INVALID_RECORD, UNKNOWN_ID = 87, 100

NO_ID = schema.NULL_UUID
OPS_NONE = -2147483648


class Fail(Exception):
    pass


class Skip(Exception):
    pass


class Closed(Exception):
    """The peer closed the connection."""


def eq(got, want, what):
    if got != want:
        raise Fail("%s: expected %r got %r" % (what, want, got))


def isin(got, wants, what):
    if got not in wants:
        raise Fail("%s: expected one of %r got %r" % (what, wants, got))


def ok(cond, what):
    if not cond:
        raise Fail(what)


# -------------------------------------------------------------- connection

class Env:
    """The broker under test."""
    host = None
    port = None
    apis = None
    ranges = {}         # key -> (min, max) as advertised


E = Env()


def api_of(name):
    return E.apis[name]


def pieces(data):
    if not CHUNK:
        return [data] if data else []
    cuts = [*range(0, min(EDGE, len(data)), CHUNK),
            *range(EDGE, len(data) - EDGE, EDGE),
            *range(max(EDGE, len(data) - EDGE), len(data), CHUNK)]
    return [data[i:k] for i, k in zip(cuts, cuts[1:] + [len(data)])]


class Conn:
    def __init__(self, client_id="wire", timeout=None, rcvbuf=None):
        self.sock = socket.socket(socket.AF_INET6 if ":" in E.host
                                  else socket.AF_INET)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout or WAIT)
        self.sock.connect((E.host, E.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_id = client_id
        self.corr = random.randrange(0x7fff0000)
        self.pending = []
        self.inbuf = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    # Raw bytes and frames.

    def send_raw(self, data):
        try:
            for piece in pieces(data):
                self.sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed("while writing")
        except socket.timeout:
            raise Fail("the broker read nothing for %g s" % WAIT)

    def send_frame(self, payload):
        self.send_raw(struct.pack(">i", len(payload)) + payload)

    def fill(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            raise Closed("reset")
        except socket.timeout:
            raise Fail("no answer within %g s" % self.sock.gettimeout())
        if not data:
            raise Closed("end of stream")
        self.inbuf += data

    def recv_frame(self):
        while len(self.inbuf) < 4:
            self.fill()
        size = struct.unpack_from(">i", self.inbuf)[0]
        if size < 4 or size > 1 << 28:
            raise Fail("a response frame of %d bytes" % size)
        while len(self.inbuf) < 4 + size:
            self.fill()
        frame = bytes(self.inbuf[4:4 + size])
        del self.inbuf[:4 + size]
        return frame

    def readable(self):
        """Whether an answer, or the end, can be read at once."""
        if self.inbuf:
            return True
        return bool(select.select([self.sock], [], [], 0)[0])

    def expect_close(self, what="the connection"):
        """The peer closes, and sends nothing before it does."""
        try:
            frame = self.recv_frame()
        except Closed:
            return
        raise Fail("%s: expected a close, got an answer of %d bytes: %s" %
                   (what, len(frame), frame[:40].hex()))

    # Requests.

    def header(self, api, version, corr, client_id, tags, flexible=None):
        w = schema.Writer()
        w.pack("h", api.key)
        w.pack("h", version)
        w.pack("i", corr)
        if client_id is None:
            w.pack("h", -1)
        else:
            b = client_id if isinstance(client_id, bytes) \
                else client_id.encode()
            w.pack("h", len(b))
            w.raw(b)
        if api.req.flexible(version) if flexible is None else flexible:
            schema.write_tags(w, sorted((tags or {}).items()))
        return w

    def build(self, name, version, body, client_id=0, tags=None, corr=None):
        """A whole request without its length; (bytes, corr, marks)."""
        api = api_of(name)
        if corr is None:
            self.corr = self.corr + 1 & 0x7fffffff
            corr = self.corr
        w = self.header(api, version, corr, self.client_id
                        if client_id == 0 else client_id, tags)
        w.mark()
        api.req.write(w, version, body)
        return bytes(w.out), corr, w.marks

    def send(self, name, version, body, **kw):
        data, corr, _ = self.build(name, version, body, **kw)
        self.send_frame(data)
        self.pending.append((name, version, corr))
        return corr

    def expect(self, name, version, corr):
        """Notes a request that was sent raw."""
        self.pending.append((name, version, corr))

    def recv(self):
        name, version, corr = self.pending.pop(0)
        return self.decode(name, version, corr, self.recv_frame())

    def decode(self, name, version, corr, frame):
        api = api_of(name)
        r = schema.Reader(frame)
        got = r.unpack("i")
        if got != corr:
            raise Fail("%s v%d: expected correlation id %d got %d" %
                       (name, version, corr, got))
        try:
            if api.resp.flexible(version) and name != "ApiVersions":
                n = r.uvarint()
                if n:
                    raise Fail("%s v%d: %d tags in the header" %
                               (name, version, n))
            value = api.resp.read(r, version)
        except schema.DecodeError as e:
            raise Fail("%s v%d: response does not decode: %s (%s)" %
                       (name, version, e, frame[:64].hex()))
        if r.left():
            raise Fail("%s v%d: %d bytes after the response: %s" %
                       (name, version, r.left(), frame[r.pos:][:40].hex()))
        return value

    def call(self, name, version, body, **kw):
        self.send(name, version, body, **kw)
        return self.recv()


def ver(name, want=None):
    """The version to speak: want, or the newest served up to it."""
    lo, hi = E.ranges.get(api_of(name).key, (0, -1))
    hi = min(hi, api_of(name).max)
    return hi if want is None else max(lo, min(want, hi))


def need(name, version):
    lo, hi = E.ranges.get(api_of(name).key, (0, -1))
    if not lo <= version <= hi:
        raise Skip("%s v%d is not served" % (name, version))
    return version


def roundtrip(c=None):
    """An answer to anything proves that what came before was handled."""
    if c is None:
        with Conn() as c:
            return roundtrip(c)
    r = c.call("ApiVersions", 0, {})
    eq(r["error_code"], 0, "ApiVersions v0")
    return r


# ------------------------------------------------------------------ topics

class Topic:
    def __init__(self, name, tid, parts):
        self.name, self.id, self.parts = name, tid, parts


RUN = "w%x" % random.SystemRandom().randrange(1 << 40)
made = []
serial = 0


def fresh_name(hint="t"):
    global serial
    serial += 1
    return "%s-%s-%d" % (RUN, hint, serial)


def create(c, name, parts=1, configs=None, version=7, **kw):
    """CreateTopics for one topic; its row of the answer."""
    t = {"name": name, "num_partitions": parts, "replication_factor": 1,
         "configs": [{"name": k, "value": v}
                     for k, v in (configs or {}).items()]}
    t.update(kw)
    r = c.call("CreateTopics", ver("CreateTopics", version),
               {"topics": [t], "timeout_ms": 30000})
    eq(len(r["topics"]), 1, "rows of CreateTopics")
    if r["topics"][0]["error_code"] == 0 and name not in made:
        made.append(name)
    return r["topics"][0]


def new_topic(parts=1, configs=None, hint="t", config_may_fail=False):
    """A topic of one's own, ready to use."""
    name = fresh_name(hint)
    with Conn() as c:
        r = create(c, name, parts, configs)
        if r["error_code"] in (BAD_CONFIG, 42) and config_may_fail:
            raise Skip("the broker refuses %r: %d %s" %
                       (configs, r["error_code"], r["error_message"]))
        eq(r["error_code"], 0, "CreateTopics %s (%s)" %
           (name, r["error_message"]))
        t = Topic(name, r["topic_id"], parts)
        if KAFKA:
            wait_ready(c, t)
    return t


def wait_ready(c, t):
    """A KRaft broker answers before it has become leader itself."""
    end = time.monotonic() + WAIT
    while True:
        rs = [list_offset(c, t, -1, p) for p in range(t.parts)]
        if all(r["error_code"] == 0 for r in rs):
            return
        if time.monotonic() > end:
            raise Fail("topic %s never became ready: %r" % (t.name, rs))
        time.sleep(0.05)


def until(f, good=bool):
    """KRaft does things after it has answered; we do not."""
    end = time.monotonic() + WAIT
    while True:
        v = f()
        if good(v) or not KAFKA or time.monotonic() > end:
            return v
        time.sleep(0.05)


def drop_topics():
    if not made:
        return
    try:
        with Conn() as c:
            v = ver("DeleteTopics", 5)
            while made:
                some, made[:] = made[:200], made[200:]
                c.call("DeleteTopics", v,
                       {"topic_names": some, "timeout_ms": 30000})
    except (Fail, Closed, OSError):
        pass


# ------------------------------------------------------------- small calls

def produce_body(parts, acks=-1, timeout=30000, txn=None):
    """parts: [(topic, partition, bytes)]; topics stay in order."""
    topics = []
    for t, p, data in parts:
        for row in topics:
            if row["name"] == t.name and row["topic_id"] == t.id:
                break
        else:
            row = {"name": t.name, "topic_id": t.id, "partition_data": []}
            topics.append(row)
        row["partition_data"].append({"index": p, "records": data})
    return {"transactional_id": txn, "acks": acks, "timeout_ms": timeout,
            "topic_data": topics}


def produced(resp):
    """The partition rows of a Produce answer, in order."""
    return [p for t in resp["responses"] for p in t["partition_responses"]]


def produce(c, t, data, part=0, version=9, acks=-1, **kw):
    v = ver("Produce", version)
    rows = produced(c.call("Produce", v,
                           produce_body([(t, part, data)], acks, **kw)))
    eq(len(rows), 1, "rows of Produce")
    return rows[0]


def produce_ok(c, t, data, want=None, **kw):
    r = produce(c, t, data, **kw)
    eq(r["error_code"], 0, "produce (%s)" % r.get("error_message"))
    if want is not None:
        eq(r["base_offset"], want, "base offset")
    return r


def fetch_body(parts, min_bytes=1, max_wait=0, max_bytes=0x7fffffff,
               part_max=1 << 20, isolation=0, session=(0, -1), epoch=-1,
               last_epoch=-1):
    """parts: [(topic, partition, offset[, part_max])]."""
    topics = []
    for row in parts:
        t, p, off = row[:3]
        pm = row[3] if len(row) > 3 else part_max
        if not topics or topics[-1]["topic"] != t.name \
                or topics[-1]["topic_id"] != t.id:
            topics.append({"topic": t.name, "topic_id": t.id,
                           "partitions": []})
        topics[-1]["partitions"].append({
            "partition": p, "fetch_offset": off, "partition_max_bytes": pm,
            "current_leader_epoch": epoch, "last_fetched_epoch": last_epoch})
    return {"replica_id": -1, "max_wait_ms": max_wait,
            "min_bytes": min_bytes, "max_bytes": max_bytes,
            "isolation_level": isolation, "session_id": session[0],
            "session_epoch": session[1], "topics": topics}


def fetched(resp):
    return [p for t in resp["responses"] for p in t["partitions"]]


def fetch(c, t, offset=0, part=0, version=11, **kw):
    v = ver("Fetch", version)
    r = c.call("Fetch", v, fetch_body([(t, part, offset)], **kw))
    eq(r.get("error_code", 0), 0, "top-level error of Fetch")
    rows = fetched(r)
    eq(len(rows), 1, "rows of Fetch")
    return rows[0]


def read_all(c, t, part=0, offset=0, version=11):
    """Every record from offset to the high watermark."""
    out = []
    while True:
        r = fetch(c, t, offset, part, version)
        eq(r["error_code"], 0, "fetch at %d" % offset)
        got = [x for x in R.all_records(r["records"]) if x.offset >= offset]
        out += got
        if not got:
            if offset < r["high_watermark"]:
                raise Fail("nothing at %d below the high watermark %d" %
                           (offset, r["high_watermark"]))
            return out
        offset = got[-1].offset + 1


def list_offset(c, t, ts, part=0, version=5, isolation=0, epoch=-1):
    v = ver("ListOffsets", version)
    r = c.call("ListOffsets", v, {
        "replica_id": -1, "isolation_level": isolation, "timeout_ms": 30000,
        "topics": [{"name": t.name, "partitions": [{
            "partition_index": part, "timestamp": ts,
            "current_leader_epoch": epoch, "max_num_offsets": 1}]}]})
    rows = [p for x in r["topics"] for p in x["partitions"]]
    eq(len(rows), 1, "rows of ListOffsets")
    return rows[0]


def end_offset(c, t, part=0):
    r = list_offset(c, t, -1, part)
    eq(r["error_code"], 0, "ListOffsets")
    return r["offset"]


def metadata(c, names, version=9, auto=False, ids=None, **kw):
    topics = None if names is None else [
        {"name": n, "topic_id": NO_ID} for n in names]
    for i in ids or []:
        topics = topics or []
        topics.append({"name": None, "topic_id": i})
    body = {"topics": topics, "allow_auto_topic_creation": auto}
    body.update(kw)
    return c.call("Metadata", ver("Metadata", version), body)


def leader_epoch(c, t, part=0):
    r = metadata(c, [t.name])
    for p in r["topics"][0]["partitions"]:
        if p["partition_index"] == part:
            return p["leader_epoch"]
    raise Fail("no partition %d in Metadata" % part)


def new_pid(c):
    r = c.call("InitProducerId", ver("InitProducerId", 4),
               {"transactional_id": None, "transaction_timeout_ms": 60000})
    eq(r["error_code"], 0, "InitProducerId")
    return r["producer_id"], r["producer_epoch"]


def same_records(got, want, what, magic=2, ts=True):
    """Compares records as a reader would; offsets and all."""
    eq(len(got), len(want), "%s: number of records" % what)
    for i, (g, w) in enumerate(zip(got, want)):
        at = "%s: record %d" % (what, i)
        eq(g.key, w.key, at + " key")
        eq(g.value, w.value, at + " value")
        if w.offset is not None:
            eq(g.offset, w.offset, at + " offset")
        if ts and magic > 0 and w.ts is not None:
            eq(g.ts, w.ts, at + " timestamp")
        if magic == 2:
            eq([(k, v) for k, v in g.headers],
               [(k if isinstance(k, bytes) else k.encode(), v)
                for k, v in w.headers], at + " headers")


# ------------------------------------------------------------------ runner

ROWS = []


def row(name, *args):
    """Registers a row; args are passed to it."""
    def deco(f):
        ROWS.append((name, f, args))
        return f
    return deco


def rows(fmt, values):
    """Registers one row per value; fmt takes the value's parts."""
    def deco(f):
        for v in values:
            v = v if isinstance(v, tuple) else (v,)
            ROWS.append((fmt % v, f, v))
        return f
    return deco


def differs(table, name):
    """The reason why real Kafka answers a row otherwise, if it does."""
    for pattern, (which, why) in table.items():
        if KAFKA and fnmatch.fnmatchcase(name, pattern) \
                and (which.strip("?") == "all" or KAFKA in which.split()):
            return why, which.endswith("?")
    return None, False


def load_env(bootstrap):
    host, port = bootstrap.split(",")[0].rsplit(":", 1)
    E.host, E.port = host.strip("[]"), int(port)
    E.apis = schema.load()
    with Conn() as c:
        r = c.call("ApiVersions", 0, {})
    eq(r["error_code"], 0, "ApiVersions v0")
    E.ranges = {a["api_key"]: (a["min_version"], a["max_version"])
                for a in r["api_keys"]}
    if KAFKA == "44" and 0 in E.ranges:
        # Listed from 0 for old clients' sake, rejected all the same.
        E.ranges[0] = (3, E.ranges[0][1])
    if KAFKA:
        warm_up()


def warm_up():
    """A new Kafka broker has to be given producer ids first."""
    end = time.monotonic() + WAIT
    with Conn() as c:
        try:
            c.call("InitProducerId", 4, {"transactional_id": None})
        except Closed:      # who are we?
            return
        while c.call("InitProducerId", 4,
                     {"transactional_id": None})["error_code"] != 0:
            if time.monotonic() > end:
                raise Fail("no producer ids")
            time.sleep(0.1)
        # And it makes the coordinator's topic when somebody asks for it.
        while True:
            c.call("FindCoordinator", 0, {"key": "warm-up"})
            r = c.call("DescribeGroups", 0, {"groups": ["warm-up"]})
            if r["groups"][0]["error_code"] not in (14, 15, 16):
                break
            if time.monotonic() > end:
                raise Fail("no coordinator")
            time.sleep(0.1)


def run_row(name, f, args):
    """(verdict, text)"""
    try:
        f(*args)
    except Skip as e:
        return "skip", str(e)
    except Fail as e:
        return "FAIL", str(e)
    except Closed as e:
        return "FAIL", "expected an answer got a close (%s)" % e
    except (OSError, schema.DecodeError, struct.error) as e:
        return "FAIL", "%s: %s" % (type(e).__name__, e)
    except Exception:
        return "FAIL", traceback.format_exc().strip().replace("\n", "\n\t")
    return "ok", ""


def main(kafka_differs=None):
    table = kafka_differs or {}
    p = argparse.ArgumentParser()
    p.add_argument("bootstrap", nargs="?")
    p.add_argument("-k", metavar="PATTERN", default=None,
                   help="only rows whose name holds this expression")
    p.add_argument("--list", action="store_true")
    a = p.parse_args()
    chosen = [r for r in ROWS if a.k is None or re.search(a.k, r[0])]
    if a.list:
        for name, _, _ in chosen:
            print(name)
        return 0
    if not a.bootstrap:
        p.error("a broker's HOST:PORT is missing")
    if schema.shared_dir() is None:
        print("skipped: the shared message schemas are absent")
        return 77
    load_env(a.bootstrap)
    count = {"ok": 0, "FAIL": 0, "skip": 0, "differs": 0}
    for name, f, args in chosen:
        verdict, text = run_row(name, f, args)
        why, may_pass = differs(table, name)
        if why and verdict == "FAIL":
            verdict, text = "differs", "%s [%s]" % (why, text)
        elif why and verdict == "ok" and not may_pass:
            verdict, text = "FAIL", "listed as differing, but it passes"
        count[verdict] += 1
        print(("%s %s: %s" if text else "%s %s%s") % (verdict, name, text),
              flush=True)
    drop_topics()
    print("%d rows: %d ok, %d failed, %d skipped%s" % (
        len(chosen), count["ok"], count["FAIL"], count["skip"],
        ", %d where real Kafka differs" % count["differs"]
        if KAFKA else ""))
    return 1 if count["FAIL"] or not chosen else 0


def run(kafka_differs=None):
    sys.exit(main(kafka_differs))
