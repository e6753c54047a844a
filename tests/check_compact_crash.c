/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction on a disk that fails: the power goes before each call of a pass,
 * in several ways, and each call fails in turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "keylog.h"
#include "lib/crc32c.h"
#include "log/swap.h"

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

/* ---- damage to what an interrupted swap leaves --------------------------- */

enum { STAGES = 8, NAMES_MAX = 32 };

/* Disks of a swap under way, each with other names in the directory. */
struct stages {
	char		 dir[512];
	struct sim	*d[STAGES];
	uint64_t	 names[STAGES];
	int		 n;
};

struct leftovers {
	char	 v[NAMES_MAX][64];
	int	 n;
	uint64_t names;		/* of all, in any order */
};

static int
leftover_each(const char *name, void *arg)
{
	struct leftovers *x = arg;

	x->names += crc32c(0, name, strlen(name));
	if (swap_name(name)) {
		ck_assert_int_lt(x->n, NAMES_MAX);
		snprintf(x->v[x->n++], sizeof x->v[0], "%s", name);
	}
	return 0;
}

static void
stage_at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct stages *x = arg;
	struct leftovers l = { .n = 0 };

	(void)n;
	(void)op;
	ck_assert_int_eq(disk->list(x->dir, leftover_each, &l), E_OK);
	for (int i = 0; i < x->n; i++)
		if (x->names[i] == l.names)
			l.n = 0;
	if (l.n == 0 || x->n == STAGES)
		return;
	x->names[x->n] = l.names;
	x->d[x->n++] = sim_clone(d);
}

/* Is it the offset of a batch, which no checksum covers? */
static bool
is_offset(const uint8_t *p, size_t n, size_t at)
{
	struct batch b;

	for (size_t pos = 0; pos + BATCH_HEADER <= n;
	    pos += (size_t)batch_size(&b)) {
		ck_assert_int_eq(batch_read(p + pos, &b), E_OK);
		if (at >= pos && at < pos + 8)
			return true;
	}
	return false;
}

/* The log is whole, or it is refused and nothing has changed.  odd: the
 * records of one batch may stand at other offsets. */
static bool
judge_damage(const char *dir, const char *what, bool odd)
{
	struct recover_how how = { .dir = dir, .lost = "data/lost+found",
	    .id = kl.p->id };
	struct sim *d = sim_use(NULL);
	struct kl_rec recs[KL_RECORDS];
	struct recovered got;
	uint64_t before;
	enum err e;

	sim_use(d);
	before = sim_hash(d, "data");
	e = recover_log(&how, &got);
	ck_assert_msg(e == E_OK || e == E_CORRUPT, "%s: %s", what,
	    err_name(e));
	if (e == E_CORRUPT)
		ck_assert_msg(sim_hash(d, "data") == before, "%s: refused, "
		    "and something has changed", what);
	else {
		ck_assert_msg(got.end == kl.n, "%s: ends at %lld", what,
		    (long long)got.end);
		for (int i = 1; i < got.nsegs; i++)
			ck_assert_int_eq(got.segs[i]->base,
			    got.segs[i - 1]->end_offset);
		memcpy(recs, kl.recs, sizeof recs);
		if (!odd)
			kl_check_newest(got.segs, got.nsegs);
		memcpy(kl.recs, recs, sizeof recs);
	}
	recover_free(&got);
	ck_assert_int_eq(sim_open_handles(d), 0);
	return e == E_OK;
}

/* One byte of one file of a stage is another, or the file ends there. */
static bool
damage(const struct stages *x, int stage, const char *name, size_t at,
    bool cut)
{
	struct sim *d = sim_clone(x->d[stage]);
	char path[1024], what[1200];
	const uint8_t *p;
	uint8_t *q;
	size_t n;
	bool odd, ok;

	snprintf(path, sizeof path, "%s/%s", x->dir, name);
	snprintf(what, sizeof what, "stage %d, %s, %s at %zu", stage, name,
	    cut ? "cut" : "flipped", at);
	sim_use(d);
	sim_kill(d);
	p = sim_bytes(d, path, &n);
	odd = !cut && strstr(name, ".idx") == NULL && is_offset(p, n, at);
	q = malloc(n + 1);
	memcpy(q, p, n);
	if (!cut)
		q[at] ^= 1 << at % 8;
	sim_put(d, path, q, cut ? at : n);
	free(q);
	ok = judge_damage(x->dir, what, odd);
	sim_free(d);
	return ok;
}

START_TEST(test_damage)
{
	struct stages x = { .n = 0 };
	size_t step = getenv("CHRONIK_QUICK") != NULL ? 13 : 1;
	int taken = 0, refused = 0;

	kl_begin(81);
	part_dir(kl.p, x.dir);
	kl_put_some(25);
	kl_roll();
	sim_hook(kl.r.disk, stage_at_call, &x);
	rig_settle(&kl.r, 15000);
	sim_hook(kl.r.disk, NULL, NULL);
	ck_assert_int_eq(kl.r.eng.stats.compactions, 1);
	ck_assert_int_ge(x.n, 4);
	for (int i = 0; i < x.n; i++) {
		struct leftovers l = { .n = 0 };

		sim_use(x.d[i]);
		ck_assert_int_eq(disk->list(x.dir, leftover_each, &l), E_OK);
		for (int k = 0; k < l.n; k++) {
			char path[1024];
			size_t n;

			snprintf(path, sizeof path, "%s/%s", x.dir, l.v[k]);
			(void)sim_bytes(x.d[i], path, &n);
			for (size_t at = 0; at < n; at += step)
				if (damage(&x, i, l.v[k], at, false))
					taken++;
				else
					refused++;
			for (size_t at = 0; at < n; at += 3 * step)
				if (damage(&x, i, l.v[k], at, true))
					taken++;
				else
					refused++;
		}
		sim_use(kl.r.disk);
		sim_free(x.d[i]);
	}
	ck_assert_int_gt(taken, 0);
	ck_assert_int_gt(refused, 0);
	kl_end();
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
	tcase_add_test(t, test_damage);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
