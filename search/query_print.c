/* SPDX-License-Identifier: Apache-2.0 */
/* A query as an s-expression, for --explain and for tests. */
#include <stdio.h>
#include <string.h>

#include "query.h"

static void
put(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

static void
put_text(struct wr *w, const char *s, size_t n)
{
	char hex[8];

	put(w, " \"");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			wr_i8(w, '\\');
		if (c >= ' ' && c != 0x7f)
			wr_i8(w, (int8_t)c);
		else {
			snprintf(hex, sizeof hex, "\\x%02x", c);
			put(w, hex);
		}
	}
	put(w, "\"");
}

static void
put_end(struct wr *w, bool none, bool is_num, double num, const char *text)
{
	char buf[48];

	if (none)
		put(w, " -");
	else if (is_num) {
		snprintf(buf, sizeof buf, " %.17g", num);
		put(w, buf);
	} else
		put_text(w, text, strlen(text));
}

static void
put_span(struct wr *w, const struct query *q)
{
	char buf[64];

	snprintf(buf, sizeof buf, " %lld %lld", (long long)q->low,
	    (long long)q->high);
	put(w, buf);
}

void
query_print(const struct query *q, struct wr *w)
{
	static const char *const names[] = {
		[Q_ALL] = "all", [Q_AND] = "and", [Q_OR] = "or",
		[Q_NOT] = "not", [Q_SOME] = "some", [Q_WORD] = "word",
		[Q_PHRASE] = "phrase",
		[Q_REGEX] = "regex", [Q_FIELD] = "field",
		[Q_RANGE] = "range", [Q_HAS] = "has", [Q_JSON] = "json",
		[Q_TOMBSTONE] = "tombstone", [Q_KEY] = "key",
		[Q_HEADER] = "header", [Q_TOPIC] = "topic",
		[Q_PART] = "partition", [Q_OFFSET] = "offset",
		[Q_TIME] = "time",
	};

	put(w, "(");
	put(w, names[q->op]);
	if (q->path != NULL)
		put_text(w, q->path, strlen(q->path));
	if (q->op == Q_RANGE) {
		put(w, q->low_open ? " >" : "");
		put_end(w, q->no_low, q->is_num, q->num, q->text);
		put(w, q->high_open ? " <" : "");
		put_end(w, q->no_high, q->is_num, q->num2, q->text2);
	} else if (q->text != NULL)
		put_text(w, q->text, q->len);
	if (q->op == Q_SOME || q->op == Q_PART || q->op == Q_OFFSET ||
	    q->op == Q_TIME)
		put_span(w, q);
	if (q->prefix)
		put(w, " prefix");
	if (q->exact)
		put(w, " exact");
	if (q->by_words)
		put(w, " words");
	for (int i = 0; i < q->nkids; i++) {
		put(w, " ");
		query_print(q->kids[i], w);
	}
	put(w, ")");
}
