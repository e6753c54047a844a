/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may connect: how many in all, from one address and in a second, and how
 * long a connection may take to say something.
 */
#ifndef ADMIT_H
#define ADMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct conn;
struct gw;
struct peer;

struct admit {
	struct peer	**table;	/* by address */
	size_t		  size;		/* a power of two, or 0 */
	size_t		  n;
	uint64_t	  seed;		/* of the hash */
	struct admit_cap { uint8_t addr[16]; int64_t max; } *caps;
	int		  ncaps;
	double		  level;	/* connections, leaking at the rate */
	uint64_t	  level_ms;
	int		  nfresh;
};

/* How long the next one has to wait, ms; 0: it may be accepted. */
uint64_t admit_wait_ms(struct gw *);
/* An accepted socket becomes a connection, or is closed. */
void	 admit_socket(struct gw *, int fd, const struct sockaddr *);
/* The options have changed. */
void	 admit_options(struct gw *);
void	 admit_free(struct gw *);

/* conn.c: the connection begins, has moved, ends. */
void	 admit_begin(struct conn *);
void	 admit_watch(struct conn *);
void	 admit_end(struct conn *);

#endif
