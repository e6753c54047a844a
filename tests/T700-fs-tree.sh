#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-fs: what is where, what is in it, and what is refused.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"
command -v jq >/dev/null || skip "jq is missing"
fs=$CHRONIK_BUILD/chronik-fs

# ---- it mounts only when it can ------------------------------------------------------

check_rc 1 "$fs" --engine "$tmp/none.sock" "$M"
check_grep 'none.sock: no engine listens there' "$tmp/err" "no engine"
check_rc 2 "$fs"
check_rc 2 "$fs" --nonsense "$M"
check_rc 2 "$fs" -o nonsense "$M"
check_grep 'unknown option -o nonsense' "$tmp/err" "-o nonsense"
check_rc 2 "$fs" -o timeout=0 "$M"
check_rc 2 "$fs" -o timeout=9999 "$M"
check_rc 2 "$fs" a b c
check_rc 0 "$fs" --help
check_rc 0 "$fs" -V
broker_start --gateways 1
mkdir "$tmp/full" "$tmp/dir" && : >"$tmp/full/x" && : >"$tmp/file"
ln -s "$tmp/dir" "$tmp/link"
for bad in full:'not empty' file:'not a directory' link:'not a directory' \
    none:'No such file'; do
	check_rc 1 "$fs" --engine "$ENGINE" "$tmp/${bad%%:*}"
	check_grep "${bad#*:}" "$tmp/err" "mount on ${bad%%:*}"
done
if [ "$(id -u)" = 0 ]; then
	chown 1 "$tmp/dir"
	check_rc 1 "$fs" --engine "$ENGINE" "$tmp/dir"
	check_grep 'belongs to another user' "$tmp/err" "another's directory"
	chown 0 "$tmp/dir"
fi

# ---- the tree ------------------------------------------------------------------------

check_rc 0 chronik topic create t --partitions 2 --config segment.bytes=1048576
check_rc 0 chronik topic create empty --partitions 1
check_rc 0 "$fs" --engine "$ENGINE" "$M"
fs_is_mounted || fail "in the background before it is mounted"
check_eq "$(in_time ls "$M" | tr '\n' ' ')" "README engines groups search topics " "/"
check_eq "$(in_time ls "$M/.chronik" | tr '\n' ' ')" \
    "errors.log metrics status.json " .chronik
check_eq "$(in_time ls "$M/topics" | tr '\n' ' ')" "empty t " topics
check_eq "$(in_time ls "$M/topics/t" | tr '\n' ' ')" \
    "0 1 by-key config follow meta.json " topics/t
check_eq "$(in_time ls "$P" | tr '\n' ' ')" \
    "by-key by-offset by-time follow log.jsonl meta.json segments " topics/t/0
check_eq "$(jq -r .connection "$M/.chronik/status.json")" up status
check_grep 'chronik_fs_engine_up 1' "$M/.chronik/metrics" metrics
check_grep 'by-offset/A-B.jsonl' "$M/README" README
check_eq "$(cat "$M/topics/t/config/segment.bytes")" 1048576 config
check_eq "$(jq -r '.name, (.partitions|length)' "$M/topics/t/meta.json" |
    tr '\n' ' ')" "t 2 " "topic meta.json"
E=$M/topics/empty/0
check_eq "$(wc -c <"$E/log.jsonl"; ls "$E/by-offset" "$E/by-time" |
    grep -c -e -)" "0
2" "an empty partition"

# Topics and records are there at once.
echo first | produce new 0
check_eq "$(jq -r .v "$M/topics/new/0/log.jsonl")" first "a new topic"
echo second | produce new 0
check_eq "$(wc -l <"$M/topics/new/0/log.jsonl")" 2 "a new record"
check_rc 0 chronik topic delete new --yes
check_eq "$(cat "$M/topics/new/0/log.jsonl" 2>&1 | grep -c 'No such file')" 1 \
    "a deleted topic"
check_rc 0 chronik topic create new --partitions 1
check_eq "$(wc -c <"$M/topics/new/0/log.jsonl")" 0 "another of its name"
check_rc 0 chronik topic delete new --yes

# ---- records -------------------------------------------------------------------------

json 60000 | produce t 0 -H h=1
now=$(date -u +%Y-%m-%d)
check_eq "$(jq -c .v "$P/log.jsonl" | cmp - <(json 60000) && echo same)" same \
    "values"
check_eq "$(jq -s 'map(.o) == [range(60000)]' "$P/log.jsonl")" true offsets
check_eq "$(sed -n 18p "$P/log.jsonl" | sed 's/"ts":[0-9]*/"ts":0/')" \
    '{"p":0,"o":17,"ts":0,"k":null,"h":{"h":"1"},"v":{"id":18,"name":"user 18","list":[1,2,18]}}' \
    "a line"
check_eq "$(cat "$P/by-offset/17")" "$(json 18 18)" "by-offset/17"
check_eq "$(cat "$P/by-offset/17.json")" "$(sed -n 18p "$P/log.jsonl")" 17.json
check_eq "$(cat "$P/by-offset/first")" "$(head -n 1 "$P/log.jsonl")" first
check_eq "$(readlink "$P/by-offset/last")" 59999.json last
for r in 0-0 17-170 0-59999 20000-40000; do
	sed -n "$((${r%-*} + 1)),$((${r#*-} + 1))p" "$P/log.jsonl" |
	    cmp - "$P/by-offset/$r.jsonl" || fail "by-offset/$r.jsonl"
	check_eq "$(stat -c %s "$P/by-offset/$r.jsonl")" \
	    "$(wc -c <"$P/by-offset/$r.jsonl")" "the size of $r.jsonl"
done
for no in 60000 60000.json -1 00 1-0.jsonl 4000-60000.jsonl 1-2 a 0x1 \
    99999999999999999999 9223372036854775807.json; do
	[ ! -e "$P/by-offset/$no" ] || fail "by-offset/$no is there"
done
cat "$P"/segments/*.jsonl | cmp - "$P/log.jsonl" || fail "segments/*.jsonl"
[ "$(ls "$P/segments" | wc -l)" -gt 6 ] || fail "too few segments"
id=$(jq -r .id "$M/topics/t/meta.json" | tr -d -)
for f in "$P"/segments/*.log; do
	cmp "$f" "$DATA/topics/$id/0/${f##*/}" ||
	    fail "$f is not the segment"
done
cat "$P"/by-time/*/*.jsonl | cmp - "$P/log.jsonl" || fail "by-time"
check_grep . <(cat "$P/by-time/$now"/*.jsonl) "today"
check_eq "$(cat "$P"/by-time/1999-12-31/*.jsonl | wc -c)" 0 "another day"
for no in 2026-02-30 2026-1-1 x 2026-01-01x; do
	[ ! -e "$P/by-time/$no" ] || fail "by-time/$no is there"
done
[ ! -e "$P/by-time/$now/24.jsonl" ] || fail "hour 24"

# Anything that a record may be.
printf 'k\t"str"\nk\tnull\nk\t\nk\ta "b" \\ c\nk\t\001\xff\n\xfe\t[1,2]\n' |
    produce t 1 -K '	' -Z
check_eq "$(jq -c '[.k, .k64, .v, .v64]' "$M/topics/t/1/log.jsonl")" \
'["k",null,"\"str\"",null]
["k",null,"null",null]
["k",null,null,null]
["k",null,"a \"b\" \\ c",null]
["k",null,null,"Af8="]
[null,"/g==",[1,2],null]' "odd records"
check_eq "$(wc -c <"$M/topics/t/1/by-offset/2")" 0 "a null value"
check_eq "$(od -An -tx1 "$M/topics/t/1/by-offset/4")" " 01 ff" "odd bytes"

# ---- groups --------------------------------------------------------------------------

printf 'auto.offset.reset=earliest\n' >"$tmp/kcat.conf"
timeout 60 kcat -b "$BOOTSTRAP" -F "$tmp/kcat.conf" -q -c 100 \
    -X enable.auto.offset.store=true -G 'a/b%' t >/dev/null 2>&1
wait_until grep -q offset "$M/groups/a%2Fb%25/offsets.json" ||
    fail "no offsets: $(ls "$M/groups")"
check_eq "$(in_time ls "$M/groups")" a%2Fb%25 groups
check_eq "$(jq -r .group "$M/groups/a%2Fb%25/meta.json")" a/b% "a group's name"
check_eq "$(jq '[.offsets[]|.end == .offset + .lag]|all' \
    "$M/groups/a%2Fb%25/lag.json")" true lag
[ ! -e "$M/groups/a%2fb%25" ] && [ ! -e "$M/groups/none" ] ||
    fail "groups that are not"

# ---- what is refused -----------------------------------------------------------------

errno()
{
	python3 - "$@" <<-'PY'
	import errno, os, sys
	try:
	    eval(sys.argv[1])
	except OSError as e:
	    print(errno.errorcode[e.errno])
	PY
}

for op in 'os.unlink(p)' 'os.rename(p, p + "x")' 'os.chmod(p, 0)' \
    'os.truncate(p, 0)' 'os.open(p, os.O_WRONLY)' 'os.mkdir(p + "d")' \
    'os.symlink("x", p + "l")' 'os.open(p + "n", os.O_CREAT | os.O_RDWR)'; do
	check_eq "$(errno "(lambda p: $op)('$P/log.jsonl')")" EROFS "$op"
done
for name in 00 2 -1 x 'a
b' "$(printf '%0255d' 0)"; do
	[ ! -e "$M/topics/t/$name" ] || fail "t/$name"
done
check_eq "$(errno "os.stat('$M/topics/$(printf '%0256d' 0)')")" ENAMETOOLONG \
    "a long name"
check_eq "$(in_time find "$M" -name 'x*' | wc -l)" 0 find
[ "$(ls -di "$M" | cut -d' ' -f 1)" = 1 ] || fail "the root's inode"

# ---- options of lines, and the end ---------------------------------------------------

fusermount3 -u "$M" || fail "fusermount3 -u"
wait_until eval '! fs_is_mounted' || fail "still mounted"
fs_mount -o value-only,pretty-time
check_eq "$(cmp "$P/log.jsonl" <(json 60000) && echo same)" same value-only
fs_umount
fs_mount -o pretty-time
check_eq "$(head -n 1 "$P/log.jsonl" | jq -r .ts | cut -c 1-10)" "$now" \
    pretty-time
fs_umount
broker_stop
