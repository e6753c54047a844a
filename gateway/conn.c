/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's life and its input.  An idle one holds no buffer.  What a
 * client announces is never allocated, only what it has sent; a frame that
 * is a large Produce goes from the socket straight into the region.
 *
 * Reading stops while a connection owes too much, while one of its requests
 * waits for the link, and while its frame waits for room in the region; also
 * behind a request such as CreateTopics, whose effect the next one must see.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "api.h"
#include "conn.h"
#include "lib/log.h"
#include "recode.h"

#define FRAME_MIN	8	/* key, version, correlation id */
#define HEAP_FIRST	1024	/* of a frame whose rest is to come */
#define PIECE_FIRST	(1 * MIB)
#define TURN_BYTES	(1 * MIB) /* read before others have their turn */
#define STALL_MS	10000	/* without a byte, while others wait */

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

/* Bytes have moved: the connection goes to the young end. */
static void
active(struct conn *c)
{
	c->active = uv_now(&c->gw->loop);
	TAILQ_REMOVE(&c->gw->conns, c, by_age);
	TAILQ_INSERT_TAIL(&c->gw->conns, c, by_age);
}

void
conn_open(struct gw *gw, int fd)
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
	c->poll.data = c;
	c->place = -1;
	c->session = ++gw->sessions;
	c->frame_max = (uint32_t)gw->conf.socket_request_max_bytes;
	c->active = uv_now(&gw->loop);
	TAILQ_INIT(&c->reqs);
	TAILQ_INSERT_TAIL(&gw->conns, c, by_age);
	gw->nconns++;
	c->events = UV_READABLE;
	uv_poll_start(&c->poll, UV_READABLE, poll_cb);
	if (!uv_is_active((uv_handle_t *)&gw->idle))
		idle_arm(gw);
}

/*
 * Memory of requests and of frames in the making.
 */
static bool
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
	if (c != NULL) {
		TAILQ_REMOVE(&c->reqs, r, in_conn);
		c->inflight--;
		c->owed -= r->owed;
		c->generic -= r->big;
		c->alone -= r->alone;
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
	r->ends = true;
	r->state = REQ_READY;
	conn_end(r->conn, why);
}

void
req_reply(struct req *r)
{
	size_t owed = r->out.len;

	if (r->conn == NULL) {
		req_free(r);
		return;
	}
	req_release(r);
	r->state = REQ_READY;
	for (int i = 0; i < r->next; i++)
		owed += (size_t)r->ext[i].left;
	r->conn->owed += owed - r->owed;
	r->owed = owed;
	/* An answer that is one of too many is not kept. */
	if (!heap_take(r->gw, r->out.cap)) {
		conn_close(r->conn, "memory for answers is used up");
		return;
	}
	r->heap += r->out.cap;
	conn_touch(r->conn);
}

/* The frame in the making is dropped. */
static void
frame_drop(struct conn *c)
{
	if (c->in != NULL && c->place >= 0)
		region_free(&c->gw->region, c->place, c->in_cap);
	else if (c->in != NULL) {
		free(c->in);
		c->gw->heap -= c->in_cap;
	}
	c->in = NULL;
	c->place = -1;
	c->npre = 0;
	c->in_len = c->in_cap = c->in_need = 0;
}

static void
held_drop(struct conn *c)
{
	free(c->held);
	c->gw->heap -= c->held_len;
	c->held = NULL;
	c->held_len = c->held_pos = 0;
}

static void
freed_cb(uv_handle_t *h)
{
	struct conn *c = h->data;

	free(c->told.client_id);
	free(c);
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
	session_bye(c);
	frame_drop(c);
	held_drop(c);
	if (c->is_hungry)
		TAILQ_REMOVE(&gw->hungry, c, hungry);
	if (c->is_touched)
		TAILQ_REMOVE(&gw->touched, c, touched);
	TAILQ_REMOVE(&gw->conns, c, by_age);
	gw->nconns--;
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

/*
 * Requests.
 */

/* Reads the header of a whole frame and hands the request on. */
static void
dispatch(struct conn *c, struct req *r)
{
	struct rd rd = rd_of(r->frame, r->frame_len);
	struct request_header h;
	struct arena none;
	int key = rd_i16(&rd), v = rd_i16(&rd);
	enum err e = E_OK;

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
		if (e == E_OK && r->api->answer != NULL) {
			up_submit(&c->gw->up, r);
			return;
		}
		if (e == E_OK)
			e = r->api->send(r);
	}
	if (e != E_OK)
		req_fail(r, "request cannot be read");
}

/* A frame is whole.  It is at p in the scratch (copy), or becomes the
 * request's, with its cap bytes at place. */
static void
request(struct conn *c, uint8_t *p, uint32_t n, uint32_t cap, bool copy)
{
	const struct api *api = api_find((int16_t)be16(p));
	size_t size = sizeof(struct req) + (copy ? n : 0);
	struct gw *gw = c->gw;
	struct req *r = NULL;

	if (api != NULL && heap_take(gw, size) && (r = malloc(size)) == NULL)
		gw->heap -= size;
	if (r == NULL) {
		if (!copy)
			frame_drop(c);
		conn_end(c, api == NULL ? "unknown api" :
		    "no memory for a request");
		return;
	}
	*r = (struct req){ .gw = gw, .conn = c, .api = api,
	    .frame = copy ? r->small : p, .frame_len = n,
	    .piece = { copy ? -1 : c->place, cap }, .heap = size,
	    .owed = n, .big = !(api->flags & F_SMALL) ||
	    (api->type == API_FETCH && (int16_t)be16(p + 2) <= 3),
	    .alone = api->answer != NULL &&
	    !(api->flags & (F_APPEND | F_AGAIN)) };
	if (copy)
		memcpy(r->small, p, n);
	else if (c->place < 0)
		r->heap += cap;
	TAILQ_INSERT_TAIL(&c->reqs, r, in_conn);
	c->inflight++;
	c->owed += r->owed;
	c->generic += r->big;
	c->alone += r->alone;
	c->in = NULL;		/* the request's now, if it was ever there */
	c->place = -1;
	c->npre = 0;
	c->in_len = c->in_cap = c->in_need = 0;
	dispatch(c, r);
}

/*
 * Frames.
 */
static bool
may_read(const struct conn *c)
{
	return !c->closing && !c->ending && !c->gw->stopping && !c->is_hungry &&
	    c->waiting == 0 && c->inflight < CONN_INFLIGHT_MAX &&
	    c->owed < CONN_OWED_MAX && c->generic < CONN_GENERIC_MAX &&
	    c->alone == 0;
}

/* In line for region: growing frames before new ones, since only those that
 * get whole give anything back. */
static void
hungry(struct conn *c)
{
	struct conn_list *l = &c->gw->hungry;
	struct conn *o = NULL;

	c->is_hungry = true;
	if (c->in != NULL)
		TAILQ_FOREACH(o, l, hungry)
			if (o->in == NULL)
				break;
	if (o != NULL)
		TAILQ_INSERT_BEFORE(o, c, hungry);
	else
		TAILQ_INSERT_TAIL(l, c, hungry);
	conn_touch(c);
}

static bool
for_region(const struct conn *c)
{
	return be16(c->pre + 4) == API_PRODUCE && c->in_need > IPC_INLINE_MAX;
}

/* Room for the first n bytes of the frame whose start is in pre.  E_BUSY: the
 * region has none, E_NOMEM. */
static enum err
frame_start(struct conn *c, uint32_t n)
{
	struct gw *gw = c->gw;
	uint32_t cap;

	if (for_region(c)) {
		cap = c->in_need < PIECE_FIRST ? c->in_need : PIECE_FIRST;
		c->place = region_alloc(&gw->region, cap);
		if (c->place < 0)
			return E_BUSY;
		c->in = gw->region.base + c->place;
	} else {
		cap = n < HEAP_FIRST ? HEAP_FIRST : n;
		if (cap > c->in_need)
			cap = c->in_need;
		if (!heap_take(gw, cap))
			return E_NOMEM;
		if ((c->in = malloc(cap)) == NULL) {
			gw->heap -= cap;
			return E_NOMEM;
		}
	}
	c->in_cap = cap;
	memcpy(c->in, c->pre + 4, 2);
	c->in_len = 2;
	return E_OK;
}

/* Room for n bytes in all, and as much again. */
static enum err
frame_grow(struct conn *c, uint32_t n)
{
	struct gw *gw = c->gw;
	uint64_t cap = (uint64_t)c->in_cap * 2;
	uint8_t *p;
	enum err e;

	if (cap < n)
		cap = n;
	if (cap > c->in_need)
		cap = c->in_need;
	if (c->place >= 0) {
		e = region_move(&gw->region, &c->place, c->in_cap, cap);
		if (e != E_OK)
			return e;
		c->in = gw->region.base + c->place;
	} else {
		if (!heap_take(gw, cap - c->in_cap))
			return E_NOMEM;
		if ((p = realloc(c->in, cap)) == NULL) {
			gw->heap -= cap - c->in_cap;
			return E_NOMEM;
		}
		c->in = p;
	}
	c->in_cap = (uint32_t)cap;
	return E_OK;
}

/* Room for more of the frame in hand; n bytes are known to be there.  False:
 * none now, or never. */
static bool
frame_room(struct conn *c, uint32_t n)
{
	enum err e = E_OK;

	if (n > c->in_need - c->in_len)
		n = c->in_need - c->in_len;
	if (c->in == NULL)
		/* First come, first served. */
		e = for_region(c) && !TAILQ_EMPTY(&c->gw->hungry) ? E_BUSY :
		    frame_start(c, n);
	else if (c->in_len == c->in_cap || c->in_cap - c->in_len < n)
		e = frame_grow(c, c->in_len + n);
	if (e == E_BUSY && c->in != NULL && c->in_len < c->in_cap)
		return true;	/* for some of it */
	if (e == E_BUSY)
		hungry(c);
	else if (e != E_OK)
		conn_close(c, "no memory for a frame");
	return e == E_OK;
}

/* The length and key of a frame are in pre.  False: closed. */
static bool
frame_checked(struct conn *c)
{
	uint32_t n = be32(c->pre);

	if (n < FRAME_MIN || n > c->frame_max) {
		conn_end(c, "frame length out of range");
		return false;
	}
	if (c->npre == 6 && be16(c->pre + 4) == API_PRODUCE &&
	    n > c->gw->region.size) {
		if (gw_may_log(c->gw))
			log_warn("produce request larger than region-bytes",
			    LI("bytes", n));
		conn_end(c, "frame larger than the region");
		return false;
	}
	c->in_need = n;
	return true;
}

/* A whole frame in the bytes at p, and not one for the region. */
static bool
whole(const uint8_t *p, size_t n)
{
	uint32_t len;

	if (n < 4 + FRAME_MIN)
		return false;
	len = be32(p);
	return len >= FRAME_MIN && len <= n - 4 &&
	    (be16(p + 4) != API_PRODUCE || len <= IPC_INLINE_MAX);
}

/* One step of input from n > 0 bytes at p; returns how many it took.  It may
 * take none when it closes the connection or puts it in line. */
static size_t
feed_once(struct conn *c, uint8_t *p, size_t n)
{
	size_t k;

	if (c->npre == 0 && whole(p, n) && be32(p) <= c->frame_max) {
		k = be32(p);
		request(c, p + 4, (uint32_t)k, 0, true);
		return 4 + k;
	}
	if (c->npre < 6) {
		k = 6u - c->npre < n ? 6u - c->npre : n;
		memcpy(c->pre + c->npre, p, k);
		c->npre += (uint8_t)k;
		if (c->npre >= 4)
			(void)frame_checked(c);
		return k;
	}
	if (!frame_room(c, n < UINT32_MAX ? (uint32_t)n : UINT32_MAX))
		return 0;
	k = c->in_cap - c->in_len < n ? c->in_cap - c->in_len : n;
	memcpy(c->in + c->in_len, p, k);
	c->in_len += (uint32_t)k;
	if (c->in_len == c->in_need)
		request(c, c->in, c->in_need, c->in_cap, false);
	return k;
}

/* Takes what may be taken; the rest is the caller's to hold. */
static size_t
feed(struct conn *c, uint8_t *p, size_t n)
{
	size_t pos = 0;

	while (pos < n && may_read(c))
		pos += feed_once(c, p + pos, n - pos);
	return pos;
}

static void
hold(struct conn *c, const uint8_t *p, size_t n)
{
	if (heap_take(c->gw, n) && (c->held = malloc(n)) != NULL) {
		memcpy(c->held, p, n);
		c->held_len = (uint32_t)n;
		c->held_pos = 0;
		return;
	}
	conn_close(c, "no memory for input");
}

/* Bytes that were held; true when some of them moved. */
static bool
feed_held(struct conn *c)
{
	size_t n;

	if (c->held == NULL || !may_read(c))
		return false;
	n = feed(c, c->held + c->held_pos, c->held_len - c->held_pos);
	if (c->closing)
		return false;
	c->held_pos += (uint32_t)n;
	if (c->held_pos == c->held_len)
		held_drop(c);
	return n > 0;
}

/* One readv: the frame in the making first, what follows it to the scratch.
 * Returns true when there may be more. */
static bool
read_once(struct conn *c, size_t *total)
{
	struct iovec v[2];
	size_t room = 0, rest;
	ssize_t n;
	int nv = 0;

	if (c->in != NULL || c->npre == 6) {
		if (!frame_room(c, 1))
			return false;
		room = c->in_cap - c->in_len;
		v[nv++] = (struct iovec){ c->in + c->in_len, room };
	}
	v[nv++] = (struct iovec){ c->gw->scratch, SCRATCH };
	n = readv(c->fd, v, nv);
	if (n <= 0) {
		if (n == 0)
			conn_close(c, "closed by the client");
		else if (errno != EAGAIN && errno != EINTR)
			conn_close(c, "read failed");
		return false;
	}
	active(c);
	*total += (size_t)n;
	rest = (size_t)n > room ? (size_t)n - room : 0;
	c->in_len += (uint32_t)((size_t)n - rest);
	if (c->in != NULL && c->in_len == c->in_need)
		request(c, c->in, c->in_need, c->in_cap, false);
	if (rest > 0 && !c->closing) {
		size_t k = feed(c, c->gw->scratch, rest);

		if (k < rest && !c->closing)
			hold(c, c->gw->scratch + k, rest - k);
	}
	return (size_t)n == room + SCRATCH;
}

static void
poll_cb(uv_poll_t *p, int status, int events)
{
	struct conn *c = p->data;
	size_t total = 0;

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
	if (events & UV_READABLE)
		while (c->held == NULL && may_read(c) && total < TURN_BYTES &&
		    read_once(c, &total))
			continue;
}

/*
 * Turns.
 */
static void
watch(struct conn *c)
{
	int ev = 0;

	if (c->held == NULL && may_read(c))
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
	do {
		if (!c->stuck && !TAILQ_EMPTY(&c->reqs)) {
			size_t owed = c->owed;

			if (!output_send(c)) {
				conn_close(c, "end of output");
				return;
			}
			if (c->owed != owed)
				active(c);
		}
	} while (feed_held(c));
	if (c->closing)
		return;
	if ((c->gw->stopping || c->ending) && TAILQ_EMPTY(&c->reqs))
		conn_close(c, "nothing is owed");
	else
		watch(c);
}

/* Lets those at the head of the line have what was given back. */
static void
hungry_serve(struct gw *gw)
{
	struct conn *c;
	enum err e;

	while ((c = TAILQ_FIRST(&gw->hungry)) != NULL) {
		e = c->in == NULL ? frame_start(c, 0) :
		    frame_grow(c, c->in_len + 1);
		if (e == E_BUSY)
			return;
		TAILQ_REMOVE(&gw->hungry, c, hungry);
		c->is_hungry = false;
		if (e != E_OK)
			conn_close(c, "no memory for a frame");
		else
			conn_touch(c);
	}
}

/* Nothing will be given back by the engine: the connection that holds a piece
 * and has moved least lately has to go, at once when all of them wait. */
static void
stall_check(struct gw *gw)
{
	uint64_t now = uv_now(&gw->loop), due;
	struct conn *c, *victim = NULL;
	bool all = true;

	if (TAILQ_EMPTY(&gw->hungry) || gw->lent > 0) {
		uv_timer_stop(&gw->stall);
		return;
	}
	TAILQ_FOREACH(c, &gw->conns, by_age)
		if (c->in != NULL && c->place >= 0) {
			victim = victim == NULL ? c : victim;
			all = all && c->is_hungry;
		} else if (c->waiting > 0)
			return;		/* the link's wait is bounded */
	due = victim == NULL ? now : victim->active + STALL_MS;
	if (victim != NULL && (all || due <= now)) {
		if (gw_may_log(gw))
			log_warn("unfinished request gives way", LI("bytes",
			    victim->in_len), LI("of", victim->in_need));
		conn_close(victim, "its memory was needed");
	} else if (due > now && !uv_is_active((uv_handle_t *)&gw->stall))
		uv_timer_start(&gw->stall, conn_stall_cb, due - now, 0);
}

void
conn_stall_cb(uv_timer_t *t)
{
	stall_check(t->data);
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
		hungry_serve(gw);
		if (TAILQ_EMPTY(&gw->touched) && !TAILQ_EMPTY(&gw->hungry)) {
			stall_check(gw);
			hungry_serve(gw);
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
