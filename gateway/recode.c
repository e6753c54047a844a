/* SPDX-License-Identifier: Apache-2.0 */
/* Recoding, here and in libuv's threads. */
#include <stdlib.h>

#include "conn.h"
#include "lib/batch.h"
#include "recode.h"

#define LONG_BYTES	(8 * KIB)	/* of records: more goes to a worker */
#define RUNNING_MAX	2		/* at once: memory, and other work */

enum err
recode_add(struct plan *p, struct append_req_part *row, const uint8_t *b,
    size_t n, const struct topic_recode *want, int64_t plain)
{
	struct recode_item *v;

	if (p->n == p->cap) {
		v = realloc(p->items, ((size_t)p->cap * 2 + 1) * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		p->items = v;
		p->cap = p->cap * 2 + 1;
	}
	p->items[p->n++] = (struct recode_item){ .row = row, .bytes = b,
	    .len = n, .codec = want->codec, .level = want->level,
	    .out = wr_grow(BATCH_MAX) };
	p->plain += plain < 0 ? LONG_BYTES + 1 : plain;
	return E_OK;
}

bool
recode_is_long(const struct plan *p)
{
	return p->plain > LONG_BYTES;
}

void
recode_now(struct plan *p)
{
	for (int i = 0; i < p->n; i++) {
		struct recode_item *it = &p->items[i];

		it->err = batch_recode(it->bytes, it->len, it->codec,
		    it->level, &it->out);
	}
	p->done = true;
}

void
plan_free(struct plan *p)
{
	for (int i = 0; i < p->n; i++)
		wr_free(&p->items[i].out);
	free(p->items);
	arena_reset(&p->a);
}

void
req_plan_free(struct req *r)
{
	if (r->plan == NULL)
		return;
	r->gw->heap -= r->plan->heap;
	plan_free(r->plan);
	free(r->plan);
	r->plan = NULL;
}

static void
work_cb(uv_work_t *w)
{
	recode_now(w->data);
}

static void work_done(uv_work_t *, int);

static void
run_more(struct gw *gw)
{
	struct plan *p;

	while (gw->recoding < RUNNING_MAX &&
	    (p = TAILQ_FIRST(&gw->recodes)) != NULL) {
		TAILQ_REMOVE(&gw->recodes, p, next);
		gw->recoding++;
		p->work.data = p;
		ASSERT(uv_queue_work(&gw->loop, &p->work, work_cb,
		    work_done) == 0);
	}
}

/* What was made counts as memory for as long as it waits for the link. */
static void
account(struct gw *gw, struct plan *p)
{
	for (int i = 0; i < p->n; i++)
		p->heap += p->items[i].out.cap;
	if (p->heap > GW_HEAP_MAX - gw->heap) {
		for (int i = 0; i < p->n; i++) {
			wr_free(&p->items[i].out);
			p->items[i].err = E_TIMED_OUT;
		}
		p->heap = 0;
	}
	gw->heap += p->heap;
}

static void
work_done(uv_work_t *w, int status)
{
	struct plan *p = w->data;
	struct req *r = p->r;
	struct gw *gw = r->gw;

	ASSERT(status == 0);	/* nobody cancels */
	gw->recoding--;
	account(gw, p);
	r->state = REQ_NEW;
	if (r->conn == NULL)
		req_free(r);
	else {
		r->conn->waiting--;
		conn_touch(r->conn);
		up_submit(&gw->up, r);
	}
	run_more(gw);
}

enum err
recode_start(struct req *r, struct plan *on_stack)
{
	struct plan *p = malloc(sizeof *p);

	if (p == NULL)
		return E_NOMEM;
	*p = *on_stack;
	p->r = r;
	r->plan = p;
	r->state = REQ_RECODING;
	r->conn->waiting++;
	TAILQ_INSERT_TAIL(&r->gw->recodes, p, next);
	run_more(r->gw);
	return E_OK;
}
