/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of partitions: sorted arrays of numbers, a topic's index in the upper
 * half and a partition in the lower.  What an index means is the owner's
 * business.
 */
#ifndef TPS_H
#define TPS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct tps {
	uint64_t	*v;	/* ours; ascending */
	int		 n, cap;
};

static inline uint64_t
tp_of(int32_t topic, int32_t part)
{
	return (uint64_t)(uint32_t)topic << 32 | (uint32_t)part;
}

static inline int32_t
tp_topic(uint64_t tp)
{
	return (int32_t)(tp >> 32);
}

static inline int32_t
tp_part(uint64_t tp)
{
	return (int32_t)(uint32_t)tp;
}

void	 tps_free(struct tps *);
/* Adds at the end, in any order; tps_sort makes a set of it. */
enum err tps_push(struct tps *, uint64_t tp) MUST;
void	 tps_sort(struct tps *);
enum err tps_copy(struct tps *to, const struct tps *from) MUST;
bool	 tps_has(const struct tps *, uint64_t tp);
/* Its place in the set, -1: it has none. */
int	 tps_find(const struct tps *, uint64_t tp);
bool	 tps_eq(const struct tps *, const struct tps *);
/* Of a: what is also in b, and what is not.  Both outs begin empty. */
enum err tps_split(const struct tps *a, const struct tps *b,
	    struct tps *both, struct tps *only) MUST;

#endif
