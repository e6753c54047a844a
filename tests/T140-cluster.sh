#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik cluster status: every format, and an engine that does not answer.
. "$(dirname "$0")/lib.sh"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"

# member NAME: of the table.
member()
{
	chronik cluster status | sed -nE "s/^$1 +//p"
}

broker_start --node-id 7 --sync interval
check_rc 0 chronik cluster status
check_eq "$(member node_id)" 7 node_id
check_eq "$(member sync)" interval sync
check_eq "$(member topics)" 0 topics
check_eq "$(member partitions_offline)" 0 partitions_offline
id=$(member cluster_id)
[ ${#id} = 22 ] || fail "a cluster id has 22 characters: \"$id\""
epoch=$(member leader_epoch)

chronik topic create a b --partitions 3 >/dev/null || fail "topic create"
check_eq "$(member topics) $(member partitions)" "2 6" "after topic create"

check_rc 0 chronik cluster status --format json
check_grep '"schema": "chronik.cluster.status/1"' "$tmp/out" json
check_grep '"node_id": 7' "$tmp/out" json
check_rc 0 chronik cluster status --format jsonl
check_eq "$(wc -l <"$tmp/out")" 1 "lines of jsonl"
check_grep '"schema":"chronik.cluster.status/1","cluster_id":' "$tmp/out" jsonl
check_rc 0 chronik cluster status --format tsv
check_eq "$(cut -f 1,2,4,6,7 "$tmp/out" | tr '\t' ' ')" \
    "$id 7 interval 2 6" tsv

# Who it is stays; how it ended is remembered.
broker_stop
broker_start --node-id 7
check_eq "$(member cluster_id)" "$id" "cluster_id after a restart"
check_eq "$(member clean_start)" true "clean_start after a clean stop"
check_eq "$(member leader_epoch)" "$epoch" "leader_epoch after a clean stop"
engine_kill9
wait_ready || fail "not ready after engine_kill9"
check_eq "$(member clean_start)" false "clean_start after kill -9"
[ "$(member leader_epoch)" -gt "$epoch" ] ||
    fail "leader_epoch after kill -9: $(member leader_epoch), was $epoch"

# An engine that is stopped answers nobody: status 3, in bounded time.
pid=$(engine_pid)
kill -STOP "$pid"
check_rc 3 chronik cluster status --timeout-ms 200
check_grep 'TIMED_OUT' "$tmp/err" "an engine that does not answer"
kill -CONT "$pid"
wait_ready || fail "not ready after SIGCONT"
check_rc 0 chronik cluster status
