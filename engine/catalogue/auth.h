/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a session is: checking passwords (SASL PLAIN), and the tokens that let
 * a gateway bring authenticated sessions over to a new link.
 */
#ifndef AUTH_H
#define AUTH_H

#include "meta.h"
#include "pool.h"

struct auth_job;
struct session;

enum { SECRET_SIZE = 32 };

/* One password is checked at a time: the other threads of the pool are for
 * reads.  The secret is random and in the catalogue; it makes tokens, and the
 * salts of users that there are not. */
struct auth {
	struct auth_job	*waiting, **waiting_tail;
	int		 nwaiting;
	bool		 busy;
	bool		 has_secret;	/* durable */
	uint8_t		 secret[SECRET_SIZE];
	struct meta_put	 put;
};

/* Makes the secret if there is none; tokens wait until it is durable. */
enum err auth_open(struct engine *) MUST;
void	 auth_free(struct engine *);
enum err auth_restore(struct engine *, const struct meta_key *,
	    const void *value) MUST;
void	 auth_snapshot(struct engine *, void (*put)(void *, enum meta_type,
	    const struct meta_key *, const void *), void *arg);
/* A token that a gateway shows for a session: binds it, or leaves it as it
 * is. */
void	 auth_token(struct engine *, struct session *, struct kbytes);
/* May make calls: it has authenticated, where that is asked for. */
bool	 auth_allows(const struct engine *, const struct session *);

#endif
