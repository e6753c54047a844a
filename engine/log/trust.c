/* SPDX-License-Identifier: Apache-2.0 */
/* Proving batches, and remembering what was proved. */
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "lib/batch.h"
#include "lib/crc32c.h"
#include "lib/limits.h"
#include "trust.h"

enum {
	OK_MAX	= 64,		/* ranges of a segment; then the first goes */
	BAD_MAX	= 64,		/* then they are taken together */
	BUF	= DISK_STEP,
};

/* ---- what is known ----------------------------------------------------- */

void
trust_init(struct trust *t, int64_t from)
{
	*t = (struct trust){ .from = from };
}

void
trust_free(struct trust *t)
{
	free(t->ok);
	free(t->bad);
	*t = (struct trust){ 0 };
}

const struct damage *
trust_damage(const struct trust *t, int64_t pos)
{
	for (int i = 0; i < t->nbad; i++)
		if (pos >= t->bad[i].pos && pos < t->bad[i].next)
			return &t->bad[i];
	return NULL;
}

int64_t
trust_until(const struct trust *t, int64_t pos)
{
	int64_t to = pos;

	for (int i = 0; i < t->nok; i++)
		if (pos >= t->ok[i].from && pos < t->ok[i].to)
			to = t->ok[i].to;
	if (to >= t->from)
		to = INT64_MAX;
	for (int i = 0; i < t->nbad; i++)
		if (t->bad[i].next > pos && t->bad[i].pos < to)
			to = t->bad[i].pos > pos ? t->bad[i].pos : pos;
	return to;
}

/* Adds [from, to), and takes in the ranges that it meets. */
static void
ok_add(struct trust *t, int64_t from, int64_t to)
{
	int n = 0;

	if (t->ok == NULL &&
	    (t->ok = calloc(OK_MAX, sizeof *t->ok)) == NULL)
		return;
	for (int i = 0; i < t->nok; i++) {
		struct trust_range *r = &t->ok[i];

		if (r->to < from || r->from > to) {
			t->ok[n++] = *r;
			continue;
		}
		from = r->from < from ? r->from : from;
		to = r->to > to ? r->to : to;
	}
	if (n == OK_MAX)
		memmove(t->ok, t->ok + 1, (size_t)--n * sizeof *t->ok);
	t->ok[n++] = (struct trust_range){ from, to };
	t->nok = n;
}

/* Those that meet become one; with too many, the last takes in the new one
 * and what lies between: less is served then, nothing wrong. */
static bool
bad_add(struct trust *t, struct damage d)
{
	int n = 0;

	if (t->bad == NULL &&
	    (t->bad = calloc(BAD_MAX, sizeof *t->bad)) == NULL)
		return true;
	for (int i = 0; i < t->nbad; i++) {
		struct damage *b = &t->bad[i];

		if (b->pos <= d.pos && b->next >= d.next)
			return false;
		if (b->next < d.pos || b->pos > d.next) {
			t->bad[n++] = *b;
			continue;
		}
		if (b->pos < d.pos) {
			d.pos = b->pos;
			d.offset = b->offset;
		}
		if (b->next > d.next) {
			d.next = b->next;
			d.next_offset = b->next_offset;
		}
	}
	t->nbad = n;
	if (n == BAD_MAX) {
		struct damage last = t->bad[--t->nbad];

		d.next_offset = d.next > last.next ? d.next_offset :
		    last.next_offset;
		d.next = d.next > last.next ? d.next : last.next;
		d.offset = d.pos < last.pos ? d.offset : last.offset;
		d.pos = d.pos < last.pos ? d.pos : last.pos;
		bad_add(t, d);
		return true;
	}
	t->bad[t->nbad++] = d;
	return true;
}

bool
trust_take(struct trust *t, const struct proof *x)
{
	t->unread = x->err == E_IO ? x->to + 1 : 0;
	if (x->to > x->pos)
		ok_add(t, x->pos, x->to);
	return x->damaged && bad_add(t, x->bad);
}

/* ---- proving ----------------------------------------------------------- */

/* A window on the file. */
struct view {
	struct proof	*x;
	uint8_t		*buf;
	int64_t		 from, till;
};

/* Makes n bytes at pos available: NULL at the end, or with x->err. */
static const uint8_t *
view_at(struct view *v, int64_t pos, size_t n)
{
	int64_t want = v->x->end - pos;
	size_t got;

	if (pos >= v->from && pos + (int64_t)n <= v->till)
		return v->buf + (pos - v->from);
	if (want < (int64_t)n)
		return NULL;
	v->from = v->till = pos;
	v->x->err = disk->pread(v->x->fd, v->buf, want < BUF ? (size_t)want :
	    BUF, pos, &got);
	if (v->x->err != E_OK)
		return NULL;
	v->till = pos + (int64_t)got;
	return got >= n ? v->buf : NULL;
}

static bool
crc_ok(struct view *v, int64_t pos, int64_t end, uint32_t want)
{
	uint32_t crc = 0;

	while (pos < end) {
		const uint8_t *p = view_at(v, pos, 1);
		int64_t n = v->till < end ? v->till - pos : end - pos;

		if (p == NULL)
			return false;
		crc = crc32c(crc, p, (size_t)n);
		pos += n;
	}
	return crc == want;
}

/* Is there a batch at pos?  NULL, or what is wrong with it; b is filled as
 * far as there is a header. */
static const char *
batch_bad(struct view *v, int64_t pos, int64_t expect, struct batch *b)
{
	const uint8_t *p = view_at(v, pos, BATCH_HEADER);

	*b = (struct batch){ .length = 0 };
	if (p == NULL)
		return "less than a batch header is left";
	if (batch_read(p, b) != E_OK)
		return "no batch header";
	if (batch_size(b) > v->x->end - pos)
		return "the batch is longer than the log";
	if (b->base_offset < expect || b->last_delta < 0 ||
	    b->base_offset > v->x->end_offset - 1 - b->last_delta)
		return "offsets do not fit";
	return crc_ok(v, pos + BATCH_CRC_FROM, pos + batch_size(b), b->crc) ?
	    NULL : "wrong CRC";
}

/* A good CRC says nothing of the base offset and the leader epoch.  Those that
 * were changed do not fit the next batch; when they are as the batch before
 * lets expect, it is the next one that does not fit. */
static const char *
next_unfit(struct view *v, int64_t pos, int64_t expect, int32_t epoch,
    const struct batch *b)
{
	const uint8_t *p = view_at(v, pos + batch_size(b), BATCH_HEADER);
	struct batch next;

	if (p == NULL || batch_read(p, &next) != E_OK)
		return NULL;
	if (b->base_offset != expect &&
	    next.base_offset <= batch_last_offset(b))
		return "offsets run into the next batch";
	if (b->leader_epoch != epoch && next.leader_epoch < b->leader_epoch)
		return "leader epochs go back";
	return NULL;
}

/* The next good batch behind a bad one: where its header says, or else the
 * first one that there is. */
static void
find_next(struct view *v, int64_t pos, int64_t expect, const struct batch *b)
{
	struct proof *x = v->x;
	struct batch next;

	x->bad = (struct damage){ pos, x->end, expect, x->end_offset };
	if (b->length > 0 && batch_size(b) < x->end - pos &&
	    batch_bad(v, pos + batch_size(b), expect, &next) == NULL) {
		x->bad.next = pos + batch_size(b);
		x->bad.next_offset = next.base_offset;
		return;
	}
	while (x->err == E_OK && x->end - ++pos >= BATCH_HEADER) {
		const uint8_t *p = view_at(v, pos, BATCH_HEADER);

		/* Magic 2: the rest is looked at rarely. */
		if (p == NULL || p[16] != 2 || batch_bad(v, pos, expect,
		    &next) != NULL)
			continue;
		x->bad.next = pos;
		x->bad.next_offset = next.base_offset;
		return;
	}
}

void
trust_prove(struct proof *x)
{
	struct view v = { .x = x, .buf = malloc(BUF) };
	int64_t stop = x->len < x->end - x->pos ? x->pos + x->len : x->end;
	int64_t expect = x->expect;
	int32_t epoch = INT32_MIN;
	struct batch b;

	x->to = x->pos;
	x->damaged = false;
	x->err = v.buf == NULL ? E_NOMEM : E_OK;
	while (x->err == E_OK && x->to < stop) {
		x->why = batch_bad(&v, x->to, expect, &b);
		if (x->why == NULL && b.leader_epoch < epoch)
			x->why = "leader epochs go back";
		if (x->why == NULL)
			x->why = next_unfit(&v, x->to, expect, epoch, &b);
		if (x->err != E_OK)
			break;
		if (x->why != NULL) {
			find_next(&v, x->to, expect, &b);
			x->damaged = x->err == E_OK;
			break;
		}
		x->to += batch_size(&b);
		expect = batch_last_offset(&b) + 1;
		epoch = b.leader_epoch;
	}
	free(v.buf);
}
