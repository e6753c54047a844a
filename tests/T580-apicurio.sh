#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A schema registry that keeps its schemas in a topic, Apicurio with its
# storage kafkasql: schemas registered over the API of Confluent's registry
# are there after the engine was killed and the registry itself started anew
# from the topic.

. "$(dirname "$0")/clients/suite.sh"

need curl
. "$clients/apicurio.sh"

# registry: starts one; its process is in $registry, its address in $url.
registry()
{
	: >"$work/registry.log"
	env APICURIO_STORAGE_KIND=kafkasql \
	    APICURIO_KAFKASQL_BOOTSTRAP_SERVERS="$BOOTSTRAP" \
	    APICURIO_KAFKASQL_TOPIC="$prefix-journal" \
	    APICURIO_KAFKASQL_SNAPSHOTS_TOPIC="$prefix-snapshots" \
	    APICURIO_EVENTS_KAFKA_TOPIC="$prefix-events" \
	    QUARKUS_HTTP_PORT=0 QUARKUS_HTTP_HOST=127.0.0.1 \
	    QUARKUS_MANAGEMENT_PORT=0 QUARKUS_MANAGEMENT_HOST=127.0.0.1 \
	    "$java" -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
	    -jar "$home/registry/quarkus-run.jar" \
	    >"$work/registry.log" 2>&1 &
	registry=$!
	jobs_started="$jobs_started $registry"
	tries=0
	until listens; do
		kill -0 "$registry" 2>/dev/null && [ $tries -lt 240 ] || {
			tail -n 30 "$work/registry.log" | cut -c1-300
			fail "the registry does not start"
		}
		tries=$((tries + 1))
		sleep 0.5
	done
	url=$address/apis/ccompat/v7
}

listens()
{
	address=$(sed -nE 's|.*Listening on: (http://[0-9.:]+[0-9]).*|\1|p' \
	    "$work/registry.log")
	[ -n "$address" ]
}

# call METHOD PATH [JSON]: the answer is in $work/answer.
call()
{
	curl -s -f -m 30 -X "$1" \
	    -H 'Content-Type: application/vnd.schemaregistry.v1+json' \
	    ${3:+-d "$3"} -o "$work/answer" "$url/$2"
}

# schema N: the Nth version of a record, as a JSON string.
schema()
{
	fields='{\"name\":\"a\",\"type\":\"int\"}'
	for i in $(seq 2 "$1"); do
		fields="$fields,{\\\"name\\\":\\\"f$i\\\",\
\\\"type\\\":\\\"int\\\",\\\"default\\\":$i}"
	done
	printf '{"schema":"{\\"type\\":\\"record\\",\\"name\\":\\"R\\",'
	printf '\\"fields\\":[%s]}"}' "$fields"
}

register()
{
	tries=0
	until call POST "subjects/$1/versions" "$(schema "$2")"; do
		tries=$((tries + 1))
		[ $tries -lt 30 ] || fail "POST $1: $(curl -s -m 30 \
		    -H 'Content-Type: application/vnd.schemaregistry.v1+json' \
		    -d "$(schema "$2")" "$url/subjects/$1/versions")"
		sleep 0.5
	done
	sed -nE 's/.*"id":([0-9]+).*/\1/p' "$work/answer"
}

# there ID N: the schema of this id is the Nth.
there()
{
	call GET "schemas/ids/$1" &&
	    grep -q "f$2" "$work/answer" &&
	    ! grep -q "f$(($2 + 1))" "$work/answer"
}

broker_start --group-initial-rebalance-delay-ms 0
registry
two=$(register one 2)
three=$(register one 3)
[ -n "$two" ] && [ -n "$three" ] && [ "$two" != "$three" ] ||
    fail "ids $two and $three"
check_eq "$(register one 2)" "$two" "the id of the same schema"
there "$two" 2 && there "$three" 3 || fail "$(cat "$work/answer")"
if [ -n "${CHRONIK_FAULTS:-}" ]; then
	engine_kill9
	wait_ready || fail "not ready after the kill"
fi
four=$(register two 4)
there "$four" 4 || fail "$(cat "$work/answer")"
say "schemas $two, $three and $four are registered"
kill "$registry"
wait "$registry" 2>/dev/null
registry
there "$two" 2 && there "$three" 3 && there "$four" 4 ||
    fail "after its restart: $(cat "$work/answer")"
call GET subjects/one/versions
check_eq "$(tr -d '[] \n' <"$work/answer")" 1,2 "versions"
call GET subjects
check_grep '"two"' "$work/answer" "subjects"
check_eq "$(register one 3)" "$three" "the id after the restart"
say "and there after a restart"
