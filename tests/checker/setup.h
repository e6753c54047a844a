/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run is: its number, its seed and its topics with the policies that
 * the judge must know.  Kept in the run's directory as a text file (run.txt,
 * a word and its values per line), rewritten before a topic is used.
 */
#ifndef CHECKER_SETUP_H
#define CHECKER_SETUP_H

#include <stdbool.h>
#include <stdint.h>

enum { TOPICS_MAX = 64, PARTS_MAX = 64, KEYS_MAX = 4096 };

struct ck_topic {
	char	name[128];
	int	nparts;
	int	acks;			/* of those who write it: 0, 1, -1 */
	bool	idempotent;		/* they are */
	bool	compact;		/* records go when their key comes
					 * again */
	bool	append_time;		/* the broker sets timestamps */
	bool	deletes;		/* DeleteRecords is used */
	bool	times;			/* timestamps jump; looked up by */
	bool	group;			/* a group reads it */
	bool	raw;			/* written without a library */
	int64_t	retention_ms;		/* -1: none */
	int64_t	retention_bytes;
	int64_t	delete_retention_ms;	/* how long a tombstone must stay */
};

struct setup {
	uint64_t	run, seed;
	int64_t		wall_ms;	/* the wall clock's time at mono 0 */
	bool		power_cuts;	/* what acks=1 wrote may go */
	int		ntopics;
	struct ck_topic	topics[TOPICS_MAX];
};

bool	 setup_save(const struct setup *, const char *dir);
bool	 setup_load(struct setup *, const char *dir);

#endif
