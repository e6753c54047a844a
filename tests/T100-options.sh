#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Options: the four sources and their order, every spelling, --help, and what
# a wrong one is answered with.
. "$(dirname "$0")/lib.sh"

src=$CHRONIK_SRC/engine
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"

# ---- --help shows the tables --------------------------------------------------

check_rc 0 chronik --help
check_rc 0 chronik help
grep -oE '^CMD\("[a-z]+", "[a-z]*"' "$src/ctl/cmds.def" | tr -d '",' |
    sed 's/^CMD(//; s/ $//' >"$tmp/commands"
[ "$(wc -l <"$tmp/commands")" -ge 8 ] || fail "cannot read cmds.def"
while read -r command; do
	grep -q "^  $command  " "$tmp/out" || fail "--help lacks $command"
	check_rc 0 "$CHRONIK_BUILD/chronik" help $command
	check_grep '^usage: chronik ' "$tmp/out" "help $command"
	check_rc 0 "$CHRONIK_BUILD/chronik" $command --help
	check_grep '^usage: chronik ' "$tmp/out" "$command --help"
	check_rc 0 chronik help
done <"$tmp/commands"
check_rc 0 chronik help topic
check_grep '^  topic create ' "$tmp/out" "help topic"
for h in --help -h; do
	check_rc 0 chronik topic $h
	check_grep '^  topic create ' "$tmp/out" "topic $h"
done
check_rc 0 chronik --version
check_grep '^chronik [0-9]' "$tmp/out" --version

# Each option of a command stands in a man page.
sed -nE 's/^OPTION\([a-z_]+, "([a-z-]+)".*/\1/p' "$src/ctl/cmds.def" \
    >"$tmp/options"
[ "$(wc -l <"$tmp/options")" -ge 10 ] || fail "cannot read cmds.def"
while read -r o; do
	grep -q "^\.It Fl -$o\b" "$CHRONIK_SRC"/man/chronik*.1 ||
	    fail "no page explains --$o"
done <"$tmp/options"

# A topic config that takes only its default is listed with it.
{ tr '\n' ' ' <"$src/lib/conf.def"; echo; } | sed 's/TOPIC(/\n/g' |
    sed -nE 's/^[a-z0-9_]+,[ 	]+"([^"]+)",[ 	]+[A-Z]+,[ 	]+"([^"]*)",.* (ENFORCED|KEPT|REFUSED),.*/\1 \3 \2/p' \
    >"$tmp/configs"
check_eq "$(wc -l <"$tmp/configs")" \
    "$(grep -c '^TOPIC(' "$src/lib/conf.def")" "rows read of conf.def"
while read -r name state value; do
	shown=$(sed -nE "/^\.It Cm $name( Pq|\$)/{n;p;}" \
	    "$CHRONIK_SRC/man/chronik.conf.5")
	case $state in
	REFUSED) check_eq "$shown" "$value" "chronik.conf(5) on $name" ;;
	*) [ "$shown" != "$value" ] || fail "chronik.conf(5): $name works" ;;
	esac
done <"$tmp/configs"

check_rc 0 chronik start --help
cp "$tmp/out" "$tmp/help"
options=$(sed -nE 's/^OPT\(([a-z_]+),.*/\1/p' "$src/lib/conf.def" | tr _ -)
[ "$(echo "$options" | wc -l)" -ge 15 ] || fail "cannot read conf.def"
for o in $options; do
	grep -q "^  --$o " "$tmp/help" || fail "start --help lacks --$o"
done
for p in engine gateway; do
	check_rc 0 "$CHRONIK_BUILD/chronik-$p" --help
	check_grep '^  --log-level ' "$tmp/out" "chronik-$p --help"
done
for p in engine gateway fs search; do
	[ -x "$CHRONIK_BUILD/chronik-$p" ] || continue
	check_rc 0 "$CHRONIK_BUILD/chronik-$p" --version
	check_grep "^chronik-$p [0-9]" "$tmp/out" "chronik-$p --version"
done
for v in index serve verify status; do
	[ -x "$CHRONIK_BUILD/chronik-search" ] || continue
	check_rc 0 "$CHRONIK_BUILD/chronik-search" $v --help
	check_grep "^usage: chronik-search $v " "$tmp/out" "search $v --help"
done

# ---- wrong command lines ---------------------------------------------------------

wrong()
{
	want=$1
	shift
	check_rc 2 "$@"
	check_grep "$want" "$tmp/err" "$*"
}
wrong '^usage: chronik NOUN VERB' chronik
wrong 'no command "nonsense"' chronik nonsense
wrong 'no verb "nonsense"' chronik topic nonsense
wrong 'needs a verb' chronik topic
wrong 'no command "nonsense"' chronik help nonsense
wrong 'NAME ... is missing' chronik topic create
wrong 'one word too many' chronik topic ls x
wrong '\--nonsense is no option' chronik topic ls --nonsense
wrong '\--partitions=1 is no option' chronik topic ls --partitions=1
wrong '\--yes=1 takes no value' chronik topic delete x --yes=1
wrong '\--format needs a value' chronik topic ls --format
wrong '\--form is no option' chronik topic ls --form json
wrong '\-x is no option' chronik topic ls -x
wrong 'must be table, json' chronik topic ls --format xml
wrong 'number from 1 to' chronik topic ls --timeout-ms 0
wrong '\--nonsense is no option' chronik start --nonsense
wrong '\--nonsense is no option' chronik --nonsense
wrong 'one word too many' chronik start nonsense
wrong 'from 1 to 64, not "0"' chronik start --gateways 0
wrong 'HOST:PORT, not "x"' chronik start --bind-addr x
wrong 'option of another program' "$CHRONIK_BUILD/chronik-engine" --gateways 1
wrong 'option of another program' "$CHRONIK_BUILD/chronik-gateway" --sync os
check_grep '^hint: ' "$tmp/err" "a hint with the error"

echo 'gatewayz = 1' >"$tmp/conf"
wrong 'line 1: "gatewayz " names no option' chronik start --config "$tmp/conf"
wrong 'No such file' chronik start --config "$tmp/absent"
wrong 'CHRONIK_GATEWAYS must be' env CHRONIK_GATEWAYS=x \
    "$CHRONIK_BUILD/chronik" start

# A socket's path has a bound that the kernel sets.
long=$tmp/$(printf '%0120d' 0)
wrong 'names a shorter one' chronik start --data-dir "$long"
wrong 'names a shorter one' chronik topic ls --data-dir "$long"

# ---- the order of the sources --------------------------------------------------------

# state: node id and sync policy that the engine runs with.
state()
{
	chronik cluster status --format tsv | cut -f 2,4 | tr '\t' ' '
}

broker_start
check_eq "$(state)" "1 commit" "defaults"
broker_stop
rm -rf "$DATA"

# Dots and underscores are dashes; blanks and comments are nothing.
printf '# all options\n\n  node.id =  2 \nsync_interval_ms=5\nsync = os\n' \
    >"$tmp/conf"
broker_start --config "$tmp/conf"
check_eq "$(state)" "2 os" "a file"
broker_stop

CHRONIK_CONFIG=$tmp/conf CHRONIK_SYNC=interval broker_start
check_eq "$(state)" "2 interval" "the environment beats the file"
broker_stop

# What equals a default still beats what the children see themselves.
CHRONIK_CONFIG=$tmp/conf CHRONIK_SYNC=interval broker_start --sync=commit
check_eq "$(state)" "2 commit" "the command line beats both"
broker_stop
rm -rf "$DATA"

# ---- options alone mean start ----------------------------------------------------------

mkfifo "$tmp/alone"
CHRONIK_BIND_ADDR=127.0.0.1:0 "$CHRONIK_BUILD/chronik" --data-dir="$DATA" \
    --node_id 5 >"$tmp/alone" 2>>"$BROKER_LOG" &
BROKER_PID=$!
line=$(head -n 1 <"$tmp/alone")
case $line in
"ready kafka=127.0.0.1:"*" engine=$DATA/engine.sock") ;;
*) fail "chronik without a verb: $line" ;;
esac
check_eq "$(chronik cluster status --data-dir "$DATA" --format tsv |
    cut -f 2)" 5 "--data-dir finds the socket"
broker_stop

# A socket elsewhere.
broker_start --engine "$tmp/e.sock"
check_eq "$ENGINE" "$tmp/e.sock" --engine
check_rc 0 chronik cluster status --engine "$tmp/e.sock"
check_rc 3 chronik cluster status --engine "$tmp/f.sock"
check_grep '^hint: ' "$tmp/err" "an engine that is not there"
