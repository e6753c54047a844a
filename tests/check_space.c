/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full disk: appends are refused, what makes room works, and appends are
 * taken again by themselves when there is room.  The catalogue goes on with
 * the reserve; when that is used up too, its changes are refused and nothing
 * of them stays.  The power may go at each step of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS	2
#else
#define SEEDS	6
#endif

struct world {
	struct rig	 r;
	struct topic	*t;
	int64_t		 hw;		/* that anybody has seen */
	int32_t		 epoch;		/* durable, of the catalogue's */
	int64_t		 states;
};

static void
world_open(struct world *w)
{
	enum err e;

	memset(w, 0, sizeof *w);
	rig_init(&w->r);
	e = disk->mkdir("data");
	if (e == E_OK)
		e = disk->sync_dir(".");
	ck_assert_int_eq(e, E_OK);
	sim_space(w->r.disk, 128 * MIB);
	ck_assert_int_eq(rig_open(&w->r), E_OK);
	w->t = rig_topic(&w->r, "t", 2);
	w->t->conf.segment_bytes = 2000;
	for (int i = 0; i < 12; i++)
		rig_append(&w->r, w->t->parts[0], 400);
	rig_settle(&w->r, 1500);
	ck_assert(w->r.eng.space.held);
	ck_assert(!w->r.eng.space.full);
}

static void
world_close(struct world *w)
{
	sim_hook(w->r.disk, NULL, NULL);
	rig_kill(&w->r);
	rig_free(&w->r);
}

/* One append, whatever becomes of it. */
static enum err
try_append_of(struct rig *r, struct part *p, int64_t pid)
{
	struct sent s;
	enum err e;

	sent_make(&s, 1, 400, true);
	s.a.b.pid = pid;
	e = part_append(p, &s.a);
	engine_drain(&r->eng);
	if (e == E_OK) {
		ck_assert_int_eq(s.answers, 1);
		e = s.err;
	}
	sent_free(&s);
	return e;
}

static enum err
try_append(struct rig *r, struct part *p)
{
	return try_append_of(r, p, -1);
}

static enum err
try_idempotent(struct rig *r, struct part *p)
{
	return try_append_of(r, p, 7);
}

struct change {
	struct meta_put	put;
	enum err	err;
	int		answers;
};

static void
changed(struct meta_put *put, enum err e)
{
	struct change *c = (struct change *)put;

	c->err = e;
	c->answers++;
}

/* A change of the catalogue with an effect that can be told after a crash. */
static enum err
try_change(struct rig *r, size_t size)
{
	struct change c = { .put.done = changed };
	struct meta_epoch rec = { ++r->eng.epoch };
	enum err e = E_OK;

	/* The rest of it: keys of a config that nobody looks at. */
	for (size_t i = 0; e == E_OK && i < size / 32; i++)
		e = meta_write(&r->eng.meta, MT_meta_epoch, NULL, &rec, NULL);
	if (e == E_OK)
		e = meta_write(&r->eng.meta, MT_meta_epoch, NULL, &rec,
		    &c.put);
	ck_assert_int_eq(e, E_OK);
	engine_drain(&r->eng);
	ck_assert_int_eq(c.answers, 1);
	return c.err;
}

static void
deleted(struct topic_op *op, enum err e)
{
	*(enum err *)op->arg = e;
}

static enum err
try_delete(struct rig *r, struct topic *t)
{
	enum err got = E_UNKNOWN, e;
	struct topic_op op = { .done = deleted, .arg = &got };

	t->conf.file_delete_delay_ms = 0;
	e = topic_delete(t, &op);
	ck_assert_int_eq(e, E_OK);
	engine_drain(&r->eng);
	return got;
}

static enum err
try_create(struct rig *r, const char *name)
{
	enum err got = E_UNKNOWN, e;
	struct topic_op op = { .done = deleted, .arg = &got };

	e = topic_create(&r->eng, kstr_of(name), 1, NULL, &op);
	engine_drain(&r->eng);
	return e != E_OK ? e : got;
}

/* A first start on a full disk says so, and the next one is the first. */
START_TEST(test_first_start)
{
	struct world w = { 0 };
	enum err e;

	rig_init(&w.r);
	ck_assert_int_eq(disk->mkdir("data"), E_OK);
	ck_assert_int_eq(disk->sync_dir("."), E_OK);
	sim_space(w.r.disk, 1);
	e = rig_open(&w.r);
	ck_assert_int_eq(e, E_NOSPC);
	ck_assert_ptr_nonnull(strstr(w.r.why, err_text(E_NOSPC)));
	sim_space(w.r.disk, 128 * MIB);
	ck_assert_int_eq(rig_open(&w.r), E_OK);
	world_close(&w);
}
END_TEST

/* The reserve is made at the start, once, and no second one. */
START_TEST(test_reserve)
{
	struct world w;
	enum err e;

	world_open(&w);
	ck_assert_ptr_nonnull(sim_bytes(w.r.disk, "data/reserve",
	    &(size_t){ 0 }));
	ck_assert_int_eq(rig_stop(&w.r), E_OK);
	sim_space(w.r.disk, 0);
	e = rig_open(&w.r);
	ck_assert_int_eq(e, E_OK);
	ck_assert(w.r.eng.space.held);
	ck_assert(!w.r.eng.space.full);
	world_close(&w);
}
END_TEST

/* Appends find no room: refused, until there is some. */
START_TEST(test_append)
{
	struct world w;
	struct part *p;
	int64_t hw;

	world_open(&w);
	p = w.t->parts[0];
	hw = p->hw;
	sim_space(w.r.disk, 100);
	ck_assert_int_ne(try_append(&w.r, p), E_OK);
	ck_assert(w.r.eng.space.full);
	ck_assert(!w.r.eng.space.held);
	rig_settle(&w.r, 500);
	ck_assert_int_eq(p->state, PART_ONLINE);
	ck_assert_int_eq(p->hw, hw);
	ck_assert_int_eq(try_append(&w.r, p), E_NOSPC);
	ck_assert_int_eq(try_idempotent(&w.r, p), E_FULL);
	ck_assert_int_eq(try_create(&w.r, "u"), E_NOSPC);
	/* The catalogue goes on with what the reserve held. */
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(try_change(&w.r, 1000), E_OK);
	/* Less than the reserve and some more: still full. */
	sim_space(w.r.disk, SPACE_RESERVE);
	rig_settle(&w.r, 5000);
	ck_assert(w.r.eng.space.full);
	sim_space(w.r.disk, 2 * SPACE_RESERVE);
	rig_settle(&w.r, 5000);
	ck_assert(!w.r.eng.space.full);
	ck_assert(w.r.eng.space.held);
	ck_assert_int_eq(try_append(&w.r, p), E_OK);
	ck_assert_int_eq(p->hw, hw + 1);
	ck_assert_int_eq(try_create(&w.r, "u"), E_OK);
	world_close(&w);
}
END_TEST

/* The catalogue finds no room first: the reserve is for it. */
START_TEST(test_catalogue)
{
	struct world w;

	world_open(&w);
	sim_space(w.r.disk, 0);
	ck_assert_int_eq(try_change(&w.r, 0), E_OK);
	ck_assert(w.r.eng.space.full);
	ck_assert_int_eq(try_append(&w.r, w.t->parts[0]), E_NOSPC);
	/* What makes room. */
	sim_space(w.r.disk, 2000);
	ck_assert_int_eq(try_delete(&w.r, w.t), E_OK);
	ck_assert_ptr_null(topic_find(&w.r.eng.topics, kstr_of("t")));
	world_close(&w);
}
END_TEST

/* The reserve is used up too: changes are refused, the engine goes on, and
 * what was refused is not there after a crash. */
START_TEST(test_used_up)
{
	struct world w;
	int32_t durable;

	world_open(&w);
	sim_space(w.r.disk, 0);
	ck_assert_int_eq(try_change(&w.r, 0), E_OK);
	ck_assert(!w.r.eng.space.held);
	durable = w.r.eng.epoch;
	sim_space(w.r.disk, 1000);	/* a prefix of it */
	ck_assert_int_eq(try_change(&w.r, 100000), E_NOSPC);
	ck_assert_int_ne(try_change(&w.r, 4000), E_OK);
	ck_assert_int_eq(try_append(&w.r, w.t->parts[0]), E_NOSPC);
	rig_kill(&w.r);
	sim_crash(w.r.disk, 1);
	ck_assert_msg(rig_open(&w.r) == E_OK, "%s", w.r.why);
	/* One more: the start's own. */
	ck_assert_int_eq(w.r.eng.epoch, durable + 1);
	w.t = topic_find(&w.r.eng.topics, kstr_of("t"));
	ck_assert_ptr_nonnull(w.t);
	ck_assert_int_eq(w.t->parts[0]->hw, 12);
	world_close(&w);
}
END_TEST

/* There is no room for the catalogue's rewriting: it goes on as it is, and is
 * rewritten later. */
START_TEST(test_rewrite)
{
	struct world w;
	int64_t base, size;
	struct meta *m;

	world_open(&w);
	m = &w.r.eng.meta;
	base = part_active(m->part)->base;
	while (part_active(m->part)->size < 2 * m->live + META_REWRITE_MIN)
		ck_assert_int_eq(try_change(&w.r, 30000), E_OK);
	size = part_active(m->part)->size;
	sim_fail_op(w.r.disk, SIM_RENAME, 1, E_NOSPC);
	ck_assert_int_eq(try_change(&w.r, 3000), E_OK);
	ck_assert(w.r.eng.space.full);
	ck_assert_int_eq(part_active(m->part)->base, base);
	ck_assert_int_gt(part_active(m->part)->size, size);
	for (int i = 0; part_active(m->part)->base == base; i++) {
		ck_assert_int_lt(i, 1000);
		ck_assert_int_eq(try_change(&w.r, 30000), E_OK);
	}
	rig_kill(&w.r);
	sim_crash(w.r.disk, 1);
	ck_assert_msg(rig_open(&w.r) == E_OK, "%s", w.r.why);
	world_close(&w);
}
END_TEST

/* ---- the power goes ---------------------------------------------------- */

static void
check_state(struct world *w)
{
	struct rig r = { .conf = w->r.conf, .disk = w->r.disk };
	struct topic *t;

	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	t = topic_find(&r.eng.topics, kstr_of("t"));
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->parts[0]->state, PART_ONLINE);
	ck_assert_int_ge(t->parts[0]->hw, w->hw);
	ck_assert_int_ge(r.eng.epoch, w->epoch);
	sim_space(w->r.disk, 100 * MIB);
	rig_settle(&r, 2000);
	ck_assert(!r.eng.space.full);
	ck_assert_int_eq(try_append(&r, t->parts[0]), E_OK);
	ck_assert_int_eq(rig_stop(&r), E_OK);
	w->states++;
}

static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct world *w = arg;
	int64_t clock = rig_now;

	(void)op;
	w->hw = w->t->parts[0]->hw;
	for (uint64_t s = 0; s < SEEDS; s++) {
		struct sim *c = sim_clone(d);
		struct sim *was = w->r.disk;

		sim_use(c);
		w->r.disk = c;
		if (s == SEEDS - 1)
			sim_kill(c);
		else
			sim_crash(c, s < 4 ? s : (uint64_t)n * 31 + s);
		check_state(w);
		w->r.disk = was;
		sim_free(c);
		rig_now = clock;
	}
	sim_use(d);
}

START_TEST(test_power)
{
	struct world w;

	world_open(&w);
	w.epoch = w.r.eng.epoch;
	sim_hook(w.r.disk, at_call, &w);
	sim_space(w.r.disk, 100);
	ck_assert_int_ne(try_append(&w.r, w.t->parts[0]), E_OK);
	rig_settle(&w.r, 500);
	ck_assert_int_eq(try_change(&w.r, 1000), E_OK);
	w.epoch = w.r.eng.epoch;
	sim_space(w.r.disk, 2 * SPACE_RESERVE);
	rig_settle(&w.r, 5000);
	ck_assert_int_eq(try_append(&w.r, w.t->parts[0]), E_OK);
	sim_space(w.r.disk, 0);
	ck_assert_int_eq(try_change(&w.r, 1000), E_OK);
	ck_assert_int_gt(w.states, 50);
	world_close(&w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("space");
	TCase *tc = tcase_create("space");
	SRunner *sr;
	int n;

	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, test_first_start);
	tcase_add_test(tc, test_reserve);
	tcase_add_test(tc, test_append);
	tcase_add_test(tc, test_catalogue);
	tcase_add_test(tc, test_used_up);
	tcase_add_test(tc, test_rewrite);
	tcase_add_test(tc, test_power);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
