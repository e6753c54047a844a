/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the topics of a stopped Apache Kafka over into a data directory whose
 * engine is stopped: the segments as they are, and what Kafka keeps beside
 * them (configs, groups, producers) into the catalogue.
 *
 * Steps, of which a crash leaves either none or all:
 *  1. DATA/importing names the topics to be made, synced.
 *  2. Their directories are made and filled, synced.
 *  3. One batch of the catalogue has them all, with a leader epoch and a
 *     producer id above all that came in.  Now they are there.
 *  4. DATA/importing goes.
 * Whoever finds DATA/importing removes the topics in it that the catalogue
 * does not know: they are half copies.
 */
#ifndef IMPORT_H
#define IMPORT_H

#include "kafka_dir.h"

struct conf;

/* A topic that was taken over, or would be. */
struct import_told {
	const char	*name;
	struct uuid	 id;
	bool		 kept;		/* the id is the one it had */
	int32_t		 parts;
	int64_t		 offsets;	/* first to last, of all partitions */
	int64_t		 bytes;
};

struct import {
	const struct conf *conf;	/* with the data directory */
	char		**dirs;		/* Kafka's */
	int		  ndirs;
	char		**topics;	/* these only; none: all */
	int		  ntopics;
	char		**configs;	/* KEY=VALUE, for all of them */
	int		  nconfigs;
	bool		  link, recover, dry_run;
	void		(*told)(struct import *, const struct import_told *);
	void		(*note)(void *import, const char *words);
	void		 *arg;
	/* Counted. */
	int64_t		  ntold, groups, offsets;
	char		  why[PATH_SIZE + 512];	/* of an error */
};

enum err import_run(struct import *) MUST;

/* ---- between the files of the import ---------------------------------- */

/* What __transaction_state says of a producer id. */
struct import_txn {
	int64_t	pid;
	bool	commits;	/* markers of a commit were on their way */
};

struct import_txns {
	struct import_txn *v;	/* the arena's */
	int		   n, cap;
};

struct import_part {		/* one partition's way */
	struct kafka	*k;
	struct kafka_part *from;
	const struct import_txns *txns;
	struct log_id	 id;
	const char	*dir;		/* to be made; NULL: only look */
	bool		 link;
	/* What came of it. */
	int64_t		 first;		/* base of the first segment */
	int64_t		 start, end;	/* offsets */
	int64_t		 bytes;
	int64_t		 max_pid;	/* -1 none */
	int32_t		 epoch;		/* greatest, -1 none */
};

enum err import_copy(struct import_part *) MUST;

/* Groups and their offsets, from __consumer_offsets. */
struct import_offset {
	struct import_offset *next, *pending;
	struct kstr	 group, topic;
	int32_t		 part;
	int64_t		 pid;		/* while its transaction is open */
	bool		 gone;
	int64_t		 offset, commit_ms, expire_ms;
	int32_t		 epoch;
	struct kstr	 metadata;
};

struct import_group {
	struct import_group *next;
	struct kstr	 name, type;
	int32_t		 generation;	/* or epoch */
	bool		 modern;	/* KIP-848 */
	bool		 gone;
};

struct import_groups {
	struct kafka	*k;
	struct import_offset **offsets;	/* hash of size slots */
	struct import_group **groups;
	struct import_offset *pending;	/* of open transactions, newest first */
	size_t		 size;
};

enum err import_groups_read(struct import_groups *, struct kafka *) MUST;
enum err import_txns_read(struct import_txns *, struct kafka *) MUST;

#endif
