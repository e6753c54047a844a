/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of cmds.def as tables, for main.c and args.c.
 */
#ifndef ARGS_H
#define ARGS_H

#include "ctl.h"

#define O(name)	(1u << OPT_##name)
#define RAW	(1u << 31)	/* the handler reads argv itself */
#define FSCK	(1u << 30)	/* exit statuses are those of fsck(8) */
_Static_assert(OPT_MAX < 30, "struct cmd.options has a bit per option");

struct cmd {
	const char	*noun, *verb;
	int		(*run)(struct args *);
	unsigned	 options;	/* bits O(name) and FSCK, or RAW */
	const char	*operands;
	int		 least, most;	/* operands; most -1: any number */
	const char	*help;
};

enum {
#define CMD(noun, verb, handler, ...)	N_##handler,
#include "cmds.def"
	NCMDS
};

extern const struct cmd cmds[NCMDS];

struct option_row {
	const char	*name;		/* with '-' */
	const char	*argument;	/* "": a flag */
	const char	*help;
};
extern const struct option_row options[OPT_MAX];

/* "topic create", in buf. */
const char	*cmd_name(const struct cmd *, char *buf, size_t size);
/* Reads the options and operands of a->argv; exits 2 on a wrong one. */
void		 args_parse(struct args *);
/* Prints the usage of a command; main.c. */
_Noreturn void	 help_exit(const struct cmd *);

#endif
