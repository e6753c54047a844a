/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes.  Sizes are exact, always: tools that copy, map or follow files
 * rely on it.
 */
#include <errno.h>
#include <string.h>

#include "fs.h"

enum { SEALED_KEEP_S = 3600 };

static void
set_time(struct stat *st, int64_t ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	if (ms < 0)
		ts = (struct timespec){ 0, 0 };
	st->st_mtim = st->st_ctim = st->st_atim = ts;
}

static void
set_size(struct stat *st, int64_t size, int64_t stored)
{
	st->st_size = size;
	st->st_blksize = 128 * KIB;
	/* Never 0 for a file that has bytes: tar takes that for a hole. */
	st->st_blocks = (stored + 511) / 512;
	if (st->st_blocks == 0 && size > 0)
		st->st_blocks = 1;
}

static void
set_common(struct fs *fs, const struct node_key *k, struct stat *st)
{
	static const mode_t types[] = { [NODE_DIR] = S_IFDIR,
	    [NODE_DOC] = S_IFREG, [NODE_SLICE] = S_IFREG,
	    [NODE_RAW] = S_IFREG, [NODE_LINK] = S_IFLNK,
	    [NODE_STREAM] = S_IFREG, [NODE_SINK] = S_IFREG,
	    [NODE_FOUND] = S_IFREG };
	const struct kind_row *row = &kinds[k->kind];

	memset(st, 0, sizeof *st);
	st->st_ino = key_ino(fs, k);
	st->st_mode = types[row->class] | row->mode;
	if (takes_words(fs, k->kind))
		st->st_mode |= S_IWUSR;
	st->st_nlink = 1;
	st->st_uid = fs->uid;
	st->st_gid = fs->gid;
	set_time(st, fs->began_ms);
}

bool
attr_of_dir(struct fs *fs, const struct node_key *k, struct stat *st)
{
	set_common(fs, k, st);
	/* Which hits there are is not known without looking. */
	return kinds[k->kind].class == NODE_DIR && k->kind != KIND_HITS;
}

/* What the slice's segments take on disk. */
static int64_t
stored(const struct node *n)
{
	int64_t bytes = 0, size, whole;
	struct tseg *s;

	TAILQ_FOREACH(s, &n->part->segs, next)
		if (!s->gone && s->base < n->slice.to &&
		    s->end > n->slice.from)
			bytes += s->bytes;
	/* A part of one segment: not more than its share. */
	s = part_seg(n->part, n->key.a);
	size = n->slice.to - n->slice.from;
	if (n->key.kind == KIND_RANGE && s != NULL) {
		whole = s->end - s->base;
		if (whole > 0 && size < whole)
			bytes = bytes / whole * size;
	}
	return bytes;
}

bool
attr_known(struct node *n, struct stat *st)
{
	if (n->known.size < 0)
		return false;
	set_common(n->fs, &n->key, st);
	set_size(st, n->known.size, n->known.stored);
	set_time(st, n->known.ms);
	return true;
}

static int
attr_slice(struct op *op, struct node *n, struct attr_known *to, double *keep)
{
	int eno = slice_size(op, n, &to->size, &to->ms);
	struct tseg *s;

	if (eno != 0)
		return eno;
	to->stored = stored(n);
	s = n->key.kind == KIND_SEG_JSONL ? node_seg(n) : NULL;
	if ((s != NULL && s->sealed) || n->slice.to <= n->part->hw)
		*keep = SEALED_KEEP_S;
	return grow_to(op, n, to, NULL);
}

static int
attr_raw(struct op *op, struct node *n, struct attr_known *to, double *keep)
{
	int eno = part_fresh(op, n->part, 0);
	struct tseg *s = node_seg(n);

	if (eno != 0)
		return eno;
	if (s == NULL)
		return ESTALE;
	to->size = to->stored = s->bytes;
	to->ms = s->max_ts > 0 ? s->max_ts : s->written_ms;
	if (s->sealed)
		*keep = SEALED_KEEP_S;
	return grow_to(op, n, to, s->h);
}

/* Of records: they may grow. */
static int
attr_file(struct op *op, struct node *n, struct stat *st, double *keep)
{
	struct attr_known to;
	int eno = 0;

	/* It has grown to that since the op began. */
	if (op->seq >= n->grow_seq || n->growing)
		eno = kinds[n->key.kind].class == NODE_RAW ?
		    attr_raw(op, n, &to, keep) : attr_slice(op, n, &to, keep);
	if (eno == 0)
		(void)attr_known(n, st);
	return eno;
}

int
attr_get(struct op *op, struct node *n, struct stat *st, double *keep)
{
	char target[LINK_BYTES_MAX + 1];
	int eno = 0;

	set_common(op->fs, &n->key, st);
	*keep = kinds[n->key.kind].keep_ms / 1000.0;
	switch (kinds[n->key.kind].class) {
	case NODE_DIR:
	case NODE_STREAM:
	case NODE_SINK:
		break;
	case NODE_DOC:
		if ((eno = doc_fresh(op, n)) == 0) {
			set_size(st, (int64_t)n->doc.len,
			    (int64_t)n->doc.len);
			set_time(st, n->doc.changed_ms);
		}
		break;
	case NODE_SLICE:
	case NODE_RAW:
		eno = attr_file(op, n, st, keep);
		break;
	case NODE_FOUND:
		if ((eno = found_attr(op->fs, n)) == 0)
			(void)attr_known(n, st);
		*keep = SEALED_KEEP_S;
		break;
	case NODE_LINK:
		eno = tree_link(op, n, target, sizeof target);
		if (eno == 0)
			st->st_size = (off_t)strlen(target);
		break;
	}
	return eno;
}
