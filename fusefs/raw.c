/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .log of a segment: its bytes as they are on disk, out of the segment's
 * own file, which the engine has passed.  Here are the reads that come to us:
 * most the kernel answers by itself, see open.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "fs.h"

/* A read that would block the loop, on a worker. */
struct raw {
	uv_work_t	 work;
	struct op	*op;		/* NULL: it has ended */
	struct ehandle	*h;
	char		*buf;
	size_t		 n;
	int64_t		 pos;
	ssize_t		 got;
	int		 eno;
};

static void
read_on_worker(uv_work_t *u)
{
	struct raw *r = u->data;
	ssize_t n;

	while (r->got < (ssize_t)r->n) {
		n = pread(r->h->fd, r->buf + r->got, r->n - (size_t)r->got,
		    r->pos + r->got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r->eno = errno;
		if (n <= 0)
			break;
		r->got += n;
	}
}

static void
read_done(uv_work_t *u, int status)
{
	struct raw *r = u->data;
	struct op *op = r->op;

	(void)status;
	if (op != NULL) {
		op->state = NULL;
		op->fs->stats.raw_bytes += (uint64_t)r->got;
		if (r->eno != 0)
			op_err(op, r->eno);
		else {
			fuse_reply_buf(op->req, r->buf, (size_t)r->got);
			op_end(op);
		}
	}
	ehandle_put(r->h);
	free(r->buf);
	free(r);
}

static void
op_left(struct op *op)
{
	struct raw *r = op->state;

	if (r != NULL)
		r->op = NULL;
}

static void
read_start(struct op *op, struct tseg *s, ssize_t got)
{
	struct raw *r = calloc(1, sizeof *r);

	if (r == NULL) {
		op_err(op, ENOMEM);
		return;
	}
	*r = (struct raw){ .op = op, .h = ehandle_ref(s->h),
	    .buf = malloc(op->size), .n = op->size, .pos = op->off };
	r->work.data = r;
	if (r->buf == NULL)
		r->n = 0, r->eno = ENOMEM;
	else if (got > 0) {
		memcpy(r->buf, op->fs->scratch, (size_t)got);
		r->got = got;
	}
	op->state = r;
	op->gone = op_left;
	uv_queue_work(&op->fs->loop, &r->work, read_on_worker,
	    read_done);
}

/* What is in the page cache is read at once, into memory that is warm. */
void
raw_read(struct op *op)
{
	struct tseg *s = node_seg(op->node);
	struct iovec v = { op->fs->scratch, op->size };
	ssize_t n;
	int eno;

	if (s == NULL) {
		op_err(op, ESTALE);
		return;
	}
	if (op->off >= s->bytes) {
		fuse_reply_buf(op->req, NULL, 0);
		op_end(op);
		return;
	}
	eno = tseg_open(op, s);
	if (eno == WAIT)
		return;
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	if ((int64_t)op->size > s->bytes - op->off)
		op->size = v.iov_len = (size_t)(s->bytes - op->off);
	n = preadv2(s->h->fd, &v, 1, op->off, RWF_NOWAIT);
	if (n != (ssize_t)op->size) {
		read_start(op, s, n);
		return;
	}
	op->fs->stats.raw_bytes += op->size;
	fuse_reply_buf(op->req, op->fs->scratch, op->size);
	op_end(op);
}
