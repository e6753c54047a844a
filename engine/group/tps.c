/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of partitions. */
#include <stdlib.h>
#include <string.h>

#include "tps.h"

void
tps_free(struct tps *s)
{
	free(s->v);
	*s = (struct tps){ 0 };
}

static enum err
tps_room(struct tps *s, int n)
{
	uint64_t *v;
	int cap = s->cap;

	if (n <= cap)
		return E_OK;
	if (cap < 4)
		cap = 4;
	while (cap < n)
		cap *= 2;
	v = realloc(s->v, (size_t)cap * sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	s->v = v;
	s->cap = cap;
	return E_OK;
}

enum err
tps_push(struct tps *s, uint64_t tp)
{
	enum err e = tps_room(s, s->n + 1);

	if (e == E_OK)
		s->v[s->n++] = tp;
	return e;
}

static int
cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void
tps_sort(struct tps *s)
{
	int n = 0;

	if (s->n > 1)
		qsort(s->v, (size_t)s->n, sizeof *s->v, cmp);
	for (int i = 0; i < s->n; i++)
		if (n == 0 || s->v[n - 1] != s->v[i])
			s->v[n++] = s->v[i];
	s->n = n;
}

enum err
tps_copy(struct tps *to, const struct tps *from)
{
	enum err e = tps_room(to, from->n);

	if (e != E_OK)
		return e;
	if (from->n > 0)
		memcpy(to->v, from->v, (size_t)from->n * sizeof *to->v);
	to->n = from->n;
	return E_OK;
}

int
tps_find(const struct tps *s, uint64_t tp)
{
	const uint64_t *at = s->n == 0 ? NULL : bsearch(&tp, s->v,
	    (size_t)s->n, sizeof tp, cmp);

	return at == NULL ? -1 : (int)(at - s->v);
}

bool
tps_has(const struct tps *s, uint64_t tp)
{
	return tps_find(s, tp) >= 0;
}

bool
tps_eq(const struct tps *a, const struct tps *b)
{
	return a->n == b->n && (a->n == 0 ||
	    memcmp(a->v, b->v, (size_t)a->n * sizeof *a->v) == 0);
}

enum err
tps_split(const struct tps *a, const struct tps *b, struct tps *both,
    struct tps *only)
{
	enum err e = E_OK;

	for (int i = 0, k = 0; i < a->n && e == E_OK; i++) {
		while (k < b->n && b->v[k] < a->v[i])
			k++;
		e = tps_push(k < b->n && b->v[k] == a->v[i] ? both : only,
		    a->v[i]);
	}
	return e;
}
