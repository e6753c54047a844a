#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""search_records.py N SEED [json|noids|long|text|mixed]: N lines KEY<tab>VALUE
that look like logs, for tests and benchmarks of search: some 330 bytes of JSON,
each with a random id; 280 without it (noids), 390 with what a web server adds
(long); or text."""
import json
import random
import sys

WORDS = """alpha beta gamma delta timeout connection reset refused payment
order user login failed success retry queue worker cache miss hit database
slow query index commit abort running runs caf\u00e9 na\u00efve stra\u00dfe
\u6771\u4eac \u5927\u962a foo_bar x1 10 the of and""".split()
AGENTS = ["Mozilla/5.0 (%s) %s" % (a, b) for a in (
    "X11; Linux x86_64; rv:128.0", "Windows NT 10.0; Win64; x64")
    for b in ("Gecko/20100101 Firefox/128.0", "Chrome/131.0.0.0 Safari/537.36")]
LEVELS = ["info"] * 8 + ["warn"] * 2 + ["Error"]


def message(r):
    return " ".join(r.choice(WORDS) for _ in range(r.randrange(3, 12)))


def log(r, i, ids=True, long=False):
    d = {"ts": 1795392664928 + i * 17, "level": r.choice(LEVELS),
         "service": r.choice(["api", "web", "auth", "billing"]),
         "msg": message(r), "status": r.choice([200, 200, 404, 500, 503]),
         "latency_ms": r.randrange(1, 2000),
         "path": "/api/v%d/%s/%d" % (r.randrange(1, 4), r.choice(WORDS[:8]),
                                     r.randrange(10000)),
         "ip": "10.%d.%d.%d" % (r.randrange(4), r.randrange(256),
                                r.randrange(256)),
         "user": {"id": r.randrange(100000), "name": "user-%d" %
                  r.randrange(1000)},
         "host": "node-%02d.example.com" % r.randrange(40)}
    if long:
        d["agent"] = r.choice(AGENTS)
        d["method"] = r.choice(["GET", "GET", "POST", "PUT"])
        d["version"] = "2.17.%d" % r.randrange(3)
    if ids:
        d["trace_id"] = "%032x" % r.getrandbits(128)
    if r.random() < 0.1:
        d["tags"] = [r.choice(WORDS), r.randrange(9), {"deep": [1.5, -2]}]
    if r.random() < 0.1:
        d["latency_ms"] = [r.randrange(100), r.randrange(2000)]
    if r.random() < 0.05:
        d["user"] = None
    return json.dumps(d, ensure_ascii=r.random() < 0.5)


def text(r):
    return "%s [%s] 10.%d.0.%d %s%s" % (
        r.choice(LEVELS).upper(), r.choice(WORDS), r.randrange(4),
        r.randrange(256), message(r),
        "x" * r.randrange(300) if r.random() < 0.02 else "")


def main():
    n, seed = int(sys.argv[1]), int(sys.argv[2])
    kind = sys.argv[3] if len(sys.argv) > 3 else "json"
    r = random.Random(seed)
    for i in range(n):
        value = log(r, i, kind in ("json", "mixed"), kind == "long") if (
            kind in ("json", "noids", "long") or
            kind == "mixed" and r.random() < 0.6) else text(r)
        print("k%d\t%s" % (r.randrange(997), value))


main()
