#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# chronik-search serve: queries in Elasticsearch's language over HTTP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/query.sh"
command -v curl >/dev/null || skip "curl is not installed"

port=
for p in $(shuf -i 20000-29999 -n 50); do
	(: <>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || {
		port=$p
		break
	}
done
check_rc 2 chronik start --search-addr nonsense
# What serves lies beside what it is started by.
cp "$CHRONIK_BUILD/chronik-search" "$tmp/chronik-search"
check_rc 2 "$tmp/chronik-search" serve
check_grep "serve: $tmp/chronik-search-serve: No such file" "$tmp/err" alone
broker_start --search-addr "127.0.0.1:$port"
url=http://127.0.0.1:$port

# ask STATUS PATH [BODY]: the answer in $tmp/answer.
ask()
{
	local got

	got=$(curl -s -m "$lib_wait_s" -o "$tmp/answer" -w '%{http_code}' \
	    -H 'Content-Type: application/json' ${3:+-d "$3"} "$url$2")
	check_eq "$got" "$1" "status of $2 ${3-}: $(head -c 500 "$tmp/answer")"
}

# total N: hits of the last answer.
total()
{
	check_grep "\"total\":{\"value\":$1,\"relation\":\"eq\"}" \
	    "$tmp/answer" "number of hits of ${2-}"
}

up()
{
	curl -s -o /dev/null "$url/health"
}
wait_until up || fail "HTTP does not answer"
chronik topic create --config search.enable=true logs >/dev/null ||
    fail "topic create"
i=0
for m in 'connection reset by peer' 'connection refused' 'reset done' \
    'all is well'; do
	echo "k$i:{\"msg\":\"$m\",\"level\":\"$([ $i -lt 2 ] && echo error ||
	    echo info)\",\"n\":$((i * 100)),\"user\":{\"id\":$i}}"
	i=$((i + 1))
done | kcat -b "$BOOTSTRAP" -P -t logs -K :
echo 'plain text' | kcat -b "$BOOTSTRAP" -P -t logs

ask 200 / && check_grep '"number"' "$tmp/answer" version
wait_until indexed || fail "not indexed: $(search status)"
ask 200 /metrics
check_grep '^chronik_index_indexed_records{topic="logs"} 5$' "$tmp/answer" metrics
check_grep '^chronik_index_lag_records{topic="logs"} 0$' "$tmp/answer" lag
if command -v promtool >/dev/null; then
	promtool check metrics <"$tmp/answer" || fail "promtool check metrics"
fi
ask 200 /_cat/indices && check_grep '^green open logs 1 0 5 ' "$tmp/answer" cat
ask 200 /_search && total 5
ask 200 '/_search?q=level:error&size=1' && total 2
ask 200 /logs/_search '{"query":{"match":{"msg":"connection reset"}}}'
total 3
check_grep '"hits":\[{"_index":"logs","_id":"logs-0-0"' "$tmp/answer" \
    "the best hit"
while read -r n q; do
	ask 200 /logs/_search "{\"query\":$q}"
	total "$n" "$q"
	ask 200 /_count "{\"query\":$q}"
	check_grep "\"count\":$n," "$tmp/answer" "count of $q"
done <<'QUERIES'
1 {"match":{"msg":{"query":"connection reset","operator":"and"}}}
1 {"match_phrase":{"msg":"reset by"}}
0 {"match_phrase":{"level":"reset by"}}
2 {"term":{"level.keyword":"error"}}
3 {"terms":{"n":[0,100,300]}}
2 {"range":{"n":{"gt":0,"lte":200}}}
5 {"range":{"@timestamp":{"gte":"now-1h"}}}
2 {"prefix":{"level":"err"}}
2 {"wildcard":{"msg":{"value":"connection*"}}}
4 {"exists":{"field":"user.id"}}
2 {"ids":{"values":["logs-0-1","logs-0-4"]}}
1 {"query_string":{"query":"plain text","default_operator":"AND"}}
1 {"bool":{"must":{"match":{"msg":"reset"}},"must_not":[{"term":{"level":"info"}}]}}
1 {"bool":{"filter":[{"term":{"level":"error"}},{"range":{"n":{"lt":50}}}]}}
2 {"bool":{"should":[{"match":{"msg":"reset"}},{"term":{"level":"error"}},{"term":{"n":200}}],"minimum_should_match":2}}
1 {"match":{"key":"k3"}}
5 {"match_all":{}}
QUERIES
ask 200 /_search '{"size":1,"from":1,"sort":[{"@timestamp":"asc"}],
    "_source":["msg"],"highlight":{},"query":{"match":{"msg":"refused"}}}'
ask 200 /_search '{"query":{"match":{"msg":"refused"}},"_source":["msg"],
    "highlight":{"fields":{"msg":{}}}}'
check_grep '"_source":{"msg":"connection refused"}' "$tmp/answer" _source
check_grep '"msg":\["connection <em>refused</em>"\]' "$tmp/answer" highlight
ask 200 /_search '{"size":0,"aggs":{"levels":{"terms":{"field":"level"}},
    "days":{"date_histogram":{"field":"@timestamp","fixed_interval":"1d"}}}}'
check_grep '{"key":"error","doc_count":2}' "$tmp/answer" terms
check_grep '"days":{"buckets":\[{"key_as_string":' "$tmp/answer" histogram

# What is not understood is named.
ask 400 /_search '{"query":{"fuzzy":{"msg":"x"}}}'
check_grep 'unknown query \[fuzzy\]' "$tmp/answer" fuzzy
ask 400 /_search '{"query":{"match":{"msg":{"query":"x","fuzziness":1}}}}'
check_grep 'fuzziness' "$tmp/answer" fuzziness
ask 400 /_search '{"collapse":{}}' && check_grep collapse "$tmp/answer" key
ask 400 /_search '{"query":' && check_grep parsing "$tmp/answer" JSON
ask 400 '/_search?scroll=1m' && check_grep scroll "$tmp/answer" parameter
ask 404 /nosuch/_search
ask 404 /_nosuch
ask 400 /_search "$(printf '{"query":%s{}%s}' \
    "$(printf '{"bool":{"must":%.0s' $(seq 200))" \
    "$(printf '}}%.0s' $(seq 200))")"
head -c 2000000 /dev/zero | tr '\0' ' ' >"$tmp/large"
ask 413 /_search "@$tmp/large"
check_grep '"status":413' "$tmp/answer" "a large body"
# Who does not ask first gets the answer as well.
check_eq "$(curl -s -m "$lib_wait_s" -o "$tmp/answer" -w '%{http_code}' \
    -H Expect: --data-binary "@$tmp/large" "$url/_search")" 413 "sent at once"
ask 400 /_search "$(printf '[%.0s' $(seq 5000))"
ask 400 "/_search?$(printf 'a=%.0s&' $(seq 100))"
ask 400 '/_search?size=-1' && check_grep 'size' "$tmp/answer" "a bad size"
ask 400 '/_search?pretty=perhaps' && check_grep 'pretty' "$tmp/answer" flag
ask 400 /_count '{"sort":"_doc"}' ||
    fail "a count with more than a query"
ask 414 "/_search?q=$(head -c 60000 /dev/zero | tr '\0' a)" ||
    fail "a long address"

# curl_is WANTED ARGUMENT...: what it prints.
curl_is()
{
	local want=$1

	shift
	check_eq "$(curl -s -m "$lib_wait_s" -o "$tmp/answer" "$@")" "$want" \
	    "curl $*"
}
code='%{http_code} '
curl_is '200 ' -I -w "$code" "$url/"
check_eq "$(tr -d '\r' <"$tmp/answer" | grep -ci '^x-elastic-product: ')" 1 \
    "the product of HEAD"
curl_is '200 ' -I -w "$code" "$url/logs"
curl_is '404 ' -I -w "$code" "$url/nosuch"
curl_is '405 ' -X DELETE -D "$tmp/head" -w "$code" "$url/logs/_search"
check_grep '^Allow: GET, HEAD, POST' "$tmp/head" "what is allowed"
# One connection for all of them.
check_eq "$(curl -s -m "$lib_wait_s" -o /dev/null -o /dev/null -w \
    '%{num_connects}' "$url/health" "$url/_count")" 10 "connections made"
# A body without a length, that goes on for ever.
timeout "$lib_wait_s" curl -s -o /dev/null -X POST -T - \
    -H 'Transfer-Encoding: chunked' "$url/_search" </dev/zero
[ $? != 124 ] || fail "a body that never ends is read for ever"
# Those that send nothing, or begin and do not go on, keep nobody waiting.
for i in 3 4 5 6 7 8 9; do
	eval "exec $i<>/dev/tcp/127.0.0.1/$port"
	[ $i = 3 ] || printf 'POST /_search HTTP/1.1\r\nContent-Length: 9\r\n' \
	    >&$i
	[ $i -lt 6 ] || printf 'Host: x\r\n\r\n{"q' >&$i
done
printf 'nonsense\r\n\r\n' >&3
ask 200 /health
ask 200 /_search && total 5
for i in 3 4 5 6 7 8 9; do
	eval "exec $i>&-"
done

# A search that waits keeps nobody waiting.
engine=$(lib_children "$BROKER_PID" chronik-engine)
kill -STOP "$engine"
curl -s -m "$lib_wait_s" -o /dev/null "$url/_search" &
waits=$!
sleep 0.5
check_eq "$(curl -s -m 20 -o /dev/null -w '%{http_code}' "$url/")" 200 \
    "a second request"
kill -0 $waits || fail "the first one did not wait"
kill -CONT "$engine"
wait $waits

# The engine may go and come back.
engine_kill9
ask_again()
{
	[ "$(curl -s -m "$lib_wait_s" -o "$tmp/answer" -w '%{http_code}' \
	    "$url/_search")" = 200 ]
}
wait_until ask_again || fail "no answer after the engine came back: $(cat "$tmp/answer")"
total 5

# A request that comes by and by holds its connection for so long only.
"$CHRONIK_BUILD/chronik-search" serve --engine "$ENGINE" --search-addr \
    127.0.0.1:0 --connections-max-idle-ms 1500 >"$tmp/second" 2>/dev/null &
second=$!
second_ready()
{
	grep -q '^ready http=' "$tmp/second"
}
wait_until second_ready || fail "a second one does not start"
lib_rc=0
timeout "$lib_wait_s" bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"
    printf "GET / HTTP/1.1\r\nX: " >&3
    while printf a >&3; do sleep 0.2; done' \
    "$(sed 's/.*://' "$tmp/second")" 2>/dev/null || lib_rc=$?
kill "$second"
wait "$second"
[ "$lib_rc" != 124 ] || fail "a request may take for ever"
