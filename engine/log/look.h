/* SPDX-License-Identifier: Apache-2.0 */
/* From an offset of a partition to bytes of a segment. */
#ifndef LOOK_H
#define LOOK_H

#include "part.h"

/* One extent of an answer, with a reference on its segment. */
struct fetch_extent {
	struct seg	*seg;
	int64_t		 pos;
	int32_t		 len;
	int64_t		 expect;	/* the offset at pos, or less */
};

struct look_want {
	int64_t	offset;
	int64_t	avail;		/* out: bytes there, up to max */
	int64_t	max;		/* bytes; may be <= 0 */
	bool	whole;		/* give one batch even if it is larger */
	bool	read;		/* a job has just read what is wanted */
	bool	block;
};

enum look { LOOK_OK, LOOK_COLD, LOOK_BAD, LOOK_FAIL };

/*
 * Fills the extent; its segment is not referenced yet.  LOOK_OK with a seg of
 * NULL: nothing to give.  LOOK_COLD: *cold (a segment) and the extent's range
 * say what to read ahead and prove.  LOOK_BAD: the offset is in the damaged
 * part of *cold.  LOOK_FAIL: *cold cannot be read, or makes no sense.
 */
enum look look_extent(const struct part *, struct look_want *,
	    struct fetch_extent *, struct seg **cold);
/* The end of what readers may see of a segment, bytes. */
int64_t	 look_visible(const struct part *, const struct seg *);
/* What is to be proved of a range that was LOOK_COLD, and what came of it. */
struct proof look_proof(const struct part *, const struct seg *,
	    const struct fetch_extent *);
void	 look_proved(const struct part *, struct seg *, const struct proof *);
/* The window says where offset is. */
bool	 look_covered(const struct window *, const struct seg *,
	    int64_t offset);

#endif
