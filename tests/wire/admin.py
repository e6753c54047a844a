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
KAFKA_DIFFERS = {}


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
        ok(t["error_message"], "an error without words")
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
