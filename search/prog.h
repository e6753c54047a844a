/* SPDX-License-Identifier: Apache-2.0 */
/* What chronik-search and chronik-search-serve share, see prog.c. */
#ifndef PROG_H
#define PROG_H

#include <stdarg.h>

#include "shard.h"
#include "src.h"

enum {
	EXIT_HITS	= 0,
	EXIT_NONE	= 1,
	EXIT_ERROR	= 2,
	EXIT_INCOMPLETE	= 3,
};

/* To be called first by main. */
void	 prog_setup(void);
/* Whatever a query asks for, it does not take the machine's memory. */
void	 prog_bound_memory(void);

_Noreturn __attribute__((format(printf, 1, 2)))
void	 cmd_fail(const char *, ...);
/* The same when nobody answers: what was asked may be asked again. */
_Noreturn __attribute__((format(printf, 1, 2)))
void	 cmd_lost(const char *, ...);
/* Says what is wrong, and with which line of --batch (0: none). */
__attribute__((format(printf, 2, 0)))
void	 cmd_complain(int64_t line, const char *, va_list);

/* Where the engine and the index are: NULL where the environment says so. */
struct place {
	const char	*engine, *data_dir, *index_dir;
	const char	*local;		/* a data directory without an engine */
	int64_t		 timeout_ms;	/* for one answer; 0: the usual */
};
/* Fails when nobody answers there. */
struct src *cmd_connect(const struct place *, char dir[SHARD_PATH]);
/* Another link to the same engine, for another thread. */
enum err prog_another(const struct place *, struct src **) MUST;

#endif
