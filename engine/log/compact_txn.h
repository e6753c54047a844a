/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions of a log, as compaction has to know them: the data of aborted
 * ones goes at once, and a marker only when no data of its transaction is left
 * (protocol.md 3.10).  What was aborted is found by a walk over the headers of
 * the whole log, because a marker follows its data; then a tracker goes along
 * with a pass, batch by batch.
 */
#ifndef COMPACT_TXN_H
#define COMPACT_TXN_H

#include "seg.h"

struct txn_pids {		/* sorted by producer id */
	struct txn_pid { int64_t pid, at; } *v;
	int		 n, cap;
};

/* Owned by its compaction. */
struct txn_log {
	struct txn_aborted {
		int64_t	pid, first, last; /* offsets: first batch, marker */
	}		*aborted;	/* rising by first once it is sorted */
	int		 n, cap;
	struct txn_pids	 open;		/* at: where each began */
};

/* Takes in the transactions of [0, end) of the next segment's file.
 * E_TOO_LARGE past a limit, E_NOMEM, and what reading brings.  Blocks. */
enum err txn_log_walk(struct txn_log *, int fd, int64_t end) MUST;
/* All segments were walked.  The offset from which on transactions are still
 * open: INT64_MAX when none is. */
int64_t	 txn_log_done(struct txn_log *);
void	 txn_log_free(struct txn_log *);

struct txn_track {
	const struct txn_log *log;
	int		 next;		/* aborted ones that are not met yet */
	struct txn_pids	 aborted;	/* at: 1 when data of it was met */
	struct txn_pids	 committed;
};

void	 txn_track_start(struct txn_track *, const struct txn_log *);
void	 txn_track_free(struct txn_track *);
/* A batch of data: *gone when it belongs to an aborted transaction. */
enum err txn_track_data(struct txn_track *, const struct batch *,
	    bool *gone) MUST;
/* A marker, the whole batch: *gone when no data of its transaction was met. */
enum err txn_track_marker(struct txn_track *, const uint8_t *, size_t n,
	    bool *gone) MUST;

#endif
