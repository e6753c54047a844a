# SPDX-License-Identifier: Apache-2.0
"""
The benchmarks of many: idle partitions, idle connections, consumers that wait,
and of starts after kill -9 and of hours.  What is compared takes turns within
a round, because the machine has others to serve too.
"""
import os
import resource
import selectors
import socket
import statistics
import struct
import threading
import time

import limits
import parts

TURNS = 3		# of what is compared, in each round
KILL_S = 3		# of load before a kill
WAITING = 2000		# consumers
AGAIN_MS = 500		# Kafka's fetch.max.wait.ms
POLLS = 500		# fetches of a session that are measured
FETCH_SESSIONS = 7	# the first version that has them


def timed(f):
    start = time.monotonic()
    f()
    return time.monotonic() - start


def metadata_ms(target, n=5):
    """All topics, as a client asks for them."""
    c = parts.Conn(target.kafka)
    took = []
    for _ in range(n):
        start = time.monotonic()
        c.send(3, 1, struct.pack(">i", -1))
        c.recv()
        took.append((time.monotonic() - start) * 1e3)
    return statistics.median(took)


def ask_names(target, key, version, rows, tail):
    """A request about many topics, 1,000 at a time; none may fail."""
    c = parts.Conn(target.kafka)
    for first in range(0, len(rows), parts.ROWS_MAX):
        some = rows[first:first + parts.ROWS_MAX]
        c.send(key, version, struct.pack(">i", len(some)) + b"".join(some) +
               tail)
        f = c.recv()
        at = 8
        for _ in some:
            size, = struct.unpack_from(">h", f, at)
            name = f[at + 2:at + 2 + size].decode()
            error, = struct.unpack_from(">h", f, at + 2 + size)
            if error:
                parts.fail("topic", name, "error", error)
            at += 4 + size
            if key == 19:		# and a message, null
                at += 2


def create_topics(target, names, size):
    """CreateTopics v2."""
    ask_names(target, 19, 2, [parts.text(n) + struct.pack(
        ">ihii", size, 1, 0, 0) for n in names], struct.pack(">ib", 60000, 0))


def delete_topics(target, names):
    """DeleteTopics v1."""
    ask_names(target, 20, 1, [parts.text(n) for n in names],
              struct.pack(">i", 60000))


def anon_kib(target):
    return {role: m["anon_kib"] for role, m in target.memory().items()}


def idle_parts(run, target, named, topics, size):
    """Topics of so many partitions each that nobody uses."""
    before = anon_kib(target)
    made = [f"idle-{i}" for i in range(topics)]
    took = timed(lambda: create_topics(target, made, size))
    n = topics * size
    time.sleep(1)
    held = {role: kib - before[role] for role, kib in
            anon_kib(target).items()}
    run.row(target, {
        "what": f"making {named}", "create_s": took,
        "kib_per_partition": held["engine"] / n,
        "gateway_kib_per_partition": held["gateway"] / n,
        "metadata_ms": metadata_ms(target),
        "idle_cpu_percent": run.idle(target)})
    return made


def fill(target, topics, size):
    """One record to each partition: what has none may cost less."""
    data = parts.R.batch(parts.R.recs(1, size=100, key=False))
    c = parts.Conn(target.kafka)
    for topic in topics:
        for rows, body in parts.requests(topic, size, data):
            c.send(parts.PRODUCE, 5, body)
            parts.answered(c.recv(), topic, rows)


def b7(run):
    """Idle partitions: memory, making and deleting them, metadata, a start,
    and 100 busy ones beside them against 1 and 100 without others."""
    sizes = [(1, 1000), (1000, 1)]
    if run.full:
        sizes = [(1, 1000), (10, 1000), (50, 1000), (10000, 1)]
    busy = dict(rate=2000, count=10000, size=100, acks="all", linger_ms=0)
    for topics, size in sizes:
        named = f"{topics} x {size}"
        with run.ours() as alone, run.ours() as target:
            before = anon_kib(target)["engine"]
            made = idle_parts(run, target, named, topics, size)
            n = topics * size
            if size > 1:
                fill(target, made, size)
                time.sleep(3)		# for what is written behind
                run.row(target, {
                    "what": f"written {named}", "kib_per_partition":
                        (anon_kib(target)["engine"] - before) / n,
                    "idle_cpu_percent": run.idle(target)})
            for _ in range(TURNS):
                run.pace(alone, f"1 alone {named}", 1, **busy)
                run.pace(alone, f"100 alone {named}", 100, **busy)
                run.pace(target, f"100 by {named}", 100, **busy)
            target.stop()
            target.start()
            run.row(target, {
                "what": f"start {named}", "start_ms": target.start_ms,
                "start_ms_per_10k": target.start_ms / n * 1e4,
                "kib_per_partition":
                    (anon_kib(target)["engine"] - before) / n})
            run.row(target, {
                "what": f"deleting {named}", "delete_s": timed(
                    lambda: delete_topics(target, made))})


def api_versions():
    body = struct.pack(">hhih", 18, 0, 1, 4) + b"idle"
    return struct.pack(">i", len(body)) + body


def connect(target, n):
    """n connections that have asked something and are idle."""
    host, port = target.kafka.split(":")
    held = []
    for _ in range(n):
        s = socket.create_connection((host, int(port)))
        s.sendall(api_versions())
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        s.recv(size, socket.MSG_WAITALL)
        held.append(s)
    return held


def b8(run):
    """Idle connections: memory, and round trips beside them against those of
    a broker without any, acks=1."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    steps = (1000, 5000, 10000) if run.full else (1000,)
    lone = dict(count=3000, size=100, acks="1", arrival="false")
    # Ours takes 10,000 by default, and the load needs some too.
    words = ("--max-connections", "20000")
    for target in run.brokers("ours", "kafka", own=True, words=words):
        alone = run.open(target.name, words)
        try:
            for one in (alone, target):
                run.rtt(one, None, **lone)
            before, held = target.resident_kib(), []
            for n in steps:
                held += connect(target, n - len(held))
                run.row(target, {
                    "what": f"{n} connections",
                    "bytes_per_connection":
                        (target.resident_kib() - before) * 1024 / n,
                    "idle_cpu_percent": run.idle(target)})
                for _ in range(TURNS):
                    run.rtt(alone, f"alone, for {n}", **lone)
                    run.rtt(target, f"beside {n}", **lone)
            if run.full and target.name == "ours":
                create_topics(target, [f"idle-{i}" for i in range(10)], 1000)
                run.row(target, {"what": "and 10000 partitions",
                                 "idle_cpu_percent": run.idle(target, 10)})
            for s in held:
                s.close()
        finally:
            alone.clean()


def wait_frame(topic, wait_ms):
    """Fetch v4 from the end of a partition that is empty."""
    body = (struct.pack(">hhih", 1, 4, 1, 4) + b"wait" +
            struct.pack(">iiiibi", -1, wait_ms, 1, 1 << 20, 0, 1) +
            parts.text(topic) + struct.pack(">iiqi", 1, 0, 0, 1 << 20))
    return struct.pack(">i", len(body)) + body


def poll_again(held, frame, seconds):
    """Each asks again when it is answered; how many were."""
    ready, answers, end = selectors.DefaultSelector(), 0, 0
    for s in held:
        ready.register(s, selectors.EVENT_READ)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in ready.select(0.1):
            # An answer without records comes whole.
            if not key.fileobj.recv(4096):
                parts.fail("a waiting consumer was cut off")
            key.fileobj.sendall(frame)
            answers += 1
    return answers


def session_fetch(c, topic, some, session, epoch):
    """Fetch v7 with a session, that does not wait; the session's id."""
    rows = b"".join(struct.pack(">iqqi", p, 0, -1, 1 << 20) for p in some)
    c.send(1, FETCH_SESSIONS, struct.pack(
        ">iiiibii", -1, 0, 1, 1 << 20, 0, session, epoch) +
        (struct.pack(">i", 1) + parts.text(topic) +
         struct.pack(">i", len(some)) + rows if some else
         struct.pack(">i", 0)) + struct.pack(">i", 0))
    _, error, session = struct.unpack_from(">ihi", c.recv())
    if error or not session:
        parts.fail("a fetch session's error", error)
    return session


def session_cost(target, sessions):
    """CPU ns of a fetch that finds nothing, by partitions of its session."""
    cost = {n: [] for n in sessions}
    for turn in range(TURNS):
        for n, s in sessions.items():
            before = sum(target.cpu().values())
            for _ in range(POLLS):
                session_fetch(s["conn"], None, [], s["id"], s["epoch"])
                s["epoch"] += 1
            cost[n].append((sum(target.cpu().values()) - before) / POLLS * 1e9)
    return {n: statistics.median(v) for n, v in cost.items()}


def b12(run):
    """Consumers at the end of an empty partition: 2,000 that wait, the same
    asking every 500 ms as clients do, and sessions of idle partitions."""
    for target in run.brokers("ours", "kafka", own=True):
        topic = run.topic(target, 1, keep=True)[0]
        held = connect(target, WAITING)
        again = wait_frame(topic, AGAIN_MS)
        for s in held:
            s.sendall(again)
        poll_again(held, again, 3)
        before, start = sum(target.cpu().values()), time.monotonic()
        n = poll_again(held, again, 8)
        spent = sum(target.cpu().values()) - before
        run.row(target, {
            "what": f"{WAITING}, every {AGAIN_MS} ms",
            "idle_cpu_percent": spent / (time.monotonic() - start) * 100,
            "us_per_poll": spent / n * 1e6})
        poll_again(held, wait_frame(topic, 30000), 1)
        run.row(target, {"what": f"{WAITING} waiting",
                         "idle_cpu_percent": run.idle(target, 5)})
        for s in held:
            s.close()
        many = 10000 if run.full and target.name == "ours" else 1000
        sessions = {}
        for size in (1, many):
            topic = run.topic(target, size, keep=True)[0]
            c = parts.Conn(target.kafka)
            sessions[size] = {"conn": c, "epoch": 1, "id": session_fetch(
                c, topic, range(size), 0, 0)}
        session_cost(target, sessions)		# what is run for the first time
        cost = session_cost(target, sessions)
        run.row(target, {
            "what": f"session of {many}",
            "ns_per_partition": (cost[many] - cost[1]) / (many - 1),
            "us_per_poll": cost[many] / 1e3})


def killed(target, topic, n, acked):
    """Produces to all partitions until the broker is killed, which is soon;
    counts in acked what was answered for.  How many were sent."""
    data = parts.R.batch(parts.R.recs(1, size=100, key=False))
    bodies = parts.requests(topic, n, data)
    conns = [parts.Conn(target.kafka) for _ in range(parts.CONNS)]
    flying, sent, start = [], 0, time.monotonic()
    killer = threading.Timer(KILL_S, target.kill)
    killer.start()
    try:
        while time.monotonic() < start + KILL_S + 30:
            while len(flying) < len(conns):
                c, turn = conns[sent % len(conns)], sent % len(bodies)
                c.send(parts.PRODUCE, 5, bodies[turn][1])
                flying.append((c, turn))
                sent += 1
            c, turn = flying.pop(0)
            parts.answered(c.recv(), topic, bodies[turn][0])
            acked[turn] += 1
    except (OSError, struct.error):
        pass
    killer.join()
    return sent, data


def ends(target, topic, n):
    """The end of each partition's log; ListOffsets v1."""
    c, found = parts.Conn(target.kafka), {}
    for first in range(0, n, parts.ROWS_MAX):
        some = range(first, min(first + parts.ROWS_MAX, n))
        c.send(2, 1, struct.pack(">ii", -1, 1) + parts.text(topic) +
               struct.pack(">i", len(some)) +
               b"".join(struct.pack(">iq", p, -1) for p in some))
        f = c.recv()
        at = 4 + 2 + len(topic) + 4
        for _ in some:
            p, error, _, end = struct.unpack_from(">ihqq", f, at)
            if error:
                parts.fail("the end of partition", p, "error", error)
            found[p] = end
            at += 22
    return found


def b16(run):
    """kill -9 under load with many partitions: until the first produce is
    answered, and what is lost of what was."""
    n = 10000 if run.full else 1000
    with run.ours() as target:
        topic = run.topic(target, n, keep=True)[0]
        acked = [0] * -(-n // parts.ROWS_MAX)
        sent, data = killed(target, topic, n, acked)
        start = time.monotonic()
        target.start()
        c = parts.Conn(target.kafka)
        rows, body = parts.requests(topic, 1, data)[0]
        c.send(parts.PRODUCE, 5, body)
        parts.answered(c.recv(), topic, rows)
        took = (time.monotonic() - start) * 1e3
        cpu = sum(target.cpu().values())
        found = ends(target, topic, n)
        found[0] -= 1
        lost = sum(max(0, acked[p // parts.ROWS_MAX] - found[p])
                   for p in range(n))
        found[0] += 1
        parts.read_back(target, topic, n, data, sum(found.values()))
        run.row(target, {"what": f"{n} partitions", "requests": sent,
                         "start_ms": target.start_ms, "produce_ms": took,
                         "start_cpu_s": cpu,
                         "lost": lost})


def read_through(path):
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass


def files_under(directory):
    """The regular ones; the engine's socket is none."""
    paths = (os.path.join(where, name)
             for where, _, names in os.walk(directory) for name in names)
    return [p for p in paths if os.path.isfile(p)]


def b16scan(run):
    """A start after kill -9 without an index: all of the log is proved, and
    must be read from the disk for it; beside it, reading it alone."""
    count = 4000000 if run.full else 600000
    with run.ours() as target:
        run.produce(target, None, partitions=16, acks="1", count=count,
                    size=1024, verify=False, linger_ms=5, batch=100000)
        topic = f"bench-{run.topics}"
        target.kill()
        logs = [p for p in files_under(target.data) if p.endswith(".log")]
        size = sum(os.path.getsize(p) for p in logs)
        for path in files_under(target.data):
            if path.endswith(".idx"):
                os.unlink(path)
        limits.evict(logs)
        plain = timed(lambda: [read_through(p) for p in logs])
        limits.evict(logs)
        start, read = time.monotonic(), limits.disk_read_bytes()
        target.start()
        found = ends(target, topic, 16)
        took = time.monotonic() - start
        read = limits.disk_read_bytes() - read
        if sum(found.values()) != run.count(count):
            parts.fail(sum(found.values()), "records of", run.count(count))
        run.row(target, {"what": "scan", "start_ms": took * 1e3,
                         "start_cpu_s": sum(target.cpu().values()),
                         "mb_per_s": size / took / 1e6,
                         "disk_mb_per_s": read / took / 1e6})
        run.row("plain read", {"what": "scan",
                               "mb_per_s": size / plain / 1e6})


def b17(run):
    """Small segments and retention for a long time: latency, memory and
    descriptors, at the end against the beginning and a fresh broker."""
    seconds, windows = (7200, 12) if run.full else (120, 4)
    seconds = int(seconds * run.args.scale)
    words = ("--log-segment-bytes", str(1 << 20),
             "--log-retention-bytes", str(4 << 20),
             "--log-segment-delete-delay-ms", "1000",
             "--log-retention-check-interval-ms", "1000")
    with run.ours(*words) as target:
        topic = run.topic(target, 16, keep=True)
        seen, done = [], threading.Event()

        def look():
            while not done.wait(seconds / windows / 4):
                m = target.memory()
                seen.append((sum(r["anon_kib"] for r in m.values()),
                             sum(target.files().values())))

        watch = threading.Thread(target=look)
        watch.start()
        try:
            run.costed(target, "latency", lambda: run.tool(
                "pace", bootstrap=target.kafka, topic=topic[0], rate=2000,
                partitions=16, count=2000 * seconds, size=1024, acks="all",
                linger_ms=5, windows=windows))
        finally:
            done.set()
            watch.join()
        for name, some in (("first", seen[:4]), ("last", seen[-4:])):
            run.row(target, {
                "what": f"{name} of {windows} parts",
                "rss_mib": statistics.median(s[0] for s in some) / 1024,
                "files": statistics.median(s[1] for s in some)})
        # The machine may have been another one at the end.
        with run.ours(*words) as fresh:
            for _ in range(TURNS):
                for name, one in (("old", target), ("fresh", fresh)):
                    run.pace(one, name, 16, count=20000, rate=2000, size=1024,
                             acks="all", linger_ms=5)
        disk = sum(os.path.getsize(p) for p in files_under(target.data)
                   if p.endswith(".log"))
        run.row(target, {"MiB of logs at the end": disk / (1 << 20)})
