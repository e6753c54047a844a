/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-search: finds records by their words, and keeps the index for that.
 * This file knows the commands; the rest is elsewhere.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "index.h"
#include "lib/child.h"
#include "lib/conf.h"
#include "lib/log.h"

enum { ENGINE_MS = 20000 };

static int
cmd_index(int argc, char **argv)
{
	static struct conf conf;
	char engine[SHARD_PATH], dir[SHARD_PATH];
	bool once = false;
	struct src *src;
	int n = 1;
	enum err e;

	/* The one option that is no setting. */
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--once") == 0)
			once = true;
		else
			argv[n++] = argv[i];
	argv[n] = NULL;
	if (conf_load(&conf, CONF_I, "chronik-search index [--once] "
	    "[option ...]", n, argv) < n)
		cmd_fail("index: takes options only");
	log_setup("chronik-search", (enum log_level)conf.log_level,
	    (enum log_format)conf.log_format);
	if (conf.engine[0] != '\0')
		snprintf(engine, sizeof engine, "%s", conf.engine);
	else
		snprintf(engine, sizeof engine, "%s/engine.sock",
		    conf.data_dir);
	if (conf.index_dir[0] != '\0')
		snprintf(dir, sizeof dir, "%s", conf.index_dir);
	else
		snprintf(dir, sizeof dir, "%s/search", conf.data_dir);
	e = index_lock(dir);
	if (e != E_OK)
		cmd_fail("%s: %s", dir, e == E_BUSY ?
		    "another indexer is at work there" : err_text(e));
	e = src_open(engine, "chronik-search", ENGINE_MS, &src);
	if (e != E_OK)
		cmd_fail("%s: %s", engine, err_text(e));
	index_calm();
	if (!once)
		printf("ready index=%s\n", dir);
	fflush(stdout);
	n = index_run(src, dir, once);
	src_close(src);
	return n;
}

/* A program of its own: what only HTTP needs takes longer to load than most
 * queries take. */
static _Noreturn void
serve(char **argv)
{
	char path[SHARD_PATH];

	(void)program_find("chronik-search-serve", path, sizeof path);
	argv[0] = path;
	execv(path, argv);
	cmd_fail("serve: %s: %s", path, strerror(errno));
}

static int
query(int argc, char **argv)
{
	static struct cmd c;
	int rc;

	cmd_args(&c, argc, argv);
	prog_bound_memory();
	rc = cmd_query(&c);
	query_parse_free(&c.parse);
	arena_reset(&c.arena);
	wr_free(&c.text);
	return rc;
}

int
main(int argc, char **argv)
{
	prog_setup();
	if (argc > 1 && strcmp(argv[1], "index") == 0)
		return cmd_index(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		serve(argv + 1);
	if (argc > 1 && strcmp(argv[1], "verify") == 0)
		return cmd_verify(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "status") == 0)
		return cmd_status(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "files") == 0)
		return cmd_files(argc - 1, argv + 1);
	return query(argc, argv);
}
