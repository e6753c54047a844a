/* SPDX-License-Identifier: Apache-2.0 */
/* Records taken apart. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "lib/limits.h"
#include "token.h"

void
doc_init(struct doc *d)
{
	*d = (struct doc){ 0 };
	arena_init(&d->arena, DOC_MEMORY_MAX);
}

void
doc_free(struct doc *d)
{
	arena_reset(&d->arena);
}

/* ---- texts ------------------------------------------------------------- */

static struct doc_text *
text_new(struct doc *d)
{
	if (d->ntexts == d->texts_cap) {
		int cap = d->texts_cap == 0 ? 16 : d->texts_cap * 2;
		struct doc_text *v = arena_array(&d->arena, (size_t)cap,
		    sizeof *v);

		if (v == NULL)
			return NULL;
		if (d->ntexts > 0)
			memcpy(v, d->texts, (size_t)d->ntexts * sizeof *v);
		d->texts = v;
		d->texts_cap = cap;
	}
	return &d->texts[d->ntexts++];
}

static bool
text_set(struct doc *d, struct doc_text *t, const char *s, size_t n)
{
	t->raw = s == NULL ? "" : s;
	t->raw_len = n;
	t->text = text_fold(t->raw, n, &t->len, &d->arena);
	return t->text != NULL;
}

/* ---- JSON -------------------------------------------------------------- */

static bool
path_note(struct doc *d, const char *path)
{
	if (path == NULL)
		return true;
	if (d->npaths == d->paths_cap) {
		int cap = d->paths_cap == 0 ? 16 : d->paths_cap * 2;
		const char **v = arena_array(&d->arena, (size_t)cap,
		    sizeof *v);

		if (v == NULL)
			return false;
		if (d->npaths > 0)
			memcpy(v, d->paths, (size_t)d->npaths * sizeof *v);
		d->paths = v;
		d->paths_cap = cap;
	}
	d->paths[d->npaths++] = path;
	return true;
}

/* The shortest decimal that reads back the same. */
static const char *
number_text(struct arena *a, const json_t *v)
{
	char buf[40];

	if (json_is_integer(v))
		snprintf(buf, sizeof buf, "%lld",
		    (long long)json_integer_value(v));
	else
		for (int digits = 15; digits <= 17; digits++) {
			snprintf(buf, sizeof buf, "%.*g", digits,
			    json_real_value(v));
			if (strtod(buf, NULL) == json_real_value(v))
				break;
		}
	return arena_strndup(a, buf, strlen(buf));
}

static bool
scalar(struct doc *d, const json_t *v, const char *path)
{
	struct doc_text *t = text_new(d);
	const char *s;
	size_t n;

	if (t == NULL)
		return false;
	t->path = path;
	t->words = true;
	switch (json_typeof(v)) {
	case JSON_STRING:
		n = json_string_length(v);
		s = arena_strndup(&d->arena, json_string_value(v), n);
		t->is_str = true;
		return s != NULL && text_set(d, t, s, n);
	case JSON_INTEGER:
	case JSON_REAL:
		t->num = json_number_value(v);
		t->is_num = true;
		s = number_text(&d->arena, v);
		return s != NULL && text_set(d, t, s, strlen(s));
	default:
		t->words = false;
		s = json_is_true(v) ? "true" : json_is_false(v) ? "false" :
		    "null";
		return text_set(d, t, s, strlen(s));
	}
}

/* NULL with *ok: the path is too long to be searched for. */
static const char *
path_join(struct doc *d, const char *path, const char *name, bool *ok)
{
	size_t n = path == NULL ? 0 : strlen(path) + 1, m = strlen(name);
	char *out;

	if (n + m > DOC_PATH_MAX)
		return NULL;
	out = arena_alloc(&d->arena, n + m + 1);
	*ok = out != NULL;
	if (out == NULL)
		return NULL;
	if (n > 0) {
		memcpy(out, path, n - 1);
		out[n - 1] = '.';
	}
	memcpy(out + n, name, m);
	return out;
}

static bool
flatten(struct doc *d, json_t *v, const char *path, int depth)
{
	const char *name, *at;
	json_t *kid;
	size_t i;
	bool ok = true;

	if (depth > DOC_DEPTH_MAX || d->ntexts >= DOC_TEXTS_MAX)
		return true;
	if (json_is_array(v)) {
		json_array_foreach(v, i, kid)
			if (!flatten(d, kid, path, depth + 1))
				return false;
		return true;
	}
	if (!json_is_object(v))
		return scalar(d, v, path);
	json_object_foreach(v, name, kid) {
		/* Below a path that is too long there are only texts. */
		at = depth > 0 && path == NULL ? NULL :
		    path_join(d, path, name, &ok);
		if (!ok || !path_note(d, at) ||
		    !flatten(d, kid, at, depth + 1))
			return false;
	}
	return true;
}

/* The value as JSON, if it is an object or an array. */
static json_t *
parse(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n' ||
	    p[i] == '\r'))
		i++;
	if (i == n || (p[i] != '{' && p[i] != '['))
		return NULL;
	return json_loadb((const char *)p, n, JSON_ALLOW_NUL, NULL);
}

static enum err
read_value(struct doc *d, const struct record *r)
{
	size_t n = r->value_len < 0 ? 0 : (size_t)r->value_len;
	struct doc_text *t;
	json_t *v;
	bool ok;

	d->tombstone = r->value_len < 0;
	if (d->tombstone)
		return E_OK;
	v = n > DOC_VALUE_MAX ? NULL : parse(r->value, n);
	if (v != NULL) {
		d->json = true;
		ok = flatten(d, v, NULL, json_is_array(v) ? -1 : 0);
		json_decref(v);
		return ok ? E_OK : E_NOMEM;
	}
	t = text_new(d);
	if (t == NULL)
		return E_NOMEM;
	t->words = t->is_str = true;
	return text_set(d, t, (const char *)r->value, n > DOC_VALUE_MAX ?
	    DOC_VALUE_MAX : n) ? E_OK : E_NOMEM;
}

/* ---- the rest ---------------------------------------------------------- */

static enum err
read_headers(struct doc *d, const struct record *r)
{
	struct record copy = *r;
	struct header h;
	enum err e;
	int n = r->nheaders < DOC_HEADERS_MAX ? r->nheaders :
	    DOC_HEADERS_MAX;

	d->headers = arena_array(&d->arena, (size_t)n, sizeof *d->headers);
	if (d->headers == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	while (d->nheaders < n && (e = header_next(&copy, &h)) == E_OK) {
		struct doc_header *o = &d->headers[d->nheaders++];

		o->name = (const char *)h.key;
		o->name_len = h.key_len < 0 ? 0 : (size_t)h.key_len;
		o->value.words = o->value.is_str = true;
		if (!text_set(d, &o->value, (const char *)h.value,
		    h.value_len < 0 ? 0 : h.value_len > DOC_KEY_MAX ?
		    DOC_KEY_MAX : (size_t)h.value_len))
			return E_NOMEM;
	}
	return d->nheaders == n ? E_OK : E_INVALID_RECORD;
}

enum err
doc_read(struct doc *d, const struct record *r)
{
	enum err e;

	arena_reset(&d->arena);
	d->json = d->tombstone = false;
	d->ntexts = d->texts_cap = d->npaths = d->paths_cap = 0;
	d->nheaders = 0;
	d->key = (struct doc_text){ 0 };
	e = read_value(d, r);
	if (e == E_OK && r->key_len >= 0) {
		d->key.words = d->key.is_str = true;
		if (!text_set(d, &d->key, (const char *)r->key,
		    r->key_len > DOC_KEY_MAX ? DOC_KEY_MAX :
		    (size_t)r->key_len))
			e = E_NOMEM;
	}
	return e == E_OK ? read_headers(d, r) : e;
}

const struct doc_text *
doc_words(const struct doc *d, int i)
{
	if (i < d->ntexts)
		return &d->texts[i];
	i -= d->ntexts;
	if (d->key.raw != NULL && i-- == 0)
		return &d->key;
	return i < d->nheaders ? &d->headers[i].value : NULL;
}
