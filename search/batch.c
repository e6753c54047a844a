/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --batch: one query for each line of standard input, answered in their order.
 * A line that is no query has its answer too, so that who reads them can tell
 * which is which.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "lib/limits.h"

/* A line without its end; longer ones than a query may be are cut behind
 * that, which the parser refuses.  False: there is no more. */
static bool
line_read(struct wr *w)
{
	bool any = false;
	int ch;

	w->len = 0;
	while ((ch = getc(stdin)) != EOF && ch != '\n') {
		any = true;
		if (w->len <= QUERY_BYTES_MAX)
			wr_i8(w, (int8_t)ch);
	}
	if (ch == EOF && ferror(stdin))
		cmd_fail("standard input: %s", strerror(errno));
	return any || ch == '\n';
}

/* The answer to a line that is no query. */
static void
no_answer(struct cmd *c)
{
	struct wr w = wr_grow(64 * KIB);
	const char *why = c->parse.why[0] != '\0' ? c->parse.why :
	    "see standard error";

	if (c->out.format == OUT_JSON || (c->opt[OPT_count] != NULL &&
	    c->out.format == OUT_JSONL)) {
		out_json_text(&w, why, strlen(why));
		printf("{\"error\":%.*s}\n", (int)w.len, (const char *)w.p);
	} else if (c->opt[OPT_count] != NULL)
		printf("-\n");
	wr_free(&w);
}

/* What is worse comes first: an error, something missing, hits, none. */
static int
worse(int a, int b)
{
	static const int order[] = { EXIT_ERROR, EXIT_INCOMPLETE, EXIT_HITS };

	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return EXIT_NONE;
}

int
cmd_batch(struct cmd *c, int (*one)(struct cmd *))
{
	int all = EXIT_NONE, rc;

	while (line_read(&c->text)) {
		c->line++;
		if (c->text.bad)
			cmd_fail("out of memory");
		if (cmd_parse(c))
			rc = one(c);
		else
			rc = cmd_refuse(c, "%s", c->parse.why);
		if (rc == EXIT_ERROR)
			no_answer(c);
		out_flush(&c->out);
		/* Where hits of one query end. */
		if (c->opt[OPT_count] == NULL && c->out.format != OUT_JSON)
			putchar(c->out.null ? '\0' : '\n');
		if (fflush(stdout) != 0 || c->out.failed)
			cmd_fail("cannot write the hits");
		query_parse_free(&c->parse);
		arena_reset(&c->arena);
		all = worse(all, rc);
	}
	return all;
}
