/* SPDX-License-Identifier: Apache-2.0 */
/* --facet and --hist: every hit is read and counted. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "facet.h"

enum { FACET_SHOWN = 10 };

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
			out_json_any(&w, s, strlen(s));
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
		if (hist)
			hist_hit(&h, c->hist_ms, 0, hit->r.ts);
		if (c->nfacets > 0 && doc_read(&d, &hit->r) != E_OK)
			cmd_fail("out of memory");
		for (int i = 0; i < c->nfacets; i++)
			facet_hit(&f[i], &d, hit);
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
