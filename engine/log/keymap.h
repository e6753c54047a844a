/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest offset of each key, for compaction: a hash table of fixed size.
 * A key is known by 128 bits of SipHash under a random secret, so two keys are
 * never taken for one but by a chance of 1 in 2^128 each, and nobody who
 * chooses keys can make them meet.  An entry has KEYMAP_ENTRY bytes, whatever
 * the key's length; a table is filled to nine tenths.
 */
#ifndef KEYMAP_H
#define KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

enum { KEYMAP_ENTRY = 24 };

struct keymap;

/* Room for keys_max keys if that takes no more than bytes, or else for what
 * does, but at least one.  E_NOMEM. */
enum err keymap_new(int64_t bytes, int64_t keys_max, struct keymap **) MUST;
void	 keymap_free(struct keymap *);
bool	 keymap_full(const struct keymap *);
/* Offsets of a key come in rising order; the map is not full. */
void	 keymap_put(struct keymap *, const void *key, size_t n,
	    int64_t offset);
/* -1: a key that it does not hold. */
int64_t	 keymap_get(const struct keymap *, const void *key, size_t n);
int64_t	 keymap_count(const struct keymap *);
int64_t	 keymap_bytes(const struct keymap *);

#endif
