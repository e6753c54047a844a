/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory that loses, tears, reorders and fails, behind the table of
 * disk.h.  A test sets `disk = &simdisk` and picks a disk with sim_use().
 *
 * The model is pessimistic; nothing comes for free:
 *  - A file's writes and truncations are durable once the file was synced.
 *    In a crash each other one is kept, lost, or torn at 512 bytes, one
 *    independently of the next, so that later ones may survive earlier ones
 *    (the hole reads as zeros); the size may have grown without the data.
 *  - A time of writing is durable when more than the data was synced.
 *  - A directory's entries are durable once the directory was synced.  In a
 *    crash each other creation, deletion and renaming has happened or not,
 *    independently of the others; a rename is never half done.
 *  - A sync that fails has written some of the data, forgets that the rest is
 *    dirty, and succeeds the next time.  Reads show the bytes that are not on
 *    the disk until drop_cache.
 *
 * Everything follows from the calls and the seeds.  Paths are compared as they
 * are; "a//b" is not "a/b".  One thread only.
 */
#ifndef SIMDISK_H
#define SIMDISK_H

#include "disk.h"

enum sim_op {
	SIM_OPEN, SIM_PREAD, SIM_PREAD_NOW, SIM_PWRITEV, SIM_DATASYNC,
	SIM_SYNC, SIM_SYNCFS, SIM_TRUNCATE, SIM_RESERVE, SIM_STAT, SIM_FSTAT,
	SIM_DROP_CACHE, SIM_UNLINK, SIM_RENAME, SIM_MKDIR, SIM_RMDIR,
	SIM_SYNC_DIR, SIM_LIST, SIM_LOCK, SIM_LINK,
};

struct sim;

extern const struct disk simdisk;

/* A new empty disk; root is the directory ".", which is durable. */
struct sim *sim_new(void);
/* A copy in the same state, with the same open handles. */
struct sim *sim_clone(const struct sim *);
void	 sim_free(struct sim *);
/* The disk that simdisk works on from now on; returns the one before. */
struct sim *sim_use(struct sim *);

/* Seeds what failing calls still do (a crash has a seed of its own). */
void	 sim_seed(struct sim *, uint64_t);

/* Faults.  Calls are counted from 1 from the last sim_count_reset. */
int64_t	 sim_calls(const struct sim *);
void	 sim_count_reset(struct sim *);
/* Call number n fails with err; a failing write first writes a prefix of its
 * bytes.  persistent: so do all calls after it, without any effect.  n = 0:
 * none. */
void	 sim_fail_at(struct sim *, int64_t n, enum err, bool persistent);
/* Has the fault of sim_fail_at happened? */
bool	 sim_failed(const struct sim *);
/* Faults only meet calls on what lies below a directory of that name (the
 * first at or after number n); "": everywhere. */
void	 sim_fail_under(struct sim *, const char *name);
/* The n-th call of one kind fails (counted from now). */
void	 sim_fail_op(struct sim *, enum sim_op, int64_t n, enum err);
/* Bytes that writes may still add to files; then E_NOSPC.  -1: no limit. */
void	 sim_space(struct sim *, int64_t bytes);
/* Called before each call that changes the disk or syncs, with the call's
 * number; it may clone the disk, and use clones. */
void	 sim_hook(struct sim *, void (*)(struct sim *, int64_t n, enum sim_op,
	    void *), void *);

/* The power goes: what survives is drawn by seed.  Handles are gone.  Seeds
 * 0 to 3 are the extremes: everything unsynced kept; all of it lost; writes
 * kept and entries lost; entries kept and writes lost. */
void	 sim_crash(struct sim *, uint64_t seed);
/* The process dies (kill -9): caches stay, handles and locks go. */
void	 sim_kill(struct sim *);

/* For checks, past all faults: a file's bytes as reads show them (owned by
 * the disk, valid until the next call), NULL when it is not there. */
const uint8_t *sim_bytes(const struct sim *, const char *path, size_t *n);
/* Puts a file there, or replaces its bytes, durably; NULL removes it. */
void	 sim_put(struct sim *, const char *path, const void *, size_t n);
/* The disk itself has changed a file's bytes: no time tells of it. */
void	 sim_rot(struct sim *, const char *path, const void *, size_t n);
/* A hash of all that reads and lists show below a path. */
uint64_t sim_hash(const struct sim *, const char *path);
int	 sim_open_handles(const struct sim *);

#endif
