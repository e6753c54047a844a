/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: what small appends to many partitions cost, that they survive
 * without their segments having been synced, and what becomes of them when
 * its files fail.  The power goes at every step in check_powercut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/log.h"
#include "minilog.h"
#include "rig.h"

enum { PARTS = 20, PAYLOAD = 200 };

static struct rig r;
static struct topic *t;
static struct sent sent[PARTS];

static int ndatasyncs, nsyncfs;

static void
count(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	(void)d;
	(void)n;
	(void)arg;
	ndatasyncs += op == SIM_DATASYNC;
	nsyncfs += op == SIM_SYNCFS;
}

static void
begin(int64_t journal_bytes)
{
	rig_init(&r);
	r.conf.journal_bytes = journal_bytes;
	ck_assert_int_eq(rig_open(&r), E_OK);
	t = rig_topic(&r, "t", PARTS);
	/* The files are made when they would be of use. */
	rig_append(&r, t->parts[0], 1);
	engine_drain(&r.eng);
	ck_assert(r.eng.journal.on == (journal_bytes > 0));
}

/* One append to each partition, all in one round. */
static void
append_all(enum err want)
{
	for (int i = 0; i < PARTS; i++) {
		sent_make(&sent[i], 1, PAYLOAD, true);
		ck_assert_int_eq(part_append(t->parts[i], &sent[i].a), E_OK);
	}
	engine_drain(&r.eng);
	for (int i = 0; i < PARTS; i++) {
		ck_assert_int_eq(sent[i].answers, 1);
		ck_assert_int_eq(sent[i].err, want);
		sent_free(&sent[i]);
	}
}

/* Every partition has n batches of append_all, the first one more. */
static void
check_all(int n)
{
	ck_assert_ptr_nonnull(t = topic_find(&r.eng.topics, kstr_of("t")));
	for (int i = 0; i < PARTS; i++) {
		struct part *p = t->parts[i];

		ck_assert_int_eq(p->state, PART_ONLINE);
		ck_assert_int_eq(p->hw, n + (i == 0));
		ck_assert_int_eq(part_active(p)->size, n *
		    (BATCH_HEADER + PAYLOAD) + (i == 0 ? BATCH_HEADER + 1 : 0));
	}
}

static void
cut_and_check(int n, uint64_t seed)
{
	rig_kill(&r);
	sim_crash(r.disk, seed);
	ck_assert_int_eq(rig_open(&r), E_OK);
	check_all(n);
	ck_assert(journal_empty(&r.eng.journal));
	/* And now without the journal's help. */
	rig_kill(&r);
	sim_crash(r.disk, seed);
	ck_assert_int_eq(rig_open(&r), E_OK);
	check_all(n);
}

START_TEST(test_one_sync)
{
	begin(JOURNAL_FILES * 64 * KIB);
	sim_hook(r.disk, count, NULL);
	append_all(E_OK);
	ck_assert_int_eq(ndatasyncs, 1);
	ck_assert_int_eq(nsyncfs, 0);
	append_all(E_OK);
	ck_assert_int_eq(ndatasyncs, 2);
	sim_hook(r.disk, NULL, NULL);
	cut_and_check(2, 1);	/* all that is not synced is lost */
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* Files are used again and again; a clean stop leaves nothing in them. */
START_TEST(test_laps)
{
	begin(JOURNAL_FILES * 16 * KIB);
	for (int i = 0; i < 50; i++)
		append_all(E_OK);
	ck_assert_int_gt(r.eng.journal.laps, 2 * JOURNAL_FILES);
	cut_and_check(50, 1);
	append_all(E_OK);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	ck_assert_int_eq(rig_open(&r), E_OK);
	ck_assert(r.eng.clean_start);
	ck_assert(journal_empty(&r.eng.journal));
	check_all(51);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* The journal's own write or sync fails: segments are synced, nobody is told
 * of it, and it is not used any more. */
START_TEST(test_journal_fails)
{
	static const enum sim_op ops[] = { SIM_PWRITEV, SIM_DATASYNC };

	begin(JOURNAL_FILES * 64 * KIB);
	append_all(E_OK);
	sim_fail_under(r.disk, "journal");
	sim_count_reset(r.disk);
	sim_fail_op(r.disk, ops[_i], 1, E_IO);
	append_all(E_OK);
	ck_assert(!r.eng.journal.on);
	append_all(E_OK);
	cut_and_check(3, 1);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* A sync of the file system fails when a file is to be settled: what lost its
 * place in the segments gets there again, and nobody is fenced. */
START_TEST(test_settle_fails)
{
	begin(JOURNAL_FILES * 16 * KIB);
	sim_fail_op(r.disk, SIM_SYNCFS, 1, E_IO);
	for (int i = 0; i < 10; i++)
		append_all(E_OK);
	ck_assert(r.eng.journal.on);
	check_all(10);
	cut_and_check(10, 1);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* A partition that is fenced gets back what only the journal has. */
START_TEST(test_fence)
{
	struct part *p;
	char dir[PATH_SIZE], path[PATH_SIZE];

	begin(JOURNAL_FILES * 64 * KIB);
	append_all(E_OK);
	p = t->parts[3];
	part_fence(p, E_IO, NULL, false);
	part_dir(p, dir);
	seg_path(path, dir, 0, ".log");
	sim_put(r.disk, path, "", 0);
	rig_settle(&r, 60000);
	check_all(1);
	append_all(E_OK);
	cut_and_check(2, 1);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* Without room the journal is not made, and all goes on. */
START_TEST(test_no_room)
{
	rig_init(&r);
	r.conf.journal_bytes = INT64_C(1) << 40;
	ck_assert_int_eq(rig_open(&r), E_OK);
	t = rig_topic(&r, "t", PARTS);
	rig_append(&r, t->parts[0], 1);
	engine_drain(&r.eng);
	ck_assert(!r.eng.journal.on);
	append_all(E_OK);
	cut_and_check(1, 1);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* What is large is synced where it is; the option takes files away. */
START_TEST(test_large_and_off)
{
	begin(JOURNAL_FILES * 128 * KIB);
	ndatasyncs = 0;
	sim_hook(r.disk, count, NULL);
	rig_append(&r, t->parts[1], JOURNAL_PIECE_MAX);
	sim_hook(r.disk, NULL, NULL);
	ck_assert_int_eq(ndatasyncs, 1);
	ck_assert_uint_eq(part_active(t->parts[1])->lap, 0);
	rig_append(&r, t->parts[1], 100);
	ck_assert_uint_ne(part_active(t->parts[1])->lap, 0);
	ck_assert(journal_holds_part(&r.eng.journal, t->parts[1]));
	ck_assert(!journal_holds_part(&r.eng.journal, t->parts[2]));
	rig_kill(&r);
	sim_crash(r.disk, 1);
	r.conf.journal_bytes = 0;
	ck_assert_int_eq(rig_open(&r), E_OK);
	ck_assert_int_eq(topic_find(&r.eng.topics, kstr_of("t"))->parts[1]->hw,
	    2);
	for (int i = 0; i < JOURNAL_FILES; i++) {
		char path[PATH_SIZE];
		size_t n;

		journal_path(path, "data", i);
		ck_assert_ptr_null(sim_bytes(r.disk, path, &n));
	}
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* Each piece goes back to its own place, also behind a batch that the journal
 * does not have. */
START_TEST(test_apart)
{
	const size_t sizes[] = { 100, 100, JOURNAL_PIECE_MAX, 100, 100 };
	const int n = sizeof sizes / sizeof *sizes;
	struct part *p;
	int64_t size;

	begin(JOURNAL_FILES * 128 * KIB);
	for (int i = 0; i < n; i++)
		rig_append(&r, t->parts[1], sizes[i]);
	ck_assert(journal_holds_part(&r.eng.journal, t->parts[1]));
	size = part_active(t->parts[1])->size;
	rig_kill(&r);
	sim_crash(r.disk, 1);
	ck_assert_int_eq(rig_open(&r), E_OK);
	p = topic_find(&r.eng.topics, kstr_of("t"))->parts[1];
	ck_assert_int_eq(p->state, PART_ONLINE);
	ck_assert_int_eq(p->hw, n);
	ck_assert_int_eq(part_active(p)->size, size);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* ---- the file ------------------------------------------------------------ */

static const struct log_id id = { { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
    0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } }, 3 };
enum { RECORDS = 3, FILE_BYTES = (RECORDS + 2) * JOURNAL_BLOCK };

/* Three records of two pieces each. */
static void
make(uint8_t *p)
{
	struct journal_head h = { 7, 0x0123456789abcdef };

	memset(p, 0, FILE_BYTES);
	journal_head_put(p, &h);
	for (int i = 0; i < RECORDS; i++) {
		uint8_t *rec = p + (i + 1) * JOURNAL_BLOCK;
		size_t n = JOURNAL_RECORD;

		for (int k = 0; k < 2; k++) {
			struct journal_piece x = { id, 42 * k, i * 100, 0,
			    NULL };
			struct batch b = { .count = 1, .base_ts = 1700000000000,
			    .base_offset = 42 * k + i, .pid = -1,
			    .epoch = -1, .base_seq = -1 };

			x.len = (int32_t)mini_batch(rec + n + JOURNAL_PIECE,
			    &b, (size_t)(20 + i), (uint64_t)i);
			journal_piece_put(rec + n, &x);
			n += JOURNAL_PIECE + (size_t)x.len;
		}
		journal_record_put(rec, n, h.id, (uint32_t)i, 2);
	}
}

static enum err
tally(const struct journal_piece *x, void *arg)
{
	int *n = arg;

	ck_assert(uuid_eq(x->id.topic, id.topic) && x->id.part == 3);
	++*n;
	return E_OK;
}

static int
scan(const uint8_t *p, size_t *skipped)
{
	struct journal_head h;
	int n = 0;
	size_t end;

	ck_assert_int_eq(journal_head_get(p, FILE_BYTES, &h), E_OK);
	ck_assert_int_eq(journal_scan(p, FILE_BYTES, &h, tally, &n, &end,
	    skipped), E_OK);
	return n;
}

/* Any byte that changes costs its record, and nothing else. */
START_TEST(test_damage)
{
	uint8_t p[FILE_BYTES];
	struct journal_head h;
	size_t skipped;

	make(p);
	ck_assert_int_eq(scan(p, &skipped), 2 * RECORDS);
	ck_assert_uint_eq(skipped, 0);
	for (int i = 0; i < JOURNAL_HEAD; i++) {
		p[i] ^= 1;
		ck_assert_int_eq(journal_head_get(p, FILE_BYTES, &h),
		    E_CORRUPT);
		p[i] ^= 1;
	}
	for (int k = 0; k < RECORDS; k++)
		for (int i = 0; i < JOURNAL_RECORD + 2 * JOURNAL_PIECE; i++) {
			p[(k + 1) * JOURNAL_BLOCK + i] ^= 0x40;
			ck_assert_int_eq(scan(p, &skipped), 2 * RECORDS - 2);
			ck_assert_uint_eq(skipped, k == RECORDS - 1 ? 0 :
			    JOURNAL_BLOCK);
			p[(k + 1) * JOURNAL_BLOCK + i] ^= 0x40;
		}
	/* Records of another lap are none. */
	h = (struct journal_head){ 8, 4711 };
	journal_head_put(p, &h);
	ck_assert_int_eq(scan(p, &skipped), 0);
}
END_TEST

START_TEST(test_golden)
{
	uint8_t p[FILE_BYTES], *want;
	const char *src = getenv("CHRONIK_SRC");
	char path[PATH_SIZE];
	size_t n;
	FILE *f;

	make(p);
	snprintf(path, sizeof path, "%s/tests/golden/store/0.jnl",
	    src == NULL ? "." : src);
	if (getenv("GOLDEN_WRITE") != NULL) {
		f = fopen(path, "wb");
		ck_assert(f != NULL && fwrite(p, 1, sizeof p, f) == sizeof p &&
		    fclose(f) == 0);
		return;
	}
	disk = &disk_real;
	ck_assert_int_eq(disk_slurp(path, 1 << 20, &want, &n), E_OK);
	disk = &simdisk;
	ck_assert_uint_eq(n, sizeof p);
	ck_assert_int_eq(memcmp(p, want, n), 0);
	free(want);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("journal");
	TCase *tc = tcase_create("journal");
	SRunner *sr = srunner_create(s);
	int failed;

	disk = &simdisk;
	log_setup("check_journal", LOG_FATAL, LOG_TEXT);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_one_sync);
	tcase_add_test(tc, test_laps);
	tcase_add_loop_test(tc, test_journal_fails, 0, 2);
	tcase_add_test(tc, test_settle_fails);
	tcase_add_test(tc, test_fence);
	tcase_add_test(tc, test_no_room);
	tcase_add_test(tc, test_large_and_off);
	tcase_add_test(tc, test_apart);
	tcase_add_test(tc, test_damage);
	tcase_add_test(tc, test_golden);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
