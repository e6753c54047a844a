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

compacted()
{
	echo 'k1	{}' | produce t 0 -K '	'
	[ "$(wc -l <"$P/log.jsonl")" -lt 15000 ]
}
wait_until compacted || fail "it is not compacted"
python3 - "$size" <<'PY' || fail "the open file"
import errno, os, sys
assert os.fstat(5).st_size >= int(sys.argv[1]), 'it shrank'
os.posix_fadvise(5, 0, 0, os.POSIX_FADV_DONTNEED)
try:
    os.pread(5, 100, 0)
    assert False, 'what is not there any more is read'
except OSError as e:
    assert e.errno == errno.ESTALE, e
PY
exec 5<&-

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
