/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics by name and by id, their creation and deletion.
 *
 *   CREATING -> LIVE -> DELETING
 *
 * Creating: directories and empty segments first, synced; then the record in
 * the catalogue, synced; then it is live.  Deleting: a record first, synced;
 * then it is gone for everybody; then, after file.delete.delay.ms, the files
 * go.
 */
#ifndef TOPIC_H
#define TOPIC_H

#include "configs.h"

enum topic_state { TOPIC_CREATING, TOPIC_LIVE, TOPIC_DELETING };

struct topic {
	struct engine	 *eng;
	struct hash_node  by_name, by_id;
	struct topic	 *prev, *next;	/* list, in order of creation */
	uint64_t	  seq;		/* ascending along the list */
	char		 *name;
	struct uuid	  id;
	enum topic_state  state;
	bool		  leaving;	/* a deletion is on its way */
	bool		  growing;	/* partitions are being added */
	struct topic_op	 *grows, **grows_tail;	/* and more after that */
	struct topic_op	 *then_delete;	/* when all that is done */
	int32_t		  nbusy;	/* deleting: partitions not free yet */
	int64_t		  remove_ms;	/* deleting: files go at, wall_ms */
	struct timer	  remove;
	int64_t		  created_ms;
	struct own_configs own;		/* what was set for it */
	struct topic_conf conf;		/* what holds for it */
	int32_t		  nparts;
	struct part	**parts;	/* moves when it grows: loop only */
	/* What the last record says that was written, durable or not. */
	int32_t		  nparts_rec;
	struct committed *committed;	/* offsets of groups; theirs */
};

struct topics {
	struct hash	  by_name, by_id;
	size_t		  n;			/* live and in change */
	struct topic	 *first, *last;
	size_t		  nlist;		/* those, and what is deleted */
	int64_t		  nparts;
	int		  nremoving;	/* deleted, whose files are kept */
	uint64_t	  seq;		/* the last one's */
	/* Goes up when a topic or a partition comes or goes. */
	uint64_t	  changes;
};

/* Live topics only. */
struct topic *topic_find(struct topics *, struct kstr name);
struct topic *topic_find_id(struct topics *, struct uuid id);
/* Also what is being made or deleted. */
struct topic *topic_any(struct topics *, struct uuid id);
/* A live partition or NULL. */
struct part *topic_part(struct topic *, int32_t index);
/* E_OK when a topic may bear the name: 1-249 of [a-zA-Z0-9._-], not "." or
 * ".." (Kafka's rule). */
enum err topic_name_check(struct kstr) MUST;
/* Names that Kafka keeps for its coordinators. */
bool	 topic_is_internal(struct kstr name);
/* Those, and the one that stands for the catalogue: never made. */
bool	 topic_is_reserved(struct kstr name);

/* t->conf has been changed, durably, from what it was. */
void	 topic_reconfigured(struct topic *, const struct topic_conf *was);

/* One creation, growth or deletion on its way; the caller's until done. */
struct topic_op {
	struct meta_put	  put;
	struct job	  job;
	struct topic	 *topic;
	struct topic_op	 *next;		/* growing: what waits */
	struct recovered *fresh;	/* one per new partition */
	struct part	**parts;	/* growing: all, the old ones still 0 */
	int32_t		  from, to;	/* growing: their numbers */
	enum err	  err;
	void		(*done)(struct topic_op *, enum err);
	void		 *arg;
};
/*
 * E_INVALID_TOPIC, E_TOPIC_EXISTS (also while one is being created),
 * E_INVALID_PARTITIONS, E_POLICY_VIOLATION past a limit are returned at once;
 * otherwise E_OK and done follows.  own is copied; NULL: no configs.
 */
enum err topic_create(struct engine *, struct kstr name, int32_t nparts,
	    const struct conf_set *own, struct topic_op *) MUST;
/* The same checks without doing it. */
enum err topic_create_check(struct engine *, struct kstr name,
	    int32_t nparts, char *why, size_t size) MUST;
enum err topic_delete(struct topic *, struct topic_op *) MUST;
/*
 * More partitions: directories and empty segments first, synced; then the
 * record with the new count, synced; then they are there for everybody.
 * E_INVALID_PARTITIONS, E_POLICY_VIOLATION past a limit, E_UNKNOWN_TOPIC when
 * it is being deleted are returned at once; otherwise E_OK and done follows,
 * perhaps with one of these when other growth came first.  In topic_grow.c.
 */
enum err topic_grow(struct topic *, int32_t count, struct topic_op *) MUST;
/* The same checks without doing it. */
enum err topic_grow_check(const struct topic *, int32_t count, char *why,
	    size_t size) MUST;
/*
 * Writes the topic's record anew, with another count of partitions (0: as it
 * is), and the newest of its configs.  A change that was written before and is
 * not durable yet stays in.
 */
enum err topic_write(struct topic *, int32_t nparts, struct meta_put *) MUST;
/* A change came to nothing: the next record is of what is in force. */
void	 topic_unwrite(struct topic *);
/* The catalogue's word at start. */
enum err topic_restore(struct engine *, const struct uuid *id,
	    const void *meta_topic, char *why, size_t size) MUST;
enum err topic_restore_deleted(struct engine *, const struct uuid *id,
	    int32_t nparts, int64_t remove_ms) MUST;
/* The partition that a replayed record's key names: a topic's id, and 4 bytes.
 * *p is NULL when the topic is gone; E_CORRUPT. */
enum err topic_part_of(struct engine *, const struct meta_key *key,
	    struct part **p) MUST;
enum err topic_restore_start(struct engine *, const struct meta_key *key,
	    const void *meta_start) MUST;
/* After replay: takes up deletions that were cut short. */
void	 topics_resume(struct engine *);
/* A replayed topic whose tombstone follows. */
void	 topic_unrestore(struct engine *, const struct uuid *id);
/* Fills the record that describes a topic, with what is on its way to the disk
 * of changes: a record that follows must not take them back.  Memory from the
 * arena; strings are the topic's. */
enum err topic_record(const struct topic *, void *meta_topic,
	    struct arena *) MUST;
/* In topic.c for topic_grow.c: starts the deletion that waited. */
void	 topic_delete_now(struct topic *);
void	 topics_free(struct topics *);

#endif
