# SPDX-License-Identifier: Apache-2.0
"""
A well-formed request for every API in scope at every version, and what its
answer has to look like.  A Sample is prepared on a live broker once and can
be sent any number of times in any disguise (unknown tags, byte by byte,
mutated).
"""
import kafka
import records as R
import samples_admin
import samples_group
import samples_identity
from kafka import (E, Conn, NO_ID, OPS_NONE, Fail, Skip, UNKNOWN_TOPIC,
                   UNKNOWN_ID, end_offset, eq, fetch_body, fetched,
                   fresh_name, isin, leader_epoch, made, metadata,
                   new_topic, ok, produce_body, produce_ok, produced,
                   same_records, until, ver)

SCOPE = [("ApiVersions", 0, 4), ("Metadata", 0, 13), ("Produce", 0, 13),
         ("Fetch", 0, 18), ("ListOffsets", 0, 11), ("CreateTopics", 0, 7),
         ("DeleteTopics", 0, 6), ("InitProducerId", 0, 5),
         ("OffsetForLeaderEpoch", 0, 4),
         ("DescribeConfigs", 0, 4), ("AlterConfigs", 0, 2),
         ("IncrementalAlterConfigs", 0, 1), ("ListConfigResources", 0, 1)]
SCOPE += samples_admin.SCOPE + samples_group.SCOPE + samples_identity.SCOPE
ALL = [(name, v) for name, lo, hi in SCOPE for v in range(lo, hi + 1)]
TS = kafka.TS


def magic_of_produce(version):
    return 2 if version >= 3 else 1 if version == 2 else 0


def magic_of_fetch(version):
    return 2 if version >= 4 else 1 if version >= 2 else 0


def codes_known(r, path=""):
    """Every error code, however deep, is one of Kafka's."""
    if isinstance(r, list):
        for i, x in enumerate(r):
            codes_known(x, "%s[%d]" % (path, i))
    elif isinstance(r, dict):
        for k, x in r.items():
            codes_known(x, path + "." + k)
            if k.endswith("error_code"):
                ok(-1 <= x <= 133, "%s.%s is %d" % (path, k, x))


class Sample(samples_admin.AdminSamples,
             samples_group.GroupSamples,
             samples_identity.IdentitySamples):
    """name, version, body; check(response) raises Fail."""

    def __init__(self, name, version):
        self.name, self.version = name, version
        getattr(self, "make_" + name.lower())()

    def check(self, r):
        codes_known(r)
        getattr(self, "check_" + self.name.lower())(r)
        if "throttle_time_ms" in r:
            eq(r["throttle_time_ms"], 0, "throttle time")

    # ApiVersions

    def make_apiversions(self):
        self.body = {"client_software_name": "wire-test",
                     "client_software_version": "1.0"}

    def check_apiversions(self, r):
        eq(r["error_code"], 0, "error")
        keys = [a["api_key"] for a in r["api_keys"]]
        eq(len(set(keys)), len(keys), "number of distinct keys")
        for a in r["api_keys"]:
            ok(0 <= a["min_version"] <= a["max_version"],
               "key %(api_key)d: versions %(min_version)d-%(max_version)d"
               % a)
        if self.version >= 3:
            eq(r.get("zk_migration_ready"), False, "zk_migration_ready")
            for f in r["supported_features"]:
                ok(f["name"] and f["min_version"] <= f["max_version"],
                   "feature %r" % f)
                ok(self.version >= 4 or f["min_version"] > 0,
                   "feature of minimum 0 in v3: %r" % f)

    # Metadata

    def make_metadata(self):
        self.topic = new_topic(3, hint="md")
        self.body = {"topics": [{"name": self.topic.name,
                                 "topic_id": NO_ID}],
                     "allow_auto_topic_creation": False}

    def check_metadata(self, r):
        v = self.version
        eq(r.get("error_code", 0), 0, "top-level error")
        check_brokers(r, v)
        eq(len(r["topics"]), 1, "topics")
        check_topic(r, r["topics"][0], self.topic, v)

    # Produce

    def make_produce(self):
        self.topic = new_topic(2, hint="pr")
        self.next = 0
        self.magic = magic_of_produce(self.version)
        self.recs = R.recs(3, 20, ts=TS)
        data = R.batch(self.recs) if self.magic == 2 else \
            R.message_set(self.recs, self.magic)
        self.body = produce_body([(self.topic, 1, data)])

    def check_produce(self, r):
        v = self.version
        eq(len(r["responses"]), 1, "topics")
        t = r["responses"][0]
        if v >= 13:
            eq(t["topic_id"], self.topic.id, "topic id")
        else:
            eq(t["name"], self.topic.name, "topic")
        p, = t["partition_responses"]
        eq(p["index"], 1, "partition")
        eq(p["error_code"], 0, "error (%s)" % p.get("error_message"))
        eq(p["base_offset"], self.next, "base offset")
        self.next += 3
        eq(p.get("log_append_time_ms", -1), -1, "log append time")
        if v >= 5:
            eq(p["log_start_offset"], 0, "log start offset")
        if v >= 8:
            eq(p["record_errors"], [], "record errors")
            eq(p["error_message"], None, "error message")
        if v >= 10:
            eq(r["node_endpoints"], [], "node endpoints")

    # Fetch

    def make_fetch(self):
        self.topic = new_topic(2, hint="fe")
        self.recs = R.recs(3, 30, ts=TS)
        self.recs[1].headers = [("h", b"v"), ("n", None)]
        with Conn() as c:
            produce_ok(c, self.topic, R.batch(self.recs), 0)
            self.epoch = leader_epoch(c, self.topic)
        self.body = fetch_body([(self.topic, 0, 0), (self.topic, 1, 0)])

    def check_fetch(self, r):
        v = self.version
        eq(r.get("error_code", 0), 0, "top-level error")
        eq(r.get("session_id", 0), 0, "session id")
        eq(len(r["responses"]), 1, "topics")
        t = r["responses"][0]
        if v >= 13:
            eq(t["topic_id"], self.topic.id, "topic id")
        else:
            eq(t["topic"], self.topic.name, "topic")
        eq([p["partition_index"] for p in t["partitions"]], [0, 1],
           "partitions")
        for p, n in zip(t["partitions"], (3, 0)):
            eq(p["error_code"], 0, "error")
            eq(p["high_watermark"], n, "high watermark")
            if v >= 4:
                eq(p["last_stable_offset"], n, "last stable offset")
                eq(p["aborted_transactions"], None, "aborted transactions")
            if v >= 5:
                eq(p["log_start_offset"], 0, "log start offset")
            if v >= 11:
                eq(p["preferred_read_replica"], -1, "preferred replica")
            if v >= 12:
                eq(p.get("diverging_epoch") or {}, {}, "diverging epoch")
        magic = magic_of_fetch(v)
        # A down-converted set may end in a partial message, as ever.
        got = R.read_set(t["partitions"][0]["records"], magic == 2)
        ok(got, "no records")
        for e in got:
            eq(e.magic, magic, "magic")
        if magic == 2:
            for b in got:
                eq(b.leader_epoch, self.epoch, "leader epoch of the batch")
        same_records([x for e in got for x in e.records], self.with_offsets(),
                     "records", magic)
        eq(t["partitions"][1]["records"] or b"", b"", "records of 1")
        if v >= 16:
            eq(r["node_endpoints"], [], "node endpoints")

    def with_offsets(self):
        for i, x in enumerate(self.recs):
            x.offset = i
        return self.recs

    # ListOffsets

    def make_listoffsets(self):
        self.topic = new_topic(2, hint="lo")
        with Conn() as c:
            produce_ok(c, self.topic, R.batch(R.recs(5, ts=TS)), 0)
            self.epoch = leader_epoch(c, self.topic)
        self.body = {
            "replica_id": -1, "isolation_level": 0, "timeout_ms": 30000,
            "topics": [{"name": self.topic.name, "partitions": [
                {"partition_index": 0, "timestamp": -1,
                 "max_num_offsets": 4},
                {"partition_index": 1, "timestamp": -2,
                 "max_num_offsets": 4}]}]}

    def check_listoffsets(self, r):
        v = self.version
        t, = r["topics"]
        eq(t["name"], self.topic.name, "topic")
        by_index = {p["partition_index"]: p for p in t["partitions"]}
        eq(sorted(by_index), [0, 1], "partitions")
        for p, off in ((by_index[0], 5), (by_index[1], 0)):
            eq(p["error_code"], 0, "error")
            if v == 0:
                offs = p["old_style_offsets"]
                # -1 asks from the end down to the first segment; -2 for
                # the start alone.
                eq(offs, [5, 0] if off else [0], "offsets")
                continue
            eq(p["offset"], off, "offset")
            eq(p["timestamp"], -1, "timestamp")
            if v >= 4:
                wants = [self.epoch] if off else [self.epoch, -1]
                isin(p["leader_epoch"], wants, "leader epoch")

    # CreateTopics

    def make_createtopics(self):
        self.remake()

    def remake(self):
        """Some requests work only once."""
        if self.name in samples_group.ONCE:
            getattr(self, "make_" + self.name.lower())()
        elif self.name == "CreateTopics":
            self.new = fresh_name("ct")
            made.append(self.new)
            self.body = {"topics": [{
                "name": self.new, "num_partitions": 3,
                "replication_factor": 1,
                "configs": [{"name": "retention.ms",
                             "value": "3600000"}]}],
                "timeout_ms": 30000, "validate_only": False}
        elif self.name in ("DeleteTopics", "CreatePartitions"):
            getattr(self, "make_" + self.name.lower())()

    def check_createtopics(self, r):
        v = self.version
        t, = r["topics"]
        eq(t["name"], self.new, "name")
        eq(t["error_code"], 0, "error (%s)" % t.get("error_message"))
        if v >= 1:
            eq(t["error_message"], None, "error message")
        if v >= 5:
            eq(t["topic_config_error_code"], 0, "config error")
            eq(t["num_partitions"], 3, "partitions")
            eq(t["replication_factor"], 1, "replication factor")
            ok(t["configs"], "no configs returned")
            names = [x["name"] for x in t["configs"]]
            eq(len(set(names)), len(names), "distinct configs")
            conf = {x["name"]: x for x in t["configs"]}
            eq(conf["retention.ms"]["value"], "3600000", "retention.ms")
            eq(conf["retention.ms"]["config_source"], 1, "its source")
            for x in t["configs"]:
                eq(x["is_sensitive"], False, x["name"] + " sensitive")
                eq(x["read_only"], False, x["name"] + " read-only")
        if v >= 7:
            ok(t["topic_id"] != NO_ID, "topic id is zero")
        with Conn() as c:
            wait_topic(c, self.new, t.get("topic_id"), 3)

    # DeleteTopics

    def make_deletetopics(self):
        self.topic = new_topic(1, hint="dt")
        self.body = {"timeout_ms": 30000}
        if self.version >= 6:
            self.body["topics"] = [{"name": self.topic.name}]
        else:
            self.body["topic_names"] = [self.topic.name]

    def check_deletetopics(self, r):
        t, = r["responses"]
        eq(t["name"], self.topic.name, "name")
        eq(t["error_code"], 0, "error (%s)" % t.get("error_message"))
        if self.version >= 5:
            eq(t["error_message"], None, "error message")
        if self.version >= 6:
            eq(t["topic_id"], self.topic.id, "topic id")
        with Conn() as c:
            wait_topic(c, self.topic.name, None, 0)

    # OffsetForLeaderEpoch

    def make_offsetforleaderepoch(self):
        self.topic = new_topic(2, hint="oe")
        with Conn() as c:
            produce_ok(c, self.topic, R.batch(R.recs(4, ts=TS)), 0)
            self.epoch = leader_epoch(c, self.topic)
        self.body = {"replica_id": -1, "topics": [
            {"topic": self.topic.name, "partitions": [
                {"partition": 0, "current_leader_epoch": self.epoch,
                 "leader_epoch": self.epoch},
                {"partition": 1, "current_leader_epoch": -1,
                 "leader_epoch": self.epoch + 1}]}]}

    def check_offsetforleaderepoch(self, r):
        t, = r["topics"]
        eq(t["topic"], self.topic.name, "topic")
        by_index = {p["partition"]: p for p in t["partitions"]}
        eq(sorted(by_index), [0, 1], "partitions")
        for i, epoch, end in ((0, self.epoch, 4), (1, -1, -1)):
            p = by_index[i]
            eq((p["error_code"], p["end_offset"]), (0, end),
               "error and end offset of %d" % i)
            if self.version >= 1:
                eq(p["leader_epoch"], epoch, "leader epoch of %d" % i)

    # InitProducerId

    def make_initproducerid(self):
        self.seen = set()
        self.body = {"transactional_id": None,
                     "transaction_timeout_ms": 60000,
                     "producer_id": -1, "producer_epoch": -1}

    # DescribeConfigs

    def make_describeconfigs(self):
        self.topic = new_topic(1, {"retention.ms": "3600000"}, hint="dc")
        self.body = {"resources": [
            {"resource_type": 2, "resource_name": self.topic.name,
             "configuration_keys": None},
            {"resource_type": 2, "resource_name": self.topic.name + "x",
             "configuration_keys": ["retention.ms"]}],
            "include_synonyms": True, "include_documentation": True}

    def check_describeconfigs(self, r):
        v = self.version
        good, bad = r["results"]
        eq((bad["error_code"], bad["configs"]), (UNKNOWN_TOPIC, []),
           "unknown topic")
        eq(good["error_code"], 0, "error (%s)" % good["error_message"])
        eq((good["resource_type"], good["resource_name"]),
           (2, self.topic.name), "resource")
        conf = {x["name"]: x for x in good["configs"]}
        eq(len(conf), len(good["configs"]), "distinct names")
        x, y = conf["retention.ms"], conf["segment.bytes"]
        eq((x["value"], y["value"]), ("3600000", "1073741824"), "values")
        eq((x["read_only"], x["is_sensitive"]), (False, False), "flags")
        if v == 0:
            eq((x["is_default"], y["is_default"]), (False, True), "default")
        else:
            eq((x["config_source"], y["config_source"]), (1, 5), "source")
            eq([(z["name"], z["source"]) for z in y["synonyms"]],
               [("log.segment.bytes", 5)], "synonyms of segment.bytes")
            eq([(z["name"], z["value"], z["source"])
                for z in x["synonyms"]][0], ("retention.ms", "3600000", 1),
               "first synonym of retention.ms")
        if v >= 3:
            eq((x["config_type"], y["config_type"]), (5, 3), "types")
            ok(x["documentation"], "no documentation")

    # AlterConfigs, IncrementalAlterConfigs

    def make_alterconfigs(self):
        self.topic = new_topic(1, {"retention.ms": "3600000",
                                   "flush.ms": "9"}, hint="ac")
        self.body = {"resources": [
            {"resource_type": 2, "resource_name": self.topic.name,
             "configs": [{"name": "retention.ms", "value": "77000"}]}],
            "validate_only": False}

    def make_incrementalalterconfigs(self):
        self.make_alterconfigs()
        self.body["resources"][0]["configs"] = [
            {"name": "retention.ms", "config_operation": 0,
             "value": "77000"},
            {"name": "flush.ms", "config_operation": 1, "value": None}]

    def check_alterconfigs(self, r):
        x, = r["responses"]
        eq((x["error_code"], x["error_message"]), (0, None), "error")
        eq((x["resource_type"], x["resource_name"]), (2, self.topic.name),
           "resource")
        with Conn() as c:
            d = until(lambda: described(c, 2, self.topic.name),
                      lambda d: own(d) == {"retention.ms": "77000"})
        eq(own(d), {"retention.ms": "77000"}, "configs of the topic")

    check_incrementalalterconfigs = check_alterconfigs

    # ListConfigResources

    def make_listconfigresources(self):
        self.topic = new_topic(1, hint="lc")
        self.body = {"resource_types": [2, 4, 16]}

    def check_listconfigresources(self, r):
        eq(r["error_code"], 0, "error")
        got = {(x.get("resource_type", 16), x["resource_name"])
               for x in r["config_resources"]}
        if self.version == 0:
            eq(got, set(), "client metrics")
        else:
            isin((2, self.topic.name), got, "the topic")
            eq({t for t, _ in got}, {2, 4}, "types")

    def check_initproducerid(self, r):
        eq(r["error_code"], 0, "error")
        ok(r["producer_id"] >= 0, "producer id %d" % r["producer_id"])
        eq(r["producer_epoch"], 0, "epoch")
        ok(r["producer_id"] not in self.seen, "producer id given twice")
        self.seen.add(r["producer_id"])


def described(c, kind, name, version=4, keys=None, synonyms=True):
    """DescribeConfigs of one resource: its row, configs by name."""
    r = c.call("DescribeConfigs", ver("DescribeConfigs", version), {
        "resources": [{"resource_type": kind, "resource_name": name,
                       "configuration_keys": keys}],
        "include_synonyms": synonyms, "include_documentation": True})
    x, = r["results"]
    x["by"] = {y["name"]: y for y in x["configs"]}
    return x


def own(d, source=1):
    """What was set of a resource itself."""
    return {n: y["value"] for n, y in d["by"].items()
            if y["config_source"] == source}


def check_brokers(r, v):
    ok(r["brokers"], "no brokers")
    ids = [b["node_id"] for b in r["brokers"]]
    eq(len(set(ids)), len(ids), "distinct broker ids")
    for b in r["brokers"]:
        ok(b["node_id"] >= 0, "broker id %d" % b["node_id"])
        ok(b["host"] and b["host"] != "0.0.0.0", "host %r" % b["host"])
        ok(0 < b["port"] < 65536, "port %d" % b["port"])
        if v >= 1:
            eq(b["rack"], None, "rack")
    isin((E.host, E.port),
         [(b["host"], b["port"]) for b in r["brokers"]] +
         [(E.host, b["port"]) for b in r["brokers"]
          if b["host"] == "localhost"], "advertised address")
    if v >= 1:
        isin(r["controller_id"], ids, "controller id")
    if v >= 2:
        ok(r["cluster_id"], "cluster id %r" % r["cluster_id"])
    if 8 <= v <= 10:
        eq(r["cluster_authorized_operations"], OPS_NONE,
           "cluster operations")


def check_topic(r, t, topic, v):
    ids = [b["node_id"] for b in r["brokers"]]
    eq(t["name"], topic.name, "name")
    eq(t["error_code"], 0, "error")
    if v >= 1:
        eq(t["is_internal"], False, "internal")
    if v >= 8:
        eq(t["topic_authorized_operations"], OPS_NONE, "operations")
    if v >= 10:
        eq(t["topic_id"], topic.id, "topic id")
    eq(sorted(p["partition_index"] for p in t["partitions"]),
       list(range(topic.parts)), "partitions")
    for p in t["partitions"]:
        eq(p["error_code"], 0, "partition's error")
        isin(p["leader_id"], ids, "leader")
        eq(p["replica_nodes"], [p["leader_id"]], "replicas")
        eq(p["isr_nodes"], [p["leader_id"]], "in-sync replicas")
        if v >= 5:
            eq(p["offline_replicas"], [], "offline replicas")
        if v >= 7:
            ok(p["leader_epoch"] >= 0, "epoch %d" % p["leader_epoch"])


def wait_topic(c, name, tid, parts):
    """Metadata comes to show the topic (or that it is gone)."""
    import time
    end = time.monotonic() + kafka.WAIT
    while True:
        t, = metadata(c, [name], 12)["topics"]
        if parts == 0:
            done = t["error_code"] == UNKNOWN_TOPIC
        else:
            done = t["error_code"] == 0
        if done or not kafka.KAFKA or time.monotonic() > end:
            break
        time.sleep(0.05)
    if parts == 0:
        eq(t["error_code"], UNKNOWN_TOPIC, "error of a deleted topic")
        return
    eq(t["error_code"], 0, "error of a new topic")
    eq(len(t["partitions"]), parts, "partitions")
    if tid:
        eq(t["topic_id"], tid, "topic id")
