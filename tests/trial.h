/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trial decodings as the gateway and the engine do them: under the memory rule
 * of limits.h, which is asserted, and of bytes that end where their heap block
 * ends, so that a sanitizer sees a read past them.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include <stddef.h>

#include "lib/schema.h"

/* Room for any message. */
struct any { max_align_t x[64]; };

struct trial {
	struct arena	 a;
	uint8_t		*copy;
	size_t		 left;		/* bytes not read */
};

/* What a frame of n bytes may decode to. */
size_t		 trial_allowance(size_t n);
/* Decodes n bytes to out, which stays valid until trial_end. */
enum err	 trial(struct trial *, const struct msg *, int v,
		    const void *p, size_t n, struct any *out) MUST;
void		 trial_end(struct trial *);
/* Decodes and forgets; one that succeeds must leave nothing over. */
enum err	 trial_result(const struct msg *, int v, const void *p,
		    size_t n) MUST;

#endif
