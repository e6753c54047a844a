/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions over topic names, as clients of KIP-848 send them: the
 * syntax of RE2, matched against the whole name.  PCRE2 does the work; what
 * RE2 has not is refused, and matching takes neither backtracking nor memory
 * that a pattern could blow up.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include "lib/schema.h"

struct pattern;

/* E_INVALID_REGEX with words in why, E_NOMEM. */
enum err pattern_open(struct kstr, struct pattern **, char *why,
	    size_t size) MUST;
void	 pattern_close(struct pattern *);
bool	 pattern_match(const struct pattern *, const char *name);
/* Bytes that it holds. */
size_t	 pattern_size(const struct pattern *);

#endif
