# SPDX-License-Identifier: Apache-2.0
"""
Fetch sessions (KIP-227, protocol.md 3.4): what makes one, what goes on with
it, what ends it, and that an answer names what has changed and nothing else.
"""
import json
import os
import time

import kafka
import records as R
from kafka import (OFFSET_OUT_OF_RANGE, UNKNOWN_ID, UNKNOWN_TOPIC, Conn, Fail,
                   Skip, Topic, eq, fetch_body, fetched, need, new_topic, ok,
                   produce_ok, roundtrip, row, rows, until, ver)

KAFKA_DIFFERS = {
    "unknown/2147483647,77": ("44", "Kafka fails: its cache has no such part"),
    "partitions/deleted-topic/*": ("all?", "a KRaft broker acts a little "
                                   "later"),
}

UNKNOWN_SESSION, BAD_SESSION_EPOCH, TOPIC_ID_ERROR = 70, 71, 106
TS = kafka.TS
LONG = 10 * 60 * 1000   # a wait that no test outlives
SV = [7, 11, 12, 13, 16, 18]
MAX = 0x7fffffff


def batch(n=1, size=20):
    return R.batch(R.recs(n, size, ts=TS))


class Session:
    """A client's side of one: what it asks next, and what it is told."""

    def __init__(self, version=11):
        self.v = need("Fetch", version)
        self.id = self.epoch = 0

    def body(self, parts, forget=(), **kw):
        b = fetch_body(parts, session=(self.id, self.epoch), **kw)
        b["forgotten_topics_data"] = [
            {"topic": t.name, "topic_id": t.id, "partitions": [i]}
            for t, i in forget]
        return b

    def send(self, c, parts=(), **kw):
        c.send("Fetch", self.v, self.body(list(parts), **kw))

    def recv(self, c):
        r = c.recv()
        eq(r["error_code"], 0, "top-level error")
        if self.epoch == 0:
            ok(r["session_id"] > 0, "session id %d" % r["session_id"])
            self.id = r["session_id"]
        eq(r["session_id"], self.id, "session id")
        self.epoch = 1 if self.epoch == MAX else self.epoch + 1
        return r

    def poll(self, c, parts=(), **kw):
        """{partition: row} of the answer."""
        self.send(c, parts, **kw)
        return by_index(self.recv(c))

    def refused(self, c, want, parts=(), **kw):
        self.send(c, parts, **kw)
        r = c.recv()
        eq((r["error_code"], r["session_id"], r["responses"]), (want, 0, []),
           "error, session and partitions")


def by_index(r):
    return {p["partition_index"]: p for p in fetched(r)}


def news(got, want):
    """want: {partition: (error, high watermark, records)}"""
    eq({i: (p["error_code"], p["high_watermark"],
            len(R.all_records(p["records"]))) for i, p in got.items()}, want,
       "error, end and records by partition")


def begun(c, parts, version=11, **kw):
    s = Session(version)
    s.poll(c, parts, **kw)
    return s


# ------------------------------------------------------- beginning and going

@rows("begin/v%d", SV)
def begin(v):
    t = new_topic(3)
    with Conn() as c:
        produce_ok(c, t, batch(2), 0, part=1)
        s = Session(v)
        got = s.poll(c, [(t, 0, 0), (t, 1, 0), (t, 2, 0)])
        news(got, {0: (0, 0, 0), 1: (0, 2, 2), 2: (0, 0, 0)})
        news(s.poll(c, [(t, 1, 2)]), {})
        news(s.poll(c), {})


@row("begin/of-nothing")
def begin_empty():
    t = new_topic()
    with Conn() as c:
        s = Session()
        news(s.poll(c), {})
        news(s.poll(c, [(t, 0, 0)]), {0: (0, 0, 0)})


@row("begin/ids-differ")
def ids():
    t = new_topic()
    with Conn() as c:
        seen = [begun(c, [(t, 0, 0)]).id for _ in range(20)]
        eq(len(set(seen)), 20, "distinct ids")
        gaps = sorted(abs(a - b) for a, b in zip(seen, seen[1:]))
        ok(gaps[0] > 1, "ids follow each other: %r" % seen)


@rows("news/records/v%d", SV)
def records_are_news(v):
    t = new_topic(4)
    with Conn() as c:
        s = begun(c, [(t, i, 0) for i in range(4)], v)
        news(s.poll(c), {})
        produce_ok(c, t, batch(3), 0, part=2)
        news(s.poll(c), {2: (0, 3, 3)})
        # Its position has not moved: it is told again.
        news(s.poll(c), {2: (0, 3, 3)})
        news(s.poll(c, [(t, 2, 3)]), {})
        produce_ok(c, t, batch(1), 3, part=2)
        produce_ok(c, t, batch(1), 0, part=0)
        news(s.poll(c), {0: (0, 1, 1), 2: (0, 4, 1)})


@row("news/end-without-records")
def end_is_news():
    """What the limit leaves no room for is named when its end moves."""
    t = new_topic(2)
    with Conn() as c:
        produce_ok(c, t, batch(1, 1000), 0, part=0)
        s = begun(c, [(t, 0, 1), (t, 1, 0)])
        produce_ok(c, t, batch(1, 1000), 1, part=0)
        produce_ok(c, t, batch(1, 1000), 0, part=1)
        news(s.poll(c, max_bytes=500), {0: (0, 2, 1), 1: (0, 1, 0)})
        # Now it is first; the other one has gone behind it.
        news(s.poll(c, [(t, 0, 2)], max_bytes=500), {1: (0, 1, 1)})
        news(s.poll(c, [(t, 1, 1)], max_bytes=500), {})


@row("news/beyond-the-end")
def at_end():
    """Consumers that have all are told nothing, however often they ask."""
    t = new_topic(2)
    with Conn() as c:
        produce_ok(c, t, batch(5), 0)
        s = begun(c, [(t, 0, 5), (t, 1, 0)])
        for _ in range(5):
            news(s.poll(c, [(t, 0, 5)]), {})


@row("order/served-go-behind")
def fairness():
    t = new_topic(4)
    with Conn() as c:
        for i in range(4):
            for k in range(6):
                produce_ok(c, t, batch(1, 1000), k, part=i)
        s = Session()
        at = [0] * 4
        got = s.poll(c, [(t, i, 0) for i in range(4)], max_bytes=900)
        news(got, {0: (0, 6, 1), 1: (0, 6, 0), 2: (0, 6, 0), 3: (0, 6, 0)})
        at[0] = 1
        turn = []
        # The first of a full answer has not been moved.
        ask = [(t, 0, 1)]
        for _ in range(9):
            got = s.poll(c, ask, max_bytes=900)
            (i, p), = got.items()
            turn.append(i)
            at[i] += 1
            ask = [(t, i, at[i])]
        eq(turn, [0, 1, 2, 3, 0, 1, 2, 3, 0], "whose turn it was")


@row("order/quiet-ones-keep-their-place")
def order_kept():
    t = new_topic(3)
    with Conn() as c:
        s = begun(c, [(t, i, 0) for i in range(3)])
        for i in (2, 0, 1):
            produce_ok(c, t, batch(), 0, part=i)
        s.send(c)
        eq([p["partition_index"] for p in fetched(s.recv(c))], [0, 1, 2],
           "order")


# ------------------------------------------------- what the partitions are

@rows("partitions/added/v%d", [7, 12, 13, 18])
def added(v):
    t, u = new_topic(2), new_topic(2)
    with Conn() as c:
        produce_ok(c, u, batch(2), 0, part=1)
        s = begun(c, [(t, 0, 0)], v)
        news(s.poll(c, [(t, 1, 0)]), {1: (0, 0, 0)})
        s.send(c, [(u, 0, 0), (u, 1, 0)])
        r = s.recv(c)
        eq([x["topic_id"] if v >= 13 else x["topic"]
            for x in r["responses"]], [u.id if v >= 13 else u.name], "topics")
        news(by_index(r), {0: (0, 0, 0), 1: (0, 2, 2)})
        news(s.poll(c, [(u, 1, 2)]), {})


@rows("partitions/forgotten/v%d", [7, 12, 13, 18])
def forgotten(v):
    t = new_topic(3)
    with Conn() as c:
        s = begun(c, [(t, i, 0) for i in range(3)], v)
        for i in range(3):
            produce_ok(c, t, batch(), 0, part=i)
        news(s.poll(c, forget=[(t, 1), (t, 7)]), {0: (0, 1, 1),
                                                  2: (0, 1, 1)})
        # And taken up again.
        news(s.poll(c, [(t, 0, 1), (t, 2, 1), (t, 1, 0)]), {1: (0, 1, 1)})


@row("partitions/none-left-ends-it")
def none_left():
    t = new_topic(2)
    with Conn() as c:
        s = begun(c, [(t, 0, 0), (t, 1, 0)])
        b = s.body([], forget=[(t, 0), (t, 1)], max_wait=LONG)
        r = c.call("Fetch", s.v, b)
        eq((r["error_code"], r["session_id"], r["responses"]), (0, 0, []),
           "error, session and partitions")
        s.epoch += 1
        s.refused(c, UNKNOWN_SESSION)


@row("partitions/offset-changed")
def offset_changed():
    t = new_topic()
    with Conn() as c:
        for i in range(4):
            produce_ok(c, t, batch(), i)
        s = begun(c, [(t, 0, 4)])
        p, = s.poll(c, [(t, 0, 2)]).values()
        eq(R.all_records(p["records"])[0].offset, 2, "first offset")
        p, = s.poll(c, [(t, 0, 99)]).values()
        eq(p["error_code"], OFFSET_OUT_OF_RANGE, "error")
        p, = s.poll(c).values()
        eq(p["error_code"], OFFSET_OUT_OF_RANGE, "error, again")
        news(s.poll(c, [(t, 0, 4)]), {0: (0, 4, 0)})
        news(s.poll(c), {})


@row("partitions/unknown-is-named-every-time")
def unknown():
    t = new_topic()
    gone = Topic(kafka.fresh_name("no"), kafka.NO_ID, 1)
    with Conn() as c:
        s = begun(c, [(t, 0, 0), (t, 5, 0)])
        for _ in range(2):
            news(s.poll(c), {5: (UNKNOWN_TOPIC, -1, 0)})
        news(s.poll(c, [(gone, 9, 0)], forget=[(t, 5)]),
             {9: (UNKNOWN_TOPIC, -1, 0)})


@rows("partitions/unknown-id/v%d", [13, 18])
def unknown_id(v):
    t = new_topic()
    gone = Topic(None, os.urandom(16), 1)
    if not isinstance(t.id, bytes):
        import uuid
        gone.id = uuid.uuid4()
    with Conn() as c:
        s = begun(c, [(t, 0, 0), (gone, 3, 0)], v)
        for _ in range(2):
            news(s.poll(c), {3: (UNKNOWN_ID, -1, 0)})
        produce_ok(c, t, batch(), 0)
        news(s.poll(c), {0: (0, 1, 1), 3: (UNKNOWN_ID, -1, 0)})


@rows("partitions/deleted-topic/v%d", [11, 13])
def deleted(v):
    t = new_topic()
    with Conn() as c:
        s = begun(c, [(t, 0, 0)], v)
        r = c.call("DeleteTopics", ver("DeleteTopics", 5),
                   {"topic_names": [t.name], "timeout_ms": 30000})
        eq(r["responses"][0]["error_code"], 0, "DeleteTopics")
        want = UNKNOWN_ID if v >= 13 else UNKNOWN_TOPIC
        got = until(lambda: s.poll(c), lambda g: g and
                    g[0]["error_code"] == want)
        eq(got[0]["error_code"], want, "error")
        until(lambda: kafka.create(c, t.name),
              lambda r: r["error_code"] == 0)
        got = until(lambda: s.poll(c), lambda g: g and
                    g[0]["error_code"] == (want if v >= 13 else 0))
        eq(got[0]["error_code"], want if v >= 13 else 0,
           "error for the new one")


@row("partitions/log-start-is-news")
def log_start():
    need("DeleteRecords", 0)
    t = new_topic(2)
    with Conn() as c:
        for i in range(3):
            produce_ok(c, t, batch(), i)
        s = begun(c, [(t, 0, 3), (t, 1, 0)])
        news(s.poll(c), {})
        r = c.call("DeleteRecords", ver("DeleteRecords"), {
            "timeout_ms": 30000, "topics": [{"name": t.name, "partitions": [
                {"partition_index": 0, "offset": 2}]}]})
        eq(r["topics"][0]["partitions"][0]["error_code"], 0, "DeleteRecords")
        p, = s.poll(c).values()
        eq((p["partition_index"], p["log_start_offset"]), (0, 2),
           "partition and log start")
        news(s.poll(c), {})


# --------------------------------------------------------------- refusals

@rows("epoch/%s", ["same", "ahead", "far", "min"])
def epoch(kind):
    t = new_topic()
    with Conn() as c:
        s = begun(c, [(t, 0, 0)])
        s.poll(c)
        right = s.epoch
        s.epoch = {"same": right - 1, "ahead": right + 1, "far": MAX,
                   "min": -2}[kind]
        s.refused(c, BAD_SESSION_EPOCH)
        s.epoch = right         # it is as it was
        produce_ok(c, t, batch(), 0)
        news(s.poll(c), {0: (0, 1, 1)})


@rows("unknown/%d,%d", [(12345, 1), (-5, 3), (0, 1), (MAX, 77)])
def unknown_session(sid, n):
    with Conn() as c:
        s = Session()
        s.id, s.epoch = sid, n
        s.refused(c, UNKNOWN_SESSION)


@row("end/by-a-closing-fetch")
def close_it():
    t = new_topic(2)
    with Conn() as c:
        s = begun(c, [(t, 0, 0), (t, 1, 0)])
        r = c.call("Fetch", s.v, fetch_body([(t, 1, 0)],
                                            session=(s.id, -1)))
        eq((r["error_code"], r["session_id"]), (0, 0), "error and session")
        news(by_index(r), {1: (0, 0, 0)})
        s.refused(c, UNKNOWN_SESSION)


@row("end/by-another-full-fetch")
def renew():
    t = new_topic(2)
    with Conn() as c:
        s = begun(c, [(t, 0, 0)])
        r = c.call("Fetch", s.v, fetch_body([(t, 1, 0)],
                                            session=(s.id, 0)))
        eq(r["error_code"], 0, "error")
        ok(r["session_id"] not in (0, s.id), "a new session")
        news(by_index(r), {1: (0, 0, 0)})
        s.refused(c, UNKNOWN_SESSION)
        s.id, s.epoch = r["session_id"], 1
        news(s.poll(c), {})


@rows("mixed/%s", ["names-then-ids", "ids-then-names"])
def mixed(kind):
    need("Fetch", 13)
    t = new_topic()
    first, then = (12, 13) if kind == "names-then-ids" else (13, 12)
    with Conn() as c:
        s = begun(c, [(t, 0, 0)], first)
        s.v = then
        s.refused(c, TOPIC_ID_ERROR)


@row("version/before-7-has-none")
def old():
    need("Fetch", 6)
    t = new_topic()
    with Conn() as c:
        r = c.call("Fetch", 6, fetch_body([(t, 0, 0)]))
        ok(not r.get("session_id"), "a session")


# -------------------------------------------------------------- long polls

def parked(c):
    roundtrip()
    ok(not c.readable(), "it did not wait")


@rows("wait/for-records/v%d", [7, 12, 13, 18])
def wait(v):
    t = new_topic(3)
    with Conn() as a, Conn() as b:
        s = begun(a, [(t, i, 0) for i in range(3)], v)
        for n in range(3):
            s.send(a, [(t, 1, n)] if n else [], max_wait=LONG)
            parked(a)
            produce_ok(b, t, batch(), n, part=1)
            news(by_index(s.recv(a)), {1: (0, n + 1, 1)})


@row("wait/for-nothing-answers-nothing")
def wait_nothing():
    t = new_topic(3)
    with Conn() as a:
        s = begun(a, [(t, i, 0) for i in range(3)])
        for _ in range(3):
            news(s.poll(a, max_wait=50), {})


@row("wait/enough-bytes-of-several")
def wait_bytes():
    """min_bytes over all partitions, also those that are not named."""
    t = new_topic(4)
    with Conn() as a, Conn() as b:
        s = begun(a, [(t, i, 0) for i in range(4)])
        s.send(a, min_bytes=3000, max_wait=LONG)
        parked(a)
        for i in range(3):
            produce_ok(b, t, batch(1, 900), 0, part=i)
        parked(a)
        produce_ok(b, t, batch(1, 900), 0, part=3)
        news(by_index(s.recv(a)), {i: (0, 1, 1) for i in range(4)})


@row("wait/many-partitions")
def wait_many():
    t = new_topic(500)
    with Conn() as a, Conn() as b:
        s = begun(a, [(t, i, 0) for i in range(500)])
        for n in range(20):
            s.send(a, max_wait=LONG)
            parked(a)
            produce_ok(b, t, batch(), 0, part=n * 7)
            news(by_index(s.recv(a)), {n * 7: (0, 1, 1)})
            news(s.poll(a, [(t, n * 7, 1)]), {})


@row("wait/pipelined-in-one-session")
def pipelined():
    """Each takes its turn when the one before it is answered."""
    t = new_topic(2)
    with Conn() as a, Conn() as b:
        s = begun(a, [(t, 0, 0), (t, 1, 0)])
        s.send(a, max_wait=LONG)
        s.epoch += 1
        s.send(a, [(t, 0, 1)], max_wait=LONG)
        s.epoch -= 1
        parked(a)
        produce_ok(b, t, batch(), 0)
        news(by_index(s.recv(a)), {0: (0, 1, 1)})
        parked(a)
        produce_ok(b, t, batch(), 0, part=1)
        news(by_index(s.recv(a)), {1: (0, 1, 1)})


@row("wait/closed-under-a-waiting-one")
def closed_under():
    with Conn() as a, Conn() as b:
        # Through another gateway b may be ahead of the one that is to wait.
        for _ in range(20):
            t = new_topic()
            s = begun(a, [(t, 0, 0)])
            s.send(a, max_wait=LONG)
            parked(a)
            b.call("Fetch", s.v, fetch_body([(t, 0, 0)], session=(s.id, -1)))
            produce_ok(b, t, batch(), 0)
            r = a.recv()
            if r["error_code"] != UNKNOWN_SESSION:
                break
        eq((r["error_code"], r["session_id"]), (0, s.id), "error and session")
        news(by_index(r), {0: (0, 1, 1)})
        s.refused(b, UNKNOWN_SESSION)


# ------------------------------------------- connections, gateways, restarts

@row("moves/to-other-connections")
def moves():
    t = new_topic(2)
    with Conn() as c:
        s = begun(c, [(t, 0, 0), (t, 1, 0)])
    for i in range(20):
        with Conn() as c:
            produce_ok(c, t, batch(), i)
            news(s.poll(c, [(t, 0, i)]), {0: (0, i + 1, 1)})


@row("moves/away-from-a-dead-connection")
def dead():
    """The one that waited is gone; what it was told is not known."""
    t = new_topic()
    with Conn() as a:
        s = begun(a, [(t, 0, 0)])
        s.send(a, max_wait=LONG)
        parked(a)
    with Conn() as b:
        s.refused(b, BAD_SESSION_EPOCH)
        s.epoch += 1
        produce_ok(b, t, batch(), 0)
        news(s.poll(b), {0: (0, 1, 1)})


@row("many/300-sessions")
def many():
    t = new_topic(3)
    with Conn() as c, Conn() as b:
        all_ = [begun(c, [(t, i, 0) for i in range(3)]) for _ in range(300)]
        eq(len({s.id for s in all_}), 300, "distinct sessions")
        produce_ok(b, t, batch(), 0, part=1)
        for s in all_:
            news(s.poll(c), {1: (0, 1, 1)})
        for s in all_:
            news(s.poll(c, [(t, 1, 1)]), {})
        for s in all_:
            c.call("Fetch", s.v, fetch_body([], session=(s.id, -1)))
        all_[7].refused(c, UNKNOWN_SESSION)


STATE = os.environ.get("CHRONIK_WIRE_STATE")


@row("restart/before")
def before():
    if not STATE:
        raise Skip("no restart in this run")
    t = new_topic(2, hint="keep")
    kafka.made.remove(t.name)
    with Conn() as c:
        produce_ok(c, t, batch(2), 0)
        s = begun(c, [(t, 0, 0), (t, 1, 0)])
        s.poll(c, [(t, 0, 2)])
    with open(STATE, "w") as f:
        json.dump([t.name, s.id, s.epoch], f)


@row("restart/after")
def after():
    """The engine has forgotten it; the client starts anew and misses
    nothing."""
    if not STATE:
        raise Skip("no restart in this run")
    with open(STATE) as f:
        name, sid, n = json.load(f)
    t = Topic(name, kafka.NO_ID, 2)
    with Conn() as c:
        s = Session()
        s.id, s.epoch = sid, n
        s.refused(c, UNKNOWN_SESSION, [(t, 0, 2)])
        s.id = s.epoch = 0
        produce_ok(c, t, batch(2), 2)
        news(s.poll(c, [(t, 0, 2), (t, 1, 0)]), {0: (0, 4, 2), 1: (0, 0, 0)})


SLOTS = int(os.environ.get("CHRONIK_WIRE_SLOTS", "0"))


@row("full/no-session-but-an-answer")
def full():
    """A cache that is full of sessions in use makes no more of them."""
    if not SLOTS:
        raise Skip("the cache is not small in this run")
    t = new_topic(2)
    with Conn() as c:
        kept = [begun(c, [(t, 0, 0), (t, 1, 0)]) for _ in range(SLOTS)]
        r = c.call("Fetch", 11, fetch_body([(t, 0, 0), (t, 1, 0)],
                                           session=(0, 0)))
        eq((r["error_code"], r["session_id"]), (0, 0), "error and session")
        news(by_index(r), {0: (0, 0, 0), 1: (0, 0, 0)})
        for s in kept:
            news(s.poll(c), {})
        c.call("Fetch", 11, fetch_body([], session=(kept[0].id, -1)))
        kept.append(begun(c, [(t, 0, 0)]))
        for s in kept[1:]:
            news(s.poll(c), {})


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
