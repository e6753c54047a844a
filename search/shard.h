/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an index; chronik-index(5).
 *
 *   INDEX/LOCK                               held by the indexer
 *   INDEX/<topic id>/conf                    the configs it was made with
 *   INDEX/<topic id>/<part>/segs             compacted topics: see segnote.h
 *   INDEX/<topic id>/<part>/<base>.hot/      a shard that grows
 *   INDEX/<topic id>/<part>/<base>-<end>.xap one that is finished, one file
 *
 * A shard holds the records of [base, end), document id = offset - base + 1.
 * Both lie in one segment of the log, and two shards never overlap.
 */
#ifndef SHARD_H
#define SHARD_H

#include "lib/schema.h"
#include "sconf.h"
#include "xap.h"

struct shard {
	int64_t	 base, end;		/* of a hot one: as of its opening */
	bool	 hot;
	struct xap_db *db;		/* the list's, until shard_db */
};

struct shards {
	struct shard	*v;		/* rising; ours */
	int		 n, cap;
};

enum { SHARD_PATH = 4096 };

/* DIR/<topic id>[/<part>]: part -1 leaves it out. */
void	 shard_dir(char out[SHARD_PATH], const char *index,
	    const struct uuid *topic, int32_t part);
void	 shard_path(char out[SHARD_PATH], const char *dir,
	    const struct shard *);
/*
 * The shards in a directory; none when it is not there.  The end of a hot one
 * is read from it; one that cannot be opened is passed over (*broken is set to
 * how many, when it is not NULL).  SHARDS_TIDY: also removes what a crash left,
 * and broken ones.  SHARDS_ASK: hot ones stay open for shard_db.
 */
enum shards_how { SHARDS_LIST, SHARDS_TIDY, SHARDS_ASK };
enum err shards_list(const char *dir, enum shards_how, struct shards *,
	    int *broken) MUST;
enum err shards_add(struct shards *, struct shard) MUST;
void	 shards_free(struct shards *);
/* The shard that holds an offset; else NULL. */
struct shard *shards_find(const struct shards *, int64_t offset);
/* The end of the gap that begins at offset: the base of the next shard, or
 * INT64_MAX; and downwards, the end of the one before, or 0. */
int64_t	 shards_gap_end(const struct shards *, int64_t offset);
int64_t	 shards_gap_start(const struct shards *, int64_t end);

/* Opens a shard, or takes over what is open already. */
enum err shard_db(const char *dir, struct shard *, struct xap_db **) MUST;
/* What a shard says of itself. */
enum err shard_facts(struct xap_db *, int64_t *next, int64_t *gaps,
	    struct sconf *) MUST;
/* Makes one file of a hot shard, durably, and removes the directory. */
enum err shard_seal(const char *dir, struct shard *) MUST;
enum err shard_remove(const char *dir, const struct shard *) MUST;

/* Removes a directory with all below it; E_OK when it is not there. */
enum err tree_remove(const char *path) MUST;
/* Makes the directories of a path. */
enum err tree_make(const char *path) MUST;
/* Replaces a file's text durably.  file_text: allocated, NULL: none. */
enum err file_put(const char *dir, const char *name, const char *text) MUST;
char	*file_text(const char *dir, const char *name);
int64_t	 tree_bytes(const char *path);

#endif
