/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups/NAME/offsets/TOPIC/PARTITION: what a group has committed there, and,
 * with -o admin, where it shall go on: an offset, "earliest" or "latest".  The
 * group must have no members then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "lib/conf_value.h"

/* ---- directories -------------------------------------------------------- */

/* Topics of which something is committed; others are found by name. */
int
offsets_list(struct op *op, struct node *dir, struct listing *l)
{
	struct node_key k = dir->key;
	const struct offset_fetch_res *res = op->res;
	const struct offset_fetch_req *q;
	char name[NAME_BYTES_MAX + 1];
	int eno;

	k.kind = KIND_OFFSETS_TOPIC;
	if ((eno = topics_fresh(op, 1000)) != 0)
		return eno;
	if (!op->called) {
		q = group_offsets_req(&op->arena, dir->key.name);
		return q == NULL ? ENOMEM :
		    op_call(op, API_OFFSET_FETCH, 9, q);
	}
	if (op->err != E_OK)
		return op_errno(op, op->err, dir->key.name);
	for (int32_t i = 0; res->groups.n == 1 &&
	    i < res->groups.v[0].topics.n; i++) {
		snprintf(name, sizeof name, "%.*s",
		    res->groups.v[0].topics.v[i].name.len,
		    res->groups.v[0].topics.v[i].name.p);
		k.topic = topic_find(op->fs, name);
		if (k.topic != NULL && listing_add(l, &k, name) != E_OK)
			return ENOMEM;
	}
	return 0;
}

int
offset_files_list(struct node *dir, struct listing *l)
{
	struct node_key k = dir->key;
	char name[16];

	k.kind = KIND_OFFSET;
	for (k.part = 0; k.part < dir->key.topic->nparts; k.part++) {
		snprintf(name, sizeof name, "%d", k.part);
		if (listing_add(l, &k, name) != E_OK)
			return ENOMEM;
	}
	return 0;
}

/* ---- reading ------------------------------------------------------------ */

/* Nothing committed is an empty file. */
static void
told(struct ecall *c, enum err e, void *r)
{
	const struct offset_fetch_res *res = r;
	struct node *n = c->arg;
	char *text = NULL;
	int len = 0;

	if (e == E_OK && res->groups.n != 1)
		e = E_PROTO;
	if (e == E_OK && res->groups.v[0].error_code != 0)
		e = err_of_code(res->groups.v[0].error_code);
	for (int32_t i = 0; e == E_OK && i < res->groups.v[0].topics.n; i++) {
		const struct offset_fetch_res_group_topic *t =
		    &res->groups.v[0].topics.v[i];

		for (int32_t k = 0; k < t->partitions.n && text == NULL; k++)
			if (kstr_eq(t->name, kstr_of(n->key.topic->name)) &&
			    t->partitions.v[k].partition_index ==
			    n->key.part &&
			    t->partitions.v[k].committed_offset >= 0)
				len = asprintf(&text, "%lld\n", (long long)
				    t->partitions.v[k].committed_offset);
	}
	if (e == E_OK)
		doc_set(n, len < 0 ? NULL : text != NULL ? text :
		    calloc(1, 1), (size_t)(len < 0 ? 0 : len));
	doc_done(n, e);
}

void
doc_offset_start(struct node *n)
{
	doc_call(n, API_OFFSET_FETCH, 9, group_offsets_req(&n->doc.memory,
	    n->key.name), told);
}

/* ---- writing ------------------------------------------------------------ */

static const struct offset_commit_req *
request(struct op *op, int64_t offset)
{
	struct arena *a = &op->arena;
	struct offset_commit_req *q = arena_alloc(a, sizeof *q);
	struct offset_commit_req_topic *t = arena_alloc(a, sizeof *t);
	struct offset_commit_req_topic_part *p = arena_alloc(a, sizeof *p);

	if (q == NULL || t == NULL || p == NULL)
		return NULL;
	*p = (struct offset_commit_req_topic_part){ .partition_index =
	    op->node->key.part, .committed_offset = offset,
	    .committed_leader_epoch = -1, .commit_timestamp = -1,
	    .committed_metadata = kstr_of("") };
	*t = (struct offset_commit_req_topic){ .name =
	    kstr_of(op->node->key.topic->name), .topic_id =
	    op->node->key.topic->id, .partitions = { 1, p } };
	*q = (struct offset_commit_req){ .group_id =
	    group_id(op->node->key.name, a),
	    .generation_id_or_member_epoch = -1, .member_id = kstr_of(""),
	    .group_instance_id = { -1, NULL }, .retention_time_ms = -1,
	    .topics = { 1, t } };
	return q;
}

/* The words that were written, as an offset of the log. */
static int
offset_of(struct op *op, int64_t *out)
{
	const struct part *p = op->node->part;
	struct kstr s = { (int32_t)op->size, op->buf };

	while (s.len > 0 && s.p[s.len - 1] == '\n')
		s.len--;
	if (kstr_eq(s, kstr_of("earliest")))
		*out = p->start;
	else if (kstr_eq(s, kstr_of("latest")))
		*out = p->hw;
	else if (!conf_parse_int(s, out) || *out < p->start || *out > p->hw) {
		fs_error(op->fs, "an offset is earliest, latest or a number "
		    "between them", EINVAL, E_OFFSET_OUT_OF_RANGE);
		return EINVAL;
	}
	return 0;
}

static int
verdict(struct op *op)
{
	const struct offset_commit_res *res = op->res;
	enum err e = op->err;

	if (e == E_OK && (res->topics.n != 1 ||
	    res->topics.v[0].partitions.n != 1))
		e = E_PROTO;
	if (e == E_OK && res->topics.v[0].partitions.v[0].error_code != 0)
		e = err_of_code(res->topics.v[0].partitions.v[0].error_code);
	/* To the members a stranger is unknown. */
	if (e == E_UNKNOWN_MEMBER || e == E_ILLEGAL_GENERATION)
		e = E_NON_EMPTY_GROUP;
	return op_errno(op, e, op->node->key.name);
}

void
offset_write(struct op *op)
{
	const struct offset_commit_req *q;
	int64_t offset;
	int eno = 0;

	if (!op->called) {
		eno = part_fresh(op, op->node->part, 0);
		if (eno == 0)
			eno = offset_of(op, &offset);
		if (eno == 0) {
			q = request(op, offset);
			eno = q == NULL ? ENOMEM :
			    op_call(op, API_OFFSET_COMMIT, 9, q);
		}
		if (eno == WAIT)
			return;
	} else
		eno = verdict(op);
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	op->node->doc.made_ms = 0;	/* to be asked for again */
	fuse_reply_write(op->req, op->size);
	op_end(op);
}
