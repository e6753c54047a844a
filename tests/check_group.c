/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups beneath the wire: what bytes a subscription is read from, when
 * offsets end (KIP-211, the clock in hand), that a sweep goes in slices and
 * never overtakes a commit, records of version 0, and that all of it holds
 * when the power goes before any call that changes the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "group/group_call.h"
#include "minilog.h"
#include "rig.h"
#include "session.h"

static struct rig r;
static char client_id[] = "client", host[] = "127.0.0.1", none[] = "";
static struct session client = { .refs = 1 << 20, .client_id = client_id,
    .host = host, .software = none, .principal = none };

#define KEEP_MS		((int64_t)10080 * 60000)
#define SWEEP_MS	600000

/* ---- calls without a link: what they do is looked at, not their answers -- */

static struct call *
call_new(int version, const void *req, size_t size)
{
	struct call *c = calloc(1, sizeof *c);

	arena_init(&c->arena, MIB);
	c->eng = &r.eng;
	c->session = session_ref(&client);
	c->head.version = (uint16_t)version;
	c->req = arena_alloc(&c->arena, size);
	memcpy(c->req, req, size);
	return c;
}

static void
commit_send(const char *group, const char *topic, int32_t part,
    int64_t offset, int64_t retention_ms)
{
	struct offset_commit_req blank = { 0 }, *q;
	struct call *c = call_new(4, &blank, sizeof blank);
	struct offset_commit_req_topic_part *p =
	    arena_alloc(&c->arena, sizeof *p);
	struct offset_commit_req_topic *t = arena_alloc(&c->arena, sizeof *t);
	const struct group *g = group_find(&r.eng, kstr_of(group), false);

	*p = (struct offset_commit_req_topic_part){ .partition_index = part,
	    .committed_offset = offset, .committed_leader_epoch = -1,
	    .commit_timestamp = -1, .committed_metadata = kstr_of("m") };
	*t = (struct offset_commit_req_topic){ .name = kstr_of(topic),
	    .partitions = { 1, p } };
	q = c->req;
	*q = (struct offset_commit_req){ .group_id = kstr_of(
	    arena_strndup(&c->arena, group, strlen(group))),
	    .generation_id_or_member_epoch = -1, .member_id = kstr_of(""),
	    .group_instance_id = { -1, NULL },
	    .retention_time_ms = retention_ms, .topics = { 1, t } };
	if (g != NULL && g->members != NULL) {
		q->generation_id_or_member_epoch = g->generation;
		q->member_id = kstr_of(g->members->id);
	}
	handle_offset_commit(c);
}

static void
commit(const char *group, const char *topic, int32_t part, int64_t offset,
    int64_t retention_ms)
{
	commit_send(group, topic, part, offset, retention_ms);
	engine_drain(&r.eng);
}

static int64_t
offset_of(const char *group, const char *topic, int32_t part)
{
	struct group *g = group_find(&r.eng, kstr_of(group), false);
	struct topic *t = topic_find(&r.eng.topics, kstr_of(topic));
	struct committed *o = g == NULL || t == NULL ? NULL
	    : group_offset(g, t, part, false);

	return o == NULL ? -1 : o->offset;
}

static struct group *
group_of(const char *name)
{
	return group_find(&r.eng, kstr_of(name), false);
}

/* A stable group of one. */
static void
join(const char *group, const char *type, const uint8_t *meta, int32_t len)
{
	struct join_group_req_protocol p = { kstr_of("range"), { len, meta } };
	struct join_group_req q = { .group_id = kstr_of(group),
	    .session_timeout_ms = 1800000, .rebalance_timeout_ms = 60000,
	    .member_id = kstr_of(""), .group_instance_id = { -1, NULL },
	    .protocol_type = kstr_of(type), .protocols = { 1, &p } };
	struct sync_group_req s = { .group_id = q.group_id,
	    .generation_id = 1, .group_instance_id = { -1, NULL },
	    .protocol_type = { -1, NULL }, .protocol_name = { -1, NULL } };

	handle_join_group(call_new(3, &q, sizeof q));
	rig_settle(&r, 3000);
	ck_assert_ptr_nonnull(group_of(group));
	ck_assert_int_eq(group_of(group)->state, GROUP_COMPLETING);
	s.member_id = kstr_of(group_of(group)->members->id);
	handle_sync_group(call_new(3, &s, sizeof s));
	engine_drain(&r.eng);
	ck_assert_int_eq(group_of(group)->state, GROUP_STABLE);
}

static void
leave(const char *group)
{
	struct leave_group_req q = { .group_id = kstr_of(group),
	    .member_id = kstr_of(group_of(group)->members->id) };

	handle_leave_group(call_new(1, &q, sizeof q));
	engine_drain(&r.eng);
	ck_assert_int_eq(group_of(group)->state, GROUP_EMPTY);
}

static void
delete_group(const char *group)
{
	struct kstr name = kstr_of(group);
	struct delete_groups_req q = { .groups_names = { 1, &name } };

	handle_delete_groups(call_new(2, &q, sizeof q));
	engine_drain(&r.eng);
}

static void
forget(const char *group, const char *topic, int32_t part)
{
	struct offset_delete_req_topic_part p = { part };
	struct offset_delete_req_topic t = { kstr_of(topic), { 1, &p } };
	struct offset_delete_req q = { kstr_of(group), { 1, &t } };

	handle_offset_delete(call_new(0, &q, sizeof q));
	engine_drain(&r.eng);
}

static void
fresh(void)
{
	rig_init(&r);
	ck_assert_int_eq(rig_open(&r), E_OK);
	(void)rig_topic(&r, "t", 4);
	(void)rig_topic(&r, "u", 4);
}

static void
end(void)
{
	rig_kill(&r);
	rig_free(&r);
}

static void
reopen(bool kill)
{
	if (kill) {
		rig_kill(&r);
		sim_kill(r.disk);
	} else
		ck_assert_int_eq(rig_stop(&r), E_OK);
	ck_assert_int_eq(rig_open(&r), E_OK);
}

/* Time goes by, with the sweeps that are due; sessions are kept alive. */
static void
pass(int64_t ms)
{
	for (int64_t left = ms; left > 0; left -= SWEEP_MS) {
		for (struct group *g = r.eng.groups.first; g != NULL;
		    g = g->next)
			for (struct member *m = g->members; m != NULL;
			    m = m->next)
				session_start(m);
		rig_settle(&r, left < SWEEP_MS ? left : SWEEP_MS);
	}
}

static void
pass_sweep(void)
{
	pass(SWEEP_MS + 1);
	for (int i = 0; i < 100; i++)
		rig_settle(&r, 1);
}

/* ---- subscriptions ------------------------------------------------------ */

static const uint8_t two[] = { 0, 1, 0, 0, 0, 2, 0, 1, 't', 0, 3, 'x', 'y',
    'z', 255, 255, 255, 255, 0, 0, 0, 0 };

START_TEST(test_subscription)
{
	struct subscription s;
	struct kstr topic;

	ck_assert_int_eq(subscription_open(&s, two, sizeof two), E_OK);
	ck_assert(subscription_next(&s, &topic));
	ck_assert(kstr_eq(topic, kstr_of("t")));
	ck_assert(subscription_next(&s, &topic));
	ck_assert(kstr_eq(topic, kstr_of("xyz")));
	ck_assert(!subscription_next(&s, &topic));
	/* Cut anywhere in the topics it is none; what follows is not ours. */
	for (size_t n = 0; n <= sizeof two; n++) {
		uint8_t *p = malloc(n + 1);

		memcpy(p, two, n);
		ck_assert_int_eq(subscription_open(&s, p, n),
		    n < 14 ? E_PROTO : E_OK);
		free(p);
	}
}
END_TEST

START_TEST(test_subscription_fuzz)
{
	uint64_t rng = 1;

	for (int i = 0; i < 200000; i++) {
		size_t n = (size_t)(mini_rnd(&rng) % 40);
		uint8_t *p = malloc(n + 1);
		struct subscription s;
		struct kstr topic;
		size_t seen = 0;

		if (i % 2 == 0 && n >= sizeof two)
			memcpy(p, two, sizeof two);
		for (size_t k = i % 2 == 0 ? n - (n > 2 ? 2 : n) : 0; k < n;
		    k++)
			p[k] = (uint8_t)(mini_rnd(&rng) % (i % 3 ? 4 : 256));
		if (i % 2 == 0 && n > 0)
			p[mini_rnd(&rng) % n] ^= (uint8_t)mini_rnd(&rng);
		if (subscription_open(&s, p, n) == E_OK)
			while (subscription_next(&s, &topic)) {
				ck_assert(topic.len >= 0);
				seen += 2 + (size_t)topic.len;
				ck_assert(6 + seen <= n);
			}
		free(p);
	}
}
END_TEST

/* ---- ends --------------------------------------------------------------- */

START_TEST(test_simple)
{
	fresh();
	commit("g", "t", 0, 7, -1);
	commit("g", "t", 1, 8, 1000);
	pass_sweep();
	ck_assert_int_eq(offset_of("g", "t", 0), 7);
	ck_assert_int_eq(offset_of("g", "t", 1), -1);
	reopen(_i == 1);
	ck_assert_int_eq(offset_of("g", "t", 0), 7);
	ck_assert_int_eq(offset_of("g", "t", 1), -1);
	pass(KEEP_MS - 4 * SWEEP_MS);
	ck_assert_int_eq(offset_of("g", "t", 0), 7);
	commit("g", "t", 2, 9, -1);
	pass(5 * SWEEP_MS);
	ck_assert_int_eq(offset_of("g", "t", 0), -1);
	ck_assert_int_eq(offset_of("g", "t", 2), 9);
	pass(KEEP_MS + 2 * SWEEP_MS);
	ck_assert_ptr_null(group_of("g"));
	reopen(_i == 1);
	ck_assert_ptr_null(group_of("g"));
	end();
}
END_TEST

/* Since it became empty, also across restarts. */
START_TEST(test_empty)
{
	fresh();
	join("g", "consumer", two, sizeof two);
	commit("g", "t", 0, 7, -1);
	pass(KEEP_MS + 2 * SWEEP_MS);
	leave("g");
	pass(KEEP_MS / 2);
	reopen(_i == 1);
	ck_assert_int_eq(group_of("g")->state, GROUP_EMPTY);
	pass(KEEP_MS / 2 - 3 * SWEEP_MS);
	ck_assert_int_eq(offset_of("g", "t", 0), 7);
	commit("g", "u", 0, 9, -1);
	pass(5 * SWEEP_MS);
	ck_assert_int_eq(offset_of("g", "t", 0), -1);
	/* What was committed since is not as old. */
	ck_assert_int_eq(offset_of("g", "u", 0), 9);
	pass(KEEP_MS);
	ck_assert_ptr_null(group_of("g"));
	end();
}
END_TEST

START_TEST(test_stable)
{
	fresh();
	join("g", _i == 0 ? "consumer" : "connect", two, sizeof two);
	commit("g", "t", 0, 7, -1);
	commit("g", "u", 0, 8, -1);
	pass(KEEP_MS + 2 * SWEEP_MS);
	ck_assert_int_eq(group_of("g")->state, GROUP_STABLE);
	ck_assert_int_eq(offset_of("g", "t", 0), 7);
	ck_assert_int_eq(offset_of("g", "u", 0), _i == 0 ? -1 : 8);
	end();
}
END_TEST

/* Nobody can tell what it subscribes to. */
START_TEST(test_garbage)
{
	fresh();
	join("g", "consumer", two, 9);
	commit("g", "u", 0, 8, -1);
	pass(KEEP_MS + 2 * SWEEP_MS);
	ck_assert_int_eq(offset_of("g", "u", 0), 8);
	end();
}
END_TEST

START_TEST(test_slices)
{
	char name[16];
	size_t n;

	fresh();
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "g%d", i);
		for (int32_t p = 0; p < 4; p++) {
			commit_send(name, "t", p, 1, -1);
			commit_send(name, "u", p, 1, -1);
		}
	}
	engine_drain(&r.eng);
	pass(KEEP_MS - SWEEP_MS);
	ck_assert_uint_eq(r.eng.groups.by_name.n, 1000);
	/* The sweep that is due, unless one that found nothing has just
	 * ended, begins, and lets others have their turn. */
	for (int i = 0; i < 3 && r.eng.groups.by_name.n == 1000; i++)
		rig_settle(&r, 2 * SWEEP_MS);
	n = r.eng.groups.by_name.n;
	ck_assert_uint_lt(n, 1000);
	ck_assert_uint_gt(n, 500);
	commit("g0", "t", 0, 2, -1);	/* a group that may be gone is made */
	for (int i = 0; i < 100; i++)
		rig_settle(&r, 1);
	pass_sweep();		/* the first one began in the middle */
	ck_assert_uint_eq(r.eng.groups.by_name.n, 1);
	ck_assert_int_eq(offset_of("g0", "t", 0), 2);
	reopen(true);
	ck_assert_uint_eq(r.eng.groups.by_name.n, 1);
	ck_assert_int_eq(offset_of("g0", "t", 0), 2);
	end();
}
END_TEST

/* A commit is on its way when the sweep finds the old offset. */
START_TEST(test_overtaken)
{
	fresh();
	commit("g", "t", 0, 7, -1);
	pass(KEEP_MS - 2 * SWEEP_MS);
	rig_now += 4 * SWEEP_MS;
	commit_send("g", "t", 0, 8, -1);
	timers_run(&r.eng.timers, rig_now);
	engine_drain(&r.eng);
	ck_assert_int_eq(offset_of("g", "t", 0), 8);
	reopen(true);
	ck_assert_int_eq(offset_of("g", "t", 0), 8);
	end();
}
END_TEST

/* A deletion and commits in one batch: the last word counts in memory as in
 * the catalogue. */
START_TEST(test_order)
{
	struct kstr name = kstr_of("g");
	struct delete_groups_req q = { .groups_names = { 1, &name } };

	fresh();
	commit("g", "t", 0, 7, -1);
	commit_send("g", "t", 1, 8, -1);
	handle_delete_groups(call_new(2, &q, sizeof q));
	commit_send("g", "t", 2, 9, -1);
	for (int i = 0; i < 2; i++) {
		engine_drain(&r.eng);
		ck_assert_int_eq(offset_of("g", "t", 0), -1);
		ck_assert_int_eq(offset_of("g", "t", 1), -1);
		ck_assert_int_eq(offset_of("g", "t", 2), 9);
		if (i == 0)
			reopen(true);
	}
	end();
}
END_TEST

START_TEST(test_topic_gone)
{
	char name[16];

	fresh();
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "g%d", i);
		commit(name, "t", i % 4, i, -1);
		if (i % 2 == 0)
			commit(name, "u", 0, i, -1);
	}
	groups_topic_gone(topic_find(&r.eng.topics, kstr_of("t")));
	ck_assert_uint_eq(r.eng.groups.by_name.n, 25);
	ck_assert_ptr_null(topic_find(&r.eng.topics, kstr_of("t"))->
	    committed);
	ck_assert_int_eq(offset_of("g2", "u", 0), 2);
	end();
}
END_TEST

/* ---- records ------------------------------------------------------------ */

/* What version 0 does not say. */
START_TEST(test_version_0)
{
	struct meta_group_member m = { kstr_of("id"), { -1, NULL }, 6000,
	    7000, { sizeof two, two }, { 1, two }, kstr_of("x"),
	    kstr_of("y") };
	struct meta_group g = { 3, kstr_of("consumer"), kstr_of("range"),
	    kstr_of("id"), 5, { 1, &m }, false };
	struct meta_offset o = { 9, 1, kstr_of("text"), 8, 77 };
	struct meta_group got;
	struct meta_offset got_o;
	struct meta_key key = { (const uint8_t *)"old", 3 };
	struct wr w = wr_grow(KIB);
	struct arena a;
	struct rd rd;

	arena_init(&a, MIB);
	ck_assert_int_eq(msg_write(&meta_msgs[MT_meta_group], 0, &w, &g),
	    E_OK);
	rd = rd_of(w.p, w.len);
	ck_assert_int_eq(msg_read(&meta_msgs[MT_meta_group], 0, &rd, &a,
	    &got), E_OK);
	ck_assert(rd_done(&rd));
	fresh();
	ck_assert_int_eq(group_restore(&r.eng, &key, &got), E_OK);
	ck_assert_int_eq(group_of("old")->state, GROUP_STABLE);
	ck_assert_str_eq(group_of("old")->members->client_id, "");
	w.len = 0;
	ck_assert_int_eq(msg_write(&meta_msgs[MT_meta_offset], 0, &w, &o),
	    E_OK);
	rd = rd_of(w.p, w.len);
	ck_assert_int_eq(msg_read(&meta_msgs[MT_meta_offset], 0, &rd, &a,
	    &got_o), E_OK);
	ck_assert(rd_done(&rd));
	ck_assert_int_eq(got_o.expire_ms, -1);
	ck_assert_int_eq(got_o.offset, 9);
	wr_free(&w);
	arena_reset(&a);
	end();
}
END_TEST

/* The power goes before each call that changes the disk: each offset is what
 * was answered last, or what was being written. */
enum { GROUPS = 3, PARTS = 3 };
static int64_t was[GROUPS][PARTS], will[GROUPS][PARTS];
static const char *const names[GROUPS] = { "", "a", "b" };

static void
check_crash(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct rig live = r;
	struct sim *copy;
	int64_t now = rig_now;

	(void)op;
	(void)arg;
	if (n % 3 != 0)
		return;
	copy = sim_clone(d);
	sim_hook(copy, NULL, NULL);
	sim_crash(copy, (uint64_t)n);
	sim_use(copy);
	r = (struct rig){ .conf = live.conf, .disk = copy };
	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	for (int g = 0; g < GROUPS; g++)
		for (int p = 0; p < PARTS; p++) {
			int64_t got = offset_of(names[g], "t", p);

			ck_assert_msg(got == was[g][p] || got == will[g][p],
			    "call %d: group %d, part %d: %d, not %d or %d",
			    (int)n, g, p, (int)got, (int)was[g][p],
			    (int)will[g][p]);
		}
	rig_kill(&r);
	sim_free(copy);
	r = live;
	sim_use(d);
	rig_now = now;
}

static void
sweep_will(void)
{
	for (int g = 0; g < GROUPS; g++)
		if (was[g][2] != -1)
			will[g][2] = -1;
}

static void
crash_step(uint64_t *rng, int i)
{
	int g = (int)(mini_rnd(rng) % GROUPS), p = (int)(mini_rnd(rng) %
	    PARTS), what = (int)(mini_rnd(rng) % 12);

	if (what == 0) {
		for (int k = 0; k < PARTS; k++)
			will[g][k] = -1;
		delete_group(names[g]);
	} else if (what == 1 && g != 0) {
		will[g][p] = -1;
		forget(names[g], "t", p);
	} else if (what == 2) {
		sweep_will();
		pass_sweep();
	} else {
		will[g][p] = i;
		/* The last partition's end when a sweep comes. */
		commit(names[g], "t", p, i, p == 2 ? 1 : -1);
	}
	memcpy(was, will, sizeof was);
}

START_TEST(test_crash)
{
	uint64_t rng = (uint64_t)_i + 1;

	fresh();
	memset(was, 0xff, sizeof was);
	memset(will, 0xff, sizeof will);
	sim_hook(r.disk, check_crash, NULL);
	for (int i = 0; i < 120; i++) {
		crash_step(&rng, i);
		for (int g = 0; g < GROUPS; g++)
			for (int p = 0; p < PARTS; p++)
				ck_assert_int_eq(offset_of(names[g], "t", p),
				    was[g][p]);
	}
	sim_hook(r.disk, NULL, NULL);
	end();
}
END_TEST

/* The catalogue is rewritten now and then: the snapshot holds all of it. */
START_TEST(test_rewritten)
{
	fresh();
	join("kept", "consumer", two, sizeof two);
	commit("kept", "u", 1, 5, 86400000);
	for (int i = 0; i < 40000; i++) {
		commit_send("g", "t", i % 4, i, -1);
		if (i % 100 == 0)
			engine_drain(&r.eng);
	}
	engine_drain(&r.eng);
	ck_assert_int_gt(r.eng.meta.part->start, 0);
	reopen(true);
	ck_assert_int_eq(group_of("kept")->state, GROUP_STABLE);
	ck_assert_str_eq(group_of("kept")->members->client_id, "client");
	ck_assert_str_eq(group_of("kept")->members->client_host,
	    "/127.0.0.1");
	ck_assert_int_eq(offset_of("kept", "u", 1), 5);
	ck_assert_int_eq(offset_of("g", "t", 3), 39999);
	pass(86400000 / 2);
	leave("kept");
	pass(86400000);
	ck_assert_int_eq(offset_of("kept", "u", 1), -1);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("group");
	TCase *tc = tcase_create("group");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_subscription);
	tcase_add_test(tc, test_subscription_fuzz);
	tcase_add_loop_test(tc, test_simple, 0, 2);
	tcase_add_loop_test(tc, test_empty, 0, 2);
	tcase_add_loop_test(tc, test_stable, 0, 2);
	tcase_add_test(tc, test_garbage);
	tcase_add_test(tc, test_slices);
	tcase_add_test(tc, test_overtaken);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_topic_gone);
	tcase_add_test(tc, test_version_0);
	tcase_add_loop_test(tc, test_crash, 0, 4);
	tcase_add_test(tc, test_rewritten);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
