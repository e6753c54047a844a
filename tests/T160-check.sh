#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik check: a data directory is clean, damage is found and named, a repair
# loses nothing and is not needed twice.
. "$(dirname "$0")/lib.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
command -v kcat >/dev/null || skip "kcat is not installed"

broker_start
chronik topic create t --partitions 2 --config segment.bytes=1048576 \
    >/dev/null || fail "topic create"
head -c 3000000 /dev/urandom | base64 -w 1000 >"$tmp/lines"
kcat -P -b "$BOOTSTRAP" -t t -p 0 -X enable.idempotence=true \
    <"$tmp/lines" || fail "kcat -P"
kcat -P -b "$BOOTSTRAP" -t t -p 1 -z lz4 <"$tmp/lines" || fail "kcat -P"

# Not while an engine holds it, and nothing is changed by being asked.
check_rc 8 chronik check "$DATA"
check_grep 'in use by an engine' "$tmp/err" "the engine has it"
check_rc 8 chronik check "$(echo "$DATA"/topics/*/0)"
broker_stop

part=$(echo "$DATA"/topics/*/0)
[ "$(ls "$part"/*.log | wc -l)" -ge 4 ] || fail "there are no segments"
check_rc 0 chronik check --deep "$DATA"
check_grep ': clean$' "$tmp/err" "it is clean"
check_rc 0 chronik check --deep "$part"
check_rc 0 chronik check "$part"/*
check_rc 0 chronik check --repair "$DATA"
check_rc 0 chronik check --format json "$DATA"
check_grep '"schema": "chronik.check/1"' "$tmp/out" "JSON"

# flip FILE POSITION: another byte there.
flip()
{
	printf "\\x$(printf %02x $((0x$(od -An -tx1 -j "$2" -N 1 "$1" |
	    tr -d ' ') ^ 0x21)))" |
	    dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

cp -r "$DATA" "$tmp/whole"
second=$(ls "$part"/*.log | sed -n 2p)

# ---- what a repair puts right ----------------------------------------------

flip "${second%.log}.idx" 70
flip "$(ls "$part"/*.prod | tail -n 1)" 50
flip "$DATA/clean" 4
rm "$(echo "$DATA"/topics/*/1/00000000000000000000.idx)"
last=$(ls "$part"/*.log | tail -n 1)
head -c 100 /dev/urandom >>"$last"
check_rc 4 chronik check "$DATA"
check_rc 4 chronik check --repair --dry-run "$DATA"
check_rc 4 chronik check --format jsonl "$DATA"
for what in index producers marker tail; do
	grep '"state":"fixable"' "$tmp/out" | grep -q "\"what\":\"$what\"" ||
	    fail "no $what in $(cat "$tmp/out")"
done
check_grep '"position":64,' "$tmp/out" "where the index is damaged"
check_rc 1 chronik check --repair "$DATA"
check_rc 0 chronik check --repair "$DATA"
check_rc 0 chronik check --deep "$DATA"
for f in "$tmp"/whole/topics/*/*/*.log "$tmp"/whole/topics/*/*/*.idx; do
	cmp "$f" "$DATA/${f#"$tmp/whole/"}" || fail "$f was changed"
done
[ "$(cat "$DATA"/lost+found/* | wc -c)" -gt 100 ] ||
    fail "what was cut off is not in lost+found"

# ---- what costs records is told, and left ------------------------------------

flip "$second" 300000
check_rc 4 chronik check --repair "$DATA"
check_grep "^bad .*batch .*$second .*wrong CRC" "$tmp/out" "the batch"
check_rc 4 chronik check "$second"
flip "$second" 300000
check_rc 0 chronik check "$DATA"

mv "$second" "$tmp/second"
check_rc 4 chronik check --repair "$DATA"
check_grep '^bad .*chain ' "$tmp/out" "a missing segment"
mv "$tmp/second" "$second"

third=$(ls "$part"/*.log | sed -n 3p)
mv "$second" "$tmp/second"
mv "$third" "$second"
mv "$tmp/second" "$third"
check_rc 4 chronik check --repair "$DATA"
mv "$second" "$tmp/second"
mv "$third" "$second"
mv "$tmp/second" "$third"
check_rc 0 chronik check "$DATA"

mv "$DATA/topics" "$tmp/topics"
check_rc 4 chronik check "$DATA"
check_grep 'partition 0 of topic t is missing' "$tmp/out" "no topics"
mkdir -p "$DATA/topics/00000000000000000000000000000001/0"
cp "$(echo "$tmp"/topics/*/1/00000000000000000000.log)" \
    "$DATA/topics/00000000000000000000000000000001/0/"
check_rc 4 chronik check --repair "$DATA"
check_grep 'a directory of no topic, but it holds records' "$tmp/out" \
    "an orphan"
[ -s "$DATA"/topics/00000000000000000000000000000001/0/*.log ] ||
    fail "the orphan was touched"
rm -r "$DATA/topics"
mv "$tmp/topics" "$DATA/topics"

flip "$(ls "$DATA"/meta/*.log | tail -n 1)" 200
check_rc 4 chronik check --repair "$DATA"
check_grep 'meta/.*\.log' "$tmp/out" "the catalogue"
flip "$(ls "$DATA"/meta/*.log | tail -n 1)" 200
check_rc 0 chronik check "$DATA"

# ---- wrong usage ----------------------------------------------------------------

check_rc 16 chronik check
check_rc 16 chronik check --unknown "$DATA"
check_rc 8 chronik check "$tmp/absent"
mkdir "$tmp/empty"
check_rc 8 chronik check "$tmp/empty"

# And an engine takes it as it is now.
broker_start
check_eq "$(kcat -C -b "$BOOTSTRAP" -t t -p 0 -e -q | cmp - "$tmp/lines" &&
    echo same)" same "the records"

# ---- the journal ---------------------------------------------------------------

# What only the journal holds by now is not cut off, but put in its place.
chronik topic create j --partitions 40 >/dev/null || fail "topic create"
for n in 1 2 3; do
	seq 400 | kcat -P -b "$BOOTSTRAP" -t j || fail "kcat -P"
done
engine_holds()
{
	chronik dump "$DATA"/journal/*.jnl 2>/dev/null | grep -q '^piece '
}
if engine_holds; then
	broker_kill9
	piece=$(chronik dump "$DATA"/journal/*.jnl | grep '^piece ' |
	    tail -n 1)
	dir=$DATA/topics/$(lib_word topic "$piece")/$(lib_word part \
	    "$piece")
	log=$(ls "$dir"/*.log | tail -n 1)
	cp "$log" "$tmp/log"
	truncate -s -5 "$log"
	for dir in "$DATA" "$dir//"; do
		check_rc 0 chronik check "$dir"
		check_grep "^note .*journal .*$log .* the journal has them" \
		    "$tmp/out" "the journal is told"
	done
	! cmp -s "$log" "$tmp/log" || fail "a look wrote"
	check_rc 0 chronik check --repair "$DATA"
	cmp "$log" "$tmp/log" || fail "the journal's bytes are lost"
	broker_start
fi

# ---- kill -9 -------------------------------------------------------------------

# Whatever it leaves is no damage, and a repair loses nothing of it.
bytes()
{
	cat "$DATA"/topics/*/*/*.log | wc -c
}
grown()
{
	[ "$(bytes)" -gt "$1" ]
}
records()
{
	kcat -C -b "$BOOTSTRAP" -t j -e -q | sort | md5sum
}
for n in 1 2 3; do
	yes "a record of run $n" | timeout 60 kcat -P -b "$BOOTSTRAP" -t j \
	    -X linger.ms=1 -X batch.num.messages=20 2>/dev/null &
	load=$!
	wait_until grown $(($(bytes) + 200000)) || fail "no load"
	broker_kill9
	kill $load 2>/dev/null
	wait $load 2>/dev/null
	sums=$(cd "$DATA" && find . -type f -exec md5sum {} + | sort)
	check_rc 0 chronik check --deep "$DATA"
	check_eq "$(cd "$DATA" && find . -type f -exec md5sum {} + | sort)" \
	    "$sums" "files after a look"
	cp -r "$DATA" "$tmp/copy"
	chronik check --repair "$tmp/copy" >"$tmp/out" || [ $? = 1 ] ||
	    fail "repair after kill -9: $(cat "$tmp/out")"
	check_rc 0 chronik check "$tmp/copy"
	broker_start
	[ "$n" = 3 ] || rm -r "$tmp/copy"
done
want=$(records)
broker_stop
broker_start --data-dir "$tmp/copy"
check_eq "$(records)" "$want" "the records after a repair"
broker_stop
