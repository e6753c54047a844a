#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# More partitions than files that a process may open: all of them are written
# to and read, and come back.  And where nothing is left to accept with, whoever
# comes waits and is served later.
. "$(dirname "$0")/lib.sh"

[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
command -v python3 >/dev/null || skip "python3 is not installed"
command -v prlimit >/dev/null || skip "prlimit is not installed"
parts=1000
[ -z "${CHRONIK_QUICK:-}" ] || parts=300

PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/bench/parts.py" \
    --build "$CHRONIK_BUILD" --dir "$tmp" --files 256 --no-raw \
    --parts "$parts" --rounds 1 --seconds 0.3 --json "$tmp/json" ||
    fail "$parts partitions with 256 files"
files=$(sed -n 's/.*"engine_files": \([0-9]*\).*/\1/p' "$tmp/json")
[ "$files" -le 256 ] || fail "the engine has $files files open"

prlimit --nofile=64 "$CHRONIK_BUILD/chronik-engine" --data-dir "$tmp/few" \
    >"$tmp/out" 2>"$tmp/err" &
pid=$!
suite_cleanup()
{
	kill -9 "$pid" 2>/dev/null
}
: >"$tmp/out"
waited=0
until grep -q "^ready" "$tmp/out"; do
	waited=$((waited + 1))
	[ "$waited" -lt 600 ] || fail "not ready"
	sleep 0.05
done
python3 - "$tmp/few/engine.sock" "$tmp/err" <<'EOF' || fail "idle links"
import socket, sys, time
held = []
for _ in range(100):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    held.append(s)
end = time.monotonic() + 60
while b"cannot accept" not in open(sys.argv[2], "rb").read():
    if time.monotonic() > end:
        sys.exit("the engine never ran out of files")
    time.sleep(0.02)
EOF
"$CHRONIK_BUILD/chronik" topic ls --engine "$tmp/few/engine.sock" \
    >/dev/null || fail "a client after the files ran out"
said=$(grep -c "cannot accept" "$tmp/err")
[ "$said" -lt 1000 ] || fail "said $said times that it cannot accept"
kill "$pid"
wait "$pid" || fail "the engine ended with $?"
