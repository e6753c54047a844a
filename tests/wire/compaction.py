# SPDX-License-Identifier: Apache-2.0
"""
Compacted topics (protocol.md 3.10) and look-ups by time (3.5), exact to the
record, in what compaction, retention and DeleteRecords leave: each answer is
compared with a model of the records that are still there.
"""
import random
import time

import kafka
import records as R
from kafka import (Conn, Fail, KAFKA, WAIT, end_offset, eq, fetch,
                   list_offset, new_topic, ok, produce_ok, row, rows, ver)

# Against a real broker this takes its own time: not run there.
NOW = int(time.time() * 1000) - 600000
CODECS = [R.NONE, R.GZIP, R.SNAPPY, R.LZ4, R.ZSTD]
DELETE_MS = "86400000"


def alter(c, t, op, policy):
    r = c.call("IncrementalAlterConfigs", ver("IncrementalAlterConfigs"),
               {"resources": [{"resource_type": 2, "resource_name": t.name,
                               "configs": [{"name": "cleanup.policy",
                                            "config_operation": op,
                                            "value": policy}]}]})
    eq(r["responses"][0]["error_code"], 0, "alter")


def topic(**more):
    """Each batch with a later time ends a segment."""
    conf = {"cleanup.policy": "compact", "segment.ms": "1",
            "min.cleanable.dirty.ratio": "0.01",
            "delete.retention.ms": DELETE_MS,
            "message.timestamp.after.max.ms": str(10 ** 12)}
    conf.update({k.replace("_", "."): v for k, v in more.items()})
    return new_topic(1, conf)


class Log:
    """What was produced: the model."""

    def __init__(self, t, seed):
        self.t, self.recs, self.rnd = t, [], random.Random(seed)

    def put(self, c, n, keys=12):
        rs = []
        for _ in range(n):
            i = len(self.recs) + len(rs)
            v = None if self.rnd.random() < 0.2 else b"value-%d" % i
            ts = NOW + i * 40 + self.rnd.randrange(-2000, 2000)
            rs.append(R.Rec(b"key-%d" % self.rnd.randrange(keys), v, ts,
                            offset=i))
        b = R.batch(rs, codec=self.rnd.choice(CODECS))
        produce_ok(c, self.t, b)
        self.recs += rs

    def roll(self, c):
        """Ends the growing segment: this record is much later."""
        i = len(self.recs)
        r = R.Rec(b"roll", b"%d" % i, NOW + 10 ** 8 + i * 40, offset=i)
        produce_ok(c, self.t, R.batch([r]))
        self.recs.append(r)

    def newest(self):
        return {r.key: r.offset for r in self.recs}


def read(c, t, offset=0):
    """Records from an offset on; batches without any are stepped over."""
    out = []
    end = end_offset(c, t)
    while offset < end:
        r = fetch(c, t, offset)
        eq(r["error_code"], 0, "fetch at %d" % offset)
        data, pos, last = r["records"], 0, -1
        while pos < len(data):
            b = R.read_batch(data, pos)
            pos += 12 + b.length
            last = b.base_offset + b.last_delta
            out += [x for x in b.records if x.offset >= offset]
        if last < offset:
            raise Fail("a fetch at %d says nothing of it" % offset)
        offset = last + 1
    return out


def compacted(c, log):
    """Waits until nothing that is superseded is left but in the growing
    segment, which has the last record alone; returns what is there."""
    end = time.monotonic() + WAIT
    newest = log.newest()
    while True:
        got = read(c, log.t)
        old = [r.offset for r in got if newest[r.key] != r.offset]
        # The roll before the last one is superseded by the last one, which
        # no compaction has seen.
        if len(old) <= 1 and all(log.recs[o].key == b"roll" for o in old):
            return got
        if time.monotonic() > end:
            raise Fail("not compacted: %r are still there" % old)
        time.sleep(0.05)


def same(got, log):
    """What is there is what was written, with all that must be there."""
    for r in got:
        w = log.recs[r.offset]
        eq((r.key, r.value), (w.key, w.value), "record %d" % r.offset)
    have = {r.offset for r in got}
    for k, o in log.newest().items():
        if log.recs[o].value is not None:
            ok(o in have, "offset %d, the newest of %r, is lost" % (o, k))


def times_right(c, t, got, start=0):
    """Each look-up by time against the records that are there."""
    got = [r for r in got if r.offset >= start]
    ask = {r.ts + d for r in got for d in (-1, 0, 1)}
    for ts in sorted(ask):
        want = next((r for r in got if r.ts >= ts), None)
        r = list_offset(c, t, ts)
        eq(r["error_code"], 0, "ListOffsets")
        eq((r["offset"], r["timestamp"]),
           (want.offset, want.ts) if want else (-1, -1), "time %d" % ts)
    top = max((r.ts for r in got), default=-1)
    r = list_offset(c, t, -3, version=7)
    eq((r["offset"], r["timestamp"]),
       (next((x.offset for x in got if x.ts == top), -1), top), "greatest")
    for special in (-2, -4):
        eq(list_offset(c, t, special, version=8)["offset"], start,
           "time %d" % special)


@rows("latest/%d", range(3))
def latest(seed):
    t = topic()
    log = Log(t, seed)
    with Conn() as c:
        for _ in range(3):
            for _ in range(6):
                log.put(c, log.rnd.randrange(1, 8))
            log.roll(c)
            got = compacted(c, log)
            same(got, log)
            # A fetch of any offset gives the next record that is there.
            have = [r.offset for r in got]
            for o in range(len(log.recs)):
                b = fetch(c, t, o)["records"]
                first = R.read_batch(b, 0)
                ok(first.base_offset + first.last_delta >= o, "fetch")
                for r in R.all_records(b):
                    ok(r.offset in have, "offset %d came back" % r.offset)
        eq(end_offset(c, t), len(log.recs), "end")


@rows("times/%s", ["CreateTime", "LogAppendTime"])
def times(kind):
    t = topic(message_timestamp_type=kind, cleanup_policy="delete",
              retention_ms="-1")
    log = Log(t, 5)
    with Conn() as c:
        for _ in range(8):
            log.put(c, 6)
            time.sleep(0.003)  # so that segments end by time as well
        times_right(c, t, read(c, t))
        alter(c, t, 0, "compact")
        log.roll(c)
        got = compacted(c, log)
        same(got, log)
        times_right(c, t, got)
        # DeleteRecords wants a policy that deletes.
        alter(c, t, 2, "delete")
        mid = got[len(got) // 2].offset
        for start in (mid, mid + 1, len(log.recs) - 1, len(log.recs)):
            r = c.call("DeleteRecords", 2, {"timeout_ms": 30000, "topics": [
                {"name": t.name, "partitions": [
                    {"partition_index": 0, "offset": start}]}]})
            eq(r["topics"][0]["partitions"][0]["error_code"], 0, "delete")
            got = read(c, t, start)
            times_right(c, t, got, start)


@row("tombstones")
def tombstones():
    """With delete.retention.ms=0 the second pass removes them."""
    t = topic(delete_retention_ms="0")
    log = Log(t, 9)
    with Conn() as c:
        end = time.monotonic() + WAIT
        log.put(c, 20)
        while True:
            log.put(c, 1, keys=1)
            log.roll(c)
            got = compacted(c, log)
            same(got, log)
            left = [r.offset for r in got if r.value is None
                    and r.offset < 20]
            if not left:
                break
            ok(time.monotonic() < end, "tombstones stay: %r" % left)


@row("null-key")
def null_key():
    """Records from before the topic was compacted."""
    t = topic(cleanup_policy="delete", retention_ms="-1")
    log = Log(t, 11)
    with Conn() as c:
        produce_ok(c, t, R.batch([R.Rec(None, b"x", NOW - 100000)]))
        log.recs.append(R.Rec(b"roll", b"x", NOW, offset=0))
        log.put(c, 5)
        log.roll(c)
        alter(c, t, 0, "compact")
        end = time.monotonic() + WAIT
        while any(x.key is None for x in read(c, t)):
            ok(time.monotonic() < end, "a record without a key stays")
            time.sleep(0.05)
        compacted(c, log)


if __name__ == "__main__":
    if KAFKA:
        print("skipped: compaction takes its own time there")
    else:
        kafka.main({})
