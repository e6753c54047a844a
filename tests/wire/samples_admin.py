# SPDX-License-Identifier: Apache-2.0
"""Samples (see samples.py) of the apis that look after topics and the node."""
import kafka
import records as R
from kafka import Conn, eq, metadata, new_topic, ok, produce_ok

SCOPE = [("DeleteRecords", 0, 2), ("CreatePartitions", 0, 3)]


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
           [(0, 3, 0), (1, 0, 0), (7, -1, kafka.UNKNOWN_TOPIC)],
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
