/* SPDX-License-Identifier: Apache-2.0 */
/* See cache.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "lib/batch.h"
#include "lib/crc32c.h"

#define MAGIC	"CHRONFSI"

enum {
	CACHE_VERSION	= 2,
	HEADER		= 76,
	ROW		= 24,
	BLOCKS_MAX	= 16 * MIB,
	MARKS		= 16,		/* batches that are looked at */
};

enum err
cache_key_of(const struct fs *fs, const struct tseg *s, struct cache_key *k)
{
	const struct topic *t = s->part->topic;
	struct kstr cluster = elink_hello(fs->link)->cluster_id;
	char id[33];

	*k = (struct cache_key){ .render = render_id(&fs->conf.render),
	    .topic = t->id, .part = s->part->index, .base = s->base,
	    .end = s->end, .bytes = s->bytes };
	for (int i = 0; i < 16; i++)
		snprintf(id + 2 * i, 3, "%02x", t->id.b[i]);
	/* A cluster's id is letters, digits, '-' and '_'. */
	for (int32_t i = 0; i < cluster.len; i++)
		if (cluster.p[i] == '/' || cluster.p[i] == '.')
			return E_PROTO;
	if (asprintf(&k->path, "%s/%.*s/%s/%d/%020lld-%x.sizes",
	    fs->conf.cache, cluster.len < 0 ? 0 : cluster.len,
	    cluster.len < 0 ? "" : cluster.p, id, k->part,
	    (long long)k->base, k->render) < 0) {
		k->path = NULL;
		return E_NOMEM;
	}
	return E_OK;
}

static void
put_header(struct wr *w, const struct cache_key *k, int64_t text, int n,
    uint32_t mark)
{
	wr_bytes(w, MAGIC, 8);
	wr_i32(w, CACHE_VERSION);
	wr_i32(w, (int32_t)k->render);
	wr_bytes(w, k->topic.b, 16);
	wr_i32(w, k->part);
	wr_i64(w, k->base);
	wr_i64(w, k->end);
	wr_i64(w, k->bytes);
	wr_i64(w, text);
	wr_i32(w, n);
	wr_i32(w, (int32_t)mark);
}

/* Tells segments apart that have all else in common, as after a backup was put
 * back.  False: it cannot be, or blocks do not begin with batches. */
static bool
mark_of(int fd, const struct block *v, int n, uint32_t *mark)
{
	uint8_t p[BATCH_HEADER];
	int some = n < MARKS ? n : MARKS;

	*mark = 0;
	for (int i = 0; i < some; i++) {
		const struct block *b = &v[(int64_t)i * n / some];

		if (pread(fd, p, sizeof p, b->pos) != sizeof p ||
		    (int64_t)be64(p) != b->off)
			return false;
		*mark = crc32c(*mark, p, sizeof p);
	}
	return true;
}

/* All of a file of ours that is not too large. */
static enum err
slurp(const char *path, struct wr *w)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n = -1;
	uint8_t *p;

	if (fd < 0)
		return errno == ENOENT ? E_NOTFOUND : err_of_errno(errno);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	    st.st_size >= HEADER + 4 &&
	    st.st_size <= HEADER + 4 + (int64_t)BLOCKS_MAX * ROW &&
	    (p = wr_room(w, (size_t)st.st_size)) != NULL)
		n = read(fd, p, (size_t)st.st_size);
	(void)!futimens(fd, NULL);	/* used last */
	close(fd);
	return n >= 0 && n == st.st_size ? E_OK : E_CORRUPT;
}

/* Blocks rise, within the log and the text. */
static bool
take(struct rd *r, const struct cache_key *k, int64_t text, struct block *v,
    int n)
{
	for (int i = 0; i < n; i++) {
		v[i].off = rd_i64(r);
		v[i].pos = rd_i64(r);
		v[i].text = rd_i64(r);
		if (v[i].off < k->base || v[i].off >= k->end ||
		    v[i].pos < 0 || v[i].pos >= k->bytes ||
		    v[i].text < 0 || v[i].text > text ||
		    (i == 0 && (v[i].text != 0 || v[i].pos != 0)) ||
		    (i > 0 && (v[i].off <= v[i - 1].off ||
		    v[i].pos <= v[i - 1].pos ||
		    v[i].text < v[i - 1].text)))
			return false;
	}
	return rd_done(r);
}

enum err
cache_load(const struct cache_key *k, int fd, int64_t *text,
    struct block **blocks, int *n)
{
	struct wr w = wr_grow((size_t)HEADER + 4 + (size_t)BLOCKS_MAX * ROW);
	struct wr want = wr_grow(KIB);
	struct rd r;
	enum err e = slurp(k->path, &w);
	uint32_t mark = 0, now;

	*blocks = NULL;
	if (e == E_OK && crc32c(0, w.p, w.len - 4) != be32(w.p + w.len - 4))
		e = E_CORRUPT;
	if (e == E_OK) {
		*text = (int64_t)be64(w.p + 60);
		*n = (int)be32(w.p + 68);
		mark = be32(w.p + 72);
		put_header(&want, k, *text, *n, mark);
		if (*n < 0 || *text < 0 || want.bad ||
		    memcmp(want.p, w.p, HEADER) != 0 ||
		    w.len != HEADER + 4 + (size_t)*n * ROW)
			e = E_CORRUPT;
	}
	if (e == E_OK) {
		*blocks = calloc((size_t)*n + 1, sizeof **blocks);
		r = rd_of(w.p + HEADER, w.len - HEADER - 4);
		e = *blocks == NULL ? E_NOMEM :
		    take(&r, k, *text, *blocks, *n) &&
		    mark_of(fd, *blocks, *n, &now) && now == mark ? E_OK :
		    E_CORRUPT;
	}
	if (e != E_OK) {
		free(*blocks);
		*blocks = NULL;
	}
	wr_free(&want);
	wr_free(&w);
	return e;
}

/* The directories above a path. */
static void
make_dirs(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)!mkdir(path, 0700);
		*p = '/';
	}
}

static enum err
spill(const char *path, const struct wr *w)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	ssize_t n;

	if (fd < 0)
		return err_of_errno(errno);
	n = write(fd, w->p, w->len);
	if (close(fd) != 0 || n != (ssize_t)w->len)
		return E_IO;
	return E_OK;
}

/* The base of the segment that a name is of; -1 if it is no name of ours. */
static int64_t
base_of(const char *name)
{
	int64_t base;
	unsigned render;
	int used = 0;

	if (sscanf(name, "%20" SCNd64 "-%8x.sizes%n", &base, &render,
	    &used) != 2 || used == 0 || base < 0)
		return -1;
	/* Or one that is being written, or was when somebody died. */
	return name[used] == '\0' || name[used] == '.' ? base : -1;
}

/* What is there of segments that are no more. */
static void
drop_older(const char *path, int64_t first)
{
	char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));
	DIR *d = dir == NULL ? NULL : opendir(dir);
	struct dirent *e;
	int64_t base;

	while (d != NULL && (e = readdir(d)) != NULL)
		if ((base = base_of(e->d_name)) >= 0 && base < first)
			(void)!unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	free(dir);
}

enum err
cache_save(const struct cache_key *k, int fd, int64_t text,
    const struct block *v, int n, int64_t first)
{
	struct wr w = wr_grow((size_t)HEADER + 4 + (size_t)BLOCKS_MAX * ROW);
	uint32_t mark;
	uint8_t *crc;
	char *temp;
	enum err e;

	if (!mark_of(fd, v, n, &mark))
		return E_IO;
	put_header(&w, k, text, n, mark);
	for (int i = 0; i < n; i++) {
		wr_i64(&w, v[i].off);
		wr_i64(&w, v[i].pos);
		wr_i64(&w, v[i].text);
	}
	crc = wr_room(&w, 4);
	if (crc == NULL || asprintf(&temp, "%s.%d", k->path, getpid()) < 0) {
		wr_free(&w);
		return E_NOMEM;
	}
	be32_put(crc, crc32c(0, w.p, w.len - 4));
	make_dirs(temp);
	(void)!unlink(temp);	/* of a process of that number, long ago */
	e = spill(temp, &w);
	if (e == E_OK && rename(temp, k->path) != 0)
		e = err_of_errno(errno);
	if (e != E_OK)
		(void)!unlink(temp);
	free(temp);
	wr_free(&w);
	drop_older(k->path, first);
	return e;
}

/* ---- bounds ------------------------------------------------------------- */

struct swept {
	char	*path;
	int64_t	 used, bytes;
};

static int
by_use(const void *a, const void *b)
{
	const struct swept *x = a, *y = b;

	return (x->used > y->used) - (x->used < y->used);
}

/* Notes a file; one that is too old, or one too many, goes at once. */
static void
sweep_file(struct wr *found, const FTSENT *f)
{
	const struct stat *st = f->fts_statp;
	struct swept x = { NULL, st->st_mtime, st->st_blocks * 512 };

	if (x.bytes < st->st_size)
		x.bytes = st->st_size;
	if (x.used < elink_wall_ms() / 1000 - CACHE_DAYS_MAX * 86400 ||
	    (x.path = strdup(f->fts_path)) == NULL) {
		(void)!unlink(f->fts_path);
		return;
	}
	wr_bytes(found, &x, sizeof x);
	if (found->bad) {
		(void)!unlink(x.path);
		free(x.path);
	}
}

/* Only what has our names, in the depth where ours are, and no link is
 * followed.  Directories go when they are empty. */
void
cache_sweep(const char *dir)
{
	char *roots[] = { (char *)dir, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV,
	    NULL);
	struct wr found = wr_grow(SWEPT_MAX * sizeof(struct swept));
	struct swept *v;
	int64_t bytes = 0;
	FTSENT *f;
	size_t n;

	while (fts != NULL && (f = fts_read(fts)) != NULL) {
		if (f->fts_info == FTS_F && f->fts_level == 4 &&
		    base_of(f->fts_name) >= 0)
			sweep_file(&found, f);
		else if (f->fts_info == FTS_DP && f->fts_level > 0)
			(void)!rmdir(f->fts_path);
		else if (f->fts_info == FTS_D && f->fts_level > 3)
			fts_set(fts, f, FTS_SKIP);
	}
	if (fts != NULL)
		fts_close(fts);
	v = (struct swept *)(void *)found.p;
	n = found.len / sizeof *v;
	if (n > 0)
		qsort(v, n, sizeof *v, by_use);
	for (size_t i = n; i-- > 0;) {
		bytes += v[i].bytes;
		if (bytes > CACHE_BYTES_MAX)
			(void)!unlink(v[i].path);
		free(v[i].path);
	}
	wr_free(&found);
}

void
cache_drop(const struct cache_key *k)
{
	(void)!unlink(k->path);
}

int
cache_temp(const char *dir)
{
	int flags = O_TMPFILE | O_RDWR | O_CLOEXEC, fd = open(dir, flags, 0600);
	char *below;

	if (fd >= 0 || errno != ENOENT || asprintf(&below, "%s/x", dir) < 0)
		return fd;
	make_dirs(below);
	free(below);
	return open(dir, flags, 0600);
}

char *
cache_dir_default(void)
{
	const char *dir = getenv("CACHE_DIRECTORY"), *home = getenv("HOME");
	const char *xdg = getenv("XDG_CACHE_HOME");
	char *path = NULL;

	/* As systemd gives it to a service. */
	if (dir != NULL && *dir == '/')
		return strdup(dir);
	if (xdg != NULL && *xdg == '/') {
		if (asprintf(&path, "%s/chronik-fs", xdg) < 0)
			return NULL;
	} else if (home != NULL && *home == '/' &&
	    asprintf(&path, "%s/.cache/chronik-fs", home) < 0)
		return NULL;
	return path;
}
