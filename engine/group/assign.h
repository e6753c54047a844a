/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assignors of KIP-848: who of a group reads which partition.  Pure functions
 * on arrays.  Every partition of a topic that somebody wants is given to one
 * of those who want it.
 */
#ifndef ASSIGN_H
#define ASSIGN_H

#include "tps.h"

struct assign_member {
	const char	*instance, *id;	/* instance NULL: none */
	const int32_t	*topics;	/* indexes, ascending: what it wants */
	int		 ntopics;
	const struct tps *had;	/* so far; may hold what is there no more */
	struct tps	 got;	/* the result, sorted; the caller's to free */
};

struct assignor {
	const char	*name;
	/* nparts: partitions of each of ntopics topics.  E_NOMEM. */
	enum err	(*run)(struct assign_member *, int n,
			    const int32_t *nparts, int ntopics);
};

/*
 * uniform: loads of members that want the same differ by at most one, and no
 * more partitions move than that takes.  Where they want different things,
 * no move of one partition would make the loads more even.
 * range: by topic, in blocks, in the order of instance and member ids; who
 * has partition n of one topic has it of all with as many partitions and the
 * same members.
 */
enum { ASSIGN_UNIFORM, ASSIGN_RANGE, ASSIGN_N };
extern const struct assignor assignors[ASSIGN_N];

#endif
