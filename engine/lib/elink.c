/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's link to the engine.  Invariants: a call is in sent exactly when
 * it is ECALL_SENT, in wait when it is ECALL_WAITING; sent is empty unless
 * the link is READY; every fd that was received is in a handle or closed.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "elink.h"
#include "kafka.h"
#include "log.h"

enum {
	BACKOFF_MIN_MS	= 20,
	BACKOFF_MAX_MS	= 1000,
	HELLO_MS	= 10000,	/* then the peer is none of ours */
	HELLO_MEMORY	= 64 * KIB,
	CHAINS		= 256,
};

enum state { DOWN, HELLO, READY };

TAILQ_HEAD(ecalls, ecall);
TAILQ_HEAD(ehandles, ehandle);

struct elink {
	struct elink_conf conf;
	char		 path[sizeof ((struct sockaddr_un *)0)->sun_path];
	enum state	 state;
	struct ipc	 ipc;		/* unless DOWN */
	uint32_t	 id;		/* of the newest request */
	uint32_t	 count;
	struct ecalls	 wait, sent;
	int64_t		 retry_ms;	/* DOWN: when; HELLO: until when */
	unsigned	 backoff_ms;
	int64_t		 first_ms;	/* no deadline of a call is sooner */
	struct hello_res hello;		/* strings live in memory */
	struct arena	 memory;
	int		 nhandles;
	struct ehandles	 handles[CHAINS];
};

static int64_t
clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * (int64_t)1000 + ts.tv_nsec / 1000000;
}

int64_t
elink_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t
elink_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

/* ---- segments that were passed ----------------------------------------- */

static struct ehandles *
chain_of(struct elink *l, int64_t id)
{
	return &l->handles[(uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 56];
}

static struct ehandle *
handle_find(struct elink *l, int64_t id)
{
	struct ehandle *h;

	TAILQ_FOREACH(h, chain_of(l, id), chain)
		if (h->id == id)
			return h;
	return NULL;
}

static void
handle_free(struct ehandle *h)
{
	close(h->fd);
	free(h);
}

enum err
elink_handle(struct elink *l, int64_t id, struct ehandle **out)
{
	struct ehandle *h = handle_find(l, id);

	if (h == NULL)
		return E_PROTO;
	*out = ehandle_ref(h);
	return E_OK;
}

struct ehandle *
ehandle_ref(struct ehandle *h)
{
	h->refs++;
	return h;
}

void
ehandle_put(struct ehandle *h)
{
	if (h == NULL)
		return;
	ASSERT(h->refs > 0);
	if (--h->refs == 0 && h->retired)
		handle_free(h);
}

static void
handle_retire(struct elink *l, struct ehandle *h)
{
	TAILQ_REMOVE(chain_of(l, h->id), h, chain);
	l->nhandles--;
	h->retired = true;
	if (h->refs == 0)
		handle_free(h);
}

static void
handles_retire_all(struct elink *l)
{
	struct ehandle *h;

	for (int i = 0; i < CHAINS; i++)
		while ((h = TAILQ_FIRST(&l->handles[i])) != NULL)
			handle_retire(l, h);
}

/* Takes over n fds: the engine passes each only once, so they are kept also
 * when nobody waits for the answer any more. */
static enum err
handles_add(struct elink *l, const struct extents_res *x, const int *fds,
    int n)
{
	struct ehandle *h;
	int i = 0;

	if (x->handles.n == n)
		for (; i < n; i++) {
			if (handle_find(l, x->handles.v[i]) != NULL ||
			    l->nhandles >= 2 * IPC_HANDLES_MAX ||
			    (h = calloc(1, sizeof *h)) == NULL)
				break;
			h->id = x->handles.v[i];
			h->fd = fds[i];
			TAILQ_INSERT_HEAD(chain_of(l, h->id), h, chain);
			l->nhandles++;
		}
	if (i == n && x->handles.n == n)
		return E_OK;
	while (i < n)
		close(fds[i++]);
	return E_PROTO;
}

/* ---- calls ------------------------------------------------------------- */

static void
call_end(struct elink *l, struct ecall *c, enum err e, void *res)
{
	(void)l;
	c->state = ECALL_IDLE;
	c->done(c, e, res);
}

void
elink_cancel(struct elink *l, struct ecall *c)
{
	if (c->state == ECALL_WAITING)
		TAILQ_REMOVE(&l->wait, c, next);
	else if (c->state == ECALL_SENT)
		TAILQ_REMOVE(&l->sent, c, next);
	c->state = ECALL_IDLE;
}

void
elink_call(struct elink *l, struct ecall *c)
{
	ASSERT(c->state == ECALL_IDLE && c->done != NULL);
	ASSERT(ipc_req(c->type) != NULL && ipc_res(c->type) != NULL);
	c->state = ECALL_WAITING;
	TAILQ_INSERT_TAIL(&l->wait, c, next);
	if (c->deadline_ms > 0 &&
	    (l->first_ms == 0 || c->deadline_ms < l->first_ms))
		l->first_ms = c->deadline_ms;
}

static struct ecall *
sent_find(struct elink *l, uint32_t id)
{
	struct ecall *c;

	TAILQ_FOREACH(c, &l->sent, next)
		if (c->id == id)
			return c;
	return NULL;
}

/* A request that cannot be encoded ends; one for which there is no room goes
 * back to the head of those that wait. */
static void
send_waiting(struct elink *l)
{
	struct ecall *c;
	enum err e;

	while (l->state == READY && (c = TAILQ_FIRST(&l->wait)) != NULL &&
	    ipc_unsent(&l->ipc) < LINK_OUT_MAX) {
		struct ipc_head h = { .type = c->type, .version = c->version,
		    .id = ++l->id };

		TAILQ_REMOVE(&l->wait, c, next);
		c->id = h.id;
		e = ipc_send(&l->ipc, &h, ipc_req(c->type), c->req, NULL);
		if (e != E_OK) {
			call_end(l, c, e, NULL);
			continue;
		}
		c->state = ECALL_SENT;
		TAILQ_INSERT_TAIL(&l->sent, c, next);
	}
}

/* The first call of a list whose deadline has passed, or NULL with *first
 * brought forward to the next. */
static struct ecall *
overdue(struct ecalls *list, int64_t now, int64_t *first)
{
	struct ecall *c;

	TAILQ_FOREACH(c, list, next) {
		if (c->deadline_ms <= 0)
			continue;
		if (c->deadline_ms <= now)
			return c;
		if (*first == 0 || c->deadline_ms < *first)
			*first = c->deadline_ms;
	}
	return NULL;
}

static void
expire(struct elink *l)
{
	int64_t now = elink_now_ms(), first;
	struct ecall *c;

	if (l->first_ms == 0 || l->first_ms > now)
		return;
	do {
		first = 0;
		c = overdue(&l->sent, now, &first);
		if (c == NULL)
			c = overdue(&l->wait, now, &first);
		if (c != NULL) {
			elink_cancel(l, c);
			call_end(l, c, E_TIMED_OUT, NULL);
		}
	} while (c != NULL);
	/* Calls that were made meanwhile have been counted: by the lists. */
	l->first_ms = first;
}

/* ---- receiving --------------------------------------------------------- */

/* Decodes into the caller's arena, with the bytes that strings borrow. */
static enum err
answer_kept(struct ecall *c, struct rd *body, void **res)
{
	const struct msg *m = ipc_res(c->type);
	size_t n = rd_left(body);
	uint8_t *p = arena_alloc(c->arena, n);
	struct rd copy;

	*res = arena_alloc(c->arena, m->size);
	if (p == NULL || *res == NULL)
		return E_NOMEM;
	if (n > 0)
		memcpy(p, body->p, n);
	copy = rd_of(p, n);
	return msg_read(m, VER_ALL, &copy, c->arena, *res);
}

/* E_PROTO ends the link; all else is the call's. */
static enum err
answer(struct elink *l, struct ecall *c, struct rd *body)
{
	const struct msg *m = ipc_res(c->type);
	struct arena a;
	void *res = NULL;
	enum err e;

	/* What the engine's answers grow to, as in the gateway. */
	arena_init(&a, ARENA_BASE + rd_left(body) * ARENA_PER_BYTE);
	if (c->arena != NULL)
		e = answer_kept(c, body, &res);
	else if ((res = arena_alloc(&a, m->size)) == NULL)
		e = E_NOMEM;
	else
		e = msg_read(m, VER_ALL, body, &a, res);
	elink_cancel(l, c);
	call_end(l, c, e, e == E_OK ? res : NULL);
	arena_reset(&a);
	return e == E_PROTO ? E_PROTO : E_OK;
}

static enum err
got_hello(struct elink *l, struct rd *body)
{
	struct hello_res *s = &l->hello;
	size_t n = rd_left(body);
	struct rd copy;
	uint8_t *p;
	enum err e;

	arena_reset(&l->memory);
	memset(s, 0, sizeof *s);
	p = arena_alloc(&l->memory, n + 1);
	if (p == NULL)
		return E_NOMEM;
	memcpy(p, body->p, n);
	copy = rd_of(p, n);
	e = msg_read(&ipc_msgs[IM_hello_res], VER_ALL, &copy, &l->memory, s);
	if (e == E_OK && s->error != E_OK)
		e = s->error > 0 && s->error < E_MAX ? (enum err)s->error :
		    E_PROTO;
	if (e != E_OK)
		return e;
	l->state = READY;
	l->backoff_ms = 0;
	l->count++;
	if (l->conf.changed != NULL)
		l->conf.changed(l->conf.arg, E_OK);
	return E_OK;
}

static enum err
got_retire(struct elink *l, struct rd *body)
{
	struct ehandle *h;
	struct retire m;
	struct arena a;
	enum err e;

	arena_init(&a, ARENA_BASE + rd_left(body) * ARENA_PER_BYTE);
	e = msg_read(&ipc_msgs[IM_retire], VER_ALL, body, &a, &m);
	for (int32_t i = 0; e == E_OK && i < m.handles.n; i++)
		if ((h = handle_find(l, m.handles.v[i])) != NULL)
			handle_retire(l, h);
	arena_reset(&a);
	return e;
}

/* The fds of an answer to fetch, before anything else is done with it. */
static enum err
got_fds(struct elink *l, const struct ipc_head *h, struct rd body,
    const int *fds)
{
	struct extents_res x = { 0 };
	struct arena a;
	enum err e = E_PROTO;

	arena_init(&a, ARENA_BASE + rd_left(&body) * ARENA_PER_BYTE);
	if ((h->flags & IPC_RESPONSE) && (h->type == API_FETCH ||
	    h->type == IPC_EXTENTS))
		e = msg_read(&ipc_msgs[IM_extents_res], VER_ALL, &body, &a,
		    &x);
	else if (!(h->flags & IPC_RESPONSE))
		e = E_OK;	/* not for us: no handles, closed below */
	if (e == E_OK && (h->flags & IPC_RESPONSE))
		e = handles_add(l, &x, fds, h->nfds);
	else
		for (int i = 0; i < h->nfds; i++)
			close(fds[i]);
	arena_reset(&a);
	return e;
}

static enum err
got_frame(struct elink *l, const struct ipc_head *h, struct rd *body,
    const int *fds)
{
	struct ecall *c;
	enum err e;

	if (h->nfds > 0 && (e = got_fds(l, h, *body, fds)) != E_OK)
		return e;
	if (l->state == HELLO)
		return h->type == IPC_HELLO && (h->flags & IPC_RESPONSE) ?
		    got_hello(l, body) : E_PROTO;
	if (h->type == IPC_RETIRE && !(h->flags & IPC_RESPONSE))
		return got_retire(l, body);
	/* Other news are for gateways; extents of no request are only fds. */
	if (!(h->flags & IPC_RESPONSE) || h->type == IPC_EXTENTS)
		return E_OK;
	c = sent_find(l, h->id);
	if (c == NULL)
		return E_OK;	/* too late, or cancelled */
	return c->type == h->type ? answer(l, c, body) : E_PROTO;
}

static enum err
receive(struct elink *l)
{
	int fds[IPC_FDS_MAX];
	struct ipc_head h;
	struct rd body;
	enum err e = ipc_recv(&l->ipc);

	while (e == E_OK) {
		e = ipc_next(&l->ipc, &h, &body, fds);
		if (e == E_OK)
			e = got_frame(l, &h, &body, fds);
	}
	return e == E_BUSY ? E_OK : e;
}

/* ---- coming and going -------------------------------------------------- */

static void
retry_later(struct elink *l)
{
	unsigned ms = l->backoff_ms == 0 ? BACKOFF_MIN_MS : l->backoff_ms * 2;

	l->backoff_ms = ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
	l->retry_ms = elink_now_ms() + l->backoff_ms / 2 +
	    random() % (l->backoff_ms / 2 + 1);
}

/* Those that may be sent again go before those that wait, in their order. */
static void
link_lost(struct elink *l, enum err why)
{
	struct ecalls lost = TAILQ_HEAD_INITIALIZER(lost);
	struct ecall *c;

	if (l->state != DOWN)
		ipc_close(&l->ipc);
	l->state = DOWN;
	handles_retire_all(l);
	retry_later(l);
	while ((c = TAILQ_LAST(&l->sent, ecalls)) != NULL) {
		TAILQ_REMOVE(&l->sent, c, next);
		if (c->again) {
			c->state = ECALL_WAITING;
			TAILQ_INSERT_HEAD(&l->wait, c, next);
		} else
			TAILQ_INSERT_HEAD(&lost, c, next);
	}
	/* One that is ended may cancel others: they must be on a list. */
	while ((c = TAILQ_FIRST(&lost)) != NULL) {
		TAILQ_REMOVE(&lost, c, next);
		TAILQ_INSERT_TAIL(&l->sent, c, next);
	}
	while ((c = TAILQ_FIRST(&l->sent)) != NULL) {
		elink_cancel(l, c);
		call_end(l, c, why == E_PROTO ? E_PROTO : E_CLOSED, NULL);
	}
	if (l->conf.changed != NULL)
		l->conf.changed(l->conf.arg, why);
}

/* Why a connect failed, as eng_open says it. */
static enum err
connect_err(int eno)
{
	switch (eno) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:	/* left behind by an engine that was killed */
		return E_NOTFOUND;
	case EAGAIN:		/* its backlog is full */
		return E_BUSY;
	case EACCES:		/* its socket is its user's */
		return E_CLUSTER_AUTHORIZATION;
	}
	return err_of_errno(eno);
}

static void
link_make(struct elink *l)
{
	struct hello_req q = { .protocol = ipc_protocol(),
	    .program = kstr_of(l->conf.program),
	    .region_bytes = l->conf.region_bytes };
	struct ipc_head h = { .type = IPC_HELLO };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, region = -1;
	enum err e;

	strcpy(sa.sun_path, l->conf.path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
		e = connect_err(errno);
		if (fd != -1)
			close(fd);
		link_lost(l, e);
		return;
	}
	ipc_open(&l->ipc, fd, SIZE_MAX);	/* send_waiting is the bound */
	l->state = HELLO;
	l->retry_ms = elink_now_ms() + HELLO_MS;
	if (l->conf.region_bytes > 0) {
		region = l->conf.region_fd(l->conf.arg);
		h.nfds = 1;
	}
	e = h.nfds == 1 && region < 0 ? E_NOMEM :
	    ipc_send(&l->ipc, &h, &ipc_msgs[IM_hello_req], &q, &region);
	if (e != E_OK)
		link_lost(l, e);
}

void
elink_run(struct elink *l, short revents)
{
	enum err e = E_OK;

	if (l->state == DOWN && elink_now_ms() >= l->retry_ms)
		link_make(l);
	else if (l->state != DOWN && (revents & (POLLIN | POLLHUP | POLLERR)))
		e = receive(l);
	if (e == E_OK && l->state == HELLO && elink_now_ms() >= l->retry_ms)
		e = E_TIMED_OUT;
	if (e == E_OK) {
		expire(l);
		send_waiting(l);
		if (l->state != DOWN)
			e = ipc_flush(&l->ipc);
	}
	if (e != E_OK)
		link_lost(l, e);
}

enum err
elink_open(const struct elink_conf *conf, struct elink **out)
{
	struct elink *l;

	if (strlen(conf->path) >= sizeof ((struct sockaddr_un *)0)->sun_path)
		return E_USAGE;
	if ((l = calloc(1, sizeof *l)) == NULL)
		return E_NOMEM;
	l->conf = *conf;
	/* Who opens it need not keep it. */
	strcpy(l->path, conf->path);
	l->conf.path = l->path;
	TAILQ_INIT(&l->wait);
	TAILQ_INIT(&l->sent);
	for (int i = 0; i < CHAINS; i++)
		TAILQ_INIT(&l->handles[i]);
	arena_init(&l->memory, HELLO_MEMORY);
	*out = l;
	return E_OK;
}

void
elink_close(struct elink *l)
{
	struct ecall *c;

	if (l == NULL)
		return;
	if (l->state != DOWN)
		ipc_close(&l->ipc);
	l->state = DOWN;
	while ((c = TAILQ_FIRST(&l->sent)) != NULL ||
	    (c = TAILQ_FIRST(&l->wait)) != NULL) {
		elink_cancel(l, c);
		call_end(l, c, E_CLOSED, NULL);
	}
	handles_retire_all(l);
	arena_reset(&l->memory);
	free(l);
}

int
elink_fd(const struct elink *l)
{
	return l->state == DOWN ? -1 : l->ipc.fd;
}

short
elink_events(const struct elink *l)
{
	if (l->state == DOWN)
		return 0;
	return ipc_unsent(&l->ipc) > 0 ? POLLIN | POLLOUT : POLLIN;
}

int
elink_wait_ms(const struct elink *l)
{
	int64_t at = l->first_ms, left;

	if (l->state == READY && !TAILQ_EMPTY(&l->wait) &&
	    ipc_unsent(&l->ipc) < LINK_OUT_MAX)
		return 0;
	if (l->state != READY && (at == 0 || l->retry_ms < at))
		at = l->retry_ms;
	if (at == 0 && l->state == READY)
		return -1;
	left = at - elink_now_ms();
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

bool
elink_ready(const struct elink *l)
{
	return l->state == READY;
}

const struct hello_res *
elink_hello(const struct elink *l)
{
	return &l->hello;
}

uint32_t
elink_count(const struct elink *l)
{
	return l->count;
}
