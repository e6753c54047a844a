#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The man pages say what the tables say: every option, topic config, command,
# engine message and file has its place there, and the pages are clean mdoc.
set -u
shopt -s lastpipe	# report runs in this shell and can set bad
export LC_ALL=C
cd "${CHRONIK_SRC:-$(dirname "$0")/..}" || exit 1
bad=0

report()
{
	local found

	found=$(cat)
	[ -z "$found" ] && return
	printf '%s:\n%s\n\n' "$1" "$found"
	bad=1
}

# Prints the first argument of each row of a kind: rows FILE KIND.
rows()
{
	local names

	names=$(sed -nE "s/^$2[[:blank:]]*\\(([a-z0-9_]+),.*/\\1/p" "$1")
	[ -n "$names" ] || { echo "$1 has no $2 rows" >&2; exit 1; }
	echo "$names"
}

# Prints those of the names on stdin that no item of a page has: in names of
# options '-', '_' and '.' are the same.
not_items()
{
	local items

	items=$(sed -nE 's/^\.It //p' "$1" | tr ' ' '\n' |
	    sed -E 's/[._]/-/g; s/^-+//')
	sed 's/[._]/-/g' | grep -vxF "$items"
}

rows engine/lib/conf.def OPT | not_items man/chronik.conf.5 |
    report "options that chronik.conf.5 lacks"
rows engine/lib/conf.def TOPIC | not_items man/chronik.conf.5 |
    report "topic configs that chronik.conf.5 lacks"

# The programs' own pages name the options that they take.
for w in E:chronik-engine.8 G:chronik-gateway.8; do
	tr '\n' ' ' <engine/lib/conf.def | sed 's/OPT(/\n&/g' |
	    sed -nE "s/^OPT\\(([a-z0-9_]+),.* [SEGDO|]*${w%:*}[SEGDO|]*, .*/\\1/p" |
	    not_items "man/${w#*:}" | report "options that ${w#*:} lacks"
done

# Each message has a subsection, each of its fields a word there.
awk '/^(MESSAGE|STRUCT)\(/ { split($0, a, /[(,]/); m = a[2] }
    /^\t[A-Z0-9_]+ *\(/ { split($0, a, /[(,]/); print m, a[2] }' \
    engine/lib/ipc.def |
while read -r m f; do
	s=$(sed -E 's/_(req|res)(_.*)?$//' <<<"$m")
	awk -v s="$s," -v f="$f" '/^\.S[sh] / { on = $2 == s }
	    on { for (i = 1; i <= NF; i++) if ($i == f) found = 1 }
	    END { exit !found }' man/chronik-ipc.7 || echo "$m: $f"
done | report "messages or fields that chronik-ipc.7 lacks"
for h in engine/lib/ipc.h:chronik-ipc.7 engine/log/format.h:chronik-segment.5; do
	awk '/^ \* +[0-9]+ +[0-9]+ [a-zA-Z]/ { print $2 " Ta " $3 " Ta " $4 }' \
	    "${h%:*}" | while read -r row; do
		grep -qF ".It $row" "man/${h#*:}" || echo "$row"
	done | report "rows of the table in ${h%:*} that ${h#*:} lacks"
done

# The paths at the head of format.h, each part of them.
sed -nE '/^ \* DATA\//,/^ \* <base>:/s/^ \* +([^ ]+)( \.[a-z]+)?  .*/\1\2/p' \
    engine/log/format.h | tr '/ ' '\n\n' | sed -E 's/^<[a-z]+>//; s/<[a-z]+>/.*/' |
    sort -u | grep -vxE 'DATA|' | while read -r p; do
	grep -qE "^\.It .*Pa .*${p//[+.]/.}" man/chronik-segment.5 || echo "$p"
done | report "paths of format.h that chronik-segment.5 lacks"
grep -ohE '"CHRON[A-Z]+"' engine/log/format.h | tr -d '"' | sort -u |
while read -r magic; do
	grep -q "$magic" man/chronik-segment.5 || echo "$magic"
done | report "magic numbers that chronik-segment.5 lacks"
rows engine/lib/meta.def MESSAGE | while read -r m; do
	grep -q "^\.It Sy $m " man/chronik-segment.5 || echo "$m"
done | report "records of the catalogue that chronik-segment.5 lacks"

# Commands: CMD(noun, verb, ...) rows of the front command.
tr -d '"' <engine/ctl/cmds.def |
    sed -nE 's/^CMD\(([a-z]*), *([a-z]*),.*/\1 \2/p' |
    while read -r noun verb; do
	page=man/chronik-$noun.1
	[ -f "$page" ] || page=man/chronik.1
	sed -nE 's/^\.(It|Ss) //p' "$page" |
	    grep -qE "\\b$noun +(Cm +)?$verb\\b" || echo "$noun $verb ($page)"
done | report "commands that their page lacks"

for p in man/*; do
	head -n 1 "$p" | grep -q SPDX || echo "$p"
	grep -q "^	$p\\b" Makefile.am || echo "$p: not installed"
done | report "pages"
if command -v mandoc >/dev/null; then
	mandoc -Tlint -W warning man/* 2>&1 | report "mandoc"
elif [ "${CI-}" = true ]; then
	echo "mandoc is missing" | report "CI"
elif [ $bad = 0 ]; then
	echo "skipped: mandoc is missing (Debian: mandoc)"
	exit 77
fi
exit $bad
