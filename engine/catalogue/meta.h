/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue: a log of keyed records in DATA/meta, replayed into memory at
 * start.  The rest of the engine sees records going in and a callback when
 * they are durable, so that another backend can take its place.
 *
 * Invariants:
 *  1. A change is made visible only when its record has been synced.
 *  2. One batch is in flight at a time; what is put meanwhile is gathered in
 *     the next batch.  So a crash tears at most the last batch, and a bad one
 *     with a good one behind it is damage, which is named, never skipped.
 *  3. A segment is a whole snapshot followed by changes: replay needs only
 *     the newest segment.  Rewriting makes a new one under another name,
 *     synced, then renamed.
 */
#ifndef META_H
#define META_H

#include "log/part.h"

#include "lib/rows_struct.h"
#include "lib/meta.def"

/* What follows the type in a record's key: a uuid, a group's name, or a group's
 * name with a partition.  NULL or len 0: nothing. */
enum { META_KEY_MAX = 32 * 1024 + 64 };
struct meta_key {
	const uint8_t	*p;
	size_t		 len;
};
struct meta_key_part { uint8_t b[20]; };
/* A topic's id and a partition; the bytes are the caller's. */
struct meta_key meta_key_part(struct meta_key_part *, const struct log_id *);
static inline struct meta_key
meta_key_uuid(const struct uuid *id)
{
	return (struct meta_key){ id->b, 16 };
}

enum meta_type {	/* first byte of a record's key */
#define MESSAGE(n, k, ...)	MT_##n = k,
#include "lib/meta.def"
	MT_MAX
};
extern const struct msg meta_msgs[MT_MAX];	/* [0] unused */

/* A change waiting to become durable. */
struct meta_put {
	struct meta_put	*next;
	void		(*done)(struct meta_put *, enum err);
};

struct meta {
	struct engine	*eng;
	struct part	*part;		/* the log */
	struct batch_maker maker;	/* gathered records */
	struct meta_put	*waiting, **waiting_tail;	/* of maker */
	struct meta_put	*flying;	/* of the batch in flight */
	struct append	 append;
	struct wr	 bytes;		/* of the batch in flight */
	bool		 busy;		/* a batch or a rewrite is in flight */
	bool		 stuck;		/* its batch found no room, and waits */
	int64_t		 rewrite_min;	/* no rewrite of a smaller segment */
	int64_t		 live;		/* bytes of the last snapshot */
};

/* Opens or initialises the catalogue; calls apply for each live record, in
 * order (value NULL: tombstone).  why as in engine_open. */
enum err meta_open(struct meta *, struct engine *, bool clean,
	    enum err (*apply)(struct engine *, enum meta_type,
	    const struct meta_key *key, const void *value, char *why,
	    size_t n), char *why, size_t size) MUST;
/* Replays the first size bytes of one segment of a catalogue, which starts at
 * offset base; reads only.  E_CORRUPT
 * also when its snapshot is not whole. */
enum err meta_replay(struct engine *, int fd, const char *path, int64_t base,
	    int64_t size, enum err (*apply)(struct engine *, enum meta_type,
	    const struct meta_key *key, const void *value, char *why,
	    size_t n), char *why, size_t n) MUST;
void	 meta_close(struct meta *);
/* Adds a record (value: the struct of its type; NULL: tombstone).  p->done is
 * called when it is durable; p may be NULL to add a record whose fate is that
 * of the next one added with a p, in the same turn. */
enum err meta_write(struct meta *, enum meta_type, const struct meta_key *,
	    const void *value, struct meta_put *p) MUST;
/* Has p called when everything written so far in this turn is durable. */
void	 meta_wait(struct meta *, struct meta_put *p);
/* Sends what was gathered; the loop calls it once per turn. */
void	 meta_kick(struct meta *);
/* There may be room now for the batch that found none. */
void	 meta_again(struct meta *);
bool	 meta_idle(const struct meta *);
/* Prints a record of a catalogue segment, for dumps; false if it is none. */
bool	 meta_print(const struct record *, struct wr *out);

#endif
