/* SPDX-License-Identifier: Apache-2.0 */
/* Hash tables, against a plain array. */
#include <stdbool.h>
#include <stdlib.h>

#include "ck.h"
#include "lib/hash.h"

enum { ENTRIES = 500, HASHES = 100, STEPS = 20000 };

static struct entry {
	int		 number;
	bool		 in, seen;
	uint64_t	 key;
	struct hash_node node;
} entries[ENTRIES];

/* Everything that is in the table is found, and no other. */
static void
compare(const struct hash *h, size_t n)
{
	size_t seen = 0;

	ck_assert_uint_eq(h->n, n);
	ck_assert(h->size >= n);
	for (int i = 0; i < ENTRIES; i++)
		entries[i].seen = false;
	for (struct hash_node *x = NULL; (x = hash_next(h, x)) != NULL;
	    seen++) {
		struct entry *e = HASH_OF(x, struct entry, node);

		ck_assert(e->in && !e->seen && x->hash == e->key);
		e->seen = true;
	}
	ck_assert_uint_eq(seen, n);
}

static bool
found(const struct hash *h, const struct entry *e)
{
	for (struct hash_node *x = hash_first(h, e->key); x != NULL;
	    x = hash_again(x)) {
		ck_assert_uint_eq(x->hash, e->key);
		if (HASH_OF(x, struct entry, node) == e)
			return true;
	}
	return false;
}

/* Few hashes for many entries: those that have the same one stay apart. */
START_TEST(model)
{
	struct hash h = { 0 };
	size_t n = 0;

	srandom(1);
	for (int i = 0; i < ENTRIES; i++)
		entries[i] = (struct entry){ .number = i, .key = (uint64_t)
		    random() % HASHES * 0x100000001 };
	for (int i = 0; i < STEPS; i++) {
		struct entry *e = &entries[random() % ENTRIES];

		ck_assert_int_eq(found(&h, e), e->in);
		if (e->in) {
			hash_drop(&h, &e->node);
			n--;
		} else {
			ck_assert_int_eq(hash_room(&h), E_OK);
			hash_put(&h, &e->node, e->key);
			n++;
		}
		e->in = !e->in;
		if (i % 100 == 0)
			compare(&h, n);
	}
	for (int i = 0; i < ENTRIES; i++) {
		if (entries[i].in && i >= 10) {
			hash_drop(&h, &entries[i].node);
			entries[i].in = false;
			n--;
		}
	}
	hash_trim(&h);
	compare(&h, n);
	ck_assert_uint_le(h.size, 16);
	hash_free(&h);
	ck_assert_ptr_null(hash_next(&h, NULL));
	ck_assert_ptr_null(hash_first(&h, 7));
}
END_TEST

START_TEST(bytes)
{
	ck_assert_uint_eq(hash_bytes("abc", 3), hash_bytes("abcd", 3));
	ck_assert_uint_ne(hash_bytes("abc", 3), hash_bytes("abcd", 4));
	ck_assert_uint_ne(hash_bytes("abc", 3), hash_bytes("abd", 3));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hash");
	TCase *t = tcase_create("hash");
	SRunner *r;
	int failed;

	tcase_add_test(t, model);
	tcase_add_test(t, bytes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
