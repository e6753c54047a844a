/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment's index made anew by tools, from the segment's batches: it is
 * written beside and takes the index's place only when it is whole and synced.
 */
#ifndef REINDEX_H
#define REINDEX_H

#include "idx.h"
#include "lib/batch.h"

struct reindex {
	struct log_id	 id;
	int64_t		 base;		/* of the segment */
	int64_t		 max_ts;	/* of the batches so far */
	struct idx	 idx;
	char		 path[PATH_SIZE], tmp[PATH_SIZE];
};

void	 reindex_begin(struct reindex *, const char *dir,
	    const struct log_id *, int64_t base);
/* The next batch of the segment, at pos. */
enum err reindex_note(struct reindex *, const struct batch *, int64_t pos)
	    MUST;
/*
 * All batches were noted.  The caller has synced the segment, all size bytes
 * of it, and those before it.  end: the offset where the next one begins; the
 * caller syncs the directory.  Also frees.
 */
enum err reindex_end(struct reindex *, int64_t end, int64_t size, bool sealed)
	    MUST;
/* Instead of the end. */
void	 reindex_drop(struct reindex *);

#endif
