# SPDX-License-Identifier: Apache-2.0
#
# Sourced after lib.sh by tests that search.

[ -x "$CHRONIK_BUILD/chronik-search" ] || skip "chronik-search is not built"
command -v kcat >/dev/null || skip "kcat is not installed"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"
search_wait_s=$lib_wait_s	# the bound of one call

search()
{
	CHRONIK_ENGINE=$ENGINE timeout "$search_wait_s" \
	    "$CHRONIK_BUILD/chronik-search" "$@"
}

indexer_pid()
{
	lib_children "$BROKER_PID" chronik-search
}

indexer_there()
{
	[ -n "$(indexer_pid)" ]
}

# One may be on its way: it is waited for.
indexer_kill9()
{
	wait_until indexer_there || fail "the indexer is not started again"
	lib_signal KILL "$(indexer_pid)"
}

# Nothing is left to be indexed.
indexed()
{
	[ "$(search status | awk -F '\t' 'NR > 1 { n += $4 }
	    END { print n + 0 }')" = 0 ]
}
