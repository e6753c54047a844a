#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Measures the search: how fast JSON log lines are indexed and how large the
index is, of 280 bytes, of 390, and with a random id in each record; queries
newest first, by relevance and counts, warm, as a command that starts, asks and
ends; how soon a record is found after its acknowledgement, and when the index
has it; many shards at once; and a rare word against grep through chronik-fs.
What is found is compared with the records that were produced.  Prints a table;
--json has every figure.  It asserts no time.
"""
import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from brokers import Chronik, fail  # noqa: E402

RARE = "needle"		# in every RARE_EVERY-th record
RARE_EVERY = 10000
WORD = re.compile(r"\w+")


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default=os.environ.get("CHRONIK_BUILD", "."))
    p.add_argument("--dir", help="where the data is made")
    p.add_argument("--records", type=int, default=1000000)
    p.add_argument("--shards", type=int, default=1000)
    p.add_argument("--rounds", type=int, default=50, help="of each query")
    p.add_argument("--findable", type=int, default=100,
                   help="records that are waited for")
    p.add_argument("--json")
    return p.parse_args()


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


class Search:
    def __init__(self, args, tmp):
        self.args, self.tmp, self.result = args, tmp, {}
        self.bin = os.path.join(args.build, "chronik-search")
        # The indexer is run by hand first, to know what it costs.
        self.broker = Chronik("search", args.build, tmp,
                              words=["--search", "off"])
        self.index = os.path.join(self.broker.data, "search")
        self.indexer = None

    def close(self):
        if self.indexer:
            self.indexer.kill()
            self.indexer.wait()
        self.broker.clean()

    def admin(self, *words):
        r = subprocess.run([os.path.join(self.args.build, "chronik"), *words,
                            "--engine", self.broker.engine],
                           capture_output=True, text=True)
        if r.returncode:
            fail("chronik", *words, r.stderr)

    def topic(self, name, partitions=1, **config):
        words = [w for k, v in config.items()
                 for w in ("--config", "search." + k + "=" + v)]
        self.admin("topic", "create", name, "--partitions", str(partitions),
                   "--config", "search.enable=true", *words)

    def kcat(self, topic, path, *words):
        subprocess.run(["kcat", "-b", self.broker.kafka, "-P", "-t", topic,
                        "-K", "\t", "-z", "lz4", "-l", path, *words],
                       check=True)

    def ask(self, *words):
        return subprocess.run(
            [self.bin, "--engine", self.broker.engine, *words],
            capture_output=True, text=True)

    def size(self):
        return sum(os.path.getsize(os.path.join(d, f))
                   for d, _, files in os.walk(self.index) for f in files)

    def sealed(self):
        """Bytes and offsets of the shards that are finished."""
        size = records = 0
        for d, _, files in os.walk(self.index):
            for f in files:
                if ends := re.fullmatch(r"(\d+)-(\d+)\.xap", f):
                    size += os.path.getsize(os.path.join(d, f))
                    records += int(ends[2]) - int(ends[1])
        return size, records

    # ---- the index ---------------------------------------------------------

    def records(self, name, kind):
        """A file of records, and how often some words are in them."""
        path = os.path.join(self.tmp, name)
        r = subprocess.run(
            [sys.executable, os.path.join(HERE, "..", "search_records.py"),
             str(self.args.records), "1", kind],
            capture_output=True, text=True, check=True)
        self.counts = dict.fromkeys(
            ("timeout", RARE, "timeout payment", "error timeout"), 0)
        size = 0
        with open(path, "w") as f:
            for i, line in enumerate(r.stdout.splitlines()):
                if i % RARE_EVERY == RARE_EVERY // 2:
                    line = line.replace('"msg": "', f'"msg": "{RARE} ', 1)
                f.write(line + "\n")
                size += len(line.encode()) - 1
                words = set(WORD.findall(line.lower()))
                for query in self.counts:
                    self.counts[query] += words.issuperset(query.split())
        return path, size

    def measure_index(self, topic, kind):
        path, size = self.records(topic, kind)
        self.topic(topic)
        self.kcat(topic, path)
        before, had = resource.getrusage(resource.RUSAGE_CHILDREN), \
            self.size() if os.path.exists(self.index) else 0
        was, start = self.sealed(), time.monotonic()
        subprocess.run([self.bin, "index", "--once", "--data-dir",
                        self.broker.data, "--engine", self.broker.engine],
                       check=True, stderr=subprocess.DEVNULL)
        wall = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = (after.ru_utime + after.ru_stime -
               before.ru_utime - before.ru_stime)
        r = subprocess.run(
            [self.bin, "verify", "--engine", self.broker.engine, topic],
            capture_output=True, text=True)
        if not re.match(rf"{self.args.records} records .* 0 not indexed yet, "
                        "0 wrong", r.stdout):
            fail("verify:", r.stdout, r.stderr)
        sealed = self.sealed()
        self.result[topic] = {
            "records": self.args.records, "text_bytes": size,
            "records_per_cpu_s": self.args.records / cpu,
            "records_per_s": self.args.records / wall,
            "max_rss_kib": after.ru_maxrss,
            "index_per_text": (self.size() - had) / size}
        if sealed[1] > was[1]:	# what grows yet is larger
            self.result[topic]["sealed_per_text"] = (
                (sealed[0] - was[0]) / size * self.args.records /
                (sealed[1] - was[1]))

    # ---- queries -----------------------------------------------------------

    def timed(self, name, *words):
        """Until all that is found is out, and until the command has ended: it
        counts the other hits before it does.  And what it spends."""
        took, ended, spent = [], [], []
        for i in range(self.args.rounds + 2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            start = time.monotonic()
            p = subprocess.Popen(
                [self.bin, *words, "--engine", self.broker.engine],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            out, last = b"", None
            while chunk := os.read(p.stdout.fileno(), 1 << 20):
                out, last = out + chunk, time.monotonic()
            p.stdout.close()
            if p.wait() > 1:
                fail(*words, "ended with", p.returncode)
            end = time.monotonic()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if i > 1:	# warm
                spent.append((after.ru_utime + after.ru_stime -
                              before.ru_utime - before.ru_stime) * 1e3)
                took.append(((last or end) - start) * 1e3)
                ended.append((end - start) * 1e3)
        self.result[name] = {"ms_p50": statistics.median(took),
                             "ms_min": min(took),
                             "ms_p99": percentile(took, 99),
                             "ended_ms_p50": statistics.median(ended),
                             "cpu_ms_p50": statistics.median(spent)}
        return out.decode()

    def measure_queries(self, topic):
        self.timed("start alone", "--version")
        self.timed("start and an empty answer", "-t", topic, "nosuchword")
        for query, count in self.counts.items():
            out = self.timed(f"newest 20: {query}", "-t", topic, query)
            words = query.split()
            lines = out.splitlines()
            if len(lines) != min(20, count) or not all(
                    w in line.lower() for line in lines for w in words):
                fail("newest:", query, out)
            out = self.timed(f"count: {query}", "-c", "-t", topic, query)
            if int(out) != count:
                fail("count of", query, "is", out, "not", count)
            for n in 10, 20:
                out = self.timed(f"BM25 top {n}: {query}", "-n", str(n),
                                 "--sort", "relevance", "-t", topic, query)
                lines = out.splitlines()
                if len(lines) != min(n, count) or not all(
                        w in line.lower() for line in lines for w in words):
                    fail("relevance:", query, out)

    def measure_shards(self):
        n = self.args.shards
        self.topic("wide", n)
        with open(os.path.join(self.tmp, "wide"), "w") as f:
            f.writelines(f"{i}\tshard {i} wide\n" for i in range(n * 20))
        self.kcat("wide", os.path.join(self.tmp, "wide"))
        subprocess.run([self.bin, "index", "--once", "--data-dir",
                        self.broker.data, "--engine", self.broker.engine],
                       check=True, stderr=subprocess.DEVNULL)
        out = self.timed(f"count in {n} partitions", "-c", "-t", "wide",
                         "wide")
        if int(out) != n * 20:
            fail("wide:", out)
        for name, words in (("newest", ()),
                            ("BM25 top", ("--sort", "relevance"))):
            out = self.timed(f"{name} 20 in {n} partitions", *words, "-t",
                             "wide", "--template", "%t/%p@%o %v\\n", "wide")
            hits = set(out.splitlines())
            if len(hits) != 20 or not all(x.endswith(" wide") for x in hits):
                fail("wide:", name, out)

    # ---- how soon ----------------------------------------------------------

    def measure_findable(self):
        self.topic("soon")
        self.indexer = subprocess.Popen(
            [self.bin, "index", "--data-dir", self.broker.data, "--engine",
             self.broker.engine], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        found, indexed = [], []
        for i in range(self.args.findable):
            word = f"soon{i}x"
            subprocess.run(["kcat", "-b", self.broker.kafka, "-P", "-t",
                            "soon", "-X", "linger.ms=0"], input=word,
                           text=True, check=True)
            acked = time.monotonic()
            # Found at once, or not at all.
            if self.ask("-t", "soon", word).returncode != 0:
                fail(word, "is not found right after its acknowledgement")
            found.append((time.monotonic() - acked) * 1e3)
            while True:
                r = subprocess.run([self.bin, "status", "--engine",
                                    self.broker.engine, "--json"],
                                   capture_output=True, text=True)
                rows = [json.loads(x) for x in r.stdout.splitlines()]
                if all(x["lag"] == 0 for x in rows if x["topic"] == "soon"):
                    break
            indexed.append((time.monotonic() - acked) * 1e3)
        for name, v in (("found after the ack (tail)", found),
                        ("in the index after the ack", indexed)):
            self.result[name] = {"ms_p50": statistics.median(v),
                                 "ms_min": min(v), "ms_p99": percentile(
                                     v, 99)}

    def measure_grep(self, topic):
        if not (os.access("/dev/fuse", os.W_OK) and
                os.path.exists(os.path.join(self.args.build, "chronik-fs"))):
            return
        mount = os.path.join(self.tmp, "mnt")
        os.mkdir(mount)
        fs = subprocess.Popen(
            [os.path.join(self.args.build, "chronik-fs"), "-f", "--engine",
             self.broker.engine, mount], stderr=subprocess.PIPE, text=True)
        try:
            while " mounted " not in (line := fs.stderr.readline()):
                if not line:
                    fail("chronik-fs does not mount")
            path = os.path.join(mount, "topics", topic, "0", "segments")
            files = [os.path.join(path, f) for f in sorted(os.listdir(path))
                     if f.endswith(".jsonl")]
            took = []
            for _ in range(3):
                start = time.monotonic()
                r = subprocess.run(["grep", "-hc", RARE, *files],
                                   capture_output=True, text=True)
                took.append((time.monotonic() - start) * 1e3)
            got = sum(map(int, r.stdout.split()))
            if got != self.counts[RARE]:
                fail("grep finds", got, "not", self.counts[RARE])
            # It reads all to count them; the hits are in as many batches.
            # The first one renders; then copies are in the kernel's cache.
            self.result[f"grep {RARE} through chronik-fs"] = {
                "first_ms": took[0], "first_times_the_count": took[0] /
                self.result[f"count: {RARE}"]["ms_p50"],
                "ms_p50": statistics.median(took), "ms_min": min(took),
                "times_the_count": statistics.median(took) /
                self.result[f"count: {RARE}"]["ms_p50"],
                "times_the_hits": statistics.median(took) /
                self.result[f"newest 20: {RARE}"]["ms_p50"]}
        finally:
            fs.terminate()
            fs.wait()


def table(result):
    for name, row in result.items():
        print(f"{name:36} " + "  ".join(
            f"{k} {v:,.2f}" if isinstance(v, float) else f"{k} {v:,}"
            for k, v in row.items()))


def main():
    args = arguments()
    for program in ("chronik", "chronik-search"):
        if not os.path.exists(os.path.join(args.build, program)):
            fail(f"{args.build}/{program} is not built")
    tmp = tempfile.mkdtemp(prefix="chronik-bench-search.", dir=args.dir)
    search = Search(args, tmp)
    search.result["machine"] = {"cpus": os.cpu_count(),
                                "load": os.getloadavg()[0]}
    try:
        search.measure_index("noids", "noids")
        search.measure_index("long", "long")
        search.measure_index("logs", "json")
        search.measure_queries("logs")
        search.measure_grep("logs")
        search.measure_shards()
        search.measure_findable()
    finally:
        search.close()
        shutil.rmtree(tmp, ignore_errors=True)
    table(search.result)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(search.result, f, indent=1)
            f.write("\n")


main()
