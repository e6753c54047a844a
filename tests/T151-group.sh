#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik group: ls, show, reset and rm, of groups with members of both
# protocols and without, what is refused, and that offsets outlive a kill.
. "$(dirname "$0")/lib.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
command -v kcat >/dev/null || skip "kcat is not installed"

# offsets GROUP: topic, partition, offset, end and lag of each row, one line.
offsets()
{
	chronik group show "$1" --format tsv | cut -f 2-6 | tr '\t\n' ' ,'
}

# status: topic, partition, was, offset, status and error of each, one line.
status()
{
	cut -f 1-6 "$tmp/out" | tr '\t\n' ' ,'
}

# to WHERE OFFSETS [OPTION...]: what partition 0 and 1 of a would be set to.
to()
{
	where=$1 wanted=$2
	shift 2
	check_rc 0 chronik group reset g --to "$where" --format tsv "$@"
	check_eq "$(cut -f 4 "$tmp/out" | tr '\n' ,)" "$wanted" "$where"
}

broker_start --group-initial-rebalance-delay-ms 0
check_eq "$(chronik group ls --format tsv)" "" "no groups"
check_rc 1 chronik group show g
check_grep '^chronik group show: g: GROUP_ID_NOT_FOUND' "$tmp/err" "show"
check_grep '^hint: chronik group ls' "$tmp/err" "hint"
check_rc 0 chronik topic create a --partitions 2
for i in 1 2 3 4 5; do echo $i; done |
    kcat -P -b "$BOOTSTRAP" -t a -p 0 || fail "kcat -P"
for i in 1 2 3; do echo $i; done |
    kcat -P -b "$BOOTSTRAP" -t a -p 1 || fail "kcat -P"

# ---- reset -------------------------------------------------------------------

check_rc 1 chronik group reset g --to latest
check_grep '^chronik group reset: g: GROUP_ID_NOT_FOUND' "$tmp/err" "nothing"
check_rc 0 chronik group reset g --topic a --to 2 --format tsv
check_eq "$(status)" "a 0 - 2 would be reset -,a 1 - 2 would be reset -," "dry"
check_grep '^hint: nothing was changed' "$tmp/err" "dry"
check_eq "$(chronik group ls --format tsv)" "" "nothing was done"
check_rc 0 chronik group reset g --topic a --to 2 --execute --format tsv
check_eq "$(status)" "a 0 - 2 reset -,a 1 - 2 reset -," "execute"
check_eq "$(chronik group ls --format tsv)" "g	classic	Empty	-" "ls"
check_eq "$(offsets g)" "a 0 2 5 3,a 1 2 3 1," "show"
to earliest 0,0,
to latest 5,3,
to 4 4,3,
to 99 5,3,
to -1 1,1,
to -3 0,0,
to +2 4,3,
to +9223372036854775807 5,3,
to 1h 0,0,
to 0ms 5,3,
to 9999d 0,0,
to 2020-01-01 0,0,
to 2020-01-01T10:20:30.5+01:00 0,0,
to 2999-01-01T00:00Z 5,3,
to 4 4, --partition 0
check_rc 0 chronik group reset g --topic a --partition 1 --to 0 --dry-run
! grep -q hint "$tmp/err" || fail "a dry run that is meant hints"
check_rc 1 chronik group reset g --topic none --to 0 --format tsv
check_eq "$(status)" "none - - - failed UNKNOWN_TOPIC," "no topic"
check_rc 1 chronik group reset g --topic a --partition 2 --to 0 --format tsv
check_eq "$(status)" "a 2 - - failed UNKNOWN_TOPIC," "no partition"
check_rc 1 chronik group reset h --topic a --to -1 --execute --format tsv
check_eq "$(status)" \
    "a 0 - - failed INVALID_REQUEST,a 1 - - failed INVALID_REQUEST," "no offset"
check_eq "$(chronik group ls --format tsv | cut -f 1)" "g" "no group is made"
for i in '' x 1x 1hh -x + 2020-13-01 2020-01-01T 2020-01-01T10:00+1 \
    10000000000000000000 99999999999999d latest,; do
	check_rc 2 chronik group reset g --to "$i"
	check_grep '^chronik group reset: --to must be' "$tmp/err" "--to $i"
done
check_rc 2 chronik group reset g
check_rc 2 chronik group reset g --to 0 --execute --dry-run
check_rc 2 chronik group reset g h --to 0
check_eq "$(offsets g)" "a 0 2 5 3,a 1 2 3 1," "as it was"

# A consumer goes on from there.
check_rc 0 chronik group reset g --to -1 --execute
timeout "$lib_wait_s" kcat -b "$BOOTSTRAP" -G g -c 6 -q -u \
    -X auto.offset.reset=error a >"$tmp/got" 2>"$tmp/kcat.err" ||
    fail "kcat -G: $(cat "$tmp/kcat.err")"
check_eq "$(sort "$tmp/got" | tr '\n' ' ')" "2 2 3 3 4 5 " "records"
check_eq "$(offsets g)" "a 0 5 5 0,a 1 3 3 0," "committed"

# ---- members -----------------------------------------------------------------

kcat -b "$BOOTSTRAP" -G live -q -u -X client.id=reader \
    -X auto.offset.reset=earliest a >"$tmp/live" 2>/dev/null &
reader=$!
suite_cleanup()
{
	kill $reader 2>/dev/null
}
stable()
{
	[ "$(chronik group show live --format tsv | cut -f 8 | sort -u)" = \
	    reader ]
}
wait_until stable || fail "no member: $(chronik group show live)"
check_rc 0 chronik group show live
check_grep '^live  type classic, state Stable, protocol range, members 1$' \
    "$tmp/out" "show"
check_rc 0 chronik group show live --format json
python3 - "$tmp/out" <<'EOF' || fail "JSON"
import json, sys
x = json.load(open(sys.argv[1]))
assert x["schema"] == "chronik.group.show/1"
g, = x["items"]
m, = g["members"]
assert (g["name"], g["state"], g["error"]) == ("live", "Stable", None), g
assert m["client_id"] == "reader" and m["host"] == "/127.0.0.1", m
assert [(p["topic"], p["partition"]) for p in m["partitions"]] == \
    [("a", 0), ("a", 1)], m
assert [o["member"] for o in g["offsets"]] == [m["id"]] * 2, g
EOF
check_rc 4 chronik group reset live --to earliest --execute
check_grep '^chronik group reset: live: NON_EMPTY_GROUP' "$tmp/err" "members"
check_rc 4 chronik group reset live --to earliest
check_rc 1 chronik group rm live --yes
check_grep '^chronik group rm: live: NON_EMPTY_GROUP' "$tmp/err" "members"
check_rc 1 chronik group rm live --dry-run
kill $reader
wait $reader

# One of the new protocol.
wire=$CHRONIK_SRC/tests/wire
if [ -d "${CHRONIK_SHARED:-$CHRONIK_SRC/../shared}/kafka/messages" ]; then
	cat >"$tmp/native.py" <<'EOF'
import sys
sys.path.insert(0, sys.argv[1])
import kafka
from consumer_groups import Client, converge, parts
kafka.load_env(sys.argv[2])
with kafka.Conn() as c:
    t = kafka.metadata(c, ["a"], version=12)["topics"][0]
with Client("native", ["a"]) as m:
    converge([m], parts(kafka.Topic("a", t["topic_id"], 2)))
    print("ready", flush=True)
    sys.stdin.read()
    m.leave()
EOF
	mkfifo "$tmp/in" "$tmp/native"
	PYTHONDONTWRITEBYTECODE=1 python3 "$tmp/native.py" "$wire" \
	    "$BOOTSTRAP" <"$tmp/in" >"$tmp/native" &
	exec 7>"$tmp/in"
	read -r word <"$tmp/native"
	check_eq "$word" ready "a member of the new protocol"
	check_rc 0 chronik group show native
	check_grep '^native  type consumer, state Stable, protocol uniform, mem' \
	    "$tmp/out" "show"
	check_eq "$(offsets native)" "a 0 - 5 -,a 1 - 3 -," "show"
	check_eq "$(chronik group ls --format tsv | cut -f 1,2 | tr '\t\n' ' ,')" \
	    "g classic,live classic,native consumer," "ls"
	check_rc 4 chronik group reset native --topic a --to 0 --execute
	exec 7>&-
	wait $!
	check_rc 0 chronik group reset native --topic a --to 1 --execute
	check_eq "$(offsets native)" "a 0 1 5 4,a 1 1 3 2," "reset"
	check_rc 0 chronik group rm native --yes
fi

# ---- rm ----------------------------------------------------------------------

check_rc 4 chronik group rm g </dev/null
check_grep 'refused: deletes all offsets of the groups' "$tmp/err" "no --yes"
check_rc 0 chronik group rm g --dry-run --format tsv
check_eq "$(cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,')" "g would be removed -," rm
broker_kill9
broker_start
check_eq "$(offsets g)" "a 0 5 5 0,a 1 3 3 0," "after a kill"
check_rc 1 chronik group rm g none --yes --format tsv
check_eq "$(cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,')" \
    "g removed -,none failed GROUP_ID_NOT_FOUND," "rm"
check_rc 0 chronik group rm g --yes --if-exists --format tsv
check_eq "$(cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,')" "g absent -," "if-exists"
broker_kill9
broker_start
check_rc 1 chronik group show g
odd=$(printf 'a\033[31m\tb')
check_rc 0 chronik group reset "$odd" --topic a --to 0 --execute
check_rc 0 chronik group ls
check_rc 0 chronik group show "$odd"
! grep -q "$(printf '\033')" "$tmp/out" || fail "control characters are shown"
broker_stop
