/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik group: ls, show, rm.  What reset does is in reset.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static const struct kstr no_words = { -1, NULL };

/* ---- ls ---------------------------------------------------------------- */

static int
by_group(const void *x, const void *y)
{
	const struct list_groups_res_group *a = x, *b = y;

	return kstr_order(a->group_id, b->group_id);
}

int
cmd_group_ls(struct args *a)
{
	static const struct column cols[] = {
		{ "name", "NAME", false },
		{ "type", "TYPE", false },
		{ "state", "STATE", false },
		{ "protocol_type", "PROTOCOL", false },
	};
	struct list_groups_req req = { { 0, NULL }, { 0, NULL } };
	struct list_groups_res res;
	json_t *items = json_array();
	struct arena arena;
	struct eng *g;

	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	args_call(a, g, API_LIST_GROUPS, 5, &req, &res, &arena);
	if (res.groups.n > 1)
		qsort(res.groups.v, (size_t)res.groups.n,
		    sizeof *res.groups.v, by_group);
	for (int32_t i = 0; i < res.groups.n; i++) {
		const struct list_groups_res_group *r = &res.groups.v[i];
		json_t *item = json_object();

		json_object_set_new(item, "name", out_str(r->group_id));
		json_object_set_new(item, "type", out_str(r->group_type));
		json_object_set_new(item, "state", out_str(r->group_state));
		json_object_set_new(item, "protocol_type", r->
		    protocol_type.len > 0 ? out_str(r->protocol_type)
		    : json_null());
		json_array_append_new(items, item);
	}
	out_items(a, "chronik.group.ls/1", items, cols, COUNT(cols));
	arena_reset(&arena);
	eng_close(g);
	return EXIT_OK;
}

/* ---- what the engine says of a group ------------------------------------ */

int
kstr_order(struct kstr a, struct kstr b)
{
	int32_t n = a.len < b.len ? a.len : b.len;
	int c = n > 0 ? memcmp(a.p, b.p, (size_t)n) : 0;

	return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static void *
take(struct arena *a, int32_t n, size_t size)
{
	void *p = arena_array(a, n > 0 ? (size_t)n : 0, size);

	ASSERT(p != NULL);
	return p;
}

static void
member_of_consumer(struct group_member *m,
    const struct consumer_group_describe_res_group_member *r,
    struct arena *arena)
{
	const struct consumer_group_describe_res_assignment *as =
	    &r->assignment;

	*m = (struct group_member){ r->member_id, r->instance_id,
	    r->client_id, r->client_host, 0, NULL };
	m->topics = take(arena, as->topic_partitions.n, sizeof *m->topics);
	for (int32_t i = 0; i < as->topic_partitions.n; i++)
		m->topics[m->ntopics++] = (struct group_parts){
		    as->topic_partitions.v[i].topic_name,
		    as->topic_partitions.v[i].partitions.n,
		    as->topic_partitions.v[i].partitions.v };
}

/* Of other kinds of groups the bytes are theirs alone. */
static void
member_of_classic(struct group_member *m,
    const struct describe_groups_res_group_member *r, bool consumer,
    struct arena *arena)
{
	const struct msg *msg = &kafka_msgs[KM_consumer_protocol_assignment];
	struct consumer_protocol_assignment as;
	struct rd rd = rd_of(r->member_assignment.p,
	    r->member_assignment.len > 0 ? (size_t)r->member_assignment.len
	    : 0);
	int v = rd_i16(&rd);

	*m = (struct group_member){ r->member_id, r->group_instance_id,
	    r->client_id, r->client_host, 0, NULL };
	if (!consumer || rd.bad || v < 0 || msg_read(msg, v > msg->max
	    ? msg->max : v, &rd, arena, &as) != E_OK)
		return;
	m->topics = take(arena, as.assigned_partitions.n,
	    sizeof *m->topics);
	for (int32_t i = 0; i < as.assigned_partitions.n; i++)
		m->topics[m->ntopics++] = (struct group_parts){
		    as.assigned_partitions.v[i].topic,
		    as.assigned_partitions.v[i].partitions.n,
		    as.assigned_partitions.v[i].partitions.v };
}

static enum err
get_consumer(const struct args *a, struct eng *g, struct kstr *name,
    struct group_info *out, struct arena *arena)
{
	struct consumer_group_describe_req req = { { 1, name }, false };
	const struct consumer_group_describe_res_group *r;
	struct consumer_group_describe_res res;
	enum err e;

	args_call(a, g, API_CONSUMER_GROUP_DESCRIBE, 1, &req, &res, arena);
	r = res.groups.v;
	if (res.groups.n != 1)
		return E_PROTO;
	if ((e = err_of_code(r->error_code)) != E_OK)
		return e;
	*out = (struct group_info){ "consumer", kstr_of("consumer"),
	    r->group_state, r->assignor_name, r->members.n, NULL };
	out->members = take(arena, r->members.n, sizeof *out->members);
	for (int32_t i = 0; i < r->members.n; i++)
		member_of_consumer(&out->members[i], &r->members.v[i], arena);
	return E_OK;
}

enum err
group_get(const struct args *a, struct eng *g, const char *name,
    struct group_info *out, struct arena *arena)
{
	struct kstr key = kstr_of(name);
	struct describe_groups_req req = { { 1, &key }, false };
	const struct describe_groups_res_group *r;
	struct describe_groups_res res;
	enum err e = get_consumer(a, g, &key, out, arena);

	if (e != E_GROUP_ID_NOT_FOUND)
		return e;
	args_call(a, g, API_DESCRIBE_GROUPS, 6, &req, &res, arena);
	r = res.groups.v;
	if (res.groups.n != 1)
		return E_PROTO;
	if ((e = err_of_code(r->error_code)) != E_OK)
		return e;
	*out = (struct group_info){ "classic", r->protocol_type,
	    r->group_state, r->protocol_data, r->members.n, NULL };
	out->members = take(arena, r->members.n, sizeof *out->members);
	for (int32_t i = 0; i < r->members.n; i++)
		member_of_classic(&out->members[i], &r->members.v[i],
		    kstr_eq(r->protocol_type, kstr_of("consumer")), arena);
	return E_OK;
}

enum err
group_offsets(const struct args *a, struct eng *g, const char *name,
    struct offset_fetch_res_group **out, struct arena *arena)
{
	struct offset_fetch_req_group q = { kstr_of(name), no_words, -1,
	    { -1, NULL } };
	struct offset_fetch_req req;
	struct offset_fetch_res *res = take(arena, 1, sizeof *res);

	msg_init(kafka_req(API_OFFSET_FETCH), &req);
	req.groups.n = 1;
	req.groups.v = &q;
	args_call(a, g, API_OFFSET_FETCH, 9, &req, res, arena);
	if (res->groups.n != 1)
		return E_PROTO;
	*out = res->groups.v;
	return err_of_code(res->groups.v->error_code);
}

const struct topic_stats_res_topic *
group_topic(const struct args *a, struct eng *g, struct kstr name,
    struct arena *arena)
{
	struct topic_stats_req req = { .name = name };
	struct topic_stats_res *res = take(arena, 1, sizeof *res);

	args_call(a, g, IPC_TOPIC_STATS, 0, &req, res, arena);
	return res->topics.n == 1 ? res->topics.v : NULL;
}

/* ---- show -------------------------------------------------------------- */

/* What is known of a partition: a member has it, there is an offset of it. */
struct row {
	struct kstr	 topic, metadata;
	int32_t		 part;
	int64_t		 offset, end;		/* -1: none */
	const struct group_member *member;	/* NULL: none */
};

static int
by_part(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int c = kstr_order(a->topic, b->topic);

	if (c == 0)
		c = (a->part > b->part) - (a->part < b->part);
	return c != 0 ? c : (a->offset < b->offset) - (a->offset > b->offset);
}

static size_t
count_rows(const struct group_info *info,
    const struct offset_fetch_res_group *o)
{
	size_t n = 0;

	for (int32_t i = 0; i < info->nmembers; i++)
		for (int32_t k = 0; k < info->members[i].ntopics; k++)
			n += info->members[i].topics[k].n > 0
			    ? (size_t)info->members[i].topics[k].n : 0;
	for (int32_t i = 0; i < o->topics.n; i++)
		n += o->topics.v[i].partitions.n > 0
		    ? (size_t)o->topics.v[i].partitions.n : 0;
	return n;
}

/* One row for what is said of the same partition twice: offsets come first. */
static size_t
merge(struct row *v, size_t n)
{
	size_t out = 0;

	if (n > 1)
		qsort(v, n, sizeof *v, by_part);
	for (size_t i = 0; i < n; i++) {
		if (out > 0 && v[out - 1].part == v[i].part &&
		    kstr_eq(v[out - 1].topic, v[i].topic)) {
			if (v[out - 1].member == NULL)
				v[out - 1].member = v[i].member;
		} else
			v[out++] = v[i];
	}
	return out;
}

static struct row *
get_rows(const struct args *a, struct eng *g, const struct group_info *info,
    const struct offset_fetch_res_group *o, size_t *count,
    struct arena *arena)
{
	struct row *v = arena_array(arena, count_rows(info, o), sizeof *v);
	const struct topic_stats_res_topic *t = NULL;
	size_t n = 0;

	ASSERT(v != NULL);
	for (int32_t i = 0; i < o->topics.n; i++)
		for (int32_t k = 0; k < o->topics.v[i].partitions.n; k++) {
			const struct offset_fetch_res_group_topic_part *p =
			    &o->topics.v[i].partitions.v[k];

			v[n++] = (struct row){ o->topics.v[i].name,
			    p->metadata, p->partition_index,
			    p->committed_offset, -1, NULL };
		}
	for (int32_t i = 0; i < info->nmembers; i++)
		for (int32_t k = 0; k < info->members[i].ntopics; k++)
			for (int32_t j = 0; j < info->members[i].topics[k].n;
			    j++)
				v[n++] = (struct row){
				    info->members[i].topics[k].topic,
				    no_words,
				    info->members[i].topics[k].v[j], -1, -1,
				    &info->members[i] };
	n = merge(v, n);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !kstr_eq(v[i].topic, v[i - 1].topic))
			t = group_topic(a, g, v[i].topic, arena);
		for (int32_t k = 0; t != NULL && k < t->parts.n; k++)
			if (t->parts.v[k].index == v[i].part &&
			    t->parts.v[k].error == E_OK)
				v[i].end = t->parts.v[k].high_watermark;
	}
	*count = n;
	return v;
}

static json_t *
number(int64_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static json_t *
words(struct kstr s)
{
	return s.len <= 0 ? json_null() : out_str(s);
}

static json_t *
row_item(const struct row *r, const char *group)
{
	const struct group_member *m = r->member;
	json_t *j = json_object();

	if (group != NULL)
		json_object_set_new(j, "group", out_str(kstr_of(group)));
	json_object_set_new(j, "topic", out_str(r->topic));
	json_object_set_new(j, "partition", json_integer(r->part));
	json_object_set_new(j, "offset", number(r->offset));
	json_object_set_new(j, "end", number(r->end));
	json_object_set_new(j, "lag", r->offset < 0 || r->end < 0
	    ? json_null() : number(r->end > r->offset ? r->end - r->offset
	    : 0));
	json_object_set_new(j, "metadata", words(r->metadata));
	json_object_set_new(j, "member", m == NULL ? json_null()
	    : out_str(m->id));
	if (group != NULL) {
		json_object_set_new(j, "client", m == NULL ? json_null()
		    : out_str(m->client_id));
		json_object_set_new(j, "host", m == NULL ? json_null()
		    : out_str(m->host));
	}
	return j;
}

static json_t *
member_item(const struct group_member *m)
{
	json_t *j = json_object(), *parts = json_array();

	for (int32_t i = 0; i < m->ntopics; i++)
		for (int32_t k = 0; k < m->topics[i].n; k++) {
			json_t *p = json_object();

			json_object_set_new(p, "topic",
			    out_str(m->topics[i].topic));
			json_object_set_new(p, "partition",
			    json_integer(m->topics[i].v[k]));
			json_array_append_new(parts, p);
		}
	json_object_set_new(j, "id", out_str(m->id));
	json_object_set_new(j, "instance", words(m->instance));
	json_object_set_new(j, "client_id", out_str(m->client_id));
	json_object_set_new(j, "host", out_str(m->host));
	json_object_set_new(j, "partitions", parts);
	return j;
}

static json_t *
show_item(const char *name, const struct group_info *info,
    const struct row *v, size_t n)
{
	json_t *j = json_object(), *members = json_array();
	json_t *offsets = json_array();

	for (int32_t i = 0; i < info->nmembers; i++)
		json_array_append_new(members,
		    member_item(&info->members[i]));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(offsets, row_item(&v[i], NULL));
	json_object_set_new(j, "name", out_str(kstr_of(name)));
	json_object_set_new(j, "type", json_string(info->type));
	json_object_set_new(j, "protocol_type", words(info->protocol_type));
	json_object_set_new(j, "state", out_str(info->state));
	json_object_set_new(j, "protocol", words(info->protocol));
	json_object_set_new(j, "members", members);
	json_object_set_new(j, "offsets", offsets);
	out_verdict(j, E_OK, no_words);
	return j;
}

static void
show_rows(const struct args *a, const char *name,
    const struct group_info *info, const struct row *v, size_t n)
{
	static const struct column cols[] = {
		{ "group", "GROUP", false },
		{ "topic", "TOPIC", false },
		{ "partition", "PARTITION", true },
		{ "offset", "OFFSET", true },
		{ "end", "END", true },
		{ "lag", "LAG", true },
		{ "member", "MEMBER", false },
		{ "client", "CLIENT", false },
		{ "host", "HOST", false },
	};
	json_t *items = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(items, row_item(&v[i], name));
	if (a->format == FORMAT_TABLE) {
		out_plain(kstr_of(name));
		printf("  type %s, state ", info->type);
		out_plain(info->state);
		printf(", protocol ");
		out_plain(info->protocol);
		printf(", members %d\n", (int)info->nmembers);
	}
	out_rows(a, items, cols, COUNT(cols));
	json_decref(items);
}

/* One group; true when it failed, which is also said. */
static bool
show(const struct args *a, struct eng *g, const char *name, json_t *items,
    struct arena *arena)
{
	struct offset_fetch_res_group *o = NULL;
	struct group_info info;
	enum err e = group_get(a, g, name, &info, arena);
	struct row *v;
	json_t *item;
	size_t n;

	if (e == E_OK)
		e = group_offsets(a, g, name, &o, arena);
	if (e != E_OK) {
		item = json_object();
		json_object_set_new(item, "name", out_str(kstr_of(name)));
		out_verdict(item, e, no_words);
		json_array_append_new(items, item);
		out_error(a, name, e, no_words);
		return true;
	}
	v = get_rows(a, g, &info, o, &n, arena);
	if (a->format == FORMAT_JSON || a->format == FORMAT_JSONL)
		json_array_append_new(items, show_item(name, &info, v, n));
	else
		show_rows(a, name, &info, v, n);
	return false;
}

int
cmd_group_show(struct args *a)
{
	json_t *items = json_array();
	struct arena arena;
	struct eng *g;
	int failed = 0;

	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	for (int i = 0; i < a->noperands; i++) {
		failed += show(a, g, a->operands[i], items, &arena);
		arena_reset(&arena);
	}
	if (a->format == FORMAT_JSON || a->format == FORMAT_JSONL)
		out_items(a, "chronik.group.show/1", items, NULL, 0);
	else
		json_decref(items);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}

/* ---- rm ---------------------------------------------------------------- */

/* One group's outcome; true when it failed, which is also said. */
static bool
removed(const struct args *a, json_t *items, struct kstr name,
    const char *status, enum err e)
{
	json_t *item = json_object();
	const char *s;

	if (e == E_GROUP_ID_NOT_FOUND && a->opt[OPT_if_exists] != NULL) {
		e = E_OK;
		status = "absent";
	}
	json_object_set_new(item, "name", out_str(name));
	json_object_set_new(item, "status", json_string(e == E_OK ? status
	    : "failed"));
	out_verdict(item, e, no_words);
	if (a->opt[OPT_dry_run] != NULL)
		json_object_set_new(item, "dry_run", json_true());
	json_array_append_new(items, item);
	s = json_string_value(json_object_get(item, "name"));
	if (e != E_OK)
		out_error(a, s == NULL ? "?" : s, e, no_words);
	return e != E_OK;
}

/* Kafka's request has no such flag. */
static int
rm_dry(const struct args *a, struct eng *g, json_t *items,
    struct arena *arena)
{
	struct group_info info;
	int failed = 0;

	for (int i = 0; i < a->noperands; i++) {
		enum err e = group_get(a, g, a->operands[i], &info, arena);

		if (e == E_OK && info.nmembers > 0)
			e = E_NON_EMPTY_GROUP;
		failed += removed(a, items, kstr_of(a->operands[i]),
		    "would be removed", e);
	}
	return failed;
}

static int
rm_wet(const struct args *a, struct eng *g, json_t *items,
    struct arena *arena)
{
	struct kstr *v = take(arena, a->noperands, sizeof *v);
	struct delete_groups_req req = { { a->noperands, v } };
	struct delete_groups_res res;
	int failed = 0;

	for (int i = 0; i < a->noperands; i++)
		v[i] = kstr_of(a->operands[i]);
	args_call(a, g, API_DELETE_GROUPS, 2, &req, &res, arena);
	for (int32_t i = 0; i < res.results.n; i++)
		failed += removed(a, items, res.results.v[i].group_id,
		    "removed", err_of_code(res.results.v[i].error_code));
	return failed;
}

int
cmd_group_rm(struct args *a)
{
	static const struct column cols[] = {
		{ "name", "NAME", false },
		{ "status", "STATUS", false },
		{ "error", "ERROR", false },
		{ "message", "MESSAGE", false },
	};
	struct arena arena;
	json_t *items;
	struct eng *g;
	int failed;

	if (!args_confirmed(a, "group", "all offsets"))
		return EXIT_REFUSED;
	items = json_array();
	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	failed = a->opt[OPT_dry_run] != NULL ? rm_dry(a, g, items, &arena)
	    : rm_wet(a, g, items, &arena);
	out_items(a, "chronik.group.rm/1", items, cols, COUNT(cols));
	arena_reset(&arena);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}
