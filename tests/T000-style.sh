#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# House style that a program can see: the file heads, widths and lengths, the
# fixed top level, and nothing of the machine that a file was written on.
set -u
shopt -s lastpipe	# report runs in this shell and can set bad
export LC_ALL=C
cd "${CHRONIK_SRC:-$(dirname "$0")/..}" || exit 1
bad=0
kinds='\.(c|h|def|cc|sh|py|java|go|js|am|ac|[1-9])$|^(\.ci|tests/bench)/run$'

# Reads findings and prints them under a title.
report()
{
	local found

	found=$(cat)
	[ -z "$found" ] && return
	printf '%s:\n%s\n\n' "$1" "$found"
	bad=1
}

# Every file of the project.  Where there is no .git to ask, these are the
# files that nobody would take for something made by the build.
all_files()
{
	if [ -e .git ] && command -v git >/dev/null; then
		git -c safe.directory='*' ls-files -co --exclude-standard |
		    while read -r f; do [ -f "$f" ] && echo "$f"; done
	else
		find . \( -name autom4te.cache -o -name build-aux -o \
		    -name _build -o -name _inst \) -prune -o -type f -print |
		    sed 's|^\./||' | grep -E "$kinds|^(LICENSE|README\.md)\$"
	fi | sort -u
}

files=$(all_files)
text=$(grep -vE '^(LICENSE|tests/(golden|corpus)/.*|.*\.(json|sum|lock))$' \
    <<<"$files")
sources=$(grep -E "$kinds" <<<"$text")
code=$(grep -E '\.(c|h|cc)$' <<<"$text")
[ "$(wc -l <<<"$code")" -gt 10 ] || { echo "found no sources"; exit 1; }

for f in $sources; do
	head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2\.0' ||
	    echo "$f"
done | report "no SPDX line in the first three"

grep -InE '[ 	]+$' $text | cut -c1-100 | report "blanks at the end of a line"

# Characters, not bytes: all but the first byte of each are left out.
for f in $code; do
	sed 's/[\x80-\xbf]//g' "$f" | expand | awk -v f="$f" \
	    'length > 80 { print f ":" NR ": " length " columns" }'
done | report "lines past 80 columns"

grep -InE '^	* +	|^	* {8}' $code | cut -c1-100 |
    report "indentation that is not tabs and then less than eight spaces"

# The brackets keep these lines from finding themselves.
grep -InE '\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b' $text | cut -c1-100 |
    report "left open"

awk 'FNR == 1 { open = 0 }
    /^\{/ { open = 1; start = FNR }
    /^\}/ && open { open = 0
	if (FNR - start > 90)
		print FILENAME ":" start ": " FNR - start " lines" }' $code |
    report "functions past 90 lines"

wc -l $code | awk '$2 != "total" && $1 > 1000 { print $2 ": " $1 " lines" }' |
    report "files past 1000 lines"

sed 's|/.*||' <<<"$files" | sort -u | grep -vE '^\.' |
    grep -vxE 'autogen\.sh|configure\.ac|Makefile\.am|README\.md|LICENSE' |
    grep -vxE 'gateway|engine|fusefs|search|man|tests' |
    report "not in the fixed top level"

grep -InE '(^|[^A-Za-z0-9_./$}*-])/(roo[t]|hom[e]|wor[k]|User[s])/' $text |
    cut -c1-100 | report "a path of somebody's machine"

# Names of documents stay; a place to download from is no business of ours.
grep -InoE 'https?://[A-Za-z0-9.:-]+' $(grep -v '^LICENSE$' <<<"$files") |
    grep -vE '//(maven\.apache\.org|www\.w3\.org|127\.0\.0\.1|localhost)' |
    report "an address of another machine"

[ $bad = 0 ] && echo "$(wc -l <<<"$files") files, $(wc -l <<<"$code") of code"
exit $bad
