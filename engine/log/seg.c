/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: names, files, references, and the walk over batch headers.  What
 * a segment's bytes mean beyond their headers is recover.c's business.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "files.h"
#include "lib/log.h"
#include "seg.h"

#define WALK_BUF	(64 * KIB)
#define WALK_SKIP	4096	/* read so much to step over a large batch */
#define AHEAD_FROM	(4 * MIB) /* smaller ones grow as they are written */
#define AHEAD_MAX	(16 * MIB)

void
log_dir(const char *data, const struct log_id *id, char *dir)
{
	static const char hex[] = "0123456789abcdef";
	static const struct uuid none;
	int n = snprintf(dir, PATH_SIZE, "%.4000s/", data);

	if (uuid_eq(id->topic, none)) {
		snprintf(dir + n, (size_t)(PATH_SIZE - n), "meta");
		return;
	}
	n += snprintf(dir + n, (size_t)(PATH_SIZE - n), "topics/");
	for (int i = 0; i < 16; i++) {
		dir[n++] = hex[id->topic.b[i] >> 4];
		dir[n++] = hex[id->topic.b[i] & 15];
	}
	snprintf(dir + n, (size_t)(PATH_SIZE - n), "/%d", (int)id->part);
}

void
seg_path(char *buf, const char *dir, int64_t base, const char *ext)
{
	int n = snprintf(buf, PATH_SIZE, "%s/%0*lld%s", dir, BASE_DIGITS,
	    (long long)base, ext);

	ASSERT(base >= 0 && n > 0 && n < PATH_SIZE);
}

bool
seg_name(const char *name, const char *ext, int64_t *base)
{
	int64_t x = 0;

	for (int i = 0; i < BASE_DIGITS; i++)
		if (name[i] < '0' || name[i] > '9' ||
		    __builtin_mul_overflow(x, 10, &x) ||
		    __builtin_add_overflow(x, name[i] - '0', &x))
			return false;
	*base = x;
	return strcmp(name + BASE_DIGITS, ext) == 0;
}

static atomic_int nopen;
static atomic_uint sync_failures;

int
seg_files_open(void)
{
	return atomic_load(&nopen);
}

void
seg_close(struct seg *s)
{
	if (s->fd < 0)
		return;
	disk->close(s->fd);
	s->fd = -1;
	s->cold_tame = false;
	s->cold_marks = 0;
	atomic_fetch_sub(&nopen, 1);
}

enum err
seg_unlink(const char *dir, int64_t base, const char *ext)
{
	char path[PATH_SIZE];
	enum err e;

	seg_path(path, dir, base, ext);
	e = disk->unlink(path);
	return e == E_NOTFOUND ? E_OK : e;
}

/* Two threads may open it at once: then the first one's stays. */
enum err
seg_fd(struct seg *s, int *fd)
{
	int mine, none = -1;
	enum err err;

	if ((*fd = s->fd) >= 0)
		return E_OK;
	if ((err = disk->open(s->path, DISK_WRITE, &mine)) != E_OK)
		return told_missing(s, err);
	if ((err = told_check(s, mine)) != E_OK) {
		disk->close(mine);
		return err;
	}
	if (atomic_compare_exchange_strong(&s->fd, &none, mine)) {
		atomic_fetch_add(&nopen, 1);
		*fd = mine;
	} else {
		disk->close(mine);
		*fd = none;
	}
	return E_OK;
}

unsigned
seg_sync_failures(void)
{
	return atomic_load(&sync_failures);
}

void
seg_sync_failed(void)
{
	atomic_fetch_add(&sync_failures, 1);
}

enum err
seg_sync(struct seg *s)
{
	int fd;
	enum err e = seg_fd(s, &fd);

	if (e == E_OK && (e = disk->datasync(fd)) != E_OK)
		seg_sync_failed();
	return e;
}

static struct seg *
seg_new(const char *path, const struct log_id *id, int64_t base)
{
	static atomic_uint_fast64_t handles;
	struct seg *s = calloc(1, sizeof *s);

	if (s == NULL || (s->path = strdup(path)) == NULL) {
		free(s);
		return NULL;
	}
	s->fd = -1;
	s->id = *id;
	s->refs = 1;
	s->handle = atomic_fetch_add(&handles, 1) + 1;
	s->base = s->end_offset = s->synced_offset = base;
	s->max_ts = s->first_ts = -1;
	s->made_ms = wall_ms();
	idx_init(&s->idx);
	return s;
}

static void
seg_found(struct seg *s, int64_t size, int64_t written_ns)
{
	s->size = size;
	s->written_ms = written_ns / 1000000;
	trust_init(&s->trust, size);
}

enum err
seg_open(const char *dir, const struct log_id *id, int64_t base, bool create,
    struct seg **out)
{
	char path[PATH_SIZE];
	struct disk_stat st = { 0 };
	struct seg *s;
	enum err err;
	int fd;

	*out = NULL;
	seg_path(path, dir, base, ".log");
	if ((s = seg_new(path, id, base)) == NULL)
		return E_NOMEM;
	if (!create)
		err = disk->stat(path, &st);
	else if ((err = disk->open(path, DISK_CREATE_NEW, &fd)) == E_OK) {
		s->fd = fd;
		atomic_fetch_add(&nopen, 1);
	}
	if (err != E_OK) {
		free(s->path);
		free(s);
		return err;
	}
	seg_found(s, st.size, create ? s->made_ms * 1000000 : st.written_ns);
	*out = s;
	return E_OK;
}

enum err
seg_told(const char *dir, const struct log_id *id, int64_t base,
    const struct told_file *t, struct seg **out)
{
	char path[PATH_SIZE];
	struct seg *s;

	seg_path(path, dir, base, ".log");
	if ((s = *out = seg_new(path, id, base)) == NULL)
		return E_NOMEM;
	seg_found(s, t->size, t->written_ns);
	s->told.dir = told_ref(t->dir);
	s->told.ino = t->ino;
	s->told.size = t->size;
	s->told.written_ns = t->written_ns;
	return E_OK;
}

void
seg_reserve(struct seg *s, int64_t bytes)
{
	int fd;
	enum err e = bytes > 0 ? seg_fd(s, &fd) : E_OK;

	if (bytes > 0 && e == E_OK)
		e = disk->reserve(fd, 0, bytes);
	if (e != E_OK)
		log_warn("segment not preallocated", LS("file", s->path),
		    LI("bytes", bytes), LE(e));
	else
		s->reserved = bytes;
}

void
seg_reserve_ahead(struct seg *s, int64_t pos, int64_t end, int64_t most)
{
	int64_t to = end + (end / 4 < AHEAD_MAX ? end / 4 : AHEAD_MAX);

	if (end <= s->reserved || end < AHEAD_FROM)
		return;
	if (to > most)
		to = end > most ? end : most;
	if (pos < s->reserved)
		pos = s->reserved;
	/* One that fails is not tried again: what is left of the disk is for
	 * bytes. */
	s->reserved = disk->reserve(s->fd, pos, to - pos) == E_OK ? to :
	    INT64_MAX;
}

struct seg *
seg_ref(struct seg *s)
{
	ASSERT(s->refs > 0);
	files_busy(s);
	s->refs++;
	return s;
}

void
seg_unref(struct seg *s)
{
	if (s == NULL)
		return;
	ASSERT(s->refs > 0);
	if (--s->refs == 1)
		files_idle(s);
	if (s->refs > 0)
		return;
	ASSERT(s->files == NULL);
	seg_close(s);
	idx_free(&s->idx);
	trust_free(&s->trust);
	told_unref(s->told.dir);
	free(s->path);
	free(s);
}

enum err
seg_walk(int fd, int64_t pos, int64_t end,
    int (*each)(const struct batch *, int64_t, void *), void *arg,
    int64_t *at)
{
	uint8_t *buf = malloc(WALK_BUF);
	int64_t from = 0, till = 0;	/* what buf holds, in the file */
	size_t want = WALK_BUF, got;
	enum err err = buf == NULL ? E_NOMEM : E_OK;
	struct batch b;

	for (; err == E_OK && pos < end; pos += batch_size(&b)) {
		if (pos < from || pos + BATCH_HEADER > till) {
			/* After a batch that did not fit, its neighbour will
			 * not either: do not read what is only skipped. */
			if (till > from)
				want = pos >= till + WALK_SKIP ? WALK_SKIP :
				    WALK_BUF;
			err = disk->pread(fd, buf, want, pos, &got);
			if (err != E_OK)
				break;
			from = pos;
			till = pos + (int64_t)got;
		}
		if (till - pos < BATCH_HEADER ||
		    batch_read(buf + (pos - from), &b) != E_OK ||
		    batch_size(&b) > end - pos) {
			err = E_CORRUPT;
			break;
		}
		if (each(&b, pos, arg) != 0)
			break;
	}
	*at = pos;
	free(buf);
	return err;
}

void
idx_path(const struct seg *s, char *buf)
{
	size_t n = strlen(s->path);

	ASSERT(n > 4 && n < PATH_SIZE);
	memcpy(buf, s->path, n + 1);
	memcpy(buf + n - 4, ".idx", 5);
}

enum err
seg_idx_load(const struct seg *s, int64_t nfile, int by, int64_t value,
    struct idx_entry *out, int max, int *n)
{
	char path[PATH_SIZE];
	enum err e;

	*n = 0;
	if (atomic_load(&s->stale))
		return E_OK;
	idx_path(s, path);
	e = idx_load(path, &s->id, s->base, nfile, by, value, out, max, n);
	/* It may have been the other one's already. */
	if (atomic_load(&s->stale)) {
		*n = 0;
		e = E_OK;
	}
	return e;
}

void
seg_stale(struct seg *s)
{
	atomic_store(&s->stale, true);
}
