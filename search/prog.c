/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What chronik-search and chronik-search-serve share: how they begin and what
 * they may use up, how they complain, and where they find the engine.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "prog.h"

enum {
	ENGINE_MS	= 10000,	/* for one answer of the engine */
	MEMORY_MAX_MIB	= 4096,
};

void
cmd_complain(int64_t line, const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("chronik-search: ", stderr);
	if (line > 0)
		fprintf(stderr, "line %lld: ", (long long)line);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void
cmd_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cmd_complain(0, fmt, ap);
	va_end(ap);
	exit(EXIT_ERROR);
}

void
cmd_lost(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cmd_complain(0, fmt, ap);
	va_end(ap);
	exit(EXIT_INCOMPLETE);
}

/* ---- the process ------------------------------------------------------- */

/* Whatever a query asks for, it does not take the machine's memory. */
void
prog_bound_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct rlimit rl;

	if (getrlimit(RLIMIT_AS, &rl) == 0 && rl.rlim_cur == RLIM_INFINITY) {
		rl.rlim_cur = (rlim_t)MEMORY_MAX_MIB * MIB;
		setrlimit(RLIMIT_AS, &rl);
	}
#endif
}

/* A shard, or the segment of a record, is a file that is open. */
static void
raise_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
}

void
prog_setup(void)
{
	child_setup();
	log_setup("chronik-search", LOG_WARN, LOG_TEXT);
	raise_files();
	/* Blocks of the index and batches come and go: memory that was used is
	 * used again, not had from the kernel each time. */
	mallopt(M_MMAP_THRESHOLD, 4 * MIB);
	mallopt(M_TRIM_THRESHOLD, 16 * MIB);
	signal(SIGPIPE, SIG_DFL);
}

/* ---- the engine -------------------------------------------------------- */

static const char *
given(const char *s, const char *env)
{
	if (s == NULL)
		s = getenv(env);
	return s != NULL && s[0] != '\0' ? s : NULL;
}

/* As it is given, or where the data is. */
static void
index_at(struct src *src, const char *index_dir, const char *path,
    char dir[SHARD_PATH])
{
	const char *s = given(index_dir, "CHRONIK_INDEX_DIR");

	if (s != NULL)
		snprintf(dir, SHARD_PATH, "%s", s);
	else if ((s = src_data_dir(src)) != NULL)
		snprintf(dir, SHARD_PATH, "%s/search", s);
	else
		cmd_lost("%s: the engine does not say where its data is",
		    path);
}

static struct src *
open_local(const struct place *p, char dir[SHARD_PATH])
{
	struct src *src;
	enum err e = src_open_local(p->local, &src);

	if (e != E_OK)
		cmd_fail("--local %s: %s", p->local, e == E_NOTFOUND ?
		    "is no data directory of an engine" : err_text(e));
	index_at(src, p->index_dir, p->local, dir);
	return src;
}

/* The engine's socket. */
static void
engine_at(const struct place *p, char path[SHARD_PATH])
{
	const char *data = given(p->data_dir, "CHRONIK_DATA_DIR");
	const char *s = p->engine != NULL ? p->engine : p->data_dir != NULL ?
	    NULL : given(NULL, "CHRONIK_ENGINE");

	if (s != NULL)
		snprintf(path, SHARD_PATH, "%s", s);
	else
		snprintf(path, SHARD_PATH, "%s/engine.sock",
		    data == NULL ? "./data" : data);
}

enum err
prog_another(const struct place *p, struct src **src)
{
	char path[SHARD_PATH];

	engine_at(p, path);
	return src_open(path, "chronik-search", ENGINE_MS, src);
}

struct src *
cmd_connect(const struct place *p, char dir[SHARD_PATH])
{
	int64_t ms = p->timeout_ms > 0 && p->timeout_ms < ENGINE_MS ?
	    p->timeout_ms : ENGINE_MS;
	char path[SHARD_PATH];
	struct src *src;
	enum err e;

	if (p->local != NULL)
		return open_local(p, dir);
	engine_at(p, path);
	e = src_open(path, "chronik-search", (int)ms, &src);
	if (e != E_OK)
		cmd_lost("incomplete: no record was searched: %s: %s%s", path,
		    err_text(e), e == E_NOTFOUND ? "\nhint: no engine "
		    "listens there; --data-dir or --engine names another, "
		    "--local reads the files of one that is down" : "");
	index_at(src, p->index_dir, path, dir);
	return src;
}
