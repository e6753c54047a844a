/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What chronik-fs says of itself: README, status.json, errors.log, metrics.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

static const char readme[] =
"Topics as files.  See chronik-fs(1).\n"
"\n"
"topics/NAME/\n"
"  meta.json                what the engine knows of the topic\n"
"  config/KEY               a config of the topic, one value per file\n"
"  follow                   records of all partitions from now on; blocks\n"
"  produce                  lines become records (mounted with -o rw)\n"
"  PARTITION/\n"
"    meta.json              offsets, segments\n"
"    log.jsonl              all records, one JSON object per line; it grows\n"
"    follow                 records from now on; blocks\n"
"    follow@OFFSET          records from an offset on; blocks\n"
"    follow@-1h             ... from what is an hour old on\n"
"    produce                lines become records\n"
"    segments/BASE.jsonl    the records of one segment\n"
"    segments/BASE.log      its record batches, as they are on disk\n"
"    segments/BASE.meta.json\n"
"    by-time/YYYY-MM-DD/HH.jsonl   the records of an hour (UTC)\n"
"    by-offset/first, last  links\n"
"    by-offset/N            the value of a record, its bytes\n"
"    by-offset/N.json       the record, as a line of log.jsonl\n"
"    by-offset/A-B.jsonl    records A to B\n"
"    by-key/KEY.jsonl       the records of a key\n"
"  by-key/KEY.jsonl         the same, of all partitions\n"
"search/QUERY/             %2F stands for /; see chronik-query(7)\n"
"  results.jsonl            the newest records that match, at most 10,000\n"
"  count, facets.json       how many there are in all, and of what\n"
"  coverage.json            what was searched\n"
"  hits/N                   links to the records\n"
"groups/NAME/\n"
"  offsets/TOPIC/PARTITION  one committed offset; with -o admin to be written\n"
"  meta.json                state and members\n"
"  offsets.json             committed offsets\n"
"  lag.json                 and how far they are behind\n"
"engines/ID/meta.json       the engine\n"
".chronik/\n"
"  ctl                      takes drop-caches, reconnect, log debug (-o rw)\n"
"  status.json              this mount\n"
"  errors.log               what went wrong lately, in words\n"
"  metrics                  for Prometheus\n"
"\n"
"A line is {\"p\":0,\"o\":17,\"ts\":1795392664928,\"k\":\"key\",\"h\":{},"
"\"v\":...}:\n"
"partition, offset, timestamp in ms, key, headers, value.  A value that is a\n"
"JSON object, array, number or boolean stands as it is, other text as a\n"
"string, other bytes in base64 as v64.\n"
"\n"
"  tail -f topics/orders/0/log.jsonl\n"
"  grep -h user-1 topics/orders/*/log.jsonl | jq .v\n"
"  cat topics/orders/follow\n";

void
doc_readme(struct node *n)
{
	doc_set(n, strdup(readme), sizeof readme - 1);
}

static void
set_errors(struct node *n)
{
	struct fs *fs = n->fs;
	struct wr w = wr_grow(4 * MIB);

	for (int i = 0; i < ERRORS_MAX; i++) {
		const char *s = fs->errors[(fs->errors_at + i) % ERRORS_MAX];

		if (s != NULL)
			wr_bytes(&w, s, strlen(s));
	}
	if (w.p == NULL)
		w.p = calloc(1, 1);
	doc_set(n, (char *)w.p, w.len);
}

static void
set_status(struct node *n)
{
	const struct hello_res *h = elink_hello(n->fs->link);
	struct fs *fs = n->fs;
	bool up = elink_ready(fs->link);

	doc_set_json(n, json_pack("{s:s,s:s,s:o,s:i,s:b,s:i,s:I,s:I,s:I,s:i,"
	    "s:i,s:i,s:I,s:i,s:I}",
	    "engine", fs->conf.engine, "connection", !up ? "down" :
	    fs->fail_until_ms > 0 ? "not answering" : "up", "cluster_id",
	    json_kstr(h->cluster_id), "node_id", h->node_id, "writable",
	    fs->conf.writable, "requests", fs->nops, "nodes",
	    (json_int_t)fs->nodes.n, "followers",
	    (json_int_t)fs->stats.followers, "cache_bytes",
	    (json_int_t)fs->blk_bytes, "segments_open", fs->nopen_segs,
	    "queries", fs->nseeks, "answers", fs->nanswers, "answer_bytes",
	    (json_int_t)fs->answers_bytes, "copies", fs->ncopies,
	    "copy_bytes", (json_int_t)fs->copy_bytes));
}

static void
set_metrics(struct node *n)
{
	const struct fs_stats *s = &n->fs->stats;
	const struct { const char *name, *type, *help; uint64_t v; } rows[] = {
		{ "calls_total", "counter", "Calls of the kernel", s->calls },
		{ "errors_total", "counter", "Calls that failed", s->errors },
		{ "timeouts_total", "counter", "Calls that ran out of time",
		    s->timeouts },
		{ "text_bytes_total", "counter", "Rendered bytes read",
		    s->text_bytes },
		{ "raw_bytes_total", "counter", "Bytes of segments read",
		    s->raw_bytes },
		{ "blocks_rendered_total", "counter", "Blocks rendered",
		    s->blocks_made },
		{ "measured_bytes_total", "counter", "Bytes of logs measured",
		    s->measured_bytes },
		{ "passthrough_files_total", "counter",
		    "Opened files that the kernel reads by itself", s->passed },
		{ "followers", "gauge", "Open follow files", s->followers },
		{ "cache_bytes", "gauge", "Rendered text kept",
		    n->fs->blk_bytes },
		{ "copies", "gauge", "Copies of segments' text",
		    (uint64_t)n->fs->ncopies },
		{ "copy_bytes", "gauge", "Text in copies",
		    (uint64_t)n->fs->copy_bytes },
		{ "queries_total", "counter", "Runs of chronik-search",
		    s->seeks },
		{ "answer_bytes", "gauge", "Answers of queries kept",
		    n->fs->answers_bytes },
		{ "engine_up", "gauge", "1 while the engine is connected",
		    elink_ready(n->fs->link) },
	};
	struct wr w = wr_grow(64 * KIB);
	char line[512];
	int k;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		k = snprintf(line, sizeof line, "# HELP chronik_fs_%s %s\n"
		    "# TYPE chronik_fs_%s %s\nchronik_fs_%s %llu\n",
		    rows[i].name, rows[i].help, rows[i].name, rows[i].type,
		    rows[i].name, (unsigned long long)rows[i].v);
		wr_bytes(&w, line, (size_t)k);
	}
	doc_set(n, (char *)w.p, w.len);
}

void
doc_status(struct node *n)
{
	if (n->key.kind == KIND_STATUS)
		set_status(n);
	else if (n->key.kind == KIND_ERRORS)
		set_errors(n);
	else
		set_metrics(n);
}

/* ---- engines ------------------------------------------------------------ */

static void
engine_told(struct ecall *c, enum err e, void *r)
{
	const struct stats_res *s = r;
	struct node *n = c->arg;

	if (e == E_OK)
		doc_set_json(n, json_pack("{s:i,s:o,s:o,s:i,s:o,s:o,s:I,s:b,"
		    "s:i,s:i,s:i,s:I,s:I,s:I,s:I,s:I}",
		    "id", s->node_id, "version", json_kstr(s->version),
		    "cluster_id", json_kstr(s->cluster_id), "leader_epoch",
		    s->leader_epoch, "data_dir", json_kstr(s->data_dir),
		    "sync", json_kstr(s->sync), "uptime_ms",
		    (json_int_t)s->uptime_ms, "clean_start", s->clean_start,
		    "topics", s->topics, "partitions", s->parts,
		    "partitions_offline", s->parts_offline, "appends",
		    (json_int_t)s->appends, "append_bytes",
		    (json_int_t)s->append_bytes, "syncs",
		    (json_int_t)s->syncs, "fetches", (json_int_t)s->fetches,
		    "fetch_bytes", (json_int_t)s->fetch_bytes));
	doc_done(n, e);
}

void
doc_engine_start(struct node *n)
{
	doc_call(n, IPC_STATS, 0, arena_alloc(&n->doc.memory,
	    sizeof(struct stats_req)), engine_told);
}
