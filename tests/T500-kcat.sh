#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kcat as people use it: topics that come to be by being written to, text and
# files, keys, headers, nulls, every codec, reading from the start, from an
# offset and from a timestamp, and all of it through restarts and kills.  It
# sets no timestamps of its own, so they are compared with those it reported.

. "$(dirname "$0")/clients/suite.sh"

need kcat awk cmp

kc()
{
	kcat -b "$BOOTSTRAP" -q "$@" 2>"$work/err" || {
		cat "$work/err"
		fail "kcat $*"
	}
}

# lines FIRST LAST: one record a line, key, tab, value.  With -Z the empty
# ones are null.
lines()
{
	awk -v first="$1" -v last="$2" 'BEGIN {
		srand(first)
		for (i = first; i <= last; i++) {
			v = sprintf("%d:", i)
			n = i % 2500 == 77 ? 6000 : i % 100 == 50 ? 600 : i % 60
			for (j = 0; j < n; j++)
				v = v sprintf("%08x%08x", rand() * 1e9, j)
			if (i % 13 == 0)
				v = ""
			k = i % 11 ? "key " i : ""
			printf "%s\t%s\n", k, v
		}
	}'
}

# expect NULL: the lines as consume() prints them, with the length for empty
# keys and values.
expect()
{
	awk -F '\t' -v null="$1" '{
		printf "%d %d a=1,b=,c=%s %s\t%s\n",
		    $1 == "" ? null : length($1), $2 == "" ? null : length($2),
		    "NULL", $1, $2
	}'
}

# consume TOPIC [kcat options]
consume()
{
	t=$1
	shift
	kc -C -t "$t" -p 0 -e -X fetch.wait.max.ms=10 -f '%K %S %h %k\t%s\n' "$@"
}

produce()
{
	kc -P -t "$topic" -p 0 -z "$codec" -K '\t' -H a=1 -H b= -H c "$@"
}

one_codec()
{
	codec=$1
	topic=$prefix-$codec
	before=$(date +%s)000
	head -n 4000 "$work/lines" >"$work/some"
	produce -l "$work/some"
	tail -n +4001 "$work/lines" >"$work/some"
	produce -Z -X enable.idempotence=true -l "$work/some"
	after=$(($(date +%s) + 1))000

	{
		head -n 4000 "$work/lines" | expect 0
		tail -n +4001 "$work/lines" | expect -1
	} >"$work/want"
	consume "$topic" -o beginning >"$work/got"
	cmp "$work/want" "$work/got" || fail "$codec: other records came back"
	consume "$topic" -o 9000 >"$work/got"
	tail -n +9001 "$work/want" | cmp - "$work/got" ||
	    fail "$codec: other records from offset 9000"
	consume "$topic" -o -10 >"$work/got"
	tail -n 10 "$work/want" | cmp - "$work/got" ||
	    fail "$codec: other records from 10 before the end"

	kc -C -t "$topic" -p 0 -e -o beginning -f '%o %T\n' >"$work/stamps"
	awk -v lo="$before" -v hi="$after" '$2 < lo || $2 > hi ||
	    $1 != NR - 1 { print; bad = 1 } END { exit bad }' \
	    "$work/stamps" || fail "$codec: wrong offsets or timestamps"
	for row in 1 2500 4001 7000 10000; do
		stamp=$(awk -v row=$row 'NR == row { print $2 }' \
		    "$work/stamps")
		first=$(awk -v stamp="$stamp" '$2 >= stamp {
		    print $1; exit }' "$work/stamps")
		kc -Q -t "$topic:0:$stamp" >"$work/got"
		[ "$(cat "$work/got")" = "$topic [0] offset $first" ] ||
		    fail "$codec: timestamp $stamp is offset $first, kcat" \
		    "-Q says $(cat "$work/got")"
		consume "$topic" -o "s@$stamp" >"$work/got"
		tail -n +$((first + 1)) "$work/want" | cmp - "$work/got" ||
		    fail "$codec: other records from timestamp $stamp"
	done
}

# Whole files, the programs of this machine, as one message each.
files()
{
	topic=$prefix-files
	for codec in none gzip snappy lz4 zstd; do
		for size in 1 1000 102400; do
			head -c $size "$(command -v kcat)" >"$work/$size"
		done
		kc -P -t "$topic" -p 0 -z $codec "$work/1" "$work/1000" \
		    "$work/102400"
		cat "$work/1" "$work/1000" "$work/102400" >>"$work/want-files"
	done
	kc -C -t "$topic" -p 0 -e -o beginning -f '%s' >"$work/got"
	cmp "$work/want-files" "$work/got" || fail "other files came back"
}

# Lines go out until the file `until` is there; what was sent stands in
# `sent` after the first line, which made the topic.
generate()
{
	at=1
	while [ ! -e "$work/until" ] && [ $at -lt 1000000 ]; do
		lines $((at + 1)) $((at + 200))
		at=$((at + 200))
		sleep 0.05
	done | tee -a "$work/sent"
}

acked()
{
	wc -l <"$work/got"
}

through_faults()
{
	topic=$prefix-faults
	lines 1 1 >"$work/sent"
	kc -P -t "$topic" -p 0 -K '\t' -l "$work/sent"
	: >"$work/got"
	(generate | exec kcat -b "$BOOTSTRAP" -E -q -P -t "$topic" -p 0 \
	    -z lz4 -K '\t' -X enable.idempotence=true) \
	    >"$work/load.log" 2>&1 &
	load=$!
	(exec kcat -b "$BOOTSTRAP" -E -q -u -C -t "$topic" -p 0 \
	    -o beginning -f '%k\t%s\n') >"$work/got" 2>"$work/follow.log" &
	follow=$!
	jobs_started="$load $follow"
	all_faults
	: >"$work/until"
	join "$load" "$work/load.log" "the producer under faults"
	tries=0
	until [ "$(wc -l <"$work/got")" -ge "$(wc -l <"$work/sent")" ]; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || fail "the consumer has not got all"
		sleep 0.1
	done
	cmp "$work/sent" "$work/got" ||
	    fail "the consumer under faults got other records"
	kill "$follow"
	kc -C -t "$topic" -p 0 -e -o beginning -f '%k\t%s\n' >"$work/got"
	cmp "$work/sent" "$work/got" || fail "other records after the faults"
	say "under load: $(acked) records, each once and in order"
}

broker_start || fail "the broker does not start"
lines 1 10000 >"$work/lines"
for codec in none gzip snappy lz4 zstd; do
	one_codec $codec
	say "produced and verified: $codec"
done
files
if [ -n "${CHRONIK_FAULTS:-}" ]; then
	through_faults
	codec=zstd
	consume "$prefix-$codec" -o beginning >"$work/got"
	cmp "$work/want" "$work/got" || fail "$codec: other records after all"
fi
