# SPDX-License-Identifier: Apache-2.0
"""
Consumer groups of KIP-848 (protocol.md 3.9): a client of our own that follows
the protocol, what it is told, and many of them in disorder.
"""
import json
import os
import random
import signal
import struct
import time
import uuid

import kafka
from kafka import (Closed, INVALID_REQUEST, KAFKA, NO_ID, UNSUPPORTED_VERSION,
                   Conn, Fail, Skip, Topic, eq, fresh_name, isin, made, need,
                   new_topic, ok, row, rows, ver)

KAFKA_DIFFERS = {
    "session/*": ("all", "takes 45 s"),
    "limits/*": ("all", "needs options"),
}

ILLEGAL_GENERATION, INCONSISTENT, UNKNOWN_MEMBER, REBALANCE = 22, 23, 25, 27
NO_GROUP, ID_REQUIRED, FULL, FENCED_ID = 69, 79, 81, 82
FENCED, UNRELEASED, NO_ASSIGNOR, STALE, BAD_REGEX = 110, 111, 112, 113, 128
SHORT = os.environ.get("CHRONIK_WIRE_SHORT") == "1"
# The epoch that the first member brings a group to; Kafka's had been 1.
FIRST = 2 if KAFKA == "44" else 1


# ------------------------------------------------------------------ a client

class Holders:
    """Who holds which partition, as the clients see it."""

    def __init__(self):
        self.by = {}

    def take(self, tp, who):
        other = self.by.get(tp)
        if other not in (None, who):
            raise Fail("%r is held by %s and given to %s" % (tp, other, who))
        self.by[tp] = who

    def drop(self, tp, who):
        if self.by.get(tp) == who:
            del self.by[tp]

    def drop_all(self, who):
        for tp in [t for t, m in self.by.items() if m == who]:
            del self.by[tp]


class Client:
    """One consumer, as a client library would behave."""

    def __init__(self, group, names=(), regex=None, version=1, instance=None,
                 assignor=None, rebalance=60000, holders=None, conn=None,
                 mid=None):
        self.c = conn or Conn()
        self.group, self.version, self.instance = group, version, instance
        self.names, self.regex = list(names), regex
        self.assignor, self.rebalance = assignor, rebalance
        self.holders = holders or Holders()
        self.id = mid if mid is not None else (
            str(uuid.uuid4()) if version >= 1 else "")
        self.epoch, self.full = 0, True
        self.have, self.given = set(), None
        self.changed = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.c.close()

    def body(self, **kw):
        full = self.full or self.epoch == 0
        b = {"group_id": self.group, "member_id": self.id,
             "member_epoch": self.epoch, "instance_id": self.instance,
             "rack_id": None, "rebalance_timeout_ms": -1,
             "subscribed_topic_names": None, "subscribed_topic_regex": None,
             "server_assignor": None, "topic_partitions": None}
        if full:
            b["rebalance_timeout_ms"] = self.rebalance
            b["server_assignor"] = self.assignor
            if self.regex is None or self.names:
                b["subscribed_topic_names"] = self.names
            b["subscribed_topic_regex"] = self.regex
        if full or self.changed:
            by = {}
            for t, p in sorted(self.have):
                by.setdefault(t, []).append(p)
            b["topic_partitions"] = [{"topic_id": t, "partitions": p}
                                     for t, p in by.items()]
        b.update(kw)
        if self.version < 1:
            b.pop("subscribed_topic_regex")
        return b

    def raw(self, **kw):
        return self.c.call("ConsumerGroupHeartbeat", self.version,
                           self.body(**kw))

    def reconcile(self):
        """What is no longer given is let go, what is new is taken."""
        if self.given is None or self.given == self.have:
            return
        for tp in self.have - self.given:
            self.holders.drop(tp, self.id)
        for tp in self.given - self.have:
            self.holders.take(tp, self.id)
        self.have = set(self.given)
        self.changed = True

    def fenced(self):
        self.holders.drop_all(self.id)
        self.have, self.given, self.epoch = set(), None, 0
        self.full, self.changed = True, False

    def beat(self, lose=False, **kw):
        """One heartbeat; the error code.  lose: the answer does not come."""
        try:
            r = self.raw(**kw)
        except (Closed, OSError):
            self.full = True
            raise
        if lose:
            self.full = True
            return None
        if r["error_code"] in (FENCED, UNKNOWN_MEMBER, NO_GROUP):
            self.fenced()
            return r["error_code"]
        if r["error_code"]:
            self.full = True
            return r["error_code"]
        ok(r["heartbeat_interval_ms"] > 0, "no heartbeat interval")
        if self.full or self.epoch == 0:
            ok(r["assignment"] is not None, "a full request has no full "
               "answer")
        self.full = self.changed = False
        self.id, self.epoch = r["member_id"], r["member_epoch"]
        if r["assignment"] is not None:
            self.given = {(t["topic_id"], p)
                          for t in r["assignment"]["topic_partitions"]
                          for p in t["partitions"]}
        return 0

    def step(self, **kw):
        e = self.beat(**kw)
        self.reconcile()
        return e

    def leave(self, epoch=-1):
        self.holders.drop_all(self.id)
        self.have, self.given = set(), None
        r = self.c.call("ConsumerGroupHeartbeat", self.version,
                        self.body(member_epoch=epoch))
        eq(r["member_epoch"], 0 if r["error_code"] else epoch, "epoch")
        self.epoch, self.full = 0, True
        return r["error_code"]

    def commit(self, t, offset, version=9, epoch=None, mid=None):
        r = self.c.call("OffsetCommit", version, {
            "group_id": self.group, "member_id": self.id if mid is None
            else mid, "generation_id_or_member_epoch":
            self.epoch if epoch is None else epoch,
            "topics": [{"name": t.name, "topic_id": t.id, "partitions": [
                {"partition_index": 0, "committed_offset": offset,
                 "committed_leader_epoch": -1, "committed_metadata": ""}]}]})
        return r["topics"][0]["partitions"][0]["error_code"]

    def fetch(self, t, epoch=None, mid=0, version=9):
        r = self.c.call("OffsetFetch", version, {"groups": [{
            "group_id": self.group, "member_id": self.id if mid == 0 else mid,
            "member_epoch": self.epoch if epoch is None else epoch,
            "topics": [{"name": t.name, "topic_id": t.id,
                        "partition_indexes": [0]}]}],
            "require_stable": False})["groups"][0]
        if r["error_code"]:
            return r["error_code"], None
        return 0, r["topics"][0]["partitions"][0]["committed_offset"]


def parts(*topics):
    return {(t.id, p) for t in topics for p in range(t.parts)}


def converge(clients, want, seconds=None):
    """Heartbeats until everything wanted is held, and all is quiet."""
    end = time.monotonic() + (seconds or kafka.WAIT)
    quiet = 0
    while quiet < 2:
        if time.monotonic() > end:
            raise Fail("no convergence: %r of %r" % (
                [(c.epoch, len(c.have)) for c in clients], len(want)))
        before = [(c.epoch, set(c.have)) for c in clients]
        for c in clients:
            c.step()
        held = set().union(*[c.have for c in clients])
        same = [(c.epoch, c.have) for c in clients] == before
        done = (held == want and len({c.epoch for c in clients}) == 1 and
                sum(len(c.have) for c in clients) == len(want))
        quiet = quiet + 1 if same and done else 0


def even(clients):
    n = [len(c.have) for c in clients]
    ok(max(n) - min(n) <= 1, "uneven: %r" % n)


def describe(group, version=1):
    with Conn() as c:
        r = c.call("ConsumerGroupDescribe", version,
                   {"group_ids": [group],
                    "include_authorized_operations": False})
    return r["groups"][0]


# ------------------------------------------------------------------- checks

BAD = [
    ("group", {"group_id": ""}, INVALID_REQUEST, "GroupId can't be empty."),
    ("blank-group", {"group_id": "  "}, INVALID_REQUEST,
     "GroupId can't be empty."),
    ("instance", {"instance_id": ""}, INVALID_REQUEST,
     "InstanceId can't be empty."),
    ("rack", {"rack_id": ""}, INVALID_REQUEST, "RackId can't be empty."),
    ("no-timeout", {"rebalance_timeout_ms": -1}, INVALID_REQUEST,
     "RebalanceTimeoutMs must be provided in first request."),
    ("owned-null", {"topic_partitions": None}, INVALID_REQUEST,
     "TopicPartitions must be empty when (re-)joining."),
    ("owned", {"topic_partitions": [{"topic_id": bytes(range(16)),
                                     "partitions": [0]}]}, INVALID_REQUEST,
     "TopicPartitions must be empty when (re-)joining."),
    ("nothing-wanted", {"subscribed_topic_names": None}, INVALID_REQUEST,
     "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null "
     "when (re-)joining."),
    ("epoch", {"member_epoch": -3}, INVALID_REQUEST,
     "MemberEpoch is invalid."),
    ("static-leave", {"member_epoch": -2}, INVALID_REQUEST,
     "InstanceId can't be null."),
    ("assignor", {"server_assignor": "smooth"}, NO_ASSIGNOR,
     "ServerAssignor smooth is not supported. Supported assignors: uniform, "
     "range."),
    ("no-group", {"member_epoch": 1}, NO_GROUP, None),
    ("leave-no-group", {"member_epoch": -1}, NO_GROUP, None),
]


@rows("bad/%s-v%d", [(b[0], v) for b in BAD for v in (0, 1)])
def bad(name, version):
    _, kw, code, words = next(b for b in BAD if b[0] == name)
    with Client(fresh_name("g"), ["t"], version=version, mid="m") as m:
        r = m.raw(**kw)
    eq(r["error_code"], code, "error")
    ok(r["error_message"], "no message")
    if words and not (KAFKA and name == "assignor"):
        eq(r["error_message"], words, "message")
    eq((r["member_id"], r["member_epoch"], r["assignment"]),
       (None, 0, None), "the rest")


@rows("bad/member-id-v%d-%d", [(v, e) for v in (0, 1) for e in (0, 1, -1)])
def bad_member_id(version, epoch):
    with Client(fresh_name("g"), ["t"], version=version, mid="") as m:
        r = m.raw(member_epoch=epoch)
    if version == 0 and epoch == 0:
        eq(r["error_code"], 0, "error")
        ok(r["member_id"], "the server makes no id")
    else:
        eq((r["error_code"], r["error_message"]),
           (INVALID_REQUEST, "MemberId can't be empty."), "refused")


@rows("bad/regex-%d", list(range(6)))
def bad_regex(n):
    re = ["(a", r"(a)\1", "(?=a)b", "a*+", "[a", "a**"][n]
    g = fresh_name("g")
    with Client(g, regex=re) as m:
        r = m.raw()
        eq(r["error_code"], BAD_REGEX, "error")
        ok(r["error_message"], "no message")
        eq(describe(g)["error_code"], NO_GROUP, "the group was not made")
        m.regex = "t-.*"
        eq(m.beat(), 0, "join")
        r = m.raw(subscribed_topic_regex=re)
        eq(r["error_code"], BAD_REGEX, "error of a member")
        eq(m.beat(), 0, "heartbeat")


@row("bad/unknown-member")
def unknown_member():
    t = new_topic()
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        for kw in ({"member_epoch": 1}, {"member_epoch": -1}):
            r = m.raw(member_id="nobody", **kw)
            eq(r["error_code"], UNKNOWN_MEMBER, "error")
        r = m.raw(member_id="nobody", instance_id="none", member_epoch=-2)
        eq(r["error_code"], UNKNOWN_MEMBER, "error of an instance")
        eq(m.step(), 0, "heartbeat")


@row("bad/classic-group")
def classic_group():
    with Classic(fresh_name("g"), ["x"], ptype="connect") as k:
        k.join()
        with Client(k.group, ["x"]) as m:
            r = m.raw()
            eq(r["error_code"], NO_GROUP, "error")
        eq(describe(k.group)["error_code"], NO_GROUP, "described")


# ------------------------------------------------------------------- epochs

@rows("join/alone-v%d", [0, 1])
def alone(version):
    t = new_topic(3)
    with Client(fresh_name("g"), [t.name], version=version) as m:
        eq(m.step(), 0, "join")
        eq(m.have, parts(t), "all of the topic")
        eq(m.epoch, FIRST, "epoch")
        eq(m.step(), 0, "acknowledged")
        eq(m.step(), 0, "heartbeat")
        eq(m.raw()["assignment"], None, "nothing new")
        eq(m.leave(), 0, "leave")
        eq(m.c.call("ConsumerGroupDescribe", 0, {
            "group_ids": [m.group], "include_authorized_operations": False})
           ["groups"][0]["group_state"], "Empty", "state")


@row("join/revoke-before-grant")
def revoke_first():
    t = new_topic(4)
    h = Holders()
    g = fresh_name("g")
    with Client(g, [t.name], holders=h) as a, \
            Client(g, [t.name], holders=h) as b:
        eq(a.step(), 0, "join")
        eq(a.step(), 0, "acknowledged")
        eq(b.step(), 0, "second join")
        eq((b.epoch, b.have), (FIRST + 1, set()), "b waits")
        eq(describe(g)["group_state"], "Reconciling", "state")
        eq(a.beat(), 0, "a is told")
        eq((a.epoch, len(a.given)), (FIRST, 2),
           "a gives back in its epoch")
        for _ in range(2):
            eq(b.step(), 0, "heartbeat")
            eq(b.have, set(), "b has to wait for a")
        eq(a.beat(topic_partitions=[{"topic_id": t.id,
                                     "partitions": list(range(4))}]), 0,
           "a has not let go")
        eq(a.epoch, FIRST, "epoch")
        eq(b.step(), 0, "heartbeat")
        eq(b.have, set(), "b still waits")
        a.reconcile()
        eq(a.step(), 0, "a has let go")
        eq(a.epoch, FIRST + 1, "epoch")
        eq(b.step(), 0, "heartbeat")
        eq(len(b.have), 2, "b is given what a gave back")
        converge([a, b], parts(t))
        eq(describe(g)["group_state"], "Stable", "state")


@row("join/many")
def many():
    ts = [new_topic(n) for n in (1, 5, 12)]
    h = Holders()
    g = fresh_name("g")
    cs = [Client(g, [t.name for t in ts], holders=h) for _ in range(7)]
    converge(cs, parts(*ts))
    even(cs)
    for c in cs[:3]:
        eq(c.leave(), 0, "leave")
    converge(cs[3:], parts(*ts))
    even(cs[3:])
    for c in cs:
        c.c.close()


@row("join/again")
def again():
    """A member that joins with epoch 0 has forgotten everything."""
    t = new_topic(2)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        eq(m.step(), 0, "heartbeat")
        m.fenced()
        eq(m.step(), 0, "join again")
        eq((m.epoch, m.have), (FIRST, parts(t)), "as before")


@row("epoch/fenced")
def fenced():
    t = new_topic(2)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        r = m.raw(member_epoch=m.epoch + 1)
        eq(r["error_code"], FENCED, "ahead")
        ok("greater" in r["error_message"], r["error_message"])
        m.names = []
        for _ in range(2):
            m.full = True
            eq(m.step(), 0, "new subscription")
        eq(m.step(), 0, "heartbeat")
        r = m.raw(member_epoch=m.epoch - 1, topic_partitions=[
            {"topic_id": t.id, "partitions": [0]}])
        eq(r["error_code"], FENCED, "behind, with what it has not")
        eq(m.step(), 0, "still a member")


@row("epoch/lost-answer")
def lost():
    t, u = new_topic(2), new_topic(2)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        eq(m.step(), 0, "acknowledged")
        m.names = [t.name, u.name]
        m.full = True
        m.beat(lose=True)       # another epoch
        eq(m.epoch, FIRST, "epoch")
        r = m.raw(topic_partitions=None)
        eq(r["error_code"], FENCED, "without its partitions")
        eq(m.step(), 0, "again")
        eq((m.epoch, m.have), (FIRST + 1, parts(t, u)), "what was lost")


@row("epoch/full-request")
def full_request():
    t = new_topic(2)
    with Client(fresh_name("g"), [t.name]) as m:
        for _ in range(3):
            m.full = True
            eq(m.step(), 0, "heartbeat")    # checks the assignment
        eq(m.epoch, FIRST, "the same is no change")


# --------------------------------------------------------------- static ones

@row("static/replace")
def static():
    t = new_topic(4)
    h = Holders()
    g = fresh_name("g")
    with Client(g, [t.name], instance="i", holders=h) as a, \
            Client(g, [t.name], holders=h) as o, \
            Client(g, [t.name], instance="i", holders=h) as b:
        converge([a, o], parts(t))
        epoch, had = a.epoch, set(a.have)
        r = b.raw()
        eq(r["error_code"], UNRELEASED, "it is still there")
        eq(a.leave(-2), 0, "leaves for a while")
        for _ in range(3):
            eq(o.step(), 0, "heartbeat")
        eq((o.epoch, len(o.have)), (epoch, 2), "no rebalance")
        eq(b.step(), 0, "comes back")
        eq((b.epoch, b.have), (epoch, had), "what it had")
        a.epoch = epoch
        r = a.raw(member_epoch=epoch)
        eq(r["error_code"], FENCED_ID, "the old one")
        r = a.raw(member_epoch=-1)
        eq(r["error_code"], FENCED_ID, "the old one cannot leave")
        eq(b.leave(-1), 0, "leave")
        converge([o], parts(t))


@row("static/describe")
def static_describe():
    t = new_topic(1)
    with Client(fresh_name("g"), [t.name], instance="i") as m:
        eq(m.step(rack_id="r1"), 0, "join")
        d = describe(m.group)["members"][0]
        eq((d["instance_id"], d["rack_id"], d["member_id"], d["client_id"]),
           ("i", "r1", m.id, "wire"), "member")
        eq(m.leave(-2), 0, "leave for a while")
        eq(describe(m.group)["members"][0]["member_epoch"], -2, "epoch")


# ----------------------------------------------------------- what is wanted

@row("topics/later")
def topics_later():
    """A topic that is wanted before it is there; then it goes."""
    t = new_topic(1)
    name = fresh_name("t")
    with Client(fresh_name("g"), [t.name, name]) as m, Conn() as c:
        converge([m], parts(t))
        r = kafka.create(c, name, 3)
        u = Topic(name, r["topic_id"], 3)
        converge([m], parts(t, u))
        c.call("DeleteTopics", 6, {"topics": [
            {"name": name, "topic_id": NO_ID}], "timeout_ms": 30000})
        converge([m], parts(t))
        r = kafka.create(c, name, 2)
        converge([m], parts(t, Topic(name, r["topic_id"], 2)))


@row("topics/more-partitions")
def more_partitions():
    need("CreatePartitions", 3)
    t = new_topic(2)
    h = Holders()
    g = fresh_name("g")
    with Client(g, [t.name], holders=h) as a, \
            Client(g, [t.name], holders=h) as b:
        converge([a, b], parts(t))
        r = a.c.call("CreatePartitions", 3, {
            "topics": [{"name": t.name, "count": 5, "assignments": None}],
            "timeout_ms": 30000, "validate_only": False})
        eq(r["results"][0]["error_code"], 0, "CreatePartitions")
        t.parts = 5
        converge([a, b], parts(t))
        even([a, b])


@row("topics/change-of-mind")
def change_of_mind():
    t, u = new_topic(2), new_topic(3)
    h = Holders()
    g = fresh_name("g")
    with Client(g, [t.name], holders=h) as a, \
            Client(g, [u.name], holders=h) as b:
        converge([a, b], parts(t, u))
        eq((a.have, b.have), (parts(t), parts(u)), "each its own")
        a.names, a.full = [u.name], True
        b.names, b.full = [t.name, t.name], True
        converge([a, b], parts(t, u))
        eq((a.have, b.have), (parts(u), parts(t)), "the other way round")
        eq([x["subscribed_topic_names"] for x in describe(g)["members"]
            if x["member_id"] == b.id], [[t.name]], "once")
        a.names, a.full = [], True
        converge([a, b], parts(t))


@row("topics/regex")
def regex():
    stem = fresh_name("re")
    with Client(fresh_name("g"), regex="%s-[0-9]+" % stem) as m, \
            Conn() as c:
        eq(m.step(), 0, "join")
        ts = []
        for n, parts_n in (("1", 2), ("x", 1), ("22", 1), ("3-", 1)):
            r = kafka.create(c, "%s-%s" % (stem, n), parts_n)
            if n.isdigit():
                ts.append(Topic(n, r["topic_id"], parts_n))
            converge([m], parts(*ts), 60)
        d = describe(m.group)["members"][0]
        eq((d["subscribed_topic_regex"], d["subscribed_topic_names"]),
           ("%s-[0-9]+" % stem, []), "described")
        c.call("DeleteTopics", 6, {"topics": [
            {"name": stem + "-22", "topic_id": NO_ID}], "timeout_ms": 30000})
        converge([m], parts(ts[0]), 60)
        # Both kinds at once, then none.
        t = new_topic(1)
        m.names, m.full = [t.name], True
        converge([m], parts(ts[0], t))
        m.regex, m.full = "", True
        converge([m], parts(t))


@row("topics/range")
def assignor_range():
    a, b = new_topic(4), new_topic(4)
    g = fresh_name("g")
    cs = [Client(g, [a.name, b.name], assignor="range",
                 instance="i%d" % n) for n in range(2)]
    converge(cs, parts(a, b))
    eq([c.have for c in cs],
       [{(t.id, p) for t in (a, b) for p in ps}
        for ps in ((0, 1), (2, 3))], "by range")
    eq(describe(g)["assignor_name"], "range", "assignor")
    for c in cs:
        c.c.close()


# ------------------------------------------------------------------- timers

@row("session/over")
def session():
    if not SHORT:
        raise Skip("sessions are long")
    t = new_topic(2)
    h = Holders()
    g = fresh_name("g")
    with Client(g, [t.name], holders=h) as a, \
            Client(g, [t.name], holders=h) as b:
        converge([a, b], parts(t))
        h.drop_all(b.id)
        converge([a], parts(t))
        eq(b.step(), UNKNOWN_MEMBER, "b is out")
        converge([a, b], parts(t))


@row("session/no-revocation")
def no_revocation():
    if not SHORT:
        raise Skip("sessions are long")
    t = new_topic(2)
    h = Holders()
    g = fresh_name("g")
    with Client(g, [t.name], holders=h, rebalance=300) as a, \
            Client(g, [t.name], holders=h) as b:
        eq(a.step(), 0, "join")
        eq(a.step(), 0, "acknowledged")
        end = time.monotonic() + kafka.WAIT
        while a.beat() == 0:
            eq(b.beat(), 0, "heartbeat")
            ok(time.monotonic() < end, "a is not fenced")
            time.sleep(0.02)
        converge([b], parts(t))


# ------------------------------------------------------------------ offsets

@row("offsets/older-epoch")
def offsets_older():
    """A commit that was on its way holds for what the member has had since
    (KIP-1251)."""
    if KAFKA == "39":
        raise Skip("younger than that")
    t, u = new_topic(2), new_topic(1)
    h = Holders()
    g = fresh_name("g")
    with Client(g, [t.name], holders=h) as m, \
            Client(g, [t.name], holders=h) as o:
        converge([m], parts(t))
        first = m.epoch
        m.names, m.full = [t.name, u.name], True
        converge([m], parts(t, u))
        ok(m.epoch > first, "another epoch")
        eq(m.commit(t, 1, epoch=first), 0, "what it has had")
        eq(m.commit(u, 2, epoch=first), STALE, "what it had not")
        eq(m.commit(u, 2), 0, "now it has")
        eq(m.commit(t, 9, epoch=first - 1), STALE, "before it had any")
        eq(m.commit(t, 9, epoch=-2), STALE, "no epoch")
        r = m.c.call("OffsetCommit", 9, {
            "group_id": g, "member_id": m.id,
            "generation_id_or_member_epoch": first, "topics": [
                {"name": x.name, "topic_id": x.id, "partitions": [
                    {"partition_index": 0, "committed_offset": 9,
                     "committed_leader_epoch": -1,
                     "committed_metadata": ""}]} for x in (t, u)]})
        eq([x["partitions"][0]["error_code"] for x in r["topics"]],
           [STALE] * 2, "both in one request")
        eq((m.fetch(t), m.fetch(u)), ((0, 1), (0, 2)), "offsets")
        # One partition of the first topic is given away.
        converge([m, o], parts(t, u))
        lost = m if (t.id, 0) not in m.have else o
        has = o if lost is m else m
        eq(lost.commit(t, 9, epoch=lost.epoch - 1), STALE, "given away")
        eq(has.commit(t, 3), 0, "whoever has it")
        eq(m.fetch(u, epoch=first)[0], STALE, "fetch")


@row("offsets/epochs")
def offsets():
    t = new_topic(1)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        eq(m.commit(t, 5), 0, "commit")
        eq(m.fetch(t), (0, 5), "fetch")
        eq(m.fetch(t, -1, None), (0, 5), "without a member")
        eq(m.commit(t, 6, epoch=m.epoch + 1), STALE, "commit ahead")
        eq(m.commit(t, 6, epoch=0), STALE, "commit behind")
        eq(m.commit(t, 6, mid="nobody"), UNKNOWN_MEMBER, "of nobody")
        eq(m.commit(t, 6, epoch=-1, mid=""), UNKNOWN_MEMBER, "of no member")
        eq(m.commit(t, 6, version=8), UNSUPPORTED_VERSION, "old version")
        eq(m.fetch(t, epoch=m.epoch + 1)[0], STALE, "fetch ahead")
        eq(m.fetch(t, mid="nobody")[0], UNKNOWN_MEMBER, "fetch of nobody")
        eq(m.fetch(t), (0, 5), "nothing changed")
        eq(m.leave(), 0, "leave")
        eq(m.commit(t, 7, epoch=-1, mid=""), 0, "commit to an empty group")
        eq(m.fetch(t, -1, None), (0, 7), "fetch")


@row("offsets/topic-subscribed")
def offset_delete():
    need("OffsetDelete", 0)
    t, u = new_topic(1), new_topic(1)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        eq((m.commit(t, 5), m.commit(u, 5)), (0, 0), "commits")
        r = m.c.call("OffsetDelete", 0, {
            "group_id": m.group, "topics": [
                {"name": x.name, "partitions": [{"partition_index": 0}]}
                for x in (t, u)]})
        eq([x["partitions"][0]["error_code"] for x in r["topics"]], [86, 0],
           "errors")


# --------------------------------------------------------------- tools' view

@rows("describe/v%d", [0, 1])
def describe_row(version):
    t = new_topic(3)
    with Client(fresh_name("g"), [t.name]) as m:
        converge([m], parts(t))
        d = describe(m.group, version)
        eq((d["error_code"], d["group_id"], d["group_state"],
            d["group_epoch"], d["assignment_epoch"], d["assignor_name"]),
           (0, m.group, "Stable", FIRST, FIRST, "uniform"), "group")
        eq(len(d["members"]), 1, "members")
        x = d["members"][0]
        eq((x["member_id"], x["member_epoch"], x["instance_id"],
            x["rack_id"], x["client_id"], x["subscribed_topic_names"],
            x["subscribed_topic_regex"] or None),
           (m.id, FIRST, None, None, "wire", [t.name], None), "member")
        ok(x["client_host"].startswith("/"), x["client_host"])
        want = [{"topic_id": t.id, "topic_name": t.name,
                 "partitions": [0, 1, 2]}]
        for which in ("assignment", "target_assignment"):
            got = x[which]["topic_partitions"]
            for g in got:
                g["partitions"].sort()
                g.pop("_tags", None)
            eq(got, want, which)
        if version >= 1:
            eq(x["member_type"], 1, "type")
        m.c.call("ConsumerGroupDescribe", version, {
            "group_ids": [], "include_authorized_operations": True})


@row("describe/errors")
def describe_errors():
    for g, code in (("", 24), (fresh_name("none"), NO_GROUP)):
        d = describe(g)
        eq((d["error_code"], d["members"]), (code, []), "group %r" % g)


@row("tools/classic-describe")
def classic_describe():
    need("DescribeGroups", 5)
    t = new_topic(1)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        r = m.c.call("DescribeGroups", 5, {
            "groups": [m.group], "include_authorized_operations": False})
        g = r["groups"][0]
        eq((g["error_code"], g["group_state"], g["members"]),
           (0, "Dead", []), "as of old")
        if ver("DescribeGroups", 6) >= 6:
            r = m.c.call("DescribeGroups", 6, {
                "groups": [m.group], "include_authorized_operations": False})
            eq(r["groups"][0]["error_code"], NO_GROUP, "version 6")


@row("tools/list")
def list_groups():
    need("ListGroups", 5)
    t = new_topic(1)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")

        def find(**kw):
            b = {"states_filter": [], "types_filter": []}
            b.update(kw)
            r = m.c.call("ListGroups", 5, b)
            eq(r["error_code"], 0, "error")
            return [(g["protocol_type"], g["group_state"], g["group_type"])
                    for g in r["groups"] if g["group_id"] == m.group]

        want = [("consumer", "Stable", "consumer")]
        eq(find(), want, "all")
        eq(find(types_filter=["Consumer"]), want, "by type")
        eq(find(types_filter=["classic"]), [], "by another type")
        eq(find(states_filter=["stable"]), want, "by state")
        eq(find(states_filter=["Empty"]), [], "by another state")


@row("tools/delete")
def delete_group():
    need("DeleteGroups", 2)
    t = new_topic(1)
    with Client(fresh_name("g"), [t.name]) as m:
        def delete():
            r = m.c.call("DeleteGroups", 2, {"groups_names": [m.group]})
            return r["results"][0]["error_code"]

        eq(m.step(), 0, "join")
        eq(m.commit(t, 5), 0, "commit")
        eq(delete(), 68, "not empty")
        eq(m.leave(), 0, "leave")
        eq(delete(), 0, "deleted")
        eq(describe(m.group)["error_code"], NO_GROUP, "gone")
        eq(delete(), NO_GROUP, "once")
        eq(m.step(), 0, "join")
        eq((m.epoch, m.fetch(t)), (FIRST, (0, -1)), "all new")


# ---------------------------------------------------------------- migration

def subscription(topics, owned=(), version=1):
    def s(x):
        return struct.pack(">h", len(x)) + x.encode()
    b = struct.pack(">hi", version, len(topics))
    b += b"".join(s(t) for t in topics) + struct.pack(">i", -1)
    if version >= 1:
        b += struct.pack(">i", len(owned))
        for name, ps in owned:
            b += s(name) + struct.pack(">i%di" % len(ps), len(ps), *ps)
    return b


def assigned(b):
    """[(topic, partition)] of a ConsumerProtocolAssignment."""
    if not b:
        return []
    n, at, out = struct.unpack_from(">i", b, 2)[0], 6, []
    for _ in range(n):
        size = struct.unpack_from(">h", b, at)[0]
        name = b[at + 2:at + 2 + size].decode()
        at += 2 + size
        k = struct.unpack_from(">i", b, at)[0]
        out += [(name, p) for p in struct.unpack_from(">%di" % k, b, at + 4)]
        at += 4 + 4 * k
    return out


class Classic:
    """A member of the classic protocol, cooperative."""

    def __init__(self, group, topics, instance=None, ptype="consumer"):
        self.c = Conn()
        self.group, self.topics, self.instance = group, topics, instance
        self.ptype = ptype
        self.id, self.gen, self.have = "", -1, []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.c.close()

    def join_send(self):
        by = {}
        for t, p in self.have:
            by.setdefault(t, []).append(p)
        self.c.send("JoinGroup", 9, {
            "group_id": self.group, "member_id": self.id,
            "session_timeout_ms": 60000, "rebalance_timeout_ms": 60000,
            "group_instance_id": self.instance, "protocol_type": self.ptype,
            "protocols": [{"name": "cooperative-sticky",
                           "metadata": subscription(self.topics,
                                                    by.items())}]})

    def join_recv(self):
        r = self.c.recv()
        if r["error_code"] == 0:
            self.gen, self.id = r["generation_id"], r["member_id"]
        return r

    def join(self, code=0):
        self.join_send()
        r = self.join_recv()
        if r["error_code"] == ID_REQUIRED:
            self.id = r["member_id"]
            self.join_send()
            r = self.join_recv()
        eq(r["error_code"], code, "join")
        return r

    def sync(self, assignments=(), code=0):
        r = self.c.call("SyncGroup", 5, {
            "group_id": self.group, "generation_id": self.gen,
            "member_id": self.id, "group_instance_id": self.instance,
            "protocol_type": self.ptype,
            "protocol_name": "cooperative-sticky",
            "assignments": [{"member_id": i, "assignment": a}
                            for i, a in assignments]})
        eq(r["error_code"], code, "sync")
        if code == 0:
            self.have = assigned(r["assignment"])

    def beat(self):
        return self.c.call("Heartbeat", 4, {
            "group_id": self.group, "generation_id": self.gen,
            "member_id": self.id, "group_instance_id": self.instance}
        )["error_code"]

    def step(self):
        """What a client does about a heartbeat's answer."""
        e = self.beat()
        if e == REBALANCE:
            self.join()
            self.sync()
        else:
            eq(e, 0, "heartbeat")

    def leave(self):
        r = self.c.call("LeaveGroup", 5, {
            "group_id": self.group, "members": [
                {"member_id": self.id, "group_instance_id": self.instance,
                 "reason": None}]})
        return r["members"][0]["error_code"]


def assignment(pairs):
    by = {}
    for t, p in pairs:
        by.setdefault(t, []).append(p)
    b = struct.pack(">hi", 1, len(by))
    for t, ps in by.items():
        b += struct.pack(">h", len(t)) + t.encode()
        b += struct.pack(">i%di" % len(ps), len(ps), *ps)
    return b + struct.pack(">i", -1)


def alone_classic(t, instance=None):
    """A classic group of one member that has the whole topic."""
    k = Classic(fresh_name("g"), [t.name], instance)
    k.join()
    k.sync([(k.id, assignment([(t.name, p) for p in range(t.parts)]))])
    eq(len(k.have), t.parts, "all of it")
    return k


def settle(t, natives, classics):
    """All of a topic is held once, and everybody is content."""
    end = time.monotonic() + kafka.WAIT
    want = {(t.name, p) for p in range(t.parts)}
    while True:
        held = []
        before = [m.epoch for m in natives] + [k.gen for k in classics]
        for k in classics:
            k.step()
        for m in natives:
            m.step()
        for k in classics:
            held += k.have
        for m in natives:
            held += [(t.name, p) for _, p in m.have]
        ok(len(held) == len(set(held)), "twice: %r" % held)
        after = [m.epoch for m in natives] + [k.gen for k in classics]
        if set(held) == want and before == after and len(set(after)) == 1:
            return
        ok(time.monotonic() < end, "no convergence: %r" % held)
        time.sleep(0.01)


@row("migrate/upgrade-and-back")
def migrate():
    t = new_topic(4)
    with alone_classic(t) as k, Client(k.group, [t.name]) as m:
        eq(k.beat(), 0, "classic")
        eq(m.step(), 0, "a native member joins")
        eq(m.have, set(), "it waits")
        d = describe(k.group)
        eq({x["member_id"]: x["member_type"] for x in d["members"]},
           {k.id: 0, m.id: 1}, "types")
        eq(k.beat(), REBALANCE, "it has to join again")
        settle(t, [m], [k])
        eq((len(m.have), len(k.have)), (2, 2), "shares")
        # Offsets of both kinds.
        eq(m.commit(t, 3), 0, "commit")
        r = k.c.call("OffsetCommit", 8, {
            "group_id": k.group, "member_id": k.id,
            "generation_id_or_member_epoch": k.gen, "topics": [
                {"name": t.name, "partitions": [
                    {"partition_index": 1, "committed_offset": 4,
                     "committed_leader_epoch": -1,
                     "committed_metadata": ""}]}]})
        eq(r["topics"][0]["partitions"][0]["error_code"], 0, "commit")
        m2 = Client(k.group, [t.name], mid=k.id, version=1, conn=m.c)
        eq(m2.commit(t, 9, version=8, epoch=k.gen + 1), ILLEGAL_GENERATION,
           "another generation")
        eq(m.leave(), 0, "the native one leaves")
        eq(describe(k.group)["error_code"], NO_GROUP, "classic again")
        eq(k.beat(), REBALANCE, "it has to join again")
        r = k.join()
        eq(r["leader"], k.id, "it leads")
        k.sync([(k.id, assignment([(t.name, p) for p in range(4)]))])
        eq(k.beat(), 0, "stable")


@row("migrate/classic-joins")
def classic_joins():
    t = new_topic(4)
    with Client(fresh_name("g"), [t.name]) as m, \
            Classic(m.group, [t.name]) as k, \
            Classic(m.group, [t.name], ptype="connect") as odd:
        eq(m.step(), 0, "join")
        eq(m.step(), 0, "acknowledged")
        odd.join(INCONSISTENT)
        r = k.join()
        eq((r["protocol_name"], r["members"]), ("cooperative-sticky", []),
           "it follows")
        k.sync()
        settle(t, [m], [k])
        eq((len(m.have), len(k.have)), (2, 2), "shares")
        eq(k.leave(), 0, "leave")
        converge([m], parts(t))
        eq(k.beat(), UNKNOWN_MEMBER, "gone")


@row("migrate/rebalancing")
def migrate_rebalancing():
    """A join of a native member ends the wait of classic ones."""
    t = new_topic(2)
    with alone_classic(t) as k, Classic(k.group, [t.name]) as k2, \
            Client(k.group, [t.name]) as m:
        k2.join_send()
        k2.id = k2.join_recv()["member_id"]
        k2.join_send()          # waits for k
        while k.beat() != REBALANCE:
            time.sleep(0.01)
        eq(m.step(), 0, "a native member joins")
        eq(k2.join_recv()["error_code"], REBALANCE, "told to join again")
        k2.join()
        k2.sync()
        settle(t, [m], [k, k2])


@row("migrate/static")
def migrate_static():
    """A static member changes the protocol, there and back."""
    t = new_topic(3)
    with alone_classic(t, "i") as k, \
            Client(k.group, [t.name], instance="i") as m:
        eq(m.step(), 0, "takes its place")
        converge([m], parts(t))
        eq(k.beat(), FENCED_ID, "the classic one is fenced")
        with Classic(k.group, [t.name], "i") as k2:
            k2.join()
            eq(describe(k.group)["error_code"], NO_GROUP, "classic again")
            k2.sync()
            eq(len(k2.have), 3, "it keeps what it had")
            eq(m.raw()["error_code"], NO_GROUP, "the native one is out")


@row("migrate/empty")
def migrate_empty():
    """Empty groups change at once, and keep their offsets."""
    t = new_topic(1)
    with Client(fresh_name("g"), [t.name]) as m:
        eq(m.step(), 0, "join")
        eq(m.commit(t, 7), 0, "commit")
        eq(m.leave(), 0, "leave")
        with Classic(m.group, [t.name]) as k:
            k.join()
            eq(describe(m.group)["error_code"], NO_GROUP, "classic")
            k.sync()
            eq(m.fetch(t, -1, None), (0, 7), "offsets")
            eq(k.leave(), 0, "leave")
        eq(m.step(), 0, "join")
        eq((m.epoch, m.fetch(t)), (FIRST, (0, 7)),
           "a new group with offsets")


# ------------------------------------------------------------------- limits

@row("limits/size")
def limit_size():
    if os.environ.get("CHRONIK_WIRE_LIMITS") != "1":
        raise Skip("without the options")
    t = new_topic(1)
    g = fresh_name("g")
    with Client(g, [t.name]) as a, Client(g, [t.name]) as b, \
            Client(g, [t.name]) as c:
        eq([a.step(), b.step(), c.beat()], [0, 0, FULL], "joins")
        eq([a.step(), b.step()], [0, 0], "heartbeats")
        with Classic(g, [t.name]) as k:
            k.join(FULL)


@row("limits/no-migration")
def limit_migration():
    if os.environ.get("CHRONIK_WIRE_LIMITS") != "1":
        raise Skip("without the options")
    t = new_topic(1)
    with alone_classic(t) as k, Client(k.group, [t.name]) as m:
        eq(m.raw()["error_code"], NO_GROUP, "no upgrade")
        eq(k.beat(), 0, "nothing happened")
    with Client(fresh_name("g"), [t.name]) as m, \
            Classic(m.group, [t.name]) as k:
        eq(m.step(), 0, "join")
        k.join()
        k.sync()
        eq(m.leave(), 0, "leave")
        eq(describe(m.group)["error_code"], 0, "no downgrade")


# -------------------------------------------------------------------- chaos

# Seeds; a build with a sanitizer is slow.
CHAOS = [1] if os.environ.get("CHRONIK_QUICK") else [1, 2]


def engine_pids():
    """The engine's process, by its parent, which the script names."""
    top = os.environ.get("CHRONIK_WIRE_TOP")
    found = []
    for p in os.listdir("/proc") if top else ():
        try:
            with open("/proc/%s/stat" % p) as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
        except (OSError, IndexError):
            continue
        if name.startswith("chronik-engine") and rest.split()[1] == top:
            found.append(int(p))
    return found


class Chaos:
    def __init__(self, seed, kill):
        self.rng = random.Random(seed)
        self.kill = kill
        self.h = Holders()
        self.g = fresh_name("g")
        self.topics = [new_topic(n) for n in (3, 5)]
        self.clients, self.serial = [], 0

    def names(self):
        some = [t.name for t in self.topics if self.rng.random() < 0.8]
        return some or [self.topics[0].name]

    def join(self):
        i = "s%d" % self.serial if self.rng.random() < 0.3 else None
        self.serial += 1
        self.clients.append(Client(self.g, self.names(), instance=i,
                                   holders=self.h,
                                   version=self.rng.randrange(2)
                                   if i is None else 1))

    def redo(self, c, f):
        """Once more on a new connection when the old one is lost."""
        end = time.monotonic() + kafka.WAIT
        while True:
            try:
                r = f()
                if r not in (14, 15, 16):
                    return r
            except (Closed, OSError):
                c.c.close()
                c.c = Conn()
            c.full = True
            ok(time.monotonic() < end, "the broker does not come back")
            time.sleep(0.05)

    def step(self, c):
        e = self.redo(c, c.step)
        isin(e, (0, FENCED, UNKNOWN_MEMBER, UNRELEASED), "heartbeat")
        if e == UNRELEASED:     # its join went through before the crash
            c.fenced()

    def topic(self):
        if len(self.topics) < 5 or self.rng.random() < 0.5:
            self.topics.append(new_topic(self.rng.randrange(1, 5)))
            return
        t = self.topics.pop(self.rng.randrange(1, len(self.topics)))
        with Conn() as c:
            c.call("DeleteTopics", 6, {"topics": [
                {"name": t.name, "topic_id": NO_ID}], "timeout_ms": 30000})

    def one(self):
        r = self.rng.random()
        c = self.rng.choice(self.clients) if self.clients else None
        if c is None or (r < 0.06 and len(self.clients) < 12):
            self.join()
        elif r < 0.10:
            self.redo(c, c.leave)
            c.c.close()
            self.clients.remove(c)
        elif r < 0.13 and c.instance and c.epoch > 0:
            old = self.redo(c, lambda: c.leave(-2))
            if old == 0:
                c.id = str(uuid.uuid4())
        elif r < 0.20:
            self.redo(c, lambda: c.beat(lose=True))
        elif r < 0.24:
            c.names, c.full = self.names(), True
            self.step(c)
        elif r < 0.26 and not self.kill:
            self.topic()
        elif r < 0.40:
            # It is told, and takes its time.
            self.redo(c, c.beat)
        else:
            c.reconcile()
            self.step(c)

    def end(self):
        want = set()
        for c in self.clients:
            c.full = True
            for t in self.topics:
                if t.name in c.names:
                    want |= parts(t)
        for c in self.clients:
            self.step(c)
        converge(self.clients, want)
        for c in self.clients:
            c.c.close()


@rows("chaos/%d", CHAOS)
def chaos(seed):
    x = Chaos(seed, False)
    for _ in range(400):
        x.one()
    if not x.clients:
        x.join()
    x.end()


@rows("crash/%d", CHAOS)
def crash(seed):
    if not engine_pids():
        raise Skip("no engine of our own")
    x = Chaos(seed, True)
    for n in range(300):
        if n % 100 == 50 + seed:
            for p in engine_pids():
                os.kill(p, signal.SIGKILL)
        x.one()
    if not x.clients:
        x.join()
    x.end()


@row("restart/carries-on")
def restart():
    """Run again after a restart, a crash, a crash of the engine alone: the
    members go on in their epochs, with what they have."""
    path = os.environ.get("CHRONIK_WIRE_SEEN")
    if not path:
        raise Skip("no file to remember members in")
    if not os.path.exists(path):
        t = new_topic(6)
        made.remove(t.name)
        h = Holders()
        g = fresh_name("g")
        with Client(g, [t.name], holders=h) as a, \
                Client(g, regex=t.name + ".*", holders=h) as b, \
                Client(g, [t.name], holders=h, instance="i") as s, \
                Classic(g, [t.name]) as k:
            converge([a, b, s], parts(t))
            k.join()
            k.sync()
            settle(t, [a, b, s], [k])
            seen = {"group": g, "epoch": a.epoch, "topic": t.id.hex(),
                    "classic": [k.id, k.gen, k.have],
                    "members": [[m.id, sorted(p for _, p in m.have)]
                                for m in (a, b, s)]}
        with open(path, "w") as f:
            json.dump(seen, f)
        return
    with open(path) as f:
        seen = json.load(f)
    tid = bytes.fromhex(seen["topic"])
    d = describe(seen["group"])
    eq((d["group_state"], d["group_epoch"]), ("Stable", seen["epoch"]),
       "group")
    for mid, ps in seen["members"]:
        with Client(seen["group"], mid=mid) as m:
            m.epoch, m.full = seen["epoch"], False
            m.have = {(tid, p) for p in ps}
            eq(m.step(), 0, "heartbeat")
            eq((m.epoch, sorted(p for _, p in m.have)),
               (seen["epoch"], ps), "nothing has changed")
    with Classic(seen["group"], []) as k:
        k.id, k.gen, _ = seen["classic"]
        eq(k.beat(), 0, "heartbeat of the classic one")
        k.sync()
        eq([list(x) for x in k.have], seen["classic"][2], "what it has")


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
