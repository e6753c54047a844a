#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik topic: create, ls, show and delete, in every format, what is refused
# and with which status.
. "$(dirname "$0")/lib.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"

# ls: name and number of partitions of all topics, one line.
ls_()
{
	chronik topic ls --format tsv | cut -f 1,2 | tr '\t\n' ' ,'
}

# status: name, status and error of each item in $tmp/out (tsv).
status()
{
	cut -f 1,3,4 "$tmp/out" | tr '\t\n' ' ,'
}

broker_start --num-partitions 2
check_eq "$(ls_)" "" "no topics"
check_rc 0 chronik topic ls
check_eq "$(wc -l <"$tmp/out")" 1 "only titles"

# ---- create ------------------------------------------------------------------------

check_rc 0 chronik topic create orders --partitions 3 --format tsv
check_eq "$(status)" "orders created -," "create"
check_eq "$(cut -f 2 "$tmp/out" | tr -d '\n' | wc -c)" 22 "the id"
check_rc 0 chronik topic create users clicks --config segment.bytes=1048576 \
    --config max.message.bytes=1000 --format tsv
check_eq "$(status)" "users created -,clicks created -," "two at once"
check_eq "$(ls_)" "clicks 2,orders 3,users 2," "sorted, with partitions"

check_rc 1 chronik topic create orders other --format tsv
check_eq "$(status)" "orders failed TOPIC_EXISTS,other created -," \
    "one fails, one does not"
check_grep '^chronik topic create: orders: TOPIC_EXISTS: ' "$tmp/err" "error"
check_grep '^hint: --if-not-exists' "$tmp/err" "hint"
check_rc 0 chronik topic create orders --if-not-exists --format tsv
check_eq "$(status)" "orders exists -," --if-not-exists

# Nothing is changed by a dry run, but all is checked.
check_rc 0 chronik topic create dry --dry-run --format json
check_grep '"status": "would be created"' "$tmp/out" --dry-run
check_grep '"dry_run": true' "$tmp/out" --dry-run
check_rc 1 chronik topic create dry orders --dry-run --format tsv
check_eq "$(status)" "dry would be created -,orders failed TOPIC_EXISTS," \
    "--dry-run checks"
check_rc 1 chronik topic create dry --dry-run --config nonsense=1
check_eq "$(ls_)" "clicks 2,orders 3,other 2,users 2," "after dry runs"

refused()
{
	want=$1
	shift
	check_rc 1 chronik topic create "$@"
	check_grep "$want" "$tmp/err" "topic create $*"
}
refused ': .: INVALID_TOPIC: ' .
refused ': a/b: INVALID_TOPIC: ' a/b
refused 'INVALID_TOPIC' "$(printf '%0250d' 0)"
refused 'INVALID_TOPIC' ''
refused '^chronik topic create: a?b.*: INVALID_TOPIC' "$(printf 'a\nb\377\033')"
refused 'INVALID_PARTITIONS' x --partitions 2147483647
refused 'INVALID_CONFIG: .*nonsense' x --config nonsense=1
refused 'INVALID_CONFIG: .*segment.bytes' x --config segment.bytes=1
refused 'INVALID_CONFIG: .*segment.bytes' x --config segment.bytes=
refused 'INVALID_CONFIG: .*not supported yet' x --config local.retention.ms=1
check_rc 2 chronik topic create x --config nonsense
check_rc 2 chronik topic create x --partitions -1
check_eq "$(ls_)" "clicks 2,orders 3,other 2,users 2," "after refusals"

# ---- set ---------------------------------------------------------------------------

# shown TOPIC: the configs that are set, one line.
shown()
{
	chronik topic show "$1" | sed -n 's/^  //p' | tr -d ' ' | tr '\n' ' '
}
check_rc 0 chronik topic set orders other --config retention.ms=5000 \
    --config cleanup.policy=compact,delete --format tsv
check_eq "$(tr '\t\n' ' ,' <"$tmp/out")" "orders set - -,other set - -," set
check_eq "$(shown orders)" \
    "cleanup.policy=compact,delete retention.ms=5000 " "what was set"
check_rc 0 chronik topic set orders --unset retention.ms \
    --unset flush.ms --config flush.messages=7
check_eq "$(shown orders)" "cleanup.policy=compact,delete flush.messages=7 " \
    --unset
check_rc 0 chronik topic set orders --unset flush.messages --dry-run \
    --format json
check_grep '"status": "would be set"' "$tmp/out" --dry-run
check_rc 1 chronik topic set orders nonsense --config retention.ms=6000 \
    --format tsv
check_eq "$(cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,')" \
    "orders set -,nonsense failed UNKNOWN_TOPIC," "one fails, one does not"
check_rc 1 chronik topic set orders --config retention.ms=7000 \
    --config nonsense=1
check_grep 'orders: INVALID_CONFIG: Unknown topic config' "$tmp/err" set
check_rc 2 chronik topic set orders
check_rc 2 chronik topic set orders --config nonsense
check_eq "$(shown orders)" \
    "cleanup.policy=compact,delete flush.messages=7 retention.ms=6000 " \
    "after refusals"
check_rc 0 chronik topic set orders other --unset cleanup.policy \
    --unset flush.messages --unset retention.ms
check_eq "$(shown orders)" "" "all is taken back"

# ---- show --------------------------------------------------------------------------

check_rc 0 chronik topic show users
check_grep '^users  id ' "$tmp/out" show
check_grep '^  segment.bytes = 1048576$' "$tmp/out" "show: what was set"
! grep -q 'preallocate' "$tmp/out" || fail "show: what was not set"
check_rc 0 chronik topic show orders --format tsv
check_eq "$(cut -f 1,2,4,5,6,10 "$tmp/out" | tr '\t\n' ' ,')" \
    "orders 0 0 0 0 -,orders 1 0 0 0 -,orders 2 0 0 0 -," "show tsv"
check_rc 0 chronik topic show users clicks --format jsonl
check_eq "$(wc -l <"$tmp/out")" 2 "lines of jsonl"
check_grep '"max.message.bytes":{"value":"1000","set":true}' "$tmp/out" jsonl
check_grep '"preallocate":{"value":"false","set":false}' "$tmp/out" jsonl
check_rc 1 chronik topic show nonsense users --format json
check_grep '"error": "UNKNOWN_TOPIC"' "$tmp/out" "show of no topic"
check_grep '"name": "users"' "$tmp/out" "show goes on"
check_grep '^chronik topic show: nonsense: UNKNOWN_TOPIC: ' "$tmp/err" show

# The JSON is JSON.
if command -v python3 >/dev/null; then
	for command in "topic ls" "topic show users orders" "cluster status"; do
		chronik $command --format json | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["schema"] == "chronik." + sys.argv[1] + "/1", d["schema"]
assert len(d["items"]) >= 1
' "$(echo $command | cut -d ' ' -f 1,2 | tr ' ' .)" ||
		    fail "$command --format json"
	done
fi

# Records count.
if command -v kcat >/dev/null; then
	printf 'a\nb\nc\n' | kcat -P -b "$BOOTSTRAP" -t orders -p 1 ||
	    fail "kcat -P"
	check_eq "$(chronik topic show orders --format tsv | cut -f 2,4-6 |
	    tr '\t\n' ' ,')" "0 0 0 0,1 0 3 3,2 0 0 0," "offsets"
	check_eq "$(chronik topic ls --format tsv | sed -n '/^orders/p' |
	    cut -f 4)" 3 "offsets of a topic"
fi

# ---- all of it stays through a kill ----------------------------------------------------

before=$(chronik topic ls --format json && chronik topic show users \
    --format json)
engine_kill9
wait_ready || fail "not ready after engine_kill9"
after=$(chronik topic ls --format json && chronik topic show users \
    --format json)
strip='s/"leader_epoch": [0-9]*//'
check_eq "$(sed "$strip" <<<"$after")" "$(sed "$strip" <<<"$before")" \
    "topics after a kill"

# ---- alter, trim ------------------------------------------------------------------

check_rc 2 chronik topic alter users
check_rc 1 chronik topic alter users nonsense --partitions 2 --format tsv
check_eq "$(cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,')" \
    "users failed INVALID_PARTITIONS,nonsense failed UNKNOWN_TOPIC," "no more"
check_rc 0 chronik topic alter users --partitions 4 --dry-run --format tsv
check_eq "$(cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,')" \
    "users would be altered -," "alter --dry-run"
check_grep '^clicks 2,.*users 2,$' <(ls_) "nothing is altered"
check_rc 0 chronik topic alter users --partitions 4 --format tsv
check_eq "$(cut -f 1-3 "$tmp/out" | tr '\t\n' ' ,')" "users altered -," "alter"
check_grep '^clicks 2,.*users 4,$' <(ls_) "altered"

check_rc 4 chronik topic trim users </dev/null
check_grep '^hint: --yes' "$tmp/err" "trim is not confirmed"
check_rc 0 chronik topic trim users --dry-run --format tsv
check_eq "$(cut -f 1-5 "$tmp/out" | tr '\t\n' ' ,' | cut -d, -f 1,2)" \
    "users 0 0 would be trimmed -,users 1 0 would be trimmed -" \
    "trim --dry-run"
check_rc 0 chronik topic trim users --partition 3 --yes --format tsv
check_eq "$(cut -f 1-5 "$tmp/out" | tr '\t\n' ' ,')" "users 3 0 trimmed -," \
    "trim"
check_rc 1 chronik topic trim users --partition 3 --before 1 --yes \
    --format tsv
check_eq "$(cut -f 1-5 "$tmp/out" | tr '\t\n' ' ,')" \
    "users 3 - failed OFFSET_OUT_OF_RANGE," "trim beyond the end"
check_rc 1 chronik topic trim users --partition 4 --yes
check_rc 1 chronik topic trim nonsense --yes
check_rc 2 chronik topic trim users --before x --yes

# ---- delete ---------------------------------------------------------------------------

check_rc 4 chronik topic delete orders </dev/null
check_grep '^hint: --yes' "$tmp/err" "delete is not confirmed"
check_rc 0 chronik topic delete orders --dry-run --format tsv
check_eq "$(status)" "orders would be deleted -," "delete --dry-run"
check_rc 1 chronik topic delete nonsense --dry-run
check_eq "$(ls_)" "clicks 2,orders 3,other 2,users 4," "nothing is deleted"
check_rc 0 chronik topic delete orders --yes --format tsv
check_eq "$(status)" "orders deleted -," "delete"
check_rc 1 chronik topic delete orders users --yes --format tsv
check_eq "$(status)" "orders failed UNKNOWN_TOPIC,users deleted -," \
    "one is gone, one goes"
check_rc 0 chronik topic delete orders --if-exists --yes --format tsv
check_eq "$(status)" "orders absent -," --if-exists
check_eq "$(ls_)" "clicks 2,other 2," "after delete"

# On a terminal the name is typed.
if command -v script >/dev/null; then
	export CHRONIK_BUILD ENGINE
	ask="CHRONIK_ENGINE=$ENGINE $CHRONIK_BUILD/chronik topic delete other"
	rc=0
	echo nonsense | script -qec "$ask" /dev/null >"$tmp/out" || rc=$?
	check_eq $rc 4 "another name is typed"
	check_eq "$(ls_)" "clicks 2,other 2," "after another name"
	echo other | script -qec "$ask" /dev/null >"$tmp/out" ||
	    fail "the name is typed: $(cat "$tmp/out")"
	check_eq "$(ls_)" "clicks 2," "after the name"
fi

# A topic of the same name is another one.
id=$(chronik topic ls --format tsv | cut -f 6)
chronik topic delete clicks --yes >/dev/null || fail delete
chronik topic create clicks >/dev/null || fail "create again"
[ "$(chronik topic ls --format tsv | cut -f 6)" != "$id" ] ||
    fail "a new topic has the old id"

broker_stop
broker_start --delete-topic-enable false
check_rc 1 chronik topic delete clicks --yes
check_grep 'TOPIC_DELETION_DISABLED' "$tmp/err" "deletion is disabled"
