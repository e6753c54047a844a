# SPDX-License-Identifier: Apache-2.0
"""
What looks after topics, logs and the node: partitions added, records deleted,
and what describes them (protocol.md 3.6, 3.10, 3.11).
"""
import os
import threading

import kafka
import records as R
from kafka import (E, KAFKA, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC,
                   INVALID_TOPIC, INVALID_REQUEST, BAD_PARTITIONS,
                   BAD_ASSIGNMENT, Conn, Fail, Skip, Topic, create,
                   end_offset, eq, fetch, fetch_body, fetched, fresh_name,
                   isin, list_offset, metadata, need, new_topic, ok,
                   produce, produce_ok, read_all, row, rows, until, ver)

POLICY = 44
KAFKA_DIFFERS = {
    "records/delete/greatest-time-gone": ("all?", "Kafka may name a record "
                                          "that is deleted"),
}


# ------------------------------------------------------- CreatePartitions

def grow(c, name, count, version=3, assignments=None, validate=False):
    r = c.call("CreatePartitions", ver("CreatePartitions", version), {
        "timeout_ms": 30000, "validate_only": validate,
        "topics": [{"name": name, "count": count,
                    "assignments": assignments}]})
    t, = r["results"]
    eq(t["name"], name, "name")
    if t["error_code"] == 0:
        eq(t["error_message"], None, "message of a success")
    else:
        ok(t["error_message"] or KAFKA, "an error without words")
    return t["error_code"]


def count_of(c, name):
    t, = metadata(c, [name])["topics"]
    return len(t["partitions"])


def me(c):
    return metadata(c, [])["brokers"][0]["node_id"]


@row("partitions/add")
def cp_add():
    """Old records stay, new partitions take some at once."""
    t = new_topic(1)
    with Conn() as c:
        produce_ok(c, t, R.batch(R.recs(3)), 0)
        eq(grow(c, t.name, 4), 0, "error")
        until(lambda: count_of(c, t.name) == 4)
        eq(count_of(c, t.name), 4, "partitions")
        t.parts = 4
        if KAFKA:
            kafka.wait_ready(c, t)
        for p in range(1, 4):
            produce_ok(c, t, R.batch(R.recs(p)), 0, part=p)
            eq(len(read_all(c, t, p)), p, "records of %d" % p)
        eq(len(read_all(c, t, 0)), 3, "records of 0")


@row("partitions/many")
def cp_many():
    """More than are synced one by one."""
    t = new_topic(1)
    with Conn() as c:
        eq(grow(c, t.name, 40), 0, "error")
        t.parts = 40
        until(lambda: count_of(c, t.name) == 40)
        if KAFKA:
            kafka.wait_ready(c, t)
        produce_ok(c, t, R.batch(R.recs(1)), 0, part=39)


@rows("partitions/no-increase/%d", [0, -1, 1, 2, 3])
def cp_less(count):
    t = new_topic(3)
    with Conn() as c:
        eq(grow(c, t.name, count), BAD_PARTITIONS, "error")
        eq(count_of(c, t.name), 3, "partitions")


@row("partitions/too-many")
def cp_too_many():
    if KAFKA:
        raise Skip("Kafka would make them")
    t = new_topic(3)
    with Conn() as c:
        for n in (10001, 0x7fffffff):
            eq(grow(c, t.name, n), BAD_PARTITIONS, "error of %d" % n)
            eq(grow(c, t.name, n, validate=True), BAD_PARTITIONS, "error")


@row("partitions/unknown-topic")
def cp_unknown():
    with Conn() as c:
        for v in range(4):
            eq(grow(c, fresh_name("none"), 2, v), UNKNOWN_TOPIC, "error")
            eq(grow(c, "a b", 2, v), UNKNOWN_TOPIC, "error")
            eq(grow(c, "", 2, v), UNKNOWN_TOPIC, "error")


@row("partitions/twice")
def cp_twice():
    """A name that stands twice gets one row and nothing else."""
    t, u = new_topic(1), new_topic(1)
    with Conn() as c:
        r = c.call("CreatePartitions", ver("CreatePartitions"), {
            "timeout_ms": 30000, "topics": [
                {"name": n, "count": k, "assignments": None}
                for n, k in ((t.name, 2), (u.name, 3), (t.name, 4))]})
        eq(sorted((x["name"], x["error_code"]) for x in r["results"]),
           sorted([(t.name, INVALID_REQUEST), (u.name, 0)]), "results")
        eq(count_of(c, t.name), 1, "partitions")


@row("partitions/validate-only")
def cp_validate():
    t = new_topic(2)
    with Conn() as c:
        for v in range(4):
            eq(grow(c, t.name, 5, v, validate=True), 0, "error")
            eq(grow(c, t.name, 2, v, validate=True), BAD_PARTITIONS, "error")
        eq(count_of(c, t.name), 2, "partitions")


@rows("partitions/assignments/%s", ["good", "few", "many", "empty", "none",
                                    "foreign", "twice", "two"])
def cp_assign(kind):
    t = new_topic(1)
    with Conn() as c:
        node = me(c)
        lists = {"good": [[node], [node]], "few": [[node]],
                 "many": [[node]] * 3, "empty": [[], [node]], "none": [],
                 "foreign": [[node], [node + 1000]],
                 "twice": [[node], [node, node]],
                 "two": [[node, node + 1000], [node]]}[kind]
        code = grow(c, t.name, 3, assignments=[{"broker_ids": x}
                                               for x in lists])
        eq(code, 0 if kind == "good" else BAD_ASSIGNMENT, "error")
        want = 3 if kind == "good" else 1
        until(lambda: count_of(c, t.name) == want)
        eq(count_of(c, t.name), want, "partitions")


@row("partitions/at-once")
def cp_race():
    """Many want to grow one topic: the count only ever rises, and each that
    was told of success finds its partition."""
    t = new_topic(1)
    codes = {}

    def one(n):
        with Conn() as c:
            codes[n] = grow(c, t.name, n)

    threads = [threading.Thread(target=one, args=(n,))
               for n in range(2, 14)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    eq(len(codes), 12, "answers")
    isin(set(codes.values()), [{0}, {0, BAD_PARTITIONS}], "errors")
    with Conn() as c:
        until(lambda: count_of(c, t.name) == 13)
        eq(count_of(c, t.name), 13, "partitions")
        eq(codes[13], 0, "error of the greatest")


@row("partitions/then-delete")
def cp_delete():
    """In one breath: both are done, in order; the name is free again."""
    t = new_topic(1)
    with Conn() as c, Conn() as d:
        c.send("CreatePartitions", 3, {"timeout_ms": 30000, "topics": [
            {"name": t.name, "count": 20, "assignments": None}]})
        r = d.call("DeleteTopics", 4, {"topic_names": [t.name],
                                       "timeout_ms": 30000})
        code = c.recv()["results"][0]["error_code"]
        isin(code, (0, UNKNOWN_TOPIC), "error of the growth")
        eq(r["responses"][0]["error_code"], 0, "error of the deletion")
        until(lambda: metadata(c, [t.name])["topics"][0]["error_code"]
              == UNKNOWN_TOPIC)
        eq(create(c, t.name, 2)["error_code"], 0, "error of the new one")
        eq(count_of(c, t.name), 2, "partitions")


@row("partitions/next-request-sees-it")
def cp_pipelined():
    """What follows on the connection waits for the change."""
    t = new_topic(1)
    with Conn() as c:
        c.send("CreatePartitions", 3, {"timeout_ms": 30000, "topics": [
            {"name": t.name, "count": 3, "assignments": None}]})
        c.send("Metadata", 9, {"topics": [{"name": t.name}],
                               "allow_auto_topic_creation": False})
        eq(c.recv()["results"][0]["error_code"], 0, "error")
        n = len(c.recv()["topics"][0]["partitions"])
        ok(n == 3 or KAFKA, "%d partitions" % n)


# --------------------------------------------------------- DeleteRecords

def trim(c, t, offset, part=0, version=2, timeout=30000):
    r = c.call("DeleteRecords", ver("DeleteRecords", version), {
        "timeout_ms": timeout, "topics": [{
            "name": t.name, "partitions": [
                {"partition_index": part, "offset": offset}]}]})
    x, = r["topics"]
    eq(x["name"], t.name, "name")
    p, = x["partitions"]
    eq(p["partition_index"], part, "partition")
    if p["error_code"]:
        eq(p["low_watermark"], -1, "low watermark of an error")
    return p["error_code"], p["low_watermark"]


def filled(n=10, parts=1, configs=None):
    t = new_topic(parts, configs)
    with Conn() as c:
        for i in range(n):
            produce_ok(c, t, R.batch(R.recs(1, ts=kafka.TS + i)), i)
    return t


@rows("records/delete/%d", [1, 5, 9, 10])
def dr_some(offset):
    t = filled()
    with Conn() as c:
        eq(trim(c, t, offset), (0, offset), "answer")
        eq([x.offset for x in read_all(c, t, offset=offset)],
           list(range(offset, 10)), "offsets that are left")
        eq(list_offset(c, t, -2)["offset"], offset, "earliest")
        eq(list_offset(c, t, -1)["offset"], 10, "latest")
        r = fetch(c, t, offset - 1)
        eq(r["error_code"], OFFSET_OUT_OF_RANGE, "error below")
        eq(fetch(c, t, offset)["log_start_offset"], offset, "log start")
        r = produce_ok(c, t, R.batch(R.recs(1, ts=kafka.TS)), 10)
        eq(r["log_start_offset"], offset, "log start of Produce")


@row("records/delete/high-watermark")
def dr_all():
    t = filled(7)
    with Conn() as c:
        eq(trim(c, t, -1), (0, 7), "answer")
        eq(list_offset(c, t, -2)["offset"], 7, "earliest")
        eq(read_all(c, t, offset=7), [], "records")
        produce_ok(c, t, R.batch(R.recs(2)), 7)
        eq(len(read_all(c, t, offset=7)), 2, "records after")


@row("records/delete/inside-a-batch")
def dr_inside():
    """The batch is sent whole; a client skips what is before."""
    t = new_topic()
    with Conn() as c:
        produce_ok(c, t, R.batch(R.recs(10, ts=kafka.TS)), 0)
        eq(trim(c, t, 4), (0, 4), "answer")
        eq(fetch(c, t, 3)["error_code"], OFFSET_OUT_OF_RANGE, "below")
        got = [x.offset for x in R.all_records(fetch(c, t, 4)["records"])]
        eq([o for o in got if o >= 4], [4, 5, 6, 7, 8, 9], "offsets")
        r = list_offset(c, t, 0)
        eq((r["error_code"], r["offset"]), (0, 4), "first record since 0")


@row("records/delete/never-back")
def dr_back():
    t = filled()
    with Conn() as c:
        eq(trim(c, t, 6), (0, 6), "answer")
        for o in (0, 3, 6):
            eq(trim(c, t, o), (0, 6), "answer to %d" % o)
        eq(trim(c, t, 8), (0, 8), "answer")
        eq(list_offset(c, t, -2)["offset"], 8, "earliest")


@rows("records/delete/bad-offset/%d", [-2, 11, -0x8000000000000000,
                                       0x7fffffffffffffff])
def dr_bad(offset):
    t = filled()
    with Conn() as c:
        for v in range(3):
            eq(trim(c, t, offset, version=v), (OFFSET_OUT_OF_RANGE, -1),
               "answer")
        eq(list_offset(c, t, -2)["offset"], 0, "earliest")


@row("records/delete/unknown")
def dr_unknown():
    t = filled(1)
    with Conn() as c:
        for v in range(3):
            eq(trim(c, t, 0, part=1, version=v)[0], UNKNOWN_TOPIC, "error")
            eq(trim(c, t, 0, part=-1, version=v)[0], UNKNOWN_TOPIC, "error")
            eq(trim(c, Topic(fresh_name(), kafka.NO_ID, 1), 0,
                    version=v)[0], UNKNOWN_TOPIC, "error")


@row("records/delete/compacted")
def dr_compact():
    """Only where records may be deleted at all."""
    t = new_topic(1, {"cleanup.policy": "compact"}, config_may_fail=True)
    u = new_topic(1, {"cleanup.policy": "compact,delete"})
    with Conn() as c:
        eq(trim(c, t, -1), (POLICY, -1), "answer")
        eq(trim(c, u, -1), (0, 0), "answer with delete")


@row("records/delete/several")
def dr_several():
    t, u = filled(5, 3), filled(3)
    with Conn() as c:
        produce_ok(c, t, R.batch(R.recs(4)), 0, part=2)
        r = c.call("DeleteRecords", 2, {"timeout_ms": 30000, "topics": [
            {"name": t.name, "partitions": [
                {"partition_index": 0, "offset": 2},
                {"partition_index": 2, "offset": 9},
                {"partition_index": 1, "offset": -1}]},
            {"name": u.name, "partitions": [
                {"partition_index": 0, "offset": -1}]}]})
        got = {(x["name"], p["partition_index"]):
               (p["error_code"], p["low_watermark"])
               for x in r["topics"] for p in x["partitions"]}
        eq(got, {(t.name, 0): (0, 2), (t.name, 1): (0, 0),
                 (t.name, 2): (OFFSET_OUT_OF_RANGE, -1),
                 (u.name, 0): (0, 3)}, "answers")


@row("records/delete/at-once")
def dr_race():
    """Whatever the order, the start is the greatest that was asked for."""
    t = filled(20)
    got = []

    def one(n):
        with Conn() as c:
            got.append((n, trim(c, t, n)))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(1, 20)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    for n, (code, low) in got:
        eq(code, 0, "error of %d" % n)
        ok(low >= n, "low watermark %d of %d" % (low, n))
    with Conn() as c:
        eq(list_offset(c, t, -2)["offset"], 19, "earliest")


@row("records/delete/list-offsets")
def dr_list():
    """By time, by the greatest time and in the old style."""
    t = filled()
    with Conn() as c:
        eq(trim(c, t, 4), (0, 4), "answer")
        r = list_offset(c, t, kafka.TS)
        eq((r["offset"], r["timestamp"]), (4, kafka.TS + 4), "since the start")
        r = list_offset(c, t, -3, version=7)
        eq((r["offset"], r["timestamp"]), (9, kafka.TS + 9), "greatest time")
        if E.ranges[2][0] == 0:
            r = c.call("ListOffsets", 0, {"replica_id": -1, "topics": [
                {"name": t.name, "partitions": [
                    {"partition_index": 0, "timestamp": -1,
                     "max_num_offsets": 9}]}]})
            eq(r["topics"][0]["partitions"][0]["old_style_offsets"], [10, 4],
               "old style")


@row("records/delete/greatest-time-gone")
def dr_max():
    """The record with the greatest time is among the deleted."""
    t = new_topic()
    with Conn() as c:
        for i, d in enumerate((1, 9, 2, 3)):
            produce_ok(c, t, R.batch(R.recs(1, ts=kafka.TS + d)), i)
        eq(trim(c, t, 2), (0, 2), "answer")
        r = list_offset(c, t, -3, version=7)
        if KAFKA and r["offset"] == -1:
            return
        eq((r["offset"], r["timestamp"]), (3, kafka.TS + 3), "greatest time")


@row("records/delete/idempotent-producer-goes-on")
def dr_prod():
    t = new_topic()
    with Conn() as c:
        pid, epoch = kafka.new_pid(c)
        b = R.batch(R.recs(2), pid=pid, epoch=epoch, seq=0)
        produce_ok(c, t, b, 0)
        eq(trim(c, t, -1), (0, 2), "answer")
        produce_ok(c, t, b, 0)  # a retry is still known
        produce_ok(c, t, R.batch(R.recs(1), pid=pid, epoch=epoch, seq=2), 2)
        eq(produce(c, t, R.batch(R.recs(1), pid=pid, epoch=epoch,
                                 seq=9))["error_code"],
           kafka.OUT_OF_ORDER, "a gap")


@row("records/delete/waiting-fetch")
def dr_fetch():
    """Who waits at the end goes on waiting, and reads what comes."""
    t = filled(3)
    with Conn() as c, Conn() as d:
        c.send("Fetch", ver("Fetch", 11), fetch_body([(t, 0, 3)],
                                                     max_wait=30000))
        eq(trim(d, t, -1), (0, 3), "answer")
        produce_ok(d, t, R.batch(R.recs(1)), 3)
        p, = fetched(c.recv())
        eq(p["error_code"], 0, "error")
        eq(len(R.all_records(p["records"])), 1, "records")


@row("records/delete/none")
def dr_none():
    with Conn() as c:
        r = c.call("DeleteRecords", 2, {"timeout_ms": 1, "topics": []})
        eq(r["topics"], [], "topics")


# ------------------------------------------------- topics, page by page

def pages(c, names, limit, cursor=None):
    """Every page from the cursor on: [[(topic, error, [partition])]]."""
    out = []
    while True:
        r = c.call("DescribeTopicPartitions", 0, {
            "topics": [{"name": n} for n in names],
            "response_partition_limit": limit, "cursor": cursor})
        out.append([(t["name"], t["error_code"],
                     [p["partition_index"] for p in t["partitions"]])
                    for t in r["topics"]])
        cursor = r["next_cursor"]
        if cursor is None:
            return out
        ok(len(out) < 1000, "the pages do not end")


@rows("describe-topics/limit-%d", [-1, 0, 1, 2, 3, 4, 5, 7, 100, 0x7fffffff])
def tp_limit(limit):
    """Sorted by name, whatever the request's order; no page has more than was
    asked for, and together they have all."""
    need("DescribeTopicPartitions", 0)
    ts = [new_topic(n) for n in (3, 1, 4)]
    gone = fresh_name("none")
    names = [ts[2].name, gone, ts[0].name, ts[1].name, ts[0].name, "a b"]
    with Conn() as c:
        got = pages(c, names, limit)
        for page in got:
            ok(sum(len(t[2]) for t in page) <= max(1, limit), "page %r" %
               (page,))
        flat = {}
        for page in got:
            eq([t[0] for t in page], sorted(t[0] for t in page), "order")
            for name, code, parts in page:
                flat.setdefault(name, (code, []))[1].extend(parts)
        want = {t.name: (0, list(range(t.parts))) for t in ts}
        want[gone] = (UNKNOWN_TOPIC, [])
        want["a b"] = (INVALID_TOPIC, [])
        eq(flat, want, "all pages")


@row("describe-topics/all")
def tp_all():
    """No names: every topic; none of those that do not exist."""
    need("DescribeTopicPartitions", 0)
    ts = [new_topic(n) for n in (2, 3)]
    with Conn() as c:
        for limit in (3, 2000):
            got = [t for page in pages(c, [], limit) for t in page]
            names = [n for n, _, _ in got]
            eq(names, sorted(names), "order")
            eq({n for n in names}, {t["name"] for t in
                                    metadata(c, None)["topics"]}, "topics")
            for t in ts:
                eq(sorted(p for n, _, ps in got if n == t.name for p in ps),
                   list(range(t.parts)), "partitions")
        eq(pages(c, [], 2000, {"topic_name": "~", "partition_index": 0}),
           [[]], "from beyond the last")


@row("describe-topics/many")
def tp_many():
    """More topics than one answer may hold partitions."""
    need("DescribeTopicPartitions", 0)
    if KAFKA:
        raise Skip("that takes Kafka long")
    names = [fresh_name("many") for _ in range(2100)]
    with Conn() as c:
        for i in range(0, len(names), 700):
            r = c.call("CreateTopics", 7, {"timeout_ms": 30000, "topics": [
                {"name": n, "num_partitions": 1, "replication_factor": 1}
                for n in names[i:i + 700]]})
            eq({t["error_code"] for t in r["topics"]}, {0}, "errors")
        kafka.made.extend(names)
        got = pages(c, [], 0x7fffffff)
        eq(len(got[0]), 2000, "topics of the first page")
        flat = [t[0] for page in got for t in page]
        eq(flat, sorted(flat), "order over pages")
        ok(set(names) <= set(flat), "some are missing")


@rows("describe-topics/cursor/%s", ["not-in-list", "negative", "beyond"])
def tp_cursor(kind):
    need("DescribeTopicPartitions", 0)
    t, u = new_topic(3), new_topic(1)
    cursor = {"not-in-list": {"topic_name": t.name + "x",
                              "partition_index": 0},
              "negative": {"topic_name": t.name, "partition_index": -1},
              "beyond": {"topic_name": t.name, "partition_index": 7}}[kind]
    with Conn() as c:
        r = c.call("DescribeTopicPartitions", 0, {
            "topics": [{"name": t.name}, {"name": u.name}],
            "response_partition_limit": 100, "cursor": cursor})
        got = {x["name"]: (x["error_code"], len(x["partitions"]))
               for x in r["topics"]}
        if kind == "beyond":
            eq(got[t.name], (0, 0), "topic of the cursor")
        else:
            eq(got, {t.name: (INVALID_REQUEST, 0),
                     u.name: (INVALID_REQUEST, 0)}, "errors")
        eq(r["next_cursor"], None, "cursor")


# ------------------------------------------------------------- log dirs

@rows("log-dirs/all/v%d", range(6))
def ld_all(v):
    need("DescribeLogDirs", v)
    t = filled(3, 2)
    with Conn() as c:
        r = c.call("DescribeLogDirs", v, {"topics": None})
        d, = r["results"]
        eq(d["error_code"], 0, "error")
        mine = [x for x in d["topics"] if x["name"] == t.name]
        eq(len(mine), 1, "rows of the topic")
        size = {p["partition_index"]: p["partition_size"]
                for p in mine[0]["partitions"]}
        ok(size[0] > 0 and size[1] == 0, "sizes %r" % size)


@row("log-dirs/none")
def ld_none():
    need("DescribeLogDirs", 4)
    with Conn() as c:
        r = c.call("DescribeLogDirs", 4, {"topics": []})
        d, = r["results"]
        eq((d["error_code"], d["topics"]), (0, []), "directory")
        ok(d["total_bytes"] > 0, "total")


# -------------------------------------------------------------- cluster

@rows("cluster/endpoint/%d,v%d", [(t, v) for t in (0, 2, 3, -1)
                                  for v in (1, 2)])
def dc_endpoint(kind, v):
    """A broker listens here; controllers are elsewhere."""
    need("DescribeCluster", v)
    with Conn() as c:
        r = c.call("DescribeCluster", v, {"endpoint_type": kind})
        eq(r["error_code"], 114 if kind == 2 else 115, "error")
        ok(r["error_message"], "no message")
        eq(r["brokers"], [], "brokers")


@rows("cluster/operations/v%d", [0, 1, 2])
def dc_ops(v):
    need("DescribeCluster", v)
    with Conn() as c:
        r = c.call("DescribeCluster", v, {
            "include_cluster_authorized_operations": True,
            "endpoint_type": 1})
        eq(r["error_code"], 0, "error")
        ops = r["cluster_authorized_operations"]
        # create, alter, describe, cluster action, describe and alter configs,
        # idempotent write
        eq(ops, sum(1 << i for i in (5, 7, 8, 9, 10, 11, 12)), "operations")


@row("cluster/same-id-as-metadata")
def dc_id():
    need("DescribeCluster", 0)
    with Conn() as c:
        eq(c.call("DescribeCluster", 0, {})["cluster_id"],
           metadata(c, [])["cluster_id"], "cluster id")


# ------------------------------------------------- leaders and replicas

@rows("elect/all/v%d,%d", [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1)])
def el_all(v, kind):
    """Those that need no election are left out."""
    need("ElectLeaders", v)
    new_topic(2)
    with Conn() as c:
        r = c.call("ElectLeaders", v, {
            "election_type": kind, "topic_partitions": None,
            "timeout_ms": 30000})
        eq(r.get("error_code", 0), 0, "error")
        eq([p for t in r["replica_election_results"]
            for p in t["partition_result"]], [], "partitions")


@rows("elect/unknown/v%d", [0, 1, 2])
def el_unknown(v):
    need("ElectLeaders", v)
    t = new_topic(1)
    with Conn() as c:
        r = c.call("ElectLeaders", v, {
            "election_type": min(v, 1), "timeout_ms": 30000,
            "topic_partitions": [
                {"topic": t.name, "partitions": [0, 5, -1]},
                {"topic": fresh_name("none"), "partitions": [0]}]})
        eq([p["error_code"] for x in r["replica_election_results"]
            for p in x["partition_result"]],
           [84, UNKNOWN_TOPIC, UNKNOWN_TOPIC, UNKNOWN_TOPIC], "errors")


@rows("elect/bad-type/%d", [2, -1, 127])
def el_type(kind):
    need("ElectLeaders", 2)
    t = new_topic(1)
    with Conn() as c:
        r = c.call("ElectLeaders", 2, {
            "election_type": kind, "timeout_ms": 30000,
            "topic_partitions": [{"topic": t.name, "partitions": [0]}]})
        eq(r["error_code"], INVALID_REQUEST, "error")


@rows("reassign/%s", ["same", "empty", "foreign", "more", "twice", "cancel",
                      "unknown-topic", "unknown-partition"])
def re_one(kind):
    need("AlterPartitionReassignments", 0)
    t = new_topic(1)
    with Conn() as c:
        n = me(c)
        name = fresh_name("none") if kind == "unknown-topic" else t.name
        replicas = {"same": [n], "empty": [], "foreign": [n + 1000],
                    "more": [n, n + 1000], "twice": [n, n],
                    "cancel": None}.get(kind, [n])
        want = {"same": 0, "cancel": 85, "unknown-topic": UNKNOWN_TOPIC,
                "unknown-partition": UNKNOWN_TOPIC}.get(kind, BAD_ASSIGNMENT)
        r = c.call("AlterPartitionReassignments", 0, {
            "timeout_ms": 30000, "topics": [{"name": name, "partitions": [
                {"partition_index": 1 if kind == "unknown-partition" else 0,
                 "replicas": replicas}]}]})
        p, = r["responses"][0]["partitions"]
        eq(p["error_code"], want, "error")
        if kind != "cancel" or not KAFKA:       # which says nothing
            eq(p["error_message"] is None, want == 0,
               "whether a message is none")
        r = c.call("ListPartitionReassignments", 0, {"topics": None})
        eq((r["error_code"], r["topics"]), (0, []), "in progress")


# ------------------------------------------------------------- producers

@row("producers/errors")
def pr_errors():
    need("DescribeProducers", 0)
    t = new_topic(1)
    with Conn() as c:
        r = c.call("DescribeProducers", 0, {"topics": [
            {"name": t.name, "partition_indexes": [0, 1, -1]},
            {"name": fresh_name("none"), "partition_indexes": [0]},
            {"name": "a b", "partition_indexes": [0]}]})
        eq([[p["error_code"] for p in x["partitions"]] for x in r["topics"]],
           [[0, UNKNOWN_TOPIC, UNKNOWN_TOPIC], [UNKNOWN_TOPIC],
            [INVALID_TOPIC]], "errors")


@row("producers/several")
def pr_several():
    need("DescribeProducers", 0)
    t = new_topic(1)
    want = {}
    with Conn() as c:
        for i in range(20):
            pid, epoch = kafka.new_pid(c)
            n = i % 4 + 1
            produce_ok(c, t, R.batch(R.recs(n), pid=pid, epoch=epoch, seq=0))
            want[pid] = n - 1
        r = c.call("DescribeProducers", 0, {"topics": [
            {"name": t.name, "partition_indexes": [0]}]})
        p, = r["topics"][0]["partitions"]
        eq({a["producer_id"]: a["last_sequence"]
            for a in p["active_producers"]}, want, "producers")


# -------------------------------------------------------------- the quorum

@rows("quorum/other/v%d", [0, 1, 2])
def qu_other(v):
    """Only the metadata log has one."""
    need("DescribeQuorum", v)
    t = new_topic(1)
    with Conn() as c:
        for rows_ in ([(t.name, [0])], [("__cluster_metadata", [1])],
                      [("__cluster_metadata", [0]), (t.name, [0])]):
            r = c.call("DescribeQuorum", v, {"topics": [
                {"topic_name": n, "partitions": [{"partition_index": i}
                                                 for i in ps]}
                for n, ps in rows_]})
            eq(r["error_code"], 0, "top-level error")
            eq([p["error_code"] for x in r["topics"]
                for p in x["partitions"]], [UNKNOWN_TOPIC] * len(rows_),
               "errors")


@row("quorum/grows")
def qu_grows():
    """A new topic is one more record in the metadata log."""
    need("DescribeQuorum", 0)
    body = {"topics": [{"topic_name": "__cluster_metadata",
                        "partitions": [{"partition_index": 0}]}]}

    def high(c):
        r = c.call("DescribeQuorum", 0, body)
        return r["topics"][0]["partitions"][0]["high_watermark"]

    with Conn() as c:
        before = high(c)
        new_topic(1)
        ok(high(c) > before, "high watermark %d before" % before)


# --------------------------------------------------------------- features

def features(c, v=4):
    r = c.call("ApiVersions", ver("ApiVersions", v), {
        "client_software_name": "wire-test",
        "client_software_version": "1.0"})
    eq(r["error_code"], 0, "error")
    return r


@rows("features/shown/v%d", [3, 4])
def fe_shown(v):
    need("ApiVersions", v)
    with Conn() as c:
        r = features(c, v)
        ok(r["finalized_features_epoch"] >= 0, "epoch %d" %
           r["finalized_features_epoch"])
        can = {f["name"]: (f["min_version"], f["max_version"])
               for f in r["supported_features"]}
        now = {f["name"]: f["max_version_level"]
               for f in r["finalized_features"]}
        isin("metadata.version", now, "finalized")
        for name in can:
            ok(v >= 4 or can[name][0] > 0, "%s from 0 in v3" % name)
        if not KAFKA:
            eq(set(now), set(can), "finalized")
            eq("group.version" in can, 68 in E.ranges, "group.version")
            for name in now:
                ok(can[name][0] <= now[name] <= can[name][1], name)
            ok("transaction.version" not in now, "TV2 without the api")


def update(c, name, level, kind=1, v=1, validate=False):
    r = c.call("UpdateFeatures", v, {
        "timeout_ms": 30000, "validate_only": validate, "feature_updates": [
            {"feature": name, "max_version_level": level,
             "upgrade_type": kind, "allow_downgrade": kind != 1}]})
    eq(r["error_message"] is None, r["error_code"] == 0, "message")
    if r["error_code"]:
        eq(r.get("results", []), [], "results beside an error")
    return r["error_code"]


@rows("features/update/%s/v%d", [(k, v) for v in (0, 1, 2) for k in (
    "unknown", "negative", "too-high", "downgrade-as-upgrade", "bad-type")])
def fe_update(kind, v):
    """95, and nothing changes."""
    need("UpdateFeatures", v)
    if kind == "bad-type" and v == 0:
        raise Skip("v0 has no types")
    with Conn() as c:
        before = features(c)["finalized_features"]
        name, level, how = {
            "unknown": ("no.such.version", 1, 1),
            "negative": ("metadata.version", -1, 1),
            "too-high": ("metadata.version", 0x7fff, 1),
            "downgrade-as-upgrade": ("metadata.version", 1, 1),
            "bad-type": ("metadata.version", 1, 9)}[kind]
        eq(update(c, name, level, how, v), 95, "error")
        eq(update(c, name, level, how, v, validate=True), 95, "error")
        eq(features(c)["finalized_features"], before, "finalized")


# --------------------------------------------------------- reserved names

INTERNAL = ["__consumer_offsets", "__transaction_state",
            "__share_group_state"]


@rows("reserved/create/%s", INTERNAL + ["__cluster_metadata"])
def rs_create(name):
    if KAFKA:
        raise Skip("Kafka makes them by itself")
    with Conn() as c:
        for v in (0, 4, 7):
            code = create(c, name, version=v)["error_code"]
            eq(code, INVALID_REQUEST if name == "__cluster_metadata"
               else INVALID_TOPIC, "error in v%d" % v)


@rows("reserved/not-auto-created/%s", INTERNAL + ["__cluster_metadata"])
def rs_auto(name):
    if KAFKA:
        raise Skip("Kafka makes them by itself")
    with Conn() as c:
        t, = metadata(c, [name], 9, auto=True)["topics"]
        eq(t["error_code"], UNKNOWN_TOPIC, "error")
        eq(t["is_internal"], name in INTERNAL, "internal")
        ok(name not in [x["name"] for x in metadata(c, None)["topics"]],
           "it was created")


@rows("reserved/produce/%s", INTERNAL)
def rs_produce(name):
    with Conn() as c:
        for v in (3, 9, 12):
            if v > ver("Produce"):
                continue
            r = produce(c, Topic(name, kafka.NO_ID, 1), R.batch(R.recs(1)),
                        version=v)
            isin(r["error_code"], (INVALID_TOPIC, UNKNOWN_TOPIC) if KAFKA
                 else (INVALID_TOPIC,), "error in v%d" % v)


@rows("collision/%s,%s", [("a.b", "a_b"), ("a_b", "a.b"),
                          ("x._y", "x__y"), ("..a", "__a")])
def rs_collide(one, two):
    """Dots and underscores are one in the names of metrics."""
    base = fresh_name("co")
    with Conn() as c:
        eq(create(c, base + one)["error_code"], 0, "error of the first")
        r = create(c, base + two)
        eq(r["error_code"], INVALID_TOPIC, "error of the second")
        ok(r["error_message"], "no message")
        eq(create(c, base + one)["error_code"], kafka.TOPIC_EXISTS,
           "error of the first again")


# What is there after a crash: names go from one run to the next.

SEEN = os.environ.get("CHRONIK_WIRE_SEEN")


@row("again/set-up")
def again_make():
    if SEEN is None or os.path.exists(SEEN):
        raise Skip("only at first")
    t, u = filled(8), new_topic(1)
    with Conn() as c:
        eq(trim(c, t, 5), (0, 5), "answer")
        eq(grow(c, u.name, 6), 0, "error")
    with open(SEEN, "w") as f:
        f.write("%s %s\n" % (t.name, u.name))
    kafka.made.remove(t.name)
    kafka.made.remove(u.name)


@row("again/there")
def again_there():
    if SEEN is None or not os.path.exists(SEEN):
        raise Skip("not at first")
    t, u = [Topic(n, kafka.NO_ID, 1) for n in open(SEEN).read().split()]
    with Conn() as c:
        eq(list_offset(c, t, -2)["offset"], 5, "earliest")
        eq(fetch(c, t, 4)["error_code"], OFFSET_OUT_OF_RANGE, "below")
        eq([x.offset for x in read_all(c, t, offset=5)][:3], [5, 6, 7],
           "offsets that are left")
        eq(count_of(c, u.name), 6, "partitions")
        n = end_offset(c, u, 5)
        produce_ok(c, u, R.batch(R.recs(1)), n, part=5)


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
