/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator with a limit: one per request, freed whole when the reply
 * is out.  Nobody frees inside a handler.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk	*head;	/* newest first */
	size_t			 left;	/* bytes left in the newest chunk */
	size_t			 used;	/* bytes taken from malloc so far */
	size_t			 limit;	/* most bytes to take */
};

/* An empty arena owns no memory.  limit: bytes. */
void	 arena_init(struct arena *, size_t limit);
/* Zeroed memory, aligned to 16; NULL past the limit or without memory. */
void	*arena_alloc(struct arena *, size_t n);
/* n zeroed elements of the given size; NULL also when n * size overflows. */
void	*arena_array(struct arena *, size_t n, size_t size);
/* A NUL-terminated copy of n bytes. */
char	*arena_strndup(struct arena *, const char *, size_t n);
/* Frees everything; the arena can be used again with the same limit. */
void	 arena_reset(struct arena *);

#endif
