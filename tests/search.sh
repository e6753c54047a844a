# SPDX-License-Identifier: Apache-2.0
#
# Sourced after lib.sh by tests of the search index that compare it with the
# log while something is at work.

. "$(dirname "$0")/query.sh"
[ -x "$CHRONIK_BUILD/tests/search_compare" ] ||
    skip "search_compare is not built"
command -v python3 >/dev/null || skip "python3 is not installed"
search_loads=
search_wait_s=7200		# for all of a large log

# indexer_other PID: one is at work, and it is not that one.
indexer_other()
{
	search_pid=$(indexer_pid)
	[ -n "$search_pid" ] && [ "$search_pid" != "$1" ]
}

# records_in_index: how many offsets shards have.
records_in_index()
{
	search status | awk -F '\t' 'NR > 1 { n += $3 } END { print n + 0 }'
}

# indexed_more N: more than that.
indexed_more()
{
	[ "$(records_in_index)" -gt "$1" ]
}

# produce TOPIC N SEED KIND CODEC
produce()
{
	python3 "$CHRONIK_SRC/tests/search_records.py" "$2" "$3" "$4" |
	    kcat -b "$BOOTSTRAP" -P -t "$1" -K '	' -z "$5" \
	    -H tenant=acme -H "run=$3"
}

# load_start TOPIC KIND CODEC: a producer of some hundreds of records over and
# over, with a pause between, until load_end.
load_start()
{
	rm -f "$tmp/load.end"
	python3 "$CHRONIK_SRC/tests/search_records.py" 500 100 "$2" \
	    >"$tmp/load.$1"
	while [ ! -e "$tmp/load.end" ]; do
		kcat -b "$BOOTSTRAP" -P -t "$1" -K '	' -z "$3" \
		    -H tenant=acme -l "$tmp/load.$1"
		sleep "${search_pause:-1}"
	done >/dev/null 2>&1 &
	search_loads="$search_loads $!"
}

load_end()
{
	: >"$tmp/load.end"
	[ -z "$search_loads" ] || wait $search_loads
	search_loads=
}

# compare QUERIES SEED [quiet]: random queries against all records.
compare()
{
	timeout "$search_wait_s" "$CHRONIK_BUILD/tests/search_compare" "$ENGINE" \
	    "$DATA/search" "$@" >"$tmp/compare" 2>&1 || {
		cat "$tmp/compare" >&2
		fail "search_compare $*"
	}
	cat "$tmp/compare"
}

# Everything is indexed, without a gap and nothing twice.  A segment that was
# written anew a moment ago has its shard made anew first.
index_whole()
{
	wait_until indexed || fail "not indexed: $(search status)"
	wait_until search_verified || {
		cat "$tmp/verify"
		fail "verify"
	}
	cat "$tmp/verify"
}

search_verified()
{
	search verify >"$tmp/verify" 2>&1
}
