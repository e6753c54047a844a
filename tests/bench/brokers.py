# SPDX-License-Identifier: Apache-2.0
"""
The brokers that are measured: ours, Apache Kafka, and the null broker that
only counts.  Each runs as processes of its own in a directory of its own; what
they spend and hold is read from /proc.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

KAFKA_VERSION = "4.4.0"
# As kafka-server-start.sh has it.
KAFKA_JVM = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC",
             "-XX:MaxGCPauseMillis=20",
             "-XX:InitiatingHeapOccupancyPercent=35",
             "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]
WAIT_S = 120


def fail(*words):
    sys.exit("bench: " + " ".join(str(w) for w in words))


def read(path):
    with open(path) as f:
        return f.read()


def tree(root):
    """Name and id of every process under root, root among them."""
    names, kids = {}, {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            head, rest = read(path).rsplit(")", 1)
        except OSError:
            continue
        pid, name = head.split(" (", 1)
        names[int(pid)] = name
        kids.setdefault(int(rest.split()[1]), []).append(int(pid))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in names:
            found.append((names[pid], pid))
        todo += kids.get(pid, [])
    return found


def alive(pid):
    """Any of its threads: one may still be in the kernel."""
    for path in glob.glob(f"/proc/{pid}/task/*/stat"):
        try:
            if read(path).rsplit(")", 1)[1].split()[0] not in "ZX":
                return True
        except OSError:
            pass
    return False


class Broker:
    """A running broker.  roles names the programs whose costs count."""

    roles = ()
    topic_config = None
    sync = False

    def __init__(self, dir_):
        self.tmp = tempfile.mkdtemp(prefix=f"chronik-bench-{self.name}.",
                                    dir=dir_)
        self.log = os.path.join(self.tmp, "log")

    def launch(self, words, pattern, where=None):
        """Starts words and waits for a line that matches pattern, on its
        output or in the file where."""
        start = time.monotonic()
        with open(self.log, "w") as err:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stderr=err, text=True,
                stdout=open(where, "w") if where else subprocess.PIPE)
        while True:
            if where:
                found = re.search(pattern, read(where))
                if not found:
                    time.sleep(0.01)
            else:
                found = re.search(pattern, self.process.stdout.readline())
            if found:
                self.start_ms = (time.monotonic() - start) * 1e3
                return found
            if (self.process.poll() is not None or
                    time.monotonic() - start > WAIT_S):
                fail(self.name, "does not start:\n", read(self.log)[-2000:])

    def role(self, name):
        return name.removeprefix("chronik-") if name != "java" else "kafka"

    def processes(self):
        return [(self.role(name), pid) for name, pid in
                tree(self.process.pid) if self.role(name) in self.roles]

    def cpu(self):
        """CPU seconds so far, by role.  The scheduler's own figures are finer
        than the ticks, but forget threads that ended; ours do not end."""
        spent = dict.fromkeys(self.roles, 0.0)
        for role, pid in self.processes():
            if role == "kafka":
                f = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
                spent[role] += ((int(f[11]) + int(f[12])) /
                                os.sysconf("SC_CLK_TCK"))
            else:
                spent[role] += sum(
                    int(read(path).split()[0]) / 1e9
                    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"))
        return spent

    def memory(self):
        """Resident KiB by role: all, what is its own, what is shared."""
        held = {}
        for role, pid in self.processes():
            rows = dict(re.findall(r"(\w+):\s+(\d+) kB",
                                   read(f"/proc/{pid}/status")))
            row = held.setdefault(role, {"rss_kib": 0, "anon_kib": 0,
                                         "shmem_kib": 0})
            row["rss_kib"] += int(rows["VmRSS"])
            row["anon_kib"] += int(rows["RssAnon"])
            row["shmem_kib"] += int(rows["RssShmem"])
        return held

    def resident_kib(self):
        """What the machine gives up for it: pages that two of its programs
        share count once."""
        held = self.memory().values()
        shared = max((m["shmem_kib"] for m in held), default=0)
        return sum(m["rss_kib"] - m["shmem_kib"] for m in held) + shared

    def partitions(self, n):
        """Called before a topic of n partitions is made."""

    def stop(self):
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT_S)
        return (time.monotonic() - start) * 1e3

    def clean(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.tmp, ignore_errors=True)


class Chronik(Broker):
    roles = ("engine", "gateway")

    def __init__(self, name, build, dir_, sync="commit", gateways=1, words=()):
        self.name, self.sync = name, sync == "commit"
        super().__init__(dir_)
        self.data = os.path.join(self.tmp, "data")
        words = ["--sync", sync, "--gateways", str(gateways), *words]
        self.words = [os.path.join(build, "chronik"), "start", "--data-dir",
                      self.data, "--bind-addr", "127.0.0.1:0", *words]
        self.settings = " ".join(words)
        self.start()

    def start(self):
        """Also once more, after stop or kill."""
        ready = self.launch(self.words, r"^ready kafka=(\S+) engine=(\S+)")
        self.kafka, self.engine = ready.groups()

    def kill(self):
        """kill -9 of all of it at once."""
        pids = [pid for _, pid in tree(self.process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        end = time.monotonic() + WAIT_S
        while any(alive(pid) for pid in pids):
            if time.monotonic() > end:
                fail("a process survives kill -9")
            time.sleep(0.002)

    def files(self):
        """Open descriptors, by role."""
        return {role: len(os.listdir(f"/proc/{pid}/fd"))
                for role, pid in self.processes()}


class Null(Broker):
    """name says which: null checks and writes nothing, or keeps all in memory;
    control and control sync do the least that a broker must."""

    roles = ("null",)
    SETTINGS = {
        "null": "one process, checks and writes nothing",
        "control": "one process, proves checksums and writes",
        "control sync": "the same, and syncs before it answers",
    }

    def __init__(self, build, dir_, partitions, keep=False, name="null"):
        self.name = name
        super().__init__(dir_)
        words = [os.path.join(build, "tests", "bench", "null"),
                 f"partitions={partitions}"] + (["keep"] if keep else [])
        if name != "null":
            words.append(f"file={self.tmp}")
        if name == "control sync":
            words.append("sync")
        self.kafka = self.launch(words, r"^ready (\S+)").group(1)
        self.settings = self.SETTINGS[name]


def kafka_jars(source, cache):
    """Fetches Apache Kafka once; None where its tools are not there."""
    home = os.path.join(cache, f"bench-kafka-{KAFKA_VERSION}")
    if not shutil.which("java"):
        return None
    if not os.path.exists(os.path.join(home, "done")):
        if not shutil.which("mvn"):
            return None
        r = subprocess.run(
            ["mvn", "-B", "-q", "-f", os.path.join(
                source, "tests", "clients", "java", "tools.xml"), "-Pcore",
             f"-Dkafka.version={KAFKA_VERSION}",
             "dependency:copy-dependencies", f"-DoutputDirectory={home}"],
            capture_output=True, text=True)
        if r.returncode != 0:
            print("bench: Apache Kafka cannot be fetched:\n" + r.stdout[-500:],
                  file=sys.stderr)
            return None
        open(os.path.join(home, "done"), "w").close()
    return home


def free_ports(n):
    import socket
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Kafka(Broker):
    """One node that is broker and controller, with Kafka's defaults.  With
    sync, topics are made with flush.messages=1."""

    roles = ("kafka",)

    def __init__(self, name, jars, dir_):
        self.name = name
        super().__init__(dir_)
        port, controller = free_ports(2)
        self.kafka = f"127.0.0.1:{port}"
        self.settings = (f"Apache Kafka {KAFKA_VERSION}, KRaft combined, "
                         "defaults, " + " ".join(KAFKA_JVM[:2]))
        conf = os.path.join(self.tmp, "server.properties")
        self.data = os.path.join(self.tmp, "data")
        with open(conf, "w") as f:
            f.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={self.data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
""")
        java = ["java", *KAFKA_JVM,
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
                "-Dorg.slf4j.simpleLogger.logFile=System.out",
                "-cp", os.path.join(jars, "*")]
        r = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t",
             "MkU3OEVBNTcwNTJENDM2Qk", "-c", conf],
            capture_output=True, text=True)
        if r.returncode != 0:
            fail("Apache Kafka's directory:", r.stdout, r.stderr)
        self.launch([*java, "kafka.Kafka", conf], r"Kafka Server started",
                    os.path.join(self.tmp, "out"))
