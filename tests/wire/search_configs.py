# SPDX-License-Identifier: Apache-2.0
"""
The search.* configs of topics over the wire: described with their types,
defaults and documents, set and taken back by both requests, and refused by a
sentence that names what is wrong.
"""
import kafka
from configs import (APPEND, DELETE, SET, SUBTRACT, TOPIC, bad, good,
                     incremental, replace, value)
from kafka import (BAD_CONFIG, KAFKA, Conn, Skip, create, eq, fresh_name, isin,
                   new_topic, ok, row, rows, until)
from samples import described, own

BOOLEAN, STRING, LIST = 1, 2, 7
TABLE = {
    "search.enable": ("false", BOOLEAN, "indexes"),
    "search.fields.numeric": ("", LIST, "ranges"),
    "search.fields.text": ("", LIST, "weight"),
    "search.ids": ("true", BOOLEAN, "random ids"),
    "search.positions": ("false", BOOLEAN, "order"),
    "search.stem": ("none", STRING, "stop words"),
}
FIELDS = ["a b", "a,", ",a", "a,,b", "a,a", "^2", "a\tb", "a\nids=0", "a\0b",
          "x" * 201, ",".join("f%d" % i for i in range(65))]
BAD = [("search.enable", v, "true or false") for v in
       ("", "yes", "1", "tru", "true,false")] + [
    ("search.ids", "maybe", "true or false"),
    ("search.positions", "on", "true or false")] + [
    ("search.stem", v, "none") for v in ("", "de", "en,none", "english")] + [
    ("search.fields.text", v, "paths of JSON members") for v in
    FIELDS + ["a^0", "a^101", "a^-1", "a^x", "a^", "a^1.5"]] + [
    ("search.fields.numeric", v, "paths of JSON members") for v in
    FIELDS + ["a^2"]] + [
    ("search.field.text", "a", "search.field.text")]
GOOD = [("search.enable", "TRUE", "true"), ("search.stem", "en", "en"),
        ("search.fields.text", "a.b^5,c", "a.b^5,c"),
        ("search.fields.numeric", "n", "n"), ("search.ids", "false", "false"),
        ("search.positions", "true", "true")]


def need_ours():
    if KAFKA:
        raise Skip("Kafka has no search.* configs")


@row("search/described")
def search_described():
    need_ours()
    t = new_topic()
    with Conn() as c:
        by = described(c, TOPIC, t.name)["by"]
        eq({n for n in by if n.startswith("search.")}, set(TABLE), "configs")
        for name, (val, kind, words) in TABLE.items():
            d = by[name]
            eq((d["value"], d["config_type"], d["config_source"],
                d["read_only"], d["is_sensitive"]),
               (val, kind, 5, False, False), name)
            ok(words in (d["documentation"] or ""),
               "%s: documentation %r" % (name, d["documentation"]))


@rows("search/bad/%d", range(len(BAD)))
def search_bad(i):
    """By each request that can set it; nothing of it, or beside it, stays."""
    need_ours()
    key, val, words = BAD[i]
    t = new_topic()
    with Conn() as c:
        for validate in (True, False):
            bad(incremental(c, TOPIC, t.name, [
                (SET, "retention.ms", "1000000"), (SET, key, val)],
                validate=validate), BAD_CONFIG, words)
            bad(replace(c, TOPIC, t.name, [
                ("retention.ms", "1000000"), (key, val)],
                validate=validate), BAD_CONFIG, words)
        eq(own(described(c, TOPIC, t.name)), {}, "what was set")
        r = create(c, fresh_name("bad"), 1, {key: val})
        eq(r["error_code"], BAD_CONFIG, "CreateTopics")


@rows("search/set/%d", range(len(GOOD)))
def search_set(i):
    need_ours()
    key, val, is_ = GOOD[i]
    t = new_topic()
    with Conn() as c:
        for change in (
                lambda: incremental(c, TOPIC, t.name, [(SET, key, val)]),
                lambda: replace(c, TOPIC, t.name, [(key, val)])):
            good(change())
            isin(until(lambda: value(c, t, key), lambda v: v in (is_, val)),
                 (is_, val), "value")
            good(incremental(c, TOPIC, t.name, [(DELETE, key, None)]))
            eq(until(lambda: value(c, t, key), lambda v: v == TABLE[key][0]),
               TABLE[key][0], "value after it was taken back")
            eq(own(described(c, TOPIC, t.name)), {}, "what was set")


@row("search/lists")
def search_lists():
    """Members are added and taken away like words of any list."""
    need_ours()
    t = new_topic()
    key = "search.fields.text"
    with Conn() as c:
        good(incremental(c, TOPIC, t.name, [(SET, key, "a,b^2")]))
        good(incremental(c, TOPIC, t.name, [(APPEND, key, "c")]))
        eq(until(lambda: value(c, t, key), lambda v: v == "a,b^2,c"),
           "a,b^2,c", "value")
        good(incremental(c, TOPIC, t.name, [(SUBTRACT, key, "a")]))
        eq(until(lambda: value(c, t, key), lambda v: v == "b^2,c"),
           "b^2,c", "value")
        bad(incremental(c, TOPIC, t.name, [(APPEND, key, "c d")]), BAD_CONFIG)


if __name__ == "__main__":
    kafka.run({})
