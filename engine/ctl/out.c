/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output: items are JSON objects, whatever the format; a table is made of
 * their members.  Errors go to standard error in one form.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "lib/utf8.h"

enum { CELL_SIZE = 512, COLUMNS_MAX = 16 };

json_t *
out_str(struct kstr s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i, len, at = 0;
	json_t *j;
	char *buf;

	if (s.len < 0)
		return json_null();
	buf = malloc((size_t)s.len * 3 + 1);
	ASSERT(buf != NULL);
	for (i = 0; i < (size_t)s.len; i += len == 0 ? 1 : len) {
		len = utf8_len(p + i, (size_t)s.len - i);
		memcpy(buf + at, len == 0 ? "\xef\xbf\xbd" :
		    (const char *)p + i, len == 0 ? 3 : len);
		at += len == 0 ? 3 : len;
	}
	j = json_stringn(buf, at);
	free(buf);
	return j;
}

/* As Kafka prints ids: base64 for URLs, 22 characters. */
json_t *
out_uuid(struct uuid u)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned acc = 0;
	char buf[23];
	int i, bits = 0, n = 0;

	if (uuid_zero(u))
		return json_null();
	for (i = 0; i < 16; i++) {
		acc = acc << 8 | u.b[i];
		for (bits += 8; bits >= 6; bits -= 6)
			buf[n++] = alphabet[acc >> (bits - 6) & 63];
	}
	buf[n++] = alphabet[acc << (6 - bits) & 63];
	return json_stringn(buf, (size_t)n);
}

/* The text of a member, without anything that would break a line. */
static const char *
cell(const json_t *item, const char *key, char buf[CELL_SIZE])
{
	const json_t *v = json_object_get(item, key);
	char *p;

	if (json_is_string(v))
		snprintf(buf, CELL_SIZE, "%s", json_string_value(v));
	else if (json_is_integer(v))
		snprintf(buf, CELL_SIZE, "%lld",
		    (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(buf, CELL_SIZE, "%.3f", json_real_value(v));
	else if (json_is_boolean(v))
		snprintf(buf, CELL_SIZE, "%s", json_is_true(v) ? "true" :
		    "false");
	else
		snprintf(buf, CELL_SIZE, "-");
	for (p = buf; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return buf;
}

void
out_plain(struct kstr s)
{
	json_t *row = json_object();
	char buf[CELL_SIZE];

	json_object_set_new(row, "s", s.len <= 0 ? json_null() : out_str(s));
	fputs(cell(row, "s", buf), stdout);
	json_decref(row);
}

/* Characters, not bytes. */
static int
width(const char *s)
{
	int n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
print_cell(const char *s, int to, bool right, bool last)
{
	int pad = to - width(s);

	printf("%*s%s%*s%s", right && pad > 0 ? pad : 0, "", s,
	    !right && !last && pad > 0 ? pad : 0, "", last ? "\n" : "  ");
}

static void
print_table(const json_t *items, const struct column *cols, int n)
{
	int widths[COLUMNS_MAX], c;
	char buf[CELL_SIZE];
	const json_t *item;
	size_t i;

	for (c = 0; c < n; c++)
		widths[c] = width(cols[c].title);
	json_array_foreach(items, i, item)
		for (c = 0; c < n; c++) {
			int w = width(cell(item, cols[c].key, buf));

			if (w > widths[c])
				widths[c] = w;
		}
	for (c = 0; c < n; c++)
		print_cell(cols[c].title, widths[c], cols[c].right,
		    c == n - 1);
	json_array_foreach(items, i, item)
		for (c = 0; c < n; c++)
			print_cell(cell(item, cols[c].key, buf), widths[c],
			    cols[c].right, c == n - 1);
}

static void
print_tsv(const json_t *items, const struct column *cols, int n)
{
	char buf[CELL_SIZE];
	const json_t *item;
	size_t i;
	int c;

	json_array_foreach(items, i, item)
		for (c = 0; c < n; c++)
			printf("%s%c", cell(item, cols[c].key, buf),
			    c == n - 1 ? '\n' : '\t');
}

void
out_rows(const struct args *a, const json_t *items, const struct column *cols,
    int n)
{
	ASSERT(n <= COLUMNS_MAX);
	if (a->format == FORMAT_TSV)
		print_tsv(items, cols, n);
	else
		print_table(items, cols, n);
}

void
out_items(const struct args *a, const char *schema, json_t *items,
    const struct column *cols, int n)
{
	const size_t flags = JSON_PRESERVE_ORDER | JSON_ENCODE_ANY;
	json_t *all, *item;
	size_t i;

	switch (a->format) {
	case FORMAT_JSON:
		all = json_object();
		json_object_set_new(all, "schema", json_string(schema));
		json_object_set(all, "items", items);
		json_dumpf(all, stdout, flags | JSON_INDENT(2));
		putchar('\n');
		json_decref(all);
		break;
	case FORMAT_JSONL:
		json_array_foreach(items, i, item) {
			all = json_object();
			json_object_set_new(all, "schema",
			    json_string(schema));
			json_object_update(all, item);
			json_dumpf(all, stdout, flags | JSON_COMPACT);
			putchar('\n');
			json_decref(all);
		}
		break;
	default:
		out_rows(a, items, cols, n);
	}
	json_decref(items);
}

/* What a person may do about an error; NULL: its words say all. */
static const char *
hint_of(enum err e)
{
	switch ((int)e) {
	case E_TOPIC_EXISTS:
		return "--if-not-exists accepts a topic that is there already";
	case E_RESOURCE_NOT_FOUND:
		return "chronik user ls shows the users";
	case E_GROUP_ID_NOT_FOUND:
		return "chronik group ls shows the groups";
	case E_NON_EMPTY_GROUP:
		return "stop its members first; chronik group show names them";
	case E_DUPLICATE_RESOURCE:
		return "chronik user passwd changes a password";
	case E_UNKNOWN_TOPIC:
		return "chronik topic ls shows the topics";
	case E_INVALID_CONFIG:
		return "chronik.conf(5) lists the topic configs";
	case E_INVALID_PARTITIONS:
		return "--partitions takes a number from 1 to 10000";
	case E_TOPIC_DELETION_DISABLED:
		return "delete-topic-enable = true allows it, see "
		    "chronik.conf(5)";
	case E_NOSPC:
	case E_STORAGE:
	case E_IO:
	case E_FENCED:
		return "see the log of the engine, and whether its disk is "
		    "full";
	default:
		return NULL;
	}
}

void
out_error(const struct args *a, const char *item, enum err e,
    struct kstr message)
{
	const char *hint = hint_of(e);
	json_t *row = json_object();
	char name[CELL_SIZE], words[CELL_SIZE];

	json_object_set_new(row, "item", out_str(kstr_of(item)));
	json_object_set_new(row, "words", message.len > 0 ? out_str(message) :
	    json_string(err_text(e)));
	fprintf(stderr, "%s: %s: %s: %s\n", args_command(a),
	    cell(row, "item", name), err_name(e), cell(row, "words", words));
	if (hint != NULL)
		fprintf(stderr, "hint: %s\n", hint);
	json_decref(row);
}

void
out_verdict(json_t *item, enum err e, struct kstr message)
{
	json_object_set_new(item, "error", e == E_OK ? json_null() :
	    json_string(err_name(e)));
	json_object_set_new(item, "message", e == E_OK ? json_null() :
	    message.len > 0 ? out_str(message) : json_string(err_text(e)));
}
