/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of files of records, user.chronik.*: what is known of
 * them without reading them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "lib/codec.h"

#define PREFIX	"user.chronik."

enum { TEXT_MAX = 64, AGE_MS = 1000 };

/* The records [from, to) and the first segment that has some of them. */
struct span {
	int64_t		 from, to, max_ts, stored;
	struct tseg	*first;
};

static bool
has_span(const struct node *n)
{
	return kinds[n->key.kind].class == NODE_SLICE ||
	    kinds[n->key.kind].class == NODE_RAW;
}

static void
span_of(const struct node *n, struct span *s)
{
	const struct part *p = n->part;
	bool seg = n->key.kind == KIND_SEG_JSONL || n->key.kind ==
	    KIND_SEG_LOG;
	struct tseg *t;

	*s = (struct span){ .from = n->key.a, .to = n->key.b, .max_ts = -1 };
	if (seg && (t = part_seg((struct part *)p, n->key.a)) != NULL)
		s->to = t->end;
	if (s->from < p->start)
		s->from = p->start;
	if (s->to > p->hw)
		s->to = p->hw;
	TAILQ_FOREACH(t, &p->segs, next) {
		if (t->gone || t->base >= s->to || t->end <= s->from)
			continue;
		if (s->first == NULL)
			s->first = t;
		if (t->max_ts > s->max_ts)
			s->max_ts = t->max_ts;
		s->stored += t->bytes;
	}
}

static int
put(char *out, int64_t n)
{
	snprintf(out, TEXT_MAX, "%lld", (long long)n);
	return 0;
}

static int
first_offset(struct op *op, const struct span *s, char *out)
{
	(void)op;
	return s->from < s->to ? put(out, s->from) : ENODATA;
}

static int
last_offset(struct op *op, const struct span *s, char *out)
{
	(void)op;
	return s->from < s->to ? put(out, s->to - 1) : ENODATA;
}

static int
records(struct op *op, const struct span *s, char *out)
{
	(void)op;
	return put(out, s->from < s->to ? s->to - s->from : 0);
}

static int
max_timestamp(struct op *op, const struct span *s, char *out)
{
	(void)op;
	return s->max_ts < 0 ? ENODATA : put(out, s->max_ts);
}

static int
stored_bytes(struct op *op, const struct span *s, char *out)
{
	(void)op;
	return put(out, s->stored);
}

static int
tier(struct op *op, const struct span *s, char *out)
{
	(void)op;
	(void)s;
	strcpy(out, "local");
	return 0;
}

/* Of the first batch in the segment. */
static int
head(struct op *op, const struct span *s, struct batch *b)
{
	uint8_t bytes[BATCH_HEADER];
	int eno;

	if (s->first == NULL || s->first->bytes == 0)
		return ENODATA;
	if ((eno = tseg_open(op, s->first)) != 0)
		return eno;
	if (pread(s->first->h->fd, bytes, sizeof bytes, 0) !=
	    (ssize_t)sizeof bytes || batch_read(bytes, b) != E_OK)
		return EIO;
	return 0;
}

static int
min_timestamp(struct op *op, const struct span *s, char *out)
{
	struct batch b;
	int eno = head(op, s, &b);

	return eno != 0 ? eno : put(out, b.base_ts);
}

static int
codec(struct op *op, const struct span *s, char *out)
{
	struct batch b;
	int eno = head(op, s, &b);

	if (eno == 0)
		snprintf(out, TEXT_MAX, "%s",
		    codec_name(b.attrs & BATCH_CODEC));
	return eno;
}

static const struct { const char *name;
    int (*get)(struct op *, const struct span *, char *); } rows[] = {
	{ PREFIX "first_offset", first_offset },
	{ PREFIX "last_offset", last_offset },
	{ PREFIX "min_timestamp", min_timestamp },
	{ PREFIX "max_timestamp", max_timestamp },
	{ PREFIX "records", records },
	{ PREFIX "codec", codec },
	{ PREFIX "stored_bytes", stored_bytes },
	{ PREFIX "tier", tier },
};
enum { NROWS = sizeof rows / sizeof *rows };

static void
reply(struct op *op, const char *p, size_t n)
{
	if (op->size > 0 && n > op->size) {
		op_err(op, ERANGE);
		return;
	}
	if (op->size == 0)
		fuse_reply_xattr(op->req, n);
	else
		fuse_reply_buf(op->req, p, n);
	op_end(op);
}

static void
run_get(struct op *op)
{
	char text[TEXT_MAX];
	struct span s;
	int eno = part_fresh(op, op->node->part, AGE_MS);

	if (eno == 0) {
		span_of(op->node, &s);
		eno = ENODATA;
		for (int i = 0; i < NROWS; i++)
			if (strcmp(op->name, rows[i].name) == 0)
				eno = rows[i].get(op, &s, text);
	}
	if (eno == 0)
		reply(op, text, strlen(text));
	else if (eno != WAIT)
		op_err(op, eno);
}

/* ENOSYS once, and the kernel asks no more: each attribute that it asks for
 * with ls -l is one more question. */
void
xattr_get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fuse_req_userdata(req);
	struct op *op;

	if (!fs->conf.xattr || !has_span(node_of(fs, ino)) ||
	    strncmp(name, PREFIX, sizeof PREFIX - 1) != 0 ||
	    strlen(name) > NAME_BYTES_MAX) {
		fuse_reply_err(req, fs->conf.xattr ? ENODATA : ENOSYS);
		return;
	}
	if ((op = op_new(fs, req, ino, run_get)) == NULL)
		return;
	strcpy(op->name, name);
	op->size = size;
	op_start(op);
}

void
xattr_list(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fuse_req_userdata(req);
	char names[1024];
	size_t n = 0;

	if (!fs->conf.xattr) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	for (int i = 0; i < NROWS && has_span(node_of(fs, ino)); i++) {
		strcpy(names + n, rows[i].name);
		n += strlen(rows[i].name) + 1;
	}
	if (size == 0)
		fuse_reply_xattr(req, n);
	else if (n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, names, n);
}
