/* SPDX-License-Identifier: Apache-2.0 */
/* How far the search index of a topic is, for chronik topic show. */
#ifndef CTL_INDEX_H
#define CTL_INDEX_H

#include "ctl.h"

/* Whether the topic is searched, and if so what is known of its partitions,
 * the caller's; NULL when nothing is. */
bool	 index_get(const struct args *, const struct topic_stats_res_topic *,
	    json_t **rows);
/* Adds to a partition's object what the index has of it. */
void	 index_put(json_t *part, const json_t *rows);
/* An object for all partitions together. */
json_t	*index_sum(const json_t *rows);
/* The same as a line. */
void	 index_print(const json_t *rows);

#endif
