/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch: the engine answers with extents of segments that were passed to us.
 * The response is written around them, with holes where the bytes will be
 * sent from the page cache.  Few bytes are read instead, and old clients get
 * theirs converted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "api.h"
#include "conn.h"
#include "lib/batch.h"
#include "lib/ipc.h"
#include "lib/log.h"

#define COPIES_MAX	(256 * KIB)	/* of one response, about */

enum err
fetch_send(struct req *r)
{
	struct fetch_req q;
	struct arena a;
	enum err e;

	arena_for_frame(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	if (e == E_OK) {
		/* Null or [] where there are none: by what was asked. */
		r->committed = q.isolation_level == 1;
		/* What is converted is held in memory meanwhile. */
		if (r->version <= 3 && q.max_bytes > FETCH_OLD_MAX)
			q.max_bytes = FETCH_OLD_MAX;
		e = up_send(r, &q);
	}
	arena_reset(&a);
	return e;
}

/* Reads the bytes of one extent.  E_BUSY: the disk would have to be waited
 * for, and it must not. */
static enum err
read_extent(struct up *up, const struct extents_res_extent *x, uint8_t *to,
    bool wait)
{
	struct handle *h;
	enum err e = handle_get(up, x->handle, &h);
	int flags = wait ? 0 : RWF_NOWAIT;
	ssize_t n, got = 0;

	if (e != E_OK)
		return e;
	while (got < x->length) {
		struct iovec v = { to + got, (size_t)(x->length - got) };

		n = preadv2(h->fd, &v, 1, x->position + got, flags);
		if (n < 0 && (errno == EINTR || (errno == EOPNOTSUPP &&
		    flags != 0))) {
			flags = errno == EINTR ? flags : 0;
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			e = E_BUSY;
			break;
		}
		if (n <= 0) {
			log_warn("cannot read a segment", LI("handle", h->id),
			    LERRNO(n < 0 ? errno : 0));
			e = E_IO;
			break;
		}
		got += n;
	}
	handle_put(h);
	return e;
}

/* The bytes of all extents of a partition, one after the other. */
static enum err
read_all(struct up *up, const struct extents_res_part *p, uint8_t *to,
    bool wait)
{
	enum err e = E_OK;

	for (int32_t i = 0; e == E_OK && i < p->extents.n; i++) {
		e = read_extent(up, &p->extents.v[i], to, wait);
		to += p->extents.v[i].length;
	}
	return e;
}

/* E_PROTO: the engine's extents are nonsense. */
static enum err
extents_size(const struct extents_res_part *p, int64_t *size)
{
	const struct extents_res_extent *x;

	*size = 0;
	for (int32_t i = 0; i < p->extents.n; i++) {
		x = &p->extents.v[i];
		if (x->length <= 0 || x->position < 0 ||
		    x->position > INT64_MAX - x->length)
			return E_PROTO;
		*size += x->length;
	}
	return *size > INT32_MAX ? E_PROTO : E_OK;
}

/* Few bytes: one read is cheaper than a call of its own for sendfile.  E_BUSY:
 * they cannot be read at once. */
static enum err
put_copy(struct req *r, const struct extents_res_part *p,
    struct fetch_res_topic_part *s, size_t size, struct arena *a)
{
	uint8_t *b = arena_alloc(a, size);

	if (b == NULL)
		return E_NOMEM;
	s->records = (struct kbytes){ (int32_t)size, b };
	return read_all(&r->gw->up, p, b, false);
}

static enum err
put_extents(struct req *r, const struct extents_res_part *p,
    struct fetch_res_topic_part *s, size_t size)
{
	struct extent *x;
	enum err e;

	for (int32_t i = 0; i < p->extents.n; i++) {
		x = &r->ext[r->next];
		e = handle_get(&r->gw->up, p->extents.v[i].handle, &x->h);
		if (e != E_OK)
			return e;
		x->pos = p->extents.v[i].position;
		x->left = p->extents.v[i].length;
		r->next++;
	}
	s->records = (struct kbytes){ (int32_t)size, NULL };
	return E_OK;
}

/* Message format 0 or 1, for clients of before 0.11. */
static enum err
put_old(struct req *r, const struct extents_res_part *p,
    struct fetch_res_topic_part *s, size_t size, struct arena *a)
{
	struct wr w = wr_grow(BATCH_MAX);
	uint8_t *b = malloc(size), *to;
	enum err e = b == NULL ? E_NOMEM : read_all(&r->gw->up, p, b,
	    true);

	if (e != E_OK) {
		free(b);
		return e;
	}
	e = batch_down_convert(b, size, r->version <= 1 ? 0 : 1,
	    p->fetch_offset, &w);
	free(b);
	if (e == E_OK && w.len > 0) {
		to = arena_alloc(a, w.len);
		if (to == NULL)
			e = E_NOMEM;
		else
			memcpy(to, w.p, w.len);
		s->records = (struct kbytes){ (int32_t)w.len, to };
	} else if (e != E_OK && e != E_NOMEM) {
		s->error_code = err_code(e);
		s->high_watermark = -1;
		e = E_OK;
	}
	wr_free(&w);
	return e;
}

static enum err
fill_part(struct req *r, const struct extents_res_part *p,
    struct fetch_res_topic_part *s, struct arena *a)
{
	enum err err = (unsigned)p->error < E_MAX ? p->error : E_UNKNOWN;
	int64_t size;
	enum err e = extents_size(p, &size);

	*s = (struct fetch_res_topic_part){ .partition_index = p->index,
	    .error_code = err_code(err), .high_watermark = -1,
	    .last_stable_offset = -1, .log_start_offset = -1,
	    .diverging_epoch = { -1, -1 }, .current_leader = { -1, -1 },
	    .snapshot_id = { -1, -1 }, .preferred_read_replica = -1,
	    .aborted_transactions = { r->committed ? 0 : -1, NULL } };
	/* Unknown to clients before version 6. */
	if (r->version < 6 && s->error_code == err_code(E_STORAGE))
		s->error_code = err_code(E_NOT_LEADER);
	/* The client need not ask Metadata who leads (KIP-951). */
	if (r->version >= 16 && (err == E_NOT_LEADER ||
	    err == E_FENCED_LEADER_EPOCH)) {
		s->current_leader.leader_id = r->gw->up.node_id;
		s->current_leader.leader_epoch = p->leader_epoch;
	}
	if (e != E_OK || err != E_OK)
		return e;
	s->high_watermark = p->high_watermark;
	s->last_stable_offset = p->last_stable_offset;
	s->log_start_offset = p->log_start_offset;
	s->diverging_epoch.epoch = p->diverging_epoch;
	s->diverging_epoch.end_offset = p->diverging_epoch < 0 ? -1 :
	    p->diverging_end;
	if (size == 0)
		return E_OK;
	if (r->version <= 3)
		return put_old(r, p, s, (size_t)size, a);
	if (size <= FETCH_COPY_MAX && a->used < COPIES_MAX &&
	    (e = put_copy(r, p, s, (size_t)size, a)) != E_BUSY)
		return e;
	return put_extents(r, p, s, (size_t)size);
}

static enum err
fill(struct req *r, const struct extents_res *x, struct fetch_res *s,
    struct arena *a)
{
	struct fetch_res_node_endpoint *us;
	struct fetch_res_topic *t;
	enum err e = E_OK;

	msg_init(r->api->res, s);
	s->error_code = err_code((unsigned)x->error < E_MAX ? x->error :
	    E_UNKNOWN);
	s->session_id = x->session_id;
	s->responses.n = x->topics.n;
	s->responses.v = arena_array(a, (size_t)x->topics.n, sizeof *t);
	if (s->responses.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < x->topics.n; i++) {
		t = &s->responses.v[i];
		t->topic = x->topics.v[i].name;
		t->topic_id = x->topics.v[i].id;
		t->partitions.n = x->topics.v[i].parts.n;
		t->partitions.v = arena_array(a, (size_t)t->partitions.n,
		    sizeof *t->partitions.v);
		if (t->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t j = 0; e == E_OK && j < t->partitions.n; j++) {
			e = fill_part(r, &x->topics.v[i].parts.v[j],
			    &t->partitions.v[j], a);
			if (t->partitions.v[j].current_leader.leader_id >= 0)
				s->node_endpoints.n = 1;
		}
	}
	if (e == E_OK && s->node_endpoints.n > 0) {
		us = arena_alloc(a, sizeof *us);
		if (us == NULL)
			return E_NOMEM;
		*us = (struct fetch_res_node_endpoint){ r->gw->up.node_id,
		    kstr_of(r->gw->host), r->gw->port, kstr_of(NULL) };
		s->node_endpoints.v = us;
	}
	return e;
}

/*
 * Before version 3 a partition's limit is hard: a client of that time expects
 * its last message cut off, and asks for more bytes when that is the only one.
 */
static enum err
cut_old(const struct req *r, struct fetch_res *s, struct arena *a)
{
	const struct fetch_req_topic *qt;
	struct fetch_req q;
	struct kbytes *b;
	int32_t i = 0, j = 0, max;
	enum err e;

	e = req_decode(r, a, &q);
	if (e != E_OK)
		return e;
	/* The engine answers in the order of the request, though it may have
	 * put topics together. */
	for (int32_t k = 0; k < s->responses.n; k++)
		for (int32_t m = 0; m < s->responses.v[k].partitions.n; m++) {
			while (i < q.topics.n &&
			    j == q.topics.v[i].partitions.n) {
				i++;
				j = 0;
			}
			if (i == q.topics.n)
				return E_PROTO;
			qt = &q.topics.v[i];
			max = qt->partitions.v[j++].partition_max_bytes;
			b = &s->responses.v[k].partitions.v[m].records;
			if (b->len > max)
				b->len = max < 0 ? 0 : max;
		}
	return E_OK;
}

/* How many extents may have to be sent, each with a hole at most. */
static size_t
count(const struct extents_res *x)
{
	size_t n = 0;

	for (int32_t i = 0; i < x->topics.n; i++)
		for (int32_t j = 0; j < x->topics.v[i].parts.n; j++)
			if (x->topics.v[i].parts.v[j].extents.n > 0)
				n += (size_t)
				    x->topics.v[i].parts.v[j].extents.n;
	return n;
}

/* Says of each extent where it goes: the holes are one per partition, in the
 * same order. */
static void
place(struct req *r, const struct fetch_res *s, const struct extents_res *x)
{
	const struct fetch_res_topic_part *p;
	int hole = 0, k = 0;

	for (int32_t i = 0; i < s->responses.n; i++)
		for (int32_t j = 0; j < s->responses.v[i].partitions.n; j++) {
			p = &s->responses.v[i].partitions.v[j];
			if (p->records.len <= 0 || p->records.p != NULL)
				continue;
			for (int32_t n = 0;
			    n < x->topics.v[i].parts.v[j].extents.n; n++)
				r->ext[k++].at = r->out.hole[hole];
			hole++;
		}
	ASSERT(k == r->next && hole == r->out.nhole);
}

enum err
fetch_answer(struct req *r, struct rd *body)
{
	struct extents_res x;
	struct fetch_res s;
	struct arena a;
	size_t n = 0;
	enum err e;

	/* Copies and conversions are in the arena too. */
	arena_for_engine(&a, rd_left(body));
	a.limit += (size_t)INFLATE_MAX;
	e = msg_read(&ipc_msgs[IM_extents_res], VER_ALL, body, &a, &x);
	if (e == E_OK && (n = count(&x)) > 0) {
		r->ext = malloc(n * sizeof *r->ext);
		r->out.hole = arena_array(&a, n, sizeof *r->out.hole);
		r->out.hole_max = (int)n;
		if (r->ext == NULL || r->out.hole == NULL)
			e = E_NOMEM;
	}
	if (e == E_OK)
		e = fill(r, &x, &s, &a);
	if (e == E_OK && r->version < 3)
		e = cut_old(r, &s, &a);
	if (e == E_OK)
		e = req_encode(r, r->api->res, r->version, &s);
	if (e == E_OK)
		place(r, &s, &x);
	r->out.hole = NULL;
	r->out.hole_max = r->out.nhole = 0;
	arena_reset(&a);
	if (e == E_OK)
		req_reply(r);
	return e;
}
