/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of chronik group share; all of it lies in the arena. */
#ifndef CTL_GROUP_H
#define CTL_GROUP_H

#include "ctl.h"

/* An answer may hold every offset of a group. */
enum { ANSWER_MAX = 1024 * MIB };

struct group_parts {
	struct kstr	 topic;
	int32_t		 n;
	const int32_t	*v;
};

struct group_member {
	struct kstr	 id, instance, client_id, host;	/* instance or null */
	int32_t		 ntopics;
	struct group_parts *topics;	/* assigned, as far as we can tell */
};

struct group_info {
	const char	*type;		/* "classic", "consumer" */
	struct kstr	 protocol_type, state, protocol;
	int32_t		 nmembers;
	struct group_member *members;
};

int	 kstr_order(struct kstr, struct kstr);
/* E_GROUP_ID_NOT_FOUND: there is none, and no offsets. */
enum err group_get(const struct args *, struct eng *, const char *name,
	    struct group_info *, struct arena *) MUST;
/* All that it has committed. */
enum err group_offsets(const struct args *, struct eng *, const char *name,
	    struct offset_fetch_res_group **, struct arena *) MUST;
/* NULL: there is no such topic. */
const struct topic_stats_res_topic *group_topic(const struct args *,
	    struct eng *, struct kstr name, struct arena *);

#endif
