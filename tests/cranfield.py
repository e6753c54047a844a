#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cranfield: documents as lines for a producer, and NDCG@10 of a search.

    cranfield.py DIR docs               a line of JSON for each document
    cranfield.py DIR run COMMAND ...    runs COMMAND for each query, with the
                                        query behind it; it prints the ids of
                                        what it finds, a line each

Gain is 2^rel - 1 with rel = 5 - position; the ideal is of all judgements of
the query; the mean is over all queries.
"""
import json
import math
import subprocess
import sys


def load(name):
    with open(sys.argv[1] + "/" + name) as f:
        return json.load(f)


def docs():
    for d in load("cran_docs.json"):
        print(json.dumps({"id": d["id"], "title": d["title"],
                          "body": d["body"]}))


def dcg(rels):
    return sum((2 ** r - 1) / math.log2(i + 2)
               for i, r in enumerate(rels[:10]))


def find(command, query):
    # The words alone: marks have a meaning in a query, these have none.
    words = "".join(c if c.isalnum() else " " for c in query).split()
    got = subprocess.run(command + words, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    return got.stdout.split()


def run(command):
    judged = {}
    for q in load("cran_qrels.json"):
        rel = 5 - int(q["position"])
        judged.setdefault(str(q["query_num"]), {})[str(q["id"])] = rel
    total = 0
    # Judgements name queries by their place in the file.
    queries = load("cran_queries.json")
    for i, q in enumerate(queries):
        rels = judged.get(str(i + 1), {})
        ideal = dcg(sorted(rels.values(), reverse=True))
        found = [rels.get(d, 0) for d in find(command, q["query"])]
        total += dcg(found) / ideal if ideal > 0 else 0
    print("%.4f" % (total / len(queries)))


if sys.argv[2] == "docs":
    docs()
else:
    run(sys.argv[3:])
