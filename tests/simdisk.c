/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated disk: the calls, the faults and the crash.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "simstate.h"

struct sim *
sim_use(struct sim *d)
{
	struct sim *old = sim_cur;

	sim_cur = d;
	return old;
}

void
sim_seed(struct sim *d, uint64_t seed)
{
	d->rng = seed;
}

int64_t
sim_calls(const struct sim *d)
{
	return d->calls;
}

void
sim_count_reset(struct sim *d)
{
	d->calls = 0;
}

void
sim_fail_at(struct sim *d, int64_t n, enum err err, bool persistent)
{
	d->fail_n = n;
	d->fail_err = err;
	d->persistent = persistent;
	d->dead = false;
	if (n > 0)
		d->failed_at = 0;
}

bool
sim_failed(const struct sim *d)
{
	return d->failed_at > 0;
}

void
sim_fail_under(struct sim *d, const char *name)
{
	snprintf(d->under, sizeof d->under, "%s", name);
}

void
sim_fail_op(struct sim *d, enum sim_op op, int64_t n, enum err err)
{
	d->op = op;
	d->op_left = n;
	d->op_err = err;
}

void
sim_space(struct sim *d, int64_t bytes)
{
	d->space = bytes;
}

void
sim_hook(struct sim *d, void (*hook)(struct sim *, int64_t, enum sim_op,
    void *), void *arg)
{
	d->hook = hook;
	d->hook_arg = arg;
}

static bool
op_changes(enum sim_op op)
{
	switch (op) {
	case SIM_PWRITEV:
	case SIM_DATASYNC:
	case SIM_SYNC:
	case SIM_SYNCFS:
	case SIM_TRUNCATE:
	case SIM_UNLINK:
	case SIM_RENAME:
	case SIM_LINK:
	case SIM_MKDIR:
	case SIM_RMDIR:
	case SIM_SYNC_DIR:
	case SIM_OPEN:		/* may create */
	case SIM_LOCK:
		return true;
	case SIM_PREAD:
	case SIM_PREAD_NOW:
	case SIM_RESERVE:
	case SIM_STAT:
	case SIM_FSTAT:
	case SIM_DROP_CACHE:
	case SIM_LIST:
		return false;
	}
	ASSERT(0);
}

/* Is the inode (or the path) below a directory of that name? */
static bool
is_under(const struct sim *d, int ino, const char *path, const char *name)
{
	if (path != NULL)
		return strstr(path, name) != NULL;
	while (ino > 0) {
		int i = 0;

		while (i < d->view.n && d->view.v[i].ino != ino)
			i++;
		if (i == d->view.n)
			return false;
		if (strcmp(d->view.v[i].name, name) == 0)
			return true;
		ino = d->view.v[i].dir;
	}
	return false;
}

/* Counts a call: E_OK, or what it fails with.  It has a handle or a path. */
static enum err
enter(enum sim_op op, int fd, const char *path)
{
	static pthread_t thread;
	static bool known;
	struct sim *d = sim_cur;

	ASSERT(d != NULL);
	ASSERT(!known || pthread_equal(thread, pthread_self()));
	thread = pthread_self();
	known = true;
	d->calls++;
	if (d->hook != NULL && !d->dead && op_changes(op)) {
		d->hook(d, d->calls, op, d->hook_arg);
		ASSERT(sim_cur == d);
	}
	if (d->dead)
		return d->fail_err;
	if (d->under[0] != '\0' && !is_under(d, path != NULL ? -1 :
	    d->handles[fd - HANDLE_BASE].ino, path, d->under))
		return E_OK;
	if (d->fail_n > 0 && d->calls >= d->fail_n) {
		d->fail_n = 0;
		d->dead = d->persistent;
		d->failed_at = d->calls;
		return d->fail_err;
	}
	if (d->op_left > 0 && d->op == op && --d->op_left == 0)
		return d->op_err;
	return E_OK;
}

static struct inode *
inode_of(int fd)
{
	int h = fd - HANDLE_BASE;

	ASSERT(h >= 0 && h < sim_cur->nhandles && sim_cur->handles[h].ino >= 0);
	return &sim_cur->inodes[sim_cur->handles[h].ino];
}

static struct inode *
inode_to_write(int fd)
{
	struct inode *i = inode_of(fd);

	ASSERT(sim_cur->handles[fd - HANDLE_BASE].write);
	return i;
}

static int
handle_new(int ino, bool write, bool lock)
{
	struct sim *d = sim_cur;

	d->handles = sim_grow(d->handles, &d->handles_cap, d->nhandles,
	    sizeof *d->handles);
	d->handles[d->nhandles] = (struct handle){ ino, write, lock };
	return HANDLE_BASE + d->nhandles++;
}

static enum err
sim_open(const char *path, enum disk_mode mode, int *fd)
{
	enum err err = enter(SIM_OPEN, -1, path);
	struct entry e;

	if (err != E_OK)
		return err;
	if (!sim_resolve(sim_cur, path, &e))
		return E_NOTFOUND;
	if (e.ino >= 0 && sim_cur->inodes[e.ino].dir && mode != DISK_READ)
		return E_IO;
	if (e.ino >= 0 && mode == DISK_CREATE_NEW)
		return E_BUSY;
	if (e.ino < 0) {
		if (mode == DISK_READ || mode == DISK_WRITE)
			return E_NOTFOUND;
		e.ino = inode_new(sim_cur, false);
		dir_change(sim_cur, NULL, &e);
	}
	*fd = handle_new(e.ino, mode != DISK_READ, false);
	return E_OK;
}

static void
sim_close(int fd)
{
	(void)inode_of(fd);
	sim_cur->handles[fd - HANDLE_BASE].ino = -1;
}

static enum err
read_view(int fd, void *p, size_t n, int64_t pos, size_t *got)
{
	const struct content *c = &inode_of(fd)->view;

	ASSERT(pos >= 0);
	*got = pos >= c->size ? 0 : (size_t)(c->size - pos);
	if (*got > n)
		*got = n;
	if (*got > 0)
		memcpy(p, c->b->p + pos, *got);
	return E_OK;
}

static enum err
sim_pread(int fd, void *p, size_t n, int64_t pos, size_t *got)
{
	enum err err = enter(SIM_PREAD, fd, NULL);

	*got = 0;
	if (err != E_OK)
		return err;
	inode_of(fd)->cold = false;
	return read_view(fd, p, n, pos, got);
}

static enum err
sim_pread_now(int fd, void *p, size_t n, int64_t pos, size_t *got)
{
	enum err err = enter(SIM_PREAD_NOW, fd, NULL);

	*got = 0;
	if (err != E_OK)
		return err;
	return inode_of(fd)->cold ? E_BUSY : read_view(fd, p, n, pos, got);
}

/* Adds a change and shows it. */
static void
change_add(struct inode *i, const struct change *c)
{
	i->changes = sim_grow(i->changes, &i->cap, i->nchanges,
	    sizeof *i->changes);
	i->changes[i->nchanges++] = *c;
	sim_touch(sim_cur, i);
	change_apply(&i->view, c);
}

/* The bytes from which on a file needs room that it does not have. */
static int64_t
roomy(const struct inode *i)
{
	return i->view.size > i->reserved ? i->view.size : i->reserved;
}

static enum err
sim_pwritev(int fd, struct iovec *iov, int n, int64_t pos)
{
	enum err err = enter(SIM_PWRITEV, fd, NULL);
	struct inode *i = inode_to_write(fd);
	struct change c = { .pos = pos };
	int64_t left = INT64_MAX;

	ASSERT(pos >= 0);
	if (err != E_OK && sim_cur->dead &&
	    sim_cur->calls != sim_cur->failed_at)
		return err;
	for (int k = 0; k < n; k++)
		content_write(&c.data, c.data.size, iov[k].iov_base,
		    (int64_t)iov[k].iov_len);
	memset(iov, 0xee, (size_t)n * sizeof *iov);	/* it is consumed */
	if (err != E_OK)	/* any prefix, drawn by what is written */
		left = (int64_t)(sim_rnd(sim_cur) %
		    (uint64_t)(c.data.size + 1));
	if (sim_cur->space >= 0) {
		int64_t more = pos + c.data.size - roomy(i);

		if (more > sim_cur->space) {
			if (c.data.size - (more - sim_cur->space) < left)
				left = c.data.size - (more - sim_cur->space);
			if (left < 0)
				left = 0;
			err = err == E_OK ? E_NOSPC : err;
		}
		more = pos + (left < c.data.size ? left : c.data.size) -
		    roomy(i);
		if (more > 0)
			sim_cur->space -= more;
	}
	if (left < c.data.size)
		content_resize(&c.data, left);
	if (c.data.size > 0)
		change_add(i, &c);
	else
		blob_free(c.data.b);
	return err;
}

static void
stable_now(struct inode *i)
{
	for (int n = 0; n < i->nchanges; n++)
		change_apply(&i->stable, &i->changes[n]);
	/* A size that an earlier failed sync did not bring out. */
	if (i->stable.size < i->view.size)
		content_resize(&i->stable, i->view.size);
	changes_forget(i);
}

/* What the disk has of a change that was not synced. */
static void
survive(struct sim *d, struct content *c, const struct change *ch)
{
	int64_t end = ch->pos + ch->data.size, n;

	if (ch->truncate) {
		change_apply(c, ch);
		return;
	}
	/* Whole, or each sector for itself. */
	if (sim_rnd(d) % 2 == 0) {
		change_apply(c, ch);
		return;
	}
	for (int64_t pos = ch->pos; pos < end; pos += n) {
		n = SECTOR - pos % SECTOR;
		if (n > end - pos)
			n = end - pos;
		if (sim_rnd(d) % 2 == 0)
			content_write(c, pos, ch->data.b->p + (pos - ch->pos),
			    n);
	}
}

static enum err
sync_inode(struct inode *i, enum err err)
{
	if (err == E_OK) {
		stable_now(i);
		return E_OK;
	}
	if (sim_cur->dead && sim_cur->calls != sim_cur->failed_at)
		return err;
	/* Some of it is out; none of it is dirty any more. */
	for (int n = 0; n < i->nchanges; n++)
		if (sim_rnd(sim_cur) % 2 == 0)
			survive(sim_cur, &i->stable, &i->changes[n]);
	changes_forget(i);
	return err;
}

static enum err
sim_datasync(int fd)
{
	enum err err = enter(SIM_DATASYNC, fd, NULL);

	return sync_inode(inode_of(fd), err);
}

static enum err
sim_sync(int fd)
{
	enum err err = enter(SIM_SYNC, fd, NULL);
	struct inode *i = inode_of(fd);

	if (err == E_OK)
		i->stable_ns = i->written_ns;
	return sync_inode(i, err);
}

static bool
same_name(const struct entry *a, const struct entry *b)
{
	return a->dir == b->dir && strcmp(a->name, b->name) == 0;
}

/* Do two changes concern the same name of the same directory? */
static bool
meet(const struct dir_change *a, const struct dir_change *b)
{
	return (a->has_del && b->has_del && same_name(&a->del, &b->del)) ||
	    (a->has_del && b->has_add && same_name(&a->del, &b->add)) ||
	    (a->has_add && b->has_del && same_name(&a->add, &b->del)) ||
	    (a->has_add && b->has_add && same_name(&a->add, &b->add));
}

/* Brings out the changes of one directory, and earlier ones of other
 * directories where a rename of ours hangs on them. */
static void
sync_entries(struct sim *d, int dir)
{
	bool *out = calloc((size_t)d->ndirs + 1, sizeof *out);
	int n = 0;

	ASSERT(out != NULL);
	for (int i = d->ndirs; i-- > 0;) {
		const struct dir_change *c = &d->dirs[i];

		out[i] = (c->has_del && c->del.dir == dir) ||
		    (c->has_add && c->add.dir == dir);
		for (int j = i + 1; j < d->ndirs && !out[i]; j++)
			out[i] = out[j] && meet(c, &d->dirs[j]);
	}
	for (int i = 0; i < d->ndirs; i++)
		if (out[i])
			dir_change_apply(&d->stable, &d->dirs[i]);
		else
			d->dirs[n++] = d->dirs[i];
	d->ndirs = n;
	free(out);
}

static enum err
sim_syncfs(int fd)
{
	enum err err = enter(SIM_SYNCFS, fd, NULL), first = err;

	(void)inode_of(fd);
	for (int i = 0; i < sim_cur->ninodes; i++) {
		err = sync_inode(&sim_cur->inodes[i], first);
		if (first == E_OK)
			first = err;
	}
	for (int i = 0; first == E_OK && i < sim_cur->ninodes; i++) {
		sim_cur->inodes[i].stable_ns = sim_cur->inodes[i].written_ns;
		if (sim_cur->inodes[i].dir)
			sync_entries(sim_cur, i);
	}
	return first;
}

static enum err
sim_truncate(int fd, int64_t size)
{
	enum err err = enter(SIM_TRUNCATE, fd, NULL);
	struct change c = { .truncate = true, .pos = size };

	ASSERT(size >= 0);
	if (err == E_OK)
		change_add(inode_to_write(fd), &c);
	return err;
}

static enum err
sim_reserve(int fd, int64_t pos, int64_t n)
{
	enum err err = enter(SIM_RESERVE, fd, NULL);
	struct inode *i = inode_to_write(fd);
	int64_t more = pos + n - roomy(i);

	if (err != E_OK || more <= 0)
		return err;
	if (sim_cur->space >= 0 && more > sim_cur->space)
		return E_NOSPC;
	if (sim_cur->space >= 0)
		sim_cur->space -= more;
	i->reserved = pos + n;
	return E_OK;
}

static void
stat_fill(const struct inode *i, struct disk_stat *st)
{
	*st = (struct disk_stat){ .size = i->view.size,
	    .written_ns = i->written_ns, .ino = (uint64_t)(i - sim_cur->inodes),
	    .dir = i->dir };
}

static enum err
sim_stat(const char *path, struct disk_stat *st)
{
	enum err err = enter(SIM_STAT, -1, path);
	int ino;

	if (err != E_OK)
		return err;
	if ((ino = sim_lookup(sim_cur, path)) < 0)
		return E_NOTFOUND;
	stat_fill(&sim_cur->inodes[ino], st);
	return E_OK;
}

static enum err
sim_fstat(int fd, struct disk_stat *st)
{
	enum err err = enter(SIM_FSTAT, fd, NULL);
	struct inode *i = inode_of(fd);

	if (err == E_OK)
		stat_fill(i, st);
	return err;
}

static enum err
sim_drop_cache(int fd)
{
	enum err err = enter(SIM_DROP_CACHE, fd, NULL);
	struct inode *i = inode_of(fd);
	int64_t size = i->view.size;

	if (err != E_OK)
		return err;
	/* What is dirty stays; the rest comes from the disk again. */
	blob_free(i->view.b);
	i->view = content_ref(i->stable);
	for (int n = 0; n < i->nchanges; n++)
		change_apply(&i->view, &i->changes[n]);
	content_resize(&i->view, size);
	i->cold = true;
	return E_OK;
}

static void
sim_readahead(int fd, bool on)
{
	(void)inode_of(fd);
	(void)on;
}

static void
sim_drop_ahead(int fd, int64_t pos, int64_t n)
{
	(void)inode_of(fd);
	(void)pos;
	(void)n;
}

static void
sim_prefetch(int fd, int64_t pos, int64_t n)
{
	(void)inode_of(fd);
	(void)pos;
	(void)n;
}

static bool
sim_resident(int fd, int64_t pos, int64_t n)
{
	(void)pos;
	(void)n;
	return !inode_of(fd)->cold;
}

static bool
has_children(const struct sim *d, int dir)
{
	for (int i = 0; i < d->view.n; i++)
		if (d->view.v[i].dir == dir)
			return true;
	return false;
}

static enum err
sim_unlink(const char *path)
{
	enum err err = enter(SIM_UNLINK, -1, path);
	struct entry e;

	if (err != E_OK)
		return err;
	if (!sim_resolve(sim_cur, path, &e) || e.ino < 0)
		return E_NOTFOUND;
	if (sim_cur->inodes[e.ino].dir)
		return E_IO;
	if (sim_cur->space >= 0)
		sim_cur->space += roomy(&sim_cur->inodes[e.ino]);
	dir_change(sim_cur, &e, NULL);
	return E_OK;
}

static enum err
sim_rename(const char *from, const char *to)
{
	enum err err = enter(SIM_RENAME, -1, from);
	struct entry a, b;

	if (err != E_OK)
		return err;
	if (!sim_resolve(sim_cur, from, &a) || a.ino < 0 ||
	    !sim_resolve(sim_cur, to, &b))
		return E_NOTFOUND;
	if (b.ino >= 0 && sim_cur->inodes[b.ino].dir &&
	    (!sim_cur->inodes[a.ino].dir || has_children(sim_cur, b.ino)))
		return E_IO;
	b.ino = a.ino;
	dir_change(sim_cur, &a, &b);
	return E_OK;
}

static enum err
sim_link(const char *from, const char *to)
{
	enum err err = enter(SIM_LINK, -1, to);
	struct entry a, b;

	if (err != E_OK)
		return err;
	if (!sim_resolve(sim_cur, from, &a) || a.ino < 0 ||
	    !sim_resolve(sim_cur, to, &b))
		return E_NOTFOUND;
	if (b.ino >= 0)
		return E_BUSY;
	b.ino = a.ino;
	dir_change(sim_cur, NULL, &b);
	return E_OK;
}

static enum err
sim_mkdir(const char *path)
{
	enum err err = enter(SIM_MKDIR, -1, path);
	struct entry e;

	if (err != E_OK)
		return err;
	if (!sim_resolve(sim_cur, path, &e))
		return E_NOTFOUND;
	if (e.ino >= 0)
		return sim_cur->inodes[e.ino].dir ? E_OK : E_NOTDIR;
	e.ino = inode_new(sim_cur, true);
	dir_change(sim_cur, NULL, &e);
	return E_OK;
}

static enum err
sim_rmdir(const char *path)
{
	enum err err = enter(SIM_RMDIR, -1, path);
	struct entry e;

	if (err != E_OK)
		return err;
	if (!sim_resolve(sim_cur, path, &e) || e.ino < 0)
		return E_NOTFOUND;
	if (!sim_cur->inodes[e.ino].dir || has_children(sim_cur, e.ino))
		return E_IO;
	dir_change(sim_cur, &e, NULL);
	return E_OK;
}

static enum err
sim_sync_dir(const char *path)
{
	enum err err = enter(SIM_SYNC_DIR, -1, path);
	int ino;

	if (err != E_OK)
		return err;
	if ((ino = sim_lookup(sim_cur, path)) < 0 || !sim_cur->inodes[ino].dir)
		return E_NOTFOUND;
	sync_entries(sim_cur, ino);
	sim_cur->inodes[ino].stable_ns = sim_cur->inodes[ino].written_ns;
	return E_OK;
}

static enum err
sim_list(const char *path, int (*each)(const char *, void *), void *arg)
{
	enum err err = enter(SIM_LIST, -1, path);
	struct entries all;
	int ino;

	if (err != E_OK)
		return err;
	if ((ino = sim_lookup(sim_cur, path)) < 0 || !sim_cur->inodes[ino].dir)
		return E_NOTFOUND;
	all = entries_copy(&sim_cur->view);	/* each() may change it */
	for (int i = 0; i < all.n; i++)
		if (all.v[i].dir == ino && each(all.v[i].name, arg) != 0)
			break;
	free(all.v);
	return E_OK;
}

static enum err
sim_lock(const char *path, int *fd)
{
	enum err err = enter(SIM_LOCK, -1, path);
	struct entry e;

	*fd = -1;
	if (err != E_OK)
		return err;
	if (!sim_resolve(sim_cur, path, &e))
		return E_NOTFOUND;
	if (e.ino < 0) {
		e.ino = inode_new(sim_cur, false);
		dir_change(sim_cur, NULL, &e);
	}
	for (int i = 0; i < sim_cur->nhandles; i++)
		if (sim_cur->handles[i].ino == e.ino &&
		    sim_cur->handles[i].lock)
			return E_BUSY;
	*fd = handle_new(e.ino, true, true);
	return E_OK;
}

static enum err
sim_statvfs(const char *path, int64_t *total, int64_t *usable)
{
	(void)path;
	*total = (int64_t)1 << 40;
	*usable = sim_cur->space >= 0 ? sim_cur->space : *total;
	return E_OK;
}

const struct disk simdisk = {
	.open		= sim_open,
	.close		= sim_close,
	.pread		= sim_pread,
	.pread_now	= sim_pread_now,
	.pwritev	= sim_pwritev,
	.datasync	= sim_datasync,
	.sync		= sim_sync,
	.syncfs		= sim_syncfs,
	.truncate	= sim_truncate,
	.reserve	= sim_reserve,
	.stat		= sim_stat,
	.fstat		= sim_fstat,
	.drop_cache	= sim_drop_cache,
	.readahead	= sim_readahead,
	.drop_ahead	= sim_drop_ahead,
	.prefetch	= sim_prefetch,
	.resident	= sim_resident,
	.unlink		= sim_unlink,
	.rename		= sim_rename,
	.link		= sim_link,
	.mkdir		= sim_mkdir,
	.rmdir		= sim_rmdir,
	.sync_dir	= sim_sync_dir,
	.list		= sim_list,
	.space		= sim_statvfs,
	.lock		= sim_lock,
};

void
sim_kill(struct sim *d)
{
	for (int i = 0; i < d->nhandles; i++)
		d->handles[i].ino = -1;
	d->nhandles = 0;
	d->hook = NULL;
	d->op_left = 0;
	d->space = -1;
	d->under[0] = '\0';
	sim_fail_at(d, 0, E_OK, false);
	sim_count_reset(d);
}

static void
crash_file(struct sim *d, struct inode *i, int keep)
{
	for (int n = 0; n < i->nchanges; n++)
		if (keep == 4)
			change_apply(&i->stable, &i->changes[n]);
		else if ((int)(sim_rnd(d) % 4) < keep)
			survive(d, &i->stable, &i->changes[n]);
	/* The size can be out without the data. */
	if (keep > 0 && i->nchanges > 0 && i->view.size > i->stable.size &&
	    sim_rnd(d) % 4 == 0)
		content_resize(&i->stable, i->view.size);
	changes_forget(i);
	blob_free(i->view.b);
	i->view = content_ref(i->stable);
	i->written_ns = i->stable_ns;
	i->cold = false;
}

void
sim_crash(struct sim *d, uint64_t seed)
{
	/* Chances in quarters that a change survives. */
	static const int writes[4] = { 4, 0, 4, 0 }, names[4] = { 4, 0, 0, 4 };
	int keep_writes, keep_names;

	sim_kill(d);
	d->rng = seed * 0x2545f4914f6cdd1du + 1;
	keep_writes = seed < 4 ? writes[seed] : (int)(sim_rnd(d) % 5);
	keep_names = seed < 4 ? names[seed] : (int)(sim_rnd(d) % 5);
	for (int i = 0; i < d->ninodes; i++)
		crash_file(d, &d->inodes[i], keep_writes);
	for (int i = 0; i < d->ndirs; i++)
		if ((int)(sim_rnd(d) % 4) < keep_names)
			dir_change_apply(&d->stable, &d->dirs[i]);
	d->ndirs = 0;
	free(d->view.v);
	d->view = entries_copy(&d->stable);
}
