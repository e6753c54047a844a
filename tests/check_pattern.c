/* SPDX-License-Identifier: Apache-2.0 */
/* Topic patterns: what RE2 matches and refuses, and hostile ones. */
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "group/pattern.h"

static const struct {
	const char	*re, *yes, *no;		/* NULL: not tried */
} matches[] = {
	{ "foo.*",		"foobar",	"barfoo" },
	{ "foo",		"foo",		"foobar" },
	{ "^foo$",		"foo",		"foox" },
	{ "a|ab",		"ab",		"abc" },
	{ "(a|ab)(c|bcd)",	"abcd",		"abcdx" },
	{ "a.*?c",		"abcc",		"abcd" },
	{ "(?i)ABC",		"abc",		"ab" },
	{ "(?i:a)B",		"AB",		"Ab" },
	{ "(?P<n>x)+",		"xxx",		"xy" },
	{ "(?<n>x)+",		"xxx",		"xy" },
	{ "(?:x|y){2,3}",	"xyx",		"x" },
	{ "x{,3}",		"x{,3}",	"xx" },
	{ "[[:alpha:]]+",	"abc",		"a1" },
	{ "[]a]+",		"a]",		"b" },
	{ "[^a-c]+",		"xyz",		"xaz" },
	{ "\\w+-\\d{4}",	"log-2024",	"log-24" },
	{ "\\Qa.b\\E+",		"a.b",		"axb" },
	{ "\\pL+",		"abc",		"123" },
	{ "a\\.b",		"a.b",		"axb" },
	{ "\\x61",		"a",		"b" },
	{ ".*",			"",		NULL },
	{ "",			"",		"a" },
	{ "\\Afoo\\z",		"foo",		"fo" },
	{ "(foo|bar)-(x|y)*",	"foo-xyx",	"baz-" },
	{ "(x+x+)+y",		"xxxxxxxxxxxxy", "xxxxxxxxxxxxx" },
};

static const char *refused[] = {
	"(a)\\1", "(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "(?>a)", "a*+",
	"a++", "a?+", "a{2}+", "a**", "(?R)", "(?1)", "(?P>x)", "(?P=x)",
	"(?&x)", "(*FAIL)", "\\K", "\\G", "\\R", "\\X", "\\Z", "\\C", "(", ")",
	"[a", "*", "a{1001}", "a\\", "(?#c)", "(?x)a", "[[:nope:]]", "\\g1",
	"(?(1)a)", "\\E", "[z-a]", "((((a{100}){100}){100}){100})",
};

START_TEST(test_matches)
{
	for (size_t i = 0; i < sizeof matches / sizeof *matches; i++) {
		struct pattern *p = NULL;
		char why[256] = "";

		ck_assert_msg(pattern_open(kstr_of(matches[i].re), &p, why,
		    sizeof why) == E_OK, "%s: %s", matches[i].re, why);
		ck_assert_msg(pattern_match(p, matches[i].yes), "%s",
		    matches[i].re);
		ck_assert_msg(matches[i].no == NULL ||
		    !pattern_match(p, matches[i].no), "%s", matches[i].re);
		ck_assert_uint_gt(pattern_size(p), 0);
		pattern_close(p);
	}
}
END_TEST

START_TEST(test_refused)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct pattern *p;
		char why[256] = "";

		ck_assert_msg(pattern_open(kstr_of(refused[i]), &p, why,
		    sizeof why) == E_INVALID_REGEX, "%s", refused[i]);
		ck_assert_msg(why[0] != '\0', "%s", refused[i]);
	}
}
END_TEST

/* Each ends at once, whether it is let in or not. */
START_TEST(test_hostile)
{
	static const char *res[] = {
		"(a*)*b", "(a|a)*b", "((a?){500}){2}", "(.*)*(.*)*(.*)*x",
		"(a?){1000}a{1000}", "((a*)*)*((a*)*)*b",
		"(a|aa|aaa|aaaa)*(a|aa|aaa|aaaa)*b",
	};
	char name[250];

	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	for (size_t i = 0; i < sizeof res / sizeof *res; i++) {
		struct pattern *p;
		char why[256];

		if (pattern_open(kstr_of(res[i]), &p, why, sizeof why) !=
		    E_OK)
			continue;
		for (int k = 0; k < 100; k++)
			ck_assert(!pattern_match(p, name));
		pattern_close(p);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pattern");
	TCase *tc = tcase_create("patterns");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_matches);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_hostile);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
