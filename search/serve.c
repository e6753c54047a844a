/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-search serve, a program that chronik-search becomes.
 * HTTP, by libmicrohttpd: a few threads, each of which takes requests of some
 * connections and answers them one after the other, with a link to the engine
 * of its own.  Bodies, connections and the time of a query are bounded.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conns.h"
#include "lib/conf.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "prog.h"
#include "serve.h"

enum {
	IDLE_MS		= 60000,	/* of a connection, at most */
	CUT_EVERY_MS	= 500,
	WORKERS		= 4,		/* requests that are answered at once */
	BODY_MAX	= 1 * MIB,
	BODY_READ_MAX	= 16 * MIB,	/* to answer that it is too large */
	ANSWER_MAX	= 512 * MIB,
};

/* Each thread that answers takes a link to the engine from among those that
 * are free, or makes one more. */
struct server {
	struct place	 at;
	char		 dir[SHARD_PATH];
	int64_t		 idle_ms;
	pthread_mutex_t	 lock;		/* of what follows */
	struct src	*free[WORKERS];
	int		 nfree;
};

/* A request on its way in. */
struct incoming {
	struct wr	 body;
	int64_t		 taken;		/* bytes of it, also those beyond */
	bool		 refused;	/* it was answered at its head */
};

/* ---- routes ------------------------------------------------------------ */

static const struct {
	const char	*name;
	void		(*answer)(struct serve_call *);
	bool		 topics;	/* may stand in front */
	bool		 alone;		/* asks no engine */
} routes[] = {
	{ "", answer_root, false, true },
	{ "_search", answer_search, true, false },
	{ "_count", answer_count, true, false },
	{ "_cat/indices", answer_indices, false, false },
	{ "health", answer_health, false, false },
	{ "metrics", answer_metrics, false, false },
};

static bool
is_head(const char *method)
{
	return strcmp(method, "HEAD") == 0;
}

static struct src *
src_take(struct server *s)
{
	struct src *src = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->nfree > 0)
		src = s->free[--s->nfree];
	pthread_mutex_unlock(&s->lock);
	if (src == NULL && prog_another(&s->at, &src) != E_OK)
		return NULL;
	return src;
}

static void
src_give(struct server *s, struct src *src)
{
	if (src == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	ASSERT(s->nfree < WORKERS);
	s->free[s->nfree++] = src;
	pthread_mutex_unlock(&s->lock);
}

/* Answers with a link to the engine. */
static void
answer_linked(struct server *s, struct serve_call *c,
    void (*answer)(struct serve_call *))
{
	c->src = src_take(s);
	if (c->src == NULL)
		answer_error(c, 503, "unavailable",
		    "the engine does not answer");
	else
		answer(c);
	src_give(s, c->src);
}

static void
dispatch(struct server *s, struct serve_call *c, const char *method,
    char *path)
{
	char *rest, why[160];

	path += *path == '/';
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
		if (strcmp(path, routes[i].name) == 0) {
			if (routes[i].alone)
				routes[i].answer(c);
			else
				answer_linked(s, c, routes[i].answer);
			return;
		}
	rest = strchr(path, '/');
	for (size_t i = 0; rest != NULL && i < sizeof routes /
	    sizeof routes[0]; i++)
		if (routes[i].topics && strcmp(rest + 1, routes[i].name) ==
		    0) {
			*rest = '\0';
			c->topics = path;
			answer_linked(s, c, routes[i].answer);
			return;
		}
	if (rest == NULL && *path != '_' && is_head(method)) {
		c->topics = path;
		answer_linked(s, c, answer_topic);
		return;
	}
	snprintf(why, sizeof why, "no handler found for uri [/%.60s] and "
	    "method [%.10s]", path, method);
	answer_error(c, 404, "no_handler_found_exception", why);
}

/* ---- libmicrohttpd ----------------------------------------------------- */

static enum MHD_Result
reply(struct MHD_Connection *conn, struct serve_call *c)
{
	struct MHD_Response *r;
	enum MHD_Result ok;

	if (c->out.bad)
		answer_error(c, 400, "illegal_argument_exception", "the "
		    "answer is too large: a smaller [size], or [_source], "
		    "helps");
	r = MHD_create_response_from_buffer(c->out.len, c->out.p,
	    MHD_RESPMEM_MUST_COPY);
	wr_free(&c->out);
	if (r == NULL)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", c->type);
	MHD_add_response_header(r, "X-Elastic-Product", "Elasticsearch");
	if (c->status == 405)
		MHD_add_response_header(r, "Allow", "GET, HEAD, POST");
	ok = MHD_queue_response(conn, (unsigned)c->status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result
take_param(void *arg, enum MHD_ValueKind kind, const char *name,
    const char *value)
{
	struct serve_call *c = arg;

	(void)kind;
	if (c->nparams < PARAMS_MAX) {
		c->params[c->nparams].name = name;
		c->params[c->nparams].value = value;
	}
	c->nparams++;
	return MHD_YES;
}

static struct serve_call
call_new(const struct server *s)
{
	return (struct serve_call){ .dir = s->dir,
	    .out = wr_grow(ANSWER_MAX), .status = 200,
	    .type = "application/json" };
}

static enum MHD_Result
refuse_body(const struct server *s, struct MHD_Connection *conn)
{
	struct serve_call c = call_new(s);

	answer_error(&c, 413, "content_too_large_exception",
	    "a body has at most 1 MiB");
	return reply(conn, &c);
}

static enum MHD_Result
answer(struct server *s, struct MHD_Connection *conn, const char *url,
    const char *method, struct incoming *in)
{
	struct serve_call c = call_new(s);
	char *path, why[128];

	if (in->body.bad)
		return refuse_body(s, conn);
	c.body = (const char *)in->body.p;
	c.body_len = in->body.len;
	path = strdup(url);
	MHD_get_connection_values(conn, MHD_GET_ARGUMENT_KIND, take_param,
	    &c);
	if (strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0 &&
	    !is_head(method)) {
		snprintf(why, sizeof why, "incorrect HTTP method [%.20s]: "
		    "there are GET, HEAD and POST", method);
		answer_error(&c, 405, "method_not_allowed_exception", why);
	} else if (c.nparams > PARAMS_MAX)
		answer_error(&c, 400, "illegal_argument_exception",
		    "too many parameters");
	else if (path == NULL)
		answer_error(&c, 503, "unavailable", "out of memory");
	else
		dispatch(s, &c, method, path);
	free(path);
	return reply(conn, &c);
}

/* Whether a request is refused at its head: its body is too large, and need
 * not be sent, or is so large that it is not read.  Who is sending already
 * would not see the answer if the rest was not read. */
static bool
refused_unread(struct MHD_Connection *conn)
{
	const char *s = MHD_lookup_connection_value(conn, MHD_HEADER_KIND,
	    "Content-Length");
	unsigned long long n = s == NULL ? 0 : strtoull(s, NULL, 10);

	return n > BODY_READ_MAX || (n > BODY_MAX &&
	    MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Expect") !=
	    NULL);
}

static struct conn *
conn_of(struct MHD_Connection *conn)
{
	return MHD_get_connection_info(conn,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* A connection begins or ends. */
static void
on_conn(void *arg, struct MHD_Connection *conn, void **state,
    enum MHD_ConnectionNotificationCode what)
{
	const struct server *s = arg;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*state = conn_open(MHD_get_connection_info(conn,
		    MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
		    s->idle_ms);
	else
		conn_close(*state);
}

/* Called first with the head, then with pieces of the body, then without. */
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *conn, const char *url,
    const char *method, const char *version, const char *data, size_t *n,
    void **state)
{
	struct incoming *in = *state;
	enum MHD_Result ok;
	int64_t began_ms;

	(void)version;
	if (in == NULL) {
		in = calloc(1, sizeof *in);
		if (in == NULL)
			return MHD_NO;
		in->body = wr_grow(BODY_MAX);
		*state = in;
		in->refused = refused_unread(conn);
		return in->refused ? refuse_body(arg, conn) : MHD_YES;
	}
	if (*n > 0) {
		wr_bytes(&in->body, data, *n);
		in->taken += (int64_t)*n;
		*n = 0;
		/* Nor one that goes on and on. */
		return in->taken > BODY_READ_MAX ? MHD_NO : MHD_YES;
	}
	if (in->refused)
		return MHD_NO;
	began_ms = elink_now_ms();
	ok = answer(arg, conn, url, method, in);
	conns_forgive(elink_now_ms() - began_ms);
	conn_answers(conn_of(conn));
	return ok;
}

static void
on_end(void *arg, struct MHD_Connection *conn, void **state,
    enum MHD_RequestTerminationCode why)
{
	struct incoming *in = *state;

	(void)arg;
	(void)why;
	conn_waits(conn_of(conn));
	if (in == NULL)
		return;
	wr_free(&in->body);
	free(in);
}

/* ---- the program ------------------------------------------------------- */

static int
listen_on(const char *addr)
{
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *ai;
	char host[256], number[16];
	int fd, port, one = 1;

	if (conf_hostport(addr, host, sizeof host, &port) != E_OK)
		cmd_fail("serve: --search-addr %s: must read HOST:PORT",
		    addr);
	snprintf(number, sizeof number, "%d", port);
	if (getaddrinfo(host, number, &hint, &ai) != 0)
		cmd_fail("serve: %s: there is no such address", addr);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
	    sizeof one) != 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(fd, SOMAXCONN) != 0)
		cmd_fail("serve: %s: %s", addr, strerror(errno));
	freeaddrinfo(ai);
	return fd;
}

/* HOST:PORT as it was given, with the port that it has become. */
static void
say_ready(int fd, const char *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	char number[16] = "0";
	const char *colon = strrchr(addr, ':');

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&ss, len, NULL, 0, number,
	    sizeof number, NI_NUMERICSERV) != 0)
		cmd_fail("serve: %s: has no port", addr);
	printf("ready http=%.*s:%s\n", (int)(colon - addr), addr, number);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static struct conf conf;
	static struct server s = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct MHD_Daemon *d;
	const char *addr;
	const struct timespec tick = { 0, CUT_EVERY_MS * 1000000L };
	sigset_t stop;
	int fd, sig;

	prog_setup();
	prog_bound_memory();
	if (conf_load(&conf, CONF_Q, "chronik-search serve [option ...]",
	    argc, argv) < argc)
		cmd_fail("serve: takes options only");
	log_setup("chronik-search", (enum log_level)conf.log_level,
	    (enum log_format)conf.log_format);
	addr = conf.search_addr[0] != '\0' ? conf.search_addr :
	    "127.0.0.1:9200";
	if (conf.engine[0] != '\0')
		s.at.engine = conf.engine;
	else
		s.at.data_dir = conf.data_dir;
	if (conf.index_dir[0] != '\0')
		s.at.index_dir = conf.index_dir;
	s.free[s.nfree++] = cmd_connect(&s.at, s.dir);
	s.idle_ms = conf.connections_max_idle_ms < IDLE_MS ?
	    conf.connections_max_idle_ms : IDLE_MS;
	fd = listen_on(addr);
	/* Before the thread, which must not take them. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, CONNS_SIGNAL);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
	    on_request, &s, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
	    MHD_OPTION_NOTIFY_CONNECTION, on_conn, &s,
	    MHD_OPTION_THREAD_POOL_SIZE, (unsigned)WORKERS,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(s.idle_ms / 1000),
	    MHD_OPTION_END);
	if (d == NULL)
		cmd_fail("serve: HTTP cannot be started");
	say_ready(fd, addr);
	do {
		sig = conns_any() ? sigtimedwait(&stop, NULL, &tick) :
		    sigwaitinfo(&stop, NULL);
		conns_cut();
	} while (sig == -1 || sig == CONNS_SIGNAL);
	MHD_stop_daemon(d);
	while (s.nfree > 0)
		src_close(s.free[--s.nfree]);
	return 0;
}
