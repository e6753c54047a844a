#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Elasticsearch's own client for Python against chronik-search serve.

. "$(dirname "$0")/clients/suite.sh"
. "$(dirname "$0")/query.sh"

prepare_venv elastic
broker_start
"$CHRONIK_BUILD/chronik-search" serve --engine "$ENGINE" \
    --search-addr 127.0.0.1:0 >"$tmp/web" 2>"$tmp/web.log" &
jobs_started="$jobs_started $!"
web()
{
	url=$(sed -n 's/^ready http=//p' "$tmp/web")
	[ -n "$url" ]
}
wait_until web || fail "HTTP is not ready: $(cat "$tmp/web.log")"
chronik topic create --config search.enable=true logs >/dev/null ||
    fail "topic create"
awk 'BEGIN { for (n = 0; n < 12; n++)
	printf "k%d:{\"n\":%d,\"level\":\"%s\",\"msg\":\"payment %s %d\"," \
	    "\"user\":{\"name\":\"%s\"},\"tags\":[\"red\",\"%s\"]}\n", n, n,
	    n % 3 ? "info" : "error", n % 2 ? "refused" : "taken", n,
	    n % 2 ? "otto" : "anna", n % 4 ? "soon" : "late" }' |
    kcat -b "$BOOTSTRAP" -P -t logs -K :
# What is not has no score.
wait_until indexed || fail "not indexed: $(search status)"
"$home/venv/bin/python" "$home/elastic/course.py" "http://$url" ||
    fail "the course (see above)"
