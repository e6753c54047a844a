#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs beside a plain file on the same disk: every target that it has,
# with the figure of this machine and, for reading, the ratio to the plain file
# in the same run, and which way it was read.  Cold is a mount that has read
# nothing yet; the engine's files are in memory.  It asserts no time.
#
# usage: tests/bench/fs.sh [MIB [TOPICS [JSON]]]	(1024, 10000)
# The programs are those of $CHRONIK_BUILD, or of the working directory; extra
# options of the mount that reads, of $CHRONIK_FS_OPTIONS.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../fs.sh"
CHRONIK_SRC=$(cd "$(dirname "$0")/../.." && pwd)
mib=${1:-1024} topics=${2:-10000} json=${3:-}
options=ro${CHRONIK_FS_OPTIONS:+,$CHRONIK_FS_OPTIONS}

measure()
{
	python3 "$CHRONIK_SRC/tests/bench/fs.py" "$@" >>"$tmp/rows" ||
	    fail "$*"
}

# lines MIB: as many MiB of JSON.
lines()
{
	python3 - "$1" <<'PY'
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
}

broker_start --gateways 1
chronik topic create big --partitions 1 >/dev/null || fail "create"
lines "$mib" | produce big 0 -X linger.ms=20 -X batch.size=900000
# Sealed, however large it is.
chronik topic set big --config segment.bytes=1048576 >/dev/null || fail "set"
echo last | produce big 0
seg=$M/topics/big/0/segments/00000000000000000000

# ---- reading ------------------------------------------------------------------

fs_mount -o "$options"
from=$(date +%s%N)
stat "$seg.jsonl" >/dev/null || fail "stat"
printf 'measuring a segment\t%d\tMB/s\t\n' $(($(stat -c %s "$seg.log") * 1000 / \
    ($(date +%s%N) - from))) >>"$tmp/rows"
measure first "$seg.jsonl"
measure cold "$seg.jsonl" .jsonl 400
measure cold "$seg.log" .log 600
cat "$seg.jsonl" >"$tmp/plain" || fail "no room for a plain file"
sync "$tmp/plain"
cat "$seg.jsonl" >/dev/null
measure read "$seg" "$tmp/plain" "$M"
measure log "$M/topics/big/0/log.jsonl" "$tmp/plain"
rm "$tmp/plain"
fs_umount

# ---- lists --------------------------------------------------------------------

seq -f 'topic-%06g' "$topics" | xargs -n 500 "$CHRONIK_BUILD/chronik" \
    topic create --engine "$ENGINE" --timeout-ms 60000 --partitions 1 \
    >/dev/null || fail "create topics"
fs_mount
measure list "$M/topics" cold
fs_umount
fs_mount -o rw
measure list "$M/topics" cold-l
measure list "$M/topics" warm
measure follow "$M/topics/topic-000001/0"
measure killed "$M/topics/topic-000001/0/log.jsonl" "$(engine_pid)"
fs_umount

# ---- memory -------------------------------------------------------------------

chronik topic create many --partitions 1 --config segment.bytes=1048576 \
    >/dev/null || fail "create"
lines "$mib" | produce many 0 -X linger.ms=20
fs_mount -o "$options"
measure files "$M/topics/many/0/segments" "$FS_PID"
fs_umount
fs_mount
measure followers "$M/topics/many/0/follow" "$FS_PID"
fs_umount
broker_stop
python3 "$CHRONIK_SRC/tests/bench/fs.py" report $json <"$tmp/rows"
