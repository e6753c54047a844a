/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine is told of a connection: who is at its other end, before
 * its first request on a link and whenever that changes.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conn.h"
#include "lib/ipc.h"

/* The client's address; an IPv4 one as such, also on a socket for both. */
static void
peer_host(int fd, char host[CLIENT_HOST_MAX])
{
	struct sockaddr_storage sa = { 0 };
	struct sockaddr_in6 *s6 = (void *)&sa;
	socklen_t n = sizeof sa;

	host[0] = '\0';
	if (getpeername(fd, (void *)&sa, &n) != 0)
		return;
	if (sa.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&s6->sin6_addr)) {
		inet_ntop(AF_INET, s6->sin6_addr.s6_addr + 12, host,
		    CLIENT_HOST_MAX);
		return;
	}
	if ((sa.ss_family != AF_INET && sa.ss_family != AF_INET6) ||
	    getnameinfo((void *)&sa, n, host, CLIENT_HOST_MAX, NULL, 0,
	    NI_NUMERICHOST) != 0)
		host[0] = '\0';
}

static int32_t
cut(struct kstr s)
{
	/* One byte more tells the engine where to cut. */
	return s.len > CLIENT_ID_MAX + 1 ? CLIENT_ID_MAX + 1 : s.len;
}

static bool
is_told(const struct conn *c, struct kstr id)
{
	return c->told.link == c->gw->up.links && !c->told.stale &&
	    c->told.client_id_len == cut(id) && (id.len <= 0 ||
	    memcmp(c->told.client_id, id.p, (size_t)cut(id)) == 0);
}

static struct kstr
known(const char *s)
{
	return kstr_of(*s == '\0' ? NULL : s);
}

bool
session_tell(struct req *r)
{
	struct conn *c = r->conn;
	struct told *t = &c->told;
	char host[CLIENT_HOST_MAX], *p = NULL;
	int32_t n = cut(r->client_id);
	struct who w;

	if (is_told(c, r->client_id))
		return true;
	if (n > 0 && (p = malloc((size_t)n)) == NULL)
		return false;
	if (n > 0)
		memcpy(p, r->client_id.p, (size_t)n);
	free(t->client_id);
	t->client_id = p;
	t->client_id_len = n;
	peer_host(c->fd, host);
	w = (struct who){ .client_id = { n, p }, .host = kstr_of(host),
	    .software_name = known(t->software[0]),
	    .software_version = known(t->software[1]),
	    .token = { c->sasl.token.len, c->sasl.token.p },
	    .fresh = t->link == 0 };
	up_tell(&c->gw->up, IPC_WHO, c->session, &w);
	t->link = c->gw->up.links;
	t->stale = false;
	return true;
}

static bool
software_set(char to[CLIENT_SOFTWARE_MAX], struct kstr s)
{
	size_t n = s.len < CLIENT_SOFTWARE_MAX ? (size_t)s.len :
	    CLIENT_SOFTWARE_MAX - 1;

	if (strncmp(to, s.p, n) == 0 && to[n] == '\0')
		return false;
	memcpy(to, s.p, n);
	to[n] = '\0';
	return true;
}

void
session_software(struct conn *c, struct kstr name, struct kstr version)
{
	bool changed = software_set(c->told.software[0], name);

	if (software_set(c->told.software[1], version) || changed)
		c->told.stale = true;
}

void
session_bye(struct conn *c)
{
	struct bye b = { 0 };
	struct up *up = &c->gw->up;

	if (up->state == UP_READY && c->told.link == up->links)
		up_tell(up, IPC_BYE, c->session, &b);
}
