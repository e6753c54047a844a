/* SPDX-License-Identifier: Apache-2.0 */
/* Logging: what a line looks like, and that foreign bytes cannot forge one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "ck.h"
#include "lib/log.h"

static char out[65536];
static int fds[2];

/* From here to stop(), standard error goes to a pipe. */
static void
start(enum log_level level, enum log_format format)
{
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	log_setup("tester", level, format);
}

static const char *
stop(void)
{
	ssize_t n = read(fds[0], out, sizeof(out) - 1);

	out[n < 0 ? 0 : n] = '\0';
	return out;
}

/* The line behind its time and level. */
static const char *
event(void)
{
	const char *s = strstr(stop(), "tester: ");

	ck_assert_ptr_nonnull(s);
	return s + strlen("tester: ");
}

START_TEST(text_line)
{
	start(LOG_INFO, LOG_TEXT);
	log_info("segment rolled", LS("topic", "orders"), LI("part", -3),
	    LE(E_NOSPC), LERRNO(EIO), LS("none", NULL), LS("empty", ""),
	    LSN("some", "abcdef", 3));
	ck_assert_str_eq(event(), "segment rolled topic=orders part=-3 "
	    "err=NOSPC errno=\"Input/output error\" none=- empty=\"\" "
	    "some=abc\n");
	ck_assert_msg(out[4] == '-' && out[10] == 'T' && out[23] == 'Z', "%s",
	    out);
	ck_assert_ptr_eq(strstr(out, " info tester: "), out + 24);
}
END_TEST

START_TEST(text_escapes)
{
	start(LOG_INFO, LOG_TEXT);
	log_info("x", LS("a",
	    "1\n2026 warn forged=yes\"\\\x1b[31m\xff\xc3\xa9"));
	ck_assert_str_eq(event(), "x a=\"1\\x0a2026 warn forged=yes\\\"\\\\"
	    "\\x1b[31m\\xff\xc3\xa9\"\n");
}
END_TEST

START_TEST(json_line)
{
	json_t *j;

	start(LOG_INFO, LOG_JSON);
	log_warn("odd", LSN("bytes", "a\0\n\"\\\x7f\xff\xed\xa0\x80z", 11),
	    LI("n", INT64_MIN), LS("none", NULL), LE(E_CORRUPT));
	j = json_loads(stop(), JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL);
	ck_assert_ptr_nonnull(j);
	ck_assert_str_eq(json_string_value(json_object_get(j, "level")),
	    "warn");
	ck_assert_str_eq(json_string_value(json_object_get(j, "event")),
	    "odd");
	ck_assert_str_eq(json_string_value(json_object_get(j, "program")),
	    "tester");
	ck_assert_mem_eq(json_string_value(json_object_get(j, "bytes")),
	    "a\0\n\"\\\x7f\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz",
	    19);
	ck_assert(json_integer_value(json_object_get(j, "n")) == INT64_MIN);
	ck_assert(json_is_null(json_object_get(j, "none")));
	ck_assert_str_eq(json_string_value(json_object_get(j, "err")),
	    "CORRUPT");
	json_decref(j);
	ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);
}
END_TEST

START_TEST(levels)
{
	start(LOG_WARN, LOG_TEXT);
	log_debug("a");
	log_info("b");
	ck_assert_str_eq(stop(), "");
	log_warn("c");
	ck_assert_str_eq(event(), "c\n");
	ck_assert(!log_on(LOG_INFO) && log_on(LOG_FATAL));
}
END_TEST

START_TEST(long_values)
{
	char *big = malloc(100001);
	json_t *j;

	memset(big, '\n', 100000);
	big[100000] = '\0';
	start(LOG_INFO, LOG_TEXT);
	log_info("x", LS("a", big), LI("b", 1));
	stop();
	ck_assert_uint_lt(strlen(out), 2049);
	ck_assert_ptr_nonnull(strstr(out, "cut=true\n"));
	ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);

	log_setup("tester", LOG_INFO, LOG_JSON);
	memset(big, '\xff', 100000);
	log_info("x", LS("a", "1"), LS("b", big), LS("c", big));
	j = json_loads(stop(), JSON_DISABLE_EOF_CHECK, NULL);
	ck_assert_msg(j != NULL, "%s", out);
	ck_assert_str_eq(json_string_value(json_object_get(j, "a")), "1");
	ck_assert(json_is_true(json_object_get(j, "cut")));
	json_decref(j);

	/* One long value alone is cut, and says so by its dots. */
	memset(big, 'y', 100000);
	log_setup("tester", LOG_INFO, LOG_TEXT);
	log_info("x", LS("a", big), LI("b", 1));
	ck_assert_ptr_nonnull(strstr(stop(), "yyy...\" b=1\n"));
	free(big);
}
END_TEST

START_TEST(keeps_errno)
{
	start(LOG_INFO, LOG_TEXT);
	errno = EXDEV;
	log_info("x");
	ck_assert_int_eq(errno, EXDEV);
	close(STDERR_FILENO);
	log_info("nobody listens");
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(fatal)
{
	int status;
	pid_t pid;

	start(LOG_WARN, LOG_TEXT);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		log_fatal("cannot go on", LS("path", "/x"));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert_str_eq(event(), "cannot go on path=/x\n");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	SRunner *r;
	int bad;

	tcase_add_test(t, text_line);
	tcase_add_test(t, text_escapes);
	tcase_add_test(t, json_line);
	tcase_add_test(t, levels);
	tcase_add_test(t, long_values);
	tcase_add_test(t, keeps_errno);
	tcase_add_test(t, fatal);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
