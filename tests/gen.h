/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages made up from their rows, for tests and seed corpora: every row
 * gets nulls, empties, boundary numbers and nested arrays, by a seeded PRNG,
 * so that a failure repeats.
 */
#ifndef GEN_H
#define GEN_H

#include "lib/schema.h"

struct gen {
	struct arena	*a;		/* holds what the values point to */
	uint64_t	 state;		/* of the PRNG */
	int		 elems;		/* array elements still allowed */
	bool		 small;		/* no long strings or arrays */
	bool		 dirty;		/* fields absent in v get values too */
};

uint64_t	 gen_u64(struct gen *);
/* A number below n. */
uint32_t	 gen_below(struct gen *, uint32_t n);
/* Fills out so that it can be written in version v. */
void		 gen_msg(struct gen *, const struct msg *, int v, void *out);
/* True when the fields that version v has are the same in both. */
bool		 gen_same(const struct msg *, int v, const void *,
		    const void *);

#endif
