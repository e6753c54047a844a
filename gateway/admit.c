/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may connect.  Limits count in this process: the gateways that share a
 * port know nothing of each other.
 *
 * A connection is fresh until its first request is whole and, where that is
 * asked for, the client has authenticated.  Honest ones are that for a moment,
 * so when there are too many the oldest gives way: whoever opens connections
 * and says nothing, or little by little, only ever displaces his own.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "conn.h"
#include "lib/log.h"
#include "net.h"

enum {
	TABLE_FIRST	= 64,
	FREE_S		= 10,	/* seconds' worth, as of Kafka's quotas */
	WAIT_MAX_MS	= 1000,	/* then the rate is looked at again */
};

/* An address that has connections. */
struct peer {
	struct peer	*next;
	uint8_t		 addr[16];
	int64_t		 n;
};

/* ---- addresses --------------------------------------------------------- */

static struct peer **
slot(const struct admit *a, const uint8_t addr[16])
{
	uint64_t h = a->seed;
	struct peer **p;

	for (int i = 0; i < 16; i++)
		h = (h ^ addr[i]) * 0x100000001b3;
	p = &a->table[(h ^ h >> 29) & (a->size - 1)];
	while (*p != NULL && memcmp((*p)->addr, addr, 16) != 0)
		p = &(*p)->next;
	return p;
}

static bool
grow(struct admit *a)
{
	struct peer **old = a->table, *p;
	size_t was = a->size;

	if (a->n < was)
		return true;
	if (was == 0 && getrandom(&a->seed, sizeof a->seed, 0) !=
	    (ssize_t)sizeof a->seed)
		return false;
	a->table = calloc(was == 0 ? TABLE_FIRST : was * 2, sizeof(void *));
	if (a->table == NULL) {
		a->table = old;
		return false;
	}
	a->size = was == 0 ? TABLE_FIRST : was * 2;
	for (size_t i = 0; i < was; i++)
		while ((p = old[i]) != NULL) {
			struct peer **to = slot(a, p->addr);

			old[i] = p->next;
			p->next = NULL;
			*to = p;
		}
	free(old);
	return true;
}

/* NULL: out of memory. */
static struct peer *
peer_get(struct admit *a, const uint8_t addr[16])
{
	struct peer *p = a->size == 0 ? NULL : *slot(a, addr);

	if (p != NULL)
		return p;
	if (!grow(a) || (p = calloc(1, sizeof *p)) == NULL)
		return NULL;
	memcpy(p->addr, addr, 16);
	*slot(a, addr) = p;
	a->n++;
	return p;
}

static void
peer_put(struct admit *a, struct peer *p)
{
	if (p->n > 0)
		return;
	*slot(a, p->addr) = p->next;
	a->n--;
	free(p);
}

static int64_t
peer_max(const struct gw *gw, const struct peer *p)
{
	const struct admit *a = &gw->admit;

	for (int i = 0; i < a->ncaps; i++)
		if (memcmp(a->caps[i].addr, p->addr, 16) == 0)
			return a->caps[i].max;
	return gw->conf.max_connections_per_ip;
}

void
admit_options(struct gw *gw)
{
	struct kstr s = kstr_of(gw->conf.max_connections_per_ip_overrides);
	struct admit *a = &gw->admit;
	struct admit_cap cap;

	free(a->caps);
	a->ncaps = 0;
	/* Each takes more bytes of text than that. */
	a->caps = calloc((size_t)s.len / 4 + 1, sizeof *a->caps);
	if (a->caps == NULL)
		log_fatal("no memory for limits of addresses", LE(E_NOMEM));
	while (conf_cap_next(&s, cap.addr, &cap.max))
		a->caps[a->ncaps++] = cap;
}

void
admit_free(struct gw *gw)
{
	ASSERT(gw->admit.n == 0);
	free(gw->admit.caps);
	free(gw->admit.table);
}

/* ---- sockets ----------------------------------------------------------- */

uint64_t
admit_wait_ms(struct gw *gw)
{
	struct admit *a = &gw->admit;
	double rate = (double)gw->conf.max_connection_creation_rate, wait;
	uint64_t now = uv_now(&gw->loop);

	a->level -= rate * (double)(now - a->level_ms) / 1000;
	a->level_ms = now;
	if (a->level < 0)
		a->level = 0;
	wait = (a->level + 1 - rate * FREE_S) / rate * 1000;
	if (wait <= 0)
		return 0;
	return wait > WAIT_MAX_MS ? WAIT_MAX_MS : (uint64_t)wait + 1;
}

static void
refuse(struct gw *gw, int fd, const char *why, int64_t max)
{
	close(fd);
	if (gw_may_log(gw))
		log_debug("connection refused", LS("why", why),
		    LI("max", max));
}

/* Room for one more, if need be that of a fresh one. */
static bool
make_room(struct gw *gw)
{
	if ((gw->admit.nfresh >= CONNS_FRESH_MAX ||
	    gw->nconns >= gw->conf.max_connections) &&
	    !TAILQ_EMPTY(&gw->fresh))
		conn_close(TAILQ_FIRST(&gw->fresh), "it has said nothing yet");
	return gw->nconns < gw->conf.max_connections;
}

void
admit_socket(struct gw *gw, int fd, const struct sockaddr *sa)
{
	struct admit *a = &gw->admit;
	struct peer *p = NULL;
	uint8_t addr[16];
	int64_t max = 0;

	a->level++;
	if (net_addr(sa, addr)) {
		if ((p = peer_get(a, addr)) == NULL) {
			refuse(gw, fd, "out of memory", 0);
			return;
		}
		max = peer_max(gw, p);
		p->n++;		/* ours while it is looked at */
	}
	if (p != NULL && p->n > max)
		refuse(gw, fd, "too many from its address", max);
	else if (!make_room(gw))
		refuse(gw, fd, "too many", gw->conf.max_connections);
	else
		conn_open(gw, fd, p);
	if (p != NULL) {
		p->n--;
		peer_put(a, p);
	}
}

/* ---- fresh connections ------------------------------------------------- */

static bool
is_done(const struct conn *c)
{
	return c->frames > 0 && (c->sasl.state == SASL_OFF ||
	    c->sasl.state == SASL_DONE);
}

static void	 fresh_cb(uv_timer_t *);

/* All have the same time, so the list is in order of what is due; the timer
 * runs only while somebody is on it. */
static void
arm(struct gw *gw)
{
	struct conn *c = TAILQ_FIRST(&gw->fresh);
	uint64_t now = uv_now(&gw->loop);

	if (c == NULL)
		uv_timer_stop(&gw->fresh_timer);
	else
		uv_timer_start(&gw->fresh_timer, fresh_cb,
		    c->fresh_due > now ? c->fresh_due - now : 0, 0);
}

static void
fresh_add(struct conn *c)
{
	struct gw *gw = c->gw;

	c->is_fresh = true;
	c->fresh_due = uv_now(&gw->loop) +
	    (uint64_t)gw->conf.handshake_timeout_ms;
	TAILQ_INSERT_TAIL(&gw->fresh, c, in_fresh);
	gw->admit.nfresh++;
}

static void
fresh_remove(struct conn *c)
{
	c->is_fresh = false;
	TAILQ_REMOVE(&c->gw->fresh, c, in_fresh);
	c->gw->admit.nfresh--;
}

static void
fresh_cb(uv_timer_t *t)
{
	struct gw *gw = t->data;
	uint64_t now = uv_now(&gw->loop);
	struct conn *c;

	while ((c = TAILQ_FIRST(&gw->fresh)) != NULL && c->fresh_due <= now) {
		/* It is no fault of his while he waits for us. */
		if (c->inflight == 0 && !c->paused) {
			conn_close(c, "its first request takes too long");
			continue;
		}
		fresh_remove(c);
		fresh_add(c);
	}
	arm(gw);
}

void
admit_begin(struct conn *c)
{
	if (c->peer != NULL)
		c->peer->n++;
	fresh_add(c);
	if (!uv_is_active((uv_handle_t *)&c->gw->fresh_timer))
		arm(c->gw);
}

void
admit_watch(struct conn *c)
{
	if (c->is_fresh && is_done(c)) {
		fresh_remove(c);
		if (c->gw->admit.nfresh == 0)
			arm(c->gw);
	}
}

void
admit_end(struct conn *c)
{
	struct peer *p = c->peer;

	if (c->is_fresh) {
		fresh_remove(c);
		if (c->gw->admit.nfresh == 0)
			arm(c->gw);
	}
	c->peer = NULL;
	if (p != NULL) {
		p->n--;
		peer_put(&c->gw->admit, p);
	}
}
