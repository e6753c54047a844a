/* SPDX-License-Identifier: Apache-2.0 */
/* See cache.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "lib/crc32c.h"

#define MAGIC	"CHRONFSI"

enum { CACHE_VERSION = 1, HEADER = 72, ROW = 24, BLOCKS_MAX = 16 * MIB };

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
put_header(struct wr *w, const struct cache_key *k, int64_t text, int n)
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
}

/* All of a file that is not too large. */
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
	    st.st_size >= HEADER + 4 &&
	    st.st_size <= HEADER + 4 + (int64_t)BLOCKS_MAX * ROW &&
	    (p = wr_room(w, (size_t)st.st_size)) != NULL)
		n = read(fd, p, (size_t)st.st_size);
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
cache_load(const struct cache_key *k, int64_t *text, struct block **blocks,
    int *n)
{
	struct wr w = wr_grow((size_t)HEADER + 4 + (size_t)BLOCKS_MAX * ROW);
	struct wr want = wr_grow(KIB);
	struct rd r;
	enum err e = slurp(k->path, &w);

	*blocks = NULL;
	if (e == E_OK && crc32c(0, w.p, w.len - 4) != be32(w.p + w.len - 4))
		e = E_CORRUPT;
	if (e == E_OK) {
		*text = (int64_t)be64(w.p + 60);
		*n = (int)be32(w.p + 68);
		put_header(&want, k, *text, *n);
		if (*n < 0 || *text < 0 || want.bad ||
		    memcmp(want.p, w.p, HEADER) != 0 ||
		    w.len != HEADER + 4 + (size_t)*n * ROW)
			e = E_CORRUPT;
	}
	if (e == E_OK) {
		*blocks = calloc((size_t)*n + 1, sizeof **blocks);
		r = rd_of(w.p + HEADER, w.len - HEADER - 4);
		e = *blocks == NULL ? E_NOMEM :
		    take(&r, k, *text, *blocks, *n) ? E_OK : E_CORRUPT;
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

enum err
cache_save(const struct cache_key *k, int64_t text, const struct block *v,
    int n)
{
	struct wr w = wr_grow((size_t)HEADER + 4 + (size_t)BLOCKS_MAX * ROW);
	uint8_t *crc;
	char *temp;
	enum err e;

	put_header(&w, k, text, n);
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
	return e;
}

void
cache_drop(const struct cache_key *k)
{
	(void)!unlink(k->path);
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
