/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data directory read without its engine, whatever state that left it in:
 * topics by the catalogue, records by the segments.  Nothing is written, and
 * what only recovery could bring back (the journal's) is not seen.
 */
#ifndef LOCAL_H
#define LOCAL_H

#include "lib/client.h"

struct local;

/* E_NOTFOUND: it is no data directory. */
enum err local_open(const char *data_dir, struct local **) MUST;
void	 local_close(struct local *);
const char *local_dir(const struct local *);
/* As src_view; it never changes.  all: also topics that are not searched. */
enum err local_view(struct local *, bool all, struct view_res *,
	    struct arena *) MUST;
/* As eng_fetch: whole batches from the one that holds the offset, or that
 * comes next.  E_CORRUPT: there is damage. */
enum err local_fetch(struct local *, const struct fetch_want *,
	    struct extents *) MUST;

#endif
