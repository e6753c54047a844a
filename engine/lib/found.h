/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between chronik-fs and the chronik-search that it runs for a file: the names
 * that people give queries and keys, and the answer.
 */
#ifndef FOUND_H
#define FOUND_H

#include "schema.h"

#include "rows_struct.h"
#include "found.def"

extern const struct msg found_msg;

enum {
	FOUND_VERSION	= 1,
	FOUND_HITS_MAX	= 10000,	/* of a query: lines, links */
	FOUND_LINES_MAX	= 100000,	/* of a key */
	FOUND_TEXT_MAX	= 16777216,	/* bytes of one file */
	FOUND_BYTES_MAX	= FOUND_TEXT_MAX + 4194304,	/* of the answer */
};

/*
 * Any bytes in a file's name: %XX stands for a byte, any other character for
 * itself.  Writes at most strlen(name) bytes to out (which may be name) and
 * ends them with a NUL that *n does not count.  E_USAGE: a '%' without two
 * hexadecimal digits.
 */
enum err found_name(const char *name, char *out, size_t *n) MUST;

#endif
