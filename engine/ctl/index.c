/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the search index of a topic is, as chronik-search status tells: the
 * engine knows no index, and this program no Xapian.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "index.h"
#include "lib/child.h"

extern char **environ;

enum { LINE_MAX_BYTES = 4096 };

/* Starts it with its standard output in a pipe, its own errors nowhere. */
static FILE *
status_open(const char *path, const char *engine, const char *topic,
    pid_t *pid)
{
	char *argv[] = { (char *)"chronik-search", (char *)"status",
	    (char *)"--json", (char *)"--engine", (char *)engine,
	    (char *)"--", (char *)topic, NULL };
	posix_spawn_file_actions_t acts;
	FILE *f = NULL;
	int fds[2], e;

	if (pipe(fds) != 0)
		return NULL;
	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_adddup2(&acts, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&acts, fds[0]);
	posix_spawn_file_actions_addopen(&acts, STDERR_FILENO, "/dev/null",
	    O_WRONLY, 0);
	e = posix_spawn(pid, path, &acts, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&acts);
	close(fds[1]);
	if (e == 0 && (f = fdopen(fds[0], "r")) == NULL) {
		kill(*pid, SIGTERM);
		waitpid(*pid, NULL, 0);
	}
	if (f == NULL)
		close(fds[0]);
	return f;
}

/* An array with an object of each partition; NULL: it fails. */
static json_t *
status_get(const struct args *a, const char *topic)
{
	char path[PATH_MAX], engine[PATH_MAX], line[LINE_MAX_BYTES];
	json_t *rows = NULL, *row;
	int status = -1;
	pid_t pid;
	FILE *f;

	args_engine(a, engine, sizeof engine);
	if (!program_find("chronik-search", path, sizeof path) ||
	    (f = status_open(path, engine, topic, &pid)) == NULL)
		return NULL;
	rows = json_array();
	while (fgets(line, sizeof line, f) != NULL)
		if ((row = json_loads(line, 0, NULL)) != NULL)
			json_array_append_new(rows, row);
	fclose(f);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (status != 0) {
		json_decref(rows);
		return NULL;
	}
	return rows;
}

bool
index_get(const struct args *a, const struct topic_stats_res_topic *t,
    json_t **rows)
{
	const struct topic_stats_res_config *c = t->configs.v;
	bool on = false;
	char name[256];

	for (int i = 0; i < t->configs.n; i++)
		on |= kstr_eq(c[i].name, kstr_of("search.enable")) &&
		    kstr_eq(c[i].value, kstr_of("true"));
	snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.p);
	*rows = on ? status_get(a, name) : NULL;
	return on;
}

void
index_put(json_t *part, const json_t *rows)
{
	const json_t *id = json_object_get(part, "partition"), *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (json_equal(json_object_get(row, "partition"), id)) {
			json_object_set(part, "indexed_to",
			    json_object_get(row, "indexed_to"));
			json_object_set(part, "not_indexed",
			    json_object_get(row, "lag"));
			json_object_set(part, "index_lag_ms",
			    json_object_get(row, "lag_ms"));
		}
}

json_t *
index_sum(const json_t *rows)
{
	json_int_t behind = 0, lag_ms = 0, ms;
	const json_t *row;
	size_t i;

	if (rows == NULL)
		return json_pack("{s:s}", "error", "it is not known how far "
		    "the index is: chronik-search status says why");
	json_array_foreach(rows, i, row) {
		behind += json_integer_value(json_object_get(row, "lag"));
		ms = json_integer_value(json_object_get(row, "lag_ms"));
		lag_ms = ms > lag_ms ? ms : lag_ms;
	}
	return json_pack("{s:I,s:I}", "not_indexed", behind, "lag_ms",
	    lag_ms);
}

void
index_print(const json_t *rows)
{
	json_t *sum = index_sum(rows), *j = json_object_get(sum, "error");
	json_int_t n = json_integer_value(json_object_get(sum,
	    "not_indexed"));
	json_int_t ms = json_integer_value(json_object_get(sum, "lag_ms"));

	if (j != NULL)
		printf("  search: %s\n", json_string_value(j));
	else if (n == 0)
		printf("  search: everything is indexed\n");
	else
		printf("  search: behind by %lld, the oldest "
		    "for %lld.%lld s\n", (long long)n, (long long)ms / 1000,
		    (long long)ms / 100 % 10);
	json_decref(sum);
}
