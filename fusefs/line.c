/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of produce files.  The members of a record in JSON are found by our own
 * scanner, so that a value of JSON keeps its bytes; strings are decoded by
 * jansson.
 */
#include <jansson.h>
#include <string.h>

#include "lib/json.h"
#include "line.h"

enum member { M_P, M_O, M_TS, M_K, M_K64, M_H, M_H64, M_V, M_V64, M_MAX };

static const char *const names[M_MAX] = { "\"p\"", "\"o\"", "\"ts\"", "\"k\"",
	"\"k64\"", "\"h\"", "\"h64\"", "\"v\"", "\"v64\"" };

/* False: the line is no record in JSON. */
static bool
members(const uint8_t *p, size_t n, struct json_span at[M_MAX])
{
	struct rd r = rd_of(p, n);
	struct json_span key, v;
	int m;

	if (!json_has_members(p, n))
		return false;
	while (json_member(&r, &key, &v)) {
		for (m = 0; m < M_MAX; m++)
			if (strlen(names[m]) == key.n &&
			    memcmp(names[m], key.p, key.n) == 0)
				break;
		if (m == M_MAX || at[m].p != NULL)
			return false;
		at[m] = v;
	}
	return at[M_V].p != NULL || at[M_V64].p != NULL;
}

static json_t *
load(struct json_span s)
{
	return json_loadb((const char *)s.p, s.n, JSON_DECODE_ANY |
	    JSON_ALLOW_NUL, NULL);
}

static int
digit_of(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ?
	    c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 :
	    c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict base64, with its padding. */
static bool
unbase64(const char *s, size_t n, uint8_t *to, int32_t *len)
{
	uint32_t x = 0;
	size_t out = 0, pad = 0;
	int d;

	if (n % 4 != 0)
		return false;
	while (pad < 2 && n > pad && s[n - pad - 1] == '=')
		pad++;
	for (size_t i = 0; i < n; i++) {
		d = i >= n - pad ? 0 : digit_of((uint8_t)s[i]);
		if (d < 0)
			return false;
		x = x << 6 | (uint32_t)d;
		if (i % 4 == 3)
			for (int k = 16; k >= 0; k -= 8)
				if (out < n / 4 * 3 - pad)
					to[out++] = (uint8_t)(x >> k);
	}
	*len = (int32_t)out;
	return true;
}

/* The bytes of a string (or of base64), in the arena. */
static enum err
bytes_of(json_t *j, bool coded, struct arena *a, const uint8_t **p,
    int32_t *len)
{
	size_t n = json_string_length(j);
	uint8_t *to;

	if (!json_is_string(j))
		return E_INVALID_RECORD;
	to = arena_alloc(a, n + 1);
	if (to == NULL)
		return E_NOMEM;
	*p = to;
	*len = (int32_t)n;
	if (coded)
		return unbase64(json_string_value(j), n, to, len) ? E_OK :
		    E_INVALID_RECORD;
	memcpy(to, json_string_value(j), n);
	return E_OK;
}

/* null, a string, or base64 where that is asked. */
static enum err
take_bytes(struct json_span s, bool coded, struct arena *a,
    const uint8_t **p, int32_t *len)
{
	json_t *j = load(s);
	enum err e = E_OK;

	if (json_is_null(j) && !coded)
		*len = -1;
	else
		e = bytes_of(j, coded, a, p, len);
	json_decref(j);
	return e;
}

static enum err
take_value(const struct json_span at[M_MAX], struct arena *a, struct line *l)
{
	const struct json_span *v = &at[M_V];

	if (v->p == NULL)
		return take_bytes(at[M_V64], true, a, &l->value,
		    &l->value_len);
	if (*v->p == '"' || *v->p == 'n')
		return take_bytes(*v, false, a, &l->value, &l->value_len);
	l->value = v->p;
	l->value_len = (int32_t)v->n;
	return E_OK;
}

static enum err
take_int(struct json_span s, int64_t min, int64_t max, int64_t *out)
{
	json_t *j = load(s);
	bool ok = json_is_integer(j) && json_integer_value(j) >= min &&
	    json_integer_value(j) <= max;

	*out = ok ? json_integer_value(j) : -1;
	json_decref(j);
	return ok ? E_OK : E_INVALID_RECORD;
}

static enum err
header_of(json_t *name, const char *key, size_t key_len, json_t *v,
    bool coded, struct arena *a, struct header *h)
{
	uint8_t *p;
	enum err e;

	if (coded) {
		if ((e = bytes_of(name, true, a, &h->key, &h->key_len)) !=
		    E_OK)
			return e;
	} else {
		if ((p = arena_alloc(a, key_len + 1)) == NULL)
			return E_NOMEM;
		memcpy(p, key, key_len);
		h->key = p;
		h->key_len = (int32_t)key_len;
	}
	if (json_is_null(v)) {
		h->value_len = -1;
		return E_OK;
	}
	return bytes_of(v, coded, a, &h->value, &h->value_len);
}

/* An object of strings, or a list of pairs of base64. */
static enum err
take_headers(json_t *j, bool coded, struct arena *a, struct line *l)
{
	size_t n = coded ? json_array_size(j) : json_object_size(j), i, len;
	enum err e = E_OK;
	const char *key;
	json_t *v;

	if ((coded ? !json_is_array(j) : !json_is_object(j)) ||
	    n > LINE_HEADERS_MAX)
		return E_INVALID_RECORD;
	l->headers = arena_array(a, n, sizeof *l->headers);
	if (l->headers == NULL)
		return E_NOMEM;
	if (!coded) {
		json_object_keylen_foreach(j, key, len, v)
			if (e == E_OK)
				e = header_of(NULL, key, len, v, false, a,
				    &l->headers[l->nheaders++]);
		return e;
	}
	json_array_foreach(j, i, v)
		if (e == E_OK)
			e = json_array_size(v) != 2 ? E_INVALID_RECORD :
			    header_of(json_array_get(v, 0), NULL, 0,
			    json_array_get(v, 1), true, a,
			    &l->headers[l->nheaders++]);
	return e;
}

static enum err
take_record(const struct json_span at[M_MAX], struct arena *a,
    struct line *l, const char **why)
{
	int64_t part = -1;
	bool coded = at[M_H64].p != NULL;
	json_t *j;
	enum err e;

	*why = "v must be text, v64 base64, and one of them";
	if (at[M_V].p != NULL && at[M_V64].p != NULL)
		return E_INVALID_RECORD;
	e = take_value(at, a, l);
	if (e == E_OK && (at[M_K].p != NULL || at[M_K64].p != NULL)) {
		*why = "k must be text or null, k64 base64, not both";
		e = at[M_K].p != NULL && at[M_K64].p != NULL ?
		    E_INVALID_RECORD : take_bytes(at[M_K].p != NULL ?
		    at[M_K] : at[M_K64], at[M_K].p == NULL, a, &l->key,
		    &l->key_len);
	}
	if (e == E_OK && at[M_P].p != NULL) {
		*why = "p must be the number of a partition";
		e = take_int(at[M_P], 0, INT32_MAX, &part);
		l->part = (int32_t)part;
	}
	if (e == E_OK && at[M_TS].p != NULL) {
		*why = "ts must be milliseconds since 1970";
		e = take_int(at[M_TS], -1, INT64_MAX, &l->ts);
	}
	if (e == E_OK && (at[M_H].p != NULL || coded)) {
		*why = "h must be an object of texts, h64 a list of pairs";
		j = load(coded ? at[M_H64] : at[M_H]);
		e = coded && at[M_H].p != NULL ? E_INVALID_RECORD :
		    take_headers(j, coded, a, l);
		json_decref(j);
	}
	return e;
}

enum err
line_read(const uint8_t *p, size_t n, struct arena *a, struct line *l,
    const char **why)
{
	struct json_span at[M_MAX] = { { NULL, 0 } };

	*l = (struct line){ .part = -1, .ts = -1, .key_len = -1,
	    .value_len = -1 };
	*why = NULL;
	if (members(p, n, at))
		return take_record(at, a, l, why);
	l->value = p;
	l->value_len = (int32_t)n;
	return E_OK;
}
