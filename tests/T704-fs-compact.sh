#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs on a topic that is compacted while it is looked at: the name leads
# to what there is now, an open file keeps its places.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
command -v jq >/dev/null || skip "jq is missing"
command -v python3 >/dev/null || skip "python3 is missing"

broker_start --gateways 1 --log-cleaner-backoff-ms 500
check_rc 0 chronik topic create t --partitions 1 \
    --config cleanup.policy=compact --config segment.bytes=1048576 \
    --config segment.ms=1000 --config min.cleanable.dirty.ratio=0.01
fs_mount
for r in 1 2 3; do
	seq 10000 | awk -v r=$r \
	    '{ printf "k%d\t{\"id\":%d,\"r\":%d}\n", $1 % 500, $1, r }' |
	    produce t 0 -K '	'
done
check_eq "$(wc -l <"$P/log.jsonl")" 30000 "before"
exec 5<"$P/log.jsonl"
size=$(stat -c %s "$P/log.jsonl")
# Its first segment, also as chronik-fs reads it by itself.
mkdir "$tmp/m2"
check_rc 0 "$CHRONIK_BUILD/chronik-fs" --engine "$ENGINE" -o no-passthrough \
    "$tmp/m2"
raw=segments/00000000000000000000.log
cat "$P/$raw" >"$tmp/raw"
exec 6<"$P/$raw" 7<"$tmp/m2/topics/t/0/$raw"
cmp "$tmp/raw" - <&6 || fail "the first .log"

compacted()
{
	echo 'k1	{}' | produce t 0 -K '	'
	[ "$(wc -l <"$P/log.jsonl")" -lt 15000 ]
}
wait_until compacted || fail "it is not compacted"
python3 - "$size" "$tmp/raw" <<'PY' || fail "the open file"
import errno, os, sys
assert os.fstat(5).st_size >= int(sys.argv[1]), 'it shrank'
os.posix_fadvise(5, 0, 0, os.POSIX_FADV_DONTNEED)
try:
    os.pread(5, 100, 0)
    assert False, 'what is not there any more is read'
except OSError as e:
    assert e.errno == errno.ESTALE, e
# What was in the .log, or nothing, but never what has taken its place.
was = open(sys.argv[2], 'rb').read()
for fd in 6, 7:
    for at in range(0, len(was), 1 << 16):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            got = os.pread(fd, 1 << 16, at)
        except OSError as e:
            assert e.errno == errno.ESTALE, e
            continue
        assert got == was[at:at + (1 << 16)], (fd, at)
PY
exec 5<&- 6<&- 7<&-
fusermount3 -u "$tmp/m2"

# Compaction may go on: until two views are of the same moment.
same()
{
	timeout 60 kcat -C -b "$BOOTSTRAP" -t t -p 0 -o beginning -e -q \
	    -f '%o %k\n' | cmp -s - <(jq -r '"\(.o) \(.k)"' "$P/log.jsonl")
}
wait_until same || fail "kcat and log.jsonl differ"
check_eq "$(jq -r .k "$P/log.jsonl" | sort -u | wc -l)" 500 "every key"
id=$(jq -r .id "$M/topics/t/meta.json" | tr -d -)
raw()
{
	cat "$P"/segments/*.log | cmp -s - <(cat "$DATA/topics/$id/0"/*.log)
}
wait_until raw || fail "the .log files"
fs_umount
broker_stop
