/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of one partition's log, on a worker, a slice at a time: the map
 * of the newest offset of each key in the dirty part, then group by group of
 * segments a new one with what is left (protocol.md 3.10).  Which partition,
 * when, and what becomes of a finished segment is cleaner.c's business; how a
 * batch is rewritten lib/batch_sieve.c's.
 *
 * Invariants:
 *  1. Offsets never change; a batch that stays keeps its first and its last.
 *  2. The last batch of a new segment stays, as a header if nothing else of it
 *     does: so a segment still ends where the next one begins.  So does the
 *     first batch of each leader epoch, because the log is the record of where
 *     they began, and the last one of each active producer.
 *  3. A record goes only when the map holds a later one of its key, or it is
 *     a tombstone past its horizon, has no key, or was aborted; and nothing
 *     goes that is behind what the map has seen.
 *  4. Every byte that is read is checked by its CRC first.
 *  5. A segment of which something cannot be read is left as it is, all of it,
 *     and so are tombstones behind it, which may be what hides a record in it.
 *     What it holds behind the damage removes nothing elsewhere.  Where there
 *     are transactions nothing behind it is touched either: their ends may be
 *     in what cannot be read.
 */
#ifndef COMPACT_H
#define COMPACT_H

#include "compact_txn.h"
#include "keymap.h"
#include "lib/conf.h"

/* An active producer: its last batch of data, -1 none. */
struct compact_prod {
	int64_t		 pid, last_offset;
	int16_t		 epoch;
};

/* A segment of the log, as it was when the pass began.  Its file is opened by
 * its name, which is its own for as long as nobody but the pass may move it. */
struct compact_seg {
	int64_t		 base, end_offset;
	int64_t		 size, end;	/* bytes: all, that readers may see */
	int64_t		 entries;	/* of its index */
	bool		 refused;	/* by the pass: it is damaged, */
	int64_t		 bad;		/* from this position on */
};

/* Reads whole batches one by one. */
struct compact_in {
	int		 fd;		/* -1: none */
	int64_t		 pos, end;	/* next batch; no further */
	int64_t		 expect, until;	/* offsets do not go back, nor beyond
					 * the segment's end */
	uint8_t		*buf;		/* ours */
	size_t		 cap;
	int64_t		 from, till;	/* what of the file it holds */
};

/* The segment that is being made. */
struct compact_out {
	int		 fd;		/* -1: none */
	int64_t		 base, end_offset;
	int64_t		 size, written, synced;	/* bytes; size with buf */
	int64_t		 first_ts, max_ts;	/* as in struct seg */
	struct idx	 idx;
	struct wr	 buf;
};

enum compact_step {
	COMPACT_TXNS,	/* learning of transactions */
	COMPACT_MAP,	/* building the map */
	COMPACT_NEXT,	/* beginning the next group */
	COMPACT_WRITE,	/* rewriting it */
	COMPACT_COPY,	/* a segment that was as it should be up to here */
	COMPACT_READY,	/* a new segment waits for the swap */
	COMPACT_DONE,
};

struct compaction {
	/* What to do; the owner's.  Segments that may be compacted come first;
	 * those behind them tell of transactions. */
	const char	*dir;
	struct log_id	 id;
	struct compact_seg *segs;
	int		 nsegs, nclean;
	bool		 with_txns;	/* there are transactions */
	int64_t		 dirty;		/* first offset of the dirty part */
	int64_t		 owed;		/* tombstones from here on stay, because
					 * passes before refused what is before
					 * them; INT64_MAX */
	int64_t		 now;		/* wall_ms */
	int64_t		 map_bytes;
	struct topic_conf conf;
	int64_t		 interval;	/* of index entries */
	const struct compact_prod *prods;	/* by pid */
	int		 nprods;

	/* How far it is. */
	enum compact_step step;
	enum err	 err;		/* why it ended; why: words */
	const char	*why;
	int64_t		 moved;		/* bytes read and written by a slice */
	int		 at;		/* segment that is read */
	struct compact_in in, copy;
	struct keymap	*map;
	int64_t		 map_end;	/* the last offset that it covers */
	struct txn_log	 txns;
	struct txn_track track;
	bool		 txns_known;
	int64_t		 whole_to;	/* tombstones from here on stay */
	int64_t		 refused_from;	/* base of the first refused segment,
					 * INT64_MAX none */
	int32_t		 epoch;		/* of the batch before, -1 */
	int		 group, ngroup;	/* segments of the one at work */
	int32_t		 group_epoch;	/* epoch when it began */
	bool		 same;		/* nothing has changed in it so far */
	struct compact_out out;
	struct wr	 piece;		/* a batch that was rewritten */
	/* The batch at hand, for the record filter. */
	struct batch	 b;
	bool		 discard;

	/* What came of it.  swapped: bytes that went and came by swaps. */
	int64_t		 bytes_read, bytes_before, bytes_after;
	int64_t		 records_read, records_gone;
	int		 nswaps;
};

/* Fills what is left after the owner has set the first part.  It ends with
 * E_BUSY when there are transactions and with_txns did not say so. */
void	 compact_init(struct compaction *);
/* Works on for about so many bytes; *moved tells how many it was.  On return
 * step is READY, DONE (err tells how), or anything else: call it again. */
void	 compact_run(struct compaction *, int64_t bytes);
/* Ends it before it has begun. */
void	 compact_fail(struct compaction *, enum err, const char *why);
/* READY: the bases of the segments that the new one replaces, nclean at most;
 * returns how many. */
int	 compact_group(const struct compaction *, int64_t *bases);
/* The swap is done: goes on with the next group. */
void	 compact_swapped(struct compaction *);
/* The first offset that is dirty still, once it is DONE without an error. */
int64_t	 compact_clean_to(const struct compaction *);
/* Removes a file that was being made, if there is one.  Blocks. */
void	 compact_drop(struct compaction *);
static inline bool
compact_has_file(const struct compaction *c)
{
	return c->out.fd >= 0;
}
/* Closes files, frees memory; and compact_drop. */
void	 compact_end(struct compaction *);

#endif
