/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of chronik share: their arguments, the way to the engine,
 * output in four forms, and errors.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>

#include "lib/client.h"
#include "lib/kafka.h"

/* Exit codes, the same for all commands. */
enum {
	EXIT_OK		= 0,
	EXIT_ITEM	= 1,	/* at least one item failed */
	EXIT_USAGE	= 2,
	EXIT_AWAY	= 3,	/* unreachable or timed out; may be retried */
	EXIT_REFUSED	= 4	/* not confirmed */
};

/* Those of a command with the mark FSCK, as fsck(8) has them. */
enum {
	FSCK_CLEAN	= 0,
	FSCK_FIXED	= 1,	/* errors were corrected */
	FSCK_BAD	= 4,	/* errors are left */
	FSCK_FAILED	= 8,	/* it could not be looked at */
	FSCK_USAGE	= 16
};

enum opt {
#define OPTION(id, ...)	OPT_##id,
#include "cmds.def"
	OPT_MAX
};

enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSONL, FORMAT_TSV };

struct cmd;

/* One command line.  Everything is borrowed from argv. */
struct args {
	const struct cmd *cmd;
	char		**argv;		/* after noun and verb */
	int		  argc;
	const char	 *opt[OPT_MAX];	/* NULL: not given; a flag is "" */
	char		**operands;
	int		  noperands;
	char		**configs;	/* every --config */
	int		  nconfigs;
	char		**unsets;	/* every --unset */
	int		  nunsets;
	char		**topics;	/* every --topic */
	int		  ntopics;
	int		  format;
	int		  timeout_ms;
};

#define CMD(noun, verb, handler, ...)	int handler(struct args *);
#include "cmds.def"

/* ---- args.c ------------------------------------------------------------ */

/* "chronik topic create": what messages start with. */
const char	*args_command(const struct args *);
/* A wrong command line: prints why and a hint, exits 2. */
_Noreturn void	 args_fail(const struct args *, const char *what,
		    const char *why);
/* A number option: its value, or def when it is not given. */
int		 args_number(const struct args *, enum opt, int min,
		    int max, int def);
/* The engine's socket, by --engine, --data-dir and the environment. */
const char	*args_engine(const struct args *, char *buf, size_t size);
/* Connects, or prints why not and exits 3. */
struct eng	*args_connect(const struct args *);
/* Deleting is for good: on a terminal the name is typed, else --yes says it is
 * meant.  what: "all records" or less, of each noun. */
bool		 args_confirmed(const struct args *, const char *noun,
		    const char *what);
/* eng_call that exits 3 or 1 with a message when it fails. */
void		 args_call(const struct args *, struct eng *, int type,
		    int version, const void *req, void *res, struct arena *);

/* ---- out.c ------------------------------------------------------------- */

/* A column of a table: the key in an item, the title, numbers to the right. */
struct column {
	const char	*key, *title;
	bool		 right;
};

/* A JSON string of foreign bytes: what is no UTF-8 becomes U+FFFD; null of a
 * null string. */
json_t		*out_str(struct kstr);
json_t		*out_uuid(struct uuid);
/* Prints foreign bytes as a cell of a table would: "-" for none. */
void		 out_plain(struct kstr);
/*
 * Prints items (an array, which it consumes) in the format asked for.  json:
 * one object {"schema": schema, "items": [...]}; jsonl: an object per item;
 * table and tsv: the columns, table with titles.
 */
void		 out_items(const struct args *, const char *schema, json_t *,
		    const struct column *, int ncolumns);
/* The table and tsv half of it, for parts of a larger output. */
void		 out_rows(const struct args *, const json_t *items,
		    const struct column *, int ncolumns);
/* Prints "chronik topic create: ITEM: ERROR: message" and a hint. */
void		 out_error(const struct args *, const char *item, enum err,
		    struct kstr message);
/* The same into an item, as "error" and "message"; E_OK: both null. */
void		 out_verdict(json_t *item, enum err, struct kstr message);

#endif
