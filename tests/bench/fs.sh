#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs beside a plain file on the same disk: reading text and logs, cold
# and warm, grep, lists of many topics, and how soon a follower hears.
#
# usage: tests/bench/fs.sh [MIB [TOPICS]]	(1024, 10000)
# The programs are those of $CHRONIK_BUILD, or of the working directory.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../fs.sh"
mib=${1:-1024} topics=${2:-10000}

# timed WHAT BYTES COMMAND...: seconds, and MB/s if there are bytes.
timed()
{
	local what=$1 bytes=$2 from to
	shift 2
	from=$(date +%s%N)
	"$@" >"$tmp/sink" || fail "$*"
	to=$(date +%s%N)
	awk -v w="$what" -v b="$bytes" -v t=$((to - from)) 'BEGIN {
	    printf "%-28s %8.3f s", w, t / 1e9
	    if (b > 0) printf " %7.0f MB/s", b / t * 1000
	    printf "\n" }'
}

through()
{
	dd if="$1" of=/dev/null bs=1M status=none
}

broker_start --gateways 1
chronik topic create big --partitions 1 >/dev/null || fail "create"
python3 - "$mib" <<'PY' | produce big 0 -X linger.ms=20 -X batch.size=900000
import random, sys
random.seed(1)
word = ['%x' % random.getrandbits(40) for i in range(5000)]
text = ['"level":"info","host":"node-%d","status":%d,"msg":"%s","ok":true}' %
    (i % 50, 200 + i % 7, ' '.join(random.choices(word, k=60)))
    for i in range(4096)]
size = int(sys.argv[1]) << 20
n = i = 0
while n < size:
    line = '{"id":%d,%s\n' % (i, text[i & 4095])
    sys.stdout.write(line)
    n += len(line)
    i += 1
PY
# Sealed, however large it is.
chronik topic set big --config segment.bytes=1048576 >/dev/null || fail "set"
echo last | produce big 0
B=$M/topics/big/0
seg=segments/00000000000000000000
fs_mount -o cache=none
bytes=$(stat -c %s "$B/$seg.log")
fs_umount

fs_mount -o cache=none
timed "measure a segment" "$bytes" stat "$B/$seg.jsonl"
size=$(stat -c %s "$B/$seg.jsonl")
timed ".jsonl cold" "$size" through "$B/$seg.jsonl"
timed ".jsonl warm" "$size" through "$B/$seg.jsonl"
timed ".log cold" "$bytes" through "$B/$seg.log"
timed ".log warm" "$bytes" through "$B/$seg.log"
cat "$B/$seg.jsonl" >"$tmp/plain" || fail "no room for a plain file"
timed "plain file, warm" "$size" through "$tmp/plain"
timed "grep, plain" "$size" grep -c '"id":77777,' "$tmp/plain"
timed "grep, .jsonl warm" "$size" grep -c '"id":77777,' "$B/$seg.jsonl"
rm "$tmp/plain"
grep -E 'VmHWM' "/proc/$FS_PID/status"
fs_umount

seq -f 'topic-%06g' "$topics" | xargs -n 500 "$CHRONIK_BUILD/chronik" \
    topic create --engine "$ENGINE" --timeout-ms 60000 --partitions 1 \
    >/dev/null || fail "create topics"
fs_mount -o rw
timed "ls, cold" 0 ls -U "$M/topics"
timed "ls, warm" 0 ls -U "$M/topics"
fs_umount
fs_mount -o rw
timed "ls -l, cold" 0 ls -l "$M/topics"
timed "ls -l, warm" 0 ls -l "$M/topics"

python3 - "$M/topics/topic-000001/0" <<'PY'
import os, sys, threading, time
follow = os.open(sys.argv[1] + '/follow', os.O_RDONLY)
produce = os.open(sys.argv[1] + '/produce', os.O_WRONLY)
got, at = threading.Event(), [0]
def read():
    while os.read(follow, 65536):
        at[0] = time.monotonic()
        got.set()
threading.Thread(target=read, daemon=True).start()
heard = []
for i in range(300):
    got.clear()
    os.write(produce, b'line %d\n' % i)
    acked = time.monotonic()
    assert got.wait(60)
    heard.append((at[0] - acked) * 1000)
heard.sort()
print('follow after the ack          p50 %.2f ms, p99 %.2f ms' %
    (heard[150], heard[297]), flush=True)
os._exit(0)
PY
fs_umount
broker_stop
