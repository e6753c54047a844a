/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file of the project that opens, reads, writes, syncs, renames or
 * deletes.  Behind it stands a table of functions; tests replace the table by
 * a simulated disk that loses, tears, reorders and fails.
 *
 * Paths are absolute or relative to the working directory, and are made by us
 * (never from a topic's name).  Any function may be called from any thread.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/err.h"
#include "lib/limits.h"

/* Bytes that one reader has the disk do at once: a sync waits behind them.
 * pread keeps to it by itself. */
enum { DISK_STEP = 256 * KIB };

enum disk_mode {
	DISK_READ,		/* must exist */
	DISK_WRITE,		/* read and write, must exist */
	DISK_CREATE,		/* read and write, made when missing */
	DISK_CREATE_NEW,	/* read and write, E_BUSY when it exists */
};

struct disk_stat {
	int64_t	size;		/* bytes */
	int64_t	written_ns;	/* wall clock; of a directory: names in it came
				 * or went */
	uint64_t ino;		/* names the file on its file system */
	bool	dir;
};

struct disk {
	/* open: a handle >= 0.  On the real disk it is the fd itself, which
	 * may be passed to another process. */
	enum err (*open)(const char *path, enum disk_mode, int *fd);
	void	 (*close)(int fd);
	/* pread: fewer bytes than asked only at the end of the file. */
	enum err (*pread)(int fd, void *, size_t n, int64_t pos, size_t *got);
	/* The same without blocking: E_BUSY when bytes are not in memory. */
	enum err (*pread_now)(int fd, void *, size_t n, int64_t pos,
		    size_t *got);
	/* pwritev: all of it or an error; on error any prefix may be written.
	 * iov is consumed. */
	enum err (*pwritev)(int fd, struct iovec *iov, int n, int64_t pos);
	enum err (*datasync)(int fd);	/* data and size; final when it fails */
	enum err (*sync)(int fd);	/* metadata too; also of a directory */
	enum err (*syncfs)(int fd);	/* everything on fd's file system */
	enum err (*truncate)(int fd, int64_t size);
	/* Reserves blocks without changing the size; E_OK where unsupported. */
	enum err (*reserve)(int fd, int64_t pos, int64_t n);
	enum err (*stat)(const char *path, struct disk_stat *);
	enum err (*fstat)(int fd, struct disk_stat *);
	enum err (*drop_cache)(int fd);	/* forget clean cached pages */
	/* Whether the kernel may read more of fd than what is asked, as it does
	 * until told otherwise.  That is cheap and fast, but megabytes for each
	 * reader are then queued at the disk in front of every sync. */
	void	 (*readahead)(int fd, bool);
	/* What it has read that way it has marked, and at a mark it reads on,
	 * whatever it was told: takes a range out of memory, with the marks,
	 * but for what is dirty or still on its way; a hint. */
	void	 (*drop_ahead)(int fd, int64_t pos, int64_t n);
	/* Has a range read into memory, and does not wait for it; a hint. */
	void	 (*prefetch)(int fd, int64_t pos, int64_t n);
	/* True when the whole range is in memory (or that cannot be told). */
	bool	 (*resident)(int fd, int64_t pos, int64_t n);
	enum err (*unlink)(const char *path);
	enum err (*rename)(const char *from, const char *to);
	/* A second name for a file: E_BUSY when that name is taken, E_USAGE
	 * when it is on another file system. */
	enum err (*link)(const char *from, const char *to);
	enum err (*mkdir)(const char *path);	/* E_OK when it is there */
	enum err (*rmdir)(const char *path);
	enum err (*sync_dir)(const char *path);	/* open, sync, close */
	/* Calls back with each name but "." and "..", in no order; a non-zero
	 * return ends the walk. */
	enum err (*list)(const char *path, int (*each)(const char *name,
		    void *arg), void *arg);
	/* The file system that a path is on: its size, and what we may still
	 * write. */
	enum err (*space)(const char *path, int64_t *total, int64_t *usable);
	/* Takes the lock file (made when missing): E_BUSY when another
	 * process holds it.  Held until the handle is closed. */
	enum err (*lock)(const char *path, int *fd);
};

/* The disk in use: disk_real unless a test says otherwise. */
extern const struct disk disk_real;
extern const struct disk *disk;

/* Writes a whole small file so that a crash leaves the old or the new one:
 * PATH.tmp, write, sync, rename, sync of the directory. */
enum err disk_replace(const char *path, const void *, size_t n) MUST;
/* Reads a whole file of at most max bytes; *p is malloc'ed, the caller's. */
enum err disk_slurp(const char *path, size_t max, uint8_t **p, size_t *n) MUST;

#endif
