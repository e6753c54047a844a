/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The renderer.  Version 1:
 *
 *   {"p":0,"o":17,"ts":1795392664928,"k":"user-1","h":{"a":"b"},"v":{...}}
 *
 * k, v: null; text (UTF-8) as a string; other bytes in base64, named k64 and
 * v64 then.  A value that is a JSON object, array, number, true or false
 * stands as it is, but for line ends in it, which become blanks.  h is left
 * out when there are none; when names repeat, or not all is text, they are
 * h64, a list of [name, value] in base64.
 */
#include <string.h>
#include <time.h>

#include "json.h"
#include "render.h"
#include "utf8.h"

#define PUT(w, s)	wr_bytes(w, s, sizeof s - 1)

enum { HEADERS_DISTINCT_MAX = 64 };	/* more are not compared: h64 */

uint32_t
render_id(const struct render *r)
{
	return RENDER_VERSION << 8 | (uint32_t)r->pretty_time << 1 |
	    (uint32_t)r->value_only;
}

void
render_time(struct wr *w, int64_t ms)
{
	int64_t s = ms / 1000, left = ms % 1000;
	time_t t;
	struct tm tm;
	char b[40];
	size_t n;

	if (left < 0) {
		left += 1000;
		s--;
	}
	t = (time_t)s;
	if (ms < 0 || gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900) {
		json_put_int(w, ms);
		return;
	}
	n = strftime(b, sizeof b, "\"%Y-%m-%dT%H:%M:%S.", &tm);
	b[n] = (char)('0' + left / 100);
	b[n + 1] = (char)('0' + left / 10 % 10);
	b[n + 2] = (char)('0' + left % 10);
	memcpy(b + n + 3, "Z\"", 2);
	wr_bytes(w, b, n + 5);
}

/* Line ends stand only between the tokens of JSON. */
static void
put_json(struct wr *w, const uint8_t *p, size_t n)
{
	uint8_t *to = wr_room(w, n), *at, *end;

	if (to == NULL)
		return;
	memcpy(to, p, n);
	end = to + n;
	for (at = to; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; )
		*at = ' ';
	for (at = to; (at = memchr(at, '\r', (size_t)(end - at))) != NULL; )
		*at = ' ';
}

/* ---- headers ----------------------------------------------------------- */

/* Whether they can stand as an object: distinct names, all text. */
static enum err
headers_simple(struct record rec, bool *simple)
{
	struct header h[HEADERS_DISTINCT_MAX];
	int n = 0;
	enum err e;

	*simple = rec.nheaders <= HEADERS_DISTINCT_MAX;
	while (*simple && n < rec.nheaders) {
		if ((e = header_next(&rec, &h[n])) != E_OK)
			return e == E_EOF ? E_OK : e;
		*simple = utf8_valid(h[n].key, (size_t)h[n].key_len) &&
		    (h[n].value_len < 0 || utf8_valid(h[n].value,
		    (size_t)h[n].value_len));
		for (int i = 0; i < n && *simple; i++)
			*simple = h[i].key_len != h[n].key_len ||
			    memcmp(h[i].key, h[n].key,
			    (size_t)h[n].key_len) != 0;
		n++;
	}
	return E_OK;
}

static void
put_pair(struct wr *w, const struct header *h, bool simple)
{
	void (*put)(struct wr *, const uint8_t *, size_t) = simple ?
	    json_put_string : json_put_base64;

	if (!simple)
		PUT(w, "[");
	put(w, h->key, (size_t)h->key_len);
	wr_bytes(w, simple ? ":" : ",", 1);
	if (h->value_len < 0)
		PUT(w, "null");
	else
		put(w, h->value, (size_t)h->value_len);
	if (!simple)
		PUT(w, "]");
}

static enum err
put_headers(struct wr *w, struct record rec)
{
	struct header h;
	bool simple, first = true;
	enum err e = headers_simple(rec, &simple);

	if (e != E_OK)
		return e;
	if (simple)
		PUT(w, ",\"h\":{");
	else
		PUT(w, ",\"h64\":[");
	while ((e = header_next(&rec, &h)) == E_OK) {
		if (!first)
			PUT(w, ",");
		first = false;
		put_pair(w, &h, simple);
	}
	wr_bytes(w, simple ? "}" : "]", 1);
	return e == E_EOF ? E_OK : e;
}

/* ---- records ----------------------------------------------------------- */

static void
put_key(struct wr *w, const struct record *rec)
{
	size_t n = (size_t)rec->key_len;

	if (rec->key_len < 0)
		PUT(w, ",\"k\":null");
	else if (utf8_valid(rec->key, n)) {
		PUT(w, ",\"k\":");
		json_put_string(w, rec->key, n);
	} else {
		PUT(w, ",\"k64\":");
		json_put_base64(w, rec->key, n);
	}
}

/* label: what goes before it, up to its name. */
static void
put_value(struct wr *w, const struct record *rec, const char *label)
{
	size_t n = (size_t)rec->value_len;

	wr_bytes(w, label, strlen(label));
	if (rec->value_len < 0)
		PUT(w, "\"v\":null");
	else if (json_is_plain(rec->value, n)) {
		PUT(w, "\"v\":");
		put_json(w, rec->value, n);
	} else if (utf8_valid(rec->value, n)) {
		PUT(w, "\"v\":");
		json_put_string(w, rec->value, n);
	} else {
		PUT(w, "\"v64\":");
		json_put_base64(w, rec->value, n);
	}
}

/* Bytes that are no text stand as {"v64":"..."}, so that every line is JSON
 * and says what it is. */
static void
put_value_only(struct wr *w, const struct record *rec)
{
	size_t n = (size_t)rec->value_len;

	if (rec->value_len < 0)
		PUT(w, "null");
	else if (json_is_plain(rec->value, n))
		put_json(w, rec->value, n);
	else if (utf8_valid(rec->value, n))
		json_put_string(w, rec->value, n);
	else {
		PUT(w, "{\"v64\":");
		json_put_base64(w, rec->value, n);
		PUT(w, "}");
	}
}

enum err
render_record(const struct render *r, int32_t part, const struct record *rec,
    struct wr *w)
{
	enum err e = E_OK;

	if (r->value_only)
		put_value_only(w, rec);
	else {
		PUT(w, "{\"p\":");
		json_put_int(w, part);
		PUT(w, ",\"o\":");
		json_put_int(w, rec->offset);
		PUT(w, ",\"ts\":");
		if (r->pretty_time)
			render_time(w, rec->ts);
		else
			json_put_int(w, rec->ts);
		put_key(w, rec);
		if (rec->nheaders > 0)
			e = put_headers(w, *rec);
		put_value(w, rec, ",");
		PUT(w, "}");
	}
	PUT(w, "\n");
	if (e != E_OK)
		return e;
	return w->bad ? E_NOMEM : E_OK;
}
