#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs when the engine stops, dies and comes back, when retention deletes
# what is read, when it is killed itself, and for two users.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
command -v jq >/dev/null || skip "jq is missing"
command -v python3 >/dev/null || skip "python3 is missing"

stopped=
test_cleanup()
{
	[ -z "$stopped" ] || kill -CONT $stopped 2>/dev/null
}

broker_start --gateways 1
check_rc 0 chronik topic create t --partitions 1 --config segment.bytes=1048576
json 60000 | produce t 0
fs_mount -o rw,timeout=1
# On a slow machine one second is little for the first look.
wait_until eval 'cat "$P/log.jsonl" >"$tmp/want" 2>"$tmp/err"' ||
    fail "$(cat "$tmp/err")"

# errno of each expression of python; none.
errno()
{
	timeout 60 python3 - "$@" <<-'PY'
	import errno, os, sys
	for s in sys.argv[1:]:
	    try:
	        eval(s)
	        print('none')
	    except OSError as e:
	        print(errno.errorcode[e.errno])
	PY
}

# ---- an engine that does not answer ---------------------------------------------------

cat "$P/follow" >"$tmp/followed" 2>&1 &
follower=$!
tail -n 0 -f "$P/log.jsonl" >"$tmp/tailed" 2>"$tmp/tail.err" &
tailer=$!
wait_until grep -q 'followers 1' "$M/.chronik/metrics" || fail "no follower"
stopped=$(engine_pid)
kill -STOP "$stopped"
# For two seconds nobody waits again.
check_eq "$(errno "os.listdir('$M/topics')" "open('$P/log.jsonl').read()")" \
    "ETIMEDOUT
EHOSTUNREACH" "ls, the engine stopped, and the next"
# What is known needs no engine.
check_eq "$(cat "$M/README" | wc -l)" "$(wc -l <"$M/README")" README
check_grep '"connection"' "$M/.chronik/status.json" status
wait_until grep -q '"connection": "not answering"' "$M/.chronik/status.json" ||
    fail "status: $(cat "$M/.chronik/status.json")"
check_grep TIMED_OUT "$M/.chronik/errors.log" errors.log
# Everything returns, the slowest too.
timeout 60 ls -lR "$M" >/dev/null 2>&1
[ $? != 124 ] || fail "ls -lR hangs"
wait_until eval '[ "$(errno "open(\"$P/produce\", \"w\").write(\"x\\n\")")" \
    = ETIMEDOUT ]' || fail "produce"
kill -CONT "$stopped"
stopped=
wait_until ls "$M/topics/t" >/dev/null || fail "it does not go on"
wait_until cmp -s "$tmp/want" "$P/log.jsonl" ||
    fail "log.jsonl: $(cmp "$tmp/want" "$P/log.jsonl" 2>&1)"

# ---- one that dies, and comes back ------------------------------------------------------

(for i in 1 2 3 4 5 6; do cat "$P/log.jsonl"; done) >"$tmp/read" 2>"$tmp/read.err" &
reader=$!
engine_kill9
wait_ready || fail "the engine does not come back"
wait $reader || check_grep 'timed out\|No route\|reset' "$tmp/read.err" reader
wait_until cmp -s "$tmp/want" "$P/log.jsonl" || fail "after a kill"
wait_until eval 'echo "{\"v\":\"back\"}" >"$P/produce"' 2>"$tmp/err" ||
    fail "produce after a kill: $(cat "$tmp/err")"
wait_until grep -q back "$tmp/followed" || fail "the follower: $(cat "$tmp/followed")"
wait_until grep -q back "$tmp/tailed" || fail "tail -f: $(cat "$tmp/tail.err")"
kill $follower $tailer
wait $follower $tailer 2>/dev/null
fs_umount
fs_mount -o rw
# Writes over kills: what was acknowledged is there once, in order.
python3 - "$P/produce" >"$tmp/acked" 2>"$tmp/writer.err" <<'PY' &
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY)
for i in range(3000):
    line = b'w%d\n' % i
    try:
        os.write(fd, line)
        print('w%d' % i, flush=True)
    except OSError as e:
        print(i, e, file=sys.stderr)
        time.sleep(0.1)
PY
writer=$!
for i in 1 2 3; do
	wait_until eval '[ "$(wc -l <"$tmp/acked")" -gt '$((i * 300))' ]' ||
	    fail "no progress: $(tail -n 3 "$tmp/writer.err")"
	engine_kill9
	wait_ready || fail "the engine does not come back"
done
wait $writer || fail "the writer"
jq -r '.v|strings|select(startswith("w"))' "$P/log.jsonl" >"$tmp/written"
check_eq "$(sort "$tmp/written" | uniq -d)" "" "written twice"
check_eq "$(sort "$tmp/acked" | comm -23 - <(sort "$tmp/written"))" "" \
    "acknowledged, and not there"

# ---- retention ---------------------------------------------------------------------------

python3 - "$P/log.jsonl" "$tmp/want" "$tmp/go" >"$tmp/old" 2>&1 <<'PY' &
import errno, os, sys, time
f = os.open(sys.argv[1], os.O_RDONLY)
size, ino = os.fstat(f).st_size, os.fstat(f).st_ino
print('open', flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.05)
st = os.fstat(f)
assert st.st_size == size and st.st_ino == ino, 'it moved'
new = os.stat(sys.argv[1])
assert new.st_ino != ino and 0 < new.st_size < size, 'the name did not'
# The end is where it was; the beginning is gone, or in the page cache.
os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)
tail = open(sys.argv[1], 'rb').read()
assert os.pread(f, 1 << 16, size - 1000) == tail[-1000:], 'the end'
try:
    os.pread(f, 100, 0)
    print('read')
except OSError as e:
    print(errno.errorcode[e.errno])
PY
old=$!
wait_until grep -q open "$tmp/old" || fail "no reader"
check_rc 0 chronik topic trim t --partition 0 --before 30000 --yes
check_eq "$(head -n 1 "$P/log.jsonl" | jq .o)" 30000 "the log begins there"
check_eq "$(readlink "$P/by-offset/first")" 30000.json first
[ ! -e "$P/by-offset/29999" ] || fail "a deleted record is there"
check_eq "$(wc -l <"$P/log.jsonl")" \
    "$(($(jq .high_watermark "$P/meta.json") - 30000))" "lines"
: >"$tmp/go"
wait $old || fail "$(cat "$tmp/old")"
check_eq "$(tail -n 1 "$tmp/old")" ESTALE "reading what was deleted"

# Deleting goes on under readers: an error, or what is there; whole lines.
check_rc 0 chronik topic set t --config retention.bytes=1500000
for i in 1 2 3 4 5; do
	cat "$P/log.jsonl" >"$tmp/cat" 2>"$tmp/err" ||
	    check_grep 'Stale' "$tmp/err" "cat under retention"
	[ ! -s "$tmp/cat" ] || head -n 1 "$tmp/cat" | jq -e .o >/dev/null ||
	    fail "it does not begin with a line"
	json 2000 | produce t 0
done
check_rc 0 timeout 60 tar -C "$M/topics" -cf /dev/null t/0/by-time

# ---- two users ---------------------------------------------------------------------------

nobody()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@" 2>&1
}
fs_umount
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$tmp"
	fs_mount -o rw
	nobody ls "$M" | grep -q 'Permission denied' || fail "another user"
	fs_umount
	fs_mount -o rw,allow_other
	check_eq "$(nobody cat "$M/README" | cmp - "$M/README" && echo same)" \
	    same "another user, allow_other"
	nobody sh -c "echo x >$P/produce" | grep -q 'denied' ||
	    fail "another user writes"
	fs_umount
	# As a user without any rights but the socket's.
	mkdir "$tmp/home" && chown 65534 "$tmp/home"
	nobody "$CHRONIK_BUILD/chronik-fs" -f --engine "$ENGINE" "$tmp/home" |
	    grep -q 'ermission' || fail "who may not ask the engine"
fi

# ---- its own end -------------------------------------------------------------------------

fs_mount -o auto_unmount
exec 5<"$P/log.jsonl"
kill -9 "$FS_PID"
wait "$FS_PID" 2>/dev/null
wait_until eval '! fs_is_mounted' || fail "auto_unmount"
exec 5<&-
check_eq "$(ls "$M")" "" "the mount point"
fs_mount
kill -9 "$FS_PID"
wait "$FS_PID" 2>/dev/null
check_rc 1 "$CHRONIK_BUILD/chronik-fs" --engine "$ENGINE" "$M"
check_grep 'a mount is left there' "$tmp/err" "a dead mount"
umount "$M" || fail "umount"
# In use: it ends all the same.
fs_mount
exec 5<"$P/log.jsonl"
fs_umount
exec 5<&-
FS_PID=
broker_stop
