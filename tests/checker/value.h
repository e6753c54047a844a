/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that say who they are.  All of one but its size and its time
 * follows from the run's number and its id, so that whoever reads it can tell
 * whether a byte is another.
 */
#ifndef CHECKER_VALUE_H
#define CHECKER_VALUE_H

#include <stddef.h>
#include <stdint.h>

enum { VALUE_STAMP = 64, VALUE_KEY_MAX = 16, VALUE_HEAD = 8 };

struct value {
	uint64_t	id;
	uint16_t	topic, part;
	int64_t		ts;		/* ms, as sent */
	uint32_t	key;		/* of a compacted topic */
	uint32_t	len;		/* of what follows the stamp */
};

/* The key's bytes (VALUE_KEY_MAX); returns how many. */
size_t	 value_key(const struct value *, int compact, char *key);
/* The one header's bytes. */
void	 value_head(uint64_t run, const struct value *, uint8_t *head);
/* The stamp and v->len bytes after it. */
void	 value_make(uint64_t run, const struct value *, uint8_t *p);
/* Fills in the value from its stamp: EV_BAD_* of what differs. */
uint32_t value_check(uint64_t run, const uint8_t *p, size_t n,
	    struct value *);

#endif
