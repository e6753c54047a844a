/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produce: every batch is checked here, so that the engine need not look into
 * it, and one append with a row per partition goes to the engine.  A row that
 * failed goes along with its error: the engine answers it in its place.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "conn.h"
#include "lib/batch.h"
#include "lib/ipc.h"
#include "lib/log.h"

/* What the batches of one request say together. */
struct tally {
	int64_t	pid;		/* of the first transactional batch */
	bool	txn, mixed;	/* there is one; there are several pids */
};

/* Borrows bytes: of the region by place, else inline. */
static void
row_bytes(const struct req *r, struct append_req_part *p, const uint8_t *b,
    size_t n)
{
	p->length = (int32_t)n;
	if (r->piece.place >= 0 && b >= r->frame &&
	    b < r->frame + r->frame_len) {
		p->place = r->piece.place + (b - r->frame);
	} else {
		p->place = -1;
		p->inlined = (struct kbytes){ (int32_t)n, b };
	}
}

static void
row_facts(struct append_req_part *p, const struct batch_facts *f)
{
	p->min_ts = f->min_ts;
	p->max_ts = f->max_ts;
	p->null_key = f->null_key;
	p->bad_index = f->bad_index;
}

/* Whether a batch claims a transaction, valid or not. */
static void
tally_batch(struct tally *t, const uint8_t *b, size_t n)
{
	struct batch h;

	if (n < BATCH_HEADER || batch_read(b, &h) != E_OK ||
	    !(h.attrs & BATCH_TXN))
		return;
	t->mixed = t->mixed || (t->txn && t->pid != h.pid);
	t->txn = true;
	t->pid = h.pid;
}

/* One batch of magic 2. */
static enum err
check_new(const struct req *r, const struct produce_req_topic_part *q,
    struct append_req_part *p, struct tally *t, const char **why)
{
	bool deep = r->gw->conf.produce_validation == VALIDATE_DEEP;
	struct batch_facts f = { -1, -1, -1, -1, false };
	uint8_t *b;
	enum err e;

	if (q->records.len <= 0) {
		*why = "a partition has no batch";
		return E_INVALID_RECORD;
	}
	/* The frame is ours to correct; its records are only borrowed. */
	b = r->frame + (q->records.p - r->frame);
	tally_batch(t, b, (size_t)q->records.len);
	e = batch_check(b, (size_t)q->records.len, deep, r->version >= 7, &f,
	    why);
	row_facts(p, &f);
	if (e == E_OK)
		row_bytes(r, p, b, (size_t)q->records.len);
	return e;
}

/* Keeps a converted batch until the engine has answered: where the old one
 * was when it fits, else in a piece or block of its own. */
static enum err
keep(struct req *r, const struct produce_req_topic_part *q,
    struct append_req_part *p, const struct wr *w, struct arena *a)
{
	struct region *g = &r->gw->region;
	uint8_t *old = r->frame + (q->records.p - r->frame), *b;
	struct piece *m;
	int64_t place;

	if (w->len <= (size_t)q->records.len) {
		memcpy(old, w->p, w->len);
		row_bytes(r, p, old, w->len);
		return E_OK;
	}
	if (w->len <= IPC_INLINE_MAX) {
		if ((b = arena_alloc(a, w->len)) == NULL)
			return E_NOMEM;
		memcpy(b, w->p, w->len);
		row_bytes(r, p, b, w->len);
		return E_OK;
	}
	m = realloc(r->more, ((size_t)r->nmore + 1) * sizeof *m);
	if (m == NULL)
		return E_NOMEM;
	r->more = m;
	/* Full: an error that lets the client try again; nothing is stored. */
	if ((place = region_alloc(g, w->len)) < 0)
		return E_TIMED_OUT;
	memcpy(g->base + place, w->p, w->len);
	r->more[r->nmore++] = (struct piece){ place, w->len };
	p->place = place;
	p->length = (int32_t)w->len;
	return E_OK;
}

/* A message set of format 0 or 1. */
static enum err
convert_old(struct req *r, const struct produce_req_topic_part *q,
    struct append_req_part *p, struct arena *a, const char **why)
{
	struct batch_facts f = { -1, -1, -1, -1, false };
	struct wr w = wr_grow(BATCH_MAX);
	enum err e;

	if (q->records.len <= 0) {
		*why = "a partition has no messages";
		return E_INVALID_RECORD;
	}
	e = batch_up_convert(q->records.p, (size_t)q->records.len, false, &w,
	    &f, why);
	row_facts(p, &f);
	if (e == E_OK)
		e = keep(r, q, p, &w, a);
	wr_free(&w);
	return e;
}

static void
check_part(struct req *r, const struct produce_req_topic_part *q,
    struct append_req_part *p, struct tally *t, struct arena *a)
{
	const char *why = NULL;
	enum err e;

	p->index = q->index;
	p->place = -1;
	p->null_key = p->bad_index = -1;
	p->min_ts = p->max_ts = -1;
	p->inlined.len = -1;
	if (r->version >= 3)
		e = check_new(r, q, p, t, &why);
	else
		e = convert_old(r, q, p, a, &why);
	p->error = (int16_t)e;
	p->message = kstr_of(why);
}

/* An error of the request as a whole: it stands on every partition. */
static void
fail_all(struct append_req *out, enum err e)
{
	struct append_req_part *p;

	for (int32_t i = 0; i < out->topics.n; i++)
		for (int32_t j = 0; j < out->topics.v[i].parts.n; j++) {
			p = &out->topics.v[i].parts.v[j];
			p->error = (int16_t)e;
			p->message = kstr_of(NULL);
			p->length = 0;
			p->place = -1;
			p->inlined = (struct kbytes){ -1, NULL };
		}
}

static enum err
rows(struct req *r, const struct produce_req *q, struct append_req *out,
    struct tally *t, struct arena *a)
{
	const struct produce_req_topic *qt;
	struct append_req_topic *ot;

	out->topics.n = q->topic_data.n;
	out->topics.v = arena_array(a, (size_t)out->topics.n, sizeof *ot);
	if (out->topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < out->topics.n; i++) {
		qt = &q->topic_data.v[i];
		ot = &out->topics.v[i];
		ot->name = r->version >= 13 ? kstr_of(NULL) : qt->name;
		ot->id = qt->topic_id;
		ot->parts.n = qt->partition_data.n;
		ot->parts.v = arena_array(a, (size_t)ot->parts.n,
		    sizeof *ot->parts.v);
		if (ot->parts.v == NULL)
			return E_NOMEM;
		for (int32_t j = 0; j < ot->parts.n; j++)
			check_part(r, &qt->partition_data.v[j],
			    &ot->parts.v[j], t, a);
	}
	return E_OK;
}

enum err
produce_send(struct req *r)
{
	struct produce_req q;
	struct append_req out = { 0 };
	struct tally t = { 0 };
	struct arena a;
	enum err e;

	arena_for_frame(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	if (e == E_OK) {
		out.transactional_id = q.transactional_id;
		out.acks = q.acks;
		out.timeout_ms = q.timeout_ms;
		r->silent = q.acks == 0;
		e = rows(r, &q, &out, &t, &a);
	}
	if (e == E_OK) {
		if (q.acks < -1 || q.acks > 1)
			fail_all(&out, E_INVALID_REQUIRED_ACKS);
		else if (t.mixed)
			fail_all(&out, E_INVALID_PRODUCER_ID_MAPPING);
		else if (t.txn && q.transactional_id.len <= 0)
			fail_all(&out, E_TXN_ID_AUTHORIZATION);
		e = up_send(r, &out);
	}
	arena_reset(&a);
	return e;
}

/* Answers, or for acks=0 says by the connection's end that something failed. */
static enum err
reply(struct req *r, struct produce_res *s)
{
	struct produce_res_topic_part *p;
	bool failed = false;
	enum err e;

	for (int32_t i = 0; i < s->responses.n; i++)
		for (int32_t j = 0;
		    j < s->responses.v[i].partition_responses.n; j++) {
			p = &s->responses.v[i].partition_responses.v[j];
			failed = failed || p->error_code != 0;
			/* Unknown to clients before version 4. */
			if (r->version < 4 &&
			    p->error_code == err_code(E_STORAGE))
				p->error_code = err_code(E_NOT_LEADER);
		}
	if (r->silent && failed) {
		req_fail(r, "a produce with acks=0 failed");
		return E_OK;
	}
	if (!r->silent && r->conn != NULL) {
		e = req_encode(r, r->api->res, r->version, s);
		if (e != E_OK)
			return e;
	}
	req_reply(r);
	return E_OK;
}

enum err
produce_answer(struct req *r, struct rd *body)
{
	struct produce_res s;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(r->api->res, VER_ALL, body, &a, &s);
	if (e == E_OK)
		e = reply(r, &s);
	arena_reset(&a);
	return e;
}

static void
unknown_part(const struct produce_req_topic_part *q,
    struct produce_res_topic_part *s)
{
	*s = (struct produce_res_topic_part){ .index = q->index,
	    .error_code = err_code(E_TIMED_OUT), .base_offset = -1,
	    .log_append_time_ms = -1, .log_start_offset = -1,
	    .error_message = kstr_of(NULL), .current_leader = { -1, -1 } };
}

/* Whether it was appended is not known: REQUEST_TIMED_OUT says that, and an
 * idempotent producer's retry finds out. */
static enum err
outcome_unknown(const struct produce_req *q, struct produce_res *s,
    struct arena *a)
{
	struct produce_res_topic *t;

	msg_init(&kafka_msgs[KM_produce_res], s);
	s->responses.n = q->topic_data.n;
	s->responses.v = arena_array(a, (size_t)s->responses.n, sizeof *t);
	if (s->responses.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < s->responses.n; i++) {
		t = &s->responses.v[i];
		t->name = q->topic_data.v[i].name;
		t->topic_id = q->topic_data.v[i].topic_id;
		t->partition_responses.n = q->topic_data.v[i].partition_data.n;
		t->partition_responses.v = arena_array(a,
		    (size_t)t->partition_responses.n,
		    sizeof *t->partition_responses.v);
		if (t->partition_responses.v == NULL)
			return E_NOMEM;
		for (int32_t j = 0; j < t->partition_responses.n; j++)
			unknown_part(&q->topic_data.v[i].partition_data.v[j],
			    &t->partition_responses.v[j]);
	}
	return E_OK;
}

void
produce_lost(struct req *r)
{
	struct produce_req q;
	struct produce_res s;
	struct arena a;
	enum err e;

	arena_for_engine(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	if (e == E_OK)
		e = outcome_unknown(&q, &s, &a);
	if (e == E_OK)
		e = reply(r, &s);
	if (e != E_OK)
		req_fail(r, "engine lost");
	arena_reset(&a);
}
