/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotent producers of one partition: the last five batches of each
 * producer id, so that a retry is answered with its first offset and a gap is
 * refused (KIP-98; protocol.md 3.3).  The log is the truth: the table is
 * rebuilt from a snapshot and the batches after it.
 */
#ifndef PROD_H
#define PROD_H

#include <stdbool.h>
#include <stdint.h>

#include "format.h"
#include "lib/batch.h"
#include "lib/limits.h"

struct prod_table;	/* hash table, owned by its partition */

struct prod_hit {	/* an earlier batch that this one repeats */
	int64_t	first_offset, last_offset, ts;
};

struct prod_table *prod_new(void);
void	 prod_free(struct prod_table *);
int	 prod_count(const struct prod_table *);

/*
 * Judges a batch of a producer (pid >= 0) before it is appended; changes
 * nothing.  E_OK: append.  E_DUPLICATE_SEQUENCE: it is *hit again.
 * E_OUT_OF_ORDER_SEQUENCE, E_INVALID_PRODUCER_EPOCH.  An unknown pid may
 * start at any sequence.
 */
enum err prod_check(const struct prod_table *, const struct batch *,
	    struct prod_hit *) MUST;
/* Takes a batch in, with its offsets assigned; it passed prod_check, or comes
 * from the log.  Control batches renew epoch and time only.  E_NOMEM.
 * When PRODUCERS_MAX is reached the one that has been silent longest goes.
 * now_ms: by mono_ms. */
enum err prod_note(struct prod_table *, const struct batch *, int64_t now_ms)
	    MUST;
/* Drops up to max producers that have not been heard of since cutoff (of
 * mono_ms), also from before a restart; returns how many went. */
int	 prod_expire(struct prod_table *, int64_t cutoff_ms, int max);

struct prod_info {
	int64_t	pid, ts;
	int64_t	last_offset;	/* of its last batch of data, -1 none */
	int32_t	last_seq;
	int16_t	epoch;
};
/* Calls back with each producer, in no order; last_seq -1: none. */
void	 prod_each(const struct prod_table *,
	    void (*each)(const struct prod_info *, void *), void *arg);

/* In producers.c: starts the one periodic check of all partitions. */
struct engine;
void	 producers_expire_start(struct engine *);

/* Snapshot bytes for the state at offset, in out. */
enum err prod_encode(const struct prod_table *, const struct log_id *,
	    int64_t offset, struct wr *out) MUST;
/* Replaces the table's state; E_CORRUPT leaves it empty. */
enum err prod_decode(struct prod_table *, const struct log_id *,
	    int64_t offset, const uint8_t *, size_t n) MUST;

#endif
