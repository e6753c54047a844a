/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik start: the supervisor of one engine and its gateways.  It only
 * starts, watches and stops them; it touches neither records nor sockets.
 *
 *   engine ready -> first gateway ready (the port is known) -> the others
 *   ready -> one line on standard output
 *
 * A program that exits by itself before it was ever ready has said why, and
 * ends the whole start; one that is killed, or ends later, is started again
 * after a delay that doubles while it keeps dying young.
 *
 * Programs of chronik-search, the indexer and the search by HTTP, are helpers,
 * for which nobody waits: they are started when the engine is ready, and
 * stopped with the gateways.
 *
 * Stopping: gateways first, so that no client is cut off in the middle of an
 * answer by an engine that goes; then the engine.
 */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "ctl.h"
#include "lib/child.h"
#include "lib/conf.h"
#include "lib/log.h"

enum {
	BACKOFF_MIN_MS	= 100,
	BACKOFF_MAX_MS	= 5000,
	GROWN_UP_MS	= 10000,	/* a life that clears the back-off */
	GATEWAY_STOP_MS	= 60000,	/* to finish what clients are owed */
	ENGINE_STOP_MS	= 600000,	/* to sync what is written */
	LINE_SIZE	= 1024,
	HELPERS_MAX	= 2		/* of chronik-search */
};

enum state {
	DOWN,		/* no process, and none wanted or not yet */
	WAITING,	/* for its back-off */
	STARTING,
	READY,
	ENDING		/* gone, its handles are closing */
};

/* One program.  Its handles are open in STARTING, READY and ENDING. */
struct child {
	struct super	*super;
	const char	*name;
	const char	*word;		/* a helper's command; else NULL */
	char		 path[PATH_MAX];
	char		**argv;
	uv_process_t	 proc;
	uv_pipe_t	 out;		/* its standard output */
	uv_timer_t	 timer;
	enum state	 state;
	bool		 was_ready;	/* in this life or an earlier one */
	int		 closing;	/* handles still to close */
	uint64_t	 started, backoff_ms;
	char		 line[LINE_SIZE];
	size_t		 len;
	char		 chunk[LINE_SIZE];
};

static struct super {
	uv_loop_t	*loop;
	struct conf	 conf;
	char		 engine_path[PATH_MAX];
	char		 bind_addr[320];	/* with the port in use */
	char		 kafka[320];		/* what clients connect to */
	int		 held;			/* socket bound to it */
	char		**env;
	uv_signal_t	 term, intr;
	uv_timer_t	 patience;		/* of a stop */
	struct child	 engine, helpers[HELPERS_MAX], gateways[GATEWAYS_MAX];
	int		 ngateways;
	int		 nhelpers;
	bool		 announced, stopping, failed;
} super;

static void child_start(struct child *);
static void child_ready(struct child *, const char *);
static void stop_next(struct super *);
static void stop_all(struct super *);

/* ---- one child --------------------------------------------------------- */

static bool
child_alive(const struct child *c)
{
	return c->state == STARTING || c->state == READY;
}

static void
child_args(struct child *c, enum conf_where where)
{
	int i;

	for (i = 0; c->argv != NULL && c->argv[i] != NULL; i++)
		free(c->argv[i]);
	free(c->argv);
	c->argv = conf_argv(&c->super->conf, where, c->path, 1);
	if (c->word == NULL || c->argv == NULL)
		return;
	/* chronik-search takes its command first. */
	for (i = 0; c->argv[i] != NULL; )
		i++;
	for (; i > 1; i--)
		c->argv[i] = c->argv[i - 1];
	c->argv[1] = strdup(c->word);
}

static void
on_timer(uv_timer_t *t)
{
	struct child *c = t->data;

	c->state = DOWN;
	child_start(c);
}

/* Both handles are closed: what now depends on why it ended. */
static void
on_closed(uv_handle_t *h)
{
	struct child *c = h->data;
	uint64_t lived = uv_now(c->super->loop) - c->started;

	if (--c->closing > 0)
		return;
	c->state = DOWN;
	if (c->super->stopping) {
		stop_next(c->super);
		return;
	}
	if (lived >= GROWN_UP_MS || c->backoff_ms == 0)
		c->backoff_ms = BACKOFF_MIN_MS;
	else if (c->backoff_ms < BACKOFF_MAX_MS)
		c->backoff_ms *= 2;
	if (c->backoff_ms > BACKOFF_MAX_MS)
		c->backoff_ms = BACKOFF_MAX_MS;
	c->state = WAITING;
	uv_timer_start(&c->timer, on_timer, c->backoff_ms, 0);
}

static void
child_ended(struct child *c, int64_t status, int sig)
{
	struct super *s = c->super;

	if (!s->stopping || status != 0 || (sig != 0 && sig != SIGTERM))
		log_warn("ended", LS("child", c->name), LI("status", status),
		    LI("signal", sig));
	c->state = ENDING;
	c->closing = 2;
	uv_close((uv_handle_t *)&c->proc, on_closed);
	uv_close((uv_handle_t *)&c->out, on_closed);
	/* One that is stopped very early dies of the signal. */
	if (s->stopping)
		s->failed |= c == &s->engine && (status != 0 ||
		    (sig != 0 && sig != SIGTERM));
	else if (!c->was_ready && sig == 0 && c->word == NULL) {
		s->failed = true;
		stop_all(s);
	}
}

static void
on_exit_child(uv_process_t *p, int64_t status, int sig)
{
	child_ended(p->data, status, sig);
}

/* Lines of a child's standard output; only the first one matters. */
static void
child_line(struct child *c)
{
	if (c->state == STARTING && strncmp(c->line, "ready ", 6) == 0)
		child_ready(c, c->line + 6);
}

static void
on_alloc(uv_handle_t *h, size_t n, uv_buf_t *buf)
{
	struct child *c = h->data;

	(void)n;
	*buf = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct child *c = stream->data;
	ssize_t i;

	if (n < 0) {
		uv_read_stop(stream);
		return;
	}
	for (i = 0; i < n; i++) {
		if (buf->base[i] != '\n') {
			if (c->len < sizeof(c->line) - 1)
				c->line[c->len++] = buf->base[i];
			continue;
		}
		c->line[c->len] = '\0';
		c->len = 0;
		child_line(c);
	}
}

static void
child_start(struct child *c)
{
	uv_stdio_container_t io[3] = { { .flags = UV_IGNORE },
	    { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE },
	    { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO } };
	uv_process_options_t o = { .file = c->path, .args = c->argv,
	    .env = c->super->env, .stdio = io, .stdio_count = 3,
	    .exit_cb = on_exit_child,
	    /* A ^C at the terminal is for the supervisor alone. */
	    .flags = UV_PROCESS_DETACHED };
	int r;

	uv_pipe_init(c->super->loop, &c->out, 0);
	c->out.data = c->proc.data = c;
	io[1].data.stream = (uv_stream_t *)&c->out;
	c->started = uv_now(c->super->loop);
	c->state = STARTING;
	c->len = 0;
	r = uv_spawn(c->super->loop, &c->proc, &o);
	if (r != 0) {
		log_warn("cannot start a program", LS("path", c->path),
		    LS("why", uv_strerror(r)));
		child_ended(c, 127, 0);
		return;
	}
	log_info("started", LS("child", c->name), LI("pid", c->proc.pid));
	uv_read_start((uv_stream_t *)&c->out, on_alloc, on_read);
}

/* ---- all of them ------------------------------------------------------- */

/* All gateways accept: says so, once. */
static void
announce(struct super *s)
{
	int i;

	for (i = 0; i < s->ngateways; i++)
		if (!s->gateways[i].was_ready)
			return;
	if (s->announced || s->stopping)
		return;
	s->announced = true;
	if (printf("ready kafka=%s engine=%s\n", s->kafka, s->engine_path) < 0
	    || fflush(stdout) != 0)
		log_warn("cannot write the ready line");
}

/* The value of name=VALUE among the words of a ready line. */
static bool
word_get(const char *line, const char *name, char *out, size_t size)
{
	const char *s = strstr(line, name);
	size_t n;

	if (s == NULL || (s != line && s[-1] != ' '))
		return false;
	s += strlen(name);
	n = strcspn(s, " ");
	if (n == 0 || n >= size)
		return false;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

/* A socket bound to HOST:PORT with one option set; -1 and errno. */
static int
bind_socket(const char *addr, int option)
{
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *ai;
	char host[256], number[16];
	int fd, port, one = 1, saved;

	errno = EADDRNOTAVAIL;
	if (conf_hostport(addr, host, sizeof(host), &port) != E_OK)
		return -1;
	snprintf(number, sizeof(number), "%d", port);
	if (getaddrinfo(host, number, &hint, &ai) != 0)
		return -1;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && (setsockopt(fd, SOL_SOCKET, option, &one,
	    sizeof(one)) == -1 || bind(fd, ai->ai_addr, ai->ai_addrlen) ==
	    -1)) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	freeaddrinfo(ai);
	return fd;
}

/*
 * Gateways share a port by SO_REUSEPORT, and would share it with those of
 * another start as well.  So a port that somebody uses is refused here, by a
 * bind that shares with no listener; and ours is held as long as we live, by
 * a bind that shares with gateways only, so that nobody takes it while none
 * of them is up.
 */
static void
port_check(struct super *s)
{
	int fd = bind_socket(s->conf.bind_addr, SO_REUSEADDR);

	if (fd == -1 && errno == EADDRINUSE) {
		fprintf(stderr, "chronik start: %s: in use by another "
		    "program\nhint: --bind-addr names another address, and "
		    "with port 0 a free one\n", s->conf.bind_addr);
		exit(EXIT_ITEM);
	}
	/* What else may be wrong with it, a gateway will say. */
	if (fd != -1)
		close(fd);
}

static void
port_hold(struct super *s)
{
	s->held = bind_socket(s->conf.bind_addr, SO_REUSEPORT);
	if (s->held == -1)
		log_warn("cannot hold the port", LS("address",
		    s->conf.bind_addr), LERRNO(errno));
}

/*
 * The first gateway listens: the port that it got is everybody's from now on,
 * also of the gateways that take its place.
 */
static void
port_known(struct super *s, const char *what)
{
	char host[256], bound[320], ignored[256];
	int port, i;

	if (!word_get(what, "kafka=", s->kafka, sizeof(s->kafka)) ||
	    conf_hostport(s->conf.bind_addr, host, sizeof(host), &port) !=
	    E_OK)
		log_fatal("a gateway does not say where it listens",
		    LS("line", what));
	if (port == 0) {
		if (!word_get(what, "bind=", bound, sizeof(bound)))
			snprintf(bound, sizeof(bound), "%s", s->kafka);
		if (conf_hostport(bound, ignored, sizeof(ignored), &port) !=
		    E_OK)
			log_fatal("a gateway listens at no address",
			    LS("line", what));
		snprintf(s->bind_addr, sizeof(s->bind_addr),
		    strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host,
		    port);
		s->conf.bind_addr = s->bind_addr;
	}
	port_hold(s);
	for (i = 0; i < s->ngateways; i++) {
		child_args(&s->gateways[i], CONF_G);
		if (i > 0)
			child_start(&s->gateways[i]);
	}
}

static void
child_ready(struct child *c, const char *what)
{
	struct super *s = c->super;
	bool first = !c->was_ready;

	c->state = READY;
	c->was_ready = true;
	log_info("ready", LS("child", c->name), LI("pid", c->proc.pid));
	if (s->stopping || !first)
		return;
	if (c == &s->engine) {
		child_start(&s->gateways[0]);
		for (int i = 0; i < s->nhelpers; i++)
			child_start(&s->helpers[i]);
	}
	else if (c == &s->gateways[0])
		port_known(s, what);
	announce(s);
}

static void
on_patience(uv_timer_t *t)
{
	struct super *s = t->data;
	bool gateways = false;
	int i;

	for (i = 0; i < s->ngateways; i++)
		if (child_alive(&s->gateways[i])) {
			log_warn("does not stop: killed",
			    LS("child", s->gateways[i].name),
			    LI("pid", s->gateways[i].proc.pid));
			uv_process_kill(&s->gateways[i].proc, SIGKILL);
			gateways = true;
		}
	for (i = 0; i < s->nhelpers; i++)
		if (child_alive(&s->helpers[i]))
			uv_process_kill(&s->helpers[i].proc, SIGKILL);
	if (!gateways && child_alive(&s->engine)) {
		log_warn("does not stop: killed", LS("child", s->engine.name),
		    LI("pid", s->engine.proc.pid));
		uv_process_kill(&s->engine.proc, SIGKILL);
	}
}

static void
close_timer(struct child *c)
{
	uv_close((uv_handle_t *)&c->timer, NULL);
}

/* Called at the start of a stop and whenever a child is down: the next step. */
static void
stop_next(struct super *s)
{
	bool busy = false;
	int i;

	for (i = 0; i < s->ngateways; i++)
		busy |= s->gateways[i].state != DOWN;
	for (i = 0; i < s->nhelpers; i++)
		busy |= s->helpers[i].state != DOWN;
	if (busy || s->engine.state == ENDING)
		return;
	if (child_alive(&s->engine)) {
		uv_process_kill(&s->engine.proc, SIGTERM);
		uv_timer_start(&s->patience, on_patience, ENGINE_STOP_MS, 0);
		return;
	}
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->intr, NULL);
	uv_close((uv_handle_t *)&s->patience, NULL);
	close_timer(&s->engine);
	for (i = 0; i < s->nhelpers; i++)
		close_timer(&s->helpers[i]);
	for (i = 0; i < s->ngateways; i++)
		close_timer(&s->gateways[i]);
}

static void
stop_all(struct super *s)
{
	int i;

	s->stopping = true;
	for (i = -1 - s->nhelpers; i < s->ngateways; i++) {
		struct child *c = i < -1 ? &s->helpers[-2 - i] : i == -1 ?
		    &s->engine : &s->gateways[i];

		uv_timer_stop(&c->timer);
		if (c->state == WAITING)
			c->state = DOWN;
		if (c != &s->engine && child_alive(c))
			uv_process_kill(&c->proc, SIGTERM);
	}
	uv_timer_start(&s->patience, on_patience, GATEWAY_STOP_MS, 0);
	stop_next(s);
}

static void
on_signal(uv_signal_t *h, int sig)
{
	struct super *s = h->data;

	if (s->stopping)
		return;
	log_info("stopping", LI("signal", sig));
	stop_all(s);
}

/* ---- the command ------------------------------------------------------- */

static bool
child_find(struct child *c, const char *name)
{
	c->name = name;
	return program_find(name, c->path, sizeof(c->path));
}

static void
find_program(struct child *c, const char *name)
{
	if (child_find(c, name))
		return;
	fprintf(stderr, "chronik start: %s is not installed beside chronik\n"
	    "hint: make install installs both\n", name);
	exit(EXIT_ITEM);
}

static void
child_init(struct super *s, struct child *c, const char *name,
    enum conf_where where)
{
	c->super = s;
	find_program(c, name);
	child_args(c, where);
	uv_timer_init(s->loop, &c->timer);
	c->timer.data = c;
}

/* A program of chronik-search; must: it was asked for. */
static void
helper_init(struct super *s, const char *word, enum conf_where where,
    bool must)
{
	struct child *c = &s->helpers[s->nhelpers];

	if (must)
		find_program(c, "chronik-search");
	else if (!child_find(c, "chronik-search"))
		return;
	s->nhelpers++;
	c->super = s;
	c->word = word;
	child_args(c, where);
	uv_timer_init(s->loop, &c->timer);
	c->timer.data = c;
}

static void
helpers_init(struct super *s)
{
	if (s->conf.search != SEARCH_OFF)
		helper_init(s, "index", CONF_I,
		    s->conf.search == SEARCH_ON);
	if (s->conf.search_addr[0] != '\0')
		helper_init(s, "serve", CONF_Q, true);
}

/* The environment, and who the children's supervisor is. */
static char **
make_env(void)
{
	static char mine[64];
	char **env;
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	env = calloc(n + 2, sizeof(*env));
	ASSERT(env != NULL);
	memcpy(env, environ, n * sizeof(*env));
	snprintf(mine, sizeof(mine), "%s=%ld", CHILD_ENV, (long)getpid());
	env[n] = mine;
	return env;
}

/* What must be right before anything is started. */
static void
check_conf(struct super *s)
{
	struct sockaddr_un sa;
	char host[256];
	int port;

	if (conf_hostport(s->conf.bind_addr, host, sizeof(host), &port) !=
	    E_OK) {
		fprintf(stderr, "chronik start: --bind-addr must read "
		    "HOST:PORT, not \"%s\"\n", s->conf.bind_addr);
		exit(EXIT_USAGE);
	}
	if (s->conf.data_dir[0] == '\0') {
		fprintf(stderr, "chronik start: --data-dir must not be "
		    "empty\n");
		exit(EXIT_USAGE);
	}
	if (s->conf.engine[0] != '\0')
		snprintf(s->engine_path, sizeof(s->engine_path), "%s",
		    s->conf.engine);
	else
		snprintf(s->engine_path, sizeof(s->engine_path),
		    "%s/engine.sock", s->conf.data_dir);
	if (strlen(s->engine_path) >= sizeof(sa.sun_path)) {
		fprintf(stderr, "chronik start: %s: is longer than the %zu "
		    "bytes that a socket's path may have\nhint: --engine "
		    "names a shorter one\n", s->engine_path,
		    sizeof(sa.sun_path) - 1);
		exit(EXIT_USAGE);
	}
	s->conf.engine = s->engine_path;
	if (s->conf.search_addr[0] != '\0' && conf_hostport(
	    s->conf.search_addr, host, sizeof(host), &port) != E_OK) {
		fprintf(stderr, "chronik start: --search-addr must read "
		    "HOST:PORT, not \"%s\"\n", s->conf.search_addr);
		exit(EXIT_USAGE);
	}
}

static void
watch(struct super *s, uv_signal_t *h, int sig)
{
	uv_signal_init(s->loop, h);
	h->data = s;
	uv_signal_start(h, on_signal, sig);
}

int
cmd_start(struct args *a)
{
	struct super *s = &super;
	int i, n;

	/* conf_load wants a program's name before the options. */
	n = conf_load(&s->conf, CONF_S, "chronik start [option ...]",
	    a->argc + 1, a->argv - 1);
	if (n < a->argc + 1)
		args_fail(a, a->argv[n - 1], "is one word too many");
	log_setup("chronik", (enum log_level)s->conf.log_level,
	    (enum log_format)s->conf.log_format);
	check_conf(s);
	port_check(s);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	s->loop = uv_default_loop();
	s->env = make_env();
	s->ngateways = (int)s->conf.gateways;
	child_init(s, &s->engine, "chronik-engine", CONF_E);
	for (i = 0; i < s->ngateways; i++)
		child_init(s, &s->gateways[i], "chronik-gateway", CONF_G);
	helpers_init(s);
	watch(s, &s->term, SIGTERM);
	watch(s, &s->intr, SIGINT);
	uv_timer_init(s->loop, &s->patience);
	s->patience.data = s;
	child_start(&s->engine);
	uv_run(s->loop, UV_RUN_DEFAULT);
	uv_loop_close(s->loop);
	return s->failed ? EXIT_ITEM : EXIT_OK;
}
