/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shapes of records: which members their JSON has.  Most records of a topic
 * have the same ones, so a shard numbers the shapes that it meets first, notes
 * their members in its metadata, and a document has one term for its shape
 * (SHAPE) instead of one for each member (EXISTS).  What has none of them has
 * those.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include "doc.h"
#include "xap.h"

enum {
	SHAPES_MAX	= 64,		/* of a shard */
	SHAPE_BYTES	= 4096,		/* of the members of one */
};

/* '{', and the names of members, each with a NUL behind it. */
struct shape_list { char *p; size_t n; };

struct shapes {
	bool		 grows;		/* new ones are numbered */
	bool		 full;		/* out of memory, or of numbers */
	struct shape_list v[SHAPES_MAX]; /* by number; names sorted */
	int		 n, stored;	/* of them are in the shard */
	/* Lists as records had them lately, and what they were found to be. */
	struct shape_list seen[SHAPES_MAX];
	int		 seen_as[SHAPES_MAX], nseen, next;
};

/* An xap_metas callback that takes the shapes of a shard; arg: the shapes. */
bool	 shapes_take(void *, const char *key, const char *, size_t n);
/* The number of a record's shape; -1: it has none. */
int	 shapes_find(struct shapes *, const struct doc *);
/* Those that the shard does not have yet go into its metadata. */
enum err shapes_store(struct shapes *, struct xap_writer *) MUST;
void	 shapes_free(struct shapes *);
/* The first name of a list, or what follows name; NULL: no more. */
const char *shape_next(const char *list, size_t n, const char *name);

/* What their keys in the metadata begin with; their number follows. */
#define SHAPE_KEY	"shape."

#endif
