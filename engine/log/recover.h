/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a log's directory: what is there, what is whole, where it ends.
 * The same for partitions and the catalogue, at start and after a fault.
 */
#ifndef RECOVER_H
#define RECOVER_H

#include "prod.h"
#include "seg.h"

struct roster;

struct recovered {
	struct seg	**segs;		/* rising bases; one ref each, ours */
	int		  nsegs;	/* 0: an empty directory */
	int64_t		  start;	/* offset of the first record kept */
	int64_t		  end;		/* offset to assign next */
	int32_t		  epoch;	/* greatest leader epoch seen, -1 */
	struct prod_table *prods;	/* state at end */
	int64_t		  snapped;	/* the snapshot used, -1 none */
	int64_t		  cut;		/* bytes taken off the log's end; all
					 * but zeros are in lost+found */
	int64_t		  scanned;	/* bytes read */
	int64_t		  deleted_due;	/* when the first of the deleted
					 * segments may go, INT64_MAX none */
	int64_t		  epoch_start;	/* where that epoch began, -1: not
					 * known */
	struct told_dir	 *told;		/* by whose word, NULL: by its looks */
	char		  why[256];	/* not E_OK: file, place, words */
};

struct recover_how {
	const char	*dir;		/* of the log */
	const char	*lost;		/* DATA/lost+found */
	struct log_id	 id;
	int64_t		 end_min;	/* an end below it is damage */
	int64_t		 interval;	/* of new index entries, 0 default */
	bool		 clean;		/* stopped in order: trust the index */
	bool		 together;	/* the file system was synced since the
					 * last write, and will be before the
					 * result is used: no syncs but those
					 * that order steps */
	bool		 later;		/* new entries of the last segment's
					 * index may stay pending */
	bool		 serial;	/* only one batch at a time was ever not
					 * synced (the catalogue): a whole one
					 * behind a bad one is damage */
};

/*
 * Opens every segment of the directory.  When clean, a segment whose index is
 * whole and ends at the file's end is trusted.  Otherwise, from the durable
 * checkpoint on (the last index entry): drops the page cache, scans each batch
 * (magic, length, CRC-32C, offsets that rise without a step back, leader epoch
 * that does not fall), cuts the tail after the last valid batch (the cut bytes
 * go to lost+found first), rebuilds the index, syncs file and directory, and
 * only then reports the end.  Also rebuilds producer state: newest good
 * snapshot at or below the end, then the batches after it.
 *
 * A log's checkpoint is the last index entry of the last segment that has one:
 * whoever writes entries has synced that segment up to there and those before
 * it whole.  Segments must also go from the oldest on, each deletion synced
 * (directory) before the next: a gap reads as a missing file.
 *
 * Never truncates below the checkpoint.  A file that is shorter, missing, of
 * another log, or has a foreign index together with unreadable data is
 * E_CORRUPT with why filled.  Other damage there costs the records that it is
 * in: it is stepped over here, and not served (trust.h).  In the catalogue
 * (serial) any damage is E_CORRUPT.
 * A missing or damaged index or snapshot alone is rebuilt.  Idempotent:
 * running it twice gives the same.  Blocks; any thread.  recover_free()s its
 * result also after an error.
 */
enum err recover_log(const struct recover_how *, struct recovered *) MUST;
void	 recover_free(struct recovered *);

/* The clean marker of a data directory; its bytes are roster_write's, NULL for
 * one that names no partition. */
enum err clean_write(const char *data, const struct wr *) MUST;
/* Whether there is a good one: E_NOTFOUND when there is none at all. */
enum err clean_look(const char *data, bool *good) MUST;
/* Takes it away; *was tells whether a good one was there.  r, if not NULL: what
 * it said, for roster_free, or NULL. */
enum err clean_take(const char *data, bool *was, struct roster **r) MUST;

#endif
