/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assignors of consumer groups, by their properties: every partition that
 * somebody wants has one owner, who wants it; loads are even; nothing moves
 * without need; co-partitioned topics stay together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "group/assign.h"

enum { MEMBERS = 12, TOPICS = 8, ROUNDS = 400 };

/* A group whose members come and go; what they got is what they had. */
struct world {
	struct assign_member m[MEMBERS];
	struct tps	had[MEMBERS];
	int32_t		topics[MEMBERS][TOPICS];
	char		ids[MEMBERS][16];
	int		n;
	int32_t		nparts[TOPICS];
	int		ntopics;
};

static struct world w;
static unsigned seed;

static int
rnd(int n)
{
	return rand_r(&seed) % n;
}

static void
world_member(int i, bool same)
{
	struct assign_member *m = &w.m[i];

	m->topics = w.topics[i];
	m->ntopics = 0;
	for (int t = 0; t < w.ntopics; t++)
		if (same || rnd(2) == 0)
			w.topics[i][m->ntopics++] = t;
	snprintf(w.ids[i], sizeof w.ids[i], "m%02d", rnd(100));
	m->id = w.ids[i];
	m->had = &w.had[i];
}

static void
world_new(bool same)
{
	for (int i = 0; i < MEMBERS; i++)
		tps_free(&w.had[i]);
	w.n = 1 + rnd(MEMBERS);
	w.ntopics = 1 + rnd(TOPICS);
	for (int t = 0; t < w.ntopics; t++)
		w.nparts[t] = 1 + rnd(20);
	for (int i = 0; i < w.n; i++)
		world_member(i, same);
}

static void
world_run(int which)
{
	ck_assert_int_eq(assignors[which].run(w.m, w.n, w.nparts, w.ntopics),
	    E_OK);
}

/* What was got is what one has; the number of partitions that moved. */
static int
world_take(void)
{
	int moved = 0;

	for (int i = 0; i < w.n; i++) {
		for (int k = 0; k < w.m[i].got.n; k++)
			moved += !tps_has(&w.had[i], w.m[i].got.v[k]);
		tps_free(&w.had[i]);
		w.had[i] = w.m[i].got;
		w.m[i].got = (struct tps){ 0 };
	}
	return moved;
}

static bool
wants(const struct assign_member *m, int t)
{
	for (int k = 0; k < m->ntopics; k++)
		if (m->topics[k] == t)
			return true;
	return false;
}

/* One owner each, who wants it. */
static void
check_whole(void)
{
	for (int t = 0; t < w.ntopics; t++) {
		bool wanted = false;

		for (int i = 0; i < w.n; i++)
			wanted |= wants(&w.m[i], t);
		for (int p = 0; p < w.nparts[t]; p++) {
			int owners = 0;

			for (int i = 0; i < w.n; i++)
				if (tps_has(&w.m[i].got, tp_of(t, p))) {
					ck_assert(wants(&w.m[i], t));
					owners++;
				}
			ck_assert_int_eq(owners, wanted);
		}
	}
	for (int i = 0; i < w.n; i++)
		for (int k = 0; k < w.m[i].got.n; k++) {
			uint64_t tp = w.m[i].got.v[k];

			ck_assert_int_lt(tp_part(tp), w.nparts[tp_topic(tp)]);
			ck_assert(k == 0 || w.m[i].got.v[k - 1] < tp);
		}
}

/* No single move would make loads more even. */
static void
check_even(void)
{
	for (int a = 0; a < w.n; a++)
		for (int k = 0; k < w.m[a].got.n; k++)
			for (int b = 0; b < w.n; b++)
				if (wants(&w.m[b],
				    tp_topic(w.m[a].got.v[k])))
					ck_assert_int_le(w.m[a].got.n -
					    w.m[b].got.n, 1);
}

START_TEST(test_uniform)
{
	for (seed = 1; seed <= ROUNDS; ) {
		unsigned s = seed;
		bool same = s % 2;

		world_new(same);
		for (int step = 0; step < 6; step++) {
			world_run(ASSIGN_UNIFORM);
			check_whole();
			check_even();
			world_take();
			/* Nothing new: nothing moves. */
			world_run(ASSIGN_UNIFORM);
			check_whole();
			ck_assert_int_eq(world_take(), 0);
			switch (rnd(4)) {
			case 0:
				w.nparts[rnd(w.ntopics)] += rnd(5);
				break;
			case 1:
				w.nparts[rnd(w.ntopics)] = rnd(4);
				break;
			case 2:
				if (w.n < MEMBERS)
					world_member(w.n++, same);
				break;
			default:
				if (w.n > 1)
					tps_free(&w.had[--w.n]);
				break;
			}
		}
		seed = s + 1;
	}
}
END_TEST

/* Members come and go in a group that wants one thing: no more moves than
 * the quota takes. */
START_TEST(test_sticky)
{
	seed = 7;
	world_new(true);
	w.ntopics = 2;
	w.nparts[0] = 7;
	w.nparts[1] = 5;
	w.n = 3;
	for (int i = 0; i < MEMBERS; i++)
		world_member(i, true);
	world_run(ASSIGN_UNIFORM);
	ck_assert_int_eq(world_take(), 12);
	w.n = 4;		/* 4 each to 3 each */
	world_run(ASSIGN_UNIFORM);
	check_whole();
	ck_assert_int_eq(world_take(), 3);
	tps_free(&w.had[--w.n]);
	world_run(ASSIGN_UNIFORM);
	ck_assert_int_eq(world_take(), 3);
	w.nparts[1]++;
	world_run(ASSIGN_UNIFORM);
	ck_assert_int_eq(world_take(), 1);
	w.n = 5;		/* 5 4 4 to 3 3 3 2 2 */
	world_run(ASSIGN_UNIFORM);
	check_even();
	ck_assert_int_eq(world_take(), 4);
}
END_TEST

START_TEST(test_range)
{
	for (seed = 1; seed <= ROUNDS; ) {
		unsigned s = seed;

		world_new(s % 2);
		for (int i = 0; i < w.n; i++)	/* ids are one of a kind */
			snprintf(w.ids[i], sizeof w.ids[i], "%c%02d",
			    "abc"[rnd(3)], i);
		if (s % 3 == 0)
			for (int t = 1; t < w.ntopics; t++)
				w.nparts[t] = w.nparts[0];
		world_run(ASSIGN_RANGE);
		check_whole();
		for (int i = 0; i < w.n && s % 6 == 3; i++)
			for (int k = 0; k < w.m[i].got.n; k++)
				for (int t = 0; t < w.ntopics; t++)
					ck_assert(tps_has(&w.m[i].got, tp_of(t,
					    tp_part(w.m[i].got.v[k]))));
		world_take();
		seed = s + 1;
	}
}
END_TEST

static bool
has(int i, const char *list)
{
	char got[64] = "";
	size_t n = 0;

	for (int k = 0; k < w.m[i].got.n; k++)
		n += (size_t)snprintf(got + n, sizeof got - n, "%d/%d ",
		    tp_topic(w.m[i].got.v[k]), tp_part(w.m[i].got.v[k]));
	return strcmp(got, list) == 0;
}

/* Static members keep their places under new member ids. */
START_TEST(test_range_order)
{
	seed = 3;
	world_new(true);
	w.ntopics = 2;
	w.nparts[0] = w.nparts[1] = 3;
	w.n = 3;
	for (int i = 0; i < w.n; i++)
		world_member(i, true);
	w.m[0].id = "a";
	w.m[1].id = "z";
	w.m[1].instance = "two";
	w.m[2].id = "y";
	w.m[2].instance = "one";
	world_run(ASSIGN_RANGE);
	ck_assert(has(2, "0/0 1/0 "));
	ck_assert(has(1, "0/1 1/1 "));
	ck_assert(has(0, "0/2 1/2 "));
	world_take();
	w.n = 2;
	world_run(ASSIGN_RANGE);
	ck_assert(has(1, "0/0 0/1 1/0 1/1 "));
	ck_assert(has(0, "0/2 1/2 "));
	world_take();
	w.m[1].instance = w.m[2].instance = NULL;
}
END_TEST

/* The largest that groups are promised to work at; how long it takes is told
 * by the sanitizers' patience alone. */
START_TEST(test_large)
{
	enum { N = 500, T = 1000 };
	struct assign_member *m = calloc(N, sizeof *m);
	struct tps *had = calloc(N, sizeof *had);
	int32_t *all = calloc(T, sizeof *all), *odd = calloc(T, sizeof *odd);
	int32_t nparts[T];

	for (int t = 0; t < T; t++) {
		all[t] = t;
		odd[t / 2] = t;
		nparts[t] = 10;
	}
	for (int i = 0; i < N; i++)
		m[i] = (struct assign_member){ .id = "m", .had = &had[i],
		    .topics = all, .ntopics = T };
	for (int mixed = 0; mixed < 2; mixed++) {
		for (int i = 0; mixed && i < N; i += 5) {
			m[i].topics = odd;
			m[i].ntopics = T / 2;
		}
		ck_assert_int_eq(assignors[ASSIGN_UNIFORM].run(m, N, nparts,
		    T), E_OK);
		for (int i = 0; i < N; i++) {
			ck_assert_int_le(abs(m[i].got.n - 20), mixed);
			tps_free(&had[i]);
			had[i] = m[i].got;
			m[i].got = (struct tps){ 0 };
		}
	}
	for (int i = 0; i < N; i++)
		tps_free(&had[i]);
	free(m);
	free(had);
	free(all);
	free(odd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("assign");
	TCase *tc = tcase_create("assignors");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_uniform);
	tcase_add_test(tc, test_sticky);
	tcase_add_test(tc, test_range);
	tcase_add_test(tc, test_range_order);
	tcase_add_test(tc, test_large);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
