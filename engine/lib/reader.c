/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches out of a file.  The buffer grows only to the size of a batch whose
 * header makes sense, and at most to BATCH_MAX.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limits.h"
#include "reader.h"

void
reader_open(struct reader *r, int fd, int64_t pos, int64_t len)
{
	*r = (struct reader){ .fd = fd, .pos = pos, .end = pos + len,
	    .last_offset = -1 };
}

void
reader_again(struct reader *r, int fd, int64_t pos, int64_t len)
{
	r->fd = fd;
	r->pos = pos;
	r->end = pos + len;
	r->at = r->len = 0;
}

void
reader_close(struct reader *r)
{
	free(r->buf);
	r->buf = NULL;
	r->at = r->len = r->cap = 0;
}

int64_t
reader_pos(const struct reader *r)
{
	return r->pos - (int64_t)(r->len - r->at);
}

/* Room for n bytes, of which some are there: a chunk, but no more than the
 * range has. */
static enum err
room(struct reader *r, size_t n)
{
	int64_t all;
	uint8_t *p;

	if (r->at > 0) {
		memmove(r->buf, r->buf + r->at, r->len - r->at);
		r->len -= r->at;
		r->at = 0;
	}
	all = (int64_t)r->len + (r->end - r->pos);
	if (n < READER_CHUNK)
		n = all < READER_CHUNK ? (size_t)all : READER_CHUNK;
	if (n <= r->cap)
		return E_OK;
	if ((p = realloc(r->buf, n)) == NULL)
		return E_NOMEM;
	r->buf = p;
	r->cap = n;
	return E_OK;
}

/* Has n bytes in the buffer.  E_EOF: the range has fewer. */
static enum err
fill(struct reader *r, size_t n)
{
	int64_t there = r->end - r->pos;
	enum err e;
	size_t want;
	ssize_t got;

	if (r->len - r->at >= n)
		return E_OK;
	if ((int64_t)(r->len - r->at) + there < (int64_t)n)
		return E_EOF;
	if ((e = room(r, n)) != E_OK)
		return e;
	while (r->len < n) {
		want = r->cap - r->len;
		if ((int64_t)want > r->end - r->pos)
			want = (size_t)(r->end - r->pos);
		got = pread(r->fd, r->buf + r->len, want, r->pos);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_of_errno(errno);
		if (got == 0)
			return E_EOF;
		r->len += (size_t)got;
		r->pos += got;
	}
	return E_OK;
}

enum err
reader_header(struct reader *r, struct batch *b)
{
	enum err e = fill(r, BATCH_HEADER);

	return e == E_OK ? batch_read(r->buf + r->at, b) : e;
}

enum err
reader_batch(struct reader *r, struct batch *b, const uint8_t **p)
{
	enum err e = reader_header(r, b);

	if (e == E_OK)
		e = fill(r, (size_t)batch_size(b));
	if (e != E_OK)
		return e;
	*p = r->buf + r->at;
	if (!batch_crc_ok(*p, (size_t)batch_size(b)))
		return E_CORRUPT;
	r->at += (size_t)batch_size(b);
	r->last_offset = batch_last_offset(b);
	return E_OK;
}

void
records_open(struct records *s, int fd, int64_t pos, int64_t len,
    int64_t from)
{
	*s = (struct records){ .from = from };
	reader_open(&s->r, fd, pos, len);
}

void
records_close(struct records *s)
{
	if (s->open)
		batch_iter_close(&s->it);
	s->open = false;
	reader_close(&s->r);
}

/* Opens the next batch that may hold something. */
static enum err
batch_next(struct records *s)
{
	const uint8_t *p;
	struct batch b;
	enum err e;

	do
		e = reader_batch(&s->r, &b, &p);
	while (e == E_OK && ((b.attrs & BATCH_CONTROL) ||
	    batch_last_offset(&b) < s->from));
	if (e != E_OK)
		return e;
	s->open = true;
	return batch_iter_open(&s->it, p, (size_t)batch_size(&b),
	    INFLATE_MAX);
}

enum err
records_next(struct records *s, struct record *rec)
{
	enum err e;

	for (;;) {
		e = s->open ? batch_iter_next(&s->it, rec) : E_EOF;
		if (e == E_OK && rec->offset < s->from)
			continue;
		if (e != E_EOF)
			return e;
		if (s->open)
			batch_iter_close(&s->it);
		s->open = false;
		if ((e = batch_next(s)) != E_OK)
			return e;
	}
}
