/* SPDX-License-Identifier: Apache-2.0 */
/* Records taken apart. */
#include <string.h>

#include "doc.h"
#include "jin.h"
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

/* NULL: the path is too long to be searched for, or j->no_memory. */
static const char *
path_join(struct jin *j, const char *path, const char *name, size_t m)
{
	size_t n = path == NULL ? 0 : strlen(path) + 1;
	char *out;

	if (n + m > DOC_PATH_MAX)
		return NULL;
	out = arena_alloc(j->arena, n + m + 1);
	j->no_memory = out == NULL;
	if (out == NULL)
		return NULL;
	if (n > 0) {
		memcpy(out, path, n - 1);
		out[n - 1] = '.';
	}
	memcpy(out + n, name, m);
	return out;
}

/* What is being taken apart: where it stands, and whether it is left out. */
struct spot {
	const char	*path;
	int		 depth, level;	/* level: from 1, of arrays too */
	bool		 quiet;
};

static bool value(struct doc *, struct jin *, struct spot);

static bool
scalar(struct doc *d, struct jin *j, const struct spot *at, char c)
{
	struct doc_text t = { .path = at->path, .words = true }, *out;
	const char *s;
	size_t n;
	bool ok;

	if (c == '"') {
		ok = jin_string(j, &s, &n);
		t.is_str = true;
	} else if (c == '-' || (c >= '0' && c <= '9')) {
		ok = jin_number(j, &s, &n, &t.num);
		t.is_num = true;
	} else {
		ok = jin_literal(j, &s, &n);
		t.words = false;
	}
	if (!ok || at->quiet)
		return ok;
	out = text_new(d);
	if (out == NULL || !text_set(d, &t, s, n)) {
		j->no_memory = true;
		return false;
	}
	*out = t;
	return true;
}

static bool
array(struct doc *d, struct jin *j, struct spot kid)
{
	if (jin_take(j, ']'))
		return true;
	do
		if (!value(d, j, kid))
			return false;
	while (jin_take(j, ','));
	return jin_take(j, ']');
}

static bool
object(struct doc *d, struct jin *j, const struct spot *at, struct spot kid)
{
	const char *name;
	size_t n;

	if (jin_take(j, '}'))
		return true;
	do {
		if (!jin_string(j, &name, &n) || memchr(name, '\0', n) !=
		    NULL || !jin_take(j, ':'))
			return false;
		/* Below a path that is too long there are only texts. */
		kid.path = at->quiet || (at->depth > 0 && at->path == NULL) ?
		    NULL : path_join(j, at->path, name, n);
		j->no_memory |= !path_note(d, kid.path);
		if (j->no_memory || !value(d, j, kid))
			return false;
	} while (jin_take(j, ','));
	return jin_take(j, '}');
}

static bool
value(struct doc *d, struct jin *j, struct spot at)
{
	struct spot kid = at;
	char c = jin_next(j);

	at.quiet |= at.depth > DOC_DEPTH_MAX || d->ntexts >= DOC_TEXTS_MAX;
	kid.quiet = at.quiet;
	kid.depth++;
	kid.level++;
	if (at.level > JIN_DEPTH_MAX)
		return false;
	if (c != '{' && c != '[')
		return scalar(d, j, &at, c);
	j->at++;
	return c == '{' ? object(d, j, &at, kid) : array(d, j, kid);
}

/* Takes the value apart if it is an object or an array; E_NOTFOUND when it is
 * no JSON. */
static enum err
read_json(struct doc *d, const uint8_t *p, size_t n)
{
	struct jin j = { (const char *)p, (const char *)p + n, &d->arena,
	    false };
	char c = jin_next(&j);

	if (c != '{' && c != '[')
		return E_NOTFOUND;
	/* An array is no level of the paths. */
	if (value(d, &j, (struct spot){ NULL, c == '[' ? -1 : 0, 1, false })
	    && jin_next(&j) == '\0' && j.at == j.end) {
		d->json = true;
		return E_OK;
	}
	d->ntexts = d->npaths = 0;
	return j.no_memory ? E_NOMEM : E_NOTFOUND;
}

static enum err
read_value(struct doc *d, const struct record *r)
{
	size_t n = r->value_len < 0 ? 0 : (size_t)r->value_len;
	struct doc_text *t;
	enum err e;

	d->tombstone = r->value_len < 0;
	if (d->tombstone)
		return E_OK;
	e = n > DOC_VALUE_MAX ? E_NOTFOUND : read_json(d, r->value, n);
	if (e != E_NOTFOUND)
		return e;
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
