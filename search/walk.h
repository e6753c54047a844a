/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query at work: one walk for each partition, through shards and through
 * what no shard has, and the hits of all walks in order.  Whatever an index
 * says is checked against the record itself.
 */
#ifndef WALK_H
#define WALK_H

#include "doc.h"
#include "plan.h"
#include "query.h"
#include "shard.h"
#include "src.h"

enum sort { SORT_NEWEST, SORT_OLDEST, SORT_RELEVANCE };

struct walk;

/* A record that matches; its bytes are the hit's own. */
struct hit {
	const struct walk *walk;
	const struct sconf *conf;	/* by which it matches */
	struct record	 r;
	double		 score;
	uint8_t		*bytes;
	size_t		 cap;
};

/* A stretch of a partition that is searched in one way. */
struct region {
	int64_t		 low, high;	/* offsets, high not included */
	bool		 by_index;
	const struct sconf *conf;
};

struct walk {
	struct search	*search;
	const char	*topic;		/* name */
	struct uuid	 id;
	int32_t		 part;
	struct sconf	 conf;		/* the topic's, as it is now */
	int64_t		 start, end;	/* of what is searched */
	struct shards	 shards;
	int64_t		 at;		/* what is beyond was walked ... */
	int64_t		 told;		/* ... and what is beyond this, told */
	/* The shard that is open. */
	struct xap_db	*db;
	struct shard	 shard;
	struct sconf	 shard_conf;
	struct plan	 plan;
	bool		 shard_new;	/* not planned yet */
	/* Offsets to be looked at, in order. */
	struct region	 region;
	int64_t		 edge;		/* what is beyond was asked of it */
	int64_t		 stride;	/* how many offsets are asked next */
	int64_t		*cand;
	int		 ncand, cand_at, cand_cap;
	bool		 checked;	/* they match: only read them */
	/* What comes next: a hit, or a candidate of which the index tells the
	 * time; it is read only when nothing else comes before it. */
	struct hit	 head;
	bool		 have, waits, over;
	int64_t		 ts;		/* of either */
	/* What of it was not searched, and why: a sentence that stays. */
	int64_t		 missed;
	const char	*trouble;
	int64_t		 unread;	/* not indexed, and not read either */
};

/* Where a partition's walk begins. */
struct cursor { struct uuid topic; int32_t part; int64_t next; };

struct search {
	/* Filled in by the caller. */
	struct src	*src;
	const char	*dir;		/* of the index */
	const struct query *query;
	enum sort	 sort;
	bool		 scan;		/* use no index */
	bool		 counting;	/* hits are not shown: the index is
					 * believed where it is exact, as by
					 * search_count */
	bool		 compacted_ok;
	int64_t		 deadline_ms;	/* elink_now_ms */
	int64_t		 max_lag_ms;	/* what is not indexed, but no older
					 * than this, need not be read */
	const char	*const *topics;	/* names, or all */
	int		 ntopics;
	const struct cursor *cursors;
	int		 ncursors;

	struct walk	*walks;
	int		 nwalks;
	int64_t		 stamp;		/* of the view */
	struct doc	 doc;
	struct walk	*last;		/* whose head was given out */
	/* What was done, for coverage and --stats. */
	int		 ntopics_seen;
	int64_t		 records;	/* in the partitions searched */
	int64_t		 missed;	/* of them, not searched */
	int64_t		 unindexed;	/* read instead */
	int64_t		 unread;	/* left out by max_lag_ms */
	enum err	 lost;		/* the source answers no more */
	int64_t		 read, candidates, shards_opened, shards_broken;
	bool		 timed_out, too_costly;
	char		 why[256];	/* first trouble, for people */
};

/* Looks where to search.  E_NOTFOUND: no such topic; E_USAGE: it is not
 * indexed (why names it). */
enum err search_open(struct search *) MUST;
void	 search_close(struct search *);
/* The next hit in the order asked for, valid until the next call.  E_EOF. */
enum err search_next(struct search *, struct hit **) MUST;
/* How many there are, instead of search_next.  cheap: only if no record has to
 * be read for it, else E_BUSY. */
enum err search_count(struct search *, bool cheap, int64_t *) MUST;
/* The same after a search that is complete and over, if no record has to be
 * read for it and it is not later than that; else an error. */
enum err search_total(struct search *, int64_t deadline_ms, int64_t *) MUST;
/* The best of all by relevance, at most n.  E_USAGE with why. */
enum err search_rank(struct search *, int n, struct hit **, int *found) MUST;
void	 hits_free(struct hit *, int n);
/* Where the next search goes on, per walk, in the cursors given (nwalks). */
void	 search_cursors(const struct search *, struct cursor *);
/* Any record of a partition, as a hit; E_NOTFOUND. */
enum err hit_get(struct search *, const struct walk *, int64_t offset,
	    struct hit *) MUST;
bool	 search_incomplete(const struct search *);
/* In coverage.c: the offset behind which no record of a walk is indexed. */
int64_t	 walk_tail(const struct walk *);
/* How far the index of a partition is. */
struct progress {
	int64_t		 indexed_to;	/* all records below are */
	int64_t		 indexed, missing;	/* offsets */
	int64_t		 lag_ms;	/* the age of the first that is
					 * missing; 0: none is */
	int		 shards;
	int64_t		 bytes;
};
/* Reads a record when some are missing, unless the search's time is up. */
void	 walk_progress(struct walk *, int64_t now_ms, struct progress *);
/* n records of a walk are not searched. */
void	 walk_miss(struct walk *, int64_t n, enum err);
/* How old the oldest record is that is not indexed yet, in ms; 0: all are.
 * Reads one record of each partition that has some. */
int64_t	 search_lag_ms(struct search *, int64_t now_ms);
/* What was searched, as an object of JSON; its members: chronik-search(1). */
void	 coverage_json(const struct search *, struct wr *);
/* A member of the query that no indexed record has, and one that is named
 * much alike (allocated, or NULL); NULL: there is none. */
const char *search_unknown(struct search *, char **like);

#endif
