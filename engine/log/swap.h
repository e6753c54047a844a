/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a compacted segment in the place of those that it was made from, so
 * that a crash leaves the old ones or the new one, and recovery tells which:
 *
 *	<base>.log.cleaned	being written, with <base>.idx.cleaned: it is
 *				thrown away
 *	<base>.log.swap		whole and synced: it takes the place of all
 *				segments from its base to its end
 *
 *   1. cleaned is written and synced.
 *   2. It is renamed to swap; the directory is synced.  Now it counts.
 *   3. The old segments go, their indexes first; the directory is synced.
 *   4. swap is renamed to <base>.log, and its index; the directory is synced.
 *
 * Between 2 and 4 a failure leaves a mixture that only recovery may sort out.
 */
#ifndef SWAP_H
#define SWAP_H

#include "seg.h"

#define SWAP_CLEANED	".log.cleaned"
#define SWAP_IDX	".idx.cleaned"

/* A file name that a swap leaves behind when it is interrupted. */
bool	 swap_name(const char *name);
/* ... and that has begun to count. */
bool	 swap_counts(const char *name);
/* Steps 2 to 4.  bases: of the old segments, rising, the first is the new
 * one's; due: when their files may go (reap.h), 0 at once.  *begun: the new one
 * may count already, so after an error recovery must decide.  Blocks. */
enum err swap_run(const char *dir, const int64_t *bases, int n, int64_t due,
	    bool *begun) MUST;
/* Removes what was being written; harmless when it is not there. */
enum err swap_drop(const char *dir, int64_t base) MUST;
/* Recovery: finishes swaps that count, drops what does not.  E_CORRUPT when a
 * swap is not whole, or no segment begins where it ends: why (size bytes) says
 * what, and nothing has been changed.  Blocks. */
enum err swap_recover(const char *dir, char *why, size_t size) MUST;

#endif
