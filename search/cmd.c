/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of a query. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "lib/limits.h"
#include "lib/opts.h"

enum {
	LIMIT		= 20,
	TIMEOUT_MS	= 30000,
	CONTEXT_MAX	= 1000,
};

static const struct row {
	const char	*name, *arg, *help;
	char		 letter;
} rows[OPTS] = {
#define OPT(n, l, a, h)	{ #n, a, h, l },
#include "opts.def"
};

int
cmd_refuse(const struct cmd *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cmd_complain(c->line, fmt, ap);
	va_end(ap);
	return EXIT_ERROR;
}

/* ---- options ----------------------------------------------------------- */

/* As it is written: with '-'. */
static const char *
row_name(const struct row *r, char buf[32])
{
	snprintf(buf, 32, "%s", r->name);
	for (char *s = buf; *s != '\0'; s++)
		if (*s == '_')
			*s = '-';
	return buf;
}

static _Noreturn void
usage(void)
{
	char name[32], left[64];

	puts("usage: chronik-search [option ...] QUERY ...\n"
	    "       chronik-search index [option ...]\n"
	    "       chronik-search serve [option ...]\n"
	    "       chronik-search verify [option ...] [TOPIC ...]\n"
	    "       chronik-search status [option ...] [TOPIC ...]\n");
	for (int i = 0; i < OPTS; i++) {
		const struct row *r = &rows[i];

		snprintf(left, sizeof left, "%c%c%s--%s%s%s",
		    r->letter != 0 ? '-' : ' ', r->letter != 0 ? r->letter :
		    ' ', r->letter != 0 ? ", " : "  ", row_name(r, name),
		    r->arg != NULL ? " " : "", r->arg != NULL ? r->arg : "");
		printf("  %-28s %s\n", left, r->help);
	}
	puts("\nThe query's language is described in chronik-query(7).");
	exit(0);
}

static void
option_set(struct cmd *c, int o, const char *value)
{
	if (o == OPT_help)
		usage();
	if (o == OPT_version) {
		puts("chronik-search " PACKAGE_VERSION);
		exit(0);
	}
	c->opt[o] = value;
	if (o == OPT_topic) {
		if (c->ntopics == TOPICS_NAMED_MAX)
			cmd_fail("-t: more than %d topics", TOPICS_NAMED_MAX);
		c->topics[c->ntopics++] = value;
	}
	if (o == OPT_facet) {
		if (c->nfacets == FACETS_MAX)
			cmd_fail("--facet: more than %d", FACETS_MAX);
		c->facets[c->nfacets++] = value;
	}
}

static int64_t
number(const struct cmd *c, enum opt o, int64_t max, int64_t def)
{
	struct kstr s = kstr_of(c->opt[o]);
	char name[32];
	int64_t n;

	if (c->opt[o] == NULL)
		return def;
	if (!conf_parse_int(s, &n) || n < 0 || n > max)
		cmd_fail("--%s %s: must be a number from 0 to %lld",
		    row_name(&rows[o], name), c->opt[o], (long long)max);
	return n;
}

/* The place of a word among "a|b|c". */
static int
choice(const struct cmd *c, enum opt o, const char *words, int def)
{
	size_t n = c->opt[o] == NULL ? 0 : strlen(c->opt[o]);
	const char *s = words;
	char name[32];

	if (c->opt[o] == NULL)
		return def;
	for (int i = 0; ; i++) {
		size_t m = strcspn(s, "|");

		if (m == n && memcmp(s, c->opt[o], n) == 0)
			return i;
		if (s[m] == '\0')
			cmd_fail("--%s %s: must be one of %s",
			    row_name(&rows[o], name), c->opt[o], words);
		s += m + 1;
	}
}

/* A length of time: 90s, 2h. */
static int64_t
duration(const struct cmd *c, enum opt o, int64_t def)
{
	const int64_t base = (int64_t)1 << 60;
	char name[32];
	int64_t at;

	if (c->opt[o] == NULL)
		return def;
	if (c->opt[o][0] < '0' || c->opt[o][0] > '9' ||
	    !query_time(c->opt[o], strlen(c->opt[o]), base, false, &at) ||
	    at > base)
		cmd_fail("--%s %s: must be a time such as 500ms, 30s, 2h",
		    row_name(&rows[o], name), c->opt[o]);
	return base - at;
}

/* What --template may have behind a % is what out.c knows. */
static void
check_template(const char *t)
{
	for (const char *s = t; *s != '\0'; s++) {
		if (*s != '%' && *s != '\\')
			continue;
		if (s[1] == '\0')
			cmd_fail("--template %s: ends in a %c", t, *s);
		if (*s++ == '%' && strchr(OUT_TEMPLATE_LETTERS, *s) == NULL)
			cmd_fail("--template %s: there is no %%%c; "
			    "chronik-search(1) lists them", t, *s);
	}
}

static void
check_fields(const char *f)
{
	const char *s = f;

	for (;;) {
		size_t n = strcspn(s, ",");

		if (n == 0 || n > DOC_PATH_MAX)
			cmd_fail("--fields %s: must be names of members "
			    "with commas between them", f);
		if (s[n] == '\0')
			return;
		s += n + 1;
	}
}

/* ---- the query --------------------------------------------------------- */

static void
point(struct cmd *c, enum opt o, bool end, int64_t *out)
{
	char name[32];

	if (c->opt[o] != NULL && !query_time(c->opt[o], strlen(c->opt[o]),
	    c->parse.now_ms, end, out))
		cmd_fail("--%s %s: must be a time such as 2h, yesterday or "
		    "2026-11-22T10:00", row_name(&rows[o], name), c->opt[o]);
}

/* Both of them must match. */
static struct query *
both(struct cmd *c, struct query *a, struct query *b)
{
	struct query *all = arena_alloc(&c->arena, sizeof *all);

	if (all == NULL || (all->kids = arena_array(&c->arena, 2,
	    sizeof *all->kids)) == NULL)
		cmd_fail("out of memory");
	all->op = Q_AND;
	all->nkids = 2;
	all->kids[0] = a;
	all->kids[1] = b;
	return all;
}

bool
cmd_parse(struct cmd *c)
{
	struct query *when;
	enum err e;

	arena_init(&c->arena, 16 * MIB);
	c->parse = (struct query_parse){ .arena = &c->arena,
	    .any = c->opt[OPT_any] != NULL,
	    .now_ms = elink_wall_ms() };
	e = query_parse(&c->parse, (const char *)c->text.p, c->text.len,
	    &c->query);
	if (e == E_USAGE)
		return false;
	when = arena_alloc(&c->arena, sizeof *when);
	if (e != E_OK || when == NULL)
		cmd_fail("out of memory");
	if (c->opt[OPT_since] == NULL && c->opt[OPT_until] == NULL)
		return true;
	*when = (struct query){ .op = Q_TIME, .low = INT64_MIN,
	    .high = INT64_MAX };
	point(c, OPT_since, false, &when->low);
	point(c, OPT_until, true, &when->high);
	if (when->low > when->high)
		cmd_fail("--since is later than --until");
	c->query = both(c, c->query, when);
	return true;
}

/* ---- options that do not go together ----------------------------------- */

/* Pairs of options of which one has no meaning beside the other. */
static const struct pair { enum opt a, b; } pairs[] = {
	{ OPT_count, OPT_facet }, { OPT_count, OPT_hist },
	{ OPT_count, OPT_follow }, { OPT_count, OPT_cursor_file },
	{ OPT_count, OPT_limit }, { OPT_count, OPT_sort },
	{ OPT_count, OPT_after }, { OPT_count, OPT_before },
	{ OPT_count, OPT_context }, { OPT_count, OPT_fields },
	{ OPT_count, OPT_template }, { OPT_count, OPT_null },
	{ OPT_facet, OPT_follow }, { OPT_facet, OPT_cursor_file },
	{ OPT_facet, OPT_limit }, { OPT_facet, OPT_sort },
	{ OPT_facet, OPT_after }, { OPT_facet, OPT_before },
	{ OPT_facet, OPT_context }, { OPT_facet, OPT_fields },
	{ OPT_facet, OPT_template }, { OPT_facet, OPT_null },
	{ OPT_facet, OPT_batch },
	{ OPT_hist, OPT_follow }, { OPT_hist, OPT_cursor_file },
	{ OPT_hist, OPT_limit }, { OPT_hist, OPT_sort },
	{ OPT_hist, OPT_after }, { OPT_hist, OPT_before },
	{ OPT_hist, OPT_context }, { OPT_hist, OPT_fields },
	{ OPT_hist, OPT_template }, { OPT_hist, OPT_null },
	{ OPT_hist, OPT_batch },
	{ OPT_template, OPT_format },
	{ OPT_context, OPT_before }, { OPT_context, OPT_after },
	{ OPT_batch, OPT_follow }, { OPT_batch, OPT_cursor_file },
	{ OPT_max_lag, OPT_wait_index }, { OPT_max_lag, OPT_scan },
	{ OPT_max_lag, OPT_follow },
	{ OPT_wait_index, OPT_scan }, { OPT_wait_index, OPT_local },
	{ OPT_local, OPT_follow }, { OPT_local, OPT_engine },
	{ OPT_local, OPT_data_dir },
};

static void
check_pairs(const struct cmd *c)
{
	char a[32], b[32];

	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
		if (c->opt[pairs[i].a] != NULL && c->opt[pairs[i].b] != NULL)
			cmd_fail("--%s does not go with --%s",
			    row_name(&rows[pairs[i].a], a),
			    row_name(&rows[pairs[i].b], b));
}

static void
check_together(const struct cmd *c)
{
	bool json = c->out.format == OUT_JSON || c->out.format == OUT_JSONL;

	check_pairs(c);
	if (c->sort == SORT_RELEVANCE && (c->opt[OPT_follow] != NULL ||
	    c->opt[OPT_cursor_file] != NULL || c->opt[OPT_scan] != NULL))
		cmd_fail("--sort relevance goes with neither --follow, "
		    "--cursor-file nor --scan");
	if (c->opt[OPT_cursor_file] != NULL && c->opt[OPT_sort] != NULL &&
	    c->sort != SORT_OLDEST)
		cmd_fail("with --cursor-file the oldest hits come first");
	if (c->out.fields != NULL && c->out.format == OUT_RAW)
		cmd_fail("--fields does not go with --format raw");
	if (c->out.null && c->out.format == OUT_JSON)
		cmd_fail("--null does not go with --format json, which is "
		    "one text");
	if (c->opt[OPT_format_version] != NULL && !json)
		cmd_fail("--format-version is of --format json and jsonl");
	if ((c->nfacets > 0 || c->opt[OPT_hist] != NULL) &&
	    c->out.format == OUT_RAW)
		cmd_fail("--facet and --hist do not go with --format raw");
	if (c->opt[OPT_follow] != NULL && c->out.format == OUT_JSON)
		cmd_fail("--follow never ends: --format jsonl takes a line "
		    "for each hit");
}

/* ---- all of it --------------------------------------------------------- */

static void
read_values(struct cmd *c)
{
	c->limit = number(c, OPT_limit, SEARCH_HITS_MAX, LIMIT);
	c->before = number(c, OPT_before, CONTEXT_MAX, 0);
	c->after = number(c, OPT_after, CONTEXT_MAX, 0);
	if (c->opt[OPT_context] != NULL)
		c->before = c->after = number(c, OPT_context, CONTEXT_MAX, 0);
	c->timeout_ms = duration(c, OPT_timeout, TIMEOUT_MS);
	c->lag_ms = duration(c, OPT_max_lag, 0);
	c->hist_ms = duration(c, OPT_hist, 0);
	if (c->opt[OPT_hist] != NULL && c->hist_ms == 0)
		cmd_fail("--hist %s: must be a step of some time",
		    c->opt[OPT_hist]);
	c->sort = (enum sort)choice(c, OPT_sort, "newest|oldest|relevance",
	    c->opt[OPT_cursor_file] != NULL ? SORT_OLDEST : SORT_NEWEST);
	c->out.format = (enum format)choice(c, OPT_format,
	    "text|json|jsonl|raw|tsv", OUT_TEXT);
	choice(c, OPT_format_version, "1", 0);
	if (c->opt[OPT_template] != NULL) {
		c->out.format = OUT_TEMPLATE;
		c->out.template = c->opt[OPT_template];
		check_template(c->out.template);
	}
	c->out.fields = c->opt[OPT_fields];
	if (c->out.fields != NULL)
		check_fields(c->out.fields);
	c->out.null = c->opt[OPT_null] != NULL;
	switch (choice(c, OPT_color, "auto|always|never", 0)) {
	case 0:
		c->out.color = isatty(STDOUT_FILENO) &&
		    getenv("NO_COLOR") == NULL;
		break;
	case 1:
		c->out.color = true;
		break;
	}
}

static void
add_word(struct cmd *c, const char *s, bool first)
{
	if (!first)
		wr_i8(&c->text, ' ');
	wr_bytes(&c->text, s, strlen(s));
}

/* Behind the query's first word -x is what records must not have, unless it
 * reads as an option does: -f, -n 5, -n5. */
static bool
is_not(const char *s)
{
	int o = 0;

	if (s == NULL || s[0] != '-' || s[1] == '-' || s[1] == '\0')
		return false;
	while (o < OPTS && rows[o].letter != s[1])
		o++;
	return o == OPTS || (s[2] != '\0' && (rows[o].arg == NULL ||
	    strcmp(rows[o].arg, "N") != 0 ||
	    s[2 + strspn(s + 2, "0123456789")] != '\0'));
}

/* The query's words; true if there are any. */
static bool
take_args(struct cmd *c, int argc, char **argv)
{
	bool first = true;
	struct opts opts;
	int id;

	opts_init(&opts, argc, argv);
	for (int i = 0; i < OPTS; i++)
		opts_add(&opts, i, rows[i].name, rows[i].letter,
		    rows[i].arg != NULL);
	for (;;) {
		id = !first && is_not(opts_peek(&opts)) ? opts_word(&opts) :
		    opts_next(&opts);
		if (id == OPTS_END)
			break;
		if (id == OPTS_BAD)
			cmd_fail("%s %s; --help lists them (a query may "
			    "follow --)", opts.arg, opts.why);
		if (id == OPTS_WORD) {
			add_word(c, opts.value, first);
			first = false;
		} else
			option_set(c, id, opts.value == NULL ? "" :
			    opts.value);
	}
	opts_free(&opts);
	return !first;
}

void
cmd_args(struct cmd *c, int argc, char **argv)
{
	bool some;

	c->text = wr_grow(64 * KIB);
	some = take_args(c, argc, argv);
	if (some == (c->opt[OPT_batch] != NULL))
		cmd_fail(some ? "with --batch queries come from standard "
		    "input only" : "there is no query; * matches every "
		    "record");
	if (c->text.bad)
		cmd_fail("the query is longer than %d bytes",
		    QUERY_BYTES_MAX);
	read_values(c);
	check_together(c);
	if (some && !cmd_parse(c))
		cmd_fail("%s", c->parse.why);
}
