/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment: one .log file and its index.  Owned by its partition's list; a
 * commit job, a read-ahead or a link that passed its fd to a gateway holds a
 * reference of its own, because those may outlive it there.
 *
 * Invariants: 0 <= synced <= size, in bytes of whole batches; synced is what is
 * durable, here or in the journal; size is what
 * has been written, end_offset the offset after the last written batch; only
 * the last segment of a partition grows.  All fields but fd belong to the
 * loop; workers get copies of what they need.
 *
 * The file is opened by whoever needs it first, on any thread, and stays open
 * as long as anybody but the partition's list holds a reference; after that
 * files.h decides.  So whoever puts another file in its place under the same
 * name must have it open before, through a reference of his own.
 */
#ifndef SEG_H
#define SEG_H

#include <stdatomic.h>

#include "disk.h"
#include "format.h"
#include "idx.h"
#include "lib/batch.h"
#include "told.h"
#include "trust.h"

struct files;

struct seg {
	struct log_id	 id;
	int		 refs;
	_Atomic int	 fd;		/* disk handle, -1: not open */
	struct files	*files;		/* on a partition's list; NULL: not */
	struct seg	*idle_next, **idle_prevp; /* see files.h */
	uint64_t	 handle;	/* names it to gateways; never reused */
	int64_t		 base;		/* offset */
	int64_t		 end_offset;	/* after the last written batch */
	int64_t		 size;		/* bytes written */
	int64_t		 synced;	/* bytes synced */
	int64_t		 synced_offset;	/* the offset at synced */
	int64_t		 max_ts;	/* greatest timestamp, -1 none */
	int64_t		 first_ts;	/* that of the first batch; -1 none or
					 * not known, -2 none */
	int64_t		 made_ms;	/* wall clock: made, or opened */
	int64_t		 written_ms;	/* wall clock: last written */
	int64_t		 jitter_ms;	/* of segment.ms, chosen by lot */
	int64_t		 reserved;	/* bytes that have blocks, as far as we
					 * asked for them; belongs to the one
					 * write in flight */
	int64_t		 cold_end;	/* read ahead up to here, the last time
					 * that it was needed */
	int64_t		 cold_step;	/* and so far beyond what was needed */
	bool		 cold_tame;	/* nothing is read ahead by itself */
	int8_t		 cold_marks;	/* jobs that are to take away what was,
					 * see cold.c */
	uint64_t	 lap;		/* the last of the journal's that has
					 * bytes of it, 0 none */
	bool		 lax;		/* nobody waits for its syncs */
	bool		 refused;	/* by compaction, which said so */
	struct idx	 idx;
	struct trust	 trust;		/* what readers may be told */
	struct told_file told;		/* not looked at since the start */
	atomic_bool	 stale;		/* the files under its names are, or
					 * will be, another segment's */
	char		*path;		/* of the .log */
};

/* Paths into buffers of PATH_SIZE: a log's directory, which need not be there,
 * in DATA, the catalogue's when the topic is zero; DIR/<20 digits><ext>. */
void	 log_dir(const char *data, const struct log_id *, char *dir);
void	 seg_path(char *buf, const char *dir, int64_t base, const char *ext);
/* The path of a segment's index. */
void	 idx_path(const struct seg *, char *buf);
/* idx_load from a segment's file of nfile entries; none when compaction has
 * put another segment in its place.  Blocks; any thread. */
enum err seg_idx_load(const struct seg *, int64_t nfile, int by,
	    int64_t value, struct idx_entry *out, int max, int *n) MUST;
/* Before another segment's files get the names of this one's. */
void	 seg_stale(struct seg *);
/* Removes DIR/<20 digits><ext>; E_OK when it is not there. */
enum err seg_unlink(const char *dir, int64_t base, const char *ext) MUST;
/* The base offset in a file name with that extension; false if it is none. */
bool	 seg_name(const char *name, const char *ext, int64_t *base);
/* A segment whose file is there, or is created (E_BUSY when it exists) and
 * opened; one reference is the caller's.  The caller syncs the directory. */
enum err seg_open(const char *dir, const struct log_id *, int64_t base,
	    bool create, struct seg **) MUST;
/* A segment whose file is there by the word of the stop before; touches no
 * disk. */
enum err seg_told(const char *dir, const struct log_id *, int64_t base,
	    const struct told_file *, struct seg **) MUST;
/* Its disk handle, for as long as the caller's reference lasts.  May block. */
enum err seg_fd(struct seg *, int *fd) MUST;
/* Makes what was written to it durable; final when it fails.  Blocks. */
enum err seg_sync(struct seg *) MUST;
/* Syncs that have failed, whole process, of segments or of all of them: what
 * was written before may be in memory only, and called clean. */
unsigned seg_sync_failures(void);
void	 seg_sync_failed(void);
/* Segments' files that are open, whole process. */
int	 seg_files_open(void);
/* Closes the file: nobody uses it. */
void	 seg_close(struct seg *);
/* Reserves the disk's room for a new segment, without making it longer; best
 * effort: what lacks shows itself when it is written.  0: nothing.  Blocks. */
void	 seg_reserve(struct seg *, int64_t bytes);
/* The same ahead of a write of [pos, end), in steps that grow with the segment:
 * a file system takes bytes into blocks that are there for half of what it
 * costs to find a block for each.  Nothing ahead beyond most bytes. */
void	 seg_reserve_ahead(struct seg *, int64_t pos, int64_t end,
	    int64_t most);
struct seg *seg_ref(struct seg *);
void	 seg_unref(struct seg *);	/* closes the file with the last */

/* Walks batch headers in [pos, end) of a file; for each calls back with the
 * header and its position; a non-zero return ends the walk.  Headers only:
 * lengths and magic are checked, CRCs are not.  *at: where it stopped.
 * E_CORRUPT when a header makes no sense, or a batch crosses end.
 * Blocks. */
enum err seg_walk(int fd, int64_t pos, int64_t end,
	    int (*each)(const struct batch *, int64_t pos, void *), void *arg,
	    int64_t *at) MUST;

#endif
