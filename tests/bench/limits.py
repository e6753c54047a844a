# SPDX-License-Identifier: Apache-2.0
"""
What the machine itself can do, measured in the same run as everything else:
the disk by plain writes and syncs, the network by loopback.
"""
import mmap
import os
import re
import socket
import statistics
import threading
import time

MIB = 1 << 20
MADV_POPULATE_WRITE = 23


def back_memory(size):
    """A virtual machine's host may have taken back memory that was free, and
    gives it again page by page at first touch, for more than all else that is
    done to a byte.  So what is about to be filled is touched and freed."""
    m = mmap.mmap(-1, max(size, 256 * MIB),
                  flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        m.madvise(MADV_POPULATE_WRITE)
    except OSError:
        for at in range(0, len(m), mmap.PAGESIZE):
            m[at] = 1
    m.close()


def evict(paths):
    """Has files written and forgotten by the cache, but for those that are
    deleted meanwhile."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def disk_read_bytes():
    """By everybody, since the machine started."""
    with open("/proc/vmstat") as f:
        return int(re.search(r"pgpgin (\d+)", f.read()).group(1)) * 1024


def congestion():
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as f:
        return f.read().strip()


def sync_us(directory, prewritten):
    """4 KiB and an fdatasync, appended or over blocks that are there."""
    path = os.path.join(directory, "sync")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    page, times = b"x" * 4096, []
    if prewritten:
        for i in range(200):
            os.pwrite(fd, page, i * 4096)
        os.fsync(fd)
    for i in range(200):
        start = time.monotonic()
        os.pwrite(fd, page, i * 4096)
        os.fdatasync(fd)
        times.append((time.monotonic() - start) * 1e6)
    os.close(fd)
    os.unlink(path)
    return statistics.median(times)


def write_mb_s(directory, size=512 * MIB):
    """Sequential writes of 1 MiB, and one fdatasync at the end."""
    path = os.path.join(directory, "write")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    block = os.urandom(MIB)
    start = time.monotonic()
    for _ in range(size // MIB):
        os.write(fd, block)
    os.fdatasync(fd)
    spent = time.monotonic() - start
    os.close(fd)
    os.unlink(path)
    return size / spent / 1e6


def pair():
    with socket.create_server(("127.0.0.1", 0)) as s:
        a = socket.create_connection(s.getsockname())
        b, _ = s.accept()
    for x in (a, b):
        x.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return a, b


def drain(s, size):
    buf = bytearray(MIB)
    while size > 0:
        n = s.recv_into(buf)
        if n == 0:
            break
        size -= n


def send_file(s, fd, size):
    """The bytes of a file, over and over."""
    whole, sent = os.fstat(fd).st_size, 0
    while sent < size:
        sent += os.sendfile(s.fileno(), fd, sent % whole,
                            min(MIB, whole - sent % whole))


def loopback_mb_s(size=2048 * MIB, file=None):
    """Bytes through a TCP connection: from memory, or by sendfile."""
    a, b = pair()
    reader = threading.Thread(target=drain, args=(b, size))
    start = time.monotonic()
    reader.start()
    if file is None:
        block = bytes(MIB)
        for _ in range(size // MIB):
            a.sendall(block)
    else:
        send_file(a, file, size)
    reader.join()
    spent = time.monotonic() - start
    a.close()
    b.close()
    return size / spent / 1e6


def random_file(directory):
    path = os.path.join(directory, "sendfile")
    with open(path, "wb") as f:
        f.write(os.urandom(256 * MIB))
    fd = os.open(path, os.O_RDONLY)
    os.unlink(path)
    return fd


def sendfile_mb_s(directory):
    fd = random_file(directory)
    try:
        return loopback_mb_s(file=fd)
    finally:
        os.close(fd)


def sendfile_ns_kib(directory, control, size=2048 * MIB):
    """Processor time of who sends, by congestion control; the reader is
    another process."""
    fd = random_file(directory)
    a, b = pair()
    a.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    reader = os.fork()
    if reader == 0:
        a.close()
        drain(b, size)
        os._exit(0)
    b.close()
    start = time.process_time()
    send_file(a, fd, size)
    spent = time.process_time() - start
    a.close()
    os.close(fd)
    os.waitpid(reader, 0)
    return spent * 1e9 / (size / 1024)


def rtt_us(n=5000):
    a, b = pair()

    def echo():
        for _ in range(n):
            b.sendall(b.recv(64))

    other = threading.Thread(target=echo)
    other.start()
    times = []
    for _ in range(n):
        start = time.monotonic()
        a.sendall(b"x" * 64)
        a.recv(64)
        times.append((time.monotonic() - start) * 1e6)
    other.join()
    return statistics.median(times)


def all_limits(directory):
    return {
        "append 4 KiB + fdatasync, us": sync_us(directory, False),
        "overwrite 4 KiB + fdatasync, us": sync_us(directory, True),
        "write + one fdatasync, MB/s": write_mb_s(directory),
        "loopback TCP, MB/s": loopback_mb_s(),
        "sendfile to loopback, MB/s": sendfile_mb_s(directory),
        "sendfile by reno, CPU ns/KiB": sendfile_ns_kib(directory, "reno"),
        f"sendfile by {congestion()}, CPU ns/KiB":
            sendfile_ns_kib(directory, congestion()),
        "loopback round trip, us": rtt_us(),
    }
