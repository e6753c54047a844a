/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups whose members speak the protocol of KIP-848: the structs,
 * and what the cgroup*.c files share.  Everything here belongs to the loop.
 *
 * Invariants, of a group that is live:
 *  1. A partition is held by at most one member: those that it is assigned
 *     and those that it has not given back yet (revoking).  topics[].owner
 *     says by whom.
 *  2. target_epoch <= epoch; a member's epoch is at most target_epoch.
 *  3. Nothing is answered that rests on a record that is not durable.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include "assign.h"
#include "group.h"
#include "lib/kafka.h"
#include "pattern.h"

struct call;
struct cmember;
struct topics;

/* A protocol that a classic member offers. */
struct cprotocol {
	char	*name;
	uint8_t	*metadata;
	int32_t	 len;
};

/* Numbers of these stand in the catalogue. */
enum cstate { C_STABLE, C_UNREVOKED, C_UNRELEASED };
/* What a member's second timer waits for. */
enum cphase { P_NONE, P_REVOKE, P_JOIN, P_SYNC };
enum { EPOCH_LEAVE = -1, EPOCH_LEAVE_STATIC = -2 };

/* What members want; one for all who want the same. */
struct csub {
	struct csub	 *next;
	int		  refs;
	uint64_t	  hash;
	char		**names;	/* sorted */
	int		  nnames;
	char		 *regex;	/* NULL: none */
	struct pattern	 *pattern;	/* NULL: none, or it is of no use */
	struct uuid	 *matched;	/* topics of the pattern, also old */
	int		  nmatched, matched_cap;
	uint64_t	  seen;		/* topics up to this are matched */
	int32_t		 *topics;	/* indexes, ascending */
	int		  ntopics;
	size_t		  bytes;
};

/* A topic that somebody wants or holds; its index is that of the sets. */
struct ctopic {
	struct uuid	  id;		/* zero: the place is free */
	int32_t		  nparts;	/* 0: nobody wants it, or it is gone */
	int32_t		  next;		/* in its chain, or -1 */
	bool		  kept;		/* some set names it */
	int32_t		  nowner;
	struct cmember	**owner;	/* by partition; NULL: free */
};

struct cmember {
	struct cmember	*next;
	struct hash_node by_id;
	struct group	*group;
	char		*id, *client_id, *host;
	char		*instance, *rack;	/* NULL: none */
	int32_t		 rebalance_ms;
	int		 assignor;	/* -1: any */
	struct csub	*sub;
	int32_t		 epoch, previous;
	enum cstate	 state;
	struct tps	 assigned, revoking, target;
	int32_t		*since;		/* of each assigned: its epoch then */
	struct timer	 session, phase_timer;
	enum cphase	 phase;
	/* Of one that speaks the classic protocol. */
	bool		 classic;
	int32_t		 session_ms;
	struct cprotocol *protocols;
	int		 nprotocols;
	size_t		 bytes;		/* that it holds, without sub */
};

struct cgroup {
	struct group	*group;
	int32_t		 epoch, target_epoch;
	struct cmember	*members, **tail;	/* in order of joining */
	struct hash	 by_id;
	int		 nmembers, nclassic;
	struct csub	*subs;
	struct ctopic	*topics;
	int32_t		 ntopics, topics_cap;
	int32_t		 topics_free;	/* no place below is free */
	int32_t		*chains;	/* topics by id */
	int32_t		 nchains;	/* a power of two */
	uint64_t	 seen;		/* of topics.changes; 0: look again */
	int64_t		 wanted;	/* fingerprint of the topics wanted */
	bool		 unresolved;	/* a pattern has not seen all topics */
	bool		 live;		/* owners are kept */
	bool		 torn;		/* a record is missing */
	struct timer	 resolve;
	/* Of groups.ticket: when it was last written, when as a whole. */
	uint64_t	 written, whole;
};

extern const struct group_ops cgroup_ops;

static inline struct cgroup *
cgroup_of(const struct group *g)
{
	return g->ops == &cgroup_ops ? g->modern : NULL;
}

/* ---- cgroup_topic.c: what is wanted, and who holds it ------------------- */

/* A reference to the subscription; names need not be sorted.  regex.len <= 0:
 * none.  E_NOMEM, E_GROUP_FULL, E_INVALID_REGEX. */
enum err csub_get(struct cgroup *, const struct kstr *names, int n,
	    struct kstr regex, struct csub **) MUST;
void	 csub_put(struct cgroup *, struct csub *);
bool	 csub_has(const struct csub *, const struct topics *, struct kstr);
/* The index of a topic; -1: none, or no memory. */
int32_t	 ctopic_find(const struct cgroup *, const struct uuid *);
int32_t	 ctopic_get(struct cgroup *, const struct uuid *);
/* Looks again at what topics there are; *changed: not the same as before.
 * E_NOMEM leaves everything as it was. */
enum err cgroup_refresh(struct cgroup *, bool *changed) MUST;
/* Sets what a member holds, in place of what it held; takes the sets.  What it
 * did not hold before it has since that epoch. */
enum err cmember_hold(struct cmember *, struct tps *assigned,
	    struct tps *revoking, int32_t epoch) MUST;
struct cmember *ctopic_owner(const struct cgroup *, uint64_t tp);

/* ---- cgroup_member.c ---------------------------------------------------- */

struct cgroup *cgroup_new(struct group *);
/* Lets go of everything, without records; the group stays. */
void	 cgroup_free(struct group *);
struct cmember *cmember_find(const struct cgroup *, struct kstr id);
struct cmember *cmember_static(const struct cgroup *, struct kstr instance);
struct cmember *cmember_new(struct cgroup *, struct kstr id);
void	 cmember_free(struct cmember *);
/* It goes on under another id. */
enum err cmember_rename(struct cmember *, struct kstr id) MUST;
/* Replaces a string of it; *changed is set if it is another.  len -1 keeps. */
enum err cmember_text(struct cmember *, char **, struct kstr, bool *changed)
	    MUST;
/* Takes copies: the member is a classic one; n 0: it is none. */
enum err cmember_protocols(struct cmember *,
	    const struct join_group_req_protocol *, int n) MUST;
/* Its session's and its phase's timers. */
void	 cmember_session(struct cmember *);
void	 cmember_phase(struct cmember *, enum cphase);

/* ---- cgroup.c: the state machine ---------------------------------------- */

/* One epoch more; the next heartbeat makes a new target. */
enum err cgroup_bump(struct cgroup *) MUST;
/* Brings epoch and target up to date: after a change of subscriptions (bump),
 * or of topics. */
enum err cgroup_advance(struct cgroup *, bool bump) MUST;
/* Brings a member nearer to its target.  owned: what it says it has; NULL: it
 * does not say. */
enum err cmember_advance(struct cmember *, const struct tps *owned) MUST;
/* The member is out, and the epoch moves on. */
enum err cmember_leave(struct cmember *) MUST;
/* The same by a timer. */
void	 cmember_fence(struct cmember *, const char *why);
bool	 cmember_waits(const struct cmember *);
const char *cgroup_state(const struct group *);
const struct assignor *cgroup_assignor(const struct cgroup *);

/* ---- cgroup_log.c: records ---------------------------------------------- */

enum err cgroup_put(struct cgroup *) MUST;
enum err cmember_put(struct cmember *) MUST;
enum err cmember_put_target(struct cmember *) MUST;
enum err cmember_put_current(struct cmember *) MUST;
enum err cmember_put_gone(struct cmember *) MUST;
enum err cgroup_put_gone(struct cgroup *) MUST;
/* Every record of it. */
enum err cgroup_put_all(struct cgroup *) MUST;
/* Answers when all that the group has written is durable.  res is in the
 * call's arena, *error is its error code.  m: the member it is about, or NULL;
 * cg NULL: there is no group any more. */
void	 cgroup_answer(struct cgroup *, struct cmember *m, struct call *,
	    void *res, int16_t *error);
/* What was written goes out, nobody waits. */
void	 cgroup_flush(struct engine *);
void	 cgroup_snapshot(struct group *, void (*put)(void *arg,
	    enum meta_type, const struct meta_key *, const void *value),
	    void *arg);
enum err cgroup_restore(struct engine *, enum meta_type,
	    const struct meta_key *, const void *value) MUST;
/* After replay: owners are known, sessions begin anew. */
void	 cgroup_resume(struct group *);

/* ---- cgroup_call.c ------------------------------------------------------ */

/* A member of this call's client: who it is.  *changed as cmember_text. */
enum err cmember_client(struct cmember *, struct call *, bool *changed) MUST;
/* Words into the call's arena; WORDS(s) is a string for %.*s. */
#define WORDS(s)	((s).len > 0 ? (int)(s).len : 0), \
			((s).len > 0 ? (s).p : "")
struct kstr call_words(struct call *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* ---- cgroup_migrate.c: members of the classic protocol ------------------ */

enum cmigration { MIGRATE_DISABLED, MIGRATE_DOWNGRADE, MIGRATE_UPGRADE,
    MIGRATE_BOTH };

/* Makes a consumer group of a classic one: an empty one is begun anew, one
 * with members goes on.  *cg NULL and E_GROUP_ID_NOT_FOUND: it must not. */
enum err cgroup_upgrade(struct group *, struct cgroup **) MUST;
/* True when without this member only classic ones are left, which may go back
 * to being a classic group. */
bool	 cgroup_may_downgrade(const struct cgroup *, const struct cmember *);
/* Makes it one, without the member that leaves (NULL: none does). */
enum err cgroup_downgrade(struct cgroup *, struct cmember *) MUST;
void	 cgroup_join(struct group *, struct call *);
void	 cgroup_sync(struct group *, struct call *);
void	 cgroup_heartbeat(struct group *, struct call *);
void	 cgroup_leave(struct group *, struct call *);

#endif
