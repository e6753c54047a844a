/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables of structs that have a node among their members, so an entry
 * costs no memory of its own.  There are as many chains as entries, or up to
 * twice as many.
 */
#ifndef HASH_H
#define HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct hash_node { struct hash_node *next; uint64_t hash; };
struct hash {
	struct hash_node **v;		/* chains */
	size_t		 size, n;	/* of chains, a power of two or 0; of
					 * entries */
};

/* The struct that a node is a member of. */
#define HASH_OF(node, type, member) \
	((type *)(void *)((char *)(node) - offsetof(type, member)))

/* Of bytes that others choose: every process hashes in its own way. */
uint64_t hash_bytes(const void *, size_t n);
/* Makes room for one more entry: E_NOMEM. */
enum err hash_room(struct hash *) MUST;
/* Gives back what many entries needed that are not there any more; not when
 * that takes memory that is not there. */
void	 hash_trim(struct hash *);
/* There must be room. */
void	 hash_put(struct hash *, struct hash_node *, uint64_t hash);
void	 hash_drop(struct hash *, struct hash_node *);
/* Those with this hash: what is looked for, and perhaps others. */
struct hash_node *hash_first(const struct hash *, uint64_t hash);
struct hash_node *hash_again(const struct hash_node *);
/* All of them in no order: the first is behind NULL. */
struct hash_node *hash_next(const struct hash *, const struct hash_node *);
/* The one at hand may be dropped. */
#define HASH_EACH(x, h) \
	for (struct hash_node *x = hash_next(h, NULL), *x##_next; \
	    x != NULL && (x##_next = hash_next(h, x), true); x = x##_next)
#define HASH_FIND(x, h, hash) \
	for (struct hash_node *x = hash_first(h, hash); x != NULL; \
	    x = hash_again(x))
/* Frees the table, not what is in it. */
void	 hash_free(struct hash *);

#endif
