/* SPDX-License-Identifier: Apache-2.0 */
/* A recovery under way: what recover.c and recover_tail.c share. */
#ifndef RECOVER_WORK_H
#define RECOVER_WORK_H

#include "bases.h"
#include "recover.h"

#define SCAN_BUF	(1 * MIB)

/* How a segment's index was found. */
enum idx_state {
	IDX_NONE,	/* not there, or never written whole */
	IDX_GOOD,
	IDX_SUSPECT,	/* there, but not ours: a checkpoint may be lost */
};

/* What recovery knows of r->segs[i] besides the segment itself. */
struct found {
	enum idx_state	state;
	int64_t		ckpt;	/* synced up to here, 0 when unknown */
	bool		pids;	/* producers' batches lie behind that */
	const char	*bad;	/* why the batches end before the file */
};

struct work {
	const struct recover_how *how;
	struct recovered *r;
	struct bases	  logs, idxs, prods;
	struct found	 *found;	/* one for each segment */
	int		  last_ckpt;	/* last segment that has one, -1 */
	int		  last_suspect;	/* last with a suspect index, -1 */
	int		  epoch_of;	/* last segment whose epochs are in
					 * r->epoch, -1 */
	int32_t		  tail_epoch;	/* of the last batch scanned after the
					 * log's checkpoint, -1; what lies
					 * before that does not judge a batch:
					 * no CRC covers it */
	bool		  nomem;	/* while listing */
	bool		  swaps;	/* compaction was interrupted */
	bool		  touched;	/* the directory was changed */
	uint8_t		 *buf;		/* window on a file */
	size_t		  buf_size;	/* no more than the largest file */
	int64_t		  from, till;	/* what of the file it holds */
};

/* Fill w->r->why: the file, the place unless pos < 0, and words; return err.
 * io: a call on path failed, err is already known; the first one counts. */
enum err recover_fail(struct work *, enum err, const char *path, int64_t pos,
	    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
enum err recover_io(struct work *, enum err, const char *path) MUST;
/* The end of the whole batches from the checkpoint on becomes the segment's
 * end; next: base of the next segment. */
enum err recover_scan(struct work *, struct seg *, struct found *,
	    int64_t next) MUST;
/* In a log that had one batch in flight: no whole batch may follow a bad one,
 * or the bad one had been synced. */
enum err recover_nothing_behind(struct work *, struct seg *) MUST;

#endif
