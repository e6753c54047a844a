/* SPDX-License-Identifier: Apache-2.0 */
/* Words of texts: folding, splitting, and what kind of word one is. */
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "token.h"

enum {
	ID_BYTES	= 16,	/* a word this long may be random */
	ID_DIGITS	= 3,	/* when it has so many digits, and a letter */
};

/* ---- folding ----------------------------------------------------------- */

/*
 * The lower case of a character that is folded by itself, into as many bytes;
 * 0: it is not, or may be composed with one that is.  Letters of Latin-1 and
 * Cyrillic, kana, ideographs, syllables of Hangul.
 */
static ucs4_t
fold_one(ucs4_t c)
{
	if (c >= 0xc0 && c <= 0xff)
		return c == 0xdf ? 0 : c < 0xdf && c != 0xd7 ? c + 0x20 : c;
	if (c >= 0x410 && c <= 0x44f)
		return c < 0x430 ? c + 0x20 : c;
	return (c >= 0x3041 && c <= 0x3096) || (c >= 0x30a1 && c <= 0x30fa) ||
	    (c >= 0x4e00 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7a3) ?
	    c : 0;
}

/* Folds text of such characters and ASCII; false: it has others.  out is NULL
 * to know that only, and whether there is something to do. */
static bool
fold_simple(const char *s, size_t n, char *out, bool *change)
{
	const uint8_t *p = (const uint8_t *)s, *end = p + n;

	for (*change = false; p < end;) {
		ucs4_t c = *p, low;
		int m = 1;

		if (c < 0x80)
			low = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
		else {
			m = u8_mbtoucr(&c, p, (size_t)(end - p));
			low = m <= 0 ? 0 : fold_one(c);
			if (low == 0)
				return false;
		}
		*change |= low != c;
		if (out != NULL && m == 1)
			*out++ = (char)low;
		else if (out != NULL)
			out += u8_uctomb((uint8_t *)out, low, m);
		p += m;
	}
	return true;
}

/* A copy in which every byte that is not UTF-8 is a blank. */
static uint8_t *
make_valid(const char *s, size_t n)
{
	uint8_t *out = malloc(n + 1);
	const uint8_t *bad;
	size_t at = 0;

	if (out == NULL)
		return NULL;
	memcpy(out, s, n);
	while ((bad = u8_check(out + at, n - at)) != NULL) {
		at = (size_t)(bad - out);
		out[at++] = ' ';
	}
	return out;
}

const char *
text_fold(const char *s, size_t n, size_t *len, struct arena *a)
{
	uint8_t *valid, *folded;
	bool change;
	char *out;

	*len = n;
	if (fold_simple(s, n, NULL, &change)) {
		if (!change)
			return n == 0 ? "" : s;
		out = arena_alloc(a, n);
		if (out != NULL)
			fold_simple(s, n, out, &change);
		return out;
	}
	valid = make_valid(s, n);
	if (valid == NULL)
		return NULL;
	folded = u8_casefold(valid, n, NULL, UNINORM_NFC, NULL, len);
	free(valid);
	if (folded == NULL)
		return NULL;
	out = arena_alloc(a, *len + 1);
	if (out != NULL)
		memcpy(out, folded, *len);
	free(folded);
	return out;
}

/* ---- splitting --------------------------------------------------------- */

enum kind { OTHER, BLANK, LETTER, SINGLE };

static bool
is_single(ucs4_t c)
{
	return (c >= 0x3041 && c <= 0x30ff) ||	/* Japanese syllables */
	    (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) ||
	    (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff);
}

static enum kind
kind_of(ucs4_t c)
{
	if (c < 0x80) {
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    c == '_' || (c >= 'A' && c <= 'Z'))
			return LETTER;
		return c <= ' ' ? BLANK : OTHER;
	}
	if (is_single(c))
		return SINGLE;
	if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L |
	    UC_CATEGORY_MASK_N | UC_CATEGORY_MASK_M))
		return LETTER;
	return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Z) ?
	    BLANK : OTHER;
}

/* The kind of the character at p; *n: its bytes. */
static enum kind
kind_at(const char *p, const char *end, int *n)
{
	ucs4_t c = (unsigned char)*p;

	*n = 1;
	if (c >= 0x80) {
		*n = u8_mbtoucr(&c, (const uint8_t *)p, (size_t)(end - p));
		if (*n <= 0) {
			*n = 1;
			return BLANK;
		}
	}
	return kind_of(c);
}

void
tokens_init(struct tokens *t, const char *s, size_t n)
{
	*t = (struct tokens){ s, s + n, true };
}

bool
tokens_next(struct tokens *t, struct token *out)
{
	enum kind k = BLANK;
	int n;

	for (; t->at < t->end; t->at += n) {
		k = kind_at(t->at, t->end, &n);
		if (k == LETTER || k == SINGLE)
			break;
		t->blank |= k == BLANK;
	}
	if (t->at >= t->end)
		return false;
	out->p = t->at;
	out->glued = !t->blank;
	t->at += n;
	while (k == LETTER && t->at < t->end &&
	    kind_at(t->at, t->end, &n) == LETTER)
		t->at += n;
	out->n = (size_t)(t->at - out->p);
	t->blank = false;
	return true;
}

bool
token_edge(const char *start, const char *p, const char *end)
{
	const char *before = p;
	int n;

	if (p == start || p == end)
		return true;
	do
		before--;
	while (before > start && ((unsigned char)*before & 0xc0) == 0x80);
	return kind_at(before, end, &n) != LETTER ||
	    kind_at(p, end, &n) != LETTER;
}

/* ---- kinds of words ---------------------------------------------------- */

bool
token_is_id(const char *s, size_t n)
{
	size_t digits = 0;

	for (size_t i = 0; i < n; i++)
		digits += s[i] >= '0' && s[i] <= '9';
	return n >= ID_BYTES && digits >= ID_DIGITS && digits < n;
}

bool
token_is_digits(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= '0' && s[i] <= '9')
		i++;
	return n > 0 && i == n;
}

bool
token_is_long(const char *s, size_t n)
{
	return n >= TOKEN_LONG && token_is_digits(s, n);
}

static int
word_compare(const void *key, const void *row)
{
	const struct token *t = key;
	const char *const *w = row;
	int c = strncmp(t->p, *w, t->n);

	return c != 0 ? c : (*w)[t->n] == '\0' ? 0 : -1;
}

bool
token_is_stop(const char *s, size_t n)
{
	static const char *const words[] = {
		"a", "about", "above", "after", "again", "against", "all",
		"am", "an", "and", "any", "are", "as", "at", "be", "because",
		"been", "before", "being", "below", "between", "both", "but",
		"by", "can", "could", "did", "do", "does", "doing", "down",
		"during", "each", "few", "for", "from", "further", "had",
		"has", "have", "having", "he", "her", "here", "hers", "him",
		"his", "how", "i", "if", "in", "into", "is", "it", "its",
		"me", "more", "most", "my", "no", "nor", "not", "of", "off",
		"on", "once", "only", "or", "other", "our", "out", "over",
		"own", "s", "same", "she", "should", "so", "some", "such",
		"t", "than", "that", "the", "their", "them", "then", "there",
		"these", "they", "this", "those", "through", "to", "too",
		"under", "until", "up", "very", "was", "we", "were", "what",
		"when", "where", "which", "while", "who", "whom", "why",
		"will", "with", "would", "you", "your",
	};
	struct token t = { s, n, false };

	return bsearch(&t, words, sizeof words / sizeof words[0],
	    sizeof words[0], word_compare) != NULL;
}
