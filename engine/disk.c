/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real disk: system calls behind the table of disk.h.  Interrupted calls
 * are repeated and short ones continued here, so that nobody else has to; a
 * failed sync is never repeated, by anyone.  What fails is logged here, once,
 * because only here is errno known; answers that a caller asked for (a file
 * that is not there, bytes that are not in memory) are no failures.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "log/format.h"

#define FILE_MODE	0640
#define DIR_MODE	0750
#define PREFETCH_STEP	(512 * KIB)
#define PROBE_BYTES	(512 * KIB)	/* one in so many of counted pages is
					 * looked at */
#define PROBE_ALONE	(64 * KIB)	/* where the kernel cannot count */

static struct disk_stat
stat_of(const struct stat *s)
{
	return (struct disk_stat){ .size = s->st_size,
	    .written_ns = (int64_t)s->st_mtim.tv_sec * 1000000000 +
	    s->st_mtim.tv_nsec, .ino = s->st_ino,
	    .dir = S_ISDIR(s->st_mode) };
}

/* Newer than the C library's headers. */
#ifndef SYS_cachestat
#define SYS_cachestat	451
#endif
struct cachestat_range {
	uint64_t	off, len;
};
struct cachestat {
	uint64_t	cached, dirty, writeback, evicted, recently_evicted;
};

const struct disk *disk = &disk_real;

static enum err
io_fail(const char *op, const char *path, int fd)
{
	int e = errno;

	if (path != NULL)
		log_warn("disk call failed", LS("call", op), LS("path", path),
		    LERRNO(e));
	else
		log_warn("disk call failed", LS("call", op), LI("fd", fd),
		    LERRNO(e));
	return err_of_errno(e);
}

static int
open_again(const char *path, int flags)
{
	int fd;

	do
		fd = openat(AT_FDCWD, path, flags, FILE_MODE);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static enum err
real_open(const char *path, enum disk_mode mode, int *fd)
{
	int flags = O_CLOEXEC | O_NOFOLLOW;

	switch (mode) {
	case DISK_READ:
		flags |= O_RDONLY;
		break;
	case DISK_WRITE:
		flags |= O_RDWR;
		break;
	case DISK_CREATE:
		flags |= O_RDWR | O_CREAT;
		break;
	case DISK_CREATE_NEW:
		flags |= O_RDWR | O_CREAT | O_EXCL;
		break;
	}
	/* A read that notes its time changes the inode, and waits when the
	 * journal of the file system is busy with that: for ever, if the disk
	 * hangs.  Only the owner of a file may ask for this. */
	*fd = open_again(path, flags | O_NOATIME);
	if (*fd < 0 && errno == EPERM)
		*fd = open_again(path, flags);
	if (*fd >= 0)
		return E_OK;
	if (errno == ENOENT)
		return E_NOTFOUND;
	if (errno == EEXIST)
		return E_BUSY;
	return io_fail("open", path, -1);
}

static void
real_close(int fd)
{
	/* Nothing hangs on the result: what matters was synced before. */
	(void)close(fd);
}

static enum err
real_pread(int fd, void *p, size_t n, int64_t pos, size_t *got)
{
	ssize_t r;

	for (*got = 0; *got < n; *got += (size_t)r) {
		r = pread(fd, (char *)p + *got, n - *got < DISK_STEP ?
		    n - *got : DISK_STEP, pos + (int64_t)*got);
		if (r < 0 && errno == EINTR)
			r = 0;
		else if (r < 0)
			return io_fail("pread", NULL, fd);
		else if (r == 0)
			break;
	}
	return E_OK;
}

static enum err
real_pread_now(int fd, void *p, size_t n, int64_t pos, size_t *got)
{
	struct iovec iov;
	ssize_t r;

	for (*got = 0; *got < n; *got += (size_t)r) {
		iov.iov_base = (char *)p + *got;
		iov.iov_len = n - *got;
		r = preadv2(fd, &iov, 1, pos + (int64_t)*got, RWF_NOWAIT);
		if (r < 0 && errno == EINTR)
			r = 0;
		else if (r < 0 && errno == EAGAIN)
			return E_BUSY;
		else if (r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
			return real_pread(fd, p, n, pos, got);
		else if (r < 0)
			return io_fail("preadv2", NULL, fd);
		else if (r == 0)
			break;
	}
	return E_OK;
}

static enum err
real_pwritev(int fd, struct iovec *iov, int n, int64_t pos)
{
	ssize_t r;

	while (n > 0) {
		r = pwritev(fd, iov, n < IOV_MAX ? n : IOV_MAX, pos);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return io_fail("pwritev", NULL, fd);
		pos += r;
		for (; n > 0 && (size_t)r >= iov->iov_len; n--, iov++)
			r -= (ssize_t)iov->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + r;
			iov->iov_len -= (size_t)r;
		}
	}
	return E_OK;
}

/* EINTR is not repeated: the first answer of a sync is the only true one. */
static enum err
real_datasync(int fd)
{
	return fdatasync(fd) == 0 ? E_OK : io_fail("fdatasync", NULL, fd);
}

static enum err
real_sync(int fd)
{
	return fsync(fd) == 0 ? E_OK : io_fail("fsync", NULL, fd);
}

static enum err
real_syncfs(int fd)
{
	return syncfs(fd) == 0 ? E_OK : io_fail("syncfs", NULL, fd);
}

static enum err
real_truncate(int fd, int64_t size)
{
	while (ftruncate(fd, size) != 0)
		if (errno != EINTR)
			return io_fail("ftruncate", NULL, fd);
	return E_OK;
}

static enum err
real_reserve(int fd, int64_t pos, int64_t n)
{
	while (fallocate(fd, FALLOC_FL_KEEP_SIZE, pos, n) != 0) {
		if (errno == EOPNOTSUPP || errno == ENOSYS)
			return E_OK;
		if (errno != EINTR)
			return io_fail("fallocate", NULL, fd);
	}
	return E_OK;
}

static enum err
real_stat(const char *path, struct disk_stat *st)
{
	struct stat s;

	if (fstatat(AT_FDCWD, path, &s, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? E_NOTFOUND :
		    io_fail("stat", path, -1);
	*st = stat_of(&s);
	return E_OK;
}

static enum err
real_fstat(int fd, struct disk_stat *st)
{
	struct stat s;

	if (fstat(fd, &s) != 0)
		return io_fail("fstat", NULL, fd);
	*st = stat_of(&s);
	return E_OK;
}

static enum err
real_drop_cache(int fd)
{
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return errno == 0 ? E_OK : io_fail("fadvise", NULL, fd);
}

/* One byte of each piece tells for the piece; the last is looked at first, for
 * what is being read from the disk arrives in order. */
static bool
resident_probe(int fd, int64_t pos, int64_t n, int64_t step)
{
	char c;

	for (int64_t at = pos + n - 1; at >= pos; at -= step) {
		struct iovec iov = { &c, 1 };

		if (preadv2(fd, &iov, 1, at, RWF_NOWAIT) < 0 &&
		    errno == EAGAIN)
			return false;
	}
	return true;
}

static bool
resident_page(int64_t pos, int64_t n, int64_t page, uint64_t cached)
{
	int64_t pages = (pos + n - 1) / page - pos / page + 1;

	return cached >= (uint64_t)pages;
}

static bool
real_resident(int fd, int64_t pos, int64_t n)
{
	struct cachestat_range range = { (uint64_t)pos, (uint64_t)n };
	struct cachestat cs;

	/* A length of 0 would mean: to the end of the file. */
	if (n <= 0)
		return true;
	/* It counts pages that are still on their way, too. */
	if (syscall(SYS_cachestat, fd, &range, &cs, 0) != 0)
		return resident_probe(fd, pos, n, PROBE_ALONE);
	return resident_page(pos, n, sysconf(_SC_PAGESIZE), cs.cached) &&
	    resident_probe(fd, pos, n, PROBE_BYTES);
}

static void
real_readahead(int fd, bool on)
{
	(void)posix_fadvise(fd, 0, 0, on ? POSIX_FADV_NORMAL :
	    POSIX_FADV_RANDOM);
}

static void
real_drop_ahead(int fd, int64_t pos, int64_t n)
{
	(void)posix_fadvise(fd, pos, n, POSIX_FADV_DONTNEED);
}

/* In steps, for the kernel reads no more of one hint than one request. */
static void
real_prefetch(int fd, int64_t pos, int64_t n)
{
	while (n > 0) {
		int64_t step = n < PREFETCH_STEP ? n : PREFETCH_STEP;

		if (posix_fadvise(fd, pos, step, POSIX_FADV_WILLNEED) != 0)
			break;
		pos += step;
		n -= step;
	}
}

static enum err
real_unlink(const char *path)
{
	if (unlink(path) == 0)
		return E_OK;
	return errno == ENOENT ? E_NOTFOUND : io_fail("unlink", path, -1);
}

static enum err
real_rename(const char *from, const char *to)
{
	if (rename(from, to) == 0)
		return E_OK;
	return errno == ENOENT ? E_NOTFOUND : io_fail("rename", from, -1);
}

static enum err
real_link(const char *from, const char *to)
{
	if (link(from, to) == 0)
		return E_OK;
	return errno == ENOENT ? E_NOTFOUND : errno == EXDEV ? E_USAGE :
	    errno == EEXIST ? E_BUSY : io_fail("link", to, -1);
}

static enum err
real_mkdir(const char *path)
{
	struct stat s;

	if (mkdir(path, DIR_MODE) == 0)
		return E_OK;
	if (errno == EEXIST && stat(path, &s) == 0 && S_ISDIR(s.st_mode))
		return E_OK;
	if (errno == EEXIST)
		errno = ENOTDIR;
	return errno == ENOENT ? E_NOTFOUND : io_fail("mkdir", path, -1);
}

static enum err
real_rmdir(const char *path)
{
	if (rmdir(path) == 0)
		return E_OK;
	return errno == ENOENT ? E_NOTFOUND : io_fail("rmdir", path, -1);
}

static int
dir_open(const char *path)
{
	int fd;

	do
		fd = openat(AT_FDCWD, path,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static enum err
real_sync_dir(const char *path)
{
	enum err err = E_OK;
	int fd = dir_open(path);

	if (fd < 0)
		return errno == ENOENT ? E_NOTFOUND :
		    io_fail("open", path, -1);
	if (fsync(fd) != 0)
		err = io_fail("fsync", path, -1);
	(void)close(fd);
	return err;
}

static enum err
real_list(const char *path, int (*each)(const char *, void *), void *arg)
{
	struct dirent *d;
	enum err err = E_OK;
	int fd = dir_open(path);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		err = errno == ENOENT ? E_NOTFOUND :
		    io_fail("opendir", path, -1);
		if (fd >= 0)
			(void)close(fd);
		return err;
	}
	for (;;) {
		errno = 0;
		if ((d = readdir(dir)) == NULL) {
			if (errno != 0)
				err = io_fail("readdir", path, -1);
			break;
		}
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 && each(d->d_name, arg) != 0)
			break;
	}
	(void)closedir(dir);
	return err;
}

static enum err
real_lock(const char *path, int *fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	enum err err = real_open(path, DISK_CREATE, fd);

	if (err != E_OK)
		return err;
	if (fcntl(*fd, F_OFD_SETLK, &fl) == 0)
		return E_OK;
	err = errno == EAGAIN || errno == EACCES ? E_BUSY :
	    io_fail("lock", path, -1);
	(void)close(*fd);
	*fd = -1;
	return err;
}

static enum err
real_space(const char *path, int64_t *total, int64_t *usable)
{
	struct statvfs st;

	if (statvfs(path, &st) != 0)
		return io_fail("statvfs", path, -1);
	*total = (int64_t)(st.f_blocks * st.f_frsize);
	*usable = (int64_t)(st.f_bavail * st.f_frsize);
	return E_OK;
}

const struct disk disk_real = {
	.open		= real_open,
	.close		= real_close,
	.pread		= real_pread,
	.pread_now	= real_pread_now,
	.pwritev	= real_pwritev,
	.datasync	= real_datasync,
	.sync		= real_sync,
	.syncfs		= real_syncfs,
	.truncate	= real_truncate,
	.reserve	= real_reserve,
	.stat		= real_stat,
	.fstat		= real_fstat,
	.drop_cache	= real_drop_cache,
	.readahead	= real_readahead,
	.drop_ahead	= real_drop_ahead,
	.prefetch	= real_prefetch,
	.resident	= real_resident,
	.unlink		= real_unlink,
	.rename		= real_rename,
	.link		= real_link,
	.mkdir		= real_mkdir,
	.rmdir		= real_rmdir,
	.sync_dir	= real_sync_dir,
	.list		= real_list,
	.space		= real_space,
	.lock		= real_lock,
};

/* Writes and syncs a file that nobody reads yet. */
static enum err
write_new(const char *path, const void *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	enum err err;
	int fd;

	if ((err = disk->open(path, DISK_CREATE, &fd)) != E_OK)
		return err;
	err = disk->truncate(fd, 0);	/* left over from a crash */
	if (err == E_OK && n > 0)
		err = disk->pwritev(fd, &iov, 1, 0);
	if (err == E_OK)
		err = disk->sync(fd);
	disk->close(fd);
	return err;
}

enum err
disk_replace(const char *path, const void *p, size_t n)
{
	char tmp[PATH_SIZE], dir[PATH_SIZE];
	const char *slash = strrchr(path, '/');
	enum err err;
	int len;

	len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
	ASSERT(len > 0 && (size_t)len < sizeof tmp);
	len = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
	snprintf(dir, sizeof dir, "%.*s", len, slash == NULL ? "." : path);
	if ((err = write_new(tmp, p, n)) == E_OK)
		err = disk->rename(tmp, path);
	if (err != E_OK) {
		/* Best effort: a .tmp file means nothing to anyone. */
		(void)disk->unlink(tmp);
		return err;
	}
	return disk->sync_dir(dir);
}

enum err
disk_slurp(const char *path, size_t max, uint8_t **p, size_t *n)
{
	struct disk_stat st;
	enum err err;
	int fd;

	*p = NULL;
	*n = 0;
	if ((err = disk->open(path, DISK_READ, &fd)) != E_OK)
		return err;
	if ((err = disk->fstat(fd, &st)) != E_OK)
		goto out;
	err = E_TOO_LARGE;
	if (st.size < 0 || (uint64_t)st.size > max)
		goto out;
	err = E_NOMEM;
	/* One byte more than needed: an empty file is no failure. */
	if ((*p = malloc((size_t)st.size + 1)) == NULL)
		goto out;
	if ((err = disk->pread(fd, *p, (size_t)st.size, 0, n)) != E_OK) {
		free(*p);
		*p = NULL;
		*n = 0;
	}
out:
	disk->close(fd);
	return err;
}
