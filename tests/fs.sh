# SPDX-License-Identifier: Apache-2.0
#
# For tests of chronik-fs, after lib.sh: mounts that are gone at the end.
#
#	M	where fs_mount mounts; P topics/t/0 in it
#	FS_PID	the process that serves it

command -v fusermount3 >/dev/null || skip "fusermount3 is missing (Debian: fuse3)"
command -v kcat >/dev/null || skip "kcat is missing"
[ -c /dev/fuse ] && [ -w /dev/fuse ] || skip "no /dev/fuse here"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "the broker is not of this test"

M=$tmp/m
P=$M/topics/t/0
FS_PID=
mkdir "$M"
export XDG_CACHE_HOME=$tmp/cache
unset CACHE_DIRECTORY

suite_cleanup()
{
	[ -z "$FS_PID" ] || kill -9 "$FS_PID" 2>/dev/null
	grep -o " $tmp/[^ ]* fuse" /proc/mounts | while read -r m _; do
		umount -l "$m"
	done
	! command -v test_cleanup >/dev/null || test_cleanup
}

fs_is_mounted()
{
	grep -q " ${1:-$M} fuse.chronik-fs " /proc/mounts
}

# fs_mount [option of chronik-fs ...]
fs_mount()
{
	# The shell's child makes it anew, sooner or later.
	[ ! -e "$tmp/fs.log" ] || mv "$tmp/fs.log" "$tmp/fs.old"
	"$CHRONIK_BUILD/chronik-fs" -f --engine "$ENGINE" "$@" "$M" \
	    2>"$tmp/fs.log" &
	FS_PID=$!
	wait_until grep -qs ' mounted ' "$tmp/fs.log" ||
	    fail "not mounted: $(tail "$tmp/fs.log")"
}

# By SIGTERM: it must end well, and the mount with it.
fs_umount()
{
	kill "$FS_PID"
	lib_rc=0
	wait "$FS_PID" || lib_rc=$?
	FS_PID=
	[ "$lib_rc" = 0 ] ||
	    fail "the status of chronik-fs is $lib_rc: $(cat "$tmp/fs.log")"
	! fs_is_mounted || fail "still mounted"
	! grep -aE 'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|assertion' \
	    "$tmp/fs.log" || fail "chronik-fs complains"
}

# produce TOPIC PARTITION [option of kcat ...]: lines of stdin.
produce()
{
	lib_t=$1 lib_p=$2
	shift 2
	timeout 60 kcat -P -b "$BOOTSTRAP" -t "$lib_t" -p "$lib_p" "$@" ||
	    fail "kcat -P"
}

# json N [M]: objects of numbers up to N, from M on.
json()
{
	seq "${2:-1}" "$1" | awk '{
	    printf "{\"id\":%d,\"name\":\"user %d\",\"list\":[1,2,%d]}\n", $1,
	    $1, $1 }'
}

# in_time COMMAND...: 30 s at most.
in_time()
{
	timeout 30 "$@"
}
