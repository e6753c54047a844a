/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik cluster: status.
 */
#include <stdio.h>

#include "ctl.h"

static json_t *
stats_item(const struct stats_res *s)
{
	json_t *j = json_object();

#define NUMBER(f)	json_object_set_new(j, #f, json_integer(s->f))
#define WORDS(f)	json_object_set_new(j, #f, out_str(s->f))
	WORDS(cluster_id);
	NUMBER(node_id);
	WORDS(version);
	WORDS(data_dir);
	WORDS(sync);
	NUMBER(uptime_ms);
	json_object_set_new(j, "clean_start", json_boolean(s->clean_start));
	NUMBER(leader_epoch);
	NUMBER(topics);
	json_object_set_new(j, "partitions", json_integer(s->parts));
	json_object_set_new(j, "partitions_offline",
	    json_integer(s->parts_offline));
	NUMBER(links);
	NUMBER(fetches_parked);
	NUMBER(appends);
	NUMBER(append_bytes);
	NUMBER(syncs);
	NUMBER(fetches);
	NUMBER(fetch_bytes);
	NUMBER(cold_reads);
#undef NUMBER
#undef WORDS
	return j;
}

/* For people: a line for each member. */
static void
print_lines(json_t *item)
{
	const char *key;
	json_t *v;

	json_object_foreach(item, key, v)
		if (json_is_string(v))
			printf("%-20s %s\n", key, json_string_value(v));
		else if (json_is_boolean(v))
			printf("%-20s %s\n", key, json_is_true(v) ? "true" :
			    "false");
		else
			printf("%-20s %lld\n", key,
			    (long long)json_integer_value(v));
}

int
cmd_cluster_status(struct args *a)
{
	static const struct column cols[] = {
		{ "cluster_id", "CLUSTER", false },
		{ "node_id", "NODE", true },
		{ "version", "VERSION", false },
		{ "sync", "SYNC", false },
		{ "uptime_ms", "UPTIME-MS", true },
		{ "topics", "TOPICS", true },
		{ "partitions", "PARTITIONS", true },
		{ "partitions_offline", "OFFLINE", true },
		{ "links", "LINKS", true },
		{ "appends", "APPENDS", true },
		{ "append_bytes", "APPEND-BYTES", true },
		{ "fetches", "FETCHES", true },
		{ "fetch_bytes", "FETCH-BYTES", true },
		{ "data_dir", "DATA-DIR", false },
	};
	json_t *items = json_array();
	struct stats_req req = { 0 };
	struct stats_res res;
	struct arena arena;
	struct eng *g;

	arena_init(&arena, 1 * MIB);
	g = args_connect(a);
	args_call(a, g, IPC_STATS, 0, &req, &res, &arena);
	json_array_append_new(items, stats_item(&res));
	if (a->format == FORMAT_TABLE) {
		print_lines(json_array_get(items, 0));
		json_decref(items);
	} else
		out_items(a, "chronik.cluster.status/1", items, cols,
		    (int)(sizeof(cols) / sizeof(cols[0])));
	if (res.parts_offline > 0)
		fprintf(stderr, "%s: %d of %d partitions are offline\n"
		    "hint: chronik topic show says which and why\n",
		    args_command(a), res.parts_offline, res.parts);
	arena_reset(&arena);
	eng_close(g);
	return res.parts_offline > 0 ? EXIT_ITEM : EXIT_OK;
}
