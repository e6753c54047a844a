/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: whole segments, oldest first, never past the high watermark
 * (protocol.md 3.10).
 *
 * Invariants:
 *  1. The log start moves only after the segment's file is durably out of the
 *     log, so it never goes back.
 *  2. One file at a time, each removal synced: a crash never leaves a hole.
 */
#ifndef RETAIN_H
#define RETAIN_H

struct engine;

/* Starts the one periodic check. */
void	 retain_start(struct engine *);

#endif
