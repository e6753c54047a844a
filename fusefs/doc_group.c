/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: the list of them, and three documents of each.  A group's id may
 * hold any bytes: names are ids with '/', '%', control characters and a
 * leading '.' as %XX.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "lib/found.h"

/* ---- names -------------------------------------------------------------- */

/* False: longer than a file name may be. */
static bool
encode(struct kstr id, char name[NAME_BYTES_MAX + 1])
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (int32_t i = 0; i < id.len; i++) {
		uint8_t c = (uint8_t)id.p[i];
		bool odd = c < 0x20 || c == 0x7f || c == '/' || c == '%' ||
		    (c == '.' && i == 0);

		if (n + 3 > NAME_BYTES_MAX)
			return false;
		name[n++] = odd ? '%' : (char)c;
		if (odd) {
			name[n++] = hex[c >> 4];
			name[n++] = hex[c & 15];
		}
	}
	name[n] = '\0';
	return n > 0;
}

/* The id of a name that encode would make; null for any other. */
struct kstr
group_id(const char *name, struct arena *a)
{
	char *id = arena_alloc(a, strlen(name) + 1);
	char again[NAME_BYTES_MAX + 1];
	size_t n;

	if (id == NULL || found_name(name, id, &n) != E_OK)
		return kstr_of(NULL);
	if (!encode((struct kstr){ (int32_t)n, id }, again) ||
	    strcmp(again, name) != 0)
		return kstr_of(NULL);
	return (struct kstr){ (int32_t)n, id };
}

/* ---- the list, and who is in it ----------------------------------------- */

int
groups_list(struct op *op, struct listing *l)
{
	static const struct list_groups_req all;
	struct node_key k = { .kind = KIND_GROUP, .part = -1 };
	const struct list_groups_res *res;
	char name[NAME_BYTES_MAX + 1];

	if (!op->called)
		return op_call(op, API_LIST_GROUPS, 5, &all);
	if (op->err != E_OK)
		return op_errno(op, op->err, "groups");
	res = op->res;
	if (res->error_code != 0)
		return op_errno(op, err_of_code(res->error_code), "groups");
	for (int32_t i = 0; i < res->groups.n; i++) {
		if (!encode(res->groups.v[i].group_id, name))
			continue;
		k.name = name;
		if (listing_add(l, &k, name) != E_OK)
			return ENOMEM;
	}
	return 0;
}

static const struct describe_groups_req *
describe_req(struct arena *a, const char *name)
{
	struct describe_groups_req *q = arena_alloc(a, sizeof *q);
	struct kstr *id = arena_alloc(a, sizeof *id);

	if (q == NULL || id == NULL)
		return NULL;
	*id = group_id(name, a);
	q->groups.n = 1;
	q->groups.v = id;
	return q;
}

int
group_lookup(struct op *op, const char *name, struct node_key *k)
{
	const struct describe_groups_res *res;
	const struct describe_groups_req *q;

	if (!op->called) {
		q = describe_req(&op->arena, name);
		if (q == NULL)
			return ENOMEM;
		if (q->groups.v[0].len < 0)
			return ENOENT;
		return op_call(op, API_DESCRIBE_GROUPS, 6, q);
	}
	if (op->err != E_OK)
		return op_errno(op, op->err, name);
	res = op->res;
	if (res->groups.n != 1)
		return EPROTO;
	if (res->groups.v[0].error_code != 0)
		return op_errno(op, err_of_code(res->groups.v[0].error_code),
		    name);
	if (kstr_eq(res->groups.v[0].group_state, kstr_of("Dead")))
		return ENOENT;
	*k = (struct node_key){ .kind = KIND_GROUP, .part = -1,
	    .name = op->name };
	return 0;
}

/* ---- meta.json ---------------------------------------------------------- */

static json_t *
group_json(const struct describe_groups_res_group *g)
{
	json_t *j = json_object(), *members = json_array();

	for (int32_t i = 0; i < g->members.n; i++) {
		const struct describe_groups_res_group_member *m =
		    &g->members.v[i];

		json_array_append_new(members, json_pack(
		    "{s:o,s:o,s:o,s:o}", "id", json_kstr(m->member_id),
		    "instance_id", json_kstr(m->group_instance_id),
		    "client_id", json_kstr(m->client_id), "host",
		    json_kstr(m->client_host)));
	}
	json_object_set_new(j, "group", json_kstr(g->group_id));
	json_object_set_new(j, "state", json_kstr(g->group_state));
	json_object_set_new(j, "protocol_type",
	    json_kstr(g->protocol_type));
	json_object_set_new(j, "protocol", json_kstr(g->protocol_data));
	json_object_set_new(j, "members", members);
	return j;
}

static void
described(struct ecall *c, enum err e, void *r)
{
	const struct describe_groups_res *res = r;
	struct node *n = c->arg;

	if (e == E_OK && res->groups.n != 1)
		e = E_PROTO;
	if (e == E_OK && res->groups.v[0].error_code != 0)
		e = err_of_code(res->groups.v[0].error_code);
	if (e == E_OK)
		doc_set_json(n, group_json(&res->groups.v[0]));
	doc_done(n, e);
}

/* ---- offsets.json, lag.json --------------------------------------------- */

/* A row per committed offset: the ends come with a second question. */
static json_t *
offsets_json(const struct offset_fetch_res_group *g)
{
	json_t *rows = json_array();

	for (int32_t i = 0; i < g->topics.n; i++) {
		const struct offset_fetch_res_group_topic *t =
		    &g->topics.v[i];

		for (int32_t k = 0; k < t->partitions.n; k++)
			if (t->partitions.v[k].committed_offset >= 0)
				json_array_append_new(rows, json_pack(
				    "{s:o,s:i,s:I,s:o}", "topic",
				    json_kstr(t->name), "partition",
				    t->partitions.v[k].partition_index,
				    "offset", (json_int_t)
				    t->partitions.v[k].committed_offset,
				    "metadata", json_kstr(
				    t->partitions.v[k].metadata)));
	}
	return rows;
}

static void
set_rows(struct node *n, json_t *rows)
{
	struct arena a;
	struct kstr id;

	arena_init(&a, ARENA_BASE);
	id = group_id(n->key.name, &a);
	doc_set_json(n, json_pack("{s:o,s:o}", "group", json_kstr(id),
	    "offsets", rows));
	arena_reset(&a);
}

/* The end of the row's partition, by the answer; -1 not known. */
static int64_t
end_of(const struct list_offsets_res *res, json_t *row)
{
	struct kstr name = kstr_of(json_string_value(json_object_get(row,
	    "topic")));
	json_int_t part = json_integer_value(json_object_get(row,
	    "partition"));

	for (int32_t i = 0; i < res->topics.n; i++)
		for (int32_t k = 0; k < res->topics.v[i].partitions.n; k++)
			if (res->topics.v[i].partitions.v[k].partition_index
			    == part && kstr_eq(res->topics.v[i].name, name))
				return res->topics.v[i].partitions.v[k]
				    .offset;
	return -1;
}

static void
ends_told(struct ecall *c, enum err e, void *res)
{
	struct node *n = c->arg;
	json_t *rows = n->doc.state, *row;
	json_int_t end, at;
	size_t i;

	n->doc.state = NULL;
	if (e != E_OK) {
		json_decref(rows);
		doc_done(n, e);
		return;
	}
	json_array_foreach(rows, i, row) {
		end = end_of(res, row);
		at = json_integer_value(json_object_get(row, "offset"));
		json_object_set_new(row, "end", end < 0 ? json_null() :
		    json_integer(end));
		json_object_set_new(row, "lag", end < 0 ? json_null() :
		    json_integer(end > at ? end - at : 0));
	}
	set_rows(n, rows);
	doc_done(n, E_OK);
}

/* One topic per row: the engine puts no two of them together. */
static const struct list_offsets_req *
ends_req(struct arena *a, json_t *rows)
{
	struct list_offsets_req *q = arena_alloc(a, sizeof *q);
	size_t n = json_array_size(rows), i;
	struct list_offsets_req_topic *t = arena_array(a, n, sizeof *t);
	struct list_offsets_req_topic_part *p = arena_array(a, n, sizeof *p);
	json_t *row;

	if (q == NULL || t == NULL || p == NULL)
		return NULL;
	json_array_foreach(rows, i, row) {
		p[i] = (struct list_offsets_req_topic_part){
		    .partition_index = (int32_t)json_integer_value(
		    json_object_get(row, "partition")),
		    .current_leader_epoch = -1, .timestamp = -1,
		    .max_num_offsets = 1 };
		t[i] = (struct list_offsets_req_topic){ .name = kstr_of(
		    json_string_value(json_object_get(row, "topic"))),
		    .partitions = { 1, &p[i] } };
	}
	*q = (struct list_offsets_req){ .replica_id = -1,
	    .topics = { (int32_t)n, t } };
	return q;
}

static void
offsets_told(struct ecall *c, enum err e, void *r)
{
	const struct offset_fetch_res *res = r;
	struct node *n = c->arg;
	json_t *rows;

	if (e == E_OK && res->groups.n != 1)
		e = E_PROTO;
	if (e == E_OK && res->groups.v[0].error_code != 0)
		e = err_of_code(res->groups.v[0].error_code);
	if (e != E_OK) {
		doc_done(n, e);
		return;
	}
	rows = offsets_json(&res->groups.v[0]);
	if (n->key.kind == KIND_GROUP_LAG && json_array_size(rows) > 0) {
		n->doc.state = rows;
		doc_call(n, API_LIST_OFFSETS, 10,
		    ends_req(&n->doc.memory, rows), ends_told);
		return;
	}
	set_rows(n, rows);
	doc_done(n, E_OK);
}

const struct offset_fetch_req *
group_offsets_req(struct arena *a, const char *name)
{
	struct offset_fetch_req *q = arena_alloc(a, sizeof *q);
	struct offset_fetch_req_group *g = arena_alloc(a, sizeof *g);

	if (q == NULL || g == NULL)
		return NULL;
	msg_init(ipc_req(API_OFFSET_FETCH), q);
	*g = (struct offset_fetch_req_group){ .group_id = group_id(name, a),
	    .member_id = { -1, NULL }, .member_epoch = -1,
	    .topics = { -1, NULL } };
	q->groups.n = 1;
	q->groups.v = g;
	return q;
}

void
doc_group_start(struct node *n)
{
	struct arena *a = &n->doc.memory;

	if (n->key.kind == KIND_GROUP_META)
		doc_call(n, API_DESCRIBE_GROUPS, 6,
		    describe_req(a, n->key.name), described);
	else
		doc_call(n, API_OFFSET_FETCH, 9,
		    group_offsets_req(a, n->key.name), offsets_told);
}
