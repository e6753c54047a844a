# SPDX-License-Identifier: Apache-2.0
"""
Large groups, and many: hundreds of members that join, leave and come back,
thousands of groups with their offsets, a client that never reads its answers.
All of it is right afterwards, also after a crash; what it costs others is
printed and asserted nowhere.

usage: group_scale.py HOST:PORT fill|look|commits PID...

CHRONIK_SCALE_MEMBERS, _GROUPS, _OFFSETS: how many, and offsets of each group.
"""
import os
import selectors
import signal
import struct
import subprocess
import sys
import time

import records as R
import scale
from scale import array, fail, ok, text

MEMBERS = int(os.environ.get("CHRONIK_SCALE_MEMBERS", "300"))
GROUPS = int(os.environ.get("CHRONIK_SCALE_GROUPS", "1500"))
OFFSETS = int(os.environ.get("CHRONIK_SCALE_OFFSETS", "5"))
COMMITTERS = 64
COMMIT_S = 3
WAIT_S = 120
PRODUCE, METADATA, COMMIT, FETCH, JOIN, BEAT, LEAVE, SYNC = \
    0, 3, 8, 9, 11, 12, 13, 14
DESCRIBE, LIST, CREATE, DELETE_TOPICS, DELETE_GROUPS = 15, 16, 19, 20, 42
REBALANCE = 27
BIG = "scale-big"


class Address:
    def __init__(self, bootstrap):
        host, port = bootstrap.rsplit(":", 1)
        self.address = host.strip("[]"), int(port)


def blob(b):
    return struct.pack(">i", len(b)) + b


def create(c, name, parts):
    row = text(name) + struct.pack(">ih", parts, 1) + array([]) + array([])
    a = c.call(CREATE, 0, array([row]) + struct.pack(">i", 30000))
    rows = [(a.text(), a.take("h")) for _ in range(a.take("i"))]
    ok(rows in ([(name, 0)], [(name, 36)]), "create:", rows)


# ------------------------------------------------------------ a large group

class Member:
    def __init__(self, broker):
        self.c = scale.Conn(broker)
        self.id, self.gen, self.members = "", -1, []

    def join_send(self):
        self.c.send(JOIN, 2, text(BIG) + struct.pack(">ii", 300000, 300000) +
                    text(self.id) + text("consumer") +
                    array([text("range") + blob(b"x" * 100)]))

    def join_end(self):
        a = self.c.recv()
        ok(a.take("ih")[1] == 0, "join")
        self.gen = a.take("i")
        a.text()
        self.leader, self.id = a.text(), a.text()
        self.members = []
        for _ in range(a.take("i")):
            self.members.append(a.text())
            a.raw(a.take("i"))

    def sync_send(self):
        rows = [text(m) + blob(m.encode()) for m in self.members]
        self.c.send(SYNC, 0, text(BIG) + struct.pack(">i", self.gen) +
                    text(self.id) + array(rows))

    def sync_end(self):
        a = self.c.recv()
        ok(a.take("h") == 0, "sync")
        ok(a.raw(a.take("i")) == self.id.encode(), "another's assignment")

    def beat(self):
        return self.c.call(BEAT, 0, text(BIG) + struct.pack(">i", self.gen) +
                           text(self.id)).take("h")

    def leave_send(self):
        self.c.send(LEAVE, 0, text(BIG) + text(self.id))


def settle(ms, was):
    """All have joined: one generation, one leader that sees all of them."""
    for m in ms:
        m.join_end()
    gen, = {m.gen for m in ms}
    ok(gen > was, "generation", gen, "after", was)
    leader, = [m for m in ms if m.leader == m.id]
    ok({m.leader for m in ms} == {leader.id}, "leaders")
    ok(sorted(leader.members) == sorted(m.id for m in ms),
       "the leader's members")
    for m in ms:
        m.sync_send()
    for m in ms:
        m.sync_end()
    return gen


def large(broker):
    ms = [Member(broker) for _ in range(MEMBERS)]
    for m in ms:
        m.join_send()
    gen = settle(ms, 0)
    # Half of them go; the others are told, and come back.
    left, ms = ms[::2], ms[1::2]
    for m in left:
        m.leave_send()
    for m in left:
        ok(m.c.recv().take("h") == 0, "leave")
    end = time.monotonic() + WAIT_S
    while ms[-1].beat() != REBALANCE:
        ok(time.monotonic() < end, "nobody is told")
    for m in ms:
        m.join_send()
    gen = settle(ms, gen)
    print(f"{MEMBERS} members joined, {len(left)} left: generation {gen}")
    return ms


def describe_body(name):
    return array([text(name)])


def never_reads(broker, pids, ms):
    """What it asks for and does not take is bounded."""
    before = sum(anonymous(p) for p in pids)
    c, other = scale.Conn(broker), scale.Conn(broker)
    c.sock.setblocking(False)
    asked = 0
    body = describe_body(BIG)
    frame = struct.pack(">hhi", DESCRIBE, 0, 1) + text("scale") + body
    frame = struct.pack(">i", len(frame)) + frame
    out = frame * 20000
    try:
        while out:
            out = out[c.sock.send(out):]
            asked += 1
    except BlockingIOError:
        pass
    for _ in range(200):
        ok(other.call(18, 0, b"").take("h") == 0, "ApiVersions")
        ok(ms[0].beat() == 0, "heartbeat")
    grown = sum(anonymous(p) for p in pids) - before
    print(f"a client that never reads: grown by {grown >> 20} MiB")
    ok(os.environ.get("CHRONIK_SCALE_MEMORY") == "0" or grown < 256 << 20,
       "grown by", grown, "bytes")
    c.sock.close()


def anonymous(pid):
    return scale.Process("x:" + pid).memory()[2]


# -------------------------------------------------------------- many groups

def commit_body(group, topic, parts, offset):
    rows = [struct.pack(">iq", p, offset) + text("") for p in parts]
    return text(group) + struct.pack(">i", -1) + text("") + \
        struct.pack(">q", -1) + array([text(topic) + array(rows)])


def commit_ok(a, n):
    for _ in range(a.take("i")):
        a.text()
        rows = [a.take("ih") for _ in range(a.take("i"))]
        ok(len(rows) == n and not any(e for _, e in rows), "commit:", rows)


def fetch(c, group, topic, parts):
    a = c.call(FETCH, 1, text(group) + array([text(topic) + array(
        [struct.pack(">i", p) for p in parts])]))
    out = []
    for _ in range(a.take("i")):
        a.text()
        for _ in range(a.take("i")):
            p, offset = a.take("iq")
            a.text(), a.take("h")
            out.append(offset)
    return out


def name_of(i):
    return f"scale-g{i}"


def piped(conns, n, send, recv, window=32):
    """n requests over the connections, some of each on their way."""
    for k, c in enumerate(conns):
        todo = list(range(k, n, len(conns)))
        for at in range(0, len(todo), window):
            for i in todo[at:at + window]:
                send(c, i)
            for i in todo[at:at + window]:
                recv(c.recv(), i)


def listed(c):
    a = c.call(LIST, 0, b"")
    ok(a.take("h") == 0, "ListGroups")
    out = set()
    for _ in range(a.take("i")):
        out.add(a.text())
        a.text()
    return {g for g in out if g.startswith("scale-g")}


def many(broker):
    conns = [scale.Conn(broker) for _ in range(8)]
    for c in conns:     # most have to wait for their turn: they say so
        ok(c.call(18, 0, b"").take("h") == 0, "ApiVersions")
    create(conns[0], "scale-keep", OFFSETS)
    create(conns[0], "scale-gone", 1)
    parts = range(OFFSETS)
    t = time.monotonic()
    piped(conns, GROUPS,
          lambda c, i: c.send(COMMIT, 2, commit_body(
              name_of(i), "scale-keep", parts, i)),
          lambda a, i: commit_ok(a, OFFSETS))
    t = time.monotonic() - t
    print(f"{GROUPS} groups, {GROUPS * OFFSETS} offsets"
          f" ({GROUPS * OFFSETS / t:.0f}/s)")
    piped(conns, GROUPS,
          lambda c, i: c.send(COMMIT, 2, commit_body(
              name_of(i), "scale-gone", [0], 1)),
          lambda a, i: commit_ok(a, 1))
    a = conns[0].call(DELETE_TOPICS, 0, array([text("scale-gone")]) +
                      struct.pack(">i", 30000))
    ok(a.take("i") == 1 and a.text() and a.take("h") == 0, "DeleteTopics")
    names = [name_of(i) for i in range(0, GROUPS, 3)]
    a = conns[1].call(DELETE_GROUPS, 0, array([text(n) for n in names]))
    a.take("i")
    rows = [(a.text(), a.take("h")) for _ in range(a.take("i"))]
    ok(rows == [(n, 0) for n in names], "DeleteGroups")


def look(broker):
    c = scale.Conn(broker)
    want = {name_of(i) for i in range(GROUPS) if i % 3}
    got = listed(c)
    ok(got == want, len(got), "groups,", len(want), "wanted")
    for i in range(0, GROUPS, max(1, GROUPS // 200)):
        offs = fetch(c, name_of(i), "scale-keep", range(OFFSETS))
        ok(offs == [i if i % 3 else -1] * OFFSETS, "offsets of", i, offs)
    print(f"{len(got)} groups and their offsets are there")


# -------------------------------------------------------------- what it costs

def probe(broker):
    """Produces until it is told to end; then says how long each took."""
    c = scale.Conn(broker)
    batch = R.batch(R.recs(1, 100))
    body = struct.pack(">hhi", -1, -1, 30000) + array(
        [text("scale-probe") + array([struct.pack(">i", 0) + blob(batch)])])
    took, stop = [], []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    print("ready", flush=True)
    while not stop:
        t = time.monotonic()
        c.call(PRODUCE, 3, body)
        took.append(time.monotonic() - t)
        time.sleep(0.001)
    took.sort()
    print(f"{len(took)} produced, ms: p50"
          f" {took[len(took) // 2] * 1000:.2f}, p99"
          f" {took[len(took) * 99 // 100] * 1000:.2f}, most"
          f" {took[-1] * 1000:.1f}")


class Probing:
    """Another process produces meanwhile."""

    def __init__(self, broker, bootstrap, what):
        create(scale.Conn(broker), "scale-probe", 1)
        self.what = what
        self.p = subprocess.Popen([sys.executable, __file__, bootstrap,
                                   "probe"], stdout=subprocess.PIPE,
                                  text=True)
        ok(self.p.stdout.readline() == "ready\n", "no probe")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.p.send_signal(signal.SIGTERM)
        print(f"{self.what + ':':18}", self.p.stdout.read().strip())
        ok(self.p.wait() == 0, "the probe failed")


def commits(broker):
    """Each connection commits as often as it is answered."""
    conns = [scale.Conn(broker) for _ in range(COMMITTERS)]
    create(conns[0], "scale-keep", OFFSETS)
    sel = selectors.DefaultSelector()
    for k, c in enumerate(conns):
        c.body = commit_body(f"scale-c{k}", "scale-keep", [0], k)
        c.send(COMMIT, 2, c.body)
        sel.register(c.sock, selectors.EVENT_READ, c)
    n, t = 0, time.monotonic()
    while time.monotonic() < t + COMMIT_S:
        for key, _ in sel.select(1):
            commit_ok(key.data.recv(), 1)
            key.data.send(COMMIT, 2, key.data.body)
            n += 1
    for c in conns:
        commit_ok(c.recv(), 1)
    print(f"{COMMITTERS} connections: {n / COMMIT_S:.0f} commits/s")


def main():
    bootstrap, what, pids = sys.argv[1], sys.argv[2], sys.argv[3:]
    broker = Address(bootstrap)
    if what == "probe":
        probe(broker)
    elif what == "commits":
        commits(broker)
    elif what == "look":
        look(broker)
    elif what == "fill":
        with Probing(broker, bootstrap, "alone"):
            time.sleep(1)
        with Probing(broker, bootstrap, "a large group"):
            ms = large(broker)
        never_reads(broker, pids, ms)
        with Probing(broker, bootstrap, "many groups"):
            many(broker)
        with Probing(broker, bootstrap, "commits"):
            commits(broker)
        look(broker)
    else:
        fail("unknown word", what)


if __name__ == "__main__":
    main()
