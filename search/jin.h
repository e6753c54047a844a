/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON read from its text, value by value, without a tree: RFC 8259, in UTF-8,
 * with integers of 64 bits, no NUL in names and JIN_DEPTH_MAX levels, which is
 * what jansson takes.  What it gives lives in the text, or in the arena where
 * that has escapes.
 */
#ifndef JIN_H
#define JIN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/arena.h"

enum { JIN_DEPTH_MAX = 2048 };

struct jin {
	const char	*at, *end;
	struct arena	*arena;
	bool		 no_memory;	/* after false */
};

/* The first byte of what comes next; 0: nothing does. */
char	 jin_next(struct jin *);
/* Takes that byte if it is this one. */
bool	 jin_take(struct jin *, char);
/* False: there is none here, which makes all of the text no JSON. */
bool	 jin_string(struct jin *, const char **, size_t *n);
/* As the shortest decimal that reads back the same. */
bool	 jin_number(struct jin *, const char **, size_t *n, double *);
/* true, false or null. */
bool	 jin_literal(struct jin *, const char **, size_t *n);

#endif
