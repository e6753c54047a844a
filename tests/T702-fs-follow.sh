#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs: followers, one and a thousand, and lines that are written.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
command -v jq >/dev/null || skip "jq is missing"
command -v python3 >/dev/null || skip "python3 is missing"

broker_start --gateways 1
check_rc 0 chronik topic create t --partitions 3
fs_mount
[ ! -e "$P/produce" ] && [ ! -e "$M/topics/t/produce" ] ||
    fail "a read-only mount has produce"
fs_umount
fs_mount -o rw

# follow FILE OUT: starts one, and waits until it is at the engine.
followers=
follow()
{
	local n

	n=$(cut_metric followers)
	cat "$1" >"$2" 2>"$2.err" &
	followers="$followers $!"
	wait_until eval '[ "$(cut_metric followers)" -gt '"$n"' ]' ||
	    fail "no follower of $1"
}

# Metrics are kept for a second.
cut_metric()
{
	sed -n "s/^chronik_fs_$1 //p" "$M/.chronik/metrics"
}

# ---- produce --------------------------------------------------------------------------

echo hello >"$P/produce"
echo again >>"$P/produce"
printf 'three\nlines\nno end' >"$P/produce"
check_eq "$(jq -r .v "$P/log.jsonl")" 'hello
again
three
lines
no end' "what was written"
# A second write ends the line of the first.
python3 - "$P/produce" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, b'half a ')
os.write(fd, b'line\nan')
os.write(fd, b'other\n')
os.fsync(fd)
os.close(fd)
PY
check_eq "$(tail -n 2 "$P/log.jsonl" | jq -r .v)" 'half a line
another' "lines over writes"
cat >"$tmp/lines" <<'EOL'
{"v":"text"}
{"k":"key","v":{"a" : [1.0, "\u00e9"]},"h":{"x":"1","y":null},"ts":17}
{"k":null,"v":null,"o":5}
{"k64":"/w==","v64":"/g==","h64":[["YQ==","/w=="],["YQ==",null]]}
{"v":1,"other":2}
{"v":1,"v":2}
{"k":"no value"}
{"v":"a\nb\u0000c"}
[1]

x
EOL
cp "$tmp/lines" "$M/topics/t/1/produce" || fail "cp"
Q=$M/topics/t/1
check_eq "$(sed 's/"ts":[0-9]\{13\}/"ts":0/' "$Q/log.jsonl")" \
'{"p":1,"o":0,"ts":0,"k":null,"v":"text"}
{"p":1,"o":1,"ts":17,"k":"key","h":{"x":"1","y":null},"v":{"a" : [1.0, "\u00e9"]}}
{"p":1,"o":2,"ts":0,"k":null,"v":null}
{"p":1,"o":3,"ts":0,"k64":"/w==","h64":[["YQ==","/w=="],["YQ==",null]],"v64":"/g=="}
{"p":1,"o":4,"ts":0,"k":null,"v":{"v":1,"other":2}}
{"p":1,"o":5,"ts":0,"k":null,"v":{"v":1,"v":2}}
{"p":1,"o":6,"ts":0,"k":null,"v":{"k":"no value"}}
{"p":1,"o":7,"ts":0,"k":null,"v":"a\nb\u0000c"}
{"p":1,"o":8,"ts":0,"k":null,"v":[1]}
{"p":1,"o":9,"ts":0,"k":null,"v":""}
{"p":1,"o":10,"ts":0,"k":null,"v":"x"}' "records in JSON"
# A log that is copied is the same log.
cp "$Q/log.jsonl" "$M/topics/t/2/produce" || fail "cp log.jsonl"
check_eq "$(sed 's/^{"p":2/{"p":1/' "$M/topics/t/2/log.jsonl")" \
    "$(cat "$Q/log.jsonl")" "a copy of a log"

# Errors are those of the write.
wrong()
{
	local rc=0

	python3 - "$1" "$2" >"$tmp/out" <<-'PY' || rc=$?
	import errno, os, sys
	try:
	    fd = os.open(sys.argv[1], os.O_WRONLY)
	    data = eval(sys.argv[2])
	    while data:
	        n = os.write(fd, data)
	        data = data[n:]
	    print('none')
	except OSError as e:
	    print(errno.errorcode[e.errno])
	PY
	cat "$tmp/out"
	return $rc
}
n=$(wc -l <"$P/log.jsonl")
check_eq "$(wrong "$P/produce" "b'{\"k\":1,\"v\":1}\\n'")" EINVAL "a wrong key"
check_eq "$(wrong "$P/produce" "b'{\"v64\":\"?\"}\\n'")" EINVAL "wrong base64"
check_eq "$(wrong "$P/produce" "b'{\"v\":1,\"ts\":-2}\\n'")" EINVAL "wrong ts"
check_eq "$(wrong "$M/topics/t/produce" "b'{\"v\":1,\"p\":3}\\n'")" EINVAL \
    "no such partition"
check_eq "$(wrong "$P/produce" "b'x' * 2000000 + b'\\n'")" EMSGSIZE \
    "a line that is too long"
check_eq "$(wc -l <"$P/log.jsonl")" "$n" "nothing of these"
check_eq "$(wrong "$P/produce" "b'good\\n{\"k\":1,\"v\":1}\\nlost\\n'")" EINVAL \
    "the second line"
check_eq "$(tail -n 1 "$P/log.jsonl" | jq -r .v)" good "the first is in"
check_grep 'k must be text' "$M/.chronik/errors.log" errors.log
check_rc 1 cat "$P/produce" || [ "$(id -u)" = 0 ]

# Keys go where Kafka's clients put them: to the same partition as kcat's,
# whatever the file.
seq 100 | sed 's/.*/{"k":"key-&","v":"&"}/' >"$M/topics/t/produce"
seq 100 | sed 's/.*/key-&\t&/' | timeout 60 kcat -P -b "$BOOTSTRAP" -t t \
    -K '	' -X partitioner=murmur2_random || fail kcat
check_eq "$(cat "$M"/topics/t/?/log.jsonl | jq -r 'select(.k != null) |
    select(.k|startswith("key-")) | "\(.k) \(.p)"' | sort | uniq -c |
    awk '$1 != 2' )" "" "partitions of keys"

# Many lines in large writes, in batches of a size that the topic takes.
check_rc 0 chronik topic create small --partitions 1 \
    --config max.message.bytes=10000 --config compression.type=zstd
json 20000 | dd of="$M/topics/small/0/produce" bs=1M status=none ||
    fail "dd"
cmp <(jq -c .v "$M/topics/small/0/log.jsonl") <(json 20000) ||
    fail "what dd wrote"

# ---- admin ----------------------------------------------------------------------------

conf=$M/topics/small/config
check_eq "$(wrong "$conf/retention.ms" "b'1'")" EPERM "config without admin"
fs_umount
fs_mount -o admin
echo 12345678 >"$conf/retention.ms" || fail "config"
check_eq "$(cat "$conf/retention.ms")" 12345678 "what was written"
check_eq "$(chronik topic show small --format json | grep -c 12345678)" 1 \
    "what the engine has"
check_eq "$(wrong "$conf/retention.ms" "b'soon\\n'")" EINVAL "a wrong value"
check_grep 'Invalid value soon' "$M/.chronik/errors.log" errors.log
check_eq "$(cat "$conf/retention.ms")" 12345678 "it stays"
echo >"$conf/retention.ms" || fail "unset"
check_eq "$(cat "$conf/retention.ms")" 604800000 "the default again"

# ---- follow ---------------------------------------------------------------------------

follow "$P/follow" "$tmp/one"
follow "$M/topics/t/follow" "$tmp/all"
follow "$P/follow@3" "$tmp/from"
for p in 0 1 2; do
	seq "$p" 3 100 | produce t "$p"
done
in_order()
{
	jq -r .v "$1" 2>/dev/null | sort -n | cmp -s - <(seq "$2" "$3" 100)
}
wait_until in_order "$tmp/one" 0 3 || fail "follow: $(cat "$tmp/one")"
wait_until in_order "$tmp/all" 0 1 || fail "topic follow: $(cat "$tmp/all")"
sed 1,3d "$P/log.jsonl" >"$tmp/want"
wait_until cmp -s "$tmp/want" "$tmp/from" || fail "follow@3"
# Through a restart of the engine, without loss, once each.
engine_kill9
wait_ready || fail "the engine does not come back"
seq 103 3 200 | produce t 0
wait_until eval '[ "$(wc -l <"$tmp/one")" = "$(jq -r .v "$tmp/one" |
    sort -u | wc -l)" ] && jq -r .v "$tmp/one" | grep -q 199' ||
    fail "after a restart: $(tail -n 3 "$tmp/one")"
check_eq "$(jq -s 'map(.o) == ([range(.[0].o; .[-1].o + 1)])' "$tmp/one")" \
    true "no offset is missing"
kill $followers
wait $followers 2>/dev/null
wait_until eval '[ "$(cut_metric followers)" = 0 ]' || fail "followers stay"

# A thousand: no threads, few bytes, no time.
before=$(sed -n 's/^Threads:\t//p' "/proc/$FS_PID/status")
rss=$(sed -n 's/^VmRSS:\t *\([0-9]*\).*/\1/p' "/proc/$FS_PID/status")
python3 - "$P/follow" >"$tmp/many" <<'PY' &
import os, select, sys, threading
fds = [os.open(sys.argv[1], os.O_RDONLY) for i in range(1000)]
def read(fd, out):
    out.append(os.read(fd, 65536))
out = []
threading.stack_size(65536)
ts = [threading.Thread(target=read, args=(fd, out)) for fd in fds]
for t in ts:
    t.start()
print('ready', flush=True)
for t in ts:
    t.join()
print(len(out), len(set(out)), flush=True)
PY
many=$!
wait_until grep -q ready "$tmp/many" || fail "1000 followers"
wait_until eval '[ "$(cut_metric followers)" = 1000 ]' || fail "not 1000"
check_eq "$(sed -n 's/^Threads:\t//p' "/proc/$FS_PID/status")" "$before" threads
echo now | produce t 0
wait_until grep -q '^1000 1$' "$tmp/many" || fail "they heard: $(cat "$tmp/many")"
wait $many
more=$(($(sed -n 's/^VmRSS:\t *\([0-9]*\).*/\1/p' "/proc/$FS_PID/status") - rss))
[ -n "${CHRONIK_QUICK:-}" ] || [ $more -lt 65536 ] ||
    fail "1000 followers took $more KiB"

# One that is interrupted, and one that the end of the mount ends.
timeout -s INT 1 cat "$P/follow" >"$tmp/int" 2>&1
check_eq "$(cat "$tmp/int")" "" "an interrupted follower"
follow "$P/follow" "$tmp/last"
# Those who ask again at once, as Python does, come when it is about to end.
python3 - "$P/follow" <<'PY' &
import os, sys, threading
fds = [os.open(sys.argv[1], os.O_RDONLY) for i in range(50)]
def read(fd):
    try:
        os.read(fd, 65536)
    except OSError:
        pass
for fd in fds:
    threading.Thread(target=read, args=(fd,)).start()
PY
followers="$followers $!"
wait_until eval '[ "$(cut_metric followers)" = 51 ]' || fail "not 51"
fs_umount
wait_until lib_gone $followers || fail "a follower of a mount that is gone"
broker_stop
