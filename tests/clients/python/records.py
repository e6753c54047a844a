# SPDX-License-Identifier: Apache-2.0
#
# What the Python drivers share: the records, as in Records.java, the
# comparison of what was read with them, and the command line.  Knows nothing
# of any client library.

import os
import signal
import struct
import sys
import time

MASK = 0xffffffff
POOL_SIZE = 262144
NAMES = ('trace', 'trace', 'a', 'x-\u00e9')


def mix(x):
    x ^= x >> 16
    x = x * 0x7feb352d & MASK
    x ^= x >> 15
    x = x * 0x846ca68b & MASK
    return x ^ x >> 16


# Half of the pool's 4 KiB blocks compress, half do not.
POOL = bytes(mix(i) & 0xff if i >> 12 & 1 else 97 + i % 23
             for i in range(POOL_SIZE))


class Failure(Exception):
    """What the broker or the client did wrong."""


def check(ok, what):
    if not ok:
        raise Failure(what)


class Options:
    """The driver's arguments, name=value."""

    def __init__(self, argv):
        self.values = dict(arg.split('=', 1) for arg in argv)
        self.bootstrap = self.text('bootstrap')
        self.codecs = self.values.get('codecs', '').split(',')
        self.topics = [self.text('topic') + '-' + c for c in self.codecs]
        self.parts = self.number('parts', 3)
        self.count = self.number('count', 10000)
        self.start = self.number('from', 0)
        self.exact = self.values.get('mode', 'exact') == 'exact'
        self.records = Records(self.number('seed', 1), self.number('t0', 0),
                               self.values.get('lacks', ''))

    def text(self, name):
        check(name in self.values, 'option %s= is missing' % name)
        return self.values[name]

    def number(self, name, default):
        return int(self.values.get(name, default))

    def before(self, i, part):
        """How many of the records 0..i-1 went to a partition."""
        return 0 if i <= part else (i - part + self.parts - 1) // self.parts


class Records:
    def __init__(self, seed, t0, lacks):
        self.seed = seed
        self.t0 = t0
        self.null_headers = 'nullhdr' not in lacks
        self.null_both = 'nullboth' not in lacks

    def draw(self, i, k, n):
        return mix((mix((self.seed + i) & MASK) + k) & MASK) % n

    def cut(self, i, k, size):
        at = self.draw(i, k, POOL_SIZE - size)
        return POOL[at:at + size]

    def numbered(self, i, k, size):
        return struct.pack('>I', i) + self.cut(i, k, size)

    def timestamp(self, i):
        return self.t0 + 3 * i

    def key(self, i):
        kind = self.draw(i, 1, 8)
        if kind == 0:
            return None
        if kind == 1:
            return b''
        return self.numbered(i, 2, self.draw(i, 3, 40))

    def value(self, i):
        if i % 2500 == 1777:
            return self.numbered(i, 6, 100000 + self.draw(i, 5, 2000))
        if i % 100 == 50:
            return self.numbered(i, 6, 8000 + self.draw(i, 5, 4000))
        kind = self.draw(i, 4, 16)
        if kind == 0 and (self.null_both or self.key(i) is not None):
            return None
        if kind <= 1:
            return b''
        return self.numbered(i, 6, self.draw(i, 5, 900))

    def headers(self, i):
        out = []
        for j in range(self.draw(i, 7, 5)):
            kind = self.draw(i, 8 + j, 4)
            if kind == 0 and self.null_headers:
                value = None
            elif kind <= 1:
                value = b''
            else:
                value = self.cut(i, 12 + j, self.draw(i, 16 + j, 50))
            out.append((NAMES[j], value))
        return out


class Reader:
    """Ticks off the records of one topic from index `start` on.

    `total` names a file that says how many there are once it exists.
    """

    def __init__(self, opts, topic, start, total=None):
        self.opts = opts
        self.topic = topic
        self.start = start
        self.total = total
        self.end = None if total else opts.count
        self.seen = set()
        self.idle = time.monotonic()

    def done(self):
        if self.end is None and os.path.exists(self.total):
            with open(self.total, encoding='ascii') as f:
                self.end = int(f.read())
        if self.end is not None and len(self.seen) >= self.end - self.start:
            for i in range(self.start, self.end):
                check(i in self.seen, '%s: record %d is missing'
                      % (self.topic, i))
            return True
        check(time.monotonic() - self.idle < 120,
              '%s: nothing more after %d records'
              % (self.topic, len(self.seen)))
        return False

    def add(self, part, offset, timestamp, key, value, headers):
        rec = self.opts.records
        i, odd = divmod(timestamp - rec.t0, 3)
        at = '%s/%d/%d record %d: ' % (self.topic, part, offset, i)
        check(odd == 0 and 0 <= i < self.opts.count,
              at + 'timestamp %d' % timestamp)
        check(i % self.opts.parts == part, at + 'wrong partition')
        for what, got, want in (('key', key, rec.key(i)),
                                ('value', value, rec.value(i)),
                                ('headers', list(headers or ()),
                                 rec.headers(i))):
            check(got == want, '%s%s is %.80r, not %.80r'
                  % (at, what, got, want))
        if self.opts.exact:
            check(offset == self.opts.before(i, part),
                  at + 'lost, doubled or out of order')
            check(i not in self.seen, at + 'came twice')
            check(i >= self.start, at + 'came although reading began at %d'
                  % self.start)
        if i >= self.start:
            self.seen.add(i)
        self.idle = time.monotonic()

    def check_lookup(self, part, offset, timestamp=None):
        """A timestamp just before record `start` led to this offset."""
        if not self.opts.exact:
            return
        i = self.start + (part - self.start) % self.opts.parts
        want = self.opts.records.timestamp(i)
        check(offset == self.opts.before(self.start, part)
              and timestamp in (None, want),
              '%s/%d: record %d looked up by time gives %d at %s'
              % (self.topic, part, self.start, offset, timestamp))

    def check_range(self, part, first, end):
        check(first == 0, '%s/%d: starts at %d' % (self.topic, part, first))
        want = self.opts.before(self.opts.count, part)
        check(end == want or not self.opts.exact and end > want,
              '%s/%d: ends at %d, not %d' % (self.topic, part, end, want))


class Acks:
    """Counts the producer's acks and checks the offsets they name."""

    def __init__(self, opts, topic, progress=None):
        self.opts = opts
        self.topic = topic
        self.progress = progress
        self.acked = 0
        self.error = None

    def add(self, i, offset):
        part = i % self.opts.parts
        # Some libraries learn no offset for a batch stored by an earlier try.
        if (self.opts.exact and offset is not None and offset >= 0
                and offset != self.opts.before(i, part)):
            self.fail(i, 'acked at offset %d, not %d'
                      % (offset, self.opts.before(i, part)))
        self.acked += 1
        if self.progress and self.acked % 500 == 0:
            print(self.acked, file=self.progress, flush=True)

    def fail(self, i, why):
        self.error = self.error or '%s record %d: %s' % (self.topic, i, why)

    def finish(self, sent):
        check(self.error is None, self.error)
        check(self.acked == sent, '%s: %d acks for %d records'
              % (self.topic, self.acked, sent))


class Member:
    """A member of a group: what it reads and what it is given."""

    def __init__(self, opts):
        self.topic = opts.text('topic')
        self.group = opts.text('group')
        self.out = open(opts.text('out'), 'a', encoding='ascii')
        self.log = open(opts.text('log'), 'a', encoding='ascii')
        self.stopped = False
        self.held = set()
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        self.stopped = True

    def add(self, values):
        for value in values:
            print(value.decode(), file=self.out)
        self.out.flush()

    def gained(self, parts):
        """Numbers of partitions that it holds from now on, too."""
        self.held |= set(parts)
        print('assigned', len(self.held), file=self.log, flush=True)

    def lost(self, parts):
        self.held -= set(parts)


def indices(opts, until=None):
    """The records to send: all, or paced until the file exists."""
    for i in range(opts.count):
        if until and i % 100 == 0:
            if os.path.exists(until):
                return
            time.sleep(0.025)
        yield i


def load(opts, send):
    """send(topic, codec, indices, progress) gives the number sent."""
    total = opts.text('total')
    with open(opts.text('progress'), 'a', encoding='ascii') as progress:
        sent = send(opts.topics[0], opts.codecs[0],
                    indices(opts, opts.text('until')), progress)
    with open(total + '.tmp', 'w', encoding='ascii') as f:
        print(sent, file=f)
    os.rename(total + '.tmp', total)


def main(commands):
    """Runs the command that argv names, a function of the options."""
    try:
        commands[sys.argv[1]](Options(sys.argv[2:]))
    except Failure as e:
        print('%s %s: %s' % (os.path.basename(sys.argv[0]), sys.argv[1], e))
        sys.exit(1)
