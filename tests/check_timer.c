/* SPDX-License-Identifier: Apache-2.0 */
/* The timer heap against a model, and the worker pool, inline and threaded. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "ck.h"
#include "pool.h"
#include "timer.h"

enum { TIMERS = 200, ROUNDS = 20000, JOBS = 500, PARTS = 7, WORKERS = 4 };

struct tick {
	struct timer	t;
	bool		set;		/* the model */
	int64_t		due;
};

static struct tick ticks[TIMERS];
static int64_t now, last_due;
static int fired;

static void
tick_fire(struct timer *t)
{
	struct tick *k = (struct tick *)t;

	ck_assert(k->set);
	ck_assert_int_eq(t->at, 0);
	ck_assert_int_le(k->due, now);
	ck_assert_int_ge(k->due, last_due);	/* earliest first */
	last_due = k->due;
	k->set = false;
	fired++;
}

START_TEST(test_timers)
{
	struct timers ts = { 0 };
	unsigned seed = 1;

	for (int i = 0; i < ROUNDS; i++) {
		struct tick *k = &ticks[rand_r(&seed) % TIMERS];
		int64_t least = -1;

		k->t.fire = tick_fire;
		switch (rand_r(&seed) % 4) {
		case 0:
		case 1:
			k->due = now + rand_r(&seed) % 1000;
			ck_assert_int_eq(timer_set(&ts, &k->t, k->due), E_OK);
			k->set = true;
			break;
		case 2:
			timer_cancel(&ts, &k->t);
			k->set = false;
			break;
		default:
			now += rand_r(&seed) % 50;
			last_due = 0;
			timers_run(&ts, now);
		}
		for (int n = 0; n < TIMERS; n++)
			if (ticks[n].set && (least < 0 ||
			    ticks[n].due < least))
				least = ticks[n].due;
		ck_assert_int_eq(timers_due(&ts), least);
	}
	ck_assert_int_gt(fired, 100);
	timers_free(&ts);
	ck_assert_int_eq(timers_due(&ts), -1);
}
END_TEST

/* A timer may set itself and cancel another from its callback. */
static struct timers both;
static struct timer one, two;
static int ones, twos;

static void
fire_one(struct timer *t)
{
	ones++;
	timer_cancel(&both, &two);
	ck_assert_int_eq(timer_set(&both, t, 50), E_OK);
}

static void
fire_two(struct timer *t)
{
	(void)t;
	twos++;
}

START_TEST(test_timers_reenter)
{
	one.fire = fire_one;
	two.fire = fire_two;
	ck_assert_int_eq(timer_set(&both, &one, 10), E_OK);
	ck_assert_int_eq(timer_set(&both, &two, 20), E_OK);
	timers_run(&both, 30);
	ck_assert_int_eq(ones, 1);
	ck_assert_int_eq(twos, 0);
	ck_assert_int_eq(timers_due(&both), 50);
	timers_free(&both);
}
END_TEST

struct work {
	struct job	job;
	int		ran, progressed, done, parts[PARTS];
	bool		tell, waits;
};

static struct work works[JOBS];
static int order;

static void
work_part(void *arg, int i)
{
	((int *)arg)[i]++;
}

static void
work_run(struct job *j)
{
	struct work *w = (struct work *)j;

	w->ran++;
	w->waits = pool_waits(j);
	if (w->tell)
		pool_progress(j);
	pool_split(j, w->tell ? PARTS : 1, work_part, w->parts);
}

static void
work_progress(struct job *j)
{
	struct work *w = (struct work *)j;

	ck_assert_int_eq(w->done, 0);
	w->progressed++;
}

static void
work_done(struct job *j)
{
	((struct work *)j)->done = ++order;
}

static void
wake_pipe(void *arg)
{
	const int *fd = arg;

	if (write(*fd, "", 1) != 1)
		abort();
}

static void
works_submit(struct pool *p)
{
	for (int i = 0; i < JOBS; i++) {
		works[i] = (struct work){ .job = { .run = work_run,
		    .progress = work_progress, .done = work_done },
		    .tell = i % 3 == 0 };
		pool_submit(p, &works[i].job);
	}
	ck_assert_int_eq(pool_out(p), JOBS);
}

static void
works_check(void)
{
	for (int i = 0; i < JOBS; i++) {
		ck_assert_int_eq(works[i].ran, 1);
		ck_assert_int_eq(works[i].progressed, works[i].tell);
		ck_assert_int_gt(works[i].done, 0);
		for (int k = 0; k < PARTS; k++)
			ck_assert_int_eq(works[i].parts[k],
			    works[i].tell || k == 0);
	}
}

START_TEST(test_pool_inline)
{
	int fds[2];
	struct pool *p;
	int n = 0;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(pool_open(0, wake_pipe, &fds[1], &p), E_OK);
	works_submit(p);
	ck_assert_int_eq(works[0].ran, 0);
	while (pool_step(p))
		n++;
	ck_assert_int_eq(n, JOBS);
	works_check();
	for (int i = 0; i < JOBS; i++) {
		ck_assert_int_eq(works[i].done, i + 1);
		ck_assert_int_eq(works[i].waits, i < JOBS - 1);
	}
	ck_assert_int_eq(pool_out(p), 0);
	pool_close(p);
}
END_TEST

START_TEST(test_pool_threads)
{
	int fds[2];
	struct pool *p;
	char c;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(pool_open(WORKERS, wake_pipe, &fds[1], &p), E_OK);
	for (int round = 0; round < 20; round++) {
		works_submit(p);
		while (pool_out(p) > 0) {
			ck_assert_int_eq(read(fds[0], &c, 1), 1);
			pool_reap(p);
		}
		works_check();
	}
	pool_close(p);
}
END_TEST

static pthread_barrier_t together;
static sem_t heard;
static int finished;

static void
meet(void *arg, int i)
{
	(void)arg;
	(void)i;
	(void)pthread_barrier_wait(&together);
}

/* Parts that wait for one another, and a job that waits until the loop has
 * heard of it: neither would ever end. */
static void
social_run(struct job *j)
{
	pool_split(j, WORKERS, meet, NULL);
	pool_progress(j);
	ck_assert_int_eq(sem_wait(&heard), 0);
}

static void
social_progress(struct job *j)
{
	(void)j;
	ck_assert_int_eq(sem_post(&heard), 0);
}

static void
social_done(struct job *j)
{
	(void)j;
	finished++;
}

START_TEST(test_pool_side_by_side)
{
	struct job j = { .run = social_run, .progress = social_progress,
	    .done = social_done };
	int fds[2];
	struct pool *p;
	char c;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(sem_init(&heard, 0, 0), 0);
	ck_assert_int_eq(pthread_barrier_init(&together, NULL, WORKERS), 0);
	ck_assert_int_eq(pool_open(WORKERS, wake_pipe, &fds[1], &p), E_OK);
	for (int i = 1; i <= 100; i++) {
		pool_submit(p, &j);
		while (pool_out(p) > 0) {
			ck_assert_int_eq(read(fds[0], &c, 1), 1);
			pool_reap(p);
		}
		ck_assert_int_eq(finished, i);
	}
	pool_close(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("timer");
	TCase *tc = tcase_create("timers and pools");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_timers);
	tcase_add_test(tc, test_timers_reenter);
	tcase_add_test(tc, test_pool_inline);
	tcase_add_test(tc, test_pool_threads);
	tcase_add_test(tc, test_pool_side_by_side);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
