/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated disk.  An inode holds what reads show, what is on the disk,
 * and the changes in between that no sync has covered; directories are one
 * list of changes for the whole disk, because a rename belongs to two.  Bytes
 * are shared between clones and copied when they are written to: tests clone
 * a disk at each of its calls.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simdisk.h"

#define SECTOR		512
#define HANDLE_BASE	1000	/* so that no handle is a real fd by chance */
#define NAME_SIZE	128

/* Bytes shared between clones. */
struct blob {
	int	refs;
	size_t	cap;
	uint8_t	p[];
};

struct content {
	struct blob	*b;	/* NULL: no bytes, all zero */
	int64_t		 size;
};

/* A change of a file that is not synced. */
struct change {
	bool		 truncate;
	int64_t		 pos;		/* the new size of a truncation */
	struct content	 data;
};

struct inode {
	bool		 dir;
	bool		 cold;		/* not in memory: pread_now is busy */
	struct content	 view, stable;
	struct change	*changes;
	int		 nchanges, cap;
};

struct entry {
	int	dir, ino;
	char	name[NAME_SIZE];
};

struct entries {
	struct entry	*v;
	int		 n, cap;
};

/* A change of directories that is not synced: the entry `del` goes if it
 * still leads to the inode, `add` comes. */
struct dir_change {
	bool		has_del, has_add;
	struct entry	del, add;
};

struct handle {
	int	ino;		/* -1: closed */
	bool	write, lock;
};

struct sim {
	struct inode	  *inodes;	/* [0] is the root */
	int		   ninodes, inodes_cap;
	struct entries	   view, stable;
	struct dir_change *dirs;
	int		   ndirs, dirs_cap;
	struct handle	  *handles;
	int		   nhandles, handles_cap;
	int64_t		   calls, fail_n, failed_at, op_left, space;
	enum err	   fail_err, op_err;
	enum sim_op	   op;
	bool		   persistent, dead;
	char		   under[NAME_SIZE];	/* only there faults happen */
	uint64_t	   rng;
	void		 (*hook)(struct sim *, int64_t, enum sim_op, void *);
	void		  *hook_arg;
};

static struct sim *cur;

static void *
grow(void *p, int *cap, int n, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap == 0 ? 8 : *cap * 2;
	p = realloc(p, (size_t)*cap * size);
	ASSERT(p != NULL);
	return p;
}

static uint64_t
rnd(struct sim *d)
{
	uint64_t x = d->rng += 0x9e3779b97f4a7c15u;	/* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void
blob_free(struct blob *b)
{
	if (b != NULL && --b->refs == 0)
		free(b);
}

static struct content
content_ref(struct content c)
{
	if (c.b != NULL)
		c.b->refs++;
	return c;
}

/* Makes the bytes ours alone and at least n of them, the new ones zero. */
static void
content_own(struct content *c, int64_t n)
{
	size_t cap = (size_t)(n > c->size ? n : c->size);
	struct blob *b;

	if (c->b != NULL && c->b->refs == 1 && c->b->cap >= cap)
		return;
	if (c->b != NULL && c->b->cap < cap && c->b->cap > cap / 2)
		cap *= 2;
	b = calloc(1, sizeof *b + cap);
	ASSERT(b != NULL);
	b->refs = 1;
	b->cap = cap;
	if (c->b != NULL && c->size > 0)
		memcpy(b->p, c->b->p, (size_t)c->size);
	blob_free(c->b);
	c->b = b;
}

static void
content_resize(struct content *c, int64_t size)
{
	if (size < c->size) {
		content_own(c, 0);
		memset(c->b->p + size, 0, (size_t)(c->size - size));
	} else if (size > c->size)
		content_own(c, size);
	c->size = size;
}

static void
content_write(struct content *c, int64_t pos, const void *p, int64_t n)
{
	if (n == 0)
		return;
	if (pos + n > c->size)
		content_resize(c, pos + n);
	content_own(c, 0);
	memcpy(c->b->p + pos, p, (size_t)n);
}

static struct content
content_of(const void *p, int64_t n)
{
	struct content c = { NULL, 0 };

	content_write(&c, 0, p, n);
	return c;
}

static void
change_apply(struct content *c, const struct change *ch)
{
	if (ch->truncate)
		content_resize(c, ch->pos);
	else
		content_write(c, ch->pos, ch->data.b->p, ch->data.size);
}

static void
changes_forget(struct inode *i)
{
	for (int n = 0; n < i->nchanges; n++)
		blob_free(i->changes[n].data.b);
	i->nchanges = 0;
}

static void
entries_set(struct entries *e, const struct entry *x)
{
	for (int i = 0; i < e->n; i++)
		if (e->v[i].dir == x->dir &&
		    strcmp(e->v[i].name, x->name) == 0) {
			e->v[i].ino = x->ino;
			return;
		}
	e->v = grow(e->v, &e->cap, e->n, sizeof *e->v);
	e->v[e->n++] = *x;
}

static int
entries_get(const struct entries *e, int dir, const char *name)
{
	for (int i = 0; i < e->n; i++)
		if (e->v[i].dir == dir && strcmp(e->v[i].name, name) == 0)
			return e->v[i].ino;
	return -1;
}

static void
entries_del(struct entries *e, const struct entry *x)
{
	for (int i = 0; i < e->n; i++)
		if (e->v[i].dir == x->dir && e->v[i].ino == x->ino &&
		    strcmp(e->v[i].name, x->name) == 0) {
			e->v[i] = e->v[--e->n];
			return;
		}
}

static struct entries
entries_copy(const struct entries *e)
{
	struct entries c = { NULL, 0, 0 };

	for (int i = 0; i < e->n; i++) {
		c.v = grow(c.v, &c.cap, c.n, sizeof *c.v);
		c.v[c.n++] = e->v[i];
	}
	return c;
}

static void
dir_change_apply(struct entries *e, const struct dir_change *c)
{
	if (c->has_del)
		entries_del(e, &c->del);
	if (c->has_add)
		entries_set(e, &c->add);
}

static void
dir_change(struct sim *d, const struct entry *del, const struct entry *add)
{
	struct dir_change c = { .has_del = del != NULL,
	    .has_add = add != NULL };

	if (del != NULL)
		c.del = *del;
	if (add != NULL)
		c.add = *add;
	d->dirs = grow(d->dirs, &d->dirs_cap, d->ndirs, sizeof *d->dirs);
	d->dirs[d->ndirs++] = c;
	dir_change_apply(&d->view, &c);
}

static int
inode_new(struct sim *d, bool dir)
{
	d->inodes = grow(d->inodes, &d->inodes_cap, d->ninodes,
	    sizeof *d->inodes);
	d->inodes[d->ninodes] = (struct inode){ .dir = dir };
	return d->ninodes++;
}

/* The directory that holds a path's last name, which is put into e; false
 * when there is no such directory. */
static bool
resolve(const struct sim *d, const char *path, struct entry *e)
{
	const char *slash;

	*e = (struct entry){ .dir = 0, .ino = -1 };
	while (*path == '/')
		path++;
	for (; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		snprintf(e->name, sizeof e->name, "%.*s", (int)(slash - path),
		    path);
		if (strcmp(e->name, ".") == 0)
			continue;
		e->dir = entries_get(&d->view, e->dir, e->name);
		if (e->dir < 0 || !d->inodes[e->dir].dir)
			return false;
	}
	ASSERT(strlen(path) < sizeof e->name);
	snprintf(e->name, sizeof e->name, "%s", path);
	e->ino = strcmp(path, ".") == 0 || *path == '\0' ? e->dir :
	    entries_get(&d->view, e->dir, path);
	return true;
}

static int
lookup(const struct sim *d, const char *path)
{
	struct entry e;

	return resolve(d, path, &e) ? e.ino : -1;
}

struct sim *
sim_new(void)
{
	struct sim *d = calloc(1, sizeof *d);

	ASSERT(d != NULL);
	d->space = -1;
	(void)inode_new(d, true);
	return d;
}

struct sim *
sim_clone(const struct sim *from)
{
	struct sim *d = malloc(sizeof *d);

	ASSERT(d != NULL);
	*d = *from;
	d->hook = NULL;
	d->inodes = malloc(sizeof *d->inodes * (size_t)from->ninodes);
	ASSERT(d->inodes != NULL);
	d->inodes_cap = from->ninodes;
	for (int i = 0; i < from->ninodes; i++) {
		struct inode *to = &d->inodes[i];

		*to = from->inodes[i];
		(void)content_ref(to->view);
		(void)content_ref(to->stable);
		to->changes = NULL;
		to->cap = 0;
		for (int n = 0; n < to->nchanges; n++) {
			to->changes = grow(to->changes, &to->cap, n,
			    sizeof *to->changes);
			to->changes[n] = from->inodes[i].changes[n];
			(void)content_ref(to->changes[n].data);
		}
	}
	d->view = entries_copy(&from->view);
	d->stable = entries_copy(&from->stable);
	d->dirs = NULL;
	d->dirs_cap = 0;
	for (int i = 0; i < d->ndirs; i++) {
		d->dirs = grow(d->dirs, &d->dirs_cap, i, sizeof *d->dirs);
		d->dirs[i] = from->dirs[i];
	}
	d->handles = NULL;
	d->handles_cap = 0;
	for (int i = 0; i < d->nhandles; i++) {
		d->handles = grow(d->handles, &d->handles_cap, i,
		    sizeof *d->handles);
		d->handles[i] = from->handles[i];
	}
	return d;
}

void
sim_free(struct sim *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < d->ninodes; i++) {
		changes_forget(&d->inodes[i]);
		free(d->inodes[i].changes);
		blob_free(d->inodes[i].view.b);
		blob_free(d->inodes[i].stable.b);
	}
	free(d->inodes);
	free(d->view.v);
	free(d->stable.v);
	free(d->dirs);
	free(d->handles);
	if (cur == d)
		cur = NULL;
	free(d);
}

struct sim *
sim_use(struct sim *d)
{
	struct sim *old = cur;

	cur = d;
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
	struct sim *d = cur;

	ASSERT(d != NULL);
	ASSERT(!known || pthread_equal(thread, pthread_self()));
	thread = pthread_self();
	known = true;
	d->calls++;
	if (d->hook != NULL && !d->dead && op_changes(op)) {
		d->hook(d, d->calls, op, d->hook_arg);
		ASSERT(cur == d);
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

	ASSERT(h >= 0 && h < cur->nhandles && cur->handles[h].ino >= 0);
	return &cur->inodes[cur->handles[h].ino];
}

static struct inode *
inode_to_write(int fd)
{
	struct inode *i = inode_of(fd);

	ASSERT(cur->handles[fd - HANDLE_BASE].write);
	return i;
}

static int
handle_new(int ino, bool write, bool lock)
{
	struct sim *d = cur;

	d->handles = grow(d->handles, &d->handles_cap, d->nhandles,
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
	if (!resolve(cur, path, &e))
		return E_NOTFOUND;
	if (e.ino >= 0 && cur->inodes[e.ino].dir && mode != DISK_READ)
		return E_IO;
	if (e.ino >= 0 && mode == DISK_CREATE_NEW)
		return E_BUSY;
	if (e.ino < 0) {
		if (mode == DISK_READ || mode == DISK_WRITE)
			return E_NOTFOUND;
		e.ino = inode_new(cur, false);
		dir_change(cur, NULL, &e);
	}
	*fd = handle_new(e.ino, mode != DISK_READ, false);
	return E_OK;
}

static void
sim_close(int fd)
{
	(void)inode_of(fd);
	cur->handles[fd - HANDLE_BASE].ino = -1;
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
	i->changes = grow(i->changes, &i->cap, i->nchanges,
	    sizeof *i->changes);
	i->changes[i->nchanges++] = *c;
	change_apply(&i->view, c);
}

static enum err
sim_pwritev(int fd, struct iovec *iov, int n, int64_t pos)
{
	enum err err = enter(SIM_PWRITEV, fd, NULL);
	struct inode *i = inode_to_write(fd);
	struct change c = { .pos = pos };
	int64_t left = INT64_MAX;

	ASSERT(pos >= 0);
	if (err != E_OK && cur->dead && cur->calls != cur->failed_at)
		return err;
	for (int k = 0; k < n; k++)
		content_write(&c.data, c.data.size, iov[k].iov_base,
		    (int64_t)iov[k].iov_len);
	memset(iov, 0xee, (size_t)n * sizeof *iov);	/* it is consumed */
	if (err != E_OK)	/* any prefix, drawn by what is written */
		left = (int64_t)(rnd(cur) % (uint64_t)(c.data.size + 1));
	if (cur->space >= 0) {
		int64_t more = pos + c.data.size - i->view.size;

		if (more > cur->space) {
			if (c.data.size - (more - cur->space) < left)
				left = c.data.size - (more - cur->space);
			if (left < 0)
				left = 0;
			err = err == E_OK ? E_NOSPC : err;
		}
		more = pos + (left < c.data.size ? left : c.data.size) -
		    i->view.size;
		if (more > 0)
			cur->space -= more;
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
	if (rnd(d) % 2 == 0) {
		change_apply(c, ch);
		return;
	}
	for (int64_t pos = ch->pos; pos < end; pos += n) {
		n = SECTOR - pos % SECTOR;
		if (n > end - pos)
			n = end - pos;
		if (rnd(d) % 2 == 0)
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
	if (cur->dead && cur->calls != cur->failed_at)
		return err;
	/* Some of it is out; none of it is dirty any more. */
	for (int n = 0; n < i->nchanges; n++)
		if (rnd(cur) % 2 == 0)
			survive(cur, &i->stable, &i->changes[n]);
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

	return sync_inode(inode_of(fd), err);
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
	for (int i = 0; i < cur->ninodes; i++) {
		err = sync_inode(&cur->inodes[i], first);
		if (first == E_OK)
			first = err;
	}
	for (int i = 0; first == E_OK && i < cur->ninodes; i++)
		if (cur->inodes[i].dir)
			sync_entries(cur, i);
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

	(void)inode_to_write(fd);
	if (err == E_OK && cur->space >= 0 &&
	    pos + n - inode_of(fd)->view.size > cur->space)
		return E_NOSPC;
	return err;
}

static enum err
sim_stat(const char *path, struct disk_stat *st)
{
	enum err err = enter(SIM_STAT, -1, path);
	int ino;

	if (err != E_OK)
		return err;
	if ((ino = lookup(cur, path)) < 0)
		return E_NOTFOUND;
	*st = (struct disk_stat){ cur->inodes[ino].view.size,
	    cur->inodes[ino].dir };
	return E_OK;
}

static enum err
sim_fstat(int fd, struct disk_stat *st)
{
	enum err err = enter(SIM_FSTAT, fd, NULL);
	struct inode *i = inode_of(fd);

	if (err == E_OK)
		*st = (struct disk_stat){ i->view.size, i->dir };
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
	if (!resolve(cur, path, &e) || e.ino < 0)
		return E_NOTFOUND;
	if (cur->inodes[e.ino].dir)
		return E_IO;
	if (cur->space >= 0)
		cur->space += cur->inodes[e.ino].view.size;
	dir_change(cur, &e, NULL);
	return E_OK;
}

static enum err
sim_rename(const char *from, const char *to)
{
	enum err err = enter(SIM_RENAME, -1, from);
	struct entry a, b;

	if (err != E_OK)
		return err;
	if (!resolve(cur, from, &a) || a.ino < 0 || !resolve(cur, to, &b))
		return E_NOTFOUND;
	if (b.ino >= 0 && cur->inodes[b.ino].dir &&
	    (!cur->inodes[a.ino].dir || has_children(cur, b.ino)))
		return E_IO;
	b.ino = a.ino;
	dir_change(cur, &a, &b);
	return E_OK;
}

static enum err
sim_mkdir(const char *path)
{
	enum err err = enter(SIM_MKDIR, -1, path);
	struct entry e;

	if (err != E_OK)
		return err;
	if (!resolve(cur, path, &e))
		return E_NOTFOUND;
	if (e.ino >= 0)
		return cur->inodes[e.ino].dir ? E_OK : E_IO;
	e.ino = inode_new(cur, true);
	dir_change(cur, NULL, &e);
	return E_OK;
}

static enum err
sim_rmdir(const char *path)
{
	enum err err = enter(SIM_RMDIR, -1, path);
	struct entry e;

	if (err != E_OK)
		return err;
	if (!resolve(cur, path, &e) || e.ino < 0)
		return E_NOTFOUND;
	if (!cur->inodes[e.ino].dir || has_children(cur, e.ino))
		return E_IO;
	dir_change(cur, &e, NULL);
	return E_OK;
}

static enum err
sim_sync_dir(const char *path)
{
	enum err err = enter(SIM_SYNC_DIR, -1, path);
	int ino;

	if (err != E_OK)
		return err;
	if ((ino = lookup(cur, path)) < 0 || !cur->inodes[ino].dir)
		return E_NOTFOUND;
	sync_entries(cur, ino);
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
	if ((ino = lookup(cur, path)) < 0 || !cur->inodes[ino].dir)
		return E_NOTFOUND;
	all = entries_copy(&cur->view);	/* each() may change it */
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
	if (!resolve(cur, path, &e))
		return E_NOTFOUND;
	if (e.ino < 0) {
		e.ino = inode_new(cur, false);
		dir_change(cur, NULL, &e);
	}
	for (int i = 0; i < cur->nhandles; i++)
		if (cur->handles[i].ino == e.ino && cur->handles[i].lock)
			return E_BUSY;
	*fd = handle_new(e.ino, true, true);
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
	.resident	= sim_resident,
	.unlink		= sim_unlink,
	.rename		= sim_rename,
	.mkdir		= sim_mkdir,
	.rmdir		= sim_rmdir,
	.sync_dir	= sim_sync_dir,
	.list		= sim_list,
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
		else if ((int)(rnd(d) % 4) < keep)
			survive(d, &i->stable, &i->changes[n]);
	/* The size can be out without the data. */
	if (keep > 0 && i->nchanges > 0 && i->view.size > i->stable.size &&
	    rnd(d) % 4 == 0)
		content_resize(&i->stable, i->view.size);
	changes_forget(i);
	blob_free(i->view.b);
	i->view = content_ref(i->stable);
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
	keep_writes = seed < 4 ? writes[seed] : (int)(rnd(d) % 5);
	keep_names = seed < 4 ? names[seed] : (int)(rnd(d) % 5);
	for (int i = 0; i < d->ninodes; i++)
		crash_file(d, &d->inodes[i], keep_writes);
	for (int i = 0; i < d->ndirs; i++)
		if ((int)(rnd(d) % 4) < keep_names)
			dir_change_apply(&d->stable, &d->dirs[i]);
	d->ndirs = 0;
	free(d->view.v);
	d->view = entries_copy(&d->stable);
}

const uint8_t *
sim_bytes(const struct sim *d, const char *path, size_t *n)
{
	int ino = lookup(d, path);
	const struct content *c;

	if (ino < 0 || d->inodes[ino].dir)
		return NULL;
	c = &d->inodes[ino].view;
	*n = (size_t)c->size;
	return c->b == NULL ? (const uint8_t *)"" : c->b->p;
}

void
sim_put(struct sim *d, const char *path, const void *p, size_t n)
{
	struct entry e;

	if (!resolve(d, path, &e))
		ASSERT(!"sim_put: no such directory");
	if (p == NULL) {
		entries_del(&d->view, &e);
		entries_del(&d->stable, &e);
		return;
	}
	if (e.ino < 0)
		e.ino = inode_new(d, false);
	entries_set(&d->view, &e);
	entries_set(&d->stable, &e);
	changes_forget(&d->inodes[e.ino]);
	blob_free(d->inodes[e.ino].view.b);
	blob_free(d->inodes[e.ino].stable.b);
	d->inodes[e.ino].view = content_of(p, (int64_t)n);
	d->inodes[e.ino].stable = content_ref(d->inodes[e.ino].view);
}

static uint64_t
hash_bytes(uint64_t h, const void *v, size_t n)
{
	const uint8_t *p = v;

	while (n-- > 0)
		h = (h ^ *p++) * 0x100000001b3u;	/* FNV-1a */
	return h;
}

static uint64_t
hash_dir(const struct sim *d, int dir)
{
	uint64_t sum = 0;	/* the order of names means nothing */

	for (int i = 0; i < d->view.n; i++) {
		const struct entry *e = &d->view.v[i];
		const struct inode *o = &d->inodes[e->ino];
		uint64_t h = hash_bytes(0xcbf29ce484222325u, e->name,
		    strlen(e->name) + 1), x;

		if (e->dir != dir)
			continue;
		if (o->dir) {
			x = hash_dir(d, e->ino);
			h = hash_bytes(h, &x, sizeof x);
		} else if (o->view.size > 0)
			h = hash_bytes(h, o->view.b->p, (size_t)o->view.size);
		sum += h;
	}
	return sum;
}

uint64_t
sim_hash(const struct sim *d, const char *path)
{
	int ino = lookup(d, path);

	return ino < 0 ? 0 : hash_dir(d, ino);
}

int
sim_open_handles(const struct sim *d)
{
	int n = 0;

	for (int i = 0; i < d->nhandles; i++)
		n += d->handles[i].ino >= 0;
	return n;
}
