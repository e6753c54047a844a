/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users: names, and what their passwords are checked against.  A password is
 * not kept, only its SCRAM keys (Kafka's user SCRAM credentials).
 */
#ifndef USER_H
#define USER_H

#include "lib/hash.h"
#include "meta.h"
#include "scram.h"

struct call;

struct user {
	struct hash_node by_name;
	char		*name;
	struct cred	 cred[SCRAMS];	/* by mechanism, less 1 */
};

/* Changes are made one call after another, since each depends on what is
 * there.  waiting: calls, the first is being made durable. */
struct users {
	struct hash	 by_name;
	struct user_change *waiting, **waiting_tail;
};

/* NULL: there is none. */
struct user *user_find(const struct users *, struct kstr name);
void	 users_free(struct users *);
/* At start: value NULL removes. */
enum err user_restore(struct engine *, const struct meta_key *,
	    const void *value) MUST;
void	 users_snapshot(struct engine *, void (*put)(void *, enum meta_type,
	    const struct meta_key *, const void *), void *arg);

#endif
