#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Compares the rows of kafka.def with Kafka's own message schemas.

usage: rows.py SHARED <rows.tsv     (rows.tsv: what dump_rows prints)

Two trees of schemas are merged here: clients-ak4.3/ has the newest messages,
clients/ those that were dropped and the old versions of the others.  Each
message is judged twice: row by row against the merged fields, and version by
version against the layout that the schemas give for that version.  Then every
row is falsified in turn, in each of its columns, and each falsehood must be
found, so that the comparison is known to see everything.
"""
import copy
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "wire"))
from amend import amend

LAST = 99
NEVER = 100
FOREVER = 1 << 15

# Schemas without rows, on purpose: a new one that is missing is an error.
ABSENT = {
    34: "replicas do not move between log directories",
    38: "delegation tokens", 39: "delegation tokens",
    40: "delegation tokens", 41: "delegation tokens",
    64: "brokers do not register",
    71: "client telemetry", 72: "client telemetry",
    76: "share groups", 77: "share groups",
    78: "share groups", 79: "share groups",
    80: "raft voters", 81: "raft voters",
}
# Schemas of what travels inside other messages.
ABSENT_DATA = {"DefaultPrincipalData"}

NUMBERS = {"bool", "int8", "int16", "uint16", "int32", "uint32", "int64",
           "float64"}
COLUMNS = ("path", "type", "since", "until", "null", "tag", "null_def",
           "noflex", "def")


def load(path):
    """A schema: JSON with // comments."""
    text = open(path, encoding="utf-8").read()
    pieces = re.findall(r'"(?:[^"\\]|\\.)*"|//[^\n]*|[^"/]+|/', text)
    return amend(json.loads("".join(p for p in pieces
                                    if not p.startswith("//"))))


def span(text):
    """'3+' (3, FOREVER), '0-2' (0, 2), '4' (4, 4), 'none' or absent None."""
    if text is None or text == "none":
        return None
    if text.endswith("+"):
        return int(text[:-1]), FOREVER
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def covers(s, version):
    return s is not None and s[0] <= version <= s[1]


def snake(name):
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def row_name(name):
    for long, short in (("Request", "_req"), ("Response", "_res")):
        if name.endswith(long):
            return snake(name[:-len(long)]) + short
    return snake(name)


class Field:
    """One field of one schema, with its struct's fields resolved."""

    def __init__(self, j, structs):
        self.name = snake(j["name"])
        self.versions = span(j["versions"])
        self.nulls = span(j.get("nullableVersions"))
        self.tag = j.get("tag", -1)
        self.tagged = span(j.get("taggedVersions"))
        self.noflex = j.get("flexibleVersions") == "none"
        self.children = []
        base = j["type"]
        array = base.startswith("[]")
        base = base[2:] if array else base
        if "fields" in j or base in structs:
            self.children = [Field(c, structs)
                             for c in j.get("fields") or structs[base]]
            base = "pointer" if self.nulls and not array else "struct"
        self.type = "[]" * array + base
        self.null_def, self.default = self.parse_default(j.get("default"))

    def parse_default(self, value):
        if value is None or value == "":
            return 0, 0
        if value == "null":
            return 1, 0
        if self.type == "bool":
            return 0, int(value in (True, "true"))
        return 0, int(str(value), 0)


class Schema:
    def __init__(self, j):
        structs = {s["name"]: s["fields"] for s in j.get("commonStructs", [])}
        # A struct can also be used where another field has defined it.
        def define(fields):
            for f in fields:
                if "fields" in f:
                    structs.setdefault(f["type"].lstrip("[]"), f["fields"])
                    define(f["fields"])
        define(j["fields"])
        for fields in list(structs.values()):
            define(fields)
        self.name = row_name(j["name"])
        self.key = j.get("apiKey", -1)
        self.valid = span(j["validVersions"])
        self.flex = span(j["flexibleVersions"])
        self.fields = [Field(f, structs) for f in j["fields"]]


def load_trees(shared):
    """{(key, kind): [schemas, newest first]}"""
    messages = {}
    for tree in ("clients-ak4.3", "clients"):
        top = os.path.join(shared, "kafka", "messages", tree)
        for name in sorted(os.listdir(top)):
            if name.endswith(".json"):
                j = load(os.path.join(top, name))
                key = j.get("apiKey", j["name"])
                messages.setdefault((key, j["type"]), []).append(Schema(j))
    return messages


def merge(new, old):
    """Fields of two schemas as one list: what was dropped stays."""
    names = [f.name for f in new]
    result = list(new)
    for i, f in enumerate(old):
        if f.name in names:
            continue
        before = {x.name for x in old[:i]}
        at = max((k + 1 for k, x in enumerate(result) if x.name in before),
                 default=0)
        result.insert(at, f)
        names.append(f.name)
    by_name = {f.name: f for f in old}
    merged = []
    for f in result:
        g = by_name.get(f.name, f)
        m = copy.copy(f)
        m.versions = (min(f.versions[0], g.versions[0]), f.versions[1])
        if f.nulls and g.nulls:
            m.nulls = min(f.nulls, g.nulls)
        m.children = merge(f.children, g.children)
        merged.append(m)
    return merged


def want_rows(fields, parent=""):
    """The merged fields as rows, in the columns of dump_rows."""
    for f in fields:
        path = parent + f.name
        until = LAST if f.versions[1] == FOREVER else f.versions[1]
        yield [path, f.type, f.versions[0], until,
               f.nulls[0] if f.nulls else -1, f.tag, f.null_def,
               int(f.noflex), f.default]
        yield from want_rows(f.children, path + ".")


def schema_layout(fields, v, flex):
    """What stands on the wire in version v: (in place, tagged)."""
    places, tags = [], {}
    for f in fields:
        if not covers(f.versions, v):
            continue
        item = (f.name, f.type.replace("pointer", "struct"),
                covers(f.nulls, v), flex and not f.noflex,
                schema_layout(f.children, v, flex))
        if covers(f.tagged, v):
            tags[f.tag] = item
        else:
            places.append(item)
    return places, tags


def rows_layout(rows, v, flex, parent=""):
    """The same from rows; rows are those of one message, in order."""
    places, tags = [], {}
    for r in rows:
        head, _, name = r[0].rpartition(".")
        if head != parent or not r[2] <= v <= r[3]:
            continue
        item = (name, r[1].replace("pointer", "struct"),
                0 <= r[4] <= v, flex and not r[7],
                rows_layout(rows, v, flex, r[0]))
        if r[5] >= 0:
            tags[r[5]] = item
        else:
            places.append(item)
    return places, tags


class Message:
    """What the schemas say of one message, and the comparison with rows."""

    def __init__(self, schemas):
        new, old = schemas[0], schemas[-1]
        if old.valid[0] >= new.valid[0]:
            schemas, old = [new], new    # the newer file has it all
        self.name, self.key = new.name, new.key
        self.min = min(s.valid[0] for s in schemas)
        self.max = max(s.valid[1] for s in schemas)
        self.flex = new.flex[0] if new.flex else NEVER
        assert all(s.flex == new.flex for s in schemas), self.name
        self.rows = {r[0]: r for r in want_rows(merge(new.fields, old.fields))}
        self.layouts = {}
        for v in range(self.min, self.max + 1):
            s = next(s for s in schemas if covers(s.valid, v))
            self.layouts[v] = schema_layout(s.fields, v, v >= self.flex)

    def errors(self, head, rows):
        want = [self.name, self.key, self.min, self.max, self.flex]
        if head != want:
            yield "%s: is %s, should be %s" % (self.name, head, want)
        yield from self.row_errors(rows)
        for v, layout in self.layouts.items():
            if rows_layout(rows, v, v >= head[4]) != layout:
                yield "%s v%d: another layout" % (self.name, v)

    def row_errors(self, rows):
        got = {r[0]: r for r in rows}
        if len(got) != len(rows):
            yield "%s: a field twice" % self.name
        for path in self.rows.keys() - got.keys():
            yield "%s: no row %s" % (self.name, path)
        for path, r in got.items():
            if path not in self.rows:
                yield "%s: row %s is in no schema" % (self.name, path)
                continue
            for column, is_, should in zip(COLUMNS, r, self.rows[path]):
                if is_ != should:
                    yield "%s: %s: %s is %s, should be %s" % (
                        self.name, path, column, is_, should)


def parse_rows(lines):
    messages = []
    for line in lines:
        kind, *cells = line.rstrip("\n").split("\t")
        cells = [int(c) if re.fullmatch(r"-?\d+", c) else c for c in cells]
        if kind == "M":
            messages.append((cells, []))
        else:
            messages[-1][1].append(cells)
    return messages


def falsehoods(head, rows):
    """Every change of one cell, every row lost, neighbours exchanged."""
    for i in range(1, len(head)):
        yield head[:i] + [head[i] + 1] + head[i + 1:], rows
    for n, r in enumerate(rows):
        others = rows[:n], rows[n + 1:]
        changes = []
        for i, column in enumerate(COLUMNS):
            if column == "path":
                changes.append((i, r[i] + "x"))
            elif column == "type":
                changes += [(i, t) for t in ("int32", "int64", "string")
                            if t != r[i]]
            elif column in ("null_def", "noflex"):
                changes.append((i, 1 - r[i]))
            else:
                changes += [(i, r[i] + 1), (i, r[i] - 1)]
        for i, x in changes:
            yield head, others[0] + [r[:i] + [x] + r[i + 1:]] + others[1]
        yield head, others[0] + others[1]
        yield head, others[0] + [r, r] + others[1]


def exchanges(rows):
    """Exchanges two fields of a struct that meet in a version."""
    last = {}
    for n, b in enumerate(rows):
        parent = b[0].rpartition(".")[0]
        k = last.get(parent)
        if b[5] < 0:
            last[parent] = n
        if k is None or b[5] >= 0:
            continue
        a = rows[k]
        if max(a[2], b[2]) <= min(a[3], b[3]):
            yield rows[:k] + [b] + rows[k + 1:n] + [a] + rows[n + 1:]


def main():
    trees = load_trees(sys.argv[1])
    messages = {}
    for (key, kind), schemas in trees.items():
        m = Message(schemas)
        if key in ABSENT or key in ABSENT_DATA:
            continue
        messages[m.name] = m
    errors, lies, missed, seen = [], 0, [], set()
    for head, rows in parse_rows(sys.stdin):
        m = messages.get(head[0])
        seen.add(head[0])
        if m is None:
            errors.append("%s: in no schema" % head[0])
            continue
        found = list(m.errors(head, rows))
        errors += found
        for h, r in list(falsehoods(head, rows)) + [
                (head, r) for r in exchanges(rows)]:
            lies += 1
            if not found and next(m.errors(h, r), None) is None:
                missed.append("%s: unnoticed: %s" % (
                    head[0], [x for x in r if x not in rows] or h))
    errors += ["%s: no rows" % name for name in messages.keys() - seen]
    for e in sorted(errors) + missed:
        print(e)
    print("%d messages, %d falsehoods of which %d unnoticed, %d errors" % (
        len(seen), lies, len(missed), len(errors)))
    return 1 if errors or missed or not lies else 0


if __name__ == "__main__":
    sys.exit(main())
