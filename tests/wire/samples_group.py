# SPDX-License-Identifier: Apache-2.0
"""Samples of the requests of groups and their administrators."""
import member
from kafka import (OPS_NONE, UNKNOWN_TOPIC, Conn, eq, fresh_name, new_topic,
                   ok)

SCOPE = [("OffsetCommit", 0, 10), ("OffsetFetch", 0, 10),
         ("FindCoordinator", 0, 6), ("JoinGroup", 0, 9), ("Heartbeat", 0, 4),
         ("LeaveGroup", 0, 5), ("SyncGroup", 0, 5), ("DescribeGroups", 0, 6),
         ("ListGroups", 0, 5), ("DeleteGroups", 0, 2), ("OffsetDelete", 0, 0),
         ("ConsumerGroupHeartbeat", 0, 1), ("ConsumerGroupDescribe", 0, 1)]
# Those whose request works only once.
ONCE = ("LeaveGroup", "DeleteGroups")


class GroupSamples:
    def settled(self):
        """A stable group of two, by now without their connections."""
        a, b = member.pair()
        with a, b:
            self.leader, self.member = a, b
            self.group = a.group

    def make_findcoordinator(self):
        self.keys = [fresh_name("k"), fresh_name("k")]
        self.body = {"key": self.keys[0], "key_type": 0,
                     "coordinator_keys": self.keys}

    def check_findcoordinator(self, r):
        rows = [r] if self.version < 4 else r["coordinators"]
        if self.version >= 4:
            eq([x["key"] for x in rows], self.keys, "keys")
        for x in rows:
            eq(x["error_code"], 0, "error")
            ok(x["node_id"] >= 0 and x["host"] and x["port"], "node")

    def make_joingroup(self):
        """Who joins again unchanged, and does not lead, is answered."""
        self.settled()
        m = self.member
        self.body = {"group_id": self.group, "member_id": m.id,
                     "session_timeout_ms": member.LONG,
                     "rebalance_timeout_ms": member.REBALANCE_MS,
                     "group_instance_id": None, "protocol_type": "consumer",
                     "protocols": [{"name": n, "metadata": b}
                                   for n, b in m.protocols],
                     "reason": "because"}

    def check_joingroup(self, r):
        eq(r["error_code"], 0, "error")
        eq((r["generation_id"], r["protocol_name"], r["leader"],
            r["member_id"], r["members"]),
           (2, "range", self.leader.id, self.member.id, []), "answer")
        if self.version >= 7:
            eq(r["protocol_type"], "consumer", "type")
        if self.version >= 9:
            eq(r["skip_assignment"], False, "skip")

    def make_consumergroupheartbeat(self):
        """A member that joins once more is answered in full each time."""
        self.topic = new_topic(2)
        self.body = {"group_id": fresh_name("g"), "member_id": "m",
                     "member_epoch": 0, "instance_id": None, "rack_id": "r",
                     "rebalance_timeout_ms": 60000,
                     "subscribed_topic_names": [self.topic.name],
                     "subscribed_topic_regex": None,
                     "server_assignor": "uniform", "topic_partitions": []}

    def check_consumergroupheartbeat(self, r):
        eq((r["error_code"], r["error_message"], r["member_id"],
            r["member_epoch"]), (0, None, "m", 1), "answer")
        ok(r["heartbeat_interval_ms"] > 0, "heartbeat interval")
        ts = r["assignment"]["topic_partitions"]
        eq([(t["topic_id"], sorted(t["partitions"])) for t in ts],
           [(self.topic.id, [0, 1])], "assignment")

    def make_consumergroupdescribe(self):
        self.make_consumergroupheartbeat()
        self.group = self.body["group_id"]
        with Conn() as c:
            r = c.call("ConsumerGroupHeartbeat", 1, self.body)
            eq(r["error_code"], 0, "join")
        self.body = {"group_ids": [self.group],
                     "include_authorized_operations": False}

    def check_consumergroupdescribe(self, r):
        eq([(g["error_code"], g["group_id"], g["group_state"],
             g["assignor_name"], g["authorized_operations"])
            for g in r["groups"]],
           [(0, self.group, "Stable", "uniform", OPS_NONE)], "group")
        m, = r["groups"][0]["members"]
        eq((m["member_id"], m["rack_id"], m["member_epoch"]), ("m", "r", 1),
           "member")
        if self.version >= 1:
            eq(m["member_type"], 1, "type")

    def make_syncgroup(self):
        self.settled()
        self.body = {"group_id": self.group, "generation_id": 2,
                     "member_id": self.member.id, "group_instance_id": None,
                     "protocol_type": "consumer", "protocol_name": "range",
                     "assignments": []}

    def check_syncgroup(self, r):
        eq(r["error_code"], 0, "error")
        eq(r["assignment"], self.member.id.encode(), "assignment")
        if self.version >= 5:
            eq((r["protocol_type"], r["protocol_name"]),
               ("consumer", "range"), "protocol")

    def make_heartbeat(self):
        self.settled()
        self.body = {"group_id": self.group, "generation_id": 2,
                     "member_id": self.member.id, "group_instance_id": None}

    def check_heartbeat(self, r):
        eq(r["error_code"], 0, "error")

    def make_leavegroup(self):
        m = member.alone()
        with m:
            self.member = m
        self.body = {"group_id": m.group, "member_id": m.id,
                     "members": [{"member_id": m.id,
                                  "group_instance_id": None,
                                  "reason": "because"}]}

    def check_leavegroup(self, r):
        eq(r["error_code"], 0, "error")
        if self.version >= 3:
            eq([(m["member_id"], m["group_instance_id"], m["error_code"])
                for m in r["members"]], [(self.member.id, None, 0)],
               "members")

    def committed(self):
        self.topic = new_topic(2, hint="oc")
        self.group = fresh_name("g")
        with Conn() as c:
            eq(member.commit(c, self.group, [(self.topic, 0, 5)],
                             metadata="hint"), [0], "commit")

    def make_offsetcommit(self):
        self.committed()
        t = self.topic
        self.body = {
            "group_id": self.group, "generation_id_or_member_epoch": -1,
            "member_id": "", "group_instance_id": None,
            "retention_time_ms": -1,
            "topics": [{"name": t.name, "topic_id": t.id, "partitions": [
                {"partition_index": i, "committed_offset": 7,
                 "committed_leader_epoch": -1, "commit_timestamp": -1,
                 "committed_metadata": "text"} for i in range(2)]}]}

    def check_offsetcommit(self, r):
        t, = r["topics"]
        if self.version >= 10:
            eq(t["topic_id"], self.topic.id, "topic id")
        else:
            eq(t["name"], self.topic.name, "topic")
        eq([(p["partition_index"], p["error_code"])
            for p in t["partitions"]], [(0, 0), (1, 0)], "partitions")

    def make_offsetfetch(self):
        self.committed()
        ts = [{"name": self.topic.name, "topic_id": self.topic.id,
               "partition_indexes": [0, 1]}]
        self.body = {"group_id": self.group, "topics": ts,
                     "require_stable": False,
                     "groups": [{"group_id": self.group, "member_id": None,
                                 "member_epoch": -1, "topics": ts}]}

    def check_offsetfetch(self, r):
        if self.version >= 8:
            r, = r["groups"]
            eq(r["group_id"], self.group, "group")
        eq(r.get("error_code", 0), 0, "error")
        t, = r["topics"]
        if self.version >= 10:
            eq(t["topic_id"], self.topic.id, "topic id")
        else:
            eq(t["name"], self.topic.name, "topic")
        eq([(p["partition_index"], p["error_code"], p["committed_offset"],
             p["metadata"]) for p in t["partitions"]],
           [(0, 0, 5, "hint"), (1, 0, -1, "")], "partitions")

    def make_describegroups(self):
        self.settled()
        self.none = fresh_name("none")
        self.body = {"groups": [self.group, self.none],
                     "include_authorized_operations": False}

    def check_describegroups(self, r):
        eq([g["group_id"] for g in r["groups"]], [self.group, self.none],
           "groups")
        g, none = r["groups"]
        eq((g["error_code"], g["group_state"], g["protocol_type"],
            g["protocol_data"]), (0, "Stable", "consumer", "range"), "group")
        want = [(m.id, b"meta", m.id.encode(), "wire")
                for m in (self.leader, self.member)]
        eq(sorted((m["member_id"], m["member_metadata"],
                   m["member_assignment"], m["client_id"])
                  for m in g["members"]), sorted(want), "members")
        for m in g["members"]:
            ok(m["client_host"].startswith("/"), "host %(client_host)s" % m)
            eq(m.get("group_instance_id"), None, "instance")
        eq((none["error_code"], none["group_state"], none["members"]),
           (69 if self.version >= 6 else 0, "Dead", []), "no group")
        if self.version >= 3:
            eq(g["authorized_operations"], OPS_NONE, "operations")
        if self.version >= 6:
            eq(g["error_message"], None, "message")
            ok(none["error_message"], "no message")

    def make_listgroups(self):
        self.settled()
        self.body = {"states_filter": ["Stable"], "types_filter": []}

    def check_listgroups(self, r):
        eq(r["error_code"], 0, "error")
        g, = [g for g in r["groups"] if g["group_id"] == self.group]
        eq(g["protocol_type"], "consumer", "type")
        if self.version >= 4:
            eq({g["group_state"] for g in r["groups"]}, {"Stable"}, "states")
        if self.version >= 5:
            eq(g["group_type"].lower(), "classic", "group's type")

    def make_deletegroups(self):
        self.committed()
        self.body = {"groups_names": [self.group]}

    def check_deletegroups(self, r):
        eq([(g["group_id"], g["error_code"]) for g in r["results"]],
           [(self.group, 0)], "results")

    def make_offsetdelete(self):
        self.committed()
        self.body = {"group_id": self.group, "topics": [
            {"name": self.topic.name,
             "partitions": [{"partition_index": 0},
                            {"partition_index": 7}]}]}

    def check_offsetdelete(self, r):
        eq(r["error_code"], 0, "error")
        t, = r["topics"]
        eq(t["name"], self.topic.name, "topic")
        eq([(p["partition_index"], p["error_code"])
            for p in t["partitions"]], [(0, 0), (7, UNKNOWN_TOPIC)],
           "partitions")
