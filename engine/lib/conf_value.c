/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the value of an option or a config may look like: the one place that
 * reads, stores and prints them.  It knows none by name.
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_value.h"

struct kstr
kstr_trim(struct kstr s)
{
	while (s.len > 0 && (unsigned char)s.p[0] <= ' ') {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && (unsigned char)s.p[s.len - 1] <= ' ')
		s.len--;
	return s;
}

bool
conf_parse_int(struct kstr s, int64_t *out)
{
	bool neg = s.len > 0 && s.p[0] == '-';
	int64_t n = 0;
	int i = neg || (s.len > 0 && s.p[0] == '+');

	if (i == s.len)
		return false;
	for (; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    (neg ? __builtin_sub_overflow(n, s.p[i] - '0', &n) :
		    __builtin_add_overflow(n, s.p[i] - '0', &n)))
			return false;
	}
	*out = n;
	return true;
}

bool
conf_parse_size(struct kstr s, int64_t *out)
{
	static const char units[] = "KMG";
	const char *u;
	int shift = 0;

	if (s.len > 3 && memcmp(s.p + s.len - 2, "iB", 2) == 0)
		s.len -= 2;
	else if (s.len < 2 || memchr(units, s.p[s.len - 1], 3) == NULL)
		return conf_parse_int(s, out);
	u = memchr(units, s.p[--s.len], 3);
	if (u != NULL)
		shift = 10 * (int)(u - units + 1);
	return u != NULL && conf_parse_int(s, out) &&
	    !__builtin_mul_overflow(*out, (int64_t)1 << shift, out);
}

/* A decimal fraction that fills s; no infinities, no hexadecimal. */
static bool
parse_double(struct kstr s, double *out)
{
	char buf[64], *end;
	int i;

	if (s.len <= 0 || s.len >= (int)sizeof(buf))
		return false;
	for (i = 0; i < s.len; i++)
		if (strchr("+-.0123456789eE", s.p[i]) == NULL ||
		    s.p[i] == '\0')
			return false;
	memcpy(buf, s.p, (size_t)s.len);
	buf[s.len] = '\0';
	*out = strtod(buf, &end);
	return *end == '\0' && isfinite(*out);
}

/* The place of s among choices "a|b|c"; -1: not there. */
static int
choice_find(const char *choices, struct kstr s)
{
	int i;

	for (i = 0; ; i++) {
		size_t n = strcspn(choices, "|");

		if (s.len == (int)n && memcmp(choices, s.p, n) == 0)
			return i;
		if (choices[n] == '\0')
			return -1;
		choices += n + 1;
	}
}

/* The i-th of the choices; its length is returned, 0 past the last. */
static size_t
choice_get(const char *choices, int i, const char **out)
{
	size_t n;

	for (; ; i--) {
		n = strcspn(choices, "|");
		if (i == 0) {
			*out = choices;
			return n;
		}
		if (choices[n] == '\0')
			return 0;
		choices += n + 1;
	}
}

/* A comma-separated set as a bit mask; -1 unknown word, -2 said twice. */
static int
parse_list(const char *choices, struct kstr s)
{
	int mask = 0;

	if (kstr_trim(s).len == 0)
		return 0;
	for (;;) {
		const char *comma = memchr(s.p, ',', (size_t)s.len);
		struct kstr word = s;
		int i;

		if (comma != NULL)
			word.len = (int32_t)(comma - s.p);
		i = choice_find(choices, kstr_trim(word));
		if (i < 0)
			return -1;
		if (mask & 1 << i)
			return -2;
		mask |= 1 << i;
		if (comma == NULL)
			return mask;
		s.len -= word.len + 1;
		s.p = comma + 1;
	}
}

static bool
word_is(struct kstr s, const char *word)
{
	return s.len == (int)strlen(word) &&
	    strncasecmp(s.p, word, (size_t)s.len) == 0;
}

/* "a, b or c" of "a|b|c". */
static void
choices_print(const char *choices, char *buf, size_t size)
{
	const char *word;
	size_t n, at = 0;
	int i;

	buf[0] = '\0';
	for (i = 0; (n = choice_get(choices, i, &word)) > 0; i++) {
		const char *sep = i == 0 ? "" : word[n] == '\0' ? " or " :
		    ", ";

		if (at + n + strlen(sep) >= size)
			return;
		at += (size_t)snprintf(buf + at, size - at, "%s%.*s", sep,
		    (int)n, word);
	}
}

/* Nothing, "*", or "0:1,1:1". */
static bool
replicas_ok(struct kstr s)
{
	static const char all[] = "*";
	int64_t n;

	if (s.len == 0 || kstr_eq(s, kstr_of(all)))
		return true;
	for (;;) {
		const char *comma = memchr(s.p, ',', (size_t)s.len), *colon;
		struct kstr pair = s, id;

		if (comma != NULL)
			pair.len = (int32_t)(comma - s.p);
		pair = kstr_trim(pair);
		colon = memchr(pair.p, ':', (size_t)pair.len);
		if (colon == NULL)
			return false;
		id = (struct kstr){ (int32_t)(colon - pair.p), pair.p };
		if (!conf_parse_int(id, &n) || n < 0 || n > INT32_MAX)
			return false;
		id = (struct kstr){ pair.len - id.len - 1, colon + 1 };
		if (!conf_parse_int(id, &n) || n < 0 || n > INT32_MAX)
			return false;
		if (comma == NULL)
			return true;
		s.len -= (int32_t)(comma - s.p) + 1;
		s.p = comma + 1;
	}
}

/* 10.0.0.1, ::1 or [::1]. */
static bool
parse_address(struct kstr s, uint8_t out[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char buf[64];

	if (s.len > 2 && s.p[0] == '[' && s.p[s.len - 1] == ']') {
		s.p++;
		s.len -= 2;
		if (memchr(s.p, ':', (size_t)s.len) == NULL)
			return false;
	}
	if (s.len <= 0 || s.len >= (int)sizeof(buf))
		return false;
	memcpy(buf, s.p, (size_t)s.len);
	buf[s.len] = '\0';
	if (strlen(buf) != (size_t)s.len)
		return false;
	memcpy(out, mapped, sizeof(mapped));
	return inet_pton(AF_INET, buf, out + 12) == 1 ||
	    inet_pton(AF_INET6, buf, out) == 1;
}

bool
conf_cap_next(struct kstr *list, uint8_t addr[16], int64_t *cap)
{
	const char *comma = list->len <= 0 ? NULL : memchr(list->p, ',',
	    (size_t)list->len);
	struct kstr pair = *list, num;
	int at;

	if (comma != NULL)
		pair.len = (int32_t)(comma - list->p);
	pair = kstr_trim(pair);
	/* The last colon: an address may have some of its own. */
	for (at = pair.len - 1; at >= 0 && pair.p[at] != ':'; )
		at--;
	if (at < 0)
		return false;
	num = kstr_trim((struct kstr){ pair.len - at - 1, pair.p + at + 1 });
	pair.len = at;
	if (!conf_parse_int(num, cap) || *cap < 0 || *cap > INT32_MAX ||
	    !parse_address(kstr_trim(pair), addr))
		return false;
	if (comma == NULL)
		list->len = 0;
	else {
		list->len -= (int32_t)(comma - list->p) + 1;
		list->p = comma + 1;
	}
	return true;
}

static bool
caps_ok(struct kstr s)
{
	uint8_t addr[16];
	int64_t cap;

	/* A comma promises another one. */
	if (s.len > CONF_TEXT_MAX || (s.len > 0 && s.p[s.len - 1] == ','))
		return false;
	while (s.len > 0)
		if (!conf_cap_next(&s, addr, &cap))
			return false;
	return true;
}

/* Numbers between dots, and perhaps -IV and a number: 0.11.0, 3.0-IV1. */
static bool
format_ok(struct kstr s)
{
	int64_t n[4] = { 0 };
	int i = 0, at = 0, from;

	for (; i < 4; i++) {
		for (from = at; at < s.len && s.p[at] >= '0' &&
		    s.p[at] <= '9'; )
			at++;
		if (at == from || at - from > 4 || !conf_parse_int(
		    (struct kstr){ at - from, s.p + from }, &n[i]))
			return false;
		if (at == s.len || s.p[at] != '.')
			break;
		at++;
	}
	if (i == 0 || i == 4)
		return false;
	if (at < s.len) {
		if (s.len - at < 4 || s.len - at > 6 ||
		    memcmp(s.p + at, "-IV", 3) != 0)
			return false;
		for (at += 3; at < s.len; at++)
			if (s.p[at] < '0' || s.p[at] > '9')
				return false;
	}
	return n[0] > 0 || n[1] >= 11;
}

bool
conf_field_next(struct kstr *s, struct kstr *path, int *weight)
{
	const char *comma = s->len <= 0 ? NULL :
	    memchr(s->p, ',', (size_t)s->len), *hat;
	struct kstr one = *s, n;
	int64_t w = 1;

	if (comma != NULL)
		one.len = (int32_t)(comma - s->p);
	s->p += one.len + (comma != NULL);
	s->len -= one.len + (comma != NULL);
	one = kstr_trim(one);
	hat = one.len <= 0 ? NULL : memchr(one.p, '^', (size_t)one.len);
	if (hat != NULL) {
		n = (struct kstr){ one.len - (int32_t)(hat - one.p) - 1,
		    hat + 1 };
		one.len = (int32_t)(hat - one.p);
		if (!conf_parse_int(n, &w) || w < 1 || w > FIELD_WEIGHT_MAX)
			return false;
	}
	for (int i = 0; i < one.len; i++)
		if ((unsigned char)one.p[i] <= ' ')
			return false;
	*path = one;
	*weight = (int)w;
	return one.len > 0 && one.len <= FIELD_PATH_MAX;
}

/* Nothing, or paths, each once; weights where they have a meaning. */
static bool
fields_ok(struct kstr s, bool weights)
{
	struct kstr all[FIELDS_MAX];
	int w, n = 0;

	if (s.len > 0 && s.p[s.len - 1] == ',')
		return false;
	while (s.len > 0) {
		if (n == FIELDS_MAX || !conf_field_next(&s, &all[n], &w) ||
		    (w != 1 && !weights))
			return false;
		for (int i = 0; i < n; i++)
			if (kstr_eq(all[i], all[n]))
				return false;
		n++;
	}
	return true;
}

bool
conf_value_parse(const struct conf_kind *k, struct kstr s, struct conf_value *v,
    char why[CONF_WHY_MAX])
{
	char words[CONF_WHY_MAX - 64];

	switch (k->type) {
	case T_STR:
		return true;
	case T_INT:
		if (conf_parse_int(s, &v->i) && v->i >= k->min &&
		    v->i <= k->max)
			return true;
		snprintf(why, CONF_WHY_MAX, "must be a number from %lld to "
		    "%lld", (long long)k->min, (long long)k->max);
		return false;
	case T_DOUBLE:
		if (parse_double(s, &v->d) && v->d >= (double)k->min &&
		    v->d <= (double)k->max)
			return true;
		snprintf(why, CONF_WHY_MAX, "must be a fraction from %lld to "
		    "%lld", (long long)k->min, (long long)k->max);
		return false;
	case T_BOOL:
		v->i = word_is(s, "true");
		if (v->i == 1 || word_is(s, "false"))
			return true;
		snprintf(why, CONF_WHY_MAX, "must be true or false");
		return false;
	case T_ENUM:
		v->i = choice_find(k->choices, s);
		if (v->i >= 0)
			return true;
		choices_print(k->choices, words, sizeof(words));
		snprintf(why, CONF_WHY_MAX, "must be %s", words);
		return false;
	case T_LIST:
		v->i = parse_list(k->choices, s);
		if (v->i >= 0)
			return true;
		choices_print(k->choices, words, sizeof(words));
		snprintf(why, CONF_WHY_MAX, v->i == -2 ?
		    "must not say a word twice" :
		    "must be a comma-separated list of %s", words);
		return false;
	case T_REPLICAS:
		if (replicas_ok(s))
			return true;
		snprintf(why, CONF_WHY_MAX, "must be *, or a comma-separated "
		    "list of partition:broker");
		return false;
	case T_CAPS:
		if (caps_ok(s))
			return true;
		snprintf(why, CONF_WHY_MAX, "must be a comma-separated list "
		    "of address:number, at most %d bytes; addresses are "
		    "numbers, not names", CONF_TEXT_MAX);
		return false;
	case T_FORMAT:
		if (format_ok(s))
			return true;
		snprintf(why, CONF_WHY_MAX, "must be a release from 0.11.0 "
		    "on, such as 3.0-IV1: older formats are never stored");
		return false;
	case T_FIELDS:
		if (fields_ok(s, k->max > 0))
			return true;
		snprintf(why, CONF_WHY_MAX, "must be a comma-separated list of "
		    "at most %d paths of JSON members%s", FIELDS_MAX,
		    k->max > 0 ? ", each perhaps with a weight from 1 to 100 "
		    "behind ^" : "");
		return false;
	}
	ASSERT(!"type");
}

void
conf_value_store(const struct conf_kind *k, struct conf_value v, void *p)
{
	switch (k->type) {
	case T_STR:
	case T_CAPS:
	case T_REPLICAS:
	case T_FORMAT:
	case T_FIELDS:
		break;
	case T_INT:
		*(int64_t *)p = v.i;
		break;
	case T_DOUBLE:
		*(double *)p = v.d;
		break;
	case T_BOOL:
		*(bool *)p = v.i != 0;
		break;
	case T_ENUM:
	case T_LIST:
		*(int *)p = (int)v.i;
		break;
	}
}

/* The shortest decimal that reads back as the same number. */
static void
double_print(double d, char *buf, size_t size)
{
	int digits;

	for (digits = 1; digits < 17; digits++) {
		snprintf(buf, size, "%.*g", digits, d);
		if (strtod(buf, NULL) == d)
			break;
	}
	if (digits == 17)
		snprintf(buf, size, "%.17g", d);
	if (strpbrk(buf, ".e") == NULL)
		strncat(buf, ".0", size - strlen(buf) - 1);
}

void
conf_value_print(const struct conf_kind *k, const void *p, char *buf,
    size_t size)
{
	const char *word = "";
	size_t n, at = 0;
	int i;

	buf[0] = '\0';
	switch (k->type) {
	case T_STR:
	case T_CAPS:
		snprintf(buf, size, "%s", *(const char *const *)p);
		break;
	case T_REPLICAS:
	case T_FORMAT:
	case T_FIELDS:
		break;
	case T_INT:
		snprintf(buf, size, "%lld", (long long)*(const int64_t *)p);
		break;
	case T_DOUBLE:
		double_print(*(const double *)p, buf, size);
		break;
	case T_BOOL:
		snprintf(buf, size, "%s", *(const bool *)p ? "true" : "false");
		break;
	case T_ENUM:
		n = choice_get(k->choices, *(const int *)p, &word);
		snprintf(buf, size, "%.*s", (int)n, word);
		break;
	case T_LIST:
		for (i = 0; (n = choice_get(k->choices, i, &word)) > 0; i++)
			if (*(const int *)p & 1 << i && at < size)
				at += (size_t)snprintf(buf + at, size - at,
				    "%s%.*s", at == 0 ? "" : ",", (int)n,
				    word);
		break;
	}
}

void
conf_show(struct kstr s, char out[CONF_SHOWN_SIZE])
{
	int i, n = s.len < CONF_SHOWN_MAX ? s.len : CONF_SHOWN_MAX;

	for (i = 0; i < n; i++)
		out[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
	if (n < 0)
		n = 0;
	strcpy(out + n, s.len > n ? "..." : "");
}

/* "a , b" as "a,b". */
static char *
list_text(struct kstr s)
{
	char *out = malloc((size_t)s.len + 1);
	size_t n = 0;

	if (out == NULL)
		return NULL;
	while (s.len >= 0) {
		const char *comma = s.len == 0 ? NULL :
		    memchr(s.p, ',', (size_t)s.len);
		struct kstr word = s;

		if (comma != NULL)
			word.len = (int32_t)(comma - s.p);
		word = kstr_trim(word);
		memcpy(out + n, word.p, (size_t)word.len);
		n += (size_t)word.len;
		if (comma == NULL)
			break;
		out[n++] = ',';
		s.len -= (int32_t)(comma - s.p) + 1;
		s.p = comma + 1;
	}
	out[n] = '\0';
	return out;
}

char *
conf_value_text(const struct conf_kind *k, struct kstr text)
{
	struct kstr s = kstr_trim(text);
	union { int64_t i; int e; bool b; double d; } room = { 0 };
	char why[CONF_WHY_MAX], buf[128];
	struct conf_value v = { 0 };

	if (k->type == T_LIST || k->type == T_REPLICAS || k->type == T_CAPS ||
	    k->type == T_FIELDS)
		return list_text(s);
	if (k->type == T_STR || k->type == T_FORMAT)
		return strndup(s.p, (size_t)s.len);
	ASSERT(conf_value_parse(k, s, &v, why));
	conf_value_store(k, v, &room);
	conf_value_print(k, &room, buf, sizeof buf);
	return strdup(buf);
}
