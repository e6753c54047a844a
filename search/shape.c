/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shape.h"

static bool
list_set(struct shape_list *l, const char *p, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy == NULL)
		return false;
	memcpy(copy, p, n);
	free(l->p);
	*l = (struct shape_list){ copy, n };
	return true;
}

bool
shapes_take(void *arg, const char *key, const char *list, size_t n)
{
	struct shapes *s = arg;
	long no = strtol(key + strlen(SHAPE_KEY), NULL, 10);

	if (no < 0 || no >= SHAPES_MAX || s->v[no].p != NULL || n == 0)
		return true;
	if (!list_set(&s->v[no], list, n)) {
		s->full = true;
		return false;
	}
	if (no >= s->n)
		s->n = s->stored = (int)no + 1;
	return true;
}

void
shapes_free(struct shapes *s)
{
	for (int i = 0; i < SHAPES_MAX; i++) {
		free(s->v[i].p);
		free(s->seen[i].p);
	}
	*s = (struct shapes){ 0 };
}

const char *
shape_next(const char *list, size_t n, const char *name)
{
	const char *next = name == NULL ? list + 1 : name + strlen(name) + 1;

	return next < list + n ? next : NULL;
}

/* The names one after the other, but for what is there twice in a row; false:
 * they are too many. */
static bool
spell(const char *const *names, int count, char out[SHAPE_BYTES], size_t *n)
{
	const char *last = NULL;

	out[0] = '{';
	*n = 1;
	for (int i = 0; i < count; i++) {
		size_t len = strlen(names[i]) + 1;

		if (last != NULL && strcmp(names[i], last) == 0)
			continue;
		if (len > SHAPE_BYTES - *n)
			return false;
		last = memcpy(out + *n, names[i], len);
		*n += len;
	}
	return true;
}

static bool
list_is(const struct shape_list *l, const char *p, size_t n)
{
	return l->p != NULL && l->n == n && memcmp(l->p, p, n) == 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The number of a list that was not met lately. */
static int
number(struct shapes *s, const struct doc *d)
{
	const char **names = malloc(((size_t)d->npaths + 1) * sizeof *names);
	char list[SHAPE_BYTES];
	int no = -1;
	size_t n;

	if (names == NULL)
		return -1;
	if (d->npaths > 0) {
		memcpy(names, d->paths, (size_t)d->npaths * sizeof *names);
		qsort(names, (size_t)d->npaths, sizeof *names, by_name);
	}
	if (spell(names, d->npaths, list, &n)) {
		for (int i = 0; i < s->n && no < 0; i++)
			if (list_is(&s->v[i], list, n))
				no = i;
		if (no < 0 && s->grows && !s->full && s->n < SHAPES_MAX &&
		    list_set(&s->v[s->n], list, n))
			no = s->n++;
	}
	free(names);
	return no;
}

int
shapes_find(struct shapes *s, const struct doc *d)
{
	char list[SHAPE_BYTES];
	size_t n;
	int no;

	if (!d->json || !spell(d->paths, d->npaths, list, &n))
		return -1;
	for (int i = 0; i < s->nseen; i++)
		if (list_is(&s->seen[i], list, n))
			return s->seen_as[i];
	no = number(s, d);
	if (list_set(&s->seen[s->next], list, n)) {
		s->seen_as[s->next] = no;
		if (s->nseen == s->next)
			s->nseen++;
		s->next = (s->next + 1) % SHAPES_MAX;
	}
	return no;
}

enum err
shapes_store(struct shapes *s, struct xap_writer *w)
{
	enum err e = E_OK;
	char key[32];

	for (; s->stored < s->n && e == E_OK; s->stored++) {
		snprintf(key, sizeof key, SHAPE_KEY "%d", s->stored);
		e = xap_meta_set(w, key, s->v[s->stored].p,
		    s->v[s->stored].n);
	}
	return e;
}
