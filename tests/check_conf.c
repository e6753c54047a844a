/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and topic configs: every row of conf.def, the four sources and
 * their order, and what is refused.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
load_fails(enum conf_where where, const char *a, const char *b, char out[4096])
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
	while ((n = read(fds[0], out + len, (size_t)(4095 - len))) > 0)
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
		{ "--sync", "never", "commit, interval or os, not \"never\"",
		    CONF_E },
		{ "--sync", "commit|os", "commit, interval or os", CONF_E },
		{ "--delete-topic-enable", "yes", "true or false", CONF_E },
		{ "--config", "/nonexistent/x", "/nonexistent/x: No such",
		    CONF_S },
	};
	char out[4096];
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
	char out[4096];
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
	char out[4096];

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
tset(struct topic_conf *t, const char *name, const char *value)
{
	why[0] = '\0';
	return topic_conf_set(t, kstr_of(name), kstr_of(value), why,
	    sizeof(why));
}

START_TEST(topic_defaults)
{
	struct topic_conf_row r;
	struct topic_conf t;
	int i;

	topic_conf_init(&t);
	ck_assert(t.set == 0 && t.segment_bytes == 1 << 30);
	ck_assert_int_eq(t.cleanup_policy, CLEANUP_DELETE);
	/* Every default is a value that its own row takes. */
	for (i = 0; topic_conf_row(&t, i, &r); i++) {
		ck_assert(!r.set);
		ck_assert_msg(tset(&t, r.name, r.value) == E_OK, "%s: %s",
		    r.name, why);
		ck_assert(topic_conf_row(&t, i, &r) && r.set);
	}
	ck_assert_int_gt(i, 20);
	ck_assert(t.set == ((uint64_t)1 << i) - 1);
}
END_TEST

START_TEST(topic_rows)
{
	struct topic_conf_row r;
	struct topic_conf t;
	bool seen = false;
	int i;

	topic_conf_init(&t);
	ck_assert_int_eq(tset(&t, "cleanup.policy", "compact , delete"), 0);
	for (i = 0; topic_conf_row(&t, i, &r); i++) {
		if (strcmp(r.name, "cleanup.policy") == 0) {
			ck_assert_int_eq(r.type, CT_LIST);
			ck_assert_str_eq(r.value, "delete,compact");
			ck_assert(r.set && r.enforced);
		} else if (strcmp(r.name, "segment.bytes") == 0) {
			ck_assert_int_eq(r.type, CT_INT);
			ck_assert_str_eq(r.synonym, "log.segment.bytes");
			ck_assert_str_eq(r.value, "1073741824");
			seen = true;
		} else if (strcmp(r.name, "retention.ms") == 0)
			ck_assert_int_eq(r.type, CT_LONG);
		else if (strcmp(r.name, "min.cleanable.dirty.ratio") == 0) {
			ck_assert_int_eq(r.type, CT_DOUBLE);
			ck_assert_str_eq(r.value, "0.5");
		} else if (strcmp(r.name, "preallocate") == 0) {
			ck_assert_int_eq(r.type, CT_BOOLEAN);
			ck_assert_str_eq(r.value, "false");
		} else if (strcmp(r.name, "compression.type") == 0)
			ck_assert_int_eq(r.type, CT_STRING);
	}
	ck_assert(seen);
	ck_assert(!topic_conf_row(&t, -1, &r));
}
END_TEST

START_TEST(topic_values)
{
	struct topic_conf t;

	topic_conf_init(&t);
	ck_assert_int_eq(tset(&t, "cleanup.policy", "compact"), 0);
	ck_assert_int_eq(t.cleanup_policy, CLEANUP_COMPACT);
	ck_assert_int_eq(tset(&t, "cleanup.policy", ""), 0);
	ck_assert_int_eq(t.cleanup_policy, 0);
	ck_assert_int_eq(tset(&t, "segment.bytes", " +1048576\n"), 0);
	ck_assert(t.segment_bytes == 1048576);
	ck_assert_int_eq(tset(&t, "max.message.bytes", "0"), 0);
	ck_assert_int_eq(tset(&t, "message.timestamp.type", "LogAppendTime"),
	    0);
	ck_assert_int_eq(t.message_timestamp_type, TS_APPEND);
	ck_assert_int_eq(tset(&t, "preallocate", "False"), 0);
	ck_assert_int_eq(tset(&t, "min.cleanable.dirty.ratio", "5e-1"), 0);
	ck_assert_int_eq(tset(&t, "flush.ms", "9223372036854775807"), 0);
	ck_assert_int_eq(tset(&t, "flush.messages", "1"), 0);
	ck_assert(t.flush_messages == 1);
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
		{ "preallocate", "true", "preallocate is not supported yet: "
		    "it takes only its default, false" },
		{ "index.interval.bytes", "1", "not supported yet" },
		{ "compression.gzip.level", "0", "between 1 and 9 or equal" },
		{ "compression.gzip.level", "10", "from -1 to 9" },
		{ "compression.lz4.level", "0", "from 1 to 17" },
		{ "compression.zstd.level", "23", "from -131072 to 22" },
		{ "compression.type", "none", "must be producer, uncomp" },
		{ "retention.ms", "-2", "must be a number from -1" },
		{ "min.cleanable.dirty.ratio", "0.4", "not supported yet" },
		{ "min.cleanable.dirty.ratio", "nan", "fraction from 0 to 1" },
		{ "min.cleanable.dirty.ratio", "1.1", "fraction from 0 to 1" },
		{ "min.cleanable.dirty.ratio", "0x1p-1", "fraction from 0" },
		{ "min.cleanable.dirty.ratio", "", "fraction from 0 to 1" },
	};
	struct topic_conf t, was;
	char small[8];
	size_t i;

	topic_conf_init(&t);
	was = t;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(tset(&t, bad[i][0], bad[i][1]) ==
		    E_INVALID_CONFIG, "%s", bad[i][0]);
		ck_assert_msg(strstr(why, bad[i][2]) != NULL, "%s: %s",
		    bad[i][2], why);
		ck_assert_mem_eq(&t, &was, sizeof(t));
	}
	/* A name is its whole length, and a short buffer is kept to. */
	ck_assert_int_eq(topic_conf_set(&t, (struct kstr){ 13,
	    "segment.bytes.more" }, kstr_of("1048576"), why, sizeof(why)), 0);
	ck_assert_int_eq(topic_conf_set(&t, kstr_of("no.such.config"),
	    kstr_of("1"), small, sizeof(small)), E_INVALID_CONFIG);
	ck_assert_str_eq(small, "Unknown");
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
	tcase_add_test(t, topic_refused);
	suite_add_tcase(s, t);
	no_environment();
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
