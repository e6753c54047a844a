#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Measures small durable appends to many partitions: requests with acks=all that
bring one batch of one record to each partition, as a client does that gathers
what goes to one broker.  Beside each figure stand, of the same minutes on the
same file system, what its disk takes for as many appends: one fdatasync a
file, one syncfs for all, and one write with its sync into a file that was
written before.  Everything produced is read back and compared.

Root gets a journaled ext4 of its own on a loop device, because the root file
system may have no journal and then says nothing; --dir takes another place.
With --other BUILD a second build takes turns with the first.  Prints a table;
--json has the figures of every round.  It asserts no time.
"""
import argparse
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "wire"))
import records as R	# noqa: E402
from brokers import alive	# noqa: E402

PRODUCE, FETCH = 0, 1
ROWS_MAX = 1000		# partitions of one request
CONNS = 4		# requests on their way at once
RAW_EACH_MAX = 200	# files of which each is synced, then scaled
IMAGE_MIB = 4096
ENTRY = 40		# beside the bytes of each append in one write


def arguments():
    p = argparse.ArgumentParser(description="many partitions")
    p.add_argument("--build", default=os.environ.get("CHRONIK_BUILD", "."))
    p.add_argument("--other", help="a second build, measured in turn")
    p.add_argument("--dir", help="where files are made; default: a loop image")
    p.add_argument("--parts", default="1,10,100,1000,10000")
    p.add_argument("--seconds", type=float, default=3.0)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--size", type=int, default=100, help="of a record")
    p.add_argument("--json")
    p.add_argument("--files", type=int, help="most open files of a process")
    p.add_argument("--no-raw", action="store_true")
    return p.parse_args()


def fail(*words):
    sys.exit("parts: " + " ".join(str(w) for w in words))


def text(s):
    return struct.pack(">h", len(s)) + s.encode()


class Place:
    """A directory on a journaled file system."""

    def __init__(self, args):
        self.mounted = False
        self.tmp = tempfile.mkdtemp(prefix="chronik-parts.", dir=args.dir)
        self.path = self.tmp
        if args.dir is None and os.geteuid() == 0:
            self.mount()

    def mount(self):
        image = os.path.join(self.tmp, "image")
        self.path = os.path.join(self.tmp, "mnt")
        os.mkdir(self.path)
        with open(image, "wb") as f:	# written: no holes to be filled later
            for _ in range(IMAGE_MIB):
                f.write(bytes(1 << 20))
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "100000", "-E",
                        "lazy_itable_init=0,lazy_journal_init=0", image],
                       check=True)
        subprocess.run(["mount", "-o", "loop", image, self.path], check=True)
        self.mounted = True

    def clean(self):
        if self.mounted:
            for _ in range(50):
                if subprocess.run(["umount", self.path],
                                  stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.2)
        shutil.rmtree(self.tmp, ignore_errors=True)


# --------------------------------------------------------------- raw limits

def timed(f):
    start = time.monotonic()
    f()
    return (time.monotonic() - start) * 1e3


def raw(place, n, size):
    """Milliseconds for one small append to each of n files."""
    libc = ctypes.CDLL(None, use_errno=True)
    d = tempfile.mkdtemp(dir=place.path)
    fds = [os.open(os.path.join(d, str(i)), os.O_CREAT | os.O_RDWR)
           for i in range(n)]
    top = os.open(d, os.O_RDONLY)
    data = b"x" * size
    room = max(1 << 20, (size + ENTRY) * n + 4096 & ~4095)
    journal = os.open(os.path.join(d, "journal"), os.O_CREAT | os.O_RDWR)
    os.pwrite(journal, bytes(room), 0)
    os.fsync(journal)

    def append(some):
        for fd in some:
            os.lseek(fd, 0, os.SEEK_END)
            os.write(fd, data)

    def syncfs():
        if libc.syncfs(top) != 0:
            fail("syncfs", os.strerror(ctypes.get_errno()))

    append(fds)
    syncfs()
    some = fds[:RAW_EACH_MAX]
    result = {"each": [], "syncfs": [], "journal": []}
    for _ in range(5):
        append(some)
        result["each"].append(timed(lambda: [os.fdatasync(f) for f in some])
                              * n / len(some))
        append(fds)
        result["syncfs"].append(timed(syncfs))
        size_all = (size + ENTRY) * n + 4096 & ~4095
        block = b"y" * size_all
        result["journal"].append(timed(lambda: (
            os.pwrite(journal, block, 0), os.fdatasync(journal))))
    for fd in [*fds, top, journal]:
        os.close(fd)
    shutil.rmtree(d)
    return {k: round(statistics.median(v), 3) for k, v in result.items()}


# ------------------------------------------------------------------- broker

class Broker:
    def __init__(self, build, place, files=None):
        self.limit = ["prlimit", f"--nofile={files}"] if files else []
        self.chronik = os.path.join(build, "chronik")
        self.tmp = tempfile.mkdtemp(dir=place.path)
        self.log = open(os.path.join(self.tmp, "log"), "w+")
        self.start_ms = timed(self.start)

    def start(self):
        self.process = subprocess.Popen(
            [*self.limit, self.chronik, "start", "--data-dir",
             os.path.join(self.tmp, "data"), "--bind-addr", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        ready = re.match(r"ready kafka=(\S+) engine=(\S+)", line)
        if not ready:
            self.log.seek(0)
            fail("the broker does not start:\n", self.log.read())
        self.kafka, self.engine = ready.groups()

    def admin(self, *words):
        r = subprocess.run([self.chronik, *words, "--engine", self.engine],
                           capture_output=True, text=True)
        if r.returncode != 0:
            fail("chronik", *words, r.stderr)

    def pid(self, name):
        kids = subprocess.run(["pgrep", "-P", str(self.process.pid), name],
                              capture_output=True, text=True).stdout.split()
        return int(kids[0])

    def cpu_s(self, name):
        return sum(int(open(p).read().split()[0]) / 1e9 for p in glob.glob(
            f"/proc/{self.pid(name)}/task/*/schedstat"))

    def anon_kib(self, name):
        with open(f"/proc/{self.pid(name)}/status") as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))

    def files(self, name):
        return len(os.listdir(f"/proc/{self.pid(name)}/fd"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(120) != 0:
            fail("the broker ended with", self.process.returncode)

    def kill(self):
        """kill -9 of all of it."""
        kids = subprocess.run(["pgrep", "-P", str(self.process.pid)],
                              capture_output=True, text=True).stdout.split()
        for pid in [self.process.pid, *map(int, kids)]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        # One with many files takes a moment to be gone.
        end = time.monotonic() + 60
        while any(alive(pid) for pid in kids):
            if time.monotonic() > end:
                fail("a process survives kill -9")
            time.sleep(0.002)

    def clean(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.tmp, ignore_errors=True)


class Conn:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.sock = socket.create_connection((host.strip("[]"), int(port)),
                                             120)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    def send(self, key, version, body):
        frame = struct.pack(">hhi", key, version, 1) + text("parts") + body
        self.sock.sendall(struct.pack(">i", len(frame)) + frame)

    def recv(self):
        n, = struct.unpack(">i", self.file.read(4))
        return self.file.read(n)[4:]


def requests(topic, n, data):
    """Bodies that together bring one batch to each partition."""
    made = []
    for first in range(0, n, ROWS_MAX):
        rows = b"".join(
            struct.pack(">ii", p, len(data)) + data
            for p in range(first, min(first + ROWS_MAX, n)))
        made.append((min(ROWS_MAX, n - first), struct.pack(
            ">hhii", -1, -1, 60000, 1) + text(topic) + struct.pack(
            ">i", min(ROWS_MAX, n - first)) + rows))
    return made


def answered(frame, topic, rows):
    """All of it without an error; v5."""
    at = 4 + 2 + len(topic) + 4
    if len(frame) != at + rows * 30 + 4:
        fail("an answer of", len(frame), "bytes")
    for i in range(rows):
        index, error = struct.unpack_from(">ih", frame, at + i * 30)
        if error:
            fail("partition", index, "error", error)


def produce(broker, topic, n, data, seconds):
    """Closed loop over all partitions: batches, their time, and each turn."""
    bodies = requests(topic, n, data)
    conns = [Conn(broker.kafka) for _ in range(CONNS)]
    flying, sent, done, took = [], 0, 0, []
    start = now = time.monotonic()
    while flying or now - start < seconds:
        while len(flying) < len(conns) and now - start < seconds:
            rows, body = bodies[sent % len(bodies)]
            c = conns[sent % len(conns)]
            c.send(PRODUCE, 5, body)
            flying.append((c, rows, time.monotonic()))
            sent += 1
        c, rows, since = flying.pop(0)
        answered(c.recv(), topic, rows)
        now = time.monotonic()
        took.append((now - since) * 1e3)
        done += rows
    return {"batches": done, "requests": sent, "seconds": now - start,
            "batches_per_s": done / (now - start),
            "request_ms_p50": statistics.median(took),
            "request_ms_p99": sorted(took)[int(len(took) * 0.99)]}


def read_back(broker, topic, n, data, count):
    """Every batch of every partition, byte for byte but its offset."""
    c = Conn(broker.kafka)
    offsets, total = dict.fromkeys(range(n), 0), 0
    while total < count:
        rows = b"".join(struct.pack(">iqi", p, o, 1 << 20)
                        for p, o in list(offsets.items())[:ROWS_MAX])
        some = list(offsets)[:ROWS_MAX]
        c.send(FETCH, 4, struct.pack(">iiiibi", -1, 0, 1, 50 << 20, 0, 1) +
               text(topic) + struct.pack(">i", len(some)) + rows)
        f = c.recv()
        at, got = 4 + 4 + 2 + len(topic) + 4, 0
        for _ in some:
            p, error, hw, _, aborted, size = struct.unpack_from(
                ">ihqqii", f, at)
            at += 30
            if error or aborted > 0:
                fail("fetch of partition", p, "error", error)
            for pos in range(at, at + size // len(data) * len(data),
                             len(data)):
                base, = struct.unpack_from(">q", f, pos)
                if base != offsets[p] or f[pos + 8:pos + 12] != data[8:12] \
                        or f[pos + 16:pos + len(data)] != data[16:]:
                    fail("partition", p, "offset", base, "is another batch")
                offsets[p] += 1
                got += 1
            at += size
            # Those that are read to their end need not be asked again.
            if offsets[p] >= hw:
                del offsets[p]
        if not got and total + got < count and not offsets:
            fail(total, "batches read of", count)
        total += got
    if total != count:
        fail(total, "batches read of", count)


def measure(build, place, n, args):
    data = R.batch(R.recs(1, size=args.size, key=False))
    broker = Broker(build, place, args.files)
    try:
        topic = "parts"
        broker.admin("topic", "create", topic, "--partitions", str(n))
        cpu = broker.cpu_s("chronik-engine")
        row = produce(broker, topic, n, data, args.seconds)
        row["engine_us_per_batch"] = (
            broker.cpu_s("chronik-engine") - cpu) * 1e6 / row["batches"]
        row["engine_anon_kib"] = broker.anon_kib("chronik-engine")
        row["engine_files"] = broker.files("chronik-engine")
        read_back(broker, topic, n, data, row["batches"])
        broker.kill()
        row["killed_ms"] = timed(broker.start)
        again = produce(broker, topic, 1, data, 1e-9)
        row["killed_append_ms"] = row["killed_ms"] + again["seconds"] * 1e3
        read_back(broker, topic, n, data, row["batches"] + again["batches"])
        broker.stop()
        row["restart_ms"] = timed(broker.start)
        broker.stop()
        return row
    except SystemExit:
        broker.log.seek(0)
        sys.stderr.write("".join(broker.log.readlines()[-20:]))
        raise
    finally:
        broker.clean()


def table(result):
    print(f"{'parts':>6} {'raw ms for one append to each':>34}   "
          f"{'build':8} {'batches/s':>10} {'range':>17} {'turn ms':>9}"
          f" {'/ journal':>9} {'p50 ms':>8} {'p99 ms':>8} {'us CPU':>7}"
          f" {'start ms, killed':>17} {'append':>7} {'clean':>7}")
    print(f"{'':6} {'each':>12} {'syncfs':>10} {'journal':>10}")
    for n in result["parts"]:
        raws = [r for r in result["raw"] if r["parts"] == n]
        limit = {k: statistics.median(r[k] for r in raws)
                 for k in ("each", "syncfs", "journal")}
        for build in result["builds"]:
            rows = [r for r in result["runs"]
                    if r["parts"] == n and r["build"] == build]
            rate = [r["batches_per_s"] for r in rows]
            turn = n / statistics.median(rate) * 1e3
            ratio = turn / limit["journal"] if limit["journal"] else 0

            def mid(key):
                return statistics.median(r[key] for r in rows)
            print(f"{n:6} {limit['each']:12.2f} {limit['syncfs']:10.2f}"
                  f" {limit['journal']:10.2f}   {build:8}"
                  f" {statistics.median(rate):10.0f}"
                  f" {min(rate):8.0f}-{max(rate):<8.0f} {turn:9.2f}"
                  f" {ratio:9.2f}"
                  f" {mid('request_ms_p50'):8.2f}"
                  f" {mid('request_ms_p99'):8.2f}"
                  f" {mid('engine_us_per_batch'):7.1f}"
                  f" {mid('killed_ms'):17.0f} {mid('killed_append_ms'):7.0f}"
                  f" {mid('restart_ms'):7.0f}")


def main():
    args = arguments()
    builds = {"this": args.build}
    if args.other:
        builds["other"] = args.other
    for path in builds.values():
        if not os.path.exists(os.path.join(path, "chronik")):
            fail(path, "has no chronik")
    size = len(R.batch(R.recs(1, size=args.size, key=False)))
    result = {"parts": [int(n) for n in args.parts.split(",")],
              "builds": list(builds), "kernel": os.uname().release,
              "cpus": os.cpu_count(), "batch_bytes": size,
              "rounds": args.rounds, "raw": [], "runs": []}
    place = Place(args)
    try:
        for i in range(args.rounds):
            for n in result["parts"]:
                limits = {"each": 0, "syncfs": 0, "journal": 0} \
                    if args.no_raw else raw(place, n, size)
                result["raw"].append({"round": i, "parts": n, **limits})
                for name, build in builds.items():
                    result["runs"].append({
                        "round": i, "parts": n, "build": name,
                        "load": os.getloadavg()[0],
                        **measure(build, place, n, args)})
                    print(f"  round {i + 1}: {n} partitions, {name}",
                          file=sys.stderr)
    finally:
        place.clean()
    table(result)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
