/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roster: what a clean stop says of every partition, so that the start
 * after it need not touch thousands of directories.  It is the body of the
 * clean marker (format.h), and so there exactly while the data directory was
 * stopped in order; an engine that does not know it takes the marker for
 * damaged, and scans.  Whatever it says of a file is held against the file
 * before that is used, see told.h.  A partition that it does not name is
 * opened by looking.
 */
#ifndef ROSTER_H
#define ROSTER_H

#include "recover.h"

struct engine;

struct roster_head {
	int32_t	n;		/* partitions named */
	int64_t	meta_end;	/* the catalogue's end, -1: not known */
	int64_t	stopped_ms;	/* wall clock */
};

struct roster_part {
	struct log_id	 id;
	int32_t		 epoch;		/* leader epoch */
	int64_t		 epoch_start;	/* the log's end when it began */
	int64_t		 end;		/* offset to assign next */
	int64_t		 snapped;	/* offset of the newest .prod, -1 */
	int64_t		 deleted_due;	/* as in struct recovered */
	int64_t		 dir_ns;	/* names came or went last */
	int		 nsegs;
	const uint8_t	*segs;		/* see roster_seg */
	const uint8_t	*prods;		/* producer state at end */
	size_t		 nprods;	/* bytes; 0: no producers */
};

struct roster_seg {
	int64_t	 base, end, size, written_ns;
	uint64_t ino;
	int64_t	 max_ts, first_ts;	/* as in struct seg */
	int64_t	 nidx;			/* entries on disk */
	bool	 sealed;
};

struct roster {
	uint8_t		*p;
	size_t		 n;
	struct roster_head head;
	struct rd	 parts;		/* from the first on */
	struct roster_part *v;		/* by id and number; what makes sense */
	int		 nv;
};

/* Reading any bytes.  E_CORRUPT; E_UNSUPPORTED_VERSION.  *parts: what
 * roster_next goes through; it is bad past the end. */
enum err roster_head(const uint8_t *, size_t n, struct roster_head *,
	    struct rd *parts) MUST;
/* E_EOF after the last one; E_CORRUPT: nothing that follows can be read. */
enum err roster_next(struct rd *parts, struct roster_part *) MUST;
void	 roster_seg(const struct roster_part *, int i, struct roster_seg *);
/* Why the partition cannot be as it says, or NULL. */
const char *roster_odd(const struct roster_part *);

/* Takes over the bytes, also after an error. */
enum err roster_open(uint8_t *p, size_t n, struct roster **) MUST;
void	 roster_free(struct roster *);
/* Is it of this catalogue, and of these files?  A few are looked at: a copy
 * of a data directory has other files than it says. */
bool	 roster_fits(const struct roster *, const struct engine *);
/* What recover_log would tell of the partition, without a look at the disk.
 * E_NOTFOUND: it is not named. */
enum err roster_part(const struct roster *, const char *dir,
	    const struct log_id *, struct recovered *) MUST;
/* The bytes of one: begin, n times put, end, which fails when any of them did.
 * Of x segs is not used; segs has its nsegs. */
void	 roster_begin(struct wr *, int64_t meta_end, int64_t stopped_ms);
void	 roster_put(struct wr *, const struct roster_part *x,
	    const struct roster_seg *segs);
enum err roster_end(struct wr *, int32_t n) MUST;
/* The bytes of an engine that has stopped and synced all; of no partition
 * with NULL.  Looks at files that were looked at before; blocks. */
enum err roster_write(const struct engine *, struct wr *) MUST;

#endif
