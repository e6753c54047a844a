/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines by the rows of cmds.def, with options among the operands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "args.h"
#include "lib/opts.h"

enum { TIMEOUT_MS = 10000, NAME_SIZE = 64 };

const struct cmd cmds[NCMDS] = {
#define CMD(noun, verb, handler, ...) \
	[N_##handler] = { noun, verb, handler, __VA_ARGS__ },
#include "cmds.def"
};

const struct option_row options[OPT_MAX] = {
#define OPTION(id, ...)	[OPT_##id] = { __VA_ARGS__ },
#include "cmds.def"
};

static const char *const formats[] = { "table", "json", "jsonl", "tsv" };

const char *
cmd_name(const struct cmd *c, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", c->noun, c->verb[0] == '\0' ? "" : " ",
	    c->verb);
	return buf;
}

const char *
args_command(const struct args *a)
{
	static char buf[NAME_SIZE + 8];
	char name[NAME_SIZE];

	snprintf(buf, sizeof(buf), "chronik %s",
	    cmd_name(a->cmd, name, sizeof(name)));
	return buf;
}

void
args_fail(const struct args *a, const char *what, const char *why)
{
	fprintf(stderr, "%s: %s %s\nhint: %s --help shows the usage\n",
	    args_command(a), what, why, args_command(a));
	exit(a->cmd->options & FSCK ? FSCK_USAGE : EXIT_USAGE);
}

static void
take_option(struct args *a, int o, const char *value)
{
	a->opt[o] = value == NULL ? "" : value;
	if (o == OPT_config)
		a->configs[a->nconfigs++] = (char *)value;
	if (o == OPT_unset)
		a->unsets[a->nunsets++] = (char *)value;
	if (o == OPT_topic)
		a->topics[a->ntopics++] = (char *)value;
}

static void
take_args(struct args *a)
{
	struct opts opts;
	int id;

	opts_init(&opts, a->argc + 1, a->argv - 1);
	for (int i = 0; i < OPT_MAX; i++)
		if (a->cmd->options & 1u << i)
			opts_add(&opts, i, options[i].name, 0,
			    options[i].argument[0] != '\0');
	opts_add(&opts, OPT_MAX, "help", 'h', false);
	while ((id = opts_next(&opts)) != OPTS_END) {
		if (id == OPTS_BAD)
			args_fail(a, opts.arg, opts.why);
		if (id == OPT_MAX)
			help_exit(a->cmd);
		if (id == OPTS_WORD)
			a->operands[a->noperands++] = (char *)opts.value;
		else
			take_option(a, id, opts.value);
	}
	opts_free(&opts);
}

void
args_parse(struct args *a)
{
	size_t n = (size_t)a->argc + 1;
	int i;

	a->operands = calloc(n, sizeof(char *));
	a->configs = calloc(n, sizeof(char *));
	a->unsets = calloc(n, sizeof(char *));
	a->topics = calloc(n, sizeof(char *));
	ASSERT(a->operands != NULL && a->configs != NULL &&
	    a->unsets != NULL && a->topics != NULL);
	take_args(a);
	if (a->noperands < a->cmd->least)
		args_fail(a, a->cmd->operands, "is missing");
	if (a->cmd->most >= 0 && a->noperands > a->cmd->most)
		args_fail(a, a->operands[a->cmd->most], "is one word too many");
	for (i = 0; a->opt[OPT_format] != NULL; i++) {
		if (i == sizeof(formats) / sizeof(formats[0]))
			args_fail(a, "--format",
			    "must be table, json, jsonl or tsv");
		a->format = i;
		if (strcmp(formats[i], a->opt[OPT_format]) == 0)
			break;
	}
	a->timeout_ms = args_number(a, OPT_timeout_ms, 1, 3600000,
	    TIMEOUT_MS);
}

int
args_number(const struct args *a, enum opt o, int min, int max, int def)
{
	const char *s = a->opt[o];
	char name[NAME_SIZE + 8], why[80], *end;
	long n;

	if (s == NULL)
		return def;
	n = strtol(s, &end, 10);
	if (s[0] >= '0' && s[0] <= '9' && *end == '\0' && n >= min && n <= max)
		return (int)n;
	snprintf(name, sizeof(name), "--%s", options[o].name);
	snprintf(why, sizeof(why), "must be a number from %d to %d", min, max);
	args_fail(a, name, why);
}

const char *
args_engine(const struct args *a, char *buf, size_t size)
{
	const char *dir = a->opt[OPT_data_dir], *s = a->opt[OPT_engine];

	if (s == NULL && dir == NULL)
		s = getenv("CHRONIK_ENGINE");
	if (s != NULL && s[0] != '\0') {
		snprintf(buf, size, "%s", s);
		return buf;
	}
	if (dir == NULL)
		dir = getenv("CHRONIK_DATA_DIR");
	if (dir == NULL || dir[0] == '\0')
		dir = "./data";
	snprintf(buf, size, "%s/engine.sock", dir);
	return buf;
}

/* What an error of the link means to a person. */
static _Noreturn void
unreachable(const struct args *a, const char *path, enum err e)
{
	const char *hint;

	switch ((int)e) {
	case E_NOTFOUND:
		hint = "no engine listens there; chronik start starts one, "
		    "--data-dir or --engine name another";
		break;
	case E_TIMED_OUT:
		hint = "the engine is busy or stopped; --timeout-ms waits "
		    "longer";
		break;
	case E_PROTO:
		hint = "the engine is of another version than this command";
		break;
	default:
		hint = "see the log of the engine";
	}
	fprintf(stderr, "%s: %s: %s: %s\nhint: %s\n", args_command(a), path,
	    err_name(e), err_text(e), hint);
	exit(EXIT_AWAY);
}

struct eng *
args_connect(const struct args *a)
{
	struct sockaddr_un sa;
	char path[4096];
	struct eng *g;
	enum err e;

	args_engine(a, path, sizeof(path));
	if (strlen(path) >= sizeof(sa.sun_path)) {
		fprintf(stderr, "%s: %s: is longer than the %zu bytes that a "
		    "socket's path may have\nhint: --engine names a shorter "
		    "one, for chronik start too\n", args_command(a), path,
		    sizeof(sa.sun_path) - 1);
		exit(EXIT_USAGE);
	}
	e = eng_open(path, "chronik", a->timeout_ms, &g);
	if (e != E_OK)
		unreachable(a, path, e);
	return g;
}

void
args_call(const struct args *a, struct eng *g, int type, int version,
    const void *req, void *res, struct arena *arena)
{
	enum err e = eng_call(g, type, version, req, res, arena);
	char path[4096];

	if (e == E_OK)
		return;
	if (e != E_NOMEM)
		unreachable(a, args_engine(a, path, sizeof(path)), e);
	fprintf(stderr, "%s: the answer is too large\n", args_command(a));
	exit(EXIT_ITEM);
}

bool
args_confirmed(const struct args *a, const char *noun, const char *what)
{
	char line[512];
	int i;

	if (a->opt[OPT_yes] != NULL || a->opt[OPT_dry_run] != NULL)
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		fprintf(stderr, "%s: refused: deletes %s of the %ss for "
		    "good\nhint: --yes says that this is meant, --dry-run "
		    "shows what would go\n", args_command(a), what, noun);
		return false;
	}
	for (i = 0; i < a->noperands; i++) {
		fprintf(stderr, "Type the name of the %s %s to delete %s "
		    "of it for good: ", noun, a->operands[i], what);
		if (fgets(line, sizeof(line), stdin) == NULL)
			line[0] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, a->operands[i]) != 0) {
			fprintf(stderr, "%s: refused: that is not the name; "
			    "nothing was deleted\n", args_command(a));
			return false;
		}
	}
	return true;
}
