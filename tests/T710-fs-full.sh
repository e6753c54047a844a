#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What write(2) on produce says when the engine does not take the lines: its
# disk, of 64 MB, is full; they are compressed as the topic was when the file
# was opened.  What it refuses is not in, so that who writes it again has it
# once.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
for c in jq python3; do
	command -v $c >/dev/null || skip "$c is missing"
done
[ "$(id -u)" = 0 ] || skip "mounting needs root"
MNT=$tmp/disk
test_cleanup()
{
	! mountpoint -q "$MNT" || umount -l "$MNT"
}

cat >"$tmp/put.py" <<'EOF'
# put.py FILE FROM TO [FLAG...]: writes lines, of 240,000 bytes and with their
# numbers, four at once, as far as they go.  Prints the number of the next one,
# and why it is not in.  The flags are open's, and
#	AGAIN	it goes on until they are in, and prints what it hears when it
#		hears something else
#	PARTS	they go to partitions 0 and 1 by turns; to this one short ones
import errno, os, sys, time
file, at, to = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
flags = set(sys.argv[4:])
again, parts = 'AGAIN' in flags, 'PARTS' in flags
def line(i):
    text = '%06d ' % i + os.urandom(20 if parts and i % 2 else 120000).hex()
    if parts:
        text = '{"p":%d,"v":"%s"}' % (i % 2, text)
    return text.encode() + b'\n'
fd = os.open(file, os.O_WRONLY |
    sum(getattr(os, f) for f in flags - {'AGAIN', 'PARTS'}))
why = 'none'
while at < to:
    buf = b''.join(line(i) for i in range(at, min(at + 4, to)))
    try:
        n = os.write(fd, buf)
        assert buf[:n].endswith(b'\n'), n
        at += buf[:n].count(b'\n')
    except OSError as e:
        heard, why = why, errno.errorcode[e.errno]
        if not again:
            break
        if why != heard:
            print(why, flush=True)
        time.sleep(0.02)
print(at, why if at < to else 'none')
EOF
put()
{
	timeout 60 python3 "$tmp/put.py" "$@"
}

# numbers FILE...: of the lines that are in.
numbers()
{
	jq -r '.v[:6] | tonumber' "$@"
}

mkdir "$MNT"
mount -t tmpfs -o size=64m none "$MNT" || skip "no tmpfs"
broker_start --gateways 1 --data-dir "$MNT/data"
# A line is a batch.
check_rc 0 chronik topic create t two --partitions 2 \
    --config segment.bytes=4194304 --config max.message.bytes=300000
fs_mount -o rw

# ---- a full disk -----------------------------------------------------------------------

fallocate -l 40M "$MNT/filler" || skip "no fallocate"
put "$P/produce" 0 200 >"$tmp/out"
read -r n why <"$tmp/out"
check_eq "$why" ENOSPC "on a full disk, after $n lines"
[ "$n" -gt 8 ] || fail "only $n lines"
check_grep 'No space left on device: FULL' "$M/.chronik/errors.log" errors.log
# Also as long as the partition is made ready again.
check_eq "$(put "$P/produce" "$n" 200)" "$n ENOSPC" "a full disk"
check_eq "$(put "$M/topics/t/produce" "$n" 200 O_NONBLOCK)" "$n ENOSPC" \
    "the topic's file"
check_eq "$(put "$M/topics/two/produce" 0 2 PARTS)" "0 ENOSPC" \
    "another topic"
check_eq "$(numbers "$P/log.jsonl")" "$(seq 0 $((n - 1)))" "what is in"
check_eq "$(cat "$M"/topics/t/1/log.jsonl "$M"/topics/two/?/log.jsonl)" "" \
    "what was refused"

# One that does not give up.
put "$P/produce" "$n" $((n + 10)) AGAIN >"$tmp/again" &
pid=$!
wait_until grep -q . "$tmp/again" || fail "it hears nothing"
rm "$MNT/filler"
wait $pid || fail "$(cat "$tmp/again")"
check_eq "$(tr '\n' ' ' <"$tmp/again")" "ENOSPC $((n + 10)) none " \
    "until there is room"
check_eq "$(numbers "$P/log.jsonl")" "$(seq 0 $((n + 9)))" "each line once"

# Two partitions of which one may have its lines when the other finds no room:
# then write(2) does not say that there is none, but waits for it.
at=0
for round in 1 2; do
	fulls=$(grep -c 'the disk is full' "$BROKER_LOG")
	room=$(df --output=avail -B 1 "$MNT" | tail -n 1)
	fallocate -l $((room - 5000000)) "$MNT/filler" || fail "fallocate"
	put "$M/topics/two/produce" $at $((at + 80)) PARTS AGAIN >"$tmp/again" &
	pid=$!
	wait_until eval \
	    '[ "$(grep -c "the disk is full" "$BROKER_LOG")" -gt $fulls ]' ||
	    fail "round $round: the disk is not full"
	rm "$MNT/filler"
	wait $pid || fail "$(cat "$tmp/again")"
	at=$((at + 80))
	check_eq "$(tail -n 1 "$tmp/again")" "$at none" "round $round"
	check_eq "$(numbers "$M"/topics/two/?/log.jsonl | sort -n)" \
	    "$(seq 0 $((at - 1)))" "each line once, round $round"
	! grep -v -e ENOSPC -e none "$tmp/again" || fail "it hears that"
done

# ---- the topic's configs change under an open file --------------------------------------

check_rc 0 chronik topic create c --partitions 1
C=$M/topics/c/0
exec 3>"$C/produce"
echo 1 >&3
check_rc 0 chronik topic set c --config compression.type=gzip
echo 2 >&3 || fail "compressed otherwise"
line()
{
	head -c "$1" /dev/zero | tr '\0' "$2"
	echo
}
# One line that was too long before.
line 1500000 a >"$tmp/long"
dd if="$tmp/long" bs=2M status=none 2>/dev/null >&3 && fail "it is taken"
check_rc 0 chronik topic set c --config max.message.bytes=3000000 \
    --config compression.type=uncompressed
dd if="$tmp/long" bs=2M status=none >&3 || fail "now it may be as long"
# Many short lines, which went into a batch that is too large now.
check_rc 0 chronik topic set c --config max.message.bytes=20000
for i in $(seq 50); do
	line 1000 b
done >"$tmp/many"
dd if="$tmp/many" bs=2M status=none >&3 || fail "now in smaller batches"
line 30000 c >"$tmp/long"
dd if="$tmp/long" bs=2M status=none 2>"$tmp/why" >&3 && fail "it is taken"
check_grep 'Message too long' "$tmp/why" "EMSGSIZE"
echo 3 >&3 || fail "after a line that is too long"
exec 3>&-
check_eq "$(jq -r '.v | tostring | .[:1]' "$C/log.jsonl" | tr -d '\n')" \
    "12a$(printf b%.0s $(seq 50))3" "what is in"
fs_umount
broker_stop
umount "$MNT" || fail "umount"
