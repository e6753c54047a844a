# SPDX-License-Identifier: Apache-2.0
"""
Record batches (magic 2) and message sets (magic 0 and 1), built and taken
apart with every field open to a lie; the two checksums; and the codecs as
far as Python's own library and literal-only frames reach.  It shares nothing
with the code under test.
"""
import ctypes
import struct
import zlib

from schema import Reader, DecodeError, varint

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODEC_NAMES = ["none", "gzip", "snappy", "lz4", "zstd"]
LOG_TIME, TXN, CONTROL = 0x08, 0x10, 0x20


# -------------------------------------------------------------- checksums

def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


CRC32C = crc32c_table()


def crc32c(data):
    c = 0xffffffff
    table = CRC32C
    for b in data:
        c = table[(c ^ b) & 0xff] ^ c >> 8
    return c ^ 0xffffffff


assert crc32c(b"123456789") == 0xe3069283

P1, P2, P3, P4, P5 = (2654435761, 2246822519, 3266489917, 668265263,
                      374761393)
M32 = 0xffffffff


def rotl(x, n):
    return (x << n | x >> 32 - n) & M32


def xxh32(data, seed=0):
    n = len(data)
    pos = 0
    if n >= 16:
        v = [(seed + P1 + P2) & M32, (seed + P2) & M32, seed,
             (seed - P1) & M32]
        while pos + 16 <= n:
            for i in range(4):
                lane = struct.unpack_from("<I", data, pos + 4 * i)[0]
                v[i] = rotl((v[i] + lane * P2) & M32, 13) * P1 & M32
            pos += 16
        h = rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)
    else:
        h = seed + P5
    h = (h + n) & M32
    while pos + 4 <= n:
        lane = struct.unpack_from("<I", data, pos)[0]
        h = rotl((h + lane * P3) & M32, 17) * P4 & M32
        pos += 4
    while pos < n:
        h = rotl((h + data[pos] * P5) & M32, 11) * P1 & M32
        pos += 1
    h = (h ^ h >> 15) * P2 & M32
    h = (h ^ h >> 13) * P3 & M32
    return h ^ h >> 16


assert xxh32(b"") == 0x02cc5d05 and xxh32(b"a" * 16) == xxh32(b"a" * 16)


# ----------------------------------------------------------------- codecs

def gzip_pack(data, members=1):
    out = b""
    step = max(1, -(-len(data) // members))
    for i in range(members):
        part = data[i * step:(i + 1) * step]
        c = zlib.compressobj(6, zlib.DEFLATED, 31)
        out += c.compress(part) + c.flush()
    return out


def gzip_unpack(data):
    out = b""
    while data:
        d = zlib.decompressobj(31)
        out += d.decompress(data) + d.flush()
        if not d.eof:
            raise DecodeError("gzip stream cut short")
        data = d.unused_data
    return out


def le_varint(v):
    out = bytearray()
    while v > 0x7f:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def snappy_raw_pack(data):
    """Literals only."""
    out = bytearray(le_varint(len(data)))
    for i in range(0, len(data), 65536):
        part = data[i:i + 65536]
        if len(part) <= 60:
            out.append((len(part) - 1) << 2)
        else:
            out.append(61 << 2)
            out += struct.pack("<H", len(part) - 1)
        out += part
    return bytes(out)


XERIAL = b"\x82SNAPPY\0"


def snappy_xerial_pack(data, block=32768):
    out = XERIAL + struct.pack(">ii", 1, 1)
    for i in range(0, len(data), block):
        raw = snappy_raw_pack(data[i:i + block])
        out += struct.pack(">i", len(raw)) + raw
    return out


def snappy_raw_unpack(data):
    r = Reader(data)
    want = r.uvarint()
    out = bytearray()
    while r.left():
        tag = r.take(1)[0]
        kind = tag & 3
        if kind == 0:
            n = tag >> 2
            if n >= 60:
                n = int.from_bytes(r.take(n - 59), "little")
            out += r.take(n + 1)
            continue
        if kind == 1:
            n = (tag >> 2 & 7) + 4
            dist = (tag >> 5) << 8 | r.take(1)[0]
        else:
            n = (tag >> 2) + 1
            dist = int.from_bytes(r.take(2 if kind == 2 else 4), "little")
        copy_back(out, dist, n)
    if len(out) != want:
        raise DecodeError("snappy: %d bytes, %d promised" % (len(out), want))
    return bytes(out)


def copy_back(out, dist, n):
    if dist == 0 or dist > len(out):
        raise DecodeError("copy from before the start")
    for _ in range(n):
        out.append(out[-dist])


def snappy_unpack(data):
    if not data.startswith(XERIAL):
        return snappy_raw_unpack(data)
    r = Reader(data, 16)
    out = b""
    while r.left():
        out += snappy_raw_unpack(r.take(r.unpack("i")))
    return out


def lz4_pack(data, bad_header=False, checksum=False):
    """A frame of independent blocks, stored."""
    desc = bytes([0x60 | (0x04 if checksum else 0), 0x40])
    head = struct.pack("<I", 0x184d2204) + desc
    # The checksum leaves out the magic; Kafka's magic 0 writers included it.
    hc = xxh32(head if bad_header else desc) >> 8 & 0xff
    out = head + bytes([hc])
    for i in range(0, len(data), 65536):
        part = data[i:i + 65536]
        out += struct.pack("<I", len(part) | 0x80000000) + part
    out += struct.pack("<I", 0)
    if checksum:
        out += struct.pack("<I", xxh32(data))
    return out


def lz4_block(src, out):
    r = Reader(src)
    while r.left():
        token = r.take(1)[0]
        n = token >> 4
        if n == 15:
            n += lz4_more(r)
        out += r.take(n)
        if not r.left():
            break
        dist = int.from_bytes(r.take(2), "little")
        n = token & 15
        if n == 15:
            n += lz4_more(r)
        copy_back(out, dist, n + 4)


def lz4_more(r):
    n = 0
    while True:
        b = r.take(1)[0]
        n += b
        if b != 255:
            return n


def lz4_unpack(data, bad_header=False):
    if struct.unpack_from("<I", data)[0] != 0x184d2204:
        raise DecodeError("not an LZ4 frame")
    flg = data[4]
    pos = 6 + (8 if flg & 0x08 else 0)
    covered = data[0:pos] if bad_header else data[4:pos]
    if data[pos] != xxh32(covered) >> 8 & 0xff:
        raise DecodeError("LZ4 frame's header checksum")
    pos += 1
    out = bytearray()
    while True:
        size = struct.unpack_from("<I", data, pos)[0]
        pos += 4
        if size == 0:
            break
        n = size & 0x7fffffff
        if size & 0x80000000:
            out += data[pos:pos + n]
        else:
            lz4_block(data[pos:pos + n], out)
        pos += n + (4 if flg & 0x10 else 0)
    if flg & 0x04:
        if struct.unpack_from("<I", data, pos)[0] != xxh32(bytes(out)):
            raise DecodeError("LZ4 content checksum")
        pos += 4
    if pos != len(data):
        raise DecodeError("bytes after the LZ4 frame")
    return bytes(out)


def zstd_pack(data, window_log=None):
    """Raw blocks in a frame with a window descriptor."""
    log = window_log or max(10, min(17, max(1, len(data)).bit_length()))
    out = struct.pack("<IBB", 0xfd2fb528, 0x00, (log - 10) << 3)
    step = min(1 << log, 65536)
    parts = [data[i:i + step] for i in range(0, len(data), step)] or [b""]
    for i, part in enumerate(parts):
        head = len(part) << 3 | (1 if i == len(parts) - 1 else 0)
        out += struct.pack("<I", head)[:3] + part
    return out


def zstd_library(data):
    """Compressed blocks are beyond this decoder: the library's own."""
    try:
        lib = ctypes.CDLL("libzstd.so.1")
    except OSError:
        raise DecodeError("zstd: compressed block, and no library")
    for f in (lib.ZSTD_getFrameContentSize, lib.ZSTD_decompress):
        f.restype = ctypes.c_ulonglong
    n = lib.ZSTD_getFrameContentSize(data, ctypes.c_size_t(len(data)))
    if n > 1 << 30:
        n = 64 << 20
    out = ctypes.create_string_buffer(max(1, n))
    got = lib.ZSTD_decompress(out, ctypes.c_size_t(n), data,
                              ctypes.c_size_t(len(data)))
    if got > n:
        raise DecodeError("zstd: the library cannot read it")
    return out.raw[:got]


def zstd_unpack(data):
    """Raw and run-length blocks, as zstd_pack writes; else the library."""
    r = Reader(data)
    if r.take(4) != b"\x28\xb5\x2f\xfd":
        raise DecodeError("not a zstd frame")
    desc = r.take(1)[0]
    single = desc & 0x20
    if not single:
        r.take(1)
    r.take([0, 1, 2, 4][desc & 3])
    fcs = desc >> 6
    r.take([1 if single else 0, 2, 4, 8][fcs])
    out = b""
    while True:
        head = int.from_bytes(r.take(3), "little")
        kind, n = head >> 1 & 3, head >> 3
        if kind == 0:
            out += r.take(n)
        elif kind == 1:
            out += r.take(1) * n
        else:
            return zstd_library(data)
        if head & 1:
            break
    return out


def pack(codec, data, magic=2):
    if codec == NONE:
        return data
    if codec == GZIP:
        return gzip_pack(data)
    if codec == SNAPPY:
        return snappy_xerial_pack(data)
    if codec == LZ4:
        return lz4_pack(data, bad_header=magic == 0)
    if codec == ZSTD:
        return zstd_pack(data)
    return data


def unpack(codec, data, magic=2):
    if codec == NONE:
        return data
    if codec == GZIP:
        return gzip_unpack(data)
    if codec == SNAPPY:
        return snappy_unpack(data)
    if codec == LZ4:
        return lz4_unpack(data, bad_header=magic == 0)
    if codec == ZSTD:
        return zstd_unpack(data)
    raise DecodeError("codec %d" % codec)


# ---------------------------------------------------------------- magic 2

class Rec:
    """A record: what a reader sees."""

    def __init__(self, key=None, value=b"", ts=None, headers=(),
                 offset=None):
        self.key, self.value, self.ts = key, value, ts
        self.headers, self.offset = list(headers), offset

    def __repr__(self):
        return "Rec(o=%s ts=%s %r=%r%s)" % (
            self.offset, self.ts, self.key, self.value[:40]
            if self.value is not None else None,
            " %r" % self.headers if self.headers else "")


def opt_bytes(b):
    return varint(-1) if b is None else varint(len(b)) + b


def record_bytes(rec, ts_delta, off_delta, attrs=0, length=None):
    body = bytes([attrs]) + varint(ts_delta) + varint(off_delta)
    body += opt_bytes(rec.key) + opt_bytes(rec.value)
    body += varint(len(rec.headers))
    for k, v in rec.headers:
        k = k if isinstance(k, bytes) else k.encode()
        body += varint(len(k)) + k + opt_bytes(v)
    return varint(len(body) if length is None else length) + body


def batch(recs, codec=NONE, base_offset=0, leader_epoch=-1, magic=2,
          attrs=None, pid=-1, epoch=-1, seq=-1, base_ts=None, max_ts=None,
          count=None, last_delta=None, crc=None, length=None, payload=None,
          deltas=None, packed=None, extra=b"", now=None):
    """
    One batch.  All that is not given is right; all that is given is written
    as it is: payload is the records' bytes before compression, packed after
    it, extra stands after the last record, deltas replaces offset deltas.
    """
    if now is None:
        import time
        now = int(time.time() * 1000)
    stamps = [now if r.ts is None else r.ts for r in recs] or [now]
    if base_ts is None:
        base_ts = stamps[0]
    if payload is None:
        payload = b""
        for i, r in enumerate(recs):
            d = deltas[i] if deltas else i
            payload += record_bytes(r, stamps[i] - base_ts, d)
    payload += extra
    if packed is None:
        packed = pack(codec, payload)
    n = len(recs)
    a = (codec if attrs is None else attrs)
    tail = struct.pack(
        ">hiqqqhii", a, n - 1 if last_delta is None else last_delta,
        base_ts, max(stamps) if max_ts is None else max_ts, pid, epoch, seq,
        n if count is None else count) + packed
    c = crc32c(tail) if crc is None else crc
    ln = len(tail) + 9 if length is None else length
    return struct.pack(">qiibI", base_offset, ln, leader_epoch, magic,
                       c) + tail


def recs(n, size=10, key=True, ts=None, step=1, tag=b""):
    """n records with values that tell them apart."""
    out = []
    for i in range(n):
        v = (b"%s%06d" % (tag, i)).ljust(size, b".")
        out.append(Rec(b"k%d" % i if key else None, v,
                       None if ts is None else ts + i * step))
    return out


class Batch:
    """A batch as read."""


def read_batch(data, pos):
    b = Batch()
    (b.base_offset, b.length, b.leader_epoch, b.magic,
     b.crc) = struct.unpack_from(">qiibI", data, pos)
    end = pos + 12 + b.length
    b.raw = bytes(data[pos:end])
    if crc32c(b.raw[21:]) != b.crc:
        raise DecodeError("CRC of the batch at offset %d" % b.base_offset)
    (b.attrs, b.last_delta, b.base_ts, b.max_ts, b.pid, b.epoch, b.seq,
     b.count) = struct.unpack_from(">hiqqqhii", b.raw, 21)
    b.codec = b.attrs & 7
    b.packed = b.raw[61:]
    b.records = []
    r = Reader(unpack(b.codec, b.packed))
    for _ in range(b.count):
        b.records.append(read_record(r, b))
    if r.left():
        raise DecodeError("bytes after the last record")
    return b


def read_record(r, b):
    size = r.varint()
    sub = Reader(r.data, r.pos, r.pos + size)
    r.take(size)
    sub.take(1)
    ts = b.base_ts + sub.varint(64)
    if b.attrs & LOG_TIME:
        ts = b.max_ts
    off = b.base_offset + sub.varint()
    out = []
    for _ in range(2):
        n = sub.varint()
        out.append(None if n < 0 else sub.take(n))
    rec = Rec(out[0], out[1], ts, offset=off)
    for _ in range(sub.varint()):
        k = sub.take(sub.varint())
        n = sub.varint()
        rec.headers.append((k, None if n < 0 else sub.take(n)))
    if sub.left():
        raise DecodeError("bytes left in a record")
    return rec


# ----------------------------------------------------------- magic 0 and 1

def message(rec, magic=1, attrs=0, offset=0, crc=None, length=None,
            now=None):
    if now is None:
        import time
        now = int(time.time() * 1000)
    body = bytes([magic, attrs])
    if magic > 0:
        body += struct.pack(">q", now if rec.ts is None else rec.ts)
    for b in (rec.key, rec.value):
        body += struct.pack(">i", -1 if b is None else len(b)) + (b or b"")
    c = zlib.crc32(body) if crc is None else crc
    ln = len(body) + 4 if length is None else length
    return struct.pack(">qiI", offset, ln, c) + body


def message_set(rs, magic=1, codec=NONE, absolute=None, first=0, packed=None,
                wrapper_ts=None):
    """
    A message set; with a codec, one wrapper.  Inner offsets are relative in
    magic 1 and absolute in magic 0 unless told.
    """
    if absolute is None:
        absolute = magic == 0
    out = b""
    for i, r in enumerate(rs):
        out += message(r, magic, offset=first + i if absolute else i)
    if codec == NONE:
        return out
    stamps = [r.ts for r in rs if r.ts is not None]
    ts = wrapper_ts
    if ts is None:
        ts = max(stamps) if stamps else None
    w = Rec(None, pack(codec, out, magic) if packed is None else packed, ts)
    return message(w, magic, codec, first + len(rs) - 1)


class Msg:
    """An entry of a message set as read: records holds what it wraps."""


def read_message(data, pos):
    m = Msg()
    m.offset, m.length, m.crc = struct.unpack_from(">qiI", data, pos)
    m.raw = bytes(data[pos:pos + 12 + m.length])
    if zlib.crc32(m.raw[16:]) != m.crc:
        raise DecodeError("CRC of the message at offset %d" % m.offset)
    r = Reader(m.raw, 16)
    m.magic, m.attrs = r.unpack("b"), r.unpack("b")
    m.ts = r.unpack("q") if m.magic > 0 else -1
    kv = []
    for _ in range(2):
        n = r.unpack("i")
        kv.append(None if n < 0 else r.take(n))
    if r.left():
        raise DecodeError("bytes left in a message")
    m.codec = m.attrs & 7
    if m.codec == NONE:
        m.records = [Rec(kv[0], kv[1], m.ts, offset=m.offset)]
        return m
    inner = read_set(unpack(m.codec, kv[1], m.magic), whole=True)
    m.records = [r for i in inner for r in i.records]
    if m.magic == 1 and m.records:
        last = m.records[-1].offset
        for rec in m.records:
            rec.offset += m.offset - last
            if m.attrs & LOG_TIME:
                rec.ts = m.ts
    return m


def read_set(data, whole=False):
    """
    Reads what a fetch returned: batches and messages, in order.  A partial
    one at the end is left out, unless whole is asked for.
    """
    out = []
    pos = 0
    while len(data) - pos >= 12:
        size = 12 + struct.unpack_from(">i", data, pos + 8)[0]
        if size < 26:
            raise DecodeError("entry of %d bytes" % size)
        if len(data) - pos < size:
            break
        magic = data[pos + 16]
        if magic > 2:
            raise DecodeError("magic %d" % magic)
        out.append((read_batch if magic == 2 else read_message)(data, pos))
        pos += size
    if whole and pos != len(data):
        raise DecodeError("%d bytes of a partial entry" % (len(data) - pos))
    return out


def all_records(data):
    return [r for b in read_set(data or b"") for r in b.records]
