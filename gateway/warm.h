/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of segments that cannot be read at once when they are due, because
 * their client has been slow and they were evicted, or because the disk hangs:
 * a worker waits for them, the loop waits for no disk.
 */
#ifndef WARM_H
#define WARM_H

#include "gateway.h"

/* Whether n bytes can be read without waiting; they may be gone the next
 * moment, but hardly are.  It looks at some of them, which tells for all where
 * a page is in memory as a whole. */
bool	 warm_is(int fd, int64_t pos, size_t n);
/* Whether blocks are smaller than pages, so that half a page may be there, and
 * reading can be told not to wait. */
bool	 warm_small(int fd);
/* Has them read by a worker; the connection sends nothing until then (conn's
 * warm), and ends when they cannot be.  E_NOMEM. */
enum err warm_start(struct conn *, struct handle *, int64_t pos, size_t n)
	    MUST;
/* The connection ends. */
void	 warm_leave(struct conn *);

#endif
