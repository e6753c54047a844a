/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front command: finds the row of cmds.def that the first words name,
 * reads its arguments and calls its handler.  Knows no command but start,
 * which options alone mean, and help.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "lib/child.h"

static const char intro[] =
    "usage: chronik NOUN VERB [option ...] [operand ...]\n"
    "       chronik [option ...]      the same as chronik start\n\n";

static bool
is_verb(const struct cmd *c, const char *verb)
{
	return strcmp(c->verb, verb) == 0;
}

/* Prints a row per command, of one noun or of all (NULL). */
static void
list_commands(FILE *f, const char *noun)
{
	const struct cmd *c;
	char name[64];

	for (c = cmds; c < cmds + NCMDS; c++) {
		if (noun != NULL && strcmp(c->noun, noun) != 0)
			continue;
		fprintf(f, "  %-16s %s\n", cmd_name(c, name, sizeof(name)),
		    c->help);
	}
}

static void
help_all(FILE *f)
{
	fputs(intro, f);
	list_commands(f, NULL);
	fputs("\nchronik help NOUN VERB, or --help behind a command, says "
	    "more; so does\nchronik(1).\n", f);
}

static void
help_command(const struct cmd *c)
{
	char name[64];
	int i;

	if (c->options & RAW) {
		char *words[] = { (char *)"start", (char *)"--help", NULL };
		struct args a = { .cmd = c, .argc = 1, .argv = words + 1 };

		exit(c->run(&a));
	}
	printf("usage: chronik %s%s%s%s\n\n%s\n",
	    cmd_name(c, name, sizeof(name)),
	    (c->options & ~FSCK) != 0 ? " [option ...]" : "",
	    c->operands[0] != '\0' ? " " : "", c->operands, c->help);
	if (c->options != 0)
		printf("\n");
	for (i = 0; i < OPT_MAX; i++)
		if (c->options & 1u << i)
			printf("  --%s%s%s\n        %s\n", options[i].name,
			    options[i].argument[0] != '\0' ? " " : "",
			    options[i].argument, options[i].help);
}

static bool
is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool
is_noun(const char *word)
{
	for (const struct cmd *c = cmds; c < cmds + NCMDS; c++)
		if (strcmp(c->noun, word) == 0)
			return true;
	return false;
}

/* The words of a noun that has no such verb. */
static _Noreturn void
unknown(const char *noun, const char *verb)
{
	if (noun != NULL && is_noun(noun)) {
		if (verb == NULL || verb[0] == '-')
			fprintf(stderr, "chronik %s: needs a verb:\n", noun);
		else
			fprintf(stderr, "chronik %s: no verb \"%s\":\n", noun,
			    verb);
		list_commands(stderr, noun);
	} else {
		if (noun != NULL)
			fprintf(stderr, "chronik: no command \"%s\"\n", noun);
		help_all(stderr);
	}
	exit(EXIT_USAGE);
}

/* The row that the words name, and how many of them it took. */
static const struct cmd *
find(int n, char **words, int *taken)
{
	const struct cmd *c;

	for (c = cmds; c < cmds + NCMDS; c++) {
		if (n < 1 || strcmp(c->noun, words[0]) != 0)
			continue;
		*taken = is_verb(c, "") ? 1 : 2;
		if (*taken == 1 || (n > 1 && is_verb(c, words[1])))
			return c;
	}
	return NULL;
}

int
cmd_help(struct args *a)
{
	const struct cmd *c;
	int taken;

	if (a->noperands == 0) {
		help_all(stdout);
		return EXIT_OK;
	}
	c = find(a->noperands, a->operands, &taken);
	if (c != NULL && taken == a->noperands) {
		help_command(c);
		return EXIT_OK;
	}
	if (a->noperands == 1 && is_noun(a->operands[0])) {
		list_commands(stdout, a->operands[0]);
		return EXIT_OK;
	}
	unknown(a->operands[0], a->noperands > 1 ? a->operands[1] : NULL);
}

/* The exit status, unless what was printed did not get out. */
static int
finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "chronik: cannot write the output\n");
	return EXIT_ITEM;
}

void
help_exit(const struct cmd *c)
{
	help_command(c);
	exit(finish(EXIT_OK));
}

int
main(int argc, char **argv)
{
	struct args a = { 0 };
	const struct cmd *c;
	int taken = 0, i;

	std_open();
	if (argc < 2)
		unknown(NULL, NULL);
	if (strcmp(argv[1], "--version") == 0) {
		printf("chronik %s\n", PACKAGE_VERSION);
		return finish(EXIT_OK);
	}
	if (is_help(argv[1])) {
		help_all(stdout);
		return finish(EXIT_OK);
	}
	c = argv[1][0] == '-' ? find(1, (char *[]){ (char *)"start" },
	    &taken) : find(argc - 1, argv + 1, &taken);
	if (c == NULL && argc > 2 && is_help(argv[2]) && is_noun(argv[1])) {
		list_commands(stdout, argv[1]);
		return finish(EXIT_OK);
	}
	if (c == NULL)
		unknown(argv[1], argc > 2 ? argv[2] : NULL);
	if (argv[1][0] == '-')
		taken = 0;
	a.cmd = c;
	a.argc = argc - 1 - taken;
	a.argv = argv + 1 + taken;
	if (!(c->options & RAW))
		args_parse(&a);
	i = c->run(&a);
	free(a.operands);
	free(a.configs);
	free(a.unsets);
	free(a.topics);
	return finish(i);
}
