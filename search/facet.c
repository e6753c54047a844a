/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hits counted by the values of members, and by time.  The values that are told
 * apart are bounded, and what is beyond is counted together.
 */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "facet.h"

enum { FACET_VALUE_MAX = 4096 };

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

static _Thread_local struct facet *collecting;

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
