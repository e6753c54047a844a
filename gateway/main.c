/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-gateway: speaks Kafka to clients and passes on to the engine what
 * it cannot answer itself.  It keeps nothing that a restart would miss.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "conn.h"
#include "lib/child.h"
#include "lib/log.h"
#include "net.h"

#define ACCEPTS		64	/* per turn */
#define NO_FDS_MS	100	/* before accepting is tried again */
#define STOP_MS		5000	/* for what is owed at the end */

static struct gw gw;
static int listen_fd = -1;
static uv_poll_t listener;
static uv_timer_t pause_timer, stop_timer;
static uv_signal_t on_term, on_int;
static char shown[300];

static void	 listener_cb(uv_poll_t *, int, int);

static void
pause_cb(uv_timer_t *t)
{
	(void)t;
	uv_poll_start(&listener, UV_READABLE, listener_cb);
}

/* The kernel keeps those who come meanwhile. */
static void
listen_later(uint64_t ms)
{
	uv_poll_stop(&listener);
	uv_timer_start(&pause_timer, pause_cb, ms, 0);
}

static void
listener_cb(uv_poll_t *p, int status, int events)
{
	struct sockaddr_storage sa;
	uint64_t wait;
	socklen_t n;
	int fd;

	(void)p;
	(void)events;
	for (int i = 0; status == 0 && i < ACCEPTS; i++) {
		if ((wait = admit_wait_ms(&gw)) > 0) {
			listen_later(wait);
			return;
		}
		n = sizeof sa;
		fd = accept4(listen_fd, (struct sockaddr *)&sa, &n,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			net_accepted(&gw, fd, (struct sockaddr *)&sa);
			admit_socket(&gw, fd, (struct sockaddr *)&sa);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno == EMFILE || errno == ENFILE ||
		    errno == ENOBUFS || errno == ENOMEM) {
			log_warn("cannot accept for now", LERRNO(errno));
			listen_later(NO_FDS_MS);
			return;
		}	/* else that client is gone already */
	}
}

/* The engine is there: from now on clients are heard. */
static void
on_link(struct gw *g)
{
	(void)g;
	if (uv_is_active((uv_handle_t *)&listener) || gw.stopping ||
	    uv_is_active((uv_handle_t *)&pause_timer))
		return;
	if (listen(listen_fd, SOMAXCONN) != 0)
		log_fatal("cannot listen", LS("address", shown),
		    LERRNO(errno));
	uv_poll_start(&listener, UV_READABLE, listener_cb);
	/* What clients are told, and what is bound. */
	printf(strchr(gw.host, ':') != NULL ? "ready kafka=[%s]:%d bind=%s\n" :
	    "ready kafka=%s:%d bind=%s\n", gw.host, gw.port, shown);
	fflush(stdout);
}

static void
stop_timer_cb(uv_timer_t *t)
{
	(void)t;
	log_info("clients were not waited for", LI("connections", gw.nconns));
	gw_close(&gw);
}

static void
listener_closed(uv_handle_t *h)
{
	(void)h;
	close(listen_fd);
}

static void
signal_cb(uv_signal_t *s, int signo)
{
	(void)s;
	if (gw.stopping)
		return;
	log_info("stopping", LI("signal", signo), LI("connections", gw.nconns));
	uv_close((uv_handle_t *)&listener, listener_closed);
	uv_close((uv_handle_t *)&pause_timer, NULL);
	uv_close((uv_handle_t *)&on_term, NULL);
	uv_close((uv_handle_t *)&on_int, NULL);
	uv_timer_start(&stop_timer, stop_timer_cb, STOP_MS, 0);
	uv_unref((uv_handle_t *)&stop_timer);
	gw_stop(&gw);
}

/* As many fds as we may have.  Clients must leave some for the segments that
 * the engine passes: without them the link could not live. */
static void
more_fds(void)
{
	int64_t keep = IPC_HANDLES_MAX + 64;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0 ||
	    getrlimit(RLIMIT_NOFILE, &r) != 0)
		log_warn("cannot raise the limit of open files",
		    LERRNO(errno));
	if (r.rlim_cur >= INT32_MAX)
		return;
	if (keep > (int64_t)r.rlim_cur / 2) {
		keep = (int64_t)r.rlim_cur / 2;
		/* As many more may wait for clients that read slowly. */
		gw.handles_max = (int32_t)keep / 2;
	}
	gw.conns_max = (int64_t)r.rlim_cur - keep;
	if (gw.conf.max_connections <= gw.conns_max)
		return;
	gw.conf.max_connections = gw.conns_max;
	log_warn("open files are too few for max-connections",
	    LI("open_files", (int64_t)r.rlim_cur),
	    LI("max_connections", gw.conf.max_connections));
}

static void
check_engine_path(void)
{
	struct sockaddr_un sa;

	if (*gw.conf.engine != '\0' &&
	    strlen(gw.conf.engine) < sizeof sa.sun_path)
		return;
	fprintf(stderr, "chronik-gateway: --engine %s\n",
	    *gw.conf.engine == '\0' ? "PATH is needed: the engine's socket" :
	    "is too long for the path of a socket");
	exit(2);
}

int
main(int argc, char **argv)
{
	char why[512];
	enum err e;

	child_setup();
	if (conf_load(&gw.conf, CONF_G,
	    "chronik-gateway --engine PATH [option ...]", argc, argv) !=
	    argc) {
		fprintf(stderr, "chronik-gateway: takes no operands\n");
		return 2;
	}
	log_setup("chronik-gateway", (enum log_level)gw.conf.log_level,
	    (enum log_format)gw.conf.log_format);
	check_engine_path();
	if (!sasl_setup(&gw, why, sizeof why)) {
		fprintf(stderr, "chronik-gateway: %s\n", why);
		return 2;
	}
	srandom((unsigned)getpid() ^ (unsigned)uv_hrtime());
	signal(SIGPIPE, SIG_IGN);	/* sendfile has no flag for it */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	more_fds();
	if ((e = gw_open(&gw)) != E_OK)
		log_fatal("cannot start", LE(e));
	listen_fd = net_bind(&gw, shown, sizeof shown);
	gw.bound = shown;
	if (uv_poll_init(&gw.loop, &listener, listen_fd) != 0)
		log_fatal("cannot watch the listening socket");
	uv_timer_init(&gw.loop, &pause_timer);
	uv_timer_init(&gw.loop, &stop_timer);
	uv_signal_init(&gw.loop, &on_term);
	uv_signal_init(&gw.loop, &on_int);
	uv_signal_start(&on_term, signal_cb, SIGTERM);
	uv_signal_start(&on_int, signal_cb, SIGINT);
	gw.on_link = on_link;
	up_start(&gw.up);
	uv_run(&gw.loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&stop_timer, NULL);
	uv_run(&gw.loop, UV_RUN_DEFAULT);
	gw_free(&gw);
	return 0;
}
