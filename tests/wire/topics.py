# SPDX-License-Identifier: Apache-2.0
"""
Topics as clients see them: Metadata, CreateTopics, DeleteTopics and the
producer ids of InitProducerId (protocol.md 3.3 and 3.6).
"""
import os

import kafka
import records as R
from kafka import (BAD_ASSIGNMENT, BAD_CONFIG, BAD_PARTITIONS, BAD_RF, E,
                   INVALID_REQUEST, INVALID_TOPIC, KAFKA, NO_ID, OPS_NONE,
                   TOPIC_EXISTS, UNKNOWN_ID, UNKNOWN_TOPIC, Closed, Conn,
                   Fail, Skip, Topic, create, end_offset, eq, fetch,
                   fresh_name, isin, leader_epoch, list_offset, made,
                   metadata, need, new_pid, new_topic, ok, produce,
                   produce_ok, read_all, roundtrip, row, rows, until, ver)
from samples import check_brokers, check_topic, wait_topic

KAFKA_DIFFERS = {
    "create/usable-at-once": ("all?", "a KRaft broker answers before it "
                              "leads"),
    "producer-id/never-again": ("all?", "14 while a KRaft broker gets its "
                                "next block of ids"),
    "producer-id/2500-pipelined": ("all?", "14 while a KRaft broker gets its "
                                   "next block of ids"),
}

MV = list(range(14))
NAMES = {"empty": "", "dot": ".", "dots": "..", "space": "a b",
         "long": "x" * 250, "slash": "a/b", "traversal": "../../etc/passwd",
         "umlaut": "\u00fc", "nul": "a\0b", "newline": "a\nb",
         "escape": "a\x1b[31mb", "look-alike": "\u0430bc", "colon": "a:b",
         "percent": "a%2fb", "star": "*", "comma": "a,b", "quote": "a'b\""}


def codes(r):
    return [t["error_code"] for t in r["topics"]]


# ---------------------------------------------------------------- Metadata

@rows("metadata/all/v%d", MV)
def md_all(v):
    """v0: an empty list; from v1: null."""
    need("Metadata", v)
    t = new_topic(2)
    with Conn() as c:
        r = metadata(c, [] if v == 0 else None, v)
        check_brokers(r, v)
        names = [x["name"] for x in r["topics"]]
        eq(len(set(names)), len(names), "distinct topics")
        mine = [x for x in r["topics"] if x["name"] == t.name]
        eq(len(mine), 1, "rows of the topic")
        check_topic(r, mine[0], t, v)


@rows("metadata/none/v%d", MV[1:])
def md_none(v):
    need("Metadata", v)
    new_topic()
    with Conn() as c:
        r = metadata(c, [], v)
        eq(r["topics"], [], "topics")
        check_brokers(r, v)


@rows("metadata/unknown/v%d", MV[4:])
def md_unknown(v):
    """Not made, as long as the request (from v4 on) says so."""
    need("Metadata", v)
    name = fresh_name("none")
    t = new_topic()
    with Conn() as c:
        for _ in range(2):
            r = metadata(c, [name, t.name], v)
            by = {x["name"]: x for x in r["topics"]}
            eq(set(by), {name, t.name}, "names")
            eq(by[name]["error_code"], UNKNOWN_TOPIC, "error")
            eq(by[name]["partitions"], [], "partitions")
            eq(by[name].get("topic_id", NO_ID), NO_ID, "topic id")
            eq(by[name].get("is_internal", False), False, "internal")
            eq(by[t.name]["error_code"], 0, "error of the other")


@rows("metadata/auto-create/v%d", MV)
def md_auto(v):
    """Now or at one of the next requests; then it can be used."""
    need("Metadata", v)
    name = fresh_name("auto")
    made.append(name)
    with Conn() as c:
        r = metadata(c, [name], v, auto=True)
        isin(codes(r), ([0], [3], [5]), "first answer")
        if KAFKA:
            r = until(lambda: metadata(c, [name], v, auto=True),
                      lambda r: codes(r) == [0])
        else:
            for _ in range(50):
                if codes(r) == [0]:
                    break
                r = metadata(c, [name], v, auto=True)
        eq(codes(r), [0], "error in the end")
        eq(len(r["topics"][0]["partitions"]), 1, "partitions")
        t = Topic(name, r["topics"][0].get("topic_id", NO_ID), 1)
        if KAFKA:
            kafka.wait_ready(c, t)
        produce_ok(c, t, R.batch(R.recs(1)), 0)


@row("metadata/auto-create/not-for-all-topics")
def md_auto_all():
    with Conn() as c:
        before = {t["name"] for t in metadata(c, None, 9,
                                              auto=True)["topics"]}
        after = {t["name"] for t in metadata(c, None, 9)["topics"]}
        eq(after, before, "topics")


@rows("metadata/invalid-name/%s", sorted(NAMES))
def md_invalid(kind):
    """17, whether it may be created or not; and never created."""
    name = NAMES[kind]
    with Conn() as c:
        for v in (0, 1, 4, 8, 9, 11, 12, 13):
            if not E.ranges[3][0] <= v <= ver("Metadata"):
                continue
            for auto in (False, True):
                r = metadata(c, [name], v, auto=auto)
                eq(codes(r), [INVALID_TOPIC], "error in v%d" % v)
                eq(r["topics"][0]["name"], name, "name")
                eq(r["topics"][0]["partitions"], [], "partitions")
        names = [t["name"] for t in metadata(c, None)["topics"]]
        ok(name not in names, "it was created")


@rows("metadata/id/%s/v%d", [(k, v) for k in ("null-name", "null-name-id",
                                              "name-and-id")
                             for v in (10, 11)])
def md_id_old(kind, v):
    """Ids may be asked for from v12 on."""
    need("Metadata", v)
    t = new_topic()
    x = {"null-name": {"name": None},
         "null-name-id": {"name": None, "topic_id": t.id},
         "name-and-id": {"name": t.name, "topic_id": t.id}}[kind]
    with Conn() as c:
        r = c.call("Metadata", v, {"topics": [x],
                                   "allow_auto_topic_creation": False})
        eq(codes(r), [INVALID_REQUEST], "error")
        eq(r["topics"][0]["partitions"], [], "partitions")


@row("metadata/null-name-in-v9-closes")
def md_null_name():
    with Conn() as c:
        c.send("Metadata", 9, {"topics": [{"name": None}]})
        c.expect_close("a null name in v9")


@rows("metadata/id/known/v%d", [12, 13])
def md_id(v):
    need("Metadata", v)
    t, u = new_topic(2), new_topic(1)
    with Conn() as c:
        r = metadata(c, None, v, ids=[u.id, t.id])
        eq(sorted(x["name"] for x in r["topics"]),
           sorted([t.name, u.name]), "names")
        for x in r["topics"]:
            check_topic(r, x, t if x["name"] == t.name else u, v)


@rows("metadata/id/empty-name/v%d", [12, 13])
def md_id_empty(v):
    """The Java client asks so: by the id alone."""
    need("Metadata", v)
    t = new_topic(3)
    with Conn() as c:
        for auto in (False, True):
            r = c.call("Metadata", v, {
                "topics": [{"name": "", "topic_id": t.id},
                           {"name": "", "topic_id": b"\x5a" * 16}],
                "allow_auto_topic_creation": auto})
            eq(codes(r), [0, UNKNOWN_ID], "errors")
            check_topic(r, r["topics"][0], t, v)


@rows("metadata/id/unknown/v%d", [12, 13])
def md_id_unknown(v):
    need("Metadata", v)
    t = new_topic()
    with Conn() as c:
        for auto in (False, True):
            r = metadata(c, None, v, auto=auto, ids=[b"\x5a" * 16, t.id])
            by = {x["topic_id"]: x for x in r["topics"]}
            eq(set(by), {b"\x5a" * 16, t.id}, "ids")
            eq(by[b"\x5a" * 16]["error_code"], UNKNOWN_ID, "error")
            isin(by[b"\x5a" * 16]["name"], (None, ""), "name")
            eq(by[b"\x5a" * 16]["partitions"], [], "partitions")
            eq(by[t.id]["error_code"], 0, "error of the other")


@rows("metadata/id/zero-and-null-name/v%d", [12, 13])
def md_id_zero(v):
    """Kafka stumbles (-1); an error it must be."""
    need("Metadata", v)
    with Conn() as c:
        r = c.call("Metadata", v, {"topics": [{"name": None}]})
        eq(len(r["topics"]), 1, "topics")
        isin(r["topics"][0]["error_code"],
             (-1, INVALID_REQUEST, UNKNOWN_ID, INVALID_TOPIC), "error")
        roundtrip(c)


@row("metadata/twice")
def md_twice():
    t = new_topic()
    name = fresh_name("none")
    with Conn() as c:
        r = metadata(c, [t.name, name, t.name, name])
        eq({(x["name"], x["error_code"]) for x in r["topics"]},
           {(t.name, 0), (name, UNKNOWN_TOPIC)}, "rows")


@row("metadata/operations")
def md_ops():
    """Only when asked for."""
    t = new_topic()
    with Conn() as c:
        for v in (8, 9, 10, 11, 12):
            kw = {"include_topic_authorized_operations": True}
            if v <= 10:
                kw["include_cluster_authorized_operations"] = True
            r = metadata(c, [t.name], v, **kw)
            ops = r["topics"][0]["topic_authorized_operations"]
            ok(ops != OPS_NONE and ops > 0, "topic operations %d" % ops)
            if v <= 10:
                ops = r["cluster_authorized_operations"]
                ok(ops != OPS_NONE and ops > 0,
                   "cluster operations %d" % ops)


@row("metadata/stable")
def md_stable():
    """Ids, addresses and epochs agree over versions and connections."""
    t = new_topic(3)
    seen = set()
    for i in range(10):
        with Conn() as c:
            for v in (9, 10, 12):
                r = metadata(c, [t.name], v)
                x = r["topics"][0]
                seen.add((r["cluster_id"], r["controller_id"],
                          tuple((b["node_id"], b["host"], b["port"])
                                for b in r["brokers"]),
                          tuple(sorted((p["partition_index"],
                                        p["leader_id"], p["leader_epoch"])
                                       for p in x["partitions"]))))
    eq(len(seen), 1, "different answers")


@row("metadata/500-names")
def md_many():
    t = new_topic()
    names = [fresh_name("none") for _ in range(500)] + [t.name]
    with Conn() as c:
        r = metadata(c, names)
        by = {x["name"]: x["error_code"] for x in r["topics"]}
        eq(set(by), set(names), "names")
        eq(by.pop(t.name), 0, "error of the known one")
        eq(set(by.values()), {UNKNOWN_TOPIC}, "errors of the others")


# ------------------------------------------------------------ CreateTopics

def tried(validate=True, version=7, **kw):
    """One topic of the answer; nothing is created unless all is well."""
    name = kw.pop("name", None) or fresh_name("ct")
    kw = dict({"num_partitions": 1, "replication_factor": 1}, **kw)
    with Conn() as c:
        v = ver("CreateTopics", version)
        r = c.call("CreateTopics", v, {
            "topics": [dict(kw, name=name)], "timeout_ms": 30000,
            "validate_only": validate})
        t, = r["topics"]
        eq(t["name"], name, "name")
        if t["error_code"]:
            if v >= 1:
                ok(t["error_message"], "no error message")
            if v >= 7:
                eq(t["topic_id"], NO_ID, "topic id")
        elif not validate or v == 0:
            made.append(name)
        exists = t["error_code"] == 0 and (not validate or v == 0)
        if not exists:
            isin(metadata(c, [name])["topics"][0]["error_code"],
                 (UNKNOWN_TOPIC, INVALID_TOPIC), "topic afterwards")
        return t


def refused(code, **kw):
    """Validated only, and in earnest."""
    for validate in (True, False):
        eq(tried(validate, **kw)["error_code"], code, "error")
    for v in (0, 1, 2, 4, 5):
        if v >= E.ranges[19][0]:
            eq(tried(False, v, **kw)["error_code"], code, "error in v%d" % v)


@rows("create/partitions/%d", [0, -2, -100, -0x80000000])
def ct_parts(n):
    refused(BAD_PARTITIONS, num_partitions=n)


@rows("create/many-partitions-refused/%d", [1000000, 0x7fffffff])
def ct_parts_many(n):
    """Kafka calls it a matter of policy."""
    isin(tried(False, num_partitions=n)["error_code"], (BAD_PARTITIONS, 44),
         "error")


@rows("create/replication-factor/%d", [0, -2, 2, 3, 32767, -32768])
def ct_rf(n):
    refused(BAD_RF, replication_factor=n)


@rows("create/defaults/v%d", [4, 5, 6, 7])
def ct_defaults(v):
    need("CreateTopics", v)
    t = tried(False, v, num_partitions=-1, replication_factor=-1)
    eq(t["error_code"], 0, "error")
    if v >= 5:
        eq((t["num_partitions"], t["replication_factor"]), (1, 1),
           "defaults")
    with Conn() as c:
        wait_topic(c, t["name"], t.get("topic_id"), 1)


@rows("create/invalid-name/%s", sorted(NAMES))
def ct_names(kind):
    t = tried(False, name=NAMES[kind]) if NAMES[kind] else None
    if t is None:
        with Conn() as c:
            t = create(c, "")
    eq(t["error_code"], INVALID_TOPIC, "error")


@row("create/longest-name")
def ct_longest():
    name = (fresh_name("long") + "-" + "x" * 249)[:249]
    t = tried(False, name=name)
    eq(t["error_code"], 0, "error")
    with Conn() as c:
        wait_topic(c, name, t["topic_id"], 1)


@row("create/all-letters")
def ct_letters():
    name = "ABCabc019._-" + fresh_name("l").replace("-", "")
    eq(tried(False, name=name)["error_code"], 0, "error")


@row("create/exists")
def ct_exists():
    t = new_topic()
    with Conn() as c:
        for v in range(E.ranges[19][0], ver("CreateTopics") + 1):
            for n in (1, 5):
                r = c.call("CreateTopics", v, {"topics": [
                    {"name": t.name, "num_partitions": n,
                     "replication_factor": 1}], "timeout_ms": 30000})
                eq(codes(r), [TOPIC_EXISTS], "error in v%d" % v)
        r = c.call("CreateTopics", 7, {"topics": [
            {"name": t.name, "num_partitions": 1, "replication_factor": 1}],
            "timeout_ms": 30000, "validate_only": True})
        eq(codes(r), [TOPIC_EXISTS], "error when validating")


@row("create/collision")
def ct_collision():
    """a.b and a_b would be one in names of metrics."""
    for x, y in ((".", "_"), ("_", ".")):
        base = fresh_name("coll").replace("-", "")
        eq(tried(False, name=base + x + "b")["error_code"], 0, "error")
        for validate in (True, False):
            eq(tried(validate, name=base + y + "b")["error_code"],
               INVALID_TOPIC, "error of the other")


@row("create/twice-in-a-request")
def ct_twice():
    a, b = fresh_name("tw"), fresh_name("tw")
    made.append(b)
    with Conn() as c:
        r = c.call("CreateTopics", 7, {"topics": [
            {"name": n, "num_partitions": 1, "replication_factor": 1}
            for n in (a, b, a)], "timeout_ms": 30000})
        eq({(t["name"], t["error_code"]) for t in r["topics"]},
           {(a, INVALID_REQUEST), (b, 0)}, "rows")
        until(lambda: metadata(c, [b])["topics"][0]["error_code"] == 0)
        eq(codes(metadata(c, [a])), [UNKNOWN_TOPIC], "the doubled one")


@rows("create/validate-only/v%d", [1, 2, 4, 5, 7])
def ct_validate(v):
    need("CreateTopics", v)
    t = tried(True, v, num_partitions=7)
    eq(t["error_code"], 0, "error")
    if v >= 5:
        eq(t["num_partitions"], 7, "partitions")
        ok(t["configs"], "no configs")


@row("create/one-bad-of-three")
def ct_one_bad():
    a, b = fresh_name("ob"), fresh_name("ob")
    made.extend((a, b))
    good = {"num_partitions": 1, "replication_factor": 1}
    with Conn() as c:
        r = c.call("CreateTopics", 7, {"topics": [
            dict(good, name=a), dict(good, name="no good"),
            dict(good, name=b)], "timeout_ms": 30000})
        eq({t["name"]: t["error_code"] for t in r["topics"]},
           {a: 0, "no good": INVALID_TOPIC, b: 0}, "rows")


@row("create/none")
def ct_none():
    with Conn() as c:
        for v in range(E.ranges[19][0], ver("CreateTopics") + 1):
            eq(c.call("CreateTopics", v, {"timeout_ms": 1000})["topics"],
               [], "topics of v%d" % v)


def assignment(*rows_):
    return [{"partition_index": i, "broker_ids": b} for i, b in rows_]


def node():
    with Conn() as c:
        return metadata(c, [])["brokers"][0]["node_id"]


@row("create/assignment/good")
def ct_assign():
    b = node()
    for a in (((0, [b]), ), ((0, [b]), (1, [b]), (2, [b])),
              ((2, [b]), (0, [b]), (1, [b]))):
        t = tried(False, num_partitions=-1, replication_factor=-1,
                  assignments=assignment(*a))
        eq(t["error_code"], 0, "error (%s)" % t["error_message"])
        eq((t["num_partitions"], t["replication_factor"]), (len(a), 1),
           "counts")


@rows("create/assignment/counts/%s", ["partitions", "factor", "both",
                                      "zero"])
def ct_assign_counts(kind):
    p, f = {"partitions": (1, -1), "factor": (-1, 1), "both": (1, 1),
            "zero": (0, -1)}[kind]
    t = tried(False, num_partitions=p, replication_factor=f,
              assignments=assignment((0, [node()])))
    eq(t["error_code"], INVALID_REQUEST, "error")


@rows("create/assignment/bad/%s", ["gap", "from-1", "negative", "no-broker",
                                   "broker-twice", "empty", "uneven",
                                   "partition-twice", "negative-broker"])
def ct_assign_bad(kind):
    b = node()
    a = {"gap": ((0, [b]), (2, [b])), "from-1": ((1, [b]), ),
         "negative": ((-1, [b]), ), "no-broker": ((0, [b + 99]), ),
         "broker-twice": ((0, [b, b]), ), "empty": ((0, []), ),
         "uneven": ((0, [b]), (1, [])),
         "partition-twice": ((0, [b]), (0, [b])),
         "negative-broker": ((0, [-1]), )}[kind]
    t = tried(False, num_partitions=-1, replication_factor=-1,
              assignments=assignment(*a))
    eq(t["error_code"], BAD_ASSIGNMENT, "error")


CONFIGS = [("no.such.config", "1"), ("", "x"), ("retention.ms", "x"),
           ("retention.ms", ""), ("retention.ms", None),
           ("retention.ms", "-2"), ("retention.ms", "1.5"),
           ("segment.bytes", "0"), ("cleanup.policy", "what"),
           ("max.message.bytes", "-1"), ("min.insync.replicas", "0"),
           ("compression.type", "zip"), ("message.timestamp.type", "now"),
           ("retention.bytes", "9223372036854775808"), ("flush.ms", "-1"),
           ("unclean.leader.election.enable", "maybe")]


@rows("create/config/bad/%s=%s", CONFIGS)
def ct_config_bad(k, v):
    for validate in (True, False):
        t = tried(validate, configs=[{"name": k, "value": v}])
        eq(t["error_code"], BAD_CONFIG, "error")


@row("create/config/returned")
def ct_config():
    """v5+: what was set, and what is the default, and which is which."""
    want = {"retention.ms": "123456", "cleanup.policy": "delete",
            "max.message.bytes": "54321", "retention.bytes": "-1",
            "segment.bytes": "2097152"}
    t = tried(False, configs=[{"name": k, "value": v}
                              for k, v in want.items()])
    eq(t["error_code"], 0, "error (%s)" % t["error_message"])
    got = {c["name"]: c for c in t["configs"]}
    for k, v in want.items():
        eq((got[k]["value"], got[k]["config_source"]), (v, 1), k)
    for k, v in (("min.insync.replicas", "1"),
                 ("compression.type", "producer"),
                 ("message.timestamp.type", "CreateTime"),
                 ("retention.ms", "123456"), ("segment.ms", "604800000")):
        eq(got[k]["value"], v, k)
        if k not in want:
            ok(got[k]["config_source"] != 1, k + ": source is the topic")


@row("create/50-topics")
def ct_many():
    names = [fresh_name("m") for _ in range(50)]
    made.extend(names)
    with Conn() as c:
        r = c.call("CreateTopics", 7, {"topics": [
            {"name": n, "num_partitions": 2, "replication_factor": 1}
            for n in names], "timeout_ms": 30000})
        eq(sorted((t["name"], t["error_code"]) for t in r["topics"]),
           sorted((n, 0) for n in names), "rows")
        ids = {t["topic_id"] for t in r["topics"]}
        eq(len(ids), 50, "distinct ids")
        until(lambda: set(codes(metadata(c, names))) == {0})
        r = metadata(c, names, 12)
        eq({t["topic_id"] for t in r["topics"]}, ids, "ids in Metadata")


@row("create/usable-at-once")
def ct_at_once():
    """The answer to CreateTopics is a promise: on any connection."""
    for i in range(10):
        name = fresh_name("now")
        with Conn() as a, Conn() as b:
            r = create(a, name, 3)
            eq(r["error_code"], 0, "error")
            t = Topic(name, r["topic_id"], 3)
            produce_ok(b, t, R.batch(R.recs(2)), 0, part=2)
            eq(end_offset(a, t, 2), 2, "end offset")
            eq(fetch(a, t, 0, 1)["error_code"], 0, "fetch")


@row("create/pipelined-then-used")
def ct_pipelined():
    """Metadata behind CreateTopics on one connection sees the topic."""
    name = fresh_name("pipe")
    made.append(name)
    with Conn() as c:
        c.send("CreateTopics", 7, {"topics": [
            {"name": name, "num_partitions": 1, "replication_factor": 1}],
            "timeout_ms": 30000})
        c.send("Metadata", 9, {"topics": [{"name": name}],
                               "allow_auto_topic_creation": False})
        eq(codes(c.recv()), [0], "CreateTopics")
        isin(codes(c.recv()), ([0], [3]) if KAFKA else ([0], ), "Metadata")


@rows("create/timeout/%d", [0, -1, 1])
def ct_timeout(ms):
    """No time to wait is an answer of success or of 7, no hang."""
    name = fresh_name("to")
    made.append(name)
    with Conn() as c:
        r = c.call("CreateTopics", 7, {"topics": [
            {"name": name, "num_partitions": 1, "replication_factor": 1}],
            "timeout_ms": ms})
        isin(codes(r), ([0], [7]), "error")


# ------------------------------------------------------------ DeleteTopics

def delete(c, version=6, topics=(), names=()):
    r = c.call("DeleteTopics", ver("DeleteTopics", version),
               {"topics": list(topics), "topic_names": list(names),
                "timeout_ms": 30000})
    return r["responses"]


@rows("delete/unknown/v%d", list(range(7)))
def dt_unknown(v):
    need("DeleteTopics", v)
    name = fresh_name("none")
    with Conn() as c:
        t, = delete(c, v, [{"name": name}], [name])
        eq((t["name"], t["error_code"]), (name, UNKNOWN_TOPIC), "row")
        if v >= 5:
            ok(t["error_message"], "no message")


@row("delete/unknown-id")
def dt_unknown_id():
    with Conn() as c:
        t, = delete(c, 6, [{"topic_id": b"\x5a" * 16}])
        eq((t["name"], t["topic_id"], t["error_code"]),
           (None, b"\x5a" * 16, UNKNOWN_ID), "row")


@row("delete/by-id")
def dt_id():
    t = new_topic()
    with Conn() as c:
        x, = delete(c, 6, [{"topic_id": t.id}])
        eq((x["name"], x["topic_id"], x["error_code"]), (t.name, t.id, 0),
           "row")
        wait_topic(c, t.name, None, 0)
        x, = delete(c, 6, [{"topic_id": t.id}])
        eq(x["error_code"], UNKNOWN_ID, "error the second time")


@rows("delete/invalid/%s", ["both", "neither", "twice", "twice-by-id",
                            "twice-mixed", "twice-unknown", "twice-v5"])
def dt_invalid(kind):
    t = new_topic()
    n, i = {"name": t.name}, {"topic_id": t.id}
    u = {"name": fresh_name("none")}
    with Conn() as c:
        if kind == "twice-v5":
            rs = delete(c, 5, names=[t.name, t.name])
        else:
            rs = delete(c, 6, {"both": [dict(n, **i)], "neither": [{}],
                               "twice": [n, n], "twice-by-id": [i, i],
                               "twice-mixed": [n, i],
                               "twice-unknown": [u, u]}[kind])
        ok(rs, "no rows")
        eq({x["error_code"] for x in rs}, {INVALID_REQUEST}, "errors")
        eq(codes(metadata(c, [t.name])), [0], "the topic is there still")


@row("delete/none")
def dt_none():
    with Conn() as c:
        for v in range(E.ranges[20][0], ver("DeleteTopics") + 1):
            eq(delete(c, v), [], "rows of v%d" % v)


@row("delete/some")
def dt_some():
    a, b, name = new_topic(), new_topic(), fresh_name("none")
    keep = new_topic()
    with Conn() as c:
        rs = delete(c, 6, [{"name": a.name}, {"name": name},
                           {"topic_id": b.id}])
        eq({x["name"]: x["error_code"] for x in rs},
           {a.name: 0, name: UNKNOWN_TOPIC, b.name: 0}, "rows")
        wait_topic(c, a.name, None, 0)
        wait_topic(c, b.name, None, 0)
        eq(codes(metadata(c, [keep.name])), [0], "one not named")


@row("delete/gone-everywhere")
def dt_gone():
    t = new_topic(2)
    with Conn() as a, Conn() as b:
        produce_ok(a, t, R.batch(R.recs(3)), 0)
        eq(delete(a, 5, names=[t.name])[0]["error_code"], 0, "error")
        for c in (a, b):
            until(lambda: produce(c, t, R.batch(R.recs(1)))["error_code"] in
                  (UNKNOWN_TOPIC, ) and
                  fetch(c, t)["error_code"] == UNKNOWN_TOPIC)
            eq(produce(c, t, R.batch(R.recs(1)))["error_code"],
               UNKNOWN_TOPIC, "Produce")
            eq(fetch(c, t)["error_code"], UNKNOWN_TOPIC, "Fetch")
            eq(list_offset(c, t, -1)["error_code"], UNKNOWN_TOPIC,
               "ListOffsets")
            eq(codes(metadata(c, [t.name])), [UNKNOWN_TOPIC], "Metadata")
            if ver("Metadata") >= 12:
                eq(codes(metadata(c, None, 12, ids=[t.id])), [UNKNOWN_ID],
                   "Metadata by id")
            names = [x["name"] for x in metadata(c, None)["topics"]]
            ok(t.name not in names, "still among all topics")


@row("delete/and-create-again")
def dt_again():
    """The same name, nothing else of it: id, offsets, configs, producers."""
    t = new_topic(2, {"retention.ms": "1111111"})
    with Conn() as c:
        pid, epoch = new_pid(c)
        data = R.batch(R.recs(3), pid=pid, epoch=epoch, seq=0)
        produce_ok(c, t, data, 0)
        for i in range(5):
            eq(delete(c, 5, names=[t.name])[0]["error_code"], 0, "delete")
            until(lambda: codes(metadata(c, [t.name])) == [UNKNOWN_TOPIC])
            r = until(lambda: create(c, t.name, 1),
                      lambda r: r["error_code"] == 0)
            eq(r["error_code"], 0, "create")
            ok(r["topic_id"] != t.id, "the same id again")
            conf = {x["name"]: x["value"] for x in r["configs"]}
            eq(conf["retention.ms"], "604800000", "retention.ms")
            t = Topic(t.name, r["topic_id"], 1)
            if KAFKA:
                kafka.wait_ready(c, t)
            eq(end_offset(c, t), 0, "end offset")
            # The old topic's duplicates are none of the new one.
            produce_ok(c, t, data, 0)
            eq(len(read_all(c, t)), 3, "records")


# ---------------------------------------------------------- InitProducerId

def init(c, version=5, **kw):
    v = ver("InitProducerId", version)
    r = c.call("InitProducerId", v, dict(
        {"transactional_id": None, "transaction_timeout_ms": 60000}, **kw))
    return r["error_code"], r["producer_id"], r["producer_epoch"]


@row("producer-id/fresh")
def pid_fresh():
    seen = set()
    for _ in range(20):
        with Conn() as c:
            for v in range(6):
                code, pid, epoch = init(c, v)
                eq((code, epoch), (0, 0), "error and epoch")
                ok(pid >= 0 and pid not in seen, "producer id %d" % pid)
                seen.add(pid)


@row("producer-id/2500-pipelined")
def pid_many():
    """More than two blocks of ids, asked for by two at once."""
    seen = set()
    with Conn() as a, Conn() as b:
        for _ in range(1250):
            for c in (a, b):
                c.send("InitProducerId", 4, {"transactional_id": None})
        for c in (a, b):
            mine = []
            for _ in range(1250):
                r = c.recv()
                eq(r["error_code"], 0, "error")
                mine.append(r["producer_id"])
            ok(not seen & set(mine), "ids given to both")
            seen |= set(mine)
    eq(len(seen), 2500, "distinct ids")


@row("producer-id/never-again")
def pid_never():
    """Of the ids noted in a file by earlier runs, between which the broker
    was restarted, none comes back."""
    path = os.environ.get("CHRONIK_WIRE_SEEN")
    if not path:
        raise Skip("CHRONIK_WIRE_SEEN names no file")
    seen = set()
    if os.path.exists(path):
        with open(path) as f:
            seen = {int(x) for x in f}
    with Conn() as c, open(path, "a") as f:
        for _ in range(1500):
            c.send("InitProducerId", 4, {"transactional_id": None})
        for _ in range(1500):
            r = c.recv()
            eq(r["error_code"], 0, "error")
            ok(r["producer_id"] not in seen, "id %d again" %
               r["producer_id"])
            seen.add(r["producer_id"])
            f.write("%d\n" % r["producer_id"])


@rows("producer-id/empty-transactional-id/v%d", list(range(6)))
def pid_empty(v):
    with Conn() as c:
        eq(init(c, v, transactional_id=""), (INVALID_REQUEST, -1, -1),
           "answer")


@rows("producer-id/half/%d,%d", [(5, -1), (-1, 0), (-1, 5), (-2, -1),
                                 (0, -1)])
def pid_half(pid, epoch):
    """Both or none."""
    with Conn() as c:
        for v in (3, 4, 5):
            code, p, e = init(c, v, producer_id=pid, producer_epoch=epoch)
            eq(code, INVALID_REQUEST, "error in v%d" % v)
            eq((p, e), (-1, -1), "ids")


@row("producer-id/both-without-transaction")
def pid_both():
    """Given back as if nothing had been said: a fresh one."""
    with Conn() as c:
        code, a, e = init(c)
        for x in (a, 5, 1 << 62):
            code, b, e = init(c, producer_id=x, producer_epoch=3)
            eq((code, e), (0, 0), "error and epoch")
            ok(b not in (a, x), "an id that was used")


@rows("producer-id/timeout-ignored/%d", [0, -1, 0x7fffffff])
def pid_timeout(ms):
    with Conn() as c:
        eq(init(c, transaction_timeout_ms=ms)[0], 0, "error")


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
