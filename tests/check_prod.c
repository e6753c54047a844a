/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotent producers: Kafka's rules case by case (KIP-98, KIP-360), and the
 * snapshot, byte for byte. */
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "clock.h"
#include "lib/crc32c.h"
#include "log/prod.h"

static const struct log_id id = { { { 1, 2, 3 } }, 7 };
static struct prod_table *t;
static int64_t now_ms;

static int64_t
now(void)
{
	return now_ms;
}

static const struct clock hands = { now, now };

static void
setup(void)
{
	the_clock = &hands;
	t = prod_new();
	ck_assert_ptr_nonnull(t);
}

static void
teardown(void)
{
	prod_free(t);
}

static struct batch
batch(int64_t pid, int16_t epoch, int32_t seq, int32_t n, int64_t offset)
{
	return (struct batch){ .pid = pid, .epoch = epoch, .base_seq = seq,
	    .last_delta = n - 1, .count = n, .base_offset = offset,
	    .max_ts = 1000 + offset, .magic = 2 };
}

static enum err
check(int64_t pid, int16_t epoch, int32_t seq, int32_t n)
{
	struct batch b = batch(pid, epoch, seq, n, 0);
	struct prod_hit hit;

	return prod_check(t, &b, &hit);
}

static void
note(int64_t pid, int16_t epoch, int32_t seq, int32_t n, int64_t offset)
{
	struct batch b = batch(pid, epoch, seq, n, offset);
	enum err err = prod_note(t, &b, mono_ms());

	ck_assert_int_eq(err, E_OK);
}

START_TEST(test_sequence)
{
	/* An unknown producer may start anywhere. */
	ck_assert_int_eq(check(5, 0, 17, 3), E_OK);
	note(5, 0, 17, 3, 100);
	ck_assert_int_eq(prod_count(t), 1);
	ck_assert_int_eq(check(5, 0, 20, 1), E_OK);
	ck_assert_int_eq(check(5, 0, 21, 1), E_OUT_OF_ORDER_SEQUENCE);
	ck_assert_int_eq(check(5, 0, 19, 1), E_OUT_OF_ORDER_SEQUENCE);
	ck_assert_int_eq(check(5, 0, 0, 1), E_OUT_OF_ORDER_SEQUENCE);
	ck_assert_int_eq(check(6, 0, 99, 1), E_OK);
	/* Checking changes nothing. */
	ck_assert_int_eq(prod_count(t), 1);
	ck_assert_int_eq(check(5, 0, 20, 1), E_OK);
}
END_TEST

START_TEST(test_duplicate)
{
	struct prod_hit hit;
	struct batch b;

	for (int i = 0; i < 7; i++)
		note(5, 0, i * 2, 2, 100 + i * 2);
	/* The last five are known, older ones are a gap. */
	for (int i = 0; i < 7; i++) {
		b = batch(5, 0, i * 2, 2, 0);
		memset(&hit, 0, sizeof hit);
		if (i < 2) {
			ck_assert_int_eq(prod_check(t, &b, &hit),
			    E_OUT_OF_ORDER_SEQUENCE);
			continue;
		}
		ck_assert_int_eq(prod_check(t, &b, &hit),
		    E_DUPLICATE_SEQUENCE);
		ck_assert_int_eq(hit.first_offset, 100 + i * 2);
		ck_assert_int_eq(hit.last_offset, 101 + i * 2);
		ck_assert_int_eq(hit.ts, 1100 + i * 2);
	}
	/* The same first sequence with another length is not the same. */
	ck_assert_int_eq(check(5, 0, 12, 1), E_OUT_OF_ORDER_SEQUENCE);
	ck_assert_int_eq(check(5, 0, 12, 3), E_OUT_OF_ORDER_SEQUENCE);
}
END_TEST

START_TEST(test_epoch)
{
	note(5, 3, 0, 4, 100);
	ck_assert_int_eq(check(5, 2, 4, 1), E_INVALID_PRODUCER_EPOCH);
	ck_assert_int_eq(check(5, 2, 0, 4), E_INVALID_PRODUCER_EPOCH);
	/* A new epoch begins at 0. */
	ck_assert_int_eq(check(5, 4, 4, 1), E_OUT_OF_ORDER_SEQUENCE);
	ck_assert_int_eq(check(5, 4, 0, 4), E_OK);
	note(5, 4, 0, 4, 104);
	/* And forgets what the old one did. */
	ck_assert_int_eq(check(5, 4, 0, 4), E_DUPLICATE_SEQUENCE);
	ck_assert_int_eq(check(5, 3, 0, 4), E_INVALID_PRODUCER_EPOCH);
	ck_assert_int_eq(check(5, 4, 4, 1), E_OK);
}
END_TEST

START_TEST(test_wrap)
{
	note(5, 0, INT32_MAX - 1, 2, 100);
	ck_assert_int_eq(check(5, 0, 0, 1), E_OK);
	ck_assert_int_eq(check(5, 0, INT32_MAX, 1), E_OUT_OF_ORDER_SEQUENCE);
	note(6, 0, INT32_MAX - 1, 5, 100);	/* within: up to 2 */
	ck_assert_int_eq(check(6, 0, 3, 1), E_OK);
	ck_assert_int_eq(check(6, 0, 0, 1), E_OUT_OF_ORDER_SEQUENCE);
	ck_assert_int_eq(check(6, 0, INT32_MAX - 1, 5),
	    E_DUPLICATE_SEQUENCE);
}
END_TEST

START_TEST(test_control)
{
	struct batch b = batch(5, 2, -1, 1, 100);
	enum err err;

	b.attrs = BATCH_CONTROL;
	note(5, 1, 0, 3, 90);
	err = prod_note(t, &b, mono_ms());
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(check(5, 1, 3, 1), E_INVALID_PRODUCER_EPOCH);
	ck_assert_int_eq(check(5, 2, 3, 1), E_OUT_OF_ORDER_SEQUENCE);
	ck_assert_int_eq(check(5, 2, 0, 1), E_OK);
	/* In the same epoch it leaves the sequences alone. */
	note(5, 2, 0, 3, 101);
	b.base_offset = 104;
	err = prod_note(t, &b, mono_ms());
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(check(5, 2, 0, 3), E_DUPLICATE_SEQUENCE);
	ck_assert_int_eq(check(5, 2, 3, 1), E_OK);
}
END_TEST

START_TEST(test_expire)
{
	uint64_t x = 1;

	for (int64_t pid = 0; pid < 1000; pid++) {
		struct batch b = batch(pid, 0, 0, 1, pid);
		enum err err;

		x = x * 6364136223846793005u + 1442695040888963407u;
		/* What the records say is no matter. */
		b.max_ts = pid % 2 == 0 ? 0 : INT64_MAX;
		now_ms = (int64_t)(x >> 54);	/* 0-1023, in no order */
		err = prod_note(t, &b, mono_ms());
		ck_assert_int_eq(err, E_OK);
	}
	/* Renewed ones stay. */
	now_ms = 5000;
	for (int64_t pid = 0; pid < 10; pid++)
		note(pid, 0, 1, 1, 5000);
	ck_assert_int_eq(prod_expire(t, 0, 1000), 0);
	ck_assert_int_eq(prod_expire(t, 512, 7), 7);
	ck_assert_int_gt(prod_expire(t, 512, 1000), 300);
	ck_assert_int_lt(prod_count(t), 700);
	ck_assert_int_eq(prod_expire(t, 512, 1000), 0);
	prod_expire(t, 1024, 1000);
	ck_assert_int_eq(prod_count(t), 10);
	for (int64_t pid = 0; pid < 10; pid++)
		ck_assert_int_eq(check(pid, 0, 1, 1), E_DUPLICATE_SEQUENCE);
	ck_assert_int_eq(prod_expire(t, INT64_MAX, 1000), 10);
	ck_assert_int_eq(prod_count(t), 0);
	ck_assert_int_eq(check(3, 0, 9, 1), E_OK);
	note(3, 0, 9, 1, 1);
	ck_assert_int_eq(prod_count(t), 1);
}
END_TEST

START_TEST(test_limit)
{
	struct batch b;
	enum err err;

	for (int64_t pid = 0; pid < PRODUCERS_MAX + 10; pid++) {
		b = batch(pid, 0, 0, 1, pid);
		/* Number 50000 is the oldest. */
		b.max_ts = pid == 50000 ? 0 : 10000 + pid;
		err = prod_note(t, &b, mono_ms());
		ck_assert_int_eq(err, E_OK);
		ck_assert_int_le(prod_count(t), PRODUCERS_MAX);
	}
	ck_assert_int_eq(prod_count(t), PRODUCERS_MAX);
	ck_assert_int_eq(check(50000, 0, 0, 1), E_OK);	/* forgotten */
	ck_assert_int_eq(check(8, 0, 0, 1), E_OK);
	ck_assert_int_eq(check(9, 0, 0, 1), E_DUPLICATE_SEQUENCE);
	ck_assert_int_eq(check(10, 0, 0, 1), E_DUPLICATE_SEQUENCE);
}
END_TEST

static void
encode(const struct prod_table *p, int64_t offset, struct wr *w)
{
	enum err err = prod_encode(p, &id, offset, w);

	ck_assert_int_eq(err, E_OK);
}

START_TEST(test_snapshot)
{
	struct wr w = wr_grow(1 << 20), again = wr_grow(1 << 20);
	struct prod_table *u = prod_new();
	struct log_id other = id;
	enum err err;

	for (int64_t pid = 100; pid > 0; pid -= 3)
		for (int i = 0; i < pid % 7; i++)
			note(pid, (int16_t)(pid % 4), i * 2, 2, pid * 10 + i);
	encode(t, 1234, &w);
	err = prod_decode(u, &id, 1234, w.p, w.len);
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(prod_count(u), prod_count(t));
	encode(u, 1234, &again);
	ck_assert_uint_eq(w.len, again.len);
	ck_assert(memcmp(w.p, again.p, w.len) == 0);
	/* It is of this log and this offset only. */
	ck_assert_int_eq(prod_decode(u, &id, 1235, w.p, w.len), E_CORRUPT);
	ck_assert_int_eq(prod_count(u), 0);
	other.part++;
	ck_assert_int_eq(prod_decode(u, &other, 1234, w.p, w.len),
	    E_CORRUPT);
	other = id;
	other.topic.b[15]++;
	ck_assert_int_eq(prod_decode(u, &other, 1234, w.p, w.len),
	    E_CORRUPT);
	wr_free(&w);
	wr_free(&again);
	prod_free(u);
}
END_TEST

/* Every byte matters, and every length but the right one. */
START_TEST(test_damage)
{
	struct wr w = wr_grow(1 << 20);
	uint8_t *p;

	for (int64_t pid = 1; pid < 6; pid++)
		for (int i = 0; i < pid; i++)
			note(pid, 0, i, 1, pid * 10 + i);
	encode(t, 99, &w);
	for (size_t n = 0; n < w.len; n++) {
		p = malloc(n + 1);	/* a read past n is seen */
		memcpy(p, w.p, n);
		p = realloc(p, n > 0 ? n : 1);
		ck_assert_int_eq(prod_decode(t, &id, 99, p, n), E_CORRUPT);
		free(p);
		w.p[n] ^= 0x10;
		ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len),
		    E_CORRUPT);
		w.p[n] ^= 0x10;
	}
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_OK);
	ck_assert_int_eq(prod_count(t), 5);
	wr_free(&w);
}
END_TEST

static void
seal(struct wr *w)
{
	be32_put(w->p + w->len - 4, crc32c(0, w->p, w->len - 4));
}

/* Nonsense under a right CRC is refused too. */
START_TEST(test_nonsense)
{
	struct wr w = wr_grow(1 << 20);
	enum { FIRST = PROD_HEADER, SIZE = 8 + 2 + 8 + 1 + 32 };

	note(1, 0, 0, 1, 10);
	note(2, 0, 0, 1, 11);
	encode(t, 99, &w);
	be32_put(w.p + 40, UINT32_MAX);		/* count -1 */
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	be32_put(w.p + 40, 0x7fffffff);
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	be32_put(w.p + 40, 1);			/* bytes are left */
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	be32_put(w.p + 40, 2);
	be64_put(w.p + FIRST + SIZE, 1);	/* one id twice */
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	be64_put(w.p + FIRST + SIZE, UINT64_MAX);	/* id -1 */
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	be64_put(w.p + FIRST + SIZE, 2);
	w.p[FIRST + 18] = 6;			/* six batches */
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	w.p[FIRST + 18] = 1;
	w.p[9] = 2;				/* a version to come */
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	w.p[9] = 1;
	w.p[11] = 1;				/* a flag to come */
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_CORRUPT);
	w.p[11] = 0;
	seal(&w);
	ck_assert_int_eq(prod_decode(t, &id, 99, w.p, w.len), E_OK);
	wr_free(&w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("prod");
	TCase *tc = tcase_create("prod");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_sequence);
	tcase_add_test(tc, test_duplicate);
	tcase_add_test(tc, test_epoch);
	tcase_add_test(tc, test_wrap);
	tcase_add_test(tc, test_control);
	tcase_add_test(tc, test_expire);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_snapshot);
	tcase_add_test(tc, test_damage);
	tcase_add_test(tc, test_nonsense);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
