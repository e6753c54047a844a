/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction on a disk that fails: the power goes before each call of a pass,
 * in several ways, and each call fails in turn.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "keylog.h"

/* ---- crashes and faults ------------------------------------------------- */

struct crashes {
	char	dir[512];
	int	states, seeds;
};

/* What recovery makes of a disk must be the log before a swap or after it. */
static void
check_state(const char *dir)
{
	struct recover_how how = { .dir = dir, .lost = "data/lost+found",
	    .id = kl.p->id };
	struct kl_rec was[KL_RECORDS];
	struct recovered got;
	enum err e = recover_log(&how, &got);

	ck_assert_msg(e == E_OK, "%s", got.why);
	ck_assert_int_eq(got.end, kl.n);
	memcpy(was, kl.recs, sizeof was);
	kl_check_newest(got.segs, got.nsegs);
	memcpy(kl.recs, was, sizeof was);
	recover_free(&got);
}

static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct crashes *x = arg;

	(void)op;
	for (int i = 0; i < x->seeds; i++) {
		struct sim *c = sim_clone(d);
		uint64_t before;

		sim_use(c);
		if (i == 4)
			sim_kill(c);
		else
			sim_crash(c, i < 4 ? (uint64_t)i :
			    (uint64_t)n * 131 + (uint64_t)i);
		check_state(x->dir);
		before = sim_hash(c, ".");
		check_state(x->dir);
		ck_assert(sim_hash(c, ".") == before);
		sim_crash(c, (uint64_t)n + (uint64_t)i);
		check_state(x->dir);
		ck_assert_int_eq(sim_open_handles(c), 0);
		sim_free(c);
		x->states++;
	}
	sim_use(d);
}

static int
crash_seeds(void)
{
	return getenv("CHRONIK_QUICK") != NULL ? 6 : 12;
}

START_TEST(test_crash)
{
	struct crashes x = { .seeds = crash_seeds() };

	kl_begin((uint32_t)_i + 40);
	if (_i % 2)
		kl.tc->file_delete_delay_ms = 60000;
	part_dir(kl.p, x.dir);
	for (int round = 0; round < 2; round++) {
		kl_put_some(25);
		kl_roll();
		sim_hook(kl.r.disk, at_call, &x);
		rig_settle(&kl.r, 15000);
		sim_hook(kl.r.disk, NULL, NULL);
		ck_assert_int_eq(kl.r.eng.stats.compactions, round + 1);
	}
	kl_check_segs(kl.p->segs, kl.p->nsegs, &kl.p->clean);
	ck_assert_int_gt(x.states, 100);
	kl_end();
}
END_TEST

/* Each call of a pass fails in turn: then it was in vain, or the partition is
 * recovered, and in the end all is as if nothing had been. */
START_TEST(test_faults)
{
	bool done = false;
	int fenced = 0, given = 0;

	for (int64_t n = 1; !done; n++) {
		int tries;

		kl_begin(77);
		kl.tc->file_delete_delay_ms = _i == 1 ? 60000 : 0;
		kl_put_some(25);
		kl_roll();
		sim_fail_under(kl.r.disk, "topics");
		sim_count_reset(kl.r.disk);
		sim_fail_at(kl.r.disk, n, n % 2 ? E_IO : E_NOSPC, false);
		rig_settle(&kl.r, 15000);
		done = !sim_failed(kl.r.disk);
		sim_fail_at(kl.r.disk, 0, E_OK, false);
		tries = kl.p->clean.tries;
		given += tries > 0;
		fenced += kl.p->state != PART_ONLINE;
		for (int i = 0; i < 4 && kl.p->state != PART_ONLINE; i++)
			rig_settle(&kl.r, 40000);
		ck_assert_int_eq(kl.p->state, PART_ONLINE);
		kl_check_newest(kl.p->segs, kl.p->nsegs);
		for (int i = 0; i < kl.n; i++)
			kl.recs[i].stays = 0;
		/* A full disk is looked at first. */
		rig_settle(&kl.r, 4000000);
		rig_settle(&kl.r, 4000000);
		ck_assert_int_gt(kl.r.eng.stats.compactions, 0);
		kl_put_some(3);
		kl_check();
		kl_again(n % 2);
		kl_check();
		kl_end();
	}
	ck_assert_int_gt(fenced, 0);
	ck_assert_int_gt(given, fenced);
}
END_TEST

int
main(void)
{
	bool quick = getenv("CHRONIK_QUICK") != NULL;
	Suite *s = suite_create("compact_crash");
	TCase *t = tcase_create("compact_crash");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, test_crash, 0, quick ? 1 : 4);
	tcase_add_loop_test(t, test_faults, 0, 2);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
