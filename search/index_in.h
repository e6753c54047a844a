/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the indexer share. */
#ifndef INDEX_IN_H
#define INDEX_IN_H

#include "sconf.h"
#include "shard.h"
#include "src.h"

struct itopic {
	struct uuid	 id;
	char		*name;
	struct sconf	 conf;
	bool		 compacted;
};

/* A segment of a compacted topic as it was when it had ended; see segnote.c. */
struct segnote { int64_t base, end, bytes; };

/* A partition that is indexed; owned by the index. */
struct ipart {
	struct itopic	*topic;
	int32_t		 index;
	int64_t		 start, hw;
	const struct view_res_seg *segs;	/* of the view */
	int		 nsegs;
	struct shards	 shards;
	bool		 listed;		/* the shards have been */
	int64_t		 clean_to;		/* compacted so far */
	int64_t		 noted_to;		/* when it was noted; -1: no
						 * notes have been read */
	struct segnote	*notes;			/* ours */
	int		 nnotes;
	int64_t		 retry_ms;		/* 0: nothing is wrong */
};

struct index {
	struct src	*src;
	const char	*dir;
	int64_t		 seen;		/* the stamp of the view */
	struct itopic	*topics;	/* as in the view */
	int		 ntopics;
	struct ipart	*parts;		/* by topic, as in the view */
	int		 nparts;
	int		 hint;		/* where the last one was found */
	int64_t		 indexed;	/* offsets, since the start */
};

/* In index_view.c: another view of the log.  What is of no use any more is
 * removed. */
enum err index_take(struct index *, const struct view_res *) MUST;
void	 index_free(struct index *);
/* In index.c: removes what is below the log's start, seals what is finished. */
enum err ipart_tidy(struct index *, struct ipart *) MUST;
/* In segnote.c: removes the shards of segments that were written anew, and
 * notes those that have ended. */
enum err segnotes_check(struct index *, struct ipart *) MUST;

#endif
