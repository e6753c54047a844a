/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: where to listen, and what to tell clients, who will connect to
 * whatever Metadata says.  An address that nobody can connect to is never
 * advertised.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "net.h"

union addr {
	struct sockaddr		sa;
	struct sockaddr_in	v4;
	struct sockaddr_in6	v6;
};

static bool
is_any(const struct sockaddr *sa)
{
	const union addr *a = (const void *)sa;

	if (sa->sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return sa->sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
}

/* Every spelling of "all interfaces". */
static bool
names_any(const char *host)
{
	struct addrinfo hint = { .ai_flags = AI_NUMERICHOST }, *ai;
	bool any;

	if (*host == '\0' || strcmp(host, "*") == 0)
		return true;
	if (getaddrinfo(host, NULL, &hint, &ai) != 0)
		return false;
	any = is_any(ai->ai_addr);
	freeaddrinfo(ai);
	return any;
}

/* How good an interface's address is to be told to others; 0 not at all. */
static int
worth(const struct ifaddrs *i)
{
	const union addr *a = (const void *)i->ifa_addr;

	if (a == NULL || !(i->ifa_flags & IFF_UP) ||
	    (i->ifa_flags & IFF_LOOPBACK))
		return 0;
	if (a->sa.sa_family == AF_INET)
		/* 169.254.0.0/16 is for links without a router. */
		return ntohl(a->v4.sin_addr.s_addr) >> 16 == 0xa9fe ? 1 : 3;
	return a->sa.sa_family == AF_INET6 &&
	    !IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr) ? 2 : 0;
}

static bool
reachable(char *host, size_t size)
{
	const struct ifaddrs *best = NULL;
	struct ifaddrs *all;
	bool ok = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		if (worth(i) > (best == NULL ? 0 : worth(best)))
			best = i;
	if (best != NULL)
		ok = getnameinfo(best->ifa_addr,
		    best->ifa_addr->sa_family == AF_INET ?
		    sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
		    host, (socklen_t)size, NULL, 0, NI_NUMERICHOST) == 0;
	freeifaddrs(all);
	return ok;
}

static _Noreturn void
die(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "chronik-gateway: --%s %s: %s\n", option, value, why);
	exit(1);
}

static void
advertise(struct gw *gw, const char *bound_host, bool any, int bound_port)
{
	const char *adv = gw->conf.advertised_addr;

	if (*adv != '\0') {
		if (conf_hostport(adv, gw->host, sizeof gw->host, &gw->port) !=
		    E_OK)
			die("advertised-addr", adv, "must be HOST:PORT");
		if (names_any(gw->host))
			die("advertised-addr", adv, "no client can connect to "
			    "this; name an address that clients can reach");
		if (gw->port == 0)
			gw->port = bound_port;
		return;
	}
	gw->port = bound_port;
	if (!any) {
		snprintf(gw->host, sizeof gw->host, "%s", bound_host);
		return;
	}
	if (!reachable(gw->host, sizeof gw->host))
		die("bind-addr", gw->conf.bind_addr, "this machine has no "
		    "address to tell clients; set --advertised-addr HOST:PORT");
	log_info("advertised address chosen", LS("host", gw->host),
	    LI("port", gw->port));
}

/* Accepted sockets inherit these from the listener, which saves the calls. */
static void
options(int fd)
{
	const struct { int level, name, value; } o[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 1 },
		{ SOL_SOCKET, SO_REUSEPORT, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		/* A peer that vanished is found within two minutes. */
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 15 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 120 * 1000 },
	};

	for (size_t i = 0; i < sizeof o / sizeof o[0]; i++)
		if (setsockopt(fd, o[i].level, o[i].name, &o[i].value,
		    sizeof o[i].value) != 0)
			log_warn("socket option refused", LI("name", o[i].name),
			    LERRNO(errno));
}

/* Accepted sockets inherit this, too. */
static void
congestion(int fd, const char *name)
{
	if (strcmp(name, "auto") != 0 && strcmp(name, "system") != 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
	    (socklen_t)strlen(name)) != 0)
		die("tcp-congestion", name, errno == ENOENT ? "the kernel has "
		    "none of that name; see the names in "
		    "/proc/sys/net/ipv4/tcp_available_congestion_control" :
		    strerror(errno));
}

bool
net_addr(const struct sockaddr *sa, uint8_t out[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const struct sockaddr_in6 *v6 = (const void *)sa;
	const struct sockaddr_in *v4 = (const void *)sa;

	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		memcpy(out, mapped, sizeof mapped);
		memcpy(out + 12, &v4->sin_addr, 4);
		return true;
	}
	if (sa->sa_family == AF_INET6)
		memcpy(out, &v6->sin6_addr, 16);
	return sa->sa_family == AF_INET6;
}

/* Both ends of a connection have one address. */
static bool
is_here(int fd, const struct sockaddr *peer)
{
	union addr a;
	socklen_t len = sizeof a;
	uint8_t ours[16], theirs[16];

	return getsockname(fd, &a.sa, &len) == 0 && net_addr(&a.sa, ours) &&
	    net_addr(peer, theirs) && memcmp(ours, theirs, 16) == 0;
}

/* Pacing, as of bbr, makes one write many timers; where there is no network it
 * costs more than the bytes do.  reno is in every kernel. */
void
net_accepted(const struct gw *gw, int fd, const struct sockaddr *peer)
{
	if (strcmp(gw->conf.tcp_congestion, "auto") == 0 && is_here(fd, peer))
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

/* A name may have several addresses; most clients come by IPv4. */
static const struct addrinfo *
best(const struct addrinfo *ai)
{
	for (const struct addrinfo *i = ai; i != NULL; i = i->ai_next)
		if (i->ai_family == AF_INET)
			return i;
	return ai;
}

int
net_bind(struct gw *gw, char *shown, size_t size)
{
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *all;
	const struct addrinfo *ai;
	const char *conf = gw->conf.bind_addr;
	char host[256], port[16];
	socklen_t len = sizeof(union addr);
	union addr a;
	int fd, n, rc;

	if (conf_hostport(conf, host, sizeof host, &n) != E_OK)
		die("bind-addr", conf, "must be HOST:PORT");
	snprintf(port, sizeof port, "%d", n);
	rc = getaddrinfo(*host == '\0' || strcmp(host, "*") == 0 ? NULL : host,
	    port, &hint, &all);
	if (rc != 0)
		die("bind-addr", conf, gai_strerror(rc));
	ai = best(all);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd >= 0) {
		options(fd);
		congestion(fd, gw->conf.tcp_congestion);
	}
	if (fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    getsockname(fd, &a.sa, &len) != 0)
		die("bind-addr", conf, strerror(errno));
	freeaddrinfo(all);
	n = ntohs(a.sa.sa_family == AF_INET6 ? a.v6.sin6_port :
	    a.v4.sin_port);
	if (*host == '\0' || strcmp(host, "*") == 0)
		getnameinfo(&a.sa, len, host, sizeof host, NULL, 0,
		    NI_NUMERICHOST);
	snprintf(shown, size, strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d",
	    host, n);
	advertise(gw, host, is_any(&a.sa), n);
	return fd;
}
