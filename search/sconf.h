/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic's search.* configs.  Each shard keeps those that it was made with,
 * since they say which terms it has.
 */
#ifndef SCONF_H
#define SCONF_H

#include <stdbool.h>

#include "lib/conf_value.h"

struct sconf {
	bool	 ids, positions, stem;
	char	*text, *numeric;	/* as the configs have them; ours */
};

/* Copies the strings.  E_NOMEM. */
enum err sconf_set(struct sconf *, struct kstr text, struct kstr numeric,
	    bool ids, bool positions, bool stem) MUST;
void	 sconf_free(struct sconf *);
bool	 sconf_eq(const struct sconf *, const struct sconf *);
/* As text without NULs, with the format of the index, and back; E_CORRUPT: also
 * of another format. */
char	*sconf_print(const struct sconf *);
enum err sconf_parse(struct sconf *, const char *) MUST;
/* The weight of a member that is searched by words; 0: it is not. */
int	 sconf_weight(const struct sconf *, const char *path);
/* The number of a numeric member from 0; -1: it is none. */
int	 sconf_slot(const struct sconf *, const char *path);

#endif
