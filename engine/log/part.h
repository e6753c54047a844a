/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition: a list of segments, what is queued for it, who waits on it.
 * The catalogue's log is one too.  Everything here belongs to the loop.
 *
 * Invariants, while online:
 *  1. start <= hw <= written end (of the last segment) <= next.
 *  2. queue holds the batches of [written end or the flying write, next) in
 *     offset order; at most one write of a partition is in flight.
 *  3. unsynced holds the answered-after-sync batches below written end.
 *  4. Policy commit: hw is the synced end; so a reader never sees what a
 *     crash takes back.  Otherwise hw is the written end.
 *  5. Producer state covers everything below next.
 *  6. start never goes back: it is the first segment's base, or what
 *     DeleteRecords made of it, which the catalogue holds.
 *
 *   RECOVERING -> ONLINE -> FENCED -> RECOVERING     a failed write or sync
 *   RECOVERING -> OFFLINE                            damage: needs a person
 *   any        -> GONE                               topic deleted
 */
#ifndef PART_H
#define PART_H

#include "cleaner.h"
#include "lib/batch.h"
#include "pool.h"
#include "recover.h"
#include "timer.h"

struct engine;
struct part;
struct topic;
struct fetch_row;
struct history;

enum part_state {
	PART_RECOVERING, PART_ONLINE, PART_FENCED, PART_OFFLINE, PART_GONE
};

/* One batch on its way to the disk.  The owner keeps body and the struct until
 * done is called, exactly once, on the loop. */
struct append {
	struct append	*next;
	struct batch	 b;		/* base_offset is assigned */
	uint8_t		 head[BATCH_HEADER];
	bool		 all;		/* acks=all: answer when durable */
	bool		 written;	/* set once body is not read any more */
	const uint8_t	*body;		/* what follows the header */
	void		(*done)(struct append *, enum err);
};

struct append_list {
	struct append *head, **tail;
};

/* Index entries near an offset, loaded from an index file: a cache that the
 * engine bounds.  Owned by its partition. */
enum { WINDOW_ENTRIES = 512 };
struct window {
	struct window		*next, **prevp;	/* the oldest first */
	struct part		*part;
	uint64_t		 handle; /* of the segment */
	int64_t			 nfile;	/* entries on disk when it was loaded */
	int			 n;
	bool			 from_start, to_end; /* nothing before, after */
	int64_t			 asked;	/* offset that it was loaded for */
	struct idx_entry	 e[WINDOW_ENTRIES];
};
/* In cold.c: forgets the partition's window. */
void	 window_drop(struct part *);

struct part {
	struct engine	*eng;
	struct topic	*topic;		/* NULL: the catalogue */
	struct log_id	 id;
	enum part_state	 state;
	int32_t		 epoch;		/* leader epoch */
	int64_t		 epoch_start;	/* the log's end when it began */
	struct history	*history;	/* of older epochs; NULL: not loaded */
	uint64_t	 asked;		/* last round that named us */

	struct seg	**segs;		/* rising; the last one grows */
	int		 nsegs, segs_cap;
	int64_t		 start, next, hw;
	/* DeleteRecords: the start that is in the catalogue, 0 none; and the
	 * greatest that was written to it, durable or not. */
	int64_t		 trimmed, trim_rec;
	int64_t		 visible;	/* bytes that came below hw, ever */
	struct prod_table *prods;	/* NULL until a producer comes */
	int64_t		 snapped;	/* offset of the newest .prod, -1 */

	struct append_list queue, unsynced;
	int64_t		 queued_bytes;
	bool		 in_dirty;	/* on the committer's dirty list */
	bool		 writing;	/* a write of ours is in flight */
	struct seg	*writing_seg;	/* to this one; NULL: a new one */
	bool		 in_unsynced;	/* on the committer's unsynced list */
	bool		 idx_busy;	/* an index flush is in flight */
	bool		 in_ckpt;	/* on the checkpoint list */
	bool		 retaining;	/* files are being removed */
	bool		 reaping;	/* deleted ones are, see reap.h */
	int64_t		 reap_due;	/* wall_ms; INT64_MAX: none are there */
	struct clean_state clean;	/* compaction */
	bool		 rolling;	/* no writes until the new segment is
					 * there */
	struct part	*dirty_next, *unsynced_next, *ckpt_next;
	int		 jobs;		/* jobs in flight that know us */
	uint32_t	 gen;		/* grows when results become void */

	/* How durable: from topic config and engine option. */
	bool		 relaxed;	/* hw is the written end */
	int64_t		 flush_messages, flush_ms; /* relaxed: sync after */
	int64_t		 unsynced_since; /* mono_ms of the oldest, 0 none */

	struct timer	 retry;		/* of recovery */
	int		 tries;
	void		(*gone)(struct part *); /* called when free of jobs */

	struct fetch_row *waiters;	/* parked fetches and sessions */
	struct window	*window;	/* NULL until a cold look-up */
};

/* dir: path buffer of PATH_SIZE. */
void	 part_dir(const struct part *, char *dir);
struct part *part_new(struct engine *, struct topic *, const struct log_id *);
/* Lets go of files and tables of one that is gone. */
void	 part_shed(struct part *);
void	 part_free(struct part *);	/* no jobs, no waiters, empty queues */
struct seg *part_active(const struct part *);
/* The end of what was written (not queued). */
int64_t	 part_written(const struct part *);
/* Appends a segment to the list; takes a reference. */
enum err part_adopt(struct part *, struct seg *) MUST;
/* Takes over the topic's configs, or the engine's. */
void	 part_policy(struct part *);
/* index.interval.bytes, as far as it goes. */
int64_t	 part_idx_interval(const struct part *);

/* Takes over what recovery found and goes online with the epoch. */
enum err part_install(struct part *, struct recovered *, int32_t epoch) MUST;

/*
 * Queues a batch: assigns its offsets, patches its header.  The caller has
 * judged it (prod_check) and now its producer state is taken in.  E_FENCED
 * when not online, part_refusal of E_NOSPC; then done is not called.
 */
enum err part_append(struct part *, struct append *) MUST;
/* Of a batch that is not written: E_STORAGE or E_NOSPC, or what an idempotent
 * producer hears instead. */
enum err part_refusal(const struct batch *, enum err) MUST;
/* Has a repeated batch answered when the first one is as durable as an answer
 * needs; only a->b's offsets and done are used. */
void	 part_await(struct part *, struct append *);
/* Fails everything that waits, and has the partition recovered.  more: of a
 * write that failed; undone: and was taken back.  The catalogue outlives only
 * a write that found no room and was taken back. */
void	 part_fence(struct part *, enum err, struct append_list *more,
	    bool undone);
/* No longer reachable: fails what waits; gone() comes when jobs are back. */
void	 part_drop(struct part *, void (*gone)(struct part *));
/* A job that knew the partition came back. */
void	 part_job_done(struct part *);
/* The catalogue holds that records below offset are deleted. */
void	 part_trim(struct part *, int64_t offset);
/* hw moved: answers waiting appends, wakes fetches. */
void	 part_advance(struct part *);
/* The segment that holds offset: the last one with base <= offset. */
struct seg *part_seg(const struct part *, int64_t offset, int *at);

void	 append_list_init(struct append_list *);
void	 append_list_put(struct append_list *, struct append *);
void	 append_list_fail(struct append_list *, enum err);

#endif
