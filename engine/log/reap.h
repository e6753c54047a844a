/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that were deleted stay for file.delete.delay.ms under another
 * name, which says until when:
 *
 *	<base>.log.<ms since 1970>.deleted
 *
 * They belong to no log any more.  One timer serves the whole engine; what is
 * due is found by looking into the partition's directory, so that nothing is
 * kept in memory but when to look, and a restart changes nothing.
 */
#ifndef REAP_H
#define REAP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct engine;
struct part;

/* The due time in the name of a deleted segment; false if it is none. */
bool	 reap_name(const char *name, int64_t *due);
/* Makes that name's extension: of at most REAP_EXT bytes. */
enum { REAP_EXT = 48 };
void	 reap_ext(char ext[REAP_EXT], int64_t due);
/* Takes a segment out of its log: its index goes, for a log whose index stayed
 * would be judged by it, and the log gets that name; due 0: it goes, too.  What
 * is not there is no error.  The caller syncs the directory.  Blocks. */
enum err reap_take(const char *dir, int64_t base, int64_t due) MUST;
/* When segments that are deleted now may go: wall_ms, or INT64_MAX. */
int64_t	 reap_due(int64_t delay_ms);
/* The partition has files that may go at that time. */
void	 reap_note(struct part *, int64_t due);

#endif
