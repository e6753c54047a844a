/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --facet and --hist: hits counted by the values of members, and by time.
 * Every hit is read; the values that are told apart are bounded, and what is
 * beyond is counted together.
 */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "facet.h"

enum { FACET_SHOWN = 10, FACET_VALUE_MAX = 4096, HIST_MAX = 100000 };

static int
by_text(const void *a, const void *b)
{
	const struct value *x = a, *y = b;

	if (x->bare != y->bare)
		return x->bare ? -1 : 1;
	return strcmp(x->text, y->text);
}

static int
by_count(const void *a, const void *b)
{
	const struct value *const *x = a, *const *y = b;

	if ((*x)->count != (*y)->count)
		return (*x)->count > (*y)->count ? -1 : 1;
	return strcmp((*x)->text, (*y)->text);
}

static void
facet_add(struct facet *f, const struct value *key)
{
	struct value *v = malloc(sizeof *v);

	if (v != NULL)
		*v = (struct value){ strdup(key->text), 1, key->bare };
	if (v == NULL || v->text == NULL ||
	    tsearch(v, &f->tree, by_text) == NULL) {
		if (v != NULL)
			free(v->text);
		free(v);
		f->failed = true;
		return;
	}
	f->n++;
}

/* bare: a number or the like of JSON. */
static void
facet_count(struct facet *f, const char *s, size_t n, bool bare)
{
	char text[FACET_VALUE_MAX + 1];
	struct value key = { text, 0, bare }, **at;

	if (n > FACET_VALUE_MAX) {
		f->rest++;
		return;
	}
	memcpy(text, s, n);
	text[n] = '\0';
	at = tfind(&key, &f->tree, by_text);
	if (at != NULL)
		(*at)->count++;
	else if (f->n == SEARCH_FACETS_MAX)
		f->rest++;
	else
		facet_add(f, &key);
}

/* A record counts once for each value that it has. */
void
facet_hit(struct facet *f, const struct doc *d, const struct hit *h)
{
	char buf[24];

	if (strcmp(f->path, "topic") == 0)
		facet_count(f, h->walk->topic, strlen(h->walk->topic),
		    false);
	else if (strcmp(f->path, "partition") == 0) {
		snprintf(buf, sizeof buf, "%d", h->walk->part);
		facet_count(f, buf, strlen(buf), true);
	} else if (strcmp(f->path, "key") == 0) {
		if (d->key.raw != NULL)
			facet_count(f, d->key.raw, d->key.raw_len, false);
	}
	for (int i = 0; i < d->ntexts; i++) {
		const struct doc_text *t = &d->texts[i];
		bool before = false;

		if (t->path == NULL || strcmp(t->path, f->path) != 0)
			continue;
		for (int j = 0; j < i && !before; j++)
			before = d->texts[j].path != NULL &&
			    strcmp(d->texts[j].path, f->path) == 0 &&
			    d->texts[j].raw_len == t->raw_len &&
			    memcmp(d->texts[j].raw, t->raw, t->raw_len) == 0;
		if (!before)
			facet_count(f, t->raw, t->raw_len, !t->is_str);
	}
}

static struct facet *collecting;

static void
collect(const void *node, VISIT which, int depth)
{
	(void)depth;
	if (which == preorder || which == leaf)
		collecting->v[collecting->nv++] =
		    *(struct value *const *)node;
}

void
facet_sort(struct facet *f)
{
	f->v = calloc((size_t)f->n + 1, sizeof *f->v);
	if (f->v == NULL) {
		f->failed = true;
		return;
	}
	collecting = f;
	twalk(f->tree, collect);
	qsort(f->v, (size_t)f->nv, sizeof *f->v, by_count);
	for (int i = (int)f->shown; i < f->nv; i++)
		f->rest += f->v[i]->count;
	if (f->nv > f->shown)
		f->nv = (int)f->shown;
}

static void
value_free(void *v)
{
	free(((struct value *)v)->text);
	free(v);
}

void
facet_free(struct facet *f)
{
	tdestroy(f->tree, value_free);
	free(f->v);
}

/* FIELD or FIELD:N. */
static void
facet_open(struct facet *f, const char *s)
{
	const char *colon = strrchr(s, ':');
	size_t n = colon == NULL ? strlen(s) : (size_t)(colon - s);

	f->shown = FACET_SHOWN;
	if (colon != NULL && (!conf_parse_int(kstr_of(colon + 1), &f->shown)
	    || f->shown < 1 || f->shown > SEARCH_FACETS_MAX))
		cmd_fail("--facet %s: behind the : stands how many values "
		    "are shown, 1 to %d", s, SEARCH_FACETS_MAX);
	if (n == 0 || n > DOC_PATH_MAX)
		cmd_fail("--facet %s: must name a member", s);
	memcpy(f->path, s, n);
}

/* ---- time -------------------------------------------------------------- */

void
hist_open(struct hist *h)
{
	h->start = calloc(HIST_MAX + 1, sizeof *h->start);
	h->count = calloc(HIST_MAX + 1, sizeof *h->count);
	h->failed = h->start == NULL || h->count == NULL;
}

void
hist_free(struct hist *h)
{
	free(h->start);
	free(h->count);
}

void
hist_hit(struct hist *h, int64_t step, int64_t shift, int64_t ts)
{
	int64_t over = (ts - shift) % step;
	int64_t at = ts - over - (over < 0 ? step : 0);
	int i;

	if (h->failed)
		return;
	/* Hits come from the newest to the oldest, mostly. */
	for (i = h->n; i > 0 && h->start[i - 1] < at; i--)
		;
	if (i > 0 && h->start[i - 1] == at) {
		h->count[i - 1]++;
		return;
	}
	if (h->n == HIST_MAX) {
		h->lost++;
		return;
	}
	memmove(h->start + i + 1, h->start + i, (size_t)(h->n - i) *
	    sizeof *h->start);
	memmove(h->count + i + 1, h->count + i, (size_t)(h->n - i) *
	    sizeof *h->count);
	h->start[i] = at;
	h->count[i] = 1;
	h->n++;
}

/* ---- printing ---------------------------------------------------------- */

static void
print_text(const struct facet *f, int n, const struct hist *h, bool hist)
{
	char when[32];

	for (int i = 0; i < n; i++) {
		for (int j = 0; j < f[i].nv; j++) {
			printf("%s\t", f[i].path);
			for (const char *s = f[i].v[j]->text; *s != '\0';
			    s++)
				putchar((unsigned char)*s < ' ' ? ' ' : *s);
			printf("\t%lld\n", (long long)f[i].v[j]->count);
		}
		if (f[i].rest > 0)
			printf("%s\t(others)\t%lld\n", f[i].path,
			    (long long)f[i].rest);
	}
	for (int i = h->n - 1; hist && i >= 0; i--) {
		out_time(when, h->start[i]);
		printf("%s\t%lld\n", when, (long long)h->count[i]);
	}
}

static void
print_json(struct cmd *c, const struct facet *f, const struct hist *h,
    int64_t hits)
{
	struct wr w = wr_grow(256 * MIB);
	bool hist = c->hist_ms > 0;
	int n = c->nfacets;
	char buf[80];

	snprintf(buf, sizeof buf, "{\"schema\":\"chronik.search.facets/1\","
	    "\"count\":%lld,\"facets\":{", (long long)hits);
	wr_bytes(&w, buf, strlen(buf));
	for (int i = 0; i < n; i++) {
		wr_bytes(&w, ",", i > 0);
		out_json_text(&w, f[i].path, strlen(f[i].path));
		wr_bytes(&w, ":{\"values\":[", 12);
		for (int j = 0; j < f[i].nv; j++) {
			const char *s = f[i].v[j]->text;

			wr_bytes(&w, ",", j > 0);
			wr_bytes(&w, "{\"value\":", 9);
			out_json_text(&w, out_is_text(s, strlen(s)) ? s :
			    "(bytes)", out_is_text(s, strlen(s)) ?
			    strlen(s) : 7);
			snprintf(buf, sizeof buf, ",\"count\":%lld}",
			    (long long)f[i].v[j]->count);
			wr_bytes(&w, buf, strlen(buf));
		}
		snprintf(buf, sizeof buf, "],\"others\":%lld}",
		    (long long)f[i].rest);
		wr_bytes(&w, buf, strlen(buf));
	}
	wr_bytes(&w, "}", 1);
	if (hist)
		wr_bytes(&w, ",\"histogram\":[", 14);
	for (int i = h->n - 1; hist && i >= 0; i--) {
		snprintf(buf, sizeof buf, "%s{\"timestamp\":%lld,"
		    "\"count\":%lld}", i < h->n - 1 ? "," : "",
		    (long long)h->start[i], (long long)h->count[i]);
		wr_bytes(&w, buf, strlen(buf));
	}
	wr_bytes(&w, "]", hist);
	wr_bytes(&w, ",\"coverage\":", 12);
	coverage_json(&c->search, &w);
	wr_bytes(&w, "}\n", 2);
	if (w.bad)
		cmd_fail("the answer is too large");
	fwrite(w.p, 1, w.len, stdout);
	wr_free(&w);
}

int
cmd_facets(struct cmd *c)
{
	struct facet f[FACETS_MAX] = { 0 };
	struct hist h = { 0 };
	bool hist = c->hist_ms > 0;
	struct doc d;
	struct hit *hit;
	int64_t hits = 0;

	for (int i = 0; i < c->nfacets; i++)
		facet_open(&f[i], c->facets[i]);
	hist_open(&h);
	doc_init(&d);
	while (search_next(&c->search, &hit) == E_OK) {
		hits++;
		if (doc_read(&d, &hit->r) != E_OK)
			continue;
		for (int i = 0; i < c->nfacets; i++)
			facet_hit(&f[i], &d, hit);
		if (hist)
			hist_hit(&h, c->hist_ms, 0, hit->r.ts);
	}
	doc_free(&d);
	for (int i = 0; i < c->nfacets; i++) {
		facet_sort(&f[i]);
		if (f[i].failed)
			cmd_fail("out of memory");
	}
	if (h.failed)
		cmd_fail("out of memory");
	if (c->out.format == OUT_JSON || c->out.format == OUT_JSONL)
		print_json(c, f, &h, hits);
	else
		print_text(f, c->nfacets, &h, hist);
	if (fflush(stdout) != 0)
		cmd_fail("cannot write the counts");
	if (h.lost > 0)
		fprintf(stderr, "chronik-search: %lld hits of more than %d "
		    "steps are left out\n", (long long)h.lost, HIST_MAX);
	fprintf(stderr, "%lld hits; ", (long long)hits);
	cmd_coverage(c);
	for (int i = 0; i < c->nfacets; i++)
		facet_free(&f[i]);
	hist_free(&h);
	return search_incomplete(&c->search) ? EXIT_INCOMPLETE : hits > 0 ?
	    EXIT_HITS : EXIT_NONE;
}
