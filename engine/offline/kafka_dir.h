/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log directories of a stopped Apache Kafka: which partitions they hold,
 * and what Kafka keeps beside them and in its own logs.  Only reads, and
 * believes nothing.  All memory is the arena's.
 */
#ifndef KAFKA_DIR_H
#define KAFKA_DIR_H

#include "lib/arena.h"
#include "lib/batch.h"
#include "log/format.h"

struct kafka;
struct kafka_topic;

struct kafka_seg {
	int64_t		 base;
	bool		 swap;		/* its name ends in .swap: the result
					 * of a compaction that was cut short */
};

struct kafka_part {
	struct kafka_part *next;	/* of its topic, rising */
	struct kafka_topic *topic;
	int32_t		 index;
	const char	*dir;
	bool		 clean;		/* its broker stopped in order */
	bool		 whole;		/* all of the log counts; else only
					 * what is below hw */
	int32_t		 broker;	/* -1 not known */
	/* As the checkpoint files say: log start 0, the others -1 if not. */
	int64_t		 start, hw, recovery;
	struct kafka_seg *segs;		/* rising */
	int		 nsegs;
	/* As the cluster's metadata says; leader -2: it says nothing. */
	int32_t		 leader;
	bool		 alone;		/* the only replica, or in sync alone */
};

struct kafka_config {
	struct kafka_config *next;
	struct kstr	 name, value;
};

struct kafka_topic {
	struct kafka_topic *next;
	struct kstr	 name;
	struct uuid	 id;		/* zero: not known */
	bool		 listed;	/* the metadata knows it */
	int32_t		 nparts;	/* that the metadata knows */
	struct kafka_part *parts;
	struct kafka_config *configs;
	struct kafka_lead *leads;	/* kafka_meta.c */
};

struct kafka {
	struct arena	 a;
	struct kafka_topic *topics;
	struct kafka_part *metadata;	/* of __cluster_metadata, or NULL */
	int64_t		 next_pid;	/* no producer id from here on was
					 * given out, as far as is known */
	int		 locks[64];
	int		 nlocks;
	bool		 recover;	/* accept what did not stop in order */
	/* Told to a person. */
	void		(*note)(void *arg, const char *words);
	void		*arg;
	char		 why[PATH_SIZE + 512];	/* of an error */
};

void	 kafka_init(struct kafka *);
void	 kafka_free(struct kafka *);
/* Takes in one of log.dirs, and holds its lock.  E_BUSY when a broker runs
 * there, E_USAGE when it is no such directory,
 * E_POLICY_VIOLATION when it did not stop in order and recover is not set;
 * why says more. */
enum err kafka_dir_open(struct kafka *, const char *path) MUST;
/* After all of them: reads the cluster's metadata, and says of each partition
 * how much of it counts. */
enum err kafka_meta_read(struct kafka *) MUST;
struct kafka_topic *kafka_topic_find(struct kafka *, struct kstr name);
struct kafka_topic *kafka_topic_get(struct kafka *, struct kstr name);
struct kafka_part *kafka_part_find(struct kafka_topic *, int32_t index);
/* The path of a segment's file. */
void	 kafka_seg_path(char *buf, const struct kafka_part *,
	    const struct kafka_seg *);
/* Calls back with every record of a log that counts, in order; rec NULL: a
 * batch begins.  Stops at an error. */
enum err kafka_log_read(struct kafka *, const struct kafka_part *,
	    enum err (*each)(void *arg, const struct batch *,
	    struct record *rec), void *arg) MUST;
/* The same for one file of batches, up to an offset; what is not whole is the
 * end of it. */
enum err kafka_file_read(struct kafka *, const char *path, int64_t from,
	    int64_t upto, enum err (*each)(void *arg, const struct batch *,
	    struct record *rec), void *arg) MUST;
void	 kafka_note(struct kafka *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* Fills why with words about a path. */
enum err kafka_fail(struct kafka *, enum err, const char *path,
	    const char *words) MUST;

#endif
