/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as text and back: every line is one line of JSON, and what it says is
 * what the record was, byte for byte; the verdict on JSON is jansson's.  The
 * first bytes: 0 the options and what is null, 1 the key's length, 2 that of a
 * header's name, 3 that of its value; the value is the rest.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "fusefs/line.h"
#include "lib/render.h"
#include "lib/limits.h"

enum { LOAD = JSON_DECODE_ANY | JSON_ALLOW_NUL };

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static size_t
unbase64(const char *s, size_t n, uint8_t *to)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t acc = 0;
	size_t len = 0;
	int bits = 0;

	ASSERT(n % 4 == 0);
	for (size_t i = 0; i < n && s[i] != '='; i++) {
		const char *d = memchr(digit, s[i], 64);

		ASSERT(d != NULL);
		acc = acc << 6 | (uint32_t)(d - digit);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			to[len++] = (uint8_t)(acc >> bits);
		}
	}
	return len;
}

/* A string or base64 says these bytes. */
static void
same_bytes(json_t *text, json_t *coded, const uint8_t *p, int32_t n)
{
	uint8_t *b;

	if (coded == NULL) {
		ASSERT((n < 0) == json_is_null(text));
		ASSERT(n < 0 || (json_string_length(text) == (size_t)n &&
		    memcmp(json_string_value(text), p, (size_t)n) == 0));
		return;
	}
	ASSERT(n > 0 && text == NULL);
	b = malloc(json_string_length(coded));
	ASSERT(b != NULL && unbase64(json_string_value(coded),
	    json_string_length(coded), b) == (size_t)n);
	ASSERT(memcmp(b, p, (size_t)n) == 0);
	free(b);
}

/* jansson refuses numbers that do not fit, lone surrogates and names with
 * zeroes, which the grammar has, and takes a zero behind a number for the end;
 * what else it takes must be plain to us as well. */
static void
same_verdict(const uint8_t *p, size_t n)
{
	json_t *j = json_loadb((const char *)p, n, LOAD, NULL);
	bool plain = json_is_plain(p, n);

	if (j != NULL && !plain)
		ASSERT(json_is_string(j) || json_is_null(j) ||
		    n > JSON_DEPTH_MAX || memchr(p, 0, n) != NULL);
	if (j != NULL && plain)
		ASSERT(!json_is_string(j) && !json_is_null(j));
	json_decref(j);
}

static void
check_value(json_t *line, const struct record *rec)
{
	json_t *v = json_object_get(line, "v"), *raw;

	if (rec->value_len >= 0 && json_is_plain(rec->value,
	    (size_t)rec->value_len)) {
		raw = json_loadb((const char *)rec->value,
		    (size_t)rec->value_len, LOAD, NULL);
		ASSERT(raw != NULL && json_equal(raw, v));
		json_decref(raw);
	} else
		same_bytes(v, json_object_get(line, "v64"), rec->value,
		    rec->value_len);
}

static void
check_line(const struct record *rec, const struct wr *w,
    const struct header *h)
{
	json_t *j = json_loadb((const char *)w->p, w->len, LOAD, NULL), *o;

	/* Its JSON value, or the header's name, may be beyond jansson. */
	if (j == NULL) {
		ASSERT(json_is_plain(rec->value, (size_t)(rec->value_len < 0 ?
		    0 : rec->value_len)) || (rec->nheaders > 0 &&
		    memchr(h->key, 0, (size_t)h->key_len) != NULL));
		return;
	}
	ASSERT(json_integer_value(json_object_get(j, "o")) == rec->offset);
	same_bytes(json_object_get(j, "k"), json_object_get(j, "k64"),
	    rec->key, rec->key_len);
	if (rec->nheaders > 0 && (o = json_object_get(j, "h")) != NULL) {
		ASSERT(json_object_size(o) == 1);
		same_bytes(json_object_getn(o, (const char *)h->key,
		    (size_t)h->key_len), NULL, h->value, h->value_len);
	} else
		ASSERT((rec->nheaders > 0) ==
		    (json_object_get(j, "h64") != NULL));
	check_value(j, rec);
	json_decref(j);
}

static void
same_piece(const uint8_t *x, int32_t n, const uint8_t *y, int32_t m)
{
	ASSERT(n == m && (n <= 0 || memcmp(x, y, (size_t)n) == 0));
}

/* What is rendered and written again is the same record, but for line ends in
 * JSON; and any bytes at all are some line. */
static void
check_again(const struct record *rec, const struct wr *w,
    const struct header *h, bool pretty)
{
	bool plain = rec->value_len >= 0 && json_is_plain(rec->value,
	    (size_t)rec->value_len);
	const char *why;
	struct arena a;
	struct line l;
	enum err e;

	arena_init(&a, 64 * MIB);
	if (rec->value_len >= 0)
		(void)!line_read(rec->value, (size_t)rec->value_len, &a, &l,
		    &why);
	e = line_read(w->p, w->len - 1, &a, &l, &why);
	/* jansson has no names with zeroes; and times must be numbers. */
	if (e != E_OK) {
		ASSERT(pretty || (rec->nheaders > 0 &&
		    memchr(h->key, 0, (size_t)h->key_len) != NULL));
		arena_reset(&a);
		return;
	}
	ASSERT(l.ts == rec->ts && l.part == 3);
	same_piece(l.key, l.key_len, rec->key, rec->key_len);
	ASSERT(l.nheaders == rec->nheaders);
	if (l.nheaders > 0) {
		same_piece(l.headers[0].key, l.headers[0].key_len, h->key,
		    h->key_len);
		same_piece(l.headers[0].value, l.headers[0].value_len,
		    h->value, h->value_len);
	}
	if (!plain)
		same_piece(l.value, l.value_len, rec->value, rec->value_len);
	else
		ASSERT(json_is_plain(l.value, (size_t)l.value_len));
	arena_reset(&a);
}

/* A header as it stands in a record: two varints of lengths. */
static size_t
put_header(uint8_t *to, struct header *h)
{
	struct wr w = wr_fixed(to, 1024);

	wr_varint(&w, h->key_len);
	wr_bytes(&w, h->key, (size_t)h->key_len);
	wr_varint(&w, h->value_len);
	if (h->value_len > 0)
		wr_bytes(&w, h->value, (size_t)h->value_len);
	ASSERT(!w.bad);
	return w.len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct record rec = { .offset = 17, .ts = 1795392664928 };
	struct wr w = wr_grow(64 * MIB);
	struct render r = { 0 };
	uint8_t headers[1024], *copy;
	struct header h;
	size_t rest;

	if (n < 4 || n < 4u + data[1] + data[2] + data[3])
		return 0;
	rest = n - 4 - data[1] - data[2] - data[3];
	copy = malloc(n);	/* reads past it are seen */
	ASSERT(copy != NULL);
	memcpy(copy, data, n);
	r.pretty_time = data[0] & 2;
	rec.key = copy + 4;
	rec.key_len = data[0] & 4 ? -1 : data[1];
	h.key = copy + 4 + data[1];
	h.key_len = data[2];
	h.value = h.key + data[2];
	h.value_len = data[0] & 8 ? -1 : data[3];
	rec.value = h.value + data[3];
	rec.value_len = data[0] & 16 ? -1 : (int32_t)rest;
	rec.nheaders = data[0] & 32 ? 1 : 0;
	rec.headers = rd_of(headers, put_header(headers, &h));
	same_verdict(rec.value, rest);
	ASSERT(render_record(&r, 3, &rec, &w) == E_OK);
	ASSERT(w.len > 0 && memchr(w.p, '\n', w.len) == w.p + w.len - 1);
	check_line(&rec, &w, &h);
	check_again(&rec, &w, &h, r.pretty_time);
	w.len = 0;
	r.value_only = true;
	ASSERT(render_record(&r, 3, &rec, &w) == E_OK);
	ASSERT(memchr(w.p, '\n', w.len) == w.p + w.len - 1);
	wr_free(&w);
	free(copy);
	return 0;
}
