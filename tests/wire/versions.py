# SPDX-License-Identifier: Apache-2.0
"""
Every API in scope at every version: a good request gets a good answer, to the
last byte; what ApiVersions lists is what works; what it does not list closes
the connection (protocol.md 1, 2.2 and 3.1).
"""
import random
import struct

import kafka
import schema
from kafka import (E, Closed, Conn, Fail, Skip, INVALID_REQUEST,
                   UNSUPPORTED_VERSION, eq, isin, need, ok, roundtrip, row,
                   rows)
from samples import ALL, SCOPE, Sample

KAFKA_DIFFERS = {
    "range/Metadata": ("39", "3.9 ends before the newest versions"),
    "range/Produce": ("39", "3.9 ends before the newest versions"),
    "range/Fetch": ("39 44", "4.x dropped v0-3, 3.9 ends before v18"),
    "range/ListOffsets": ("39 44", "4.x dropped v0, 3.9 ends before v11"),
    "range/CreateTopics": ("44", "4.x dropped v0-1"),
    "range/DeleteTopics": ("44", "4.x dropped v0"),
    "range/ApiVersions": ("44", "4.4 added v5"),
    "range/OffsetCommit": ("39 44", "4.x dropped v0-1, 3.9 ends at v9"),
    "range/OffsetFetch": ("39 44", "4.x dropped v0, 3.9 ends at v9"),
    "range/DescribeGroups": ("39", "3.9 ends at v5"),
    "unlisted-key-closes/71": ("all", "telemetry is answered, unlisted"),
}


@rows("answer/%s/v%d", ALL)
def answer(name, v):
    need(name, v)
    s = Sample(name, v)
    with Conn() as c:
        s.check(c.call(name, v, s.body))
        s.remake()
        s.check(c.call(name, v, s.body))


def flexible():
    apis = schema.load() if schema.shared_dir() else {}
    return [(n, v) for n, v in ALL if apis and apis[n].req.flexible(v)]


def add_tags(body, fields):
    """Unknown tags in a body and in every structure below it."""
    out = dict(body)
    for f in fields:
        v = out.get(f.name)
        if f.struct is None or v is None or f.tag is not None:
            continue
        if f.is_array:
            out[f.name] = [add_tags(e, f.struct) for e in v]
        else:
            out[f.name] = add_tags(v, f.struct)
    out["_tags"] = {100: b"", 5000: b"unknown", 2000000000: b"x" * 300}
    return out


@rows("unknown-tags/%s/v%d", flexible())
def unknown_tags(name, v):
    need(name, v)
    s = Sample(name, v)
    fields = E.apis[name].req.at(v).fields
    with Conn() as c:
        s.check(c.call(name, v, add_tags(s.body, fields),
                       tags={0: b"a", 7: b"", 1 << 20: b"y" * 1000}))


@rows("trailing-bytes-ignored/%s/v%d", ALL)
def trailing(name, v):
    need(name, v)
    s = Sample(name, v)
    with Conn() as c:
        data, corr, _ = c.build(name, v, s.body)
        c.send_frame(data + b"\0\xff" * 20)
        c.expect(name, v, corr)
        s.check(c.recv())
        roundtrip(c)


@rows("client-id/%s/%s", [(n, k) for n, _, _ in SCOPE
                          for k in ("null", "empty", "30k", "control",
                                    "not-utf8")])
def client_id(name, kind):
    cid = {"null": None, "empty": "", "30k": "c" * 30000,
           "control": "a\n\x1b[31mb\0c\r", "not-utf8": b"\xff\xfe\x80id"}
    lo, hi = SCOPE_RANGE[name]
    for v in (max(lo, E.ranges[E.apis[name].key][0]), kafka.ver(name)):
        s = Sample(name, v)
        with Conn() as c:
            s.check(c.call(name, v, s.body, client_id=cid[kind]))
            roundtrip(c)


SCOPE_RANGE = {n: (lo, hi) for n, lo, hi in SCOPE}


@rows("correlation-id/%d", [0, -1, 1, 0x7fffffff, -0x80000000])
def correlation(corr):
    with Conn() as c:
        for name, v in (("ApiVersions", 0), ("ApiVersions", 3),
                        ("Metadata", 9)):
            c.call(name, kafka.ver(name, v), {"topics": []}
                   if name == "Metadata" else
                   {"client_software_name": "a",
                    "client_software_version": "1"}, corr=corr)


@rows("range/%s", [n for n, _, _ in SCOPE])
def version_range(name):
    """The issue's own list: from 0 to the newest of Kafka 4.3."""
    lo, hi = SCOPE_RANGE[name]
    with Conn() as c:
        r = c.call("ApiVersions", 0, {})
    key = E.apis[name].key
    got = [(a["min_version"], a["max_version"]) for a in r["api_keys"]
           if a["api_key"] == key]
    eq(got, [(lo, hi)], "versions listed")


@row("listed/has-a-sample")
def all_sampled():
    """What is advertised is tested: a new API needs a sample at each of its
    versions, or this row fails."""
    names = {a.key: a.name for a in E.apis.values()}
    lacks = []
    for key, (lo, hi) in sorted(E.ranges.items()):
        ok(key in names, "key %d has no schema" % key)
        lacks += ["%s v%d" % (names[key], v) for v in range(lo, hi + 1)
                  if (names[key], v) not in ALL]
    if kafka.KAFKA:
        raise Skip("a real broker serves more")
    eq(lacks, [], "advertised without a sample")


@row("minimum-ranges")
def minimum():
    """What old clients look up in the list before they trust a broker."""
    with Conn() as c:
        r = c.call("ApiVersions", 0, {})
    have = {a["api_key"]: (a["min_version"], a["max_version"])
            for a in r["api_keys"]}
    for name, lo, hi in (("Produce", 0, 9), ("Metadata", 0, 8),
                         ("ApiVersions", 0, 3)):
        key = E.apis[name].key
        ok(key in have, "%s is not listed" % name)
        ok(have[key][0] <= lo and have[key][1] >= hi,
           "%s: %d-%d wanted, %d-%d listed" % ((name, lo, hi) + have[key]))


@row("internal-keys-unlisted")
def internal():
    """Keys that only brokers and controllers speak with one another."""
    mine = {4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82}
    bad = sorted(mine & set(E.ranges))
    eq(bad, [], "internal keys listed")


@row("list/same-in-every-version")
def same_list():
    lists = []
    with Conn() as c:
        for v in range(5):
            if v > kafka.ver("ApiVersions"):
                break
            r = c.call("ApiVersions", v, {"client_software_name": "a",
                                          "client_software_version": "1"})
            lists.append(sorted((a["api_key"], a["min_version"],
                                 a["max_version"]) for a in r["api_keys"]))
    for v, x in enumerate(lists):
        eq(x, lists[0], "list of v%d" % v)


@row("list/same-on-a-second-connection")
def same_list_again():
    a = roundtrip()["api_keys"]
    b = roundtrip()["api_keys"]
    eq(a, b, "list")


def unsupported(v, body, corr=77):
    with Conn() as c:
        w = c.header(E.apis["ApiVersions"], v, corr, "x", {},
                     flexible=v >= 3)
        c.send_frame(bytes(w.out) + body)
        r = c.decode("ApiVersions", 0, corr, c.recv_frame())
        eq(r["error_code"], UNSUPPORTED_VERSION, "error")
        lo, hi = E.ranges[18]
        eq([tuple(a.values()) for a in r["api_keys"]], [(18, lo, hi)],
           "keys")
        # The connection goes on: the client tries again with what it got.
        roundtrip(c)


@rows("api-versions/too-new/%s", ["max+1", "max+2", "99", "32767"])
def too_new(v):
    top = E.ranges[18][1]
    unsupported(top + int(v[4:]) if v.startswith("max") else int(v), b"")


@row("api-versions/too-new/body-not-parsed")
def too_new_body():
    unsupported(99, b"\xff" * 64)


@row("api-versions/negative")
def negative():
    """Kafka answers 35 or closes; nothing else will do."""
    try:
        unsupported(-1, b"")
    except Closed:
        pass


@rows("api-versions/software-name/%s", [
    ("empty", ), ("space", ), ("dash-first", ), ("dash-last", ),
    ("version-empty", ), ("newline", ), ("non-ascii", )])
def software(kind):
    name, version = {
        "empty": ("", "1"), "space": ("a b", "1"), "dash-first": ("-a", "1"),
        "dash-last": ("a-", "1"), "version-empty": ("a", ""),
        "newline": ("a\n", "1"), "non-ascii": ("\u00e9", "1")}[kind]
    for v in range(3, kafka.ver("ApiVersions") + 1):
        with Conn() as c:
            r = c.call("ApiVersions", v, {"client_software_name": name,
                                          "client_software_version": version})
            eq(r["error_code"], INVALID_REQUEST, "error")
            eq(r["throttle_time_ms"], 0, "throttle")
            roundtrip(c)


@row("api-versions/software-name/good")
def software_good():
    with Conn() as c:
        for name in ("a", "7", "a.b-c", "apache-kafka-java", "A" * 200):
            r = c.call("ApiVersions", 3, {"client_software_name": name,
                                          "client_software_version": name})
            eq(r["error_code"], 0, "error for %s" % name)


@row("api-versions/twice-and-late")
def twice():
    """It may come again, and after other requests."""
    with Conn() as c:
        roundtrip(c)
        c.call("Metadata", 1, {"topics": []})
        roundtrip(c)
        c.call("ApiVersions", 3, {"client_software_name": "a",
                                  "client_software_version": "1"})


@row("no-api-versions-first")
def no_api_versions():
    """kafkajs and old clients may start with anything."""
    for name, v, body in (("Metadata", 0, {"topics": []}),
                          ("Metadata", 4, {"topics": []}),
                          ("ListOffsets", 1, {"replica_id": -1})):
        with Conn() as c:
            c.call(name, kafka.ver(name, v), body)


def probes():
    """Every listed key at its least and its greatest version."""
    return [("%d" % k, ) for k in range(0, 93)]


# Defaults that would change or hang a cluster rather than be refused.
UNSAFE = {7, 10, 43, 57, 58, 64, 80, 81, 11}
# Where the defaults are no request that a broker has to understand.
PROBE = {
    9: {"group_id": "probe", "groups": [{"group_id": "probe"}]},
    24: {"v3_and_below_transactional_id": "probe", "transactions": [
        {"transactional_id": "probe", "topics": [
            {"name": "probe", "partitions": [0]}]}],
         "v3_and_below_topics": [{"name": "probe", "partitions": [0]}]},
    29: {"resource_type_filter": 1, "pattern_type_filter": 1,
         "operation": 1, "permission_type": 1},
}


@rows("listed-key-works/%s", probes())
def probe(key):
    """A key outside the scope gets its defaults and must decode."""
    key = int(key)
    if key not in E.ranges:
        raise Skip("not listed")
    api = [a for a in E.apis.values() if a.key == key]
    if not api:
        raise Skip("no schema for it")
    api = api[0]
    if kafka.KAFKA and key in UNSAFE:
        raise Skip("left alone on a real broker")
    lo, hi = E.ranges[key]
    for v in (lo, hi):
        if not api.min <= v <= api.max:
            continue
        if api.name in SCOPE_RANGE:
            s = Sample(api.name, v)
            with Conn() as c:
                s.check(c.call(api.name, v, s.body))
            continue
        with Conn() as c:
            c.call(api.name, v, PROBE.get(key, {}))


@rows("unlisted-key-closes/%d", list(range(0, 100)) +
      [-1, -32768, 1000, 32767])
def unlisted(key):
    if key in E.ranges:
        raise Skip("listed")
    for v in (0, 1, 5):
        with Conn() as c:
            c.send_frame(struct.pack(">hhih", key, v, 9, 1) + b"x" +
                         b"\0" * 40)
            c.expect_close("key %d v%d" % (key, v))
    roundtrip()


@rows("unlisted-version-closes/%s", [n for n, _, _ in SCOPE
                                     if n != "ApiVersions"])
def bad_version(name):
    lo, hi = E.ranges[E.apis[name].key]
    if name == "Produce" and kafka.KAFKA == "44":
        lo = 0
    for v in (lo - 1, hi + 1, hi + 7, -1, -32768, 32767):
        if lo <= v <= hi:
            continue
        with Conn() as c:
            c.send_frame(struct.pack(">hhih", E.apis[name].key, v, 9, 1) +
                         b"x" + b"\0" * 60)
            c.expect_close("%s v%d" % (name, v))
    roundtrip()


@row("answers-in-order/every-api-and-version")
def pipeline():
    """All of them at once on one connection, in a shuffled order."""
    todo = []
    for name, v in ALL:
        lo, hi = E.ranges.get(E.apis[name].key, (0, -1))
        if lo <= v <= hi:
            todo.append(Sample(name, v))
    random.Random(7).shuffle(todo)
    with Conn() as c:
        for s in todo:
            c.send(s.name, s.version, s.body)
        for s in todo:
            try:
                s.check(c.recv())
            except Fail as e:
                raise Fail("%s v%d: %s" % (s.name, s.version, e))


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
