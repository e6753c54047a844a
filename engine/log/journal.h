/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: small appends of many partitions become durable by one write
 * and one sync of a file that was written before, instead of a sync of each
 * segment.  The bytes are in the segments all the time, by plain writes; the
 * journal has them too, until a sync of the whole file system, in the bulk
 * pool, has settled them there.
 *
 *   FREE --rotate--> ACTIVE --no room--> FULL --settled--> FREE
 *   any  --failed write or sync--> the whole journal is off until a restart
 *
 * Invariants:
 *  1. What a record holds was written to its segment before the record.
 *  2. Bytes are durable when they are in a synced record of a file that is
 *     ACTIVE or FULL, or in a synced segment.  Only then they count as synced
 *     anywhere else in the engine.
 *  3. A file is FREE only after every segment of its records has been synced
 *     and, after that, a header that says so.  When that sync failed, or any
 *     segment's since the lap began (the next one may call clean what was
 *     lost), each piece is written to its segment once more and that synced
 *     alone; partitions of which that fails are fenced, and the file stays.
 *  4. The records of one round are written and synced before those of the
 *     next.  After a failure no more are written: so records that may not be
 *     on the disk are the last ones, and nothing in them has been promised
 *     before its segment was synced directly.
 *  5. At start, and before a fenced partition is recovered, records are
 *     written to their segments again, in order, before anything else looks at
 *     those.  A batch that the segment has with a greater leader epoch stays:
 *     it was written after a recovery that did not find the record's.
 *  6. A segment whose bytes the journal may hold (journal_holds) must not be
 *     replaced by another file of the same name: a replay would write into it.
 *     Segments that are deleted or moved are not there for a replay.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "journal_file.h"
#include "part.h"

enum { JOURNAL_FILES = 4, JOURNAL_ALL = (1 << JOURNAL_FILES) - 1 };

/* What a worker writes with: handed to it with a round, and given back. */
struct journal_run {
	struct journal_file *file;
	struct journal_head head;
	int		 fd;
	int64_t		 end;		/* where the next record goes */
	uint32_t	 number;	/* of the next record */
	uint8_t		*buf;		/* JOURNAL_BUF bytes */
	size_t		 used;		/* by the record that is being made */
	uint32_t	 pieces;	/* in it */
	enum err	 err;
};

struct journal_file {
	enum { JOURNAL_NONE, JOURNAL_FREE, JOURNAL_ACTIVE, JOURNAL_FULL } state;
	struct journal_head head;
	int		 fd;
	int64_t		 end;
	uint32_t	 number;
	unsigned	 failures;	/* seg_sync_failures when it began */
	bool		 doubtful;	/* it was not settled by a sync */
};

struct journal {
	struct engine	*eng;
	struct journal_file files[JOURNAL_FILES];
	struct journal_file *active;	/* NULL: none */
	int64_t		 file_bytes;	/* of each; 0: no journal is wanted */
	uint64_t	 lap;		/* the last that was given out */
	bool		 on, made;	/* made: tried to, or is about to */
	bool		 settling;
	struct journal_run run;
	struct log_id	*unsettled;	/* at start: could not be written */
	int		 nunsettled;
	int64_t		 records, laps, bytes;	/* counted */
};

/* Writes what is there to its segments, syncs them, and frees the files.
 * Blocks.  why as in engine_open. */
enum err journal_open(struct journal *, struct engine *, char *why, size_t size)
	    MUST;
void	 journal_close(struct journal *);

/* Room for that many bytes in n pieces, or NULL: then segments are synced.
 * make: have the files made if there are none.  Given back by journal_end,
 * when the worker is done with it. */
struct journal_run *journal_begin(struct journal *, int64_t bytes, int n,
	    bool make);
void	 journal_end(struct journal *, struct journal_run *);
/* On the worker.  Adds [pos, pos + len) of the segment's file; E_CORRUPT when
 * that is not whole batches any more.  An error of the journal's own comes
 * from journal_sync only. */
enum err journal_add(struct journal_run *, const struct log_id *,
	    struct seg *, int64_t pos, int64_t len) MUST;
/* Writes and syncs all that was added. */
enum err journal_sync(struct journal_run *) MUST;

/* Records may hold bytes of the segment, or of any of the partition's. */
bool	 journal_holds(const struct journal *, const struct seg *);
bool	 journal_holds_part(const struct journal *, const struct part *);
/* Somebody waits for that to end: settles what is there now, unless a worker
 * has the file, or a job is at it. */
void	 journal_settle(struct journal *);
/* Clean stop: settles everything; true when that is done or cannot be. */
bool	 journal_stop(struct journal *);
/* Nothing in it is needed. */
bool	 journal_empty(const struct journal *);

/*
 * In journal_replay.c.  Writes the pieces of all files to their segments, of
 * one partition only if not NULL.  each: and syncs every segment.  Whose
 * segments cannot be written is told to bad, and is no error of the whole.
 * pieces: how many there were; skipped: bytes of records that are not whole
 * but have whole ones behind them.  Blocks; any thread.
 */
struct journal_replay {
	const char	*data;
	const struct log_id *only;
	unsigned	 files;		/* bit n: <n>.jnl */
	bool		 each;
	void		(*bad)(void *arg, const struct log_id *, enum err);
	void		*arg;
	int64_t		 pieces, skipped;
	char		 why[256];
};
enum err journal_replay(struct journal_replay *) MUST;
/* The same for one partition, synced: E_OK when all is there. */
enum err journal_restore(const char *data, const struct log_id *) MUST;
/* The paths: of a file, of the directory (n < 0). */
void	 journal_path(char *buf, const char *data, int n);

#endif
