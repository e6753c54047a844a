/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTopicPartitions (KIP-966): topics in the order of their names, a
 * bounded number of partitions at a time, and where to go on.
 */
#include <stdlib.h>

#include "admin.h"

enum { DESCRIBE_MAX = 2000 };	/* max.request.partition.size.limit */

typedef struct describe_topic_partitions_req dtp_req;
typedef struct describe_topic_partitions_res dtp_res;
typedef struct describe_topic_partitions_res_topic dtp_topic;
typedef struct describe_topic_partitions_res_topic_part dtp_part;

static int
name_cmp(struct kstr a, struct kstr b)
{
	int32_t n = a.len < b.len ? a.len : b.len;
	int d = n > 0 ? memcmp(a.p, b.p, (size_t)n) : 0;

	return d != 0 ? d : (a.len > b.len) - (a.len < b.len);
}

static int
by_name(const void *a, const void *b)
{
	return name_cmp(*(const struct kstr *)a, *(const struct kstr *)b);
}

/* Keeps the least names: v is a heap of n, the greatest on top. */
static void
heap_down(struct kstr *v, int n, int i)
{
	for (int c; (c = 2 * i + 1) < n; i = c) {
		struct kstr x = v[i];

		if (c + 1 < n && name_cmp(v[c + 1], v[c]) > 0)
			c++;
		if (name_cmp(v[c], x) <= 0)
			break;
		v[i] = v[c];
		v[c] = x;
	}
}

/* The first names at or after from, one more than can be answered. */
static int
names_all(const struct engine *eng, struct kstr from, struct kstr *v, int max)
{
	int n = 0;

	for (struct topic *t = eng->topics.first; t != NULL; t = t->next) {
		struct kstr name = kstr_of(t->name);

		if (t->state != TOPIC_LIVE || name_cmp(name, from) < 0)
			continue;
		if (n < max) {
			v[n++] = name;
			for (int i = n / 2 - 1; n == max && i >= 0; i--)
				heap_down(v, n, i);
		} else if (name_cmp(name, v[0]) < 0) {
			v[0] = name;
			heap_down(v, n, 0);
		}
	}
	qsort(v, (size_t)n, sizeof *v, by_name);
	return n;
}

/* Those that were named, each once. */
static int
names_some(const dtp_req *q, struct kstr from, struct kstr *v)
{
	int n = 0, k = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		if (name_cmp(q->topics.v[i].name, from) >= 0)
			v[n++] = q->topics.v[i].name;
	qsort(v, (size_t)n, sizeof *v, by_name);
	for (int i = 0; i < n; i++)
		if (k == 0 || name_cmp(v[k - 1], v[i]) != 0)
			v[k++] = v[i];
	return k;
}

static enum err
fill_parts(struct call *c, const struct topic *t, int64_t from, int64_t to,
    dtp_topic *r)
{
	int32_t *me = arena_alloc(&c->arena, sizeof *me);

	if (from >= to)
		return me == NULL ? E_NOMEM : E_OK;
	r->partitions.v = arena_array(&c->arena, (size_t)(to - from),
	    sizeof *r->partitions.v);
	if (me == NULL || r->partitions.v == NULL)
		return E_NOMEM;
	*me = (int32_t)c->eng->conf->node_id;
	for (int64_t i = from; i < to; i++) {
		const struct part *p = t->parts[i];
		bool led = p->state == PART_ONLINE || p->state == PART_FENCED;

		r->partitions.v[r->partitions.n++] = (dtp_part){
		    .partition_index = (int32_t)i, .leader_id = led ? *me : -1,
		    .leader_epoch = p->epoch, .replica_nodes = { 1, me },
		    .isr_nodes = { led, me }, .offline_replicas = { !led, me },
		};
	}
	return E_OK;
}

static enum err
fill(struct call *c, const struct kstr *names, int n, bool named,
    dtp_res *res)
{
	const dtp_req *q = c->req;
	int64_t left = q->response_partition_limit;

	left = left > DESCRIBE_MAX ? DESCRIBE_MAX : left < 1 ? 1 : left;
	for (int i = 0; i < n; i++) {
		struct topic *t = topic_find(&c->eng->topics, names[i]);
		dtp_topic *r = &res->topics.v[res->topics.n];
		int64_t from = 0, to;

		if (left > 0) {
			r->name = named ? names[i]
			    : str_keep(&c->arena, t->name);
			r->is_internal = topic_is_internal(names[i]);
			r->topic_authorized_operations = OPS_TOPIC;
			res->topics.n++;
		}
		if (t == NULL && left > 0)
			r->error_code = err_code(topic_name_check(names[i]) ==
			    E_OK ? E_UNKNOWN_TOPIC : E_INVALID_TOPIC);
		if (t == NULL && left > 0)
			continue;
		if (left > 0) {
			if (q->cursor != NULL && kstr_eq(names[i],
			    q->cursor->topic_name))
				from = q->cursor->partition_index;
			to = t->nparts < from + left ? t->nparts : from + left;
			r->topic_id = t->id;
			if (fill_parts(c, t, from, to, r) != E_OK)
				return E_NOMEM;
			left -= r->partitions.n;
			if (to == t->nparts)
				continue;
		} else
			to = 0;
		res->next_cursor->topic_name = t != NULL && !named
		    ? str_keep(&c->arena, t->name) : names[i];
		res->next_cursor->partition_index = (int32_t)to;
		return E_OK;
	}
	res->next_cursor = NULL;
	return E_OK;
}

/* The cursor must stand in the list, and on a partition. */
static bool
cursor_bad(const dtp_req *q, const struct kstr *names, int n)
{
	if (q->cursor == NULL)
		return false;
	if (q->cursor->partition_index < 0)
		return true;
	return q->topics.n > 0 && (n == 0 ||
	    !kstr_eq(names[0], q->cursor->topic_name));
}

static void
refuse(struct call *c, dtp_res *res)
{
	const dtp_req *q = c->req;

	for (int32_t i = 0; i < q->topics.n; i++) {
		dtp_topic *r = &res->topics.v[res->topics.n++];

		r->name = q->topics.v[i].name;
		r->error_code = err_code(E_INVALID_REQUEST);
		r->topic_authorized_operations = INT32_MIN;
	}
	res->next_cursor = NULL;
	call_reply(c, res);
}

void
handle_describe_topic_partitions(struct call *c)
{
	const dtp_req *q = c->req;
	bool named = q->topics.n > 0;
	size_t max = named ? (size_t)q->topics.n : DESCRIBE_MAX + 1;
	struct kstr from = q->cursor != NULL ? q->cursor->topic_name
	    : kstr_of("");
	struct kstr *names;
	dtp_res res = { 0 };
	int n;

	c->arena.limit += max * (sizeof(dtp_topic) + sizeof *names) +
	    DESCRIBE_MAX * sizeof(dtp_part) + (max + 2) *
	    (TOPIC_NAME_MAX + 64);
	names = arena_array(&c->arena, max, sizeof *names);
	res.topics.v = arena_array(&c->arena, max, sizeof *res.topics.v);
	res.next_cursor = arena_alloc(&c->arena, sizeof *res.next_cursor);
	if (names == NULL || res.topics.v == NULL || res.next_cursor == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	n = named ? names_some(q, from, names)
	    : names_all(c->eng, from, names, (int)max);
	if (cursor_bad(q, names, n))
		refuse(c, &res);
	else if (fill(c, names, n, named, &res) != E_OK)
		call_bad(c, "out of memory");
	else
		call_reply(c, &res);
}
