/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults: signals to the children of a supervisor that starts them again, and
 * whatever commands were given.  Every few faults another subset of them is
 * chosen; a quarter of the time there are none.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { ROTATE = 6, STOP_MS_MAX = 1500, PATIENCE_MS = 20000 };

/* name of the child, signal. */
static const struct { const char *name, *child; int sig; } signals[] = {
	{ "kill-engine",  "chronik-engine",  SIGKILL },
	{ "kill-gateway", "chronik-gateway", SIGKILL },
	{ "term-engine",  "chronik-engine",  SIGTERM },
	{ "term-gateway", "chronik-gateway", SIGTERM },
	{ "stop-engine",  "chronik-engine",  SIGSTOP },
	{ "stop-gateway", "chronik-gateway", SIGSTOP },
};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

static void
sleep_ms(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* A living child of the supervisor with that name: the nth of them, round
 * about; 0: there is none. */
static pid_t
child_find(pid_t parent, const char *name, uint64_t nth)
{
	pid_t found[64];
	struct dirent *d;
	unsigned n = 0;
	DIR *proc = opendir("/proc");

	while (proc != NULL && (d = readdir(proc)) != NULL && n < 64) {
		char path[300], comm[32], state;
		int pid, ppid;
		FILE *f;

		snprintf(path, sizeof path, "/proc/%s/stat", d->d_name);
		if (d->d_name[0] < '1' || d->d_name[0] > '9' ||
		    (f = fopen(path, "r")) == NULL)
			continue;
		if (fscanf(f, "%d (%31[^)]) %c %d", &pid, comm, &state,
		    &ppid) == 4 && ppid == parent && state != 'Z' &&
		    strncmp(comm, name, 15) == 0)
			found[n++] = pid;
		fclose(f);
	}
	if (proc != NULL)
		closedir(proc);
	return n == 0 ? 0 : found[nth % n];
}

static void
signal_do(const struct check *c, int i, uint64_t *rand)
{
	pid_t pid = child_find(c->supervisor, signals[i].child,
	    rand_next(rand));

	if (pid == 0 || kill(pid, signals[i].sig) != 0 ||
	    signals[i].sig != SIGSTOP)
		return;
	sleep_ms((int64_t)(rand_next(rand) % STOP_MS_MAX));
	kill(pid, SIGCONT);
}

/* A hook must do its work: a fault that did not happen proves nothing. */
static void
command_do(const char *name, const char *command)
{
	int status = system(command);

	if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die(name, "the command failed");
}

static void
fault_do(struct check *c, struct hist *h, int i, uint64_t *rand)
{
	hist_put(h, (struct event){ EV_NEMESIS, EV_INFO, 0, 0, 0, 0, 0, i, 0 });
	hist_flush(h);
	if (i < SIGNALS)
		signal_do(c, i, rand);
	else
		command_do(c->hooks[i - SIGNALS].name,
		    c->hooks[i - SIGNALS].command);
	atomic_fetch_add(&c->faults, 1);
}

/* Until it is time for the next, and there was progress since the last one:
 * else broken things would only be broken further. */
static void
pace(struct check *c, int64_t *acked)
{
	int64_t began = mono_ns(), ms;

	do {
		sleep_ms(10);
		ms = (mono_ns() - began) / 1000000;
	} while (!atomic_load(&c->healed) && ms < PATIENCE_MS &&
	    (ms < c->every_ms || atomic_load(&c->acked) - *acked < c->pace));
	*acked = atomic_load(&c->acked);
}

void *
nemesis_main(void *arg)
{
	struct worker *w = arg;
	struct check *c = w->c;
	struct hist *h = ck_hist(c, "nemesis", 0);
	uint64_t rand = ck_seed(c, "nemesis", 0);
	int fit[SIGNALS + HOOKS_MAX], nfit = 0, n = 0;
	uint64_t subset = 0;
	int64_t acked = 0;

	for (int i = 0; i < SIGNALS; i++)
		if (c->supervisor != 0)
			fit[nfit++] = i;
	for (int i = 0; i < c->nhooks; i++)
		fit[nfit++] = SIGNALS + i;
	while (nfit > 0 && !atomic_load(&c->healed)) {
		int i;

		pace(c, &acked);
		if (n++ % ROTATE == 0)
			do
				subset = rand_next(&rand);
			while ((subset & ((1u << nfit) - 1)) == 0);
		do
			i = (int)(rand_next(&rand) % (uint64_t)nfit);
		while ((subset >> i & 1) == 0);
		if (rand_next(&rand) % 4 != 0 && !atomic_load(&c->healed))
			fault_do(c, h, fit[i], &rand);
	}
	hist_close(h);
	return NULL;
}

void
nemesis_heal(struct check *c)
{
	if (c->heal != NULL)
		command_do("--heal", c->heal);
}
