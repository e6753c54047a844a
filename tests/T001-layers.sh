#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Dependencies point one way: engine/lib includes nobody, others include only
# engine/lib, and of the engine only disk.c touches files.
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

# Prints "file header" for every quoted include of the files given.
includes()
{
	grep -HE '^[ 	]*#[ 	]*include[ 	]*"' "$@" |
	    sed -E 's/^([^:]*):[^"]*"([^"]*)".*/\1 \2/'
}

includes engine/lib/*.[ch] engine/lib/*.def | while read -r f h; do
	[ -e "engine/lib/$h" ] || echo "$f: $h"
done | report "engine/lib includes what is not of engine/lib"

for d in gateway fusefs search; do
	ls $d/*.[ch] >/dev/null 2>&1 || continue
	includes $d/*.[ch] | while read -r f h; do
		[ -e "$d/$h" ] && [[ $h != */* ]] && continue
		[[ $h == lib/* && $h != *..* ]] && [ -e "engine/$h" ] ||
		    echo "$f: $h"
	done | report "$d includes more than its own files and lib/NAME.h"
done

# What the linker sees is the truth: aliases, macros and all.
calls='open|openat|creat|fopen|opendir|fdopendir|readdir|mkdir|mkdirat|rmdir'
calls+='|pread|preadv|preadv2|pwrite|pwritev|pwritev2|truncate|ftruncate'
calls+='|fsync|fdatasync|sync|syncfs|sync_file_range|rename|renameat|renameat2'
calls+='|unlink|unlinkat|link|linkat|symlink|fallocate|posix_fallocate'
calls+='|posix_fadvise'
store=${CHRONIK_BUILD:-.}/libstore.a
symbols=$(nm -A -u "$store" 2>/dev/null |
    sed -E 's/^.*:([^:]*\.o): *U (__)?([a-z0-9_]*[a-z0-9])$/\1 \3/;
	s/(64)?(_2|_chk)?$//')
grep -qE '^disk\.o pwritev' <<<"$symbols" ||
    { echo "cannot read the symbols of $store"; exit 1; }
# serve.c may remove its socket.
grep -vE '^disk\.o |^serve\.o unlink$' <<<"$symbols" |
    grep -E " ($calls)\$" | sort -u |
    report "file I/O of the engine outside disk.c"

exit $bad
