/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's output: responses leave in the order of their requests, as
 * many as are ready in one call, and segment bytes go from the page cache to
 * the socket without passing through this process.
 */
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn.h"
#include "lib/log.h"
#include "warm.h"

#define IOV_MAX_OUT	64
#define TURN_BYTES	(4 * MIB)	/* then others have their turn */
#define PIECE_BYTES	(1 * MIB)	/* of a segment, at once */

static bool
done(const struct req *r)
{
	return r->out_pos == r->out.len && r->iext == r->next;
}

static bool
at_extent(const struct req *r)
{
	return r->iext < r->next && r->ext[r->iext].at == r->out_pos;
}

/* Bytes of r that may leave before its next extent. */
static size_t
plain(const struct req *r)
{
	size_t end = r->iext < r->next ? r->ext[r->iext].at : r->out.len;

	return end - r->out_pos;
}

/* Gathers the heads that are ready, up to the first extent. */
static int
gather(struct conn *c, struct iovec *v, bool *more)
{
	struct req *r;
	int n = 0;

	*more = false;
	TAILQ_FOREACH(r, &c->reqs, in_conn) {
		if (r->state != REQ_READY || r->ends || n == IOV_MAX_OUT)
			break;
		if (plain(r) > 0)
			v[n++] = (struct iovec){ r->out.p + r->out_pos,
			    plain(r) };
		if (r->iext < r->next) {
			*more = true;
			break;
		}
	}
	return n;
}

/* n bytes of the heads have left. */
static void
sent(struct conn *c, size_t n)
{
	struct req *r;
	size_t k;

	c->owed -= n;
	while (n > 0) {
		r = TAILQ_FIRST(&c->reqs);
		k = plain(r) < n ? plain(r) : n;
		r->out_pos += k;
		r->owed -= k;
		n -= k;
		if (n > 0)
			req_free(r);	/* it has left whole */
	}
}

/* E_BUSY: the socket takes no more. */
static enum err
send_plain(struct conn *c)
{
	struct iovec v[IOV_MAX_OUT];
	struct msghdr m = { .msg_iov = v };
	bool more;
	ssize_t n;

	m.msg_iovlen = (size_t)gather(c, v, &more);
	ASSERT(m.msg_iovlen > 0);
	do
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT |
		    (more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? E_BUSY : E_CLOSED;
	sent(c, (size_t)n);
	return E_OK;
}

static enum err
wait_for(struct conn *c, const struct extent *x)
{
	return warm_start(c, x->h, x->pos, x->left < PIECE_BYTES ?
	    (size_t)x->left : PIECE_BYTES) == E_OK ? E_BUSY : E_CLOSED;
}

/* Some of an extent has left. */
static void
extent_sent(struct conn *c, struct req *r, size_t n)
{
	struct extent *x = &r->ext[r->iext];

	x->pos += (int64_t)n;
	x->left -= (int64_t)n;
	r->owed -= n;
	c->owed -= n;
	if (x->left == 0) {
		handle_put(x->h);
		r->iext++;
	}
}

/* The engine never hands out what is not there. */
static enum err
too_short(const struct extent *x)
{
	log_warn("segment is shorter than its extent",
	    LI("handle", x->h->id), LI("position", x->pos));
	return E_EOF;
}

/* Where one byte does not tell for its page: what can be read at once is
 * copied.  E_BUSY: as below. */
static enum err
send_copy(struct conn *c, struct req *r)
{
	struct extent *x = &r->ext[r->iext];
	struct iovec v = { c->gw->scratch, x->left < SCRATCH ?
	    (size_t)x->left : SCRATCH };
	ssize_t n = preadv2(x->h->fd, &v, 1, x->pos, RWF_NOWAIT);

	if (n == 0)
		return too_short(x);
	if (n < 0)
		return errno == EAGAIN ? wait_for(c, x) : errno == EINTR ?
		    E_OK : E_CLOSED;
	n = send(c->fd, v.iov_base, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT |
	    (n < x->left ? MSG_MORE : 0));
	if (n < 0)
		return errno == EAGAIN ? E_BUSY : errno == EINTR ? E_OK :
		    E_CLOSED;
	extent_sent(c, r, (size_t)n);
	return E_OK;
}

/* E_BUSY: the socket takes no more, or the bytes are waited for. */
static enum err
send_extent(struct conn *c, struct req *r)
{
	struct extent *x = &r->ext[r->iext];
	size_t want = x->left < PIECE_BYTES ? (size_t)x->left : PIECE_BYTES;
	off_t pos = x->pos;
	ssize_t n;

	if (x->h->small)
		return send_copy(c, r);
	if (!warm_is(x->h->fd, x->pos, want))
		return wait_for(c, x);
	n = sendfile(c->fd, x->h->fd, &pos, want);
	if (n < 0)
		return errno == EAGAIN ? E_BUSY : errno == EINTR ? E_OK :
		    E_CLOSED;
	if (n == 0)
		return too_short(x);
	extent_sent(c, r, (size_t)n);
	return E_OK;
}

bool
output_send(struct conn *c)
{
	size_t owed = c->owed;
	struct req *r;
	enum err e = E_OK;

	while (e == E_OK && (r = TAILQ_FIRST(&c->reqs)) != NULL &&
	    r->state == REQ_READY) {
		if (r->ends)
			e = E_CLOSED;
		else if (done(r))
			req_free(r);
		else if (at_extent(r))
			e = send_extent(c, r);
		else
			e = send_plain(c);
		if (e == E_OK && owed - c->owed > TURN_BYTES)
			e = E_BUSY;	/* it is writable again at once */
	}
	if (e == E_BUSY && c->warm == NULL)
		c->stuck = true;
	return e == E_OK || e == E_BUSY;
}
