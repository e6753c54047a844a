#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
#
# Many connections over a restart of the engine: each asks for Metadata again
# and again, and every answer must be to its own question.
#
#	conns.py HOST:PORT N
#
# Prints "open" when all have had an answer.  A line on standard input ends it:
# then each asks once more, and all must be answered in time; one that was
# closed meanwhile connects again, and is counted.
import random
import select
import socket
import struct
import sys
import time

host, port = sys.argv[1].rsplit(':', 1)
count = int(sys.argv[2])
PATIENCE = 60


class Conn:
    def __init__(self):
        self.sock = None
        self.closed = 0
        self.answers = 0
        self.connect()

    def connect(self):
        self.sock = socket.create_connection((host, int(port)), 10)
        self.sock.settimeout(PATIENCE)
        self.owed = []
        self.buf = b''

    def ask(self):
        n = random.randrange(1 << 31)
        self.owed.append(n)
        self.sock.sendall(struct.pack('>ihhih', 14, 3, 1, n, -1) +
                          struct.pack('>i', 0))

    # Takes what is there; false when the peer has closed.
    def take(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            return False
        if not data:
            return False
        self.buf += data
        while len(self.buf) >= 8:
            size, n = struct.unpack('>ii', self.buf[:8])
            if len(self.buf) < 4 + size:
                break
            if not self.owed or self.owed.pop(0) != n:
                sys.exit('conns: an answer to a question of nobody')
            self.answers += 1
            self.buf = self.buf[4 + size:]
        return True


def again(c):
    c.sock.close()
    c.closed += 1
    for _ in range(PATIENCE * 10):
        try:
            c.connect()
            c.ask()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit('conns: cannot connect again')


def settle(conns, what):
    end = time.monotonic() + PATIENCE
    while True:
        left = {c.sock: c for c in conns if c.owed}
        if not left:
            return
        if time.monotonic() > end:
            sys.exit('conns: %s: %d without an answer' % (what, len(left)))
        poll = select.poll()
        byfd = {s.fileno(): c for s, c in left.items()}
        for fd in byfd:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(1000):
            if not byfd[fd].take():
                again(byfd[fd])


conns = [Conn() for _ in range(count)]
for c in conns:
    c.ask()
settle(conns, 'at first')
print('open', flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for c in random.sample(conns, min(50, count)):
        if not c.owed:
            try:
                c.ask()
            except OSError:
                again(c)
    settle([c for c in conns if c.owed], 'meanwhile')
    time.sleep(0.02)
for c in conns:
    try:
        c.ask()
    except OSError:
        again(c)
settle(conns, 'at the end')
print('%d connections, %d answers, %d closed' % (
    count, sum(c.answers for c in conns), sum(c.closed for c in conns)))
