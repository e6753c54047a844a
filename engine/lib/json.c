/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON for the renderer.  Every byte of every message goes through here, so
 * strings are looked at eight bytes at a time; nothing recurses.
 */
#include <string.h>

#include "json.h"
#include "utf8.h"

#define ONES	UINT64_C(0x0101010101010101)
#define HIGHS	UINT64_C(0x8080808080808080)

/* ---- strings ----------------------------------------------------------- */

/* A bit per byte that is a control character, '"', '\\' or not ASCII; bytes
 * after the first such one may be wrong. */
static inline uint64_t
special(uint64_t x)
{
	uint64_t quote = x ^ ONES * '"', back = x ^ ONES * '\\';

	return (x | ((x - ONES * 0x20) & ~x) | ((quote - ONES) & ~quote) |
	    ((back - ONES) & ~back)) & HIGHS;
}

/* The first special byte, or the end. */
static inline const uint8_t *
skip_plain(const uint8_t *p, const uint8_t *end)
{
	uint64_t x;

	while (end - p >= 8) {
		memcpy(&x, p, 8);
		if (special(x) != 0)
			break;
		p += 8;
	}
	while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static bool
is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' &&
	    (c | 0x20) <= 'f');
}

/* p is at a backslash; NULL when it is no escape. */
static const uint8_t *
escape(const uint8_t *p, const uint8_t *end)
{
	if (end - p < 2)
		return NULL;
	if (p[1] != 'u')
		return p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL ?
		    p + 2 : NULL;
	if (end - p < 6)
		return NULL;
	for (int i = 2; i < 6; i++)
		if (!is_hex(p[i]))
			return NULL;
	return p + 6;
}

const uint8_t *
json_string_end(const uint8_t *p, const uint8_t *end, bool *escapes)
{
	size_t k;

	*escapes = false;
	if (p == end || *p != '"')
		return NULL;
	p++;
	for (;;) {
		p = skip_plain(p, end);
		if (p == end || *p < 0x20)
			return NULL;
		if (*p == '"')
			return p + 1;
		if (*p == '\\') {
			*escapes = true;
			p = escape(p, end);
		} else
			p = (k = utf8_len(p, (size_t)(end - p))) == 0 ? NULL :
			    p + k;
		if (p == NULL)
			return NULL;
	}
}

static const uint8_t *
string(const uint8_t *p, const uint8_t *end)
{
	bool escapes;

	return json_string_end(p, end, &escapes);
}

/* ---- values ------------------------------------------------------------ */

static inline const uint8_t *
blanks(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' ||
	    *p == '\r'))
		p++;
	return p;
}

static const uint8_t *
digits(const uint8_t *p, const uint8_t *end)
{
	if (p == end || *p < '0' || *p > '9')
		return NULL;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

const uint8_t *
json_number_end(const uint8_t *p, const uint8_t *end)
{
	if (p < end && *p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else if ((p = digits(p, end)) == NULL)
		return NULL;
	if (p < end && *p == '.' && (p = digits(p + 1, end)) == NULL)
		return NULL;
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		return digits(p, end);
	}
	return p;
}

static const uint8_t *
word(const uint8_t *p, const uint8_t *end, const char *w)
{
	size_t n = strlen(w);

	return (size_t)(end - p) >= n && memcmp(p, w, n) == 0 ? p + n : NULL;
}

static const uint8_t *
scalar(const uint8_t *p, const uint8_t *end)
{
	switch (*p) {
	case '"':
		return string(p, end);
	case 't':
		return word(p, end, "true");
	case 'f':
		return word(p, end, "false");
	case 'n':
		return word(p, end, "null");
	default:
		return json_number_end(p, end);
	}
}

/* Which of the open brackets are of objects, one bit each. */
struct nest {
	uint64_t	bits[JSON_DEPTH_MAX / 64];
	int		depth;
};

static inline bool
in_object(const struct nest *s)
{
	int i = s->depth - 1;

	return s->bits[i / 64] >> (i % 64) & 1;
}

static bool
nest_push(struct nest *s, bool object)
{
	int i = s->depth;

	if (i == JSON_DEPTH_MAX)
		return false;
	s->bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
	s->bits[i / 64] |= (uint64_t)object << (i % 64);
	s->depth++;
	return true;
}

/* "name": before a value of an object. */
static const uint8_t *
name(const uint8_t *p, const uint8_t *end)
{
	p = string(blanks(p, end), end);
	if (p == NULL)
		return NULL;
	p = blanks(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

/* After a value: closes brackets; *more: another value follows. */
static const uint8_t *
after(const uint8_t *p, const uint8_t *end, struct nest *s, bool *more)
{
	*more = false;
	while (p != NULL && s->depth > 0) {
		p = blanks(p, end);
		if (p == end)
			return NULL;
		if (*p == ',') {
			*more = true;
			return in_object(s) ? name(p + 1, end) : p + 1;
		}
		if (*p != (in_object(s) ? '}' : ']'))
			return NULL;
		s->depth--;
		p++;
	}
	return p;
}

/* p is at a bracket.  *more: a value follows. */
static const uint8_t *
opened(const uint8_t *p, const uint8_t *end, struct nest *s, bool *more)
{
	bool object = *p == '{';

	*more = false;
	if (!nest_push(s, object))
		return NULL;
	p = blanks(p + 1, end);
	if (p < end && *p == (object ? '}' : ']')) {
		s->depth--;
		return p + 1;
	}
	*more = true;
	return object ? name(p, end) : p;
}

/* p is where a value should begin; returns what follows it, or NULL. */
static const uint8_t *
value(const uint8_t *p, const uint8_t *end)
{
	struct nest s = { .depth = 0 };
	bool more;

	do {
		p = blanks(p, end);
		if (p == end)
			return NULL;
		if (*p == '{' || *p == '[') {
			p = opened(p, end, &s, &more);
			if (p != NULL && more)
				continue;
		} else
			p = scalar(p, end);
		p = after(p, end, &s, &more);
	} while (p != NULL && more);
	return p;
}

bool
json_is_plain(const uint8_t *p, size_t n)
{
	const uint8_t *end = n == 0 ? p : p + n;

	p = blanks(p, end);
	if (p == end || *p == '"' || *p == 'n')
		return false;
	p = value(p, end);
	return p != NULL && blanks(p, end) == end;
}

bool
json_has_members(const uint8_t *p, size_t n)
{
	const uint8_t *at = blanks(p, n == 0 ? p : p + n);

	return json_is_plain(p, n) && *at == '{';
}

bool
json_member(struct rd *r, struct json_span *key, struct json_span *v)
{
	const uint8_t *p = blanks(r->p, r->end);

	if (p < r->end && (*p == '{' || *p == ','))
		p = blanks(p + 1, r->end);
	if (p == r->end || *p != '"')
		return false;
	key->p = p;
	p = string(p, r->end);
	ASSERT(p != NULL);	/* it is an object */
	key->n = (size_t)(p - key->p);
	p = blanks(blanks(p, r->end) + 1, r->end);
	v->p = p;
	p = value(p, r->end);
	ASSERT(p != NULL);
	v->n = (size_t)(p - v->p);
	r->p = p;
	return true;
}

/* ---- writing ----------------------------------------------------------- */

static void
put_escaped(struct wr *w, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	static const char *const short_[0x20] = { ['\b'] = "\\b",
	    ['\f'] = "\\f", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t" };
	char b[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (c == '"' || c == '\\') {
		b[1] = (char)c;
		wr_bytes(w, b, 2);
	} else if (short_[c] != NULL)
		wr_bytes(w, short_[c], 2);
	else
		wr_bytes(w, b, 6);
}

void
json_put_string(struct wr *w, const uint8_t *p, size_t n)
{
	const uint8_t *end = n == 0 ? p : p + n, *q;

	wr_bytes(w, "\"", 1);
	while (p < end) {
		q = skip_plain(p, end);
		while (q < end && *q >= 0x80)
			q = skip_plain(q + 1, end);
		wr_bytes(w, p, (size_t)(q - p));
		if (q < end)
			put_escaped(w, *q++);
		p = q;
	}
	wr_bytes(w, "\"", 1);
}

void
json_put_base64(struct wr *w, const uint8_t *p, size_t n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t *to = wr_room(w, (n + 2) / 3 * 4 + 2);
	uint32_t x;

	if (to == NULL)
		return;
	*to++ = '"';
	for (size_t i = 0; i < n; i += 3) {
		x = (uint32_t)p[i] << 16;
		x |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		x |= i + 2 < n ? (uint32_t)p[i + 2] : 0;
		*to++ = (uint8_t)digit[x >> 18];
		*to++ = (uint8_t)digit[x >> 12 & 63];
		*to++ = i + 1 < n ? (uint8_t)digit[x >> 6 & 63] : '=';
		*to++ = i + 2 < n ? (uint8_t)digit[x & 63] : '=';
	}
	*to = '"';
}

void
json_put_int(struct wr *w, int64_t v)
{
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
	uint8_t b[20];
	int i = sizeof b;

	do
		b[--i] = (uint8_t)('0' + u % 10);
	while ((u /= 10) > 0);
	if (v < 0)
		b[--i] = '-';
	wr_bytes(w, b + i, sizeof b - (size_t)i);
}
