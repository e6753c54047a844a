/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions added and records deleted while the power goes: before each call
 * that the engine makes of the disk, the disk is cloned, crashed in several
 * ways and opened.  A topic has the partitions that anybody has seen, and no
 * more than were asked for; a log starts where readers have been told, and not
 * beyond what was asked; all of it can be used, grown and deleted again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "rig.h"
#include "serve.h"

/* Under a sanitizer fewer states are enough: it looks for other mistakes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS	2
#else
#define SEEDS	6
#endif

struct world {
	struct rig	 r;
	struct topic	*t;		/* NULL: its deletion was asked for */
	int32_t		 parts, parts_asked;
	int64_t		 start, start_asked;	/* of partition 0 */
	int64_t		 hw;
	int64_t		 states;
};

static void
done(struct topic_op *op, enum err e)
{
	int *answers = op->arg;

	ck_assert_int_eq(e, E_OK);
	++*answers;
}

static void
grow(struct rig *r, struct topic *t, int32_t count)
{
	int answers = 0;
	struct topic_op op = { .done = done, .arg = &answers };

	ck_assert_int_eq(topic_grow(t, count, &op), E_OK);
	engine_drain(&r->eng);
	ck_assert_int_eq(answers, 1);
}

static int
count_each(const char *name, void *arg)
{
	int *n = arg;

	(void)name;
	++*n;
	return 0;
}

/* What was left over by a growth goes too. */
static void
delete_all(struct rig *r, struct topic *t)
{
	int answers = 0, left = 0;
	struct topic_op op = { .done = done, .arg = &answers };
	enum err e;

	t->conf.file_delete_delay_ms = 0;
	ck_assert_int_eq(topic_delete(t, &op), E_OK);
	engine_drain(&r->eng);
	ck_assert_int_eq(answers, 1);
	e = disk->list("data/topics", count_each, &left);
	ck_assert_int_eq(e, E_OK);
	ck_assert_int_eq(left, 0);
}

/* The call is the handler's; nobody reads the answer. */
static void
trim(struct rig *r, const char *name, int64_t offset)
{
	struct call *c = calloc(1, sizeof *c);
	struct delete_records_req *q;

	c->eng = &r->eng;
	c->head.version = 2;
	arena_init(&c->arena, 1 * MIB);
	q = arena_alloc(&c->arena, sizeof *q);
	q->timeout_ms = 30000;
	q->topics.n = 1;
	q->topics.v = arena_alloc(&c->arena, sizeof *q->topics.v);
	q->topics.v[0].name = kstr_of(name);
	q->topics.v[0].partitions.n = 1;
	q->topics.v[0].partitions.v = arena_alloc(&c->arena,
	    sizeof *q->topics.v[0].partitions.v);
	q->topics.v[0].partitions.v[0].offset = offset;
	c->req = q;
	handle_delete_records(c);
}

static void
look(struct world *w, struct rig *r)
{
	struct topic *t = topic_find(&r->eng.topics, kstr_of("t"));
	struct part *p;

	if (t == NULL) {
		ck_assert_ptr_null(w->t);
		return;
	}
	ck_assert_int_ge(t->nparts, w->parts);
	ck_assert_int_le(t->nparts, w->parts_asked);
	p = t->parts[0];
	ck_assert_int_eq(p->state, PART_ONLINE);
	ck_assert_int_ge(p->start, w->start);
	ck_assert_int_le(p->start, w->start_asked);
	ck_assert_int_ge(p->hw, w->hw);
	ck_assert_int_le(p->start, p->hw);
	for (int32_t i = 0; i < t->nparts; i++)
		ck_assert_int_eq(t->parts[i]->state, PART_ONLINE);
}

/* Opens the disk in use, uses what is there, and opens it once more. */
static void
check_state(struct world *w)
{
	struct rig r = { .conf = w->r.conf, .disk = w->r.disk };
	struct topic *t;
	int32_t n;

	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	look(w, &r);
	t = topic_find(&r.eng.topics, kstr_of("t"));
	if (t == NULL) {
		rig_kill(&r);
		return;
	}
	rig_append(&r, t->parts[0], 100);
	rig_append(&r, t->parts[t->nparts - 1], 100);
	n = t->nparts + 2;
	grow(&r, t, n);
	rig_append(&r, t->parts[n - 1], 100);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	t = topic_find(&r.eng.topics, kstr_of("t"));
	ck_assert_int_eq(t->nparts, n);
	ck_assert_int_eq(t->parts[n - 1]->hw, 1);
	delete_all(&r, t);
	rig_kill(&r);
	w->states++;
}

/* What anybody can see by now. */
static void
promise(struct world *w)
{
	if (w->t == NULL)
		return;
	w->parts = w->t->nparts;
	w->start = w->t->parts[0]->start;
	if (!w->t->parts[0]->relaxed)
		w->hw = w->t->parts[0]->hw;
}

static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct world *w = arg;
	int64_t clock = rig_now;

	(void)op;
	promise(w);
	for (uint64_t s = 0; s < SEEDS; s++) {
		struct sim *c = sim_clone(d);

		sim_use(c);
		if (s == SEEDS - 1)
			sim_kill(c);
		else
			sim_crash(c, s < 4 ? s : (uint64_t)n * 31 + s);
		check_state(w);
		sim_free(c);
		rig_now = clock;
	}
	sim_use(d);
}

static void
world_open(struct world *w, int sync)
{
	enum err e;

	memset(w, 0, sizeof *w);
	rig_init(&w->r);
	w->r.conf.sync = sync;
	w->r.conf.log_retention_check_interval_ms = 1000;
	/* Whoever makes the directory above DATA syncs it. */
	e = disk->mkdir("data");
	if (e == E_OK)
		e = disk->sync_dir(".");
	ck_assert_int_eq(e, E_OK);
	ck_assert_int_eq(rig_open(&w->r), E_OK);
	w->t = rig_topic(&w->r, "t", 1);
	w->t->conf.segment_bytes = 300;	/* a few segments */
	for (int i = 0; i < 8; i++)
		rig_append(&w->r, w->t->parts[0], 100);
	rig_settle(&w->r, 500);
	w->parts_asked = 1;
}

static void
world_close(struct world *w)
{
	sim_hook(w->r.disk, NULL, NULL);
	rig_kill(&w->r);
	rig_free(&w->r);
}

START_TEST(test_grow)
{
	struct world w;
	int answers = 0;
	struct topic_op op = { .done = done, .arg = &answers };
	struct topic_op more = op, del = op;

	world_open(&w, SYNC_COMMIT);
	sim_hook(w.r.disk, at_call, &w);
	w.parts_asked = 3;
	grow(&w.r, w.t, 3);
	ck_assert_int_eq(w.t->nparts, 3);
	/* More than are synced one by one, and a second one behind it. */
	w.parts_asked = 14;
	ck_assert_int_eq(topic_grow(w.t, 12, &op), E_OK);
	ck_assert_int_eq(topic_grow(w.t, 14, &more), E_OK);
	engine_drain(&w.r.eng);
	ck_assert_int_eq(answers, 2);
	ck_assert_int_eq(w.t->nparts, 14);
	/* A deletion waits for the growth. */
	w.parts_asked = 16;
	ck_assert_int_eq(topic_grow(w.t, 16, &op), E_OK);
	promise(&w);
	ck_assert_int_eq(topic_delete(w.t, &del), E_OK);
	ck_assert_int_eq(topic_grow(w.t, 17, &more), E_UNKNOWN_TOPIC);
	w.t = NULL;
	engine_drain(&w.r.eng);
	ck_assert_int_eq(answers, 4);
	ck_assert_ptr_null(topic_find(&w.r.eng.topics, kstr_of("t")));
	ck_assert_int_gt(w.states, 100);
	world_close(&w);
}
END_TEST

static const int syncs[] = { SYNC_COMMIT, SYNC_OS };

START_TEST(test_trim)
{
	struct world w;

	world_open(&w, syncs[_i]);
	sim_hook(w.r.disk, at_call, &w);
	for (int64_t at = 1; at <= 7; at += 3) {
		w.start_asked = at + 1;
		trim(&w.r, "t", at);
		trim(&w.r, "t", at + 1);	/* both are on their way */
		trim(&w.r, "t", at);
		engine_drain(&w.r.eng);
		ck_assert_int_eq(w.t->parts[0]->start, at + 1);
	}
	/* Retention takes what lies below. */
	ck_assert_int_gt(w.t->parts[0]->nsegs, 1);
	rig_settle(&w.r, 1500);
	rig_settle(&w.r, 1500);
	ck_assert_int_eq(w.t->parts[0]->nsegs, 1);
	ck_assert_int_eq(w.t->parts[0]->start, 8);
	ck_assert_int_gt(w.states, 50);
	world_close(&w);
}
END_TEST

static void
failed(struct topic_op *op, enum err e)
{
	enum err *got = op->arg;

	*got = e;
}

/* The growth fails at each of its calls: the old count, and it can be tried
 * again. */
START_TEST(test_faults)
{
	for (int64_t n = 1;; n++) {
		struct world w;
		enum err got = E_UNKNOWN;
		struct topic_op op = { .done = failed, .arg = &got };
		bool met;

		world_open(&w, SYNC_COMMIT);
		sim_fail_under(w.r.disk, "topics");
		sim_count_reset(w.r.disk);
		sim_fail_at(w.r.disk, n, n % 2 == 0 ? E_IO : E_NOSPC, false);
		ck_assert_int_eq(topic_grow(w.t, 4, &op), E_OK);
		engine_drain(&w.r.eng);
		met = sim_failed(w.r.disk);
		sim_fail_at(w.r.disk, 0, E_OK, false);
		if (got != E_OK) {
			ck_assert_int_eq(w.t->nparts, 1);
			grow(&w.r, w.t, 4);
		}
		ck_assert_int_eq(w.t->nparts, 4);
		rig_append(&w.r, w.t->parts[3], 100);
		delete_all(&w.r, w.t);
		world_close(&w);
		if (!met)
			break;
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("admin");
	TCase *tc = tcase_create("crash");
	SRunner *sr;
	int n;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_grow);
	tcase_add_loop_test(tc, test_trim, 0, 2);
	tcase_add_test(tc, test_faults);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
