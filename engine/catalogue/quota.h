/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client quotas: which entity may have how much (Kafka's client quotas), and
 * the meters that see to it (throttle.c).
 *
 * An entity is a user, a client id, both, or an address; each by name or as
 * the default.  Of the quotas that fit a client the first in this order
 * counts, and what it counts is the bucket:
 *
 *	user, client id			the user's client
 *	user, default client id		the user's client
 *	user				the user
 *	default user, client id		the user's client
 *	default user, default client id	the user's client
 *	default user			the user
 *	client id			the client id
 *	default client id		the client id
 */
#ifndef QUOTA_H
#define QUOTA_H

#include "lib/hash.h"
#include "meta.h"

struct call;
struct session;

enum quota_key {
	QUOTA_PRODUCE,		/* bytes a second */
	QUOTA_CONSUME,
	QUOTA_TIME,		/* percent of a thread */
	QUOTA_MUTATE,		/* partitions made or deleted a second */
	QUOTA_CONNECT,		/* connections a second, of an address */
	QUOTA_KEYS
};
enum { ENTITY_USER, ENTITY_CLIENT, ENTITY_IP, ENTITIES };
enum entity_kind { ENTITY_NONE, ENTITY_DEFAULT, ENTITY_NAMED };

/* len -1: the default, -2: not part of the entity. */
struct entity { struct kstr name[ENTITIES]; };
enum { ABSENT = -2 };

/* One entity's quotas; value 0: none. */
struct quota {
	struct hash_node by_key;
	size_t		 key_len;
	uint8_t		*key;		/* as in the catalogue */
	double		 value[QUOTA_KEYS];
};

/* What one bucket has used of late. */
struct meter {
	struct hash_node by_key;
	struct meter	*newer, *older;	/* by last use */
	double		 limit;
	double		 level;		/* used, less what has leaked since */
	int64_t		 last;		/* that it was so, ms */
	size_t		 key_len;
	uint8_t		 key[];		/* quota key, then the names */
};

struct quotas {
	struct hash	 by_key;
	uint32_t	 gen;		/* changes with every quota or meter */
	bool		 any[QUOTA_KEYS];	/* some entity has it */
	struct quota_change *waiting;	/* the first is being made */
	struct hash	 meters;	/* by key */
	struct meter	*newest, *oldest;
};

extern const char *const quota_names[QUOTA_KEYS];

/* The value for a key of the entity, 0: none. */
double	 quota_get(const struct quotas *, const struct entity *,
	    enum quota_key);
void	 quotas_free(struct quotas *);
enum err quota_restore(struct engine *, const struct meta_key *,
	    const void *value) MUST;
void	 quotas_snapshot(struct engine *, void (*put)(void *, enum meta_type,
	    const struct meta_key *, const void *), void *arg);

/* ---- throttle.c -------------------------------------------------------- */

/*
 * Count what a call has used; the call's throttle_ms, which its answer
 * carries, becomes what the bucket has to wait.  Without any quota of the kind
 * they cost a look.
 */
void	 throttle_bytes(struct call *, enum quota_key, int64_t bytes);
/* Whether a fetch has to wait now: it is then answered without data.  Lowers
 * *max_bytes to what the quota gives in all windows together. */
bool	 throttle_fetch(struct call *, int32_t *max_bytes);
/* Before a call, and with the time that it took, here or at the gateway. */
void	 throttle_start(struct call *);
void	 throttle_time(struct engine *, struct session *, int64_t ns);
/* Permission to make or delete so many partitions.  E_THROTTLED: not now, for
 * versions that know of it (strict); others are made to wait afterwards. */
enum err throttle_mutate(struct call *, int64_t parts, bool strict) MUST;
/* A new connection; how long it has to wait before it is closed, or 0. */
int64_t	 throttle_connect(struct engine *, struct session *);
/* Forgets all meters. */
void	 throttle_reset(struct quotas *);

#endif
