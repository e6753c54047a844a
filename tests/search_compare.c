/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random queries of every operator against an index and against all records.
 *
 *     search_compare ENGINE-SOCKET INDEX-DIR QUERIES SEED [quiet]
 *
 * The queries are made of what the records hold.  One pass over the log asks
 * each query of each record by means of its own (search_eval.h); then the
 * search must find the same offsets, but for what retention or compaction took
 * away meanwhile.  quiet: nobody produces or deletes, and counts must agree as
 * well.
 *
 * A query that would find very many is asked of a stretch of offsets only; but
 * for every 50th, which is asked as it is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search_eval.h"
#include "token.h"
#include "walk.h"

enum {
	SAMPLES		= 500,		/* records that queries are made of */
	TEXT_SIZE	= 4096,
	TIME_MS		= 600000,
	TRIED		= 2000,		/* records that tell how many match */
	HITS_MAX	= 5000,		/* of most queries ... */
	HITS_PART	= 20,		/* and at most such a part of all */
	WHOLE_EVERY	= 200,
	TOLD_MIN	= 100,		/* queries, to tell of operators */
};

struct place { int walk; int64_t offset; };
struct places { struct place *v; size_t n, cap; };

struct one {
	char		 text[TEXT_SIZE];
	struct query_parse parse;
	struct arena	 arena;
	struct query	*query;
	struct eval_query *eval;
	int64_t		 tried;		/* matches of those tried */
	int64_t		 bad;
	struct places	 want, got;
};

/* Words and members of a sampled record, as queries name them. */
struct sample {
	char word[64], two[130], path[210], value[64], key[64];
	char header[64], header_value[64];
	double num;
	bool is_num;
	int64_t offset, ts;
	int part;
	const char *topic;
};

static struct sample samples[SAMPLES];
static int nsamples;
static int64_t nrecords;
static uint64_t state;
static struct search all;
static struct eval *eval;
static struct one *queries;
static int nqueries;

static uint64_t
roll(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "search_compare: %s\n", what);
	exit(1);
}

static void
places_put(struct places *p, int walk, int64_t offset)
{
	if (p->n == p->cap) {
		p->cap = p->cap == 0 ? 64 : p->cap * 2;
		p->v = realloc(p->v, p->cap * sizeof *p->v);
		if (p->v == NULL)
			die("out of memory");
	}
	p->v[p->n++] = (struct place){ walk, offset };
}

/* ---- what queries are made of ------------------------------------------ */

static bool
plain(const char *s, size_t n, size_t size)
{
	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] <= ' ' || strchr("()\"\\*", s[i]) !=
		    NULL)
			return false;
	return true;
}

static void
copy_if(char *out, size_t size, const char *s, size_t n)
{
	out[0] = '\0';
	if (!plain(s, n, size))
		return;
	memcpy(out, s, n);
	out[n] = '\0';
}

static void
sample_words(struct sample *s, const struct doc *d)
{
	const struct doc_text *t;
	struct tokens ts;
	struct token w, next;
	int n = 0;

	while (doc_words(d, n) != NULL)
		n++;
	t = n == 0 ? NULL : doc_words(d, (int)roll((uint64_t)n));
	if (t == NULL || !t->words)
		return;
	tokens_init(&ts, t->text, t->len);
	while (tokens_next(&ts, &w)) {
		copy_if(s->word, sizeof s->word, w.p, w.n);
		if (roll(3) == 0)
			break;
	}
	if (s->word[0] != '\0' && w.n < 60 && tokens_next(&ts, &next) &&
	    next.n < 60)
		snprintf(s->two, sizeof s->two, "%.*s %.*s", (int)w.n, w.p,
		    (int)next.n, next.p);
}

static void
sample_make(struct sample *s, const struct walk *w, const struct doc *d,
    const struct record *r)
{
	*s = (struct sample){ .offset = r->offset, .ts = r->ts,
	    .part = w->part, .topic = w->topic };
	sample_words(s, d);
	if (d->ntexts > 0) {
		const struct doc_text *t = &d->texts[roll((uint64_t)
		    d->ntexts)];

		if (t->path != NULL) {
			copy_if(s->path, sizeof s->path, t->path,
			    strlen(t->path));
			copy_if(s->value, sizeof s->value, t->raw,
			    t->raw_len);
			s->is_num = t->is_num;
			s->num = t->num;
		}
	}
	if (d->key.raw != NULL)
		copy_if(s->key, sizeof s->key, d->key.raw, d->key.raw_len);
	if (d->nheaders > 0) {
		copy_if(s->header, sizeof s->header, d->headers[0].name,
		    d->headers[0].name_len);
		copy_if(s->header_value, sizeof s->header_value,
		    d->headers[0].value.raw, d->headers[0].value.raw_len);
	}
}

/* Each record is among the samples with the same chance. */
static bool
each_sampled(void *arg, const struct record *r)
{
	uint64_t at = (uint64_t)nrecords++;

	if (at >= SAMPLES)
		at = roll((uint64_t)nrecords);
	if (at < SAMPLES && doc_read(&all.doc, r) == E_OK) {
		sample_make(&samples[at], arg, &all.doc, r);
		if ((int)at >= nsamples)
			nsamples = (int)at + 1;
	}
	return true;
}

/* ---- queries ----------------------------------------------------------- */

/* Of a member. */
static void
leaf_member(char *out, size_t size, int kind, const struct sample *s)
{
	size_t m = strlen(s->value);
	const char *path = s->path;

	if (path[0] == '\0' || (path[0] >= '0' && path[0] <= '9') ||
	    strchr(path, ':') != NULL)
		return;
	switch (kind) {
	case 4:
		if (m > 0)
			snprintf(out, size, ".%s:%s", path, s->value);
		break;
	case 5:
		if (m > 1)
			snprintf(out, size, ".%s:%.*s*", path,
			    (int)(1 + roll(m)), s->value);
		break;
	case 6:
		if (m > 0)
			snprintf(out, size, ".%s:=%s", path, s->value);
		break;
	case 7:
		snprintf(out, size, "has:%s", path);
		break;
	case 8:
		if (s->is_num)
			snprintf(out, size, ".%s:%s%.17g", path,
			    roll(2) ? ">" : "<=", s->num);
		break;
	case 9:
		if (s->is_num)
			snprintf(out, size, ".%s:%.17g..%.17g", path,
			    s->num - 50, s->num + 20);
		break;
	case 10:
		if (m > 0 && !s->is_num)
			snprintf(out, size, ".%s:>=\"%s\"", path, s->value);
		break;
	}
}

/* A leaf of a kind; "*" where the sample has nothing for it. */
static void
leaf(char *out, size_t size, int kind)
{
	const struct sample *s = &samples[roll((uint64_t)nsamples)];
	size_t n = strlen(s->word), m = strlen(s->value);

	snprintf(out, size, "*");
	if (kind <= 3 && n == 0)
		return;
	switch (kind) {
	case 0:
		snprintf(out, size, "%s", s->word);
		break;
	case 1:
		if (n > 2)
			snprintf(out, size, "%.*s*", (int)(2 + roll(n - 2)),
			    s->word);
		break;
	case 2:
		if (s->two[0] != '\0')
			snprintf(out, size, "\"%s\"", s->two);
		break;
	case 3:
		if (n >= 3 && (unsigned char)s->word[1] < 0x80)
			snprintf(out, size, "/%s.?/%s", s->word, roll(2) ?
			    "i" : "");
		break;
	case 4: case 5: case 6: case 7: case 8: case 9: case 10:
		leaf_member(out, size, kind, s);
		break;
	case 11:
		if (s->key[0] != '\0')
			snprintf(out, size, "key:%s%s", s->key,
			    roll(3) == 0 ? "*" : "");
		break;
	case 12:
		if (s->header[0] != '\0')
			snprintf(out, size, "header:%s=%s", s->header,
			    s->header_value);
		break;
	case 13:
		if (s->header[0] != '\0')
			snprintf(out, size, "header:%s", s->header);
		break;
	case 14:
		snprintf(out, size, roll(2) ? "is:json" : "is:tombstone");
		break;
	case 15:
		snprintf(out, size, "topic:%.3s*", s->topic);
		break;
	case 16:
		snprintf(out, size, "partition:%d", s->part);
		break;
	case 17:
		snprintf(out, size, "offset:%lld..%lld",
		    (long long)s->offset, (long long)(s->offset + 3000));
		break;
	case 18:
		snprintf(out, size, "time:@%lld..@%lld",
		    (long long)s->ts, (long long)(s->ts + 500));
		break;
	default:
		/* Marks between words, as in addresses. */
		if (m > 0 && strchr("/-", s->value[0]) == NULL)
			snprintf(out, size, "\"%s\"", s->value);
	}
}

static void
make(char *out, size_t size, int depth)
{
	static const char *const joins[] = { " ", " AND ", " OR ", " -",
	    " NOT ", " " };
	char a[TEXT_SIZE / 2], b[TEXT_SIZE / 2];

	if (depth == 0 || roll(3) == 0) {
		leaf(out, size, (int)roll(20));
		return;
	}
	make(a, size / 2 - 16, depth - 1);
	make(b, size / 2 - 16, depth - 1);
	if (roll(2))
		snprintf(out, size, "(%s%s%s)", a, joins[roll(6)], b);
	else
		snprintf(out, size, "%s%s%s", a, joins[roll(6)], b);
}

/* Parses its text; false: it is no query. */
static bool
one_parse(struct one *q, bool any)
{
	if (q->eval != NULL)
		eval_query_free(q->eval);
	q->eval = NULL;
	query_parse_free(&q->parse);
	arena_reset(&q->arena);
	arena_init(&q->arena, 16 << 20);
	q->parse = (struct query_parse){ .arena = &q->arena, .any = any };
	if (query_parse(&q->parse, q->text, strlen(q->text), &q->query) !=
	    E_OK)
		return false;
	q->eval = eval_query_new(q->query);
	if (q->eval == NULL)
		die("out of memory");
	return true;
}

static void
queries_make(void)
{
	queries = calloc((size_t)nqueries, sizeof *queries);
	if (queries == NULL)
		die("out of memory");
	for (int i = 0; i < nqueries; i++) {
		struct one *q = &queries[i];

		do
			/* Every kind by itself first. */
			if (i < 40)
				leaf(q->text, sizeof q->text, i % 20);
			else
				make(q->text, sizeof q->text, 1 +
				    (int)roll(3));
		while (!one_parse(q, roll(5) == 0));
	}
}

static bool
each_tried(void *arg, const struct record *r)
{
	struct walk *w = arg;
	int64_t every = nrecords / TRIED + 1;

	if ((uint64_t)r->offset % (uint64_t)every != 0)
		return true;
	eval_record(eval, r, &w->conf, w->topic, w->part);
	for (int i = 0; i < nqueries; i++)
		queries[i].tried += eval_match(eval, queries[i].eval);
	return true;
}

/* Asks those that find too many of a stretch of offsets. */
static void
queries_bound(void)
{
	int64_t every = nrecords / TRIED + 1, low = INT64_MAX, high = 0;
	int64_t most = nrecords / HITS_PART < HITS_MAX ?
	    nrecords / HITS_PART : HITS_MAX;
	char *text;

	for (int i = 0; i < all.nwalks; i++) {
		const struct walk *w = &all.walks[i];

		low = w->start < low ? w->start : low;
		high = w->end > high ? w->end : high;
	}
	for (int i = 0; i < nqueries; i++) {
		struct one *q = &queries[i];
		int64_t found = q->tried * every, width, from;

		if (found <= most || i % WHOLE_EVERY == 0)
			continue;
		width = (high - low) * most / found;
		from = low + (int64_t)roll((uint64_t)(high - low - width) +
		    1);
		if (asprintf(&text, "(%s) AND offset:%" PRId64 "..%" PRId64,
		    q->text, from, from + width) == -1)
			die("out of memory");
		snprintf(q->text, sizeof q->text, "%s", text);
		free(text);
		if (!one_parse(q, q->parse.any))
			die("a query is none with offsets");
	}
}

/* ---- both ways --------------------------------------------------------- */

static bool
each_checked(void *arg, const struct record *r)
{
	struct walk *w = arg;

	eval_record(eval, r, &w->conf, w->topic, w->part);
	for (int i = 0; i < nqueries; i++)
		if (eval_match(eval, queries[i].eval))
			places_put(&queries[i].want, (int)(w - all.walks),
			    r->offset);
	return true;
}

/* Retention may have gone on: then from where the log begins now. */
static bool
begins_later(const struct walk *w, enum err e, int64_t *low)
{
	int64_t was = *low;

	if (e != E_OFFSET_OUT_OF_RANGE)
		return false;
	if (src_start(all.src, &w->id, w->part, low) != E_OK)
		die("the engine has no view");
	return *low > was && *low < w->end;
}

static void
pass(bool (*each)(void *, const struct record *))
{
	int64_t low;

	for (int i = 0; i < all.nwalks; i++) {
		struct walk *w = &all.walks[i];
		enum err e;

		low = w->start;
		do
			e = src_read(all.src, &w->id, w->part, low, w->end,
			    each, w, &low);
		while (begins_later(w, e, &low));
		if (e != E_OK && e != E_OFFSET_OUT_OF_RANGE)
			die(err_text(e));
	}
}

static int
walk_of(const struct walk *w)
{
	for (int i = 0; i < all.nwalks; i++)
		if (all.walks[i].part == w->part &&
		    uuid_eq(all.walks[i].id, w->id))
			return i;
	return -1;
}

static int
by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->walk != y->walk)
		return x->walk - y->walk;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void
search_set(struct search *s, struct one *q, enum sort sort)
{
	*s = (struct search){ .src = all.src, .dir = all.dir,
	    .query = q->query, .sort = sort,
	    .deadline_ms = elink_now_ms() + TIME_MS };
	if (search_open(s) != E_OK)
		die("the search does not begin");
}

static int
run(struct one *q, bool quiet)
{
	struct search s;
	struct hit *h;
	int64_t count = 0;
	int bad = 0;

	search_set(&s, q, roll(2) ? SORT_NEWEST : SORT_OLDEST);
	while (search_next(&s, &h) == E_OK) {
		int w = walk_of(h->walk);

		if (w >= 0 && h->r.offset < all.walks[w].end)
			places_put(&q->got, w, h->r.offset);
	}
	if (search_incomplete(&s)) {
		printf("incomplete: %s: %s\n", q->text, s.why);
		bad++;
	}
	search_close(&s);
	if (quiet) {
		search_set(&s, q, SORT_NEWEST);
		if (search_count(&s, false, &count) != E_OK ||
		    (size_t)count != q->got.n) {
			printf("counted %lld, found %zu: %s\n",
			    (long long)count, q->got.n, q->text);
			bad++;
		}
		search_close(&s);
	}
	return bad;
}

/* Whether the record can be read still. */
static bool
is_there(const struct place *p)
{
	const struct walk *w = &all.walks[p->walk];
	const struct view_res *v;
	struct record r;

	/* What is there now, not what was read before. */
	if (src_view(all.src, -1, 0, false, &v) != E_OK)
		die("the engine has no view");
	return src_get(all.src, &w->id, w->part, p->offset, &r) == E_OK;
}

static int
compare(struct one *q)
{
	size_t i = 0, j = 0;
	int bad = 0;

	if (q->want.n > 0)
		qsort(q->want.v, q->want.n, sizeof *q->want.v, by_place);
	if (q->got.n > 0)
		qsort(q->got.v, q->got.n, sizeof *q->got.v, by_place);
	while (i < q->want.n || j < q->got.n) {
		int c = i == q->want.n ? 1 : j == q->got.n ? -1 :
		    by_place(&q->want.v[i], &q->got.v[j]);
		const struct place *p = c > 0 ? &q->got.v[j] : &q->want.v[i];

		if ((c < 0 && is_there(p)) || c > 0) {
			if (bad++ < 3)
				printf("%s %s/%d@%lld: %s\n", c < 0 ?
				    "missed" : "too many or twice",
				    all.walks[p->walk].topic,
				    all.walks[p->walk].part,
				    (long long)p->offset, q->text);
		}
		i += c <= 0;
		j += c >= 0;
	}
	return bad;
}

/* ---- what was asked ----------------------------------------------------- */

/* An operator, and the queries that have it. */
static const struct { enum query_op op; const char *name; } operators[] = {
	{ Q_ALL, "all" }, { Q_AND, "and" }, { Q_OR, "or" }, { Q_NOT, "not" },
	{ Q_WORD, "word" }, { Q_PHRASE, "phrase" }, { Q_REGEX, "regex" },
	{ Q_FIELD, "field" }, { Q_RANGE, "range" }, { Q_HAS, "has" },
	{ Q_JSON, "json" }, { Q_TOMBSTONE, "tombstone" }, { Q_KEY, "key" },
	{ Q_HEADER, "header" }, { Q_TOPIC, "topic" },
	{ Q_PART, "partition" }, { Q_OFFSET, "offset" }, { Q_TIME, "time" },
};

static bool
has_op(const struct query *q, enum query_op op)
{
	bool has = q->op == op;

	for (int i = 0; i < q->nkids && !has; i++)
		has = has_op(q->kids[i], op);
	return has;
}

static void
tell_operators(void)
{
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
		int64_t n = 0, hits = 0, bad = 0;

		for (int j = 0; j < nqueries; j++) {
			const struct one *q = &queries[j];

			if (!has_op(q->query, operators[i].op))
				continue;
			n++;
			hits += (int64_t)q->got.n;
			bad += q->bad;
		}
		if (n > 0)
			printf("%-10s %5" PRId64 " queries %9" PRId64
			    " hits %" PRId64 " wrong\n", operators[i].name,
			    n, hits, bad);
	}
}

static void
one_free(struct one *q)
{
	free(q->want.v);
	free(q->got.v);
	eval_query_free(q->eval);
	query_parse_free(&q->parse);
	arena_reset(&q->arena);
}

int
main(int argc, char **argv)
{
	static const struct query everything = { .op = Q_ALL };
	int64_t bad = 0, hits = 0, began, checked;
	bool quiet = argc > 5;

	if (argc < 5 || src_open(argv[1], "search_compare", 60000,
	    &all.src) != E_OK)
		die("usage: ENGINE-SOCKET INDEX-DIR QUERIES SEED [quiet]");
	all.dir = argv[2];
	nqueries = atoi(argv[3]);
	state = (uint64_t)atoll(argv[4]) * 0x9e3779b97f4a7c15 + 1;
	all.query = &everything;
	if (search_open(&all) != E_OK)
		die("the engine has no view");
	eval = eval_new();
	if (eval == NULL)
		die("out of memory");
	pass(each_sampled);
	if (nsamples == 0)
		die("there are no records");
	queries_make();
	pass(each_tried);
	queries_bound();
	began = elink_now_ms();
	pass(each_checked);
	checked = elink_now_ms();
	for (int i = 0; i < nqueries; i++) {
		queries[i].bad = run(&queries[i], quiet);
		queries[i].bad += compare(&queries[i]);
		bad += queries[i].bad;
		hits += (int64_t)queries[i].got.n;
	}
	if (nqueries >= TOLD_MIN)
		tell_operators();
	printf("%" PRId64 " records, %d queries, %" PRId64 " hits, %" PRId64
	    " wrong; read in %.1f s, searched in %.1f s\n", nrecords,
	    nqueries, hits, bad, (double)(checked - began) / 1000,
	    (double)(elink_now_ms() - checked) / 1000);
	for (int i = 0; i < nqueries; i++)
		one_free(&queries[i]);
	free(queries);
	eval_free(eval);
	search_close(&all);
	src_close(all.src);
	return bad > 0;
}
