/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch requests: from the call to struct fetch and back, and whose turn it is
 * in a session.
 */
#include <stdlib.h>

#include "fetch_session.h"
#include "serve.h"

/* One call.  prevp: it is in its session's queue. */
struct fetch_read {
	struct fetch	 f;
	struct call	*call;
	struct fetch_session *session;	/* NULL: none */
	struct fetch_read *next, **prevp;
	bool		 throttled;	/* gets no data */
};

static void
refuse(struct call *c, enum err e)
{
	struct extents_res res = { .error = (int16_t)e };

	call_reply_extents(c, &res, NULL, 0);
}

/* The one that was at work is done: others may follow. */
static void
session_done(struct fetch_session *s)
{
	struct fetch_sessions *all;

	if (s == NULL)
		return;
	all = &s->eng->fetch_sessions;
	if (s->queue != NULL && !s->is_due) {
		s->is_due = true;
		s->next_due = all->due;
		all->due = s;
	}
	fetch_session_idle(s);
}

/* Nobody may go on with it. */
static void
session_drop(struct fetch_session *s)
{
	bool ended = s->ended;

	session_done(s);	/* frees one that has ended */
	if (!ended)
		fetch_session_end(s);
}

/* The extents' references are held until the frame with the fds is queued:
 * ipc_send has duplicated them by then. */
static void
reply(struct call *c, struct fetch *f)
{
	struct fetch_extent *x = f->extents;
	int64_t bytes = 0;
	struct seg **segs;
	int n = f->nextents;

	segs = malloc(((size_t)n + 1) * sizeof *segs);
	if (segs == NULL) {
		fetch_release(f);
		call_bad(c, "out of memory");
		return;
	}
	for (int i = 0; i < n; i++)
		segs[i] = x[i].seg;
	for (int i = 0; i < n; i++)
		bytes += x[i].len;
	throttle_bytes(c, QUOTA_CONSUME, bytes);
	f->nextents = 0;	/* the references are ours now */
	call_reply_extents(c, &f->res, segs, n);
	for (int i = 0; i < n; i++)
		seg_unref(segs[i]);
	free(segs);
}

static void
read_done(struct fetch *f)
{
	struct fetch_read *r = f->arg;
	struct fetch_session *s = r->session;

	/* What was left out of an answer that was not sent is lost. */
	bool lost = !f->dropped && f->res.error != E_OK;

	if (f->dropped) {
		fetch_release(f);
		call_drop(r->call);
	} else
		reply(r->call, f);
	if (s != NULL && lost)
		session_drop(s);
	else
		session_done(s);
}

/* The link or the session of its gateway has ended. */
static void
read_cancel(struct call *c)
{
	struct fetch_read *r = c->state;
	struct fetch_session *s = r->session;

	c->cancel = NULL;
	if (r->prevp == NULL) {
		if (!fetch_cancel(&r->f))
			return;
	} else {
		*r->prevp = r->next;
		if (r->next != NULL)
			r->next->prevp = r->prevp;
		else
			s->queue_last = r->prevp;
	}
	call_drop(c);
	session_done(s);
}

/* Its session is free: takes in what is new, and fetches. */
static void
session_go(struct fetch_read *r)
{
	struct fetch_session *s = r->session;
	enum err e = s->ended ? E_NOMEM :
	    fetch_session_update(s, r->f.req);

	/* One that outgrew its bounds is one that we do not have. */
	if (e != E_OK || s->set.n == 0) {
		r->call->cancel = NULL;
		refuse(r->call, e == E_OK ? E_OK :
		    E_FETCH_SESSION_ID_NOT_FOUND);
		session_drop(s);
		return;
	}
	/* Kafka's, too, keeps what is new and answers with nothing. */
	if (r->throttled) {
		struct extents_res res = { .session_id = s->id };

		r->call->cancel = NULL;
		call_reply_extents(r->call, &res, NULL, 0);
		session_done(s);
		return;
	}
	r->f.set = &s->set;
	fetch_start(&r->f);
}

void
fetch_reads_run(struct engine *eng)
{
	struct fetch_sessions *all = &eng->fetch_sessions;
	struct fetch_session *s;
	struct fetch_read *r;

	while ((s = all->due) != NULL) {
		all->due = s->next_due;
		s->is_due = false;
		r = s->queue;
		if (r == NULL || s->set.fetch != NULL) {
			fetch_session_idle(s);
			continue;
		}
		s->queue = r->next;
		if (r->next != NULL)
			r->next->prevp = &s->queue;
		else
			s->queue_last = &s->queue;
		r->prevp = NULL;
		session_go(r);
	}
}

/* A request that goes on with a session: its epoch is used up at once, its
 * turn comes when those before it are answered. */
static enum err
session_next(struct fetch_read *r, const struct fetch_req *q)
{
	struct fetch_session *s = fetch_session_find(r->f.eng, q->session_id);

	if (s == NULL)
		return E_FETCH_SESSION_ID_NOT_FOUND;
	if (s->epoch != q->session_epoch)
		return E_INVALID_FETCH_SESSION_EPOCH;
	if (s->by_id != (r->f.version >= 13))
		return E_FETCH_SESSION_TOPIC_ID;
	fetch_session_touch(s);
	r->session = s;
	if (s->set.fetch == NULL && s->queue == NULL) {
		session_go(r);
		return E_OK;
	}
	r->prevp = s->queue_last;
	*s->queue_last = r;
	s->queue_last = &r->next;
	return E_OK;
}

/* A full fetch ends the session that it names, and may begin one. */
static void
full(struct fetch_read *r, const struct fetch_req *q)
{
	struct fetch_session *s = q->session_id == 0 ? NULL :
	    fetch_session_find(r->f.eng, q->session_id);

	if (s != NULL)
		fetch_session_end(s);
	if (r->throttled) {
		r->call->cancel = NULL;
		refuse(r->call, E_OK);
		return;
	}
	r->f.wants_session = r->f.version >= 7 && q->session_epoch == 0;
	fetch_start(&r->f);
}

void
handle_fetch(struct call *c)
{
	struct fetch_req *q = c->req;
	struct fetch_read *r = arena_alloc(&c->arena, sizeof *r);
	enum err e = E_OK;

	if (r == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	r->call = c;
	r->f = (struct fetch){ .eng = c->eng, .req = q, .version =
	    c->head.version, .arena = &c->arena, .done = read_done,
	    .arg = r, .segs_max = (int)c->link->handles_max / 2 };
	/* Followers are not for clients here. */
	if (q->replica_id >= 0 || q->replica_state.replica_id >= 0) {
		refuse(c, E_INVALID_REQUEST);
		return;
	}
	r->throttled = throttle_fetch(c, &q->max_bytes);
	c->state = r;
	c->cancel = read_cancel;
	if (q->session_epoch == 0 || q->session_epoch == -1)
		full(r, q);
	else
		e = session_next(r, q);
	if (e != E_OK) {
		c->cancel = NULL;
		refuse(c, e);
	}
}
