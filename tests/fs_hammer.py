#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a topic's files in every way at once, while it grows and while its
oldest segments are deleted, and proves each byte: a record's value follows
from its offset, and sealed segments never change.

usage: fs_hammer.py SECONDS PARTITION OTHER DATA BOOTSTRAP TMP

PARTITION and OTHER are topics/t/0 of two mounts, DATA the engine's directory
of that partition.  Exit 0: nothing was wrong.  What was is left in TMP."""

import errno
import hashlib
import json
import mmap
import os
import random
import subprocess
import sys
import threading
import time

seconds = float(sys.argv[1])
mounts, data, bootstrap, tmp = sys.argv[2:4], *sys.argv[4:7]
end = time.monotonic() + seconds
stop = threading.Event()
produced = 0
counts = {}
lock = threading.Lock()


class Gone(Exception):
    pass


def wrong(what, *bytes_of):
    with lock:
        for i, b in enumerate(bytes_of):
            with open(f'{tmp}/wrong.{i}', 'wb') as f:
                f.write(b)
        print(f'WRONG after {produced} records: {what}', flush=True)
        stop.set()
        os._exit(1)


def value(i):
    """What is produced, and what a line then has as v."""
    fill = 'x%d' % (i * 7919 % 10007) * (i % 23)
    if i % 5 == 0:
        v = {'id': i, 'fill': fill, 'list': [1, 2.5, None, {'a': i}]}
        return json.dumps(v), v
    if i % 5 == 1:
        return (f'text {i} "{fill}" \\ \u00e9\u4e2d',) * 2
    if i % 5 == 2:
        return str(i), i
    if i % 5 == 3:
        return json.dumps([i, fill]), [i, fill]
    return (f'\tz{fill} {i}',) * 2


def produce():
    """Bursts, so that ends of files lie anywhere."""
    global produced
    kcat = subprocess.Popen(['kcat', '-P', '-b', bootstrap, '-t', 't', '-p',
                             '0', '-X', 'linger.ms=5'], stdin=subprocess.PIPE)
    rng = random.Random(2)
    while not stop.is_set() and time.monotonic() < end:
        n = rng.choice((1, 3, 50, 400, 1500))
        text = ''.join(value(produced + i)[0] + '\n' for i in range(n))
        kcat.stdin.write(text.encode())
        kcat.stdin.flush()
        produced += n
        time.sleep(rng.choice((0.01, 0.1, 0.3)))
    kcat.stdin.close()
    if kcat.wait(60) != 0:
        wrong('kcat ended with an error')


def prove(text, what):
    """Whole lines of records one after the other: the first and the last."""
    if not text:
        return None
    if text[-1:] != b'\n':
        wrong(f'{what}: half a line at {len(text)}', text)
    first = o = None
    for line in text[:-1].split(b'\n'):
        try:
            r = json.loads(line)
            at = r['o']
        except (ValueError, KeyError):
            wrong(f'{what}: after {o}: no record: {line[:200]}', text)
        if o is not None and at != o + 1:
            wrong(f'{what}: {at} after {o}', text)
        if r['v'] != value(at)[1]:
            wrong(f'{what}: the value of {at}: {line[:200]}', text)
        first = at if first is None else first
        o = at
    return first, o


# ---- ways to read a file -----------------------------------------------------

def by_command(*argv):
    def run(f):
        p = subprocess.run([a.replace('FILE', f) for a in argv],
                           capture_output=True)
        if p.returncode != 0:
            said = p.stderr.decode(errors='replace')
            if 'Stale file' in said or 'No such file' in said or \
                    'has vanished' in said:
                raise Gone
            wrong(f'{argv}: {p.returncode}: {said}')
        return p.stdout
    return run


def by_copy(*argv):
    def run(f):
        to = f'{tmp}/copy.{threading.get_ident()}'
        by_command(*[a.replace('TO', to) for a in argv])(f)
        with open(to, 'rb') as g:
            got = g.read()
        os.unlink(to)
        return got
    return run


def by_mmap(f):
    with open(f, 'rb') as g:
        n = os.fstat(g.fileno()).st_size
        if n == 0:
            return b''
        flags = random.choice((mmap.MAP_SHARED, mmap.MAP_PRIVATE))
        with mmap.mmap(g.fileno(), n, flags, mmap.PROT_READ) as m:
            return m[:]


def by_sendfile(f):
    to = os.memfd_create('x')
    try:
        with open(f, 'rb') as g:
            n = 0
            while k := os.sendfile(to, g.fileno(), n, 1 << 18):
                n += k
        return os.pread(to, n, 0)
    finally:
        os.close(to)


def by_read(size):
    def run(f):
        with open(f, 'rb', buffering=0) as g:
            return b''.join(iter(lambda: g.read(size), b''))
    return run


def by_random(f):
    """Pieces in any order, of what fstat says."""
    with open(f, 'rb', buffering=0) as g:
        n = os.fstat(g.fileno()).st_size
        out = bytearray(n)
        at = list(range(0, n, 50021))
        random.shuffle(at)
        for i in at:
            got = os.pread(g.fileno(), min(50021, n - i), i)
            if len(got) != min(50021, n - i):
                wrong(f'{f}: {len(got)} bytes at {i} of {n}')
            out[i:i + len(got)] = got
        return bytes(out)


def by_halves(f):
    """Two of them at once."""
    got = [None, None]

    def half(i):
        try:
            got[i] = by_read((1 << 16, 3000)[i])(f)
        except OSError as e:
            got[i] = e
    t = threading.Thread(target=half, args=(1,))
    t.start()
    half(0)
    t.join()
    for g in got:
        if isinstance(g, OSError):
            raise g
    a, b = sorted(got, key=len)
    if not b.startswith(a):
        wrong(f'{f}: two readers differ', a, b)
    return a


def drop(f):
    """Its pages are read anew by whoever comes."""
    with open(f, 'rb') as g:
        os.posix_fadvise(g.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


ways = {
    'cat': by_command('cat', 'FILE'),
    'dd 4k': by_command('dd', 'if=FILE', 'bs=4096', 'status=none'),
    'dd 1M': by_command('dd', 'if=FILE', 'bs=1M', 'status=none'),
    'cp': by_copy('cp', 'FILE', 'TO'),
    'rsync': by_copy('rsync', 'FILE', 'TO'),
    'rsync twice': by_copy('sh', '-c', 'rsync FILE TO && rsync -I FILE TO'),
    # Status 1 is of a file that has grown; an error is padded with zeroes.
    'tar': by_command('bash', '-c', 'set -o pipefail; f=FILE; { tar -C '
                      '"${f%/*}" -cf - "${f##*/}" || [ $? = 1 ]; } | '
                      'tar -xOf -'),
    'mmap': by_mmap,
    'sendfile': by_sendfile,
    'read 1000': by_read(1000),
    'read 96k': by_read(96 << 10),
    'pread': by_random,
    'two readers': by_halves,
}


# ---- what is read --------------------------------------------------------------

refs = {}


def segments(suffix):
    got = sorted(x for x in os.listdir(f'{mounts[0]}/segments')
                 if x.endswith(suffix) and not x.endswith('meta.json'))
    return got[:-1], got[-1]


def start_now():
    with open(f'{mounts[1]}/meta.json') as f:
        return json.load(f)['start']


def same(key, got, what):
    """Whoever comes first says what it is; nobody may differ."""
    with lock:
        ref = refs.setdefault(key, got)
        for k in sorted(refs)[:-40]:
            del refs[k]
    if ref != got:
        wrong(f'{what}: {key} differs from what it was', ref, got)


def sealed_text(way):
    name = random.choice(segments('.jsonl')[0])
    f = f'{random.choice(mounts)}/segments/{name}'
    if random.random() < 0.2:
        drop(f)
    got = ways[way](f)
    with lock:
        known = refs.get(name) == got
    if not known:
        first, _ = prove(got, f'{way} {f}')
        if first != int(name[:20]):
            wrong(f'{way} {f} begins with {first}', got)
        same(name, got, way)


def sealed_raw(way):
    name = random.choice(segments('.log')[0])
    f = f'{random.choice(mounts)}/segments/{name}'
    try:
        with open(f'{data}/{name}', 'rb') as g:
            want = g.read()
    except FileNotFoundError:
        raise Gone from None
    if random.random() < 0.2:
        drop(f)
    got = ways[way](f)
    if got != want:
        wrong(f'{way} {f}', want, got)


def growing(way):
    f = random.choice((f'{random.choice(mounts)}/log.jsonl',
                       f'{mounts[0]}/segments/{segments(".jsonl")[1]}'))
    size = os.stat(f).st_size
    if random.random() < 0.1:
        drop(f)
    got = ways[way](f)
    # The name may lead to a shorter file meanwhile.
    if len(got) < size and 'log.jsonl' not in f:
        wrong(f'{way} {f}: {len(got)} of {size}', got)
    prove(got, f'{way} {f}')


def growing_raw(way):
    """Whole batches of what the engine has by then."""
    name = segments('.log')[1]
    got = ways[way](f'{mounts[0]}/segments/{name}')
    with open(f'{data}/{name}', 'rb') as g:
        want = g.read(len(got))
    if got != want:
        wrong(f'{way} {name}, growing', want, got)


def no_zeroes(got, what):
    """What the kernel puts behind an end; no record has any."""
    if b'\0' in got:
        wrong(f'{what}: zeroes at {got.index(0)} of {len(got)}', got)


def across_growth(_):
    """A map of what there was; then of what there is."""
    with open(f'{mounts[0]}/log.jsonl', 'rb') as g:
        n = os.fstat(g.fileno()).st_size
        for _ in range(30):
            if n == 0:
                return
            with mmap.mmap(g.fileno(), n, mmap.MAP_SHARED,
                           mmap.PROT_READ) as m:
                was = m[-9000:]
                no_zeroes(was, 'a map')
                for _ in range(100):
                    more = os.fstat(g.fileno()).st_size
                    if more < n:
                        wrong(f'it shrank from {n} to {more}')
                    if more > n:
                        break
                    time.sleep(0.003)
                if m[-9000:] != was:
                    wrong('an old map has changed', was, m[-9000:])
            with mmap.mmap(g.fileno(), more, mmap.MAP_SHARED,
                           mmap.PROT_READ) as m:
                tail = m[max(0, n - len(was)):]
            if tail[:len(was)] != was:
                wrong('a new map has other bytes', was, tail)
            no_zeroes(tail, 'a map across growth')
            n = more


def at_the_end(_):
    """The newest bytes, as soon as they are told of."""
    f = f'{random.choice(mounts)}/log.jsonl'
    with open(f, 'rb', buffering=0) as g:
        for _ in range(300):
            n = os.fstat(g.fileno()).st_size
            at = max(0, n - 6000)
            got = os.pread(g.fileno(), 9000, at)
            if len(got) < n - at:
                wrong(f'{len(got)} bytes at {at} of {n}', got)
            no_zeroes(got, 'the newest bytes')
            time.sleep(0.002)


def sizes(_):
    f = f'{mounts[0]}/log.jsonl'
    inode = os.stat(f).st_ino
    a = os.stat(f).st_size
    b = len(by_command('cat', 'FILE')(f))
    c = int(by_command('wc', '-c', 'FILE')(f).split()[0])
    if os.stat(f).st_ino == inode and not a <= b <= c:
        wrong(f'sizes {a} {b} {c}')


def greps(_):
    name = random.choice(segments('.jsonl')[0])
    f = f'{mounts[0]}/segments/{name}'
    text = by_read(1 << 20)(f)
    line = random.choice(text.splitlines())
    for c in (('grep', '-cF'), ('rg', '--mmap', '-cF'),
              ('rg', '--no-mmap', '-cF')):
        got = by_command(*c, '-e', line.decode(), 'FILE')(f)
        if got.strip() != b'1':
            wrong(f'{c} {f}: {got} of {line}', text)
    got = by_command('tail', '-n', '3', 'FILE')(f)
    if got != b''.join(text.splitlines(True)[-3:]):
        wrong(f'tail {f}: {got}', text)


def ranges(_):
    with open(f'{mounts[0]}/meta.json') as f:
        m = json.load(f)
    a = random.randint(m['start'], m['high_watermark'] - 1)
    b = min(m['high_watermark'] - 1, a + random.choice((0, 10, 3000)))
    got = by_read(1 << 16)(f'{mounts[0]}/by-offset/{a}-{b}.jsonl')
    if prove(got, 'a range') != (a, b):
        wrong(f'the range {a}-{b}', got)


checks = [sealed_text, sealed_raw, growing] * 3 + [growing_raw, across_growth,
                                                   across_growth, at_the_end,
                                                   sizes, greps, ranges]


def work(seed):
    rng = random.Random(seed)
    while not stop.is_set() and time.monotonic() < end:
        check, way = rng.choice(checks), rng.choice(list(ways))
        try:
            check(way)
            what = check.__name__
        except Gone:
            what = 'gone'
        except OSError as e:
            if e.errno not in (errno.ESTALE, errno.ENOENT):
                wrong(f'{check.__name__} {way}: {e}')
            what = 'gone'
        except IndexError:      # no segment is sealed yet
            time.sleep(0.01)
            continue
        with lock:
            counts[what] = counts.get(what, 0) + 1


def followed(tail, path):
    """It has all of it, from where it began."""
    until = time.monotonic() + 60
    while True:
        with open(path, 'rb') as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - 4096))
            last = f.read().splitlines()[-1:]
        if last and f'"o":{produced - 1},'.encode() in last[0]:
            break
        if tail.poll() is not None or time.monotonic() > until:
            wrong(f'tail -f came to {last}, of {produced}')
        time.sleep(0.05)
    tail.kill()
    tail.wait()
    with open(path, 'rb') as f:
        prove(f.read(), 'tail -f')


def main():
    f = f'{mounts[0]}/log.jsonl'
    threads = [threading.Thread(target=produce)]
    threads += [threading.Thread(target=work, args=(i,)) for i in range(3)]
    with open(f'{tmp}/followed', 'wb') as to:
        tail = subprocess.Popen(['tail', '-s', '0.05', '-n', '+1', '-f', f],
                                stdout=to)
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if not stop.is_set():
        followed(tail, f'{tmp}/followed')
    print(f'{produced} records,', ', '.join(f'{v} {k}' for k, v in
                                            sorted(counts.items())))


main()
