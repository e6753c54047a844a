/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the kernel, each from its arguments to one reply.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"

static struct fs *
fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- names and attributes ----------------------------------------------- */

static void
run_lookup(struct op *op)
{
	struct fuse_entry_param e = { .generation = 1 };
	struct node_key k = { .part = -1 };
	double keep;
	int eno = 0;

	if (op->child == NULL) {
		eno = tree_lookup(op, op->node, op->name, &k);
		if (eno == 0 && (op->child = node_get(op->fs, &k)) == NULL)
			eno = ENOMEM;
	}
	if (eno == 0)
		eno = attr_get(op, op->child, &e.attr, &keep);
	if (eno == WAIT)
		return;
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	e.ino = (uintptr_t)op->child;
	e.attr_timeout = keep;
	e.entry_timeout = kinds[op->child->key.kind].keep_ms / 1000.0;
	op->child->nlookup++;
	if (fuse_reply_entry(op->req, &e) != 0)
		op->child->nlookup--;
	op_end(op);
}

static void
fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op *op;

	if (strlen(name) > NAME_BYTES_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	op = op_new(fs_of(req), req, parent, run_lookup);
	if (op != NULL)
		strcpy(op->name, name);
	op_start(op);
}

static void
fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	if (ino != FUSE_ROOT_ID)
		node_forget(node_of(fs_of(req), ino), n);
	fuse_reply_none(req);
}

static void
fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *v)
{
	for (size_t i = 0; i < count; i++)
		if (v[i].ino != FUSE_ROOT_ID)
			node_forget(node_of(fs_of(req), v[i].ino),
			    v[i].nlookup);
	fuse_reply_none(req);
}

/* Whoever follows a file that grows goes on when the engine is back. */
static bool
late_getattr(struct op *op)
{
	struct stat st;

	if (!attr_known(op->node, &st))
		return false;
	fuse_reply_attr(op->req, &st, 0);
	op_end(op);
	return true;
}

static void
run_getattr(struct op *op)
{
	struct stat st;
	double keep;
	int eno;

	op->late = late_getattr;
	eno = attr_get(op, op->node, &st, &keep);
	if (eno == WAIT || (eno == EHOSTUNREACH && late_getattr(op)))
		return;
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	fuse_reply_attr(op->req, &st, keep);
	op_end(op);
}

static void
fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	op_start(op_new(fs_of(req), req, ino, run_getattr));
}

static void
run_readlink(struct op *op)
{
	char to[LINK_BYTES_MAX + 1];
	int eno = kinds[op->node->key.kind].class != NODE_LINK ? EINVAL :
	    tree_link(op, op->node, to, sizeof to);

	if (eno == WAIT)
		return;
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	fuse_reply_readlink(op->req, to);
	op_end(op);
}

static void
fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
	op_start(op_new(fs_of(req), req, ino, run_readlink));
}

/* ---- directories -------------------------------------------------------- */

static void
listing_gone(struct op *op)
{
	listing_free(op->fs, op->state);
}

static void
run_opendir(struct op *op)
{
	struct listing *l = calloc(1, sizeof *l);
	int eno = l == NULL ? ENOMEM : tree_list(op, op->node, l);

	if (eno != 0)
		listing_free(op->fs, l);
	if (eno == WAIT)
		return;
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	op->fi.fh = (uintptr_t)l;
	if (fuse_reply_open(op->req, &op->fi) != 0) {
		op->state = l;
		op->gone = listing_gone;
	}
	op_end(op);
}

static void
fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op *op = op_new(fs_of(req), req, ino, run_opendir);

	if (op != NULL)
		op->fi = *fi;
	op_start(op);
}

/* Directories come with their attributes, which cost nothing; of all others
 * the kernel asks when somebody wants them. */
static size_t
add_plus(fuse_req_t req, char *buf, size_t left, const struct listed *v,
    off_t next)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e = { .generation = 1 };
	struct node *n = NULL;
	size_t used;

	if (attr_of_dir(fs, &v->key, &e.attr) &&
	    (n = node_get(fs, &v->key)) != NULL) {
		e.ino = (uintptr_t)n;
		e.attr_timeout = e.entry_timeout =
		    kinds[v->key.kind].keep_ms / 1000.0;
	}
	used = fuse_add_direntry_plus(req, buf, left, v->name, &e, next);
	if (n != NULL) {
		if (used <= left)
			n->nlookup++;
		node_put(n);
	}
	return used;
}

static size_t
add_plain(fuse_req_t req, char *buf, size_t left, const struct listed *v,
    off_t next)
{
	struct stat st;

	(void)attr_of_dir(fs_of(req), &v->key, &st);
	return fuse_add_direntry(req, buf, left, v->name, &st, next);
}

static void
list_some(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi,
    size_t (*add)(fuse_req_t, char *, size_t, const struct listed *, off_t))
{
	const struct listing *l = (struct listing *)(uintptr_t)fi->fh;
	char *buf = malloc(size);
	size_t n = 0, used;

	if (buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (off_t i = off; i >= 0 && i < l->n; i++) {
		used = add(req, buf + n, size - n, &l->v[i], i + 1);
		if (used > size - n)
			break;
		n += used;
	}
	fuse_reply_buf(req, buf, n);
	free(buf);
}

static void
fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)ino;
	list_some(req, size, off, fi, add_plain);
}

static void
fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)ino;
	list_some(req, size, off, fi, add_plus);
}

static void
fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	listing_free(fs_of(req), (struct listing *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* ---- files -------------------------------------------------------------- */

static void
fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node *n = node_of(fs, ino);
	enum kind kind = n->key.kind;
	struct op *op;

	bool sink = kinds[kind].class == NODE_SINK;

	/* Each write is a value, and its error the engine's. */
	if (takes_words(fs, kind) && (fi->flags & O_ACCMODE) == O_WRONLY) {
		fi->direct_io = 1;
		fuse_reply_open(req, fi);
		return;
	}
	if (kind == KIND_CONTROL) {
		fuse_reply_err(req, EACCES);
		return;
	}
	if (sink && (fi->flags & O_ACCMODE) != O_WRONLY) {
		fuse_reply_err(req, EACCES);
		return;
	}
	if (!sink && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, fs->conf.writable ? EPERM : EROFS);
		return;
	}
	if (sink || kinds[kind].class == NODE_STREAM) {
		op = op_new(fs, req, ino, sink ? produce_open : follow_open);
		if (op != NULL)
			op->fi = *fi;
		op_start(op);
		return;
	}
	if (is_seg_file(n)) {
		seg_open(req, ino, fi);
		return;
	}
	if (kinds[kind].class == NODE_FOUND) {
		found_open(req, n, fi);
		return;
	}
	/* What is read stays as it is; a change of size or time tells the
	 * kernel otherwise. */
	fi->keep_cache = kinds[kind].class != NODE_DOC ||
	    kind == KIND_VALUE || kind == KIND_RECORD;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void
fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = node_of(fs_of(req), ino);

	if (kinds[n->key.kind].class == NODE_STREAM)
		follow_release(n, fi);
	if (kinds[n->key.kind].class == NODE_SINK)
		produce_release(n->fs, fi);
	if (is_seg_file(n))
		seg_release(n);
	if (kinds[n->key.kind].class == NODE_FOUND)
		found_release(fi);
	fuse_reply_err(req, 0);
}

static void
run_read_slice(struct op *op)
{
	int eno = slice_read(op, op->node);

	if (eno == WAIT)
		return;
	/* Not less than asked, unless it is the end: zeroes would follow. */
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	fuse_reply_buf(op->req, op->buf, op->got);
	op_end(op);
}

static void
read_doc(fuse_req_t req, const struct doc *d, size_t size, off_t off)
{
	size_t n = 0;

	if (off < (off_t)d->len)
		n = d->len - (size_t)off;
	if (n > size)
		n = size;
	fuse_reply_buf(req, n == 0 ? NULL : d->text + off, n);
}

static void
fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node *n = node_of(fs, ino);
	enum node_class class = kinds[n->key.kind].class;
	struct op *op;

	if (class == NODE_DOC) {
		fs->stats.calls++;
		read_doc(req, &n->doc, size, off);
		return;
	}
	if (class == NODE_FOUND) {
		fs->stats.calls++;
		found_read(req, n, size, off, fi);
		return;
	}
	op = op_new(fs, req, ino, class == NODE_SLICE ? run_read_slice :
	    class == NODE_RAW ? raw_read : follow_read);
	if (op == NULL)
		return;
	op->fi = *fi;
	op->off = off;
	op->size = size > READ_MAX ? READ_MAX : size;
	if (class == NODE_SLICE && (op->buf = malloc(op->size)) == NULL) {
		op_err(op, ENOMEM);
		return;
	}
	op_start(op);
}

static void
fs_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	struct node *n = node_of(fs_of(req), ino);
	struct op *op = op_new(fs_of(req), req, ino,
	    n->key.kind == KIND_CONFIG_KEY ? admin_write :
	    n->key.kind == KIND_OFFSET ? offset_write :
	    n->key.kind == KIND_CONTROL ? control_write : produce_write);

	if (op == NULL)
		return;
	op->fi = *fi;
	op->off = off;	/* of no meaning to produce */
	op->size = size;
	op->buf = malloc(size + 1);
	if (op->buf == NULL) {
		op_err(op, ENOMEM);
		return;
	}
	memcpy(op->buf, buf, size);
	op_start(op);
}

static void
fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct op *op;

	if (kinds[node_of(fs, ino)->key.kind].class != NODE_SINK) {
		fuse_reply_err(req, 0);
		return;
	}
	op = op_new(fs, req, ino, produce_flush);
	if (op != NULL)
		op->fi = *fi;
	op_start(op);
}

static void
fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
    struct fuse_file_info *fi)
{
	(void)datasync;
	fs_flush(req, ino, fi);
}

static void
fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = { .f_bsize = 128 * KIB, .f_frsize = 512,
	    .f_namemax = NAME_BYTES_MAX };

	(void)ino;
	fuse_reply_statfs(req, &st);
}

/* ---- what is refused ---------------------------------------------------- */

static void
refuse(fuse_req_t req)
{
	fuse_reply_err(req, fs_of(req)->conf.writable ? EPERM : EROFS);
}

static void
fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set,
    struct fuse_file_info *fi)
{
	struct node *n = node_of(fs_of(req), ino);

	(void)st;
	/* "> produce" of a kernel that truncates by itself. */
	if ((kinds[n->key.kind].class == NODE_SINK ||
	    takes_words(n->fs, n->key.kind)) &&
	    (set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID |
	    FUSE_SET_ATTR_GID)) == 0)
		fs_getattr(req, ino, fi);
	else
		refuse(req);
}

static void
fs_mknod(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
    dev_t dev)
{
	(void)ino, (void)name, (void)mode, (void)dev;
	refuse(req);
}

static void
fs_mkdir(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode)
{
	(void)ino, (void)name, (void)mode;
	refuse(req);
}

static void
fs_remove(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	refuse(req);
}

static void
fs_symlink(fuse_req_t req, const char *to, fuse_ino_t ino, const char *name)
{
	(void)to, (void)ino, (void)name;
	refuse(req);
}

static void
fs_rename(fuse_req_t req, fuse_ino_t ino, const char *name, fuse_ino_t to,
    const char *as, unsigned int flags)
{
	(void)ino, (void)name, (void)to, (void)as, (void)flags;
	refuse(req);
}

static void
fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t to, const char *as)
{
	(void)ino, (void)to, (void)as;
	refuse(req);
}

static void
fs_create(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	(void)ino, (void)name, (void)mode, (void)fi;
	refuse(req);
}

static void
fs_init(void *arg, struct fuse_conn_info *c)
{
	(void)arg;
	c->want |= c->capable & (FUSE_CAP_READDIRPLUS |
	    FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS |
	    FUSE_CAP_ASYNC_READ | FUSE_CAP_EXPLICIT_INVAL_DATA |
	    FUSE_CAP_ATOMIC_O_TRUNC);
	/* What grows keeps its pages, see grow.c; and else opening throws
	 * away what may have changed. */
	c->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	c->max_readahead = MIB;
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = fs_init,
	.lookup = fs_lookup,
	.forget = fs_forget,
	.forget_multi = fs_forget_multi,
	.getattr = fs_getattr,
	.setattr = fs_setattr,
	.readlink = fs_readlink,
	.mknod = fs_mknod,
	.mkdir = fs_mkdir,
	.unlink = fs_remove,
	.rmdir = fs_remove,
	.symlink = fs_symlink,
	.rename = fs_rename,
	.link = fs_link,
	.open = fs_open,
	.read = fs_read,
	.write = fs_write,
	.flush = fs_flush,
	.fsync = fs_fsync,
	.release = fs_release,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.readdirplus = fs_readdirplus,
	.releasedir = fs_releasedir,
	.statfs = fs_statfs,
	.getxattr = xattr_get,
	.listxattr = xattr_list,
	.create = fs_create,
};
