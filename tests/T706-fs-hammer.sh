#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs read in every way at once, while a producer writes and retention
# deletes: no wrong byte.  CHRONIK_HAMMER_S makes it longer than 5 seconds.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
for c in rg rsync python3; do
	command -v $c >/dev/null || skip "$c is missing"
done

broker_start --gateways 1 --log-retention-check-interval-ms 300
check_rc 0 chronik topic create t --partitions 1 \
    --config segment.bytes=1048576 --config retention.bytes=6291456 \
    --config file.delete.delay.ms=0
fs_mount
mkdir "$tmp/m2"
check_rc 0 "$CHRONIK_BUILD/chronik-fs" --engine "$ENGINE" \
    -o no-passthrough,cache=none "$tmp/m2"
id=$(ls "$DATA/topics")
python3 "$CHRONIK_SRC/tests/fs_hammer.py" "${CHRONIK_HAMMER_S:-5}" "$P" \
    "$tmp/m2/topics/t/0" "$DATA/topics/$id/0" "$BOOTSTRAP" "$tmp" ||
    fail "a wrong byte"
fusermount3 -u "$tmp/m2"
fs_umount
broker_stop
