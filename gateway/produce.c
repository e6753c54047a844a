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
#include "recode.h"

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
	const struct region *g = &r->gw->region;

	p->length = (int32_t)n;
	if (b >= g->base && b < g->base + g->size) {
		p->place = b - g->base;
		p->inlined = (struct kbytes){ -1, NULL };
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

/* What a batch needs besides: the topic's codec. */
static enum err
plan_recode(struct plan *pl, struct append_req_part *p, const uint8_t *b,
    const struct batch_facts *f, const struct topic_recode *want)
{
	struct batch h;

	if (want == NULL || batch_read(b, &h) != E_OK ||
	    (h.attrs & BATCH_CODEC) == want->codec)
		return E_OK;
	return recode_add(pl, p, b, (size_t)p->length, want, f->plain);
}

/* One batch of magic 2. */
static enum err
check_new(struct plan *pl, const struct produce_req_topic_part *q,
    struct append_req_part *p, struct tally *t,
    const struct topic_recode *want)
{
	const struct req *r = pl->r;
	bool deep = r->gw->conf.produce_validation == VALIDATE_DEEP;
	struct batch_facts f = BATCH_FACTS_NONE;
	const char *why = NULL;
	uint8_t *b;
	enum err e;

	if (q->records.len <= 0) {
		p->message = kstr_of("a partition has no batch");
		return E_INVALID_RECORD;
	}
	/* The frame is ours to correct; its records are only borrowed. */
	b = r->frame + (q->records.p - r->frame);
	tally_batch(t, b, (size_t)q->records.len);
	e = batch_check(b, (size_t)q->records.len, deep, r->version >= 7 ||
	    r->version < 3, &f, &why);
	row_facts(p, &f);
	p->message = kstr_of(why);
	if (e != E_OK)
		return e;
	p->sent_length = q->records.len;
	row_bytes(r, p, b, (size_t)q->records.len);
	return plan_recode(pl, p, b, &f, want);
}

/* Where the bytes of a row are. */
static uint8_t *
row_at(const struct req *r, const struct append_req_part *p)
{
	if (p->place >= 0)
		return r->gw->region.base + p->place;
	return (uint8_t *)(uintptr_t)p->inlined.p;
}

/* Keeps a converted batch until the engine has answered: where the old one
 * was when it fits, else in a piece or block of its own. */
static enum err
keep(struct plan *pl, uint8_t *old, size_t old_len,
    struct append_req_part *p, const struct wr *w)
{
	struct req *r = pl->r;
	struct region *g = &r->gw->region;
	uint8_t *b;
	struct piece *m;
	int64_t place;

	if (w->len <= old_len) {
		memcpy(old, w->p, w->len);
		row_bytes(r, p, old, w->len);
		return E_OK;
	}
	if (w->len <= IPC_INLINE_MAX) {
		if ((b = arena_alloc(&pl->a, w->len)) == NULL)
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
	p->inlined = (struct kbytes){ -1, NULL };
	return E_OK;
}

/* A message set of format 0 or 1. */
static enum err
convert_old(struct plan *pl, const struct produce_req_topic_part *q,
    struct append_req_part *p, const struct topic_recode *want)
{
	struct batch_facts f = BATCH_FACTS_NONE;
	const char *why = NULL;
	struct req *r = pl->r;
	struct wr w = wr_grow(BATCH_MAX);
	enum err e;

	if (q->records.len <= 0) {
		p->message = kstr_of("a partition has no messages");
		return E_INVALID_RECORD;
	}
	e = batch_up_convert(q->records.p, (size_t)q->records.len, false, &w,
	    &f, &why);
	row_facts(p, &f);
	p->message = kstr_of(why);
	if (e == E_OK)
		e = keep(pl, r->frame + (q->records.p - r->frame),
		    (size_t)q->records.len, p, &w);
	wr_free(&w);
	return e != E_OK ? e : plan_recode(pl, p, row_at(r, p), &f, want);
}

/* The magic of all formats is in the same place. */
static bool
is_new(const struct produce_req_topic_part *q)
{
	return q->records.len > 16 && q->records.p[16] == 2;
}

static void
check_part(struct plan *pl, const struct produce_req_topic_part *q,
    struct append_req_part *p, struct tally *t,
    const struct topic_recode *want)
{
	enum err e;

	p->index = q->index;
	p->place = -1;
	p->null_key = p->bad_index = -1;
	p->min_ts = p->max_ts = -1;
	p->inlined.len = -1;
	p->message = kstr_of(NULL);
	/* As Kafka does, new batches are taken from old requests too. */
	if (pl->r->version >= 3 || is_new(q))
		e = check_new(pl, q, p, t, want);
	else
		e = convert_old(pl, q, p, want);
	p->error = (int16_t)e;
}

static void
fail_row(struct append_req_part *p, enum err e)
{
	p->error = (int16_t)e;
	p->message = kstr_of(NULL);
	p->length = 0;
	p->place = -1;
	p->inlined = (struct kbytes){ -1, NULL };
}

/* An error of the request as a whole: it stands on every partition. */
static void
fail_all(struct plan *pl, enum err e)
{
	struct append_req *out = &pl->out;

	for (int32_t i = 0; i < out->topics.n; i++)
		for (int32_t j = 0; j < out->topics.v[i].parts.n; j++)
			fail_row(&out->topics.v[i].parts.v[j], e);
	pl->n = 0;	/* nothing is there to be recoded */
}

static enum err
rows(struct plan *pl, const struct produce_req *q, struct tally *t)
{
	const struct req *r = pl->r;
	const struct produce_req_topic *qt;
	const struct topic_recode *want;
	struct append_req_topic *ot;

	pl->out.topics.n = q->topic_data.n;
	pl->out.topics.v = arena_array(&pl->a, (size_t)q->topic_data.n,
	    sizeof *ot);
	if (pl->out.topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topic_data.n; i++) {
		qt = &q->topic_data.v[i];
		ot = &pl->out.topics.v[i];
		ot->name = r->version >= 13 ? kstr_of(NULL) : qt->name;
		ot->id = qt->topic_id;
		want = codecs_find(&r->gw->codecs, ot->name, ot->id);
		ot->parts.n = qt->partition_data.n;
		ot->parts.v = arena_array(&pl->a, (size_t)ot->parts.n,
		    sizeof *ot->parts.v);
		if (ot->parts.v == NULL)
			return E_NOMEM;
		for (int32_t j = 0; j < ot->parts.n; j++)
			check_part(pl, &qt->partition_data.v[j],
			    &ot->parts.v[j], t, want);
	}
	return E_OK;
}

/* The first half: the request is read, judged, and written down as rows. */
static enum err
plan_make(struct plan *pl)
{
	struct req *r = pl->r;
	struct produce_req q;
	struct tally t = { 0 };
	enum err e;

	e = req_decode(r, &pl->a, &q);
	if (e != E_OK)
		return e;
	pl->out.transactional_id = q.transactional_id;
	pl->out.acks = q.acks;
	pl->out.timeout_ms = q.timeout_ms;
	r->silent = q.acks == 0;
	e = rows(pl, &q, &t);
	if (e != E_OK)
		return e;
	if (q.acks < -1 || q.acks > 1)
		fail_all(pl, E_INVALID_REQUIRED_ACKS);
	else if (t.mixed)
		fail_all(pl, E_INVALID_PRODUCER_ID_MAPPING);
	else if (t.txn && q.transactional_id.len <= 0)
		fail_all(pl, E_TXN_ID_AUTHORIZATION);
	return E_OK;
}

/* The second: recoded batches take the place of those that came. */
static enum err
plan_send(struct plan *pl)
{
	struct req *r = pl->r;

	for (int i = 0; i < pl->n; i++) {
		struct recode_item *it = &pl->items[i];

		if (it->err == E_OK)
			it->err = keep(pl, row_at(r, it->row), it->len,
			    it->row, &it->out);
		if (it->err != E_OK)
			fail_row(it->row, it->err);
	}
	return up_send(r, &pl->out);
}

enum err
produce_send(struct req *r)
{
	struct plan pl = { .r = r };
	enum err e;

	if (r->plan != NULL) {
		e = plan_send(r->plan);
		req_plan_free(r);
		return e;
	}
	arena_for_frame(&pl.a, r->frame_len);
	e = plan_make(&pl);
	if (e == E_OK && recode_is_long(&pl)) {
		e = recode_start(r, &pl);
		if (e == E_OK)
			return E_OK;	/* and comes here again */
	}
	if (e == E_OK) {
		recode_now(&pl);
		e = plan_send(&pl);
	}
	plan_free(&pl);
	return e;
}

/* Answers, or for acks=0 says by the connection's end that something failed. */
static enum err
reply(struct req *r, struct produce_res *s)
{
	struct produce_res_node_endpoint us = { .node_id =
	    r->gw->up.node_id, .host = kstr_of(r->gw->host),
	    .port = r->gw->port, .rack = kstr_of(NULL) };
	struct produce_res_topic_part *p;
	bool failed = false;
	enum err e;

	for (int32_t i = 0; i < s->responses.n; i++)
		for (int32_t j = 0;
		    j < s->responses.v[i].partition_responses.n; j++) {
			p = &s->responses.v[i].partition_responses.v[j];
			failed = failed || p->error_code != 0;
			if (p->current_leader.leader_id >= 0) {	/* KIP-951 */
				s->node_endpoints.n = 1;
				s->node_endpoints.v = &us;
			}
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

/*
 * Whether it was appended is not known.  Behind it there may be others of the
 * same producer on the wire, and those must not overtake its retry: they would
 * be out of sequence for good.  So the connection ends, as when a broker dies,
 * and the client sends all of them again, in order.
 */
void
produce_lost(struct req *r)
{
	req_fail(r, "engine lost with appends under way");
}
