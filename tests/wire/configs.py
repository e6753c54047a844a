# SPDX-License-Identifier: Apache-2.0
"""
Configs of topics, the broker, groups and what else there is: described,
changed both ways, laid over each other, acting, and kept (protocol.md 4).
"""
import json
import os
import time

import kafka
import records as R
from kafka import (BAD_CONFIG, INVALID_REQUEST, INVALID_TOPIC, KAFKA,
                   TOO_LARGE, UNKNOWN_TOPIC, UNSUPPORTED_VERSION, Conn, Fail,
                   Skip, create, eq, fetch, fresh_name, isin, made, metadata,
                   need, new_topic, ok, produce, produce_ok, roundtrip, row,
                   rows, until, ver)
from samples import described, own

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3

KAFKA_DIFFERS = {
    "describe/broker/*": ("all?", "other options, other values"),
    "describe/logger": ("all", "Kafka has many loggers"),
    "describe/20000-resources": ("all", "Kafka fails"),
    "describe/metrics": ("all", "Kafka has subscriptions"),
    "describe/group": ("44", "4.4 has consumer.assignment.interval.ms"),
    "alter/logger/*": ("all?", "other loggers"),
    "alter/resource-twice/AlterConfigs": ("44", "4.4 never answers"),
    "list/types": ("all?", "Kafka has subscriptions"),
    "alter/broker/unknown": ("all", "Kafka stores what it does not know"),
    "alter/metrics": ("all", "Kafka has subscriptions"),
    "alter/refused/*": ("all", "not supported here yet"),
    "effect/*": ("all?", "a KRaft broker acts a little later"),
    "list/*": ("39", "3.9 lists client metrics only"),
}
DV = list(range(5))


def incremental(c, kind, name, ops, version=1, validate=False):
    """ops: [(op, key, value)]; the row of the answer."""
    r = c.call("IncrementalAlterConfigs",
               ver("IncrementalAlterConfigs", version), {
                   "resources": [{
                       "resource_type": kind, "resource_name": name,
                       "configs": [{"config_operation": o, "name": k,
                                    "value": v} for o, k, v in ops]}],
                   "validate_only": validate})
    x, = r["responses"]
    eq((x["resource_type"], x["resource_name"]), (kind, name), "resource")
    return x


def replace(c, kind, name, configs, version=2, validate=False):
    r = c.call("AlterConfigs", ver("AlterConfigs", version), {
        "resources": [{"resource_type": kind, "resource_name": name,
                       "configs": [{"name": k, "value": v}
                                   for k, v in configs]}],
        "validate_only": validate})
    x, = r["responses"]
    eq((x["resource_type"], x["resource_name"]), (kind, name), "resource")
    return x


def good(x):
    eq(x["error_code"], 0, "error (%s)" % x["error_message"])


def bad(x, code, words=""):
    eq(x["error_code"], code, "error (%s)" % x["error_message"])
    ok(x["error_message"], "no message")
    ok(words in x["error_message"],
       "message %r lacks %r" % (x["error_message"], words))


def me(c):
    return str(metadata(c, [])["brokers"][0]["node_id"])


def broker_reset(c):
    for name in ("", me(c)):
        good(replace(c, BROKER, name, []))


def value(c, t, key):
    return described(c, TOPIC, t.name)["by"][key]["value"]


# ---------------------------------------------------------------- describe

@rows("describe/topic/keys/v%d", DV)
def describe_keys(v):
    """Null or empty: all; an unknown name is left out; twice is once."""
    t = new_topic()
    with Conn() as c:
        every = set(described(c, TOPIC, t.name, v)["by"])
        ok(len(every) >= 30, "%d configs" % len(every))
        eq(set(described(c, TOPIC, t.name, v, keys=[])["by"]), every,
           "configs for an empty list")
        d = described(c, TOPIC, t.name, v, keys=[
            "no.such", "flush.ms", "flush.ms", "", "cleanup.policy"])
        eq(d["error_code"], 0, "error")
        eq(sorted(x["name"] for x in d["configs"]),
           ["cleanup.policy", "flush.ms"], "configs")
        eq(described(c, TOPIC, t.name, v, keys=["no.such"])["configs"], [],
           "configs of an unknown name")


TABLE = {
    "cleanup.policy": ("delete", 7), "compression.type": ("producer", 2),
    "compression.gzip.level": ("-1", 3), "compression.lz4.level": ("9", 3),
    "compression.zstd.level": ("3", 3),
    "delete.retention.ms": ("86400000", 5),
    "file.delete.delay.ms": ("60000", 5),
    "flush.messages": (str(2 ** 63 - 1), 5), "flush.ms": (str(2 ** 63 - 1), 5),
    "follower.replication.throttled.replicas": ("", 7),
    "index.interval.bytes": ("4096", 3),
    "leader.replication.throttled.replicas": ("", 7),
    "local.retention.bytes": ("-2", 5), "local.retention.ms": ("-2", 5),
    "max.compaction.lag.ms": (str(2 ** 63 - 1), 5),
    "max.message.bytes": ("1048588", 3),
    "message.timestamp.type": ("CreateTime", 2),
    "message.timestamp.before.max.ms": (str(2 ** 63 - 1), 5),
    "min.cleanable.dirty.ratio": ("0.5", 6),
    "min.compaction.lag.ms": ("0", 5), "min.insync.replicas": ("1", 3),
    "preallocate": ("false", 1), "remote.storage.enable": ("false", 1),
    "retention.bytes": ("-1", 5), "retention.ms": ("604800000", 5),
    "segment.bytes": ("1073741824", 3), "segment.index.bytes": ("10485760", 3),
    "segment.jitter.ms": ("0", 5), "segment.ms": ("604800000", 5),
    "unclean.leader.election.enable": ("false", 1),
}


@row("describe/topic/table")
def describe_table():
    """Names, defaults and types that Kafka 3.9 and 4 agree on."""
    t = new_topic()
    with Conn() as c:
        by = described(c, TOPIC, t.name)["by"]
        for name, (val, kind) in TABLE.items():
            isin(name, by, "config")
            eq((by[name]["value"], by[name]["config_type"]), (val, kind),
               name)
            eq((by[name]["read_only"], by[name]["is_sensitive"],
                by[name]["config_source"]), (False, False, 5), name)


@row("describe/topic/order-of-a-list")
def describe_list():
    t = new_topic(1, {"cleanup.policy": "compact,delete"})
    with Conn() as c:
        eq(value(c, t, "cleanup.policy"), "compact,delete", "value")
        good(incremental(c, TOPIC, t.name, [
            (SET, "cleanup.policy", " delete , compact ")]))
        eq(until(lambda: value(c, t, "cleanup.policy"),
                 lambda v: v == "delete,compact"), "delete,compact", "value")


@rows("describe/no-synonyms/v%d", DV[1:])
def describe_no_synonyms(v):
    t = new_topic(1, {"retention.ms": "5000"})
    with Conn() as c:
        d = described(c, TOPIC, t.name, v, synonyms=False)
        for x in d["configs"]:
            eq(x["synonyms"], [], "synonyms of " + x["name"])
        eq(own(d), {"retention.ms": "5000"}, "own configs")


@rows("describe/bad-topic/v%d", DV)
def describe_bad_topic(v):
    with Conn() as c:
        for name, code in (("", INVALID_TOPIC), ("a/b", INVALID_TOPIC),
                           ("..", INVALID_TOPIC), ("x" * 250, INVALID_TOPIC),
                           (fresh_name("none"), UNKNOWN_TOPIC)):
            d = described(c, TOPIC, name, v)
            eq((d["error_code"], d["configs"]), (code, []), repr(name))
            eq(d["resource_name"], name, "name")


@rows("describe/bad-broker/%s", ["2147483647", "x", "-1", "1x", "0x1"])
def describe_bad_broker(name):
    with Conn() as c:
        for kind in (BROKER, LOGGER):
            bad(described(c, kind, name), INVALID_REQUEST)
        roundtrip(c)


@rows("describe/bad-type/%d", [0, 1, 3, 64, 127, -1])
def describe_bad_type(kind):
    with Conn() as c:
        for v in DV:
            x = described(c, kind, "x", v)
            eq((x["error_code"], x["configs"]), (INVALID_REQUEST, []),
               "answer in v%d" % v)


@rows("describe/empty-name/%d", [LOGGER, METRICS, GROUP])
def describe_empty(kind):
    with Conn() as c:
        bad(described(c, kind, ""), INVALID_REQUEST, "must not be empty")


@row("describe/many-resources")
def describe_many():
    """Each has its own row, in order; the same one twice as well."""
    a, b = new_topic(1, {"flush.ms": "1"}), new_topic()
    with Conn() as c:
        names = [a.name, b.name, a.name, "no/topic", b.name]
        r = c.call("DescribeConfigs", ver("DescribeConfigs"), {
            "resources": [{"resource_type": TOPIC, "resource_name": n,
                           "configuration_keys": ["flush.ms"]}
                          for n in names]})
        eq([x["resource_name"] for x in r["results"]], names, "names")
        eq([x["error_code"] for x in r["results"]],
           [0, 0, 0, INVALID_TOPIC, 0], "errors")
        eq([[y["value"] for y in x["configs"]] for x in r["results"]][:3],
           [["1"], [str(2 ** 63 - 1)], ["1"]], "values")


@rows("describe/nothing/v%d", DV)
def describe_nothing(v):
    with Conn() as c:
        r = c.call("DescribeConfigs", ver("DescribeConfigs", v),
                   {"resources": []})
        eq(r["results"], [], "results")


@row("describe/20000-resources")
def describe_load():
    """A bounded answer: what does not fit has an error of its own."""
    t = new_topic()
    with Conn() as c:
        r = c.call("DescribeConfigs", ver("DescribeConfigs"), {
            "resources": [{"resource_type": TOPIC, "resource_name": t.name,
                           "configuration_keys": None}] * 20000,
            "include_synonyms": True, "include_documentation": True})
        eq(len(r["results"]), 20000, "rows")
        codes = [x["error_code"] for x in r["results"]]
        eq(codes[0], 0, "first error")
        ok(set(codes) <= {0, 44}, "errors %r" % set(codes))
        n = len(r["results"][0]["configs"])
        for x in r["results"]:
            eq(len(x["configs"]), n if x["error_code"] == 0 else 0,
               "configs")
        roundtrip(c)


@row("describe/broker/own")
def describe_broker():
    with Conn() as c:
        d = described(c, BROKER, me(c))
        good(d)
        by = d["by"]
        eq(by["broker.id"]["value"], me(c), "broker.id")
        eq(by["node.id"]["value"], me(c), "node.id")
        isin(by["inter.broker.protocol.version"]["value"], ("3.9-IV0",),
             "inter.broker.protocol.version")
        host = "PLAINTEXT://%s:%d" % (kafka.E.host, kafka.E.port)
        eq(by["advertised.listeners"]["value"], host, "advertised.listeners")
        for n in ("log.dirs", "listeners", "auto.create.topics.enable",
                  "num.partitions", "default.replication.factor",
                  "compression.type", "message.max.bytes",
                  "offsets.retention.minutes", "max.connections"):
            isin(n, by, "config")
        for n, x in by.items():
            ro = not n.startswith(("max.connection", "log.",
                                   "producer.id.expiration.ms")) \
                and n not in ("compression.type", "message.max.bytes",
                              "min.insync.replicas",
                              "unclean.leader.election.enable",
                              "compression.gzip.level",
                              "compression.lz4.level",
                              "compression.zstd.level")
            if n in ("log.dir", "log.dirs", "log.message.format.version",
                     "log.retention.check.interval.ms",
                     "log.cleaner.enable"):
                ro = True
            eq(x["read_only"], ro, n + " read-only")
            ok(x["documentation"], "no documentation of " + n)
            isin(x["config_source"], (4, 5), "source of " + n)
            eq(x["synonyms"][0]["value"], x["value"], "synonym of " + n)


@row("describe/broker/cluster")
def describe_cluster():
    """The broker without a name has what was set for all, no more."""
    with Conn() as c:
        broker_reset(c)
        eq(described(c, BROKER, "")["configs"], [], "configs")
        good(incremental(c, BROKER, "", [(SET, "log.flush.interval.ms",
                                          "1000")]))
        d = until(lambda: described(c, BROKER, ""), lambda d: d["configs"])
        x, = d["configs"]
        eq((x["name"], x["value"], x["config_source"], x["read_only"]),
           ("log.flush.interval.ms", "1000", 3, False), "config")
        eq([(z["name"], z["value"], z["source"]) for z in x["synonyms"]],
           [("log.flush.interval.ms", "1000", 3)], "synonyms")
        broker_reset(c)


@row("describe/logger")
def describe_logger():
    with Conn() as c:
        d = described(c, LOGGER, me(c))
        good(d)
        x, = d["configs"]
        eq((x["name"], x["config_source"]), ("root", 6), "logger")
        isin(x["value"], ("DEBUG", "INFO", "WARN"), "level")


@row("describe/metrics")
def describe_metrics():
    with Conn() as c:
        d = described(c, METRICS, fresh_name())
        eq((d["error_code"], d["configs"]), (0, []), "answer")


@row("describe/group")
def describe_group():
    """Of a group that is not there: what it would have."""
    with Conn() as c:
        d = described(c, GROUP, fresh_name("group"))
        good(d)
        eq({n: (x["value"], x["config_source"], x["config_type"])
            for n, x in d["by"].items() if n.startswith("consumer.")},
           {"consumer.session.timeout.ms": ("45000", 5, 3),
            "consumer.heartbeat.interval.ms": ("5000", 5, 3)}, "configs")


@row("describe/group/synonyms")
def describe_group_synonyms():
    g = fresh_name("group")
    with Conn() as c:
        good(incremental(c, GROUP, g, [
            (SET, "consumer.session.timeout.ms", "50000")]))
        x = described(c, GROUP, g)["by"]["consumer.session.timeout.ms"]
        eq([(z["name"], z["value"], z["source"]) for z in x["synonyms"]],
           [("consumer.session.timeout.ms", "50000", 8),
            ("group.consumer.session.timeout.ms", "45000", 5)], "synonyms")


# ------------------------------------------------------------------- alter

@rows("alter/replace/v%d", [0, 1, 2])
def alter_replace(v):
    """What is not named is gone."""
    t = new_topic(1, {"flush.ms": "1", "retention.ms": "9000"})
    with Conn() as c:
        good(replace(c, TOPIC, t.name, [("retention.ms", "7000"),
                                        ("segment.bytes", "2000000")], v))
        want = {"retention.ms": "7000", "segment.bytes": "2000000"}
        eq(until(lambda: own(described(c, TOPIC, t.name)),
                 lambda x: x == want), want, "configs")
        good(replace(c, TOPIC, t.name, [], v))
        eq(until(lambda: own(described(c, TOPIC, t.name)),
                 lambda x: x == {}), {}, "configs")


@rows("alter/incremental/v%d", [0, 1])
def alter_incremental(v):
    t = new_topic(1, {"flush.ms": "1", "retention.ms": "9000"})
    with Conn() as c:
        good(incremental(c, TOPIC, t.name, [
            (DELETE, "flush.ms", None), (DELETE, "segment.bytes", "7"),
            (SET, "retention.ms", "7000"),
            (APPEND, "cleanup.policy", "compact")], v))
        want = {"retention.ms": "7000", "cleanup.policy": "delete,compact"}
        eq(until(lambda: own(described(c, TOPIC, t.name)),
                 lambda x: x == want), want, "configs")
        good(incremental(c, TOPIC, t.name, [
            (APPEND, "cleanup.policy", "delete,compact")], v))
        good(incremental(c, TOPIC, t.name, [
            (SUBTRACT, "cleanup.policy", "delete")], v))
        want["cleanup.policy"] = "compact"
        eq(until(lambda: own(described(c, TOPIC, t.name)),
                 lambda x: x == want), want, "configs")
        good(incremental(c, TOPIC, t.name, [
            (APPEND, "leader.replication.throttled.replicas", "0:1"),
            (APPEND, "follower.replication.throttled.replicas", "0:1,1:1")],
            v))
        want["leader.replication.throttled.replicas"] = "0:1"
        want["follower.replication.throttled.replicas"] = "0:1,1:1"
        eq(until(lambda: own(described(c, TOPIC, t.name)),
                 lambda x: x == want), want, "configs")


@rows("alter/validate-only/%s", ["replace", "incremental"])
def alter_validate(how):
    t = new_topic(1, {"retention.ms": "9000"})
    with Conn() as c:
        for val, code in (("7000", 0), ("x", BAD_CONFIG)):
            if how == "replace":
                x = replace(c, TOPIC, t.name, [("flush.ms", val)],
                            validate=True)
            else:
                x = incremental(c, TOPIC, t.name, [(SET, "flush.ms", val)],
                                validate=True)
            eq(x["error_code"], code, "error (%s)" % x["error_message"])
        eq(own(described(c, TOPIC, t.name)), {"retention.ms": "9000"},
           "configs")


BAD_VALUES = [("retention.ms", "-2"), ("retention.ms", ""),
              ("retention.ms", "1.5"), ("retention.ms", "9" * 30),
              ("segment.bytes", "0"), ("segment.bytes", "2147483648"),
              ("max.message.bytes", "-1"), ("cleanup.policy", "none"),
              ("cleanup.policy", "delete,keep"),
              ("message.timestamp.type", "Now"), ("flush.messages", "0"),
              ("min.insync.replicas", "0"), ("preallocate", "yes"),
              ("min.cleanable.dirty.ratio", "1.5"),
              ("compression.type", "rar"), ("compression.lz4.level", "18"),
              ("unclean.leader.election.enable", ""),
              ("leader.replication.throttled.replicas", "one"),
              ("no.such.config", "1"), ("", "1"), ("Retention.ms", "1"),
              ("x" * 3000, "y")]


@rows("alter/bad-value/%d", list(range(len(BAD_VALUES))))
def alter_bad(i):
    """40 and a sentence, and nothing of the resource is changed."""
    key, val = BAD_VALUES[i]
    t = new_topic(1, {"flush.ms": "9"})
    with Conn() as c:
        bad(incremental(c, TOPIC, t.name, [(SET, "retention.bytes", "5"),
                                           (SET, key, val)]), BAD_CONFIG)
        bad(replace(c, TOPIC, t.name, [("retention.bytes", "5"),
                                       (key, val)]), BAD_CONFIG)
        eq(own(described(c, TOPIC, t.name)), {"flush.ms": "9"}, "configs")
        x = create(c, fresh_name(), 1, {key: val})
        eq(x["error_code"], BAD_CONFIG, "CreateTopics")


@row("alter/contradiction")
def alter_contradiction():
    t = new_topic()
    with Conn() as c:
        bad(incremental(c, TOPIC, t.name, [
            (SET, "min.compaction.lag.ms", str(2 ** 63 - 1)),
            (SET, "max.compaction.lag.ms", "1")]), BAD_CONFIG)


@rows("alter/refused/%s", ["remote.storage.enable=true",
                           "local.retention.ms=100",
                           "local.retention.bytes=100"])
def alter_refused(what):
    """Not supported yet: said so, not ignored."""
    key, val = what.split("=")
    t = new_topic()
    with Conn() as c:
        bad(incremental(c, TOPIC, t.name, [(SET, key, val)]), BAD_CONFIG,
            "not supported yet")
        x = described(c, TOPIC, t.name)["by"][key]
        good(incremental(c, TOPIC, t.name, [(SET, key, x["value"])]))
        ok("only its default" in x["documentation"], "documentation %r" %
           x["documentation"])


@row("alter/kept-is-marked")
def alter_kept():
    t = new_topic(1, {"min.compaction.lag.ms": "5",
                      "delete.retention.ms": "7",
                      "min.cleanable.dirty.ratio": "0.25",
                      "unclean.leader.election.enable": "true"})
    with Conn() as c:
        by = described(c, TOPIC, t.name)["by"]
        for k, v in (("min.compaction.lag.ms", "5"),
                     ("delete.retention.ms", "7"),
                     ("min.cleanable.dirty.ratio", "0.25"),
                     ("unclean.leader.election.enable", "true")):
            eq((by[k]["value"], by[k]["config_source"]), (v, 1), k)
            if not KAFKA:
                eq("nothing acts on it" in by[k]["documentation"],
                   k.startswith("unclean."), k)


@rows("alter/request/%s", ["key-twice", "null-value", "bad-op",
                           "append-number", "append-unknown"])
def alter_request(kind):
    t = new_topic(1, {"flush.ms": "9"})
    ops, code = {
        "key-twice": ([(SET, "flush.ms", "1"), (DELETE, "flush.ms", None)],
                      INVALID_REQUEST),
        "null-value": ([(SET, "flush.ms", None)], INVALID_REQUEST),
        "bad-op": ([(4, "flush.ms", "1")], INVALID_REQUEST),
        "append-number": ([(APPEND, "flush.ms", "1")], BAD_CONFIG),
        "append-unknown": ([(SUBTRACT, "no.such", "1")], BAD_CONFIG)}[kind]
    with Conn() as c:
        if kind == "bad-op" and KAFKA:
            raise Skip("Kafka closes or errs otherwise")
        bad(incremental(c, TOPIC, t.name, ops), code)
        if kind in ("key-twice", "null-value"):
            bad(replace(c, TOPIC, t.name, [(k, v) for _, k, v in ops]),
                code)
        eq(own(described(c, TOPIC, t.name)), {"flush.ms": "9"}, "configs")


@rows("alter/resource-twice/%s", ["AlterConfigs", "IncrementalAlterConfigs"])
def alter_twice(api):
    """Neither is done; others are."""
    t, u = new_topic(), new_topic()

    def res(name):
        return {"resource_type": TOPIC, "resource_name": name, "configs": [
            {"name": "flush.ms", "value": "5", "config_operation": SET}]}
    with Conn() as c:
        r = c.call(api, ver(api), {"resources": [res(t.name), res(u.name),
                                                 res(t.name)]})
        got = [(x["resource_name"], x["error_code"]) for x in r["responses"]]
        isin((u.name, 0), got, "the other")
        eq([e for n, e in got if n == t.name], [INVALID_REQUEST] * 2,
           "errors")
        eq(own(described(c, TOPIC, t.name)), {}, "configs")
        eq(until(lambda: own(described(c, TOPIC, u.name)), bool),
           {"flush.ms": "5"}, "configs of the other")


@rows("alter/bad-resource/%s", ["unknown-topic", "no-topic-name",
                                "bad-topic-name", "other-broker",
                                "no-broker", "no-group-name", "type-0",
                                "type-3", "type-64"])
def alter_resource(kind):
    typ, name, code = {
        "unknown-topic": (TOPIC, fresh_name("none"), UNKNOWN_TOPIC),
        "no-topic-name": (TOPIC, "", INVALID_REQUEST),
        "bad-topic-name": (TOPIC, "a b", INVALID_TOPIC),
        "other-broker": (BROKER, "77", INVALID_REQUEST),
        "no-broker": (BROKER, "one", INVALID_REQUEST),
        "no-group-name": (GROUP, "", INVALID_REQUEST),
        "type-0": (0, "x", INVALID_REQUEST),
        "type-3": (3, "x", INVALID_REQUEST),
        "type-64": (64, "x", INVALID_REQUEST)}[kind]
    key, val = ("consumer.session.timeout.ms", "50000") if typ == GROUP \
        else ("log.flush.interval.ms", "5") if typ == BROKER \
        else ("flush.ms", "5")
    with Conn() as c:
        for validate in (True, False):
            bad(incremental(c, typ, name, [(SET, key, val)],
                            validate=validate), code)
            bad(replace(c, typ, name, [(key, val)], validate=validate), code)
        t = new_topic()
        good(incremental(c, TOPIC, t.name, [(SET, "flush.ms", "5")]))


@rows("alter/nothing/%s", ["AlterConfigs", "IncrementalAlterConfigs"])
def alter_nothing(api):
    t = new_topic(1, {"flush.ms": "5"})
    with Conn() as c:
        eq(c.call(api, ver(api), {"resources": []})["responses"], [],
           "responses")
        if api != "AlterConfigs":
            good(incremental(c, TOPIC, t.name, []))
            eq(own(described(c, TOPIC, t.name)), {"flush.ms": "5"},
               "configs")


@row("alter/pipelined")
def alter_pipelined():
    """Changes of one topic that are under way at once add up."""
    t = new_topic()
    keys = ["flush.ms", "flush.messages", "retention.ms", "retention.bytes",
            "max.message.bytes", "min.compaction.lag.ms",
            "delete.retention.ms", "message.timestamp.before.max.ms"]
    v = ver("IncrementalAlterConfigs")
    with Conn() as c:
        for i, k in enumerate(keys):
            c.send("IncrementalAlterConfigs", v, {"resources": [{
                "resource_type": TOPIC, "resource_name": t.name,
                "configs": [{"name": k, "value": str(70000 + i),
                             "config_operation": SET}]}]})
        for _ in keys:
            good(c.recv()["responses"][0])
        want = {k: str(70000 + i) for i, k in enumerate(keys)}
        eq(until(lambda: own(described(c, TOPIC, t.name)),
                 lambda x: x == want), want, "configs")


@row("alter/then-deleted")
def alter_deleted():
    """A topic that goes while its configs change; and again by its name."""
    with Conn() as c:
        for _ in range(10):
            t = new_topic()
            v = ver("IncrementalAlterConfigs")
            c.send("IncrementalAlterConfigs", v, {"resources": [{
                "resource_type": TOPIC, "resource_name": t.name,
                "configs": [{"name": "flush.ms", "value": "1",
                             "config_operation": SET}]}]})
            c.send("DeleteTopics", 5, {"topic_names": [t.name],
                                       "timeout_ms": 30000})
            good(c.recv()["responses"][0])
            eq(c.recv()["responses"][0]["error_code"], 0, "DeleteTopics")
            r = until(lambda: create(c, t.name),
                      lambda r: r["error_code"] == 0)
            eq(r["error_code"], 0, "CreateTopics")
            eq(own(described(c, TOPIC, t.name)), {}, "configs")


@row("alter/many-resources")
def alter_many():
    ts = [new_topic() for _ in range(5)]
    v = ver("IncrementalAlterConfigs")
    with Conn() as c:
        r = c.call("IncrementalAlterConfigs", v, {"resources": [
            {"resource_type": TOPIC, "resource_name": t.name, "configs": [
                {"name": "flush.ms", "config_operation": SET,
                 "value": "5" if i != 2 else "bad"}]}
            for i, t in enumerate(ts)]})
        got = {x["resource_name"]: x["error_code"] for x in r["responses"]}
        eq(got, {t.name: BAD_CONFIG if i == 2 else 0
                 for i, t in enumerate(ts)}, "errors")


# ------------------------------------------------------------------ broker

@rows("alter/broker/read-only/%s", ["node.id", "broker.id", "log.dirs",
                                    "num.partitions", "listeners",
                                    "auto.create.topics.enable",
                                    "inter.broker.protocol.version",
                                    "offsets.retention.minutes",
                                    "log.message.format.version"])
def broker_read_only(key):
    if KAFKA and key in ("listeners", "inter.broker.protocol.version",
                         "log.message.format.version"):
        raise Skip("otherwise in Kafka")
    with Conn() as c:
        for name in ("", me(c)):
            bad(incremental(c, BROKER, name, [(SET, key, "5")]),
                INVALID_REQUEST, "dynamically")
            bad(replace(c, BROKER, name, [(key, "5")]), INVALID_REQUEST)


@row("alter/broker/unknown")
def broker_unknown():
    with Conn() as c:
        for name in ("", me(c)):
            bad(incremental(c, BROKER, name, [(SET, "no.such", "5")]),
                BAD_CONFIG, "Unknown broker config")


@rows("alter/broker/bad-value/%s", ["log.retention.ms=x",
                                    "log.segment.bytes=1",
                                    "log.cleanup.policy=none",
                                    "max.connections=-1",
                                    "leader.replication.throttled.rate=x"])
def broker_bad(what):
    key, val = what.split("=")
    with Conn() as c:
        bad(incremental(c, BROKER, "", [(SET, key, val)]), INVALID_REQUEST)


@row("precedence")
def precedence():
    """Topic, broker, cluster, default; with the synonyms in that order."""
    t, u = new_topic(1, {"flush.ms": "1"}), new_topic()

    def look(x):
        y = described(c, TOPIC, x.name)["by"]["flush.ms"]
        return (y["value"], y["config_source"],
                [(z["name"], z["value"], z["source"]) for z in y["synonyms"]])

    def want(x, w):
        eq(until(lambda: look(x), lambda got: got == w), w, "flush.ms")
    syn, top = "log.flush.interval.ms", str(2 ** 63 - 1)
    with Conn() as c:
        broker_reset(c)
        if not KAFKA:
            want(u, (top, 5, [(syn, top, 5)]))
            good(incremental(c, BROKER, "", [(SET, syn, "3")]))
            want(u, ("3", 3, [(syn, "3", 3), (syn, top, 5)]))
            good(incremental(c, BROKER, me(c), [(SET, syn, "2")]))
            want(u, ("2", 2, [(syn, "2", 2), (syn, "3", 3), (syn, top, 5)]))
            want(t, ("1", 1, [("flush.ms", "1", 1), (syn, "2", 2),
                              (syn, "3", 3), (syn, top, 5)]))
            x = described(c, BROKER, me(c))["by"][syn]
            eq((x["value"], x["config_source"]), ("2", 2), "broker's")
            r = create(c, fresh_name(), 1)
            y, = [y for y in r["configs"] if y["name"] == "flush.ms"]
            eq((y["value"], y["config_source"]), ("2", 2), "a new topic's")
            good(incremental(c, TOPIC, t.name, [(DELETE, "flush.ms", None)]))
            want(t, ("2", 2, [(syn, "2", 2), (syn, "3", 3), (syn, top, 5)]))
            good(replace(c, BROKER, me(c), []))
            want(t, ("3", 3, [(syn, "3", 3), (syn, top, 5)]))
            good(incremental(c, BROKER, "", [(DELETE, syn, None)]))
            want(t, (top, 5, [(syn, top, 5)]))
        broker_reset(c)


@row("precedence/option")
def precedence_option():
    """What the operator gave: source 4, above the default."""
    syn = "log.message.timestamp.after.max.ms"
    t = new_topic()
    with Conn() as c:
        x = described(c, BROKER, me(c))["by"][syn]
        if x["config_source"] != 4:
            raise Skip("the broker was not given " + syn)
        given = x["value"]
        want = [(syn, given, 4), (syn, "3600000", 5)]
        eq([(z["name"], z["value"], z["source"]) for z in x["synonyms"]],
           want, "synonyms of the broker's")
        y = described(c, TOPIC, t.name)["by"][
            "message.timestamp.after.max.ms"]
        eq((y["value"], y["config_source"]), (given, 4), "topic's")
        eq([(z["name"], z["value"], z["source"]) for z in y["synonyms"]],
           want, "synonyms of the topic's")
        now = int(time.time() * 1000)
        data = [R.batch(R.recs(1, ts=now + int(given) + d))
                for d in (-600000, 600000)]
        produce_ok(c, t, data[0])
        eq(produce(c, t, data[1])["error_code"], kafka.BAD_TIMESTAMP,
           "error")


# ------------------------------------------------------------------ others

@row("alter/group")
def alter_group():
    g = fresh_name("group")
    s, h = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
    with Conn() as c:
        good(incremental(c, GROUP, g, [(SET, s, "50000"), (SET, h, "6000")]))
        eq(until(lambda: own(described(c, GROUP, g), 8), bool),
           {s: "50000", h: "6000"}, "configs")
        for k, val in ((s, "44999"), (s, "60001"), (h, "4999"),
                       (h, "15001"), (s, "x"), (h, "-1"), ("share.no", "1"),
                       ("retention.ms", "1")):
            bad(incremental(c, GROUP, g, [(SET, k, val)]), BAD_CONFIG)
        good(replace(c, GROUP, g, [(s, "46000")]))
        eq(until(lambda: own(described(c, GROUP, g), 8),
                 lambda x: len(x) == 1), {s: "46000"}, "configs")
        good(incremental(c, GROUP, g, [(DELETE, s, None)]))
        eq(until(lambda: own(described(c, GROUP, g), 8),
                 lambda x: not x), {}, "configs")


@row("alter/metrics")
def alter_metrics():
    with Conn() as c:
        bad(incremental(c, METRICS, "m", [(SET, "interval.ms", "1000")]),
            INVALID_REQUEST, "no subscriptions")
        bad(replace(c, METRICS, "m", [("interval.ms", "1000")]),
            INVALID_REQUEST)


@row("alter/logger/level")
def alter_logger():
    with Conn() as c:
        i = me(c)
        was = described(c, LOGGER, i)["by"]["root"]["value"]
        good(incremental(c, LOGGER, i, [(SET, "root", "WARN")],
                         validate=True))
        eq(described(c, LOGGER, i)["by"]["root"]["value"], was, "level")
        good(incremental(c, LOGGER, i, [(SET, "root", "DEBUG")]))
        eq(described(c, LOGGER, i)["by"]["root"]["value"], "DEBUG", "level")
        good(incremental(c, LOGGER, i, [(SET, "root", was)]))
        bad(incremental(c, LOGGER, i, [(SET, "root", "LOUD")]), BAD_CONFIG)
        bad(incremental(c, LOGGER, i, [(SET, "kafka", "INFO")]), BAD_CONFIG)
        bad(incremental(c, LOGGER, i, [(DELETE, "root", None)]),
            INVALID_REQUEST)
        bad(replace(c, LOGGER, i, [("root", "INFO")]), INVALID_REQUEST)
        bad(incremental(c, LOGGER, "7", [(SET, "root", "INFO")]),
            INVALID_REQUEST)


@row("list/types")
def list_types():
    g, t = fresh_name("group"), new_topic()

    def names(v, *types):
        r = c.call("ListConfigResources", v, {"resource_types": list(types)})
        eq(r["error_code"], 0, "error")
        return [(x.get("resource_type", METRICS), x["resource_name"])
                for x in r["config_resources"]]
    with Conn() as c:
        need("ListConfigResources", 1)
        eq(names(0), [], "client metrics")
        good(incremental(c, GROUP, g, [
            (SET, "consumer.session.timeout.ms", "50000")]))
        every = names(1)
        for x in ((TOPIC, t.name), (GROUP, g), (BROKER, me(c)),
                  (LOGGER, me(c))):
            isin(x, every, "resources")
        eq(len(every), len(set(every)), "distinct resources")
        eq(names(1, METRICS), [], "client metrics")
        isin((GROUP, g), names(1, GROUP), "groups")
        eq({x for x, _ in names(1, GROUP, TOPIC, GROUP)}, {TOPIC, GROUP},
           "types")
        good(replace(c, GROUP, g, []))
        ok((GROUP, g) not in until(lambda: names(1, GROUP),
                                   lambda x: (GROUP, g) not in x),
           "a group without configs is listed")


@rows("list/bad-type/%d", [0, 1, 3, 64, -1])
def list_bad(kind):
    with Conn() as c:
        need("ListConfigResources", 1)
        r = c.call("ListConfigResources", 1, {"resource_types": [TOPIC,
                                                                 kind]})
        eq((r["error_code"], r["config_resources"]),
           (UNSUPPORTED_VERSION, []), "answer")


# ------------------------------------------------------------------ effect

@row("effect/max.message.bytes")
def effect_bytes():
    """At once, on a topic and for all topics."""
    t, u = new_topic(), new_topic()
    data = R.batch(R.recs(1, 5000, ts=kafka.TS))
    with Conn() as c:
        broker_reset(c)
        produce_ok(c, t, data)
        good(incremental(c, TOPIC, t.name, [(SET, "max.message.bytes",
                                             "1000")]))
        eq(produce(c, t, data)["error_code"], TOO_LARGE, "error")
        good(incremental(c, BROKER, "", [(SET, "message.max.bytes",
                                          "1000")]))
        eq(produce(c, u, data)["error_code"], TOO_LARGE, "error")
        good(incremental(c, TOPIC, u.name, [(SET, "max.message.bytes",
                                             "9000")]))
        produce_ok(c, u, data)
        broker_reset(c)
        good(incremental(c, TOPIC, t.name, [(DELETE, "max.message.bytes",
                                             None)]))
        produce_ok(c, t, data)


@row("effect/min.insync.replicas")
def effect_isr():
    """Never more than the partition has replicas."""
    t = new_topic()
    data = R.batch(R.recs(1, ts=kafka.TS))
    with Conn() as c:
        good(incremental(c, TOPIC, t.name, [(SET, "min.insync.replicas",
                                             "2")]))
        for acks in (-1, 1):
            produce_ok(c, t, data, acks=acks)


@row("effect/message.timestamp.type")
def effect_time():
    t = new_topic()
    data = R.batch(R.recs(1, ts=kafka.TS))
    with Conn() as c:
        eq(produce_ok(c, t, data)["log_append_time_ms"], -1, "append time")
        good(incremental(c, TOPIC, t.name, [
            (SET, "message.timestamp.type", "LogAppendTime")]))
        ok(produce_ok(c, t, data)["log_append_time_ms"] > kafka.TS,
           "append time")


@row("effect/message.timestamp.difference.max.ms")
def effect_difference():
    """Kafka 3's name for two later ones."""
    t = new_topic(config_may_fail=True, configs={
        "message.timestamp.difference.max.ms": "1000"})
    with Conn() as c:
        data = R.batch(R.recs(1, ts=kafka.TS))
        eq(produce(c, t, data)["error_code"], kafka.BAD_TIMESTAMP, "error")
        good(incremental(c, TOPIC, t.name, [
            (SET, "message.timestamp.before.max.ms", "7200000")]))
        produce_ok(c, t, data)


@row("effect/message.downconversion.enable")
def effect_conversion():
    t = new_topic(config_may_fail=True, configs={
        "message.downconversion.enable": "false"})
    with Conn() as c:
        produce_ok(c, t, R.batch(R.recs(1, ts=kafka.TS)))
        for v in (0, 1, 2, 3):
            need("Fetch", v)
            eq(fetch(c, t, version=v)["error_code"], UNSUPPORTED_VERSION,
               "error in v%d" % v)
        eq(fetch(c, t, version=4)["error_code"], 0, "error in v4")
        good(incremental(c, TOPIC, t.name, [
            (SET, "message.downconversion.enable", "true")]))
        eq(fetch(c, t, version=3)["error_code"], 0, "error in v3")


@row("effect/flush")
def effect_flush():
    """From synced before visible to flushed at leisure, and back."""
    t = new_topic()
    with Conn() as c:
        for i, ms in enumerate(("100000", "100", None, "50000", "0", None)):
            op = (SET, "flush.ms", ms) if ms else (DELETE, "flush.ms", None)
            good(incremental(c, TOPIC, t.name, [op]))
            for j in range(3):
                produce_ok(c, t, R.batch(R.recs(1, ts=kafka.TS)), 3 * i + j)
            eq(kafka.end_offset(c, t), 3 * i + 3, "end")


def until_start(c, t, offset):
    end = time.monotonic() + kafka.WAIT
    while kafka.list_offset(c, t, -2)["offset"] != offset:
        ok(time.monotonic() < end, "nothing was deleted")
        time.sleep(0.05)


@row("effect/retention")
def effect_retention():
    """Needs a broker that looks often: log-retention-check-interval-ms."""
    t, u = new_topic(), new_topic()
    with Conn() as c:
        x = described(c, BROKER, me(c))["by"]
        if int(x["log.retention.check.interval.ms"]["value"]) > 1000:
            raise Skip("the broker looks too seldom")
        for y in (t, u):
            produce_ok(c, y, R.batch(R.recs(3, ts=kafka.TS)))
        good(incremental(c, TOPIC, t.name, [(SET, "retention.ms", "1000")]))
        until_start(c, t, 3)
        eq(kafka.list_offset(c, u, -2)["offset"], 0, "start of the other")
        good(incremental(c, BROKER, "", [(SET, "log.retention.ms", "1000")]))
        until_start(c, u, 3)
        broker_reset(c)


@row("effect/retention/clock")
def effect_retention_clock():
    """What a client's clock says of a far future keeps nothing for ever: it is
    refused, or, where that is allowed, goes by size; and what it says of a far
    past takes nothing but its own segment."""
    far = kafka.TS + 10 * 365 * 86400 * 1000
    t, past = new_topic(), new_topic(1, {"segment.ms": "1"})
    u = new_topic(1, {"message.timestamp.after.max.ms": str(2 ** 62)})
    now = int(time.time() * 1000)
    with Conn() as c:
        x = described(c, BROKER, me(c))["by"]
        if int(x["log.retention.check.interval.ms"]["value"]) > 1000:
            raise Skip("the broker looks too seldom")
        eq(produce(c, t, R.batch(R.recs(1, ts=far)))["error_code"],
           kafka.BAD_TIMESTAMP, "error of the far future")
        produce_ok(c, t, R.batch(R.recs(2, ts=kafka.TS)))
        produce_ok(c, u, R.batch(R.recs(1, ts=far)))
        produce_ok(c, past, R.batch(R.recs(1, ts=0)))
        produce_ok(c, past, R.batch(R.recs(1, ts=now)), 1)
        for y in (u, past, t):
            good(incremental(c, TOPIC, y.name, [
                (SET, "retention.ms", "7200000" if y is past else "1000")]))
        until_start(c, t, 2)
        until_start(c, past, 1)
        eq(kafka.list_offset(c, u, -2)["offset"], 0, "start of the future")
        good(incremental(c, TOPIC, u.name, [(SET, "retention.bytes", "0")]))
        until_start(c, u, 1)
        eq(kafka.list_offset(c, past, -2)["offset"], 1, "start of the past")


@row("effect/max.connections")
def effect_connections():
    """The gateways follow."""
    with Conn() as c:
        broker_reset(c)
        good(incremental(c, BROKER, "", [(SET, "max.connections", "1")]))
        end = time.monotonic() + kafka.WAIT
        while True:
            others = []
            try:
                for _ in range(8):
                    others.append(Conn())
                    roundtrip(others[-1])
            except (kafka.Closed, OSError):
                break
            finally:
                for o in others:
                    o.close()
            ok(time.monotonic() < end, "connections are not limited")
            time.sleep(0.05)
        broker_reset(c)
        while True:
            try:
                with Conn() as d:
                    roundtrip(d)
                break
            except (kafka.Closed, OSError):
                ok(time.monotonic() < end, "connections stay limited")
                time.sleep(0.05)


# ----------------------------------------------------------------- restart

@row("restart/kept")
def restart():
    """What was set by an earlier run of this row is there, and acts; then
    something else is set."""
    path = os.environ.get("CHRONIK_WIRE_SEEN")
    if not path:
        raise Skip("no file to remember configs in")
    seen = None
    if os.path.exists(path):
        with open(path) as f:
            seen = json.load(f)
    with Conn() as c:
        i = me(c)
        if seen is None:
            t = new_topic()
            made.remove(t.name)
            seen = {"topic": t.name, "id": t.id.hex(),
                    "group": fresh_name("kept"), "n": 0}
        else:
            n = str(seen["n"])
            t = kafka.Topic(seen["topic"], bytes.fromhex(seen["id"]), 1)
            d = described(c, TOPIC, t.name)
            eq(own(d), {"max.message.bytes": "100" + n,
                        "cleanup.policy": "compact,delete"}, "topic")
            eq(d["by"]["retention.bytes"]["value"], "200" + n, "cluster's")
            eq(d["by"]["retention.ms"]["value"], "30000" + n, "broker's")
            eq(own(described(c, GROUP, seen["group"]), 8),
               {"consumer.session.timeout.ms": "4600" + n}, "group")
            data = R.batch(R.recs(1, 5000, ts=kafka.TS))
            eq(produce(c, t, data)["error_code"], TOO_LARGE, "error")
        seen["n"] += 1
        n = str(seen["n"])
        good(incremental(c, TOPIC, t.name, [
            (SET, "max.message.bytes", "100" + n),
            (SET, "cleanup.policy", "compact,delete")]))
        good(incremental(c, BROKER, "", [
            (SET, "log.retention.bytes", "200" + n)]))
        good(incremental(c, BROKER, i, [
            (SET, "log.retention.ms", "30000" + n)]))
        good(incremental(c, GROUP, seen["group"], [
            (SET, "consumer.session.timeout.ms", "4600" + n)]))
    with open(path, "w") as f:
        json.dump(seen, f)


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
