# SPDX-License-Identifier: Apache-2.0
#
# The official console tools, which no program of ours stands between.

# The tools move lines of text; the records' bytes are the driver's part.
console_tools()
{
	t=$prefix-console
	awk 'BEGIN { for (i = 0; i < 10000; i++) {
		v = sprintf("value %d ", i)
		for (j = i % 40; j > 0; j--)
			v = v "0123456789abcdef"
		printf "h:%d,i:x\tkey %d\t%s\n", i % 7, i, v
	} }' >"$work/lines"
	topics --create --topic "$t" --partitions 1 \
	    --replication-factor 1
	topics --list >"$work/list"
	grep -qx "$t" "$work/list" || fail "kafka-topics does not list $t"
	before=$(date +%s)000
	producer --topic "$t" $reader_property parse.key=true \
	    $reader_property parse.headers=true --compression-codec lz4 \
	    <"$work/lines" >"$work/out"
	after=$(($(date +%s) + 1))000
	offsets --topic "$t" >"$work/ends"
	offsets --topic "$t" --time -2 >"$work/starts"
	offsets --topic "$t" --time -3 >"$work/newest"
	offsets --topic "$t" --time "$before" >"$work/begun"
	[ "$(cat "$work/ends")" = "$t:0:10000" ] &&
	[ "$(cat "$work/starts")" = "$t:0:0" ] &&
	[ "$(cat "$work/begun")" = "$t:0:0" ] ||
	    fail "kafka-get-offsets says $(cat "$work/ends" "$work/starts" \
	    "$work/begun")"
	consumer --topic "$t" --partition 0 \
	    --offset earliest --max-messages 10000 \
	    $printer_property print.key=true \
	    $printer_property print.headers=true \
	    $printer_property print.timestamp=true >"$work/stamped"
	cut -f2- "$work/stamped" | cmp - "$work/lines" ||
	    fail "kafka-console-consumer prints other lines"
	awk -F '[:\t]' -v lo="$before" -v hi="$after" '
	    $2 < lo || $2 > hi { print; bad = 1 }
	    END { exit bad }' "$work/stamped" ||
	    fail "timestamps outside the time of producing"
	consumer --topic "$t" --partition 0 \
	    --offset 9990 --max-messages 10 >"$work/tail"
	tail -n 10 "$work/lines" | cut -f3 | cmp - "$work/tail" ||
	    fail "kafka-console-consumer --offset prints other lines"
	newest=$(awk -F '[:\t]' '$2 > max { max = $2; n = NR - 1 }
	    END { print n }' "$work/stamped")
	[ "$(cat "$work/newest")" = "$t:0:$newest" ] ||
	    fail "the greatest timestamp is at $newest, kafka-get-offsets" \
	    "says $(cat "$work/newest")"
	topics --delete --topic "$t"
	topics --list >"$work/list"
	! grep -qx "$t" "$work/list" || fail "$t is listed after its deletion"
	say "the console tools agree"
}
