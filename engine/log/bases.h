/* SPDX-License-Identifier: Apache-2.0 */
/* Base offsets that are found among the names of a directory. */
#ifndef BASES_H
#define BASES_H

#include <stdbool.h>
#include <stdint.h>

struct bases {
	int64_t	*v;
	int	 n, cap;
};

/* False: out of memory. */
bool	 bases_add(struct bases *, int64_t base);
void	 bases_sort(struct bases *);
/* They are sorted. */
bool	 bases_have(const struct bases *, int64_t base);

#endif
