# SPDX-License-Identifier: Apache-2.0
"""
Corners of the data path: what comes behind a Produce on its connection, new
batches in old requests, leader epochs over restarts, who leads when an epoch
is refused, frames that never end, and readers that do not read.
"""
import os
import socket
import struct
import time

import kafka
import records as R
from kafka import (E, FENCED_EPOCH, INVALID_RECORD, INVALID_REQUEST, NO_ID,
                   OFFSET_OUT_OF_RANGE, UNKNOWN_EPOCH, Closed, Conn, Fail,
                   Skip, Topic, end_offset, eq, fetch, fetch_body, fetched,
                   leader_epoch, list_offset, need, new_topic, ok, produce,
                   produce_body, produce_ok, produced, read_all, roundtrip,
                   row, rows, same_records, ver)

KAFKA_DIFFERS = {
    "behind/own-produce-wakes-a-parked-fetch": (
        "all", "Kafka takes up nothing behind a parked fetch"),
    "frame/*": ("all", "Kafka waits for connections.max.idle.ms"),
    "epochs/*": ("all", "needs restarts"),
    "leader/*": ("all", "needs restarts"),
}

TS = kafka.TS
LONG = 10 * 60 * 1000   # a wait that no test outlives
PIDS = [int(p) for p in os.environ.get("CHRONIK_WIRE_PIDS", "").split()]


def batch(n=1, size=20, **kw):
    return R.batch(R.recs(n, size, ts=TS), **kw)


# ---------------------------------------------------- behind a Produce

def list_body(t, ts=-1):
    return {"replica_id": -1, "isolation_level": 0, "timeout_ms": 30000,
            "topics": [{"name": t.name, "partitions": [
                {"partition_index": 0, "timestamp": ts,
                 "max_num_offsets": 1}]}]}


@rows("behind/list-offsets-sees-it/acks%d", [-1, 0, 1])
def behind_list(acks):
    t = new_topic()
    with Conn() as c:
        for i in range(50):
            data, corr, _ = c.build("Produce", 9, produce_body(
                [(t, 0, batch())], acks))
            c.send_frame(data)
            if acks:
                c.expect("Produce", 9, corr)
            c.send("ListOffsets", 5, list_body(t))
            if acks:
                eq(produced(c.recv())[0]["base_offset"], i, "base offset")
            p, = c.recv()["topics"][0]["partitions"]
            eq((p["error_code"], p["offset"]), (0, i + 1), "end offset")


@row("behind/fetch-sees-it")
def behind_fetch():
    t = new_topic()
    with Conn() as c:
        for i in range(50):
            c.send("Produce", 9, produce_body([(t, 0, batch())]))
            c.send("Fetch", 11, fetch_body([(t, 0, i)]))
            eq(produced(c.recv())[0]["base_offset"], i, "base offset")
            p, = fetched(c.recv())
            eq((p["high_watermark"], len(R.all_records(p["records"]))),
               (i + 1, 1), "end and records")


@row("behind/every-reader-sees-what-was-before-it")
def behind_mixed():
    t = new_topic()
    with Conn() as c:
        want = []
        n = 0
        for i in range(300):
            if i % 7 in (0, 1, 2, 4):
                c.send("Produce", 9, produce_body([(t, 0, batch())]))
                n += 1
            else:
                c.send("ListOffsets", 5, list_body(t))
            want.append(n)
        for i in range(300):
            r = c.recv()
            if "responses" in r:
                eq(produced(r)[0]["base_offset"], want[i] - 1, "base offset")
            else:
                eq(r["topics"][0]["partitions"][0]["offset"], want[i],
                   "end offset of request %d" % i)


@row("behind/in-one-write")
def behind_one_write():
    """All of it in one piece: nothing is lost while one has to wait."""
    t = new_topic()
    with Conn() as c:
        out = b""
        for i in range(20):
            for name, v, body in (
                    ("Produce", 9, produce_body([(t, 0, batch())])),
                    ("ListOffsets", 5, list_body(t)),
                    ("ApiVersions", 0, {}),
                    ("Metadata", 9, {"topics": []})):
                data, corr, _ = c.build(name, v, body)
                out += struct.pack(">i", len(data)) + data
                c.expect(name, v, corr)
        c.send_raw(out)
        for i in range(20):
            eq(produced(c.recv())[0]["base_offset"], i, "base offset")
            p, = c.recv()["topics"][0]["partitions"]
            eq(p["offset"], i + 1, "end offset")
            eq(c.recv()["error_code"], 0, "ApiVersions")
            eq(c.recv()["topics"], [], "Metadata")


@row("behind/own-produce-wakes-a-parked-fetch")
def behind_parked():
    """It need not wait for the fetch that it is to wake, but is answered
    after it."""
    t = new_topic()
    with Conn() as c:
        c.send("Fetch", 11, fetch_body([(t, 0, 0)], max_wait=LONG))
        c.send("Produce", 9, produce_body([(t, 0, batch())]))
        c.send("ListOffsets", 5, list_body(t))
        p, = fetched(c.recv())
        eq(len(R.all_records(p["records"])), 1, "records")
        eq(produced(c.recv())[0]["base_offset"], 0, "base offset")
        eq(c.recv()["topics"][0]["partitions"][0]["offset"], 1, "end")


@row("behind/failed-produce")
def behind_failed():
    t = new_topic()
    with Conn() as c:
        c.send("Produce", 9, produce_body([(t, 0, batch(crc=1))]))
        c.send("ListOffsets", 5, list_body(t))
        ok(produced(c.recv())[0]["error_code"] != 0, "it was taken")
        eq(c.recv()["topics"][0]["partitions"][0]["offset"], 0, "end")


@row("behind/closed-while-it-waits")
def behind_closed():
    t = new_topic()
    data = batch(1, 1000)
    for i in range(50):
        with Conn() as c:
            for _ in range(5):
                c.send("Produce", 9, produce_body([(t, 0, data)]))
            c.send("ListOffsets", 5, list_body(t))
            if i % 2:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))
    with Conn() as c:
        got = read_all(c, t)
        eq([r.offset for r in got], list(range(len(got))), "offsets")


# ------------------------------------------- new batches in old requests

@rows("old/new-batch/v%d/%s", [(v, c) for v in (0, 1, 2)
                               for c in R.CODEC_NAMES])
def new_in_old(v, codec):
    """Kafka checks the format from version 3 on only."""
    need("Produce", v)
    t = new_topic()
    recs = R.recs(3, 30, ts=TS)
    recs[1].headers = [("h", b"v")]
    with Conn() as c:
        produce_ok(c, t, R.batch(recs, R.CODEC_NAMES.index(codec)), 0,
                   version=v)
        for i, x in enumerate(recs):
            x.offset = i
        same_records(read_all(c, t), recs, "records", 2)


@rows("old/bad-new-batch/v%d", [0, 2])
def bad_new_in_old(v):
    need("Produce", v)
    t = new_topic()
    with Conn() as c:
        for data in (batch() + batch(), batch(attrs=0x20), batch(count=7)):
            eq(produce(c, t, data, version=v)["error_code"], INVALID_RECORD,
               "error")
        eq(produce(c, t, batch(crc=1), version=v)["error_code"], 2, "error")
        eq(end_offset(c, t), 0, "end offset")


# --------------------------------------------------------- ListOffsets

@row("list/far-duplicates")
def far_duplicates():
    """However many partitions stand between the two."""
    t, u = new_topic(700), new_topic()
    ids = list(range(700)) + [3]
    with Conn() as c:
        r = c.call("ListOffsets", 5, {
            "replica_id": -1, "topics": [
                {"name": t.name, "partitions": [
                    {"partition_index": i, "timestamp": -1} for i in ids]},
                {"name": u.name, "partitions": [
                    {"partition_index": 0, "timestamp": -1}]},
                {"name": u.name, "partitions": [
                    {"partition_index": 0, "timestamp": -2}]}]})
        ps = [p for x in r["topics"] if x["name"] == t.name
              for p in x["partitions"]]
        eq({p["partition_index"] for p in ps if p["error_code"]}, {3},
           "refused")
        eq({p["error_code"] for x in r["topics"] if x["name"] == u.name
            for p in x["partitions"]}, {INVALID_REQUEST}, "errors of u")


@row("list/earliest-of-an-empty-log")
def earliest_empty():
    t = new_topic()
    with Conn() as c:
        r = list_offset(c, t, -2)
        eq((r["error_code"], r["offset"], r["leader_epoch"]),
           (0, 0, leader_epoch(c, t)), "error, offset and epoch")


# ------------------------------------------------------- leader epochs

STATE = os.environ.get("CHRONIK_WIRE_STATE")


def kept():
    if not STATE:
        raise Skip("no restarts in this run")
    if os.path.exists(STATE):
        with open(STATE) as f:
            return Topic(f.read(), NO_ID, 1)
    t = new_topic(hint="keep")
    kafka.made.remove(t.name)
    with open(STATE, "w") as f:
        f.write(t.name)
    return t


@row("epochs/write")
def epochs_write():
    t = kept()
    with Conn() as c:
        for i in range(int(os.environ.get("CHRONIK_WIRE_BATCHES", "5"))):
            eq(produce(c, t, batch(1 + i % 3, 3000))["error_code"], 0,
               "error")


def entries(c, t):
    """(epoch, first offset) by the batches, and the end; Kafka's cache."""
    out, off = [], 0
    while True:
        p = fetch(c, t, off)
        bs = R.read_set(p["records"] or b"", True)
        if not bs:
            break
        for b in bs:
            if not out or out[-1][0] < b.leader_epoch:
                out.append((b.leader_epoch, b.base_offset))
            ok(out[-1][0] == b.leader_epoch, "epochs fall")
            off = b.base_offset + b.last_delta + 1
    cur = leader_epoch(c, t)
    if not out or out[-1][0] < cur:
        out.append((cur, off))
    return out, off


def end_of(es, end, want):
    if want < 0 or want > es[-1][0]:
        return -1, -1
    if want == es[-1][0]:
        return want, end
    floor = want
    for e, off in es:
        if e > want:
            return floor, off
        floor = e


def ofle(c, t, v, epoch, current=-1, name=None):
    r = c.call("OffsetForLeaderEpoch", v, {"replica_id": -1, "topics": [
        {"topic": name or t.name, "partitions": [
            {"partition": 0, "current_leader_epoch": current,
             "leader_epoch": epoch}]}]})
    p, = r["topics"][0]["partitions"]
    return p


@rows("epochs/where-they-ended/v%d", [0, 1, 2, 3, 4])
def epochs_ended(v):
    need("OffsetForLeaderEpoch", v)
    t = kept()
    with Conn() as c:
        es, end = entries(c, t)
        ok(len(es) > 3, "there are few epochs: %r" % es)
        for want in list(range(-2, es[-1][0] + 3)) + [0x7fffffff]:
            p = ofle(c, t, v, want)
            eq((p["error_code"], p.get("leader_epoch", -1) if v else None,
                p["end_offset"]),
               (0, end_of(es, end, want)[0] if v else None,
                end_of(es, end, want)[1]), "end of epoch %d" % want)
        if v >= 2:
            cur = es[-1][0]
            for n, e in ((cur, 0), (cur - 1, FENCED_EPOCH),
                         (cur + 1, UNKNOWN_EPOCH)):
                eq(ofle(c, t, v, 0, n)["error_code"], e,
                   "error for the current epoch %d" % n)
        eq(ofle(c, t, v, 0, name=t.name + "-not")["error_code"], 3,
           "error for no topic")


@rows("epochs/diverging/v%d", [12, 13, 18])
def epochs_diverge(v):
    """The same answers tell a fetch where the logs part."""
    need("Fetch", v)
    t = kept()
    with Conn() as c:
        r = kafka.metadata(c, [t.name], 12)
        t.id = r["topics"][0]["topic_id"]
        es, end = entries(c, t)
        offs = sorted({max(0, o + d) for _, o in es + [(0, end)]
                       for d in (-1, 0, 1)})
        for last in range(0, es[-1][0] + 2):
            epoch, stop = end_of(es, end, last)
            for off in offs:
                p = fetch(c, t, off, version=v, last_epoch=last)
                d = p["diverging_epoch"] or {"epoch": -1, "end_offset": -1}
                what = "fetch at %d after epoch %d" % (off, last)
                if epoch < 0:
                    eq(p["error_code"], OFFSET_OUT_OF_RANGE, what)
                elif epoch < last or stop < off:
                    eq((p["error_code"], d["epoch"], d["end_offset"],
                        p["records"] or b""), (0, epoch, stop, b""), what)
                else:
                    ok(off <= end, what + ": past the end")
                    eq((p["error_code"], d["epoch"]), (0, -1), what)
                    eq(bool(p["records"]), off < end, what + ": records")


@row("epochs/list-offsets-agrees")
def epochs_list():
    t = kept()
    with Conn() as c:
        es, end = entries(c, t)
        r = list_offset(c, t, -1)
        eq((r["offset"], r["leader_epoch"]), (end, es[-1][0]), "latest")
        r = list_offset(c, t, -2)
        eq((r["offset"], r["leader_epoch"]), (0, es[0][0]), "earliest")
        r = list_offset(c, t, 0)
        eq((r["offset"], r["leader_epoch"]), (0, es[0][0]), "by time")


@row("epochs/committed-with-an-offset")
def epochs_committed():
    """OffsetFetch gives back the epoch that was committed."""
    need("OffsetCommit", 6)
    need("OffsetFetch", 5)
    t = kept()
    group = kafka.fresh_name("g")
    with Conn() as c:
        es, end = entries(c, t)
        for e, off in es:
            r = c.call("OffsetCommit", 6, {
                "group_id": group, "member_id": "",
                "generation_id_or_member_epoch": -1,
                "generation_id": -1, "topics": [
                    {"name": t.name, "partitions": [
                        {"partition_index": 0, "committed_offset": off,
                         "committed_leader_epoch": e,
                         "committed_metadata": ""}]}]})
            eq(r["topics"][0]["partitions"][0]["error_code"], 0, "commit")
            r = c.call("OffsetFetch", 5, {"group_id": group, "topics": [
                {"name": t.name, "partition_indexes": [0]}]})
            p, = r["topics"][0]["partitions"]
            eq((p["committed_offset"], p["committed_leader_epoch"]),
               (off, e), "committed")


@rows("leader/named-when-fenced/v%d", [11, 12, 15, 16, 17, 18])
def leader_named(v):
    """KIP-951: with the error comes who leads, and where."""
    need("Fetch", v)
    t = kept()
    with Conn() as c:
        r = kafka.metadata(c, [t.name], 12)
        t.id = r["topics"][0]["topic_id"]
        b, = r["brokers"]
        cur = leader_epoch(c, t)
        r = c.call("Fetch", v, fetch_body([(t, 0, 0)], epoch=cur - 1,
                                          max_wait=LONG))
        p, = fetched(r)
        eq(p["error_code"], FENCED_EPOCH, "error")
        if v < 16:
            eq(p.get("current_leader") or {}, {}, "leader")
            return
        eq((p["current_leader"]["leader_id"],
            p["current_leader"]["leader_epoch"]), (b["node_id"], cur),
           "leader")
        n, = r["node_endpoints"]
        eq((n["node_id"], n["host"], n["port"], n["rack"]),
           (b["node_id"], b["host"], b["port"], None), "its address")


# ---------------------------------------------- frames that never end

def short_deadline():
    if not os.environ.get("CHRONIK_WIRE_FRAME_TIMEOUT"):
        raise Skip("the deadline is long in this run")


def resident():
    """What is allocated; a gateway's region, whose size is fixed, is not: how
    much of it has been touched depends on who was quick."""
    total = 0
    for pid in PIDS:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1])
    return total


HALVES = {"one-byte": b"\0", "length": b"\0\0\1\0", "length-and-key":
          b"\0\0\1\0\0\3", "some-of-it": b"\0\0\1\0\0\3\0\1\0\0",
          "produce": b"\0\1\0\0\0\0\0\7\0\0",
          "huge-produce": b"\5\0\0\0\0\0\0\7\0\0",
          "huge": b"\5\0\0\0\0\3\0\1\0\0"}


@rows("frame/half-is-closed/%s", sorted(HALVES))
def half(kind):
    short_deadline()
    with Conn() as idle, Conn() as c:
        roundtrip(idle)
        c.send_raw(HALVES[kind])
        c.expect_close()
        # Who has begun nothing is not meant.
        ok(not idle.readable(), "an idle connection was closed")
        roundtrip(idle)


@row("frame/trickle-is-closed")
def trickle():
    """A byte now and then is not enough."""
    short_deadline()
    with Conn() as c:
        end = time.monotonic() + kafka.WAIT
        try:
            c.send_raw(b"\0\1\0\0\0\3")
            while not c.readable() and time.monotonic() < end:
                c.send_raw(b"\0")
                time.sleep(0.05)
            c.expect_close()
        except Closed:
            pass
        ok(time.monotonic() < end, "it was not closed")


@row("frame/many-halves")
def many_halves():
    short_deadline()
    before = resident()
    t = new_topic()
    conns = [Conn() for _ in range(1000)]
    try:
        for i, c in enumerate(conns):
            try:
                c.send_raw(list(HALVES.values())[i % len(HALVES)])
            except Closed:
                pass
        ok(resident() - before < 20000, "%d kB for half frames" %
           (resident() - before))
        with Conn() as b:
            for i in range(10):
                produce_ok(b, t, batch(), i)
        for c in conns:
            c.expect_close()
    finally:
        for c in conns:
            c.close()


@row("frame/whole-ones-one-after-the-other")
def whole_ones():
    """The deadline is of one frame, not of all of them."""
    short_deadline()
    limit = int(os.environ["CHRONIK_WIRE_FRAME_TIMEOUT"]) / 1000.0
    with Conn() as c:
        data, corr, _ = c.build("ApiVersions", 0, {})
        f = struct.pack(">i", len(data)) + data
        c.send_raw(f[:5])
        end = time.monotonic() + 3 * limit
        while time.monotonic() < end:
            # The end of one, the beginning of the next.
            c.send_raw(f[5:] + f[:5])
            c.expect("ApiVersions", 0, corr)
            eq(c.recv()["error_code"], 0, "error")
        c.send_raw(f[5:])
        c.expect("ApiVersions", 0, corr)
        eq(c.recv()["error_code"], 0, "error")


# ------------------------------------------------ readers that do not read

@rows("silent/long-polls/%s", ["full", "session"])
def silent(kind):
    """Answers pile up at a client that does not read: bounded memory, and
    nobody else is kept from anything."""
    t = new_topic(50)
    before = resident()
    with Conn() as b:
        kafka.roundtrip(b)      # it is silent for long, and may be
        mute = []
        try:
            for _ in range(20):
                a = Conn(rcvbuf=4096)
                mute.append(a)
                sid = 0
                if kind == "session":
                    r = a.call("Fetch", 11, fetch_body(
                        [(t, i, 0) for i in range(50)], session=(0, 0)))
                    sid = r["session_id"]
                a.sock.setblocking(False)
                for n in range(1, 2000):
                    body = fetch_body([], session=(sid, n), max_wait=LONG) \
                        if sid else fetch_body(
                            [(t, i, 0) for i in range(50)], max_wait=LONG)
                    data, _, _ = a.build("Fetch", 11, body)
                    try:
                        if a.sock.send(struct.pack(">i", len(data)) +
                                       data) < len(data) + 4:
                            break
                    except (BlockingIOError, OSError):
                        break
            for i in range(200):
                produce_ok(b, t, batch(1, 1000), i // 50, part=i % 50)
                p = fetch(b, t, i // 50, i % 50)
                eq(len(R.all_records(p["records"])), 1, "records")
            grown = resident() - before
            ok(not PIDS or sanitized() or grown < 200000,
               "grown by %d kB" % grown)
        finally:
            for a in mute:
                a.close()
    roundtrip()


def sanitized():
    for pid in PIDS:
        with open("/proc/%d/maps" % pid) as f:
            if "san.so" in f.read():
                return True
    return False


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
