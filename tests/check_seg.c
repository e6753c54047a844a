/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: their names, their references, the walk over headers. */
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/log.h"
#include "minilog.h"
#include "simdisk.h"

static const struct log_id id = { { { 1 } }, 2 };
static struct sim *sim;

static void
setup(void)
{
	sim = sim_new();
	sim_use(sim);
	disk = &simdisk;
}

static void
teardown(void)
{
	ck_assert_int_eq(sim_open_handles(sim), 0);
	sim_free(sim);
}

START_TEST(test_names)
{
	static const char *const bad[] = { "", ".log", "0.log",
	    "00000000000000000000", "00000000000000000000.idx",
	    "0000000000000000000.log", "000000000000000000000.log",
	    "00000000000000000000.log.tmp", "0000000000000000000x.log",
	    "-0000000000000000001.log", "+0000000000000000001.log",
	    "09223372036854775808.log", "99999999999999999999.log",
	    " 0000000000000000001.log", "00000000000000000000.LOG" };
	char path[PATH_SIZE];
	int64_t base = -7;

	seg_path(path, "a/b", 0, ".log");
	ck_assert_str_eq(path, "a/b/00000000000000000000.log");
	seg_path(path, "x", INT64_MAX, ".idx");
	ck_assert_str_eq(path, "x/09223372036854775807.idx");
	ck_assert(seg_name(path + 2, ".idx", &base));
	ck_assert_int_eq(base, INT64_MAX);
	ck_assert(seg_name("00000000000000001234.prod", ".prod", &base));
	ck_assert_int_eq(base, 1234);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!seg_name(bad[i], ".log", &base), "%s", bad[i]);
}
END_TEST

/* Ahead of writes: nothing for small segments, then in growing steps, never
 * beyond the segment's limit, and not again after a failure. */
START_TEST(test_reserve_ahead)
{
	enum { STEP = 1 << 20 };
	const int64_t most = 200 * (int64_t)STEP;
	int64_t calls = sim_calls(sim), tried = 0, last = 0;
	struct seg *s;
	enum err err;

	ck_assert_int_eq(disk->mkdir("d"), E_OK);
	err = seg_open("d", &id, 0, true, &s);
	ck_assert_int_eq(err, E_OK);
	calls = sim_calls(sim);
	for (int64_t pos = 0; pos < most; pos += STEP) {
		seg_reserve_ahead(s, pos, pos + STEP, most);
		if (pos + STEP < 4 * STEP)
			ck_assert_int_eq(s->reserved, 0);
		else
			ck_assert_int_ge(s->reserved, pos + STEP);
		ck_assert_int_le(s->reserved, most);
		ck_assert_int_le(s->reserved - pos - STEP, 16 * STEP);
		tried += s->reserved != last;
		last = s->reserved;
	}
	ck_assert_int_eq(sim_calls(sim) - calls, tried);
	ck_assert_int_lt(tried, 40);
	seg_reserve_ahead(s, most, most + STEP, most);	/* a large batch */
	ck_assert_int_eq(s->reserved, most + STEP);

	sim_fail_op(sim, SIM_RESERVE, 1, E_NOSPC);
	calls = sim_calls(sim);
	for (int i = 1; i < 9; i++)
		seg_reserve_ahead(s, most + i * STEP, most + (i + 1) * STEP,
		    most * 2);
	ck_assert_int_eq(sim_calls(sim) - calls, 1);
	seg_unref(s);
}
END_TEST

START_TEST(test_open)
{
	struct seg *s, *other;
	enum err err;

	ck_assert_int_eq(disk->mkdir("d"), E_OK);
	err = seg_open("d", &id, 42, false, &s);
	ck_assert_int_eq(err, E_NOTFOUND);
	ck_assert_ptr_null(s);
	err = seg_open("d", &id, 42, true, &s);
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(s->base, 42);
	ck_assert_int_eq(s->end_offset, 42);
	ck_assert_int_eq(s->size, 0);
	ck_assert_int_eq(s->max_ts, -1);
	ck_assert_str_eq(s->path, "d/00000000000000000042.log");
	err = seg_open("d", &id, 42, true, &other);
	ck_assert_int_eq(err, E_BUSY);
	ck_assert_ptr_null(other);
	err = seg_open("d", &id, 42, false, &other);
	ck_assert_int_eq(err, E_OK);
	ck_assert_uint_ne(s->handle, other->handle);
	seg_unref(other);
	ck_assert_ptr_eq(seg_ref(s), s);
	seg_unref(s);
	ck_assert_int_eq(sim_open_handles(sim), 1);
	seg_unref(s);
	ck_assert_int_eq(sim_open_handles(sim), 0);
	seg_unref(NULL);
}
END_TEST

/* What a walk should meet. */
struct walk {
	const struct mini	*m;
	int			 at, stop;
	int64_t			 pos;
};

static int
each(const struct batch *b, int64_t pos, void *arg)
{
	struct walk *w = arg;

	if (w->at == w->stop)
		return 1;
	ck_assert_int_eq(pos, w->pos);
	ck_assert_int_eq(b->base_offset, w->m->all[w->at].b.base_offset);
	ck_assert_int_eq(b->crc, w->m->all[w->at].b.crc);
	w->pos += batch_size(b);
	w->at++;
	return 0;
}

START_TEST(test_walk)
{
	/* Tiny, around the size of what is read at once, and larger. */
	static const size_t sizes[] = { 1, 300, 5000, 70000, 300000 };
	struct mini m;
	struct seg *s;
	struct walk w;
	int64_t at, middle;
	enum err err;

	mini_init(&m, "log", &id, 99);
	for (int i = 0; i < 60; i++)
		ck_assert_int_eq(mini_append(&m, 3, sizes[i % 5]), E_OK);
	s = m.segs[0];
	w = (struct walk){ &m, 0, -1, 0 };
	err = seg_walk(s->fd, 0, s->size, each, &w, &at);
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(w.at, m.nall);
	ck_assert_int_eq(at, s->size);
	/* Stopped, and gone on. */
	w = (struct walk){ &m, 0, 77, 0 };
	err = seg_walk(s->fd, 0, s->size, each, &w, &middle);
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(w.at, 77);
	ck_assert_int_eq(middle, w.pos);
	w.stop = -1;
	err = seg_walk(s->fd, middle, s->size, each, &w, &at);
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(w.at, m.nall);
	/* An end within a batch, or past the file. */
	w = (struct walk){ &m, 0, -1, 0 };
	err = seg_walk(s->fd, 0, middle + BATCH_HEADER - 1, each, &w, &at);
	ck_assert_int_eq(err, E_CORRUPT);
	ck_assert_int_eq(at, middle);
	w = (struct walk){ &m, 0, -1, 0 };
	err = seg_walk(s->fd, 0, s->size + 10, each, &w, &at);
	ck_assert_int_eq(err, E_CORRUPT);
	ck_assert_int_eq(at, s->size);
	w = (struct walk){ &m, 0, -1, 0 };
	err = seg_walk(s->fd, 5, 5, each, &w, &at);
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(at, 5);
	ck_assert_int_eq(w.at, 0);
	/* From within a batch: nonsense is met, sooner or later. */
	err = seg_walk(s->fd, 3, s->size, each, &w, &at);
	ck_assert_int_eq(err, E_CORRUPT);
	sim_fail_op(sim, SIM_PREAD, 2, E_IO);
	w = (struct walk){ &m, 0, -1, 0 };
	err = seg_walk(s->fd, 0, s->size, each, &w, &at);
	ck_assert_int_eq(err, E_IO);
	mini_free(&m);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("seg");
	TCase *tc = tcase_create("seg");
	SRunner *sr = srunner_create(s);
	int failed;

	log_setup("check_seg", LOG_FATAL, LOG_TEXT);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_open);
	tcase_add_test(tc, test_reserve_ahead);
	tcase_add_test(tc, test_walk);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
