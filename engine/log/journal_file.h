/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a journal file: format.h, to and fro. */
#ifndef JOURNAL_FILE_H
#define JOURNAL_FILE_H

#include "format.h"
#include "lib/buf.h"

struct journal_head {
	uint64_t	lap;		/* 0: free */
	uint64_t	id;
};

/* Whole batches of a segment. */
struct journal_piece {
	struct log_id	 id;
	int64_t		 base, pos;
	int32_t		 len;
	const uint8_t	*p;		/* in the bytes that were scanned */
};

/* A block of a file's size, rounded up. */
static inline size_t
journal_blocks(size_t n)
{
	return (n + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

void	 journal_head_put(uint8_t p[JOURNAL_HEAD], const struct journal_head *);
/* E_NOTFOUND: never written; E_CORRUPT; E_UNSUPPORTED_VERSION. */
enum err journal_head_get(const uint8_t *, size_t n, struct journal_head *)
	    MUST;
/* The head of a piece, whose bytes follow it. */
void	 journal_piece_put(uint8_t p[JOURNAL_PIECE],
	    const struct journal_piece *);
/* The head of a record of n bytes in all, the pieces being there already. */
void	 journal_record_put(uint8_t *p, size_t n, uint64_t id,
	    uint32_t number, uint32_t pieces);

/*
 * Walks the records of a whole file's bytes.  each gets every piece, in
 * order; what it returns but E_OK ends the walk.  *end: behind the last good
 * record.  *skipped: bytes of records that are not whole but have whole ones
 * behind them: damage, or several that were being written.
 */
enum err journal_scan(const uint8_t *, size_t n, const struct journal_head *,
	    enum err (*each)(const struct journal_piece *, void *), void *arg,
	    size_t *end, size_t *skipped) MUST;

#endif
