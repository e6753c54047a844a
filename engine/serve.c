/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links and calls.  A peer that breaks the rules loses its link; nothing that
 * it sends may hurt the engine or another link.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "catalogue/codecs.h"
#include "lib/log.h"
#include "serve.h"

enum {
	OUT_MAX		= 256 * MIB,	/* unsent bytes of one link */
	LISTEN_AGAIN_MS	= 100,		/* after there was no fd left */
	CALLS_MAX	= 65536,	/* unanswered calls of one link */
	CALL_BYTES_MAX	= 1024 * MIB,	/* and what they came as */
};

/* ---- regions ----------------------------------------------------------- */

struct region *
region_ref(struct region *r)
{
	if (r != NULL)
		r->refs++;
	return r;
}

void
region_unref(struct region *r)
{
	if (r == NULL || --r->refs > 0)
		return;
	munmap((void *)(uintptr_t)r->p, r->size);
	free(r);
}

/* Maps a gateway's memory, read-only.  It must not be able to shrink under
 * our feet. */
static enum err
region_open(int fd, int64_t bytes, struct region **out)
{
	struct region *r;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *p;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) != 0 ||
	    bytes < REGION_MIN || bytes > REGION_MAX || st.st_size < bytes)
		return E_PROTO;
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return E_NOMEM;
	p = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		free(r);
		return E_NOMEM;
	}
	*r = (struct region){ 1, p, (size_t)bytes };
	*out = r;
	return E_OK;
}

/* ---- handles: which segment fds a link has ----------------------------- */

static struct handle_slot *
handle_find(struct handles *h, uint64_t handle)
{
	for (size_t i = handle; h->size > 0; i++) {
		struct handle_slot *s = &h->slots[i & (h->size - 1)];

		if (s->handle == handle || s->handle == 0)
			return s;
	}
	return NULL;
}

static enum err
handles_grow(struct handles *h)
{
	struct handles old = *h;

	if (h->n * 2 < h->size)
		return E_OK;
	h->size = old.size == 0 ? 64 : old.size * 2;
	h->slots = calloc(h->size, sizeof *h->slots);
	if (h->slots == NULL) {
		*h = old;
		return E_NOMEM;
	}
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i].handle != 0)
			*handle_find(h, old.slots[i].handle) = old.slots[i];
	free(old.slots);
	return E_OK;
}

/* Open addressing: what follows the hole moves up. */
static void
handle_remove(struct handles *h, struct handle_slot *s)
{
	size_t hole = (size_t)(s - h->slots), i = hole;

	h->n--;
	for (;;) {
		i = (i + 1) & (h->size - 1);
		if (h->slots[i].handle == 0)
			break;
		if (((i - h->slots[i].handle) & (h->size - 1)) >=
		    ((i - hole) & (h->size - 1))) {
			h->slots[hole] = h->slots[i];
			hole = i;
		}
	}
	h->slots[hole] = (struct handle_slot){ 0 };
}

/* ---- links ------------------------------------------------------------- */

static void
link_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	ipc_close(&l->ipc);
	region_unref(l->region);
	free(l->handles.slots);
	link_conf_free(l);
	sessions_free(&l->sessions);
	link_conf_free(l);
	free(l);
}

/* Nothing goes out on it any more. */
static void
flush_drop(struct link *l)
{
	struct link **p = &l->serve->flush;

	if (!l->in_flush)
		return;
	while (*p != l)
		p = &(*p)->flush_next;
	*p = l->flush_next;
	l->in_flush = false;
}

static void
link_close(struct link *l, const char *why)
{
	struct call *c, *next;

	if (l->closing)
		return;
	l->closing = true;
	if (why != NULL)
		log_warn("link closed", LS("program", l->program),
		    LS("why", why));
	else
		log_debug("link closed", LS("program", l->program));
	*l->prevp = l->next;
	if (l->next != NULL)
		l->next->prevp = l->prevp;
	l->serve->nlinks--;
	flush_drop(l);
	for (c = l->calls; c != NULL; c = next) {
		next = c->next;
		c->link = NULL;
		if (c->cancel != NULL)
			c->cancel(c);
	}
	l->calls = NULL;
	uv_close((uv_handle_t *)&l->poll, link_closed);
}

static void on_link(uv_poll_t *, int status, int events);

static void
link_watch(struct link *l)
{
	bool w = ipc_unsent(&l->ipc) > 0;
	/* While stopping nothing new is taken, or a busy peer would keep the
	 * engine from ever being idle. */
	int r = l->serve->stopping ? 0 : UV_READABLE;

	if (l->closing || (r != 0 && uv_is_active((uv_handle_t *)&l->poll) &&
	    w == l->writable_wanted))
		return;
	l->writable_wanted = w;
	uv_poll_start(&l->poll, r | (w ? UV_WRITABLE : 0), on_link);
}

static void
link_flush(struct link *l)
{
	if (l->closing)
		return;
	if (ipc_flush(&l->ipc) != E_OK)
		link_close(l, NULL);
	else
		link_watch(l);
}

static void
link_send(struct link *l, const struct ipc_head *h, const struct msg *m,
    const void *in, const int *fds)
{
	enum err e;

	if (l->closing)
		return;
	e = ipc_send(&l->ipc, h, m, in, fds);
	if (e != E_OK) {
		link_close(l, err_text(e));
		return;
	}
	if (!l->in_flush) {
		l->in_flush = true;
		l->flush_next = l->serve->flush;
		l->serve->flush = l;
	}
}

void
link_tell(struct link *l, int type, const void *msg)
{
	struct ipc_head h = { .type = (uint16_t)type };

	link_send(l, &h, ipc_req(type), msg, NULL);
}

void
serve_flush(struct serve *s)
{
	struct link *l;

	while ((l = s->flush) != NULL) {
		s->flush = l->flush_next;
		l->in_flush = false;
		link_flush(l);
	}
}

/* ---- calls ------------------------------------------------------------- */

static void
call_leave(struct call *c)
{
	if (c->link == NULL)
		return;
	*c->prevp = c->next;
	if (c->next != NULL)
		c->next->prevp = c->prevp;
	c->link->ncalls--;
	c->link->call_bytes -= c->head.length;
	c->link = NULL;
}

static void
call_free(struct call *c)
{
	call_leave(c);
	arena_reset(&c->arena);
	session_unref(c->session);
	free(c);
}

static struct ipc_head
reply_head(const struct call *c)
{
	return (struct ipc_head){ .type = c->head.type, .id = c->head.id,
	    .session = c->head.session, .version = c->head.version,
	    .flags = c->metered ? IPC_RESPONSE | IPC_METERED : IPC_RESPONSE,
	    .time = (uint32_t)c->throttle_ms };
}

void
call_answer(struct call *c, const void *res)
{
	struct ipc_head h = reply_head(c);

	c->cancel = NULL;	/* a link that closes now leaves it to us */
	if (c->link != NULL)
		link_send(c->link, &h, ipc_res(c->head.type), res, NULL);
	call_leave(c);
}

void
call_reply(struct call *c, const void *res)
{
	call_answer(c, res);
	call_free(c);
}

/* Lets go of the least lately used handles until there is room for more. */
static void
handles_retire(struct link *l, int more)
{
	struct ipc_head h = { .type = IPC_RETIRE };
	struct retire msg;
	int64_t gone[IPC_FDS_MAX];

	while (l->handles.n > 0 &&
	    l->handles.n + (size_t)more > l->handles_max) {
		msg.handles.n = 0;
		msg.handles.v = gone;
		while (msg.handles.n < IPC_FDS_MAX && l->handles.n > 0) {
			struct handle_slot *old = NULL;

			for (size_t i = 0; i < l->handles.size; i++) {
				struct handle_slot *s = &l->handles.slots[i];

				if (s->handle != 0 && (old == NULL ||
				    s->used < old->used))
					old = s;
			}
			gone[msg.handles.n++] = (int64_t)old->handle;
			handle_remove(&l->handles, old);
		}
		link_send(l, &h, &ipc_msgs[IM_retire], &msg, NULL);
	}
}

/* The fds of segments that this link meets for the first time. */
static enum err
handles_note(struct link *l, struct seg **segs, int n, int64_t *fresh,
    int *fds, int *nfds)
{
	struct handle_slot *s;

	*nfds = 0;
	handles_retire(l, n);
	for (int i = 0; i < n; i++) {
		if (handles_grow(&l->handles) != E_OK)
			return E_NOMEM;
		s = handle_find(&l->handles, segs[i]->handle);
		if (s->handle == 0) {
			s->handle = segs[i]->handle;
			l->handles.n++;
			fresh[*nfds] = (int64_t)s->handle;
			fds[(*nfds)++] = segs[i]->fd;
		}
		s->used = (uint64_t)l->serve->eng->stats.fetches;
	}
	return E_OK;
}

/*
 * A frame carries at most IPC_FDS_MAX fds: what is beyond goes ahead on frames
 * of their own, extents answers without topics and with request id 0.
 */
void
call_reply_extents(struct call *c, struct extents_res *res,
    struct seg **segs, int nsegs)
{
	struct ipc_head h = reply_head(c);
	struct link *l = c->link;
	int64_t *fresh;
	int *fds, n = 0, at = 0;

	c->cancel = NULL;
	if (l == NULL || l->closing) {
		call_free(c);
		return;
	}
	fresh = arena_array(&c->arena, (size_t)nsegs + 1, sizeof *fresh);
	fds = arena_array(&c->arena, (size_t)nsegs + 1, sizeof *fds);
	if (fresh == NULL || fds == NULL || handles_note(l, segs, nsegs,
	    fresh, fds, &n) != E_OK) {
		link_close(l, "out of memory");
		call_free(c);
		return;
	}
	for (; n - at > IPC_FDS_MAX; at += IPC_FDS_MAX) {
		struct ipc_head ah = { .type = IPC_EXTENTS,
		    .flags = IPC_RESPONSE, .nfds = IPC_FDS_MAX };
		struct extents_res ahead = { .handles = { IPC_FDS_MAX,
		    fresh + at } };

		link_send(l, &ah, &ipc_msgs[IM_extents_res], &ahead,
		    fds + at);
	}
	h.nfds = (uint16_t)(n - at);
	res->handles.n = n - at;
	res->handles.v = fresh + at;
	if (!l->closing)
		link_send(l, &h, &ipc_msgs[IM_extents_res], res, fds + at);
	call_free(c);
}

void
call_drop(struct call *c)
{
	call_free(c);
}

void
call_bad(struct call *c, const char *why)
{
	c->cancel = NULL;
	if (c->link != NULL)
		link_close(c->link, why);
	call_free(c);
}

/* ---- dispatch ---------------------------------------------------------- */

static const struct {
	int	 type;
	void	(*handle)(struct call *);
} handlers[] = {
	{ IPC_APPEND,		handle_append },
	{ API_FETCH,		handle_fetch },
	{ API_LIST_OFFSETS,	handle_list_offsets },
	{ API_OFFSET_FOR_LEADER_EPOCH, handle_offset_for_leader_epoch },
	{ API_METADATA,		handle_metadata },
	{ API_OFFSET_COMMIT,	handle_offset_commit },
	{ API_OFFSET_FETCH,	handle_offset_fetch },
	{ API_JOIN_GROUP,	handle_join_group },
	{ API_HEARTBEAT,	handle_heartbeat },
	{ API_LEAVE_GROUP,	handle_leave_group },
	{ API_SYNC_GROUP,	handle_sync_group },
	{ API_DESCRIBE_GROUPS,	handle_describe_groups },
	{ API_LIST_GROUPS,	handle_list_groups },
	{ API_DELETE_GROUPS,	handle_delete_groups },
	{ API_OFFSET_DELETE,	handle_offset_delete },
	{ API_CREATE_TOPICS,	handle_create_topics },
	{ API_DELETE_TOPICS,	handle_delete_topics },
	{ API_CREATE_PARTITIONS, handle_create_partitions },
	{ API_DELETE_RECORDS,	handle_delete_records },
	{ API_DESCRIBE_CLUSTER,	handle_describe_cluster },
	{ API_DESCRIBE_QUORUM,	handle_describe_quorum },
	{ API_UPDATE_FEATURES,	handle_update_features },
	{ API_ELECT_LEADERS,	handle_elect_leaders },
	{ API_ALTER_PARTITION_REASSIGNMENTS,
	    handle_alter_partition_reassignments },
	{ API_LIST_PARTITION_REASSIGNMENTS,
	    handle_list_partition_reassignments },
	{ API_DESCRIBE_LOG_DIRS, handle_describe_log_dirs },
	{ API_DESCRIBE_PRODUCERS, handle_describe_producers },
	{ API_DESCRIBE_TOPIC_PARTITIONS, handle_describe_topic_partitions },
	{ API_INIT_PRODUCER_ID,	handle_init_producer_id },
	{ API_DESCRIBE_CONFIGS,	handle_describe_configs },
	{ API_ALTER_CONFIGS,	handle_alter_configs },
	{ API_INCREMENTAL_ALTER_CONFIGS, handle_incremental_alter_configs },
	{ API_LIST_CONFIG_RESOURCES, handle_list_config_resources },
	{ API_DESCRIBE_USER_SCRAM, handle_describe_user_scram },
	{ API_ALTER_USER_SCRAM, handle_alter_user_scram },
	{ API_DESCRIBE_CLIENT_QUOTAS, handle_describe_client_quotas },
	{ API_ALTER_CLIENT_QUOTAS, handle_alter_client_quotas },
	{ IPC_USER,		handle_user },
	{ IPC_AUTH,		handle_auth },
	{ API_CONSUMER_GROUP_HEARTBEAT, handle_consumer_group_heartbeat },
	{ API_CONSUMER_GROUP_DESCRIBE, handle_consumer_group_describe },
	{ IPC_STATS,		handle_stats },
	{ IPC_TOPIC_STATS,	handle_topic_stats },
	{ IPC_PART_SEGS,	handle_part_segs },
	{ IPC_VIEW,		handle_view },
};

int
serve_handled(size_t i)
{
	return i < sizeof handlers / sizeof *handlers ? handlers[i].type : -1;
}

bool
serve_knows(int type)
{
	for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
		if (handlers[i].type == type)
			return true;
	return false;
}

/* The gateway's connection has ended: what it waits for is not wanted. */
static void
bye(struct link *l, uint64_t session)
{
	struct session *s = session_find(&l->sessions, session);
	struct call *c, *next;

	/* Beside the table's, each call of it holds a reference. */
	for (c = s != NULL && s->refs > 1 ? l->calls : NULL; c != NULL;
	    c = next) {
		next = c->next;
		if (c->session == s && c->cancel != NULL)
			c->cancel(c);
	}
	session_end(&l->sessions, session);
}

static void
who(struct link *l, uint64_t session, struct rd body)
{
	struct session *s;
	struct arena a;
	struct who w;
	enum err e;

	arena_init(&a, ARENA_BASE);
	e = msg_read(&ipc_msgs[IM_who], VER_ALL, &body, &a, &w);
	if (e == E_OK)
		e = session_told(&l->sessions, session, &w);
	s = e == E_OK ? session_find(&l->sessions, session) : NULL;
	if (e == E_OK && w.token.len > 0)
		auth_token(l->serve->eng, s, w.token);
	if (e == E_OK && w.fresh)
		s->refused_ms = throttle_connect(l->serve->eng, s);
	if (e != E_OK)
		link_close(l, e == E_BUSY ? "too many sessions" : err_text(e));
	arena_reset(&a);
}

static void
hello(struct link *l, const struct ipc_head *h, struct rd body, int *fds)
{
	struct engine *eng = l->serve->eng;
	struct hello_res res = { .node_id = (int32_t)eng->conf->node_id,
	    .cluster_id = kstr_of(eng->cluster_id), .credit = IPC_CREDIT,
	    .fetch_max_bytes = eng->conf->fetch_max_bytes,
	    .message = { -1, NULL } };
	struct ipc_head rh = { .type = IPC_HELLO, .flags = IPC_RESPONSE,
	    .id = h->id };
	struct hello_req q;
	struct arena a;
	enum err e;

	arena_init(&a, ARENA_BASE);
	e = msg_read(&ipc_msgs[IM_hello_req], VER_ALL, &body, &a, &q);
	if (e == E_OK && l->greeted)
		e = E_PROTO;
	if (e == E_OK && q.protocol != ipc_protocol()) {
		res.error = E_UNSUPPORTED_VERSION;
		res.message = kstr_of("the engine speaks another version of "
		    "this protocol; start gateways and tools of its own "
		    "version");
	}
	if (e == E_OK && q.handles > 0 && q.handles < IPC_HANDLES_MAX)
		l->handles_max = q.handles > IPC_HANDLES_MIN ?
		    (size_t)q.handles : IPC_HANDLES_MIN;
	if (e == E_OK && q.region_bytes > 0)
		e = h->nfds == 1 ? region_open(fds[0], q.region_bytes,
		    &l->region) : E_PROTO;
	if (e == E_OK && l->region != NULL)
		e = codecs_list(eng, &res, &a);
	if (e == E_OK) {
		snprintf(l->program, sizeof l->program, "%.*s",
		    q.program.len > 0 ? (int)q.program.len : 0, q.program.p);
		e = sessions_open(&l->sessions, l->program);
	}
	/* A gateway speaks for others, never for itself. */
	if (e == E_OK && l->region != NULL)
		l->sessions.self->authenticated = false;
	if (e == E_OK) {
		l->greeted = res.error == E_OK;
		link_send(l, &rh, &ipc_msgs[IM_hello_res], &res, NULL);
	} else
		link_close(l, "bad hello");
	arena_reset(&a);
}

/* Strings of the request live in a copy of the body: a handler may answer
 * long after the receive buffer is gone. */
static enum err
call_decode(struct call *c, struct rd body, const struct msg *m)
{
	size_t n = rd_left(&body);
	uint8_t *copy;
	struct rd r;

	arena_init(&c->arena, n + ARENA_PER_BYTE * n * 8 + 4 * MIB);
	copy = arena_alloc(&c->arena, n);
	c->req = arena_alloc(&c->arena, m->size);
	if (copy == NULL || c->req == NULL)
		return E_NOMEM;
	memcpy(copy, body.p, n);
	r = rd_of(copy, n);
	return msg_read(m, VER_ALL, &r, &c->arena, c->req);
}

/* A request of a session that has not authenticated, or whose time is over,
 * or that is one too many of its address: the connection ends.  Appends are
 * answered all the same. */
static void
refuse(struct link *l, const struct ipc_head *h, const struct session *s)
{
	struct ipc_head bh = { .type = IPC_BYE, .session = h->session,
	    .time = (uint32_t)s->refused_ms };
	struct ipc_head rh = { .type = h->type, .id = h->id,
	    .session = h->session, .flags = IPC_RESPONSE };
	struct produce_res res;
	struct bye b = { 0 };

	if (h->session == 0) {
		link_close(l, "call of nobody");
		return;
	}
	link_send(l, &bh, &ipc_msgs[IM_bye], &b, NULL);
	if (h->type != IPC_APPEND)
		return;
	msg_init(ipc_res(IPC_APPEND), &res);
	link_send(l, &rh, ipc_res(IPC_APPEND), &res, NULL);
}

static int64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* There are quotas for time: what the gateway has spent counts now, what we
 * do from here on later.  Holds the session until then. */
static int64_t
meter_begin(struct call *c, const struct ipc_head *h)
{
	session_ref(c->session);
	throttle_time(c->eng, c->session, h->time * INT64_C(1000));
	throttle_start(c);
	return cpu_ns();
}

static void
call_start(struct link *l, const struct ipc_head *h, struct rd body)
{
	struct session *s = session_find(&l->sessions, h->session);
	struct engine *eng = l->serve->eng;
	int64_t began = -1;
	const struct msg *m = ipc_req(h->type);
	struct call *c;
	size_t i;

	for (i = 0; i < sizeof handlers / sizeof *handlers; i++)
		if (handlers[i].type == h->type)
			break;
	if (i == sizeof handlers / sizeof *handlers || m == NULL) {
		link_close(l, "unknown message");
		return;
	}
	if (s == NULL) {
		link_close(l, "call of an unknown session");
		return;
	}
	if (s->refused_ms > 0 || (h->type != IPC_AUTH &&
	    !auth_allows(l->serve->eng, s))) {
		refuse(l, h, s);
		return;
	}
	if (l->ncalls >= CALLS_MAX || l->call_bytes + h->length >
	    CALL_BYTES_MAX || (c = calloc(1, sizeof *c)) == NULL) {
		link_close(l, "too many calls");
		return;
	}
	c->link = l;
	c->session = session_ref(s);
	c->eng = l->serve->eng;
	c->head = *h;
	c->next = l->calls;
	c->prevp = &l->calls;
	if (c->next != NULL)
		c->next->prevp = &c->next;
	l->calls = c;
	l->ncalls++;
	l->call_bytes += h->length;
	if (eng->quotas.any[QUOTA_TIME])
		began = meter_begin(c, h);
	if (call_decode(c, body, m) != E_OK)
		call_bad(c, "malformed message");
	else
		handlers[i].handle(c);
	if (began >= 0) {
		throttle_time(eng, s, cpu_ns() - began);
		session_unref(s);
	}
}

/* A gateway's options; it hears what is otherwise now. */
static void
gateway_told(struct link *l, struct rd body)
{
	struct gateway_conf_req m;
	struct arena a;
	enum err e;

	arena_init(&a, ARENA_BASE);
	e = msg_read(&ipc_msgs[IM_gateway_conf_req], VER_ALL, &body, &a, &m);
	if (e == E_OK)
		e = link_conf_told(l, &m);
	arena_reset(&a);
	if (e != E_OK)
		link_close(l, "bad options");
	else
		link_conf_tell(l);
}

static void
link_frame(struct link *l, const struct ipc_head *h, struct rd body, int *fds)
{
	if (h->type == IPC_HELLO)
		hello(l, h, body, fds);
	else if (!l->greeted || (h->flags & IPC_RESPONSE))
		link_close(l, "no hello");
	else if (h->type == IPC_BYE)
		bye(l, h->session);
	else if (h->type == IPC_WHO)
		who(l, h->session, body);
	else if (h->type == IPC_GATEWAY_CONF)
		gateway_told(l, body);
	else
		call_start(l, h, body);
	for (int i = 0; i < h->nfds; i++)
		close(fds[i]);
}

static void
on_link(uv_poll_t *poll, int status, int events)
{
	struct link *l = poll->data;
	struct ipc_head h;
	int fds[IPC_FDS_MAX];
	struct rd body;
	enum err e;

	if (status < 0) {
		link_close(l, NULL);
		return;
	}
	if (events & UV_WRITABLE)
		link_flush(l);
	if (!(events & UV_READABLE) || l->closing)
		return;
	e = ipc_recv(&l->ipc);
	while (!l->closing && e == E_OK &&
	    (e = ipc_next(&l->ipc, &h, &body, fds)) == E_OK)
		link_frame(l, &h, body, fds);
	if (e == E_CLOSED)
		link_close(l, NULL);
	else if (e != E_OK && e != E_BUSY)
		link_close(l, err_text(e));
}

/* ---- listening --------------------------------------------------------- */

static void
link_open(struct serve *s, int fd)
{
	struct link *l = calloc(1, sizeof *l);

	if (l == NULL || s->nlinks >= IPC_LINKS_MAX ||
	    uv_poll_init(s->loop, &l->poll, fd) != 0) {
		log_warn("link refused", LI("links", s->nlinks));
		free(l);
		close(fd);
		return;
	}
	l->serve = s;
	l->handles_max = IPC_HANDLES_MAX;
	l->poll.data = l;
	ipc_open(&l->ipc, fd, OUT_MAX);
	l->next = s->links;
	l->prevp = &s->links;
	if (l->next != NULL)
		l->next->prevp = &l->next;
	s->links = l;
	s->nlinks++;
	link_watch(l);
}

static void on_listen(uv_poll_t *, int, int);

static void
listen_again(struct timer *t)
{
	struct serve *s = (struct serve *)((char *)t -
	    offsetof(struct serve, listen_again));

	uv_poll_start(&s->listen_poll, UV_READABLE, on_listen);
}

static void
on_listen(uv_poll_t *poll, int status, int events)
{
	struct serve *s = poll->data;
	int fd;

	(void)events;
	if (status < 0)
		return;
	while ((fd = accept4(s->listen_fd, NULL, NULL,
	    SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		link_open(s, fd);
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
	    errno != ENOMEM)
		return;
	/* Who waits makes the socket readable all the time. */
	log_warn("cannot accept a link for now", LERRNO(errno));
	s->listen_again.fire = listen_again;
	if (timer_set(&s->eng->timers, &s->listen_again, mono_ms() +
	    LISTEN_AGAIN_MS) == E_OK)
		uv_poll_stop(&s->listen_poll);
}

/* True when somebody answers on the socket. */
static bool
is_alive(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive;

	if (fd < 0)
		return false;
	alive = connect(fd, (const void *)sa, sizeof *sa) == 0;
	close(fd);
	return alive;
}

static void
retired(struct engine *eng, uint64_t handle)
{
	struct serve *s = eng->serve;
	struct ipc_head h = { .type = IPC_RETIRE };
	int64_t v = (int64_t)handle;
	struct retire msg = { .handles = { 1, &v } };

	for (struct link *l = s->links, *next; l != NULL; l = next) {
		struct handle_slot *slot = handle_find(&l->handles, handle);

		next = l->next;
		if (slot == NULL || slot->handle == 0)
			continue;
		handle_remove(&l->handles, slot);
		link_send(l, &h, &ipc_msgs[IM_retire], &msg, NULL);
	}
}

enum err
serve_open(struct serve *s, struct engine *eng, uv_loop_t *loop,
    const char *path, char *why, size_t size)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	mode_t old;
	int fd;

	memset(s, 0, sizeof *s);
	s->eng = eng;
	s->loop = loop;
	s->listen_fd = -1;
	if (strlen(path) >= sizeof sa.sun_path) {
		snprintf(why, size, "the socket's path is longer than %zu "
		    "bytes: %s; name a shorter one with --engine",
		    sizeof sa.sun_path - 1, path);
		return E_USAGE;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		snprintf(why, size, "socket: %s", strerror(errno));
		return E_IO;
	}
	if (is_alive(&sa)) {
		snprintf(why, size, "%s: another engine listens here", path);
		close(fd);
		return E_BUSY;
	}
	unlink(path);
	old = umask(0177);
	if (bind(fd, (void *)&sa, sizeof sa) != 0 || listen(fd, 128) != 0) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		umask(old);
		close(fd);
		return E_IO;
	}
	umask(old);
	s->listen_fd = fd;
	uv_poll_init(loop, &s->listen_poll, fd);
	s->listen_poll.data = s;
	uv_poll_start(&s->listen_poll, UV_READABLE, on_listen);
	eng->serve = s;
	eng->retired = retired;
	eng->recoded = codecs_push;
	return E_OK;
}

void
serve_tell(struct serve *s, int type, const void *msg)
{
	struct ipc_head h = { .type = (uint16_t)type };

	for (struct link *l = s->links, *next; l != NULL; l = next) {
		next = l->next;
		if (!l->greeted || l->region == NULL)
			continue;
		link_send(l, &h, ipc_req(type), msg, NULL);
		/* Not after an answer on another link, whose reader may ask
		 * this one next. */
		link_flush(l);
	}
}

bool
serve_idle(const struct serve *s)
{
	for (const struct link *l = s->links; l != NULL; l = l->next)
		for (const struct call *c = l->calls; c != NULL; c = c->next)
			if (c->cancel == NULL)
				return false;
	return true;
}

void
serve_stop(struct serve *s)
{
	if (s->stopping || s->listen_fd < 0)
		return;
	s->stopping = true;
	timer_cancel(&s->eng->timers, &s->listen_again);
	uv_close((uv_handle_t *)&s->listen_poll, NULL);
	close(s->listen_fd);
	s->listen_fd = -1;
	for (struct link *l = s->links; l != NULL; l = l->next)
		link_watch(l);
}

void
serve_close(struct serve *s)
{
	serve_stop(s);
	serve_flush(s);
	while (s->links != NULL)
		link_close(s->links, NULL);
	s->eng->retired = NULL;
	s->eng->recoded = NULL;
}
