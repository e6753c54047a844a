/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking calls: each turns the link until its answer has come or its
 * time is over.  An answer that comes later is recognised by its id and
 * dropped, so a link survives a call that timed out.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "kafka.h"

enum { FETCH_VERSION = 17, FETCH_MEMORY = 64 * KIB };

struct eng {
	struct elink	*link;
	int		 timeout_ms;
	enum err	 why;		/* the newest that changed() was told */
	/* The call in hand. */
	enum err	 e;
	void		*res;
	struct extents	*extents;	/* to be taken from it, or NULL */
	bool		 over;
};

/* ---- fetch ------------------------------------------------------------- */

const struct fetch_req *
fetch_want_req(const struct fetch_want *w, struct arena *a)
{
	struct fetch_req *q = arena_alloc(a, sizeof *q);
	struct fetch_req_topic *t = arena_alloc(a, sizeof *t);
	struct fetch_req_topic_part *p = arena_alloc(a, sizeof *p);

	if (q == NULL || t == NULL || p == NULL)
		return NULL;
	msg_init(ipc_req(API_FETCH), q);
	*p = (struct fetch_req_topic_part){ .partition = w->part,
	    .current_leader_epoch = -1, .fetch_offset = w->offset,
	    .last_fetched_epoch = -1, .log_start_offset = -1,
	    .partition_max_bytes = w->bytes_max,
	    .high_watermark = INT64_MAX };
	*t = (struct fetch_req_topic){ .topic_id = w->topic,
	    .partitions = { 1, p } };
	q->max_wait_ms = w->wait_ms;
	q->min_bytes = w->wait_ms > 0;
	q->max_bytes = w->bytes_max;
	q->isolation_level = w->committed;
	q->topics.n = 1;
	q->topics.v = t;
	return q;
}

static enum err
err_told(int16_t e)
{
	return e >= 0 && e < E_MAX ? (enum err)e : E_UNKNOWN;
}

static enum err
extent_take(struct elink *l, const struct extents_res_extent *x,
    struct extent *to)
{
	if (x->length <= 0 || x->position < 0 ||
	    x->position > INT64_MAX - x->length)
		return E_PROTO;
	to->position = x->position;
	to->length = x->length;
	return elink_handle(l, x->handle, &to->h);
}

enum err
extents_take(struct elink *l, const struct extents_res *res,
    struct extents *x)
{
	const struct extents_res_part *p;
	enum err e = E_OK;

	*x = (struct extents){ -1, -1, -1, 0, NULL };
	if (res->error != E_OK)
		return err_told(res->error);
	if (res->topics.n != 1 || res->topics.v[0].parts.n != 1)
		return E_PROTO;
	p = &res->topics.v[0].parts.v[0];
	if (p->error != E_OK)
		return err_told(p->error);
	x->high_watermark = p->high_watermark;
	x->last_stable = p->last_stable_offset;
	x->log_start = p->log_start_offset;
	if (p->extents.n <= 0)
		return E_OK;
	x->v = calloc((size_t)p->extents.n, sizeof *x->v);
	if (x->v == NULL)
		return E_NOMEM;
	for (; e == E_OK && x->n < p->extents.n; x->n++)
		e = extent_take(l, &p->extents.v[x->n], &x->v[x->n]);
	if (e != E_OK)
		extents_free(x);
	return e;
}

void
extents_free(struct extents *x)
{
	for (int32_t i = 0; i < x->n; i++)
		ehandle_put(x->v[i].h);
	free(x->v);
	x->v = NULL;
	x->n = 0;
}

/* ---- waiting ----------------------------------------------------------- */

static void
changed(void *arg, enum err why)
{
	struct eng *g = arg;

	g->why = why;
}

/* One turn of the link, no longer than until the deadline. */
static void
turn(struct eng *g, int64_t deadline_ms)
{
	struct pollfd p = { .fd = elink_fd(g->link),
	    .events = elink_events(g->link) };
	int64_t left = deadline_ms - elink_now_ms();
	int ms = elink_wait_ms(g->link);

	if (left < 0)
		left = 0;
	if (ms < 0 || ms > left)
		ms = (int)left;
	if (poll(&p, 1, ms) <= 0)
		p.revents = 0;
	elink_run(g->link, p.revents);
}

static void
call_done(struct ecall *c, enum err e, void *res)
{
	struct eng *g = c->arg;

	/* At once: what comes behind the answer may retire its segments. */
	if (e == E_OK && g->extents != NULL)
		e = extents_take(g->link, res, g->extents);
	g->e = e;
	g->res = res;
	g->over = true;
}

static enum err
call_wait(struct eng *g, struct ecall *c, int timeout_ms)
{
	c->deadline_ms = elink_now_ms() + timeout_ms;
	c->done = call_done;
	c->arg = g;
	g->over = false;
	elink_call(g->link, c);
	while (!g->over)
		turn(g, c->deadline_ms);
	return g->e;
}

static enum err
call(struct eng *g, struct ecall *c, void *res, int timeout_ms)
{
	enum err e;

	if (ipc_req(c->type) == NULL || ipc_res(c->type) == NULL)
		return E_USAGE;
	e = call_wait(g, c, timeout_ms);
	if (e == E_OK)
		memcpy(res, g->res, ipc_res(c->type)->size);
	return e;
}

enum err
eng_call(struct eng *g, int type, int version, const void *req, void *res,
    struct arena *a)
{
	struct ecall c = { .type = (uint16_t)type,
	    .version = (int16_t)version, .req = req, .arena = a };

	return type < 0 || type > UINT16_MAX ? E_USAGE :
	    call(g, &c, res, g->timeout_ms);
}

enum err
eng_await(struct eng *g, int type, const void *req, void *res,
    struct arena *a, int wait_ms)
{
	struct ecall c = { .type = (uint16_t)type, .req = req, .arena = a };

	return type < 0 || type > UINT16_MAX ? E_USAGE :
	    call(g, &c, res, g->timeout_ms + wait_ms);
}

enum err
eng_fetch(struct eng *g, const struct fetch_want *w, struct extents *x)
{
	struct ecall c = { .type = API_FETCH, .version = FETCH_VERSION,
	    .again = true };
	struct arena a;
	enum err e = E_NOMEM;

	*x = (struct extents){ -1, -1, -1, 0, NULL };
	arena_init(&a, FETCH_MEMORY);
	c.req = fetch_want_req(w, &a);
	c.arena = &a;
	g->extents = x;
	if (c.req != NULL)
		e = call_wait(g, &c, w->wait_ms + g->timeout_ms);
	g->extents = NULL;
	arena_reset(&a);
	return e;
}

enum err
eng_open(const char *path, const char *program, int timeout_ms,
    struct eng **out)
{
	struct eng *g = calloc(1, sizeof *g);
	struct elink_conf conf = { .path = path, .program = program,
	    .changed = changed, .arg = g };
	int64_t deadline = elink_now_ms() + timeout_ms;
	enum err e;

	if (g == NULL)
		return E_NOMEM;
	g->timeout_ms = timeout_ms;
	e = elink_open(&conf, &g->link);
	while (e == E_OK && !elink_ready(g->link)) {
		g->why = E_OK;
		turn(g, deadline);
		/* A full backlog is one that may empty. */
		if (g->why != E_OK && g->why != E_BUSY)
			e = g->why;
		else if (!elink_ready(g->link) && elink_now_ms() >= deadline)
			e = E_TIMED_OUT;
	}
	if (e != E_OK) {
		eng_close(g);
		return e;
	}
	*out = g;
	return E_OK;
}

void
eng_close(struct eng *g)
{
	if (g == NULL)
		return;
	elink_close(g->link);
	free(g);
}

const struct hello_res *
eng_hello(const struct eng *g)
{
	return elink_hello(g->link);
}
