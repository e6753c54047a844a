/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-engine: the daemon that owns a data directory.  This file wires
 * loop, pools, timers and signals to the engine; it decides nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/child.h"
#include "lib/log.h"
#include "serve.h"

enum {
	COMMIT_THREADS	= 5,	/* one writes, the others sync a file each */
	BULK_THREADS	= 6,	/* they wait for the disk most of the time */
	EXIT_REFUSED	= 3,	/* the data directory is not ours to open */
	WHY_SIZE	= 1024,
};

struct daemon {
	struct engine	 eng;
	struct serve	 serve;
	struct conf	 conf;
	uv_loop_t	 loop;
	uv_async_t	 wake;
	uv_timer_t	 timer;
	uv_check_t	 check;
	uv_prepare_t	 prepare;
	uv_signal_t	 term, intr;
	struct pool	*commit, *bulk;
	char		 socket[PATH_SIZE];
	bool		 serving, stopping, stopped;
};

static struct daemon d;

/* ---- the loop ---------------------------------------------------------- */

static void
wake_loop(void *arg)
{
	uv_async_send(arg);
}

static void on_timer(uv_timer_t *);

static void
timer_arm(void)
{
	int64_t due = timers_due(&d.eng.timers), now = mono_ms();

	if (due < 0)
		uv_timer_stop(&d.timer);
	else
		uv_timer_start(&d.timer, on_timer,
		    due > now ? (uint64_t)(due - now) : 0, 0);
}

static void
loop_end(void)
{
	d.stopped = true;
	if (d.serving)
		serve_close(&d.serve);
	uv_close((uv_handle_t *)&d.wake, NULL);
	uv_close((uv_handle_t *)&d.timer, NULL);
	uv_close((uv_handle_t *)&d.check, NULL);
	uv_close((uv_handle_t *)&d.prepare, NULL);
	uv_close((uv_handle_t *)&d.term, NULL);
	uv_close((uv_handle_t *)&d.intr, NULL);
}

/* Once per turn: what events have made due, then what is to be sent. */
static void
turn(void)
{
	enum err e;

	if (d.stopped)
		return;
	engine_turn(&d.eng);
	if (d.stopping && (!d.serving || serve_idle(&d.serve))) {
		e = engine_stop(&d.eng);
		if (e != E_BUSY) {
			if (e != E_OK)
				log_warn("no clean marker", LE(e));
			serve_flush(&d.serve);
			loop_end();
			return;
		}
	}
	if (d.serving)
		serve_flush(&d.serve);
	timer_arm();
}

static void
on_check(uv_check_t *h)
{
	(void)h;
	turn();
}

static void
on_prepare(uv_prepare_t *h)
{
	(void)h;
	turn();
}

static void
on_wake(uv_async_t *h)
{
	(void)h;
	pool_reap(d.commit);
	pool_reap(d.bulk);
}

static void
on_timer(uv_timer_t *h)
{
	(void)h;
	timers_run(&d.eng.timers, mono_ms());
}

static void
on_signal(uv_signal_t *h, int sig)
{
	(void)h;
	if (d.stopping)
		return;
	log_info("stopping", LI("signal", sig));
	d.stopping = true;
	if (d.serving)
		serve_stop(&d.serve);
}

/* ---- start ------------------------------------------------------------- */

static void
refuse(const char *why)
{
	fprintf(stderr, "chronik-engine: %s\n", why);
	exit(EXIT_REFUSED);
}

static void
ready(struct engine *eng)
{
	char why[WHY_SIZE];
	enum err e;

	e = serve_open(&d.serve, eng, &d.loop, d.socket, why, sizeof why);
	if (e != E_OK)
		refuse(why);
	d.serving = true;
	log_info("ready", LS("data_dir", eng->data), LI("topics",
	    (int64_t)eng->topics.n), LI("parts", eng->topics.nparts),
	    LI("clean", eng->clean_start), LI("epoch", eng->epoch),
	    LI("start_ms", mono_ms() - eng->started));
	printf("ready engine=%s\n", d.socket);
	fflush(stdout);
}

static void
loop_open(void)
{
	if (uv_loop_init(&d.loop) != 0 ||
	    uv_async_init(&d.loop, &d.wake, on_wake) != 0)
		refuse("the event loop cannot be set up");
	uv_timer_init(&d.loop, &d.timer);
	uv_check_init(&d.loop, &d.check);
	uv_check_start(&d.check, on_check);
	uv_prepare_init(&d.loop, &d.prepare);
	uv_prepare_start(&d.prepare, on_prepare);
	uv_signal_init(&d.loop, &d.term);
	uv_signal_start(&d.term, on_signal, SIGTERM);
	uv_signal_init(&d.loop, &d.intr);
	uv_signal_start(&d.intr, on_signal, SIGINT);
	if (pool_open(COMMIT_THREADS, wake_loop, &d.wake, &d.commit) != E_OK ||
	    pool_open(BULK_THREADS, wake_loop, &d.wake, &d.bulk) != E_OK)
		refuse("worker threads cannot be started");
}

/* Segments' files may take what the process may open, but for what links,
 * answers on their way and small files need. */
static void
files_limit(void)
{
	struct rlimit rl;
	int64_t max = 0, keep;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rl) == 0 &&
		    rl.rlim_cur < FILES_MAX)
			max = (int64_t)rl.rlim_cur;
	}
	if (max == 0)
		max = FILES_MAX;
	keep = max / 2 < FILES_KEEP ? max / 2 : FILES_KEEP;
	d.eng.files.max = (int)(max - keep);
}

/* A data directory may be reached by a symbolic link; below it there is none,
 * and none is followed.  The name lives as long as the process. */
static void
data_resolve(void)
{
	char *real = realpath(d.conf.data_dir, NULL);

	if (real != NULL)
		d.conf.data_dir = real;
}

int
main(int argc, char **argv)
{
	char why[WHY_SIZE];

	child_setup();
	if (conf_load(&d.conf, CONF_E, "chronik-engine [options]", argc,
	    argv) < argc) {
		fprintf(stderr, "chronik-engine: takes options only\n");
		return 2;
	}
	log_setup("chronik-engine", (enum log_level)d.conf.log_level,
	    (enum log_format)d.conf.log_format);
	signal(SIGPIPE, SIG_IGN);
	files_limit();
	if (d.conf.engine[0] != '\0')
		snprintf(d.socket, sizeof d.socket, "%s", d.conf.engine);
	else
		snprintf(d.socket, sizeof d.socket, "%s/engine.sock",
		    d.conf.data_dir);
	data_resolve();
	loop_open();
	d.eng.ready = ready;
	if (engine_open(&d.eng, &d.conf, d.commit, d.bulk, why, sizeof why) !=
	    E_OK)
		refuse(why);
	uv_run(&d.loop, UV_RUN_DEFAULT);
	pool_close(d.commit);
	pool_close(d.bulk);
	engine_close(&d.eng);
	uv_loop_close(&d.loop);
	return 0;
}
