/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's table of sessions: told, told again, ended, bounded strings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/log.h"
#include "session.h"

static struct sessions ss;

static void
setup(void)
{
	log_setup("test", LOG_FATAL, LOG_TEXT);
	ck_assert_int_eq(sessions_open(&ss, "tool"), E_OK);
}

static void
teardown(void)
{
	sessions_free(&ss);
}

static enum err
tell(uint64_t number, struct kstr id)
{
	struct who w = { .client_id = id, .host = kstr_of("::1"),
	    .software_name = kstr_of("librdkafka"),
	    .software_version = kstr_of("2.0.2"), .token = { -1, NULL } };

	return session_told(&ss, number, &w);
}

START_TEST(table)
{
	char id[16];

	for (uint64_t i = 1; i <= 1000; i++) {
		snprintf(id, sizeof id, "c%d", (int)i);
		ck_assert_int_eq(tell(i, kstr_of(id)), E_OK);
	}
	ck_assert_uint_eq(ss.by_number.n, 1000);
	for (uint64_t i = 1; i <= 1000; i += 2)
		session_end(&ss, i);
	session_end(&ss, 1);	/* twice, and one that never was */
	session_end(&ss, 5000);
	ck_assert_uint_eq(ss.by_number.n, 500);
	for (uint64_t i = 1; i <= 1000; i++) {
		struct session *s = session_find(&ss, i);

		snprintf(id, sizeof id, "c%d", (int)i);
		if (i % 2 == 1) {
			ck_assert_ptr_null(s);
			continue;
		}
		ck_assert_str_eq(s->client_id, id);
		ck_assert_str_eq(s->host, "::1");
		ck_assert_str_eq(s->software, "librdkafka 2.0.2");
		ck_assert_str_eq(s->principal, "ANONYMOUS");
	}
}
END_TEST

START_TEST(again)
{
	struct session *s;

	ck_assert_int_eq(tell(7, kstr_of("a")), E_OK);
	s = session_ref(session_find(&ss, 7));
	ck_assert_int_eq(tell(7, kstr_of("b")), E_OK);
	ck_assert_uint_eq(ss.by_number.n, 1);
	ck_assert_str_eq(s->client_id, "b");
	ck_assert_int_eq(tell(7, kstr_of(NULL)), E_OK);
	ck_assert_str_eq(s->client_id, "");
	/* A call keeps it. */
	session_end(&ss, 7);
	ck_assert_ptr_null(session_find(&ss, 7));
	ck_assert_str_eq(s->host, "::1");
	session_unref(s);
}
END_TEST

/* Session 0 is the peer itself, and nobody's to name. */
START_TEST(self)
{
	ck_assert_str_eq(session_find(&ss, 0)->client_id, "tool");
	ck_assert_int_eq(tell(0, kstr_of("a")), E_PROTO);
	session_end(&ss, 0);
	ck_assert_ptr_nonnull(session_find(&ss, 0));
}
END_TEST

/* A long client id is cut between characters. */
START_TEST(bounded)
{
	char id[CLIENT_ID_MAX + 8];

	memset(id, 'x', sizeof id);
	ck_assert_int_eq(tell(1, (struct kstr){ sizeof id, id }), E_OK);
	ck_assert_uint_eq(strlen(session_find(&ss, 1)->client_id),
	    CLIENT_ID_MAX);
	memcpy(id + CLIENT_ID_MAX - 2, "\xe2\x82\xac", 3);
	ck_assert_int_eq(tell(1, (struct kstr){ sizeof id, id }), E_OK);
	ck_assert_uint_eq(strlen(session_find(&ss, 1)->client_id),
	    CLIENT_ID_MAX - 2);
	memset(id, 0x80, sizeof id);
	ck_assert_int_eq(tell(1, (struct kstr){ sizeof id, id }), E_OK);
	ck_assert_uint_le(strlen(session_find(&ss, 1)->client_id),
	    CLIENT_ID_MAX);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("session");
	TCase *c = tcase_create("session");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, table);
	tcase_add_test(c, again);
	tcase_add_test(c, self);
	tcase_add_test(c, bounded);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
