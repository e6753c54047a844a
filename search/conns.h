/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP connections and their patience, see conns.c. */
#ifndef CONNS_H
#define CONNS_H

#include <stdbool.h>
#include <stdint.h>

enum { CONNS_MAX = 256 };
/* To the process, when there is one after there was none: with none nobody
 * need look at the clock.  All threads block it. */
#define CONNS_SIGNAL	SIGURG

struct conn;

/* A connection's place, from its beginning to its end; idle_ms: how long it
 * may take to send a request.  NULL: there are too many; such a one has all
 * the time. */
struct conn *conn_open(int fd, int64_t idle_ms);
void	 conn_close(struct conn *);
/* Its request is there whole: the answer is on its way. */
void	 conn_answers(struct conn *);
/* The answer is out, or given up: it may send the next. */
void	 conn_waits(struct conn *);
/* Nobody was read from meanwhile, which is nobody's fault. */
void	 conns_forgive(int64_t ms);
bool	 conns_any(void);
/* Ends those whose time is up. */
void	 conns_cut(void);

#endif
