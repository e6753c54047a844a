# SPDX-License-Identifier: Apache-2.0
"""
Kafka's message schemas as an encoder and a decoder for any message of any
version, read from the JSON files themselves, so that nothing here can share
a mistake with the codec under test.

clients-ak4.3/ holds the newest messages and clients/ the versions that were
dropped from them; a version is read by the newer file if that covers it.
The decoder is strict: a null where none may be, a boolean that is neither 0
nor 1, tags out of order or bytes left over raise DecodeError.
"""
import json
import os
import re
import struct

from amend import amend

NULL_UUID = bytes(16)


class DecodeError(Exception):
    pass


class Raw(bytes):
    """Bytes that the encoder emits as they are in place of a field."""


def shared_dir():
    """The directory of shared material, or None."""
    here = os.path.dirname(os.path.abspath(__file__))
    for path in (os.environ.get("CHRONIK_SHARED"),
                 os.path.join(here, "..", "..", "..", "shared")):
        if path and os.path.isdir(os.path.join(path, "kafka", "messages")):
            return os.path.abspath(path)
    return None


def snake(name):
    s = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return s[0].lower() + s[1:].lower()


def parse_range(text):
    """'3+' -> (3, inf), '0-2' -> (0, 2), '4' -> (4, 4), 'none' -> None."""
    text = (text or "none").strip()
    if text == "none":
        return None
    if text.endswith("+"):
        return (int(text[:-1]), 1 << 15)
    if "-" in text:
        lo, hi = text.split("-")
        return (int(lo), int(hi))
    return (int(text), int(text))


def within(rng, version):
    return rng is not None and rng[0] <= version <= rng[1]


def load_json(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    # Comments stand on lines of their own or after a row; no string in
    # these files but the licence's address holds two slashes.
    text = re.sub(r"(?m)(^|[\s,{}\[\]])//.*$", r"\1", text)
    return amend(json.loads(text))


# ---------------------------------------------------------------- writing

class Writer:
    def __init__(self):
        self.out = bytearray()
        self.marks = []         # positions at which a field starts

    def mark(self):
        if not self.marks or self.marks[-1] != len(self.out):
            self.marks.append(len(self.out))

    def raw(self, b):
        self.out += b

    def pack(self, fmt, v):
        self.out += struct.pack(">" + fmt, v)

    def uvarint(self, v):
        self.out += uvarint(v)


def uvarint(v):
    out = bytearray()
    while v > 0x7f:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def varint(v):
    """A zigzag number of at most 64 bits."""
    return uvarint((v << 1 ^ v >> 63) & 0xffffffffffffffff)


class Reader:
    def __init__(self, data, pos=0, end=None):
        self.data = bytes(data)
        self.pos = pos
        self.end = len(self.data) if end is None else end

    def left(self):
        return self.end - self.pos

    def take(self, n):
        if n < 0 or n > self.left():
            raise DecodeError("%d bytes wanted, %d left" % (n, self.left()))
        b = self.data[self.pos:self.pos + n]
        self.pos += n
        return b

    def unpack(self, fmt):
        return struct.unpack(">" + fmt, self.take(struct.calcsize(fmt)))[0]

    def uvarint(self, bits=32):
        v = 0
        for shift in range(0, bits + 7, 7):
            b = self.take(1)[0]
            v |= (b & 0x7f) << shift
            if not b & 0x80:
                if v >> bits:
                    raise DecodeError("varint over %d bits" % bits)
                return v
        raise DecodeError("varint too long")

    def varint(self, bits=32):
        v = self.uvarint(bits)
        return v >> 1 ^ -(v & 1)


# ----------------------------------------------------------------- schema

PRIM = {"int8": "b", "int16": "h", "uint16": "H", "int32": "i",
        "uint32": "I", "int64": "q", "float64": "d"}


NAMES = {"_tags"}       # of every field of every message: guards typos


class Field:
    def __init__(self, js, structs):
        self.name = snake(js["name"])
        NAMES.add(self.name)
        self.type = js["type"]
        self.versions = parse_range(js.get("versions"))
        self.nullable = parse_range(js.get("nullableVersions"))
        self.tagged = parse_range(js.get("taggedVersions"))
        self.tag = js.get("tag")
        self.flexible = ("flexibleVersions" in js,
                         parse_range(js.get("flexibleVersions")))
        self.is_array = self.type.startswith("[]")
        self.elem = self.type[2:] if self.is_array else self.type
        self.struct = None
        if self.elem not in PRIM and self.elem not in (
                "bool", "string", "bytes", "uuid", "records"):
            fields = js.get("fields")
            if fields is None:
                fields = structs[self.elem]
            self.struct = [Field(f, structs) for f in fields]
        self.default = self.default_of(js.get("default"))

    def default_of(self, d):
        if self.is_array:
            return None if d == "null" else []
        if self.elem in PRIM:
            if d is None or d == "":
                return 0
            if self.elem == "float64":
                return float(d)
            return int(d, 0) if isinstance(d, str) else int(d)
        if self.elem == "bool":
            return d in (True, "true")
        if self.elem == "string":
            return None if d == "null" else (d or "")
        if self.elem == "uuid":
            return NULL_UUID
        if self.elem in ("bytes", "records"):
            return None if d == "null" or self.elem == "records" else b""
        return None if d == "null" else {}

    def is_flexible(self, flex, version):
        if self.flexible[0]:
            return within(self.flexible[1], version)
        return flex


class Schema:
    """One JSON file."""

    def __init__(self, js):
        self.name = js["name"]
        self.key = js.get("apiKey", -1)
        self.valid = parse_range(js["validVersions"])
        self.flex = parse_range(js.get("flexibleVersions"))
        structs = {s["name"]: s["fields"]
                   for s in js.get("commonStructs", [])}
        self.fields = [Field(f, structs) for f in js["fields"]]

    def flexible(self, version):
        return within(self.flex, version)


class Message:
    """A message over both generations of schema."""

    def __init__(self, new, old):
        self.new, self.old = new, old
        any_ = new or old
        self.name, self.key = any_.name, any_.key
        los = [s.valid[0] for s in (new, old) if s and s.valid]
        his = [s.valid[1] for s in (new, old) if s and s.valid]
        self.min, self.max = min(los), max(his)

    def at(self, version):
        if self.new and (within(self.new.valid, version) or not self.old
                         or not within(self.old.valid, version)):
            return self.new
        return self.old

    def flexible(self, version):
        return self.at(version).flexible(version)

    def write(self, w, version, value):
        s = self.at(version)
        write_struct(w, s.fields, version, s.flexible(version), value)

    def encode(self, version, value):
        w = Writer()
        self.write(w, version, value)
        return bytes(w.out)

    def read(self, r, version):
        s = self.at(version)
        return read_struct(r, s.fields, version, s.flexible(version),
                           self.name)

    def decode(self, version, data):
        r = Reader(data)
        value = self.read(r, version)
        if r.left():
            raise DecodeError("%s v%d: %d bytes left over" %
                              (self.name, version, r.left()))
        return value


def write_len(w, n, flex, short=False):
    """n is a length, or -1 for null."""
    if flex:
        w.uvarint(n + 1)
    else:
        w.pack("h" if short else "i", n)


def write_value(w, f, version, flex, v, elem=False):
    t = f.elem
    if isinstance(v, Raw):
        w.raw(v)
    elif t in PRIM:
        w.pack(PRIM[t], v)
    elif t == "bool":
        w.pack("b", 1 if v else 0)
    elif t == "uuid":
        w.raw(v)
    elif t == "string":
        if v is None:
            write_len(w, -1, flex, True)
        else:
            b = v if isinstance(v, bytes) else \
                v.encode(errors="surrogateescape")
            write_len(w, len(b), flex, True)
            w.raw(b)
    elif t in ("bytes", "records"):
        if v is None:
            write_len(w, -1, flex)
        else:
            write_len(w, len(v), flex)
            w.raw(v)
    else:
        if f.nullable is not None and within(f.nullable, version) \
                and not elem:
            w.pack("b", -1 if v is None else 1)
            if v is None:
                return
        write_struct(w, f.struct, version, flex, v or {})


def write_field(w, f, version, flex, v):
    flex = f.is_flexible(flex, version)
    if not f.is_array or isinstance(v, Raw):
        write_value(w, f, version, flex, v)
        return
    write_len(w, -1 if v is None else len(v), flex)
    for e in v or []:
        w.mark()
        write_value(w, f, version, flex, e, True)


def write_struct(w, fields, version, flex, value):
    tags = []
    for k in value:
        if k not in NAMES:
            raise KeyError("no schema has a field %s" % k)
    for f in fields:
        if not within(f.versions, version):
            continue
        v = value.get(f.name, f.default)
        if within(f.tagged, version):
            if f.name in value and value[f.name] != f.default:
                tw = Writer()
                write_field(tw, f, version, flex, v)
                tags.append((f.tag, bytes(tw.out)))
            continue
        w.mark()
        write_field(w, f, version, flex, v)
    if flex:
        extra = value.get("_tags", {})
        w.mark()
        if isinstance(extra, Raw):
            w.raw(extra)
            return
        write_tags(w, tags + sorted(extra.items()))


def write_tags(w, tags):
    w.uvarint(len(tags))
    for tag, data in sorted(tags):
        w.uvarint(tag)
        w.uvarint(len(data))
        w.raw(data)


# ---------------------------------------------------------------- reading

def read_len(r, flex, short=False):
    if flex:
        n = r.uvarint() - 1
    else:
        n = r.unpack("h" if short else "i")
    if n < -1:
        raise DecodeError("length %d" % n)
    return n


def read_value(r, f, version, flex, path, elem=False):
    t = f.elem
    nullable = within(f.nullable, version) and not elem
    if t in PRIM:
        return r.unpack(PRIM[t])
    if t == "bool":
        b = r.unpack("b")
        if b not in (0, 1):
            raise DecodeError("%s: boolean %d" % (path, b))
        return bool(b)
    if t == "uuid":
        return r.take(16)
    if t == "string":
        n = read_len(r, flex, True)
        if n < 0:
            if not nullable:
                raise DecodeError("%s: null" % path)
            return None
        # What is no UTF-8 can only be an echo of what a request said.
        return r.take(n).decode(errors="surrogateescape")
    if t in ("bytes", "records"):
        n = read_len(r, flex)
        if n < 0:
            if not nullable:
                raise DecodeError("%s: null" % path)
            return None
        return r.take(n)
    if nullable:
        b = r.unpack("b")
        if b == -1:
            return None
        if b != 1:
            raise DecodeError("%s: struct marker %d" % (path, b))
    return read_struct(r, f.struct, version, flex, path)


def read_field(r, f, version, flex, path):
    flex = f.is_flexible(flex, version)
    if not f.is_array:
        return read_value(r, f, version, flex, path)
    n = read_len(r, flex)
    if n < 0:
        if not within(f.nullable, version):
            raise DecodeError("%s: null array" % path)
        return None
    if n > r.left():
        raise DecodeError("%s: %d elements in %d bytes" %
                          (path, n, r.left()))
    return [read_value(r, f, version, flex, "%s[%d]" % (path, i), True)
            for i in range(n)]


def read_struct(r, fields, version, flex, path):
    value = {}
    tagged = {}
    for f in fields:
        if not within(f.versions, version):
            continue
        if within(f.tagged, version):
            tagged[f.tag] = f
            value[f.name] = f.default
            continue
        value[f.name] = read_field(r, f, version, flex,
                                   path + "." + f.name)
    if flex:
        last = -1
        for _ in range(r.uvarint()):
            tag = r.uvarint()
            if tag <= last:
                raise DecodeError("%s: tag %d after %d" % (path, tag, last))
            last = tag
            size = r.uvarint()
            if size > r.left():
                raise DecodeError("%s: tag %d too long" % (path, tag))
            sub = Reader(r.data, r.pos, r.pos + size)
            r.pos += size
            f = tagged.get(tag)
            if f is None:
                value.setdefault("_tags", {})[tag] = sub.take(size)
                continue
            value[f.name] = read_field(sub, f, version, flex,
                                       path + "." + f.name)
            if sub.left():
                raise DecodeError("%s: %d bytes left in tag %d" %
                                  (path, sub.left(), tag))
    return value


# ------------------------------------------------------------- the library

class Api:
    """One API: its request and its response."""

    def __init__(self, req, resp):
        self.req, self.resp = req, resp
        self.key = req.key
        self.name = req.name[:-len("Request")]
        self.min, self.max = req.min, req.max


def load(shared=None):
    """All messages with an API key, by name: {'Produce': Api, ...}."""
    base = os.path.join(shared or shared_dir(), "kafka", "messages")
    found = {}
    for which, sub in (("new", "clients-ak4.3"), ("old", "clients")):
        for fn in sorted(os.listdir(os.path.join(base, sub))):
            if not fn.endswith(("Request.json", "Response.json")):
                continue
            js = load_json(os.path.join(base, sub, fn))
            if js.get("type") not in ("request", "response"):
                continue
            if parse_range(js["validVersions"]) is None:
                continue
            name = js["name"]
            # Key 74 was renamed between the two generations.
            name = name.replace("ListClientMetricsResources",
                                "ListConfigResources")
            found.setdefault(name, {})[which] = Schema(js)
    apis = {}
    for name, gen in found.items():
        if not name.endswith("Request"):
            continue
        resp = found.get(name[:-len("Request")] + "Response")
        if resp is None:
            continue
        req = Message(gen.get("new"), gen.get("old"))
        req.name = name
        apis[name[:-len("Request")]] = Api(
            req, Message(resp.get("new"), resp.get("old")))
    return apis
