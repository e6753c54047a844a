/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging to standard error.  A line is built on the stack and leaves in one
 * write(2), so that the lines of several processes that share a standard
 * error do not mix.  It never fails and never allocates: a line that does not
 * fit is cut at a field, and a standard error that is gone is ignored.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "utf8.h"

enum {
	LINE_LEN	= 2048,
	VALUE_MAX	= 512,	/* bytes of one value that are printed */
	TAIL		= 48,	/* kept free to close a line that is cut */
};

struct line {
	char	s[LINE_LEN];
	size_t	n;
	bool	full;
};

static const char *const level_names[] = { "debug", "info", "warn", "fatal" };

static const char	*log_program = "chronik";
static enum log_level	 log_level = LOG_INFO;
static enum log_format	 log_format = LOG_TEXT;

static void
put(struct line *l, const char *s, size_t n)
{
	if (l->full || n > sizeof(l->s) - TAIL - l->n) {
		l->full = true;
		return;
	}
	memcpy(l->s + l->n, s, n);
	l->n += n;
}

static void
puts_(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/*
 * One foreign character.  A byte that is no UTF-8 becomes \xHH in text and
 * the replacement character in JSON, whose strings hold characters only.
 */
static void
put_char(struct line *l, const unsigned char *s, size_t len)
{
	char e[8];

	if (len == 0) {
		if (log_format == LOG_JSON) {
			puts_(l, "\\ufffd");
			return;
		}
		snprintf(e, sizeof(e), "\\x%02x", s[0]);
		puts_(l, e);
	} else if (len == 1 && (s[0] == '"' || s[0] == '\\')) {
		e[0] = '\\';
		e[1] = (char)s[0];
		put(l, e, 2);
	} else if (len == 1 && (s[0] < 0x20 || s[0] == 0x7f)) {
		snprintf(e, sizeof(e), log_format == LOG_JSON ? "\\u%04x" :
		    "\\x%02x", s[0]);
		puts_(l, e);
	} else
		put(l, (const char *)s, len);
}

static void
put_quoted(struct line *l, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i, len, end;

	end = n < VALUE_MAX ? n : VALUE_MAX;
	puts_(l, "\"");
	for (i = 0; i < end; i += len == 0 ? 1 : len) {
		len = utf8_len(p + i, n - i);
		if (len == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0)
			len = 0;	/* terminals obey C1 controls */
		put_char(l, p + i, len);
	}
	if (end < n)
		puts_(l, "...");
	puts_(l, "\"");
}

/* Text that reads as one word needs no quotes. */
static bool
is_word(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || s[i] == '"' ||
		    s[i] == '=' || s[i] == '\\')
			return false;
	return n > 0 && n <= VALUE_MAX;
}

static void
put_str(struct line *l, const char *s, int64_t len)
{
	size_t n;

	if (s == NULL || len < -1) {
		puts_(l, log_format == LOG_JSON ? "null" : "-");
		return;
	}
	n = len == -1 ? strlen(s) : (size_t)len;
	if (log_format == LOG_TEXT && is_word(s, n))
		put(l, s, n);
	else
		put_quoted(l, s, n);
}

static void
put_value(struct line *l, const struct log_kv *kv)
{
	char num[24];

	switch (kv->type) {
	case LOG_KV_STR:
		put_str(l, kv->s, kv->i);
		break;
	case LOG_KV_INT:
		snprintf(num, sizeof(num), "%lld", (long long)kv->i);
		puts_(l, num);
		break;
	case LOG_KV_ERR:
		put_str(l, err_name((enum err)kv->i), -1);
		break;
	case LOG_KV_ERRNO:
		put_str(l, strerrordesc_np((int)kv->i), -1);
		break;
	}
}

/* One field, whole or not at all. */
static void
put_kv(struct line *l, const struct log_kv *kv)
{
	size_t start = l->n;

	if (log_format == LOG_JSON) {
		puts_(l, ",");
		put_quoted(l, kv->key, strlen(kv->key));
		puts_(l, ":");
	} else {
		puts_(l, " ");
		puts_(l, kv->key);
		puts_(l, "=");
	}
	put_value(l, kv);
	if (l->full)
		l->n = start;
}

static void
put_head(struct line *l, enum log_level level, const char *event)
{
	struct timespec ts;
	struct tm tm;
	char when[64];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03dZ",
	    (int)(ts.tv_nsec / 1000000 % 1000));
	if (log_format == LOG_JSON) {
		puts_(l, "{\"ts\":\"");
		puts_(l, when);
		puts_(l, "\",\"level\":\"");
		puts_(l, level_names[level]);
		puts_(l, "\",\"program\":");
		put_quoted(l, log_program, strlen(log_program));
		puts_(l, ",\"event\":");
		put_quoted(l, event, strlen(event));
	} else {
		puts_(l, when);
		puts_(l, " ");
		puts_(l, level_names[level]);
		puts_(l, " ");
		puts_(l, log_program);
		puts_(l, ": ");
		puts_(l, event);
	}
}

void
log_setup(const char *program, enum log_level level, enum log_format format)
{
	log_program = program;
	log_level = level;
	log_format = format;
}

enum log_level
log_level_get(void)
{
	return log_level;
}

void
log_level_set(enum log_level level)
{
	log_level = level;
}

bool
log_on(enum log_level level)
{
	return level >= log_level;
}

void
log_write(enum log_level level, const char *event, const struct log_kv *kv)
{
	struct line l;
	const char *end;
	int saved = errno;
	ssize_t r;

	if (!log_on(level))
		return;
	l.n = 0;
	l.full = false;
	put_head(&l, level, event);
	for (; kv->key != NULL && !l.full; kv++)
		put_kv(&l, kv);
	/* TAIL bytes are left for this. */
	if (l.full) {
		end = log_format == LOG_JSON ? ",\"cut\":true" : " cut=true";
		memcpy(l.s + l.n, end, strlen(end));
		l.n += strlen(end);
	}
	end = log_format == LOG_JSON ? "}\n" : "\n";
	memcpy(l.s + l.n, end, strlen(end));
	l.n += strlen(end);
	do
		r = write(STDERR_FILENO, l.s, l.n);
	while (r == -1 && errno == EINTR);
	errno = saved;
}

void
log_die(const char *event, const struct log_kv *kv)
{
	log_write(LOG_FATAL, event, kv);
	exit(1);
}
