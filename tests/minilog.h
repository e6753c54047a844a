/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small writer of logs for the storage tests, and a model of what it wrote:
 * it keeps the engine's rules (sync before index entry, segments synced in
 * order, directory synced after creation) and remembers every batch, so that a
 * test can say after a crash what must be there and what may be.
 */
#ifndef MINILOG_H
#define MINILOG_H

#include "log/recover.h"

struct mini_batch {
	struct batch	 b;
	uint8_t		*p;		/* whole, batch_size(&b) bytes */
};

struct mini {
	char		  dir[64], lost[64];
	struct log_id	  id;
	bool		  relaxed;	/* roll without a sync */
	struct seg	**segs;
	int		  nsegs, cap;
	struct prod_table *prods;
	int64_t		  start, next;	/* as the engine's */
	int64_t		  synced;	/* offset; readers see what is below */
	uint64_t	  rng;
	int32_t		  epoch;
	int32_t		  seqs[4];	/* next sequence of our producers */
	bool		  failed;	/* a write or sync failed: fenced */
	/* The model: all batches ever written, by offset without a gap. */
	struct mini_batch *all;
	int		  nall, all_cap;
};

uint64_t mini_rnd(uint64_t *state);
/* Makes the checksums of batches right that a fuzzer has changed. */
void	 log_fix_crcs(uint8_t *p, size_t n);
/* Fills p with a batch of n records and payload random bytes, which are no
 * records: recovery does not look at them.  The size is returned. */
size_t	 mini_batch(uint8_t *p, struct batch *b, size_t payload, uint64_t rnd);

/* Makes the directories (durable) of a log, and opens it empty. */
void	 mini_init(struct mini *, const char *dir, const struct log_id *,
	    uint64_t seed);
/* Forgets the handles, keeps the model. */
void	 mini_close(struct mini *);
void	 mini_free(struct mini *);
/* Appends n batches with one write; a first segment is made when needed. */
enum err mini_append(struct mini *, int n, size_t payload_max) MUST;
/* Syncs all segments, oldest first, and flushes their index entries. */
enum err mini_sync(struct mini *) MUST;
enum err mini_roll(struct mini *) MUST;
enum err mini_snapshot(struct mini *) MUST;
/* Deletes the oldest segment. */
enum err mini_retain(struct mini *) MUST;
/* Syncs and writes everything that a clean stop writes but the marker. */
enum err mini_stop(struct mini *) MUST;
/* Goes on where recovery ended; the model forgets what lies past the end. */
void	 mini_adopt(struct mini *, struct recovered *);

/*
 * Compares what recovery found with the model: the end is not below least,
 * every byte up to it is the model's, producers are as after these batches.
 * Returns NULL or what is wrong (valid until the next call).
 */
const char *mini_verify(const struct mini *, const struct recovered *,
	    int64_t least);

#endif
