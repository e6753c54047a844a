/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices: the records of a partition from one offset up to another, as one
 * text.  A slice that grows only ever gets longer; the sizes of segments that
 * were deleted meanwhile stay in its sum, so that places do not shift under an
 * open file, and reading there is ESTALE.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"

/* Whether a slice has seen the segment: one that compaction has put in the
 * place of another belongs to younger ones only. */
static bool
counts(const struct slice *sl, const struct tseg *s)
{
	if (s->gone && s->died <= sl->born)
		return false;
	if (s->replaces && s->born > sl->born)
		return false;
	if (sl->only >= 0 && s->base != sl->only)
		return false;
	return s->base < sl->to && (s->end > sl->from || !s->sealed);
}

/* Where the slice's records begin and end in the text of a segment. */
static int
bounds(struct op *op, struct slice *sl, struct tseg *s, int64_t *from,
    int64_t *to)
{
	int eno;

	*from = 0;
	*to = s->m_text;
	if (s->base < sl->from) {
		if (sl->from_text < 0 && (eno = tseg_locate(op, sl, s,
		    sl->from, &sl->from_text)) != 0)
			return eno;
		*from = sl->from_text;
	}
	if (sl->to < s->end) {
		if (sl->to_text < 0 && (eno = tseg_locate(op, sl, s, sl->to,
		    &sl->to_text)) != 0)
			return eno;
		*to = sl->to_text;
	}
	if (*to < *from)
		*to = *from;
	return 0;
}

int
slice_size(struct op *op, struct node *n, int64_t *size, int64_t *ms)
{
	struct slice *sl = &n->slice;
	struct part *p = n->part;
	int64_t from, to;
	struct tseg *s;
	bool any = false;
	int eno = part_fresh(op, p, 0);

	if (eno != 0)
		return eno;
	*size = 0;
	*ms = 0;
	TAILQ_FOREACH(s, &p->segs, next) {
		if (!counts(sl, s))
			continue;
		any |= !s->gone;
		if ((eno = tseg_measured(op, s)) != 0 ||
		    (eno = bounds(op, sl, s, &from, &to)) != 0)
			return eno;
		*size += to - from;
		if (s->max_ts > *ms)
			*ms = s->max_ts;
	}
	return any || sl->from >= p->start ? 0 : ESTALE;
}

/* The segment that has a place of the slice's text, and where in it; NULL
 * when the slice ends before. */
static int
seek(struct op *op, struct slice *sl, struct part *p, int64_t at,
    struct tseg **seg, int64_t *text, int64_t *left)
{
	int64_t from, to;
	struct tseg *s;
	int eno;

	*seg = NULL;
	TAILQ_FOREACH(s, &p->segs, next) {
		if (!counts(sl, s))
			continue;
		if ((eno = bounds(op, sl, s, &from, &to)) != 0)
			return eno;
		if (at < to - from) {
			*seg = s;
			*text = from + at;
			*left = to - from - at;
			return 0;
		}
		at -= to - from;
	}
	return 0;
}

int
slice_read(struct op *op, struct node *n)
{
	int64_t text, left;
	struct tseg *s;
	size_t want, got;
	int eno;

	while (op->got < op->size) {
		eno = seek(op, &n->slice, n->part,
		    op->off + (int64_t)op->got, &s, &text, &left);
		if (eno != 0)
			return eno;
		if (s == NULL)
			break;
		want = op->size - op->got;
		if ((int64_t)want > left)
			want = (size_t)left;
		eno = tseg_text(op, s, text, op->buf + op->got, want, &got);
		if (eno != 0)
			return eno;
		op->got += got;
	}
	op->fs->stats.text_bytes += op->got;
	return 0;
}
