/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a simulated disk is made of, for simdisk.c alone.  An inode holds what
 * reads show, what is on the disk, and the changes in between that no sync has
 * covered; directories are one list of changes for the whole disk, because a
 * rename belongs to two.  Bytes are shared between clones and copied when they
 * are written to: tests clone a disk at each of its calls.
 */
#ifndef SIMSTATE_H
#define SIMSTATE_H

#include "simdisk.h"

#define SECTOR		512
#define HANDLE_BASE	1000	/* so that no handle is a real fd by chance */
#define NAME_SIZE	128

/* Bytes shared between clones. */
struct blob {
	int	refs;
	size_t	cap;
	uint8_t	p[];
};

struct content {
	struct blob	*b;	/* NULL: no bytes, all zero */
	int64_t		 size;
};

/* A change of a file that is not synced. */
struct change {
	bool		 truncate;
	int64_t		 pos;		/* the new size of a truncation */
	struct content	 data;
};

struct inode {
	bool		 dir;
	bool		 cold;		/* not in memory: pread_now is busy */
	int64_t		 written_ns;	/* by the clock in use, no two alike */
	int64_t		 stable_ns;	/* what a crash leaves of it */
	int64_t		 reserved;	/* bytes that have their room */
	struct content	 view, stable;
	struct change	*changes;
	int		 nchanges, cap;
};

struct entry {
	int	dir, ino;
	char	name[NAME_SIZE];
};

struct entries {
	struct entry	*v;
	int		 n, cap;
};

/* A change of directories that is not synced: the entry `del` goes if it
 * still leads to the inode, `add` comes. */
struct dir_change {
	bool		has_del, has_add;
	struct entry	del, add;
};

struct handle {
	int	ino;		/* -1: closed */
	bool	write, lock;
};

struct sim {
	struct inode	  *inodes;	/* [0] is the root */
	int		   ninodes, inodes_cap;
	struct entries	   view, stable;
	struct dir_change *dirs;
	int		   ndirs, dirs_cap;
	struct handle	  *handles;
	int		   nhandles, handles_cap;
	int64_t		   calls, fail_n, failed_at, op_left, space;
	int64_t		   stamps;	/* times that were given to inodes */
	enum err	   fail_err, op_err;
	enum sim_op	   op;
	bool		   persistent, dead;
	char		   under[NAME_SIZE];	/* only there faults happen */
	uint64_t	   rng;
	void		 (*hook)(struct sim *, int64_t, enum sim_op, void *);
	void		  *hook_arg;
};

/* The one that simdisk works on. */
extern struct sim *sim_cur;

/* p with room for one more than n elements. */
void	*sim_grow(void *p, int *cap, int n, size_t size);
uint64_t sim_rnd(struct sim *);

void	 blob_free(struct blob *);
struct content content_ref(struct content);
/* New bytes are zero. */
void	 content_resize(struct content *, int64_t size);
void	 content_write(struct content *, int64_t pos, const void *, int64_t n);
void	 change_apply(struct content *, const struct change *);
void	 changes_forget(struct inode *);

struct entries entries_copy(const struct entries *);
void	 dir_change_apply(struct entries *, const struct dir_change *);
/* Adds a change, del or add or both, and shows it. */
void	 dir_change(struct sim *, const struct entry *del,
	    const struct entry *add);
int	 inode_new(struct sim *, bool dir);
/* It is written to now. */
void	 sim_touch(struct sim *, struct inode *);
/* The directory that holds a path's last name, which is put into the entry
 * with its inode (-1 none); false when there is no such directory. */
bool	 sim_resolve(const struct sim *, const char *path, struct entry *);
int	 sim_lookup(const struct sim *, const char *path);

#endif
