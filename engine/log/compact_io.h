/* SPDX-License-Identifier: Apache-2.0 */
/* What compaction reads and writes: whole batches in, a new segment out. */
#ifndef COMPACT_IO_H
#define COMPACT_IO_H

#include "compact.h"

/* From the first batch of segment number i to its end. */
enum err compact_in_open(struct compaction *, struct compact_in *, int i)
	    MUST;
/* The next batch, whole, its CRC right; valid until the next call.  E_EOF at
 * the end, E_CORRUPT. */
enum err compact_in_next(struct compaction *, struct compact_in *,
	    const uint8_t **, struct batch *) MUST;
void	 compact_in_close(struct compact_in *);

enum err compact_out_open(struct compaction *, int64_t base) MUST;
enum err compact_out_put(struct compaction *, const uint8_t *,
	    const struct batch *) MUST;
/* All is written: syncs it, and seals its index. */
enum err compact_out_finish(struct compaction *, int64_t end_offset) MUST;
void	 compact_out_close(struct compaction *);
/* ... and removes the file. */
void	 compact_out_drop(struct compaction *);

#endif
