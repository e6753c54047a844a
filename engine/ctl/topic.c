/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik topic: ls, show, create, set, alter, trim, delete.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "index.h"

/* An answer may hold every partition of the engine. */
enum { ANSWER_MAX = 1024 * MIB };

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static const struct kstr no_words = { -1, NULL };

/* ---- ls, show ---------------------------------------------------------- */

/* Fetches the statistics of one topic, or of all (name NULL). */
static void
get_stats(const struct args *a, struct eng *g, const char *name,
    struct topic_stats_res *res, struct arena *arena)
{
	struct topic_stats_req req = { .name = kstr_of(name) };

	args_call(a, g, IPC_TOPIC_STATS, 0, &req, res, arena);
}

static json_t *
ls_item(const struct topic_stats_res_topic *t)
{
	const struct topic_stats_res_part *p = t->parts.v;
	int64_t records = 0, bytes = 0, offline = 0;
	json_t *item = json_object();
	int i;

	for (i = 0; i < t->parts.n; i++) {
		if (p[i].error != E_OK) {
			offline++;
			continue;
		}
		records += p[i].high_watermark - p[i].log_start_offset;
		bytes += p[i].bytes;
	}
	json_object_set_new(item, "name", out_str(t->name));
	json_object_set_new(item, "id", out_uuid(t->id));
	json_object_set_new(item, "partitions", json_integer(t->parts.n));
	json_object_set_new(item, "offline", json_integer(offline));
	json_object_set_new(item, "offsets", json_integer(records));
	json_object_set_new(item, "bytes", json_integer(bytes));
	return item;
}

static int
by_name(const void *x, const void *y)
{
	const struct topic_stats_res_topic *a = x, *b = y;
	int32_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
	int c = n > 0 ? memcmp(a->name.p, b->name.p, (size_t)n) : 0;

	return c != 0 ? c : a->name.len - b->name.len;
}

int
cmd_topic_ls(struct args *a)
{
	static const struct column cols[] = {
		{ "name", "NAME", false },
		{ "partitions", "PARTITIONS", true },
		{ "offline", "OFFLINE", true },
		{ "offsets", "OFFSETS", true },
		{ "bytes", "BYTES", true },
		{ "id", "ID", false },
	};
	struct topic_stats_res res;
	json_t *items = json_array();
	struct arena arena;
	struct eng *g;
	int i;

	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	get_stats(a, g, NULL, &res, &arena);
	if (res.topics.n > 1)
		qsort(res.topics.v, (size_t)res.topics.n,
		    sizeof(struct topic_stats_res_topic), by_name);
	for (i = 0; i < res.topics.n; i++)
		json_array_append_new(items, ls_item(
		    res.topics.v + i));
	out_items(a, "chronik.topic.ls/1", items, cols, COUNT(cols));
	arena_reset(&arena);
	eng_close(g);
	return EXIT_OK;
}

/* What compaction has done and left. */
static void
compaction_put(json_t *j, const struct topic_stats_res_part *p)
{
	time_t t = (time_t)(p->compacted_ms / 1000);
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		strftime(when, sizeof when, "%FT%TZ", &tm);
	json_object_set_new(j, "dirty", json_real(p->dirty / 1000.0));
	json_object_set_new(j, "compacted", p->compacted_ms == 0 ?
	    json_null() : json_string(when));
	json_object_set_new(j, "failed_passes",
	    json_integer(p->compact_tries));
	json_object_set_new(j, "refused", json_integer(p->segments_refused));
}

static json_t *
part_item(const struct topic_stats_res_part *p, struct kstr topic)
{
	json_t *j = json_object();
	enum err e = p->error >= 0 && p->error < E_MAX ? (enum err)p->error :
	    E_UNKNOWN;
	bool on = e == E_OK;

	/* Offsets of a partition that is not open are not known. */
	json_object_set_new(j, "topic", out_str(topic));
	json_object_set_new(j, "partition", json_integer(p->index));
	json_object_set_new(j, "leader_epoch", json_integer(p->leader_epoch));
	json_object_set_new(j, "start", on ?
	    json_integer(p->log_start_offset) : json_null());
	json_object_set_new(j, "high_watermark", on ?
	    json_integer(p->high_watermark) : json_null());
	json_object_set_new(j, "end", on ? json_integer(p->end_offset) :
	    json_null());
	json_object_set_new(j, "bytes", on ? json_integer(p->bytes) :
	    json_null());
	json_object_set_new(j, "segments", on ? json_integer(p->segments) :
	    json_null());
	json_object_set_new(j, "producers", on ? json_integer(p->producers) :
	    json_null());
	if (on && p->dirty >= 0)
		compaction_put(j, p);
	out_verdict(j, e, no_words);
	return j;
}

static json_t *
show_item(const struct args *a, const struct topic_stats_res_topic *t)
{
	const struct topic_stats_res_part *p = t->parts.v;
	const struct topic_stats_res_config *c = t->configs.v;
	json_t *item = json_object(), *parts = json_array();
	json_t *configs = json_object(), *rows;
	bool searched = index_get(a, t, &rows);
	int i;

	for (i = 0; i < t->parts.n; i++) {
		json_t *j = part_item(p + i, t->name);

		json_object_del(j, "topic");
		index_put(j, rows);
		json_array_append_new(parts, j);
	}
	for (i = 0; i < t->configs.n; i++) {
		json_t *j = json_object(), *name = out_str(c[i].name);

		json_object_set_new(j, "value", out_str(c[i].value));
		json_object_set_new(j, "set", json_boolean(c[i].set));
		json_object_set_new(configs, json_string_value(name), j);
		json_decref(name);
	}
	json_object_set_new(item, "name", out_str(t->name));
	json_object_set_new(item, "id", out_uuid(t->id));
	json_object_set_new(item, "partitions", parts);
	json_object_set_new(item, "configs", configs);
	json_object_set_new(item, "search", searched ? index_sum(rows) :
	    json_null());
	json_decref(rows);
	return item;
}

/* Above the partitions of a topic in a table: its id, and what was set. */
static void
print_topic(const struct topic_stats_res_topic *t)
{
	const struct topic_stats_res_config *c = t->configs.v;
	json_t *id = out_uuid(t->id);
	int i;

	printf("%.*s  id %s, partitions %d\n", (int)t->name.len, t->name.p,
	    json_is_string(id) ? json_string_value(id) : "-", t->parts.n);
	for (i = 0; i < t->configs.n; i++)
		if (c[i].set)
			printf("  %.*s = %.*s\n", (int)c[i].name.len,
			    c[i].name.p, (int)c[i].value.len, c[i].value.p);
	json_decref(id);
}

static void
print_parts(const struct args *a, const struct topic_stats_res_topic *t)
{
	static const struct column cols[] = {
		{ "topic", "TOPIC", false },
		{ "partition", "PARTITION", true },
		{ "leader_epoch", "EPOCH", true },
		{ "start", "START", true },
		{ "high_watermark", "HIGH-WATERMARK", true },
		{ "end", "END", true },
		{ "bytes", "BYTES", true },
		{ "segments", "SEGMENTS", true },
		{ "producers", "PRODUCERS", true },
		{ "error", "ERROR", false },
	}, compacted[] = {
		{ "dirty", "DIRTY", true },
		{ "compacted", "COMPACTED", false },
		{ "failed_passes", "FAILED", true },
		{ "refused", "REFUSED", true },
	}, indexed[] = {
		{ "indexed_to", "INDEXED-TO", true },
		{ "not_indexed", "NOT-INDEXED", true },
	};
	struct column all[COUNT(cols) + COUNT(compacted) + COUNT(indexed)];
	const struct topic_stats_res_part *p = t->parts.v;
	json_t *items = json_array(), *rows;
	bool compact = false, searched = index_get(a, t, &rows);
	int n = COUNT(cols);

	memcpy(all, cols, sizeof cols);
	for (int i = 0; i < t->parts.n; i++) {
		json_t *j = part_item(p + i, t->name);

		index_put(j, rows);
		json_array_append_new(items, j);
		compact |= p[i].dirty >= 0;
	}
	if (compact) {
		memcpy(all + n, compacted, sizeof compacted);
		n += COUNT(compacted);
	}
	if (searched) {
		memcpy(all + n, indexed, sizeof indexed);
		n += COUNT(indexed);
	}
	if (a->format == FORMAT_TABLE) {
		print_topic(t);
		if (searched)
			index_print(rows);
	}
	out_rows(a, items, all, n);
	json_decref(items);
	json_decref(rows);
}

int
cmd_topic_show(struct args *a)
{
	struct topic_stats_res res;
	json_t *items = json_array();
	struct arena arena;
	int i, rc = EXIT_OK;
	struct eng *g;

	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	for (i = 0; i < a->noperands; i++) {
		get_stats(a, g, a->operands[i], &res, &arena);
		if (res.topics.n != 1) {
			json_t *item = json_object();

			json_object_set_new(item, "name",
			    out_str(kstr_of(a->operands[i])));
			out_verdict(item, E_UNKNOWN_TOPIC, no_words);
			json_array_append_new(items, item);
			out_error(a, a->operands[i], E_UNKNOWN_TOPIC,
			    no_words);
			rc = EXIT_ITEM;
		} else if (a->format == FORMAT_JSON ||
		    a->format == FORMAT_JSONL)
			json_array_append_new(items, show_item(a,
			    res.topics.v));
		else
			print_parts(a, res.topics.v);
		arena_reset(&arena);
	}
	if (a->format == FORMAT_JSON || a->format == FORMAT_JSONL)
		out_items(a, "chronik.topic.show/1", items, NULL, 0);
	else
		json_decref(items);
	eng_close(g);
	return rc;
}

/* ---- create, delete ---------------------------------------------------- */

/* What became of each topic: the same columns for create and delete. */
static const struct column done_cols[] = {
	{ "name", "NAME", false },
	{ "id", "ID", false },
	{ "status", "STATUS", false },
	{ "error", "ERROR", false },
	{ "message", "MESSAGE", false },
};

/* The same of set, which says nothing of ids. */
static const struct column set_cols[] = {
	{ "name", "NAME", false },
	{ "status", "STATUS", false },
	{ "error", "ERROR", false },
	{ "message", "MESSAGE", false },
};

/* One topic's outcome; true when it failed, which is also said. */
static bool
done(const struct args *a, json_t *items, struct kstr name, struct uuid id,
    const char *status, enum err e, struct kstr message)
{
	json_t *item = json_object();
	const char *s;

	json_object_set_new(item, "name", out_str(name));
	if (!uuid_zero(id) || e != E_OK)
		json_object_set_new(item, "id", out_uuid(id));
	json_object_set_new(item, "status", json_string(e == E_OK ? status :
	    "failed"));
	out_verdict(item, e, message);
	if (a->opt[OPT_dry_run] != NULL)
		json_object_set_new(item, "dry_run", json_true());
	json_array_append_new(items, item);
	if (e == E_OK)
		return false;
	s = json_string_value(json_object_get(item, "name"));
	out_error(a, s == NULL ? "?" : s, e, message);
	return true;
}

/* Reads --config KEY=VALUE into an array in the arena. */
static struct create_topics_req_topic_config *
get_configs(const struct args *a, struct arena *arena)
{
	struct create_topics_req_topic_config *c;
	int i;

	c = arena_array(arena, (size_t)a->nconfigs, sizeof(*c));
	ASSERT(c != NULL);
	for (i = 0; i < a->nconfigs; i++) {
		const char *s = a->configs[i], *eq = strchr(s, '=');

		if (eq == NULL || eq == s)
			args_fail(a, s, "must read KEY=VALUE");
		c[i].name = (struct kstr){ (int32_t)(eq - s), s };
		c[i].value = kstr_of(eq + 1);
	}
	return c;
}

int
cmd_topic_create(struct args *a)
{
	const struct create_topics_res_topic *r;
	struct create_topics_req_topic *t;
	struct create_topics_req req;
	struct create_topics_res res;
	json_t *items = json_array();
	bool dry = a->opt[OPT_dry_run] != NULL;
	struct arena arena;
	struct eng *g;
	int i, failed = 0, parts;

	arena_init(&arena, ANSWER_MAX);
	msg_init(kafka_req(API_CREATE_TOPICS), &req);
	req.timeout_ms = a->timeout_ms;
	req.validate_only = dry;
	t = arena_array(&arena, (size_t)a->noperands, sizeof(*t));
	ASSERT(t != NULL);
	req.topics.n = a->noperands;
	req.topics.v = t;
	parts = args_number(a, OPT_partitions, 1, INT32_MAX, -1);
	for (i = 0; i < a->noperands; i++) {
		t[i].name = kstr_of(a->operands[i]);
		t[i].num_partitions = parts;
		t[i].replication_factor = -1;
		t[i].configs.n = a->nconfigs;
		t[i].configs.v = get_configs(a, &arena);
	}
	g = args_connect(a);
	args_call(a, g, API_CREATE_TOPICS, 7, &req, &res, &arena);
	r = res.topics.v;
	for (i = 0; i < res.topics.n; i++) {
		enum err e = err_of_code(r[i].error_code);
		bool there = e == E_TOPIC_EXISTS &&
		    a->opt[OPT_if_not_exists] != NULL;

		failed += done(a, items, r[i].name, r[i].topic_id, there ?
		    "exists" : dry ? "would be created" : "created", there ?
		    E_OK : e, r[i].error_message);
	}
	out_items(a, "chronik.topic.create/1", items, done_cols,
	    COUNT(done_cols));
	arena_reset(&arena);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}

/* What --config and --unset ask for, as rows of IncrementalAlterConfigs. */
static struct incremental_alter_configs_req_resource_config *
get_changes(const struct args *a, struct arena *arena)
{
	struct create_topics_req_topic_config *set = get_configs(a, arena);
	struct incremental_alter_configs_req_resource_config *c;
	int i;

	c = arena_array(arena, (size_t)(a->nconfigs + a->nunsets),
	    sizeof(*c));
	ASSERT(c != NULL);
	for (i = 0; i < a->nconfigs; i++) {
		c[i].name = set[i].name;
		c[i].value = set[i].value;
		c[i].config_operation = 0;	/* SET */
	}
	for (i = 0; i < a->nunsets; i++) {
		c[a->nconfigs + i].name = kstr_of(a->unsets[i]);
		c[a->nconfigs + i].value.len = -1;
		c[a->nconfigs + i].config_operation = 1;	/* DELETE */
	}
	return c;
}

int
cmd_topic_set(struct args *a)
{
	const struct incremental_alter_configs_res_response *r;
	struct incremental_alter_configs_req_resource *t;
	struct incremental_alter_configs_req req;
	struct incremental_alter_configs_res res;
	json_t *items = json_array();
	bool dry = a->opt[OPT_dry_run] != NULL;
	struct arena arena;
	struct eng *g;
	int i, failed = 0;

	if (a->nconfigs + a->nunsets == 0)
		args_fail(a, "--config or --unset", "is missing");
	arena_init(&arena, ANSWER_MAX);
	msg_init(kafka_req(API_INCREMENTAL_ALTER_CONFIGS), &req);
	req.validate_only = dry;
	t = arena_array(&arena, (size_t)a->noperands, sizeof(*t));
	ASSERT(t != NULL);
	req.resources.n = a->noperands;
	req.resources.v = t;
	for (i = 0; i < a->noperands; i++) {
		t[i].resource_type = 2;		/* TOPIC */
		t[i].resource_name = kstr_of(a->operands[i]);
		t[i].configs.n = a->nconfigs + a->nunsets;
		t[i].configs.v = get_changes(a, &arena);
	}
	g = args_connect(a);
	args_call(a, g, API_INCREMENTAL_ALTER_CONFIGS, 1, &req, &res, &arena);
	r = res.responses.v;
	for (i = 0; i < res.responses.n; i++)
		failed += done(a, items, r[i].resource_name,
		    (struct uuid){ { 0 } }, dry ? "would be set" : "set",
		    err_of_code(r[i].error_code), r[i].error_message);
	out_items(a, "chronik.topic.set/1", items, set_cols, COUNT(set_cols));
	arena_reset(&arena);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}

int
cmd_topic_alter(struct args *a)
{
	const struct create_partitions_res_result *r;
	struct create_partitions_req_topic *t;
	struct create_partitions_req req;
	struct create_partitions_res res;
	json_t *items = json_array();
	bool dry = a->opt[OPT_dry_run] != NULL;
	struct arena arena;
	struct eng *g;
	int i, failed = 0;

	if (a->opt[OPT_partitions] == NULL)
		args_fail(a, "--partitions", "is missing");
	arena_init(&arena, ANSWER_MAX);
	msg_init(kafka_req(API_CREATE_PARTITIONS), &req);
	req.timeout_ms = a->timeout_ms;
	req.validate_only = dry;
	t = arena_array(&arena, (size_t)a->noperands, sizeof(*t));
	ASSERT(t != NULL);
	req.topics.n = a->noperands;
	req.topics.v = t;
	for (i = 0; i < a->noperands; i++) {
		t[i].name = kstr_of(a->operands[i]);
		t[i].count = args_number(a, OPT_partitions, 1, INT32_MAX, 1);
		t[i].assignments.n = -1;
	}
	g = args_connect(a);
	args_call(a, g, API_CREATE_PARTITIONS, 3, &req, &res, &arena);
	r = res.results.v;
	for (i = 0; i < res.results.n; i++)
		failed += done(a, items, r[i].name, (struct uuid){ { 0 } },
		    dry ? "would be altered" : "altered",
		    err_of_code(r[i].error_code), r[i].error_message);
	out_items(a, "chronik.topic.alter/1", items, set_cols,
	    COUNT(set_cols));
	arena_reset(&arena);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}

/* What a deletion would meet, without one: Kafka's request has no such
 * flag. */
static int
delete_dry(const struct args *a, struct eng *g, struct arena *arena,
    json_t *items)
{
	bool lenient = a->opt[OPT_if_exists] != NULL;
	struct topic_stats_res res;
	int i, failed = 0;

	for (i = 0; i < a->noperands; i++) {
		struct topic_stats_res_topic none = { 0 }, *t;
		enum err e;

		get_stats(a, g, a->operands[i], &res, arena);
		t = res.topics.n == 1 ? res.topics.v : &none;
		e = res.topics.n == 1 ? E_OK : E_UNKNOWN_TOPIC;
		failed += done(a, items, kstr_of(a->operands[i]), t->id,
		    e == E_OK ? "would be deleted" : "absent",
		    lenient ? E_OK : e, no_words);
	}
	return failed;
}

static int
delete_wet(const struct args *a, struct eng *g, struct arena *arena,
    json_t *items)
{
	const struct delete_topics_res_topic *r;
	struct delete_topics_req_topic *t;
	struct delete_topics_req req;
	struct delete_topics_res res;
	int i, failed = 0;

	msg_init(kafka_req(API_DELETE_TOPICS), &req);
	req.timeout_ms = a->timeout_ms;
	t = arena_array(arena, (size_t)a->noperands, sizeof(*t));
	ASSERT(t != NULL);
	for (i = 0; i < a->noperands; i++)
		t[i].name = kstr_of(a->operands[i]);
	req.topics.n = a->noperands;
	req.topics.v = t;
	args_call(a, g, API_DELETE_TOPICS, 6, &req, &res, arena);
	r = res.responses.v;
	for (i = 0; i < res.responses.n; i++) {
		enum err e = err_of_code(r[i].error_code);
		bool gone = e == E_UNKNOWN_TOPIC &&
		    a->opt[OPT_if_exists] != NULL;
		struct kstr name = r[i].name;

		if (name.len < 0 && i < a->noperands)
			name = kstr_of(a->operands[i]);
		failed += done(a, items, name, r[i].topic_id, gone ?
		    "absent" : "deleted", gone ? E_OK : e,
		    r[i].error_message);
	}
	return failed;
}

int
cmd_topic_delete(struct args *a)
{
	json_t *items;
	struct arena arena;
	struct eng *g;
	int failed;

	if (!args_confirmed(a, "topic", "all records"))
		return EXIT_REFUSED;
	items = json_array();
	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	failed = a->opt[OPT_dry_run] != NULL ?
	    delete_dry(a, g, &arena, items) : delete_wet(a, g, &arena, items);
	out_items(a, "chronik.topic.delete/1", items, done_cols,
	    COUNT(done_cols));
	arena_reset(&arena);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}

/* ---- trim -------------------------------------------------------------- */

static const struct column trim_cols[] = {
	{ "name", "NAME", false },
	{ "partition", "PARTITION", true },
	{ "start", "START", true },
	{ "status", "STATUS", false },
	{ "error", "ERROR", false },
	{ "message", "MESSAGE", false },
};

/* One partition's outcome; true when it failed, which is also said. */
static bool
trimmed(const struct args *a, json_t *items, const char *name,
    int32_t partition, int64_t start, const char *status, enum err e)
{
	json_t *item = json_object();

	json_object_set_new(item, "name", out_str(kstr_of(name)));
	json_object_set_new(item, "partition", partition < 0 ? json_null() :
	    json_integer(partition));
	json_object_set_new(item, "start", e == E_OK ? json_integer(start) :
	    json_null());
	json_object_set_new(item, "status", json_string(e == E_OK ? status :
	    "failed"));
	out_verdict(item, e, no_words);
	if (a->opt[OPT_dry_run] != NULL)
		json_object_set_new(item, "dry_run", json_true());
	json_array_append_new(items, item);
	if (e != E_OK)
		out_error(a, name, e, no_words);
	return e != E_OK;
}

/* --before: an offset, or the high watermark (-1). */
static int64_t
trim_offset(const struct args *a)
{
	const char *s = a->opt[OPT_before];
	long long n;
	char *end;

	if (s == NULL)
		return -1;
	errno = 0;
	n = strtoll(s, &end, 10);
	if (errno != 0 || end == s || *end != '\0' || n < 0)
		args_fail(a, "--before", "must be an offset");
	return n;
}

/* What is asked for, of the partitions that there are. */
static int
trim_dry(const struct args *a, json_t *items, const char *name,
    const struct topic_stats_res_topic *t, int partition, int64_t before)
{
	int i, failed = 0;

	for (i = 0; i < t->parts.n; i++) {
		const struct topic_stats_res_part *p = &t->parts.v[i];
		int64_t to = before < 0 ? p->high_watermark : before;
		enum err e = (enum err)p->error;

		if (partition >= 0 && p->index != partition)
			continue;
		if (e == E_OK && to > p->high_watermark)
			e = E_OFFSET_OUT_OF_RANGE;
		failed += trimmed(a, items, name, p->index,
		    to > p->log_start_offset ? to : p->log_start_offset,
		    "would be trimmed", e);
	}
	return failed;
}

static int
trim_wet(const struct args *a, struct eng *g, json_t *items,
    const char *name, const struct topic_stats_res_topic *t, int partition,
    int64_t before, struct arena *arena)
{
	struct delete_records_req_topic qt = { .name = kstr_of(name) };
	struct delete_records_req req = { .timeout_ms = a->timeout_ms,
	    .topics = { 1, &qt } };
	struct delete_records_res res;
	int i, failed = 0;

	qt.partitions.v = arena_array(arena, (size_t)t->parts.n,
	    sizeof *qt.partitions.v);
	ASSERT(qt.partitions.v != NULL);
	for (i = 0; i < t->parts.n; i++)
		if (partition < 0 || t->parts.v[i].index == partition)
			qt.partitions.v[qt.partitions.n++] =
			    (struct delete_records_req_topic_part){
			    t->parts.v[i].index, before };
	args_call(a, g, API_DELETE_RECORDS, 2, &req, &res, arena);
	for (i = 0; res.topics.n == 1 && i < res.topics.v[0].partitions.n;
	    i++) {
		const struct delete_records_res_topic_part *p =
		    &res.topics.v[0].partitions.v[i];

		failed += trimmed(a, items, name, p->partition_index,
		    p->low_watermark, "trimmed", err_of_code(p->error_code));
	}
	return failed;
}

int
cmd_topic_trim(struct args *a)
{
	int partition = args_number(a, OPT_partition, 0, INT32_MAX, -1);
	int64_t before = trim_offset(a);
	struct topic_stats_res res;
	struct arena arena;
	json_t *items;
	struct eng *g;
	int i, failed = 0;

	if (!args_confirmed(a, "topic", "records"))
		return EXIT_REFUSED;
	items = json_array();
	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	for (i = 0; i < a->noperands; i++) {
		const char *name = a->operands[i];
		const struct topic_stats_res_topic *t;

		get_stats(a, g, name, &res, &arena);
		t = res.topics.v;
		if (res.topics.n != 1 || partition >= t->parts.n)
			failed += trimmed(a, items, name, partition, 0, "",
			    E_UNKNOWN_TOPIC);
		else if (a->opt[OPT_dry_run] != NULL)
			failed += trim_dry(a, items, name, t, partition,
			    before);
		else
			failed += trim_wet(a, g, items, name, t, partition,
			    before, &arena);
	}
	out_items(a, "chronik.topic.trim/1", items, trim_cols,
	    COUNT(trim_cols));
	arena_reset(&arena);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}
