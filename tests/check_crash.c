/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crashes at every call: a small writer fills a log on a disk that loses,
 * tears and reorders, and before each of its calls the disk is cloned, crashed
 * in several ways and recovered.  What was synced must be there, byte for
 * byte; what recovery reported must survive the next crash; recovering twice
 * must change nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ck.h"
#include "lib/log.h"
#include "minilog.h"
#include "simdisk.h"

/* Under a sanitizer fewer states are enough: it looks for other mistakes. */
#if defined(__SANITIZE_ADDRESS__)
#define SLOW	20
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW	20
#endif
#elif defined(__SANITIZE_THREAD__)
#define SLOW	20
#endif

static const struct log_id id = { { { 0x11, 0x22, 0x33 } }, 5 };

struct run {
	struct mini	*m;
	uint64_t	 seed;
	int64_t		 at;		/* number of the call */
	int		 seeds;		/* crash states for each call */
	bool		 deep;		/* crash and fail inside recovery */
	bool		 clean;		/* the marker may be on the disk */
	int64_t		 states;
};

static struct recover_how
how_of(const struct run *x, bool clean)
{
	return (struct recover_how){ .dir = x->m->dir, .lost = x->m->lost,
	    .id = id, .clean = clean };
}

#define FAIL(x, what) \
	ck_abort_msg("workload %llu, call %lld: %s", \
	    (unsigned long long)(x)->seed, (long long)(x)->at, what)

/* Recovers the disk in use, which must succeed. */
static void
recover(const struct run *x, struct recovered *r, int64_t least)
{
	struct recover_how how = how_of(x, false);
	const char *bad;
	enum err err;
	bool was;

	err = clean_take(".", &was, NULL);
	ck_assert_int_eq(err, E_OK);
	how.clean = was;
	err = recover_log(&how, r);
	if (err != E_OK)
		FAIL(x, r->why);
	if ((bad = mini_verify(x->m, r, least)) != NULL)
		FAIL(x, bad);
}

/* One state: recovers, recovers again, loses power, recovers again. */
static void
check_state(struct run *x, struct sim *d, int64_t least, uint64_t seed)
{
	struct recovered r;
	uint64_t before;

	sim_use(d);
	recover(x, &r, least);
	least = r.end;		/* was published */
	recover_free(&r);
	ck_assert_int_eq(sim_open_handles(d), 0);
	before = sim_hash(d, ".");
	recover(x, &r, least);
	if (r.end != least)
		FAIL(x, "the second recovery found another end");
	recover_free(&r);
	if (sim_hash(d, ".") != before)
		FAIL(x, "the second recovery changed something");
	sim_crash(d, seed);
	recover(x, &r, least);
	if (r.end != least)
		FAIL(x, "a crash after recovery moved the end");
	recover_free(&r);
	x->states++;
}

/* Fails, and separately dies at, the n-th call of recovery, for every n. */
static void
check_recovery_faults(struct run *x, const struct sim *state, int64_t least,
    uint64_t seed)
{
	struct recover_how how = how_of(x, false);

	for (int64_t n = 1;; n++) {
		struct recovered r;
		struct sim *d = sim_clone(state);
		bool dies = mini_rnd(&seed) % 2 == 0, done;
		int64_t end = least;
		enum err err;

		sim_use(d);
		sim_seed(d, mini_rnd(&seed));
		sim_count_reset(d);
		sim_fail_at(d, n, n % 3 == 0 ? E_NOSPC : E_IO, dies);
		err = recover_log(&how, &r);
		done = sim_calls(d) < n;
		if (err == E_OK) {
			/* No fault, or one that made no difference. */
			const char *bad;

			sim_fail_at(d, 0, E_OK, false);
			if ((bad = mini_verify(x->m, &r, least)) != NULL)
				FAIL(x, bad);
			end = r.end;
		} else {
			if (done)
				FAIL(x, "recovery fails without a fault");
			if (err == E_CORRUPT)
				FAIL(x, r.why);
			ck_assert_str_ne(r.why, "");
		}
		recover_free(&r);
		ck_assert_int_eq(sim_open_handles(d), 0);
		if (dies)
			sim_crash(d, mini_rnd(&seed));
		else
			sim_kill(d);
		check_state(x, d, end, mini_rnd(&seed));
		sim_free(d);
		if (done)
			break;
	}
}

static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct run *x = arg;
	uint64_t seed = x->seed * 1000003 + (uint64_t)n;

	(void)op;
	x->at = n;
	for (int i = 0; i < x->seeds; i++) {
		struct sim *c = sim_clone(d);
		uint64_t s = i < 4 ? (uint64_t)i : mini_rnd(&seed);

		if (i == 4)
			sim_kill(c);	/* and later the power goes too */
		else
			sim_crash(c, s);
		if (x->deep && i % 4 == 2)
			check_recovery_faults(x, c, x->m->synced, s);
		check_state(x, c, x->m->synced, mini_rnd(&seed));
		sim_free(c);
	}
	sim_use(d);
}

/* Some steps of a log's life; E_OK or the fault that ended it. */
static enum err
workload(struct mini *m, int steps)
{
	enum err err = E_OK;

	for (int i = 0; i < steps && err == E_OK; i++) {
		uint64_t what = mini_rnd(&m->rng) % 16;

		if (what < 7)
			err = mini_append(m, (int)(mini_rnd(&m->rng) % 4 + 1),
			    mini_rnd(&m->rng) % 8 == 0 ? 5000 : 300);
		else if (what < 12)
			err = mini_sync(m);
		else if (what < 14)
			err = mini_roll(m);
		else if (what == 14)
			err = mini_retain(m);
		else
			m->epoch++;
	}
	return err;
}

/* A clean stop, and a clean start. */
static void
clean_restart(struct run *x)
{
	struct recover_how how = how_of(x, true);
	struct recovered r;
	const char *bad;
	enum err err;
	bool was;

	err = mini_stop(x->m);
	if (err == E_OK)
		err = clean_write(".", NULL);
	ck_assert_int_eq(err, E_OK);
	mini_close(x->m);
	err = clean_take(".", &was, NULL);
	ck_assert_int_eq(err, E_OK);
	ck_assert(was);
	err = recover_log(&how, &r);
	if (err != E_OK)
		FAIL(x, r.why);
	if ((bad = mini_verify(x->m, &r, x->m->next)) != NULL)
		FAIL(x, bad);
	ck_assert_int_eq(r.scanned, 0);
	ck_assert_int_eq(r.cut, 0);
	mini_adopt(x->m, &r);
}

static void
run_one(struct run *x, int steps, bool relaxed)
{
	struct sim *d = sim_new();
	struct mini m;
	enum err err;

	sim_use(d);
	mini_init(&m, "log", &id, x->seed);
	m.relaxed = relaxed;
	x->m = &m;
	sim_hook(d, at_call, x);
	err = workload(&m, steps);
	ck_assert_int_eq(err, E_OK);
	clean_restart(x);
	err = workload(&m, steps / 2);
	ck_assert_int_eq(err, E_OK);
	sim_hook(d, NULL, NULL);
	mini_free(&m);
	sim_free(d);
}

static void
report(const char *what, const struct run *x, struct timespec *from)
{
	struct timespec now;
	double s;

	clock_gettime(CLOCK_MONOTONIC, &now);
	s = (double)(now.tv_sec - from->tv_sec) +
	    (double)(now.tv_nsec - from->tv_nsec) / 1e9;
	printf("%s: %lld states, %.0f per second\n", what,
	    (long long)x->states, (double)x->states / s);
	fflush(stdout);
}

/* CRASH_SCALE=100 makes a night's run of it. */
static int
scale(int n)
{
	const char *s = getenv("CRASH_SCALE");

#ifdef SLOW
	n = n / SLOW + 1;
#endif
	return s == NULL ? n : n * atoi(s);
}

START_TEST(test_crash)
{
	struct run x = { .seeds = 10 };
	struct timespec from;
	bool relaxed = _i == 1;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < scale(60); i++) {
		x.seed = (uint64_t)(i + 1);
		run_one(&x, 40, relaxed);
	}
	report(relaxed ? "relaxed" : "commit", &x, &from);
}
END_TEST

START_TEST(test_crash_in_recovery)
{
	struct run x = { .seeds = 8, .deep = true };
	struct timespec from;
	bool relaxed = _i == 1;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < scale(10); i++) {
		x.seed = (uint64_t)(i + 1001);
		run_one(&x, 16, relaxed);
	}
	report(relaxed ? "recovery, relaxed" : "recovery, commit", &x, &from);
}
END_TEST

/*
 * A write or sync fails for every call of a workload: the log is fenced, what
 * was synced before must be found by the next process, which sees the page
 * cache of the last one, and must survive.  Then it goes on.
 */
START_TEST(test_faults)
{
	static const enum err errs[] = { E_IO, E_NOSPC };
	struct run x = { .seeds = 0 };
	struct timespec from;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int w = 0; w < scale(8); w++) {
		bool done = false;

		x.seed = (uint64_t)(w + 5001);
		for (int64_t n = 1; !done; n++) {
			struct sim *d = sim_new();
			struct recovered r;
			struct mini m;
			enum err err;

			x.at = n;
			sim_use(d);
			mini_init(&m, "log", &id, x.seed);
			m.relaxed = w % 2;
			x.m = &m;
			sim_seed(d, (uint64_t)(w * 1000 + n));
			sim_count_reset(d);
			sim_fail_at(d, n, errs[n % 2], n % 4 == 3);
			err = workload(&m, 30);
			done = sim_calls(d) < n;
			ck_assert(done || err != E_OK);
			mini_close(&m);
			sim_kill(d);
			recover(&x, &r, m.synced);
			mini_adopt(&m, &r);
			err = workload(&m, 10);
			ck_assert_int_eq(err, E_OK);
			mini_close(&m);
			sim_crash(d, x.seed * 77 + (uint64_t)n);
			check_state(&x, d, m.synced, (uint64_t)n);
			mini_free(&m);
			sim_free(d);
		}
	}
	report("faults", &x, &from);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("crash");
	TCase *tc = tcase_create("crash");
	SRunner *sr = srunner_create(s);
	int failed;

	disk = &simdisk;
	log_setup("check_crash", LOG_FATAL, LOG_TEXT);
	tcase_set_timeout(tc, 3600);
	tcase_add_loop_test(tc, test_crash, 0, 2);
	tcase_add_loop_test(tc, test_crash_in_recovery, 0, 2);
	tcase_add_test(tc, test_faults);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
