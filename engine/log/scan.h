/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file read from one end to the other by tools: whole batches, and what
 * lies between them.  Believes nothing that it reads, and changes nothing.
 */
#ifndef SCAN_H
#define SCAN_H

#include "disk.h"
#include "lib/batch.h"

struct scan {
	int		 fd;
	int64_t		 size;		/* of the file when it was opened */
	uint8_t		*buf;		/* a window on it */
	size_t		 cap;
	int64_t		 from, till;	/* what of the file it holds */
};

/* E_USAGE for a directory.  Close it only when it was opened. */
enum err scan_open(struct scan *, const char *path) MUST;
void	 scan_close(struct scan *);
/* n bytes at pos, which the file has; *p is good until the next call. */
enum err scan_view(struct scan *, int64_t pos, size_t n, const uint8_t **p)
	    MUST;
/* The batch at pos.  *bad: NULL, then *p are its bytes, whole and with the
 * right CRC; or why there is none.  *is: a header is there whose batch lies in
 * the file, whatever its CRC; *b is good then. */
enum err scan_batch(struct scan *, int64_t pos, struct batch *b, bool *is,
	    const uint8_t **p, const char **bad) MUST;
/* The first position from pos on where a whole batch lies whose offsets are in
 * [min, max); the file's size when there is none. */
enum err scan_find(struct scan *, int64_t pos, int64_t min, int64_t max,
	    int64_t *next) MUST;
/* What a whole batch says of itself that cannot be, or NULL.  deep: also its
 * records, decompressed; *nomem then tells that it could not be looked at. */
const char *scan_judge(const struct batch *, const uint8_t *p, bool deep,
	    bool *nomem);

#endif
