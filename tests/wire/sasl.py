# SPDX-License-Identifier: Apache-2.0
"""
Authentication: SaslHandshake, SaslAuthenticate, bare tokens, what may be
asked before, and the users of 50 and 51 (protocol.md 3.1, 3.11).

Rows on/... need a broker that asks for SASL, and the users alice (password
"wonderland-canary") and bob ("builder-canary"); rows again/... one where an
authentication lasts 3 seconds; rows off/... one that asks nobody.
"""
import hashlib
import os
import struct
import time

import kafka
from kafka import E, Conn, api_of, eq, ok, row, rows, ver

KAFKA_DIFFERS = {
    "on/good/api-versions-anywhere": ("all", "once, in Kafka"),
    "on/bad/bare-length/65537": ("all", "Kafka reads 512 KiB before it knows "
                                 "who it is"),
    "on/bad/authenticate-first": ("all", "Kafka closes without a word"),
    "on/before/large-frame": ("all", "the same"),
    "on/users/password-by-51": ("all", "Kafka's PLAIN knows only users of its "
                                "options"),
    "on/before/handshake": ("44", "4.4 answers some of them"),
    "off/users/bad/short-key": ("all", "Kafka keeps any key"),
    "off/users/bad/no-key": ("all", "Kafka fails"),
    "off/users/bad/long-salt": ("all", "Kafka has no limit"),
    "off/users/bad-name/256": ("all", "Kafka has no limit"),
    "off/users/bad-name/3000": ("all", "Kafka has no limit"),
    "off/users/too-many": ("all", "Kafka has no limit"),
}

UNSUPPORTED, STATE, FAILED = 33, 34, 58
NOT_FOUND, DUPLICATE, UNACCEPTABLE = 91, 92, 93
ALICE, BOB = (b"alice", b"wonderland-canary"), (b"bob", b"builder-canary")


def plain(user, password, authz=b""):
    return authz + b"\0" + user + b"\0" + password


def shake(c, v=1, mechanism="PLAIN"):
    return c.call("SaslHandshake", v, {"mechanism": mechanism})


def auth(c, token, v=2):
    return c.call("SaslAuthenticate", v, {"auth_bytes": token})


def login(c, who=ALICE, v=2):
    r = shake(c)
    eq(r["error_code"], 0, "handshake")
    r = auth(c, plain(*who), v)
    eq(r["error_code"], 0, "authenticate (%s)" % r["error_message"])
    return r


def works(c):
    r = c.call("Metadata", ver("Metadata", 9),
               {"topics": [], "allow_auto_topic_creation": False})
    ok(len(r["brokers"]) >= 1, "brokers")


def recv_token(c):
    while len(c.inbuf) < 4:
        c.fill()
    n = struct.unpack_from(">i", c.inbuf)[0]
    while len(c.inbuf) < 4 + n:
        c.fill()
    data = bytes(c.inbuf[4:4 + n])
    del c.inbuf[:4 + n]
    return data


# ------------------------------------------------------------ good clients

@rows("on/good/v%d", [0, 1, 2])
def good(v):
    with Conn() as c:
        r = shake(c)
        eq(r["error_code"], 0, "handshake")
        eq(r["mechanisms"], ["PLAIN"], "mechanisms")
        r = auth(c, plain(*ALICE), v)
        eq((r["error_code"], r["error_message"] or None, r["auth_bytes"]),
           (0, None, b""), "answer")
        eq(r.get("session_lifetime_ms", 0), 0, "lifetime")
        works(c)


@row("on/good/authzid")
def good_authz():
    with Conn() as c:
        shake(c)
        eq(auth(c, plain(*ALICE, authz=b"alice"))["error_code"], 0, "error")
        works(c)


@row("on/good/bare-token")
def good_bare():
    """A handshake of v0 is followed by tokens without Kafka's header."""
    with Conn() as c:
        eq(shake(c, 0)["error_code"], 0, "handshake")
        c.send_frame(plain(*BOB))
        eq(recv_token(c), b"", "token")
        works(c)


@row("on/good/bare-token-in-bytes")
def good_bare_bytes():
    data = plain(*BOB)
    data = struct.pack(">i", len(data)) + data
    with Conn() as c:
        eq(shake(c, 0)["error_code"], 0, "handshake")
        for i in range(len(data)):
            c.send_raw(data[i:i + 1])
        eq(recv_token(c), b"", "token")
        works(c)


@rows("on/good/pipelined/v%d", [0, 1])
def good_pipelined(v):
    """All at once: no answer is waited for."""
    with Conn() as c:
        c.send("ApiVersions", 0, {})
        c.send("SaslHandshake", v, {"mechanism": "PLAIN"})
        if v == 0:
            c.send_frame(plain(*ALICE))
        else:
            c.send("SaslAuthenticate", 2, {"auth_bytes": plain(*ALICE)})
        md, corr, _ = c.build("Metadata", ver("Metadata", 9), {"topics": []})
        c.send_frame(md)
        eq(c.recv()["error_code"], 0, "ApiVersions")
        eq(c.recv()["error_code"], 0, "SaslHandshake")
        if v == 0:
            eq(recv_token(c), b"", "token")
        else:
            eq(c.recv()["error_code"], 0, "SaslAuthenticate")
        c.expect("Metadata", ver("Metadata", 9), corr)
        ok(c.recv()["brokers"], "brokers")


@row("on/good/api-versions-anywhere")
def good_versions():
    with Conn() as c:
        for v in range(5):
            eq(c.call("ApiVersions", v, {
                "client_software_name": "x", "client_software_version": "1"
            })["error_code"], 0, "before")
        eq(shake(c)["error_code"], 0, "handshake")
        eq(c.call("ApiVersions", 0, {})["error_code"], 0, "between")
        eq(auth(c, plain(*ALICE))["error_code"], 0, "authenticate")
        eq(c.call("ApiVersions", 3, {
            "client_software_name": "x", "client_software_version": "1"
        })["error_code"], 0, "after")


# ------------------------------------------------------------- bad clients

def fails(c, r, code=FAILED):
    eq(r["error_code"], code, "error (%s)" % r.get("error_message"))
    c.expect_close("after the failure")


TOKENS = dict([
    ("wrong-password", plain(b"alice", b"wrong")),
    ("unknown-user", plain(b"mallory", b"wonderland-canary")),
    ("other-users-password", plain(b"alice", BOB[1])),
    ("prefix", plain(b"alice", ALICE[1][:-1])),
    ("longer", plain(b"alice", ALICE[1] + b"x")),
    ("upper-case", plain(b"ALICE", ALICE[1])),
    ("empty-password", plain(b"alice", b"")),
    ("empty-user", plain(b"", ALICE[1])),
    ("other-authzid", plain(*ALICE, authz=b"bob")),
    ("empty", b""), ("one-nul", b"\0"), ("two-nuls", b"\0\0"),
    ("no-nul", b"alice wonderland-canary"),
    ("one-part", b"\0alice"),
    ("four-parts", b"\0alice\0wonderland-canary\0x"),
    ("nul-password", b"\0alice\0wonder\0land"),
    ("long-user", plain(b"a" * 256, b"x")),
    ("long-password", plain(b"alice", b"x" * 60000)),
    ("control-characters", plain(b"\x1b[31m\nevil", b"x")),
    ("no-utf8", plain(b"\xff\xfe\x80", b"\xff"))])


@rows("on/bad/%s", list(TOKENS))
def bad(name):
    with Conn() as c:
        eq(shake(c)["error_code"], 0, "handshake")
        r = auth(c, TOKENS[name])
        ok(r["error_message"], "a message")
        ok(b"canary" not in r["error_message"].encode(), "no secret in it")
        fails(c, r)


@row("on/bad/same-answer")
def bad_same():
    """Nobody learns which users there are."""
    out = []
    for who in ((b"alice", b"wrong"), (b"nobody", b"wrong")):
        with Conn() as c:
            shake(c)
            r = auth(c, plain(*who))
            out.append((r["error_code"], r["error_message"]))
    eq(out[0], out[1], "answers")


@rows("on/bad/null-token/v%d", [0, 1, 2])
def bad_null(v):
    with Conn() as c:
        shake(c)
        w = c.header(api_of("SaslAuthenticate"), v, 7, "x", None)
        w.raw(b"\0\0" if v == 2 else b"\xff\xff\xff\xff")
        c.send_frame(bytes(w.out))
        c.expect_close("a null token")


@rows("on/bad/mechanism/v%d/%s", [(v, m) for v in (0, 1) for m in (
    "GSSAPI", "SCRAM-SHA-256", "plain", "", "PLAIN,PLAIN", "OAUTHBEARER")])
def bad_mechanism(v, mechanism):
    with Conn() as c:
        r = shake(c, v, mechanism)
        eq(r["mechanisms"], ["PLAIN"], "mechanisms")
        fails(c, r, UNSUPPORTED)


@rows("on/bad/bare-token/%s", ["wrong", "garbage", "kafka"])
def bad_bare(what):
    """Nothing is said, as nothing can be."""
    with Conn() as c:
        eq(shake(c, 0)["error_code"], 0, "handshake")
        if what == "kafka":
            c.send("SaslAuthenticate", 1, {"auth_bytes": plain(*ALICE)})
        else:
            c.send_frame(plain(b"alice", b"x") if what == "wrong"
                         else b"\xff" * 100)
        c.expect_close("a bad token")


@rows("on/bad/bare-length/%d", [0, -1, -2147483648, 65537, 0x7fffffff])
def bad_bare_length(n):
    with Conn() as c:
        eq(shake(c, 0)["error_code"], 0, "handshake")
        c.send_raw(struct.pack(">i", n))
        c.expect_close("a token of %d bytes" % n)


@row("on/bad/authenticate-first")
def bad_first():
    for v in (0, 1, 2):
        with Conn() as c:
            fails(c, auth(c, plain(*ALICE), v), STATE)


@row("on/bad/handshake-twice")
def bad_twice():
    with Conn() as c:
        eq(shake(c)["error_code"], 0, "handshake")
        fails(c, shake(c), STATE)


@row("on/bad/after-success")
def bad_after():
    """Kafka says so, and goes on."""
    with Conn() as c:
        login(c)
        for v in (0, 1):
            eq(shake(c, v)["error_code"], STATE, "handshake")
        for v in (0, 1, 2):
            r = auth(c, plain(*ALICE), v)
            eq(r["error_code"], STATE, "authenticate")
        works(c)


def requests():
    """One request for each api that is served."""
    for name in sorted(E.apis, key=lambda n: E.apis[n].key):
        key = E.apis[name].key
        if key in E.ranges and name not in (
                "ApiVersions", "SaslHandshake", "SaslAuthenticate"):
            yield name, key, E.ranges[key]


@rows("on/before/%s", ["nothing", "versions", "handshake"])
def before(what):
    """No other api is heard before, at any version, whatever its body."""
    for name, key, (lo, hi) in requests():
        for v in range(lo, hi + 1):
            with Conn() as c:
                if what == "versions":
                    kafka.roundtrip(c)
                if what == "handshake":
                    eq(shake(c)["error_code"], 0, "handshake")
                w = c.header(api_of(name), v, 9, "x", None)
                w.raw(b"\0" * 8)
                c.send_frame(bytes(w.out))
                c.expect_close("%s v%d before authentication" % (name, v))


@row("on/before/after-failure")
def before_failure():
    """What comes behind a failure is not heard."""
    with Conn() as c:
        shake(c)
        c.send("SaslAuthenticate", 2, {"auth_bytes": plain(b"a", b"b")})
        md, corr, _ = c.build("Metadata", ver("Metadata", 9), {"topics": []})
        c.send_frame(md)
        eq(c.recv()["error_code"], FAILED, "error")
        c.expect_close("behind a failure")


@row("on/before/large-frame")
def before_large():
    """64 KiB before, the usual limit afterwards."""
    for key in (0, 17, 18, 36):
        with Conn() as c:
            c.send_raw(struct.pack(">ihh", 65537, key, 0))
            c.expect_close("a frame of 64 KiB and a byte")
    with Conn() as c:
        login(c)
        c.send("Metadata", 9, {"topics": [
            {"name": "x" * 200} for _ in range(500)],
            "allow_auto_topic_creation": False})
        ok(c.recv()["brokers"], "a large frame afterwards")


# ------------------------------------------------------- re-authentication

@row("again/lifetime")
def again_lifetime():
    with Conn() as c:
        r = login(c)
        eq(r["session_lifetime_ms"], 3000, "lifetime")
        works(c)
        time.sleep(1.1)         # not more often than once a second
        r = login(c)
        eq(r["session_lifetime_ms"], 3000, "lifetime")
        works(c)


@row("again/bare")
def again_bare():
    with Conn() as c:
        login(c)
        eq(shake(c, 0)["error_code"], 0, "handshake")
        c.send_frame(plain(*ALICE))
        eq(recv_token(c), b"", "token")
        works(c)


@row("again/too-often")
def again_often():
    with Conn() as c:
        login(c)
        # On a slow machine the second may be over.
        for _ in range(20):
            code = shake(c)["error_code"]
            if code != 0:
                break
            eq(auth(c, plain(*ALICE))["error_code"], 0, "authenticate")
        eq(code, STATE, "the third within a second")
        works(c)


@row("again/other-user")
def again_other():
    with Conn() as c:
        login(c)
        eq(shake(c)["error_code"], 0, "handshake")
        fails(c, auth(c, plain(*BOB)))


@row("again/wrong-password")
def again_wrong():
    with Conn() as c:
        login(c)
        eq(shake(c)["error_code"], 0, "handshake")
        fails(c, auth(c, plain(b"alice", b"x")))


@row("again/other-request")
def again_request():
    with Conn() as c:
        login(c)
        eq(shake(c)["error_code"], 0, "handshake")
        c.send("Metadata", 9, {"topics": []})
        c.expect_close("a request amid re-authentication")


@rows("again/expired/%s", ["Metadata", "ApiVersions"])
def again_expired(name):
    with Conn() as c:
        login(c)
        time.sleep(3.2)         # it is over, however slow the machine is
        c.send(name, 0, {"topics": []} if name == "Metadata" else {})
        c.expect_close("a request past the lifetime")


@row("again/late")
def again_late():
    """The handshake is still heard when the time is over."""
    with Conn() as c:
        login(c)
        time.sleep(3.2)
        login(c)
        works(c)


# ------------------------------------------------- a listener without SASL

@rows("off/handshake/v%d", [0, 1])
def off_handshake(v):
    with Conn() as c:
        r = shake(c, v)
        eq((r["error_code"], r["mechanisms"]), (STATE, []), "answer")
        works(c)


@rows("off/authenticate/v%d", [0, 1, 2])
def off_authenticate(v):
    with Conn() as c:
        r = auth(c, plain(*ALICE), v)
        eq(r["error_code"], STATE, "error")
        ok(r["error_message"], "a message")
        works(c)


# ------------------------------------------------------------- users (50, 51)

HASH = {1: hashlib.sha256, 2: hashlib.sha512}


def upsertion(name, password=b"pw", mechanism=1, iterations=4096, **kw):
    salt = os.urandom(20)
    salted = hashlib.pbkdf2_hmac(HASH.get(mechanism, hashlib.sha256)().name,
                                 password, salt, iterations or 1) \
        if iterations > 0 else b"x" * 32
    r = {"name": name, "mechanism": mechanism, "iterations": iterations,
         "salt": salt, "salted_password": salted}
    r.update(kw)
    return r


def alter(c, upsertions=(), deletions=()):
    r = c.call("AlterUserScramCredentials", 0, {
        "deletions": [{"name": n, "mechanism": m} for n, m in deletions],
        "upsertions": list(upsertions)})
    eq(r["throttle_time_ms"], 0, "throttle time")
    return {x["user"]: (x["error_code"], x["error_message"])
            for x in r["results"]}


def describe(c, users):
    return c.call("DescribeUserScramCredentials", 0, {
        "users": None if users is None else [{"name": n} for n in users]})


def infos(r):
    return {x["user"]: sorted((i["mechanism"], i["iterations"])
                              for i in x["credential_infos"])
            for x in r["results"] if x["error_code"] == 0}


@row("off/users/life")
def users_life():
    name = kafka.fresh_name("user")
    with Conn() as c:
        eq(alter(c, [upsertion(name, iterations=4096)])[name], (0, None),
           "added")
        eq(infos(describe(c, [name])), {name: [(1, 4096)]}, "described")
        eq(alter(c, [upsertion(name, mechanism=2, iterations=16384)])[name],
           (0, None), "another mechanism")
        eq(infos(describe(c, [name])), {name: [(1, 4096), (2, 16384)]},
           "both")
        ok(name in infos(describe(c, None)), "among all (null)")
        ok(name in infos(describe(c, [])), "among all (empty)")
        eq(alter(c, [upsertion(name, iterations=5000)])[name], (0, None),
           "changed")
        eq(infos(describe(c, [name])), {name: [(1, 5000), (2, 16384)]},
           "changed")
        eq(alter(c, deletions=[(name, 1)])[name], (0, None), "deleted")
        eq(infos(describe(c, [name])), {name: [(2, 16384)]}, "one left")
        eq(alter(c, deletions=[(name, 2)])[name], (0, None), "deleted")
        r = describe(c, [name])
        eq(r["error_code"], 0, "top-level error")
        eq([x["error_code"] for x in r["results"]], [NOT_FOUND], "gone")
        eq(alter(c, deletions=[(name, 2)])[name][0], NOT_FOUND, "twice")


BAD = {"few-iterations": (dict(iterations=4095), UNACCEPTABLE),
       "many-iterations": (dict(iterations=16385), UNACCEPTABLE),
       "no-iterations": (dict(iterations=0), UNACCEPTABLE),
       "negative-iterations": (dict(iterations=-1), UNACCEPTABLE),
       "mechanism-0": (dict(mechanism=0), UNSUPPORTED),
       "mechanism-3": (dict(mechanism=3), UNSUPPORTED),
       "mechanism--1": (dict(mechanism=-1), UNSUPPORTED),
       "short-key": (dict(salted_password=b"x" * 31), UNACCEPTABLE),
       "no-key": (dict(salted_password=b""), UNACCEPTABLE),
       "long-salt": (dict(salt=b"x" * 129), UNACCEPTABLE)}


@rows("off/users/bad/%s", list(BAD))
def users_bad(what):
    kw, code = BAD[what]
    name, good_name = kafka.fresh_name("user"), kafka.fresh_name("user")
    with Conn() as c:
        r = alter(c, [upsertion(name, **kw), upsertion(good_name)])
        eq(r[name][0], code, "error")
        ok(r[name][1], "a message")
        eq(r[good_name], (0, None), "the other is made")
        eq(infos(describe(c, [name])), {}, "not there")
        alter(c, deletions=[(good_name, 1)])


@rows("off/users/bad-name/%d", [0, 256, 3000])
def users_bad_name(n):
    with Conn() as c:
        eq(alter(c, [upsertion("u" * n)])["u" * n][0], UNACCEPTABLE, "error")


@row("off/users/odd-names")
def users_odd():
    names = ["a b", "a,b", "\u00fc\u20ac", "x" * 255, "a=b", "'\"\\", "\n",
             "\x1b[31m", "User:x", ".", "..", "/etc/passwd"]
    with Conn() as c:
        r = alter(c, [upsertion(n) for n in names])
        for n in names:
            eq(r[n], (0, None), "user %r" % n)
        eq(sorted(infos(describe(c, names))), sorted(names), "described")
        r = alter(c, deletions=[(n, 1) for n in names])
        for n in names:
            eq(r[n], (0, None), "user %r" % n)


@row("off/users/twice")
def users_twice():
    a, b = kafka.fresh_name("user"), kafka.fresh_name("user")
    with Conn() as c:
        alter(c, [upsertion(b)])
        r = alter(c, [upsertion(a), upsertion(a, mechanism=2),
                      upsertion(b)], [(b, 1)])
        eq((r[a][0], r[b][0]), (DUPLICATE, DUPLICATE), "errors")
        eq(infos(describe(c, [a, b])), {b: [(1, 4096)]}, "nothing changed")
        r = describe(c, [b, b])
        eq([(x["user"], x["error_code"]) for x in r["results"]],
           [(b, DUPLICATE)], "described twice")
        alter(c, deletions=[(b, 1)])


@row("off/users/too-many")
def users_many():
    with Conn() as c:
        r = alter(c, deletions=[("u%d" % i, 1) for i in range(1001)])
        eq(set(x[0] for x in r.values()), {42}, "errors")
        r = describe(c, ["u%d" % i for i in range(1001)])
        eq(r["error_code"], 42, "error")


@row("on/users/password-by-51")
def users_login():
    """What Kafka's tools store is what PLAIN is checked against."""
    name = kafka.fresh_name("user")
    for m in (1, 2):
        with Conn() as c:
            login(c)
            eq(alter(c, [upsertion(name, b"first", m)])[name], (0, None),
               "added")
        with Conn() as d:
            login(d, (name.encode(), b"first"))
            works(d)
            with Conn() as c:
                login(c)
                eq(alter(c, [upsertion(name, b"second", m)])[name],
                   (0, None), "changed")
            works(d)            # it stays
        with Conn() as d:
            shake(d)
            fails(d, auth(d, plain(name.encode(), b"first")))
        with Conn() as d:
            login(d, (name.encode(), b"second"))
        with Conn() as c:
            login(c)
            eq(alter(c, deletions=[(name, m)])[name], (0, None), "removed")
        with Conn() as d:
            shake(d)
            fails(d, auth(d, plain(name.encode(), b"second")))


@row("on/many-at-once")
def many():
    """More than the engine checks at a time; all get their answer."""
    cs = [Conn() for _ in range(60)]
    for i, c in enumerate(cs):
        c.send("SaslHandshake", 1, {"mechanism": "PLAIN"})
        c.send("SaslAuthenticate", 2, {"auth_bytes": plain(
            *(ALICE if i % 3 else (b"alice", b"x")))})
    for c in cs[::7]:
        c.close()               # these wait no longer
    for i, c in enumerate(cs):
        if i % 7:
            eq(c.recv()["error_code"], 0, "handshake")
            eq(c.recv()["error_code"], 0 if i % 3 else FAILED, "error")
    for c in cs:
        c.close()


@row("kill/engine")
def kill_engine():
    """Connections outlive the engine, but not the password that they were
    made with: CHRONIK_WIRE_PIDS begins with the engine's."""
    name, gone = kafka.fresh_name("user"), kafka.fresh_name("user")
    with Conn() as admin:
        login(admin)
        r = alter(admin, [upsertion(name, b"first"), upsertion(gone, b"x")])
        eq(set(x[0] for x in r.values()), {0}, "errors")
        cs = [Conn() for _ in range(20)]
        for c in cs:
            login(c, BOB)
            works(c)
        with Conn() as old, Conn() as new, Conn() as left, Conn() as half:
            login(old, (name.encode(), b"first"))
            login(left, (gone.encode(), b"x"))
            eq(shake(half)["error_code"], 0, "handshake")
            alter(admin, [upsertion(name, b"second")], [(gone, 1)])
            login(new, (name.encode(), b"second"))
            works(old)
            works(left)
            os.kill(int(os.environ["CHRONIK_WIRE_PIDS"].split()[0]), 9)
            for c in cs + [new, admin]:
                works(c)
            for c in (old, left):
                c.send("Metadata", 9, {"topics": []})
                c.expect_close("a password that is no more")
            eq(auth(half, plain(*ALICE))["error_code"], 0, "half-way")
            works(half)
        for c in cs:
            c.close()
        alter(admin, deletions=[(name, 1)])


if __name__ == "__main__":
    kafka.run(KAFKA_DIFFERS)
