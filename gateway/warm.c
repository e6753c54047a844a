/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for the disk in libuv's threads, see warm.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "conn.h"
#include "lib/log.h"
#include "warm.h"

enum {
	RUNNING_MAX	= 2,		/* threads are for recoding too */
	PROBE_BYTES	= 512 * KIB,	/* a byte of each is asked for */
	READ_BYTES	= 64 * KIB,
};

struct warm {
	uv_work_t	 work;
	TAILQ_ENTRY(warm) next;		/* of gw.warms, while it waits */
	struct gw	*gw;
	struct conn	*conn;		/* NULL: gone */
	struct handle	*h;		/* referenced */
	int64_t		 pos;
	size_t		 n;
	int		 eno;		/* of the read; -1: the file ends */
};

static bool
is_there(int fd, int64_t pos)
{
	char c;
	struct iovec v = { &c, 1 };

	return preadv2(fd, &v, 1, pos, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

bool
warm_is(int fd, int64_t pos, size_t n)
{
	for (size_t i = 0; i < n; i += PROBE_BYTES)
		if (!is_there(fd, pos + (int64_t)i))
			return false;
	return n == 0 || is_there(fd, pos + (int64_t)n - 1);
}

bool
warm_small(int fd)
{
	struct statfs s;
	char c;
	struct iovec v = { &c, 1 };

	return fstatfs(fd, &s) == 0 && s.f_bsize < sysconf(_SC_PAGESIZE) &&
	    (preadv2(fd, &v, 1, 0, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP);
}

static void
work_cb(uv_work_t *u)
{
	struct warm *w = u->data;
	char *b = malloc(READ_BYTES);
	ssize_t k;

	w->eno = b == NULL ? ENOMEM : 0;
	for (size_t i = 0; i < w->n && w->eno == 0; i += (size_t)k) {
		k = pread(w->h->fd, b, w->n - i < READ_BYTES ? w->n - i :
		    READ_BYTES, w->pos + (int64_t)i);
		if (k <= 0) {
			w->eno = k == 0 ? -1 : errno == EINTR ? 0 : errno;
			k = 0;
		}
	}
	free(b);
}

static void work_done(uv_work_t *, int);

static void
run_more(struct gw *gw)
{
	struct warm *w;

	while (gw->warming < RUNNING_MAX &&
	    (w = TAILQ_FIRST(&gw->warms)) != NULL) {
		TAILQ_REMOVE(&gw->warms, w, next);
		gw->warming++;
		w->work.data = w;
		ASSERT(uv_queue_work(&gw->loop, &w->work, work_cb,
		    work_done) == 0);
	}
}

static void
warm_free(struct warm *w)
{
	handle_put(w->h);
	free(w);
}

static void
work_done(uv_work_t *u, int status)
{
	struct warm *w = u->data;
	struct gw *gw = w->gw;
	struct conn *c = w->conn;

	ASSERT(status == 0);	/* nobody cancels */
	gw->warming--;
	if (c != NULL) {
		c->warm = NULL;
		if (w->eno == 0)
			conn_touch(c);
		else {
			log_warn("cannot read a segment",
			    LI("handle", w->h->id), LI("position", w->pos),
			    LERRNO(w->eno > 0 ? w->eno : 0));
			conn_close(c, "a segment cannot be read");
		}
	}
	warm_free(w);
	run_more(gw);
}

enum err
warm_start(struct conn *c, struct handle *h, int64_t pos, size_t n)
{
	struct warm *w = malloc(sizeof *w);

	if (w == NULL)
		return E_NOMEM;
	*w = (struct warm){ .gw = c->gw, .conn = c, .h = h, .pos = pos,
	    .n = n };
	h->refs++;
	c->warm = w;
	TAILQ_INSERT_TAIL(&c->gw->warms, w, next);
	run_more(c->gw);
	return E_OK;
}

void
warm_leave(struct conn *c)
{
	struct warm *w = c->warm, *i;

	if (w == NULL)
		return;
	c->warm = NULL;
	w->conn = NULL;
	TAILQ_FOREACH(i, &c->gw->warms, next)
		if (i == w) {
			TAILQ_REMOVE(&c->gw->warms, w, next);
			warm_free(w);
			return;
		}
}
