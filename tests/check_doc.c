/* SPDX-License-Identifier: Apache-2.0 */
/* Records taken apart: JSON as jansson reads it, and folding as libunistring
 * does it. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include "ck.h"
#include "doc.h"
#include "token.h"

static struct doc doc;
static uint64_t state = 88172645463325252;

static uint64_t
roll(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

/* ---- JSON -------------------------------------------------------------- */

static const char *const samples[] = {
	"{}", "[]", " { \"a\" : 1 } \n",
	"{\"a\":[1,2,{\"b\":null}],\"c\":true}",
	"{\"s\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\tb\","
	"\"u\":\"\\u00e9\\ud83d\\ude00\"}",
	"{\"n\":[0,-0,-1,1.5,1.50,1e3,1E-3,-0.0,0.1,0.0001,0.00001,123456789012"
	"345678,9223372036854775807,-9223372036854775808,100.0,1e22,"
	"0.30000000000000004,1234567890.12345,12345678901.123456,5e-324]}",
	"{\"caf\xc3\xa9\":\"stra\xc3\x9f" "e \xe6\x9d\xb1\xe4\xba\xac\","
	"\"\":\"\",\"x\":{\"y\":{\"z\":\"ABC\"}}}",
	"[[[{\"a\":1}],\"x\"],{\"b\":[]}]", "{\"a\":\"\\u0000b\"}",
	"{\"a\":9223372036854775808}", "{\"a\":1e999}", "{\"a\":\"\\ud83d\"}",
	"{\"a\\u0000\":1}", "{\"a\":\"\xff\"}", "{\"a\":01}", "[1,]",
	"{\"a\":}",
	"[1 2]", "[tru]", "[\"a", "{\"a\":1}}", "[-]", "[1.]", "[1e]", "[.5]",
};

static void
compare_scalar(int *at, const json_t *v)
{
	const struct doc_text *t = &doc.texts[(*at)++];

	ck_assert_int_le(*at, doc.ntexts);
	ck_assert_int_eq(t->is_str, json_is_string(v));
	ck_assert_int_eq(t->is_num, json_is_number(v));
	if (t->is_str) {
		ck_assert_uint_eq(t->raw_len, json_string_length(v));
		ck_assert_mem_eq(t->raw, json_string_value(v), t->raw_len);
	} else if (t->is_num) {
		char *text = strndup(t->raw, t->raw_len);

		ck_assert(t->num == json_number_value(v));
		ck_assert(strtod(text, NULL) == t->num);
		/* Without an exponent there is nothing to be left out. */
		if (t->raw_len > 1 && strpbrk(text, "e.") != NULL)
			ck_assert(strchr(text, 'e') != NULL ||
			    text[t->raw_len - 1] != '0');
		free(text);
	}
}

static void
compare_value(int *at, json_t *v)
{
	const char *name;
	json_t *kid;
	size_t i;

	if (json_is_array(v))
		json_array_foreach(v, i, kid)
			compare_value(at, kid);
	else if (json_is_object(v))
		json_object_foreach(v, name, kid)
			compare_value(at, kid);
	else
		compare_scalar(at, v);
}

/* Names that are there twice make two texts here, and one value there. */
static void
compare_json(const char *s, size_t n)
{
	struct record r = { .value = (const uint8_t *)s, .value_len =
	    (int32_t)n, .key_len = -1 };
	json_t *v = json_loadb(s, n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
	    NULL);
	json_t *same = v != NULL ? v : json_loadb(s, n, JSON_ALLOW_NUL, NULL);
	int at = 0;

	ck_assert_int_eq(doc_read(&doc, &r), E_OK);
	ck_assert_msg(doc.json == (same != NULL), "%.*s", (int)n, s);
	if (v != NULL) {
		compare_value(&at, v);
		ck_assert_int_eq(at, doc.ntexts);
	}
	if (same == NULL) {
		ck_assert_int_eq(doc.ntexts, 1);
		ck_assert_int_eq(doc.npaths, 0);
	}
	json_decref(same);
}

START_TEST(test_json)
{
	const char *s = samples[_i];
	size_t n = strlen(s);
	char *copy = malloc(n + 1);

	compare_json(s, n);
	for (size_t i = 0; i < n; i++)
		compare_json(s, i);
	for (int i = 0; i < 20000; i++) {
		static const char marks[] = "{}[]\",:\\u0019.eE+- tfn\x80\xc3";

		memcpy(copy, s, n);
		/* No NUL: jansson passes over one behind a number. */
		for (uint64_t k = roll(3); k < 3; k++)
			copy[roll(n)] = roll(4) == 0 ? (char)(1 + roll(255)) :
			    marks[roll(sizeof marks - 1)];
		compare_json(copy, n);
	}
	free(copy);
}
END_TEST

/* Deep ones are refused, and no stack runs out. */
START_TEST(test_deep)
{
	static const int depths[] = { 60, 66, 1000, 2046, 2047, 2048, 2049,
	    500000 };

	for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
		size_t n = (size_t)depths[i];
		char *s = malloc(2 * n + 1);
		struct record r = { .value = (const uint8_t *)s, .value_len =
		    (int32_t)(2 * n + 1), .key_len = -1 };
		json_t *v;

		memset(s, '[', n);
		s[n] = '1';
		memset(s + n + 1, ']', n);
		v = json_loadb(s, 2 * n + 1, 0, NULL);
		ck_assert_int_eq(doc_read(&doc, &r), E_OK);
		ck_assert_int_eq(doc.json, v != NULL);
		json_decref(v);
		free(s);
	}
}
END_TEST

START_TEST(test_paths)
{
	static const char s[] = "{\"a\":{\"b\":[{\"c\":1},2]},\"d\":\"x\"}";
	static const char *const paths[] = { "a", "a.b", "a.b.c", "d" };
	struct record r = { .value = (const uint8_t *)s, .value_len =
	    (int32_t)sizeof s - 1, .key_len = -1 };

	ck_assert_int_eq(doc_read(&doc, &r), E_OK);
	ck_assert_int_eq(doc.npaths, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_str_eq(doc.paths[i], paths[i]);
	ck_assert_str_eq(doc.texts[0].path, "a.b.c");
	ck_assert_str_eq(doc.texts[1].path, "a.b");
}
END_TEST

/* ---- folding ----------------------------------------------------------- */

static void
compare_fold(const uint8_t *s, size_t n)
{
	struct arena a;
	size_t len, want_len;
	uint8_t *want = u8_casefold(s, n, NULL, UNINORM_NFC, NULL, &want_len);
	const char *got;

	arena_init(&a, 1 << 16);
	got = text_fold((const char *)s, n, &len, &a);
	ck_assert_uint_eq(len, want_len);
	ck_assert_mem_eq(got, want, len);
	free(want);
	arena_reset(&a);
}

/* Each character by itself, and before one that may join it. */
START_TEST(test_fold)
{
	static const ucs4_t marks[] = { 0x301, 0x3099, 0x11a8, 'A', 0xc9 };
	uint8_t s[16];
	int n, m;

	for (ucs4_t c = 1; c < 0x20000; c++) {
		n = u8_uctomb(s, c, 6);
		if (n <= 0)
			continue;
		compare_fold(s, (size_t)n);
		for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
			m = u8_uctomb(s + n, marks[i], 6);
			compare_fold(s, (size_t)(n + m));
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("doc");
	TCase *t = tcase_create("doc");
	SRunner *r;
	int failed;

	doc_init(&doc);
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, test_json, 0, sizeof samples / sizeof *samples);
	tcase_add_test(t, test_deep);
	tcase_add_test(t, test_paths);
	tcase_add_test(t, test_fold);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	doc_free(&doc);
	return failed != 0;
}
