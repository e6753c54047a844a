/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping what recovery cuts off.  The copy is synced before the caller cuts,
 * and half a copy does not stay: it would fill the disk that may be full.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lost.h"

#define COPY_BUF	(256 * KIB)
#define NAMES_MAX	1000	/* of one name */

static void
lost_path(const char *lost, const struct seg *s, int64_t pos, int try,
    char *path)
{
	char hex[33], dot[16] = "";
	int n;

	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", s->id.topic.b[i]);
	if (try > 0)
		snprintf(dot, sizeof dot, ".%d", try);
	n = snprintf(path, PATH_SIZE, "%s/%s-%d-%lld-%lld%s", lost, hex,
	    (int)s->id.part, (long long)s->base, (long long)pos, dot);
	ASSERT(n > 0 && n < PATH_SIZE);
}

/* Walks [pos, size) of the segment's file; each gets the bytes and where they
 * lie from pos on, and ends the walk with what is not E_OK. */
static enum err
tail_walk(struct seg *s, int64_t pos,
    enum err (*each)(void *arg, uint8_t *p, size_t n, int64_t at), void *arg)
{
	uint8_t *buf = malloc(COPY_BUF);
	int64_t from = pos;
	enum err err = buf == NULL ? E_NOMEM : E_OK;
	size_t got;
	int fd;

	if (err == E_OK)
		err = seg_fd(s, &fd);
	for (; err == E_OK && pos < s->size; pos += (int64_t)got) {
		size_t n = s->size - pos < COPY_BUF ? (size_t)(s->size - pos) :
		    COPY_BUF;

		err = disk->pread(fd, buf, n, pos, &got);
		if (err == E_OK && got < n)
			err = E_IO;	/* the file became shorter */
		if (err == E_OK)
			err = each(arg, buf, n, pos - from);
	}
	free(buf);
	return err;
}

static enum err
is_zero(void *arg, uint8_t *p, size_t n, int64_t at)
{
	(void)arg;
	(void)at;
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0 ? E_OK : E_EOF;
}

static enum err
copy(void *arg, uint8_t *p, size_t n, int64_t at)
{
	struct iovec iov = { p, n };

	return disk->pwritev(*(int *)arg, &iov, 1, at);
}

static enum err
is_same(void *arg, uint8_t *p, size_t n, int64_t at)
{
	uint8_t *own = malloc(n);
	enum err err;
	size_t got;

	if (own == NULL)
		return E_NOMEM;
	err = disk->pread(*(int *)arg, own, n, at, &got);
	if (err == E_OK && (got < n || memcmp(own, p, n) != 0))
		err = E_EOF;
	free(own);
	return err;
}

/* A file that an earlier recovery left before it crashed may be the same:
 * E_OK; E_BUSY when it is another. */
static enum err
kept_already(struct seg *s, int64_t pos, const char *path)
{
	struct disk_stat st;
	enum err err;
	int fd;

	if ((err = disk->open(path, DISK_WRITE, &fd)) != E_OK)
		return err;
	err = disk->fstat(fd, &st);
	if (err == E_OK && st.size != s->size - pos)
		err = E_BUSY;
	if (err == E_OK)
		err = tail_walk(s, pos, is_same, &fd);
	if (err == E_EOF)
		err = E_BUSY;
	if (err == E_OK)
		err = disk->sync(fd);
	disk->close(fd);
	return err;
}

enum err
lost_keep(const char *lost, struct seg *s, int64_t pos, char *path)
{
	enum err err;
	int fd;

	lost_path(lost, s, pos, 0, path);
	err = tail_walk(s, pos, is_zero, NULL);
	if (err != E_EOF)
		return err;
	if ((err = disk->mkdir(lost)) != E_OK)
		return err;
	for (int try = 0; try < NAMES_MAX; try++) {
		lost_path(lost, s, pos, try, path);
		err = disk->open(path, DISK_CREATE_NEW, &fd);
		if (err != E_BUSY)
			break;
		err = kept_already(s, pos, path);
		if (err == E_OK)
			return disk->sync_dir(lost);
		if (err != E_BUSY)
			return err;
	}
	if (err != E_OK)
		return err;
	if ((err = tail_walk(s, pos, copy, &fd)) == E_OK)
		err = disk->sync(fd);
	disk->close(fd);
	if (err != E_OK) {
		(void)disk->unlink(path);
		return err;
	}
	return disk->sync_dir(lost);
}

enum err
lost_move(const char *lost, struct seg *s, char *path)
{
	struct disk_stat st;
	enum err err;
	int fd;

	lost_path(lost, s, 0, 0, path);
	if ((err = disk->mkdir(lost)) != E_OK)
		return err;
	for (int try = 0; err == E_OK && try < NAMES_MAX; try++) {
		lost_path(lost, s, 0, try, path);
		err = disk->stat(path, &st);
	}
	if (err != E_NOTFOUND)
		return err == E_OK ? E_BUSY : err;
	err = seg_fd(s, &fd);
	if (err == E_OK)
		err = disk->datasync(fd);
	if (err == E_OK)
		err = disk->rename(s->path, path);
	return err == E_OK ? disk->sync_dir(lost) : err;
}
