# SPDX-License-Identifier: Apache-2.0
"""
What administrators ask of groups: DescribeGroups, ListGroups, DeleteGroups,
OffsetDelete, the most members that a group may have, and how offsets end
(protocol.md 3.8).  The broker looks for what has expired all the time.
"""
import json
import os
import struct

import kafka
from kafka import (KAFKA, OPS_NONE, UNKNOWN_TOPIC, Conn, Skip, Topic, eq,
                   fresh_name, made, need, new_topic, ok, row, rows)
from member import (INVALID_GROUP, NO_GROUP, REBALANCE, Member, alone,
                    commit, offsets, pair, settle, until_beat, wait_for)

NON_EMPTY, FULL, SUBSCRIBED = 68, 81, 86
MAX_SIZE = int(os.environ.get("CHRONIK_WIRE_GROUP_MAX", "0"))
EXPIRES = not KAFKA
DV, LV, XV = range(7), range(6), range(3)
OPS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11


def subscription(topics, version=0, rest=None):
    """What a consumer joins with."""
    if rest is None:
        rest = struct.pack(">i", -1) + {
            0: b"", 1: struct.pack(">i", 0),
            2: struct.pack(">ii", 0, 7),
            3: struct.pack(">iih", 0, 7, -1)}.get(version, b"future")
    return struct.pack(">hi", version, len(topics)) + b"".join(
        struct.pack(">h", len(t)) + t.encode() for t in topics) + rest


def describe(c, groups, v=None, **kw):
    v = kafka.ver("DescribeGroups") if v is None else v
    r = c.call("DescribeGroups", v, dict({
        "groups": groups, "include_authorized_operations": False}, **kw))
    if KAFKA:       # in any order
        r["groups"].sort(key=lambda g: groups.index(g["group_id"]))
    eq([g["group_id"] for g in r["groups"]], groups, "groups")
    return r["groups"]


def state(c, group):
    return describe(c, [group], 0)[0]["group_state"]


def listed(c, v=None, states=(), types=()):
    v = kafka.ver("ListGroups") if v is None else v
    r = c.call("ListGroups", v, {"states_filter": list(states),
                                 "types_filter": list(types)})
    eq(r["error_code"], 0, "error")
    out = {g["group_id"]: g for g in r["groups"]}
    eq(len(out), len(r["groups"]), "distinct groups")
    return out


def delete(c, groups, v=2):
    r = c.call("DeleteGroups", v, {"groups_names": groups})
    eq(sorted(g["group_id"] for g in r["results"]), sorted(groups),
       "results")
    got = {g["group_id"]: g["error_code"] for g in r["results"]}
    return [got[g] for g in groups]


def forget(c, group, parts):
    """OffsetDelete: the group's error, and those of the partitions."""
    topics = {}
    for t, p in parts:
        topics.setdefault(t.name, []).append({"partition_index": p})
    r = c.call("OffsetDelete", 0, {"group_id": group, "topics": [
        {"name": n, "partitions": ps} for n, ps in topics.items()]})
    got = {(t["name"], p["partition_index"]): p["error_code"]
           for t in r["topics"] for p in t["partitions"]}
    if r["error_code"]:
        return r["error_code"], []
    return 0, [got[t.name, p] for t, p in parts]


def until_members(c, group, n):
    """The broker has seen that many joins."""
    wait_for(lambda: len(describe(c, [group])[0]["members"]) == n,
             "%d members" % n)


def leave(m):
    r = m.c.call("LeaveGroup", 1, {"group_id": m.group, "member_id": m.id})
    eq(r["error_code"], 0, "LeaveGroup")


# ---------------------------------------------------------------- describe

def plain(g):
    """Who is there, without what only a settled group shows."""
    return sorted((m["member_id"], m.get("group_instance_id"),
                   m["client_id"], m["member_metadata"],
                   m["member_assignment"]) for m in g["members"])


@rows("describe/states/v%d", DV)
def states(v):
    """Metadata and assignments are shown when the group is stable."""
    need("DescribeGroups", v)
    t = new_topic()
    a, b = pair()
    with a, b, Conn() as c:
        def check(name, protocol, metadata, assigned):
            g, = describe(c, [a.group], v)
            eq((g["error_code"], g["group_state"], g["protocol_type"],
                g["protocol_data"]), (0, name, "consumer", protocol), name)
            eq(plain(g), sorted((m.id, None, "wire", b"meta" if metadata
                                 else b"", m.id.encode() if assigned
                                 else b"") for m in (a, b)), "members")
        check("Stable", "range", True, True)
        eq(a.commit(t, 1), 0, "commit")
        a.join_send()
        until_beat(b, REBALANCE)
        # They have what they had, until they are told that it is over.
        check("PreparingRebalance", "", False, True)
        b.join()
        a.join_end()
        # Kafka's still have it, in a generation that has no assignment yet.
        check("CompletingRebalance", "", False, bool(KAFKA))
        settle([a, b])
        check("Stable", "range", True, True)
        leave(b)
        leave(a)
        g, = describe(c, [a.group], v)
        eq((g["group_state"], g["protocol_type"], g["protocol_data"],
            g["members"]), ("Empty", "consumer", "", []), "empty group")
        if v >= 3:
            eq(g["authorized_operations"], OPS_NONE, "operations")


@rows("describe/missing/v%d", DV)
def describe_missing(v):
    need("DescribeGroups", v)
    with Conn() as c:
        name = fresh_name("g")
        g, = describe(c, [name], v)
        eq((g["error_code"], g["group_state"], g["protocol_type"],
            g["protocol_data"], g["members"]),
           (NO_GROUP if v >= 6 else 0, "Dead", "", "", []), "group")
        if v >= 6:
            ok(name in g["error_message"], "message %r" % g["error_message"])
        eq(describe(c, [], v), [], "none")
        eq(len(describe(c, [name, name], v)), 2, "the same twice")


@rows("describe/operations/v%d", range(3, 7))
def describe_operations(v):
    need("DescribeGroups", v)
    with alone() as m:
        none = fresh_name("none")
        g, n = describe(m.c, [m.group, none], v,
                        include_authorized_operations=True)
        eq(g["authorized_operations"], OPS, "operations")
        eq(n["authorized_operations"], OPS_NONE if v >= 6 else OPS,
           "of no group")


@row("describe/who")
def describe_who():
    """The client's id and address are the member's."""
    group = fresh_name("g")
    with Member(group, instance="ia") as m:
        m.c.close()
        m.c = Conn(client_id="some client")
        m.join()
        settle([m])
        g, = describe(m.c, [group])
        eq([(x["client_id"], x["group_instance_id"]) for x in g["members"]],
           [("some client", "ia")], "member")
        host = g["members"][0]["client_host"]
        eq(host, "/" + m.c.sock.getsockname()[0], "host")


@row("describe/simple")
def describe_simple():
    t = new_topic()
    g = fresh_name("g")
    with Conn() as c:
        commit(c, g, [(t, 0, 1)])
        d, = describe(c, [g])
        eq((d["error_code"], d["group_state"], d["protocol_type"],
            d["members"]), (0, "Empty", "", []), "group")


@row("describe/any-type")
def describe_type():
    with alone(ptype="connect", protocols=[("v1", b"\0\1")]) as m:
        g, = describe(m.c, [m.group])
        eq((g["protocol_type"], g["protocol_data"],
            g["members"][0]["member_metadata"]), ("connect", "v1", b"\0\1"),
           "group")


@row("describe/pending-is-no-member")
def describe_pending():
    with alone() as a, Member(a.group) as b:
        b.ask_id()
        eq(len(describe(a.c, [a.group])[0]["members"]), 1, "members")


# -------------------------------------------------------------------- list

@rows("list/all/v%d", LV)
def list_all(v):
    need("ListGroups", v)
    t = new_topic()
    simple = fresh_name("g")
    with alone() as a, alone(ptype="sr", protocols=[("v0", b"")]) as b:
        commit(a.c, simple, [(t, 0, 1)])
        got = listed(a.c, v)
        for g, ptype, st in ((a.group, "consumer", "Stable"),
                             (b.group, "sr", "Stable"),
                             (simple, "", "Empty")):
            eq(got[g]["protocol_type"], ptype, "protocol type")
            if v >= 4:
                eq(got[g]["group_state"], st, "state")
            if v >= 5:
                eq(got[g]["group_type"].lower(), "classic", "type")


@row("list/by-state")
def list_states():
    need("ListGroups", 4)
    t = new_topic()
    simple = fresh_name("g")
    a, b = pair()
    with a, b, Member(fresh_name("g")) as n:
        commit(a.c, simple, [(t, 0, 1)])
        a.join_send()
        until_beat(b, REBALANCE)
        n.join()
        mine = {simple: "Empty", a.group: "PreparingRebalance",
                n.group: "CompletingRebalance"}
        for want in (["Empty"], ["empty"], ["PREPARINGREBALANCE"],
                     ["CompletingRebalance", "Empty"], ["Stable"], ["Dead"],
                     ["NoSuchState"], ["Stable", "NoSuchState"], []):
            low = [w.lower() for w in want]
            got = set(listed(b.c, 4, want)) & set(mine)
            eq(got, {g for g, s in mine.items()
                     if not want or s.lower() in low}, "filter %s" % want)


@row("list/by-type")
def list_types():
    need("ListGroups", 5)
    with alone() as m:
        for want, found in ((["classic"], True), (["Classic"], True),
                            (["consumer"], False), ([], True),
                            (["consumer", "classic"], True)):
            eq(m.group in listed(m.c, 5, (), want), found,
               "filter %s" % want)
        eq(m.group in listed(m.c, 5, ["Empty"], ["classic"]), False,
           "both filters")


# ------------------------------------------------------------------ delete

@rows("delete/v%d", XV)
def delete_groups(v):
    need("DeleteGroups", v)
    t = new_topic(2)
    with alone() as a, alone() as b:
        eq(a.commit(t, 1), 0, "commit")
        leave(a)
        gone, simple = fresh_name("g"), fresh_name("g")
        commit(a.c, simple, [(t, 0, 1), (t, 1, 2)])
        eq(delete(a.c, [a.group, b.group, gone, simple], v),
           [0, NON_EMPTY, NO_GROUP, 0], "errors")
        eq(b.beat(), 0, "who has members goes on")
        eq(delete(a.c, [a.group, simple], v), [NO_GROUP, NO_GROUP], "again")
        eq([state(a.c, g) for g in (a.group, simple)], ["Dead", "Dead"],
           "states")
        eq(offsets(a.c, simple, None), {}, "offsets")
        eq(offsets(a.c, a.group, [(t, [0])]), {(t.name, 0): (-1, "")},
           "offsets")
        ok(not {a.group, simple} & set(listed(a.c)), "listed still")
        with alone(group=a.group) as n:
            eq(n.gen, 1, "a new group begins anew")
        commit(a.c, simple, [(t, 1, 9)])
        eq(offsets(a.c, simple, None), {(t.name, 1): (9, "")}, "new offsets")


@row("delete/empty-name")
def delete_empty():
    t = new_topic()
    with Conn() as c:
        commit(c, "", [(t, 0, 1)])
        eq(delete(c, [""]), [0], "error")
        eq(offsets(c, "", None), {}, "offsets")
        eq(delete(c, [""]), [NO_GROUP], "again")


@row("delete/while-rebalancing")
def delete_rebalancing():
    a, b = pair()
    with a, b:
        a.join_send()
        until_beat(b, REBALANCE)
        eq(delete(b.c, [a.group]), [NON_EMPTY], "preparing")
        b.join()
        a.join_end()
        eq(delete(b.c, [a.group]), [NON_EMPTY], "completing")


# ---------------------------------------------------------- offset deletion

@row("forget/simple")
def forget_simple():
    t, no = new_topic(3), Topic(fresh_name("no"), os.urandom(16), 1)
    g = fresh_name("g")
    with Conn() as c:
        eq(forget(c, g, [(t, 0)]), (NO_GROUP, []), "no group")
        eq(forget(c, "", [(t, 0)]), (INVALID_GROUP, []), "no name")
        commit(c, g, [(t, 0, 1), (t, 1, 2)])
        eq(forget(c, g, [(t, 0), (t, 2), (t, 3), (no, 0)]),
           (0, [0, 0, UNKNOWN_TOPIC, UNKNOWN_TOPIC]), "errors")
        eq(offsets(c, g, None), {(t.name, 1): (2, "")}, "offsets")
        eq(forget(c, g, []), (0, []), "nothing")


@rows("forget/subscribed/%d", [0, 1, 2, 3, 4, 100])
def forget_subscribed(version):
    """Of a group at work only what nobody reads; any later version of a
    subscription begins as the first does."""
    t, u = new_topic(), new_topic()
    ps = [("range", subscription([t.name, "other"], version))]
    with alone(protocols=ps) as m:
        eq([m.commit(x, 1) for x in (t, u)], [0, 0], "commits")
        eq(forget(m.c, m.group, [(t, 0), (u, 0)]), (0, [SUBSCRIBED, 0]),
           "errors")
        eq(offsets(m.c, m.group, None), {(t.name, 0): (1, "")}, "offsets")
        leave(m)
        eq(forget(m.c, m.group, [(t, 0)]), (0, [0]), "nobody is left")


@row("forget/by-any-member")
def forget_any():
    t, u = new_topic(), new_topic()
    group = fresh_name("g")
    with Member(group, protocols=[("range", subscription([t.name]))]) as a, \
            Member(group, protocols=[("range", subscription([u.name]))]) as b:
        a.join()
        settle([a])
        b.join_begin()
        until_beat(a, REBALANCE)
        a.join()
        b.join_end()
        settle([a, b])
        eq(forget(a.c, group, [(t, 0), (u, 0)]),
           (0, [SUBSCRIBED, SUBSCRIBED]), "errors")


@rows("forget/cannot-tell/%s", ["empty", "short", "count", "length",
                                "version", "text"])
def forget_garbage(kind):
    """Bytes that are no subscription may mean every topic."""
    meta = {"empty": b"", "short": b"\0\0\0", "text": b"meta",
            "count": struct.pack(">hi", 0, 0x7fffffff),
            "length": struct.pack(">hihh", 0, 2, 0, 99),
            "version": struct.pack(">hi", -1, 0)}[kind]
    t = new_topic()
    with alone(protocols=[("range", meta)]) as m:
        if kind == "version" and KAFKA:
            raise Skip("Kafka reads on behind a version of -1")
        eq(m.commit(t, 1), 0, "commit")
        eq(forget(m.c, m.group, [(t, 0)]), (0, [SUBSCRIBED]), "error")


@row("forget/other-types")
def forget_type():
    """Nobody can tell what members of another type read."""
    t = new_topic()
    with alone(ptype="connect") as m:
        eq(m.commit(t, 1), 0, "commit")
        eq(forget(m.c, m.group, [(t, 0)]), (NON_EMPTY, []), "error")
        leave(m)
        eq(forget(m.c, m.group, [(t, 0)]), (0, [0]), "nobody is left")


# ---------------------------------------------------------------- max size

def need_max():
    if not MAX_SIZE:
        raise Skip("the most members of a group are not known")


def full(group, **kw):
    """A stable group of as many as there may be."""
    ms = [Member(group, **kw) for _ in range(MAX_SIZE)]
    if "instance" in kw:
        for i, m in enumerate(ms):
            m.instance = "i%d" % i
    ms[0].join()
    settle(ms[:1])
    for m in ms[1:]:
        m.join_begin()
    until_members(ms[0].c, group, MAX_SIZE)
    ms[0].join_send()
    for m in ms:
        m.join_end()
    settle(ms)
    return ms


@row("max-size/stable")
def max_stable():
    need_max()
    group = fresh_name("g")
    ms = full(group)
    with Member(group) as n, Member(group, 3) as old, \
            Member(group, instance="ia") as s:
        for m in (n, old, s):
            r = m.join_raw()
            eq((r["error_code"], r["member_id"]), (FULL, ""), "one more")
        eq(ms[0].beat(), 0, "nobody is disturbed")
        ms[1].join()		# who is in may join again
        leave(ms.pop())
        until_beat(ms[0], REBALANCE)
        n.ask_id()
        for m in ms:
            m.join_send()
        n.join_send()
        for m in ms + [n]:
            m.join_end()
    for m in ms:
        m.c.close()


@row("max-size/joining")
def max_joining():
    """Ids are given freely while there is room; then the first to come back
    are taken."""
    need_max()
    group = fresh_name("g")
    ms = [Member(group) for _ in range(MAX_SIZE + 2)]
    late = ms[MAX_SIZE:]
    ms[0].join()
    settle(ms[:1])
    for m in ms[1:]:
        m.ask_id()
    for m in ms[:MAX_SIZE]:
        m.join_send()
    until_members(late[0].c, group, MAX_SIZE)
    for m in late:
        eq(m.join_raw()["error_code"], FULL, "one more")
    for m in ms[:MAX_SIZE]:
        m.join_end()
    settle(ms[:MAX_SIZE])
    for m in late:
        eq(m.join_raw()["error_code"], FULL, "again")
    for m in ms:
        m.c.close()


@row("max-size/static-comes-back")
def max_static():
    need_max()
    group = fresh_name("g")
    ms = full(group, instance="i")
    with Member(group, instance="i1") as n:
        eq(n.join()["error_code"], 0, "in place of the old one")
    for m in ms:
        m.c.close()


# -------------------------------------------------------------------- ends

def need_expiry():
    if not EXPIRES:
        raise Skip("it does not look for them often enough")


def gone(c, group, t):
    return offsets(c, group, [(t, [0])])[t.name, 0][0] == -1


@rows("expiry/retention-of-the-commit/v%d", [2, 3, 4])
def expiry(v):
    need("OffsetCommit", v)
    need_expiry()
    t = new_topic(2)
    g = fresh_name("g")
    with Conn() as c:
        eq(commit(c, g, [(t, 0, 1)], v, retention_time_ms=1), [0], "short")
        eq(commit(c, g, [(t, 1, 1)], v, retention_time_ms=3600000), [0],
           "long")
        wait_for(lambda: gone(c, g, t), "its end")
        eq(offsets(c, g, None), {(t.name, 1): (1, "")}, "the other")
        eq(commit(c, g, [(t, 1, 2)], v, retention_time_ms=0), [0], "none")
        wait_for(lambda: state(c, g) == "Dead", "the group's end")


@row("expiry/not-while-at-work")
def expiry_work():
    """Of a stable group only what nobody reads ends."""
    need_expiry()
    t, u = new_topic(), new_topic()
    ps = [("range", subscription([t.name]))]
    with alone(protocols=ps) as m:
        for x in (t, u):
            eq(m.commit(x, 1, version=4, retention_time_ms=1), 0, "commit")
        wait_for(lambda: gone(m.c, m.group, u), "its end")
        eq(gone(m.c, m.group, t), False, "who reads it keeps it")
        leave(m)
        wait_for(lambda: gone(m.c, m.group, t), "the end of the other")


@row("expiry/other-types-keep")
def expiry_type():
    need_expiry()
    t, u = new_topic(), new_topic()
    g = fresh_name("g")
    with alone(ptype="connect") as m:
        eq(m.commit(t, 1, version=4, retention_time_ms=1), 0, "commit")
        # Another's end tells that a sweep has come by.
        commit(m.c, g, [(u, 0, 1)], 4, retention_time_ms=1)
        wait_for(lambda: gone(m.c, g, u), "its end")
        eq(gone(m.c, m.group, t), False, "at work")


@row("expiry/empty-group-goes")
def expiry_group():
    need_expiry()
    with alone() as m:
        leave(m)
        wait_for(lambda: state(m.c, m.group) == "Dead", "the group's end")


# ---------------------------------------------------------------- restarts

@row("restart/remembers")
def restart():
    """Run again after a restart: who is in the group and what it has, what
    was deleted stays so."""
    path = os.environ.get("CHRONIK_WIRE_SEEN")
    if not path:
        raise Skip("no file to remember groups in")
    with Conn(client_id="look") as c:
        if not os.path.exists(path):
            t = new_topic(2)
            made.remove(t.name)
            with alone(instance="ia") as m:
                eq(m.commit(t, 4), 0, "commit")
                seen = {"group": m.group, "topic": t.name}
            seen["deleted"], seen["forgot"] = fresh_name("g"), fresh_name("g")
            for g in (seen["deleted"], seen["forgot"]):
                commit(c, g, [(t, 0, 1), (t, 1, 2)], 4,
                       retention_time_ms=86400000)
            eq(delete(c, [seen["deleted"]]), [0], "DeleteGroups")
            eq(forget(c, seen["forgot"], [(t, 0)]), (0, [0]), "OffsetDelete")
            seen["was"] = str(describe(c, [seen["group"]]))
        else:
            with open(path) as f:
                seen = json.load(f)
        eq(str(describe(c, [seen["group"]])), seen["was"], "the group")
        ok("'client_id': 'wire'" in seen["was"], "client id")
        eq(offsets(c, seen["group"], None), {(seen["topic"], 0): (4, "")},
           "offsets")
        eq(state(c, seen["deleted"]), "Dead", "the deleted group")
        eq(offsets(c, seen["deleted"], None), {}, "its offsets")
        eq(offsets(c, seen["forgot"], None), {(seen["topic"], 1): (2, "")},
           "what is left of others")
    with open(path, "w") as f:
        json.dump(seen, f)


if __name__ == "__main__":
    kafka.run()
