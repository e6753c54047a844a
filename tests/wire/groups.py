# SPDX-License-Identifier: Apache-2.0
"""
Consumer groups of the classic protocol, their offsets, and FindCoordinator
(protocol.md 3.8).
"""
import json
import os
import re

import kafka
from kafka import (INVALID_REQUEST, KAFKA, UNKNOWN_ID,
                   UNKNOWN_TOPIC, Conn, Skip, Topic, eq, fresh_name,
                   isin, made, need, new_topic, ok, row, rows, until)
from member import (BAD_SESSION, FENCED, ID_REQUIRED, ILLEGAL_GENERATION,
                    INCONSISTENT, INVALID_GROUP, LARGE_METADATA, NO_GROUP,
                    REBALANCE, SHORT, UNKNOWN_MEMBER, Member, alone, commit,
                    fetch_raw, offsets, pair, settle, until_beat)

JV, SV, HV, LV = range(10), range(6), range(5), range(6)
CV, FV = range(11), range(11)

# --------------------------------------------------------- FindCoordinator

def coordinators(c, v, keys, kind):
    if v >= 4:
        r = c.call("FindCoordinator", v, {"coordinator_keys": keys,
                                          "key_type": kind})
        eq([x["key"] for x in r["coordinators"]], keys, "keys")
        return r["coordinators"]
    return [c.call("FindCoordinator", v, {"key": k, "key_type": kind})
            for k in keys]


@rows("coordinator/%s/v%d", [(k, v) for k in ("group", "transaction")
                             for v in range(7)])
def find(kind, v):
    need("FindCoordinator", v)
    kind = ("group", "transaction").index(kind)
    if v == 0 and kind == 1:
        raise Skip("v0 has no type")
    keys = [fresh_name("k"), fresh_name("k")]
    with Conn() as c:
        got = until(lambda: coordinators(c, v, keys, kind),
                    lambda g: all(x["error_code"] == 0 for x in g))
        md = kafka.metadata(c, [])
        brokers = [(b["node_id"], b["host"], b["port"])
                   for b in md["brokers"]]
        for x in got:
            eq(x["error_code"], 0, "error")
            isin((x["node_id"], x["host"], x["port"]), brokers, "broker")


@rows("coordinator/bad-type/v%d", range(1, 7))
def find_bad(v):
    need("FindCoordinator", v)
    for kind in (3, 127, -1):
        with Conn() as c:
            for x in coordinators(c, v, ["k"], kind):
                eq(x["error_code"], INVALID_REQUEST, "type %d" % kind)


# ------------------------------------------------------------------- joins

@rows("join/first/v%d", JV)
def join_first(v):
    """From v4 a dynamic member is given an id first."""
    need("JoinGroup", v)
    with Member(fresh_name("g"), v) as m:
        r = m.join_raw()
        if v >= 4:
            eq(r["error_code"], ID_REQUIRED, "error")
            ok(r["member_id"], "no id")
            eq(r["generation_id"], -1, "generation")
            m.id = r["member_id"]
            r = m.join_raw()
        eq(r["error_code"], 0, "error")
        eq((r["generation_id"], r["protocol_name"]), (1, "range"),
           "generation and protocol")
        eq(r["leader"], r["member_id"], "leader")
        eq([(x["member_id"], x["metadata"]) for x in r["members"]],
           [(r["member_id"], b"meta")], "members")
        if v >= 7:
            eq(r["protocol_type"], "consumer", "type")
        if v >= 9:
            eq(r["skip_assignment"], False, "skip")
        settle([m])
        eq(m.beat(), 0, "heartbeat")


@rows("join/bad-session/%d", [-1, 0, 1, 1800001, 0x7fffffff])
def join_session(ms):
    with Member(fresh_name("g"), session=ms) as m:
        eq(m.join_raw()["error_code"], BAD_SESSION, "error")


@rows("join/empty-group/v%d", [0, 4, 9])
def join_empty(v):
    need("JoinGroup", v)
    with Member("", v) as m:
        eq(m.join_raw()["error_code"], INVALID_GROUP, "error")


@row("join/unknown-member")
def join_unknown():
    with Member(fresh_name("g")) as m:
        m.id = "nobody"
        r = m.join_raw()
        eq((r["error_code"], r["member_id"]), (UNKNOWN_MEMBER, "nobody"),
           "in no group")
    with alone() as a, Member(a.group) as m:
        m.id = "nobody"
        eq(m.join_raw()["error_code"], UNKNOWN_MEMBER, "in a group")
        eq(a.beat(), 0, "nobody is disturbed")


@row("join/no-protocols")
def join_none():
    for kw in ({"protocols": ()}, {"ptype": ""}):
        with Member(fresh_name("g"), **kw) as m:
            eq(m.join_raw()["error_code"], INCONSISTENT, "error")


@row("join/inconsistent")
def join_inconsistent():
    with alone() as a:
        for kw in ({"protocols": [("other", b"")]}, {"ptype": "connect"}):
            with Member(a.group, **kw) as m:
                eq(m.join_raw()["error_code"], INCONSISTENT, "error")
        eq(a.beat(), 0, "nobody is disturbed")


@row("join/any-type")
def join_type():
    with alone(ptype="connect", protocols=[("v1", b"\0\1")]) as m:
        eq(m.joined["protocol_name"], "v1", "protocol")


@row("join/vote")
def join_vote():
    """Each votes for the first of its protocols that all know."""
    def ps(names):
        return [(n, n.encode()) for n in names.split()]
    with Member(fresh_name("g"), protocols=ps("x a b")) as a, \
            Member(a.group, protocols=ps("y b a")) as b, \
            Member(a.group, protocols=ps("z b a")) as c:
        a.join()
        settle([a])
        b.ask_id()
        c.ask_id()
        for m in (b, c, a):
            m.join_send()
        for m in (b, c, a):
            eq(m.join_end()["protocol_name"], "b", "protocol")
        ok(a.leads, "the first leads")
        eq(sorted(x["metadata"] for x in a.joined["members"]), [b"b"] * 3,
           "metadata")
        settle([a, b, c])


@row("join/pending-holds-up")
def join_pending():
    """One who was given an id is waited for."""
    with alone() as a, Member(a.group) as b, Member(a.group) as c:
        b.ask_id()
        c.ask_id()
        b.join_send()
        until_beat(a, REBALANCE)
        a.join_send()
        kafka.roundtrip()
        ok(not a.c.readable() and not b.c.readable(), "c is not waited for")
        c.join_send()
        for m in (a, b, c):
            eq(m.join_end()["generation_id"], 2, "generation")
        settle([a, b, c])


@row("join/pending-expires")
def join_pending_gone():
    with alone() as a, Member(a.group) as b, \
            Member(a.group, session=SHORT) as c:
        b.ask_id()
        c.ask_id()
        b.join_send()
        until_beat(a, REBALANCE)
        a.join_send()
        for m in (a, b):
            eq(m.join_end()["generation_id"], 2, "generation")
        settle([a, b])
        eq(c.join_raw()["error_code"], UNKNOWN_MEMBER, "c")


@row("join/leader-alone-sees-members")
def join_members():
    a, b = pair()
    with a, b:
        eq(sorted(x["member_id"] for x in a.joined["members"]),
           sorted([a.id, b.id]), "the leader's members")
        eq(b.joined["members"], [], "the other's members")
        eq(b.joined["leader"], a.id, "leader")


@row("join/again-follower")
def join_again():
    """An unchanged follower keeps its generation at once."""
    a, b = pair()
    with a, b:
        r = b.join()
        eq((r["generation_id"], r["leader"], r["members"]),
           (a.gen, a.id, []), "answer")
        eq(b.sync()["assignment"], b.id.encode(), "assignment")
        eq(a.beat(), 0, "no rebalance")


@rows("join/again-rebalances/%s", ["leader", "changed"])
def join_rebalances(who):
    a, b = pair()
    with a, b:
        m, other = (a, b) if who == "leader" else (b, a)
        if who == "changed":
            b.protocols = [("range", b"news")]
        m.join_send()
        until_beat(other, REBALANCE)
        other.join_send()
        for x in (m, other):
            eq(x.join_end()["generation_id"], 3, "generation")
        if who == "changed":
            eq(sorted(x["metadata"] for x in a.joined["members"]),
               [b"meta", b"news"], "metadata")
        settle([a, b])


@row("join/again-while-completing")
def join_completing():
    with Member(fresh_name("g")) as m:
        m.join()
        r = m.join()
        eq(r["generation_id"], 1, "unchanged: the same generation")
        eq(len(r["members"]), 1, "and the members")
        m.protocols = [("range", b"news")]
        eq(m.join()["generation_id"], 2, "changed: a new one")
        settle([m])


@row("join/stragglers-dropped")
def join_straggler():
    """Who does not join within the rebalance timeout is out."""
    a, b = pair(rebalance=SHORT)
    with a, b:
        a.join()
        eq(a.gen, 3, "generation")
        settle([a])
        eq(b.beat(generation_id=3), UNKNOWN_MEMBER, "the other")


# ---------------------------------------------------------- sync, heartbeat

@rows("sync/errors/v%d", SV)
def sync_errors(v):
    need("SyncGroup", v)
    with alone(version=v if v < 5 else 9) as m:
        eq(m.sync(generation_id=2)["error_code"], ILLEGAL_GENERATION,
           "generation")
        eq(m.sync(member_id="nobody")["error_code"], UNKNOWN_MEMBER, "member")
        eq(m.sync(group_id=fresh_name("g"))["error_code"], UNKNOWN_MEMBER,
           "group")
        eq(m.sync(group_id="")["error_code"], INVALID_GROUP, "empty group")
        if v >= 5:
            eq(m.sync(protocol_name="other")["error_code"], INCONSISTENT,
               "protocol name")
            eq(m.sync(protocol_type="other")["error_code"], INCONSISTENT,
               "protocol type")
        r = m.sync()
        eq((r["error_code"], r["assignment"]), (0, m.id.encode()), "again")
        if v >= 5:
            eq((r["protocol_type"], r["protocol_name"]),
               ("consumer", "range"), "protocol")


@row("sync/while-preparing")
def sync_preparing():
    a, b = pair()
    with a, b:
        a.join_send()
        until_beat(b, REBALANCE)
        r = b.sync()
        eq((r["error_code"], r["assignment"]), (REBALANCE, b""), "sync")


@row("sync/waits-for-leader")
def sync_waits():
    with alone() as a, Member(a.group) as b:
        b.join_begin()
        until_beat(a, REBALANCE)
        a.join()
        b.join_end()
        b.sync_send()
        eq(a.beat(), 0, "a heartbeat meanwhile")
        kafka.roundtrip()
        ok(not b.c.readable(), "it did not wait")
        eq(a.sync([(b.id, b"for b")])["assignment"], b"", "the leader's own")
        eq(b.c.recv()["assignment"], b"for b", "assignment")


@row("sync/rebalance-while-waiting")
def sync_cut():
    """Those who wait for the leader are told when a rebalance begins."""
    with alone() as a, Member(a.group) as b, Member(a.group) as c:
        b.join_begin()
        until_beat(a, REBALANCE)
        a.join()
        b.join_end()
        b.sync_send()
        eq(a.beat(), 0, "completing")
        c.join_begin()
        eq(b.c.recv()["error_code"], REBALANCE, "sync")
        a.join_send()
        b.join_send()
        for m in (a, b, c):
            m.join_end()
        settle([a, b, c])


@row("sync/none-in-time")
def sync_never():
    """Members that do not sync within the rebalance timeout are out."""
    with alone(rebalance=SHORT) as a, \
            Member(a.group, rebalance=SHORT) as b:
        b.join_begin()
        until_beat(a, REBALANCE)
        a.join()
        b.join_end()
        eq(a.sync([(a.id, b"1"), (b.id, b"2")])["error_code"], 0, "sync")
        until_beat(a, REBALANCE)
        a.join()
        eq([x["member_id"] for x in a.joined["members"]], [a.id], "members")
        eq(b.beat(), UNKNOWN_MEMBER, "b")


@rows("heartbeat/errors/v%d", HV)
def beat_errors(v):
    need("Heartbeat", v)
    with alone() as m:
        eq(m.beat(version=v), 0, "right")
        eq(m.beat(version=v, generation_id=9), ILLEGAL_GENERATION,
           "generation")
        eq(m.beat(version=v, member_id="nobody"), UNKNOWN_MEMBER, "member")
        eq(m.beat(version=v, group_id=fresh_name("g")), UNKNOWN_MEMBER,
           "group")
        eq(m.beat(version=v, group_id=""), INVALID_GROUP, "empty group")


@row("heartbeat/while-preparing-keeps-alive")
def beat_alive():
    """It says 27, and the session goes on all the same."""
    a, b = pair(session=SHORT)
    with a, b:
        a.join_send()
        until_beat(b, REBALANCE)
        for _ in range(5):
            eq(b.beat(), REBALANCE, "heartbeat")
        b.join()
        eq(a.join_end()["generation_id"], 3, "generation")


@row("heartbeat/while-completing")
def beat_completing():
    with Member(fresh_name("g")) as m:
        m.join()
        eq(m.beat(), 0, "heartbeat")


@row("session/expiry")
def expiry():
    """A member that is silent is gone, and the others are told."""
    with alone() as a, Member(a.group, session=SHORT) as b:
        b.join_begin()
        until_beat(a, REBALANCE)
        a.join()
        b.join_end()
        settle([a, b])
        until_beat(a, REBALANCE)
        a.join()
        eq([x["member_id"] for x in a.joined["members"]], [a.id], "members")
        eq(b.beat(), UNKNOWN_MEMBER, "b")


# ------------------------------------------------------------------- leave

@rows("leave/v%d", LV)
def leave(v):
    need("LeaveGroup", v)
    a, b = pair()
    with a, b:
        body = {"group_id": a.group}
        if v < 3:
            body["member_id"] = b.id
        else:
            body["members"] = [{"member_id": b.id,
                                "group_instance_id": None},
                               {"member_id": "nobody",
                                "group_instance_id": None},
                               {"member_id": "", "group_instance_id": "no"}]
        r = b.c.call("LeaveGroup", v, body)
        eq(r["error_code"], 0, "error")
        if v >= 3:
            eq([(m["member_id"], m["group_instance_id"], m["error_code"])
                for m in r["members"]],
               [(b.id, None, 0), ("nobody", None, UNKNOWN_MEMBER),
                ("", "no", UNKNOWN_MEMBER)], "members")
        until_beat(a, REBALANCE)
        a.join()
        eq(len(a.joined["members"]), 1, "members")
        settle([a])
        if v < 3:
            eq(b.c.call("LeaveGroup", v, body)["error_code"],
               UNKNOWN_MEMBER, "again")


@row("leave/empty-group-id")
def leave_empty():
    with Conn() as c:
        eq(c.call("LeaveGroup", 1, {"group_id": "", "member_id": "x"})
           ["error_code"], INVALID_GROUP, "error")


@row("leave/last")
def leave_last():
    """A group without members goes on with the next generation."""
    with alone() as a:
        r = a.c.call("LeaveGroup", 1, {"group_id": a.group,
                                       "member_id": a.id})
        eq(r["error_code"], 0, "error")
        eq(a.beat(), UNKNOWN_MEMBER, "heartbeat")
        with Member(a.group, protocols=[("other", b"")]) as b:
            ok(b.join()["generation_id"] > 1, "generation")


@row("leave/pending")
def leave_pending():
    with alone() as a, Member(a.group) as b:
        b.ask_id()
        a.join_send()
        kafka.roundtrip()
        ok(not a.c.readable(), "b is not waited for")
        r = b.c.call("LeaveGroup", 3, {"group_id": a.group, "members": [
            {"member_id": b.id, "group_instance_id": None}]})
        eq([m["error_code"] for m in r["members"]], [0], "leave")
        a.join_end()
        eq(len(a.joined["members"]), 1, "members")


# ---------------------------------------------------------- static members

def static_pair(version=9):
    a = alone(version=version, instance="ia")
    b = Member(a.group, version, instance="ib")
    b.join_begin()
    until_beat(a, REBALANCE)
    a.join_send()
    a.join_end()
    b.join_end()
    settle([a, b])
    return a, b


@rows("static/first/v%d", range(5, 10))
def static_first(v):
    """It needs no second round, and its id tells its instance."""
    need("JoinGroup", v)
    with Member(fresh_name("g"), v, instance="ia") as m:
        r = m.join()
        eq([x["group_instance_id"] for x in r["members"]], ["ia"],
           "instance")
        ok(m.id.startswith("ia-"), "id %s" % m.id)


@rows("static/replaced-follower/v%d", range(5, 10))
def static_follower(v):
    need("JoinGroup", v)
    a, b = static_pair(v)
    with a, b, Member(a.group, v, instance="ib",
                      protocols=[("range", b"news")]) as n:
        r = n.join()
        eq((r["generation_id"], r["leader"], r["members"]),
           (a.gen, a.id, []), "no rebalance")
        ok(n.id != b.id, "the old id")
        eq(n.sync()["assignment"], b.id.encode(), "its assignment")
        eq((a.beat(), n.beat()), (0, 0), "heartbeats")
        eq(b.beat(), FENCED, "the old one")
        eq(b.sync()["error_code"], FENCED, "sync of the old one")
        eq(b.join_raw()["error_code"], FENCED, "join of the old one")
        t = new_topic()
        eq(b.commit(t, 1), FENCED, "commit of the old one")
        eq(n.commit(t, 1), 0, "commit of the new one")


@rows("static/replaced-leader/v%d", range(5, 10))
def static_leader(v):
    """It must not assign anew: from v9 it is told so, before it is made to
    believe that another leads."""
    need("JoinGroup", v)
    a, b = static_pair(v)
    with a, b, Member(a.group, v, instance="ia") as n:
        r = n.join()
        eq(r["generation_id"], a.gen, "no rebalance")
        if v >= 9:
            eq((r["leader"], r["skip_assignment"], len(r["members"])),
               (n.id, True, 2), "leader")
        else:
            eq((r["leader"], r["members"]), (a.id, []), "leader")
        eq(n.sync()["assignment"], a.id.encode(), "its assignment")
        eq((b.beat(), n.beat()), (0, 0), "heartbeats")
        eq(a.beat(), FENCED, "the old one")


@row("static/other-protocol-rebalances")
def static_protocol():
    ab = [("range", b"r"), ("robin", b"b")]
    with alone(instance="ia", protocols=ab) as a, \
            Member(a.group, instance="ia", protocols=ab[::-1]) as n:
        eq(n.join()["generation_id"], 2, "generation")
        eq(n.joined["protocol_name"], "robin", "protocol")
        eq(a.beat(), FENCED, "the old one")


@row("static/unknown-instance")
def static_unknown():
    with alone(instance="ia") as a:
        eq(a.beat(group_instance_id="ib"), UNKNOWN_MEMBER, "heartbeat")
        eq(a.beat(member_id="nobody"), FENCED, "another id")
        with Member(a.group, instance="ib") as n:
            n.id = a.id
            eq(n.join_raw()["error_code"], UNKNOWN_MEMBER, "join")


@rows("static/leave/v%d", range(3, 6))
def static_leave(v):
    """By its instance alone, as an administrator does it."""
    need("LeaveGroup", v)
    a, b = static_pair()
    with a, b:
        r = a.c.call("LeaveGroup", v, {"group_id": a.group, "members": [
            {"member_id": "nobody", "group_instance_id": "ib"},
            {"member_id": "", "group_instance_id": "ib"}]})
        eq([m["error_code"] for m in r["members"]], [FENCED, 0], "members")
        until_beat(a, REBALANCE)
        eq(b.beat(), UNKNOWN_MEMBER, "b")


@row("static/replaced-while-joining")
def static_joining():
    """Who waits under the old id is told that it is another's now."""
    a, b = static_pair()
    with a, b, Member(a.group, instance="ib") as n:
        b.protocols = [("range", b"news")]
        b.join_send()
        until_beat(a, REBALANCE)
        n.join_send()
        r = b.join_recv()
        eq((r["error_code"], r["member_id"]), (FENCED, b.id), "the old one")
        a.join_send()
        a.join_end()
        eq(n.join_end()["generation_id"], 3, "generation")
        settle([a, n])


@row("static/replaced-while-syncing")
def static_syncing():
    """The leader may have seen the old id: all join again."""
    with alone(instance="ia") as a, Member(a.group, instance="ib") as b, \
            Member(a.group, instance="ib") as n:
        b.join_begin()
        until_beat(a, REBALANCE)
        a.join()
        b.join_end()
        b.sync_send()
        eq(a.beat(), 0, "completing")
        n.join_send()
        eq(b.c.recv()["error_code"], FENCED, "sync of the old one")
        until_beat(a, REBALANCE)
        a.join_send()
        a.join_end()
        eq(n.join_end()["generation_id"], 3, "generation")
        settle([a, n])


@row("static/kept-when-late")
def static_kept():
    """A static member that does not join in time is not dropped."""
    with alone(instance="ia", rebalance=SHORT) as a, \
            Member(a.group, instance="ib", rebalance=SHORT) as b:
        b.join_begin()
        until_beat(a, REBALANCE)
        a.join_send()
        a.join_end()
        b.join_end()
        settle([a, b])
        a.join()
        eq(sorted(x["member_id"] for x in a.joined["members"]),
           sorted([a.id, b.id]), "members")


@rows("member-id/%s", ["client", "null", "empty", "long"])
def member_id(kind):
    """The client's id, and a random part."""
    cid = {"client": "some client", "null": None, "empty": "",
           "long": "\u00e9" * 4000}[kind]
    with Member(fresh_name("g")) as m:
        m.c.close()
        m.c = Conn(client_id=cid)
        m.ask_id()
        if kind != "long":
            ok(re.fullmatch(re.escape(cid or "") + "-[0-9a-f]{8}-[0-9a-f]{4}-"
                            "[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", m.id),
               "id %r" % m.id)
        m.join()
        settle([m])
        eq(m.beat(), 0, "heartbeat")


@row("sync/too-large")
def sync_large():
    """No group holds that much: all are told, and join anew."""
    if KAFKA:
        raise Skip("its limit is another")
    with alone() as a:
        a.join()
        eq(a.sync([(a.id, b"x" * (9 << 20))])["error_code"], -1, "sync")
        eq(a.beat(), REBALANCE, "heartbeat")
        a.join()
        settle([a])


@rows("leave/no-group/v%d", LV)
def leave_none(v):
    need("LeaveGroup", v)
    with Conn() as c:
        body = {"group_id": fresh_name("g"), "member_id": "x",
                "members": [{"member_id": "x", "group_instance_id": None}]}
        r = c.call("LeaveGroup", v, body)
        if v < 3:
            eq(r["error_code"], UNKNOWN_MEMBER, "error")
        else:
            eq((r["error_code"], [m["error_code"] for m in r["members"]]),
               (0, [UNKNOWN_MEMBER]), "errors")


# ----------------------------------------------------------------- commits

@row("commit/unknown-topic-first")
def commit_topic_first():
    """What does not exist is said, whatever the group says of the rest."""
    t = new_topic()
    no = Topic(fresh_name("no"), os.urandom(16), 1)
    with alone() as m:
        eq(commit(m.c, m.group, [(no, 0, 1), (t, 0, 1)], 9,
                  member_id="nobody", generation_id_or_member_epoch=1),
           [UNKNOWN_TOPIC, UNKNOWN_MEMBER], "errors")
        eq(commit(m.c, fresh_name("g"), [(no, 0, 1)], 9, member_id="nobody",
                  generation_id_or_member_epoch=1), [UNKNOWN_TOPIC], "error")


@rows("commit/simple/v%d", CV)
def commit_simple(v):
    """Without a group: generation -1 and no member."""
    need("OffsetCommit", v)
    t = new_topic(2)
    g = fresh_name("g")
    with Conn() as c:
        eq(commit(c, g, [(t, 0, 7), (t, 1, 0)], v, metadata="hint"),
           [0, 0], "errors")
        want = {(t.name, 0): (7, "hint"), (t.name, 1): (0, "hint")}
        eq(offsets(c, g, [(t, [0, 1])]), want, "offsets")
        eq(commit(c, g, [(t, 0, 3)], v), [0], "back again")
        eq(offsets(c, g, [(t, [0])]), {(t.name, 0): (3, "")}, "offsets")


@rows("commit/by-member/v%d", range(1, 11))
def commit_member(v):
    need("OffsetCommit", v)
    t = new_topic()
    with alone() as m:
        eq(m.commit(t, 5, version=v), 0, "right")
        eq(m.commit(t, 6, version=v, generation_id_or_member_epoch=2),
           ILLEGAL_GENERATION, "generation")
        eq(m.commit(t, 6, version=v, member_id="nobody"), UNKNOWN_MEMBER,
           "member")
        eq(m.commit(t, 6, version=v, member_id="",
                    generation_id_or_member_epoch=-1), UNKNOWN_MEMBER,
           "nobody, while the group has members")
        eq(offsets(m.c, m.group, [(t, [0])]), {(t.name, 0): (5, "")},
           "offsets")


@rows("commit/no-group/v%d", range(1, 11))
def commit_no_group(v):
    need("OffsetCommit", v)
    t = new_topic()
    with Conn() as c:
        eq(commit(c, fresh_name("g"), [(t, 0, 1)], v, member_id="x",
                  generation_id_or_member_epoch=1),
           [ILLEGAL_GENERATION if v < 9 else NO_GROUP], "error")


@rows("commit/empty-group-id/v%d", CV)
def commit_empty_id(v):
    """The group without a name is one of those that only keep offsets."""
    need("OffsetCommit", v)
    t = new_topic()
    with Conn() as c:
        eq(commit(c, "", [(t, 0, 5)], v), [0], "error")
        for f in FV if v == 9 else (1, 8, kafka.ver("OffsetFetch")):
            p = fetch_raw(c, [("", [(t, [0])])], f)[0]["topics"][0][
                "partitions"][0]
            eq((p["error_code"], p["committed_offset"]), (0, 5),
               "OffsetFetch v%d" % f)


@row("commit/empty-group")
def commit_empty():
    """A group that all have left."""
    t = new_topic()
    with alone() as m:
        m.c.call("LeaveGroup", 1, {"group_id": m.group, "member_id": m.id})
        eq(m.commit(t, 1), UNKNOWN_MEMBER, "who has left")
        eq(commit(m.c, m.group, [(t, 0, 2)]), [0], "nobody")
        eq(commit(m.c, m.group, [(t, 0, 3)], member_id="x"), [0],
           "generation -1")
        eq(offsets(m.c, m.group, [(t, [0])]), {(t.name, 0): (3, "")},
           "offsets")


@row("commit/while-rebalancing")
def commit_rebalancing():
    """Taken while members join, refused while the leader assigns."""
    t = new_topic()
    a, b = pair()
    with a, b:
        a.join_send()
        until_beat(b, REBALANCE)
        eq(b.commit(t, 1), 0, "preparing")
        b.join()
        a.join_end()
        eq(b.commit(t, 2), REBALANCE, "completing")
        settle([a, b])
        eq(offsets(a.c, a.group, [(t, [0])]), {(t.name, 0): (1, "")},
           "offsets")


@row("commit/metadata-too-large")
def commit_large():
    t = new_topic()
    g = fresh_name("g")
    with Conn() as c:
        eq(commit(c, g, [(t, 0, 1)], metadata="x" * 4096), [0], "4096")
        eq(commit(c, g, [(t, 0, 2)], metadata="x" * 4097),
           [LARGE_METADATA], "4097")
        eq(commit(c, g, [(t, 0, 3)], metadata=None), [0], "null")
        eq(offsets(c, g, [(t, [0])]), {(t.name, 0): (3, "")}, "offsets")


@rows("commit/unknown-topic/v%d", [1, 2, 5, 9, 10])
def commit_unknown(v):
    need("OffsetCommit", v)
    t = new_topic()
    no = Topic(fresh_name("no"), os.urandom(16), 1)
    with Conn() as c:
        g = fresh_name("g")
        eq(commit(c, g, [(no, 0, 1), (t, 0, 1), (t, 1, 1), (t, -1, 1)], v),
           [UNKNOWN_ID if v >= 10 else UNKNOWN_TOPIC, 0, UNKNOWN_TOPIC,
            UNKNOWN_TOPIC], "errors")


# ----------------------------------------------------------- offset fetches

@rows("offsets/unknown/v%d", FV)
def offsets_unknown(v):
    """What nobody has committed is -1, and no error."""
    need("OffsetFetch", v)
    if v == 0 and KAFKA:
        raise Skip("v0 speaks of another store")
    t = new_topic(2)
    g = fresh_name("g")
    with Conn() as c:
        for when in ("before", "after"):
            r = fetch_raw(c, [(g, [(t, [0, 7])])], v)[0]
            eq(r["error_code"], 0, "error")
            for p in r["topics"][0]["partitions"]:
                eq((p["committed_offset"], p["metadata"], p["error_code"],
                    p.get("committed_leader_epoch", -1)), (-1, "", 0, -1),
                   when)
            commit(c, g, [(t, 1, 1)])


@rows("offsets/all/v%d", range(2, 11))
def offsets_all(v):
    need("OffsetFetch", v)
    ts = [new_topic(2), new_topic(), new_topic()]
    g = fresh_name("g")
    key = (lambda t: t.id) if v >= 10 else (lambda t: t.name)
    with Conn() as c:
        eq(offsets(c, g, None, v), {}, "none")
        commit(c, g, [(ts[0], 1, 5), (ts[1], 0, 6)])
        eq(offsets(c, g, None, v), {(key(ts[0]), 1): (5, ""),
                                    (key(ts[1]), 0): (6, "")}, "all")
        eq(offsets(c, g, [], v), {}, "an empty list")


@rows("offsets/groups/v%d", [8, 9, 10])
def offsets_groups(v):
    need("OffsetFetch", v)
    t = new_topic()
    gs = [fresh_name("g") for _ in range(3)]
    with Conn() as c:
        for i, g in enumerate(gs[:2]):
            commit(c, g, [(t, 0, i + 1)])
        r = fetch_raw(c, [(gs[0], [(t, [0])]), (gs[1], None),
                          (gs[2], [(t, [0])])], v)
        eq([x["topics"][0]["partitions"][0]["committed_offset"] for x in r],
           [1, 2, -1], "offsets")


@row("offsets/unknown-id")
def offsets_id():
    need("OffsetFetch", 10)
    t = Topic("", os.urandom(16), 1)
    with Conn() as c:
        r = fetch_raw(c, [(fresh_name("g"), [(t, [0])])], 10)[0]
        p = r["topics"][0]["partitions"][0]
        eq((p["error_code"], p["committed_offset"]), (UNKNOWN_ID, -1), "row")


@row("offsets/leader-epoch")
def offsets_epoch():
    t = new_topic()
    g = fresh_name("g")
    with Conn() as c:
        commit(c, g, [(t, 0, 1)], epoch=4)
        p = fetch_raw(c, [(g, [(t, [0])])])[0]["topics"][0]["partitions"][0]
        eq(p["committed_leader_epoch"], 4, "epoch")


@row("offsets/require-stable")
def offsets_stable():
    t = new_topic()
    g = fresh_name("g")
    with Conn() as c:
        commit(c, g, [(t, 0, 1)])
        for v in (7, 8, 9):
            r = fetch_raw(c, [(g, [(t, [0])])], v, True)[0]
            eq(r["topics"][0]["partitions"][0]["committed_offset"], 1,
               "offset")


@row("offsets/topic-deleted")
def offsets_deleted():
    """They go with their topic, also when its name comes back."""
    t, other = new_topic(), new_topic()
    g = fresh_name("g")
    with Conn() as c:
        commit(c, g, [(t, 0, 5), (other, 0, 6)])
        r = c.call("DeleteTopics", 5, {"topic_names": [t.name],
                                       "timeout_ms": 30000})
        eq(r["responses"][0]["error_code"], 0, "DeleteTopics")
        want = {(other.name, 0): (6, "")}
        eq(until(lambda: offsets(c, g, None), lambda x: x == want), want,
           "offsets")
        until(lambda: kafka.create(c, t.name), lambda r: r["error_code"] == 0)
        eq(offsets(c, g, [(t, [0])]), {(t.name, 0): (-1, "")}, "offsets")


# ---------------------------------------------------------------- restarts

@row("restart/carries-on")
def restart():
    """Run again after a restart, a crash, a crash of the engine alone: the
    members go on in their generation, with what they were assigned and had
    committed."""
    path = os.environ.get("CHRONIK_WIRE_SEEN")
    if not path:
        raise Skip("no file to remember members in")
    if not os.path.exists(path):
        t = new_topic()
        made.remove(t.name)
        a, b = pair()
        seen = {"group": a.group, "gen": a.gen, "ids": [a.id, b.id],
                "topic": t.name, "id": t.id.hex(), "offset": 10}
        s = alone(instance="static")
        with a, b, s, Member(s.group, instance="static") as n:
            eq(a.commit(t, 10, metadata="kept"), 0, "commit")
            n.join()
            seen["static"] = [s.group, n.id, s.id]
    else:
        with open(path) as f:
            seen = json.load(f)
        t = Topic(seen["topic"], bytes.fromhex(seen["id"]), 1)
        for i in seen["ids"]:
            with Member(seen["group"]) as m:
                m.id, m.gen = i, seen["gen"]
                eq(m.beat(), 0, "heartbeat")
                r = m.sync()
                eq((r["error_code"], r["assignment"]), (0, i.encode()),
                   "sync")
                eq(offsets(m.c, m.group, [(t, [0])]),
                   {(t.name, 0): (seen["offset"], "kept")}, "offsets")
        group, new, old = seen["static"]
        with Member(group, instance="static") as m:
            m.gen = 1
            eq((m.beat(member_id=new), m.beat(member_id=old)), (0, FENCED),
               "heartbeats of static members")
        with Member(seen["group"]) as m:
            m.id, m.gen = seen["ids"][0], seen["gen"]
            seen["offset"] += 1
            eq(m.commit(t, seen["offset"], metadata="kept"), 0, "commit")
    with open(path, "w") as f:
        json.dump(seen, f)


if __name__ == "__main__":
    kafka.run()
