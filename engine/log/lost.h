/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lost+found: where recovery keeps what it takes off a log, in files named
 * <topic hex>-<part>-<base>-<position>, with .1, .2, ... when there is one
 * already.  Nothing here is ever read again but by people.
 */
#ifndef LOST_H
#define LOST_H

#include "seg.h"

/* Both leave in path (PATH_SIZE) the name that an error is about, and return
 * with everything in lost (a directory, made when missing) synced. */

/* Copies [pos, size) of a segment's file, unless it is all zeros or is there
 * from a recovery that did not end. */
enum err lost_keep(const char *lost, struct seg *, int64_t pos,
	    char *path) MUST;
/* Moves the whole file; the caller syncs the directory that it came from. */
enum err lost_move(const char *lost, struct seg *, char *path) MUST;

#endif
