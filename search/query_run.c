/* SPDX-License-Identifier: Apache-2.0 */
/* chronik-search QUERY: what is found, and what was searched for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "lib/limits.h"
#include "token.h"

enum { FOLLOW_WAIT_MS = 1000, FOLLOW_POLL_MS = 250 };

/* ---- what was searched ------------------------------------------------- */

/* 1234567 as 1,234,567. */
static const char *
grouped(char buf[32], int64_t n)
{
	char plain[24];
	size_t len, out = 0;

	snprintf(plain, sizeof plain, "%lld", (long long)n);
	len = strlen(plain);
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0 && plain[i - 1] != '-')
			buf[out++] = ',';
		buf[out++] = plain[i];
	}
	buf[out] = '\0';
	return buf;
}

void
cmd_coverage(struct cmd *c)
{
	struct search *s = &c->search;
	char a[32], b[32];

	fprintf(stderr, "searched %s/%s records in %d topic%s, ",
	    grouped(a, s->records - s->missed), grouped(b, s->records),
	    s->ntopics_seen, s->ntopics_seen == 1 ? "" : "s");
	if (s->unindexed > 0 && !s->scan)
		fprintf(stderr, "%s of them not indexed yet, ",
		    grouped(a, s->unindexed));
	fprintf(stderr, "%lld ms\n", (long long)(elink_now_ms() - c->began_ms));
	if (search_incomplete(s))
		fprintf(stderr, "chronik-search: incomplete: %s\n",
		    s->why[0] != '\0' ? s->why : s->timed_out ?
		    "out of time (--timeout gives more)" :
		    "an expression takes too many steps on some records");
	if (c->opt[OPT_stats] != NULL)
		fprintf(stderr, "shards opened %lld, of no use %lld; records "
		    "read %lld, candidates %lld, not indexed %lld\n",
		    (long long)s->shards_opened, (long long)s->shards_broken,
		    (long long)s->read, (long long)s->candidates,
		    (long long)s->unindexed);
}

static int
status(struct cmd *c, bool found)
{
	if (c->out.failed)
		cmd_fail("cannot write the hits");
	if (search_incomplete(&c->search))
		return EXIT_INCOMPLETE;
	return found ? EXIT_HITS : EXIT_NONE;
}

static void
warn_unknown(struct cmd *c)
{
	char *like;
	const char *path = search_unknown(&c->search, &like);

	if (path == NULL)
		return;
	fprintf(stderr, "chronik-search: no record has the member \"%s\"",
	    path);
	if (like != NULL)
		fprintf(stderr, "; did you mean \"%s\"?", like);
	fputc('\n', stderr);
	free(like);
}

/* ---- hits -------------------------------------------------------------- */

/* Records beside a hit. */
static void
context(struct cmd *c, const struct hit *h, int64_t from, int64_t to)
{
	const struct walk *w = h->walk;
	struct hit one = { .conf = h->conf };

	for (int64_t o = from < 0 ? 0 : from; o <= to; o++)
		if (hit_get(&c->search, w, o, &one) == E_OK)
			out_hit(&c->out, &c->search, &one, true);
	free(one.bytes);
}

static void
show(struct cmd *c, const struct hit *h)
{
	bool around = c->before > 0 || c->after > 0;
	int64_t o = h->r.offset;

	if (around && c->out.shown > 0)
		out_gap(&c->out);
	if (c->before > 0)
		context(c, h, o - c->before, o - 1);
	out_hit(&c->out, &c->search, h, false);
	if (c->after > 0)
		context(c, h, o + 1, o + c->after);
}

static int64_t
show_hits(struct cmd *c, int64_t limit, bool *more)
{
	struct hit *h;
	int64_t n = 0;

	*more = false;
	while (n < limit && search_next(&c->search, &h) == E_OK) {
		show(c, h);
		n++;
	}
	*more = n == limit;
	return n;
}

static void
search_begin(struct cmd *c)
{
	struct search *s = &c->search;
	enum err e;

	s->query = c->query;
	s->dir = c->dir;
	s->topics = c->topics;
	s->ntopics = c->ntopics;
	s->scan = c->opt[OPT_scan] != NULL;
	s->deadline_ms = elink_now_ms() + c->timeout_ms;
	e = search_open(s);
	if (e == E_NOTFOUND || e == E_USAGE)
		cmd_fail("%s", s->why);
	if (e != E_OK)
		cmd_fail("the engine does not answer: %s", err_text(e));
}

/* How many hits there are in all, where the index alone can tell. */
static void
footer(struct cmd *c, int64_t shown, bool more)
{
	struct search all = { .src = c->search.src };
	struct search mine = c->search;
	char a[32], b[32];
	int64_t n;

	if (!more)
		fprintf(stderr, "%s shown; ", grouped(a, shown));
	else {
		c->search = all;
		c->search.sort = SORT_NEWEST;
		search_begin(c);
		if (search_count(&c->search, true, &n) == E_OK)
			fprintf(stderr, "%s of %s shown (-n to change); ",
			    grouped(a, shown), grouped(b, n));
		else
			fprintf(stderr, "%s shown, there may be more (-n to "
			    "change); ", grouped(a, shown));
		search_close(&c->search);
		c->search = mine;
	}
}

/* ---- the ways to search ------------------------------------------------ */

/* What stop words there are is left out.  NULL: nothing stays. */
static struct query *
without_stops(struct query *q)
{
	int n = 0;

	if (q->op == Q_WORD && !q->prefix && token_is_stop(q->text, q->len))
		return NULL;
	if (q->op != Q_AND && q->op != Q_OR)
		return q;
	for (int i = 0; i < q->nkids; i++) {
		struct query *kid = without_stops(q->kids[i]);

		if (kid != NULL)
			q->kids[n++] = kid;
	}
	q->nkids = n;
	return n == 0 ? NULL : n == 1 ? q->kids[0] : q;
}

static int
run_rank(struct cmd *c)
{
	bool stem = false;
	struct hit *v;
	int n = 0;
	enum err e;

	search_begin(c);
	for (int i = 0; i < c->search.nwalks; i++)
		stem |= c->search.walks[i].conf.stem;
	if (stem) {
		c->query = without_stops(c->query);
		if (c->query == NULL)
			cmd_fail("the query has only words that are too "
			    "common to rank by; in quotes they are looked "
			    "for, without --sort relevance");
		c->search.query = c->query;
	}
	e = search_rank(&c->search, (int)c->limit, &v, &n);
	if (e == E_USAGE)
		cmd_fail("%s", c->search.why);
	if (e != E_OK)
		cmd_fail("%s: %s", err_text(e), xap_why());
	for (int i = 0; i < n; i++)
		show(c, &v[i]);
	out_close(&c->out);
	fprintf(stderr, "%d shown; ", n);
	cmd_coverage(c);
	hits_free(v, n);
	return status(c, n > 0);
}

static int
run_count(struct cmd *c)
{
	int64_t n = 0;

	search_begin(c);
	if (search_count(&c->search, false, &n) != E_OK)
		cmd_fail("out of memory");
	printf("%lld\n", (long long)n);
	if (fflush(stdout) != 0)
		c->out.failed = true;
	cmd_coverage(c);
	if (n == 0)
		warn_unknown(c);
	return status(c, n > 0);
}

/* The same query for what came since, for ever. */
static void
follow(struct cmd *c, struct cursor *at, int n)
{
	struct src *src = c->search.src;
	int64_t seen = c->search.stamp;
	const struct view_res *v;
	bool more;

	c->opt[OPT_scan] = c->opt[OPT_scan] != NULL ? "" : NULL;
	for (;;) {
		bool all = c->opt[OPT_scan] != NULL;
		enum err e = src_view(src, seen, all ? FOLLOW_POLL_MS :
		    FOLLOW_WAIT_MS, false, &v);

		if (e != E_OK)
			cmd_fail("the engine does not answer: %s",
			    err_text(e));
		if (v->same && !all)
			continue;
		c->search = (struct search){ .src = src,
		    .sort = SORT_OLDEST, .cursors = at, .ncursors = n };
		search_begin(c);
		/* New records are not indexed yet, or just were. */
		for (int i = 0; i < c->search.nwalks; i++)
			shards_free(&c->search.walks[i].shards);
		show_hits(c, INT64_MAX, &more);
		out_flush(&c->out);
		if (c->out.failed)
			exit(EXIT_ERROR);
		seen = c->search.stamp;
		free(at);
		n = c->search.nwalks;
		at = calloc((size_t)n + 1, sizeof *at);
		if (at == NULL)
			cmd_fail("out of memory");
		search_cursors(&c->search, at);
		search_close(&c->search);
	}
}

static int
run_hits(struct cmd *c)
{
	const char *file = c->opt[OPT_cursor_file];
	struct cursor *from = NULL, *to;
	bool more;
	int64_t n;
	int rc;

	if (file != NULL)
		from = cursors_load(file, &c->search.ncursors);
	c->search.cursors = from;
	search_begin(c);
	n = show_hits(c, c->limit, &more);
	to = calloc((size_t)c->search.nwalks + 1, sizeof *to);
	if (to == NULL)
		cmd_fail("out of memory");
	search_cursors(&c->search, to);
	if (c->opt[OPT_follow] != NULL) {
		out_flush(&c->out);
		follow(c, to, c->search.nwalks);
	}
	out_close(&c->out);
	rc = status(c, n > 0);
	if (file != NULL && cursors_save(file, to, c->search.nwalks) != E_OK)
		cmd_fail("%s: cannot be written", file);
	footer(c, n, more && file == NULL);
	cmd_coverage(c);
	if (n == 0)
		warn_unknown(c);
	free(from);
	free(to);
	return rc;
}

int
cmd_query(struct cmd *c)
{
	const char *why = plan_refusal(c->query);
	struct wr w = wr_grow(MIB);

	if (c->opt[OPT_explain] != NULL) {
		query_print(c->query, &w);
		if (!w.bad)
			fprintf(stderr, "%.*s\n", (int)w.len,
			    (const char *)w.p);
	}
	wr_free(&w);
	if (why != NULL && c->opt[OPT_scan] == NULL)
		cmd_fail("%s", why);
	c->began_ms = elink_now_ms();
	c->search.src = cmd_connect(c->opt[OPT_engine], c->opt[OPT_data_dir],
	    c->opt[OPT_index_dir], c->dir);
	if (c->opt[OPT_count] != NULL)
		return run_count(c);
	if (c->nfacets > 0 || c->opt[OPT_hist] != NULL) {
		search_begin(c);
		return cmd_facets(c);
	}
	out_open(&c->out);
	return c->search.sort == SORT_RELEVANCE ? run_rank(c) : run_hits(c);
}
