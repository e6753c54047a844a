/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-check: loads a broker while it is being hurt, writes down what was
 * asked and answered, and judges whether the log kept its word.  A test
 * program; --help tells how it is used, anomaly.def what it can find, event.h
 * how histories look.
 */
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "judge.h"

enum { WORKERS_MAX = 32 };

static const char usage[] =
"usage: chronik-check run [option...] --bootstrap HOST:PORT DIR\n"
"       chronik-check verify [--bootstrap HOST:PORT] DIR\n"
"       chronik-check judge DIR\n"
"       chronik-check show HISTORY-FILE\n"
"       chronik-check invent RECORDS DIR\n"
"\n"
"run     makes topics of its own, loads them, hurts the broker, reads\n"
"        everything, and judges; DIR is made, and holds the histories\n"
"verify  reads everything again, for instance after a power cut, and judges\n"
"        the histories with what it read\n"
"judge   only judges the histories\n"
"show    prints the events of one history\n"
"invent  writes the histories of a sound run of so many records\n"
"\n"
"  --workload LIST   of append, group, compact, retain, times, raw; or all\n"
"  --profile NAME    strict (idempotent, acks=all), loose (neither), both\n"
"  --seed N          what is random follows from it\n"
"  --partitions N    of each topic\n"
"  --rate N          records a second of each producer\n"
"  --records N       ends when so many are acknowledged,\n"
"  --seconds N       or after so long, once all workloads did something,\n"
"  --until-eof       or when standard input ends or says something\n"
"  --rotate N        a new topic (append) after so many records\n"
"  --retention-ms N  of one of the topics of retain\n"
"  --progress FILE   holds the number acknowledged\n"
"  --supervisor PID  `chronik start', whose children get signals\n"
"  --hook NAME=CMD   a fault of your own, run by sh; may be repeated\n"
"  --heal CMD        ends the faults\n"
"  --pace N          records acknowledged between two faults\n"
"  --every-ms N      time between two faults\n"
"  --heal-s N        bound of service after the faults\n"
"  --power-cuts      what was written with acks=1 may be lost\n"
"\n"
"Exit: 0 sound, 1 anomalies, 2 trouble, 3 sound, but a fault or a workload\n"
"that was asked for did not take place.\n";

static struct check check;
static int64_t retention_ms = 15000;

static int64_t
number(const char *name, const char *s, int64_t max)
{
	char *end;
	long long v = strtoll(s, &end, 10);

	if (*s == '\0' || *end != '\0' || v < 0 || v > max)
		die(name, "not a number that can be");
	return v;
}

static void
workloads_set(const char *list)
{
	static const struct { const char *name; int w; } names[] = {
		{ "append", W_APPEND }, { "group", W_GROUP },
		{ "compact", W_COMPACT }, { "retain", W_RETAIN },
		{ "times", W_TIMES }, { "raw", W_RAW }, { "all", W_ALL },
	};
	char *copy = strdup(list), *save = NULL;

	for (char *s = strtok_r(copy, ",", &save); s != NULL;
	    s = strtok_r(NULL, ",", &save)) {
		int found = 0;

		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
			if (strcmp(names[i].name, s) == 0)
				found = names[i].w;
		if (found == 0)
			die(s, "no such workload");
		check.workloads |= found;
	}
	free(copy);
}

static void
profile_set(const char *name)
{
	static const char *const names[] = { "strict", "loose", "both" };

	for (int i = 0; i < 3; i++)
		if (strcmp(names[i], name) == 0) {
			check.profile = (enum profile)i;
			return;
		}
	die(name, "no such profile");
}

static void
hook_set(char *arg)
{
	char *eq = strchr(arg, '=');

	if (eq == NULL || check.nhooks == HOOKS_MAX)
		die("--hook", "wants NAME=COMMAND, and only so many");
	*eq = '\0';
	check.hooks[check.nhooks++] = (struct hook){ arg, eq + 1 };
}

enum { O_WORKLOAD = 256, O_PROFILE, O_SEED, O_PARTITIONS, O_RATE, O_RECORDS,
    O_SECONDS, O_EOF, O_ROTATE, O_RETENTION, O_PROGRESS, O_SUPERVISOR, O_HOOK,
    O_HEAL, O_PACE, O_EVERY, O_HEAL_S, O_CUTS, O_BOOTSTRAP, O_HELP };

static const struct option options[] = {
	{ "workload", 1, NULL, O_WORKLOAD },
	{ "profile", 1, NULL, O_PROFILE },
	{ "seed", 1, NULL, O_SEED },
	{ "partitions", 1, NULL, O_PARTITIONS },
	{ "rate", 1, NULL, O_RATE },
	{ "records", 1, NULL, O_RECORDS },
	{ "seconds", 1, NULL, O_SECONDS },
	{ "until-eof", 0, NULL, O_EOF },
	{ "rotate", 1, NULL, O_ROTATE },
	{ "retention-ms", 1, NULL, O_RETENTION },
	{ "progress", 1, NULL, O_PROGRESS },
	{ "supervisor", 1, NULL, O_SUPERVISOR },
	{ "hook", 1, NULL, O_HOOK },
	{ "heal", 1, NULL, O_HEAL },
	{ "pace", 1, NULL, O_PACE },
	{ "every-ms", 1, NULL, O_EVERY },
	{ "heal-s", 1, NULL, O_HEAL_S },
	{ "power-cuts", 0, NULL, O_CUTS },
	{ "bootstrap", 1, NULL, O_BOOTSTRAP },
	{ "help", 0, NULL, O_HELP },
	{ NULL, 0, NULL, 0 }
};

static void
option_set(int o, char *arg)
{
	struct check *c = &check;

	switch (o) {
	case O_WORKLOAD: workloads_set(arg); break;
	case O_PROFILE: profile_set(arg); break;
	case O_SEED: c->setup.seed = (uint64_t)number("--seed", arg,
	    INT64_MAX); break;
	case O_PARTITIONS: c->nparts = (int)number("--partitions", arg,
	    PARTS_MAX); break;
	case O_RATE: c->rate = (int)number("--rate", arg, 1000000); break;
	case O_RECORDS: c->records = number("--records", arg, 1 << 28); break;
	case O_SECONDS: c->seconds = number("--seconds", arg, 1 << 20); break;
	case O_EOF: c->until_eof = true; break;
	case O_ROTATE: c->rotate = number("--rotate", arg, 1 << 28); break;
	case O_RETENTION: retention_ms = number("--retention-ms", arg,
	    1 << 30); break;
	case O_PROGRESS: c->progress = arg; break;
	case O_SUPERVISOR: c->supervisor = (pid_t)number("--supervisor", arg,
	    1 << 30); break;
	case O_HOOK: hook_set(arg); break;
	case O_HEAL: c->heal = arg; break;
	case O_PACE: c->pace = number("--pace", arg, 1 << 28); break;
	case O_EVERY: c->every_ms = number("--every-ms", arg, 1 << 28); break;
	case O_HEAL_S: c->heal_ms = 1000 * number("--heal-s", arg, 100000);
		break;
	case O_CUTS: c->setup.power_cuts = true; break;
	case O_BOOTSTRAP: c->bootstrap = arg; break;
	case O_HELP: fputs(usage, stdout); exit(0);
	default: fputs(usage, stderr); exit(2);
	}
}

/* ---- topics ------------------------------------------------------------- */

static void
topic_add(struct ck_topic t, const char *what, const char *const *configs)
{
	struct check *c = &check;
	int n = c->setup.ntopics;
	char kind[64];

	if (n == TOPICS_MAX)
		return;
	snprintf(kind, sizeof kind, "%s-%d", what, n);
	ck_name(c, kind, t.name, sizeof t.name);
	t.nparts = c->nparts;
	if (!kc_topic(c, &t, configs))
		return;
	c->setup.topics[n] = t;
	c->setup.ntopics = n + 1;
	if (!setup_save(&c->setup, c->dir))
		die(c->dir, "run.txt cannot be written");
	atomic_store(&c->ntopics, n + 1);
}

static struct ck_topic
topic_plain(bool loose)
{
	return (struct ck_topic){ .acks = loose ? 1 : -1,
	    .idempotent = !loose, .retention_ms = -1,
	    .retention_bytes = -1 };
}

static void
append_add(bool loose)
{
	static const char *const small[] = { "segment.bytes", "1048576",
	    NULL };

	topic_add(topic_plain(loose), loose ? "loose" : "append", small);
}

/* Segments as small as may be, so that there is something to do. */
static void
special_add(void)
{
	static const char *const compact[] = { "cleanup.policy", "compact",
	    "segment.bytes", "1048576", "segment.ms", "2000",
	    "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms",
	    "10000", NULL };
	static const char *const by_append[] = { "message.timestamp.type",
	    "LogAppendTime", NULL };
	static const char *const trim[] = { "segment.bytes", "1048576", NULL };
	static const char *const bytes[] = { "segment.bytes", "1048576",
	    "segment.ms", "1000", "retention.bytes", "60000", NULL };
	char ms[24];
	const char *age[] = { "segment.bytes", "1048576", "segment.ms",
	    "3000", "retention.ms", ms, NULL };
	struct ck_topic t = topic_plain(false);
	int w = check.workloads;

	snprintf(ms, sizeof ms, "%" PRId64, retention_ms);
	if (w & W_GROUP) {
		t.group = true;
		topic_add(t, "group", NULL);
		t.group = false;
	}
	if (w & W_RAW) {
		t.raw = true;
		topic_add(t, "raw", NULL);
		t.raw = false;
	}
	if (w & W_COMPACT) {
		t.compact = true;
		t.delete_retention_ms = 10000;
		topic_add(t, "compact", compact);
		t = topic_plain(false);
	}
	if (w & W_TIMES) {
		t.times = true;
		topic_add(t, "times", NULL);
		t.append_time = true;
		topic_add(t, "times", by_append);
		t = topic_plain(false);
	}
	if (w & W_RETAIN) {
		t.deletes = true;
		topic_add(t, "trim", trim);
		t.deletes = false;
		t.retention_bytes = 60000;
		topic_add(t, "bytes", bytes);
		t.retention_bytes = -1;
		t.retention_ms = retention_ms;
		topic_add(t, "age", age);
	}
}

static void
stage(const char *what)
{
	fprintf(stderr, "chronik-check: %s, %" PRId64 " acknowledged, %" PRId64
	    " faults, %" PRId64 " ms\n", what, atomic_load(&check.acked),
	    atomic_load(&check.faults), (mono_ns() / 1000000 +
	    check.setup.wall_ms) % 1000000);
}

/* ---- a run -------------------------------------------------------------- */

static struct worker workers[WORKERS_MAX];
static int nworkers;

static void
start(void *(*run)(void *), int workload, bool loose)
{
	struct worker *w = &workers[nworkers];

	*w = (struct worker){ .c = &check, .number = nworkers,
	    .workload = workload, .loose = loose, .main = run };
	if (pthread_create(&w->thread, NULL, run, w) != 0)
		die("thread", "cannot be started");
	nworkers++;
}

static void
workers_start(void)
{
	struct check *c = &check;

	if (c->workloads & W_APPEND && c->profile != P_LOOSE)
		for (int i = 0; i < 2; i++)
			start(produce_main, W_APPEND, false);
	if (c->workloads & W_APPEND && c->profile != P_STRICT)
		start(produce_main, W_APPEND, true);
	for (int i = 0; c->workloads & W_RAW && i < 2; i++) {
		start(raw_produce_main, 0, false);
		start(raw_read_main, 0, false);
	}
	for (int w = W_GROUP; w < W_RAW; w <<= 1)
		if (c->workloads & w)
			start(produce_main, w, false);
	for (int i = 0; i < 2; i++)
		start(read_main, 0, false);
	for (int i = 0; i < 2; i++)
		start(watch_main, 0, false);
	for (int i = 0; c->workloads & W_GROUP && i < 3; i++)
		start(group_main, 0, false);
}

static void
progress_put(void)
{
	FILE *f = check.progress == NULL ? NULL : fopen(check.progress, "w");

	if (f == NULL)
		return;
	fprintf(f, "%" PRId64 "\n", atomic_load(&check.acked));
	fclose(f);
}

/* What was asked for took place: else a verdict says nothing. */
static bool
took_place(void)
{
	struct check *c = &check;

	return ((c->supervisor == 0 && c->nhooks == 0) ||
	    atomic_load(&c->faults) > 0) &&
	    (!(c->workloads & W_GROUP) || atomic_load(&c->commits_ok) > 0) &&
	    (!(c->workloads & W_TIMES) || atomic_load(&c->looked_up) > 0) &&
	    (!(c->workloads & W_RETAIN) || atomic_load(&c->trimmed) > 0);
}

/* It was told to end, or had what was asked for. */
static bool
load_asked(int64_t began)
{
	struct check *c = &check;
	struct pollfd in = { .fd = 0, .events = POLLIN };

	return poll(&in, c->until_eof ? 1 : 0, 50) > 0 ||
	    (c->records > 0 && atomic_load(&c->acked) >= c->records) ||
	    (c->seconds > 0 && mono_ns() - began >= c->seconds * 1000000000);
}

/* A slow machine gets the time that it takes. */
static void
load_more(void)
{
	int64_t until = mono_ns() + check.heal_ms * 1000000;

	while (!took_place() && mono_ns() < until)
		poll(NULL, 0, 50);
}

static void
load(void)
{
	struct check *c = &check;
	struct worker nemesis = { .c = c };
	int64_t began = mono_ns(), next = c->rotate;

	if (c->workloads & W_APPEND && c->profile != P_LOOSE)
		append_add(false);
	if (c->workloads & W_APPEND && c->profile != P_STRICT)
		append_add(true);
	special_add();
	workers_start();
	if (pthread_create(&nemesis.thread, NULL, nemesis_main, &nemesis) != 0)
		die("thread", "cannot be started");
	while (!load_asked(began)) {
		progress_put();
		if (next > 0 && atomic_load(&c->acked) >= next) {
			next += c->rotate;
			if (c->workloads & W_APPEND)
				append_add(c->profile == P_LOOSE ||
				    (c->profile == P_BOTH &&
				    c->setup.ntopics % 3 == 0));
		}
	}
	load_more();
	stage("faults end");
	atomic_store(&c->healed, true);
	pthread_join(nemesis.thread, NULL);
	nemesis_heal(c);
	atomic_store(&c->ending, true);
	stage("load ends");
	for (int i = 0; i < nworkers; i++)
		pthread_join(workers[i].thread, NULL);
	progress_put();
}

static int
judged(int64_t n)
{
	if (n < 0)
		return 2;
	if (n > 0)
		printf("seed %" PRIu64 ", histories in %s\n",
		    check.setup.seed, check.dir);
	return n > 0;
}

static int
run(void)
{
	struct check *c = &check;
	struct timespec wall;

	if (c->bootstrap == NULL || c->nparts == 0)
		die("run", "wants --bootstrap, and partitions");
	if (c->records == 0 && c->seconds == 0 && !c->until_eof)
		die("run", "wants an end: --records, --seconds, --until-eof");
	if (c->workloads == 0)
		c->workloads = W_APPEND;
	if (mkdir(c->dir, 0755) != 0)
		die(c->dir, "cannot be made; it must not be there");
	clock_gettime(CLOCK_REALTIME, &wall);
	c->setup.wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec /
	    1000000 - mono_ns() / 1000000;
	if (c->setup.seed == 0)
		c->setup.seed = (uint64_t)wall.tv_nsec % 1000000 + 1;
	c->setup.run = mix64((uint64_t)wall.tv_sec << 20 ^
	    (uint64_t)wall.tv_nsec ^ (uint64_t)getpid() << 32) >> 1;
	signal(SIGPIPE, SIG_IGN);
	load();
	stage("probe");
	produce_probe(c);
	stage("final phase");
	final_read(c, 1);
	stage("judgement");
	printf("seed %" PRIu64 ", faults %" PRId64 ", clients that gave up %"
	    PRId64 ", commits %" PRId64 ", look-ups by time %" PRId64
	    ", deletions %" PRId64 "\n", c->setup.seed,
	    atomic_load(&c->faults), atomic_load(&c->gave_up),
	    atomic_load(&c->commits_ok), atomic_load(&c->looked_up),
	    atomic_load(&c->trimmed));
	if (judged(judge_dir(&c->setup, c->dir, stdout)) != 0)
		return 1;
	return took_place() ? 0 : 3;
}

static int
verify(void)
{
	char path[4096];
	int phase = 1;

	if (check.bootstrap == NULL)
		die("verify", "wants --bootstrap");
	atomic_store(&check.ntopics, check.setup.ntopics);
	do
		snprintf(path, sizeof path, "%s/final-%d.hist", check.dir,
		    phase);
	while (access(path, F_OK) == 0 && phase++ < 255);
	final_read(&check, phase);
	return judged(judge_dir(&check.setup, check.dir, stdout));
}

int	 invent(struct check *, int64_t records);

static void
show_event(const struct event *e, void *arg)
{
	static const char *const types[] = { NULL, "send", "poll", "assign",
	    "eof", "list", "time", "delete", "commit", "committed", "reset",
	    "nemesis", "live", "epoch" };
	static const char *const outcomes[] = { "invoke", "ok", "fail",
	    "info" };

	_Static_assert(sizeof types / sizeof types[0] == EV_TYPES, "types");
	(void)arg;
	printf("%" PRId64 " %s %s topic=%d part=%u id=%u/%" PRIu64
	    " offset=%" PRId64 " a=%" PRId64 " b=%x\n", e->at / 1000,
	    types[e->type], outcomes[e->outcome], e->topic, e->part,
	    EV_PRODUCER(e->id), (uint64_t)EV_SEQ(e->id), e->offset, e->a,
	    e->b);
}

/* The run's number is in the directory's run.txt. */
static int
show(char *path)
{
	char *slash = strrchr(path, '/');
	struct setup s;
	int64_t torn;

	if (slash != NULL)
		*slash = '\0';
	if (!setup_load(&s, slash == NULL ? "." : path))
		die(path, "there is no run.txt beside it");
	if (slash != NULL)
		*slash = '/';
	if (!hist_read(path, s.run, show_event, NULL, &torn))
		die(path, "not a history of that run");
	return 0;
}

int
main(int argc, char **argv)
{
	bool runs = argc > 1 && strcmp(argv[1], "run") == 0;
	bool invents = argc > 1 && strcmp(argv[1], "invent") == 0;
	struct setup *s = &check.setup;
	bool cuts;
	int o;

	check.nparts = 4;
	check.rate = 3000;
	check.rotate = 20000;
	check.heal_ms = 60000;
	check.pace = 500;
	check.every_ms = 500;
	check.producers = 1;
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		option_set(o, optarg);
	if (argc - optind != 2 + invents) {
		fputs(usage, stderr);
		return 2;
	}
	check.dir = argv[argc - 1];
	if (runs)
		return run();
	if (invents)
		return invent(&check, number("invent", argv[optind + 1],
		    1 << 28));
	if (strcmp(argv[optind], "show") == 0)
		return show(argv[optind + 1]);
	cuts = s->power_cuts;
	if (!setup_load(s, check.dir))
		die(check.dir, "run.txt is missing or not one");
	s->power_cuts |= cuts;
	if (strcmp(argv[optind], "verify") == 0)
		return verify();
	if (strcmp(argv[optind], "judge") == 0)
		return judged(judge_dir(s, check.dir, stdout));
	fputs(usage, stderr);
	return 2;
}
