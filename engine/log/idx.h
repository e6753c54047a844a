/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sparse index of a segment: offset and time to position.  Always
 * rebuildable from the log.
 *
 * Invariants: entries rise in offset and position; an entry's max_ts is the
 * greatest timestamp of everything before its position in the segment, so it
 * never falls; an entry is on disk only when the log before it is synced, and
 * all segments before this one whole.
 */
#ifndef IDX_H
#define IDX_H

#include "format.h"
#include "lib/err.h"
#include "lib/limits.h"

struct idx_entry {
	int64_t	offset, pos, max_ts;
};

/* The in-memory part: entries that are not on disk yet, oldest first. */
struct idx {
	struct idx_entry	*pending;	/* ours; NULL while empty */
	int			 npending, cap;
	int64_t			 nfile;		/* entries on disk */
	struct idx_entry	 last;		/* newest entry, any place */
	bool			 sealed;	/* on disk, with the mark */
	int64_t			 interval;	/* log bytes per entry */
};

void	 idx_init(struct idx *);
void	 idx_free(struct idx *);
/* A batch with this base offset starts at pos; max_ts: of all before it.
 * Adds an entry when interval bytes have passed since the last (the first
 * batch of a segment needs none); from IDX_PENDING_MAX entries that wait on
 * IDX_INTERVAL at least, and twice as many for each IDX_PENDING_MAX more,
 * which bounds them.  E_NOMEM. */
enum err idx_note(struct idx *, int64_t offset, int64_t pos, int64_t max_ts)
	    MUST;
/* Whether idx_note adds one for a batch at pos. */
bool	 idx_due(const struct idx *, int64_t pos);
/* Adds an entry at the synced end whatever the interval (no-op when the last
 * entry is there already). */
enum err idx_checkpoint(struct idx *, int64_t offset, int64_t pos,
	    int64_t max_ts) MUST;
/* Number of pending entries with pos <= synced: those may go to disk. */
int	 idx_ready(const struct idx *, int64_t synced);
/* Forgets the oldest n pending entries: they are on disk now. */
void	 idx_flushed(struct idx *, int n);
/* Greatest pending entry with .offset <= offset (by = 0) or .pos <= pos
 * (by = 1) or .max_ts < ts (by = 2); NULL when there is none. */
const struct idx_entry *idx_pending_find(const struct idx *, int by,
	    int64_t value);

/* On disk.  path is the .idx file's.  These block; worker threads. */
/* Writes n > 0 entries as numbers nfile.., when nfile is 0 the header first
 * into an emptied file; sealed marks the last one.  Synced (but for the
 * directory) only then: before, losing it costs a rescan.  A segment whose last
 * entry is on disk is sealed by writing that entry again, as number
 * nfile - 1. */
enum err idx_append(const char *path, const struct log_id *, int64_t base,
	    const struct idx_entry *, int n, int64_t nfile, bool sealed) MUST;
/* Opens and checks: *n entries up to the last good one (a torn or foreign tail
 * is not counted; bad ones below it are, and lookups step over them), that
 * one and its sealed mark.  E_CORRUPT when the header is not ours (other
 * identity, version, CRC); E_NOTFOUND also when a crash left no header. */
enum err idx_open(const char *path, const struct log_id *, int64_t base,
	    int64_t *n, struct idx_entry *last, bool *sealed) MUST;
/* Up to max entries around the value (by as above): the greatest one that
 * fits first, then those that follow.  *n may be 0: start of the segment. */
enum err idx_load(const char *path, const struct log_id *, int64_t base,
	    int64_t nfile, int by, int64_t value, struct idx_entry *out,
	    int max, int *n) MUST;
/*
 * All entries that are good, in *v (malloc'ed, the caller's, also NULL); *n of
 * them.  *bad: the position in the file of the first entry that is not, -1
 * none; zeros at the end, which a crash leaves, are bad too.  Fails as
 * idx_open; E_TOO_LARGE for a file that no segment has.
 */
enum err idx_slurp(const char *path, const struct log_id *, int64_t base,
	    struct idx_entry **v, int64_t *n, bool *sealed, int64_t *bad) MUST;
/* Cuts the file to n entries (0: removes it). */
enum err idx_cut(const char *path, int64_t n) MUST;

#endif
