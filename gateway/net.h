/* SPDX-License-Identifier: Apache-2.0 */
/* The address to listen at, and the one that clients are told. */
#ifndef NET_H
#define NET_H

#include "gateway.h"

/* A bound socket, not listening yet, for conf.bind_addr, and in gw->host and
 * gw->port what clients are told.  Exits with a sentence when there is none.
 * shown: HOST:PORT as bound. */
int	 net_bind(struct gw *, char *shown, size_t size);

/* An address as 16 bytes, one of IPv4 mapped into IPv6.  False: it is neither,
 * or NULL. */
bool	 net_addr(const struct sockaddr *, uint8_t out[16]);
/* What tcp-congestion says of a connection that was just accepted. */
void	 net_accepted(const struct gw *, int fd, const struct sockaddr *peer);

#endif
