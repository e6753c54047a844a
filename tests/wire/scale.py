# SPDX-License-Identifier: Apache-2.0
"""
Many partitions, connections and long polls against a broker whose processes
are given: that all of it works, that what is idle does nothing at all, and
what it costs in memory and files.

usage: scale.py HOST:PORT STATUS ROLE:PID...

STATUS is a shell command that prints the engine's figures as JSON.  Memory is
held against the budgets only if CHRONIK_SCALE_MEMORY is not 0.
"""
import json
import os
import re
import resource
import select
import socket
import struct
import subprocess
import sys
import time

import records as R

TOPICS, PARTS = 10, 100
CONNS = 1000
POLLS = 200		# of the connections, at last, in three kinds
POLLS_OTHER = 25	# do not ask for the topic that is appended to
POLLS_LARGE = 25	# want more bytes than are appended
POLL_MS = 3600 * 1000	# longer than any run
BIG_BYTES = 1 << 20

QUIET_S = 5		# nothing moves for so long: nothing ticks
WAIT_S = 120		# bound of every wait

# Bytes of memory of a process's own; a test fails at thrice the budget.
BUDGET = {"partition": 4096, "connection": 8192}
SLACK = 3

API_VERSIONS, METADATA, PRODUCE, FETCH, CREATE_TOPICS = 18, 3, 0, 1, 19


def fail(*words):
    sys.exit("scale: " + " ".join(str(w) for w in words))


def ok(cond, *words):
    if not cond:
        fail(*words)


def read(path):
    with open(path) as f:
        return f.read()


# --------------------------------------------------------------- processes

class Process:
    def __init__(self, word):
        self.role, pid = word.split(":")
        self.dir = "/proc/" + pid

    def activity(self):
        """Grows whenever any of its threads does anything."""
        fields = read(self.dir + "/stat").rsplit(")", 1)[1].split()
        switches = 0
        for task in os.listdir(self.dir + "/task"):
            switches += sum(int(n) for n in re.findall(
                r"_ctxt_switches:\s+(\d+)",
                read(f"{self.dir}/task/{task}/status")))
        return {"ticks": int(fields[11]) + int(fields[12]),
                "switches": switches}

    def memory(self):
        """Bytes: resident, of these its own, of these not of a file."""
        kib = dict(re.findall(r"(\w+):\s+(\d+) kB",
                              read(self.dir + "/smaps_rollup")))
        private = int(kib["Private_Clean"]) + int(kib["Private_Dirty"])
        return [int(kib["Rss"]) * 1024, private * 1024,
                int(kib["Anonymous"]) * 1024]

    def files(self):
        return len(os.listdir(self.dir + "/fd"))


class Broker:
    def __init__(self, bootstrap, status, words):
        host, port = bootstrap.rsplit(":", 1)
        self.address = host.strip("[]"), int(port)
        self.status_command = status
        self.processes = [Process(w) for w in words]

    def status(self):
        out = subprocess.run(["sh", "-c", self.status_command], check=True,
                             capture_output=True, text=True).stdout
        return json.loads(out)["items"][0]

    def activity(self):
        return [(p.role, p.dir, p.activity()) for p in self.processes]

    def idle(self, when):
        """Waits until no process moves for a while.  What has only just
        happened may still have an end (a checkpoint); what comes again and
        again never lets this pass."""
        end = time.monotonic() + WAIT_S
        before = self.activity()
        while True:
            time.sleep(QUIET_S)
            after = self.activity()
            if after == before:
                print(f"idle {when}: nothing moves for {QUIET_S} s")
                return
            if time.monotonic() > end:
                fail(f"never idle {when}: in {QUIET_S} s from", before, "to",
                     after)
            before = after

    def figures(self, when):
        """Prints and returns own bytes not of files, by role."""
        total = {}
        for p in self.processes:
            row = total.setdefault(p.role, [0, 0, 0, 0])
            for i, n in enumerate([*p.memory(), p.files()]):
                row[i] += n
        for role, (rss, private, anon, files) in total.items():
            print(f"{when + ',':26} {role + ':':9} rss {rss >> 10:6} KiB,"
                  f" private {private >> 10:6} KiB, anonymous"
                  f" {anon >> 10:6} KiB, {files:5} files")
        return {role: row[2] for role, row in total.items()}


def cost(what, role, before, after, n):
    each = (after[role] - before[role]) / n
    print(f"{role}: {each:.0f} bytes for each {what}")
    budget = BUDGET.get(what)
    if budget and os.environ.get("CHRONIK_SCALE_MEMORY") != "0":
        ok(each <= budget * SLACK, f"{each:.0f} bytes of the {role} for each"
           f" {what}: more than {SLACK} times {budget}")


# ---------------------------------------------------------------- requests

def text(s):
    return struct.pack(">h", len(s)) + s.encode()


def array(rows):
    return struct.pack(">i", len(rows)) + b"".join(rows)


def topic_name(t):
    return f"scale-{t}"


class Conn:
    """Requests are answered in order, so a correlation id is a count."""

    def __init__(self, broker):
        self.sock = socket.create_connection(broker.address, WAIT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = self.got = 0

    def send(self, key, version, body):
        self.sent += 1
        frame = struct.pack(">hhi", key, version, self.sent) + text("scale") \
            + body
        self.sock.sendall(struct.pack(">i", len(frame)) + frame)

    def exactly(self, n):
        data = bytearray()
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            ok(more, "the broker closed a connection")
            data += more
        return bytes(data)

    def recv(self):
        frame = self.exactly(struct.unpack(">i", self.exactly(4))[0])
        self.got += 1
        ok(struct.unpack_from(">i", frame)[0] == self.got,
           "answers out of order")
        return Answer(frame[4:])

    def call(self, key, version, body):
        self.send(key, version, body)
        return self.recv()


class Answer:
    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.pos)
        self.pos += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def raw(self, n):
        n = max(n, 0)
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def text(self):
        return self.raw(self.take("h")).decode()


def create_topic(c, name):
    row = text(name) + struct.pack(">ih", PARTS, 1) + array([]) + array([])
    a = c.call(CREATE_TOPICS, 0, array([row]) + struct.pack(">i", 30000))
    rows = [(a.text(), a.take("h")) for _ in range(a.take("i"))]
    ok(rows == [(name, 0)], "create:", rows)


def hello(c):
    """What every client does first; Metadata of all topics."""
    c.send(API_VERSIONS, 0, b"")
    c.send(METADATA, 1, struct.pack(">i", -1))
    ok(c.recv().take("h") == 0, "ApiVersions")
    a = c.recv()
    for _ in range(a.take("i")):
        a.take("i"), a.text(), a.take("i"), a.raw(a.take("h"))
    a.take("i")
    found = 0
    for _ in range(a.take("i")):
        ok(a.take("h") == 0, "Metadata")
        a.text(), a.take("b")
        for _ in range(a.take("i")):
            ok(a.take("hii")[0] == 0, "a partition of Metadata")
            a.raw(4 * a.take("i")), a.raw(4 * a.take("i"))
            found += 1
    ok(found == TOPICS * PARTS, found, "partitions in Metadata")


def produce(c, t, p, data):
    """acks=all; returns the base offset."""
    row = struct.pack(">ii", p, len(data)) + data
    body = struct.pack(">hhi", -1, -1, 30000) + \
        array([text(topic_name(t)) + array([row])])
    a = c.call(PRODUCE, 3, body)
    a.take("i"), a.text(), a.take("i")
    index, error, base, _ = a.take("ihqq")
    ok((index, error) == (p, 0), "produce: error", error)
    return base


def fetch_send(c, wanted, min_bytes, max_wait_ms):
    """wanted: {topic: {partition: offset}}"""
    topics = [text(topic_name(t)) + array(
        [struct.pack(">iqi", p, offset, 1 << 20)
         for p, offset in parts.items()]) for t, parts in wanted.items()]
    c.send(FETCH, 4, struct.pack(">iiiib", -1, max_wait_ms, min_bytes,
                                 50 << 20, 0) + array(topics))


def fetch_recv(c):
    """{(topic, partition): records} of those that have any."""
    a = c.recv()
    a.take("i")
    found = {}
    for _ in range(a.take("i")):
        name = a.text()
        for _ in range(a.take("i")):
            p, error, _, _ = a.take("ihqq")
            ok(error == 0, name, p, "fetch: error", error)
            a.raw(16 * max(a.take("i"), 0))
            data = a.raw(a.take("i"))
            if data:
                found[name, p] = data
    return found


def values(data):
    return [r.value for r in R.all_records(data)]


# -------------------------------------------------------------------- test

def spread():
    """A few of all partitions."""
    return [(t, (t * 37 + i * 13) % PARTS) for t in range(TOPICS)
            for i in range(3)]


def works(conns):
    """Through different connections, to some of the partitions."""
    for i, (t, p) in enumerate(spread()):
        base = produce(conns[i * 31 % len(conns)], t, p,
                       R.batch(R.recs(3, tag=b"%d/%d " % (t, p))))
        c = conns[i * 17 % len(conns)]
        fetch_send(c, {t: {p: base}}, 1, 10000)
        found = fetch_recv(c)
        ok(list(found) == [(topic_name(t), p)], "fetched", list(found))
        ok(values(found[topic_name(t), p]) ==
           [r.value for r in R.recs(3, tag=b"%d/%d " % (t, p))],
           "other records than were produced to", t, p)


def ends():
    """Where every partition ends after works() was called twice."""
    at = {t: dict.fromkeys(range(PARTS), 0) for t in range(TOPICS)}
    for t, p in spread():
        at[t][p] += 6
    return at


def wait_parked(broker, n):
    end = time.monotonic() + WAIT_S
    while (got := broker.status()["fetches_parked"]) != n:
        ok(time.monotonic() < end, got, "long polls parked, not", n)
        time.sleep(0.05)


def ready(conns):
    """Those that have something to read, or have ended."""
    poll = select.poll()
    by_fd = {c.sock.fileno(): c for c in conns}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return {by_fd[fd] for fd, _ in poll.poll(0)}


def long_polls(broker, conns):
    """One append wakes those that it satisfies, once, and nobody else."""
    at, target = ends(), (3, 7)
    others = {t: parts for t, parts in at.items() if t != target[0]}
    polls = conns[:POLLS]
    wake, rest = polls[:-POLLS_OTHER - POLLS_LARGE], \
        polls[-POLLS_OTHER - POLLS_LARGE:]
    for i, c in enumerate(polls):
        fetch_send(c, others if c in rest[:POLLS_OTHER] else at,
                   BIG_BYTES if c in rest[POLLS_OTHER:] else 1, POLL_MS)
    wait_parked(broker, POLLS)
    broker.idle(f"with {POLLS} long polls")
    ok(not ready(conns), "a long poll is answered with nothing")
    before = broker.figures(f"{POLLS} long polls")
    fetches = broker.status()["fetches"]

    produce(conns[-1], *target, R.batch(R.recs(1, tag=b"wake")))
    want = [r.value for r in R.recs(1, tag=b"wake")]
    for c in wake:
        found = fetch_recv(c)
        ok(list(found) == [(topic_name(target[0]), target[1])],
           "woken with", list(found))
        ok(values(found[topic_name(target[0]), target[1]]) == want,
           "woken with other records")
    broker.idle("after an append that wakes most of them")
    ok(not ready(conns), "somebody else is woken, or the same again")
    status = broker.status()
    ok(status["fetches_parked"] == len(rest), status["fetches_parked"],
       "are parked still, not", len(rest))
    ok(status["fetches"] - fetches == len(wake), "fetches are answered",
       status["fetches"] - fetches, "times, not", len(wake))
    return before, rest


def main():
    sys.stdout.reconfigure(line_buffering=True)
    broker = Broker(sys.argv[1], sys.argv[2], sys.argv[3:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    need = CONNS + TOPICS * PARTS + 200
    if hard != resource.RLIM_INFINITY and hard < need:
        print(f"skipped: at most {hard} open files, {need} are needed")
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    first = Conn(broker)
    ok(first.call(API_VERSIONS, 0, b"").take("h") == 0, "ApiVersions")
    broker.idle("at the start")
    start = broker.figures("at the start")

    for t in range(TOPICS):
        create_topic(first, topic_name(t))
    n = broker.status()
    ok(n["partitions"] == TOPICS * PARTS, n["partitions"], "partitions")
    hello(first)
    broker.idle(f"with {TOPICS * PARTS} partitions")
    parts = broker.figures(f"{TOPICS * PARTS} partitions")
    cost("partition", "engine", start, parts, TOPICS * PARTS)

    conns = []
    for _ in range(CONNS):  # who is silent for long is closed
        conns.append(Conn(broker))
        hello(conns[-1])
    broker.idle(f"with {CONNS} connections")
    idle = broker.figures(f"{CONNS} connections")
    for role in ("gateway", "engine"):
        cost("connection", role, parts, idle, CONNS)
    works(conns)
    works(conns)
    broker.idle("after some use")
    used = broker.figures("after some use")

    parked, rest = long_polls(broker, conns)
    for role in ("gateway", "engine"):
        cost(f"long poll of {TOPICS * PARTS} partitions", role, used, parked,
             POLLS)
    for c in rest:
        c.sock.close()
    wait_parked(broker, 0)
    for c in conns:
        c.sock.close()
    hello(first)
    broker.idle("after all have gone")
    broker.figures("after all have gone")


if __name__ == "__main__":
    main()
