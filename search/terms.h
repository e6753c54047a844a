/* SPDX-License-Identifier: Apache-2.0 */
/* Terms of the index, from terms.def. */
#ifndef TERMS_H
#define TERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum term {
#define TERM(n, ...)	TERM_##n,
#include "terms.def"
	TERMS
};

enum {
	TERM_TEXT_MAX	= 180,	/* bytes kept of a long one, NULs twice */
	TERM_SIZE	= 240,	/* of any term */
	TERM_SEP	= 0x1f,	/* US, between a path and a value */
	TERM_CUT	= 0x1e,	/* RS, ends what stands for many words */
	TERM_ID_KEPT	= 4,	/* bytes of such an id */
};

struct term_buf {
	char	p[TERM_SIZE];
	size_t	n;
	bool	whole;		/* nothing was cut off */
};

/* PREFIX text, or PREFIX path US text.  What is too long is cut, and a hash
 * of all of it follows. */
void	 term_make(struct term_buf *, enum term, const char *path,
	    const char *text, size_t n);
uint64_t term_hash(const char *, size_t n);
/* The beginning of all terms for texts that begin so. */
void	 term_start(struct term_buf *, enum term, const char *path,
	    const char *text, size_t n);
/* What stands for all words that begin so: a random id, or a long number. */
void	 term_cut(struct term_buf *, enum term, const char *path,
	    const char *text, size_t n);

#endif
