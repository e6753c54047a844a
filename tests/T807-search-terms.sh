#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Terms that stand for several things: the shapes of records, of which a shard
# numbers some only, long numbers, whose last digits the index leaves out, and
# keys that are one word; what has no words, true, false and null; and the parts
# of addresses, of which some are pairs.
# What is found by them is what reading all records finds.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/search.sh"

# agrees N QUERY...: so many with the index, and without.
agrees()
{
	agree_n=$1
	shift
	check_eq "$(search -c "$@")" "$agree_n" "found by the index: $*"
	check_eq "$(search -c --scan "$@")" "$agree_n" "read: $*"
}

# Each record has a member of its own, more than a shard has numbers for; and
# some that have none at all, or are no JSON.
members()
{
	awk 'BEGIN { for (i = 0; i < 300; i++) printf "{\"all\":1,\"own%d\":" \
	    "{\"in\":%d},\"list\":[{\"a\":1},{\"a\":2}]}\n", i, i }'
	printf '%s\n' '{}' '[]' '[1,2]' '[[3]]' 'all own7'
}

# Times in ms, 7 ms apart, and in ns; numbers that are shorter, words that
# begin so.
times()
{
	awk 'BEGIN { for (i = 0; i < 500; i++)
		printf "{\"ts\":%.0f,\"ns\":\"1795392664928%06d\"}\n",
		    1795392664928 + 7 * i, i }'
	printf '{"ts":%s}\n' 17953926649 179539266492 '"1795392664928x"' \
	    1795392664
}

literals()
{
	awk 'BEGIN { for (i = 0; i < 90; i++) printf "{\"lit\":%s}\n",
	    i % 3 == 0 ? "true" : i % 3 == 1 ? "false" : "null" }'
	printf '%s\n' '{"lit":"nulls"}' '{"lit":["null here",null,true]}'
}

keys()
{
	printf '%s\t%s\n' solo7 '{"in":"solo7"}' solo7 other Solo7 x \
	    solo_8 x 'two solo9' x 1795392664999 x deadbeef12345678ab x \
	    '' 'solo7 solo_8 here' none '["10.20.30.4","10.2.30.40"]' \
	    none '{"ip":"10.20.30.40","mac":"a4:5e:60","is":"10 20 30"}'
}

broker_start
for t in "" --config=search.stem=en --config=search.ids=false \
    --config=search.positions=true; do
	name=k$(printf %s "$t" | tr -dc a-z)
	chronik topic create --config search.enable=true ${t/=/ } "$name" \
	    >/dev/null || fail "topic create"
	keys | kcat -b "$BOOTSTRAP" -P -t "$name" -K '	' -Z
done
for t in "" --config=search.stem=en --config=search.ids=false \
    --config=search.fields.text=ns,lit; do
	name=t$(printf %s "$t" | tr -dc a-z)
	chronik topic create --config search.enable=true ${t/=/ } "$name" \
	    >/dev/null || fail "topic create"
	{ members; times; literals; } | kcat -b "$BOOTSTRAP" -P -t "$name"
done
index_whole

for t in t tconfigsearchstemen tconfigsearchidsfalse \
    tconfigsearchfieldstextnslit; do
	agrees 300 -t $t has:all
	agrees 300 -t $t has:list.a
	agrees 1 -t $t has:own7
	agrees 1 -t $t has:own299.in
	agrees 1 -t $t .own250.in:250
	agrees 1 -t $t .own3.in:3
	agrees 2 -t $t .own250.in:250 OR .own3.in:3
	agrees 900 -t $t is:json
	agrees 1 -t $t NOT is:json
	agrees 600 -t $t is:json -has:all
	agrees 504 -t $t has:ts
	agrees 1 -t $t own7
	agrees 0 -t $t has:own
	agrees 1 -t $t .own7.in:'>=7'

	agrees 32 -t $t ".lit:nul*"
	agrees 31 -t $t ".lit:t*"
	agrees 31 -t $t .lit:true
	agrees 31 -t $t .lit:=null
	agrees 30 -t $t ".lit:fa* has:lit"
	agrees 61 -t $t has:lit -.lit:true
	agrees 2 -t $t "nul*"
	agrees 0 -t $t true

	# ts and ns begin alike.
	agrees 1 -t $t .ts:1795392664928
	agrees 1 -t $t 1795392664935
	agrees 0 -t $t 1795392664936
	agrees 1 -t $t 1795392664928000007
	agrees 504 -t $t '1795392664*'
	agrees 503 -t $t '17953926649*'
	agrees 502 -t $t '179539266492*'
	agrees 501 -t $t '1795392664928*'
	agrees 500 -t $t '17953926649280*'
	agrees 100 -t $t '17953926649280000*'
	agrees 10 -t $t '179539266492800001*'
	agrees 143 -t $t '.ts:1795392665*'
	agrees 1 -t $t '/2664928x/'
	agrees 50 -t $t '/28000[0-9]{2}7/' .ns:'1795392664928*' 'NOT ts'
	agrees 1 -t $t '"1795392664928000499"'
	agrees 1 -t $t .ns:1795392664928000007
done

for t in k kconfigsearchstemen kconfigsearchidsfalse \
    kconfigsearchpositionstrue; do
	agrees 4 -t $t solo7
	agrees 2 -t $t key:solo7
	agrees 1 -t $t key:Solo7
	agrees 0 -t $t key:solo9
	agrees 3 -t $t 'key:solo*'
	agrees 4 -t $t 'key:so*' OR 'key:So*'
	agrees 6 -t $t 'solo*'
	agrees 2 -t $t solo_8
	agrees 1 -t $t solo7 solo_8
	agrees 1 -t $t '"solo7 solo_8"'
	agrees 4 -t $t '"solo7"'
	agrees 5 -t $t '/solo[0-9]/i'
	agrees 1 -t $t .in:solo7
	agrees 1 -t $t 'key:"two solo9"'
	agrees 6 -t $t NOT solo7
	agrees 8 -t $t NOT key:solo7
	agrees 1 -t $t 1795392664999
	agrees 1 -t $t key:1795392664999
	agrees 1 -t $t 'key:17953926*'
	agrees 1 -t $t deadbeef12345678ab
	agrees 1 -t $t key:deadbeef12345678ab
	agrees 1 -t $t 'deadbeef12*'
	check_eq "$(search -n 9 --sort relevance -t $t solo7 | wc -l)" 4 \
	    "by relevance"

	agrees 1 -t $t 10.20.30.4
	agrees 2 -t $t 10.20.30
	agrees 2 -t $t 20.30
	agrees 1 -t $t 10.2.30
	agrees 2 -t $t 30.40
	agrees 1 -t $t .ip:10.20.30.40
	agrees 1 -t $t '.ip:10.20.*'
	agrees 1 -t $t .mac:a4:5e:60
	agrees 1 -t $t '.mac:a4:5e*'
	agrees 1 -t $t '"10 20 30"' '.is:"10 20 30"'
done

# Relevance has many shards in one question.
check_eq "$(search -n 5 --sort relevance -t t 'has:own7 list' 2>/dev/null |
    wc -l)" 0 "no word"
check_eq "$(search -n 500 --sort relevance -t t '1 has:all' | wc -l)" 300 \
    "by relevance"
check_eq "$(search -n 5 --sort relevance -t t '1 has:own7' | wc -l)" 1 \
    "by relevance"

# A name that nobody has is told, and one like it.
search -t t 'lisst.a:1' >"$tmp/out" 2>&1
check_grep 'list' "$tmp/out" "a name like it"

# Times that make no sense: such a shard is made anew when it is to grow.
for shard in "$DATA"/search/*/0/*.hot; do
	"$CHRONIK_BUILD/tests/check_times" "$shard" || fail "damage"
done
check_rc 1 search verify
for t in t k; do
	echo more | kcat -b "$BOOTSTRAP" -P -t $t
done
wait_until indexed || fail "not made anew: $(search status)"
check_eq "$(search -c -t k more)" 1 "in the shard that was made anew"
check_rc 0 search verify t k
