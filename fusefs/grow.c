/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growth.  The kernel keeps the last page of a file with zeroes behind the end.
 * If it heard of a new end from an answer of ours, whoever else reads there
 * would see them, until it has thrown its pages away; and an answer that
 * another one has overtaken is shown to its caller but not believed, who then
 * maps pages that are not there.  So before a file is told to be longer,
 *
 *	1. its last page is taken from the kernel; who reads it now gets all
 *	   that we know, which is not less than will be told;
 *	2. the kernel is given the last byte, which makes the file so long;
 *	3. all who have asked before are told.
 *
 * Pages before the last one stay.  1 and 2 wait for reads that we have to
 * answer, so they are a worker's; one at a time, the others render.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs.h"

enum { PAGE = 4096 };

struct grow {
	TAILQ_ENTRY(grow) next;
	uv_work_t	 work;
	struct node	*node;		/* a reference */
	struct ehandle	*h;		/* of bytes; NULL: of lines */
	struct attr_known from, to;
	bool		 drop;		/* all pages, instead */
};

static void
renew(uv_work_t *u)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(1);
	struct grow *g = u->data;
	struct fuse_session *se = g->node->fs->se;
	fuse_ino_t ino = (uintptr_t)g->node;
	char last = '\n';

	if (g->drop) {
		(void)fuse_lowlevel_notify_inval_inode(se, ino, 0, 0);
		return;
	}
	/* Whoever does not know it has nothing of it. */
	(void)fuse_lowlevel_notify_inval_inode(se, ino,
	    g->from.size & ~(int64_t)(PAGE - 1), 0);
	if (g->h != NULL && pread(g->h->fd, &last, 1, g->to.size - 1) != 1)
		return;
	v.buf[0].mem = &last;
	(void)fuse_lowlevel_notify_store(se, ino, g->to.size - 1, &v, 0);
}

static void	 renewed(uv_work_t *, int);

static void
next(struct fs *fs)
{
	struct grow *g = TAILQ_FIRST(&fs->grows);

	if (g != NULL)
		uv_queue_work(&fs->loop, &g->work, renew, renewed);
}

static void
renewed(uv_work_t *u, int status)
{
	struct grow *g = u->data;
	struct node *n = g->node;
	struct fs *fs = n->fs;

	(void)status;
	if (!g->drop) {
		n->known = g->to;
		n->growing = false;
	}
	TAILQ_REMOVE(&fs->grows, g, next);
	next(fs);
	ops_wake(&n->grow_waiters);
	ehandle_put(g->h);
	node_put(n);
	free(g);
}

static void
start(struct fs *fs, struct grow *g)
{
	g->work.data = g;
	TAILQ_INSERT_TAIL(&fs->grows, g, next);
	if (TAILQ_FIRST(&fs->grows) == g)
		next(fs);
}

void
pages_drop(struct node *n)
{
	struct grow *g = calloc(1, sizeof *g);

	if (g == NULL)
		return;		/* they only take room */
	*g = (struct grow){ .node = node_ref(n), .drop = true };
	start(n->fs, g);
}

int
grow_to(struct op *op, struct node *n, const struct attr_known *to,
    struct ehandle *h)
{
	struct grow *g;

	if (n->growing)
		return op_wait(op, &n->grow_waiters);
	if (n->nlookup == 0 || n->known.size < 0 || to->size <= n->known.size ||
	    (h == NULL && kinds[n->key.kind].class == NODE_RAW)) {
		n->known = *to;
		return 0;
	}
	if ((g = calloc(1, sizeof *g)) == NULL)
		return ENOMEM;
	*g = (struct grow){ .node = node_ref(n), .from = n->known, .to = *to,
	    .h = h == NULL ? NULL : ehandle_ref(h) };
	n->growing = true;
	n->grow_seq = n->part->sent;
	start(op->fs, g);
	return op_wait(op, &n->grow_waiters);
}
