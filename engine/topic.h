/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics by name and by id, their creation and deletion.
 *
 *   CREATING -> LIVE -> DELETING
 *
 * Creating: directories and empty segments first, synced; then the record in
 * the catalogue, synced; then it is live.  Deleting: a record first, synced;
 * then it is gone for everybody; then the files go.
 */
#ifndef TOPIC_H
#define TOPIC_H

#include "lib/conf.h"
#include "part.h"

enum topic_state { TOPIC_CREATING, TOPIC_LIVE, TOPIC_DELETING };

struct topic {
	struct engine	 *eng;
	struct topic	 *next_name, *next_id;	/* hash chains */
	struct topic	 *prev, *next;	/* list, in order of creation */
	char		 *name;
	struct uuid	  id;
	enum topic_state  state;
	bool		  leaving;	/* a deletion is on its way */
	int32_t		  nbusy;	/* deleting: partitions not free yet */
	int64_t		  created_ms;
	struct topic_conf conf;
	int32_t		  nparts;
	struct part	**parts;
};

struct topics {
	struct topic	**by_name, **by_id;	/* size is a power of two */
	size_t		  size, n;		/* n: live and in change */
	struct topic	 *first, *last;
	int64_t		  nparts;
};

/* Live topics only. */
struct topic *topic_find(struct topics *, struct kstr name);
struct topic *topic_find_id(struct topics *, struct uuid id);
/* A live partition or NULL. */
struct part *topic_part(struct topic *, int32_t index);
/* E_OK when a topic may bear the name: 1-249 of [a-zA-Z0-9._-], not "." or
 * ".." (Kafka's rule). */
enum err topic_name_check(struct kstr) MUST;

/* t->conf has been changed, durably, from what it was. */
void	 topic_reconfigured(struct topic *, const struct topic_conf *was);

/* One creation or deletion on its way; the caller's until done. */
struct topic_op {
	struct meta_put	  put;
	struct job	  job;
	struct topic	 *topic;
	struct recovered *fresh;	/* creating: one per partition */
	enum err	  err;
	void		(*done)(struct topic_op *, enum err);
	void		 *arg;
};
/*
 * E_INVALID_TOPIC, E_TOPIC_EXISTS (also while one is being created),
 * E_INVALID_PARTITIONS, E_POLICY_VIOLATION past a limit are returned at once;
 * otherwise E_OK and done follows.  conf is copied.
 */
enum err topic_create(struct engine *, struct kstr name, int32_t nparts,
	    const struct topic_conf *, struct topic_op *) MUST;
/* The same checks without doing it. */
enum err topic_create_check(struct engine *, struct kstr name,
	    int32_t nparts, char *why, size_t size) MUST;
enum err topic_delete(struct topic *, struct topic_op *) MUST;
/* The catalogue's word at start. */
enum err topic_restore(struct engine *, const struct uuid *id,
	    const void *meta_topic, char *why, size_t size) MUST;
enum err topic_restore_deleted(struct engine *, const struct uuid *id,
	    int32_t nparts) MUST;
/* After replay: takes up deletions that were cut short. */
void	 topics_resume(struct engine *);
/* A replayed topic whose tombstone follows. */
void	 topic_unrestore(struct engine *, const struct uuid *id);
/* Fills the record that describes a topic; memory from the arena. */
enum err topic_record(const struct topic *, void *meta_topic,
	    struct arena *) MUST;
void	 topics_free(struct topics *);

#endif
