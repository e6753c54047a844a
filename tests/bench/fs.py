#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measuring of fs.sh.  Each subcommand prints rows of name, figure, unit,
target; `report` reads them and prints the table, and writes it as JSON.

    read SEGMENT PLAIN MOUNT  SEGMENT without its ending, PLAIN with the same
                            text as SEGMENT.jsonl
    log FILE PLAIN          a file that grows, of about the same size
    cold FILE NAME TARGET   first reading
    first FILE              first byte of a file that was not read yet
    list DIRECTORY WHEN     ls and ls -l
    follow PARTITION        follow, and tail -f
    files DIRECTORY PID     memory of open files
    followers FILE PID      and of followers
    killed FILE ENGINE      the engine ends while files are read
    report [JSON]
"""
import glob
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

MIB = 1 << 20


def row(name, figure, unit, target=''):
    print(f'{name}\t{figure:.4g}\t{unit}\t{target}', flush=True)


def through(path):
    """Bytes per second of one reading in order."""
    buf, n = bytearray(MIB), 0
    began = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    while k := os.readv(fd, [buf]):
        n += k
    os.close(fd)
    return n / (time.perf_counter() - began)


def run_time(*argv):
    began = time.perf_counter()
    # Not to /dev/null: grep would end at its first match.
    subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - began


def do_cold(path, name, target):
    row(f'{name} cold', through(path) / 1e6, 'MB/s', f'>= {target}')


def passed(mount):
    """How many opens the kernel was to read by itself, so far.  Metrics are
    kept for a second."""
    time.sleep(1.1)
    with open(f'{mount}/.chronik/metrics') as f:
        for line in f:
            if line.startswith('chronik_fs_passthrough_files_total '):
                return int(line.split()[1])
    return 0


def is_passed(mount, path):
    before = passed(mount)
    os.close(os.open(path, os.O_RDONLY))
    return passed(mount) - before


def do_read(segment, plain, mount):
    """In turns, so that what else the machine does hits all alike."""
    got = {'plain': [], 'jsonl': [], 'log': [], 'grep': [], 'grep plain': []}
    files = {'plain': plain, 'jsonl': f'{segment}.jsonl',
             'log': f'{segment}.log'}
    for _ in range(7):
        for name, path in files.items():
            got[name].append(through(path))
    words = ('grep', '-c', '"id":77777,')
    for _ in range(5):
        got['grep plain'].append(run_time(*words, plain))
        got['grep'].append(run_time(*words, files['jsonl']))
    row('plain file warm', statistics.median(got['plain']) / 1e6, 'MB/s')
    for name in 'jsonl', 'log':
        row(f'.{name} warm', statistics.median(got[name]) / 1e6, 'MB/s')
        row(f'.{name} warm / plain', statistics.median(
            a / b for a, b in zip(got[name], got['plain'])), 'x', '>= 0.6')
        row(f'.{name} is read by the kernel itself',
            is_passed(mount, files[name]), '')
    row('grep plain', statistics.median(got['grep plain']), 's')
    row('grep .jsonl warm', statistics.median(got['grep']), 's')
    row('grep warm / plain', statistics.median(
        a / b for a, b in zip(got['grep'], got['grep plain'])), 'x', '<= 1.3')


def do_log(path, plain):
    """The first reading takes from the copy of the segment, others are
    through the kernel's pages of it."""
    row('log.jsonl, its segment copied', through(path) / 1e6, 'MB/s')
    got = [(through(path), through(plain)) for _ in range(5)]
    row('log.jsonl warm', statistics.median(a for a, b in got) / 1e6, 'MB/s')
    row('log.jsonl warm / plain', statistics.median(a / b for a, b in got),
        'x')


def do_first(path):
    began = time.perf_counter()
    with open(path, 'rb', buffering=0) as f:
        f.read(1)
    row('first byte', (time.perf_counter() - began) * 1e3, 'ms', '<= 20')


def do_list(path, when):
    # Each cold one wants a mount of its own.
    what = {'cold': ('-U',), 'cold-l': ('-l',), 'warm': ('-U', '-l')}[when]
    limits = {'cold': 300, 'cold-l': 1000, 'warm-U': 50, 'warm-l': 150}
    for w in what:
        name = 'ls' if w == '-U' else 'ls -l'
        target = limits[when + w if when == 'warm' else when]
        ms = [run_time('ls', w, path) * 1e3
              for _ in range(5 if when == 'warm' else 1)]
        row(f'{name} {when.removesuffix("-l")}', statistics.median(ms), 'ms',
            f'<= {target}')


def heard(fd, at, got):
    while os.read(fd, 65536):
        at[0] = time.monotonic()
        got.set()


def delays(fd, produce, n, pause):
    got, at, out = threading.Event(), [0], []
    threading.Thread(target=heard, args=(fd, at, got), daemon=True).start()
    for i in range(n):
        time.sleep(pause)
        got.clear()
        os.write(produce, b'line %d\n' % i)
        acked = time.monotonic()
        if not got.wait(60):
            sys.exit('nothing is heard')
        out.append(max(0, at[0] - acked) * 1e3)
    return sorted(out)


def do_follow(part):
    produce = os.open(f'{part}/produce', os.O_WRONLY)
    ms = delays(os.open(f'{part}/follow', os.O_RDONLY), produce, 300, 0)
    row('follow after the ack, p99', ms[296], 'ms', '<= 100')
    tail = subprocess.Popen(['tail', '-n', '0', '-f', f'{part}/log.jsonl'],
                            stdout=subprocess.PIPE)
    time.sleep(1)
    ms = delays(tail.stdout.fileno(), produce, 7, 0.3)
    tail.kill()
    row('tail -f after the ack, most', ms[-1], 'ms', '<= 1200')
    sys.stdout.flush()
    os._exit(0)


def status(pid, what):
    with open(f'/proc/{pid}/status') as f:
        for line in f:
            if line.startswith(what):
                return int(line.split()[1])
    return 0


def do_files(path, pid):
    """All at once, 64 KiB of each in turn; then once more, with all of them
    read before."""
    names = sorted(glob.glob(f'{path}/*.jsonl'))[:1000]
    for when in 'through chronik-fs', 'by the kernel alone':
        before = status(pid, 'VmRSS')
        with open(f'/proc/{pid}/clear_refs', 'w') as f:
            f.write('5')	# VmHWM begins anew
        fds = [os.open(n, os.O_RDONLY) for n in names]
        for at in range(0, 2 * MIB, 1 << 16):
            for fd in fds:
                os.pread(fd, 1 << 16, at)
        row(f'open files {when}', len(fds), '')
        row('memory per open file', (status(pid, 'VmHWM') - before) /
            len(fds), 'KiB', '<= 1024')
        for fd in fds:
            os.close(fd)


def do_followers(path, pid):
    before, threads = status(pid, 'VmRSS'), status(pid, 'Threads')
    readers = [subprocess.Popen(['cat', path], stdout=subprocess.DEVNULL)
               for _ in range(1000)]
    time.sleep(2)
    row('1000 followers, memory', (status(pid, 'VmRSS') - before) / 1024,
        'MiB', '<= 64')
    row('1000 followers, threads', status(pid, 'Threads') - threads, '',
        '<= 0')
    for p in readers:
        p.kill()
        p.wait()


def do_killed(path, engine):
    """Stopped: the call ends in time.  Going on: it is answered again."""
    engine = int(engine)
    os.kill(engine, signal.SIGSTOP)
    began = time.monotonic()
    try:
        os.stat(path)
    except OSError:
        pass
    row('call, engine stopped', time.monotonic() - began, 's', '<= 10.5')
    os.kill(engine, signal.SIGCONT)
    began = time.monotonic()
    while True:
        try:
            os.stat(path)
            break
        except OSError:
            time.sleep(0.01)
    row('answered again after', time.monotonic() - began, 's', '<= 2.5')


def met(figure, target):
    if not target:
        return None
    sign, limit = target.split()
    return figure >= float(limit) if sign == '>=' else figure <= float(limit)


def do_report(path=None):
    rows = []
    for line in sys.stdin:
        name, figure, unit, target = line.rstrip('\n').split('\t')
        ok = met(float(figure), target)
        rows.append({'name': name, 'figure': float(figure), 'unit': unit,
                     'target': target or None, 'met': ok})
        print(f'{name:36} {figure:>9} {unit:5} {target:9} ' +
              {None: '', True: 'met', False: 'MISSED'}[ok])
    if path:
        with open(path, 'w') as f:
            json.dump({'schema': 'chronik.bench.fs/1', 'rows': rows}, f,
                      indent=1)
            f.write('\n')


globals()[f'do_{sys.argv[1]}'](*sys.argv[2:])
