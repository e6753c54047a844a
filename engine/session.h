/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: the engine's view of the connections that clients have with a
 * gateway.  The gateway says who is at the other end (IPC_WHO), and that a
 * connection has ended (IPC_BYE); all of a link's end with the link.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/hash.h"
#include "lib/ipc.h"

struct meter;

/*
 * Freed when it has ended and no call of it is left.  Strings may be replaced
 * whenever the gateway speaks: a handler copies what it keeps beyond the turn.
 */
struct session {
	struct hash_node by_number;
	uint64_t	 number;	/* the gateway's; 0: the link itself */
	int		 refs;		/* the table's, and one per call */
	char		*client_id;	/* "": none; foreign bytes */
	char		*host;		/* address of the client; "": none */
	char		*software;	/* "NAME VERSION"; "": unknown */
	char		*principal;	/* "ANONYMOUS" */
	bool		 authenticated;	/* the link itself always is */
	int64_t		 expires;	/* wall_ms; 0: never */
	int64_t		 refused_ms;	/* > 0: to be closed after so long */
	uint32_t	 quota_gen;	/* what meter holds is of */
	struct meter	*meter[4];	/* see throttle.c */
};

/* Owned by a link.  self: of calls without a session, those of tools. */
struct sessions {
	struct hash	 by_number;
	struct session	*self;
};

/* program: what the peer of the link calls itself. */
enum err sessions_open(struct sessions *, const char *program) MUST;
void	 sessions_free(struct sessions *);
/* NULL: the gateway has not told. */
struct session *session_find(const struct sessions *, uint64_t number);
/* E_PROTO: it may not say this; E_BUSY: too many; E_NOMEM. */
enum err session_told(struct sessions *, uint64_t number, const struct who *)
	    MUST;
/* It has proved to be this principal. */
enum err session_bind(struct session *, const char *principal, int64_t expires)
	    MUST;
void	 session_end(struct sessions *, uint64_t number);
struct session *session_ref(struct session *);
void	 session_unref(struct session *);

#endif
