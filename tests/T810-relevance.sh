#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Relevance on the Cranfield collection: NDCG@10 of 0.53 or more.
. "$(dirname "$0")/lib.sh"
data=${CHRONIK_SHARED:-$CHRONIK_SRC/../shared}/data/cranfield
[ -f "$data/cran_docs.json" ] || skip "Cranfield is not there: $data"
[ -x "$CHRONIK_BUILD/chronik-search" ] || skip "chronik-search is not built"
command -v kcat >/dev/null || skip "kcat is not installed"
command -v python3 >/dev/null || skip "python3 is not installed"
[ -z "${CHRONIK_BOOTSTRAP:-}" ] || skip "needs a broker of its own"

broker_start --search off
chronik topic create --config search.enable=true --config search.stem=en \
    --config search.fields.text=title,body cran >/dev/null ||
    fail "topic create"
python3 "$CHRONIK_SRC/tests/cranfield.py" "$data" docs |
    kcat -b "$BOOTSTRAP" -P -t cran
export CHRONIK_ENGINE=$ENGINE
check_rc 0 "$CHRONIK_BUILD/chronik-search" index --data-dir "$DATA" --once
ndcg=$(python3 "$CHRONIK_SRC/tests/cranfield.py" "$data" run \
    "$CHRONIK_BUILD/chronik-search" -t cran --any --sort relevance -n 10 \
    --fields id --template '%v\n')
echo "NDCG@10 $ndcg"
[ "$(echo "$ndcg" | tr -d .)" -ge 05300 ] || fail "NDCG@10 is $ndcg"
