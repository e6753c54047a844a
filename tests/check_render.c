/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The renderer's lines, byte by byte: they are a format that sizes of files
 * are sums of.  That they say what the records are is fuzz_render's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/found.h"
#include "lib/json.h"
#include "lib/render.h"
#include "lib/limits.h"

static struct wr out;

static struct record
record(const char *key, const char *value)
{
	return (struct record){ .offset = 17, .ts = 1795392664928,
	    .key = (const uint8_t *)key,
	    .key_len = key == NULL ? -1 : (int32_t)strlen(key),
	    .value = (const uint8_t *)value,
	    .value_len = value == NULL ? -1 : (int32_t)strlen(value) };
}

static void
check(const struct render *r, const struct record *rec, const char *want)
{
	out.len = 0;
	ck_assert_int_eq(render_record(r, 0, rec, &out), E_OK);
	wr_bytes(&out, "", 1);
	ck_assert_str_eq((char *)out.p, want);
}

static void
value(const char *v, const char *want)
{
	struct record rec = record("k", v);
	char line[1024];

	snprintf(line, sizeof line, "{\"p\":0,\"o\":17,\"ts\":1795392664928,"
	    "\"k\":\"k\",%s}\n", want);
	check(&(struct render){ 0 }, &rec, line);
}

START_TEST(values)
{
	value("{\"a\": 1}", "\"v\":{\"a\": 1}");
	value(" [1,\r\n2] ", "\"v\": [1,  2] ");
	value("true", "\"v\":true");
	value("-1.5e3", "\"v\":-1.5e3");
	/* Only text is ever a string, and only nothing is ever null. */
	value("\"text\"", "\"v\":\"\\\"text\\\"\"");
	value("null", "\"v\":\"null\"");
	value(NULL, "\"v\":null");
	value("", "\"v\":\"\"");
	value("01", "\"v\":\"01\"");
	value("{\"a\":1,}", "\"v\":\"{\\\"a\\\":1,}\"");
	value("[1] x", "\"v\":\"[1] x\"");
	value("a\tb\nc\x01\x7f\\ \xc3\xa9",
	    "\"v\":\"a\\tb\\nc\\u0001\x7f\\\\ \xc3\xa9\"");
	value("\xff", "\"v64\":\"/w==\"");
	value("\xff\xfe", "\"v64\":\"//4=\"");
	value("\xed\xa0\x80", "\"v64\":\"7aCA\"");
}
END_TEST

START_TEST(nesting)
{
	char s[2 * JSON_DEPTH_MAX + 3];

	for (int d = JSON_DEPTH_MAX; d <= JSON_DEPTH_MAX + 1; d++) {
		memset(s, '[', (size_t)d);
		memset(s + d, ']', (size_t)d);
		ck_assert(json_is_plain((uint8_t *)s, (size_t)(2 * d)) ==
		    (d == JSON_DEPTH_MAX));
	}
}
END_TEST

START_TEST(keys)
{
	struct record rec = record(NULL, "1");

	check(&(struct render){ 0 }, &rec, "{\"p\":0,\"o\":17,"
	    "\"ts\":1795392664928,\"k\":null,\"v\":1}\n");
	rec = record("\x80", "1");
	check(&(struct render){ 0 }, &rec, "{\"p\":0,\"o\":17,"
	    "\"ts\":1795392664928,\"k64\":\"gA==\",\"v\":1}\n");
	/* A key is never JSON. */
	rec = record("1", "1");
	check(&(struct render){ 0 }, &rec, "{\"p\":0,\"o\":17,"
	    "\"ts\":1795392664928,\"k\":\"1\",\"v\":1}\n");
}
END_TEST

static void
headers(int n, const char *pairs, size_t size, const char *want)
{
	struct record rec = record("k", "1");
	char line[1024];

	rec.nheaders = n;
	rec.headers = rd_of(pairs, size);
	snprintf(line, sizeof line, "{\"p\":0,\"o\":17,\"ts\":1795392664928,"
	    "\"k\":\"k\",%s,\"v\":1}\n", want);
	check(&(struct render){ 0 }, &rec, line);
}

START_TEST(header_forms)
{
	/* Lengths are zigzag varints: 2 is one byte, 1 is null. */
	headers(2, "\2a\2x\2b\1", 7, "\"h\":{\"a\":\"x\",\"b\":null}");
	headers(2, "\2a\2x\2a\2y", 8,
	    "\"h64\":[[\"YQ==\",\"eA==\"],[\"YQ==\",\"eQ==\"]]");
	headers(1, "\2a\2\xff", 4, "\"h64\":[[\"YQ==\",\"/w==\"]]");
	headers(1, "\2\xff\1", 3, "\"h64\":[[\"/w==\",null]]");
}
END_TEST

START_TEST(times)
{
	static const struct { int64_t ms; const char *want; } t[] = {
		{ 1795392664928, "\"2026-11-23T00:11:04.928Z\"" },
		{ 0, "\"1970-01-01T00:00:00.000Z\"" },
		{ -1, "-1" },
		{ 253402300799999, "\"9999-12-31T23:59:59.999Z\"" },
		{ 253402300800000, "253402300800000" },
		{ INT64_MAX, "9223372036854775807" },
		{ INT64_MIN, "-9223372036854775808" } };

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		out.len = 0;
		render_time(&out, t[i].ms);
		wr_bytes(&out, "", 1);
		ck_assert_str_eq((char *)out.p, t[i].want);
	}
}
END_TEST

START_TEST(options)
{
	struct record rec = record("k", "{\n}");
	struct render only = { .value_only = true };
	struct render pretty = { .pretty_time = true };

	check(&only, &rec, "{ }\n");
	rec = record("k", "a\nb");
	check(&only, &rec, "\"a\\nb\"\n");
	rec = record("k", NULL);
	check(&only, &rec, "null\n");
	rec = record("k", "\xff");
	check(&only, &rec, "{\"v64\":\"/w==\"}\n");
	rec = record("k", "1");
	check(&pretty, &rec, "{\"p\":0,\"o\":17,"
	    "\"ts\":\"2026-11-23T00:11:04.928Z\",\"k\":\"k\",\"v\":1}\n");
	ck_assert_uint_ne(render_id(&only), render_id(&pretty));
}
END_TEST

START_TEST(names)
{
	static const struct { const char *name, *want; size_t n; } t[] = {
		{ "", "", 0 }, { "a b", "a b", 3 }, { "%2F%2f", "//", 2 },
		{ "%00x", "\0x", 2 }, { "..%2F..%2fx", "../../x", 7 },
		{ "%25%41", "%A", 2 }, { "%fF", "\xff", 1 },
		{ "%", NULL, 0 }, { "%a", NULL, 0 }, { "x%g0", NULL, 0 },
		{ "%0g", NULL, 0 }, { "%%41", NULL, 0 } };
	char got[16];
	size_t n;

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		strcpy(got, t[i].name);
		ck_assert_int_eq(found_name(got, got, &n), t[i].want == NULL ?
		    E_USAGE : E_OK);
		if (t[i].want == NULL)
			continue;
		ck_assert_uint_eq(n, t[i].n);
		ck_assert_mem_eq(got, t[i].want, n + 1);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("render");
	TCase *t = tcase_create("render");
	SRunner *r;
	int bad;

	out = wr_grow(MIB);
	tcase_add_test(t, values);
	tcase_add_test(t, nesting);
	tcase_add_test(t, keys);
	tcase_add_test(t, header_forms);
	tcase_add_test(t, times);
	tcase_add_test(t, options);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	wr_free(&out);
	return bad == 0 ? 0 : 1;
}
