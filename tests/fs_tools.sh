# SPDX-License-Identifier: Apache-2.0
#
# For tests of chronik-fs, after fs.sh: the tools that people use.
#
#	want	a plain file with the bytes that the tools must see
#	tools FILE

for c in jq rg rsync python3; do
	command -v $c >/dev/null || skip "$c is missing"
done

want=$tmp/want
mkdir "$tmp/c"

# tools FILE: $want has the same bytes.
tools()
{
	local f=$1 size sum mid

	size=$(stat -c %s "$want") sum=$(sum_of "$want")
	mid=$(sed -n "$(($(wc -l <"$want") / 2))p" "$want")
	check_eq "$(stat -c %s "$f")" "$size" "stat $f"
	check_eq "$(cat "$f" | sum_of -)" "$sum" "cat $f"
	check_eq "$(head -n 5 "$f" | sum_of -)" \
	    "$(head -n 5 "$want" | sum_of -)" "head $f"
	check_eq "$(tail -n 3 "$f")" "$(tail -n 3 "$want")" "tail -n $f"
	check_eq "$(tail -c 100 "$f")" "$(tail -c 100 "$want")" "tail -c $f"
	check_eq "$(wc <"$f")" "$(wc <"$want")" "wc $f"
	check_eq "$(wc -c "$f" | cut -d' ' -f1)" "$size" "wc -c $f"
	for g in "grep -cF" "rg -cF" "rg --mmap -cF" "rg --no-mmap -cF"; do
		check_eq "$($g -e "$mid" "$f")" 1 "$g $f"
	done
	check_eq "$(awk 'END { print NR }' "$f")" "$(wc -l <"$want")" "awk $f"
	check_eq "$(sort "$f" | sum_of -)" "$(sort "$want" | sum_of -)" "sort"
	check_eq "$(jq -c . "$f" | wc -l)" "$(wc -l <"$want")" "jq $f"
	cp "$f" "$tmp/c/cp" && cmp "$want" "$tmp/c/cp" || fail "cp $f"
	rsync "$f" "$tmp/c/rsync" && cmp "$want" "$tmp/c/rsync" ||
	    fail "rsync $f"
	tar -C "${f%/*}" -cf "$tmp/c/tar" "${f##*/}" &&
	    tar -xOf "$tmp/c/tar" | cmp "$want" - || fail "tar $f"
	[ "$(du -k "$f" | cut -f 1)" -gt 0 ] || fail "du $f"
	check_eq "$(du -b "$f" | cut -f 1)" "$size" "du -b $f"
	check_eq "$(ls -l "$f" | awk '{ print $5 }')" "$size" "ls -l $f"
	check_eq "$(find "$f" -size -"$((size + 1))"c -type f)" "$f" "find"
	python3 - "$f" "$want" <<-'PY' || fail "python $f"
	import mmap, os, sys
	f, want = open(sys.argv[1], 'rb'), open(sys.argv[2], 'rb').read()
	assert f.read() == want, 'read'
	m = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
	assert m[:] == want, 'mmap shared'
	m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
	assert m[:] == want, 'mmap private'
	out = os.memfd_create('x')
	n = 0
	while True:
	    k = os.sendfile(out, f.fileno(), n, 1 << 20)
	    if k == 0:
	        break
	    n += k
	assert os.pread(out, n + 1, 0) == want, 'sendfile'
	for at in range(0, len(want), len(want) // 37 + 1):
	    assert os.pread(f.fileno(), 100, at) == want[at:at + 100], 'pread'
	assert os.pread(f.fileno(), 100, len(want)) == b'', 'past the end'
	PY
}

sum_of()
{
	sha1sum "$@" | cut -c 1-40
}
