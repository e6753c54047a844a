/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to the engine.  It may go away at any time: then reads are sent
 * again on the next link, appends are answered with "outcome unknown", and
 * what comes meanwhile waits, for a while.  Nothing here knows what a request
 * says; its api's functions do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api.h"
#include "conn.h"
#include "gateway.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "options.h"
#include "warm.h"

#define BACKOFF_MIN_MS	20
#define BACKOFF_MAX_MS	1000
#define WAIT_MS		10000	/* for a link, then the client is let go */
#define NONE		UINT32_MAX
#define SLOT_BITS	20
#define SLOTS_MAX	(1u << SLOT_BITS)

/* Its memory lives until its poll handle is closed. */
struct link {
	uv_poll_t	 poll;
	struct ipc	 ipc;
	struct up	*up;
	int		 events;
};

static void	 up_lost(struct up *, const char *why);
static void	 retry_cb(uv_timer_t *);

/*
 * Slots: a request's id is its slot and the slot's generation, so that a late
 * answer to a request that was dropped finds nothing.
 */
static bool
slot_more(struct up *up)
{
	uint32_t n = up->nslots == 0 ? 64 : up->nslots * 2;
	struct slot *p;

	if (n > SLOTS_MAX || (p = realloc(up->slot, n * sizeof *p)) == NULL)
		return false;
	up->slot = p;
	for (uint32_t i = n; i-- > up->nslots; ) {
		p[i] = (struct slot){ NULL, 0, up->free_slot };
		up->free_slot = i;
	}
	up->nslots = n;
	return true;
}

static bool
slot_take(struct up *up, struct req *r)
{
	struct slot *s;

	if (up->free_slot == NONE && !slot_more(up))
		return false;
	s = &up->slot[up->free_slot];
	r->id = s->gen << SLOT_BITS | up->free_slot;
	up->free_slot = s->next;
	s->r = r;
	return true;
}

static struct req *
slot_find(struct up *up, uint32_t id)
{
	uint32_t i = id & (SLOTS_MAX - 1);

	if (i >= up->nslots || up->slot[i].r == NULL ||
	    up->slot[i].r->id != id)
		return NULL;
	return up->slot[i].r;
}

static void
slot_drop(struct up *up, struct req *r)
{
	uint32_t i = r->id & (SLOTS_MAX - 1);

	ASSERT(up->slot[i].r == r);
	up->slot[i].r = NULL;
	up->slot[i].gen = (up->slot[i].gen + 1) & (UINT32_MAX >> SLOT_BITS);
	up->slot[i].next = up->free_slot;
	up->free_slot = i;
}

/* The request leaves the engine's hands and is in ours alone. */
static void
unsend(struct up *up, struct req *r)
{
	slot_drop(up, r);
	r->state = REQ_NEW;
	TAILQ_REMOVE(&up->sent, r, in_link);
	if (r->api->flags & F_APPEND)
		up->appends--;
	if (r->lent) {
		r->lent = false;
		up->gw->lent--;
	}
}

static void
enqueue(struct up *up, struct req *r, bool first)
{
	int q = r->api->flags & F_APPEND ? 0 : 1;

	r->state = REQ_WAITING;
	r->since = uv_now(&up->gw->loop);
	r->conn->waiting++;
	if (first)
		TAILQ_INSERT_HEAD(&up->wait[q], r, in_link);
	else
		TAILQ_INSERT_TAIL(&up->wait[q], r, in_link);
	if (up->state != UP_READY && !uv_is_active((uv_handle_t *)&up->expire))
		uv_timer_start(&up->expire, up->expire.timer_cb, WAIT_MS, 0);
}

static void
dequeue(struct up *up, struct req *r)
{
	int q = r->api->flags & F_APPEND ? 0 : 1;

	TAILQ_REMOVE(&up->wait[q], r, in_link);
	r->state = REQ_NEW;
	r->conn->waiting--;
	conn_touch(r->conn);
}

static uint64_t
oldest(const struct up *up)
{
	uint64_t t = UINT64_MAX;
	struct req *r;

	for (int q = 0; q < 2; q++)
		if ((r = TAILQ_FIRST(&up->wait[q])) != NULL && r->since < t)
			t = r->since;
	return t;
}

/* No engine for too long: those who wait are let go. */
static void
expire_cb(uv_timer_t *t)
{
	struct up *up = t->data;
	uint64_t now = uv_now(&up->gw->loop), due;
	struct req *r;

	for (int q = 0; q < 2; q++)
		while ((r = TAILQ_FIRST(&up->wait[q])) != NULL &&
		    r->since + WAIT_MS <= now)
			conn_close(r->conn, "no engine");
	due = oldest(up);
	if (up->state != UP_READY && due != UINT64_MAX)
		uv_timer_start(t, expire_cb, due + WAIT_MS - now, 0);
}

/*
 * Sending.
 */

/* These must not be held up or lost: what follows on the link, and what the
 * engine holds, depends on them. */
void
up_tell(struct up *up, int type, uint64_t session, const void *in)
{
	struct ipc_head h = { .type = (uint16_t)type, .session = session };
	enum err e;

	ASSERT(up->state == UP_READY);
	e = ipc_send(&up->link->ipc, &h, ipc_req(type), in, NULL);
	if (e != E_OK)
		log_fatal("no memory for the engine link", LE(e));
}

enum err
up_send(struct req *r, const void *in)
{
	struct up *up = &r->gw->up;
	struct ipc_head h = { .type = r->api->type, .version = r->version,
	    .session = r->conn->session };
	enum err e;

	if (!session_tell(r) || !slot_take(up, r))
		return E_NOMEM;
	h.time = (uint32_t)(r->conn->spent / 1000);
	r->conn->spent = 0;
	h.id = r->id;
	e = ipc_send(&up->link->ipc, &h, ipc_req(h.type), in, NULL);
	if (e != E_OK) {
		slot_drop(up, r);
		return e;
	}
	r->state = REQ_SENT;
	TAILQ_INSERT_TAIL(&up->sent, r, in_link);
	if (r->api->flags & F_APPEND)
		up->appends++;
	if (r->piece.place >= 0 || r->nmore > 0) {
		r->lent = true;
		up->gw->lent++;
	}
	return E_OK;
}

static bool
can_send(const struct up *up, const struct api *a)
{
	if (up->state != UP_READY || ipc_unsent(&up->link->ipc) >= LINK_OUT_MAX)
		return false;
	return !(a->flags & F_APPEND) || up->appends < up->credit;
}

static void
send_now(struct req *r)
{
	enum err e = r->api->send(r);

	if (e != E_OK)
		req_fail(r, e == E_PROTO ? "request cannot be read" :
		    "request cannot be handled");
}

void
up_submit(struct up *up, struct req *r)
{
	int q = r->api->flags & F_APPEND ? 0 : 1;

	if (TAILQ_EMPTY(&up->wait[q]) && can_send(up, r->api))
		send_now(r);
	else
		enqueue(up, r, false);
}

void
up_forget(struct up *up, struct req *r)
{
	if (r->state == REQ_WAITING)
		dequeue(up, r);
	else if (r->state == REQ_SENT)
		unsend(up, r);
	else if (r->state == REQ_LOST)
		TAILQ_REMOVE(&up->lost, r, in_link);
}


static void
watch(struct up *up)
{
	struct link *l = up->link;
	int ev = UV_READABLE;

	if (ipc_unsent(&l->ipc) > 0)
		ev |= UV_WRITABLE;
	if (ev != l->events) {
		uv_poll_start(&l->poll, ev, l->poll.poll_cb);
		l->events = ev;
	}
}

void
up_flush(struct up *up)
{
	struct req *r;
	enum err e;

	for (int q = 0; q < 2; q++)
		while ((r = TAILQ_FIRST(&up->wait[q])) != NULL &&
		    can_send(up, r->api)) {
			dequeue(up, r);
			send_now(r);
		}
	if (up->link == NULL)
		return;
	e = ipc_flush(&up->link->ipc);
	if (e != E_OK)
		up_lost(up, err_text(e));
	else
		watch(up);
}

bool
up_idle(const struct up *up)
{
	return up->link == NULL || ipc_unsent(&up->link->ipc) == 0;
}

/*
 * Segments that were passed.
 */
static struct handle **
handle_at(struct up *up, int64_t id)
{
	uint64_t x = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
	struct handle **p = &up->handles[x >> 56];

	_Static_assert(HANDLE_CHAINS == 256, "8 bits of the hash");
	while (*p != NULL && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

enum err
handle_get(struct up *up, int64_t id, struct handle **h)
{
	*h = *handle_at(up, id);
	if (*h == NULL)
		return E_PROTO;
	(*h)->refs++;
	return E_OK;
}

static void
handle_free(struct handle *h)
{
	close(h->fd);
	free(h);
}

void
handle_put(struct handle *h)
{
	ASSERT(h->refs > 0);
	if (--h->refs == 0 && h->retired)
		handle_free(h);
}

static void
handle_retire(struct up *up, struct handle **p)
{
	struct handle *h = *p;

	*p = h->next;
	up->nhandles--;
	h->retired = true;
	if (h->refs == 0)
		handle_free(h);
}

static void
handles_retire_all(struct up *up)
{
	for (int i = 0; i < HANDLE_CHAINS; i++)
		while (up->handles[i] != NULL)
			handle_retire(up, &up->handles[i]);
}

/* Takes over the fds that came with an answer to fetch, also when nobody
 * waits for the answer any more: the engine passes each only once. */
static enum err
handles_add(struct up *up, const struct extents_res *x, const int *fds, int n)
{
	struct handle **p, *h;
	int i = 0;

	if (x->handles.n == n)
		for (; i < n; i++) {
			p = handle_at(up, x->handles.v[i]);
			h = malloc(sizeof *h);
			if (*p != NULL || h == NULL ||
			    up->nhandles >= 2 * IPC_HANDLES_MAX) {
				free(h);
				break;
			}
			*h = (struct handle){ .id = x->handles.v[i],
			    .fd = fds[i], .small = warm_small(fds[i]) };
			*p = h;
			up->nhandles++;
		}
	if (i == n && x->handles.n == n)
		return E_OK;
	while (i < n)
		close(fds[i++]);
	return E_PROTO;
}

/*
 * Receiving.
 */
static enum err
got_hello(struct up *up, struct rd *body)
{
	struct hello_res s;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(&ipc_msgs[IM_hello_res], VER_ALL, body, &a, &s);
	if (e == E_OK && s.error != 0) {
		log_warn("engine refuses this gateway",
		    LE((unsigned)s.error < E_MAX ? s.error : E_UNKNOWN),
		    LSN("why", s.message.p, s.message.len < 0 ? 0 :
		    s.message.len));
		e = E_CLOSED;
	}
	if (e == E_OK && (s.credit <= 0 || s.cluster_id.len <= 0))
		e = E_PROTO;
	/* A link begins with all of them. */
	codecs_clear(&up->gw->codecs);
	for (int32_t i = 0; e == E_OK && i < s.codecs.n; i++)
		e = codecs_set(&up->gw->codecs, &s.codecs.v[i]);
	if (e == E_OK) {
		free(up->cluster_id);
		up->cluster_id = strndup(s.cluster_id.p,
		    (size_t)s.cluster_id.len);
		up->node_id = s.node_id;
		up->credit = s.credit;
		e = up->cluster_id == NULL ? E_NOMEM : E_OK;
	}
	arena_reset(&a);
	if (e != E_OK)
		return e;
	up->state = UP_READY;
	up->backoff_ms = 0;
	up->waiting_said = false;
	uv_timer_stop(&up->expire);
	log_info("engine link up", LI("node_id", up->node_id),
	    LI("credit", up->credit));
	options_tell(up->gw);
	if (up->gw->on_link != NULL)
		up->gw->on_link(up->gw);
	return E_OK;
}

static enum err
got_retire(struct up *up, struct rd *body)
{
	struct handle **p;
	struct retire m;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(&ipc_msgs[IM_retire], VER_ALL, body, &a, &m);
	for (int32_t i = 0; e == E_OK && i < m.handles.n; i++) {
		p = handle_at(up, m.handles.v[i]);
		if (*p != NULL)
			handle_retire(up, p);
	}
	arena_reset(&a);
	return e;
}

static enum err
got_codecs(struct up *up, struct rd *body)
{
	struct topic_codecs m;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(&ipc_msgs[IM_topic_codecs], VER_ALL, body, &a, &m);
	for (int32_t i = 0; e == E_OK && i < m.topics.n; i++)
		e = codecs_set(&up->gw->codecs, &m.topics.v[i]);
	arena_reset(&a);
	return e;
}

/* The fds of an answer to fetch, before anything else is done with it. */
static enum err
got_fds(struct up *up, struct rd body, const int *fds, int n)
{
	struct extents_res x;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(&body));
	e = msg_read(&ipc_msgs[IM_extents_res], VER_ALL, &body, &a, &x);
	if (e == E_OK)
		e = handles_add(up, &x, fds, n);
	else
		for (int i = 0; i < n; i++)
			close(fds[i]);
	arena_reset(&a);
	return e;
}

static enum err
got_frame(struct up *up, const struct ipc_head *h, struct rd *body,
    const int *fds)
{
	uint64_t began = 0;
	struct conn *c;
	struct req *r;
	enum err e;

	if (h->nfds > 0) {
		if (h->type != API_FETCH && h->type != IPC_EXTENTS) {
			for (int i = 0; i < h->nfds; i++)
				close(fds[i]);
			return E_PROTO;
		}
		e = got_fds(up, *body, fds, h->nfds);
		if (e != E_OK)
			return e;
	}
	if (up->state == UP_HELLO)
		return h->type == IPC_HELLO && h->flags == IPC_RESPONSE ?
		    got_hello(up, body) : E_PROTO;
	if (h->type == IPC_RETIRE && h->flags == 0)
		return got_retire(up, body);
	if (h->type == IPC_TOPIC_CODECS && h->flags == 0)
		return got_codecs(up, body);
	if (h->type == IPC_GATEWAY_CONF && h->flags == 0)
		return options_told(up->gw, body);
	if (h->type == IPC_BYE && h->flags == 0) {
		conn_bye(up->gw, h->session, h->time);
		return E_OK;
	}
	if (!(h->flags & IPC_RESPONSE))
		return E_PROTO;
	if (h->type == IPC_EXTENTS)
		return E_OK;	/* only fds, ahead of an answer that has more */
	if ((r = slot_find(up, h->id)) == NULL)
		return E_OK;	/* its connection has ended */
	if (r->api->type != h->type)
		return E_PROTO;
	unsend(up, r);
	c = r->conn;
	if (c != NULL) {
		c->metered = h->flags & IPC_METERED;
		began = conn_begin(c);
		/* KIP-219: the answer is not held up, what follows is. */
		r->throttle_ms = h->time > INT32_MAX ? INT32_MAX :
		    (int32_t)h->time;
		if (h->time > 0)
			conn_pause(c, h->time, NULL);
	}
	e = r->api->answer(r, body);
	if (c != NULL)
		conn_spent(c, began);
	if (e != E_OK) {
		log_warn("answer of the engine cannot be used",
		    LS("api", r->api->name), LI("version", r->version), LE(e));
		req_fail(r, "no usable answer");
	}
	return E_OK;
}

static enum err
receive(struct up *up)
{
	struct link *l = up->link;
	int fds[IPC_FDS_MAX];
	struct ipc_head h;
	struct rd body;
	enum err e = ipc_recv(&l->ipc);

	while (e == E_OK) {
		e = ipc_next(&l->ipc, &h, &body, fds);
		if (e == E_OK)
			e = got_frame(up, &h, &body, fds);
	}
	return e == E_BUSY ? E_OK : e;
}

static void
poll_cb(uv_poll_t *p, int status, int events)
{
	struct link *l = p->data;
	struct up *up = l->up;
	enum err e = status < 0 ? E_CLOSED : E_OK;

	if (up->link != l)
		return;
	if (e == E_OK && (events & UV_READABLE))
		e = receive(up);
	/* What can be written is written by up_flush. */
	if (e != E_OK)
		up_lost(up, err_text(e));
}

void
up_catch_up(struct up *up)
{
	enum err e;

	if (up->gw->caught_up || up->state != UP_READY)
		return;
	up->gw->caught_up = true;
	if ((e = receive(up)) != E_OK)
		up_lost(up, err_text(e));
}

/*
 * Coming and going.
 */
static void
link_freed(uv_handle_t *h)
{
	free(h->data);
}

static void
link_end(struct up *up)
{
	struct link *l = up->link;

	up->link = NULL;
	up->state = UP_DOWN;
	uv_close((uv_handle_t *)&l->poll, link_freed);
	ipc_close(&l->ipc);
	handles_retire_all(up);
}

static void
retry_later(struct up *up)
{
	unsigned ms = up->backoff_ms;

	if (up->gw->stopping)
		return;
	ms = ms == 0 ? BACKOFF_MIN_MS : ms * 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	up->backoff_ms = ms;
	/* Half to full, so that many gateways do not come back as one. */
	uv_timer_start(&up->retry, retry_cb,
	    ms / 2 + (unsigned)random() % (ms / 2 + 1), 0);
}

/*
 * The link is gone, but perhaps not the engine: it may still be writing from
 * pieces that were lent.  So they are never used again: the next link gets new
 * memory.
 */
static void
up_lost(struct up *up, const char *why)
{
	bool lent = up->gw->lent > 0;
	struct req *r;
	enum err e;

	if (up->state == UP_READY)
		log_warn("engine link lost", LS("why", why),
		    LI("appends", up->appends));
	link_end(up);
	while ((r = TAILQ_LAST(&up->sent, up_list)) != NULL) {
		unsend(up, r);
		if (r->conn == NULL)
			req_free(r);
		else if (r->api->flags & F_AGAIN)
			enqueue(up, r, true);
		else {
			r->state = REQ_LOST;
			TAILQ_INSERT_HEAD(&up->lost, r, in_link);
		}
	}
	/* Oldest first.  One that ends its connection takes others along. */
	while ((r = TAILQ_FIRST(&up->lost)) != NULL) {
		TAILQ_REMOVE(&up->lost, r, in_link);
		r->state = REQ_NEW;
		if (r->api->lost != NULL)
			r->api->lost(r);
		else
			req_fail(r, "engine lost");
	}
	if (lent && (e = region_renew(&up->gw->region)) != E_OK)
		log_fatal("no memory to go on after the engine", LE(e));
	retry_later(up);
}

void
up_attach(struct up *up, int fd)
{
	struct ipc_head h = { .type = IPC_HELLO };
	struct hello_req q = { ipc_protocol(), kstr_of("gateway"),
	    (int64_t)up->gw->region.size, up->gw->handles_max };
	struct link *l = calloc(1, sizeof *l);

	if (l == NULL || uv_poll_init(&up->gw->loop, &l->poll, fd) != 0) {
		free(l);
		close(fd);
		retry_later(up);
		return;
	}
	l->up = up;
	l->poll.data = l;
	ipc_open(&l->ipc, fd, SIZE_MAX);	/* can_send is the bound */
	up->link = l;
	if (++up->links == 0)
		up->links = 1;
	up->state = UP_HELLO;
	h.nfds = 1;
	if (uv_poll_start(&l->poll, UV_READABLE, poll_cb) != 0 ||
	    ipc_send(&l->ipc, &h, &ipc_msgs[IM_hello_req], &q,
	    &up->gw->region.fd) != E_OK)
		up_lost(up, "cannot say hello");
	else
		l->events = UV_READABLE;
}

static void
try_connect(struct up *up)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const char *path = up->gw->conf.engine;
	int fd;

	ASSERT(up->link == NULL);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	strncpy(sa.sun_path, path, sizeof sa.sun_path - 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0) {
		up_attach(up, fd);
		return;
	}
	if (!up->waiting_said)
		log_info("waiting for the engine", LS("path", path),
		    LERRNO(errno));
	up->waiting_said = true;
	if (fd >= 0)
		close(fd);
	retry_later(up);
}

static void
retry_cb(uv_timer_t *t)
{
	try_connect(t->data);
}

void
up_open(struct up *up, struct gw *gw)
{
	memset(up, 0, sizeof *up);
	up->gw = gw;
	up->free_slot = NONE;
	TAILQ_INIT(&up->wait[0]);
	TAILQ_INIT(&up->wait[1]);
	TAILQ_INIT(&up->sent);
	TAILQ_INIT(&up->lost);
	uv_timer_init(&gw->loop, &up->retry);
	uv_timer_init(&gw->loop, &up->expire);
	up->retry.data = up->expire.data = up;
	up->expire.timer_cb = expire_cb;
}

void
up_start(struct up *up)
{
	try_connect(up);
}

void
up_close(struct up *up)
{
	struct req *r;

	uv_close((uv_handle_t *)&up->retry, NULL);
	uv_close((uv_handle_t *)&up->expire, NULL);
	if (up->link != NULL)
		link_end(up);
	/* All connections have ended: what is left are their appends. */
	while ((r = TAILQ_FIRST(&up->sent)) != NULL) {
		unsend(up, r);
		req_free(r);
	}
}

void
up_free(struct up *up)
{
	free(up->slot);
	free(up->cluster_id);
}
