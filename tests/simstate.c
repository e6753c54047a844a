/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a simulated disk: bytes, names, clones; and looks at it that no
 * fault meets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "simstate.h"

struct sim *sim_cur;

void *
sim_grow(void *p, int *cap, int n, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap == 0 ? 8 : *cap * 2;
	p = realloc(p, (size_t)*cap * size);
	ASSERT(p != NULL);
	return p;
}

uint64_t
sim_rnd(struct sim *d)
{
	uint64_t x = d->rng += 0x9e3779b97f4a7c15u;	/* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void
blob_free(struct blob *b)
{
	if (b != NULL && --b->refs == 0)
		free(b);
}

struct content
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

void
content_resize(struct content *c, int64_t size)
{
	if (size < c->size) {
		content_own(c, 0);
		memset(c->b->p + size, 0, (size_t)(c->size - size));
	} else if (size > c->size)
		content_own(c, size);
	c->size = size;
}

void
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

void
change_apply(struct content *c, const struct change *ch)
{
	if (ch->truncate)
		content_resize(c, ch->pos);
	else
		content_write(c, ch->pos, ch->data.b->p, ch->data.size);
}

void
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
	e->v = sim_grow(e->v, &e->cap, e->n, sizeof *e->v);
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

struct entries
entries_copy(const struct entries *e)
{
	struct entries c = { NULL, 0, 0 };

	for (int i = 0; i < e->n; i++) {
		c.v = sim_grow(c.v, &c.cap, c.n, sizeof *c.v);
		c.v[c.n++] = e->v[i];
	}
	return c;
}

void
dir_change_apply(struct entries *e, const struct dir_change *c)
{
	if (c->has_del)
		entries_del(e, &c->del);
	if (c->has_add)
		entries_set(e, &c->add);
}

void
dir_change(struct sim *d, const struct entry *del, const struct entry *add)
{
	struct dir_change c = { .has_del = del != NULL,
	    .has_add = add != NULL };

	if (del != NULL)
		c.del = *del;
	if (add != NULL)
		c.add = *add;
	d->dirs = sim_grow(d->dirs, &d->dirs_cap, d->ndirs, sizeof *d->dirs);
	d->dirs[d->ndirs++] = c;
	dir_change_apply(&d->view, &c);
	if (del != NULL)
		sim_touch(d, &d->inodes[del->dir]);
	if (add != NULL)
		sim_touch(d, &d->inodes[add->dir]);
}

void
sim_touch(struct sim *d, struct inode *i)
{
	i->written_ns = wall_ms() * 1000000 + ++d->stamps % 1000000;
}

int
inode_new(struct sim *d, bool dir)
{
	d->inodes = sim_grow(d->inodes, &d->inodes_cap, d->ninodes,
	    sizeof *d->inodes);
	d->inodes[d->ninodes] = (struct inode){ .dir = dir };
	sim_touch(d, &d->inodes[d->ninodes]);
	d->inodes[d->ninodes].stable_ns = d->inodes[d->ninodes].written_ns;
	return d->ninodes++;
}

/* The directory that holds a path's last name, which is put into e; false
 * when there is no such directory. */
bool
sim_resolve(const struct sim *d, const char *path, struct entry *e)
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

int
sim_lookup(const struct sim *d, const char *path)
{
	struct entry e;

	return sim_resolve(d, path, &e) ? e.ino : -1;
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
			to->changes = sim_grow(to->changes, &to->cap, n,
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
		d->dirs = sim_grow(d->dirs, &d->dirs_cap, i, sizeof *d->dirs);
		d->dirs[i] = from->dirs[i];
	}
	d->handles = NULL;
	d->handles_cap = 0;
	for (int i = 0; i < d->nhandles; i++) {
		d->handles = sim_grow(d->handles, &d->handles_cap, i,
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
	if (sim_cur == d)
		sim_cur = NULL;
	free(d);
}

const uint8_t *
sim_bytes(const struct sim *d, const char *path, size_t *n)
{
	int ino = sim_lookup(d, path);
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

	if (!sim_resolve(d, path, &e))
		ASSERT(!"sim_put: no such directory");
	if (p == NULL || e.ino < 0) {
		sim_touch(d, &d->inodes[e.dir]);
		d->inodes[e.dir].stable_ns = d->inodes[e.dir].written_ns;
	}
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
	sim_touch(d, &d->inodes[e.ino]);
	d->inodes[e.ino].stable_ns = d->inodes[e.ino].written_ns;
}

void
sim_rot(struct sim *d, const char *path, const void *p, size_t n)
{
	struct entry e;
	struct inode *i;
	int64_t ns;

	if (!sim_resolve(d, path, &e) || e.ino < 0)
		ASSERT(!"sim_rot: no such file");
	i = &d->inodes[e.ino];
	ns = i->written_ns;
	sim_put(d, path, p, n);
	i->written_ns = i->stable_ns = ns;
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
	int ino = sim_lookup(d, path);

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
