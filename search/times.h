/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timestamps of a shard's documents.  Value slots would take nine bytes for
 * each; here neighbours of one time share two, and others take three or so.
 *
 * The metadata time.NN has those of the ids from NN * 4096 + 1 on, of 4096 at
 * most: for each stretch of one timestamp
 *
 *   varlong   the timestamp less that of the stretch before, or 0
 *   uvarint   how many ids have it
 *
 * Ids without a document, which may stand between others, belong to one of the
 * stretches beside them.  The metadata times has the least and the greatest
 * timestamp, in decimal with a blank between.
 */
#ifndef TIMES_H
#define TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define _Noreturn [[noreturn]]
extern "C" {
#endif
#include "lib/err.h"

enum {
	TIMES_BLOCK	= 4096,		/* ids */
	TIMES_NAME	= 16,		/* bytes of a key */
};

/* ---- reading ----------------------------------------------------------- */

struct xap_db;

/* A stretch of a block, and what follows it. */
struct times_at {
	const uint8_t	*rest, *end;
	uint32_t	 first, n;	/* ids */
	uint32_t	 limit;		/* behind those of the block */
	int64_t		 ts;
};

/* The block of an id, and its key. */
unsigned times_block(uint32_t id);
void	 times_key(char out[TIMES_NAME], unsigned block);
/* Before the first stretch of a block; borrows its bytes. */
void	 times_begin(struct times_at *, unsigned block, const void *, size_t n);
/* To the next one.  E_EOF: there is none; E_CORRUPT. */
enum err times_next(struct times_at *) MUST;
/* Of one document.  E_NOTFOUND, E_CORRUPT. */
enum err times_get(struct xap_db *, uint32_t id, int64_t *) MUST;
/* The least and the greatest of a shard.  E_NOTFOUND. */
enum err times_bounds(struct xap_db *, int64_t *low, int64_t *high) MUST;

/* ---- writing ----------------------------------------------------------- */

struct xap_writer;
struct times;

/* Takes up what a shard has, whose next document gets that id or a later one.
 * What times_close frees; E_NOMEM, E_CORRUPT. */
enum err times_open(struct xap_writer *, uint32_t id, struct times **) MUST;
/* The next document: ids rise. */
enum err times_add(struct times *, uint32_t id, int64_t ts) MUST;
/* What is not in the shard's metadata yet goes there. */
enum err times_store(struct times *) MUST;
void	 times_close(struct times *);

#ifdef __cplusplus
}
#endif

#endif
