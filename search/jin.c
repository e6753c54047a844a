/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, value by value. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "jin.h"
#include "lib/json.h"

enum {
	DIGITS_INT	= 18,	/* fit into 64 bits whatever they are */
	DIGITS_REAL	= 15,	/* go through a double and back */
	ZEROS_REAL	= 3,	/* behind "0."; with more comes an exponent */
};

char
jin_next(struct jin *j)
{
	while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' ||
	    *j->at == '\n' || *j->at == '\r'))
		j->at++;
	return j->at < j->end ? *j->at : '\0';
}

bool
jin_take(struct jin *j, char c)
{
	if (jin_next(j) != c || j->at == j->end)
		return false;
	j->at++;
	return true;
}

/* ---- strings ----------------------------------------------------------- */

/* Four hexadecimal digits. */
static uint32_t
take_hex(const char **p)
{
	uint32_t x = 0;

	for (int i = 0; i < 4; i++) {
		char c = *(*p)++;

		x = x << 4 | (uint32_t)(c <= '9' ? c - '0' :
		    (c | 0x20) - 'a' + 10);
	}
	return x;
}

/* What follows "\u", also the second half of a pair. */
static bool
take_unicode(const char **p, const char *end, char **out)
{
	uint32_t c = take_hex(p), low;
	int n;

	if (c >= 0xd800 && c <= 0xdbff) {
		if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
			return false;
		*p += 2;
		low = take_hex(p);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	n = u8_uctomb((uint8_t *)*out, c, 4);
	if (n <= 0)
		return false;
	*out += n;
	return true;
}

/* The text of [p, end), which has escapes, all well-formed; out has room for
 * as much. */
static bool
unescape(const char *p, const char *end, char *out, size_t *n)
{
	static const char names[] = "\"\\/bfnrt", are[] = "\"\\/\b\f\n\r\t";
	char *o = out;

	while (p < end) {
		if (*p != '\\') {
			*o++ = *p++;
			continue;
		}
		p++;
		if (*p == 'u') {
			p++;
			if (!take_unicode(&p, end, &o))
				return false;
			continue;
		}
		*o++ = are[strchr(names, *p++) - names];
	}
	*n = (size_t)(o - out);
	return true;
}

bool
jin_string(struct jin *j, const char **s, size_t *n)
{
	const uint8_t *behind;
	const char *p;
	bool escapes;
	char *out;

	(void)jin_next(j);
	p = j->at;
	behind = json_string_end((const uint8_t *)p, (const uint8_t *)j->end,
	    &escapes);
	if (behind == NULL)
		return false;
	*s = p + 1;
	*n = (size_t)((const char *)behind - *s) - 1;
	j->at = (const char *)behind;
	if (!escapes)
		return true;
	out = arena_alloc(j->arena, *n);
	j->no_memory = out == NULL;
	if (out == NULL || !unescape(*s, *s + *n, out, n))
		return false;
	*s = out;
	return true;
}

/* ---- numbers ----------------------------------------------------------- */

static bool
give(struct jin *j, const char *text, const char **s, size_t *n)
{
	*s = arena_strndup(j->arena, text, strlen(text));
	*n = strlen(text);
	j->no_memory = *s == NULL;
	return !j->no_memory;
}

static bool
integer(const char **s, size_t *n, double *num)
{
	bool minus = **s == '-';
	long long v = 0;
	char buf[32];

	if (*n <= DIGITS_INT) {
		for (size_t i = minus; i < *n; i++)
			v = v * 10 + ((*s)[i] - '0');
		*num = (double)(minus ? -v : v);
		if (minus && v == 0) {
			*s = "0";
			*n = 1;
			*num = 0;
		}
		return true;
	}
	if (*n >= sizeof buf)
		return false;
	memcpy(buf, *s, *n);
	buf[*n] = '\0';
	errno = 0;
	v = strtoll(buf, NULL, 10);
	*num = (double)v;
	return errno != ERANGE;
}

/* Whether printing a number with DIGITS_REAL digits gives this text. */
static bool
is_shortest(const char *s, size_t n)
{
	const char *end = s + n;
	size_t digits = 0, zeros = 0;
	bool point = false;

	s += *s == '-';
	for (; s < end; s++) {
		if (*s == '.')
			point = true;
		else if (*s < '0' || *s > '9')
			return false;
		else if (digits > 0 || *s != '0')
			digits++;
		else if (point)
			zeros++;
	}
	return digits > 0 && digits <= DIGITS_REAL && zeros <= ZEROS_REAL &&
	    end[-1] != '0';
}

static bool
real(struct jin *j, const char **s, size_t *n, double *num)
{
	char buf[64], *text = buf;

	if (*n >= sizeof buf) {
		text = arena_strndup(j->arena, *s, *n);
		j->no_memory = text == NULL;
		if (text == NULL)
			return false;
	} else {
		memcpy(buf, *s, *n);
		buf[*n] = '\0';
	}
	*num = strtod(text, NULL);
	if (isinf(*num))
		return false;
	if (is_shortest(*s, *n))
		return true;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(buf, sizeof buf, "%.*g", digits, *num);
		if (strtod(buf, NULL) == *num)
			break;
	}
	return give(j, buf, s, n);
}

bool
jin_number(struct jin *j, const char **s, size_t *n, double *num)
{
	const uint8_t *p = (const uint8_t *)j->at;
	const char *behind = (const char *)json_number_end(p,
	    (const uint8_t *)j->end);

	if (behind == NULL)
		return false;
	*s = j->at;
	*n = (size_t)(behind - j->at);
	j->at = behind;
	for (size_t i = 0; i < *n; i++)
		if (p[i] == '.' || (p[i] | 0x20) == 'e')
			return real(j, s, n, num);
	return integer(s, n, num);
}

/* ---- the others -------------------------------------------------------- */

bool
jin_literal(struct jin *j, const char **s, size_t *n)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		*n = strlen(words[i]);
		if ((size_t)(j->end - j->at) >= *n &&
		    memcmp(j->at, words[i], *n) == 0) {
			*s = words[i];
			j->at += *n;
			return true;
		}
	}
	return false;
}
