/* SPDX-License-Identifier: Apache-2.0 */
/* Directories and small files of an index. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "shard.h"

enum { TREE_FDS = 16, TEXT_MAX = 16 * MIB };

static int
remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

enum err
tree_remove(const char *path)
{
	if (nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS) == 0 ||
	    errno == ENOENT)
		return E_OK;
	return err_of_errno(errno);
}

static enum err
sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err e = E_OK;

	if (fd == -1)
		return err_of_errno(errno);
	if (fsync(fd) != 0)
		e = err_of_errno(errno);
	close(fd);
	return e;
}

enum err
tree_make(const char *path)
{
	char buf[SHARD_PATH];
	enum err e;

	snprintf(buf, sizeof buf, "%s", path);
	for (char *s = buf + 1; ; s++) {
		char c = *s, *slash;

		if (c != '/' && c != '\0')
			continue;
		*s = '\0';
		if (mkdir(buf, 0700) == 0) {
			slash = strrchr(buf, '/');
			if (slash != NULL && slash != buf)
				*slash = '\0';
			e = sync_dir(slash == NULL ? "." :
			    slash == buf ? "/" : buf);
			if (slash != NULL && slash != buf)
				*slash = '/';
			if (e != E_OK)
				return e;
		} else if (errno != EEXIST)
			return err_of_errno(errno);
		if (c == '\0')
			return E_OK;
		*s = c;
	}
}

enum err
file_put(const char *dir, const char *name, const char *text)
{
	char path[SHARD_PATH], tmp[SHARD_PATH + 8];
	size_t n = strlen(text);
	enum err e = E_OK;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_of_errno(errno);
	errno = ENOSPC;
	if (write(fd, text, n) != (ssize_t)n || fsync(fd) != 0)
		e = err_of_errno(errno);
	if (close(fd) != 0 && e == E_OK)
		e = err_of_errno(errno);
	if (e == E_OK && rename(tmp, path) != 0)
		e = err_of_errno(errno);
	if (e != E_OK) {
		unlink(tmp);
		return e;
	}
	return sync_dir(dir);
}

char *
file_text(const char *dir, const char *name)
{
	char path[SHARD_PATH], *out;
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	out = fstat(fd, &st) != 0 || st.st_size > TEXT_MAX ? NULL :
	    calloc(1, (size_t)st.st_size + 1);
	n = out == NULL ? 0 : read(fd, out, (size_t)st.st_size);
	close(fd);
	if (out != NULL && n != st.st_size) {
		free(out);
		return NULL;
	}
	return out;
}

static _Thread_local int64_t tree_sum;

static int
add_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type == FTW_F)
		tree_sum += st->st_size;
	return 0;
}

int64_t
tree_bytes(const char *path)
{
	tree_sum = 0;
	nftw(path, add_one, TREE_FDS, FTW_PHYS);
	return tree_sum;
}
