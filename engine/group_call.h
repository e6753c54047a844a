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
/* Puts the group into the catalogue; then(g, generation) when it is durable
 * (NULL: nobody waits).  E_NOMEM. */
enum err group_store(struct group *, void (*then)(struct group *, int32_t,
	    enum err));
void	 group_assigned(struct group *, int32_t generation, enum err);
enum err offset_key(struct arena *, const char *group, const struct uuid *,
	    int32_t part, struct meta_key *) MUST;
void	 offset_drop(struct group *, const struct uuid *, int32_t part);
void	 groups_expiry_start(struct engine *);
/* Frees a group that nothing has become of; no caller may hold it. */
void	 group_unused(struct group *);
void	 group_offsets_free(struct group *);
void	 group_free(struct group *);
/* Lets go of the members: EMPTY. */
void	 group_clear(struct group *);
void	 session_start(struct member *);

/* group_member.c */
struct member *member_new(struct group *, struct kstr instance);
char	*member_id_new(struct kstr instance);
struct member *member_by_id(const struct group *, struct kstr id);
struct member *member_by_instance(const struct group *, struct kstr);
/* Notes how much it holds. */
void	 member_bytes(struct member *, size_t);
/* Its session's timer; group.c. */
void	 member_expired(struct timer *);
void	 protocols_free(struct protocol *, int n);
size_t	 protocols_bytes(const struct join_group_req *);
enum err protocols_set(struct member *, const struct join_group_req *) MUST;
bool	 protocols_same(const struct member *, const struct join_group_req *);
const struct protocol *protocol_find(const struct member *, const char *name);

#endif
