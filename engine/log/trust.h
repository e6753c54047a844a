/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a segment has been proved to be what was written, and what has been
 * found damaged.  A disk may give back other bytes than it was given, and no
 * consumer need check them: so what is read from it is proved, batch by batch,
 * before anybody is told where it is.
 *
 * Bytes that this process wrote are taken for good as long as they stay in
 * memory; whoever reads a range from the disk again proves it again.
 *
 * Damage costs the batches that it is in, no more: it is remembered as a range
 * of bytes and offsets, named in the log once, answered with an error, and
 * what lies behind it is served.  Nothing is cut off or repaired here.
 *
 * A batch is good when its header makes sense, its CRC is right, and what the
 * CRC does not cover fits its neighbours: its offsets begin where the batch
 * before it ends (or later: compaction leaves gaps) and end before the next
 * begins, and leader epochs do not fall.
 */
#ifndef TRUST_H
#define TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

/* Bytes [pos, next) do not tell the records [offset, next_offset). */
struct damage {
	int64_t	pos, next;
	int64_t	offset, next_offset;
};

/* Belongs to the loop.  Ranges rise and do not meet. */
struct trust {
	int64_t	from;			/* all from here on is ours */
	struct trust_range {
		int64_t	from, to;
	}	*ok;
	struct damage *bad;
	int	nok, nbad;
	int64_t	unread;			/* could not be read last time, + 1 */
};

/* One range to be proved: from a batch's start, for about len bytes, no
 * further than end. */
struct proof {
	int	 fd;
	int64_t	 pos, len, end;
	int64_t	 expect;	/* least offset at pos */
	int64_t	 end_offset;	/* the offset at end */
	/* Found: */
	int64_t	 to;		/* good from pos up to here */
	bool	 damaged;	/* and there bad begins */
	struct damage bad;
	const char *why;
	enum err err;		/* it could not be read */
};

void	 trust_init(struct trust *, int64_t from);
void	 trust_free(struct trust *);
/* The end of what is proved from pos on; pos when nothing is. */
int64_t	 trust_until(const struct trust *, int64_t pos);
/* The damage that pos is in, or NULL. */
const struct damage *trust_damage(const struct trust *, int64_t pos);
/* Looks; blocks; any thread. */
void	 trust_prove(struct proof *);
/* Takes over what was found; true when there is damage that was not known.
 * Without memory nothing is trusted that was not before. */
bool	 trust_take(struct trust *, const struct proof *);

#endif
