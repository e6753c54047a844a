# SPDX-License-Identifier: Apache-2.0
"""
Client quotas: DescribeClientQuotas, AlterClientQuotas, and what is done about
them (protocol.md 3.11).  Times that a client was told to wait are compared
with what it has moved, less the time that this took: what is moved at once is
worth more seconds than the slowest machine needs for it.
"""
import os
import time
from contextlib import closing

import kafka
import records as R
from kafka import (Conn, E, KAFKA, create, eq, fetch_body, fetched, fresh_name,
                   isin, new_topic, ok, produce_body, produce_ok, produced,
                   row, rows, ver)

INVALID, UNSUPPORTED, THROTTLED = 42, 35, 89
KEYS = ("producer_byte_rate", "consumer_byte_rate", "request_percentage",
        "controller_mutation_rate")


def entity(**kw):
    """user=, client=, ip=; None is the default."""
    types = {"user": "user", "client": "client-id", "ip": "ip"}
    return [{"entity_type": types.get(k, k), "entity_name": v}
            for k, v in kw.items()]


def op(key, value=None):
    return {"key": key, "value": value or 0.0, "remove": value is None}


def alter(c, entries, validate=False, v=1):
    """entries: [(entity, {key: value or None})]; [(code, message)]."""
    r = c.call("AlterClientQuotas", v, {
        "validate_only": validate, "entries": [
            {"entity": e, "ops": [op(k, x) for k, x in ops.items()]
             if isinstance(ops, dict) else ops} for e, ops in entries]})
    if not KAFKA:
        eq([x["entity"] for x in r["entries"]], [e for e, _ in entries],
           "entities of the answer")
        return [(x["error_code"], x["error_message"]) for x in r["entries"]]

    # Kafka's come in any order, and what was named twice comes once.
    def name(e):
        return sorted({(x["entity_type"], x["entity_name"] or "")
                       for x in e})
    return [(x["error_code"], x["error_message"]) for e, _ in entries
            for x in r["entries"] if name(x["entity"]) == name(e)]


def set_(c, ops, **kw):
    eq(alter(c, [(entity(**kw), ops)]), [(0, None)], "alter %r" % (kw,))


def describe(c, filters, strict=False, v=1):
    """filters: [(type, match type, name)]"""
    return c.call("DescribeClientQuotas", v, {
        "components": [{"entity_type": t, "match_type": m, "match": n}
                       for t, m, n in filters], "strict": strict})


def found(r):
    eq((r["error_code"], r["error_message"] or None), (0, None), "describe")
    return sorted((sorted((e["entity_type"], e["entity_name"] or "<default>")
                          for e in x["entity"]),
                   sorted((y["key"], y["value"]) for y in x["values"]))
                  for x in r["entries"])


def clear(c):
    """No quota is left behind for the next row."""
    r = describe(c, [])
    todo = [(x["entity"], {y["key"]: None for y in x["values"]})
            for x in r["entries"]]
    if todo:
        eq(set(alter(c, todo)), {(0, None)}, "clear")
    eq(describe(c, [])["entries"], [], "nothing is left")


def clean(f):
    def g(*args):
        try:
            f(*args)
        finally:
            with Conn("tidy") as c:
                clear(c)
    return g


# ------------------------------------------------------- alter and describe

@rows("store/v%d", [0, 1])
@clean
def store(v):
    u, i = fresh_name("user"), fresh_name("client")
    forms = [dict(user=u), dict(user=None), dict(client=i), dict(client=None),
             dict(user=u, client=i), dict(user=u, client=None),
             dict(user=None, client=i), dict(user=None, client=None)]
    with Conn() as c:
        for n, f in enumerate(forms):
            eq(alter(c, [(entity(**f), {
                "producer_byte_rate": 1e9 + n, "consumer_byte_rate": 1e9,
                "request_percentage": 1234.5,
                "controller_mutation_rate": 1000.25})], v=v),
               [(0, None)], "alter %r" % f)
        for f in (dict(ip="192.0.2.1"), dict(ip="2001:db8::1"),
                  dict(ip=None)):
            eq(alter(c, [(entity(**f), {"connection_creation_rate": 1e6})],
                     v=v), [(0, None)], "alter %r" % f)
        eq(len(describe(c, [], v=v)["entries"]), 11, "all")
        got = found(describe(c, [("user", 0, u), ("client-id", 0, i)], v=v))
        eq(got, [([("client-id", i), ("user", u)], [
            ("consumer_byte_rate", 1e9), ("controller_mutation_rate",
                                          1000.25),
            ("producer_byte_rate", 1e9 + 4), ("request_percentage",
                                              1234.5)])], "one")
        # Exact, default, any; strict or not.
        for filters, strict, want in (
                ([("user", 0, u)], False, 3), ([("user", 0, u)], True, 1),
                ([("user", 1, None)], False, 3),
                ([("user", 1, None)], True, 1),
                ([("user", 2, None)], False, 6),
                ([("user", 2, None)], True, 2),
                ([("client-id", 0, i)], False, 3),
                ([("client-id", 2, None)], True, 2),
                ([("user", 2, None), ("client-id", 2, None)], True, 4),
                ([("user", 0, u), ("client-id", 1, None)], False, 1),
                ([("ip", 0, "192.0.2.1")], True, 1),
                ([("ip", 1, None)], True, 1),
                ([("ip", 2, None)], False, 3),
                ([("user", 0, "nobody")], False, 0), ([], True, 0)):
            eq(len(describe(c, filters, strict, v)["entries"]), want,
               "%r strict=%r" % (filters, strict))
        # One key goes, then all of them.
        set_(c, {"request_percentage": None}, user=u)
        got = found(describe(c, [("user", 0, u)], True))
        eq([k for k, _ in got[0][1]], ["consumer_byte_rate",
           "controller_mutation_rate", "producer_byte_rate"], "keys left")
        set_(c, {k: None for k in KEYS}, user=u)
        eq(found(describe(c, [("user", 0, u)], True)), [], "gone")


@row("store/validate-only")
@clean
def validate():
    with Conn() as c:
        e = entity(user="x")
        eq(alter(c, [(e, {"producer_byte_rate": 1})], True), [(0, None)],
           "good")
        eq(alter(c, [(e, {"nonsense": 1})], True)[0][0], INVALID, "bad")
        eq(describe(c, [])["entries"], [], "nothing was made")


@row("store/remove-what-is-not")
@clean
def remove_none():
    with Conn() as c:
        set_(c, {"producer_byte_rate": None, "consumer_byte_rate": None},
             user="nobody")
        eq(describe(c, [])["entries"], [], "nothing was made")


KAFKA_DIFFERS = {
    "fetch/v*": ("all", "Kafka withholds the answer that goes over the quota; "
                 "ours is sent, and the next one withheld"),
    "fetch/large-answer": ("all", "the same"),
    "bad/twice": ("all", "Kafka counts it once"),
    "bad/long-name": ("all", "Kafka has no limit"),
    "bad/long-client": ("all", "Kafka has no limit"),
}

E1 = entity(user="u")
BAD = {
    "no-entity": ([], {"producer_byte_rate": 1}),
    "unknown-type": (entity(group="x"), {"producer_byte_rate": 1}),
    "empty-name": (entity(user=""), {"producer_byte_rate": 1}),
    "empty-type": (entity(**{"": "x"}), {"producer_byte_rate": 1}),
    "twice": (E1 + E1, {"producer_byte_rate": 1}),
    "ip-and-user": (entity(ip="192.0.2.1", user="u"),
                    {"connection_creation_rate": 1}),
    "ip-and-client": (entity(ip=None, client="u"),
                      {"connection_creation_rate": 1}),
    "no-address": (entity(ip="300.1.1.1"), {"connection_creation_rate": 1}),
    "ip-key-of-user": (E1, {"connection_creation_rate": 1}),
    "user-key-of-ip": (entity(ip="192.0.2.1"), {"producer_byte_rate": 1}),
    "unknown-key": (E1, {"nonsense": 1}), "empty-key": (E1, {"": 1}),
    "negative": (E1, {"producer_byte_rate": -1}),
    "zero": (E1, [{"key": "producer_byte_rate", "value": 0.0,
                   "remove": False}]),
    "nan": (E1, {"request_percentage": float("nan")}),
    "infinite": (E1, {"request_percentage": float("inf")}),
    "half-a-byte": (E1, {"consumer_byte_rate": 1.5}),
    "half-a-connection": (entity(ip=None), {"connection_creation_rate": .5}),
    "too-many-connections": (entity(ip=None),
                             {"connection_creation_rate": 2.0 ** 31}),
    "huge": (E1, {"producer_byte_rate": 1e300}),
    "key-twice": (E1, [op("producer_byte_rate", 1.0),
                       op("producer_byte_rate", 2.0)]),
    "long-name": (entity(user="x" * 256), {"producer_byte_rate": 1}),
    "long-client": (entity(client="x" * 1025), {"producer_byte_rate": 1}),
}


@rows("bad/%s", list(BAD))
@clean
def bad(what):
    e, ops = BAD[what]
    good = entity(user=fresh_name("user"))
    with Conn() as c:
        r = alter(c, [(e, ops), (good, {"producer_byte_rate": 1e9})])
        eq(r[0][0], INVALID, "error (%s)" % r[0][1])
        ok(r[0][1], "a message")
        eq(r[1], (0, None), "the other is made")
        eq(len(describe(c, [])["entries"]), 1, "entities")


@row("bad/entity-twice")
@clean
def bad_twice():
    with Conn() as c:
        r = alter(c, [(E1, {"producer_byte_rate": 1}),
                      (E1, {"consumer_byte_rate": 1})])
        isin(INVALID, [x[0] for x in r], "errors")


@row("bad/too-many")
@clean
def bad_many():
    with Conn() as c:
        r = alter(c, [(E1, {"producer_byte_rate": 1})] * 1001)
        eq(set(x[0] for x in r), {INVALID}, "errors")


FILTERS = {
    "unknown-type": ([("group", 0, "x")], UNSUPPORTED),
    "empty-type": ([("", 0, "x")], INVALID),
    "exact-null": ([("user", 0, None)], INVALID),
    "default-name": ([("user", 1, "x")], INVALID),
    "any-name": ([("user", 2, "x")], INVALID),
    "match-3": ([("user", 3, None)], INVALID),
    "match--1": ([("user", -1, None)], INVALID),
    "twice": ([("user", 0, "x"), ("user", 1, None)], INVALID),
    "ip-and-user": ([("ip", 0, "x"), ("user", 0, "x")], INVALID),
}


@rows("bad-filter/%s", list(FILTERS))
def bad_filter(what):
    filters, code = FILTERS[what]
    with Conn() as c:
        for v in (0, 1):
            r = describe(c, filters, v=v)
            eq((r["error_code"], r["entries"]), (code, None), "answer")
            ok(r["error_message"], "a message")


# ------------------------------------------------------------------ produce

def pump(c, t, n, size, v=9, acks=-1):
    """n batches of about size bytes; (bytes, the times to wait)."""
    total, waits = 0, []
    for _ in range(n):
        data = R.batch(R.recs(1, size, ts=kafka.TS))
        r = c.call("Produce", v, produce_body([(t, 0, data)], acks))
        eq(produced(r)[0]["error_code"], 0, "produce")
        total += len(data)
        waits.append(r.get("throttle_time_ms", 0))
    return total, waits


def plausible(total, rate, waits, began, what):
    """With a burst of 10 seconds' worth free, the rest is waited for: each
    time told is the whole debt at that moment."""
    free = rate * 10
    ok(total > free, "%s: not enough was moved" % what)
    debt = (total - free) / rate * 1000
    took = (time.monotonic() - began) * 1000
    said = "%s: %r ms, wanted about %d, took %d" % (what, waits, debt, took)
    ok(max(waits) > (debt - took) * 0.5, said)
    ok(max(waits) < debt * 1.5 + 500, said)


@rows("produce/v%d", [3, 6, 9, 12])
@clean
def produce_wait(v):
    t = new_topic()
    i = fresh_name("client")
    with Conn("admin") as a:
        set_(a, {"producer_byte_rate": 20000}, client=i)
    with Conn(i) as c:
        # 380 kB: 180 kB over what 10 seconds give, 9 seconds of waiting.
        began = time.monotonic()
        total, waits = pump(c, t, 2, 190000, v)
        plausible(total, 20000, waits, began, "produce")
    with Conn("other") as c:
        eq(sum(pump(c, t, 2, 190000, v)[1]), 0, "another client id")


@row("produce/muted")
@clean
def produce_muted():
    """What is sent meanwhile is answered later, and other clients are not."""
    t = new_topic()
    i = fresh_name("client")
    with Conn("admin") as a:
        set_(a, {"producer_byte_rate": 100000}, client=i)
        with Conn(i) as c:
            data = R.batch(R.recs(1, 950000, ts=kafka.TS))
            began = time.monotonic()
            r = c.call("Produce", 9, produce_body([(t, 0, data)]))
            eq(produced(r)[0]["error_code"], 0, "produce")
            r = c.call("Produce", 9, produce_body([(t, 0, R.batch(
                R.recs(1, 350000, ts=kafka.TS)))]))
            wait = r["throttle_time_ms"]
            plausible(1300000, 100000, [wait], began, "the second")
            c.send("Metadata", 9, {"topics": []})
            before = time.monotonic()
            kafka.roundtrip(a)
            ok(not c.readable() or time.monotonic() - before > wait / 1000,
               "the muted connection is answered at once")
            ok(c.recv()["brokers"], "answered in the end")


@row("produce/acks-0")
@clean
def produce_silent():
    """Nobody is told, but the connection is muted, and others of the client
    are told."""
    t = new_topic()
    i = fresh_name("client")
    with Conn("admin") as a:
        set_(a, {"producer_byte_rate": 100000}, client=i)
    with Conn(i) as c, Conn(i) as d:
        for _ in range(3):
            c.send_frame(c.build("Produce", 9, produce_body([(t, 0, R.batch(
                R.recs(1, 400000, ts=kafka.TS)))], 0))[0])
        c.send("Metadata", 9, {"topics": []})
        ok(c.recv()["brokers"], "answered in the end")
        r = d.call("Produce", 9, produce_body([(t, 0, R.batch(
            R.recs(1, 900000, ts=kafka.TS)))]))
        ok(r["throttle_time_ms"] > 0, "the other connection waits")


@row("produce/precedence")
@clean
def precedence():
    """Each more special quota beats all before it; the low one shows."""
    i, u = fresh_name("client"), "ANONYMOUS"
    t = new_topic()
    order = [dict(client=None), dict(client=i), dict(user=None),
             dict(user=None, client=None), dict(user=None, client=i),
             dict(user=u), dict(user=u, client=None), dict(user=u, client=i)]

    def waits():
        with Conn(i) as c:
            return pump(c, t, 1, 100000)[1][0]

    with Conn("admin") as a:
        for n, e in enumerate(order):
            # Low here, high at the next: only the last that is set counts.
            set_(a, {"producer_byte_rate": 1}, **e)
            ok(waits() > 0, "%r does not count" % e)
            set_(a, {"producer_byte_rate": 1e12}, **e)
            eq(waits(), 0, "%r does not beat those before" % e)


@row("produce/shared")
@clean
def shared():
    """A client's connections share one bucket, whatever gateway they meet;
    clients of a default do not."""
    t = new_topic()
    i = fresh_name("client")
    with Conn("admin") as a:
        set_(a, {"producer_byte_rate": 100000}, client=None)
    cs = [Conn(i) for _ in range(8)]
    began = time.monotonic()
    waits = [pump(c, t, 1, 200000)[1][0] for c in cs]
    plausible(1600000, 100000, waits[-1:], began, "the eighth")
    with Conn(i + "x") as c:
        eq(pump(c, t, 1, 200000)[1], [0], "another client of the default")
    for c in cs:
        c.close()


@row("produce/no-quota")
def no_quota():
    t = new_topic()
    with Conn() as c:
        eq(sum(pump(c, t, 5, 500000)[1]), 0, "times to wait")


# -------------------------------------------------------------------- fetch

def filled(n=6, size=200000):
    t = new_topic()
    with Conn("filler") as c:
        for _ in range(n):
            produce_ok(c, t, R.batch(R.recs(1, size, ts=kafka.TS)))
    return t


@rows("fetch/v%d", [4, 8, 11])
@clean
def fetch_wait(v):
    """Over the quota no data come, with the time to wait."""
    t = filled()
    i = fresh_name("client")
    with Conn("admin") as a:
        set_(a, {"consumer_byte_rate": 50000}, client=i)
    with Conn(i) as c:
        total, offset, waits = 0, 0, []
        began = time.monotonic()
        for _ in range(6):
            r = c.call("Fetch", v, fetch_body([(t, 0, offset)],
                                              part_max=250000))
            waits.append(r["throttle_time_ms"])
            if waits[-1]:
                eq(r["responses"], [], "a throttled answer")
                break
            data = fetched(r)[0]["records"]
            total += len(data)
            offset = R.all_records(data)[-1].offset + 1
        plausible(total, 50000, waits, began, "fetch")
        r = c.call("Fetch", v, fetch_body([(t, 0, 0)], part_max=250000))
        eq(r["throttle_time_ms"], 0, "after the wait it goes on")
        ok(len(fetched(r)[0]["records"]) > 0, "with data")


@row("fetch/session")
@clean
def fetch_session():
    """A throttled answer leaves the session where it is."""
    t = filled()
    i = fresh_name("client")
    with Conn("admin") as a, Conn(i) as c:
        r = c.call("Fetch", 11, fetch_body([(t, 0, 0)], part_max=250000,
                                           session=(0, 0)))
        sid, epoch = r["session_id"], 1
        ok(sid != 0, "a session")
        set_(a, {"consumer_byte_rate": 20000}, client=i)
        offset, hit = 1, False
        for _ in range(6):
            r = c.call("Fetch", 11, fetch_body(
                [(t, 0, offset)], part_max=250000, session=(sid, epoch)))
            eq((r["error_code"], r["session_id"]), (0, sid), "session")
            epoch += 1
            if r["throttle_time_ms"]:
                eq(r["responses"], [], "a throttled answer")
                hit = True
                break
            offset = R.all_records(fetched(r)[0]["records"])[-1].offset + 1
        ok(hit, "throttled")
        set_(a, {"consumer_byte_rate": None}, client=i)
        r = c.call("Fetch", 11, fetch_body([(t, 0, offset)],
                                           part_max=250000,
                                           session=(sid, epoch)))
        eq((r["error_code"], r["session_id"], r["throttle_time_ms"]),
           (0, sid, 0), "it goes on")
        ok(len(fetched(r)[0]["records"]) > 0, "with data")


class Slow:
    """A session of three partitions whose client has used up its quota.  Its
    connections are muted one by one: it goes on with the next."""

    def __init__(self, admin, client, v):
        self.admin, self.client, self.v = admin, client, v
        self.cs = [Conn(client)]
        self.t = new_topic(4)
        with Conn("filler") as f:
            for _ in range(4):
                produce_ok(f, self.t, R.batch(R.recs(1, 200000,
                                                     ts=kafka.TS)))
        r = self.fetch([(self.t, 0, 0, 1), (self.t, 1, 0), (self.t, 2, 0)],
                       (0, 0), part_max=250000)
        self.id, self.epoch = r["session_id"], 1
        ok(self.id != 0, "a session")
        set_(admin, {"consumer_byte_rate": 10000}, client=client)
        self.at = 1
        for _ in range(6):
            r = self.next([(self.t, 0, self.at)])
            if r["throttle_time_ms"]:
                break
            self.at += len(R.all_records(self.by(r)[0]["records"]))
        self.waits(r)

    def fetch(self, parts, session, forget=(), **kw):
        b = fetch_body(parts, session=session, **kw)
        b["forgotten_topics_data"] = [
            {"topic": self.t.name, "topic_id": self.t.id,
             "partitions": list(forget)}] if forget else []
        return self.cs[-1].call("Fetch", self.v, b)

    def close(self):
        for c in self.cs:
            c.close()

    def next(self, parts=(), forget=()):
        r = self.fetch(list(parts), (self.id, self.epoch), forget,
                       part_max=250000)
        eq((r["error_code"], r["session_id"]), (0, self.id), "session")
        self.epoch += 1
        return r

    def waits(self, r):
        ok(r["throttle_time_ms"] > 0, "a time to wait")
        eq(r["responses"], [], "a throttled answer")
        self.cs.append(Conn(self.client))

    def by(self, r):
        return {p["partition_index"]: p for p in fetched(r)}

    def free(self):
        set_(self.admin, {"consumer_byte_rate": None}, client=self.client)


@rows("fetch/session-rows/v%d", [7, 12, 13, 16])
@clean
def fetch_session_rows(v):
    """What was news when nothing was sent is news afterwards; what the request
    asked for holds; its epoch is used up."""
    i = fresh_name("client")
    with Conn("admin") as a, closing(Slow(a, i, v)) as s:
        for part in (1, 2, 3):
            produce_ok(a, s.t, R.batch(R.recs(part, 10, ts=kafka.TS)),
                       part=part)
        s.waits(s.next([(s.t, 3, 0)], forget=[2]))
        s.waits(s.next())
        old = s.epoch - 1
        s.free()
        r = s.fetch([], (s.id, old))
        eq((r["error_code"], r["responses"]), (71, []), "the epoch before")
        got = s.by(s.next())
        eq(sorted(got), [0, 1, 3], "partitions")
        eq([len(R.all_records(got[n]["records"])) for n in (1, 3)], [1, 3],
           "records")
        eq(R.all_records(got[0]["records"])[0].offset, s.at, "goes on at")


@row("fetch/session-full")
@clean
def fetch_session_full():
    """A full fetch that is throttled begins none, and ends the one that it
    names."""
    i = fresh_name("client")
    with Conn("admin") as a, closing(Slow(a, i, 11)) as s:
        r = s.fetch([(s.t, 0, 0)], (s.id, 0))
        eq((r["error_code"], r["session_id"]), (0, 0), "no session")
        s.waits(r)
        s.free()
        r = s.fetch([], (s.id, s.epoch))
        eq((r["error_code"], r["responses"]), (70, []), "the old one")
        r = s.fetch([(s.t, 0, 0)], (0, 0))
        ok(r["session_id"] != 0, "a new one")


@row("fetch/large-answer")
@clean
def fetch_large():
    """No answer is larger than what all windows give, but for one batch."""
    t = filled(10, 100000)
    i = fresh_name("client")
    with Conn("admin") as a:
        set_(a, {"consumer_byte_rate": 30000}, client=i)
    with Conn(i) as c:
        r = c.call("Fetch", 11, fetch_body([(t, 0, 0)], part_max=1 << 21))
        n = len(fetched(r)[0]["records"])
        ok(0 < n <= 400000, "%d bytes" % n)


# ------------------------------------------------- requests and connections

@row("request/time")
@clean
def request_time():
    """A thousandth of a percent is soon used up; nobody waits longer than a
    window."""
    i = fresh_name("client")
    with Conn("admin") as a:
        set_(a, {"request_percentage": 0.001}, client=i)
    waits = []
    with Conn(i) as c:
        while len(waits) < 10000 and sum(w > 0 for w in waits) < 5:
            r = c.call("Metadata", 9, {"topics": None})
            waits.append(r["throttle_time_ms"])
    ok(max(waits) > 0, "no waits in %d requests" % len(waits))
    ok(max(waits) <= 1000, "waits %r" % waits[-20:])
    with Conn("other") as c:
        eq(c.call("Metadata", 9, {"topics": None})["throttle_time_ms"], 0,
           "another client")


def mutation(c, v, n):
    r = c.call("CreateTopics", v, {"timeout_ms": 30000, "topics": [
        {"name": fresh_name("q"), "num_partitions": n,
         "replication_factor": 1}]})
    kafka.made.append(r["topics"][0]["name"])
    return r["topics"][0]["error_code"], r["throttle_time_ms"]


@row("mutation/strict")
@clean
def mutation_strict():
    i = fresh_name("client")
    t = new_topic()
    with Conn("admin") as a:
        set_(a, {"controller_mutation_rate": 1}, client=i)
    with Conn(i) as c:
        eq(mutation(c, 6, 11)[0], 0, "the burst")
        eq(mutation(c, 6, 51)[0], 0, "into debt")
        code, wait = mutation(c, 7, 1)
        eq(code, THROTTLED, "then not")
        ok(5000 < wait <= 52000, "a wait of %d ms" % wait)
    # Muted connections say nothing for that long: others of the client do.
    with Conn(i) as c:
        r = c.call("DeleteTopics", 5, {"topic_names": [t.name],
                                       "timeout_ms": 30000})
        eq(r["responses"][0]["error_code"], THROTTLED, "DeleteTopics v5")
        ok(r["throttle_time_ms"] > 0, "a wait")
    with Conn(i) as c:
        v = ver("CreatePartitions", 3)
        r = c.call("CreatePartitions", v, {
            "topics": [{"name": t.name, "count": 2, "assignments": None}],
            "timeout_ms": 30000, "validate_only": False})
        eq(r["results"][0]["error_code"], THROTTLED, "CreatePartitions v3")
    # Old versions know no such error: they are served, and wait.
    with Conn(i) as c:
        code, wait = mutation(c, 5, 1)
        eq(code, 0, "CreateTopics v5")
        ok(wait > 5000, "a wait of %d ms" % wait)
    with Conn(i) as c:
        r = c.call("DeleteTopics", 4, {"topic_names": [t.name],
                                       "timeout_ms": 30000})
        eq(r["responses"][0]["error_code"], 0, "DeleteTopics v4")
        ok(r["throttle_time_ms"] > 5000, "a wait")


@row("connection/rate")
@clean
def connection_rate():
    """Ten seconds' worth of connections, and no more."""
    with Conn("admin") as a:
        kafka.metadata(a, [])
        set_(a, {"connection_creation_rate": 2}, ip=E.host)
        good, cs = 0, []
        began = time.monotonic()
        for _ in range(40):
            c = Conn("c")
            cs.append(c)
            c.send("Metadata", 9, {"topics": []})
        took = time.monotonic() - began
        for c in cs:
            try:
                c.recv()
                good += 1
            except kafka.Closed:
                pass
            c.close()
        ok(15 <= good <= min(26 + 2 * took, 39),
           "%d of 40 were served in %.1f s" % (good, took))
        set_(a, {"connection_creation_rate": None}, ip=E.host)
    with Conn("c") as c:
        kafka.metadata(c, [])


# ------------------------------------------------------------------- restart

@row("keep/write")
def keep_write():
    if os.environ.get("CHRONIK_WIRE_KEEP"):
        with Conn() as c:
            set_(c, {"producer_byte_rate": 12345}, user="kept", client=None)
            set_(c, {"connection_creation_rate": 77}, ip="192.0.2.7")


@row("keep/read")
def keep_read():
    if os.environ.get("CHRONIK_WIRE_KEEP"):
        with Conn() as c:
            eq(found(describe(c, [("user", 0, "kept")])),
               [([("client-id", "<default>"), ("user", "kept")],
                 [("producer_byte_rate", 12345.0)])], "kept")
            eq(found(describe(c, [("ip", 2, None)])),
               [([("ip", "192.0.2.7")],
                 [("connection_creation_rate", 77.0)])], "kept")


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
