/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's input.  An idle one holds no buffer.  What a client
 * announces is never allocated, only what it has sent; a frame that is a large
 * Produce goes from the socket straight into the region.
 *
 * Reading stops while a connection owes too much, while one of its requests
 * waits for the link or for a Produce before it, and while its frame waits for
 * room in the region; also behind a request such as CreateTopics, whose effect
 * the next one must see.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "api.h"
#include "conn.h"
#include "lib/log.h"

#define FRAME_MIN	8	/* key, version, correlation id */
#define HEAP_FIRST	1024	/* of a frame whose rest is to come */
#define PIECE_FIRST	(1 * MIB)
#define TURN_BYTES	(1 * MIB) /* read before others have their turn */
#define SPILL		(4 * KIB) /* read behind a large frame: what is of the
				 * next one has to be copied to its place */
#define STALL_MS	10000	/* without a byte, while others wait */
#define PACE_BYTES	(32 * KIB) /* of a frame, in each frame-timeout-ms */

void
input_drop_frame(struct conn *c)
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

bool
input_wanted(const struct conn *c)
{
	return !c->closing && !c->ending && !c->paused &&
	    !c->gw->stopping && !c->is_hungry &&
	    c->waiting == 0 && c->inflight < CONN_INFLIGHT_MAX &&
	    c->owed < CONN_OWED_MAX && c->generic < CONN_GENERIC_MAX &&
	    c->polls < CONN_POLLS_MAX && c->alone == 0 && c->behind == NULL;
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

/* What is read of a frame before there is room for it: its length and key, of
 * a bare SASL token only the length. */
static uint8_t
head(const struct conn *c)
{
	return c->sasl.state == SASL_RAW ? 4 : 6;
}

static uint32_t
least(const struct conn *c)
{
	return c->sasl.state == SASL_RAW ? 1 : FRAME_MIN;
}

static bool
for_region(const struct conn *c)
{
	return head(c) == 6 && be16(c->pre + 4) == API_PRODUCE &&
	    c->in_need > IPC_INLINE_MAX;
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
	c->in_len = head(c) - 4u;
	memcpy(c->in, c->pre + 4, c->in_len);
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

	if (n < least(c) || n > c->frame_max) {
		conn_end(c, "frame length out of range");
		return false;
	}
	if (c->npre == 6 && head(c) == 6 && be16(c->pre + 4) == API_PRODUCE &&
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
whole(const struct conn *c, const uint8_t *p, size_t n)
{
	uint32_t len;

	if (n < 4 + least(c))
		return false;
	len = be32(p);
	return len >= least(c) && len <= n - 4 && (head(c) == 4 ||
	    be16(p + 4) != API_PRODUCE || len <= IPC_INLINE_MAX);
}

/* One step of input from n > 0 bytes at p; returns how many it took.  It may
 * take none when it closes the connection or puts it in line. */
static size_t
feed_once(struct conn *c, uint8_t *p, size_t n)
{
	size_t k;

	if (c->npre == 0 && whole(c, p, n) && be32(p) <= c->frame_max) {
		k = be32(p);
		conn_request(c, p + 4, (uint32_t)k, 0, true);
		return 4 + k;
	}
	if (c->npre < head(c)) {
		k = (size_t)head(c) - c->npre;
		if (k > n)
			k = n;
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
		conn_request(c, c->in, c->in_need, c->in_cap, false);
	return k;
}

/* Takes what may be taken; the rest is the caller's to hold. */
static size_t
feed(struct conn *c, uint8_t *p, size_t n)
{
	size_t pos = 0;

	while (pos < n && input_wanted(c))
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

bool
input_held(struct conn *c)
{
	size_t n;

	if (c->held == NULL || !input_wanted(c))
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
	size_t room = 0, rest, spill;
	ssize_t n;
	int nv = 0;

	if (c->in != NULL || c->npre == head(c)) {
		if (!frame_room(c, 1))
			return false;
		room = c->in_cap - c->in_len;
		v[nv++] = (struct iovec){ c->in + c->in_len, room };
	}
	spill = c->place >= 0 && c->in_need > SCRATCH ? SPILL : SCRATCH;
	v[nv++] = (struct iovec){ c->gw->scratch, spill };
	n = readv(c->fd, v, nv);
	if (n <= 0) {
		if (n == 0)
			conn_close(c, "closed by the client");
		else if (errno != EAGAIN && errno != EINTR)
			conn_close(c, "read failed");
		return false;
	}
	conn_moved(c);
	*total += (size_t)n;
	rest = (size_t)n > room ? (size_t)n - room : 0;
	c->in_len += (uint32_t)((size_t)n - rest);
	if (c->in != NULL && c->in_len == c->in_need)
		conn_request(c, c->in, c->in_need, c->in_cap, false);
	if (rest > 0 && !c->closing) {
		size_t k = feed(c, c->gw->scratch, rest);

		if (k < rest && !c->closing)
			hold(c, c->gw->scratch + k, rest - k);
	}
	return (size_t)n == room + spill;
}

void
input_read(struct conn *c)
{
	size_t total = 0;

	while (c->held == NULL && input_wanted(c) && total < TURN_BYTES &&
	    read_once(c, &total))
		continue;
}

void
input_drop(struct conn *c)
{
	input_drop_frame(c);
	held_drop(c);
}

void
input_serve(struct gw *gw)
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
void
input_stall(struct gw *gw)
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
	input_stall(t->data);
}

/*
 * Deadlines of frames.  All have the same time, so the list is in order of
 * what is due; the timer runs only while somebody is on it.
 */
static void
deadline_arm(struct gw *gw)
{
	struct conn *c = TAILQ_FIRST(&gw->partial);
	uint64_t now = uv_now(&gw->loop);

	if (c != NULL)
		uv_timer_start(&gw->deadline, input_deadline_cb,
		    c->frame_due > now ? c->frame_due - now : 0, 0);
}

/* From here on it has the whole time again. */
static void
deadline_set(struct conn *c)
{
	struct gw *gw = c->gw;

	if (c->is_partial)
		TAILQ_REMOVE(&gw->partial, c, partial);
	TAILQ_INSERT_TAIL(&gw->partial, c, partial);
	c->is_partial = true;
	c->frame_due = uv_now(&gw->loop) +
	    (uint64_t)gw->conf.frame_timeout_ms;
	c->frame_mark = c->in_len;
	c->frame_no = c->frames;
	if (!uv_is_active((uv_handle_t *)&gw->deadline))
		deadline_arm(gw);
}

void
input_watch(struct conn *c)
{
	if (c->npre > 0 || c->in != NULL) {
		if (!c->is_partial || c->frame_no != c->frames)
			deadline_set(c);
	} else if (c->is_partial) {
		TAILQ_REMOVE(&c->gw->partial, c, partial);
		c->is_partial = false;
		if (TAILQ_EMPTY(&c->gw->partial))
			uv_timer_stop(&c->gw->deadline);
	}
}

void
input_deadline_cb(uv_timer_t *t)
{
	struct gw *gw = t->data;
	uint64_t now = uv_now(&gw->loop);
	struct conn *c;

	while ((c = TAILQ_FIRST(&gw->partial)) != NULL &&
	    c->frame_due <= now)
		/* It is no fault of his while we do not read. */
		if (!(c->events & UV_READABLE) ||
		    c->in_len - c->frame_mark >= PACE_BYTES)
			deadline_set(c);
		else
			conn_close(c, "half a frame and no more");
	deadline_arm(gw);
}
