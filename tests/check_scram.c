/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of SCRAM: for RFC 7677's example, and its SHA-512 twin, as another
 * implementation derives them; the one of SHA-256 gives the RFC's server
 * signature.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue/scram.h"
#include "ck.h"

static const char password[] = "pencil";
static const uint8_t salt[16] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35,
    0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };

static const struct {
	int		 mechanism;
	const char	*stored, *server;
} vectors[] = {
	{ SCRAM_SHA256,
	    "586e5df283e6dceb5c3e791d8b8528ec"
	    "191e664045ce971792e2e6b5bb13e2a6",
	    "c1f3cbc1c13a9d35a14c0990eed97629"
	    "ea225863e566a4314ab99f3f00e5d9d5" },
	{ SCRAM_SHA512,
	    "e8002e6f7d3ae446119b216933644dc2"
	    "a2be7869eb918b8459b5e7d7d2ec1260"
	    "6aceef106825cd735170a675fd3611f6"
	    "84affad1dce3f43a0ee43bd590e1dbbe",
	    "8d91db6230b5687874fe129bc7206e18"
	    "58c3ae08e02934f57ac03b6b05a229c4"
	    "59d28ff46f5c9611e6c179256490215e"
	    "c1ff759cb0df285db89af0f99e613aac" },
};

static struct cred
cred_of(int mechanism)
{
	struct cred c = { .mechanism = (uint8_t)mechanism,
	    .salt_len = sizeof salt, .iterations = 4096 };

	memcpy(c.salt, salt, sizeof salt);
	return c;
}

static void
check_hex(const uint8_t *p, size_t n, const char *want)
{
	char hex[2 * SCRAM_KEY_MAX + 1] = "";

	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	ck_assert_str_eq(hex, want);
}

START_TEST(keys)
{
	struct cred c = cred_of(vectors[_i].mechanism);
	uint8_t salted[SCRAM_KEY_MAX];
	size_t n = scram_size(c.mechanism);

	ck_assert_int_eq(scram_salt(&c, password, strlen(password), salted),
	    E_OK);
	ck_assert_int_eq(scram_keys(&c, salted), E_OK);
	check_hex(c.stored, n, vectors[_i].stored);
	check_hex(c.server, n, vectors[_i].server);
}
END_TEST

START_TEST(same)
{
	struct cred c = cred_of(vectors[_i].mechanism);
	uint8_t salted[SCRAM_KEY_MAX];

	ck_assert_int_eq(scram_salt(&c, password, strlen(password), salted),
	    E_OK);
	ck_assert_int_eq(scram_keys(&c, salted), E_OK);
	ck_assert(scram_same(&c, salted));
	c.stored[scram_size(c.mechanism) - 1] ^= 1;
	ck_assert(!scram_same(&c, salted));
	c.stored[scram_size(c.mechanism) - 1] ^= 1;
	ck_assert_int_eq(scram_salt(&c, password, strlen(password) - 1,
	    salted), E_OK);
	ck_assert(!scram_same(&c, salted));
}
END_TEST

START_TEST(unknown)
{
	struct cred c = cred_of(3);
	uint8_t salted[SCRAM_KEY_MAX];

	ck_assert_uint_eq(scram_size(SCRAM_NONE), 0);
	ck_assert_uint_eq(scram_size(3), 0);
	ck_assert_uint_eq(scram_size(-1), 0);
	ck_assert_int_eq(scram_salt(&c, password, 1, salted), E_USAGE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("scram");
	TCase *c = tcase_create("scram");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, keys, 0, 2);
	tcase_add_loop_test(c, same, 0, 2);
	tcase_add_test(c, unknown);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
