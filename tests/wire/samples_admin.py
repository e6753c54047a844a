# SPDX-License-Identifier: Apache-2.0
"""Samples (see samples.py) of the apis that look after topics and the node."""
import kafka
import records as R
from kafka import (E, OPS_NONE, UNKNOWN_TOPIC, Conn, eq, isin, metadata,
                   new_pid, new_topic, ok, produce_ok)


def node():
    with Conn() as c:
        return metadata(c, [])["brokers"][0]["node_id"]

SCOPE = [("DeleteRecords", 0, 2), ("CreatePartitions", 0, 3),
         ("DescribeLogDirs", 0, 5), ("ElectLeaders", 0, 2),
         ("AlterPartitionReassignments", 0, 1),
         ("ListPartitionReassignments", 0, 0), ("DescribeQuorum", 0, 2),
         ("UpdateFeatures", 0, 2), ("DescribeCluster", 0, 2),
         ("DescribeProducers", 0, 0), ("DescribeTopicPartitions", 0, 0)]


class AdminSamples:
    # DeleteRecords: sent again it answers the same.

    def make_deleterecords(self):
        self.topic = new_topic(2, hint="dr")
        with Conn() as c:
            produce_ok(c, self.topic, R.batch(R.recs(5, ts=kafka.TS)), 0)
        self.body = {"timeout_ms": 30000, "topics": [
            {"name": self.topic.name, "partitions": [
                {"partition_index": 0, "offset": 3},
                {"partition_index": 1, "offset": -1},
                {"partition_index": 7, "offset": 0}]}]}

    def check_deleterecords(self, r):
        t, = r["topics"]
        eq(t["name"], self.topic.name, "name")
        eq([(p["partition_index"], p["low_watermark"], p["error_code"])
            for p in sorted(t["partitions"],
                            key=lambda p: p["partition_index"])],
           [(0, 3, 0), (1, 0, 0), (7, -1, UNKNOWN_TOPIC)],
           "partitions")

    # CreatePartitions

    def make_createpartitions(self):
        self.topic = new_topic(1, hint="cp")
        self.body = {"timeout_ms": 30000, "validate_only": False,
                     "topics": [{"name": self.topic.name, "count": 3,
                                 "assignments": None}]}

    def check_createpartitions(self, r):
        t, = r["results"]
        eq(t["name"], self.topic.name, "name")
        eq(t["error_code"], 0, "error (%s)" % t.get("error_message"))
        eq(t["error_message"], None, "error message")
        self.topic.parts = 3
        with Conn() as c:
            m, = kafka.until(
                lambda: metadata(c, [self.topic.name])["topics"],
                lambda t: len(t[0]["partitions"]) == 3)
            ok(len(m["partitions"]) == 3, "Metadata shows %d partitions" %
               len(m["partitions"]))
            if kafka.KAFKA:
                kafka.wait_ready(c, self.topic)
            produce_ok(c, self.topic, R.batch(R.recs(1)), 0, part=2)

    # DescribeLogDirs

    def make_describelogdirs(self):
        self.topic = new_topic(3, hint="ld")
        self.batch = R.batch(R.recs(5))
        with Conn() as c:
            produce_ok(c, self.topic, self.batch, 0, part=2)
        self.body = {"topics": [{"topic": self.topic.name,
                                 "partitions": [2, 0, 2, 9]},
                                {"topic": "no-such-topic",
                                 "partitions": [0]}]}

    def check_describelogdirs(self, r):
        v = self.version
        eq(r.get("error_code", 0), 0, "top-level error")
        d, = r["results"]
        eq(d["error_code"], 0, "error")
        ok(d["log_dir"].startswith("/"), "directory %r" % d["log_dir"])
        t, = d["topics"]
        eq(t["name"], self.topic.name, "topic")
        eq(sorted((p["partition_index"], p["partition_size"],
                   p["offset_lag"], p["is_future_key"])
                  for p in t["partitions"]),
           [(0, 0, 0, False), (2, len(self.batch), 0, False)], "partitions")
        if v >= 4:
            ok(0 < d["usable_bytes"] <= d["total_bytes"], "bytes %r of %r" %
               (d["usable_bytes"], d["total_bytes"]))
        if v >= 5:
            eq(d["is_cordoned"], False, "cordoned")

    # ElectLeaders

    def make_electleaders(self):
        self.topic = new_topic(2, hint="el")
        self.body = {"election_type": 0, "timeout_ms": 30000,
                     "topic_partitions": [{"topic": self.topic.name,
                                           "partitions": [0, 1, 2]}]}

    def check_electleaders(self, r):
        if self.version >= 1:
            eq(r["error_code"], 0, "top-level error")
        t, = r["replica_election_results"]
        eq(t["topic"], self.topic.name, "topic")
        eq([(p["partition_id"], p["error_code"])
            for p in t["partition_result"]],
           [(0, 84), (1, 84), (2, UNKNOWN_TOPIC)], "results")
        for p in t["partition_result"]:
            ok(p["error_message"], "no message")

    # AlterPartitionReassignments, ListPartitionReassignments

    def make_alterpartitionreassignments(self):
        self.topic = new_topic(2, hint="re")
        self.body = {"timeout_ms": 30000,
                     "allow_replication_factor_change": True, "topics": [
                         {"name": self.topic.name, "partitions": [
                             {"partition_index": 0, "replicas": [node()]},
                             {"partition_index": 1, "replicas": None},
                             {"partition_index": 2, "replicas": None}]}]}

    def check_alterpartitionreassignments(self, r):
        eq(r["error_code"], 0, "top-level error")
        eq(r["error_message"], None, "top-level message")
        if self.version >= 1:
            eq(r["allow_replication_factor_change"], True, "allowed")
        t, = r["responses"]
        eq(t["name"], self.topic.name, "topic")
        eq([(p["partition_index"], p["error_code"],
             p["error_message"] is None) for p in t["partitions"]],
           [(0, 0, True), (1, 85, False), (2, UNKNOWN_TOPIC, False)],
           "partitions")

    def make_listpartitionreassignments(self):
        self.topic = new_topic(1, hint="lr")
        self.body = {"timeout_ms": 30000, "topics": [
            {"name": self.topic.name, "partition_indexes": [0]}]}

    def check_listpartitionreassignments(self, r):
        eq((r["error_code"], r["error_message"], r["topics"]), (0, None, []),
           "answer")

    # DescribeQuorum

    def make_describequorum(self):
        self.node = node()
        self.body = {"topics": [{"topic_name": "__cluster_metadata",
                                 "partitions": [{"partition_index": 0}]}]}

    def check_describequorum(self, r):
        v = self.version
        eq(r["error_code"], 0, "top-level error")
        t, = r["topics"]
        eq(t["topic_name"], "__cluster_metadata", "topic")
        p, = t["partitions"]
        eq((p["partition_index"], p["error_code"]), (0, 0), "partition")
        x, = p["current_voters"]
        if not kafka.KAFKA:
            eq(p["leader_id"], self.node, "leader")
            eq(p["observers"], [], "observers")
        ok(p["leader_epoch"] >= 0, "epoch %d" % p["leader_epoch"])
        ok(0 < p["high_watermark"] <= x["log_end_offset"],
           "high watermark %d of %d" % (p["high_watermark"],
                                        x["log_end_offset"]))
        eq(x["replica_id"], p["leader_id"], "voter")
        if v >= 1:
            ok(x["last_caught_up_timestamp"] > 0, "time")
        if v >= 2:
            eq(p["error_message"], None, "message")
            ok(r["nodes"], "no nodes")
            eq(r["nodes"][0]["node_id"], p["leader_id"], "node")
            ln, = r["nodes"][0]["listeners"]
            ok(ln["name"] and ln["host"] and ln["port"] > 0, "listener")

    # UpdateFeatures: to what is finalized already, which changes nothing.

    def make_updatefeatures(self):
        with Conn() as c:
            r = c.call("ApiVersions", kafka.ver("ApiVersions", 3), {
                "client_software_name": "wire-test",
                "client_software_version": "1.0"})
        f, = [x for x in r["finalized_features"]
              if x["name"] == "metadata.version"]
        self.body = {"timeout_ms": 30000, "validate_only": False,
                     "feature_updates": [
                         {"feature": f["name"], "upgrade_type": 1,
                          "allow_downgrade": False,
                          "max_version_level": f["max_version_level"]}]}

    def check_updatefeatures(self, r):
        eq((r["error_code"], r["error_message"]), (0, None), "error")
        if self.version <= 1:
            x, = r["results"]
            eq((x["feature"], x["error_code"], x["error_message"]),
               ("metadata.version", 0, None), "result")

    # DescribeCluster

    def make_describecluster(self):
        self.body = {"include_cluster_authorized_operations": False,
                     "endpoint_type": 1, "include_fenced_brokers": True}

    def check_describecluster(self, r):
        v = self.version
        eq((r["error_code"], r["error_message"]), (0, None), "error")
        if v >= 1:
            eq(r["endpoint_type"], 1, "endpoint type")
        ok(r["cluster_id"], "cluster id %r" % r["cluster_id"])
        isin(r["controller_id"], [b["broker_id"] for b in r["brokers"]],
             "controller")
        isin((E.host, E.port), [(b["host"], b["port"]) for b in r["brokers"]]
             + [(E.host, b["port"]) for b in r["brokers"]
                if b["host"] == "localhost"], "address")
        for b in r["brokers"]:
            eq(b["rack"], None, "rack")
            if v >= 2:
                eq(b["is_fenced"], False, "fenced")
        eq(r["cluster_authorized_operations"], OPS_NONE, "operations")

    # DescribeProducers

    def make_describeproducers(self):
        self.topic = new_topic(2, hint="dp")
        with Conn() as c:
            self.pid, self.epoch = new_pid(c)
            for seq in (0, 3):
                produce_ok(c, self.topic, R.batch(
                    R.recs(3, ts=kafka.TS + seq), pid=self.pid,
                    epoch=self.epoch, seq=seq), seq)
        self.body = {"topics": [{"name": self.topic.name,
                                 "partition_indexes": [0, 1, 2]}]}

    def check_describeproducers(self, r):
        t, = r["topics"]
        eq(t["name"], self.topic.name, "topic")
        p = t["partitions"]
        eq([(x["partition_index"], x["error_code"],
             len(x["active_producers"])) for x in p],
           [(0, 0, 1), (1, 0, 0), (2, UNKNOWN_TOPIC, 0)], "partitions")
        a, = p[0]["active_producers"]
        eq((a["producer_id"], a["producer_epoch"], a["last_sequence"],
            a["last_timestamp"], a["coordinator_epoch"],
            a["current_txn_start_offset"]),
           (self.pid, self.epoch, 5, kafka.TS + 5, -1, -1), "producer")

    # DescribeTopicPartitions

    def make_describetopicpartitions(self):
        self.topic = new_topic(3, hint="tp")
        self.body = {"topics": [{"name": self.topic.name}], "cursor": None,
                     "response_partition_limit": 2000}

    def check_describetopicpartitions(self, r):
        eq(r["next_cursor"], None, "cursor")
        t, = r["topics"]
        eq((t["name"], t["error_code"], t["topic_id"], t["is_internal"]),
           (self.topic.name, 0, self.topic.id, False), "topic")
        ok(t["topic_authorized_operations"] != OPS_NONE, "operations")
        eq([p["partition_index"] for p in t["partitions"]], [0, 1, 2],
           "partitions")
        for p in t["partitions"]:
            eq(p["error_code"], 0, "error")
            ok(p["leader_epoch"] >= 0, "epoch")
            eq(p["replica_nodes"], [p["leader_id"]], "replicas")
            eq(p["isr_nodes"], [p["leader_id"]], "in-sync replicas")
            isin(p["eligible_leader_replicas"], (None, []), "eligible")
            isin(p["last_known_elr"], (None, []), "last known")
            eq(p["offline_replicas"], [], "offline")
