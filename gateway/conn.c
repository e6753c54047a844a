/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's life: its requests from whole frames to answers, and turns.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "conn.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "recode.h"
#include "warm.h"

static void	 poll_cb(uv_poll_t *, int, int);

void
conn_touch(struct conn *c)
{
	if (c->closing || c->is_touched)
		return;
	c->is_touched = true;
	TAILQ_INSERT_TAIL(&c->gw->touched, c, touched);
}

static void
idle_arm(struct gw *gw)
{
	struct conn *c = TAILQ_FIRST(&gw->conns);
	uint64_t now = uv_now(&gw->loop), due;

	if (c == NULL) {
		uv_timer_stop(&gw->idle);
		return;
	}
	due = c->active + (uint64_t)gw->conf.connections_max_idle_ms;
	uv_timer_start(&gw->idle, conn_idle_cb, due > now ? due - now : 0, 0);
}

void
conn_moved(struct conn *c)
{
	c->active = uv_now(&c->gw->loop);
	TAILQ_REMOVE(&c->gw->conns, c, by_age);
	TAILQ_INSERT_TAIL(&c->gw->conns, c, by_age);
}

void
conn_open(struct gw *gw, int fd, struct peer *peer)
{
	struct conn *c = calloc(1, sizeof *c);

	if (c == NULL || uv_poll_init(&gw->loop, &c->poll, fd) != 0) {
		log_warn("cannot take a connection", LERRNO(errno));
		free(c);
		close(fd);
		return;
	}
	c->gw = gw;
	c->fd = fd;
	c->peer = peer;
	c->poll.data = c;
	c->place = -1;
	c->session = ++gw->sessions;
	c->frame_max = (uint32_t)gw->conf.socket_request_max_bytes;
	c->sasl.token.len = -1;
	sasl_open(c);
	uv_timer_init(&gw->loop, &c->pause);
	c->pause.data = c;
	c->active = uv_now(&gw->loop);
	TAILQ_INIT(&c->reqs);
	TAILQ_INSERT_TAIL(&gw->conns, c, by_age);
	gw->nconns++;
	c->events = UV_READABLE;
	uv_poll_start(&c->poll, UV_READABLE, poll_cb);
	if (!uv_is_active((uv_handle_t *)&gw->idle))
		idle_arm(gw);
	admit_begin(c);
}

/*
 * Memory of requests and of frames in the making.
 */
bool
heap_take(struct gw *gw, size_t n)
{
	if (n > GW_HEAP_MAX - gw->heap)
		return false;
	gw->heap += n;
	return true;
}

void
req_release(struct req *r)
{
	struct region *g = &r->gw->region;

	ASSERT(!r->lent);
	if (r->api->type == IPC_AUTH && r->frame != NULL)
		explicit_bzero(r->frame, r->frame_len);	/* a password */
	if (r->piece.place >= 0)
		region_free(g, r->piece.place, r->piece.n);
	else if (r->frame != NULL && r->frame != r->small) {
		free(r->frame);
		r->gw->heap -= r->piece.n;
		r->heap -= r->piece.n;
	}
	r->piece.place = -1;
	r->frame = NULL;
	r->client_id = (struct kstr){ -1, NULL };
	for (int i = 0; i < r->nmore; i++)
		region_free(g, r->more[i].place, r->more[i].n);
	free(r->more);
	r->more = NULL;
	r->nmore = 0;
}

/* The engine has said what came of it, or will not. */
static void
engine_over(struct req *r)
{
	struct conn *c = r->conn;

	if (c == NULL)
		return;
	c->appends -= r->appending;
	if (r->appending && c->behind != NULL)
		conn_touch(c);
	r->appending = false;
}

void
req_free(struct req *r)
{
	struct conn *c = r->conn;

	req_plan_free(r);
	req_release(r);
	for (; r->iext < r->next; r->iext++)
		handle_put(r->ext[r->iext].h);
	free(r->ext);
	wr_free(&r->out);
	r->gw->heap -= r->heap;
	engine_over(r);
	if (c != NULL) {
		if (c->behind == r)
			c->behind = NULL;
		TAILQ_REMOVE(&c->reqs, r, in_conn);
		c->inflight--;
		c->owed -= r->owed;
		c->generic -= r->big;
		c->alone -= r->alone;
		c->polls -= r->polling;
	}
	free(r);
}

void
req_fail(struct req *r, const char *why)
{
	if (r->conn == NULL) {
		req_free(r);
		return;
	}
	wr_free(&r->out);
	req_release(r);
	engine_over(r);
	r->ends = true;
	r->state = REQ_READY;
	conn_end(r->conn, why);
}

/* Who holds up memory: the one that has not read for the longest time, or
 * else the one that wants more of it. */
static struct conn *
not_reading(const struct gw *gw, struct conn *wants)
{
	struct conn *c;

	TAILQ_FOREACH(c, &gw->conns, by_age)
		if (c->stuck)
			return c;
	return wants;
}

void
req_reply(struct req *r)
{
	size_t owed = r->out.len;
	struct conn *c;

	if (r->conn == NULL) {
		req_free(r);
		return;
	}
	req_release(r);
	engine_over(r);
	r->state = REQ_READY;
	for (int i = 0; i < r->next; i++)
		owed += (size_t)r->ext[i].left;
	r->conn->owed += owed - r->owed;
	r->owed = owed;
	/* An answer that is one of too many is not kept. */
	while (!heap_take(r->gw, r->out.cap)) {
		c = not_reading(r->gw, r->conn);
		conn_close(c, "memory for answers is used up");
		if (c == r->conn)
			return;
	}
	r->heap += r->out.cap;
	conn_touch(r->conn);
}

static void
pause_freed(uv_handle_t *h)
{
	struct conn *c = h->data;

	free(c->sasl.token.p);
	free(c->told.client_id);
	free(c);
}

static void
freed_cb(uv_handle_t *h)
{
	struct conn *c = h->data;

	uv_close((uv_handle_t *)&c->pause, pause_freed);
}

void
conn_close(struct conn *c, const char *why)
{
	struct gw *gw = c->gw;
	struct req *r;

	if (c->closing)
		return;
	c->closing = true;
	if (gw_may_log(gw))
		log_debug("connection closed", LS("why", why),
		    LI("session", (int64_t)c->session));
	while ((r = TAILQ_FIRST(&c->reqs)) != NULL)
		if (r->state == REQ_RECODING ||
		    (r->state == REQ_SENT && (r->api->flags & F_APPEND))) {
			TAILQ_REMOVE(&c->reqs, r, in_conn);
			r->conn = NULL;
		} else {
			up_forget(&gw->up, r);
			req_free(r);
		}
	warm_leave(c);
	session_bye(c);
	admit_end(c);
	input_drop(c);
	if (c->is_hungry)
		TAILQ_REMOVE(&gw->hungry, c, hungry);
	if (c->is_partial)
		TAILQ_REMOVE(&gw->partial, c, partial);
	if (c->is_touched)
		TAILQ_REMOVE(&gw->touched, c, touched);
	TAILQ_REMOVE(&gw->conns, c, by_age);
	gw->nconns--;
	uv_timer_stop(&c->pause);
	uv_close((uv_handle_t *)&c->poll, freed_cb);
	close(c->fd);
}

void
conn_end(struct conn *c, const char *why)
{
	if (c->closing || c->ending)
		return;
	if (TAILQ_EMPTY(&c->reqs)) {
		conn_close(c, why);
		return;
	}
	if (gw_may_log(c->gw))
		log_debug("connection ends", LS("why", why),
		    LI("session", (int64_t)c->session));
	c->ending = true;
	conn_touch(c);
}

static void
resume_cb(uv_timer_t *t)
{
	struct conn *c = t->data;
	void (*resume)(struct conn *) = c->resume;

	c->paused = false;
	c->resume = NULL;
	conn_touch(c);
	if (resume != NULL)
		resume(c);
}

void
conn_pause(struct conn *c, uint64_t ms, void (*resume)(struct conn *))
{
	if (c->closing)
		return;
	if (resume != NULL)
		c->resume = resume;
	if (c->paused && uv_timer_get_due_in(&c->pause) >= ms)
		return;
	c->paused = true;
	conn_touch(c);
	uv_timer_start(&c->pause, resume_cb, ms, 0);
}

uint64_t
conn_begin(const struct conn *c)
{
	return c->metered ? uv_hrtime() : 0;
}

void
conn_spent(struct conn *c, uint64_t began)
{
	if (began != 0)
		c->spent += uv_hrtime() - began;
}

static void
refused(struct conn *c)
{
	conn_close(c, "the engine refuses it");
}

void
conn_bye(struct gw *gw, uint64_t session, uint32_t ms)
{
	struct conn *c;

	TAILQ_FOREACH(c, &gw->conns, by_age)
		if (c->session == session) {
			if (ms == 0)
				refused(c);
			else
				conn_pause(c, ms, refused);
			return;
		}
}

/*
 * Requests.
 */

/* Kafka takes up one request of a connection after the other, so what comes
 * behind a Produce sees its records.  Here several are under way; only one
 * that is no Produce waits until those before it are answered. */
static void
submit(struct conn *c, struct req *r)
{
	if (c->appends > 0 && !(r->api->flags & F_APPEND))
		c->behind = r;
	else
		up_submit(&c->gw->up, r);
}

/* Reads the header of a whole frame and hands the request on. */
static void
dispatch(struct conn *c, struct req *r)
{
	struct rd rd = rd_of(r->frame, r->frame_len);
	struct request_header h;
	struct arena none;
	int key, v;
	enum err e = E_OK;

	if (r->raw) {
		r->client_id = (struct kstr){ c->told.client_id_len,
		    c->told.client_id };
		up_submit(&c->gw->up, r);
		return;
	}
	key = rd_i16(&rd);
	v = rd_i16(&rd);
	r->correlation = rd_i32(&rd);
	r->version = (int16_t)v;
	if (key == API_VERSIONS && (v < r->api->min || v > r->api->max)) {
		e = versions_too_new(r);
	} else if (v < r->api->min || v > r->api->max) {
		req_fail(r, "unsupported version");
		return;
	} else {
		rd = rd_of(r->frame, r->frame_len);
		arena_init(&none, 0);
		e = msg_read(&kafka_msgs[KM_request_header],
		    kafka_req_header(r->api->req, v), &rd, &none, &h);
		r->client_id = h.client_id;
		r->body = (uint32_t)(rd.p - r->frame);
		if (e == E_OK && !sasl_gate(r))
			return;
		if (e == E_OK && r->api->answer != NULL) {
			submit(c, r);
			return;
		}
		if (e == E_OK)
			e = r->api->send(r);
	}
	if (e != E_OK)
		req_fail(r, "request cannot be read");
}

void
conn_request(struct conn *c, uint8_t *p, uint32_t n, uint32_t cap, bool copy)
{
	bool raw = c->sasl.state == SASL_RAW;
	const struct api *api = api_find(raw ? API_SASL_AUTHENTICATE :
	    (int16_t)be16(p));
	size_t size = sizeof(struct req) + (copy ? n : 0);
	struct gw *gw = c->gw;
	struct req *r = NULL;

	if (api != NULL && heap_take(gw, size) && (r = malloc(size)) == NULL)
		gw->heap -= size;
	if (r == NULL) {
		if (!copy)
			input_drop_frame(c);
		conn_end(c, api == NULL ? "unknown api" :
		    "no memory for a request");
		return;
	}
	*r = (struct req){ .gw = gw, .conn = c, .api = api,
	    .frame = copy ? r->small : p, .frame_len = n,
	    .piece = { copy ? -1 : c->place, cap }, .heap = size,
	    .owed = n, .big = !(api->flags & F_SMALL) ||
	    (api->type == API_FETCH && (int16_t)be16(p + 2) <= 3),
	    .appending = (api->flags & F_APPEND) != 0,
	    .polling = api->type == API_FETCH,
	    .raw = raw, .alone = api->answer != NULL &&
	    (api->flags & F_ALONE || !(api->flags & (F_APPEND | F_AGAIN))) };
	if (copy)
		memcpy(r->small, p, n);
	else if (c->place < 0)
		r->heap += cap;
	TAILQ_INSERT_TAIL(&c->reqs, r, in_conn);
	c->inflight++;
	c->owed += r->owed;
	c->generic += r->big;
	c->alone += r->alone;
	c->appends += r->appending;
	c->polls += r->polling;
	c->frames++;
	c->in = NULL;		/* the request's now, if it was ever there */
	c->place = -1;
	c->npre = 0;
	c->in_len = c->in_cap = c->in_need = 0;
	dispatch(c, r);
}

static void
poll_cb(uv_poll_t *p, int status, int events)
{
	struct conn *c = p->data;
	uint64_t began;

	if (!c->closing)
		up_catch_up(&c->gw->up);
	if (c->closing)
		return;
	if (status < 0) {
		conn_close(c, "socket error");
		return;
	}
	if (events & UV_WRITABLE)
		c->stuck = false;
	conn_touch(c);
	began = conn_begin(c);
	if (events & UV_READABLE)
		input_read(c);
	conn_spent(c, began);
}

/*
 * Turns.
 */
static void
watch(struct conn *c)
{
	int ev = 0;

	if (c->held == NULL && input_wanted(c))
		ev |= UV_READABLE;
	if (c->stuck)
		ev |= UV_WRITABLE;
	if (ev == c->events)
		return;
	c->events = ev;
	if (ev == 0)
		uv_poll_stop(&c->poll);
	else
		uv_poll_start(&c->poll, ev, poll_cb);
}

static void
conn_turn(struct conn *c)
{
	struct req *r = c->behind;

	if (r != NULL && c->appends == 0) {
		c->behind = NULL;
		up_submit(&c->gw->up, r);
		if (c->closing)
			return;
	}
	do {
		if (!c->stuck && c->warm == NULL &&
		    !TAILQ_EMPTY(&c->reqs)) {
			size_t owed = c->owed;
			uint64_t began = conn_begin(c);
			bool ok = output_send(c);

			conn_spent(c, began);
			if (!ok) {
				conn_close(c, "end of output");
				return;
			}
			if (c->owed != owed)
				conn_moved(c);
		}
	} while (input_held(c));
	if (c->closing)
		return;
	if ((c->gw->stopping || c->ending) && TAILQ_EMPTY(&c->reqs))
		conn_close(c, "nothing is owed");
	else {
		watch(c);
		input_watch(c);
		admit_watch(c);
	}
}

void
conn_turn_all(struct gw *gw)
{
	struct conn *c;

	do {
		while ((c = TAILQ_FIRST(&gw->touched)) != NULL) {
			TAILQ_REMOVE(&gw->touched, c, touched);
			c->is_touched = false;
			conn_turn(c);
		}
		input_serve(gw);
		if (TAILQ_EMPTY(&gw->touched) && !TAILQ_EMPTY(&gw->hungry)) {
			input_stall(gw);
			input_serve(gw);
		}
	} while (!TAILQ_EMPTY(&gw->touched));
}

void
conn_idle_cb(uv_timer_t *t)
{
	struct gw *gw = t->data;
	uint64_t now = uv_now(&gw->loop);
	struct conn *c;

	while ((c = TAILQ_FIRST(&gw->conns)) != NULL && c->active +
	    (uint64_t)gw->conf.connections_max_idle_ms <= now)
		conn_close(c, "idle");
	idle_arm(gw);
}

/* An answer that is only parked is nothing that a client would miss. */
void
conn_stop_all(struct gw *gw)
{
	struct conn *c, *next;
	struct req *r;

	gw->stopping = true;
	for (c = TAILQ_FIRST(&gw->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, by_age);
		TAILQ_FOREACH(r, &c->reqs, in_conn)
			if (r->state == REQ_READY || !(r->api->flags & F_AGAIN))
				break;
		if (r == NULL)
			conn_close(c, "stopping");
		else
			conn_touch(c);
	}
}

void
conn_close_all(struct gw *gw)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&gw->conns)) != NULL)
		conn_close(c, "stopping");
}
