#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the examples of the man pages.  A literal block is one when the comment
# `.\" test' stands just before its .Bd line.  There a line that starts with
# "$ " is run, and the lines up to the next one are what it must print; "..."
# stands for any text, of many lines too.  A command whose line ends in a
# backslash goes on with the next line; one that ends in & stays in the
# background until the block ends, and what it prints is waited for.
#
# All blocks of a page share a directory, in which ./data belongs to a broker.
# After `.\" test alone' no broker runs, and the examples start their own.
# localhost:9092 and 127.0.0.1:9092 are that broker, wherever it listens.
. "$(dirname "$0")/lib.sh"

command -v kcat >/dev/null || skip "kcat is not installed"
[ -z "${CHRONIK_BOOTSTRAP-}" ] || skip "the broker is not of this test"
PATH=$(cd "$CHRONIK_BUILD" && pwd):$PATH
export PATH
count=0
background=	# processes that the block has started

# After a failure too.
suite_cleanup()
{
	[ -z "$background" ] || kill $background 2>/dev/null
}

# The blocks of a page: a line "broker" or "alone", the text, "end".
blocks()
{
	awk '
	/^\.\\" test( alone)?$/ { mark = $3 == "" ? "broker" : "alone"; next }
	/^\.Bd -literal/ && mark != "" { print mark; on = 1; next }
	/^\.Ed/ && on { print "end"; on = 0 }
	on { gsub(/\\&/, ""); gsub(/\\-/, "-"); gsub(/\\\(aq/, "\047")
		gsub(/\\e/, "\\"); print "|" $0 }
	{ mark = "" }' "$1"
}

# A port that nobody has now, for brokers that examples start.
free_port()
{
	local p

	for p in $(shuf -i 20000-29999 -n 50); do
		(: <>"/dev/tcp/127.0.0.1/$p") 2>/dev/null ||
		    { echo "$p"; return; }
	done
	fail "no free port"
}

# matches WANTED FILE: the text with its "..." against the whole file.
matches()
{
	local want=$1 got

	got=$(sed -E "s/(localhost|127\\.0\\.0\\.1):$port\\b/\\1:9092/g" "$2")
	want=${want//\\/\\\\}
	want=${want//\*/\\*}
	want=${want//\?/\\?}
	want=${want//\[/\\[}
	want=${want//.../*}
	# shellcheck disable=SC2053
	[[ $got == $want ]]
}

# run COMMAND WANTED: in the shell of the block.
run()
{
	local rc=0

	count=$((count + 1))
	example=${1//localhost:9092/localhost:$port}
	example=${example//127.0.0.1:9092/127.0.0.1:$port}
	if [[ $example == *"&" ]]; then
		eval "exec ${example%&}" >"out.$count" 2>&1 &
		background="$background $!"
		wait_until matches "$2" "out.$count" || rc=1
	else
		eval "$example" >"out.$count" 2>&1 </dev/null || rc=$?
		matches "$2" "out.$count" || rc="$rc, and prints other text"
	fi
	[ "$rc" = 0 ] || {
		printf '%s\n--- wanted:\n%s\n--- got:\n' "\$ $1" "$2"
		cat "out.$count"
		fail "$page: status $rc"
	} >&2
}

# Runs what stands before the next "end" on standard input.
run_block()
{
	local line command= want= more= p

	while IFS= read -r line && [ "$line" != end ]; do
		line=${line#|}
		if [ -n "$more" ]; then
			command=${command%\\}${line#> }
		elif [[ $line == '$ '* ]]; then
			[ -z "$command" ] || run "$command" "$want"
			command=${line#'$ '} want=
		else
			[ -n "$command" ] || fail "$page: text before any \$"
			want+=${want:+$'\n'}$line
			continue
		fi
		more=
		[[ $command != *\\ ]] || more=yes
	done
	[ -n "$command" ] || fail "$page: a block without a command"
	run "$command" "$want"
	for p in $background; do
		kill "$p" && lib_await_gone "$p"
	done
	background=
}

# run_page FILE: the blocks are read from descriptor 3, so that no example can
# take them for its input.
run_page()
{
	local line n

	page=${1##*/}
	n=$count
	rm -rf "$tmp/page"
	mkdir "$tmp/page"
	cd "$tmp/page" || fail "cd"
	while read -r line <&3; do
		case $line in
		broker)
			if [ -z "$BROKER_PID" ]; then
				unset CHRONIK_ENGINE
				broker_start --data-dir "$PWD/data"
			fi
			unset CHRONIK_ENGINE
			port=${BOOTSTRAP##*:}
			;;
		alone)
			broker_stop
			port=$(free_port)
			;;
		esac
		run_block <&3
	done 3< <(blocks "$1")
	broker_stop
	[ "$count" = "$n" ] || echo "$page: $((count - n)) examples"
}

for p in "$CHRONIK_SRC"/man/*; do
	run_page "$p"
done
# The page of the front command always has some.
[ $count -gt 3 ] || fail "only $count examples in all pages"
