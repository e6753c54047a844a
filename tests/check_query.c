/* SPDX-License-Identifier: Apache-2.0 */
/* The query language: what queries are read as, which are refused, and which
 * records they match. */
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "match.h"
#include "plan.h"

enum { NOW = 1795392664 };		/* s: 2026-11-23T00:11:04Z */

static struct arena arena;
static struct query_parse parse;

static enum err
read_query(const char *s, size_t n, bool any, struct query **q)
{
	arena_init(&arena, 16 << 20);
	parse = (struct query_parse){ .arena = &arena, .any = any,
	    .now_ms = NOW * (int64_t)1000 };
	return query_parse(&parse, s, n, q);
}

static void
forget(void)
{
	query_parse_free(&parse);
	arena_reset(&arena);
}

/* ---- what is read ------------------------------------------------------ */

static const struct { const char *text, *tree; } trees[] = {
	{ "error", "(word \"error\")" },
	{ "Error TimeOut", "(and (word \"error\") (word \"timeout\"))" },
	{ "a AND b c", "(and (word \"a\") (word \"b\") (word \"c\"))" },
	{ "a OR b c", "(or (word \"a\") (and (word \"b\") (word \"c\")))" },
	{ "a b OR c", "(or (and (word \"a\") (word \"b\")) (word \"c\"))" },
	{ "(a OR b) c", "(and (or (word \"a\") (word \"b\")) (word \"c\"))" },
	{ "a (b c)", "(and (word \"a\") (and (word \"b\") (word \"c\")))" },
	{ "NOT a", "(not (word \"a\"))" },
	{ "a -b", "(and (word \"a\") (not (word \"b\")))" },
	{ "-(a b)", "(not (and (word \"a\") (word \"b\")))" },
	{ "NOT NOT a", "(not (not (word \"a\")))" },
	{ "ORDER", "(word \"order\")" },
	{ "a , b .", "(and (word \"a\") (word \"b\"))" },
	{ "error!", "(word \"error\")" },
	{ "10.0.0.1", "(word \"10.0.0.1\")" },
	{ "app://x.y/z?q", "(word \"app://x.y/z?q\")" },
	{ "12:30", "(word \"12:30\")" },
	{ "time*", "(word \"time\" prefix)" },
	{ "*", "(all)" },
	{ "\"Connection reset\"", "(phrase \"connection reset\")" },
	{ "\"a \\\" b\"", "(phrase \"a \\\" b\")" },
	{ "/pay(ment)?-\\d+/i", "(regex \"pay(ment)?-\\\\d+\")" },
	{ "/a\\/b/", "(regex \"a/b\" exact)" },
	{ "level:Error", "(field \"level\" \"error\")" },
	{ "level:=Error", "(field \"level\" \"Error\" exact)" },
	{ "path:/api/*", "(field \"path\" \"/api/\" prefix)" },
	{ "a.b:\"x y\"", "(field \"a.b\" \"x y\")" },
	{ "a:*", "(has \"a\")" },
	{ "status:>=500", "(range \"status\" 500 -)" },
	{ "status:>500", "(range \"status\" > 500 -)" },
	{ "status:<500", "(range \"status\" - < 500)" },
	{ "ms:100..250", "(range \"ms\" 100 250)" },
	{ "ms:..250", "(range \"ms\" - 250)" },
	{ "day:2026-01..2026-02", "(range \"day\" \"2026-01\" \"2026-02\")" },
	{ "ms:[100 TO 250]", "(range \"ms\" 100 250)" },
	{ "ms:{100 TO 250} a",
	    "(and (range \"ms\" > 100 < 250) (word \"a\"))" },
	{ "(ms:[100 TO 250})", "(range \"ms\" 100 < 250)" },
	{ "ms:{ * TO 9 ]", "(range \"ms\" - 9)" },
	{ "day:[\"2026 01\" TO *]", "(range \"day\" \"2026 01\" -)" },
	{ ".time:[1 TO 2]", "(range \"time\" 1 2)" },
	{ "a:[* TO *]", "(has \"a\")" },
	{ "a:\"[1\"", "(field \"a\" \"[1\")" },
	{ "offset:{10 TO 20}", "(offset 11 19)" },
	{ "offset:=1..2", "(offset 1 2)" },
	{ "offset:\"1..2\"", "(offset 1 2)" },
	{ "time:[@5 TO @9}", "(time 5 8)" },
	{ "has:trace_id", "(has \"trace_id\")" },
	{ "is:tombstone", "(tombstone)" },
	{ "is:json", "(json)" },
	{ "key:User-1", "(key \"User-1\")" },
	{ "key:user-*", "(key \"user-\" prefix)" },
	{ ".key:x", "(field \"key\" \"x\")" },
	{ "header:tenant=Acme", "(header \"tenant\" \"Acme\")" },
	{ "header:tenant", "(header \"tenant\")" },
	{ "topic:orders.*", "(topic \"orders.*\")" },
	{ "partition:3", "(partition 3 3)" },
	{ "partition:0,3-5", "(or (partition 0 0) (partition 3 5))" },
	{ "offset:10..20", "(offset 10 20)" },
	{ "offset:7", "(offset 7 7)" },
	{ "time:@5..@9", "(time 5 9)" },
	{ "time:1970-01-01T00:00:01..1970-01-01", "(time 1000 86399999)" },
	{ "time:>=1s", "(time 1795392663000 9223372036854775807)" },
	{ "\xc3\x89t\xc3\xa9", "(word \"\xc3\xa9t\xc3\xa9\")" },
};

START_TEST(test_tree)
{
	struct query *q;
	struct wr w = wr_grow(64 * 1024);

	ck_assert_int_eq(read_query(trees[_i].text, strlen(trees[_i].text),
	    false, &q), E_OK);
	query_print(q, &w);
	wr_i8(&w, 0);
	ck_assert_str_eq((char *)w.p, trees[_i].tree);
	wr_free(&w);
	forget();
}
END_TEST

static const struct { const char *text, *why; } refused[] = {
	{ "", "ends where" }, { "   ", "ends where" }, { "(a", "not closed" },
	{ "a)", "has no (" }, { "()", "where a word" }, { "a OR", "ends" },
	{ "NOT", "ends" }, { "\"abc", "not closed" }, { "/abc", "not closed" },
	{ "\"--\"", "no word" }, { "a*", "too short" },
	{ "/abc/x", "only i" }, { "/(/", "(at 1)" }, { "/a{2,1}/", "at" },
	{ "level:", "no value" }, { "ms:250..100", "before it begins" },
	{ "ms:[1 TO", "a..b" }, { "ms:[1 TO 2", "a..b" },
	{ "ms:[1 2]", "a..b" },
	{ "ms:[1 TO 2]x", "a..b" }, { "ms:[2 TO 1]", "before it begins" },
	{ "ms:{", "a..b" }, { "ms:[ TO 1]", "a..b" },
	{ "ms:[\"1 TO 2]", "not closed" },
	{ "offset:1..y", "offset:y" }, { "offset:x..1", "offset:x" },
	{ "offset:[* TO *]", "an offset" }, { "time:[x TO *]", "a time" },
	{ "ms:1..x", "not" }, { "ms:..", "no end" },
	{ "partition:x", "numbers" }, { "partition:5-3", "numbers" },
	{ "offset:-1", "offset" }, { "offset:9..1", "before it begins" },
	{ "time:yesteryear", "time" }, { "time:2026-13", "time" },
	{ "time:2026-02-30", "time" }, { "is:nice", "json or tombstone" },
	{ ".:x", "without a name" },
	{ "offset:99999999999999999999", "offset" },
};

START_TEST(test_refused)
{
	struct query *q;

	ck_assert_int_eq(read_query(refused[_i].text,
	    strlen(refused[_i].text), false, &q), E_USAGE);
	ck_assert_msg(strstr(parse.why, refused[_i].why) != NULL, "%s: %s",
	    refused[_i].text, parse.why);
	forget();
}
END_TEST

/* A megabyte, deep nesting, and many parts end in a sentence. */
START_TEST(test_hostile)
{
	size_t n = 1 << 20;
	char *s = malloc(n);
	struct query *q;

	ck_assert_ptr_nonnull(s);
	memset(s, 'a', n);
	ck_assert_int_eq(read_query(s, n, false, &q), E_USAGE);
	forget();
	memset(s, '(', n);
	ck_assert_int_eq(read_query(s, 8000, false, &q), E_USAGE);
	ck_assert_ptr_nonnull(strstr(parse.why, "deeper"));
	forget();
	for (size_t i = 0; i < 8000; i += 2)
		memcpy(s + i, "a ", 2);
	ck_assert_int_eq(read_query(s, 8000, false, &q), E_USAGE);
	ck_assert_ptr_nonnull(strstr(parse.why, "parts"));
	forget();
	for (size_t i = 0; i < 8000; i += 4)
		memcpy(s + i, "NOT ", 4);
	ck_assert_int_eq(read_query(s, 8000, false, &q), E_USAGE);
	forget();
	ck_assert_int_eq(read_query("a\0b", 3, false, &q), E_USAGE);
	forget();
	free(s);
}
END_TEST

START_TEST(test_any)
{
	struct query *q;

	ck_assert_int_eq(read_query("a b -c", 6, true, &q), E_OK);
	ck_assert_int_eq(q->op, Q_OR);
	ck_assert_int_eq(q->nkids, 3);
	forget();
}
END_TEST

/* ---- what matches ------------------------------------------------------ */

#define LINE "{\"level\":\"Error\"," \
	"\"msg\":\"Connection reset by 10.0.0.1:80\"," \
	"\"status\":503,\"ms\":2.5,\"ok\":true,\"none\":null," \
	"\"user\":{\"id\":59492,\"tags\":[\"red\",\"Blue sky\"]}," \
	"\"title\":\"Running dogs\"}"
#define WIDE "na\xc3\xafve caf\x65\xcc\x81 \xe6\x9d\xb1\xe4\xba\xac"

static const struct { const char *value, *query; bool yes; } matches[] = {
	{ LINE, "error", true }, { LINE, "erro", false },
	{ LINE, "ERROR reset", true }, { LINE, "error nothing", false },
	{ LINE, "error OR nothing", true }, { LINE, "NOT error", false },
	{ LINE, "level", false },		/* a name */
	{ LINE, "\"connection reset by\"", true },
	{ LINE, "\"connection by\"", false },
	{ LINE, "\"reset connection\"", false },
	{ LINE, "\"error connection\"", false },	/* two texts */
	{ LINE, "10.0.0.1", true }, { LINE, "0.0.1:80", true },
	{ LINE, "10.0.0", true }, { LINE, "10-0-0-1", false },
	{ LINE, "0.0.0", false },
	{ LINE, "conn*", true }, { LINE, "onn*", false },
	{ LINE, "10.0.*", true },
	{ LINE, "/re.et by/", true }, { LINE, "/RE.ET/", false },
	{ LINE, "/RE.ET/i", true }, { LINE, "/^503$/", true },
	{ LINE, "503", true }, { LINE, "true", false },
	{ LINE, "level:error", true }, { LINE, "level:err*", true },
	{ LINE, "level:=error", false }, { LINE, "level:=Error", true },
	{ LINE, "msg:reset", false }, { LINE, "status:503", true },
	{ LINE, "status:>=503", true }, { LINE, "status:>503", false },
	{ LINE, "status:<503", false }, { LINE, "status:<=503", true },
	{ LINE, "ms:2..3", true }, { LINE, "ms:2.5", true },
	{ LINE, "ms:<2.5", false }, { LINE, "level:>=5", false },
	{ LINE, "level:a..z", false }, { LINE, "level:A..Z", true },
	{ LINE, "ok:true", true }, { LINE, "none:null", true },
	{ LINE, "user.id:59492", true }, { LINE, "id:59492", false },
	{ LINE, "user.tags:red", true },
	{ LINE, "user.tags:\"blue sky\"", true },
	{ LINE, "has:user", true }, { LINE, "has:user.tags", true },
	{ LINE, "has:tags", false }, { LINE, "is:json", true },
	{ LINE, "is:tombstone", false },
	{ LINE, "title:dogs", true }, { LINE, "title:dog", true },
	{ LINE, "title:\"running dogs\"", true },
	{ LINE, "run", true }, { LINE, "\"run\"", false },
	{ LINE, "runs", true }, { LINE, "title:=dogs", false },
	{ LINE, "key:K-1", true }, { LINE, "key:k-1", false },
	{ LINE, "key:K*", true }, { LINE, "k-1", true },
	{ LINE, "header:tenant=Acme", true },
	{ LINE, "header:tenant=acme", false },
	{ LINE, "header:tenant=A*", true }, { LINE, "header:tenant", true },
	{ LINE, "header:other", false }, { LINE, "acme", true },
	{ LINE, "topic:log?", true }, { LINE, "topic:other", false },
	{ LINE, "partition:2-4", true }, { LINE, "partition:4", false },
	{ LINE, "offset:42", true }, { LINE, "offset:>42", false },
	{ LINE, "time:@1000", true }, { LINE, "time:@1001..", false },
	{ LINE, "*", true },
	{ WIDE, "NA\xc3\x8fVE", true }, { WIDE, "naive", false },
	{ WIDE, "caf\xc3\xa9", true },		/* composed otherwise */
	{ WIDE, "\xe6\x9d\xb1", true },
	{ WIDE, "\"\xe4\xba\xac\"", true }, { WIDE, "is:json", false },
	{ "{\"a\":1", "is:json", false }, { "{\"a\":1", "a", true },
	{ "\xff\xfe word \x80", "word", true },
	{ "", "*", true }, { "", "x", false },
	{ NULL, "is:tombstone", true }, { NULL, "acme", true },
	{ "[1,[2,3]]", "3", true }, { "[{\"a\":\"b\"}]", "a:b", true },
	{ "[]", "is:json", true },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "/(a+)+$/", false },
};

static struct doc doc;

static void
record_make(struct record *r, const char *value, uint8_t *headers)
{
	static const uint8_t h[] = { 12, 't', 'e', 'n', 'a', 'n', 't', 8,
	    'A', 'c', 'm', 'e' };

	memcpy(headers, h, sizeof h);
	*r = (struct record){ .offset = 42, .ts = 1000,
	    .key = (const uint8_t *)"K-1", .key_len = 3,
	    .value = (const uint8_t *)value,
	    .value_len = value == NULL ? -1 : (int32_t)strlen(value),
	    .nheaders = 1, .headers = rd_of(headers, sizeof h) };
}

START_TEST(test_match)
{
	struct sconf conf = { .ids = true, .stem = true,
	    .text = (char *)"title^5", .numeric = (char *)"" };
	struct match m = { .topic = "logs", .part = 3, .conf = &conf };
	struct query *q;
	struct record r;
	uint8_t headers[16];

	ck_assert_int_eq(read_query(matches[_i].query,
	    strlen(matches[_i].query), false, &q), E_OK);
	record_make(&r, matches[_i].value, headers);
	doc_init(&doc);
	ck_assert_int_eq(doc_read(&doc, &r), E_OK);
	m.query = q;
	ck_assert_msg(match_doc(&m, &doc, &r) == matches[_i].yes,
	    "%s in %s", matches[_i].query, matches[_i].value);
	ck_assert(matches[_i].yes || !m.too_costly ||
	    matches[_i].query[0] == '/');
	doc_free(&doc);
	forget();
}
END_TEST

/* Whether an index can be of use. */
START_TEST(test_refusal)
{
	static const struct { const char *q; bool refused; } v[] = {
		{ "/ab/", true }, { "/abc/", false }, { "/a(bcd)e/", true },
		{ "/abc|def/", true }, { "/(?i)abc/", true },
		{ "/abc(?=d)/", false }, { "/(?<!x)abc(?:y|z)/", false },
		{ "/(?=abc)../", true }, { "/(?<n>abc)/", true },
		{ "/(?x)a b c/", true }, { "/ab(?#c)c/", true },
		{ "/abc*/", true }, { "/abcd*/", false }, { "/[abc]def/",
		false }, { "/ab/ word", false }, { "/ab/ OR word", true },
		{ "NOT /ab/ word", false }, { "word", false },
	};
	struct query *q;

	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		ck_assert_int_eq(read_query(v[i].q, strlen(v[i].q), false,
		    &q), E_OK);
		ck_assert_msg((plan_refusal(q) != NULL) == v[i].refused,
		    "%s", v[i].q);
		forget();
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("query");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, test_tree, 0, sizeof trees / sizeof trees[0]);
	tcase_add_loop_test(t, test_refused, 0,
	    sizeof refused / sizeof refused[0]);
	tcase_add_test(t, test_hostile);
	tcase_add_test(t, test_any);
	tcase_add_loop_test(t, test_match, 0,
	    sizeof matches / sizeof matches[0]);
	tcase_add_test(t, test_refusal);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
