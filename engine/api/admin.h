/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of the admin apis share. */
#ifndef ADMIN_H
#define ADMIN_H

#include <string.h>

#include "serve.h"

enum {
	WHY_SIZE	= 256,	/* of a message to a client */
	TWICE_MAX	= 4096,	/* rows compared with each other */
};

/* With no authorizer everybody may do everything: the bits of Kafka's
 * AclOperation numbers for a topic and for the cluster. */
enum {
	OPS_TOPIC = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 |
	    1 << 10 | 1 << 11,
	OPS_CLUSTER = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 |
	    1 << 12,
};

/* A copy of a string that lives as long as the call. */
static inline struct kstr
str_keep(struct arena *a, const char *s)
{
	const char *p = arena_strndup(a, s, strlen(s));

	return kstr_of(p != NULL ? p : "out of memory");
}

#endif
