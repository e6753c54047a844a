/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes of sealed segments' text, kept in a directory of the user's so that
 * the next mount need not measure again.  A cache: what is missing, damaged, of
 * another renderer or of other bytes than the segment's is measured.  Files of
 * others, or that others may write, are not read.  It has a bound: what was not
 * used for long goes, and the oldest go when there is too much.  All of it
 * blocks; workers call it.
 *
 *   DIR/<cluster id>/<topic id>/<partition>/<base>-<renderer>.sizes
 *
 *   OFFSET SIZE DESCRIPTION                                    (big-endian)
 *        0    8 magic "CHRONFSI"
 *        8    4 version, 2
 *       12    4 renderer, see render_id
 *       16   16 topic id
 *       32    4 partition
 *       36    8 base offset
 *       44    8 end offset
 *       52    8 bytes of the log
 *       60    8 bytes of the text
 *       68    4 number of blocks
 *       72    4 mark: CRC-32C of the headers of up to 16 batches that blocks
 *               begin with, as they are in the segment
 *       76      blocks, rising: offset 8, position in the log 8, in the text 8
 *     last    4 CRC-32C of everything before
 */
#ifndef CACHE_H
#define CACHE_H

#include "fs.h"

struct cache_key {
	uint32_t	 render;
	struct uuid	 topic;
	int32_t		 part;
	int64_t		 base, end, bytes;
	char		*path;		/* of the file; ours */
};

/* E_NOMEM. */
enum err cache_key_of(const struct fs *, const struct tseg *,
	    struct cache_key *) MUST;
/* fd: of the segment.  E_OK: *blocks is the caller's.  E_NOTFOUND, E_CORRUPT,
 * E_NOMEM, E_IO. */
enum err cache_load(const struct cache_key *, int fd, int64_t *text,
	    struct block **blocks, int *n) MUST;
/* Replaces the file as a whole, and removes those of the partition that are of
 * a lower base than first: their segments are gone. */
enum err cache_save(const struct cache_key *, int fd, int64_t text,
	    const struct block *, int n, int64_t first) MUST;
/* Keeps the directory within its bounds. */
void	 cache_sweep(const char *dir);
void	 cache_drop(const struct cache_key *);
/* A file without a name there, to be read and written.  -1: see errno. */
int	 cache_temp(const char *dir);
/* Where it is by default: below XDG_CACHE_HOME or ~/.cache.  NULL: nowhere. */
char	*cache_dir_default(void);

#endif
