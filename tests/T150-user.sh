#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik user: add, ls, passwd and rm, where passwords come from, what is
# refused, and that all of it is there after kills.
. "$(dirname "$0")/lib.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"

ls_()
{
	chronik user ls --format tsv | cut -f 1,3 | tr '\t\n' ' ,'
}

status()
{
	cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,'
}

# with PASSWORD STATUS COMMAND...
with()
{
	printf '%s\n' "$1" >"$tmp/password"
	lib_want=$2
	shift 2
	lib_rc=0
	chronik "$@" <"$tmp/password" >"$tmp/out" 2>"$tmp/err" || lib_rc=$?
	[ "$lib_rc" = "$lib_want" ] || fail "$*: exit $lib_rc, wanted" \
	    "$lib_want: $(cat "$tmp/err" "$tmp/out")"
}

broker_start
check_eq "$(ls_)" "" "no users"

# ---- add ---------------------------------------------------------------------

with canary-1 0 user add alice --format tsv
check_eq "$(status)" "alice added -," "add"
with canary-2 0 user add bob --iterations 4096 --format tsv
check_eq "$(ls_)" "alice 8192,bob 4096," "two users"
with canary-3 1 user add alice --format tsv
check_eq "$(status)" "alice failed DUPLICATE_RESOURCE," "add twice"
check_grep '^hint: chronik user passwd' "$tmp/err" "hint"
check_rc 0 chronik user ls --format json
check_grep '"mechanism": "SCRAM-SHA-512"' "$tmp/out" "JSON"
with '' 2 user add carol
check_grep 'a password is a line' "$tmp/err" "an empty password"
with "$(head -c 1025 /dev/zero | tr '\0' x)" 2 user add carol
with "$(head -c 1024 /dev/zero | tr '\0' x)" 0 user add carol
with x 2 user add
with x 2 user add dave eve
with x 2 user add dave --iterations 4095
with x 2 user add dave --iterations 16385
with x 1 user add ''
check_grep UNACCEPTABLE_CREDENTIAL "$tmp/err" "an empty name"
with x 1 user add "$(head -c 256 /dev/zero | tr '\0' u)"
check_grep UNACCEPTABLE_CREDENTIAL "$tmp/err" "a long name"
# There is no way to say it where others can read it.
with x 2 user add dave --password x
odd=$(printf 'a\033[31m\tb')
with x 0 user add "$odd"
check_rc 0 chronik user ls
! grep -q "$(printf '\033')" "$tmp/out" || fail "control characters are shown"

# On a terminal it is asked for twice, and not shown.
cat >"$tmp/type.py" <<'EOF'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:4] + ["tty"])
shown = b""
for words, answer in ((b"Password: ", sys.argv[4]), (b"Again: ", sys.argv[5])):
    while words not in shown:
        shown += os.read(fd, 4096)
    os.write(fd, answer.encode() + b"\n")
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    shown += data
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
EOF
typed()
{
	CHRONIK_ENGINE=$ENGINE timeout "$lib_wait_s" python3 "$tmp/type.py" \
	    "$CHRONIK_BUILD/chronik" user add "$@" >"$tmp/out" 2>&1
}
typed canary-4 canary-4 || fail "on a terminal: $(cat "$tmp/out")"
check_grep added "$tmp/out" "on a terminal"
! grep -q canary "$tmp/out" || fail "a password is shown"
! typed canary-4 canary-x || fail "two passwords that differ"
check_grep "not the same" "$tmp/out" "two passwords that differ"
check_rc 0 chronik user rm tty

# ---- passwd, rm --------------------------------------------------------------

with canary-5 0 user passwd bob --format tsv
check_eq "$(status)" "bob changed -," "passwd"
with x 1 user passwd nobody --format tsv
check_eq "$(status)" "nobody failed RESOURCE_NOT_FOUND," "passwd of nobody"
check_rc 0 chronik user rm carol "$odd"
check_rc 1 chronik user rm carol --format tsv
check_eq "$(status)" "carol failed RESOURCE_NOT_FOUND," "rm twice"
check_rc 0 chronik user rm carol --if-exists --format tsv
check_eq "$(status)" "carol absent -," --if-exists
check_eq "$(ls_)" "alice 8192,bob 8192," "what is left"

# ---- kills -------------------------------------------------------------------

with canary-6 0 user add dave
broker_kill9
broker_start
check_eq "$(ls_)" "alice 8192,bob 8192,dave 8192," "after a kill"
check_rc 0 chronik user rm dave
broker_stop
broker_start
check_eq "$(ls_)" "alice 8192,bob 8192," "after a stop"
check_rc 0 chronik dump "$DATA"/meta/*.log
check_grep 'meta_user' "$tmp/out" "in the catalogue"
broker_stop
! grep -ra canary "$DATA" "$BROKER_LOG" || fail "a password was kept"
