/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stop before this start said of a partition's files, and nobody has
 * looked at since.  A segment that is known by its word only is compared when
 * its file is opened for the first time, and its directory with the first of
 * them.  If another file is there, or names have come or gone, then somebody
 * was at them while no engine ran: the log is read from the disk as after a
 * fault, before a byte of it is used.
 */
#ifndef TOLD_H
#define TOLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct seg;

/* Of a directory; its segments share it. */
struct told_dir {
	int		 refs;		/* segments; the loop's */
	enum told_state { TOLD_UNSEEN, TOLD_SEEN, TOLD_ODD } _Atomic state;
	int64_t		 dir_ns;	/* names came or went last */
};

/* Of one file. */
struct told_file {
	struct told_dir	*dir;		/* NULL: nothing was said */
	atomic_bool	 seen;		/* and is so */
	uint64_t	 ino;
	int64_t		 size, written_ns;
};

/* One reference is the caller's. */
struct told_dir *told_new(int64_t dir_ns);
struct told_dir *told_ref(struct told_dir *);
void	 told_unref(struct told_dir *);
/*
 * Compares, if that was not done yet; fd: of the segment's file, or -1.
 * E_CORRUPT when it is not as was said.  Whoever is about to change the
 * directory, or has opened the file, calls it first.  Blocks; any thread.
 */
enum err told_check(struct seg *, int fd) MUST;
/* The segment's file cannot be opened: e, or E_CORRUPT when it should be
 * there. */
enum err told_missing(struct seg *, enum err e) MUST;
/* The segment is to be compared yet. */
bool	 told_open(const struct seg *);
/* Its directory was not as was said. */
bool	 told_is_odd(const struct seg *);
/* Directories, whole process, that were not as was said. */
unsigned told_odd(void);

#endif
