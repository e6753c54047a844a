/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk over another one that keeps for itself what is written to files, and
 * shows it to who reads: so a replay can be looked at that did not take place.
 * For tools with one thread; only writes to files that exist are known, each
 * other change is refused.
 */
#ifndef SHADOW_H
#define SHADOW_H

#include "disk.h"

/* From here on the disk in use is one over that which was.  Not twice. */
void	 shadow_begin(void);
/* Bytes that files would have now, and have not: each range in the order of
 * its file.  size: of the file without them. */
void	 shadow_each(void (*each)(const char *path, int64_t pos, int64_t n,
	    int64_t size, void *arg), void *arg);
/* The disk from before is in use again; all is forgotten. */
void	 shadow_end(void);

#endif
