#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What each path costs, beside its budget: processor time of gateway and engine,
each split into user and kernel, by KiB or by request; round trips of a lone
request; and how many system calls.  Beside them stands what the control takes,
a broker of one process that does the least that must be done, because a slow
machine is slow for all.  With --other BUILD a second build takes turns with
the first.  Calls are counted by perf in runs of their own, for counting costs
too.  Prints a table; --json has the figures of every round.  It asserts
nothing.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from brokers import Chronik, Null, fail, read  # noqa: E402
from limits import back_memory, congestion, sync_us  # noqa: E402

CALLS = ("epoll_wait", "readv", "recvmsg", "sendmsg", "sendfile64", "pwritev",
         "preadv2", "fdatasync", "syncfs", "futex", "read", "write")
LARGE = {"acks": "all", "linger_ms": 5, "size": 1024, "partitions": 4}
SMALL = {"acks": "all", "linger_ms": 0, "size": 100, "batch": 10,
         "partitions": 1}
LONE = {"acks": "all", "linger_ms": 0, "size": 100, "partitions": 1,
        "arrival": "false"}
SYNC_AND = -200		# the disk's fdatasync, and so many microseconds

# Name, verb, words, records, --sync, unit, budget, the control's name.
PATHS = (
    ("produce large", "produce", LARGE, 300000, "os", "ns/KiB", 350,
     "control"),
    ("produce large", "produce", LARGE, 300000, "commit", "ns/KiB", 550,
     "control sync"),
    ("requests of 10", "produce", SMALL, 200000, "os", "us/request", 15,
     "control"),
    ("requests of 10", "produce", SMALL, 200000, "commit", "us/request", 16,
     "control sync"),
    ("lone request", "rtt", LONE, 2000, "os", "p50 us", 150, "control"),
    ("lone request", "rtt", LONE, 2000, "commit", "p50 us", SYNC_AND,
     "control sync"),
    ("fetch hot", "consume", LARGE, 300000, "os", "ns/KiB", 200, None),
)


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", default=os.environ.get("CHRONIK_BUILD", "."))
    p.add_argument("--other", help="a second build, measured in turn")
    p.add_argument("--dir", default="/tmp", help="where data is written")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=float, default=1.0,
                   help="of the numbers of records")
    p.add_argument("--path", help="only those whose name has this in it")
    p.add_argument("--no-calls", action="store_true",
                   help="do not count system calls")
    p.add_argument("--json", help="file for the figures")
    return p.parse_args()


def tool(args, verb, **words):
    r = subprocess.run(
        [os.path.join(args.build, "tests", "bench", "gen"), verb,
         *(f"{k}={v}" for k, v in words.items())],
        capture_output=True, text=True)
    if r.returncode != 0:
        fail("gen", verb, words, r.stderr)
    return json.loads(r.stdout) if r.stdout else None


def split(broker):
    """User and kernel nanoseconds by role; how they divide is sampled."""
    spent, total = {}, broker.cpu()
    for role, pid in broker.processes():
        f = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
        spent[role] = [int(f[11]), int(f[12]), total[role] * 1e9]
    return spent


class Counter:
    """Counts calls of a broker's processes while it is open."""

    def __init__(self, broker):
        self.running = {}
        for role, pid in broker.processes():
            out = os.path.join(broker.tmp, f"calls-{role}")
            events = ",".join(f"syscalls:sys_enter_{c}" for c in CALLS)
            self.running[role] = (out, subprocess.Popen(
                ["perf", "stat", "-x,", "-o", out, "-e",
                 events + ",context-switches", "-p", str(pid)],
                stderr=subprocess.DEVNULL))
        time.sleep(0.5)		# until it counts; there is no telling

    def close(self):
        counts = {}
        for role, (out, p) in self.running.items():
            p.send_signal(signal.SIGINT)
            p.wait()
            found = re.findall(r"^(\d+),[^,]*,(?:syscalls:sys_enter_)?"
                               r"([\w-]+)", read(out), re.M)
            counts[role] = {name: int(n) for n, name in found if int(n) > 0}
        return counts


def load(args, broker, path, count):
    """One run of a path; returns its row, without what was counted."""
    name, verb, words, records, _, unit, _, _ = path
    n = max(1000, int(records * args.scale))
    words = dict(words, bootstrap=broker.kafka, topic="cost", count=n)
    if not isinstance(broker, Null):
        tool(args, "create", bootstrap=broker.kafka, topic="cost",
             partitions=words["partitions"])
    if verb == "consume":
        tool(args, "produce", **words)
        words = {k: v for k, v in words.items()
                 if k not in ("acks", "linger_ms")}
    back_memory(int(n * words["size"] * 1.5))
    counter = Counter(broker) if count else None
    before = split(broker)
    got = tool(args, verb, **words)
    after = split(broker)
    row = {"path": name, "unit": unit, "rate": got.get("records_per_s")}
    if counter:
        row["calls"] = counter.close()
    if verb == "produce" and not isinstance(broker, Null):
        tool(args, "consume", bootstrap=broker.kafka, topic="cost", count=n,
             size=words["size"], partitions=words["partitions"])
    units = n * words["size"] / 1024 if unit == "ns/KiB" else \
        n / words.get("batch", 1)
    row["units"] = units
    scale = 1 if unit == "ns/KiB" else 1e-3
    for role in before:
        user, kernel, ns = (b - a for a, b in
                            zip(before[role], after[role]))
        part = user / (user + kernel) if user + kernel > 0 else 0
        row[f"{role}_user"] = ns * part * scale / units
        row[f"{role}_kernel"] = ns * (1 - part) * scale / units
    row["cost"] = sum(v for k, v in row.items()
                      if k.endswith(("_user", "_kernel")))
    row["value"] = got["ack_us"]["p50"] if verb == "rtt" else row["cost"]
    return row


def measure(args, path, target, build, count=False):
    sync = path[4]
    if target.startswith("control"):
        broker = Null(build, args.dir, path[2]["partitions"], name=target)
    else:
        broker = Chronik("ours", build, args.dir, sync)
    try:
        return {"target": target, "sync": sync,
                **load(args, broker, path, count)}
    finally:
        broker.clean()


def mid(rows, key):
    got = [r[key] for r in rows if key in r]
    return statistics.median(got) if got else None


def cell(value, form=".1f"):
    return f"{value:10{form}}" if value is not None else f"{'-':>10}"


def only(rows, key):
    """The control's one process stands where the engine does."""
    return key if key in rows[0] else key.replace("engine", "null")


def table(paths, rows, counted, sync):
    roles = [f"{r}_{k}" for r in ("gateway", "engine")
             for k in ("user", "kernel")]
    print(f"{'path':15} {'sync':7} {'':13} {'unit':>11} {'budget':>10}"
          f"{'measured':>10}{'x':>10}" +
          "".join(f"{c:>15}" for c in ("gateway user", "kernel",
                                       "engine user", "kernel")))
    for path in paths:
        mine = [r for r in rows if r["path"] == path[0] and
                r["sync"] == path[4]]
        for target in dict.fromkeys(r["target"] for r in mine):
            some = [r for r in mine if r["target"] == target]
            value = mid(some, "value")
            budget = path[6] if path[6] > 0 else sync - path[6]
            print(f"{path[0]:15} {path[4]:7} {target:13} {path[5]:>11}"
                  + cell(budget, ".0f") + cell(value)
                  + cell(value / budget if budget else None, ".2f")
                  + "".join(f"{cell(mid(some, only(some, r))):>15}"
                            for r in roles))
    for row in counted:
        per = "KiB" if row["unit"] == "ns/KiB" else "request"
        units, what = ((row["units"] / 1024, "MiB") if per == "KiB" else
                       (row["units"], "request"))
        for role, calls in row["calls"].items():
            print(f"{row['path']}, {row['sync']}, {role}, calls a {what}: " +
                  ", ".join(f"{n} {c / units:.2f}" for n, c in
                            sorted(calls.items(), key=lambda x: -x[1])))


def main():
    args = arguments()
    paths = [p for p in PATHS if not args.path or args.path in p[0]]
    if not paths:
        fail(f"no path has {args.path} in its name")
    targets = {"this": args.build}
    if args.other:
        targets["other"] = args.other
    rows, counted, syncs, load_ = [], [], [], []
    for i in range(args.rounds):
        load_.append(round(os.getloadavg()[0], 1))
        syncs.append(sync_us(args.dir, False))
        for path in paths:
            turn = list(targets.items())
            for target, build in turn if i % 2 == 0 else turn[::-1]:
                rows.append({"round": i, **measure(args, path, target,
                                                   build)})
            if path[7]:
                rows.append({"round": i, **measure(args, path, path[7],
                                                   args.build)})
            print(f"round {i + 1}: {path[0]}, {path[4]}", file=sys.stderr)
    if not args.no_calls and shutil.which("perf"):
        counted = [measure(args, path, "this", args.build, True)
                   for path in paths]
    table(paths, rows, counted, statistics.median(syncs))
    print(f"append + fdatasync p50 {statistics.median(syncs):.0f} us;"
          f" {os.cpu_count()} processors, Linux {os.uname().release},"
          f" {congestion()}; load {' '.join(map(str, load_))}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"tcp": congestion(), "kernel": os.uname().release,
                       "sync_us": syncs, "load": load_, "rows": rows,
                       "counted": counted}, f, indent=1)
            f.write("\n")


main()
