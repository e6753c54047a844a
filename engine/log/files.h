/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many segments' files are open at once.  Files of segments that only
 * their partition's list refers to, and that hold nothing which is not durable
 * yet, wait in the order of their last use; the oldest are closed when there
 * are too many.  (A file with unsynced bytes stays open: were it closed and
 * its inode forgotten, a failed write-back would be forgotten too; unless the
 * policy is a relaxed one.)  Belongs to the loop.
 */
#ifndef FILES_H
#define FILES_H

#include "seg.h"

struct files {
	int		 max;		/* open at once, aimed at */
	struct seg	*idle, **idle_tail;	/* least lately used first */
};

void	 files_init(struct files *, int max);
/* The segment is on a partition's list from now on; no longer. */
void	 files_add(struct files *, struct seg *);
void	 files_remove(struct seg *);
/* How many segments one job may hold: a few jobs together stay below max. */
int	 files_share(const struct files *);
/* Makes room for so many more; false: something must be synced or done
 * first. */
bool	 files_room(struct files *);

/* For seg.c: only the list refers to it; somebody else is about to. */
void	 files_idle(struct seg *);
void	 files_busy(struct seg *);

#endif
