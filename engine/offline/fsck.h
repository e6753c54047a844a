/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a data directory that no engine uses: every file against every
 * rule that can be told from the files alone, and the repair of what can be
 * put right without losing anything.
 *
 * Rules of repair:
 *  1. What can be made again from the log is made again: indexes, snapshots of
 *     producers.  A log is cut only behind its durable checkpoint, and only
 *     where no whole batch follows; the bytes go to lost+found first.
 *  2. A log with damage that costs records is not touched at all, so that all
 *     that speaks for them stays as it was.  Nothing is deleted.
 *  3. Every step is one that recovery takes too, or one that replaces a whole
 *     file; a crash leaves a directory of which the same repair comes out.
 */
#ifndef FSCK_H
#define FSCK_H

#include "log/bases.h"
#include "log/recover.h"

struct conf;

enum found_state {
	FOUND_NOTE,	/* worth a word, not wrong */
	FOUND_FIXABLE,	/* wrong; a repair loses nothing */
	FOUND_FIXED,	/* was wrong */
	FOUND_BAD,	/* wrong, and needs a person */
};

struct finding {
	enum found_state state;
	const char	*what;		/* a word: "batch", "index", ... */
	const char	*path;
	int64_t		 pos, bytes;	/* -1: of the file as a whole */
	const char	*why;
};

struct fsck {
	const struct conf *conf;	/* of an engine, for the catalogue */
	bool		 deep;		/* look into the records */
	bool		 repair;
	/* Called with each; the strings are not kept. */
	void		(*report)(struct fsck *, const struct finding *);
	void		*arg;
	/* Counted. */
	int64_t		 files, batches, bytes;
	int64_t		 fixable, fixed, bad;
	char		 why[PATH_SIZE + 512];	/* of an error */

	/* Our own. */
	bool		 clean;		/* stopped in order */
	bool		 mute;		/* a second look: count only */
	const char	*data, *lost;	/* DATA, DATA/lost+found */
};

/* A data directory, or a partition's directory in one.  E_BUSY when an engine
 * uses it, E_USAGE when it is neither, errors of the disk; else E_OK, whatever
 * was found. */
enum err fsck_dir(struct fsck *, const char *path) MUST;
/* A single file, as far as it can be judged alone. */
enum err fsck_file(struct fsck *, const char *path) MUST;

/* ---- between the files of the check ---------------------------------- */

/* One log's directory, before and after. */
struct fsck_log {
	const char	*dir;
	struct log_id	 id;
	bool		 serial;	/* the catalogue */
	bool		 gaps;		/* compacted: offsets may be missing */
	int64_t		 start;		/* 0; or what the catalogue says */
	int32_t		 epoch_max;	/* of the engine; -1 not known */

	int		 nlogs;		/* segments */
	int64_t		 last_base;	/* of the newest */
	int64_t		 last_end;	/* position after its last batch */
	int64_t		 end;		/* offset */
	int32_t		 epoch;		/* of its last batch, -1 */
	int64_t		 fixable, bad;	/* found in it */
	struct bases	 idx, prod;	/* to be made again */
};

void	 fsck_found(struct fsck *, struct fsck_log *, enum found_state,
	    const char *what, const char *path, int64_t pos, int64_t bytes,
	    const char *fmt, ...) __attribute__((format(printf, 8, 9)));
/* An error of the world: fills why. */
enum err fsck_fail(struct fsck *, enum err, const char *path) MUST;
/*
 * Small appends may be in the journal and not in their segments, when the
 * engine was not stopped in order.  A repair puts them there first, as the
 * next start would; a look has them over their files, until shadow_end().
 * only: of one log, if not NULL.
 */
enum err fsck_journal(struct fsck *, const struct log_id *only) MUST;
/* Looks at a log, and repairs it when that is asked for and allowed. */
enum err fsck_log(struct fsck *, struct fsck_log *) MUST;
void	 fsck_log_free(struct fsck_log *);
enum err fsck_log_look(struct fsck *, struct fsck_log *) MUST;
enum err fsck_log_fix(struct fsck *, struct fsck_log *) MUST;

#endif
