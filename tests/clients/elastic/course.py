# SPDX-License-Identifier: Apache-2.0
"""What Elasticsearch's own client asks of chronik-search serve: course.py URL.

The topic logs holds the records that T821-elasticsearch-py.sh has produced.
"""
import sys

import elasticsearch

URL = sys.argv[1]
es = elasticsearch.Elasticsearch(URL, request_timeout=60, retry_on_timeout=True)


def check(got, want, what):
    if got != want:
        sys.exit(f"{what}: got {got!r}, wanted {want!r}")


def refused(what, word, call):
    try:
        call()
    except elasticsearch.BadRequestError as e:
        check(e.status_code, 400, what)
        check(word in e.message + str(e.body), True, f"{what}: {e}")
        check(e.body["status"], 400, what)
        check(e.body["error"]["root_cause"][0]["type"], e.error, what)
        return
    sys.exit(f"{what} is taken")


def found(query, **more):
    r = es.search(index="logs", query=query, size=100, **more)
    check(r["hits"]["total"]["relation"], "eq", query)
    check(r["hits"]["total"]["value"], len(r["hits"]["hits"]), query)
    check(es.count(index="logs", query=query)["count"],
          len(r["hits"]["hits"]), f"count of {query}")
    return sorted(h["_source"]["n"] for h in r["hits"]["hits"])


def connect():
    check(es.ping(), True, "ping")
    check(es.info()["tagline"], "You Know, for Search", "info")
    check(es.indices.exists(index="logs").body, True, "exists")
    check(es.indices.exists(index="nosuch").body, False, "exists not")
    cat = es.cat.indices(format="json")
    check([(i["index"], i["docs.count"]) for i in cat], [("logs", "12")],
          "cat indices")
    check("logs" in str(es.cat.indices(v=True)), True, "cat indices as text")


def queries():
    errors = [0, 3, 6, 9]
    check(found({"match": {"msg": "payment"}}), list(range(12)), "match")
    check(found({"match": {"msg": {"query": "refused 7", "operator": "and"}}}),
          [7], "match and")
    check(found({"match_phrase": {"msg": "payment refused"}}),
          [1, 3, 5, 7, 9, 11], "phrase")
    check(found({"term": {"level.keyword": "error"}}), errors, "term")
    check(found({"term": {"level": {"value": "error"}}}), errors, "term")
    check(found({"terms": {"n": [1, 2, 99]}}), [1, 2], "terms")
    check(found({"range": {"n": {"gt": 8, "lte": 10}}}), [9, 10], "range")
    check(found({"range": {"@timestamp": {"gte": "now-1h"}}}),
          list(range(12)), "time")
    check(found({"range": {"@timestamp": {"lt": 1000, "format":
          "epoch_millis"}}}), [], "time that was")
    check(found({"range": {"offset": {"gte": 10}}}), [10, 11], "offsets")
    check(found({"bool": {
        "must": [{"match": {"msg": "refused"}}],
        "must_not": {"term": {"level": "error"}},
        "filter": [{"range": {"n": {"lt": 8}}}]}}), [1, 5, 7], "bool")
    check(found({"bool": {"should": [
        {"term": {"n": 3}}, {"term": {"level": "error"}},
        {"match": {"msg": "refused"}}], "minimum_should_match": "67%"}}),
        [3, 9], "minimum_should_match")
    check(found({"prefix": {"level": "err"}}), errors, "prefix")
    check(found({"wildcard": {"user.name": {"value": "ann*"}}}),
          [0, 2, 4, 6, 8, 10], "wildcard")
    check(found({"exists": {"field": "user.name"}}), list(range(12)),
          "exists")
    check(found({"exists": {"field": "nosuch"}}), [], "exists not")
    check(found({"query_string": {"query": "level:error AND n:>=6"}}),
          [6, 9], "query_string")
    check(found({"ids": {"values": ["logs-0-4", "logs-0-5"]}}), [4, 5], "ids")
    check(found({"match_all": {}}), list(range(12)), "match_all")
    check(found({"match_none": {}}), [], "match_none")


def shapes():
    r = es.search(index="logs", query={"match": {"msg": "refused"}}, size=2)
    check(r["_shards"], {"total": 1, "successful": 1, "skipped": 0,
                         "failed": 0}, "_shards")
    check(r["timed_out"], False, "timed_out")
    check(r["hits"]["max_score"], r["hits"]["hits"][0]["_score"], "max_score")
    check(r["hits"]["max_score"] > 0, True, "max_score")
    check("sort" in r["hits"]["hits"][0], False, "sort of a ranked hit")

    r = es.search(index="logs", size=3, from_=1, source=["user.name", "n"],
                  sort=[{"@timestamp": {"order": "desc"}}, "_doc"])
    check([h["_source"]["n"] for h in r["hits"]["hits"]], [10, 9, 8], "from")
    check(r["hits"]["hits"][0]["_source"], {"n": 10, "user": {"name": "anna"}},
          "_source keeps its form")
    check([h["sort"][1] for h in r["hits"]["hits"]], [10, 9, 8], "sort values")
    check((r["hits"]["max_score"], r["hits"]["hits"][0]["_score"]),
          (None, None), "scores when sorted")
    r = es.search(index="logs", size=1, sort="@timestamp:asc",
                  source_excludes="user,msg")
    check(r["hits"]["hits"][0]["_source"],
          {"n": 0, "level": "error", "tags": ["red", "late"]}, "excludes")
    r = es.search(index="logs", size=1, source=False, track_total_hits=False)
    check(("_source" in r["hits"]["hits"][0], "total" in r["hits"]),
          (False, False), "what is left out")
    r = es.search(index="logs", q="level:error", size=0,
                  rest_total_hits_as_int=True)
    check(r["hits"]["total"], 4, "a total that is a number")

    r = es.search(index="logs", query={"match": {"tags": "late"}}, size=1,
                  highlight={"fields": {"tags": {}}, "pre_tags": ["<b>"],
                             "post_tags": ["</b>"]})
    check(r["hits"]["hits"][0]["highlight"], {"tags": ["<b>late</b>"]},
          "highlight")


def aggregations():
    r = es.search(index="logs", size=0, aggs={
        "levels": {"terms": {"field": "level.keyword", "size": 1}},
        "numbers": {"terms": {"field": "n", "order": {"_key": "desc"}}},
        "days": {"date_histogram": {"field": "@timestamp",
                                    "calendar_interval": "day"}}})
    a = r["aggregations"]
    check(a["levels"], {"doc_count_error_upper_bound": 0,
          "sum_other_doc_count": 4,
          "buckets": [{"key": "info", "doc_count": 8}]}, "terms")
    check([b["key"] for b in a["numbers"]["buckets"]][:3], [11, 10, 9],
          "keys that are numbers")
    check(sum(b["doc_count"] for b in a["days"]["buckets"]), 12, "days")
    r = es.search(index="logs", size=0, typed_keys=True,
                  aggs={"l": {"terms": {"field": "level"}}})
    check(list(r["aggregations"]), ["sterms#l"], "typed_keys")


def errors():
    def search(**body):
        return lambda: es.search(index="logs", **body)

    refused("fuzzy", "fuzzy", search(query={"fuzzy": {"msg": "x"}}))
    refused("boost", "boost",
            search(query={"term": {"n": {"value": 1, "boost": 2}}}))
    refused("slop", "slop",
            search(query={"match_phrase": {"msg": {"query": "a", "slop": 1}}}))
    refused("avg", "avg", search(aggs={"a": {"avg": {"field": "n"}}}))
    refused("month", "interval", search(aggs={"m": {"date_histogram": {
        "field": "@timestamp", "calendar_interval": "month"}}}))
    refused("sort", "level", search(sort="level"))
    refused("search_after", "search_after", search(search_after=[1]))
    refused("scroll", "scroll", search(scroll="1m"))
    refused("size", "size", search(size=1000000))
    try:
        es.search(index="nosuch")
        sys.exit("a topic that is not there is searched")
    except elasticsearch.NotFoundError as e:
        check(e.error, "index_not_found_exception", "no such topic")
    r = es.search(index="nosuch,logs", ignore_unavailable=True, size=0)
    check(r["hits"]["total"]["value"], 12, "ignore_unavailable")
    r = es.search(index="nosuch", ignore_unavailable=True)
    check(r["hits"]["total"]["value"], 0, "all unavailable")


connect()
queries()
shapes()
aggregations()
errors()
print(f"elasticsearch {elasticsearch.__versionstr__}: all is well")
