#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik dump: every file of a data directory prints, in words and as JSON,
# and damage is named.
. "$(dirname "$0")/lib.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
command -v kcat >/dev/null || skip "kcat is not installed"

broker_start
chronik topic create t --config segment.bytes=1048576 >/dev/null ||
    fail "topic create"
printf 'k1:hello\nk2:world\n' | kcat -P -b "$BOOTSTRAP" -t t -p 0 -K: \
    -H h=1 || fail "kcat -P"
seq -f 'the record %g of many that are much alike' 1000 | kcat -P -b "$BOOTSTRAP" -t t -p 0 -z zstd \
    -X enable.idempotence=true || fail "kcat -P, idempotent"

# A file that grows, while it grows.
log=$(echo "$DATA"/topics/*/0/*.log)
check_rc 0 chronik dump "$log"
check_grep '^record offset=0 .*key="k1" value="hello" headers=\["h":"1"\]$' \
    "$tmp/out" "a record"
check_eq "$(grep -c '^record ' "$tmp/out")" 1002 "records"
check_grep '^batch .*codec="zstd"' "$tmp/out" "the codec"
broker_stop

find "$DATA" -type f ! -name LOCK | sort >"$tmp/files"
for kind in '\.log' '\.idx' '\.prod' '/clean' '/meta/.*\.log'; do
	grep -q "$kind\$" "$tmp/files" || fail "there is no $kind"
done
while read -r f; do
	check_rc 0 chronik dump "$f"
	[ -s "$tmp/out" ] || fail "$f prints nothing"
	n=$(wc -l <"$tmp/out")
	check_rc 0 chronik dump --json "$f"
	check_eq "$(wc -l <"$tmp/out")" "$n" "lines of JSON of $f"
	command -v python3 >/dev/null || continue
	python3 -c '
import json, sys
for line in open(sys.argv[1]): json.loads(line)["type"]' "$tmp/out" ||
	    fail "the JSON of $f"
done <"$tmp/files"

check_rc 0 chronik dump "$DATA"/meta/*.log
check_grep 'meta_topic{name="t" parts=1 .*segment.bytes' "$tmp/out" \
    "the catalogue"
check_rc 0 chronik dump "$DATA"/topics/*/0/*.prod
check_grep '^producer id=' "$tmp/out" "a producer"

# Several files at once, in their order.
check_rc 0 chronik dump "$DATA/clean" "$log"
check_eq "$(sed -n 's/^\(clean\|told\|segment\|batch\) .*/\1/p' "$tmp/out" |
    uniq | tr '\n' ' ')" "clean told segment batch " "two files"

# ---- damage --------------------------------------------------------------------

cp "$log" "$tmp/bad.log"
printf x | dd of="$tmp/bad.log" bs=1 seek=70 conv=notrunc 2>/dev/null
check_rc 1 chronik dump "$tmp/bad.log"
check_grep 'position=0 .*crc_ok=false' "$tmp/out" "a wrong byte"
check_grep '^damage position=0 ' "$tmp/out" "where the damage is"
check_grep '^record offset=1001 ' "$tmp/out" "the rest prints"
check_grep "^chronik dump: $tmp/bad.log: CORRUPT: " "$tmp/err" "the error"

size=$(stat -c %s "$log")
for cut in 1 30 $((size / 2)); do
	head -c $((size - cut)) "$log" >"$tmp/bad.log"
	check_rc 1 chronik dump "$tmp/bad.log"
	check_grep '^damage ' "$tmp/out" "cut by $cut bytes"
done
for f in "$DATA"/topics/*/0/*.idx "$DATA"/topics/*/0/*.prod "$DATA/clean"; do
	bad=$tmp/bad-$(basename "$f")
	cp "$f" "$bad" || fail "cp"
	printf '\377' | dd of="$bad" bs=1 seek=12 conv=notrunc 2>/dev/null
	check_rc 1 chronik dump "$bad"
	check_grep '^damage ' "$tmp/out" "damage in $bad"
done

# ---- no files of ours ------------------------------------------------------------

echo hello >"$tmp/other"
check_rc 1 chronik dump "$tmp/other" "$tmp/absent" "$DATA/clean"
check_grep "^chronik dump: $tmp/other: USAGE: " "$tmp/err" "a foreign file"
check_grep "^chronik dump: $tmp/absent: NOTFOUND: " "$tmp/err" "no file"
check_grep '^clean ' "$tmp/out" "the others are printed"

# ---- directories -----------------------------------------------------------------

check_rc 0 chronik dump "$DATA"
check_eq "$(grep -c '^file ' "$tmp/out")" "$(find "$DATA" -type f | wc -l)" \
    "every file but the socket"
check_grep '^lock$' "$tmp/out" "the lock"
check_rc 0 chronik dump --json "$(dirname "$log")"
check_grep '^{"type":"file","path":".*\.prod","bytes":' "$tmp/out" "a file"
echo hello >"$(dirname "$log")/other"
cp "$tmp/bad.log" "$(dirname "$log")/00000000000000000000.log.1.deleted"
check_rc 1 chronik dump "$(dirname "$log")"
check_grep '^foreign$' "$tmp/out" "a file of nobody"
check_grep '^damage ' "$tmp/out" "a deleted segment that is damaged"
