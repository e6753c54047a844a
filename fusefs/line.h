/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a line to a record: what is written to a produce file.  A line that is
 * what the renderer makes of a record becomes that record again.
 */
#ifndef LINE_H
#define LINE_H

#include "lib/batch.h"

enum { LINE_HEADERS_MAX = 1000 };

/* A record that is to be: pieces of the line, or of the arena. */
struct line {
	int32_t		 part;		/* -1: not said */
	int64_t		 ts;		/* -1: not said */
	const uint8_t	*key, *value;
	int32_t		 key_len, value_len;	/* -1: null */
	struct header	*headers;
	int32_t		 nheaders;
};

/*
 * Reads a line without its end.  One that is a JSON object with v or v64, and
 * no members but p, o, ts, k, k64, h, h64, v and v64, is a record in JSON; any
 * other is the value itself.  E_INVALID_RECORD: a member is not what it should
 * be, *why says it; E_NOMEM.
 */
enum err line_read(const uint8_t *, size_t n, struct arena *, struct line *,
	    const char **why) MUST;

#endif
