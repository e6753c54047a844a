/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of chronik-search share. */
#ifndef CMD_H
#define CMD_H

#include "out.h"
#include "walk.h"

enum {
	EXIT_HITS	= 0,
	EXIT_NONE	= 1,
	EXIT_ERROR	= 2,
	EXIT_INCOMPLETE	= 3,
};

enum opt {
#define OPT(n, ...)	OPT_##n,
#include "opts.def"
	OPTS
};
enum { TOPICS_NAMED_MAX = 256, FACETS_MAX = 16 };

/* A query's command line. */
struct cmd {
	const char	*opt[OPTS];	/* the argument, "" when it has none */
	const char	*topics[TOPICS_NAMED_MAX], *facets[FACETS_MAX];
	int		 ntopics, nfacets;
	int64_t		 limit, before, after, timeout_ms, hist_ms;
	char		 engine[SHARD_PATH], dir[SHARD_PATH];
	struct wr	 text;		/* of the query */
	struct query_parse parse;
	struct arena	 arena;
	struct query	*query;
	struct search	 search;
	struct out	 out;
	int64_t		 began_ms;
};

_Noreturn __attribute__((format(printf, 1, 2)))
void	 cmd_fail(const char *, ...);
/* Reads the words behind the program's name; fails on wrong ones. */
void	 cmd_args(struct cmd *, int argc, char **argv);
/* Where the engine and the index are, from --engine, --data-dir, --index-dir,
 * or NULL for each, and the environment. */
struct src *cmd_connect(const char *engine, const char *data_dir,
	    const char *index_dir, char dir[SHARD_PATH]);
/* In query_run.c: does it. */
int	 cmd_query(struct cmd *);
/* In facet.c: counts hits by members and by time. */
int	 cmd_facets(struct cmd *);
/* Says on standard error what was searched, and what was not. */
void	 cmd_coverage(struct cmd *);
/* In cursor.c.  Allocated; what is wrong ends the program. */
struct cursor *cursors_load(const char *path, int *n);
enum err cursors_save(const char *path, const struct cursor *, int n) MUST;
/* The other commands, with the words behind their names. */
int	 cmd_verify(int argc, char **argv);
int	 cmd_status(int argc, char **argv);
int	 cmd_serve(int argc, char **argv);	/* with its name */

#endif
