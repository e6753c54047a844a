/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the group coordinator share: group.c has the state
 * machine, the other files the members, answers, commits and records. */
#ifndef GROUP_CALL_H
#define GROUP_CALL_H

#include "group.h"
#include "serve.h"

/* NUL-terminated copies, NULL without memory; a null counts as empty. */
char	*kstr_dup(struct kstr);
uint8_t	*bytes_dup(struct kbytes, int32_t *len);

/* Answers that free the call.  id may be NULL. */
void	 join_refuse(struct call *, enum err, const char *id);
void	 join_answer(struct call *, const struct group *,
	    const struct member *);
void	 sync_answer(struct call *, enum err, const struct group *,
	    const struct member *);

/* group_table.c */
uint64_t group_hash(struct kstr);
/* E_INVALID_GROUP_ID when it is null or holds a NUL; empty is fine. */
enum err group_name_check(struct kstr) MUST;
void	 group_free(struct group *);
/* Lets go of the members: EMPTY. */
void	 group_clear(struct group *);

/* group.c: the state machine */
void	 session_start(struct member *);
void	 session_start_ms(struct member *, int64_t);
/* Its session's timer. */
void	 member_expired(struct timer *);
/* A rebalance begins. */
void	 group_prepare(struct group *);
void	 group_maybe_complete(struct group *);
/* Members have left, by their own will or not: the others are told. */
void	 group_left(struct group *);
void	 group_syncs_check(struct group *);
/* Members that were put into it from elsewhere are a stable group, which may
 * have to rebalance. */
void	 group_adopt(struct group *, bool rebalance);
void	 group_rebalance_fire(struct timer *);
/* The one who asks must be a member of this generation. */
enum err group_member_check(struct group *, struct kstr id,
	    struct kstr instance, int32_t generation, struct member **) MUST;

/* group_member.c */
/* A pending one; owns id (NULL: E_NOMEM).  NULL without memory. */
struct member *member_new(struct group *, char *id, struct kstr instance)
	    MUST;
/* Answers what it waits for, unknown from now on. */
void	 member_free(struct member *);
/* A pending one takes part. */
void	 member_admit(struct member *);
char	*member_id_new(struct kstr client_id, struct kstr instance);
/* Another id; it is owned from now on. */
void	 member_id_set(struct member *, char *id);
struct member *member_by_id(const struct group *, struct kstr id);
struct member *member_by_instance(const struct group *, struct kstr);
enum err member_client_set(struct member *, struct kstr client_id,
	    struct kstr client_host) MUST;
enum err member_client_of(struct member *, const struct call *) MUST;
enum err member_assign(struct member *, struct kbytes) MUST;
/* The call that its join waits with; NULL: none. */
void	 member_join_set(struct member *, struct call *);
void	 member_unsynced_set(struct member *, bool);
/* Notes how much it holds. */
void	 member_count(struct member *);
void	 members_table_free(struct group *);
struct known *known_find(const struct group *, struct kstr name);
const struct protocol *member_protocol(const struct member *,
	    const struct known *);
size_t	 protocols_bytes(const struct join_group_req *);
enum err protocols_set(struct member *, const struct join_group_req *) MUST;
bool	 protocols_same(const struct member *, const struct join_group_req *);
bool	 protocols_fit(const struct group *, const struct join_group_req *);
const char *protocols_vote(const struct group *);

/* committed.c */
enum err committed_set(struct committed *, const struct meta_offset *) MUST;
struct meta_offset committed_record(const struct committed *);
void	 committed_free(struct committed *);
void	 group_offsets_free(struct group *);

/* group_log.c */
/* Puts the group into the catalogue; then(g, generation) when it is durable
 * (NULL: nobody waits).  E_NOMEM. */
enum err group_store(struct group *, void (*then)(struct group *, int32_t,
	    enum err)) MUST;
/* The same for its end: the group and its offsets are gone for a replay. */
enum err group_store_deleted(struct group *, struct meta_put *) MUST;
enum err offset_key(struct arena *, const struct group *,
	    const struct topic *, int32_t part, struct meta_key *key) MUST;
/* Frees a group that nothing has become of; no caller may hold it. */
void	 group_unused(struct group *);

/* group_sub.c: what consumers subscribe to */
struct subscription {
	struct rd	 r;
	int32_t		 left;		/* topics */
};
/* E_PROTO: these are not the bytes of a subscription, of any version. */
enum err subscription_open(struct subscription *, const uint8_t *, size_t)
	    MUST;
bool	 subscription_next(struct subscription *, struct kstr *topic);
/* All topics of a group at one moment, until the next event. */
struct subscribed {
	const struct group *g;
	bool		 all;		/* or nobody can tell */
	struct kstr	*v;
	size_t		 n;
};
void	 subscribed_open(struct subscribed *, const struct group *);
bool	 subscribed_to(const struct subscribed *, struct kstr topic);
void	 subscribed_close(struct subscribed *);

/* group_expire.c */
/* The next sweep begins in so many ms. */
void	 groups_expiry_start(struct engine *, int64_t ms);

#endif
