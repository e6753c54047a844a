/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be read before a fetch can go on, gathered and read at once. */
#ifndef COLD_H
#define COLD_H

#include "look.h"

struct cold;

/* Whether the loop may look at bytes of a segment that are in memory: not where
 * it could set off what the kernel reads ahead, while appends go first. */
bool	 cold_may_look(const struct part *, const struct seg *);
/* Adds a range of a segment, and index entries about the offset if they are
 * not in memory.  Makes *c when it is NULL. */
enum err cold_add(struct cold **c, struct part *, struct seg *,
	    int64_t offset, const struct fetch_extent *range) MUST;
/* Adds the leader epochs of a partition. */
enum err cold_add_history(struct cold **c, struct part *) MUST;
/* Reads; done is called on the loop, when it is all there or failed. */
void	 cold_start(struct cold *, struct engine *, void (*done)(void *),
	    void *arg);

#endif
