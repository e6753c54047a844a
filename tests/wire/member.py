# SPDX-License-Identifier: Apache-2.0
"""
Members of groups of the classic protocol, commits and offsets, for the tests
of whatever meets them.
"""
import time

import kafka
from kafka import KAFKA, Conn, Fail, eq, fresh_name, ok

LARGE_METADATA, NOT_AVAILABLE = 12, 15
ILLEGAL_GENERATION, INCONSISTENT, INVALID_GROUP, UNKNOWN_MEMBER = 22, 23, 24, 25
BAD_SESSION, REBALANCE, NO_GROUP, ID_REQUIRED, FENCED = 26, 27, 69, 79, 82

LONG = 1800000
# Some rows wait for its end, and some have to be ready within it.
SHORT = 6000 if KAFKA else 2000
# A bound of a phase that must end by itself, and one that must not.
REBALANCE_MS = 300000


# ----------------------------------------------------------------- members

class Member:
    """A consumer on a connection of its own."""

    def __init__(self, group, version=9, protocols=(("range", b"meta"),),
                 instance=None, session=LONG, rebalance=REBALANCE_MS,
                 ptype="consumer"):
        self.c = Conn()
        self.group, self.version = group, version
        self.protocols, self.instance = list(protocols), instance
        self.session, self.rebalance = session, rebalance
        self.ptype = ptype
        self.id, self.gen, self.joined = "", -1, None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.c.close()

    def join_send(self, **kw):
        body = {"group_id": self.group, "member_id": self.id,
                "session_timeout_ms": self.session,
                "rebalance_timeout_ms": self.rebalance,
                "group_instance_id": self.instance if self.version >= 5
                else None, "protocol_type": self.ptype,
                "protocols": [{"name": n, "metadata": m}
                              for n, m in self.protocols]}
        body.update(kw)
        self.c.send("JoinGroup", self.version, body)

    def join_recv(self):
        r = self.c.recv()
        if r["error_code"] == 0:
            self.id, self.gen = r["member_id"], r["generation_id"]
            self.joined = r
        return r

    def join_raw(self, **kw):
        self.join_send(**kw)
        return self.join_recv()

    def ask_id(self):
        """The first join of a dynamic member of today."""
        r = self.join_raw()
        eq(r["error_code"], ID_REQUIRED, "first join")
        ok(r["member_id"], "no member id")
        self.id = r["member_id"]

    def join_begin(self):
        """Up to the join that waits for the others."""
        if self.version >= 4 and self.instance is None and not self.id:
            self.ask_id()
        self.join_send()

    def join_end(self):
        r = self.join_recv()
        eq(r["error_code"], 0, "join")
        return r

    def join(self):
        self.join_begin()
        return self.join_end()

    @property
    def leads(self):
        return self.joined["leader"] == self.id

    def sync_send(self, assignments=(), **kw):
        v = min(self.version, 5)
        body = {"group_id": self.group, "generation_id": self.gen,
                "member_id": self.id,
                "group_instance_id": self.instance if v >= 3 else None,
                "protocol_type": None, "protocol_name": None,
                "assignments": [{"member_id": i, "assignment": a}
                                for i, a in assignments]}
        if v >= 5:
            body.update(protocol_type=self.ptype,
                        protocol_name=self.joined["protocol_name"]
                        if self.joined else "range")
        body.update(kw)
        self.c.send("SyncGroup", v, body)

    def sync(self, assignments=(), **kw):
        self.sync_send(assignments, **kw)
        return self.c.recv()

    def beat(self, **kw):
        v = kw.pop("version", 4 if self.version >= 6 else
                   3 if self.version >= 5 else 0)
        body = {"group_id": self.group, "generation_id": self.gen,
                "member_id": self.id,
                "group_instance_id": self.instance if v >= 3 else None}
        body.update(kw)
        return self.c.call("Heartbeat", v, body)["error_code"]

    def commit(self, t, offset, part=0, version=9, **kw):
        kw.setdefault("generation_id_or_member_epoch", self.gen)
        kw.setdefault("member_id", self.id)
        kw.setdefault("group_instance_id", self.instance)
        return commit(self.c, self.group, [(t, part, offset)], version,
                      **kw)[0]


def until_beat(m, code):
    """Waits for a state that the broker reaches by itself."""
    end = time.monotonic() + kafka.WAIT
    while True:
        got = m.beat()
        if got == code:
            return
        if time.monotonic() > end:
            raise Fail("heartbeat: expected %d got %d" % (code, got))
        time.sleep(0.02)


def wait_for(f, what):
    """What the broker does in its own time."""
    end = time.monotonic() + kafka.WAIT
    while not f():
        if time.monotonic() > end:
            raise Fail("never: " + what)
        time.sleep(0.02)


def alone(group=None, **kw):
    """The only member of a new group, stable in generation 1."""
    m = Member(group or fresh_name("g"), **kw)
    m.join()
    settle([m])
    return m


def settle(ms):
    """All sync; each is assigned its own id."""
    leader = [m for m in ms if m.leads]
    eq(len(leader), 1, "leaders")
    for m in ms:
        m.sync_send([(x.id, x.id.encode()) for x in ms]
                    if m is leader[0] else [])
    for m in ms:
        r = m.c.recv()
        eq(r["error_code"], 0, "sync")
        eq(r["assignment"], m.id.encode(), "assignment")


def pair(**kw):
    """A stable group of two; the first leads."""
    a = alone(**kw)
    b = Member(a.group, **kw)
    b.join_begin()
    until_beat(a, REBALANCE)
    a.join_send()
    a.join_end()
    b.join_end()
    settle([a, b])
    ok(a.leads, "the first does not lead")
    return a, b


def commit(c, group, parts, version=9, metadata="", epoch=-1, **kw):
    """parts: [(topic, partition, offset)]; their errors."""
    topics = {}
    for t, p, o in parts:
        topics.setdefault((t.name, t.id), []).append({
            "partition_index": p, "committed_offset": o,
            "committed_leader_epoch": epoch, "committed_metadata": metadata})
    body = {"group_id": group, "generation_id_or_member_epoch": -1,
            "member_id": "", "group_instance_id": None,
            "retention_time_ms": -1,
            "topics": [{"name": n, "topic_id": i, "partitions": ps}
                       for (n, i), ps in topics.items()]}
    body.update(kw)
    if version < 7:
        body["group_instance_id"] = None
    r = c.call("OffsetCommit", version, body)
    key = "topic_id" if version >= 10 else "name"
    got = {(t[key], p["partition_index"]): p["error_code"]
           for t in r["topics"] for p in t["partitions"]}
    eq(sum(len(t["partitions"]) for t in r["topics"]), len(parts),
       "rows of OffsetCommit")
    want = [(t.id if version >= 10 else t.name, p) for t, p, _ in parts]
    eq(sorted(got), sorted(want), "rows of OffsetCommit")
    return [got[w] for w in want]


def fetch_raw(c, groups, version=9, require_stable=False):
    """groups: [(name, [(topic, [partition])] or None)]; rows by group."""
    def topics(ts):
        return None if ts is None else [
            {"name": t.name, "topic_id": t.id, "partition_indexes": ps}
            for t, ps in ts]
    if version >= 8:
        r = c.call("OffsetFetch", version, {
            "groups": [{"group_id": g, "member_id": None, "member_epoch": -1,
                        "topics": topics(ts)} for g, ts in groups],
            "require_stable": require_stable})
        eq([g["group_id"] for g in r["groups"]], [g for g, _ in groups],
           "groups")
        return r["groups"]
    g, ts = groups[0]
    r = c.call("OffsetFetch", version, {
        "group_id": g, "topics": topics(ts),
        "require_stable": require_stable})
    r.setdefault("error_code", 0)
    return [r]


def offsets(c, group, ts, version=9):
    """{(topic name or id, partition): (offset, metadata)}"""
    r = fetch_raw(c, [(group, ts)], version)[0]
    eq(r["error_code"], 0, "OffsetFetch")
    out = {}
    for t in r["topics"]:
        for p in t["partitions"]:
            eq(p["error_code"], 0, "a partition of OffsetFetch")
            out[t["topic_id"] if version >= 10 else t["name"],
                p["partition_index"]] = \
                (p["committed_offset"], p["metadata"])
    return out
