/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brute force, but not slow: the words of a record stand in a hash table, so
 * that most questions are one look into it.
 */
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "search_eval.h"
#include "token.h"
#include "xap.h"

enum {
	TABLE		= 4096,		/* of a record's words; a power of 2 */
	STEMS		= 1 << 20,	/* known by their words */
	STEM_SIZE	= 256,
	QUERY_WORDS	= 64,
	LIMIT		= 64 << 20,
};

/* A word, by bytes of the text it stands in. */
struct word { uint32_t from, to; uint64_t hash, stem; int next, next_stem; };

struct text {
	const char	*path;
	uint64_t	 path_hash;
	const char	*raw, *fold;
	size_t		 raw_len, fold_len;
	bool		 is_num, is_str;
	double		 num;
	int		 first, end;	/* of its words */
};

struct named { const char *name; size_t len; struct text value; };

struct eval {
	struct arena	 arena;
	const struct record *r;
	const struct sconf *conf;
	const char	*topic;
	int32_t		 part;
	bool		 json;
	struct text	*texts;
	int		 ntexts, texts_cap;
	struct word	*words;
	int		 nwords, words_cap;
	const char	**paths;
	int		 npaths, paths_cap;
	struct named	*headers;
	int		 nheaders;
	int		 key;		/* its text; -1: none */
	int		 by_hash[TABLE], by_stem[TABLE];
	struct { uint64_t word, stem; } *stems;
	int		 nstems;
};

struct eval_query {
	const struct query *q;
	struct eval_query **kids;
	int		 nkids;
	uint64_t	 path_hash;
	/* Of its text: the words, and the stem if it is one that has one. */
	struct word	 words[QUERY_WORDS];
	int		 nwords;
	bool		 one;		/* the whole text is one word */
	bool		 id;
	uint64_t	 stem;
	char		 start[64];	/* an expression's; "": not known */
};

static uint64_t
hash(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3;
	h ^= h >> 32;
	return h == 0 ? 1 : h;
}

static void *
more(void *v, int n, int *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap == 0 ? 64 : *cap * 2;
	v = realloc(v, (size_t)*cap * size);
	if (v == NULL) {
		fputs("search_eval: out of memory\n", stderr);
		exit(1);
	}
	return v;
}

/* ---- words ------------------------------------------------------------- */

static bool
is_han(ucs4_t c)
{
	static const char *const names[] = { "Han", "Hiragana", "Katakana" };
	const uc_script_t *s = uc_script(c);

	for (int i = 0; s != NULL && i < 3; i++)
		if (strcmp(s->name, names[i]) == 0)
			return true;
	return false;
}

/* 0: between words; 1: in a word; 2: a word of its own. */
static int
class_of(ucs4_t c)
{
	if (c == '_' || uc_is_general_category(c, uc_general_category_or(
	    UC_CATEGORY_M, UC_CATEGORY_N)))
		return 1;
	if (!uc_is_general_category(c, UC_CATEGORY_L))
		return 0;
	return is_han(c) ? 2 : 1;
}

/* The same for bytes below 0x80, which most are. */
static int
class_at(const char *s, size_t n, int *len)
{
	unsigned char c = (unsigned char)*s;
	ucs4_t u;

	*len = 1;
	if (c < 0x80)
		return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <=
		    'z') || (c >= 'A' && c <= 'Z');
	*len = u8_mbtoucr(&u, (const uint8_t *)s, n);
	if (*len > 0)
		return class_of(u);
	*len = 1;
	return 0;
}

/* The next word of a text from *at on; false: there is none. */
static bool
word_next(const char *s, size_t n, size_t *at, struct word *w)
{
	int len, c = 0;

	for (; *at < n; *at += (size_t)len)
		if ((c = class_at(s + *at, n - *at, &len)) != 0)
			break;
	if (*at >= n)
		return false;
	w->from = (uint32_t)*at;
	*at += (size_t)len;
	while (c == 1 && *at < n && class_at(s + *at, n - *at, &len) == 1)
		*at += (size_t)len;
	w->to = (uint32_t)*at;
	w->hash = hash(s + w->from, w->to - w->from);
	return true;
}

static uint64_t
stem_make(const char *s, size_t n)
{
	char out[STEM_SIZE];
	size_t len = token_is_stop(s, n) ? 0 : xap_stem(s, n, out,
	    sizeof out);

	return len == 0 ? 0 : hash(out, len);
}

static uint64_t
stem_of(struct eval *e, const char *s, const struct word *w)
{
	size_t i = w->hash & (STEMS - 1);

	if (e->nstems > STEMS / 2) {
		memset(e->stems, 0, STEMS * sizeof *e->stems);
		e->nstems = 0;
	}
	while (e->stems[i].word != 0 && e->stems[i].word != w->hash)
		i = (i + 1) & (STEMS - 1);
	if (e->stems[i].word == 0) {
		e->stems[i].word = w->hash;
		e->stems[i].stem = stem_make(s + w->from, w->to - w->from);
		e->nstems++;
	}
	return e->stems[i].stem;
}

/* ---- records ----------------------------------------------------------- */

/* Case folded and composed; what is no UTF-8 is blank. */
static const char *
fold(struct eval *e, const char *s, size_t n, size_t *len)
{
	uint8_t *copy = arena_alloc(&e->arena, n + 1), *out;
	const uint8_t *bad;
	const char *kept;
	bool ascii = true;

	if (copy == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		ascii &= c < 0x80;
		copy[i] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
	}
	*len = n;
	if (ascii)
		return (const char *)copy;
	while ((bad = u8_check(copy, n)) != NULL)
		copy[bad - copy] = ' ';
	out = u8_casefold(copy, n, NULL, UNINORM_NFC, NULL, len);
	kept = out == NULL ? NULL : arena_strndup(&e->arena,
	    (const char *)out, *len);
	free(out);
	return kept;
}

static struct text *
text_put(struct eval *e, const char *path, const char *s, size_t n)
{
	struct text *t;

	e->texts = more(e->texts, e->ntexts, &e->texts_cap,
	    sizeof *e->texts);
	t = &e->texts[e->ntexts++];
	*t = (struct text){ .path = path, .raw = s, .raw_len = n,
	    .path_hash = path == NULL ? 0 : hash(path, strlen(path)) };
	t->fold = fold(e, s, n, &t->fold_len);
	return t;
}

static void
text_words(struct eval *e, struct text *t)
{
	size_t at = 0;

	t->first = e->nwords;
	for (;;) {
		struct word *w;

		e->words = more(e->words, e->nwords, &e->words_cap,
		    sizeof *e->words);
		w = &e->words[e->nwords];
		if (!word_next(t->fold, t->fold_len, &at, w))
			break;
		w->stem = e->conf->stem ? stem_of(e, t->fold, w) : 0;
		w->next = e->by_hash[w->hash % TABLE];
		e->by_hash[w->hash % TABLE] = e->nwords + 1;
		w->next_stem = e->by_stem[w->stem % TABLE];
		e->by_stem[w->stem % TABLE] = e->nwords + 1;
		e->nwords++;
	}
	t->end = e->nwords;
}

static void
number_text(const json_t *v, char out[40])
{
	if (json_is_integer(v)) {
		snprintf(out, 40, "%lld", (long long)json_integer_value(v));
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, 40, "%.*g", digits, json_real_value(v));
		if (strtod(out, NULL) == json_real_value(v))
			return;
	}
}

static void
json_scalar(struct eval *e, const json_t *v, const char *path)
{
	char buf[40];
	struct text *t;
	const char *s;

	if (json_is_string(v)) {
		s = arena_strndup(&e->arena, json_string_value(v),
		    json_string_length(v));
		t = text_put(e, path, s, json_string_length(v));
		t->is_str = true;
		text_words(e, t);
	} else if (json_is_number(v)) {
		number_text(v, buf);
		s = arena_strndup(&e->arena, buf, strlen(buf));
		t = text_put(e, path, s, strlen(s));
		t->is_num = true;
		t->num = json_number_value(v);
		text_words(e, t);
	} else {
		s = json_is_true(v) ? "true" : json_is_false(v) ? "false" :
		    "null";
		t = text_put(e, path, s, strlen(s));
	}
}

static void
json_walk(struct eval *e, json_t *v, const char *path)
{
	const char *name;
	json_t *kid;
	size_t i;

	if (json_is_array(v)) {
		json_array_foreach(v, i, kid)
			json_walk(e, kid, path);
		return;
	}
	if (!json_is_object(v)) {
		json_scalar(e, v, path);
		return;
	}
	json_object_foreach(v, name, kid) {
		char full[512];

		snprintf(full, sizeof full, "%s%s%s", path == NULL ? "" :
		    path, path == NULL ? "" : ".", name);
		e->paths = more(e->paths, e->npaths, &e->paths_cap,
		    sizeof *e->paths);
		e->paths[e->npaths] = arena_strndup(&e->arena, full,
		    strlen(full));
		e->npaths++;
		json_walk(e, kid, e->paths[e->npaths - 1]);
	}
}

static void
read_headers(struct eval *e)
{
	struct record copy = *e->r;
	struct header h;

	e->headers = arena_array(&e->arena, (size_t)copy.nheaders + 1,
	    sizeof *e->headers);
	while (e->nheaders < e->r->nheaders &&
	    header_next(&copy, &h) == E_OK) {
		struct named *n = &e->headers[e->nheaders++];
		struct text *t = text_put(e, NULL, h.value_len < 0 ? "" :
		    (const char *)h.value, h.value_len < 0 ? 0 :
		    (size_t)h.value_len);

		text_words(e, t);
		*n = (struct named){ (const char *)h.key, (size_t)h.key_len,
		    *t };
	}
}

bool
eval_record(struct eval *e, const struct record *r,
    const struct sconf *conf, const char *topic, int32_t part)
{
	json_t *v;

	arena_reset(&e->arena);
	for (int i = 0; i < e->nwords; i++)
		e->by_hash[e->words[i].hash % TABLE] =
		    e->by_stem[e->words[i].stem % TABLE] = 0;
	e->r = r;
	e->conf = conf;
	e->topic = topic;
	e->part = part;
	e->ntexts = e->nwords = e->npaths = e->nheaders = 0;
	e->key = -1;
	v = r->value_len < 0 ? NULL : json_loadb((const char *)r->value,
	    (size_t)r->value_len, JSON_ALLOW_NUL, NULL);
	e->json = v != NULL;
	if (v != NULL)
		json_walk(e, v, NULL);
	else if (r->value_len >= 0) {
		struct text *t = text_put(e, NULL, (const char *)r->value,
		    (size_t)r->value_len);

		t->is_str = true;
		text_words(e, t);
	}
	json_decref(v);
	if (r->key_len >= 0) {
		e->key = e->ntexts;
		text_words(e, text_put(e, NULL, (const char *)r->key,
		    (size_t)r->key_len));
	}
	read_headers(e);
	return true;
}

/* ---- queries ----------------------------------------------------------- */

/* What costs nothing to ask is asked first. */
static int
price(const struct query *q)
{
	return q->op == Q_OFFSET || q->op == Q_PART || q->op == Q_TIME ? 0 :
	    q->op == Q_TOPIC || q->op == Q_KEY ? 1 : q->op == Q_REGEX ? 3 : 2;
}

static int
by_price(const void *a, const void *b)
{
	const struct eval_query *const *x = a, *const *y = b;

	return price((*x)->q) - price((*y)->q);
}

static void
query_words(struct eval_query *k)
{
	const struct query *q = k->q;
	size_t at = 0;

	while (k->nwords < QUERY_WORDS && word_next(q->text, q->len, &at,
	    &k->words[k->nwords]))
		k->nwords++;
	k->one = k->nwords == 1 && k->words[0].from == 0 &&
	    k->words[0].to == q->len;
	k->stem = k->one ? stem_make(q->text, q->len) : 0;
	k->id = k->one && token_is_id(q->text, q->len);
}

/* What every match of an expression begins with, folded. */
static void
query_start(struct eval_query *k)
{
	const char *s = k->q->text;
	size_t n = strcspn(s, "\\.[]{}()*+?^$|");

	/* A mark behind it may make its last letter needless. */
	n = n > 4 && strchr(s, '|') == NULL ? n - 4 : 0;
	for (size_t i = 0; i < n && n < sizeof k->start; i++)
		k->start[i] = s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 0x20 :
		    s[i];
}

struct eval_query *
eval_query_new(const struct query *q)
{
	struct eval_query *k = calloc(1, sizeof *k);

	if (k == NULL)
		return NULL;
	k->q = q;
	k->path_hash = q->path == NULL ? 0 : hash(q->path, strlen(q->path));
	if (q->op == Q_WORD || q->op == Q_PHRASE || q->op == Q_FIELD)
		query_words(k);
	if (q->op == Q_REGEX)
		query_start(k);
	k->kids = calloc((size_t)q->nkids + 1, sizeof *k->kids);
	for (int i = 0; k->kids != NULL && i < q->nkids; i++) {
		k->kids[i] = eval_query_new(q->kids[i]);
		if (k->kids[i] == NULL)
			abort();
		k->nkids++;
	}
	if (k->nkids > 1)
		qsort(k->kids, (size_t)k->nkids, sizeof *k->kids, by_price);
	return k;
}

void
eval_query_free(struct eval_query *k)
{
	for (int i = 0; i < k->nkids; i++)
		eval_query_free(k->kids[i]);
	free(k->kids);
	free(k);
}

/* ---- questions --------------------------------------------------------- */

/* Whether a word of a text, or none, begins or ends at a place. */
static bool
edge(const struct eval *e, const struct text *t, size_t at)
{
	for (int i = t->first; i < t->end; i++)
		if (e->words[i].from < at && at < e->words[i].to)
			return false;
	return true;
}

static bool
stands_in(const struct eval *e, const struct text *t, const struct query *q)
{
	const char *s = t->fold, *end = t->fold + t->fold_len;

	for (; (s = memmem(s, (size_t)(end - s), q->text, q->len)) != NULL;
	    s++)
		if (edge(e, t, (size_t)(s - t->fold)) && (q->prefix ||
		    edge(e, t, (size_t)(s - t->fold) + q->len)))
			return true;
	return false;
}

static bool
stemmed(const struct eval *e, const struct eval_query *k)
{
	return e->conf->stem && !k->q->prefix && k->stem != 0 &&
	    (e->conf->ids || !k->id);
}

static bool
word_in_text(const struct eval *e, const struct eval_query *k,
    const struct text *t)
{
	bool by_stem = stemmed(e, k);

	if (!k->one)
		return stands_in(e, t, k->q);
	for (int i = t->first; i < t->end; i++) {
		const struct word *w = &e->words[i];
		size_t n = w->to - w->from;

		if (k->q->prefix ? n >= k->q->len && memcmp(t->fold + w->from,
		    k->q->text, k->q->len) == 0 : w->hash ==
		    k->words[0].hash || (by_stem && w->stem == k->stem))
			return true;
	}
	return false;
}

static bool
word_anywhere(const struct eval *e, const struct eval_query *k)
{
	int i;

	if (k->one && !k->q->prefix) {
		for (i = e->by_hash[k->words[0].hash % TABLE]; i > 0;
		    i = e->words[i - 1].next)
			if (e->words[i - 1].hash == k->words[0].hash)
				return true;
		if (!stemmed(e, k))
			return false;
		for (i = e->by_stem[k->stem % TABLE]; i > 0;
		    i = e->words[i - 1].next_stem)
			if (e->words[i - 1].stem == k->stem)
				return true;
		return false;
	}
	for (i = 0; i < e->ntexts; i++)
		if (word_in_text(e, k, &e->texts[i]))
			return true;
	return false;
}

static bool
phrase_at(const struct eval *e, const struct eval_query *k,
    const struct text *t, int i)
{
	if (i + k->nwords > t->end)
		return false;
	for (int j = 0; j < k->nwords; j++)
		if (e->words[i + j].hash != k->words[j].hash)
			return false;
	return true;
}

static bool
has_path(const struct text *t, const struct eval_query *k)
{
	return t->path_hash == k->path_hash && t->path != NULL &&
	    strcmp(t->path, k->q->path) == 0;
}

static bool
phrase(const struct eval *e, const struct eval_query *k)
{
	for (int i = 0; i < e->ntexts; i++) {
		const struct text *t = &e->texts[i];

		if (k->q->path != NULL && !has_path(t, k))
			continue;
		for (int j = t->first; j < t->end; j++)
			if (e->words[j].hash == k->words[0].hash &&
			    phrase_at(e, k, t, j))
				return true;
	}
	return false;
}

static bool
regex(const struct eval *e, const struct eval_query *k)
{
	for (int i = 0; i < e->ntexts; i++) {
		const struct text *t = &e->texts[i];

		/* Booleans and null are no texts. */
		if (t->first == t->end && t->path != NULL && !t->is_str)
			continue;
		if (k->start[0] != '\0' && memmem(t->fold, t->fold_len,
		    k->start, strlen(k->start)) == NULL)
			continue;
		if (query_regex_match(k->q->regex, t->raw, t->raw_len) ==
		    E_OK)
			return true;
	}
	return false;
}

/* Whether the topic has a member searched by words: "a^2,b". */
static bool
is_text_member(const struct sconf *c, const char *path)
{
	size_t n = strlen(path);

	for (const char *s = c->text; *s != '\0'; s += *s == ',') {
		size_t one = strcspn(s, ",^");

		if (one == n && memcmp(s, path, n) == 0)
			return true;
		s += strcspn(s, ",");
	}
	return false;
}

static bool
is_value(const char *s, size_t n, const struct query *q)
{
	if (q->prefix && n > q->len)
		n = q->len;
	return n == q->len && memcmp(s, q->text, n) == 0;
}

static bool
member(const struct eval *e, const struct eval_query *k)
{
	const struct query *q = k->q;
	bool words = !q->exact && k->nwords > 0 && (q->by_words ||
	    is_text_member(e->conf, q->path));

	for (int i = 0; i < e->ntexts; i++) {
		const struct text *t = &e->texts[i];

		if (!has_path(t, k))
			continue;
		if (words ? word_in_text(e, k, t) : q->exact ?
		    is_value(t->raw, t->raw_len, q) :
		    is_value(t->fold, t->fold_len, q))
			return true;
	}
	return false;
}

static int
order(const char *s, size_t n, const char *t)
{
	size_t m = strlen(t);
	int c = memcmp(s, t, n < m ? n : m);

	return c != 0 ? c : n == m ? 0 : n < m ? -1 : 1;
}

static bool
range(const struct eval *e, const struct eval_query *k)
{
	const struct query *q = k->q;

	for (int i = 0; i < e->ntexts; i++) {
		const struct text *t = &e->texts[i];
		int low, high;

		if (!has_path(t, k) || (q->is_num ? !t->is_num : !t->is_str))
			continue;
		low = q->no_low ? 1 : !q->is_num ? order(t->raw, t->raw_len,
		    q->text) : (t->num > q->num) - (t->num < q->num);
		high = q->no_high ? -1 : !q->is_num ? order(t->raw,
		    t->raw_len, q->text2) : (t->num > q->num2) -
		    (t->num < q->num2);
		if ((low > 0 || (low == 0 && !q->low_open)) &&
		    (high < 0 || (high == 0 && !q->high_open)))
			return true;
	}
	return false;
}

static bool
header(const struct eval *e, const struct query *q)
{
	for (int i = 0; i < e->nheaders; i++) {
		const struct named *h = &e->headers[i];

		if (h->len == strlen(q->path) && memcmp(h->name, q->path,
		    h->len) == 0 && (q->text == NULL || is_value(
		    h->value.raw, h->value.raw_len, q)))
			return true;
	}
	return false;
}

static bool
has(const struct eval *e, const struct query *q)
{
	for (int i = 0; i < e->npaths; i++)
		if (strcmp(e->paths[i], q->path) == 0)
			return true;
	return false;
}

static int64_t
how_many(struct eval *e, const struct eval_query *k, int64_t enough)
{
	int64_t n = 0;

	for (int i = 0; i < k->nkids && n < enough; i++)
		n += eval_match(e, k->kids[i]);
	return n;
}

static bool
all_of(struct eval *e, const struct eval_query *k)
{
	for (int i = 0; i < k->nkids; i++)
		if (!eval_match(e, k->kids[i]))
			return false;
	return true;
}

static bool
between(int64_t n, const struct query *q)
{
	return n >= q->low && n <= q->high;
}

bool
eval_match(struct eval *e, const struct eval_query *k)
{
	const struct query *q = k->q;

	switch (q->op) {
	case Q_ALL:
		return true;
	case Q_AND:
		return all_of(e, k);
	case Q_OR:
		return how_many(e, k, 1) == 1;
	case Q_SOME:
		return how_many(e, k, q->low) >= q->low;
	case Q_NOT:
		return !eval_match(e, k->kids[0]);
	case Q_WORD:
		return word_anywhere(e, k);
	case Q_PHRASE:
		return phrase(e, k);
	case Q_REGEX:
		return regex(e, k);
	case Q_FIELD:
		return member(e, k);
	case Q_RANGE:
		return range(e, k);
	case Q_HAS:
		return has(e, q);
	case Q_JSON:
		return e->json;
	case Q_TOMBSTONE:
		return e->r->value_len < 0;
	case Q_KEY:
		return e->key >= 0 && is_value(e->texts[e->key].raw,
		    e->texts[e->key].raw_len, q);
	case Q_HEADER:
		return header(e, q);
	case Q_TOPIC:
		return fnmatch(q->text, e->topic, 0) == 0;
	case Q_PART:
		return between(e->part, q);
	case Q_OFFSET:
		return between(e->r->offset, q);
	case Q_TIME:
		return between(e->r->ts, q);
	}
	return false;
}

/* ---- the end ----------------------------------------------------------- */

struct eval *
eval_new(void)
{
	struct eval *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	arena_init(&e->arena, LIMIT);
	e->stems = calloc(STEMS, sizeof *e->stems);
	if (e->stems == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

void
eval_free(struct eval *e)
{
	arena_reset(&e->arena);
	free(e->stems);
	free(e->texts);
	free(e->words);
	free(e->paths);
	free(e);
}
