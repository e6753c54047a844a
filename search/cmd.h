/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of chronik-search share. */
#ifndef CMD_H
#define CMD_H

#include "out.h"
#include "prog.h"
#include "walk.h"

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
	int64_t		 limit, before, after, timeout_ms, hist_ms, lag_ms;
	enum sort	 sort;
	char		 engine[SHARD_PATH], dir[SHARD_PATH];
	struct wr	 text;		/* of the query */
	struct query_parse parse;
	struct arena	 arena;
	struct query	*query;
	struct search	 search;
	struct src	*src;
	struct out	 out;
	int64_t		 began_us;
	int64_t		 line;		/* of --batch; 0: there is none */
};

/* Says why this query is none, and returns the exit status. */
__attribute__((format(printf, 2, 3)))
int	 cmd_refuse(const struct cmd *, const char *, ...);
/* Reads the words behind the program's name; fails on wrong ones. */
void	 cmd_args(struct cmd *, int argc, char **argv);
/* The query of c->text, with the times of -S and -U.  False: parse.why. */
bool	 cmd_parse(struct cmd *);
/* In query_run.c: does it. */
int	 cmd_query(struct cmd *);
/* Looks where to search.  0, or an exit status: it has said why. */
int	 cmd_begin(struct cmd *);
/* In batch.c: queries from standard input. */
int	 cmd_batch(struct cmd *, int (*one)(struct cmd *));
/* In wait.c.  Until all that is there now is indexed; false: not in time. */
bool	 cmd_await_index(struct cmd *);
/* Ends the program when a query works for longer than it may by far. */
void	 cmd_watch(const struct cmd *);
/* In facet_run.c: counts hits by members and by time. */
int	 cmd_facets(struct cmd *);
/* Says on standard error what was searched, and what was not. */
void	 cmd_coverage(struct cmd *);
/* In cursor.c.  Allocated; what is wrong ends the program. */
struct cursor *cursors_load(const char *path, int *n);
enum err cursors_save(const char *path, const struct cursor *, int n) MUST;
/* The other commands; argv begins with the name of one. */
int	 cmd_verify(int argc, char **argv);
int	 cmd_status(int argc, char **argv);
int	 cmd_files(int argc, char **argv);

#endif
