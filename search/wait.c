/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting: for the index, and not for ever. */
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"

enum {
	POLL_MS		= 50,
	WATCH_MS	= 15000,	/* more than one call of the engine */
};

/* Whether every record that was there is in a shard. */
static bool
is_indexed(const struct search *s, const struct walk *w)
{
	char dir[SHARD_PATH];
	struct shards v;
	const struct shard *sh;
	int64_t at = w->start;

	shard_dir(dir, s->dir, &w->id, w->part);
	if (shards_list(dir, SHARDS_LIST, &v, NULL) != E_OK)
		return false;
	/* Retention may have taken the first. */
	if (v.n > 0 && v.v[0].base > at && v.v[0].base >= w->end)
		at = w->end;
	while (at < w->end && (sh = shards_find(&v, at)) != NULL)
		at = sh->end;
	shards_free(&v);
	return at >= w->end;
}

bool
cmd_await_index(struct cmd *c)
{
	const struct timespec pause = { 0, POLL_MS * 1000000L };
	int64_t deadline = elink_now_ms() + c->timeout_ms;
	int n = 0;

	/* What is wrong with the query is told when it runs. */
	if (cmd_begin(c) != 0)
		return true;
	while (n < c->search.nwalks && elink_now_ms() < deadline)
		if (c->search.walks[n].over ||
		    is_indexed(&c->search, &c->search.walks[n]))
			n++;
		else
			nanosleep(&pause, NULL);
	deadline = n < c->search.nwalks ? -1 : 0;
	search_close(&c->search);
	c->search = (struct search){ 0 };
	return deadline == 0;
}

/* ---- the watch --------------------------------------------------------- */

static void
on_time_up(int sig)
{
	static const char text[] = "chronik-search: incomplete: out of time, "
	    "in the middle of a shard (--timeout gives more)\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(EXIT_ERROR);
	_exit(EXIT_INCOMPLETE);
}

void
cmd_watch(const struct cmd *c)
{
	int64_t ms = c->opt[OPT_follow] != NULL ? 0 : c->timeout_ms *
	    (c->opt[OPT_wait_index] != NULL ? 2 : 1) + WATCH_MS;
	struct itimerval t = { .it_value = { ms / 1000, ms % 1000 * 1000 } };
	struct sigaction sa = { .sa_handler = on_time_up };

	/* Of work: who reads slowly, or asks seldom, may take his time. */
	sigaction(SIGPROF, &sa, NULL);
	setitimer(ITIMER_PROF, &t, NULL);
}
