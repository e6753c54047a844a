/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups, the classic protocol (protocol.md 3.8), of any protocol
 * type.  Everything here belongs to the loop.
 */
#ifndef GROUP_H
#define GROUP_H

#include "catalogue/meta.h"
#include "lib/hash.h"
#include "timer.h"

struct call;
struct engine;
struct group;
struct topic;

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING,
    GROUP_STABLE };

/* A protocol's name, once per group, and how many members offer it. */
struct known {
	struct hash_node by_name;
	int32_t		 members;
	int32_t		 votes;		/* while a vote is counted */
	char		 name[];
};

struct protocol {
	const char	*name;		/* the known's */
	struct known	*known;
	uint8_t		*metadata;	/* ours; opaque */
	int32_t		 len;
	bool		 again;		/* named before by this member */
};

/*
 * Owned by its group, in one of two lists: those that were given an id and
 * have not come back with it are pending, the others are in the order in
 * which they joined.  Either is found by its id.
 */
struct member {
	struct member	*prev, *next;
	struct hash_node by_id, by_instance;
	struct group	*group;
	char		*id;
	char		*instance;	/* NULL: dynamic */
	char		*client_id, *client_host;	/* of the last join */
	int32_t		 session_ms, rebalance_ms;
	struct protocol	*protocols;
	int		 nprotocols;
	uint8_t		*assignment;
	int32_t		 assignment_len;
	struct call	*join, *sync;	/* waiting for an answer */
	char		*old_leader;	/* the join is told that this leads */
	struct timer	 session;
	size_t		 bytes;		/* all that it holds */
	bool		 unsynced;	/* of this generation's assignment */
	bool		 counted;	/* it is of the group's generation */
	bool		 pending;
};

/* A committed offset: in its group's table and in its topic's list. */
struct committed {
	struct hash_node by_part;
	struct committed *topic_next, **topic_prevp;
	struct group	*group;
	struct topic	*topic;
	int32_t		 part, epoch;
	int		 commits;	/* of it, on their way */
	int64_t		 offset, ts;	/* ts: wall_ms of the commit */
	int64_t		 expire_ms;	/* wall_ms; -1: as the group's do */
	struct kstr	 metadata;	/* never null */
	char		*text;		/* what it points to; NULL: nothing */
};

/*
 * What a group that does not speak the classic protocol answers by itself
 * (KIP-848, KIP-932).  Those of calls answer the call.
 */
struct group_ops {
	const char	*type;		/* as ListGroups names it: "consumer" */
	const char	*(*state)(const struct group *);	/* "Stable" */
	bool		(*is_empty)(const struct group *);
	bool		(*is_subscribed)(const struct group *,
			    struct kstr topic);
	/* May the member read (OffsetFetch 9) or commit (req: an
	 * offset_commit_req) offsets?  Refreshes nothing. */
	enum err	(*check_fetch)(struct group *, struct kstr member,
			    int32_t epoch);
	enum err	(*check_commit)(struct group *, const struct call *);
	/* Classic requests that meet it, while it is not empty. */
	void		(*join)(struct group *, struct call *);
	void		(*sync)(struct group *, struct call *);
	void		(*heartbeat)(struct group *, struct call *);
	void		(*leave)(struct group *, struct call *);
	/* Writes the tombstones of all its records but those of offsets, and
	 * lets go of modern: ops and modern become NULL.  The group itself
	 * stays, empty.  E_NOMEM: nothing happened. */
	enum err	(*drop)(struct group *);
	/* The same without records, at the end of the engine. */
	void		(*free)(struct group *);
};

/* Owned by the table of groups. */
struct group {
	struct hash_node by_name;
	struct group	*prev, *next;
	struct engine	*eng;
	const struct group_ops *ops;	/* NULL: the classic protocol */
	void		*modern;	/* the ops' own */
	char		*name;
	enum group_state state;
	int32_t		 generation;
	char		*type, *protocol;	/* NULL: none */
	struct member	*members, *members_last;
	struct member	*pending;
	struct hash	 by_id, by_instance;	/* members and pending */
	struct hash	 known;		/* by name */
	struct member	*leader;
	int		 nmembers, npending;
	int		 njoining;	/* members whose join waits */
	int		 nunsynced;
	size_t		 bytes;		/* of the members */
	struct timer	 rebalance;	/* of the join phase, then of syncs */
	bool		 delayed;	/* the initial delay runs */
	bool		 newcomer;	/* somebody joined during it */
	bool		 assigned;	/* the generation has an assignment */
	int64_t		 delay_left;	/* ms */
	int64_t		 empty_since;	/* wall_ms; 0 unless EMPTY */
	struct hash	 offsets;	/* by topic and partition */
	int		 commits;	/* on their way to the catalogue */
	int		 late;		/* of them, answered before the end */
	bool		 stored;	/* the catalogue has a record */
};

struct groups {
	struct hash	  by_name;
	size_t		  bytes;	/* names, and what members hold */
	size_t		  offset_bytes;	/* committed offsets */
	struct group	 *first;
	struct timer	  expiry;
	struct group	 *sweep;	/* the next to be looked at */
	size_t		  sweep_slot;	/* of its offsets */
	/* Of consumer groups' waits for the catalogue: numbers of the last,
	 * of the last that is over, of the last that failed. */
	uint64_t	  ticket, synced, failed;
};

/* NULL: none; create makes one (NULL also without memory or past the limit).
 * A name may be empty: offsets of long ago are kept under it. */
struct group *group_find(struct engine *, struct kstr name, bool create);
/* Drops a group that has neither members nor offsets, with its records. */
void	 group_reap(struct group *);
/* No members, of whatever kind; pending ones do not count. */
bool	 group_is_empty(const struct group *);
/* As DescribeGroups and ListGroups say it. */
const char *group_state_name(const struct group *);
const char *group_type_name(const struct group *);
/* A member of a generation, for commits.  E_OK, E_UNKNOWN_MEMBER,
 * E_ILLEGAL_GENERATION, E_REBALANCE, E_FENCED_INSTANCE; refreshes its
 * session. */
enum err group_check_commit(struct group *, struct kstr member,
	    struct kstr instance, int32_t generation) MUST;
/* committed.c */
struct committed *group_offset(struct group *, struct topic *, int32_t part,
	    bool create);
/* The topic is gone: so are its offsets. */
void	 groups_topic_gone(struct topic *);
/* The catalogue's word at start (value NULL: tombstone). */
enum err group_restore(struct engine *, const struct meta_key *,
	    const void *meta_group) MUST;
enum err group_restore_offset(struct engine *, const struct meta_key *,
	    const void *meta_offset) MUST;
/* After replay: sessions begin anew. */
void	 groups_resume(struct engine *);
void	 groups_free(struct engine *);
/* Calls back with every record of a snapshot. */
void	 groups_snapshot(struct engine *, void (*put)(void *arg,
	    enum meta_type, const struct meta_key *, const void *value),
	    void *arg);

#endif
