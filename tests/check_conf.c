/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and topic configs: every row of conf.def, the four sources and
 * their order, and what is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ck.h"
#include "lib/conf.h"

#define USAGE	"chronik-tester [option ...]"

static struct conf c;
static char why[256];

static int
load(enum conf_where where, const char *a, const char *b, const char *d)
{
	char *argv[] = { (char *)"x", (char *)a, (char *)b, (char *)d, NULL };
	int argc = 1;

	while (argc < 4 && argv[argc] != NULL)
		argc++;
	return conf_load(&c, where, USAGE, argc, argv);
}

/* Runs load in a child; its exit status, and what it printed in out. */
static int
load_fails(enum conf_where where, const char *a, const char *b, char out[16384])
{
	int fds[2], status;
	ssize_t n, len = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		load(where, a, b, NULL);
		_exit(99);
	}
	close(fds[1]);
	while ((n = read(fds[0], out + len, (size_t)(16383 - len))) > 0)
		len += n;
	out[len] = '\0';
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *
file_of(const char *text)
{
	static char path[64];
	FILE *f;
	int fd;

	strcpy(path, "/tmp/check_conf.XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	f = fdopen(fd, "w");
	fputs(text, f);
	fclose(f);
	return path;
}

static void
no_environment(void)
{
	unsetenv("CHRONIK_DATA_DIR");
	unsetenv("CHRONIK_SYNC");
	unsetenv("CHRONIK_GATEWAYS");
	unsetenv("CHRONIK_CONFIG");
	unsetenv("CHRONIK_REGION_BYTES");
}

START_TEST(defaults)
{
	ck_assert_int_eq(load(CONF_S, NULL, NULL, NULL), 1);
	ck_assert_str_eq(c.data_dir, "./data");
	ck_assert_str_eq(c.engine, "");
	ck_assert_str_eq(c.bind_addr, "127.0.0.1:9092");
	ck_assert(c.gateways == 1 && c.region_bytes == 128 << 20);
	ck_assert_int_eq(c.sync, SYNC_COMMIT);
	ck_assert_int_eq(c.produce_validation, VALIDATE_DEEP);
	ck_assert(c.auto_create_topics_enable);
	/* Again, over old values, which nobody frees twice. */
	ck_assert_int_eq(load(CONF_S, "--data-dir", "/d", NULL), 3);
	ck_assert_int_eq(load(CONF_S, NULL, NULL, NULL), 1);
	ck_assert_str_eq(c.data_dir, "./data");
}
END_TEST

START_TEST(spellings)
{
	load(CONF_S, "--data-dir", "/a", "--num.partitions=7");
	ck_assert_str_eq(c.data_dir, "/a");
	ck_assert(c.num_partitions == 7);
	load(CONF_S, "--data_dir=/b=c", "--auto.create.topics.enable=FALSE",
	    NULL);
	ck_assert_str_eq(c.data_dir, "/b=c");
	ck_assert(!c.auto_create_topics_enable);
	load(CONF_S, "--region-bytes=16MiB", "--sync=os", NULL);
	ck_assert(c.region_bytes == 16 << 20);
	ck_assert_int_eq(c.sync, SYNC_OS);
	load(CONF_S, "--region-bytes= 8192KiB ", NULL, NULL);
	ck_assert(c.region_bytes == 8 << 20);
	load(CONF_S, "--region-bytes=1GiB", NULL, NULL);
	ck_assert(c.region_bytes == 1 << 30);
	load(CONF_S, "--region-bytes=16384K", NULL, NULL);
	ck_assert(c.region_bytes == 16 << 20);
	load(CONF_S, "--region-bytes=64M", NULL, NULL);
	ck_assert(c.region_bytes == 64 << 20);
}
END_TEST

START_TEST(operands)
{
	ck_assert_int_eq(load(CONF_S, "--gateways=2", "file", "--sync=os"), 2);
	ck_assert_int_eq(c.sync, SYNC_COMMIT);
	ck_assert_int_eq(load(CONF_S, "--gateways=2", "--", "--sync=os"), 3);
	ck_assert_int_eq(load(CONF_S, "-", NULL, NULL), 1);
}
END_TEST

START_TEST(precedence)
{
	const char *path = file_of("# comment\n\n  data-dir = /file \n"
	    "sync=os\ngateways = 2\nregion.bytes=16MiB\n");

	load(CONF_S, "--config", path, NULL);
	ck_assert_str_eq(c.data_dir, "/file");
	ck_assert(c.sync == SYNC_OS && c.gateways == 2);
	setenv("CHRONIK_CONFIG", path, 1);
	setenv("CHRONIK_SYNC", "interval", 1);
	setenv("CHRONIK_GATEWAYS", "3", 1);
	setenv("CHRONIK_REGION_BYTES", "", 1);
	load(CONF_S, "--gateways=4", NULL, NULL);
	ck_assert_str_eq(c.data_dir, "/file");
	ck_assert_int_eq(c.sync, SYNC_INTERVAL);
	ck_assert(c.gateways == 4);
	ck_assert_msg(c.region_bytes == 16 << 20, "empty is not set");
	/* The engine takes no file. */
	load(CONF_E, NULL, NULL, NULL);
	ck_assert_str_eq(c.data_dir, "./data");
	ck_assert_int_eq(c.sync, SYNC_INTERVAL);
	unlink(path);
	no_environment();
}
END_TEST

START_TEST(refused)
{
	static const struct {
		const char *a, *b, *say;
		int where;
	} t[] = {
		{ "--no-such=1", NULL, "--no-such=1 is no option", CONF_S },
		{ "-d", "x", "-d is no option", CONF_S },
		{ "--data", "x", "--data is no option", CONF_S },
		{ "--gateways", "1", "option of another program", CONF_E },
		{ "--data-dir", NULL, "--data-dir needs a value", CONF_E },
		{ "--gateways", "0", "from 1 to 64, not \"0\"", CONF_S },
		{ "--gateways", "65", "from 1 to 64, not \"65\"", CONF_S },
		{ "--gateways", "1x", "not \"1x\"", CONF_S },
		{ "--gateways", "", "not \"\"", CONF_S },
		{ "--gateways", "1KiB", "not \"1KiB\"", CONF_S },
		{ "--gateways", "99999999999999999999", "from 1 to", CONF_S },
		{ "--region-bytes", "9999999999999GiB", "from 8388608",
		    CONF_G },
		{ "--region-bytes", "KiB", "from 8388608", CONF_G },
		{ "--region-bytes", "64iB", "from 8388608", CONF_G },
		{ "--region-bytes", "G", "from 8388608", CONF_G },
		{ "--region-bytes", "64T", "from 8388608", CONF_G },
		{ "--region-bytes", "64MM", "from 8388608", CONF_G },
		{ "--region-bytes", "64MB", "from 8388608", CONF_G },
		{ "--sync", "never", "commit, interval or os, not \"never\"",
		    CONF_E },
		{ "--sync", "commit|os", "commit, interval or os", CONF_E },
		{ "--delete-topic-enable", "yes", "true or false", CONF_E },
		{ "--config", "/nonexistent/x", "/nonexistent/x: No such",
		    CONF_S },
	};
	char out[16384];
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_int_eq(load_fails(t[i].where, t[i].a, t[i].b, out),
		    2);
		ck_assert_msg(strncmp(out, "chronik-tester: ", 16) == 0, "%s",
		    out);
		ck_assert_msg(strstr(out, t[i].say) != NULL, "%s: %s",
		    t[i].say, out);
	}
}
END_TEST

START_TEST(refused_in_file)
{
	static const char *const t[][2] = {
		{ "sync=os\nfoo = 1\n", "line 2: \"foo \" names no option" },
		{ "sync\n", "line 1: \"sync\" must read name = value" },
		{ "gateways = many\n", "must be a number from 1 to 64" },
		{ "config = /x\n", "another file" },
	};
	char out[16384];
	const char *path;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		path = file_of(t[i][0]);
		ck_assert_int_eq(load_fails(CONF_S, "--config", path, out), 2);
		ck_assert_msg(strstr(out, t[i][1]) != NULL, "%s", out);
		unlink(path);
	}
	setenv("CHRONIK_GATEWAYS", "x", 1);
	ck_assert_int_eq(load_fails(CONF_S, NULL, NULL, out), 2);
	ck_assert_ptr_nonnull(strstr(out, "CHRONIK_GATEWAYS must be"));
	/* Passed over by whom it does not concern. */
	load(CONF_E, NULL, NULL, NULL);
	no_environment();
}
END_TEST

START_TEST(help)
{
	char out[16384];

	ck_assert_int_eq(load_fails(CONF_G, "--help", NULL, out), 0);
	ck_assert_ptr_nonnull(strstr(out, "usage: " USAGE));
	ck_assert_ptr_nonnull(strstr(out, "--bind-addr VALUE"));
	ck_assert_ptr_null(strstr(out, "--data-dir"));
}
END_TEST

START_TEST(argv_for_a_child)
{
	char **v;
	int i;

	load(CONF_S, "--data-dir=/x y", "--region-bytes=16MiB", NULL);
	setenv("CHRONIK_SYNC", "os", 1);
	v = conf_argv(&c, CONF_E, "prog", 2);
	ck_assert_str_eq(v[0], "prog");
	ck_assert_str_eq(v[1], "--data-dir=/x y");
	/* What the environment would change is overruled. */
	ck_assert_str_eq(v[2], "--sync=commit");
	for (i = 3; i < 6; i++)
		ck_assert_ptr_null(v[i]);
	no_environment();
	for (i = 0; v[i] != NULL; i++)
		free(v[i]);
	free(v);
	v = conf_argv(&c, CONF_G, "prog", 0);
	ck_assert_str_eq(v[1], "--region-bytes=16777216");
	ck_assert_ptr_null(v[2]);
	for (i = 0; v[i] != NULL; i++)
		free(v[i]);
	free(v);
}
END_TEST

START_TEST(hostport)
{
	static const char *const bad[] = { "", ":", "a", "a:", ":1", "a:65536",
	    "a:-1", "a:+1", "a:1x", "::1:80", "[::1]", "[::1]80", "[]:1",
	    "[a]:1", "a b:1", "a:1:2", "[::1:80", "a: 1",
	    "a:99999999999999999999", "aaaaaaaaaaaaaaaa:1" };
	char host[16];
	size_t i;
	int port;

	ck_assert_int_eq(conf_hostport("h.x:0", host, sizeof(host), &port), 0);
	ck_assert_str_eq(host, "h.x");
	ck_assert_int_eq(port, 0);
	ck_assert_int_eq(conf_hostport("[::1]:65535", host, sizeof(host),
	    &port), 0);
	ck_assert_str_eq(host, "::1");
	ck_assert_int_eq(port, 65535);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(conf_hostport(bad[i], host, sizeof(host),
		    &port) == E_USAGE, "%s", bad[i]);
}
END_TEST

/* ---- topic configs ------------------------------------------------------ */

static enum err
tset(struct conf_set *set, struct topic_conf *t, const char *name,
    const char *value)
{
	enum err e;

	why[0] = '\0';
	e = topic_conf_put(set, kstr_of(name), kstr_of(value), why,
	    sizeof(why));
	topic_conf_init(t);
	topic_conf_own(t, set);
	return e;
}

START_TEST(topic_defaults)
{
	const struct topic_row *r;
	struct conf_set set = { 0 };
	struct topic_conf t;
	int i;

	topic_conf_init(&t);
	ck_assert(t.set == 0 && t.segment_bytes == 1 << 30);
	ck_assert_int_eq(t.cleanup_policy, CLEANUP_DELETE);
	/* Every default is a value that its own row takes. */
	for (i = 0; (r = topic_row(i)) != NULL; i++) {
		ck_assert_msg(tset(&set, &t, r->name, r->def) == E_OK,
		    "%s: %s", r->name, why);
		ck_assert_str_eq(conf_set_get(&set, r->name), r->def);
		ck_assert(r->doc[0] != '\0');
	}
	ck_assert_int_eq(i, 42);
	ck_assert(t.set == ((uint64_t)1 << i) - 1);
	conf_set_free(&set);
}
END_TEST

START_TEST(topic_rows)
{
	static const struct {
		const char *name, *synonym, *def;
		enum conf_ctype type;
		enum conf_state state;
	} t[] = {
		{ "cleanup.policy", "log.cleanup.policy", "delete", CT_LIST,
		    CONF_ENFORCED },
		{ "segment.bytes", "log.segment.bytes", "1073741824", CT_INT,
		    CONF_ENFORCED },
		{ "retention.ms", "log.retention.ms", "604800000", CT_LONG,
		    CONF_ENFORCED },
		{ "min.cleanable.dirty.ratio",
		    "log.cleaner.min.cleanable.ratio", "0.5", CT_DOUBLE,
		    CONF_ENFORCED },
		{ "preallocate", "log.preallocate", "false", CT_BOOLEAN,
		    CONF_ENFORCED },
		{ "max.message.bytes", "message.max.bytes", "1048588", CT_INT,
		    CONF_ENFORCED },
		{ "remote.storage.enable", "", "false", CT_BOOLEAN,
		    CONF_REFUSED },
		{ "leader.replication.throttled.replicas", "", "", CT_LIST,
		    CONF_KEPT },
		{ "compression.type", "compression.type", "producer",
		    CT_STRING, CONF_ENFORCED },
	};
	const struct topic_row *r;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		r = topic_row_find(kstr_of(t[i].name));
		ck_assert_ptr_nonnull(r);
		ck_assert_str_eq(r->synonym, t[i].synonym);
		ck_assert_str_eq(r->def, t[i].def);
		ck_assert_int_eq(r->type, t[i].type);
		if (t[i].synonym[0] != '\0')
			ck_assert_ptr_eq(topic_row_broker(kstr_of(
			    t[i].synonym)), r);
	}
	ck_assert_ptr_null(topic_row(-1));
	ck_assert_ptr_null(topic_row_find(kstr_of("")));
	ck_assert_ptr_null(topic_row_broker(kstr_of("")));
}
END_TEST

START_TEST(topic_values)
{
	struct conf_set set = { 0 };
	struct topic_conf t;

	ck_assert_int_eq(tset(&set, &t, "cleanup.policy", "compact"), 0);
	ck_assert_int_eq(t.cleanup_policy, CLEANUP_COMPACT);
	/* A list keeps its order and loses its blanks. */
	ck_assert_int_eq(tset(&set, &t, "cleanup.policy", "compact , delete"),
	    0);
	ck_assert_int_eq(t.cleanup_policy, CLEANUP_COMPACT | CLEANUP_DELETE);
	ck_assert_str_eq(conf_set_get(&set, "cleanup.policy"),
	    "compact,delete");
	ck_assert_int_eq(tset(&set, &t, "cleanup.policy", ""), 0);
	ck_assert_int_eq(t.cleanup_policy, 0);
	ck_assert_int_eq(tset(&set, &t, "segment.bytes", " +1048576\n"), 0);
	ck_assert(t.segment_bytes == 1048576);
	ck_assert_str_eq(conf_set_get(&set, "segment.bytes"), "1048576");
	ck_assert_int_eq(tset(&set, &t, "max.message.bytes", "0"), 0);
	ck_assert_int_eq(tset(&set, &t, "message.timestamp.type",
	    "LogAppendTime"), 0);
	ck_assert_int_eq(t.message_timestamp_type, TS_APPEND);
	ck_assert_int_eq(tset(&set, &t, "preallocate", "False"), 0);
	ck_assert_str_eq(conf_set_get(&set, "preallocate"), "false");
	ck_assert_int_eq(tset(&set, &t, "min.cleanable.dirty.ratio", "2.5e-1"),
	    0);
	ck_assert_str_eq(conf_set_get(&set, "min.cleanable.dirty.ratio"),
	    "0.25");
	ck_assert_int_eq(tset(&set, &t, "flush.ms", "9223372036854775807"), 0);
	ck_assert_int_eq(tset(&set, &t, "flush.messages", "1"), 0);
	ck_assert(t.flush_messages == 1);
	ck_assert_int_eq(tset(&set, &t,
	    "leader.replication.throttled.replicas", "0:1, 1:1"), 0);
	ck_assert_str_eq(conf_set_get(&set,
	    "leader.replication.throttled.replicas"), "0:1,1:1");
	ck_assert_int_eq(tset(&set, &t,
	    "follower.replication.throttled.replicas", "*"), 0);
	ck_assert_int_eq(tset(&set, &t, "message.format.version", "2.8"), 0);
	ck_assert_int_eq(tset(&set, &t, "message.format.version",
	    "0.11.0-IV2"), 0);
	conf_set_free(&set);
}
END_TEST

/* Kafka 3's one limit of timestamps stands in for two. */
START_TEST(topic_difference)
{
	struct conf_set set = { 0 }, broker = { 0 };
	struct topic_conf t;

	ck_assert_int_eq(tset(&set, &t,
	    "message.timestamp.difference.max.ms", "1000"), 0);
	ck_assert(t.message_timestamp_before_max_ms == 1000 &&
	    t.message_timestamp_after_max_ms == 1000);
	ck_assert_int_eq(tset(&set, &t, "message.timestamp.before.max.ms",
	    "7"), 0);
	ck_assert(t.message_timestamp_before_max_ms == 7 &&
	    t.message_timestamp_after_max_ms == 1000);
	/* The topic's own goes before the broker's. */
	ck_assert_int_eq(conf_set_put(&broker,
	    "log.message.timestamp.after.max.ms", strdup("5")), 0);
	topic_conf_init(&t);
	topic_conf_broker(&t, &broker);
	ck_assert(t.message_timestamp_after_max_ms == 5);
	topic_conf_own(&t, &set);
	ck_assert(t.message_timestamp_after_max_ms == 1000);
	conf_set_free(&set);
	conf_set_free(&broker);
}
END_TEST

START_TEST(topic_layers)
{
	struct conf_set own = { 0 }, copy, broker = { 0 };
	struct topic_conf t;

	ck_assert_int_eq(topic_row_put(topic_row_broker(kstr_of(
	    "log.retention.ms")), "log.retention.ms", &broker,
	    kstr_of(" 12 "), why, sizeof(why)), 0);
	topic_conf_init(&t);
	topic_conf_broker(&t, &broker);
	topic_conf_own(&t, &own);
	ck_assert(t.retention_ms == 12 && t.set == 0);
	ck_assert_int_eq(topic_conf_put(&own, kstr_of("retention.ms"),
	    kstr_of("-1"), why, sizeof(why)), 0);
	topic_conf_own(&t, &own);
	ck_assert(t.retention_ms == -1 && t.set != 0);
	ck_assert_int_eq(conf_set_copy(&copy, &own), 0);
	ck_assert(conf_set_eq(&copy, &own));
	conf_set_drop(&copy, "retention.ms");
	conf_set_drop(&copy, "retention.ms");
	ck_assert(copy.n == 0 && !conf_set_eq(&copy, &own));
	/* Values that contradict each other. */
	topic_conf_init(&t);
	ck_assert_int_eq(topic_conf_check(&t, why, sizeof(why)), 0);
	t.min_compaction_lag_ms = 6;
	t.max_compaction_lag_ms = 5;
	ck_assert_int_eq(topic_conf_check(&t, why, sizeof(why)),
	    E_INVALID_CONFIG);
	ck_assert_ptr_nonnull(strstr(why, "min.compaction.lag.ms (6) >"));
	conf_set_free(&own);
	conf_set_free(&copy);
	conf_set_free(&broker);
}
END_TEST

/* The broker's names of topic configs are options. */
START_TEST(topic_options)
{
	char out[16384], **v;
	struct conf_row row;
	const char *own;
	bool known = false, seen = false;

	load(CONF_S, "--log.retention.ms=5", "--message-max-bytes=8MiB", NULL);
	ck_assert_str_eq(c.topic[CONF_TOPIC_retention_ms], "5");
	ck_assert_str_eq(c.topic[CONF_TOPIC_max_message_bytes], "8388608");
	ck_assert_ptr_null(c.topic[CONF_TOPIC_segment_bytes]);
	v = conf_argv(&c, CONF_E, "prog", 0);
	ck_assert_str_eq(v[1], "--message-max-bytes=8388608");
	ck_assert_str_eq(v[2], "--log-retention-ms=5");
	ck_assert_ptr_null(v[3]);
	for (int i = 0; v[i] != NULL; i++)
		free(v[i]);
	free(v);
	setenv("CHRONIK_LOG_CLEANUP_POLICY", "compact", 1);
	load(CONF_E, NULL, NULL, NULL);
	ck_assert_str_eq(c.topic[CONF_TOPIC_cleanup_policy], "compact");
	unsetenv("CHRONIK_LOG_CLEANUP_POLICY");
	ck_assert_int_eq(load_fails(CONF_E, "--log-segment-bytes=1", NULL,
	    out), 2);
	ck_assert_ptr_nonnull(strstr(out, "from 1048576 to"));
	ck_assert_int_eq(load_fails(CONF_E, "--log-local-retention-ms=1",
	    NULL, out), 2);
	ck_assert_ptr_nonnull(strstr(out, "only its default, -2"));
	ck_assert_int_eq(load_fails(CONF_E, "--=1", NULL, out), 2);
	/* What was given is told from what was not. */
	load(CONF_S, "--num-partitions=1", NULL, NULL);
	for (int i = 0; conf_row(&c, i, &row); i++)
		if (strcmp(row.name, "num.partitions") == 0) {
			ck_assert(row.given && row.type == CT_INT);
			ck_assert_str_eq(row.value, "1");
			seen = true;
		} else
			ck_assert(!row.given);
	ck_assert(seen);
	ck_assert_ptr_null(conf_dynamic(kstr_of("num.partitions"), &own,
	    &known));
	ck_assert(known);
	ck_assert_ptr_nonnull(conf_dynamic(kstr_of("max.connections"), &own,
	    &known));
	ck_assert(conf_change(&c, kstr_of("max.connections"), kstr_of("7")));
	ck_assert(c.max_connections == 7);
	ck_assert(!conf_change(&c, kstr_of("max.connections"), kstr_of("0")));
	ck_assert(!conf_change(&c, kstr_of("num.partitions"), kstr_of("2")));
}
END_TEST

START_TEST(caps)
{
	static const uint8_t want[3][16] = {
		{ [10] = 0xff, 0xff, 10, 0, 0, 1 },
		{ [15] = 1 }, { 0x20, 1, 0x0d, 0xb8, [15] = 7 },
	};
	static const int64_t nums[3] = { 5, 0, 2147483647 };
	static const char *const bad[] = { "x:1", "10.0.0.1", "10.0.0.1:",
	    ":1", "10.0.0.1:-1", "10.0.0.1:2147483648", "10.0.0.1:1,", ",",
	    "10.0.0.1:1,,::1:1", "[10.0.0.1]:1", "[::1:1", "::1", "[]:1" };
	struct kstr s = kstr_of("10.0.0.1:5 ,[::1]: 0,2001:db8::7:2147483647");
	const char *const name = "max.connections.per.ip.overrides";
	char out[16384];
	uint8_t addr[16];
	int64_t n;

	for (int i = 0; i < 3; i++) {
		ck_assert(conf_cap_next(&s, addr, &n));
		ck_assert_mem_eq(addr, want[i], 16);
		ck_assert(n == nums[i]);
	}
	ck_assert(!conf_cap_next(&s, addr, &n));
	ck_assert_int_eq(s.len, 0);
	load(CONF_G, "--max-connections-per-ip-overrides= 10.0.0.1:5 , ::1:6",
	    NULL, NULL);
	ck_assert_str_eq(c.max_connections_per_ip_overrides,
	    "10.0.0.1:5,::1:6");
	/* What is refused leaves it as it was; nothing is a list, too. */
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert(!conf_change(&c, kstr_of(name), kstr_of(bad[i])));
		ck_assert_str_eq(c.max_connections_per_ip_overrides,
		    "10.0.0.1:5,::1:6");
	}
	ck_assert(conf_change(&c, kstr_of(name), kstr_of("10.0.0.9:1")));
	ck_assert_str_eq(c.max_connections_per_ip_overrides, "10.0.0.9:1");
	ck_assert(conf_change(&c, kstr_of(name), kstr_of("")));
	ck_assert_str_eq(c.max_connections_per_ip_overrides, "");
	ck_assert_int_eq(load_fails(CONF_G,
	    "--max-connections-per-ip-overrides=localhost:1", NULL, out), 2);
	ck_assert_ptr_nonnull(strstr(out, "not names"));
}
END_TEST

START_TEST(topic_refused)
{
	static const char *const bad[][3] = {
		{ "no.such", "1", "Unknown topic config name: no.such" },
		{ "Segment.bytes", "1", "Unknown topic config name" },
		{ "", "1", "Unknown topic config name" },
		{ "segment.bytes", "1048575", "from 1048576 to 2147483647" },
		{ "segment.bytes", "2147483648", "from 1048576" },
		{ "segment.bytes", "1e9", "Invalid value 1e9 for config" },
		{ "segment.bytes", "", "must be a number" },
		{ "segment.bytes", "-", "must be a number" },
		{ "segment.bytes", "1 0", "must be a number" },
		{ "segment.bytes", "1MiB", "must be a number" },
		{ "segment.bytes", NULL, "must not be null" },
		{ "flush.ms", "9223372036854775808", "must be a number" },
		{ "flush.ms", "-1", "must be a number" },
		{ "cleanup.policy", "compact,compact", "a word twice" },
		{ "cleanup.policy", "compact,", "list of delete or compact" },
		{ "cleanup.policy", "Compact", "list of delete or compact" },
		{ "cleanup.policy", "a\1\xff\"b", "Invalid value a??\"b" },
		{ "message.timestamp.type", "createtime", "CreateTime or" },
		{ "preallocate", "1", "must be true or false" },
		{ "remote.storage.enable", "true", "it is not supported yet "
		    "and takes only its default, false" },
		{ "max.compaction.lag.ms", "0", "from 1" },
		{ "local.retention.ms", "-1", "not supported yet" },
		{ "compression.gzip.level", "0", "between 1 and 9 or equal" },
		{ "compression.gzip.level", "10", "from -1 to 9" },
		{ "compression.lz4.level", "0", "from 1 to 17" },
		{ "compression.zstd.level", "23", "from -131072 to 22" },
		{ "compression.type", "none", "must be producer, uncomp" },
		{ "retention.ms", "-2", "must be a number from -1" },
		{ "leader.replication.throttled.replicas", "1", "list of "
		    "partition:broker" },
		{ "leader.replication.throttled.replicas", "1:2,", "list of" },
		{ "leader.replication.throttled.replicas", "1:-2", "list of" },
		{ "message.format.version", "0.10.2", "from 0.11.0 on" },
		{ "message.format.version", "4", "from 0.11.0 on" },
		{ "message.format.version", "3.0-IV", "from 0.11.0 on" },
		{ "message.format.version", "3.0.x", "from 0.11.0 on" },
		{ "message.format.version", "", "from 0.11.0 on" },
		{ "min.cleanable.dirty.ratio", "nan", "fraction from 0 to 1" },
		{ "min.cleanable.dirty.ratio", "1.1", "fraction from 0 to 1" },
		{ "min.cleanable.dirty.ratio", "0x1p-1", "fraction from 0" },
		{ "min.cleanable.dirty.ratio", "", "fraction from 0 to 1" },
	};
	struct conf_set set = { 0 };
	struct topic_conf t;
	char small[8];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(tset(&set, &t, bad[i][0], bad[i][1]) ==
		    E_INVALID_CONFIG, "%s", bad[i][0]);
		ck_assert_msg(strstr(why, bad[i][2]) != NULL, "%s: %s",
		    bad[i][2], why);
		ck_assert(set.n == 0 && t.set == 0);
	}
	/* A name is its whole length, and a short buffer is kept to. */
	ck_assert_int_eq(topic_conf_put(&set, (struct kstr){ 13,
	    "segment.bytes.more" }, kstr_of("1048576"), why, sizeof(why)), 0);
	ck_assert_int_eq(topic_conf_put(&set, kstr_of("no.such.config"),
	    kstr_of("1"), small, sizeof(small)), E_INVALID_CONFIG);
	ck_assert_str_eq(small, "Unknown");
	conf_set_free(&set);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("conf");
	SRunner *r;
	int bad;

	tcase_add_test(t, defaults);
	tcase_add_test(t, spellings);
	tcase_add_test(t, operands);
	tcase_add_test(t, precedence);
	tcase_add_test(t, refused);
	tcase_add_test(t, refused_in_file);
	tcase_add_test(t, help);
	tcase_add_test(t, argv_for_a_child);
	tcase_add_test(t, hostport);
	tcase_add_test(t, topic_defaults);
	tcase_add_test(t, topic_rows);
	tcase_add_test(t, topic_values);
	tcase_add_test(t, caps);
	tcase_add_test(t, topic_refused);
	tcase_add_test(t, topic_difference);
	tcase_add_test(t, topic_layers);
	tcase_add_test(t, topic_options);
	suite_add_tcase(s, t);
	no_environment();
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
