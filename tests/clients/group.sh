# SPDX-License-Identifier: Apache-2.0
#
# The course of a consumer group, the same for every client: two members share
# a topic, through a kill of the engine, one of a gateway, a restart of each of
# these, and one of a member.  Every record comes to one of them at least, each
# reads half of the partitions, one takes over what the other leaves, and what
# they have committed is not read again.
#
# A member is a process that the function driver_NAME replaces itself with, or
# starts, on the command
#
#	member	topic=T group=G out=FILE log=FILE [protocol=classic|consumer]
#
# It reads T in the group G from the earliest offset, appends every record's
# value as a line to out, commits what it has written at least once a second,
# and appends "assigned N" to log whenever it has been given its partitions, N
# in all.  SIGTERM makes it commit, leave the group and end with status 0.

# The values are the numbers from 1 on.
fed=0
courses=0

# feed N: so many more, one record a line, round the four partitions.
feed()
{
	for p in 0 1 2 3; do
		seq $((fed + 1 + p)) 4 $((fed + $1)) >"$work/part"
		kcat -b "$BOOTSTRAP" -q -X message.timeout.ms=60000 \
		    -P -t "$gtopic" -p $p -l "$work/part" 2>"$work/err" ||
		    fail "kcat: $(cat "$work/err")"
	done
	fed=$((fed + $1))
}

# member N: starts number N, its process in $member.
member()
{
	# shellcheck disable=SC2086
	drive_bg "$work/err$1" "$gdriver" member topic="$gtopic" \
	    group="$ggroup" out="$work/got$1" log="$work/log$1" $member_args
	member=$job
	: >>"$work/got$1"
	: >>"$work/log$1"
}

# leave PROCESS N: ends it in peace.
leave()
{
	kill "$1"
	wait "$1" || {
		tail -n 30 "$work/err$2"
		fail "member $2 does not end well"
	}
}

# holds N COUNT: what it was given last are so many partitions.
holds()
{
	[ "$(tail -n 1 "$work/log$1")" = "assigned $2" ]
}

has_all()
{
	cat "$work"/got* | sort -nu >"$work/all"
	seq 1 "$fed" | cmp -s - "$work/all"
}

await_all()
{
	wait_until has_all || {
		tail -n 20 "$work"/err[0-9]*
		fail "$1: $(wc -l <"$work/all") of $fed records came"
	}
}

await_holds()
{
	wait_until holds "$1" "$2" || {
		tail -n 20 "$work"/log[0-9]* "$work"/err[0-9]*
		fail "member $1 has not $2 partitions"
	}
}

# group_course DRIVER [argument of its members...]
group_course()
{
	gdriver=$1
	shift
	member_args="$*"
	courses=$((courses + 1))
	gtopic=$prefix-group$courses
	ggroup=$prefix-readers$courses
	fed=0
	rm -f "$work"/got* "$work"/log[0-9]* "$work"/err[0-9]*
	chronik topic create "$gtopic" --partitions 4 >/dev/null ||
	    fail "topic create"
	feed 1000
	member 1
	one=$member
	await_all "one member"
	await_holds 1 4
	member 2
	two=$member
	await_holds 1 2
	await_holds 2 2
	feed 1000
	await_all "two members"
	[ -s "$work/got2" ] || fail "the second has read nothing"
	for fault in engine_kill9 gateway_kill9 engine_restart \
	    gateway_restart; do
		$fault || fail "$fault"
		wait_ready || fail "not ready after $fault"
		feed 1000
		await_all "after $fault"
	done
	leave "$two" 2
	await_holds 1 4
	feed 1000
	await_all "one has left"
	member 3
	two=$member
	await_holds 1 2
	await_holds 3 2
	feed 1000
	await_all "one has come back"
	leave "$one" 1
	leave "$two" 3
	jobs_started=
	# What was read before would come first.
	before=$fed
	feed 100
	member 4
	await_all "a new one"
	leave "$member" 4
	jobs_started=
	seq $((before + 1)) "$fed" >"$work/want"
	sort -n "$work/got4" | cmp -s - "$work/want" || fail "read again:" \
	    "$(sort -n "$work/got4" | head -n 3 | tr '\n' ' ')..."
	say "$gdriver${member_args:+ $member_args}: $(cat "$work"/got* | wc -l) read of $fed in a group"
}
