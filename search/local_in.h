/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of local.h share. */
#ifndef LOCAL_IN_H
#define LOCAL_IN_H

#include "local.h"
#include "sconf.h"

/* A batch begins there. */
struct lmark { int64_t offset, pos; };

struct lseg {
	int64_t		 base;
	bool		 looked;	/* the rest is known */
	bool		 hurt;		/* what follows its batches is no more
					 * than that */
	int64_t		 end, size;	/* of whole batches */
	struct lmark	*marks;		/* rising */
	int		 nmarks, marks_cap;
};

struct lpart {
	int32_t		 index;
	int64_t		 start, end;
	struct lseg	*segs;		/* rising */
	int		 nsegs;
};

struct ltopic {
	struct uuid	 id;
	char		*name;
	bool		 enabled;
	struct sconf	 conf;
	struct lpart	*parts;
	int		 nparts;
};

struct local {
	char		*dir;
	struct ltopic	*topics;
	int		 ntopics;
	struct uuid	*deleted;
	int		 ndeleted;
};

/* In local_meta.c: fills topics by the catalogue.  One that is damaged is told
 * on standard error, and believed as far as it goes. */
enum err	 local_catalogue(struct local *) MUST;
/* Finds, or with make adds; NULL: there is none, or no memory. */
struct ltopic	*local_topic(struct local *, const struct uuid *, bool make);
struct lpart	*local_part(struct ltopic *, int32_t index, bool make);
bool		 local_is_deleted(const struct local *, const struct uuid *);
void		 local_topic_free(struct ltopic *);

#endif
