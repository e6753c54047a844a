/* SPDX-License-Identifier: Apache-2.0 */
/* chronik-search QUERY: what is found, and what was searched for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "lib/limits.h"
#include "token.h"

enum {
	FOLLOW_WAIT_MS	= 1000,
	FOLLOW_POLL_MS	= 250,
	MISSING_SHOWN	= 20,		/* partitions that were not searched */
	TOTAL_MS	= 250,		/* to count hits that are not shown */
};

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

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * (int64_t)1000000 + ts.tv_nsec / 1000;
}

/* Which partitions were not searched whole. */
static void
print_missing(const struct search *s)
{
	int n = 0;
	char a[32];

	for (int i = 0; i < s->nwalks; i++) {
		const struct walk *w = &s->walks[i];

		if (w->trouble == NULL || ++n > MISSING_SHOWN)
			continue;
		fprintf(stderr, "not searched: %s/%d: %s records: %s\n",
		    w->topic, w->part, grouped(a, w->missed), w->trouble);
	}
	if (n > MISSING_SHOWN)
		fprintf(stderr, "not searched: %d partitions more\n",
		    n - MISSING_SHOWN);
}

void
cmd_coverage(struct cmd *c)
{
	struct search *s = &c->search;
	int64_t us = now_us() - c->began_us, lag = 0;
	char a[32], b[32];

	if (!s->scan && s->unindexed + s->unread > 0)
		lag = search_lag_ms(s, c->parse.now_ms);
	fprintf(stderr, "searched %s/%s records in %d topic%s, ",
	    grouped(a, s->records - s->missed - s->unread),
	    grouped(b, s->records), s->ntopics_seen,
	    s->ntopics_seen == 1 ? "" : "s");
	if (s->unindexed > 0 && !s->scan)
		fprintf(stderr, "%s of them not indexed yet, ",
		    grouped(a, s->unindexed));
	if (s->unread > 0)
		fprintf(stderr, "%s not indexed yet and left out "
		    "(--max-lag), ", grouped(a, s->unread));
	if (lag > 0)
		fprintf(stderr, "index lag %lld.%lld s, ",
		    (long long)lag / 1000, (long long)lag / 100 % 10);
	fprintf(stderr, "%lld.%lld ms\n", (long long)us / 1000,
	    (long long)us / 100 % 10);
	if (search_incomplete(s))
		fprintf(stderr, "chronik-search: incomplete: %s\n",
		    s->why[0] != '\0' ? s->why : s->timed_out ?
		    "out of time (--timeout gives more)" :
		    "an expression takes too many steps on some records");
	print_missing(s);
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
	fprintf(stderr, "chronik-search: no %srecord has the member \"%s\"",
	    c->search.unindexed > 0 ? "indexed " : "", path);
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

int
cmd_begin(struct cmd *c)
{
	struct search *s = &c->search;
	enum err e;

	s->src = c->src;
	s->sort = c->sort;
	s->query = c->query;
	s->dir = c->dir;
	s->topics = c->topics;
	s->ntopics = c->ntopics;
	s->scan = c->opt[OPT_scan] != NULL;
	s->counting = c->nfacets > 0 || c->opt[OPT_hist] != NULL;
	s->max_lag_ms = c->lag_ms;
	s->deadline_ms = elink_now_ms() + c->timeout_ms;
	e = search_open(s);
	if (e == E_OK)
		return 0;
	if (e == E_NOTFOUND || e == E_USAGE)
		cmd_refuse(c, "%s", s->why);
	else
		cmd_refuse(c, "incomplete: no record was searched: the "
		    "engine does not answer: %s", err_text(e));
	search_close(s);
	return e == E_NOTFOUND || e == E_USAGE ? EXIT_ERROR :
	    EXIT_INCOMPLETE;
}

/* How many hits there are in all, where the index alone can tell it soon; -1.
 */
static int64_t
total(struct cmd *c)
{
	int64_t n = -1;

	return search_incomplete(&c->search) || search_total(&c->search,
	    elink_now_ms() + TOTAL_MS, &n) != E_OK ? -1 : n;
}

static void
footer(struct cmd *c, int64_t shown, bool more)
{
	int64_t n = more ? total(c) : -1;
	char a[32], b[32];

	if (!more)
		fprintf(stderr, "%s shown; ", grouped(a, shown));
	else if (n >= 0)
		fprintf(stderr, "%s of %s shown (-n to change); ",
		    grouped(a, shown), grouped(b, n));
	else
		fprintf(stderr, "%s shown, there may be more (-n to "
		    "change); ", grouped(a, shown));
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

/* Stop words say nothing in topics with stems. */
static bool
leave_stops_out(struct cmd *c)
{
	bool stem = false;

	for (int i = 0; i < c->search.nwalks; i++)
		stem |= c->search.walks[i].conf.stem;
	if (stem)
		c->query = without_stops(c->query);
	c->search.query = c->query;
	return c->query != NULL;
}

static int
run_rank(struct cmd *c)
{
	int rc = cmd_begin(c), n = 0;
	struct hit *v = NULL;
	enum err e;

	if (rc != 0)
		return rc;
	if (!leave_stops_out(c)) {
		search_close(&c->search);
		return cmd_refuse(c, "the query has only words that are too "
		    "common to rank by; in quotes they are looked for, "
		    "without --sort relevance");
	}
	e = search_rank(&c->search, (int)c->limit, &v, &n);
	if (e == E_USAGE)
		rc = cmd_refuse(c, "%s", c->search.why);
	else if (e != E_OK)
		cmd_fail("%s: %s", err_text(e), xap_why());
	for (int i = 0; i < n; i++)
		show(c, &v[i]);
	out_end(&c->out, &c->search);
	if (rc == 0) {
		footer(c, n, n == c->limit);
		cmd_coverage(c);
		rc = status(c, n > 0);
	}
	hits_free(v, n);
	search_close(&c->search);
	return rc;
}

static void
print_count(struct cmd *c, int64_t n)
{
	struct wr w = wr_grow(16 * MIB);

	if (c->out.format != OUT_JSON && c->out.format != OUT_JSONL) {
		printf("%lld\n", (long long)n);
	} else {
		coverage_json(&c->search, &w);
		printf("{\"schema\":\"chronik.search.count/1\",\"count\":%lld,"
		    "\"coverage\":%.*s}\n", (long long)n, (int)w.len,
		    (const char *)w.p);
	}
	wr_free(&w);
	if (fflush(stdout) != 0)
		c->out.failed = true;
}

static int
run_count(struct cmd *c)
{
	int rc = cmd_begin(c);
	int64_t n = 0;

	if (rc != 0)
		return rc;
	if (search_count(&c->search, false, &n) != E_OK)
		cmd_fail("out of memory");
	print_count(c, n);
	cmd_coverage(c);
	if (n == 0)
		warn_unknown(c);
	rc = status(c, n > 0);
	search_close(&c->search);
	return rc;
}

/* ---- following --------------------------------------------------------- */

/* One search for what came since *at; false: the engine is away. */
static bool
follow_once(struct cmd *c, struct cursor **at, int *n, int64_t *seen)
{
	bool more;

	c->search = (struct search){ .cursors = *at, .ncursors = *n };
	if (cmd_begin(c) != 0)
		return false;
	/* New records are not indexed yet, or just were. */
	for (int i = 0; i < c->search.nwalks; i++)
		shards_free(&c->search.walks[i].shards);
	show_hits(c, INT64_MAX, &more);
	out_flush(&c->out);
	if (c->out.failed)
		exit(EXIT_ERROR);
	if (search_incomplete(&c->search))
		cmd_coverage(c);
	*seen = c->search.stamp;
	free(*at);
	*n = c->search.nwalks;
	*at = calloc((size_t)*n + 1, sizeof **at);
	if (*at == NULL)
		cmd_fail("out of memory");
	search_cursors(&c->search, *at);
	search_close(&c->search);
	return true;
}

/* The same query for what came since, for ever; an engine that goes away may
 * come back. */
static void
follow(struct cmd *c, struct cursor *at, int n)
{
	const struct timespec pause = { 0, FOLLOW_POLL_MS * 1000000L };
	int64_t seen = c->search.stamp, gone_ms = 0;
	bool all = c->opt[OPT_scan] != NULL;
	const struct view_res *v;

	search_close(&c->search);
	c->sort = SORT_OLDEST;
	for (;;) {
		enum err e = src_view(c->src, seen, all ? FOLLOW_POLL_MS :
		    FOLLOW_WAIT_MS, false, &v);

		if (e == E_OK && v->same && !all)
			continue;
		if (e == E_OK && follow_once(c, &at, &n, &seen)) {
			gone_ms = 0;
			continue;
		}
		if (gone_ms == 0) {
			gone_ms = elink_now_ms();
			fprintf(stderr, "chronik-search: the engine does not "
			    "answer; waiting for it\n");
		}
		if (elink_now_ms() - gone_ms > c->timeout_ms)
			cmd_lost("incomplete: the engine does not answer");
		nanosleep(&pause, NULL);
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
	rc = cmd_begin(c);
	if (rc != 0)
		return rc;
	n = show_hits(c, c->limit, &more);
	to = calloc((size_t)c->search.nwalks + 1, sizeof *to);
	if (to == NULL)
		cmd_fail("out of memory");
	search_cursors(&c->search, to);
	if (c->opt[OPT_follow] != NULL) {
		out_flush(&c->out);
		if (search_incomplete(&c->search))
			cmd_coverage(c);
		follow(c, to, c->search.nwalks);
	}
	out_end(&c->out, &c->search);
	rc = status(c, n > 0);
	if (file != NULL && cursors_save(file, to, c->search.nwalks) != E_OK)
		cmd_fail("%s: cannot be written", file);
	footer(c, n, more && file == NULL);
	cmd_coverage(c);
	if (n == 0)
		warn_unknown(c);
	free(from);
	free(to);
	search_close(&c->search);
	return rc;
}

static int
run_facets(struct cmd *c)
{
	int rc = cmd_begin(c);

	if (rc == 0) {
		rc = cmd_facets(c);
		search_close(&c->search);
	}
	return rc;
}

/* Whether no index can help with it, and nobody asked to go without. */
static int
check_query(const struct cmd *c)
{
	const char *why = plan_refusal(c->query);

	return why == NULL || c->opt[OPT_scan] != NULL ? 0 :
	    cmd_refuse(c, "%s; --scan reads every record instead", why);
}

/* The query in c->query. */
static int
run_one(struct cmd *c)
{
	struct wr w = wr_grow(MIB);

	if (c->opt[OPT_explain] != NULL) {
		query_print(c->query, &w);
		if (!w.bad)
			fprintf(stderr, "%.*s\n", (int)w.len,
			    (const char *)w.p);
	}
	wr_free(&w);
	if (check_query(c) != 0)
		return EXIT_ERROR;
	c->began_us = now_us();
	cmd_watch(c);
	c->search = (struct search){ 0 };
	if (c->opt[OPT_wait_index] != NULL && !cmd_await_index(c)) {
		cmd_refuse(c, "incomplete: no record was searched: the "
		    "index did not catch up in time (--timeout gives more)");
		return EXIT_INCOMPLETE;
	}
	if (c->opt[OPT_count] != NULL)
		return run_count(c);
	if (c->nfacets > 0 || c->opt[OPT_hist] != NULL)
		return run_facets(c);
	out_begin(&c->out);
	return c->sort == SORT_RELEVANCE ? run_rank(c) : run_hits(c);
}

int
cmd_query(struct cmd *c)
{
	const struct place at = { c->opt[OPT_engine], c->opt[OPT_data_dir],
	    c->opt[OPT_index_dir], c->opt[OPT_local], c->timeout_ms };
	int rc;

	if (c->opt[OPT_batch] == NULL && check_query(c) != 0)
		return EXIT_ERROR;
	c->src = cmd_connect(&at, c->dir);
	out_open(&c->out);
	rc = c->opt[OPT_batch] != NULL ? cmd_batch(c, run_one) : run_one(c);
	out_close(&c->out);
	src_close(c->src);
	return rc;
}
