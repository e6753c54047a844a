/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of files in memory, over a disk.  What is written as the file has it
 * already is not kept, so a replay of what had reached its files costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "shadow.h"

/* Bytes over a file; later ones hide earlier ones. */
struct range {
	struct range	*next;
	int64_t		 pos, n;
	uint8_t		*p;
};

struct hidden {
	struct hidden	*next;
	struct range	*first, **tail, *last;
	int64_t		 below, size;	/* of the file; with the ranges */
	char		 path[];
};

/* A handle of a file that has ranges. */
struct handle {
	struct handle	*next;
	struct hidden	*file;
	int		 fd;
};

static const struct disk *below;
static struct hidden *files;
static struct handle *handles;

static struct hidden *
file_of(int fd)
{
	const struct handle *h = handles;

	while (h != NULL && h->fd != fd)
		h = h->next;
	return h == NULL ? NULL : h->file;
}

static struct hidden *
file_named(const char *path)
{
	struct hidden *f = files;

	while (f != NULL && strcmp(f->path, path) != 0)
		f = f->next;
	return f;
}

static struct hidden *
file_add(const char *path, int64_t size)
{
	size_t n = strlen(path) + 1;
	struct hidden *f = calloc(1, sizeof *f + n);

	if (f == NULL)
		return NULL;
	memcpy(f->path, path, n);
	f->tail = &f->first;
	f->below = f->size = size;
	f->next = files;
	files = f;
	return f;
}

/* ---- the table ---------------------------------------------------------- */

static enum err
shadow_open(const char *path, enum disk_mode mode, int *fd)
{
	struct hidden *f = file_named(path);
	struct disk_stat st;
	struct handle *h;
	enum err e;

	if (mode == DISK_CREATE || mode == DISK_CREATE_NEW)
		return E_USAGE;
	if ((e = below->open(path, DISK_READ, fd)) != E_OK ||
	    (f == NULL && mode == DISK_READ))
		return e;
	e = f == NULL ? below->fstat(*fd, &st) : E_OK;
	if (e == E_OK && f == NULL && (f = file_add(path, st.size)) == NULL)
		e = E_NOMEM;
	h = e == E_OK ? malloc(sizeof *h) : NULL;
	if (h == NULL) {
		below->close(*fd);
		return e == E_OK ? E_NOMEM : e;
	}
	*h = (struct handle){ handles, f, *fd };
	handles = h;
	return E_OK;
}

static void
shadow_close(int fd)
{
	for (struct handle **h = &handles; *h != NULL; h = &(*h)->next)
		if ((*h)->fd == fd) {
			struct handle *gone = *h;

			*h = gone->next;
			free(gone);
			break;
		}
	below->close(fd);
}

/* Puts what the range has of [pos, pos + n) into p. */
static void
range_show(const struct range *r, uint8_t *p, size_t n, int64_t pos)
{
	int64_t from = r->pos > pos ? r->pos : pos;
	int64_t end = pos + (int64_t)n, till = r->pos + r->n;

	if (till > end)
		till = end;
	if (from < till)
		memcpy(p + (from - pos), r->p + (from - r->pos),
		    (size_t)(till - from));
}

static enum err
shadow_pread(int fd, void *p, size_t n, int64_t pos, size_t *got)
{
	const struct hidden *f = file_of(fd);
	enum err e = below->pread(fd, p, n, pos, got);
	size_t have = 0;

	if (e != E_OK || f == NULL || f->first == NULL)
		return e;
	if (f->size > pos)
		have = (uint64_t)(f->size - pos) < n ?
		    (size_t)(f->size - pos) : n;
	if (have > *got) {
		memset((uint8_t *)p + *got, 0, have - *got);
		*got = have;
	}
	for (const struct range *r = f->first; r != NULL; r = r->next)
		range_show(r, p, *got, pos);
	return E_OK;
}

/* Is that what is there? */
static enum err
same(int fd, const struct iovec *v, int64_t pos, bool *is)
{
	uint8_t *p = malloc(v->iov_len + 1);
	size_t got = 0;
	enum err e = p == NULL ? E_NOMEM :
	    shadow_pread(fd, p, v->iov_len, pos, &got);

	*is = e == E_OK && got == v->iov_len &&
	    memcmp(p, v->iov_base, got) == 0;
	free(p);
	return e;
}

static enum err
keep(struct hidden *f, const struct iovec *v, int64_t pos)
{
	struct range *r = f->last;
	size_t had = 0;
	uint8_t *p;

	if (r != NULL && r->pos + r->n == pos)
		had = (size_t)r->n;
	else if ((r = calloc(1, sizeof *r)) == NULL)
		return E_NOMEM;
	if ((p = realloc(r->p, had + v->iov_len)) == NULL) {
		if (had == 0)
			free(r);
		return E_NOMEM;
	}
	memcpy(p + had, v->iov_base, v->iov_len);
	r->p = p;
	r->n = (int64_t)(had + v->iov_len);
	if (had == 0) {
		r->pos = pos;
		*f->tail = f->last = r;
		f->tail = &r->next;
	}
	if (r->pos + r->n > f->size)
		f->size = r->pos + r->n;
	return E_OK;
}

static enum err
shadow_pwritev(int fd, struct iovec *iov, int n, int64_t pos)
{
	struct hidden *f = file_of(fd);
	enum err e = f == NULL ? E_USAGE : E_OK;

	for (int i = 0; e == E_OK && i < n; i++) {
		bool is = false;

		if (iov[i].iov_len == 0)
			continue;
		e = same(fd, &iov[i], pos, &is);
		if (e == E_OK && !is)
			e = keep(f, &iov[i], pos);
		pos += (int64_t)iov[i].iov_len;
	}
	return e;
}

static enum err
shadow_fstat(int fd, struct disk_stat *st)
{
	const struct hidden *f = file_of(fd);
	enum err e = below->fstat(fd, st);

	if (e == E_OK && f != NULL)
		st->size = f->size;
	return e;
}

static enum err
shadow_stat(const char *path, struct disk_stat *st)
{
	const struct hidden *f = file_named(path);
	enum err e = below->stat(path, st);

	if (e == E_OK && f != NULL)
		st->size = f->size;
	return e;
}

static bool
shadow_resident(int fd, int64_t pos, int64_t n)
{
	return below->resident(fd, pos, n);
}

static void
shadow_readahead(int fd, bool on)
{
	below->readahead(fd, on);
}

static void
shadow_drop_ahead(int fd, int64_t pos, int64_t n)
{
	below->drop_ahead(fd, pos, n);
}

static void
shadow_prefetch(int fd, int64_t pos, int64_t n)
{
	below->prefetch(fd, pos, n);
}

static enum err
shadow_list(const char *path, int (*each)(const char *, void *), void *arg)
{
	return below->list(path, each, arg);
}

static enum err
shadow_space(const char *path, int64_t *total, int64_t *usable)
{
	return below->space(path, total, usable);
}

/* ---- what is refused, or has no meaning --------------------------------- */

static enum err
none_fd(int fd)
{
	(void)fd;
	return E_OK;
}

static enum err
no_truncate(int fd, int64_t size)
{
	(void)fd;
	(void)size;
	return E_USAGE;
}

static enum err
no_reserve(int fd, int64_t pos, int64_t n)
{
	(void)fd;
	(void)pos;
	(void)n;
	return E_USAGE;
}

static enum err
no_path(const char *path)
{
	(void)path;
	return E_USAGE;
}

static enum err
no_paths(const char *from, const char *to)
{
	(void)from;
	(void)to;
	return E_USAGE;
}

static enum err
no_lock(const char *path, int *fd)
{
	(void)path;
	(void)fd;
	return E_USAGE;
}

static const struct disk shadow_disk = {
	.open = shadow_open,
	.close = shadow_close,
	.pread = shadow_pread,
	.pread_now = shadow_pread,
	.pwritev = shadow_pwritev,
	.datasync = none_fd,
	.sync = none_fd,
	.syncfs = none_fd,
	.truncate = no_truncate,
	.reserve = no_reserve,
	.stat = shadow_stat,
	.fstat = shadow_fstat,
	.drop_cache = none_fd,
	.readahead = shadow_readahead,
	.drop_ahead = shadow_drop_ahead,
	.prefetch = shadow_prefetch,
	.resident = shadow_resident,
	.unlink = no_path,
	.rename = no_paths,
	.link = no_paths,
	.mkdir = no_path,
	.rmdir = no_path,
	.sync_dir = no_path,
	.list = shadow_list,
	.space = shadow_space,
	.lock = no_lock,
};

/* ---- exported ----------------------------------------------------------- */

void
shadow_begin(void)
{
	ASSERT(below == NULL);
	below = disk;
	disk = &shadow_disk;
}

void
shadow_each(void (*each)(const char *, int64_t, int64_t, int64_t, void *),
    void *arg)
{
	for (const struct hidden *f = files; f != NULL; f = f->next)
		for (const struct range *r = f->first; r != NULL; r = r->next)
			each(f->path, r->pos, r->n, f->below, arg);
}

void
shadow_end(void)
{
	struct hidden *f;
	struct range *r;

	if (below == NULL)
		return;
	ASSERT(handles == NULL);
	disk = below;
	below = NULL;
	while ((f = files) != NULL) {
		files = f->next;
		while ((r = f->first) != NULL) {
			f->first = r->next;
			free(r->p);
			free(r);
		}
		free(f);
	}
}
