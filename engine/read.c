/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch requests: from the call to struct fetch and back. */
#include <stdlib.h>

#include "serve.h"

/* The extents' references are held until the frame with the fds is queued:
 * ipc_send has duplicated them by then. */
static void
read_done(struct fetch *f)
{
	struct call *c = f->arg;
	struct fetch_extent *x = f->extents;
	struct seg **segs;
	int n = f->nextents;

	if (f->dropped) {
		fetch_release(f);
		call_drop(c);
		return;
	}
	segs = malloc(((size_t)n + 1) * sizeof *segs);
	if (segs == NULL) {
		fetch_release(f);
		call_bad(c, "out of memory");
		return;
	}
	for (int i = 0; i < n; i++)
		segs[i] = x[i].seg;
	f->nextents = 0;	/* the references are ours now */
	call_reply_extents(c, &f->res, segs, n);
	for (int i = 0; i < n; i++)
		seg_unref(segs[i]);
	free(segs);
}

/* The link or the session has ended. */
static void
read_cancel(struct call *c)
{
	c->cancel = NULL;
	if (fetch_cancel(c->state))
		call_drop(c);
}

/* Consumers only: followers and sessions are not for clients here. */
static enum err
read_refuse(const struct fetch_req *q)
{
	if (q->replica_id >= 0 || q->replica_state.replica_id >= 0)
		return E_INVALID_REQUEST;
	if (q->session_epoch > 0)
		return E_FETCH_SESSION_ID_NOT_FOUND;
	return E_OK;
}

void
handle_fetch(struct call *c)
{
	struct fetch_req *q = c->req;
	struct fetch *f = arena_alloc(&c->arena, sizeof *f);
	enum err e = read_refuse(q);

	if (f == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	if (e != E_OK) {
		f->res.error = (int16_t)e;
		call_reply_extents(c, &f->res, NULL, 0);
		return;
	}
	f->eng = c->eng;
	f->req = q;
	f->version = c->head.version;
	f->arena = &c->arena;
	f->done = read_done;
	f->arg = c;
	c->state = f;
	c->cancel = read_cancel;
	fetch_start(f);
}
