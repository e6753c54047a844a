/* SPDX-License-Identifier: Apache-2.0 */
/* The formats of hits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/limits.h"
#include "lib/utf8.h"
#include "match.h"
#include "out.h"
#include "token.h"

enum {
	FLUSH_BYTES	= 64 * KIB,
	OUT_MAX		= 512 * MIB,	/* one hit, escaped */
	SPANS_MAX	= 64,		/* highlights of one text */
};

static void
put(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

static void
put_int(struct wr *w, int64_t n)
{
	char buf[24];

	snprintf(buf, sizeof buf, "%lld", (long long)n);
	put(w, buf);
}

void
out_time(char out[32], int64_t ms)
{
	time_t s = ms / 1000;
	struct tm tm;

	if (ms < 0 || gmtime_r(&s, &tm) == NULL || tm.tm_year > 8099)
		strcpy(out, "-");
	else {
		strftime(out, 24, "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(out + strlen(out), 8, ".%03uZ",
		    (unsigned)(ms % 1000) % 1000);
	}
}

void
out_json_text(struct wr *w, const char *s, size_t n)
{
	char hex[8];

	wr_i8(w, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\') {
			wr_i8(w, '\\');
			wr_i8(w, (int8_t)c);
		} else if (c < ' ' || c == 0x7f) {
			snprintf(hex, sizeof hex, "\\u%04x", c);
			put(w, hex);
		} else
			wr_i8(w, (int8_t)c);
	}
	wr_i8(w, '"');
}

void
out_json_any(struct wr *w, const char *s, size_t n)
{
	if (utf8_valid(s, n))
		out_json_text(w, s, n);
	else
		out_json_text(w, "(bytes)", 7);
}

static void
put_base64(struct wr *w, const uint8_t *p, size_t n)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";

	wr_i8(w, '"');
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16;

		if (i + 1 < n)
			v |= (unsigned)p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		wr_i8(w, set[v >> 18]);
		wr_i8(w, set[v >> 12 & 63]);
		wr_i8(w, i + 1 < n ? set[v >> 6 & 63] : '=');
		wr_i8(w, i + 2 < n ? set[v & 63] : '=');
	}
	wr_i8(w, '"');
}

/* ,"NAME":"text", or "NAME_base64" for bytes that are no text. */
static void
put_bytes(struct wr *w, const char *name, const uint8_t *p, int32_t n)
{
	put(w, ",\"");
	put(w, name);
	if (n < 0)
		put(w, "\":null");
	else if (utf8_valid(p, (size_t)n)) {
		put(w, "\":");
		out_json_text(w, (const char *)p, (size_t)n);
	} else {
		put(w, "_base64\":");
		put_base64(w, p, (size_t)n);
	}
}

/* ---- JSON -------------------------------------------------------------- */

/* A value that is JSON stands there as it is, on one line. */
static void
put_value(struct wr *w, const struct doc *d, const struct record *r)
{
	if (!d->json) {
		put_bytes(w, "value", r->value, r->value_len);
		return;
	}
	put(w, ",\"value\":");
	for (int32_t i = 0; i < r->value_len; i++)
		wr_i8(w, r->value[i] == '\n' || r->value[i] == '\r' ? ' ' :
		    (int8_t)r->value[i]);
}

static void
put_headers(struct wr *w, const struct doc *d)
{
	put(w, ",\"headers\":[");
	for (int i = 0; i < d->nheaders; i++) {
		const struct doc_header *h = &d->headers[i];

		put(w, i > 0 ? ",{\"name\":" : "{\"name\":");
		if (utf8_valid(h->name, h->name_len))
			out_json_text(w, h->name, h->name_len);
		else
			put_base64(w, (const uint8_t *)h->name, h->name_len);
		put_bytes(w, "value", (const uint8_t *)h->value.raw,
		    (int32_t)h->value.raw_len);
		put(w, "}");
	}
	put(w, "]");
}

static void
put_highlights(struct wr *w, const struct doc *d, const struct match *m)
{
	struct match_span v[SPANS_MAX];
	const struct doc_text *t;
	bool first = true;

	put(w, ",\"highlights\":[");
	for (int i = 0; (t = doc_words(d, i)) != NULL; i++) {
		int n = match_spans(m, t, v, SPANS_MAX);
		/* Where folding changed no length, as it was written. */
		const char *s = t->len == t->raw_len ? t->raw : t->text;

		for (int j = 0; j < n; j++) {
			put(w, first ? "{\"path\":" : ",{\"path\":");
			first = false;
			if (t->path == NULL)
				put(w, "null");
			else
				out_json_text(w, t->path, strlen(t->path));
			put(w, ",\"text\":");
			if (utf8_valid(s + v[j].from, v[j].to - v[j].from))
				out_json_text(w, s + v[j].from, v[j].to -
				    v[j].from);
			else
				out_json_text(w, t->text + v[j].from,
				    v[j].to - v[j].from);
			put(w, "}");
		}
	}
	put(w, "]");
}

/* ---- members ----------------------------------------------------------- */

/* The next name of "a,b.c". */
static bool
field_next(const char **s, char *name, size_t size)
{
	size_t n = strcspn(*s, ",");

	if (**s == '\0')
		return false;
	snprintf(name, size, "%.*s", (int)n, *s);
	*s += n + ((*s)[n] == ',');
	return true;
}

/* The next value of a member from the *i-th text on, which an array may have
 * several of; NULL: there is none. */
static const struct doc_text *
member(const struct doc *d, const char *path, int *i)
{
	while (*i < d->ntexts) {
		const struct doc_text *t = &d->texts[(*i)++];

		if (t->path != NULL && strcmp(t->path, path) == 0)
			return t;
	}
	return NULL;
}

static void
json_scalar(struct wr *w, const struct doc_text *t)
{
	if (t->is_str)
		out_json_text(w, t->raw, t->raw_len);
	else
		wr_bytes(w, t->raw, t->raw_len);
}

static void
json_fields(struct out *o, struct wr *w)
{
	const char *s = o->fields;
	char name[DOC_PATH_MAX + 1];
	bool first = true;

	put(w, ",\"fields\":{");
	while (field_next(&s, name, sizeof name)) {
		int at = 0;
		const struct doc_text *t = member(&o->doc, name, &at);
		const struct doc_text *next = member(&o->doc, name, &at);

		if (!first)
			put(w, ",");
		first = false;
		out_json_text(w, name, strlen(name));
		put(w, next != NULL ? ":[" : ":");
		if (t == NULL)
			put(w, "null");
		else
			json_scalar(w, t);
		for (t = next; t != NULL; t = member(&o->doc, name, &at)) {
			put(w, ",");
			json_scalar(w, t);
		}
		put(w, next != NULL ? "]" : "");
	}
	put(w, "}");
}

static void
hit_json(struct out *o, const struct hit *h, const struct match *m,
    bool context)
{
	struct wr *w = &o->w;
	char score[40];

	put(w, "{\"topic\":");
	out_json_text(w, h->walk->topic, strlen(h->walk->topic));
	put(w, ",\"partition\":");
	put_int(w, h->walk->part);
	put(w, ",\"offset\":");
	put_int(w, h->r.offset);
	put(w, ",\"timestamp\":");
	put_int(w, h->r.ts);
	put_bytes(w, "key", h->r.key, h->r.key_len);
	put_headers(w, &o->doc);
	if (o->fields != NULL)
		json_fields(o, w);
	else
		put_value(w, &o->doc, &h->r);
	snprintf(score, sizeof score, ",\"score\":%.6g", h->score);
	put(w, score);
	if (context)
		put(w, ",\"context\":true");
	else
		put_highlights(w, &o->doc, m);
	put(w, "}");
}

/* ---- text -------------------------------------------------------------- */

enum { ESCAPE_TSV = 1, ESCAPE_TERMINAL = 2 };

/* Bytes for a line: control characters as \x1b. */
static void
put_clean(struct wr *w, const uint8_t *p, size_t n, int how)
{
	char hex[8];

	for (size_t i = 0; i < n; i++) {
		if (how == ESCAPE_TSV && strchr("\t\n\r\\", p[i]) != NULL &&
		    p[i] != '\0') {
			wr_i8(w, '\\');
			wr_i8(w, p[i] == '\t' ? 't' : p[i] == '\n' ? 'n' :
			    p[i] == '\r' ? 'r' : '\\');
		} else if (p[i] < ' ' || p[i] == 0x7f) {
			snprintf(hex, sizeof hex, "\\x%02x", p[i]);
			put(w, hex);
		} else
			wr_i8(w, (int8_t)p[i]);
	}
}

/* What the query found, in all texts of the record, each once. */
struct found { const char *p[SPANS_MAX]; size_t n[SPANS_MAX]; int count; };

static void
found_collect(struct found *f, const struct doc *d, const struct match *m)
{
	struct match_span v[SPANS_MAX];
	const struct doc_text *t;

	f->count = 0;
	for (int i = 0; (t = doc_words(d, i)) != NULL; i++) {
		int n = match_spans(m, t, v, SPANS_MAX);

		for (int j = 0; j < n && f->count < SPANS_MAX; j++) {
			f->p[f->count] = t->text + v[j].from;
			f->n[f->count++] = v[j].to - v[j].from;
		}
	}
}

/* The longest of them that stands at p, whatever its case. */
static size_t
found_at(const struct found *f, const char *start, const char *p,
    const char *end)
{
	size_t best = 0;

	for (int i = 0; i < f->count; i++)
		if (f->n[i] > best && f->n[i] <= (size_t)(end - p) &&
		    strncasecmp(p, f->p[i], f->n[i]) == 0 &&
		    token_edge(start, p, end) &&
		    token_edge(start, p + f->n[i], end))
			best = f->n[i];
	return best;
}

static void
put_bold(struct out *o, const uint8_t *p, size_t n, const struct match *m)
{
	const char *s = (const char *)p, *end = s + n;
	struct found f;

	if (!o->color || m == NULL) {
		put_clean(&o->w, p, n, ESCAPE_TERMINAL);
		return;
	}
	found_collect(&f, &o->doc, m);
	for (const char *at = s; at < end; ) {
		size_t len = found_at(&f, s, at, end);

		if (len > 0) {
			put(&o->w, "\033[1;31m");
			put_clean(&o->w, (const uint8_t *)at, len,
			    ESCAPE_TERMINAL);
			put(&o->w, "\033[0m");
		} else
			put_clean(&o->w, (const uint8_t *)at, len = 1,
			    ESCAPE_TERMINAL);
		at += len;
	}
}

static void
put_members(struct out *o, char sep)
{
	const char *s = o->fields;
	char name[DOC_PATH_MAX + 1];

	for (bool first = true; field_next(&s, name, sizeof name);
	    first = false) {
		const struct doc_text *t;
		int at = 0, n = 0;

		if (!first)
			wr_i8(&o->w, sep);
		while ((t = member(&o->doc, name, &at)) != NULL) {
			put(&o->w, n++ > 0 ? "," : "");
			put_clean(&o->w, (const uint8_t *)t->raw, t->raw_len,
			    sep == '\t' ? ESCAPE_TSV : ESCAPE_TERMINAL);
		}
		if (n == 0)
			put(&o->w, "-");
	}
}

static void
hit_text(struct out *o, const struct hit *h, const struct match *m)
{
	char when[32], where[64];

	out_time(when, h->r.ts);
	put(&o->w, when);
	put(&o->w, " ");
	put(&o->w, h->walk->topic);
	snprintf(where, sizeof where, "/%d@%lld ", h->walk->part,
	    (long long)h->r.offset);
	put(&o->w, where);
	if (h->r.key_len < 0)
		put(&o->w, "-");
	else
		put_bold(o, h->r.key, (size_t)h->r.key_len, m);
	put(&o->w, " ");
	if (o->fields != NULL)
		put_members(o, ' ');
	else if (h->r.value_len < 0)
		put(&o->w, "(tombstone)");
	else
		put_bold(o, h->r.value, (size_t)h->r.value_len, m);
}

static void
hit_tsv(struct out *o, const struct hit *h)
{
	char when[32];

	out_time(when, h->r.ts);
	put(&o->w, h->walk->topic);
	wr_i8(&o->w, '\t');
	put_int(&o->w, h->walk->part);
	wr_i8(&o->w, '\t');
	put_int(&o->w, h->r.offset);
	wr_i8(&o->w, '\t');
	put(&o->w, when);
	wr_i8(&o->w, '\t');
	if (h->r.key_len < 0)
		put(&o->w, "-");
	else
		put_clean(&o->w, h->r.key, (size_t)h->r.key_len, ESCAPE_TSV);
	wr_i8(&o->w, '\t');
	if (o->fields != NULL)
		put_members(o, '\t');
	else if (h->r.value_len < 0)
		put(&o->w, "-");
	else
		put_clean(&o->w, h->r.value, (size_t)h->r.value_len,
		    ESCAPE_TSV);
}

/* ---- templates --------------------------------------------------------- */

static void
template_one(struct out *o, const struct hit *h, char c)
{
	char buf[64];

	switch (c) {
	case 't':
		put(&o->w, h->walk->topic);
		return;
	case 'p':
		put_int(&o->w, h->walk->part);
		return;
	case 'o':
		put_int(&o->w, h->r.offset);
		return;
	case 's':
		put_int(&o->w, h->r.ts);
		return;
	case 'T':
		out_time(buf, h->r.ts);
		put(&o->w, buf);
		return;
	case 'k':
		if (h->r.key_len > 0)
			wr_bytes(&o->w, h->r.key, (size_t)h->r.key_len);
		return;
	case 'v':
		if (o->fields != NULL)
			put_members(o, ' ');
		else if (h->r.value_len > 0)
			wr_bytes(&o->w, h->r.value, (size_t)h->r.value_len);
		return;
	case 'h':
		for (int i = 0; i < o->doc.nheaders; i++) {
			const struct doc_header *x = &o->doc.headers[i];

			put(&o->w, i > 0 ? "," : "");
			wr_bytes(&o->w, x->name, x->name_len);
			put(&o->w, "=");
			wr_bytes(&o->w, x->value.raw, x->value.raw_len);
		}
		return;
	case 'S':
		snprintf(buf, sizeof buf, "%.6g", h->score);
		put(&o->w, buf);
		return;
	default:
		wr_i8(&o->w, '%');
		if (c != '%')
			wr_i8(&o->w, c);
	}
}

static void
hit_template(struct out *o, const struct hit *h)
{
	for (const char *s = o->template; *s != '\0'; s++) {
		if (*s == '%' && s[1] != '\0')
			template_one(o, h, *++s);
		else if (*s == '\\' && s[1] != '\0') {
			s++;
			wr_i8(&o->w, *s == 'n' ? '\n' : *s == 't' ? '\t' :
			    *s == '0' ? '\0' : *s);
		} else
			wr_i8(&o->w, *s);
	}
}

/* ---- the stream -------------------------------------------------------- */

void
out_open(struct out *o)
{
	o->w = wr_grow(OUT_MAX);
	doc_init(&o->doc);
}

void
out_begin(struct out *o)
{
	o->shown = 0;
	if (o->format == OUT_JSON)
		put(&o->w, "{\"schema\":\"chronik.search/1\",\"hits\":[");
}

void
out_flush(struct out *o)
{
	if (o->w.bad)
		o->failed = true;
	else if ((o->w.len > 0 && fwrite(o->w.p, 1, o->w.len, stdout) !=
	    o->w.len) || fflush(stdout) != 0)
		o->failed = true;
	wr_free(&o->w);
	o->w = wr_grow(OUT_MAX);
}

void
out_gap(struct out *o)
{
	if (o->format == OUT_TEXT)
		put(&o->w, "--\n");
}

void
out_hit(struct out *o, struct search *s, const struct hit *h, bool context)
{
	struct match m = { s->query, h->walk->topic, h->walk->part,
	    h->conf != NULL ? h->conf : &h->walk->conf, false };

	if (doc_read(&o->doc, &h->r) != E_OK) {
		/* It has no parts that could be shown one by one. */
		o->doc.ntexts = o->doc.nheaders = 0;
		o->doc.json = false;
	}
	switch (o->format) {
	case OUT_TEXT:
		hit_text(o, h, context ? NULL : &m);
		break;
	case OUT_JSON:
		put(&o->w, o->shown > 0 ? ",\n" : "\n");
		hit_json(o, h, &m, context);
		break;
	case OUT_JSONL:
		hit_json(o, h, &m, context);
		break;
	case OUT_RAW:
		if (h->r.value_len > 0)
			wr_bytes(&o->w, h->r.value, (size_t)h->r.value_len);
		break;
	case OUT_TSV:
		hit_tsv(o, h);
		break;
	case OUT_TEMPLATE:
		hit_template(o, h);
		break;
	}
	if (o->null)
		wr_i8(&o->w, '\0');
	else if (o->format != OUT_JSON && o->format != OUT_TEMPLATE)
		wr_i8(&o->w, '\n');
	o->shown++;
	if (o->w.len > FLUSH_BYTES || o->w.bad)
		out_flush(o);
}

void
out_end(struct out *o, const struct search *s)
{
	if (o->format == OUT_JSON) {
		put(&o->w, o->shown > 0 ? "\n],\"coverage\":" :
		    "],\"coverage\":");
		coverage_json(s, &o->w);
		put(&o->w, "}\n");
	}
	out_flush(o);
}

void
out_close(struct out *o)
{
	wr_free(&o->w);
	doc_free(&o->doc);
}
