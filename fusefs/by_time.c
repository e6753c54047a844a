/* SPDX-License-Identifier: Apache-2.0 */
/*
 * by-time: days and hours (UTC).  An hour is a slice of the log: from the first
 * record whose timestamp is in it or later to the first whose timestamp is
 * after it, as the engine finds offsets for times.  So hours are contiguous,
 * also where timestamps are not in order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"

#define HOUR_MS	INT64_C(3600000)
#define DAY_MS	(24 * HOUR_MS)

/* Days since 1970 of a date that is one, as YYYY-MM-DD; false if not. */
static bool
parse_day(const char *s, int64_t *day)
{
	struct tm tm = { 0 }, again;
	char b[16], *rest = strptime(s, "%Y-%m-%d", &tm);
	time_t t;

	if (rest == NULL || *rest != '\0')
		return false;
	t = timegm(&tm);
	if (t < 0 || gmtime_r(&t, &again) == NULL ||
	    strftime(b, sizeof b, "%Y-%m-%d", &again) == 0 ||
	    strcmp(b, s) != 0)
		return false;
	*day = t / (24 * 3600);
	return true;
}

int
by_time_lookup(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	(void)op;
	*k = dir->key;
	k->kind = KIND_DAY;
	return parse_day(name, &k->a) ? 0 : ENOENT;
}

/* The timestamp of the first batch that is there. */
static int
first_ts(struct op *op, struct tseg *s, int64_t *ts)
{
	uint8_t head[BATCH_HEADER];
	struct batch b;
	int eno;

	if (s->first_ts < 0) {
		if ((eno = tseg_open(op, s)) != 0)
			return eno;
		/* The engine has just had it read. */
		if (pread(s->h->fd, head, sizeof head, 0) !=
		    (ssize_t)sizeof head || batch_read(head, &b) != E_OK)
			return EIO;
		s->first_ts = b.base_ts < 0 ? 0 : b.base_ts;
	}
	*ts = s->first_ts;
	return 0;
}

int
by_time_list(struct op *op, struct node *dir, struct listing *l)
{
	int64_t lo = -1, hi = -1, first;
	struct node_key k = dir->key;
	struct tseg *s;
	struct tm tm;
	char name[16];
	time_t t;
	int eno = part_fresh(op, dir->part, 0);

	if (eno != 0)
		return eno;
	TAILQ_FOREACH(s, &dir->part->segs, next) {
		if (s->gone || s->bytes == 0)
			continue;
		if (lo < 0 && (eno = first_ts(op, s, &lo)) != 0)
			return eno;
		if (s->max_ts > hi)
			hi = s->max_ts;
	}
	if (lo < 0 || hi < 0)
		return 0;
	/* The newest ones; the others are found by name. */
	first = lo / DAY_MS;
	if (hi / DAY_MS - first >= DAYS_LISTED_MAX)
		first = hi / DAY_MS - DAYS_LISTED_MAX + 1;
	k.kind = KIND_DAY;
	for (k.a = first; k.a <= hi / DAY_MS; k.a++) {
		t = (time_t)(k.a * 24 * 3600);
		if (gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900)
			break;
		strftime(name, sizeof name, "%Y-%m-%d", &tm);
		if (listing_add(l, &k, name) != E_OK)
			return ENOMEM;
	}
	return 0;
}

int
day_list(struct node *dir, struct listing *l)
{
	struct node_key k = dir->key;
	char name[16];

	k.kind = KIND_HOUR;
	for (int h = 0; h < 24; h++) {
		/* Not the keys that a lookup finds: these are not known. */
		k.b = h;
		snprintf(name, sizeof name, "%02d.jsonl", h);
		if (listing_add(l, &k, name) != E_OK)
			return ENOMEM;
	}
	return 0;
}

static const struct list_offsets_req *
offsets_req(struct op *op, const struct part *p, int64_t ts)
{
	struct list_offsets_req *q = arena_alloc(&op->arena, sizeof *q);
	struct list_offsets_req_topic *t = arena_alloc(&op->arena, sizeof *t);
	struct list_offsets_req_topic_part *r =
	    arena_alloc(&op->arena, sizeof *r);

	if (q == NULL || t == NULL || r == NULL)
		return NULL;
	*r = (struct list_offsets_req_topic_part){ .partition_index =
	    p->index, .current_leader_epoch = -1, .timestamp = ts,
	    .max_num_offsets = 1 };
	*t = (struct list_offsets_req_topic){ .name =
	    kstr_of(p->topic->name), .partitions = { 1, r } };
	*q = (struct list_offsets_req){ .replica_id = -1,
	    .topics = { 1, t } };
	return q;
}

/* The answer: an offset, or that of the end when no record is so late. */
static int
offset_told(struct op *op, const struct part *p, int64_t none, int64_t *out)
{
	const struct list_offsets_res *res = op->res;
	const struct list_offsets_res_topic_part *r;

	if (op->err != E_OK)
		return op_errno(op, op->err, p->topic->name);
	if (res->topics.n != 1 || res->topics.v[0].partitions.n != 1)
		return EPROTO;
	r = &res->topics.v[0].partitions.v[0];
	if (r->error_code != 0)
		return op_errno(op, err_of_code(r->error_code),
		    p->topic->name);
	*out = r->offset < 0 ? none : r->offset;
	return 0;
}

/* Asks for both ends, one after the other. */
int
day_lookup(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	struct part *p = dir->part;
	const struct list_offsets_req *q;
	int64_t *ends = op->state, ts;
	int h, eno = part_fresh(op, p, 0);

	if (strlen(name) != 8 || strspn(name, "0123456789") != 2 ||
	    strcmp(name + 2, ".jsonl") != 0 || (h = atoi(name)) > 23)
		return ENOENT;
	if (eno != 0)
		return eno;
	if (ends == NULL) {
		ends = op->state = arena_alloc(&op->arena, 2 * sizeof *ends);
		if (ends == NULL)
			return ENOMEM;
	}
	if (op->called && op->stage < 2) {
		eno = offset_told(op, p, op->stage == 0 ? p->hw : INT64_MAX,
		    &ends[op->stage]);
		if (eno != 0)
			return eno;
		op->stage++;
		op->called = false;
	}
	if (op->stage < 2) {
		ts = dir->key.a * DAY_MS + (h + op->stage) * HOUR_MS;
		if ((q = offsets_req(op, p, ts)) == NULL)
			return ENOMEM;
		return op_call(op, API_LIST_OFFSETS, 10, q);
	}
	*k = dir->key;
	k->kind = KIND_HOUR;
	k->a = ends[0] < p->start ? p->start : ends[0];
	k->b = ends[1];
	if (k->b < k->a)
		k->b = k->a;
	k->gen = p->rewrites;
	op->state = NULL;
	return 0;
}
