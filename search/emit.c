/* SPDX-License-Identifier: Apache-2.0 */
/* The terms of a record; plan.c asks for the same ones. */
#include <stdio.h>
#include <string.h>

#include "emit.h"
#include "lib/limits.h"
#include "xap.h"

enum {
	PAIR_MIN	= 2,	/* bytes of each word of a pair ... */
	PAIR_MAX	= 3,
	EQUAL_MAX	= 24,	/* bytes of a value with a term of its own */
	EQUAL_DIGITS	= 3,	/* ... and digits in it */
	EQUAL_BLANKS	= 1,	/* ... and blanks: what has more is prose */
	PAIR_TERMS	= 1024,	/* pairs share so many terms */
	TEXT_GAP	= 100,	/* positions between two texts */
	STEM_SIZE	= 200,
};

struct emit {
	const struct doc	*doc;
	const struct sconf	*conf;
	const struct emit_sink	*sink;
	int			 position;
};

void
emit_word(struct term_buf *b, const struct sconf *c, enum term t,
    const char *path, const char *s, size_t n)
{
	if (!c->ids && token_is_id(s, n))
		term_cut(b, t, path, s, TERM_ID_KEPT);
	else if (token_is_long(s, n))
		term_cut(b, t, path, s, n - TOKEN_LONG_CUT);
	else
		term_make(b, t, path, s, n);
}

bool
emit_key_is_word(const struct sconf *c, const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && ((s[i] >= 'a' && s[i] <= 'z') || s[i] == '_' ||
	    (s[i] >= '0' && s[i] <= '9')))
		i++;
	return n > 0 && i == n && n <= TERM_TEXT_MAX && !c->positions &&
	    !token_is_long(s, n) && (c->ids || !token_is_id(s, n));
}

bool
emit_stem(struct term_buf *b, const struct sconf *c, enum term t,
    const char *path, const char *s, size_t n)
{
	char stem[STEM_SIZE];
	size_t len;

	if (!c->stem || n > TERM_TEXT_MAX / 2 || token_is_stop(s, n) ||
	    token_is_long(s, n) || (!c->ids && token_is_id(s, n)))
		return false;
	len = xap_stem(s, n, stem, sizeof stem);
	if (len == 0)
		return false;
	term_make(b, t, path, stem, len);
	return true;
}

/* Whether it is too common by itself, but worth a term together with others: a
 * single digit and a word without one do not make them any rarer. */
static bool
pairs(const struct token *w)
{
	bool digit = false;

	for (size_t i = 0; i < w->n && w->n <= PAIR_MAX; i++)
		digit |= w->p[i] >= '0' && w->p[i] <= '9';
	return digit && w->n >= PAIR_MIN;
}

bool
emit_pairs(const struct token *a, const struct token *b)
{
	return b->glued && pairs(a) && pairs(b);
}

void
emit_pair(struct term_buf *b, const struct token *s, const struct token *t)
{
	char both[2 * PAIR_MAX + 1], number[16];
	uint64_t h;

	memcpy(both, s->p, s->n);
	both[s->n] = TERM_SEP;
	memcpy(both + s->n + 1, t->p, t->n);
	h = term_hash(both, s->n + t->n + 1);
	snprintf(number, sizeof number, "%x", (unsigned)(h ^ h >> 32) %
	    PAIR_TERMS);
	term_make(b, TERM_PAIR, NULL, number, strlen(number));
}

bool
emit_has_equal(const char *s, size_t n)
{
	size_t digits = 0, blanks = 0;

	for (size_t i = 0; i < n && n <= EQUAL_MAX; i++) {
		digits += s[i] >= '0' && s[i] <= '9';
		blanks += s[i] == ' ';
	}
	return n <= EQUAL_MAX && digits <= EQUAL_DIGITS &&
	    blanks <= EQUAL_BLANKS;
}

void
emit_equal(struct term_buf *b, const struct sconf *c, const char *path,
    const char *s, size_t n)
{
	if (!c->ids && token_is_id(s, n))
		term_cut(b, TERM_EQUAL, path, s, TERM_ID_KEPT);
	else
		term_make(b, TERM_EQUAL, path, s, n);
}

static enum err
put(struct emit *m, const struct term_buf *b, int position, int wdf)
{
	return m->sink->term(m->sink->arg, b, position, wdf);
}

static enum err
put_text(struct emit *m, enum term t, const char *path, const char *s,
    size_t n)
{
	struct term_buf b;

	term_make(&b, t, path, s, n);
	return put(m, &b, -1, 0);
}

/* One word: itself, its stem, the pair that it makes with the one before, and
 * all that again for the member it stands in if that is declared. */
static enum err
one_word(struct emit *m, const struct doc_text *t, const struct token *w,
    const struct token *before, int weight)
{
	int wdf = weight > 0 ? weight : 1;
	struct term_buf b;
	bool stemmed;
	enum err e;

	stemmed = emit_stem(&b, m->conf, TERM_STEM, NULL, w->p, w->n);
	e = stemmed ? put(m, &b, -1, wdf) : E_OK;
	if (t == &m->doc->key && emit_key_is_word(m->conf, t->raw,
	    t->raw_len))
		return e;	/* the key's term is that of the word */
	emit_word(&b, m->conf, TERM_WORD, NULL, w->p, w->n);
	if (e == E_OK)
		e = put(m, &b, m->conf->positions ? m->position : -1,
		    m->conf->stem ? 0 : wdf);
	if (e == E_OK && emit_pairs(before, w)) {
		emit_pair(&b, before, w);
		e = put(m, &b, -1, 0);
	}
	if (weight == 0 || e != E_OK)
		return e;
	emit_word(&b, m->conf, TERM_TEXT, t->path, w->p, w->n);
	e = put(m, &b, -1, 0);
	if (e == E_OK && emit_stem(&b, m->conf, TERM_TEXT_STEM, t->path,
	    w->p, w->n))
		e = put(m, &b, -1, 0);
	return e;
}

static enum err
words(struct emit *m, const struct doc_text *t)
{
	int weight = sconf_weight(m->conf, t->path);
	struct token w, before = { "", 0, false };
	struct tokens ts;
	enum err e = E_OK;

	tokens_init(&ts, t->text, t->len);
	while (e == E_OK && tokens_next(&ts, &w)) {
		e = one_word(m, t, &w, &before, weight);
		before = w;
		m->position++;
	}
	m->position += TEXT_GAP;
	return e;
}

void
emit_shape(struct term_buf *b, int number)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%d", number);

	term_make(b, TERM_SHAPE, NULL, text, (size_t)n);
}

/* What it is, and which members it has. */
static enum err
kind(struct emit *m)
{
	const struct doc *d = m->doc;
	struct term_buf b;
	enum err e = E_OK;
	int shape = m->sink->shapes == NULL ? -1 :
	    shapes_find(m->sink->shapes, d);

	if (shape >= 0) {
		emit_shape(&b, shape);
		return put(m, &b, -1, 0);
	}
	for (int i = 0; i < d->npaths && e == E_OK; i++)
		e = put_text(m, TERM_EXISTS, NULL, d->paths[i],
		    strlen(d->paths[i]));
	if (e == E_OK && (d->json || d->tombstone))
		e = put_text(m, TERM_KIND, NULL, d->json ? "json" :
		    "tombstone", d->json ? 4 : 9);
	return e;
}

/* true, false or null: no word of the record, but one of a declared member. */
static enum err
literal(struct emit *m, const struct doc_text *t)
{
	struct term_buf b;
	enum err e;

	emit_word(&b, m->conf, TERM_TEXT, t->path, t->text, t->len);
	e = put(m, &b, -1, 0);
	return e == E_OK && emit_stem(&b, m->conf, TERM_TEXT_STEM, t->path,
	    t->text, t->len) ? put(m, &b, -1, 0) : e;
}

/* A numeric member with more than one number has no one value. */
static enum err
numbers(struct emit *m)
{
	const struct doc *d = m->doc;
	enum err e = E_OK;

	for (int i = 0; i < d->ntexts && e == E_OK; i++) {
		const struct doc_text *t = &d->texts[i];
		int slot = t->is_num ? sconf_slot(m->conf, t->path) : -1;
		bool first = true, many = false;

		for (int j = 0; slot >= 0 && j < d->ntexts; j++)
			if (j != i && d->texts[j].is_num &&
			    d->texts[j].path != NULL &&
			    strcmp(d->texts[j].path, t->path) == 0) {
				many = true;
				first &= j > i;
			}
		if (slot < 0 || !first)
			continue;
		e = many ? put_text(m, TERM_MANY, NULL, t->path,
		    strlen(t->path)) : m->sink->value(m->sink->arg,
		    slot, t->num);
	}
	return e;
}

static enum err
members(struct emit *m)
{
	const struct doc *d = m->doc;
	struct term_buf b;
	enum err e = E_OK;

	for (int i = 0; i < d->ntexts && e == E_OK; i++) {
		const struct doc_text *t = &d->texts[i];

		if (t->path != NULL && sconf_weight(m->conf, t->path) > 0) {
			e = t->words ? E_OK : literal(m, t);
			continue;
		}
		if (t->path == NULL || !emit_has_equal(t->text, t->len))
			continue;
		emit_equal(&b, m->conf, t->path, t->text, t->len);
		e = put(m, &b, -1, 0);
	}
	return e == E_OK && m->conf->numeric[0] != '\0' ? numbers(m) : e;
}

static enum err
headers(struct emit *m)
{
	enum err e = E_OK;
	char name[DOC_PATH_MAX + 1];

	for (int i = 0; i < m->doc->nheaders && e == E_OK; i++) {
		const struct doc_header *h = &m->doc->headers[i];

		e = put_text(m, TERM_HAS_HEADER, NULL, h->name, h->name_len);
		/* As for paths: what is longer is not looked for. */
		if (e != E_OK || h->name_len >= sizeof name ||
		    memchr(h->name, '\0', h->name_len) != NULL)
			continue;
		memcpy(name, h->name, h->name_len);
		name[h->name_len] = '\0';
		e = put_text(m, TERM_HEADER, name, h->value.raw,
		    h->value.raw_len);
	}
	return e;
}

static enum err
key(struct emit *m)
{
	const struct doc_text *k = &m->doc->key;
	bool word = emit_key_is_word(m->conf, k->raw, k->raw_len);
	struct term_buf b;

	term_make(&b, word ? TERM_KEY_WORD : TERM_KEY, NULL, k->raw,
	    k->raw_len);
	return put(m, &b, -1, word && !m->conf->stem ? 1 : 0);
}

enum err
emit_doc(const struct doc *d, const struct sconf *c,
    const struct emit_sink *sink)
{
	struct emit m = { d, c, sink, 1 };
	const struct doc_text *t;
	enum err e = E_OK;

	for (int i = 0; e == E_OK && (t = doc_words(d, i)) != NULL; i++)
		if (t->words)
			e = words(&m, t);
	if (e == E_OK)
		e = members(&m);
	if (e == E_OK)
		e = headers(&m);
	if (e == E_OK && d->key.raw != NULL)
		e = key(&m);
	return e == E_OK ? kind(&m) : e;
}
