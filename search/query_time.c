/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time, as people write them. */
#include <string.h>
#include <time.h>

#include "query.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

/* Takes exactly n digits; -1: they are not there. */
static int
digits(const char **s, const char *end, int n)
{
	int v = 0;

	if (end - *s < n)
		return -1;
	for (; n > 0; n--, ++*s) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static bool
take(const char **s, const char *end, char c)
{
	if (*s == end || **s != c)
		return false;
	++*s;
	return true;
}

/* Z or +HH:MM: minutes east of UTC. */
static bool
zone(const char **s, const char *end, int *minutes)
{
	int sign, h, m = 0;

	*minutes = 0;
	if (*s == end || take(s, end, 'Z') || take(s, end, 'z'))
		return true;
	sign = **s == '-' ? -1 : 1;
	if (**s != '+' && **s != '-')
		return false;
	++*s;
	h = digits(s, end, 2);
	take(s, end, ':');
	if (*s != end)
		m = digits(s, end, 2);
	if (h < 0 || h > 23 || m < 0 || m > 59)
		return false;
	*minutes = sign * (h * 60 + m);
	return true;
}

/* The fraction of a second in ms, and how long what was written lasts. */
static bool
fraction(const char **s, const char *end, int *ms, int64_t *step)
{
	int scale = 100;

	*ms = 0;
	if (!take(s, end, '.') && !take(s, end, ','))
		return true;
	if (*s == end || **s < '0' || **s > '9')
		return false;
	*step = 1;
	for (; *s < end && **s >= '0' && **s <= '9'; ++*s, scale /= 10)
		*ms += (**s - '0') * scale;
	return true;
}

/* RFC 3339, or as much of it as says a year and a month. */
static bool
rfc3339(const char *s, const char *end, int64_t *out, int64_t *step)
{
	struct tm tm = { .tm_mday = 1 };
	int y = digits(&s, end, 4), mon, day = 1, h = 0, min = 0, sec = 0;
	int ms = 0, east = 0;

	if (y < 1970 || !take(&s, end, '-') ||
	    (mon = digits(&s, end, 2)) < 1 || mon > 12)
		return false;
	*step = 0;			/* a month: see below */
	if (take(&s, end, '-')) {
		day = digits(&s, end, 2);
		*step = DAY_MS;
		if (take(&s, end, 'T') || take(&s, end, 't') ||
		    take(&s, end, ' ')) {
			h = digits(&s, end, 2);
			*step = 3600 * 1000;
			if (take(&s, end, ':')) {
				min = digits(&s, end, 2);
				*step = 60 * 1000;
				if (take(&s, end, ':')) {
					sec = digits(&s, end, 2);
					*step = 1000;
					if (!fraction(&s, end, &ms, step))
						return false;
				}
			}
			if (!zone(&s, end, &east))
				return false;
		}
	}
	if (s != end || day < 1 || day > 31 || h < 0 || h > 23 || min < 0 ||
	    min > 59 || sec < 0 || sec > 60)
		return false;
	tm.tm_year = y - 1900;
	tm.tm_mon = mon - 1;
	tm.tm_mday = day;
	*out = ((int64_t)timegm(&tm) + h * 3600 + min * 60 + sec -
	    east * 60) * 1000 + ms;
	if (tm.tm_mon != mon - 1)
		return false;		/* February 30th */
	if (*step == 0) {
		tm = (struct tm){ .tm_year = y - 1900, .tm_mon = mon,
		    .tm_mday = 1 };
		*step = (int64_t)timegm(&tm) * 1000 - *out;
	}
	return true;
}

/* 90s, 2h, 1d: that long ago. */
static bool
age(const char *s, const char *end, int64_t now, int64_t *out)
{
	static const struct { const char *name; int64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
		{ "d", DAY_MS }, { "w", 7 * (int64_t)DAY_MS },
	};
	int64_t n = 0;
	const char *from = s;

	for (; s < end && *s >= '0' && *s <= '9' && n < 1000000000; s++)
		n = n * 10 + (*s - '0');
	if (s == from)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if ((size_t)(end - s) == strlen(units[i].name) &&
		    memcmp(s, units[i].name, (size_t)(end - s)) == 0) {
			*out = now - n * units[i].ms;
			return true;
		}
	return false;
}

static bool
is(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(s, word, n) == 0;
}

bool
query_time(const char *s, size_t n, int64_t now, bool last, int64_t *out)
{
	const char *end = s + n;
	int64_t step = 1, v = 0;

	if (n == 0)
		return false;
	if (is(s, n, "now"))
		*out = now;
	else if (is(s, n, "today") || is(s, n, "yesterday")) {
		*out = now - now % DAY_MS - (*s == 'y' ? DAY_MS : 0);
		step = DAY_MS;
	} else if (*s == '@') {
		for (s++; s < end && *s >= '0' && *s <= '9' &&
		    v < INT64_MAX / 100; s++)
			v = v * 10 + (*s - '0');
		if (s != end || n == 1)
			return false;
		*out = v;
	} else if (!age(s, end, now, out) && !rfc3339(s, end, out, &step))
		return false;
	if (last)
		*out += step - 1;
	return true;
}
