/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that a gateway shares with the engine: a memfd, handed out in
 * contiguous pieces.  The engine maps it once, at hello.
 */
#ifndef REGION_H
#define REGION_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct span {
	size_t	at, len;
};

/*
 * Invariants: free[] is ascending by place and no two of its spans touch;
 * every byte is in one of them or in a piece that a caller holds; bytes
 * below warm have been touched.
 */
struct region {
	uint8_t		*base;
	size_t		 size, warm;
	int		 fd;
	struct span	*free;
	size_t		 nfree, cap;
};

enum { REGION_PAGE = 4096 };	/* pieces start and end on it */

/* E_NOMEM, E_IO. */
enum err region_open(struct region *, size_t bytes) MUST;
void	 region_close(struct region *);
/* Puts new memory under the pieces that are held, with what is in them, and
 * leaves the old to whoever else maps it.  Their places and addresses stay.
 * On failure nothing has changed. */
enum err region_renew(struct region *) MUST;
/* The lowest piece of n bytes; -1: there is none now. */
int64_t	 region_alloc(struct region *, size_t n) MUST;
/* Gives back a piece with the n it was allocated or grown to. */
void	 region_free(struct region *, int64_t place, size_t n);
/* Makes a piece of n bytes one of more, in place.  E_BUSY: no room there. */
enum err region_grow(struct region *, int64_t place, size_t n, size_t more)
	    MUST;
/* The same, by a move where it must be; place may change.  E_BUSY. */
enum err region_move(struct region *, int64_t *place, size_t n, size_t more)
	    MUST;

#endif
