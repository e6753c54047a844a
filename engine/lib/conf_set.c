/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of configs that somebody gave values; small, so searched in line. */
#include <stdlib.h>
#include <string.h>

#include "conf_value.h"

static int
find(const struct conf_set *s, const char *name)
{
	for (int i = 0; i < s->n; i++)
		if (strcmp(s->v[i].name, name) == 0)
			return i;
	return -1;
}

const char *
conf_set_get(const struct conf_set *s, const char *name)
{
	int i = find(s, name);

	return i < 0 ? NULL : s->v[i].value;
}

enum err
conf_set_put(struct conf_set *s, const char *name, char *value)
{
	struct conf_setting *v;
	int i = find(s, name);

	if (i >= 0) {
		free(s->v[i].value);
		s->v[i].value = value;
		return E_OK;
	}
	v = realloc(s->v, ((size_t)s->n + 1) * sizeof *v);
	if (v == NULL) {
		free(value);
		return E_NOMEM;
	}
	s->v = v;
	s->v[s->n++] = (struct conf_setting){ name, value };
	return E_OK;
}

void
conf_set_drop(struct conf_set *s, const char *name)
{
	int i = find(s, name);

	if (i < 0)
		return;
	free(s->v[i].value);
	memmove(s->v + i, s->v + i + 1,
	    (size_t)(s->n - i - 1) * sizeof *s->v);
	s->n--;
}

enum err
conf_set_copy(struct conf_set *to, const struct conf_set *from)
{
	enum err e = E_OK;

	*to = (struct conf_set){ 0 };
	for (int i = 0; e == E_OK && i < from->n; i++) {
		char *v = strdup(from->v[i].value);

		e = v == NULL ? E_NOMEM :
		    conf_set_put(to, from->v[i].name, v);
	}
	if (e != E_OK)
		conf_set_free(to);
	return e;
}

bool
conf_set_eq(const struct conf_set *a, const struct conf_set *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++) {
		const char *v = conf_set_get(b, a->v[i].name);

		if (v == NULL || strcmp(v, a->v[i].value) != 0)
			return false;
	}
	return true;
}

void
conf_set_free(struct conf_set *s)
{
	for (int i = 0; i < s->n; i++)
		free(s->v[i].value);
	free(s->v);
	*s = (struct conf_set){ 0 };
}
