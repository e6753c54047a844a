/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the files of segments.  Where the kernel can, it reads those of
 * sealed segments by itself (see pass.h): the .log from the engine's own file,
 * with the pages that are in memory for the engine anyway, the .jsonl from a
 * copy.  All open files of one inode are read in the same way then, or opening
 * it fails: the kernel wants that, so the first one decides.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "copy.h"
#include "pass.h"

bool
is_seg_file(const struct node *n)
{
	return n->key.kind == KIND_SEG_LOG || n->key.kind == KIND_SEG_JSONL;
}

static bool
may_pass(const struct fs *fs)
{
	return fs->pass == PASS_ON && !fs->refused;
}

/* The file that has all of it, and nothing else: the kernel reads the whole
 * file, whatever size we tell.  -1: there is none. */
static int
whole_file(const struct node *n, const struct tseg *s)
{
	struct stat st;
	int fd = -1;

	if (n->key.kind == KIND_SEG_JSONL && n->copy != NULL &&
	    copy_is_whole(n->copy) && n->copy->bytes == n->known.size)
		fd = n->copy->fd;
	if (n->key.kind == KIND_SEG_LOG && s != NULL && s->sealed &&
	    s->h != NULL && fstat(s->h->fd, &st) == 0 &&
	    st.st_size == s->bytes)
		fd = s->h->fd;
	return fd;
}

static void
open_first(struct node *n, struct tseg *s)
{
	struct fs *fs = n->fs;
	int fd;

	if (n->key.kind == KIND_SEG_JSONL && s != NULL && s->copy != NULL)
		n->copy = copy_ref(s->copy);
	fd = may_pass(fs) ? whole_file(n, s) : -1;
	if (fd < 0 || (n->backing = pass_open(fs, fd)) == 0)
		return;
	if (n->paged)
		pages_drop(n);
	n->paged = false;
}

static void
opened(struct op *op)
{
	struct node *n = op->node;

	if (n->opens++ == 0)
		open_first(n, node_seg(n));
	/* A copy is whole when all has been read: by us, not from pages. */
	op->fi.keep_cache = n->copy == NULL || copy_is_whole(n->copy) ||
	    n->opens > 1;
	op->fi.noflush = 1;
	n->paged |= n->backing == 0;
	op->fs->stats.passed += n->backing != 0;
	if ((n->backing == 0 ? fuse_reply_open(op->req, &op->fi) :
	    pass_reply_open(op->req, &op->fi, n->backing)) != 0)
		seg_release(n);	/* it will not come */
	op_end(op);
}

/* Without the engine it is opened all the same: what is cached can be read. */
static bool
open_late(struct op *op)
{
	opened(op);
	return true;
}

static void
run_open(struct op *op)
{
	struct tseg *s = node_seg(op->node);

	op->late = open_late;
	if (may_pass(op->fs) && op->node->opens == 0 && s != NULL &&
	    s->sealed && (op->node->key.kind == KIND_SEG_LOG ?
	    tseg_open(op, s) : copy_begin(op, s)) == WAIT)
		return;
	opened(op);
}

void
seg_open(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	struct op *op = op_new(fuse_req_userdata(req), req, ino, run_open);

	if (op != NULL)
		op->fi = *fi;
	op_start(op);
}

void
seg_release(struct node *n)
{
	ASSERT(n->opens > 0);
	if (--n->opens > 0)
		return;
	if (n->backing != 0)
		pass_close(n->fs, n->backing);
	n->backing = 0;
	copy_put(n->copy);
	n->copy = NULL;
}
