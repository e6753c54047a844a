/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n: while the engine starts, and during
 * requests of each kind.  It answers an error, ends the link, or ends itself in
 * order with a reason; it does not trip over it, and everything that was
 * acknowledged is there at the next start.  Allocations of our own objects are
 * wrapped by the linker, those inside of libraries are not.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen.h"
#include "lib/log.h"
#include "minilog.h"
#include "rig.h"
#include "serve.h"

void	*__real_malloc(size_t);
void	*__real_calloc(size_t, size_t);
void	*__real_realloc(void *, size_t);
char	*__real_strdup(const char *);
void	*__wrap_malloc(size_t);
void	*__wrap_calloc(size_t, size_t);
void	*__wrap_realloc(void *, size_t);
char	*__wrap_strdup(const char *);

/* Allocations to go until one fails; 0: none does.  With lasting, neither does
 * any that follows. */
static long countdown;
static bool lasting, met;

static bool
fails(void)
{
	if (met && lasting)
		return true;
	if (countdown <= 0 || --countdown > 0)
		return false;
	met = true;
	return true;
}

void *
__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *
__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

/* ---- one engine on the real disk, in a process of its own -------------- */

/* A sanitizer makes processes that are slow to start. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEP = 41 };
#else
enum { STEP = 7 };
#endif

enum { KEPT = 5, RESTS = 4, ENDED = 1, UNMET = 42 };

static char top[64], data[96], sock[96];
static struct rig r;
static struct serve serve;
static uv_loop_t loop;
static int fd = -1;

static void
sh(const char *cmd)
{
	if (system(cmd) != 0)
		abort();
}

static void
rig_here(void)
{
	rig_init(&r);
	disk = &disk_real;
	r.conf.data_dir = data;
}

/* A data directory with something of everything in it. */
static void
template_make(void)
{
	char cmd[300];
	struct topic *t;

	rig_here();
	if (rig_open(&r) != E_OK)
		abort();
	t = rig_topic(&r, "t", 2);
	for (int i = 0; i < KEPT; i++)
		rig_append(&r, t->parts[0], 100);
	if (rig_stop(&r) != E_OK)
		abort();
	rig_free(&r);
	snprintf(cmd, sizeof cmd, "mv %s %s/template", data, top);
	sh(cmd);
}

static void
fresh_copy(bool clean)
{
	char cmd[400];

	snprintf(cmd, sizeof cmd, "rm -rf %s; cp -r %s/template %s", data,
	    top, data);
	sh(cmd);
	if (!clean) {
		snprintf(cmd, sizeof cmd, "%s/clean", data);
		unlink(cmd);
	}
}

/* Ends the process when something is amiss. */
static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "nomem: %s\n", what);
	_exit(99);
}

/* What was acknowledged is there. */
static void
check_kept(void)
{
	struct topic *t;

	rig_here();
	check(rig_open(&r) == E_OK, r.why);
	t = topic_find(&r.eng.topics, kstr_of("t"));
	check(t != NULL, "the topic is gone");
	check(t->parts[0]->state == PART_ONLINE, "the partition is offline");
	check(t->parts[0]->hw >= KEPT, "records are gone");
	rig_append(&r, t->parts[0], 10);
	rig_kill(&r);
	rig_free(&r);
}

/* Runs one in a child: its status, or the signal + 256. */
static int
in_child(void (*run)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		alarm(60);	/* it hangs */
		run(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 +
	    WTERMSIG(status);
}

static void
kept_run(void *arg)
{
	(void)arg;
	check_kept();
}

/* ---- the start --------------------------------------------------------- */

struct trial {
	long		n;
	bool		lasting;
	const uint8_t	*p;		/* a request */
	size_t		len;
	int		type, version;
};

static void
wake(void *arg)
{
	(void)arg;
}

static void
start_run(void *arg)
{
	struct trial *t = arg;
	enum err e;

	rig_here();
	if (pool_open(0, wake, NULL, &r.commit) != E_OK ||
	    pool_open(0, wake, NULL, &r.bulk) != E_OK)
		abort();
	lasting = t->lasting;
	countdown = t->n;
	e = engine_open(&r.eng, &r.conf, r.commit, r.bulk, r.why,
	    sizeof r.why);
	for (int i = 0; e == E_OK && i < 50; i++)
		engine_turn(&r.eng);
	for (int i = 0; e == E_OK && i < 200; i++) {
		bool more = pool_step(r.commit);

		more |= pool_step(r.bulk);
		engine_turn(&r.eng);
		if (!more)
			break;
	}
	countdown = 0;
	lasting = false;
	check(e == E_OK || r.why[0] != '\0', "refused without a word");
	if (e == E_OK) {
		rig_settle(&r, 60000);
		rig_settle(&r, 60000);
		check(r.eng.opened, "does not open");
	}
	rig_kill(&r);
	_exit(met ? 0 : UNMET);
}

/* ---- requests ---------------------------------------------------------- */

static void
turns(void)
{
	for (int i = 0; i < RESTS; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		for (int k = 0; k < 100; k++) {
			bool more = pool_step(r.commit);

			more |= pool_step(r.bulk);
			engine_turn(&r.eng);
			if (!more)
				break;
		}
		rig_now += 1;
		timers_run(&r.eng.timers, rig_now);
		serve_flush(&serve);
	}
}

static void
frame(int type, int version, const uint8_t *p, size_t n)
{
	uint8_t head[IPC_HEADER] = { 0 };

	head[1] = (uint8_t)(n >> 16);
	head[2] = (uint8_t)(n >> 8);
	head[3] = (uint8_t)n;
	head[5] = (uint8_t)type;
	head[11] = 1;
	head[13] = (uint8_t)version;
	(void)!send(fd, head, sizeof head, MSG_NOSIGNAL);
	(void)!send(fd, p, n, MSG_NOSIGNAL);
}

static void
link_open(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct hello_req q = { .protocol = ipc_protocol(),
	    .program = kstr_of("nomem") };
	struct wr w = wr_grow(4096);

	if (fd >= 0)
		close(fd);
	strcpy(sa.sun_path, sock);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(connect(fd, (void *)&sa, sizeof sa) == 0, "cannot connect");
	check(msg_write(&ipc_msgs[IM_hello_req], VER_ALL, &w, &q) == E_OK,
	    "hello");
	frame(IPC_HELLO, 0, w.p, w.len);
	wr_free(&w);
	turns();
}

static void
request_run(void *arg)
{
	struct trial *t = arg;
	char why[256];

	rig_here();
	uv_loop_init(&loop);
	check(rig_open(&r) == E_OK, r.why);
	check(serve_open(&serve, &r.eng, &loop, sock, why, sizeof why) ==
	    E_OK, why);
	link_open();
	lasting = t->lasting;
	countdown = t->n;
	frame(t->type, t->version, t->p, t->len);
	turns();
	countdown = 0;
	lasting = false;
	/* It goes on: whoever comes now is served. */
	rig_settle(&r, 60000);
	rig_settle(&r, 60000);
	link_open();
	check(serve.links != NULL, "no link is taken any more");
	unlink(sock);
	_exit(met ? 0 : UNMET);
}

/* All n for one request; how many. */
static long
every_n(void (*run)(void *), struct trial *t, bool clean, long step,
    const char *what)
{
	long n = 1, tried = 0;
	int rc;

	for (;; n += step) {
		fresh_copy(clean);
		t->n = n;
		rc = in_child(run, t);
		tried++;
		if (rc == UNMET)
			return tried;
		if (rc != 0 && rc != ENDED) {
			printf("%s (type %d, version %d): allocation %ld: "
			    "status %d\n", what, t->type, t->version, n, rc);
			exit(1);
		}
		if ((rc = in_child(kept_run, NULL)) != 0) {
			printf("%s (type %d): after allocation %ld: status "
			    "%d\n", what, t->type, n, rc);
			exit(1);
		}
	}
}

/* ---- what is asked ----------------------------------------------------- */

static long tried;
static long step = 1;

static void
ask(int type, int version, const struct msg *m, const void *q)
{
	struct wr w = wr_grow(MIB);
	struct trial t = { .type = type, .version = version };

	if (msg_write(m, VER_ALL, &w, q) != E_OK)
		abort();
	t.p = w.p;
	t.len = w.len;
	tried += every_n(request_run, &t, true, step, m->name);
	t.lasting = true;
	tried += every_n(request_run, &t, true, step * 3, m->name);
	wr_free(&w);
}

#define ASK(name, version, q)	ask(kafka_msgs[KM_##name].key, version, \
	    &kafka_msgs[KM_##name], q)

static void
ask_topics(void)
{
	struct create_topics_req_topic_config cc = {
	    kstr_of("retention.ms"), kstr_of("1000") };
	struct create_topics_req_topic ct = { .name = kstr_of("new"),
	    .num_partitions = 2, .replication_factor = 1,
	    .configs = { 1, &cc } };
	struct create_topics_req c = { .topics = { 1, &ct },
	    .timeout_ms = 1000 };
	struct create_partitions_req_topic pt = { .name = kstr_of("t"),
	    .count = 4, .assignments.n = -1 };
	struct create_partitions_req p = { .topics = { 1, &pt } };
	struct incremental_alter_configs_req_resource_config ic = {
	    kstr_of("retention.ms"), 0, kstr_of("5000") };
	struct incremental_alter_configs_req_resource ir = { 2,
	    kstr_of("t"), { 1, &ic } };
	struct incremental_alter_configs_req i = { .resources = { 1, &ir } };
	struct describe_configs_req_resource dr = { 2, kstr_of("t"),
	    { -1, NULL } };
	struct describe_configs_req d = { .resources = { 1, &dr } };

	ASK(create_topics_req, 7, &c);
	ASK(create_partitions_req, 3, &p);
	ASK(incremental_alter_configs_req, 1, &i);
	ASK(describe_configs_req, 4, &d);
}

static void
ask_records(void)
{
	struct list_offsets_req_topic_part lp = { 0, -1, -2, 1 };
	struct list_offsets_req_topic lt = { kstr_of("t"), { 1, &lp } };
	struct list_offsets_req l = { .replica_id = -1,
	    .topics = { 1, &lt } };
	struct delete_records_req_topic_part dp = { 1, 0 };
	struct delete_records_req_topic dt = { kstr_of("t"), { 1, &dp } };
	struct delete_records_req d = { .topics = { 1, &dt },
	    .timeout_ms = 1000 };
	struct fetch_req_topic_part fp = { .current_leader_epoch = -1,
	    .last_fetched_epoch = -1, .partition_max_bytes = 1000 };
	struct fetch_req_topic ft = { .topic = kstr_of("t"),
	    .partitions = { 1, &fp } };
	struct fetch_req f = { .replica_id = -1, .replica_state = { -1, -1 },
	    .max_bytes = 1000, .topics = { 1, &ft } };

	ASK(list_offsets_req, 5, &l);
	lp.timestamp = 0;
	ASK(list_offsets_req, 5, &l);
	ASK(delete_records_req, 2, &d);
	f.session_epoch = 0;
	ASK(fetch_req, 12, &f);
}

static void
ask_groups(void)
{
	struct offset_commit_req_topic_part op = { 0, 3, -1, -1,
	    kstr_of("note") };
	struct offset_commit_req_topic ot = { .name = kstr_of("t"),
	    .partitions = { 1, &op } };
	struct offset_commit_req o = { .group_id = kstr_of("g"),
	    .generation_id_or_member_epoch = -1, .member_id = kstr_of(""),
	    .group_instance_id = kstr_of(NULL), .topics = { 1, &ot } };
	struct join_group_req_protocol jp = { kstr_of("range"),
	    { 3, (uint8_t *)(uintptr_t)"abc" } };
	struct join_group_req j = { .group_id = kstr_of("g"),
	    .session_timeout_ms = 10000, .rebalance_timeout_ms = 10000,
	    .member_id = kstr_of(""), .group_instance_id = kstr_of(NULL),
	    .protocol_type = kstr_of("consumer"), .protocols = { 1, &jp },
	    .reason = kstr_of(NULL) };

	ASK(offset_commit_req, 8, &o);
	ASK(join_group_req, 3, &j);
}

/* A batch that rides inline. */
static void
ask_append(void)
{
	uint8_t batch[BATCH_HEADER + 100];
	struct batch b = { .pid = 5, .epoch = 0, .base_seq = 0, .count = 1,
	    .base_ts = rig_now, .max_ts = rig_now };
	struct append_req_part p = { .place = -1, .length = sizeof batch,
	    .sent_length = sizeof batch, .message = kstr_of(NULL),
	    .inlined = { sizeof batch, batch }, .min_ts = rig_now,
	    .max_ts = rig_now, .null_key = -1, .bad_index = -1 };
	struct append_req_topic t = { .name = kstr_of("t"),
	    .parts = { 1, &p } };
	struct append_req q = { .transactional_id = kstr_of(NULL),
	    .acks = -1, .timeout_ms = 1000, .topics = { 1, &t } };

	(void)mini_batch(batch, &b, 100, 1);
	ask(IPC_APPEND, 0, &ipc_msgs[IM_append_req], &q);
}

/* Every message that is handled, in a made-up form. */
static void
ask_made_up(void)
{
	int type;

	for (size_t i = 0; (type = serve_handled(i)) >= 0; i++) {
		static struct { max_align_t x[64]; } out;
		const struct msg *m = ipc_req((uint16_t)type);
		struct arena a;
		struct gen g = { .a = &a, .state = i, .elems = 10,
		    .small = true };

		arena_init(&a, MIB);
		gen_msg(&g, m, VER_ALL, &out);
		ask(type, m->max < 20 ? m->max : 0, m, &out);
		arena_reset(&a);
	}
}

int
main(void)
{
	struct trial t = { .n = 0 };
	char cmd[100];
	bool all = getenv("CHRONIK_FAULTS") != NULL;

	snprintf(top, sizeof top, "/tmp/check_nomem.XXXXXX");
	if (mkdtemp(top) == NULL)
		return 1;
	snprintf(data, sizeof data, "%s/data", top);
	snprintf(sock, sizeof sock, "%s/s", top);
	log_setup("nomem", LOG_FATAL, LOG_TEXT);
	template_make();
	step = all ? 1 : STEP;
	tried += every_n(start_run, &t, true, step, "a start");
	tried += every_n(start_run, &t, false, step, "an unclean start");
	t.lasting = true;
	tried += every_n(start_run, &t, false, step * 2, "a start, lasting");
	ask_append();
	ask_topics();
	ask_records();
	ask_groups();
	if (all)
		ask_made_up();
	printf("%ld allocations failed\n", tried);
	snprintf(cmd, sizeof cmd, "rm -rf %s", top);
	sh(cmd);
	return 0;
}
