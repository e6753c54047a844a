/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP connections: libmicrohttpd closes one that is silent, but one that sends
 * a byte now and then would be held for ever, and there are only so many.  Two
 * threads come here: that of libmicrohttpd, and the one that looks at the
 * clock.  A descriptor is closed after conn_close, hence only shut down here.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conns.h"
#include "lib/elink.h"

enum { ANSWER_MS = 600000 };	/* to take an answer */

struct conn {
	int64_t	 since_ms, idle_ms;
	int	 fd;
	bool	 used, answers;
};

static struct conn conns[CONNS_MAX];
static int nused;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct conn *
conn_open(int fd, int64_t idle_ms)
{
	struct conn *c = NULL;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < CONNS_MAX && c == NULL; i++)
		if (!conns[i].used)
			c = &conns[i];
	if (c != NULL)
		*c = (struct conn){ elink_now_ms(), idle_ms, fd, true, false };
	if (c != NULL && nused++ == 0)
		kill(getpid(), CONNS_SIGNAL);
	pthread_mutex_unlock(&lock);
	return c;
}

void
conn_close(struct conn *c)
{
	pthread_mutex_lock(&lock);
	if (c != NULL) {
		c->used = false;
		nused--;
	}
	pthread_mutex_unlock(&lock);
}

static void
turn(struct conn *c, bool answers)
{
	pthread_mutex_lock(&lock);
	if (c != NULL) {
		c->since_ms = elink_now_ms();
		c->answers = answers;
	}
	pthread_mutex_unlock(&lock);
}

void
conn_answers(struct conn *c)
{
	turn(c, true);
}

void
conn_waits(struct conn *c)
{
	turn(c, false);
}

void
conns_forgive(int64_t ms)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < CONNS_MAX; i++)
		conns[i].since_ms += ms;
	pthread_mutex_unlock(&lock);
}

bool
conns_any(void)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = nused > 0;
	pthread_mutex_unlock(&lock);
	return any;
}

void
conns_cut(void)
{
	int64_t now = elink_now_ms();

	pthread_mutex_lock(&lock);
	for (int i = 0; i < CONNS_MAX; i++) {
		const struct conn *c = &conns[i];

		if (c->used && now - c->since_ms > (c->answers ? ANSWER_MS :
		    c->idle_ms))
			(void)shutdown(c->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&lock);
}
