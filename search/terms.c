/* SPDX-License-Identifier: Apache-2.0 */
/* Building terms; Xapian takes 245 bytes, where a NUL counts for two. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "terms.h"

#define HASH_START	0xcbf29ce484222325

static const char *const prefixes[TERMS] = {
#define TERM(n, prefix, what)	[TERM_##n] = prefix,
#include "terms.def"
};

/* FNV-1a: it only has to tell long texts apart, and records are checked. */
static uint64_t
hash(const char *s, size_t n, uint64_t h)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3;
	return h;
}

uint64_t
term_hash(const char *s, size_t n)
{
	return hash(s, n, HASH_START);
}

/* How many bytes fit. */
static size_t
fitting(const char *s, size_t n, size_t room)
{
	size_t i;

	for (i = 0; i < n; i++) {
		size_t bytes = s[i] == '\0' ? 2 : 1;

		if (bytes > room)
			break;
		room -= bytes;
	}
	return i;
}

/* Prefix and path, and as much of the text as fits into what is left. */
static size_t
put(struct term_buf *b, enum term t, const char *path, const char *s,
    size_t n)
{
	size_t len = strlen(prefixes[t]), room = TERM_TEXT_MAX, m;

	memcpy(b->p, prefixes[t], len);
	b->n = len;
	b->whole = true;
	if (path != NULL) {
		len = strlen(path);
		m = fitting(path, len, room - 1);
		b->whole = m == len;
		memcpy(b->p + b->n, path, m);
		b->n += m;
		b->p[b->n++] = TERM_SEP;
		room -= m + 1;
	}
	m = fitting(s, n, room);
	b->whole &= m == n;
	if (m > 0)
		memcpy(b->p + b->n, s, m);
	b->n += m;
	return m;
}

void
term_make(struct term_buf *b, enum term t, const char *path, const char *s,
    size_t n)
{
	uint64_t h = HASH_START;
	char hex[20];

	put(b, t, path, s, n);
	if (b->whole)
		return;
	if (path != NULL)
		h = hash(path, strlen(path) + 1, h);
	snprintf(hex, sizeof hex, "%016llx",
	    (unsigned long long)hash(s, n, h));
	memcpy(b->p + b->n, hex, 16);
	b->n += 16;
}

void
term_start(struct term_buf *b, enum term t, const char *path, const char *s,
    size_t n)
{
	put(b, t, path, s, n);
}

void
term_cut(struct term_buf *b, enum term t, const char *path, const char *s,
    size_t n)
{
	put(b, t, path, s, n);
	b->p[b->n++] = TERM_CUT;
	b->whole = false;
}
