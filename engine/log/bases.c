/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of base offsets. */
#include <stdlib.h>

#include "bases.h"

bool
bases_add(struct bases *b, int64_t base)
{
	if (b->n == b->cap) {
		int cap = b->cap == 0 ? 8 : b->cap * 2;
		int64_t *v = realloc(b->v, (size_t)cap * sizeof *v);

		if (v == NULL)
			return false;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = base;
	return true;
}

static int
rising(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void
bases_sort(struct bases *b)
{
	if (b->n > 0)
		qsort(b->v, (size_t)b->n, sizeof *b->v, rising);
}

bool
bases_have(const struct bases *b, int64_t base)
{
	return b->n > 0 && bsearch(&base, b->v, (size_t)b->n, sizeof base,
	    rising) != NULL;
}
