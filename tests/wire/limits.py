# SPDX-License-Identifier: Apache-2.0
"""
Limits of the broker (protocol.md 4.3): connections by address and by the
second, connections that say nothing (faults.md N6), producers that are
forgotten.  Meant for one gateway.
"""
import os
import socket
import time

import kafka
import records as R
from kafka import (Conn, E, KAFKA, Skip, eq, need, new_topic, ok, produce, row, rows,
                   roundtrip)

KAFKA_DIFFERS = {
    "silent/*": ("all", "Kafka waits for connections.max.idle.ms"),
    "address/*": ("all?", "Kafka resolves names, and splits at every colon"),
    "refused/max.connection*": ("all?", "Kafka takes 0, and resolves names"),
}

OUT_OF_ORDER = 45
INVALID = 42
BROKER = 4
PATIENCE = kafka.WAIT


def alter(c, configs, code=0):
    """{name: value or None} for the cluster as a whole."""
    r = c.call("IncrementalAlterConfigs", 1, {
        "validate_only": False, "resources": [{
            "resource_type": BROKER, "resource_name": "", "configs": [
                {"name": k, "config_operation": 1 if v is None else 0,
                 "value": v} for k, v in configs.items()]}]})
    got = r["responses"][0]
    eq(got["error_code"], code, "alter %r (%s)" % (configs,
                                                  got["error_message"]))
    return got["error_message"]


def with_configs(*names):
    """They are as before afterwards."""
    def deco(f):
        def g(*args):
            try:
                f(*args)
            finally:
                with Conn() as c:
                    alter(c, {n: None for n in names})
        return g
    return deco


# ApiVersions v0 without a client id.
FRAME = bytes.fromhex("0000000a" "00120000" "00000007" "ffff")


class From:
    """A connection from an address of the loopback; live tells whether it is
    served."""

    def __init__(self, host):
        self.s = socket.create_connection((E.host, E.port), kafka.WAIT,
                                          source_address=(host, 0))

    def live(self):
        try:
            self.s.sendall(FRAME)
            n = self.take(4)
            return n is not None and \
                self.take(int.from_bytes(n, "big")) is not None
        except OSError:
            return False

    def take(self, n):
        b = b""
        while len(b) < n:
            more = self.s.recv(n - len(b))
            if not more:
                return None
            b += more
        return b

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.s.close()


def local():
    if not E.host.startswith("127."):
        raise Skip("the broker does not listen on 127.0.0.1")


def served(hosts):
    """Whether each of connections from these addresses is served, while all
    are open."""
    cs = [From(h) for h in hosts]
    try:
        return [c.live() for c in cs]
    finally:
        for c in cs:
            c.s.close()


def wait_for(f, what):
    """What a gateway is told by the engine it does soon afterwards."""
    end = time.monotonic() + PATIENCE
    while not f():
        ok(time.monotonic() < end, what)
        time.sleep(0.05)


A, B = "127.0.0.2", "127.0.0.3"
CAP, CAPS = "max.connections.per.ip", "max.connections.per.ip.overrides"
RATE = "max.connection.creation.rate"


# -------------------------------------------------------------- by address

@row("address/cap")
@with_configs(CAP)
def cap():
    local()
    with Conn() as c:
        eq(served([A] * 5), [True] * 5, "without a cap")
        alter(c, {CAP: "3"})
        wait_for(lambda: served([A] * 4) == [True] * 3 + [False],
                 "the fourth is served")
        eq(served([A, B, A, B, A, B, B]), [True] * 6 + [False],
           "each address by itself")
        # Those that have gone make room.
        for _ in range(10):
            wait_for(lambda: served([A] * 3) == [True] * 3, "no room")
        alter(c, {CAP: None})
        wait_for(lambda: served([A] * 5) == [True] * 5, "it stays")


@row("address/overrides")
@with_configs(CAP, CAPS)
def overrides():
    local()
    with Conn() as c:
        alter(c, {CAP: "5", CAPS: " %s:1, ::1:9,[2001:db8::7]:2,%s:0" %
                  (A, B)})
        wait_for(lambda: served([A] * 2) == [True, False], "its own cap")
        eq(served([B]), [False], "0 lets none in")
        eq(served(["127.0.0.4"] * 5), [True] * 5, "the others")
        alter(c, {CAPS: "%s:2" % A})
        wait_for(lambda: served([A] * 3) == [True, True, False],
                 "another number")
        wait_for(lambda: served([B] * 2) == [True] * 2, "no cap any more")


@row("address/existing-ones-stay")
@with_configs(CAP)
def existing():
    local()
    if KAFKA:
        raise Skip("it counts its own connections, and shuts us out")
    with Conn() as c, From(A) as x, From(A) as y:
        ok(x.live() and y.live(), "two are there")
        alter(c, {CAP: "1"})
        wait_for(lambda: served([A]) == [False], "no more")
        ok(x.live() and y.live(), "those that were there stay")


@rows("refused/%s=%s", [
    (CAP, "0"), (CAP, "-1"), (CAP, "x"), (CAP, "2147483648"),
    (CAPS, "localhost:5"), (CAPS, "127.0.0.1"), (CAPS, "127.0.0.1:"),
    (CAPS, "127.0.0.1:-1"), (CAPS, "127.0.0.1:5,"), (CAPS, ","),
    (CAPS, "300.0.0.1:5"), (CAPS, ":5"), (CAPS, "[1.2.3.4]:5"),
    (CAPS, "127.0.0.1:5;127.0.0.2:6"), (CAPS, "1.2.3.4:5," * 100 + "::1:1"),
    (RATE, "0"), (RATE, "-1"), ("producer.id.expiration.ms", "0")])
def refused(name, value):
    with Conn() as c:
        ok(name in alter(c, {name: value}, INVALID), "a message")


@row("described")
@with_configs(CAP, CAPS, RATE, "producer.id.expiration.ms")
def described():
    with Conn() as c:
        me = str(kafka.metadata(c, [])["controller_id"])

        def get():
            r = c.call("DescribeConfigs", 4, {
                "include_synonyms": False, "include_documentation": True,
                "resources": [{"resource_type": BROKER, "resource_name": me,
                               "configuration_keys": None}]})
            return {x["name"]: (x["value"], x["read_only"],
                                x["config_type"], x["config_source"])
                    for x in r["results"][0]["configs"]}
        got = get()
        eq([got[n] for n in (CAP, CAPS, RATE, "producer.id.expiration.ms")],
           [("2147483647", False, 3, 5), ("", False, 2, 5),
            ("2147483647", False, 3, 5), ("86400000", False, 3, 5)],
           "defaults")
        alter(c, {CAP: "77", CAPS: "192.0.2.9:3 , ::1:4", RATE: "1000",
                  "producer.id.expiration.ms": "5000"})
        got = get()
        eq([got[n] for n in (CAP, CAPS, RATE, "producer.id.expiration.ms")],
           [("77", False, 3, 3), ("192.0.2.9:3,::1:4", False, 2, 3),
            ("1000", False, 3, 3), ("5000", False, 3, 3)], "what was set")


# ------------------------------------------------------------- by the second

@row("rate/all-are-served-in-time")
@with_configs(RATE)
def rate():
    """At 4 a second 40 may come at once; 8 more take 2 seconds, and nobody is
    turned away."""
    with Conn() as c:
        eq(served([E.host] * 60), [True] * 60, "without a limit")
        alter(c, {RATE: "4"})
        # So many that the burst is used up, whenever the gateway hears of it.
        began = time.monotonic()
        eq(served([E.host] * 48), [True] * 48, "48 connections")
        first = time.monotonic() - began
        if first < 1:       # it had not heard of it yet
            began = time.monotonic()
            eq(served([E.host] * 48), [True] * 48, "48 connections")
            first = time.monotonic() - began
        ok(first > 1, "48 connections in %.1f s" % first)


# ------------------------------------------------------------ saying nothing

def timeout():
    ms = os.environ.get("CHRONIK_WIRE_HANDSHAKE")
    if not ms:
        raise Skip("needs a short handshake-timeout-ms")
    return int(ms) / 1000


def is_closed(s):
    """Waits for the end; False: bytes came."""
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


@rows("silent/%s", ["nothing", "half-a-length", "half-a-request"])
def silent(what):
    timeout()
    with Conn() as good, From(E.host) as x:
        roundtrip(good)
        x.s.sendall({"nothing": b"", "half-a-length": FRAME[:2],
                     "half-a-request": FRAME[:9]}[what])
        ok(is_closed(x.s), "it is closed")
        # Whoever has said something may be silent.
        ok(not good.readable(), "a connection that has been used")
        roundtrip(good)


@row("silent/byte-by-byte")
def slowly():
    """However long the request: one of a second takes 14 bytes."""
    every = timeout() / 4
    with From(E.host) as x:
        x.s.settimeout(every)
        sent = 0
        for b in FRAME:
            try:
                x.s.sendall(bytes([b]))
                sent += 1
                if is_closed(x.s):
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        ok(sent < len(FRAME), "all of it was taken")


@row("silent/many")
def many():
    """They displace each other; who speaks is served at once."""
    if os.environ.get("CHRONIK_WIRE_HANDSHAKE"):
        raise Skip("needs the default handshake-timeout-ms")
    import resource
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2000:
        raise Skip("too few open files")
    with Conn() as good:
        roundtrip(good)
        cs = [From(E.host) for _ in range(1500)]
        roundtrip(good)
        ok(is_closed(cs[0].s), "the oldest has gone")
        for _ in range(100):
            with Conn() as c:
                roundtrip(c)
        ok(cs[-1].live(), "the youngest is there")
        for x in cs:
            x.s.close()


# ---------------------------------------------------------------- producers

def seq(c, t, pid, n):
    return produce(c, t, R.batch(R.recs(1, ts=kafka.TS), pid=pid, epoch=0,
                                 seq=n))


def known(c, t):
    r = c.call("DescribeProducers", 0, {"topics": [
        {"name": t.name, "partition_indexes": [0]}]})
    return [p["producer_id"]
            for p in r["topics"][0]["partitions"][0]["active_producers"]]


@row("producer/forgotten")
@with_configs("producer.id.expiration.ms")
def forgotten():
    need("DescribeProducers", 0)
    if not os.environ.get("CHRONIK_WIRE_EXPIRES"):
        raise Skip("needs a short producer-id-expiration-check-interval-ms")
    t = new_topic()
    with Conn() as c:
        pid = kafka.new_pid(c)[0]
        for n in range(3):
            eq(seq(c, t, pid, n)["error_code"], 0, "produce")
        eq(seq(c, t, pid, 7)["error_code"], OUT_OF_ORDER, "a gap")
        eq(known(c, t), [pid], "known")
        alter(c, {"producer.id.expiration.ms": "1"})
        wait_for(lambda: known(c, t) == [], "it is still known")
        r = seq(c, t, pid, 7)
        eq((r["error_code"], r["base_offset"]), (0, 3), "it may begin anew")


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
